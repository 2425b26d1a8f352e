/* The way of encoded records from a worker to the export thread: every entry arrives once, whole and in order, however
 * it lies in the ring. Meant for ThreadSanitizer as well. */
#include "outbox.h"
#include "ring.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ENTRIES 20000

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

/* Mostly small, now and then as large as may be, so that the end of the ring is met at every offset. */
static uint32_t length_of(uint64_t *state)
{
	uint64_t r = next_random(state);
	return r % 500 == 0 ? OUTBOX_ENTRY_MAX - (uint32_t)(r % 64) : 1 + (uint32_t)(r % 700);
}

static void *produce(void *arg)
{
	struct outbox *o = arg;
	uint64_t state = 1;
	for (unsigned i = 0; i < ENTRIES; i++) {
		uint32_t len = length_of(&state);
		struct outbox_entry *entry = outbox_reserve(o, i % 3 ? OUTBOX_ENTRY_MAX : len);
		*entry = (struct outbox_entry){.order = i, .len = len, .shard = (uint8_t)i, .sink = 3, .kind = 1};
		memset(entry + 1, (int)(i & 0xff), len);
		outbox_commit(o, entry);
	}
	return NULL;
}

static void test_every_entry_arrives_once_and_in_order(void **context maybe_unused)
{
	struct outbox o;
	pthread_t producer;
	assert_int_equal(outbox_init(&o, OUTBOX_BYTES), 0);
	assert_null(outbox_peek(&o));
	assert_int_equal(pthread_create(&producer, NULL, produce, &o), 0);

	uint64_t state = 1;
	unsigned spins = 0;
	for (unsigned i = 0; i < ENTRIES;) {
		struct outbox_entry *entry = outbox_peek(&o);
		if (!entry) {
			ring_wait(&spins);
			continue;
		}
		spins = 0;
		uint32_t len = length_of(&state);
		const uint8_t *bytes = (const uint8_t *)(entry + 1);
		assert_int_equal(entry->order, i);
		assert_int_equal(entry->len, len);
		assert_int_equal(entry->shard, (uint8_t)i);
		assert_int_equal(bytes[0], i & 0xff);
		assert_int_equal(bytes[len - 1], i & 0xff);
		assert_ptr_equal(outbox_peek(&o), entry); /* a look takes nothing out */
		outbox_release(&o, entry);
		i++;
	}
	pthread_join(producer, NULL);
	assert_null(outbox_peek(&o));
	outbox_fini(&o);
}

/* The consumer's other way: several entries are looked at before any is given back, and a full ring refuses. */
static void test_taken_entries_stay_until_released(void **context maybe_unused)
{
	struct outbox o;
	assert_int_equal(outbox_init(&o, OUTBOX_BYTES), 0);
	for (unsigned round = 0; round < 50; round++) {
		unsigned put = 0, got = 0;
		struct outbox_entry *entry;
		while ((entry = outbox_try_reserve(&o, 100000 + round))) {
			*entry = (struct outbox_entry){.order = put++, .len = 100000 + round};
			memset(entry + 1, (int)put, entry->len);
			outbox_commit(&o, entry);
		}
		assert_in_range(put, 18, 20);
		const struct outbox_entry *first = outbox_next(&o);
		while ((entry = outbox_next(&o))) {
			assert_int_equal(entry->order, got++);
			assert_int_equal(((uint8_t *)(entry + 1))[entry->len - 1], got);
			outbox_take(&o, entry);
		}
		assert_int_equal(got, put);
		assert_int_equal(((const uint8_t *)(first + 1))[0], 1);
		assert_null(outbox_try_reserve(&o, 100000 + round)); /* nothing was given back yet */
		outbox_release_taken(&o);
	}
	outbox_fini(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_entry_arrives_once_and_in_order),
	    cmocka_unit_test(test_taken_entries_stay_until_released),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
