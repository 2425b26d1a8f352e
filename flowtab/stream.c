#include "internal.h"

/* Positions are compared as distances from stream_next, the first byte that was not given yet. What lies behind it has
 * been given; what is held lies strictly ahead of it, in order, without overlap.
 *
 * Every callback may turn the streams off or ask for a skip, so after each one the side is looked at afresh. */

static bool is_off(const struct flow *f)
{
	return f->flags & FLOW_BYTES_OFF;
}

void stream_start(struct tcp_side *s, uint32_t seq)
{
	if (s->flags & SIDE_STARTED)
		return;
	s->flags |= SIDE_STARTED;
	s->stream_next = seq;
}

static void tell_data(struct flowtab *t, struct flow *f, unsigned direction, const uint8_t *data, uint32_t len,
		      uint32_t seq, uint32_t ack, int64_t ts_ns)
{
	struct flow_data d = {.data = data,
			      .len = len,
			      .seq = seq,
			      .ack = ack,
			      .direction = (uint8_t)direction,
			      .datagram = false,
			      .ts_ns = ts_ns};
	t->calls->data(t->ctx, f, &d);
}

/* What is left of the direction's skip. */
static inline uint64_t skip_left(const struct flowtab *t, const struct flow *f, const struct tcp_side *s,
				 unsigned direction)
{
	return likely(!(s->flags & SIDE_SKIP)) ? 0 : flow_rest(t, f)->skip[direction];
}

/* Takes up to `len` bytes off the skip; tells its end. Returns how many. */
static uint32_t take_skip(struct flowtab *t, struct flow *f, struct tcp_side *s, unsigned direction, uint32_t len,
			  uint32_t seq, uint32_t ack, int64_t ts_ns)
{
	uint64_t *skip = &flow_rest(t, f)->skip[direction];
	uint32_t n = *skip < len ? (uint32_t)*skip : len;
	*skip -= n;
	if (!*skip) {
		s->flags &= (uint16_t)~SIDE_SKIP;
		tell_data(t, f, direction, NULL, 0, seq + n, ack, ts_ns);
	}
	return n;
}

/* `len` bytes from stream_next on. */
static void deliver(struct flowtab *t, struct flow *f, struct tcp_side *s, unsigned direction, const uint8_t *data,
		    uint32_t len, uint32_t ack, int64_t ts_ns)
{
	uint32_t seq = s->stream_next;
	s->stream_next += len;
	while ((s->flags & SIDE_SKIP) && len && !is_off(f)) {
		uint32_t n = take_skip(t, f, s, direction, len, seq, ack, ts_ns);
		data += n;
		seq += n;
		len -= n;
	}
	if (len && !is_off(f))
		tell_data(t, f, direction, data, len, seq, ack, ts_ns);
}

/* `len` bytes from stream_next on that lie in a skip and were not kept. */
static void deliver_skipped(struct flowtab *t, struct flow *f, struct tcp_side *s, unsigned direction, uint32_t len,
			    uint32_t ack, int64_t ts_ns)
{
	uint32_t seq = s->stream_next;
	s->stream_next += len;
	if ((s->flags & SIDE_SKIP) && !is_off(f))
		take_skip(t, f, s, direction, len, seq, ack, ts_ns);
}

/* `missing` bytes from stream_next on were never seen. Within a skip nobody misses them. */
static void tell_gap(struct flowtab *t, struct flow *f, struct tcp_side *s, unsigned direction, uint32_t missing,
		     int64_t ts_ns)
{
	uint32_t seq = s->stream_next;
	s->stream_next += missing;
	struct trouble_side *x = tcp_trouble_make(t, f, direction);
	if (x) {
		x->gap_bytes += missing;
		f->flags |= FLOW_GAPS;
	}
	while ((s->flags & SIDE_SKIP) && missing && !is_off(f)) {
		uint32_t n = take_skip(t, f, s, direction, missing, seq, 0, ts_ns);
		seq += n;
		missing -= n;
	}
	if (missing && !is_off(f))
		t->calls->gap(t->ctx, f, direction, missing, seq, ts_ns);
}

