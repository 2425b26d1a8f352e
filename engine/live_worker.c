/* A live worker: see live.h for what it does, live_internal.h for what it has. */
#include "live_internal.h"

#include "hash.h"
#include "ring.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TURN_FRAMES 4096          /* taken between two looks at the clock */
#define STEP_NS (NS_PER_S / 2)    /* the clock was set, when it moves this much against the monotonic one */
#define AHEAD_NS NS_PER_S         /* no frame is from further in the future; one that says so is from now */
#define DRAIN_NS (50 * NS_PER_MS) /* beyond its lateness, for a source to give what it has */
#define AWAKE_WINDOWS 20          /* a worker that is awake is waited for this many windows */
#define EMPTY_FOREVER INT64_MAX

enum hand_kind { HAND_PACKET, HAND_FRAME };

/* What waits first at an input, or, where nothing does, the time before which nothing comes any more. */
struct head {
	int64_t ns;
	bool held;
};

/* --- handing over --- */

/* Into the ring of worker `to`, which may be this one. */
static void hand(struct live_worker *w, unsigned to, enum hand_kind kind, int64_t ts_ns, const void *head,
		 size_t head_len, const uint8_t *data, uint32_t data_len, uint64_t frames)
{
	struct live_worker *target = &w->live->worker[to];
	struct outbox *ring = &target->from[w->index];
	size_t len = head_len + data_len;
	struct outbox_entry *entry = len <= OUTBOX_ENTRY_MAX ? outbox_try_reserve(ring, (uint32_t)len) : NULL;
	if (!entry) {
		w->tally.handover_dropped += frames;
		return;
	}
	*entry = (struct outbox_entry){.order = (uint64_t)ts_ns, .len = (uint32_t)len, .kind = (uint8_t)kind};
	memcpy(entry + 1, head, head_len);
	if (data_len)
		memcpy((char *)(entry + 1) + head_len, data, data_len);
	outbox_commit(ring, entry);
	w->tally.handed_out += frames;
	/* pairs with the fence in nap(): either it sees the entry, or we see it asleep */
	atomic_thread_fence(memory_order_seq_cst);
	if (to != w->index && atomic_load_explicit(&target->sleeping, memory_order_relaxed))
		live_worker_wake(target);
}

/* --- the way of a frame --- */

static void flush_burst(struct live_worker *w)
{
	if (w->burst_count)
		worker_packets(&w->worker, w->burst_pointers, w->burst_count);
	w->burst_count = 0;
}

/* p: where w->burst[w->burst_count] is, or in a ring. */
static void take_own(struct live_worker *w, const struct packet *p)
{
	w->burst_pointers[w->burst_count++] = p;
	worker_expect(&w->worker, p);
	if (w->burst_count == BURST)
		flush_burst(w);
}

static void route(struct live_worker *w, const struct packet *p)
{
	unsigned owner = p->shard % w->live->workers;
	/* A source that steers gave this one to the wrong worker (a datagram of fragments, mostly): its connection
	 * comes on two ways, whose order only times can tell. */
	if (unlikely(owner != w->index) && !w->scattered && p->key.protocol == IPPROTO_TCP) {
		w->scattered = true;
		atomic_store_explicit(&w->live->scattered, true, memory_order_relaxed);
	}
	if (owner == w->index && !w->scattered)
		take_own(w, p);
	else
		hand(w, owner, HAND_PACKET, p->ts_ns, p, sizeof *p, p->payload, p->payload_captured, p->frames);
}

/* Where a source that steers sends it, too. */
static unsigned fragment_owner(const struct live_worker *w, const struct decode_fragment *f)
{
	unsigned long long source[2], target[2];
	memcpy(source, f->source, sizeof source);
	memcpy(target, f->target, sizeof target);
	return shard_of_fragment(&w->decode.shard_keys, source, target, f->protocol, f->id) % w->live->workers;
}

