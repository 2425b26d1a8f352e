/* test_mysql_parts.c - parts of the MySQL dissector by themselves: values, what is recognised, what errors mean, and
 * messages that are larger than what is held of them. */
#include "dissect_harness.h"
#include "mysql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

/* At the end of a page that cannot be read beyond. */
static const uint8_t *guarded(const void *data, size_t len)
{
	static uint8_t *base;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	if (!base) {
		base = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(base, MAP_FAILED);
		assert_int_equal(mprotect(base + page, page, PROT_NONE), 0);
	}
	assert_true(len <= page);
	if (len)
		memcpy(base + page - len, data, len);
	return base + page - len;
}

/* Types and encodings: "Binary Protocol Resultset Row", enum_field_types. */
#define U 0x8000
#define V(type, bytes, text)                                                                                           \
	{                                                                                                              \
		type, bytes, sizeof(bytes) - 1, text                                                                   \
	}
static const struct {
	uint16_t type;
	const char *bytes;
	size_t len;
	const char *text;
} values[] = {
    V(1, "\377", "-1"),
    V(1 | U, "\377", "255"),
    V(1, "\200", "-128"),
    V(1, "\177", "127"),
    V(244, "\1", "1"),
    V(2, "\0\200", "-32768"),
    V(2 | U, "\0\200", "32768"),
    V(13, "\350\7", "2024"),
    V(3, "\0\0\0\200", "-2147483648"),
    V(3 | U, "\377\377\377\377", "4294967295"),
    V(9, "\376\377\377\377", "-2"),
    V(8, "\0\0\0\0\0\0\0\200", "-9223372036854775808"),
    V(8 | U, "\377\377\377\377\377\377\377\377", "18446744073709551615"),
    V(6, "", "NULL"),
    V(4, "\0\0\300\77", "1.5"),
    V(4, "\315\314\314\75", "0.1"),
    V(4, "\0\0\0\0", "0"),
    V(5, "\0\0\0\0\0\0\44\300", "-10"),
    V(5, "\232\231\231\231\231\231\271\77", "0.1"),
    V(10, "\0", "'0000-00-00'"),
    V(10, "\4\350\7\2\35", "'2024-02-29'"),
    V(12, "\7\332\7\12\21\23\33\36", "'2010-10-17 19:27:30'"),
    V(12, "\13\332\7\12\21\23\33\36\1\0\0\0", "'2010-10-17 19:27:30.000001'"),
    V(7, "\4\332\7\12\21", "'2010-10-17'"),
    V(11, "\0", "'00:00:00'"),
    V(11, "\10\0\0\0\0\0\23\33\36", "'19:27:30'"),
    V(11, "\10\1\170\0\0\0\23\33\36", "'-2899:27:30'"),
    V(11, "\14\1\170\0\0\0\23\33\36\1\0\0\0", "'-2899:27:30.000001'"),
    V(253, "\0", "''"),
    V(254, "\3abc", "'abc'"),
    V(254, "\5it's\"", "'it''s\"'"),
    V(245, "\2{}", "'{}'"),
    V(252, "\3\0\1\377", "0x0001ff"),
    V(252, "\3\303\251!", "'\303\251!'"),
    V(16, "\1\1", "0x01"),
    V(246, "\4-1.5", "-1.5"),
    V(0, "\0041.50", "1.50"),
    V(254, "\374\3\0abc", "'abc'"),
    V(254, "\375\3\0\0abc", "'abc'"),
    V(254, "\376\3\0\0\0\0\0\0\0abc", "'abc'"),
};

static void values_read_like_sql(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_size(values); i++) {
		char out[64];
		struct mysql_writer w = {.out = out, .size = sizeof out - 1};
		struct cursor c = cursor_make(guarded(values[i].bytes, values[i].len), values[i].len);
		assert_true(mysql_write_value(&w, &c, values[i].type));
		out[w.len] = 0;
		assert_string_equal(out, values[i].text);
		assert_int_equal(cursor_left(&c), 0);
		/* cut short, it is no value; with little room, it stays within it */
		for (size_t cut = 0; cut < values[i].len; cut++) {
			c = cursor_make(guarded(values[i].bytes, cut), cut);
			w.len = 0;
			assert_false(mysql_write_value(&w, &c, values[i].type));
		}
		for (size_t size = 0; size < strlen(values[i].text); size++) {
			memset(out, '#', sizeof out);
			w = (struct mysql_writer){.out = out, .size = size};
			c = cursor_make(guarded(values[i].bytes, values[i].len), values[i].len);
			assert_true(mysql_write_value(&w, &c, values[i].type));
			assert_true(w.len <= size);
			assert_int_equal(out[size], '#');
		}
	}
	struct mysql_writer w = {0};
	struct cursor c = cursor_make("\1\2\3", 3);
	assert_false(mysql_write_value(&w, &c, 17)); /* only within the server */
	c = cursor_make("\373", 1);
	assert_false(mysql_write_value(&w, &c, 254)); /* NULL is no text */
}

