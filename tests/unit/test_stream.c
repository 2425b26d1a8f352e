/* Bytes in order, exactly once: random segments, disorder, copies that differ, losses, skips and cuts against a model
 * that keeps one cell for each byte; and the cases that need to be said one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flowtab_fixture.h"

#define STREAM_MAX (1 << 18)

enum cell_state { UNSEEN, SEEN, CUT };

/* What the wire has shown of one byte, and what came out. */
struct cell {
	uint8_t state, value;
	uint8_t out; /* 0: nothing yet, 1: data, 2: gap, 3: within a skip */
	int64_t ts_ns;
};

struct world {
	struct flowtab *table;
	struct cell *cells;
	uint32_t base;    /* sequence number of cell 0 */
	uint32_t given;   /* by the table: cells that are done */
	uint32_t skip_to; /* cells before this lie in a skip */
	bool in_skip;
	uint32_t expected; /* by the model */
	uint32_t acked, fin;
	unsigned ends, closes;
	uint64_t gap_bytes, gap_told;
	bool want_skips, exact;
	uint64_t random;
	int64_t now_ns;
	struct flow *flow;
};

static uint32_t pick(struct world *w, uint32_t below)
{
	w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return below ? (uint32_t)((w->random >> 33) % below) : 0;
}

static uint8_t byte_at(uint32_t at, unsigned version)
{
	return (uint8_t)(at * 167 + (at >> 8) * 13 + version * 101);
}

/* Cells that a skip lets pass unseen. */
static void pass_skip(struct world *w, uint32_t to)
{
	for (; w->given < to; w->given++)
		w->cells[w->given].out = 3;
}

static void on_data(void *ctx, struct flow *f, const struct flow_data *d)
{
	struct world *w = ctx;
	w->flow = f;
	if (d->direction)
		return;
	if (!d->len) {
		assert_true(w->in_skip);
		assert_int_equal(d->seq - w->base, w->skip_to);
		if (w->cells[w->skip_to - 1].state == SEEN && w->exact)
			assert_true(d->ts_ns == w->cells[w->skip_to - 1].ts_ns);
		pass_skip(w, w->skip_to);
		w->in_skip = false;
	} else {
		assert_false(w->in_skip);
		assert_int_equal(d->seq - w->base, w->given);
		for (uint32_t i = 0; i < d->len; i++, w->given++) {
			struct cell *c = &w->cells[w->given];
			assert_int_equal(c->out, 0);
			assert_int_equal(c->state, SEEN);
			assert_int_equal(c->value, d->data[i]);
			assert_true(c->ts_ns == d->ts_ns);
			c->out = 1;
		}
	}
	if (w->want_skips && !pick(w, 4)) {
		uint32_t n = 1 + pick(w, 6000);
		w->skip_to = w->given + n;
		w->in_skip = true;
		flow_stream_skip(w->table, f, 0, n);
	}
}

static void on_gap(void *ctx, struct flow *f, unsigned direction, uint64_t missing, uint32_t seq, int64_t ts_ns)
{
	struct world *w = ctx;
	(void)f, (void)ts_ns;
	if (direction)
		return;
	assert_false(w->in_skip);
	assert_int_equal(seq - w->base, w->given);
	assert_true(missing > 0);
	for (uint64_t i = 0; i < missing; i++, w->given++) {
		assert_int_equal(w->cells[w->given].out, 0);
		if (w->exact)
			assert_int_not_equal(w->cells[w->given].state, SEEN);
		w->cells[w->given].out = 2;
	}
	w->gap_told += missing;
}

static void on_end(void *ctx, struct flow *f, unsigned direction, int64_t ts_ns)
{
	struct world *w = ctx;
	(void)f, (void)ts_ns;
	if (direction)
		return;
	w->ends++;
	if (w->in_skip)
		pass_skip(w, w->fin);
	assert_int_equal(w->given, w->fin);
}

static void on_timer(void *ctx, struct flow *f, int64_t now_ns)
{
	(void)ctx, (void)f, (void)now_ns;
}

static void on_close(void *ctx, struct flow *f, int64_t now_ns)
{
	struct world *w = ctx;
	(void)now_ns;
	w->closes++;
	w->gap_bytes = flow_gap_bytes(w->table, f, 0);
}

