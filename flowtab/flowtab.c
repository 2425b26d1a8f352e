#include "internal.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Entries, their index, timers and eviction.
 *
 * Timers are lazy: a packet only moves last_ns, and an entry whose timer fires too early is armed again. What a packet
 * finds does not depend on when timers fired: an entry that is overdue at the packet's time is closed on the spot, and
 * a record that is overdue leaves before the packet is counted. */

/* ---- the index ---- */

static inline uint32_t home_of(const struct flowtab *t, uint32_t hash)
{
	return (uint32_t)(((uint64_t)hash * t->bucket_count) >> 32);
}

static inline void prefetch_flow(const struct flow *f)
{
	__builtin_prefetch(f, 1);
	__builtin_prefetch((const char *)f + 64, 1);
	__builtin_prefetch((const char *)f + 128, 1);
}

static inline void prefetch_bucket_of(const struct flowtab *t, const struct flow *f)
{
	__builtin_prefetch(&t->buckets[home_of(t, f->key.hash)], 1);
}

/* The low bits: the high ones say where its home is. */
static inline uint16_t tag_of(uint32_t hash)
{
	uint16_t tag = (uint16_t)hash;
	return tag ? tag : 1;
}

/* Bit i: tag[i] is `tag`. */
static inline unsigned bucket_match(const struct bucket *b, uint16_t tag)
{
#ifdef __SSE2__
	__m128i want = _mm_set1_epi16((short)tag);
	__m128i low = _mm_cmpeq_epi16(_mm_load_si128((const __m128i *)(const void *)b), want);
	__m128i high = _mm_cmpeq_epi16(_mm_load_si128((const __m128i *)(const void *)b + 1), want);
	return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(low, high)) & ((1u << BUCKET_ENTRIES) - 1);
#else
	unsigned mask = 0;
	for (unsigned i = 0; i < BUCKET_ENTRIES; i++)
		mask |= (unsigned)(b->tag[i] == tag) << i;
	return mask;
#endif
}

static inline uint32_t next_bucket(const struct flowtab *t, uint32_t at)
{
	return at + 1 == t->bucket_count ? 0 : at + 1;
}

static struct flow *find(const struct flowtab *t, const struct packet *p)
{
	uint16_t tag = tag_of(p->key.hash);
	for (uint32_t at = home_of(t, p->key.hash);; at = next_bucket(t, at)) {
		const struct bucket *b = &t->buckets[at];
		for (unsigned mask = bucket_match(b, tag); mask; mask &= mask - 1) {
			struct flow *f = flow_at(t, b->entry[__builtin_ctz(mask)]);
			if (likely(flow_key_equal(&f->key, &p->key)))
				return f;
		}
		if (likely(!b->overflow))
			return NULL;
	}
}

/* There is always room: the load stays below 1/2. */
static void index_insert(struct flowtab *t, uint32_t hash, uint32_t index)
{
	for (uint32_t at = home_of(t, hash);; at = next_bucket(t, at)) {
		struct bucket *b = &t->buckets[at];
		unsigned room = bucket_match(b, 0);
		if (room) {
			unsigned i = (unsigned)__builtin_ctz(room);
			b->tag[i] = tag_of(hash);
			b->entry[i] = index;
			return;
		}
		b->overflow += b->overflow != UINT16_MAX;
	}
}

static void index_remove(struct flowtab *t, uint32_t hash, uint32_t index)
{
	uint16_t tag = tag_of(hash);
	for (uint32_t at = home_of(t, hash);; at = next_bucket(t, at)) {
		struct bucket *b = &t->buckets[at];
		for (unsigned mask = bucket_match(b, tag); mask; mask &= mask - 1) {
			unsigned i = (unsigned)__builtin_ctz(mask);
			if (b->entry[i] == index) {
				b->tag[i] = 0;
				return;
			}
		}
		b->overflow -= b->overflow != UINT16_MAX;
	}
}

/* ---- timers, and the order of eviction ---- */

