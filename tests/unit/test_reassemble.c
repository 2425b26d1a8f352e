/* Fragments cut here from packets whose every byte is known, through decode_frame() into reassembly. */
#include "frame_builder.h"
#include "reassemble.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define A 0x0a000001
#define B 0x0a000002

struct bench {
	struct decode d;
	struct reassemble *r;
	struct packet p; /* of the last frame */
	const uint8_t *ip;
	uint32_t ip_len;
	int64_t now_ns;
	uint64_t terms; /* frames that went in */
};

static struct build b;

static void bench_open(struct bench *t, uint64_t datagrams)
{
	memset(t, 0, sizeof *t);
	struct decode_settings settings = {.decap_type = ~UINT64_C(0)};
	assert_int_equal(decode_init(&t->d, &settings, 1, 0, NULL), 0);
	struct reassemble_settings rs = {.datagrams = datagrams, .timeout_ns = 30 * NS_PER_S};
	assert_int_equal(reassemble_new(&t->r, &rs), 0);
	t->now_ns = 1000 * NS_PER_S;
}

static void check_ledger(const struct bench *t)
{
	const struct reassemble_counters *c = reassemble_counters(t->r);
	assert_int_equal(c->frames, t->terms);
	assert_int_equal(c->frames, c->frames_completed + c->frames_expired + c->frames_evicted + c->frames_overlap +
					c->frames_malformed + c->frames_cut + c->frames_held + c->frames_duplicate);
}

static void bench_close(struct bench *t)
{
	check_ledger(t);
	reassemble_finish(t->r);
	check_ledger(t);
	assert_int_equal(reassemble_counters(t->r)->frames_held, 0);
	t->r = reassemble_free(t->r);
	assert_null(t->r);
}

/* The frame in b, of which the capture has all but the last `cut` bytes. */
static int put_cut(struct bench *t, uint32_t cut)
{
	uint32_t len = build_len(&b);
	uint8_t *frame = malloc(len); /* so that a sanitizer sees a read past it or after it */
	memcpy(frame, b.at, len);
	struct frame f = {.data = frame, .caplen = len - cut, .wirelen = len, .ts_ns = t->now_ns, .link_type = 101};
	assert_int_equal(decode_frame(&t->d, &f, &t->p), DECODE_FRAGMENT);
	t->terms++;
	int complete = reassemble_fragment(t->r, &t->d.fragment, &t->p, &t->ip, &t->ip_len);
	free(frame);
	check_ledger(t);
	return complete;
}

static int put(struct bench *t)
{
	return put_cut(t, 0);
}

/* `len` bytes at `offset` of a datagram whose byte i is (uint8_t)(i * 7 + i / 256 + salt), the first eight being a UDP
 * header for `total` bytes. */
static void datagram_bytes(uint32_t total, uint32_t offset, uint32_t len, uint8_t salt)
{
	static uint8_t whole[70000];
	for (uint32_t i = 0; i < offset + len; i++)
		whole[i] = (uint8_t)(i * 7 + i / 256 + salt);
	build_put16(whole, 1111);
	build_put16(whole + 2, 53);
	build_put16(whole + 4, total);
	build_put16(whole + 6, 0);
	build_start(&b);
	build_push_bytes(&b, whole + offset, len);
}

static int fragment4_salted(struct bench *t, uint16_t id, uint32_t total, uint32_t offset, uint32_t len, uint8_t salt)
{
	datagram_bytes(total, offset, len, salt);
	uint16_t field = (uint16_t)(offset / 8 | (offset + len < total ? 0x2000 : 0));
	build_ip4_full(&b, 17, A, B, id, field, "", 0);
	return put(t);
}

static int fragment4(struct bench *t, uint16_t id, uint32_t total, uint32_t offset, uint32_t len)
{
	return fragment4_salted(t, id, total, offset, len, 0);
}

static int fragment6_salted(struct bench *t, uint32_t id, uint32_t total, uint32_t offset, uint32_t len, uint8_t salt)
{
	datagram_bytes(total, offset, len, salt);
	build_fragment6(&b, 17, offset, offset + len < total, id);
	build_extension(&b, 44, 16);
	build_ip6(&b, 60, 1, 2);
	return put(t);
}

