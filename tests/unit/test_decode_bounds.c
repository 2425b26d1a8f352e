/* Frames cut off, damaged and spoiled, the end of their bytes against an unreadable page. */
#include "decode_frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static uint8_t *guard_end;

static int make_guard(void **state)
{
	(void)state;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = 20 * page;
	uint8_t *m = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED || mprotect(m + size, page, PROT_NONE))
		return -1;
	guard_end = m + size;
	return 0;
}

static volatile uint8_t sink;

static void check_sane(const struct decode *d, enum decode_result r, const struct packet *p, const uint8_t *data,
		       uint32_t caplen)
{
	assert_in_range(r, 0, DECODE_RESULT_COUNT - 1);
	if (r == DECODE_PACKET || r == DECODE_FRAGMENT) {
		assert_true(p->payload >= data);
		assert_true(p->payload_captured <= caplen);
		assert_true(p->payload + p->payload_captured <= data + caplen);
		assert_true(p->payload_captured <= p->payload_len);
		assert_int_equal(!!(p->flags & PACKET_CUT), p->payload_captured < p->payload_len);
		assert_true(p->payload_len <= p->l4_len && p->l4_len <= p->l3_len);
		assert_true(p->vlan_count <= PACKET_VLANS && p->tunnel_count <= PACKET_TUNNELS);
		assert_int_equal(p->key.hash, flow_key_hash(&p->key, &d->hash_keys));
		assert_true(memcmp(p->key.address[0], p->key.address[1], 16) <= 0);
		for (uint32_t i = 0; i < p->payload_captured; i++)
			sink += p->payload[i];
	}
	if (r == DECODE_FRAGMENT) {
		const struct decode_fragment *f = &d->fragment;
		assert_true(f->ip >= data && f->ip + f->ip_captured <= data + caplen);
		assert_int_equal(f->header_len + f->data_captured, f->ip_captured);
		assert_true(f->data_captured <= f->data_len);
	}
}

static void cut_at_every_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_size(frame_table); i++) {
		struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, true);
		frame_table[i].build();
		uint32_t len = build_len(&b), step = len > 2000 ? 997 : 1;
		for (uint32_t n = 0; n <= len; n += n < 200 ? 1 : step) {
			uint8_t *data = guard_end - n;
			memcpy(data, b.at, n);
			struct packet p;
			/* by the capture; and on the wire, where the lengths inside are then wrong */
			enum decode_result r = decode_bytes(&d, frame_table[i].link_type, data, n, len, &p);
			check_sane(&d, r, &p, data, n);
			if (n < len)
				assert_int_not_equal(r, DECODE_MALFORMED_IP);
			r = decode_bytes(&d, frame_table[i].link_type, data, n, n, &p);
			check_sane(&d, r, &p, data, n);
			if (r == DECODE_PACKET)
				assert_false(p.flags & PACKET_CUT);
		}
		uint64_t sum = 0;
		for (unsigned r = 0; r < DECODE_RESULT_COUNT; r++)
			sum += d.results[r];
		assert_int_equal(sum % 2, 0);
		assert_true(d.results[DECODE_PACKET] >= 2);
	}
}

static void cut_plain_frame(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	build_start(&b);
	build_payload(&b, 10, 1);
	build_tcp_options(&b, 1111, 80, 1000, 16, "\x01\x01\x08\x0a\0\0\0\1\0\0\0\2", 12);
	build_ip4(&b, 6, A, B);
	build_eth(&b, 0x0800);
	uint32_t len = build_len(&b);
	for (uint32_t n = 0; n <= len; n++) {
		struct packet p;
		memcpy(guard_end - n, b.at, n);
		enum decode_result r = decode_bytes(&d, L_ETH, guard_end - n, n, len, &p);
		assert_int_equal(r, n < 14   ? DECODE_TRUNCATED_LINK
				    : n < 34 ? DECODE_TRUNCATED_IP
				    : n < 54 ? DECODE_TRUNCATED_L4
					     : DECODE_PACKET);
		if (r != DECODE_PACKET)
			continue;
		assert_int_equal(p.payload_len, 10);
		assert_int_equal(p.payload_captured, n < 66 ? 0 : n - 66);
		assert_int_equal(p.wire_len, len);
		assert_int_equal(p.l3_len, 62);
	}
}

