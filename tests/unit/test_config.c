/* config: each kind of fault at its exact line and column, files of the DeepFlow agent, and that what is printed loads
 * again to the same. */
#include "config.h"
#include "engine.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct settings {
	bool enabled;
	uint64_t count, mask;
	int64_t timeout_ns, others_ns;
	uint64_t memory;
	char *filter, *regex;
	unsigned mode;
	uint64_t decap, protocols;
	struct option_list devices;
	struct option_map ports;
};

static const char *const mode_names[] = {"local", "mirror", "analyzer", NULL};
static const int mode_numbers[] = {0, 1, 2};
static const char *const tunnel_names[] = {"VXLAN", "IPIP", "GRE", "NVGRE", "6in4", NULL};
static const int tunnel_numbers[] = {1, 2, 3, -1, 2}; /* one number may stand for several */
static const char *const protocol_names[] = {"HTTP", "DNS", NULL};

#define AT(member) offsetof(struct settings, member)

/* As a room would check its own language. */
static int check_no_bang(const char *text, struct error *e)
{
	return strchr(text, '!') ? error_set(e, -EINVAL, "no '!' allowed in '%s'", text) : 0;
}

static const struct option first_options[] = {
    {"enabled", NULL, OPTION_BOOL, AT(enabled), "false", 0, 0, NULL, NULL, NULL, "Whether."},
    {"count", "other_count", OPTION_UINT, AT(count), "4", 1, 64, "threads", NULL, NULL, "How many."},
    {"mask", NULL, OPTION_UINT, AT(mask), "0", 0, UINT64_MAX, NULL, NULL, NULL, "Any number."},
    {"max_memory", NULL, OPTION_BYTES, AT(memory), "768", 128000000, UINT64_C(100000000000), "MB", NULL, NULL,
     "Memory."},
    {"capture_bpf", NULL, OPTION_STRING, AT(filter), "", 0, 0, NULL, NULL, NULL, "A filter."},
    {"tap_mode", NULL, OPTION_ENUM, AT(mode), "local", 0, 0, NULL, mode_names, mode_numbers,
     "Where. This meaning is so long that it has to be broken over several lines of the comment, as happens to the "
     "longer ones that people write when an option needs explaining at some length."},
    {"decap_type", NULL, OPTION_SET, AT(decap), "[VXLAN, IPIP]", 0, 0, NULL, tunnel_names, tunnel_numbers, "Tunnels."},
    {0},
};

static const struct option second_options[] = {
    {"static_config.flow.established-timeout", NULL, OPTION_DURATION, AT(timeout_ns), "300s", NS_PER_S,
     (uint64_t)NS_PER_S * 86400, "s", NULL, NULL, "Timeout."},
    {"static_config.flow.others-timeout", "processors.timeouts.others", OPTION_DURATION, AT(others_ns), "5s", 0, 0,
     NULL, NULL, NULL, "Timeout."},
    {"static_config.src-interfaces", NULL, OPTION_STRINGS, AT(devices), "", 0, 0, NULL, NULL, NULL, "Interfaces.",
     check_no_bang},
    {"static_config.l7-protocol-enabled", NULL, OPTION_SET, AT(protocols), "[HTTP, DNS]", 0, 0, NULL, protocol_names,
     NULL, "Protocols."},
    {"static_config.l7-protocol-ports", NULL, OPTION_PORTS, AT(ports), "{DNS: \"53\"}", 0, 0, NULL, protocol_names,
     NULL, "Ports."},
    {"tap_interface_regex", NULL, OPTION_STRING, AT(regex), "^(tap.*|lo|[0-9a-f]+_h)$", 0, 0, NULL, NULL, NULL,
     "Names.", check_no_bang},
    {0},
};

struct fixture {
	struct settings settings;
	struct option_table tables[3];
	struct buffer faults, warnings; /* one a line */
};

static void tell(struct buffer *b, const char *message)
{
	assert_null(strchr(message, '\n'));
	assert_int_equal(buffer_printf(b, "%s\n", message), 0);
}

static void tell_fault(void *ctx, const char *message)
{
	tell(&((struct fixture *)ctx)->faults, message);
}

static void tell_warning(void *ctx, const char *message)
{
	tell(&((struct fixture *)ctx)->warnings, message);
}

static void fixture_open(struct fixture *f)
{
	*f = (struct fixture){.tables = {{"first", first_options, NULL}, {"second", second_options, NULL}, {0}}};
	f->tables[0].settings = f->tables[1].settings = &f->settings;
	assert_int_equal(config_defaults(f->tables), 0);
}

static void fixture_close(struct fixture *f)
{
	config_clear(f->tables);
	assert_null(f->settings.filter);
	assert_null(f->settings.devices.item);
	assert_null(f->settings.ports.item);
	buffer_free(&f->faults);
	buffer_free(&f->warnings);
}

