/* Scripted packets under a fake clock, and the records that must come of them.
 *
 * A script is lines:
 *   at T                       the clock of the packets that follow, in seconds
 *   > FLAGS [seq=N] [ack=N] [len=N] [win=N] [ws=N] [cut=N] [push=STRING]
 *                              a packet from client to server, `<` the other way; FLAGS of SFRAPUEC, or udp / icmp
 * TYPE; copy=N: as a copy that was seen N ns later, -1: of which that is not known tick T flowtab_tick finish T
 * flowtab_finish client N                   flow_set_client on the last flow that gave data: its client is end N off
 * flow_stream_off, likewise = FIELD=VALUE …            the next record, in order; VALUE `-` is an absent field none no
 * further record has come Sequence numbers of both directions are as written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flowtab_fixture.h"
#include "record.h"

#define RECORDS 64

struct world {
	struct flowtab *table;
	struct flow_record records[RECORDS];
	unsigned count, checked;
	uint64_t closes, lasts, timers;
	struct flow *data_flow;
	int64_t now_ns;
	uint16_t client_port, server_port;
	const char *name;
	unsigned line;
};

static void on_data(void *ctx, struct flow *f, const struct flow_data *d)
{
	(void)d;
	((struct world *)ctx)->data_flow = f;
}

static void on_gap(void *ctx, struct flow *f, unsigned direction, uint64_t missing, uint32_t seq, int64_t ts_ns)
{
	(void)ctx, (void)f, (void)direction, (void)missing, (void)seq, (void)ts_ns;
}

static void on_end(void *ctx, struct flow *f, unsigned direction, int64_t ts_ns)
{
	(void)ctx, (void)f, (void)direction, (void)ts_ns;
}

static void on_timer(void *ctx, struct flow *f, int64_t now_ns)
{
	(void)f, (void)now_ns;
	((struct world *)ctx)->timers++;
}

static void on_close(void *ctx, struct flow *f, int64_t now_ns)
{
	(void)f, (void)now_ns;
	((struct world *)ctx)->closes++;
}

static void on_report(void *ctx, struct flow *f, struct flow_record *r, bool last)
{
	struct world *w = ctx;
	(void)f;
	assert_true(w->count < RECORDS);
	assert_true(r->end_time >= r->start_time);
	assert_true(r->duration_ns >= 0);
	w->lasts += last;
	w->records[w->count++] = *r;
}

static const struct flow_calls calls = {on_data, on_gap, on_end, on_timer, on_close, on_report};

static const char *print_field(const struct flow_record *r, unsigned i, char out[64])
{
	const struct field *f = &flow_fields[i];
	const void *at = (const uint8_t *)r + f->offset;
	if (!(r->present[i / 64] >> (i % 64) & 1))
		return "-";
	switch (f->kind) {
	case FIELD_U64:
		snprintf(out, 64, "%llu", *(const unsigned long long *)at);
		break;
	case FIELD_I64:
	case FIELD_NS:
	case FIELD_TIME:
		snprintf(out, 64, "%lld", *(const long long *)at);
		break;
	case FIELD_BOOL:
		snprintf(out, 64, "%d", *(const bool *)at);
		break;
	case FIELD_NAME:
		snprintf(out, 64, "%s", ((const struct text *)at)->at);
		break;
	case FIELD_IP:
		snprintf(out, 64, "%d", ((const struct ip_address *)at)->at[3]);
		break;
	case FIELD_FLAGS: {
		char *o = out;
		for (unsigned b = 0; b < 8; b++)
			if (*(const uint8_t *)at >> b & 1)
				*o++ = "FSRPAUEC"[b];
		*o = 0;
		break;
	}
	default:
		snprintf(out, 64, "?");
	}
	return out;
}

static unsigned failures; /* all scripts run, whatever the first says */

static void wrong(const struct world *w, const char *what)
{
	print_error("%s, line %u: %s\n", w->name, w->line, what);
	failures++;
}

static void check_record(struct world *w, char *line)
{
	char buf[64], message[256];
	if (w->checked == w->count) {
		wrong(w, "a record is missing");
		return;
	}
	const struct flow_record *r = &w->records[w->checked++];
	for (char *save, *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *value = strchr(word, '=');
		if (!value)
			wrong(w, "no = in an expectation");
		*value++ = 0;
		unsigned i = 0;
		while (i < FLOW_FIELD_COUNT && strcmp(flow_fields[i].name, word))
			i++;
		if (i == FLOW_FIELD_COUNT) {
			wrong(w, word);
			return;
		}
		const char *got = print_field(r, i, buf);
		if (strcmp(got, value)) {
			snprintf(message, sizeof message, "%s is %s, not %s", word, got, value);
			wrong(w, message);
		}
	}
}

static int64_t parse_time(const char *s)
{
	return (int64_t)(strtod(s, NULL) * 1e6 + 0.5) * 1000;
}

static void send_packet(struct world *w, char *line)
{
	bool from_server = *line == '<';
	char *save, *word = strtok_r(line + 1, " ", &save);
	uint8_t protocol = !strcmp(word, "udp") ? 17 : !strcmp(word, "icmp") ? 1 : 6;
	struct packet p = fixture_packet(protocol, w->client_port, w->server_port, from_server, FIXTURE_SEED);
	uint32_t len = 0, cut = UINT32_MAX;
	int64_t copy_ns = INT64_MIN;
	if (protocol == 1)
		p.icmp_type = (uint8_t)atoi(strtok_r(NULL, " ", &save));
	for (const char *c = word; protocol == 6 && *c; c++) {
		const char *at = strchr("FSRPAUEC", *c);
		if (*c != '0')
			p.tcp_flags |= (uint8_t)(1u << (at - "FSRPAUEC"));
	}
	while ((word = strtok_r(NULL, " ", &save))) {
		uint32_t n = (uint32_t)strtoul(strchr(word, '=') + 1, NULL, 0);
		if (!strncmp(word, "seq=", 4))
			p.seq = n;
		else if (!strncmp(word, "ack=", 4))
			p.ack = n;
		else if (!strncmp(word, "len=", 4))
			len = n;
		else if (!strncmp(word, "win=", 4))
			p.window = (uint16_t)n;
		else if (!strncmp(word, "ws=", 3))
			p.window_scale = (uint8_t)n;
		else if (!strncmp(word, "cut=", 4))
			cut = n;
		else if (!strncmp(word, "bad=", 4))
			p.flags |= PACKET_BAD_IP_CHECKSUM;
		else if (!strncmp(word, "frames=", 7))
			p.frames = (uint16_t)n;
		else if (!strncmp(word, "copy=", 5))
			copy_ns = (int32_t)n;
		else
			wrong(w, word);
	}
	fixture_set_len(&p, len);
	p.payload_captured = min_of(len, cut);
	p.ts_ns = w->now_ns;
	if (copy_ns != INT64_MIN)
		flowtab_duplicate(w->table, &p, copy_ns);
	else
		flowtab_packet(w->table, &p);
}

