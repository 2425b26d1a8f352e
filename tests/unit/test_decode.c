/* Frames of every kind of header, built here; what must come of them is what the RFCs say. */
#include "decode.h"
#include "frame_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define A 0x0a000001 /* 10.0.0.1 */
#define B 0x0a000002
#define OUTER_A 0xc0a80001
#define OUTER_B 0xc0a80002
#define ALL_TUNNELS (DECAP_VXLAN_NSH * 2 - 2)

static struct build b;

static struct decode make_decode(uint64_t decap_type, unsigned isolation, bool verify)
{
	char *ports[] = {"4789", "8472"};
	struct decode_settings settings = {
		.decap_type = decap_type,
		.flow_isolation = isolation,
		.verify_l4_checksum = verify,
		.vxlan_ports = {.item = ports, .count = 2},
	};
	struct decode d;
	assert_int_equal(decode_init(&d, &settings, 12345, 0, NULL), 0);
	return d;
}

static enum decode_result decode_bytes(struct decode *d, unsigned link_type, const uint8_t *data, uint32_t caplen,
                                       uint32_t wirelen, struct packet *p)
{
	memset(p, 0xa5, sizeof *p); /* what is not written shows */
	struct frame f = {.data = data,
	                  .caplen = caplen,
	                  .wirelen = wirelen,
	                  .ts_ns = 77,
	                  .ordinal = 5,
	                  .link_type = (uint16_t)link_type,
	                  .tap = 3};
	return decode_frame(d, &f, p);
}

static enum decode_result decode_build(struct decode *d, unsigned link_type, struct packet *p)
{
	return decode_bytes(d, link_type, b.at, build_len(&b), build_len(&b), p);
}

/* ---- what lies inside: 10 bytes of payload from TCP port 1111 to 80 */

static void tcp4(void)
{
	build_start(&b);
	build_payload(&b, 10, 1);
	build_tcp(&b, 1111, 80);
	build_ip4(&b, 6, A, B);
}

static void tcp6(void)
{
	build_start(&b);
	build_payload(&b, 10, 1);
	build_tcp(&b, 1111, 80);
	build_ip6(&b, 6, 1, 2);
}

static void udp4(void)
{
	build_start(&b);
	build_payload(&b, 10, 1);
	build_udp(&b, 1111, 80);
	build_ip4(&b, 17, A, B);
}

static void eth_tcp4(void)
{
	tcp4();
	build_eth(&b, 0x0800);
}

static void over_udp(uint16_t port)
{
	build_udp(&b, 50000, port);
	build_ip4(&b, 17, OUTER_A, OUTER_B);
	build_eth(&b, 0x0800);
}

static void over_ip(uint8_t protocol)
{
	build_ip4(&b, protocol, OUTER_A, OUTER_B);
	build_eth(&b, 0x0800);
}

static void push32(uint32_t v)
{
	build_put32(build_push(&b, 4), v);
}

static void push16(uint32_t v)
{
	build_put16(build_push(&b, 2), v);
}

/* ---- the table of headers */

static void vlan(void)
{
	tcp4();
	build_vlan(&b, 0x2064, 0x0800);
	build_eth(&b, 0x8100);
}

static void qinq(void)
{
	tcp6();
	build_vlan(&b, 200, 0x86dd);
	build_vlan(&b, 100, 0x8100);
	build_eth(&b, 0x88a8);
}

static void vlans5(void)
{
	tcp4();
	build_vlan(&b, 5, 0x0800);
	for (uint16_t i = 4; i > 0; i--)
		build_vlan(&b, i, 0x9100);
	build_eth(&b, 0x8100);
}

static void snap(void)
{
	tcp4();
	uint32_t len = build_len(&b) + 8;
	build_push_bytes(&b, "\xaa\xaa\x03\0\0\0\x08\0", 8);
	build_eth(&b, (uint16_t)len);
}

static void llc_ip(void)
{
	tcp4();
	uint32_t len = build_len(&b) + 3;
	build_push_bytes(&b, "\x06\x06\x03", 3);
	build_eth(&b, (uint16_t)len);
}

static void mpls(void)
{
	tcp4();
	push32(200 << 12 | 0x100 | 64);
	push32(100 << 12 | 64);
	build_eth(&b, 0x8847);
}

static void mpls6(void)
{
	tcp6();
	push32(2 << 12 | 0x100 | 64);
	build_eth(&b, 0x8848);
}

static void pseudowire(void)
{
	eth_tcp4();
	push32(100 << 12 | 0x100 | 64);
	build_eth(&b, 0x8847);
}

static void pseudowire_control(void)
{
	eth_tcp4();
	push32(7);
	push32(100 << 12 | 0x100 | 64);
	build_eth(&b, 0x8847);
}

static void pppoe(void)
{
	tcp4();
	push16(0x0021);
	uint32_t len = build_len(&b);
	push16(len);
	push32(0x11000001);
	build_eth(&b, 0x8864);
}

static void pppoe6(void)
{
	tcp6();
	*build_push(&b, 1) = 0x57; /* compressed protocol field */
	push16(100);
	push32(0x11000001);
	build_eth(&b, 0x8864);
}

static void pbb(void)
{
	eth_tcp4();
	push32(0x00123456);
	build_eth(&b, 0x88e7);
}

static void vn_tag(void)
{
	tcp4();
	push16(0x0800);
	push32(0x12345678);
	build_eth(&b, 0x8926);
}

static void security_tag(void)
{
	tcp4();
	push16(0x0800);
	push32(0x00010002);
	push16(0x0101);
	build_eth(&b, 0x8909);
}

static void sll(void)
{
	tcp4();
	push16(0x0800);
	build_push(&b, 14)[3] = 1;
}

static void sll_vlan(void)
{
	tcp4();
	build_vlan(&b, 7, 0x0800);
	push16(0x8100);
	build_push(&b, 14)[3] = 1;
}

static void sll2(void)
{
	tcp6();
	build_push(&b, 18)[7] = 1;
	push16(0x86dd);
}

static void null2(void)
{
	tcp4();
	build_push_bytes(&b, "\x02\0\0\0", 4);
}

static void null2_swapped(void)
{
	tcp4();
	build_push_bytes(&b, "\0\0\0\x02", 4);
}

static void null24(void)
{
	tcp6();
	build_push_bytes(&b, "\x18\0\0\0", 4);
}

static void null28(void)
{
	tcp6();
	build_push_bytes(&b, "\0\0\0\x1c", 4);
}

static void null30(void)
{
	tcp6();
	build_push_bytes(&b, "\x1e\0\0\0", 4);
}

static void padded(void)
{
	build_start(&b);
	build_push(&b, 100);
	build_payload(&b, 10, 1);
	build_tcp(&b, 1111, 80);
	uint32_t total = build_len(&b) - 100 + 20;
	build_ip4(&b, 6, A, B);
	build_put16(b.at + 2, total);
	build_put16(b.at + 10, 0);
	build_put16(b.at + 10, build_checksum(0, b.at, 20));
	build_eth(&b, 0x0800);
}

static void segmentation_offload(void)
{
	eth_tcp4();
	build_put16(b.at + 16, 0);
	build_put16(b.at + 24, 0);
	build_put16(b.at + 24, build_checksum(0, b.at + 14, 20));
}

static void segmentation_offload6(void)
{
	tcp6();
	build_put16(b.at + 4, 0);
	build_eth(&b, 0x86dd);
}

static void ip_options(void)
{
	build_start(&b);
	build_payload(&b, 10, 1);
	build_tcp(&b, 1111, 80);
	build_ip4_full(&b, 6, A, B, 1, 0, "\x94\x04\0\0", 4);
	build_eth(&b, 0x0800);
}

static void authenticated(void)
{
	build_start(&b);
	build_payload(&b, 10, 1);
	build_tcp(&b, 1111, 80);
	uint8_t *ah = build_push(&b, 24);
	ah[0] = 6;
	ah[1] = 4;
	build_ip4(&b, 51, A, B);
	build_eth(&b, 0x0800);
}

