/* replay: flow and request records of capture files. */
#include "commands.h"
#include "engine.h"
#include "export.h"
#include "setup.h"
#include "usage.h"

#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
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

enum { OPTION_FORMAT = 256, OPTION_OUTPUT, OPTION_DIGEST, OPTION_SUMMARY, OPTION_WORKERS, OPTION_RING_SLOTS };

static const struct usage_option usage_options[] = {
    {OPTION_FORMAT, "format", true},
    {OPTION_OUTPUT, "output", true},
    {OPTION_DIGEST, "digest", false},
    {OPTION_SUMMARY, "summary", false},
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

enum format { FORMAT_TABLE, FORMAT_NDJSON, FORMAT_NONE, FORMATS };
static const char *const format_names[] = {"table", "ndjson", "none", NULL};

struct arguments {
	enum format format; /* FORMATS: not given */
	const char *output;
	bool digest, summary, help;
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

static int parse_format(struct arguments *a, const char *name)
{
	for (unsigned i = 0; i < FORMATS; i++) {
		if (!strcmp(name, format_names[i])) {
			a->format = (enum format)i;
			return 0;
		}
	}
	const char *nearest = usage_nearest(name, format_names);
	return usage_fault("replay", nearest ? "no such format '%s'; did you mean '%s'?" : "no such format '%s'", name,
			   nearest);
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
		return parse_format(a, value);
	case OPTION_OUTPUT:
		a->output = value;
		return 0;
	case OPTION_DIGEST:
		a->digest = true;
		return 0;
	case OPTION_SUMMARY:
		a->summary = true;
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
	if (a->format == FORMATS)
		a->format = a->output ? FORMAT_NONE : isatty(STDOUT_FILENO) ? FORMAT_TABLE : FORMAT_NDJSON;
	return 0;
}

static struct export_table_options table_options(int fd, bool rows)
{
	struct winsize size;
	const char *no_color = getenv("NO_COLOR"), *columns = getenv("COLUMNS");
	bool terminal = isatty(fd);
	uint64_t width = 0;
	if (terminal && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col)
		width = size.ws_col;
	else if (columns)
		usage_number(columns, 40, 1000, &width);
	return (struct export_table_options){
	    .fd = fd,
	    .rows = rows,
	    .columns = terminal && !width ? 80 : (unsigned)width,
	    .colour = terminal && !(no_color && *no_color),
	    .utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8"),
	    .stop = &stop,
	};
}

struct outputs {
	struct sink *sink[3];
	unsigned count;
	struct sink *digested[2], *summary;
	unsigned digested_count;
};

static int open_ndjson(struct outputs *o, const struct arguments *a, int fd, const char *directory, struct error *e)
{
	struct export_ndjson_options options = {.fd = fd, .directory = directory, .digest = a->digest, .stop = &stop};
	int r = export_ndjson_new(&o->sink[o->count], &options, e);
	if (r < 0)
		return r;
	if (a->digest)
		o->digested[o->digested_count++] = o->sink[o->count];
	o->count++;
	return 0;
}

static int open_outputs(struct outputs *o, const struct arguments *a, struct error *e)
{
	int r = 0;
	if (a->format == FORMAT_NDJSON)
		r = open_ndjson(o, a, STDOUT_FILENO, NULL, e);
	else if (a->format == FORMAT_NONE && a->digest && !a->output)
		r = open_ndjson(o, a, -1, NULL, e);
	if (r == 0 && a->output)
		r = open_ndjson(o, a, -1, a->output, e);
	if (r == 0 && (a->format == FORMAT_TABLE || a->summary)) {
		bool rows = a->format == FORMAT_TABLE;
		struct export_table_options options = table_options(rows ? STDOUT_FILENO : STDERR_FILENO, rows);
		r = export_table_new(&o->sink[o->count], &options, e);
		if (r == 0)
			o->summary = o->sink[o->count++];
	}
	return r;
}

static void close_outputs(struct outputs *o)
{
	for (unsigned i = 0; i < o->count; i++)
		o->sink[i]->ops->free(o->sink[i]);
}

/* Flushes all, and says what failed. A reader that went away (head, less) is no failure of ours. */
static int finish_outputs(struct outputs *o, const struct engine_counters *counters, bool *ret_reader_gone)
{
	int result = 0;
	for (unsigned i = 0; i < o->count; i++) {
		struct error e;
		struct export_ledger ledger;
		int r;
		if (o->sink[i] == o->summary && counters) {
			setup_ledger(counters, &ledger);
			r = export_table_summary(o->sink[i], &ledger, &e);
		} else {
			r = o->sink[i]->ops->flush(o->sink[i], &e);
		}
		if (r == -EPIPE) {
			*ret_reader_gone = true;
		} else if (r < 0) {
			fprintf(stderr, "tapscope: %s\n", e.text);
			result = r;
		}
	}
	return result;
}

static void print_digests(const struct outputs *o, const struct arguments *a)
{
	FILE *to = a->format == FORMAT_NONE ? stdout : stderr;
	for (unsigned i = 0; i < o->digested_count; i++) {
		struct export_digest digests[RECORD_KINDS];
		unsigned n = export_ndjson_digests(o->digested[i], digests);
		for (unsigned k = 0; k < n; k++)
			fprintf(to, "%s  %s\n", digests[k].hex, digests[k].name);
	}
}

static void tell_damage(void *ctx maybe_unused, const char *message)
{
	fprintf(stderr, "tapscope: %s\n", message);
}

static int replay(const struct arguments *a, const struct engine_settings *settings)
{
	struct outputs o = {0};
	struct error e;
	struct engine_counters counters;
	bool reader_gone = false;
	int status = EXIT_DONE;
	/* before an output is emptied */
	for (unsigned i = 0; i < a->input.count; i++) {
		if (strcmp(a->input.paths[i], "-") && access(a->input.paths[i], R_OK) < 0) {
			fprintf(stderr, "tapscope: %s: %s\n", a->input.paths[i], strerror(errno));
			return EXIT_INPUT;
		}
	}
	int r = open_outputs(&o, a, &e);
	if (r < 0) {
		fprintf(stderr, "tapscope: %s\n", e.text);
		close_outputs(&o);
		return EXIT_INPUT;
	}
	r = engine_replay(settings, &a->input, o.sink, o.count, tell_damage, NULL, &stop, &counters, &e);
	int failed = finish_outputs(&o, r >= 0 ? &counters : NULL, &reader_gone);
	/* a replay that failed because an output did is told of as that; damaged inputs have been told */
	if (r < 0 && failed == 0 && !reader_gone)
		fprintf(stderr, "tapscope: %s\n", e.text);
	if (r != 0 || failed < 0)
		status = EXIT_INPUT;
	if (r >= 0 && failed == 0 && !reader_gone)
		print_digests(&o, a);
	if (stop && r >= 0 && failed == 0 && !reader_gone)
		fprintf(stderr, "tapscope: stopped by a signal after %" PRIu64 " frames; their records are complete\n",
			counters.ledger.frames);
	close_outputs(&o);
	if (reader_gone) {
		/* ends as a program does that never looked: the shell knows what that means */
		signal(SIGPIPE, SIG_DFL);
		raise(SIGPIPE);
	}
	return status;
}

int cmd_replay(int argc, char **argv)
{
	struct arguments a = {.format = FORMATS};
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
