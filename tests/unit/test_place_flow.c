/* Whose end a flow was seen at, and whose its ends are: tables of the situations that network plugins make. What is
 * expected follows from tap.h and the picture of each plugin, not from the code. */
#include "place_internal.h"
#include "view.h"

#include <net/if_arp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define OWN 1000u
#define A_NS 7u
#define B_NS 8u
#define T0 (1000 * NS_PER_S)

/* Addresses by a letter. n: this node, m: another node, a, b: pods here, d: a pod of another node, x, y: strangers,
 * s: a service's address, which is nobody's. */
static struct ip_address address(char who)
{
	switch (who) {
	case 'n':
		return (struct ip_address){4, {192, 0, 2, 1}};
	case 'm':
		return (struct ip_address){4, {192, 0, 2, 2}};
	case 'a':
		return (struct ip_address){4, {10, 0, 0, 1}};
	case 'b':
		return (struct ip_address){4, {10, 0, 0, 2}};
	case 'd':
		return (struct ip_address){4, {10, 0, 1, 1}};
	case 'x':
		return (struct ip_address){4, {198, 51, 100, 1}};
	case 'y':
		return (struct ip_address){4, {198, 51, 100, 2}};
	case 's':
		return (struct ip_address){4, {10, 96, 0, 1}};
	case '0':
		return (struct ip_address){4, {0}};
	default: /* link-local of that MAC */
		return (struct ip_address){6, {0xfe, 0x80, [15] = (uint8_t)who}};
	}
}

/* MACs by a letter. N: this node's uplink, A, B: pods' own, C: the host's end of Calico's pairs, U, V: the host's ends
 * of other pairs, G: the bridge, F: the overlay's NIC, M, R: another node, a router, X, Y: strangers, *: broadcast. */
static void mac_of(char which, uint8_t mac[6])
{
	if (which == 'C')
		memset(mac, 0xee, 6);
	else if (which == '*')
		memset(mac, 0xff, 6);
	else
		memcpy(mac, (uint8_t[6]){2, 0, 0, 0, 1, (uint8_t)which}, 6);
}

enum nic_of { NONE, ETH0, LO, A_PAIR, B_PAIR, A_DARK, BRIDGE, OVERLAY, A_INSIDE, A_LO, TAP, NICS };

struct world {
	struct nic nics[NICS];
	struct owners owners;
	struct place *place;
	struct view *view;
};

static void add_nic(struct world *w, enum nic_of id, const char *name, const char *kind, char mac, uint64_t netns)
{
	struct nic *n = &w->nics[id];
	n->id = (uint16_t)id;
	snprintf(n->name, sizeof n->name, "%s", name);
	snprintf(n->kind, sizeof n->kind, "%s", kind);
	n->hardware = ARPHRD_ETHER;
	n->has_mac = mac != 0;
	if (mac)
		mac_of(mac, n->mac);
	n->netns = netns;
	if (netns != OWN) {
		n->pod = true;
		n->pod_netns = netns;
		snprintf(n->netns_name, sizeof n->netns_name, "cni-%u", (unsigned)netns);
	}
}

static void add_address(struct world *w, char who, char mac, uint64_t netns, const char *name)
{
	struct ip_address ip = address(who);
	struct owner_key key = owner_key_ip(&ip);
	uint8_t m[6];
	mac_of(mac, m);
	assert_int_equal(owners_say(&w->owners, &key, netns, m, name), 0);
}

static void add_mac(struct world *w, char mac, uint64_t netns, const char *name)
{
	uint8_t m[6];
	mac_of(mac, m);
	struct owner_key key = owner_key_mac(m);
	assert_int_equal(owners_say(&w->owners, &key, netns, m, name), 0);
}

static void make(struct world *w, unsigned mode, const char *const *entries, size_t entry_count)
{
	struct place_settings s = {
	    .tap_mode = mode,
	    .owners = {(char **)(uintptr_t)entries, entry_count},
	    .learn = true,
	};
	struct error e = {.text = ""};
	if (place_open(&w->place, &s, &e) != 0)
		fail_msg("%s", e.text);
	assert_true(owners_end(&w->owners, T0) >= 0);
	const struct nic *nics[NICS];
	for (unsigned i = 0; i < NICS; i++)
		nics[i] = &w->nics[i];
	struct view_source source = {
	    .own_netns = OWN, .nics = nics, .nic_count = NICS, .facts = w->owners.facts, .fact_count = w->owners.count};
	assert_int_equal(view_make(&w->view, w->place, &source), 0);
}

