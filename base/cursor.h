/* cursor.h - reads bytes that came from the network.
 *
 * A cursor never reads past its end. The first read that would sets `bad`, which sticks; from then on every read gives
 * zero and moves nothing, so that a parser checks once, at its end. */
#ifndef TS_BASE_CURSOR_H
#define TS_BASE_CURSOR_H

#include "def.h"

struct cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

static inline struct cursor cursor_make(const void *data, size_t len)
{
	return (struct cursor){.at = data, .end = (const uint8_t *)data + len, .bad = false};
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->at);
}

/* The next n bytes, or NULL (and bad) where there are fewer. */
static inline const uint8_t *cursor_take(struct cursor *c, size_t n)
{
	if (unlikely(c->bad || cursor_left(c) < n)) {
		c->bad = true;
		return NULL;
	}
	const uint8_t *p = c->at;
	c->at += n;
	return p;
}

static inline bool cursor_skip(struct cursor *c, size_t n)
{
	return cursor_take(c, n) != NULL;
}

#define CURSOR_READER(name, type, size, load)                                                                          \
	static inline type cursor_##name(struct cursor *c)                                                             \
	{                                                                                                              \
		const uint8_t *p = cursor_take(c, size);                                                               \
		return p ? (type)load(p) : 0;                                                                          \
	}
#define CURSOR_BYTE(p) (*(p))
CURSOR_READER(u8, uint8_t, 1, CURSOR_BYTE)
CURSOR_READER(be16, uint16_t, 2, load_be16)
CURSOR_READER(be24, uint32_t, 3, load_be24)
CURSOR_READER(be32, uint32_t, 4, load_be32)
CURSOR_READER(be64, uint64_t, 8, load_be64)
CURSOR_READER(le16, uint16_t, 2, load_le16)
CURSOR_READER(le32, uint32_t, 4, load_le32)
CURSOR_READER(le64, uint64_t, 8, load_le64)
#undef CURSOR_READER
#undef CURSOR_BYTE

#endif
