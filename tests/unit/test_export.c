#include "export.h"
#include "line.h"
#include "ndjson.h"
#include "output.h"
#include "quantile.h"
#include "top.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static char encoded[65536];

static struct request_record request(const char *resource, uint32_t len)
{
	struct request_record r = {0};
	request_record_set(&r, flow_id, 1);
	request_record_set(&r, client_ip, ((struct ip_address){4, {10, 0, 0, 1}}));
	request_record_set(&r, client_port, 40000);
	request_record_set(&r, server_ip, ((struct ip_address){4, {10, 0, 0, 2}}));
	request_record_set(&r, server_port, 80);
	request_record_set(&r, start_time, INT64_C(1709251199123456789));
	request_record_set(&r, duration_ns, 1234567);
	request_record_set(&r, l7_protocol, TEXT("HTTP"));
	request_record_set(&r, type, TEXT("session"));
	request_record_set(&r, request_type, TEXT("GET"));
	request_record_set(&r, request_domain, TEXT("example.org"));
	request_record_set(&r, request_resource, ((struct text){resource, len}));
	request_record_set(&r, response_status, TEXT("ok"));
	request_record_set(&r, response_code, 200);
	return r;
}

static struct flow_record flow(uint8_t client, uint8_t server, uint64_t tx, uint64_t rx)
{
	struct flow_record f = {0};
	flow_record_set(&f, is_new_flow, true);
	flow_record_set(&f, close_type, TEXT("tcp_fin"));
	flow_record_set(&f, client_ip, ((struct ip_address){4, {10, 0, 0, client}}));
	flow_record_set(&f, client_port, 40000);
	flow_record_set(&f, server_ip, ((struct ip_address){4, {10, 0, 0, server}}));
	flow_record_set(&f, server_port, 443);
	flow_record_set(&f, protocol, TEXT("TCP"));
	flow_record_set(&f, byte_tx, tx);
	flow_record_set(&f, byte_rx, rx);
	flow_record_set(&f, packet_tx, 3);
	flow_record_set(&f, packet_rx, 2);
	return f;
}

static int put_request(struct sink *s, const struct request_record *r)
{
	int n = s->ops->encode_request(s, r, encoded, sizeof encoded);
	assert_true(n > 0);
	return s->ops->write(s, RECORD_REQUEST, encoded, (size_t)n);
}

static int put_flow(struct sink *s, const struct flow_record *f)
{
	int n = s->ops->encode_flow(s, f, encoded, sizeof encoded);
	assert_true(n > 0);
	return s->ops->write(s, RECORD_FLOW, encoded, (size_t)n);
}

/* What was written to a memory file, with NUL. */
static char *content(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = malloc((size_t)size + 1);
	assert_int_equal(pread(fd, text, (size_t)size, 0), size);
	text[size] = '\0';
	return text;
}

static void test_quantiles(void **state)
{
	(void)state;
	struct quantile *q = calloc(1, sizeof *q);
	assert_int_equal(quantile_get(q, 50), 0);
	quantile_add(q, 7);
	assert_int_equal(quantile_get(q, 1), 7);
	assert_int_equal(quantile_get(q, 99), 7);
	for (int v = 100; v >= 1; v--)
		if (v != 7)
			quantile_add(q, v);
	/* nearest rank of 1..100 */
	for (int percent = 1; percent <= 100; percent++)
		assert_int_equal(quantile_get(q, percent), percent);
	quantile_add(q, -5);
	assert_int_equal(quantile_get(q, 0.1), 0);

	/* beyond the exact ones: within 1/256 over the whole range */
	for (int64_t base = 1; base < INT64_C(4000000000000000000) / 10000; base *= 7) {
		memset(q, 0, sizeof *q);
		for (int i = 10000; i >= 1; i--)
			quantile_add(q, base * i);
		for (int percent = 1; percent <= 99; percent++) {
			double exact = (double)base * 100 * percent, have = (double)quantile_get(q, percent);
			assert_true(have >= exact * 255 / 256 && have <= exact * 257 / 256);
		}
		assert_true(quantile_get(q, 100) == base * 10000);
	}
	memset(q, 0, sizeof *q);
	for (int i = 0; i < QUANTILE_EXACT + 2; i++)
		quantile_add(q, INT64_MAX);
	assert_true(quantile_get(q, 50) >= INT64_MAX / 100 * 99);
	free(q);
}

