/* tap.h - for a flow: what type of traffic it is, which end it was seen at, and whose its ends are.
 *
 * Types of traffic. A rule of the option tap.types is
 *
 *     CONDITION [CONDITION …] = NAME            vlan 100 = core-a      vlan 200-299 pcp 5 = voice
 *
 * Conditions: "vlan N" (outermost tag), "inner-vlan N" (the tag behind it), "pcp N" (priority in the outermost tag),
 * "erspan N" (session), "gre-key N", "vni N" (VXLAN, Geneve, NVGRE), each with a number or a range, and "nic NAME".
 * One tunnel of several is enough. All conditions of a rule have to hold; the first rule that does gives the name.
 *
 * Whose end (tap_side), in DeepFlow's words:
 *
 *     c, s          at the NIC of the client, or of the server
 *     c-nd, s-nd    at a NIC of the node (host) on which the client, or the server, is a pod
 *     local         both ends are here: loopback; pods of one node seen at the node; with tap_mode 1 seen once for both
 *     rest          neither
 *
 * tap_mode 0. At a pod's NIC (nic.h) an end is here when its address, else its MAC, is of the pod's namespace; where
 * that namespace cannot be looked into, when the other end's MAC is the host's. At a virtual machine's tap an end is
 * here by the guest's MAC (libvirt gives the tap the guest's with fe in front). At another NIC an end is here (c, s)
 * when its address is the host's own, and behind the node (c-nd, s-nd) when its address or MAC is of a namespace on
 * this host, or of an owner who is by configuration on this host. Where neither end is, the one that is reached through
 * the NIC's own MAC is behind the node (IPVlan pods that could not be looked into, and whatever else is behind it), but
 * not at a bridge. "Here" goes before "behind". tap_mode 1. An end is here when its MAC (the innermost frame's) or its
 * address is the host's own, of a namespace on this host, or of an owner who is by configuration on this host.
 * tap_mode 2. Always rest.
 *
 * Whose: who has the end's address by tap.owners, else its MAC by tap.owners, else who was learned to have the address.
 * A MAC that was learned counts only for an end without an address of its own (unspecified, link-local): behind a pod's
 * MAC there may be more than the pod. */
#ifndef TS_PLACE_TAP_H
#define TS_PLACE_TAP_H

#include "place.h"
#include "record.h"

#define TAP_NAME_MAX 64 /* bytes of a type's name */
#define TAP_CONDITIONS_MAX 8

struct view; /* view.h */

/* What is known of a flow: of its first packet, with client and server as the record has them. */
struct place_input {
	uint16_t nic; /* id (nic.h); 0: none, as in replay */
	bool has_mac;
	uint8_t vlan_count, tunnel_count;
	const uint16_t *vlan;                 /* TCI, outermost first */
	const struct tunnel *tunnel;          /* outermost first */
	uint8_t client_mac[6], server_mac[6]; /* of the innermost Ethernet header; where has_mac */
	struct ip_address client, server;
	int64_t start_ns; /* of the flow: owners are those of that time */
};

/* Texts with at == NULL are not known. */
struct place_end {
	struct text pod, pod_ns, workload;
};

struct place_result {
	const char *tap_side; /* a constant; NULL: not known (tap_mode 0 without a NIC) */
	struct text nic, tap_type;
	struct place_end client, server;
};

/* Pure. Texts belong to the view: they are good until the caller's next view_current(). Some 0.3 µs; allocates
 * nothing. */
void place_flow(const struct view *v, const struct place_input *in, struct place_result *ret_result);

/* The rules, as place_open() compiles them. */
struct tap_rules;
#define TAP_NO_RULE UINT16_MAX

/* Checks one rule: 0, or -EINVAL with e. */
int tap_rule_check(const char *rule, struct error *e);
/* `initial`: the name where no rule matches; "" or NULL for none. 0; -EINVAL or -ENOMEM with e. */
int tap_rules_compile(struct tap_rules **ret_rules, const struct option_list *list, const char *initial,
		      struct error *e);
struct tap_rules *tap_rules_free(struct tap_rules *rules);
/* What rules know of a NIC, looked up once when it appears: which of the names in rules it has (0: none), and the first
 * rule that wants nothing but it. */
void tap_rules_nic(const struct tap_rules *rules, const char *name, uint16_t *ret_name, uint16_t *ret_rule);
/* The name of a flow's type; at == NULL: none. */
struct text tap_rules_find(const struct tap_rules *rules, const struct place_input *in, uint16_t nic_name,
			   uint16_t nic_rule);

#endif
