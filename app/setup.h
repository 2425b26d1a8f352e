/* setup.h - the settings of the engine from defaults, a file and the command line. */
#ifndef TS_APP_SETUP_H
#define TS_APP_SETUP_H

#include "api.h"
#include "engine.h"
#include "export.h"
#include "live.h"
#include "place.h"
#include "settings.h"

#include <stdio.h>

#define SETUP_ASSIGNMENTS_MAX 256

/* What the command line says about settings; collected first, applied by setup_load(). */
struct setup_options {
	const char *config;                             /* a file, or NULL */
	const char *assignments[SETUP_ASSIGNMENTS_MAX]; /* NAME=VALUE, in order, after the file */
	unsigned count;
};

struct setup {
	struct engine_settings settings;
	struct place_settings place;
	struct source_settings source;
	struct api_settings api;
	struct option_table tables[12]; /* the engine's, and those of place, source and api */
};

/* Collects one assignment; false where there are too many. */
bool setup_assign(struct setup_options *o, const char *assignment);
/* 0; or an exit status, what is wrong having been told on stderr under the command's name. Then nothing is to be freed.
 */
int setup_load(struct setup *s, const struct setup_options *options, const char *command);
void setup_clear(struct setup *s);
/* After *s was copied from another place: its tables point into it again. */
void setup_rebase(struct setup *s);

/* The packet ledger in the form that the summary prints. */
void setup_ledger(const struct engine_counters *c, struct export_ledger *ret_ledger);
/* The same of live capture: frames are those that the sources saw. */
void setup_live_ledger(const struct live_counters *c, struct export_ledger *ret_ledger);

/* What was counted, as one line of JSON. Records are counted whether or not a sink takes them. */
void setup_print_counters(const struct engine_counters *c, FILE *to);

#endif
