/* ring.h - a queue of equal-sized slots from one thread to one other.
 *
 * Bounded, lock-free, in order, in place: the producer fills the slot it got, the consumer reads where it lies. A full
 * ring makes the producer wait (replay never drops) or refuses (live), as the caller chooses. */
#ifndef TS_BASE_RING_H
#define TS_BASE_RING_H

#include "def.h"

#include <stdatomic.h>

struct ring {
	uint8_t *slots;
	size_t slot_size;
	uint32_t mask;
	cacheline_aligned _Atomic uint64_t head; /* slots published; the producer's */
	uint64_t tail_seen;                      /* the producer's last look at tail */
	cacheline_aligned _Atomic uint64_t tail; /* slots released; the consumer's */
	uint64_t head_seen;
};

/* slot_count: a power of two, at least 2. 0, -EINVAL or -ENOMEM. */
int ring_init(struct ring *r, size_t slot_size, uint32_t slot_count);
void ring_fini(struct ring *r);

/* Producer: the next free slot, or NULL where the ring is full. */
static inline void *ring_claim(struct ring *r)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	if (head - r->tail_seen > r->mask) {
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (head - r->tail_seen > r->mask)
			return NULL;
	}
	return r->slots + (head & r->mask) * r->slot_size;
}

/* Producer: hands the claimed slot over. */
static inline void ring_publish(struct ring *r)
{
	atomic_store_explicit(&r->head, atomic_load_explicit(&r->head, memory_order_relaxed) + 1, memory_order_release);
}

/* Consumer: the oldest slot, or NULL where the ring is empty. Stays valid until ring_release(). */
static inline void *ring_peek(struct ring *r)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	if (tail == r->head_seen) {
		r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
		if (tail == r->head_seen)
			return NULL;
	}
	return r->slots + (tail & r->mask) * r->slot_size;
}

/* Consumer: the slot `n` after the oldest, or NULL where there is none yet. */
static inline void *ring_peek_at(struct ring *r, uint32_t n)
{
	uint64_t at = atomic_load_explicit(&r->tail, memory_order_relaxed) + n;
	if (at >= r->head_seen) {
		r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
		if (at >= r->head_seen)
			return NULL;
	}
	return r->slots + (at & r->mask) * r->slot_size;
}

static inline void ring_release(struct ring *r, uint32_t n)
{
	atomic_store_explicit(&r->tail, atomic_load_explicit(&r->tail, memory_order_relaxed) + n, memory_order_release);
}

/* One step of waiting for the other side: spins, then yields, then sleeps up to 100 us. `*spins` starts at 0 and is set
 * back to 0 by the caller when there was something to do. */
void ring_wait(unsigned *spins);

#endif
