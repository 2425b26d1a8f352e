/* text.h - a borrowed piece of bytes, and a growing buffer of bytes. */
#ifndef TS_BASE_TEXT_H
#define TS_BASE_TEXT_H

#include "def.h"

/* Bytes that belong to someone else; not NUL-terminated, any value. at == NULL means absent. */
struct text {
	const char *at;
	uint32_t len;
};

#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})

static inline bool text_is(struct text t, const char *s)
{
	size_t n = strlen(s);
	return t.len == n && !memcmp(t.at, s, n);
}

/* Length of the well-formed UTF-8 sequence that starts at s (Unicode, table 3-7; 1 for ASCII), 0 where there is none.
 */
size_t utf8_sequence(const void *s, size_t left);

/* A buffer that the owner grows outside the hot path. Zero-initialised is empty. Not thread-safe. */
struct buffer {
	char *at;
	size_t len, cap;
};

/* Makes room for `more` further bytes. 0 or -ENOMEM. */
int buffer_reserve(struct buffer *b, size_t more);
int buffer_put(struct buffer *b, const void *data, size_t len);
int buffer_printf(struct buffer *b, const char *fmt, ...) print_format(2, 3);
void buffer_free(struct buffer *b);

#endif
