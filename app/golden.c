#include "golden.h"

#include "record.h"
#include "usage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FIELDS_MAX (FLOW_FIELD_COUNT + REQUEST_FIELD_COUNT)

static const struct field *find_field(const char *name)
{
	for (unsigned i = 0; i < FLOW_FIELD_COUNT; i++)
		if (!strcmp(flow_fields[i].name, name))
			return &flow_fields[i];
	for (unsigned i = 0; i < REQUEST_FIELD_COUNT; i++)
		if (!strcmp(request_fields[i].name, name))
			return &request_fields[i];
	return NULL;
}

static int no_such_field(const char *name, struct error *e)
{
	const char *names[FIELDS_MAX + 1] = {NULL};
	for (unsigned i = 0; i < FLOW_FIELD_COUNT; i++)
		names[i] = flow_fields[i].name;
	for (unsigned i = 0; i < REQUEST_FIELD_COUNT; i++)
		names[FLOW_FIELD_COUNT + i] = request_fields[i].name;
	const char *nearest = usage_nearest(name, names);
	return error_set(e, -EINVAL,
			 nearest ? "no record has a field '%s'; did you mean '%s'?" : "no record has a field '%s'",
			 name, nearest);
}

static bool is_attribute(const char *name)
{
	return !strncmp(name, "attributes.", strlen("attributes."));
}

int golden_ignore(struct golden_rules *rules, const char *field, struct error *e)
{
	if (!find_field(field) && !is_attribute(field))
		return no_such_field(field, e);
	if (rules->ignored_count == GOLDEN_RULES_MAX)
		return error_set(e, -EINVAL, "at most %d fields can be ignored", GOLDEN_RULES_MAX);
	rules->ignored[rules->ignored_count++] = field;
	return 0;
}

int golden_tolerate(struct golden_rules *rules, const char *text, struct error *e)
{
	static const struct {
		const char *suffix;
		int64_t scale;
	} units[] = {{"", 1}, {"ns", 1}, {"us", NS_PER_US}, {"ms", NS_PER_MS}, {"s", NS_PER_S}};
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : 0;
	if (!len || len >= sizeof rules->tolerance[0].field)
		return error_set(e, -EINVAL, "'%s' is not FIELD=TOLERANCE", text);
	if (rules->tolerance_count == GOLDEN_RULES_MAX)
		return error_set(e, -EINVAL, "at most %d tolerances", GOLDEN_RULES_MAX);
	char *field = rules->tolerance[rules->tolerance_count].field;
	snprintf(field, sizeof rules->tolerance[0].field, "%.*s", (int)len, text);
	const struct field *f = find_field(field);
	if (!f)
		return no_such_field(field, e);
	bool is_time = f->kind == FIELD_TIME || f->kind == FIELD_NS;
	if (!is_time && f->kind != FIELD_U64 && f->kind != FIELD_I64)
		return error_set(e, -EINVAL, "'%s' is no number: it has no tolerance", field);
	char *end;
	errno = 0;
	double value = strtod(equals + 1, &end);
	for (unsigned i = 0; i < array_size(units) && end != equals + 1 && !errno && value >= 0; i++) {
		if (strcmp(end, units[i].suffix) || (*end && !is_time))
			continue;
		value *= (double)units[i].scale;
		if (value > 9e18)
			break;
		rules->tolerance[rules->tolerance_count++].within = (int64_t)value;
		return 0;
	}
	return error_set(e, -EINVAL, "'%s' is no tolerance%s", equals + 1, is_time ? ", such as 250us or 1ms" : "");
}

const char *golden_schema_line(void)
{
	static char line[64];
	snprintf(line, sizeof line, "{\"record\":\"schema\",\"version\":%d}\n", RECORD_SCHEMA);
	return line;
}

static const char *kind_of(const json_t *record)
{
	const char *kind = json_string_value(json_object_get(record, "record"));
	return kind ? kind : "";
}

