/* Frames of every kind of header, built here; what must come of them is what the RFCs say. */
#include "decode_frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void check_key(const struct decode *d, const struct packet *p, uint16_t source_port, uint16_t target_port)
{
	uint8_t source[16] = {0}, target[16] = {0};
	if (p->key.ip_version == 4) {
		build_put32(source, A);
		build_put32(target, B);
	} else {
		source[0] = target[0] = 0xfd;
		source[15] = 1;
		target[15] = 2;
	}
	assert_int_equal(p->direction, 0); /* A is smaller than B */
	assert_memory_equal(p->key.address[0], source, 16);
	assert_memory_equal(p->key.address[1], target, 16);
	assert_int_equal(p->key.port[0], source_port);
	assert_int_equal(p->key.port[1], target_port);
	assert_int_equal(p->key.tap, 3);
	assert_int_equal(p->key.domain, 0);
	assert_int_equal(p->key.hash, flow_key_hash(&p->key, &d->hash_keys));
	assert_int_equal(p->shard, flow_key_shard(&p->key, &d->shard_keys));
}

static void every_header(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_size(frame_table); i++) {
		const struct expected *x = &frame_table[i];
		struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
		x->build();
		struct packet p;
		enum decode_result r = decode_build(&d, x->link_type, &p);
		if (r != DECODE_PACKET || p.payload_len != x->payload_len || p.flags != x->flags ||
		    p.tunnel_count != x->tunnel_count)
			print_message("%s: %s, payload %u, flags %x, tunnels %u\n", x->name, decode_result_names[r],
				      p.payload_len, p.flags, p.tunnel_count);
		assert_int_equal(r, DECODE_PACKET);
		assert_int_equal(d.results[DECODE_PACKET], 1);
		assert_int_equal(p.key.ip_version, x->version);
		assert_int_equal(p.key.protocol, x->protocol);
		check_key(&d, &p, x->source_port, x->target_port);
		assert_int_equal(p.payload_len, x->payload_len);
		assert_int_equal(p.payload_captured, x->payload_len);
		assert_int_equal(p.l4_len, x->payload_len + x->l4_header);
		assert_int_equal(p.payload[0], 1);
		assert_int_equal(p.payload[9], 10);
		assert_int_equal(p.flags, x->flags);
		assert_int_equal(p.wire_len, build_len(&b));
		assert_int_equal(p.frames, 1);
		assert_int_equal(p.ordinal, 5);
		assert_int_equal(p.ts_ns, 77);
		assert_int_equal(p.ttl, 64);
		assert_int_equal(p.ip_id, x->version == 4); /* build_ip4() says 1 */
		assert_int_equal(p.nic, x->link_type == L_SLL2 ? 0x0107 : 9);
		assert_int_equal(p.tcp_flags, x->protocol == 6 ? TCP_ACK : 0);
		assert_int_equal(p.seq, x->protocol == 6 ? 1000 : 0);
		assert_int_equal(p.ack, x->protocol == 6 ? 0x01020304 : 0);
		assert_int_equal(p.window, x->protocol == 6 ? 8192 : 0);
		assert_int_equal(p.vlan_count, x->vlan_count);
		for (unsigned v = 0; v < x->vlan_count; v++)
			assert_int_equal(p.vlan[v] & 0xfff, x->vlans[v]);
		assert_int_equal(p.mac_source[5], x->flags & MAC ? 1 : 0);
		assert_int_equal(p.mac_target[5], x->flags & MAC ? 2 : 0);
		assert_int_equal(p.tunnel_count, x->tunnel_count);
		for (unsigned t = 0; t < x->tunnel_count; t++) {
			assert_int_equal(p.tunnel[t].type, x->tunnels[t]);
			assert_int_equal(p.tunnel[t].id, x->ids[t]);
			assert_true(d.tunnels[x->tunnels[t]] > 0);
		}
	}
}

