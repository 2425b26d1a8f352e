/* The wheel against a model that keeps a plain list and sorts it: the same objects must fire in the same order. */
#include "wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define OBJECTS 400

struct object {
	uint64_t other;
	struct wheel_node node;
};

struct timer {
	bool armed;
	int64_t due; /* never before the tick at which it was armed */
	uint64_t order;
};

struct bench {
	struct pool pool;
	struct wheel *wheel;
	int64_t now;
	struct timer timer[OBJECTS];
	uint64_t orders;
	uint64_t random;
	uint32_t expected[OBJECTS]; /* of the advance that goes on */
	unsigned expected_count, fired;
	unsigned chance; /* one call of fire in so many arms and cancels others; 0: none */
	uint64_t fired_in_all;
};

static uint64_t next_random(struct bench *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return b->random;
}

static void bench_open(struct bench *b, int64_t now, uint64_t seed)
{
	struct quota quota = {.limit = OBJECTS};
	*b = (struct bench){.now = now, .random = seed};
	assert_int_equal(pool_init(&b->pool, sizeof(struct object), 0, OBJECTS), 0);
	for (uint32_t i = 0; i < OBJECTS; i++) {
		assert_int_equal(pool_take(&b->pool, &quota), i);
		wheel_init_node(&((struct object *)pool_at(&b->pool, i))->node);
	}
	b->wheel = wheel_new(&b->pool, offsetof(struct object, node), now);
	assert_non_null(b->wheel);
}

static void bench_close(struct bench *b)
{
	assert_null(wheel_free(b->wheel));
	pool_fini(&b->pool);
}

static void arm(struct bench *b, uint32_t i, int64_t deadline)
{
	wheel_arm(b->wheel, i, deadline);
	b->timer[i] = (struct timer){true, max_of(deadline, b->now), ++b->orders};
}

static void cancel(struct bench *b, uint32_t i)
{
	wheel_cancel(b->wheel, i);
	b->timer[i].armed = false;
}

static bool earlier(const struct timer *a, const struct timer *b)
{
	return a->due < b->due || (a->due == b->due && a->order < b->order);
}

/* Timers due by `now`, in order. */
static void expect(struct bench *b, int64_t now)
{
	b->expected_count = b->fired = 0;
	for (uint32_t i = 0; i < OBJECTS; i++) {
		if (!b->timer[i].armed || b->timer[i].due > now)
			continue;
		unsigned at = b->expected_count++;
		for (; at && earlier(&b->timer[i], &b->timer[b->expected[at - 1]]); at--)
			b->expected[at] = b->expected[at - 1];
		b->expected[at] = i;
	}
}

static int64_t random_deadline(struct bench *b)
{
	static const int64_t reach[] = {1, 3, 50, 256, 300, 3000, 16384, 40000, 5000000};
	int64_t span = reach[next_random(b) % array_size(reach)];
	int64_t distance = (int64_t)(next_random(b) % (uint64_t)(span * 2)) - span / 4;
	return b->now + distance;
}

static void fire(void *ctx, uint32_t i)
{
	struct bench *b = ctx;
	assert_true(b->fired < b->expected_count);
	assert_int_equal(i, b->expected[b->fired]);
	b->fired++;
	b->fired_in_all++;
	b->timer[i].armed = false;
	if (!b->chance || next_random(b) % b->chance)
		return;
	arm(b, i, random_deadline(b));
	/* one that was about to fire in this very advance may be taken back, or put off */
	uint32_t other = (uint32_t)(next_random(b) % OBJECTS);
	for (unsigned at = b->fired; at < b->expected_count; at++) {
		if (b->expected[at] == other) {
			memmove(b->expected + at, b->expected + at + 1,
				(b->expected_count - at - 1) * sizeof *b->expected);
			b->expected_count--;
			break;
		}
	}
	if (next_random(b) & 1)
		cancel(b, other);
	else
		arm(b, other, random_deadline(b));
}

static void advance(struct bench *b, int64_t now)
{
	bool back = now < b->now;
	if (!back)
		b->now = now;
	expect(b, back ? INT64_MIN : now);
	wheel_advance(b->wheel, now, fire, b);
	assert_int_equal(b->fired, b->expected_count);
}

