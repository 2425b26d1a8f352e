/* redis_value.h - the beginnings of RESP2 and RESP3 values: type and count, and what their first words say. */
#ifndef TS_DISSECT_REDIS_VALUE_H
#define TS_DISSECT_REDIS_VALUE_H

#include "redis_command.h"

enum {
	REDIS_LINE_MAX = DISSECT_TEXT_MAX + 1024, /* of a line; what is longer is read up to here */
	REDIS_PUSH_WORD_MAX = 16,
};
_Static_assert((int)REDIS_LINE_MAX < (int)DISSECT_BUFFER_MAX, "buffer");

struct redis_value {
	uint8_t type;
	bool streamed, null, cut; /* cut: the line goes on */
	uint64_t count;           /* of bytes or elements */
	uint32_t size;            /* of its first line, line end included */
};

/* 1: read; 0: more bytes are needed; -1: no value. n is not 0. */
int redis_value_read(const uint8_t *p, size_t n, struct redis_value *ret);
/* A whole string of at most max bytes. 1, 0 and -1 as above, -1 also for anything else. */
int redis_word_read(const uint8_t *p, size_t n, size_t max, struct text *ret, size_t *ret_size);

/* "array", …; empty for types whose line is the value. */
const char *redis_type_name(uint8_t type);
/* The kind of confirmation of which this is the first word, or REDIS_NO_EFFECT. */
enum redis_effect redis_confirmation_of(struct text word);
/* The first word of what is published to a channel. */
bool redis_is_channel_message(struct text word);
/* What MONITOR's lines look like: "1339518083.107412 [0 127.0.0.1:60866] …". */
bool redis_is_monitor_line(struct text t);

/* Whether a reply begins at p, as far as it can be told. */
enum dissect_verdict redis_reply_begins(const uint8_t *p, size_t n);
/* Whether a message that answers nothing begins at p: one that no element of a reply looks like. */
enum dissect_verdict redis_push_begins(const uint8_t *p, size_t n);

/* The dissector's probe. */
enum dissect_verdict redis_probe(struct dissect_probe *p);

#endif