static enum flow_class class_of(enum flow_state state)
{
	switch (state) {
	case FLOW_ESTABLISHED:
	case FLOW_QUEUE_LACK:
	case FLOW_CLOSING_1:
	case FLOW_CLOSING_2:
	case FLOW_DATAGRAM:
		return CLASS_KEPT;
	default:
		return CLASS_CHEAP;
	}
}

/* The report interval that ns lies in, as [from, to). Packets mostly come from one interval after the other. */
static inline void look_up_interval(struct flowtab *t, int64_t ns)
{
	if (unlikely(ns < t->interval_from_ns || ns >= t->interval_to_ns)) {
		t->interval_from_ns = ns / t->interval_ns * t->interval_ns;
		t->interval_to_ns = t->interval_from_ns + t->interval_ns;
	}
}

static inline int64_t expires_at(const struct flowtab *t, const struct flow *f)
{
	return f->last_ns + t->timeout_ns[f->state];
}

static inline struct wheel *wheel_of(const struct flowtab *t, const struct flow *f)
{
	return flow_shard(t, f)->wheel[f->flags & FLOW_KEPT ? CLASS_KEPT : CLASS_CHEAP];
}

/* For its end, or for the end of the report interval, whichever comes first; in the wheel of its state's class, which
 * may not be the one it is in. */
static void arm(struct flowtab *t, struct flow *f, uint32_t index, int64_t now_ns)
{
	int64_t deadline = expires_at(t, f);
	if (f->state != FLOW_LINGER) {
		look_up_interval(t, max_of(f->last_ns, now_ns));
		deadline = min_of(deadline, t->interval_to_ns);
	}
	int64_t tick = TICK_FROM(deadline);
	uint32_t kept = class_of(f->state) == CLASS_KEPT ? FLOW_KEPT : 0;
	if ((f->flags & FLOW_KEPT) != kept)
		wheel_cancel(wheel_of(t, f), index);
	f->flags = (f->flags & ~(uint32_t)(FLOW_TOUCHED | FLOW_KEPT)) | kept;
	wheel_arm(wheel_of(t, f), index, tick);
	if (tick < t->due[f->shard])
		t->due[f->shard] = tick;
}

static uint32_t next_victim(const struct shard *s)
{
	uint32_t index = wheel_first(s->wheel[CLASS_CHEAP]);
	return likely(index != POOL_NONE) ? index : wheel_first(s->wheel[CLASS_KEPT]);
}

/* ---- life of an entry ---- */

static void release(struct flowtab *t, struct flow *f)
{
	struct shard *s = flow_shard(t, f);
	uint32_t index = pool_index(&t->flows, f);
	if (unlikely(f->flags & FLOW_LINK)) {
		struct flow_link *l = flow_link_of(t, f);
		while (l->tunnel != POOL_NONE) {
			uint32_t i = l->tunnel;
			l->tunnel = ((struct flow_tunnel *)pool_at(&t->tunnels, i))->next;
			pool_give(&t->tunnels, &s->tunnels, i);
		}
	}
	wheel_cancel(wheel_of(t, f), index);
	index_remove(t, f->key.hash, index);
	flow_change_begin(f);
	publish(f->state, FLOW_FREE);
	flow_change_end(f);
	pool_give(&t->flows, &s->flows, index);
}

/* The last record, and what hangs on the entry. The entry itself stays with its caller. */
static void finish(struct flowtab *t, struct flow *f, enum close_type close_type, int64_t now_ns)
{
	struct tcp *c = flow_tcp(t, f);
	flow_change_begin(f);
	publish(f->close_type, close_type);
	flow_change_end(f);
	if (c)
		stream_flush(t, f, c, now_ns);
	t->calls->close(t->ctx, f, now_ns);
	flow_report(t, f, close_type, true);
	tcp_free(t, f);
	publish_add(t->counters.live, (uint64_t)-1);
}

static bool from_client(const struct flow *f, uint32_t flag_of_direction_1)
{
	return !!(f->flags & flag_of_direction_1) == f->client;
}

