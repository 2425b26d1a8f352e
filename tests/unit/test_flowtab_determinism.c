/* The same packets give the same events in each shard, however shards are spread over tables, whatever the seed of the
 * index, and also when quotas bite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flowtab_fixture.h"
#include "hash.h"
#include "record.h"

#define PACKETS 60000
#define TICK_EVERY 97

struct input {
	struct packet *packets;
	uint64_t random;
};

static uint32_t pick(uint64_t *random, uint32_t below)
{
	*random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((*random >> 33) % below);
}

static const uint8_t bytes[4096] = "bytes of a stream";

/* TCP conversations with losses and disorder, SYN floods, datagrams; the clock mostly goes on. */
static struct packet *make_packets(void)
{
	struct packet *all = calloc(PACKETS, sizeof *all);
	uint64_t random = 42;
	int64_t now = 1000 * NS_PER_S;
	struct {
		uint32_t seq[2];
		uint8_t step;
	} *conversation = calloc(4096, sizeof *conversation);
	for (unsigned i = 0; i < PACKETS; i++) {
		unsigned kind = pick(&random, 100), who = pick(&random, 4096);
		bool from_server = pick(&random, 2);
		struct packet p;
		now += pick(&random, 10 * NS_PER_MS) - (pick(&random, 50) ? 0 : 40 * NS_PER_MS);
		if (kind < 20) {
			p = fixture_packet(17, (uint16_t)(1024 + who), 53, from_server, 0);
			fixture_set_len(&p, pick(&random, 600));
		} else if (kind < 45) {
			p = fixture_packet(6, (uint16_t)pick(&random, 65536), (uint16_t)(2000 + pick(&random, 64)),
					   false, 0);
			p.tcp_flags = TCP_SYN;
			p.seq = pick(&random, 1 << 30);
			fixture_set_len(&p, 0);
		} else {
			who %= 1500;
			p = fixture_packet(6, (uint16_t)(10000 + who), 80, from_server, 0);
			uint32_t *seq = conversation[who].seq;
			uint32_t len = 0;
			unsigned step = conversation[who].step++;
			if (!step) {
				p.direction = 0;
				from_server = false;
				p.tcp_flags = TCP_SYN;
				seq[0] = pick(&random, UINT32_MAX);
				seq[1] = pick(&random, UINT32_MAX);
			} else if (step == 1) {
				p.direction = 1;
				from_server = true;
				p.tcp_flags = TCP_SYN | TCP_ACK;
			} else if (step < 20 || pick(&random, 4)) {
				p.tcp_flags = TCP_ACK;
				len = pick(&random, 3) ? pick(&random, 1460) : 0;
			} else {
				p.tcp_flags = pick(&random, 4) ? TCP_FIN | TCP_ACK : TCP_RST;
				conversation[who].step = pick(&random, 3) ? 20 : 0;
			}
			p.seq = seq[from_server];
			p.ack = seq[!from_server];
			if (len && !pick(&random, 10))
				p.seq -= pick(&random, 3000); /* again */
			else if (len && !pick(&random, 10))
				p.seq += pick(&random, 5000); /* a loss, or disorder */
			else
				seq[from_server] += len + !!(p.tcp_flags & (TCP_SYN | TCP_FIN));
			fixture_set_len(&p, len);
		}
		p.payload = bytes;
		p.ts_ns = now;
		all[i] = p;
	}
	free(conversation);
	return all;
}

struct world {
	struct flowtab *table;
	uint64_t *digest; /* by shard */
	uint64_t *events;
};

static void mix(struct world *w, const struct flow *f, const void *data, size_t len)
{
	w->digest[f->shard] = hash64(data, len, w->digest[f->shard]);
	w->events[f->shard]++;
}

static void on_data(void *ctx, struct flow *f, const struct flow_data *d)
{
	uint64_t of[] = {1, d->len, d->seq, d->ack, d->direction, d->datagram, (uint64_t)d->ts_ns, flow_id(NULL, f)};
	mix(ctx, f, of, sizeof of);
	struct world *w = ctx;
	if (d->seq % 7 == 1)
		flow_stream_skip(w->table, f, d->direction, 1 + d->seq % 3000);
	if (d->seq % 31 == 1)
		flow_stream_off(w->table, f);
	if (d->seq % 29 == 1)
		flow_set_client(w->table, f, d->seq & 1);
}

static void on_gap(void *ctx, struct flow *f, unsigned direction, uint64_t missing, uint32_t seq, int64_t ts_ns)
{
	uint64_t of[] = {2, direction, missing, seq, (uint64_t)ts_ns, flow_id(NULL, f)};
	mix(ctx, f, of, sizeof of);
}

static void on_end(void *ctx, struct flow *f, unsigned direction, int64_t ts_ns)
{
	uint64_t of[] = {3, direction, (uint64_t)ts_ns, flow_id(NULL, f)};
	mix(ctx, f, of, sizeof of);
}

static void on_timer(void *ctx, struct flow *f, int64_t now_ns)
{
	uint64_t of[] = {4, (uint64_t)now_ns, flow_id(NULL, f)};
	mix(ctx, f, of, sizeof of);
}

static void on_close(void *ctx, struct flow *f, int64_t now_ns)
{
	uint64_t of[] = {5, (uint64_t)now_ns, flow_id(NULL, f)};
	mix(ctx, f, of, sizeof of);
}

