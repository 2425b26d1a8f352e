/* Finds options by name, and the one that was meant. */
#include "internal.h"

#include <ctype.h>
#include <stdio.h>

bool option_walk_next(struct option_walk *w)
{
	if (w->option) {
		w->option++;
		w->index++;
	} else if (w->table->room) {
		w->option = w->table->options;
	}
	while (w->table->room && !w->option->name) {
		w->table++;
		w->option = w->table->options;
	}
	return w->table->room;
}

bool name_find(const struct option_table *tables, const char *name, struct option_walk *ret_found)
{
	struct option_walk w = {.table = tables};
	while (option_walk_next(&w)) {
		if (!strcmp(w.option->name, name) || (w.option->also && !strcmp(w.option->also, name))) {
			*ret_found = w;
			return true;
		}
	}
	return false;
}

static bool is_below(const char *name, const char *level, size_t level_len)
{
	return name && !strncmp(name, level, level_len) && name[level_len] == '.';
}

bool name_is_level(const struct option_table *tables, const char *name)
{
	size_t len = strlen(name);
	struct option_walk w = {.table = tables};
	while (option_walk_next(&w))
		if (is_below(w.option->name, name, len) || is_below(w.option->also, name, len))
			return true;
	return false;
}

static char fold(char c)
{
	return c == '-' ? '_' : (char)tolower((unsigned char)c);
}

unsigned name_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned row[CONFIG_NAME_MAX];
	if (a_len >= CONFIG_NAME_MAX || b_len >= CONFIG_NAME_MAX)
		return CONFIG_NAME_MAX;
	for (unsigned j = 0; j <= b_len; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a_len; i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= b_len; j++) {
			unsigned replaced = diagonal + (fold(a[i - 1]) != fold(b[j - 1]));
			diagonal = row[j];
			row[j] = min_of(replaced, min_of(row[j], row[j - 1]) + 1);
		}
	}
	return row[b_len];
}

static const char *last_part(const char *name)
{
	const char *dot = strrchr(name, '.');
	return dot ? dot + 1 : name;
}

struct nearest {
	const char *wanted;
	char best[CONFIG_NAME_MAX];
	unsigned score;
};

/* A name on the same level is nearer than one of the same spelling on another. */
static void consider(struct nearest *n, const char *candidate)
{
	if (!candidate)
		return;
	const char *want = last_part(n->wanted), *have = last_part(candidate);
	unsigned distance = name_distance(want, strlen(want), have, strlen(have));
	size_t level = (size_t)(want - n->wanted);
	bool elsewhere = level != (size_t)(have - candidate) || strncmp(n->wanted, candidate, level);
	if (distance > strlen(want) / 3 || (elsewhere && distance > 1))
		return;
	unsigned score = 2 * distance + elsewhere;
	if (score < n->score) {
		n->score = score;
		snprintf(n->best, sizeof n->best, "%s", candidate);
	}
}

void name_suggest(const struct option_table *tables, const char *name, char *out, size_t room)
{
	struct nearest n = {.wanted = name, .score = UINT32_MAX};
	struct option_walk w = {.table = tables};
	while (option_walk_next(&w)) {
		consider(&n, w.option->name);
		consider(&n, w.option->also);
		/* a level above an option can be misspelled as well */
		char level[CONFIG_NAME_MAX];
		snprintf(level, sizeof level, "%s", w.option->name);
		for (char *dot; (dot = strrchr(level, '.'));) {
			*dot = 0;
			consider(&n, level);
		}
	}
	for (const struct deepflow_option *d = deepflow_options; d->name; d++)
		consider(&n, d->name);
	if (n.score != UINT32_MAX)
		snprintf(out, room, "; did you mean '%s'?", n.best);
	else
		snprintf(out, room, "; 'tapscope config example' lists all options");
}
