#include "engine.h"

#include "ring.h"
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define FRAMES 256                /* read at a time */
#define BACK_NS (60 * NS_PER_S)   /* a step back of the capture's clock that lasts … */
#define BACK_FRAMES 64            /* … for this many frames in a row is believed */
#define DATAGRAMS 32              /* reassembled datagrams that may be on their way to workers */
#define DATAGRAM_MAX (40 + 65535) /* the length of an IPv6 packet does not count its first header */

#ifdef FAULT_DROP_PACKET
#define FAULT_ORDINAL 3 /* this frame vanishes: a build that the ledger must catch */
#else
#define FAULT_ORDINAL 0
#endif

enum message_type { TYPE_PACKET, TYPE_TICK, TYPE_FINISH };

/* A slot of the packet ring to a worker. */
struct steer_message {
	uint64_t order;
	int64_t now_ns;
	uint32_t type;
	struct packet packet; /* last: only its used part is copied */
};

/* A worker on its own thread, and how the reader and the export thread follow it. */
struct lane {
	struct worker worker;
	struct ring ring;
	struct outbox outbox;
	pthread_t thread;
	bool started;
	unsigned shards, shards_used; /* how many it may own; how many it does */
	struct engine *engine;
	uint64_t stall_state;
	cacheline_aligned _Atomic uint64_t pushed; /* order of the last message in the ring; the reader's */
	uint64_t packets;                          /* that it was given; the reader's */
	cacheline_aligned _Atomic uint64_t
	    done; /* order of the last message whose records are in the outbox; the worker's */
	_Atomic bool finished;
};

struct engine {
	const struct engine_settings *settings;
	struct sink *const *sinks;
	unsigned sink_count;
	struct capture_files *files;
	struct decode decode;
	struct reassemble *reassemble;
	struct duplicates *fragments; /* copies of fragments; NULL: they are not removed */
	struct engine_counters counters;
	uint64_t hash_seed;
	int64_t now_ns, next_tick_ns;
	unsigned frames_back; /* in a row, whose time lies far behind the clock */
	uint64_t last_ordinal;
	bool started;

	/* inline */
	struct worker worker;
	struct packet burst[BURST];
	const struct packet *burst_pointers[BURST];
	unsigned burst_count;

	/* threads */
	unsigned lanes;
	struct lane *lane;
	struct lane *owner[SHARDS]; /* NULL: no packet of that shard yet */
	pthread_t export_thread;
	bool export_started;
	_Atomic uint64_t reader_order; /* everything up to this order is in the rings */
	_Atomic int export_failed;
	struct {
		uint8_t *bytes;
		uint64_t order;
	} datagram[DATAGRAMS];
	unsigned datagram_next;
};

int64_t ledger_remainder(const struct ledger *l)
{
	uint64_t sum = l->filtered + l->duplicates + l->flow + l->late + l->no_memory + l->fragment_undecodable +
		       l->handover_dropped + l->shed;
	for (unsigned i = 0; i < DECODE_RESULT_COUNT; i++)
		sum += l->decode[i];
	const struct reassemble_counters *f = &l->fragments;
	sum += f->frames_expired + f->frames_evicted + f->frames_overlap + f->frames_malformed + f->frames_cut +
	       f->frames_held + f->frames_duplicate;
	return (int64_t)(l->frames - sum);
}

/* --- threads --- */

static void maybe_stall(struct lane *l)
{
	uint64_t max_us = l->engine->settings->stall_us;
	if (!max_us)
		return;
	l->stall_state = l->stall_state * 6364136223846793005u + 1442695040888963407u;
	if (l->stall_state >> 60 == 0)
		nanosleep(&(struct timespec){.tv_nsec = (long)((l->stall_state >> 20) % max_us * 1000)}, NULL);
}

static void *worker_main(void *arg)
{
	struct lane *l = arg;
	const struct packet *packets[BURST];
	unsigned spins = 0;

	for (;;) {
		struct steer_message *m = ring_peek(&l->ring);
		if (!m) {
			ring_wait(&spins);
			continue;
		}
		spins = 0;
		maybe_stall(l);
		unsigned n = 0;
		uint64_t order = m->order;
		uint32_t type = m->type;
		while (n < BURST && m && m->type == TYPE_PACKET) {
			packets[n++] = &m->packet;
			worker_expect(&l->worker, &m->packet);
			order = m->order;
			m = ring_peek_at(&l->ring, n);
		}
		if (n)
			worker_packets(&l->worker, packets, n);
		else if (type == TYPE_TICK)
			worker_tick(&l->worker, order, m->now_ns);
		else
			worker_finish(&l->worker, order, m->now_ns);
		ring_release(&l->ring, max_of(n, 1u));
		atomic_store_explicit(&l->done, order, memory_order_release);
		if (!n && type == TYPE_FINISH)
			break;
	}
	atomic_store_explicit(&l->finished, true, memory_order_release);
	return NULL;
}