static void lengths(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	struct packet p;
	padded();
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.l3_len, 50);
	assert_int_equal(p.wire_len, 14 + 50 + 100);
	extensions();
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.l3_len, 40 + 8 + 24 + 8 + 16 + 16 + 8 + 30);
	vxlan(); /* the innermost packet's */
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.l3_len, 50);
	assert_int_equal(p.wire_len, 14 + 20 + 8 + 8 + 14 + 50);
	assert_int_equal(p.tunnel[0].ip_version, 4);
	assert_int_equal(load_be32(p.tunnel[0].source), OUTER_A);
	assert_int_equal(load_be32(p.tunnel[0].target), OUTER_B);
	/* what follows a UDP datagram in its IP packet is no payload */
	udp4();
	build_put16(b.at + 24, 8 + 4);
	assert_int_equal(decode_build(&d, L_IP4, &p), DECODE_PACKET);
	assert_int_equal(p.payload_len, 4);
	assert_int_equal(p.l4_len, 12);
	assert_int_equal(p.l3_len, 38);
}

static void both_directions_are_one_key(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	static const struct {
		uint32_t source, target;
		uint16_t source_port, target_port;
	} flows[] = {
	    {A, B, 80, 1111},
	    {A, B, 1111, 80},
	    {0x0a0000ff, 0x0a000100, 5, 5}, /* bytes, not the host's words, are compared */
	    {A, A, 80, 1111},
	    {A, A, 5, 5},
	};
	for (size_t i = 0; i < array_size(flows); i++) {
		struct packet p, q;
		build_start(&b);
		build_udp(&b, flows[i].source_port, flows[i].target_port);
		build_ip4(&b, 17, flows[i].source, flows[i].target);
		assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_PACKET);
		build_start(&b);
		build_udp(&b, flows[i].target_port, flows[i].source_port);
		build_ip4(&b, 17, flows[i].target, flows[i].source);
		assert_int_equal(decode_build(&d, L_RAW, &q), DECODE_PACKET);
		assert_true(flow_key_equal(&p.key, &q.key));
		assert_int_equal(p.shard, q.shard);
		bool same_ends = flows[i].source == flows[i].target && flows[i].source_port == flows[i].target_port;
		assert_int_equal(p.direction,
				 flows[i].source == flows[i].target && flows[i].source_port > flows[i].target_port);
		assert_int_equal(q.direction, same_ends ? 0 : !p.direction);
	}
	struct packet p;
	build_start(&b);
	build_tcp(&b, 80, 1111);
	build_ip6(&b, 6, 2, 1);
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_PACKET);
	assert_int_equal(p.direction, 1);
	assert_int_equal(p.key.address[0][15], 1);
	assert_int_equal(p.key.port[0], 1111);
	assert_int_equal(p.key.port[1], 80);
}

static void tcp_options(void **state)
{
	(void)state;
	struct decode d = make_decode(0, ISOLATE_NONE, false);
	static const struct {
		const char *bytes;
		uint32_t len;
		uint16_t mss;
		uint8_t scale;
		bool sack;
	} cases[] = {
	    {"\x02\x04\x05\xb4\x04\x02\x08\x0a\0\0\0\1\0\0\0\0\1\3\3\7", 20, 1460, 7, false},
	    {"\x01\x01\x08\x0a\0\0\0\1\0\0\0\2", 12, 0, 255, false},
	    {"\x01\x01\x05\x0a\0\0\0\1\0\0\0\2", 12, 0, 255, true},
	    {"\x01\x01\x08\x0a\0\0\0\1\0\0\0\2\1\1\5\x0a\0\0\0\1\0\0\0\2", 24, 0, 255, true},
	    {"\0\0\0\0\x02\x04\x05\xb4", 8, 0, 255, false},        /* behind the end of the list */
	    {"\xfe\x04\0\0\x02\x04\x05\xb4", 8, 1460, 255, false}, /* an unknown one is skipped */
	    {"\x02\x00\x05\xb4", 4, 0, 255, false},                /* length 0 ends it */
	    {"\x01\x02\x0a\x05", 4, 0, 255, false},                /* runs out of the header */
	    {"\x01\x01\x01\x03", 4, 0, 255, false},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		build_start(&b);
		build_payload(&b, 3, 1);
		build_tcp_options(&b, 1, 2, 3, TCP_SYN, cases[i].bytes, cases[i].len);
		build_ip4(&b, 6, A, B);
		struct packet p;
		assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_PACKET);
		assert_int_equal(p.mss, cases[i].mss);
		assert_int_equal(p.window_scale, cases[i].scale);
		assert_int_equal(!!(p.flags & PACKET_TCP_SACK), cases[i].sack);
		assert_int_equal(p.payload_len, 3);
		assert_int_equal(p.payload[0], 1);
		assert_int_equal(p.tcp_flags, TCP_SYN);
	}
}

