/* verify: replay and compare with the golden records beside each capture. */
#include "commands.h"
#include "engine.h"
#include "golden.h"
#include "junit.h"
#include "ndjson.h"
#include "setup.h"
#include "usage.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char usage_text[] =
    "usage: tapscope verify [options] DIR|FILE…\n"
    "\n"
    "Replays each NAME.pcap or NAME.pcapng (.gz too) with the settings in NAME.yaml, if that is there,\n"
    "and compares the records with those in NAME.ndjson. DIR is searched with all below it. Records are\n"
    "matched by what they are about, not by line; each difference is shown field by field. A capture\n"
    "without golden and a golden without capture are differences.\n"
    "\n"
    "  --update               write the golden anew where it differs or is missing\n"
    "  --ignore FIELD         this field does not count; attributes.NAME for one attribute\n"
    "  --tolerance FIELD=1ms  times and durations may differ by that much (ns, us, ms, s); other\n"
    "                         numbers by FIELD=N\n"
    "  --junit FILE           write the result for CI systems\n"
    "  -o, --set NAME=VALUE   one setting for all captures, after those of NAME.yaml\n"
    "  -h, --help             this text\n"
    "\n"
    "Exit status: 0 all the same (or updated); 1 something differs; 2 wrong usage; 3 something could\n"
    "not be compared.\n";

enum { OPTION_UPDATE = 256, OPTION_IGNORE, OPTION_TOLERANCE, OPTION_JUNIT };

static const struct usage_option usage_options[] = {
    {OPTION_UPDATE, "update", false},
    {OPTION_IGNORE, "ignore", true},
    {OPTION_TOLERANCE, "tolerance", true},
    {OPTION_JUNIT, "junit", true},
    {'o', "set", true},
    {'h', "help", false},
    {0},
};

struct verify {
	bool update, help;
	const char *junit_path;
	struct golden_rules rules;
	struct setup_options setup;
	struct junit junit;
	unsigned same, updated, different, failed;
};

#define PATH_MAX_LEN 4096
#define DEPTH_MAX 16

enum file_kind { FILE_OTHER, FILE_CAPTURE, FILE_GOLDEN };

/* What a file is by its name, and the length of the name without the ending. */
static enum file_kind kind_of_name(const char *name, size_t *ret_stem)
{
	static const char *const endings[] = {".pcap", ".pcapng", ".pcap.gz", ".pcapng.gz", ".ndjson"};
	for (unsigned i = 0; i < array_size(endings); i++) {
		size_t len = strlen(name), end = strlen(endings[i]);
		if (len > end && !strcmp(name + len - end, endings[i])) {
			*ret_stem = len - end;
			return i == array_size(endings) - 1 ? FILE_GOLDEN : FILE_CAPTURE;
		}
	}
	return FILE_OTHER;
}

/* A sink that keeps the lines in memory. */
struct memory_sink {
	struct sink sink;
	struct buffer text;
	int failed;
};

static int memory_encode_flow(const struct sink *s maybe_unused, const struct flow_record *r, char *out, size_t room)
{
	return ndjson_flow(r, out, room);
}

static int memory_encode_request(const struct sink *s maybe_unused, const struct request_record *r, char *out,
				 size_t room)
{
	return ndjson_request(r, out, room);
}

static int memory_write(struct sink *s, enum record_kind kind maybe_unused, const char *data, size_t len)
{
	struct memory_sink *m = container_of(s, struct memory_sink, sink);
	int r = m->failed ? m->failed : buffer_put(&m->text, data, len);
	m->failed = r;
	return r;
}

static int memory_flush(struct sink *s, struct error *e)
{
	struct memory_sink *m = container_of(s, struct memory_sink, sink);
	return m->failed < 0 ? error_set(e, m->failed, "no memory for the records") : 0;
}

static void memory_free(struct sink *s maybe_unused)
{
}

static const struct sink_ops memory_ops = {
    .name = "memory",
    .encode_flow = memory_encode_flow,
    .encode_request = memory_encode_request,
    .write = memory_write,
    .flush = memory_flush,
    .free = memory_free,
};

