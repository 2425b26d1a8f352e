/* Which sights of packets are copies: scripts, each line a sight and what it must be by the rules of
 * capture/duplicate.h, thought out by hand.
 *
 * A line: TIME PATH WAY KIND [field=value …] VERDICT. TIME in us, or with "ms". PATH: a letter, see paths[]. WAY: >
 * from the client, < from the server. VERDICT: new; same; other, or other:DELAY in us ("other:-": the delay is not
 * known). */
#include "duplicate.h"
#include "hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Where a sight can be made. */
static const struct path {
	char name;
	uint16_t nic;
	uint8_t ttl, mac, vlan, tunnel;
} paths[] = {
    {'A', 1, 64, 1, 0, 0},   {'B', 2, 64, 1, 0, 0}, /* the same frames at another NIC */
    {'R', 1, 63, 2, 0, 0},                          /* behind a router */
    {'M', 1, 64, 2, 0, 0},                          /* to another gateway */
    {'V', 1, 64, 1, 100, 0},                        /* tagged */
    {'W', 1, 64, 1, 200, 0},                        /* tagged otherwise */
    {'X', 1, 64, 1, 0, 7},                          /* in VXLAN */
    {'Y', 1, 64, 1, 0, 8},                          /* in another network of the same VXLAN */
};

#define START_NS (INT64_C(1700000000) * NS_PER_S)

struct sim {
	struct duplicates *d;
	struct shard_keys keys;
	bool v6;
	uint16_t client_port;
	unsigned bad;
};

static struct duplicate_settings settings_for(uint64_t bytes)
{
	struct duplicate_settings s = {.window_ns = 100 * NS_PER_MS};
	duplicates_share_memory(&s, bytes);
	return s;
}

static struct sim sim_new(bool v6, uint64_t bytes, uint64_t seed)
{
	struct sim s = {.v6 = v6, .client_port = 40000, .keys = shard_keys_of(0)};
	struct duplicate_settings settings = settings_for(bytes);
	assert_int_equal(duplicates_new(&s.d, &settings, SHARDS, seed), 0);
	return s;
}

static uint64_t field(const char *line, const char *name, uint64_t otherwise)
{
	char key[32];
	snprintf(key, sizeof key, " %s=", name);
	const char *at = strstr(line, key);
	return at ? strtoull(at + strlen(key), NULL, 10) : otherwise;
}

static void fill_path(struct packet *p, char name)
{
	for (size_t i = 0; i < array_size(paths); i++) {
		const struct path *q = &paths[i];
		if (q->name != name)
			continue;
		p->nic = q->nic;
		p->ttl = q->ttl;
		p->mac_source[5] = (uint8_t)(q->mac * 2 + p->direction);
		p->mac_target[5] = (uint8_t)(q->mac * 2 + !p->direction);
		p->flags |= PACKET_HAS_MAC;
		if (q->vlan)
			p->vlan[p->vlan_count++] = q->vlan;
		if (q->tunnel)
			p->tunnel[p->tunnel_count++] =
			    (struct tunnel){.type = TUNNEL_VXLAN, .ip_version = 4, .id = q->tunnel};
		return;
	}
	fail_msg("no path %c", name);
}

/* 0: TCP flags follow; else the protocol. */
static const struct {
	const char *name;
	uint8_t protocol, flags;
} kinds[] = {
    {"SYN", 6, TCP_SYN},
    {"SYNACK", 6, TCP_SYN | TCP_ACK},
    {"ACK", 6, TCP_ACK},
    {"DATA", 6, TCP_ACK | TCP_PSH},
    {"FIN", 6, TCP_ACK | TCP_FIN},
    {"RST", 6, TCP_RST},
    {"UDP", 17, 0},
    {"ECHO", 1, 0},
    {"FRAG", 17, 0},
};

static struct packet make(const struct sim *s, const char *line, char path, char way, const char *kind)
{
	static const uint8_t body[2048];
	static uint8_t marked[4][2048];
	struct packet p = {.frames = 1, .window_scale = 255, .payload = body};
	p.direction = way == '<';
	p.key.ip_version = s->v6 ? 6 : 4;
	p.key.address[0][0] = 10;
	p.key.address[1][0] = 20;
	for (size_t i = 0; i < array_size(kinds); i++) {
		if (!strcmp(kind, kinds[i].name)) {
			p.key.protocol = kinds[i].protocol;
			p.tcp_flags = kinds[i].flags;
		}
	}
	assert_int_not_equal(p.key.protocol, 0);
	if (p.key.protocol == 1 && s->v6)
		p.key.protocol = 58;
	if (strcmp(kind, "FRAG")) {
		p.key.port[0] = (uint16_t)field(line, "port", s->client_port);
		p.key.port[1] = 80;
	}
	p.shard = flow_key_shard(&p.key, &s->keys);
	p.seq = (uint32_t)field(line, "seq", p.direction ? 9000 : 1000);
	p.ack = (uint32_t)field(line, "ack", 0);
	p.window = (uint16_t)field(line, "win", 500);
	p.ip_id = (uint16_t)field(line, "id", 0);
	p.l4_rest = field(line, "ts", 0);
	if (!strcmp(kind, "ECHO")) {
		p.icmp_type = p.direction ? 0 : 8;
		p.l4_rest = field(line, "seq", 0);
		p.seq = 0;
	}
	p.payload_len = (uint32_t)field(line, "len", !strcmp(kind, "DATA") || !strcmp(kind, "UDP") ? 100 : 0);
	p.payload_captured = p.payload_len;
	uint64_t text = field(line, "body", 0);
	if (text) {
		marked[text & 3][p.payload_len - 1] = (uint8_t)text;
		p.payload = marked[text & 3];
	}
	fill_path(&p, path);
	return p;
}

