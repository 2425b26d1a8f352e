/* Random records against a serialiser that is slow and obvious: it goes through the table of fields as data, prints
 * with the C library, decides about UTF-8 by decoding, and takes SHA-1 and base64 from the cryptographic library. Texts
 * lie in memory of exactly their size, and so does the output: with AddressSanitizer one byte too far is a failure, and
 * without it the bytes behind the room are looked at. */
#include "ndjson.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define ROUNDS 30000
#define NAMES 32
#define KEPT_MAX 128
#define TEXT_MAX 3000
#define BEHIND 64 /* bytes that are looked at behind the room */

static uint64_t random_state = 20240229;

static uint64_t any(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * UINT64_C(2685821657736338717);
}

static uint64_t below(uint64_t n)
{
	return (any() >> 20) % n;
}

/* --- the slow serialiser --- */

static struct buffer expected;

static void say(const char *fmt, ...) print_format(1, 2);
static void say(const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	assert_true(n >= 0 && n < (int)sizeof text);
	assert_int_equal(buffer_put(&expected, text, (size_t)n), 0);
}

/* Bytes of the UTF-8 sequence at s, or 0: decoded, and then checked to be the one way to write its code point. */
static size_t sequence(const uint8_t *s, size_t left)
{
	size_t len = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
	if (!len || len > left)
		return 0;
	uint32_t code = len == 1 ? s[0] : s[0] & (0xff >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	return code < least[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? 0 : len;
}

static void say_text(const char *at, size_t len)
{
	const uint8_t *s = (const uint8_t *)at;
	for (size_t i = 0; i < len;) {
		size_t n = sequence(s + i, len - i);
		if (!n)
			say("\xef\xbf\xbd");
		else if (n > 1)
			say("%.*s", (int)n, at + i);
		else if (s[i] == '"' || s[i] == '\\')
			say("\\%c", s[i]);
		else if (s[i] >= ' ')
			say("%c", s[i]);
		else if (strchr("\b\t\n\f\r", s[i]) && s[i])
			say("\\%c", "btnfr"[strchr("\b\t\n\f\r", s[i]) - "\b\t\n\f\r"]);
		else
			say("\\u%04x", s[i]);
		i += n ? n : 1;
	}
}

static void say_address(unsigned version, const uint8_t *at)
{
	if (version == 4) {
		say("%u.%u.%u.%u", at[0], at[1], at[2], at[3]);
		return;
	}
	unsigned zeros[9] = {0}, best = 8; /* zeros[i]: zero groups in a row from i on */
	for (unsigned i = 8; i--;)
		zeros[i] = at[2 * i] || at[2 * i + 1] ? 0 : zeros[i + 1] + 1;
	if (zeros[0] == 5 && at[10] == 0xff && at[11] == 0xff) {
		say("::ffff:%u.%u.%u.%u", at[12], at[13], at[14], at[15]);
		return;
	}
	for (unsigned i = 8; i--;)
		if (zeros[i] >= 2 && zeros[i] >= zeros[best])
			best = i;
	for (unsigned i = 0; i < 8;) {
		if (i == best) {
			say("::");
			i += zeros[best];
		} else {
			say("%x", at[2 * i] << 8 | at[2 * i + 1]);
			if (++i < 8 && i != best)
				say(":");
		}
	}
}

static void say_time(int64_t ns)
{
	int64_t second = ns / NS_PER_S - (ns % NS_PER_S < 0);
	time_t t = second;
	struct tm tm;
	char text[64];
	gmtime_r(&t, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	/* the difference fits, the product perhaps not */
	say("\"%s.%09" PRIu64 "Z\"", text, (uint64_t)ns - (uint64_t)second * (uint64_t)NS_PER_S);
}

static void say_tunnels(const struct tunnel_list *list)
{
	for (unsigned i = 0; i < list->count; i++) {
		const struct tunnel *t = &list->at[i];
		say("%s{\"type\":\"%s\"", i ? "," : "", tunnel_type_names[t->type]);
		if (t->type == TUNNEL_VXLAN || t->type == TUNNEL_GENEVE || t->type == TUNNEL_NVGRE ||
		    t->type == TUNNEL_ERSPAN_II || t->type == TUNNEL_ERSPAN_III || t->type == TUNNEL_GTPU ||
		    (t->type == TUNNEL_GRE && t->id))
			say(",\"id\":%" PRIu32, t->id);
		say(",\"source\":\"");
		say_address(t->ip_version, t->source);
		say("\",\"target\":\"");
		say_address(t->ip_version, t->target);
		say("\"}");
	}
}

/* -?(0|[1-9][0-9]*), at most 18 digits */
static bool is_integer(struct text t)
{
	char text[24], again[24];
	if (!t.len || t.len > 19 || memchr(t.at, 0, t.len))
		return false;
	memcpy(text, t.at, t.len);
	text[t.len] = '\0';
	snprintf(again, sizeof again, "%lld", strtoll(text, NULL, 10));
	return strlen(text) - (text[0] == '-') <= 18 && (!strcmp(text, again) || !strcmp(text, "-0"));
}

static void say_attributes(const struct attribute_list *list)
{
	bool first = true;
	say("{");
	for (unsigned i = 0; i < list->count; i++) {
		const struct attribute *a = &list->at[i];
		if (!a->value.at)
			continue;
		const char *quote = a->number && is_integer(a->value) ? "" : "\"";
		say("%s\"", first ? "" : ",");
		say_text(a->name, strlen(a->name));
		say("\":%s", quote);
		say_text(a->value.at, a->value.len);
		say("%s", quote);
		first = false;
	}
	say("}");
}

static void say_value(enum field_kind kind, const void *at)
{
	const struct text *text = at;
	const struct ip_address *ip = at;
	const struct vlan_list *vlans = at;
	const uint8_t *bytes = at;
	switch (kind) {
	case FIELD_U64:
		say("%" PRIu64, *(const uint64_t *)at);
		break;
	case FIELD_I64:
	case FIELD_NS:
		say("%" PRId64, *(const int64_t *)at);
		break;
	case FIELD_TIME:
		say_time(*(const int64_t *)at);
		break;
	case FIELD_ID:
		say("\"%016" PRIx64 "\"", *(const uint64_t *)at);
		break;
	case FIELD_BOOL:
		say(*(const bool *)at ? "true" : "false");
		break;
	case FIELD_NAME:
	case FIELD_TEXT:
		say("\"");
		say_text(text->at, text->len);
		say("\"");
		break;
	case FIELD_IP:
		say("\"");
		say_address(ip->version, ip->at);
		say("\"");
		break;
	case FIELD_MAC:
		say("\"%02x:%02x:%02x:%02x:%02x:%02x\"", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]);
		break;
	case FIELD_VLANS:
		say("[");
		for (unsigned i = 0; i < vlans->count; i++)
			say("%s%u", i ? "," : "", vlans->id[i]);
		say("]");
		break;
	case FIELD_TUNNELS:
		say("[");
		say_tunnels(at);
		say("]");
		break;
	case FIELD_FLAGS:
		say("\"");
		for (unsigned i = 0; i < 8; i++)
			if (*bytes >> i & 1)
				say("%c", "FSRPAUEC"[i]);
		say("\"");
		break;
	case FIELD_ATTRIBUTES:
		say_attributes(at);
		break;
	}
}

/* By the specification: seed, the smaller end, the larger end, protocol, a zero, and the ports in between. */
static void say_community_id(const struct flow_record *f)
{
	static const struct {
		const char *name;
		uint8_t number;
	} numbers[] = {{"TCP", 6}, {"UDP", 17}, {"SCTP", 132}, {"IGMP", 2}, {"GRE", 47}, {"ESP", 50}};
	unsigned number = 0;
	for (size_t i = 0; i < array_size(numbers) && flow_record_has(f, protocol); i++)
		if (text_is(f->protocol, numbers[i].name))
			number = numbers[i].number;
	if (!number || !flow_record_has(f, client_ip) || !flow_record_has(f, server_ip) ||
	    f->client_ip.version != f->server_ip.version)
		return;
	struct {
		uint8_t bytes[18];
	} end[2];
	size_t size = f->client_ip.version == 4 ? 4 : 16;
	unsigned ports[2] = {flow_record_has(f, client_port) ? (uint16_t)f->client_port : 0,
			     flow_record_has(f, server_port) ? (uint16_t)f->server_port : 0};
	memcpy(end[0].bytes, f->client_ip.at, size);
	memcpy(end[1].bytes, f->server_ip.at, size);
	for (unsigned i = 0; i < 2; i++) {
		end[i].bytes[size] = (uint8_t)(ports[i] >> 8);
		end[i].bytes[size + 1] = (uint8_t)ports[i];
	}
	unsigned small = memcmp(end[0].bytes, end[1].bytes, size + 2) > 0;
	uint8_t input[64] = {0}, digest[EVP_MAX_MD_SIZE];
	size_t len = 2;
	memcpy(input + len, end[small].bytes, size);
	memcpy(input + len + size, end[!small].bytes, size);
	len += 2 * size;
	input[len++] = (uint8_t)number;
	input[len++] = 0;
	if (number == 6 || number == 17 || number == 132) {
		memcpy(input + len, end[small].bytes + size, 2);
		memcpy(input + len + 2, end[!small].bytes + size, 2);
		len += 4;
	}
	unsigned digest_len;
	unsigned char text[32];
	assert_int_equal(EVP_Digest(input, len, digest, &digest_len, EVP_sha1(), NULL), 1);
	assert_int_equal(EVP_EncodeBlock(text, digest, (int)digest_len), 28);
	say(",\"community_id\":\"1:%s\"", (const char *)text);
}

static void say_record(const char *name, const struct field *fields, size_t count, const uint64_t *present,
		       const void *record)
{
	expected.len = 0;
	say("{\"record\":\"%s\"", name);
	for (size_t i = 0; i < count; i++) {
		const void *at = (const char *)record + fields[i].offset;
		if (!(present[i / 64] >> (i % 64) & 1))
			continue;
		if (fields[i].kind == FIELD_TEXT && !((const struct text *)at)->at) {
			if (fields == flow_fields && i == FLOW_community_id)
				say_community_id(record);
			continue;
		}
		say(",\"%s\":", fields[i].name);
		say_value(fields[i].kind, at);
	}
	say("}\n");
}

/* --- random records --- */

static void *kept[KEPT_MAX]; /* texts of the record at hand */
static unsigned kept_count;
static bool long_texts; /* longer than all that NDJSON_ROOM_MIN has for what is not text */

static char *keep(size_t len)
{
	assert_true(kept_count < KEPT_MAX);
	return kept[kept_count++] = malloc(len ? len : 1);
}

static uint64_t any_number(void)
{
	switch (below(4)) {
	case 0:
		return below(1200);
	case 1:
		return any() >> below(64);
	case 2: { /* where the number of digits changes */
		uint64_t v = 1;
		for (uint64_t n = below(20); n--;)
			v *= 10;
		return v + below(3) - 1;
	}
	default:
		return (uint64_t[]){0, UINT64_MAX, INT64_MAX, (uint64_t)INT64_MIN, UINT32_MAX}[below(5)];
	}
}

static int64_t any_time(void)
{
	int64_t second = (int64_t)below(UINT64_C(9223372036));
	switch (below(5)) {
	case 0: /* before 1970 */
		return -second * NS_PER_S + (int64_t)below(3) - 1;
	case 1: /* around a second, up to 2262 */
		return second * NS_PER_S + (int64_t)below(3) - 1;
	case 2: /* neighbours, as records are */
		return INT64_C(1709251199000000000) + (int64_t)below(UINT64_C(40000000000));
	case 3:
		return below(2) ? INT64_MAX - (int64_t)below(UINT64_C(2000000000))
				: INT64_MIN + (int64_t)below(UINT64_C(2000000000));
	default:
		return (int64_t)any();
	}
}

/* Bytes that need nothing, or escapes now and then, or that are anything, or UTF-8 with faults. */
static struct text any_text(void)
{
	static const char *const pieces[] = {"\xc3\xa9",
					     "\xe4\xb8\xad",
					     "\xf0\x9f\x98\x80",
					     "\xf4\x8f\xbf\xbf",
					     "\xed\xa0\x80",
					     "\xc0\xaf",
					     "\xe2\x82",
					     "\xff",
					     "a",
					     "\"",
					     "bcdefghijklmnop",
					     "\xf4\x90\x80\x80"};
	static char text[TEXT_MAX];
	size_t len = long_texts ? below(TEXT_MAX) : below(8) ? below(40) : below(400);
	unsigned kind = (unsigned)below(4);
	for (size_t i = 0; i < len; i++)
		text[i] = (char)(kind < 2 ? ' ' + 1 + below(94) : kind == 2 ? below(256) : 'x');
	for (size_t i = 0; i < len; i++)
		if (kind == 0 && (text[i] == '"' || text[i] == '\\'))
			text[i] = '/';
	if (kind == 3) {
		for (size_t i = 0; i < len;) {
			const char *piece = pieces[below(array_size(pieces))];
			size_t n = min_of(strlen(piece), len - i); /* perhaps cut short */
			memcpy(text + i, piece, n);
			i += n;
		}
	}
	char *at = keep(len);
	memcpy(at, text, len);
	return (struct text){at, (uint32_t)len};
}

static struct text any_name(void)
{
	static const char *const known[] = {"TCP", "UDP",  "SCTP",    "IGMP", "GRE",
					    "ESP", "ICMP", "tcp_fin", "ok",   "HTTP"};
	size_t len = below(65);
	const char *of = below(3) ? known[below(array_size(known))] : NULL;
	if (of)
		len = strlen(of);
	char *at = keep(len + 1);
	for (size_t i = 0; i < len; i++)
		at[i] = of ? of[i] : (char)('a' + below(26));
	at[len] = '\0';
	return (struct text){at, (uint32_t)len};
}

static void any_address(uint8_t *ret_version, uint8_t at[16])
{
	*ret_version = below(2) ? 4 : 6;
	unsigned zeros = (unsigned)(below(2) ? any() & any() : any());
	for (unsigned i = 0; i < 16; i++)
		at[i] = zeros >> (i / 2) & 1 ? 0 : (uint8_t)(below(4) ? any() : 0);
	if (below(8) == 0) /* IPv4-mapped */
		memcpy(at, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
}

static void fill_value(enum field_kind kind, void *at)
{
	struct ip_address *ip = at;
	struct vlan_list *vlans = at;
	struct tunnel_list *tunnels = at;
	struct attribute_list *attributes = at;
	switch (kind) {
	case FIELD_U64:
	case FIELD_I64:
	case FIELD_NS:
	case FIELD_ID:
		*(uint64_t *)at = kind == FIELD_ID ? any() >> below(64) : any_number();
		break;
	case FIELD_TIME:
		*(int64_t *)at = any_time();
		break;
	case FIELD_BOOL:
		*(bool *)at = below(2);
		break;
	case FIELD_NAME:
		*(struct text *)at = any_name();
		break;
	case FIELD_TEXT:
		*(struct text *)at = below(10) ? any_text() : (struct text){NULL, 0};
		break;
	case FIELD_IP:
		any_address(&ip->version, ip->at);
		break;
	case FIELD_MAC:
		for (unsigned i = 0; i < 6; i++)
			((uint8_t *)at)[i] = (uint8_t)any();
		break;
	case FIELD_VLANS:
		vlans->count = (uint8_t)below(PACKET_VLANS + 1);
		for (unsigned i = 0; i < PACKET_VLANS; i++)
			vlans->id[i] = (uint16_t)(any() >> below(16));
		break;
	case FIELD_TUNNELS:
		tunnels->count = (uint8_t)below(PACKET_TUNNELS + 1);
		for (unsigned i = 0; i < PACKET_TUNNELS; i++) {
			struct tunnel *t = &tunnels->at[i];
			*t = (struct tunnel){.type = (uint8_t)below(TUNNEL_TYPES), .id = (uint32_t)any_number()};
			any_address(&t->ip_version, t->source);
			any_address(&(uint8_t){0}, t->target);
		}
		break;
	case FIELD_FLAGS:
		*(uint8_t *)at = (uint8_t)any();
		break;
	case FIELD_ATTRIBUTES:
		attributes->count = (uint8_t)below(RECORD_ATTRIBUTES + 1);
		for (unsigned i = 0; i < attributes->count; i++) {
			struct attribute *a = &attributes->at[i];
			*a = (struct attribute){.name = any_name().at, .number = below(2)};
			if (below(2)) {
				a->value = below(8) ? any_text() : (struct text){NULL, 0};
				continue;
			}
			char number[32];
			int n =
			    snprintf(number, sizeof number, "%s%" PRId64, below(8) ? "" : "0", (int64_t)any_number());
			char *copy = keep((size_t)n);
			memcpy(copy, number, (size_t)n);
			a->value = (struct text){copy, (uint32_t)n};
		}
		break;
	}
}

static void fill_record(const struct field *fields, size_t count, uint64_t *present, void *record)
{
	uint64_t chance = 1 + below(16);
	present[0] = 0;
	if (count > 64)
		present[1] = 0;
	for (size_t i = 0; i < count; i++) {
		if (below(16) >= chance)
			continue;
		present[i / 64] |= UINT64_C(1) << (i % 64);
		fill_value(fields[i].kind, (char *)record + fields[i].offset);
	}
	if (fields == flow_fields && below(2))
		((struct flow_record *)record)->community_id = (struct text){NULL, 0};
}

/* Into a room of exactly this size. */
static void check_room(bool is_flow, const void *record, size_t room, size_t enough)
{
	char *out = malloc(room + BEHIND);
	memset(out, 0x55, room + BEHIND);
#ifdef __SANITIZE_ADDRESS__
	out = realloc(out, room ? room : 1);
#endif
	int n = is_flow ? ndjson_flow(record, out, room) : ndjson_request(record, out, room);
	if (n < 0) {
		assert_int_equal(n, -ENOBUFS);
		assert_true(room < enough);
	} else {
		assert_true(room >= NDJSON_ROOM_MIN);
		if ((size_t)n != expected.len || memcmp(out, expected.at, expected.len) != 0)
			fail_msg("printed:\n%.*sexpected:\n%.*s", n, out, (int)expected.len, expected.at);
	}
#ifndef __SANITIZE_ADDRESS__
	for (size_t i = 0; i < BEHIND; i++)
		assert_int_equal(out[room + i], 0x55);
#endif
	free(out);
}

static void test_random_records(void **state)
{
	(void)state;
	static struct flow_record f;
	static struct request_record r;
	for (unsigned round = 0; round < ROUNDS; round++) {
		bool is_flow = round & 1;
		long_texts = below(50) == 0;
		if (is_flow) {
			fill_record(flow_fields, FLOW_FIELD_COUNT, f.present, &f);
			say_record("flow", flow_fields, FLOW_FIELD_COUNT, f.present, &f);
		} else {
			fill_record(request_fields, REQUEST_FIELD_COUNT, &r.present, &r);
			say_record("request", request_fields, REQUEST_FIELD_COUNT, &r.present, &r);
		}
		const void *record = is_flow ? (const void *)&f : &r;
		size_t enough = NDJSON_ROOM_MIN + expected.len; /* more than the texts alone */
		check_room(is_flow, record, enough, enough);
		check_room(is_flow, record, NDJSON_ROOM_MIN + below(expected.len + 1), enough);
		check_room(is_flow, record, NDJSON_ROOM_MIN - below(2), enough);
		while (kept_count)
			free(kept[--kept_count]);
	}
	buffer_free(&expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_random_records),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
