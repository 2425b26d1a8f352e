/* A YAML node into an option's place. */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct unit {
	const char *name;
	uint64_t factor;
} duration_units[] =
    {
	{"ns", 1},
	{"us", 1000},
	{"ms", 1000000},
	{"s", 1000000000},
	{"m", UINT64_C(60000000000)},
	{"h", UINT64_C(3600000000000)},
	{NULL, 0},
},
  byte_units[] = {
      {"B", 1},         {"KB", 1000},     {"MB", 1000000},  {"GB", 1000000000},
      {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0},
};

static uint64_t unit_factor(const struct unit *units, const char *name)
{
	for (; units->name; units++)
		if (!strcmp(units->name, name))
			return units->factor;
	return 0;
}

/* Prints with the unit that gives the shortest whole number. */
static int print_in_units(struct buffer *b, uint64_t value, const struct unit *units)
{
	const struct unit *best = units;
	for (const struct unit *u = units; u->name; u++)
		if (value % u->factor == 0 && value / u->factor < value / best->factor)
			best = u;
	return buffer_printf(b, "%llu%s", (unsigned long long)(value / best->factor), best->name);
}

int print_duration(struct buffer *b, uint64_t ns)
{
	return print_in_units(b, ns, duration_units);
}

int print_bytes(struct buffer *b, uint64_t bytes)
{
	return print_in_units(b, bytes, byte_units);
}

static int print_choices(struct buffer *b, const struct option *o)
{
	int r = 0;
	for (size_t i = 0; r == 0 && o->choices[i]; i++) {
		r = buffer_printf(b, "%s%s", i ? ", " : "", o->choices[i]);
		if (r == 0 && o->choice_numbers && o->choice_numbers[i] >= 0)
			r = buffer_printf(b, " (%d)", o->choice_numbers[i]);
	}
	return r;
}

static int print_limit(struct buffer *b, const struct option *o, uint64_t value)
{
	if (o->type == OPTION_DURATION)
		return print_duration(b, value);
	if (o->type == OPTION_BYTES)
		return print_bytes(b, value);
	return buffer_printf(b, "%llu", (unsigned long long)value);
}

int print_range(struct buffer *b, const struct option *o)
{
	switch (o->type) {
	case OPTION_UINT:
	case OPTION_DURATION:
	case OPTION_BYTES:
		if (!o->max || (!o->min && o->max == UINT64_MAX))
			return 0;
		return print_limit(b, o, o->min) < 0 || buffer_printf(b, " to ") < 0 || print_limit(b, o, o->max) < 0
			   ? -ENOMEM
			   : 0;
	case OPTION_ENUM:
		return buffer_printf(b, "one of ") < 0 || print_choices(b, o) < 0 ? -ENOMEM : 0;
	case OPTION_SET:
		return buffer_printf(b, "any of ") < 0 || print_choices(b, o) < 0 ? -ENOMEM : 0;
	case OPTION_PORTS:
		if (!o->choices)
			return 0;
		return buffer_printf(b, "any of ") < 0 || print_choices(b, o) < 0 ? -ENOMEM : 0;
	case OPTION_BOOL:
	case OPTION_STRING:
	case OPTION_STRINGS:
		break;
	}
	return 0;
}

/* The value as a message shows it: one line, not long. */
static const char *excerpt(const yaml_node_t *node, char out[64])
{
	if (node->type == YAML_MAPPING_NODE)
		return "a map";
	if (node->type == YAML_SEQUENCE_NODE)
		return "a list";
	const unsigned char *s = node->data.scalar.value;
	size_t len = node->data.scalar.length, n = 0;
	if (!len)
		return "nothing";
	out[n++] = '\'';
	for (size_t i = 0; i < len && n < 44; i++)
		out[n++] = s[i] < ' ' || s[i] == 0x7f ? '?' : (char)s[i];
	if (n == 44) {
		while (((unsigned char)out[n - 1] & 0xc0) == 0x80) /* leave no half of a character */
			n--;
		n -= (unsigned char)out[n - 1] >= 0xc0;
		memcpy(out + n, "…", 3);
		n += 3;
	}
	out[n++] = '\'';
	out[n] = 0;
	return out;
}