static uint64_t rest_of_tcp(const char *options, uint32_t len)
{
	struct decode d = make_decode(0, ISOLATE_NONE, false);
	struct packet p;
	build_start(&b);
	build_tcp_options(&b, 1, 2, 3, TCP_ACK, options, len);
	build_ip4(&b, 6, A, B);
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_PACKET);
	return p.l4_rest;
}

/* Options that differ give another l4_rest, equal ones the same; ICMP echoes differ by their sequence number. */
static void rest_of_the_header(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		uint32_t len;
	} options[] = {
	    {"", 0},
	    {"\x01\x01\x08\x0a\0\0\0\1\0\0\0\2", 12},
	    {"\x01\x01\x08\x0a\0\0\0\2\0\0\0\2", 12},
	    {"\x01\x01\x08\x0a\0\0\0\1\0\0\0\3", 12},
	    {"\x01\x01\x05\x0a\0\0\0\1\0\0\0\2", 12},
	    {"\x01\x01\x05\x0a\0\0\0\1\0\0\0\3", 12},
	    {"\x01\x01\x01\x00", 4},
	};
	for (size_t i = 0; i < array_size(options); i++)
		for (size_t k = 0; k < array_size(options); k++)
			assert_int_equal(rest_of_tcp(options[i].bytes, options[i].len) ==
					     rest_of_tcp(options[k].bytes, options[k].len),
					 i == k);
	assert_int_equal(rest_of_tcp("", 0), 0);

	struct decode d = make_decode(0, ISOLATE_NONE, false);
	struct packet echo[2];
	icmp_echo();
	assert_int_equal(decode_build(&d, L_ETH, &echo[0]), DECODE_PACKET);
	b.at[14 + 20 + 7]++; /* sequence number */
	assert_int_equal(decode_build(&d, L_ETH, &echo[1]), DECODE_PACKET);
	assert_int_not_equal(echo[0].l4_rest, echo[1].l4_rest);
	assert_memory_equal(&echo[0].key, &echo[1].key, sizeof echo[0].key);
}

/* ---- frames that give no packet */

static void other(const char *bytes, uint32_t len, uint16_t type)
{
	build_start(&b);
	build_push(&b, 60 - len);
	build_push_bytes(&b, bytes, len);
	build_eth(&b, type);
}

