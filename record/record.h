/* record.h - the two records, from one table of fields each.
 *
 * FLOW_FIELDS and REQUEST_FIELDS are the only place where a field is declared: the struct, the enum, the presence bit,
 * the NDJSON key, the documentation (`tapscope config fields`) and the golden comparison come from them. Adding a field
 * is adding a line. A field that is absent has no value: its bit in `present` is clear and its bytes are undefined.
 *
 * X(kind, name, unit, meaning); the kinds and their C types:
 *   U64 uint64_t · I64 int64_t · NS int64_t (a duration) · TIME int64_t (ns since 1970, printed as RFC 3339)
 *   ID uint64_t (16 hex digits) · BOOL bool · NAME struct text (a constant of the program, ended by a NUL that does not
 * count, with nothing in it that needs an escape) · TEXT struct text (borrowed) · IP struct ip_address · MAC uint8_t[6]
 * · VLANS struct vlan_list · TUNNELS struct tunnel_list · FLAGS uint8_t (TCP) ATTRIBUTES struct attribute_list */
#ifndef TS_RECORD_RECORD_H
#define TS_RECORD_RECORD_H

#include "packet.h"
#include "text.h"

#define RECORD_SCHEMA 1 /* goldens carry it; raised when the meaning of a field changes */

struct ip_address {
	uint8_t version; /* 4 or 6 */
	uint8_t at[16];  /* version 4: the first four */
};

struct vlan_list {
	uint8_t count;
	uint16_t id[PACKET_VLANS]; /* VLAN ids, outermost first */
};

struct tunnel_list {
	uint8_t count;
	struct tunnel at[PACKET_TUNNELS];
};

#define RECORD_ATTRIBUTES 16
struct attribute {
	const char *name; /* a constant of the program, "kafka.partition" */
	struct text value;
	bool number; /* value is a decimal number and printed without quotes */
};
struct attribute_list {
	uint8_t count;
	struct attribute at[RECORD_ATTRIBUTES];
};

