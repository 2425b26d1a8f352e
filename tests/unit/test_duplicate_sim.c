/* Duplicates, against a truth that is known: bulk transfers over a network that loses segments, seen by mirrors that
 * show every packet several times. The sender is TCP with fast retransmission (RFC 6582) and a timer, the receiver
 * acknowledges each segment at once; there is no SACK, no timestamp, and where the case says so no IP identification,
 * so retransmissions and duplicate ACKs equal what they repeat in every bit. What must come out of the mirrors is every
 * packet as often as it went by. */
#include "duplicate.h"
#include "hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEGMENTS 400
#define SEGMENT_BYTES 1000
#define FLIGHT 16 /* segments under way, where the case says nothing else */
#define TIMER_NS (250 * NS_PER_MS)
#define EVENTS 4096
#define SIGHTS 40000
#define START_NS (INT64_C(1700000000) * NS_PER_S)

static uint64_t random_state;
static uint32_t random_below(uint32_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)((random_state >> 33) % n);
}

struct mirror {
	unsigned times; /* 0: there is none */
	uint16_t nic;
	uint8_t ttl;
	uint32_t delay_us, gap_us, jitter_us; /* to the first sight; from sight to sight */
};

enum ids { IDS_NONE, IDS_NEW, IDS_REPEATED }; /* of a retransmission */

struct world {
	const char *name;
	enum ids ids;
	uint32_t to_sender_us, to_receiver_us; /* from where the mirrors are */
	struct mirror mirror[3];
	bool midstream;  /* the handshake is not seen */
	bool one_way;    /* nor is what comes from the receiver */
	bool settled;    /* it goes on after a pause */
	unsigned lost;   /* sights of 1000 that mirrors lose */
	bool may_keep;   /* copies may stay: nothing can be known */
	unsigned flight; /* 0: FLIGHT */
};

/* A packet as it goes by the mirrors. */
struct passing {
	int64_t ns;
	bool ack;
	uint8_t flags;
	uint32_t seq, number; /* number: of the acknowledgment */
	uint16_t id;
};

struct event {
	int64_t ns;
	enum { DATA_ARRIVES, ACK_ARRIVES, TIMER } kind;
	uint32_t number;
};

struct transfer {
	const struct world *w;
	unsigned loss; /* of 1000, on either side of the mirrors */
	int64_t now_ns;
	struct event event[EVENTS];
	unsigned event_count;
	struct passing passing[SIGHTS];
	unsigned passing_count;
	uint32_t una, next, recover, received_to;
	unsigned dup_acks;
	int64_t timer_ns;
	bool received[SEGMENTS + 1];
	uint16_t id[2], id_of[SEGMENTS + 1];
	unsigned retransmissions;
};

static void schedule(struct transfer *t, int64_t ns, int kind, uint32_t number)
{
	assert_true(t->event_count < EVENTS);
	t->event[t->event_count++] = (struct event){ns, kind, number};
}

static struct event next_event(struct transfer *t)
{
	unsigned first = 0;
	for (unsigned i = 1; i < t->event_count; i++)
		if (t->event[i].ns < t->event[first].ns)
			first = i;
	struct event e = t->event[first];
	t->event[first] = t->event[--t->event_count];
	return e;
}

static void pass(struct transfer *t, int64_t ns, bool ack, uint8_t flags, uint32_t seq, uint32_t number, uint16_t id)
{
	assert_true(t->passing_count < SIGHTS);
	t->passing[t->passing_count++] = (struct passing){ns, ack, flags, seq, number, id};
}

static uint16_t next_id(struct transfer *t, bool ack)
{
	return t->w->ids == IDS_NONE ? 0 : ++t->id[ack];
}

static void send_data(struct transfer *t, uint32_t segment, bool again)
{
	if (!again || t->w->ids != IDS_REPEATED)
		t->id_of[segment] = next_id(t, false);
	t->retransmissions += again;
	t->timer_ns = t->now_ns + TIMER_NS;
	schedule(t, t->timer_ns, TIMER, segment);
	if (random_below(1000) < t->loss)
		return;
	int64_t at_ns = t->now_ns + t->w->to_sender_us * NS_PER_US;
	pass(t, at_ns, false, TCP_ACK, 1 + segment * SEGMENT_BYTES, 0, t->id_of[segment]);
	if (random_below(1000) < t->loss)
		return;
	schedule(t, at_ns + t->w->to_receiver_us * NS_PER_US, DATA_ARRIVES, segment);
}

static void send_new(struct transfer *t)
{
	while (t->next < SEGMENTS && t->next < t->una + (t->w->flight ? t->w->flight : FLIGHT)) {
		t->now_ns += 200; /* one behind the other */
		send_data(t, t->next++, false);
	}
}

static void on_data(struct transfer *t, uint32_t segment)
{
	t->received[segment] = true;
	while (t->received[t->received_to])
		t->received_to++;
	uint16_t id = next_id(t, true);
	if (random_below(1000) < t->loss / 4)
		return;
	int64_t at_ns = t->now_ns + t->w->to_receiver_us * NS_PER_US;
	pass(t, at_ns, true, TCP_ACK, 1, 1 + t->received_to * SEGMENT_BYTES, id);
	schedule(t, at_ns + t->w->to_sender_us * NS_PER_US, ACK_ARRIVES, t->received_to);
}

