/* flowtab_fixture.h - packets as a decoder would make them, and settings as they are by default. */
#ifndef TS_TEST_FLOWTAB_FIXTURE_H
#define TS_TEST_FLOWTAB_FIXTURE_H

#include "flowtab.h"

#define FIXTURE_SEED UINT64_C(0x5eed)

static inline struct flowtab_settings fixture_settings(void)
{
	return (struct flowtab_settings){
	    .established_timeout_ns = 300 * NS_PER_S,
	    .opening_timeout_ns = 5 * NS_PER_S,
	    .opening_rst_timeout_ns = 1 * NS_PER_S,
	    .closing_rst_timeout_ns = 35 * NS_PER_S,
	    .others_timeout_ns = 5 * NS_PER_S,
	    .udp_timeout_ns = 60 * NS_PER_S,
	    .udp_oneway_timeout_ns = 5 * NS_PER_S,
	    .icmp_timeout_ns = 60 * NS_PER_S,
	    .linger_ns = 2 * NS_PER_S,
	    .report_interval_ns = 60 * NS_PER_S,
	    .reassembly_flow_bytes = 512 << 10,
	    .max_flows = SHARDS * 64,
	    .max_tcp = SHARDS * 64,
	    .max_segments = SHARDS * 2048,
	    .duplicates = true,
	};
}

static inline void fixture_hash(struct packet *p, uint64_t seed)
{
	const struct flow_hash_keys keys = flow_hash_keys_of(seed);
	p->key.hash = flow_key_hash(&p->key, &keys);
}

/* Client 10.0.0.1, server 10.0.0.2: the client is end 0. from_server: which of them sends. */
static inline struct packet fixture_packet(uint8_t protocol, uint16_t client_port, uint16_t server_port,
					   bool from_server, uint64_t seed)
{
	static const uint8_t payload[65536];
	struct packet p = {.payload = payload, .frames = 1, .window_scale = 255, .window = 1000};
	p.key.ip_version = 4;
	p.key.protocol = protocol;
	memcpy(p.key.address[0], "\x0a\x00\x00\x01", 4);
	memcpy(p.key.address[1], "\x0a\x00\x00\x02", 4);
	p.key.port[0] = client_port;
	p.key.port[1] = server_port;
	p.direction = from_server;
	fixture_hash(&p, seed);
	const struct shard_keys keys = shard_keys_of(0);
	p.shard = flow_key_shard(&p.key, &keys);
	return p;
}

/* Sets the lengths for `len` bytes of payload. */
static inline void fixture_set_len(struct packet *p, uint32_t len)
{
	p->payload_len = p->payload_captured = len;
	p->l4_len = len + 20;
	p->l3_len = len + 40;
	p->wire_len = len + 54;
}

#endif