#define FLOW_FIELDS(X)                                                                                                 \
	X(ID, flow_id, NULL, "Hash of the key and the first sequence number or start time; the same on every run")     \
	X(TEXT, community_id, NULL, "Community ID v1, seed 0")                                                         \
	X(TIME, start_time, "ns", "First packet of this record's span")                                                \
	X(TIME, end_time, "ns", "Last packet of this record's span")                                                   \
	X(NS, duration_ns, "ns", "From the flow's first packet to this record's last")                                 \
	X(NAME, close_type, NULL, "Why the flow ended, or forced_report for the minute report of a flow that goes on") \
	X(BOOL, is_new_flow, NULL, "The flow's first record")                                                          \
	X(ID, pair_id, NULL, "The same at every observation point that saw the flow")                                  \
	X(BOOL, direction_corrected, NULL, "Evidence after the first record says that client and server are swapped")  \
	X(NAME, signal_source, NULL, "packet")                                                                         \
	X(U64, tap_mode, NULL, "0 local, 1 virtual mirror, 2 physical mirror")                                         \
	X(U64, tap_port, NULL, "Observation point; absent where there is only one")                                    \
	X(TEXT, nic, NULL, "Interface of the first packet")                                                            \
	X(TEXT, tap_type, NULL, "What kind of traffic it is, by the rules of tap.types")                               \
	X(NAME, tap_side, NULL, "Whose end it was seen at: c, s, c-nd, s-nd, local, rest; place/tap.h tells which")    \
	X(MAC, client_mac, NULL, "From the flow's first packet")                                                       \
	X(MAC, server_mac, NULL, "From the flow's first packet")                                                       \
	X(VLANS, vlan, NULL, "VLAN ids of the first packet, outermost first")                                          \
	X(TUNNELS, tunnel, NULL, "Tunnels of the first packet, outermost first")                                       \
	X(IP, client_ip, NULL, "Who opened the flow")                                                                  \
	X(U64, client_port, NULL, "TCP, UDP and SCTP")                                                                 \
	X(IP, server_ip, NULL, "Who was called")                                                                       \
	X(U64, server_port, NULL, "TCP, UDP and SCTP")                                                                 \
	X(TEXT, client_pod, NULL, "Pod (or container, namespace, machine) behind client_ip")                           \
	X(TEXT, client_pod_ns, NULL, "Its Kubernetes namespace")                                                       \
	X(TEXT, client_workload, NULL, "What it is part of: Deployment/cart, …")                                       \
	X(TEXT, server_pod, NULL, "Pod (or container, namespace, machine) behind server_ip")                           \
	X(TEXT, server_pod_ns, NULL, "Its Kubernetes namespace")                                                       \
	X(TEXT, server_workload, NULL, "What it is part of: Deployment/cart, …")                                       \
	X(U64, direction_score, NULL,                                                                                  \
	  "How sure client and server are: 255 by SYN, 254 by content, below that a guess")                            \
	X(NAME, protocol, NULL, "TCP, UDP, ICMP, …")                                                                   \
	X(NAME, l7_protocol, NULL, "Application protocol, where it was recognised")                                    \
	X(U64, packet_tx, "packets", "Client to server, fragments counted singly")                                     \
	X(U64, packet_rx, "packets", "Server to client")                                                               \
	X(U64, byte_tx, "bytes", "Frames on the wire")                                                                 \
	X(U64, byte_rx, "bytes", "Frames on the wire")                                                                 \
	X(U64, l3_byte_tx, "bytes", "Innermost IP packets")                                                            \
	X(U64, l3_byte_rx, "bytes", "Innermost IP packets")                                                            \
	X(U64, l4_byte_tx, "bytes", "L4 payload")                                                                      \
	X(U64, l4_byte_rx, "bytes", "L4 payload")                                                                      \
	X(FLAGS, tcp_flags_tx, NULL, "TCP flags seen: F S R P A U E C")                                                \
	X(FLAGS, tcp_flags_rx, NULL, "TCP flags seen")                                                                 \
	X(U64, syn_count, "packets", "SYN without ACK")                                                                \
	X(U64, synack_count, "packets", "SYN with ACK")                                                                \
	X(U64, fin_count, "packets", "FIN")                                                                            \
	X(U64, retrans_tx, "packets", "Retransmitted segments that carry data, SYN or FIN")                            \
	X(U64, retrans_rx, "packets", "Retransmitted segments that carry data, SYN or FIN")                            \
	X(U64, ack_retrans_tx, "packets", "Retransmitted bare handshake ACK or SYN-ACK, as far as it can be told")     \
	X(U64, ack_retrans_rx, "packets", "Retransmitted bare handshake ACK or SYN-ACK, as far as it can be told")     \
	X(U64, ooo_tx, "packets", "Out of order: fills a hole too early to be a retransmission")                       \
	X(U64, ooo_rx, "packets", "Out of order")                                                                      \
	X(U64, zero_win_tx, "packets", "Zero window announced, SYN and RST apart")                                     \
	X(U64, zero_win_rx, "packets", "Zero window announced, SYN and RST apart")                                     \
	X(U64, keepalive_tx, "packets", "Keep-alive probes")                                                           \
	X(U64, keepalive_rx, "packets", "Keep-alive probes")                                                           \
	X(U64, gap_bytes_tx, "bytes", "Stream bytes that were never seen")                                             \
	X(U64, gap_bytes_rx, "bytes", "Stream bytes that were never seen")                                             \
	X(U64, bad_checksum, "packets", "IP or, where checked, L4 checksum wrong")                                     \
	X(U64, fragments, "packets", "IP fragments among the packets")                                                 \
	X(U64, duplicate_count, "packets", "Copies of packets that were removed")                                      \
	X(NS, duplicate_delay_sum, "ns", "First sight of a packet to its first sight on another path")                 \
	X(U64, duplicate_delay_count, NULL, "Number of such delays")                                                   \
	X(NS, duplicate_delay_max, "ns", "Largest such delay")                                                         \
	X(NS, rtt_ns, "ns", "TCP handshake: SYN to the ACK of the SYN-ACK")                                            \
	X(NS, rtt_client_ns, "ns", "SYN-ACK to ACK")                                                                   \
	X(NS, rtt_server_ns, "ns", "SYN to SYN-ACK")                                                                   \
	X(NS, srt_sum, "ns", "System response: request segment to its bare ACK")                                       \
	X(U64, srt_count, NULL, "Number of SRT samples")                                                               \
	X(NS, srt_max, "ns", "Largest SRT sample")                                                                     \
	X(NS, art_sum, "ns", "Application response: last request segment to first response segment")                   \
	X(U64, art_count, NULL, "Number of ART samples")                                                               \
	X(NS, art_max, "ns", "Largest ART sample")                                                                     \
	X(NS, cit_sum, "ns", "Client idle: last response segment to the next request segment")                         \
	X(U64, cit_count, NULL, "Number of CIT samples")                                                               \
	X(NS, cit_max, "ns", "Largest CIT sample")                                                                     \
	X(U64, l7_request, NULL, "Requests seen")                                                                      \
	X(U64, l7_response, NULL, "Responses seen")                                                                    \
	X(U64, l7_client_error, NULL, "Responses that blame the client")                                               \
	X(U64, l7_server_error, NULL, "Responses that blame the server")                                               \
	X(U64, l7_timeout, NULL, "Requests that no response came to in time")                                          \
	X(NS, rrt_sum, "ns", "Request's first byte to response's first byte")                                          \
	X(U64, rrt_count, NULL, "Number of RRT samples")                                                               \
	X(NS, rrt_max, "ns", "Largest RRT sample")                                                                     \
	X(U64, gap_bytes, "bytes", "Stream bytes never seen, both directions; absent when none")                       \
	X(BOOL, truncated, NULL, "A limit of this program cut the evidence short")                                     \
	X(BOOL, midstream, NULL, "The start of the flow was not seen")

