/* pool.h - equal-sized objects in one reserved region, with quotas.
 *
 * The region is reserved once (mmap, no memory touched until an object is first used) and never grows or changes type,
 * so that another thread may keep reading an object that has been freed and reused (it must then tell by the object's
 * own sequence counter). Objects are named by a 32-bit index that is stable for life; POOL_NONE names none. Freed
 * objects are reused last in, first out, which keeps the touched memory small. No allocation after pool_init().
 *
 * A pool belongs to one thread. What is charged to whom is a `struct quota`: quotas are kept by virtual shard, so that
 * a limit bites at the same packet however many workers there are; the pool itself is shared by a worker's shards and
 * must be at least as large as the sum of their limits. */
#ifndef TS_BASE_POOL_H
#define TS_BASE_POOL_H

#include "def.h"

#define POOL_NONE UINT32_MAX

struct quota {
	uint32_t used, limit;
	uint64_t refused; /* takes that found used == limit */
};

struct pool {
	uint8_t *base;
	size_t object_size;
	size_t link_offset; /* where in a free object the free list's link (uint32_t) lives */
	uint32_t capacity;
	uint32_t high; /* objects ever handed out are below this index */
	uint32_t free_head;
	uint32_t used;
};

/* Reserves `capacity` objects of `object_size` bytes. Objects start out as zero bytes. Where huge pages are to be had
 * the region is advised to use them. 0, -EINVAL or -ENOMEM. */
int pool_init(struct pool *p, size_t object_size, size_t link_offset, uint32_t capacity);
void pool_fini(struct pool *p);

static inline void *pool_at(const struct pool *p, uint32_t index)
{
	return p->base + (size_t)index * p->object_size;
}

static inline uint32_t pool_index(const struct pool *p, const void *object)
{
	return (uint32_t)((size_t)((const uint8_t *)object - p->base) / p->object_size);
}

/* An object charged to q, or POOL_NONE where the quota (or the pool) is used up. Its bytes are what its last user left.
 */
static inline uint32_t pool_take(struct pool *p, struct quota *q)
{
	if (unlikely(q->used >= q->limit)) {
		q->refused++;
		return POOL_NONE;
	}
	uint32_t i = p->free_head;
	if (i != POOL_NONE) {
		p->free_head = *(uint32_t *)(void *)((uint8_t *)pool_at(p, i) + p->link_offset);
		if (likely(p->free_head != POOL_NONE)) /* for the next one who takes */
			__builtin_prefetch((uint8_t *)pool_at(p, p->free_head) + p->link_offset, 1);
	} else if (likely(p->high < p->capacity)) {
		i = p->high;
		publish(p->high, p->high + 1);
	} else {
		q->refused++;
		return POOL_NONE;
	}
	q->used++;
	p->used++;
	return i;
}

static inline void pool_give(struct pool *p, struct quota *q, uint32_t index)
{
	publish(*(uint32_t *)(void *)((uint8_t *)pool_at(p, index) + p->link_offset), p->free_head);
	p->free_head = index;
	q->used--;
	p->used--;
}

#endif
