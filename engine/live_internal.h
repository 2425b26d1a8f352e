/* live_internal.h - what live.c (control, export) and live_worker.c share. */
#ifndef TS_ENGINE_LIVE_INTERNAL_H
#define TS_ENGINE_LIVE_INTERNAL_H

#include "live.h"
#include "worker.h"

#include <pthread.h>

#define LOOKAHEAD 256 /* frames of a queue that wait for their turn */

struct live_source;

/* One of a worker's inputs that is a queue. */
struct input {
	struct live_source *from;
	unsigned count, next; /* frames[next .. count) wait */
	unsigned done;        /* processed, not released */
	bool down;
	struct frame frames[LOOKAHEAD];
};

/* A source as the workers see it; lives until live_free(), so that its counters stay. */
struct live_source {
	struct source *source; /* NULL once closed */
	char name[64];
	unsigned id;
	uint16_t tap, nic;
	enum source_kind kind;
	_Atomic bool gone;
	bool told, attached;
	struct source_counters last;       /* as it was when it was closed */
	struct input *input[LIVE_WORKERS]; /* each its worker's */
	_Atomic uint64_t taken[LIVE_WORKERS];
	struct live_source *older; /* chain of all that ever were */
};

/* What the workers read from, replaced as a whole. */
struct plan {
	uint64_t generation;
	bool scattered; /* a source is unsteered: everything goes through the rings between workers, by time */
	unsigned count;
	struct live_source *source[LIVE_SOURCES];
};

enum live_phase {
	PHASE_RUN,
	PHASE_DRAIN,  /* the sources are stopped: take what they have, hand it over */
	PHASE_FINISH, /* nobody hands over any more: take what is in the rings, end all flows */
	PHASE_DONE,
};

/* Counted by the worker; others read the copy that it publishes at each tick. */
struct live_tally {
	uint64_t frames, bytes, handed_out, handed_in, handover_dropped, reordered, clock_steps, held;
	uint64_t fragment_undecodable, fragment_duplicates, busy_ns;
	int64_t lag_ns, now_ns;
};

struct live_worker {
	struct live *live;
	unsigned index;
	pthread_t thread;
	bool started;
	struct worker worker;
	struct decode decode, again; /* of own frames; of frames handed over, which were counted already */
	struct reassemble *reassemble;
	struct duplicates *fragments; /* copies of fragments; NULL: they are not removed */
	struct outbox outbox;         /* records */
	struct outbox *from;          /* [workers]: ring from each worker, this one too */
	struct plan *plan;            /* as adopted */
	struct input **inputs;        /* [LIVE_SOURCES], those of the plan */
	unsigned input_count;
	struct live_tally tally;
	uint64_t ordinal;
	int64_t merged_ns; /* time of the newest frame taken: what comes with less is late */
	int64_t tick_ns, clock_offset_ns;
	int event; /* wakes it */
	unsigned shed;
	bool scattered; /* the plan's, or because another worker's connection was seen here */

	struct packet burst[BURST];
	const struct packet *burst_pointers[BURST];
	unsigned burst_count;

	pthread_mutex_t publish_lock; /* the worker only tries it */
	struct live_tally published_tally;
	struct engine_counters published;
	uint64_t published_lost[RECORD_KINDS];

	cacheline_aligned _Atomic int64_t progress_ns; /* all own frames before this time have been handed over */
	_Atomic uint64_t generation;                   /* of the plan it uses */
	_Atomic uint64_t beats;
	_Atomic int phase; /* reached: enum live_phase */
	_Atomic bool sleeping;
};

/* What live_govern() saw last. */
struct governor {
	int64_t at_ns, calm_since_ns; /* monotonic */
	uint64_t dropped, busy_ns;
	uint64_t steps_up[SHED_LEVELS];
};

struct live {
	struct engine_settings settings;
	struct sink *const *sinks;
	unsigned sink_count;
	uint64_t hash_seed, shard_salt;
	unsigned workers;
	struct live_worker *worker;
	_Atomic(struct plan *) plan;
	struct live_source *sources;
	_Atomic int phase;
	_Atomic bool scattered; /* for good: a source that steers gave a connection's packet to the wrong worker */
	_Atomic unsigned shed;  /* level, see session.h and live_shed.c */
	int64_t window_ns;

	pthread_t export_thread;
	bool export_started;
	_Atomic bool export_stop;
	_Atomic uint64_t export_beats;
	_Atomic int export_failed;
	_Atomic uint64_t written[RECORD_KINDS];
	uint64_t beats_seen[LIVE_WORKERS + 1];
	bool finished;
	struct governor governor;
	pthread_mutex_t sources_lock; /* chain of sources, and closing them */
};

void *live_worker_main(void *worker);
/* Makes what a worker has of its own. 0 or -errno with e. */
int live_worker_init(struct live_worker *w, struct live *l, unsigned index, struct error *e);
void live_worker_fini(struct live_worker *w);
/* Copies its counters to where others read them; `wait`: for certain. */
void live_worker_publish(struct live_worker *w, bool wait);
void live_worker_wake(struct live_worker *w);

static inline int64_t clock_ns(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

#endif
