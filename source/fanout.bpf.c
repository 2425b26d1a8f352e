/* fanout.bpf.c - which queue a packet goes to: see fanout.h.
 *
 * It follows a frame as capture/decode does, with the same limits and the same idea of what is malformed, for it must
 * come to the same five-tuple: where the inside of a tunnel gives nothing, the packet outside stands for the frame. The
 * comments in decode_link.c, decode_ip.c and decode_tunnel.c say why, and name the documents.
 *
 * One header a turn, at most TURNS of them. Offsets count from where skb->data is: the network header of what comes in,
 * the link header of what goes out. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "fanout_config.h"

#define TURNS 24
#define TUNNELS 4
#define COOKED_HLEN 16

enum tunnel_type { /* of base/packet.h, which eBPF cannot include; fanout_bpf.c compares the two */
		   TUNNEL_NONE,
		   TUNNEL_VXLAN,
		   TUNNEL_GENEVE,
		   TUNNEL_GRE,
		   TUNNEL_NVGRE,
		   TUNNEL_ERSPAN_I,
		   TUNNEL_ERSPAN_II,
		   TUNNEL_ERSPAN_III,
		   TUNNEL_IPIP,
		   TUNNEL_6IN4,
		   TUNNEL_4IN6,
		   TUNNEL_6IN6,
		   TUNNEL_GTPU,
		   TUNNEL_VXLAN_NSH,
};

/* What comes next in a frame: an EtherType, or one of these, which no EtherType is. */
enum next {
	NEXT_ETHERNET = 0x10000,
	NEXT_LLC,
	NEXT_PPP,
	NEXT_MPLS_BOTTOM, /* what lies under a label stack */
	NEXT_LAYER4,      /* what an IP header's protocol says, extension headers included */
	NEXT_GTP_EXTENSION,
	NEXT_GTP_INSIDE,
};

enum {
	TYPE_TEB = 0x6558,
	TYPE_QINQ_OLD = 0x9100,
	TYPE_PBB = 0x88e7,
	TYPE_FABRICPATH = 0x8903,
	TYPE_CMD = 0x8909,
	TYPE_VN_TAG = 0x8926,
	TYPE_E_TAG = 0x893f,
	TYPE_NSH = 0x894f,
};

enum {
	HOP_BY_HOP = 0,
	ICMP = 1,
	IPV4 = 4,
	TCP = 6,
	UDP = 17,
	IPV6 = 41,
	ROUTING = 43,
	FRAGMENT = 44,
	GRE = 47,
	AH = 51,
	ICMPV6 = 58,
	NO_NEXT = 59,
	DESTINATION = 60,
	SCTP = 132,
	MOBILITY = 135,
	HIP = 139,
	SHIM6 = 140,
};

struct walk {
	__u64 source[2], target[2]; /* of the IP header at hand */
	__u32 at, cap, wire;        /* offsets: of the next header; where what decode sees ends; where the layer ends */
	__u32 next;                 /* enum next */
	__u32 shard;                /* of what was understood last */
	__u8 version, protocol, tunnels, cut;
	__u8 gtp_next;
};

const volatile struct fanout_config config = {};
#define INLINE static inline __attribute__((always_inline))

enum verdict { STOP, GO };

INLINE __u32 captured(const struct walk *w)
{
	return w->cap > w->at ? w->cap - w->at : 0;
}

INLINE __u32 on_wire(const struct walk *w)
{
	return w->wire > w->at ? w->wire - w->at : 0;
}

/* The next n bytes, if decode will have them. */
INLINE int load(struct __sk_buff *skb, const struct walk *w, __u32 offset, void *ret, __u32 n)
{
	return captured(w) >= offset + n && !bpf_skb_load_bytes(skb, w->at + offset, ret, n);
}

INLINE void limit(struct walk *w, __u32 len)
{
	if (on_wire(w) > len)
		w->wire = w->at + len;
	if (w->cap > w->wire)
		w->cap = w->wire;
}

INLINE __u32 be16(const __u8 *p)
{
	return (__u32)p[0] << 8 | p[1];
}

INLINE __u32 be32(const __u8 *p)
{
	return be16(p) << 16 | be16(p + 2);
}

INLINE int opens(unsigned int tunnel)
{
	return config.decap_type >> tunnel & 1;
}