static void doubles_are_short_and_exact(void **state)
{
	static const struct {
		double value;
		const char *text;
	} rows[] = {
	    {1, "1"},
	    {-0.0, "0"},
	    {123456789, "123456789"},
	    {1e15, "1000000000000000"},
	    {1e22, "1e+22"},
	    {0.1, "0.1"},
	    {1.0 / 3, "0.3333333333333333"},
	    {5e-324, "4.94065645841247e-324"},
	    {1.7976931348623157e308, "1.7976931348623157e+308"},
	    {2.5e-5, "0.000025"},
	    {1e-7, "1e-07"},
	    {9007199254740993.0, "9007199254740992"},
	    {123.456, "123.456"},
	    {0.1 + 0.2, "0.30000000000000004"},
	    {-1e300, "-1e+300"},
	    {1e300 * 1e10, "inf"},
	    {-1e300 * 1e10, "-inf"},
	};
	char out[64];
	(void)state;
	for (size_t i = 0; i < array_size(rows); i++) {
		struct mysql_writer w = {.out = out, .size = sizeof out - 1};
		mysql_write_double(&w, rows[i].value, false);
		out[w.len] = 0;
		assert_string_equal(out, rows[i].text);
	}
	/* What is written reads back as the same number where powers of ten are exact; beyond, the last digits may
	 * differ. */
	uint64_t random = 88172645463325252u;
	for (unsigned i = 0; i < 300000; i++) {
		double value;
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		uint64_t bits =
		    i % 2 ? random : (random & ~(UINT64_C(0x7ff) << 52)) | (UINT64_C(990) + random % 110) << 52;
		memcpy(&value, &bits, sizeof value);
		if (value - value != 0)
			continue;
		struct mysql_writer w = {.out = out, .size = sizeof out - 1};
		mysql_write_double(&w, value, false);
		out[w.len] = 0;
		double back = strtod(out, NULL), size = value < 0 ? -value : value;
		if (size > 1e-9 && size < 1e22 && back != value)
			fail_msg("%.17g: %s", value, out);
		if (size <= 1e-9 || size >= 1e22)
			assert_true((back > value ? back - value : value - back) <= size * 5e-16);
		float single = (float)value;
		if (single - single != 0 || size < 1e-9 || size > 1e22)
			continue;
		w.len = 0;
		mysql_write_double(&w, single, true);
		out[w.len] = 0;
		assert_true(strtof(out, NULL) == single);
	}
}

#define P(bytes, midstream, answer)                                                                                    \
	{                                                                                                              \
		bytes, sizeof(bytes) - 1, midstream, answer                                                            \
	}