static void extensions(void)
{
	build_start(&b);
	build_payload(&b, 10, 1);
	build_tcp(&b, 1111, 80);
	build_extension(&b, 6, 8); /* mobility */
	uint8_t *ah = build_push(&b, 16);
	ah[0] = 135;
	ah[1] = 2;
	build_extension(&b, 51, 16); /* destination */
	build_fragment6(&b, 60, 0, false, 9);
	build_extension(&b, 44, 24); /* routing */
	b.at[3] = 0;
	build_extension(&b, 43, 8); /* hop-by-hop */
	build_ip6(&b, 0, 1, 2);
	build_eth(&b, 0x86dd);
}

static void tcp_over_jumbo(void)
{
	build_start(&b);
	build_payload(&b, 66000, 1);
	build_tcp(&b, 1111, 80);
	uint32_t len = build_len(&b) + 8;
	uint8_t *h = build_push(&b, 8);
	h[0] = 6;
	h[2] = 0xc2;
	h[3] = 4;
	build_put32(h + 4, len);
	build_ip6(&b, 0, 1, 2);
	build_put16(b.at + 4, 0);
	build_eth(&b, 0x86dd);
}

static void udp_zero_length(void)
{
	udp4();
	build_put16(b.at + 24, 0);
	build_eth(&b, 0x0800);
}

static void sctp(void)
{
	build_start(&b);
	build_payload(&b, 10, 1);
	push32(0);
	push32(1);
	push16(80);
	push16(1111);
	build_ip4(&b, 132, A, B);
	build_eth(&b, 0x0800);
}

static void icmp_echo(void)
{
	build_start(&b);
	build_payload(&b, 10, 1);
	push32(1111 << 16 | 5);
	push32(0x08000000);
	build_ip4(&b, 1, A, B);
	build_eth(&b, 0x0800);
}

static void icmp6_echo_reply(void)
{
	build_start(&b);
	build_payload(&b, 10, 1);
	push32(1111 << 16 | 5);
	push32(0x81000000);
	build_ip6(&b, 58, 1, 2);
	build_eth(&b, 0x86dd);
}

static void icmp_unreachable(void)
{
	build_start(&b);
	build_payload(&b, 10, 1);
	push32(1111 << 16 | 5);
	push32(0x03010000);
	build_ip4(&b, 1, A, B);
	build_eth(&b, 0x0800);
}

static void ospf(void)
{
	build_start(&b);
	build_payload(&b, 10, 1);
	build_ip4(&b, 89, A, B);
	build_eth(&b, 0x0800);
}

static void no_next(void)
{
	build_start(&b);
	build_payload(&b, 10, 1);
	build_ip6(&b, 59, 1, 2);
	build_eth(&b, 0x86dd);
}

static void vxlan_header(uint32_t flags, uint32_t vni)
{
	push32(vni << 8);
	push32(flags);
}

static void vxlan(void)
{
	eth_tcp4();
	vxlan_header(0x08000000, 0x123456);
	over_udp(4789);
}

static void vxlan_8472_reserved(void)
{
	eth_tcp4();
	vxlan_header(0xff01d1f2, 11);
	over_udp(8472);
}

static void vxlan_gpe_ip(void)
{
	tcp4();
	vxlan_header(0x0c000001, 11);
	over_udp(4790);
}

static void vxlan_nsh(void)
{
	tcp6();
	push32(0);
	push32(0);
	push32(0);
	push32(0);
	push32(0x00002a01);
	push32(0x00060102); /* 24 bytes, MD type 1, IPv6 */
	vxlan_header(0x0c000004, 11);
	over_udp(4790);
}

static void geneve(void)
{
	eth_tcp4();
	push32(0);
	push32(0x01028001);
	push32(0x123456 << 8);
	push32(0x02006558);
	over_udp(6081);
}

static void geneve_ip6(void)
{
	tcp6();
	push32(9 << 8);
	push32(0x000086dd);
	over_udp(6081);
}

static void gre(void)
{
	tcp4();
	push32(77);         /* sequence */
	push32(0xdeadbeef); /* key */
	push32(0);          /* checksum */
	push32(0xb0000800);
	over_ip(47);
}

static void gre_bare6(void)
{
	tcp6();
	push32(0x000086dd);
	over_ip(47);
}

static void gre_mpls(void)
{
	tcp4();
	push32(100 << 12 | 0x100 | 64);
	push32(0x00008847);
	over_ip(47);
}

static void gre_teb(void)
{
	eth_tcp4();
	push32(0x00006558);
	over_ip(47);
}

static void nvgre(void)
{
	eth_tcp4();
	push32(0x00123456 << 8 | 0x7f);
	push32(0x20006558);
	over_ip(47);
}

static void erspan1(void)
{
	eth_tcp4();
	push32(0x000088be);
	over_ip(47);
}

static void erspan2(void)
{
	eth_tcp4();
	push32(0);
	push32(0x10641000 | 0x3ff);
	push32(1);
	push32(0x100088be);
	over_ip(47);
}

static void erspan3(void)
{
	eth_tcp4();
	push32(0);
	push32(0x2064000a);
	b.at[2] = 0;
	/* timestamp, then SGT, P FT HwID D Gra O */
	struct build *x = &b;
	uint8_t *rest = build_push(x, 0);
	memmove(rest - 4, rest, 4); /* version word first */
	x->at -= 4;
	build_put32(x->at + 4, 0x11223344);
	build_put32(x->at + 8, 0x00000000);
	push32(1);
	push32(0x100022eb);
	over_ip(47);
}

static void erspan3_subheader(void)
{
	eth_tcp4();
	push32(0);
	push32(0);
	push32(0x00000001); /* O */
	push32(0x11223344);
	push32(0x2064000b);
	push32(1);
	push32(0x100022eb);
	over_ip(47);
}

static void ipip(void)
{
	tcp4();
	over_ip(4);
}

static void six_in_four(void)
{
	tcp6();
	over_ip(41);
}

static void four_in_six(void)
{
	tcp4();
	build_ip6(&b, 4, 8, 9);
	build_eth(&b, 0x86dd);
}

static void six_in_six(void)
{
	tcp6();
	build_extension(&b, 41, 8);
	build_ip6(&b, 60, 8, 9);
	build_eth(&b, 0x86dd);
}

static void gtpu(void)
{
	tcp4();
	uint32_t len = build_len(&b);
	push32(0xcafe0001);
	push16(len);
	push16(0x30ff);
	over_udp(2152);
}

static void gtpu_extensions(void)
{
	tcp6();
	push32(0x02222200); /* 8 bytes, the last in the list */
	b.at[0] = 2;
	struct build *x = &b;
	memmove(x->at - 4, x->at, 4);
	x->at -= 4;
	build_put32(x->at + 4, 0x33333300);
	push32(0x0111110d + 0x00000000); /* 4 bytes, then another */
	b.at[3] = 0xc0;
	push32(0x00050085); /* sequence, N-PDU, next: a PDU session container */
	uint32_t len = build_len(&b);
	push32(0xcafe0002);
	push16(len);
	push16(0x36ff);
	over_udp(2152);
}

static void nested4(void)
{
	eth_tcp4();
	vxlan_header(0x08000000, 3);
	build_udp(&b, 50000, 4789);
	build_ip4(&b, 17, OUTER_B, OUTER_A);
	push32(4);
	push32(0x20000800); /* GRE with key */
	build_ip4(&b, 47, OUTER_A, OUTER_B);
	build_ip4(&b, 4, OUTER_A, OUTER_B); /* IPIP */
	build_eth(&b, 0x0800);
	build_vlan(&b, 9, 0x0800);
	b.at[2] = 0x08;
	/* the frame above is inside VXLAN: MACs, tag, IPIP */
	memmove(b.at, b.at + 4, 12);
	build_put16(b.at + 12, 0x8100);
	build_put16(b.at + 14, 9);
	vxlan_header(0x08000000, 1);
	over_udp(4789);
}

