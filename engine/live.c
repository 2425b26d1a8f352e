/* The control side of live capture, and the export thread. The workers are in live_worker.c. */
#include "live_internal.h"

#include "ring.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define FLUSH_NS (200 * NS_PER_MS) /* a record waits at most this long in a sink's buffer */
#define DETACH_NS NS_PER_S

/* --- export --- */

static bool write_one(struct live *l, struct outbox *o)
{
	struct outbox_entry *entry = outbox_next(o);
	if (!entry)
		return false;
	struct sink *s = l->sinks[entry->sink];
	int r = s->ops->write(s, entry->kind, (const char *)(entry + 1), entry->len);
	if (r < 0 && !atomic_load_explicit(&l->export_failed, memory_order_relaxed))
		atomic_store_explicit(&l->export_failed, r, memory_order_relaxed);
	if (r < 0)
		atomic_fetch_add_explicit(&s->lost, 1, memory_order_relaxed);
	if (entry->sink == 0)
		atomic_fetch_add_explicit(&l->written[entry->kind], 1, memory_order_relaxed);
	outbox_take(o, entry);
	return true;
}

static void flush_sinks(struct live *l)
{
	struct error e;
	for (unsigned i = 0; i < l->sink_count; i++)
		l->sinks[i]->ops->flush(l->sinks[i], &e);
}

static void *export_main(void *arg)
{
	struct live *l = arg;
	int64_t dirty_ns = 0;

	for (;;) {
		atomic_fetch_add_explicit(&l->export_beats, 1, memory_order_relaxed);
		bool stop = atomic_load_explicit(&l->export_stop, memory_order_acquire), any = false;
		for (unsigned i = 0; i < l->workers; i++) {
			struct outbox *o = &l->worker[i].outbox;
			unsigned n = 0;
			while (n < 256 && write_one(l, o))
				n++;
			any |= n > 0;
			outbox_release_taken(o);
		}
		int64_t now_ns = clock_ns(CLOCK_MONOTONIC);
		if (any && !dirty_ns)
			dirty_ns = now_ns;
		if (dirty_ns && (now_ns > dirty_ns + FLUSH_NS || (!any && stop))) {
			flush_sinks(l);
			dirty_ns = 0;
		}
		if (!any && stop)
			return NULL;
		if (!any)
			nanosleep(&(struct timespec){.tv_nsec = 2 * NS_PER_MS}, NULL);
	}
}

/* --- workers --- */

static uint64_t power_of_two(uint64_t bytes, uint64_t at_most)
{
	uint64_t size = 2 * OUTBOX_ENTRY_MAX;
	while (size < bytes && 2 * size <= at_most)
		size *= 2;
	return size;
}

/* The rings are part of max_memory: a quarter of it at most, unless that is too little for them to work at all. */
static void share_memory(struct engine_settings *s)
{
	uint64_t n = s->workers, quarter = s->max_memory / 4;
	s->live.record_bytes = power_of_two(s->live.record_bytes, quarter / 2 / n);
	s->live.handover_bytes = power_of_two(s->live.handover_bytes, quarter / 2 / (n * n));
	uint64_t rings = n * s->live.record_bytes + (n > 1 ? n * n * s->live.handover_bytes : 0);
	s->max_memory -= min_of(rings, s->max_memory / 2);
	engine_share_memory(s, true);
}

static void on_nothing(int number maybe_unused)
{
}

static int start_worker(struct live *l, unsigned i)
{
	const struct option_list *cpus = &l->settings.live.worker_cpus;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	int r = 0;
	if (cpus->count) {
		cpu_set_t set;
		CPU_ZERO(&set);
		CPU_SET(strtoul(cpus->item[i % cpus->count], NULL, 10), &set);
		r = pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
	}
	if (r == 0)
		r = pthread_create(&l->worker[i].thread, &attributes, live_worker_main, &l->worker[i]);
	pthread_attr_destroy(&attributes);
	return -r;
}

