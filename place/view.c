#include "view.h"

#include "hash.h"
#include "place_internal.h"

#include <errno.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>

#define NO_OWNER UINT32_MAX

struct fact {
	int64_t since_ns, until_ns;
	uint64_t netns;
	uint32_t owner;
	bool configured;
	uint8_t mac[6];
};

/* The facts of one key, which lie together. */
struct view_run {
	struct owner_key key; /* kind 0: free */
	uint32_t first, count;
};

struct view {
	struct place *place;
	uint64_t own_netns;
	struct view_nic *nics; /* by id */
	uint32_t nic_count, owner_count, fact_count;
	uint32_t mask; /* of runs */
	struct view_owner *owners;
	struct fact *facts;
	struct view_run *runs;
	char *texts;
	size_t texts_len;
};

static struct text keep(struct view *v, const char *s)
{
	if (!s || !*s)
		return (struct text){0};
	struct text t = {v->texts + v->texts_len, (uint32_t)strlen(s)};
	memcpy(v->texts + v->texts_len, s, t.len);
	v->texts_len += t.len;
	return t;
}

static size_t text_len(const char *s)
{
	return s ? strlen(s) : 0;
}

static struct view_run *find_run(const struct view *v, const struct owner_key *key)
{
	uint64_t h = hash64(key, sizeof *key, (uintptr_t)v->runs);
	for (uint32_t at = (uint32_t)h & v->mask;; at = (at + 1) & v->mask) {
		struct view_run *r = &v->runs[at];
		if (!r->key.kind || !memcmp(&r->key, key, sizeof *key))
			return r;
	}
}

static int compare_nics(const void *a, const void *b)
{
	const struct view_nic *x = a, *y = b;
	return x->id - y->id;
}

static void make_nics(struct view *v, const struct view_source *source)
{
	for (size_t i = 0; i < source->nic_count; i++) {
		const struct nic *from = source->nics[i];
		struct view_nic *to = &v->nics[v->nic_count];
		if (!from->id)
			continue;
		v->nic_count++;
		*to = (struct view_nic){
		    .id = from->id,
		    .has_mac = from->has_mac,
		    .loopback = from->loopback,
		    .pod = from->pod,
		    .guest = !strcmp(from->kind, "tun") && from->hardware == ARPHRD_ETHER,
		    .bridge = !strcmp(from->kind, "bridge"),
		    .netns = from->netns,
		    .pod_netns = from->pod_netns,
		    .name = keep(v, from->name),
		    .netns_name = keep(v, from->netns_name),
		};
		memcpy(to->mac, from->mac, 6);
		tap_rules_nic(v->place->rules, from->name, &to->rule_name, &to->rule);
	}
	qsort(v->nics, v->nic_count, sizeof *v->nics, compare_nics);
}

static int compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* The namespaces that facts name, each once, in order; returns how many. */
static size_t list_namespaces(uint64_t *out, const struct view_source *source)
{
	size_t count = 0;
	for (size_t i = 0; i < source->fact_count; i++)
		out[i] = source->facts[i].netns;
	if (source->fact_count)
		qsort(out, source->fact_count, sizeof *out, compare_numbers);
	for (size_t i = 0; i < source->fact_count; i++)
		if (!count || out[count - 1] != out[i])
			out[count++] = out[i];
	return count;
}

static void add_configured(struct view *v)
{
	const struct place *p = v->place;
	for (size_t i = 0; i < p->entry_count; i++) {
		const struct owner_entry *entry = &p->entries[i];
		v->owners[v->owner_count] = (struct view_owner){
		    .pod = keep(v, entry->pod),
		    .pod_ns = keep(v, entry->pod_ns),
		    .workload = keep(v, entry->workload),
		    .host = keep(v, entry->host),
		    .configured = true,
		    .here = place_is_here(p, entry->host),
		    .since_ns = INT64_MIN,
		};
		for (unsigned k = 0; k < entry->key_count; k++) {
			struct view_run *r = find_run(v, &entry->keys[k]);
			*r = (struct view_run){entry->keys[k], v->fact_count, 1};
			v->facts[v->fact_count++] = (struct fact){INT64_MIN, INT64_MAX, 0, v->owner_count, true, {0}};
		}
		v->owner_count++;
	}
}

