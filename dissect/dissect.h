/* dissect.h - what a dissector is, and what it may ask for.
 *
 * A dissector is one file in dissect/ (or a folder) and one word in dissect/meson.build. It is pure: it reads bytes it
 * is given and calls the functions below; it never allocates, prints, formats with printf, looks at a clock or keeps a
 * global. The same code reads packets, syscall payloads and TLS plaintext.
 *
 * Bytes. parse() gets the bytes of one direction, in order, starting with the first one not yet consumed, and returns
 * how many it consumed. 0..len: the rest is offered again with more behind it. More than len: the bytes beyond are
 * skipped unseen (DISSECT_ALL: all that ever come), and when the last of them has passed, parse is called with len 0 so
 * that a message can be ended at its own last byte. Whatever the segmentation, the same bytes must give the same
 * messages: a parser that needs more just consumes less. What stays unconsumed is bounded by DISSECT_BUFFER_MAX: a
 * parser that can meet longer elements must consume them in parts. When the buffer is full and nothing is consumed, the
 * connection is given up, as after dissect_fail().
 *
 * Messages. dissect_begin() starts a request or a response, the texts and numbers are put into it, dissect_end() ends
 * it. Both say where in the data (an offset from the start of the data given to parse, up to len) the message's first
 * byte is, or just after its last byte. The session layer keeps time, sequence numbers, lengths, pairing and limits.
 * A NULL message (a limit was hit) may be passed to every function below. At most one request per direction is under
 * way at a time; responses of protocols that pair by identifier may interleave.
 *
 * After a hole in the stream gap() is called in place of the lost bytes (unless they lay within a skip, when they count
 * as skipped); the dissector then looks for the next message in what follows. Messages that were under way at a gap are
 * ended by the session, marked with the bytes missing. One that goes on across the gap, because the protocol told its
 * length, calls dissect_keep() in gap().
 *
 * Thread: a flow's dissector runs on the worker that owns the flow. */
#ifndef TS_DISSECT_DISSECT_H
#define TS_DISSECT_DISSECT_H

#include "record.h"

#define DISSECT_BUFFER_MAX (64 * 1024)
#define DISSECT_ALL UINT64_MAX
#define DISSECT_STATE_MAX 512

enum dissect_side { SIDE_CLIENT, SIDE_SERVER, SIDE_UNKNOWN }; /* who sent the bytes */

enum dissect_verdict {
	DISSECT_NOT_MINE, /* never */
	DISSECT_UNSURE,   /* cannot tell yet: ask again with more bytes */
	DISSECT_CERTAIN,
};

/* What probe() sees: the first bytes of a direction (at a flow's start, or after it was picked up in its middle). */
struct dissect_probe {
	const uint8_t *data;
	size_t len;
	bool midstream;             /* the start of the connection was not seen: may begin in the middle of a message */
	bool hinted;                /* a port of the flow is configured for this protocol: hint only */
	enum dissect_side side;     /* as the flow table believes by SYN; SIDE_UNKNOWN without SYN */
	enum dissect_side ret_side; /* set with DISSECT_CERTAIN: who sent these bytes, as their content says */
};

enum message_kind { MESSAGE_REQUEST, MESSAGE_RESPONSE };

enum message_status { STATUS_UNKNOWN, STATUS_OK, STATUS_CLIENT_ERROR, STATUS_SERVER_ERROR, STATUS_TIMEOUT };

/* How requests and responses find each other. */
enum dissect_pairing { PAIR_IN_ORDER, PAIR_BY_ID, PAIR_NONE /* only names the protocol */ };

/* One request and its response, under construction: what the dissector writes itself; texts go through message_put().
 * Request and response share one message. The session layer keeps its own part behind it. */
struct message {
	uint32_t tag;   /* its own note on a request, read again when the response comes (HEAD, API key, …) */
	uint8_t status; /* enum message_status of the response */
	bool has_code, has_affected_rows;
	int32_t code;
	uint32_t owner; /* the session layer's: the flow that it belongs to */
	uint64_t affected_rows;
	/* The texts put so far, one behind the other: a message_text_head, then the bytes, or a pointer to them. Only
	 * message.c and the session layer look at them; a layer that wants to see each text leaves text_room 0. */
	uint8_t *text;
	uint32_t text_len, text_room;
};

struct message_text_head {
	uint8_t field;    /* enum request_field; 0x80 | index of an attribute */
	uint8_t constant; /* a pointer to bytes of the program follows instead of the bytes */
	uint16_t len;
};

struct dissect;