static void test_top(void **state)
{
	(void)state;
	struct top t;
	const char *labels[2] = {"TCP", NULL};
	const struct top_entry *list[10];
	assert_int_equal(top_init(&t), 0);
	assert_int_equal(top_list(&t, list, 10), 0);
	/* ten heavy keys among five times as many light ones as there is room for */
	uint64_t total = 0;
	for (uint32_t i = 0; i < 5 * TOP_ENTRIES; i++) {
		uint8_t key[TOP_KEY_BYTES] = {1};
		memcpy(key + 1, &i, sizeof i);
		top_add(&t, key, labels, &(struct top_sums){.tx = 10, .rx = 5, .flows = 1});
		memset(key, 0, sizeof key);
		key[1] = (uint8_t)(i % 10);
		top_add(&t, key, labels, &(struct top_sums){.tx = 1000 + 10 * (i % 10)});
		total += 15 + 1000 + 10 * (i % 10);
		assert_true(t.count <= TOP_ENTRIES);
	}
	assert_int_equal(top_list(&t, list, 10), 10);
	uint64_t shown = 0, kept = 0;
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(list[i]->key[0], 0);
		assert_int_equal(list[i]->key[1], 9 - i); /* the heaviest first */
		assert_int_equal(list[i]->sums.tx, (uint64_t)(5 * TOP_ENTRIES / 10) * (1000 + 10 * (9 - i)));
		shown += list[i]->sums.tx + list[i]->sums.rx;
	}
	for (size_t i = 0; i < 2 * TOP_ENTRIES; i++)
		kept += t.slots[i].used ? t.slots[i].sums.tx + t.slots[i].sums.rx : 0;
	assert_true(t.dropped_keys > 0);
	assert_int_equal(t.total.tx + t.total.rx, total);
	assert_int_equal(kept + t.dropped.tx + t.dropped.rx, total);
	assert_true(shown < total);
	top_fini(&t);
}

static const char *cell(const char *in, unsigned width, enum line_cut cut, enum line_align a, bool utf8)
{
	static struct line l;
	line_start(&l, false, utf8);
	line_cell(&l, STYLE_NONE, (struct text){in, (uint32_t)strlen(in)}, width, cut, a);
	l.at[l.len] = '\0';
	return l.at;
}

static void test_cells(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		unsigned width;
		enum line_cut cut;
		enum line_align align;
		bool utf8;
		const char *out;
	} cases[] = {
	    {"abc", 5, CUT_END, ALIGN_LEFT, true, "abc  "},
	    {"abc", 5, CUT_END, ALIGN_RIGHT, true, "  abc"},
	    {"abc", 0, CUT_END, ALIGN_NONE, true, "abc"},
	    {"abcdef", 4, CUT_END, ALIGN_LEFT, true, "abc…"},
	    {"abcdef", 4, CUT_START, ALIGN_LEFT, true, "…def"},
	    {"abcdef", 5, CUT_END, ALIGN_LEFT, false, "abc.."},
	    {"abcdef", 5, CUT_START, ALIGN_LEFT, false, "..def"},
	    {"a\033[2Jb\x9b", 0, CUT_END, ALIGN_NONE, true, "a·[2Jb·"}, /* no escape sequence gets through */
	    {"a\xc2\x9b"
	     "b",
	     0, CUT_END, ALIGN_NONE, true, "a·b"}, /* nor an 8-bit one in UTF-8 */
	    {"a\xe2\x80\xae"
	     "b",
	     0, CUT_END, ALIGN_NONE, true, "a·b"}, /* U+202E, right-to-left override */
	    {"\xc3\xa9t\xc3\xa9", 5, CUT_END, ALIGN_LEFT, true, "\xc3\xa9t\xc3\xa9  "},
	    {"\xc3\xa9t\xc3\xa9", 5, CUT_END, ALIGN_LEFT, false, ".t.  "},
	    {"中文字", 7, CUT_END, ALIGN_LEFT, true, "中文字 "}, /* two columns each */
	    {"中文字", 4, CUT_END, ALIGN_LEFT, true, "中… "},
	    {"a\tb\nc", 0, CUT_END, ALIGN_NONE, false, "a.b.c"},
	};
	for (size_t i = 0; i < array_size(cases); i++)
		assert_string_equal(cell(cases[i].in, cases[i].width, cases[i].cut, cases[i].align, cases[i].utf8),
				    cases[i].out);
}