static void unmake(struct world *w)
{
	view_free(w->view);
	owners_clear(&w->owners);
	place_close(w->place);
}

/* The host itself: its uplink, its loopback, and what network plugins put there. */
static void add_host(struct world *w)
{
	add_nic(w, ETH0, "eth0", "", 'N', OWN);
	add_nic(w, LO, "lo", "", 0, OWN);
	w->nics[LO].loopback = true;
	add_mac(w, 'N', OWN, "");
	add_address(w, 'n', 'N', OWN, "");
}

static void add_pods(struct world *w, bool own_macs)
{
	add_address(w, 'a', own_macs ? 'A' : 'N', A_NS, "cart");
	add_address(w, 'b', own_macs ? 'B' : 'N', B_NS, "db");
	if (own_macs) {
		add_mac(w, 'A', A_NS, "cart");
		add_mac(w, 'B', B_NS, "db");
	}
}

static void add_pairs(struct world *w, const char *prefix, char a_mac, char b_mac)
{
	char name[NIC_NAME_MAX];
	snprintf(name, sizeof name, "%s1", prefix);
	add_nic(w, A_PAIR, name, "veth", a_mac, OWN);
	snprintf(name, sizeof name, "%s2", prefix);
	add_nic(w, B_PAIR, name, "veth", b_mac, OWN);
	snprintf(name, sizeof name, "%s3", prefix);
	add_nic(w, A_DARK, name, "veth", a_mac, OWN);
	w->nics[A_PAIR].pod = w->nics[B_PAIR].pod = w->nics[A_DARK].pod = true;
	w->nics[A_PAIR].pod_netns = A_NS;
	w->nics[B_PAIR].pod_netns = B_NS;
	add_mac(w, a_mac, OWN, "");
	add_mac(w, b_mac, OWN, "");
}

struct seen {
	enum nic_of nic;
	const char *flow;  /* "a>b" */
	const char *macs;  /* "A>C"; NULL: no Ethernet header */
	const char *side;  /* NULL: not known */
	const char *names; /* "cart>db"; "-" for none */
	int64_t late_ns;   /* the flow's start, after T0 */
};

static const char *name_of(const struct place_end *e, char out[128])
{
	if (!e->pod.at)
		return "-";
	snprintf(out, 128, "%.*s%s%.*s%s%.*s", (int)e->pod_ns.len, e->pod_ns.at ? e->pod_ns.at : "",
		 e->pod_ns.at ? "/" : "", (int)e->pod.len, e->pod.at, e->workload.at ? "," : "", (int)e->workload.len,
		 e->workload.at ? e->workload.at : "");
	return out;
}

static void check(const struct world *w, const struct seen *seen, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct seen *s = &seen[i];
		struct place_input in = {
		    .nic = (uint16_t)s->nic,
		    .client = address(s->flow[0]),
		    .server = address(s->flow[2]),
		    .has_mac = s->macs != NULL,
		    .start_ns = T0 + s->late_ns,
		};
		if (s->macs) {
			mac_of(s->macs[0], in.client_mac);
			mac_of(s->macs[2], in.server_mac);
		}
		struct place_result r;
		char names[300], client[128], server[128];
		place_flow(w->view, &in, &r);
		snprintf(names, sizeof names, "%s>%s", name_of(&r.client, client), name_of(&r.server, server));
		if (!r.tap_side != !s->side || (s->side && strcmp(r.tap_side, s->side)))
			fail_msg("%zu: %s at NIC %d is '%s', not '%s'", i, s->flow, s->nic,
				 r.tap_side ? r.tap_side : "", s->side ? s->side : "");
		if (strcmp(names, s->names))
			fail_msg("%zu: %s at NIC %d is of %s, not %s", i, s->flow, s->nic, names, s->names);
		assert_int_equal(!r.nic.at, s->nic == NONE);
		if (s->nic != NONE)
			assert_true(text_is(r.nic, w->nics[s->nic].name));
	}
}

