/* decode_ip.c - IPv4, IPv6 and what they carry. */
#include "cursor.h"
#include "decode_walk.h"

#define EXTENSIONS_MAX 16 /* headers of one IP packet that are walked, its last one included */

uint32_t isolation_domain(const struct decode *d, const struct packet *p)
{
	uint32_t domain = 0;
	if (d->settings.flow_isolation == ISOLATE_VLAN) {
		/* a priority tag (VLAN 0) is no VLAN, and changes nothing here */
		for (unsigned i = 0; i < p->vlan_count; i++)
			domain = (domain << 12 | domain >> 20) ^ (p->vlan[i] & 0xfffU);
	} else if (d->settings.flow_isolation == ISOLATE_TUNNEL) {
		/* a GTP tunnel has an identifier of its own for each direction, so it tells no flows apart */
		for (unsigned i = 0; i < p->tunnel_count; i++)
			if (p->tunnel[i].type != TUNNEL_GTPU)
				domain = (domain << 12 | domain >> 20) ^ p->tunnel[i].id;
	}
	return domain;
}

/* The sum of little-endian 16-bit words, not folded; an odd last byte is followed by a zero. */
static uint64_t sum_words(const uint8_t *at, uint32_t len)
{
	uint64_t sum = 0;
	for (; len >= 4; at += 4, len -= 4)
		sum += load_le32(at);
	if (len >= 2) {
		sum += load_le16(at);
		at += 2;
		len -= 2;
	}
	return len ? sum + *at : sum;
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

bool l4_checksum_good(const struct ip_view *ip, struct span s)
{
	if (s.cap < s.wire || ip->rerouted)
		return true; /* cannot be told */
	static const uint8_t field_at[256] = {[IP_TCP] = 16, [IP_UDP] = 6, [IP_ICMP] = 2, [IP_ICMPV6] = 2};
	uint32_t at = field_at[ip->protocol];
	if (at + 2 > s.wire)
		return true;
	uint16_t field = load_le16(s.at + at);
	if (ip->protocol == IP_UDP && ip->version == 4 && !field)
		return true;
	uint64_t pseudo = 0;
	if (ip->protocol != IP_ICMP) {
		uint32_t address_len = ip->version == 4 ? 4 : 16;
		pseudo = sum_words(ip->source, address_len) + sum_words(ip->target, address_len) +
			 __builtin_bswap16((uint16_t)s.wire) + __builtin_bswap16((uint16_t)(s.wire >> 16)) +
			 ((uint64_t)ip->protocol << 8);
	}
	if (fold(pseudo + sum_words(s.at, s.wire)) == 0xffff)
		return true;
	return ip->protocol != IP_ICMP && field == fold(pseudo);
}

static enum decode_result walk_icmp(struct walk *w, const struct ip_view *ip, struct span s)
{
	if (s.wire < 4)
		return DECODE_MALFORMED_L4;
	uint32_t header_len = min_of(s.wire, 8U);
	if (s.cap < header_len)
		return DECODE_TRUNCATED_L4;
	uint8_t type = s.at[0];
	bool echo = ip->protocol == IP_ICMP ? type == 0 || type == 8 : type == 128 || type == 129;
	uint16_t id = echo && header_len == 8 ? load_be16(s.at + 4) : 0;
	packet_set_no_tcp(w->p);
	if (header_len == 8)
		w->p->l4_rest = load_be32(s.at + 4);
	packet_set_icmp(w->p, type, s.at[1]);
	packet_set_lengths(w, ip, s, header_len);
	packet_set_key(w, ip, id, id);
	if (w->d->settings.verify_l4_checksum && !l4_checksum_good(ip, s))
		w->p->flags |= PACKET_BAD_L4_CHECKSUM;
	return DECODE_PACKET;
}

/* RFC 9260 §3.1 */
static enum decode_result walk_sctp(struct walk *w, const struct ip_view *ip, struct span s)
{
	if (s.wire < 12)
		return DECODE_MALFORMED_L4;
	if (s.cap < 12)
		return DECODE_TRUNCATED_L4;
	packet_set_no_tcp(w->p);
	w->p->l4_rest = load_be32(s.at + 4);
	packet_set_icmp(w->p, 0, 0);
	packet_set_lengths(w, ip, s, 12);
	packet_set_key(w, ip, load_be16(s.at), load_be16(s.at + 2));
	return DECODE_PACKET;
}

static enum decode_result walk_other(struct walk *w, const struct ip_view *ip, struct span s)
{
	packet_set_no_tcp(w->p);
	packet_set_icmp(w->p, 0, 0);
	packet_set_lengths(w, ip, s, 0);
	packet_set_key(w, ip, 0, 0);
	return DECODE_PACKET;
}

static enum decode_result walk_l4(struct walk *w, const struct ip_view *ip, struct span s)
{
	switch (ip->protocol) {
	case IP_TCP:
		return walk_tcp(w, ip, s);
	case IP_UDP:
		return walk_udp(w, ip, s);
	case IP_ICMP:
	case IP_ICMPV6:
		return walk_icmp(w, ip, s);
	case IP_SCTP:
		return walk_sctp(w, ip, s);
	case IP_GRE:
	case IP_IPV4:
	case IP_IPV6: {
		enum decode_result r = walk_ip_tunnel(w, ip, s);
		return r == NOT_OPENED ? walk_other(w, ip, s) : r;
	}
	default:
		return walk_other(w, ip, s);
	}
}

/* s: the fragment's data. */
static enum decode_result walk_fragment(struct walk *w, const struct ip_view *ip, struct span s, uint32_t offset,
					uint32_t id, bool more, uint32_t next_header_at)
{
	uint32_t header_len = (uint32_t)(s.at - ip->header);
	struct decode_fragment *f = &w->d->fragment;
	*f = (struct decode_fragment){
	    .ip = ip->header,
	    .ip_captured = header_len + s.cap,
	    .header_len = header_len,
	    .next_header_at = next_header_at,
	    .data_len = s.wire,
	    .data_captured = s.cap,
	    .offset = offset,
	    .id = id,
	    .more = more,
	    .ip_version = ip->version,
	    .protocol = ip->protocol,
	};
	memcpy(f->source, ip->source, ip->version == 4 ? 4 : 16);
	memcpy(f->target, ip->target, ip->version == 4 ? 4 : 16);
	walk_other(w, ip, s);
	return DECODE_FRAGMENT;
}

/* One extension header or AH at the start of s, whose length follows from its second byte. PACKET: s and *protocol have
 * gone past it. */
static enum decode_result skip_extension(struct span *s, uint8_t *protocol)
{
	if (s->wire < 8)
		return DECODE_MALFORMED_IP;
	if (s->cap < 2)
		return DECODE_TRUNCATED_IP;
	uint32_t len = *protocol == IP_AH ? (s->at[1] + 2U) * 4 : (s->at[1] + 1U) * 8;
	if (len < 8 || len > s->wire)
		return DECODE_MALFORMED_IP;
	if (len > s->cap)
		return DECODE_TRUNCATED_IP;
	*protocol = s->at[0];
	*s = span_from(*s, len);
	return DECODE_PACKET;
}

enum decode_result walk_ipv4(struct walk *w, struct span s)
{
	if (unlikely(s.cap < 20))
		return DECODE_TRUNCATED_IP;
	const uint8_t *h = s.at;
	uint32_t header_len = (h[0] & 15U) * 4, total = load_be16(h + 2);
	if (unlikely(h[0] >> 4 != 4 || header_len < 20))
		return DECODE_MALFORMED_IP;
	if (unlikely(!total))
		total = s.wire;
	if (unlikely(total < header_len || (total > s.wire && !w->cut)))
		return DECODE_MALFORMED_IP;
	if (unlikely(header_len > s.cap))
		return DECODE_TRUNCATED_IP;
	/* what follows the packet is the link's padding; what is missing was cut off */
	s.cap = min_of(s.cap, total);
	s.wire = total;
	if (unlikely(w->checked))
		w->checked = false;
	else if (unlikely(!ipv4_checksum_good(h, header_len)))
		w->p->flags |= PACKET_BAD_IP_CHECKSUM;
	struct ip_view ip = {
	    .header = h,
	    .source = h + 12,
	    .target = h + 16,
	    .l3_len = total,
	    .version = 4,
	    .protocol = h[9],
	    .ttl = h[8],
	    .id = load_be16(h + 4),
	    .rerouted = header_len > 20, /* maybe: a source route is an option */
	};
	s = span_from(s, header_len);
	uint32_t fragment = load_be16(h + 6);
	if (unlikely(fragment & 0x3fff))
		return walk_fragment(w, &ip, s, (fragment & 0x1fff) * 8, load_be16(h + 4), fragment & 0x2000, 0);
	for (unsigned i = 0; unlikely(ip.protocol == IP_AH); i++) {
		enum decode_result r = i < EXTENSIONS_MAX ? skip_extension(&s, &ip.protocol) : DECODE_TOO_DEEP;
		if (r != DECODE_PACKET)
			return r;
	}
	return walk_l4(w, &ip, s);
}

/* RFC 2675: the length in the hop-by-hop header at h, 0 where there is none. */
static uint32_t jumbo_length(const uint8_t *h, uint32_t header_len)
{
	struct cursor c = cursor_make(h, header_len);
	cursor_skip(&c, 2);
	while (cursor_left(&c) && !c.bad) {
		uint8_t type = cursor_u8(&c);
		if (!type)
			continue; /* Pad1 */
		uint8_t len = cursor_u8(&c);
		if (type == 0xc2 && len == 4)
			return cursor_be32(&c);
		cursor_skip(&c, len);
	}
	return 0;
}

static enum decode_result ipv6_length(const struct walk *w, struct span *s)
{
	const uint8_t *h = s->at;
	uint32_t len = load_be16(h + 4);
	if (!len && h[6] == IP_HOP_BY_HOP) {
		if (s->cap < 48 || s->cap < 40 + (h[41] + 1U) * 8)
			return DECODE_TRUNCATED_IP;
		len = jumbo_length(h + 40, (h[41] + 1U) * 8);
		if (len && (len <= UINT16_MAX || len > UINT32_MAX - 40))
			return DECODE_MALFORMED_IP;
	} else if (!len && h[6] == IP_TCP && s->wire >= 60) {
		len = s->wire - 40;
	}
	if (len + 40 > s->wire && !w->cut)
		return DECODE_MALFORMED_IP;
	s->wire = len + 40;
	s->cap = min_of(s->cap, s->wire);
	return DECODE_PACKET;
}

enum decode_result walk_ipv6(struct walk *w, struct span s)
{
	if (unlikely(s.cap < 40))
		return DECODE_TRUNCATED_IP;
	const uint8_t *h = s.at;
	if (unlikely(h[0] >> 4 != 6))
		return DECODE_MALFORMED_IP;
	enum decode_result r = ipv6_length(w, &s);
	if (unlikely(r != DECODE_PACKET))
		return r;
	w->checked = false;
	struct ip_view ip = {
	    .header = h,
	    .source = h + 8,
	    .target = h + 24,
	    .l3_len = s.wire,
	    .version = 6,
	    .protocol = h[6],
	    .ttl = h[7],
	};
	uint32_t next_header_at = 6;
	s = span_from(s, 40);
	for (unsigned i = 0;; i++) {
		if (i >= EXTENSIONS_MAX)
			return DECODE_TOO_DEEP;
		struct span here = s;
		switch (ip.protocol) {
		case IP_MOBILITY:
		case IP_HIP:
		case IP_SHIM6:
			/* alone they are the packet's protocol */
			if (s.cap && s.at[0] == IP_NO_NEXT)
				return walk_other(w, &ip, s);
			break;
		case IP_ROUTING:
			if (s.cap >= 4 && s.at[3])
				ip.rerouted = true;
			break;
		case IP_FRAGMENT: {
			if (s.wire < 8)
				return DECODE_MALFORMED_IP;
			if (s.cap < 8)
				return DECODE_TRUNCATED_IP;
			uint32_t fragment = load_be16(s.at + 2);
			ip.protocol = s.at[0];
			s = span_from(s, 8);
			/* RFC 6946: a lone fragment is the packet */
			if (fragment & 0xfff9)
				return walk_fragment(w, &ip, s, fragment & 0xfff8, load_be32(s.at - 4), fragment & 1,
						     next_header_at);
			next_header_at = (uint32_t)(here.at - h);
			continue;
		}
		case IP_HOP_BY_HOP:
		case IP_DESTINATION:
		case IP_AH:
			break;
		default:
			return walk_l4(w, &ip, s);
		}
		r = skip_extension(&s, &ip.protocol);
		if (r != DECODE_PACKET)
			return r;
		next_header_at = (uint32_t)(here.at - h);
	}
}
