/* redis.h - what the files of the Redis dissector share: redis.c tells what this is about. */
#ifndef TS_DISSECT_REDIS_H
#define TS_DISSECT_REDIS_H

#include "redis_value.h"

enum {
	REDIS_DEPTH_MAX = 24,
	REDIS_TAG_EFFECT_BITS = 5,
	REDIS_TAG_NUMBER_MAX = (1 << 24) - 1,
};
_Static_assert(REDIS_REPLY_SKIP < 1 << REDIS_TAG_EFFECT_BITS, "tag");

enum redis_phase {
	REDIS_PHASE_FRESH,
	REDIS_PHASE_START,     /* client: a request comes; server: a value's type */
	REDIS_PHASE_ARGUMENTS, /* client: of the request at hand */
	REDIS_PHASE_LINE_REST, /* of a line longer than REDIS_LINE_MAX */
	REDIS_PHASE_VALUE_END, /* server: a value has passed */
	REDIS_PHASE_SEARCH,    /* lost */
	REDIS_PHASE_IGNORE,
};

struct redis_side {
	struct message *message;
	uint64_t skip;     /* client: bytes of the argument at hand */
	uint32_t wanted;   /* client: not before there are so many bytes */
	uint32_t retained; /* bytes that were not consumed */
	uint32_t arguments;
	uint8_t phase; /* enum redis_phase */
	bool lossy;    /* where its messages begin was found by searching */
	bool edge;     /* searching: a message may begin with the next byte */
};

struct redis {
	struct redis_side side[2];
	/* the server's value at hand */
	uint32_t left[REDIS_DEPTH_MAX]; /* by depth: values to come */
	uint32_t attributes;            /* bit: at that depth an attribute is open, which is no value */
	uint8_t depth;
	bool chunks;            /* in a streamed string */
	bool after_attribute;   /* the reply has begun with an attribute */
	bool exec;              /* answers EXEC: errors within count */
	uint8_t confirmation;   /* enum redis_effect: kind of confirmation; REDIS_NO_EFFECT: none */
	uint32_t confirmations; /* more of that kind belong to the response */
	/* subscriptions, as the server confirmed them */
	uint32_t channels, patterns, shards;
	uint32_t subscribe_owed; /* requests to (un)subscribe that were not answered */
	bool unsure;             /* what the connection is used for is not known: bytes were lost */
	bool monitoring;
	/* the client has asked since the server's last bytes: a reply may begin behind `mark` retained bytes */
	bool asked;
	uint32_t mark;
	uint32_t owed; /* replies that may still come, at most */
	/* as of the last request; and as the server has confirmed it */
	int32_t db, db_confirmed;           /* -1: never selected */
	uint8_t version, version_confirmed; /* 0: unknown */
	bool multi, reply_off, reply_skip;
};
_Static_assert(sizeof(struct redis) <= DISSECT_STATE_MAX, "state");

enum redis_step { REDIS_STEP_ON, REDIS_STEP_MORE, REDIS_STEP_LOST /* this is no message */ };

static inline void redis_enter(struct redis_side *s, enum redis_phase phase)
{
	s->phase = (uint8_t)phase;
	s->wanted = 0;
}

/* What a request tells its response. */
static inline uint32_t redis_tag_make(const struct redis_request *q)
{
	return (uint32_t)q->effect | min_of(q->number, (uint32_t)REDIS_TAG_NUMBER_MAX) << REDIS_TAG_EFFECT_BITS;
}

static inline enum redis_effect redis_tag_effect(const struct message *request)
{
	return (enum redis_effect)(request->tag & ((1u << REDIS_TAG_EFFECT_BITS) - 1));
}

/* "2" or "3", where it is known. */
void redis_put_version(struct dissect *d, const struct redis *r, struct message *m);
/* At most 20 digits; how many there were. */
size_t redis_put_decimal(char *out, uint64_t value);

/* A request begins at *at. */
enum redis_step redis_parse_request(struct dissect *d, struct redis *r, struct redis_side *s, const uint8_t *data,
				    size_t *at, size_t len);
/* Its arguments. *at is more than len where bytes are to be skipped. */
enum redis_step redis_parse_arguments(struct dissect *d, struct redis_side *s, const uint8_t *data, uint64_t *at,
				      size_t len);
void redis_end_request(struct dissect *d, struct redis_side *s, size_t at);

/* One value of the server, or its beginning. *at is more than len where bytes are to be skipped. */
enum redis_step redis_parse_value(struct dissect *d, struct redis *r, const uint8_t *data, uint64_t *at, size_t len);
/* It has passed. */
void redis_end_value(struct dissect *d, struct redis *r, size_t at);
void redis_end_response(struct dissect *d, struct redis *r, size_t at);
/* Forgets what values are open. */
void redis_reset_value(struct redis *r);

#endif
