/* place.h - the settings of this room, and what is made of them before they are used.
 *
 * The room tells where a packet was seen (which NIC of which network namespace, what type of traffic) and whose it is
 * (which pod, container or machine is behind an address). nics.h follows NICs and namespaces; view.h is what workers
 * look at; tap.h decides for a flow. */
#ifndef TS_PLACE_PLACE_H
#define TS_PLACE_PLACE_H

#include "error.h"
#include "option.h"

enum tap_mode {
	TAP_LOCAL,           /* each picked NIC is an observation point */
	TAP_VIRTUAL_MIRROR,  /* the NICs' traffic is that of pods or machines, as if seen at their own NICs */
	TAP_PHYSICAL_MIRROR, /* a switch or an optical tap mirrors: no end is near */
};

struct place_settings {
	unsigned tap_mode; /* enum tap_mode */
	char *interface_regex, *netns_regex;
	struct option_list src_interfaces;
	struct option_list tap_types; /* "vlan 100 = core-a", see tap.h */
	char *tap_type_default;
	struct option_list owners; /* "02:00:00:00:00:01 = shop/cart-7d9f (Deployment/cart)", see owner.h */
	bool learn;                /* owners from the namespaces on this host */
	int64_t rescan_ns;         /* between looks for namespaces of processes */
	/* Not an option: NICs named on the command line; where there are any, they alone are picked, in any mode.
	 * Borrowed by place_open() only. */
	struct option_list only;
};
extern const struct option place_options[];

/* Settings made ready: patterns compiled, rules and owners read. Never changes; the control thread's, but for what
 * tap.h and view.h read. NICs and views hold on to it. */
struct place;

/* 0; -EINVAL with e (an option of the room that is wrong: which, and where in it); -ENOMEM with e. Most faults have
 * been found when the options were loaded, since each text is checked there; two owners of one address only come out
 * here. */
int place_open(struct place **ret_place, const struct place_settings *s, struct error *e);
/* One more holder, or one less; the last one frees it. Control thread. place_close() returns NULL. */
struct place *place_hold(struct place *p);
struct place *place_close(struct place *p);

enum tap_mode place_tap_mode(const struct place *p);

#endif
