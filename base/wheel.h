/* wheel.h - timers of one virtual shard.
 *
 * A hierarchical timer wheel whose nodes are embedded in pooled objects and linked by index. Time is in ticks
 * (WHEEL_TICK_NS), absolute. Arming, cancelling: O(1). Advancing: O(timers that fire or cascade), however far the clock
 * jumps; a clock that steps back fires nothing until it has caught up, or is told so with wheel_rewind(). Timers of one
 * tick fire in the order in which they were armed for it, so that the order does not depend on where objects lie in
 * memory. One thread. */
#ifndef TS_BASE_WHEEL_H
#define TS_BASE_WHEEL_H

#include "pool.h"

#define WHEEL_TICK_NS (100 * NS_PER_MS)
#define WHEEL_NEVER INT64_MAX

/* 54 bits of ticks are 28 million years. */
#define WHEEL_FAR ((INT64_C(1) << 53) - 1)

struct wheel_node {
	uint32_t next, prev;   /* object indices; POOL_NONE ends */
	uint64_t slot : 10;    /* where it is linked; WHEEL_UNARMED when it isn't */
	int64_t deadline : 54; /* tick */
};
_Static_assert(sizeof(struct wheel_node) == 16, "a quarter of a cache line");
#define WHEEL_UNARMED 1023

struct wheel;

/* Reserves a wheel for the objects of `pool`, each with a struct wheel_node at node_offset. now: the tick at which the
 * wheel starts. Allocates once, here. NULL: no memory. */
struct wheel *wheel_new(struct pool *pool, size_t node_offset, int64_t now);
struct wheel *wheel_free(struct wheel *w);

/* A node that has never been armed must be initialised once. */
void wheel_init_node(struct wheel_node *n);
/* Arms (or re-arms) the object's timer for `deadline`; one at or before the present fires at the next advance, one
 * beyond WHEEL_FAR either way is of WHEEL_FAR. */
void wheel_arm(struct wheel *w, uint32_t index, int64_t deadline);
void wheel_cancel(struct wheel *w, uint32_t index);

/* A lower bound of the tick at which something fires next; WHEEL_NEVER when nothing is armed. O(1). */
int64_t wheel_next(const struct wheel *w);

/* Takes the clock to `now` and calls fire(ctx, index) for each timer due, unlinked before the call; fire may arm and
 * cancel any timer of this wheel, but not advance it. A timer armed by fire for `now` or earlier fires in the next
 * advance. */
void wheel_advance(struct wheel *w, int64_t now, void (*fire)(void *ctx, uint32_t index), void *ctx);

/* Sets the clock back to `now`: O(armed timers), none fires. Not within fire(). */
void wheel_rewind(struct wheel *w, int64_t now);

/* The armed object with the earliest slot (the order within far slots is that of arming), POOL_NONE when empty. Within
 * fire(): the one that fires next. */
uint32_t wheel_first(const struct wheel *w);
/* The object behind this armed one in its slot, POOL_NONE for none. A hint for prefetching. */
uint32_t wheel_behind(const struct wheel *w, uint32_t index);
/* Fetches what wheel_cancel() of this armed object will touch beside it. */
void wheel_prefetch_cancel(const struct wheel *w, uint32_t index);

#endif
