#include "session_internal.h"

#include <errno.h>

static const struct text status_names[] = {
    [STATUS_UNKNOWN] = TEXT("unknown"),           [STATUS_OK] = TEXT("ok"),
    [STATUS_CLIENT_ERROR] = TEXT("client_error"), [STATUS_SERVER_ERROR] = TEXT("server_error"),
    [STATUS_TIMEOUT] = TEXT("timeout"),
};

static struct sessions *of(struct dissect *d)
{
	return container_of(d, struct sessions, dissect);
}

/* When the byte at offset `at` of the data at hand was seen. */
static int64_t begin_ns(const struct sessions *s, size_t at)
{
	return at < s->old_len ? s->old_ns : s->now_ns;
}

/* When the byte before offset `at` was seen. */
static int64_t end_ns(const struct sessions *s, size_t at)
{
	return at <= s->old_len ? s->old_last_ns : s->now_ns;
}

static inline struct ip_address ip_of(const struct flow_key *k, unsigned end)
{
	struct ip_address a = {.version = k->ip_version};
	memcpy(a.at, k->address[end], sizeof a.at);
	return a;
}

/* The dissector's message, unless it has left already (a dissector may keep a pointer too long; it must not hurt
 * others). */
static inline struct slot *slot_of(const struct sessions *s, struct message *m)
{
	struct slot *slot = (struct slot *)(void *)m;
	return slot->m.owner == s->dissect.owner ? slot : NULL;
}

static inline void slot_free(struct sessions *s, struct slot *slot)
{
	slot->m.owner = 0;
	uint8_t shard = s->flow->shard;
	if (slot->text != BLOCK_NONE)
		memory_give(s, shard, BLOCK_TEXT, &slot->text, slot->text_order);
	pool_give(&s->slots, &s->slot_quota[shard], slot_index(s, slot));
}

/* The times and places are for the caller to set. */
static inline struct slot *slot_new(struct sessions *s, enum slot_flag flags)
{
	uint32_t index = pool_take(&s->slots, &s->slot_quota[s->flow->shard]);
	if (unlikely(index == POOL_NONE)) {
		s->counters.slots_refused++;
		flow_mark_truncated(s->flow);
		return NULL;
	}
	struct slot *slot = slot_at(s, index);
	slot->m =
	    (struct message){.owner = s->dissect.owner, .text = slot->own_text, .text_room = sizeof slot->own_text};
	slot->next = slot->prev = POOL_NONE;
	slot->text = BLOCK_NONE;
	slot->text_order = 0;
	slot->gap_bytes = 0;
	slot->flags = (uint8_t)flags;
	return slot;
}

static void list_append(struct sessions *s, struct conn *c, struct slot *slot)
{
	uint32_t index = slot_index(s, slot);
	slot->prev = c->pending_tail;
	slot->next = POOL_NONE;
	if (c->pending_tail == POOL_NONE)
		c->pending_head = index;
	else
		slot_at(s, c->pending_tail)->next = index;
	c->pending_tail = index;
	c->pending_count++;
	slot->flags |= SLOT_LISTED;
}

static void list_remove(struct sessions *s, struct conn *c, struct slot *slot)
{
	if (slot->prev == POOL_NONE)
		c->pending_head = slot->next;
	else
		slot_at(s, slot->prev)->next = slot->next;
	if (slot->next == POOL_NONE)
		c->pending_tail = slot->prev;
	else
		slot_at(s, slot->next)->prev = slot->prev;
	c->pending_count--;
	slot->flags &= (uint8_t)~SLOT_LISTED;
}

static void put_attribute(const struct sessions *s, struct request_record *r, unsigned index, struct text value)
{
	const struct dissect_attribute *attributes = s->conn->dissector ? s->conn->dissector->attributes : NULL;
	if (!attributes)
		return;
	struct attribute a = {attributes[index].name, value, attributes[index].number};
	unsigned i = 0;
	while (i < r->attributes.count && r->attributes.at[i].name != a.name)
		i++;
	if (i == RECORD_ATTRIBUTES)
		return;
	r->attributes.at[i] = a;
	if (i == r->attributes.count)
		r->attributes.count++;
}

