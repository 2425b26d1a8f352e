/* session_internal.h - what session.c (bytes), pairing.c (messages) and notes.c share. */
#ifndef TS_ENGINE_SESSION_INTERNAL_H
#define TS_ENGINE_SESSION_INTERNAL_H

#include "blocks.h"
#include "session.h"
#include "transform.h"

enum slot_flag {
	SLOT_HAS_REQUEST = 1,
	SLOT_REQUEST_DONE = 2,
	SLOT_HAS_RESPONSE = 4,
	SLOT_RESPONSE_DONE = 8,
	SLOT_UNPAIRED = 16, /* takes no part in pairing, leaves when it ends */
	SLOT_TRUNCATED = 32,
	SLOT_LISTED = 64, /* in its connection's pending list */
	SLOT_TIMEOUT = 128,
};

/* One request and its response, until the record leaves. What a dissector may still point at: slots are of one size and
 * never become anything else. */
struct slot {
	struct message m;    /* first: the dissector's pointer is ours; m.owner is 0 in a free slot */
	uint32_t next, prev; /* pending list; `next` links free slots */
	struct block text;   /* where the texts are, when they are too long for own_text */
	union {
		uint64_t id;     /* PAIR_BY_ID: the protocol's identifier */
		uint64_t number; /* else: of the request on its connection */
	};
	int64_t request_ns, request_end_ns, response_ns, response_end_ns;
	uint64_t request_len, response_len; /* on the stream; until it has ended: the offset that it begins at */
	uint64_t gap_bytes, gap_before;     /* lost within it; lost in its direction when request or response began */
	uint32_t request_seq, request_end_seq, response_seq;
	uint32_t request_ack; /* what the client had received when it began the request */
	uint8_t flags;        /* enum slot_flag */
	uint8_t own_text[111];
};
_Static_assert(sizeof(struct slot) == 256, "whole cache lines");

/* One direction of a connection. */
struct half {
	uint64_t offset;         /* on the stream, of the first byte not consumed */
	uint64_t skip;           /* bytes the dissector doesn't want, still to come */
	int64_t last_ns;         /* of the last byte that came in */
	uint32_t next_seq;       /* after the last byte that came in */
	uint32_t open;           /* slot of the message under way */
	uint32_t len;            /* bytes offered and not consumed, … */
	uint8_t probes;          /* how often its bytes were shown to the probes */
	bool ended, seen, blind; /* no more bytes; any byte came; everything is skipped */
	struct block buffer;     /* … where they are */
	int64_t first_ns;        /* … when the first of them came */
};
_Static_assert(sizeof(struct half) == 56, "less than a cache line");

struct conn {
	uint32_t link;  /* free list */
	uint8_t client; /* end of the key that asks */
	uint8_t title_len;
	bool midstream, off;               /* off: nobody looks at it any more */
	const struct dissector *dissector; /* NULL: not recognised yet */
	struct half half[2];               /* by direction of the key */
	uint32_t pending_head, pending_tail, pending_count;
	/* pairing, see session.h */
	bool synced, epoch;
	bool deep;     /* more than one request was, or may have been, unanswered at a time */
	uint8_t waits; /* how often the client began to send when all was answered */
	uint64_t request_next, response_next, barrier, epoch_first;
	uint32_t last_request_ack;
	uint32_t server_saw;           /* the client's bytes that the server had received when it sent its last data */
	uint32_t shortest;             /* request so far; 0: none yet */
	bool lost_requests, lost_ever; /* bytes of the client were lost: before the next request; at any time */
	uint64_t lost_bytes;           /* … this many */
	/* the flow record's, since the last one */
	uint32_t requests, responses, client_errors, server_errors, timeouts, rrt_count;
	int64_t rrt_sum_ns, rrt_max_ns;
	uint64_t flow_id;      /* 0: not asked for yet */
	const char *title;     /* the protocol's name for the flow record, kept when it was given up */
	struct block inner[2]; /* bytes of the nested stream offered and not consumed, by direction, … */
	uint32_t inner_len[2]; /* … how many */
	uint32_t notes_head, notes_tail, notes_count; /* notes.c */
	_Alignas(16) uint8_t state[];
};
#define NO_BARRIER UINT64_MAX

struct sessions {
	struct session_settings settings;
	struct flowtab *table;
	void (*emit)(void *ctx, struct flow *f, const struct request_record *r);
	void *emit_ctx;
	struct pool conns, slots, notes;
	struct quota conn_quota[SHARDS], slot_quota[SHARDS], note_quota[SHARDS];
	struct blocks blocks;
	uint8_t *hint; /* by port: 1 + index of the dissector */
	bool udp_wanted;
	struct session_counters counters;
	struct transforms *transforms;

	/* What the next record is written into. Fields that are the same in all records of a flow stay from one to the
	 * next; record_conn says whose they are, NULL: nobody's. */
	struct request_record record;
	const struct conn *record_conn;

	/* The call under way. */
	struct dissect dissect;
	struct flow *flow;
	struct conn *conn;
	unsigned direction;
	uint32_t seq, ack; /* of the first byte at hand; acknowledged by the segment at hand */
	bool has_ack;
	uint64_t offset;                     /* on the stream, of the first byte at hand */
	size_t old_len;                      /* bytes at hand that came earlier, … */
	int64_t old_ns, old_last_ns, now_ns; /* … the first and the last of them then; the others now */
	bool nested; /* parse runs on the inner stream: dissect.feed_from and feed_to say where */
};

static inline struct slot *slot_at(const struct sessions *s, uint32_t index)
{
	return (struct slot *)(void *)s->slots.base + index;
}

static inline uint32_t slot_index(const struct sessions *s, const struct slot *slot)
{
	return (uint32_t)(slot - (const struct slot *)(const void *)s->slots.base);
}

/* Tells the messages of one flow from those of another that lives: entries lie at least a cache line apart. */
static inline uint32_t owner_of(const struct flow *f)
{
	return (uint32_t)((uintptr_t)f >> 6);
}

/* Counts what of a direction's skip has passed so far. */
void sessions_catch_up(struct sessions *s, struct flow *f, struct conn *c, unsigned direction);

/* notes.c: what a dissector remembers about a connection. */
int notes_init(struct sessions *s, uint32_t notes, unsigned shards);
int notes_remember(struct dissect *d, uint64_t key, const void *data, size_t len);
bool notes_recall(struct dissect *d, uint64_t key, const void **ret_data, size_t *ret_len);
void notes_forget(struct dissect *d, uint64_t key);
void notes_forget_all(struct sessions *s);

extern const struct dissect_calls pairing_calls;

/* The direction's message under way is over although its end was not seen. */
void pairing_cut(struct sessions *s, unsigned direction);
/* Bytes of a direction were lost and with them, perhaps, whole messages. */
void pairing_lose(struct sessions *s, unsigned direction, uint64_t missing);
/* Requests that have waited too long leave. */
void pairing_expire(struct sessions *s, int64_t now_ns);
/* Everything leaves. */
void pairing_flush(struct sessions *s);

#endif
