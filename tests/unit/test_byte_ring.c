/* Copies of any length, in order: what is claimed stays as it was written until it is released, and nothing overlaps.
 */
#include "byte_ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SIZE 8192
#define ENTRIES 1024

struct entry {
	uint8_t *at, mark;
	uint32_t len;
};

static struct entry entries[ENTRIES]; /* as a queue: what is in the ring */
static unsigned first, count;

static uint32_t next_random(void)
{
	static uint64_t state = 1;
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(state >> 33);
}

static void check_oldest(void)
{
	const struct entry *e = &entries[first];
	for (uint32_t i = 0; i < e->len; i++)
		assert_int_equal(e->at[i], e->mark);
}

static bool overlaps(const uint8_t *at, uint32_t len)
{
	for (unsigned i = 0; i < count; i++) {
		const struct entry *e = &entries[(first + i) % ENTRIES];
		if (at < e->at + e->len && e->at < at + len)
			return true;
	}
	return false;
}

static void claim(struct byte_ring *r, uint32_t len)
{
	uint8_t *at = byte_ring_claim(r, len);
	if (!at) {
		assert_int_not_equal(count, 0); /* an empty ring takes all that is no longer than it */
		return;
	}
	assert_true(at >= r->base && at + len <= r->base + r->size);
	assert_int_equal((uintptr_t)at % BYTE_RING_HEAD, 0);
	assert_false(overlaps(at, len));
	assert_true(count < ENTRIES);
	uint8_t mark = (uint8_t)next_random();
	memset(at, mark, len);
	entries[(first + count++) % ENTRIES] = (struct entry){at, mark, len};
}

static void release(struct byte_ring *r)
{
	check_oldest();
	byte_ring_release(r);
	first = (first + 1) % ENTRIES;
	count--;
	assert_int_equal(byte_ring_empty(r), count == 0);
}

static void random_lengths(void **state)
{
	(void)state;
	struct byte_ring r = {0};
	assert_int_equal(byte_ring_init(&r, SIZE - 5), 0);
	assert_int_equal(r.size, SIZE);
	for (unsigned i = 0; i < 200000; i++) {
		unsigned kind = next_random() % 8;
		uint32_t longest = kind == 0 ? SIZE - BYTE_RING_HEAD : kind < 4 ? 1500 : 60;
		if (next_random() % 2)
			claim(&r, next_random() % (longest + 1));
		else if (count)
			release(&r);
	}
	while (count)
		release(&r);
	byte_ring_fini(&r);
}

static void full_and_too_long(void **state)
{
	(void)state;
	struct byte_ring r = {0};
	assert_int_equal(byte_ring_init(&r, SIZE), 0);
	assert_null(byte_ring_claim(&r, SIZE - BYTE_RING_HEAD + 1));
	assert_null(byte_ring_claim(&r, UINT32_MAX));
	/* 112 bytes and their head are 128: 64 of them fill it to the last byte. */
	unsigned n = 0;
	while (byte_ring_claim(&r, 112))
		n++;
	assert_int_equal(n, 64);
	assert_null(byte_ring_claim(&r, 0));
	byte_ring_release(&r);
	assert_non_null(byte_ring_claim(&r, 112));
	assert_null(byte_ring_claim(&r, 0));
	byte_ring_fini(&r);
}

/* A copy that turns out not to be wanted is undone by putting the ring's state back, also where it went around the end
 * or the ring was empty. */
static void undone(void **state)
{
	(void)state;
	struct byte_ring r = {0};
	assert_int_equal(byte_ring_init(&r, SIZE), 0);
	for (unsigned i = 0; i < 50000; i++) {
		if (next_random() % 3 == 0) {
			struct byte_ring before = r;
			if (byte_ring_claim(&r, next_random() % 3000))
				r = before;
		} else if (next_random() % 2) {
			claim(&r, next_random() % 2000);
		} else if (count) {
			release(&r);
		}
	}
	while (count)
		release(&r);
	byte_ring_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(random_lengths),
	    cmocka_unit_test(full_and_too_long),
	    cmocka_unit_test(undone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
