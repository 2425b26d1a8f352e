#include "ndjson.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define ROOM (NDJSON_ROOM_MIN + 65536)

static char line[ROOM + 1];

static struct ip_address ip(const char *text)
{
	struct ip_address a = {.version = strchr(text, ':') ? 6 : 4};
	assert_int_equal(inet_pton(a.version == 6 ? AF_INET6 : AF_INET, text, a.at), 1);
	return a;
}

static const char *print_request(const struct request_record *r)
{
	int n = ndjson_request(r, line, ROOM);
	assert_true(n > 0);
	line[n] = '\0';
	return line;
}

static const char *print_flow(const struct flow_record *r)
{
	int n = ndjson_flow(r, line, ROOM);
	assert_true(n > 0);
	line[n] = '\0';
	return line;
}

/* `n` bytes that end at a page which cannot be read or written. */
static char *guarded(size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (n + page - 1) / page * page;
	char *base = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(base != MAP_FAILED);
	assert_int_equal(mprotect(base + size, page, PROT_NONE), 0);
	return base + size - n;
}

static void test_empty_records(void **state)
{
	(void)state;
	assert_string_equal(print_flow(&(struct flow_record){0}), "{\"record\":\"flow\"}\n");
	assert_string_equal(print_request(&(struct request_record){0}), "{\"record\":\"request\"}\n");
}

static void test_every_kind(void **state)
{
	(void)state;
	struct flow_record f = {0};
	flow_record_set(&f, flow_id, 0x0123456789abcdefu);
	flow_record_set(&f, start_time, INT64_C(1709251199000000001));
	flow_record_set(&f, duration_ns, -5);
	flow_record_set(&f, close_type, TEXT("tcp_fin"));
	flow_record_set(&f, is_new_flow, true);
	flow_record_set(&f, direction_corrected, false);
	memcpy(f.client_mac, "\x00\x1b\x21\xab\xcd\xef", 6);
	flow_record_mark(&f, client_mac);
	flow_record_set(&f, vlan, ((struct vlan_list){.count = 2, .id = {4094, 7}}));
	flow_record_set(&f, client_ip, ip("192.0.2.1"));
	flow_record_set(&f, client_port, 65535);
	flow_record_set(&f, server_ip, ip("2001:db8::1"));
	flow_record_set(&f, byte_tx, UINT64_MAX);
	flow_record_set(&f, tcp_flags_tx, TCP_SYN | TCP_ACK | TCP_PSH | TCP_FIN);
	flow_record_set(&f, tcp_flags_rx, 0);
	assert_string_equal(print_flow(&f),
			    "{\"record\":\"flow\",\"flow_id\":\"0123456789abcdef\","
			    "\"start_time\":\"2024-02-29T23:59:59.000000001Z\",\"duration_ns\":-5,"
			    "\"close_type\":\"tcp_fin\",\"is_new_flow\":true,\"direction_corrected\":false,"
			    "\"client_mac\":\"00:1b:21:ab:cd:ef\",\"vlan\":[4094,7],\"client_ip\":\"192.0.2.1\","
			    "\"client_port\":65535,\"server_ip\":\"2001:db8::1\",\"byte_tx\":18446744073709551615,"
			    "\"tcp_flags_tx\":\"FSPA\",\"tcp_flags_rx\":\"\"}\n");

	struct request_record r = {0};
	request_record_set(&r, l7_protocol, TEXT("HTTP"));
	request_record_set(&r, request_type, TEXT("GET"));
	request_record_set(&r, request_resource, TEXT(""));
	request_record_set(&r, response_code, -12);
	request_record_set(&r, attributes,
			   ((struct attribute_list){
			       .count = 4,
			       .at = {{"http.a", TEXT("x\"y"), false},
				      {"http.n", TEXT("42"), true},
				      {"http.absent", {NULL, 0}, false},
				      {"http.odd", TEXT("007"), true}},
			   }));
	assert_string_equal(print_request(&r),
			    "{\"record\":\"request\",\"l7_protocol\":\"HTTP\",\"request_type\":\"GET\","
			    "\"request_resource\":\"\",\"response_code\":-12,"
			    "\"attributes\":{\"http.a\":\"x\\\"y\",\"http.n\":42,\"http.odd\":\"007\"}}\n");
}

