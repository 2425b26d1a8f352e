/* packet.h - a frame as a source gives it, and a packet as decode makes it. */
#ifndef TS_BASE_PACKET_H
#define TS_BASE_PACKET_H

#include "flow_key.h"

/* Borrowed from a capture source for the length of a burst. */
struct frame {
	const uint8_t *data;
	uint32_t caplen;    /* bytes at data */
	uint32_t wirelen;   /* bytes on the wire, >= caplen in sane captures */
	int64_t ts_ns;      /* since 1970, UTC */
	uint64_t ordinal;   /* 1, 2, … in the order in which the capture was read (after the merge of files) */
	uint16_t link_type; /* LINKTYPE_… of the capture file format */
	uint16_t tap;       /* observation point */
	uint16_t nic;       /* live: id of the NIC it came from; replay: of the interface, counted over all files */
};

#define PACKET_VLANS 4
#define PACKET_TUNNELS 4

enum tunnel_type {
	TUNNEL_NONE,
	TUNNEL_VXLAN,
	TUNNEL_GENEVE,
	TUNNEL_GRE,
	TUNNEL_NVGRE,
	TUNNEL_ERSPAN_I,
	TUNNEL_ERSPAN_II,
	TUNNEL_ERSPAN_III,
	TUNNEL_IPIP, /* IPv4 in IPv4 */
	TUNNEL_6IN4,
	TUNNEL_4IN6,
	TUNNEL_6IN6,
	TUNNEL_GTPU,
	TUNNEL_TYPES
};

extern const char *const tunnel_type_names[TUNNEL_TYPES]; /* "VXLAN", … as records print them */

struct tunnel {
	uint8_t type;       /* enum tunnel_type */
	uint8_t ip_version; /* of the outer header */
	uint16_t reserved;
	uint32_t id; /* VNI, GRE key, NVGRE VSID, ERSPAN session, GTP TEID; 0 where there is none */
	uint8_t source[16], target[16];
};

enum packet_flag {
	PACKET_BAD_IP_CHECKSUM = 1 << 0,
	PACKET_BAD_L4_CHECKSUM = 1 << 1,
	PACKET_REASSEMBLED = 1 << 2, /* from IP fragments */
	PACKET_CUT = 1 << 3,         /* payload_captured < payload_len: snap length */
	PACKET_HAS_MAC = 1 << 4,
	PACKET_TCP_SACK = 1 << 5,  /* carries SACK blocks */
	PACKET_VLAN_LOST = 1 << 6, /* more VLAN tags, MPLS or tunnels than are kept */
};

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16, TCP_URG = 32, TCP_ECE = 64, TCP_CWR = 128 };

/* A decoded packet. Pointers are borrowed as the frame is. Only what the flags and counts say is set. */
struct packet {
	struct flow_key key;
	uint64_t ordinal; /* of the frame that completed it */
	int64_t ts_ns;
	const uint8_t *payload;    /* L4 payload */
	uint32_t payload_len;      /* as the IP header says */
	uint32_t payload_captured; /* bytes at payload */
	uint32_t wire_len;         /* frame bytes on the wire; of all its fragments together */
	uint32_t l3_len;           /* innermost IP packet, header included; of all fragments together */
	uint32_t l4_len;           /* L4 header and payload */
	uint16_t frames;           /* 1, or the number of fragments */
	uint8_t shard;
	uint8_t direction; /* 0: from end 0 of the key to end 1; 1: the other way */
	uint32_t flags;    /* enum packet_flag */
	/* TCP, RFC 9293 */
	uint32_t seq, ack;
	uint16_t window;
	uint16_t mss;         /* option; 0: absent */
	uint8_t window_scale; /* option; 255: absent */
	uint8_t tcp_flags;
	/* ICMP */
	uint8_t icmp_type, icmp_code;
	uint8_t ttl; /* of the innermost IP header */
	uint8_t vlan_count, tunnel_count;
	uint8_t reserved;
	uint16_t ip_id; /* identification of the innermost IPv4 header; 0 in IPv6 */
	uint16_t nic;   /* of the frame; of an SLL2 frame the interface it names */
	/* What else the L4 header has, to tell two packets apart and for nothing else: TCP options (a hash, or the two
	 * timestamps where these are all), bytes 4 to 7 of ICMP and SCTP; 0: nothing. */
	uint64_t l4_rest;
	uint8_t mac_target[6], mac_source[6]; /* innermost Ethernet header; PACKET_HAS_MAC */
	uint16_t vlan[PACKET_VLANS];          /* TCI, outermost first */
	struct tunnel tunnel[PACKET_TUNNELS]; /* outermost first */
};

#endif