/* Plays lines; tells each that is not as it says. */
static void play(struct sim *s, const char *name, const char *lines)
{
	for (const char *at = lines; *at;) {
		char line[200], path, way, kind[16], unit[3] = "", verdict[32];
		size_t len = strcspn(at, "\n");
		assert_true(len < sizeof line);
		memcpy(line, at, len);
		line[len] = 0;
		at += len + (at[len] == '\n');
		if (!len)
			continue;
		double time;
		int n = 0;
		if (sscanf(line, " %lf%2[ms] %c %c %15s%n", &time, unit, &path, &way, kind, &n) != 5) {
			unit[0] = 0;
			if (sscanf(line, " %lf %c %c %15s%n", &time, &path, &way, kind, &n) != 4)
				fail_msg("%s: %s", name, line);
		}
		const char *last = strrchr(line, ' ');
		snprintf(verdict, sizeof verdict, "%s", last + 1);
		struct packet p = make(s, line, path, way, kind);
		p.ts_ns = START_NS + (int64_t)(time * (unit[0] ? 1e6 : 1e3));
		const struct packet *q = &p;
		struct duplicate_sight r;
		if (!strcmp(kind, "FRAG")) {
			struct decode_fragment f = {
			    .id = p.ip_id, .offset = (uint32_t)field(line, "off", 0), .data_len = 800};
			duplicates_fragment(s->d, q, &f, &r);
		} else {
			duplicates_check(s->d, &q, 1, &r);
		}
		char got[32];
		static const char *const names[] = {"new", "other", "same"};
		snprintf(got, sizeof got, "%s", names[r.verdict]);
		if (r.verdict == DUPLICATE_OTHER_PATH && strchr(verdict, ':')) {
			if (r.delay_ns < 0)
				snprintf(got, sizeof got, "other:-");
			else
				snprintf(got, sizeof got, "other:%lld", (long long)(r.delay_ns / 1000));
		}
		if (strcmp(got, verdict)) {
			print_message("%s: '%s' is %s\n", name, line, got);
			s->bad++;
		}
	}
}

enum { V4 = 1, V6 = 2, BOTH = 3 };

