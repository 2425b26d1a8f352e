/* test_text_tools.c - the helpers of text protocols, and trace headers. */
#include "text_tools.h"
#include "trace_context.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct text text_of(const char *s)
{
	return text_make(s, strlen(s));
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t max, value;
		bool good;
	} decimals[] = {
	    {"0", 10, 0, true},
	    {"007", 10, 7, true},
	    {"10", 10, 10, true},
	    {"11", 10, 0, false},
	    {"9", 5, 0, false},
	    {"18446744073709551615", UINT64_MAX, UINT64_MAX, true},
	    {"18446744073709551616", UINT64_MAX, 0, false},
	    {"99999999999999999999", UINT64_MAX, 0, false},
	    {"", 10, 0, false},
	    {"1 ", 10, 0, false},
	    {"+1", 10, 0, false},
	    {"-1", 10, 0, false},
	};
	uint64_t v;
	uint32_t digits;
	(void)state;
	for (size_t i = 0; i < array_size(decimals); i++) {
		v = 0;
		assert_int_equal(text_decimal(text_of(decimals[i].text), decimals[i].max, &v), decimals[i].good);
		assert_true(v == decimals[i].value);
	}
	assert_true(text_hex_prefix(text_of("1aF;x"), UINT64_MAX, &v, &digits));
	assert_true(v == 0x1af && digits == 3);
	assert_true(text_hex_prefix(text_of("ffffffffffffffff"), UINT64_MAX, &v, &digits));
	assert_true(v == UINT64_MAX);
	assert_false(text_hex_prefix(text_of("10000000000000000"), UINT64_MAX, &v, &digits));
	assert_true(text_hex_prefix(text_of("0000000000000000010"), 16, &v, &digits));
	assert_false(text_hex_prefix(text_of("11"), 16, &v, &digits));
	assert_false(text_hex_prefix(text_of("x"), 16, &v, &digits));
}

static void pieces(void **state)
{
	struct text t = text_of(" a , b,,");
	(void)state;
	assert_true(text_is(text_trim(text_split(&t, ',')), "a"));
	assert_true(text_is(text_trim(text_split(&t, ',')), "b"));
	assert_true(text_is(text_split(&t, ','), ""));
	assert_non_null(t.at);
	assert_true(text_is(text_split(&t, ','), ""));
	assert_null(t.at);
	assert_int_equal(text_trim(text_of(" \t ")).len, 0);
	assert_true(text_is_lower(text_of("ChUnKeD"), "chunked"));
	assert_false(text_is_lower(text_of("chunked "), "chunked"));
	assert_true(text_starts_lower(text_of("HTTP://x"), "http://"));
	assert_false(text_starts_lower(text_of("htt"), "http"));
	assert_int_equal(ascii_lower('['), '[');
	assert_int_equal(ascii_lower('@'), '@');
	assert_int_equal(ascii_lower('Z'), 'z');
	assert_int_equal(ascii_hex('g'), -1);
	assert_int_equal(ascii_hex('F'), 15);
	assert_int_equal(ascii_hex('/'), -1);
}

static void base64(void **state)
{
	/* RFC 4648, 10 */
	static const char *const good[][2] = {
	    {"", ""},    {"Zg==", "f"},         {"Zm8=", "fo"},         {"Zm9v", "foo"},          {"Zm9vYg==", "foob"},
	    {"Zg", "f"}, {"Zm9vYmE=", "fooba"}, {"Zm9vYmFy", "foobar"}, {"+/+/", "\xfb\xff\xbf"},
	};
	static const char *const bad[] = {"Z", "Zg=v", "Zm 9v", "Zm9v-", "====", "Zm9vYmFyZm9vYmFy"};
	uint8_t out[8];
	(void)state;
	for (size_t i = 0; i < array_size(good); i++) {
		int n = text_base64(text_of(good[i][0]), out, sizeof out);
		assert_int_equal(n, strlen(good[i][1]));
		assert_memory_equal(out, good[i][1], (size_t)n);
	}
	for (size_t i = 0; i < array_size(bad); i++)
		assert_int_equal(text_base64(text_of(bad[i]), out, sizeof out), -1);
}