static int read_file(const char *path, struct buffer *b)
{
	FILE *f = fopen(path, "re");
	if (!f)
		return -errno;
	int r = 0;
	for (size_t n = 1; n && r == 0;) {
		r = buffer_reserve(b, 65536);
		if (r == 0) {
			n = fread(b->at + b->len, 1, b->cap - b->len, f);
			b->len += n;
		}
	}
	if (ferror(f))
		r = -EIO;
	fclose(f);
	return r;
}

/* Whole or not at all: beside the old one, then in its place. */
static int write_file(const char *path, const struct buffer *b)
{
	char new_path[PATH_MAX_LEN + 16];
	snprintf(new_path, sizeof new_path, "%s.new", path);
	FILE *f = fopen(new_path, "we");
	if (!f)
		return -errno;
	bool failed = fwrite(b->at, 1, b->len, f) != b->len;
	failed |= fclose(f) != 0;
	if (!failed && rename(new_path, path) == 0)
		return 0;
	int r = errno ? -errno : -EIO;
	unlink(new_path);
	return r;
}

/* A damaged capture is compared all the same, as far as it goes: the golden says how far that was. */
static void tell_damage(void *ctx maybe_unused, const char *message)
{
	fprintf(stderr, "warning: %s\n", message);
}

/* The records of a capture as a golden has them. 0, or -errno with e. */
static int replay(const struct verify *v, const char *capture, const char *yaml, struct buffer *out, struct error *e)
{
	struct setup_options options = v->setup;
	struct setup setup;
	if (access(yaml, F_OK) == 0)
		options.config = yaml;
	if (setup_load(&setup, &options, "verify"))
		return error_set(e, -EINVAL, "the settings are wrong");
	struct memory_sink memory = {.sink.ops = &memory_ops};
	struct sink *sinks[] = {&memory.sink};
	struct engine_input input = {.paths = &capture, .count = 1};
	struct engine_counters counters;
	int r = buffer_put(&memory.text, golden_schema_line(), strlen(golden_schema_line()));
	if (r == 0)
		r = engine_replay(&setup.settings, &input, sinks, 1, tell_damage, NULL, NULL, &counters, e);
	if (r >= 0)
		r = memory_flush(&memory.sink, e);
	setup_clear(&setup);
	*out = memory.text;
	return r;
}

/* Compares two sets of records. Returns the number of differences or -errno; what there is to say goes to `out`. A
 * golden that cannot be read as one is told in e; with `update` it counts as a difference. */
static int compare(const struct verify *v, const char *golden_path, const struct buffer *records, struct buffer *out,
		   struct error *e)
{
	struct buffer text = {0};
	struct golden want = {0}, have = {0};
	int r = read_file(golden_path, &text);
	if (r == -ENOENT) {
		r = buffer_printf(out, "  no golden %s; --update writes it\n", golden_path);
		r = r < 0 ? r : 1;
	} else if (r < 0) {
		error_set(e, r, "cannot read %s: %s", golden_path, strerror(-r));
	} else if ((r = golden_parse(&want, golden_path, text.at, text.len, e)) < 0) {
		r = r == -EBADMSG && v->update ? 1 : r;
	} else if ((r = golden_parse(&have, "the new records", records->at, records->len, e)) == 0) {
		r = golden_compare(&want, &have, &v->rules, out);
		if (r < 0)
			error_set(e, r, "no memory to compare the records");
	}
	golden_free(&want);
	golden_free(&have);
	buffer_free(&text);
	return r;
}

static double seconds_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned count_lines(const struct buffer *b)
{
	unsigned n = 0;
	for (size_t i = 0; i < b->len; i++)
		n += b->at[i] == '\n';
	return n;
}

