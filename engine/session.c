#include "session_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#define PROBES_MAX 16       /* segments of a direction that are shown to the probes of a flow picked up in its middle */
#define PROBES_FROM_START 3 /* … of a flow seen from its start */
#define PROBE_BUFFER_MAX 4096 /* bytes of a direction that wait for a probe to be sure */

void sessions_prefetch(const struct sessions *s, uint32_t l7)
{
	const char *c = block_at(&s->blocks, l7 & ~CONN_FOLDED);
	size_t bytes = l7 & CONN_FOLDED ? 2 * BLOCK_UNIT : sizeof(struct conn);
	for (size_t at = 0; at < bytes; at += 64)
		__builtin_prefetch(c + at, 1);
}

void sessions_prefetch_deep(const struct sessions *s, uint32_t l7)
{
	if (l7 & CONN_FOLDED)
		return;
	const struct conn *c = block_at(&s->blocks, l7);
	const char *state = block_at(&s->blocks, c->state), *slot = (const char *)slot_at(s, c->pending_head);
	if (c->state != BLOCK_NONE) {
		__builtin_prefetch(state, 1);
		__builtin_prefetch(state + 64, 1);
	}
	if (c->pending_head != POOL_NONE)
		for (size_t at = 0; at < sizeof(struct slot); at += 64)
			__builtin_prefetch(slot + at, 1);
}

void sessions_prefetch_new(const struct sessions *s, uint8_t shard)
{
	const struct stretch *b = &s->blocks.shard[shard];
	for (unsigned order = 1; order <= CONN_ORDER; order++) {
		if (b->free[order] == BLOCK_NONE)
			continue;
		const char *at = block_at(&s->blocks, b->free[order]);
		for (size_t i = 0; i < BLOCK_SIZE(order); i += 64)
			__builtin_prefetch(at + i, 1);
	}
}

static inline void *state_of(const struct sessions *s, const struct conn *c)
{
	return c->state == BLOCK_NONE ? NULL : block_at(&s->blocks, c->state);
}

static void give_buffers(struct sessions *s, struct conn *c, unsigned direction)
{
	uint8_t shard = s->flow->shard;
	struct extra *x = extra_of(s, c);
	memory_give(s, shard, BLOCK_BUFFER, &c->half[direction].buffer, c->buffer_order[direction]);
	c->half[direction].len = 0;
	if (!x)
		return;
	memory_give(s, shard, BLOCK_BUFFER, &x->inner[direction], x->inner_order[direction]);
	x->inner_len[direction] = 0;
}

void sessions_catch_up(struct sessions *s, struct flow *f, struct conn *c, unsigned direction)
{
	struct half *h = &c->half[direction];
	uint64_t left;
	int64_t ns;
	if (!h->skip || !flow_stream_skipping(s->table, f, direction, &left, &ns) || left >= h->skip)
		return;
	h->offset += h->skip - left;
	h->next_seq += (uint32_t)(h->skip - left);
	h->skip = left;
	h->last_ns = ns;
}

static inline void enter(struct sessions *s, struct flow *f, struct conn *c, unsigned direction, int64_t now_ns)
{
	struct half *h = &c->half[direction];
	if (unlikely(h->skip))
		sessions_catch_up(s, f, c, direction);
	s->flow = f;
	s->conn = c;
	s->direction = direction;
	s->seq = h->next_seq - h->len;
	s->has_ack = false;
	s->offset = h->offset;
	s->old_len = 0;
	s->old_ns = h->len ? h->first_ns : now_ns;
	s->old_last_ns = h->last_ns;
	s->now_ns = now_ns;
	s->dissect.state = state_of(s, c);
	s->dissect.side = direction == c->client ? SIDE_CLIENT : SIDE_SERVER;
	s->dissect.owner = owner_of(f);
	s->dissect.midstream = c->midstream;
	s->dissect.become = NULL;
	s->dissect.failed = s->dissect.keep = false;
}

static void give_state(struct sessions *s, struct conn *c)
{
	memory_give(s, s->flow->shard, BLOCK_CONN, &c->state, c->state_order);
}