static void on_report(void *ctx, struct flow *f, struct flow_record *r, bool last)
{
	(void)ctx, (void)f, (void)r, (void)last;
}

static const struct flow_calls calls = {on_data, on_gap, on_end, on_timer, on_close, on_report};

static void packet(struct world *w, bool from_server, uint8_t flags, uint32_t seq, uint32_t ack, const uint8_t *data,
		   uint32_t len, uint32_t captured)
{
	struct packet p = fixture_packet(6, 40000, 80, from_server, FIXTURE_SEED);
	w->now_ns += 1000;
	p.tcp_flags = flags;
	p.seq = seq;
	p.ack = ack;
	p.ts_ns = w->now_ns;
	fixture_set_len(&p, len);
	p.payload = data;
	p.payload_captured = captured;
	flowtab_packet(w->table, &p);
}

#define SERVER_ISN 7000

static void begin(struct world *w, const struct flowtab_settings *s, uint32_t base, bool handshake)
{
	w->base = base;
	w->now_ns = NS_PER_S;
	assert_int_equal(flowtab_new(&w->table, s, SHARDS, 0, &calls, w), 0);
	if (!handshake)
		return;
	packet(w, false, TCP_SYN, base - 1, 0, NULL, 0, 0);
	packet(w, true, TCP_SYN | TCP_ACK, SERVER_ISN, base, NULL, 0, 0);
	packet(w, false, TCP_ACK, base, SERVER_ISN + 1, NULL, 0, 0);
}

static void finish(struct world *w)
{
	flowtab_finish(w->table, w->now_ns);
	assert_int_equal(flowtab_counters(w->table)->segments_held, 0);
	assert_int_equal(w->closes, 1);
	w->table = flowtab_free(w->table);
}

/* What the model says is done once these cells were seen and this much acknowledged. */
static void settle(struct world *w, uint32_t seen_to)
{
	for (;;) {
		while (w->expected < seen_to && w->cells[w->expected].state != UNSEEN)
			w->expected++;
		uint32_t held = w->expected;
		while (held < seen_to && w->cells[held].state == UNSEEN)
			held++;
		if (held == seen_to || w->acked < held)
			return;
		w->expected = held;
	}
}

struct span {
	uint32_t from, len, captured;
	unsigned version;
};