/* A datagram may hold a tunnel whose inside is a fragment again. */
static void reassemble_here(struct live_worker *w, struct decode *d, struct packet *p)
{
	enum decode_result r = DECODE_FRAGMENT;
	const uint8_t *ip;
	uint32_t len;
	while (r == DECODE_FRAGMENT) {
		const struct decode_fragment piece = d->fragment;
		struct duplicate_sight sight;
		if (w->fragments && (duplicates_fragment(w->fragments, p, &piece, &sight), sight.verdict)) {
			w->tally.fragment_duplicates += p->frames;
			return;
		}
		if (reassemble_fragment(w->reassemble, &piece, p, &ip, &len) != 1)
			return;
		r = decode_reassembled(d, ip, len, p);
	}
	if (r == DECODE_PACKET) {
		route(w, p);
		flush_burst(w); /* the datagram's bytes are good until the next fragment */
	} else {
		w->tally.fragment_undecodable += p->frames;
	}
}

static void take_frame(struct live_worker *w, const struct frame *f)
{
	struct packet *p = &w->burst[w->burst_count];
	switch (decode_frame(&w->decode, f, p)) {
	case DECODE_PACKET:
		route(w, p);
		break;
	case DECODE_FRAGMENT: {
		unsigned owner = fragment_owner(w, &w->decode.fragment);
		if (owner == w->index)
			reassemble_here(w, &w->decode, p);
		else
			hand(w, owner, HAND_FRAME, f->ts_ns, f, sizeof *f, f->data, f->caplen, 1);
		break;
	}
	default:
		break;
	}
}

static void take_handed(struct live_worker *w, struct outbox_entry *entry)
{
	if (entry->kind == HAND_PACKET) {
		struct packet *p = (struct packet *)(void *)(entry + 1);
		p->payload = (const uint8_t *)(p + 1);
		w->tally.handed_in += p->frames;
		take_own(w, p);
		return;
	}
	struct frame *f = (struct frame *)(void *)(entry + 1);
	f->data = (const uint8_t *)(f + 1);
	w->tally.handed_in++;
	struct packet *p = &w->burst[w->burst_count];
	if (decode_frame(&w->again, f, p) == DECODE_FRAGMENT)
		reassemble_here(w, &w->again, p);
}

/* --- the merge --- */

static bool refill(struct live_worker *w, struct input *in)
{
	struct source *s = in->from->source;
	in->next = in->count = 0;
	int n = s->ops->receive(s, w->index, in->frames, LOOKAHEAD);
	if (n == -ENOBUFS && in->done) { /* what was processed goes back first */
		flush_burst(w);
		s->ops->release(s, w->index, in->done);
		in->done = 0;
		n = s->ops->receive(s, w->index, in->frames, LOOKAHEAD);
	}
	in->down = n == -ENETDOWN;
	if (n == -ENODEV)
		atomic_store_explicit(&in->from->gone, true, memory_order_relaxed);
	if (n <= 0)
		return false;
	in->count = (unsigned)n;
	for (unsigned i = 0; i < in->count; i++) {
		struct frame *f = &in->frames[i];
		f->ordinal = ++w->ordinal;
		f->tap = in->from->tap;
		f->nic = in->from->nic;
		w->tally.bytes += f->wirelen;
	}
	w->tally.frames += in->count;
	w->tally.held += in->count;
	_Atomic uint64_t *taken = &in->from->taken[w->index];
	atomic_store_explicit(taken, atomic_load_explicit(taken, memory_order_relaxed) + in->count,
			      memory_order_relaxed);
	return true;
}

static int64_t wait_ns(const struct live_worker *w, const struct source *s)
{
	return min_of(s->lateness_ns, w->live->window_ns);
}

/* now_ns was read before the queue was looked at. */
static struct head head_of_input(struct live_worker *w, struct input *in, int64_t now_ns)
{
	if (in->next == in->count && !refill(w, in)) {
		bool silent = in->down || atomic_load_explicit(&in->from->gone, memory_order_relaxed);
		return (struct head){silent ? EMPTY_FOREVER : now_ns - wait_ns(w, in->from->source), false};
	}
	int64_t ns = in->frames[in->next].ts_ns;
	return (struct head){ns > now_ns + AHEAD_NS ? now_ns : ns, true};
}

