/* file_input.h - the bytes of one capture file: plain, gzipped, or from standard input. Private to capture/file*.c.
 *
 * Regular files are read by offset, so that their descriptor can be closed and opened again: however many files there
 * are, at most INPUTS_OPEN_MAX descriptors of regular files are open. Memory: none for a plain file, a chunk and zlib's
 * window for a gzipped one. */
#ifndef TS_CAPTURE_FILE_INPUT_H
#define TS_CAPTURE_FILE_INPUT_H

#include "error.h"

#include <sys/types.h>

#define INPUTS_OPEN_MAX 256

struct inflater;

/* What all inputs of a merge share. Zero-initialised is empty. */
struct input_set {
	struct input *recent, *oldest; /* inputs whose descriptor can be closed, by last use */
	unsigned open;
};

struct input {
	struct input_set *set;
	struct input *newer, *older; /* in set; linked while fd >= 0 and regular */
	const char *path;            /* borrowed; "-": standard input */
	const char *name;            /* what messages call it */
	int fd;                      /* -1: not open now */
	bool regular;
	uint64_t offset; /* bytes read from the descriptor so far */
	dev_t device;    /* with inode: what was opened first */
	ino_t inode;
	struct inflater *inflater; /* NULL: plain */
};

/* 0 or -errno with e. */
int input_open(struct input *in, struct input_set *set, const char *path, struct error *e);
void input_close(struct input *in);

/* Reads at most `space` (> 0) bytes; waits for at least one. Returns how many, 0 at the end, -errno with e; for damaged
 * or cut-off gzip data -EBADMSG, after all bytes that could be inflated; -EAGAIN where a signal came first: call again.
 */
ssize_t input_read(struct input *in, uint8_t *to, size_t space, struct error *e);

/* Goes on as gzip: the `len` bytes at `first` are those that input_read() gave so far, and the start of the gzip data.
 */
int input_inflate(struct input *in, const uint8_t *first, size_t len, struct error *e);

#endif
