#include "table.h"

#include "ndjson.h"

#include <stdio.h>

#define TOP_SHOWN 10

static void tally_add(struct tally *tallies, const char *name, uint64_t n)
{
	unsigned i = 0;
	while (i < TALLIES - 1 && tallies[i].name && strcmp(tallies[i].name, name))
		i++;
	if (!tallies[i].name)
		tallies[i].name = i < TALLIES - 1 ? name : "others";
	tallies[i].count += n;
}

void table_sum_flow(struct table_sink *t, const struct flow_note *n)
{
	const char *protocol = n->protocol ? n->protocol : "unknown";
	t->flow_records++;
	if (n->is_new) {
		t->flows++;
		tally_add(t->protocols, protocol, 1);
	}
	if (n->is_last)
		tally_add(t->closes, n->close_type ? n->close_type : "unknown", 1);
	t->bytes += n->byte_tx + n->byte_rx;
	t->packets += n->packets;
	t->tcp_packets += n->tcp_packets;
	t->retransmissions += n->retransmissions;
	t->out_of_order += n->out_of_order;
	t->zero_windows += n->zero_windows;
	t->gap_bytes += n->gap_bytes;
	if (!n->has_addresses)
		return;

	uint8_t key[TOP_KEY_BYTES];
	struct top_sums sums = {n->byte_tx, n->byte_rx, n->packets, n->is_new, n->retransmissions};
	const char *labels[2] = {protocol, n->l7_protocol};
	/* a conversation: both addresses, the server's port, the protocol's name */
	memset(key, 0, sizeof key);
	memcpy(key, n->client_ip.at, n->client_ip.version == 4 ? 4 : 16);
	memcpy(key + 16, n->server_ip.at, n->server_ip.version == 4 ? 4 : 16);
	key[32] = n->client_ip.version;
	key[33] = n->has_ports;
	memcpy(key + 34, &n->server_port, 2);
	memcpy(key + 36, protocol, strnlen(protocol, 4));
	top_add(&t->conversations, key, labels, &sums);

	/* a host: its address; tx is what it sent */
	memset(key + 16, 0, 16);
	memset(key + 33, 0, sizeof key - 33);
	labels[1] = NULL;
	top_add(&t->hosts, key, labels, &sums);
	memset(key, 0, 16);
	memcpy(key, n->server_ip.at, n->server_ip.version == 4 ? 4 : 16);
	sums.tx = n->byte_rx;
	sums.rx = n->byte_tx;
	top_add(&t->hosts, key, labels, &sums);
}

void table_sum_request(struct table_sink *t, const struct request_note *n)
{
	const char *name = n->l7_protocol ? n->l7_protocol : "unknown", *status = n->status ? n->status : "";
	unsigned i = 0;
	while (i < PROTOCOLS - 1 && t->request_protocols[i].name && strcmp(t->request_protocols[i].name, name))
		i++;
	struct protocol_sums *p = &t->request_protocols[i];
	if (!p->name)
		p->name = i < PROTOCOLS - 1 ? name : "others";
	t->requests++;
	p->count++;
	if (!strcmp(status, "client_error"))
		p->client_errors++;
	else if (!strcmp(status, "server_error"))
		p->server_errors++;
	else if (!strcmp(status, "timeout"))
		p->timeouts++;
	if (n->type && !strcmp(n->type, "request"))
		p->unanswered++;
	else if (n->type && !strcmp(n->type, "response"))
		p->requests_unseen++;
	if (n->has_duration)
		quantile_add(&p->duration, n->duration_ns);
}

static void heading(struct table_sink *t, const char *title)
{
	table_end_line(t);
	line_printf(&t->line, STYLE_HEAD, 0, ALIGN_NONE, "%s", title);
	table_end_line(t);
}

static void sort_tallies(struct tally *tallies)
{
	for (unsigned i = 1; i < TALLIES; i++)
		for (unsigned k = i; k && tallies[k].count > tallies[k - 1].count; k--) {
			struct tally swap = tallies[k];
			tallies[k] = tallies[k - 1];
			tallies[k - 1] = swap;
		}
}

/* "  label   12 TCP, 3 UDP", wrapped at the edge of the terminal. */
static void print_tallies(struct table_sink *t, const char *label, struct tally *tallies)
{
	struct line *l = &t->line;
	char count[QUANTITY_MAX];
	sort_tallies(tallies);
	line_printf(l, STYLE_FAINT, 12, ALIGN_LEFT, "  %s", label);
	for (unsigned i = 0; i < TALLIES && tallies[i].count; i++) {
		print_count(count, tallies[i].count);
		unsigned width = (unsigned)(strlen(count) + 1 + strlen(tallies[i].name));
		if (i) {
			line_printf(l, STYLE_NONE, 0, ALIGN_NONE, ",");
			if (t->options.columns && l->column + 1 + width + 1 > t->options.columns) {
				table_end_line(t);
				line_to_column(l, 12);
			} else {
				line_printf(l, STYLE_NONE, 0, ALIGN_NONE, " ");
			}
		}
		line_printf(l, STYLE_NONE, 0, ALIGN_NONE, "%s %s", count, tallies[i].name);
	}
	table_end_line(t);
}

