/* What became of every frame of a live capture, as JSON: for tests, and for whoever asks afterwards. */
#include "live_run.h"
#include "usage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static void print_records(FILE *f, const char *name, const uint64_t n[RECORD_KINDS])
{
	fprintf(f, ",\n \"%s\": {\"flow\": %" PRIu64 ", \"request\": %" PRIu64 "}", name, n[RECORD_FLOW],
		n[RECORD_REQUEST]);
}

static void print_source(FILE *f, const struct source_counters *s)
{
	fprintf(f,
		"\"seen\": %" PRIu64 ", \"unwanted\": %" PRIu64 ", \"filtered\": %" PRIu64
		", \"kernel_dropped\": %" PRIu64 ", \"ring_dropped\": %" PRIu64 ", \"received\": %" PRIu64
		", \"bytes\": %" PRIu64 ", \"nic_packets\": %" PRIu64 ", \"nic_dropped\": %" PRIu64,
		s->seen, s->unwanted, s->filtered, s->kernel_dropped, s->ring_dropped, s->received, s->bytes,
		s->nic_packets, s->nic_dropped);
}

int ledger_write(const char *path, struct live *l, const struct live_counters *c, const struct export_ledger *ledger)
{
	static struct live_source_counters sources[LIVE_SOURCES];
	FILE *f = fopen(path, "w");
	if (!f) {
		fprintf(stderr, "tapscope: cannot write %s: %s\n", path, strerror(errno));
		return EXIT_INPUT;
	}
	fprintf(f, "{\"frames\": %" PRIu64 ", \"remainder\": %" PRId64 ",\n \"terms\": {", ledger->frames,
		ledger->remainder);
	for (unsigned i = 0; i < ledger->count; i++)
		fprintf(f, "%s\"%s\": %" PRIu64, i ? ", " : "", ledger->term[i].name, ledger->term[i].frames);
	fprintf(f, "},\n \"reordered\": %" PRIu64 ", \"clock_steps\": %" PRIu64, c->reordered, c->clock_steps);
	print_records(f, "records", c->engine.records);
	print_records(f, "records_lost", c->records_lost);
	print_records(f, "records_written", c->records_written);
	fprintf(f, ",\n \"records_unwritten\": %" PRIu64, c->records_unwritten);
	fprintf(f, ",\n \"limits\": {");
	for (unsigned i = 0; i < ledger->limit_count; i++)
		fprintf(f, "%s\"%s\": %" PRIu64, i ? ", " : "", ledger->limit[i].name, ledger->limit[i].times);
	fprintf(f, "},\n \"workers\": [");
	for (unsigned i = 0; i < c->engine.workers; i++)
		fprintf(f, "%s{\"packets\": %" PRIu64 ", \"handed\": %" PRIu64 ", \"busy_ns\": %" PRIu64 "}",
			i ? ", " : "", c->worker[i].packets, c->worker[i].handed, c->worker[i].busy_ns);
	fprintf(f, "],\n \"sources\": [");
	unsigned n = live_sources(l, sources, LIVE_SOURCES);
	for (unsigned i = 0; i < n; i++) {
		fprintf(f, "%s\n  {\"name\": \"%s\", \"kind\": \"%s\", \"taken\": %" PRIu64 ", ", i ? "," : "",
			sources[i].name, source_kind_names[sources[i].kind], sources[i].taken);
		print_source(f, &sources[i].source);
		fputc('}', f);
	}
	fprintf(f, "]}\n");
	if (fclose(f)) {
		fprintf(stderr, "tapscope: cannot write %s: %s\n", path, strerror(errno));
		return EXIT_INPUT;
	}
	return 0;
}