enum { L_NULL = 0, L_ETH = 1, L_RAW = 101, L_LOOP = 108, L_SLL = 113, L_IP4 = 228, L_IP6 = 229, L_SLL2 = 276 };

struct expected {
	const char *name;
	void (*build)(void);
	unsigned link_type;
	uint8_t version, protocol;
	uint16_t source_port, target_port;
	uint32_t payload_len;
	uint32_t l4_header;
	uint8_t vlan_count, vlans[4];
	uint8_t tunnel_count, tunnels[4];
	uint32_t ids[4];
	uint32_t flags;
};

#define MAC PACKET_HAS_MAC
#define TCP4 4, 6, 1111, 80, 10, 20
#define TCP6 6, 6, 1111, 80, 10, 20
#define NO_VLAN 0, {0}

static const struct expected table[] = {
	{"ethernet", eth_tcp4, L_ETH, TCP4, NO_VLAN, 0, {0}, {0}, MAC},
	{"vlan", vlan, L_ETH, TCP4, 1, {0x64}, 0, {0}, {0}, MAC},
	{"qinq", qinq, L_ETH, TCP6, 2, {100, 200}, 0, {0}, {0}, MAC},
	{"five vlans", vlans5, L_ETH, TCP4, 4, {1, 2, 3, 4}, 0, {0}, {0}, MAC | PACKET_VLAN_LOST},
	{"snap", snap, L_ETH, TCP4, NO_VLAN, 0, {0}, {0}, MAC},
	{"llc ip", llc_ip, L_ETH, TCP4, NO_VLAN, 0, {0}, {0}, MAC},
	{"mpls", mpls, L_ETH, TCP4, NO_VLAN, 0, {0}, {0}, MAC},
	{"mpls6", mpls6, L_ETH, TCP6, NO_VLAN, 0, {0}, {0}, MAC},
	{"pseudowire", pseudowire, L_ETH, TCP4, NO_VLAN, 0, {0}, {0}, MAC},
	{"pseudowire with control word", pseudowire_control, L_ETH, TCP4, NO_VLAN, 0, {0}, {0}, MAC},
	{"pppoe", pppoe, L_ETH, TCP4, NO_VLAN, 0, {0}, {0}, MAC},
	{"pppoe6", pppoe6, L_ETH, TCP6, NO_VLAN, 0, {0}, {0}, MAC},
	{"pbb", pbb, L_ETH, TCP4, NO_VLAN, 0, {0}, {0}, MAC},
	{"vn-tag", vn_tag, L_ETH, TCP4, NO_VLAN, 0, {0}, {0}, MAC},
	{"security tag", security_tag, L_ETH, TCP4, NO_VLAN, 0, {0}, {0}, MAC},
	{"raw 12", tcp4, 12, TCP4, NO_VLAN, 0, {0}, {0}, 0},
	{"raw 14", tcp6, 14, TCP6, NO_VLAN, 0, {0}, {0}, 0},
	{"raw 101 v4", tcp4, L_RAW, TCP4, NO_VLAN, 0, {0}, {0}, 0},
	{"raw 101 v6", tcp6, L_RAW, TCP6, NO_VLAN, 0, {0}, {0}, 0},
	{"raw v4", tcp4, L_IP4, TCP4, NO_VLAN, 0, {0}, {0}, 0},
	{"raw v6", tcp6, L_IP6, TCP6, NO_VLAN, 0, {0}, {0}, 0},
	{"sll", sll, L_SLL, TCP4, NO_VLAN, 0, {0}, {0}, 0},
	{"sll with vlan", sll_vlan, L_SLL, TCP4, 1, {7}, 0, {0}, {0}, 0},
	{"sll2", sll2, L_SLL2, TCP6, NO_VLAN, 0, {0}, {0}, 0},
	{"null", null2, L_NULL, TCP4, NO_VLAN, 0, {0}, {0}, 0},
	{"null swapped", null2_swapped, L_NULL, TCP4, NO_VLAN, 0, {0}, {0}, 0},
	{"null netbsd", null24, L_NULL, TCP6, NO_VLAN, 0, {0}, {0}, 0},
	{"null freebsd", null28, L_NULL, TCP6, NO_VLAN, 0, {0}, {0}, 0},
	{"null darwin", null30, L_NULL, TCP6, NO_VLAN, 0, {0}, {0}, 0},
	{"loop", null2_swapped, L_LOOP, TCP4, NO_VLAN, 0, {0}, {0}, 0},
	{"padding", padded, L_ETH, TCP4, NO_VLAN, 0, {0}, {0}, MAC},
	{"total length 0", segmentation_offload, L_ETH, TCP4, NO_VLAN, 0, {0}, {0}, MAC},
	{"payload length 0", segmentation_offload6, L_ETH, TCP6, NO_VLAN, 0, {0}, {0}, MAC},
	{"ip options", ip_options, L_ETH, TCP4, NO_VLAN, 0, {0}, {0}, MAC},
	{"ah", authenticated, L_ETH, TCP4, NO_VLAN, 0, {0}, {0}, MAC},
	{"extension headers", extensions, L_ETH, TCP6, NO_VLAN, 0, {0}, {0}, MAC},
	{"jumbogram", tcp_over_jumbo, L_ETH, 6, 6, 1111, 80, 66000, 20, NO_VLAN, 0, {0}, {0}, MAC},
	{"udp length 0", udp_zero_length, L_ETH, 4, 17, 1111, 80, 10, 8, NO_VLAN, 0, {0}, {0}, MAC},
	{"sctp", sctp, L_ETH, 4, 132, 1111, 80, 10, 12, NO_VLAN, 0, {0}, {0}, MAC},
	{"icmp echo", icmp_echo, L_ETH, 4, 1, 1111, 1111, 10, 8, NO_VLAN, 0, {0}, {0}, MAC},
	{"icmp6 echo", icmp6_echo_reply, L_ETH, 6, 58, 1111, 1111, 10, 8, NO_VLAN, 0, {0}, {0}, MAC},
	{"icmp error", icmp_unreachable, L_ETH, 4, 1, 0, 0, 10, 8, NO_VLAN, 0, {0}, {0}, MAC},
	{"ospf", ospf, L_ETH, 4, 89, 0, 0, 10, 0, NO_VLAN, 0, {0}, {0}, MAC},
	{"no next header", no_next, L_ETH, 6, 59, 0, 0, 10, 0, NO_VLAN, 0, {0}, {0}, MAC},
	{"vxlan", vxlan, L_ETH, TCP4, NO_VLAN, 1, {TUNNEL_VXLAN}, {0x123456}, MAC},
	{"vxlan reserved bits", vxlan_8472_reserved, L_ETH, TCP4, NO_VLAN, 1, {TUNNEL_VXLAN}, {11}, MAC},
	{"vxlan-gpe", vxlan_gpe_ip, L_ETH, TCP4, NO_VLAN, 1, {TUNNEL_VXLAN}, {11}, MAC},
	{"vxlan-nsh", vxlan_nsh, L_ETH, TCP6, NO_VLAN, 1, {TUNNEL_VXLAN}, {11}, MAC},
	{"geneve", geneve, L_ETH, TCP4, NO_VLAN, 1, {TUNNEL_GENEVE}, {0x123456}, MAC},
	{"geneve with ip", geneve_ip6, L_ETH, TCP6, NO_VLAN, 1, {TUNNEL_GENEVE}, {9}, MAC},
	{"gre", gre, L_ETH, TCP4, NO_VLAN, 1, {TUNNEL_GRE}, {0xdeadbeef}, MAC},
	{"gre with ipv6", gre_bare6, L_ETH, TCP6, NO_VLAN, 1, {TUNNEL_GRE}, {0}, MAC},
	{"gre with mpls", gre_mpls, L_ETH, TCP4, NO_VLAN, 1, {TUNNEL_GRE}, {0}, MAC},
	{"gre with ethernet", gre_teb, L_ETH, TCP4, NO_VLAN, 1, {TUNNEL_GRE}, {0}, MAC},
	{"nvgre", nvgre, L_ETH, TCP4, NO_VLAN, 1, {TUNNEL_NVGRE}, {0x123456}, MAC},
	{"erspan I", erspan1, L_ETH, TCP4, NO_VLAN, 1, {TUNNEL_ERSPAN_I}, {0}, MAC},
	{"erspan II", erspan2, L_ETH, TCP4, NO_VLAN, 1, {TUNNEL_ERSPAN_II}, {0x3ff}, MAC},
	{"erspan III", erspan3, L_ETH, TCP4, NO_VLAN, 1, {TUNNEL_ERSPAN_III}, {10}, MAC},
	{"erspan III with subheader", erspan3_subheader, L_ETH, TCP4, NO_VLAN, 1, {TUNNEL_ERSPAN_III}, {11}, MAC},
	{"ipip", ipip, L_ETH, TCP4, NO_VLAN, 1, {TUNNEL_IPIP}, {0}, MAC},
	{"6in4", six_in_four, L_ETH, TCP6, NO_VLAN, 1, {TUNNEL_6IN4}, {0}, MAC},
	{"4in6", four_in_six, L_ETH, TCP4, NO_VLAN, 1, {TUNNEL_4IN6}, {0}, MAC},
	{"6in6", six_in_six, L_ETH, TCP6, NO_VLAN, 1, {TUNNEL_6IN6}, {0}, MAC},
	{"gtp-u", gtpu, L_ETH, TCP4, NO_VLAN, 1, {TUNNEL_GTPU}, {0xcafe0001}, MAC},
	{"gtp-u with extensions", gtpu_extensions, L_ETH, TCP6, NO_VLAN, 1, {TUNNEL_GTPU}, {0xcafe0002}, MAC},
	{"four tunnels", nested4, L_ETH, TCP4, 1, {9}, 4,
	 {TUNNEL_VXLAN, TUNNEL_IPIP, TUNNEL_GRE, TUNNEL_VXLAN}, {1, 0, 4, 3}, MAC},
};

