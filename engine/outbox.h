/* outbox.h - encoded records from one worker to the export thread.
 *
 * A ring of bytes with one producer and one consumer. Each entry carries its order: records of all workers, merged by
 * (order, shard), are in the one order that does not depend on how many workers there are. */
#ifndef TS_ENGINE_OUTBOX_H
#define TS_ENGINE_OUTBOX_H

#include "def.h"

#include <stdatomic.h>

#define OUTBOX_BYTES (2u << 20)
#define OUTBOX_ENTRY_MAX (512u << 10) /* no encoded record is larger */

struct outbox_entry {
	uint64_t order;
	uint32_t len; /* of the bytes that follow; OUTBOX_PAD: the rest of the ring is unused */
	uint8_t shard, sink, kind, reserved;
};
#define OUTBOX_PAD UINT32_MAX

struct outbox {
	uint8_t *bytes;
	cacheline_aligned _Atomic uint64_t head; /* bytes ever put in; the worker's */
	uint64_t tail_seen;
	cacheline_aligned _Atomic uint64_t tail; /* bytes ever taken out; the export thread's */
	uint64_t head_seen;
};

int outbox_init(struct outbox *o);
void outbox_fini(struct outbox *o);
/* Worker: an entry with room for `room` bytes (at most OUTBOX_ENTRY_MAX) behind it; waits while the ring is full. */
struct outbox_entry *outbox_reserve(struct outbox *o, uint32_t room);
/* Worker: hands over the reserved entry, whose len is set (at most the room). */
void outbox_commit(struct outbox *o, struct outbox_entry *entry);
/* Export thread: the oldest entry or NULL. */
struct outbox_entry *outbox_peek(struct outbox *o);
void outbox_release(struct outbox *o, struct outbox_entry *entry);

#endif