static void causes_of_layer_2(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		uint32_t len;
		uint16_t type;
		enum decode_result result;
	} cases[] = {
	    {"\0\1\x08\0\6\4\0\1", 8, 0x0806, DECODE_ARP},
	    {"\2\7\4\0", 4, 0x88cc, DECODE_LLDP},
	    {"\1\1", 2, 0x8809, DECODE_OTHER_L2},                   /* LACP */
	    {"\1\1", 2, 0x888e, DECODE_OTHER_L2},                   /* EAPOL */
	    {"\1\1", 2, 0x8035, DECODE_OTHER_L2},                   /* RARP */
	    {"\x11\x09\0\0\0\0", 6, 0x8863, DECODE_OTHER_L2},       /* PPPoE discovery */
	    {"\x11\0\0\1\0\4\xc0\x21", 8, 0x8864, DECODE_OTHER_L2}, /* LCP */
	    {"\x11\0\0\1\0\4\x12\x34", 8, 0x8864, DECODE_UNKNOWN_ETHERTYPE},
	    {"\x42\x42\3", 3, 38, DECODE_OTHER_L2},               /* STP */
	    {"\xff\xff\0\x22", 4, 38, DECODE_OTHER_L2},           /* IPX without LLC */
	    {"\xe0\xe0\3", 3, 38, DECODE_OTHER_L2},               /* IPX */
	    {"\xfe\xfe\3\x83", 4, 38, DECODE_OTHER_L2},           /* IS-IS */
	    {"\xaa\xaa\3\0\0\x0c\x20\0", 8, 38, DECODE_OTHER_L2}, /* CDP */
	    {"\xaa\xaa\3\0\0\0\x08\6", 8, 38, DECODE_ARP},
	    {"\xaa\xaa\3\x12\x34\x56\x08\0", 8, 38, DECODE_UNKNOWN_ETHERTYPE},
	    {"\x12\x12\3", 3, 38, DECODE_UNKNOWN_ETHERTYPE},
	    {"\xaa\xaa\3\0\0\0\x08", 7, 7, DECODE_TRUNCATED_LINK}, /* the length ends in SNAP */
	    {"", 0, 0x1234, DECODE_UNKNOWN_ETHERTYPE},
	    {"", 0, 0xffff, DECODE_UNKNOWN_ETHERTYPE},
	    {"", 0, 0x05dd, DECODE_UNKNOWN_ETHERTYPE},            /* neither a length nor a type */
	    {"\x41\x23\x41\x23", 4, 0x0800, DECODE_MALFORMED_IP}, /* header length 4 */
	    {"\x60\0\0\0", 4, 0x0800, DECODE_MALFORMED_IP},
	    {"\x45\0\0\x28", 4, 0x86dd, DECODE_MALFORMED_IP},
	    {"\x45\0\0\x13", 4, 0x0800, DECODE_MALFORMED_IP}, /* total length 19 */
	    {"\x46\0\0\x14", 4, 0x0800, DECODE_MALFORMED_IP}, /* total length 20, header 24 */
	    {"\x45\0\0\x3d", 4, 0x0800, DECODE_MALFORMED_IP}, /* one byte more than the frame has */
	    {"\x60\0\0\0\0\x15", 6, 0x86dd, DECODE_MALFORMED_IP},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
		struct packet p;
		other(cases[i].bytes, cases[i].len, cases[i].type);
		enum decode_result r = decode_build(&d, L_ETH, &p);
		if (r != cases[i].result)
			print_message("case %zu: %s, not %s\n", i, decode_result_names[r],
				      decode_result_names[cases[i].result]);
		assert_int_equal(r, cases[i].result);
		assert_int_equal(d.results[cases[i].result], 1);
	}
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	struct packet p;
	static const uint16_t unknown[] = {2, 9, 50, 104, 105, 127, 147, 65535};
	eth_tcp4();
	for (size_t i = 0; i < array_size(unknown); i++)
		assert_int_equal(decode_build(&d, unknown[i], &p), DECODE_UNKNOWN_LINK_TYPE);
	tcp4();
	b.at[0] = 0x55;
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_MALFORMED_IP);
	assert_int_equal(decode_build(&d, L_NULL, &p), DECODE_UNKNOWN_ETHERTYPE);
}

static void malformed_l4(void **state)
{
	(void)state;
	struct decode d = make_decode(0, ISOLATE_NONE, false);
	struct packet p;
	tcp4();
	b.at[32] = 0x40; /* data offset 4 */
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_MALFORMED_L4);
	b.at[32] = 0x80; /* 32 bytes of 30 */
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_MALFORMED_L4);
	b.at[32] = 0x70;
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_PACKET);
	udp4();
	build_put16(b.at + 24, 7);
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_MALFORMED_L4);
	build_put16(b.at + 24, 19);
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_MALFORMED_L4);
	static const struct {
		uint8_t protocol, least;
	} least[] = {{6, 20}, {17, 8}, {1, 4}, {132, 12}};
	for (size_t i = 0; i < array_size(least); i++) {
		build_start(&b);
		build_push(&b, least[i].least - 1U);
		build_ip4(&b, least[i].protocol, A, B);
		build_eth(&b, 0x0800);
		assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_MALFORMED_L4);
	}
	/* an IPv6 extension header longer than the packet, and a jumbogram of a length that needs none */
	build_start(&b);
	build_extension(&b, 6, 8);
	b.at[1] = 1;
	build_ip6(&b, 0, 1, 2);
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_MALFORMED_IP);
	tcp_over_jumbo();
	build_put32(b.at + 14 + 40 + 4, 1000);
	assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_MALFORMED_IP);
}

