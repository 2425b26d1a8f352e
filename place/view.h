/* view.h - what is known of NICs and owners at one moment, for workers to look at.
 *
 * A view never changes. The control thread makes a new one when something has, and publishes it; a worker takes the
 * current one at a quiescent point, where it holds on to nothing of the one before. An old view is freed once every
 * worker has taken a later one. */
#ifndef TS_PLACE_VIEW_H
#define TS_PLACE_VIEW_H

#include "nic.h"
#include "owner.h"
#include "place.h"

struct view;

/* What a view is made from; all borrowed for the call. Zeroes: the owners of the configuration alone (replay). */
struct view_source {
	uint64_t own_netns;            /* the namespace that is the host's: addresses in it are no pod's */
	const struct nic *const *nics; /* with ids; also those that have gone, as long as records may name them */
	size_t nic_count;
	const struct owner_fact *facts; /* sorted as in struct owners */
	size_t fact_count;
};

struct view_nic {
	uint16_t id;
	uint16_t rule_name, rule; /* tap_rules_nic() */
	bool has_mac, loopback, pod;
	bool guest;  /* a virtual machine's tap */
	bool bridge; /* its own MAC is what lies behind it sends to */
	uint8_t mac[6];
	uint64_t netns, pod_netns;    /* as in struct nic */
	struct text name, netns_name; /* netns_name.at == NULL: the host's own */
};

/* Texts with at == NULL are not known. */
struct view_owner {
	struct text pod, pod_ns, workload, host;
	bool configured; /* by tap.owners, always valid; else learned */
	bool here;       /* on this host */
	bool node;       /* this host itself: pod is not known then */
	uint64_t netns;  /* inode; 0: not known */
	int64_t since_ns;
};

/* Holds on to p. 0 or -ENOMEM. Control thread. */
int view_make(struct view **ret_view, struct place *p, const struct view_source *source);
struct view *view_free(struct view *v);
const struct place *view_place(const struct view *v);

/* NULL where the id is not known. */
const struct view_nic *view_nic(const struct view *v, uint16_t id);

/* All that is known of a key; NULL where nothing is. */
struct view_run;
const struct view_run *view_find(const struct view *v, const struct owner_key *key);
/* Who had it at that time, NULL where nobody is known (also for run NULL). Between two owners, and before the first:
 * who came next, since an owner is learned a little after it begins to talk. An address that several namespaces have at
 * once is that of `netns` (0: of none in particular), else of the one whose NIC has `mac` (may be NULL), else of
 * nobody. */
const struct view_owner *view_owner(const struct view *v, const struct view_run *run, uint64_t netns,
				    const uint8_t *mac, int64_t at_ns);
/* Whether that namespace was learned to have it at that time; and whether any but the host's own was. */
bool view_netns_has(const struct view *v, const struct view_run *run, uint64_t netns, int64_t at_ns);
bool view_pod_has(const struct view *v, const struct view_run *run, int64_t at_ns);
uint64_t view_own_netns(const struct view *v);

/* Publication. */
struct views;
#define VIEWS_WAITING_MAX 16 /* old views that wait for a worker */

/* 0 or -ENOMEM. Takes over v, the first view. */
int views_open(struct views **ret_views, unsigned workers, struct view *v);
/* After all workers have ended. NULL. */
struct views *views_close(struct views *s);
/* The current view, good until this worker's next call. Worker 0 … workers - 1, each from one thread. */
const struct view *view_current(struct views *s, unsigned worker);
/* Control thread. Takes v over and makes it current: 0; -EAGAIN (v stays the caller's) where VIEWS_WAITING_MAX old ones
 * wait for a worker that does not come by: try again later. Also frees what no worker can see any more; v may be NULL
 * to do only that. */
int views_publish(struct views *s, struct view *v);
/* How many old ones wait. Control thread. */
unsigned views_waiting(const struct views *s);

#endif