static void test_quantities(void **state)
{
	(void)state;
	static const struct {
		int64_t ns;
		const char *text;
	} durations[] = {
	    {0, "0 ns"},
	    {999, "999 ns"},
	    {1000, "1.00 us"},
	    {9994, "9.99 us"},
	    {9996, "10.0 us"},
	    {999499, "999 us"},
	    {999500, "1.00 ms"},
	    {12345678, "12.3 ms"},
	    {999499999, "999 ms"},
	    {999500000, "1.00 s"},
	    {59940000000, "59.9 s"},
	    {60000000000, "1m 00s"},
	    {61500000000, "1m 01s"},
	    {3600000000000, "1h 00m"},
	    {-1500, "-1.50 us"},
	    {INT64_MAX, "106751 days"},
	};
	char text[QUANTITY_MAX];
	for (size_t i = 0; i < array_size(durations); i++)
		assert_string_equal(print_duration_short(text, durations[i].ns, false), durations[i].text);
	assert_true(print_duration_short(text, INT64_MIN, false)[0] == '-');
	assert_string_equal(print_bytes_short(text, 999), "999 B");
	assert_string_equal(print_bytes_short(text, 1000), "1.00 kB");
	assert_string_equal(print_bytes_short(text, 999499), "999 kB");
	assert_string_equal(print_bytes_short(text, 999500), "1.00 MB");
	assert_string_equal(print_bytes_short(text, UINT64_MAX), "18.4 EB");
	assert_string_equal(print_count(text, 0), "0");
	assert_string_equal(print_count(text, 999), "999");
	assert_string_equal(print_count(text, 1000), "1,000");
	assert_string_equal(print_count(text, UINT64_MAX), "18,446,744,073,709,551,615");
	assert_string_equal(print_share(text, 1, 0), "");
	assert_string_equal(print_share(text, 0, 5), "0.0 %");
	assert_string_equal(print_share(text, 5, 5), "100 %");
	assert_string_equal(print_share(text, 9999999, 10000000), ">99.9 %");
	assert_string_equal(print_share(text, 1, 10000000), "<0.1 %");
}

static unsigned columns_of(const char *line, size_t len)
{
	return text_columns((struct text){line, (uint32_t)len}, true);
}

/* Whatever the terminal's width and whatever is in the records: no line is wider than that (from 80 columns on), none
 * has a control character. */