static void run(struct world *w, const struct flowtab_settings *settings, const char *name, const char *script)
{
	char line[1024];
	memset(w, 0, sizeof *w);
	w->name = name;
	w->client_port = 40000;
	w->server_port = 80;
	assert_int_equal(flowtab_new(&w->table, settings, SHARDS, 0, &calls, w), 0);
	while (*script) {
		size_t n = strcspn(script, "\n");
		assert_true(n < sizeof line);
		memcpy(line, script, n);
		line[n] = 0;
		script += n + (script[n] == '\n');
		w->line++;
		if (!strncmp(line, "at ", 3))
			w->now_ns = parse_time(line + 3);
		else if (!strncmp(line, "tick ", 5))
			flowtab_tick(w->table, parse_time(line + 5));
		else if (!strncmp(line, "finish ", 7))
			flowtab_finish(w->table, parse_time(line + 7));
		else if (!strncmp(line, "port ", 5))
			w->client_port = (uint16_t)atoi(line + 5);
		else if (!strncmp(line, "server ", 7))
			w->server_port = (uint16_t)atoi(line + 7);
		else if (!strncmp(line, "client ", 7))
			flow_set_client(w->table, w->data_flow, (unsigned)atoi(line + 7));
		else if (!strcmp(line, "off"))
			flow_stream_off(w->table, w->data_flow);
		else if (!strncmp(line, "late ", 5))
			assert_int_equal(flowtab_counters(w->table)->late_frames, atoi(line + 5));
		else if (*line == '>' || *line == '<')
			send_packet(w, line);
		else if (*line == '=')
			check_record(w, line + 1);
		else if (!strcmp(line, "none")) {
			if (w->checked != w->count)
				wrong(w, "a record too early"), w->checked = w->count;
		} else if (*line)
			wrong(w, "what is this?");
	}
	if (w->checked != w->count)
		wrong(w, "a record that nobody expected");
	flowtab_finish(w->table, w->now_ns);
	const struct flowtab_counters *c = flowtab_counters(w->table);
	assert_int_equal(c->frames, c->flow_frames + c->late_frames + c->no_memory_frames);
	assert_int_equal(c->live, 0);
	assert_int_equal(c->flows, w->closes);
	assert_int_equal(c->flows, w->lasts);
	assert_int_equal(c->records, w->count);
	assert_int_equal(c->segments_held, 0);
	w->table = flowtab_free(w->table);
}

struct script {
	const char *name, *text;
};

#define OPEN                                                                                                           \
	"> S seq=100\n"                                                                                                \
	"< SA seq=500 ack=101\n"                                                                                       \
	"> A seq=101 ack=501\n"

