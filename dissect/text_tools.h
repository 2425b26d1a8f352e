/* text_tools.h - what the dissectors of text protocols share.
 *
 * Pure functions over borrowed bytes: none reads outside what it is given, none needs a NUL at its end. */
#ifndef TS_DISSECT_TEXT_TOOLS_H
#define TS_DISSECT_TEXT_TOOLS_H

#include "text.h"

static inline struct text text_make(const void *at, size_t len)
{
	return (struct text){.at = at, .len = (uint32_t)len};
}

/* ASCII only; other bytes are themselves. */
static inline uint8_t ascii_lower(uint8_t c)
{
	return (uint8_t)(c - 'A') < 26 ? c | 0x20 : c;
}

static inline bool ascii_is_digit(uint8_t c)
{
	return (uint8_t)(c - '0') < 10;
}

static inline bool ascii_is_alpha(uint8_t c)
{
	return (uint8_t)((c | 0x20) - 'a') < 26;
}

/* 0..15, or -1. */
static inline int ascii_hex(uint8_t c)
{
	if (ascii_is_digit(c))
		return c - '0';
	uint8_t l = (c | 0x20) - 'a';
	return l < 6 ? l + 10 : -1;
}

/* A character of a token (RFC 9110, 5.6.2). */
extern const uint8_t ascii_token_table[256];
static inline bool ascii_is_token(uint8_t c)
{
	return ascii_token_table[c];
}

/* memcpy() for texts, of which most are so short that its call costs more than they do. */
static inline void text_copy(void *to, const void *from, size_t n)
{
	uint8_t *t = to;
	const uint8_t *f = from;
	if (n > 64) {
		memcpy(t, f, n);
	} else if (n >= 16) {
		for (size_t i = 0; i + 16 < n; i += 16)
			memcpy(t + i, f + i, 16);
		memcpy(t + n - 16, f + n - 16, 16);
	} else if (n >= 8) {
		memcpy(t, f, 8);
		memcpy(t + n - 8, f + n - 8, 8);
	} else if (n >= 4) {
		memcpy(t, f, 4);
		memcpy(t + n - 4, f + n - 4, 4);
	} else if (n) {
		t[0] = f[0];
		t[n / 2] = f[n / 2];
		t[n - 1] = f[n - 1];
	}
}

/* The bytes of up to 8 as they would lie in memory with zeros behind them. n is not 0. */
static inline uint64_t text_load8(const void *at, size_t n)
{
	const uint8_t *p = at;
	if (n >= 8)
		return load_le64(p);
	if (n >= 4)
		return load_le32(p) | (uint64_t)load_le32(p + n - 4) << 8 * (n - 4);
	return p[0] | (uint64_t)p[n / 2] << 8 * (n / 2) | (uint64_t)p[n - 1] << 8 * (n - 1);
}

/* Bit 5 of each of eight characters that lies between `first` and `last`, which are letters of one case. */
static inline uint64_t ascii_case_bits8(uint64_t x, uint8_t first, uint8_t last)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
	uint64_t low = x & ~high;
	return ((low + (uint64_t)(0x80 - first) * ones) & ~(low + (uint64_t)(0x7f - last) * ones) & ~x & high) >> 2;
}

static inline uint64_t ascii_upper8(uint64_t x)
{
	return x & ~ascii_case_bits8(x, 'a', 'z');
}

static inline uint64_t ascii_lower8(uint64_t x)
{
	return x | ascii_case_bits8(x, 'A', 'Z');
}

/* The first LF among the bytes, or NULL. */
static inline const uint8_t *text_find_lf(const uint8_t *at, size_t len)
{
	return memchr(at, '\n', len);
}

/* `at` holds n bytes; lower is n bytes of lower case. */
bool text_equal_lower(const void *at, const char *lower, size_t n);
/* Regardless of case; `lower` is written in lower case. */
bool text_is_lower(struct text t, const char *lower);
/* Whether it begins with it, regardless of case. */
bool text_starts_lower(struct text t, const char *lower);

/* Without the spaces and tabs at both ends. */
struct text text_trim(struct text t);
/* Cuts off and returns what stands before the first `by` (all, where there is none); *t keeps what stands behind it,
 * and is absent (at == NULL) when that was the last piece. */
struct text text_split(struct text *t, char by);
/* Where the first `c` is; t.len where there is none. */
static inline uint32_t text_find(struct text t, char c)
{
	const char *p = t.len ? memchr(t.at, c, t.len) : NULL;
	return p ? (uint32_t)(p - t.at) : t.len;
}

/* All of the text as a number of at least one digit and at most `max`. */
bool text_decimal(struct text t, uint64_t max, uint64_t *ret);
/* The hexadecimal digits at its start; *ret_digits says how many there were. false: none, or more than `max`. */
bool text_hex_prefix(struct text t, uint64_t max, uint64_t *ret, uint32_t *ret_digits);
/* At least one character, all of them hexadecimal digits. */
bool text_is_hex(struct text t);
/* Only zeros (or nothing). */
bool text_is_zeros(struct text t);
bool text_has_digit(struct text t);

/* Base64 (RFC 4648, 4; padding may be missing). Writes at most `size` bytes; their number, or -1: not Base64 or too
 * long. */
int text_base64(struct text t, uint8_t *out, size_t size);

/* A URL's query with its values hidden: "/a?b=1&c" becomes "/a?b=?&?". What has no query stays as it is. Writes at most
 * `size` bytes to out and says in ret what to use: out, or the text itself. False where it did not fit; ret is then the
 * part that did. */
bool text_hide_query(struct text url, char *out, size_t size, struct text *ret);
/* A path without what varies: numbers, UUIDs and strings of 12 or more hexadecimal digits (with a digit among them),
 * each a whole segment, become "{id}". As above. */
bool text_path_template(struct text path, char *out, size_t size, struct text *ret);

#endif