static const struct {
	const char *bytes;
	size_t len;
	bool midstream;
	const char *answer;
} probes[] = {
    /* from the start: the greeting, an error in its place, the client's answer */
    P("\112\0\0\0\0128.0.36\0\52\0\0\0saltsalt\0\377", false, "mysql server"),
    P("\112\0\0\0\0125.5.5-10.11.6-MariaDB\0\52\0\0\0saltsalt\0", false, "mysql server"),
    P("\112\0\0\0\012not a version\0\52\0\0\0saltsalt\0", false, "none"),
    P("\112\0\0\0\0128.0.36\0\52\0\0\0saltsalt\1\377", false, "none"),
    P("\25\0\0\0\377\20\4Too many connections", false, "mysql server"),
    P("\125\0\0\1\15\242\17\0\0\0\0\1\41\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0bob", false, "mysql client"),
    P("\40\0\0\1\15\252\17\0\0\0\0\1\41\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", false, "mysql client"),
    /* what only the middle has says nothing at the start */
    P("\11\0\0\0\3SELECT 1", false, "none"),
    P("\7\0\0\1\0\0\0\2\0\0\0", false, "none"),
    /* from the middle: strong ones */
    P("\11\0\0\0\3SELECT 1", true, "mysql client"),
    P("\7\0\0\0\3commit", true, "mysql client"),
    P("\40\1\0\0\3/* a comment */ select 1", true, "mysql client"),
    P("\40\1\0\0\3 (((select 1", true, "mysql client"),
    P("\40\1\0\0\3\0\1UPDATE t", true, "mysql client"),
    P("\40\1\0\0\26INSERT INTO t", true, "mysql client"),
    P("\16\0\0\0\27\1\0\0\0\0\1\0\0\0\0\1\3\0", true, "mysql client"),
    P("\1\0\0\1\1\34\0\0\2\3def", true, "mysql server"),
    P("\60\0\0\1\377\172\4#42S02Table", true, "mysql server"),
    P("\14\0\0\1\0\1\0\0\0\1\0\1\0\0\0\0\34\0\0\2\3def", true, "mysql server"),
    P("\20\0\0\0\0\0\0\14\0\0\0\3SELECT 1", true, "mysql client"),
    /* weak ones need more, and get it from what follows */
    P("\1\0\0\0\16", true, "unsure"),
    P("\7\0\0\1\0\0\0\2\0\0\0", true, "unsure"),
    P("\1\0\0\0\16\11\0\0\0\3SELECT 1", true, "mysql client"),
    P("\5\0\0\0\31\1\0\0\0\11\0\0\0\26SELECT 1", true, "mysql client"),
    P("\1\0\0\0\1\0\0\0\2\0\0\0", true, "none"),
    P("\1\0\0\0\16\1\0\0\0\2\0\0\0", true, "none"),
    /* others */
    P("GET / HTTP/1.1\r\n\r\n", false, "http client"),
    P("\26\3\1\2\0\1\0\1\374\3\3", false, "tls client"),
    P("SSH-2.0-OpenSSH_9.2", false, "none"),
    P("\0\0\0\43\0\3\0\0\0\0\0\1\0\4test", true, "none"),                     /* Kafka */
    P("\72\0\0\0\3\0\0\0\0\0\0\0\324\7\0\0\0\0\0\0admin.$cmd", true, "none"), /* MongoDB */
    P("\0\0\0\10\4\322\26\57", false, "none"),                                /* PostgreSQL */
    P("*1\r\n$4\r\nPING\r\n", true, "none"),                                  /* Redis */
    P("\11\0\0\0\3nothing", true, "none"),
};

static void first_bytes_are_recognised(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_size(probes); i++) {
		const char *answer = harness_probe(probes[i].bytes, probes[i].len, probes[i].midstream);
		/* other protocols may be registered that know the bytes of theirs */
		if (strcmp(probes[i].answer, "none") || !strncmp(answer, "mysql", 5))
			assert_string_equal(answer, probes[i].answer);
		/* less of the same bytes is never certain of something else */
		for (size_t cut = 1; cut < probes[i].len; cut++) {
			answer = harness_probe(probes[i].bytes, cut, probes[i].midstream);
			if (!strncmp(answer, "mysql", 5))
				assert_string_equal(answer, probes[i].answer);
		}
	}
}

static void errors_blame_someone(void **state)
{
	static const struct {
		unsigned code;
		const char *status;
	} rows[] = {
	    {1044, "client_error"}, {1045, "client_error"}, {1046, "client_error"}, {1054, "client_error"},
	    {1062, "client_error"}, {1064, "client_error"}, {1146, "client_error"}, {1451, "client_error"},
	    {1153, "client_error"}, {1007, "client_error"}, {1022, "client_error"}, {1040, "server_error"},
	    {1021, "server_error"}, {1053, "server_error"}, {1114, "server_error"}, {1203, "server_error"},
	    {1205, "server_error"}, {1213, "server_error"}, {1317, "server_error"}, {1969, "server_error"},
	    {2013, "server_error"}, {3024, "server_error"}, {3819, "client_error"}, {4031, "server_error"},
	};
	(void)state;
	for (size_t i = 0; i < array_size(rows); i++) {
		uint8_t packet[] = {
		    10,  0,   0,   0,   0xff, (uint8_t)rows[i].code, (uint8_t)(rows[i].code >> 8), '#', 'H',
		    'Y', '0', '0', '0', 'x'};
		char expected[128];
		struct script script = {
		    .steps = {SERVER_BYTES(packet, sizeof packet)},
		    .dissector = &dissector_mysql,
		};
		snprintf(expected, sizeof expected,
			 "response s0-14 response_exception=\"HY000: x\" code=%u status=%s unpaired\n", rows[i].code,
			 rows[i].status);
		assert_string_equal(harness_run(&script, &HARNESS_WHOLE), expected);
	}
}

