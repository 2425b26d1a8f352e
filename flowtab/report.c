#include "internal.h"

/* Protocols without a name of ours, by their IP protocol numbers (IANA). */
#define N(n) TEXT("IP-" #n)
/* clang-format off */
static const struct text protocol_numbers[256] = {
	N(0), N(1), N(2), N(3), N(4), N(5), N(6), N(7), N(8), N(9), N(10), N(11), N(12), N(13), N(14), N(15), N(16),
	N(17), N(18), N(19), N(20), N(21), N(22), N(23), N(24), N(25), N(26), N(27), N(28), N(29), N(30), N(31),
	N(32), N(33), N(34), N(35), N(36), N(37), N(38), N(39), N(40), N(41), N(42), N(43), N(44), N(45), N(46),
	N(47), N(48), N(49), N(50), N(51), N(52), N(53), N(54), N(55), N(56), N(57), N(58), N(59), N(60), N(61),
	N(62), N(63), N(64), N(65), N(66), N(67), N(68), N(69), N(70), N(71), N(72), N(73), N(74), N(75), N(76),
	N(77), N(78), N(79), N(80), N(81), N(82), N(83), N(84), N(85), N(86), N(87), N(88), N(89), N(90), N(91),
	N(92), N(93), N(94), N(95), N(96), N(97), N(98), N(99), N(100), N(101), N(102), N(103), N(104), N(105),
	N(106), N(107), N(108), N(109), N(110), N(111), N(112), N(113), N(114), N(115), N(116), N(117), N(118),
	N(119), N(120), N(121), N(122), N(123), N(124), N(125), N(126), N(127), N(128), N(129), N(130), N(131),
	N(132), N(133), N(134), N(135), N(136), N(137), N(138), N(139), N(140), N(141), N(142), N(143), N(144),
	N(145), N(146), N(147), N(148), N(149), N(150), N(151), N(152), N(153), N(154), N(155), N(156), N(157),
	N(158), N(159), N(160), N(161), N(162), N(163), N(164), N(165), N(166), N(167), N(168), N(169), N(170),
	N(171), N(172), N(173), N(174), N(175), N(176), N(177), N(178), N(179), N(180), N(181), N(182), N(183),
	N(184), N(185), N(186), N(187), N(188), N(189), N(190), N(191), N(192), N(193), N(194), N(195), N(196),
	N(197), N(198), N(199), N(200), N(201), N(202), N(203), N(204), N(205), N(206), N(207), N(208), N(209),
	N(210), N(211), N(212), N(213), N(214), N(215), N(216), N(217), N(218), N(219), N(220), N(221), N(222),
	N(223), N(224), N(225), N(226), N(227), N(228), N(229), N(230), N(231), N(232), N(233), N(234), N(235),
	N(236), N(237), N(238), N(239), N(240), N(241), N(242), N(243), N(244), N(245), N(246), N(247), N(248),
	N(249), N(250), N(251), N(252), N(253), N(254), N(255),
};
#undef N
/* clang-format on */
static const struct text protocol_names[256] = {
    [1] = TEXT("ICMP"),   [2] = TEXT("IGMP"),    [4] = TEXT("IPIP"),   [6] = TEXT("TCP"),       [17] = TEXT("UDP"),
    [33] = TEXT("DCCP"),  [41] = TEXT("IPv6"),   [46] = TEXT("RSVP"),  [47] = TEXT("GRE"),      [50] = TEXT("ESP"),
    [51] = TEXT("AH"),    [58] = TEXT("ICMPv6"), [88] = TEXT("EIGRP"), [89] = TEXT("OSPF"),     [103] = TEXT("PIM"),
    [112] = TEXT("VRRP"), [115] = TEXT("L2TP"),  [132] = TEXT("SCTP"), [136] = TEXT("UDPLite"),
};