int live_new(struct live **ret_l, const struct engine_settings *settings, struct sink *const *sinks,
	     unsigned sink_count, uint64_t shard_salt, struct error *e)
{
	struct live *l = calloc(1, sizeof *l);
	struct plan *plan = calloc(1, sizeof *plan);
	if (l)
		l->worker = aligned_alloc(64, settings->workers * sizeof *l->worker);
	if (!l || !plan || !l->worker) {
		free(plan);
		free(l);
		return error_set(e, -ENOMEM, "no memory");
	}
	memset(l->worker, 0, settings->workers * sizeof *l->worker);
	l->settings = *settings;
	share_memory(&l->settings);
	l->sinks = sinks;
	l->sink_count = sink_count;
	l->workers = (unsigned)settings->workers;
	l->shard_salt = shard_salt;
	l->window_ns = settings->live.window_ns;
	l->hash_seed = settings->hash_seed;
	if (!l->hash_seed && getrandom(&l->hash_seed, sizeof l->hash_seed, 0) != sizeof l->hash_seed)
		l->hash_seed = (uint64_t)(uintptr_t)l ^ (uint64_t)clock_ns(CLOCK_REALTIME);
	plan->generation = 1;
	atomic_store_explicit(&l->plan, plan, memory_order_relaxed);
	pthread_mutex_init(&l->sources_lock, NULL);

	const struct sigaction nothing = {.sa_handler = on_nothing}; /* without SA_RESTART: a write ends */
	sigaction(SIGURG, &nothing, NULL);

	int r = 0;
	unsigned made = 0;
	for (; made < l->workers && r == 0; made++)
		r = live_worker_init(&l->worker[made], l, made, e);
	for (unsigned i = 0; i < l->workers && r == 0; i++) {
		r = start_worker(l, i);
		l->worker[i].started = r == 0;
		if (r < 0)
			error_set(e, r, "cannot start a worker thread: %s", strerror(-r));
	}
	if (r == 0) {
		r = -pthread_create(&l->export_thread, NULL, export_main, l);
		l->export_started = r == 0;
		if (r < 0)
			error_set(e, r, "cannot start the export thread: %s", strerror(-r));
	}
	if (r < 0) {
		if (made < l->workers)
			l->workers = made;
		live_finish(l, NS_PER_S);
		live_free(l);
		return r;
	}
	*ret_l = l;
	return 0;
}

struct live *live_free(struct live *l)
{
	if (!l)
		return NULL;
	if (!l->finished)
		live_finish(l, NS_PER_S);
	for (unsigned i = 0; i < l->workers; i++)
		live_worker_fini(&l->worker[i]);
	for (struct live_source *s = l->sources, *older; s; s = older) {
		older = s->older;
		for (unsigned i = 0; i < l->workers; i++)
			free(s->input[i]);
		free(s);
	}
	pthread_mutex_destroy(&l->sources_lock);
	free(atomic_load_explicit(&l->plan, memory_order_relaxed));
	free(l->worker);
	free(l);
	return NULL;
}

/* --- sources --- */

/* Every worker uses the new plan, or is done; the old one is freed. Bounded: a worker looks at least at each tick. */
static bool adopt_plan(struct live *l, struct plan *plan)
{
	struct plan *old = atomic_load_explicit(&l->plan, memory_order_relaxed);
	plan->generation = old->generation + 1;
	plan->scattered = false;
	for (unsigned i = 0; i < plan->count && l->workers > 1; i++)
		plan->scattered |= (plan->source[i]->source->flags & SOURCE_UNSTEERED) != 0;
	atomic_store_explicit(&l->plan, plan, memory_order_release);
	int64_t end_ns = clock_ns(CLOCK_MONOTONIC) + 10 * DETACH_NS;
	for (unsigned i = 0; i < l->workers; i++) {
		struct live_worker *w = &l->worker[i];
		live_worker_wake(w);
		while (w->started && atomic_load_explicit(&w->generation, memory_order_acquire) < plan->generation) {
			if (clock_ns(CLOCK_MONOTONIC) > end_ns)
				return false; /* stuck: it may still look at the old plan, which stays */
			nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
		}
	}
	free(old);
	return true;
}

int live_attach(struct live *l, const struct live_input *input, unsigned *ret_id)
{
	struct plan *old = atomic_load_explicit(&l->plan, memory_order_relaxed);
	if (old->count == LIVE_SOURCES)
		return -ENOSPC;
	struct live_source *s = calloc(1, sizeof *s);
	struct plan *plan = malloc(sizeof *plan);
	bool enough = s && plan;
	for (unsigned i = 0; i < l->workers && enough; i++) {
		s->input[i] = calloc(1, sizeof *s->input[i]);
		enough = s->input[i] != NULL;
		if (enough)
			s->input[i]->from = s;
	}
	if (!enough) {
		for (unsigned i = 0; s && i < l->workers; i++)
			free(s->input[i]);
		free(s);
		free(plan);
		return -ENOMEM;
	}
	s->source = input->source;
	s->kind = input->source->ops->kind;
	s->tap = input->tap;
	s->nic = input->nic;
	s->attached = true;
	snprintf(s->name, sizeof s->name, "%s", input->name);
	*plan = *old;
	plan->source[plan->count++] = s;
	pthread_mutex_lock(&l->sources_lock);
	s->id = l->sources ? l->sources->id + 1 : 0;
	s->older = l->sources;
	l->sources = s;
	pthread_mutex_unlock(&l->sources_lock);
	*ret_id = s->id;
	adopt_plan(l, plan);
	return 0;
}