/* ---- larger than what is held ---- */

static const char greeting[] = "\34\0\0\0\0128.0.36\0\52\0\0\0saltsalt\0\377\367\377\2\0\277\16";

static void put(struct buffer *b, const void *data, size_t len)
{
	assert_int_equal(buffer_put(b, data, len), 0);
}

static void put_packet(struct buffer *b, uint8_t seq, const void *head, size_t head_len, size_t fill)
{
	size_t len = head_len + fill;
	uint8_t h[4] = {(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), seq};
	put(b, h, sizeof h);
	put(b, head, head_len);
	assert_int_equal(buffer_reserve(b, fill), 0);
	memset(b->at + b->len, 'x', fill);
	b->len += fill;
}

static void feed(struct harness *h, enum dissect_side side, const struct buffer *b, size_t piece)
{
	for (size_t at = 0; at < b->len; at += piece)
		harness_data(h, side, b->at + at, min_of(piece, b->len - at));
}

static void expect(struct harness *h, const char *expected)
{
	struct buffer lines = {0};
	harness_print(h, false, &lines);
	put(&lines, "", 1);
	/* offsets in a nested stream do not count what was never decompressed */
	for (char *p = lines.at; (p = strpbrk(p, "CS")); p++) {
		unsigned long from, to;
		int n = 0;
		if (p[-1] == ' ' && sscanf(p + 1, "%lu-%lu%n", &from, &to, &n) == 2)
			memmove(p + 1, p + 1 + n, strlen(p + 1 + n) + 1);
	}
	assert_string_equal(lines.at, expected);
	buffer_free(&lines);
}

/* Payloads of 16 MiB and more: 0xffffff bytes, then the rest, which is empty where nothing is left. */
static void payloads_go_on_in_further_packets(void **state)
{
	static const size_t pieces[] = {1 << 20, 65535, 1460};
	static const char query[] = "\3INSERT INTO t VALUES ('";
	static const char column[] = "\3def\0\0\0\1a\1a\14\77\0\1\0\0\0\10\201\0\0\0\0";
	struct buffer request = {0}, empty = {0}, response = {0};
	const size_t head = sizeof query - 1;
	(void)state;
	put_packet(&request, 0, query, head, 0xffffff - head);
	put_packet(&request, 1, "\3SELECT", 7, 20);
	put_packet(&empty, 0, query, head, 0xffffff - head);
	put_packet(&empty, 1, "", 0, 0);
	put_packet(&response, 1, "\1", 1, 0);
	put_packet(&response, 2, column, sizeof column - 1, 0);
	put_packet(&response, 3, "\376\0\0\2\0", 5, 0);
	/* a row that begins like an EOF: a text of 16 MiB; it goes on in packets that begin like an error and an EOF */
	put_packet(&response, 4, "\376\40\0\0\2\0\0\0\0", 9, 0xffffff - 9);
	put_packet(&response, 5, "\377", 1, 0xffffff - 1);
	put_packet(&response, 6, "\376\0\0\2\0", 5, 0);
	put_packet(&response, 7, "\376\0\0\2\0", 5, 0);
	for (size_t i = 0; i < array_size(pieces); i++) {
		struct dissect_settings settings = {.text_max = 32};
		struct harness *h = harness_new(NULL, &settings, true);
		feed(h, SIDE_CLIENT, &request, pieces[i]);
		harness_data(h, SIDE_SERVER, "\7\0\0\2\0\1\0\2\0\0\0", 11);
		feed(h, SIDE_CLIENT, &empty, pieces[i]);
		harness_data(h, SIDE_SERVER, "\7\0\0\2\0\1\0\2\0\0\0", 11);
		harness_data(h, SIDE_CLIENT, "\11\0\0\0\3SELECT a", 13);
		feed(h, SIDE_SERVER, &response, pieces[i]);
		harness_data(h, SIDE_CLIENT, "\1\0\0\0\1", 5);
		/* picked up in the middle, a response is believed in where its id is 1; these have 2, as their requests
		 * had 2 packets */
		expect(
		    h,
		    "is mysql\n"
		    "request c0-16777250 request_type=COM_QUERY request_resource=\"INSERT INTO t VALUES ('xxxxxxxxx\" "
		    "endpoint=\"INSERT t\"\n"
		    "request c16777250-33554473 request_type=COM_QUERY request_resource=\"INSERT INTO t VALUES "
		    "('xxxxxxxxx\" "
		    "endpoint=\"INSERT t\"\n"
		    "request c33554473-33554486 request_type=COM_QUERY request_resource=\"SELECT a\" endpoint=SELECT\n"
		    "response s22-33554520 mysql.rows=1 status=ok\n"
		    "request c33554486-33554491 request_type=COM_QUIT unpaired\n");
		harness_free(h);
	}
	buffer_free(&request);
	buffer_free(&empty);
	buffer_free(&response);
}

