/* Values of the binary protocol, as text that reads like SQL. */
#include "mysql.h"

enum mysql_type {
	TYPE_DECIMAL,
	TYPE_TINY,
	TYPE_SHORT,
	TYPE_LONG,
	TYPE_FLOAT,
	TYPE_DOUBLE,
	TYPE_NULL,
	TYPE_TIMESTAMP,
	TYPE_LONGLONG,
	TYPE_INT24,
	TYPE_DATE,
	TYPE_TIME,
	TYPE_DATETIME,
	TYPE_YEAR,
	TYPE_NEWDATE,
	TYPE_VARCHAR,
	TYPE_BIT,
	TYPE_BOOL = 244,
	TYPE_JSON,
	TYPE_NEWDECIMAL,
	TYPE_ENUM,
	TYPE_SET,
	TYPE_TINY_BLOB,
	TYPE_MEDIUM_BLOB,
	TYPE_LONG_BLOB,
	TYPE_BLOB,
	TYPE_VAR_STRING,
	TYPE_STRING,
	TYPE_GEOMETRY,
};
#define TYPE_UNSIGNED 0x8000

void mysql_write(struct mysql_writer *w, const void *data, size_t len)
{
	size_t n = min_of(len, w->size - w->len);
	if (n)
		memcpy(w->out + w->len, data, n);
	w->len += n;
}