/* What the session layer offers; reached through the inline functions below. */
struct dissect_calls {
	struct message *(*begin[2])(struct dissect *d, uint64_t id, size_t at); /* by enum message_kind */
	void (*end[2])(struct dissect *d, struct message *m, size_t at);
	void (*put_text)(struct dissect *d, struct message *m, unsigned field, const void *data, size_t len);
	struct message *(*pending)(struct dissect *d, uint64_t id);
	void (*unpaired)(struct dissect *d, struct message *m);
	int (*transform)(struct dissect *d, unsigned kind, const void *data, size_t len, const uint8_t **ret_data,
			 size_t *ret_len);
	int (*feed)(struct dissect *d, const void *data, size_t len);
	int (*remember)(struct dissect *d, uint64_t key, const void *data, size_t len);
	bool (*recall)(struct dissect *d, uint64_t key, const void **ret_data, size_t *ret_len);
	void (*forget)(struct dissect *d, uint64_t key);
	void (*lost)(struct dissect *d, size_t at);
};

/* How texts are cut and hidden; from the configuration. */
#define DISSECT_TEXT_MAX (16 * 1024) /* the largest text_max that may be configured */
struct dissect_settings {
	uint64_t text_max;  /* bytes of a path, statement, key; longer ones are cut and the record marked truncated */
	uint64_t obfuscate; /* bit OBFUSCATE_…: literals in statements, values in paths are replaced by '?' */
};
enum { OBFUSCATE_HTTP, OBFUSCATE_SQL, OBFUSCATE_REDIS, OBFUSCATE_KAFKA };

/* A connection, as its dissector sees it. */
struct dissect {
	void *state; /* state_size bytes, zero at first, shared by both directions */
	const struct dissect_settings *settings;
	const struct dissect_calls *calls;
	const struct dissector *become; /* set by dissect_become() */
	enum dissect_side side;         /* who sent the bytes at hand: SIDE_CLIENT or SIDE_SERVER */
	bool midstream, failed, keep;
	uint32_t owner;            /* the session layer's: of the flow at hand */
	size_t feed_from, feed_to; /* set before dissect_feed(): the bytes at hand that what is fed comes out of */
};

struct dissector {
	const char *name;  /* "http": file name, option word, golden folder */
	const char *title; /* "HTTP": l7_protocol */
	const char *ports; /* hints, as in the configuration: "80,8000-8080"; "" for none */
	enum dissect_pairing pairing;
	bool udp, tcp;
	uint32_t state_size; /* at most DISSECT_STATE_MAX */
	uint32_t timeout_s;  /* a request waits this long for its response; 0: the configured 120 s */

	/* Mandatory. Looks at the first bytes of a direction; must not need more than 64 of them to say
	 * DISSECT_NOT_MINE about another protocol, and says DISSECT_CERTAIN only where no other registered protocol
	 * could. Sets ret_side with DISSECT_CERTAIN. */
	enum dissect_verdict (*probe)(struct dissect_probe *p);
	/* Mandatory. See above. d->side says who sent the data. */
	uint64_t (*parse)(struct dissect *d, const uint8_t *data, size_t len);
	/* Optional. `missing` bytes of d->side's direction were lost; without it, as dissect_fail(). */
	void (*gap)(struct dissect *d, uint64_t missing);
	/* Optional. d->side sends no more (FIN, RST, end of the capture) while a message of it is under way. */
	void (*close)(struct dissect *d);
	/* Optional. Bytes of the nested stream that parse fed with dissect_feed(); same contract as parse. */
	uint64_t (*nested)(struct dissect *d, const uint8_t *data, size_t len);

	const struct dissect_attribute *attributes; /* ends with a NULL name; NULL for none; at most 16 */
};

struct dissect_attribute {
	const char *name; /* "http.websocket" */
	bool number;      /* its value is a decimal number */
	const char *meaning;
};

/* Starts a message whose first byte is data[at]. id: the protocol's identifier (PAIR_BY_ID), else 0. A response is
 * joined to its request: its message then holds the request's fields. NULL where a limit was hit. */
static inline struct message *dissect_begin(struct dissect *d, enum message_kind kind, uint64_t id, size_t at)
{
	return d->calls->begin[kind](d, id, at);
}

/* Ends it; data[at - 1] was its last byte (at == 0: the last byte consumed or skipped before). */
static inline void dissect_end(struct dissect *d, struct message *m, enum message_kind kind, size_t at)
{
	if (m)
		d->calls->end[kind](d, m, at);
}

/* The request that the next response will answer (PAIR_IN_ORDER: the oldest unanswered; PAIR_BY_ID: the one with this
 * id), or NULL where it is not known. */
static inline struct message *dissect_pending(struct dissect *d, uint64_t id)
{
	return d->calls->pending(d, id);
}

/* A request that gets no response (MySQL's QUIT, Kafka's acks=0), or a response that answers none (a push): it leaves
 * as it is when it ends, and takes no part in pairing. Call between begin and end. A push must be declared at once
 * after begin of kind MESSAGE_RESPONSE with id DISSECT_PUSH instead. */
#define DISSECT_PUSH UINT64_MAX
static inline void dissect_unpaired(struct dissect *d, struct message *m)
{
	d->calls->unpaired(d, m);
}

/* A text field of the request record (REQUEST_request_type, …); copied, cut at the limit. A second put replaces the
 * first. */
