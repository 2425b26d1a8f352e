#include "line.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const style_codes[] = {
    [STYLE_NONE] = "",         [STYLE_HEAD] = "\033[1m",   [STYLE_FAINT] = "\033[2m", [STYLE_GOOD] = "\033[32m",
    [STYLE_WARN] = "\033[33m", [STYLE_BAD] = "\033[1;31m", [STYLE_NAME] = "\033[36m",
};

#define STYLE_ROOM 16 /* kept free behind a cell for the code that ends its style and for the newline */

void line_start(struct line *l, bool colour, bool utf8)
{
	l->colour = colour;
	l->utf8 = utf8;
	l->column = 0;
	l->len = 0;
}

static void put(struct line *l, const char *data, size_t len, unsigned columns)
{
	if (len > LINE_BYTES - STYLE_ROOM - l->len)
		return;
	memcpy(l->at + l->len, data, len);
	l->len += len;
	l->column += columns;
}

static void pad(struct line *l, unsigned n)
{
	while (n--)
		put(l, " ", 1, 1);
}

static void style_on(struct line *l, enum line_style style)
{
	if (l->colour && style != STYLE_NONE)
		put(l, style_codes[style], strlen(style_codes[style]), 0);
}

static void style_off(struct line *l, enum line_style style)
{
	if (l->colour && style != STYLE_NONE && l->len <= LINE_BYTES - STYLE_ROOM + 8) {
		memcpy(l->at + l->len, "\033[0m", 4);
		l->len += 4;
	}
}

/* One character as it may be shown: its bytes in the source, its bytes shown, its columns. */
struct glyph {
	const char *shown;
	size_t taken, len;
	unsigned columns;
};

static uint32_t decode(const uint8_t *s, size_t len)
{
	switch (len) {
	case 2:
		return (uint32_t)(s[0] & 0x1f) << 6 | (s[1] & 0x3f);
	case 3:
		return (uint32_t)(s[0] & 0x0f) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (s[2] & 0x3f);
	default:
		return (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3f) << 12 | (uint32_t)(s[2] & 0x3f) << 6 |
		       (s[3] & 0x3f);
	}
}

/* Unicode's C1 controls, marks that join or change direction, and others without a place of their own: shown as they
 * are, they could make a line say something else than it holds. */
static bool is_unsafe(uint32_t c)
{
	return c < 0xa0 || c == 0xad || (c >= 0x300 && c <= 0x36f) || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || (c >= 0xd800 && c <= 0xf8ff) ||
	       (c >= 0xfe00 && c <= 0xfe0f) || c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) || c >= 0xe0000;
}

static bool is_wide(uint32_t c)
{
	return (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) || (c >= 0xac00 && c <= 0xd7a3) ||
	       (c >= 0xf900 && c <= 0xfaff) || (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
	       (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd);
}

static struct glyph glyph_at(const char *s, size_t left, bool utf8)
{
	uint8_t c = (uint8_t)*s;
	if (c >= 0x20 && c < 0x7f)
		return (struct glyph){s, 1, 1, 1};
	if (c < 0x80)
		return (struct glyph){utf8 ? "·" : ".", 1, utf8 ? 2 : 1, 1};
	size_t n = utf8_sequence(s, left);
	uint32_t code = n ? decode((const uint8_t *)s, n) : 0;
	if (!n || !utf8 || is_unsafe(code))
		return (struct glyph){utf8 ? "·" : ".", n ? n : 1, utf8 ? 2 : 1, 1};
	return (struct glyph){s, n, n, is_wide(code) ? 2 : 1};
}

unsigned text_columns(struct text t, bool utf8)
{
	unsigned columns = 0;
	for (uint32_t at = 0; at < t.len;) {
		struct glyph g = glyph_at(t.at + at, t.len - at, utf8);
		at += (uint32_t)g.taken;
		columns += g.columns;
	}
	return columns;
}

void line_cell(struct line *l, enum line_style style, struct text t, unsigned width, enum line_cut cut,
	       enum line_align a)
{
	unsigned columns = text_columns(t, l->utf8), skip = 0, room = width ? width : columns;
	bool is_cut = columns > room;
	unsigned mark = l->utf8 ? 1 : 2, shown = is_cut ? room - min_of(room, mark) : columns;
	if (is_cut && cut == CUT_START)
		skip = columns - shown;
	if (a == ALIGN_RIGHT && columns < room)
		pad(l, room - columns);
	unsigned start = l->column;
	style_on(l, style);
	if (is_cut && cut == CUT_START)
		put(l, l->utf8 ? "…" : "..", l->utf8 ? 3 : 2, mark);
	for (uint32_t at = 0; at < t.len;) {
		struct glyph g = glyph_at(t.at + at, t.len - at, l->utf8);
		at += (uint32_t)g.taken;
		if (skip) {
			skip -= min_of(skip, g.columns);
			continue;
		}
		if (g.columns > shown)
			break;
		shown -= g.columns;
		put(l, g.shown, g.len, g.columns);
	}
	if (is_cut && cut == CUT_END)
		put(l, l->utf8 ? "…" : "..", l->utf8 ? 3 : 2, mark);
	style_off(l, style);
	if (a != ALIGN_NONE && width)
		line_to_column(l, start + (a == ALIGN_LEFT ? width : 0));
}

void line_printf(struct line *l, enum line_style style, unsigned width, enum line_align a, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n > 0)
		line_cell(l, style, (struct text){text, (uint32_t)min_of((size_t)n, sizeof text - 1)}, width, CUT_END,
			  a);
}