void mysql_write_number(struct mysql_writer *w, uint64_t value, unsigned digits)
{
	char text[20];
	unsigned at = sizeof text;
	do {
		text[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	while (at && sizeof text - at < digits)
		text[--at] = '0';
	mysql_write(w, text + at, sizeof text - at);
}

static void write_signed(struct mysql_writer *w, uint64_t raw, unsigned bits, bool is_unsigned)
{
	if (!is_unsigned && raw >> (bits - 1) & 1) {
		uint64_t mask = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
		mysql_write(w, "-", 1);
		raw = (~raw + 1) & mask;
	}
	mysql_write_number(w, raw, 1);
}

static long double power_of_ten(unsigned n)
{
	long double p = 1, square = 10;
	for (; n; n >>= 1, square *= square)
		if (n & 1)
			p *= square;
	return p;
}

static long double scale(long double v, int by)
{
	return by < 0 ? v / power_of_ten((unsigned)-by) : v * power_of_ten((unsigned)by);
}

/* From the next smaller number to this positive one. */
static long double spacing(double value, bool single)
{
	if (single) {
		float v = (float)value, below;
		uint32_t bits;
		memcpy(&bits, &v, sizeof bits);
		bits--;
		memcpy(&below, &bits, sizeof below);
		return (long double)v - below;
	}
	uint64_t bits;
	double below;
	memcpy(&bits, &value, sizeof bits);
	bits--;
	memcpy(&below, &bits, sizeof below);
	return (long double)value - below;
}

/* The shortest of 15 to 17 (6 to 9) digits that reads back as the same number: value = digits * 10^exponent. Powers of
 * ten are exact up to 10^27; beyond, the last digits are as good as a long double is. */
static uint64_t shortest_digits(double value, bool single, int *ret_exponent)
{
	long double v = value;
	int e = 0; /* of the leading digit */
	for (int step = 256; step; step /= 2) {
		if (v >= power_of_ten((unsigned)step)) {
			v /= power_of_ten((unsigned)step);
			e += step;
		} else if (v * power_of_ten((unsigned)step) < 10) {
			v *= power_of_ten((unsigned)step);
			e -= step;
		}
	}
	long double near = spacing(value, single) * 0.499L;
	uint64_t n = 0;
	int exponent = 0;
	for (int digits = single ? 6 : 15; digits <= (single ? 9 : 17); digits++) {
		exponent = e - digits + 1;
		n = (uint64_t)(scale(value, -exponent) + 0.5L);
		/* nearer than half way to the next number, less what a long double may be wrong by */
		long double off = scale((long double)n, exponent) - value;
		if ((off < 0 ? -off : off) < near)
			break;
	}
	while (n && n % 10 == 0) {
		n /= 10;
		exponent++;
	}
	*ret_exponent = exponent;
	return n;
}

void mysql_write_double(struct mysql_writer *w, double value, bool single)
{
	char text[24];
	struct mysql_writer digits = {.out = text, .size = sizeof text};
	int exponent;

	if (value != value || value - value != 0) {
		mysql_write(w, value != value ? "nan" : value < 0 ? "-inf" : "inf", value < 0 ? 4 : 3);
		return;
	}
	if (value < 0) {
		mysql_write(w, "-", 1);
		value = -value;
	}
	if (value == 0) {
		mysql_write(w, "0", 1);
		return;
	}
	mysql_write_number(&digits, shortest_digits(value, single, &exponent), 1);
	int n = (int)digits.len, point = n + exponent; /* digits in front of the point */
	if (point > 17 || point < -4) {
		mysql_write(w, text, 1);
		if (n > 1) {
			mysql_write(w, ".", 1);
			mysql_write(w, text + 1, (size_t)n - 1);
		}
		mysql_write(w, point > 0 ? "e+" : "e-", 2);
		mysql_write_number(w, (uint64_t)(point > 0 ? point - 1 : 1 - point), 2);
		return;
	}
	if (point <= 0)
		mysql_write(w, "0", 1);
	else
		mysql_write(w, text, (size_t)min_of(n, point));
	for (int i = n; i < point; i++)
		mysql_write(w, "0", 1);
	if (n > point) {
		mysql_write(w, ".", 1);
		for (int i = point; i < 0; i++)
			mysql_write(w, "0", 1);
		mysql_write(w, text + max_of(point, 0), (size_t)(n - max_of(point, 0)));
	}
}

static void write_time_of_day(struct mysql_writer *w, struct cursor *c, unsigned hours, bool fraction)
{
	mysql_write_number(w, hours, 2);
	mysql_write(w, ":", 1);
	mysql_write_number(w, cursor_u8(c), 2);
	mysql_write(w, ":", 1);
	mysql_write_number(w, cursor_u8(c), 2);
	if (fraction) {
		mysql_write(w, ".", 1);
		mysql_write_number(w, cursor_le32(c), 6);
	}
}

/* Length 0, 4, 7 or 11: what is left out is zero. */
static void write_date(struct mysql_writer *w, struct cursor *c)
{
	uint8_t len = cursor_u8(c);
	struct cursor v = cursor_make(c->at, len);
	if (!cursor_skip(c, len))
		return;
	mysql_write(w, "'", 1);
	mysql_write_number(w, len >= 4 ? cursor_le16(&v) : 0, 4);
	mysql_write(w, "-", 1);
	mysql_write_number(w, len >= 4 ? cursor_u8(&v) : 0, 2);
	mysql_write(w, "-", 1);
	mysql_write_number(w, len >= 4 ? cursor_u8(&v) : 0, 2);
	if (len >= 7) {
		mysql_write(w, " ", 1);
		uint8_t hours = cursor_u8(&v);
		write_time_of_day(w, &v, hours, len >= 11);
	}
	mysql_write(w, "'", 1);
}

/* Length 0, 8 or 12: sign, days, hours, minutes, seconds, microseconds. */
static void write_time(struct mysql_writer *w, struct cursor *c)
{
	uint8_t len = cursor_u8(c);
	struct cursor v = cursor_make(c->at, len);
	if (!cursor_skip(c, len))
		return;
	if (len < 8) {
		mysql_write(w, "'00:00:00'", 10);
		return;
	}
	mysql_write(w, "'", 1);
	if (cursor_u8(&v))
		mysql_write(w, "-", 1);
	uint32_t days = cursor_le32(&v);
	unsigned hours = cursor_u8(&v);
	write_time_of_day(w, &v, min_of(days, 1000000u) * 24 + hours, len >= 12);
	mysql_write(w, "'", 1);
}

static bool is_readable(struct text t)
{
	for (uint32_t i = 0; i < t.len;) {
		size_t n = utf8_sequence(t.at + i, t.len - i);
		/* a sequence that is cut off by the end of what we see is none of ours to judge */
		if (!n)
			return t.len - i < 4 && (uint8_t)t.at[i] >= 0xc2;
		uint8_t b = (uint8_t)t.at[i];
		if (n == 1 && (b == 0x7f || (b < ' ' && (b < '\t' || b > '\r'))))
			return false;
		i += (uint32_t)n;
	}
	return true;
}

static void write_text(struct mysql_writer *w, struct text t)
{
	static const char hex[] = "0123456789abcdef";
	/* not more than can be written: the rest decides nothing */
	struct text seen = text_make(t.at, min_of((size_t)t.len, w->size - w->len));
	if (is_readable(seen)) {
		mysql_write(w, "'", 1);
		for (;;) {
			uint32_t n = text_find(seen, '\'');
			mysql_write(w, seen.at, n);
			if (n == seen.len)
				break;
			mysql_write(w, "''", 2);
			seen = text_make(seen.at + n + 1, seen.len - n - 1);
		}
		mysql_write(w, "'", 1);
		return;
	}
	mysql_write(w, "0x", 2);
	for (uint32_t i = 0; i < seen.len && w->len < w->size; i++) {
		char pair[2] = {hex[(uint8_t)seen.at[i] >> 4], hex[seen.at[i] & 15]};
		mysql_write(w, pair, 2);
	}
}

static bool is_text(uint16_t type)
{
	uint8_t t = (uint8_t)type;
	return t == TYPE_DECIMAL || t == TYPE_VARCHAR || t == TYPE_BIT || t >= TYPE_JSON;
}

bool mysql_peek_text(const struct cursor *at, uint16_t type, struct text *ret)
{
	struct cursor c = *at;
	if (!is_text(type))
		return false;
	*ret = mysql_lenenc_text(&c);
	return !c.bad;
}

bool mysql_write_value(struct mysql_writer *w, struct cursor *c, uint16_t type)
{
	bool is_unsigned = type & TYPE_UNSIGNED;
	uint32_t bits32;
	uint64_t bits64;
	float single;
	double number;

	if (is_text(type)) {
		uint64_t len = mysql_lenenc(c);
		struct text t = text_make(c->at, min_of(len, (uint64_t)cursor_left(c)));
		if (c->bad)
			return false;
		if ((uint8_t)type == TYPE_DECIMAL || (uint8_t)type == TYPE_NEWDECIMAL)
			mysql_write(w, t.at, t.len);
		else
			write_text(w, t);
		return t.len == len && cursor_skip(c, t.len);
	}
	struct mysql_writer before = *w;
	switch ((uint8_t)type) {
	case TYPE_NULL:
		mysql_write(w, "NULL", 4);
		break;
	case TYPE_TINY:
	case TYPE_BOOL:
		write_signed(w, cursor_u8(c), 8, is_unsigned);
		break;
	case TYPE_SHORT:
	case TYPE_YEAR:
		write_signed(w, cursor_le16(c), 16, is_unsigned);
		break;
	case TYPE_LONG:
	case TYPE_INT24:
		write_signed(w, cursor_le32(c), 32, is_unsigned);
		break;
	case TYPE_LONGLONG:
		write_signed(w, cursor_le64(c), 64, is_unsigned);
		break;
	case TYPE_FLOAT:
		bits32 = cursor_le32(c);
		memcpy(&single, &bits32, sizeof single);
		mysql_write_double(w, single, true);
		break;
	case TYPE_DOUBLE:
		bits64 = cursor_le64(c);
		memcpy(&number, &bits64, sizeof number);
		mysql_write_double(w, number, false);
		break;
	case TYPE_DATE:
	case TYPE_NEWDATE:
	case TYPE_DATETIME:
	case TYPE_TIMESTAMP:
		write_date(w, c);
		break;
	case TYPE_TIME:
		write_time(w, c);
		break;
	default:
		return false;
	}
	if (c->bad)
		*w = before;
	return !c->bad;
}
