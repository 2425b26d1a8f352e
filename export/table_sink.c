#include "table.h"

#include "ndjson.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const uint16_t text_max[NOTE_TEXTS] = {
    [NOTE_TYPE] = 64,
    [NOTE_DOMAIN] = 256,
    [NOTE_RESOURCE] = 1024,
    [NOTE_EXCEPTION] = 256,
};

#define FLOW_NUMBER(r, name) (flow_record_has(r, name) ? (r)->name : 0)
#define FLOW_NAME(r, name) (flow_record_has(r, name) ? (r)->name.at : NULL)
#define REQUEST_NAME(r, name) (request_record_has(r, name) ? (r)->name.at : NULL)
#define REQUEST_TEXT(r, name) (request_record_has(r, name) && (r)->name.at ? (r)->name : (struct text){NULL, 0})

static int encode_flow(const struct sink *s maybe_unused, const struct flow_record *r, char *out, size_t room)
{
	struct flow_note n;
	memset(&n, 0, sizeof n);
	n.has_addresses = flow_record_has(r, client_ip) && flow_record_has(r, server_ip);
	if (n.has_addresses) {
		n.client_ip = r->client_ip;
		n.server_ip = r->server_ip;
	}
	n.has_ports = flow_record_has(r, client_port) && flow_record_has(r, server_port);
	n.client_port = (uint16_t)FLOW_NUMBER(r, client_port);
	n.server_port = (uint16_t)FLOW_NUMBER(r, server_port);
	n.is_new = FLOW_NUMBER(r, is_new_flow);
	n.protocol = FLOW_NAME(r, protocol);
	n.l7_protocol = FLOW_NAME(r, l7_protocol);
	n.close_type = FLOW_NAME(r, close_type);
	n.is_last = !n.close_type || strcmp(n.close_type, "forced_report");
	n.byte_tx = FLOW_NUMBER(r, byte_tx);
	n.byte_rx = FLOW_NUMBER(r, byte_rx);
	n.packets = FLOW_NUMBER(r, packet_tx) + FLOW_NUMBER(r, packet_rx);
	n.tcp_packets = n.protocol && !strcmp(n.protocol, "TCP") ? n.packets : 0;
	n.retransmissions = FLOW_NUMBER(r, retrans_tx) + FLOW_NUMBER(r, retrans_rx);
	n.out_of_order = FLOW_NUMBER(r, ooo_tx) + FLOW_NUMBER(r, ooo_rx);
	n.zero_windows = FLOW_NUMBER(r, zero_win_tx) + FLOW_NUMBER(r, zero_win_rx);
	n.gap_bytes = FLOW_NUMBER(r, gap_bytes_tx) + FLOW_NUMBER(r, gap_bytes_rx);
	if (room < sizeof n)
		return -ENOBUFS;
	memcpy(out, &n, sizeof n);
	return (int)sizeof n;
}

static int encode_request(const struct sink *s maybe_unused, const struct request_record *r, char *out, size_t room)
{
	struct request_note n;
	memset(&n, 0, sizeof n);
	n.has_addresses = request_record_has(r, client_ip) && request_record_has(r, server_ip);
	if (n.has_addresses) {
		n.client_ip = r->client_ip;
		n.server_ip = r->server_ip;
	}
	n.client_port = request_record_has(r, client_port) ? (uint16_t)r->client_port : 0;
	n.server_port = request_record_has(r, server_port) ? (uint16_t)r->server_port : 0;
	n.has_start = request_record_has(r, start_time);
	n.start_ns = n.has_start ? r->start_time : 0;
	n.has_duration = request_record_has(r, duration_ns);
	n.duration_ns = n.has_duration ? r->duration_ns : 0;
	n.has_code = request_record_has(r, response_code);
	n.code = n.has_code ? r->response_code : 0;
	n.l7_protocol = REQUEST_NAME(r, l7_protocol);
	n.type = REQUEST_NAME(r, type);
	n.status = REQUEST_NAME(r, response_status);
	const struct text texts[NOTE_TEXTS] = {
	    [NOTE_TYPE] = REQUEST_TEXT(r, request_type),
	    [NOTE_DOMAIN] = REQUEST_TEXT(r, request_domain),
	    [NOTE_RESOURCE] = REQUEST_TEXT(r, request_resource),
	    [NOTE_EXCEPTION] = REQUEST_TEXT(r, response_exception),
	};
	size_t len = sizeof n;
	for (unsigned i = 0; i < NOTE_TEXTS; i++)
		len += n.text_len[i] = (uint16_t)min_of(texts[i].len, (uint32_t)text_max[i]);
	if (room < len)
		return -ENOBUFS;
	memcpy(out, &n, sizeof n);
	out += sizeof n;
	for (unsigned i = 0; i < NOTE_TEXTS; i++) {
		if (n.text_len[i])
			memcpy(out, texts[i].at, n.text_len[i]);
		out += n.text_len[i];
	}
	return (int)len;
}