static void random_stream(uint64_t seed, const struct flowtab_settings *s, bool exact, bool skips, bool cuts)
{
	struct world w = {.random = seed, .want_skips = skips, .exact = exact};
	w.cells = calloc(STREAM_MAX, sizeof *w.cells);
	uint32_t total = 1000 + pick(&w, 60000), segment = 1 + pick(&w, 3000);
	w.fin = total;
	struct span *spans = calloc(4 * STREAM_MAX, sizeof *spans);
	unsigned count = 0;
	/* The stream in segments; some again, with other borders and other bytes; some lost. */
	for (uint32_t at = 0; at < total;) {
		uint32_t len = min_of(1 + pick(&w, segment), total - at);
		if (pick(&w, 100) >= 4)
			spans[count++] = (struct span){at, len, cuts && !pick(&w, 8) ? pick(&w, len) : len, 0};
		if (!pick(&w, 10)) {
			uint32_t back = min_of(pick(&w, 2 * segment), at);
			uint32_t again = min_of(1 + pick(&w, 2 * segment), total - (at - back));
			spans[count++] = (struct span){at - back, again, again, 1 + pick(&w, 3)};
		}
		at += len;
	}
	unsigned reach = 1 + pick(&w, 20);
	for (unsigned i = 0; i + 1 < count; i++) {
		unsigned j = i + pick(&w, min_of(reach, count - i));
		struct span x = spans[i];
		spans[i] = spans[j];
		spans[j] = x;
	}
	begin(&w, s, pick(&w, 2) ? 0u - pick(&w, total) : pick(&w, UINT32_MAX), true);
	static uint8_t buf[65536];
	uint32_t seen_to = 0;
	for (unsigned i = 0; i < count; i++) {
		const struct span *p = &spans[i];
		for (uint32_t k = 0; k < p->len; k++) {
			buf[k] = byte_at(p->from + k, p->version);
			struct cell *c = &w.cells[p->from + k];
			if (c->state != UNSEEN || p->from + k < w.expected)
				continue;
			c->state = k < p->captured ? SEEN : CUT;
			c->value = buf[k];
			c->ts_ns = w.now_ns + 1000;
		}
		seen_to = max_of(seen_to, p->from + p->len);
		settle(&w, seen_to);
		packet(&w, false, TCP_ACK | TCP_PSH, w.base + p->from, SERVER_ISN + 1, buf, p->len, p->captured);
		if (exact)
			assert_int_equal(w.in_skip ? max_of(w.given, min_of(w.expected, w.skip_to)) : w.given,
					 w.expected);
		if (!pick(&w, 6)) {
			uint32_t ack = pick(&w, min_of(seen_to + 5000, total) + 1);
			if (ack > w.acked) {
				w.acked = ack;
				settle(&w, seen_to);
			}
			packet(&w, true, TCP_ACK, SERVER_ISN + 1, w.base + ack, NULL, 0, 0);
			if (exact)
				assert_int_equal(w.in_skip ? max_of(w.given, min_of(w.expected, w.skip_to)) : w.given,
						 w.expected);
		}
	}
	bool has_fin = pick(&w, 2);
	if (has_fin)
		packet(&w, false, TCP_FIN | TCP_ACK, w.base + total, SERVER_ISN + 1, NULL, 0, 0);
	finish(&w);
	assert_int_equal(w.ends, has_fin);
	if (has_fin && !w.in_skip)
		assert_int_equal(w.given, total);
	/* Nothing that came out was anything else than what went in; what is missing was never seen, or cut. */
	uint64_t missing = 0;
	for (uint32_t i = 0; i < w.given; i++) {
		assert_int_not_equal(w.cells[i].out, 0);
		missing += w.cells[i].out == 2 || (w.cells[i].out == 3 && w.cells[i].state == UNSEEN);
	}
	if (exact && !w.in_skip)
		assert_true(w.gap_bytes == missing);
	assert_true(w.gap_told <= w.gap_bytes);
	free(spans);
	free(w.cells);
}

static void test_exact(void **state)
{
	(void)state;
	struct flowtab_settings s = fixture_settings();
	s.reassembly_flow_bytes = 64 << 20;
	s.max_segments = SHARDS * 65536;
	for (uint64_t seed = 1; seed <= 150; seed++)
		random_stream(seed, &s, true, false, false);
}

static void test_exact_with_cuts(void **state)
{
	(void)state;
	struct flowtab_settings s = fixture_settings();
	s.reassembly_flow_bytes = 64 << 20;
	s.max_segments = SHARDS * 65536;
	for (uint64_t seed = 1; seed <= 100; seed++)
		random_stream(seed * 7919, &s, true, false, true);
}

static void test_exact_with_skips(void **state)
{
	(void)state;
	struct flowtab_settings s = fixture_settings();
	s.reassembly_flow_bytes = 64 << 20;
	s.max_segments = SHARDS * 65536;
	for (uint64_t seed = 1; seed <= 150; seed++)
		random_stream(seed * 104729, &s, true, true, seed & 1);
}

static void test_budget_of_the_flow(void **state)
{
	(void)state;
	struct flowtab_settings s = fixture_settings();
	for (uint64_t seed = 1; seed <= 100; seed++) {
		s.reassembly_flow_bytes = seed % 10 * 1024;
		random_stream(seed * 15485863, &s, false, seed & 1, seed & 2);
	}
}

static void test_budget_of_the_shard(void **state)
{
	(void)state;
	struct flowtab_settings s = fixture_settings();
	for (uint64_t seed = 1; seed <= 100; seed++) {
		s.max_segments = SHARDS * (uint32_t)(seed % 10);
		random_stream(seed * 32452843, &s, false, seed & 1, seed & 2);
	}
}

/* ---- single cases: what comes out, as text: bytes, [n] a gap, | the end, ~ the end of a skip ---- */