/* clang-format off */
static const struct script scripts[] = {
{"fin: leaves with the last ACK, at once",
 "at 1\n" OPEN
 "at 1.1\n> PA seq=101 ack=501 len=10\n"
 "at 1.2\n< A seq=501 ack=111\n"
 "at 1.5\n< PA seq=501 ack=111 len=20\n"
 "at 2\n> FA seq=111 ack=521\n"
 "at 2.1\n< FA seq=521 ack=112\n"
 "none\n"
 "> A seq=112 ack=522\n"
 "= close_type=tcp_fin packet_tx=5 packet_rx=4 byte_tx=280 byte_rx=236 l3_byte_tx=210 l3_byte_rx=180 l4_byte_tx=10"
 " l4_byte_rx=20 tcp_flags_tx=FSPA tcp_flags_rx=FSPA syn_count=1 synack_count=1 fin_count=2 retrans_tx=0 retrans_rx=0"
 " start_time=1000000000 end_time=2100000000 duration_ns=1100000000 is_new_flow=1 direction_score=255 client_ip=1"
 " client_port=40000 server_port=80 srt_count=1 srt_sum=100000000 srt_max=100000000 art_count=1 art_sum=400000000"
 " cit_count=- gap_bytes=- gap_bytes_tx=- midstream=- truncated=- direction_corrected=- protocol=TCP\n"},
{"simultaneous close: both FINs before any ACK of them",
 "at 1\n" OPEN
 "> FA seq=101 ack=501\n< FA seq=501 ack=101\n> A seq=102 ack=502\nnone\n< A seq=502 ack=102\n= close_type=tcp_fin\n"},
{"fin: late segments are on no flow, a new SYN begins one",
 "at 1\n" OPEN
 "> FA seq=101 ack=501\n< FA seq=501 ack=102\n> A seq=102 ack=502\n= close_type=tcp_fin packet_tx=4\n"
 "at 1.5\n< FA seq=501 ack=102\n> A seq=102 ack=502\n> S seq=100\nlate 3\nnone\n"
 "at 1.6\n> S seq=9000\nfinish 2\n= close_type=end_of_input packet_tx=1 packet_rx=0 syn_count=1\nlate 3\n"},
{"fin: after the linger a segment begins a flow again",
 "at 1\n" OPEN
 "> FA seq=101 ack=501\n< FA seq=501 ack=102\n> A seq=102 ack=502\n= close_type=tcp_fin\n"
 "at 2.999999\n< A seq=502 ack=102\nlate 1\nat 3\n< A seq=502 ack=102\nlate 1\nfinish 4\n"
 "= packet_rx=1 midstream=1 is_new_flow=1 direction_score=200\n"},
{"reset by the server, told 35 s later",
 "at 1\n" OPEN "at 2\n< RA seq=501 ack=101\ntick 36.9\nnone\ntick 37\n"
 "= close_type=tcp_server_rst end_time=2000000000 packet_rx=2\n"},
{"reset by the client",
 "at 1\n" OPEN "at 2\n> R seq=101\ntick 37\n= close_type=tcp_client_rst\n"},
{"reset out of the window changes nothing",
 "at 1\n" OPEN "at 2\n> R seq=900101 win=0\ntick 38\nnone\nfinish 39\n= close_type=end_of_input\n"},
{"the first reset counts",
 "at 1\n" OPEN "at 2\n> R seq=101\n< R seq=501\ntick 37\n= close_type=tcp_client_rst\n"},
{"reset after a FIN by the client",
 "at 1\n" OPEN "at 2\n< FA seq=501 ack=101\n> R seq=101\ntick 37\n= close_type=tcp_fin_client_rst\n"},
{"reset after a FIN by the server",
 "at 1\n" OPEN "at 2\n> FA seq=101 ack=501\n< R seq=501\ntick 37\n= close_type=tcp_server_rst\n"},
{"reset is told at the end of the input too",
 "at 1\n" OPEN "at 2\n> R seq=101\nfinish 3\n= close_type=tcp_client_rst\n"},
{"SYN answered by RST: 1 s",
 "at 1\n> S seq=100\n< RA seq=0 ack=101\ntick 1.9\nnone\ntick 2\n= close_type=server_reset packet_tx=1 packet_rx=1\n"},
{"client gives up after its SYN",
 "at 1\n> S seq=100\n> R seq=101\ntick 2\n= close_type=client_establish_reset\n"},
{"client resets the SYN-ACK",
 "at 1\n> S seq=100\n< SA seq=500 ack=101\n> R seq=101\ntick 2\n= close_type=client_establish_reset\n"},
{"server resets after its SYN-ACK",
 "at 1\n> S seq=100\n< SA seq=500 ack=101\n< R seq=501\ntick 2\n= close_type=server_establish_reset\n"},
{"nobody answers: 5 s after the last SYN",
 "at 1\n> S seq=100\nat 2\n> S seq=100\nat 4\n> S seq=100\ntick 8.9\nnone\ntick 9\n"
 "= close_type=client_syn_repeat syn_count=3 retrans_tx=2 packet_tx=3 packet_rx=0 rtt_ns=- server_port=80\n"},
{"a lone SYN",
 "at 1\n> S seq=100\ntick 6\n= close_type=client_syn_repeat syn_count=1 synack_count=0 retrans_tx=0 duration_ns=0\n"},
{"SYN-ACK that nobody answers",
 "at 1\n> S seq=100\n< SA seq=500 ack=101\nat 2\n< SA seq=500 ack=101\ntick 7\n"
 "= close_type=server_synack_repeat synack_count=2 retrans_rx=1 ack_retrans_rx=1\n"},
{"the server's queue is full",
 "at 1\n" OPEN "at 2\n< SA seq=500 ack=101\n> A seq=101 ack=501\ntick 7\n"
 "= close_type=server_queue_lack synack_count=2 ack_retrans_rx=1 ack_retrans_tx=1 retrans_tx=0\n"},
{"the server's queue was full, and then not",
 "at 1\n" OPEN "at 2\n< SA seq=500 ack=101\n> PA seq=101 ack=501 len=5\n< A seq=501 ack=106\ntick 8\nnone\nfinish 9\n"
 "= close_type=end_of_input\n"},
{"only the client closes: 5 s",
 "at 1\n" OPEN "at 2\n> FA seq=101 ack=501\n< A seq=501 ack=102\ntick 6.9\nnone\ntick 7\n= close_type=server_half_close\n"},
{"only the server closes",
 "at 1\n" OPEN "at 2\n< FA seq=501 ack=101\n> A seq=101 ack=502\ntick 7\n= close_type=client_half_close\n"},
{"half close goes on while there are packets",
 "at 1\n" OPEN "at 2\n> FA seq=101 ack=501\nat 6\n< PA seq=501 ack=102 len=9\nat 10\n< FA seq=510 ack=102\n"
 "> A seq=102 ack=511\n= close_type=tcp_fin packet_rx=3\n"},
{"both closed, the last ACK was lost: 5 s",
 "at 1\n" OPEN "> FA seq=101 ack=501\n< FA seq=501 ack=102\ntick 6\n= close_type=tcp_fin fin_count=2\n"},
{"established and silent: 300 s, and nothing in between",
 "at 1\n" OPEN "tick 59\nnone\ntick 60\n= close_type=forced_report packet_tx=2 is_new_flow=1\ntick 120\ntick 300.9\nnone\n"
 "tick 301\n= close_type=timeout packet_tx=0 packet_rx=0 is_new_flow=0 syn_count=0 start_time=1000000000"
 " end_time=1000000000\n"},
{"a packet finds what no tick has closed",
 "at 1\n> S seq=100\nat 6\n> S seq=100\n= close_type=client_syn_repeat packet_tx=1\nfinish 7\n= packet_tx=1\n"},
{"a packet just in time",
 "at 1\n> S seq=100\nat 5.999999\n> S seq=100\nfinish 7\n= packet_tx=2\n"},
{"flags that begin no connection",
 "at 1\n> 0 seq=1\ntick 6\n= close_type=timeout midstream=1 packet_tx=1\n"
 "at 7\n> FPU seq=1\ntick 12\n= close_type=timeout tcp_flags_tx=FPU\n"},
{"SYN and FIN at once is no client", "at 1\n< SF seq=1\ntick 6\n= close_type=timeout direction_score=200 client_ip=1\n"},
{"port reuse: a SYN with a new ISN",
 "at 1\n" OPEN "at 2\n> S seq=7000\n= close_type=client_source_port_reuse packet_tx=2\nfinish 3\n= packet_tx=1 syn_count=1\n"},
{"a SYN with another number where nobody has answered: another attempt",
 "at 1\n> S seq=100\nat 2\n> S seq=7000\nat 3\n> S seq=7000\nnone\ntick 8\n"
 "= close_type=client_syn_repeat packet_tx=3 syn_count=3 retrans_tx=1\n"},
{"the last attempt is the one that is answered",
 "at 1\n> S seq=100\nat 2\n> S seq=7000\nat 3\n< SA seq=500 ack=7001\nat 3.25\n> A seq=7001 ack=501\nat 4\n> PA seq=7001 ack=501 len=9\nfinish 5\n"
 "= packet_tx=4 syn_count=2 synack_count=1 retrans_tx=0 ooo_tx=0 rtt_server_ns=1000000000 rtt_client_ns=250000000 gap_bytes=-\n"},
{"an attempt after one that was refused is another flow",
 "at 1\n> S seq=100\n< RA seq=0 ack=101\nat 1.5\n> S seq=7000\n= close_type=server_reset packet_tx=1\nfinish 2\n= packet_tx=1\n"},
{"port reuse of a connection that was reset: the reset is told",
 "at 1\n" OPEN "> R seq=101\nat 2\n> S seq=7000\n= close_type=tcp_client_rst\nfinish 3\n= packet_tx=1\n"},
{"a repeated SYN of an open connection is no reuse",
 "at 1\n" OPEN "at 2\n> S seq=100\nnone\nfinish 3\n= packet_tx=3 syn_count=2 retrans_tx=1\n"},
{"the other end reuses the ports",
 "at 1\n" OPEN "at 2\n< S seq=7000\n= close_type=client_source_port_reuse\nfinish 3\n"
 "= client_ip=2 client_port=80 server_port=40000 direction_score=255\n"},
{"simultaneous open: the first SYN's sender is the client",
 "at 1\n< S seq=500\n> S seq=100\n< SA seq=500 ack=101\n> SA seq=100 ack=501\n> PA seq=101 ack=501 len=3\n< A seq=501 ack=104\n"
 "none\nfinish 2\n= client_ip=2 direction_score=255 syn_count=2 synack_count=2 packet_rx=3 gap_bytes=-\n"},
{"minute reports fall on the minute and sum up",
 "at 59\n" OPEN "at 59.5\n> PA seq=101 ack=501 len=10\nat 60.5\n"
 "> PA seq=111 ack=501 len=20\n"
 "= close_type=forced_report packet_tx=3 packet_rx=1 l4_byte_tx=10 is_new_flow=1 start_time=59000000000"
 " end_time=59500000000 syn_count=1 rtt_ns=0\n"
 "at 61\n> PA seq=131 ack=501 len=1\n"
 "tick 120\n= close_type=forced_report packet_tx=2 packet_rx=0 l4_byte_tx=21 is_new_flow=0 start_time=60500000000"
 " end_time=61000000000 duration_ns=2000000000 syn_count=0 tcp_flags_tx=PA tcp_flags_rx= rtt_ns=-\n"
 "tick 180\nnone\nat 190\n> FA seq=132 ack=501\n< FA seq=501 ack=133\n> A seq=133 ack=502\n"
 "= close_type=tcp_fin packet_tx=2 packet_rx=1 fin_count=2 l4_byte_tx=0 duration_ns=131000000000\n"},
{"a lone SYN's report, then its answer",
 "at 59\n> S seq=100\nat 61\n< SA seq=500 ack=101\n= close_type=forced_report syn_count=1 packet_tx=1\n"
 "finish 62\n= syn_count=0 synack_count=1 packet_tx=0 packet_rx=1 rtt_server_ns=2000000000\n"},
{"rtt: client and server side",
 "at 1\n> S seq=100\nat 1.3\n< SA seq=500 ack=101\nat 1.35\n> A seq=101 ack=501\nfinish 2\n"
 "= rtt_ns=350000000 rtt_server_ns=300000000 rtt_client_ns=50000000\n"},
{"rtt: from the last SYN and the last SYN-ACK",
 "at 1\n> S seq=100\nat 2\n> S seq=100\nat 2.1\n< SA seq=500 ack=101\nat 3.1\n< SA seq=500 ack=101\n"
 "at 3.15\n> A seq=101 ack=501\nfinish 4\n= rtt_ns=150000000 rtt_server_ns=100000000 rtt_client_ns=50000000 syn_count=2 synack_count=2\n"},
{"rtt: none without the SYN",
 "at 1\n< SA seq=500 ack=101\nat 1.1\n> A seq=101 ack=501\nfinish 2\n"
 "= rtt_ns=- rtt_server_ns=- rtt_client_ns=100000000 client_ip=1 direction_score=255 midstream=-\n"},
{"art, srt, cit over two exchanges",
 "at 1\n" OPEN
 "at 2\n> PA seq=101 ack=501 len=5\n> PA seq=106 ack=501 len=5\n"
 "at 2.1\n< A seq=501 ack=111\nat 2.5\n< PA seq=501 ack=111 len=7\nat 2.6\n< PA seq=508 ack=111 len=7\n"
 "at 4\n> PA seq=111 ack=515 len=5\nat 4.2\n< PA seq=515 ack=116 len=7\nfinish 5\n"
 "= srt_count=1 srt_sum=100000000 art_count=2 art_sum=700000000 art_max=500000000 cit_count=1 cit_sum=1400000000\n"},
{"retransmission: data again",
 "at 1\n" OPEN "at 2\n> PA seq=101 ack=501 len=10\nat 2.3\n> PA seq=101 ack=501 len=10\nfinish 3\n= retrans_tx=1 ooo_tx=0 keepalive_tx=0\n"},
{"retransmission: spurious, after the ACK",
 "at 1\n" OPEN "at 2\n> PA seq=101 ack=501 len=10\n< A seq=501 ack=111\n> PA seq=101 ack=501 len=10\nfinish 3\n= retrans_tx=1\n"},
{"out of order: fills a hole within 3 ms",
 "at 1\n> S seq=100\n< SA seq=500 ack=101\n> A seq=101 ack=501\n"
 "at 2\n> A seq=111 ack=501 len=10\nat 2.002\n> A seq=101 ack=501 len=10\nfinish 3\n= retrans_tx=0 ooo_tx=1 gap_bytes=-\n"},
{"retransmission: fills a hole later than that",
 "at 1\n" OPEN
 "at 2\n> A seq=111 ack=501 len=10\nat 2.004\n> A seq=101 ack=501 len=10\nfinish 3\n= retrans_tx=1 ooo_tx=0\n"},
{"out of order: the handshake's round trip is the measure where it is known",
 "at 1\n> S seq=100\nat 1.2\n< SA seq=500 ack=101\n> A seq=101 ack=501\n"
 "at 2\n> A seq=111 ack=501 len=10\nat 2.1\n> A seq=101 ack=501 len=10\nfinish 3\n= retrans_tx=0 ooo_tx=1\n"},
{"fast retransmission: two duplicate ACKs, then at once",
 "at 1\n> S seq=100\nat 1.2\n< SA seq=500 ack=101\n> A seq=101 ack=501\n"
 "at 2\n> A seq=111 ack=501 len=10\n< A seq=501 ack=101\n< A seq=501 ack=101\n< A seq=501 ack=101\n"
 "at 2.01\n> A seq=101 ack=501 len=10\nfinish 3\n= retrans_tx=1 ooo_tx=0 retrans_rx=0\n"},
{"a FIN again", "at 1\n" OPEN "> FA seq=101 ack=501\nat 1.4\n> FA seq=101 ack=501\nfinish 2\n= retrans_tx=1 fin_count=2\n"},
{"keep-alive is no retransmission",
 "at 1\n" OPEN "> PA seq=101 ack=501 len=10\n< A seq=501 ack=111\nat 50\n> A seq=110 ack=501 len=1\n< A seq=501 ack=111\n"
 "at 55\n> A seq=110 ack=501\n< A seq=501 ack=111\nfinish 56\n= keepalive_tx=2 keepalive_rx=0 retrans_tx=0 ack_retrans_rx=0\n"},
{"window update and duplicate ACK are no retransmissions",
 "at 1\n" OPEN "> PA seq=101 ack=501 len=10\n< A seq=501 ack=111\n< A seq=501 ack=111 win=2000\n< A seq=501 ack=111 win=2000\n"
 "finish 2\n= retrans_rx=0 ack_retrans_rx=0 keepalive_rx=0\n"},
{"the handshake's ACK again", "at 1\n" OPEN "> A seq=101 ack=501\nfinish 2\n= ack_retrans_tx=1 retrans_tx=0\n"},
{"zero window, and its probe",
 "at 1\n" OPEN "> PA seq=101 ack=501 len=10\n< A seq=501 ack=111 win=0\n> A seq=111 ack=501 len=1\n< A seq=501 ack=111 win=0\n"
 "> A seq=111 ack=501 len=9\nfinish 2\n= zero_win_rx=2 zero_win_tx=0 retrans_tx=0\n"},
{"zero window in SYN, RST, FIN is none",
 "at 1\n> S seq=100 win=0\n< SA seq=500 ack=101 win=0\n> A seq=101 ack=501\n< FA seq=501 ack=101 win=0\n> R seq=101 win=0\n"
 "finish 2\n= zero_win_rx=0 zero_win_tx=0\n"},
{"sequence numbers wrap",
 "at 1\n> S seq=0xfffffff0\n< SA seq=0xfffffffe ack=0xfffffff1\n> A seq=0xfffffff1 ack=0xffffffff\n"
 "> PA seq=0xfffffff1 ack=0xffffffff len=30\n< A seq=0xffffffff ack=15\n< PA seq=0xffffffff ack=15 len=10\n"
 "> FA seq=15 ack=9\n< FA seq=9 ack=16\n> A seq=16 ack=10\n"
 "= close_type=tcp_fin retrans_tx=0 retrans_rx=0 ooo_tx=0 gap_bytes=- srt_count=1\n"},
{"the clock steps back",
 "at 100\n" OPEN "at 10\n> PA seq=101 ack=501 len=5\n< PA seq=501 ack=106 len=5\nat 100.5\n> FA seq=106 ack=506\n"
 "< FA seq=506 ack=107\n> A seq=107 ack=507\n"
 "= close_type=tcp_fin start_time=100000000000 end_time=100500000000 duration_ns=500000000 packet_tx=5 art_count=1 art_sum=0\n"},
{"the clock steps back within the handshake: no round trip",
 "at 100\n> S seq=100\nat 99\n< SA seq=500 ack=101\n> A seq=101 ack=501\nfinish 101\n= rtt_server_ns=- rtt_ns=- rtt_client_ns=0\n"},
{"one-way: the client's side only",
 "at 1\n> S seq=100\n> A seq=101 ack=501\n> PA seq=101 ack=501 len=10\n> A seq=111 ack=2501\n> FA seq=111 ack=2502\n> A seq=112 ack=2503\n"
 "tick 6\n= close_type=server_half_close packet_tx=6 packet_rx=0 retrans_tx=0 l4_byte_tx=10\n"},
{"one-way: the server's side only, with its SYN-ACK",
 "at 1\n< SA seq=500 ack=101\n< A seq=501 ack=111\n< PA seq=501 ack=111 len=100\n< FA seq=601 ack=112\ntick 6\n"
 "= close_type=client_half_close client_ip=1 direction_score=255 packet_rx=4 retrans_rx=0 gap_bytes_tx=10 gap_bytes=10\n"},
{"from the middle: ports tell the server",
 "at 1\n< PA seq=501 ack=101 len=10\nfinish 2\n= client_ip=1 direction_score=200 midstream=1 l4_byte_rx=10\n"},
{"from the middle: a registered port",
 "server 8080\nat 1\n< PA seq=501 ack=101 len=10\nfinish 2\n= client_ip=1 direction_score=150\n"},
{"from the middle: the lower port", "port 9000\nserver 8080\nat 1\n< PA seq=501 ack=101 len=10\nfinish 2\n= client_ip=1 direction_score=100\n"},
{"from the middle: equal ports, the first speaker",
 "port 8080\nserver 8080\nat 1\n< PA seq=501 ack=101 len=10\nfinish 2\n= client_ip=2 direction_score=50\n"},
{"content decides against ports",
 "at 1\n> PA seq=501 ack=101 len=10\nclient 1\nfinish 2\n= client_ip=2 direction_score=254 packet_rx=1 packet_tx=0\n"},
{"content does not decide against a SYN",
 "at 1\n" OPEN "> PA seq=101 ack=501 len=10\nclient 1\nfinish 2\n= client_ip=1 direction_score=255 direction_corrected=-\n"},
{"evidence after the first record corrects, and swaps nothing",
 "at 1\n> PA seq=501 ack=101 len=10\ntick 60\n= client_ip=1 direction_score=200 direction_corrected=-\n"
 "at 61\n> PA seq=511 ack=101 len=10\nclient 1\nfinish 62\n= client_ip=1 direction_score=200 direction_corrected=1 packet_tx=1\n"},
{"a loss that the peer acknowledged is a gap",
 "at 1\n" OPEN "> PA seq=101 ack=501 len=10\n> PA seq=211 ack=501 len=10\n< A seq=501 ack=221\nfinish 2\n= gap_bytes_tx=100 gap_bytes_rx=- gap_bytes=100\n"},
{"the same with nobody reading",
 "at 1\n" OPEN "> PA seq=101 ack=501 len=10\noff\n> PA seq=211 ack=501 len=10\n< A seq=501 ack=221\nfinish 2\n= gap_bytes_tx=100 gap_bytes=100\n"},
{"snap length", "at 1\n" OPEN "> PA seq=101 ack=501 len=100 cut=30\nfinish 2\n= gap_bytes_tx=70 l4_byte_tx=100\n"},
{"numbers far off are ignored, until they persist",
 "at 1\n" OPEN "> PA seq=101 ack=501 len=10\n> PA seq=0x80000000 ack=501 len=10\n> PA seq=111 ack=501 len=10\nfinish 2\n"
 "= retrans_tx=0 ooo_tx=0 gap_bytes=- packet_tx=5 l4_byte_tx=30\n"},
{"an acknowledgment far off is ignored too",
 "at 1\n" OPEN "> PA seq=101 ack=501 len=10\n< A seq=501 ack=0x40000000\n< A seq=501 ack=111\n> PA seq=111 ack=501 len=10\nfinish 2\n"
 "= retrans_tx=0 gap_bytes=-\n"},
{"eight packets far off: the capture had a hole",
 "at 1\n" OPEN "> A seq=101 ack=501 len=10\n> A seq=100000111 ack=501 len=10\n> A seq=100000121 ack=501 len=10\n"
 "> A seq=100000131 ack=501 len=10\n> A seq=100000141 ack=501 len=10\n> A seq=100000151 ack=501 len=10\n"
 "> A seq=100000161 ack=501 len=10\n> A seq=100000171 ack=501 len=10\n> A seq=100000181 ack=501 len=10\n"
 "> A seq=100000191 ack=501 len=10\nfinish 2\n= retrans_tx=0 ooo_tx=0 gap_bytes_tx=100000070 gap_bytes_rx=-\n"},
{"udp: 60 s of silence",
 "server 53\nat 1\n> udp len=30\nat 1.1\n< udp len=60\ntick 60\n= close_type=forced_report packet_tx=1 packet_rx=1 syn_count=-"
 " tcp_flags_tx=- retrans_tx=- midstream=- l4_byte_rx=60 protocol=UDP direction_score=200\ntick 61\nnone\ntick 61.1\n"
 "= close_type=timeout packet_tx=0\n"},
{"udp: one-way 5 s",
 "at 1\n> udp len=30\nat 5.9\n> udp len=30\ntick 10.8\nnone\ntick 10.9\n= close_type=timeout packet_tx=2 packet_rx=0\n"},
{"udp: a reply turns it to 60 s", "at 1\n> udp len=30\nat 4\n< udp len=30\ntick 10\nnone\nfinish 11\n= close_type=end_of_input\n"},
{"icmp echo: the asker is the client, whoever was seen first",
 "port 77\nserver 77\nat 1\n< icmp 0 len=56\n> icmp 8 len=56\nfinish 2\n"
 "= protocol=ICMP client_ip=1 direction_score=254 client_port=- server_port=- packet_tx=1 packet_rx=1\n"},
{"checksums and fragments are counted",
 "at 1\n> udp len=3000 frames=3 bad=1\n> udp len=10 bad=1\nfinish 2\n= packet_tx=4 fragments=3 bad_checksum=2\n"},
{"copies are counted on their flow, and nothing else of them",
 "at 1\n> S seq=100\n> S seq=100 copy=-1\n< SA seq=500 ack=101\n> A seq=101 ack=501\nat 2\n"
 "> PA seq=101 ack=501 len=10\n> PA seq=101 ack=501 len=10 copy=700\n< SA seq=500 ack=101 copy=300\n"
 "tick 60\n= duplicate_count=3 duplicate_delay_sum=1000 duplicate_delay_count=2 duplicate_delay_max=700 packet_tx=3 packet_rx=1"
 " syn_count=1 synack_count=1 retrans_tx=0 retrans_rx=0 l4_byte_tx=10 end_time=2000000000\n"
 "at 61\n> A seq=111 ack=501\n> A seq=111 ack=501 frames=2 copy=-1\n"
 "tick 120\n= duplicate_count=2 duplicate_delay_sum=- duplicate_delay_count=- packet_tx=1\n"
 "at 121\n> A seq=111 ack=501\nfinish 122\n= duplicate_count=- packet_tx=1\n"},
{"a copy of nothing, and one of a connection that has closed",
 "at 1\n> S seq=100 copy=5\n" OPEN "> FA seq=101 ack=501\n< FA seq=501 ack=102\n> A seq=102 ack=502\n"
 "= close_type=tcp_fin duplicate_count=-\n> A seq=102 ack=502 copy=5\nat 2\n> S seq=900\nfinish 9\n= duplicate_count=-\n"},
{"a capture that leaps by decades",
 "at 1\n" OPEN "tick 1000000000\n= close_type=timeout packet_tx=2\nat 5\n> S seq=100\nfinish 6\n= packet_tx=1\n"},
};
/* clang-format on */

