/* decode_tunnel.c - tunnels: which payload is one, and the way in. */
#include "decode_walk.h"

enum {
	PORT_GTPU = 2152,
	PORT_VXLAN_GPE = 4790,
	PORT_GENEVE = 6081,
};

static bool opens(const struct walk *w, enum tunnel_type type)
{
	return w->d->settings.decap_type >> type & 1;
}

/* What lies inside, for enter(). */
struct inside {
	enum tunnel_type type;
	uint32_t id;
	unsigned ethertype; /* ETHERTYPE_TEB: an Ethernet frame */
	bool cut;           /* the tunnel's start has cut the frame */
	struct span s;
};

/* Walks the inside. Where that gives nothing, all that it left on the packet is taken back. */
static enum decode_result enter(struct walk *w, const struct ip_view *ip, const struct inside *in)
{
	struct packet *p = w->p;
	if (p->tunnel_count == PACKET_TUNNELS)
		return DECODE_TOO_DEEP;
	struct {
		uint8_t mac_source[6], mac_target[6], vlan_count, tunnel_count, layers;
		bool cut;
		uint32_t flags;
	} before = {.vlan_count = p->vlan_count,
		    .tunnel_count = p->tunnel_count,
		    .layers = w->layers,
		    .cut = w->cut,
		    .flags = p->flags};
	memcpy(before.mac_source, p->mac_source, 6);
	memcpy(before.mac_target, p->mac_target, 6);

	struct tunnel *t = &p->tunnel[p->tunnel_count++];
	*t = (struct tunnel){.type = (uint8_t)in->type, .ip_version = ip->version, .id = in->id};
	memcpy(t->source, ip->source, ip->version == 4 ? 4 : 16);
	memcpy(t->target, ip->target, ip->version == 4 ? 4 : 16);
	w->cut |= in->cut;
	enum decode_result r = walk_payload(w, in->ethertype, in->s);
	if (r == DECODE_PACKET || r == DECODE_FRAGMENT) {
		w->d->tunnels[in->type]++;
		return r;
	}
	if (r == DECODE_TOO_DEEP)
		return r;
	w->d->inner_results[r]++;
	memcpy(p->mac_source, before.mac_source, 6);
	memcpy(p->mac_target, before.mac_target, 6);
	p->vlan_count = before.vlan_count;
	p->tunnel_count = before.tunnel_count;
	p->flags = before.flags;
	w->layers = before.layers;
	w->cut = before.cut;
	return NOT_OPENED;
}

/* RFC 7348, whose reserved bits say nothing. With the P bit, and always on its own port, it is the generic extension
 * (draft-ietf-nvo3-vxlan-gpe), which names what it carries. */
static enum decode_result walk_vxlan(struct walk *w, const struct ip_view *ip, bool generic_port, struct span s)
{
	static const uint16_t carries[] = {0, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_TEB, ETHERTYPE_NSH};
	if (s.cap < 8 || !(s.at[0] & 0x08)) /* no VNI */
		return NOT_OPENED;
	bool generic = s.at[0] & 0x04 && !load_be16(s.at + 1) && s.at[3] < array_size(carries) && carries[s.at[3]];
	if (generic_port && (!generic || s.at[0] & 0x01)) /* unknown, or an OAM packet */
		return NOT_OPENED;
	struct inside in = {
	    .type = TUNNEL_VXLAN,
	    .id = load_be24(s.at + 4),
	    .ethertype = generic ? carries[s.at[3]] : ETHERTYPE_TEB,
	    .s = span_from(s, 8),
	};
	if (in.ethertype == ETHERTYPE_NSH ? !(w->d->settings.decap_type & DECAP_VXLAN_NSH) : !opens(w, TUNNEL_VXLAN))
		return NOT_OPENED;
	return enter(w, ip, &in);
}

/* RFC 8926 §3.4 */
static enum decode_result walk_geneve(struct walk *w, const struct ip_view *ip, struct span s)
{
	if (s.cap < 8 || !opens(w, TUNNEL_GENEVE))
		return NOT_OPENED;
	uint32_t header_len = 8 + (s.at[0] & 0x3fU) * 4;
	unsigned type = load_be16(s.at + 2);
	if (s.at[0] >> 6 || s.at[1] & 0x80 || type < 0x0600 || s.cap < header_len) /* version, control packet */
		return NOT_OPENED;
	return enter(
	    w, ip,
	    &(struct inside){
		.type = TUNNEL_GENEVE, .id = load_be24(s.at + 4), .ethertype = type, .s = span_from(s, header_len)});
}

/* 3GPP TS 29.281 §5.1, §5.2: of the messages only the G-PDU carries a packet, and it doesn't say of which version. */
static enum decode_result walk_gtpu(struct walk *w, const struct ip_view *ip, struct span s)
{
	if (s.cap < 8 || !opens(w, TUNNEL_GTPU))
		return NOT_OPENED;
	uint8_t flags = s.at[0];
	if ((flags & 0xf0) != 0x30 || s.at[1] != 255)
		return NOT_OPENED;
	uint32_t id = load_be32(s.at + 4), len = load_be16(s.at + 2);
	s = span_limit(span_from(s, 8), len);
	if (flags & 7) {
		if (s.cap < 4)
			return NOT_OPENED;
		uint8_t next = flags & 4 ? s.at[3] : 0;
		s = span_from(s, 4);
		while (next) {
			uint32_t extension_len = s.cap ? s.at[0] * 4U : 0;
			if (!extension_len || s.cap < extension_len)
				return NOT_OPENED;
			next = s.at[extension_len - 1];
			s = span_from(s, extension_len);
		}
	}
	unsigned version = s.cap ? s.at[0] >> 4 : 0;
	if (version != 4 && version != 6)
		return NOT_OPENED;
	return enter(
	    w, ip,
	    &(struct inside){
		.type = TUNNEL_GTPU, .id = id, .ethertype = version == 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6, .s = s});
}

