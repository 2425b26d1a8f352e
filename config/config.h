/* config.h - one YAML file into the settings of all rooms.
 *
 * Loads, checks and prints from the rooms' option tables (base/option.h) and from nothing else. What is wrong is
 * refused with file, line, column and the mend: an unknown key (with the nearest right name), a wrong type, a value out
 * of range, a key given twice. A file written for the DeepFlow agent loads: an option of DeepFlow's that has no meaning
 * here is named in a warning with the reason. Nothing here prints. Not thread-safe; settings are plain data afterwards.
 */
#ifndef TS_CONFIG_CONFIG_H
#define TS_CONFIG_CONFIG_H

#include "error.h"
#include "option.h"

/* One sentence for a person: "FILE:LINE:COLUMN: …". */
typedef void (*config_tell)(void *ctx, const char *message);

/* Sets every option to its default; the settings are zero bytes or have been set before. 0 or -ENOMEM. (A default that
 * does not parse is a bug, and asserted.) */
int config_defaults(const struct option_table *tables);
/* Frees strings and lists of the settings. */
void config_clear(const struct option_table *tables);

/* Loads `path` ("-": standard input) over what is set. 0; 1: the file is wrong: every fault has been told to `fault`
 * (the settings are then not to be used); -errno with e: it cannot be read. Either function may be NULL. */
int config_load(const struct option_table *tables, const char *path, config_tell fault, config_tell warn, void *ctx,
		struct error *e);
/* As a file of that content; name stands in messages. 0, 1 or -ENOMEM. */
int config_load_text(const struct option_table *tables, const char *name, const char *text, size_t len,
		     config_tell fault, config_tell warn, void *ctx);
/* One option from the command line: NAME=VALUE, VALUE as in YAML. 0, or 1 with e. */
int config_set(const struct option_table *tables, const char *assignment, struct error *e);

/* The whole file with every option, its default, unit, range, choices and meaning as comments: loads again to the same.
 */
int config_example(const struct option_table *tables, struct buffer *out);
/* Tells each option whose value differs; both arrays have the same tables, with settings of their own. */
void config_changes(const struct option_table *a, const struct option_table *b,
		    void (*tell)(void *ctx, const struct option *o), void *ctx);

/* What is in force, as YAML. */
int config_show(const struct option_table *tables, struct buffer *out);

#endif
