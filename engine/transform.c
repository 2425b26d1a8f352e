#define ZSTD_STATIC_LINKING_ONLY /* contexts in memory of our own */
#include "transform.h"

#include <errno.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <zlib.h>
#include <zstd.h>

enum {
	INFLATE_BYTES = 64 * 1024,         /* zlib's state and its window of 32 KiB */
	ZSTD_WINDOW_MAX = 8 * 1024 * 1024, /* frames of the highest ordinary level need no more */
};

struct transforms {
	uint8_t *out; /* DISSECT_TRANSFORM_MAX; touched as it is used */
	z_stream inflate;
	size_t inflate_used;
	_Alignas(16) uint8_t inflate_memory[INFLATE_BYTES];
	void *zstd_memory;
	size_t zstd_bytes;
	ZSTD_DStream *zstd;
	LZ4F_dctx *lz4;
};

/* Memory that is only given out; its users keep what they have. */
static void *inflate_alloc(void *opaque, unsigned count, unsigned size)
{
	struct transforms *t = opaque;
	size_t bytes = ((size_t)count * size + 15) & ~(size_t)15;
	if (bytes > INFLATE_BYTES - t->inflate_used)
		return NULL;
	t->inflate_used += bytes;
	return t->inflate_memory + t->inflate_used - bytes;
}

static void inflate_free(void *opaque maybe_unused, void *p maybe_unused)
{
}

static int new_inflate(struct transforms *t)
{
	t->inflate.zalloc = inflate_alloc;
	t->inflate.zfree = inflate_free;
	t->inflate.opaque = t;
	return inflateInit2(&t->inflate, 15) == Z_OK ? 0 : -ENOMEM;
}