size_t endpoint_print(const struct ip_address *ip, bool has_port, uint16_t port, char *out)
{
	char *p = out;
	bool brackets = has_port && ip->version == 6;
	if (brackets)
		*p++ = '[';
	p += ip_print(ip, p);
	if (brackets)
		*p++ = ']';
	if (has_port)
		p += sprintf(p, ":%u", port);
	return (size_t)(p - out);
}

void table_end_line(struct table_sink *t)
{
	line_end(&t->line);
	output_put(&t->output, t->line.at, t->line.len);
	line_start(&t->line, t->options.colour, t->options.utf8);
}

const char *request_note_status(const struct request_note *n, char out[QUANTITY_MAX], enum line_style *ret_style)
{
	const char *status = n->status ? n->status : "unknown";
	*ret_style = STYLE_NONE;
	if (!strcmp(status, "ok"))
		*ret_style = STYLE_GOOD;
	else if (!strcmp(status, "client_error"))
		*ret_style = STYLE_WARN;
	else if (!strcmp(status, "server_error") || !strcmp(status, "timeout"))
		*ret_style = STYLE_BAD;
	if (n->has_code)
		snprintf(out, QUANTITY_MAX, "%lld", (long long)n->code);
	else if (!strcmp(status, "timeout"))
		snprintf(out, QUANTITY_MAX, "timeout");
	else if (n->type && !strcmp(n->type, "request"))
		snprintf(out, QUANTITY_MAX, "no reply");
	else if (!strcmp(status, "client_error") || !strcmp(status, "server_error"))
		snprintf(out, QUANTITY_MAX, "error");
	else
		snprintf(out, QUANTITY_MAX, "%s", !strcmp(status, "unknown") ? "" : status);
	return out;
}

/* Whether text `i` says again what stands before: a resource that begins with the command, or is the domain. */
static bool is_said(const struct request_note *n, unsigned i, const char *all)
{
	const char *type = all, *domain = type + n->text_len[NOTE_TYPE], *resource = domain + n->text_len[NOTE_DOMAIN];
	uint32_t len = n->text_len[NOTE_RESOURCE];
	if (i == NOTE_TYPE)
		return len > n->text_len[NOTE_TYPE] && n->text_len[NOTE_TYPE] && !n->text_len[NOTE_DOMAIN] &&
		       !memcmp(type, resource, n->text_len[NOTE_TYPE]) && resource[n->text_len[NOTE_TYPE]] == ' ';
	if (i == NOTE_DOMAIN)
		return len && len == n->text_len[NOTE_DOMAIN] && !memcmp(domain, resource, len);
	return i == NOTE_RESOURCE && len && len == n->text_len[NOTE_TYPE] && !memcmp(type, resource, len);
}