static void on_ack(struct transfer *t, uint32_t number)
{
	if (number > t->una) {
		bool recovering = t->dup_acks >= 3 && number < t->recover;
		t->una = number;
		t->dup_acks = recovering ? 3 : 0;
		if (recovering)
			send_data(t, t->una, true);
	} else if (number == t->una && t->una < t->next && ++t->dup_acks == 3) {
		t->recover = t->next;
		send_data(t, t->una, true);
	}
	send_new(t);
}

static void transfer(struct transfer *t)
{
	if (!t->w->midstream) {
		pass(t, START_NS, false, TCP_SYN, 0, 0, next_id(t, false));
		pass(t, START_NS + 5 * NS_PER_US + t->w->to_receiver_us * 2 * NS_PER_US, true, TCP_SYN | TCP_ACK, 0, 1,
		     0);
	}
	t->now_ns = START_NS + (t->w->settled ? 300 : 30) * NS_PER_MS;
	if (t->w->settled) /* something of each side, long before */
		for (unsigned i = 0; i < 2; i++)
			pass(t, START_NS + 150 * NS_PER_MS, i, TCP_ACK | TCP_PSH, 0, 0, next_id(t, i));
	send_new(t);
	while (t->una < SEGMENTS) {
		assert_true(t->event_count);
		struct event e = next_event(t);
		t->now_ns = max_of(t->now_ns, e.ns);
		if (e.kind == DATA_ARRIVES) {
			on_data(t, e.number);
		} else if (e.kind == ACK_ARRIVES) {
			on_ack(t, e.number);
		} else if (e.ns == t->timer_ns) {
			t->dup_acks = 0;
			send_data(t, t->una, true);
		}
	}
}

struct sight {
	int64_t ns;
	unsigned order, passing;
	const struct mirror *mirror;
};

