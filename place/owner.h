/* owner.h - whose an address is: what the configuration says, and what was learned, over time.
 *
 * An entry of the option tap.owners is
 *
 *     KEY[, KEY …] = [NAMESPACE/]NAME [(WORKLOAD)] [@HOST]
 *     02:00:00:00:00:01, 10.1.2.3 = shop/cart-7d9f (Deployment/cart) @node-2
 *
 * A key is a MAC, IPv4 or IPv6 address. Without @HOST, or with this host's name there, the owner is taken to be on this
 * host; else its name is shown, and it is no local end (tap.h).
 *
 * What was learned is a fact: in that namespace was that address, from then to then. Namespaces, not names, tell owners
 * apart: an address that moves to another pod is a new fact. A fact that has ended is kept for an hour, for flows that
 * began before. */
#ifndef TS_PLACE_OWNER_H
#define TS_PLACE_OWNER_H

#include "error.h"
#include "nic.h"

#define OWNER_KEEP_NS (3600 * NS_PER_S)
#define OWNER_FACTS_MAX 32768 /* that hold; as many that have ended: more are forgotten before their hour */
#define OWNER_KEYS_MAX 64     /* of one entry */

/* A MAC or an IP address; all of it is set, so that keys compare as bytes. */
struct owner_key {
	uint8_t kind; /* OWNER_MAC, or the IP version: 4, 6 */
	uint8_t at[16];
};
#define OWNER_MAC 1

struct owner_key owner_key_mac(const uint8_t mac[6]);
struct owner_key owner_key_ip(const struct ip_address *ip);
/* Whether nobody in particular has that address: unspecified, loopback, group. */
bool owner_key_is_common(const struct owner_key *k);
/* "02:00:00:00:00:01", "10.1.2.3", "2001:db8::1" */
#define OWNER_KEY_TEXT_MAX 48
void owner_key_print(const struct owner_key *k, char out[OWNER_KEY_TEXT_MAX]);

/* An entry of the configuration. */
struct owner_entry {
	char *pod, *pod_ns, *workload, *host; /* NULL: not said, but for pod */
	unsigned key_count;
	struct owner_key *keys; /* the texts lie in the same piece of memory */
};

/* 0; -EINVAL with e; -ENOMEM with e. */
int owner_entry_parse(struct owner_entry *ret_entry, const char *text, struct error *e);
void owner_entry_clear(struct owner_entry *entry);

struct owner_fact {
	struct owner_key key;
	uint8_t mac[6];            /* of the NIC that has it */
	uint64_t netns;            /* inode */
	int64_t since_ns;          /* when it was learned */
	int64_t until_ns;          /* when it was seen to be gone; INT64_MAX while it holds */
	char name[NETNS_NAME_MAX]; /* of the pod; "": not known */
};

/* Facts over time. One thread. Zero-initialised is empty. */
struct owners {
	struct owner_fact *facts; /* by key, then namespace, then since_ns */
	size_t count;
	struct owner_fact *said;
	size_t said_count, said_room;
	uint64_t left_out; /* facts for which there was no room */
};

/* What holds now is said fact by fact, and owners_end() compares it with what held before: what is new holds since
 * now_ns, what was not said again has ended, a changed name replaces the old one. 1: something changed; 0; -ENOMEM
 * (then nothing has). */
int owners_say(struct owners *o, const struct owner_key *key, uint64_t netns, const uint8_t mac[6], const char *name);
int owners_end(struct owners *o, int64_t now_ns);
void owners_clear(struct owners *o);

#endif