static void set_ends(struct flow_record *r, const struct flow *f)
{
	const struct flow_key *k = &f->key;
	unsigned client = f->client;
	size_t len = k->ip_version == 4 ? 4 : 16;
	r->client_ip.version = r->server_ip.version = k->ip_version;
	memcpy(r->client_ip.at, k->address[client], len);
	memcpy(r->server_ip.at, k->address[!client], len);
	flow_record_mark(r, client_ip);
	flow_record_mark(r, server_ip);
	if (k->protocol == IP_TCP || k->protocol == IP_UDP || k->protocol == IP_SCTP) {
		flow_record_set(r, client_port, k->port[client]);
		flow_record_set(r, server_port, k->port[!client]);
	}
	flow_record_set(r, direction_score, f->score);
	if (f->flags & FLOW_CORRECTED)
		flow_record_set(r, direction_corrected, true);
}

/* The key, without what means nothing outside this run, and what else an id is made of: a word of the key each, so that
 * the hash reads what was written in one piece. */
struct id_input {
	uint64_t word[sizeof(struct flow_key) / 8 + 2];
};
_Static_assert(offsetof(struct flow_key, protocol) == 36 && offsetof(struct flow_key, tap) == 38 &&
		   offsetof(struct flow_key, domain) == 40 && offsetof(struct flow_key, hash) == 44,
	       "where the masks below lie");

/* Not of the key: the same at every observation point, whatever tap and domain are. */
static uint64_t pair_id(const struct flow *f)
{
	struct id_input of;
	memcpy(&of, &f->key, sizeof f->key);
	of.word[4] &= UINT64_C(0x0000ffffffffffff);
	of.word[5] = 0;
	of.word[6] = f->mark;
	return hash64(&of, 7 * sizeof of.word[0], 0);
}

uint64_t flow_id(const struct flowtab *t, const struct flow *f)
{
	(void)t;
	struct id_input of;
	memcpy(&of, &f->key, sizeof f->key);
	of.word[5] &= UINT32_MAX;
	of.word[6] = (uint64_t)f->start_ns;
	of.word[7] = f->mark;
	return hash64(&of, sizeof of, 0);
}

static void set_link(const struct flowtab *t, struct flow_record *r, const struct flow *f)
{
	if (f->flags & FLOW_MAC) {
		bool by_client = !!(f->flags & FLOW_FIRST_1) == f->client;
		memcpy(r->client_mac, by_client ? f->mac_source : f->mac_target, 6);
		memcpy(r->server_mac, by_client ? f->mac_target : f->mac_source, 6);
		flow_record_mark(r, client_mac);
		flow_record_mark(r, server_mac);
	}
	if (likely(!(f->flags & FLOW_LINK)))
		return;
	struct flow_link *l = flow_link_of(t, f);
	if (l->vlan_count) {
		r->vlan.count = (uint8_t)l->vlan_count;
		for (unsigned i = 0; i < l->vlan_count; i++)
			r->vlan.id[i] = l->vlan[i] & 0xfff;
		flow_record_mark(r, vlan);
	}
	if (l->tunnel != POOL_NONE) {
		r->tunnel.count = 0;
		for (uint32_t i = l->tunnel; i != POOL_NONE && r->tunnel.count < PACKET_TUNNELS;) {
			const struct flow_tunnel *u = pool_at(&t->tunnels, i);
			r->tunnel.at[r->tunnel.count++] = u->tunnel;
			i = u->next;
		}
		flow_record_mark(r, tunnel);
	}
	if (l->fragments)
		flow_record_set(r, fragments, l->fragments);
	if (l->bad_checksum)
		flow_record_set(r, bad_checksum, l->bad_checksum);
	l->fragments = l->bad_checksum = 0;
}

void flow_origin(const struct flowtab *t, const struct flow *f, struct flow_origin *ret_origin)
{
	unsigned first = !!(f->flags & FLOW_FIRST_1); /* the end that sent the first packet */
	struct flow_origin *o = ret_origin;
	o->nic = f->key.tap; /* where each NIC is an observation point, they have the same numbers */
	o->vlan_count = o->tunnel_count = 0;
	o->has_mac = f->flags & FLOW_MAC;
	memcpy(o->mac[first], f->mac_source, 6);
	memcpy(o->mac[!first], f->mac_target, 6);
	if (!(f->flags & FLOW_LINK))
		return;
	const struct flow_link *l = flow_link_of(t, f);
	if (l->nic)
		o->nic = l->nic;
	o->vlan_count = (uint8_t)l->vlan_count;
	memcpy(o->vlan, l->vlan, sizeof o->vlan);
	for (uint32_t i = l->tunnel; i != POOL_NONE && o->tunnel_count < PACKET_TUNNELS;) {
		const struct flow_tunnel *u = pool_at(&t->tunnels, i);
		o->tunnel[o->tunnel_count++] = u->tunnel;
		i = u->next;
	}
}

