#include "worker.h"

#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

static const uint32_t rooms[] = {16384, OUTBOX_ENTRY_MAX}; /* tried in this order for an encoded record */

static int encode(const struct sink *s, enum record_kind kind, const void *r, char *out, size_t room)
{
	return kind == RECORD_FLOW ? s->ops->encode_flow(s, r, out, room) : s->ops->encode_request(s, r, out, room);
}

/* On the sink's own thread: no way to go, and no copy where the sink lends its output. */
static void emit_here(struct worker *w, struct sink *s, enum record_kind kind, const void *record)
{
	int r = 0;
	for (unsigned k = 0; k < array_size(rooms); k++) {
		char *claimed = s->ops->claim ? s->ops->claim(s, kind, rooms[k]) : NULL;
		r = encode(s, kind, record, claimed ? claimed : w->scratch, rooms[k]);
		if (r == -ENOBUFS)
			continue;
		if (r > 0)
			r = claimed ? s->ops->commit(s, kind, (size_t)r)
				    : s->ops->write(s, kind, w->scratch, (size_t)r);
		break;
	}
	if (r < 0 && !w->failed)
		w->failed = r;
}

/* NULL: no room, and nobody may wait for it (any more). */
static struct outbox_entry *reserve(struct worker *w, uint32_t room)
{
	struct outbox_entry *entry;
	unsigned spins = 0;
	while (!(entry = outbox_try_reserve(w->outbox, room)) && !atomic_load_explicit(&w->lossy, memory_order_relaxed))
		ring_wait(&spins);
	return entry;
}

static void emit(struct worker *w, uint8_t shard, enum record_kind kind, const void *record)
{
	w->records[kind]++;
	for (unsigned i = 0; i < w->sink_count; i++) {
		struct sink *s = w->sinks[i];
		if (!w->outbox) {
			emit_here(w, s, kind, record);
			continue;
		}
		for (unsigned k = 0; k < array_size(rooms); k++) {
			struct outbox_entry *entry = reserve(w, rooms[k]);
			if (!entry) {
				w->records_lost[kind]++;
				break;
			}
			int len = encode(s, kind, record, (char *)(entry + 1), rooms[k]);
			if (len == -ENOBUFS)
				continue;
			if (len > 0) {
				*entry = (struct outbox_entry){.order = w->order,
							       .len = (uint32_t)len,
							       .shard = shard,
							       .sink = (uint8_t)i,
							       .kind = (uint8_t)kind};
				outbox_commit(w->outbox, entry);
			}
			break;
		}
	}
}

static void on_request(void *ctx, struct flow *f, const struct request_record *r)
{
	struct worker *w = ctx;
	if (unlikely(w->view)) {
		struct request_record placed = *r;
		worker_place_request(w, f, &placed);
		emit(w, f->shard, RECORD_REQUEST, &placed);
		return;
	}
	emit(w, f->shard, RECORD_REQUEST, r);
}

static void on_data(void *ctx, struct flow *f, const struct flow_data *d)
{
	struct worker *w = ctx;
	sessions_data(w->sessions, f, d);
}

static void on_gap(void *ctx, struct flow *f, unsigned direction, uint64_t missing, uint32_t seq, int64_t ts_ns)
{
	struct worker *w = ctx;
	sessions_gap(w->sessions, f, direction, missing, seq, ts_ns);
}

static void on_end(void *ctx, struct flow *f, unsigned direction, int64_t ts_ns)
{
	struct worker *w = ctx;
	sessions_end(w->sessions, f, direction, ts_ns);
}

static void on_timer(void *ctx, struct flow *f, int64_t now_ns)
{
	struct worker *w = ctx;
	sessions_timer(w->sessions, f, now_ns);
}

static void on_close(void *ctx, struct flow *f, int64_t now_ns maybe_unused)
{
	struct worker *w = ctx;
	sessions_close(w->sessions, f);
}

static void on_report(void *ctx, struct flow *f, struct flow_record *r, bool last)
{
	struct worker *w = ctx;
	sessions_report(w->sessions, f, r, last);
	if (unlikely(w->view))
		worker_place_flow(w, f, r);
	if (w->settings->flowtab.community_id)
		flow_record_set(r, community_id, ((struct text){NULL, 0})); /* whoever prints it computes it */
	emit(w, f->shard, RECORD_FLOW, r);
}

static const struct flow_calls calls = {
    .data = on_data,
    .gap = on_gap,
    .end = on_end,
    .timer = on_timer,
    .close = on_close,
    .report = on_report,
};

int worker_init(struct worker *w, const struct engine_settings *settings, struct sink *const *sinks,
		unsigned sink_count, unsigned shards, int64_t now_ns, struct outbox *outbox, struct error *e)
{
	*w = (struct worker){
	    .settings = settings, .view = settings->view, .sinks = sinks, .sink_count = sink_count, .outbox = outbox};
	if (!outbox) {
		w->scratch = malloc(OUTBOX_ENTRY_MAX);
		if (!w->scratch)
			return error_set(e, -ENOMEM, "no memory for a worker");
	}
	int r = 0;
	if (settings->duplicates.active) {
		uint64_t seed = settings->hash_seed;
		if (!seed && getrandom(&seed, sizeof seed, 0) != sizeof seed)
			seed = (uint64_t)(uintptr_t)w;
		r = duplicates_new(&w->duplicates, &settings->duplicates, shards, seed);
		if (r < 0)
			return error_set(e, r, "no memory for the duplicates: lower max_memory");
	}
	r = sessions_new(&w->sessions, &settings->session, shards, on_request, w, e);
	if (r < 0)
		return r;
	r = flowtab_new(&w->table, &settings->flowtab, shards, now_ns, &calls, w);
	if (r < 0)
		return error_set(e, r, "no memory for the flow table: lower max_memory");
	sessions_set_table(w->sessions, w->table);
	return 0;
}

