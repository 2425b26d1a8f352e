/* decode_link.c - link types and what lies between a frame's start and its IP header. */
#include "decode_walk.h"

enum link_type {
	LINK_NULL = 0,
	LINK_ETHERNET = 1,
	LINK_RAW_12 = 12, /* DLT_RAW of most systems, and of OpenBSD: written to files by old programs */
	LINK_RAW_14 = 14,
	LINK_RAW = 101,
	LINK_LOOP = 108,
	LINK_SLL = 113,
	LINK_IPV4 = 228,
	LINK_IPV6 = 229,
	LINK_SLL2 = 276,
};

/* EtherTypes of protocols that are known and not followed. Ascending. */
static const uint16_t other_ethertypes[] = {
    0x0600,                                                 /* XNS */
    0x0842,                                                 /* Wake-on-LAN */
    0x0bad,                                                 /* VINES */
    0x2000,                                                 /* CDP */
    0x22ea, 0x22f0, 0x22f3, 0x22f4,                         /* MSRP, AVTP, TRILL, L2-IS-IS */
    0x6001, 0x6002, 0x6003, 0x6004, 0x6005, 0x6006, 0x6007, /* DEC */
    0x8035,                                                 /* RARP */
    0x809b, 0x80f3,                                         /* AppleTalk, AARP */
    0x8137, 0x8138,                                         /* IPX */
    0x8204,                                                 /* QNX */
    0x8808, 0x8809,                                         /* pause frames, slow protocols (LACP, OAM) */
    0x880b,                                                 /* PPP */
    0x8863,                                                 /* PPPoE discovery */
    0x886c, 0x886d,                                         /* HomePNA, Intel teaming */
    0x8870,                                                 /* jumbo LLC */
    0x887b,                                                 /* HomePlug 1.0 */
    0x888e,                                                 /* EAPOL */
    0x8892,                                                 /* PROFINET */
    0x8899,                                                 /* Realtek remote control */
    0x88a2, 0x88a4,                                         /* ATA over Ethernet, EtherCAT */
    0x88ab,                                                 /* POWERLINK */
    0x88b5, 0x88b6, 0x88b7,                                 /* IEEE 802 experimental and OUI-extended */
    0x88b8, 0x88b9, 0x88ba,                                 /* GOOSE, GSE, sampled values */
    0x88c7,                                                 /* WLAN pre-authentication */
    0x88ca,                                                 /* TIPC */
    0x88cd,                                                 /* SERCOS III */
    0x88d9,                                                 /* LLTD */
    0x88dc,                                                 /* WAVE */
    0x88e1, 0x88e3, 0x88e5,                                 /* HomePlug AV, MRP, MACsec */
    0x88ee,                                                 /* ELMI */
    0x88f5, 0x88f6, 0x88f7, 0x88f8, 0x88fb,                 /* MVRP, MMRP, PTP, NC-SI, PRP */
    0x8902, 0x8906,                                         /* CFM, FCoE */
    0x8912, 0x8914, 0x8915, 0x891d,                         /* mediaxtream, FIP, RoCE, TTE */
    0x892f,                                                 /* HSR */
    0x893a,                                                 /* IEEE 1905.1 */
    0x8947,                                                 /* GeoNetworking */
    0x9000, 0x9003,                                         /* loopback (ECTP) */
    0x99fe,                                                 /* Cisco ACI */
    0xa0ed,                                                 /* LoWPAN encapsulation */
    0xfcfc,                                                 /* FCFT */
};

static enum decode_result name_ethertype(unsigned type)
{
	if (type == ETHERTYPE_ARP)
		return DECODE_ARP;
	if (type == ETHERTYPE_LLDP)
		return DECODE_LLDP;
	size_t low = 0, high = array_size(other_ethertypes);
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (other_ethertypes[middle] < type)
			low = middle + 1;
		else
			high = middle;
	}
	return low < array_size(other_ethertypes) && other_ethertypes[low] == type ? DECODE_OTHER_L2
										   : DECODE_UNKNOWN_ETHERTYPE;
}