static void test_absent_text(void **state)
{
	(void)state;
	struct request_record r = {0};
	request_record_set(&r, version, ((struct text){NULL, 0}));
	request_record_set(&r, request_type, TEXT("GET"));
	assert_string_equal(print_request(&r), "{\"record\":\"request\",\"request_type\":\"GET\"}\n");
}

/* A number of the wire is printed as one only where every JSON reader takes it. */
static void test_attribute_numbers(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		bool number;
	} cases[] = {
	    {"0", true},
	    {"-1", true},
	    {"123456789012345678", true},
	    {"-123456789012345678", true},
	    {"", false},
	    {"-", false},
	    {"-0x1", false},
	    {"1234567890123456789", false},
	    {"00", false},
	    {"-01", false},
	    {"1.5", false},
	    {"1e3", false},
	    {"+1", false},
	    {" 1", false},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		struct request_record r = {0};
		struct text value = {cases[i].in, (uint32_t)strlen(cases[i].in)};
		request_record_set(&r, attributes, ((struct attribute_list){.count = 1, .at = {{"n", value, true}}}));
		char expected[128];
		snprintf(expected, sizeof expected,
			 cases[i].number ? "{\"record\":\"request\",\"attributes\":{\"n\":%s}}\n"
					 : "{\"record\":\"request\",\"attributes\":{\"n\":\"%s\"}}\n",
			 cases[i].in);
		assert_string_equal(print_request(&r), expected);
	}
}

static void test_integers(void **state)
{
	(void)state;
	/* around every power of ten, where the number of digits changes */
	for (uint64_t ten = 1; ten <= UINT64_C(1000000000000000000); ten *= 10) {
		for (int d = -1; d <= 11; d++) {
			struct flow_record f = {0};
			uint64_t v = ten + (uint64_t)d;
			flow_record_set(&f, packet_tx, v);
			flow_record_set(&f, rtt_ns, -(int64_t)v);
			char expected[128];
			snprintf(expected, sizeof expected,
				 "{\"record\":\"flow\",\"packet_tx\":%llu,\"rtt_ns\":%lld}\n", (unsigned long long)v,
				 -(long long)v);
			assert_string_equal(print_flow(&f), expected);
		}
	}
	struct flow_record f = {0};
	flow_record_set(&f, rtt_ns, INT64_MIN);
	assert_string_equal(print_flow(&f), "{\"record\":\"flow\",\"rtt_ns\":-9223372036854775808}\n");
}

