#include "golden.h"
#include "junit.h"
#include "record.h"
#include "usage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* Records in short: what the tests below change is in the arguments. */
#define FLOW(id, start, more)                                                                                          \
	"{\"record\":\"flow\",\"flow_id\":\"" id "\",\"start_time\":\"2024-01-01T00:00:" start                         \
	"Z\",\"client_ip\":\"10.0.0.1\",\"client_port\":1000,\"server_ip\":\"10.0.0.2\",\"server_port\":80,"           \
	"\"protocol\":\"TCP\"" more "}\n"
#define REQUEST(id, start, seq, path, more)                                                                            \
	"{\"record\":\"request\",\"flow_id\":\"" id "\",\"client_ip\":\"10.0.0.1\",\"client_port\":1000,"              \
	"\"server_ip\":\"10.0.0.2\",\"server_port\":80,\"start_time\":\"2024-01-01T00:00:" start                       \
	"Z\",\"request_type\":\"GET\",\"request_resource\":\"" path "\",\"req_tcp_seq\":" seq more "}\n"
#define F1 FLOW("0000000000000001", "00.000000000", ",\"byte_tx\":100,\"duration_ns\":1000000")
#define F2 FLOW("0000000000000001", "59.000000000", ",\"byte_tx\":50")
#define R1 REQUEST("0000000000000001", "01.000000000", "1", "/a", ",\"response_code\":200")
#define R2 REQUEST("0000000000000001", "02.000000000", "101", "/b", ",\"response_code\":200,\"is_tls\":true")
#define R3 REQUEST("0000000000000001", "03.000000000", "201", "/c", ",\"attributes\":{\"http.a\":\"x\",\"http.n\":1}")

static struct golden_rules rules;
static struct buffer text;

static void parse(struct golden *g, const char *records)
{
	struct buffer b = {0};
	struct error e;
	buffer_printf(&b, "%s%s", golden_schema_line(), records);
	int r = golden_parse(g, "test", b.at, b.len, &e);
	if (r)
		fail_msg("%s", e.text);
	buffer_free(&b);
}

static int compare(const char *want, const char *have)
{
	struct golden w, h;
	parse(&w, want);
	parse(&h, have);
	text.len = 0;
	int n = golden_compare(&w, &h, &rules, &text);
	buffer_put(&text, "", 1);
	golden_free(&w);
	golden_free(&h);
	return n;
}

static int reset(void **state)
{
	(void)state;
	rules = (struct golden_rules){0};
	return 0;
}

static void assert_told(const char *wanted)
{
	if (!strstr(text.at, wanted))
		fail_msg("wanted: %s\ntold: %s", wanted, text.at);
}

static void test_same(void **state)
{
	(void)state;
	assert_int_equal(compare("", ""), 0);
	assert_int_equal(compare(F1 F2 R1 R2 R3, F1 F2 R1 R2 R3), 0);
	assert_int_equal(compare(F1 F2 R1 R2 R3, R3 F2 R1 F1 R2), 0);
	assert_string_equal(text.at, "");
	/* the order of keys says nothing */
	assert_int_equal(compare("{\"record\":\"flow\",\"a\":1,\"b\":2}\n", "{\"b\":2,\"a\":1,\"record\":\"flow\"}\n"),
			 0);
}

static void test_missing_and_additional(void **state)
{
	(void)state;
	assert_int_equal(compare(F1 R1 R2, F1 R1), 1);
	assert_told("missing: request  10.0.0.1:1000 -> 10.0.0.2:80 at 2024-01-01T00:00:02.000000000Z \"GET\" \"/b\"");
	assert_told("(golden line 4)");
	assert_int_equal(compare(F1 R1, F1 R1 R2), 1);
	assert_told("additional: request");
	assert_int_equal(compare("", F1), 1);
	assert_told("additional: flow TCP");
	assert_int_equal(compare(F1, ""), 1);
	assert_told("missing: flow TCP");
	/* another kind of record never stands in for it */
	assert_int_equal(compare(F1, R1), 2);
}