/* The result of one capture or golden, on standard output and for CI. */
static void conclude(struct verify *v, const char *path, double seconds, enum junit_result result,
		     const struct buffer *text)
{
	static const char *const words[] = {
	    [JUNIT_PASSED] = "same", [JUNIT_FAILURE] = "DIFFERS", [JUNIT_ERROR] = "FAILED"};
	if (result != JUNIT_PASSED)
		printf("%s %s\n%.*s", words[result], path, (int)text->len, text->at ? text->at : "");
	const char *slash = strrchr(path, '/');
	char directory[PATH_MAX_LEN];
	snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	junit_add(&v->junit, directory, slash ? slash + 1 : path, seconds, result, text->at, text->len);
	v->different += result == JUNIT_FAILURE;
	v->failed += result == JUNIT_ERROR;
}

static void verify_capture(struct verify *v, const char *path, size_t stem)
{
	char yaml[PATH_MAX_LEN + 8], golden[PATH_MAX_LEN + 8];
	struct buffer records = {0}, text = {0};
	struct error e = {{0}};
	double start = seconds_now();
	snprintf(yaml, sizeof yaml, "%.*s.yaml", (int)stem, path);
	snprintf(golden, sizeof golden, "%.*s.ndjson", (int)stem, path);
	int differences = replay(v, path, yaml, &records, &e);
	if (differences == 0)
		differences = compare(v, golden, &records, &text, &e);
	enum junit_result result = JUNIT_PASSED;
	if (differences > 0 && v->update) {
		int r = write_file(golden, &records);
		if (r < 0) {
			differences = error_set(&e, r, "cannot write %s: %s", golden, strerror(-r));
		} else {
			printf("updated %s (%u records)\n", golden, count_lines(&records) - 1);
			v->updated++;
		}
	} else if (differences > 0) {
		result = JUNIT_FAILURE;
	} else if (differences == 0) {
		printf("same    %s (%u records)\n", path, count_lines(&records) - 1);
		v->same++;
	}
	if (differences < 0) {
		result = JUNIT_ERROR;
		text.len = 0;
		buffer_printf(&text, "  %s\n", e.text);
	}
	conclude(v, path, seconds_now() - start, result, &text);
	buffer_free(&records);
	buffer_free(&text);
}

/* A golden without capture, or a second capture for the same golden. */
static void verify_odd(struct verify *v, const char *path, enum junit_result result, const char *what)
{
	struct buffer text = {0};
	buffer_printf(&text, "  %s\n", what);
	conclude(v, path, 0, result, &text);
	buffer_free(&text);
}

