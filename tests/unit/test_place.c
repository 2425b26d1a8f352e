/* Settings of tap modes: patterns, rules of tap types, entries of owners, and which NICs are picked. */
#include "place_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define DEEPFLOW_DEFAULT "^(tap.*|cali.*|veth.*|eth.*|en[osipx].*|lxc.*|lo|[0-9a-f]+_h)$"

static char *texts(const char *s)
{
	return (char *)(uintptr_t)s;
}

#define LIST(...)                                                                                                      \
	(struct option_list)                                                                                           \
	{                                                                                                              \
		(char *[]){__VA_ARGS__}, sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)                              \
	}

static struct place *open_good(const struct place_settings *s)
{
	struct place *p = NULL;
	struct error e = {.text = ""};
	if (place_open(&p, s, &e) != 0)
		fail_msg("%s", e.text);
	return p;
}

static void test_pattern_finds_anywhere_within_bounds(void **state maybe_unused)
{
	struct pattern *p;
	struct error e;
	assert_int_equal(pattern_compile(&p, "eth0", &e), 0);
	assert_int_equal(pattern_find(p, "eth0"), 1);
	assert_int_equal(pattern_find(p, "veth01"), 1);
	assert_int_equal(pattern_find(p, "eth1"), 0);
	pattern_free(p);
	assert_int_equal(pattern_compile(&p, "", &e), 0);
	assert_int_equal(pattern_find(p, "anything"), 1);
	pattern_free(p);
	/* 2^25 ways to split it, and none matches */
	assert_int_equal(pattern_compile(&p, "^(a|a|b)*(a|a)*$", &e), 0);
	assert_int_equal(pattern_find(p, "aaaaaaaaaaaaaaaaaaaaaaaaac"), -E2BIG);
	pattern_free(p);
	assert_int_equal(pattern_compile(&p, "eth(0", &e), -EINVAL);
	assert_string_equal(e.text,
			    "the pattern 'eth(0' does not compile: missing closing parenthesis, at character 6");
	assert_int_equal(pattern_compile(&p, "[", &e), -EINVAL);
	assert_int_equal(pattern_compile(&p, "\\C", &e), -EINVAL);
	char *huge = malloc(70001);
	memset(huge, 'a', 70000);
	huge[70000] = 0;
	assert_int_equal(pattern_compile(&p, huge, &e), -EINVAL);
	free(huge);
}

/* Names of interfaces that the projects named in DeepFlow's documents give, and others. */
static void test_default_pattern(void **state maybe_unused)
{
	const char *in[] = {
	    "lo",         "eth0",     "ens3",        "enp0s31f6",  "eno1",       "eni-0", "enx001122334455",
	    "tap7f3c-1a", "vethab12", "cali1234567", "lxc_health", "0a1b2c3d_h", "tapx"};
	const char *out[] = {"docker0", "cni0",   "flannel.1", "bond0", "wlan0", "lo1",
			     "ib0",     "br-int", "tunl0",     "0g_h",  "_h"};
	struct place_settings s = {.interface_regex = texts(DEEPFLOW_DEFAULT)};
	struct place *p = open_good(&s);
	for (size_t i = 0; i < array_size(in); i++)
		assert_int_equal(place_pick(p, in[i]), NIC_BY_PATTERN);
	for (size_t i = 0; i < array_size(out); i++)
		assert_int_equal(place_pick(p, out[i]), NIC_NOT_MATCHED);
	place_close(p);
}