/* The oldest that may be taken, and up to which time it may be taken without another look at the others. */
static unsigned choose(const struct head *heads, unsigned count, int64_t *ret_limit_ns)
{
	unsigned best = count;
	int64_t limit_ns = EMPTY_FOREVER;
	for (unsigned i = 0; i < count; i++) {
		if (heads[i].held && (best == count || heads[i].ns < heads[best].ns)) {
			if (best < count)
				limit_ns = min_of(limit_ns, heads[best].ns);
			best = i;
		} else {
			limit_ns = min_of(limit_ns, heads[i].ns);
		}
	}
	*ret_limit_ns = limit_ns;
	return best < count && heads[best].ns <= limit_ns ? best : count;
}

static int64_t earliest(const struct head *heads, unsigned count, int64_t now_ns)
{
	int64_t ns = now_ns;
	for (unsigned i = 0; i < count; i++)
		ns = min_of(ns, heads[i].ns);
	return ns;
}

static void arrive(struct live_worker *w, int64_t ts_ns)
{
	if (ts_ns < w->merged_ns)
		w->tally.reordered++;
	else
		w->merged_ns = ts_ns;
}

/* Takes own frames in the order of their times; says how far it is. */
static bool merge_queues(struct live_worker *w, int64_t now_ns, int64_t *ret_safe_ns)
{
	struct head heads[LIVE_SOURCES];
	unsigned count = w->input_count, taken = 0, best;
	int64_t limit_ns;

	heads[0] = (struct head){EMPTY_FOREVER, false};
	for (unsigned i = 0; i < count; i++)
		heads[i] = head_of_input(w, w->inputs[i], now_ns);
	while (taken < TURN_FRAMES && (best = choose(heads, count, &limit_ns)) < count) {
		struct input *in = w->inputs[best];
		do {
			if (!w->scattered)
				arrive(w, heads[best].ns);
			take_frame(w, &in->frames[in->next++]);
			in->done++;
			w->tally.held--;
			taken++;
			heads[best] = head_of_input(w, in, now_ns);
		} while (heads[best].held && heads[best].ns <= limit_ns && taken < TURN_FRAMES);
	}
	flush_burst(w);
	for (unsigned i = 0; i < count; i++) {
		struct input *in = w->inputs[i];
		if (in->done)
			in->from->source->ops->release(in->from->source, w->index, in->done);
		in->done = 0;
	}
	*ret_safe_ns = earliest(heads, count, now_ns);
	atomic_store_explicit(&w->progress_ns, *ret_safe_ns, memory_order_release);
	return taken > 0;
}

static struct head head_of_ring(struct live_worker *w, unsigned from, int64_t now_ns)
{
	struct live_worker *other = &w->live->worker[from];
	/* in this order: what was handed over before that progress is seen */
	int64_t progress_ns = atomic_load_explicit(&other->progress_ns, memory_order_acquire);
	struct outbox_entry *entry = outbox_next(&w->from[from]);
	if (entry)
		return (struct head){min_of((int64_t)entry->order, now_ns), true};
	/* one that sleeps has nothing before this; one that is awake will say so, unless it hangs */
	bool asleep = atomic_load_explicit(&other->sleeping, memory_order_relaxed);
	return (struct head){max_of(progress_ns, now_ns - (asleep ? 2 : AWAKE_WINDOWS) * w->live->window_ns), false};
}

/* Takes what was handed over: in the order of times where flows are scattered over queues, else as it comes (it is
 * whole datagrams and the like, and each flow comes through one ring). `all`: without waiting for anybody. */
