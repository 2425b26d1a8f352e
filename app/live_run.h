/* live_run.h - a live capture from start to end: sources that follow the NICs, the view of whose addresses are whose,
 * reload, the API, the service manager. One thread, the control thread; the engine has its own. */
#ifndef TS_APP_LIVE_RUN_H
#define TS_APP_LIVE_RUN_H

#include "outputs.h"
#include "setup.h"

struct live_run_options {
	const struct setup_options *setup; /* to read the configuration again */
	struct outputs_options outputs;
	const char *ledger;                 /* file for the ledger in the end, or NULL */
	uint64_t count, duration_s;         /* 0: no limit */
	struct sink *sink;                  /* one more, the caller's; or NULL */
	struct live_counters *ret_counters; /* as they are in the end; or NULL */
	struct option_list only; /* NICs of the command line; or devices of a source that has no NICs (dpdk) */
};

/* Returns the exit status; what went wrong has been told on standard error. `setup` may be changed by a reload. */
int live_run(struct setup *setup, const struct live_run_options *options);

/* Writes what became of every frame, as JSON. 0 or an exit status. */
int ledger_write(const char *path, struct live *l, const struct live_counters *c, const struct export_ledger *ledger);

#endif
