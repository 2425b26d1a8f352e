/* pattern.h - a regular expression on a name (PCRE2), bounded in time and memory.
 *
 * Searches anywhere in the name, as DeepFlow's options do: "eth0" is found in "veth01"; ^ and $ anchor. Not
 * thread-safe: a pattern has room for one match. */
#ifndef TS_PLACE_PATTERN_H
#define TS_PLACE_PATTERN_H

#include "error.h"

struct pattern;

/* 0; -EINVAL with e, which says what is wrong and at which character; -ENOMEM with e. */
int pattern_compile(struct pattern **ret_pattern, const char *text, struct error *e);
/* 1: found; 0: not; -E2BIG: given up, looking for it takes too many steps; -ENOMEM. */
int pattern_find(struct pattern *p, const char *name);
struct pattern *pattern_free(struct pattern *p);

#endif