/* What the state says about a flow that ends by `reason`. One that was over already keeps its own end. */
static enum close_type close_type_of(const struct flow *f, enum close_type reason)
{
	switch ((enum flow_state)f->state) {
	case FLOW_RESET_OPENING_1:
		return from_client(f, FLOW_RST_1) ? CLOSE_CLIENT_ESTABLISH_RESET : CLOSE_SERVER_RESET;
	case FLOW_RESET_OPENING_2:
		return from_client(f, FLOW_RST_1) ? CLOSE_CLIENT_ESTABLISH_RESET : CLOSE_SERVER_ESTABLISH_RESET;
	case FLOW_RESET_QUEUE_LACK:
		return from_client(f, FLOW_RST_1) ? CLOSE_CLIENT_ESTABLISH_RESET : CLOSE_SERVER_QUEUE_LACK;
	case FLOW_RESET:
		return from_client(f, FLOW_RST_1) ? CLOSE_TCP_CLIENT_RST : CLOSE_TCP_SERVER_RST;
	case FLOW_RESET_CLOSING:
		return from_client(f, FLOW_RST_1) ? CLOSE_TCP_FIN_CLIENT_RST : CLOSE_TCP_SERVER_RST;
	case FLOW_CLOSING_2:
		return CLOSE_TCP_FIN;
	default:
		break;
	}
	if (reason != CLOSE_TIMEOUT)
		return reason;
	switch ((enum flow_state)f->state) {
	case FLOW_OPENING_1:
		return CLOSE_CLIENT_SYN_REPEAT;
	case FLOW_OPENING_2:
		return CLOSE_SERVER_SYNACK_REPEAT;
	case FLOW_QUEUE_LACK:
		return CLOSE_SERVER_QUEUE_LACK;
	case FLOW_CLOSING_1:
		/* the other half was never closed */
		return !!(f->flags & FLOW_FIN_1) == f->client ? CLOSE_SERVER_HALF_CLOSE : CLOSE_CLIENT_HALF_CLOSE;
	default:
		return CLOSE_TIMEOUT;
	}
}

static void end(struct flowtab *t, struct flow *f, enum close_type reason, int64_t now_ns)
{
	if (f->state != FLOW_LINGER)
		finish(t, f, close_type_of(f, reason), now_ns);
	release(t, f);
}

void flow_set_state(struct flowtab *t, struct flow *f, enum flow_state state)
{
	uint32_t index = pool_index(&t->flows, f);
	flow_change_begin(f);
	publish(f->state, (uint8_t)state);
	flow_change_end(f);
	/* What is no longer cheap is put among the others when that matters. */
	if ((f->flags & FLOW_KEPT && class_of(state) == CLASS_CHEAP) || TICK_FROM(expires_at(t, f)) < f->timer.deadline)
		arm(t, f, index, f->last_ns);
}

/* Closed as it should be: the record leaves with the last ACK, the entry stays for late segments. */
static void begin_linger(struct flowtab *t, struct flow *f, int64_t now_ns)
{
	finish(t, f, CLOSE_TCP_FIN, now_ns);
	if (!t->timeout_ns[FLOW_LINGER])
		release(t, f);
	else
		flow_set_state(t, f, FLOW_LINGER);
}

#define EVICT_TRIES 8

/* Makes room for one flow. The next victim goes, but what had packets since its timer was armed has it armed anew, and
 * so stands behind others. What became a flow worth keeping since it was armed goes to its wheel now: once for each. */
static void evict(struct flowtab *t, struct shard *s, int64_t now_ns)
{
	struct flow *f = flow_at(t, next_victim(s));
	for (unsigned tries = 0; f->flags & FLOW_TOUCHED;) {
		bool promoted = !(f->flags & FLOW_KEPT) && class_of(f->state) == CLASS_KEPT;
		if (!promoted && tries++ == EVICT_TRIES)
			break;
		arm(t, f, pool_index(&t->flows, f), f->last_ns);
		f = flow_at(t, next_victim(s));
	}
	if (f->state != FLOW_LINGER)
		publish_add(t->counters.flows_evicted, 1);
	end(t, f, CLOSE_EVICTED, now_ns);
}

/* ---- the first packet ---- */

enum port_kind { PORT_EPHEMERAL, PORT_REGISTERED, PORT_WELL_KNOWN };

