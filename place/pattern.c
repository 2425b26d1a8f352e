#include "pattern.h"

#include <errno.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define STEPS_MAX 100000 /* of one search; a name has 15 to 255 characters */
#define DEPTH_MAX 1000
#define HEAP_KIB_MAX 1024
#define TEXT_MAX 65535 /* as DeepFlow has it */

struct pattern {
	pcre2_code *code;
	pcre2_match_data *match;
	pcre2_match_context *limits;
};

int pattern_compile(struct pattern **ret_pattern, const char *text, struct error *e)
{
	size_t len = strlen(text);
	if (len > TEXT_MAX)
		return error_set(e, -EINVAL, "the pattern is longer than %d bytes", TEXT_MAX);
	int code;
	PCRE2_SIZE at;
	pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)text, len, PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
	if (!compiled) {
		PCRE2_UCHAR why[128];
		pcre2_get_error_message(code, why, sizeof why);
		return error_set(e, -EINVAL, "the pattern '%.80s%s' does not compile: %s, at character %zu", text,
				 len > 80 ? "…" : "", (char *)why, (size_t)at + 1);
	}
	struct pattern *p = calloc(1, sizeof *p);
	if (p) {
		p->code = compiled;
		p->match = pcre2_match_data_create(1, NULL);
		p->limits = pcre2_match_context_create(NULL);
	}
	if (!p || !p->match || !p->limits) {
		if (!p)
			pcre2_code_free(compiled);
		pattern_free(p);
		return error_set(e, -ENOMEM, "no memory for a pattern");
	}
	pcre2_set_match_limit(p->limits, STEPS_MAX);
	pcre2_set_depth_limit(p->limits, DEPTH_MAX);
	pcre2_set_heap_limit(p->limits, HEAP_KIB_MAX);
	*ret_pattern = p;
	return 0;
}

int pattern_find(struct pattern *p, const char *name)
{
	int r = pcre2_match(p->code, (PCRE2_SPTR)name, strlen(name), 0, 0, p->match, p->limits);
	if (r >= 0)
		return 1;
	if (r == PCRE2_ERROR_NOMATCH)
		return 0;
	return r == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -E2BIG;
}

struct pattern *pattern_free(struct pattern *p)
{
	if (p) {
		pcre2_match_context_free(p->limits);
		pcre2_match_data_free(p->match);
		pcre2_code_free(p->code);
		free(p);
	}
	return NULL;
}
