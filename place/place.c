#include "place.h"

#include "place_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const mode_names[] = {"local", "virtual_mirror", "physical_mirror", NULL};
static const int mode_numbers[] = {0, 1, 2};

static int check_pattern(const char *text, struct error *e)
{
	struct pattern *p;
	int r = pattern_compile(&p, text, e);
	if (r == 0)
		pattern_free(p);
	return r;
}

static int check_owner(const char *text, struct error *e)
{
	struct owner_entry entry;
	int r = owner_entry_parse(&entry, text, e);
	if (r == 0)
		owner_entry_clear(&entry);
	return r;
}

static int check_interface(const char *text, struct error *e)
{
	size_t len = strlen(text);
	return len && len < NIC_NAME_MAX ? 0 : error_set(e, -EINVAL, "'%.64s' is no name of an interface", text);
}

static int check_tap_name(const char *text, struct error *e)
{
	return strlen(text) <= TAP_NAME_MAX ? 0 : error_set(e, -EINVAL, "it is longer than %d bytes", TAP_NAME_MAX);
}

#define AT(member) offsetof(struct place_settings, member)

const struct option place_options[] = {
    {"tap_mode", NULL, OPTION_ENUM, AT(tap_mode), "local", 0, 0, NULL, mode_names, mode_numbers,
     "Where traffic is captured. local: each NIC is an observation point. virtual_mirror: the NICs' traffic counts as "
     "seen at the pods' or machines' own NICs (macvlan, CCE Turbo, Hyper-V, ESXi local SPAN, a DPDK ring). "
     "physical_mirror: a switch or an optical tap mirrors to this host, and neither end is near."},
    {"tap_interface_regex", NULL, OPTION_STRING, AT(interface_regex),
     "'^(tap.*|cali.*|veth.*|eth.*|en[osipx].*|lxc.*|lo|[0-9a-f]+_h)$'", 0, 0, NULL, NULL, NULL,
     "NICs to capture on: those in whose name the pattern (PCRE2) is found. Pods' and nodes' own NICs are enough. With "
     "Cilium or IPVlan: the nodes' only. In the other tap modes it is used where static_config.src-interfaces is "
     "empty.",
     check_pattern},
    {"extra_netns_regex", "extra-netns-regex", OPTION_STRING, AT(netns_regex), "", 0, 0, NULL, NULL, NULL,
     "Network namespaces to capture in besides our own: those in whose name in /run/netns, or host name, the pattern "
     "is "
     "found. Empty: none.",
     check_pattern},
    {"static_config.src-interfaces", NULL, OPTION_STRINGS, AT(src_interfaces), "", 0, 0, NULL, NULL, NULL,
     "NICs to capture on in the tap modes virtual_mirror and physical_mirror, by their whole names.", check_interface},
    {"static_config.default-tap-type", NULL, OPTION_STRING, AT(tap_type_default), "", 0, 0, NULL, NULL, NULL,
     "tap_type of traffic for which no rule of tap.types holds. Empty: none.", check_tap_name},
    {"tap.types", NULL, OPTION_STRINGS, AT(tap_types), "", 0, 0, NULL, NULL, NULL,
     "What type traffic is of, by where it was mirrored: a list of 'CONDITION [CONDITION ...] = NAME', of which the "
     "first that holds counts. Conditions: vlan N (outermost), inner-vlan N, pcp N, erspan N (session), gre-key N, vni "
     "N, each with a number or a range like 100-199, and nic NAME.",
     tap_rule_check},
    {"tap.owners", NULL, OPTION_STRINGS, AT(owners), "", 0, 0, NULL, NULL, NULL,
     "Whose addresses are: a list of 'ADDRESS[, ADDRESS ...] = [NAMESPACE/]NAME [(WORKLOAD)] [@HOST]', where ADDRESS "
     "is "
     "a MAC, IPv4 or IPv6 address, as in '02:00:00:00:00:01, 10.1.2.3 = shop/cart-7d9f (Deployment/cart)'. Without "
     "@HOST the owner is taken to be on this host. What stands here goes before what is learned.",
     check_owner},
    {"tap.learn_owners", NULL, OPTION_BOOL, AT(learn), "true", 0, 0, NULL, NULL, NULL,
     "Whether owners of addresses are also learned from the network namespaces on this host (needs CAP_SYS_ADMIN; not "
     "in the tap mode physical_mirror)."},
    {"tap.rescan_interval", NULL, OPTION_DURATION, AT(rescan_ns), "10", NS_PER_S, UINT64_C(3600000000000), "s", NULL,
     NULL,
     "How often namespaces of processes (containers) are looked for. Those in /run/netns, and NICs and addresses in a "
     "namespace that is known, are seen at once."},
    {0},
};

static int copy_list(struct option_list *to, const struct option_list *from)
{
	to->item = calloc(from->count + 1, sizeof *to->item);
	if (!to->item)
		return -ENOMEM;
	for (; to->count < from->count; to->count++)
		if (!(to->item[to->count] = strdup(from->item[to->count])))
			return -ENOMEM;
	return 0;
}

static void free_list(struct option_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->item[i]);
	free(list->item);
}

static int open_pattern(struct pattern **ret_pattern, const char *option, const char *text, struct error *e)
{
	struct error why;
	int r = pattern_compile(ret_pattern, text, &why);
	return r < 0 ? error_set(e, r, "'%s' is wrong: %s", option, why.text) : 0;
}

/* One key of an entry, to find keys that two entries have. */
struct keyed {
	struct owner_key key;
	size_t entry;
};

static int compare_keyed(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;
	int r = memcmp(&x->key, &y->key, sizeof x->key);
	return r ? r : (x->entry > y->entry) - (x->entry < y->entry);
}