static bool merge_rings(struct live_worker *w, int64_t now_ns, bool all, int64_t *ret_safe_ns)
{
	struct head heads[LIVE_WORKERS];
	unsigned count = w->live->workers, taken = 0, best;
	int64_t limit_ns;

	for (unsigned i = 0; i < count; i++)
		heads[i] = head_of_ring(w, i, now_ns);
	while (taken < TURN_FRAMES) {
		best = choose(heads, count, &limit_ns);
		if (best == count && (all || !w->scattered)) {
			for (best = 0; best < count && !heads[best].held; best++)
				;
			limit_ns = EMPTY_FOREVER;
		}
		if (best == count)
			break;
		do {
			struct outbox_entry *entry = outbox_next(&w->from[best]);
			if (w->scattered)
				arrive(w, heads[best].ns);
			outbox_take(&w->from[best], entry);
			take_handed(w, entry);
			taken++;
			heads[best] = head_of_ring(w, best, now_ns);
		} while (heads[best].held && heads[best].ns <= limit_ns && taken < TURN_FRAMES);
	}
	flush_burst(w);
	for (unsigned i = 0; i < count; i++)
		outbox_release_taken(&w->from[i]);
	if (w->scattered)
		*ret_safe_ns = earliest(heads, count, now_ns);
	return taken > 0;
}

/* --- time --- */

static void tick(struct live_worker *w, int64_t now_ns)
{
	flush_burst(w);
	worker_tick(&w->worker, 0, now_ns);
	reassemble_tick(w->reassemble, now_ns);
	w->tick_ns = now_ns;
	w->tally.now_ns = now_ns;
	w->tally.lag_ns = clock_ns(CLOCK_REALTIME) - now_ns;
	w->tally.busy_ns = (uint64_t)clock_ns(CLOCK_THREAD_CPUTIME_ID);
	live_worker_publish(w, false);
}

/* The realtime clock was set: time goes on from where it is now. */
static void watch_clock(struct live_worker *w, int64_t now_ns)
{
	int64_t offset = now_ns - clock_ns(CLOCK_MONOTONIC), moved = offset - w->clock_offset_ns;
	if (moved > -STEP_NS && moved < STEP_NS) {
		w->clock_offset_ns = offset; /* slewed, perhaps */
		return;
	}
	w->clock_offset_ns = offset;
	w->tally.clock_steps++;
	w->merged_ns = now_ns - 2 * w->live->window_ns;
	tick(w, now_ns - 2 * w->live->window_ns);
}

/* --- sources that come and go --- */

/* A source that left the plan: everything it has is taken at once. It was stopped, so it ends. */
static void empty_input(struct live_worker *w, struct input *in)
{
	struct source *s = in->from->source;
	while (in->next < in->count || refill(w, in)) {
		arrive(w, in->frames[in->next].ts_ns);
		take_frame(w, &in->frames[in->next++]);
		in->done++;
		w->tally.held--;
	}
	flush_burst(w);
	if (in->done)
		s->ops->release(s, w->index, in->done);
	in->done = 0;
}

static void adopt(struct live_worker *w, struct plan *plan)
{
	for (unsigned i = 0; i < w->input_count; i++) {
		bool stays = false;
		for (unsigned k = 0; k < plan->count && !stays; k++)
			stays = plan->source[k] == w->inputs[i]->from;
		if (!stays)
			empty_input(w, w->inputs[i]);
	}
	w->input_count = plan->count;
	for (unsigned k = 0; k < plan->count; k++)
		w->inputs[k] = plan->source[k]->input[w->index];
	w->plan = plan;
	atomic_store_explicit(&w->generation, plan->generation, memory_order_release);
}

/* --- the thread --- */

/* Something waits for the window to pass. */
static bool anything_held(struct live_worker *w)
{
	bool held = w->tally.held > 0;
	for (unsigned i = 0; i < w->live->workers && !held; i++)
		held = outbox_next(&w->from[i]) != NULL;
	return held;
}