static int earlier(const void *a, const void *b)
{
	const struct sight *x = a, *y = b;
	if (x->ns != y->ns)
		return x->ns < y->ns ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static struct packet packet_of(const struct world *w, const struct passing *s, const struct mirror *m, int64_t ns)
{
	struct packet p = {.frames = 1, .window = 500, .ts_ns = ns, .direction = s->ack, .flags = PACKET_HAS_MAC};
	p.key.ip_version = w->ids == IDS_NONE ? 6 : 4;
	p.key.protocol = 6;
	p.key.address[0][0] = 1;
	p.key.port[0] = 40000;
	p.key.port[1] = 80;
	p.shard = 5;
	p.tcp_flags = s->flags;
	p.seq = s->seq;
	p.ack = s->number;
	p.ip_id = s->id;
	p.payload_len = s->ack || s->flags != TCP_ACK ? 0 : SEGMENT_BYTES;
	p.nic = m->nic;
	p.ttl = m->ttl;
	p.mac_source[5] = s->ack;
	p.mac_target[5] = !s->ack;
	return p;
}

static unsigned sights_of(const struct world *w, const struct transfer *t, struct sight *sights, unsigned *ret_seen)
{
	unsigned n = 0;
	for (size_t k = 0; k < array_size(w->mirror) && w->mirror[k].times; k++) {
		const struct mirror *m = &w->mirror[k];
		int64_t last_ns = 0; /* a mirror keeps the order */
		for (unsigned i = 0; i < t->passing_count; i++) {
			if (w->one_way && t->passing[i].ack)
				continue;
			int64_t ns = t->passing[i].ns + m->delay_us * NS_PER_US + random_below(m->jitter_us * 1000 + 1);
			last_ns = ns = max_of(ns, last_ns + 1);
			for (unsigned c = 0; c < m->times; c++) {
				if (random_below(1000) < w->lost)
					continue;
				assert_true(n < SIGHTS);
				sights[n] = (struct sight){ns + c * m->gap_us * NS_PER_US, n, i, m};
				n++;
				ret_seen[i]++;
			}
		}
	}
	qsort(sights, n, sizeof *sights, earlier);
	return n;
}

/* Whether two packets that passed show the same in every bit. */
static bool same_face(const struct passing *a, const struct passing *b)
{
	return a->ack == b->ack && a->flags == b->flags && a->seq == b->seq && a->number == b->number && a->id == b->id;
}

static void run(const struct world *w, uint64_t seed, unsigned loss, unsigned *ret_retransmissions)
{
	static struct transfer t;
	static struct sight sights[SIGHTS];
	static unsigned seen[SIGHTS];
	static bool counted[SIGHTS];
	static int kept[SIGHTS];
	t = (struct transfer){.w = w, .loss = loss};
	memset(seen, 0, sizeof seen);
	memset(counted, 0, sizeof counted);
	memset(kept, 0, sizeof kept);
	random_state = seed;
	transfer(&t);
	unsigned n = sights_of(w, &t, sights, seen);

	struct duplicates *d;
	struct duplicate_settings settings = {.window_ns = 100 * NS_PER_MS};
	duplicates_share_memory(&settings, 64 << 20);
	assert_int_equal(duplicates_new(&d, &settings, 1, seed), 0);
	for (unsigned i = 0; i < n; i++) {
		struct packet p = packet_of(w, &t.passing[sights[i].passing], sights[i].mirror, sights[i].ns);
		const struct packet *q = &p;
		struct duplicate_sight r;
		duplicates_check(d, &q, 1, &r);
		kept[sights[i].passing] += r.verdict == DUPLICATE_NEW;
	}
	duplicates_free(d);
	unsigned wrong = 0;
	for (unsigned i = 0; i < t.passing_count; i++) {
		if (counted[i])
			continue;
		int want = 0, have = 0;
		for (unsigned k = i; k < t.passing_count; k++) {
			if (!same_face(&t.passing[i], &t.passing[k]))
				continue;
			counted[k] = true;
			want += !!seen[k];
			have += kept[k];
		}
		if (w->may_keep ? have < want : have != want) {
			print_message("%s, seed %llu, loss %u: %s %u went by %d times, told %d times\n", w->name,
				      (unsigned long long)seed, loss, t.passing[i].ack ? "ACK" : "segment",
				      t.passing[i].ack ? t.passing[i].number : t.passing[i].seq, want, have);
			wrong++;
		}
	}
	*ret_retransmissions += t.retransmissions;
	assert_int_equal(wrong, 0);
}

#define ONCE                                                                                                           \
	{                                                                                                              \
		1, 1, 64, 0, 0, 0                                                                                      \
	}
#define TWICE                                                                                                          \
	{                                                                                                              \
		2, 1, 64, 0, 3, 2                                                                                      \
	}
#define ROUTED                                                                                                         \
	{                                                                                                              \
		1, 1, 63, 9, 0, 4                                                                                      \
	}
#define ROUTED_TWICE                                                                                                   \
	{                                                                                                              \
		2, 1, 63, 9, 2, 4                                                                                      \
	}
#define FAR                                                                                                            \
	{                                                                                                              \
		1, 2, 62, 30000, 0, 300                                                                                \
	}
#define MIDDLE 400, 900 /* us to sender, to receiver */
#define NEAR 10, 15

static const struct world worlds[] = {
    {"one mirror", IDS_NONE, MIDDLE, {ONCE}},
    {"one mirror, near", IDS_NONE, NEAR, {ONCE}},
    {"one mirror that shows all twice", IDS_NONE, MIDDLE, {TWICE}},
    {"one mirror that shows all twice, near", IDS_NONE, NEAR, {TWICE}},
    {"one mirror that shows all three times", IDS_NONE, MIDDLE, {{3, 1, 64, 0, 4, 1}}},
    {"one that shows all twice, the second behind others", IDS_NONE, MIDDLE, {{2, 1, 64, 0, 12, 2}}},
    {"two paths", IDS_NONE, MIDDLE, {ONCE, ROUTED}},
    {"two paths, near", IDS_NONE, NEAR, {ONCE, ROUTED}},
    {"two paths, one of them twice", IDS_NONE, NEAR, {TWICE, ROUTED}},
    {"two paths, both twice", IDS_NONE, MIDDLE, {TWICE, ROUTED_TWICE}},
    {"three paths, one of them far", IDS_NONE, MIDDLE, {TWICE, ROUTED, FAR}},
    {"long runs of duplicate ACKs", IDS_NONE, MIDDLE, {TWICE, {1, 1, 63, 2, 0, 1}}, .flight = 80},
    {"the same, with one path far behind", IDS_NONE, MIDDLE, {TWICE, ROUTED}, .flight = 100, .may_keep = true},
    {"one way", IDS_NONE, MIDDLE, {ONCE}, .one_way = true},
    {"one way, near, twice", IDS_NONE, NEAR, {TWICE}, .one_way = true},
    {"from the middle", IDS_NONE, MIDDLE, {ONCE}, .midstream = true},
    {"from the middle, near, two paths", IDS_NONE, NEAR, {ONCE, ROUTED}, .midstream = true},
    {"from the middle, twice", IDS_NONE, NEAR, {TWICE}, .midstream = true, .may_keep = true},
    {"new identifications", IDS_NEW, MIDDLE, {TWICE, ROUTED_TWICE}},
    {"new identifications, from the middle", IDS_NEW, NEAR, {TWICE, ROUTED, FAR}, .midstream = true},
    {"new identifications, mirrors that lose", IDS_NEW, MIDDLE, {TWICE, ROUTED_TWICE, FAR}, .lost = 20},
    {"repeated identifications, all twice", IDS_REPEATED, MIDDLE, {TWICE}},
    {"repeated identifications, after a pause", IDS_REPEATED, NEAR, {ONCE}, .settled = true},
};

static void transfers(void **state maybe_unused)
{
	for (size_t i = 0; i < array_size(worlds); i++) {
		unsigned retransmissions = 0;
		for (uint64_t seed = 1; seed <= 12; seed++)
			for (unsigned loss = 0; loss <= 60; loss += 20)
				run(&worlds[i], seed * 977 + i, loss, &retransmissions);
		assert_true(retransmissions > 500);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(transfers)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
