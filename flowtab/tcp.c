#include "internal.h"

/* The state machine, and performance as far as two directions of headers tell it. Retransmissions are told apart as
 * tshark's TCP analysis does (Wireshark User's Guide, "TCP Analysis"), with one difference: bytes that were never seen
 * are not a retransmission, although their acknowledgment may have been captured before them. */

#define FAST_RETRANSMIT_NS (20 * NS_PER_MS)
#define DISORDER_NS (3 * NS_PER_MS) /* where the handshake was not seen, so that the round trip is not known */
#define WINDOW_LEAST (4 << 20)      /* of what may be sent beyond the last acknowledgment, in a capture with losses */
#define WINDOW_UNKNOWN (16 << 20)   /* the same where the window's scale is not known */
#define STRANGE_MAX 8               /* packets in a row that are far off: then it was the capture that had a hole */

static inline void sample_add(struct samples *s, unsigned direction, int64_t ns)
{
	if (ns < 0) /* the clock stepped back in between */
		return;
	s->sum[direction] += ns;
	s->max[direction] = max_of(s->max[direction], ns);
	s->count[direction]++;
}

enum flow_state tcp_first_state(const struct packet *p)
{
	uint8_t flags = p->tcp_flags;
	if (flags & TCP_SYN) {
		if (flags & (TCP_FIN | TCP_RST))
			return FLOW_EXCEPTION;
		return flags & TCP_ACK ? FLOW_OPENING_2 : FLOW_OPENING_1;
	}
	if (flags & TCP_RST)
		return FLOW_RESET;
	if (flags & TCP_FIN)
		return flags & TCP_ACK ? FLOW_CLOSING_1 : FLOW_EXCEPTION;
	return flags & TCP_ACK ? FLOW_ESTABLISHED : FLOW_EXCEPTION;
}

bool tcp_is_reuse(const struct flowtab *t, const struct flow *f, const struct packet *p)
{
	unsigned direction = p->direction;
	const struct tcp *c = flow_tcp(t, f);
	if (!c) {
		/* Of a flow without second tier the first packet's number is known: that of lone SYNs, which are all
		 * attempts of one flow, or that of a flow that was refused one or has closed. */
		if (f->state == FLOW_OPENING_1)
			return false;
		bool same_direction = direction == !!(f->flags & FLOW_FIRST_1);
		if (f->state == FLOW_LINGER)
			return !same_direction || p->seq != f->isn;
		return !(f->flags & (FLOW_SYN_0 << direction)) || (same_direction && p->seq != f->isn);
	}
	const struct tcp_side *s = &c->side[direction];
	if (s->flags & SIDE_ISN)
		return s->isn != p->seq;
	if (f->state == FLOW_OPENING_1 || f->state == FLOW_OPENING_2)
		return false; /* both ends open at once, or the SYN comes after its SYN-ACK */
	/* A SYN that came after the data it precedes. */
	return !(s->flags & SIDE_STARTED) || s->stream_next - p->seq - 1 > 0xffff;
}

static bool attach(struct flowtab *t, struct flow *f)
{
	uint32_t index = pool_take(&t->tcp, &flow_shard(t, f)->tcp);
	if (index == POOL_NONE) {
		publish_add(t->counters.tcp_refused, 1);
		f->flags |= FLOW_NO_TCP | FLOW_TRUNCATED;
		return false;
	}
	f->tcp = index;
	struct tcp *c = pool_at(&t->tcp, index);
	struct tcp_rest *m = flow_rest(t, f);
	memset(c, 0, sizeof *c);
	memset(m, 0, sizeof *m);
	m->trouble = POOL_NONE;
	m->syn_direction = 2;
	return true;
}

struct trouble_side *tcp_trouble_make(struct flowtab *t, struct flow *f, unsigned direction)
{
	struct tcp_rest *m = flow_rest(t, f);
	if (likely(m->trouble != POOL_NONE))
		return flow_trouble(t, f, direction);
	uint32_t index = pool_take(&t->trouble, &flow_shard(t, f)->trouble);
	if (index == POOL_NONE) {
		publish_add(t->counters.trouble_refused, 1);
		f->flags |= FLOW_TRUNCATED;
		return NULL;
	}
	struct tcp_trouble *x = pool_at(&t->trouble, index);
	memset(x, 0, sizeof *x);
	for (unsigned i = 0; i < 2; i++)
		x->side[i].head = x->side[i].tail = POOL_NONE;
	m->trouble = index;
	return &x->side[direction];
}

