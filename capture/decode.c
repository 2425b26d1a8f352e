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
	*d = (struct decode){.settings = *settings,
			     .hash_keys = flow_hash_keys_of(hash_seed),
			     .shard_keys = shard_keys_of(shard_salt),
			     .plain = settings->flow_isolation == ISOLATE_NONE && !settings->verify_l4_checksum};
	if (settings->vxlan_ports.count > DECODE_VXLAN_PORTS)
		return error_set(e, -EINVAL, "vxlan_ports: %zu ports, at most %d are possible",
				 settings->vxlan_ports.count, DECODE_VXLAN_PORTS);
	static const uint16_t fixed[] = {2152, 4790, 6081};
	for (unsigned i = 0; i < array_size(fixed); i++)
		add_tunnel_port(d, fixed[i]);
	for (size_t i = 0; i < settings->vxlan_ports.count; i++) {
		const char *text = settings->vxlan_ports.item[i];
		char *end;
		unsigned long port = strtoul(text, &end, 10);
		if (*text < '0' || *text > '9' || *end || port < 1 || port > UINT16_MAX)
			return error_set(e, -EINVAL, "vxlan_ports: '%s' is not a port, 1 to 65535", text);
		d->vxlan_port[d->vxlan_port_count++] = (uint16_t)port;
		add_tunnel_port(d, (uint16_t)port);
	}
	return 0;
}

/* Ethernet, IPv4 without options, TCP or UDP, nothing strange: most of all frames. The same as the walk would do, in
 * one piece. False: the walk has to look, and nothing that it doesn't overwrite has been written. */
static inline bool decode_plain(const struct decode *d, const struct frame *f, struct packet *p)
{
	const uint8_t *ip = f->data + 14, *l4 = ip + 20;
	if (f->link_type != 1 || f->caplen < 14 + 20 + 8 || load_be16(f->data + 12) != ETHERTYPE_IPV4 ||
	    ip[0] != 0x45 || load_le16(ip + 6) & 0xff3f || !d->plain)
		return false;
	uint32_t total = load_be16(ip + 2), wire = max_of(f->wirelen, f->caplen);
	if (total < 20 || total > wire - 14)
		return false;
	uint32_t l4_len = total - 20, cap = min_of(f->caplen - 14, total) - 20;
	uint8_t protocol = ip[9];
	uint16_t source_port = load_be16(l4), target_port = load_be16(l4 + 2);
	uint32_t header_len, header_cap, flags = PACKET_HAS_MAC;
	if (likely(protocol == IP_TCP)) {
		if (cap < 20)
			return false;
		header_len = (uint32_t)(l4[12] >> 4) * 4;
		if (header_len < 20 || header_len > l4_len)
			return false;
		header_cap = min_of(header_len, cap);
		p->flags = 0;
		packet_set_tcp(p, l4, header_cap);
		flags |= p->flags;
	} else if (protocol == IP_UDP) {
		uint32_t len = load_be16(l4 + 4);
		if (l4_len < 8 || len < 8 || len > l4_len || may_be_tunnel_port(d, target_port))
			return false;
		l4_len = len;
		cap = min_of(cap, len);
		if (cap < 8)
			return false;
		header_len = header_cap = 8;
		packet_set_no_tcp(p);
	} else {
		return false;
	}
	if (unlikely(!ipv4_checksum_good(ip, 20)))
		flags |= PACKET_BAD_IP_CHECKSUM;
	memcpy(p->mac_target, f->data, 6);
	memcpy(p->mac_source, f->data + 6, 6);
	packet_set_icmp(p, 0, 0);
	p->payload = l4 + header_cap;
	p->payload_len = l4_len - header_len;
	p->payload_captured = cap - header_cap;
	if (p->payload_captured < p->payload_len)
		flags |= PACKET_CUT;
	p->flags = flags;
	p->l3_len = total;
	p->l4_len = l4_len;
	p->ttl = ip[8];
	p->ip_id = load_be16(ip + 4);
	const uint64_t s[2] = {load_le32(ip + 12), 0}, t[2] = {load_le32(ip + 16), 0};
	uint64_t x = (uint64_t)load_be32(ip + 12) << 16 | source_port;
	uint64_t y = (uint64_t)load_be32(ip + 16) << 16 | target_port;
	packet_put_key(d, p, s, t, source_port, target_port, x > y, protocol | 4 << 8 | (uint32_t)f->tap << 16, 0);
	return true;
}

enum decode_result decode_frame(struct decode *d, const struct frame *f, struct packet *ret_packet)
{
	struct packet *p = ret_packet;
	p->ordinal = f->ordinal;
	p->ts_ns = f->ts_ns;
	p->wire_len = f->wirelen;
	p->frames = 1;
	p->vlan_count = 0;
	p->tunnel_count = 0;
	p->reserved = 0;
	p->nic = f->nic;
	if (likely(decode_plain(d, f, p))) {
		d->results[DECODE_PACKET]++;
		return DECODE_PACKET;
	}
	struct walk w = {.d = d, .p = p, .tap = f->tap, .cut = f->caplen < f->wirelen};
	p->flags = 0;
	memset(p->mac_source, 0, sizeof p->mac_source);
	memset(p->mac_target, 0, sizeof p->mac_target);
	enum decode_result r = walk_link(
	    &w, f->link_type, (struct span){.at = f->data, .cap = f->caplen, .wire = max_of(f->wirelen, f->caplen)});
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
