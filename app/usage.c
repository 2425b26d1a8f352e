#include "usage.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct usage usage_start(int argc, char **argv, const struct usage_option *options)
{
	return (struct usage){.command = argv[0], .argc = argc, .at = 1, .argv = argv, .options = options};
}

int usage_fault(const char *command, const char *fmt, ...)
{
	va_list ap;
	fprintf(stderr, "tapscope %s: ", command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nTry 'tapscope %s --help'.\n", command);
	return EXIT_USAGE;
}

/* Edits (a letter changed, added, dropped, or two exchanged) that make b of a. */
static unsigned distance(const char *a, const char *b)
{
	enum { LONGEST = 63 };
	size_t n = strlen(a), m = strlen(b);
	unsigned row[3][LONGEST + 1];
	if (n > LONGEST || m > LONGEST)
		return UINT32_MAX;
	for (unsigned i = 0; i <= n; i++) {
		unsigned *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
		now[0] = i;
		for (unsigned j = 1; j <= m; j++) {
			if (i == 0) {
				now[j] = j;
				continue;
			}
			unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
			best = min_of(best, min_of(last[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = min_of(best, before[j - 2] + 1);
			now[j] = best;
		}
	}
	return row[n % 3][m];
}

const char *usage_nearest(const char *wanted, const char *const *names)
{
	const char *nearest = NULL;
	unsigned least = (unsigned)strlen(wanted) / 3 + 2;
	for (; *names; names++) {
		/* the beginning of a name is as good as a misspelling by one */
		unsigned d =
		    strlen(wanted) >= 2 && !strncmp(*names, wanted, strlen(wanted)) ? 1 : distance(wanted, *names);
		if (d < least) {
			least = d;
			nearest = *names;
		}
	}
	return nearest;
}

static int fault(struct usage *u, const char *what, const char *argument, int len)
{
	char text[64];
	snprintf(text, sizeof text, "%.*s", len, argument);
	const char *names[64] = {NULL}, *nearest = NULL;
	for (unsigned i = 0, n = 0; u->options[i].code && n < array_size(names) - 1; i++)
		if (u->options[i].name)
			names[n++] = u->options[i].name;
	if (!strncmp(text, "--", 2))
		nearest = usage_nearest(text + 2, names);
	usage_fault(u->command, nearest ? "%s '%s'; did you mean '--%s'?" : "%s '%s'", what, text, nearest);
	return USAGE_FAULT;
}

static int take_value(struct usage *u, const struct usage_option *o, const char *attached, const char *argument)
{
	if (attached)
		u->value = attached;
	else if (u->at < u->argc)
		u->value = u->argv[u->at++];
	else {
		usage_fault(u->command, "'%s' needs a value", argument);
		return USAGE_FAULT;
	}
	return o->code;
}

static int next_letter(struct usage *u)
{
	const char argument[3] = {'-', *u->letters++, 0};
	const struct usage_option *o = u->options;
	while (o->code && o->code != (unsigned char)argument[1])
		o++;
	if (!o->code)
		return fault(u, "no such option", argument, 2);
	if (!o->has_value)
		return o->code;
	const char *attached = *u->letters ? u->letters : NULL;
	u->letters = NULL;
	return take_value(u, o, attached, argument);
}

static int next_name(struct usage *u, const char *argument)
{
	const char *equals = strchr(argument, '=');
	size_t len = equals ? (size_t)(equals - argument) : strlen(argument);
	const struct usage_option *o = u->options;
	while (o->code && (!o->name || strlen(o->name) != len - 2 || strncmp(o->name, argument + 2, len - 2)))
		o++;
	if (!o->code)
		return fault(u, "no such option", argument, (int)len);
	if (o->has_value)
		return take_value(u, o, equals ? equals + 1 : NULL, argument);
	if (equals)
		return fault(u, "no value is wanted after", argument, (int)len);
	return o->code;
}

int usage_next(struct usage *u)
{
	u->value = NULL;
	if (u->letters && *u->letters)
		return next_letter(u);
	if (u->at >= u->argc)
		return USAGE_END;
	const char *argument = u->argv[u->at++];
	if (u->operands_only || argument[0] != '-' || !argument[1]) {
		u->value = argument;
		return USAGE_OPERAND;
	}
	if (!strcmp(argument, "--")) {
		u->operands_only = true;
		return usage_next(u);
	}
	if (argument[1] == '-')
		return next_name(u, argument);
	u->letters = argument + 1;
	return next_letter(u);
}

bool usage_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	char *end;
	errno = 0;
	unsigned long long v = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno || v < min || v > max)
		return false;
	*ret_value = v;
	return true;
}

void usage_die_of_pipe(void)
{
	signal(SIGPIPE, SIG_DFL);
	raise(SIGPIPE);
}