static void test_table_fits(void **state)
{
	(void)state;
	static const char *const resources[] = {
	    "/",
	    "/a/long/path/that/goes/on/and/on/and/on/and/on/and/on/and/on/and/on/and/on/and/on/and/on/and/on",
	    "/\033[31m\x01\x7f\x80\xff",
	    "/\xe2\x80\xae/\xc2\x85",
	    "/中文字中文字中文字中文字中文字中文字中文字中文字中文字",
	};
	for (unsigned columns = 80; columns <= 220; columns += 7) {
		int fd = memfd_create("table", 0);
		struct sink *s;
		struct error e;
		struct export_table_options o = {.fd = fd, .rows = true, .columns = columns, .utf8 = true};
		assert_int_equal(export_table_new(&s, &o, &e), 0);
		for (unsigned i = 0; i < 700; i++) {
			const char *resource = resources[i % array_size(resources)];
			struct request_record r = request(resource, (uint32_t)strlen(resource));
			if (i % 3 == 0) {
				r.client_ip.version = r.server_ip.version = 6;
				memset(r.client_ip.at, 0xfd, 16);
				memset(r.server_ip.at, 0xfd, 16);
			}
			if (i % 7 == 0)
				request_record_set(&r, l7_protocol, TEXT("PostgreSQL-with-a-long-name"));
			if (i % 11 == 0)
				request_record_set(&r, response_code, INT64_MIN);
			if (i % 13 == 0)
				r.present = 0;
			assert_int_equal(put_request(s, &r), 0);
			struct flow_record f = flow((uint8_t)i, 2, i * 1000000, i * UINT64_C(10000000000));
			assert_int_equal(put_flow(s, &f), 0);
		}
		struct export_ledger ledger = {.frames = 3500, .bytes = 1, .count = 1};
		ledger.term[0].name = "on flows";
		ledger.term[0].frames = 3500;
		assert_int_equal(export_table_summary(s, &ledger, &e), 0);
		s->ops->free(s);
		char *text = content(fd);
		unsigned lines = 0;
		for (char *at = text, *end; (end = strchr(at, '\n')); at = end + 1, lines++) {
			if (columns_of(at, (size_t)(end - at)) > columns)
				fail_msg("wider than %u: %.*s", columns, (int)(end - at), at);
			for (char *c = at; c < end; c++)
				assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
		}
		assert_true(lines > 700);
		free(text);
		close(fd);
	}
}

static void test_table_says(void **state)
{
	(void)state;
	int fd = memfd_create("table", 0);
	struct sink *s;
	struct error e;
	struct export_table_options o = {.fd = fd, .rows = true};
	assert_int_equal(export_table_new(&s, &o, &e), 0);
	struct request_record r = request("/x", 2);
	put_request(s, &r);
	request_record_set(&r, response_status, TEXT("server_error"));
	request_record_set(&r, response_code, 503);
	put_request(s, &r);
	request_record_set(&r, type, TEXT("request"));
	request_record_set(&r, response_status, TEXT("timeout"));
	r.present &= ~(UINT64_C(1) << REQUEST_response_code | UINT64_C(1) << REQUEST_duration_ns);
	put_request(s, &r);
	struct flow_record f = flow(1, 2, 100, 200);
	put_flow(s, &f);
	f = flow(3, 2, 1000, 0);
	flow_record_set(&f, close_type, TEXT("forced_report"));
	put_flow(s, &f);
	f.is_new_flow = false;
	flow_record_set(&f, close_type, TEXT("timeout"));
	flow_record_set(&f, retrans_tx, 5);
	put_flow(s, &f);
	struct export_ledger ledger = {.frames = 16, .bytes = 2300, .count = 2, .remainder = 1};
	ledger.term[0].name = "on flows";
	ledger.term[0].frames = 15;
	ledger.term[1].name = "arp";
	assert_int_equal(export_table_summary(s, &ledger, &e), 0);
	s->ops->free(s);
	char *text = content(fd);
	static const char *const wanted[] = {
	    "2024-02-29\n",
	    "23:59:59.123456 10.0.0.1:40000 > 10.0.0.2:80  HTTP   200      1.23 ms  GET example.org/x\n",
	    "  503 ",
	    "  timeout ",
	    "flows     2 TCP\n",
	    "ended by  1 tcp_fin, 1 timeout\n",
	    "5 retransmitted (33.3 %)",
	    "HTTP              3       0       1         1  66.7 % 1.23 ms 1.23 ms 1.23 ms\n",
	    "10.0.0.3 > 10.0.0.2:443  TCP                    1    2.00 kB      0 B\n",
	    "10.0.0.2     200 B   2.10 kB    100 %         2\n",
	    "unaccounted for                        1  frames were lost silently\n",
	};
	for (size_t i = 0; i < array_size(wanted); i++)
		if (!strstr(text, wanted[i]))
			fail_msg("not there: %s\nin:\n%s", wanted[i], text);
	assert_null(strstr(text, "arp")); /* what is zero is not shown */
	free(text);
	close(fd);
}