static void trouble_free(struct flowtab *t, struct flow *f)
{
	struct tcp_rest *m = flow_rest(t, f);
	if (m->trouble == POOL_NONE)
		return;
	pool_give(&t->trouble, &flow_shard(t, f)->trouble, m->trouble);
	m->trouble = POOL_NONE;
}

void tcp_trouble_told(struct flowtab *t, struct flow *f)
{
	const struct tcp *c = flow_tcp(t, f);
	if (!((c->side[0].flags | c->side[1].flags) & (SIDE_HELD | SIDE_HOLES)) && !flow_has_gaps(f))
		trouble_free(t, f);
}

/* The lone SYNs that the flow began with, before the packet at hand. */
static void attach_syns(struct flowtab *t, struct flow *f, struct tcp *c, const struct packet *p)
{
	unsigned direction = !!(f->flags & FLOW_FIRST_1);
	struct tcp_side *s = &c->side[direction];
	s->isn = f->isn;
	s->next = f->isn + 1;
	s->next_ns = t->before_ns;
	s->flags = SIDE_KNOWN | SIDE_ISN;
	if (f->syn_scale != 255) {
		s->flags |= SIDE_SCALE;
		s->scale = f->syn_scale;
	}
	stream_start(s, s->next);
	struct tcp_rest *m = flow_rest(t, f);
	m->syn_ns = t->before_ns;
	m->syn_direction = (uint8_t)direction;
	m->syn_count = f->packets[direction] - (p->direction == direction ? p->frames : 0);
	struct trouble_side *x = f->syn_repeats ? tcp_trouble_make(t, f, direction) : NULL;
	if (x)
		x->retrans = f->syn_repeats;
}

void tcp_free(struct flowtab *t, struct flow *f)
{
	struct tcp *c = flow_tcp(t, f);
	if (!c)
		return;
	stream_drop(t, f, c);
	trouble_free(t, f);
	pool_give(&t->tcp, &flow_shard(t, f)->tcp, f->tcp);
	f->tcp = POOL_NONE;
}

/* Holes: what the other packets went past and what was not seen since. */
static void hole_open(struct flowtab *t, struct flow *f, struct tcp_side *s, unsigned direction, uint32_t from,
		      uint32_t to)
{
	struct trouble_side *x = tcp_trouble_make(t, f, direction);
	if (!x)
		return;
	if (x->holes == TCP_HOLES) { /* the lowest is forgotten */
		memmove(&x->hole[0], &x->hole[1], sizeof x->hole[0] * (TCP_HOLES - 1));
		x->holes--;
	}
	x->hole[x->holes].from = from;
	x->hole[x->holes].to = to;
	x->holes++;
	s->flags |= SIDE_HOLES;
}

static void hole_remove(struct tcp_side *s, struct trouble_side *x, unsigned i)
{
	x->holes--;
	memmove(&x->hole[i], &x->hole[i + 1], sizeof x->hole[0] * (x->holes - i));
	if (!x->holes)
		s->flags &= (uint16_t)~SIDE_HOLES;
}

/* Marks from..to as seen. True: some of it was in a hole. */
static bool hole_fill(struct tcp_side *s, struct trouble_side *x, uint32_t from, uint32_t to)
{
	bool new = false;
	for (unsigned i = 0; i < x->holes;) {
		uint32_t low = x->hole[i].from, high = x->hole[i].to;
		if (seq_diff(to, low) <= 0 || seq_diff(from, high) >= 0) {
			i++;
			continue;
		}
		new = true;
		bool left = seq_diff(from, low) > 0, right = seq_diff(high, to) > 0;
		if (!left && !right) {
			hole_remove(s, x, i);
			continue;
		}
		if (left)
			x->hole[i].to = from;
		else
			x->hole[i].from = to;
		if (left && right && x->holes < TCP_HOLES) {
			memmove(&x->hole[i + 2], &x->hole[i + 1], sizeof x->hole[0] * (x->holes - i - 1));
			x->hole[i + 1].from = to;
			x->hole[i + 1].to = high;
			x->holes++;
		}
		i++;
	}
	return new;
}