static void test_every_kind_of_value(void **state)
{
	(void)state;
	static const struct {
		const char *want, *have, *told;
	} cases[] = {
	    {",\"response_code\":200", ",\"response_code\":500", "response_code: golden 200, now 500"},
	    {",\"response_code\":200", "", "response_code: golden 200, now absent"},
	    {"", ",\"response_code\":200", "response_code: golden absent, now 200"},
	    {",\"response_code\":200", ",\"response_code\":\"200\"", "response_code: golden 200, now \"200\""},
	    {",\"is_tls\":true", ",\"is_tls\":false", "is_tls: golden true, now false"},
	    {",\"version\":\"1.0\"", ",\"version\":\"1.1\"", "version: golden \"1.0\", now \"1.1\""},
	    {",\"version\":\"\"", "", "version: golden \"\", now absent"},
	    {",\"vlan\":[1,2]", ",\"vlan\":[2,1]", "vlan: golden [1,2], now [2,1]"},
	    {",\"attributes\":{\"a\":1}", ",\"attributes\":{\"a\":2}", "attributes.a: golden 1, now 2"},
	    {",\"attributes\":{\"a\":1}", "", "attributes.a: golden 1, now absent"},
	    {"", ",\"attributes\":{\"a\":1}", "attributes.a: golden absent, now 1"},
	    {",\"attributes\":{\"a\":1}", ",\"attributes\":{\"a\":1,\"b\":2}", "attributes.b: golden absent, now 2"},
	    {",\"user_agent\":\"\\u001b[2J\"", "", "user_agent: golden \"\\u001B[2J\", now absent"},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		char want[1024], have[1024];
		snprintf(want, sizeof want, REQUEST("1", "01.000000000", "1", "/a", "%s"), cases[i].want);
		snprintf(have, sizeof have, REQUEST("1", "01.000000000", "1", "/a", "%s"), cases[i].have);
		assert_int_equal(compare(want, have), 1);
		assert_told(cases[i].told);
		assert_told("differs: request");
		assert_int_equal(compare(want, want), 0);
		assert_int_equal(compare(have, have), 0);
	}
}

/* Each field of both tables: a change of it is found, and found as itself, whatever part of an identity it is. */
static void test_every_field(void **state)
{
	(void)state;
	for (int kind = 0; kind < RECORD_KINDS; kind++) {
		const struct field *fields = kind == RECORD_FLOW ? flow_fields : request_fields;
		size_t count = kind == RECORD_FLOW ? FLOW_FIELD_COUNT : REQUEST_FIELD_COUNT;
		for (size_t changed = 0; changed < count; changed++) {
			struct buffer want = {0}, have = {0};
			struct buffer *both[] = {&want, &have};
			for (unsigned side = 0; side < 2; side++) {
				buffer_printf(both[side], "{\"record\":\"%s\"",
					      kind == RECORD_FLOW ? "flow" : "request");
				for (size_t i = 0; i < count; i++)
					buffer_printf(both[side], ",\"%s\":\"%s\"", fields[i].name,
						      side && i == changed ? "y" : "x");
				buffer_printf(both[side], "}\n");
			}
			assert_int_equal(compare(want.at, have.at), 1);
			assert_told("differs:");
			char told[128];
			snprintf(told, sizeof told, "    %s: golden \"x\", now \"y\"\n", fields[changed].name);
			assert_told(told);
			struct error e;
			assert_int_equal(golden_ignore(&rules, fields[changed].name, &e), 0);
			assert_int_equal(compare(want.at, have.at), 0);
			rules = (struct golden_rules){0};
			buffer_free(&want);
			buffer_free(&have);
		}
	}
}

