/* shard_hash.h - which virtual shard a conversation belongs to, for user space and for eBPF programs alike.
 *
 * Includes nothing and needs nothing but 64-bit multiplication, so that a program in the kernel can steer a packet to
 * the worker that owns its shard. What goes in is the innermost five-tuple alone. Observation point and isolation
 * domain stay out: one conversation is in one shard wherever it is seen, and whoever steers need not know them. It is
 * the same for both directions: the ends come in any order.
 *
 * An end is its address as bytes 0..7 and 8..15 in little-endian words (an IPv4 address is bytes 0..3, all others are
 * zero) and its port in host order, as struct flow_key has them: for ICMP echo the identifier at both ends, 0 where
 * there are none.
 *
 * An end is hashed by NH (Black et al., UMAC, CRYPTO '99), whose keys come from the salt: for any two ends the chance
 * of a collision is 2^-32 over all salts, so nobody who does not know the salt can aim at a shard. With a salt that is
 * known (0, in replay) one can. */
#ifndef TS_BASE_SHARD_HASH_H
#define TS_BASE_SHARD_HASH_H

struct shard_keys {
	unsigned long long port, protocol;
	unsigned int word[4];
};

#define SHARD_INLINE static inline __attribute__((always_inline))

/* Spreads all bits of x over all bits (splitmix64's finisher). */
SHARD_INLINE unsigned long long shard_mix(unsigned long long x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* The keys of a salt: once at start, not for each packet. */
SHARD_INLINE struct shard_keys shard_keys_of(unsigned long long salt)
{
	const unsigned long long step = 0x9e3779b97f4a7c15ULL;
	unsigned long long a = shard_mix(salt + step), b = shard_mix(salt + 2 * step);
	struct shard_keys k;
	k.word[0] = (unsigned int)a;
	k.word[1] = (unsigned int)(a >> 32);
	k.word[2] = (unsigned int)b;
	k.word[3] = (unsigned int)(b >> 32);
	k.port = shard_mix(salt + 3 * step) | 1;
	k.protocol = shard_mix(salt + 4 * step) | 1;
	return k;
}

/* One end, mixed: sums of these differ where the pairs of ends differ. */
SHARD_INLINE unsigned long long shard_hash_end(const struct shard_keys *k, unsigned long long low,
					       unsigned long long high, unsigned short port)
{
	unsigned long long x =
	    (unsigned long long)((unsigned int)low + k->word[0]) * ((unsigned int)(low >> 32) + k->word[1]);
	x += (unsigned long long)((unsigned int)high + k->word[2]) * ((unsigned int)(high >> 32) + k->word[3]);
	x += port * k->port;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93ULL;
	return x ^ x >> 32;
}

/* 0..255, from both ends' hashes. */
SHARD_INLINE unsigned char shard_hash(const struct shard_keys *k, unsigned long long end, unsigned long long other_end,
				      unsigned char protocol)
{
	unsigned long long x = end + other_end + protocol * k->protocol;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93ULL;
	return (unsigned char)(x >> 56);
}

/* A fragment's, where ports are not to be had: all fragments of one datagram have one shard, on which whoever steers
 * and whoever reassembles agree. Addresses as two words each. */
SHARD_INLINE unsigned char shard_of_fragment(const struct shard_keys *k, const unsigned long long source[2],
					     const unsigned long long target[2], unsigned char protocol,
					     unsigned int id)
{
	return shard_hash(k, shard_hash_end(k, source[0], source[1], (unsigned short)id),
			  shard_hash_end(k, target[0], target[1], (unsigned short)(id >> 16)), protocol);
}

#endif
