/* ndjson.h - a record as one line of JSON (RFC 8259), from the field tables.
 *
 * The first key is "record": "flow" or "request"; the others are those that the record has, in the order of the tables.
 *   U64, I64, NS    a number                     ID       "16 hex digits"
 *   TIME            "2024-02-29T23:59:59.000000001Z" (RFC 3339, UTC, always nine digits)
 *   BOOL            true or false                NAME, TEXT  a string; a TEXT with at == NULL is left out
 *   IP              a string, IPv6 as RFC 5952 has it      MAC  "aa:bb:cc:dd:ee:ff"
 *   FLAGS           a string of the letters of the flags that are set, in the order FSRPAUEC; "" where none is
 *   VLANS           [10,20], outermost first
 *   TUNNELS         [{"type":"VXLAN","id":7,"source":"…","target":"…"}], outermost first; "id" only where the type has
 * one ATTRIBUTES      {"http.websocket":1}; a number that is no plain integer of up to 18 digits is printed as a string
 *
 * In strings, quotes, backslashes and control characters are escaped, and each byte that is no part of well-formed
 * UTF-8 becomes U+FFFD. Pure: no clock, no allocation, no locale; any thread (each remembers the text of
 * a few seconds). */
#ifndef TS_RECORD_NDJSON_H
#define TS_RECORD_NDJSON_H

#include "record.h"

/* What a line can take beside its texts and attributes: less room than this is never enough, and this much more than
 * the texts take as printed always is. */
#define NDJSON_ROOM_MIN 8192

/* Writes the line with its newline (no NUL); returns its length, or -ENOBUFS where `room` is too small, with nothing
 * promised about what is at `out` then. A flow record whose community_id is marked but has at == NULL gets it computed
 * here; it is left out for protocols that community_id_number() does not know. */
int ndjson_flow(const struct flow_record *r, char *out, size_t room);
int ndjson_request(const struct request_record *r, char *out, size_t room);

/* The text forms alone, for who prints them elsewhere; none writes a NUL. Each returns its length. */
#define IP_TEXT_MAX 45
#define TIME_TEXT_LEN 30
size_t ip_print(const struct ip_address *ip, char ret_text[IP_TEXT_MAX]);
size_t time_print(int64_t time_ns, char ret_text[TIME_TEXT_LEN]);

/* Community ID v1 (Corelight's specification, seed 0) of addresses, ports and IP protocol number, source and target in
 * any order: "1:" and 28 characters of base64, no NUL. Ports count for TCP, UDP and SCTP only. Not for ICMP, where the
 * specification wants type and code. */
#define COMMUNITY_ID_LEN 30
void community_id_v1(const struct ip_address *source, uint16_t source_port, const struct ip_address *target,
		     uint16_t target_port, uint8_t protocol, char ret_id[COMMUNITY_ID_LEN]);
/* The IP protocol number for it of a record's `protocol`; -1 for one that is not known, or ICMP. */
int community_id_number(struct text protocol);

#endif
