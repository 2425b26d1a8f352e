#include "put.h"

#define TEN(d, count)                                                                                                  \
	d "0" count, d "1" count, d "2" count, d "3" count, d "4" count, d "5" count, d "6" count, d "7" count,        \
	    d "8" count, d "9" count
#define HUNDRED(d)                                                                                                     \
	TEN(d "0", "\3"), TEN(d "1", "\3"), TEN(d "2", "\3"), TEN(d "3", "\3"), TEN(d "4", "\3"), TEN(d "5", "\3"),    \
	    TEN(d "6", "\3"), TEN(d "7", "\3"), TEN(d "8", "\3"), TEN(d "9", "\3")

const char put_digits[1000][4] = {
    TEN("00", "\1"), TEN("01", "\2"), TEN("02", "\2"), TEN("03", "\2"), TEN("04", "\2"),
    TEN("05", "\2"), TEN("06", "\2"), TEN("07", "\2"), TEN("08", "\2"), TEN("09", "\2"),
    HUNDRED("1"),    HUNDRED("2"),    HUNDRED("3"),    HUNDRED("4"),    HUNDRED("5"),
    HUNDRED("6"),    HUNDRED("7"),    HUNDRED("8"),    HUNDRED("9"),
};

static inline char *put_nine(char *p, unsigned v)
{
	unsigned thousands = v / 1000, millions = thousands / 1000;
	p = put_three(p, millions);
	p = put_three(p, thousands - millions * 1000);
	return put_three(p, v - thousands * 1000);
}

char *put_digits_of(char *p, uint64_t v)
{
	if (v < 1000)
		return put_three_at_most(p, (unsigned)v);
	if (v >= 1000000000) {
		uint64_t high = v / 1000000000;
		return put_nine(put_digits_of(p, high), (unsigned)(v - high * 1000000000));
	}
	unsigned thousands = (unsigned)v / 1000, millions = thousands / 1000;
	if (millions) {
		p = put_three_at_most(p, millions);
		p = put_three(p, thousands - millions * 1000);
	} else {
		p = put_three_at_most(p, thousands);
	}
	return put_three(p, (unsigned)v - thousands * 1000);
}

char *put_name(char *p, struct text name)
{
	size_t n = name.len;
	if (n >= 8) {
		if (unlikely(n > 16)) {
			n = min_of(n, (size_t)NAME_MAX_LEN);
			memcpy(p, name.at, n);
			return p + n;
		}
		uint64_t first = load_le64(name.at), last = load_le64(name.at + n - 8);
		memcpy(p, &first, 8);
		memcpy(p + n - 8, &last, 8);
	} else if (n >= 4) {
		uint32_t first = load_le32(name.at), last = load_le32(name.at + n - 4);
		memcpy(p, &first, 4);
		memcpy(p + n - 4, &last, 4);
	} else if (n) {
		char first = name.at[0], middle = name.at[n / 2], last = name.at[n - 1];
		p[0] = first;
		p[n / 2] = middle;
		p[n - 1] = last;
	}
	return p + n;
}

char *put_ipv4(char *p, const uint8_t at[4])
{
	p = put_three_at_most(p, at[0]);
	*p++ = '.';
	p = put_three_at_most(p, at[1]);
	*p++ = '.';
	p = put_three_at_most(p, at[2]);
	*p++ = '.';
	return put_three_at_most(p, at[3]);
}

/* "2024-02-29T23:59:59." of a second since 1970, as this thread printed it last: neighbouring records are of the same
 * few seconds, and date and clock take several times what the rest of a time does. */
#define SECOND_TEXT_LEN 20
#define SECONDS 16
static _Thread_local struct second {
	int64_t second;
	char text[24];
} seconds[SECONDS] = {{.second = 1}}; /* by its lowest bits; second 0 has no text yet */

static char *put_pair(char *p, unsigned v)
{
	p[0] = (char)('0' + v / 10);
	p[1] = (char)('0' + v % 10);
	return p + 2;
}

/* The civil date of a day since 1970-01-01 (proleptic Gregorian): counted in eras of 400 years that start on 1 March.
 */
static char *put_date(char *p, int64_t day)
{
	uint64_t z = (uint64_t)(day + 719468); /* an int64_t of nanoseconds starts in 1677: never negative */
	unsigned era = (unsigned)(z / 146097), day_of_era = (unsigned)(z % 146097);
	unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned month = (5 * day_of_year + 2) / 153; /* 0: March */
	unsigned year = year_of_era + era * 400 + (month >= 10);
	p = put_pair(put_pair(p, year / 100), year % 100);
	*p++ = '-';
	p = put_pair(p, month < 10 ? month + 3 : month - 9);
	*p++ = '-';
	return put_pair(p, day_of_year - (153 * month + 2) / 5 + 1);
}

static __attribute__((noinline)) void print_second(struct second *ret_s, int64_t second)
{
	int64_t day = second / 86400, in_day = second % 86400;
	if (in_day < 0) {
		in_day += 86400;
		day--;
	}
	unsigned s = (unsigned)in_day;
	char *p = put_date(ret_s->text, day);
	*p++ = 'T';
	p = put_pair(p, s / 3600);
	*p++ = ':';
	p = put_pair(p, s / 60 % 60);
	*p++ = ':';
	p = put_pair(p, s % 60);
	*p = '.';
	ret_s->second = second;
}

char *put_time(char *p, int64_t time_ns)
{
	int64_t second = time_ns / NS_PER_S, ns = time_ns % NS_PER_S;
	if (unlikely(ns < 0)) {
		ns += NS_PER_S;
		second--;
	}
	struct second *s = &seconds[(uint64_t)second % SECONDS];
	if (unlikely(s->second != second))
		print_second(s, second);
	memcpy(p, s->text, sizeof s->text);
	unsigned us = (unsigned)ns / 1000, ms = us / 1000;
	p = put_three(p + SECOND_TEXT_LEN, ms);
	p = put_three(p, us - ms * 1000);
	p = put_three(p, (unsigned)ns - us * 1000);
	*p = 'Z';
	return p + 1;
}

static char *put_group(char *p, unsigned v)
{
	static const char digits[16] = "0123456789abcdef";
	if (v >= 0x1000)
		*p++ = digits[v >> 12];
	if (v >= 0x100)
		*p++ = digits[v >> 8 & 15];
	if (v >= 0x10)
		*p++ = digits[v >> 4 & 15];
	*p++ = digits[v & 15];
	return p;
}

/* RFC 5952: the longest run of two or more zero groups, the first of equals, becomes "::" (4.2); IPv4-mapped addresses
 * end in dotted form (5). */
char *put_ipv6(char *p, const uint8_t at[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	if (!memcmp(at, mapped, sizeof mapped)) {
		memcpy(p, "::ffff:", 7);
		return put_ipv4(p + 7, at + 12);
	}
	unsigned group[8], run_at = 8, run_len = 1;
	for (unsigned i = 0, len = 0; i < 8; i++) {
		group[i] = load_be16(at + 2 * i);
		len = group[i] ? 0 : len + 1;
		if (len > run_len) {
			run_len = len;
			run_at = i + 1 - len;
		}
	}
	for (unsigned i = 0; i < 8; i++) {
		if (i == run_at) {
			memcpy(p, "::", 2);
			p += 2;
			i += run_len - 1;
			continue;
		}
		if (i && i != run_at + run_len)
			*p++ = ':';
		p = put_group(p, group[i]);
	}
	return p;
}
