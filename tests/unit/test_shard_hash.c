/* Shards must come out even for what traffic looks like, the same from both ends, and different under each salt. */
#include "flow_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct end {
	uint64_t low, high;
	uint16_t port;
};

static const uint64_t salts[] = {0, 1, 2, UINT64_C(1) << 63, UINT64_C(0x0123456789abcdef), UINT64_MAX};

static uint8_t shard_of(uint64_t salt, struct end a, struct end b, uint8_t protocol)
{
	struct shard_keys k = shard_keys_of(salt);
	return shard_hash(&k, shard_hash_end(&k, a.low, a.high, a.port), shard_hash_end(&k, b.low, b.high, b.port),
			  protocol);
}

/* The i-th conversation of a pattern. Addresses as on the wire, bytes first to last. */
static uint64_t v4(uint32_t address)
{
	return __builtin_bswap32(address);
}

static struct end end_v6(uint64_t prefix, uint64_t interface, uint16_t port)
{
	return (struct end){__builtin_bswap64(prefix), __builtin_bswap64(interface), port};
}

static void sequential_addresses(uint32_t i, struct end e[2])
{
	e[0] = (struct end){v4(0x0a000000 + i), 0, 40000};
	e[1] = (struct end){v4(0xc0a80001), 0, 80};
}

static void sequential_ports(uint32_t i, struct end e[2])
{
	e[0] = (struct end){v4(0x0a000001), 0, (uint16_t)i};
	e[1] = (struct end){v4(0xc0a80001), 0, 80};
}

static void one_client_many_servers(uint32_t i, struct end e[2])
{
	e[0] = (struct end){v4(0x0a000001), 0, (uint16_t)(32768 + i % 28000)};
	e[1] = (struct end){v4(0xcb007100 + i / 4), 0, (uint16_t)(i % 4 ? 443 : 53)};
}

static void v6_equal_prefixes(uint32_t i, struct end e[2])
{
	e[0] = end_v6(UINT64_C(0x20010db800010002), i, 50000);
	e[1] = end_v6(UINT64_C(0x20010db800010002), 0x80000000 + i / 16, 443);
}

static void v6_sequential_subnets(uint32_t i, struct end e[2])
{
	e[0] = end_v6(UINT64_C(0x20010db800000000) + i, 1, 50000);
	e[1] = end_v6(UINT64_C(0x20010db8ffff0000), 1, 443);
}

/* both ends step together: sums and differences of ends stay the same */
static void both_ends_step(uint32_t i, struct end e[2])
{
	e[0] = (struct end){v4(0x0a000000 + i), 0, (uint16_t)i};
	e[1] = (struct end){v4(0x0a800000 - i), 0, (uint16_t)-i};
}

/* only bits that a multiplication does not carry on */
static void high_bits(uint32_t i, struct end e[2])
{
	e[0] = (struct end){(uint64_t)(i & 0xff) << 56 | (uint64_t)(i >> 8 & 0xf) << 28, (uint64_t)(i >> 12) << 60, 0};
	e[1] = (struct end){v4(0xc0a80001), 0, 0};
}

static void (*const patterns[])(uint32_t i, struct end e[2]) = {
    sequential_addresses, sequential_ports, one_client_many_servers, v6_equal_prefixes, v6_sequential_subnets,
    both_ends_step,       high_bits,
};
#define CONVERSATIONS 65536

/* 255 degrees of freedom: mean 255, standard deviation 22.6. */
static double chi_square(const unsigned count[SHARDS], unsigned all)
{
	double expected = (double)all / SHARDS, sum = 0;
	for (unsigned i = 0; i < SHARDS; i++)
		sum += (count[i] - expected) * (count[i] - expected) / expected;
	return sum;
}