void line_to_column(struct line *l, unsigned column)
{
	if (l->column < column)
		pad(l, column - l->column);
}

void line_symbol(struct line *l, enum line_style style, const char *utf8, const char *ascii)
{
	style_on(l, style);
	if (l->utf8)
		put(l, utf8, strlen(utf8), 1);
	else
		put(l, ascii, strlen(ascii), (unsigned)strlen(ascii));
	style_off(l, style);
}

void line_end(struct line *l)
{
	while (l->len && l->at[l->len - 1] == ' ')
		l->len--;
	l->at[l->len++] = '\n';
}

/* Three digits that count. */
static const char *print_scaled(char out[QUANTITY_MAX], double v, const char *unit)
{
	snprintf(out, QUANTITY_MAX, "%.*f %s", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v, unit);
	return out;
}

const char *print_duration_short(char out[QUANTITY_MAX], int64_t ns, bool utf8)
{
	double v = (double)ns;
	if (ns < 0) {
		print_duration_short(out, -max_of(ns, -INT64_MAX), utf8);
		memmove(out + 1, out, QUANTITY_MAX - 1);
		out[0] = '-';
		return out;
	}
	if (ns < 1000)
		snprintf(out, QUANTITY_MAX, "%d ns", (int)ns);
	else if (v < 999.5e3)
		print_scaled(out, v / 1e3, utf8 ? "µs" : "us");
	else if (v < 999.5e6)
		print_scaled(out, v / 1e6, "ms");
	else if (v < 59.95e9)
		print_scaled(out, v / 1e9, "s");
	else if (ns / NS_PER_S < 3600)
		snprintf(out, QUANTITY_MAX, "%dm %02ds", (int)(ns / NS_PER_S / 60), (int)(ns / NS_PER_S % 60));
	else if (ns / NS_PER_S < 100 * 3600)
		snprintf(out, QUANTITY_MAX, "%dh %02dm", (int)(ns / NS_PER_S / 3600), (int)(ns / NS_PER_S / 60 % 60));
	else
		snprintf(out, QUANTITY_MAX, "%d days", (int)(ns / NS_PER_S / 86400));
	return out;
}

const char *print_bytes_short(char out[QUANTITY_MAX], uint64_t bytes)
{
	static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
	if (bytes < 1000) {
		snprintf(out, QUANTITY_MAX, "%u B", (unsigned)bytes);
		return out;
	}
	double v = (double)bytes / 1000;
	unsigned unit = 0;
	for (; v >= 999.5; unit++)
		v /= 1000;
	return print_scaled(out, v, units[unit]);
}

const char *print_count(char out[QUANTITY_MAX], uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), at = 0;
	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

const char *print_share(char out[QUANTITY_MAX], uint64_t part, uint64_t whole)
{
	out[0] = '\0';
	if (whole) {
		double percent = 100.0 * (double)part / (double)whole;
		/* what is not quite all, or not quite nothing, is not rounded to it */
		if (part && percent < 0.05)
			snprintf(out, QUANTITY_MAX, "<0.1 %%");
		else if (part < whole && percent > 99.9)
			snprintf(out, QUANTITY_MAX, ">99.9 %%");
		else
			snprintf(out, QUANTITY_MAX, percent < 99.95 ? "%.1f %%" : "%.0f %%", percent);
	}
	return out;
}