static int skip_hidden(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static int in_byte_order(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Whether another of the directory's names has this stem and this kind. */
static bool has_sibling(struct dirent **names, int count, int self, size_t stem, enum file_kind kind)
{
	for (int i = 0; i < count; i++) {
		size_t other;
		if (i != self && kind_of_name(names[i]->d_name, &other) == kind && other == stem &&
		    !memcmp(names[i]->d_name, names[self]->d_name, stem))
			return true;
	}
	return false;
}

static void verify_directory(struct verify *v, const char *directory, unsigned depth)
{
	struct dirent **names;
	int count = depth < DEPTH_MAX ? scandir(directory, &names, skip_hidden, in_byte_order) : -1;
	if (count < 0) {
		verify_odd(v, directory, JUNIT_ERROR,
			   depth < DEPTH_MAX ? strerror(errno) : "too many directories in one another");
		return;
	}
	for (int i = 0; i < count; i++) {
		char path[PATH_MAX_LEN];
		size_t stem, before = strlen(directory) + 1;
		struct stat st;
		int len = snprintf(path, sizeof path, "%s/%s", directory, names[i]->d_name);
		if (len < 0 || len >= (int)sizeof path || lstat(path, &st) < 0)
			verify_odd(v, names[i]->d_name, JUNIT_ERROR, "cannot be looked at");
		else if (S_ISDIR(st.st_mode))
			verify_directory(v, path, depth + 1);
		else if (kind_of_name(names[i]->d_name, &stem) == FILE_GOLDEN) {
			if (!has_sibling(names, count, i, stem, FILE_CAPTURE))
				verify_odd(v, path, JUNIT_FAILURE, "an orphan: the capture of this golden is gone");
		} else if (kind_of_name(names[i]->d_name, &stem) == FILE_CAPTURE) {
			if (has_sibling(names, count, i, stem, FILE_CAPTURE))
				verify_odd(v, path, JUNIT_ERROR, "another capture has the same golden");
			else
				verify_capture(v, path, before + stem);
		}
	}
	for (int i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

static void verify_operand(struct verify *v, const char *path)
{
	struct stat st;
	size_t stem;
	char trimmed[PATH_MAX_LEN];
	int len = snprintf(trimmed, sizeof trimmed, "%s", path);
	while (len > 1 && len < (int)sizeof trimmed && trimmed[len - 1] == '/')
		trimmed[--len] = '\0';
	if (len >= (int)sizeof trimmed)
		verify_odd(v, path, JUNIT_ERROR, "the name is too long");
	else if (stat(trimmed, &st) < 0)
		verify_odd(v, path, JUNIT_ERROR, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		verify_directory(v, trimmed, 0);
	else if (kind_of_name(trimmed, &stem) == FILE_CAPTURE)
		verify_capture(v, trimmed, stem);
	else
		verify_odd(v, path, JUNIT_ERROR,
			   "neither a directory nor NAME.pcap, NAME.pcapng or one of these with .gz");
}

static int parse_option(struct verify *v, int code, const char *value)
{
	struct error e;
	int r = 0;
	switch (code) {
	case OPTION_UPDATE:
		v->update = true;
		return 0;
	case OPTION_IGNORE:
		r = golden_ignore(&v->rules, value, &e);
		break;
	case OPTION_TOLERANCE:
		r = golden_tolerate(&v->rules, value, &e);
		break;
	case OPTION_JUNIT:
		v->junit_path = value;
		return 0;
	case 'o':
		return setup_assign(&v->setup, value) ? 0 : usage_fault("verify", "too many settings");
	default:
		v->help = true;
		return 0;
	}
	return r < 0 ? usage_fault("verify", "%s", e.text) : 0;
}

/* 0, or an exit status. operands: room for argc. */
static int parse(struct verify *v, int argc, char **argv, const char **operands, unsigned *ret_count)
{
	struct usage u = usage_start(argc, argv, usage_options);
	unsigned count = 0;
	for (int code; (code = usage_next(&u)) != USAGE_END && !v->help;) {
		if (code == USAGE_OPERAND) {
			operands[count++] = u.value;
			continue;
		}
		int r = code == USAGE_FAULT ? EXIT_USAGE : parse_option(v, code, u.value);
		if (r)
			return r;
	}
	if (!count && !v->help)
		return usage_fault("verify", "which directory or capture?");
	*ret_count = count;
	/* a wrong setting is wrong for all captures: said once, here */
	struct setup setup;
	int r = setup_load(&setup, &v->setup, "verify");
	if (r == 0)
		setup_clear(&setup);
	return r;
}

static int finish(struct verify *v)
{
	unsigned all = v->same + v->updated + v->different + v->failed;
	printf("%u compared: %u the same, ", all, v->same);
	if (v->update)
		printf("%u updated, ", v->updated);
	printf("%u different, %u failed\n", v->different, v->failed);
	if (!all) {
		fprintf(stderr, "tapscope: no capture found\n");
		return EXIT_INPUT;
	}
	if (v->junit_path) {
		int r = junit_write(&v->junit, v->junit_path);
		if (r < 0) {
			fprintf(stderr, "tapscope: cannot write %s: %s\n", v->junit_path, strerror(-r));
			return EXIT_INPUT;
		}
	}
	return v->failed ? EXIT_INPUT : v->different ? EXIT_DIFFERENT : EXIT_DONE;
}

int cmd_verify(int argc, char **argv)
{
	struct verify v = {0};
	unsigned count = 0;
	const char **operands = calloc((size_t)argc, sizeof *operands);
	if (!operands) {
		fprintf(stderr, "tapscope: no memory\n");
		return EXIT_INPUT;
	}
	int status = parse(&v, argc, argv, operands, &count);
	if (status == 0 && v.help)
		fputs(usage_text, stdout);
	else if (status == 0) {
		for (unsigned i = 0; i < count; i++)
			verify_operand(&v, operands[i]);
		status = finish(&v);
	}
	junit_free(&v.junit);
	free(operands);
	return status;
}
