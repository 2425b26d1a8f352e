/* Prometheus' text format 0.0.4 and OpenMetrics 1.0, which differ in how a counter's type line is named and in the last
 * line. */
#include "api.h"
#include "ndjson.h"
#include "red.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct page {
	FILE *out;
	bool openmetrics;
};

static void counter(const struct page *p, const char *name, const char *help)
{
	const char *total = p->openmetrics ? "" : "_total";
	fprintf(p->out, "# HELP tapscope_%s%s %s\n# TYPE tapscope_%s%s counter\n", name, total, help, name, total);
}

static void gauge(const struct page *p, const char *name, const char *help)
{
	fprintf(p->out, "# HELP tapscope_%s %s\n# TYPE tapscope_%s gauge\n", name, help, name);
}

/* A label's value: backslash, quote and newline are escaped. */
static void label(const struct page *p, const char *name, const char *value)
{
	fprintf(p->out, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fprintf(p->out, "\\%c", *value);
		else if (*value == '\n')
			fputs("\\n", p->out);
		else
			fputc(*value, p->out);
	}
	fputc('"', p->out);
}

static void write_ledger(const struct page *p, const struct api_state *s)
{
	counter(p, "ledger_frames", "Frames that the sources saw, by what became of them; exclusive and complete.");
	for (unsigned i = 0; i < s->ledger.count; i++) {
		fputs("tapscope_ledger_frames_total{", p->out);
		label(p, "term", s->ledger.term[i].name);
		fprintf(p->out, "} %" PRIu64 "\n", s->ledger.term[i].frames);
	}
	counter(p, "frames_seen", "Frames that the sources saw, counted independently of the ledger's terms.");
	fprintf(p->out, "tapscope_frames_seen_total %" PRIu64 "\n", s->ledger.frames);
	gauge(p, "ledger_remainder",
	      "Frames seen minus all terms: what is in the sources' rings just now; 0 when all is drained.");
	fprintf(p->out, "tapscope_ledger_remainder %" PRId64 "\n", s->ledger.remainder);
	counter(p, "limit", "How often a limit of tapscope bit, by limit.");
	for (unsigned i = 0; i < s->ledger.limit_count; i++) {
		fputs("tapscope_limit_total{", p->out);
		label(p, "limit", s->ledger.limit[i].name);
		fprintf(p->out, "} %" PRIu64 "\n", s->ledger.limit[i].times);
	}
}

static void source_value(const struct page *p, const struct live_source_counters *s, const char *metric,
			 const char *what, uint64_t value)
{
	fprintf(p->out, "tapscope_%s_total{", metric);
	label(p, "source", s->name);
	fprintf(p->out, ",kind=\"%s\",what=\"%s\"} %" PRIu64 "\n", source_kind_names[s->kind], what, value);
}

/* A NIC that went and came back has one series: its counts are added up. */
static void write_sources(const struct page *p, struct api_state *s)
{
	unsigned count = 0;
	for (unsigned i = 0; i < s->source_count; i++) {
		unsigned at = 0;
		struct live_source_counters *from = &s->sources[i];
		while (at < count && (strcmp(s->sources[at].name, from->name) || s->sources[at].kind != from->kind))
			at++;
		if (at == count) {
			s->sources[count++] = *from;
			continue;
		}
		uint64_t *to = (uint64_t *)&s->sources[at].source;
		const uint64_t *more = (const uint64_t *)&from->source;
		for (unsigned k = 0; k < sizeof from->source / sizeof *to; k++)
			to[k] += more[k];
		s->sources[at].attached |= from->attached;
	}
	counter(p, "source_frames", "Frames of a source, by what became of them there.");
	for (unsigned i = 0; i < count; i++) {
		const struct source_counters *c = &s->sources[i].source;
		source_value(p, &s->sources[i], "source_frames", "seen", c->seen);
		source_value(p, &s->sources[i], "source_frames", "unwanted", c->unwanted);
		source_value(p, &s->sources[i], "source_frames", "filtered", c->filtered);
		source_value(p, &s->sources[i], "source_frames", "kernel_dropped", c->kernel_dropped);
		source_value(p, &s->sources[i], "source_frames", "ring_dropped", c->ring_dropped);
		source_value(p, &s->sources[i], "source_frames", "received", c->received);
	}
	counter(p, "nic_frames", "The NIC's own counters, where it has any.");
	for (unsigned i = 0; i < count; i++) {
		source_value(p, &s->sources[i], "nic_frames", "packets", s->sources[i].source.nic_packets);
		source_value(p, &s->sources[i], "nic_frames", "dropped", s->sources[i].source.nic_dropped);
	}
	gauge(p, "source_attached", "1: the source is being captured.");
	for (unsigned i = 0; i < count; i++) {
		fputs("tapscope_source_attached{", p->out);
		label(p, "source", s->sources[i].name);
		fprintf(p->out, ",kind=\"%s\"} %d\n", source_kind_names[s->sources[i].kind], s->sources[i].attached);
	}
}

