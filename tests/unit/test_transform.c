/* test_transform.c - decompression for dissectors: whole, cut off everywhere, damaged, and larger than the bound. */
#include "transform.h"

#include <errno.h>
#include <lz4frame.h>
#include <setjmp.h>
#include <snappy-c.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

enum { KINDS = TRANSFORM_LZ4_FRAME + 1 };

static struct transforms *transforms;

static int setup(void **state)
{
	(void)state;
	return transforms_new(&transforms);
}

static int teardown(void **state)
{
	(void)state;
	transforms = transforms_free(transforms);
	return 0;
}

static size_t pack(unsigned kind, const uint8_t *in, size_t len, uint8_t *out, size_t room)
{
	z_stream z = {
	    .next_in = (Bytef *)(uintptr_t)in, .avail_in = (uInt)len, .next_out = out, .avail_out = (uInt)room};
	LZ4F_preferences_t large = {.frameInfo = {.blockSizeID = LZ4F_max4MB}};
	switch (kind) {
	case TRANSFORM_ZLIB:
	case TRANSFORM_GZIP:
		assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, kind == TRANSFORM_GZIP ? 31 : 15, 8, 0), Z_OK);
		assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
		deflateEnd(&z);
		return z.total_out;
	case TRANSFORM_ZSTD:
		return ZSTD_compress(out, room, in, len, 3);
	case TRANSFORM_SNAPPY:
		assert_int_equal(snappy_compress((const char *)in, len, (char *)out, &room), SNAPPY_OK);
		return room;
	default:
		room = LZ4F_compressFrame(out, room, in, len, len > 1 << 20 ? &large : NULL);
		assert_false(LZ4F_isError(room));
		return room;
	}
}

/* Text that compresses, but not to nothing. */
static uint8_t *text_new(size_t len)
{
	uint8_t *p = malloc(len + 1);
	uint32_t random = 1;
	for (size_t i = 0; i < len; i++) {
		random = random * 1103515245 + 12345;
		p[i] = (uint8_t)("etaoin shrdlu "[random >> 16 & 7] + (i % 97 == 0));
	}
	return p;
}

static void whole(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 100, 5000, 100000, 3000000};
	for (unsigned kind = 0; kind < KINDS; kind++) {
		for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			size_t room = sizes[i] + sizes[i] / 4 + 4096, len;
			uint8_t *in = text_new(sizes[i]), *packed = malloc(room);
			const uint8_t *out;
			size_t n = pack(kind, in, sizes[i], packed, room);
			assert_int_equal(transforms_run(transforms, kind, packed, n, &out, &len), 0);
			assert_int_equal(len, sizes[i]);
			assert_memory_equal(in, out, len);
			free(in);
			free(packed);
		}
	}
}

/* At an unreadable page. What comes out is the beginning of what was put in. */
static void cut_off(void **state)
{
	(void)state;
	enum { SIZE = 700, ROOM = 4096 };
	uint8_t *page = mmap(NULL, 2 * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(page != MAP_FAILED);
	assert_int_equal(mprotect(page + ROOM, ROOM, PROT_NONE), 0);
	uint8_t *in = text_new(SIZE), packed[ROOM];
	for (unsigned kind = 0; kind < KINDS; kind++) {
		size_t n = pack(kind, in, SIZE, packed, sizeof packed);
		for (size_t cut = 0; cut < n; cut++) {
			const uint8_t *out;
			size_t len;
			memcpy(page + ROOM - cut, packed, cut);
			int r = transforms_run(transforms, kind, page + ROOM - cut, cut, &out, &len);
			assert_int_equal(r, kind == TRANSFORM_SNAPPY ? -EINVAL : 1);
			if (r == 1) {
				assert_true(len <= SIZE);
				assert_memory_equal(in, out, len);
			}
		}
	}
	free(in);
	munmap(page, 2 * ROOM);
}

/* Nothing but a documented answer, and the next one is right again. */
static void damaged(void **state)
{
	(void)state;
	enum { SIZE = 3000, ROOM = 8192 };
	uint8_t *in = text_new(SIZE), packed[ROOM], bad[ROOM];
	uint32_t random = 7;
	for (unsigned kind = 0; kind < KINDS; kind++) {
		size_t n = pack(kind, in, SIZE, packed, sizeof packed), len;
		unsigned refused = 0;
		const uint8_t *out;
		for (unsigned turn = 0; turn < 2000; turn++) {
			memcpy(bad, packed, n);
			for (unsigned k = 0; k < 3; k++) {
				random = random * 1103515245 + 12345;
				bad[(random >> 8) % n] ^= (uint8_t)(1u << (random >> 5 & 7));
			}
			int r = transforms_run(transforms, kind, bad, n, &out, &len);
			assert_true(r == 0 || r == 1 || r == -EINVAL || r == -E2BIG);
			refused += r < 0;
		}
		assert_true(refused > 100);
		assert_int_equal(transforms_run(transforms, kind, packed, n, &out, &len), 0);
		assert_int_equal(len, SIZE);
		assert_memory_equal(in, out, SIZE);
	}
	free(in);
}

static void too_large(void **state)
{
	(void)state;
	size_t size = DISSECT_TRANSFORM_MAX + 1, len;
	size_t room = size + size / 4;
	uint8_t *in = calloc(1, size), *packed = malloc(room);
	const uint8_t *out;
	for (unsigned kind = 0; kind < KINDS; kind++) {
		size_t n = pack(kind, in, size, packed, room);
		assert_int_equal(transforms_run(transforms, kind, packed, n, &out, &len), -E2BIG);
		if (kind == TRANSFORM_SNAPPY)
			continue;
		assert_int_equal(transforms_run(transforms, kind | TRANSFORM_HEAD, packed, n, &out, &len), 1);
		assert_int_equal(len, DISSECT_TRANSFORM_HEAD_MAX);
		n = pack(kind, in, size - 1, packed, room);
		assert_int_equal(transforms_run(transforms, kind, packed, n, &out, &len), 0);
		assert_int_equal(len, size - 1);
	}
	assert_int_equal(transforms_run(transforms, KINDS, "", 0, &out, &len), -ENOTSUP);
	free(in);
	free(packed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whole),
	    cmocka_unit_test(cut_off),
	    cmocka_unit_test(damaged),
	    cmocka_unit_test(too_large),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