/* `len` bytes from stream_next on that the snap length cut off: missing, but where nobody would have looked. */
static void deliver_cut(struct flowtab *t, struct flow *f, struct tcp_side *s, unsigned direction, uint32_t len,
			uint32_t ack, int64_t ts_ns)
{
	while ((s->flags & SIDE_SKIP) && len && !is_off(f)) {
		uint32_t n = (uint32_t)min_of(skip_left(t, f, s, direction), (uint64_t)len);
		deliver_skipped(t, f, s, direction, n, ack, ts_ns);
		len -= n;
	}
	if (len)
		tell_gap(t, f, s, direction, len, ts_ns);
}

static struct segment *segment_at(const struct flowtab *t, uint32_t index)
{
	return pool_at(&t->segments, index);
}

static void free_segment(struct flowtab *t, struct flow *f, uint32_t index)
{
	pool_give(&t->segments, &flow_shard(t, f)->segments, index);
	publish_add(t->counters.segments_held, (uint64_t)-1);
}

void stream_drop(struct flowtab *t, struct flow *f, struct tcp *c)
{
	for (unsigned i = 0; i < 2; i++) {
		if (!(c->side[i].flags & SIDE_HELD))
			continue;
		struct trouble_side *x = flow_trouble(t, f, i);
		while (x->head != POOL_NONE) {
			uint32_t index = x->head;
			x->head = segment_at(t, index)->next;
			free_segment(t, f, index);
		}
		x->tail = POOL_NONE;
		x->held = 0;
		c->side[i].flags &= (uint16_t)~SIDE_HELD;
	}
}

/* The first segment held, NULL where none is. */
static inline struct segment *first_held(const struct flowtab *t, const struct flow *f, const struct tcp_side *s,
					 unsigned direction)
{
	return likely(!(s->flags & SIDE_HELD)) ? NULL : segment_at(t, flow_trouble(t, f, direction)->head);
}

static struct segment *take_first_held(const struct flowtab *t, const struct flow *f, struct tcp_side *s,
				       unsigned direction)
{
	struct trouble_side *x = flow_trouble(t, f, direction);
	struct segment *g = segment_at(t, x->head);
	x->head = g->next;
	x->held--;
	if (x->head == POOL_NONE) {
		x->tail = POOL_NONE;
		s->flags &= (uint16_t)~SIDE_HELD;
	}
	return g;
}

/* Gives what is held and in order by now. */
static void drain(struct flowtab *t, struct flow *f, struct tcp_side *s, unsigned direction)
{
	struct segment *g;
	while ((g = first_held(t, f, s, direction)) && g->seq == s->stream_next) {
		take_first_held(t, f, s, direction);
		if (g->kind == SEGMENT_DATA)
			deliver(t, f, s, direction, g->data, g->len, g->ack, g->ts_ns);
		else if (g->kind == SEGMENT_SKIPPED)
			deliver_skipped(t, f, s, direction, g->len, g->ack, g->ts_ns);
		else
			deliver_cut(t, f, s, direction, g->len, g->ack, g->ts_ns);
		free_segment(t, f, pool_index(&t->segments, g));
	}
}

static void check_end(struct flowtab *t, struct flow *f, struct tcp_side *s, unsigned direction, int64_t ts_ns)
{
	if ((s->flags & (SIDE_FIN | SIDE_STARTED | SIDE_ENDED)) != (SIDE_FIN | SIDE_STARTED) ||
	    s->stream_next != s->fin || is_off(f))
		return;
	s->flags |= SIDE_ENDED;
	t->calls->end(t->ctx, f, direction, ts_ns);
}

/* A piece of the stream on its way in: `captured` of its `len` bytes are at data. */
struct piece {
	const uint8_t *data;
	uint32_t seq, len, captured, ack;
	int64_t ts_ns;
};

static void piece_trim(struct piece *p, uint32_t n)
{
	p->seq += n;
	p->len -= n;
	uint32_t cut = min_of(n, p->captured);
	p->captured -= cut;
	p->data += cut;
}

/* Gives up to `len` bytes of the piece, whose first byte is the next one of the stream. */
static void give(struct flowtab *t, struct flow *f, struct tcp_side *s, unsigned direction, struct piece *p,
		 uint32_t len)
{
	uint32_t have = min_of(len, p->captured);
	struct piece at = *p;
	piece_trim(p, len);
	if (have)
		deliver(t, f, s, direction, at.data, have, at.ack, at.ts_ns);
	if (len > have)
		deliver_cut(t, f, s, direction, len - have, at.ack, at.ts_ns);
}

