/* nics_internal.h - what the files that follow NICs share. */
#ifndef TS_PLACE_NICS_INTERNAL_H
#define TS_PLACE_NICS_INTERNAL_H

#include "netlink.h"
#include "netns.h"
#include "nics.h"
#include "place_internal.h"

struct member {
	struct nic nic;
	struct member *next;
	int parent_nsid;    /* struct link */
	bool listed;        /* seen since the listing began */
	bool why_known;     /* nic.why is of this name and these settings */
	bool told;          /* as picked */
	uint64_t told_hash; /* of nic when it was told */
	int64_t gone_ns;    /* when it went; 0 while it is there */
};

struct netns {
	struct netns *next;
	uint64_t inode;
	char name[NETNS_NAME_MAX], host[NETNS_HOST_MAX];
	bool own, selected;
	bool list_again;
	int socket;     /* netlink */
	int descriptor; /* of the namespace, where it is selected; else -1 */
	int own_nsid;   /* number of our own namespace in it; -1: not known */
	struct nics *nics;
	struct member *members;
};

struct nics {
	struct place *place;
	int epoll, timer, inotify;
	int folder_watch, run_watch; /* of inotify; -1: none */
	int own_descriptor;
	struct netns *namespaces; /* the own one first, then as they came */
	struct member *leaving;   /* gone since the last poll */
	struct member *gone;      /* kept because records may name them */
	bool look;                /* for namespaces, in this poll */
	bool reconcile, stale;
	unsigned retries; /* looks in a row for a name that was not ready */
	struct nic_change *changes;
	size_t change_count, change_room;
	struct owners owners;
	uint16_t last_id;
	uint8_t ids[8192]; /* bit: in use */
	struct nics_status status;
	char buffer[NETLINK_BUFFER];
};

/* nics_follow.c */

/* Takes in events of all descriptors. */
void follow_events(struct nics *n);
/* Looks for namespaces: follows new ones, drops those that are gone. */
void follow_look(struct nics *n);
/* Lists again where it has to be; false where that could not be done now. */
bool follow_list(struct nics *n);
int follow_own(struct nics *n, struct error *e);
/* Watches the folder of names. */
void follow_folder(struct nics *n);
/* Wakes up after that time. */
void follow_wake(struct nics *n, int64_t ns);
void netns_drop(struct nics *n, struct netns *s);
/* Whether other namespaces than our own matter. */
bool follow_others(const struct nics *n);

/* nics_change.c */

/* Compares what is with what was told. 0 or -ENOMEM. */
int change_all(struct nics *n, int64_t now_ns);
/* Frees those that went before the last poll, or, where records may name them, an hour ago. */
void change_forget(struct nics *n, int64_t now_ns);

#endif