#define SET_SAMPLES(r, name, s, direction)                                                                             \
	do {                                                                                                           \
		if ((s)->count[direction]) {                                                                           \
			flow_record_set(r, name##_sum, (s)->sum[direction]);                                           \
			flow_record_set(r, name##_count, (s)->count[direction]);                                       \
			flow_record_set(r, name##_max, (s)->max[direction]);                                           \
		}                                                                                                      \
	} while (0)

#define SET_BOTH(r, name, tx, rx)                                                                                      \
	do {                                                                                                           \
		flow_record_set(r, name##_tx, tx);                                                                     \
		flow_record_set(r, name##_rx, rx);                                                                     \
	} while (0)

static void set_trouble(struct flow_record *r, const struct trouble_side *tx, const struct trouble_side *rx)
{
	SET_BOTH(r, retrans, tx->retrans, rx->retrans);
	SET_BOTH(r, ack_retrans, tx->ack_retrans, rx->ack_retrans);
	SET_BOTH(r, ooo, tx->ooo, rx->ooo);
	SET_BOTH(r, zero_win, tx->zero_window, rx->zero_window);
	uint64_t gap_tx = tx->gap_bytes - tx->gap_reported, gap_rx = rx->gap_bytes - rx->gap_reported;
	if (gap_tx)
		flow_record_set(r, gap_bytes_tx, gap_tx);
	if (gap_rx)
		flow_record_set(r, gap_bytes_rx, gap_rx);
	if (gap_tx + gap_rx)
		flow_record_set(r, gap_bytes, gap_tx + gap_rx);
}

static const struct trouble_side no_trouble;

static void set_tcp(struct flowtab *t, struct flow_record *r, struct flow *f)
{
	unsigned tx = f->client, rx = !f->client;
	struct tcp_rest *m = flow_rest(t, f);
	flow_record_set(r, syn_count, m->syn_count);
	flow_record_set(r, synack_count, m->synack_count);
	flow_record_set(r, fin_count, m->fin_count);
	m->syn_count = m->synack_count = m->fin_count = 0;
	SET_BOTH(r, keepalive, m->keepalive[tx], m->keepalive[rx]);
	m->keepalive[0] = m->keepalive[1] = 0;
	if (likely(m->trouble == POOL_NONE)) {
		set_trouble(r, &no_trouble, &no_trouble);
	} else {
		struct tcp_trouble *x = pool_at(&t->trouble, m->trouble);
		set_trouble(r, &x->side[tx], &x->side[rx]);
		for (unsigned i = 0; i < 2; i++) {
			struct trouble_side *s = &x->side[i];
			s->retrans = s->ack_retrans = s->ooo = s->zero_window = 0;
			s->gap_reported = s->gap_bytes;
		}
		tcp_trouble_told(t, f);
	}
	uint8_t new = m->rtt_known &(uint8_t)~m->rtt_reported;
	if (new &RTT_SERVER)
		flow_record_set(r, rtt_server_ns, m->rtt_server_ns);
	if (new &RTT_CLIENT)
		flow_record_set(r, rtt_client_ns, m->rtt_client_ns);
	if (new &RTT_BOTH)
		flow_record_set(r, rtt_ns, m->rtt_server_ns + m->rtt_client_ns);
	m->rtt_reported = m->rtt_known;
	SET_SAMPLES(r, srt, &m->srt, tx); /* those of the other direction are measured from the wrong end */
	SET_SAMPLES(r, art, &m->turn, rx);
	SET_SAMPLES(r, cit, &m->turn, tx);
	m->srt = m->turn = (struct samples){0};
}

/* A flow of SYNs alone has no second tier: its packets are its SYNs. */
static void set_lone_syn(struct flow_record *r, const struct flow *f)
{
	flow_record_set(r, syn_count, f->packets[f->client]); /* who sends them is the client */
	flow_record_set(r, synack_count, 0);
	flow_record_set(r, fin_count, 0);
	SET_BOTH(r, keepalive, 0, 0);
	const struct trouble_side tx = {.retrans = f->syn_repeats};
	set_trouble(r, &tx, &no_trouble);
}

static void set_copies(const struct flowtab *t, struct flow_record *r, struct flow *f)
{
	const struct flow_copies *c = pool_at(&t->copies, pool_index(&t->flows, f));
	flow_record_set(r, duplicate_count, c->count);
	if (c->delay_count) {
		flow_record_set(r, duplicate_delay_sum, c->delay_sum);
		flow_record_set(r, duplicate_delay_count, c->delay_count);
		flow_record_set(r, duplicate_delay_max, c->delay_max);
	}
	f->flags &= ~(uint32_t)FLOW_COPIES;
}

void flow_report(struct flowtab *t, struct flow *f, enum close_type close_type, bool last)
{
	struct flow_record *r = &t->record;
	unsigned tx = f->client, rx = !f->client;
	__builtin_prefetch(flow_link_of(t, f)); /* not touched since the flow began */
	r->present[0] = r->present[1] = 0;
	flow_record_set(r, flow_id, flow_id(t, f));
	flow_record_set(r, pair_id, pair_id(f));
	flow_record_set(r, start_time, f->packets[0] | f->packets[1] ? f->span_ns : f->last_ns);
	flow_record_set(r, end_time, f->last_ns);
	flow_record_set(r, duration_ns, f->last_ns - f->start_ns);
	flow_record_set(r, close_type, close_type_names[close_type]);
	flow_record_set(r, is_new_flow, !(f->flags & FLOW_FROZEN));
	flow_record_set(r, signal_source, TEXT("packet"));
	if (f->key.tap)
		flow_record_set(r, tap_port, f->key.tap);
	set_ends(r, f);
	set_link(t, r, f);
	struct text protocol = protocol_names[f->key.protocol];
	flow_record_set(r, protocol, protocol.at ? protocol : protocol_numbers[f->key.protocol]);
	flow_record_set(r, packet_tx, f->packets[tx]);
	flow_record_set(r, packet_rx, f->packets[rx]);
	flow_record_set(r, byte_tx, f->bytes[tx]);
	flow_record_set(r, byte_rx, f->bytes[rx]);
	flow_record_set(r, l3_byte_tx, f->l3_bytes[tx]);
	flow_record_set(r, l3_byte_rx, f->l3_bytes[rx]);
	flow_record_set(r, l4_byte_tx, f->l4_bytes[tx]);
	flow_record_set(r, l4_byte_rx, f->l4_bytes[rx]);
	if (f->key.protocol == IP_TCP) {
		flow_record_set(r, tcp_flags_tx, f->tcp_flags[tx]);
		flow_record_set(r, tcp_flags_rx, f->tcp_flags[rx]);
		if (f->tcp != POOL_NONE)
			set_tcp(t, r, f);
		else if (!(f->flags & FLOW_NO_TCP))
			set_lone_syn(r, f);
	}
	if (unlikely(f->flags & FLOW_COPIES))
		set_copies(t, r, f);
	if (f->flags & FLOW_TRUNCATED)
		flow_record_set(r, truncated, true);
	if (flow_is_midstream(t, f))
		flow_record_set(r, midstream, true);
	/* The next span begins. What of this one was read is in *r. */
	flow_change_begin(f);
	for (unsigned i = 0; i < 2; i++) {
		publish(f->packets[i], 0);
		publish(f->bytes[i], 0);
		publish(f->l3_bytes[i], 0);
		publish(f->l4_bytes[i], 0);
		f->tcp_flags[i] = 0;
	}
	flow_change_end(f);
	f->syn_repeats = 0;
	f->flags |= FLOW_FROZEN;
	publish_add(t->counters.records, 1);
	t->calls->report(t->ctx, f, r, last);
}

bool flow_is_midstream(const struct flowtab *t, const struct flow *f)
{
	(void)t;
	return f->key.protocol == IP_TCP && !(f->flags & (FLOW_SYN_0 | FLOW_SYN_1));
}

void flow_mark_truncated(struct flow *f)
{
	f->flags |= FLOW_TRUNCATED;
}
