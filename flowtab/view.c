#include "internal.h"

#include <errno.h>

#define VIEW_TRIES 64

uint32_t flowtab_view_end(const struct flowtab *t)
{
	return peek(t->flows.high);
}

#ifdef FLOWTAB_SELF_CHECK
static uint32_t check_of(const struct flow_view *v)
{
	struct flow_view of;
	memset(&of, 0, sizeof of); /* padding */
	of.state = v->state;
	of.client = v->client;
	of.score = v->score;
	of.close_type = v->close_type;
	of.key = v->key;
	of.start_ns = v->start_ns;
	of.last_ns = v->last_ns;
	for (unsigned i = 0; i < 2; i++) {
		of.packets[i] = v->packets[i];
		of.bytes[i] = v->bytes[i];
		of.l3_bytes[i] = v->l3_bytes[i];
		of.l4_bytes[i] = v->l4_bytes[i];
	}
	return (uint32_t)hash64(&of, sizeof of, 0);
}
#endif

/* Field by field, each atomic; together they are of one moment only if the sequence says so. */
static void copy(const struct flow *f, struct flow_view *v)
{
	v->state = peek(f->state);
	v->client = peek(f->client);
	v->score = peek(f->score);
	v->close_type = peek(f->close_type);
	const uint64_t *from = (const uint64_t *)(const void *)&f->key;
	uint64_t *to = (uint64_t *)(void *)&v->key;
	for (unsigned i = 0; i < sizeof f->key / 8; i++)
		to[i] = peek(from[i]);
	v->start_ns = peek(f->start_ns);
	v->last_ns = peek(f->last_ns);
	for (unsigned i = 0; i < 2; i++) {
		v->packets[i] = peek(f->packets[i]);
		v->bytes[i] = peek(f->bytes[i]);
		v->l3_bytes[i] = peek(f->l3_bytes[i]);
		v->l4_bytes[i] = peek(f->l4_bytes[i]);
	}
#ifdef FLOWTAB_SELF_CHECK
	v->check = peek(f->check);
#else
	v->check = 0;
#endif
}

int flowtab_view(const struct flowtab *t, uint32_t index, struct flow_view *ret_view)
{
	if (index >= peek(t->flows.high))
		return 0;
	const struct flow *f = flow_at(t, index);
	for (unsigned i = 0; i < VIEW_TRIES; i++) {
		uint32_t before = __atomic_load_n(&f->sequence, __ATOMIC_ACQUIRE);
		if (before & 1)
			continue;
		uint8_t state = peek(f->state);
		struct flow_view v;
		bool live = state != FLOW_FREE && state != FLOW_LINGER;
		if (live)
			copy(f, &v);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (peek(f->sequence) != before)
			continue;
		if (!live)
			return 0;
		v.index = index;
		*ret_view = v;
		return 1;
	}
	return -EAGAIN;
}

bool flow_view_intact(const struct flow_view *v)
{
#ifdef FLOWTAB_SELF_CHECK
	return v->check == check_of(v);
#else
	(void)v;
	return true;
#endif
}

#ifdef FLOWTAB_SELF_CHECK
uint32_t flow_check(const struct flow *f)
{
	struct flow_view v;
	copy(f, &v);
	return check_of(&v);
}
#endif