static int load_bytes(struct fixture *f, const char *text, size_t len)
{
	/* a copy of exactly that size, so that a sanitizer sees a read past its end */
	char *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, text, len);
	f->faults.len = f->warnings.len = 0;
	int r = config_load_text(f->tables, "F", copy, len, tell_fault, tell_warning, f);
	free(copy);
	assert_int_equal(buffer_put(&f->faults, "", 1), 0);
	assert_int_equal(buffer_put(&f->warnings, "", 1), 0);
	return r;
}

static int load(struct fixture *f, const char *text)
{
	return load_bytes(f, text, strlen(text));
}

static void test_defaults(void **state maybe_unused)
{
	struct fixture f;
	fixture_open(&f);
	const struct settings *s = &f.settings;
	assert_false(s->enabled);
	assert_int_equal(s->count, 4);
	assert_int_equal(s->memory, 768000000);
	assert_string_equal(s->filter, "");
	assert_string_equal(s->regex, "^(tap.*|lo|[0-9a-f]+_h)$");
	assert_int_equal(s->mode, 0);
	assert_int_equal(s->decap, 3);
	assert_int_equal(s->protocols, 3);
	assert_int_equal(s->timeout_ns, 300 * NS_PER_S);
	assert_int_equal(s->others_ns, 5 * NS_PER_S);
	assert_int_equal(s->devices.count, 0);
	assert_int_equal(s->ports.count, 1);
	assert_string_equal(s->ports.item[0].name, "DNS");
	assert_string_equal(s->ports.item[0].value, "53");
	assert_int_equal(config_defaults(f.tables), 0); /* again: nothing is lost */
	fixture_close(&f);
}

static void test_every_type_is_set(void **state maybe_unused)
{
	struct fixture f;
	fixture_open(&f);
	assert_int_equal(load(&f, "enabled: true\n"
				  "other_count: 0x10\n"
				  "mask: 18446744073709551615\n"
				  "max_memory: 1.5GiB\n"
				  "capture_bpf: \"tcp and port 80 # not a comment\"\n"
				  "tap_mode: Analyzer\n"
				  "decap_type: [3, nvgre]\n"
				  "tap_interface_regex: 'it''s [x]'\n"
				  "static_config:\n"
				  "  flow:\n"
				  "    established-timeout: 2m\n"
				  "    others-timeout: 1.5s\n"
				  "  src-interfaces:\n"
				  "  - eth0\n"
				  "  - \"\"\n"
				  "  l7-protocol-enabled: []\n"
				  "  l7-protocol-ports:\n"
				  "    http: 80, 1000-2000\n"
				  "    DNS: [53, 5353-5354]\n"),
			 0);
	assert_string_equal(f.faults.at, "");
	assert_string_equal(f.warnings.at, "");
	const struct settings *s = &f.settings;
	assert_true(s->enabled);
	assert_int_equal(s->count, 16);
	assert_true(s->mask == UINT64_MAX);
	assert_int_equal(s->memory, 3u << 29);
	assert_string_equal(s->filter, "tcp and port 80 # not a comment");
	assert_string_equal(s->regex, "it's [x]");
	assert_int_equal(s->mode, 2);
	assert_int_equal(s->decap, 4 | 8);
	assert_int_equal(s->protocols, 0);
	assert_int_equal(s->timeout_ns, 120 * NS_PER_S);
	assert_int_equal(s->others_ns, 1500 * NS_PER_MS);
	assert_int_equal(s->devices.count, 2);
	assert_string_equal(s->devices.item[0], "eth0");
	assert_string_equal(s->devices.item[1], "");
	assert_int_equal(s->ports.count, 2);
	assert_string_equal(s->ports.item[0].name, "HTTP");
	assert_string_equal(s->ports.item[0].value, "80,1000-2000");
	assert_string_equal(s->ports.item[1].value, "53,5353-5354");
	fixture_close(&f);
}

