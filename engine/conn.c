#include "session_internal.h"

#include <errno.h>
#include <stdlib.h>

/* Where connections are kept.
 *
 * A connection is a block for struct conn and one for its dissector's state. When a shard's stretch is used up, those
 * that were silent longest are folded: both blocks become one in which only what differs from a new connection is
 * written, byte by byte, so that one that waits for its next request takes 128 bytes instead of 384 or more. Any
 * connection may be folded, whatever is under way in it, for all that points at others are indexes: what is folded is
 * its image and not its meaning, and a dissector does not notice. When its next bytes come it is unfolded.
 *
 * Who has to go is found as a clock's hand goes: one that had bytes since the hand came by last is passed over. */

enum {
	CONN_WORDS = sizeof(struct conn) / 8,
	STATE_WORDS = DISSECT_STATE_MAX / 8,
	WORDS = CONN_WORDS + STATE_WORDS,
	FOLDED_ORDER_MAX = CONN_ORDER, /* so that folding always makes the room that it needs */
	FOLD_TRIES = 64,
	FOLD_CHANCES = 16, /* connections with new bytes that are passed over */
};
_Static_assert(sizeof(struct conn) % 8 == 0 && DISSECT_STATE_MAX % 8 == 0, "whole words");

/* A folded connection; behind it a bit for each word that is not zero, a half byte for each of those that says how many
 * bytes it has, and those bytes. */
struct folded {
	uint8_t order;
	uint8_t words;
	bool has_dissector, at_rest;
};

/* The most that write_image() writes, and a word more, as it writes whole ones. */
#define IMAGE_MAX (sizeof(struct folded) + (WORDS + 7) / 8 + (WORDS + 1) / 2 + 8 * WORDS + 8)

union image {
	uint64_t word[WORDS];
	struct conn conn;
};

static const struct conn conn_fresh = {
    .half = {{.open = POOL_NONE, .buffer = BLOCK_NONE}, {.open = POOL_NONE, .buffer = BLOCK_NONE}},
    .pending_head = POOL_NONE,
    .pending_tail = POOL_NONE,
    .barrier = NO_BARRIER,
    .state = BLOCK_NONE,
    .extra = BLOCK_NONE,
};

static struct conn *conn_at(const struct sessions *s, uint32_t index)
{
	return block_at(&s->blocks, index);
}

/* ---- which are not folded ---- */

int conns_init(struct sessions *s)
{
	uint32_t places = (s->blocks.shard[0].units >> CONN_ORDER) + 1, words = (places + 63) / 64;
	s->live_bits = calloc((size_t)words * SHARDS, sizeof *s->live_bits);
	if (!s->live_bits)
		return -ENOMEM;
	for (unsigned i = 0; i < SHARDS; i++)
		s->live[i] = (struct conn_set){.bits = s->live_bits + (size_t)words * i, .places = places};
	return 0;
}

/* Blocks lie at multiples of their size from the beginning of the stretch. */
static uint32_t first_index(const struct sessions *s, uint8_t shard)
{
	return s->blocks.shard[shard].end - s->blocks.shard[shard].units;
}

static void live_flip(struct sessions *s, uint8_t shard, uint32_t index)
{
	uint32_t place = (index - first_index(s, shard)) >> CONN_ORDER;
	uint64_t *word = &s->live[shard].bits[place / 64], bit = UINT64_C(1) << place % 64;
	*word ^= bit;
	s->live[shard].count += *word & bit ? 1 : -1u;
}

/* The next one from where the hand is; there is one at least. */
static struct conn *live_next(struct sessions *s, uint8_t shard)
{
	struct conn_set *l = &s->live[shard];
	for (;;) {
		uint64_t left = l->next < l->places ? l->bits[l->next / 64] >> l->next % 64 : 0;
		if (left) {
			uint32_t place = l->next + (uint32_t)__builtin_ctzll(left);
			l->next = place + 1;
			return conn_at(s, first_index(s, shard) + (place << CONN_ORDER));
		}
		l->next = l->next < l->places ? (l->next | 63) + 1 : 0;
	}
}

/* ---- folding ---- */

static bool at_rest(const struct conn *c)
{
	for (unsigned i = 0; i < 2; i++)
		if (c->half[i].open != POOL_NONE || c->half[i].len || c->half[i].skip)
			return false;
	return c->pending_head == POOL_NONE && c->extra == BLOCK_NONE;
}