static void comes_out_even(void **state)
{
	(void)state;
	for (size_t n = 0; n < array_size(patterns); n++) {
		for (size_t s = 0; s < array_size(salts); s++) {
			unsigned count[SHARDS] = {0};
			for (uint32_t i = 0; i < CONVERSATIONS; i++) {
				struct end e[2];
				patterns[n](i, e);
				count[shard_of(salts[s], e[0], e[1], 6)]++;
			}
			double x = chi_square(count, CONVERSATIONS);
			if (x > 400)
				print_message("pattern %zu, salt %zu: chi-square %.0f\n", n, s, x);
			assert_true(x < 400);
		}
	}
}

/* What one salt puts into one shard another spreads over all: the salt is no mask over the result. */
static void salts_are_independent(void **state)
{
	(void)state;
	for (size_t n = 0; n < array_size(patterns); n++) {
		for (size_t s = 1; s < array_size(salts); s++) {
			unsigned together = 0, apart[SHARDS] = {0}, difference[SHARDS] = {0};
			for (uint32_t i = 0; i < CONVERSATIONS; i++) {
				struct end e[2];
				patterns[n](i, e);
				uint8_t before = shard_of(salts[0], e[0], e[1], 6);
				uint8_t now = shard_of(salts[s], e[0], e[1], 6);
				difference[before ^ now]++;
				if (before == 7) {
					apart[now]++;
					together++;
				}
			}
			assert_true(together > CONVERSATIONS / SHARDS / 2);
			assert_true(chi_square(apart, together) < 400);
			assert_true(chi_square(difference, CONVERSATIONS) < 400);
		}
	}
}

static void all_of_the_five_tuple_counts(void **state)
{
	(void)state;
	const struct end a = {v4(0x0a000001), 0, 40000}, b = {v4(0x0a000002), 0, 80};
	/* over all salts each change moves a conversation to another shard 255 times out of 256 */
	unsigned same[8] = {0};
	for (uint64_t salt = 0; salt < 4096; salt++) {
		uint8_t shard = shard_of(salt, a, b, 6);
		struct end c = a, d = b;
		assert_int_equal(shard_of(salt, b, a, 6), shard);
		same[0] += shard_of(salt, a, b, 17) == shard;
		c.port++;
		same[1] += shard_of(salt, c, b, 6) == shard;
		d.port++;
		same[2] += shard_of(salt, a, d, 6) == shard;
		c = a;
		c.low ^= UINT64_C(1) << 63;
		same[3] += shard_of(salt, c, b, 6) == shard;
		c = a;
		c.high ^= UINT64_C(1) << 63;
		same[4] += shard_of(salt, c, b, 6) == shard;
		c.low ^= UINT64_C(1) << 63;
		same[5] += shard_of(salt, c, b, 6) == shard;
		c = a;
		c.low ^= UINT64_C(1) << 31;
		same[6] += shard_of(salt, c, b, 6) == shard;
		/* ports changed over between the ends */
		c = a;
		d = b;
		c.port = b.port;
		d.port = a.port;
		same[7] += shard_of(salt, c, d, 6) == shard;
	}
	for (size_t i = 0; i < array_size(same); i++)
		assert_in_range(same[i], 1, 48); /* 16 expected */
}

/* Of the key only the five-tuple. */
static void keys(void **state)
{
	(void)state;
	struct flow_key k = {.port = {40000, 80}, .protocol = 6, .ip_version = 4};
	memcpy(k.address[0], "\x0a\x00\x00\x01", 4);
	memcpy(k.address[1], "\x0a\x00\x00\x02", 4);
	const struct end a = {v4(0x0a000001), 0, 40000}, b = {v4(0x0a000002), 0, 80};
	for (size_t s = 0; s < array_size(salts); s++) {
		struct shard_keys keys = shard_keys_of(salts[s]);
		struct flow_key elsewhere = k;
		elsewhere.tap = 5;
		elsewhere.domain = 77;
		assert_int_equal(flow_key_shard(&k, &keys), shard_of(salts[s], a, b, 6));
		assert_int_equal(flow_key_shard(&elsewhere, &keys), shard_of(salts[s], a, b, 6));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(comes_out_even),
	    cmocka_unit_test(salts_are_independent),
	    cmocka_unit_test(all_of_the_five_tuple_counts),
	    cmocka_unit_test(keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