static void write_workers(const struct page *p, const struct live_counters *c)
{
	counter(p, "worker_busy_seconds", "CPU time of a worker's thread.");
	for (unsigned i = 0; i < c->engine.workers; i++)
		fprintf(p->out, "tapscope_worker_busy_seconds_total{worker=\"%u\"} %.6f\n", i,
			(double)c->worker[i].busy_ns / 1e9);
	counter(p, "worker_packets", "Packets of flows that a worker owns.");
	for (unsigned i = 0; i < c->engine.workers; i++)
		fprintf(p->out, "tapscope_worker_packets_total{worker=\"%u\"} %" PRIu64 "\n", i, c->worker[i].packets);
	counter(p, "worker_handed", "Frames that a worker gave to another.");
	for (unsigned i = 0; i < c->engine.workers; i++)
		fprintf(p->out, "tapscope_worker_handed_total{worker=\"%u\"} %" PRIu64 "\n", i, c->worker[i].handed);
	gauge(p, "worker_lag_seconds", "How far a worker was behind the clock at its last tick.");
	for (unsigned i = 0; i < c->engine.workers; i++)
		fprintf(p->out, "tapscope_worker_lag_seconds{worker=\"%u\"} %.6f\n", i,
			(double)c->worker[i].lag_ns / 1e9);
}

static void write_records(const struct page *p, const struct live_counters *c)
{
	static const char *const kinds[RECORD_KINDS] = {[RECORD_FLOW] = "flow", [RECORD_REQUEST] = "request"};
	counter(p, "records", "Records made.");
	for (unsigned i = 0; i < RECORD_KINDS; i++)
		fprintf(p->out, "tapscope_records_total{record=\"%s\"} %" PRIu64 "\n", kinds[i], c->engine.records[i]);
	counter(p, "records_written", "Records handed to the first output.");
	for (unsigned i = 0; i < RECORD_KINDS; i++)
		fprintf(p->out, "tapscope_records_written_total{record=\"%s\"} %" PRIu64 "\n", kinds[i],
			c->records_written[i]);
	counter(p, "records_lost", "Records that no output took, by reason.");
	for (unsigned i = 0; i < RECORD_KINDS; i++)
		fprintf(p->out, "tapscope_records_lost_total{record=\"%s\",reason=\"output_slow\"} %" PRIu64 "\n",
			kinds[i], c->records_lost[i]);
	fprintf(p->out, "tapscope_records_lost_total{record=\"any\",reason=\"output_failed\"} %" PRIu64 "\n",
		c->records_unwritten);
}

static void write_state(const struct page *p, const struct live_counters *c)
{
	gauge(p, "flows", "Flows in the table.");
	fprintf(p->out, "tapscope_flows %" PRIu64 "\n", c->engine.flowtab.live);
	counter(p, "flows_created", "Flows begun.");
	fprintf(p->out, "tapscope_flows_created_total %" PRIu64 "\n", c->engine.flowtab.flows);
	counter(p, "flows_evicted", "Flows that left early for want of room.");
	fprintf(p->out, "tapscope_flows_evicted_total %" PRIu64 "\n", c->engine.flowtab.flows_evicted);
	gauge(p, "memory_bytes", "Memory touched by flow tables and sessions.");
	fprintf(p->out, "tapscope_memory_bytes %" PRIu64 "\n", c->engine.memory_touched);
	gauge(p, "in_flight_frames", "Frames that wait for their turn or are between workers.");
	fprintf(p->out, "tapscope_in_flight_frames %" PRIu64 "\n", c->in_flight);
	counter(p, "reordered_frames", "Frames that came later than the merge window.");
	fprintf(p->out, "tapscope_reordered_frames_total %" PRIu64 "\n", c->reordered);
	counter(p, "clock_steps", "Steps of the realtime clock.");
	fprintf(p->out, "tapscope_clock_steps_total %" PRIu64 "\n", c->clock_steps);
	gauge(p, "shed_level",
	      "Load is shed: 0 no; 1 long texts and compressed contents; 2 requests; 3 and more new flows.");
	fprintf(p->out, "tapscope_shed_level %u\n", c->shed);
	counter(p, "shed_entered", "How often a level of shedding was entered from the one below.");
	for (unsigned i = 1; i < SHED_LEVELS; i++)
		fprintf(p->out, "tapscope_shed_entered_total{level=\"%u\"} %" PRIu64 "\n", i, c->shed_entered[i]);
	counter(p, "bytes", "Bytes on the wire of the frames taken.");
	fprintf(p->out, "tapscope_bytes_total %" PRIu64 "\n", c->engine.bytes);
}