static void print_capture(struct table_sink *t, const struct export_ledger *g)
{
	struct line *l = &t->line;
	char first[TIME_TEXT_LEN], last[TIME_TEXT_LEN], text[3][QUANTITY_MAX];
	heading(t, "Summary");
	line_printf(l, STYLE_FAINT, 12, ALIGN_LEFT, "  capture");
	if (g->last_ns) {
		time_print(g->first_ns, first);
		time_print(g->last_ns, last);
		bool same_day = !memcmp(first, last, 10);
		line_printf(l, STYLE_NONE, 0, ALIGN_NONE, "%.10s %.12s to %s%.12s UTC (%s)", first, first + 11,
			    same_day ? ""
				     : (const char[]){last[0], last[1], last[2], last[3], last[4], last[5], last[6],
						      last[7], last[8], last[9], ' ', 0},
			    last + 11, print_duration_short(text[0], g->last_ns - g->first_ns, t->options.utf8));
	} else {
		line_printf(l, STYLE_NONE, 0, ALIGN_NONE, g->frames ? "no frame passed the filter" : "no frames");
	}
	table_end_line(t);
	line_printf(l, STYLE_FAINT, 12, ALIGN_LEFT, "  frames");
	line_printf(l, STYLE_NONE, 0, ALIGN_NONE, "%s, %s", print_count(text[0], g->frames),
		    print_bytes_short(text[1], g->bytes));
	table_end_line(t);
	if (g->workers > 1) {
		line_printf(l, STYLE_FAINT, 12, ALIGN_LEFT, "  workers");
		line_printf(l, STYLE_NONE, 0, ALIGN_NONE, "%u, the busiest had %s of the packets", g->workers,
			    print_share(text[0], g->busiest, g->packets));
		table_end_line(t);
	}
	if (t->flow_records) {
		print_tallies(t, "flows", t->protocols);
		print_tallies(t, "ended by", t->closes);
	}
	if (t->tcp_packets) {
		line_printf(l, STYLE_FAINT, 12, ALIGN_LEFT, "  TCP");
		line_printf(l, STYLE_NONE, 0, ALIGN_NONE, "%s retransmitted (%s), %s out of order, %s zero windows",
			    print_count(text[0], t->retransmissions),
			    print_share(text[1], t->retransmissions, t->tcp_packets),
			    (const char *)print_count(text[2], t->out_of_order),
			    (const char *)print_count((char[QUANTITY_MAX]){0}, t->zero_windows));
		table_end_line(t);
		if (t->gap_bytes) {
			line_printf(l, STYLE_FAINT, 12, ALIGN_LEFT, "  missing");
			line_printf(l, STYLE_WARN, 0, ALIGN_NONE, "%s of TCP streams are not in the capture",
				    print_bytes_short(text[0], t->gap_bytes));
			table_end_line(t);
		}
	}
}

static void print_number(struct table_sink *t, enum line_style style, unsigned width, uint64_t n)
{
	char text[QUANTITY_MAX];
	line_printf(&t->line, n ? style : STYLE_FAINT, width, ALIGN_RIGHT, "%s", print_count(text, n));
}

static void print_requests(struct table_sink *t)
{
	struct line *l = &t->line;
	char text[QUANTITY_MAX];
	if (!t->requests)
		return;
	heading(t, "Requests by protocol");
	line_printf(l, STYLE_FAINT, 0, ALIGN_NONE, "  %-11s%8s%8s%8s%10s%8s%8s%8s%8s", "", "count", "cli err",
		    "srv err", "no reply", "errors", "p50", "p95", "p99");
	table_end_line(t);
	for (unsigned i = 0; i < PROTOCOLS && t->request_protocols[i].name; i++) {
		struct protocol_sums *p = &t->request_protocols[i];
		uint64_t errors = p->client_errors + p->server_errors + p->timeouts;
		line_printf(l, STYLE_NONE, 0, ALIGN_NONE, "  ");
		line_printf(l, STYLE_NAME, 11, ALIGN_LEFT, "%s", p->name);
		print_number(t, STYLE_NONE, 8, p->count);
		print_number(t, STYLE_WARN, 8, p->client_errors);
		print_number(t, STYLE_BAD, 8, p->server_errors);
		print_number(t, STYLE_WARN, 10, p->unanswered);
		line_printf(l, errors ? STYLE_NONE : STYLE_FAINT, 8, ALIGN_RIGHT, "%s",
			    print_share(text, errors, p->count));
		for (unsigned k = 0; k < 3; k++) {
			double percent = k == 0 ? 50 : k == 1 ? 95 : 99;
			line_printf(l, STYLE_NONE, 8, ALIGN_RIGHT, "%s",
				    p->duration.count ? print_duration_short(text, quantile_get(&p->duration, percent),
									     t->options.utf8)
						      : "");
		}
		table_end_line(t);
	}
}

