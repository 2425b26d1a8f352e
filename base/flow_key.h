/* flow_key.h - what makes two packets belong to one flow.
 *
 * Canonical: of the two ends (address, port) the smaller, compared as bytes, is end 0, so that both directions of a
 * flow have one key. All padding is zero and the hash belongs to it, so keys compare as bytes. An IPv4 address takes
 * the first four bytes. For TCP, UDP and SCTP ports are ports (host order); for ICMP echo both ports are the
 * identifier; else 0. */
#ifndef TS_BASE_FLOW_KEY_H
#define TS_BASE_FLOW_KEY_H

#include "def.h"
#include "shard_hash.h"

#define SHARDS 256 /* virtual shards, see ARCHITECTURE.md */

struct flow_key {
	uint8_t address[2][16];
	uint16_t port[2];
	uint8_t protocol;   /* IP protocol number */
	uint8_t ip_version; /* 4 or 6 */
	uint16_t tap;       /* observation point */
	uint32_t domain;    /* isolation domain: 0, or what flow_isolation takes from VLAN and tunnel ids */
	uint32_t hash;      /* flow_key_hash() of the rest: where in the table; means nothing outside this run */
};
_Static_assert(sizeof(struct flow_key) == 48, "flow_key is compared as 48 bytes");

static inline bool flow_key_equal(const struct flow_key *a, const struct flow_key *b)
{
	return !memcmp(a, b, sizeof *a);
}

/* Which shard: the same for each run of a replay (salt 0), random in live capture. Of the five-tuple alone. */
static inline uint8_t flow_key_shard(const struct flow_key *k, const struct shard_keys *keys)
{
	uint64_t a[2], b[2];
	memcpy(a, k->address[0], sizeof a);
	memcpy(b, k->address[1], sizeof b);
	return shard_hash(keys, shard_hash_end(keys, a[0], a[1], k->port[0]),
			  shard_hash_end(keys, b[0], b[1], k->port[1]), k->protocol);
}

/* Keys of the table's hash, drawn from a seed that is another at each start, so that nobody can choose flows that
 * collide: NH as in shard_hash.h. */
struct flow_hash_keys {
	uint64_t domain;
	uint32_t word[10];
};

static inline struct flow_hash_keys flow_hash_keys_of(uint64_t seed)
{
	struct flow_hash_keys h = {.domain = shard_mix(~seed) | 1};
	for (unsigned i = 0; i < array_size(h.word); i++)
		h.word[i] = (uint32_t)(shard_mix(seed + (i + 5) * UINT64_C(0x9e3779b97f4a7c15)) >> 16);
	return h;
}

/* a, b: the addresses' words; ports: both; rest: protocol, version and tap as they lie in the key. */
static inline uint32_t flow_hash_words(const struct flow_hash_keys *h, const uint64_t a[2], const uint64_t b[2],
				       uint32_t ports, uint32_t rest, uint32_t domain)
{
	const uint32_t *k = h->word;
	uint64_t x = (uint64_t)((uint32_t)a[0] + k[0]) * ((uint32_t)b[0] + k[1]) +
		     (uint64_t)(ports + k[2]) * (rest + k[3]) + domain * h->domain;
	if ((rest >> 8 & 0xff) != 4)
		x += (uint64_t)((uint32_t)(a[0] >> 32) + k[4]) * ((uint32_t)(b[0] >> 32) + k[5]) +
		     (uint64_t)((uint32_t)a[1] + k[6]) * ((uint32_t)b[1] + k[7]) +
		     (uint64_t)((uint32_t)(a[1] >> 32) + k[8]) * ((uint32_t)(b[1] >> 32) + k[9]);
	return (uint32_t)((x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93) >> 32);
}

static inline uint32_t flow_key_hash(const struct flow_key *k, const struct flow_hash_keys *h)
{
	uint64_t word[6];
	memcpy(word, k, sizeof word);
	return flow_hash_words(h, word, word + 2, (uint32_t)word[4], (uint32_t)(word[4] >> 32), k->domain);
}

#endif