enum decode_result walk_udp_tunnel(struct walk *w, const struct ip_view *ip, unsigned port, struct span s)
{
	switch (port) {
	case PORT_GENEVE:
		return walk_geneve(w, ip, s);
	case PORT_GTPU:
		return walk_gtpu(w, ip, s);
	case PORT_VXLAN_GPE:
		return walk_vxlan(w, ip, true, s);
	}
	for (unsigned i = 0; i < w->d->vxlan_port_count; i++)
		if (w->d->vxlan_port[i] == port)
			return walk_vxlan(w, ip, false, s);
	return NOT_OPENED;
}

/* draft-foschiano-erspan §4: type I has no header, II has one of 8 bytes, III one of 12 and maybe 8 more. */
static enum decode_result walk_erspan(struct walk *w, const struct ip_view *ip, unsigned type, bool sequence,
				      struct span s)
{
	struct inside in = {.type = TUNNEL_ERSPAN_I, .ethertype = ETHERTYPE_TEB};
	uint32_t header_len = 0;
	if (type == 0x22eb || sequence) {
		if (s.cap < 12)
			return NOT_OPENED;
		unsigned version = s.at[0] >> 4;
		if (version == 1) {
			in.type = TUNNEL_ERSPAN_II;
			header_len = 8;
		} else if (version == 2) {
			in.type = TUNNEL_ERSPAN_III;
			header_len = s.at[11] & 1 ? 20 : 12;
			unsigned frame_type = s.at[10] >> 2 & 0x1f;
			if (frame_type == 2)
				in.ethertype =
				    s.cap > header_len && s.at[header_len] >> 4 == 6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4;
			else if (frame_type)
				return NOT_OPENED;
		} else {
			return NOT_OPENED;
		}
		in.id = load_be16(s.at + 2) & 0x3ff;
		in.cut = s.at[2] & 0x04;
	}
	if (!opens(w, in.type) || s.cap < header_len)
		return NOT_OPENED;
	in.s = span_from(s, header_len);
	return enter(w, ip, &in);
}

/* RFC 2784, 2890; with a key and Ethernet inside NVGRE, RFC 7637. Routing (RFC 1701) and version 1 (PPTP, RFC 2637) are
 * not opened. */
static enum decode_result walk_gre(struct walk *w, const struct ip_view *ip, struct span s)
{
	if (s.cap < 4)
		return NOT_OPENED;
	unsigned flags = load_be16(s.at), type = load_be16(s.at + 2);
	bool checksum = flags & 0x8000, key = flags & 0x2000, sequence = flags & 0x1000;
	uint32_t header_len = 4U + 4 * checksum + 4 * key + 4 * sequence;
	if (flags & 0x4007 || s.cap < header_len)
		return NOT_OPENED;
	uint32_t id = key ? load_be32(s.at + 4 + 4 * checksum) : 0;
	s = span_from(s, header_len);
	switch (type) {
	case 0x88be:
	case 0x22eb:
		return walk_erspan(w, ip, type, sequence, s);
	case ETHERTYPE_TEB:
		if (key && !checksum && !sequence && opens(w, TUNNEL_NVGRE))
			return enter(w, ip,
				     &(struct inside){.type = TUNNEL_NVGRE, .id = id >> 8, .ethertype = type, .s = s});
		break;
	case ETHERTYPE_IPV4:
	case ETHERTYPE_IPV6:
	case ETHERTYPE_MPLS:
	case ETHERTYPE_MPLS_UPSTREAM:
	case ETHERTYPE_VLAN:
	case ETHERTYPE_QINQ:
	case ETHERTYPE_NSH:
		break;
	default:
		return NOT_OPENED;
	}
	if (!opens(w, TUNNEL_GRE))
		return NOT_OPENED;
	return enter(w, ip, &(struct inside){.type = TUNNEL_GRE, .id = id, .ethertype = type, .s = s});
}

/* RFC 2003, 4213, 2473 */
enum decode_result walk_ip_tunnel(struct walk *w, const struct ip_view *ip, struct span s)
{
	if (ip->protocol == IP_GRE)
		return walk_gre(w, ip, s);
	bool inner6 = ip->protocol == IP_IPV6;
	static const uint8_t types[2][2] = {{TUNNEL_IPIP, TUNNEL_6IN4}, {TUNNEL_4IN6, TUNNEL_6IN6}};
	enum tunnel_type type = types[ip->version == 6][inner6];
	if (!opens(w, type))
		return NOT_OPENED;
	return enter(w, ip,
		     &(struct inside){.type = type, .ethertype = inner6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4, .s = s});
}