static const struct script {
	const char *name;
	unsigned versions; /* V6: identifications are left out */
	const char *lines;
} scripts[] = {
    {"other places", BOTH,
     "0 A > SYN seq=1 id=1 new\n"
     "7 B > SYN seq=1 id=1 other:7\n"
     "9 R > SYN seq=1 id=1 other:9\n"
     "12 V > SYN seq=1 id=1 other:12\n"
     "100 A < SYNACK seq=50 ack=2 new\n"
     "130 X < SYNACK seq=50 ack=2 other:30\n"
     "160 Y < SYNACK seq=50 ack=2 other:60\n"
     "200 A > ACK seq=2 ack=51 id=2 new\n"
     "205 B > ACK seq=2 ack=51 id=2 other:5\n"
     "300 W > DATA seq=2 ack=51 id=3 new\n"
     "310 V > DATA seq=2 ack=51 id=3 other:10\n"
     "320 A > DATA seq=2 ack=51 id=3 other:20\n"},
    {"a copy that is seen first where others are seen later", BOTH,
     "0 A > SYN seq=1 id=1 new\n7 B > SYN seq=1 id=1 other:7\n"
     "100 B > DATA seq=2 id=2 new\n103 A > DATA seq=2 id=2 other:3\n"},
    {"SPAN of both directions of two ports", BOTH,
     "0 A > SYN seq=1 id=1 new\n3 A > SYN seq=1 id=1 same\n"
     "50 A < SYNACK seq=50 ack=2 new\n54 A < SYNACK seq=50 ack=2 same\n"
     "100 A > ACK seq=2 ack=51 id=2 new\n102 A > ACK seq=2 ack=51 id=2 same\n"
     "110 A > DATA seq=2 ack=51 id=3 new\n112 A > DATA seq=2 ack=51 id=3 same\n"
     "150 A < ACK seq=51 ack=102 id=7 new\n152 A < ACK seq=51 ack=102 id=7 same\n"
     "200 A > FIN seq=102 ack=51 id=4 new\n203 A > FIN seq=102 ack=51 id=4 same\n"},
    {"three duplicate ACKs where nothing is seen twice stay three", BOTH,
     "0 A > SYN seq=1 new\n50 A < SYNACK seq=50 ack=2 new\n100 A > ACK seq=2 ack=51 new\n"
     "200 A > ACK seq=2 ack=51 new\n203 A > ACK seq=2 ack=51 new\n206 A > ACK seq=2 ack=51 new\n"},
    {"three duplicate ACKs where all is seen twice become three", BOTH,
     "0 A > SYN seq=1 new\n2 A > SYN seq=1 same\n"
     "50 A < SYNACK seq=50 ack=2 new\n52 A < SYNACK seq=50 ack=2 same\n"
     "100 A > ACK seq=2 ack=51 new\n102 A > ACK seq=2 ack=51 same\n"
     "200 A > ACK seq=2 ack=51 new\n202 A > ACK seq=2 ack=51 same\n"
     "203 A > ACK seq=2 ack=51 new\n205 A > ACK seq=2 ack=51 same\n"
     "206 A > ACK seq=2 ack=51 new\n208 A > ACK seq=2 ack=51 same\n"},
    {"three duplicate ACKs, all before the first of their copies", BOTH,
     "0 A > SYN seq=1 new\n2 A > SYN seq=1 same\n"
     "100 A > ACK seq=2 ack=51 new\n101 A > ACK seq=2 ack=51 same\n102 A > ACK seq=2 ack=51 new\n"
     "103 A > ACK seq=2 ack=51 same\n104 A > ACK seq=2 ack=51 new\n105 A > ACK seq=2 ack=51 same\n"},
    {"three duplicate ACKs on two paths become three", BOTH,
     "0 A > SYN seq=1 new\n2 R > SYN seq=1 other:2\n"
     "200 A > ACK seq=2 ack=51 new\n203 A > ACK seq=2 ack=51 new\n206 A > ACK seq=2 ack=51 new\n"
     "230 R > ACK seq=2 ack=51 other:-\n233 R > ACK seq=2 ack=51 other:-\n236 R > ACK seq=2 ack=51 other:30\n"
     "239 R > ACK seq=2 ack=51 new\n"},
    {"two duplicate ACKs, a path once and a path twice", BOTH,
     "0 A > SYN seq=1 new\n2 A > SYN seq=1 same\n3 B > SYN seq=1 other\n"
     "200 A > ACK seq=2 ack=51 new\n201 A > ACK seq=2 ack=51 same\n202 B > ACK seq=2 ack=51 other\n"
     "210 A > ACK seq=2 ack=51 new\n211 A > ACK seq=2 ack=51 same\n212 B > ACK seq=2 ack=51 other\n"},
    {"duplicate ACKs with identifications of their own are no copies, and of each the copy is one", V4,
     "200 A > ACK seq=2 ack=51 id=8 new\n203 A > ACK seq=2 ack=51 id=9 new\n206 A > ACK seq=2 ack=51 id=10 new\n"
     "207 A > ACK seq=2 ack=51 id=9 same\n208 A > ACK seq=2 ack=51 id=10 same\n"},
    {"an identification that is always the same says nothing", V4,
     "0 A > SYN seq=1 id=5 new\n200 A > ACK seq=2 ack=51 id=5 new\n"
     "203 A > ACK seq=2 ack=51 id=5 new\n206 A > ACK seq=2 ack=51 id=5 new\n"},
    {"fast retransmission without identification, seen once", BOTH,
     "0 A > SYN seq=1 new\n50 A < SYNACK seq=50 ack=2 new\n"
     "100 A > DATA seq=2 new\n101 A > DATA seq=102 new\n102 A > DATA seq=202 new\n103 A > DATA seq=302 new\n"
     "130 A < ACK ack=2 new\n131 A < ACK ack=2 new\n132 A < ACK ack=2 new\n"
     "150 A > DATA seq=2 new\n"},
    {"the same, all twice", BOTH,
     "0 A > SYN seq=1 new\n1 A > SYN seq=1 same\n50 A < SYNACK seq=50 ack=2 new\n51 A < SYNACK seq=50 ack=2 same\n"
     "100 A > DATA seq=2 new\n101 A > DATA seq=102 new\n102 A > DATA seq=202 new\n103 A > DATA seq=302 new\n"
     "104 A > DATA seq=2 same\n105 A > DATA seq=102 same\n106 A > DATA seq=202 same\n107 A > DATA seq=302 same\n"
     "130 A < ACK ack=2 new\n131 A < ACK ack=2 same\n132 A < ACK ack=2 new\n133 A < ACK ack=2 same\n"
     "134 A < ACK ack=2 new\n135 A < ACK ack=2 same\n"
     "150 A > DATA seq=2 new\n152 A > DATA seq=2 same\n"},
    {"the same, on two paths", BOTH,
     "0 A > SYN seq=1 new\n1 R > SYN seq=1 other\n50 R < SYNACK seq=50 ack=2 new\n51 A < SYNACK seq=50 ack=2 other\n"
     "100 A > DATA seq=2 new\n101 A > DATA seq=102 new\n110 R > DATA seq=2 other:10\n111 R > DATA seq=102 other:10\n"
     "130 R < ACK ack=2 new\n131 R < ACK ack=2 new\n140 A < ACK ack=2 other:-\n141 A < ACK ack=2 other:10\n"
     "150 A > DATA seq=2 new\n160 R > DATA seq=2 other:10\n"},
    {"lost between two paths: the retransmission is the second here and the first there", BOTH,
     "0 A > SYN seq=1 new\n1 R > SYN seq=1 other\n"
     "100 A > DATA seq=2 new\n101 A > DATA seq=102 new\n111 R > DATA seq=102 other:10\n"
     "130 R < ACK ack=2 new\n140 A < ACK ack=2 other:10\n"
     "150 A > DATA seq=2 new\n160 R > DATA seq=2 other:-\n"},
    {"a retransmission that a timer sent", BOTH,
     "0 A > SYN seq=1 new\n50 A < SYNACK seq=50 ack=2 new\n100 A > DATA seq=2 new\n"
     "20ms A > DATA seq=2 new\n60ms A > DATA seq=2 new\n300ms A > DATA seq=2 new\n"},
    {"the same, all twice", BOTH,
     "0 A > SYN seq=1 new\n1 A > SYN seq=1 same\n100 A > DATA seq=2 new\n103 A > DATA seq=2 same\n"
     "20ms A > DATA seq=2 new\n20.003ms A > DATA seq=2 same\n60ms A > DATA seq=2 new\n60.003ms A > DATA seq=2 same\n"},
    {"the same, one of two copies lost each time", BOTH,
     "0 A > SYN seq=1 new\n1 A > SYN seq=1 same\n100 A > DATA seq=2 new\n"
     "20ms A > DATA seq=2 new\n60ms A > DATA seq=2 new\n"},
    {"data from a sender that repeats its identification: its packets are known to be seen once", V4,
     "0 A > SYN seq=1 id=1 new\n50 A < SYNACK seq=50 ack=2 new\n"
     "200ms A > DATA seq=2 id=2 new\n200.050ms A < ACK ack=102 new\n"
     "500ms A > DATA seq=102 id=3 new\n500.1ms A < ACK ack=102 new\n500.2ms A > DATA seq=102 id=3 new\n"},
    {"data with an identification, of which nothing is known, seen again behind its ACK", V4,
     "0 A > DATA seq=2 id=2 new\n50 A < ACK ack=102 id=1 new\n60 A > DATA seq=2 id=2 same\n"},
    {"the other way is not seen: what follows asks for it again", BOTH,
     "0 A > DATA seq=2 new\n1 A > DATA seq=102 new\n2 A > DATA seq=202 new\n90 A > DATA seq=2 new\n"},
    {"the other way is not seen: nothing in between", BOTH,
     "0 A > DATA seq=2 new\n3 A > DATA seq=2 same\n10 A > DATA seq=102 new\n12 A > DATA seq=102 same\n"},
    {"retransmissions with timestamps, and their copies", BOTH,
     "0 A > DATA seq=2 ts=10 new\n2 A > DATA seq=2 ts=10 same\n50 A < ACK ack=2 ts=9 new\n"
     "60 A > DATA seq=2 ts=11 new\n62 A > DATA seq=2 ts=11 same\n"},
    {"keep-alives and their answers", BOTH,
     "0 A > SYN seq=1 new\n1 A > SYN seq=1 same\n50 A < SYNACK seq=50 ack=2 new\n51 A < SYNACK seq=50 ack=2 same\n"
     "1000ms A > ACK seq=1 ack=51 new\n1000.002ms A > ACK seq=1 ack=51 same\n"
     "1000.1ms A < ACK seq=51 ack=2 new\n1000.102ms A < ACK seq=51 ack=2 same\n"
     "2000ms A > ACK seq=1 ack=51 new\n2000.002ms A > ACK seq=1 ack=51 same\n"
     "2000.1ms A < ACK seq=51 ack=2 new\n2000.102ms A < ACK seq=51 ack=2 same\n"},
    {"keep-alives of one garbage byte, seen once", BOTH,
     "0 A > DATA seq=1 len=1 new\n1000ms A > DATA seq=1 len=1 new\n2000ms A > DATA seq=1 len=1 new\n"},
    {"probes of a zero window", BOTH,
     "0 A < ACK ack=500 win=0 new\n200ms A > DATA seq=500 len=1 new\n200.05ms A < ACK ack=500 win=0 new\n"
     "600ms A > DATA seq=500 len=1 new\n600.05ms A < ACK ack=500 win=0 new\n"
     "1400ms A > DATA seq=500 len=1 new\n1400.05ms A < ACK ack=500 win=0 new\n"},
    {"a window that opens", BOTH,
     "0 A < ACK ack=500 win=0 new\n5 A < ACK ack=500 win=9 new\n9 A < ACK ack=500 win=90 new\n"},
    {"resets, each for a segment that came too late", BOTH,
     "0 A > DATA seq=2 new\n1 A > DATA seq=102 new\n2 A > DATA seq=202 new\n"
     "40 A < RST seq=77 new\n41 A < RST seq=77 new\n42 A < RST seq=77 new\n"},
    {"SYN again after a second", BOTH,
     "0 A > SYN seq=1 new\n3 B > SYN seq=1 other\n1000ms A > SYN seq=1 new\n1000.003ms B > SYN seq=1 other:3\n"},
    {"SYN with a smaller MSS behind a gateway", BOTH,
     "0 A > SYN seq=1 id=1 ts=5 new\n9 R > SYN seq=1 id=1 ts=6 win=9 other:9\n"},
    {"a DNS client that asks again", V4,
     "0 A > UDP id=7 new\n20ms A > UDP id=8 new\n40ms A > UDP id=9 new\n40.002ms A > UDP id=9 same\n"},
    {"without identification, on a path of which nothing is known", BOTH,
     "0 A > UDP new\n5 A > UDP new\n10 A > UDP new\n20ms A > UDP new\n90ms A > UDP new\n"},
    {"and on two paths", BOTH, "0 A > UDP new\n5 B > UDP other:5\n20ms A > UDP new\n20.005ms B > UDP other:5\n"},
    {"datagrams that differ in their last byte", BOTH,
     "0 A > UDP len=1400 new\n1 A > UDP len=1400 body=1 new\n2 B > UDP len=1400 other:2\n3 B > UDP len=1400 body=1 "
     "other:2\n"},
    {"echo requests", BOTH,
     "0 A > ECHO seq=1 new\n3 R > ECHO seq=1 other:3\n10 A > ECHO seq=2 new\n12 R > ECHO seq=2 other:2\n"
     "20 R < ECHO seq=1 new\n24 A < ECHO seq=1 other:4\n"},
    {"fragments", BOTH,
     "0 A > FRAG id=9 off=0 new\n1 A > FRAG id=9 off=0 same\n2 A > FRAG id=9 off=800 new\n3 A > FRAG id=9 off=800 "
     "same\n"
     "4 R > FRAG id=9 off=0 other:4\n5 R > FRAG id=9 off=800 other:3\n20ms B > FRAG id=9 off=800 other:19998\n"
     "9 A > FRAG id=10 off=0 new\n"},
    {"beyond the window", BOTH,
     "0 A > SYN seq=1 id=1 new\n99ms B > SYN seq=1 id=1 other:99000\n150ms R > SYN seq=1 id=1 new\n"},
    {"the window goes on from the last sending", BOTH,
     "0 A > SYN seq=1 new\n1 R > SYN seq=1 other\n2ms A > DATA seq=2 new\n3ms A > DATA seq=102 new\n"
     "82ms R > DATA seq=2 other:80000\n83ms R > DATA seq=102 other:80000\n84ms R < ACK ack=2 new\n"
     "85ms A > DATA seq=2 new\n165ms R > DATA seq=2 other:80000\n"},
    {"SYN that a mirror shows again behind its answer", BOTH,
     "0 A > SYN seq=1 new\n300 A < SYNACK seq=50 ack=2 new\n5000 A > SYN seq=1 same\n5300 A < SYNACK seq=50 ack=2 "
     "same\n"},
    {"what differs in nothing but its window", BOTH,
     "0 A < ACK ack=500 win=0 new\n5 A < ACK ack=500 win=9 new\n7 B < ACK ack=500 win=9 other:2\n"
     "8 B < ACK ack=500 win=0 other:8\n"},
    {"what differs in nothing but its direction", BOTH,
     "0 A > UDP len=8 new\n5 A < UDP len=8 new\n7 B < UDP len=8 other:2\n"},
    {"what differs in nothing but its sequence number", BOTH,
     "0 A > ECHO seq=1 new\n10 A > ECHO seq=2 new\n12 R > ECHO seq=2 other:2\n13 R > ECHO seq=1 other:13\n"},
    {"MAC addresses alone make another path", BOTH, "0 A > UDP new\n5 M > UDP other:5\n"},
    {"a path that goes along with another, of which the other has shown something alone", BOTH,
     "0 A > SYN seq=1 new\n10 R > SYN seq=1 other:10\n50ms A > UDP port=9 new\n"
     "60ms A > DATA seq=2 new\n300ms A > DATA seq=102 new\n301.5ms R > DATA seq=102 other:1500\n"},
    {"two connections with one sequence number", BOTH,
     "0 A > DATA seq=2 port=1 new\n1 A > DATA seq=2 port=2 new\n"
     "2 B > DATA seq=2 port=2 other:1\n3 B > DATA seq=2 port=1 other:3\n"},
    {"times that step back", BOTH, "50 A > SYN seq=1 id=1 new\n40 B > SYN seq=1 id=1 other:10\n"},
    {"more paths than are kept", BOTH,
     "0 A > SYN seq=1 id=1 new\n1 B > SYN seq=1 id=1 other\n2 R > SYN seq=1 id=1 other\n3 V > SYN seq=1 id=1 other\n"
     "4 W > SYN seq=1 id=1 same\n5 X > SYN seq=1 id=1 same\n6 Y > SYN seq=1 id=1 same\n"},
};

