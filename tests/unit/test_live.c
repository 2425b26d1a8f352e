/* Live capture on scripted sources: frames with a time, and the moment at which their queue shows them. What must come
 * out follows from the script. Meant for ThreadSanitizer as well. */
#include "config.h"
#include "frame_builder.h"
#include "live.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define LATENESS_NS (10 * NS_PER_MS)
#define SALT 12345

/* The realtime clock of this program, which a test can set. */
static _Atomic int64_t clock_shift_ns;

int clock_gettime(clockid_t id, struct timespec *t)
{
	if (syscall(SYS_clock_gettime, id, t) < 0)
		return -1;
	if (id == CLOCK_REALTIME) {
		int64_t ns = (int64_t)t->tv_sec * NS_PER_S + t->tv_nsec + atomic_load(&clock_shift_ns);
		t->tv_sec = ns / NS_PER_S;
		t->tv_nsec = ns % NS_PER_S;
	}
	return 0;
}

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* --- a source that follows a script --- */

struct scripted {
	int64_t ts_ns, shown_ns;
	uint8_t *data;
	uint32_t len;
};

struct queue {
	struct scripted *at;
	unsigned count, room, given, released;
};

struct script {
	struct source source;
	struct queue queue[LIVE_WORKERS];
	_Atomic uint64_t received, dropped;
	_Atomic bool stopped, gone;
	bool closed;
	uint64_t total;
};

static int script_receive(struct source *s, unsigned q, struct frame *ret, unsigned max)
{
	struct script *x = container_of(s, struct script, source);
	struct queue *queue = &x->queue[q];
	int64_t now = now_ns();
	unsigned n = 0;
	while (n < max && queue->given < queue->count && queue->at[queue->given].shown_ns <= now) {
		const struct scripted *f = &queue->at[queue->given++];
		ret[n++] = (struct frame){
		    .data = f->data, .caplen = f->len, .wirelen = f->len, .ts_ns = f->ts_ns, .link_type = 1};
	}
	atomic_fetch_add(&x->received, n);
	if (!n && atomic_load(&x->gone))
		return -ENODEV;
	return (int)n;
}

static void script_release(struct source *s, unsigned q, unsigned count)
{
	struct script *x = container_of(s, struct script, source);
	x->queue[q].released += count;
	assert_true(x->queue[q].released <= x->queue[q].given);
}

static int script_descriptor(const struct source *s maybe_unused, unsigned q maybe_unused)
{
	return -1;
}

static void script_counters(struct source *s, struct source_counters *ret)
{
	struct script *x = container_of(s, struct script, source);
	*ret = (struct source_counters){.seen = x->total + atomic_load(&x->dropped),
					.kernel_dropped = atomic_load(&x->dropped),
					.received = atomic_load(&x->received)};
}

static void script_stop(struct source *s)
{
	atomic_store(&container_of(s, struct script, source)->stopped, true);
}

static struct source *script_close(struct source *s)
{
	struct script *x = container_of(s, struct script, source);
	for (unsigned i = 0; i < s->queues; i++) {
		assert_int_equal(x->queue[i].given, x->queue[i].released);
		for (unsigned k = 0; k < x->queue[i].count; k++)
			free(x->queue[i].at[k].data);
		free(x->queue[i].at);
	}
	x->closed = true;
	return NULL;
}

static const struct source_ops script_ops = {
    .kind = SOURCE_AF_PACKET,
    .receive = script_receive,
    .release = script_release,
    .descriptor = script_descriptor,
    .counters = script_counters,
    .stop = script_stop,
    .close = script_close,
};

static struct script *script_new(unsigned queues)
{
	struct script *x = calloc(1, sizeof *x);
	assert_non_null(x);
	x->source =
	    (struct source){.ops = &script_ops, .queues = queues, .flags = SOURCE_BUSY, .lateness_ns = LATENESS_NS};
	return x;
}