static int fragment6(struct bench *t, uint32_t id, uint32_t total, uint32_t offset, uint32_t len)
{
	return fragment6_salted(t, id, total, offset, len, 0);
}

/* What came out is the datagram, all of it. */
static void check_datagram(struct bench *t, uint32_t total, unsigned frames)
{
	bool is4 = t->ip[0] >> 4 == 4;
	assert_int_equal(t->ip_len, total + (is4 ? 20 : 56));
	assert_int_equal(load_be16(t->ip + (is4 ? 2 : 4)), is4 ? total + 20 : total + 16);
	assert_int_equal(t->p.frames, frames);
	assert_int_equal(t->p.wire_len, total + frames * (is4 ? 20 : 64));
	assert_int_equal(t->p.l3_len, t->p.wire_len);
	assert_true(t->p.flags & PACKET_REASSEMBLED);
	uint32_t wire_len = t->p.wire_len;
	assert_int_equal(decode_reassembled(&t->d, t->ip, t->ip_len, &t->p), DECODE_PACKET);
	assert_int_equal(t->p.key.protocol, 17);
	assert_int_equal(t->p.key.port[0], 1111);
	assert_int_equal(t->p.key.port[1], 53);
	assert_int_equal(t->p.l4_len, total);
	assert_int_equal(t->p.l3_len, wire_len);
	assert_int_equal(t->p.payload_captured, total - 8);
	for (uint32_t i = 8; i < total; i++)
		assert_int_equal(t->p.payload[i - 8], (uint8_t)(i * 7 + i / 256));
}

static void every_order(void **state)
{
	(void)state;
	static const struct {
		uint32_t offset, len;
	} parts[4] = {{0, 64}, {64, 8}, {72, 1480}, {1552, 101}};
	for (unsigned version = 4; version <= 6; version += 2) {
		struct bench t;
		bench_open(&t, 4);
		unsigned id = 0;
		for (unsigned code = 0; code < 256; code++) {
			unsigned order[4] = {code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6}, seen = 0;
			for (unsigned i = 0; i < 4; i++)
				seen |= 1U << order[i];
			if (seen != 15)
				continue; /* no permutation */
			id++;
			for (unsigned i = 0; i < 4; i++) {
				uint32_t offset = parts[order[i]].offset, len = parts[order[i]].len;
				int complete = version == 4 ? fragment4(&t, (uint16_t)id, 1653, offset, len)
							    : fragment6(&t, id, 1653, offset, len);
				assert_int_equal(complete, i == 3);
			}
			check_datagram(&t, 1653, 4);
		}
		assert_int_equal(id, 24);
		assert_int_equal(reassemble_counters(t.r)->datagrams, 24);
		assert_int_equal(reassemble_counters(t.r)->frames_completed, 96);
		bench_close(&t);
	}
}

static void datagrams_are_told_apart(void **state)
{
	(void)state;
	struct bench t;
	bench_open(&t, 16);
	assert_int_equal(fragment4(&t, 1, 100, 0, 64), 0);
	/* another id, another protocol, other addresses, another observation point: the other half of none of them */
	assert_int_equal(fragment4(&t, 2, 100, 64, 36), 0);
	datagram_bytes(100, 64, 36, 0);
	build_ip4_full(&b, 6, A, B, 1, 8, "", 0);
	assert_int_equal(put(&t), 0);
	datagram_bytes(100, 64, 36, 0);
	build_ip4_full(&b, 17, B, A, 1, 8, "", 0);
	assert_int_equal(put(&t), 0);
	datagram_bytes(100, 64, 36, 0);
	build_ip4_full(&b, 17, A, B, 1, 8, "", 0);
	struct frame f = {.data = b.at, .caplen = 56, .wirelen = 56, .ts_ns = t.now_ns, .link_type = 101, .tap = 1};
	assert_int_equal(decode_frame(&t.d, &f, &t.p), DECODE_FRAGMENT);
	t.terms++;
	assert_int_equal(reassemble_fragment(t.r, &t.d.fragment, &t.p, &t.ip, &t.ip_len), 0);
	assert_int_equal(fragment4(&t, 1, 100, 64, 36), 1);
	check_datagram(&t, 100, 2);
	/* in IPv6 the fragments of one packet need not name the same next header; the first one's counts */
	assert_int_equal(fragment6(&t, 1, 100, 0, 64), 0);
	datagram_bytes(100, 64, 36, 0);
	build_fragment6(&b, 6, 64, false, 1);
	build_extension(&b, 44, 16);
	build_ip6(&b, 60, 1, 2);
	assert_int_equal(put(&t), 1);
	check_datagram(&t, 100, 2);
	bench_close(&t);
}

