#include "outbox.h"

#include "ring.h"

#include <errno.h>
#include <stdlib.h>

static uint64_t entry_size(uint32_t len)
{
	return (sizeof(struct outbox_entry) + (uint64_t)len + 15) & ~(uint64_t)15;
}

int outbox_init(struct outbox *o)
{
	memset(o, 0, sizeof *o);
	o->bytes = aligned_alloc(64, OUTBOX_BYTES);
	return o->bytes ? 0 : -ENOMEM;
}

void outbox_fini(struct outbox *o)
{
	free(o->bytes);
	o->bytes = NULL;
}

struct outbox_entry *outbox_reserve(struct outbox *o, uint32_t room)
{
	uint64_t head = atomic_load_explicit(&o->head, memory_order_relaxed);
	uint64_t at = head % OUTBOX_BYTES, need = entry_size(room);
	uint64_t pad = at + need > OUTBOX_BYTES ? OUTBOX_BYTES - at : 0;
	unsigned spins = 0;

	while (head + pad + need - o->tail_seen > OUTBOX_BYTES) {
		o->tail_seen = atomic_load_explicit(&o->tail, memory_order_acquire);
		if (head + pad + need - o->tail_seen > OUTBOX_BYTES)
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

void outbox_commit(struct outbox *o, struct outbox_entry *entry)
{
	uint64_t head = atomic_load_explicit(&o->head, memory_order_relaxed);
	atomic_store_explicit(&o->head, head + entry_size(entry->len), memory_order_release);
}

struct outbox_entry *outbox_peek(struct outbox *o)
{
	for (;;) {
		uint64_t tail = atomic_load_explicit(&o->tail, memory_order_relaxed);
		if (tail == o->head_seen) {
			o->head_seen = atomic_load_explicit(&o->head, memory_order_acquire);
			if (tail == o->head_seen)
				return NULL;
		}
		struct outbox_entry *entry = (struct outbox_entry *)(void *)(o->bytes + tail % OUTBOX_BYTES);
		if (entry->len != OUTBOX_PAD)
			return entry;
		atomic_store_explicit(&o->tail, tail + OUTBOX_BYTES - tail % OUTBOX_BYTES, memory_order_release);
	}
}

void outbox_release(struct outbox *o, struct outbox_entry *entry)
{
	uint64_t tail = atomic_load_explicit(&o->tail, memory_order_relaxed);
	atomic_store_explicit(&o->tail, tail + entry_size(entry->len), memory_order_release);
}
