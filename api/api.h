/* api.h - the HTTP side of a running instance: /metrics, /healthz, /readyz, and POST /reload.
 *
 * A thread of its own (libmicrohttpd), loopback unless told otherwise, at most API_CONNECTIONS at a time, each with a
 * time limit; requests only read counters, so that nothing here ever makes capture wait. */
#ifndef TS_API_API_H
#define TS_API_API_H

#include "export.h"
#include "live.h"
#include "option.h"

#define API_CONNECTIONS 32

struct api_settings {
	char *listen; /* "address:port", "[address]:port"; "": no API */
};
extern const struct option api_options[];

/* What a request sees; filled anew for each by the callback, on the API's thread. */
struct api_state {
	struct live_counters counters;
	struct export_ledger ledger;
	unsigned source_count;
	struct live_source_counters sources[LIVE_SOURCES];
	bool healthy; /* every thread advances */
	bool ready;   /* captures somewhere */
	const char *version;
	struct sink *red; /* of red_new(), or NULL */
};

struct api;

/* 0; -errno with e: the address is none, or taken. Both functions are called on the API's thread; reload asks for a
 * reload and returns at once. */
int api_new(struct api **ret_api, const struct api_settings *settings,
	    void (*look)(void *ctx, struct api_state *ret_state), void (*reload)(void *ctx), void *ctx,
	    struct error *e);
struct api *api_free(struct api *a);
/* The port it listens on (settings may say 0: any). */
unsigned api_port(const struct api *a);

/* The metrics as text: Prometheus' text format 0.0.4, or OpenMetrics 1.0. malloc'd, the caller's; NULL: no memory. */
char *api_metrics(const struct api_state *state, bool openmetrics, size_t *ret_len);

#endif