/* Returns the bits of what was there. */
static uint64_t put_texts(const struct sessions *s, const struct slot *slot, struct request_record *r)
{
	const uint8_t *at = slot->m.text, *end = at + slot->m.text_len;
	uint64_t present = 0;
	r->attributes.count = 0;
	while (at < end) {
		struct message_text_head h;
		memcpy(&h, at, sizeof h);
		at += sizeof h;
		const char *text = (const char *)at;
		if (h.constant) {
			memcpy(&text, at, sizeof text);
			at += sizeof text;
		} else {
			at += h.len;
		}
		if (unlikely(h.field & 0x80)) {
			put_attribute(s, r, h.field & 0x7f, (struct text){text, h.len});
		} else {
			struct text *to = (struct text *)(void *)((char *)r + request_fields[h.field].offset);
			to->at = text;
			to->len = h.len;
			present |= UINT64_C(1) << h.field;
		}
	}
	return r->attributes.count ? present | UINT64_C(1) << REQUEST_attributes : present;
}

#define BIT(field) (UINT64_C(1) << REQUEST_##field)

/* What all records of a flow have in common. */
#define FLOW_BITS                                                                                                      \
	(BIT(flow_id) | BIT(client_ip) | BIT(server_ip) | BIT(client_port) | BIT(server_port) | BIT(l7_protocol) |     \
	 BIT(signal_source))

static void put_flow(struct sessions *s, struct conn *c)
{
	const struct flow_key *k = &s->flow->key;
	struct request_record *r = &s->record;
	if (!c->flow_id)
		c->flow_id = flow_id(s->table, s->flow);
	s->record_conn = c;
	r->flow_id = c->flow_id;
	r->client_ip = ip_of(k, c->client);
	r->server_ip = ip_of(k, !c->client);
	r->client_port = k->port[c->client];
	r->server_port = k->port[!c->client];
	r->l7_protocol = s->titles[c->title - 1u];
	r->signal_source = TEXT("packet");
}

/* The record leaves. The slot is gone afterwards. */
static void finish(struct sessions *s, struct slot *slot)
{
	struct conn *c = s->conn;
	struct request_record *r = &s->record;
	bool request = slot->flags & SLOT_HAS_REQUEST, response = slot->flags & SLOT_HAS_RESPONSE;

	if (slot->flags & SLOT_LISTED)
		list_remove(s, c, slot);
	if (s->record_conn != c)
		put_flow(s, c);
	uint64_t present =
	    FLOW_BITS | put_texts(s, slot, r) | BIT(start_time) | BIT(end_time) | BIT(type) | BIT(response_status);
	uint64_t seq_bits = s->flow->key.protocol == 6 ? BIT(req_tcp_seq) | BIT(resp_tcp_seq) : 0;
	r->start_time = request ? slot->request_ns : slot->response_ns;
	r->end_time = response ? slot->response_end_ns : slot->request_end_ns;
	r->type = request ? response ? TEXT("session") : TEXT("request") : TEXT("response");
	r->response_status = status_names[slot->flags & SLOT_TIMEOUT ? STATUS_TIMEOUT : slot->m.status];
	if (request && response) {
		r->duration_ns = max_of(slot->response_end_ns - slot->request_ns, INT64_C(0));
		r->first_byte_ns = max_of(slot->response_ns - slot->request_ns, INT64_C(0));
		present |= BIT(duration_ns) | BIT(first_byte_ns);
	}
	if (request) {
		r->request_length = slot->flags & SLOT_REQUEST_DONE ? slot->request_len : 0;
		r->req_tcp_seq = slot->request_seq;
		present |= BIT(request_length) | (seq_bits & BIT(req_tcp_seq));
	}
	if (response) {
		r->response_length = slot->flags & SLOT_RESPONSE_DONE ? slot->response_len : 0;
		r->resp_tcp_seq = slot->response_seq;
		present |= BIT(response_length) | (seq_bits & BIT(resp_tcp_seq));
	}
	if (slot->m.has_code) {
		r->response_code = slot->m.code;
		present |= BIT(response_code);
	}
	if (slot->m.has_affected_rows) {
		r->sql_affected_rows = slot->m.affected_rows;
		present |= BIT(sql_affected_rows);
	}
	if (unlikely(slot->gap_bytes)) {
		r->gap_bytes = slot->gap_bytes;
		present |= BIT(gap_bytes);
	}
	if (unlikely(slot->flags & SLOT_TRUNCATED)) {
		r->truncated = true;
		present |= BIT(truncated);
	}
	if (unlikely(c->midstream)) {
		r->midstream = true;
		present |= BIT(midstream);
	}
	r->present = present;
	s->emit(s->emit_ctx, s->flow, r);
	slot_free(s, slot);
}