static void test_scripts(void **state)
{
	(void)state;
	struct flowtab_settings settings = fixture_settings();
	struct world *w = malloc(sizeof *w);
	for (unsigned i = 0; i < array_size(scripts); i++)
		run(w, &settings, scripts[i].name, scripts[i].text);
	free(w);
	assert_int_equal(failures, 0);
}

/* Each option changes what happens: the same script with it and without. */
static void test_options_matter(void **state)
{
	(void)state;
	struct flowtab_settings s = fixture_settings();
	struct world *w = malloc(sizeof *w);
	s.established_timeout_ns = 10 * NS_PER_S;
	run(w, &s, "established", "at 1\n" OPEN "tick 11\n= close_type=timeout\n");
	s = fixture_settings();
	s.opening_timeout_ns = 10 * NS_PER_S;
	run(w, &s, "opening", "at 1\n> S seq=1\ntick 10.9\nnone\ntick 11\n= close_type=client_syn_repeat\n");
	s = fixture_settings();
	s.opening_rst_timeout_ns = 2 * NS_PER_S;
	run(w, &s, "opening_rst", "at 1\n> S seq=1\n< RA ack=2\ntick 2.9\nnone\ntick 3\n= close_type=server_reset\n");
	s = fixture_settings();
	s.closing_rst_timeout_ns = 2 * NS_PER_S;
	run(w, &s, "closing_rst", "at 1\n" OPEN "> R seq=101\ntick 3\n= close_type=tcp_client_rst\n");
	s = fixture_settings();
	s.others_timeout_ns = 2 * NS_PER_S;
	run(w, &s, "others", "at 1\n" OPEN "> FA seq=101 ack=501\ntick 3\n= close_type=server_half_close\n");
	s = fixture_settings();
	s.udp_timeout_ns = 7 * NS_PER_S;
	run(w, &s, "udp", "at 1\n> udp len=1\n< udp len=1\ntick 7.9\nnone\ntick 8\n= close_type=timeout\n");
	s = fixture_settings();
	s.udp_oneway_timeout_ns = 7 * NS_PER_S;
	run(w, &s, "udp_oneway", "at 1\n> udp len=1\ntick 7.9\nnone\ntick 8\n= close_type=timeout\n");
	s = fixture_settings();
	s.icmp_timeout_ns = 7 * NS_PER_S;
	run(w, &s, "icmp", "at 1\n> icmp 8 len=1\n< icmp 0 len=1\ntick 7.9\nnone\ntick 8\n= close_type=timeout\n");
	s = fixture_settings();
	s.linger_ns = 0;
	run(w, &s, "linger",
	    "at 1\n" OPEN "> FA seq=101 ack=501\n< FA seq=501 ack=102\n> A seq=102 ack=502\n= close_type=tcp_fin\n"
	    "> A seq=102 ack=502\nlate 0\nfinish 2\n= packet_tx=1\n");
	s = fixture_settings();
	s.report_interval_ns = 0;
	run(w, &s, "no reports", "at 1\n" OPEN "tick 60\nnone\ntick 301\n= close_type=timeout packet_tx=2\n");
	s.report_interval_ns = 10 * NS_PER_S;
	run(w, &s, "reports", "at 1\n" OPEN "tick 10\n= close_type=forced_report\nfinish 11\n= packet_tx=0\n");
	free(w);
	assert_int_equal(failures, 0);
}