/* What is acknowledged will not be sent again but spuriously. Where nobody reads the stream, holes are its gaps. */
static void holes_acked(struct flowtab *t, struct flow *f, struct tcp_side *s, unsigned direction, uint32_t ack)
{
	struct trouble_side *x = flow_trouble(t, f, direction);
	while (x->holes && seq_diff(ack, x->hole[0].to) >= 0) {
		if (f->flags & FLOW_BYTES_OFF) {
			x->gap_bytes += x->hole[0].to - x->hole[0].from;
			f->flags |= FLOW_GAPS;
		}
		hole_remove(s, x, 0);
	}
}

/* The later of what a side has sent and of what its peer has acknowledged of it. False where neither
 * is known. */
static bool reached(const struct tcp_side *s, const struct tcp_side *peer, uint32_t *ret_seq)
{
	bool acked = peer->flags & SIDE_ACK;
	if (!(s->flags & SIDE_KNOWN) && !acked)
		return false;
	*ret_seq = !acked || ((s->flags & SIDE_KNOWN) && seq_diff(s->next, peer->ack) > 0) ? s->next : peer->ack;
	return true;
}

/* Whether a segment that ends at `end` is too far off to be of this connection: damaged, or forged. */
static bool is_strange_seq(const struct tcp_side *s, const struct tcp_side *peer, uint32_t seq, uint32_t end)
{
	if (!(s->flags & SIDE_KNOWN) || seq == s->next)
		return false;
	if (seq_diff(end, s->next) <= 0)
		return seq_diff(end, s->next) < -SEQUENCE_FAR;
	uint32_t room = WINDOW_UNKNOWN;
	if (s->flags & peer->flags & SIDE_SCALE)
		room = max_of((uint32_t)WINDOW_LEAST, 2 * ((uint32_t)peer->window_max << peer->scale));
	uint32_t from = s->next;
	reached(s, peer, &from);
	return seq_diff(end, from) > (int32_t)min_of(room, (uint32_t)SEQUENCE_FAR) ||
	       seq_diff(end, from) < -SEQUENCE_FAR;
}

/* The same of an acknowledgment of the peer's bytes. */
static bool is_strange_ack(const struct tcp_side *s, const struct tcp_side *peer, uint32_t ack)
{
	uint32_t from;
	if (!reached(peer, s, &from))
		return false;
	return seq_diff(ack, from) > WINDOW_UNKNOWN || seq_diff(ack, from) < -SEQUENCE_FAR;
}

static bool rst_is_valid(const struct flow *f, const struct tcp_side *s, const struct tcp_side *peer,
			 const struct packet *p)
{
	if (f->state == FLOW_OPENING_1)
		/* RFC 9293 §3.10.7.3: the answer to a SYN is known by what it acknowledges. */
		return (p->tcp_flags & TCP_ACK) && (peer->flags & SIDE_ISN)
			   ? p->ack == peer->next || s->flags & SIDE_KNOWN
			   : true;
	if (!(s->flags & SIDE_KNOWN))
		return true;
	int32_t from_next = seq_diff(p->seq, s->next);
	if (from_next >= -1 && from_next <= 1)
		return true;
	if (!(peer->flags & SIDE_ACK))
		return from_next > -SEQUENCE_FAR && from_next < SEQUENCE_FAR;
	/* Within the window that the peer had announced (RFC 9293 §3.10.7.4), or what of it this capture can know. */
	uint32_t window =
	    max_of((uint32_t)peer->window << (s->flags & peer->flags & SIDE_SCALE ? peer->scale : 0), 65535u);
	int32_t from_ack = seq_diff(p->seq, peer->ack);
	return from_ack >= -1 && from_ack <= (int32_t)window;
}

static enum flow_state state_after_rst(enum flow_state state)
{
	switch (state) {
	case FLOW_OPENING_1:
		return FLOW_RESET_OPENING_1;
	case FLOW_OPENING_2:
		return FLOW_RESET_OPENING_2;
	case FLOW_QUEUE_LACK:
		return FLOW_RESET_QUEUE_LACK;
	case FLOW_CLOSING_1:
	case FLOW_CLOSING_2:
		return FLOW_RESET_CLOSING;
	case FLOW_ESTABLISHED:
	case FLOW_EXCEPTION:
		return FLOW_RESET;
	default:
		return state; /* the first RST counts */
	}
}