/* A response is complete (or as complete as it will be). */
static void count_response(struct conn *c, const struct slot *slot)
{
	c->responses++;
	c->client_errors += slot->m.status == STATUS_CLIENT_ERROR;
	c->server_errors += slot->m.status == STATUS_SERVER_ERROR;
}

static void lose_pairing(struct sessions *s, struct conn *c)
{
	c->synced = c->epoch = false;
	c->barrier = NO_BARRIER;
	s->counters.pairing_lost++;
}

/* Requests that will not be paired any more leave, but for one that is under way. */
static void give_up_pending(struct sessions *s, struct conn *c, uint64_t below)
{
	uint32_t i = c->pending_head;
	while (i != POOL_NONE) {
		struct slot *slot = slot_at(s, i);
		i = slot->next;
		if (slot->number >= below || slot->flags & SLOT_HAS_RESPONSE)
			continue;
		if (slot->flags & SLOT_REQUEST_DONE) {
			finish(s, slot);
		} else {
			list_remove(s, c, slot);
			slot->flags |= SLOT_UNPAIRED;
		}
	}
}

/* Whether, when this request begins, the server owes nothing: see session.h. */
static bool drained(const struct sessions *s, const struct conn *c)
{
	const struct half *server = &c->half[!s->direction];
	return s->has_ack && server->open == POOL_NONE && !server->len && !server->skip &&
	       (!c->is[!s->direction].seen || s->ack == server->next_seq);
}

#define WAITS_TRUSTED 4 /* times that a client waited before it is believed to go on so */

/* From request `first` on, pairing can begin again: at once where the client is known to wait, else with what match()
 * asks. */
static void begin_epoch(struct sessions *s, struct conn *c, uint64_t first)
{
	c->epoch = true;
	c->epoch_first = first;
	if (c->waits >= WAITS_TRUSTED && !c->deep) {
		c->synced = true;
		c->response_next = first;
		s->counters.pairing_regained++;
	}
}

/* Keeps in mind how this client behaves, and finds the moment from which pairing can be trusted again. */
static void watch_client(struct sessions *s, struct conn *c)
{
	bool first = c->request_next == 1;
	bool same_burst = !first && s->has_ack && s->ack == c->last_request_ack;
	if (same_burst && c->deep && c->synced && c->barrier == NO_BARRIER && !c->lost_requests)
		return; /* one more of many at a time */
	sessions_catch_up(s, s->flow, c, !s->direction);
	const struct half *server = &c->half[!s->direction];
	bool owed = c->pending_count || server->open != POOL_NONE;

	/* The client has received what was not seen here, or not yet: nothing can be told until it is known which. */
	bool unseen = s->has_ack && !first && !same_burst &&
		      (!c->is[!s->direction].seen || (int32_t)(s->ack - server->next_seq) > 0);
	/* Lost bytes may have begun the burst that this request is a part of, unless the server has sent data since it
	 * received them; and they may have been more than one request. */
	bool after_loss =
	    c->lost_requests && (!c->is[!s->direction].seen || (int32_t)(c->server_saw - s->seq) < 0 || !c->shortest ||
				 c->lost_bytes == UINT32_MAX || c->lost_bytes >= 2 * (uint64_t)c->shortest);
	c->lost_requests = false;
	c->lost_bytes = 0;
	c->deep |= (owed && !unseen) || after_loss || same_burst;

	if (unseen) {
		c->epoch = false;
	} else if (c->synced && c->barrier == NO_BARRIER) {
		if (s->has_ack && !first && !same_burst) {
			if (!owed && drained(s, c) && c->waits < 255)
				c->waits++;
		}
	} else if (same_burst || after_loss || !drained(s, c) || (c->synced && c->pending_count)) {
		c->epoch = false;
	} else {
		give_up_pending(s, c, UINT64_MAX);
		if (c->synced) /* all before the barrier are answered */
			lose_pairing(s, c);
		begin_epoch(s, c, c->request_next - 1);
	}
	c->last_request_ack = s->ack;
}

/* What of a direction was lost so far. */
static inline uint64_t gap_bytes(const struct sessions *s, unsigned direction)
{
	return likely(!flow_has_gaps(s->flow)) ? 0 : flow_gap_bytes(s->table, s->flow, direction);
}