/* All records of this lane up to the returned order are in its outbox. */
static uint64_t watermark(struct engine *e, struct lane *l)
{
	if (atomic_load_explicit(&l->finished, memory_order_acquire))
		return UINT64_MAX;
	uint64_t reader = atomic_load_explicit(&e->reader_order, memory_order_acquire);
	uint64_t pushed = atomic_load_explicit(&l->pushed, memory_order_acquire);
	uint64_t done = atomic_load_explicit(&l->done, memory_order_acquire);
	return done >= pushed ? max_of(reader, done) : done;
}

static bool before(const struct outbox_entry *a, const struct outbox_entry *b)
{
	return a->order != b->order ? a->order < b->order : a->shard < b->shard;
}

static void *export_main(void *arg)
{
	struct engine *e = arg;
	unsigned spins = 0;

	for (;;) {
		struct outbox_entry *first = NULL;
		struct lane *from = NULL;
		uint64_t safe = UINT64_MAX;
		bool done = true;
		for (unsigned i = 0; i < e->lanes; i++) {
			struct lane *l = &e->lane[i];
			struct outbox_entry *entry = outbox_peek(&l->outbox);
			if (!entry) { /* look once more behind the watermark, which may be newer than the first look */
				uint64_t mark = watermark(e, l);
				entry = outbox_peek(&l->outbox);
				if (!entry) {
					safe = min_of(safe, mark);
					done &= mark == UINT64_MAX;
					continue;
				}
			}
			done = false;
			if (!first || before(entry, first)) {
				first = entry;
				from = l;
			}
		}
		if (!first || first->order > safe) {
			if (done)
				return NULL;
			ring_wait(&spins);
			continue;
		}
		spins = 0;
		struct sink *s = e->sinks[first->sink];
		int r = s->ops->write(s, first->kind, (const char *)(first + 1), first->len);
		if (r < 0 && !atomic_load_explicit(&e->export_failed, memory_order_relaxed))
			atomic_store_explicit(&e->export_failed, r, memory_order_relaxed);
		outbox_release(&from->outbox, first);
	}
}

static struct steer_message *claim(struct lane *l)
{
	unsigned spins = 0;
	struct steer_message *m;
	while (!(m = ring_claim(&l->ring)))
		ring_wait(&spins);
	return m;
}

static void push(struct lane *l, struct steer_message *m, uint32_t type, uint64_t order, int64_t now_ns)
{
	m->type = type;
	m->order = order;
	m->now_ns = now_ns;
	ring_publish(&l->ring);
	atomic_store_explicit(&l->pushed, order, memory_order_release);
}

static void broadcast(struct engine *e, uint32_t type, uint64_t order)
{
	for (unsigned i = 0; i < e->lanes; i++)
		push(&e->lane[i], claim(&e->lane[i]), type, order, e->now_ns);
	atomic_store_explicit(&e->reader_order, order, memory_order_release);
}

/* The order up to which every worker is done. */
static uint64_t done_order(struct engine *e)
{
	uint64_t order = UINT64_MAX;
	for (unsigned i = 0; i < e->lanes; i++) {
		struct lane *l = &e->lane[i];
		uint64_t done = atomic_load_explicit(&l->done, memory_order_acquire);
		if (done < atomic_load_explicit(&l->pushed, memory_order_relaxed))
			order = min_of(order, done);
	}
	return order;
}

/* --- the way of a frame --- */

static void flush_burst(struct engine *e)
{
	if (e->burst_count)
		worker_packets(&e->worker, e->burst_pointers, e->burst_count);
	e->burst_count = 0;
}

static void tick(struct engine *e, uint64_t order)
{
	if (e->lanes) {
		broadcast(e, TYPE_TICK, order);
	} else {
		flush_burst(e);
		worker_tick(&e->worker, order, e->now_ns);
	}
	reassemble_tick(e->reassemble, e->now_ns);
	e->next_tick_ns = (e->now_ns / WHEEL_TICK_NS + 1) * WHEEL_TICK_NS;
}