static void rules(void **state maybe_unused)
{
	unsigned bad = 0;
	for (size_t i = 0; i < array_size(scripts); i++) {
		for (unsigned v = 0; v < 2; v++) {
			if (!(scripts[i].versions & 1U << v))
				continue;
			struct sim s = sim_new(v, 1 << 20, i);
			char name[200], *lines = strdup(scripts[i].lines);
			/* fragments of IPv6 have identifications, too */
			for (char *id = lines; v && (id = strstr(id, " id=")) && !strstr(lines, "FRAG");)
				memcpy(id, " no=", 4);
			snprintf(name, sizeof name, "%s (IPv%u)", scripts[i].name, v ? 6 : 4);
			play(&s, name, lines);
			bad += s.bad;
			free(lines);
			s.d = duplicates_free(s.d);
		}
	}
	assert_int_equal(bad, 0);
}

/* ---- what earlier flows have shown */

static uint16_t port_in_shard(struct sim *s, uint8_t protocol, uint16_t from, uint8_t shard)
{
	struct flow_key k = {.protocol = protocol, .ip_version = s->v6 ? 6 : 4};
	k.address[0][0] = 10;
	k.address[1][0] = 20;
	k.port[1] = 80;
	for (k.port[0] = from;; k.port[0]++)
		if (flow_key_shard(&k, &s->keys) == shard)
			return k.port[0];
}