/* c is NULL where the second tier was refused: then flags alone decide. */
static void step(struct flowtab *t, struct flow *f, struct tcp *c, const struct packet *p)
{
	unsigned direction = p->direction;
	uint8_t flags = p->tcp_flags;
	enum flow_state state = f->state, next = state;
	if (state == FLOW_RESET || state == FLOW_RESET_CLOSING ||
	    (state >= FLOW_RESET_OPENING_1 && state <= FLOW_RESET_QUEUE_LACK))
		return;
	if (flags & TCP_RST) {
		if (c && !rst_is_valid(f, &c->side[direction], &c->side[!direction], p))
			return;
		if (direction)
			f->flags |= FLOW_RST_1;
		next = state_after_rst(state);
	} else if (flags & TCP_SYN) {
		if (flags & TCP_FIN)
			return;
		bool first = !(f->flags & (FLOW_SYN_0 << direction));
		f->flags |= FLOW_SYN_0 << direction;
		if (flags & TCP_ACK) {
			if (state == FLOW_OPENING_1)
				next = FLOW_OPENING_2;
			else if (state == FLOW_ESTABLISHED && c && !first && (f->flags & FLOW_HANDSHAKE) &&
				 !(f->flags & FLOW_TALKED))
				next = FLOW_QUEUE_LACK;
		} else if (state == FLOW_OPENING_1 &&
			   (f->flags & (FLOW_SYN_0 | FLOW_SYN_1)) == (FLOW_SYN_0 | FLOW_SYN_1)) {
			next = FLOW_OPENING_2;
		}
	} else if (flags & TCP_FIN) {
		f->flags |= FLOW_FIN_0 << direction;
		next = (f->flags & (FLOW_FIN_0 | FLOW_FIN_1)) == (FLOW_FIN_0 | FLOW_FIN_1) ? FLOW_CLOSING_2
											   : FLOW_CLOSING_1;
	} else if (flags & TCP_ACK) {
		bool from_client = direction == f->client;
		if (state == FLOW_OPENING_1 && (from_client || p->payload_len))
			next = FLOW_ESTABLISHED;
		else if (state == FLOW_OPENING_2 || state == FLOW_EXCEPTION)
			next = FLOW_ESTABLISHED;
		else if (state == FLOW_QUEUE_LACK && !from_client)
			next = FLOW_ESTABLISHED;
	}
	if (next != state)
		flow_set_state(t, f, next);
}

/* The first packet's flags have given the flow its state; here they only leave their marks. */
static void mark_first(struct flow *f, const struct packet *p)
{
	if (f->state == FLOW_EXCEPTION)
		return;
	if (p->tcp_flags & TCP_SYN)
		f->flags |= FLOW_SYN_0 << p->direction;
	if (p->tcp_flags & TCP_FIN)
		f->flags |= FLOW_FIN_0 << p->direction;
	if ((p->tcp_flags & TCP_RST) && p->direction)
		f->flags |= FLOW_RST_1;
}

static bool is_bare_ack(const struct packet *p)
{
	return !p->payload_len && (p->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK)) == TCP_ACK;
}

static void count_ack_retrans(struct flowtab *t, struct flow *f, unsigned direction)
{
	struct trouble_side *x = tcp_trouble_make(t, f, direction);
	if (x)
		x->ack_retrans++;
}