/* The scalar's text, or NULL. A byte of zero would end it early and so makes it none. */
static const char *scalar(const yaml_node_t *node)
{
	if (node->type != YAML_SCALAR_NODE || strlen((const char *)node->data.scalar.value) != node->data.scalar.length)
		return NULL;
	return (const char *)node->data.scalar.value;
}

static bool is_plain(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static bool is_null(const yaml_node_t *node)
{
	const char *s = is_plain(node) ? scalar(node) : NULL;
	return s && (!*s || !strcmp(s, "~") || !strcmp(s, "null") || !strcmp(s, "Null") || !strcmp(s, "NULL"));
}

/* "KIND EXPECTED, not VALUE". */
static void wrong(struct loader *l, const struct option *o, const yaml_node_t *node, const char *expected)
{
	char text[64];
	if (is_null(node))
		loader_fault(l, node->start_mark, "'%s' has no value; it is to be %s", o->name, expected);
	else
		loader_fault(l, node->start_mark, "'%s' is to be %s, not %s", o->name, expected, excerpt(node, text));
}

static void out_of_range(struct loader *l, const struct option *o, const yaml_node_t *node)
{
	struct buffer b = {0};
	char text[64];
	if (print_range(&b, o) < 0)
		l->no_memory = true;
	else if (b.len)
		loader_fault(l, node->start_mark, "'%s' is out of range: %.*s allowed, not %s", o->name, (int)b.len,
			     b.at, excerpt(node, text));
	else
		loader_fault(l, node->start_mark, "'%s' is out of range: %s is too large", o->name,
			     excerpt(node, text));
	buffer_free(&b);
}

static bool in_range(const struct option *o, uint64_t value)
{
	return value >= o->min && (!o->max || value <= o->max);
}

static void set_bool(struct loader *l, const struct option *o, bool *place, yaml_node_t *node)
{
	static const char *const words[2][8] = {{"false", "False", "FALSE", "no", "off", "0", NULL},
						{"true", "True", "TRUE", "yes", "on", "1", NULL}};
	const char *s = is_plain(node) ? scalar(node) : NULL;
	for (int v = 0; s && v < 2; v++) {
		for (int i = 0; words[v][i]; i++) {
			if (!strcmp(s, words[v][i])) {
				*place = v;
				return;
			}
		}
	}
	wrong(l, o, node, "true or false");
}

/* Reads digits, a fraction of nine digits at most and a suffix. 0; 1: no such number; 2: too large. */
static int parse_quantity(const char *s, const struct unit *units, const char *bare_unit, uint64_t *ret_value)
{
	uint64_t whole = 0, fraction = 0, scale = 1;
	bool large = false;
	const char *start = s;
	for (; *s >= '0' && *s <= '9'; s++)
		large |= __builtin_mul_overflow(whole, 10, &whole) ||
			 __builtin_add_overflow(whole, (uint64_t)(*s - '0'), &whole);
	if (s == start)
		return 1;
	if (*s == '.') {
		const char *point = s++;
		for (; *s >= '0' && *s <= '9'; s++) {
			if (s - point > 9)
				return 1;
			fraction = fraction * 10 + (uint64_t)(*s - '0');
			scale *= 10;
		}
		if (s == point + 1)
			return 1;
	}
	while (*s == ' ')
		s++;
	uint64_t factor = unit_factor(units, *s || !bare_unit ? s : bare_unit);
	if (!factor && !*s && !whole && !fraction)
		factor = 1; /* nothing needs no unit */
	if (!factor || fraction * (unsigned __int128)factor % scale)
		return 1; /* no such unit, or a fraction of the smallest */
	unsigned __int128 value = (unsigned __int128)whole * factor + (unsigned __int128)fraction * factor / scale;
	if (large || value > INT64_MAX)
		return 2;
	*ret_value = (uint64_t)value;
	return 0;
}

static void set_quantity(struct loader *l, const struct option *o, void *place, yaml_node_t *node)
{
	bool duration = o->type == OPTION_DURATION;
	const char *s = is_null(node) ? NULL : scalar(node);
	uint64_t value = 0;
	int r = s ? parse_quantity(s, duration ? duration_units : byte_units, o->unit, &value) : 1;
	if (r == 1) {
		char expected[128];
		const char *suffixes = duration ? "ns, us, ms, s, m, h" : "B, KB, MB, GB, KiB, MiB, GiB";
		if (o->unit)
			snprintf(expected, sizeof expected, "a number of %s or one with a suffix (%s)", o->unit,
				 suffixes);
		else
			snprintf(expected, sizeof expected, "a number with a suffix (%s)", suffixes);
		wrong(l, o, node, expected);
	} else if (r == 2 || !in_range(o, value)) {
		out_of_range(l, o, node);
	} else if (duration) {
		*(int64_t *)place = (int64_t)value;
	} else {
		*(uint64_t *)place = value;
	}
}

/* 0; 1: no number; 2: too large or negative. */
static int parse_uint(const char *s, uint64_t *ret_value)
{
	bool negative = *s == '-';
	s += negative;
	unsigned base = 10;
	if (s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
	}
	uint64_t value = 0;
	bool large = false;
	const char *start = s;
	for (; *s; s++) {
		unsigned digit;
		if (*s >= '0' && *s <= '9')
			digit = (unsigned)(*s - '0');
		else if (base == 16 && (*s | 0x20) >= 'a' && (*s | 0x20) <= 'f')
			digit = (unsigned)((*s | 0x20) - 'a') + 10;
		else
			return 1;
		large |= __builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, digit, &value);
	}
	if (s == start)
		return 1;
	if (large || (negative && value))
		return 2;
	*ret_value = value;
	return 0;
}