static void duplicates(void **state)
{
	(void)state;
	struct bench t;
	bench_open(&t, 4);
	const struct reassemble_counters *c = reassemble_counters(t.r);
	assert_int_equal(fragment4(&t, 1, 100, 0, 64), 0);
	assert_int_equal(fragment4(&t, 1, 100, 0, 64), 0);
	assert_int_equal(fragment4(&t, 1, 100, 8, 8), 0);
	assert_int_equal(c->frames_duplicate, 2);
	assert_int_equal(c->frames_held, 1);
	assert_int_equal(fragment4(&t, 1, 100, 64, 36), 1);
	check_datagram(&t, 100, 2); /* duplicates are in no packet */
	assert_int_equal(fragment6(&t, 1, 100, 64, 36), 0);
	assert_int_equal(fragment6(&t, 1, 100, 64, 36), 0);
	assert_int_equal(c->frames_duplicate, 3);
	assert_int_equal(fragment6(&t, 1, 100, 0, 64), 1);
	check_datagram(&t, 100, 2);
	bench_close(&t);
}

static void overlaps(void **state)
{
	(void)state;
	struct bench t;
	bench_open(&t, 4);
	const struct reassemble_counters *c = reassemble_counters(t.r);
	/* IPv4: the first byte seen wins; what comes later with other bytes only fills holes */
	assert_int_equal(fragment4(&t, 1, 200, 0, 64), 0);
	assert_int_equal(fragment4(&t, 1, 200, 128, 72), 0);
	assert_int_equal(fragment4_salted(&t, 1, 200, 0, 64, 99), 0);
	assert_int_equal(fragment4_salted(&t, 1, 200, 128, 72, 99), 0);
	assert_int_equal(c->frames_duplicate, 2);
	datagram_bytes(200, 48, 96, 99); /* holes 64..127, wrong bytes on both sides of them */
	datagram_bytes(200, 48, 96, 0);
	memset(b.at, 0xee, 16);
	memset(b.at + 80, 0xee, 16);
	build_ip4_full(&b, 17, A, B, 1, 6 | 0x2000, "", 0);
	assert_int_equal(put(&t), 1);
	/* three frames, 96 bytes of which were there before */
	assert_int_equal(t.p.wire_len, 64 + 72 + 96 + 60);
	t.p.wire_len = t.p.l3_len = 200 + 60;
	check_datagram(&t, 200, 3);

	/* IPv6: the packet is discarded, with its fragments that are still to come (RFC 5722) */
	assert_int_equal(fragment6(&t, 7, 200, 0, 64), 0);
	assert_int_equal(fragment6(&t, 7, 200, 56, 64), 0);
	assert_int_equal(c->frames_overlap, 2);
	assert_int_equal(fragment6(&t, 7, 200, 120, 80), 0);
	assert_int_equal(fragment6(&t, 7, 200, 0, 64), 0);
	assert_int_equal(fragment6(&t, 7, 200, 64, 136), 0);
	assert_int_equal(c->frames_overlap, 5);
	/* also where only the bytes differ */
	assert_int_equal(fragment6(&t, 8, 200, 64, 64), 0);
	assert_int_equal(fragment6_salted(&t, 8, 200, 64, 64, 1), 0);
	assert_int_equal(c->frames_overlap, 7);
	assert_int_equal(c->frames_held, 0);
	bench_close(&t);
}