static void check_key(const struct decode *d, const struct packet *p, uint16_t source_port, uint16_t target_port)
{
	uint8_t source[16] = {0}, target[16] = {0};
	if (p->key.ip_version == 4) {
		build_put32(source, A);
		build_put32(target, B);
	} else {
		source[0] = target[0] = 0xfd;
		source[15] = 1;
		target[15] = 2;
	}
	assert_int_equal(p->direction, 0); /* A is smaller than B */
	assert_memory_equal(p->key.address[0], source, 16);
	assert_memory_equal(p->key.address[1], target, 16);
	assert_int_equal(p->key.port[0], source_port);
	assert_int_equal(p->key.port[1], target_port);
	assert_int_equal(p->key.tap, 3);
	assert_int_equal(p->key.domain, 0);
	assert_int_equal(p->key.zero, 0);
	assert_int_equal(p->hash, flow_key_hash(&p->key, d->hash_seed));
	assert_int_equal(p->shard, flow_key_shard(&p->key, d->shard_salt));
}

static void every_header(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_size(table); i++) {
		const struct expected *x = &table[i];
		struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
		x->build();
		struct packet p;
		enum decode_result r = decode_build(&d, x->link_type, &p);
		if (r != DECODE_PACKET || p.payload_len != x->payload_len || p.flags != x->flags ||
		    p.tunnel_count != x->tunnel_count)
			print_message("%s: %s, payload %u, flags %x, tunnels %u\n", x->name, decode_result_names[r],
			              p.payload_len, p.flags, p.tunnel_count);
		assert_int_equal(r, DECODE_PACKET);
		assert_int_equal(d.results[DECODE_PACKET], 1);
		assert_int_equal(p.key.ip_version, x->version);
		assert_int_equal(p.key.protocol, x->protocol);
		check_key(&d, &p, x->source_port, x->target_port);
		assert_int_equal(p.payload_len, x->payload_len);
		assert_int_equal(p.payload_captured, x->payload_len);
		assert_int_equal(p.l4_len, x->payload_len + x->l4_header);
		assert_int_equal(p.payload[0], 1);
		assert_int_equal(p.payload[9], 10);
		assert_int_equal(p.flags, x->flags);
		assert_int_equal(p.wire_len, build_len(&b));
		assert_int_equal(p.frames, 1);
		assert_int_equal(p.ordinal, 5);
		assert_int_equal(p.ts_ns, 77);
		assert_int_equal(p.ttl, 64);
		assert_int_equal(p.tcp_flags, x->protocol == 6 ? TCP_ACK : 0);
		assert_int_equal(p.seq, x->protocol == 6 ? 1000 : 0);
		assert_int_equal(p.ack, x->protocol == 6 ? 0x01020304 : 0);
		assert_int_equal(p.window, x->protocol == 6 ? 8192 : 0);
		assert_int_equal(p.vlan_count, x->vlan_count);
		for (unsigned v = 0; v < x->vlan_count; v++)
			assert_int_equal(p.vlan[v] & 0xfff, x->vlans[v]);
		assert_int_equal(p.mac_source[5], x->flags & MAC ? 1 : 0);
		assert_int_equal(p.mac_target[5], x->flags & MAC ? 2 : 0);
		assert_int_equal(p.tunnel_count, x->tunnel_count);
		for (unsigned t = 0; t < x->tunnel_count; t++) {
			assert_int_equal(p.tunnel[t].type, x->tunnels[t]);
			assert_int_equal(p.tunnel[t].id, x->ids[t]);
			assert_true(d.tunnels[x->tunnels[t]] > 0);
		}
	}
}

static void lengths(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	struct packet p;
	padded();
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.l3_len, 50);
	assert_int_equal(p.wire_len, 14 + 50 + 100);
	extensions();
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.l3_len, 40 + 8 + 24 + 8 + 16 + 16 + 8 + 30);
	vxlan(); /* the innermost packet's */
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.l3_len, 50);
	assert_int_equal(p.wire_len, 14 + 20 + 8 + 8 + 14 + 50);
	assert_int_equal(p.tunnel[0].ip_version, 4);
	assert_int_equal(load_be32(p.tunnel[0].source), OUTER_A);
	assert_int_equal(load_be32(p.tunnel[0].target), OUTER_B);
	/* what follows a UDP datagram in its IP packet is no payload */
	udp4();
	build_put16(b.at + 24, 8 + 4);
	assert_int_equal(decode_build(&d, L_IP4, &p), DECODE_PACKET);
	assert_int_equal(p.payload_len, 4);
	assert_int_equal(p.l4_len, 12);
	assert_int_equal(p.l3_len, 38);
}

static void both_directions_are_one_key(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	static const struct {
		uint32_t source, target;
		uint16_t source_port, target_port;
	} flows[] = {
		{A, B, 80, 1111},
		{A, B, 1111, 80},
		{0x0a0000ff, 0x0a000100, 5, 5}, /* bytes, not the host's words, are compared */
		{A, A, 80, 1111},
		{A, A, 5, 5},
	};
	for (size_t i = 0; i < array_size(flows); i++) {
		struct packet p, q;
		build_start(&b);
		build_udp(&b, flows[i].source_port, flows[i].target_port);
		build_ip4(&b, 17, flows[i].source, flows[i].target);
		assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_PACKET);
		build_start(&b);
		build_udp(&b, flows[i].target_port, flows[i].source_port);
		build_ip4(&b, 17, flows[i].target, flows[i].source);
		assert_int_equal(decode_build(&d, L_RAW, &q), DECODE_PACKET);
		assert_true(flow_key_equal(&p.key, &q.key));
		assert_int_equal(p.hash, q.hash);
		assert_int_equal(p.shard, q.shard);
		bool same_ends = flows[i].source == flows[i].target && flows[i].source_port == flows[i].target_port;
		assert_int_equal(p.direction, flows[i].source == flows[i].target &&
		                                      flows[i].source_port > flows[i].target_port);
		assert_int_equal(q.direction, same_ends ? 0 : !p.direction);
	}
	struct packet p;
	build_start(&b);
	build_tcp(&b, 80, 1111);
	build_ip6(&b, 6, 2, 1);
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_PACKET);
	assert_int_equal(p.direction, 1);
	assert_int_equal(p.key.address[0][15], 1);
	assert_int_equal(p.key.port[0], 1111);
	assert_int_equal(p.key.port[1], 80);
}