static struct ip_address key_address(const struct top_entry *e, unsigned end)
{
	struct ip_address ip = {.version = e->key[32]};
	memcpy(ip.at, e->key + 16 * end, 16);
	return ip;
}

static unsigned endpoint_width(const struct top_entry *const *entries, unsigned n, bool server, unsigned most)
{
	unsigned width = 8;
	for (unsigned i = 0; i < n; i++) {
		char text[64];
		struct ip_address ip = key_address(entries[i], server);
		uint16_t port;
		memcpy(&port, entries[i]->key + 34, 2);
		unsigned len = (unsigned)endpoint_print(&ip, server && entries[i]->key[33], port, text);
		width = max_of(width, min_of(len, most));
	}
	return width;
}

static void print_endpoint(struct table_sink *t, const struct top_entry *e, bool server, unsigned width)
{
	char text[64];
	struct ip_address ip = key_address(e, server);
	uint16_t port;
	memcpy(&port, e->key + 34, 2);
	size_t len = endpoint_print(&ip, server && e->key[33], port, text);
	line_cell(&t->line, STYLE_NONE, (struct text){text, (uint32_t)len}, width, CUT_START, ALIGN_LEFT);
}

static void print_bytes(struct table_sink *t, unsigned width, uint64_t bytes)
{
	char text[QUANTITY_MAX];
	line_printf(&t->line, bytes ? STYLE_NONE : STYLE_FAINT, width, ALIGN_RIGHT, "%s",
		    print_bytes_short(text, bytes));
}

/* What the list leaves out: exact, also where entries had to be dropped. */
static struct top_sums remainder_of(const struct top *top, const struct top_entry *const *entries, unsigned n)
{
	struct top_sums rest = top->total;
	for (unsigned i = 0; i < n; i++) {
		rest.tx -= entries[i]->sums.tx;
		rest.rx -= entries[i]->sums.rx;
		rest.packets -= entries[i]->sums.packets;
		rest.flows -= entries[i]->sums.flows;
		rest.retransmissions -= entries[i]->sums.retransmissions;
	}
	return rest;
}

static void print_hosts(struct table_sink *t)
{
	struct line *l = &t->line;
	const struct top_entry *entries[TOP_SHOWN];
	char text[QUANTITY_MAX];
	unsigned n = top_list(&t->hosts, entries, TOP_SHOWN);
	if (!n)
		return;
	unsigned width = endpoint_width(entries, n, false, 39);
	heading(t, "Top talkers");
	line_printf(l, STYLE_FAINT, 0, ALIGN_NONE, "  %-*s%10s%10s%9s%10s", (int)width, "", "sent", "received", "share",
		    "flows");
	table_end_line(t);
	for (unsigned i = 0; i < n; i++) {
		const struct top_sums *s = &entries[i]->sums;
		line_printf(l, STYLE_NONE, 0, ALIGN_NONE, "  ");
		print_endpoint(t, entries[i], false, width);
		print_bytes(t, 10, s->tx);
		print_bytes(t, 10, s->rx);
		line_printf(l, STYLE_NONE, 9, ALIGN_RIGHT, "%s", print_share(text, s->tx + s->rx, t->bytes));
		print_number(t, STYLE_NONE, 10, s->flows);
		table_end_line(t);
	}
	if (t->hosts.count > n || t->hosts.dropped_keys) {
		struct top_sums rest = remainder_of(&t->hosts, entries, n);
		if (t->hosts.dropped_keys)
			line_printf(l, STYLE_FAINT, width + 2, ALIGN_LEFT, "  all others");
		else
			line_printf(l, STYLE_FAINT, width + 2, ALIGN_LEFT, "  %u others", t->hosts.count - n);
		print_bytes(t, 10, rest.tx);
		print_bytes(t, 10, rest.rx);
		table_end_line(t);
	}
}