static void test_times(void **state)
{
	(void)state;
	static const struct {
		int64_t ns;
		const char *text;
	} cases[] = {
	    {0, "1970-01-01T00:00:00.000000000Z"},
	    {-1, "1969-12-31T23:59:59.999999999Z"},
	    {INT64_C(951782400123456789), "2000-02-29T00:00:00.123456789Z"},
	    {INT64_C(951868800) * NS_PER_S, "2000-03-01T00:00:00.000000000Z"},
	    {INT64_C(4107542399) * NS_PER_S, "2100-02-28T23:59:59.000000000Z"},
	    {INT64_C(4107542400) * NS_PER_S, "2100-03-01T00:00:00.000000000Z"},
	    {INT64_C(1704067199999999999), "2023-12-31T23:59:59.999999999Z"},
	    {INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
	    {INT64_MIN, "1677-09-21T00:12:43.145224192Z"},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		char text[TIME_TEXT_LEN + 1] = {0};
		assert_int_equal(time_print(cases[i].ns, text), TIME_TEXT_LEN);
		assert_string_equal(text, cases[i].text);
	}
	/* every day of 585 years against the C library */
	for (int64_t day = INT64_MIN / NS_PER_S / 86400 + 1; day < INT64_MAX / NS_PER_S / 86400; day++) {
		char text[TIME_TEXT_LEN + 1] = {0}, expected[TIME_TEXT_LEN + 1];
		time_print((day * 86400 + 86399) * NS_PER_S, text);
		time_t t = (time_t)day * 86400 + 86399;
		struct tm tm;
		gmtime_r(&t, &tm);
		strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.000000000Z", &tm);
		assert_string_equal(text, expected);
	}
}

static void test_addresses(void **state)
{
	(void)state;
	/* RFC 5952, its rules and examples */
	static const struct {
		const char *in, *out;
	} cases[] = {
	    {"0.0.0.0", "0.0.0.0"},
	    {"255.255.255.255", "255.255.255.255"},
	    {"1.20.100.9", "1.20.100.9"},
	    {"::", "::"},
	    {"::1", "::1"},
	    {"1::", "1::"},
	    {"2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"}, /* the first of two equal runs */
	    {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},                 /* one group is not shortened */
	    {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},                          /* the longest run */
	    {"2001:DB8:AAAA:bbbb:cccc:dddd:EEEE:0AAA", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:aaa"},
	    {"fe80:1:2:3:4:5:0:0", "fe80:1:2:3:4:5::"},
	    {"0:0:1:2:3:4:5:6", "::1:2:3:4:5:6"},
	    {"::ffff:192.0.2.128", "::ffff:192.0.2.128"},
	    {"::fffe:0:1", "::fffe:0:1"},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		struct ip_address a = ip(cases[i].in);
		char text[IP_TEXT_MAX + 1] = {0};
		assert_int_equal(ip_print(&a, text), strlen(cases[i].out));
		assert_string_equal(text, cases[i].out);
	}
	/* every pattern of zero groups reads back to the same address */
	for (unsigned zeros = 0; zeros < 256; zeros++) {
		struct ip_address a = {.version = 6}, b = {.version = 6};
		for (unsigned i = 0; i < 8; i++)
			a.at[2 * i + 1] = zeros >> i & 1 ? 0 : 0xa0 + i;
		char text[IP_TEXT_MAX + 1] = {0};
		ip_print(&a, text);
		assert_int_equal(inet_pton(AF_INET6, text, b.at), 1);
		assert_memory_equal(a.at, b.at, 16);
	}
}

static void test_tunnels(void **state)
{
	(void)state;
	struct flow_record f = {0};
	struct tunnel_list t = {.count = 3};
	t.at[0] = (struct tunnel){
	    .type = TUNNEL_VXLAN, .ip_version = 4, .id = 0, .source = {10, 0, 0, 1}, .target = {10, 0, 0, 2}};
	t.at[1] =
	    (struct tunnel){.type = TUNNEL_GRE, .ip_version = 6, .id = 0, .source = {[15] = 1}, .target = {[15] = 2}};
	t.at[2] =
	    (struct tunnel){.type = TUNNEL_GRE, .ip_version = 6, .id = 9, .source = {[15] = 1}, .target = {[15] = 2}};
	flow_record_set(&f, tunnel, t);
	assert_string_equal(print_flow(&f),
			    "{\"record\":\"flow\",\"tunnel\":["
			    "{\"type\":\"VXLAN\",\"id\":0,\"source\":\"10.0.0.1\",\"target\":\"10.0.0.2\"},"
			    "{\"type\":\"GRE\",\"source\":\"::1\",\"target\":\"::2\"},"
			    "{\"type\":\"GRE\",\"id\":9,\"source\":\"::1\",\"target\":\"::2\"}]}\n");
}

static void test_strings(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} cases[] = {
	    {"plain", "plain"},
	    {"\"", "\\\""},
	    {"\\", "\\\\"},
	    {"a/b", "a/b"},
	    {"\b\t\n\f\r", "\\b\\t\\n\\f\\r"},
	    {"\x01\x1f\x7f", "\\u0001\\u001f\x7f"},
	    {"\033[2J", "\\u001b[2J"},
	    {"\xc3\xa9", "\xc3\xa9"},                                 /* U+00E9 */
	    {"\xe4\xb8\xad\xe6\x96\x87", "\xe4\xb8\xad\xe6\x96\x87"}, /* two characters of three bytes */
	    {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},                 /* U+1F600 */
	    {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},                 /* U+10FFFF, the last */
	    {"\xf4\x90\x80\x80", "????"},                             /* beyond it */
	    {"\xc0\xaf", "??"},                                       /* overlong */
	    {"\xe0\x80\xaf", "???"},
	    {"\xed\xa0\x80", "???"},          /* a surrogate */
	    {"\xed\x9f\xbf", "\xed\x9f\xbf"}, /* just before them */
	    {"\x80", "?"},
	    {"\xff"
	     "a",
	     "?a"},
	    {"\xc3", "?"}, /* cut short */
	    {"\xe4\xb8", "??"},
	    {"\xe4\xb8"
	     "ab",
	     "??ab"},
	    {"\xf0\x9f\x98", "???"},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		/* at each place of a 16-byte step, and from a source that ends where memory does */
		for (size_t before = 0; before < 34; before++) {
			size_t len = before + strlen(cases[i].in);
			char *in = guarded(len);
			memset(in, 'x', before);
			memcpy(in + before, cases[i].in, len - before);
			struct request_record r = {0};
			request_record_set(&r, request_resource, ((struct text){in, (uint32_t)len}));
			char expected[256];
			int n = sprintf(expected, "{\"record\":\"request\",\"request_resource\":\"%.*s", (int)before,
					"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
			for (const char *c = cases[i].out; *c; c++)
				n += sprintf(expected + n, *c == '?' ? "\xef\xbf\xbd" : "%c", *c);
			strcpy(expected + n, "\"}\n");
			assert_string_equal(print_request(&r), expected);
			munmap((void *)((uintptr_t)in & ~(uintptr_t)4095), 8192);
		}
	}
}

/* Any two bytes, NUL too, give a line that a JSON reader takes, and what was ASCII comes back as it was. */
static void test_strings_are_json(void **state)
{
	(void)state;
	for (unsigned a = 0; a < 256; a++) {
		for (unsigned b = 0; b < 256; b++) {
			char in[19];
			memset(in, 'x', sizeof in);
			in[14] = (char)a;
			in[15] = (char)b;
			struct request_record r = {0};
			request_record_set(&r, request_resource, ((struct text){in, sizeof in}));
			print_request(&r);
			json_error_t error;
			json_t *json = json_loads(line, JSON_ALLOW_NUL, &error);
			assert_non_null(json);
			json_t *value = json_object_get(json, "request_resource");
			if (a < 128 && b < 128) {
				assert_int_equal(json_string_length(value), sizeof in);
				assert_memory_equal(json_string_value(value), in, sizeof in);
			}
			json_decref(json);
		}
	}
}

static void fill(struct flow_record *f, struct request_record *r, struct text text)
{
	static const uint8_t ff[16] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
	struct ip_address longest = {.version = 6};
	struct tunnel_list tunnels = {.count = PACKET_TUNNELS};
	struct vlan_list vlans = {.count = PACKET_VLANS};
	struct attribute_list attributes = {.count = RECORD_ATTRIBUTES};
	memcpy(longest.at, ff, 16);
	for (unsigned i = 0; i < PACKET_TUNNELS; i++) {
		tunnels.at[i] = (struct tunnel){.type = TUNNEL_ERSPAN_III, .ip_version = 6, .id = UINT32_MAX};
		memcpy(tunnels.at[i].source, ff, 16);
		memcpy(tunnels.at[i].target, ff, 16);
	}
	for (unsigned i = 0; i < PACKET_VLANS; i++)
		vlans.id[i] = UINT16_MAX;
	static const char *const names[RECORD_ATTRIBUTES] = {"a.0",  "a.1",  "a.2",  "a.3", "a.4",  "a.5",
							     "a.6",  "a.7",  "a.8",  "a.9", "a.10", "a.11",
							     "a.12", "a.13", "a.14", "a.15"};
	for (unsigned i = 0; i < RECORD_ATTRIBUTES; i++)
		attributes.at[i] = (struct attribute){names[i], text, i % 2};
#define VALUE_U64(r, name) r->name = UINT64_MAX;
#define VALUE_I64(r, name) r->name = INT64_MIN;
#define VALUE_NS(r, name) r->name = INT64_MIN;
#define VALUE_TIME(r, name) r->name = INT64_MIN;
#define VALUE_ID(r, name) r->name = UINT64_MAX;
#define VALUE_BOOL(r, name) r->name = false;
#define VALUE_NAME(r, name) r->name = TEXT("0123456789012345678901234567890123456789012345678901234567890123");
#define VALUE_TEXT(r, name) r->name = text;
#define VALUE_IP(r, name) r->name = longest;
#define VALUE_MAC(r, name) memcpy(r->name, ff, 6);
#define VALUE_VLANS(r, name) r->name = vlans;
#define VALUE_TUNNELS(r, name) r->name = tunnels;
#define VALUE_FLAGS(r, name) r->name = 255;
#define VALUE_ATTRIBUTES(r, name) r->name = attributes;
#define FILL_FLOW(kind, name, unit, meaning) VALUE_##kind(f, name) flow_record_mark(f, name);
#define FILL_REQUEST(kind, name, unit, meaning) VALUE_##kind(r, name) request_record_mark(r, name);
	FLOW_FIELDS(FILL_FLOW)
	REQUEST_FIELDS(FILL_REQUEST)
}

/* Every key of the tables is there, with a value of the type that the kind says. */
static void test_full_records(void **state)
{
	(void)state;
	struct flow_record f = {0};
	struct request_record r = {0};
	fill(&f, &r, TEXT("a\"\n"));
	f.byte_tx = f.byte_rx = 0;
	for (int kind = 0; kind < RECORD_KINDS; kind++) {
		size_t count = kind == RECORD_FLOW ? FLOW_FIELD_COUNT : REQUEST_FIELD_COUNT;
		const struct field *fields = kind == RECORD_FLOW ? flow_fields : request_fields;
		int n = kind == RECORD_FLOW ? ndjson_flow(&f, line, ROOM) : ndjson_request(&r, line, ROOM);
		assert_true(n > 0 && line[n - 1] == '\n');
		assert_ptr_equal(memchr(line, '\n', (size_t)n), line + n - 1);
		json_error_t error;
		/* the largest uint64_t is beyond this reader's integers */
		json_t *json = json_loadb(line, (size_t)n, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
		assert_non_null(json);
		assert_int_equal(json_object_size(json), count + 1);
		for (size_t i = 0; i < count; i++) {
			json_t *v = json_object_get(json, fields[i].name);
			assert_non_null(v);
			switch (fields[i].kind) {
			case FIELD_U64:
			case FIELD_I64:
			case FIELD_NS:
				assert_true(json_is_number(v));
				break;
			case FIELD_BOOL:
				assert_true(json_is_boolean(v));
				break;
			case FIELD_VLANS:
			case FIELD_TUNNELS:
				assert_int_equal(json_array_size(v), 4);
				break;
			case FIELD_ATTRIBUTES:
				assert_true(json_is_object(v));
				break;
			default:
				assert_true(json_is_string(v));
			}
		}
		json_decref(json);
	}
}

/* The record with the largest values into every room that ends at a guard page: too small is said, and nothing is
 * written behind; enough is enough. */
static void test_room(void **state)
{
	(void)state;
	static const char hostile[] = "\x01\xff plain text that is longer than one step \"\\";
	struct flow_record f = {0};
	struct request_record r = {0};
	fill(&f, &r, TEXT(""));
	int without_texts[] = {ndjson_flow(&f, line, ROOM), ndjson_request(&r, line, ROOM)};
	fill(&f, &r, TEXT(hostile));
	for (int kind = 0; kind < RECORD_KINDS; kind++) {
		int whole = kind == RECORD_FLOW ? ndjson_flow(&f, line, ROOM) : ndjson_request(&r, line, ROOM);
		assert_true(whole > 0);
		size_t most = (size_t)whole + NDJSON_ROOM_MIN;
		char *end = guarded(most) + most;
		size_t enough = NDJSON_ROOM_MIN + (size_t)(whole - without_texts[kind]) + RECORD_ATTRIBUTES * 10;
		bool fitted = false;
		for (size_t room = 0; room <= most; room++) {
			char *out = end - room;
			int n = kind == RECORD_FLOW ? ndjson_flow(&f, out, room) : ndjson_request(&r, out, room);
			if (n < 0) {
				assert_int_equal(n, -ENOBUFS);
				assert_true(!fitted && room < enough);
				continue;
			}
			fitted = true;
			assert_true(room >= NDJSON_ROOM_MIN);
			assert_int_equal(n, whole);
			assert_memory_equal(out, line, (size_t)n);
		}
		assert_true(fitted);
	}
}

static void test_community_id(void **state)
{
	(void)state;
	/* the specification's published baseline, seed 0 */
	static const struct {
		const char *source, *target;
		uint16_t source_port, target_port;
		const char *protocol, *id;
	} cases[] = {
	    {"128.232.110.120", "66.35.250.204", 34855, 80, "TCP", "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
	    {"2001:470:e5bf:dead:4957:2174:e82c:4887", "2607:f8b0:400c:c03::1a", 63943, 25, "TCP",
	     "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="},
	    {"192.168.1.52", "8.8.8.8", 54585, 53, "UDP", "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
	    {"192.168.170.8", "192.168.170.56", 7, 7, "SCTP", "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="},
	    {"10.1.12.1", "10.1.12.2", 0, 0, "RSVP", "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		struct ip_address a = ip(cases[i].source), b = ip(cases[i].target);
		struct text protocol = {cases[i].protocol, (uint32_t)strlen(cases[i].protocol)};
		uint8_t number = (uint8_t)community_id_number(protocol);
		char id[COMMUNITY_ID_LEN + 1] = {0};
		community_id_v1(&a, cases[i].source_port, &b, cases[i].target_port, number, id);
		assert_string_equal(id, cases[i].id);
		community_id_v1(&b, cases[i].target_port, &a, cases[i].source_port, number, id);
		assert_string_equal(id, cases[i].id);

		struct flow_record f = {0};
		flow_record_set(&f, community_id, ((struct text){NULL, 0}));
		flow_record_set(&f, client_ip, a);
		flow_record_set(&f, client_port, cases[i].source_port);
		flow_record_set(&f, server_ip, b);
		flow_record_set(&f, server_port, cases[i].target_port);
		flow_record_set(&f, protocol, protocol);
		char expected[64];
		sprintf(expected, "\"community_id\":\"%s\"", cases[i].id);
		assert_non_null(strstr(print_flow(&f), expected));

		/* ICMP's needs type and code, which a record does not have */
		flow_record_set(&f, protocol, TEXT("ICMP"));
		assert_null(strstr(print_flow(&f), "community_id"));
	}
	/* equal addresses: the ports decide the order */
	struct ip_address a = ip("10.0.0.1");
	char one[COMMUNITY_ID_LEN + 1] = {0}, other[COMMUNITY_ID_LEN + 1] = {0};
	community_id_v1(&a, 1, &a, 2, 6, one);
	community_id_v1(&a, 2, &a, 1, 6, other);
	assert_string_equal(one, other);
	community_id_v1(&a, 1, &a, 3, 6, other);
	assert_string_not_equal(one, other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_empty_records), cmocka_unit_test(test_every_kind),
	    cmocka_unit_test(test_absent_text),   cmocka_unit_test(test_attribute_numbers),
	    cmocka_unit_test(test_integers),      cmocka_unit_test(test_times),
	    cmocka_unit_test(test_addresses),     cmocka_unit_test(test_tunnels),
	    cmocka_unit_test(test_strings),       cmocka_unit_test(test_strings_are_json),
	    cmocka_unit_test(test_full_records),  cmocka_unit_test(test_room),
	    cmocka_unit_test(test_community_id),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
