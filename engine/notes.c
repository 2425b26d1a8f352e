#include "session_internal.h"

#include <errno.h>

#define NOTES_MAX 64 /* of a connection */

/* What a dissector remembers: a block each, in a list of its connection, the most recently used first. */
struct note {
	uint32_t next, prev;
	uint32_t len;
	uint8_t order;
	uint64_t key;
	_Alignas(16) uint8_t bytes[];
};

static struct note *note_at(const struct sessions *s, uint32_t index)
{
	return block_at(&s->blocks, index);
}

static void unlink_note(const struct sessions *s, struct extra *x, const struct note *n)
{
	if (n->prev == BLOCK_NONE)
		x->notes_head = n->next;
	else
		note_at(s, n->prev)->next = n->next;
	if (n->next == BLOCK_NONE)
		x->notes_tail = n->prev;
	else
		note_at(s, n->next)->prev = n->prev;
	x->notes_count--;
}

static void link_first(const struct sessions *s, struct extra *x, uint32_t index)
{
	struct note *n = note_at(s, index);
	n->prev = BLOCK_NONE;
	n->next = x->notes_head;
	if (x->notes_head == BLOCK_NONE)
		x->notes_tail = index;
	else
		note_at(s, x->notes_head)->prev = index;
	x->notes_head = index;
	x->notes_count++;
}

static void drop(struct sessions *s, struct extra *x, uint32_t index)
{
	const struct note *n = note_at(s, index);
	unsigned order = n->order;
	unlink_note(s, x, n);
	memory_give(s, s->flow->shard, BLOCK_TEXT, &index, order);
}

static uint32_t find(const struct sessions *s, const struct extra *x, uint64_t key)
{
	uint32_t i = x ? x->notes_head : BLOCK_NONE;
	while (i != BLOCK_NONE && note_at(s, i)->key != key)
		i = note_at(s, i)->next;
	return i;
}

void notes_forget(struct dissect *d, uint64_t key)
{
	struct sessions *s = container_of(d, struct sessions, dissect);
	struct extra *x = extra_of(s, s->conn);
	uint32_t i = find(s, x, key);
	if (i != BLOCK_NONE)
		drop(s, x, i);
}

void notes_forget_all(struct sessions *s)
{
	struct extra *x = extra_of(s, s->conn);
	while (x && x->notes_head != BLOCK_NONE)
		drop(s, x, x->notes_head);
}

int notes_remember(struct dissect *d, uint64_t key, const void *data, size_t len)
{
	struct sessions *s = container_of(d, struct sessions, dissect);
	notes_forget(d, key);
	if (len > DISSECT_NOTE_MAX)
		return -ENOBUFS;
	struct extra *x = extra_make(s, s->conn);
	if (!x)
		return -ENOMEM;
	if (x->notes_count == NOTES_MAX)
		drop(s, x, x->notes_tail);
	unsigned order = block_order((uint32_t)(sizeof(struct note) + len));
	uint32_t i;
	while ((i = memory_take(s, s->flow->shard, BLOCK_TEXT, order)) == BLOCK_NONE) {
		if (x->notes_tail == BLOCK_NONE)
			return -ENOMEM;
		drop(s, x, x->notes_tail);
	}
	struct note *n = note_at(s, i);
	*n = (struct note){.key = key, .len = (uint32_t)len, .order = (uint8_t)order};
	link_first(s, x, i);
	if (len)
		memcpy(n->bytes, data, len);
	return 0;
}

bool notes_recall(struct dissect *d, uint64_t key, const void **ret_data, size_t *ret_len)
{
	struct sessions *s = container_of(d, struct sessions, dissect);
	struct extra *x = extra_of(s, s->conn);
	uint32_t i = find(s, x, key);
	if (i == BLOCK_NONE)
		return false;
	const struct note *n = note_at(s, i);
	if (x->notes_head != i) {
		unlink_note(s, x, n);
		link_first(s, x, i);
	}
	*ret_data = n->bytes;
	*ret_len = n->len;
	return true;
}
