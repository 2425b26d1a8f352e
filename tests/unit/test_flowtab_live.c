/* A reader walks the table ten times a second while the writer works on a million flows that come and go, and never
 * sees a torn entry. Built with entries that carry a check of themselves. */
#define FLOWTAB_SELF_CHECK
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "../../flowtab/flowtab.c"
#include "../../flowtab/report.c"
#include "../../flowtab/settings.c"
#include "../../flowtab/stream.c"
#include "../../flowtab/table.c"
#include "../../flowtab/tcp.c"
#include "../../flowtab/view.c"

#include "flowtab_fixture.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLOW 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define SLOW 1
#endif
#endif
#ifdef SLOW
#define FLOWS (1u << 15)
#define PACKETS (1u << 18)
#else
#define FLOWS (1u << 20)
#define PACKETS (6u << 20)
#endif
#define POPULATION (FLOWS + FLOWS / 4) /* more than there is room for: flows are evicted all the time */

static void on_data(void *ctx, struct flow *f, const struct flow_data *d)
{
	(void)ctx, (void)f, (void)d;
}

static void on_gap(void *ctx, struct flow *f, unsigned direction, uint64_t missing, uint32_t seq, int64_t ts_ns)
{
	(void)ctx, (void)f, (void)direction, (void)missing, (void)seq, (void)ts_ns;
}

static void on_end(void *ctx, struct flow *f, unsigned direction, int64_t ts_ns)
{
	(void)ctx, (void)f, (void)direction, (void)ts_ns;
}

static void on_time(void *ctx, struct flow *f, int64_t now_ns)
{
	(void)ctx, (void)f, (void)now_ns;
}

static void on_report(void *ctx, struct flow *f, struct flow_record *r, bool last)
{
	(void)ctx, (void)f, (void)r, (void)last;
}

static const struct flow_calls live_calls = {on_data, on_gap, on_end, on_time, on_time, on_report};

