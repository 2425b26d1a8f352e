/* byte_ring.h - copies of frames of any length, released in the order in which they were made.
 *
 * For sources that cannot lend what they read. One thread. Each copy lies in one piece; 16 bytes before it say how far
 * the next one is. All in this header, so that a module gets it without a second copy of a library. */
#ifndef TS_SOURCE_BYTE_RING_H
#define TS_SOURCE_BYTE_RING_H

#include "def.h"

#include <errno.h>
#include <sys/mman.h>

#define BYTE_RING_HEAD 16 /* bytes in front of a copy; copies are aligned to as many */

struct byte_ring {
	uint8_t *base;
	uint64_t size;
	uint64_t head, tail; /* bytes ever claimed and released */
};

/* size is rounded up to whole pages. 0 or -ENOMEM. No memory is touched before it is used. */
static inline int byte_ring_init(struct byte_ring *r, uint64_t size)
{
	size = (max_of(size, (uint64_t)4096) + 4095) & ~UINT64_C(4095);
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return -ENOMEM;
	*r = (struct byte_ring){.base = base, .size = size};
	return 0;
}

static inline void byte_ring_fini(struct byte_ring *r)
{
	if (r->base)
		munmap(r->base, r->size);
	*r = (struct byte_ring){0};
}

static inline bool byte_ring_empty(const struct byte_ring *r)
{
	return r->head == r->tail;
}

/* Room for `len` bytes, or NULL where there is none until something is released (or, if the ring is empty, ever). */
static inline uint8_t *byte_ring_claim(struct byte_ring *r, uint32_t len)
{
	uint64_t need = BYTE_RING_HEAD + (((uint64_t)len + BYTE_RING_HEAD - 1) & ~(uint64_t)(BYTE_RING_HEAD - 1));
	if (r->head == r->tail)
		r->head = r->tail = 0;
	uint64_t at = r->head % r->size;
	uint64_t skipped = at + need > r->size ? r->size - at : 0; /* the rest before the end is too short */
	if (r->head + skipped + need - r->tail > r->size)
		return NULL;
	if (skipped) {
		uint64_t nothing[2] = {skipped, 1};
		memcpy(r->base + at, nothing, sizeof nothing);
		r->head += skipped;
		at = 0;
	}
	uint64_t entry[2] = {need, 0};
	memcpy(r->base + at, entry, sizeof entry);
	r->head += need;
	return r->base + at + BYTE_RING_HEAD;
}

/* Gives the oldest copy back. There must be one. */
static inline void byte_ring_release(struct byte_ring *r)
{
	uint64_t entry[2];
	do {
		memcpy(entry, r->base + r->tail % r->size, sizeof entry);
		r->tail += entry[0];
	} while (entry[1]);
}

#endif
