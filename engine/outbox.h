/* outbox.h - entries of any length from one thread to one other: encoded records from a worker to the export thread,
 * packets from one live worker to another.
 *
 * A ring of bytes with one producer and one consumer. Each entry carries its order: records of all workers, merged by
 * (order, shard), are in the one order that does not depend on how many workers there are. */
#ifndef TS_ENGINE_OUTBOX_H
#define TS_ENGINE_OUTBOX_H

#include "def.h"

#include <stdatomic.h>

#define OUTBOX_BYTES (2u << 20)       /* enough for records */
#define OUTBOX_ENTRY_MAX (512u << 10) /* no encoded record is larger */

struct outbox_entry {
	uint64_t order;
	uint32_t len; /* of the bytes that follow; OUTBOX_PAD: the rest of the ring is unused */
	uint8_t shard, sink, kind, reserved;
};
#define OUTBOX_PAD UINT32_MAX

struct outbox {
	uint8_t *bytes;
	uint64_t size;
	cacheline_aligned _Atomic uint64_t head; /* bytes ever put in; the producer's */
	uint64_t tail_seen;
	cacheline_aligned _Atomic uint64_t tail; /* bytes ever taken out; the consumer's */
	uint64_t head_seen, taken;
};

/* size: a power of two, at least 2 * OUTBOX_ENTRY_MAX; touched as it is used. 0 or -ENOMEM. */
int outbox_init(struct outbox *o, uint64_t size);
void outbox_fini(struct outbox *o);
/* Producer: an entry with room for `room` bytes (at most OUTBOX_ENTRY_MAX) behind it; waits while the ring is full. */
struct outbox_entry *outbox_reserve(struct outbox *o, uint32_t room);
/* The same, but NULL where the ring is full. */
struct outbox_entry *outbox_try_reserve(struct outbox *o, uint32_t room);
/* Producer: hands over the reserved entry, whose len is set (at most the room). */
void outbox_commit(struct outbox *o, struct outbox_entry *entry);
/* Consumer: the oldest entry or NULL. */
struct outbox_entry *outbox_peek(struct outbox *o);
void outbox_release(struct outbox *o, struct outbox_entry *entry);

/* The consumer's other way, not to be mixed with the first: look at the oldest entry that was not taken, take it, and
 * release all that were taken at once. */
struct outbox_entry *outbox_next(struct outbox *o);
void outbox_take(struct outbox *o, const struct outbox_entry *entry);
void outbox_release_taken(struct outbox *o);

#endif
