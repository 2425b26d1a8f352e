#include "top.h"

#include "hash.h"

#include <errno.h>
#include <stdlib.h>

#define SLOTS (2 * TOP_ENTRIES)

int top_init(struct top *t)
{
	*t = (struct top){0};
	t->slots = calloc(SLOTS, sizeof *t->slots);
	t->spare = calloc(TOP_ENTRIES, sizeof *t->spare);
	if (t->slots && t->spare)
		return 0;
	top_fini(t);
	return -ENOMEM;
}

void top_fini(struct top *t)
{
	free(t->slots);
	free(t->spare);
	*t = (struct top){0};
}

static void add_sums(struct top_sums *to, const struct top_sums *more)
{
	to->tx += more->tx;
	to->rx += more->rx;
	to->packets += more->packets;
	to->flows += more->flows;
	to->retransmissions += more->retransmissions;
}

static struct top_entry *find(struct top *t, const uint8_t key[TOP_KEY_BYTES])
{
	size_t i = hash64(key, TOP_KEY_BYTES, 0) % SLOTS;
	while (t->slots[i].used && memcmp(t->slots[i].key, key, TOP_KEY_BYTES))
		i = (i + 1) % SLOTS;
	return &t->slots[i];
}

static int heavier_first(const void *a, const void *b)
{
	const struct top_entry *x = a, *y = b;
	uint64_t weight_x = x->sums.tx + x->sums.rx, weight_y = y->sums.tx + y->sums.rx;
	if (weight_x != weight_y)
		return weight_x < weight_y ? 1 : -1;
	return memcmp(x->key, y->key, TOP_KEY_BYTES);
}

static void sort_into_spare(struct top *t)
{
	unsigned n = 0;
	for (size_t i = 0; i < SLOTS; i++)
		if (t->slots[i].used)
			t->spare[n++] = t->slots[i];
	qsort(t->spare, n, sizeof *t->spare, heavier_first);
}

static void drop_lighter_half(struct top *t)
{
	sort_into_spare(t);
	memset(t->slots, 0, SLOTS * sizeof *t->slots);
	for (unsigned i = 0; i < t->count / 2; i++)
		*find(t, t->spare[i].key) = t->spare[i];
	for (unsigned i = t->count / 2; i < t->count; i++)
		add_sums(&t->dropped, &t->spare[i].sums);
	t->dropped_keys += t->count - t->count / 2;
	t->count /= 2;
}

void top_add(struct top *t, const uint8_t key[TOP_KEY_BYTES], const char *const label[2], const struct top_sums *more)
{
	add_sums(&t->total, more);
	struct top_entry *e = find(t, key);
	if (!e->used) {
		if (t->count == TOP_ENTRIES) {
			drop_lighter_half(t);
			e = find(t, key);
		}
		e->used = true;
		memcpy(e->key, key, TOP_KEY_BYTES);
		t->count++;
	}
	for (unsigned i = 0; i < 2; i++)
		if (label[i])
			e->label[i] = label[i];
	add_sums(&e->sums, more);
}

unsigned top_list(struct top *t, const struct top_entry **ret_entries, unsigned max)
{
	sort_into_spare(t);
	unsigned n = min_of(max, t->count);
	for (unsigned i = 0; i < n; i++)
		ret_entries[i] = &t->spare[i];
	return n;
}
