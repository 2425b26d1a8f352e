#include "outbox.h"

#include "ring.h"

#include <errno.h>
#include <stdlib.h>

static uint64_t entry_size(uint32_t len)
{
	return (sizeof(struct outbox_entry) + (uint64_t)len + 15) & ~(uint64_t)15;
}

int outbox_init(struct outbox *o, uint64_t size)
{
	memset(o, 0, sizeof *o);
	o->bytes = aligned_alloc(64, size);
	o->size = size;
	return o->bytes ? 0 : -ENOMEM;
}

void outbox_fini(struct outbox *o)
{
	free(o->bytes);
	o->bytes = NULL;
}

static bool has_room(struct outbox *o, uint64_t end)
{
	if (end - o->tail_seen <= o->size)
		return true;
	o->tail_seen = atomic_load_explicit(&o->tail, memory_order_acquire);
	return end - o->tail_seen <= o->size;
}

static struct outbox_entry *reserve(struct outbox *o, uint32_t room, bool wait)
{
	uint64_t head = atomic_load_explicit(&o->head, memory_order_relaxed);
	uint64_t at = head & (o->size - 1), need = entry_size(room);
	uint64_t pad = at + need > o->size ? o->size - at : 0;
	unsigned spins = 0;

	while (!has_room(o, head + pad + need)) {
		if (!wait)
			return NULL;
		ring_wait(&spins);
	}
	if (pad) {
		struct outbox_entry *filler = (struct outbox_entry *)(void *)(o->bytes + at);
		filler->len = OUTBOX_PAD;
		atomic_store_explicit(&o->head, head + pad, memory_order_release);
		at = 0;
	}
	return (struct outbox_entry *)(void *)(o->bytes + at);
}

struct outbox_entry *outbox_reserve(struct outbox *o, uint32_t room)
{
	return reserve(o, room, true);
}

struct outbox_entry *outbox_try_reserve(struct outbox *o, uint32_t room)
{
	return reserve(o, room, false);
}

void outbox_commit(struct outbox *o, struct outbox_entry *entry)
{
	uint64_t head = atomic_load_explicit(&o->head, memory_order_relaxed);
	atomic_store_explicit(&o->head, head + entry_size(entry->len), memory_order_release);
}

/* The entry at *at, having stepped over padding; NULL: nothing there yet. */
static struct outbox_entry *look(struct outbox *o, uint64_t *at)
{
	for (;;) {
		if (*at == o->head_seen) {
			o->head_seen = atomic_load_explicit(&o->head, memory_order_acquire);
			if (*at == o->head_seen)
				return NULL;
		}
		struct outbox_entry *entry = (struct outbox_entry *)(void *)(o->bytes + (*at & (o->size - 1)));
		if (entry->len != OUTBOX_PAD)
			return entry;
		*at += o->size - (*at & (o->size - 1));
	}
}

struct outbox_entry *outbox_peek(struct outbox *o)
{
	uint64_t tail = atomic_load_explicit(&o->tail, memory_order_relaxed), at = tail;
	struct outbox_entry *entry = look(o, &at);
	if (at != tail)
		atomic_store_explicit(&o->tail, at, memory_order_release);
	return entry;
}

void outbox_release(struct outbox *o, struct outbox_entry *entry)
{
	uint64_t tail = atomic_load_explicit(&o->tail, memory_order_relaxed);
	atomic_store_explicit(&o->tail, tail + entry_size(entry->len), memory_order_release);
}

struct outbox_entry *outbox_next(struct outbox *o)
{
	return look(o, &o->taken);
}

void outbox_take(struct outbox *o, const struct outbox_entry *entry)
{
	o->taken += entry_size(entry->len);
}

void outbox_release_taken(struct outbox *o)
{
	atomic_store_explicit(&o->tail, o->taken, memory_order_release);
}
