/* nics.h - follows the NICs of this host, in our own network namespace and in others, and says which are picked.
 *
 * By rtnetlink (links and addresses of each namespace), inotify on /run/netns and a look at all processes now and then:
 * NICs that come, go, are renamed, go up and down; namespaces that come and go; addresses that move. Where the kernel
 * had to drop changes, all is listed again. Namespaces are followed to capture in them (extra_netns_regex) and to learn
 * whose addresses are in them (tap.learn_owners); for others than our own CAP_SYS_ADMIN is needed.
 *
 * A namespace that is followed is kept alive by that, at most until the next look after its last process and name are
 * gone: at once for those in /run/netns, tap.rescan_interval for those of processes.
 *
 * One thread, the control thread. Two descriptors a namespace: raise RLIMIT_NOFILE where there are many. */
#ifndef TS_PLACE_NICS_H
#define TS_PLACE_NICS_H

#include "nic.h"
#include "owner.h"
#include "place.h"
#include "view.h"

struct nics;

enum nic_change_kind {
	NIC_ADDED,   /* is picked now: open its sources */
	NIC_REMOVED, /* is picked no more: gone, renamed, or its namespace is gone */
	NIC_CHANGED, /* its name, addresses, MAC, up, running, … */
};

struct nic_change {
	enum nic_change_kind kind;
	const struct nic *nic; /* until the next nics_poll(); of a removed one, as it was */
};

/* Holds on to p. The NICs that there are come out of the first nics_poll(). 0 or -errno with e. */
int nics_open(struct nics **ret_nics, struct place *p, struct error *e);
struct nics *nics_close(struct nics *n);

/* Other settings: what they change comes out of the next nics_poll(), and nothing else does. */
void nics_configure(struct nics *n, struct place *p);

/* To poll() for POLLIN; then nics_poll() has something to do. */
int nics_descriptor(const struct nics *n);

/* Takes in what has happened; does not wait. now_ns (realtime, the clock of the packets) becomes the time of what is
 * learned. Returns how many changes there are, removals first, in *ret_changes; or -ENOMEM (nothing is lost: the next
 * call makes up for it). */
int nics_poll(struct nics *n, int64_t now_ns, const struct nic_change **ret_changes);

/* Whether what a view would show has changed since the last nics_view(); and a view of what is known now. 0 or -ENOMEM.
 */
bool nics_view_is_stale(const struct nics *n);
int nics_view(struct nics *n, struct view **ret_view);

/* All NICs known, picked or not, in the order of namespaces; `last` NULL: the first; NULL at the end. Until the next
 * nics_poll(). */
const struct nic *nics_next(const struct nics *n, const struct nic *last);
/* Facts learned, also those that have ended. Until the next nics_poll(). */
const struct owner_fact *nics_owners(const struct nics *n, size_t *ret_count);
/* The inode of our own namespace: facts of it are the host's own. */
uint64_t nics_own_netns(const struct nics *n);

struct nics_status {
	unsigned namespaces, selected; /* followed besides our own; those of them that are captured in */
	unsigned left_out; /* at the last look: could not be followed (first_error says why of one), or too many */
	int first_error;   /* -EPERM: needs CAP_SYS_ADMIN; -EMFILE: RLIMIT_NOFILE; 0 */
	unsigned hidden;   /* processes whose namespace may not be read, see netns.h */
	uint64_t looks, listings; /* for namespaces; of one namespace's NICs */
	uint64_t changes_lost;    /* times that the kernel had to drop changes, each made up for by a listing */
	uint64_t owners_left_out; /* facts for which there was no room */
};
void nics_status(const struct nics *n, struct nics_status *ret_status);

#endif