/* IEEE 802.2: what a service access point stands for. */
static enum decode_result walk_sap(struct walk *w, unsigned sap, bool unnumbered, struct span s)
{
	switch (sap & 0xfe) {
	case 0x06:
		return unnumbered ? walk_payload(w, ETHERTYPE_IPV4, s) : DECODE_OTHER_L2;
	case 0x98:
		return DECODE_ARP;
	case 0x00: /* null: XID, TEST */
	case 0x02: /* LLC management */
	case 0x04: /* SNA */
	case 0x0e: /* PROWAY */
	case 0x42: /* spanning tree */
	case 0x4e: /* manufacturing messages */
	case 0x7e: /* X.25 */
	case 0x80: /* XNS */
	case 0xaa: /* SNAP, numbered */
	case 0xbc: /* VINES */
	case 0xe0: /* IPX */
	case 0xf0: /* NetBIOS */
	case 0xf4: /* LAN manager */
	case 0xf8: /* remote program load */
	case 0xfc: /* discovery */
	case 0xfe: /* OSI: IS-IS, ES-IS, CLNP */
		return DECODE_OTHER_L2;
	default:
		return DECODE_UNKNOWN_ETHERTYPE;
	}
}

/* IEEE 802.2 and SNAP (RFC 1042). */
static enum decode_result walk_llc(struct walk *w, struct span s)
{
	if (s.cap < 3)
		return DECODE_TRUNCATED_LINK;
	if (s.at[0] == 0xff && s.at[1] == 0xff)
		return DECODE_OTHER_L2; /* IPX without LLC */
	bool unnumbered = (s.at[2] & 3) == 3;
	if (s.at[0] != 0xaa || s.at[1] != 0xaa || !unnumbered) {
		unsigned sap = s.at[0];
		uint32_t header_len = unnumbered ? 3 : 4;
		if (s.cap < header_len)
			return DECODE_TRUNCATED_LINK;
		return walk_sap(w, sap, unnumbered, span_from(s, header_len));
	}
	if (s.cap < 8)
		return DECODE_TRUNCATED_LINK;
	uint32_t oui = load_be24(s.at + 3);
	unsigned type = load_be16(s.at + 6);
	s = span_from(s, 8);
	switch (oui) {
	case 0x000000: /* RFC 1042 */
	case 0x0000f8: /* IEEE 802.1H */
		return type >= 0x0600 ? walk_payload(w, type, s) : DECODE_UNKNOWN_ETHERTYPE;
	case 0x00000c: /* Cisco: CDP, VTP, DTP, UDLD, PVST+ */
	case 0x00e02b: /* Extreme: EDP */
	case 0x00e052: /* Foundry: FDP */
	case 0x0080c2: /* IEEE 802.1: bridged frames */
	case 0x080007: /* AppleTalk */
	case 0x000081: /* Nortel: SONMP */
		return DECODE_OTHER_L2;
	default:
		return DECODE_UNKNOWN_ETHERTYPE;
	}
}

/* An EtherType, or the length of an 802.3 frame. */
static enum decode_result walk_type_or_length(struct walk *w, unsigned type, struct span s)
{
	if (likely(type >= 0x0600))
		return walk_payload(w, type, s);
	if (type > 1500)
		return DECODE_UNKNOWN_ETHERTYPE;
	return walk_llc(w, span_limit(s, type));
}

enum decode_result walk_ethernet(struct walk *w, struct span s)
{
	if (unlikely(s.cap < 14))
		return DECODE_TRUNCATED_LINK;
	memcpy(w->p->mac_target, s.at, 6);
	memcpy(w->p->mac_source, s.at + 6, 6);
	w->p->flags |= PACKET_HAS_MAC;
	return walk_type_or_length(w, load_be16(s.at + 12), span_from(s, 14));
}

