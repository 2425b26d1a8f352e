/* live.h - live capture: workers that read their own queues, hand over what is another's, and lose nothing silently.
 *
 * Worker i reads queue i of every source and owns the virtual shards s with s % workers == i. It merges its queues by
 * time, in a bounded window: a frame waits until every other queue has shown a later one or could not have an earlier
 * one any more (its source's lateness is over). So SYN comes before SYN-ACK, whichever fibre or block was late. Frames
 * that wait stay in their source's ring. What arrives later than that is counted.
 *
 * Where sources steer flows to their owners, a packet is processed where it arrived; what belongs to another worker all
 * the same (fragments once they are whole, tunnels that the source could not see through) is copied into that worker's
 * ring; a fragment goes to the worker that reassembles its datagram. Where a source does not steer, every packet goes
 * through these rings, and each worker merges them by time once more, by how far the others say they are. So it goes
 * from then on where a steering source gave a TCP segment to the wrong worker: a connection whose small segments come
 * straight and whose large ones come as fragments of a tunnel's packets would be out of order for ever. A full ring
 * drops, and counts. What is not covered: a datagram of fragments takes two hand-overs, and a worker that hangs between
 * them for longer than the window makes its packets late; where they come after their connection's end they are on no
 * flow, and counted as such.
 *
 * live_new() to live_free() belong to one control thread, but live_counters() and live_alive() to any. Records go
 * through outboxes to one export thread, which owns the sinks from live_new() to live_finish(). A sink that is slow
 * costs records (counted), never packets. */
#ifndef TS_ENGINE_LIVE_H
#define TS_ENGINE_LIVE_H

#include "engine.h"
#include "source.h"

#define LIVE_SOURCES 1024 /* attached at a time */
#define LIVE_WORKERS 64

struct live;

/* What a source is to the engine. */
struct live_input {
	struct source *source; /* taken over */
	const char *name;      /* copied */
	uint16_t tap;          /* observation point of its packets */
	uint16_t nic;          /* id of the NIC */
};

/* Fills in what steers: queues and what decode opens; the salt is live_new()'s. 0; -EINVAL as decode_init(). */
int live_steer(const struct engine_settings *settings, struct source_options *o, struct error *e);
/* Starts the workers. shard_salt: also to be given to every source. 0 or -errno with e. */
int live_new(struct live **ret_l, const struct engine_settings *settings, struct sink *const *sinks,
	     unsigned sink_count, uint64_t shard_salt, struct error *e);
/* Adds a source (whose queues are as many as workers); ret_id names it from now on. 0; -ENOSPC (the source is still the
 * caller's). */
int live_attach(struct live *l, const struct live_input *input, unsigned *ret_id);
/* Stops a source, takes what is left in its rings, closes it. Waits for at most a second. Its counters stay in the
 * totals. */
void live_detach(struct live *l, unsigned id);
/* A source that reported -ENODEV: its id, once each; -1: none. */
int live_gone(struct live *l);
/* To be called once a second or so: sheds load when frames were dropped since the last call, a worker lags more than
 * live.shed_lag behind the clock, or all threads took more than max_cpus. One level at a time, in this order: texts
 * beyond SHED_TEXT_BYTES and compressed contents of requests; requests altogether; half of all new flows, three
 * quarters, … of them; established flows keep their entries. After SHED_CALM_NS without pressure one level is taken
 * back. Returns the level now in force. */
#define SHED_LEVELS 12 /* the last keeps one of 2^9 new flows */
#define SHED_CALM_NS (10 * NS_PER_S)
unsigned live_govern(struct live *l);
/* Takes over max_cpus and live.shed_lag, and nothing else. */
void live_reconfigure(struct live *l, const struct engine_settings *settings);
/* Whether every thread has advanced since the last call: for a watchdog. */
bool live_alive(struct live *l);
/* Stops all sources, takes what is in their rings, ends all flows, writes all records, joins all threads: within
 * deadline_ns, or what is left is counted as lost. 0 or the first sink failure (-errno). The sinks are the caller's
 * again. */
int live_finish(struct live *l, int64_t deadline_ns);
struct live *live_free(struct live *l);

struct live_source_counters {
	char name[64];
	enum source_kind kind;
	uint16_t tap, nic;
	bool attached;
	uint64_t taken; /* frames that workers got from receive() */
	struct source_counters source;
};

struct live_counters {
	struct engine_counters engine; /* its ledger's frames: taken from all sources */
	struct source_counters source; /* sums over all sources, those detached too */
	uint64_t in_flight;   /* frames in rings between workers, or waiting for their turn; part of the ledger */
	uint64_t reordered;   /* frames that came later than the window */
	uint64_t clock_steps; /* of the realtime clock, seen by any worker */
	uint64_t records_lost[RECORD_KINDS];    /* no room on their way to the sinks */
	uint64_t records_unwritten;             /* that sinks took and could not write */
	uint64_t records_written[RECORD_KINDS]; /* given to the first sink, what it could not write too */
	uint64_t shed_entered[SHED_LEVELS];     /* how often each level was entered from the one below */
	unsigned shed;                          /* level now in force */
	unsigned sources;                       /* attached */
	struct {
		uint64_t busy_ns, packets, handed; /* CPU time of the thread; packets on its flows; frames given away */
		int64_t lag_ns;                    /* how far behind the clock it last was */
	} worker[LIVE_WORKERS];
	int64_t now_ns;
};
/* Any thread; as of the last tick (100 ms) of each worker, and exact after live_finish(). */
void live_counters(struct live *l, struct live_counters *ret_counters);
/* The counters of each source that was ever attached, newest first; returns how many. */
unsigned live_sources(struct live *l, struct live_source_counters *ret, unsigned max);
/* frames seen by the sources minus all terms: 0 once finished; while running, what is in the sources' own rings. */
int64_t live_remainder(const struct live_counters *c);

#endif