/* SYN, SYN-ACK and the ACK of it: how often, and the round trip. */
static void handshake(struct flowtab *t, struct flow *f, struct tcp *c, const struct packet *p, int64_t ts_ns)
{
	unsigned direction = p->direction;
	struct tcp_side *s = &c->side[direction], *peer = &c->side[!direction];
	struct tcp_rest *m = flow_rest(t, f);
	if (p->tcp_flags & TCP_SYN) {
		if (!(s->flags & SIDE_ISN)) {
			s->flags |= SIDE_ISN;
			s->isn = p->seq;
			stream_start(s, p->seq + 1);
		}
		if (p->window_scale != 255) {
			s->flags |= SIDE_SCALE;
			s->scale = min_of(p->window_scale, (uint8_t)14);
		}
		if (!(p->tcp_flags & TCP_ACK)) {
			m->syn_count++;
			if (!(m->rtt_known & RTT_SERVER))
				m->syn_ns = ts_ns;
			m->syn_direction = (uint8_t)direction;
			return;
		}
		m->synack_count++;
		if (s->flags & SIDE_RETRANS)
			count_ack_retrans(t, f, direction);
		if (!(peer->flags & SIDE_STARTED)) /* its SYN was not seen, but is told by what is acknowledged */
			stream_start(peer, p->ack);
		m->synack_seen = true;
		if (!(m->rtt_known & RTT_CLIENT))
			m->synack_ns = ts_ns;
		if (!(m->rtt_known & RTT_SERVER) && m->syn_direction == !direction && ts_ns >= m->syn_ns) {
			m->rtt_known |= RTT_SERVER;
			m->rtt_server_ns = ts_ns - m->syn_ns;
		}
		return;
	}
	if ((p->tcp_flags & (TCP_RST | TCP_ACK)) != TCP_ACK)
		return;
	if (!(peer->flags & SIDE_STARTED) && (s->flags & SIDE_ISN) && p->seq == s->isn + 1)
		stream_start(peer, p->ack); /* likewise: the SYN-ACK was not seen, but is acknowledged */
	if (!m->synack_seen || !(peer->flags & SIDE_ISN) || p->ack - peer->isn - 1 > 0xffff)
		return;
	bool repeat = p->ack == peer->isn + 1 && is_bare_ack(p) && !(f->flags & FLOW_TALKED) &&
		      !(s->flags & SIDE_KEEPALIVE) && !(peer->flags & SIDE_KEEPALIVE);
	if ((f->flags & FLOW_HANDSHAKE)) {
		if (repeat && direction != m->syn_direction)
			return;
		if (repeat && p->window == m->handshake_window && p->seq == s->next)
			count_ack_retrans(t, f, direction);
		return;
	}
	if (direction != m->syn_direction && m->syn_direction != 2)
		return;
	f->flags |= FLOW_HANDSHAKE;
	m->handshake_window = p->window;
	if (ts_ns >= m->synack_ns) {
		m->rtt_client_ns = ts_ns - m->synack_ns;
		m->rtt_known |= m->rtt_known & RTT_SERVER ? RTT_CLIENT | RTT_BOTH : RTT_CLIENT;
	}
}

static int64_t disorder_ns(const struct tcp_rest *m)
{
	int64_t rtt_ns = m->rtt_known & RTT_BOTH ? m->rtt_server_ns + m->rtt_client_ns : 0;
	return rtt_ns > 0 ? rtt_ns : DISORDER_NS;
}

/* Bytes that had been sent before, or a SYN or FIN, up to `end`. */
static void analyse_old(struct flowtab *t, struct flow *f, struct tcp *c, const struct packet *p, uint32_t end,
			int64_t ts_ns)
{
	unsigned direction = p->direction;
	struct tcp_side *s = &c->side[direction], *peer = &c->side[!direction];
	uint32_t len = p->payload_len;
	bool behind = !(len > 1 && seq_diff(p->seq, s->next) == -1); /* new data behind a probe's byte */
	bool known_to_peer = len && (peer->flags & SIDE_ACK) && seq_diff(peer->last_ack, p->seq + len) >= 0;
	bool in_hole = (s->flags & SIDE_HOLES) && hole_fill(s, flow_trouble(t, f, direction), p->seq, end);
	bool ooo = false;
	if (known_to_peer) {
		s->flags |= SIDE_RETRANS;
	} else if (behind) {
		bool fast =
		    peer->dup_acks >= 2 && peer->last_ack == p->seq && ts_ns - peer->ack_ns < FAST_RETRANSMIT_NS;
		ooo = !fast && in_hole && ts_ns - s->next_ns < disorder_ns(flow_rest(t, f)) && s->next != end;
		if (!ooo)
			s->flags |= SIDE_RETRANS;
	}
	if (!ooo && !(s->flags & SIDE_RETRANS))
		return;
	struct trouble_side *x = tcp_trouble_make(t, f, direction);
	if (!x)
		return;
	x->ooo += ooo;
	x->retrans += !ooo;
}