/* "GET example.org/index.html", "COM_QUERY shop SELECT …", and what went wrong. Returns its length. */
static size_t join_request(const struct request_note *n, const char *texts, char *out)
{
	const char *all = texts;
	char *p = out;
	if (n->type && !strcmp(n->type, "response") && !n->text_len[NOTE_TYPE] && !n->text_len[NOTE_RESOURCE])
		p += sprintf(p, "(request not seen)");
	for (unsigned i = 0; i < NOTE_TEXTS; i++) {
		if (n->text_len[i] && !is_said(n, i, all)) {
			bool joined = i == NOTE_RESOURCE && texts[0] == '/' && n->text_len[NOTE_DOMAIN];
			if (p != out && !joined)
				*p++ = ' ';
			if (i == NOTE_EXCEPTION)
				p += sprintf(p, "! ");
			memcpy(p, texts, n->text_len[i]);
			p += n->text_len[i];
		}
		texts += n->text_len[i];
	}
	return (size_t)(p - out);
}

/* Where the terminal is narrow, the request matters more than the client's port and fractions of a second. */
static bool is_narrow(const struct table_sink *t)
{
	return t->options.columns && t->options.columns < 100;
}

static unsigned time_width(const struct table_sink *t)
{
	if (is_narrow(t))
		return 8; /* seconds; else microseconds or milliseconds */
	return !t->options.columns || t->options.columns >= 120 ? 15 : 12;
}

static unsigned gap_width(const struct table_sink *t)
{
	return is_narrow(t) ? 1 : 2;
}

#define ARROW_WIDTH 3
#define DURATION_WIDTH 8
#define REQUEST_LEAST 10
#define JOINED_MAX 2048 /* the texts' maxima and what joins them */

/* The columns of the request; 0: it stands last and is as wide as it is. */
static unsigned request_width(const struct table_sink *t)
{
	if (!t->options.columns)
		return 0;
	unsigned others = time_width(t) + 1 + t->client_width + ARROW_WIDTH + t->server_width + gap_width(t) +
			  t->protocol_width + gap_width(t) + 1 + t->status_width + 1 + DURATION_WIDTH;
	unsigned room = t->options.columns > others + REQUEST_LEAST ? t->options.columns - others : REQUEST_LEAST;
	return min_of(room, t->request_width);
}

/* Makes the columns wide enough for this row, as far as the terminal allows. */
static void widen(struct table_sink *t, const struct request_note *n, const char *texts)
{
	char text[JOINED_MAX];
	enum line_style style;
	unsigned columns = t->options.columns ? t->options.columns : 1000;
	unsigned most = is_narrow(t) ? max_of(columns / 6, 10u) : columns / 5;
	if (n->has_addresses) {
		unsigned client = (unsigned)endpoint_print(&n->client_ip, !is_narrow(t), n->client_port, text);
		unsigned server = (unsigned)endpoint_print(&n->server_ip, true, n->server_port, text);
		t->client_width = max_of(t->client_width, min_of(client, most));
		t->server_width = max_of(t->server_width, min_of(server, most));
	}
	unsigned protocol = n->l7_protocol ? (unsigned)strlen(n->l7_protocol) : 0;
	t->protocol_width = max_of(t->protocol_width, min_of(protocol, is_narrow(t) ? 6u : 10u));
	unsigned status = (unsigned)strlen(request_note_status(n, text, &style));
	t->status_width = max_of(t->status_width, min_of(status, 10u));
	struct text request = {text, (uint32_t)join_request(n, texts, text)};
	t->request_width = max_of(t->request_width, text_columns(request, t->options.utf8));
}

