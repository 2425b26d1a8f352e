/* red.h - rate, errors, duration by server and protocol, as a sink: what /metrics says about requests.
 *
 * Memory is fixed. Up to RED_SERIES servers have series of their own; a new one finds room when others have been silent
 * for RED_IDLE_NS, whose counts then move to `_other_` (looked at once a minute); else it is counted in `_other_`
 * itself. So the sum over all
 * series is always the exact number of request records, and no series but an idle one ever goes away. */
#ifndef TS_API_RED_H
#define TS_API_RED_H

#include "hash.h"
#include "sink.h"

#define RED_SERIES 512
#define RED_IDLE_NS (600 * NS_PER_S)
#define RED_BUCKETS 12
enum red_status { RED_OK, RED_CLIENT_ERROR, RED_SERVER_ERROR, RED_TIMEOUT, RED_UNKNOWN, RED_STATUSES };
extern const char *const red_status_names[RED_STATUSES];
extern const int64_t red_bounds_ns[RED_BUCKETS]; /* upper bounds of the histogram's buckets; one more has no bound */

struct red_series {
	struct ip_address server_ip; /* version 0: `_other_` */
	uint16_t server_port;
	const char *protocol; /* a constant */
	uint64_t requests[RED_STATUSES];
	uint64_t buckets[RED_BUCKETS + 1]; /* of sessions, by duration; not cumulative */
	uint64_t sessions;
	int64_t sum_ns, last_ns;
};

/* 0 or -ENOMEM. Freed by its ops. */
int red_new(struct sink **ret_sink);
/* Copies all series, `_other_` (one a protocol) included; any thread. Returns how many. */
unsigned red_read(struct sink *s, struct red_series *ret, unsigned max);

#endif
