#include "file_input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* Of a pipe, as far as the kernel allows it: reading from one is three times as fast then. */
#define PIPE_BYTES (1 << 20)

struct inflater {
	z_stream z;
	bool in_member; /* between a member's header and its trailer */
	bool raw_end;   /* the compressed file has no more */
	uint8_t chunk[32 * 1024];
};

static void unlink_input(struct input *in)
{
	struct input_set *set = in->set;
	*(in->newer ? &in->newer->older : &set->recent) = in->older;
	*(in->older ? &in->older->newer : &set->oldest) = in->newer;
	in->newer = in->older = NULL;
	set->open--;
}

static void link_input(struct input *in)
{
	struct input_set *set = in->set;
	in->newer = NULL;
	in->older = set->recent;
	*(set->recent ? &set->recent->newer : &set->oldest) = in;
	set->recent = in;
	set->open++;
}

static void close_descriptor(struct input *in)
{
	if (in->fd < 0)
		return;
	if (in->regular)
		unlink_input(in);
	if (strcmp(in->path, "-"))
		close(in->fd);
	in->fd = -1;
}

static int open_descriptor(struct input *in, struct error *e)
{
	if (in->set->open >= INPUTS_OPEN_MAX)
		close_descriptor(in->set->oldest);
	int fd = open(in->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	/* Somebody else may use more descriptors than expected; ours can be opened again. */
	while (fd < 0 && errno == EMFILE && in->set->oldest) {
		close_descriptor(in->set->oldest);
		fd = open(in->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	}
	if (fd < 0)
		return error_set(e, -errno, "%s: cannot be opened: %s", in->name, strerror(errno));
	in->fd = fd;
	return 0;
}

int input_open(struct input *in, struct input_set *set, const char *path, struct error *e)
{
	*in = (struct input){.set = set, .path = path, .name = path, .fd = -1};
	if (!strcmp(path, "-")) {
		in->name = "standard input";
		in->fd = STDIN_FILENO;
		(void)fcntl(in->fd, F_SETPIPE_SZ, PIPE_BYTES);
		return 0;
	}
	int r = open_descriptor(in, e);
	if (r)
		return r;
	struct stat st;
	if (fstat(in->fd, &st) < 0)
		r = error_set(e, -errno, "%s: cannot be read: %s", in->name, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		r = error_set(e, -EISDIR, "%s: is a directory, not a capture file", in->name);
	if (r) {
		close(in->fd);
		in->fd = -1;
		return r;
	}
	if (S_ISREG(st.st_mode)) {
		in->regular = true;
		in->device = st.st_dev;
		in->inode = st.st_ino;
		link_input(in);
		(void)posix_fadvise(in->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	} else {
		(void)fcntl(in->fd, F_SETPIPE_SZ, PIPE_BYTES);
	}
	return 0;
}

void input_close(struct input *in)
{
	close_descriptor(in);
	if (in->inflater) {
		inflateEnd(&in->inflater->z);
		free(in->inflater);
		in->inflater = NULL;
	}
}

static int reopen(struct input *in, struct error *e)
{
	int r = open_descriptor(in, e);
	if (r)
		return r;
	link_input(in);
	struct stat st;
	if (fstat(in->fd, &st) < 0 || st.st_dev != in->device || st.st_ino != in->inode)
		return error_set(e, -ESTALE, "%s: another file took its place while it was being read", in->name);
	return 0;
}

/* Bytes as they lie in the file. */
static ssize_t read_raw(struct input *in, uint8_t *to, size_t space, struct error *e)
{
	if (in->fd < 0) {
		int r = reopen(in, e);
		if (r)
			return r;
	} else if (in->regular && in->set->recent != in) {
		unlink_input(in);
		link_input(in);
	}
	for (;;) {
		ssize_t n = in->regular ? pread(in->fd, to, space, (off_t)in->offset) : read(in->fd, to, space);
		if (n >= 0) {
			in->offset += (uint64_t)n;
			return n;
		}
		if (errno == EAGAIN && poll(&(struct pollfd){.fd = in->fd, .events = POLLIN}, 1, -1) >= 0)
			continue;
		if (errno == EINTR) /* the caller may have been told to end */
			return error_set(e, -EAGAIN, "%s: interrupted by a signal", in->name);
		return error_set(e, -errno, "%s: cannot be read at byte %llu: %s", in->name,
				 (unsigned long long)in->offset, strerror(errno));
	}
}

int input_inflate(struct input *in, const uint8_t *first, size_t len, struct error *e)
{
	struct inflater *f = calloc(1, sizeof *f);
	if (!f || len > sizeof f->chunk || inflateInit2(&f->z, 15 + 16) != Z_OK) {
		free(f);
		return error_set(e, -ENOMEM, "%s: no memory to decompress it", in->name);
	}
	memcpy(f->chunk, first, len);
	f->z.next_in = f->chunk;
	f->z.avail_in = (uInt)len;
	f->in_member = true;
	in->inflater = f;
	return 0;
}

static ssize_t read_inflated(struct input *in, uint8_t *to, size_t space, struct error *e)
{
	struct inflater *f = in->inflater;
	z_stream *z = &f->z;
	for (;;) {
		if (!z->avail_in && !f->raw_end) {
			ssize_t n = read_raw(in, f->chunk, sizeof f->chunk, e);
			if (n < 0)
				return n;
			f->raw_end = !n;
			z->next_in = f->chunk;
			z->avail_in = (uInt)n;
		}
		if (!f->in_member) {
			/* Another member may follow, or the zeros that fill up a tape block. */
			while (z->avail_in && !*z->next_in) {
				z->next_in++;
				z->avail_in--;
			}
			if (!z->avail_in) {
				if (f->raw_end)
					return 0;
				continue;
			}
			inflateReset(z);
			f->in_member = true;
		}
		/* Also without input: zlib may hold output that had no space before. */
		z->next_out = to;
		z->avail_out = (uInt)min_of(space, (size_t)1 << 30);
		int r = inflate(z, Z_NO_FLUSH);
		ssize_t got = z->next_out - to;
		if (r == Z_STREAM_END)
			f->in_member = false;
		if (got)
			return got;
		if (r == Z_OK || r == Z_STREAM_END)
			continue;
		uint64_t offset = in->offset - z->avail_in;
		if (r != Z_BUF_ERROR)
			return error_set(e, -EBADMSG, "%s: gzip data damaged before byte %llu: %s", in->name,
					 (unsigned long long)offset, z->msg ? z->msg : "not what zlib expects");
		if (f->raw_end)
			return error_set(e, -EBADMSG, "%s: gzip data cut off at byte %llu: its end is missing",
					 in->name, (unsigned long long)offset);
	}
}

ssize_t input_read(struct input *in, uint8_t *to, size_t space, struct error *e)
{
	return in->inflater ? read_inflated(in, to, space, e) : read_raw(in, to, space, e);
}