/* server="address:port",protocol="…" */
static void server_labels(const struct page *p, const struct red_series *r)
{
	char address[IP_TEXT_MAX];
	if (!r->server_ip.version) {
		fputs("server=\"_other_\",", p->out);
	} else {
		size_t n = ip_print(&r->server_ip, address);
		bool six = r->server_ip.version == 6;
		fprintf(p->out, "server=\"%s%.*s%s:%u\",", six ? "[" : "", (int)n, address, six ? "]" : "",
			r->server_port);
	}
	label(p, "protocol", r->protocol);
}

static void write_requests(const struct page *p, struct sink *red)
{
	enum { MAX = RED_SERIES + 64 };
	struct red_series *series = malloc(MAX * sizeof *series);
	if (!series)
		return;
	unsigned n = red_read(red, series, MAX);
	counter(p, "requests", "Requests, by server, protocol and status.");
	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < RED_STATUSES; k++) {
			if (!series[i].requests[k])
				continue;
			fputs("tapscope_requests_total{", p->out);
			server_labels(p, &series[i]);
			fprintf(p->out, ",status=\"%s\"} %" PRIu64 "\n", red_status_names[k], series[i].requests[k]);
		}
	}
	fputs("# HELP tapscope_request_duration_seconds Request's first byte to response's last, of requests that "
	      "were answered.\n# TYPE tapscope_request_duration_seconds histogram\n",
	      p->out);
	for (unsigned i = 0; i < n; i++) {
		uint64_t sum = 0;
		for (unsigned b = 0; b <= RED_BUCKETS; b++) {
			sum += series[i].buckets[b];
			fputs("tapscope_request_duration_seconds_bucket{", p->out);
			server_labels(p, &series[i]);
			if (b < RED_BUCKETS)
				fprintf(p->out, ",le=\"%g\"} %" PRIu64 "\n", (double)red_bounds_ns[b] / 1e9, sum);
			else
				fprintf(p->out, ",le=\"+Inf\"} %" PRIu64 "\n", sum);
		}
		fputs("tapscope_request_duration_seconds_sum{", p->out);
		server_labels(p, &series[i]);
		fprintf(p->out, "} %.9f\ntapscope_request_duration_seconds_count{", (double)series[i].sum_ns / 1e9);
		server_labels(p, &series[i]);
		fprintf(p->out, "} %" PRIu64 "\n", series[i].sessions);
	}
	free(series);
}

char *api_metrics(const struct api_state *state, bool openmetrics, size_t *ret_len)
{
	char *text = NULL;
	struct page p = {.out = open_memstream(&text, ret_len), .openmetrics = openmetrics};
	struct api_state *s = malloc(sizeof *s);
	if (!p.out || !s) {
		if (p.out)
			fclose(p.out);
		free(text);
		free(s);
		return NULL;
	}
	*s = *state;
	fprintf(p.out,
		"# HELP tapscope_build_info The program.\n# TYPE tapscope_build_info gauge\n"
		"tapscope_build_info{version=\"%s\"} 1\n",
		s->version);
	write_ledger(&p, s);
	write_sources(&p, s);
	write_workers(&p, &s->counters);
	write_records(&p, &s->counters);
	write_state(&p, &s->counters);
	if (s->red)
		write_requests(&p, s->red);
	if (openmetrics)
		fputs("# EOF\n", p.out);
	free(s);
	if (fclose(p.out)) {
		free(text);
		return NULL;
	}
	return text;
}