static void put_compressed(struct buffer *b, uint8_t seq, const struct buffer *plain)
{
	uLongf size = compressBound(plain->len);
	uint8_t *packed = malloc(size);
	assert_non_null(packed);
	assert_int_equal(compress2(packed, &size, (const Bytef *)plain->at, plain->len, 6), Z_OK);
	uint8_t h[7] = {(uint8_t)size,       (uint8_t)(size >> 8),       (uint8_t)(size >> 16),      seq,
			(uint8_t)plain->len, (uint8_t)(plain->len >> 8), (uint8_t)(plain->len >> 16)};
	put(b, h, sizeof h);
	put(b, packed, size);
	free(packed);
}

static void put_noise(struct buffer *b, size_t len)
{
	uint32_t random = 12345;
	assert_int_equal(buffer_reserve(b, len), 0);
	for (size_t i = 0; i < len; i++) {
		random = random * 1664525 + 1013904223;
		b->at[b->len++] = (char)('!' + (random >> 24) % 64);
	}
}

/* Of a compressed packet that is too long to be held, only the beginning is decompressed. */
static void long_compressed_packets_are_looked_at_from_the_front(void **state)
{
	static const char login[] =
	    "\77\0\0\1\55\242\17\0\0\0\0\1\377\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0bob\0"
	    "\0shop\0mysql_native_password";
	struct dissect_settings settings = {.text_max = 32};
	(void)state;
	for (size_t piece = 1460; piece <= 65535; piece += 64075) {
		struct harness *h = harness_new(NULL, &settings, false);
		struct buffer plain = {0}, packed = {0};
		harness_data(h, SIDE_SERVER, greeting, sizeof greeting - 1);
		harness_data(h, SIDE_CLIENT, login, sizeof login - 1);
		harness_data(h, SIDE_SERVER, "\7\0\0\2\0\0\0\2\0\0\0", 11);

		static const char query[] = "\3INSERT INTO t VALUES ('";
		uint32_t size = sizeof query - 1 + 1000000;
		put(&plain, (uint8_t[]){(uint8_t)size, (uint8_t)(size >> 8), (uint8_t)(size >> 16), 0}, 4);
		put(&plain, query, sizeof query - 1);
		put_noise(&plain, 1000000);
		put_compressed(&packed, 0, &plain);
		assert_true(packed.len > DISSECT_BUFFER_MAX);
		feed(h, SIDE_CLIENT, &packed, piece);
		harness_data(h, SIDE_SERVER, "\13\0\0\1\0\0\0\7\0\0\1\0\1\0\2\0\0\0", 18);

		/* a result: the end of the row is in the next packet, what is behind it is found */
		harness_data(h, SIDE_CLIENT, "\15\0\0\0\0\0\0\11\0\0\0\3SELECT a", 20);
		plain.len = packed.len = 0;
		put_packet(&plain, 1, "\1", 1, 0);
		put_packet(&plain, 2, "\3def\0\0\0\1a\1a\14\77\0\1\0\0\0\10\201\0\0\0\0", 24, 0);
		put_packet(&plain, 3, "\376\0\0\2\0", 5, 0);
		size = 1500000;
		put(&plain, (uint8_t[]){(uint8_t)size, (uint8_t)(size >> 8), (uint8_t)(size >> 16), 4}, 4);
		put_noise(&plain, 1000000);
		put_compressed(&packed, 1, &plain);
		/* this one is held as a whole */
		plain.len = 0;
		assert_int_equal(buffer_reserve(&plain, 500000), 0);
		memset(plain.at, 'y', 500000);
		plain.len = 500000;
		put_packet(&plain, 5, "\376\0\0\2\0", 5, 0);
		put_compressed(&packed, 2, &plain);
		feed(h, SIDE_SERVER, &packed, piece);
		harness_data(h, SIDE_CLIENT, "\5\0\0\0\0\0\0\1\0\0\0\16", 12);
		harness_data(h, SIDE_SERVER, "\13\0\0\1\0\0\0\7\0\0\1\0\0\0\2\0\0\0", 18);
		expect(h, "is mysql\n"
			  "session c0-67 s32-43 version=8.0.36 request_type=LOGIN request_domain=shop mysql.user=bob "
			  "mysql.connection_id=42 mysql.auth_plugin=mysql_native_password status=ok\n"
			  "session C S version=8.0.36 request_type=COM_QUERY request_domain=shop "
			  "request_resource=\"INSERT INTO t VALUES ('&%,CI=_-9\" endpoint=\"INSERT t\" status=ok "
			  "affected_rows=1\n"
			  "session C S version=8.0.36 request_type=COM_QUERY request_domain=shop "
			  "request_resource=\"SELECT a\" "
			  "endpoint=SELECT mysql.rows=1 status=ok\n"
			  "session C S version=8.0.36 request_type=COM_PING request_domain=shop status=ok\n");
		harness_free(h);
		buffer_free(&plain);
		buffer_free(&packed);
	}
}