static void send(struct world *w, uint16_t port, bool from_server, uint8_t flags, uint32_t seq, uint32_t ack,
		 uint32_t len, int64_t ts_ns)
{
	struct packet p = fixture_packet(6, port, 80, from_server, FIXTURE_SEED);
	p.shard = 7; /* all in one, so that its quota is known */
	p.tcp_flags = flags;
	p.seq = seq;
	p.ack = ack;
	p.ts_ns = ts_ns;
	fixture_set_len(&p, len);
	flowtab_packet(w->table, &p);
}

/* A flood of SYNs pushes out SYNs, also when the minute reports of open flows are due next. */
static void test_eviction(void **state)
{
	(void)state;
	struct flowtab_settings s = fixture_settings();
	s.max_flows = SHARDS * 16;
	struct world *w = calloc(1, sizeof *w);
	assert_int_equal(flowtab_new(&w->table, &s, 1, 0, &calls, w), 0);
	int64_t now = 59 * NS_PER_S;
	for (uint16_t i = 0; i < 8; i++) {
		send(w, 1000 + i, false, TCP_SYN, 100, 0, 0, now);
		send(w, 1000 + i, true, TCP_SYN | TCP_ACK, 500, 101, 0, now);
		send(w, 1000 + i, false, TCP_ACK, 101, 501, 0, now);
	}
	for (uint16_t i = 0; i < 40; i++)
		send(w, 2000 + i, false, TCP_SYN, 100, 0, 0, now + i);
	/* 16 places, 8 are open: of 40 SYNs the first 32 had to go, oldest first */
	assert_int_equal(w->count, 32);
	for (uint16_t i = 0; i < 32; i++) {
		assert_string_equal(w->records[i].close_type.at, "evicted");
		assert_int_equal(w->records[i].client_port, 2000 + i);
	}
	/* Only open flows: the oldest silent one goes; those with packets since are passed over. */
	w->count = 0;
	for (uint16_t i = 0; i < 8; i++)
		send(w, 2032 + i, true, TCP_SYN | TCP_ACK, 500, 101, 0, now);
	for (uint16_t i = 0; i < 8; i++)
		send(w, 2032 + i, false, TCP_ACK, 101, 501, 0, now);
	send(w, 1000, false, TCP_ACK | TCP_PSH, 101, 501, 5, now);
	/* all were touched by the packet that opened them or since: the first pass only takes that note away */
	send(w, 3000, false, TCP_SYN, 100, 0, 0, now);
	assert_int_equal(w->count, 1);
	assert_string_equal(w->records[0].close_type.at, "evicted");
	assert_int_not_equal(w->records[0].client_port, 1000);
	/* What was reset is over: it goes first, and keeps its reason. */
	w->count = 0;
	send(w, 2039, false, TCP_RST, 101, 501, 0, now);
	send(w, 3001, false, TCP_SYN, 100, 0, 0, now);
	send(w, 3002, false, TCP_SYN, 100, 0, 0, now);
	assert_int_equal(w->count, 2);
	assert_int_equal(w->records[0].client_port, 3000);
	assert_int_equal(w->records[1].client_port, 2039);
	assert_string_equal(w->records[1].close_type.at, "tcp_client_rst");
	flowtab_finish(w->table, now);
	assert_int_equal(flowtab_counters(w->table)->live, 0);
	w->table = flowtab_free(w->table);
	free(w);
}