void sessions_go_off(struct sessions *s)
{
	struct conn *c = s->conn;
	pairing_flush(s);
	notes_forget_all(s);
	for (unsigned i = 0; i < 2; i++)
		give_buffers(s, c, i);
	memory_give(s, s->flow->shard, BLOCK_TEXT, &c->extra, 0);
	give_state(s, c);
	flow_stream_off(s->table, s->flow);
	c->off = true;
}

static unsigned number_of(const struct dissector *d)
{
	unsigned i = 0;
	while (dissectors[i] && dissectors[i] != d)
		i++;
	return i;
}

static bool is_on(const struct sessions *s, const struct dissector *d)
{
	return s->settings.dissectors >> number_of(d) & 1;
}

/* False: there is no room for its state, and the connection is off. */
static bool adopt(struct sessions *s, const struct dissector *d)
{
	struct conn *c = s->conn;
	uint32_t size = (d->state_size + 7) & ~7u;
	notes_forget_all(s);
	if (size && memory_grow(s, s->flow->shard, BLOCK_CONN, &c->state, &c->state_order, 0, size) < 0) {
		conn_refuse(s, s->flow);
		sessions_go_off(s);
		return false;
	}
	c->dissector = d;
	c->title = (uint8_t)(1 + number_of(d));
	s->dissect.state = state_of(s, c);
	if (size)
		memset(s->dissect.state, 0, size);
	s->record_conn = NULL; /* its name, and perhaps who is the client, is new */
	return true;
}

/* The dissector cannot go on. A connection seen whole is not looked at again; after a loss the probes look for a
 * message. */
static void give_up(struct sessions *s, bool reprobe)
{
	struct conn *c = s->conn;
	s->counters.given_up++;
	pairing_flush(s);
	if (!reprobe || (c->probes[0] >= PROBES_MAX && c->probes[1] >= PROBES_MAX)) {
		sessions_go_off(s);
		return;
	}
	notes_forget_all(s);
	give_state(s, c);
	c->dissector = NULL;
	c->synced = c->epoch = false;
	c->barrier = NO_BARRIER;
	for (unsigned i = 0; i < 2; i++) {
		c->is[i].blind = false;
		give_buffers(s, c, i);
	}
}

/* Shows the bytes at hand to the probes. 1: recognised; 0: not (yet): keep the bytes; -1: not by anyone. */
static int probe(struct sessions *s, const uint8_t *data, size_t len)
{
	struct conn *c = s->conn;
	const struct flow *f = s->flow;
	struct dissect_probe p = {
	    .data = data,
	    .len = len,
	    .midstream = c->midstream || c->half[s->direction].offset,
	    .side = f->score == 255 ? s->direction == f->client ? SIDE_CLIENT : SIDE_SERVER : SIDE_UNKNOWN,
	};
	bool tcp = f->key.protocol == 6, unsure = false;
	unsigned hint[2] = {s->hint[f->key.port[0]], s->hint[f->key.port[1]]};
	for (unsigned i = 0; i < dissector_count + 2; i++) {
		unsigned n = i < 2 ? hint[i] - 1 : i - 2;
		if (i < 2 && !hint[i])
			continue;
		const struct dissector *d = dissectors[n];
		if (!(s->settings.dissectors >> n & 1) || !(tcp ? d->tcp : d->udp))
			continue;
		if (i >= 2 && (n + 1 == hint[0] || n + 1 == hint[1]))
			continue; /* asked already */
		p.hinted = i < 2;
		p.ret_side = SIDE_UNKNOWN;
		enum dissect_verdict v = d->probe(&p);
		if (v == DISSECT_CERTAIN) {
			if (!adopt(s, d))
				return 1;
			if (p.ret_side != SIDE_UNKNOWN) {
				c->client = p.ret_side == SIDE_CLIENT ? (uint8_t)s->direction : !s->direction;
				flow_set_client(s->table, s->flow, c->client);
			}
			s->dissect.side = s->direction == c->client ? SIDE_CLIENT : SIDE_SERVER;
			return 1;
		}
		unsure |= v == DISSECT_UNSURE;
	}
	return unsure ? 0 : -1;
}