static void too_deep(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	struct packet p;
	tcp4();
	for (unsigned i = 0; i < PACKET_TUNNELS; i++)
		build_ip4(&b, 4, OUTER_A, OUTER_B);
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_PACKET);
	assert_int_equal(p.tunnel_count, PACKET_TUNNELS);
	build_ip4(&b, 4, OUTER_A, OUTER_B);
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_TOO_DEEP);
	tcp4();
	build_vlan(&b, 1, 0x0800);
	for (unsigned i = 0; i < 1000; i++)
		build_vlan(&b, 1, 0x8100);
	build_eth(&b, 0x8100);
	assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_TOO_DEEP);
	build_start(&b);
	for (unsigned i = 0; i < 1000; i++)
		push32(0);
	build_eth(&b, 0x8847);
	assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_TOO_DEEP);
	build_start(&b);
	for (unsigned i = 0; i < 1000; i++)
		build_extension(&b, 60, 8);
	build_ip6(&b, 60, 1, 2);
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_TOO_DEEP);
}

/* ---- tunnels that are not opened */

static void closed_tunnels(void **state)
{
	(void)state;
	struct decode d = make_decode(0, ISOLATE_NONE, false);
	for (size_t i = 0; i < array_size(frame_table); i++) {
		if (!frame_table[i].tunnel_count)
			continue;
		frame_table[i].build();
		struct packet p;
		assert_int_equal(decode_build(&d, frame_table[i].link_type, &p), DECODE_PACKET);
		assert_int_equal(p.tunnel_count, 0);
		if (p.key.ip_version == 4)
			assert_int_equal(load_be32(p.key.address[0]), OUTER_A);
		assert_true(p.key.protocol == 17 || p.key.port[0] == 0);
		assert_int_equal(p.l3_len, build_len(&b) - 14);
		/* each opens by its own bit, and by no other */
		uint64_t own = UINT64_C(1) << frame_table[i].tunnels[0];
		if (frame_table[i].build == vxlan_nsh)
			own = DECAP_VXLAN_NSH;
		struct decode e = make_decode(own, ISOLATE_NONE, false);
		assert_int_equal(decode_build(&e, frame_table[i].link_type, &p), DECODE_PACKET);
		assert_true(p.tunnel_count >= 1);
		/* a GRE key with Ethernet is plain GRE where NVGRE is not wanted */
		uint64_t gre_too = own == UINT64_C(1) << TUNNEL_NVGRE ? UINT64_C(1) << TUNNEL_GRE : 0;
		e = make_decode(ALL_TUNNELS & ~own & ~gre_too, ISOLATE_NONE, false);
		assert_int_equal(decode_build(&e, frame_table[i].link_type, &p), DECODE_PACKET);
		assert_int_equal(p.tunnel_count, 0);
	}
	d = make_decode(UINT64_C(1) << TUNNEL_GRE, ISOLATE_NONE, false);
	nvgre();
	struct packet p;
	assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_PACKET);
	assert_int_equal(p.tunnel[0].type, TUNNEL_GRE);
	assert_int_equal(p.tunnel[0].id, 0x1234567f);
}

