/* Two levels and a rest, each cut at round ticks: level 0 has the ticks of the present block (256 ticks), level 1 the
 * later blocks of the present era (64 blocks), the overflow list all later eras. Because a level's reach ends at a
 * round tick rather than at a distance from now, whatever lies in a far list was armed before anything can be armed
 * nearer for the same tick; so spreading a far list in its own order keeps each tick in the order of arming. */
#include "wheel.h"

#include <stdlib.h>

#define BLOCK_BITS 8
#define BLOCK_TICKS (1 << BLOCK_BITS)
#define ERA_BITS 6
#define ERA_BLOCKS (1 << ERA_BITS)

enum {
	SLOT_BLOCK = BLOCK_TICKS, /* first of level 1 */
	SLOT_OVERFLOW = SLOT_BLOCK + ERA_BLOCKS,
	SLOT_DUE,    /* armed for the present or the past: fires at the next advance */
	SLOT_FIRING, /* taken by the advance that is going on */
	SLOTS
};

struct list {
	uint32_t head, tail;
};

struct wheel {
	uint8_t *nodes; /* of the object with index 0 */
	size_t stride;
	int64_t now;
	uint64_t ticks[BLOCK_TICKS / 64]; /* which slots of level 0 are occupied */
	uint64_t blocks;                  /* and of level 1 */
	struct list slot[SLOTS];
};

_Static_assert(SLOTS < WHEEL_UNARMED, "a slot's number has 10 bits");
_Static_assert(ERA_BLOCKS == 64, "level 1 is mapped in one word");

static int64_t block_of(int64_t tick)
{
	return tick >> BLOCK_BITS;
}

static int64_t era_of(int64_t tick)
{
	return tick >> (BLOCK_BITS + ERA_BITS);
}

static struct wheel_node *node_at(const struct wheel *w, uint32_t index)
{
	return (struct wheel_node *)(void *)(w->nodes + index * w->stride);
}

static void mark(struct wheel *w, uint32_t slot)
{
	if (slot < SLOT_BLOCK)
		w->ticks[slot / 64] |= UINT64_C(1) << (slot % 64);
	else if (slot < SLOT_OVERFLOW)
		w->blocks |= UINT64_C(1) << (slot - SLOT_BLOCK);
}