/* A namespace's owner: by configuration, where that has one of its addresses; else by the name learned last, which is
 * that of the facts that hold. */
static void name_namespaces(struct view *v, const struct view_source *source, const uint64_t *namespaces, size_t count,
			    uint32_t base)
{
	for (size_t n = 0; n < 2 * source->fact_count; n++) {
		bool holding = n < source->fact_count;
		const struct owner_fact *f = &source->facts[n % source->fact_count];
		if ((f->until_ns == INT64_MAX) != holding)
			continue;
		const uint64_t *at = bsearch(&f->netns, namespaces, count, sizeof *namespaces, compare_numbers);
		struct view_owner *o = &v->owners[base + (size_t)(at - namespaces)];
		const struct view_run *r = find_run(v, &f->key);
		o->since_ns = o->here ? min_of(o->since_ns, f->since_ns) : f->since_ns;
		o->netns = f->netns;
		o->here = true;
		o->node = f->netns == v->own_netns;
		if (o->node)
			continue;
		if (r->key.kind && v->facts[r->first].configured) {
			const struct view_owner *by = &v->owners[v->facts[r->first].owner];
			o->pod = by->pod;
			o->pod_ns = by->pod_ns;
			o->workload = by->workload;
			o->host = by->host;
		} else if (!o->pod.at) {
			o->pod = keep(v, f->name);
		}
	}
}

/* After the configured ones, so that a key's run may begin with one of those. */
static void add_learned(struct view *v, const struct view_source *source, const uint64_t *namespaces, size_t count,
			uint32_t base)
{
	for (size_t i = 0; i < source->fact_count;) {
		const struct owner_key *key = &source->facts[i].key;
		struct view_run *r = find_run(v, key);
		uint32_t first = v->fact_count;
		if (r->key.kind) /* one fact, which lies elsewhere */
			v->facts[v->fact_count++] = v->facts[r->first];
		for (; i < source->fact_count && !memcmp(&source->facts[i].key, key, sizeof *key); i++) {
			const struct owner_fact *f = &source->facts[i];
			const uint64_t *at = bsearch(&f->netns, namespaces, count, sizeof *namespaces, compare_numbers);
			struct fact *to = &v->facts[v->fact_count++];
			*to = (struct fact){f->since_ns, f->until_ns, f->netns, base + (uint32_t)(at - namespaces),
					    false,       {0}};
			memcpy(to->mac, f->mac, 6);
		}
		*r = (struct view_run){*key, first, v->fact_count - first};
	}
	v->owner_count = base + (uint32_t)count;
}

static uint32_t power_of_two(size_t least)
{
	uint32_t n = 16;
	while (n < least)
		n *= 2;
	return n;
}

int view_make(struct view **ret_view, struct place *p, const struct view_source *source)
{
	struct view *v = calloc(1, sizeof *v);
	uint64_t *namespaces = calloc(source->fact_count + 1, sizeof *namespaces);
	size_t keys = 0, texts = 1;
	for (size_t i = 0; i < p->entry_count; i++) {
		const struct owner_entry *e = &p->entries[i];
		keys += e->key_count;
		texts += text_len(e->pod) + text_len(e->pod_ns) + text_len(e->workload) + text_len(e->host);
	}
	for (size_t i = 0; i < source->nic_count; i++)
		texts += strlen(source->nics[i]->name) + strlen(source->nics[i]->netns_name);
	size_t count = namespaces ? list_namespaces(namespaces, source) : 0;
	texts += count * NETNS_NAME_MAX;
	uint32_t slots = power_of_two(2 * (keys + source->fact_count));
	if (v) {
		v->place = place_hold(p);
		v->own_netns = source->own_netns;
		v->nics = calloc(source->nic_count + 1, sizeof *v->nics);
		v->owners = calloc(p->entry_count + count + 1, sizeof *v->owners);
		v->facts = calloc(2 * keys + source->fact_count + 1, sizeof *v->facts);
		v->runs = calloc(slots, sizeof *v->runs);
		v->texts = malloc(texts);
		v->mask = slots - 1;
	}
	if (!v || !namespaces || !v->nics || !v->owners || !v->facts || !v->runs || !v->texts) {
		free(namespaces);
		view_free(v);
		return -ENOMEM;
	}
	make_nics(v, source);
	add_configured(v);
	name_namespaces(v, source, namespaces, count, v->owner_count);
	add_learned(v, source, namespaces, count, v->owner_count);
	free(namespaces);
	*ret_view = v;
	return 0;
}