static void insides_that_are_no_packet(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	struct packet p;
	/* ARP in a VLAN in VXLAN: the outer packet stands, without the inner tag and MACs */
	other("\0\1\x08\0\6\4\0\1", 8, 0x0806);
	memmove(b.at - 4, b.at, 12);
	b.at -= 4;
	b.at[0] = 0xee;
	build_put16(b.at + 12, 0x8100);
	build_put16(b.at + 14, 55);
	vxlan_header(0x08000000, 1);
	over_udp(4789);
	assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_PACKET);
	assert_int_equal(p.key.protocol, 17);
	assert_int_equal(p.tunnel_count, 0);
	assert_int_equal(p.vlan_count, 0);
	assert_int_equal(p.mac_target[0], 2);
	assert_int_equal(p.flags, PACKET_HAS_MAC);
	assert_int_equal(d.inner_results[DECODE_ARP], 1);
	assert_int_equal(d.results[DECODE_ARP], 0);
	assert_int_equal(d.tunnels[TUNNEL_VXLAN], 0);

	/* a bad TCP header inside a good outer packet */
	tcp4();
	b.at[32] = 0;
	over_ip(4);
	assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_PACKET);
	assert_int_equal(p.key.protocol, 4);
	assert_int_equal(p.payload_len, 50);
	assert_int_equal(d.inner_results[DECODE_MALFORMED_L4], 1);

	/* what looks like no tunnel's header */
	static const struct {
		void (*build)(void);
		uint32_t at;
		uint8_t value;
	} spoiled[] = {
	    {vxlan, 42, 0x00},   /* no VNI */
	    {geneve, 42, 0x42},  /* version 1 */
	    {geneve, 43, 0x80},  /* control packet */
	    {gtpu, 43, 1},       /* echo request */
	    {gtpu, 42, 0x50},    /* version 2 */
	    {gre, 35, 0x01},     /* version 1 */
	    {gre, 34, 0xf0},     /* routing present */
	    {erspan2, 42, 0x30}, /* version 3 */
	};
	for (size_t i = 0; i < array_size(spoiled); i++) {
		spoiled[i].build();
		b.at[spoiled[i].at] = spoiled[i].value;
		assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_PACKET);
		assert_int_equal(p.tunnel_count, 0);
	}
	/* the source port says nothing */
	eth_tcp4();
	vxlan_header(0x08000000, 1);
	build_udp(&b, 4789, 5000);
	build_ip4(&b, 17, A, B);
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_PACKET);
	assert_int_equal(p.tunnel_count, 0);
}

static void mirrored_frame_was_cut(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	struct packet p;
	/* ERSPAN II whose source says (T) that it kept 8 bytes less of the frame */
	for (unsigned t = 0; t < 2; t++) {
		erspan2();
		memmove(b.at + 8, b.at, build_len(&b) - 8);
		b.at += 8;
		build_put16(b.at + 16, build_len(&b) - 14);
		b.at[14 + 20 + 8 + 2] = t ? 0x04 : 0;
		assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_PACKET);
		assert_int_equal(p.tunnel_count, t);
		if (t) {
			assert_int_equal(p.payload_len, 10);
			assert_int_equal(p.payload_captured, 2);
			assert_true(p.flags & PACKET_CUT);
		} else {
			assert_int_equal(d.inner_results[DECODE_MALFORMED_IP], 1);
		}
	}
}

static void isolation(void **state)
{
	(void)state;
	struct packet p;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_VLAN, false);
	vlan();
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.key.domain, 0x64);
	assert_int_equal(p.key.hash, flow_key_hash(&p.key, &d.hash_keys));
	qinq();
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.key.domain, 100 << 12 | 200);
	vxlan();
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.key.domain, 0);
	d = make_decode(ALL_TUNNELS, ISOLATE_TUNNEL, false);
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.key.domain, 0x123456);
	gtpu();
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.key.domain, 0);
	vlan();
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.key.domain, 0);
}

