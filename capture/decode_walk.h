/* decode_walk.h - what the files of decode share; nobody else includes it.
 *
 * A walk follows one frame. Its functions take a span, the bytes that a layer may look at, and pass a shorter one on to
 * the next layer. They call each other as headers nest; every link header counts in `layers`, every tunnel in
 * tunnel_count, so that the depth is bounded. Each returns what the frame is; fields of the packet are written when
 * that is known, but for VLANs, tunnels, MACs and flags, which a tunnel that turns out not to be one takes back. */
#ifndef TS_CAPTURE_DECODE_WALK_H
#define TS_CAPTURE_DECODE_WALK_H

#include "decode.h"
#include "hash.h"

#define WALK_LAYERS 32
#define NOT_OPENED DECODE_RESULT_COUNT /* of the tunnel functions: go on with the outer packet */

enum ethertype {
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_ARP = 0x0806,
	ETHERTYPE_TEB = 0x6558, /* transparent Ethernet bridging */
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_IPV6 = 0x86dd,
	ETHERTYPE_MPLS = 0x8847,
	ETHERTYPE_MPLS_UPSTREAM = 0x8848,
	ETHERTYPE_PPPOE_DISCOVERY = 0x8863,
	ETHERTYPE_PPPOE = 0x8864,
	ETHERTYPE_QINQ = 0x88a8,
	ETHERTYPE_LLDP = 0x88cc,
	ETHERTYPE_PBB = 0x88e7,
	ETHERTYPE_FABRICPATH = 0x8903,
	ETHERTYPE_CMD = 0x8909, /* Cisco metadata: security group tags */
	ETHERTYPE_VN_TAG = 0x8926,
	ETHERTYPE_E_TAG = 0x893f,
	ETHERTYPE_NSH = 0x894f,
	ETHERTYPE_QINQ_OLD = 0x9100,
};

enum ip_protocol {
	IP_HOP_BY_HOP = 0,
	IP_ICMP = 1,
	IP_IPV4 = 4,
	IP_TCP = 6,
	IP_UDP = 17,
	IP_IPV6 = 41,
	IP_ROUTING = 43,
	IP_FRAGMENT = 44,
	IP_GRE = 47,
	IP_AH = 51,
	IP_ICMPV6 = 58,
	IP_NO_NEXT = 59,
	IP_DESTINATION = 60,
	IP_SCTP = 132,
	IP_MOBILITY = 135,
	IP_HIP = 139,
	IP_SHIM6 = 140,
};

/* Bytes from `at`: `wire` of them belong to the layer, the first `cap` were captured. cap <= wire. */
struct span {
	const uint8_t *at;
	uint32_t cap, wire;
};

struct walk {
	struct decode *d;
	struct packet *p;
	uint16_t tap;
	uint8_t layers;
	bool cut;     /* the capture has less than was on the wire */
	bool checked; /* the outermost IP header was checked by whoever reassembled it */
};

/* The IP header above the L4 header at hand. */
struct ip_view {
	const uint8_t *header;
	const uint8_t *source, *target;
	uint32_t l3_len;
	uint8_t version, protocol, ttl;
	uint16_t id;   /* 0 in IPv6 */
	bool rerouted; /* the checksum's pseudo-header has another target: source route not yet at its end */
};

/* n <= s->cap, checked by the caller */
static inline struct span span_from(struct span s, uint32_t n)
{
	return (struct span){.at = s.at + n, .cap = s.cap - n, .wire = s.wire - n};
}

static inline struct span span_limit(struct span s, uint32_t len)
{
	s.wire = min_of(s.wire, len);
	s.cap = min_of(s.cap, s.wire);
	return s;
}

/* decode_link.c */
enum decode_result walk_link(struct walk *w, unsigned link_type, struct span s);
enum decode_result walk_ethernet(struct walk *w, struct span s);
/* From an EtherType (never an 802.3 length) and what follows it. */
enum decode_result walk_payload(struct walk *w, unsigned type, struct span s);

/* decode_ip.c */
enum decode_result walk_ipv4(struct walk *w, struct span s);
enum decode_result walk_ipv6(struct walk *w, struct span s);

/* decode_tunnel.c: NOT_OPENED where the outer packet is the packet. */
enum decode_result walk_udp_tunnel(struct walk *w, const struct ip_view *ip, unsigned port, struct span s);
enum decode_result walk_ip_tunnel(struct walk *w, const struct ip_view *ip, struct span s);

/* decode_ip.c: whether TCP, UDP, ICMP or ICMPv6 (all of it at s) has the checksum it should have, or the
 * pseudo-header's sum alone, which a sending host leaves for its NIC to complete. */