/* Retransmitted, out of order, keep-alive, zero window. Returns true for new data. */
static bool analyse(struct flowtab *t, struct flow *f, struct tcp *c, const struct packet *p, int64_t ts_ns)
{
	unsigned direction = p->direction;
	struct tcp_side *s = &c->side[direction], *peer = &c->side[!direction];
	uint8_t flags = p->tcp_flags;
	uint32_t len = p->payload_len;
	uint32_t advance = !!(flags & (TCP_SYN | TCP_FIN));
	uint32_t end = p->seq + len + advance;
	bool plain = !(flags & (TCP_SYN | TCP_FIN | TCP_RST));
	s->flags &= (uint16_t) ~(SIDE_RETRANS | SIDE_KEEPALIVE);
	if (unlikely(!p->window && plain)) {
		struct trouble_side *x = tcp_trouble_make(t, f, direction);
		if (x)
			x->zero_window++;
	}
	if (unlikely(flags & TCP_RST))
		return false;
	if (unlikely(!(s->flags & SIDE_KNOWN))) {
		s->flags |= SIDE_KNOWN;
		s->next = end;
		s->next_ns = ts_ns;
		return len && !(flags & TCP_SYN);
	}
	int32_t ahead = seq_diff(p->seq, s->next);
	if (likely(!ahead)) {
		if (len == 1 && !peer->window && (peer->flags & SIDE_ACK))
			return false; /* a probe of the peer's zero window does not advance */
	} else if (ahead > 0) {
		hole_open(t, f, s, direction, s->next, p->seq);
	} else if (ahead == -1 && len <= 1 && plain) {
		flow_rest(t, f)->keepalive[direction]++;
		s->flags |= SIDE_KEEPALIVE;
		return false;
	} else if (len || advance) {
		analyse_old(t, f, c, p, end, ts_ns);
	}
	if (seq_diff(end, s->next) > 0) {
		s->next = end;
		s->next_ns = ts_ns;
		return len && !(flags & TCP_SYN);
	}
	return false;
}

static inline void acknowledge(struct flowtab *t, struct flow *f, struct tcp *c, const struct packet *p, int64_t ts_ns)
{
	unsigned direction = p->direction;
	struct tcp_side *s = &c->side[direction], *peer = &c->side[!direction];
	uint32_t ack = p->ack;
	bool bare = is_bare_ack(p);
	bool duplicate = bare && p->window && p->window == s->window && p->seq == s->next && (s->flags & SIDE_ACK) &&
			 ack == s->last_ack && !(peer->flags & SIDE_KEEPALIVE);
	s->dup_acks = duplicate ? (uint8_t)(s->dup_acks + (s->dup_acks < 255)) : 0;
	s->ack_ns = ts_ns;
	s->last_ack = ack;
	bool more = !(s->flags & SIDE_ACK) || seq_diff(ack, s->ack) > 0;
	s->flags |= SIDE_ACK;
	if (bare && (peer->flags & SIDE_SRT) && seq_diff(ack, peer->srt_seq) >= 0) {
		peer->flags &= (uint16_t)~SIDE_SRT;
		sample_add(&flow_rest(t, f)->srt, !direction, ts_ns - peer->data_ns);
	}
	if (more) {
		s->flags = (uint16_t)(ack == s->ack + 1 ? s->flags | SIDE_ACK_ONE : s->flags & ~SIDE_ACK_ONE);
		s->ack = ack;
		if (unlikely(peer->flags & SIDE_HOLES))
			holes_acked(t, f, peer, !direction, ack);
		if (unlikely(seq_diff(ack, peer->stream_next) > 0))
			stream_acked(t, f, c, !direction, ts_ns);
	}
}

static void take_turn(struct flowtab *t, struct flow *f, struct tcp *c, const struct packet *p, int64_t ts_ns)
{
	unsigned direction = p->direction;
	struct tcp_side *s = &c->side[direction], *peer = &c->side[!direction];
	if (f->flags & (FLOW_TALKED_0 << !direction))
		sample_add(&flow_rest(t, f)->turn, direction, ts_ns - peer->data_ns);
	f->flags = (f->flags & ~(uint32_t)FLOW_TALKED) | FLOW_TALKED_0 << direction;
	s->data_ns = ts_ns;
	s->srt_seq = p->seq + p->payload_len;
	s->flags |= SIDE_SRT;
	peer->flags &= (uint16_t)~SIDE_SRT; /* its data are acknowledged together with data, if at all */
}