INLINE struct shard_keys keys(void)
{
	struct shard_keys k = {.port = config.keys.port, .protocol = config.keys.protocol};
	k.word[0] = config.keys.word[0];
	k.word[1] = config.keys.word[1];
	k.word[2] = config.keys.word[2];
	k.word[3] = config.keys.word[3];
	return k;
}

/* The five-tuple is known. */
INLINE void found(struct walk *w, __u16 source_port, __u16 target_port)
{
	struct shard_keys k = keys();
	w->shard = shard_hash(&k, shard_hash_end(&k, w->source[0], w->source[1], source_port),
			      shard_hash_end(&k, w->target[0], w->target[1], target_port), w->protocol);
}

INLINE enum verdict found_fragment(struct walk *w, __u32 id)
{
	struct shard_keys k = keys();
	w->shard = shard_of_fragment(&k, w->source, w->target, w->protocol, id);
	return STOP;
}

INLINE enum verdict go(struct walk *w, __u32 len, __u32 next)
{
	w->at += len;
	w->next = next;
	return GO;
}

/* Into a tunnel: what was found outside stays, if there is nothing inside. */
INLINE enum verdict enter(struct walk *w, __u32 len, __u32 next)
{
	if (w->tunnels >= TUNNELS)
		return STOP;
	w->tunnels++;
	return go(w, len, next);
}

/* ---- link layers */

INLINE enum verdict type_or_length(struct walk *w, __u32 len, __u32 type)
{
	if (type >= 0x600)
		return go(w, len, type);
	if (type > 1500)
		return STOP;
	w->at += len;
	limit(w, type);
	w->next = NEXT_LLC;
	return GO;
}

INLINE enum verdict ethernet(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[2];
	return load(skb, w, 12, h, 2) ? type_or_length(w, 14, be16(h)) : STOP;
}

INLINE enum verdict tag(struct __sk_buff *skb, struct walk *w, __u32 len)
{
	__u8 h[2];
	return load(skb, w, len - 2, h, 2) ? type_or_length(w, len, be16(h)) : STOP;
}

INLINE enum verdict llc(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[8];
	if (!load(skb, w, 0, h, 3))
		return STOP;
	int unnumbered = (h[2] & 3) == 3;
	if (h[0] != 0xaa || h[1] != 0xaa || !unnumbered) {
		int nothing = h[0] == 0xff && h[1] == 0xff;
		return !nothing && (h[0] & 0xfe) == 0x06 && unnumbered ? go(w, 3, ETH_P_IP) : STOP;
	}
	if (!load(skb, w, 0, h, 8))
		return STOP;
	__u32 organisation = be32(h + 2) & 0xffffff, type = be16(h + 6);
	if ((organisation != 0 && organisation != 0xf8) || type < 0x600)
		return STOP;
	return go(w, 8, type);
}

INLINE enum verdict ppp(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[2] = {};
	if (!load(skb, w, 0, h, 1))
		return STOP;
	__u32 len = h[0] & 1 ? 1 : 2, protocol = h[0];
	if (len == 2) {
		if (!load(skb, w, 0, h, 2))
			return STOP;
		protocol = be16(h);
	}
	switch (protocol) {
	case 0x21:
		return go(w, len, ETH_P_IP);
	case 0x57:
		return go(w, len, ETH_P_IPV6);
	case 0x281:
	case 0x283:
		return go(w, len, ETH_P_MPLS_UC);
	}
	return STOP;
}

INLINE enum verdict pppoe(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[2];
	if (captured(w) < 6 || !load(skb, w, 0, h, 2) || h[0] != 0x11 || h[1])
		return STOP;
	return go(w, 6, NEXT_PPP);
}

INLINE enum verdict nsh(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[4];
	if (captured(w) < 8 || !load(skb, w, 0, h, 4))
		return STOP;
	__u32 len = (be16(h) & 0x3f) * 4;
	if (h[0] >> 6 || len < 8 || captured(w) < len)
		return STOP;
	switch (h[3]) {
	case 1:
		return go(w, len, ETH_P_IP);
	case 2:
		return go(w, len, ETH_P_IPV6);
	case 3:
		return go(w, len, NEXT_ETHERNET);
	case 5:
		return go(w, len, ETH_P_MPLS_UC);
	}
	return STOP;
}

INLINE enum verdict mpls(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[4];
	if (!load(skb, w, 0, h, 4))
		return STOP;
	return go(w, 4, h[2] & 1 ? NEXT_MPLS_BOTTOM : ETH_P_MPLS_UC);
}