struct live {
	struct flowtab *table;
	int stop;
	uint64_t walks, seen, torn, busy;
	double walk_s;
};

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void *walk(void *ctx)
{
	struct live *w = ctx;
	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		double begun = now();
		uint32_t end_index = flowtab_view_end(w->table);
		for (uint32_t i = 0; i < end_index; i++) {
			struct flow_view v;
			int rc = flowtab_view(w->table, i, &v);
			w->busy += rc == -EAGAIN;
			if (rc != 1)
				continue;
			w->seen++;
			w->torn += !flow_view_intact(&v) || v.last_ns < v.start_ns;
		}
		w->walks++;
		w->walk_s += now() - begun;
		struct timespec pause = {.tv_nsec = (long)(1e9 * max_of(0.1 - (now() - begun), 0.0))};
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static struct packet nth(uint32_t who, uint64_t random)
{
	static const uint8_t mac[6];
	struct packet p = {.frames = 1, .window_scale = 255, .window = 1000, .payload = mac};
	p.key.ip_version = 4;
	p.key.protocol = who % 4 ? 17 : 6;
	memcpy(p.key.address[0], &who, 4);
	p.key.address[1][0] = 255;
	p.key.port[0] = (uint16_t)who;
	p.key.port[1] = 53;
	p.direction = random & 1;
	fixture_hash(&p, FIXTURE_SEED);
	const struct shard_keys keys = shard_keys_of(0);
	p.shard = flow_key_shard(&p.key, &keys);
	fixture_set_len(&p, 4);
	p.seq = (uint32_t)random;
	p.tcp_flags = TCP_ACK | ((random >> 8) % 8 ? 0 : TCP_SYN) | ((random >> 12) % 8 ? 0 : TCP_FIN);
	return p;
}

/* Seconds for `count` packets. */
static double work(struct live *w, uint32_t count, int64_t *now_ns, uint64_t *random)
{
	enum { BURST = 32 };
	struct packet burst[BURST];
	double begun = now();
	for (uint32_t done = 0; done < count; done += BURST) {
		for (unsigned i = 0; i < BURST; i++) {
			*random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
			burst[i] = nth((uint32_t)((*random >> 33) % POPULATION), *random >> 20);
			burst[i].ts_ns = *now_ns += 1000;
			flowtab_prefetch_bucket(w->table, &burst[i]);
		}
		for (unsigned i = 0; i < BURST; i++)
			flowtab_prefetch_entry(w->table, &burst[i]);
		for (unsigned i = 0; i < BURST; i++)
			flowtab_packet(w->table, &burst[i]);
		flowtab_tick(w->table, *now_ns);
	}
	return now() - begun;
}

static void test_live(void **state)
{
	(void)state;
	struct live w = {0};
	struct flowtab_settings s = fixture_settings();
	s.max_flows = FLOWS;
	s.max_tcp = FLOWS / 4;
	s.udp_oneway_timeout_ns = s.others_timeout_ns = 60 * NS_PER_S;
	int64_t now_ns = 100 * NS_PER_S;
	uint64_t random = 1;
	assert_int_equal(flowtab_new(&w.table, &s, SHARDS, now_ns, &live_calls, &w), 0);
	work(&w, 3 * FLOWS, &now_ns, &random); /* fills it */
	double alone = work(&w, PACKETS, &now_ns, &random);
	pthread_t reader;
	assert_int_equal(pthread_create(&reader, NULL, walk, &w), 0);
	double begun = now();
	double watched = work(&w, PACKETS, &now_ns, &random);
	while (now() - begun < 0.5) /* a fast writer must not be done before the reader has begun */
		work(&w, 1024, &now_ns, &random);
	__atomic_store_n(&w.stop, 1, __ATOMIC_RELEASE);
	pthread_join(reader, NULL);
	const struct flowtab_counters *c = flowtab_counters(w.table);
	printf("flows live %llu, come and gone %llu; writer %.1f ns a packet alone, %.1f with a reader (%+.1f %%); "
	       "%llu walks of %.2f s, %llu entries seen, %llu busy\n",
	       (unsigned long long)c->live, (unsigned long long)(c->flows - c->live), alone / PACKETS * 1e9,
	       watched / PACKETS * 1e9, (watched / alone - 1) * 100, (unsigned long long)w.walks,
	       w.walk_s / (double)w.walks, (unsigned long long)w.seen, (unsigned long long)w.busy);
	assert_true(c->live > FLOWS * 3 / 4);
	assert_true(c->flows_evicted > 0);
	assert_true(w.walks > 0);
	assert_true(w.seen > FLOWS / 2);
	assert_int_equal(w.torn, 0);
	assert_true(w.busy <= w.seen / 1000);
	flowtab_finish(w.table, now_ns);
	flowtab_free(w.table);
}

/* The check would notice: each field of a view is in it. */
static void test_check_notices(void **state)
{
	(void)state;
	struct live w = {0};
	struct flowtab_settings s = fixture_settings();
	assert_int_equal(flowtab_new(&w.table, &s, SHARDS, 0, &live_calls, &w), 0);
	struct packet p = nth(5, 3);
	p.ts_ns = NS_PER_S;
	flowtab_packet(w.table, &p);
	struct flow_view v, torn;
	assert_int_equal(flowtab_view_end(w.table), 1);
	assert_int_equal(flowtab_view(w.table, 0, &v), 1);
	assert_true(flow_view_intact(&v));
	assert_true(flow_key_equal(&v.key, &p.key));
	assert_int_equal(v.packets[1], 1);
	assert_int_equal(v.bytes[1], 58);
	assert_true(v.last_ns == NS_PER_S);
#define TORN(field)                                                                                                    \
	do {                                                                                                           \
		torn = v;                                                                                              \
		torn.field ^= 1;                                                                                       \
		assert_false(flow_view_intact(&torn));                                                                 \
	} while (0)
	TORN(state);
	TORN(client);
	TORN(score);
	TORN(close_type);
	TORN(key.port[0]);
	TORN(key.domain);
	TORN(start_ns);
	TORN(last_ns);
	TORN(packets[0]);
	TORN(bytes[1]);
	TORN(l3_bytes[0]);
	TORN(l4_bytes[1]);
	assert_int_equal(flowtab_view(w.table, 1, &v), 0);
	flowtab_finish(w.table, NS_PER_S);
	assert_int_equal(flowtab_view(w.table, 0, &v), 0);
	flowtab_free(w.table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_check_notices),
	    cmocka_unit_test(test_live),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