/* Puts one segment of the piece's first bytes between two held ones (after POOL_NONE: first). At most `len` bytes.
 * Returns how many; 0 when there is no more room. */
static uint32_t hold_one(struct flowtab *t, struct flow *f, struct tcp_side *s, struct trouble_side *x, uint64_t skip,
			 struct piece *p, uint32_t len, uint32_t *after)
{
	uint32_t ahead = p->seq - s->stream_next;
	enum segment_kind kind = SEGMENT_DATA;
	if (skip > ahead) {
		kind = SEGMENT_SKIPPED;
		if (skip - ahead < len)
			len = (uint32_t)(skip - ahead);
	} else if (!p->captured) {
		kind = SEGMENT_MISSING;
	} else {
		len = min_of(min_of(len, p->captured), (uint32_t)SEGMENT_BYTES);
	}
	struct segment *before = *after == POOL_NONE ? NULL : segment_at(t, *after);
	if (before && kind == SEGMENT_SKIPPED && before->kind == SEGMENT_SKIPPED &&
	    before->seq + before->len == p->seq) {
		before->len += len;
		before->ack = p->ack;
		before->ts_ns = p->ts_ns;
		return len;
	}
	if (x->held >= t->held_max)
		return 0;
	uint32_t index = pool_take(&t->segments, &flow_shard(t, f)->segments);
	if (index == POOL_NONE)
		return 0;
	publish_add(t->counters.segments_held, 1);
	struct segment *g = segment_at(t, index);
	g->next = before ? before->next : x->head;
	g->seq = p->seq;
	g->len = len;
	g->kind = kind;
	g->ack = p->ack;
	g->ts_ns = p->ts_ns;
	if (kind == SEGMENT_DATA)
		memcpy(g->data, p->data, len);
	if (before)
		before->next = index;
	else
		x->head = index;
	if (g->next == POOL_NONE)
		x->tail = index;
	x->held++;
	s->flags |= SIDE_HELD;
	*after = index;
	return len;
}

/* Keeps what of the piece is not held already. False when the room is used up: the piece is then what is left of it. */
static bool hold(struct flowtab *t, struct flow *f, struct tcp_side *s, unsigned direction, struct piece *p)
{
	struct trouble_side *x = tcp_trouble_make(t, f, direction);
	if (!x) {
		publish_add(t->counters.segments_refused, 1);
		return false;
	}
	uint64_t skip = skip_left(t, f, s, direction);
	uint32_t after = POOL_NONE, at = x->head;
	if (x->tail != POOL_NONE && seq_diff(p->seq, segment_at(t, x->tail)->seq) >= 0) {
		after = x->tail;
		at = POOL_NONE;
		const struct segment *g = segment_at(t, after);
		int32_t overlap = seq_diff(g->seq + g->len, p->seq);
		if (overlap > 0)
			piece_trim(p, min_of((uint32_t)overlap, p->len));
	}
	while (p->len) {
		const struct segment *g = NULL;
		while (at != POOL_NONE) {
			g = segment_at(t, at);
			if (seq_diff(g->seq + g->len, p->seq) > 0)
				break;
			after = at;
			at = g->next;
			g = NULL;
		}
		uint32_t len = p->len;
		if (g) {
			int32_t room = seq_diff(g->seq, p->seq);
			if (room <= 0) {
				piece_trim(p, min_of((uint32_t)seq_diff(g->seq + g->len, p->seq), p->len));
				continue;
			}
			len = min_of(len, (uint32_t)room);
		}
		uint32_t n = hold_one(t, f, s, x, skip, p, len, &after);
		if (!n) {
			publish_add(t->counters.segments_refused, 1);
			return false;
		}
		piece_trim(p, n);
	}
	return true;
}

/* Whether the peer has acknowledged all before `seq`. */
static bool acked_up_to(const struct tcp_side *peer, uint32_t seq)
{
	return (peer->flags & SIDE_ACK) && seq_diff(peer->ack, seq) >= 0;
}

