#include "decode.h"

#include "decode_walk.h"

#include <errno.h>
#include <stdlib.h>

const char *const decode_result_names[DECODE_RESULT_COUNT] = {
#define X(name, key, meaning) [DECODE_##name] = key,
    DECODE_RESULTS(X)
#undef X
};

/* Index: enum tunnel_type, then the bit of DECAP_VXLAN_NSH. */
static const char *const decap_names[] = {
    "none", "VXLAN", "Geneve", "GRE",  "NVGRE", "ERSPAN-I",  "ERSPAN-II", "ERSPAN-III",
    "IPIP", "6in4",  "4in6",   "6in6", "GTP-U", "VXLAN-NSH", NULL,
};
/* DeepFlow's IPIP is IP of either version in IP of either version. */
static const int decap_numbers[] = {0, 1, 4, 3, -1, -1, -1, -1, 2, 2, 2, 2, -1, 5};
_Static_assert(array_size(decap_names) == TUNNEL_TYPES + 2 && array_size(decap_numbers) == TUNNEL_TYPES + 1,
	       "a name and a number for each tunnel type");

static const char *const isolation_names[] = {"none", "vlan", "tunnel", NULL};

const struct option decode_options[] = {
    {
	.name = "decap_type",
	.type = OPTION_SET,
	.offset = offsetof(struct decode_settings, decap_type),
	.initial = "[VXLAN, Geneve, GRE, NVGRE, ERSPAN-I, ERSPAN-II, ERSPAN-III, IPIP, 6in4, 4in6, 6in6, GTP-U, "
		   "VXLAN-NSH]",
	.choices = decap_names,
	.choice_numbers = decap_numbers,
	.meaning = "Tunnels that are opened: the flow is then the one inside, and its record keeps the tunnel's "
		   "endpoints and id. A tunnel that is not opened, or has nothing inside that is understood, is a "
		   "flow itself.",
    },
    {
	.name = "vxlan_ports",
	.type = OPTION_STRINGS,
	.offset = offsetof(struct decode_settings, vxlan_ports),
	.initial = "[4789, 8472]",
	.meaning = "UDP ports that carry VXLAN: 4789 is the assigned one, 8472 that of Flannel, Cilium and older "
		   "Linux. At most 8.",
    },
    {
	.name = "flow_isolation",
	.type = OPTION_ENUM,
	.offset = offsetof(struct decode_settings, flow_isolation),
	.initial = "none",
	.choices = isolation_names,
	.meaning = "What keeps flows with the same addresses and ports apart: nothing, their VLAN ids, or the ids of "
		   "their tunnels (VNI, GRE key, NVGRE VSID, ERSPAN session; not GTP, which has an id for each "
		   "direction). Needed where tenants use the same addresses; wrong where the two directions of a "
		   "flow are seen with different ids.",
    },
    {
	.name = "verify_l4_checksum",
	.type = OPTION_BOOL,
	.offset = offsetof(struct decode_settings, verify_l4_checksum),
	.initial = "false",
	.meaning = "Verifies the checksums of TCP, UDP, ICMP and ICMPv6 and flags packets in which they are wrong; "
		   "they are counted as any other. What the capture cut off cannot be verified, nor can packets "
		   "with IPv4 options or a source route; a checksum left for the sending NIC to complete is not "
		   "wrong.",
    },
    {.name = NULL},
};

int decode_init(struct decode *d, const struct decode_settings *settings, uint64_t hash_seed, uint64_t shard_salt,
		struct error *e)
{
	*d = (struct decode){.settings = *settings, .hash_seed = hash_seed, .shard_keys = shard_keys_of(shard_salt)};
	if (settings->vxlan_ports.count > DECODE_VXLAN_PORTS)
		return error_set(e, -EINVAL, "vxlan_ports: %zu ports, at most %d are possible",
				 settings->vxlan_ports.count, DECODE_VXLAN_PORTS);
	static const uint16_t fixed[] = {2152, 4790, 6081};
	for (unsigned i = 0; i < array_size(fixed); i++)
		d->tunnel_port_hint |= UINT64_C(1) << (fixed[i] & 63);
	for (size_t i = 0; i < settings->vxlan_ports.count; i++) {
		const char *text = settings->vxlan_ports.item[i];
		char *end;
		unsigned long port = strtoul(text, &end, 10);
		if (*text < '0' || *text > '9' || *end || port < 1 || port > UINT16_MAX)
			return error_set(e, -EINVAL, "vxlan_ports: '%s' is not a port, 1 to 65535", text);
		d->vxlan_port[d->vxlan_port_count++] = (uint16_t)port;
		d->tunnel_port_hint |= UINT64_C(1) << (port & 63);
	}
	return 0;
}