static void tcp_options(void **state)
{
	(void)state;
	struct decode d = make_decode(0, ISOLATE_NONE, false);
	static const struct {
		const char *bytes;
		uint32_t len;
		uint16_t mss;
		uint8_t scale;
		bool sack;
	} cases[] = {
		{"\x02\x04\x05\xb4\x04\x02\x08\x0a\0\0\0\1\0\0\0\0\1\3\3\7", 20, 1460, 7, false},
		{"\x01\x01\x08\x0a\0\0\0\1\0\0\0\2", 12, 0, 255, false},
		{"\x01\x01\x05\x0a\0\0\0\1\0\0\0\2", 12, 0, 255, true},
		{"\x01\x01\x08\x0a\0\0\0\1\0\0\0\2\1\1\5\x0a\0\0\0\1\0\0\0\2", 24, 0, 255, true},
		{"\0\0\0\0\x02\x04\x05\xb4", 8, 0, 255, false},        /* behind the end of the list */
		{"\xfe\x04\0\0\x02\x04\x05\xb4", 8, 1460, 255, false}, /* an unknown one is skipped */
		{"\x02\x00\x05\xb4", 4, 0, 255, false},                /* length 0 ends it */
		{"\x01\x02\x0a\x05", 4, 0, 255, false},                /* runs out of the header */
		{"\x01\x01\x01\x03", 4, 0, 255, false},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		build_start(&b);
		build_payload(&b, 3, 1);
		build_tcp_options(&b, 1, 2, 3, TCP_SYN, cases[i].bytes, cases[i].len);
		build_ip4(&b, 6, A, B);
		struct packet p;
		assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_PACKET);
		assert_int_equal(p.mss, cases[i].mss);
		assert_int_equal(p.window_scale, cases[i].scale);
		assert_int_equal(!!(p.flags & PACKET_TCP_SACK), cases[i].sack);
		assert_int_equal(p.payload_len, 3);
		assert_int_equal(p.payload[0], 1);
		assert_int_equal(p.tcp_flags, TCP_SYN);
	}
}

/* ---- frames that give no packet */

static void other(const char *bytes, uint32_t len, uint16_t type)
{
	build_start(&b);
	build_push(&b, 60 - len);
	build_push_bytes(&b, bytes, len);
	build_eth(&b, type);
}

static void causes_of_layer_2(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		uint32_t len;
		uint16_t type;
		enum decode_result result;
	} cases[] = {
		{"\0\1\x08\0\6\4\0\1", 8, 0x0806, DECODE_ARP},
		{"\2\7\4\0", 4, 0x88cc, DECODE_LLDP},
		{"\1\1", 2, 0x8809, DECODE_OTHER_L2},               /* LACP */
		{"\1\1", 2, 0x888e, DECODE_OTHER_L2},               /* EAPOL */
		{"\1\1", 2, 0x8035, DECODE_OTHER_L2},               /* RARP */
		{"\x11\x09\0\0\0\0", 6, 0x8863, DECODE_OTHER_L2},   /* PPPoE discovery */
		{"\x11\0\0\1\0\4\xc0\x21", 8, 0x8864, DECODE_OTHER_L2}, /* LCP */
		{"\x11\0\0\1\0\4\x12\x34", 8, 0x8864, DECODE_UNKNOWN_ETHERTYPE},
		{"\x42\x42\3", 3, 38, DECODE_OTHER_L2},             /* STP */
		{"\xff\xff\0\x22", 4, 38, DECODE_OTHER_L2},         /* IPX without LLC */
		{"\xe0\xe0\3", 3, 38, DECODE_OTHER_L2},             /* IPX */
		{"\xfe\xfe\3\x83", 4, 38, DECODE_OTHER_L2},         /* IS-IS */
		{"\xaa\xaa\3\0\0\x0c\x20\0", 8, 38, DECODE_OTHER_L2}, /* CDP */
		{"\xaa\xaa\3\0\0\0\x08\6", 8, 38, DECODE_ARP},
		{"\xaa\xaa\3\x12\x34\x56\x08\0", 8, 38, DECODE_UNKNOWN_ETHERTYPE},
		{"\x12\x12\3", 3, 38, DECODE_UNKNOWN_ETHERTYPE},
		{"\xaa\xaa\3\0\0\0\x08", 7, 7, DECODE_TRUNCATED_LINK}, /* the length ends in SNAP */
		{"", 0, 0x1234, DECODE_UNKNOWN_ETHERTYPE},
		{"", 0, 0xffff, DECODE_UNKNOWN_ETHERTYPE},
		{"", 0, 0x05dd, DECODE_UNKNOWN_ETHERTYPE}, /* neither a length nor a type */
		{"\x41\x23\x41\x23", 4, 0x0800, DECODE_MALFORMED_IP}, /* header length 4 */
		{"\x60\0\0\0", 4, 0x0800, DECODE_MALFORMED_IP},
		{"\x45\0\0\x28", 4, 0x86dd, DECODE_MALFORMED_IP},
		{"\x45\0\0\x13", 4, 0x0800, DECODE_MALFORMED_IP}, /* total length 19 */
		{"\x46\0\0\x14", 4, 0x0800, DECODE_MALFORMED_IP}, /* total length 20, header 24 */
		{"\x45\0\0\x3d", 4, 0x0800, DECODE_MALFORMED_IP}, /* one byte more than the frame has */
		{"\x60\0\0\0\0\x15", 6, 0x86dd, DECODE_MALFORMED_IP},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
		struct packet p;
		other(cases[i].bytes, cases[i].len, cases[i].type);
		enum decode_result r = decode_build(&d, L_ETH, &p);
		if (r != cases[i].result)
			print_message("case %zu: %s, not %s\n", i, decode_result_names[r],
			              decode_result_names[cases[i].result]);
		assert_int_equal(r, cases[i].result);
		assert_int_equal(d.results[cases[i].result], 1);
	}
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	struct packet p;
	static const uint16_t unknown[] = {2, 9, 50, 104, 105, 127, 147, 65535};
	eth_tcp4();
	for (size_t i = 0; i < array_size(unknown); i++)
		assert_int_equal(decode_build(&d, unknown[i], &p), DECODE_UNKNOWN_LINK_TYPE);
	tcp4();
	b.at[0] = 0x55;
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_MALFORMED_IP);
	assert_int_equal(decode_build(&d, L_NULL, &p), DECODE_UNKNOWN_ETHERTYPE);
}

static void malformed_l4(void **state)
{
	(void)state;
	struct decode d = make_decode(0, ISOLATE_NONE, false);
	struct packet p;
	tcp4();
	b.at[32] = 0x40; /* data offset 4 */
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_MALFORMED_L4);
	b.at[32] = 0x80; /* 32 bytes of 30 */
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_MALFORMED_L4);
	b.at[32] = 0x70;
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_PACKET);
	udp4();
	build_put16(b.at + 24, 7);
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_MALFORMED_L4);
	build_put16(b.at + 24, 19);
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_MALFORMED_L4);
	static const struct {
		uint8_t protocol, least;
	} least[] = {{6, 20}, {17, 8}, {1, 4}, {132, 12}};
	for (size_t i = 0; i < array_size(least); i++) {
		build_start(&b);
		build_push(&b, least[i].least - 1U);
		build_ip4(&b, least[i].protocol, A, B);
		build_eth(&b, 0x0800);
		assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_MALFORMED_L4);
	}
	/* an IPv6 extension header longer than the packet, and a jumbogram of a length that needs none */
	build_start(&b);
	build_extension(&b, 6, 8);
	b.at[1] = 1;
	build_ip6(&b, 0, 1, 2);
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_MALFORMED_IP);
	tcp_over_jumbo();
	build_put32(b.at + 14 + 40 + 4, 1000);
	assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_MALFORMED_IP);
}

