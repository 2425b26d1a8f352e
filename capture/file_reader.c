#include "file_reader.h"

#include <errno.h>
#include <stdlib.h>

/* A pipe gives little at a time: it is read to the end of the block as long as this much is free. */
#define READ_MIN 4096
#define CACHE_LINE 64

static const char *offset_unit(const struct reader *r)
{
	return r->input.inflater ? " of the uncompressed data" : "";
}

/* Makes room behind r->end so that the `need` bytes from r->at fit, in a fresh block if it has to be. */
static int make_room(struct reader *r, size_t need, struct error *e)
{
	struct block_pool *pool = &r->set->blocks;
	struct block *old = r->block, *b = old;
	size_t left = (size_t)(r->end - r->at);
	size_t room = (size_t)(old->data + old->size - r->end);
	if (room >= READ_MIN)
		return 0;
	if (!block_is_released(pool, old) || old->size < need + CACHE_LINE) {
		int x = block_get(pool, need + CACHE_LINE, &b);
		if (x == -ENOBUFS)
			return error_set(e, x, "%s: all blocks hold frames that are still in use", r->input.name);
		if (x)
			return error_set(e, x, "%s: no memory for the %s of %zu bytes at byte %llu%s", r->input.name,
					 r->needed, need, reader_offset(r, r->at), offset_unit(r));
		b->last_ordinal = 0;
	}
	/* What is read next begins on a cache line. */
	uint8_t *to = b->data + ((CACHE_LINE - left % CACHE_LINE) % CACHE_LINE);
	memmove(to, r->at, left);
	r->at = to;
	r->end = to + left;
	r->block = b;
	if (b != old)
		block_retire(pool, old);
	return 0;
}

/* 1: more bytes; 0: the file ends, with a whole record; or -errno. */
static int refill(struct reader *r, struct error *e)
{
	int x = make_room(r, r->need, e);
	if (x)
		return x;
	uint8_t *to = r->block->data + (r->end - r->block->data);
	ssize_t n = input_read(&r->input, to, (size_t)(r->block->data + r->block->size - to), e);
	if (n < 0)
		return (int)n;
	if (!n) {
		size_t left = (size_t)(r->end - r->at);
		if (r->skip)
			return error_set(
			    e, -EBADMSG, "%s: cut off at byte %llu%s: the last %llu bytes of a block are missing",
			    r->input.name, reader_offset(r, r->end), offset_unit(r), (unsigned long long)r->skip);
		if (left)
			return error_set(e, -EBADMSG,
					 "%s: cut off at byte %llu%s: the %s that begins at byte %llu has only %zu "
					 "of its %zu bytes",
					 r->input.name, reader_offset(r, r->end), offset_unit(r), r->needed,
					 reader_offset(r, r->at), left, r->need);
		return 0;
	}
	r->end += n;
	r->end_offset += (uint64_t)n;
	uint64_t skipped = min_of(r->skip, (uint64_t)n);
	r->skip -= skipped;
	r->at += skipped;
	return 1;
}

/* What a file is that is no capture file that we read, as far as its first bytes tell, and what to do about it. */
static int refuse(const struct reader *r, struct error *e)
{
	static const struct {
		const char *magic;
		uint8_t len;
		const char *advice;
	} known[] = {
	    {"\x28\xb5\x2f\xfd", 4, "is compressed with zstd: decompress it first (zstd -dc FILE | … -)"},
	    {"\xfd\x37\x7a\x58", 4, "is compressed with xz: decompress it first (xz -dc FILE | … -)"},
	    {"BZh", 3, "is compressed with bzip2: decompress it first (bzip2 -dc FILE | … -)"},
	    {"\x04\x22\x4d\x18", 4, "is compressed with lz4: decompress it first (lz4 -dc FILE | … -)"},
	    {"snoo", 4, "is a snoop capture: convert it first (editcap -F pcap FILE NEW)"},
	    {"GMBU", 4, "is a Network Monitor capture: convert it first (editcap -F pcap FILE NEW)"},
	    {"\x1f\x8b", 2, "is gzip data within gzip data: decompress it once"},
	};
	for (size_t i = 0; i < array_size(known); i++)
		if (!memcmp(r->at, known[i].magic, known[i].len))
			return error_set(e, -EPROTO, "%s: %s", r->input.name, known[i].advice);
	return error_set(e, -EPROTO,
			 "%s: is not a capture file: it begins with bytes %02x %02x %02x %02x, neither pcap nor "
			 "pcapng nor gzip",
			 r->input.name, r->at[0], r->at[1], r->at[2], r->at[3]);
}

