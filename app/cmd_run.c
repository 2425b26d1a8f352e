/* run: records of live traffic. */
#include "commands.h"
#include "live.h"
#include "outputs.h"
#include "setup.h"
#include "usage.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static const char usage_text[] =
    "usage: tapscope run [options]\n"
    "\n"
    "Captures live and writes a record for each request and each flow.\n"
    "\n"
    "  -i, --interface NIC  capture here, and nowhere else; may be given several times\n"
    "  --source KIND        af_packet (the default), af_xdp, pcap or dpdk\n"
    "  -f, --filter BPF     only packets that match this filter, in libpcap's language\n"
    "  -s, --snaplen N      look at the first N bytes of each packet only\n"
    "  -c, --count N        stop after about N packets\n"
    "  --duration SECONDS   stop after this time\n"
    "\n"
    "  --format table|ndjson|none  what goes to standard output: a table (the default on a terminal),\n"
    "                       NDJSON (the default in a pipe or file), nothing (the default with --output)\n"
    "  --output DIR         write DIR/flow.ndjson and DIR/request.ndjson; DIR is made if need be\n"
    "  --summary            print the table's summary to standard error with the other formats too\n"
    "  --ledger FILE        in the end, write what became of every frame to FILE, as JSON\n"
    "\n"
    "  -C, --config FILE    settings, see 'tapscope config example'\n"
    "  -o, --set NAME=VALUE one setting, as in the file\n"
    "  --workers N          threads that own queues and flows\n"
    "  -h, --help           this text\n"
    "\n"
    "SIGINT and SIGTERM end it: all flows leave, within five seconds.\n"
    "Exit status: 0 done; 1 the configuration is wrong; 2 wrong usage; 3 a NIC cannot be captured, or\n"
    "an output not be written.\n";

enum {
	OPTION_SOURCE = 256,
	OPTION_DURATION_S,
	OPTION_FORMAT,
	OPTION_OUTPUT,
	OPTION_SUMMARY,
	OPTION_LEDGER,
	OPTION_WORKERS
};

static const struct usage_option usage_options[] = {
    {'i', "interface", true},
    {OPTION_SOURCE, "source", true},
    {'f', "filter", true},
    {'s', "snaplen", true},
    {'c', "count", true},
    {OPTION_DURATION_S, "duration", true},
    {OPTION_FORMAT, "format", true},
    {OPTION_OUTPUT, "output", true},
    {OPTION_SUMMARY, "summary", false},
    {OPTION_LEDGER, "ledger", true},
    {'C', "config", true},
    {'o', "set", true},
    {OPTION_WORKERS, "workers", true},
    {'h', "help", false},
    {0},
};

struct arguments {
	struct outputs_options outputs;
	bool help;
	const char **nics;
	unsigned nic_count;
	enum source_kind kind;
	const char *filter, *ledger;
	uint64_t snaplen, count, duration_s;
	struct setup_options setup;
	char workers[64];
};

static atomic_int stop;

static void on_signal(int number maybe_unused)
{
	atomic_store_explicit(&stop, 1, memory_order_relaxed);
}

static int parse_kind(struct arguments *a, const char *value)
{
	const char *names[SOURCE_KINDS + 1] = {NULL};
	for (unsigned i = 0; i < SOURCE_KINDS; i++) {
		names[i] = source_kind_names[i];
		if (!strcmp(value, names[i])) {
			a->kind = (enum source_kind)i;
			return 0;
		}
	}
	const char *nearest = usage_nearest(value, names);
	return usage_fault("run", nearest ? "no such source '%s'; did you mean '%s'?" : "no such source '%s'", value,
			   nearest);
}

static int parse_option(struct arguments *a, int code, const char *value)
{
	switch (code) {
	case USAGE_OPERAND:
		return usage_fault("run", "what is '%s'? A NIC is given with -i, a capture file to 'tapscope replay'",
				   value);
	case 'i':
		a->nics[a->nic_count++] = value;
		return 0;
	case OPTION_SOURCE:
		return parse_kind(a, value);
	case 'f':
		a->filter = value;
		return 0;
	case 's':
		return usage_number(value, 0, UINT32_MAX, &a->snaplen)
			   ? 0
			   : usage_fault("run", "'%s' is no number of bytes", value);
	case 'c':
		return usage_number(value, 1, UINT64_MAX, &a->count)
			   ? 0
			   : usage_fault("run", "'%s' is no number of packets", value);
	case OPTION_DURATION_S:
		return usage_number(value, 1, UINT32_MAX, &a->duration_s)
			   ? 0
			   : usage_fault("run", "'%s' is no number of seconds", value);
	case OPTION_FORMAT:
		a->outputs.format = outputs_format(value, "run");
		return a->outputs.format == FORMATS ? EXIT_USAGE : 0;
	case OPTION_OUTPUT:
		a->outputs.directory = value;
		return 0;
	case OPTION_SUMMARY:
		a->outputs.summary = true;
		return 0;
	case OPTION_LEDGER:
		a->ledger = value;
		return 0;
	case 'C':
		a->setup.config = value;
		return 0;
	case OPTION_WORKERS:
		snprintf(a->workers, sizeof a->workers, "workers=%s", value);
		return 0;
	case 'o':
		return setup_assign(&a->setup, value) ? 0 : usage_fault("run", "too many settings");
	default:
		a->help = true;
		return 0;
	}
}

