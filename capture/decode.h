/* decode.h - from a frame to a packet.
 *
 * Walks link, VLAN, MPLS, PPPoE, IP and tunnel headers, bounded in depth; keeps the outer ones; never reads past
 * caplen; never fails on traffic: a frame that gives no packet has a cause, and the cause is counted. Pure but for its
 * counters. One struct decode a thread.
 *
 * What is decided here:
 * - A tunnel that decap_type does not open, or whose inside gives neither a packet nor a fragment (ARP, a protocol that
 * is not known, malformed, cut off by the snap length), is not an error: the outer packet stands for the frame, and
 *   inner_results[] counts what the inside was. Only an inside that is too deep makes the frame too deep.
 * - An IP length that goes past the end of the frame is malformed where the frame was captured whole, and a packet with
 *   PACKET_CUT where the capture was cut (caplen < wirelen, or an ERSPAN header that says so).
 * - A length of 0 in IPv4 (and in IPv6 with TCP) is a segment that the sending host had not cut up yet: the rest of the
 *   frame is the packet.
 * - A TCP header whose options were cut off by the snap length is a packet; a fixed header that was cut off is not.
 * - Extension headers and AH (also in IPv4) are walked through; the protocol is that of what follows. */
#ifndef TS_CAPTURE_DECODE_H
#define TS_CAPTURE_DECODE_H

#include "error.h"
#include "option.h"
#include "packet.h"

/* What became of a frame. Every frame is exactly one of these. */
#define DECODE_RESULTS(X)                                                                                              \
	X(PACKET, "decoded", "an IP packet for the flow table")                                                        \
	X(FRAGMENT, "fragment", "an IP fragment: goes to reassembly")                                                  \
	X(ARP, "arp", "ARP")                                                                                           \
	X(LLDP, "lldp", "LLDP")                                                                                        \
	X(OTHER_L2, "other_l2", "a known non-IP protocol: STP, LACP, EAPOL, CDP, IPX, PPPoE discovery, …")             \
	X(UNKNOWN_LINK_TYPE, "unknown_link_type", "link type that is not decoded")                                     \
	X(UNKNOWN_ETHERTYPE, "unknown_ethertype", "EtherType or PPP protocol that is not known")                       \
	X(TRUNCATED_LINK, "truncated_link", "captured bytes end in a link, VLAN, MPLS or PPPoE header")                \
	X(TRUNCATED_IP, "truncated_ip", "captured bytes end in an IP header or extension header")                      \
	X(TRUNCATED_L4, "truncated_l4", "captured bytes end in the fixed part of an L4 header")                        \
	X(MALFORMED_IP, "malformed_ip", "IP header contradicts itself: version, header length, total length")          \
	X(MALFORMED_L4, "malformed_l4", "TCP data offset, UDP length or the least L4 header contradict the IP length") \
	X(TOO_DEEP, "too_deep", "more layers than are followed")

enum decode_result {
#define X(name, key, meaning) DECODE_##name,
	DECODE_RESULTS(X)
#undef X
	    DECODE_RESULT_COUNT
};
extern const char *const decode_result_names[DECODE_RESULT_COUNT];

enum flow_isolation { ISOLATE_NONE, ISOLATE_VLAN, ISOLATE_TUNNEL };

struct decode_settings {
	uint64_t decap_type;     /* bit (1 << enum tunnel_type), and DECAP_VXLAN_NSH: tunnels that are opened */
	unsigned flow_isolation; /* enum flow_isolation: what keeps equal five-tuples apart */
	bool verify_l4_checksum;
	struct option_list vxlan_ports; /* UDP ports, as text; at most DECODE_VXLAN_PORTS */
};
#define DECAP_VXLAN_NSH (UINT64_C(1) << TUNNEL_TYPES) /* VXLAN-GPE with a service header (RFC 8300) inside */
#define DECODE_VXLAN_PORTS 8
extern const struct option decode_options[];

/* A fragment, when the result is DECODE_FRAGMENT: what reassembly needs. Pointers borrowed as the frame's. */
struct decode_fragment {
	const uint8_t *ip;    /* its IP header */
	uint32_t ip_captured; /* bytes from ip that were captured and belong to the packet */
	uint32_t
	    header_len; /* bytes before the fragment's data, unfragmentable part (and for IPv6 the fragment header) */
	uint32_t next_header_at; /* IPv6: where in ip the byte lies that names the fragment header */
	uint32_t data_len, data_captured;
	uint32_t offset, id; /* bytes; identification */
	bool more;
	uint8_t ip_version, protocol; /* IPv6: what the fragment header names */
	uint8_t source[16], target[16];
};

struct decode {
	struct decode_settings settings;
	struct flow_hash_keys hash_keys;
	struct shard_keys shard_keys;
	uint64_t results[DECODE_RESULT_COUNT];       /* frames by result */
	uint64_t tunnels[TUNNEL_TYPES];              /* tunnels opened, by type */
	uint64_t inner_results[DECODE_RESULT_COUNT]; /* insides of tunnels that were not used, by what they were */
	struct decode_fragment fragment;             /* of the last DECODE_FRAGMENT */
	uint64_t tunnel_port_hint[16];               /* bit (port & 1023) of every UDP port that may be a tunnel's */
	uint16_t vxlan_port[DECODE_VXLAN_PORTS];
	unsigned vxlan_port_count;
	bool plain; /* nothing in the settings keeps decode_frame() from its short way */
};

/* 0 or -EINVAL (with e): a VXLAN port that is none, or too many of them. */
int decode_init(struct decode *d, const struct decode_settings *settings, uint64_t hash_seed, uint64_t shard_salt,
		struct error *e);
/* Fills *ret_packet (all but unused VLAN and tunnel slots) for DECODE_PACKET. For DECODE_FRAGMENT too, as a packet
 * without ports whose payload is the fragment's data; decode_reassembled() completes it. Counts the result. */
enum decode_result decode_frame(struct decode *d, const struct frame *f, struct packet *ret_packet);
/* Goes on from a reassembled IP packet (header with the fragment fields cleared, then the data): `p` is what
 * decode_frame gave for the fragment that completed it. A packet that comes out points into `ip`. It may be a fragment
 * again (of a tunnel inside). Does not count in results[]; the caller counts what comes of it. Header checksums are not
 * looked at again. */
enum decode_result decode_reassembled(struct decode *d, const uint8_t *ip, uint32_t len, struct packet *p);

#endif