/* RFC 1661 §2: the PPP protocol field, one byte where its lowest bit is set (§6.5). */
static enum decode_result walk_ppp(struct walk *w, struct span s)
{
	if (s.cap < 1)
		return DECODE_TRUNCATED_LINK;
	uint32_t len = s.at[0] & 1 ? 1 : 2;
	if (s.cap < len)
		return DECODE_TRUNCATED_LINK;
	unsigned protocol = len == 1 ? s.at[0] : load_be16(s.at);
	s = span_from(s, len);
	switch (protocol) {
	case 0x0021:
		return walk_payload(w, ETHERTYPE_IPV4, s);
	case 0x0057:
		return walk_payload(w, ETHERTYPE_IPV6, s);
	case 0x0281:
	case 0x0283:
		return walk_payload(w, ETHERTYPE_MPLS, s);
	case 0x0023: /* OSI */
	case 0x002b: /* IPX */
	case 0x002d: /* Van Jacobson compressed */
	case 0x002f:
	case 0x0031: /* bridging */
	case 0x003d: /* multilink */
	case 0x00fd: /* compressed */
	case 0x8021: /* IPCP */
	case 0x8023:
	case 0x802b:
	case 0x8031:
	case 0x8057: /* IPV6CP */
	case 0x80fd: /* CCP */
	case 0x8053: /* ECP */
	case 0x8281: /* MPLSCP */
	case 0xc021: /* LCP */
	case 0xc023: /* PAP */
	case 0xc025: /* link quality */
	case 0xc223: /* CHAP */
	case 0xc227: /* EAP */
		return DECODE_OTHER_L2;
	default:
		return DECODE_UNKNOWN_ETHERTYPE;
	}
}

/* RFC 2516 §4. Its length is not used: IP has its own, and there are peers that leave the PPP protocol out of it. */
static enum decode_result walk_pppoe(struct walk *w, struct span s)
{
	if (s.cap < 6)
		return DECODE_TRUNCATED_LINK;
	if (s.at[0] != 0x11 || s.at[1])
		return DECODE_OTHER_L2; /* not version 1, type 1, session data */
	return walk_ppp(w, span_from(s, 6));
}

/* RFC 8300 §2 */
static enum decode_result walk_nsh(struct walk *w, struct span s)
{
	if (s.cap < 8)
		return DECODE_TRUNCATED_LINK;
	uint32_t len = (load_be16(s.at) & 0x3fU) * 4;
	if (s.at[0] >> 6 || len < 8)
		return DECODE_UNKNOWN_ETHERTYPE;
	if (s.cap < len)
		return DECODE_TRUNCATED_LINK;
	unsigned next = s.at[3];
	s = span_from(s, len);
	switch (next) {
	case 1:
		return walk_payload(w, ETHERTYPE_IPV4, s);
	case 2:
		return walk_payload(w, ETHERTYPE_IPV6, s);
	case 3:
		return walk_ethernet(w, s);
	case 5:
		return walk_payload(w, ETHERTYPE_MPLS, s);
	default:
		return DECODE_UNKNOWN_ETHERTYPE;
	}
}

static bool looks_like_ip(const struct walk *w, struct span s)
{
	if (s.cap >= 20 && s.at[0] >> 4 == 4) {
		uint32_t header_len = (s.at[0] & 15U) * 4, total = load_be16(s.at + 2);
		return header_len >= 20 && total >= header_len && (total <= s.wire || w->cut);
	}
	return s.cap >= 40 && s.at[0] >> 4 == 6 && (load_be16(s.at + 4) + 40U <= s.wire || w->cut);
}

/* Whether s starts with an Ethernet header: an EtherType that pseudowires carry where it should be, and what follows
 * does not contradict it. */