#define SHARD_WEIGHT 32 /* packets that a shard just assigned is expected to have */

/* A shard seen for the first time goes to the lane with the least to do, so that a few flows are spread as well as
 * many. Who owns a shard has no effect on the records. */
static struct lane *assign_shard(struct engine *e, uint8_t shard)
{
	struct lane *best = NULL;
	uint64_t least = UINT64_MAX;
	for (unsigned i = 0; i < e->lanes; i++) {
		struct lane *l = &e->lane[i];
		uint64_t load = l->packets + (uint64_t)l->shards_used * SHARD_WEIGHT;
		if (l->shards_used < l->shards && load < least) {
			least = load;
			best = l;
		}
	}
	best->shards_used++;
	e->owner[shard] = best;
	return best;
}

/* Hands the packet on; `p` is e->burst[e->burst_count]. */
static void steer(struct engine *e, const struct packet *p)
{
	if (!e->lanes) {
		worker_expect(&e->worker, p);
		if (++e->burst_count == BURST)
			flush_burst(e);
		return;
	}
	struct lane *l = e->owner[p->shard];
	if (unlikely(!l))
		l = assign_shard(e, p->shard);
	l->packets++;
	struct steer_message *m = claim(l);
	memcpy(&m->packet, p, offsetof(struct packet, tunnel) + p->tunnel_count * sizeof p->tunnel[0]);
	push(l, m, TYPE_PACKET, order_of(p->ordinal), 0);
	atomic_store_explicit(&e->reader_order, order_of(p->ordinal), memory_order_release);
}

/* A datagram must stay until its worker is done with it. */
static const uint8_t *keep_datagram(struct engine *e, const uint8_t *ip, uint32_t len, uint64_t order)
{
	if (!e->lanes)
		return ip;
	unsigned i = e->datagram_next++ % DATAGRAMS, spins = 0;
	while (e->datagram[i].order && done_order(e) < e->datagram[i].order)
		ring_wait(&spins);
	e->datagram[i].order = order;
	memcpy(e->datagram[i].bytes, ip, min_of(len, (uint32_t)DATAGRAM_MAX));
	return e->datagram[i].bytes;
}

/* A datagram may hold a tunnel whose inside is a fragment again. */
static void fragment(struct engine *e, struct packet *p, uint64_t ordinal)
{
	enum decode_result r = DECODE_FRAGMENT;
	const uint8_t *ip;
	uint32_t len;

	while (r == DECODE_FRAGMENT) {
		const struct decode_fragment piece = e->decode.fragment;
		struct duplicate_sight sight;
		if (e->fragments && (duplicates_fragment(e->fragments, p, &piece, &sight), sight.verdict)) {
			e->counters.ledger.duplicates += p->frames;
			return;
		}
		if (reassemble_fragment(e->reassemble, &piece, p, &ip, &len) != 1)
			return;
		ip = keep_datagram(e, ip, len, order_of(ordinal));
		r = decode_reassembled(&e->decode, ip, len, p);
	}
	if (r == DECODE_PACKET) {
		steer(e, p);
		if (!e->lanes)
			flush_burst(e); /* the datagram's bytes are good until the next fragment */
	} else {
		e->counters.ledger.fragment_undecodable += p->frames;
	}
}

static void take_frame(struct engine *e, const struct frame *f)
{
	e->frames_back = f->ts_ns < e->now_ns - BACK_NS ? e->frames_back + 1 : 0;
	if (f->ts_ns >= e->next_tick_ns || e->frames_back == BACK_FRAMES) {
		e->now_ns = f->ts_ns;
		e->frames_back = 0;
		tick(e, order_of(f->ordinal) - 1);
	}
	e->now_ns = max_of(e->now_ns, f->ts_ns);
	e->counters.last_ns = max_of(e->counters.last_ns, f->ts_ns);
	e->last_ordinal = f->ordinal;
	if (FAULT_ORDINAL && f->ordinal == FAULT_ORDINAL)
		return;
	struct packet *p = &e->burst[e->burst_count];
	switch (decode_frame(&e->decode, f, p)) {
	case DECODE_PACKET:
		steer(e, p);
		break;
	case DECODE_FRAGMENT:
		fragment(e, p, f->ordinal);
		break;
	default:
		break;
	}
}