/* Datagrams without identification, flow by flow of one shard, each `times` times on path A. */
static unsigned kept_of_flows(struct sim *s, unsigned flows, unsigned datagrams, unsigned times, uint64_t from_ms,
			      unsigned gap_us)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < flows; i++) {
		s->client_port = port_in_shard(s, 17, (uint16_t)(s->client_port + 1), 7);
		for (unsigned k = 0; k < datagrams; k++) {
			for (unsigned n = 0; n < times; n++) {
				struct packet p = make(s, "", 'A', '>', "UDP");
				p.payload_len = p.payload_captured = 50 + k;
				p.ts_ns =
				    START_NS + (int64_t)((from_ms + i * 200 + k) * NS_PER_MS + n * gap_us * NS_PER_US);
				const struct packet *q = &p;
				struct duplicate_sight r;
				duplicates_check(s->d, &q, 1, &r);
				kept += r.verdict == DUPLICATE_NEW;
			}
		}
	}
	return kept;
}

static void paths_are_learned(void **state maybe_unused)
{
	struct sim s = sim_new(true, 1 << 20, 1);
	/* one flow of five datagrams, each seen twice: nothing is known yet, all is kept */
	assert_int_equal(kept_of_flows(&s, 1, 5, 2, 1000, 2), 10);
	/* but the next ones profit */
	assert_int_equal(kept_of_flows(&s, 3, 5, 2, 2000, 2), 15);
	/* on that path, and in that shard, alone */
	play(&s, "another path", "4000ms B > UDP port=999 new\n4000.001ms B > UDP port=999 new\n");
	assert_int_equal(s.bad, 0);
	/* a client that asks four times within 10 ms: eight sights are four */
	assert_int_equal(kept_of_flows(&s, 1, 1, 8, 5000, 2), 4);
	/* what is more than 10 ms apart was sent again */
	assert_int_equal(kept_of_flows(&s, 1, 1, 2, 6000, 20000), 2);
	/* packets that are seen once, more than a mirror loses: the path is as others again */
	kept_of_flows(&s, 3, 5, 1, 7000, 2);
	assert_int_equal(kept_of_flows(&s, 1, 1, 2, 9000, 2), 2);
	s.d = duplicates_free(s.d);
}