static void test_duplicates(void **state)
{
	(void)state;
	assert_int_equal(compare(R1 R1, R1 R1), 0);
	assert_int_equal(compare(R1 R1, R1), 1);
	assert_told("missing: request");
	assert_int_equal(compare(R1, R1 R1), 1);
	assert_told("additional: request");
	assert_int_equal(compare(R1 R1 R1, R1), 2);
	/* of two with one identity, the one that changed is shown, whichever line it is on */
#define CHANGED REQUEST("0000000000000001", "01.000000000", "1", "/a", ",\"response_code\":404")
	assert_int_equal(compare(R1 R1, R1 CHANGED), 1);
	assert_told("response_code: golden 200, now 404");
	assert_int_equal(compare(R1 CHANGED, CHANGED R1), 0);
}

/* Records of one flow are told apart by their starts, and a record that goes does not shift the others. */
static void test_identity(void **state)
{
	(void)state;
	assert_int_equal(compare(F1 F2, F2), 1);
	assert_told("missing: flow TCP 10.0.0.1:1000 -> 10.0.0.2:80 at 2024-01-01T00:00:00.000000000Z");
	assert_int_equal(compare(R1 R2 R3, R1 R3), 1);
	assert_told("\"/b\"");
	/* a changed identifier is a change, not one gone and one come */
	assert_int_equal(
	    compare(REQUEST("1", "01.000000000", "1", "/a", ""), REQUEST("2", "01.000000000", "1", "/a", "")), 1);
	assert_told("flow_id: golden \"1\", now \"2\"");
	assert_int_equal(compare(REQUEST("1", "01.000000000", "1", "/a", ""), REQUEST("1", "01.5", "1", "/a", "")), 1);
	assert_told("start_time: golden");
}

static void test_ignore(void **state)
{
	(void)state;
	struct error e;
	assert_int_equal(golden_ignore(&rules, "response_code", &e), 0);
	assert_int_equal(compare(R1, CHANGED), 0);
	assert_int_equal(compare(R1 R2, CHANGED), 1);
	/* the others still count */
	assert_int_equal(
	    compare(F1, FLOW("0000000000000001", "00.000000000", ",\"byte_tx\":101,\"duration_ns\":1000000")), 1);
	assert_int_equal(golden_ignore(&rules, "attributes.http.a", &e), 0);
#define R3_A REQUEST("0000000000000001", "03.000000000", "201", "/c", ",\"attributes\":{\"http.a\":\"y\",\"http.n\":1}")
#define R3_N REQUEST("0000000000000001", "03.000000000", "201", "/c", ",\"attributes\":{\"http.a\":\"x\",\"http.n\":2}")
	assert_int_equal(compare(R3, R3_A), 0);
	assert_int_equal(compare(R3, R3_N), 1);
	assert_int_equal(golden_ignore(&rules, "attributes", &e), 0);
	assert_int_equal(compare(R3, R3_N), 0);
	/* a name is the whole name */
	assert_int_equal(golden_ignore(&rules, "gap_bytes", &e), 0);
	assert_int_equal(compare(FLOW("1", "1", ",\"gap_bytes_tx\":1"), FLOW("1", "1", ",\"gap_bytes_tx\":2")), 1);
	assert_int_equal(golden_ignore(&rules, "respnse_code", &e), -EINVAL);
	assert_non_null(strstr(e.text, "did you mean 'response_code'"));
}