/* What went wrong is noted for an eighth of the flows and one; a note is given back when a record has told it. */
static void test_trouble_quota(void **state)
{
	(void)state;
	struct flowtab_settings s = fixture_settings();
	s.max_tcp = SHARDS * 16;
	struct world *w = calloc(1, sizeof *w);
	assert_int_equal(flowtab_new(&w->table, &s, 1, 0, &calls, w), 0);
	int64_t now = 30 * NS_PER_S;
	for (uint16_t round = 0; round < 2; round++) {
		for (uint16_t i = 0; i < 8; i++) {
			uint16_t port = 1000 + i;
			uint32_t seq = 101 + 10u * round;
			if (!round) {
				send(w, port, false, TCP_SYN, 100, 0, 0, now);
				send(w, port, true, TCP_SYN | TCP_ACK, 500, 101, 0, now);
			}
			send(w, port, false, TCP_ACK | TCP_PSH, seq, 501, 10, now);
			if (!round == (i < 4)) /* sent again: by four of them now, by the other four later */
				send(w, port, false, TCP_ACK | TCP_PSH, seq, 501, 10, now + NS_PER_S);
		}
		assert_int_equal(flowtab_counters(w->table)->trouble_refused, round + 1);
		now += 60 * NS_PER_S;
		w->count = 0;
		flowtab_tick(w->table, now);
		assert_int_equal(w->count, 8);
		for (uint16_t i = 0; i < 8; i++) {
			const struct flow_record *r = &w->records[i];
			unsigned at = r->client_port - 1000u;
			assert_int_equal(r->retrans_tx, at / 4 == round && at % 4 < 3);
			assert_int_equal(flow_record_has(r, truncated), at == 3 || (round && at == 7));
		}
	}
	flowtab_finish(w->table, now);
	w->table = flowtab_free(w->table);
	free(w);
}