struct transcript {
	struct flowtab *table;
	char text[2][256];
	uint64_t skip_after_first;
	bool off_after_first;
	unsigned calls;
};

static void note(struct transcript *w, unsigned direction, const char *fmt, ...)
{
	size_t at = strlen(w->text[direction]);
	va_list args;
	va_start(args, fmt);
	vsnprintf(w->text[direction] + at, sizeof w->text[0] - at, fmt, args);
	va_end(args);
}

static void note_data(void *ctx, struct flow *f, const struct flow_data *d)
{
	struct transcript *w = ctx;
	note(w, d->direction, d->len ? "%.*s" : "~", (int)d->len, (const char *)d->data);
	if (w->calls++)
		return;
	if (w->skip_after_first)
		flow_stream_skip(w->table, f, d->direction, w->skip_after_first);
	if (w->off_after_first)
		flow_stream_off(w->table, f);
}

static void note_gap(void *ctx, struct flow *f, unsigned direction, uint64_t missing, uint32_t seq, int64_t ts_ns)
{
	(void)f, (void)seq, (void)ts_ns;
	note(ctx, direction, "[%llu]", (unsigned long long)missing);
}

static void note_end(void *ctx, struct flow *f, unsigned direction, int64_t ts_ns)
{
	(void)f, (void)ts_ns;
	note(ctx, direction, "|");
}

static void ignore_close(void *ctx, struct flow *f, int64_t now_ns)
{
	(void)ctx, (void)f, (void)now_ns;
}

static const struct flow_calls note_calls = {note_data, note_gap, note_end, on_timer, ignore_close, on_report};

static void put(struct transcript *w, bool from_server, uint8_t flags, uint32_t seq, uint32_t ack, const char *data)
{
	static int64_t now_ns = NS_PER_S;
	struct packet p = fixture_packet(6, 40000, 80, from_server, FIXTURE_SEED);
	p.tcp_flags = flags;
	p.seq = seq;
	p.ack = ack;
	p.ts_ns = now_ns;
	fixture_set_len(&p, (uint32_t)strlen(data));
	p.payload = (const uint8_t *)data;
	flowtab_packet(w->table, &p);
}

static void open_flow(struct transcript *w)
{
	put(w, false, TCP_SYN, 99, 0, "");
	put(w, true, TCP_SYN | TCP_ACK, 499, 100, "");
	put(w, false, TCP_ACK, 100, 500, "");
}

static void start_with(struct transcript *w, const struct flowtab_settings *s)
{
	assert_int_equal(flowtab_new(&w->table, s, SHARDS, 0, &note_calls, w), 0);
}

static void start(struct transcript *w)
{
	struct flowtab_settings s = fixture_settings();
	start_with(w, &s);
}

static void expect(struct transcript *w, const char *client, const char *server)
{
	assert_string_equal(w->text[0], client);
	assert_string_equal(w->text[1], server);
}

static void stop(struct transcript *w)
{
	flowtab_finish(w->table, 2 * NS_PER_S);
	assert_int_equal(flowtab_counters(w->table)->segments_held, 0);
	w->table = flowtab_free(w->table);
}

static void test_first_copy_wins(void **state)
{
	(void)state;
	struct transcript w = {0};
	start(&w);
	open_flow(&w);
	put(&w, false, TCP_ACK, 104, 500, "efgh");
	put(&w, false, TCP_ACK, 102, 500, "CDEFGHIJ");
	expect(&w, "", "");
	put(&w, false, TCP_ACK, 100, 500, "ab......");
	expect(&w, "abCDefghIJ", "");
	put(&w, false, TCP_ACK, 100, 500, "xxxxxxxxxxKL");
	expect(&w, "abCDefghIJKL", "");
	stop(&w);
}