static enum port_kind port_kind(uint16_t port)
{
	return port < 1024 ? PORT_WELL_KNOWN : port < 32768 ? PORT_REGISTERED : PORT_EPHEMERAL;
}

/* Who is the client as far as ports and the first speaker tell; the scores are in flowtab.h. */
static void guess_client(const struct packet *p, uint8_t *ret_client, uint8_t *ret_score)
{
	const uint16_t *port = p->key.port;
	*ret_client = p->direction;
	switch (p->key.protocol) {
	case IP_ICMP:
	case IP_ICMPV6: {
		bool v6 = p->key.protocol == IP_ICMPV6;
		bool reply = p->icmp_type == (v6 ? 129 : 0);
		if (reply)
			*ret_client = !p->direction;
		*ret_score = reply || p->icmp_type == (v6 ? 128 : 8) ? SCORE_CONTENT : SCORE_FIRST_SPEAKER;
		return;
	}
	case IP_TCP:
	case IP_UDP:
	case IP_SCTP:
		break;
	default:
		*ret_score = SCORE_FIRST_SPEAKER;
		return;
	}
	enum port_kind kind[2] = {port_kind(port[0]), port_kind(port[1])};
	if (kind[0] != kind[1]) {
		unsigned server = kind[1] > kind[0];
		*ret_client = !server;
		*ret_score = kind[server] == PORT_WELL_KNOWN ? SCORE_WELL_KNOWN_PORT : SCORE_REGISTERED_PORT;
		return;
	}
	if (p->key.protocol == IP_TCP && port[0] != port[1]) {
		*ret_client = port[0] > port[1] ? 0 : 1;
		*ret_score = SCORE_LOWER_PORT;
		return;
	}
	*ret_score = SCORE_FIRST_SPEAKER;
}

void flow_orient(struct flow *f, unsigned client, unsigned score)
{
	if (score <= f->score)
		return;
	if (f->flags & FLOW_FROZEN) {
		if (f->client != client)
			f->flags |= FLOW_CORRECTED;
		return;
	}
	flow_change_begin(f);
	publish(f->client, (uint8_t)client);
	publish(f->score, (uint8_t)score);
	flow_change_end(f);
}

void flow_set_client(struct flowtab *t, struct flow *f, unsigned client_end)
{
	(void)t;
	flow_orient(f, client_end, SCORE_CONTENT);
}

static uint32_t mark_of(const struct packet *p)
{
	if (p->key.protocol == IP_TCP)
		/* The ISN of the client, where it can be told: an observation point may see but one direction. */
		return (p->tcp_flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK) ? p->ack - 1 : p->seq;
	return (uint32_t)hash64(p->payload, min_of(p->payload_captured, 64u), p->payload_len);
}

static struct flow_link *use_link(struct flowtab *t, struct flow *f)
{
	struct flow_link *l = flow_link_of(t, f);
	if (!(f->flags & FLOW_LINK)) {
		*l = (struct flow_link){.tunnel = POOL_NONE};
		f->flags |= FLOW_LINK;
		uint32_t end = pool_index(&t->flows, f) + 1;
		if (end > t->links.high)
			publish(t->links.high, end);
	}
	return l;
}

static void keep_tags(struct flowtab *t, struct shard *s, struct flow *f, const struct packet *p)
{
	struct flow_link *l = use_link(t, f);
	l->nic = p->nic != p->key.tap ? p->nic : 0;
	l->vlan_count = p->vlan_count;
	for (unsigned i = 0; i < p->vlan_count; i++)
		l->vlan[i] = p->vlan[i];
	for (unsigned i = p->tunnel_count; i--;) {
		uint32_t index = pool_take(&t->tunnels, &s->tunnels);
		if (index == POOL_NONE) {
			f->flags |= FLOW_TRUNCATED;
			return;
		}
		struct flow_tunnel *u = pool_at(&t->tunnels, index);
		u->tunnel = p->tunnel[i];
		u->next = l->tunnel;
		l->tunnel = index;
	}
}

