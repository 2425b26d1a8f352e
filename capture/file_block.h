/* file_block.h - the memory that frames of capture files point into. Private to capture/file*.c.
 *
 * A reader fills one block at a time. When it goes on to the next, the old one is retired until every frame in it has
 * been released. There are as many blocks as files and BLOCKS_SPARE more, so one can always be had once all frames that
 * were given out are released. What was free last is used first: it may still be in the cache. */
#ifndef TS_CAPTURE_FILE_BLOCK_H
#define TS_CAPTURE_FILE_BLOCK_H

#include "def.h"

#define BLOCKS_SPARE 16

struct block {
	uint8_t *data;
	size_t size;           /* bytes at data; 0: none */
	uint64_t last_ordinal; /* of the frames given out from it */
	struct block *next;    /* in one of the pool's lists */
};

struct block_pool {
	struct block *blocks;
	unsigned count; /* blocks */
	size_t size;    /* of a block, unless a record needs more */
	struct block *free, *retired;
	uint64_t released; /* frames up to this ordinal are no longer needed */
};

/* For `files` files, each with a block at a time. 0 or -ENOMEM. */
int block_pool_init(struct block_pool *p, unsigned files);
void block_pool_fini(struct block_pool *p);

/* A block of at least `size` bytes. 0, -ENOBUFS (all hold frames that are not released) or -ENOMEM. */
int block_get(struct block_pool *p, size_t size, struct block **ret_b);
/* The reader that filled it is done with it. */
void block_retire(struct block_pool *p, struct block *b);

static inline bool block_is_released(const struct block_pool *p, const struct block *b)
{
	return b->last_ordinal <= p->released;
}

#endif