static bool looks_like_ethernet(struct span s)
{
	if (s.cap < 15)
		return false;
	switch (load_be16(s.at + 12)) {
	case ETHERTYPE_IPV4:
		return s.at[14] >> 4 == 4;
	case ETHERTYPE_IPV6:
		return s.at[14] >> 4 == 6;
	case ETHERTYPE_ARP:
	case ETHERTYPE_VLAN:
	case ETHERTYPE_QINQ:
	case ETHERTYPE_QINQ_OLD:
	case ETHERTYPE_MPLS:
	case ETHERTYPE_MPLS_UPSTREAM:
	case ETHERTYPE_PPPOE:
	case ETHERTYPE_PPPOE_DISCOVERY:
	case ETHERTYPE_LLDP:
	case ETHERTYPE_PBB:
	case 0x8809:
	case 0x8902:
	case 0x88e5:
	case 0x9000:
		return true;
	default:
		return false;
	}
}

static bool looks_like_llc(struct span s)
{
	if (s.cap < 17)
		return false;
	unsigned len = load_be16(s.at + 12);
	return len >= 3 && len <= 1500 && len <= s.wire - 14 && ((s.at[16] & 3) == 3 || s.at[14] == s.at[15]);
}

/* RFC 3032. What a label stack carries is known to its two ends only, so it is told by its looks: IP by the version, an
 * Ethernet pseudowire (RFC 4448) with or without control word by an EtherType at its place. */
static enum decode_result walk_mpls(struct walk *w, struct span s)
{
	for (bool bottom = false; !bottom; s = span_from(s, 4)) {
		if (s.cap < 4)
			return DECODE_TRUNCATED_LINK;
		if (++w->layers > WALK_LAYERS)
			return DECODE_TOO_DEEP;
		bottom = s.at[2] & 1;
	}
	if (s.cap < 1)
		return DECODE_TRUNCATED_LINK;
	unsigned first = s.at[0] >> 4;
	if (looks_like_ip(w, s))
		return walk_payload(w, first == 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6, s);
	if (looks_like_ethernet(s))
		return walk_ethernet(w, s);
	if (first == 0 && s.cap >= 4) {
		struct span inner = span_from(s, 4);
		if (looks_like_ethernet(inner) || looks_like_llc(inner))
			return walk_ethernet(w, inner);
	}
	if (looks_like_llc(s))
		return walk_ethernet(w, s);
	if (first == 1)
		return DECODE_OTHER_L2; /* associated channel, RFC 5586 */
	if (first == 4 || first == 6)
		return walk_payload(w, first == 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6, s);
	return DECODE_UNKNOWN_ETHERTYPE;
}

static void keep_vlan(struct packet *p, uint16_t tci)
{
	if (p->vlan_count < PACKET_VLANS)
		p->vlan[p->vlan_count++] = tci;
	else
		p->flags |= PACKET_VLAN_LOST;
}

enum decode_result walk_payload(struct walk *w, unsigned type, struct span s)
{
	if (unlikely(++w->layers > WALK_LAYERS))
		return DECODE_TOO_DEEP;
	uint32_t tag_len;
	switch (type) {
	case ETHERTYPE_IPV4:
		return walk_ipv4(w, s);
	case ETHERTYPE_IPV6:
		return walk_ipv6(w, s);
	case ETHERTYPE_VLAN:
	case ETHERTYPE_QINQ:
	case ETHERTYPE_QINQ_OLD:
		if (likely(s.cap >= 4))
			keep_vlan(w->p, load_be16(s.at));
		tag_len = 4;
		break;
	case ETHERTYPE_VN_TAG:
		tag_len = 6;
		break;
	case ETHERTYPE_E_TAG:
	case ETHERTYPE_CMD:
		tag_len = 8;
		break;
	case ETHERTYPE_MPLS:
	case ETHERTYPE_MPLS_UPSTREAM:
		return walk_mpls(w, s);
	case ETHERTYPE_PPPOE:
		return walk_pppoe(w, s);
	case ETHERTYPE_PBB:
		/* IEEE 802.1ah: the service tag, then the customer's frame */
		return s.cap < 4 ? DECODE_TRUNCATED_LINK : walk_ethernet(w, span_from(s, 4));
	case ETHERTYPE_FABRICPATH:
		return s.cap < 2 ? DECODE_TRUNCATED_LINK : walk_ethernet(w, span_from(s, 2));
	case ETHERTYPE_NSH:
		return walk_nsh(w, s);
	case ETHERTYPE_TEB:
		return walk_ethernet(w, s);
	default:
		return name_ethertype(type);
	}
	if (unlikely(s.cap < tag_len))
		return DECODE_TRUNCATED_LINK;
	return walk_type_or_length(w, load_be16(s.at + tag_len - 2), span_from(s, tag_len));
}

