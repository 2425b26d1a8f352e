#include "file_block.h"

#include <errno.h>
#include <stdlib.h>

/* Of all current blocks together, as far as BLOCK_MIN allows. */
#define BLOCKS_BYTES ((size_t)32 << 20)
#define BLOCK_MAX ((size_t)256 << 10)
#define BLOCK_MIN ((size_t)16 << 10)

int block_pool_init(struct block_pool *p, unsigned files)
{
	*p = (struct block_pool){.count = files + BLOCKS_SPARE};
	p->size = min_of(max_of(BLOCKS_BYTES / files & ~(size_t)4095, BLOCK_MIN), BLOCK_MAX);
	p->blocks = calloc(p->count, sizeof *p->blocks);
	if (!p->blocks)
		return -ENOMEM;
	for (unsigned i = p->count; i-- > 0;) {
		struct block *b = &p->blocks[i];
		b->data = aligned_alloc(4096, p->size); /* touched when it is first used */
		if (!b->data)
			return -ENOMEM;
		b->size = p->size;
		b->next = p->free;
		p->free = b;
	}
	return 0;
}

void block_pool_fini(struct block_pool *p)
{
	for (unsigned i = 0; p->blocks && i < p->count; i++)
		free(p->blocks[i].data);
	free(p->blocks);
	*p = (struct block_pool){0};
}

static void drop_data(struct block *b)
{
	free(b->data);
	b->data = NULL;
	b->size = 0;
}

static void put_free(struct block_pool *p, struct block *b)
{
	if (b->size > p->size)
		drop_data(b); /* one frame was larger than a block */
	b->next = p->free;
	p->free = b;
}

static void collect_released(struct block_pool *p)
{
	for (struct block **at = &p->retired; *at;) {
		struct block *b = *at;
		if (block_is_released(p, b)) {
			*at = b->next;
			put_free(p, b);
		} else {
			at = &b->next;
		}
	}
}

int block_get(struct block_pool *p, size_t size, struct block **ret_b)
{
	if (!p->free)
		collect_released(p);
	if (!p->free)
		return -ENOBUFS;
	struct block *b = p->free;
	size = max_of(size, p->size);
	if (b->size < size) {
		drop_data(b);
		b->data = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);
		if (!b->data)
			return -ENOMEM;
		b->size = size;
	}
	p->free = b->next;
	*ret_b = b;
	return 0;
}

void block_retire(struct block_pool *p, struct block *b)
{
	if (block_is_released(p, b)) {
		put_free(p, b);
	} else {
		b->next = p->retired;
		p->retired = b;
	}
}