static void close_source(struct live *l, struct live_source *s)
{
	pthread_mutex_lock(&l->sources_lock);
	s->source->ops->counters(s->source, &s->last);
	s->source = s->source->ops->close(s->source);
	s->attached = false;
	pthread_mutex_unlock(&l->sources_lock);
}

void live_detach(struct live *l, unsigned id)
{
	struct plan *old = atomic_load_explicit(&l->plan, memory_order_relaxed), *plan;
	unsigned at = 0;
	while (at < old->count && old->source[at]->id != id)
		at++;
	if (at == old->count)
		return;
	struct live_source *s = old->source[at];
	s->source->ops->stop(s->source);
	/* what is still on its way into the ring comes out within its lateness */
	int64_t rest_ns = min_of(s->source->lateness_ns + 20 * NS_PER_MS, DETACH_NS);
	nanosleep(&(struct timespec){.tv_nsec = (long)min_of(rest_ns, NS_PER_S - 1)}, NULL);
	if (!(plan = malloc(sizeof *plan)))
		return; /* it stays, stopped and silent */
	*plan = *old;
	plan->source[at] = plan->source[--plan->count];
	if (adopt_plan(l, plan))
		close_source(l, s);
}

int live_gone(struct live *l)
{
	const struct plan *plan = atomic_load_explicit(&l->plan, memory_order_relaxed);
	for (unsigned i = 0; i < plan->count; i++) {
		struct live_source *s = plan->source[i];
		if (!s->told && atomic_load_explicit(&s->gone, memory_order_relaxed)) {
			s->told = true;
			return (int)s->id;
		}
	}
	return -1;
}

/* --- the end --- */

static bool reached(struct live *l, int phase, int64_t end_ns)
{
	for (unsigned i = 0; i < l->workers; i++) {
		struct live_worker *w = &l->worker[i];
		live_worker_wake(w);
		while (w->started && atomic_load_explicit(&w->phase, memory_order_acquire) < phase) {
			if (clock_ns(CLOCK_MONOTONIC) > end_ns)
				return false;
			nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
		}
	}
	return true;
}

static bool join_by(pthread_t thread, int64_t end_ns)
{
	int64_t at_ns = clock_ns(CLOCK_REALTIME) + max_of(end_ns - clock_ns(CLOCK_MONOTONIC), NS_PER_MS);
	struct timespec at = {.tv_sec = at_ns / NS_PER_S, .tv_nsec = at_ns % NS_PER_S};
	return pthread_timedjoin_np(thread, NULL, &at) == 0;
}

/* The export thread hangs in a write: told that it is of no use any more, and woken by a signal that does nothing,
 * until it is out. */
static void abandon_sinks(struct live *l)
{
	for (unsigned i = 0; i < l->sink_count; i++)
		atomic_store_explicit(&l->sinks[i]->abandoned, true, memory_order_relaxed);
	do
		pthread_kill(l->export_thread, SIGURG);
	while (!join_by(l->export_thread, clock_ns(CLOCK_MONOTONIC) + 10 * NS_PER_MS));
}

static void set_lossy(struct live *l, bool lossy)
{
	for (unsigned i = 0; i < l->workers; i++)
		atomic_store_explicit(&l->worker[i].worker.lossy, lossy, memory_order_relaxed);
}

int live_finish(struct live *l, int64_t deadline_ns)
{
	int64_t start_ns = clock_ns(CLOCK_MONOTONIC), end_ns = start_ns + deadline_ns;
	const struct plan *plan = atomic_load_explicit(&l->plan, memory_order_relaxed);
	if (l->finished)
		return atomic_load_explicit(&l->export_failed, memory_order_relaxed);
	l->finished = true;
	for (unsigned i = 0; i < plan->count; i++)
		plan->source[i]->source->ops->stop(plan->source[i]->source);
	/* a third of the time for what is in the rings; then flows end as fast as the sinks take their records; those
	 * that find no room when three quarters have passed are lost, and the rest is for the sinks */
	atomic_store_explicit(&l->phase, PHASE_DRAIN, memory_order_release);
	reached(l, PHASE_DRAIN, start_ns + deadline_ns / 3);
	set_lossy(l, false);
	atomic_store_explicit(&l->phase, PHASE_FINISH, memory_order_release);
	if (!reached(l, PHASE_DONE, end_ns - deadline_ns / 4))
		set_lossy(l, true);
	for (unsigned i = 0; i < l->workers; i++) {
		if (l->worker[i].started)
			pthread_join(l->worker[i].thread, NULL);
	}
	atomic_store_explicit(&l->export_stop, true, memory_order_release);
	if (l->export_started && !join_by(l->export_thread, end_ns))
		abandon_sinks(l);
	for (unsigned i = 0; i < plan->count; i++)
		close_source(l, plan->source[i]);
	return atomic_load_explicit(&l->export_failed, memory_order_relaxed);
}