/* Keeps what was not consumed of the direction at hand for the next bytes. */
static int keep(struct sessions *s, struct half *h, const uint8_t *rest, size_t len, int64_t first_ns)
{
	uint8_t shard = s->flow->shard, *order = &s->conn->buffer_order[s->direction];
	if (!len) {
		memory_give(s, shard, BLOCK_BUFFER, &h->buffer, *order);
		h->len = 0;
		return 0;
	}
	if (h->len) { /* the bytes at hand lie in the buffer itself */
		memmove(block_at(&s->blocks, h->buffer), rest, len);
	} else {
		int r = memory_grow(s, shard, BLOCK_BUFFER, &h->buffer, order, 0, (uint32_t)len);
		if (r < 0)
			return r;
		memcpy(block_at(&s->blocks, h->buffer), rest, len);
	}
	h->len = (uint32_t)len;
	h->first_ns = first_ns;
	return 0;
}

/* A limit of ours was hit in the middle of a direction. */
static void overflow(struct sessions *s)
{
	s->counters.buffers_refused++;
	flow_mark_truncated(s->flow);
	give_up(s, false);
}

static void parse(struct sessions *s, const uint8_t *data, size_t len, size_t old_len);

/* The other direction may have waited for this one to be recognised. */
static void parse_waiting(struct sessions *s, unsigned direction)
{
	struct conn *c = s->conn;
	struct half *h = &c->half[direction];
	if (!h->len || !c->dissector)
		return;
	struct flow *f = s->flow;
	int64_t now_ns = s->now_ns;
	unsigned back = s->direction;
	enter(s, f, c, direction, h->last_ns);
	parse(s, block_at(&s->blocks, h->buffer), h->len, h->len);
	if (c->off)
		return;
	if (h->skip && f->key.protocol == 6)
		flow_stream_skip(s->table, f, direction, h->skip);
	enter(s, f, c, back, now_ns);
}

/* What becomes of the bytes at hand, old_len of which waited, after the dissector has taken n of them. */
static __attribute__((noinline)) void settle(struct sessions *s, const uint8_t *data, size_t len, size_t old_len,
					     uint64_t n)
{
	struct conn *c = s->conn;
	struct half *h = &c->half[s->direction];
	size_t at = 0;

	for (unsigned turns = 0;;) { /* a dissector may hand over, that one too, but not for ever */
		if (s->dissect.failed) {
			bool lossy = c->midstream || c->probes[0] > 1 || c->probes[1] > 1;
			h->offset += min_of(n, (uint64_t)(len - at));
			keep(s, h, NULL, 0, 0);
			give_up(s, lossy);
			return;
		}
		if (n > len - at) {
			h->offset += len - at;
			h->skip = n == DISSECT_ALL ? DISSECT_ALL : n - (len - at);
			at = len;
			c->is[s->direction].blind = n == DISSECT_ALL;
		} else {
			h->offset += n;
			s->seq += (uint32_t)n;
			at += n;
		}
		if (likely(!s->dissect.become))
			break;
		const struct dissector *next = s->dissect.become;
		s->dissect.become = NULL;
		if (next->pairing != PAIR_IN_ORDER)
			pairing_flush(s);
		if (!is_on(s, next)) {
			sessions_go_off(s);
			return;
		}
		if (!adopt(s, next))
			return;
		for (unsigned i = 0; i < 2; i++) {
			c->is[i].blind = false;
			if (c->half[i].skip)
				flow_stream_skip(s->table, s->flow, i, 0);
			c->half[i].skip = 0;
		}
		if (at == len || ++turns == 4)
			break;
		s->old_len = old_len > at ? old_len - at : 0;
		s->offset = h->offset;
		n = c->dissector->parse(&s->dissect, data + at, len - at);
	}
	if (c->is[0].blind && c->is[1].blind) {
		sessions_go_off(s);
		return;
	}
	int64_t first_ns = at < old_len ? s->old_ns : s->now_ns;
	if (len - at >= DISSECT_BUFFER_MAX || keep(s, h, data + at, len - at, first_ns) < 0)
		overflow(s);
}