/* What need not be kept goes, what follows from something else becomes small; and back. */
static void predict(struct conn *c, bool rest)
{
	for (unsigned i = 0; i < 2; i++) {
		if (!c->half[i].len)
			c->half[i].first_ns = 0;
		if (rest)
			c->half[i].last_ns = 0; /* only of a message that would be under way */
	}
	c->flow = NULL;
	c->dissector = NULL;
	c->touched = false;
	c->flow_id = 0;
	c->state = BLOCK_NONE;
	c->state_order = 0;
	c->server_saw -= c->half[c->client].next_seq;
	c->last_request_ack = c->half[!c->client].next_seq - c->last_request_ack;
}

static void unpredict(struct conn *c)
{
	c->server_saw += c->half[c->client].next_seq;
	c->last_request_ack = c->half[!c->client].next_seq - c->last_request_ack;
}

static inline unsigned bytes_of(uint64_t word)
{
	return word ? 8 - (unsigned)__builtin_clzll(word) / 8 : 0;
}

/* Writes the image, of which `words` count, to out; returns how many bytes. */
static size_t write_image(uint8_t *out, const struct folded *head, union image *image)
{
	union image fresh = {.conn = conn_fresh};
	unsigned words = head->words, count = 0;
	uint8_t *bits = out + sizeof *head, *lens = bits + (words + 7) / 8;

	memcpy(out, head, sizeof *head);
	memset(bits, 0, (words + 7) / 8);
	for (unsigned i = 0; i < CONN_WORDS; i++)
		image->word[i] ^= fresh.word[i];
	for (unsigned i = 0; i < words; i++) {
		bits[i / 8] |= (uint8_t)(!!image->word[i] << i % 8);
		count += !!image->word[i];
	}
	uint8_t *at = lens + (count + 1) / 2;
	count = 0;
	for (unsigned i = 0; i < words; i++) {
		unsigned n = bytes_of(image->word[i]);
		if (!n)
			continue;
		uint8_t nibble = (uint8_t)(count & 1 ? lens[count / 2] | n << 4 : n);
		lens[count++ / 2] = nibble;
		memcpy(at, &image->word[i], 8);
		at += n;
	}
	return (size_t)(at - out);
}

/* `room` bytes are at `in`. The connection's links, flow and blocks are not set. */
static struct folded read_image(const uint8_t *in, size_t room, union image *ret)
{
	const uint8_t *end = in + room;
	union image fresh = {.conn = conn_fresh};
	struct folded head;
	memcpy(&head, in, sizeof head);
	unsigned words = head.words, count = 0;
	const uint8_t *bits = in + sizeof head, *lens = bits + (words + 7) / 8;

	for (unsigned i = 0; i < (words + 7) / 8; i++)
		count += (unsigned)__builtin_popcount(bits[i]);
	const uint8_t *at = lens + (count + 1) / 2;
	count = 0;
	for (unsigned i = 0; i < words; i++) {
		ret->word[i] = 0;
		if (!(bits[i / 8] >> i % 8 & 1))
			continue;
		unsigned n = lens[count / 2] >> count % 2 * 4 & 15;
		memcpy(&ret->word[i], at, min_of((size_t)n, (size_t)(end - at)));
		at += n;
		count++;
	}
	for (unsigned i = 0; i < CONN_WORDS; i++)
		ret->word[i] ^= fresh.word[i];
	unpredict(&ret->conn);
	ret->conn.dissector = head.has_dissector ? dissectors[ret->conn.title - 1u] : NULL;
	return head;
}

static unsigned state_words(const struct conn *c)
{
	return c->state == BLOCK_NONE ? 0 : (c->dissector->state_size + 7) / 8;
}

static struct folded head_of(const struct conn *c)
{
	return (struct folded){
	    .words = (uint8_t)(CONN_WORDS + state_words(c)),
	    .has_dissector = c->dissector != NULL,
	    .at_rest = at_rest(c),
	};
}