bool l4_checksum_good(const struct ip_view *ip, struct span s);
/* decode_ip.c: VLAN or tunnel ids as one number, by settings.flow_isolation. */
uint32_t isolation_domain(const struct decode *d, const struct packet *p);

static inline void add_tunnel_port(struct decode *d, uint16_t port)
{
	d->tunnel_port_hint[port >> 6 & 15] |= UINT64_C(1) << (port & 63);
}

static inline bool may_be_tunnel_port(const struct decode *d, uint16_t port)
{
	return d->tunnel_port_hint[port >> 6 & 15] >> (port & 63) & 1;
}

/* RFC 791: the header's words add up to 0xffff. len: a multiple of 4, at most 60. */
static inline bool ipv4_checksum_good(const uint8_t *header, uint32_t len)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < len; i += 4)
		sum += load_le32(header + i);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16); /* at most 0x1ffff: folded once more, these two are 0xffff */
	return sum == 0xffff || sum == 0x1fffe;
}

/* Key, its hash, shard and direction from the ends' words. backwards: the source is end 1. */
static inline void packet_put_key(const struct decode *d, struct packet *p, const uint64_t source[2],
				  const uint64_t target[2], uint16_t source_port, uint16_t target_port,
				  unsigned backwards, uint32_t rest, uint32_t domain)
{
	_Static_assert(offsetof(struct flow_key, port) == 32 && offsetof(struct flow_key, protocol) == 36 &&
			   offsetof(struct flow_key, ip_version) == 37 && offsetof(struct flow_key, tap) == 38 &&
			   offsetof(struct flow_key, domain) == 40 && offsetof(struct flow_key, hash) == 44,
		       "the key is written as words");
	/* half of all packets go either way: no branch */
	uint64_t flip = -(uint64_t)backwards;
	uint64_t x0 = (source[0] ^ target[0]) & flip, x1 = (source[1] ^ target[1]) & flip;
	uint32_t xp = (uint32_t)(source_port ^ target_port) & (uint32_t)flip;
	uint64_t a[2] = {source[0] ^ x0, source[1] ^ x1}, b[2] = {target[0] ^ x0, target[1] ^ x1};
	uint32_t ports = (source_port ^ xp) | (target_port ^ xp) << 16;
	uint32_t hash = flow_hash_words(&d->hash_keys, a, b, ports, rest, domain);
	const struct shard_keys *k = &d->shard_keys;
	p->shard = shard_hash(k, shard_hash_end(k, source[0], source[1], source_port),
			      shard_hash_end(k, target[0], target[1], target_port), (uint8_t)rest);
	p->direction = (uint8_t)backwards;
	uint64_t *to = (uint64_t *)(void *)&p->key;
	to[0] = a[0];
	to[1] = a[1];
	to[2] = b[0];
	to[3] = b[1];
	to[4] = ports | (uint64_t)rest << 32;
	to[5] = domain | (uint64_t)hash << 32;
}

static inline void packet_set_key(const struct walk *w, const struct ip_view *ip, uint16_t source_port,
				  uint16_t target_port)
{
	uint64_t s[2] = {0}, t[2] = {0};
	if (likely(ip->version == 4)) {
		s[0] = load_le32(ip->source);
		t[0] = load_le32(ip->target);
	} else {
		memcpy(s, ip->source, sizeof s);
		memcpy(t, ip->target, sizeof t);
	}
	typedef unsigned __int128 u128;
	u128 x = (u128)__builtin_bswap64(s[0]) << 64 | __builtin_bswap64(s[1]);
	u128 y = (u128)__builtin_bswap64(t[0]) << 64 | __builtin_bswap64(t[1]);
	unsigned backwards = (unsigned)(x > y) | ((unsigned)(x == y) & (unsigned)(source_port > target_port));
	uint32_t domain = likely(w->d->settings.flow_isolation == ISOLATE_NONE) ? 0 : isolation_domain(w->d, w->p);
	packet_put_key(w->d, w->p, s, t, source_port, target_port, backwards,
		       ip->protocol | (uint32_t)ip->version << 8 | (uint32_t)w->tap << 16, domain);
}

/* All fields but the key, the frame's own and those that only TCP and ICMP have. l4: header and payload, within the IP
 * packet; header_len <= l4.wire. */
static inline void packet_set_lengths(const struct walk *w, const struct ip_view *ip, struct span l4,
				      uint32_t header_len)
{
	struct packet *p = w->p;
	uint32_t header_cap = min_of(header_len, l4.cap);
	p->payload = l4.at + header_cap;
	p->payload_len = l4.wire - header_len;
	p->payload_captured = l4.cap - header_cap;
	if (p->payload_captured < p->payload_len)
		p->flags |= PACKET_CUT;
	p->l3_len = ip->l3_len;
	p->l4_len = l4.wire;
	p->ttl = ip->ttl;
	p->ip_id = ip->id;
}