static void checksums(void **state)
{
	(void)state;
	struct packet p;
	struct decode off = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	struct decode on = make_decode(ALL_TUNNELS, ISOLATE_NONE, true);
	eth_tcp4();
	b.at[14 + 8]++;
	assert_int_equal(decode_build(&off, L_ETH, &p), DECODE_PACKET);
	assert_true(p.flags & PACKET_BAD_IP_CHECKSUM);
	assert_int_equal(decode_bytes(&off, L_RAW, b.at + 14, build_len(&b) - 14, build_len(&b) - 14, &p),
			 DECODE_PACKET);
	assert_true(p.flags & PACKET_BAD_IP_CHECKSUM);

	static const struct {
		void (*build)(void);
		uint8_t protocol, field;
	} cases[] = {{tcp4, 6, 16}, {tcp6, 6, 16}, {udp4, 17, 6}};
	for (size_t i = 0; i < array_size(cases); i++) {
		cases[i].build();
		bool is4 = b.at[0] >> 4 == 4;
		uint8_t *l4 = b.at + (is4 ? 20 : 40);
		uint32_t len = build_len(&b) - (is4 ? 20 : 40), pseudo = cases[i].protocol + len;
		for (uint32_t k = is4 ? 12 : 8; k < (is4 ? 20U : 40U); k += 2)
			pseudo += load_be16(b.at + k);
		build_put16(l4 + cases[i].field, 0x1234);
		assert_int_equal(decode_build(&off, L_RAW, &p), DECODE_PACKET);
		assert_false(p.flags & PACKET_BAD_L4_CHECKSUM);
		assert_int_equal(decode_build(&on, L_RAW, &p), DECODE_PACKET);
		assert_true(p.flags & PACKET_BAD_L4_CHECKSUM);
		assert_false(p.flags & PACKET_BAD_IP_CHECKSUM);
		/* cut off: cannot be told */
		decode_bytes(&on, L_RAW, b.at, build_len(&b) - 1, build_len(&b), &p);
		assert_false(p.flags & PACKET_BAD_L4_CHECKSUM);
		assert_true(p.flags & PACKET_CUT);
		build_put16(l4 + cases[i].field, 0);
		uint16_t good = build_checksum(pseudo, l4, len);
		build_put16(l4 + cases[i].field, good);
		decode_build(&on, L_RAW, &p);
		assert_false(p.flags & PACKET_BAD_L4_CHECKSUM);
		/* left for the NIC: the pseudo-header's sum, not complemented */
		build_put16(l4 + cases[i].field, (uint16_t)~build_checksum(pseudo, l4, 0));
		decode_build(&on, L_RAW, &p);
		assert_false(p.flags & PACKET_BAD_L4_CHECKSUM);
	}
	udp4(); /* no checksum */
	decode_build(&on, L_RAW, &p);
	assert_false(p.flags & PACKET_BAD_L4_CHECKSUM);
	icmp_echo();
	decode_build(&on, L_ETH, &p);
	assert_true(p.flags & PACKET_BAD_L4_CHECKSUM);
	build_put16(b.at + 36, build_checksum(0, b.at + 34, 18));
	decode_build(&on, L_ETH, &p);
	assert_false(p.flags & PACKET_BAD_L4_CHECKSUM);
}