static void paths(void **state)
{
	static const char *const templates[][2] = {
	    {"/", "/"},
	    {"/users/17", "/users/{id}"},
	    {"/users/17/", "/users/{id}/"},
	    {"/v2/users/u17/x", "/v2/users/u17/x"},
	    {"/o/123e4567-e89b-12d3-a456-426614174000/x", "/o/{id}/x"},
	    {"/o/123e4567-e89b-12d3-a456-42661417400g/x", "/o/123e4567-e89b-12d3-a456-42661417400g/x"},
	    {"/m/507f1f77bcf86cd799439011", "/m/{id}"},
	    {"/m/507f1f77bcf", "/m/507f1f77bcf"},
	    {"/m/507f1f77bcf8", "/m/{id}"},
	    {"/deadbeefcafebabe", "/deadbeefcafebabe"},
	    {"1/22/333", "{id}/{id}/{id}"},
	};
	static const char *const hidden[][2] = {
	    {"/a", "/a"},        {"/a?", "/a?"},           {"/a?b=1", "/a?b=?"}, {"/a?b=1&&c=d=e&f", "/a?b=?&&c=?&?"},
	    {"/a?b=", "/a?b=?"}, {"/a?x?y=1", "/a?x?y=?"},
	};
	char out[64], small[6];
	struct text t;
	(void)state;
	for (size_t i = 0; i < array_size(templates); i++) {
		assert_true(text_path_template(text_of(templates[i][0]), out, sizeof out, &t));
		assert_true(text_is(t, templates[i][1]));
	}
	for (size_t i = 0; i < array_size(hidden); i++) {
		assert_true(text_hide_query(text_of(hidden[i][0]), out, sizeof out, &t));
		assert_true(text_is(t, hidden[i][1]));
	}
	assert_false(text_path_template(text_of("/abc/17"), small, sizeof small, &t));
	assert_true(text_is(t, "/abc/{"));
	assert_false(text_hide_query(text_of("/a?secret=1"), small, sizeof small, &t));
	assert_true(text_is(t, "/a?sec"));
}

static void trace_headers(void **state)
{
	static const struct {
		const char *value;
		bool good;
	} w3c[] = {
	    {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true},
	    {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false}, /* version 00 has no more fields */
	    {"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", true},
	    {"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x", false},
	    {"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
	    {"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false},
	    {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", false},
	    {"00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01", false},
	    {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", false},
	};
	struct trace_ids ids;
	char scratch[TRACE_SCRATCH];
	(void)state;
	for (size_t i = 0; i < array_size(w3c); i++)
		assert_int_equal(trace_parse_w3c(text_of(w3c[i].value), &ids), w3c[i].good);
	assert_true(trace_parse_sw8(text_of("1-YQ==-Yg==-2147483647-x-x-x-x"), scratch, &ids));
	assert_true(text_is(ids.trace_id, "a") && text_is(ids.span_id, "b-2147483647"));
	assert_false(trace_parse_sw8(text_of("1-YQ==-Yg==-2147483648-x"), scratch, &ids));
	assert_false(trace_parse_sw8(text_of("2-YQ==-Yg==-1-x"), scratch, &ids));
	assert_false(trace_parse_sw8(text_of("1-YQ=="), scratch, &ids));
	/* longer than the scratch: 240 times "YWFh" are 720 bytes */
	char longer[1024] = "1-";
	for (unsigned i = 0; i < 240; i++)
		strcat(longer, "YWFh");
	strcat(longer, "-Yg==-1");
	assert_false(trace_parse_sw8(text_of(longer), scratch, &ids));
	assert_false(trace_parse_b3(text_of("0"), &ids));
	assert_false(trace_parse_b3(text_of("80f198ee56343ba8-05e3ac9a4f6e3b9"), &ids));
	assert_true(trace_parse_b3(text_of("80f198ee56343ba8-05e3ac9a4f6e3b90"), &ids));
	assert_true(trace_parse_uber(text_of("a:b:c:1"), &ids));
	assert_false(trace_parse_uber(text_of("a:b"), &ids));
	assert_false(trace_parse_uber(text_of("a:b:0"), &ids));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers), cmocka_unit_test(pieces),        cmocka_unit_test(base64),
	    cmocka_unit_test(paths),   cmocka_unit_test(trace_headers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