static enum flow_state first_state(const struct packet *p)
{
	return p->key.protocol == IP_TCP ? tcp_first_state(p) : FLOW_DATAGRAM_ONEWAY;
}

static struct shard *shard_of(struct flowtab *t, unsigned id)
{
	if (unlikely(t->shard_at[id] == SHARD_NONE)) {
		if (t->shards_used == t->shard_count)
			return NULL;
		t->shard_at[id] = (uint16_t)t->shards_used++;
	}
	return &t->shards[t->shard_at[id]];
}

static struct flow *create(struct flowtab *t, const struct packet *p, int64_t ts_ns)
{
	struct shard *s = shard_of(t, p->shard);
	if (unlikely(!s))
		return NULL;
	if (unlikely(s->flows.used >= s->flows.limit)) {
		if (!s->flows.limit)
			return NULL;
		evict(t, s, ts_ns);
	}
	uint32_t index = pool_take(&t->flows, &s->flows);
	if (unlikely(index == POOL_NONE))
		return NULL;
	if (likely(t->flows.free_head != POOL_NONE))
		prefetch_flow(flow_at(t, t->flows.free_head)); /* the next one's */
	struct flow *f = flow_at(t, index);
	uint8_t client, score;
	guess_client(p, &client, &score);
	flow_change_begin(f);
	publish(f->state, (uint8_t)first_state(p));
	publish(f->client, client);
	publish(f->score, score);
	publish(f->close_type, CLOSE_UNKNOWN);
	uint64_t *to = (uint64_t *)(void *)&f->key;
	const uint64_t *from = (const uint64_t *)(const void *)&p->key;
	for (unsigned i = 0; i < sizeof f->key / 8; i++)
		publish(to[i], from[i]);
	publish(f->start_ns, ts_ns);
	publish(f->last_ns, ts_ns);
	for (unsigned i = 0; i < 2; i++) {
		publish(f->packets[i], 0);
		publish(f->bytes[i], 0);
		publish(f->l3_bytes[i], 0);
		publish(f->l4_bytes[i], 0);
		f->tcp_flags[i] = 0;
	}
	flow_change_end(f);
	f->tcp = POOL_NONE;
	f->l7 = FLOW_L7_NONE;
	f->span_ns = ts_ns;
	f->mark = mark_of(p);
	f->isn = p->seq;
	f->syn_repeats = 0;
	f->flags = (p->direction ? FLOW_FIRST_1 : 0) | (p->flags & PACKET_HAS_MAC ? FLOW_MAC : 0) |
		   (class_of(f->state) == CLASS_KEPT ? FLOW_KEPT : 0);
	memcpy(f->mac_target, p->mac_target, 6);
	memcpy(f->mac_source, p->mac_source, 6);
	f->shard = p->shard;
	f->syn_scale = 255;
	if (unlikely(p->vlan_count | p->tunnel_count) || unlikely(p->nic && p->nic != p->key.tap))
		keep_tags(t, s, f, p);
	index_insert(t, p->key.hash, index);
	wheel_init_node(&f->timer);
	arm(t, f, index, ts_ns);
	publish_add(t->counters.flows, 1);
	publish_add(t->counters.live, 1);
	return f;
}

/* ---- packets ---- */

void flowtab_prefetch_bucket(const struct flowtab *t, const struct packet *p)
{
	__builtin_prefetch(&t->buckets[home_of(t, p->key.hash)]);
}

/* The entry that it most likely is: the first in the home bucket with its tag. */
static inline struct flow *guess(const struct flowtab *t, const struct packet *p)
{
	const struct bucket *b = &t->buckets[home_of(t, p->key.hash)];
	unsigned mask = bucket_match(b, tag_of(p->key.hash));
	return mask ? flow_at(t, b->entry[__builtin_ctz(mask)]) : NULL;
}

/* Bit of a hint: not the packet's flow, but who will have to leave for it. */
#define HINT_VICTIM (UINT32_C(1) << 31)