static void set_uint(struct loader *l, const struct option *o, uint64_t *place, yaml_node_t *node)
{
	const char *s = is_plain(node) ? scalar(node) : NULL;
	uint64_t value = 0;
	int r = s ? parse_uint(s, &value) : 1;
	if (r == 1)
		wrong(l, o, node, "a whole number");
	else if (r == 2 || !in_range(o, value))
		out_of_range(l, o, node);
	else
		*place = value;
}

/* The choices called `text`, as bits: one by its name, all that share a number by that. */
static uint64_t find_choices(const struct option *o, const char *text)
{
	size_t len = strlen(text);
	for (unsigned i = 0; o->choices[i]; i++)
		if (strlen(o->choices[i]) == len && !name_distance(o->choices[i], len, text, len))
			return UINT64_C(1) << i;
	uint64_t number, found = 0;
	if (o->choice_numbers && parse_uint(text, &number) == 0)
		for (unsigned i = 0; o->choices[i]; i++)
			if (o->choice_numbers[i] >= 0 && (uint64_t)o->choice_numbers[i] == number)
				found |= UINT64_C(1) << i;
	return found;
}

static void no_choice(struct loader *l, const struct option *o, const yaml_node_t *node)
{
	struct buffer b = {0};
	if (print_range(&b, o) < 0 || buffer_put(&b, "", 1) < 0)
		l->no_memory = true;
	else
		wrong(l, o, node, b.at);
	buffer_free(&b);
}

static void set_enum(struct loader *l, const struct option *o, unsigned *place, yaml_node_t *node)
{
	const char *s = is_null(node) ? NULL : scalar(node);
	uint64_t found = s ? find_choices(o, s) : 0;
	if (!found)
		no_choice(l, o, node);
	else
		*place = (unsigned)__builtin_ctzll(found);
}