static void check_next(struct bench *b)
{
	int64_t earliest = WHEEL_NEVER;
	for (uint32_t i = 0; i < OBJECTS; i++)
		if (b->timer[i].armed)
			earliest = min_of(earliest, b->timer[i].due);
	int64_t next = wheel_next(b->wheel);
	uint32_t first = wheel_first(b->wheel);
	if (earliest == WHEEL_NEVER) {
		assert_true(next == WHEEL_NEVER);
		assert_int_equal(first, POOL_NONE);
		return;
	}
	assert_true(next <= earliest && next >= b->now);
	assert_true(first < OBJECTS && b->timer[first].armed);
	/* within the present block the answer is exact */
	if (earliest >> 8 == b->now >> 8) {
		assert_true(next == earliest);
		assert_true(b->timer[first].due == earliest);
	}
}

static void run_random(int64_t start, uint64_t seed, unsigned chance)
{
	struct bench b;
	bench_open(&b, start, seed);
	b.chance = chance;
	for (unsigned step = 0; step < 20000; step++) {
		uint64_t r = next_random(&b);
		uint32_t i = (uint32_t)(r >> 32) % OBJECTS;
		switch (r % 16) {
		default:
			arm(&b, i, random_deadline(&b));
			break;
		case 8:
			cancel(&b, i);
			break;
		case 9: /* many for one tick, so that order within it shows */
			for (unsigned n = 0; n < 8; n++)
				arm(&b, (i + n * 7) % OBJECTS, b.now + 700);
			break;
		case 10:
			advance(&b, b.now);
			break;
		case 11:
			advance(&b, b.now - (int64_t)(r >> 40) % 100000);
			break;
		case 12:
		case 13:
			advance(&b, b.now + (int64_t)(r >> 40) % 40);
			break;
		case 14:
			advance(&b, b.now + (int64_t)(r >> 40) % 2000);
			break;
		case 15:
			if (r >> 40 & 1)
				advance(&b, b.now + (int64_t)(r >> 41) % 70000);
			else if ((r >> 41) % 50 == 0) /* by decades */
				advance(&b, b.now + INT64_C(3650) * 86400 * 10 * (int64_t)(1 + (r >> 50) % 3));
			break;
		}
		check_next(&b);
	}
	advance(&b, b.now + (INT64_C(1) << 40));
	check_next(&b);
	assert_true(b.fired_in_all > 1000);
	bench_close(&b);
}

static void test_random(void **state maybe_unused)
{
	for (uint64_t seed = 1; seed <= 8; seed++)
		run_random((int64_t)seed * 123457, seed * 0x9e3779b97f4a7c15u, 0);
}

static void test_random_with_calls_back(void **state maybe_unused)
{
	for (uint64_t seed = 1; seed <= 8; seed++)
		run_random(INT64_C(16800000000) + (int64_t)seed, seed * 0x9e3779b97f4a7c15u, 3);
}

/* Captures may say that they are from before 1970, or from year 1 of a clock that was never set. */
static void test_random_before_the_epoch(void **state maybe_unused)
{
	for (uint64_t seed = 1; seed <= 4; seed++)
		run_random(-1000 - (int64_t)seed * 50000, seed * 0x9e3779b97f4a7c15u, 4);
}

/* The same tick armed from afar, from one level nearer, and from within the block: in the order of arming. */
static void test_order_survives_cascades(void **state maybe_unused)
{
	struct bench b;
	bench_open(&b, 0, 1);
	const int64_t tick = 3 * 16384 + 77 * 256 % 16384 + 5;
	uint32_t next = 0;
	static const int64_t stops[] = {0, 16384, 2 * 16384 + 9, 3 * 16384, 3 * 16384 + 12 * 256};
	for (unsigned s = 0; s < array_size(stops); s++) {
		advance(&b, stops[s]);
		for (unsigned n = 0; n < 3; n++)
			arm(&b, next++, tick);
	}
	advance(&b, tick - 1);
	arm(&b, next++, tick);
	advance(&b, tick);
	assert_int_equal(b.fired, next);
	bench_close(&b);
}

/* Far timers that a jump passes all at once fire by deadline, equal ones in the order of arming. */
static void test_jump_sorts_far_timers(void **state maybe_unused)
{
	struct bench b;
	bench_open(&b, 1000, 1);
	for (uint32_t i = 0; i < OBJECTS; i++)
		arm(&b, i, 1000000 + (int64_t)(i * 37 % 50) * 20000);
	advance(&b, INT64_C(3153600000));
	assert_int_equal(b.fired, OBJECTS);
	assert_true(wheel_next(b.wheel) == WHEEL_NEVER);
	bench_close(&b);
}

