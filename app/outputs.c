#include "outputs.h"

#include "usage.h"

#include <errno.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *const format_names[] = {"table", "ndjson", "none", NULL};

enum format outputs_format(const char *name, const char *command)
{
	for (unsigned i = 0; i < FORMATS; i++)
		if (!strcmp(name, format_names[i]))
			return (enum format)i;
	const char *nearest = usage_nearest(name, format_names);
	usage_fault(command, nearest ? "no such format '%s'; did you mean '%s'?" : "no such format '%s'", name,
		    nearest);
	return FORMATS;
}

static struct export_table_options table_options(int fd, bool rows, atomic_int *stop)
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
	    .stop = stop,
	};
}

static int open_ndjson(struct outputs *o, int fd, const char *directory, struct error *e)
{
	struct export_ndjson_options options = {.fd = fd,
						.directory = directory,
						.digest = o->options.digest,
						.endures = o->options.endures,
						.stop = o->options.stop};
	int r = export_ndjson_new(&o->sink[o->count], &options, e);
	if (r < 0)
		return r;
	if (o->options.digest)
		o->digested[o->digested_count++] = o->sink[o->count];
	o->count++;
	return 0;
}

int outputs_open(struct outputs *o, const struct outputs_options *options, struct error *e)
{
	*o = (struct outputs){.options = *options};
	struct outputs_options *a = &o->options;
	int r = 0;
	if (a->format == FORMATS)
		a->format = a->directory ? FORMAT_NONE : isatty(STDOUT_FILENO) ? FORMAT_TABLE : FORMAT_NDJSON;
	if (a->format == FORMAT_NDJSON)
		r = open_ndjson(o, STDOUT_FILENO, NULL, e);
	else if (a->format == FORMAT_NONE && a->digest && !a->directory)
		r = open_ndjson(o, -1, NULL, e);
	if (r == 0 && a->directory)
		r = open_ndjson(o, -1, a->directory, e);
	if (r == 0 && (a->format == FORMAT_TABLE || a->summary)) {
		bool rows = a->format == FORMAT_TABLE;
		struct export_table_options table = table_options(rows ? STDOUT_FILENO : STDERR_FILENO, rows, a->stop);
		r = export_table_new(&o->sink[o->count], &table, e);
		if (r == 0)
			o->summary = o->sink[o->count++];
	}
	return r;
}

void outputs_close(struct outputs *o)
{
	for (unsigned i = 0; i < o->count; i++)
		o->sink[i]->ops->free(o->sink[i]);
}

int outputs_finish(struct outputs *o, const struct export_ledger *ledger, bool *ret_reader_gone)
{
	int result = 0;
	for (unsigned i = 0; i < o->count; i++) {
		struct error e;
		int r = o->sink[i] == o->summary && ledger ? export_table_summary(o->sink[i], ledger, &e)
							   : o->sink[i]->ops->flush(o->sink[i], &e);
		if (r == -EPIPE) {
			*ret_reader_gone = true;
		} else if (r < 0) {
			fprintf(stderr, "tapscope: %s\n", e.text);
			result = r;
		}
	}
	return result;
}

void outputs_print_digests(const struct outputs *o)
{
	FILE *to = o->options.format == FORMAT_NONE ? stdout : stderr;
	for (unsigned i = 0; i < o->digested_count; i++) {
		struct export_digest digests[RECORD_KINDS];
		unsigned n = export_ndjson_digests(o->digested[i], digests);
		for (unsigned k = 0; k < n; k++)
			fprintf(to, "%s  %s\n", digests[k].hex, digests[k].name);
	}
}