static uint64_t random_state = 88172645463325252;

static uint32_t random_next(uint32_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 32) % bound;
}

static void random_mutations(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_TUNNEL, true);
	static const uint16_t link_types[] = {L_ETH, L_ETH, L_ETH, L_NULL, L_RAW, L_SLL, L_SLL2, L_IP4, L_IP6, L_LOOP};
	for (unsigned i = 0; i < 100000; i++) {
		const struct expected *x = &frame_table[random_next(array_size(frame_table))];
		if (x->payload_len > 1000)
			continue;
		x->build();
		uint32_t len = build_len(&b), n = random_next(4) ? len : random_next(len + 1);
		uint8_t *data = guard_end - n;
		memcpy(data, b.at, n);
		for (uint32_t m = random_next(6); m > 0 && n; m--)
			data[random_next(min_of(n, random_next(2) ? n : 60U))] = (uint8_t)random_next(256);
		struct packet p;
		unsigned link_type = random_next(8) ? x->link_type : link_types[random_next(array_size(link_types))];
		enum decode_result r = decode_bytes(&d, link_type, data, n, random_next(2) ? n : len, &p);
		check_sane(&d, r, &p, data, n);
		if (r == DECODE_PACKET && i % 16 == 0) {
			/* decoding is a function of the frame */
			struct packet q;
			assert_int_equal(decode_bytes(&d, link_type, data, n, p.wire_len, &q), DECODE_PACKET);
			assert_true(flow_key_equal(&p.key, &q.key));
			assert_ptr_equal(p.payload, q.payload);
		}
	}
}

/* Ethernet with IPv4 has a way of its own; a VLAN tag leads around it. */
static void common_frames_are_no_exception(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, true);
	for (unsigned i = 0; i < 20000; i++) {
		void (*const kinds[])(void) = {eth_tcp4, padded, icmp_echo, udp_zero_length, vxlan, gtpu, ospf};
		kinds[random_next(array_size(kinds))]();
		uint32_t len = build_len(&b), cut = random_next(3) ? 0 : random_next(len - 14);
		for (uint32_t m = random_next(3); m > 0; m--)
			b.at[14 + random_next(len - 14)] = (uint8_t)random_next(256);
		struct packet p, q;
		enum decode_result r = decode_bytes(&d, L_ETH, b.at, len - cut, len, &p);
		uint8_t tagged[2048];
		memcpy(tagged, b.at, 12);
		memcpy(tagged + 12, "\x81\0\0\0", 4);
		memcpy(tagged + 16, b.at + 12, len - 12);
		enum decode_result s = decode_bytes(&d, L_ETH, tagged, len + 4 - cut, len + 4, &q);
		assert_int_equal(r, s);
		if (r != DECODE_PACKET)
			continue;
		assert_true(flow_key_equal(&p.key, &q.key));
		assert_int_equal(p.shard, q.shard);
		assert_int_equal(p.direction, q.direction);
		assert_int_equal(p.payload - b.at, q.payload - tagged - 4);
		assert_int_equal(p.payload_len, q.payload_len);
		assert_int_equal(p.payload_captured, q.payload_captured);
		assert_int_equal(p.l3_len, q.l3_len);
		assert_int_equal(p.l4_len, q.l4_len);
		assert_int_equal(p.flags, q.flags);
		assert_int_equal(p.tcp_flags, q.tcp_flags);
		assert_int_equal(p.seq, q.seq);
		assert_int_equal(p.icmp_type, q.icmp_type);
		assert_int_equal(p.tunnel_count, q.tunnel_count);
		assert_int_equal(p.ttl, q.ttl);
		assert_memory_equal(p.mac_source, q.mac_source, 6);
		assert_memory_equal(p.mac_target, q.mac_target, 6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cut_at_every_byte),
	    cmocka_unit_test(cut_plain_frame),
	    cmocka_unit_test(random_mutations),
	    cmocka_unit_test(common_frames_are_no_exception),
	};
	return cmocka_run_group_tests(tests, make_guard, NULL);
}