INLINE int looks_like_ethernet(struct __sk_buff *skb, const struct walk *w, __u32 offset)
{
	__u8 h[3];
	if (!load(skb, w, offset + 12, h, 3))
		return 0;
	switch (be16(h)) {
	case ETH_P_IP:
		return h[2] >> 4 == 4;
	case ETH_P_IPV6:
		return h[2] >> 4 == 6;
	case ETH_P_ARP:
	case ETH_P_8021Q:
	case ETH_P_8021AD:
	case TYPE_QINQ_OLD:
	case ETH_P_MPLS_UC:
	case ETH_P_MPLS_MC:
	case ETH_P_PPP_SES:
	case ETH_P_PPP_DISC:
	case ETH_P_LLDP:
	case TYPE_PBB:
	case 0x8809:
	case 0x8902:
	case 0x88e5:
	case 0x9000:
		return 1;
	}
	return 0;
}

INLINE int looks_like_llc(struct __sk_buff *skb, const struct walk *w, __u32 offset)
{
	__u8 h[5];
	if (!load(skb, w, offset + 12, h, 5))
		return 0;
	__u32 len = be16(h);
	return len >= 3 && len <= 1500 && len + 14 + offset <= on_wire(w) && ((h[4] & 3) == 3 || h[2] == h[3]);
}

INLINE enum verdict mpls_bottom(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[6];
	if (!load(skb, w, 0, h, 1))
		return STOP;
	__u32 first = h[0] >> 4;
	if (load(skb, w, 0, h, 6)) {
		__u32 header_len = (h[0] & 15) * 4, total = be16(h + 2), plen = be16(h + 4);
		if (first == 4 && captured(w) >= 20 && header_len >= 20 && total >= header_len &&
		    (total <= on_wire(w) || w->cut))
			return go(w, 0, ETH_P_IP);
		if (first == 6 && captured(w) >= 40 && (plen + 40 <= on_wire(w) || w->cut))
			return go(w, 0, ETH_P_IPV6);
	}
	if (looks_like_ethernet(skb, w, 0))
		return go(w, 0, NEXT_ETHERNET);
	if (first == 0 && (looks_like_ethernet(skb, w, 4) || looks_like_llc(skb, w, 4)))
		return go(w, 4, NEXT_ETHERNET);
	if (looks_like_llc(skb, w, 0))
		return go(w, 0, NEXT_ETHERNET);
	return first == 4 ? go(w, 0, ETH_P_IP) : first == 6 ? go(w, 0, ETH_P_IPV6) : STOP;
}

/* ---- IP */

INLINE enum verdict ipv4(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[20];
	if (!load(skb, w, 0, h, 20))
		return STOP;
	__u32 header_len = (h[0] & 15) * 4, total = be16(h + 2);
	if (h[0] >> 4 != 4 || header_len < 20)
		return STOP;
	if (!total)
		total = on_wire(w);
	if (total < header_len || (total > on_wire(w) && !w->cut) || header_len > captured(w))
		return STOP;
	w->wire = w->at + total;
	if (w->cap > w->wire)
		w->cap = w->wire;
	__u32 address;
	__builtin_memcpy(&address, h + 12, 4);
	w->source[0] = address;
	__builtin_memcpy(&address, h + 16, 4);
	w->target[0] = address;
	w->source[1] = w->target[1] = 0;
	w->version = 4;
	w->protocol = h[9];
	if (be16(h + 6) & 0x3fff)
		return found_fragment(w, be16(h + 4));
	return go(w, header_len, NEXT_LAYER4);
}

INLINE enum verdict ipv6(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[40];
	if (!load(skb, w, 0, h, 40) || h[0] >> 4 != 6)
		return STOP;
	__u32 len = be16(h + 4);
	if (!len && h[6] == HOP_BY_HOP) {
		/* a jumbogram, as Linux makes them: the option alone */
		__u8 jumbo[8];
		if (!load(skb, w, 40, jumbo, 8) || jumbo[1])
			return STOP;
		if (jumbo[2] == 0xc2 && jumbo[3] == 4) {
			len = be32(jumbo + 4);
			if (len && (len <= 0xffff || len > 0xffffffff - 40))
				return STOP;
		}
	} else if (!len && h[6] == TCP && on_wire(w) >= 60) {
		len = on_wire(w) - 40;
	}
	if (len + 40 > on_wire(w) && !w->cut)
		return STOP;
	w->wire = w->at + len + 40;
	if (w->cap > w->wire)
		w->cap = w->wire;
	__builtin_memcpy(w->source, h + 8, 16);
	__builtin_memcpy(w->target, h + 24, 16);
	w->version = 6;
	w->protocol = h[6];
	return go(w, 40, NEXT_LAYER4);
}

