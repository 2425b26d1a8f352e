/* worker.h - one worker: its virtual shards, its flow table, its sessions, and what its records go into. */
#ifndef TS_ENGINE_WORKER_H
#define TS_ENGINE_WORKER_H

#include "engine.h"
#include "outbox.h"
#include "tap.h"
#include "view.h"

#define BURST 32

struct worker {
	const struct engine_settings *settings;
	struct sink *const *sinks;
	unsigned sink_count;
	struct flowtab *table;
	struct duplicates *duplicates; /* NULL: they are not removed */
	struct sessions *sessions;
	struct outbox *outbox;   /* NULL: records go straight into the sinks */
	_Atomic bool lossy;      /* live: a record that finds the outbox full is lost, and counted; else it waits */
	char *scratch;           /* OUTBOX_ENTRY_MAX, where there is no outbox */
	const struct view *view; /* whose addresses are whose; NULL: nothing is known */
	uint64_t order;          /* of the packet or tick at hand */
	uint64_t records[RECORD_KINDS], records_lost[RECORD_KINDS]; /* made; of these found no room on their way out */
	uint64_t packets, duplicate_frames;
	int failed; /* a sink's -errno */
};

/* shards: how many of the virtual shards it owns. 0 or -errno with e. */
int worker_init(struct worker *w, const struct engine_settings *settings, struct sink *const *sinks,
		unsigned sink_count, unsigned shards, int64_t now_ns, struct outbox *outbox, struct error *e);
void worker_fini(struct worker *w);

/* This packet is in the next burst: called as early as possible, it hides the time that memory takes. */
static inline void worker_expect(const struct worker *w, const struct packet *p)
{
	flowtab_prefetch_bucket(w->table, p);
}
/* Packets in order, at most BURST; packet i has the order of its ordinal. */
void worker_packets(struct worker *w, const struct packet *const *packets, unsigned count);
void worker_tick(struct worker *w, uint64_t order, int64_t now_ns);
void worker_finish(struct worker *w, uint64_t order, int64_t now_ns);
/* Sheds load from now on, see live.h; level SHED_REQUESTS + n: one of 2^n new flows is kept. */
void worker_shed(struct worker *w, unsigned level);

/* placing.c: adds where the flow was seen and whose its ends are; only where there is a view. */
void worker_place_flow(const struct worker *w, const struct flow *f, struct flow_record *r);
void worker_place_request(const struct worker *w, const struct flow *f, struct request_record *r);

/* Adds what this worker counted: flow table, sessions, records, memory, and the ledger's terms on flows. */
void worker_add_counters(const struct worker *w, struct engine_counters *counters);

/* The order of a frame's records; a tick just before it has one less. */
static inline uint64_t order_of(uint64_t ordinal)
{
	return ordinal * 2 + 1;
}

#endif