/* Calico: pods routed one by one, all of the host's ends with one MAC. */
static void test_calico(void **state maybe_unused)
{
	static const struct seen seen[] = {
	    /* pod to pod on one node: each NIC its own end */
	    {A_PAIR, "a>b", "A>C", "c", "cart>db"},
	    {B_PAIR, "a>b", "C>B", "s", "cart>db"},
	    /* to a pod of another node, by routing or by IPIP (whose inside has no Ethernet header of its own) */
	    {A_PAIR, "a>d", "A>C", "c", "cart>-"},
	    {ETH0, "a>d", "N>M", "c-nd", "cart>-"},
	    {ETH0, "d>b", "M>N", "s-nd", "->db"},
	    {B_PAIR, "d>b", "C>B", "s", "->db"},
	    {OVERLAY, "a>d", NULL, "c-nd", "cart>-"},
	    /* to a service: the address is translated behind the pod's NIC */
	    {A_PAIR, "a>s", "A>C", "c", "cart>-"},
	    /* the host and a pod of its own */
	    {A_PAIR, "n>a", "C>A", "s", "->cart"},
	    {A_PAIR, "a>n", "A>C", "c", "cart>-"},
	    /* the host's own, also what it translates for pods */
	    {ETH0, "n>x", "N>R", "c", "->-"},
	    {ETH0, "x>n", "R>N", "s", "->-"},
	    {ETH0, "n>m", "N>M", "c", "->-"},
	    /* seen by chance */
	    {ETH0, "x>y", "X>Y", "rest", "->-"},
	    {ETH0, "x>y", NULL, "rest", "->-"},
	    /* on loopback */
	    {LO, "n>n", NULL, "local", "->-"},
	    /* a pod's NIC whose namespace could not be looked into: what comes from or goes to the host tells */
	    {A_DARK, "x>y", "A>C", "c", "->-"},
	    {A_DARK, "x>y", "C>A", "s", "->-"},
	    {A_DARK, "x>y", "A>B", "rest", "->-"},
	    {A_DARK, "x>y", NULL, "rest", "->-"},
	    /* not known where it was seen */
	    {NONE, "a>b", "A>C", NULL, "cart>db"},
	};
	struct world w = {0};
	add_host(&w);
	add_pods(&w, true);
	add_pairs(&w, "cali", 'C', 'C');
	add_nic(&w, OVERLAY, "tunl0", "ipip", 0, OWN);
	make(&w, TAP_LOCAL, NULL, 0);
	check(&w, seen, array_size(seen));
	unmake(&w);
}

/* Flannel: pods on a bridge, VXLAN between nodes. */
static void test_flannel(void **state maybe_unused)
{
	static const struct seen seen[] = {
	    /* on one bridge the MACs are the same at both NICs: the pair tells */
	    {A_PAIR, "a>b", "A>B", "c", "cart>db"},
	    {B_PAIR, "a>b", "A>B", "s", "cart>db"},
	    {BRIDGE, "a>b", "A>B", "local", "cart>db"},
	    {A_PAIR, "a>d", "A>G", "c", "cart>-"},
	    {BRIDGE, "a>d", "A>G", "c-nd", "cart>-"},
	    {OVERLAY, "a>d", "F>M", "c-nd", "cart>-"},
	    {ETH0, "a>d", "F>M", "c-nd", "cart>-"}, /* inside the VXLAN packet */
	    {ETH0, "d>b", "M>F", "s-nd", "->db"},
	    {ETH0, "n>m", "N>M", "c", "->-"}, /* the VXLAN packets themselves, where they are not opened */
	    {A_PAIR, "n>a", "G>A", "s", "->cart"},
	    /* DHCP: no address yet, the MAC tells */
	    {A_PAIR, "0>y", "A>*", "c", "cart>-"},
	    {B_PAIR, "0>y", "A>*", "rest", "cart>-"},
	    /* inside the pod */
	    {A_INSIDE, "a>b", "A>B", "c", "cart>db"},
	    {A_INSIDE, "b>a", "B>A", "s", "db>cart"},
	    {A_INSIDE, "x>y", "X>Y", "rest", "->-"},
	    {A_INSIDE, "a>a", "A>A", "local", "cart>cart"},
	    {A_LO, "a>a", NULL, "local", "cart>cart"},
	};
	struct world w = {0};
	add_host(&w);
	add_pods(&w, true);
	add_pairs(&w, "veth", 'U', 'V');
	add_nic(&w, BRIDGE, "cni0", "bridge", 'G', OWN);
	add_nic(&w, OVERLAY, "flannel.1", "vxlan", 'F', OWN);
	add_nic(&w, A_INSIDE, "eth0", "veth", 'A', A_NS);
	add_nic(&w, A_LO, "lo", "", 0, A_NS);
	w.nics[A_LO].loopback = true;
	add_mac(&w, 'G', OWN, "");
	add_mac(&w, 'F', OWN, "");
	make(&w, TAP_LOCAL, NULL, 0);
	check(&w, seen, array_size(seen));
	unmake(&w);
}

