#include "blocks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define STRETCH (256u << 10)
#define UNITS (STRETCH / BLOCK_UNIT)

static uint64_t random_state = 1;

static uint64_t next_random(void)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return random_state >> 33;
}

static void test_orders(void **state)
{
	(void)state;
	assert_int_equal(block_order(0), 0);
	assert_int_equal(block_order(64), 0);
	assert_int_equal(block_order(65), 1);
	assert_int_equal(block_order(128), 1);
	assert_int_equal(block_order(129), 2);
	assert_int_equal(block_order(BLOCK_MAX - 1), BLOCK_ORDERS - 1);
	assert_int_equal(block_order(BLOCK_MAX), BLOCK_ORDERS - 1);
	for (unsigned i = 0; i < BLOCK_ORDERS; i++)
		assert_int_equal(block_order(BLOCK_SIZE(i)), i);
}

struct taken {
	uint32_t index;
	unsigned order;
	uint8_t fill;
};

/* Blocks of one shard never overlap, lie within its stretch and keep what is written into them. When all are given
 * back, the stretch can be had in the largest blocks again. */
static void test_random(void **state)
{
	(void)state;
	static struct taken taken[UNITS];
	static uint8_t owner[UNITS];
	struct blocks b;
	uint8_t shard = 3;
	unsigned count = 0, refused = 0;
	assert_int_equal(blocks_init(&b, (uint64_t)STRETCH * SHARDS), 0);
	memset(owner, 0, sizeof owner);
	for (unsigned turn = 0; turn < 400000; turn++) {
		/* now many, now few; now small ones, now large ones */
		bool more = next_random() % 100 < (turn / 20000 % 2 ? 65 : 35);
		if (more && count < UNITS) {
			unsigned order = (unsigned)(next_random() % (turn / 5000 % 3 ? 4 : BLOCK_ORDERS)),
				 units = 1u << order;
			uint32_t i = blocks_take(&b, shard, BLOCK_CONN, order);
			if (i == BLOCK_NONE) {
				refused++;
				continue;
			}
			assert_true(i >= shard * UNITS && i + units <= (shard + 1) * UNITS);
			assert_int_equal((i - shard * UNITS) % units, 0);
			for (unsigned k = 0; k < units; k++)
				assert_int_equal(owner[i - shard * UNITS + k]++, 0);
			taken[count] = (struct taken){i, order, (uint8_t)next_random()};
			memset(block_at(&b, i), taken[count].fill, BLOCK_SIZE(order));
			assert_int_equal(block_index(&b, block_at(&b, i)), i);
			count++;
		} else if (count) {
			unsigned which = (unsigned)(next_random() % count);
			struct taken t = taken[which];
			taken[which] = taken[--count];
			const uint8_t *at = block_at(&b, t.index);
			assert_int_equal(at[0], t.fill);
			assert_int_equal(at[BLOCK_SIZE(t.order) - 1], t.fill);
			for (unsigned k = 0; k < 1u << t.order; k++)
				assert_int_equal(owner[t.index - shard * UNITS + k]--, 1);
			blocks_give(&b, shard, BLOCK_CONN, t.index, t.order);
		}
	}
	assert_true(refused > 1000);
	while (count--)
		blocks_give(&b, shard, BLOCK_CONN, taken[count].index, taken[count].order);
	assert_int_equal(b.shard[shard].used[BLOCK_CONN], 0);
	for (unsigned i = 0; i < STRETCH / BLOCK_MAX; i++)
		assert_int_not_equal(blocks_take(&b, shard, BLOCK_CONN, BLOCK_ORDERS - 1), BLOCK_NONE);
	assert_int_equal(blocks_take(&b, shard, BLOCK_CONN, 0), BLOCK_NONE);
	assert_int_equal(blocks_touched(&b), STRETCH);
	/* what one shard has used up is nothing to another */
	assert_int_not_equal(blocks_take(&b, shard + 1, BLOCK_CONN, BLOCK_ORDERS - 1), BLOCK_NONE);
	blocks_fini(&b);
}

/* Texts have a half, texts and buffers three quarters, connections all of it. */
static void test_kinds(void **state)
{
	(void)state;
	struct blocks b;
	unsigned texts = 0, buffers = 0, conns = 0;
	assert_int_equal(blocks_init(&b, (uint64_t)STRETCH * SHARDS), 0);
	while (blocks_take(&b, 0, BLOCK_TEXT, 4) != BLOCK_NONE)
		texts++;
	while (blocks_take(&b, 0, BLOCK_BUFFER, 4) != BLOCK_NONE)
		buffers++;
	while (blocks_take(&b, 0, BLOCK_CONN, 4) != BLOCK_NONE)
		conns++;
	assert_int_equal(texts, STRETCH / 2 / BLOCK_SIZE(4));
	assert_int_equal(buffers, STRETCH / 4 / BLOCK_SIZE(4));
	assert_int_equal(conns, STRETCH / 4 / BLOCK_SIZE(4));
	blocks_fini(&b);
}

/* Memory is touched as it is needed, and used again. */
static void test_touched(void **state)
{
	(void)state;
	struct blocks b;
	assert_int_equal(blocks_init(&b, (uint64_t)STRETCH * SHARDS), 0);
	assert_int_equal(blocks_touched(&b), 0);
	for (unsigned i = 0; i < 1000; i++) {
		uint32_t small = blocks_take(&b, 9, BLOCK_TEXT, 2), large = blocks_take(&b, 9, BLOCK_BUFFER, 4);
		blocks_give(&b, 9, BLOCK_TEXT, small, 2);
		blocks_give(&b, 9, BLOCK_BUFFER, large, 4);
	}
	assert_int_equal(blocks_touched(&b), 2 * BLOCK_SIZE(4)); /* the large one lies at a multiple of its size */
	blocks_fini(&b);
	assert_int_not_equal(blocks_init(&b, SHARDS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_orders),
	    cmocka_unit_test(test_random),
	    cmocka_unit_test(test_kinds),
	    cmocka_unit_test(test_touched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