static void print_header(struct table_sink *t)
{
	struct line *l = &t->line;
	unsigned width = request_width(t);
	line_printf(l, STYLE_HEAD, time_width(t) + 1, ALIGN_LEFT, is_narrow(t) ? "UTC" : "TIME (UTC)");
	line_printf(l, STYLE_HEAD, t->client_width + ARROW_WIDTH, ALIGN_LEFT, "CLIENT");
	line_printf(l, STYLE_HEAD, t->server_width + gap_width(t), ALIGN_LEFT, "SERVER");
	line_printf(l, STYLE_HEAD, t->protocol_width + gap_width(t), ALIGN_LEFT, is_narrow(t) ? "L7" : "PROTO");
	if (width)
		line_printf(l, STYLE_HEAD, width + 1, ALIGN_LEFT, "REQUEST");
	line_printf(l, STYLE_HEAD, t->status_width + 1, ALIGN_LEFT, is_narrow(t) ? "CODE" : "STATUS");
	line_printf(l, STYLE_HEAD, DURATION_WIDTH, ALIGN_RIGHT, is_narrow(t) ? "TIME" : "DURATION");
	if (!width)
		line_printf(l, STYLE_HEAD, 0, ALIGN_NONE, "  REQUEST");
	table_end_line(t);
}

static void print_status(struct table_sink *t, const struct request_note *n)
{
	enum line_style style;
	char text[QUANTITY_MAX];
	request_note_status(n, text, &style);
	line_printf(&t->line, style, t->status_width + 1, ALIGN_LEFT, "%s", text);
	line_printf(&t->line, STYLE_NONE, DURATION_WIDTH, ALIGN_RIGHT, "%s",
		    n->has_duration ? print_duration_short(text, n->duration_ns, t->options.utf8) : "");
}

static void print_time(struct table_sink *t, const struct request_note *n)
{
	char text[TIME_TEXT_LEN];
	if (n->has_start) {
		time_print(n->start_ns, text);
		int64_t day = n->start_ns / (86400 * NS_PER_S);
		if (day > t->day) {
			line_printf(&t->line, STYLE_FAINT, 0, ALIGN_NONE, "%.10s", text);
			table_end_line(t);
			t->day = day;
		}
		line_cell(&t->line, STYLE_FAINT, (struct text){text + 11, time_width(t)}, time_width(t), CUT_END,
			  ALIGN_LEFT);
	}
	line_to_column(&t->line, time_width(t) + 1);
}

static void print_row(struct table_sink *t, const struct request_note *n, const char *texts)
{
	struct line *l = &t->line;
	char text[JOINED_MAX];
	widen(t, n, texts);
	print_time(t, n);
	unsigned column = l->column;
	if (n->has_addresses) {
		size_t len = endpoint_print(&n->client_ip, !is_narrow(t), n->client_port, text);
		line_cell(l, STYLE_NONE, (struct text){text, (uint32_t)len}, t->client_width, CUT_START, ALIGN_LEFT);
		line_symbol(l, STYLE_FAINT, " → ", " > ");
		l->column = column + t->client_width + ARROW_WIDTH;
		len = endpoint_print(&n->server_ip, true, n->server_port, text);
		line_cell(l, STYLE_NONE, (struct text){text, (uint32_t)len}, t->server_width, CUT_START, ALIGN_LEFT);
	}
	line_to_column(l, column + t->client_width + ARROW_WIDTH + t->server_width + gap_width(t));
	line_printf(l, STYLE_NAME, t->protocol_width, ALIGN_LEFT, "%s", n->l7_protocol ? n->l7_protocol : "");
	line_to_column(l, l->column + gap_width(t));
	struct text request = {text, (uint32_t)join_request(n, texts, text)};
	unsigned width = request_width(t);
	if (width) {
		line_cell(l, STYLE_NONE, request, width, CUT_END, ALIGN_LEFT);
		line_printf(l, STYLE_NONE, 0, ALIGN_NONE, " ");
		print_status(t, n);
	} else {
		print_status(t, n);
		line_printf(l, STYLE_NONE, 0, ALIGN_NONE, "  ");
		line_cell(l, STYLE_NONE, request, 0, CUT_END, ALIGN_NONE);
	}
	table_end_line(t);
	if (++t->rows_unflushed >= 64) {
		t->rows_unflushed = 0;
		output_flush(&t->output, NULL);
	}
}