static bool fins_acked(const struct tcp *c)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct tcp_side *s = &c->side[i], *peer = &c->side[!i];
		if (!(s->flags & SIDE_FIN) || !(peer->flags & SIDE_ACK) || seq_diff(peer->ack, s->fin + 1) < 0)
			return false;
	}
	return true;
}

static void take_fin(struct flowtab *t, struct flow *f, struct tcp *c, const struct packet *p, int64_t ts_ns)
{
	struct tcp_side *s = &c->side[p->direction];
	uint32_t fin = p->seq + p->payload_len;
	flow_rest(t, f)->fin_count++;
	if ((s->flags & SIDE_FIN) || ((s->flags & SIDE_STARTED) && seq_diff(fin, s->stream_next) < 0))
		return; /* again, or before data that was seen: not its end */
	s->flags |= SIDE_FIN;
	s->fin = fin;
	stream_fin(t, f, c, p->direction, ts_ns);
}

/* Whoever is the client by this packet's flags. */
static void orient(struct flow *f, const struct packet *p)
{
	if (!(p->tcp_flags & TCP_SYN) || (p->tcp_flags & (TCP_FIN | TCP_RST)))
		return;
	if (!(p->tcp_flags & TCP_ACK)) {
		/* With SYNs of both ends it is who was first. */
		if (!(f->flags & (FLOW_SYN_0 << !p->direction)))
			flow_orient(f, p->direction, SCORE_SYN);
	} else if (!(f->flags & (FLOW_SYN_0 | FLOW_SYN_1) & ~(unsigned)(FLOW_SYN_0 << p->direction))) {
		flow_orient(f, !p->direction, SCORE_SYN);
	}
}

/* A SYN of a flow that has no second tier. True: it needs none. */
static bool take_lone_syn(struct flow *f, const struct packet *p, bool first)
{
	if (p->payload_len || p->frames > 1)
		return false;
	if (!first) {
		if (f->state != FLOW_OPENING_1 || (f->flags & FLOW_NO_TCP) ||
		    p->direction != !!(f->flags & FLOW_FIRST_1))
			return false;
		if (p->seq == f->isn) {
			f->syn_repeats++;
			return true;
		}
		f->isn = p->seq;
		if (!(f->flags & FLOW_FROZEN)) /* what answers it is known by this number, wherever it is seen */
			f->mark = p->seq;
	}
	f->flags |= FLOW_SYN_0 << p->direction;
	f->syn_scale = p->window_scale == 255 ? 255 : min_of(p->window_scale, (uint8_t)14);
	return true;
}

/* What most packets are: an open connection, the next bytes or none, acknowledged what was sent and not before. */
static inline bool is_next(const struct flow *f, const struct tcp_side *s, const struct tcp_side *peer,
			   const struct packet *p)
{
	uint32_t sent = peer->next - s->ack;
	return f->state == FLOW_ESTABLISHED && p->seq == s->next &&
	       (p->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK)) == TCP_ACK &&
	       (s->flags & (SIDE_KNOWN | SIDE_ACK)) == (SIDE_KNOWN | SIDE_ACK) && (peer->flags & SIDE_KNOWN) &&
	       p->ack - s->ack <= sent && sent < SEQUENCE_FAR && p->window && p->payload_len < SEQUENCE_FAR &&
	       (p->payload_len != 1 || peer->window) &&
	       (((f->flags & FLOW_HANDSHAKE) && (f->flags & FLOW_TALKED)) || !((s->flags | peer->flags) & SIDE_ISN));
}

/* The same as the long way would do. */
static inline void take_next(struct flowtab *t, struct flow *f, struct tcp *c, const struct packet *p, int64_t ts_ns)
{
	unsigned direction = p->direction;
	struct tcp_side *s = &c->side[direction];
	uint32_t seq = s->next;
	s->flags &= (uint16_t) ~(SIDE_RETRANS | SIDE_KEEPALIVE);
	s->strange = 0;
	if (p->payload_len) {
		s->next += p->payload_len;
		s->next_ns = ts_ns;
	}
	acknowledge(t, f, c, p, ts_ns);
	s->window = p->window;
	s->window_max = max_of(s->window_max, p->window);
	if (p->payload_len) {
		take_turn(t, f, c, p, ts_ns);
		stream_bytes(t, f, c, direction, seq, p, ts_ns);
	}
}

