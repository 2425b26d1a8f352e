/* place_internal.h - what the files of this room share. */
#ifndef TS_PLACE_PLACE_INTERNAL_H
#define TS_PLACE_PLACE_INTERNAL_H

#include "nic.h"
#include "owner.h"
#include "pattern.h"
#include "place.h"
#include "tap.h"

struct place {
	unsigned holders;
	enum tap_mode mode;
	struct pattern *interfaces, *namespaces; /* namespaces: NULL where none is selected */
	struct option_list src_interfaces, only; /* copies */
	struct tap_rules *rules;
	struct owner_entry *entries;
	size_t entry_count;
	char host[65]; /* this host's name */
	bool learn;
	int64_t rescan_ns;
};

/* Why a NIC of that name is picked or not, in a namespace that is selected. */
enum nic_why place_pick(const struct place *p, const char *name);
/* Whether extra_netns_regex selects a namespace: by its name in /run/netns or by the host name in it. */
bool place_selects(const struct place *p, const char *name, const char *host);
/* Whether an owner's @HOST is this host; so it is where there is none. */
bool place_is_here(const struct place *p, const char *host);

#endif