static void test_selection_by_mode(void **state maybe_unused)
{
	char eth0[] = "eth0", ens[] = "ens3", lo[] = "lo";
	struct option_list only = LIST(lo);
	struct place_settings s = {.interface_regex = texts("^eth"), .src_interfaces = LIST(ens)};
	static const struct {
		unsigned mode;
		bool list, only;
		enum nic_why eth0, ens3, lo;
	} cases[] = {
	    {TAP_LOCAL, true, false, NIC_BY_PATTERN, NIC_NOT_MATCHED, NIC_NOT_MATCHED},
	    {TAP_VIRTUAL_MIRROR, true, false, NIC_NOT_LISTED, NIC_BY_LIST, NIC_NOT_LISTED},
	    {TAP_VIRTUAL_MIRROR, false, false, NIC_BY_PATTERN, NIC_NOT_MATCHED, NIC_NOT_MATCHED},
	    {TAP_PHYSICAL_MIRROR, true, false, NIC_NOT_LISTED, NIC_BY_LIST, NIC_NOT_LISTED},
	    {TAP_PHYSICAL_MIRROR, false, false, NIC_BY_PATTERN, NIC_NOT_MATCHED, NIC_NOT_MATCHED},
	    {TAP_LOCAL, true, true, NIC_NOT_NAMED, NIC_NOT_NAMED, NIC_BY_COMMAND},
	    {TAP_PHYSICAL_MIRROR, true, true, NIC_NOT_NAMED, NIC_NOT_NAMED, NIC_BY_COMMAND},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		struct place_settings t = s;
		t.tap_mode = cases[i].mode;
		if (!cases[i].list)
			t.src_interfaces = (struct option_list){0};
		if (cases[i].only)
			t.only = only;
		struct place *p = open_good(&t);
		assert_int_equal(place_pick(p, eth0), cases[i].eth0);
		assert_int_equal(place_pick(p, ens), cases[i].ens3);
		assert_int_equal(place_pick(p, lo), cases[i].lo);
		assert_true(NIC_BY_COMMAND < NIC_PICKED && NIC_BY_LIST < NIC_PICKED && NIC_BY_PATTERN < NIC_PICKED);
		place_close(p);
	}
}

static void test_namespaces_by_name_or_host(void **state maybe_unused)
{
	struct place_settings s = {.netns_regex = texts("^(cni-|web)")};
	struct place *p = open_good(&s);
	assert_true(place_selects(p, "cni-1234", ""));
	assert_true(place_selects(p, "", "web-7d9f"));
	assert_true(place_selects(p, "other", "web-7d9f"));
	assert_false(place_selects(p, "other", "cart"));
	assert_false(place_selects(p, "", ""));
	place_close(p);
	s.netns_regex = texts("");
	p = open_good(&s);
	assert_false(place_selects(p, "cni-1234", "web"));
	place_close(p);
}

