/* dissect_check.c - the ways in which dissect_harness.h runs a script, and what must hold of them. */
#include "dissect_harness.h"

#include <stdio.h>
#include <stdlib.h>

enum { COARSE_PLACES = 48, PIECE_RANDOM = 40 };

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A step's bytes [from, to), in the pieces that the cut asks for. */
static void run_bytes(struct harness *h, const struct step *s, size_t from, size_t to, const struct harness_cut *cut,
		      uint64_t *random)
{
	while (from < to) {
		size_t n = to - from;
		if (cut->random)
			n = min_of(n, 1 + next_random(random) % cut->piece_max);
		else if (cut->piece_max)
			n = min_of(n, cut->piece_max);
		harness_data(h, s->side, (const uint8_t *)s->data + from, n);
		from += n;
	}
}

static void run_step(struct harness *h, const struct step *s, size_t index, const struct harness_cut *cut,
		     uint64_t *random)
{
	size_t end = cut->stop_at != SIZE_MAX && cut->stop_step == index ? min_of(cut->stop_at, s->len) : s->len;
	if (cut->gap_len && cut->gap_step == index) {
		size_t gap_end = min_of(cut->gap_at + cut->gap_len, end);
		run_bytes(h, s, 0, cut->gap_at, cut, random);
		harness_gap(h, s->side, gap_end - cut->gap_at);
		run_bytes(h, s, gap_end, end, cut, random);
	} else if (cut->split_at && cut->split_step == index) {
		run_bytes(h, s, 0, cut->split_at, cut, random);
		run_bytes(h, s, cut->split_at, end, cut, random);
	} else {
		run_bytes(h, s, 0, end, cut, random);
	}
}

const char *harness_run(const struct script *script, const struct harness_cut *cut)
{
	static struct buffer lines;
	struct harness *h = harness_new(script->dissector, &script->settings, script->midstream);
	uint64_t random = cut->random * UINT64_C(0x9e3779b97f4a7c15) | 1;
	bool stopped = false;
	for (size_t i = 0; i < SCRIPT_STEPS && script->steps[i].kind != STEP_END && !stopped; i++) {
		const struct step *s = &script->steps[i];
		stopped = cut->stop_at != SIZE_MAX && cut->stop_step == i;
		if (s->kind == STEP_DATA)
			run_step(h, s, i, cut, &random);
		else if (s->kind == STEP_GAP)
			harness_gap(h, s->side, s->len);
		else
			harness_close(h, s->side);
	}
	if (stopped) {
		harness_close(h, SIDE_CLIENT);
		harness_close(h, SIDE_SERVER);
	}
	lines.len = 0;
	harness_print(h, cut->halves, &lines);
	buffer_put(&lines, "", 1);
	harness_free(h);
	return lines.at;
}

static bool differs(const struct script *script, const char *how, const char *expected, const char *got)
{
	size_t line = 1;
	if (!strcmp(expected, got))
		return false;
	const char *e = expected, *g = got;
	for (;; line++) {
		size_t el = strcspn(e, "\n"), gl = strcspn(g, "\n");
		if (el != gl || memcmp(e, g, el)) {
			fprintf(stderr, "%s: %s: line %zu\n  expected: %.*s\n  got:      %.*s\n", script->name, how,
				line, (int)el, e, (int)gl, g);
			return true;
		}
		if (!e[el] || !g[gl]) {
			fprintf(stderr, "%s: %s: more lines on one side\n  expected: %s\n  got:      %s\n",
				script->name, how, e + el, g + gl);
			return true;
		}
		e += el + 1;
		g += gl + 1;
	}
}

/* The positions of a step that are tried: all, or where it is large some, the ends among them. */
static size_t stride_of(const struct script *script, const struct step *s)
{
	return script->coarse ? s->len / COARSE_PLACES + 1 : 1;
}

#define for_each_place(script, step_index, place)                                                                      \
	for (size_t step_index = 0; step_index < SCRIPT_STEPS && (script)->steps[step_index].kind; step_index++)       \
		for (size_t place = 1;                                                                                 \
		     (script)->steps[step_index].kind == STEP_DATA && place < (script)->steps[step_index].len;         \
		     place += stride_of(script, &(script)->steps[step_index]))