static void contradictions(void **state)
{
	(void)state;
	struct bench t;
	bench_open(&t, 64);
	const struct reassemble_counters *c = reassemble_counters(t.r);
	/* teardrop: the last fragment ends inside the first */
	assert_int_equal(fragment4(&t, 1, 100, 0, 64), 0);
	assert_int_equal(fragment4(&t, 1, 28, 24, 4), 0);
	assert_int_equal(c->frames_malformed, 2);
	/* two different ends; data behind the end */
	assert_int_equal(fragment4(&t, 2, 100, 64, 36), 0);
	assert_int_equal(fragment4(&t, 2, 108, 64, 44), 0);
	assert_int_equal(c->frames_malformed, 4);
	assert_int_equal(fragment4(&t, 3, 100, 64, 36), 0);
	assert_int_equal(fragment4(&t, 3, 1000, 96, 64), 0);
	assert_int_equal(c->frames_malformed, 6);
	/* ping of death: past 65535; and a packet that its header makes too long */
	datagram_bytes(9, 0, 64, 0);
	build_ip4_full(&b, 17, A, B, 4, 0x1ff8, "", 0);
	assert_int_equal(put(&t), 0);
	assert_int_equal(c->frames_malformed, 7);
	datagram_bytes(9, 0, 56, 0);
	build_ip4_full(&b, 17, A, B, 5, 0x1ff8, "", 0);
	assert_int_equal(put(&t), 0);
	for (uint32_t at = 0; at < 65472; at += 1488) {
		datagram_bytes(65528, at, 1488, 0);
		build_ip4_full(&b, 17, A, B, 5, (uint16_t)(0x2000 | at / 8), "", 0);
		assert_int_equal(put(&t), 0);
	}
	assert_int_equal(c->frames_malformed, 7 + 1 + 44);
	/* not a multiple of eight, and no data */
	datagram_bytes(100, 0, 60, 0);
	build_ip4_full(&b, 17, A, B, 6, 0x2000, "", 0);
	assert_int_equal(put(&t), 0);
	build_start(&b);
	build_ip4_full(&b, 17, A, B, 6, 0x2000, "", 0);
	assert_int_equal(put(&t), 0);
	build_start(&b);
	build_ip4_full(&b, 17, A, B, 6, 4, "", 0);
	assert_int_equal(put(&t), 0);
	assert_int_equal(c->frames_malformed, 52 + 3);
	/* an unfragmentable part longer than is kept */
	datagram_bytes(100, 0, 64, 0);
	build_fragment6(&b, 17, 0, true, 1);
	build_extension(&b, 44, 600);
	build_ip6(&b, 60, 1, 2);
	assert_int_equal(put(&t), 0);
	assert_int_equal(c->frames_malformed, 56);
	assert_int_equal(c->frames_held, 0);
	assert_int_equal(c->datagrams, 0);
	bench_close(&t);
}

static void largest(void **state)
{
	(void)state;
	struct bench t;
	bench_open(&t, 1);
	for (uint32_t at = 0; at < 65515; at += 1480)
		assert_int_equal(fragment4(&t, 1, 65515, at, min_of(1480U, 65515 - at)), at + 1480 >= 65515);
	check_datagram(&t, 65515, 45);
	for (uint32_t at = 0; at < 65519; at += 8) /* a frame for each eight bytes */
		assert_int_equal(fragment6(&t, 1, 65519, at, min_of(8U, 65519 - at)), at + 8 >= 65519);
	check_datagram(&t, 65519, 8190);
	bench_close(&t);
}

