#include "owner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct owner_key owner_key_mac(const uint8_t mac[6])
{
	struct owner_key k = {.kind = OWNER_MAC};
	memcpy(k.at, mac, 6);
	return k;
}

struct owner_key owner_key_ip(const struct ip_address *ip)
{
	struct owner_key k = {.kind = ip->version};
	memcpy(k.at, ip->at, ip->version == 4 ? 4 : 16);
	return k;
}

bool owner_key_is_common(const struct owner_key *k)
{
	static const struct owner_key zero;
	static const uint8_t loopback[16] = {[15] = 1};
	if (!memcmp(k->at, zero.at, sizeof k->at))
		return true;
	switch (k->kind) {
	case OWNER_MAC:
		return k->at[0] & 1;
	case 4:
		return k->at[0] == 127 || k->at[0] >= 224;
	default:
		return k->at[0] == 0xff || !memcmp(k->at, loopback, 16);
	}
}

void owner_key_print(const struct owner_key *k, char out[OWNER_KEY_TEXT_MAX])
{
	const uint8_t *m = k->at;
	if (k->kind == OWNER_MAC)
		snprintf(out, OWNER_KEY_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	else
		inet_ntop(k->kind == 4 ? AF_INET : AF_INET6, m, out, OWNER_KEY_TEXT_MAX);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* "02:00:00:00:00:01" or "02-00-00-00-00-01"; false where it is none. */
static bool parse_mac(const char *s, uint8_t mac[6])
{
	char separator = strchr(s, '-') ? '-' : ':';
	for (unsigned i = 0; i < 6; i++, s += 3) {
		unsigned value = 0;
		for (unsigned j = 0; j < 2; j++) {
			char c = s[j];
			if (c >= '0' && c <= '9')
				value = value * 16 + (unsigned)(c - '0');
			else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
				value = value * 16 + (unsigned)((c | 0x20) - 'a') + 10;
			else
				return false;
		}
		if (s[2] != (i < 5 ? separator : 0))
			return false;
		mac[i] = (uint8_t)value;
	}
	return true;
}

static int parse_key(struct owner_key *ret_key, const char *s, size_t len, struct error *e)
{
	char text[OWNER_KEY_TEXT_MAX];
	struct owner_key k = {0};
	if (len && len < sizeof text) {
		memcpy(text, s, len);
		text[len] = 0;
		if (inet_pton(AF_INET, text, k.at) == 1)
			k.kind = 4;
		else if (inet_pton(AF_INET6, text, k.at) == 1)
			k.kind = 6;
		else if (parse_mac(text, k.at))
			k.kind = OWNER_MAC;
	}
	if (!k.kind)
		return error_set(e, -EINVAL, "'%.*s' is no MAC, IPv4 or IPv6 address", (int)min_of(len, (size_t)48), s);
	if (owner_key_is_common(&k))
		return error_set(e, -EINVAL, "'%.*s' is nobody's own address", (int)len, s);
	*ret_key = k;
	return 0;
}

static int parse_keys(struct owner_entry *entry, char *s, struct error *e)
{
	for (bool more = true; more;) {
		char *end = s + strcspn(s, ",");
		more = *end == ',';
		char *next = end + more;
		while (is_blank(*s))
			s++;
		while (end > s && is_blank(end[-1]))
			end--;
		if (entry->key_count == OWNER_KEYS_MAX)
			return error_set(e, -EINVAL, "more than %d addresses in one entry", OWNER_KEYS_MAX);
		int r = parse_key(&entry->keys[entry->key_count], s, (size_t)(end - s), e);
		if (r < 0)
			return r;
		entry->key_count++;
		s = next;
	}
	return 0;
}

/* Cuts the next word off, which ends at a blank. */
static char *cut_word(char **s)
{
	while (is_blank(**s))
		(*s)++;
	char *word = *s;
	while (**s && !is_blank(**s))
		(*s)++;
	if (**s)
		*(*s)++ = 0;
	return word;
}

/* What stands behind '='. */
static int parse_name(struct owner_entry *entry, char *s, struct error *e)
{
	entry->pod = cut_word(&s);
	char *slash = strchr(entry->pod, '/');
	if (slash) {
		*slash = 0;
		entry->pod_ns = entry->pod;
		entry->pod = slash + 1;
	}
	if (!*entry->pod || (slash && !*entry->pod_ns) || strpbrk(entry->pod, "/()@="))
		return error_set(e, -EINVAL, "behind '=' a name is expected: NAME or NAMESPACE/NAME");
	while (is_blank(*s))
		s++;
	if (*s == '(') {
		char *end = strchr(s, ')');
		if (!end || end == s + 1)
			return error_set(e, -EINVAL, "behind '(' a workload and ')' are expected");
		entry->workload = s + 1;
		*end = 0;
		s = end + 1;
	}
	char *word = cut_word(&s);
	if (*word == '@' && word[1]) {
		entry->host = word + 1;
		word = cut_word(&s);
	}
	if (*word)
		return error_set(e, -EINVAL,
				 "'%s' is not expected behind the name: KEY = [NAMESPACE/]NAME [(WORKLOAD)] [@HOST]",
				 word);
	return 0;
}

int owner_entry_parse(struct owner_entry *ret_entry, const char *text, struct error *e)
{
	struct owner_entry entry = {0};
	struct error why = {.text = ""};
	const char *equals = strchr(text, '=');
	if (!equals)
		return error_set(e, -EINVAL, "in '%.200s' the '=' is missing: KEY = [NAMESPACE/]NAME", text);
	/* The texts lie behind the keys; the part before '=' is needed while it is read only. */
	size_t room = OWNER_KEYS_MAX * sizeof *entry.keys, len = strlen(text) + 1;
	char *memory = calloc(1, room + len);
	if (!memory)
		return error_set(e, -ENOMEM, "no memory for an owner");
	entry.keys = (struct owner_key *)(void *)memory;
	char *copy = memory + room;
	memcpy(copy, text, len);
	copy[equals - text] = 0;
	int r = parse_keys(&entry, copy, &why);
	if (r == 0)
		r = parse_name(&entry, copy + (equals - text) + 1, &why);
	if (r < 0) {
		owner_entry_clear(&entry);
		return error_set(e, r, "in '%.200s': %s", text, why.text);
	}
	*ret_entry = entry;
	return 0;
}

void owner_entry_clear(struct owner_entry *entry)
{
	free(entry->keys);
	*entry = (struct owner_entry){0};
}

int owners_say(struct owners *o, const struct owner_key *key, uint64_t netns, const uint8_t mac[6], const char *name)
{
	if (owner_key_is_common(key))
		return 0;
	if (o->said_count == OWNER_FACTS_MAX) {
		o->left_out++;
		return 0;
	}
	if (o->said_count == o->said_room) {
		size_t room = max_of(o->said_room * 2, (size_t)64);
		struct owner_fact *said = realloc(o->said, room * sizeof *said);
		if (!said)
			return -ENOMEM;
		o->said = said;
		o->said_room = room;
	}
	struct owner_fact *f = &o->said[o->said_count++];
	*f = (struct owner_fact){.key = *key, .netns = netns, .until_ns = INT64_MAX};
	memcpy(f->mac, mac, 6);
	snprintf(f->name, sizeof f->name, "%s", name);
	return 0;
}

static int compare_owned(const struct owner_fact *a, const struct owner_fact *b)
{
	int r = memcmp(&a->key, &b->key, sizeof a->key);
	return r ? r : (a->netns > b->netns) - (a->netns < b->netns);
}

static int compare_facts(const void *a, const void *b)
{
	const struct owner_fact *x = a, *y = b;
	int r = compare_owned(x, y);
	return r ? r : (x->since_ns > y->since_ns) - (x->since_ns < y->since_ns);
}

static size_t ended_since(const struct owners *o, int64_t since_ns)
{
	size_t count = 0;
	for (size_t i = 0; i < o->count; i++)
		count += o->facts[i].until_ns != INT64_MAX && o->facts[i].until_ns >= since_ns;
	return count;
}

/* Forgets what ended more than an hour ago, or later where too much is left. Whether there was any. */
static bool forget(struct owners *o, int64_t now_ns)
{
	int64_t before = now_ns - OWNER_KEEP_NS;
	while (before <= now_ns && ended_since(o, before) > OWNER_FACTS_MAX)
		before += max_of((now_ns - before) / 2, INT64_C(1));
	size_t kept = 0, had = o->count;
	for (size_t i = 0; i < had; i++)
		if (o->facts[i].until_ns >= before)
			o->facts[kept++] = o->facts[i];
	o->count = kept;
	return kept < had;
}

int owners_end(struct owners *o, int64_t now_ns)
{
	size_t said = o->said_count, at = 0, count = 0;
	bool changed = false;
	o->said_count = 0;
	if (said)
		qsort(o->said, said, sizeof *o->said, compare_facts);
	struct owner_fact *next = calloc(o->count + said + 1, sizeof *next);
	if (!next)
		return -ENOMEM;
	for (size_t i = 0; i < o->count || at < said;) {
		while (at + 1 < said && !compare_owned(&o->said[at], &o->said[at + 1]))
			at++; /* one address on two NICs of a namespace */
		int order = i == o->count ? 1 : at == said ? -1 : compare_owned(&o->facts[i], &o->said[at]);
		if (order > 0) { /* new */
			next[count] = o->said[at++];
			next[count++].since_ns = now_ns;
			changed = true;
			continue;
		}
		struct owner_fact *f = &next[count++];
		*f = o->facts[i++];
		bool held = f->until_ns == INT64_MAX, last = i == o->count || compare_owned(f, &o->facts[i]);
		if (held && order == 0) {
			const struct owner_fact *s = &o->said[at++];
			changed |= strcmp(f->name, s->name) || memcmp(f->mac, s->mac, 6);
			memcpy(f->name, s->name, sizeof f->name);
			memcpy(f->mac, s->mac, 6);
		} else if (held) {
			f->until_ns = now_ns;
			changed = true;
		} else if (order == 0 && last) { /* it is back */
			next[count] = o->said[at++];
			next[count++].since_ns = now_ns;
			changed = true;
		}
	}
	free(o->facts);
	o->facts = next;
	o->count = count;
	return forget(o, now_ns) || changed;
}

void owners_clear(struct owners *o)
{
	free(o->facts);
	free(o->said);
	*o = (struct owners){0};
}