static void unmark(struct wheel *w, uint32_t slot)
{
	if (slot < SLOT_BLOCK)
		w->ticks[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
	else if (slot < SLOT_OVERFLOW)
		w->blocks &= ~(UINT64_C(1) << (slot - SLOT_BLOCK));
}

static void append(struct wheel *w, uint32_t slot, uint32_t index)
{
	struct wheel_node *n = node_at(w, index);
	struct list *l = &w->slot[slot];
	n->slot = slot & 1023;
	n->next = POOL_NONE;
	n->prev = l->tail;
	if (l->tail == POOL_NONE) {
		l->head = index;
		mark(w, slot);
	} else {
		node_at(w, l->tail)->next = index;
	}
	l->tail = index;
}

/* Where a node is linked now: what was due was taken out of its slot without touching it. */
static uint32_t slot_now(const struct wheel *w, const struct wheel_node *n)
{
	return n->slot < SLOT_BLOCK && n->deadline <= w->now ? SLOT_FIRING : n->slot;
}

static void unlink_node(struct wheel *w, struct wheel_node *n)
{
	uint32_t slot = slot_now(w, n);
	struct list *l = &w->slot[slot];
	if (n->prev == POOL_NONE)
		l->head = n->next;
	else
		node_at(w, n->prev)->next = n->next;
	if (n->next == POOL_NONE)
		l->tail = n->prev;
	else
		node_at(w, n->next)->prev = n->prev;
	if (l->head == POOL_NONE)
		unmark(w, slot);
	n->slot = WHEEL_UNARMED;
}

/* Empties a slot; its nodes stay chained by `next`. */
static uint32_t detach(struct wheel *w, uint32_t slot)
{
	uint32_t head = w->slot[slot].head;
	w->slot[slot] = (struct list){POOL_NONE, POOL_NONE};
	unmark(w, slot);
	return head;
}

/* Lists up to the end of level 1; -1: empty. */
static int first_tick(const struct wheel *w)
{
	for (int i = 0; i < BLOCK_TICKS / 64; i++)
		if (w->ticks[i])
			return i * 64 + __builtin_ctzll(w->ticks[i]);
	return -1;
}

static uint32_t slot_for(const struct wheel *w, int64_t deadline)
{
	if (deadline <= w->now)
		return SLOT_DUE;
	if (block_of(deadline) == block_of(w->now))
		return (uint32_t)(deadline & (BLOCK_TICKS - 1));
	if (era_of(deadline) == era_of(w->now))
		return SLOT_BLOCK + (uint32_t)(block_of(deadline) & (ERA_BLOCKS - 1));
	return SLOT_OVERFLOW;
}

/* Moves a chain to another slot. */
static void move(struct wheel *w, uint32_t index, uint32_t to)
{
	while (index != POOL_NONE) {
		uint32_t next = node_at(w, index)->next;
		append(w, to, index);
		index = next;
	}
}

/* Level 0 up to slot `last` is due: whole lists, of which only the ends are touched. */
static void collect_ticks(struct wheel *w, int last)
{
	int tick;
	struct list *firing = &w->slot[SLOT_FIRING];
	while ((tick = first_tick(w)) >= 0 && tick <= last) {
		struct list due = w->slot[tick];
		detach(w, (uint32_t)tick);
		if (firing->head == POOL_NONE) {
			*firing = due;
			continue;
		}
		node_at(w, firing->tail)->next = due.head;
		node_at(w, due.head)->prev = firing->tail;
		firing->tail = due.tail;
	}
}

/* Takes a block of level 1 into level 0, which is empty. */
static void spread_block(struct wheel *w, uint32_t slot)
{
	uint32_t index = detach(w, slot);
	while (index != POOL_NONE) {
		struct wheel_node *n = node_at(w, index);
		uint32_t next = n->next;
		append(w, (uint32_t)(n->deadline & (BLOCK_TICKS - 1)), index);
		index = next;
	}
}

/* Merges two chains by deadline; of equal ones those of `a` come first. */
static uint32_t merge(struct wheel *w, uint32_t a, uint32_t b)
{
	uint32_t head = POOL_NONE, *link = &head;
	while (a != POOL_NONE && b != POOL_NONE) {
		uint32_t *from = node_at(w, b)->deadline < node_at(w, a)->deadline ? &b : &a;
		*link = *from;
		link = &node_at(w, *from)->next;
		*from = *link;
	}
	*link = a != POOL_NONE ? a : b;
	return head;
}

/* One run to be merged for each power of two. */
struct runs {
	uint32_t head[32];
};

static void runs_add(struct wheel *w, struct runs *r, uint32_t index)
{
	node_at(w, index)->next = POOL_NONE;
	unsigned i = 0;
	for (; i < array_size(r->head) - 1 && r->head[i] != POOL_NONE; i++) {
		index = merge(w, r->head[i], index);
		r->head[i] = POOL_NONE;
	}
	r->head[i] = r->head[i] == POOL_NONE ? index : merge(w, r->head[i], index);
}

/* A new era has begun: what is due fires by deadline, what belongs to this era goes to the levels. */
static void spread_overflow(struct wheel *w)
{
	struct runs due;
	memset(&due, 0xff, sizeof due); /* POOL_NONE */
	uint32_t index = detach(w, SLOT_OVERFLOW);
	while (index != POOL_NONE) {
		struct wheel_node *n = node_at(w, index);
		uint32_t next = n->next;
		uint32_t slot = slot_for(w, n->deadline);
		if (slot == SLOT_DUE)
			runs_add(w, &due, index);
		else
			append(w, slot, index);
		index = next;
	}
	uint32_t sorted = POOL_NONE;
	for (unsigned i = 0; i < array_size(due.head); i++)
		sorted = merge(w, due.head[i], sorted);
	move(w, sorted, SLOT_FIRING);
}

/* Puts all that is due into SLOT_FIRING, in order, and the clock to `now`. */
static void collect(struct wheel *w, int64_t now)
{
	int64_t old = w->now;
	w->now = now;
	move(w, detach(w, SLOT_DUE), SLOT_FIRING);
	if (block_of(now) == block_of(old)) {
		collect_ticks(w, (int)(now & (BLOCK_TICKS - 1)));
		return;
	}
	collect_ticks(w, BLOCK_TICKS - 1);
	bool same_era = era_of(now) == era_of(old);
	int block = same_era ? (int)(block_of(now) & (ERA_BLOCKS - 1)) : ERA_BLOCKS;
	while (w->blocks && __builtin_ctzll(w->blocks) <= block) {
		int i = __builtin_ctzll(w->blocks);
		spread_block(w, SLOT_BLOCK + (uint32_t)i);
		collect_ticks(w, i == block ? (int)(now & (BLOCK_TICKS - 1)) : BLOCK_TICKS - 1);
	}
	if (!same_era)
		spread_overflow(w);
}

struct wheel *wheel_new(struct pool *pool, size_t node_offset, int64_t now)
{
	struct wheel *w = calloc(1, sizeof *w);
	if (!w)
		return NULL;
	w->nodes = pool->base + node_offset;
	w->stride = pool->object_size;
	w->now = now;
	memset(w->slot, 0xff, sizeof w->slot); /* POOL_NONE */
	return w;
}

struct wheel *wheel_free(struct wheel *w)
{
	free(w);
	return NULL;
}

void wheel_init_node(struct wheel_node *n)
{
	*n = (struct wheel_node){.next = POOL_NONE, .prev = POOL_NONE, .slot = WHEEL_UNARMED};
}

void wheel_arm(struct wheel *w, uint32_t index, int64_t deadline)
{
	struct wheel_node *n = node_at(w, index);
	if (n->slot != WHEEL_UNARMED)
		unlink_node(w, n);
	n->deadline = min_of(max_of(deadline, -WHEEL_FAR), WHEEL_FAR);
	append(w, slot_for(w, n->deadline), index);
}

void wheel_cancel(struct wheel *w, uint32_t index)
{
	struct wheel_node *n = node_at(w, index);
	if (n->slot != WHEEL_UNARMED)
		unlink_node(w, n);
}

/* The slot of the earliest list that holds anything, SLOTS where none does. */
static uint32_t first_slot(const struct wheel *w)
{
	if (w->slot[SLOT_FIRING].head != POOL_NONE)
		return SLOT_FIRING;
	if (w->slot[SLOT_DUE].head != POOL_NONE)
		return SLOT_DUE;
	int tick = first_tick(w);
	if (tick >= 0)
		return (uint32_t)tick;
	if (w->blocks)
		return SLOT_BLOCK + (uint32_t)__builtin_ctzll(w->blocks);
	return w->slot[SLOT_OVERFLOW].head != POOL_NONE ? SLOT_OVERFLOW : SLOTS;
}

int64_t wheel_next(const struct wheel *w)
{
	uint32_t slot = first_slot(w);
	if (slot >= SLOTS)
		return WHEEL_NEVER;
	if (slot == SLOT_FIRING || slot == SLOT_DUE)
		return w->now;
	if (slot < SLOT_BLOCK)
		return block_of(w->now) * BLOCK_TICKS + slot;
	if (slot < SLOT_OVERFLOW)
		return (era_of(w->now) * ERA_BLOCKS + (slot - SLOT_BLOCK)) * BLOCK_TICKS;
	return (era_of(w->now) + 1) * ERA_BLOCKS * BLOCK_TICKS;
}

void wheel_advance(struct wheel *w, int64_t now, void (*fire)(void *ctx, uint32_t index), void *ctx)
{
	if (now < w->now || (now == w->now && w->slot[SLOT_DUE].head == POOL_NONE))
		return;
	collect(w, now);
	uint32_t index;
	while ((index = w->slot[SLOT_FIRING].head) != POOL_NONE) {
		unlink_node(w, node_at(w, index));
		fire(ctx, index);
	}
}

void wheel_rewind(struct wheel *w, int64_t now)
{
	if (now >= w->now)
		return;
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		if (slot != SLOT_FIRING && w->slot[slot].head != POOL_NONE)
			move(w, detach(w, slot), SLOT_FIRING);
	}
	w->now = now;
	uint32_t index = detach(w, SLOT_FIRING);
	while (index != POOL_NONE) {
		struct wheel_node *n = node_at(w, index);
		uint32_t next = n->next;
		append(w, slot_for(w, n->deadline), index);
		index = next;
	}
}

uint32_t wheel_first(const struct wheel *w)
{
	uint32_t slot = first_slot(w);
	return slot < SLOTS ? w->slot[slot].head : POOL_NONE;
}

uint32_t wheel_behind(const struct wheel *w, uint32_t index)
{
	return node_at(w, index)->next;
}

void wheel_prefetch_cancel(const struct wheel *w, uint32_t index)
{
	const struct wheel_node *n = node_at(w, index);
	if (n->next != POOL_NONE)
		__builtin_prefetch(node_at(w, n->next), 1);
	if (n->prev != POOL_NONE)
		__builtin_prefetch(node_at(w, n->prev), 1);
}
