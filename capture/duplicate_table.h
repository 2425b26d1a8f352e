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

static inline uint32_t *table_head(const struct table *t, uint64_t hash)
{
	return &t->heads[hash & t->mask];
}

static inline void *table_find(const struct table *t, uint64_t hash)
{
	for (uint32_t i = *table_head(t, hash); i;) {
		struct node *n = pool_at(&t->pool, i - 1);
		if (likely(n->hash == hash))
			return n;
		i = n->chain;
	}
	return NULL;
}

static inline void part_append(const struct table *t, struct part *p, uint32_t index)
{
	((struct node *)pool_at(&t->pool, index))->newer = POOL_NONE;
	if (p->newest == POOL_NONE)
		p->oldest = index;
	else
		((struct node *)pool_at(&t->pool, p->newest))->newer = index;
	p->newest = index;
}

static inline uint32_t part_pop(const struct table *t, struct part *p)
{
	uint32_t index = p->oldest;
	p->oldest = ((struct node *)pool_at(&t->pool, index))->newer;
	if (p->oldest == POOL_NONE)
		p->newest = POOL_NONE;
	return index;
}

/* The caller has seen that there is room; all but the node is what its last user left. */
static inline void *table_add(struct table *t, struct part *p, uint64_t hash)
{
	uint32_t index = pool_take(&t->pool, &p->quota), *head = table_head(t, hash);
	struct node *n = pool_at(&t->pool, index);
	n->hash = hash;
	n->chain = *head;
	*head = index + 1;
	part_append(t, p, index);
	return n;
}

static inline void table_drop_oldest(struct table *t, struct part *p)
{
	uint32_t index = part_pop(t, p);
	const struct node *n = pool_at(&t->pool, index);
	uint32_t *link = table_head(t, n->hash);
	while (*link != index + 1)
		link = &((struct node *)pool_at(&t->pool, *link - 1))->chain;
	*link = n->chain;
	pool_give(&t->pool, &p->quota, index);
}

static inline void table_prefetch_first(const struct table *t, uint64_t hash)
{
	uint32_t i = *table_head(t, hash);
	if (i)
		__builtin_prefetch(pool_at(&t->pool, i - 1), 1);
}

#endif