/* The same, for one flow. */
static unsigned kept_of_flow(struct sim *s, unsigned datagrams, unsigned times, uint64_t from_ms, unsigned gap_us)
{
	unsigned kept = 0;
	uint16_t port = s->client_port;
	for (unsigned i = 0; i < datagrams; i++) {
		s->client_port = (uint16_t)(port - 1);
		kept += kept_of_flows(s, 1, 1, times, from_ms + i * 5, gap_us);
	}
	return kept;
}

static void flows_know_better(void **state maybe_unused)
{
	struct sim s = sim_new(true, 1 << 20, 1);
	kept_of_flows(&s, 4, 5, 2, 1000, 2);
	assert_int_equal(kept_of_flows(&s, 1, 2, 2, 2000, 2), 2); /* the path is known */
	/* a flow that was seen once stays so: its repetitions are its own … */
	assert_int_equal(kept_of_flows(&s, 1, 1, 1, 3000, 2), 1);
	assert_int_equal(kept_of_flow(&s, 1, 3, 3300, 2), 3);
	/* … but not for ever: seen several times again and again, it is one of the path's */
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(kept_of_flow(&s, 1, 2, 3600 + i * 110, 2), 2);
	assert_int_equal(kept_of_flow(&s, 1, 2, 4800, 2), 1);
	/* one that was seen once for long, when a second mirror begins */
	for (unsigned i = 0; i < 20; i++)
		kept_of_flow(&s, 1, 1, 5000 + i * 300, 2);
	for (unsigned i = 0; i < 30; i++)
		kept_of_flow(&s, 1, 2, 12000 + i * 300, 2);
	assert_int_equal(kept_of_flow(&s, 1, 2, 30000, 2), 1);
	s.d = duplicates_free(s.d);
}

/* What was certain in a flow, until its packets are seen fewer times. */
static void mirrors_that_end(void **state maybe_unused)
{
	struct sim s = sim_new(true, 1 << 20, 1);
	play(&s, "once",
	     "0 A > SYN seq=1 new\n2 A > SYN seq=1 same\n"
	     "300ms A > ACK ack=5 new\n300.01ms A > ACK ack=5 same\n"
	     /* one sight was lost: that changes nothing */
	     "600ms A > ACK ack=6 new\n900ms A > ACK ack=7 new\n900.01ms A > ACK ack=7 same\n"
	     /* two: it is over */
	     "1200ms A > ACK ack=8 new\n1500ms A > ACK ack=9 new\n1800ms A > ACK ack=10 new\n"
	     "2100ms A > ACK ack=11 new\n2100.01ms A > ACK ack=11 new\n");
	assert_int_equal(s.bad, 0);
	s.d = duplicates_free(s.d);
}

static uint8_t flow_shard(struct sim *s)
{
	struct packet p = make(s, "", 'A', '>', "ACK");
	return p.shard;
}