void message_put(struct dissect *d, struct message *m, enum request_field field, const void *data, size_t len);

/* The same of bytes that last as long as the program does: a literal, a constant table. They need not be copied. */
void message_put_constant(struct dissect *d, struct message *m, enum request_field field, struct text t);

/* Room for a text of exactly `len` bytes, which the caller then writes; NULL where it would have to be cut or room must
 * be made: then message_put() does it. */
char *message_reserve(struct dissect *d, struct message *m, enum request_field field, size_t len);

static inline void message_put_text(struct dissect *d, struct message *m, enum request_field field, struct text t)
{
	message_put(d, m, field, t.at, t.len);
}

/* An attribute: index into the dissector's table. */
static inline void message_put_attribute(struct dissect *d, struct message *m, unsigned index, const void *data,
					 size_t len)
{
	message_put(d, m, (enum request_field)(0x80u | index), data, len);
}

static inline void message_set_code(struct message *m, int32_t code)
{
	if (m) {
		m->code = code;
		m->has_code = true;
	}
}

static inline void message_set_status(struct message *m, enum message_status status)
{
	if (m)
		m->status = (uint8_t)status;
}

static inline void message_set_affected_rows(struct message *m, uint64_t rows)
{
	if (m) {
		m->affected_rows = rows;
		m->has_affected_rows = true;
	}
}

/* The bytes are not this protocol after all, or cannot be followed any further: what is under way ends, the rest of the
 * connection is not looked at (or, in gap(), until a probe recognises a message again). Return from parse at once. */
static inline void dissect_fail(struct dissect *d)
{
	d->failed = true;
}

/* Another dissector takes over both directions, with what parse leaves unconsumed. State starts at zero again. */
static inline void dissect_become(struct dissect *d, const struct dissector *next)
{
	d->become = next;
}

/* After a gap: the bytes before data[at] were passed over without being understood; there may have been messages among
 * them, as in the gap itself. */
static inline void dissect_lost(struct dissect *d, size_t at)
{
	d->calls->lost(d, at);
}

/* In gap(): the message under way in this direction goes on, its length being known. */
static inline void dissect_keep(struct dissect *d)
{
	d->keep = true;
}

/* Decompresses one block into the worker's scratch (bounded by DISSECT_TRANSFORM_MAX; valid until the next call).
 * 0; 1: the bytes end before the block does, and what came out of them is given; -EINVAL: damaged; -E2BIG: larger than
 * the bound; -ENOTSUP: unknown kind. */
#define DISSECT_TRANSFORM_MAX (16 * 1024 * 1024)
#define DISSECT_TRANSFORM_HEAD_MAX (64 * 1024)
enum {
	TRANSFORM_ZLIB,
	TRANSFORM_GZIP,
	TRANSFORM_ZSTD,
	TRANSFORM_SNAPPY,
	TRANSFORM_LZ4_FRAME,
	TRANSFORM_HEAD =
	    0x100, /* with one of these: no more than the first DISSECT_TRANSFORM_HEAD_MAX bytes are wanted; 1 then */
};
static inline int dissect_transform(struct dissect *d, unsigned kind, const void *data, size_t len,
				    const uint8_t **ret_data, size_t *ret_len)
{
	return d->calls->transform(d, kind, data, len, ret_data, ret_len);
}

/* Gives bytes of an inner stream (what a compressed packet holds) to nested(), buffered between calls like the outer
 * stream. Messages that begin or end in them have the time and the place of the outer bytes feed_from and feed_to.
 * 0, or -E2BIG where the inner buffer is full. */
static inline int dissect_feed(struct dissect *d, const void *data, size_t len)
{
	return d->calls->feed(d, data, len);
}

/* Notes that do not fit into the state: a copy of the bytes, by a key of the dissector's own, for both directions. A
 * second one replaces the first. They live as long as the connection and this dissector; when their budget ends, those
 * that were remembered or recalled longest ago are forgotten, so that a dissector must do without any of them. 0;
 * -ENOMEM or -ENOBUFS: not kept, and nothing is kept under the key. */
#define DISSECT_NOTE_MAX (32 * 1024)
static inline int dissect_remember(struct dissect *d, uint64_t key, const void *data, size_t len)
{
	return d->calls->remember(d, key, data, len);
}

/* The note, until the next call of these three; aligned for any type. False: there is none. */
static inline bool dissect_recall(struct dissect *d, uint64_t key, const void **ret_data, size_t *ret_len)
{
	return d->calls->recall(d, key, ret_data, ret_len);
}

static inline void dissect_forget(struct dissect *d, uint64_t key)
{
	d->calls->forget(d, key);
}

/* The registry, in the order of the list in dissect/meson.build; ends with NULL. Generated. */
extern const struct dissector *const dissectors[];
extern const unsigned dissector_count;

/* By name; NULL where there is none. */
const struct dissector *dissector_find(const char *name);

#endif
