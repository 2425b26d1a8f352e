/* usage.h - command lines: the options of a command, read one by one, and what to say about a wrong one.
 *
 * -x VALUE, -xVALUE, --name VALUE, --name=VALUE, flags together (-ab); options and operands in any order; "--" ends the
 * options; "-" is an operand. */
#ifndef TS_APP_USAGE_H
#define TS_APP_USAGE_H

#include "def.h"

/* Exit statuses, as commands.h tells them. */
enum { EXIT_DONE = 0, EXIT_DIFFERENT = 1, EXIT_USAGE = 2, EXIT_INPUT = 3 };

struct usage_option {
	int code;         /* what usage_next() returns: the letter, or a number above 255 where there is none */
	const char *name; /* without the dashes; NULL where there is only the letter */
	bool has_value;
};

struct usage {
	const char *command; /* for messages: "replay" */
	int argc, at;
	char **argv;
	const struct usage_option *options; /* ends with code 0 */
	const char *letters;                /* rest of an argument like -ab */
	bool operands_only;
	const char *value; /* of the option or operand just returned */
};

enum { USAGE_END = 0, USAGE_OPERAND = 1, USAGE_FAULT = 2 };

/* argv[0] is the command's name. */
struct usage usage_start(int argc, char **argv, const struct usage_option *options);
/* The next option's code, or one of the above. A fault has been told on stderr, with the nearest name. */
int usage_next(struct usage *u);

/* The name nearest to `wanted`, or NULL where none is near. names ends with NULL. */
const char *usage_nearest(const char *wanted, const char *const *names);
/* Tells a fault of this command on stderr, with where to find help; returns EXIT_USAGE. */
int usage_fault(const char *command, const char *fmt, ...) print_format(2, 3);
/* A decimal number from min to max; false where it is none. */
bool usage_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value);

/* Whoever read our standard output went away: ends as a program does that never looked. The shell knows what that
 * means. */
void usage_die_of_pipe(void);

#endif