static void timeouts(void **state)
{
	(void)state;
	struct bench t;
	bench_open(&t, 8);
	const struct reassemble_counters *c = reassemble_counters(t.r);
	assert_int_equal(fragment4(&t, 1, 100, 0, 64), 0);
	t.now_ns += 10 * NS_PER_S;
	assert_int_equal(fragment4(&t, 2, 100, 0, 64), 0);
	reassemble_tick(t.r, t.now_ns + 20 * NS_PER_S - 1);
	assert_int_equal(c->frames_expired, 0);
	reassemble_tick(t.r, t.now_ns + 20 * NS_PER_S);
	assert_int_equal(c->frames_expired, 1);
	assert_int_equal(c->frames_held, 1);
	/* without ticks too: a fragment that is late does not complete what has timed out */
	t.now_ns += 30 * NS_PER_S;
	assert_int_equal(fragment4(&t, 2, 100, 64, 36), 0);
	assert_int_equal(c->frames_expired, 2);
	assert_int_equal(fragment4(&t, 2, 100, 0, 64), 1);
	/* the clock of a capture may step back, a little or by decades */
	assert_int_equal(fragment4(&t, 3, 100, 0, 64), 0);
	t.now_ns -= 5 * NS_PER_S;
	assert_int_equal(fragment4(&t, 3, 100, 64, 36), 1);
	assert_int_equal(fragment4(&t, 4, 100, 0, 64), 0);
	t.now_ns -= 900 * NS_PER_S;
	assert_int_equal(fragment4(&t, 4, 100, 64, 36), 0);
	assert_int_equal(c->frames_expired, 3);
	assert_int_equal(fragment4(&t, 4, 100, 0, 64), 1);
	bench_close(&t);
	bench_open(&t, 8);
	t.now_ns = INT64_MIN;
	assert_int_equal(fragment4(&t, 4, 100, 0, 64), 0);
	t.now_ns = INT64_MAX;
	assert_int_equal(fragment4(&t, 4, 100, 64, 36), 0);
	t.now_ns = INT64_MIN;
	assert_int_equal(fragment4(&t, 4, 100, 0, 64), 0);
	assert_int_equal(reassemble_counters(t.r)->frames_expired, 2);
	bench_close(&t);
}

static void bounds(void **state)
{
	(void)state;
	struct bench t;
	bench_open(&t, 3);
	const struct reassemble_counters *c = reassemble_counters(t.r);
	for (uint16_t id = 1; id <= 5; id++)
		assert_int_equal(fragment4(&t, id, 100, 0, 64), 0);
	assert_int_equal(c->frames_evicted, 2);
	assert_int_equal(c->frames_held, 3);
	assert_int_equal(fragment4(&t, 5, 100, 64, 36), 1); /* the youngest three are there */
	assert_int_equal(fragment4(&t, 3, 100, 64, 36), 1);
	assert_int_equal(fragment4(&t, 4, 100, 64, 36), 1);
	assert_int_equal(fragment4(&t, 1, 100, 64, 36), 0); /* the oldest two are not */
	assert_int_equal(c->datagrams, 3);
	bench_close(&t);
}

static void cut_fragments(void **state)
{
	(void)state;
	struct bench t;
	bench_open(&t, 4);
	const struct reassemble_counters *c = reassemble_counters(t.r);
	assert_int_equal(fragment4(&t, 1, 200, 128, 72), 0);
	datagram_bytes(200, 0, 64, 0);
	build_ip4_full(&b, 17, A, B, 1, 0x2000, "", 0);
	assert_int_equal(put_cut(&t, 1), 0);
	assert_int_equal(c->frames_cut, 2);
	assert_int_equal(fragment4(&t, 1, 200, 64, 64), 0);
	assert_int_equal(c->frames_cut, 3);
	assert_int_equal(c->frames_held, 0);
	bench_close(&t);
}

/* A datagram in fragments inside a GRE packet that is itself in fragments: what was put together is a fragment, and
 * lies in the memory that reassembly gave away. */