static void fragments(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	struct packet p;
	build_start(&b);
	build_payload(&b, 24, 1);
	build_ip4_full(&b, 17, A, B, 0x1234, 0x2000 | 3, "\x94\x04\0\0", 4);
	build_eth(&b, 0x0800);
	assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_FRAGMENT);
	assert_int_equal(d.results[DECODE_FRAGMENT], 1);
	assert_ptr_equal(d.fragment.ip, b.at + 14);
	assert_int_equal(d.fragment.ip_captured, 48);
	assert_int_equal(d.fragment.header_len, 24);
	assert_int_equal(d.fragment.data_len, 24);
	assert_int_equal(d.fragment.data_captured, 24);
	assert_int_equal(d.fragment.offset, 24);
	assert_int_equal(d.fragment.id, 0x1234);
	assert_true(d.fragment.more);
	assert_int_equal(d.fragment.ip_version, 4);
	assert_int_equal(d.fragment.protocol, 17);
	assert_int_equal(load_be32(d.fragment.source), A);
	assert_int_equal(load_be32(d.fragment.target), B);
	assert_int_equal(p.l3_len, 48);
	assert_int_equal(p.key.port[0], 0);
	assert_int_equal(p.frames, 1);

	/* in a tunnel; IPv6 with an unfragmentable part; the capture cut it */
	build_start(&b);
	build_payload(&b, 24, 1);
	build_fragment6(&b, 6, 1280, false, 0xdeadbeef);
	build_extension(&b, 44, 16);
	build_ip6(&b, 60, 1, 2);
	over_ip(41);
	assert_int_equal(decode_bytes(&d, L_ETH, b.at, build_len(&b) - 5, build_len(&b), &p), DECODE_FRAGMENT);
	assert_int_equal(d.fragment.header_len, 40 + 16 + 8);
	assert_int_equal(d.fragment.next_header_at, 40);
	assert_int_equal(d.fragment.offset, 1280);
	assert_int_equal(d.fragment.data_len, 24);
	assert_int_equal(d.fragment.data_captured, 19);
	assert_int_equal(d.fragment.id, 0xdeadbeef);
	assert_int_equal(d.fragment.protocol, 6);
	assert_false(d.fragment.more);
	assert_int_equal(p.tunnel_count, 1);
	assert_int_equal(d.tunnels[TUNNEL_6IN4], 1);

	/* what was put together goes on, and may hold tunnels */
	gtpu();
	p = (struct packet){.flags = PACKET_REASSEMBLED, .frames = 3, .l3_len = 777, .wire_len = 888, .key.tap = 3};
	b.at[14 + 10] ^= 1; /* the header's checksum was seen to by fragment */
	assert_int_equal(decode_reassembled(&d, b.at + 14, build_len(&b) - 14, &p), DECODE_PACKET);
	assert_int_equal(p.tunnel_count, 1);
	assert_int_equal(p.l3_len, 50);
	assert_int_equal(p.wire_len, 888);
	assert_int_equal(p.frames, 3);
	assert_int_equal(p.flags, PACKET_REASSEMBLED);
	check_key(&d, &p, 1111, 80);
	udp4();
	p = (struct packet){.flags = PACKET_REASSEMBLED, .frames = 3, .l3_len = 777, .wire_len = 888, .key.tap = 3};
	assert_int_equal(decode_reassembled(&d, b.at, build_len(&b), &p), DECODE_PACKET);
	assert_int_equal(p.l3_len, 777);
	assert_int_equal(p.l4_len, 18);
	check_key(&d, &p, 1111, 80);
}

static void refused_settings(void **state)
{
	(void)state;
	static const char *const wrong[] = {"", "0", "65536", "-1", "4789x", " 1"};
	struct decode d;
	struct error e;
	for (size_t i = 0; i < array_size(wrong); i++) {
		char text[8], *item = text;
		snprintf(text, sizeof text, "%s", wrong[i]);
		struct decode_settings settings = {.vxlan_ports = {.item = &item, .count = 1}};
		e.text[0] = 0;
		assert_int_equal(decode_init(&d, &settings, 0, 0, &e), -22);
		assert_non_null(strstr(e.text, "vxlan_ports"));
	}
	char digits[9][2], *nine[9];
	for (unsigned i = 0; i < 9; i++) {
		digits[i][0] = (char)('1' + i);
		digits[i][1] = 0;
		nine[i] = digits[i];
	}
	struct decode_settings settings = {.vxlan_ports = {.item = nine, .count = 9}};
	assert_int_equal(decode_init(&d, &settings, 0, 0, &e), -22);
	settings.vxlan_ports.count = 8;
	assert_int_equal(decode_init(&d, &settings, 0, 0, &e), 0);
	/* a name for each bit, and the numbers a file of DeepFlow's uses */
	for (const struct option *o = decode_options; o->name; o++) {
		assert_non_null(o->meaning);
		if (!strcmp(o->name, "decap_type"))
			for (unsigned i = 1; i < TUNNEL_TYPES; i++)
				assert_string_equal(o->choices[i], tunnel_type_names[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_header),
	    cmocka_unit_test(lengths),
	    cmocka_unit_test(both_directions_are_one_key),
	    cmocka_unit_test(tcp_options),
	    cmocka_unit_test(rest_of_the_header),
	    cmocka_unit_test(causes_of_layer_2),
	    cmocka_unit_test(malformed_l4),
	    cmocka_unit_test(too_deep),
	    cmocka_unit_test(closed_tunnels),
	    cmocka_unit_test(insides_that_are_no_packet),
	    cmocka_unit_test(mirrored_frame_was_cut),
	    cmocka_unit_test(isolation),
	    cmocka_unit_test(checksums),
	    cmocka_unit_test(fragments),
	    cmocka_unit_test(refused_settings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