static bool check_splits(const struct script *script, const char *whole)
{
	char how[80];
	for_each_place(script, i, at)
	{
		struct harness_cut cut = HARNESS_WHOLE;
		cut.split_step = i;
		cut.split_at = at;
		snprintf(how, sizeof how, "step %zu split at %zu", i, at);
		if (differs(script, how, whole, harness_run(script, &cut)))
			return false;
	}
	for (size_t piece = 1; piece <= 5; piece++) {
		struct harness_cut cut = HARNESS_WHOLE;
		cut.piece_max = piece == 1 && script->coarse ? 97 : piece;
		snprintf(how, sizeof how, "pieces of %zu", cut.piece_max);
		if (differs(script, how, whole, harness_run(script, &cut)))
			return false;
	}
	for (size_t seed = 1; seed <= 20; seed++) {
		struct harness_cut cut = HARNESS_WHOLE;
		cut.random = seed;
		cut.piece_max = script->coarse ? 100 * PIECE_RANDOM : PIECE_RANDOM;
		snprintf(how, sizeof how, "random pieces, seed %zu", seed);
		if (differs(script, how, whole, harness_run(script, &cut)))
			return false;
	}
	return true;
}

/* Whether `line` (of n bytes) stands in `lines`, as one of them or, with prefix, as the beginning of one. */
static bool has_line(const char *lines, const char *line, size_t n, bool prefix)
{
	for (; *lines; lines += strcspn(lines, "\n") + 1) {
		size_t len = strcspn(lines, "\n");
		if ((prefix ? len >= n : len == n) && !memcmp(lines, line, n))
			return true;
	}
	return false;
}

/* Each message of `got` that was not cut is in `whole`; of those with only_begins, that one begins there. */
static bool check_among(const struct script *script, const char *how, const char *whole, const char *got,
			bool only_begins)
{
	for (const char *line = got; *line; line += strcspn(line, "\n") + 1) {
		size_t len = strcspn(line, "\n");
		bool cut = line[len - 1] == '~';
		size_t n = only_begins || cut ? strcspn(line, "-") + 1 : len;
		if (cut && !only_begins)
			continue;
		if (!has_line(whole, line, n, n < len)) {
			fprintf(stderr, "%s: %s: a message that is not in the whole: %.*s\nwhich has:\n%s",
				script->name, how, (int)len, line, whole);
			return false;
		}
	}
	return true;
}

static bool check_cuts(const struct script *script, const char *halves)
{
	char how[80];
	for_each_place(script, i, at)
	{
		struct harness_cut cut = HARNESS_WHOLE;
		cut.halves = true;
		cut.stop_step = i;
		cut.stop_at = at;
		snprintf(how, sizeof how, "step %zu cut off at %zu", i, at);
		if (!check_among(script, how, halves, harness_run(script, &cut), true))
			return false;
	}
	return true;
}

static bool check_gaps(const struct script *script, const char *halves)
{
	static const size_t lengths[] = {1, 2, 3, 7, 20, 61, 200, 5000, SIZE_MAX / 2};
	char how[80];
	for_each_place(script, i, place)
	{
		for (unsigned k = 0; k < array_size(lengths); k++) {
			struct harness_cut cut = HARNESS_WHOLE;
			cut.halves = true;
			cut.gap_step = i;
			cut.gap_at = place - 1;
			cut.gap_len = lengths[k];
			snprintf(how, sizeof how, "step %zu gap at %zu of %zu", i, cut.gap_at, cut.gap_len);
			const char *got = harness_run(script, &cut);
			if (!script->no_gaps && !check_among(script, how, halves, got, false))
				return false;
			cut.piece_max = script->coarse ? 0 : 1;
			got = harness_run(script, &cut);
			if (!script->no_gaps && !check_among(script, how, halves, got, false))
				return false;
		}
	}
	return true;
}

static bool check_script(const struct script *script)
{
	struct harness_cut cut = HARNESS_WHOLE;
	char *whole = strdup(harness_run(script, &cut));
	cut.halves = true;
	char *halves = strdup(harness_run(script, &cut));
	bool good = whole && halves;
	good = good && !differs(script, "whole", script->expected, whole);
	good = good && check_splits(script, whole) && check_cuts(script, halves) && check_gaps(script, halves);
	free(whole);
	free(halves);
	return good;
}

bool harness_check(const struct script *scripts, size_t count)
{
	bool good = true;
	for (size_t i = 0; i < count; i++)
		good &= check_script(&scripts[i]);
	return good;
}
