/* capture_file_writer.h - for tests: capture files written byte by byte in memory, and read as files. */
#ifndef TS_TEST_CAPTURE_FILE_WRITER_H
#define TS_TEST_CAPTURE_FILE_WRITER_H

#include "file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

/* Bytes being written, in either byte order. */
struct out {
	uint8_t *at;
	size_t len, room;
	bool big;
};

static inline void out_drop(struct out *o)
{
	free(o->at);
	*o = (struct out){0};
}

/* Not inlined: gcc 12 guesses wrongly at the room of what is built step by step. */
static maybe_unused __attribute__((noinline)) void put_bytes(struct out *o, const void *data, size_t len)
{
	if (o->len + len > o->room) {
		o->room = (o->len + len) * 2;
		o->at = realloc(o->at, o->room);
		assert_non_null(o->at);
	}
	if (len)
		memcpy(o->at + o->len, data, len);
	o->len += len;
}

static inline void put_number(struct out *o, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		put_bytes(o, &(uint8_t){(uint8_t)(v >> 8 * (o->big ? bytes - 1 - i : i))}, 1);
}

static inline void put16(struct out *o, uint16_t v)
{
	put_number(o, v, 2);
}

static inline void put32(struct out *o, uint32_t v)
{
	put_number(o, v, 4);
}

static inline void put64(struct out *o, uint64_t v)
{
	put_number(o, v, 8);
}

static inline void put_zeros(struct out *o, size_t len)
{
	for (size_t i = 0; i < len; i++)
		put_bytes(o, "", 1);
}

/* Frame data that tells from which seed it was made. */
static inline uint8_t pattern(unsigned seed, size_t i)
{
	return (uint8_t)((seed * 2654435761u >> 5) + i * 7);
}

static inline void put_pattern(struct out *o, unsigned seed, size_t len)
{
	for (size_t i = 0; i < len; i++)
		put_bytes(o, &(uint8_t){pattern(seed, i)}, 1);
}

static inline bool is_pattern(const struct frame *f, unsigned seed)
{
	for (uint32_t i = 0; i < f->caplen; i++)
		if (f->data[i] != pattern(seed, i))
			return false;
	return true;
}

/* ---- pcap ---- */

static inline void put_pcap_header(struct out *o, uint32_t magic, uint16_t major, uint16_t minor, uint32_t network)
{
	put32(o, magic);
	put16(o, major);
	put16(o, minor);
	put64(o, 0);
	put32(o, 262144);
	put32(o, network);
}

static inline void put_pcap_record(struct out *o, uint32_t seconds, uint32_t fraction, uint32_t len, unsigned seed)
{
	put32(o, seconds);
	put32(o, fraction);
	put32(o, len);
	put32(o, len);
	put_pattern(o, seed, len);
}

/* ---- pcapng ---- */

static inline void put_section(struct out *o)
{
	put32(o, 0x0a0d0d0a);
	put32(o, 28);
	put32(o, 0x1a2b3c4d);
	put16(o, 1);
	put16(o, 0);
	put64(o, UINT64_MAX);
	put32(o, 28);
}

static inline void put_block_head(struct out *o, uint32_t type, uint32_t body)
{
	put32(o, type);
	put32(o, 12 + body);
}

/* A block with anything in it. */
static inline void put_block(struct out *o, uint32_t type, uint32_t body)
{
	put_block_head(o, type, body);
	put_pattern(o, type, body);
	put32(o, 12 + body);
}

static inline void put_interface(struct out *o, uint16_t link_type, uint32_t snaplen, const void *options, size_t len)
{
	put_block_head(o, 1, 8 + (uint32_t)len);
	put16(o, link_type);
	put16(o, 0);
	put32(o, snaplen);
	put_bytes(o, options, len);
	put32(o, 20 + (uint32_t)len);
}

static inline uint32_t padded(uint32_t len)
{
	return (len + 3) & ~3u;
}

static inline void put_packet_data(struct out *o, uint32_t caplen, unsigned seed)
{
	put_pattern(o, seed, caplen);
	put_zeros(o, padded(caplen) - caplen);
}