static void print_conversations(struct table_sink *t)
{
	struct line *l = &t->line;
	const struct top_entry *entries[TOP_SHOWN];
	unsigned n = top_list(&t->conversations, entries, TOP_SHOWN);
	if (!n)
		return;
	unsigned columns = t->options.columns ? t->options.columns : 120, most = max_of((columns - 51) / 2, 12u);
	unsigned client = endpoint_width(entries, n, false, most), server = endpoint_width(entries, n, true, most);
	heading(t, "Top conversations");
	line_printf(l, STYLE_FAINT, 0, ALIGN_NONE, "  %-*s%-16s%8s%11s%9s", (int)(client + 3 + server + 2), "",
		    "protocol", "flows", "to server", "back");
	table_end_line(t);
	for (unsigned i = 0; i < n; i++) {
		const struct top_entry *e = entries[i];
		line_printf(l, STYLE_NONE, 0, ALIGN_NONE, "  ");
		print_endpoint(t, e, false, client);
		unsigned column = l->column;
		line_symbol(l, STYLE_FAINT, " → ", " > ");
		l->column = column + 3;
		print_endpoint(t, e, true, server);
		line_printf(l, STYLE_NONE, 0, ALIGN_NONE, "  ");
		line_printf(l, STYLE_NAME, 16, ALIGN_LEFT, "%s%s%s", e->label[0], e->label[1] ? " " : "",
			    e->label[1] ? e->label[1] : "");
		print_number(t, STYLE_NONE, 8, e->sums.flows);
		print_bytes(t, 11, e->sums.tx);
		print_bytes(t, 9, e->sums.rx);
		table_end_line(t);
	}
	if (t->conversations.count > n || t->conversations.dropped_keys) {
		struct top_sums rest = remainder_of(&t->conversations, entries, n);
		unsigned width = 2 + client + 3 + server + 2 + 16;
		if (t->conversations.dropped_keys)
			line_printf(l, STYLE_FAINT, width, ALIGN_LEFT, "  all others");
		else
			line_printf(l, STYLE_FAINT, width, ALIGN_LEFT, "  %u others", t->conversations.count - n);
		print_number(t, STYLE_NONE, 8, rest.flows);
		print_bytes(t, 11, rest.tx);
		print_bytes(t, 9, rest.rx);
		table_end_line(t);
	}
}

static void print_term(struct table_sink *t, enum line_style style, const char *name, uint64_t frames, uint64_t whole)
{
	char text[QUANTITY_MAX];
	line_printf(&t->line, style, 28, ALIGN_LEFT, "  %s", name);
	print_number(t, style, 14, frames);
	line_printf(&t->line, STYLE_FAINT, 9, ALIGN_RIGHT, "%s", print_share(text, frames, whole));
}

static void print_ledger(struct table_sink *t, const struct export_ledger *g)
{
	struct line *l = &t->line;
	heading(t, "Packet ledger");
	print_term(t, STYLE_NONE, "frames read", g->frames, 0);
	table_end_line(t);
	for (unsigned i = 0; i < g->count; i++) {
		if (!g->term[i].frames)
			continue;
		print_term(t, STYLE_NONE, g->term[i].name, g->term[i].frames, g->frames);
		table_end_line(t);
	}
	print_term(t, g->remainder ? STYLE_BAD : STYLE_NONE, "unaccounted for",
		   g->remainder < 0 ? (uint64_t)-g->remainder : (uint64_t)g->remainder, 0);
	if (g->remainder)
		line_printf(l, STYLE_BAD, 0, ALIGN_NONE, "  %s",
			    g->remainder > 0 ? "frames were lost silently" : "frames were counted twice");
	else
		line_printf(l, STYLE_GOOD, 0, ALIGN_NONE, "  every frame is accounted for");
	table_end_line(t);
}

static void print_limits(struct table_sink *t, const struct export_ledger *g)
{
	bool any = false;
	for (unsigned i = 0; i < g->limit_count; i++) {
		if (!g->limit[i].times)
			continue;
		if (!any)
			heading(t, "Limits and losses");
		any = true;
		line_printf(&t->line, STYLE_WARN, 36, ALIGN_LEFT, "  %s", g->limit[i].name);
		print_number(t, STYLE_WARN, 14, g->limit[i].times);
		table_end_line(t);
	}
}

int export_table_summary(struct sink *s, const struct export_ledger *ledger, struct error *e)
{
	struct table_sink *t = container_of(s, struct table_sink, sink);
	table_release_rows(t);
	print_capture(t, ledger);
	print_requests(t);
	print_conversations(t);
	print_hosts(t);
	print_limits(t, ledger);
	print_ledger(t, ledger);
	return output_flush(&t->output, e);
}