static size_t item_count(const yaml_node_t *list)
{
	return (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
}

static yaml_node_t *item_at(struct loader *l, const yaml_node_t *list, size_t i)
{
	return yaml_document_get_node(l->document, list->data.sequence.items.start[i]);
}

/* Whether it is a list of bearable length; else it is told. */
static bool open_list(struct loader *l, const struct option *o, yaml_node_t *node, const char *expected)
{
	if (node->type != YAML_SEQUENCE_NODE) {
		wrong(l, o, node, expected);
		return false;
	}
	if (item_count(node) > CONFIG_LIST_MAX) {
		loader_fault(l, node->start_mark, "'%s' has more than %d items", o->name, CONFIG_LIST_MAX);
		return false;
	}
	return true;
}

static void set_set(struct loader *l, const struct option *o, uint64_t *place, yaml_node_t *node)
{
	if (!open_list(l, o, node, "a list (the empty one is [])"))
		return;
	uint64_t set = 0;
	for (size_t i = 0; i < item_count(node); i++) {
		yaml_node_t *item = item_at(l, node, i);
		const char *s = scalar(item);
		uint64_t found = s ? find_choices(o, s) : 0;
		const char *reason = s && !found ? deepflow_item_reason(o->name, s) : NULL;
		if (reason)
			loader_warn(l, item->start_mark, "'%s' in '%s' has no effect here: %s", s, o->name, reason);
		else if (!found)
			no_choice(l, o, item);
		set |= found;
	}
	*place = set;
}

static char *copy(struct loader *l, const char *s)
{
	char *c = strdup(s);
	if (!c)
		l->no_memory = true;
	return c;
}

/* What the option's room says about a text; false where it is wrong (and told). */
static bool check_text(struct loader *l, const struct option *o, const yaml_node_t *node, const char *s)
{
	struct error e;
	if (!o->check || o->check(s, &e) == 0)
		return true;
	loader_fault(l, node->start_mark, "'%s' is wrong: %s", o->name, e.text);
	return false;
}

static void set_string(struct loader *l, const struct option *o, char **place, yaml_node_t *node)
{
	const char *s = is_null(node) ? "" : scalar(node);
	if (!s) {
		wrong(l, o, node, "a text");
		return;
	}
	if (!check_text(l, o, node, s))
		return;
	char *c = copy(l, s);
	if (c) {
		free(*place);
		*place = c;
	}
}

static void set_strings(struct loader *l, const struct option *o, struct option_list *place, yaml_node_t *node)
{
	value_clear(o, (char *)place - o->offset);
	if (is_null(node) || !open_list(l, o, node, "a list of texts"))
		return;
	size_t count = item_count(node);
	place->item = calloc(count ? count : 1, sizeof *place->item);
	if (!place->item) {
		l->no_memory = true;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		yaml_node_t *item = item_at(l, node, i);
		const char *s = scalar(item);
		if (!s)
			wrong(l, o, item, "a list of texts");
		else if (check_text(l, o, item, s) && (place->item[place->count] = copy(l, s)))
			place->count++;
	}
}

/* Appends "80" or "1000-2000"; false where it is neither. */
static bool put_port_range(struct loader *l, struct buffer *b, const char *s, size_t len)
{
	char text[24];
	uint64_t low, high;
	while (len && *s == ' ')
		s++, len--;
	while (len && s[len - 1] == ' ')
		len--;
	if (!len || len >= sizeof text)
		return false;
	memcpy(text, s, len);
	text[len] = 0;
	char *dash = strchr(text, '-');
	if (dash)
		*dash = 0;
	if (parse_uint(text, &low) || parse_uint(dash ? dash + 1 : text, &high) || !low || low > high || high > 65535)
		return false;
	const char *comma = b->len ? "," : "";
	if (buffer_printf(b, low == high ? "%s%u" : "%s%u-%u", comma, (unsigned)low, (unsigned)high) < 0)
		l->no_memory = true;
	return true;
}

static bool put_ports(struct loader *l, struct buffer *b, const char *s)
{
	if (!*s)
		return true;
	for (;;) {
		size_t len = strcspn(s, ",");
		if (!put_port_range(l, b, s, len))
			return false;
		if (!s[len])
			return true;
		s += len + 1;
	}
}

/* A map's value: a text of ports, or a list of such texts. NULL where it was wrong (and told). */
static char *read_ports(struct loader *l, const struct option *o, yaml_node_t *node)
{
	const char *expected = "ports and ranges of 1 to 65535 such as \"80,1000-2000\"";
	bool list = node->type == YAML_SEQUENCE_NODE;
	if (list && !open_list(l, o, node, expected))
		return NULL;
	struct buffer b = {0};
	bool good = true;
	for (size_t i = 0; i < (list ? item_count(node) : 1); i++) {
		yaml_node_t *item = list ? item_at(l, node, i) : node;
		const char *s = is_null(item) ? "" : scalar(item);
		if (!s || !put_ports(l, &b, s)) {
			wrong(l, o, item, expected);
			good = false;
		}
	}
	char *text = good ? copy(l, b.len ? b.at : "") : NULL;
	buffer_free(&b);
	return text;
}

static void set_ports(struct loader *l, const struct option *o, struct option_map *place, yaml_node_t *node)
{
	value_clear(o, (char *)place - o->offset);
	if (is_null(node))
		return;
	if (node->type != YAML_MAPPING_NODE) {
		wrong(l, o, node, "a map from name to ports");
		return;
	}
	size_t count = (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
	if (count > CONFIG_KEYS_MAX) {
		loader_fault(l, node->start_mark, "'%s' has more than %d keys", o->name, CONFIG_KEYS_MAX);
		return;
	}
	place->item = calloc(count ? count : 1, sizeof *place->item);
	if (!place->item) {
		l->no_memory = true;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		yaml_node_t *key = yaml_document_get_node(l->document, node->data.mapping.pairs.start[i].key);
		yaml_node_t *value = yaml_document_get_node(l->document, node->data.mapping.pairs.start[i].value);
		const char *name = scalar(key);
		if (!name || !*name) {
			wrong(l, o, key, "a map from name to ports");
			continue;
		}
		const char *reason = NULL;
		if (o->choices) {
			uint64_t found = find_choices(o, name);
			if (found)
				name = o->choices[__builtin_ctzll(found)];
			else if (!(reason = deepflow_item_reason(o->name, name)))
				no_choice(l, o, key);
			if (!found && !reason)
				continue;
		}
		bool twice = false;
		for (size_t j = 0; j < place->count && !twice; j++)
			twice = !strcmp(place->item[j].name, name);
		if (twice) {
			loader_fault(l, key->start_mark, "'%s' is given twice in '%s'", name, o->name);
			continue;
		}
		char *ports = read_ports(l, o, value);
		if (reason && ports)
			loader_warn(l, key->start_mark, "'%s' in '%s' has no effect here: %s", name, o->name, reason);
		char *own = ports && !reason ? copy(l, name) : NULL;
		if (!own) {
			free(ports);
			continue;
		}
		place->item[place->count].name = own;
		place->item[place->count++].value = ports;
	}
}

void value_set(struct loader *l, const struct option *o, void *settings, yaml_node_t *node)
{
	void *place = (char *)settings + o->offset;
	switch (o->type) {
	case OPTION_BOOL:
		set_bool(l, o, place, node);
		break;
	case OPTION_UINT:
		set_uint(l, o, place, node);
		break;
	case OPTION_DURATION:
	case OPTION_BYTES:
		set_quantity(l, o, place, node);
		break;
	case OPTION_STRING:
		set_string(l, o, place, node);
		break;
	case OPTION_ENUM:
		set_enum(l, o, place, node);
		break;
	case OPTION_SET:
		set_set(l, o, place, node);
		break;
	case OPTION_STRINGS:
		set_strings(l, o, place, node);
		break;
	case OPTION_PORTS:
		set_ports(l, o, place, node);
		break;
	}
}

const char *empty_text(enum option_type type)
{
	switch (type) {
	case OPTION_STRING:
		return "\"\"";
	case OPTION_STRINGS:
	case OPTION_SET:
		return "[]";
	case OPTION_PORTS:
		return "{}";
	case OPTION_BOOL:
	case OPTION_UINT:
	case OPTION_DURATION:
	case OPTION_BYTES:
	case OPTION_ENUM:
		break;
	}
	return "";
}

void value_clear(const struct option *o, void *settings)
{
	void *place = (char *)settings + o->offset;
	if (o->type == OPTION_STRING) {
		char **s = place;
		free(*s);
		*s = NULL;
	} else if (o->type == OPTION_STRINGS) {
		struct option_list *list = place;
		for (size_t i = 0; i < list->count; i++)
			free(list->item[i]);
		free(list->item);
		*list = (struct option_list){0};
	} else if (o->type == OPTION_PORTS) {
		struct option_map *map = place;
		for (size_t i = 0; i < map->count; i++) {
			free(map->item[i].name);
			free(map->item[i].value);
		}
		free(map->item);
		*map = (struct option_map){0};
	}
}
