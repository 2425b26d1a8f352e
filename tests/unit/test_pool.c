#include "pool.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct object {
	uint64_t mark;
	uint32_t link;
	uint32_t tail;
};

#define CAPACITY 1000

static void test_refuses_what_cannot_be(void **state maybe_unused)
{
	struct pool p;
	static const struct {
		size_t size, link;
		uint32_t capacity;
	} bad[] = {
	    {0, 0, 10}, {6, 0, 10}, {16, 2, 10}, {16, 16, 10}, {16, 14, 10}, {16, 0, POOL_NONE},
	};
	for (size_t i = 0; i < array_size(bad); i++)
		assert_int_equal(pool_init(&p, bad[i].size, bad[i].link, bad[i].capacity), -EINVAL);
}

static void test_capacity_and_zero_bytes(void **state maybe_unused)
{
	struct pool p;
	struct quota q = {.limit = UINT32_MAX};
	assert_int_equal(pool_init(&p, sizeof(struct object), offsetof(struct object, link), CAPACITY), 0);
	for (uint32_t i = 0; i < CAPACITY; i++) {
		uint32_t index = pool_take(&p, &q);
		assert_int_equal(index, i);
		const struct object *o = pool_at(&p, index);
		assert_true(o->mark == 0 && o->link == 0 && o->tail == 0);
		assert_int_equal(pool_index(&p, o), index);
	}
	assert_int_equal(q.refused, 0);
	assert_int_equal(pool_take(&p, &q), POOL_NONE);
	assert_int_equal(q.refused, 1);
	assert_int_equal(q.used, CAPACITY);
	assert_int_equal(p.used, CAPACITY);
	assert_int_equal(p.high, CAPACITY);
	pool_fini(&p);
	assert_null(p.base);
}

static void test_empty_pool(void **state maybe_unused)
{
	struct pool p;
	struct quota q = {.limit = 5};
	assert_int_equal(pool_init(&p, 16, 0, 0), 0);
	assert_int_equal(pool_take(&p, &q), POOL_NONE);
	assert_int_equal(q.refused, 1);
	pool_fini(&p);
}

/* A quota bites by itself, whatever else is free, and counts each time that it does. */
static void test_quotas_are_apart(void **state maybe_unused)
{
	struct pool p;
	struct quota a = {.limit = 3}, b = {.limit = 5}, none = {.limit = 0};
	assert_int_equal(pool_init(&p, sizeof(struct object), offsetof(struct object, link), CAPACITY), 0);
	uint32_t taken[3];
	for (unsigned i = 0; i < 3; i++)
		assert_int_not_equal(taken[i] = pool_take(&p, &a), POOL_NONE);
	assert_int_equal(pool_take(&p, &a), POOL_NONE);
	assert_int_equal(pool_take(&p, &a), POOL_NONE);
	assert_int_equal(pool_take(&p, &none), POOL_NONE);
	assert_int_equal(a.refused, 2);
	assert_int_equal(none.refused, 1);
	for (unsigned i = 0; i < 5; i++)
		assert_int_not_equal(pool_take(&p, &b), POOL_NONE);
	assert_int_equal(pool_take(&p, &b), POOL_NONE);
	pool_give(&p, &a, taken[1]);
	assert_int_equal(a.used, 2);
	assert_int_equal(pool_take(&p, &b), POOL_NONE); /* what a gave back is not b's */
	assert_int_equal(pool_take(&p, &a), taken[1]);
	assert_int_equal(p.used, 8);
	pool_fini(&p);
}

/* Freed objects come back last in, first out, with what they held but for the link; nothing moves. */
static void test_reuse(void **state maybe_unused)
{
	struct pool p;
	struct quota q = {.limit = CAPACITY};
	assert_int_equal(pool_init(&p, sizeof(struct object), offsetof(struct object, link), CAPACITY), 0);
	for (uint32_t i = 0; i < 10; i++) {
		struct object *o = pool_at(&p, pool_take(&p, &q));
		o->mark = 0x1000 + i;
		o->tail = 7 * i;
	}
	const void *fourth = pool_at(&p, 4);
	pool_give(&p, &q, 2);
	pool_give(&p, &q, 9);
	pool_give(&p, &q, 4);
	assert_int_equal(pool_take(&p, &q), 4);
	assert_int_equal(pool_take(&p, &q), 9);
	assert_int_equal(pool_take(&p, &q), 2);
	assert_int_equal(pool_take(&p, &q), 10); /* only then is new memory touched */
	assert_ptr_equal(pool_at(&p, 4), fourth);
	for (uint32_t i = 0; i < 10; i++) {
		const struct object *o = pool_at(&p, i);
		assert_int_equal(o->mark, 0x1000 + i);
		assert_int_equal(o->tail, 7 * i);
	}
	pool_fini(&p);
}

/* Long churn against a plain array: no index is handed out twice, none is lost. */
static void test_churn(void **state maybe_unused)
{
	struct pool p;
	struct quota q = {.limit = 500};
	static bool held[CAPACITY];
	uint32_t list[CAPACITY], count = 0;
	uint64_t random = 88172645463325252u;
	memset(held, 0, sizeof held);
	assert_int_equal(pool_init(&p, sizeof(struct object), offsetof(struct object, link), CAPACITY), 0);
	for (unsigned step = 0; step < 200000; step++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		if (random & 1) {
			uint32_t i = pool_take(&p, &q);
			assert_int_equal(i == POOL_NONE, count == 500);
			if (i == POOL_NONE)
				continue;
			assert_true(i < CAPACITY && !held[i]);
			held[i] = true;
			list[count++] = i;
		} else if (count) {
			uint32_t at = (uint32_t)(random >> 32) % count;
			held[list[at]] = false;
			pool_give(&p, &q, list[at]);
			list[at] = list[--count];
		}
		assert_int_equal(q.used, count);
	}
	assert_true(p.high <= 500);
	pool_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_refuses_what_cannot_be),
	    cmocka_unit_test(test_capacity_and_zero_bytes),
	    cmocka_unit_test(test_empty_pool),
	    cmocka_unit_test(test_quotas_are_apart),
	    cmocka_unit_test(test_reuse),
	    cmocka_unit_test(test_churn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