#define REQUEST_FIELDS(X)                                                                                              \
	X(ID, flow_id, NULL, "The flow it belongs to")                                                                 \
	X(IP, client_ip, NULL, "Who asked")                                                                            \
	X(U64, client_port, NULL, "")                                                                                  \
	X(IP, server_ip, NULL, "Who was asked")                                                                        \
	X(U64, server_port, NULL, "")                                                                                  \
	X(TEXT, client_pod, NULL, "Pod (or container, namespace, machine) behind client_ip")                           \
	X(TEXT, client_pod_ns, NULL, "Its Kubernetes namespace")                                                       \
	X(TEXT, client_workload, NULL, "What it is part of: Deployment/cart, …")                                       \
	X(TEXT, server_pod, NULL, "Pod (or container, namespace, machine) behind server_ip")                           \
	X(TEXT, server_pod_ns, NULL, "Its Kubernetes namespace")                                                       \
	X(TEXT, server_workload, NULL, "What it is part of: Deployment/cart, …")                                       \
	X(TIME, start_time, "ns", "First byte of the request; of the response where only that was seen")               \
	X(TIME, end_time, "ns", "Last byte of the response; of the request where only that was seen")                  \
	X(NS, duration_ns, "ns", "Request's first byte to response's last; only in a session")                         \
	X(NS, first_byte_ns, "ns", "Request's first byte to response's first; only in a session")                      \
	X(NAME, l7_protocol, NULL, "HTTP, MySQL, …")                                                                   \
	X(TEXT, version, NULL, "Of the protocol")                                                                      \
	X(NAME, type, NULL, "session: both seen; request or response: only one")                                       \
	X(TEXT, request_type, NULL, "GET, COM_QUERY, SET, Produce, …")                                                 \
	X(TEXT, request_domain, NULL, "Host, database, topic, …")                                                      \
	X(TEXT, request_resource, NULL, "Path, statement, key, …")                                                     \
	X(TEXT, endpoint, NULL, "The resource without what varies")                                                    \
	X(TEXT, request_id, NULL, "The protocol's own identifier")                                                     \
	X(NAME, response_status, NULL, "ok, client_error, server_error, timeout, unknown")                             \
	X(I64, response_code, NULL, "Status or error number")                                                          \
	X(TEXT, response_exception, NULL, "The error's message")                                                       \
	X(TEXT, response_result, NULL, "What came back, in short")                                                     \
	X(U64, request_length, "bytes", "On the stream")                                                               \
	X(U64, response_length, "bytes", "On the stream")                                                              \
	X(U64, sql_affected_rows, NULL, "")                                                                            \
	X(TEXT, trace_id, NULL, "Distributed trace")                                                                   \
	X(TEXT, span_id, NULL, "Span of the caller")                                                                   \
	X(TEXT, x_request_id, NULL, "X-Request-ID")                                                                    \
	X(TEXT, user_agent, NULL, "")                                                                                  \
	X(TEXT, referer, NULL, "")                                                                                     \
	X(TEXT, client_ip_forwarded, NULL, "The client that a proxy named")                                            \
	X(U64, req_tcp_seq, NULL, "Sequence number of the request's first byte")                                       \
	X(U64, resp_tcp_seq, NULL, "Sequence number of the response's first byte")                                     \
	X(BOOL, is_tls, NULL, "Plaintext of a TLS connection")                                                         \
	X(NAME, signal_source, NULL, "packet")                                                                         \
	X(ATTRIBUTES, attributes, NULL, "What only this protocol has")                                                 \
	X(U64, gap_bytes, "bytes", "Bytes of request or response that were never seen; absent when none")              \
	X(BOOL, truncated, NULL, "The end of a message was not seen, or a limit cut a text short")                     \
	X(BOOL, midstream, NULL, "The flow was picked up in its middle")

