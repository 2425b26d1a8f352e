/* Requests by server: bounded, and exact in sum; and the metrics' text, line by line as the format has them. */
#include "api.h"
#include "red.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND NS_PER_S

static void put(struct sink *s, uint32_t server, const char *protocol, const char *status, int64_t duration_ns,
		int64_t end_ns)
{
	struct request_record r = {0};
	char room[256];
	r.server_ip.version = 4;
	memcpy(r.server_ip.at, &server, 4);
	request_record_mark(&r, server_ip);
	request_record_set(&r, server_port, 80);
	request_record_set(&r, l7_protocol, ((struct text){protocol, (uint32_t)strlen(protocol)}));
	request_record_set(&r, response_status, ((struct text){status, (uint32_t)strlen(status)}));
	request_record_set(&r, end_time, end_ns);
	if (duration_ns >= 0)
		request_record_set(&r, duration_ns, duration_ns);
	int len = s->ops->encode_request(s, &r, room, sizeof room);
	assert_true(len > 0);
	assert_int_equal(s->ops->write(s, RECORD_REQUEST, room, (size_t)len), 0);
}

static uint64_t requests_of(const struct red_series *s)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < RED_STATUSES; i++)
		n += s->requests[i];
	return n;
}

static const char http[] = "HTTP", redis[] = "Redis"; /* protocols are told apart by their constants */

static void test_series_are_bounded_and_their_sum_exact(void **state maybe_unused)
{
	static struct red_series series[RED_SERIES + 64];
	struct sink *s;
	assert_int_equal(red_new(&s), 0);
	for (unsigned i = 0; i < 3000; i++)
		put(s, i, i % 2 ? http : redis, "ok", 1000, SECOND);
	for (unsigned i = 0; i < 10; i++)
		put(s, 0, redis, "server_error", 1000, SECOND);
	unsigned n = red_read(s, series, RED_SERIES + 64);
	uint64_t sum = 0, others = 0, errors = 0;
	assert_true(n <= RED_SERIES + 2 && n > RED_SERIES / 2);
	for (unsigned i = 0; i < n; i++) {
		sum += requests_of(&series[i]);
		others += series[i].server_ip.version == 0 ? requests_of(&series[i]) : 0;
		errors += series[i].requests[RED_SERVER_ERROR];
	}
	assert_int_equal(sum, 3010);
	assert_int_equal(errors, 10);
	assert_true(others >= 3000 - RED_SERIES);

	/* much later, new servers take the places of silent ones, whose counts move */
	for (unsigned i = 0; i < 100; i++)
		put(s, 100000 + i, http, "ok", 1000, 2 * SECOND + RED_IDLE_NS);
	n = red_read(s, series, RED_SERIES + 64);
	sum = 0;
	unsigned fresh = 0;
	for (unsigned i = 0; i < n; i++) {
		uint32_t server;
		memcpy(&server, series[i].server_ip.at, 4);
		sum += requests_of(&series[i]);
		fresh += series[i].server_ip.version == 4 && server >= 100000;
	}
	assert_int_equal(sum, 3110);
	assert_int_equal(fresh, 100);
	s->ops->free(s);
}

static void test_durations_fall_into_their_buckets(void **state maybe_unused)
{
	struct red_series series[4];
	struct sink *s;
	assert_int_equal(red_new(&s), 0);
	put(s, 1, http, "ok", 500 * NS_PER_US, 0);     /* a bound belongs to its bucket */
	put(s, 1, http, "ok", 500 * NS_PER_US + 1, 0); /* the next */
	put(s, 1, http, "client_error", 11 * SECOND, 0);
	put(s, 1, http, "timeout", -1, 0); /* no answer: counted, no duration */
	assert_int_equal(red_read(s, series, 4), 1);
	assert_int_equal(series[0].buckets[0], 1);
	assert_int_equal(series[0].buckets[1], 1);
	assert_int_equal(series[0].buckets[RED_BUCKETS], 1);
	assert_int_equal(series[0].sessions, 3);
	assert_int_equal(series[0].sum_ns, NS_PER_MS + 1 + 11 * SECOND);
	assert_int_equal(series[0].requests[RED_TIMEOUT], 1);
	s->ops->free(s);
}

static struct api_state state_for_test;

static void fill(struct sink *red)
{
	struct api_state *s = &state_for_test;
	memset(s, 0, sizeof *s);
	s->version = "1";
	s->red = red;
	s->ledger.count = 1;
	s->ledger.term[0].name = "on flows";
	s->ledger.term[0].frames = 7;
	s->ledger.frames = 7;
	s->source_count = 2; /* a NIC that went and came back */
	for (unsigned i = 0; i < 2; i++) {
		snprintf(s->sources[i].name, sizeof s->sources[i].name, "a\"b\\c");
		s->sources[i].source.seen = 3 + i;
		s->sources[i].attached = i == 0;
	}
	s->counters.engine.workers = 2;
}