/* Where the hole at stream_next ends: at what is held first, or at the piece that begins at `seq`. */
static uint32_t first_of(const struct flowtab *t, const struct flow *f, const struct tcp_side *s, unsigned direction,
			 uint32_t seq)
{
	const struct segment *g = first_held(t, f, s, direction);
	return g && seq_diff(g->seq, seq) < 0 ? g->seq : seq;
}

/* Each turn gives some bytes of the piece, gives up a hole, or keeps the rest and returns. */
static void feed(struct flowtab *t, struct flow *f, struct tcp *c, unsigned direction, struct piece p)
{
	struct tcp_side *s = &c->side[direction];
	const struct tcp_side *peer = &c->side[!direction];
	for (;;) {
		if (is_off(f))
			return;
		int32_t ahead = seq_diff(p.seq, s->stream_next);
		if (ahead < 0) {
			piece_trim(&p, min_of((uint32_t)-ahead, p.len));
			ahead = seq_diff(p.seq, s->stream_next);
		}
		if (!p.len)
			return;
		if (likely(!ahead)) {
			uint32_t len = p.len;
			const struct segment *g = first_held(t, f, s, direction);
			if (g)
				len = min_of(len, g->seq - s->stream_next);
			give(t, f, s, direction, &p, len);
			drain(t, f, s, direction);
			continue;
		}
		uint32_t hole_end = first_of(t, f, s, direction, p.seq);
		if (!acked_up_to(peer, hole_end)) {
			/* What is held must stay within reach of the arithmetic of sequence numbers. */
			bool within = (uint32_t)ahead + p.len < SEQUENCE_FAR;
			if (within && hold(t, f, s, direction, &p))
				return;
			/* No room: what is missing first is given up, which makes some. */
			f->flags |= FLOW_TRUNCATED;
			hole_end = first_of(t, f, s, direction, p.seq);
		}
		tell_gap(t, f, s, direction, hole_end - s->stream_next, p.ts_ns);
		drain(t, f, s, direction);
	}
}

void stream_bytes(struct flowtab *t, struct flow *f, struct tcp *c, unsigned direction, uint32_t seq,
		  const struct packet *p, int64_t ts_ns)
{
	struct tcp_side *s = &c->side[direction];
	if (is_off(f))
		return;
	struct piece piece = {.data = p->payload,
			      .seq = seq,
			      .len = p->payload_len,
			      .captured = min_of(p->payload_captured, p->payload_len),
			      .ack = p->ack,
			      .ts_ns = ts_ns};
	if (unlikely(!(s->flags & SIDE_STARTED))) {
		/* Picked up in its middle, by what may be a keep-alive probe: its one byte is not data. */
		if (piece.len == 1 && (!(p->tcp_flags & TCP_PSH) || acked_up_to(&c->side[!direction], seq + 1))) {
			stream_start(s, seq + 1);
			return;
		}
		stream_start(s, seq);
	}
	if (s->flags & SIDE_FIN) {
		int32_t room = seq_diff(s->fin, seq);
		if (room <= 0)
			return;
		piece.len = min_of(piece.len, (uint32_t)room);
		piece.captured = min_of(piece.captured, piece.len);
	}
	if (likely(seq == s->stream_next && piece.captured == piece.len && !(s->flags & (SIDE_HELD | SIDE_SKIP)))) {
		s->stream_next += piece.len;
		tell_data(t, f, direction, piece.data, piece.len, seq, piece.ack, ts_ns);
	} else {
		feed(t, f, c, direction, piece);
	}
	check_end(t, f, s, direction, ts_ns);
}

/* Missing bytes that the peer has acknowledged and that no data has come after: told when the hole is larger than any
 * disorder between the two directions of a capture can be, else when the next data come, or at the end. */
#define TAIL_GAP_BYTES (64 << 20)

