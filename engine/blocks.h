/* blocks.h - buffers of a few fixed sizes, for texts and for bytes that wait to be parsed.
 *
 * A block grows by moving to the next size. Sizes are pools (base/pool.h) with quotas by shard. One thread. */
#ifndef TS_ENGINE_BLOCKS_H
#define TS_ENGINE_BLOCKS_H

#include "pool.h"

#include <errno.h>

#define BLOCK_CLASSES 5
#define BLOCK_SIZE(class) ((uint32_t)256 << (2 * (class))) /* 256, 1 K, 4 K, 16 K, 64 K */

struct block {
	uint32_t index; /* POOL_NONE: none */
	uint8_t class;
};
#define BLOCK_NONE ((struct block){.index = POOL_NONE})

struct blocks {
	struct pool pool[BLOCK_CLASSES];
	struct quota (*quota)[BLOCK_CLASSES]; /* by shard */
};

static inline uint8_t *block_at(const struct blocks *b, struct block k)
{
	return pool_at(&b->pool[k.class], k.index);
}

static inline void block_give(struct blocks *b, uint8_t shard, struct block *k)
{
	if (k->index != POOL_NONE)
		pool_give(&b->pool[k->class], &b->quota[shard][k->class], k->index);
	*k = BLOCK_NONE;
}

/* Makes the block hold `need` bytes, keeping the first `used`. 0; -ENOBUFS: larger than the largest; -ENOMEM: quota. */
static inline int block_grow(struct blocks *b, uint8_t shard, struct block *k, uint32_t used, uint32_t need)
{
	if (k->index != POOL_NONE && need <= BLOCK_SIZE(k->class))
		return 0;
	struct block next = {.index = POOL_NONE, .class = 0};
	while (next.class < BLOCK_CLASSES && BLOCK_SIZE(next.class) < need)
		next.class ++;
	if (next.class == BLOCK_CLASSES)
		return -ENOBUFS;
	next.index = pool_take(&b->pool[next.class], &b->quota[shard][next.class]);
	if (next.index == POOL_NONE)
		return -ENOMEM;
	if (used)
		memcpy(block_at(b, next), block_at(b, *k), used);
	block_give(b, shard, k);
	*k = next;
	return 0;
}

#endif