static void test_tolerance(void **state)
{
	(void)state;
	struct error e;
#define DURATION(ns) FLOW("1", "00.000000000", ",\"duration_ns\":" ns)
#define START(s) FLOW("1", s, "")
	assert_int_equal(golden_tolerate(&rules, "duration_ns=1us", &e), 0);
	assert_int_equal(compare(DURATION("5000"), DURATION("6000")), 0);
	assert_int_equal(compare(DURATION("6000"), DURATION("5000")), 0);
	assert_int_equal(compare(DURATION("5000"), DURATION("6001")), 1);
	assert_int_equal(compare(DURATION("5000"), START("00.000000000")), 1); /* absent is not near */
	assert_int_equal(compare(DURATION("-9223372036854775807"), DURATION("9223372036854775807")), 1);
	assert_int_equal(compare(START("00.000000000"), START("00.000001000")), 1);
	assert_int_equal(golden_tolerate(&rules, "start_time=1.5ms", &e), 0);
	assert_int_equal(compare(START("00.000000000"), START("00.001500000")), 0);
	assert_int_equal(compare(START("59.999999999"), START("59.998499998")), 1);
	assert_int_equal(golden_tolerate(&rules, "byte_tx=2", &e), 0);
	assert_int_equal(compare(FLOW("1", "1", ",\"byte_tx\":5"), FLOW("1", "1", ",\"byte_tx\":7")), 0);
	assert_int_equal(compare(FLOW("1", "1", ",\"byte_tx\":5"), FLOW("1", "1", ",\"byte_tx\":8")), 1);
	assert_int_equal(compare(FLOW("1", "1", ",\"byte_rx\":5"), FLOW("1", "1", ",\"byte_rx\":6")), 1);

	static const char *const wrong[] = {"duration_ns",    "duration_ns=", "=1",        "duration_ns=1h",
					    "duration_ns=-1", "byte_tx=1ms",  "version=1", "durationns=1ms"};
	for (size_t i = 0; i < array_size(wrong); i++)
		assert_int_equal(golden_tolerate(&rules, wrong[i], &e), -EINVAL);
}

static void test_what_is_no_golden(void **state)
{
	(void)state;
	static const struct {
		const char *text, *told;
	} cases[] = {
	    {"", "is empty"},
	    {F1, "a golden starts with {\"record\":\"schema\""},
	    {"{\"record\":\"schema\",\"version\":999}\n", "schema version 999"},
	    {"{\"record\":\"schema\"}\n", "schema version 0"},
	    {"[]\n", "a golden starts with"},
	    {"{\"record\":\"schema\",\"version\":1}\n{\"record\":\"flow\"\n", "g:2:"},
	    {"{\"record\":\"schema\",\"version\":1}\n{}\n", "g:2: neither a flow record"},
	    {"{\"record\":\"schema\",\"version\":1}\n" F1 "{\"record\":\"flow\",\"a\":1,\"a\":2}\n", "g:3:"},
	    {"{\"record\":\"schema\",\"version\":1}\n" F1 "\n", "g:3:"},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		struct golden g;
		struct error e;
		assert_int_equal(golden_parse(&g, "g", cases[i].text, strlen(cases[i].text), &e), -EBADMSG);
		if (!strstr(e.text, cases[i].told))
			fail_msg("wanted: %s\ntold: %s", cases[i].told, e.text);
		golden_free(&g);
	}
}

static void test_many(void **state)
{
	(void)state;
	struct buffer want = {0};
	for (unsigned i = 0; i < GOLDEN_SHOWN_MAX + 7; i++)
		buffer_printf(&want, REQUEST("1", "01.000000000", "%u", "/a", ""), i);
	assert_int_equal(compare(want.at, ""), GOLDEN_SHOWN_MAX + 7);
	assert_told("and 7 more");
	assert_int_equal(compare(want.at, want.at), 0);
	buffer_free(&want);
}