/* Where a message begins: on the nested stream, where the bytes begin that it came out of. */
static inline size_t begin_at(const struct sessions *s, size_t at)
{
	return likely(!s->nested) ? at : s->dissect.feed_from;
}

static inline size_t end_at(const struct sessions *s, size_t at)
{
	return likely(!s->nested) ? at : s->dissect.feed_to;
}

static struct message *begin_request(struct dissect *d, uint64_t id, size_t at)
{
	struct sessions *s = of(d);
	struct conn *c = s->conn;
	at = begin_at(s, at);
	struct half *h = &c->half[s->direction];
	if (unlikely(h->open != POOL_NONE))
		pairing_cut(s, s->direction);
	uint64_t number = c->request_next++;
	bool by_id = c->dissector->pairing == PAIR_BY_ID;
	if (c->dissector->pairing == PAIR_IN_ORDER)
		watch_client(s, c);
	c->requests++;
	struct slot *slot = slot_new(s, SLOT_HAS_REQUEST);
	if (unlikely(!slot))
		return NULL;
	slot->id = by_id ? id : number;
	slot->request_ns = slot->request_end_ns = begin_ns(s, at);
	slot->request_len = s->offset + at;
	slot->request_seq = slot->request_end_seq = s->seq + (uint32_t)at;
	slot->request_ack = s->ack;
	slot->gap_before = gap_bytes(s, s->direction);
	if (likely(c->pending_count < s->settings.outstanding_max)) {
		list_append(s, c, slot);
	} else {
		slot->flags |= SLOT_UNPAIRED | SLOT_TRUNCATED;
		s->counters.outstanding_exceeded++;
	}
	h->open = slot_index(s, slot);
	return &slot->m;
}

/* The request that the response at hand, whose first byte is `seq`, answers, or NULL. `begins`: it is taken, and rules
 * that it breaks have effect.
 */
static struct slot *match(struct sessions *s, uint64_t id, uint32_t seq, bool begins)
{
	struct conn *c = s->conn;
	struct slot *head = c->pending_head == POOL_NONE ? NULL : slot_at(s, c->pending_head);

	if (unlikely(c->dissector->pairing == PAIR_BY_ID)) {
		for (uint32_t i = c->pending_head; i != POOL_NONE;) {
			struct slot *slot = slot_at(s, i);
			if (slot->id == id && !(slot->flags & SLOT_RESPONSE_DONE))
				return slot;
			i = slot->next;
		}
		return NULL;
	}
	/* Those whose response is complete wait for nothing but their own end. */
	while (head && head->flags & SLOT_HAS_RESPONSE)
		head = head->next == POOL_NONE ? NULL : slot_at(s, head->next);
	if (!c->synced) {
		if (head && c->epoch && !c->deep && !c->lost_ever && head->number == c->epoch_first &&
		    head->flags & SLOT_REQUEST_DONE && s->has_ack && head->request_ack == seq &&
		    (int32_t)(s->ack - head->request_end_seq) >= 0) {
			if (begins) {
				c->synced = true;
				c->response_next = c->epoch_first;
				s->counters.pairing_regained++;
			}
			return head;
		}
		if (begins && c->epoch) {
			c->epoch = false;
			give_up_pending(s, c, UINT64_MAX);
		}
		return NULL;
	}
	if (c->response_next >= c->barrier || c->response_next >= c->request_next) {
		if (begins)
			lose_pairing(s, c);
		return NULL;
	}
	if (!head || head->number != c->response_next)
		return NULL; /* that request was not kept */
	if (s->has_ack && (int32_t)(s->ack - head->request_seq) <= 0) {
		if (begins) { /* an answer to what the server has not received: the numbers are wrong */
			lose_pairing(s, c);
			give_up_pending(s, c, UINT64_MAX);
		}
		return NULL;
	}
	return head;
}

static struct message *begin_response(struct dissect *d, uint64_t id, size_t at)
{
	struct sessions *s = of(d);
	struct conn *c = s->conn;
	at = begin_at(s, at);
	struct half *h = &c->half[s->direction];
	int64_t ns = begin_ns(s, at);
	bool push = id == DISSECT_PUSH;