uint32_t flowtab_prefetch_entry(const struct flowtab *t, const struct packet *p)
{
	const struct flow *f = guess(t, p);
	if (f) {
		prefetch_flow(f);
		return pool_index(&t->flows, f);
	}
	unsigned at = t->shard_at[p->shard];
	if (unlikely(at == SHARD_NONE))
		return FLOW_HINT_NONE;
	const struct shard *s = &t->shards[at];
	if (likely(s->flows.used < s->flows.limit || !s->flows.limit))
		return FLOW_HINT_NONE;
	uint32_t victim = next_victim(s);
	prefetch_flow(flow_at(t, victim));
	__builtin_prefetch(flow_link_of(t, flow_at(t, victim)), 1); /* its record is made, and its place taken */
	return victim | HINT_VICTIM;
}

uint32_t flowtab_prefetch_tcp(const struct flowtab *t, const struct packet *p, uint32_t hint)
{
	if (hint & HINT_VICTIM) {
		if (hint != FLOW_HINT_NONE) {
			uint32_t index = hint & ~HINT_VICTIM;
			const struct flow *f = flow_at(t, index);
			prefetch_bucket_of(t, f);
			/* who is next in its shard, perhaps for another packet of this burst */
			uint32_t next = wheel_behind(wheel_of(t, f), index);
			if (next != POOL_NONE)
				prefetch_flow(flow_at(t, next));
		}
		return FLOW_L7_NONE;
	}
	const struct flow *f = flow_at(t, hint);
	if (unlikely(f->state == FLOW_CLOSING_2 || p->tcp_flags & (TCP_FIN | TCP_RST)))
		wheel_prefetch_cancel(wheel_of(t, f), hint); /* its timer will perhaps be moved */
	if (f->tcp == POOL_NONE)
		return f->l7;
	const struct tcp *c = pool_at(&t->tcp, f->tcp);
	__builtin_prefetch(&c->side[0], 1);
	__builtin_prefetch(&c->side[1], 1);
	const char *rest = pool_at(&t->tcp_rest, f->tcp);
	for (size_t at = 0; at < sizeof(struct tcp_rest); at += 64)
		__builtin_prefetch(rest + at, 1);
	bool ends = (p->tcp_flags & (TCP_FIN | TCP_RST)) || f->state == FLOW_CLOSING_2;
	return p->payload_len || ends ? f->l7 : FLOW_L7_NONE;
}

static inline void count(struct flow *f, const struct packet *p, int64_t ts_ns)
{
	unsigned direction = p->direction;
	if (!(f->packets[0] | f->packets[1]))
		f->span_ns = ts_ns;
	flow_change_begin(f);
	publish(f->last_ns, ts_ns);
	publish_add(f->packets[direction], p->frames);
	publish_add(f->bytes[direction], p->wire_len);
	publish_add(f->l3_bytes[direction], p->l3_len);
	publish_add(f->l4_bytes[direction], p->payload_len);
	flow_change_end(f);
}

static void datagram(struct flowtab *t, struct flow *f, const struct packet *p, int64_t ts_ns)
{
	if (f->state == FLOW_DATAGRAM_ONEWAY && (f->flags & (FLOW_SEEN_0 << !p->direction))) {
		bool icmp = f->key.protocol == IP_ICMP || f->key.protocol == IP_ICMPV6;
		flow_set_state(t, f, icmp ? FLOW_ICMP : FLOW_DATAGRAM);
	}
	if (f->key.protocol != IP_UDP || !p->payload_len || (f->flags & FLOW_BYTES_OFF))
		return;
	uint32_t len = min_of(p->payload_captured, p->payload_len);
	struct flow_data d = {
	    .data = p->payload, .len = len, .direction = p->direction, .datagram = true, .ts_ns = ts_ns};
	t->calls->data(t->ctx, f, &d);
	if (len < p->payload_len && !(f->flags & FLOW_BYTES_OFF))
		t->calls->gap(t->ctx, f, p->direction, p->payload_len - len, 0, ts_ns);
}

