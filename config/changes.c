/* Which options differ between two sets of settings. */
#include "config.h"
#include "internal.h"

static bool same_text(const char *a, const char *b)
{
	return a == b || !strcmp(a ? a : "", b ? b : "");
}

static bool same(const struct option *o, const void *a, const void *b)
{
	const char *p = (const char *)a + o->offset, *q = (const char *)b + o->offset;
	switch (o->type) {
	case OPTION_BOOL:
		return *(const bool *)p == *(const bool *)q;
	case OPTION_ENUM:
		return *(const unsigned *)(const void *)p == *(const unsigned *)(const void *)q;
	case OPTION_UINT:
	case OPTION_DURATION:
	case OPTION_BYTES:
	case OPTION_SET:
		return !memcmp(p, q, sizeof(uint64_t));
	case OPTION_STRING:
		return same_text(*(char *const *)(const void *)p, *(char *const *)(const void *)q);
	case OPTION_STRINGS: {
		const struct option_list *l = (const void *)p, *m = (const void *)q;
		bool equal = l->count == m->count;
		for (size_t i = 0; i < l->count && equal; i++)
			equal = same_text(l->item[i], m->item[i]);
		return equal;
	}
	case OPTION_PORTS: {
		const struct option_map *l = (const void *)p, *m = (const void *)q;
		bool equal = l->count == m->count;
		for (size_t i = 0; i < l->count && equal; i++)
			equal = same_text(l->item[i].name, m->item[i].name) &&
				same_text(l->item[i].value, m->item[i].value);
		return equal;
	}
	}
	return false;
}

void config_changes(const struct option_table *a, const struct option_table *b,
		    void (*tell)(void *ctx, const struct option *o), void *ctx)
{
	for (; a->room; a++, b++)
		for (const struct option *o = a->options; o->name; o++)
			if (!same(o, a->settings, b->settings))
				tell(ctx, o);
}