static void test_quantities(void **state maybe_unused)
{
	static const struct {
		const char *assignment;
		int64_t value; /* -1: refused */
	} cases[] = {
	    {"static_config.flow.established-timeout=7", 7000000000}, /* a bare number counts in s */
	    {"static_config.flow.established-timeout=1000ms", 1000000000},
	    {"static_config.flow.established-timeout=1000000us", 1000000000},
	    {"static_config.flow.established-timeout=1000000001ns", 1000000001},
	    {"static_config.flow.established-timeout=1h", 3600000000000},
	    {"static_config.flow.established-timeout=\"3 m\"", 180000000000},
	    {"static_config.flow.established-timeout=1.25", 1250000000},
	    {"static_config.flow.established-timeout=1.000000001s", 1000000001},
	    {"static_config.flow.established-timeout=86400", 86400000000000}, /* the most */
	    {"static_config.flow.established-timeout=86400.000000001", -1},
	    {"static_config.flow.established-timeout=999999999ns", -1}, /* the least is 1 s */
	    {"static_config.flow.established-timeout=-5", -1},
	    {"static_config.flow.established-timeout=1.", -1},
	    {"static_config.flow.established-timeout=.5", -1},
	    {"static_config.flow.established-timeout=1.5ns", -1},
	    {"static_config.flow.established-timeout=1S", -1},
	    {"static_config.flow.established-timeout=1e3", -1},
	    {"static_config.flow.established-timeout=99999999999999999999", -1},
	    {"static_config.flow.established-timeout=9999999999h", -1},
	    {"static_config.flow.others-timeout=0", 0},
	    {"static_config.flow.others-timeout=5", -1}, /* it has no unit of its own */
	    {"max_memory=128", 128000000},
	    {"max_memory=127999999B", -1},
	    {"max_memory=134217728B", 134217728},
	    {"max_memory=128000KB", 128000000},
	    {"max_memory=131072KiB", 134217728},
	    {"max_memory=128MiB", 134217728},
	    {"max_memory=0.5GB", 500000000},
	    {"max_memory=100GB", 100000000000},
	    {"max_memory=100.000000001GB", -1},
	    {"max_memory=1TB", -1},
	    {"max_memory=1gb", -1},
	    {"count=64", 64},
	    {"count=65", -1},
	    {"count=0", -1},
	    {"count=0x40", 64},
	    {"count=4.0", -1},
	    {"count='4'", -1},
	    {"count=", -1},
	    {"mask=18446744073709551616", -1},
	    {"mask=0xffffffffff", 0xffffffffff},
	    {"mask=-0", 0},
	    {"mask=-1", -1},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		struct fixture f;
		struct error e = {.text = ""};
		fixture_open(&f);
		struct settings before = f.settings;
		int r = config_set(f.tables, cases[i].assignment, &e);
		const struct settings *s = &f.settings;
		if ((r == 0) != (cases[i].value >= 0))
			fail_msg("%s: %d %s", cases[i].assignment, r, e.text);
		if (r == 0) {
			int64_t found = !strncmp(cases[i].assignment, "max", 3)     ? (int64_t)s->memory
					: !strncmp(cases[i].assignment, "count", 5) ? (int64_t)s->count
					: !strncmp(cases[i].assignment, "mask", 4)  ? (int64_t)s->mask
					: strstr(cases[i].assignment, "others")     ? s->others_ns
										    : s->timeout_ns;
			if (found != cases[i].value)
				fail_msg("%s: %lld", cases[i].assignment, (long long)found);
		} else {
			assert_int_equal(r, 1);
			assert_true(e.text[0]);
			assert_memory_equal(&before, s, sizeof before);
		}
		fixture_close(&f);
	}
}