/* Goes through the rows that wait; they lie one behind the other, each after its length. */
static void each_held(struct table_sink *t,
		      void (*call)(struct table_sink *, const struct request_note *, const char *))
{
	for (size_t at = 0; at < t->held_len;) {
		uint32_t len;
		struct request_note n;
		memcpy(&len, t->held + at, sizeof len);
		memcpy(&n, t->held + at + sizeof len, sizeof n);
		call(t, &n, t->held + at + sizeof len + sizeof n);
		at += sizeof len + len;
	}
}

void table_release_rows(struct table_sink *t)
{
	if (t->widths_known || !t->held_count)
		return;
	t->client_width = 8;
	t->server_width = 8;
	t->protocol_width = is_narrow(t) ? 2 : 5;
	t->status_width = is_narrow(t) ? 4 : 6;
	t->request_width = REQUEST_LEAST;
	each_held(t, widen);
	t->widths_known = true;
	print_header(t);
	each_held(t, print_row);
	t->held_len = 0;
	t->held_count = 0;
}

static void add_row(struct table_sink *t, const struct request_note *n, const char *data, size_t len)
{
	uint32_t size = (uint32_t)len;
	if (!t->widths_known && (t->held_count == ROWS_HELD || t->held_len + sizeof size + len > ROWS_HELD_BYTES))
		table_release_rows(t);
	if (t->widths_known) {
		print_row(t, n, data + sizeof *n);
		return;
	}
	memcpy(t->held + t->held_len, &size, sizeof size);
	memcpy(t->held + t->held_len + sizeof size, data, len);
	t->held_len += sizeof size + len;
	t->held_count++;
}

static int sink_write(struct sink *s, enum record_kind kind, const char *data, size_t len)
{
	struct table_sink *t = container_of(s, struct table_sink, sink);
	if (kind == RECORD_FLOW) {
		struct flow_note n;
		memcpy(&n, data, sizeof n);
		table_sum_flow(t, &n);
	} else {
		struct request_note n;
		memcpy(&n, data, sizeof n);
		table_sum_request(t, &n);
		if (t->options.rows)
			add_row(t, &n, data, len);
	}
	return t->output.failed;
}

static int sink_flush(struct sink *s, struct error *e)
{
	struct table_sink *t = container_of(s, struct table_sink, sink);
	table_release_rows(t);
	return output_flush(&t->output, e);
}

static void sink_free(struct sink *s)
{
	struct table_sink *t = container_of(s, struct table_sink, sink);
	output_close(&t->output);
	top_fini(&t->hosts);
	top_fini(&t->conversations);
	free(t->request_protocols);
	free(t->held);
	free(t);
}

static const struct sink_ops ops = {
    .name = "table",
    .encode_flow = encode_flow,
    .encode_request = encode_request,
    .write = sink_write,
    .flush = sink_flush,
    .free = sink_free,
};

int export_table_new(struct sink **ret_sink, const struct export_table_options *options, struct error *e)
{
	struct table_sink *t = calloc(1, sizeof *t);
	if (!t)
		return error_set(e, -ENOMEM, "no memory for the table");
	t->sink.ops = &ops;
	t->options = *options;
	t->day = INT64_MIN;
	line_start(&t->line, options->colour, options->utf8);
	t->held = malloc(ROWS_HELD_BYTES);
	t->request_protocols = calloc(PROTOCOLS, sizeof *t->request_protocols);
	int r = t->held && t->request_protocols ? 0 : -ENOMEM;
	if (r == 0)
		r = top_init(&t->hosts);
	if (r == 0)
		r = top_init(&t->conversations);
	if (r == 0)
		r = output_open(&t->output, options->fd, false, "-", false, options->stop, e);
	if (r < 0) {
		sink_free(&t->sink);
		return error_set(e, r, "no memory for the table");
	}
	t->output.abandoned = &t->sink.abandoned;
	*ret_sink = &t->sink;
	return 0;
}
