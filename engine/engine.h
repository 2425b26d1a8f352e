/* engine.h - what happens to a packet, in order.
 *
 * One call replays a set of capture files into sinks. With one worker everything runs on the calling thread; with more,
 * the calling thread reads, decodes and steers, workers own virtual shards, and an export thread merges their records
 * into the one order that does not depend on how many there are. */
#ifndef TS_ENGINE_ENGINE_H
#define TS_ENGINE_ENGINE_H

#include "decode.h"
#include "dissect.h"
#include "duplicate.h"
#include "file.h"
#include "flowtab.h"
#include "option.h"
#include "reassemble.h"
#include "session.h"
#include "sink.h"

struct view; /* place/view.h */
struct views;

/* Live capture, see live.h. */
struct live_settings {
	int64_t window_ns;       /* how long a frame waits for those of other inputs */
	uint64_t handover_bytes; /* of the ring between each two workers; a power of two */
	uint64_t record_bytes;   /* of the ring from each worker to the sinks; a power of two */
	uint64_t max_cpus;       /* CPU time of all threads together; 0: no limit */
	uint64_t max_threads;
	struct option_list worker_cpus; /* numbers, as text: worker i runs on the (i mod count)th */
	int64_t shed_lag_ns;            /* a worker that is further behind makes tapscope shed load; 0: never */
};

struct engine_settings {
	uint64_t workers;    /* 1: inline */
	uint64_t ring_slots; /* of the packet ring to each worker; a power of two */
	uint64_t max_memory; /* bytes */
	uint64_t hash_seed;  /* 0: random */
	unsigned tap;        /* enum capture_tap: what an observation point is in replay */
	uint64_t stall_us;   /* tests only: each worker stalls up to this long, at random */
	struct decode_settings decode;
	struct duplicate_settings duplicates;
	struct reassemble_settings reassemble;
	struct flowtab_settings flowtab;
	struct session_settings session;
	struct live_settings live;
	/* Not options. What is known of NICs and addresses: in replay one view, live a series of them. NULL: nothing.
	 */
	const struct view *view;
	struct views *views;
};

/* Tables whose settings lie in *s; ends with a NULL room. Not freed. At most 8. */
void engine_option_tables(struct engine_settings *s, struct option_table ret_tables[8]);

/* Sets the limits of all rooms so that everything together stays below max_memory, and whether duplicates are removed.
 * engine_replay() and live_new() call it. */
void engine_share_memory(struct engine_settings *s, bool live);
/* For the duplicates of fragments, of which there are `instances`: a small part of what duplicates may take. */
struct duplicate_settings engine_fragment_duplicates(const struct engine_settings *s, unsigned instances);

/* The packet ledger: where each frame went. Every term is counted where it happens; frames must equal the sum. */
struct ledger {
	uint64_t frames;                      /* read from the source */
	uint64_t filtered;                    /* rejected by the filter */
	uint64_t decode[DECODE_RESULT_COUNT]; /* of those without a packet; PACKET and FRAGMENT are 0 here */
	struct reassemble_counters fragments; /* terms: expired, evicted, overlap, malformed, cut, held, duplicate */
	uint64_t fragment_undecodable;        /* frames of reassembled datagrams that gave no packet */
	uint64_t duplicates;                  /* frames: copies of others, fragments too */
	uint64_t flow, late, no_memory;       /* frames: on a flow, after its close, no entry to be had */
	uint64_t handover_dropped;            /* live: the ring to the worker that owns the packet was full */
	uint64_t shed;                        /* live: of flows left out under pressure */
};
/* frames minus the sum of all terms: 0, or something was lost silently. */
int64_t ledger_remainder(const struct ledger *l);

struct engine_counters {
	struct ledger ledger;
	uint64_t bytes;                  /* wire bytes of frames */
	uint64_t packets;                /* that reached the flow table */
	struct flowtab_counters flowtab; /* sums over workers */
	struct duplicate_counters duplicates;
	uint64_t records[RECORD_KINDS];
	uint64_t tunnels[TUNNEL_TYPES];
	struct session_counters sessions;     /* sums over workers */
	uint64_t workers, worker_packets_max; /* how many; packets of the busiest */
	int64_t first_ns, last_ns;            /* clock of the capture */
	uint64_t memory_touched;              /* by flow tables and sessions, bytes */
};

struct engine_input {
	const char *const *paths;
	unsigned count;
	const char *filter;
	uint64_t count_max;
	uint32_t snaplen;
};

/* Replays. 0; 3: an input was damaged (all records up to there and of the other inputs were made; e says what); -errno
 * with e. *ret_counters is set in the first two cases. *stop, where not NULL, ends the replay early when it becomes
 * true (a signal); records made so far are complete. warn is told of damaged inputs as they are met. */
int engine_replay(const struct engine_settings *settings, const struct engine_input *input, struct sink *const *sinks,
		  unsigned sink_count, void (*warn)(void *ctx, const char *message), void *ctx, const _Atomic int *stop,
		  struct engine_counters *ret_counters, struct error *e);

#endif
