/* table.h - what the two halves of the table sink share: rows of requests, and the summary. */
#ifndef TS_EXPORT_TABLE_H
#define TS_EXPORT_TABLE_H

#include "export.h"
#include "line.h"
#include "output.h"
#include "quantile.h"
#include "top.h"

/* What encode hands to write: the fields that the table shows, as they lie in memory. */
struct flow_note {
	struct ip_address client_ip, server_ip;
	uint16_t client_port, server_port;
	bool has_addresses, has_ports, is_new, is_last;
	const char *protocol, *l7_protocol, *close_type; /* NULL: absent */
	uint64_t byte_tx, byte_rx, packets, tcp_packets, retransmissions, out_of_order, zero_windows, gap_bytes;
};

enum note_text { NOTE_TYPE, NOTE_DOMAIN, NOTE_RESOURCE, NOTE_EXCEPTION, NOTE_TEXTS };

struct request_note {
	struct ip_address client_ip, server_ip;
	uint16_t client_port, server_port;
	bool has_addresses, has_start, has_duration, has_code;
	int64_t start_ns, duration_ns, code;
	const char *l7_protocol, *type, *status; /* NULL: absent */
	uint16_t text_len[NOTE_TEXTS];           /* the texts follow, in the order of the enum */
};

/* Sums by a name; the last slot takes what finds no other. */
#define TALLIES 32
struct tally {
	const char *name;
	uint64_t count;
};

#define PROTOCOLS 32
struct protocol_sums {
	const char *name;
	uint64_t count, client_errors, server_errors, timeouts, unanswered, requests_unseen;
	struct quantile duration;
};

#define ROWS_HELD 512 /* rows that wait until the widths of the columns are known */
#define ROWS_HELD_BYTES (512 << 10)

struct table_sink {
	struct sink sink;
	struct export_table_options options;
	struct output output;
	struct line line;

	/* rows */
	char *held;
	size_t held_len;
	unsigned held_count;
	bool widths_known;
	unsigned client_width, server_width, protocol_width, request_width, status_width;
	int64_t day; /* of the last row, since 1970 */
	unsigned rows_unflushed;

	/* sums */
	struct tally protocols[TALLIES], closes[TALLIES];
	uint64_t flows, flow_records, bytes, packets, tcp_packets, retransmissions, out_of_order, zero_windows,
	    gap_bytes;
	uint64_t requests;
	struct protocol_sums *request_protocols; /* PROTOCOLS of them */
	struct top hosts, conversations;
};

/* The status column: its words and how they look. */
const char *request_note_status(const struct request_note *n, char out[QUANTITY_MAX], enum line_style *ret_style);
/* "192.0.2.1:80", "[2001:db8::1]:80", or without port. Returns the length; out has room for 64. */
size_t endpoint_print(const struct ip_address *ip, bool has_port, uint16_t port, char *out);
/* Writes the line that was built and starts the next. */
void table_end_line(struct table_sink *t);
/* Prints rows that still wait. */
void table_release_rows(struct table_sink *t);

void table_sum_flow(struct table_sink *t, const struct flow_note *n);
void table_sum_request(struct table_sink *t, const struct request_note *n);

#endif
