/* export.h - the sinks: NDJSON into a file descriptor, a directory or nowhere, and a table for a terminal.
 *
 * A sink's encode halves run on any worker; everything else here belongs to the thread that writes and flushes. No
 * allocation after ..._new(). A failed output says so once, at flush, and drops what follows. */
#ifndef TS_EXPORT_EXPORT_H
#define TS_EXPORT_EXPORT_H

#include "sink.h"

#include <stdatomic.h>

struct export_ndjson_options {
	int fd; /* takes both kinds of records in their order, not closed; -1: nowhere, for the digest alone */
	const char *directory; /* instead of fd: flow.ndjson and request.ndjson in it; made where it is not there */
	bool digest;           /* SHA-256 of each output */
	bool endures; /* live: files are appended to, and what cannot be written is counted (sink.lost), not fatal */
	atomic_int *stop; /* set to 1 when an output fails, so that nobody works for nothing; may be NULL */
};

/* 0 or -errno with e. */
int export_ndjson_new(struct sink **ret_sink, const struct export_ndjson_options *options, struct error *e);

/* The digests of all that was written so far; flush first. Returns how many outputs there are. */
struct export_digest {
	const char *name; /* "-" or the path, as long as the sink lives */
	char hex[65];
};
unsigned export_ndjson_digests(const struct sink *s, struct export_digest ret_digests[2]);

struct export_table_options {
	int fd;           /* not closed */
	bool rows;        /* a row for each request; else the summary only */
	unsigned columns; /* of the terminal; 0: nothing is cut */
	bool colour, utf8;
	atomic_int *stop; /* as above */
};

/* A table of requests, and sums for the summary. Its memory is fixed; percentiles are exact up to QUANTILE_EXACT
 * requests of a protocol and within 1 % beyond, talkers and conversations are exact up to TOP_ENTRIES of them. */
int export_table_new(struct sink **ret_sink, const struct export_table_options *options, struct error *e);

/* The packet ledger and the limits that bit, as the summary prints them: frames is the sum of the terms and the
 * remainder. */
#define EXPORT_TERMS_MAX 64
#define EXPORT_LIMITS_MAX 24
struct export_ledger {
	uint64_t frames, bytes;
	int64_t first_ns, last_ns, remainder;
	unsigned count;
	struct {
		const char *name;
		uint64_t frames;
	} term[EXPORT_TERMS_MAX];
	unsigned limit_count;
	struct {
		const char *name; /* what was used up or given up, and what that did */
		uint64_t times;
	} limit[EXPORT_LIMITS_MAX]; /* those that are 0 are not printed */
	unsigned workers;
	uint64_t packets, busiest; /* packets of all workers, and of the one that had the most */
};

/* Prints what was seen: requests by protocol, flows, talkers, the ledger. After the last record. 0 or -errno with e. */
int export_table_summary(struct sink *s, const struct export_ledger *ledger, struct error *e);

#endif