static int check_schema(const json_t *first, const char *name, struct error *e)
{
	if (strcmp(kind_of(first), "schema"))
		return error_set(e, -EBADMSG, "%s:1: a golden starts with %.*s", name,
				 (int)strlen(golden_schema_line()) - 1, golden_schema_line());
	json_int_t version = json_integer_value(json_object_get(first, "version"));
	if (version != RECORD_SCHEMA)
		return error_set(e, -EBADMSG,
				 "%s:1: its records have schema version %" JSON_INTEGER_FORMAT
				 ", this program's have %d: they cannot be compared; --update writes them anew",
				 name, version, RECORD_SCHEMA);
	return 0;
}

static int add_record(struct golden *g, json_t *json, unsigned line)
{
	if (g->count == g->capacity) {
		size_t capacity = max_of(g->capacity * 2, (size_t)64);
		struct golden_record *record = realloc(g->record, capacity * sizeof *record);
		if (!record)
			return -ENOMEM;
		g->record = record;
		g->capacity = capacity;
	}
	g->record[g->count++] = (struct golden_record){.json = json, .line = line};
	return 0;
}

int golden_parse(struct golden *g, const char *name, const char *text, size_t len, struct error *e)
{
	*g = (struct golden){0};
	unsigned line = 0;
	for (const char *at = text, *end = text + len, *next; at < end; at = next) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		next = newline ? newline + 1 : end;
		line++;
		json_error_t fault;
		json_t *json = json_loadb(at, (size_t)(next - at), JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &fault);
		if (!json)
			return error_set(e, -EBADMSG, "%s:%u:%d: %s", name, line, fault.column, fault.text);
		int r = 0;
		if (line == 1) {
			r = check_schema(json, name, e);
			json_decref(json);
		} else if (strcmp(kind_of(json), "flow") && strcmp(kind_of(json), "request")) {
			json_decref(json);
			r = error_set(e, -EBADMSG, "%s:%u: neither a flow record nor a request record", name, line);
		} else if (add_record(g, json, line) < 0) {
			json_decref(json);
			r = error_set(e, -ENOMEM, "no memory for the records of %s", name);
		}
		if (r < 0)
			return r;
	}
	if (!line)
		return error_set(e, -EBADMSG, "%s is empty: a golden starts with %.*s", name,
				 (int)strlen(golden_schema_line()) - 1, golden_schema_line());
	return 0;
}

void golden_free(struct golden *g)
{
	for (size_t i = 0; i < g->count; i++) {
		json_decref(g->record[i].json);
		free(g->record[i].key);
	}
	free(g->record);
	*g = (struct golden){0};
}

/* ns since 1970 of "2024-02-29T23:59:59.000000001Z"; false where it is something else. */
static bool parse_time(const char *text, int64_t *ret_ns)
{
	struct tm tm = {0};
	int64_t ns;
	int end = 0;
	if (!text ||
	    sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%9" SCNd64 "Z%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
		   &tm.tm_min, &tm.tm_sec, &ns, &end) != 7 ||
	    text[end] || end != 30)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*ret_ns = (int64_t)timegm(&tm) * NS_PER_S + ns;
	return true;
}

static bool within_tolerance(const char *field, const json_t *a, const json_t *b, const struct golden_rules *rules)
{
	int64_t x, y, difference;
	if (json_is_integer(a) && json_is_integer(b)) {
		x = json_integer_value(a);
		y = json_integer_value(b);
	} else if (!parse_time(json_string_value(a), &x) || !parse_time(json_string_value(b), &y)) {
		return false;
	}
	if (__builtin_sub_overflow(max_of(x, y), min_of(x, y), &difference))
		return false;
	for (unsigned i = 0; i < rules->tolerance_count; i++)
		if (!strcmp(rules->tolerance[i].field, field) && difference <= rules->tolerance[i].within)
			return true;
	return false;
}

static bool is_ignored(const char *field, const struct golden_rules *rules)
{
	for (unsigned i = 0; i < rules->ignored_count; i++)
		if (!strcmp(rules->ignored[i], field))
			return true;
	return false;
}

/* Either may be NULL: absent. */
static bool value_equal(const char *field, const json_t *a, const json_t *b, const struct golden_rules *rules)
{
	if (is_ignored(field, rules) || (!a && !b))
		return true;
	return a && b && (json_equal(a, b) || within_tolerance(field, a, b, rules));
}

/* A value for a person: JSON in ASCII. */
static int put_value(struct buffer *out, const json_t *value)
{
	if (!value)
		return buffer_printf(out, "absent");
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);
	if (!text)
		return -ENOMEM;
	int r = buffer_printf(out, "%s", text);
	free(text);
	return r;
}

