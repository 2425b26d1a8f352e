/* put.h - values as text: each put_… writes at p and returns where to go on.
 *
 * They write in whole words, so up to PUT_OVERRUN bytes behind what they return may be written, too: the caller has
 * that much room beyond the largest that the value can be. No put_… allocates, looks at a locale, or divides by
 * anything but a constant. */
#ifndef TS_RECORD_PUT_H
#define TS_RECORD_PUT_H

#include "record.h"

#define PUT_OVERRUN 16

#define NAME_MAX_LEN 64 /* of a NAME or the name of a tunnel type; all are constants of the program */

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef int8_t signed16 __attribute__((vector_size(16)));
typedef uint64_t words2 __attribute__((vector_size(16)));

#define PUT_WHOLE(n) (((n) + 15) / 16 * 16)
/* A literal in steps of 16 bytes: two moves for most keys. */
#define PUT_LITERAL(p, literal)                                                                                        \
	({                                                                                                             \
		static const char padded_[PUT_WHOLE(sizeof(literal))] = literal;                                       \
		memcpy(p, padded_, PUT_WHOLE(sizeof(literal) - 1));                                                    \
		(p) + sizeof(literal) - 1;                                                                             \
	})

/* For each number below 1000: its three digits, and in the last byte how many of them count. */
extern const char put_digits[1000][4];

/* All three digits. */
static inline char *put_three(char *p, unsigned v)
{
	memcpy(p, put_digits[v], 4);
	return p + 3;
}

/* Those of them that count; below 1000. */
static inline char *put_three_at_most(char *p, unsigned v)
{
	uint32_t w = load_le32(put_digits[v]), n = w >> 24;
	w >>= 24 - 8 * n;
	memcpy(p, &w, 4);
	return p + n;
}

/* A number of two digits or more. */
char *put_digits_of(char *p, uint64_t v);

static inline char *put_u64(char *p, uint64_t v)
{
	if (v >= 10)
		return put_digits_of(p, v);
	*p = (char)('0' + v);
	return p + 1;
}

static inline char *put_i64(char *p, int64_t v)
{
	uint64_t magnitude = (uint64_t)v;
	if (unlikely(v < 0)) {
		*p++ = '-';
		magnitude = -magnitude;
	}
	return put_u64(p, magnitude);
}

static inline char *put_bool(char *p, bool v)
{
	memcpy(p, v ? "true" : "fals", 4);
	p[4] = 'e';
	return p + 5 - v;
}

/* The sixteen hex digits of a number, the first one first. */
static inline bytes16 hex_digits(uint64_t v)
{
	uint64_t bytes = __builtin_bswap64(v);
	bytes16 high = (bytes16)(words2){bytes >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f)};
	bytes16 low = (bytes16)(words2){bytes & UINT64_C(0x0f0f0f0f0f0f0f0f)};
	bytes16 n = __builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
	return n + '0' + ((bytes16)((signed16)n > 9) & ('a' - '0' - 10));
}

static inline char *put_id(char *p, uint64_t v)
{
	bytes16 digits = hex_digits(v);
	memcpy(p, &digits, 16);
	return p + 16;
}

static inline char *put_mac(char *p, const uint8_t mac[6])
{
	const bytes16 colon = {':'};
	uint64_t v = (uint64_t)load_be32(mac) << 32 | (uint64_t)load_be16(mac + 4) << 16;
	bytes16 digits = hex_digits(v);
	bytes16 text = __builtin_shufflevector(digits, colon, 0, 1, 16, 2, 3, 16, 4, 5, 16, 6, 7, 16, 8, 9, 16, 10);
	memcpy(p, &text, 16);
	p[16] = (char)digits[11];
	return p + 17;
}

/* A short text that needs no escapes. */
char *put_name(char *p, struct text name);

char *put_ipv6(char *p, const uint8_t at[16]);

char *put_ipv4(char *p, const uint8_t at[4]);

static inline char *put_address(char *p, unsigned version, const uint8_t *at)
{
	return likely(version == 4) ? put_ipv4(p, at) : put_ipv6(p, at);
}

char *put_time(char *p, int64_t time_ns);

static inline char *put_flags(char *p, uint8_t flags)
{
	static const char letters[8] = "FSRPAUEC"; /* bit 0 first */
	for (unsigned i = 0; i < 5; i++) {
		*p = letters[i];
		p += flags >> i & 1;
	}
	if (unlikely(flags >> 5)) {
		for (unsigned i = 5; i < 8; i++) {
			*p = letters[i];
			p += flags >> i & 1;
		}
	}
	return p;
}

#endif