static void on_report(void *ctx, struct flow *f, struct flow_record *r, bool last)
{
	uint64_t of[FLOW_FIELD_COUNT + 1] = {last};
	for (unsigned i = 0; i < FLOW_FIELD_COUNT; i++) {
		const void *at = (const uint8_t *)r + flow_fields[i].offset;
		if (!(r->present[i / 64] >> (i % 64) & 1))
			of[i + 1] = UINT64_C(0xabcdef);
		else if (flow_fields[i].kind == FIELD_NAME)
			of[i + 1] = hash64(((const struct text *)at)->at, ((const struct text *)at)->len, 0);
		else if (flow_fields[i].kind == FIELD_IP)
			of[i + 1] = ((const struct ip_address *)at)->at[3];
		else if (flow_fields[i].kind == FIELD_BOOL || flow_fields[i].kind == FIELD_FLAGS)
			of[i + 1] = *(const uint8_t *)at;
		else
			of[i + 1] = *(const uint64_t *)at;
	}
	mix(ctx, f, of, sizeof of);
}

static const struct flow_calls calls = {on_data, on_gap, on_end, on_timer, on_close, on_report};

static void run(const struct packet *packets, const struct flowtab_settings *s, unsigned tables, uint64_t seed,
		uint64_t digest[SHARDS], uint64_t events[SHARDS], struct flowtab_counters *ret_sum)
{
	struct world w[8] = {0};
	memset(digest, 0, SHARDS * sizeof *digest);
	memset(events, 0, SHARDS * sizeof *events);
	memset(ret_sum, 0, sizeof *ret_sum);
	for (unsigned i = 0; i < tables; i++) {
		w[i] = (struct world){.digest = digest, .events = events};
		assert_int_equal(flowtab_new(&w[i].table, s, (SHARDS + tables - 1) / tables, 0, &calls, &w[i]), 0);
	}
	int64_t clock = 0;
	for (unsigned i = 0; i < PACKETS; i++) {
		struct packet p = packets[i];
		fixture_hash(&p, seed);
		flowtab_packet(w[p.shard % tables].table, &p);
		clock = max_of(clock, p.ts_ns);
		if (i % TICK_EVERY == 0)
			for (unsigned k = 0; k < tables; k++)
				flowtab_tick(w[k].table, clock);
	}
	for (unsigned k = 0; k < tables; k++) {
		flowtab_finish(w[k].table, clock);
		const struct flowtab_counters *c = flowtab_counters(w[k].table);
		ret_sum->flow_frames += c->flow_frames;
		ret_sum->late_frames += c->late_frames;
		ret_sum->no_memory_frames += c->no_memory_frames;
		ret_sum->flows_evicted += c->flows_evicted;
		ret_sum->tcp_refused += c->tcp_refused;
		ret_sum->segments_refused += c->segments_refused;
		ret_sum->records += c->records;
		assert_int_equal(c->live, 0);
		flowtab_free(w[k].table);
	}
	assert_int_equal(ret_sum->flow_frames + ret_sum->late_frames + ret_sum->no_memory_frames, PACKETS);
}

static void compare(const struct flowtab_settings *s, struct flowtab_counters *ret_first)
{
	static const struct {
		unsigned tables;
		uint64_t seed;
	} runs[] = {{1, 1}, {1, 77}, {2, 2}, {3, 3}, {5, UINT64_C(0xfeedfacecafe)}};
	static uint64_t digest[2][SHARDS], events[2][SHARDS];
	struct packet *packets = make_packets();
	for (unsigned i = 0; i < array_size(runs); i++) {
		struct flowtab_counters sum;
		run(packets, s, runs[i].tables, runs[i].seed, digest[!!i], events[!!i], &sum);
		if (!i) {
			*ret_first = sum;
			continue;
		}
		assert_memory_equal(&sum, ret_first, sizeof sum);
		assert_memory_equal(events[1], events[0], sizeof events[0]);
		assert_memory_equal(digest[1], digest[0], sizeof digest[0]);
	}
	free(packets);
}

static void test_ample(void **state)
{
	(void)state;
	struct flowtab_settings s = fixture_settings();
	struct flowtab_counters c;
	s.max_flows = s.max_tcp = 1 << 18;
	compare(&s, &c);
	assert_int_equal(c.flows_evicted, 0);
	assert_int_equal(c.tcp_refused, 0);
	assert_true(c.records > 10000);
	assert_true(c.late_frames > 0);
}

static void test_quota_of_flows_and_second_tiers(void **state)
{
	(void)state;
	struct flowtab_settings s = fixture_settings();
	struct flowtab_counters c;
	s.max_flows = SHARDS * 12;
	s.max_tcp = SHARDS * 2;
	compare(&s, &c);
	assert_true(c.flows_evicted > 1000);
	assert_true(c.tcp_refused > 1000);
}

static void test_quota_of_segments(void **state)
{
	(void)state;
	struct flowtab_settings s = fixture_settings();
	struct flowtab_counters c;
	s.max_flows = SHARDS * 20;
	s.max_tcp = SHARDS * 20;
	s.max_segments = SHARDS * 4;
	s.reassembly_flow_bytes = 1536;
	compare(&s, &c);
	assert_true(c.segments_refused > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ample),
	    cmocka_unit_test(test_quota_of_flows_and_second_tiers),
	    cmocka_unit_test(test_quota_of_segments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