	/* One that nobody asked for is on no list: it must not be lost sight of. */
	if (h->open != POOL_NONE &&
	    (c->dissector->pairing == PAIR_IN_ORDER || !(slot_at(s, h->open)->flags & SLOT_LISTED)))
		pairing_cut(s, s->direction);
	struct slot *slot = push ? NULL : match(s, id, s->seq + (uint32_t)at, true);
	if (!push && c->synced)
		c->response_next++;
	int64_t wait_ns = c->dissector->timeout_s ? c->dissector->timeout_s * NS_PER_S : s->settings.timeout_ns;
	if (slot && ns - slot->request_ns > wait_ns && slot->flags & SLOT_REQUEST_DONE) {
		slot->flags |= SLOT_TIMEOUT;
		c->timeouts++;
		finish(s, slot);
		slot = NULL;
	}
	if (!slot) {
		slot = slot_new(s, SLOT_UNPAIRED);
		if (!slot)
			return NULL;
	} else {
		int64_t rrt_ns = max_of(ns - slot->request_ns, INT64_C(0));
		c->rrt_sum_ns += rrt_ns;
		c->rrt_max_ns = max_of(c->rrt_max_ns, rrt_ns);
		c->rrt_count++;
	}
	slot->flags |= SLOT_HAS_RESPONSE;
	slot->response_ns = slot->response_end_ns = ns;
	slot->response_len = s->offset + at;
	slot->response_seq = s->seq + (uint32_t)at;
	slot->gap_before = gap_bytes(s, s->direction);
	h->open = slot_index(s, slot);
	return &slot->m;
}

/* The bytes that were lost since the message began belong to it. */
static inline uint64_t note_gap(struct sessions *s, struct slot *slot, unsigned direction)
{
	if (likely(!flow_has_gaps(s->flow)))
		return 0;
	uint64_t missing = flow_gap_bytes(s->table, s->flow, direction) - slot->gap_before;
	slot->gap_bytes += missing;
	return missing;
}

static inline void request_done(struct sessions *s, struct slot *slot)
{
	slot->flags |= SLOT_REQUEST_DONE;
	if (slot->flags & SLOT_UNPAIRED || slot->flags & SLOT_RESPONSE_DONE)
		finish(s, slot);
}

static inline void response_done(struct sessions *s, struct slot *slot)
{
	slot->flags |= SLOT_RESPONSE_DONE;
	count_response(s->conn, slot);
	if (!(slot->flags & SLOT_HAS_REQUEST) || slot->flags & SLOT_REQUEST_DONE)
		finish(s, slot);
}

/* The message's slot, which is under way no more; NULL: it has left. */
static inline struct slot *end_slot(struct sessions *s, struct message *m)
{
	struct slot *slot = slot_of(s, m);
	if (unlikely(!slot))
		return NULL;
	struct half *h = &s->conn->half[s->direction];
	if (likely(h->open == slot_index(s, slot)))
		h->open = POOL_NONE;
	note_gap(s, slot, s->direction);
	return slot;
}

static void end_request(struct dissect *d, struct message *m, size_t at)
{
	struct sessions *s = of(d);
	struct slot *slot = end_slot(s, m);
	if (unlikely(!slot))
		return;
	at = end_at(s, at);
	uint32_t *shortest = &s->conn->shortest;
	slot->request_end_ns = end_ns(s, at);
	slot->request_len = s->offset + at - slot->request_len;
	slot->request_end_seq = s->seq + (uint32_t)at;
	*shortest = (uint32_t)min_of(slot->request_len, (uint64_t)(*shortest ? *shortest : UINT32_MAX));
	request_done(s, slot);
}

static void end_response(struct dissect *d, struct message *m, size_t at)
{
	struct sessions *s = of(d);
	struct slot *slot = end_slot(s, m);
	if (unlikely(!slot))
		return;
	at = end_at(s, at);
	slot->response_end_ns = end_ns(s, at);
	slot->response_len = s->offset + at - slot->response_len;
	response_done(s, slot);
}

