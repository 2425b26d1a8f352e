/* golden.h - compares records with those that were once found right.
 *
 * A golden is NDJSON: the line {"record":"schema","version":1}, then the records. Records are matched by what they are
 * about, not by where they stand: first those that are equal in all that counts, then those of one identity (flow and
 * start; flow, sequence numbers, start and identifier), then by weaker signs, so that a change of an identifier is
 * shown as that and not as a record gone and another come. Records with equal identities are matched in their order. */
#ifndef TS_APP_GOLDEN_H
#define TS_APP_GOLDEN_H

#include "error.h"
#include "text.h"

#include <jansson.h>

#define GOLDEN_RULES_MAX 64
#define GOLDEN_SHOWN_MAX 50 /* records with differences that are told of one by one */

struct golden_record {
	json_t *json;
	unsigned line;
	struct golden_record *match; /* in the other set */
	char *key;                   /* while matching */
};

struct golden {
	struct golden_record *record;
	size_t count, capacity;
};

/* What does not count. */
struct golden_rules {
	const char *ignored[GOLDEN_RULES_MAX];
	unsigned ignored_count;
	struct {
		char field[64];
		int64_t within; /* ns for times and durations, else in the field's own unit */
	} tolerance[GOLDEN_RULES_MAX];
	unsigned tolerance_count;
};

/* FIELD: one of a record's, or attributes.NAME. 0 or -EINVAL with e. The text must live as long as the rules. */
int golden_ignore(struct golden_rules *rules, const char *field, struct error *e);
/* "FIELD=1ms" for times and durations (ns, us, ms, s), "FIELD=3" for other numbers. 0 or -EINVAL with e. */
int golden_tolerate(struct golden_rules *rules, const char *text, struct error *e);

/* The first line of a golden, with its newline. */
const char *golden_schema_line(void);
/* Reads records. 0; -EBADMSG with e: the place and what is wrong: no schema line, another version, a line that is no
 * record; -ENOMEM. Free in any case. */
int golden_parse(struct golden *g, const char *name, const char *text, size_t len, struct error *e);
void golden_free(struct golden *g);

/* Compares and tells every difference in `out`. Returns how many records differ, are missing or additional; -ENOMEM. */
int golden_compare(struct golden *want, struct golden *have, const struct golden_rules *rules, struct buffer *out);

#endif