static void test_faults(void **state maybe_unused)
{
	static const struct {
		const char *text, *faults;
	} cases[] = {
	    /* unknown */
	    {"enabled: true\nmax_memroy: 5\n", "F:2:1: there is no option 'max_memroy'; did you mean 'max_memory'?\n"},
	    {"max-memory: 5\n", "F:1:1: there is no option 'max-memory'; did you mean 'max_memory'?\n"},
	    {"qqqqqq: 5\n", "F:1:1: there is no option 'qqqqqq'; 'tapscope config example' lists all options\n"},
	    {"static_config:\n  flow:\n    other-timeout: 1s\n",
	     "F:3:5: there is no option 'static_config.flow.other-timeout'; did you mean "
	     "'static_config.flow.others-timeout'?\n"},
	    {"others-timeout: 1s\n",
	     "F:1:1: there is no option 'others-timeout'; did you mean 'static_config.flow.others-timeout'?\n"},
	    {"static-config:\n  flow: {}\n",
	     "F:1:1: there is no option 'static-config'; did you mean 'static_config'?\n"},
	    /* the same level is nearer; another level only where hardly anything differs */
	    {"static_config:\n  log-leve: x\n",
	     "F:2:3: there is no option 'static_config.log-leve'; did you mean 'static_config.log-level'?\n"},
	    {"static_config:\n  tap_mod: 1\n",
	     "F:2:3: there is no option 'static_config.tap_mod'; did you mean 'tap_mode'?\n"},
	    {"static_config:\n  tap_made_: 1\n",
	     "F:2:3: there is no option 'static_config.tap_made_'; 'tapscope config example' lists all options\n"},
	    /* also an option of DeepFlow's is the nearest right name */
	    {"static_config:\n  os-proc-rot: /proc\n",
	     "F:2:3: there is no option 'static_config.os-proc-rot'; did you mean 'static_config.os-proc-root'?\n"},
	    {"static_config.flow.others-timeout: 5s\n",
	     "F:1:1: there is no option 'static_config.flow.others-timeout' on this level\n"},
	    /* twice */
	    {"count: 1\nenabled: true\ncount: 2\n", "F:3:1: 'count' is given twice; first in line 1\n"},
	    {"count: 1\nother_count: 2\n", "F:2:1: 'other_count' is given twice; first in line 1\n"},
	    {"static_config:\n  flow: {}\n\nstatic_config: {}\n",
	     "F:4:1: 'static_config' is given twice; first in line 1\n"},
	    {"platform_enabled: 1\nplatform_enabled: 1\n",
	     "F:2:1: 'platform_enabled' is given twice; first in line 1\n"},
	    {"static_config:\n  l7-protocol-ports: {DNS: 53, dns: 54}\n",
	     "F:2:32: 'DNS' is given twice in 'static_config.l7-protocol-ports'\n"},
	    /* wrong type */
	    {"enabled: maybe\n", "F:1:10: 'enabled' is to be true or false, not 'maybe'\n"},
	    {"enabled: \"true\"\n", "F:1:10: 'enabled' is to be true or false, not 'true'\n"},
	    {"enabled:\ncount: 1\n", "F:1:1: 'enabled' has no value; it is to be true or false\n"},
	    {"count: many\n", "F:1:8: 'count' is to be a whole number, not 'many'\n"},
	    {"count: [1]\n", "F:1:8: 'count' is to be a whole number, not a list\n"},
	    {"count: {a: 1}\n", "F:1:8: 'count' is to be a whole number, not a map\n"},
	    {"capture_bpf: [tcp]\n", "F:1:14: 'capture_bpf' is to be a text, not a list\n"},
	    {"capture_bpf: \"a\\0b\"\n", "F:1:14: 'capture_bpf' is to be a text, not 'a?b'\n"},
	    {"max_memory: lots\n", "F:1:13: 'max_memory' is to be a number of MB or one with a suffix (B, KB, MB, GB, "
				   "KiB, MiB, GiB), not 'lots'\n"},
	    {"static_config:\n  flow:\n    others-timeout: 5\n",
	     "F:3:21: 'static_config.flow.others-timeout' is to be a number with a suffix (ns, us, ms, s, m, h), not "
	     "'5'\n"},
	    {"static_config: 5\n",
	     "F:1:16: 'static_config' is to be a map: it holds options, and has no value of its own\n"},
	    {"static_config:\n  flow: []\n",
	     "F:2:9: 'static_config.flow' is to be a map: it holds options, and has no value of its own\n"},
	    {"static_config:\n  src-interfaces: eth0\n",
	     "F:2:19: 'static_config.src-interfaces' is to be a list of texts, not 'eth0'\n"},
	    {"static_config:\n  src-interfaces:\n  - eth0\n  - [eth1]\n",
	     "F:4:5: 'static_config.src-interfaces' is to be a list of texts, not a list\n"},
	    {"decap_type: VXLAN\n", "F:1:13: 'decap_type' is to be a list (the empty one is []), not 'VXLAN'\n"},
	    {"static_config: {l7-protocol-ports: 80}\n",
	     "F:1:36: 'static_config.l7-protocol-ports' is to be a map from name to ports, not '80'\n"},
	    /* wrong for the option's room */
	    {"tap_interface_regex: e!th\n", "F:1:22: 'tap_interface_regex' is wrong: no '!' allowed in 'e!th'\n"},
	    {"static_config:\n  src-interfaces:\n  - eth0\n  - eth!1\n  - '!'\n",
	     "F:4:5: 'static_config.src-interfaces' is wrong: no '!' allowed in 'eth!1'\n"
	     "F:5:5: 'static_config.src-interfaces' is wrong: no '!' allowed in '!'\n"},
	    /* out of range, no such choice */
	    {"count: 65\n", "F:1:8: 'count' is out of range: 1 to 64 allowed, not '65'\n"},
	    {"count: -1\n", "F:1:8: 'count' is out of range: 1 to 64 allowed, not '-1'\n"},
	    {"mask: 99999999999999999999\n", "F:1:7: 'mask' is out of range: '99999999999999999999' is too large\n"},
	    {"max_memory: 5\n", "F:1:13: 'max_memory' is out of range: 128MB to 100GB allowed, not '5'\n"},
	    {"static_config: {flow: {established-timeout: 2ms}}\n",
	     "F:1:45: 'static_config.flow.established-timeout' is out of range: 1s to 24h allowed, not '2ms'\n"},
	    {"tap_mode: 7\n", "F:1:11: 'tap_mode' is to be one of local (0), mirror (1), analyzer (2), not '7'\n"},
	    {"decap_type:\n- 1\n- VXLAM\n",
	     "F:3:3: 'decap_type' is to be any of VXLAN (1), IPIP (2), GRE (3), NVGRE, 6in4 (2), not 'VXLAM'\n"},
	    {"static_config:\n  l7-protocol-ports:\n    HTTP: 80-70\n",
	     "F:3:11: 'static_config.l7-protocol-ports' is to be ports and ranges of 1 to 65535 such as "
	     "\"80,1000-2000\", not '80-70'\n"},
	    {"static_config:\n  l7-protocol-ports:\n    HTTP: [80, 65536]\n",
	     "F:3:16: 'static_config.l7-protocol-ports' is to be ports and ranges of 1 to 65535 such as "
	     "\"80,1000-2000\", not '65536'\n"},
	    {"static_config:\n  l7-protocol-ports:\n    HTTP: 0-80\n",
	     "F:3:11: 'static_config.l7-protocol-ports' is to be ports and ranges of 1 to 65535 such as "
	     "\"80,1000-2000\", not '0-80'\n"},
	    {"static_config:\n  l7-protocol-ports:\n    HTPT: 80\n",
	     "F:3:5: 'static_config.l7-protocol-ports' is to be any of HTTP, DNS, not 'HTPT'\n"},
	    /* all of them are told, in order */
	    {"count: 0\nenabled: 3\nnonsense: 1\n",
	     "F:1:8: 'count' is out of range: 1 to 64 allowed, not '0'\n"
	     "F:2:10: 'enabled' is to be true or false, not '3'\n"
	     "F:3:1: there is no option 'nonsense'; 'tapscope config example' lists all options\n"},
	    /* no YAML, or not such YAML; what follows "not YAML" is libyaml's own sentence */
	    {"enabled: true\n\tcount: 1\n", "F:2:1: this is not YAML: "},
	    {"count: [1, 2\n", "F:2:1: this is not YAML: "},
	    {"count: \xff\n", "F:1:8: this is not YAML: "},
	    {"enabled: true\n# \xc3\xa4\ncapture_bpf: \xc3\xa4\xc3\xa4\xf8\n", "F:3:16: this is not YAML: "},
	    {"count: *nowhere\n", "F:1:8: this is not YAML: "},
	    {"- count\n", "F:1:1: a configuration is a map from options to values\n"},
	    {"count\n", "F:1:1: a configuration is a map from options to values\n"},
	    {"count: 1\n---\ncount: 2\n", "F:2:1: a second document begins here; one file is one document\n"},
	    {"[a]: 1\n", "F:1:1: a key is to be the name of an option\n"},
	    {"<<: {count: 1}\n", "F:1:1: there is no option '<<'; 'tapscope config example' lists all options\n"},
	    /* a long or strange value is shown as one short line */
	    {"count: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\n\"\n",
	     "F:1:8: 'count' is to be a whole number, not 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…'\n"},
	    {"count: \"a\\nb\"\n", "F:1:8: 'count' is to be a whole number, not 'a?b'\n"},
	    /* columns count characters, not bytes */
	    {"{capture_bpf: \xc3\xa4\xc3\xb6, count: x}\n", "F:1:26: 'count' is to be a whole number, not 'x'\n"},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		struct fixture f;
		fixture_open(&f);
		int r = load(&f, cases[i].text);
		/* an expectation without its newline is only how the message begins */
		size_t len = strlen(cases[i].faults);
		bool whole = cases[i].faults[len - 1] == '\n';
		if (r != 1 || strncmp(f.faults.at, cases[i].faults, len + whole) != 0)
			fail_msg("%d\n%s\nexpected:\n%s\nfound:\n%s", r, cases[i].text, cases[i].faults, f.faults.at);
		fixture_close(&f);
	}
}