static void test_gap_when_acknowledged(void **state)
{
	(void)state;
	struct transcript w = {0};
	start(&w);
	open_flow(&w);
	put(&w, false, TCP_ACK, 100, 500, "ab");
	put(&w, false, TCP_ACK, 105, 500, "fg");
	put(&w, true, TCP_ACK, 500, 104, ""); /* the hole is 102..105: not wholly acknowledged */
	expect(&w, "ab", "");
	put(&w, true, TCP_ACK | TCP_PSH, 500, 107, "answer");
	expect(&w, "ab[3]fg", "answer");
	put(&w, false, TCP_ACK, 102, 506, "cde"); /* too late */
	put(&w, true, TCP_ACK, 506, 120, "");     /* bytes that nothing has come after: perhaps still under way */
	put(&w, false, TCP_ACK, 107, 506, "hi");
	expect(&w, "ab[3]fghi", "answer");
	put(&w, false, TCP_ACK, 115, 506, "z"); /* those between were acknowledged */
	expect(&w, "ab[3]fghi[6]z", "answer");
	stop(&w);
	expect(&w, "ab[3]fghi[6]z[4]", "answer");
}

static void test_fin(void **state)
{
	(void)state;
	struct transcript w = {0};
	start(&w);
	open_flow(&w);
	put(&w, false, TCP_ACK, 102, 500, "cd");
	put(&w, false, TCP_ACK | TCP_FIN, 104, 500, "ef");
	put(&w, false, TCP_ACK, 106, 500, "beyond");
	put(&w, false, TCP_ACK, 100, 500, "ab");
	expect(&w, "abcdef|", "");
	put(&w, true, TCP_ACK | TCP_FIN, 503, 107, "d");
	expect(&w, "abcdef|", "");
	put(&w, false, TCP_ACK, 107, 505, "");
	expect(&w, "abcdef|", "[3]d|");
	stop(&w);
	expect(&w, "abcdef|", "[3]d|");
}

static void test_end_of_input_gives_what_is_held(void **state)
{
	(void)state;
	struct transcript w = {0};
	start(&w);
	open_flow(&w);
	put(&w, false, TCP_ACK, 102, 500, "cd");
	put(&w, false, TCP_ACK, 106, 500, "gh");
	put(&w, false, TCP_ACK | TCP_FIN, 110, 500, "");
	expect(&w, "", "");
	stop(&w);
	expect(&w, "[2]cd[2]gh[2]|", "");
}

static void test_reset_data_is_no_data(void **state)
{
	(void)state;
	struct transcript w = {0};
	start(&w);
	open_flow(&w);
	put(&w, true, TCP_RST | TCP_ACK, 500, 100, "why it was reset");
	stop(&w);
	expect(&w, "", "");
}

static void test_middle(void **state)
{
	(void)state;
	struct transcript w = {0};
	start(&w);
	put(&w, false, TCP_ACK | TCP_PSH, 1000, 500, "mid");
	put(&w, false, TCP_ACK | TCP_PSH, 990, 500, "before it");
	put(&w, true, TCP_ACK | TCP_PSH, 600, 1003, "answer");
	expect(&w, "mid", "answer");
	stop(&w);
}

static void test_keep_alive_is_no_data(void **state)
{
	(void)state;
	struct transcript w = {0};
	start(&w);
	put(&w, false, TCP_ACK, 999, 500, "?"); /* the first that is seen */
	put(&w, false, TCP_ACK | TCP_PSH, 1000, 500, "ab");
	put(&w, true, TCP_ACK, 500, 1002, "");
	put(&w, false, TCP_ACK, 1001, 500, "?");
	put(&w, false, TCP_ACK | TCP_PSH, 1002, 500, "cd");
	expect(&w, "abcd", "");
	stop(&w);
}

static void test_zero_window_probe_is_data_once(void **state)
{
	(void)state;
	struct transcript w = {0};
	start(&w);
	open_flow(&w);
	put(&w, false, TCP_ACK, 100, 500, "ab");
	put(&w, false, TCP_ACK, 102, 500, "c");
	put(&w, false, TCP_ACK, 102, 500, "cd");
	expect(&w, "abcd", "");
	stop(&w);
}

static void test_data_in_syn(void **state)
{
	(void)state;
	struct transcript w = {0};
	start(&w);
	put(&w, false, TCP_SYN, 99, 0, "fast");
	put(&w, true, TCP_SYN | TCP_ACK, 499, 104, "");
	put(&w, false, TCP_ACK, 104, 500, "open");
	expect(&w, "fastopen", "");
	stop(&w);
}