static void test_table_room(void **state)
{
	(void)state;
	int fd = memfd_create("table", 0);
	struct sink *s;
	struct error e;
	assert_int_equal(export_table_new(&s, &(struct export_table_options){.fd = fd, .rows = true}, &e), 0);
	struct request_record r = request("/x", 2);
	struct flow_record f = flow(1, 2, 3, 4);
	int request_len = s->ops->encode_request(s, &r, encoded, sizeof encoded);
	int flow_len = s->ops->encode_flow(s, &f, encoded, sizeof encoded);
	for (int room = 0; room < 4096; room++) {
		char *out = malloc((size_t)room + 1);
		assert_int_equal(s->ops->encode_request(s, &r, out, (size_t)room),
				 room < request_len ? -ENOBUFS : request_len);
		assert_int_equal(s->ops->encode_flow(s, &f, out, (size_t)room), room < flow_len ? -ENOBUFS : flow_len);
		free(out);
	}
	s->ops->free(s);
	close(fd);
}

static void test_ndjson_directory(void **state)
{
	(void)state;
	char directory[] = "/tmp/test_export_XXXXXX", path[64];
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/out", directory);
	struct sink *s;
	struct error e;
	struct export_ndjson_options o = {.fd = -1, .directory = path, .digest = true};
	assert_int_equal(export_ndjson_new(&s, &o, &e), 0);
	struct request_record r = {0};
	struct flow_record f = {0};
	put_request(s, &r);
	put_flow(s, &f);
	put_flow(s, &f);
	assert_int_equal(s->ops->flush(s, &e), 0);
	struct export_digest digests[2];
	assert_int_equal(export_ndjson_digests(s, digests), 2);
	/* printf '{"record":"flow"}\n{"record":"flow"}\n' | sha256sum; the same with request, once */
	assert_string_equal(digests[0].hex, "7d92f8c95abb76e972fdbc0cb2a28be3ac69066c139423e58ce57b8600d34872");
	assert_string_equal(digests[1].hex, "6adb124dcdf53b09938cdba9153d994b34d67c0b35e282062f55b0bbbdd3d35d");
	int fd = open(digests[0].name, O_RDONLY);
	char *text = content(fd);
	assert_string_equal(text, "{\"record\":\"flow\"}\n{\"record\":\"flow\"}\n");
	free(text);
	close(fd);
	unlink(digests[0].name);
	unlink(digests[1].name);
	s->ops->free(s);
	rmdir(path);
	rmdir(directory);

	o.directory = "/dev/null/x";
	assert_true(export_ndjson_new(&s, &o, &e) < 0);
	assert_non_null(strstr(e.text, "/dev/null/x"));
}

/* A record encoded in the sink's own output; room is what it is asked for. */
static int put_in_place(struct sink *s, const struct request_record *r, size_t room)
{
	char *at = s->ops->claim(s, RECORD_REQUEST, room);
	assert_non_null(at);
	int n = s->ops->encode_request(s, r, at, room);
	if (n < 0)
		return n;
	memset(at + n, '!', room - (size_t)n); /* what was not used is not the output's */
	return s->ops->commit(s, RECORD_REQUEST, (size_t)n);
}

/* More than the buffer holds, so that writes happen in the middle, and a digest that does not depend on where, nor on
 * whether records come whole or are made in place. */