static int start(struct reader *r, struct error *e)
{
	int x = reader_start_pcap(r, e);
	if (x == -EPROTO)
		x = reader_start_pcapng(r, e);
	return x == -EPROTO ? refuse(r, e) : x;
}

/* The first bytes: at least `need`, unless the file is shorter. Small, since the gzip reader may have to take them
 * over. */
static int read_first(struct reader *r, size_t need, struct error *e)
{
	uint8_t *to = r->block->data;
	ssize_t n = 0;
	for (size_t len = 0; len < need; len += (size_t)n) {
		n = input_read(&r->input, to + len, READ_MIN - len, e);
		if (n < 0)
			return (int)n;
		if (!n)
			break;
		r->end += n;
		r->end_offset += (uint64_t)n;
	}
	return 0;
}

static int open_format(struct reader *r, struct error *e)
{
	const size_t magic_size = 4;
	int x = read_first(r, magic_size, e);
	if (x)
		return x;
	if (r->end - r->at >= 2 && r->at[0] == 0x1f && r->at[1] == 0x8b) {
		x = input_inflate(&r->input, r->at, (size_t)(r->end - r->at), e);
		r->end = r->at;
		r->end_offset = 0;
		if (!x)
			x = read_first(r, magic_size, e);
		if (x)
			return x;
	}
	if (r->end == r->at)
		return error_set(e, -EPROTO, "%s: is not a capture file: it is empty", r->input.name);
	if ((size_t)(r->end - r->at) < magic_size)
		return error_set(e, -EPROTO, "%s: is not a capture file: it has only %d bytes", r->input.name,
				 (int)(r->end - r->at));
	while (!(x = start(r, e)))
		if ((x = refill(r, e)) <= 0)
			return x;
	if (x < 0)
		return x;
	/* The interfaces that come before the first packet: their filters have to compile, their taps come in the order
	 * of the command line. */
	for (;;) {
		r->need = 0;
		x = r->parse(r, NULL, 0, e);
		if (x || !r->need)
			return x;
		if ((x = refill(r, e)) <= 0)
			return x;
	}
}

int reader_open(struct reader *r, struct reader_set *set, unsigned index, const char *path, struct error *e)
{
	*r = (struct reader){.set = set, .index = index, .needed = "file header"};
	int x = input_open(&r->input, &set->inputs, path, e);
	if (x)
		return x;
	x = block_get(&set->blocks, 0, &r->block);
	if (x) {
		input_close(&r->input);
		return error_set(e, -ENOMEM, "%s: no memory to read it", r->input.name);
	}
	r->block->last_ordinal = 0;
	r->at = r->end = r->block->data;
	x = open_format(r, e);
	if (x)
		reader_close(r);
	return x;
}

int reader_read(struct reader *r, struct frame *ret_frames, unsigned max, struct error *e)
{
	if (r->done)
		return 0;
	for (;;) {
		int n = r->parse(r, ret_frames, max, e);
		if (n > 0)
			return n;
		if (!n)
			n = refill(r, e);
		if (n > 0)
			continue;
		if (n != -ENOBUFS && n != -EAGAIN)
			reader_close(r);
		return n;
	}
}

void reader_close(struct reader *r)
{
	if (r->done)
		return;
	r->done = true;
	input_close(&r->input);
	if (r->block)
		block_retire(&r->set->blocks, r->block);
	r->block = NULL;
	r->at = r->end = NULL;
	free(r->interfaces);
	r->interfaces = NULL;
	r->interface_room = r->interface_count = 0;
}