INLINE enum verdict other(struct walk *w)
{
	found(w, 0, 0);
	return STOP;
}

INLINE enum verdict extension(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[2];
	if (on_wire(w) < 8 || !load(skb, w, 0, h, 2))
		return STOP;
	__u32 len = w->protocol == AH ? (h[1] + 2) * 4 : (h[1] + 1) * 8;
	if (len < 8 || len > on_wire(w) || len > captured(w))
		return STOP;
	w->protocol = h[0];
	return go(w, len, NEXT_LAYER4);
}

INLINE enum verdict fragment_header(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[8];
	if (on_wire(w) < 8 || !load(skb, w, 0, h, 8))
		return STOP;
	w->protocol = h[0];
	if (be16(h + 2) & 0xfff9)
		return found_fragment(w, be32(h + 4));
	return go(w, 8, NEXT_LAYER4);
}

INLINE enum verdict tcp(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[14];
	if (on_wire(w) < 20 || captured(w) < 20 || !load(skb, w, 0, h, 14))
		return STOP;
	__u32 header_len = (__u32)(h[12] >> 4) * 4;
	if (header_len >= 20 && header_len <= on_wire(w))
		found(w, (__u16)be16(h), (__u16)be16(h + 2));
	return STOP;
}

INLINE enum verdict icmp(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[6] = {};
	__u32 header_len = on_wire(w) < 8 ? on_wire(w) : 8;
	if (header_len < 4 || captured(w) < header_len || !load(skb, w, 0, h, 4))
		return STOP;
	int echo = w->protocol == ICMP ? h[0] == 0 || h[0] == 8 : h[0] == 128 || h[0] == 129;
	__u16 id = 0;
	if (echo && header_len == 8 && load(skb, w, 0, h, 6))
		id = (__u16)be16(h + 4);
	found(w, id, id);
	return STOP;
}

INLINE enum verdict sctp(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[4];
	if (on_wire(w) >= 12 && captured(w) >= 12 && load(skb, w, 0, h, 4))
		found(w, (__u16)be16(h), (__u16)be16(h + 2));
	return STOP;
}

/* ---- tunnels; `found` was called for the packet outside */

INLINE enum verdict vxlan(struct __sk_buff *skb, struct walk *w, int generic_port)
{
	__u8 h[8];
	if (!load(skb, w, 0, h, 8) || !(h[0] & 8))
		return STOP;
	__u32 carries = ETH_P_802_3;
	if (h[0] & 4 && !h[1] && !h[2]) {
		carries = h[3] == 1   ? ETH_P_IP
			  : h[3] == 2 ? ETH_P_IPV6
			  : h[3] == 3 ? NEXT_ETHERNET
			  : h[3] == 4 ? TYPE_NSH
				      : ETH_P_802_3;
	}
	int generic = carries != ETH_P_802_3;
	if (generic_port && (!generic || h[0] & 1))
		return STOP;
	if (!opens(carries == TYPE_NSH ? TUNNEL_VXLAN_NSH : TUNNEL_VXLAN))
		return STOP;
	return enter(w, 8, generic ? carries : NEXT_ETHERNET);
}

INLINE enum verdict geneve(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[8];
	if (!load(skb, w, 0, h, 8) || !opens(TUNNEL_GENEVE))
		return STOP;
	__u32 header_len = 8 + (h[0] & 0x3f) * 4, type = be16(h + 2);
	if (h[0] >> 6 || h[1] & 0x80 || type < 0x600 || captured(w) < header_len)
		return STOP;
	return enter(w, header_len, type);
}

INLINE enum verdict gtpu(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[8], options[4];
	if (!load(skb, w, 0, h, 8) || !opens(TUNNEL_GTPU) || (h[0] & 0xf0) != 0x30 || h[1] != 255)
		return STOP;
	w->at += 8;
	limit(w, be16(h + 2));
	w->gtp_next = 0;
	if (!(h[0] & 7))
		return go(w, 0, NEXT_GTP_INSIDE);
	if (!load(skb, w, 0, options, 4))
		return STOP;
	if (h[0] & 4)
		w->gtp_next = options[3];
	return go(w, 4, NEXT_GTP_EXTENSION);
}

