#include "blocks.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define MERGE_LEAST 16 /* blocks given back before it is worth while to look for neighbours */

int blocks_init(struct blocks *b, uint64_t bytes)
{
	uint64_t units = min_of(bytes / SHARDS / BLOCK_UNIT, (uint64_t)(INT32_MAX / SHARDS));
	*b = (struct blocks){.bytes = (size_t)(units * SHARDS * BLOCK_UNIT)};
	if (!units)
		return -ENOMEM;
	b->base = mmap(NULL, b->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	b->marks = calloc((size_t)(units * SHARDS / 64 + 1), sizeof *b->marks);
	if (b->base == MAP_FAILED)
		b->base = NULL;
	if (!b->base || !b->marks) {
		blocks_fini(b);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < SHARDS; i++) {
		struct stretch *s = &b->shard[i];
		s->next = (uint32_t)(units * i);
		s->end = (uint32_t)(units * (i + 1));
		s->units = (uint32_t)units;
		for (unsigned order = 0; order < BLOCK_ORDERS; order++)
			s->free[order] = BLOCK_NONE;
	}
	return 0;
}

void blocks_fini(struct blocks *b)
{
	if (b->base)
		munmap(b->base, b->bytes);
	free(b->marks);
	b->base = NULL;
	b->marks = NULL;
}

uint64_t blocks_touched(const struct blocks *b)
{
	uint64_t units = 0;
	for (unsigned i = 0; i < SHARDS; i++)
		units += b->shard[i].units - (b->shard[i].end - peek(b->shard[i].next));
	return units * BLOCK_UNIT;
}

static inline uint32_t *link_of(const struct blocks *b, uint32_t index)
{
	return block_at(b, index);
}

static void list_push(const struct blocks *b, struct stretch *s, uint32_t index, unsigned order)
{
	*link_of(b, index) = s->free[order];
	s->free[order] = index;
	s->free_blocks++;
}

static inline bool is_marked(const struct blocks *b, uint32_t i)
{
	return b->marks[i / 64] >> (i % 64) & 1;
}

static inline void flip_mark(struct blocks *b, uint32_t i)
{
	b->marks[i / 64] ^= UINT64_C(1) << (i % 64);
}

/* Puts free neighbours of one size together, from the smallest on. What a block's neighbour is counts from the
 * beginning of the stretch. Pairs are linked by their second word, as the first may still be needed to go on. */
static void merge(struct blocks *b, struct stretch *s)
{
	uint32_t begin = s->end - s->units;
	s->given = 0;
	for (unsigned order = 0; order + 1 < BLOCK_ORDERS; order++) {
		uint32_t list = s->free[order], pairs = BLOCK_NONE, next;
		for (uint32_t i = list; i != BLOCK_NONE; i = *link_of(b, i))
			flip_mark(b, i);
		s->free[order] = BLOCK_NONE;
		for (uint32_t i = list; i != BLOCK_NONE; i = next) {
			next = *link_of(b, i);
			s->free_blocks--;
			if (!is_marked(b, i))
				continue; /* went with its neighbour */
			uint32_t neighbour = begin + ((i - begin) ^ 1u << order);
			flip_mark(b, i);
			if (neighbour < s->end && is_marked(b, neighbour)) {
				flip_mark(b, neighbour);
				uint32_t low = min_of(i, neighbour);
				link_of(b, low)[1] = pairs;
				pairs = low;
			} else {
				list_push(b, s, i, order);
			}
		}
		for (uint32_t i = pairs; i != BLOCK_NONE; i = next) {
			next = link_of(b, i)[1];
			list_push(b, s, i, order + 1);
		}
	}
}

/* From the larger free ones. */
static uint32_t split(const struct blocks *b, struct stretch *s, unsigned order)
{
	unsigned have = order;
	while (have < BLOCK_ORDERS && s->free[have] == BLOCK_NONE)
		have++;
	if (have == BLOCK_ORDERS)
		return BLOCK_NONE;
	uint32_t i = s->free[have];
	s->free[have] = *link_of(b, i);
	s->free_blocks--;
	while (have-- > order)
		list_push(b, s, i + (1u << have), have);
	return i;
}

/* From what was never used. A block lies at a multiple of its size; what is passed over to get there becomes blocks. */
static uint32_t extend(const struct blocks *b, struct stretch *s, unsigned order)
{
	uint32_t begin = s->end - s->units, at = s->next - begin, size = 1u << order;
	uint32_t from = (at + size - 1) & ~(size - 1);
	if (from + size > s->units)
		return BLOCK_NONE;
	while (at < from) {
		unsigned gap = (unsigned)__builtin_ctz(at);
		list_push(b, s, begin + at, gap);
		at += 1u << gap;
	}
	publish(s->next, begin + from + size);
	return begin + from;
}

uint32_t blocks_cut(struct blocks *b, struct stretch *s, unsigned order)
{
	uint32_t i = split(b, s, order);
	if (i == BLOCK_NONE)
		i = extend(b, s, order);
	/* What neighbours cost to find is paid by those that were given back since. */
	if (i == BLOCK_NONE && s->given >= MERGE_LEAST && s->given >= s->free_blocks / 4) {
		merge(b, s);
		i = split(b, s, order);
	}
	return i;
}