/* More prepared statements than are remembered: those used last are known. */
static void forgotten_statements_have_no_text(void **state)
{
	struct dissect_settings settings = {.text_max = 64};
	struct harness *h = harness_new(&dissector_mysql, &settings, false);
	struct buffer lines = {0};
	(void)state;
	for (uint8_t id = 1; id <= 100; id++) {
		uint8_t prepare[] = {9,   0,  0, 0, COM_STMT_PREPARE, 'S', 'E', 'T', ' ', '@', (uint8_t)('A' + id % 26),
				     '=', '1'};
		uint8_t prepared[] = {12, 0, 0, 1, 0, id, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
		uint8_t execute[] = {10, 0, 0, 0, COM_STMT_EXECUTE, 1, 0, 0, 0, 0, 1, 0, 0, 0};
		harness_data(h, SIDE_CLIENT, prepare, sizeof prepare);
		harness_data(h, SIDE_SERVER, prepared, sizeof prepared);
		/* the first one is used all the time, the second one never */
		harness_data(h, SIDE_CLIENT, execute, sizeof execute);
		harness_data(h, SIDE_SERVER, "\7\0\0\1\0\0\0\2\0\0\0", 11);
	}
	harness_data(h, SIDE_CLIENT, "\12\0\0\0\27\2\0\0\0\0\1\0\0\0", 14);
	harness_data(h, SIDE_CLIENT, "\12\0\0\0\27\144\0\0\0\0\1\0\0\0", 14);
	harness_print(h, false, &lines);
	put(&lines, "", 1);
	const char *last = strstr(lines.at, "request c");
	assert_non_null(last);
	assert_string_equal(last, "request c2700-2714 request_type=COM_STMT_EXECUTE mysql.statement_id=2\n"
				  "request c2714-2728 request_type=COM_STMT_EXECUTE request_resource=\"SET @W=1\" "
				  "endpoint=SET mysql.statement_id=100\n");
	unsigned known = 0;
	for (const char *p = lines.at;
	     (p = strstr(p, "request_resource=\"SET @B=1\" endpoint=SET mysql.statement_id=1 ")); p++)
		known++;
	assert_int_equal(known, 101);
	buffer_free(&lines);
	harness_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(values_read_like_sql),
	    cmocka_unit_test(doubles_are_short_and_exact),
	    cmocka_unit_test(first_bytes_are_recognised),
	    cmocka_unit_test(errors_blame_someone),
	    cmocka_unit_test(payloads_go_on_in_further_packets),
	    cmocka_unit_test(long_compressed_packets_are_looked_at_from_the_front),
	    cmocka_unit_test(forgotten_statements_have_no_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