/* Runs the dissector over the bytes at hand: old_len of them waited, the rest is new. */
static void parse(struct sessions *s, const uint8_t *data, size_t len, size_t old_len)
{
	struct conn *c = s->conn;
	s->old_len = old_len;
	s->offset = c->half[s->direction].offset;
	settle(s, data, len, old_len, c->dissector->parse(&s->dissect, data, len));
}

/* The bytes that a skip let pass are through: the dissector may end its message here. */
static void skip_passed(struct sessions *s, struct half *h, int64_t now_ns)
{
	s->offset = h->offset;
	s->old_len = 0;
	s->old_last_ns = h->last_ns = now_ns;
	if (s->conn->dissector)
		parse(s, (const uint8_t *)"", 0, 0);
}

/* No dissector yet: 0: none knows these bytes, they are gone or kept for later; 1: one does, and it is to parse them.
 * Bytes that waited in vain do not hide a message that begins behind them: *old_len is 0 then, and they are left out.
 */
static int recognise(struct sessions *s, const uint8_t **data, size_t *len, size_t *old_len)
{
	struct conn *c = s->conn;
	struct half *h = &c->half[s->direction], *other = &c->half[!s->direction];
	uint8_t *probes = &c->probes[s->direction];
	int r = *probes < PROBES_MAX ? probe(s, *data, *len) : -1;
	if (r < 0 && *old_len && *probes < PROBES_MAX) {
		h->offset += *old_len;
		s->seq += (uint32_t)*old_len;
		*data += *old_len;
		*len -= *old_len;
		*old_len = 0;
		s->old_ns = s->now_ns;
		r = probe(s, *data, *len);
	}
	if (c->off)
		return 0;
	if (r > 0) {
		uint32_t ack = s->ack, seq = s->seq;
		bool has_ack = s->has_ack;
		if (!other->len || other->first_ns > s->now_ns)
			return 1;
		if (h->offset) { /* what waits there came before this protocol began */
			other->offset += other->len;
			give_buffers(s, c, !s->direction);
			return 1;
		}
		parse_waiting(s, !s->direction);
		s->ack = ack;
		s->seq = seq;
		s->has_ack = has_ack;
		s->old_ns = *old_len ? h->first_ns : s->now_ns;
		return c->dissector && !c->off;
	}
	h->last_ns = s->now_ns;
	if (r == 0 && *len <= PROBE_BUFFER_MAX) {
		if (keep(s, h, *data, *len, *old_len ? h->first_ns : s->now_ns) < 0)
			overflow(s);
		return 0;
	}
	unsigned tries = c->midstream ? PROBES_MAX : PROBES_FROM_START;
	++*probes;
	h->offset += *len;
	keep(s, h, NULL, 0, 0);
	if (*probes >= tries && (c->probes[!s->direction] >= tries || *probes >= 2 * tries))
		sessions_go_off(s);
	return 0;
}

/* Bytes that the buffer of their direction has room for, or a direction without waiting bytes. */
static void take_bytes(struct sessions *s, struct conn *c, struct half *h, const struct flow_data *d)
{
	const uint8_t *data = d->data;
	size_t len = d->len, old_len = h->len;

	enter(s, s->flow, c, d->direction, d->ts_ns);
	s->ack = d->ack;
	s->has_ack = !d->datagram;
	s->seq = d->seq - h->len;
	h->next_seq = d->seq + d->len;
	if (d->direction != c->client)
		c->server_saw = d->ack;
	if (old_len) {
		if (memory_grow(s, s->flow->shard, BLOCK_BUFFER, &h->buffer, &c->buffer_order[d->direction], h->len,
				h->len + d->len) < 0) {
			overflow(s);
			return;
		}
		uint8_t *at = block_at(&s->blocks, h->buffer);
		memcpy(at + old_len, data, len);
		data = at;
		len += old_len;
		h->len = (uint32_t)len;
	}
	if (!c->dissector && !recognise(s, &data, &len, &old_len))
		return;
	parse(s, data, len, old_len);
	h->last_ns = d->ts_ns;
}