/* Without a second tier a flow is still counted, opened and closed; its records say what is not known. */
static void test_no_second_tier(void **state)
{
	(void)state;
	struct flowtab_settings s = fixture_settings();
	s.max_tcp = 0;
	struct world *w = malloc(sizeof *w);
	run(w, &s, "no second tier",
	    "at 1\n" OPEN
	    "> PA seq=101 ack=501 len=10\n> FA seq=111 ack=501\n< FA seq=501 ack=112\n> A seq=112 ack=502\n"
	    "= close_type=tcp_fin packet_tx=5 packet_rx=2 retrans_tx=- syn_count=- truncated=1 direction_score=255\n"
	    "at 10\n> S seq=9\nfinish 11\n= syn_count=1 retrans_tx=0 truncated=-\n");
	run(w, &s, "no second tier, port reuse",
	    "at 1\n" OPEN
	    "> S seq=100\nnone\n> S seq=7000\n= close_type=client_source_port_reuse\nfinish 2\n= packet_tx=1\n");
	free(w);
	assert_int_equal(failures, 0);
}

/* No flow at all may be had: frames are counted, nothing else happens. */
static void test_no_flows(void **state)
{
	(void)state;
	struct flowtab_settings s = fixture_settings();
	s.max_flows = SHARDS - 1;
	struct world *w = malloc(sizeof *w);
	run(w, &s, "no flows", "at 1\n" OPEN "none\n");
	free(w);
	assert_int_equal(failures, 0);
}

static void test_refuses_nonsense(void **state)
{
	(void)state;
	struct flowtab *t = NULL;
	struct flowtab_settings s = fixture_settings();
	assert_int_equal(flowtab_new(&t, &s, 0, 0, &calls, NULL), -22);
	assert_int_equal(flowtab_new(&t, &s, SHARDS + 1, 0, &calls, NULL), -22);
	s.udp_timeout_ns = 0;
	assert_int_equal(flowtab_new(&t, &s, 1, 0, &calls, NULL), -22);
	assert_null(t);
}

static uint64_t next_random(uint64_t *r)
{
	*r = *r * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *r >> 24;
}

static uint64_t garbage_random = 99;
static uint64_t garbage_sums[2]; /* packets in records */

