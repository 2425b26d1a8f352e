/* flow_key.h - what makes two packets belong to one flow.
 *
 * Canonical: of the two ends (address, port) the smaller, compared as bytes, is end 0, so that both directions of a
 * flow have one key. All padding is zero, so keys compare and hash as bytes. An IPv4 address takes the first four
 * bytes. For TCP, UDP and SCTP ports are ports (host order); for ICMP echo both ports are the identifier; else 0. */
#ifndef TS_BASE_FLOW_KEY_H
#define TS_BASE_FLOW_KEY_H

#include "hash.h"
#include "shard_hash.h"

#define SHARDS 256 /* virtual shards, see ARCHITECTURE.md */

struct flow_key {
	uint8_t address[2][16];
	uint16_t port[2];
	uint8_t protocol;   /* IP protocol number */
	uint8_t ip_version; /* 4 or 6 */
	uint16_t tap;       /* observation point */
	uint32_t domain;    /* isolation domain: 0, or what flow_isolation takes from VLAN and tunnel ids */
	uint32_t zero;
};
_Static_assert(sizeof(struct flow_key) == 48, "flow_key is compared and hashed as 48 bytes");

static inline bool flow_key_equal(const struct flow_key *a, const struct flow_key *b)
{
	return !memcmp(a, b, sizeof *a);
}

/* Which shard: the same for each run of a replay (salt 0), random in live capture. Of the five-tuple alone. */
static inline uint8_t flow_key_shard(const struct flow_key *k, const struct shard_keys *keys)
{
	uint64_t end[2];
	for (unsigned i = 0; i < 2; i++) {
		uint64_t word[2];
		memcpy(word, k->address[i], sizeof word);
		end[i] = shard_hash_end(keys, word[0], word[1], k->port[i]);
	}
	return shard_hash(keys, end[0], end[1], k->protocol);
}

/* Where in the table: seeded at each start, so that nobody can choose keys that collide. */
static inline uint64_t flow_key_hash(const struct flow_key *k, uint64_t seed)
{
	return hash64(k, sizeof *k, seed);
}

#endif