/* Bytes that meet a dissector and none that waited, as nearly all do. */
static inline void take_whole(struct sessions *s, struct flow *f, struct conn *c, struct half *h,
			      const struct flow_data *d)
{
	enter(s, f, c, d->direction, d->ts_ns);
	s->ack = d->ack;
	s->has_ack = true;
	s->seq = d->seq;
	h->next_seq = d->seq + d->len;
	c->is[d->direction].seen = true;
	if (d->direction != c->client)
		c->server_saw = d->ack;
	uint64_t n = c->dissector->parse(&s->dissect, d->data, d->len);
	if (likely(n == d->len && !s->dissect.failed && !s->dissect.become)) {
		h->offset += n;
	} else {
		settle(s, d->data, d->len, 0, n);
		if (h->skip && !c->off)
			flow_stream_skip(s->table, f, d->direction, h->skip);
	}
	h->last_ns = d->ts_ns;
}

/* In parts: what is skipped or waits, what the buffer has room for. */
static __attribute__((noinline)) void take_parts(struct sessions *s, struct flow *f, struct conn *c,
						 const struct flow_data *d)
{
	struct half *h = &c->half[d->direction];
	struct flow_data rest = *d;

	s->flow = f;
	s->conn = c;
	c->is[d->direction].seen = true;
	if (!d->len) {
		enter(s, f, c, d->direction, d->ts_ns);
		h->next_seq = s->seq = d->seq;
		h->offset += h->skip;
		h->skip = 0;
		skip_passed(s, h, d->ts_ns);
	}
	while (rest.len && !c->off) {
		struct flow_data part = rest;
		if (h->skip) { /* wanted since an earlier part of these bytes */
			part.len = (uint32_t)min_of(h->skip, (uint64_t)rest.len);
			h->offset += part.len;
			h->skip -= part.len;
			h->next_seq = s->seq = part.seq + part.len;
			if (!h->skip)
				skip_passed(s, h, d->ts_ns);
		} else {
			if (h->len)
				part.len = min_of(rest.len, DISSECT_BUFFER_MAX - h->len);
			take_bytes(s, c, h, &part);
		}
		rest.data += part.len;
		rest.seq += part.len;
		rest.len -= part.len;
	}
	if (c->off)
		return;
	if (d->datagram)
		keep(s, h, NULL, 0, 0);
	else if (h->skip)
		flow_stream_skip(s->table, f, d->direction, h->skip);
}

void sessions_shed(struct sessions *s, unsigned level)
{
	s->shed = level;
	s->settings.dissect.text_max =
	    level >= SHED_CONTENTS ? min_of(s->text_max, (uint64_t)SHED_TEXT_BYTES) : s->text_max;
}

/* Under pressure: its requests end here. */
static void shed_conn(struct sessions *s, struct flow *f, struct conn *c, const struct flow_data *d)
{
	if (c && c->off)
		return;
	s->counters.conns_shed++;
	flow_mark_truncated(f);
	if (!c) {
		if (!d->datagram)
			flow_stream_off(s->table, f);
		return;
	}
	enter(s, f, c, d->direction, d->ts_ns);
	sessions_go_off(s);
}

void sessions_data(struct sessions *s, struct flow *f, const struct flow_data *d)
{
	struct conn *c = conn_of(s, f);
	if (d->datagram && !s->udp_wanted)
		return;
	if (unlikely(s->shed >= SHED_REQUESTS)) {
		shed_conn(s, f, c, d);
		return;
	}
	if (unlikely(!c) && (f->l7 != FLOW_L7_NONE || !d->len || !(c = conn_new(s, f))))
		return;
	c->touched = true;
	struct half *h = &c->half[d->direction];
	if (likely(c->dissector && !c->off && !h->len && !h->skip && d->len && d->len < DISSECT_BUFFER_MAX &&
		   !d->datagram))
		take_whole(s, f, c, h, d);
	else
		take_parts(s, f, c, d);
	if (FOLD_AFTER_BYTES)
		conn_fold(s, f);
}