/* Any packet. */
static __attribute__((noinline)) bool take_any(struct flowtab *t, struct flow *f, const struct packet *p, int64_t ts_ns)
{
	unsigned direction = p->direction;
	uint8_t flags = p->tcp_flags;
	bool first = !(f->flags & (FLOW_SEEN_0 | FLOW_SEEN_1));
	if (unlikely(flags & TCP_SYN))
		orient(f, p);
	struct tcp *c = flow_tcp(t, f);
	if (unlikely(!c)) {
		if ((flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST)) == TCP_SYN && take_lone_syn(f, p, first))
			return false;
		if ((f->flags & FLOW_NO_TCP) || !attach(t, f)) {
			enum flow_state before = f->state;
			if (first)
				mark_first(f, p);
			else
				step(t, f, NULL, p);
			return before == FLOW_CLOSING_2 && is_bare_ack(p);
		}
		c = flow_tcp(t, f);
		if (!first)
			attach_syns(t, f, c, p);
	}
	struct tcp_side *s = &c->side[direction];
	uint32_t end = p->seq + p->payload_len + !!(flags & (TCP_SYN | TCP_FIN));
	bool has_ack = (flags & (TCP_ACK | TCP_RST)) == TCP_ACK;
	bool strange_seq = !(flags & TCP_RST) && is_strange_seq(s, &c->side[!direction], p->seq, end);
	bool strange_ack = has_ack && is_strange_ack(s, &c->side[!direction], p->ack);
	if (likely(!strange_seq && !strange_ack)) {
		s->strange = 0;
	} else if (++s->strange < STRANGE_MAX) {
		if (strange_seq)
			return false;
		has_ack = false;
	} else {
		s->strange = 0;
		if (strange_seq) {
			stream_jump(t, f, c, direction, p->seq, ts_ns);
			s->next = p->seq;
			struct trouble_side *x = flow_trouble(t, f, direction);
			if (x)
				x->holes = 0;
			s->flags &= (uint16_t)~SIDE_HOLES;
		}
	}
	if (unlikely(first))
		mark_first(f, p);
	else
		step(t, f, c, p);
	bool new_data = analyse(t, f, c, p, ts_ns);
	if (unlikely((flags & TCP_SYN) || !(f->flags & FLOW_HANDSHAKE) || !(f->flags & FLOW_TALKED)))
		handshake(t, f, c, p, ts_ns);
	if (has_ack)
		acknowledge(t, f, c, p, ts_ns);
	if (!(flags & TCP_RST)) {
		s->window = p->window;
		s->window_max = max_of(s->window_max, p->window);
	}
	if (new_data)
		take_turn(t, f, c, p, ts_ns);
	if (p->payload_len && !(flags & TCP_RST) && !(s->flags & SIDE_KEEPALIVE))
		stream_bytes(t, f, c, direction, p->seq + !!(flags & TCP_SYN), p, ts_ns);
	if (flags & TCP_FIN && !(flags & (TCP_SYN | TCP_RST)))
		take_fin(t, f, c, p, ts_ns);
	return f->state == FLOW_CLOSING_2 && fins_acked(c);
}

bool tcp_packet(struct flowtab *t, struct flow *f, const struct packet *p, int64_t ts_ns)
{
	unsigned direction = p->direction;
	f->tcp_flags[direction] |= p->tcp_flags;
	struct tcp *c = flow_tcp(t, f);
	if (unlikely(!c || !is_next(f, &c->side[direction], &c->side[!direction], p)))
		return take_any(t, f, p, ts_ns);
	take_next(t, f, c, p, ts_ns);
	return false;
}

uint64_t flow_gap_bytes(const struct flowtab *t, const struct flow *f, unsigned direction)
{
	const struct trouble_side *x = f->tcp == POOL_NONE ? NULL : flow_trouble(t, f, direction);
	return x ? x->gap_bytes : 0;
}