static struct build b;

static void script_add(struct script *x, unsigned q, int64_t ts_ns, int64_t shown_ns)
{
	struct queue *queue = &x->queue[q];
	if (queue->count == queue->room) {
		queue->room = queue->room ? 2 * queue->room : 64;
		queue->at = realloc(queue->at, queue->room * sizeof *queue->at);
		assert_non_null(queue->at);
	}
	uint8_t *data = malloc(build_len(&b));
	assert_non_null(data);
	memcpy(data, b.at, build_len(&b));
	if (queue->count) /* a queue shows its frames in order */
		shown_ns = max_of(shown_ns, queue->at[queue->count - 1].shown_ns);
	queue->at[queue->count++] = (struct scripted){ts_ns, shown_ns, data, build_len(&b)};
	x->total++;
}

#define CLIENT 0x0a000001
#define SERVER 0x0a000002

/* A segment of a conversation between CLIENT:port and SERVER:80. */
static void segment(bool from_client, uint16_t port, uint8_t flags, uint32_t seq, uint32_t ack, const char *text)
{
	build_start(&b);
	build_push_bytes(&b, text, (uint32_t)strlen(text));
	build_tcp_options(&b, from_client ? port : 80, from_client ? 80 : port, seq, flags, "", 0);
	build_put32(b.at + 8, ack);
	build_ip4(&b, 6, from_client ? CLIENT : SERVER, from_client ? SERVER : CLIENT);
	build_eth(&b, 0x0800);
}

/* --- a sink that keeps what matters --- */

struct note {
	enum record_kind kind;
	uint64_t packets, rtt_server_ns, server_port, client_port, score;
	uint64_t resource_len;
	bool is_session, truncated;
};

struct notes {
	struct sink sink;
	struct note *at;
	unsigned count, room;
	_Atomic bool slow;
};

static int encode_flow(const struct sink *s maybe_unused, const struct flow_record *r, char *out, size_t room)
{
	struct note n = {.kind = RECORD_FLOW,
			 .packets = r->packet_tx + r->packet_rx,
			 .rtt_server_ns = flow_record_has(r, rtt_server_ns) ? (uint64_t)r->rtt_server_ns : 0,
			 .server_port = r->server_port,
			 .client_port = r->client_port,
			 .score = r->direction_score,
			 .truncated = flow_record_has(r, truncated)};
	if (room < sizeof n)
		return -ENOBUFS;
	memcpy(out, &n, sizeof n);
	return sizeof n;
}

static int encode_request(const struct sink *s maybe_unused, const struct request_record *r, char *out, size_t room)
{
	struct note n = {.kind = RECORD_REQUEST,
			 .server_port = r->server_port,
			 .client_port = r->client_port,
			 .is_session = text_is(r->type, "session"),
			 .resource_len = request_record_has(r, request_resource) ? r->request_resource.len : 0,
			 .truncated = request_record_has(r, truncated)};
	if (room < sizeof n)
		return -ENOBUFS;
	memcpy(out, &n, sizeof n);
	return sizeof n;
}

static int sink_write(struct sink *s, enum record_kind kind maybe_unused, const char *data, size_t len)
{
	struct notes *n = container_of(s, struct notes, sink);
	assert_int_equal(len, sizeof(struct note));
	while (atomic_load(&n->slow) && !atomic_load(&s->abandoned))
		nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
	if (n->count == n->room) {
		n->room = n->room ? 2 * n->room : 64;
		n->at = realloc(n->at, n->room * sizeof *n->at);
		assert_non_null(n->at);
	}
	memcpy(&n->at[n->count++], data, len);
	return 0;
}

static int sink_flush(struct sink *s maybe_unused, struct error *e maybe_unused)
{
	return 0;
}

static const struct sink_ops sink_ops = {
    .name = "notes",
    .encode_flow = encode_flow,
    .encode_request = encode_request,
    .write = sink_write,
    .flush = sink_flush,
};