/* Sleeps until a frame, a packet of another worker or a new plan comes, or the next tick is due. */
static void nap(struct live_worker *w, unsigned *spins)
{
	struct pollfd polls[LIVE_SOURCES + 1] = {{.fd = w->event, .events = POLLIN}};
	nfds_t count = 1;
	for (unsigned i = 0; i < w->input_count; i++) {
		const struct source *s = w->inputs[i]->from->source;
		if (s->flags & SOURCE_BUSY) {
			ring_wait(spins);
			return;
		}
		/* what is down or gone would wake us for nothing; it is looked at again at each tick */
		if (!w->inputs[i]->down && !atomic_load_explicit(&w->inputs[i]->from->gone, memory_order_relaxed))
			polls[count++] = (struct pollfd){.fd = s->ops->descriptor(s, w->index), .events = POLLIN};
	}
	if (anything_held(w)) { /* it waits for the window, not for more */
		nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS / 2}, NULL);
		return;
	}
	atomic_store_explicit(&w->sleeping, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	bool waits = atomic_load_explicit(&w->live->plan, memory_order_acquire) == w->plan;
	for (unsigned i = 0; i < w->live->workers && waits; i++)
		waits = !outbox_next(&w->from[i]);
	if (waits)
		poll(polls, count, (int)(WHEEL_TICK_NS / NS_PER_MS));
	atomic_store_explicit(&w->sleeping, false, memory_order_relaxed);
	if (polls[0].revents & POLLIN) {
		uint64_t n;
		ssize_t r maybe_unused = read(w->event, &n, sizeof n);
	}
}

void *live_worker_main(void *arg)
{
	struct live_worker *w = arg;
	struct live *l = w->live;
	int64_t drained_ns = 0;
	unsigned spins = 0;

	for (;;) {
		atomic_store_explicit(&w->beats, atomic_load_explicit(&w->beats, memory_order_relaxed) + 1,
				      memory_order_relaxed);
		struct plan *plan = atomic_load_explicit(&l->plan, memory_order_acquire);
		if (plan != w->plan)
			adopt(w, plan);
		w->scattered = plan->scattered || atomic_load_explicit(&l->scattered, memory_order_relaxed);
		unsigned shed = atomic_load_explicit(&l->shed, memory_order_relaxed);
		if (unlikely(shed != w->shed))
			worker_shed(&w->worker, w->shed = shed);
		if (l->settings.views)
			w->worker.view = view_current(l->settings.views, w->index);
		int phase = atomic_load_explicit(&l->phase, memory_order_acquire);
		int64_t now_ns = clock_ns(CLOCK_REALTIME), safe_ns;
		watch_clock(w, now_ns);
		bool busy = merge_queues(w, now_ns, &safe_ns);
		if (l->workers > 1)
			busy |= merge_rings(w, now_ns, phase == PHASE_FINISH, &safe_ns);
		if (safe_ns >= w->tick_ns + WHEEL_TICK_NS)
			tick(w, safe_ns);
		if (busy) {
			spins = 0;
			drained_ns = 0;
			continue;
		}
		int64_t mono_ns = clock_ns(CLOCK_MONOTONIC);
		if (phase == PHASE_DRAIN && !anything_held(w)) {
			drained_ns = drained_ns ? drained_ns : mono_ns;
			if (mono_ns > drained_ns + 2 * l->window_ns + DRAIN_NS)
				atomic_store_explicit(&w->phase, PHASE_DRAIN, memory_order_release);
		}
		if (phase == PHASE_FINISH)
			break;
		nap(w, &spins);
	}
	reassemble_finish(w->reassemble);
	worker_finish(&w->worker, 0, w->merged_ns > w->tick_ns ? w->merged_ns : w->tick_ns);
	w->tally.busy_ns = (uint64_t)clock_ns(CLOCK_THREAD_CPUTIME_ID);
	live_worker_publish(w, true);
	atomic_store_explicit(&w->phase, PHASE_DONE, memory_order_release);
	return NULL;
}

void live_worker_wake(struct live_worker *w)
{
	const uint64_t one = 1;
	ssize_t r maybe_unused = write(w->event, &one, sizeof one);
}

