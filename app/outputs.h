/* outputs.h - where the records of a command go: the options that choose it, the sinks, and what is told in the end. */
#ifndef TS_APP_OUTPUTS_H
#define TS_APP_OUTPUTS_H

#include "export.h"

enum format { FORMAT_TABLE, FORMAT_NDJSON, FORMAT_NONE, FORMATS };

struct outputs_options {
	enum format format;    /* to standard output; FORMATS: what suits where it goes */
	const char *directory; /* --output, or NULL */
	bool digest, summary;
	bool endures;     /* see export.h */
	atomic_int *stop; /* set when an output fails */
};

struct outputs {
	struct outputs_options options;
	struct sink *sink[3];
	unsigned count;
	struct sink *digested[2], *summary;
	unsigned digested_count;
};

/* The format of this name; FORMATS, having told what is wrong in the name of the command. */
enum format outputs_format(const char *name, const char *command);
/* Opens all; decides the format where it was left open. 0 or -errno with e; outputs_close() in either case. */
int outputs_open(struct outputs *o, const struct outputs_options *options, struct error *e);
/* Flushes all, prints the summary where `ledger` is given, and says on standard error what failed. 0 or -errno. A
 * reader that went away (head, less) is no failure: *ret_reader_gone. */
int outputs_finish(struct outputs *o, const struct export_ledger *ledger, bool *ret_reader_gone);
void outputs_print_digests(const struct outputs *o);
void outputs_close(struct outputs *o);

#endif