static void too_deep(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	struct packet p;
	tcp4();
	for (unsigned i = 0; i < PACKET_TUNNELS; i++)
		build_ip4(&b, 4, OUTER_A, OUTER_B);
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_PACKET);
	assert_int_equal(p.tunnel_count, PACKET_TUNNELS);
	build_ip4(&b, 4, OUTER_A, OUTER_B);
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_TOO_DEEP);
	tcp4();
	build_vlan(&b, 1, 0x0800);
	for (unsigned i = 0; i < 1000; i++)
		build_vlan(&b, 1, 0x8100);
	build_eth(&b, 0x8100);
	assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_TOO_DEEP);
	build_start(&b);
	for (unsigned i = 0; i < 1000; i++)
		push32(0);
	build_eth(&b, 0x8847);
	assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_TOO_DEEP);
	build_start(&b);
	for (unsigned i = 0; i < 1000; i++)
		build_extension(&b, 60, 8);
	build_ip6(&b, 60, 1, 2);
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_TOO_DEEP);
}

/* ---- tunnels that are not opened */

static void closed_tunnels(void **state)
{
	(void)state;
	struct decode d = make_decode(0, ISOLATE_NONE, false);
	for (size_t i = 0; i < array_size(table); i++) {
		if (!table[i].tunnel_count)
			continue;
		table[i].build();
		struct packet p;
		assert_int_equal(decode_build(&d, table[i].link_type, &p), DECODE_PACKET);
		assert_int_equal(p.tunnel_count, 0);
		if (p.key.ip_version == 4)
			assert_int_equal(load_be32(p.key.address[0]), OUTER_A);
		assert_true(p.key.protocol == 17 || p.key.port[0] == 0);
		assert_int_equal(p.l3_len, build_len(&b) - 14);
		/* each opens by its own bit, and by no other */
		uint64_t own = UINT64_C(1) << table[i].tunnels[0];
		if (table[i].build == vxlan_nsh)
			own = DECAP_VXLAN_NSH;
		struct decode e = make_decode(own, ISOLATE_NONE, false);
		assert_int_equal(decode_build(&e, table[i].link_type, &p), DECODE_PACKET);
		assert_true(p.tunnel_count >= 1);
		/* a GRE key with Ethernet is plain GRE where NVGRE is not wanted */
		uint64_t gre_too = own == UINT64_C(1) << TUNNEL_NVGRE ? UINT64_C(1) << TUNNEL_GRE : 0;
		e = make_decode(ALL_TUNNELS & ~own & ~gre_too, ISOLATE_NONE, false);
		assert_int_equal(decode_build(&e, table[i].link_type, &p), DECODE_PACKET);
		assert_int_equal(p.tunnel_count, 0);
	}
	d = make_decode(UINT64_C(1) << TUNNEL_GRE, ISOLATE_NONE, false);
	nvgre();
	struct packet p;
	assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_PACKET);
	assert_int_equal(p.tunnel[0].type, TUNNEL_GRE);
	assert_int_equal(p.tunnel[0].id, 0x1234567f);
}

static void insides_that_are_no_packet(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	struct packet p;
	/* ARP in a VLAN in VXLAN: the outer packet stands, without the inner tag and MACs */
	other("\0\1\x08\0\6\4\0\1", 8, 0x0806);
	memmove(b.at - 4, b.at, 12);
	b.at -= 4;
	b.at[0] = 0xee;
	build_put16(b.at + 12, 0x8100);
	build_put16(b.at + 14, 55);
	vxlan_header(0x08000000, 1);
	over_udp(4789);
	assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_PACKET);
	assert_int_equal(p.key.protocol, 17);
	assert_int_equal(p.tunnel_count, 0);
	assert_int_equal(p.vlan_count, 0);
	assert_int_equal(p.mac_target[0], 2);
	assert_int_equal(p.flags, PACKET_HAS_MAC);
	assert_int_equal(d.inner_results[DECODE_ARP], 1);
	assert_int_equal(d.results[DECODE_ARP], 0);
	assert_int_equal(d.tunnels[TUNNEL_VXLAN], 0);

	/* a bad TCP header inside a good outer packet */
	tcp4();
	b.at[32] = 0;
	over_ip(4);
	assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_PACKET);
	assert_int_equal(p.key.protocol, 4);
	assert_int_equal(p.payload_len, 50);
	assert_int_equal(d.inner_results[DECODE_MALFORMED_L4], 1);

	/* what looks like no tunnel's header */
	static const struct {
		void (*build)(void);
		uint32_t at;
		uint8_t value;
	} spoiled[] = {
		{vxlan, 42, 0x00},  /* no VNI */
		{geneve, 42, 0x42}, /* version 1 */
		{geneve, 43, 0x80}, /* control packet */
		{gtpu, 43, 1},      /* echo request */
		{gtpu, 42, 0x50},   /* version 2 */
		{gre, 35, 0x01},    /* version 1 */
		{gre, 34, 0xf0},    /* routing present */
		{erspan2, 42, 0x30}, /* version 3 */
	};
	for (size_t i = 0; i < array_size(spoiled); i++) {
		spoiled[i].build();
		b.at[spoiled[i].at] = spoiled[i].value;
		assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_PACKET);
		assert_int_equal(p.tunnel_count, 0);
	}
	/* the source port says nothing */
	eth_tcp4();
	vxlan_header(0x08000000, 1);
	build_udp(&b, 4789, 5000);
	build_ip4(&b, 17, A, B);
	assert_int_equal(decode_build(&d, L_RAW, &p), DECODE_PACKET);
	assert_int_equal(p.tunnel_count, 0);
}

static void mirrored_frame_was_cut(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	struct packet p;
	/* ERSPAN II whose source says (T) that it kept 8 bytes less of the frame */
	for (unsigned t = 0; t < 2; t++) {
		erspan2();
		memmove(b.at + 8, b.at, build_len(&b) - 8);
		b.at += 8;
		build_put16(b.at + 16, build_len(&b) - 14);
		b.at[14 + 20 + 8 + 2] = t ? 0x04 : 0;
		assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_PACKET);
		assert_int_equal(p.tunnel_count, t);
		if (t) {
			assert_int_equal(p.payload_len, 10);
			assert_int_equal(p.payload_captured, 2);
			assert_true(p.flags & PACKET_CUT);
		} else {
			assert_int_equal(d.inner_results[DECODE_MALFORMED_IP], 1);
		}
	}
}

static void isolation(void **state)
{
	(void)state;
	struct packet p;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_VLAN, false);
	vlan();
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.key.domain, 0x64);
	assert_int_equal(p.hash, flow_key_hash(&p.key, d.hash_seed));
	qinq();
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.key.domain, 100 << 12 | 200);
	vxlan();
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.key.domain, 0);
	d = make_decode(ALL_TUNNELS, ISOLATE_TUNNEL, false);
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.key.domain, 0x123456);
	gtpu();
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.key.domain, 0);
	vlan();
	decode_build(&d, L_ETH, &p);
	assert_int_equal(p.key.domain, 0);
}

