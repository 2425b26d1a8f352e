#include "text_tools.h"

#include "dissect.h"

#define T 1
const uint8_t ascii_token_table[256] = {
    ['!'] = T, ['#'] = T, ['$'] = T, ['%'] = T,         ['&'] = T,         ['\''] = T,
    ['*'] = T, ['+'] = T, ['-'] = T, ['.'] = T,         ['^'] = T,         ['_'] = T,
    ['`'] = T, ['|'] = T, ['~'] = T, ['0' ... '9'] = T, ['A' ... 'Z'] = T, ['a' ... 'z'] = T,
};
#undef T

const struct dissector *dissector_find(const char *name)
{
	for (unsigned i = 0; i < dissector_count; i++)
		if (!strcmp(dissectors[i]->name, name))
			return dissectors[i];
	return NULL;
}

bool text_equal_lower(const void *at, const char *lower, size_t n)
{
	const uint8_t *p = at;
	for (size_t i = 0; i < n; i++)
		if (ascii_lower(p[i]) != (uint8_t)lower[i])
			return false;
	return true;
}

bool text_is_lower(struct text t, const char *lower)
{
	size_t n = strlen(lower);
	return t.len == n && text_equal_lower(t.at, lower, n);
}

bool text_starts_lower(struct text t, const char *lower)
{
	size_t n = strlen(lower);
	return t.len >= n && text_equal_lower(t.at, lower, n);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct text text_trim(struct text t)
{
	while (t.len && is_blank(t.at[0])) {
		t.at++;
		t.len--;
	}
	while (t.len && is_blank(t.at[t.len - 1]))
		t.len--;
	return t;
}

struct text text_split(struct text *t, char by)
{
	struct text piece = *t;
	uint32_t n = text_find(*t, by);
	if (n == t->len) {
		*t = (struct text){0};
		return piece;
	}
	piece.len = n;
	t->at += n + 1;
	t->len -= n + 1;
	return piece;
}

bool text_decimal(struct text t, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;
	if (!t.len)
		return false;
	for (uint32_t i = 0; i < t.len; i++) {
		unsigned digit = (unsigned)(uint8_t)t.at[i] - '0';
		if (digit > 9 || v > max / 10 || v * 10 > UINT64_MAX - digit)
			return false;
		v = v * 10 + digit;
		if (v > max)
			return false;
	}
	*ret = v;
	return true;
}

bool text_hex_prefix(struct text t, uint64_t max, uint64_t *ret, uint32_t *ret_digits)
{
	uint64_t v = 0;
	uint32_t i = 0;
	for (; i < t.len; i++) {
		int digit = ascii_hex((uint8_t)t.at[i]);
		if (digit < 0)
			break;
		if (v > max >> 4)
			return false;
		v = v << 4 | (unsigned)digit;
	}
	if (!i || v > max)
		return false;
	*ret = v;
	*ret_digits = i;
	return true;
}

bool text_is_hex(struct text t)
{
	for (uint32_t i = 0; i < t.len; i++)
		if (ascii_hex((uint8_t)t.at[i]) < 0)
			return false;
	return t.len > 0;
}

bool text_is_zeros(struct text t)
{
	for (uint32_t i = 0; i < t.len; i++)
		if (t.at[i] != '0')
			return false;
	return true;
}

bool text_has_digit(struct text t)
{
	/* without an early exit, so that the compiler makes vectors of it */
	uint8_t any = 0;
	for (uint32_t i = 0; i < t.len; i++)
		any |= (uint8_t)(t.at[i] - '0') < 10;
	return any;
}

static int base64_digit(uint8_t c)
{
	if ((uint8_t)(c - 'A') < 26)
		return c - 'A';
	if ((uint8_t)(c - 'a') < 26)
		return c - 'a' + 26;
	if (ascii_is_digit(c))
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int text_base64(struct text t, uint8_t *out, size_t size)
{
	uint32_t bits = 0, n = t.len;
	unsigned count = 0;
	size_t written = 0;
	for (unsigned padding = 0; padding < 2 && n && t.at[n - 1] == '='; padding++)
		n--;
	if (n % 4 == 1)
		return -1;
	for (uint32_t i = 0; i < n; i++) {
		int digit = base64_digit((uint8_t)t.at[i]);
		if (digit < 0)
			return -1;
		bits = bits << 6 | (unsigned)digit;
		count += 6;
		if (count >= 8) {
			count -= 8;
			if (written == size)
				return -1;
			out[written++] = (uint8_t)(bits >> count);
		}
	}
	return (int)written;
}

struct writer {
	char *out;
	size_t len, size;
};

static bool write_bytes(struct writer *w, const void *data, size_t len)
{
	size_t n = min_of(len, w->size - w->len);
	memcpy(w->out + w->len, data, n);
	w->len += n;
	return n == len;
}

bool text_hide_query(struct text url, char *out, size_t size, struct text *ret)
{
	uint32_t query = text_find(url, '?');
	*ret = url;
	if (query == url.len)
		return true;
	struct writer w = {.out = out, .size = size};
	bool fits = write_bytes(&w, url.at, query + 1);
	struct text rest = text_make(url.at + query + 1, url.len - query - 1);
	while (fits && rest.at) {
		struct text item = text_split(&rest, '&');
		uint32_t name = text_find(item, '=');
		/* an item without '=' may well be a value */
		if (name < item.len)
			fits = write_bytes(&w, item.at, name + 1);
		if (item.len)
			fits = fits && write_bytes(&w, "?", 1);
		if (rest.at)
			fits = fits && write_bytes(&w, "&", 1);
	}
	*ret = text_make(out, w.len);
	return fits;
}

static bool is_uuid(struct text t)
{
	if (t.len != 36)
		return false;
	for (unsigned i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? t.at[i] != '-' : ascii_hex((uint8_t)t.at[i]) < 0)
			return false;
	}
	return true;
}

static bool segment_varies(struct text t)
{
	uint32_t digits = 0;
	if (!t.len || !text_has_digit(t))
		return false;
	if (is_uuid(t) || (t.len >= 12 && text_is_hex(t)))
		return true;
	while (digits < t.len && ascii_is_digit((uint8_t)t.at[digits]))
		digits++;
	return digits == t.len;
}

bool text_path_template(struct text path, char *out, size_t size, struct text *ret)
{
	*ret = path;
	if (!text_has_digit(path))
		return true;
	struct writer w = {.out = out, .size = size};
	struct text rest = path;
	bool fits = true;
	while (fits && rest.at) {
		struct text segment = text_split(&rest, '/');
		fits = segment_varies(segment) ? write_bytes(&w, "{id}", 4) : write_bytes(&w, segment.at, segment.len);
		if (rest.at)
			fits = fits && write_bytes(&w, "/", 1);
	}
	*ret = text_make(out, w.len);
	return fits;
}
