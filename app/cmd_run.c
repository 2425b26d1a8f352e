/* run: records of live traffic. */
#include "commands.h"
#include "live_run.h"
#include "usage.h"

#include <stdio.h>
#include <stdlib.h>

static const char usage_text[] =
    "usage: tapscope run [options]\n"
    "\n"
    "Captures live and writes a record for each request and each flow. Without -i, on the NICs that the\n"
    "configuration picks: 'tapscope interfaces' shows them.\n"
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
    "  --output DIR         append to DIR/flow.ndjson and DIR/request.ndjson; DIR is made if need be. A\n"
    "                       disk that is full costs records, counted, until there is room again\n"
    "  --summary            print the table's summary to standard error with the other formats too\n"
    "  --ledger FILE        in the end, write what became of every frame to FILE, as JSON\n"
    "\n"
    "  -C, --config FILE    settings, see 'tapscope config example'\n"
    "  -o, --set NAME=VALUE one setting, as in the file\n"
    "  --workers N          threads that own queues and flows\n"
    "  -h, --help           this text\n"
    "\n"
    "SIGINT and SIGTERM end it: all flows leave, within five seconds. SIGHUP reads the configuration\n"
    "again; /metrics, /healthz and /readyz are at api.listen.\n"
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

#define ASSIGNED_MAX 8

struct arguments {
	struct live_run_options run;
	bool help;
	struct setup_options setup;
	char *assignment[ASSIGNED_MAX]; /* options that are settings: as assignments */
	unsigned assigned;
};

static int assign(struct arguments *a, const char *name, const char *value)
{
	char *text;
	if (a->assigned == ASSIGNED_MAX || asprintf(&text, "%s=%s", name, value) < 0)
		return usage_fault("run", "too many settings");
	a->assignment[a->assigned++] = text;
	return setup_assign(&a->setup, text) ? 0 : usage_fault("run", "too many settings");
}

/* A filter is any text: quoted as YAML has it. */
static int assign_filter(struct arguments *a, const char *filter)
{
	char quoted[4096], *to = quoted;
	*to++ = '\'';
	for (; *filter && to < quoted + sizeof quoted - 3; filter++) {
		if (*filter == '\'')
			*to++ = '\'';
		*to++ = *filter;
	}
	if (*filter)
		return usage_fault("run", "the filter is too long for the command line; set capture_bpf in a file");
	*to++ = '\'';
	*to = '\0';
	return assign(a, "capture_bpf", quoted);
}

static int parse_option(struct arguments *a, int code, char *value)
{
	struct option_list *only = &a->run.only;
	switch (code) {
	case USAGE_OPERAND:
		return usage_fault("run", "what is '%s'? A NIC is given with -i, a capture file to 'tapscope replay'",
				   value);
	case 'i':
		only->item[only->count++] = value;
		return 0;
	case OPTION_SOURCE:
		return assign(a, "capture.source", value);
	case 'f':
		return assign_filter(a, value);
	case 's':
		return assign(a, "capture_packet_size", value);
	case OPTION_WORKERS:
		return assign(a, "workers", value);
	case 'c':
		return usage_number(value, 1, UINT64_MAX, &a->run.count)
			   ? 0
			   : usage_fault("run", "'%s' is no number of packets", value);
	case OPTION_DURATION_S:
		return usage_number(value, 1, UINT32_MAX, &a->run.duration_s)
			   ? 0
			   : usage_fault("run", "'%s' is no number of seconds", value);
	case OPTION_FORMAT:
		a->run.outputs.format = outputs_format(value, "run");
		return a->run.outputs.format == FORMATS ? EXIT_USAGE : 0;
	case OPTION_OUTPUT:
		a->run.outputs.directory = value;
		return 0;
	case OPTION_SUMMARY:
		a->run.outputs.summary = true;
		return 0;
	case OPTION_LEDGER:
		a->run.ledger = value;
		return 0;
	case 'C':
		a->setup.config = value;
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
		int r = code == USAGE_FAULT ? EXIT_USAGE : parse_option(a, code, (char *)(uintptr_t)u.value);
		if (r)
			return r;
	}
	return 0;
}

int cmd_run(int argc, char **argv)
{
	struct arguments a = {.run = {.outputs = {.format = FORMATS}}};
	struct setup setup;
	a.run.only.item = calloc((size_t)argc, sizeof *a.run.only.item);
	if (!a.run.only.item) {
		fprintf(stderr, "tapscope: no memory\n");
		return EXIT_INPUT;
	}
	int status = parse(&a, argc, argv);
	if (status == 0 && a.help) {
		fputs(usage_text, stdout);
	} else if (status == 0 && (status = setup_load(&setup, &a.setup, "run")) == 0) {
		a.run.setup = &a.setup;
		status = live_run(&setup, &a.run);
		setup_clear(&setup);
	}
	for (unsigned i = 0; i < a.assigned; i++)
		free(a.assignment[i]);
	free(a.run.only.item);
	return status;
}