static void checksums(void **state)
{
	(void)state;
	struct packet p;
	struct decode off = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	struct decode on = make_decode(ALL_TUNNELS, ISOLATE_NONE, true);
	eth_tcp4();
	b.at[14 + 8]++;
	assert_int_equal(decode_build(&off, L_ETH, &p), DECODE_PACKET);
	assert_true(p.flags & PACKET_BAD_IP_CHECKSUM);
	assert_int_equal(decode_bytes(&off, L_RAW, b.at + 14, build_len(&b) - 14, build_len(&b) - 14, &p),
	                 DECODE_PACKET);
	assert_true(p.flags & PACKET_BAD_IP_CHECKSUM);

	static const struct {
		void (*build)(void);
		uint8_t protocol, field;
	} cases[] = {{tcp4, 6, 16}, {tcp6, 6, 16}, {udp4, 17, 6}};
	for (size_t i = 0; i < array_size(cases); i++) {
		cases[i].build();
		bool is4 = b.at[0] >> 4 == 4;
		uint8_t *l4 = b.at + (is4 ? 20 : 40);
		uint32_t len = build_len(&b) - (is4 ? 20 : 40), pseudo = cases[i].protocol + len;
		for (uint32_t k = is4 ? 12 : 8; k < (is4 ? 20U : 40U); k += 2)
			pseudo += load_be16(b.at + k);
		build_put16(l4 + cases[i].field, 0x1234);
		assert_int_equal(decode_build(&off, L_RAW, &p), DECODE_PACKET);
		assert_false(p.flags & PACKET_BAD_L4_CHECKSUM);
		assert_int_equal(decode_build(&on, L_RAW, &p), DECODE_PACKET);
		assert_true(p.flags & PACKET_BAD_L4_CHECKSUM);
		assert_false(p.flags & PACKET_BAD_IP_CHECKSUM);
		/* cut off: cannot be told */
		decode_bytes(&on, L_RAW, b.at, build_len(&b) - 1, build_len(&b), &p);
		assert_false(p.flags & PACKET_BAD_L4_CHECKSUM);
		assert_true(p.flags & PACKET_CUT);
		build_put16(l4 + cases[i].field, 0);
		uint16_t good = build_checksum(pseudo, l4, len);
		build_put16(l4 + cases[i].field, good);
		decode_build(&on, L_RAW, &p);
		assert_false(p.flags & PACKET_BAD_L4_CHECKSUM);
		/* left for the NIC: the pseudo-header's sum, not complemented */
		build_put16(l4 + cases[i].field, (uint16_t)~build_checksum(pseudo, l4, 0));
		decode_build(&on, L_RAW, &p);
		assert_false(p.flags & PACKET_BAD_L4_CHECKSUM);
	}
	udp4(); /* no checksum */
	decode_build(&on, L_RAW, &p);
	assert_false(p.flags & PACKET_BAD_L4_CHECKSUM);
	icmp_echo();
	decode_build(&on, L_ETH, &p);
	assert_true(p.flags & PACKET_BAD_L4_CHECKSUM);
	build_put16(b.at + 36, build_checksum(0, b.at + 34, 18));
	decode_build(&on, L_ETH, &p);
	assert_false(p.flags & PACKET_BAD_L4_CHECKSUM);
}

static void fragments(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	struct packet p;
	build_start(&b);
	build_payload(&b, 24, 1);
	build_ip4_full(&b, 17, A, B, 0x1234, 0x2000 | 3, "\x94\x04\0\0", 4);
	build_eth(&b, 0x0800);
	assert_int_equal(decode_build(&d, L_ETH, &p), DECODE_FRAGMENT);
	assert_int_equal(d.results[DECODE_FRAGMENT], 1);
	assert_ptr_equal(d.fragment.ip, b.at + 14);
	assert_int_equal(d.fragment.ip_captured, 48);
	assert_int_equal(d.fragment.header_len, 24);
	assert_int_equal(d.fragment.data_len, 24);
	assert_int_equal(d.fragment.data_captured, 24);
	assert_int_equal(d.fragment.offset, 24);
	assert_int_equal(d.fragment.id, 0x1234);
	assert_true(d.fragment.more);
	assert_int_equal(d.fragment.ip_version, 4);
	assert_int_equal(d.fragment.protocol, 17);
	assert_int_equal(load_be32(d.fragment.source), A);
	assert_int_equal(load_be32(d.fragment.target), B);
	assert_int_equal(p.l3_len, 48);
	assert_int_equal(p.key.port[0], 0);
	assert_int_equal(p.frames, 1);

	/* in a tunnel; IPv6 with an unfragmentable part; the capture cut it */
	build_start(&b);
	build_payload(&b, 24, 1);
	build_fragment6(&b, 6, 1280, false, 0xdeadbeef);
	build_extension(&b, 44, 16);
	build_ip6(&b, 60, 1, 2);
	over_ip(41);
	assert_int_equal(decode_bytes(&d, L_ETH, b.at, build_len(&b) - 5, build_len(&b), &p), DECODE_FRAGMENT);
	assert_int_equal(d.fragment.header_len, 40 + 16 + 8);
	assert_int_equal(d.fragment.next_header_at, 40);
	assert_int_equal(d.fragment.offset, 1280);
	assert_int_equal(d.fragment.data_len, 24);
	assert_int_equal(d.fragment.data_captured, 19);
	assert_int_equal(d.fragment.id, 0xdeadbeef);
	assert_int_equal(d.fragment.protocol, 6);
	assert_false(d.fragment.more);
	assert_int_equal(p.tunnel_count, 1);
	assert_int_equal(d.tunnels[TUNNEL_6IN4], 1);

	/* what was put together goes on, and may hold tunnels */
	gtpu();
	p = (struct packet){.flags = PACKET_REASSEMBLED, .frames = 3, .l3_len = 777, .wire_len = 888, .key.tap = 3};
	b.at[14 + 10] ^= 1; /* the header's checksum was seen to by fragment */
	assert_int_equal(decode_reassembled(&d, b.at + 14, build_len(&b) - 14, &p), DECODE_PACKET);
	assert_int_equal(p.tunnel_count, 1);
	assert_int_equal(p.l3_len, 50);
	assert_int_equal(p.wire_len, 888);
	assert_int_equal(p.frames, 3);
	assert_int_equal(p.flags, PACKET_REASSEMBLED);
	check_key(&d, &p, 1111, 80);
	udp4();
	p = (struct packet){.flags = PACKET_REASSEMBLED, .frames = 3, .l3_len = 777, .wire_len = 888, .key.tap = 3};
	assert_int_equal(decode_reassembled(&d, b.at, build_len(&b), &p), DECODE_PACKET);
	assert_int_equal(p.l3_len, 777);
	assert_int_equal(p.l4_len, 18);
	check_key(&d, &p, 1111, 80);
}

/* ---- the end of the bytes against an unreadable page */

static uint8_t *guard_end;

static int make_guard(void **state)
{
	(void)state;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = 20 * page;
	uint8_t *m = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED || mprotect(m + size, page, PROT_NONE))
		return -1;
	guard_end = m + size;
	return 0;
}

static volatile uint8_t sink;

static void check_sane(const struct decode *d, enum decode_result r, const struct packet *p, const uint8_t *data,
                       uint32_t caplen)
{
	assert_in_range(r, 0, DECODE_RESULT_COUNT - 1);
	if (r == DECODE_PACKET || r == DECODE_FRAGMENT) {
		assert_true(p->payload >= data);
		assert_true(p->payload_captured <= caplen);
		assert_true(p->payload + p->payload_captured <= data + caplen);
		assert_true(p->payload_captured <= p->payload_len);
		assert_int_equal(!!(p->flags & PACKET_CUT), p->payload_captured < p->payload_len);
		assert_true(p->payload_len <= p->l4_len && p->l4_len <= p->l3_len);
		assert_true(p->vlan_count <= PACKET_VLANS && p->tunnel_count <= PACKET_TUNNELS);
		assert_int_equal(p->hash, flow_key_hash(&p->key, d->hash_seed));
		assert_true(memcmp(p->key.address[0], p->key.address[1], 16) <= 0);
		for (uint32_t i = 0; i < p->payload_captured; i++)
			sink += p->payload[i];
	}
	if (r == DECODE_FRAGMENT) {
		const struct decode_fragment *f = &d->fragment;
		assert_true(f->ip >= data && f->ip + f->ip_captured <= data + caplen);
		assert_int_equal(f->header_len + f->data_captured, f->ip_captured);
		assert_true(f->data_captured <= f->data_len);
	}
}

