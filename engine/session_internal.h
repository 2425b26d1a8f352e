/* session_internal.h - what session.c (bytes), pairing.c (messages), conn.c (memory) and notes.c share. */
#ifndef TS_ENGINE_SESSION_INTERNAL_H
#define TS_ENGINE_SESSION_INTERNAL_H

#include "blocks.h"
#include "pool.h"
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
	uint32_t text;       /* block of the texts, when they are too long for own_text */
	uint8_t text_order;
	uint8_t flags; /* enum slot_flag */
	union {
		uint64_t id;     /* PAIR_BY_ID: the protocol's identifier */
		uint64_t number; /* else: of the request on its connection */
	};
	int64_t request_ns, request_end_ns, response_ns, response_end_ns;
	uint64_t request_len, response_len; /* on the stream; until it has ended: the offset that it begins at */
	uint64_t gap_bytes, gap_before;     /* lost within it; lost in its direction when request or response began */
	uint32_t request_seq, request_end_seq, response_seq;
	uint32_t request_ack; /* what the client had received when it began the request */
	uint8_t own_text[176];
};
_Static_assert(sizeof(struct slot) == 320, "whole cache lines");

/* One direction of a connection. What is small of it is in struct conn, for the size's sake. */
struct half {
	uint64_t offset;   /* on the stream, of the first byte not consumed */
	uint64_t skip;     /* bytes the dissector doesn't want, still to come */
	int64_t last_ns;   /* of the last byte that came in */
	int64_t first_ns;  /* of the first byte that waits in the buffer */
	uint32_t next_seq; /* after the last byte that came in */
	uint32_t open;     /* slot of the message under way */
	uint32_t len;      /* bytes offered and not consumed, … */
	uint32_t buffer;   /* … the block where they are */
};

/* A connection's application layer, in a block of its own. */
struct conn {
	struct flow *flow;
	const struct dissector *dissector; /* NULL: not recognised yet */
	struct half half[2];               /* by direction of the key */
	uint32_t pending_head, pending_tail, pending_count;
	uint8_t client; /* end of the key that asks */
	uint8_t title;  /* 1 + index of the protocol that names the flow, kept when it was given up; 0: none */
	bool midstream;
	bool off;     /* nobody looks at it any more */
	bool touched; /* bytes came since it was last looked at, see conn.c */
	/* pairing, see session.h */
	bool synced, epoch;
	bool deep;                     /* more than one request was, or may have been, unanswered at a time */
	uint8_t waits;                 /* how often the client began to send when all was answered */
	bool lost_requests, lost_ever; /* bytes of the client were lost: before the next request; at any time */
	uint8_t state_order;
	uint64_t request_next, response_next, barrier, epoch_first;
	uint32_t last_request_ack;
	uint32_t server_saw; /* the client's bytes that the server had received when it sent its last data */
	uint32_t shortest;   /* request so far; 0: none yet */
	uint32_t lost_bytes; /* of the client, before the next request, as far as they can be counted */
	/* the flow record's, since the last one */
	uint32_t requests, responses, client_errors, server_errors, timeouts, rrt_count;
	int64_t rrt_sum_ns, rrt_max_ns;
	uint64_t flow_id;        /* 0: not asked for yet */
	uint32_t state;          /* block of the dissector's state */
	uint32_t extra;          /* block of struct extra */
	uint8_t buffer_order[2]; /* by direction, as what follows */
	uint8_t probes[2];       /* how often its bytes were shown to the probes */
	struct {
		bool ended : 1, seen : 1, blind : 1; /* no more bytes; any byte came; everything is skipped */
	} is[2];
};
#define NO_BARRIER UINT64_MAX
#define CONN_ORDER 2
_Static_assert(sizeof(struct conn) <= BLOCK_SIZE(CONN_ORDER), "it fits into its block");

/* What few connections need. */
struct extra {
	uint32_t inner[2], inner_len[2]; /* bytes of the nested stream offered and not consumed, by direction */
	uint8_t inner_order[2];
	uint32_t notes_head, notes_tail, notes_count; /* notes.c */
};
_Static_assert(sizeof(struct extra) <= BLOCK_UNIT, "it fits into the smallest block");

/* Which connections of a shard are not folded: a bit for each place where a block of their size can be, and the place
 * that is looked at next. */