static void garbage_data(void *ctx, struct flow *f, const struct flow_data *d)
{
	struct world *w = ctx;
	uint64_t r = next_random(&garbage_random);
	if (r % 5 == 0)
		flow_stream_skip(w->table, f, d->direction, r % 10 ? r >> 30 : UINT64_MAX);
	if (r % 301 == 0)
		flow_stream_off(w->table, f);
	if (r % 17 == 0)
		flow_set_client(w->table, f, r >> 20 & 1);
}

static void garbage_report(void *ctx, struct flow *f, struct flow_record *r, bool last)
{
	struct world *w = ctx;
	(void)f;
	assert_true(r->start_time <= r->end_time);
	assert_true(r->duration_ns >= 0);
	assert_true(!flow_record_has(r, art_sum) || (r->art_sum >= r->art_max && r->art_max >= 0));
	assert_true(!flow_record_has(r, gap_bytes) || r->gap_bytes > 0);
	garbage_sums[0] += r->packet_tx + r->packet_rx;
	w->lasts += last;
}

static const struct flow_calls garbage_calls = {garbage_data, on_gap, on_end, on_timer, on_close, garbage_report};

/* Whatever the headers and clocks say: the table keeps its books, and records stay sane. */
static void test_garbage(void **state)
{
	(void)state;
	struct flowtab_settings s = fixture_settings();
	s.max_flows = SHARDS * 5;
	s.max_tcp = SHARDS * 2;
	s.max_segments = SHARDS * 20;
	s.reassembly_flow_bytes = 2048;
	struct world *w = calloc(1, sizeof *w);
	uint64_t *r = &garbage_random;
	assert_int_equal(flowtab_new(&w->table, &s, SHARDS, 0, &garbage_calls, w), 0);
	static const uint8_t protocols[] = {6, 6, 6, 6, 17, 1, 58, 132, 0, 255};
	int64_t clock = 0, tick = 0;
	for (unsigned i = 0; i < 300000; i++) {
		uint16_t port = (uint16_t)(next_random(r) % 60);
		struct packet p = fixture_packet(protocols[next_random(r) % array_size(protocols)], port,
						 (uint16_t)(next_random(r) % 3), next_random(r) & 1, FIXTURE_SEED);
		p.tcp_flags = (uint8_t)(next_random(r) % 3 ? TCP_ACK : next_random(r));
		uint64_t far = next_random(r) % 16;
		p.seq = (uint32_t)(far ? next_random(r) % 100000 : next_random(r)) - 50000;
		p.ack = (uint32_t)(next_random(r) % 16 ? next_random(r) % 100000 : next_random(r)) - 50000;
		p.window = (uint16_t)(next_random(r) % 4 ? next_random(r) : 0);
		p.window_scale = (uint8_t)(next_random(r) % 4 ? 255 : next_random(r));
		p.icmp_type = (uint8_t)next_random(r);
		p.flags = (uint32_t)next_random(r) & 0x7f;
		p.frames = (uint16_t)(1 + (next_random(r) % 50 ? 0 : next_random(r) % 7));
		p.vlan_count = (uint8_t)(next_random(r) % (PACKET_VLANS + 1));
		p.tunnel_count = (uint8_t)(next_random(r) % (PACKET_TUNNELS + 1));
		fixture_set_len(&p, (uint32_t)(next_random(r) % 3 ? next_random(r) % 1500 : next_random(r) % 3));
		if (next_random(r) % 10 == 0)
			p.payload_captured = (uint32_t)(next_random(r) % (p.payload_len + 1));
		clock += (int64_t)(next_random(r) % 1000) * NS_PER_US;
		p.ts_ns = clock;
		if (next_random(r) % 1000 == 0)
			p.ts_ns = (int64_t)(next_random(r) << 24);
		else if (next_random(r) % 10 == 0)
			p.ts_ns -= (int64_t)(next_random(r) % 10) * NS_PER_S;
		flowtab_packet(w->table, &p);
		garbage_sums[1] += p.frames;
		if (i % 50 == 0) {
			tick = max_of(tick, clock);
			flowtab_tick(w->table, tick);
		}
	}
	flowtab_finish(w->table, tick);
	const struct flowtab_counters *c = flowtab_counters(w->table);
	assert_int_equal(c->frames, garbage_sums[1]);
	assert_int_equal(c->frames, c->flow_frames + c->late_frames + c->no_memory_frames);
	assert_int_equal(c->flow_frames, garbage_sums[0]);
	assert_int_equal(c->live, 0);
	assert_int_equal(c->segments_held, 0);
	assert_int_equal(c->flows, w->closes);
	assert_int_equal(c->flows, w->lasts);
	print_message("evicted %llu, second tiers refused %llu, segments refused %llu, late %llu\n",
		      (unsigned long long)c->flows_evicted, (unsigned long long)c->tcp_refused,
		      (unsigned long long)c->segments_refused, (unsigned long long)c->late_frames);
	assert_true(c->flows_evicted > 1000);
	assert_true(c->segments_refused > 100);
	assert_true(c->tcp_refused > 100);
	w->table = flowtab_free(w->table);
	free(w);
}

/* pair_id is the same at another tap and in another domain, flow_id is not; both differ between connections. */
static void test_identities(void **state)
{
	(void)state;
	struct flowtab_settings s = fixture_settings();
	struct world *w = calloc(1, sizeof *w);
	assert_int_equal(flowtab_new(&w->table, &s, SHARDS, 0, &calls, w), 0);
	for (unsigned i = 0; i < 4; i++) {
		struct packet p = fixture_packet(6, 40000, 80, i == 3, FIXTURE_SEED);
		p.key.tap = i == 1;
		p.key.domain = i == 2;
		fixture_hash(&p, FIXTURE_SEED);
		p.tcp_flags = i == 3 ? TCP_SYN | TCP_ACK : TCP_SYN;
		p.seq = i == 3 ? 5000 : 100;
		p.ack = 101;
		if (i == 3) { /* this tap sees but the answer */
			p.key.tap = 9;
			fixture_hash(&p, FIXTURE_SEED);
		}
		fixture_set_len(&p, 0);
		p.ts_ns = NS_PER_S + i;
		flowtab_packet(w->table, &p);
	}
	flowtab_finish(w->table, 2 * NS_PER_S);
	assert_int_equal(w->count, 4);
	for (unsigned i = 1; i < 4; i++) {
		assert_true(w->records[i].pair_id == w->records[0].pair_id);
		assert_true(w->records[i].flow_id != w->records[0].flow_id);
	}
	w->table = flowtab_free(w->table);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_scripts),          cmocka_unit_test(test_options_matter),
	    cmocka_unit_test(test_eviction),         cmocka_unit_test(test_no_second_tier),
	    cmocka_unit_test(test_trouble_quota),    cmocka_unit_test(test_no_flows),
	    cmocka_unit_test(test_refuses_nonsense), cmocka_unit_test(test_identities),
	    cmocka_unit_test(test_garbage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