void live_worker_publish(struct live_worker *w, bool wait)
{
	if (wait)
		pthread_mutex_lock(&w->publish_lock);
	else if (pthread_mutex_trylock(&w->publish_lock))
		return;
	w->published_tally = w->tally;
	memcpy(w->published_lost, w->worker.records_lost, sizeof w->published_lost);
	struct engine_counters *c = &w->published;
	*c = (struct engine_counters){.bytes = w->tally.bytes};
	worker_add_counters(&w->worker, c);
	struct ledger *g = &c->ledger;
	g->frames = w->tally.frames;
	for (unsigned i = 0; i < DECODE_RESULT_COUNT; i++)
		g->decode[i] = i == DECODE_PACKET || i == DECODE_FRAGMENT ? 0 : w->decode.results[i];
	g->fragments = *reassemble_counters(w->reassemble);
	g->fragment_undecodable = w->tally.fragment_undecodable;
	g->duplicates += w->tally.fragment_duplicates;
	g->handover_dropped = w->tally.handover_dropped;
	memcpy(c->tunnels, w->decode.tunnels, sizeof c->tunnels);
	pthread_mutex_unlock(&w->publish_lock);
}

int live_worker_init(struct live_worker *w, struct live *l, unsigned index, struct error *e)
{
	*w = (struct live_worker){.live = l, .index = index, .event = -1};
	pthread_mutex_init(&w->publish_lock, NULL);
	unsigned shards = SHARDS / l->workers + (index < SHARDS % l->workers);
	int64_t now_ns = clock_ns(CLOCK_REALTIME);
	w->clock_offset_ns = now_ns - clock_ns(CLOCK_MONOTONIC);
	w->tick_ns = now_ns;
	atomic_store_explicit(&w->progress_ns, INT64_MIN, memory_order_relaxed);
	for (unsigned i = 0; i < BURST; i++)
		w->burst_pointers[i] = &w->burst[i];
	w->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->inputs = calloc(LIVE_SOURCES, sizeof(struct input *));
	w->from = aligned_alloc(64, l->workers * sizeof *w->from);
	if (w->event < 0 || !w->inputs || !w->from)
		return error_set(e, -ENOMEM, "no memory for a worker");
	memset(w->from, 0, l->workers * sizeof *w->from);
	int r = 0;
	for (unsigned i = 0; i < l->workers && l->workers > 1 && r == 0; i++)
		r = outbox_init(&w->from[i], l->settings.live.handover_bytes);
	if (r == 0)
		r = outbox_init(&w->outbox, l->settings.live.record_bytes);
	if (r == 0)
		r = reassemble_new(&w->reassemble, &l->settings.reassemble);
	if (r == 0 && l->settings.duplicates.active) {
		struct duplicate_settings of = engine_fragment_duplicates(&l->settings, l->workers);
		r = duplicates_new(&w->fragments, &of, SHARDS, l->hash_seed);
	}
	if (r < 0)
		return error_set(e, r, "no memory for the queues of a worker");
	if ((r = decode_init(&w->decode, &l->settings.decode, l->hash_seed, l->shard_salt, e)) < 0 ||
	    (r = decode_init(&w->again, &l->settings.decode, l->hash_seed, l->shard_salt, e)) < 0)
		return r;
	r = worker_init(&w->worker, &l->settings, l->sinks, l->sink_count, shards, now_ns, &w->outbox, e);
	atomic_store_explicit(&w->worker.lossy, true, memory_order_relaxed);
	return r;
}

void live_worker_fini(struct live_worker *w)
{
	worker_fini(&w->worker);
	if (w->reassemble)
		w->reassemble = reassemble_free(w->reassemble);
	w->fragments = duplicates_free(w->fragments);
	outbox_fini(&w->outbox);
	for (unsigned i = 0; w->from && i < w->live->workers; i++)
		outbox_fini(&w->from[i]);
	free(w->from);
	free(w->inputs);
	if (w->event >= 0)
		close(w->event);
	pthread_mutex_destroy(&w->publish_lock);
}