static inline void packet_set_no_tcp(struct packet *p)
{
	p->seq = 0;
	p->ack = 0;
	p->window = 0;
	p->mss = 0;
	p->window_scale = 255;
	p->tcp_flags = 0;
	p->l4_rest = 0;
}

static inline void packet_set_icmp(struct packet *p, uint8_t type, uint8_t code)
{
	p->icmp_type = type;
	p->icmp_code = code;
}

/* RFC 9293 §3.2, RFC 7323 §2.2, RFC 2018 §3. An option that runs out of the header ends the list. */
static inline void packet_set_tcp_options(struct packet *p, const uint8_t *at, const uint8_t *end)
{
	/* what nearly every segment has, timestamps alone, in the form that RFC 7323 recommends */
	if (likely(end - at == 12 && load_be32(at) == 0x0101080a)) {
		p->l4_rest = load_le64(at + 4);
		return;
	}
	p->l4_rest = hash64(at, (size_t)(end - at), 0);
	while (at < end && *at) {
		if (*at == 1) {
			at++;
			continue;
		}
		if (end - at < 2 || at[1] < 2 || at[1] > end - at)
			return;
		if (at[0] == 2 && at[1] == 4)
			p->mss = load_be16(at + 2);
		else if (at[0] == 3 && at[1] == 3)
			p->window_scale = min_of(at[2], (uint8_t)14); /* RFC 7323 §2.3: more counts as 14 */
		else if (at[0] == 5 && at[1] > 2)
			p->flags |= PACKET_TCP_SACK;
		at += at[1];
	}
}

/* From a header of which `captured` bytes, the fixed part at least, are there. */
static inline void packet_set_tcp(struct packet *p, const uint8_t *h, uint32_t captured)
{
	p->seq = load_be32(h + 4);
	p->ack = load_be32(h + 8);
	p->window = load_be16(h + 14);
	p->mss = 0;
	p->window_scale = 255;
	p->tcp_flags = h[13];
	p->l4_rest = 0;
	if (captured > 20)
		packet_set_tcp_options(p, h + 20, h + captured);
}

static inline enum decode_result walk_tcp(struct walk *w, const struct ip_view *ip, struct span s)
{
	if (unlikely(s.wire < 20))
		return DECODE_MALFORMED_L4;
	if (unlikely(s.cap < 20))
		return DECODE_TRUNCATED_L4;
	const uint8_t *h = s.at;
	uint32_t header_len = (uint32_t)(h[12] >> 4) * 4;
	if (unlikely(header_len < 20 || header_len > s.wire))
		return DECODE_MALFORMED_L4;
	struct packet *p = w->p;
	packet_set_tcp(p, h, min_of(header_len, s.cap));
	packet_set_icmp(p, 0, 0);
	packet_set_lengths(w, ip, s, header_len);
	packet_set_key(w, ip, load_be16(h), load_be16(h + 2));
	if (unlikely(w->d->settings.verify_l4_checksum) && !l4_checksum_good(ip, s))
		p->flags |= PACKET_BAD_L4_CHECKSUM;
	return DECODE_PACKET;
}

/* RFC 768. A length of 0: more than the field can say (RFC 2675), or left to the NIC. Bytes of the IP packet after the
 * datagram are no part of it. */
static inline enum decode_result walk_udp(struct walk *w, const struct ip_view *ip, struct span s)
{
	if (unlikely(s.wire < 8))
		return DECODE_MALFORMED_L4;
	if (unlikely(s.cap < 8))
		return DECODE_TRUNCATED_L4;
	uint32_t len = load_be16(s.at + 4);
	if (likely(len)) {
		if (unlikely(len < 8 || len > s.wire))
			return DECODE_MALFORMED_L4;
		s = span_limit(s, len);
	}
	uint16_t target_port = load_be16(s.at + 2);
	if (unlikely(may_be_tunnel_port(w->d, target_port))) {
		enum decode_result r = walk_udp_tunnel(w, ip, target_port, span_from(s, 8));
		if (r != NOT_OPENED)
			return r;
	}
	struct packet *p = w->p;
	packet_set_no_tcp(p);
	packet_set_icmp(p, 0, 0);
	packet_set_lengths(w, ip, s, 8);
	packet_set_key(w, ip, load_be16(s.at), target_port);
	if (unlikely(w->d->settings.verify_l4_checksum) && !l4_checksum_good(ip, s))
		p->flags |= PACKET_BAD_L4_CHECKSUM;
	return DECODE_PACKET;
}

#endif