static int new_zstd(struct transforms *t)
{
	t->zstd_bytes = ZSTD_estimateDStreamSize(ZSTD_WINDOW_MAX);
	t->zstd_memory =
	    mmap(NULL, t->zstd_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (t->zstd_memory == MAP_FAILED) {
		t->zstd_memory = NULL;
		return -ENOMEM;
	}
	t->zstd = ZSTD_initStaticDStream(t->zstd_memory, t->zstd_bytes);
	return t->zstd ? 0 : -ENOMEM;
}

/* The library takes its buffers when it reads a frame's header, and keeps them as long as they are large enough: it is
 * shown the header of the largest. */
static int new_lz4(struct transforms *t)
{
	LZ4F_cctx *c;
	uint8_t head[LZ4F_HEADER_SIZE_MAX + 4];
	LZ4F_preferences_t largest = {.frameInfo = {.blockSizeID = LZ4F_max4MB, .blockMode = LZ4F_blockLinked}};
	size_t out = 0;
	if (LZ4F_isError(LZ4F_createDecompressionContext(&t->lz4, LZ4F_VERSION)))
		return -ENOMEM;
	if (LZ4F_isError(LZ4F_createCompressionContext(&c, LZ4F_VERSION)))
		return -ENOMEM;
	size_t len = LZ4F_compressBegin(c, head, sizeof head, &largest);
	LZ4F_freeCompressionContext(c);
	if (LZ4F_isError(len))
		return -ENOMEM;
	memset(head + len, 0, 4);
	len += 3; /* within the size of the first block */
	if (LZ4F_isError(LZ4F_decompress(t->lz4, t->out, &out, head, &len, NULL)))
		return -ENOMEM;
	LZ4F_resetDecompressionContext(t->lz4);
	return 0;
}

int transforms_new(struct transforms **ret_t)
{
	struct transforms *t = calloc(1, sizeof *t);
	if (!t)
		return -ENOMEM;
	t->out = mmap(NULL, DISSECT_TRANSFORM_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		      -1, 0);
	if (t->out == MAP_FAILED)
		t->out = NULL;
	if (!t->out || new_inflate(t) < 0 || new_zstd(t) < 0 || new_lz4(t) < 0) {
		transforms_free(t);
		return -ENOMEM;
	}
	*ret_t = t;
	return 0;
}

struct transforms *transforms_free(struct transforms *t)
{
	if (!t)
		return NULL;
	if (t->out)
		munmap(t->out, DISSECT_TRANSFORM_MAX);
	if (t->zstd_memory)
		munmap(t->zstd_memory, t->zstd_bytes);
	LZ4F_freeDecompressionContext(t->lz4);
	free(t);
	return NULL;
}

/* What became of it: `done` at the block's end, else the bytes have ended, or the room has. */
static int verdict(bool done, size_t made, size_t room, bool head)
{
	if (done)
		return 0;
	return made < room || head ? 1 : -E2BIG;
}

static int run_inflate(struct transforms *t, bool gzip, const void *data, size_t len, size_t room, bool head,
		       size_t *ret_len)
{
	z_stream *z = &t->inflate;
	if (len > UINT32_MAX || inflateReset2(z, gzip ? 15 + 16 : 15) != Z_OK)
		return -EINVAL;
	z->next_in = (Bytef *)(uintptr_t)data;
	z->avail_in = (uInt)len;
	z->next_out = t->out;
	z->avail_out = (uInt)room;
	int r = inflate(z, Z_FINISH);
	*ret_len = room - z->avail_out;
	if (r != Z_STREAM_END && r != Z_BUF_ERROR && r != Z_OK)
		return -EINVAL;
	return verdict(r == Z_STREAM_END, *ret_len, room, head);
}

static int run_zstd(struct transforms *t, const void *data, size_t len, size_t room, bool head, size_t *ret_len)
{
	ZSTD_inBuffer in = {data, len, 0};
	ZSTD_outBuffer out = {t->out, room, 0};
	size_t r = 1;
	ZSTD_DCtx_reset(t->zstd, ZSTD_reset_session_only);
	while (r && in.pos < in.size && out.pos < out.size) {
		size_t in_before = in.pos, out_before = out.pos;
		r = ZSTD_decompressStream(t->zstd, &out, &in);
		if (ZSTD_isError(r))
			return -EINVAL;
		if (in.pos == in_before && out.pos == out_before)
			break;
	}
	*ret_len = out.pos;
	return verdict(!r, out.pos, room, head);
}

static int run_lz4(struct transforms *t, const void *data, size_t len, size_t room, bool head, size_t *ret_len)
{
	size_t in = 0, out = 0, r = 1;
	LZ4F_resetDecompressionContext(t->lz4);
	while (r && in < len && out < room) {
		size_t used = len - in, made = room - out;
		r = LZ4F_decompress(t->lz4, t->out + out, &made, (const uint8_t *)data + in, &used, NULL);
		if (LZ4F_isError(r))
			return -EINVAL;
		if (!used && !made)
			break;
		in += used;
		out += made;
	}
	*ret_len = out;
	return verdict(!r, out, room, head);
}

static int run_snappy(struct transforms *t, const void *data, size_t len, size_t *ret_len)
{
	if (snappy_uncompressed_length(data, len, ret_len) != SNAPPY_OK)
		return -EINVAL;
	if (*ret_len > DISSECT_TRANSFORM_MAX)
		return -E2BIG;
	return snappy_uncompress(data, len, (char *)t->out, ret_len) == SNAPPY_OK ? 0 : -EINVAL;
}

int transforms_run(struct transforms *t, unsigned kind, const void *data, size_t len, const uint8_t **ret_data,
		   size_t *ret_len)
{
	bool head = kind & TRANSFORM_HEAD;
	size_t room = head ? DISSECT_TRANSFORM_HEAD_MAX : DISSECT_TRANSFORM_MAX, made = 0;
	int r = -ENOTSUP;
	switch (kind & ~(unsigned)TRANSFORM_HEAD) {
	case TRANSFORM_ZLIB:
	case TRANSFORM_GZIP:
		r = run_inflate(t, (kind & ~(unsigned)TRANSFORM_HEAD) == TRANSFORM_GZIP, data, len, room, head, &made);
		break;
	case TRANSFORM_ZSTD:
		r = run_zstd(t, data, len, room, head, &made);
		break;
	case TRANSFORM_LZ4_FRAME:
		r = run_lz4(t, data, len, room, head, &made);
		break;
	case TRANSFORM_SNAPPY: /* a block has no beginning that could be had alone */
		r = run_snappy(t, data, len, &made);
		break;
	default:
		break;
	}
	if (r >= 0) {
		*ret_data = t->out;
		*ret_len = made;
	}
	return r;
}