INLINE enum verdict gtp_extension(struct __sk_buff *skb, struct walk *w)
{
	if (!w->gtp_next)
		return go(w, 0, NEXT_GTP_INSIDE);
	__u8 h;
	if (!load(skb, w, 0, &h, 1) || !h || !load(skb, w, h * 4 - 1, &w->gtp_next, 1))
		return STOP;
	return go(w, h * 4, NEXT_GTP_EXTENSION);
}

INLINE enum verdict gtp_inside(struct __sk_buff *skb, struct walk *w)
{
	__u8 h;
	if (!load(skb, w, 0, &h, 1))
		return STOP;
	return h >> 4 == 4 ? enter(w, 0, ETH_P_IP) : h >> 4 == 6 ? enter(w, 0, ETH_P_IPV6) : STOP;
}

INLINE enum verdict udp(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[8];
	if (on_wire(w) < 8 || !load(skb, w, 0, h, 8))
		return STOP;
	__u32 len = be16(h + 4), port = be16(h + 2);
	if (len) {
		if (len < 8 || len > on_wire(w))
			return STOP;
		limit(w, len);
	}
	found(w, (__u16)be16(h), (__u16)port);
	w->at += 8;
	switch (port) {
	case 6081:
		return geneve(skb, w);
	case 2152:
		return gtpu(skb, w);
	}
	int is_vxlan = port == 4790;
	for (unsigned int i = 0; i < FANOUT_VXLAN_PORTS; i++)
		if (i < config.vxlan_port_count && config.vxlan_ports[i] == port)
			is_vxlan = 1;
	return is_vxlan ? vxlan(skb, w, port == 4790) : STOP;
}

/* The span is behind the GRE header. */
INLINE enum verdict erspan(struct __sk_buff *skb, struct walk *w, __u32 type, int sequence)
{
	__u8 h[12], inside = 0;
	if (type != 0x22eb && !sequence)
		return opens(TUNNEL_ERSPAN_I) ? enter(w, 0, NEXT_ETHERNET) : STOP;
	if (!load(skb, w, 0, h, 12))
		return STOP;
	__u32 version = h[0] >> 4, header_len = 8, next = NEXT_ETHERNET;
	if (version == 2) {
		header_len = h[11] & 1 ? 20 : 12;
		__u32 frame_type = h[10] >> 2 & 0x1f;
		if (frame_type == 2) {
			load(skb, w, header_len, &inside, 1);
			next = inside >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP;
		} else if (frame_type) {
			return STOP;
		}
	} else if (version != 1) {
		return STOP;
	}
	if (!opens(version == 1 ? TUNNEL_ERSPAN_II : TUNNEL_ERSPAN_III) || captured(w) < header_len)
		return STOP;
	if (h[2] & 4)
		w->cut = 1;
	return enter(w, header_len, next);
}

INLINE enum verdict gre(struct __sk_buff *skb, struct walk *w)
{
	__u8 h[4];
	if (!load(skb, w, 0, h, 4))
		return STOP;
	__u32 flags = be16(h), type = be16(h + 2);
	int checksum = !!(flags & 0x8000), key = !!(flags & 0x2000), sequence = !!(flags & 0x1000);
	__u32 header_len = 4 + 4 * checksum + 4 * key + 4 * sequence;
	if (flags & 0x4007 || captured(w) < header_len)
		return STOP;
	switch (type) {
	case 0x88be:
	case 0x22eb:
		w->at += header_len;
		return erspan(skb, w, type, sequence);
	case TYPE_TEB:
		if (key && !checksum && !sequence && opens(TUNNEL_NVGRE))
			return enter(w, header_len, NEXT_ETHERNET);
		break;
	case ETH_P_IP:
	case ETH_P_IPV6:
	case ETH_P_MPLS_UC:
	case ETH_P_MPLS_MC:
	case ETH_P_8021Q:
	case ETH_P_8021AD:
	case TYPE_NSH:
		break;
	default:
		return STOP;
	}
	return opens(TUNNEL_GRE) ? enter(w, header_len, type) : STOP;
}

INLINE enum verdict ip_in_ip(struct walk *w)
{
	int inner6 = w->protocol == IPV6;
	__u32 tunnel = (w->version == 6 ? TUNNEL_4IN6 : TUNNEL_IPIP) + inner6;
	return opens(tunnel) ? enter(w, 0, inner6 ? ETH_P_IPV6 : ETH_P_IP) : STOP;
}

