#include "ring.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct slot {
	uint64_t number;
	uint32_t length;
	uint8_t body[52];
};

static void test_refuses_what_cannot_be(void **state maybe_unused)
{
	static const struct {
		size_t size;
		uint32_t count;
	} bad[] = {{0, 4}, {8, 0}, {8, 1}, {8, 3}, {8, 1000}};
	struct ring r;
	for (size_t i = 0; i < array_size(bad); i++)
		assert_int_equal(ring_init(&r, bad[i].size, bad[i].count), -EINVAL);
}

static void test_full_and_empty(void **state maybe_unused)
{
	struct ring r;
	assert_int_equal(ring_init(&r, 100, 4), 0);
	for (unsigned round = 0; round < 20; round++) {
		assert_null(ring_peek(&r));
		assert_null(ring_peek_at(&r, 0));
		for (uint64_t i = 0; i < 4; i++) {
			uint64_t *slot = ring_claim(&r);
			assert_non_null(slot);
			assert_ptr_equal(slot, ring_claim(&r)); /* until it is published it is the same one */
			*slot = round * 10 + i;
			assert_null(ring_peek_at(&r, (uint32_t)i));
			ring_publish(&r);
		}
		assert_null(ring_claim(&r));
		for (uint32_t i = 0; i < 4; i++)
			assert_int_equal(*(uint64_t *)ring_peek_at(&r, i), round * 10 + i);
		assert_null(ring_peek_at(&r, 4));
		assert_int_equal(*(uint64_t *)ring_peek(&r), round * 10);
		ring_release(&r, 1);
		assert_int_equal(*(uint64_t *)ring_peek(&r), round * 10 + 1);
		assert_non_null(ring_claim(&r));
		ring_release(&r, 3);
	}
	ring_fini(&r);
	assert_null(r.slots);
}

struct run {
	struct ring ring;
	uint64_t total;
};

static void fill(struct slot *s, uint64_t number)
{
	s->number = number;
	s->length = (uint32_t)(number * 2654435761u % sizeof s->body);
	memset(s->body, (int)(number & 0xff), s->length);
}

static void *produce(void *arg)
{
	struct run *run = arg;
	unsigned spins = 0;
	for (uint64_t n = 0; n < run->total;) {
		struct slot *s = ring_claim(&run->ring);
		if (!s) {
			ring_wait(&spins);
			continue;
		}
		spins = 0;
		fill(s, n++);
		ring_publish(&run->ring);
	}
	return NULL;
}

/* What is read is what was written, once, in order; slots released singly or many at a time. */
static void run_threads(uint32_t slots, uint64_t total, bool bursts)
{
	struct run run = {.total = total};
	struct slot expected;
	assert_int_equal(ring_init(&run.ring, sizeof(struct slot), slots), 0);
	pthread_t producer;
	assert_int_equal(pthread_create(&producer, NULL, produce, &run), 0);
	unsigned spins = 0;
	uint64_t bad = 0;
	for (uint64_t n = 0; n < total;) {
		uint32_t burst = 0;
		const struct slot *s;
		while (burst < (bursts ? 32 : 1) &&
		       (s = burst ? ring_peek_at(&run.ring, burst) : ring_peek(&run.ring))) {
			fill(&expected, n + burst);
			bad += s->number != expected.number || s->length != expected.length ||
			       memcmp(s->body, expected.body, expected.length) != 0;
			burst++;
		}
		if (!burst) {
			ring_wait(&spins);
			continue;
		}
		spins = 0;
		ring_release(&run.ring, burst);
		n += burst;
	}
	pthread_join(producer, NULL);
	assert_int_equal(bad, 0);
	assert_null(ring_peek(&run.ring));
	ring_fini(&run.ring);
}

static void test_threads_two_slots(void **state maybe_unused)
{
	run_threads(2, 50000, false);
	run_threads(2, 50000, true);
}

static void test_threads_large(void **state maybe_unused)
{
	run_threads(4096, 500000, false);
	run_threads(4096, 500000, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_refuses_what_cannot_be),
	    cmocka_unit_test(test_full_and_empty),
	    cmocka_unit_test(test_threads_two_slots),
	    cmocka_unit_test(test_threads_large),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
