#include "pool.h"

#include <errno.h>
#include <sys/mman.h>

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

int pool_init(struct pool *p, size_t object_size, size_t link_offset, uint32_t capacity)
{
	if (!object_size || object_size % 4 || link_offset % 4 || link_offset + 4 > object_size ||
	    capacity == POOL_NONE)
		return -EINVAL;
	size_t bytes = object_size * (capacity ? capacity : 1);
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return -ENOMEM;
	if (bytes >= HUGE_PAGE_BYTES)
		madvise(base, bytes, MADV_HUGEPAGE); /* a hint; nothing depends on it */
	*p = (struct pool){.base = base,
			   .object_size = object_size,
			   .link_offset = link_offset,
			   .capacity = capacity,
			   .free_head = POOL_NONE};
	return 0;
}

void pool_fini(struct pool *p)
{
	if (p->base)
		munmap(p->base, p->object_size * (p->capacity ? p->capacity : 1));
	*p = (struct pool){.free_head = POOL_NONE};
}