static void senders_that_repeat_do_not_teach(void **state maybe_unused)
{
	/* each flow sends something once as well, so the path is not one that shows all twice */
	struct sim s = sim_new(true, 1 << 20, 1);
	for (unsigned i = 0; i < 10; i++) {
		uint64_t ms = 1000 + i * 1000;
		assert_int_equal(kept_of_flows(&s, 1, 1, 1, ms, 2), 1);
		s.client_port--;
		assert_int_equal(kept_of_flows(&s, 1, 6, 3, ms + 500, 2), 18);
	}
	/* retransmissions of a whole window, without identification, seen once */
	for (unsigned i = 0; i < 20; i++) {
		char line[120];
		snprintf(line, sizeof line, "%ums A > DATA seq=%u new\n%ums A > DATA seq=%u new\n", 20000 + i, i * 100,
			 20050 + i, i * 100);
		play(&s, "window", line);
	}
	/* the same within 10 ms, and datagrams more than 10 ms apart */
	s.client_port = port_in_shard(&s, 17, (uint16_t)(s.client_port + 1), 7);
	for (unsigned i = 0; i < 10; i++) {
		char line[200];
		snprintf(line, sizeof line,
			 "%ums A > DATA seq=%u new\n%ums A < ACK ack=%u new\n%ums A > DATA seq=%u new\n"
			 "%ums A > UDP len=%u new\n%ums A > UDP len=%u new\n",
			 21000 + i, i * 100, 21003 + i, i, 21005 + i, i * 100, 21500 + i, 50 + i, 21520 + i, 50 + i);
		play(&s, "shorter window", line);
	}
	s.client_port = port_in_shard(&s, 6, 50000, flow_shard(&s));
	play(&s, "later", "30000ms A > ACK ack=5 new\n30000.01ms A > ACK ack=5 new\n30000.02ms A > ACK ack=5 new\n");
	assert_int_equal(s.bad, 0);
	assert_int_equal(kept_of_flows(&s, 1, 1, 3, 31000, 2), 3);
	s.d = duplicates_free(s.d);
}

/* A flow that goes from one route to another and back: without identification and with each packet seen on one route
 * only, what both routes show was sent twice. */
static void routes_that_change(void **state maybe_unused)
{
	struct sim s = sim_new(true, 1 << 20, 1);
	play(&s, "routes",
	     "0 A > UDP len=20 new\n200ms A > UDP len=21 new\n400ms A > UDP len=22 new\n"
	     "500ms A > UDP len=23 new\n505ms R > UDP len=23 new\n506ms A > UDP len=23 new\n"
	     /* a path that has shown that it goes along with others */
	     "600ms A > SYN seq=1 new\n600.01ms R > SYN seq=1 other\n800ms A > DATA seq=2 len=9 new\n"
	     "801.5ms R > DATA seq=2 len=9 other\n");
	assert_int_equal(s.bad, 0);
	s.d = duplicates_free(s.d);
}

/* ---- bounds */

static uint64_t random_state;
static uint32_t random_below(uint32_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)((random_state >> 33) % n);
}

/* Anything at all, with times that jump, in a table that is far too small. Verdicts, as a digest. */
static uint64_t storm(uint64_t seed, uint64_t bytes, unsigned shards_announced, unsigned burst)
{
	static const char names[] = "ABRVWXY";
	static const char *const what[] = {"SYN", "SYNACK", "ACK", "DATA", "FIN", "RST", "UDP", "ECHO"};
	struct sim s = sim_new(false, bytes, seed);
	s.d = duplicates_free(s.d);
	struct duplicate_settings settings = settings_for(bytes);
	assert_int_equal(duplicates_new(&s.d, &settings, shards_announced, seed), 0);
	random_state = 5;
	int64_t now_ns = 10 * NS_PER_S;
	uint64_t digest = 0, copies = 0, total = 0;
	static struct packet p[DUPLICATES_BURST];
	for (unsigned i = 0; i < 6000; i++) {
		const struct packet *q[DUPLICATES_BURST];
		struct duplicate_sight r[DUPLICATES_BURST];
		for (unsigned k = 0; k < burst; k++) {
			s.client_port = (uint16_t)(1 + random_below(40));
			p[k] = make(&s, "", names[random_below(7)], random_below(2) ? '>' : '<', what[random_below(8)]);
			p[k].seq = random_below(4);
			p[k].payload_len = p[k].payload_captured = random_below(4);
			p[k].ip_id = (uint16_t)random_below(3);
			now_ns += random_below(2000) * NS_PER_US;
			p[k].ts_ns = random_below(1000) ? now_ns : (int64_t)random_below(2000) * NS_PER_S;
			q[k] = &p[k];
		}
		duplicates_check(s.d, q, burst, r);
		total += burst;
		for (unsigned k = 0; k < burst; k++) {
			copies += r[k].verdict != DUPLICATE_NEW;
			assert_true(r[k].delay_ns >= -1);
			assert_true(r[k].verdict == DUPLICATE_OTHER_PATH || r[k].delay_ns == -1);
			digest = digest * 31 + r[k].verdict * 7 + (uint64_t)r[k].delay_ns;
		}
	}
	const struct duplicate_counters *c = duplicates_counters(s.d);
	assert_int_equal(c->packets, total);
	assert_int_equal(c->other_path + c->same_path, copies);
	assert_true(copies > 0);
	assert_true(duplicates_memory(s.d) > 0);
	if (bytes < 100000)
		assert_true(c->forgotten > 0 && c->flows_forgotten > 0);
	else
		assert_int_equal(c->forgotten, 0);
	s.d = duplicates_free(s.d);
	return digest;
}