static int check_twins(const struct place *p, const struct option_list *texts, struct error *e)
{
	size_t count = 0, at = 0;
	for (size_t i = 0; i < p->entry_count; i++)
		count += p->entries[i].key_count;
	struct keyed *all = calloc(count + 1, sizeof *all);
	if (!all)
		return error_set(e, -ENOMEM, "no memory for the owners");
	for (size_t i = 0; i < p->entry_count; i++)
		for (unsigned k = 0; k < p->entries[i].key_count; k++)
			all[at++] = (struct keyed){p->entries[i].keys[k], i};
	qsort(all, count, sizeof *all, compare_keyed);
	int r = 0;
	for (size_t i = 1; i < count && r == 0; i++) {
		if (memcmp(&all[i - 1].key, &all[i].key, sizeof all->key))
			continue;
		char text[OWNER_KEY_TEXT_MAX];
		owner_key_print(&all[i].key, text);
		r = error_set(e, -EINVAL, "'tap.owners' is wrong: %s stands in '%.150s' and in '%.150s'", text,
			      texts->item[all[i - 1].entry], texts->item[all[i].entry]);
	}
	free(all);
	return r;
}

static int open_owners(struct place *p, const struct option_list *texts, struct error *e)
{
	p->entries = calloc(texts->count + 1, sizeof *p->entries);
	if (!p->entries)
		return error_set(e, -ENOMEM, "no memory for the owners");
	for (; p->entry_count < texts->count; p->entry_count++) {
		struct error why;
		int r = owner_entry_parse(&p->entries[p->entry_count], texts->item[p->entry_count], &why);
		if (r < 0)
			return error_set(e, r, "'tap.owners' is wrong: %s", why.text);
	}
	return check_twins(p, texts, e);
}

int place_open(struct place **ret_place, const struct place_settings *s, struct error *e)
{
	struct place *p = calloc(1, sizeof *p);
	if (!p)
		return error_set(e, -ENOMEM, "no memory for the settings of tap modes");
	p->holders = 1;
	p->mode = s->tap_mode;
	p->learn = s->learn && p->mode != TAP_PHYSICAL_MIRROR;
	p->rescan_ns = s->rescan_ns;
	if (gethostname(p->host, sizeof p->host - 1) < 0)
		p->host[0] = 0;
	int r = open_pattern(&p->interfaces, "tap_interface_regex", s->interface_regex ? s->interface_regex : "", e);
	if (r == 0 && s->netns_regex && *s->netns_regex)
		r = open_pattern(&p->namespaces, "extra_netns_regex", s->netns_regex, e);
	if (r == 0 && (copy_list(&p->src_interfaces, &s->src_interfaces) < 0 || copy_list(&p->only, &s->only) < 0))
		r = error_set(e, -ENOMEM, "no memory for the list of NICs");
	if (r == 0)
		r = tap_rules_compile(&p->rules, &s->tap_types, s->tap_type_default, e);
	if (r == 0)
		r = open_owners(p, &s->owners, e);
	if (r < 0) {
		place_close(p);
		return r;
	}
	*ret_place = p;
	return 0;
}

struct place *place_hold(struct place *p)
{
	p->holders++;
	return p;
}

struct place *place_close(struct place *p)
{
	if (!p || --p->holders)
		return NULL;
	pattern_free(p->interfaces);
	pattern_free(p->namespaces);
	free_list(&p->src_interfaces);
	free_list(&p->only);
	tap_rules_free(p->rules);
	for (size_t i = 0; i < p->entry_count; i++)
		owner_entry_clear(&p->entries[i]);
	free(p->entries);
	free(p);
	return NULL;
}

enum tap_mode place_tap_mode(const struct place *p)
{
	return p->mode;
}

static bool has_name(const struct option_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (!strcmp(list->item[i], name))
			return true;
	return false;
}

enum nic_why place_pick(const struct place *p, const char *name)
{
	if (p->only.count)
		return has_name(&p->only, name) ? NIC_BY_COMMAND : NIC_NOT_NAMED;
	if (p->mode != TAP_LOCAL && p->src_interfaces.count)
		return has_name(&p->src_interfaces, name) ? NIC_BY_LIST : NIC_NOT_LISTED;
	int r = pattern_find(p->interfaces, name);
	return r > 0 ? NIC_BY_PATTERN : r == 0 ? NIC_NOT_MATCHED : NIC_TOO_COSTLY;
}

bool place_selects(const struct place *p, const char *name, const char *host)
{
	return p->namespaces &&
	       ((*name && pattern_find(p->namespaces, name) > 0) || (*host && pattern_find(p->namespaces, host) > 0));
}

bool place_is_here(const struct place *p, const char *host)
{
	return !host || !strcmp(host, p->host);
}

const char *nic_why_text(enum nic_why why)
{
	static const char *const texts[NIC_WHYS] = {
	    [NIC_BY_COMMAND] = "named on the command line",
	    [NIC_BY_LIST] = "named in static_config.src-interfaces",
	    [NIC_BY_PATTERN] = "matches tap_interface_regex",
	    [NIC_NOT_NAMED] = "others are named on the command line",
	    [NIC_NOT_LISTED] = "not named in static_config.src-interfaces",
	    [NIC_NOT_MATCHED] = "does not match tap_interface_regex",
	    [NIC_TOO_COSTLY] = "tap_interface_regex takes too many steps on this name",
	    [NIC_OTHER_NETNS] = "extra_netns_regex does not select its namespace",
	    [NIC_NO_ID] = "too many NICs, all ids are in use",
	};
	return texts[why];
}