static void test_nothing_is_a_configuration(void **state maybe_unused)
{
	static const char *const texts[] = {
	    "",
	    "# only a comment\n",
	    "---\n",
	    "---\n...\n",
	    "~\n",
	    "static_config:\n",
	    "static_config:\n  flow:\n",
	    "capture_bpf:\nstatic_config: {src-interfaces: , l7-protocol-ports: ~}\n",
	};
	for (size_t i = 0; i < array_size(texts); i++) {
		struct fixture f;
		fixture_open(&f);
		if (load(&f, texts[i]))
			fail_msg("%s: %s", texts[i], f.faults.at);
		assert_int_equal(f.settings.count, 4);
		assert_string_equal(f.settings.filter, "");
		fixture_close(&f);
	}
}

/* Faults end at a bound, and so do levels and lists. */
static void test_bounds(void **state maybe_unused)
{
	struct fixture f;
	struct buffer b = {0};
	fixture_open(&f);
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(buffer_printf(&b, "key%u: 1\n", i), 0);
	assert_int_equal(load_bytes(&f, b.at, b.len), 1);
	unsigned lines = 0;
	for (const char *s = f.faults.at; *s; s++)
		lines += *s == '\n';
	assert_int_equal(lines, 50);
	for (unsigned i = 500; i < 1100; i++)
		assert_int_equal(buffer_printf(&b, "key%u: 1\n", i), 0);
	assert_int_equal(load_bytes(&f, b.at, b.len), 1);
	assert_string_equal(f.faults.at, "F:1:1: more than 1000 keys on one level\n");
	b.len = 0;
	assert_int_equal(buffer_printf(&b, "decap_type: ["), 0);
	for (unsigned i = 0; i < 5000; i++)
		assert_int_equal(buffer_printf(&b, "1,"), 0);
	assert_int_equal(buffer_printf(&b, "]"), 0);
	assert_int_equal(load_bytes(&f, b.at, b.len), 1);
	assert_string_equal(f.faults.at, "F:1:13: 'decap_type' has more than 4096 items\n");
	buffer_free(&b);
	fixture_close(&f);
}

