#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void tell(struct loader *l, config_tell to, yaml_mark_t at, const char *fmt, va_list ap)
{
	char message[1024];
	int n = 0;
	if (l->file)
		n = snprintf(message, sizeof message, "%.256s:%zu:%zu: ", l->file, at.line + 1, at.column + 1);
	vsnprintf(message + n, sizeof message - (size_t)n, fmt, ap);
	if (to)
		to(l->ctx, message);
}

void loader_fault(struct loader *l, yaml_mark_t at, const char *fmt, ...)
{
	if (l->faults++ >= CONFIG_FAULTS_MAX)
		return;
	va_list ap;
	va_start(ap, fmt);
	tell(l, l->fault, at, fmt, ap);
	va_end(ap);
}

void loader_warn(struct loader *l, yaml_mark_t at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	tell(l, l->warn, at, fmt, ap);
	va_end(ap);
}

static bool gives_up(const struct loader *l)
{
	return l->no_memory || l->faults >= CONFIG_FAULTS_MAX;
}

static bool is_empty(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!node->data.scalar.length || !strcmp((const char *)node->data.scalar.value, "~") ||
		!strcmp((const char *)node->data.scalar.value, "null"));
}

static void load_level(struct loader *l, const char *level, yaml_node_t *map);

/* One key of a level, `name` in full. */
static void load_key(struct loader *l, const char *name, const yaml_node_t *key, yaml_node_t *value)
{
	struct option_walk found;
	const char *reason;
	if (name_find(l->tables, name, &found)) {
		uint32_t *seen = l->seen + found.index;
		if (*seen) {
			loader_fault(l, key->start_mark, "'%s' is given twice; first in line %u", name, *seen);
			return;
		}
		*seen = (uint32_t)key->start_mark.line + 1;
		if (is_empty(value))
			value->start_mark = key->start_mark; /* else it has the place of whatever comes next */
		value_set(l, found.option, found.table->settings, value);
	} else if (name_is_level(l->tables, name)) {
		if (value->type == YAML_MAPPING_NODE)
			load_level(l, name, value);
		else if (!is_empty(value))
			loader_fault(l, value->start_mark,
				     "'%s' is to be a map: it holds options, and has no value of its own", name);
	} else if ((reason = deepflow_reason(name))) {
		loader_warn(l, key->start_mark, "'%s' has no effect here: %s", name, reason);
	} else {
		char suggestion[CONFIG_NAME_MAX + 64];
		name_suggest(l->tables, name, suggestion, sizeof suggestion);
		loader_fault(l, key->start_mark, "there is no option '%s'%s", name, suggestion);
	}
}

/* The line of an earlier key of the same name in this map, or 0. */
static size_t find_twin(struct loader *l, const yaml_node_t *map, size_t index, const char *name)
{
	for (size_t i = 0; i < index; i++) {
		const yaml_node_t *key = yaml_document_get_node(l->document, map->data.mapping.pairs.start[i].key);
		if (key->type == YAML_SCALAR_NODE && !strcmp((const char *)key->data.scalar.value, name))
			return key->start_mark.line + 1;
	}
	return 0;
}

static void load_level(struct loader *l, const char *level, yaml_node_t *map)
{
	size_t count = (size_t)(map->data.mapping.pairs.top - map->data.mapping.pairs.start);
	if (count > CONFIG_KEYS_MAX) {
		loader_fault(l, map->start_mark, "more than %d keys on one level", CONFIG_KEYS_MAX);
		return;
	}
	for (size_t i = 0; i < count && !gives_up(l); i++) {
		const yaml_node_t *key = yaml_document_get_node(l->document, map->data.mapping.pairs.start[i].key);
		yaml_node_t *value = yaml_document_get_node(l->document, map->data.mapping.pairs.start[i].value);
		if (key->type != YAML_SCALAR_NODE ||
		    strlen((const char *)key->data.scalar.value) != key->data.scalar.length) {
			loader_fault(l, key->start_mark, "a key is to be the name of an option");
			continue;
		}
		const char *own = (const char *)key->data.scalar.value;
		size_t twin = find_twin(l, map, i, own);
		char name[CONFIG_NAME_MAX];
		if (snprintf(name, sizeof name, "%s%s%s", level, *level ? "." : "", own) >= (int)sizeof name ||
		    strchr(own, '.'))
			loader_fault(l, key->start_mark, "there is no option '%.64s' on this level", own);
		else if (twin)
			loader_fault(l, key->start_mark, "'%s' is given twice; first in line %zu", name, twin);
		else
			load_key(l, name, key, value);
	}
}