/* More than is needed now, if it can be had: one text is mostly followed by others. */
static int grow_texts(struct sessions *s, struct slot *slot, uint32_t need)
{
	struct message *m = &slot->m;
	uint8_t shard = s->flow->shard;
	bool own = slot->text == BLOCK_NONE;
	uint32_t used = own ? 0 : m->text_len, want = max_of(need + need / 2, 256u);
	if (want > BLOCK_MAX || memory_grow(s, shard, BLOCK_TEXT, &slot->text, &slot->text_order, used, want) < 0) {
		int r = memory_grow(s, shard, BLOCK_TEXT, &slot->text, &slot->text_order, used, need);
		if (r < 0)
			return r;
	}
	m->text = block_at(&s->blocks, slot->text);
	m->text_room = BLOCK_SIZE(slot->text_order);
	if (own)
		memcpy(m->text, slot->own_text, m->text_len);
	return 0;
}

/* What message_put() had no room for, is too long, or belongs to a message that has left. */
static void call_put(struct dissect *d, struct message *m, unsigned field, const void *data, size_t len)
{
	struct sessions *s = of(d);
	struct slot *slot = slot_of(s, m);
	if (!slot)
		return;
	uint32_t max = (uint32_t)min_of(s->settings.dissect.text_max, (uint64_t)UINT16_MAX);
	if (len > max) {
		len = max;
		slot->flags |= SLOT_TRUNCATED;
	}
	struct message_text_head h = {.field = (uint8_t)field, .len = (uint16_t)len};
	uint32_t need = m->text_len + (uint32_t)sizeof h + (uint32_t)len;
	if (need > m->text_room && grow_texts(s, slot, need) < 0) {
		slot->flags |= SLOT_TRUNCATED;
		s->counters.texts_refused++;
		return;
	}
	uint8_t *at = m->text + m->text_len;
	memcpy(at, &h, sizeof h);
	if (len)
		memcpy(at + sizeof h, data, len);
	m->text_len = need;
}

static struct message *call_pending(struct dissect *d, uint64_t id)
{
	struct sessions *s = of(d);
	struct slot *slot = match(s, id, s->seq, false);
	return slot ? &slot->m : NULL;
}

static void call_unpaired(struct dissect *d, struct message *m)
{
	struct sessions *s = of(d);
	struct conn *c = s->conn;
	struct slot *slot = m ? slot_of(s, m) : NULL;
	if (m && !slot)
		return;
	if (s->direction == c->client) {
		/* Its number is taken back, also where it was not kept: no response will have it. Later requests have
		 * not begun yet. */
		c->request_next--;
		if (c->epoch && c->epoch_first == c->request_next)
			c->epoch = false;
	}
	if (!slot)
		return;
	if (slot->flags & SLOT_LISTED)
		list_remove(s, c, slot);
	slot->flags |= SLOT_UNPAIRED;
}

static int call_transform(struct dissect *d, unsigned kind, const void *data, size_t len, const uint8_t **ret_data,
			  size_t *ret_len)
{
	struct sessions *s = of(d);
	if (unlikely(s->shed)) {
		uint32_t open = s->conn->half[s->direction].open;
		if (open != POOL_NONE)
			slot_at(s, open)->flags |= SLOT_TRUNCATED;
		s->counters.contents_shed++;
		flow_mark_truncated(s->flow);
		return -ENOTSUP;
	}
	return transforms_run(s->transforms, kind, data, len, ret_data, ret_len);
}

static int call_feed(struct dissect *d, const void *data, size_t len)
{
	struct sessions *s = of(d);
	struct extra *x = extra_make(s, s->conn);
	unsigned i = s->direction;
	uint8_t shard = s->flow->shard;
	if (!x || memory_grow(s, shard, BLOCK_BUFFER, &x->inner[i], &x->inner_order[i], x->inner_len[i],
			      x->inner_len[i] + (uint32_t)len) < 0)
		return -E2BIG;
	uint8_t *at = block_at(&s->blocks, x->inner[i]);
	memcpy(at + x->inner_len[i], data, len);
	x->inner_len[i] += (uint32_t)len;
	s->nested = true;
	uint64_t n = s->conn->dissector->nested(d, at, x->inner_len[i]);
	s->nested = false;
	n = min_of(n, (uint64_t)x->inner_len[i]);
	x->inner_len[i] -= (uint32_t)n;
	if (x->inner_len[i])
		memmove(at, at + n, x->inner_len[i]);
	else
		memory_give(s, shard, BLOCK_BUFFER, &x->inner[i], x->inner_order[i]);
	return 0;
}