/* The clock starts with the first frame. */
static int start(struct engine *e, int64_t now_ns, struct error *err)
{
	e->started = true;
	e->now_ns = now_ns;
	e->next_tick_ns = (now_ns / WHEEL_TICK_NS + 1) * WHEEL_TICK_NS;
	e->counters.first_ns = e->counters.last_ns = now_ns;
	for (unsigned i = 0; i < BURST; i++)
		e->burst_pointers[i] = &e->burst[i];
	if (!e->lanes)
		return worker_init(&e->worker, e->settings, e->sinks, e->sink_count, SHARDS, now_ns, NULL, err);

	uint64_t slots = 2;
	while (slots < e->settings->ring_slots && /* the rings are part of max_memory, too */
	       slots * e->lanes * sizeof(struct steer_message) < e->settings->max_memory / 16)
		slots *= 2;
	for (unsigned i = 0; i < DATAGRAMS; i++) {
		if (!(e->datagram[i].bytes = malloc(DATAGRAM_MAX)))
			return error_set(err, -ENOMEM, "no memory for fragments");
	}
	for (unsigned i = 0; i < e->lanes; i++) {
		struct lane *l = &e->lane[i];
		l->engine = e;
		l->stall_state = i + 1;
		int r = ring_init(&l->ring, sizeof(struct steer_message), (uint32_t)slots);
		if (r == 0)
			r = outbox_init(&l->outbox, OUTBOX_BYTES);
		if (r < 0)
			return error_set(err, r, "no memory for the queues of a worker");
		l->shards = SHARDS / e->lanes + (i < SHARDS % e->lanes);
		r = worker_init(&l->worker, e->settings, e->sinks, e->sink_count, l->shards, now_ns, &l->outbox, err);
		if (r < 0)
			return r;
	}
	for (unsigned i = 0; i < e->lanes; i++) {
		int r = pthread_create(&e->lane[i].thread, NULL, worker_main, &e->lane[i]);
		if (r)
			return error_set(err, -r, "cannot start a worker thread: %s", strerror(r));
		e->lane[i].started = true;
	}
	int r = pthread_create(&e->export_thread, NULL, export_main, e);
	if (r)
		return error_set(err, -r, "cannot start the export thread: %s", strerror(r));
	e->export_started = true;
	return 0;
}

static int sink_failure(struct engine *e)
{
	return e->lanes ? atomic_load_explicit(&e->export_failed, memory_order_relaxed) : e->worker.failed;
}

static void release_frames(struct engine *e)
{
	if (!e->lanes) {
		flush_burst(e);
		capture_files_release(e->files, e->last_ordinal);
		return;
	}
	uint64_t order = done_order(e);
	/* a tick's order is 2n: frame n comes after it */
	capture_files_release(e->files, order == UINT64_MAX ? e->last_ordinal : order ? (order - 1) / 2 : 0);
}

static int read_all(struct engine *e, void (*warn)(void *ctx, const char *message), void *ctx, const _Atomic int *stop,
		    struct error *err)
{
	struct frame frames[FRAMES];
	bool damaged = false;
	unsigned spins = 0;

	while (!stop || !*stop) {
		int n = capture_files_read(e->files, frames, FRAMES, err);
		if (n == 0)
			break;
		if (n == -ENOBUFS) {
			ring_wait(&spins);
			release_frames(e);
			continue;
		}
		spins = 0;
		if (n == -EAGAIN) /* a signal, perhaps the one that tells us to stop */
			continue;
		if (n < 0) { /* one input; the others go on */
			damaged = true;
			warn(ctx, err->text);
			continue;
		}
		if (!e->started) {
			int r = start(e, frames[0].ts_ns, err);
			if (r < 0)
				return r;
		}
		for (int i = 0; i < n; i++)
			take_frame(e, &frames[i]);
		release_frames(e);
		if (sink_failure(e))
			break;
	}
	return damaged ? 3 : 0;
}

/* Everything leaves, threads end. */
static void finish(struct engine *e)
{
	uint64_t order = order_of(e->last_ordinal) + 1;
	reassemble_finish(e->reassemble);
	if (!e->started)
		return;
	if (!e->lanes) {
		flush_burst(e);
		if (e->worker.table)
			worker_finish(&e->worker, order, e->now_ns);
		return;
	}
	for (unsigned i = 0; i < e->lanes; i++) {
		if (e->lane[i].started)
			push(&e->lane[i], claim(&e->lane[i]), TYPE_FINISH, order, e->now_ns);
	}
	atomic_store_explicit(&e->reader_order, order, memory_order_release);
	for (unsigned i = 0; i < e->lanes; i++) {
		if (e->lane[i].started)
			pthread_join(e->lane[i].thread, NULL);
	}
	if (e->export_started)
		pthread_join(e->export_thread, NULL);
}