/* Where byte `offset` of the text lies: the parser gives no mark for bytes that it cannot decode. */
static yaml_mark_t mark_of(const char *text, size_t len, size_t offset)
{
	yaml_mark_t at = {0};
	for (size_t i = 0; i < offset && i < len; i++) {
		if (text[i] == '\n') {
			at.line++;
			at.column = 0;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			at.column++;
		}
	}
	return at;
}

/* Tells of what the parser found; false when it had no memory. */
static void tell_syntax(struct loader *l, const yaml_parser_t *parser, const char *text, size_t len)
{
	if (parser->error == YAML_MEMORY_ERROR) {
		l->no_memory = true;
		return;
	}
	yaml_mark_t at =
	    parser->error == YAML_READER_ERROR ? mark_of(text, len, parser->problem_offset) : parser->problem_mark;
	loader_fault(l, at, "this is not YAML: %s%s%s", parser->context ? parser->context : "",
		     parser->context ? ", " : "", parser->problem ? parser->problem : "unknown problem");
}

/* Calls `take` with the root of the one document in text, or with NULL where there is none. */
static void parse(struct loader *l, const char *text, size_t len,
		  void (*take)(struct loader *l, yaml_node_t *root, void *ctx), void *ctx)
{
	yaml_parser_t parser;
	yaml_document_t document, next;
	if (!yaml_parser_initialize(&parser)) {
		l->no_memory = true;
		return;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (!yaml_parser_load(&parser, &document)) {
		tell_syntax(l, &parser, text, len);
		goto parser;
	}
	yaml_node_t *root = yaml_document_get_root_node(&document);
	if (root) {
		if (!yaml_parser_load(&parser, &next)) {
			tell_syntax(l, &parser, text, len);
			goto document;
		}
		if (yaml_document_get_root_node(&next))
			loader_fault(l, next.start_mark, "a second document begins here; one file is one document");
		yaml_document_delete(&next);
	}
	l->document = &document;
	take(l, root, ctx);
	l->document = NULL;
document:
	yaml_document_delete(&document);
parser:
	yaml_parser_delete(&parser);
}

static void take_file(struct loader *l, yaml_node_t *root, void *ctx maybe_unused)
{
	if (!root || is_empty(root))
		return;
	if (root->type == YAML_MAPPING_NODE)
		load_level(l, "", root);
	else
		loader_fault(l, root->start_mark, "a configuration is a map from options to values");
}

int config_load_text(const struct option_table *tables, const char *name, const char *text, size_t len,
		     config_tell fault, config_tell warn, void *ctx)
{
	struct loader l = {.tables = tables, .file = name, .fault = fault, .warn = warn, .ctx = ctx};
	size_t options = 0;
	for (struct option_walk w = {.table = tables}; option_walk_next(&w);)
		options++;
	l.seen = calloc(options + 1, sizeof *l.seen);
	if (!l.seen)
		return -ENOMEM;
	parse(&l, text, len, take_file, NULL);
	free(l.seen);
	if (l.no_memory)
		return -ENOMEM;
	return l.faults > 0;
}

/* Reads all of fd. 0 or -errno with e. */
static int read_all(int fd, const char *name, struct buffer *b, struct error *e)
{
	for (;;) {
		if (buffer_reserve(b, 65536) < 0)
			return error_set(e, -ENOMEM, "%s: no memory to read it", name);
		ssize_t n = read(fd, b->at + b->len, b->cap - b->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(e, -errno, "%s: cannot be read: %s", name, strerror(errno));
		if (!n)
			return 0;
		b->len += (size_t)n;
		if (b->len > CONFIG_FILE_BYTES_MAX)
			return error_set(e, -EFBIG, "%s: is larger than 1 MiB, which no configuration is", name);
	}
}

int config_load(const struct option_table *tables, const char *path, config_tell fault, config_tell warn, void *ctx,
		struct error *e)
{
	bool standard_input = !strcmp(path, "-");
	const char *name = standard_input ? "standard input" : path;
	int fd = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_set(e, -errno, "%s: cannot be opened: %s", name, strerror(errno));
	struct buffer b = {0};
	int r = read_all(fd, name, &b, e);
	if (!standard_input)
		close(fd);
	if (r == 0) {
		r = config_load_text(tables, name, b.at, b.len, fault, warn, ctx);
		if (r < 0)
			error_set(e, r, "%s: no memory to load it", name);
	}
	buffer_free(&b);
	return r;
}

struct target {
	const struct option *option;
	void *settings;
};

static void take_value(struct loader *l, yaml_node_t *root, void *ctx)
{
	const struct target *t = ctx;
	if (root)
		value_set(l, t->option, t->settings, root);
	else
		loader_fault(l, (yaml_mark_t){0}, "'%s' has no value", t->option->name);
}

/* An empty text is an empty string or list; anything else is YAML. */
static void set_text(struct loader *l, struct target *t, const char *text)
{
	if (!*text)
		text = empty_text(t->option->type);
	parse(l, text, strlen(text), take_value, t);
}

int config_defaults(const struct option_table *tables)
{
	struct loader l = {.tables = tables};
	for (struct option_walk w = {.table = tables}; option_walk_next(&w);) {
		struct target t = {w.option, w.table->settings};
		set_text(&l, &t, w.option->initial);
		assert(!l.faults || !"the default of an option does not parse");
	}
	return l.no_memory ? -ENOMEM : 0;
}

void config_clear(const struct option_table *tables)
{
	for (struct option_walk w = {.table = tables}; option_walk_next(&w);)
		value_clear(w.option, w.table->settings);
}

/* Keeps the first of the messages. */
static void keep_first(void *ctx, const char *message)
{
	struct error *e = ctx;
	if (!e->text[0])
		error_set(e, 0, "%s", message);
}

int config_set(const struct option_table *tables, const char *assignment, struct error *e)
{
	const char *equals = strchr(assignment, '=');
	char name[CONFIG_NAME_MAX];
	if (!equals || equals == assignment || (size_t)(equals - assignment) >= sizeof name)
		return error_set(e, 1, "'%s' is not NAME=VALUE", assignment);
	memcpy(name, assignment, (size_t)(equals - assignment));
	name[equals - assignment] = 0;
	struct option_walk found;
	if (!name_find(tables, name, &found)) {
		const char *reason = deepflow_reason(name);
		char suggestion[CONFIG_NAME_MAX + 64];
		if (name_is_level(tables, name))
			return error_set(e, 1, "'%s' holds options, and has no value of its own", name);
		if (reason)
			return error_set(e, 1, "'%s' has no effect here: %s", name, reason);
		name_suggest(tables, name, suggestion, sizeof suggestion);
		return error_set(e, 1, "there is no option '%s'%s", name, suggestion);
	}
	struct error first = {.text = ""};
	struct loader l = {.tables = tables, .fault = keep_first, .warn = keep_first, .ctx = &first};
	struct target t = {found.option, found.table->settings};
	set_text(&l, &t, equals + 1);
	if (l.no_memory)
		return error_set(e, 1, "no memory to set '%s'", name);
	return first.text[0] ? error_set(e, 1, "%s", first.text) : 0;
}