/* The seed, the number of shards that a worker owns and how packets come in bursts decide nothing, also where room is
 * short. */
static void bounds(void **state maybe_unused)
{
	static const uint64_t sizes[] = {1000, 8 << 20};
	for (size_t i = 0; i < array_size(sizes); i++) {
		uint64_t digest = storm(1, sizes[i], SHARDS, 1);
		assert_int_equal(storm(99, sizes[i], SHARDS, 1), digest);
		assert_int_equal(storm(99, sizes[i], 128, 1), digest);
	}
	storm(3, 1000, 1, 32);
	storm(3, 8 << 20, SHARDS, 32);
}

static void memory_is_bounded(void **state maybe_unused)
{
	static const uint64_t sizes[] = {256 << 10, 1 << 20, 48 << 20};
	for (size_t i = 0; i < array_size(sizes); i++) {
		struct sim s = sim_new(false, sizes[i], 1);
		for (unsigned k = 0; k < 1500000; k++) {
			struct packet p = {.key = {.protocol = 17, .ip_version = 4}, .frames = 1};
			memcpy(p.key.address[0], &k, sizeof k);
			p.shard = (uint8_t)k;
			p.ts_ns = k;
			const struct packet *q = &p;
			struct duplicate_sight r;
			duplicates_check(s.d, &q, 1, &r);
		}
		assert_true(duplicates_memory(s.d) <= sizes[i]);
		assert_true(duplicates_memory(s.d) > sizes[i] / 2);
		s.d = duplicates_free(s.d);
	}
}

/* A flow that was forgotten, since there is room for one only: what is left of its packets says nothing. */
static void forgotten_flows(void **state maybe_unused)
{
	struct sim s = sim_new(true, 1 << 20, 1);
	duplicates_free(s.d);
	struct duplicate_settings settings = {
	    .window_ns = 100 * NS_PER_MS, .max_groups = SHARDS * 8, .max_talks = SHARDS};
	assert_int_equal(duplicates_new(&s.d, &settings, SHARDS, 1), 0);
	uint16_t one = port_in_shard(&s, 6, 1, 7), two = port_in_shard(&s, 6, (uint16_t)(one + 1), 7);
	char lines[200];
	snprintf(lines, sizeof lines,
		 "0 A > SYN port=%u new\n2 A > SYN port=%u same\n5 A > SYN port=%u new\n7 A > SYN port=%u new\n"
		 "8 B > SYN port=%u other:1\n",
		 one, one, two, one, one);
	play(&s, "forgotten", lines);
	assert_int_equal(s.bad, 0);
	assert_int_equal(duplicates_counters(s.d)->flows_forgotten, 2);
	s.d = duplicates_free(s.d);
}

/* One packet that is sent again and again stands in nobody's way: the others leave in time. */
static void room_for_four(void **state maybe_unused)
{
	struct sim s = sim_new(true, 1 << 20, 1);
	duplicates_free(s.d);
	struct duplicate_settings settings = {
	    .window_ns = 100 * NS_PER_MS, .max_groups = SHARDS * 4, .max_talks = SHARDS};
	assert_int_equal(duplicates_new(&s.d, &settings, SHARDS, 1), 0);
	for (unsigned i = 0; i < 50; i++) {
		char lines[200];
		snprintf(lines, sizeof lines, "%ums A > UDP len=10 new\n%ums A > UDP len=%u new\n", i * 60, i * 60 + 30,
			 i + 11);
		play(&s, "again", lines);
	}
	assert_int_equal(s.bad, 0);
	assert_int_equal(duplicates_counters(s.d)->forgotten, 0);
	s.d = duplicates_free(s.d);
}

static void settings(void **state maybe_unused)
{
	struct duplicate_settings s = {.enabled = DEDUP_AUTO};
	assert_true(duplicates_wanted(&s, true) && !duplicates_wanted(&s, false));
	s.enabled = DEDUP_ON;
	assert_true(duplicates_wanted(&s, true) && duplicates_wanted(&s, false));
	s.disabled = true;
	assert_false(duplicates_wanted(&s, true) || duplicates_wanted(&s, false));
	s = (struct duplicate_settings){.enabled = DEDUP_OFF};
	assert_false(duplicates_wanted(&s, true) || duplicates_wanted(&s, false));
	struct duplicates *d = NULL;
	s = settings_for(1 << 20);
	assert_int_equal(duplicates_new(&d, &s, 0, 1), -22);
	assert_int_equal(duplicates_new(&d, &s, SHARDS + 1, 1), -22);
	s.window_ns = 0;
	assert_int_equal(duplicates_new(&d, &s, 1, 1), -22);
	assert_null(d);
	assert_null(duplicates_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rules),
	    cmocka_unit_test(paths_are_learned),
	    cmocka_unit_test(flows_know_better),
	    cmocka_unit_test(mirrors_that_end),
	    cmocka_unit_test(senders_that_repeat_do_not_teach),
	    cmocka_unit_test(routes_that_change),
	    cmocka_unit_test(bounds),
	    cmocka_unit_test(memory_is_bounded),
	    cmocka_unit_test(forgotten_flows),
	    cmocka_unit_test(room_for_four),
	    cmocka_unit_test(settings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