/* Cilium: what XDP or sockets hand over is not seen at the pod's NIC, so a flow there has one direction; the first
 * packet decides all the same, also where it is the answer's (client and server are the record's). */
static void test_cilium(void **state maybe_unused)
{
	static const struct seen seen[] = {
	    {A_PAIR, "a>d", "A>U", "c", "cart>-"},
	    {B_PAIR, "d>b", "V>B", "s", "->db"},
	    {ETH0, "a>d", "N>M", "c-nd", "cart>-"},
	    {ETH0, "d>b", "M>N", "s-nd", "->db"},
	};
	struct world w = {0};
	add_host(&w);
	add_pods(&w, true);
	add_pairs(&w, "lxc", 'U', 'V');
	make(&w, TAP_LOCAL, NULL, 0);
	check(&w, seen, array_size(seen));
	unmake(&w);
}

/* IPVlan: pods have the node's MAC, only the uplink is captured. */
static void test_ipvlan(void **state maybe_unused)
{
	static const struct seen seen[] = {
	    {ETH0, "a>d", "N>M", "c-nd", "cart>-"},
	    {ETH0, "d>b", "M>N", "s-nd", "->db"},
	    {ETH0, "n>x", "N>R", "c", "->-"},
	    {ETH0, "x>n", "R>N", "s", "->-"},
	    /* a pod that is not known: behind the node's MAC, and not the node */
	    {ETH0, "s>x", "N>R", "c-nd", "->-"},
	    {ETH0, "x>s", "R>N", "s-nd", "->-"},
	    {ETH0, "x>y", "R>X", "rest", "->-"},
	};
	struct world w = {0};
	add_host(&w);
	add_pods(&w, false);
	make(&w, TAP_LOCAL, NULL, 0);
	check(&w, seen, array_size(seen));
	unmake(&w);
}

/* macvlan: pods with MACs of their own on the uplink. In mode 1 the uplink's traffic is that of their NICs. */
static void test_macvlan(void **state maybe_unused)
{
	static const struct seen mirror[] = {
	    {ETH0, "a>b", "A>B", "local", "cart>db"}, /* once, for both ends */
	    {ETH0, "a>d", "A>M", "c", "cart>-"},
	    {ETH0, "d>b", "M>B", "s", "->db"},
	    {ETH0, "a>x", "A>R", "c", "cart>-"},
	    {ETH0, "a>b", "R>B", "local", "cart>db"}, /* sent back by the switch or a router */
	    {ETH0, "n>x", "N>R", "c", "->-"},
	    {ETH0, "x>n", "R>N", "s", "->-"},
	    {ETH0, "d>x", "M>R", "rest", "->-"},
	    /* a MAC alone: an address that the pod has, but that was not learned */
	    {ETH0, "s>x", "A>R", "c", "->-"},
	    {ETH0, "l>l", "A>B", "local", "cart>db"},
	    {ETH0, "0>y", "A>*", "c", "cart>-"},
	    {NONE, "a>d", "A>M", "c", "cart>-"}, /* from a DPDK ring */
	};
	static const struct seen local[] = {
	    {ETH0, "a>b", "A>B", "local", "cart>db"},
	    {ETH0, "a>d", "A>M", "c-nd", "cart>-"},
	    {ETH0, "d>b", "M>B", "s-nd", "->db"},
	    {ETH0, "n>x", "N>R", "c", "->-"},
	};
	struct world w = {0}, v = {0};
	add_host(&w);
	add_pods(&w, true);
	make(&w, TAP_VIRTUAL_MIRROR, NULL, 0);
	check(&w, mirror, array_size(mirror));
	unmake(&w);
	add_host(&v);
	add_pods(&v, true);
	make(&v, TAP_LOCAL, NULL, 0);
	check(&v, local, array_size(local));
	unmake(&v);
}

