/* internal.h - what the files of this room share. */
#ifndef TS_CONFIG_INTERNAL_H
#define TS_CONFIG_INTERNAL_H

#include "config.h"

#include <yaml.h>

/* Bounds of a file; more is no configuration but an accident. */
#define CONFIG_FILE_BYTES_MAX (1 << 20)
#define CONFIG_FAULTS_MAX 50 /* told of one file; the reading ends there */
#define CONFIG_KEYS_MAX 1000 /* on one level */
#define CONFIG_LIST_MAX 4096 /* items of one list */
#define CONFIG_NAME_MAX 256  /* bytes of a whole option name */

/* A reading that goes on. */
struct loader {
	const struct option_table *tables;
	const char *file; /* stands in messages; NULL: messages have no position */
	config_tell fault, warn;
	void *ctx;
	unsigned faults;
	bool no_memory;
	yaml_document_t *document;
	uint32_t *seen; /* for each option, counted over all tables: the line that set it, 0 for none; or NULL */
};

/* Tells of something at a place of the file. */
void loader_fault(struct loader *l, yaml_mark_t at, const char *fmt, ...) print_format(3, 4);
void loader_warn(struct loader *l, yaml_mark_t at, const char *fmt, ...) print_format(3, 4);

/* Sets an option from a YAML node. What is wrong is told; what was set before then stays. */
void value_set(struct loader *l, const struct option *o, void *settings, yaml_node_t *node);
/* Frees what an option owns and makes it empty. */
void value_clear(const struct option *o, void *settings);
/* How nothing is written in YAML for an option of that type. */
const char *empty_text(enum option_type type);

/* Prints a duration or a number of bytes so that it is read again as the same. */
int print_duration(struct buffer *b, uint64_t ns);
int print_bytes(struct buffer *b, uint64_t bytes);
/* What values an option takes: "1 to 64", "one of a, b"; empty for any. */
int print_range(struct buffer *b, const struct option *o);

/* Goes through the options of all tables in order. */
struct option_walk {
	const struct option_table *table;
	const struct option *option;
	size_t index; /* counted over all tables */
};
/* Starts with a walk that is zero but for `table`; false at the end. */
bool option_walk_next(struct option_walk *w);

/* The option of that full name (or other spelling). */
bool name_find(const struct option_table *tables, const char *name, struct option_walk *ret_found);
/* Whether options lie below the level of that name. */
bool name_is_level(const struct option_table *tables, const char *name);
/* The option that was probably meant by `name`, as text for a message: "; did you mean 'x'?" or how to find it. */
void name_suggest(const struct option_table *tables, const char *name, char *out, size_t room);
/* Edit distance; case does not count and '-' is '_'. */
unsigned name_distance(const char *a, size_t a_len, const char *b, size_t b_len);

/* Options of the DeepFlow agent that do nothing here. */
struct deepflow_option {
	const char *name;   /* as struct option's */
	const char *reason; /* completes "has no effect here: …" */
};
extern const struct deepflow_option deepflow_options[]; /* ends with a NULL name */
/* The reason why `name`, or a level above it, has no effect here; NULL where DeepFlow has no such option. */
const char *deepflow_reason(const char *name);
/* The same for an item of a list that DeepFlow knows and this program does not. */
const char *deepflow_item_reason(const char *name, const char *item);

#endif