void stream_acked(struct flowtab *t, struct flow *f, struct tcp *c, unsigned direction, int64_t ts_ns)
{
	struct tcp_side *s = &c->side[direction];
	const struct tcp_side *peer = &c->side[!direction];
	if (is_off(f) || !(s->flags & SIDE_STARTED) || seq_diff(peer->ack, s->stream_next) <= 0)
		return;
	const struct segment *g;
	while ((g = first_held(t, f, s, direction)) && acked_up_to(peer, g->seq)) {
		tell_gap(t, f, s, direction, g->seq - s->stream_next, ts_ns);
		drain(t, f, s, direction);
	}
	if (!is_off(f) && !(s->flags & SIDE_HELD) && seq_diff(peer->ack, s->stream_next) > TAIL_GAP_BYTES)
		tell_gap(t, f, s, direction, peer->ack - s->stream_next, ts_ns);
	check_end(t, f, s, direction, ts_ns);
}

void stream_fin(struct flowtab *t, struct flow *f, struct tcp *c, unsigned direction, int64_t ts_ns)
{
	struct tcp_side *s = &c->side[direction];
	stream_start(s, s->fin);
	/* Behind a hole that the peer has acknowledged nobody waits for anything. */
	if (!is_off(f) && !(s->flags & SIDE_HELD) && seq_diff(s->fin, s->stream_next) > 0 &&
	    acked_up_to(&c->side[!direction], s->fin))
		tell_gap(t, f, s, direction, s->fin - s->stream_next, ts_ns);
	check_end(t, f, s, direction, ts_ns);
}

static void flush_held(struct flowtab *t, struct flow *f, struct tcp_side *s, unsigned direction, int64_t ts_ns)
{
	const struct segment *g;
	while ((g = first_held(t, f, s, direction))) {
		uint32_t missing = g->seq - s->stream_next;
		if (missing)
			tell_gap(t, f, s, direction, missing, ts_ns);
		drain(t, f, s, direction);
	}
}

void stream_jump(struct flowtab *t, struct flow *f, struct tcp *c, unsigned direction, uint32_t seq, int64_t ts_ns)
{
	struct tcp_side *s = &c->side[direction];
	if (!(s->flags & SIDE_STARTED) || is_off(f)) {
		s->stream_next = seq;
		return;
	}
	flush_held(t, f, s, direction, ts_ns);
	if (seq_diff(seq, s->stream_next) > 0)
		tell_gap(t, f, s, direction, seq - s->stream_next, ts_ns);
	s->stream_next = seq;
}

void stream_flush(struct flowtab *t, struct flow *f, struct tcp *c, int64_t ts_ns)
{
	for (unsigned i = 0; i < 2; i++) {
		unsigned direction = i ^ f->client;
		struct tcp_side *s = &c->side[direction];
		const struct tcp_side *peer = &c->side[!direction];
		if (!(s->flags & SIDE_STARTED) || is_off(f))
			continue;
		flush_held(t, f, s, direction, ts_ns);
		int32_t missing = 0;
		if (s->flags & SIDE_FIN) {
			missing = seq_diff(s->fin, s->stream_next);
		} else if (peer->flags & SIDE_ACK) {
			missing = seq_diff(peer->ack, s->stream_next);
			/* a single byte is most likely a FIN that was not seen */
			missing -= missing == 1 || (peer->flags & SIDE_ACK_ONE);
		}
		if (missing > 0)
			tell_gap(t, f, s, direction, (uint32_t)missing, ts_ns);
		check_end(t, f, s, direction, ts_ns);
	}
	stream_drop(t, f, c);
}

void flow_stream_skip(struct flowtab *t, struct flow *f, unsigned direction, uint64_t n)
{
	struct tcp *c = flow_tcp(t, f);
	if (!c)
		return;
	struct tcp_side *s = &c->side[direction];
	flow_rest(t, f)->skip[direction] = n;
	s->flags = (uint16_t)(n ? s->flags | SIDE_SKIP : s->flags & ~SIDE_SKIP);
}

bool flow_stream_skipping(const struct flowtab *t, const struct flow *f, unsigned direction, uint64_t *ret_left,
			  int64_t *ret_ns)
{
	const struct tcp *c = flow_tcp(t, f);
	if (!c || !(c->side[direction].flags & SIDE_SKIP))
		return false;
	*ret_left = flow_rest(t, f)->skip[direction];
	*ret_ns = c->side[direction].data_ns;
	return true;
}

void flow_stream_off(struct flowtab *t, struct flow *f)
{
	f->flags |= FLOW_BYTES_OFF;
	struct tcp *c = flow_tcp(t, f);
	if (c)
		stream_drop(t, f, c);
}