static void test_settings_that_are_wrong(void **state maybe_unused)
{
	char no_rule[] = "vlan 5000 = x", no_owner[] = "10.0.0.1 shop", one[] = "10.0.0.1, 02:00:00:00:00:01 = a",
	     two[] = "02-00-00-00-00-01 = b", long_name[80];
	memset(long_name, 'n', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = 0;
	struct {
		struct place_settings s;
		const char *text;
	} cases[] = {
	    {{.interface_regex = texts("a(")},
	     "'tap_interface_regex' is wrong: the pattern 'a(' does not compile: missing closing parenthesis, at "
	     "character 3"},
	    {{.netns_regex = texts("*")},
	     "'extra_netns_regex' is wrong: the pattern '*' does not compile: quantifier does not follow a repeatable "
	     "item, at character 1"},
	    {{.tap_types = LIST(no_rule)},
	     "'tap.types' is wrong: in 'vlan 5000 = x': behind 'vlan' a number or a range from 0 to 4095 is expected, "
	     "not '5000'"},
	    {{.owners = LIST(no_owner)},
	     "'tap.owners' is wrong: in '10.0.0.1 shop' the '=' is missing: KEY = [NAMESPACE/]NAME"},
	    {{.owners = LIST(one, two)},
	     "'tap.owners' is wrong: 02:00:00:00:00:01 stands in '10.0.0.1, 02:00:00:00:00:01 = a' and in "
	     "'02-00-00-00-00-01 = b'"},
	    {{.tap_type_default = long_name}, "'static_config.default-tap-type' is longer than 64 bytes"},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		struct place *p = NULL;
		struct error e = {.text = ""};
		assert_int_equal(place_open(&p, &cases[i].s, &e), -EINVAL);
		assert_string_equal(e.text, cases[i].text);
		assert_null(p);
	}
}

static void test_owner_entries(void **state maybe_unused)
{
	static const struct {
		const char *text, *pod, *pod_ns, *workload, *host, *keys;
	} good[] = {
	    {"02:00:00:00:00:01 = shop/cart-7d9f (Deployment/cart)", "cart-7d9f", "shop", "Deployment/cart", NULL,
	     "02:00:00:00:00:01 "},
	    {"10.1.2.3=db", "db", NULL, NULL, NULL, "10.1.2.3 "},
	    {" 02-AB-00-00-00-0f ,10.1.2.3,\t2001:DB8::1 =  a/b  @node-2 ", "b", "a", NULL, "node-2",
	     "02:ab:00:00:00:0f 10.1.2.3 2001:db8::1 "},
	    {"::ffff:1.2.3.4 = x (a b) @h", "x", NULL, "a b", "h", "::ffff:1.2.3.4 "},
	    {"fe80::1 = Rechner-ä", "Rechner-ä", NULL, NULL, NULL, "fe80::1 "},
	};
	for (size_t i = 0; i < array_size(good); i++) {
		struct owner_entry entry;
		struct error e = {.text = ""};
		char keys[256] = "", text[OWNER_KEY_TEXT_MAX];
		if (owner_entry_parse(&entry, good[i].text, &e) != 0)
			fail_msg("%s", e.text);
		assert_string_equal(entry.pod, good[i].pod);
		const char *found[] = {entry.pod_ns, entry.workload, entry.host};
		const char *wanted[] = {good[i].pod_ns, good[i].workload, good[i].host};
		for (unsigned k = 0; k < 3; k++) {
			assert_int_equal(!found[k], !wanted[k]);
			if (wanted[k])
				assert_string_equal(found[k], wanted[k]);
		}
		for (unsigned k = 0; k < entry.key_count; k++) {
			owner_key_print(&entry.keys[k], text);
			strcat(strcat(keys, text), " ");
		}
		assert_string_equal(keys, good[i].keys);
		owner_entry_clear(&entry);
	}
	static const char *const bad[] = {
	    "",
	    "=",
	    "= a",
	    "10.0.0.1 =",
	    "10.0.0.1, = a",
	    "10.0.0.1,,10.0.0.2 = a",
	    "10.0.0.256 = a",
	    "10.0.0.1/24 = a",
	    "02:00:00:00:00 = a",
	    "02:00:00:00:00:01:02 = a",
	    "02:00-00:00:00:01 = a",
	    "0g:00:00:00:00:01 = a",
	    "01:00:5e:00:00:01 = a", /* group */
	    "ff:ff:ff:ff:ff:ff = a",
	    "00:00:00:00:00:00 = a",
	    "0.0.0.0 = a",
	    "127.0.0.1 = a",
	    "::1 = a",
	    "224.0.0.1 = a",
	    "ff02::1 = a",
	    "10.0.0.1 = /a",
	    "10.0.0.1 = a/",
	    "10.0.0.1 = a/b/c",
	    "10.0.0.1 = a b",
	    "10.0.0.1 = a (b",
	    "10.0.0.1 = a ()",
	    "10.0.0.1 = a (b) c",
	    "10.0.0.1 = a @",
	    "10.0.0.1 = a @h (b)",
	    "10.0.0.1 = a = b",
	};
	for (size_t i = 0; i < array_size(bad); i++) {
		struct owner_entry entry;
		struct error e = {.text = ""};
		assert_int_equal(owner_entry_parse(&entry, bad[i], &e), -EINVAL);
		assert_true(strlen(e.text) > 10);
	}
	char many[8 + 12 * (OWNER_KEYS_MAX + 1)] = "";
	for (unsigned i = 0; i <= OWNER_KEYS_MAX; i++)
		strcat(strcat(many, i ? "," : ""), "10.0.0.1");
	strcat(many, "=a");
	struct owner_entry entry;
	assert_int_equal(owner_entry_parse(&entry, many, NULL), -EINVAL);
}

static void test_hosts(void **state maybe_unused)
{
	char host[65] = "";
	assert_int_equal(gethostname(host, sizeof host - 1), 0);
	struct place *p = open_good(&(struct place_settings){0});
	assert_true(place_is_here(p, NULL));
	assert_true(place_is_here(p, host));
	assert_false(place_is_here(p, "surely-another-host"));
	place_close(p);
}

/* --- rules --- */

static const struct tunnel vxlan_42 = {.type = TUNNEL_VXLAN, .id = 42}, gre_9 = {.type = TUNNEL_GRE, .id = 9},
			   erspan_5 = {.type = TUNNEL_ERSPAN_II, .id = 5}, nvgre_7 = {.type = TUNNEL_NVGRE, .id = 7},
			   ipip = {.type = TUNNEL_IPIP};

#define TCI(pcp, vid) (uint16_t)((pcp) << 13 | (vid))

struct traffic {
	const char *nic, *expected; /* NULL: none */
	unsigned vlan_count, tunnel_count;
	uint16_t vlan[4];
	const struct tunnel *tunnel[4];
};

static void check_rules(const struct option_list *rules, const char *initial, const struct traffic *t, size_t count)
{
	struct tap_rules *compiled = NULL;
	struct error e = {.text = ""};
	if (tap_rules_compile(&compiled, rules, initial, &e) != 0)
		fail_msg("%s", e.text);
	for (size_t i = 0; i < count; i++) {
		struct tunnel tunnels[4];
		for (unsigned k = 0; k < t[i].tunnel_count; k++)
			tunnels[k] = *t[i].tunnel[k];
		struct place_input in = {
		    .vlan = t[i].vlan,
		    .vlan_count = (uint8_t)t[i].vlan_count,
		    .tunnel = tunnels,
		    .tunnel_count = (uint8_t)t[i].tunnel_count,
		};
		uint16_t name = 0, rule = TAP_NO_RULE;
		if (t[i].nic)
			tap_rules_nic(compiled, t[i].nic, &name, &rule);
		struct text found = tap_rules_find(compiled, &in, name, rule);
		if (!t[i].expected ? found.at != NULL : !found.at || !text_is(found, t[i].expected))
			fail_msg("traffic %zu is '%.*s', not '%s'", i, (int)found.len, found.at ? found.at : "",
				 t[i].expected ? t[i].expected : "");
	}
	tap_rules_free(compiled);
}

static void test_rules_one_condition_each(void **state maybe_unused)
{
	struct option_list rules =
	    LIST(texts("vlan 100 = core-a"), texts("inner-vlan 7 = tenant 7"), texts("pcp 3=voice"),
		 texts("erspan 5 = span"), texts("gre-key 9 = gre"), texts("vni 40-49 = overlay"),
		 texts("nic eth2 = tap two"), texts("vlan 0x10-0x1F = low"));
	static const struct traffic traffic[] = {
	    {.expected = NULL},
	    {.vlan_count = 1, .vlan = {TCI(0, 100)}, .expected = "core-a"},
	    {.vlan_count = 1, .vlan = {TCI(5, 100)}, .expected = "core-a"},
	    {.vlan_count = 1, .vlan = {TCI(0, 101)}},
	    {.vlan_count = 1, .vlan = {TCI(0, 7)}}, /* the only tag is the outer one */
	    {.vlan_count = 2, .vlan = {TCI(0, 1), TCI(0, 7)}, .expected = "tenant 7"},
	    {.vlan_count = 3, .vlan = {TCI(0, 1), TCI(0, 2), TCI(0, 7)}},
	    {.vlan_count = 2, .vlan = {TCI(0, 100), TCI(0, 7)}, .expected = "core-a"}, /* the first rule */
	    {.vlan_count = 2, .vlan = {TCI(0, 1), TCI(3, 1)}},                         /* priority of the outer tag */
	    {.vlan_count = 2, .vlan = {TCI(3, 1), TCI(0, 1)}, .expected = "voice"},
	    {.vlan_count = 1, .vlan = {TCI(0, 16)}, .expected = "low"},
	    {.vlan_count = 1, .vlan = {TCI(0, 31)}, .expected = "low"},
	    {.vlan_count = 1, .vlan = {TCI(0, 32)}},
	    {.vlan_count = 1, .vlan = {TCI(1, 31)}, .nic = "eth2", .expected = "tap two"},
	    {.nic = "eth2", .expected = "tap two"},
	    {.nic = "eth22"},
	    {.tunnel_count = 1, .tunnel = {&erspan_5}, .expected = "span"},
	    {.tunnel_count = 1, .tunnel = {&gre_9}, .expected = "gre"},
	    {.tunnel_count = 1, .tunnel = {&vxlan_42}, .expected = "overlay"},
	    {.tunnel_count = 1, .tunnel = {&nvgre_7}},
	    {.tunnel_count = 1, .tunnel = {&ipip}},
	    {.tunnel_count = 2, .tunnel = {&ipip, &gre_9}, .expected = "gre"},
	    {.tunnel_count = 2, .tunnel = {&vxlan_42, &erspan_5}, .expected = "span"},
	    {.tunnel_count = 1, .tunnel = {&gre_9}, .nic = "eth2", .expected = "gre"},
	    {.tunnel_count = 1, .tunnel = {&ipip}, .nic = "eth2", .expected = "tap two"},
	};
	check_rules(&rules, NULL, traffic, array_size(traffic));
}

static void test_rules_together_and_in_order(void **state maybe_unused)
{
	struct option_list rules =
	    LIST(texts("vlan 100 pcp 5 = a"), texts("nic eth0 vlan 100 = b"), texts("vlan 100-200 = c"),
		 texts("vlan 150 = never"), texts("nic eth0 vni 42 vlan 1 inner-vlan 2 = d"), texts("vni 42 = e"),
		 texts("nic eth0 = f"), texts("gre-key 0-0xffffffff = g"));
	static const struct traffic traffic[] = {
	    {.vlan_count = 1, .vlan = {TCI(5, 100)}, .nic = "eth0", .expected = "a"},
	    {.vlan_count = 1, .vlan = {TCI(4, 100)}, .nic = "eth0", .expected = "b"},
	    {.vlan_count = 1, .vlan = {TCI(4, 100)}, .nic = "eth1", .expected = "c"},
	    {.vlan_count = 1, .vlan = {TCI(0, 150)}, .expected = "c"},
	    {.vlan_count = 2,
	     .vlan = {TCI(0, 1), TCI(0, 2)},
	     .tunnel_count = 1,
	     .tunnel = {&vxlan_42},
	     .nic = "eth0",
	     .expected = "d"},
	    {.vlan_count = 2,
	     .vlan = {TCI(0, 1), TCI(0, 3)},
	     .tunnel_count = 1,
	     .tunnel = {&vxlan_42},
	     .nic = "eth0",
	     .expected = "e"},
	    {.tunnel_count = 1, .tunnel = {&vxlan_42}, .expected = "e"},
	    {.nic = "eth0", .expected = "f"},
	    {.nic = "eth1", .expected = "rest of it"},
	    {.tunnel_count = 1, .tunnel = {&gre_9}, .expected = "g"},
	};
	check_rules(&rules, "rest of it", traffic, array_size(traffic));
	struct option_list none = {0};
	static const struct traffic plain[] = {{.vlan_count = 1, .vlan = {TCI(0, 100)}, .expected = NULL}};
	check_rules(&none, "", plain, 1);
}

static void test_rules_that_are_wrong(void **state maybe_unused)
{
	static const char *const bad[] = {
	    "",
	    "=",
	    "= a",
	    "vlan 100",
	    "vlan 100 =",
	    "vlan 100 =  ",
	    "vlan = a",
	    "vlan x = a",
	    "vlan 4096 = a",
	    "vlan -1 = a",
	    "vlan 5- = a",
	    "vlan 6-5 = a",
	    "vlan 1-4096 = a",
	    "vlan 1 2 = a",
	    "vlan 1,2 = a",
	    "vlan 0x = a",
	    "vlan 1a = a",
	    "pcp 8 = a",
	    "erspan 1024 = a",
	    "vni 16777216 = a",
	    "gre-key 4294967296 = a",
	    "gre-key 18446744073709551616 = a",
	    "nic = a",
	    "nic a-name-of-sixteen = a",
	    "colour 3 = a",
	    "VLAN 3 = a",
	    "vlan 1 vlan 1 vlan 1 vlan 1 vlan 1 vlan 1 vlan 1 vlan 1 vlan 1 = a",
	    "vlan 1 = 12345678901234567890123456789012345678901234567890123456789012345",
	};
	struct error e;
	for (size_t i = 0; i < array_size(bad); i++) {
		e.text[0] = 0;
		assert_int_equal(tap_rule_check(bad[i], &e), -EINVAL);
		assert_true(strlen(e.text) > 10);
	}
	assert_int_equal(tap_rule_check("gre-key 4294967295 = a", &e), 0);
	assert_int_equal(tap_rule_check("\tvlan\t1\t=\ta", &e), 0);
	assert_int_equal(
	    tap_rule_check("vlan 1 = 1234567890123456789012345678901234567890123456789012345678901234", &e), 0);
	assert_int_equal(tap_rule_check("kind 3 = a", &e), -EINVAL);
	assert_string_equal(e.text, "in 'kind 3 = a': 'kind' is no condition; there are vlan, inner-vlan, pcp, erspan, "
				    "gre-key, vni, nic");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pattern_finds_anywhere_within_bounds),
	    cmocka_unit_test(test_default_pattern),
	    cmocka_unit_test(test_selection_by_mode),
	    cmocka_unit_test(test_namespaces_by_name_or_host),
	    cmocka_unit_test(test_settings_that_are_wrong),
	    cmocka_unit_test(test_owner_entries),
	    cmocka_unit_test(test_hosts),
	    cmocka_unit_test(test_rules_one_condition_each),
	    cmocka_unit_test(test_rules_together_and_in_order),
	    cmocka_unit_test(test_rules_that_are_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
