/* fuzz_decode.c - frames of any link type, many in one input, through decode and reassembly.
 *
 * Input: a byte for the settings, then frames: link type (1 byte, an index), time step in seconds (1), captured length
 * (2, big endian), missing bytes (1), the frame. Every frame must be accounted for, and no packet may point outside. */
#include "decode.h"
#include "reassemble.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint8_t sink;

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void touch(const struct packet *p)
{
	require(p->payload_captured <= p->payload_len && p->payload_len <= p->l4_len);
	require(p->vlan_count <= PACKET_VLANS && p->tunnel_count <= PACKET_TUNNELS);
	require(p->direction <= 1);
	for (uint32_t i = 0; i < p->payload_captured; i++)
		sink += p->payload[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t link_types[] = {1, 0, 12, 14, 101, 108, 113, 228, 229, 276, 105};
	char *ports[] = {(char[]){"4789"}, (char[]){"8472"}};
	if (size < 1)
		return 0;
	struct decode_settings settings = {
	    .decap_type = data[0] & 1 ? ~UINT64_C(0) : data[0],
	    .flow_isolation = data[0] >> 1 & 1 ? ISOLATE_TUNNEL : ISOLATE_VLAN,
	    .verify_l4_checksum = data[0] >> 2 & 1,
	    .vxlan_ports = {.item = ports, .count = 2},
	};
	struct decode d;
	require(decode_init(&d, &settings, 1, 0, NULL) == 0);
	struct reassemble *r;
	struct reassemble_settings reassemble = {.datagrams = 4, .timeout_ns = 30 * NS_PER_S};
	require(reassemble_new(&r, &reassemble) == 0);

	uint64_t frames = 0, packet_frames = 0, undecodable = 0, others = 0;
	int64_t now_ns = 0;
	for (size_t at = 1; size - at >= 5;) {
		const uint8_t *h = data + at;
		at += 5;
		uint32_t len = (uint32_t)min_of((size_t)load_be16(h + 2), size - at);
		uint8_t *copy = malloc(len ? len : 1);
		memcpy(copy, data + at, len);
		at += len;
		now_ns += h[1] * NS_PER_S;
		struct frame f = {.data = copy,
				  .caplen = len,
				  .wirelen = len + h[4],
				  .ts_ns = now_ns,
				  .ordinal = ++frames,
				  .link_type = link_types[h[0] % array_size(link_types)]};
		struct packet p;
		enum decode_result result = decode_frame(&d, &f, &p);
		const uint8_t *ip;
		uint32_t ip_len;
		bool whole = false;
		while (result == DECODE_FRAGMENT && reassemble_fragment(r, &d.fragment, &p, &ip, &ip_len) == 1) {
			result = decode_reassembled(&d, ip, ip_len, &p);
			whole = true;
		}
		require(result < DECODE_RESULT_COUNT);
		if (result == DECODE_PACKET) {
			touch(&p);
			packet_frames += p.frames;
		} else if (result != DECODE_FRAGMENT && whole) {
			undecodable += p.frames;
		}
		free(copy);
	}
	reassemble_finish(r);
	const struct reassemble_counters *c = reassemble_counters(r);
	for (unsigned i = 0; i < DECODE_RESULT_COUNT; i++)
		if (i != DECODE_PACKET && i != DECODE_FRAGMENT)
			others += d.results[i];
	require(frames == others + packet_frames + undecodable + c->frames_expired + c->frames_evicted +
			      c->frames_overlap + c->frames_malformed + c->frames_cut + c->frames_duplicate);
	require(c->frames_held == 0);
	reassemble_free(r);
	return 0;
}