/* Two blocks become one. False: it would be too large. */
static bool fold(struct sessions *s, struct conn *c)
{
	uint8_t out[IMAGE_MAX];
	struct flow *f = c->flow;
	uint8_t shard = f->shard;
	union image image;
	struct folded head = head_of(c);

	memcpy(&image, c, sizeof *c);
	if (c->state != BLOCK_NONE)
		memcpy(image.word + CONN_WORDS, block_at(&s->blocks, c->state), 8 * state_words(c));
	predict(&image.conn, head.at_rest);
	size_t len = write_image(out, &head, &image);
	if (len > BLOCK_SIZE(FOLDED_ORDER_MAX))
		return false;
	uint32_t index = block_index(&s->blocks, c);
	live_flip(s, shard, index);
	if (s->record_conn == c)
		s->record_conn = NULL;
	memory_give(s, shard, BLOCK_CONN, &c->state, c->state_order);
	memory_give(s, shard, BLOCK_CONN, &index, CONN_ORDER);
	out[offsetof(struct folded, order)] = (uint8_t)block_order((uint32_t)len);
	index = blocks_take(&s->blocks, shard, BLOCK_CONN,
			    block_order((uint32_t)len)); /* there is room: it was just made */
	memcpy(block_at(&s->blocks, index), out, len);
	f->l7 = index | CONN_FOLDED;
	s->counters.folded++;
	return true;
}

void conn_fold(struct sessions *s, struct flow *f)
{
	if (f->l7 == FLOW_L7_NONE || f->l7 & CONN_FOLDED)
		return;
	s->conn = NULL;
	fold(s, conn_at(s, f->l7));
}

/* Some silent one, but not that at hand. */
static bool fold_one(struct sessions *s, uint8_t shard)
{
	for (unsigned i = 0; i < FOLD_TRIES && s->live[shard].count; i++) {
		struct conn *c = live_next(s, shard);
		bool spare = c == s->conn || (c->touched && i < FOLD_CHANCES);
		c->touched = false;
		if (!spare && fold(s, c))
			return true;
	}
	return false;
}

static const uint8_t *folded_at(const struct sessions *s, const struct flow *f, size_t *ret_room)
{
	const uint8_t *at = block_at(&s->blocks, f->l7 & ~CONN_FOLDED);
	*ret_room = BLOCK_SIZE(at[offsetof(struct folded, order)]);
	return at;
}

bool conn_is_at_rest(const struct sessions *s, const struct flow *f)
{
	size_t room;
	return folded_at(s, f, &room)[offsetof(struct folded, at_rest)];
}

void conn_read(const struct sessions *s, const struct flow *f, struct conn *ret_conn)
{
	size_t room;
	const uint8_t *at = folded_at(s, f, &room);
	union image image;
	read_image(at, room, &image);
	*ret_conn = image.conn;
}

void conn_write(struct sessions *s, const struct flow *f, const struct conn *c)
{
	uint8_t out[IMAGE_MAX];
	size_t room;
	const uint8_t *at = folded_at(s, f, &room);
	union image image;
	struct folded head = read_image(at, room, &image);
	image.conn = *c;
	predict(&image.conn, head.at_rest);
	size_t len = write_image(out, &head, &image);
	memcpy(block_at(&s->blocks, f->l7 & ~CONN_FOLDED), out, min_of(len, room));
}

void conn_refuse(struct sessions *s, struct flow *f)
{
	s->counters.conns_refused++;
	flow_mark_truncated(f);
	flow_stream_off(s->table, f);
}

/* It cannot be unfolded: what it waits for is given up, and it stays folded for the flow record's sake. */
static void lose(struct sessions *s, struct flow *f, struct conn *c)
{
	conn_refuse(s, f);
	c->flow = f;
	s->flow = f;
	s->conn = c;
	s->dissect.owner = owner_of(f);
	sessions_go_off(s);
	s->conn = NULL;
	s->record_conn = NULL;
	struct folded head = head_of(c);
	union image image;
	uint8_t out[IMAGE_MAX];
	size_t room;
	head.order = *folded_at(s, f, &room);
	image.conn = *c;
	predict(&image.conn, head.at_rest);
	size_t len = write_image(out, &head, &image);
	memcpy(block_at(&s->blocks, f->l7 & ~CONN_FOLDED), out, min_of(len, room));
}

struct conn *conn_unfold(struct sessions *s, struct flow *f)
{
	uint8_t shard = f->shard;
	uint32_t folded = f->l7 & ~CONN_FOLDED;
	size_t room;
	const uint8_t *at = folded_at(s, f, &room);
	union image image;
	struct folded head = read_image(at, room, &image);
	struct conn *c = &image.conn;
	uint32_t words = head.words - (uint32_t)CONN_WORDS;