static void cut_at_every_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_size(table); i++) {
		struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, true);
		table[i].build();
		uint32_t len = build_len(&b), step = len > 2000 ? 997 : 1;
		for (uint32_t n = 0; n <= len; n += n < 200 ? 1 : step) {
			uint8_t *data = guard_end - n;
			memcpy(data, b.at, n);
			struct packet p;
			/* by the capture; and on the wire, where the lengths inside are then wrong */
			enum decode_result r = decode_bytes(&d, table[i].link_type, data, n, len, &p);
			check_sane(&d, r, &p, data, n);
			if (n < len)
				assert_int_not_equal(r, DECODE_MALFORMED_IP);
			r = decode_bytes(&d, table[i].link_type, data, n, n, &p);
			check_sane(&d, r, &p, data, n);
			if (r == DECODE_PACKET)
				assert_false(p.flags & PACKET_CUT);
		}
		uint64_t sum = 0;
		for (unsigned r = 0; r < DECODE_RESULT_COUNT; r++)
			sum += d.results[r];
		assert_int_equal(sum % 2, 0);
		assert_true(d.results[DECODE_PACKET] >= 2);
	}
}

static void cut_plain_frame(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, false);
	build_start(&b);
	build_payload(&b, 10, 1);
	build_tcp_options(&b, 1111, 80, 1000, 16, "\x01\x01\x08\x0a\0\0\0\1\0\0\0\2", 12);
	build_ip4(&b, 6, A, B);
	build_eth(&b, 0x0800);
	uint32_t len = build_len(&b);
	for (uint32_t n = 0; n <= len; n++) {
		struct packet p;
		memcpy(guard_end - n, b.at, n);
		enum decode_result r = decode_bytes(&d, L_ETH, guard_end - n, n, len, &p);
		assert_int_equal(r, n < 14   ? DECODE_TRUNCATED_LINK
		                    : n < 34 ? DECODE_TRUNCATED_IP
		                    : n < 54 ? DECODE_TRUNCATED_L4
		                             : DECODE_PACKET);
		if (r != DECODE_PACKET)
			continue;
		assert_int_equal(p.payload_len, 10);
		assert_int_equal(p.payload_captured, n < 66 ? 0 : n - 66);
		assert_int_equal(p.wire_len, len);
		assert_int_equal(p.l3_len, 62);
	}
}

static uint64_t random_state = 88172645463325252;

static uint32_t random_next(uint32_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 32) % bound;
}

static void random_mutations(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_TUNNEL, true);
	static const uint16_t link_types[] = {L_ETH, L_ETH, L_ETH, L_NULL, L_RAW, L_SLL, L_SLL2, L_IP4, L_IP6, L_LOOP};
	for (unsigned i = 0; i < 100000; i++) {
		const struct expected *x = &table[random_next(array_size(table))];
		if (x->payload_len > 1000)
			continue;
		x->build();
		uint32_t len = build_len(&b), n = random_next(4) ? len : random_next(len + 1);
		uint8_t *data = guard_end - n;
		memcpy(data, b.at, n);
		for (uint32_t m = random_next(6); m > 0 && n; m--)
			data[random_next(min_of(n, random_next(2) ? n : 60U))] = (uint8_t)random_next(256);
		struct packet p;
		unsigned link_type = random_next(8) ? x->link_type : link_types[random_next(array_size(link_types))];
		enum decode_result r = decode_bytes(&d, link_type, data, n, random_next(2) ? n : len, &p);
		check_sane(&d, r, &p, data, n);
		if (r == DECODE_PACKET && i % 16 == 0) {
			/* decoding is a function of the frame */
			struct packet q;
			assert_int_equal(decode_bytes(&d, link_type, data, n, p.wire_len, &q), DECODE_PACKET);
			assert_true(flow_key_equal(&p.key, &q.key));
			assert_ptr_equal(p.payload, q.payload);
		}
	}
}

/* Ethernet with IPv4 has a way of its own; a VLAN tag leads around it. */
static void common_frames_are_no_exception(void **state)
{
	(void)state;
	struct decode d = make_decode(ALL_TUNNELS, ISOLATE_NONE, true);
	for (unsigned i = 0; i < 20000; i++) {
		void (*const kinds[])(void) = {eth_tcp4, padded, icmp_echo, udp_zero_length, vxlan, gtpu, ospf};
		kinds[random_next(array_size(kinds))]();
		uint32_t len = build_len(&b), cut = random_next(3) ? 0 : random_next(len - 14);
		for (uint32_t m = random_next(3); m > 0; m--)
			b.at[14 + random_next(len - 14)] = (uint8_t)random_next(256);
		struct packet p, q;
		enum decode_result r = decode_bytes(&d, L_ETH, b.at, len - cut, len, &p);
		uint8_t tagged[2048];
		memcpy(tagged, b.at, 12);
		memcpy(tagged + 12, "\x81\0\0\0", 4);
		memcpy(tagged + 16, b.at + 12, len - 12);
		enum decode_result s = decode_bytes(&d, L_ETH, tagged, len + 4 - cut, len + 4, &q);
		assert_int_equal(r, s);
		if (r != DECODE_PACKET)
			continue;
		assert_true(flow_key_equal(&p.key, &q.key));
		assert_int_equal(p.hash, q.hash);
		assert_int_equal(p.shard, q.shard);
		assert_int_equal(p.direction, q.direction);
		assert_int_equal(p.payload - b.at, q.payload - tagged - 4);
		assert_int_equal(p.payload_len, q.payload_len);
		assert_int_equal(p.payload_captured, q.payload_captured);
		assert_int_equal(p.l3_len, q.l3_len);
		assert_int_equal(p.l4_len, q.l4_len);
		assert_int_equal(p.flags, q.flags);
		assert_int_equal(p.tcp_flags, q.tcp_flags);
		assert_int_equal(p.seq, q.seq);
		assert_int_equal(p.icmp_type, q.icmp_type);
		assert_int_equal(p.tunnel_count, q.tunnel_count);
		assert_int_equal(p.ttl, q.ttl);
		assert_memory_equal(p.mac_source, q.mac_source, 6);
		assert_memory_equal(p.mac_target, q.mac_target, 6);
	}
}

static void refused_settings(void **state)
{
	(void)state;
	static char *const wrong[] = {"", "0", "65536", "-1", "4789x", " 1"};
	struct decode d;
	struct error e;
	for (size_t i = 0; i < array_size(wrong); i++) {
		char *item = wrong[i];
		struct decode_settings settings = {.vxlan_ports = {.item = &item, .count = 1}};
		e.text[0] = 0;
		assert_int_equal(decode_init(&d, &settings, 0, 0, &e), -22);
		assert_non_null(strstr(e.text, "vxlan_ports"));
	}
	char *nine[9] = {"1", "2", "3", "4", "5", "6", "7", "8", "9"};
	struct decode_settings settings = {.vxlan_ports = {.item = nine, .count = 9}};
	assert_int_equal(decode_init(&d, &settings, 0, 0, &e), -22);
	settings.vxlan_ports.count = 8;
	assert_int_equal(decode_init(&d, &settings, 0, 0, &e), 0);
	/* a name for each bit, and the numbers a file of DeepFlow's uses */
	for (const struct option *o = decode_options; o->name; o++) {
		assert_non_null(o->meaning);
		if (!strcmp(o->name, "decap_type"))
			for (unsigned i = 1; i < TUNNEL_TYPES; i++)
				assert_string_equal(o->choices[i], tunnel_type_names[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_header),
		cmocka_unit_test(lengths),
		cmocka_unit_test(both_directions_are_one_key),
		cmocka_unit_test(tcp_options),
		cmocka_unit_test(causes_of_layer_2),
		cmocka_unit_test(malformed_l4),
		cmocka_unit_test(too_deep),
		cmocka_unit_test(closed_tunnels),
		cmocka_unit_test(insides_that_are_no_packet),
		cmocka_unit_test(mirrored_frame_was_cut),
		cmocka_unit_test(isolation),
		cmocka_unit_test(checksums),
		cmocka_unit_test(fragments),
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(cut_plain_frame),
		cmocka_unit_test(random_mutations),
		cmocka_unit_test(common_frames_are_no_exception),
		cmocka_unit_test(refused_settings),
	};
	return cmocka_run_group_tests(tests, make_guard, NULL);
}
