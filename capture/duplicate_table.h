/* duplicate_table.h - the tables of duplicate.c; nobody else includes it.
 *
 * Entries of one size, in a pool, found by a hash that stands for their identity, with an order of eviction and a quota
 * in each virtual shard. */
#ifndef TS_CAPTURE_DUPLICATE_TABLE_H
#define TS_CAPTURE_DUPLICATE_TABLE_H

#include "pool.h"

#include <errno.h>
#include <sys/mman.h>

/* What every entry begins with. Links are index + 1 in a bucket, an index in the order of eviction. */
struct node {
	uint64_t hash;
	uint32_t chain; /* next in the bucket; 0: none */
	uint32_t newer; /* POOL_NONE: none */
};

struct table {
	struct pool pool;
	uint32_t *heads; /* buckets */
	uint32_t mask;
};

/* A shard's part of a table. */
struct part {
	struct quota quota;
	uint32_t oldest, newest;
};

static inline uint32_t table_buckets_of(uint32_t capacity)
{
	uint32_t n = 16;
	while (n < capacity && n < UINT32_C(1) << 31)
		n *= 2;
	return n;
}

static inline int table_init(struct table *t, size_t object_size, uint32_t capacity)
{
	t->mask = table_buckets_of(capacity) - 1;
	void *at = mmap(NULL, ((size_t)t->mask + 1) * sizeof(uint32_t), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return -ENOMEM;
	t->heads = at;
	madvise(at, ((size_t)t->mask + 1) * sizeof(uint32_t), MADV_HUGEPAGE); /* a hint; nothing depends on it */
	return pool_init(&t->pool, object_size, offsetof(struct node, chain), capacity);
}

static inline void table_fini(struct table *t)
{
	pool_fini(&t->pool);
	if (t->heads)
		munmap(t->heads, ((size_t)t->mask + 1) * sizeof(uint32_t));
}

/* Bytes touched. */
static inline uint64_t table_memory(const struct table *t)
{
	/* each new entry touches at most one page of the buckets */
	uint64_t entries = peek(t->pool.high);
	return entries * t->pool.object_size + min_of(((uint64_t)t->mask + 1) * sizeof(uint32_t), entries * 4096);
}

/* Sizes are constants where these are called, so that no index is multiplied by what has to be loaded first. */
#define TABLE_INLINE static inline __attribute__((always_inline))

TABLE_INLINE struct node *table_at(const struct table *t, size_t size, uint32_t index)
{
	return (struct node *)(void *)(t->pool.base + index * size);
}

static inline uint32_t *table_head(const struct table *t, uint64_t hash)
{
	return &t->heads[hash & t->mask];
}

/* The entry's index, POOL_NONE where there is none. */
TABLE_INLINE uint32_t table_find(const struct table *t, size_t size, uint64_t hash)
{
	for (uint32_t i = *table_head(t, hash); i;) {
		const struct node *n = table_at(t, size, i - 1);
		if (likely(n->hash == hash))
			return i - 1;
		i = n->chain;
	}
	return POOL_NONE;
}

TABLE_INLINE void part_append(const struct table *t, size_t size, struct part *p, uint32_t index)
{
	table_at(t, size, index)->newer = POOL_NONE;
	if (p->newest == POOL_NONE)
		p->oldest = index;
	else
		table_at(t, size, p->newest)->newer = index;
	p->newest = index;
}

TABLE_INLINE uint32_t part_pop(const struct table *t, size_t size, struct part *p)
{
	uint32_t index = p->oldest;
	p->oldest = table_at(t, size, index)->newer;
	if (p->oldest == POOL_NONE)
		p->newest = POOL_NONE;
	return index;
}

/* The caller has seen that there is room; all but the node is what its last user left. */
TABLE_INLINE uint32_t table_add(struct table *t, size_t size, struct part *p, uint64_t hash)
{
	uint32_t index = pool_take(&t->pool, &p->quota), *head = table_head(t, hash);
	struct node *n = table_at(t, size, index);
	n->hash = hash;
	n->chain = *head;
	*head = index + 1;
	part_append(t, size, p, index);
	return index;
}

TABLE_INLINE void table_drop_oldest(struct table *t, size_t size, struct part *p)
{
	uint32_t index = part_pop(t, size, p);
	const struct node *n = table_at(t, size, index);
	uint32_t *link = table_head(t, n->hash);
	while (unlikely(*link != index + 1))
		link = &table_at(t, size, *link - 1)->chain;
	*link = n->chain;
	pool_give(&t->pool, &p->quota, index);
}

TABLE_INLINE void table_prefetch_first(const struct table *t, size_t size, uint64_t hash)
{
	uint32_t i = *table_head(t, hash);
	if (i)
		__builtin_prefetch(table_at(t, size, i - 1), 1);
}

#endif
