/* replay: flow and request records of capture files. */
#include "commands.h"
#include "engine.h"
#include "outputs.h"
#include "setup.h"
#include "usage.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char usage_text[] =
    "usage: tapscope replay [options] FILE…\n"
    "\n"
    "Reads capture files (pcap, pcapng, either gzipped; '-': standard input), merged by time, and\n"
    "writes a record for each request and each flow.\n"
    "\n"
    "  --format table|ndjson|none  what goes to standard output: a table (the default on a terminal),\n"
    "                       NDJSON (the default in a pipe or file), nothing (the default with --output)\n"
    "  --output DIR         write DIR/flow.ndjson and DIR/request.ndjson; DIR is made if need be\n"
    "  --digest             print the SHA-256 of each NDJSON output, as sha256sum does: to standard\n"
    "                       output, but to standard error where that has the NDJSON or the table.\n"
    "                       With --format none: of what --format ndjson would have written\n"
    "  --summary            print the table's summary to standard error with the other formats too\n"
    "  --counters           print what was counted as one JSON object to standard error; costs nothing\n"
    "\n"
    "  -r, --read FILE      the same as FILE\n"
    "  -f, --filter BPF     only packets that match this filter, in libpcap's language\n"
    "  -c, --count N        only the first N packets that match\n"
    "  -s, --snaplen N      look at the first N bytes of each packet only\n"
    "\n"
    "  -C, --config FILE    settings, see 'tapscope config example'\n"
    "  -o, --set NAME=VALUE one setting, as in the file\n"
    "  --workers N          threads that own flows; the records are the same for any number\n"
    "  --ring-slots N       length of the queue to each of them\n"
    "  -h, --help           this text\n"
    "\n"
    "NO_COLOR, where set, keeps the table plain; COLUMNS is its width where it is not a terminal.\n"
    "Exit status: 0 done; 1 the configuration is wrong; 2 wrong usage; 3 an input could not be read or\n"
    "is damaged (all records up to there are made), or an output could not be written.\n";

enum {
	OPTION_FORMAT = 256,
	OPTION_OUTPUT,
	OPTION_DIGEST,
	OPTION_SUMMARY,
	OPTION_COUNTERS,
	OPTION_WORKERS,
	OPTION_RING_SLOTS
};

static const struct usage_option usage_options[] = {
    {OPTION_FORMAT, "format", true},
    {OPTION_OUTPUT, "output", true},
    {OPTION_DIGEST, "digest", false},
    {OPTION_SUMMARY, "summary", false},
    {OPTION_COUNTERS, "counters", false},
    {'r', "read", true},
    {'f', "filter", true},
    {'c', "count", true},
    {'s', "snaplen", true},
    {'C', "config", true},
    {'o', "set", true},
    {OPTION_WORKERS, "workers", true},
    {OPTION_RING_SLOTS, "ring-slots", true},
    {'h', "help", false},
    {0},
};

struct arguments {
	struct outputs_options outputs;
	bool counters, help;
	struct engine_input input;
	const char **paths;
	struct setup_options setup;
	char workers[64], ring_slots[64]; /* as assignments */
};

static atomic_int stop;

static void on_signal(int number maybe_unused)
{
	atomic_store_explicit(&stop, 1, memory_order_relaxed);
}