struct view *view_free(struct view *v)
{
	if (v) {
		place_close(v->place);
		free(v->nics);
		free(v->owners);
		free(v->facts);
		free(v->runs);
		free(v->texts);
		free(v);
	}
	return NULL;
}

const struct place *view_place(const struct view *v)
{
	return v->place;
}

uint64_t view_own_netns(const struct view *v)
{
	return v->own_netns;
}

const struct view_nic *view_nic(const struct view *v, uint16_t id)
{
	const struct view_nic key = {.id = id};
	return id && v->nic_count ? bsearch(&key, v->nics, v->nic_count, sizeof key, compare_nics) : NULL;
}

static bool is_valid(const struct fact *f, int64_t at_ns)
{
	return f->since_ns <= at_ns && at_ns < f->until_ns;
}

const struct view_run *view_find(const struct view *v, const struct owner_key *key)
{
	const struct view_run *r = find_run(v, key);
	return r->count ? r : NULL;
}

/* Which learned facts of a run count for a time: those valid then, else those that begin next after it. */
static int64_t effective_time(const struct view *v, const struct view_run *r, int64_t at_ns)
{
	int64_t next = INT64_MAX;
	for (uint32_t i = r->first; i < r->first + r->count; i++) {
		const struct fact *f = &v->facts[i];
		if (f->configured)
			continue;
		if (is_valid(f, at_ns))
			return at_ns;
		if (f->since_ns > at_ns)
			next = min_of(next, f->since_ns);
	}
	return next;
}

const struct view_owner *view_owner(const struct view *v, const struct view_run *r, uint64_t netns, const uint8_t *mac,
				    int64_t at_ns)
{
	if (!r)
		return NULL;
	if (v->facts[r->first].configured)
		return &v->owners[v->facts[r->first].owner];
	at_ns = effective_time(v, r, at_ns);
	uint32_t one = NO_OWNER, by_mac = NO_OWNER;
	bool several = false, several_by_mac = false;
	for (uint32_t i = r->first; i < r->first + r->count; i++) {
		const struct fact *f = &v->facts[i];
		if (!is_valid(f, at_ns))
			continue;
		if (netns && f->netns == netns)
			return &v->owners[f->owner];
		several |= one != NO_OWNER && one != f->owner;
		one = f->owner;
		if (mac && !memcmp(mac, f->mac, 6)) {
			several_by_mac |= by_mac != NO_OWNER && by_mac != f->owner;
			by_mac = f->owner;
		}
	}
	if (several)
		one = several_by_mac ? NO_OWNER : by_mac;
	return one == NO_OWNER ? NULL : &v->owners[one];
}

/* Whether a fact that was learned holds, of that namespace or, with `others`, of any but that one. */
static bool has(const struct view *v, const struct view_run *r, uint64_t netns, bool others, int64_t at_ns)
{
	if (!r)
		return false;
	at_ns = effective_time(v, r, at_ns);
	for (uint32_t i = r->first; i < r->first + r->count; i++) {
		const struct fact *f = &v->facts[i];
		if (!f->configured && (f->netns == netns) != others && is_valid(f, at_ns))
			return true;
	}
	return false;
}

bool view_netns_has(const struct view *v, const struct view_run *run, uint64_t netns, int64_t at_ns)
{
	return has(v, run, netns, false, at_ns);
}

bool view_pod_has(const struct view *v, const struct view_run *run, int64_t at_ns)
{
	return has(v, run, v->own_netns, true, at_ns);
}
