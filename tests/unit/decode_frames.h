/* decode_frames.h - a frame of every kind of header, and what must come of it. */
#ifndef TS_TESTS_DECODE_FRAMES_H
#define TS_TESTS_DECODE_FRAMES_H

#include "decode.h"
#include "frame_builder.h"

#define A 0x0a000001 /* 10.0.0.1 */
#define B 0x0a000002
#define OUTER_A 0xc0a80001
#define OUTER_B 0xc0a80002
#define ALL_TUNNELS (DECAP_VXLAN_NSH * 2 - 2)

static struct build b;

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
	uint8_t *h = build_push(&b, 18);
	h[4] = 1; /* interface 0x0107 */
	h[5] = 7;
	h[7] = 1;
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

static void null_ethertype(void)
{
	tcp4();
	build_push_bytes(&b, "\x0f\0\x08\0", 4);
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
	push32(0x11223344);
	push32(0x2064000a);
	push32(1);
	push32(0x100022eb);
	over_ip(47);
}

static void erspan3_subheader(void)
{
	eth_tcp4();
	push32(0);
	push32(0);
	push32(1); /* O: the eight bytes above */
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
	push32(0x33333300);
	push32(0x02222222); /* 8 bytes, the last in the list */
	push32(0x011111c0); /* 4 bytes, then another */
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
	push32(4); /* key */
	push32(0x20000800);
	build_ip4(&b, 47, OUTER_A, OUTER_B);
	build_ip4(&b, 4, OUTER_A, OUTER_B);
	build_vlan(&b, 9, 0x0800);
	build_eth(&b, 0x8100);
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
#define NO_VLAN                                                                                                        \
	0,                                                                                                             \
	{                                                                                                              \
		0                                                                                                      \
	}

static const struct expected frame_table[] = {
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
    {"null with ethertype", null_ethertype, L_NULL, TCP4, NO_VLAN, 0, {0}, {0}, 0},
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
    {"four tunnels",
     nested4,
     L_ETH,
     TCP4,
     1,
     {9},
     4,
     {TUNNEL_VXLAN, TUNNEL_IPIP, TUNNEL_GRE, TUNNEL_VXLAN},
     {1, 0, 4, 3},
     MAC},
};

static inline struct decode make_decode(uint64_t decap_type, unsigned isolation, bool verify)
{
	char *ports[] = {(char[]){"4789"}, (char[]){"8472"}};
	struct decode_settings settings = {
	    .decap_type = decap_type,
	    .flow_isolation = isolation,
	    .verify_l4_checksum = verify,
	    .vxlan_ports = {.item = ports, .count = 2},
	};
	struct decode d;
	int r = decode_init(&d, &settings, 12345, 0, NULL);
	assert(r == 0);
	(void)r;
	return d;
}

static inline enum decode_result decode_bytes(struct decode *d, unsigned link_type, const uint8_t *data,
					      uint32_t caplen, uint32_t wirelen, struct packet *p)
{
	memset(p, 0xa5, sizeof *p); /* what is not written shows */
	struct frame f = {.data = data,
			  .caplen = caplen,
			  .wirelen = wirelen,
			  .ts_ns = 77,
			  .ordinal = 5,
			  .link_type = (uint16_t)link_type,
			  .tap = 3,
			  .nic = 9};
	return decode_frame(d, &f, p);
}

static inline enum decode_result decode_build(struct decode *d, unsigned link_type, struct packet *p)
{
	return decode_bytes(d, link_type, b.at, build_len(&b), build_len(&b), p);
}

#endif
