#include "output.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int output_open(struct output *o, int fd, bool owned, const char *name, bool digest, atomic_int *stop, struct error *e)
{
	*o = (struct output){.fd = fd, .owned = owned, .stop = stop};
	o->name = strdup(name);
	o->buffer = malloc(OUTPUT_BUFFER_BYTES);
	o->digest = digest ? EVP_MD_CTX_new() : NULL;
	if (!o->name || !o->buffer || (digest && (!o->digest || !EVP_DigestInit_ex(o->digest, EVP_sha256(), NULL)))) {
		output_close(o);
		return error_set(e, -ENOMEM, "no memory for the output %s", name);
	}
	return 0;
}

void output_close(struct output *o)
{
	if (o->owned && o->fd >= 0)
		close(o->fd);
	EVP_MD_CTX_free(o->digest);
	free(o->buffer);
	free(o->name);
	*o = (struct output){.fd = -1};
}

static void fail(struct output *o, int error)
{
	o->failed = -error;
	if (o->stop)
		atomic_store(o->stop, 1);
}

/* The bytes from `data` on could not be written; those from `begin`, a line's start, were. */
static void lose(struct output *o, const char *begin, const char *data, size_t len)
{
	const char *line = data;
	struct stat st;
	uint64_t lines = 0;
	while (line > begin && line[-1] != '\n')
		line--;
	for (const char *p = data; (p = memchr(p, '\n', (size_t)(data + len - p))); p++)
		lines++;
	atomic_fetch_add_explicit(o->lost, lines, memory_order_relaxed);
	if (line < data && (fstat(o->fd, &st) < 0 || ftruncate(o->fd, st.st_size - (data - line)) < 0))
		o->half_line = true;
}

static void write_all(struct output *o, const char *data, size_t len)
{
	const char *begin = data;
	if (unlikely(o->half_line) && write(o->fd, "\n", 1) == 1)
		o->half_line = false;
	if (o->digest)
		EVP_DigestUpdate(o->digest, data, len);
	while (len && o->fd >= 0) {
		ssize_t n = write(o->fd, data, len);
		if (n >= 0) {
			data += n;
			len -= (size_t)n;
		} else if (o->abandoned && atomic_load_explicit(o->abandoned, memory_order_relaxed)) {
			fail(o, ECANCELED);
			if (o->lost)
				lose(o, begin, data, len);
			return;
		} else if (errno == EAGAIN) {
			/* someone made this descriptor non-blocking; it may be shared, so it is left as it is */
			poll(&(struct pollfd){.fd = o->fd, .events = POLLOUT}, 1, -1);
		} else if (errno != EINTR && o->lost && errno != EPIPE) {
			lose(o, begin, data, len);
			return;
		} else if (errno != EINTR) {
			fail(o, errno);
			if (o->lost)
				lose(o, begin, data, len);
			return;
		}
	}
}

static void drain(struct output *o)
{
	if (!o->failed)
		write_all(o, o->buffer, o->len);
	o->len = 0;
}

char *output_claim(struct output *o, size_t room)
{
	if (room > OUTPUT_BUFFER_BYTES - o->len)
		drain(o);
	return room <= OUTPUT_BUFFER_BYTES ? o->buffer + o->len : NULL;
}

int output_commit(struct output *o, size_t len)
{
	if (!o->failed)
		o->len += len;
	return o->failed;
}

int output_put(struct output *o, const void *data, size_t len)
{
	if (len > OUTPUT_BUFFER_BYTES - o->len)
		drain(o);
	if (o->failed)
		return o->failed;
	if (len > OUTPUT_BUFFER_BYTES) {
		write_all(o, data, len);
		return o->failed;
	}
	memcpy(o->buffer + o->len, data, len);
	o->len += len;
	return 0;
}

int output_flush(struct output *o, struct error *e)
{
	drain(o);
	if (o->failed)
		return error_set(e, o->failed, "cannot write %s: %s",
				 strcmp(o->name, "-") ? o->name : "standard output", strerror(-o->failed));
	return 0;
}

void output_digest(const struct output *o, char ret_hex[65])
{
	unsigned char md[EVP_MAX_MD_SIZE] = {0};
	unsigned len = 0;
	EVP_MD_CTX *copy = EVP_MD_CTX_new();
	if (copy && EVP_MD_CTX_copy_ex(copy, o->digest))
		EVP_DigestFinal_ex(copy, md, &len);
	EVP_MD_CTX_free(copy);
	for (unsigned i = 0; i < 32; i++) {
		ret_hex[2 * i] = "0123456789abcdef"[md[i] >> 4];
		ret_hex[2 * i + 1] = "0123456789abcdef"[md[i] & 15];
	}
	ret_hex[64] = '\0';
}