/* Hyper-V, ESXi's local SPAN, a mirror through a tunnel: machines by a list, nothing is learned. */
static void test_mirror_by_list(void **state maybe_unused)
{
	static const char *const entries[] = {
	    "02:00:00:00:01:41 = shop/cart (Deployment/cart)", /* A */
	    "10.0.0.2 = shop/db",                              /* b */
	    "02:00:00:00:01:4d, 10.0.1.1 = far @elsewhere",    /* M, d */
	};
	static const struct seen mirror[] = {
	    {ETH0, "a>x", "A>R", "c", "shop/cart,Deployment/cart>-"},
	    {ETH0, "x>b", "R>B", "s", "->shop/db"},
	    {ETH0, "a>b", "A>B", "local", "shop/cart,Deployment/cart>shop/db"},
	    {ETH0, "a>d", "A>M", "c", "shop/cart,Deployment/cart>far"},
	    {ETH0, "d>x", "M>R", "rest", "far>-"},
	    {ETH0, "d>b", "M>B", "s", "far>shop/db"},
	    {ETH0, "x>y", "A>M", "c", "shop/cart,Deployment/cart>far"},
	    {ETH0, "b>x", "A>R", "c", "shop/db>-"}, /* the address goes before the MAC */
	    {ETH0, "x>y", "X>Y", "rest", "->-"},
	};
	static const struct seen analyzer[] = {
	    {ETH0, "a>b", "A>B", "rest", "shop/cart,Deployment/cart>shop/db"},
	    {ETH0, "d>x", "M>R", "rest", "far>-"},
	    {ETH0, "x>y", "X>Y", "rest", "->-"},
	    {NONE, "x>y", NULL, "rest", "->-"},
	};
	static const struct seen local[] = {
	    {ETH0, "b>x", "X>R", "c-nd", "shop/db>-"},
	    {ETH0, "x>y", "R>A", "s-nd", "->shop/cart,Deployment/cart"},
	    {ETH0, "d>x", "M>R", "rest", "far>-"},
	};
	static const struct {
		unsigned mode;
		const struct seen *seen;
		size_t count;
	} modes[] = {
	    {TAP_VIRTUAL_MIRROR, mirror, array_size(mirror)},
	    {TAP_PHYSICAL_MIRROR, analyzer, array_size(analyzer)},
	    {TAP_LOCAL, local, array_size(local)},
	};
	for (size_t i = 0; i < array_size(modes); i++) {
		struct world w = {0};
		add_nic(&w, ETH0, "eth0", "", 'N', OWN);
		make(&w, modes[i].mode, entries, array_size(entries));
		check(&w, modes[i].seen, modes[i].count);
		unmake(&w);
	}
}

/* A flow's owners are those of its start. */
static void test_address_that_moves(void **state maybe_unused)
{
	static const struct seen seen[] = {
	    {ETH0, "a>x", "A>R", "c", "cart>-"},
	    {ETH0, "a>x", "A>R", "c", "cart>-", 59 * NS_PER_S},
	    {ETH0, "a>x", "B>R", "c", "next>-", 60 * NS_PER_S},
	    {ETH0, "a>x", "B>R", "c", "next>-", 99 * NS_PER_S},
	    {ETH0, "a>x", "R>R", "rest", "->-", 120 * NS_PER_S},
	    {ETH0, "a>x", "A>R", "c", "cart>-", -NS_PER_S}, /* before it was learned */
	};
	struct world w = {0};
	add_host(&w);
	add_address(&w, 'a', 'A', A_NS, "cart");
	assert_int_equal(owners_end(&w.owners, T0), 1);
	add_host(&w);
	add_address(&w, 'a', 'B', B_NS, "next");
	assert_int_equal(owners_end(&w.owners, T0 + 60 * NS_PER_S), 1);
	add_host(&w);
	assert_int_equal(owners_end(&w.owners, T0 + 120 * NS_PER_S), 1);
	add_host(&w);
	make(&w, TAP_VIRTUAL_MIRROR, NULL, 0);
	check(&w, seen, array_size(seen));
	unmake(&w);
}

/* QEMU through libvirt: the tap has the guest's MAC with fe in front. */
static void test_guest(void **state maybe_unused)
{
	static const struct seen seen[] = {
	    {TAP, "x>y", "T>R", "c", "->-"},
	    {TAP, "x>y", "R>T", "s", "->-"},
	    {TAP, "x>y", "R>X", "rest", "->-"},
	    {TAP, "x>y", NULL, "rest", "->-"},
	};
	struct world w = {0};
	add_host(&w);
	add_nic(&w, TAP, "tap0", "tun", 'T', OWN);
	w.nics[TAP].mac[0] = 0xfe;
	make(&w, TAP_LOCAL, NULL, 0);
	check(&w, seen, array_size(seen));
	unmake(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_calico),
	    cmocka_unit_test(test_flannel),
	    cmocka_unit_test(test_cilium),
	    cmocka_unit_test(test_ipvlan),
	    cmocka_unit_test(test_macvlan),
	    cmocka_unit_test(test_mirror_by_list),
	    cmocka_unit_test(test_address_that_moves),
	    cmocka_unit_test(test_guest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