static enum decode_result walk_raw(struct walk *w, struct span s)
{
	if (s.cap < 1)
		return DECODE_TRUNCATED_IP;
	switch (s.at[0] >> 4) {
	case 4:
		return walk_ipv4(w, s);
	case 6:
		return walk_ipv6(w, s);
	default:
		return DECODE_MALFORMED_IP;
	}
}

/* The address family is in the byte order of the host that captured (LINKTYPE_LOOP: in network order, mostly): families
 * are small numbers, so the order shows. Some writers put an EtherType into the second half instead. */
static enum decode_result walk_null(struct walk *w, struct span s)
{
	if (s.cap < 4)
		return DECODE_TRUNCATED_LINK;
	uint32_t family = load_le32(s.at);
	if (family > UINT16_MAX)
		family = __builtin_bswap32(family);
	s = span_from(s, 4);
	if (family > UINT16_MAX && ((family & UINT16_MAX) == ETHERTYPE_IPV4 || (family & UINT16_MAX) == ETHERTYPE_IPV6))
		return walk_payload(w, family & UINT16_MAX, s);
	switch (family) {
	case 2:
		return walk_payload(w, ETHERTYPE_IPV4, s);
	case 10: /* Linux */
	case 24: /* NetBSD, OpenBSD, BSD/OS */
	case 28: /* FreeBSD, DragonFly */
	case 30: /* Darwin */
		return walk_payload(w, ETHERTYPE_IPV6, s);
	case 7:  /* OSI */
	case 16: /* AppleTalk */
	case 23: /* IPX */
		return DECODE_OTHER_L2;
	default:
		return DECODE_UNKNOWN_ETHERTYPE;
	}
}

/* What the kernel's "cooked" headers name: an EtherType, or for some devices (ARPHRD_…) and frames something else. */
static enum decode_result walk_cooked(struct walk *w, unsigned device, unsigned protocol, struct span s)
{
	switch (device) {
	case 280: /* CAN */
	case 801: /* IEEE 802.11 */
	case 802:
	case 803:
	case 824: /* netlink */
		return DECODE_OTHER_L2;
	}
	switch (protocol) {
	case 0x0001: /* IPX without LLC */
	case 0x000c: /* CAN */
	case 0x000d:
		return DECODE_OTHER_L2;
	case 0x0004:
		return walk_llc(w, s);
	}
	return protocol >= 0x0600 ? walk_payload(w, protocol, s) : DECODE_UNKNOWN_ETHERTYPE;
}

enum decode_result walk_link(struct walk *w, unsigned link_type, struct span s)
{
	switch (link_type) {
	case LINK_ETHERNET:
		return walk_ethernet(w, s);
	case LINK_NULL:
	case LINK_LOOP:
		return walk_null(w, s);
	case LINK_RAW_12:
	case LINK_RAW_14:
	case LINK_RAW:
		return walk_raw(w, s);
	case LINK_IPV4:
		return walk_ipv4(w, s);
	case LINK_IPV6:
		return walk_ipv6(w, s);
	case LINK_SLL:
		if (s.cap < 16)
			return DECODE_TRUNCATED_LINK;
		return walk_cooked(w, load_be16(s.at + 2), load_be16(s.at + 14), span_from(s, 16));
	case LINK_SLL2:
		if (s.cap < 20)
			return DECODE_TRUNCATED_LINK;
		w->p->nic = load_be16(s.at + 6);
		return walk_cooked(w, load_be16(s.at + 8), load_be16(s.at), span_from(s, 20));
	default:
		return DECODE_UNKNOWN_LINK_TYPE;
	}
}