static void test_junit(void **state)
{
	(void)state;
	struct junit j = {0};
	char path[] = "/tmp/test_verify_XXXXXX", content[4096] = {0};
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	junit_add(&j, "a&b", "one.pcap", 0.5, JUNIT_PASSED, NULL, 0);
	junit_add(&j, "d", "two.pcap", 0, JUNIT_FAILURE, "x < \"y\"\033\xff", 9);
	junit_add(&j, "d", "three.pcap", 0, JUNIT_ERROR, "gone", 4);
	assert_int_equal(junit_write(&j, path), 0);
	assert_true(read(fd, content, sizeof content - 1) > 0);
	assert_non_null(strstr(content, "tests=\"3\" failures=\"1\" errors=\"1\""));
	assert_non_null(strstr(content, "<testcase classname=\"a&amp;b\" name=\"one.pcap\" time=\"0.500\"/>"));
	assert_non_null(strstr(content, "<failure message=\"records differ\">x &lt; &quot;y&quot;?"
					"?</failure>"));
	assert_non_null(strstr(content, "<error message=\"could not compare\">gone</error>"));
	close(fd);
	unlink(path);
	junit_free(&j);
}

static const struct usage_option options[] = {
    {'a', "all", false},
    {'f', "filter", true},
    {300, "format", true},
    {0},
};

static void test_usage(void **state)
{
	(void)state;
	char words[][16] = {"replay", "-af", "tcp", "x", "--format=table", "--format", "none",
			    "-fudp",  "-",   "--",  "-a"};
	char *argv[array_size(words) + 1] = {NULL};
	for (size_t i = 0; i < array_size(words); i++)
		argv[i] = words[i];
	static const struct {
		int code;
		const char *value;
	} expected[] = {
	    {'a', NULL},  {'f', "tcp"},         {USAGE_OPERAND, "x"},  {300, "table"},    {300, "none"},
	    {'f', "udp"}, {USAGE_OPERAND, "-"}, {USAGE_OPERAND, "-a"}, {USAGE_END, NULL},
	};
	struct usage u = usage_start((int)array_size(words), argv, options);
	for (size_t i = 0; i < array_size(expected); i++) {
		assert_int_equal(usage_next(&u), expected[i].code);
		if (expected[i].value)
			assert_string_equal(u.value, expected[i].value);
		else
			assert_null(u.value);
	}
	char wrong[][16] = {"-x", "--formt", "--all=1", "--form", "-f", "--format", "-ax"};
	for (size_t i = 0; i < array_size(wrong); i++) {
		char *one[] = {words[0], wrong[i], NULL};
		u = usage_start(2, one, options);
		int code = usage_next(&u);
		while (code == 'a')
			code = usage_next(&u);
		assert_int_equal(code, USAGE_FAULT);
	}
}

static void test_nearest(void **state)
{
	(void)state;
	static const char *const names[] = {"replay", "verify", "config", NULL};
	assert_string_equal(usage_nearest("reply", names), "replay");
	assert_string_equal(usage_nearest("vreify", names), "verify");
	assert_string_equal(usage_nearest("conf", names), "config");
	assert_null(usage_nearest("xyz", names));
	assert_null(usage_nearest("", names));
}

static void test_numbers(void **state)
{
	(void)state;
	uint64_t v = 7;
	assert_true(usage_number("10", 1, 10, &v));
	assert_int_equal(v, 10);
	static const char *const wrong[] = {"", "0", "11", "-1", "+1", " 1", "1 ", "1k", "99999999999999999999"};
	for (size_t i = 0; i < array_size(wrong); i++)
		assert_false(usage_number(wrong[i], 1, 10, &v));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_same, reset),
	    cmocka_unit_test_setup(test_missing_and_additional, reset),
	    cmocka_unit_test_setup(test_every_kind_of_value, reset),
	    cmocka_unit_test_setup(test_every_field, reset),
	    cmocka_unit_test_setup(test_duplicates, reset),
	    cmocka_unit_test_setup(test_identity, reset),
	    cmocka_unit_test_setup(test_ignore, reset),
	    cmocka_unit_test_setup(test_tolerance, reset),
	    cmocka_unit_test_setup(test_what_is_no_golden, reset),
	    cmocka_unit_test_setup(test_many, reset),
	    cmocka_unit_test(test_junit),
	    cmocka_unit_test(test_usage),
	    cmocka_unit_test(test_nearest),
	    cmocka_unit_test(test_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