bool live_alive(struct live *l)
{
	bool alive = true;
	for (unsigned i = 0; i <= l->workers; i++) {
		uint64_t beats = i < l->workers ? atomic_load_explicit(&l->worker[i].beats, memory_order_relaxed)
						: atomic_load_explicit(&l->export_beats, memory_order_relaxed);
		alive &= beats != l->beats_seen[i];
		l->beats_seen[i] = beats;
	}
	return alive;
}

/* --- counters --- */

static void add_all(void *to, const void *from, size_t size)
{
	uint64_t *t = to;
	const uint64_t *f = from;
	for (size_t i = 0; i < size / sizeof *t; i++)
		t[i] += f[i];
}
_Static_assert(sizeof(struct source_counters) % 8 == 0 && sizeof(struct ledger) % 8 == 0, "added up as 64-bit numbers");

static void add_published(struct live_counters *c, struct live_worker *w)
{
	struct engine_counters *to = &c->engine;
	pthread_mutex_lock(&w->publish_lock);
	const struct engine_counters *from = &w->published;
	const struct live_tally *t = &w->published_tally;
	add_all(&to->ledger, &from->ledger, sizeof to->ledger);
	add_all(&to->flowtab, &from->flowtab, sizeof to->flowtab);
	add_all(&to->sessions, &from->sessions, sizeof to->sessions);
	add_all(to->records, from->records, sizeof to->records);
	add_all(to->tunnels, from->tunnels, sizeof to->tunnels);
	add_all(c->records_lost, w->published_lost, sizeof c->records_lost);
	to->bytes += from->bytes;
	to->packets += from->packets;
	to->memory_touched += from->memory_touched;
	to->worker_packets_max = max_of(to->worker_packets_max, from->packets);
	c->in_flight += t->held + t->handed_out - t->handed_in; /* the last two differ by worker; their sums count */
	c->reordered += t->reordered;
	c->clock_steps += t->clock_steps;
	c->worker[w->index].busy_ns = t->busy_ns;
	c->worker[w->index].packets = from->packets;
	c->worker[w->index].handed = t->handed_out;
	c->worker[w->index].lag_ns = t->lag_ns;
	c->now_ns = max_of(c->now_ns, t->now_ns);
	pthread_mutex_unlock(&w->publish_lock);
}

static void read_source(struct live *l, struct live_source *s, struct live_source_counters *ret)
{
	*ret = (struct live_source_counters){.kind = s->kind, .tap = s->tap, .nic = s->nic, .attached = s->attached};
	memcpy(ret->name, s->name, sizeof ret->name);
	for (unsigned i = 0; i < l->workers; i++)
		ret->taken += atomic_load_explicit(&s->taken[i], memory_order_relaxed);
	if (s->source)
		s->source->ops->counters(s->source, &ret->source);
	else
		ret->source = s->last;
}

void live_counters(struct live *l, struct live_counters *ret_counters)
{
	struct live_counters *c = ret_counters;
	*c = (struct live_counters){0};
	c->engine.workers = l->workers;
	for (unsigned i = 0; i < l->workers; i++)
		add_published(c, &l->worker[i]);
	pthread_mutex_lock(&l->sources_lock);
	for (struct live_source *s = l->sources; s; s = s->older) {
		struct live_source_counters one;
		read_source(l, s, &one);
		add_all(&c->source, &one.source, sizeof c->source);
		c->sources += s->attached;
	}
	pthread_mutex_unlock(&l->sources_lock);
	for (unsigned i = 0; i < l->sink_count; i++)
		c->records_unwritten += atomic_load_explicit(&l->sinks[i]->lost, memory_order_relaxed);
	c->shed = atomic_load_explicit(&l->shed, memory_order_relaxed);
	for (unsigned i = 0; i < SHED_LEVELS; i++)
		c->shed_entered[i] = peek(l->governor.steps_up[i]);
	for (unsigned i = 0; i < RECORD_KINDS; i++)
		c->records_written[i] = atomic_load_explicit(&l->written[i], memory_order_relaxed);
}

unsigned live_sources(struct live *l, struct live_source_counters *ret, unsigned max)
{
	unsigned n = 0;
	pthread_mutex_lock(&l->sources_lock);
	for (struct live_source *s = l->sources; s && n < max; s = s->older)
		read_source(l, s, &ret[n++]);
	pthread_mutex_unlock(&l->sources_lock);
	return n;
}

int64_t live_remainder(const struct live_counters *c)
{
	const struct source_counters *s = &c->source;
	int64_t in_sources =
	    (int64_t)(s->seen - s->unwanted - s->filtered - s->kernel_dropped - s->ring_dropped - s->received);
	int64_t between = (int64_t)(s->received - c->engine.ledger.frames);
	return in_sources + between + ledger_remainder(&c->engine.ledger) - (int64_t)c->in_flight;
}