static void collect(struct engine *e, struct engine_counters *ret)
{
	struct engine_counters *c = &e->counters;
	c->workers = e->lanes ? e->lanes : 1;
	if (!e->lanes)
		worker_add_counters(&e->worker, c);
	for (unsigned i = 0; i < e->lanes; i++)
		worker_add_counters(&e->lane[i].worker, c);
	const struct capture_files_counters *in = capture_files_counters(e->files);
	struct ledger *l = &c->ledger;
	l->frames = in->frames;
	l->filtered = in->filtered;
	c->bytes = in->bytes;
	for (unsigned i = 0; i < DECODE_RESULT_COUNT; i++)
		l->decode[i] = i == DECODE_PACKET || i == DECODE_FRAGMENT ? 0 : e->decode.results[i];
	l->fragments = *reassemble_counters(e->reassemble);
	memcpy(c->tunnels, e->decode.tunnels, sizeof c->tunnels);
	*ret = *c;
}

static void dismantle(struct engine *e)
{
	worker_fini(&e->worker);
	for (unsigned i = 0; i < e->lanes; i++) {
		worker_fini(&e->lane[i].worker);
		ring_fini(&e->lane[i].ring);
		outbox_fini(&e->lane[i].outbox);
	}
	for (unsigned i = 0; i < DATAGRAMS; i++)
		free(e->datagram[i].bytes);
	free(e->lane);
	e->reassemble = reassemble_free(e->reassemble);
	e->fragments = duplicates_free(e->fragments);
	e->files = capture_files_close(e->files);
	free(e);
}

int engine_replay(const struct engine_settings *settings, const struct engine_input *input, struct sink *const *sinks,
		  unsigned sink_count, void (*warn)(void *ctx, const char *message), void *ctx, const _Atomic int *stop,
		  struct engine_counters *ret_counters, struct error *err)
{
	struct engine_settings shared = *settings;
	engine_share_memory(&shared, false);

	struct engine *e = calloc(1, sizeof *e);
	if (!e)
		return error_set(err, -ENOMEM, "no memory");
	e->settings = &shared;
	e->sinks = sinks;
	e->sink_count = sink_count;
	e->hash_seed = settings->hash_seed;
	if (!e->hash_seed && getrandom(&e->hash_seed, sizeof e->hash_seed, 0) != sizeof e->hash_seed)
		e->hash_seed = (uint64_t)(uintptr_t)e;
	int r = 0;
	if (settings->workers > 1) {
		e->lane = aligned_alloc(64, settings->workers * sizeof *e->lane);
		if (!e->lane)
			r = error_set(err, -ENOMEM, "no memory");
		else
			memset(e->lane, 0, settings->workers * sizeof *e->lane);
		e->lanes = e->lane ? (unsigned)settings->workers : 0;
	}
	struct capture_files_options options = {
	    .filter = input->filter,
	    .count_max = input->count_max,
	    .tap = settings->tap,
	    .snaplen = input->snaplen,
	};
	if (r == 0)
		r = decode_init(&e->decode, &settings->decode, e->hash_seed, 0, err);
	if (r == 0 && (r = reassemble_new(&e->reassemble, &settings->reassemble)) < 0)
		error_set(err, r, "no memory for reassembly of fragments");
	if (r == 0 && shared.duplicates.active) {
		struct duplicate_settings of = engine_fragment_duplicates(&shared, 1);
		if ((r = duplicates_new(&e->fragments, &of, SHARDS, e->hash_seed)) < 0)
			error_set(err, r, "no memory for the duplicates of fragments");
	}
	if (r == 0)
		r = capture_files_open(&e->files, input->paths, input->count, &options, err);
	if (r == 0) {
		r = read_all(e, warn, ctx, stop, err);
		finish(e);
		if (r >= 0)
			collect(e, ret_counters);
		int failed = sink_failure(e);
		if (r >= 0 && failed < 0)
			r = error_set(err, failed, "writing records failed: %s", strerror(-failed));
	}
	dismantle(e);
	return r;
}