static int parse_option(struct arguments *a, int code, const char *value)
{
	uint64_t number;
	switch (code) {
	case USAGE_OPERAND:
	case 'r':
		a->paths[a->input.count++] = value;
		return 0;
	case OPTION_FORMAT:
		a->outputs.format = outputs_format(value, "replay");
		return a->outputs.format == FORMATS ? EXIT_USAGE : 0;
	case OPTION_OUTPUT:
		a->outputs.directory = value;
		return 0;
	case OPTION_DIGEST:
		a->outputs.digest = true;
		return 0;
	case OPTION_SUMMARY:
		a->outputs.summary = true;
		return 0;
	case OPTION_COUNTERS:
		a->counters = true;
		return 0;
	case 'f':
		a->input.filter = value;
		return 0;
	case 'c':
		if (!usage_number(value, 1, UINT64_MAX, &a->input.count_max))
			return usage_fault("replay", "'%s' is no number of packets", value);
		return 0;
	case 's':
		if (!usage_number(value, 0, UINT32_MAX, &number))
			return usage_fault("replay", "'%s' is no number of bytes", value);
		a->input.snaplen = (uint32_t)number;
		return 0;
	case 'C':
		a->setup.config = value;
		return 0;
	case OPTION_WORKERS:
		snprintf(a->workers, sizeof a->workers, "workers=%s", value);
		return 0;
	case OPTION_RING_SLOTS:
		snprintf(a->ring_slots, sizeof a->ring_slots, "ring_slots=%s", value);
		return 0;
	case 'o':
		return setup_assign(&a->setup, value) ? 0 : usage_fault("replay", "too many settings");
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
	if (a->help)
		return 0;
	if (!a->input.count)
		return usage_fault("replay", "which capture file?");
	if ((a->workers[0] && !setup_assign(&a->setup, a->workers)) ||
	    (a->ring_slots[0] && !setup_assign(&a->setup, a->ring_slots)))
		return usage_fault("replay", "too many settings");
	return 0;
}

static void tell_damage(void *ctx maybe_unused, const char *message)
{
	fprintf(stderr, "tapscope: %s\n", message);
}

static int replay(const struct arguments *a, const struct engine_settings *settings)
{
	struct outputs o;
	struct error e;
	struct engine_counters counters;
	struct export_ledger ledger;
	bool reader_gone = false;
	int status = EXIT_DONE;
	/* before an output is emptied */
	for (unsigned i = 0; i < a->input.count; i++) {
		if (strcmp(a->input.paths[i], "-") && access(a->input.paths[i], R_OK) < 0) {
			fprintf(stderr, "tapscope: %s: %s\n", a->input.paths[i], strerror(errno));
			return EXIT_INPUT;
		}
	}
	int r = outputs_open(&o, &a->outputs, &e);
	if (r < 0) {
		fprintf(stderr, "tapscope: %s\n", e.text);
		outputs_close(&o);
		return EXIT_INPUT;
	}
	r = engine_replay(settings, &a->input, o.sink, o.count, tell_damage, NULL, &stop, &counters, &e);
	if (r >= 0)
		setup_ledger(&counters, &ledger);
	int failed = outputs_finish(&o, r >= 0 ? &ledger : NULL, &reader_gone);
	/* a replay that failed because an output did is told of as that; damaged inputs have been told */
	if (r < 0 && failed == 0 && !reader_gone)
		fprintf(stderr, "tapscope: %s\n", e.text);
	if (r != 0 || failed < 0)
		status = EXIT_INPUT;
	if (r >= 0 && failed == 0 && !reader_gone)
		outputs_print_digests(&o);
	if (r >= 0 && a->counters)
		setup_print_counters(&counters, stderr);
	if (stop && r >= 0 && failed == 0 && !reader_gone)
		fprintf(stderr, "tapscope: stopped by a signal after %" PRIu64 " frames; their records are complete\n",
			counters.ledger.frames);
	outputs_close(&o);
	if (reader_gone)
		usage_die_of_pipe();
	return status;
}

int cmd_replay(int argc, char **argv)
{
	struct arguments a = {.outputs = {.format = FORMATS, .stop = &stop}};
	struct setup setup;
	a.paths = calloc((size_t)argc, sizeof *a.paths);
	if (!a.paths) {
		fprintf(stderr, "tapscope: no memory\n");
		return EXIT_INPUT;
	}
	a.input.paths = a.paths;
	int status = parse(&a, argc, argv);
	if (status == 0 && a.help)
		fputs(usage_text, stdout);
	else if (status == 0 && (status = setup_load(&setup, &a.setup, "replay")) == 0) {
		const struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
		sigaction(SIGINT, &action, NULL);
		sigaction(SIGTERM, &action, NULL);
		signal(SIGPIPE, SIG_IGN);
		status = replay(&a, &setup.settings);
		setup_clear(&setup);
	}
	free(a.paths);
	return status;
}