/* A file of DeepFlow's: what it shares is set, what has no meaning is named and not looked into. */
static void test_deepflow_group(void **state maybe_unused)
{
	struct fixture f;
	fixture_open(&f);
	assert_int_equal(load(&f, "vtap_group_id: g-aaaaaa\n"
				  "max_memory: 2048\n"
				  "log_threshold: 400\n"
				  "platform_enabled: 1\n"
				  "tap_mode: 1\n"
				  "tap_interface_regex: eth0\n"
				  "decap_type:\n"
				  "- 1\n"
				  "- 2\n"
				  "static_config:\n"
				  "  src-interfaces:\n"
				  "  - eth1 # the mother interface\n"
				  "  flow:\n"
				  "    established-timeout: 300s\n"
				  "    flow-count-limit: 65535\n"
				  "  ebpf:\n"
				  "    on-cpu-profile:\n"
				  "      disabled: true\n"
				  "  kubernetes-resources:\n"
				  "  - name: statefulsets\n"
				  "    group: apps\n"
				  "  - name: statefulsets\n"
				  "    group: apps.kruise.io\n"
				  "  l7-protocol-enabled:\n"
				  "  - HTTP\n"
				  "  - MySQL\n"),
			 0);
	assert_string_equal(f.faults.at, "");
	assert_int_equal(f.settings.memory, 2048000000);
	assert_int_equal(f.settings.mode, 1);
	assert_string_equal(f.settings.regex, "eth0");
	assert_int_equal(f.settings.decap, 1 | 2 | 16);
	assert_int_equal(f.settings.devices.count, 1);
	assert_string_equal(f.settings.devices.item[0], "eth1");
	assert_int_equal(f.settings.protocols, 1);
	static const char *const warned[] = {
	    "F:1:1: 'vtap_group_id' has no effect here: ",
	    "F:3:1: 'log_threshold' has no effect here: ",
	    "F:4:1: 'platform_enabled' has no effect here: ",
	    "F:15:5: 'static_config.flow.flow-count-limit' has no effect here: ",
	    "F:16:3: 'static_config.ebpf' has no effect here: eBPF is not built yet in this version\n",
	    "F:19:3: 'static_config.kubernetes-resources' has no effect here: ",
	    "F:26:5: 'MySQL' in 'static_config.l7-protocol-enabled' has no effect here: ",
	};
	const char *at = f.warnings.at;
	for (size_t i = 0; i < array_size(warned); i++) {
		if (strncmp(at, warned[i], strlen(warned[i])) != 0)
			fail_msg("expected %s\nfound %s", warned[i], at);
		at = strchr(at, '\n') + 1;
	}
	assert_string_equal(at, "");
	fixture_close(&f);
}

static void test_deepflow_processes(void **state maybe_unused)
{
	struct fixture f;
	fixture_open(&f);
	assert_int_equal(load(&f, "static_config:\n"
				  "  os-proc-sync-enabled: true\n"
				  "  os-proc-sync-tagged-only: false\n"
				  "  os-proc-root: /proc\n"
				  "  os-proc-socket-sync-interval: 10\n"
				  "  os-proc-socket-min-lifetime: 3\n"
				  "  os-app-tag-exec: ['echo', 'x: y']\n"
				  "  os-app-tag-exec-user: nobody\n"
				  "  os-proc-regex: # tried in order\n"
				  "    - match-regex: '^(a|b)$'\n"
				  "      action: drop\n"
				  "    - match-regex: run (.*)\\.py\n"
				  "      match-type: cmdline\n"
				  "      rewrite-name: $1-%HOSTNAME%\n"
				  "    - match-regex:\n"
				  "      action:\n"),
			 0);
	assert_string_equal(f.faults.at, "");
	unsigned lines = 0;
	for (const char *s = f.warnings.at; (s = strstr(s, "process tags are not built yet in this version")); s++)
		lines++;
	assert_int_equal(lines, 8);
	fixture_close(&f);
}

/* The agent's own file, and the layout of later versions. */
static void test_deepflow_other_files(void **state maybe_unused)
{
	struct fixture f;
	fixture_open(&f);
	assert_int_equal(load(&f, "controller-ips:\n  - 127.0.0.1\nvtap-group-id-request: g-1\n"
				  "global:\n  limits:\n    max_memory: 768\ninputs: {proc: {enabled: true}}\n"
				  "processors:\n  timeouts:\n    others: 9s\n    nothing: 9s\n  request_log: {}\n"),
			 0);
	assert_string_equal(f.faults.at, "");
	assert_non_null(strstr(f.warnings.at, "F:4:1: 'global' has no effect here: "));
	assert_non_null(strstr(f.warnings.at, "F:11:5: 'processors.timeouts.nothing' has no effect here: "));
	assert_non_null(strstr(f.warnings.at, "F:12:3: 'processors.request_log' has no effect here: "));
	assert_null(strstr(f.warnings.at, "others"));
	assert_int_equal(f.settings.others_ns, 9 * NS_PER_S);
	fixture_close(&f);
}

