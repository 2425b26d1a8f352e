/* Prints the options as YAML: with all that is known about them, or with what is in force. */
#include "internal.h"

#include <errno.h>

#define COMMENT_COLUMNS 110

/* A buffer that remembers that it failed. */
struct printer {
	const struct option_table *tables;
	struct buffer *out;
	bool explain; /* comments, and defaults instead of what is in force */
	bool failed;
};

#define put(p, ...) ((p)->failed |= buffer_printf((p)->out, __VA_ARGS__) < 0)

static void put_indent(struct printer *p, unsigned depth)
{
	put(p, "%*s", (int)depth * 2, "");
}

/* A comment, broken between words. */
static void put_comment(struct printer *p, unsigned depth, const char *text)
{
	size_t room = COMMENT_COLUMNS - 2 * (size_t)depth - 2;
	while (*text) {
		size_t len = strlen(text), cut = len;
		if (len > room) {
			for (cut = room; cut && text[cut] != ' ';)
				cut--;
			if (!cut)
				cut = strcspn(text, " ");
		}
		put_indent(p, depth);
		put(p, "# %.*s\n", (int)cut, text);
		text += cut;
		text += strspn(text, " ");
	}
}

static bool is_word(const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/";
	if (!*s || !strchr(letters, *s) || !strcmp(s, "null") || !strcmp(s, "Null") || !strcmp(s, "NULL"))
		return false;
	return !s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/.-")];
}

static void put_text(struct printer *p, const char *s)
{
	if (is_word(s)) {
		put(p, "%s", s);
		return;
	}
	put(p, "\"");
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			put(p, "\\%c", *s);
		else if ((unsigned char)*s < ' ' || *s == 0x7f)
			put(p, "\\x%02x", (unsigned char)*s);
		else
			put(p, "%c", *s);
	}
	put(p, "\"");
}

static void put_value(struct printer *p, const struct option *o, const void *settings)
{
	const void *place = (const char *)settings + o->offset;
	const char *separator = "";
	switch (o->type) {
	case OPTION_BOOL:
		put(p, "%s", *(const bool *)place ? "true" : "false");
		break;
	case OPTION_UINT:
		put(p, "%llu", (unsigned long long)*(const uint64_t *)place);
		break;
	case OPTION_DURATION:
		p->failed |= print_duration(p->out, (uint64_t) * (const int64_t *)place) < 0;
		break;
	case OPTION_BYTES:
		p->failed |= print_bytes(p->out, *(const uint64_t *)place) < 0;
		break;
	case OPTION_STRING:
		put_text(p, *(char *const *)place ? *(char *const *)place : "");
		break;
	case OPTION_ENUM:
		put_text(p, o->choices[*(const unsigned *)place]);
		break;
	case OPTION_SET:
		put(p, "[");
		for (unsigned i = 0; o->choices[i]; i++) {
			if (*(const uint64_t *)place >> i & 1) {
				put(p, "%s", separator);
				put_text(p, o->choices[i]);
				separator = ", ";
			}
		}
		put(p, "]");
		break;
	case OPTION_STRINGS: {
		const struct option_list *list = place;
		put(p, "[");
		for (size_t i = 0; i < list->count; i++) {
			put(p, "%s", i ? ", " : "");
			put_text(p, list->item[i]);
		}
		put(p, "]");
		break;
	}
	case OPTION_PORTS: {
		const struct option_map *map = place;
		put(p, "{");
		for (size_t i = 0; i < map->count; i++) {
			put(p, "%s", i ? ", " : "");
			put_text(p, map->item[i].name);
			put(p, ": \"%s\"", map->item[i].value);
		}
		put(p, "}");
		break;
	}
	}
}

/* The unit in which a bare number counts, what is allowed, and the other spelling. */
static void put_facts(struct printer *p, const struct option *o, unsigned depth)
{
	struct buffer facts = {0}, range = {0};
	bool quantity = o->type == OPTION_DURATION || o->type == OPTION_BYTES;
	int r = print_range(&range, o);
	r |= buffer_printf(&facts, "Default: %s.", *o->initial ? o->initial : "empty");
	if (o->unit)
		r |= buffer_printf(&facts, quantity ? " A number without suffix: %s." : " Unit: %s.", o->unit);
	if (range.len)
		r |= buffer_printf(&facts, " Allowed: %.*s.", (int)range.len, range.at);
	if (o->also)
		r |= buffer_printf(&facts, " Also: %s.", o->also);
	if (r < 0)
		p->failed = true;
	else
		put_comment(p, depth, facts.at);
	buffer_free(&range);
	buffer_free(&facts);
}

static void put_option(struct printer *p, const struct option *o, void *settings, const char *own_name, unsigned depth)
{
	if (p->explain) {
		put(p, "\n");
		put_comment(p, depth, o->meaning);
		put_facts(p, o, depth);
	}
	put_indent(p, depth);
	put(p, "%s: ", own_name);
	if (p->explain)
		put(p, "%s", *o->initial ? o->initial : empty_text(o->type));
	else
		put_value(p, o, settings);
	put(p, "\n");
}

/* Whether an option before `end` lies below the same level. */
static bool level_begun(struct printer *p, const struct option_walk *end, const char *level, size_t len)
{
	for (struct option_walk w = {.table = p->tables}; option_walk_next(&w) && w.index < end->index;)
		if (!strncmp(w.option->name, level, len) && w.option->name[len] == '.')
			return true;
	return false;
}

/* All options of a level, those of levels below it where the first of them stands. */
static void put_level(struct printer *p, const char *level, size_t level_len, unsigned depth)
{
	for (struct option_walk w = {.table = p->tables}; option_walk_next(&w);) {
		const char *name = w.option->name;
		if (level_len && (strncmp(name, level, level_len) != 0 || name[level_len] != '.'))
			continue;
		const char *own = name + level_len + (level_len > 0);
		const char *dot = strchr(own, '.');
		if (!dot) {
			put_option(p, w.option, w.table->settings, own, depth);
		} else if (!level_begun(p, &w, name, (size_t)(dot - name))) {
			put(p, "%s", p->explain ? "\n" : "");
			put_indent(p, depth);
			put(p, "%.*s:\n", (int)(dot - own), own);
			put_level(p, name, (size_t)(dot - name), depth + 1);
		}
	}
}

int config_show(const struct option_table *tables, struct buffer *out)
{
	struct printer p = {.tables = tables, .out = out};
	put_level(&p, "", 0, 0);
	return p.failed ? -ENOMEM : 0;
}

int config_example(const struct option_table *tables, struct buffer *out)
{
	struct printer p = {.tables = tables, .out = out, .explain = true};
	put_comment(&p, 0, "Every option of tapscope with its default. A file needs only those that differ from it.");
	put_level(&p, "", 0, 0);
	return p.failed ? -ENOMEM : 0;
}