static int tell_field(struct buffer *out, const char *field, const json_t *want, const json_t *have, unsigned *count)
{
	++*count;
	if (!out)
		return 0;
	int r = buffer_printf(out, "    %s: golden ", field);
	if (r == 0)
		r = put_value(out, want);
	if (r == 0)
		r = buffer_printf(out, ", now ");
	if (r == 0)
		r = put_value(out, have);
	return r < 0 ? r : buffer_printf(out, "\n");
}

/* Counts the fields that differ, and tells them where `out` is not NULL. prefix: "attributes." for what is inside.
 * Absent attributes are as an empty list of them. */
static int compare_objects(const char *prefix, json_t *want, json_t *have, const struct golden_rules *rules,
			   struct buffer *out, unsigned *count)
{
	json_t *objects[2] = {want, have}, *value;
	const char *key;
	for (unsigned side = 0; side < 2; side++) {
		json_object_foreach(objects[side], key, value)
		{
			json_t *a = json_object_get(want, key), *b = json_object_get(have, key);
			char field[256];
			snprintf(field, sizeof field, "%s%s", prefix, key);
			if (side == 1 && a)
				continue; /* both have it: seen from the first side */
			int r = 0;
			bool nested = !*prefix && !strcmp(key, "attributes") && (!a || json_is_object(a)) &&
				      (!b || json_is_object(b));
			if (nested && !is_ignored(key, rules))
				r = compare_objects("attributes.", a, b, rules, out, count);
			else if (!value_equal(field, a, b, rules))
				r = tell_field(out, field, a, b, count);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static bool record_equal(const struct golden_record *a, const struct golden_record *b, const struct golden_rules *rules)
{
	unsigned count = 0;
	compare_objects("", a->json, b->json, rules, NULL, &count);
	return !count;
}

/* What two records must have in common to be told apart from others, strongest first. "=" stands for all that counts.
 */
#define LEVEL_FIELDS 6
static const char *const levels[][2][LEVEL_FIELDS] = {
    [0] = {{"=", "flow_id", "start_time"}, {"=", "flow_id", "start_time", "req_tcp_seq", "resp_tcp_seq", "request_id"}},
    [1] = {{"flow_id", "start_time"}, {"flow_id", "start_time", "req_tcp_seq", "resp_tcp_seq", "request_id"}},
    [2] = {{"client_ip", "client_port", "server_ip", "server_port", "protocol", "start_time"},
	   {"client_ip", "client_port", "server_ip", "server_port", "start_time", "request_id"}},
    [3] = {{"flow_id"}, {"flow_id", "req_tcp_seq", "request_id"}},
    [4] = {{"start_time", "protocol"}, {"flow_id", "request_type", "request_resource"}},
    [5] = {{"client_ip", "client_port", "server_ip", "server_port", "protocol"},
	   {"client_ip", "server_ip", "server_port", "request_type", "request_resource"}},
};

static int make_key(struct golden_record *r, const char *const fields[LEVEL_FIELDS])
{
	struct buffer key = {0};
	int result = buffer_printf(&key, "%s", kind_of(r->json));
	for (unsigned i = 0; i < LEVEL_FIELDS && fields[i] && result == 0; i++) {
		if (*fields[i] == '=')
			continue;
		result = buffer_printf(&key, "\n");
		if (result == 0)
			result = put_value(&key, json_object_get(r->json, fields[i]));
	}
	free(r->key);
	r->key = key.at;
	return result;
}

static int compare_keys(const void *a, const void *b)
{
	const struct golden_record *x = *(struct golden_record *const *)a, *y = *(struct golden_record *const *)b;
	int order = strcmp(x->key, y->key);
	return order ? order : (x->line > y->line) - (x->line < y->line);
}

/* The records without a match, sorted by their keys of this level. */
static int sort_unmatched(struct golden *g, unsigned level, struct golden_record ***ret_list, size_t *ret_count)
{
	struct golden_record **list = malloc((g->count + 1) * sizeof *list);
	size_t n = 0;
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < g->count; i++) {
		struct golden_record *r = &g->record[i];
		if (r->match)
			continue;
		list[n++] = r;
		if (make_key(r, levels[level][!strcmp(kind_of(r->json), "request")]) < 0) {
			free(list);
			return -ENOMEM;
		}
	}
	qsort(list, n, sizeof *list, compare_keys);
	*ret_list = list;
	*ret_count = n;
	return 0;
}

static void join(struct golden_record *a, struct golden_record *b)
{
	a->match = b;
	b->match = a;
}

static int match_level(struct golden *want, struct golden *have, unsigned level, const struct golden_rules *rules)
{
	struct golden_record **w = NULL, **h = NULL;
	size_t w_count = 0, h_count = 0;
	int r = sort_unmatched(want, level, &w, &w_count);
	if (r == 0)
		r = sort_unmatched(have, level, &h, &h_count);
	for (size_t i = 0, k = 0; r == 0 && i < w_count && k < h_count;) {
		int order = strcmp(w[i]->key, h[k]->key);
		if (order < 0) {
			i++;
		} else if (order > 0) {
			k++;
		} else if (*levels[level][0][0] != '=') {
			join(w[i++], h[k++]);
		} else {
			/* among those of one key, each with the first that is equal and still free */
			size_t last = k;
			while (last < h_count && !strcmp(h[last]->key, w[i]->key))
				last++;
			for (size_t n = k; n < last && !w[i]->match; n++)
				if (!h[n]->match && record_equal(w[i], h[n], rules))
					join(w[i], h[n]);
			i++;
			if (i == w_count || strcmp(w[i]->key, h[k]->key))
				k = last;
		}
	}
	free(w);
	free(h);
	return r;
}

static const char *text_of(const json_t *record, const char *field)
{
	const char *text = json_string_value(json_object_get(record, field));
	return text ? text : "";
}

static int describe(struct buffer *out, const json_t *r)
{
	bool is_flow = !strcmp(kind_of(r), "flow");
	int n = buffer_printf(out, "%s %s %s:%" JSON_INTEGER_FORMAT " -> %s:%" JSON_INTEGER_FORMAT " at %s",
			      is_flow ? "flow" : "request", text_of(r, is_flow ? "protocol" : "l7_protocol"),
			      text_of(r, "client_ip"), json_integer_value(json_object_get(r, "client_port")),
			      text_of(r, "server_ip"), json_integer_value(json_object_get(r, "server_port")),
			      text_of(r, "start_time"));
	for (unsigned i = 0; i < 2 && !is_flow && n == 0; i++) {
		const json_t *value = json_object_get(r, i ? "request_resource" : "request_type");
		if (value)
			n = buffer_printf(out, " ");
		if (value && n == 0)
			n = put_value(out, value);
	}
	return n;
}

static int tell_record(struct buffer *out, const char *what, const struct golden_record *r, const char *where)
{
	int n = buffer_printf(out, "  %s ", what);
	if (n == 0)
		n = describe(out, r->json);
	return n < 0 ? n : buffer_printf(out, " (%s line %u)\n", where, r->line);
}

int golden_compare(struct golden *want, struct golden *have, const struct golden_rules *rules, struct buffer *out)
{
	for (unsigned level = 0; level < array_size(levels); level++)
		if (match_level(want, have, level, rules) < 0)
			return -ENOMEM;
	int differences = 0, r = 0;
	for (size_t i = 0; i < want->count && r >= 0; i++) {
		struct golden_record *w = &want->record[i];
		if (w->match && record_equal(w, w->match, rules))
			continue;
		if (++differences > GOLDEN_SHOWN_MAX)
			continue;
		unsigned fields = 0;
		r = tell_record(out, w->match ? "differs:" : "missing:", w, "golden");
		if (w->match && r >= 0)
			r = compare_objects("", w->json, w->match->json, rules, out, &fields);
	}
	for (size_t i = 0; i < have->count && r >= 0; i++) {
		if (have->record[i].match)
			continue;
		if (++differences <= GOLDEN_SHOWN_MAX)
			r = tell_record(out, "additional:", &have->record[i], "new");
	}
	if (differences > GOLDEN_SHOWN_MAX && r >= 0)
		r = buffer_printf(out, "  and %d more\n", differences - GOLDEN_SHOWN_MAX);
	return r < 0 ? r : differences;
}