static void test_assignments(void **state maybe_unused)
{
	static const struct {
		const char *assignment, *text;
	} bad[] = {
	    {"count", "'count' is not NAME=VALUE"},
	    {"=5", "'=5' is not NAME=VALUE"},
	    {"coumt=5", "there is no option 'coumt'; did you mean 'count'?"},
	    {"count=x", "'count' is to be a whole number, not 'x'"},
	    {"count=", "'count' has no value"},
	    {"static_config.flow=5", "'static_config.flow' holds options, and has no value of its own"},
	    {"static_config.ebpf=5", "'static_config.ebpf' has no effect here: eBPF is not built yet in this version"},
	};
	struct fixture f;
	struct error e;
	fixture_open(&f);
	for (size_t i = 0; i < array_size(bad); i++) {
		assert_int_equal(config_set(f.tables, bad[i].assignment, &e), 1);
		assert_string_equal(e.text, bad[i].text);
	}
	assert_int_equal(config_set(f.tables, "capture_bpf=tcp[13] = 2", &e), 0);
	assert_string_equal(f.settings.filter, "tcp[13] = 2");
	assert_int_equal(config_set(f.tables, "capture_bpf=", &e), 0);
	assert_string_equal(f.settings.filter, "");
	assert_int_equal(config_set(f.tables, "decap_type=", &e), 0);
	assert_int_equal(f.settings.decap, 0);
	assert_int_equal(config_set(f.tables, "static_config.src-interfaces=[a, b]", &e), 0);
	assert_int_equal(f.settings.devices.count, 2);
	fixture_close(&f);
}

static void assert_equal_settings(const struct settings *a, const struct settings *b)
{
	assert_int_equal(a->enabled, b->enabled);
	assert_int_equal(a->count, b->count);
	assert_int_equal(a->mask, b->mask);
	assert_int_equal(a->timeout_ns, b->timeout_ns);
	assert_int_equal(a->others_ns, b->others_ns);
	assert_int_equal(a->memory, b->memory);
	assert_string_equal(a->filter, b->filter);
	assert_string_equal(a->regex, b->regex);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->decap, b->decap);
	assert_int_equal(a->protocols, b->protocols);
	assert_int_equal(a->devices.count, b->devices.count);
	for (size_t i = 0; i < a->devices.count; i++)
		assert_string_equal(a->devices.item[i], b->devices.item[i]);
	assert_int_equal(a->ports.count, b->ports.count);
	for (size_t i = 0; i < a->ports.count; i++) {
		assert_string_equal(a->ports.item[i].name, b->ports.item[i].name);
		assert_string_equal(a->ports.item[i].value, b->ports.item[i].value);
	}
}

static const char different[] =
    "enabled: true\ncount: 7\nmask: 12345678901234567890\nmax_memory: 1073741825B\n"
    "capture_bpf: \"a\\\"b\\\\c\\x01 \\u00e4: # null\"\ntap_mode: 2\ndecap_type: [2, NVGRE]\n"
    "static_config: {flow: {established-timeout: 1.001s, others-timeout: 90m},\n"
    "  src-interfaces: [null, '~', '- a', eth0], l7-protocol-enabled: [DNS],\n"
    "  l7-protocol-ports: {HTTP: '1-2,9', DNS: ''}}\n"
    "tap_interface_regex: 'null'\n";

static void test_show_loads_again(void **state maybe_unused)
{
	struct fixture f, again;
	struct buffer b = {0};
	fixture_open(&f);
	fixture_open(&again);
	assert_int_equal(load(&f, different), 0);
	assert_int_equal(config_show(f.tables, &b), 0);
	if (load_bytes(&again, b.at, b.len))
		fail_msg("%.*s\n%s", (int)b.len, b.at, again.faults.at);
	assert_equal_settings(&f.settings, &again.settings);
	assert_null(strstr(b.at, "#  "));
	buffer_free(&b);
	fixture_close(&f);
	fixture_close(&again);
}

/* The example sets every option back to its default, and says all that is known of it. */
static void test_example_loads_again(void **state maybe_unused)
{
	struct fixture f, defaults;
	struct buffer b = {0};
	fixture_open(&f);
	fixture_open(&defaults);
	assert_int_equal(load(&f, different), 0);
	assert_int_equal(config_example(f.tables, &b), 0);
	if (load_bytes(&f, b.at, b.len))
		fail_msg("%.*s\n%s", (int)b.len, b.at, f.faults.at);
	assert_string_equal(f.warnings.at, "");
	assert_equal_settings(&f.settings, &defaults.settings);
	static const char *const lines[] = {
	    "# How many.\n# Default: 4. Unit: threads. Allowed: 1 to 64. Also: other_count.\ncount: 4\n",
	    "# Memory.\n# Default: 768. A number without suffix: MB. Allowed: 128MB to 100GB.\nmax_memory: 768\n",
	    "# A filter.\n# Default: empty.\ncapture_bpf: \"\"\n",
	    "Allowed: one of local (0), mirror (1), analyzer (2).\ntap_mode: local\n",
	    "\nstatic_config:\n\n  flow:\n\n    # Timeout.\n",
	    "    # Default: 300s. A number without suffix: s. Allowed: 1s to 24h.\n    established-timeout: 300s\n",
	    "  src-interfaces: []\n",
	    "  l7-protocol-ports: {DNS: \"53\"}\n",
	};
	for (size_t i = 0; i < array_size(lines); i++)
		if (!strstr(b.at, lines[i]))
			fail_msg("not in the example: %s\n%s", lines[i], b.at);
	size_t column = 0;
	for (const char *s = b.at; *s; s++) {
		column = *s == '\n' ? 0 : column + 1;
		assert_true(column <= 112);
	}
	buffer_free(&b);
	fixture_close(&f);
	fixture_close(&defaults);
}