static void test_ndjson_stream(void **state)
{
	(void)state;
	struct sink *written, *dropped, *in_place;
	struct error e;
	assert_int_equal(export_ndjson_new(&in_place, &(struct export_ndjson_options){.fd = -1, .digest = true}, &e),
			 0);
	assert_null(in_place->ops->claim(in_place, RECORD_REQUEST, OUTPUT_BUFFER_BYTES + 1));
	int fd = memfd_create("ndjson", 0);
	assert_int_equal(export_ndjson_new(&written, &(struct export_ndjson_options){.fd = fd, .digest = true}, &e), 0);
	assert_int_equal(export_ndjson_new(&dropped, &(struct export_ndjson_options){.fd = -1, .digest = true}, &e), 0);
	size_t total = 0;
	static char resource[60000];
	memset(resource, 'x', sizeof resource);
	for (unsigned i = 0; i < 200; i++) {
		struct request_record r = request(resource, i * 277 % sizeof resource);
		put_request(dropped, &r);
		int n = written->ops->encode_request(written, &r, encoded, sizeof encoded);
		if (n == -ENOBUFS)
			continue;
		total += (size_t)n;
		put_request(written, &r);
		if (i % 3 == 0) { /* both ways into one output, and one that is too small first */
			put_request(in_place, &r);
			continue;
		}
		assert_int_equal(put_in_place(in_place, &r, NDJSON_ROOM_MIN - 1), -ENOBUFS);
		assert_int_equal(put_in_place(in_place, &r, i % 3 == 1 ? sizeof encoded : OUTPUT_BUFFER_BYTES), 0);
	}
	assert_int_equal(written->ops->flush(written, &e), 0);
	assert_int_equal(dropped->ops->flush(dropped, &e), 0);
	assert_int_equal(in_place->ops->flush(in_place, &e), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), total);
	assert_true(total > 2 << 20);
	struct export_digest a[2], b[2], c[2];
	assert_int_equal(export_ndjson_digests(written, a), 1);
	assert_int_equal(export_ndjson_digests(dropped, b), 1);
	assert_string_equal(a[0].name, "-");
	assert_string_equal(a[0].hex, b[0].hex);
	assert_int_equal(export_ndjson_digests(in_place, c), 1);
	assert_string_equal(a[0].hex, c[0].hex);
	in_place->ops->free(in_place);
	written->ops->free(written);
	dropped->ops->free(dropped);
	close(fd);
}

static void test_failing_outputs(void **state)
{
	(void)state;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	signal(SIGPIPE, SIG_IGN);
	const struct {
		int fd, error;
	} cases[] = {{open("/dev/full", O_WRONLY), -ENOSPC}, {ends[1], -EPIPE}};
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned table = 0; table < 2; table++) {
			atomic_int stop = 0;
			struct sink *s;
			struct error e;
			int r;
			if (table)
				r = export_table_new(
				    &s, &(struct export_table_options){.fd = cases[i].fd, .rows = true, .stop = &stop},
				    &e);
			else
				r = export_ndjson_new(
				    &s, &(struct export_ndjson_options){.fd = cases[i].fd, .stop = &stop}, &e);
			assert_int_equal(r, 0);
			struct request_record record = request("/x", 2);
			for (unsigned n = 0; n < 10000; n++) {
				if (n % 2 || !s->ops->claim)
					put_request(s, &record);
				else
					put_in_place(s, &record, sizeof encoded);
			}
			assert_int_equal(s->ops->flush(s, &e), cases[i].error);
			assert_non_null(strstr(e.text, "cannot write standard output"));
			assert_int_equal(stop, 1);
			assert_int_equal(put_request(s, &record), cases[i].error);
			assert_int_equal(s->ops->flush(s, &e), cases[i].error);
			s->ops->free(s);
		}
		close(cases[i].fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_quantiles),     cmocka_unit_test(test_top),
	    cmocka_unit_test(test_cells),         cmocka_unit_test(test_quantities),
	    cmocka_unit_test(test_table_fits),    cmocka_unit_test(test_table_says),
	    cmocka_unit_test(test_table_room),    cmocka_unit_test(test_ndjson_directory),
	    cmocka_unit_test(test_ndjson_stream), cmocka_unit_test(test_failing_outputs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