/* name{labels} value, or a comment; every name was declared by a TYPE line before. */
static void check_text(const char *text, bool openmetrics)
{
	char declared[64][64], line[1024];
	unsigned types = 0;
	for (const char *p = text; *p;) {
		size_t len = strcspn(p, "\n");
		assert_int_equal(p[len], '\n');
		assert_in_range(len, 1, sizeof line - 1);
		memcpy(line, p, len);
		line[len] = '\0';
		p += len + 1;
		if (!strncmp(line, "# TYPE ", 7)) {
			assert_in_range(types, 0, 63);
			assert_int_equal(sscanf(line, "# TYPE %63s", declared[types]), 1);
			for (unsigned i = 0; i < types; i++) /* each once */
				assert_string_not_equal(declared[i], declared[types]);
			types++;
			continue;
		}
		if (line[0] == '#') {
			if (!strcmp(line, "# EOF")) {
				assert_true(openmetrics);
				assert_int_equal(*p, 0);
			}
			continue;
		}
		bool known = false;
		for (unsigned i = 0; i < types && !known; i++) {
			size_t n = strlen(declared[i]);
			known = !strncmp(line, declared[i], n) &&
				(strchr("{ ", line[n]) || !strncmp(line + n, "_total", 6) ||
				 !strncmp(line + n, "_bucket", 7) || !strncmp(line + n, "_sum", 4) ||
				 !strncmp(line + n, "_count", 6));
		}
		if (!known)
			print_message("%s\n", line);
		assert_true(known);
		char *end;
		const char *value = strrchr(line, ' ');
		assert_non_null(value);
		strtod(value + 1, &end);
		assert_int_equal(*end, 0);
	}
}

static void test_metrics_are_well_formed(void **state maybe_unused)
{
	struct sink *s;
	assert_int_equal(red_new(&s), 0);
	put(s, 0x0100000a, http, "ok", NS_PER_MS, 0);
	fill(s);
	for (unsigned openmetrics = 0; openmetrics < 2; openmetrics++) {
		size_t len;
		char *text = api_metrics(&state_for_test, openmetrics, &len);
		assert_non_null(text);
		assert_int_equal(strlen(text), len);
		check_text(text, openmetrics);
		assert_int_equal(strstr(text, "# EOF\n") != NULL, openmetrics);
		assert_non_null(strstr(text, "tapscope_ledger_frames_total{term=\"on flows\"} 7\n"));
		assert_non_null(strstr(
		    text, "tapscope_source_frames_total{source=\"a\\\"b\\\\c\",kind=\"af_packet\",what=\"seen\"} 7\n"));
		assert_non_null(strstr(
		    text, "tapscope_requests_total{server=\"10.0.0.1:80\",protocol=\"HTTP\",status=\"ok\"} 1\n"));
		assert_non_null(strstr(text, "le=\"0.001\"} 1\n"));
		assert_non_null(strstr(text, "le=\"0.0005\"} 0\n"));
		assert_non_null(strstr(text, openmetrics ? "# TYPE tapscope_requests counter\n"
							 : "# TYPE tapscope_requests_total counter\n"));
		free(text);
	}
	s->ops->free(s);
}

static void look(void *ctx maybe_unused, struct api_state *s maybe_unused)
{
}

static void reload(void *ctx maybe_unused)
{
}

static void test_addresses(void **state maybe_unused)
{
	static const char *const wrong[] = {"127.0.0.1", "127.0.0.1:", ":80",          "127.0.0.1:65536", "localhost:1",
					    "[::1:80",   "::1:80",     "127.0.0.1:-1", "127.0.0.1:8x"};
	struct api *a;
	struct error e;
	for (unsigned i = 0; i < array_size(wrong); i++) {
		const struct api_settings s = {.listen = (char *)(uintptr_t)wrong[i]};
		assert_int_equal(api_new(&a, &s, look, reload, NULL, &e), -EINVAL);
		assert_non_null(strstr(e.text, wrong[i]));
	}
	const struct api_settings any = {.listen = (char *)(uintptr_t) "127.0.0.1:0"};
	assert_int_equal(api_new(&a, &any, look, reload, NULL, &e), 0);
	char taken[64];
	snprintf(taken, sizeof taken, "127.0.0.1:%u", api_port(a));
	const struct api_settings same = {.listen = taken};
	struct api *b;
	assert_int_equal(api_new(&b, &same, look, reload, NULL, &e), -EADDRINUSE);
	api_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_series_are_bounded_and_their_sum_exact),
	    cmocka_unit_test(test_durations_fall_into_their_buckets),
	    cmocka_unit_test(test_metrics_are_well_formed),
	    cmocka_unit_test(test_addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