static inline void put_enhanced(struct out *o, uint32_t id, uint64_t units, uint32_t caplen, uint32_t wirelen,
				unsigned seed)
{
	put_block_head(o, 6, 20 + padded(caplen));
	put32(o, id);
	put32(o, (uint32_t)(units >> 32));
	put32(o, (uint32_t)units);
	put32(o, caplen);
	put32(o, wirelen);
	put_packet_data(o, caplen, seed);
	put32(o, 32 + padded(caplen));
}

static inline void put_obsolete(struct out *o, uint16_t id, uint64_t units, uint32_t caplen, uint32_t wirelen,
				unsigned seed)
{
	put_block_head(o, 2, 20 + padded(caplen));
	put16(o, id);
	put16(o, 99); /* drops */
	put32(o, (uint32_t)(units >> 32));
	put32(o, (uint32_t)units);
	put32(o, caplen);
	put32(o, wirelen);
	put_packet_data(o, caplen, seed);
	put32(o, 32 + padded(caplen));
}

static inline void put_simple(struct out *o, uint32_t caplen, uint32_t wirelen, unsigned seed)
{
	put_block_head(o, 3, 4 + padded(caplen));
	put32(o, wirelen);
	put_packet_data(o, caplen, seed);
	put32(o, 16 + padded(caplen));
}

/* ---- gzip: one member ---- */

static inline void put_gzip(struct out *o, const uint8_t *data, size_t len)
{
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	size_t room = deflateBound(&z, len);
	uint8_t *packed = malloc(room);
	z.next_in = (uint8_t *)(uintptr_t)data;
	z.avail_in = (uInt)len;
	z.next_out = packed;
	z.avail_out = (uInt)room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	put_bytes(o, packed, room - z.avail_out);
	deflateEnd(&z);
	free(packed);
}

/* ---- files in memory ---- */

struct file {
	int fd;
	char path[40];
};

/* Takes what was written. */
static inline struct file file_make(struct out *o)
{
	struct file f = {.fd = memfd_create("capture", MFD_CLOEXEC)};
	assert_true(f.fd >= 0);
	for (size_t done = 0; done < o->len;) {
		ssize_t n = write(f.fd, o->at + done, o->len - done);
		assert_true(n > 0);
		done += (size_t)n;
	}
	snprintf(f.path, sizeof f.path, "/proc/self/fd/%d", f.fd);
	out_drop(o);
	return f;
}

static inline void file_drop(struct file *f)
{
	close(f->fd);
}

static inline struct capture_files *open_one(const char *path, const struct capture_files_options *options)
{
	struct capture_files *c;
	struct error e = {""};
	if (capture_files_open(&c, &path, 1, options, &e))
		fail_msg("%s", e.text);
	return c;
}

/* All frames of some files, which have to fit in the blocks, with copies of their data. */
struct reading {
	struct frame *frames;
	unsigned count, errors;
	int code; /* of the last error */
	struct error error;
	struct capture_files_counters counters;
};

static inline struct reading read_all(const struct file *files, unsigned count,
				      const struct capture_files_options *options)
{
	struct reading r = {0};
	const char *paths[16];
	assert_true(count <= array_size(paths));
	for (unsigned i = 0; i < count; i++)
		paths[i] = files[i].path;
	struct capture_files *c;
	if (capture_files_open(&c, paths, count, options ? options : &(struct capture_files_options){0}, &r.error))
		fail_msg("%s", r.error.text);
	for (;;) {
		r.frames = realloc(r.frames, (r.count + 64) * sizeof *r.frames);
		struct error e = {""};
		int n = capture_files_read(c, r.frames + r.count, 64, &e);
		if (!n)
			break;
		if (n < 0) {
			r.errors++;
			r.code = n;
			r.error = e;
			assert_true(r.errors < 100);
			continue;
		}
		for (int i = 0; i < n; i++) {
			struct frame *f = &r.frames[r.count++];
			uint8_t *copy = malloc(f->caplen + 1);
			memcpy(copy, f->data, f->caplen);
			f->data = copy;
		}
		capture_files_release(c, r.frames[r.count - 1].ordinal);
	}
	r.counters = *capture_files_counters(c);
	capture_files_close(c);
	return r;
}

static inline void reading_drop(struct reading *r)
{
	for (unsigned i = 0; i < r->count; i++)
		free((void *)(uintptr_t)r->frames[i].data);
	free(r->frames);
}

#endif