struct conn_set {
	uint64_t *bits;
	uint32_t places, next, count;
};

struct sessions {
	struct session_settings settings;
	struct flowtab *table;
	void (*emit)(void *ctx, struct flow *f, const struct request_record *r);
	void *emit_ctx;
	struct pool slots;
	struct quota slot_quota[SHARDS];
	struct blocks blocks;
	struct conn_set live[SHARDS];
	uint64_t *live_bits;
	uint8_t *hint; /* by port: 1 + index of the dissector */
	bool udp_wanted;
	struct session_counters counters;
	unsigned shed;     /* sessions_shed() */
	uint64_t text_max; /* as configured */
	struct transforms *transforms;
	struct text titles[64]; /* of the dissectors */

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

/* ---- conn.c: memory ---- */

/* A block for the flow's shard, or BLOCK_NONE. Where there is no room, connections other than s->conn are folded. */
uint32_t memory_take(struct sessions *s, uint8_t shard, enum block_kind kind, unsigned order);
/* Makes the block (BLOCK_NONE: none yet) hold `need` bytes, keeping the first `used`. 0; -ENOBUFS: larger than the
 * largest; -ENOMEM. */
int memory_grow(struct sessions *s, uint8_t shard, enum block_kind kind, uint32_t *index, uint8_t *order, uint32_t used,
		uint32_t need);

static inline void memory_give(struct sessions *s, uint8_t shard, enum block_kind kind, uint32_t *index, unsigned order)
{
	if (*index == BLOCK_NONE)
		return;
	blocks_give(&s->blocks, shard, kind, *index, order);
	*index = BLOCK_NONE;
}

#ifdef FOLD_EACH_TIME
enum { FOLD_AFTER_BYTES = true }; /* a build that shows that nothing depends on whether one is folded */
#else
enum { FOLD_AFTER_BYTES = false };
#endif

/* In f->l7 of a flow whose connection is folded. */
#define CONN_FOLDED (UINT32_C(1) << 31)

static inline bool conn_is_folded(const struct flow *f)
{
	return f->l7 != FLOW_L7_NONE && f->l7 & CONN_FOLDED;
}

/* Where the unfolded ones are written down; behind blocks_init(). 0 or -ENOMEM. */
int conns_init(struct sessions *s);
/* A new one. NULL: no room. */
struct conn *conn_new(struct sessions *s, struct flow *f);
/* The block that f->l7 names, and what hangs on the connection but texts and notes. */
void conn_free(struct sessions *s, struct flow *f);
/* Folds it now, if it can be. */
void conn_fold(struct sessions *s, struct flow *f);
/* Makes it a connection again. NULL: no room; then its requests have left, and the flow goes on without. */
struct conn *conn_unfold(struct sessions *s, struct flow *f);
/* Whether nothing of a folded one waits for anything. */
bool conn_is_at_rest(const struct sessions *s, const struct flow *f);
/* A folded one as it would be, to read it and change its numbers for the flow record; conn_write() puts it back. */
void conn_read(const struct sessions *s, const struct flow *f, struct conn *ret_conn);
void conn_write(struct sessions *s, const struct flow *f, const struct conn *c);
/* The flow goes on without requests: there is no room for them. */
void conn_refuse(struct sessions *s, struct flow *f);

/* NULL: the flow has none, or it had to go. */
static inline struct conn *conn_of(struct sessions *s, struct flow *f)
{
	if (unlikely(f->l7 == FLOW_L7_NONE))
		return NULL;
	return likely(!(f->l7 & CONN_FOLDED)) ? block_at(&s->blocks, f->l7) : conn_unfold(s, f);
}

static inline struct extra *extra_of(const struct sessions *s, const struct conn *c)
{
	return c->extra == BLOCK_NONE ? NULL : block_at(&s->blocks, c->extra);
}

/* … made where there is none; NULL: no room. */
struct extra *extra_make(struct sessions *s, struct conn *c);

/* ---- session.c ---- */

/* Nobody looks at the connection at hand any more: everything leaves. */
void sessions_go_off(struct sessions *s);
/* Counts what of a direction's skip has passed so far. */
void sessions_catch_up(struct sessions *s, struct flow *f, struct conn *c, unsigned direction);

/* notes.c: what a dissector remembers about a connection. */
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