/* --- a run --- */

struct fixture {
	struct engine_settings settings;
	struct notes notes;
	struct sink *sinks[1];
	struct live *live;
	struct live_counters counters;
	unsigned flows, requests, sessions;
};

static void start(struct fixture *f, unsigned workers, int64_t window_ns)
{
	struct option_table tables[8];
	struct error e;
	memset(f, 0, sizeof *f);
	engine_option_tables(&f->settings, tables);
	assert_int_equal(config_defaults(tables), 0);
	f->settings.workers = workers;
	f->settings.max_memory = 256 << 20;
	f->settings.flowtab.report_interval_ns = 0; /* a minute of the clock may end at any time */
	f->settings.live.window_ns = window_ns;
	f->settings.live.handover_bytes = 1 << 20;
	f->settings.live.record_bytes = 1 << 20;
	f->notes.sink.ops = &sink_ops;
	f->sinks[0] = &f->notes.sink;
	assert_int_equal(live_new(&f->live, &f->settings, f->sinks, 1, SALT, &e), 0);
}

static unsigned attach(struct fixture *f, struct script *x, uint16_t nic)
{
	unsigned id;
	const struct live_input input = {.source = &x->source, .name = "scripted", .nic = nic};
	assert_int_equal(live_attach(f->live, &input, &id), 0);
	return id;
}

/* Waits until all frames were taken, at most five seconds; the run goes on. */
static void wait_for(struct fixture *f, uint64_t frames)
{
	for (unsigned i = 0; i < 500; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 10 * NS_PER_MS}, NULL);
		live_counters(f->live, &f->counters);
		if (f->counters.engine.ledger.frames == frames && !f->counters.in_flight)
			return;
	}
	assert_int_equal(f->counters.engine.ledger.frames, frames);
}

static void finish(struct fixture *f)
{
	assert_int_equal(live_finish(f->live, 3 * NS_PER_S), 0);
	live_counters(f->live, &f->counters);
	assert_int_equal(live_remainder(&f->counters), 0);
	for (unsigned i = 0; i < f->notes.count; i++) {
		f->flows += f->notes.at[i].kind == RECORD_FLOW;
		f->requests += f->notes.at[i].kind == RECORD_REQUEST;
		f->sessions += f->notes.at[i].kind == RECORD_REQUEST && f->notes.at[i].is_session;
	}
	f->live = live_free(f->live);
	struct option_table tables[8];
	engine_option_tables(&f->settings, tables);
	config_clear(tables);
}

/* Two fibres: the client's side is shown 8 ms late, the server's at once. */
static void fibres(unsigned workers, int64_t window_ns, bool in_order)
{
	struct fixture f;
	struct script *a = script_new(workers), *z = script_new(workers);
	a->source.flags |= SOURCE_UNSTEERED; /* they meet on another worker than either came to */
	start(&f, workers, window_ns);
	int64_t t = now_ns() + 30 * NS_PER_MS;
	segment(true, 40000, 2, 100, 0, "");
	script_add(a, 0, t, t + 8 * NS_PER_MS);
	segment(false, 40000, 18, 500, 101, "");
	script_add(z, workers - 1, t + 2 * NS_PER_MS, t + 2 * NS_PER_MS);
	segment(true, 40000, 16, 101, 501, "");
	script_add(a, 0, t + 3 * NS_PER_MS, t + 8 * NS_PER_MS);
	attach(&f, a, 0);
	attach(&f, z, 1);
	wait_for(&f, 3);
	finish(&f);
	assert_int_equal(f.flows, 1);
	assert_int_equal(f.notes.at[0].packets, 3);
	if (in_order) {
		assert_int_equal(f.counters.reordered, 0);
		assert_int_equal(f.notes.at[0].rtt_server_ns, 2 * NS_PER_MS);
		assert_int_equal(f.notes.at[0].server_port, 80);
		assert_int_equal(f.notes.at[0].score, 255);
	} else {
		assert_true(f.counters.reordered > 0);
	}
	free(f.notes.at);
	free(a);
	free(z);
}

