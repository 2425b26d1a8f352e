#include "session_internal.h"

#define NOTES_MAX 64 /* of a connection */

/* What a dissector remembers: a list of its connection, the most recently used first. */
struct note {
	uint32_t next, prev;
	uint32_t len;
	struct block bytes;
	uint64_t key;
};

int notes_init(struct sessions *s, uint32_t notes, unsigned shards)
{
	for (unsigned i = 0; i < SHARDS; i++)
		s->note_quota[i].limit = notes;
	return pool_init(&s->notes, sizeof(struct note), offsetof(struct note, next), notes * shards);
}

static struct note *note_at(const struct sessions *s, uint32_t index)
{
	return pool_at(&s->notes, index);
}

static void unlink_note(const struct sessions *s, struct conn *c, const struct note *n)
{
	if (n->prev == POOL_NONE)
		c->notes_head = n->next;
	else
		note_at(s, n->prev)->next = n->next;
	if (n->next == POOL_NONE)
		c->notes_tail = n->prev;
	else
		note_at(s, n->next)->prev = n->prev;
	c->notes_count--;
}

static void link_first(const struct sessions *s, struct conn *c, uint32_t index)
{
	struct note *n = note_at(s, index);
	n->prev = POOL_NONE;
	n->next = c->notes_head;
	if (c->notes_head == POOL_NONE)
		c->notes_tail = index;
	else
		note_at(s, c->notes_head)->prev = index;
	c->notes_head = index;
	c->notes_count++;
}

static void drop(struct sessions *s, uint32_t index)
{
	uint8_t shard = s->flow->shard;
	struct note *n = note_at(s, index);
	unlink_note(s, s->conn, n);
	block_give(&s->blocks, shard, &n->bytes);
	pool_give(&s->notes, &s->note_quota[shard], index);
}

static uint32_t find(const struct sessions *s, uint64_t key)
{
	uint32_t i = s->conn->notes_head;
	while (i != POOL_NONE && note_at(s, i)->key != key)
		i = note_at(s, i)->next;
	return i;
}

void notes_forget(struct dissect *d, uint64_t key)
{
	struct sessions *s = container_of(d, struct sessions, dissect);
	uint32_t i = find(s, key);
	if (i != POOL_NONE)
		drop(s, i);
}

void notes_forget_all(struct sessions *s)
{
	while (s->conn->notes_head != POOL_NONE)
		drop(s, s->conn->notes_head);
}

int notes_remember(struct dissect *d, uint64_t key, const void *data, size_t len)
{
	struct sessions *s = container_of(d, struct sessions, dissect);
	struct conn *c = s->conn;
	uint8_t shard = s->flow->shard;
	notes_forget(d, key);
	if (len > DISSECT_NOTE_MAX)
		return -ENOBUFS;
	if (c->notes_count == NOTES_MAX)
		drop(s, c->notes_tail);
	uint32_t i;
	while ((i = pool_take(&s->notes, &s->note_quota[shard])) == POOL_NONE) {
		if (c->notes_tail == POOL_NONE)
			return -ENOMEM;
		drop(s, c->notes_tail);
	}
	struct note *n = note_at(s, i);
	*n = (struct note){.key = key, .bytes = BLOCK_NONE, .len = (uint32_t)len};
	link_first(s, c, i);
	while (block_grow(&s->blocks, shard, &n->bytes, 0, (uint32_t)max_of(len, (size_t)1)) < 0) {
		bool last = c->notes_tail == i;
		drop(s, c->notes_tail);
		if (last)
			return -ENOMEM;
	}
	if (len)
		memcpy(block_at(&s->blocks, n->bytes), data, len);
	return 0;
}

bool notes_recall(struct dissect *d, uint64_t key, const void **ret_data, size_t *ret_len)
{
	struct sessions *s = container_of(d, struct sessions, dissect);
	uint32_t i = find(s, key);
	if (i == POOL_NONE)
		return false;
	struct note *n = note_at(s, i);
	unlink_note(s, s->conn, n);
	link_first(s, s->conn, i);
	*ret_data = block_at(&s->blocks, n->bytes);
	*ret_len = n->len;
	return true;
}