/* What a packet finds: the live flow it belongs to; NULL: it begins one; or, with *ret_late, a closed one. */
static struct flow *resolve(struct flowtab *t, const struct packet *p, uint32_t hint, int64_t ts_ns, bool *ret_late)
{
	struct flow *f = hint & HINT_VICTIM ? NULL : flow_at(t, hint);
	if (!f || unlikely(f->state == FLOW_FREE || !flow_key_equal(&f->key, &p->key)))
		f = find(t, p);
	*ret_late = false;
	if (unlikely(!f))
		return NULL;
	if (unlikely(ts_ns >= expires_at(t, f))) {
		end(t, f, CLOSE_TIMEOUT, ts_ns);
		return NULL;
	}
	if (f->key.protocol != IP_TCP)
		return f;
	if (unlikely((p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN) && tcp_is_reuse(t, f, p)) {
		end(t, f, CLOSE_CLIENT_SOURCE_PORT_REUSE, ts_ns);
		return NULL;
	}
	*ret_late = unlikely(f->state == FLOW_LINGER);
	return f;
}

#define ADMIT_SEED 0x61646d6974 /* another hash than those of shard and place */

void flowtab_admit(struct flowtab *t, unsigned halvings)
{
	t->admit_mask = (UINT64_C(1) << halvings) - 1;
}

void flowtab_packet_at(struct flowtab *t, const struct packet *p, uint32_t hint)
{
	int64_t ts_ns = p->ts_ns;
	if (unlikely((uint64_t)ts_ns > (uint64_t)TIME_MAX))
		ts_ns = ts_ns < 0 ? 0 : TIME_MAX;
	publish_add(t->counters.packets, 1);
	publish_add(t->counters.frames, p->frames);
	bool late;
	struct flow *f = resolve(t, p, hint, ts_ns, &late);
	if (unlikely(late)) {
		publish_add(t->counters.late_frames, p->frames);
		return;
	}
	/* A clock that stepped back stands still for the flow. */
	int64_t flow_ns = ts_ns;
	if (unlikely(!f)) {
		if (unlikely(t->admit_mask) && (hash64(&p->key, sizeof p->key, ADMIT_SEED) & t->admit_mask)) {
			publish_add(t->counters.shed_frames, p->frames);
			return;
		}
		f = create(t, p, ts_ns);
		if (unlikely(!f)) {
			publish_add(t->counters.no_memory_frames, p->frames);
			return;
		}
	} else {
		flow_ns = max_of(ts_ns, f->last_ns);
		look_up_interval(t, flow_ns);
		if (unlikely(f->last_ns < t->interval_from_ns) && t->settings.report_interval_ns &&
		    (f->packets[0] | f->packets[1]))
			flow_report(t, f, CLOSE_FORCED_REPORT, false);
		f->flags |= FLOW_TOUCHED;
		t->before_ns = f->last_ns;
	}
	publish_add(t->counters.flow_frames, p->frames);
	count(f, p, flow_ns);
	if (unlikely(p->flags & (PACKET_BAD_IP_CHECKSUM | PACKET_BAD_L4_CHECKSUM)))
		use_link(t, f)->bad_checksum++;
	if (unlikely(p->frames > 1))
		use_link(t, f)->fragments += p->frames;
	bool closed = false;
	if (f->key.protocol == IP_TCP)
		closed = tcp_packet(t, f, p, ts_ns);
	else
		datagram(t, f, p, ts_ns);
	f->flags |= FLOW_SEEN_0 << p->direction;
	if (unlikely(closed))
		begin_linger(t, f, flow_ns);
}

void flowtab_duplicate(struct flowtab *t, const struct packet *p, int64_t delay_ns)
{
	struct flow *f = find(t, p);
	if (!f || f->state == FLOW_LINGER)
		return;
	uint32_t index = pool_index(&t->flows, f);
	struct flow_copies *c = pool_at(&t->copies, index);
	if (!(f->flags & FLOW_COPIES)) {
		f->flags |= FLOW_COPIES;
		*c = (struct flow_copies){0};
		if (index >= t->copies.high)
			publish(t->copies.high, index + 1);
	}
	c->count += p->frames;
	if (delay_ns >= 0) {
		c->delay_count++;
		c->delay_sum += delay_ns;
		c->delay_max = max_of(c->delay_max, delay_ns);
	}
}

/* ---- the clock ---- */

/* The object at hand is `first`, those behind it in its slot come next. */
static void look_ahead(const struct flowtab *t, const struct wheel *w, struct flows_ahead *a, uint32_t first)
{
	if (a->count && a->index[0] != first) {
		memmove(a->index, a->index + 1, sizeof a->index - sizeof a->index[0]);
		a->count--;
	}
	if (!a->count || a->index[0] != first) {
		a->index[0] = first;
		a->count = 1;
	}
	while (a->count < FLOWS_AHEAD) {
		uint32_t next = wheel_behind(w, a->index[a->count - 1]);
		if (next == POOL_NONE)
			break;
		prefetch_flow(flow_at(t, next));
		a->index[a->count++] = next;
	}
	if (a->count > FLOWS_AHEAD / 2)
		prefetch_bucket_of(t, flow_at(t, a->index[FLOWS_AHEAD / 2]));
}

static void fire(void *ctx, uint32_t index)
{
	struct flowtab *t = ctx;
	struct flow *f = flow_at(t, index);
	int64_t now_ns = t->now_ns;
	const struct wheel *w = wheel_of(t, f);
	uint32_t next = wheel_first(w);
	if (next != POOL_NONE)
		look_ahead(t, w, &t->ahead, next);
	if (expires_at(t, f) <= now_ns) {
		end(t, f, CLOSE_TIMEOUT, now_ns);
		return;
	}
	if (f->state != FLOW_LINGER) {
		look_up_interval(t, now_ns);
		if (t->settings.report_interval_ns && f->last_ns < t->interval_from_ns &&
		    (f->packets[0] | f->packets[1]))
			flow_report(t, f, CLOSE_FORCED_REPORT, false);
		t->calls->timer(t->ctx, f, now_ns);
	}
	arm(t, f, index, now_ns);
}

static void look_up_due(struct flowtab *t, unsigned id, const struct shard *s)
{
	t->due[id] = min_of(wheel_next(s->wheel[CLASS_CHEAP]), wheel_next(s->wheel[CLASS_KEPT]));
}

void flowtab_tick(struct flowtab *t, int64_t now_ns)
{
	int64_t tick = TICK_OF(now_ns);
	bool back = now_ns < t->now_ns;
	t->now_ns = now_ns;
	for (unsigned id = 0; id < SHARDS; id++) {
		if (likely(t->due[id] > tick && !back) || t->shard_at[id] == SHARD_NONE)
			continue;
		struct shard *s = &t->shards[t->shard_at[id]];
		for (unsigned class = 0; class < CLASSES; class ++) {
			if (unlikely(back))
				wheel_rewind(s->wheel[class], tick);
			else
				wheel_advance(s->wheel[class], tick, fire, t);
		}
		look_up_due(t, id, s);
	}
}

void flowtab_finish(struct flowtab *t, int64_t now_ns)
{
	t->now_ns = max_of(t->now_ns, now_ns);
	for (unsigned id = 0; id < SHARDS; id++) {
		if (t->shard_at[id] == SHARD_NONE)
			continue;
		struct shard *s = &t->shards[t->shard_at[id]];
		struct flows_ahead ahead[CLASSES] = {0};
		for (;;) {
			uint32_t first[CLASSES];
			for (unsigned class = 0; class < CLASSES; class ++) {
				first[class] = wheel_first(s->wheel[class]);
				if (first[class] != POOL_NONE)
					look_ahead(t, s->wheel[class], &ahead[class], first[class]);
			}
			uint32_t a = first[CLASS_CHEAP], b = first[CLASS_KEPT];
			if (a == POOL_NONE && b == POOL_NONE)
				break;
			/* nearly in the order in which they began */
			bool take_b =
			    a == POOL_NONE || (b != POOL_NONE && flow_at(t, b)->start_ns < flow_at(t, a)->start_ns);
			end(t, flow_at(t, take_b ? b : a), CLOSE_END_OF_INPUT, t->now_ns);
		}
		t->due[id] = WHEEL_NEVER;
	}
}