void worker_fini(struct worker *w)
{
	w->sessions = sessions_free(w->sessions);
	w->table = flowtab_free(w->table);
	w->duplicates = duplicates_free(w->duplicates);
	free(w->scratch);
	w->scratch = NULL;
}

_Static_assert(BURST <= DUPLICATES_BURST, "a burst is looked at as one");

static void packets_without_copies(struct worker *w, const struct packet *const *packets, const uint32_t *hint,
				   unsigned count)
{
	struct duplicate_sight sight[BURST];
	duplicates_check(w->duplicates, packets, count, sight);
	for (unsigned i = 0; i < count; i++) {
		w->order = order_of(packets[i]->ordinal);
		if (sight[i].verdict == DUPLICATE_NEW) {
			flowtab_packet_at(w->table, packets[i], hint[i]);
			w->packets++;
		} else {
			flowtab_duplicate(w->table, packets[i], sight[i].delay_ns);
			w->duplicate_frames += packets[i]->frames;
		}
	}
}
#define DEEP_AHEAD 8 /* packets between what a connection points at being fetched and being used */

void worker_packets(struct worker *w, const struct packet *const *packets, unsigned count)
{
	uint32_t hint[BURST], l7[BURST];
	for (unsigned i = 0; i < count; i++)
		hint[i] = flowtab_prefetch_entry(w->table, packets[i]);
	for (unsigned i = 0; i < count; i++) {
		l7[i] = flowtab_prefetch_tcp(w->table, packets[i], hint[i]);
		if (l7[i] != FLOW_L7_NONE)
			sessions_prefetch(w->sessions, l7[i]);
		else if (packets[i]->payload_len)
			sessions_prefetch_new(w->sessions, packets[i]->shard);
	}
	if (w->duplicates) {
		packets_without_copies(w, packets, hint, count);
		return;
	}
	for (unsigned i = 0; i < min_of(count, (unsigned)DEEP_AHEAD); i++)
		sessions_prefetch_deep(w->sessions, l7[i]);
	for (unsigned i = 0; i < count; i++) {
		if (i + DEEP_AHEAD < count)
			sessions_prefetch_deep(w->sessions, l7[i + DEEP_AHEAD]);
		w->order = order_of(packets[i]->ordinal);
		flowtab_packet_at(w->table, packets[i], hint[i]);
	}
	w->packets += count;
}

void worker_tick(struct worker *w, uint64_t order, int64_t now_ns)
{
	w->order = order;
	flowtab_tick(w->table, now_ns);
}

void worker_shed(struct worker *w, unsigned level)
{
	sessions_shed(w->sessions, level);
	flowtab_admit(w->table, level >= SHED_FLOWS ? level - SHED_REQUESTS : 0);
}

void worker_finish(struct worker *w, uint64_t order, int64_t now_ns)
{
	w->order = order;
	flowtab_finish(w->table, now_ns);
}

static void add_duplicates(struct engine_counters *c, const struct duplicates *d)
{
	const uint64_t *from = (const uint64_t *)duplicates_counters(d);
	uint64_t *to = (uint64_t *)&c->duplicates;
	for (size_t i = 0; i < sizeof c->duplicates / sizeof *from; i++)
		to[i] += from[i];
}
_Static_assert(sizeof(struct duplicate_counters) % 8 == 0, "counters are added up as 64-bit numbers");

void worker_add_counters(const struct worker *w, struct engine_counters *c)
{
	if (!w->table)
		return;
	const struct flowtab_counters *f = flowtab_counters(w->table);
	const struct session_counters *s = sessions_counters(w->sessions);
	const uint64_t *from = (const uint64_t *)f;
	uint64_t *to = (uint64_t *)&c->flowtab;
	for (size_t i = 0; i < sizeof *f / sizeof *from; i++)
		to[i] += from[i];
	from = (const uint64_t *)s;
	to = (uint64_t *)&c->sessions;
	for (size_t i = 0; i < sizeof *s / sizeof *from; i++)
		to[i] += from[i];
	if (w->duplicates)
		add_duplicates(c, w->duplicates);
	c->ledger.duplicates += w->duplicate_frames;
	c->ledger.flow += f->flow_frames;
	c->ledger.late += f->late_frames;
	c->ledger.no_memory += f->no_memory_frames;
	c->ledger.shed += f->shed_frames;
	for (unsigned i = 0; i < RECORD_KINDS; i++)
		c->records[i] += w->records[i];
	c->packets += w->packets;
	c->memory_touched += flowtab_memory(w->table) + sessions_memory(w->sessions);
	c->memory_touched += w->duplicates ? duplicates_memory(w->duplicates) : 0;
	c->worker_packets_max = max_of(c->worker_packets_max, w->packets);
}
_Static_assert(sizeof(struct flowtab_counters) % 8 == 0 && sizeof(struct session_counters) % 8 == 0,
	       "counters are added up as 64-bit numbers");