/* ---- one header */

INLINE enum verdict layer4(struct __sk_buff *skb, struct walk *w)
{
	if (w->version == 6) {
		__u8 h;
		switch (w->protocol) {
		case MOBILITY:
		case HIP:
		case SHIM6:
			if (load(skb, w, 0, &h, 1) && h == NO_NEXT)
				return other(w);
			return extension(skb, w);
		case HOP_BY_HOP:
		case DESTINATION:
		case ROUTING:
			return extension(skb, w);
		case FRAGMENT:
			return fragment_header(skb, w);
		}
	}
	switch (w->protocol) {
	case AH:
		return extension(skb, w);
	case TCP:
		return tcp(skb, w);
	case UDP:
		return udp(skb, w);
	case ICMP:
	case ICMPV6:
		return icmp(skb, w);
	case SCTP:
		return sctp(skb, w);
	case GRE:
		found(w, 0, 0);
		return gre(skb, w);
	case IPV4:
	case IPV6:
		found(w, 0, 0);
		return ip_in_ip(w);
	}
	return other(w);
}

/* Global, so that the verifier looks at it once, whatever is in w, and not once for each way through the headers. */
__attribute__((noinline)) int turn(struct __sk_buff *skb, struct walk *w)
{
	if (!w)
		return STOP;
	switch (w->next) {
	case ETH_P_IP:
		return ipv4(skb, w);
	case ETH_P_IPV6:
		return ipv6(skb, w);
	case NEXT_LAYER4:
		return layer4(skb, w);
	case ETH_P_8021Q:
	case ETH_P_8021AD:
	case TYPE_QINQ_OLD:
		return tag(skb, w, 4);
	case NEXT_ETHERNET:
	case TYPE_TEB:
		return ethernet(skb, w);
	case TYPE_VN_TAG:
		return tag(skb, w, 6);
	case TYPE_E_TAG:
	case TYPE_CMD:
		return tag(skb, w, 8);
	case NEXT_LLC:
		return llc(skb, w);
	case ETH_P_MPLS_UC:
	case ETH_P_MPLS_MC:
		return mpls(skb, w);
	case NEXT_MPLS_BOTTOM:
		return mpls_bottom(skb, w);
	case ETH_P_PPP_SES:
		return pppoe(skb, w);
	case NEXT_PPP:
		return ppp(skb, w);
	case TYPE_PBB:
		return captured(w) < 4 ? STOP : go(w, 4, NEXT_ETHERNET);
	case TYPE_FABRICPATH:
		return captured(w) < 2 ? STOP : go(w, 2, NEXT_ETHERNET);
	case TYPE_NSH:
		return nsh(skb, w);
	case NEXT_GTP_EXTENSION:
		return gtp_extension(skb, w);
	case NEXT_GTP_INSIDE:
		return gtp_inside(skb, w);
	}
	return STOP;
}

/* Where the walk begins. The kernel has taken the link header (and one VLAN tag) off what comes in, and read its type;
 * of a frame without one it tells that it is 802.3, and its length lies in the link header. */
INLINE enum verdict begin(struct __sk_buff *skb, struct walk *w)
{
	w->wire = skb->len;
	w->cap = skb->len;
	/* of the frame that decode gets, what skb->data does not point to */
	__u32 before = !config.ethernet ? COOKED_HLEN : skb->pkt_type == PACKET_OUTGOING ? 0 : ETH_HLEN;
	if (config.snaplen < before)
		return STOP;
	if (config.snaplen - before < w->wire) {
		w->cap = config.snaplen - before;
		w->cut = 1;
	}
	if (!config.ethernet)
		return go(w, 0, bpf_ntohs(skb->protocol));
	if (!before)
		return go(w, 0, NEXT_ETHERNET);
	__u32 type = bpf_ntohs(skb->protocol);
	if (type == ETH_P_802_2) {
		__u8 h[2];
		if (bpf_skb_load_bytes_relative(skb, 12, h, 2, BPF_HDR_START_MAC))
			return STOP;
		return type_or_length(w, 0, be16(h));
	}
	return go(w, 0, type);
}

SEC("socket")
int steer(struct __sk_buff *skb)
{
	struct walk w = {};
	if (begin(skb, &w) == STOP)
		return 0;
	for (int i = 0; i < TURNS; i++)
		if (turn(skb, &w) == STOP)
			break;
	return w.shard % config.queues;
}

char LICENSE[] SEC("license") = "Apache-2.0";