void sessions_gap(struct sessions *s, struct flow *f, unsigned direction, uint64_t missing, uint32_t seq, int64_t ts_ns)
{
	struct conn *c = conn_of(s, f);
	if ((!c && (f->l7 != FLOW_L7_NONE || !(c = conn_new(s, f)))) || c->off)
		return;
	struct half *h = &c->half[direction];
	enter(s, f, c, direction, ts_ns);
	h->next_seq = seq + (uint32_t)missing;
	c->is[direction].seen = true;
	uint64_t lost = missing + h->len;
	give_buffers(s, c, direction);
	if (!c->dissector) { /* whatever it will be, its numbers do not begin here */
		h->offset += lost;
		c->synced = false;
		pairing_lose(s, direction, missing);
		return;
	}
	if (c->dissector->gap)
		c->dissector->gap(&s->dissect, lost);
	else
		dissect_fail(&s->dissect);
	if (!s->dissect.keep || s->dissect.failed) {
		pairing_cut(s, direction);
		pairing_lose(s, direction, missing);
	}
	h->offset += lost;
	if (s->dissect.failed)
		give_up(s, true);
}

/* A folded connection that waits for nothing has nothing to say at its end, nor when time passes. */
static bool says_nothing(const struct sessions *s, const struct flow *f)
{
	return f->l7 == FLOW_L7_NONE || (conn_is_folded(f) && conn_is_at_rest(s, f));
}

void sessions_end(struct sessions *s, struct flow *f, unsigned direction, int64_t ts_ns)
{
	struct conn *c = says_nothing(s, f) ? NULL : conn_of(s, f);
	if (!c || c->off || c->is[direction].ended)
		return;
	c->is[direction].ended = true;
	enter(s, f, c, direction, ts_ns);
	s->old_last_ns = c->half[direction].last_ns;
	if (c->half[direction].open != POOL_NONE && c->dissector && c->dissector->close)
		c->dissector->close(&s->dissect);
}

void sessions_timer(struct sessions *s, struct flow *f, int64_t now_ns)
{
	struct conn *c = says_nothing(s, f) ? NULL : conn_of(s, f);
	if (!c)
		return;
	enter(s, f, c, c->client, now_ns);
	pairing_expire(s, now_ns);
}

void sessions_close(struct sessions *s, struct flow *f)
{
	struct conn *c = says_nothing(s, f) ? NULL : conn_of(s, f);
	if (!c)
		return;
	sessions_end(s, f, c->client, c->half[c->client].last_ns);
	sessions_end(s, f, !c->client, c->half[!c->client].last_ns);
	enter(s, f, c, c->client, c->half[c->client].last_ns);
	pairing_flush(s);
	notes_forget_all(s);
	give_buffers(s, c, 0);
	give_buffers(s, c, 1);
}

static void put_numbers(const struct sessions *s, struct flow_record *r, struct conn *c)
{
	if (c->title)
		flow_record_set(r, l7_protocol, s->titles[c->title - 1u]);
	if (c->title &&
	    (c->requests || c->responses || c->timeouts || (c->dissector && c->dissector->pairing != PAIR_NONE))) {
		flow_record_set(r, l7_request, c->requests);
		flow_record_set(r, l7_response, c->responses);
		flow_record_set(r, l7_client_error, c->client_errors);
		flow_record_set(r, l7_server_error, c->server_errors);
		flow_record_set(r, l7_timeout, c->timeouts);
		if (c->rrt_count) {
			flow_record_set(r, rrt_sum, c->rrt_sum_ns);
			flow_record_set(r, rrt_count, c->rrt_count);
			flow_record_set(r, rrt_max, c->rrt_max_ns);
		}
	}
	c->requests = c->responses = c->client_errors = c->server_errors = c->timeouts = c->rrt_count = 0;
	c->rrt_sum_ns = c->rrt_max_ns = 0;
}

void sessions_report(struct sessions *s, struct flow *f, struct flow_record *r, bool last)
{
	if (f->l7 == FLOW_L7_NONE)
		return;
	if (conn_is_folded(f)) {
		struct conn c;
		conn_read(s, f, &c);
		put_numbers(s, r, &c);
		if (!last)
			conn_write(s, f, &c);
	} else {
		put_numbers(s, r, block_at(&s->blocks, f->l7));
	}
	if (last)
		conn_free(s, f);
}

