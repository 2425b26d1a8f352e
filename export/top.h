/* top.h - the heaviest of many, in fixed memory.
 *
 * Sums by key in a hash table. Up to TOP_ENTRIES keys all is exact. When it is full the lighter half is dropped: its
 * sums go into `dropped`, so that what is shown and what is left out always add up to the whole, but an entry may from
 * then on have too little. Nothing depends on the order of the table: equals are told apart by their keys. One thread.
 */
#ifndef TS_EXPORT_TOP_H
#define TS_EXPORT_TOP_H

#include "def.h"

#define TOP_ENTRIES 16384
#define TOP_KEY_BYTES 40

struct top_sums {
	uint64_t tx, rx, packets, flows, retransmissions;
};

struct top_entry {
	uint8_t key[TOP_KEY_BYTES];
	const char *label[2]; /* constants of the program; the last that was not NULL */
	struct top_sums sums;
	bool used;
};

struct top {
	struct top_entry *slots; /* 2 * TOP_ENTRIES */
	struct top_entry *spare; /* TOP_ENTRIES: for dropping and sorting */
	unsigned count;
	struct top_sums total, dropped;
	uint64_t dropped_keys; /* times that a key was dropped */
};

/* 0 or -ENOMEM. */
int top_init(struct top *t);
void top_fini(struct top *t);
/* label[1] may be NULL. */
void top_add(struct top *t, const uint8_t key[TOP_KEY_BYTES], const char *const label[2], const struct top_sums *more);
/* The heaviest by tx + rx, heaviest first; returns how many there are, at most `max`. Valid until the next call. */
unsigned top_list(struct top *t, const struct top_entry **ret_entries, unsigned max);

#endif
