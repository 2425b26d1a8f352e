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

struct wheel_node {
	uint32_t next, prev; /* object indices; POOL_NONE ends */
	uint32_t slot;       /* where it is linked; WHEEL_UNARMED when it isn't */
	uint32_t reserved;
	int64_t deadline; /* tick */
};
#define WHEEL_UNARMED UINT32_MAX

struct wheel;

/* Reserves a wheel for the objects of `pool`, each with a struct wheel_node at node_offset. now: the tick at which the
 * wheel starts. Allocates once, here. NULL: no memory. */
struct wheel *wheel_new(struct pool *pool, size_t node_offset, int64_t now);
struct wheel *wheel_free(struct wheel *w);

/* A node that has never been armed must be initialised once. */
void wheel_init_node(struct wheel_node *n);
/* Arms (or re-arms) the object's timer for `deadline`; one at or before the present fires at the next advance. */
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

/* Within fire(): the object that fires next in this call, POOL_NONE for none. A hint for prefetching. */
uint32_t wheel_fires_next(const struct wheel *w);

/* The armed object with the earliest slot (the order within far slots is that of arming), POOL_NONE when empty. */
uint32_t wheel_first(const struct wheel *w);

#endif