static void test_limits_of_time(void **state maybe_unused)
{
	struct bench b;
	bench_open(&b, 5, 1);
	arm(&b, 0, WHEEL_FAR);
	arm(&b, 1, INT64_MIN);
	arm(&b, 2, INT64_C(1) << 52);
	wheel_arm(b.wheel, 3, INT64_MAX); /* as far as can be */
	b.timer[3] = (struct timer){true, WHEEL_FAR, ++b.orders};
	assert_true(wheel_next(b.wheel) == 5);
	assert_int_equal(wheel_first(b.wheel), 1);
	advance(&b, 5);
	assert_int_equal(b.fired, 1);
	check_next(&b);
	advance(&b, WHEEL_FAR - 1);
	assert_int_equal(b.fired, 1);
	check_next(&b);
	advance(&b, WHEEL_FAR);
	assert_int_equal(b.fired, 2);
	bench_close(&b);
}

static void count(void *ctx, uint32_t index maybe_unused)
{
	++*(unsigned *)ctx;
}

static void test_past_fires_once_in_the_next_advance(void **state maybe_unused)
{
	struct bench b;
	bench_open(&b, 100, 1);
	unsigned fired = 0;
	wheel_arm(b.wheel, 7, 20);
	wheel_arm(b.wheel, 8, 100);
	wheel_arm(b.wheel, 9, 101);
	wheel_advance(b.wheel, 99, count, &fired);
	assert_int_equal(fired, 0);
	wheel_advance(b.wheel, 100, count, &fired);
	assert_int_equal(fired, 2);
	wheel_advance(b.wheel, 100, count, &fired);
	assert_int_equal(fired, 2);
	wheel_cancel(b.wheel, 9);
	wheel_cancel(b.wheel, 9);
	wheel_advance(b.wheel, 200, count, &fired);
	assert_int_equal(fired, 2);
	bench_close(&b);
}

static void note_fired(void *ctx, uint32_t index)
{
	struct bench *b = ctx;
	b->expected[b->expected_count++] = index;
}

/* A jump of decades, then back: what was armed before and after fires at its time, in order of deadlines. */
static void test_rewind(void **state maybe_unused)
{
	struct bench b;
	bench_open(&b, 1000, 7);
	wheel_arm(b.wheel, 0, 1000 + 40);
	wheel_advance(b.wheel, 1000 + (INT64_C(1) << 40), note_fired, &b);
	assert_int_equal(b.expected_count, 1);
	wheel_arm(b.wheel, 1, 1000 + (INT64_C(1) << 40) + 5);
	wheel_arm(b.wheel, 2, 1010); /* long past: would fire at once */
	wheel_rewind(b.wheel, 1005);
	assert_int_equal(b.expected_count, 1);
	wheel_arm(b.wheel, 3, 1300);
	wheel_arm(b.wheel, 4, 1009);
	assert_true(wheel_next(b.wheel) <= 1009);
	wheel_advance(b.wheel, 1008, note_fired, &b);
	assert_int_equal(b.expected_count, 1);
	wheel_advance(b.wheel, 1010, note_fired, &b);
	assert_int_equal(b.expected_count, 3);
	assert_int_equal(b.expected[1], 4);
	assert_int_equal(b.expected[2], 2);
	wheel_advance(b.wheel, 1299, note_fired, &b);
	assert_int_equal(b.expected_count, 3);
	wheel_advance(b.wheel, 1300, note_fired, &b);
	assert_int_equal(b.expected[3], 3);
	wheel_rewind(b.wheel, 2000); /* not a step back: nothing happens */
	wheel_advance(b.wheel, 1000 + (INT64_C(1) << 40) + 5, note_fired, &b);
	assert_int_equal(b.expected_count, 5);
	assert_int_equal(b.expected[4], 1);
	assert_int_equal(wheel_next(b.wheel), WHEEL_NEVER);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_random),
	    cmocka_unit_test(test_random_with_calls_back),
	    cmocka_unit_test(test_random_before_the_epoch),
	    cmocka_unit_test(test_order_survives_cascades),
	    cmocka_unit_test(test_jump_sorts_far_timers),
	    cmocka_unit_test(test_limits_of_time),
	    cmocka_unit_test(test_past_fires_once_in_the_next_advance),
	    cmocka_unit_test(test_rewind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
