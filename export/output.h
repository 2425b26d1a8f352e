/* output.h - bytes into a file descriptor through one large buffer, with a digest. One thread. */
#ifndef TS_EXPORT_OUTPUT_H
#define TS_EXPORT_OUTPUT_H

#include "error.h"

#include <openssl/evp.h>
#include <stdatomic.h>

#define OUTPUT_BUFFER_BYTES (256 << 10) /* stays in the second-level cache; larger writes are no cheaper */

struct output {
	int fd;         /* -1: counted and digested, not written */
	bool owned;     /* closed by output_close() */
	bool half_line; /* what was written last has no end */
	int failed;     /* -errno of the first failure; nothing is written after it */
	char *name;     /* for messages */
	char *buffer;
	size_t len;
	EVP_MD_CTX *digest; /* or NULL */
	atomic_int *stop;
	/* NULL: a failure is for good. Else what cannot be written (disk full, …) is counted here, line by line, and
	 * the next bytes are tried again; no line is left half written. Only EPIPE is for good. */
	_Atomic uint64_t *lost;
	const _Atomic bool *abandoned; /* or NULL: once true, a write that a signal interrupts fails */
};

/* fd stays the caller's unless `owned`; name is copied. 0 or -ENOMEM with e. */
int output_open(struct output *o, int fd, bool owned, const char *name, bool digest, atomic_int *stop, struct error *e);
void output_close(struct output *o);

/* 0 or -errno, sticky. */
int output_put(struct output *o, const void *data, size_t len);
/* The same without a copy: `room` bytes that are good until the next call, or NULL where that is more than the buffer
 * has; then how many of them were filled. */
char *output_claim(struct output *o, size_t room);
int output_commit(struct output *o, size_t len);
int output_flush(struct output *o, struct error *e);

/* SHA-256 of what was flushed, in hex with NUL. Only with a digest. */
void output_digest(const struct output *o, char ret_hex[65]);

#endif
