/* blocks.h - memory for what comes in many sizes: connections, dissectors' states, texts, bytes that wait to be parsed.
 *
 * Blocks of powers of two, from 64 bytes to 64 KiB. Each virtual shard has a stretch of its own, so that what it can
 * have depends on nothing but itself; within it any size may be had until it is used up. Free blocks are kept by size
 * and used again as they are. Where there is none, a larger one is cut up, else memory that was never used is taken,
 * else free neighbours are put together. So memory is touched as it is needed, and the usual take and give are a few
 * instructions. Blocks never move. One thread; blocks_touched() may be asked by others. */
#ifndef TS_ENGINE_BLOCKS_H
#define TS_ENGINE_BLOCKS_H

#include "def.h"
#include "packet.h"

#define BLOCK_NONE UINT32_MAX
#define BLOCK_UNIT 64
#define BLOCK_ORDERS 11
#define BLOCK_SIZE(order) ((uint32_t)BLOCK_UNIT << (order)) /* 64, 128, …, 64 K */
#define BLOCK_MAX BLOCK_SIZE(BLOCK_ORDERS - 1)

/* Who a block is for: a shard's texts may take half of its stretch, texts and buffers together three quarters, so that
 * there is room for connections whatever those hold. */
enum block_kind { BLOCK_TEXT, BLOCK_BUFFER, BLOCK_CONN, BLOCK_KINDS };

struct stretch {
	uint32_t free[BLOCK_ORDERS]; /* lists; a free block begins with the index of the next */
	uint32_t next, end;          /* units never used so far; BLOCK_UNIT bytes each */
	uint32_t units;
	uint32_t used[BLOCK_KINDS];  /* units in use, by kind */
	uint32_t free_blocks, given; /* in lists; given back since neighbours were last put together */
};

struct blocks {
	uint8_t *base;
	size_t bytes;
	uint64_t *marks; /* while neighbours are put together: a bit a unit */
	struct stretch shard[SHARDS];
};

/* Reserves `bytes` for all shards together; touches nothing yet. 0, or -ENOMEM. */
int blocks_init(struct blocks *b, uint64_t bytes);
void blocks_fini(struct blocks *b);
/* Bytes that were ever in use. */
uint64_t blocks_touched(const struct blocks *b);

static inline void *block_at(const struct blocks *b, uint32_t index)
{
	return b->base + (size_t)index * BLOCK_UNIT;
}

static inline uint32_t block_index(const struct blocks *b, const void *at)
{
	return (uint32_t)((size_t)((const uint8_t *)at - b->base) / BLOCK_UNIT);
}

/* The smallest order that holds `size` bytes, which are at most BLOCK_MAX. */
static inline unsigned block_order(uint32_t size)
{
	return size <= BLOCK_UNIT ? 0 : 26 - (unsigned)__builtin_clz(size - 1);
}

/* Where the list is empty. */
uint32_t blocks_cut(struct blocks *b, struct stretch *s, unsigned order);

/* Whether the kind may have `units` more. */
static inline bool blocks_allow(const struct stretch *s, enum block_kind kind, uint32_t units)
{
	uint32_t texts = s->used[BLOCK_TEXT], both = texts + s->used[BLOCK_BUFFER];
	return kind == BLOCK_CONN ||
	       (both + units <= s->units / 4 * 3 && (kind == BLOCK_BUFFER || texts + units <= s->units / 2));
}

/* A block, or BLOCK_NONE where there is no room. Its bytes are anything. */
static inline uint32_t blocks_take(struct blocks *b, uint8_t shard, enum block_kind kind, unsigned order)
{
	struct stretch *s = &b->shard[shard];
	if (unlikely(!blocks_allow(s, kind, 1u << order)))
		return BLOCK_NONE;
	uint32_t i = s->free[order];
	if (likely(i != BLOCK_NONE)) {
		s->free[order] = *(const uint32_t *)block_at(b, i);
		s->free_blocks--;
	} else if ((i = blocks_cut(b, s, order)) == BLOCK_NONE) {
		return BLOCK_NONE;
	}
	s->used[kind] += 1u << order;
	return i;
}

static inline void blocks_give(struct blocks *b, uint8_t shard, enum block_kind kind, uint32_t index, unsigned order)
{
	struct stretch *s = &b->shard[shard];
	*(uint32_t *)block_at(b, index) = s->free[order];
	s->free[order] = index;
	s->free_blocks++;
	s->given++;
	s->used[kind] -= 1u << order;
}

#endif