	s->conn = NULL; /* none is at hand while room is made */
	c->state_order = (uint8_t)block_order(8 * words);
	uint32_t index = memory_take(s, shard, BLOCK_CONN, CONN_ORDER);
	if (index != BLOCK_NONE && words &&
	    (c->state = memory_take(s, shard, BLOCK_CONN, c->state_order)) == BLOCK_NONE)
		memory_give(s, shard, BLOCK_CONN, &index, CONN_ORDER);
	if (index == BLOCK_NONE) {
		if (!c->off)
			lose(s, f, c);
		return NULL;
	}
	c->flow = f;
	if (words)
		memcpy(block_at(&s->blocks, c->state), image.word + CONN_WORDS, 8 * words);
	struct conn *ret = conn_at(s, index);
	*ret = *c;
	memory_give(s, shard, BLOCK_CONN, &folded, head.order);
	f->l7 = index;
	live_flip(s, shard, index);
	s->counters.unfolded++;
	return ret;
}

/* ---- memory ---- */

uint32_t memory_take(struct sessions *s, uint8_t shard, enum block_kind kind, unsigned order)
{
	uint32_t i = blocks_take(&s->blocks, shard, kind, order);
	while (unlikely(i == BLOCK_NONE)) {
		if (!blocks_allow(&s->blocks.shard[shard], kind, 1u << order) || !fold_one(s, shard))
			break;
		i = blocks_take(&s->blocks, shard, kind, order);
	}
	return i;
}

int memory_grow(struct sessions *s, uint8_t shard, enum block_kind kind, uint32_t *index, uint8_t *order, uint32_t used,
		uint32_t need)
{
	if (*index != BLOCK_NONE && need <= BLOCK_SIZE(*order))
		return 0;
	if (need > BLOCK_MAX)
		return -ENOBUFS;
	unsigned next_order = block_order(need);
	uint32_t next = memory_take(s, shard, kind, next_order);
	if (next == BLOCK_NONE)
		return -ENOMEM;
	if (used)
		memcpy(block_at(&s->blocks, next), block_at(&s->blocks, *index), used);
	memory_give(s, shard, kind, index, *order);
	*index = next;
	*order = (uint8_t)next_order;
	return 0;
}

struct conn *conn_new(struct sessions *s, struct flow *f)
{
	s->conn = NULL;
	uint32_t index = memory_take(s, f->shard, BLOCK_CONN, CONN_ORDER);
	if (unlikely(index == BLOCK_NONE)) {
		conn_refuse(s, f);
		return NULL;
	}
	struct conn *c = conn_at(s, index);
	*c = conn_fresh;
	c->flow = f;
	c->client = f->client;
	c->midstream = flow_is_midstream(s->table, f);
	c->synced = !c->midstream;
	f->l7 = index;
	live_flip(s, f->shard, index);
	if (s->record_conn == c)
		s->record_conn = NULL;
	return c;
}

void conn_free(struct sessions *s, struct flow *f)
{
	uint8_t shard = f->shard;
	uint32_t index = f->l7 & ~CONN_FOLDED;
	unsigned order = CONN_ORDER;
	if (f->l7 & CONN_FOLDED) {
		order = *(const uint8_t *)block_at(&s->blocks, index);
	} else {
		struct conn *c = conn_at(s, index);
		live_flip(s, shard, index);
		memory_give(s, shard, BLOCK_CONN, &c->state, c->state_order);
		memory_give(s, shard, BLOCK_TEXT, &c->extra, 0);
		if (s->record_conn == c)
			s->record_conn = NULL;
	}
	memory_give(s, shard, BLOCK_CONN, &index, order);
	f->l7 = FLOW_L7_NONE;
}

struct extra *extra_make(struct sessions *s, struct conn *c)
{
	if (c->extra == BLOCK_NONE) {
		c->extra = memory_take(s, c->flow->shard, BLOCK_TEXT, 0);
		if (c->extra == BLOCK_NONE)
			return NULL;
		*extra_of(s, c) = (struct extra){
		    .inner = {BLOCK_NONE, BLOCK_NONE},
		    .notes_head = BLOCK_NONE,
		    .notes_tail = BLOCK_NONE,
		};
	}
	return extra_of(s, c);
}