/* 0, or an exit status. */
static int parse(struct arguments *a, int argc, char **argv)
{
	struct usage u = usage_start(argc, argv, usage_options);
	for (int code; (code = usage_next(&u)) != USAGE_END && !a->help;) {
		int r = code == USAGE_FAULT ? EXIT_USAGE : parse_option(a, code, u.value);
		if (r)
			return r;
	}
	if (!a->help && a->workers[0] && !setup_assign(&a->setup, a->workers))
		return usage_fault("run", "too many settings");
	return 0;
}

struct run {
	const struct arguments *arguments;
	const struct engine_settings *settings;
	uint64_t salt;
	struct live *live;
	unsigned attached;
};

static int attach(struct run *run, const char *nic, uint16_t id)
{
	struct error e;
	const struct source_ops *ops = source_find(run->arguments->kind, &e);
	struct source *source;
	struct source_options options = {
	    .nic = nic,
	    .netns = -1,
	    .queues = (unsigned)run->settings->workers,
	    .salt = run->salt,
	    .filter = run->arguments->filter,
	    .snaplen = (uint32_t)run->arguments->snaplen,
	    .promiscuous = true,
	    .ring_bytes = 32 << 20,
	    .block_ns = 10 * NS_PER_MS,
	};
	unsigned attached;
	if (!ops || ops->open(&source, &options, &e) < 0) {
		fprintf(stderr, "tapscope: %s\n", e.text);
		return -1;
	}
	struct live_input input = {.source = source, .name = nic, .tap = 0, .nic = id};
	if (live_attach(run->live, &input, &attached) < 0) {
		fprintf(stderr, "tapscope: %s: no memory\n", nic);
		ops->close(source);
		return -1;
	}
	run->attached++;
	return 0;
}

static void watch(struct run *run)
{
	struct timespec start, now;
	struct live_counters c;
	clock_gettime(CLOCK_MONOTONIC, &start);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		nanosleep(&(struct timespec){.tv_nsec = 50 * NS_PER_MS}, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (run->arguments->duration_s && (uint64_t)(now.tv_sec - start.tv_sec) >= run->arguments->duration_s)
			break;
		live_counters(run->live, &c);
		if (run->arguments->count && c.engine.ledger.frames >= run->arguments->count)
			break;
		for (int id; (id = live_gone(run->live)) >= 0;) {
			fprintf(stderr, "tapscope: a NIC is gone\n");
			live_detach(run->live, (unsigned)id);
			run->attached--;
		}
	}
}

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

/* 0 or an exit status. */
static int write_ledger(const char *path, struct live *l, const struct live_counters *c,
			const struct export_ledger *ledger)
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

static int capture(struct run *run)
{
	const struct arguments *a = run->arguments;
	struct outputs o;
	struct error e;
	struct live_counters counters;
	struct export_ledger ledger;
	bool reader_gone = false;
	int status = EXIT_DONE;

	int r = outputs_open(&o, &a->outputs, &e);
	if (r == 0)
		r = live_new(&run->live, run->settings, o.sink, o.count, run->salt, &e);
	if (r < 0) {
		fprintf(stderr, "tapscope: %s\n", e.text);
		outputs_close(&o);
		return EXIT_INPUT;
	}
	for (unsigned i = 0; i < a->nic_count && status == EXIT_DONE; i++)
		status = attach(run, a->nics[i], (uint16_t)i) < 0 ? EXIT_INPUT : EXIT_DONE;
	if (status == EXIT_DONE)
		watch(run);
	r = live_finish(run->live, 4 * NS_PER_S);
	live_counters(run->live, &counters);
	setup_live_ledger(&counters, &ledger);
	int failed = outputs_finish(&o, status == EXIT_DONE ? &ledger : NULL, &reader_gone);
	if (r < 0 && failed == 0 && !reader_gone && r != -EPIPE)
		fprintf(stderr, "tapscope: writing records failed: %s\n", strerror(-r));
	if ((r < 0 && r != -EPIPE) || failed < 0)
		status = EXIT_INPUT;
	if (a->ledger && status == EXIT_DONE)
		status = write_ledger(a->ledger, run->live, &counters, &ledger);
	live_free(run->live);
	outputs_close(&o);
	if (reader_gone)
		usage_die_of_pipe();
	return status;
}

int cmd_run(int argc, char **argv)
{
	struct arguments a = {.outputs = {.format = FORMATS, .stop = &stop}};
	struct setup setup;
	a.nics = calloc((size_t)argc, sizeof *a.nics);
	if (!a.nics) {
		fprintf(stderr, "tapscope: no memory\n");
		return EXIT_INPUT;
	}
	int status = parse(&a, argc, argv);
	if (status == 0 && a.help) {
		fputs(usage_text, stdout);
	} else if (status == 0 && (status = setup_load(&setup, &a.setup, "run")) == 0) {
		const struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
		sigaction(SIGINT, &action, NULL);
		sigaction(SIGTERM, &action, NULL);
		signal(SIGPIPE, SIG_IGN);
		struct run run = {.arguments = &a, .settings = &setup.settings};
		if (getrandom(&run.salt, sizeof run.salt, 0) != sizeof run.salt)
			run.salt = (uint64_t)time(NULL);
		status = capture(&run);
		setup_clear(&setup);
	}
	free(a.nics);
	return status;
}