/* The program's own tables: no name twice, and what the example and show print loads again to the same. */
static void test_own_tables(void **state maybe_unused)
{
	struct engine_settings settings = {0};
	struct option_table tables[8];
	struct buffer example = {0}, shown = {0}, again = {0};
	struct fixture f = {0};
	engine_option_tables(&settings, tables);
	const char *names[256];
	size_t count = 0;
	for (const struct option_table *t = tables; t->room; t++) {
		for (const struct option *o = t->options; o->name; o++) {
			assert_true(o->initial && o->meaning && strlen(o->meaning) > 10);
			assert_true(count + 2 < array_size(names));
			names[count++] = o->name;
			if (o->also)
				names[count++] = o->also;
		}
	}
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(names[i], names[j]);
	assert_int_equal(config_defaults(tables), 0);
	assert_int_equal(config_show(tables, &shown), 0);
	assert_int_equal(config_example(tables, &example), 0);
	if (config_load_text(tables, "example", example.at, example.len, tell_fault, tell_warning, &f))
		fail_msg("%.*s", (int)f.faults.len, f.faults.at);
	assert_int_equal(f.warnings.len, 0);
	assert_int_equal(config_show(tables, &again), 0);
	assert_int_equal(again.len, shown.len);
	assert_memory_equal(again.at, shown.at, shown.len);
	again.len = 0;
	assert_int_equal(config_load_text(tables, "shown", shown.at, shown.len, tell_fault, tell_warning, &f), 0);
	assert_int_equal(config_show(tables, &again), 0);
	assert_int_equal(again.len, shown.len);
	assert_memory_equal(again.at, shown.at, shown.len);
	config_clear(tables);
	buffer_free(&example);
	buffer_free(&shown);
	buffer_free(&again);
}

static void test_files(void **state maybe_unused)
{
	struct fixture f;
	struct error e;
	char path[] = "/tmp/tapscope-test-config-XXXXXX", expected[128];
	fixture_open(&f);
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "count: 9\nx: 1\n", 14), 14);
	assert_int_equal(config_load(f.tables, path, tell_fault, NULL, &f, &e), 1);
	assert_int_equal(f.settings.count, 9);
	snprintf(expected, sizeof expected, "%s:2:1: there is no option 'x'", path);
	assert_memory_equal(f.faults.at, expected, strlen(expected));
	assert_int_equal(ftruncate(fd, 2 << 20), 0);
	assert_int_equal(config_load(f.tables, path, NULL, NULL, NULL, &e), -EFBIG);
	close(fd);
	unlink(path);
	assert_int_equal(config_load(f.tables, path, NULL, NULL, NULL, &e), -ENOENT);
	assert_memory_equal(e.text, path, strlen(path));
	assert_int_equal(config_load(f.tables, "/tmp", NULL, NULL, NULL, &e), -EISDIR);
	fixture_close(&f);
}

/* Every beginning of a good file, and every byte of it changed: no crash, no leak, no message of two lines. */
static void test_damaged_files(void **state maybe_unused)
{
	static const char changes[] = "\0\n\t :-[]{}&*'\"\\#\x80\xff";
	char text[sizeof different];
	for (size_t len = 0; len < sizeof different; len++) {
		struct fixture f;
		fixture_open(&f);
		assert_true(load_bytes(&f, different, len) >= 0);
		fixture_close(&f);
	}
	for (size_t at = 0; at < sizeof different - 1; at++) {
		for (size_t c = 0; c < sizeof changes - 1; c++) {
			struct fixture f;
			fixture_open(&f);
			memcpy(text, different, sizeof text);
			text[at] = changes[c];
			assert_true(load_bytes(&f, text, sizeof text - 1) >= 0);
			fixture_close(&f);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_every_type_is_set),
	    cmocka_unit_test(test_quantities),
	    cmocka_unit_test(test_faults),
	    cmocka_unit_test(test_nothing_is_a_configuration),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_deepflow_group),
	    cmocka_unit_test(test_deepflow_processes),
	    cmocka_unit_test(test_deepflow_other_files),
	    cmocka_unit_test(test_assignments),
	    cmocka_unit_test(test_show_loads_again),
	    cmocka_unit_test(test_example_loads_again),
	    cmocka_unit_test(test_own_tables),
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_damaged_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