static void fragments_in_a_fragmented_tunnel(void **state)
{
	(void)state;
	struct bench t;
	bench_open(&t, 2);
	for (unsigned half = 0; half < 2; half++) {
		datagram_bytes(1000, half * 496, half ? 504 : 496, 0);
		build_ip4_full(&b, 17, A, B, 9, half ? 62 : 0x2000, "", 0);
		build_put32(build_push(&b, 4), 0x00000800);
		uint32_t len = build_len(&b);
		uint8_t whole[600];
		memcpy(whole, b.at, len);
		for (unsigned part = 0; part < 2; part++) {
			build_start(&b);
			build_push_bytes(&b, whole + part * 256, part ? len - 256 : 256);
			build_ip4_full(&b, 47, A + 100, B + 100, (uint16_t)(20 + half), part ? 32 : 0x2000, "", 0);
			assert_int_equal(put(&t), part);
		}
		assert_int_equal(decode_reassembled(&t.d, t.ip, t.ip_len, &t.p), DECODE_FRAGMENT);
		assert_int_equal(t.p.frames, 2);
		assert_int_equal(t.p.tunnel_count, 1);
		t.terms += t.p.frames;
		assert_int_equal(reassemble_fragment(t.r, &t.d.fragment, &t.p, &t.ip, &t.ip_len), half);
		check_ledger(&t);
	}
	assert_int_equal(t.p.frames, 4);
	assert_int_equal(t.p.wire_len, 1000 + 2 * 24 + 4 * 20);
	assert_int_equal(decode_reassembled(&t.d, t.ip, t.ip_len, &t.p), DECODE_PACKET);
	assert_int_equal(t.p.l4_len, 1000);
	for (uint32_t i = 8; i < 1000; i++)
		assert_int_equal(t.p.payload[i - 8], (uint8_t)(i * 7 + i / 256));
	bench_close(&t);
}

static uint64_t random_state = 88172645463325252;

static uint32_t random_next(uint32_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 32) % bound;
}

/* Whatever comes, each frame is in one term, and what completes is as long as its header says. */
static void random_input_balances(void **state)
{
	(void)state;
	struct bench t;
	bench_open(&t, 13);
	for (unsigned i = 0; i < 100000; i++) {
		uint32_t offset = random_next(6) * 8;
		uint32_t len = random_next(9) ? (1 + random_next(3)) * 8 : random_next(40);
		build_start(&b);
		build_payload(&b, len, (uint8_t)random_next(256));
		bool more = random_next(3);
		if (random_next(2)) {
			build_ip4_full(&b, 17, A, B, (uint16_t)random_next(8), (uint16_t)(more * 0x2000 | offset / 8),
				       "", 0);
			if (!(offset || more))
				continue;
		} else {
			build_fragment6(&b, 17, offset, more, random_next(8));
			build_ip6(&b, 44, 1, 2);
			if (!(offset || more))
				continue;
		}
		t.now_ns += random_next(2500) * NS_PER_MS - (random_next(50) ? 0 : 3 * NS_PER_S);
		uint32_t cut = random_next(20) ? 0 : random_next(len + 1);
		if (put_cut(&t, cut)) {
			bool is4 = t.ip[0] >> 4 == 4;
			assert_int_equal(t.ip_len, load_be16(t.ip + (is4 ? 2 : 4)) + (is4 ? 0 : 40));
			decode_reassembled(&t.d, t.ip, t.ip_len, &t.p);
		}
		assert_true(reassemble_counters(t.r)->frames_held <= 13 * 16);
		if (!random_next(1000))
			reassemble_tick(t.r, t.now_ns);
	}
	const struct reassemble_counters *c = reassemble_counters(t.r);
	assert_true(c->frames_completed > 1000 && c->frames_expired > 100 && c->frames_evicted > 100 &&
		    c->frames_overlap > 100 && c->frames_malformed > 100 && c->frames_cut > 100 &&
		    c->frames_duplicate > 100);
	bench_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_order),
	    cmocka_unit_test(datagrams_are_told_apart),
	    cmocka_unit_test(duplicates),
	    cmocka_unit_test(overlaps),
	    cmocka_unit_test(contradictions),
	    cmocka_unit_test(largest),
	    cmocka_unit_test(timeouts),
	    cmocka_unit_test(bounds),
	    cmocka_unit_test(cut_fragments),
	    cmocka_unit_test(fragments_in_a_fragmented_tunnel),
	    cmocka_unit_test(random_input_balances),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