/* "80,8000-8080" into the table of hints. */
static int hint_ports(struct sessions *s, unsigned index, const char *list, struct error *e)
{
	for (const char *p = list; *p;) {
		char *end;
		unsigned long low = strtoul(p, &end, 10), high = low;
		if (end != p && *end == '-') {
			p = end + 1;
			high = strtoul(p, &end, 10);
		}
		if (end == p || low > high || high > 65535 || (*end && *end != ','))
			return error_set(e, -EINVAL, "l7-protocol-ports: %s: '%s' is not a list of ports and ranges",
					 dissectors[index]->name, list);
		for (unsigned long port = low; port <= high; port++)
			s->hint[port] = (uint8_t)(index + 1);
		p = *end ? end + 1 : end;
	}
	return 0;
}

static int make_hints(struct sessions *s, const struct option_map *ports, struct error *e)
{
	for (unsigned i = 0; i < dissector_count; i++) {
		const char *list = dissectors[i]->ports;
		for (size_t k = 0; k < ports->count; k++) {
			if (!strcasecmp(ports->item[k].name, dissectors[i]->name) ||
			    !strcasecmp(ports->item[k].name, dissectors[i]->title))
				list = ports->item[k].value;
		}
		int r = hint_ports(s, i, list, e);
		if (r < 0)
			return r;
	}
	for (size_t k = 0; k < ports->count; k++) {
		bool known = false;
		for (unsigned i = 0; i < dissector_count; i++)
			known |= !strcasecmp(ports->item[k].name, dissectors[i]->name) ||
				 !strcasecmp(ports->item[k].name, dissectors[i]->title);
		if (!known)
			return error_set(e, -EINVAL, "l7-protocol-ports: no protocol is named '%s'",
					 ports->item[k].name);
	}
	return 0;
}

size_t sessions_slot_bytes(void)
{
	return sizeof(struct slot);
}

int sessions_new(struct sessions **ret_s, const struct session_settings *settings, unsigned shards,
		 void (*emit)(void *ctx, struct flow *f, const struct request_record *r), void *ctx, struct error *e)
{
	struct sessions *s = calloc(1, sizeof *s);
	if (!s)
		return error_set(e, -ENOMEM, "no memory for sessions");
	s->settings = *settings;
	for (unsigned i = 0; i < dissector_count; i++)
		s->titles[i] = (struct text){dissectors[i]->title, (uint32_t)strlen(dissectors[i]->title)};
	s->text_max = settings->dissect.text_max;
	s->emit = emit;
	s->emit_ctx = ctx;
	s->dissect.settings = &s->settings.dissect;
	s->dissect.calls = &pairing_calls;
	for (unsigned i = 0; i < dissector_count; i++)
		s->udp_wanted |= (settings->dissectors >> i & 1) && dissectors[i]->udp;

	uint32_t slots = max_of(settings->max_slots / SHARDS, 1u);
	int r = pool_init(&s->slots, sizeof(struct slot), offsetof(struct slot, next), slots * shards);
	if (!r)
		r = blocks_init(&s->blocks, settings->max_blocks_bytes);
	if (!r)
		r = conns_init(s);
	s->hint = calloc(65536, 1);
	if (!r)
		r = transforms_new(&s->transforms);
	if (r < 0 || !s->hint) {
		sessions_free(s);
		return error_set(e, -ENOMEM, "no memory for sessions");
	}
	for (unsigned i = 0; i < SHARDS; i++) {
		s->slot_quota[i].limit = slots;
	}
	r = make_hints(s, &settings->ports, e);
	if (r < 0) {
		sessions_free(s);
		return r;
	}
	*ret_s = s;
	return 0;
}

struct sessions *sessions_free(struct sessions *s)
{
	if (!s)
		return NULL;
	pool_fini(&s->slots);
	blocks_fini(&s->blocks);
	free(s->live_bits);
	free(s->hint);
	transforms_free(s->transforms);
	free(s);
	return NULL;
}

void sessions_set_table(struct sessions *s, struct flowtab *t)
{
	s->table = t;
}

const struct session_counters *sessions_counters(const struct sessions *s)
{
	return &s->counters;
}

uint64_t sessions_memory(const struct sessions *s)
{
	return (uint64_t)peek(s->slots.high) * s->slots.object_size + blocks_touched(&s->blocks);
}