void pairing_cut(struct sessions *s, unsigned direction)
{
	struct conn *c = s->conn;
	struct half *h = &c->half[direction];
	if (h->open == POOL_NONE)
		return;
	struct slot *slot = slot_at(s, h->open);
	h->open = POOL_NONE;
	uint64_t missing = note_gap(s, slot, direction);
	if (!missing)
		slot->flags |= SLOT_TRUNCATED;
	if (direction == c->client) {
		slot->request_end_ns = h->last_ns;
		slot->request_len = h->offset + h->len - slot->request_len;
		slot->request_end_seq = h->next_seq;
		request_done(s, slot);
	} else {
		slot->response_end_ns = h->last_ns;
		slot->response_len = h->offset + h->len - slot->response_len;
		response_done(s, slot);
	}
}

/* The server's bytes up to next_seq were lost, with responses among them. Requests that were sent before the client had
 * received these bytes cannot be paired; the others are a burst of their own. */
static void lose_responses(struct sessions *s, struct conn *c, uint32_t next_seq)
{
	uint64_t first = UINT64_MAX;
	for (uint32_t i = c->pending_tail; i != POOL_NONE; i = slot_at(s, i)->prev) {
		const struct slot *slot = slot_at(s, i);
		if ((int32_t)(slot->request_ack - next_seq) < 0 || slot->flags & SLOT_HAS_RESPONSE)
			break;
		first = slot->number;
	}
	if (c->synced)
		lose_pairing(s, c);
	c->epoch = false;
	give_up_pending(s, c, first);
	if (first != UINT64_MAX && !c->lost_requests)
		begin_epoch(s, c, first);
}

/* `missing` bytes of a direction up to next_seq, and messages with them. */
static void lose(struct sessions *s, unsigned direction, uint32_t next_seq, uint64_t missing)
{
	struct conn *c = s->conn;
	if (c->dissector && c->dissector->pairing != PAIR_IN_ORDER)
		return;
	if (direction != c->client) {
		lose_responses(s, c, next_seq);
		return;
	}
	/* The requests seen so far are answered in their order; what comes after is unknown. */
	c->deep |= c->pending_count > 0;
	c->lost_requests = c->lost_ever = true;
	c->lost_bytes = (uint32_t)min_of(c->lost_bytes + min_of(missing, (uint64_t)UINT32_MAX), (uint64_t)UINT32_MAX);
	if (c->synced && c->barrier == NO_BARRIER)
		c->barrier = c->request_next;
	else if (!c->synced)
		c->epoch = false;
}

void pairing_lose(struct sessions *s, unsigned direction, uint64_t missing)
{
	lose(s, direction, s->conn->half[direction].next_seq, missing);
}

static void call_lost(struct dissect *d, size_t at)
{
	struct sessions *s = of(d);
	lose(s, s->direction, s->seq + (uint32_t)at, UINT32_MAX); /* how many messages lay there is not known */
}

const struct dissect_calls pairing_calls = {
    .begin = {begin_request, begin_response},
    .end = {end_request, end_response},
    .put_text = call_put,
    .pending = call_pending,
    .unpaired = call_unpaired,
    .transform = call_transform,
    .feed = call_feed,
    .remember = notes_remember,
    .recall = notes_recall,
    .forget = notes_forget,
    .lost = call_lost,
};

void pairing_expire(struct sessions *s, int64_t now_ns)
{
	struct conn *c = s->conn;
	int64_t wait_ns =
	    c->dissector && c->dissector->timeout_s ? c->dissector->timeout_s * NS_PER_S : s->settings.timeout_ns;
	for (uint32_t i = c->pending_head; i != POOL_NONE;) {
		struct slot *slot = slot_at(s, i);
		i = slot->next;
		if (now_ns - slot->request_ns <= wait_ns)
			break;
		if (slot->flags & SLOT_HAS_RESPONSE || !(slot->flags & SLOT_REQUEST_DONE))
			continue;
		slot->flags |= SLOT_TIMEOUT;
		c->timeouts++;
		finish(s, slot);
	}
}

void pairing_flush(struct sessions *s)
{
	struct conn *c = s->conn;
	pairing_cut(s, 0);
	pairing_cut(s, 1);
	while (c->pending_head != POOL_NONE) {
		struct slot *slot = slot_at(s, c->pending_head);
		if (slot->flags & SLOT_HAS_RESPONSE && !(slot->flags & SLOT_RESPONSE_DONE))
			count_response(c, slot); /* an interleaved response that will not end */
		finish(s, slot);
	}
}