static void test_fibres_meet_in_the_order_of_time(void **state maybe_unused)
{
	fibres(1, 20 * NS_PER_MS, true);
	fibres(4, 20 * NS_PER_MS, true);
	fibres(1, 0, false); /* what the window is for */
}

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

#define FLOWS 300

/* Each packet on any queue of two NICs, each queue up to its lateness late: every request still meets its response. */
static void test_scattered_flows_meet_at_their_owners(void **state maybe_unused)
{
	static const struct {
		bool from_client;
		uint8_t flags;
		uint32_t seq, ack;
		const char *text;
	} talk[] = {
	    {true, 2, 100, 0, ""},
	    {false, 18, 500, 101, ""},
	    {true, 16, 101, 501, ""},
	    {true, 24, 101, 501, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"},
	    {false, 24, 501, 130, "HTTP/1.1 204 No Content\r\n\r\n"},
	    {true, 17, 130, 528, ""},
	    {false, 17, 528, 131, ""},
	    {true, 16, 131, 529, ""},
	};
	struct fixture f;
	struct script *nic[2] = {script_new(4), script_new(4)};
	nic[0]->source.flags |= SOURCE_UNSTEERED;
	uint64_t random = 7, total = 0;
	start(&f, 4, 20 * NS_PER_MS);
	int64_t t = now_ns() + 500 * NS_PER_MS; /* when all workers know the sources, however slow the machine */
	for (unsigned step = 0; step < array_size(talk); step++) {
		for (unsigned i = 0; i < FLOWS; i++) {
			t += 50 * NS_PER_US;
			segment(talk[step].from_client, (uint16_t)(30000 + i), talk[step].flags, talk[step].seq,
				talk[step].ack, talk[step].text);
			uint64_t r = next_random(&random);
			script_add(nic[r & 1], r >> 1 & 3, t, t + (int64_t)(r >> 3) % LATENESS_NS);
			total++;
		}
	}
	attach(&f, nic[0], 0);
	attach(&f, nic[1], 1);
	wait_for(&f, total);
	finish(&f);
	assert_int_equal(f.flows, FLOWS);
	assert_int_equal(f.sessions, FLOWS);
	assert_int_equal(f.requests, FLOWS);
	assert_int_equal(f.counters.reordered, 0);
	for (unsigned i = 0; i < f.notes.count; i++) {
		const struct note *n = &f.notes.at[i];
		assert_int_equal(n->server_port, 80);
		if (n->kind == RECORD_FLOW) {
			assert_int_equal(n->packets, array_size(talk));
			assert_int_equal(n->score, 255);
			assert_int_equal(n->rtt_server_ns, FLOWS * 50 * NS_PER_US);
		}
	}
	uint64_t handed = 0;
	for (unsigned i = 0; i < 4; i++)
		handed += f.counters.worker[i].handed;
	assert_int_equal(handed, total);
	free(f.notes.at);
	free(nic[0]);
	free(nic[1]);
}

/* The pieces of each datagram on different queues. */
static void test_fragments_meet(void **state maybe_unused)
{
	struct fixture f;
	struct script *x = script_new(3);
	start(&f, 3, 20 * NS_PER_MS);
	int64_t t = now_ns() + 30 * NS_PER_MS;
	for (unsigned i = 0; i < 90; i++) {
		for (unsigned piece = 0; piece < 2; piece++) {
			build_start(&b);
			build_payload(&b, piece ? 100 : 800, 1);
			if (!piece) {
				uint8_t *h = build_push(&b, 8);
				build_put16(h, 5000 + i);
				build_put16(h + 2, 53);
				build_put16(h + 4, 908);
			}
			build_ip4_full(&b, 17, CLIENT, SERVER, (uint16_t)(i + 1), piece ? 808 / 8 : 0x2000, "", 0);
			build_eth(&b, 0x0800);
			t += NS_PER_US;
			script_add(x, (i + piece) % 3, t, t);
		}
	}
	attach(&f, x, 0);
	wait_for(&f, x->total);
	finish(&f);
	assert_int_equal(f.flows, 90);
	for (unsigned i = 0; i < f.notes.count; i++)
		assert_int_equal(f.notes.at[i].packets, 2);
	assert_int_equal(f.counters.engine.ledger.fragments.frames_completed, 180);
	free(f.notes.at);
	free(x);
}

/* More than the rings between workers hold, all at once: dropped there, counted there. */
static void test_a_full_ring_between_workers_counts(void **state maybe_unused)
{
	struct fixture f;
	struct script *x = script_new(2);
	start(&f, 2, NS_PER_S); /* so that handed packets wait, and the ring fills up */
	int64_t t = now_ns();
	for (unsigned i = 0; i < 200; i++) {
		build_start(&b);
		build_payload(&b, 20000, 0);
		build_udp(&b, (uint16_t)(1000 + i), 9999);
		build_ip4(&b, 17, CLIENT, SERVER);
		build_eth(&b, 0x0800);
		script_add(x, 0, t + i, t);
	}
	x->source.lateness_ns = NS_PER_S;
	x->source.flags |= SOURCE_UNSTEERED;
	attach(&f, x, 0);
	wait_for(&f, 200);
	finish(&f);
	assert_true(f.counters.engine.ledger.handover_dropped > 0);
	assert_int_equal(f.flows + f.counters.engine.ledger.handover_dropped, 200);
	free(f.notes.at);
	free(x);
}

/* What a source has when it is detached still comes out, and the others go on. */
static void test_sources_come_and_go(void **state maybe_unused)
{
	struct fixture f;
	struct script *x = script_new(2), *y = script_new(2);
	start(&f, 2, 20 * NS_PER_MS);
	int64_t t = now_ns();
	for (unsigned i = 0; i < 1000; i++) {
		segment(true, (uint16_t)(1000 + i), 2, 1, 0, "");
		script_add(i % 2 ? x : y, i / 2 % 2, t + i, t);
	}
	unsigned id = attach(&f, x, 3);
	attach(&f, y, 4);
	live_detach(f.live, id);
	assert_true(x->closed);
	assert_false(y->closed);
	assert_int_equal(live_gone(f.live), -1);
	atomic_store(&y->gone, true);
	wait_for(&f, 1000);
	for (unsigned i = 0; i < 200 && f.flows == 0; i++) {
		int gone = live_gone(f.live);
		if (gone >= 0) {
			live_detach(f.live, (unsigned)gone);
			break;
		}
		nanosleep(&(struct timespec){.tv_nsec = 10 * NS_PER_MS}, NULL);
	}
	assert_true(y->closed);
	struct live_source_counters sources[4];
	assert_int_equal(live_sources(f.live, sources, 4), 2);
	assert_int_equal(sources[0].taken, 500);
	assert_int_equal(sources[1].taken, 500);
	assert_int_equal(sources[1].nic, 3);
	finish(&f);
	assert_int_equal(f.flows, 1000);
	free(f.notes.at);
	free(x);
	free(y);
}

/* A sink that stands still costs records, and neither packets nor the end. */
static void test_a_slow_sink_costs_records_only(void **state maybe_unused)
{
	struct fixture f;
	struct script *x = script_new(1);
	start(&f, 1, 0);
	atomic_store(&f.notes.slow, true);
	int64_t t = now_ns();
	for (unsigned i = 0; i < 40000; i++) {
		segment(true, (uint16_t)(1000 + i), 2, 1, 0, "");
		script_add(x, 0, t + i, t);
	}
	attach(&f, x, 0);
	wait_for(&f, 40000);
	int64_t begin = now_ns();
	assert_int_equal(live_finish(f.live, 2 * NS_PER_S), 0);
	assert_in_range(now_ns() - begin, 0, 3 * NS_PER_S);
	live_counters(f.live, &f.counters);
	assert_int_equal(live_remainder(&f.counters), 0);
	assert_int_equal(f.counters.engine.records[RECORD_FLOW], 40000);
	assert_true(f.counters.records_lost[RECORD_FLOW] > 0);
	assert_true(f.counters.records_written[RECORD_FLOW] <= 40000 - f.counters.records_lost[RECORD_FLOW]);
	finish(&f);
	free(f.notes.at);
	free(x);
}

/* A frame that claims to be from the future holds nobody up. */
static void test_time_that_is_wrong_holds_nobody_up(void **state maybe_unused)
{
	struct fixture f;
	struct script *x = script_new(1), *y = script_new(1);
	start(&f, 1, 20 * NS_PER_MS);
	int64_t t = now_ns();
	segment(true, 1, 2, 1, 0, "");
	script_add(x, 0, t + 3600 * NS_PER_S, t);
	segment(true, 2, 2, 1, 0, "");
	script_add(y, 0, t, t);
	attach(&f, x, 0);
	attach(&f, y, 1);
	wait_for(&f, 2);
	assert_true(live_alive(f.live));
	nanosleep(&(struct timespec){.tv_nsec = 300 * NS_PER_MS}, NULL);
	assert_true(live_alive(f.live));
	finish(&f);
	assert_int_equal(f.flows, 2);
	free(f.notes.at);
	free(x);
	free(y);
}

/* A handshake, and a request with a path of 100 bytes, answered. */
static void talk(struct script *x, uint16_t port, int64_t ts_ns)
{
	char request[128] = "";
	memset(request, 0x61, 104);
	memcpy(request, "GET /", 5);
	memcpy(request + 104, " HTTP/1.1\r\nHost: x\r\n\r\n", 23);
	segment(true, port, 2, 100, 0, "");
	script_add(x, 0, ts_ns, ts_ns);
	segment(false, port, 18, 500, 101, "");
	script_add(x, 0, ts_ns + 1, ts_ns);
	segment(true, port, 16, 101, 501, "");
	script_add(x, 0, ts_ns + 2, ts_ns);
	segment(true, port, 24, 101, 501, request);
	script_add(x, 0, ts_ns + 3, ts_ns);
	segment(false, port, 24, 501, 101 + (uint32_t)strlen(request), "HTTP/1.1 204 No Content\r\n\r\n");
	script_add(x, 0, ts_ns + 4, ts_ns);
}

/* Takes what the script has, whole. */
static void play(struct fixture *f, struct script *x)
{
	live_detach(f->live, attach(f, x, 0));
	assert_int_equal(atomic_load(&x->received), x->total);
}

static const struct note *flow_of(const struct fixture *f, uint64_t client_port)
{
	for (unsigned i = 0; i < f->notes.count; i++)
		if (f->notes.at[i].kind == RECORD_FLOW && f->notes.at[i].client_port == client_port)
			return &f->notes.at[i];
	return NULL;
}

/* Each step of shedding marks what it touches, and nothing else. */
static void test_load_is_shed_step_by_step(void **state maybe_unused)
{
	struct fixture f;
	struct script *losing = script_new(1), *x[4];
	start(&f, 1, 0);
	attach(&f, losing, 1);
	assert_int_equal(live_govern(f.live), 0);
	for (unsigned i = 0; i < 4; i++) {
		x[i] = script_new(1);
		int64_t t = now_ns();
		if (i < 3)
			talk(x[i], (uint16_t)(1000 + i), t);
		for (unsigned k = 0; k < 1000 && i == 3; k++) {
			segment(true, (uint16_t)(2000 + k), 2, 1, 0, "");
			script_add(x[i], 0, t + k, t);
		}
		if (i == 3) { /* of one that is established, and was not touched yet */
			segment(true, 1001, 16, 230, 528, "");
			script_add(x[i], 0, t + 1000, t);
		}
		play(&f, x[i]);
		atomic_fetch_add(&losing->dropped, 1);
		assert_int_equal(live_govern(f.live), i + 1);
	}
	assert_int_equal(live_govern(f.live), 4); /* no pressure, but not calm for long */
	finish(&f);
	assert_int_equal(f.requests, 2);
	const struct note *whole = NULL, *cut = NULL;
	for (unsigned i = 0; i < f.notes.count; i++) {
		const struct note *n = &f.notes.at[i];
		if (n->kind == RECORD_REQUEST && n->client_port == 1000)
			whole = n;
		if (n->kind == RECORD_REQUEST && n->client_port == 1001)
			cut = n;
	}
	assert_non_null(whole);
	assert_non_null(cut);
	assert_false(whole->truncated);
	assert_int_equal(whole->resource_len, 100);
	assert_true(cut->truncated);
	assert_int_equal(cut->resource_len, SHED_TEXT_BYTES);
	assert_false(flow_of(&f, 1000)->truncated);
	assert_true(flow_of(&f, 1002)->truncated);
	assert_int_equal(flow_of(&f, 1001)->packets, 6);
	assert_int_equal(f.counters.engine.sessions.conns_shed, 1);
	assert_in_range(f.counters.engine.ledger.shed, 400, 600);
	assert_int_equal(f.flows + f.counters.engine.ledger.shed, 1003);
	assert_int_equal(f.counters.shed, 4);
	assert_int_equal(f.counters.shed_entered[1], 1);
	free(f.notes.at);
	for (unsigned i = 0; i < 4; i++)
		free(x[i]);
	free(losing);
}

/* The clock is set an hour ahead, then two hours back: flows that had timed out by the new time end, what comes later
 * is as good as before, and each step is counted. */
static void test_a_clock_that_is_set(void **state maybe_unused)
{
	static const int64_t hours[] = {0, 1, -1};
	struct fixture f;
	struct script *x[3];
	start(&f, 1, 20 * NS_PER_MS);
	for (unsigned i = 0; i < 3; i++) {
		atomic_store(&clock_shift_ns, hours[i] * 3600 * NS_PER_S);
		nanosleep(&(struct timespec){.tv_nsec = 300 * NS_PER_MS}, NULL);
		live_counters(f.live, &f.counters);
		assert_int_equal(f.counters.clock_steps, i);
		x[i] = script_new(1);
		talk(x[i], (uint16_t)(1000 + i), now_ns());
		play(&f, x[i]);
	}
	nanosleep(&(struct timespec){.tv_nsec = 300 * NS_PER_MS}, NULL);
	assert_true(live_alive(f.live));
	finish(&f);
	atomic_store(&clock_shift_ns, 0);
	assert_int_equal(f.sessions, 3);
	assert_int_equal(f.flows, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_non_null(flow_of(&f, 1000 + i));
		assert_int_equal(flow_of(&f, 1000 + i)->packets, 5);
		free(x[i]);
	}
	free(f.notes.at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fibres_meet_in_the_order_of_time),
	    cmocka_unit_test(test_scattered_flows_meet_at_their_owners),
	    cmocka_unit_test(test_fragments_meet),
	    cmocka_unit_test(test_a_full_ring_between_workers_counts),
	    cmocka_unit_test(test_sources_come_and_go),
	    cmocka_unit_test(test_a_slow_sink_costs_records_only),
	    cmocka_unit_test(test_load_is_shed_step_by_step),
	    cmocka_unit_test(test_a_clock_that_is_set),
	    cmocka_unit_test(test_time_that_is_wrong_holds_nobody_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
