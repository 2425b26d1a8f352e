#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

size_t utf8_sequence(const void *bytes, size_t left)
{
	const uint8_t *s = bytes;
	uint8_t lead = left ? s[0] : 0xff, low = 0x80, high = 0xbf;
	size_t len;
	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead <= 0xdf) {
		len = 2;
	} else if (lead >= 0xe0 && lead <= 0xef) {
		len = 3;
		low = lead == 0xe0 ? 0xa0 : low;
		high = lead == 0xed ? 0x9f : high;
	} else if (lead >= 0xf0 && lead <= 0xf4) {
		len = 4;
		low = lead == 0xf0 ? 0x90 : low;
		high = lead == 0xf4 ? 0x8f : high;
	} else {
		return 0;
	}
	if (left < len || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

int buffer_reserve(struct buffer *b, size_t more)
{
	if (b->cap - b->len >= more)
		return 0;
	size_t cap = max_of(max_of(b->cap * 2, b->len + more), (size_t)256);
	char *at = realloc(b->at, cap);
	if (!at)
		return -ENOMEM;
	b->at = at;
	b->cap = cap;
	return 0;
}

int buffer_put(struct buffer *b, const void *data, size_t len)
{
	int r = buffer_reserve(b, len);
	if (r < 0)
		return r;
	if (len)
		memcpy(b->at + b->len, data, len);
	b->len += len;
	return 0;
}

int buffer_printf(struct buffer *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;
	int r = buffer_reserve(b, (size_t)n + 1);
	if (r < 0)
		return r;
	va_start(ap, fmt);
	vsnprintf(b->at + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void buffer_free(struct buffer *b)
{
	free(b->at);
	*b = (struct buffer){0};
}