static void test_skip(void **state)
{
	(void)state;
	struct transcript w = {.skip_after_first = 5};
	start(&w);
	open_flow(&w);
	put(&w, false, TCP_ACK, 100, 500, "ab");
	put(&w, false, TCP_ACK, 105, 500, "fghi"); /* f, g lie in the skip */
	expect(&w, "ab", "");
	put(&w, false, TCP_ACK, 102, 500, "cde");
	expect(&w, "ab~hi", "");
	stop(&w);
}

static void test_skip_over_a_hole(void **state)
{
	(void)state;
	struct transcript w = {.skip_after_first = 5};
	start(&w);
	open_flow(&w);
	put(&w, false, TCP_ACK, 100, 500, "ab");
	put(&w, false, TCP_ACK, 109, 500, "jk"); /* 102..107 skip, 107..109 missed */
	put(&w, true, TCP_ACK, 500, 111, "");
	expect(&w, "ab~[2]jk", "");
	stop(&w);
}

static void test_skip_forever_needs_no_memory(void **state)
{
	(void)state;
	struct flowtab_settings s = fixture_settings();
	s.max_segments = SHARDS;
	struct transcript w = {.skip_after_first = UINT64_MAX};
	start_with(&w, &s);
	open_flow(&w);
	put(&w, false, TCP_ACK, 100, 500, "ab");
	for (uint32_t i = 0; i < 10000; i++)
		put(&w, false, TCP_ACK, 200 + 100 * i, 500,
		    "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
		    "89");
	assert_int_equal(flowtab_counters(w.table)->segments_refused, 0);
	assert_int_equal(flowtab_counters(w.table)->segments_held, 1);
	stop(&w);
	expect(&w, "ab", "");
}

static void test_off(void **state)
{
	(void)state;
	struct transcript w = {.off_after_first = true};
	start(&w);
	open_flow(&w);
	put(&w, false, TCP_ACK, 103, 500, "def");
	put(&w, false, TCP_ACK, 107, 500, "hij");
	put(&w, false, TCP_ACK, 100, 500, "abc");
	put(&w, false, TCP_ACK, 106, 500, "g");
	put(&w, true, TCP_ACK, 500, 110, "answer");
	assert_int_equal(flowtab_counters(w.table)->segments_held, 0);
	stop(&w);
	expect(&w, "abc", "");
}

/* Numbers that cannot be of this connection make no gap of gigabytes. */
static void test_far_off(void **state)
{
	(void)state;
	struct transcript w = {0};
	start(&w);
	open_flow(&w);
	put(&w, false, TCP_ACK, 100, 500, "ab");
	put(&w, false, TCP_ACK, 102 + (1u << 30) + 5, 500, "evil");
	put(&w, true, TCP_ACK, 500, 102 + (1u << 30) + 9, "");
	put(&w, false, TCP_ACK | TCP_FIN, 102u - (1u << 30) - 5, 500, "");
	put(&w, false, TCP_ACK, 102, 500, "cd");
	expect(&w, "abcd", "");
	stop(&w);
	expect(&w, "abcd", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_exact),
	    cmocka_unit_test(test_exact_with_cuts),
	    cmocka_unit_test(test_exact_with_skips),
	    cmocka_unit_test(test_budget_of_the_flow),
	    cmocka_unit_test(test_budget_of_the_shard),
	    cmocka_unit_test(test_first_copy_wins),
	    cmocka_unit_test(test_gap_when_acknowledged),
	    cmocka_unit_test(test_fin),
	    cmocka_unit_test(test_end_of_input_gives_what_is_held),
	    cmocka_unit_test(test_reset_data_is_no_data),
	    cmocka_unit_test(test_middle),
	    cmocka_unit_test(test_keep_alive_is_no_data),
	    cmocka_unit_test(test_zero_window_probe_is_data_once),
	    cmocka_unit_test(test_data_in_syn),
	    cmocka_unit_test(test_skip),
	    cmocka_unit_test(test_skip_over_a_hole),
	    cmocka_unit_test(test_skip_forever_needs_no_memory),
	    cmocka_unit_test(test_off),
	    cmocka_unit_test(test_far_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