#define RECORD_CTYPE_U64(name) uint64_t name;
#define RECORD_CTYPE_I64(name) int64_t name;
#define RECORD_CTYPE_NS(name) int64_t name;
#define RECORD_CTYPE_TIME(name) int64_t name;
#define RECORD_CTYPE_ID(name) uint64_t name;
#define RECORD_CTYPE_BOOL(name) bool name;
#define RECORD_CTYPE_NAME(name) struct text name;
#define RECORD_CTYPE_TEXT(name) struct text name;
#define RECORD_CTYPE_IP(name) struct ip_address name;
#define RECORD_CTYPE_MAC(name) uint8_t name[6];
#define RECORD_CTYPE_VLANS(name) struct vlan_list name;
#define RECORD_CTYPE_TUNNELS(name) struct tunnel_list name;
#define RECORD_CTYPE_FLAGS(name) uint8_t name;
#define RECORD_CTYPE_ATTRIBUTES(name) struct attribute_list name;

#define RECORD_MEMBER(kind, name, unit, meaning) RECORD_CTYPE_##kind(name)
#define RECORD_FLOW_ENUM(kind, name, unit, meaning) FLOW_##name,
#define RECORD_REQUEST_ENUM(kind, name, unit, meaning) REQUEST_##name,

enum flow_field { FLOW_FIELDS(RECORD_FLOW_ENUM) FLOW_FIELD_COUNT };
enum request_field { REQUEST_FIELDS(RECORD_REQUEST_ENUM) REQUEST_FIELD_COUNT };

_Static_assert(FLOW_FIELD_COUNT <= 128 && REQUEST_FIELD_COUNT <= 64, "presence bits");

struct flow_record {
	uint64_t present[2]; /* bit FLOW_… */
	FLOW_FIELDS(RECORD_MEMBER)
};

struct request_record {
	uint64_t present; /* bit REQUEST_… */
	REQUEST_FIELDS(RECORD_MEMBER)
};

#define flow_record_has(r, field) (((r)->present[FLOW_##field / 64] >> (FLOW_##field % 64)) & 1)
#define flow_record_mark(r, field) ((r)->present[FLOW_##field / 64] |= UINT64_C(1) << (FLOW_##field % 64))
#define flow_record_set(r, field, value) ((r)->field = (value), flow_record_mark(r, field))
#define request_record_has(r, field) (((r)->present >> REQUEST_##field) & 1)
#define request_record_mark(r, field) ((r)->present |= UINT64_C(1) << REQUEST_##field)
#define request_record_set(r, field_, value) ((r)->field_ = (value), request_record_mark(r, field_))

enum record_kind { RECORD_FLOW, RECORD_REQUEST, RECORD_KINDS };

enum field_kind {
	FIELD_U64,
	FIELD_I64,
	FIELD_NS,
	FIELD_TIME,
	FIELD_ID,
	FIELD_BOOL,
	FIELD_NAME,
	FIELD_TEXT,
	FIELD_IP,
	FIELD_MAC,
	FIELD_VLANS,
	FIELD_TUNNELS,
	FIELD_FLAGS,
	FIELD_ATTRIBUTES,
};

/* The tables as data, in the order of the enums. */
struct field {
	const char *name;
	enum field_kind kind;
	size_t offset;
	const char *unit, *meaning;
};
extern const struct field flow_fields[FLOW_FIELD_COUNT];
extern const struct field request_fields[REQUEST_FIELD_COUNT];

#endif