/* Ethernet, IPv4 without options, TCP or UDP, whole: most of all frames. Nothing here that the walk does not do, but in
 * one piece. NOT_OPENED: it is not one of them. */
static inline enum decode_result decode_common(struct walk *w, const struct frame *f, uint32_t wire)
{
	const uint8_t *h = f->data + 14;
	if (f->link_type != 1 || f->caplen < 14 + 20 + 20 || load_be16(f->data + 12) != ETHERTYPE_IPV4 ||
	    h[0] != 0x45 || load_be16(h + 6) & 0x3fff)
		return NOT_OPENED;
	uint32_t total = load_be16(h + 2);
	if (total < 20 || total > wire - 14)
		return NOT_OPENED;
	struct packet *p = w->p;
	memcpy(p->mac_target, f->data, 6);
	memcpy(p->mac_source, f->data + 6, 6);
	p->flags = PACKET_HAS_MAC;
	if (unlikely(!ipv4_checksum_good(h, 20)))
		p->flags |= PACKET_BAD_IP_CHECKSUM;
	struct ip_view ip = {
	    .header = h,
	    .source = h + 12,
	    .target = h + 16,
	    .l3_len = total,
	    .version = 4,
	    .protocol = h[9],
	    .ttl = h[8],
	    .id = load_be16(h + 4),
	};
	struct span s = {.at = h + 20, .cap = min_of(f->caplen - 14, total) - 20, .wire = total - 20};
	w->layers = 1;
	if (likely(ip.protocol == IP_TCP))
		return walk_tcp(w, &ip, s);
	if (ip.protocol == IP_UDP)
		return walk_udp(w, &ip, s);
	w->layers = 0;
	p->flags = 0;
	return NOT_OPENED;
}

enum decode_result decode_frame(struct decode *d, const struct frame *f, struct packet *ret_packet)
{
	struct packet *p = ret_packet;
	uint32_t wire = max_of(f->wirelen, f->caplen);
	struct walk w = {.d = d, .p = p, .tap = f->tap, .cut = f->caplen < f->wirelen};
	p->ordinal = f->ordinal;
	p->ts_ns = f->ts_ns;
	p->wire_len = f->wirelen;
	p->frames = 1;
	p->flags = 0;
	p->vlan_count = 0;
	p->tunnel_count = 0;
	p->reserved = 0;
	p->nic = f->nic;
	enum decode_result r = decode_common(&w, f, wire);
	if (unlikely(r == NOT_OPENED)) {
		memset(p->mac_source, 0, sizeof p->mac_source);
		memset(p->mac_target, 0, sizeof p->mac_target);
		r = walk_link(&w, f->link_type, (struct span){.at = f->data, .cap = f->caplen, .wire = wire});
	}
	d->results[r]++;
	return r;
}

enum decode_result decode_reassembled(struct decode *d, const uint8_t *ip, uint32_t len, struct packet *p)
{
	struct walk w = {.d = d, .p = p, .tap = p->key.tap, .checked = true};
	struct span s = {.at = ip, .cap = len, .wire = len};
	uint32_t l3_len = p->l3_len;
	uint8_t tunnel_count = p->tunnel_count;
	p->flags &= ~(uint32_t)PACKET_CUT;
	enum decode_result r = len && ip[0] >> 4 == 6 ? walk_ipv6(&w, s) : walk_ipv4(&w, s);
	if (p->tunnel_count == tunnel_count)
		p->l3_len = l3_len; /* of all its fragments */
	return r;
}
