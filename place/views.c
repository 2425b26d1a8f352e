#include "view.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

struct edition {
	struct view *view;
	uint64_t number;
};

/* The edition that a worker has taken last. It may look at that one, and at no earlier one. */
struct reader {
	cacheline_aligned _Atomic uint64_t number;
};

struct views {
	_Atomic(struct edition *) current;
	struct edition *waiting[VIEWS_WAITING_MAX]; /* oldest first */
	unsigned waiting_count, workers;
	struct reader readers[];
};

static struct edition *edition_make(struct view *v, uint64_t number)
{
	struct edition *e = malloc(sizeof *e);
	if (e)
		*e = (struct edition){v, number};
	return e;
}

static void edition_free(struct edition *e)
{
	view_free(e->view);
	free(e);
}

int views_open(struct views **ret_views, unsigned workers, struct view *v)
{
	size_t size = sizeof(struct views) + workers * sizeof(struct reader);
	struct views *s = aligned_alloc(64, (size + 63) / 64 * 64);
	struct edition *first = edition_make(v, 1);
	if (!s || !first) {
		free(s);
		free(first);
		return -ENOMEM;
	}
	memset(s, 0, size);
	s->workers = workers;
	for (unsigned i = 0; i < workers; i++)
		atomic_init(&s->readers[i].number, 1);
	atomic_init(&s->current, first);
	*ret_views = s;
	return 0;
}

struct views *views_close(struct views *s)
{
	if (s) {
		for (unsigned i = 0; i < s->waiting_count; i++)
			edition_free(s->waiting[i]);
		edition_free(atomic_load_explicit(&s->current, memory_order_relaxed));
		free(s);
	}
	return NULL;
}

/* The worker's number still protects all editions from its last one on while it loads the current one, which cannot be
 * earlier: numbers only rise. The release makes its reads of the last one come before the control thread's free. */
const struct view *view_current(struct views *s, unsigned worker)
{
	const struct edition *e = atomic_load_explicit(&s->current, memory_order_acquire);
	atomic_store_explicit(&s->readers[worker].number, e->number, memory_order_release);
	return e->view;
}

static void sweep(struct views *s)
{
	uint64_t least = UINT64_MAX;
	for (unsigned i = 0; i < s->workers; i++)
		least = min_of(least, (uint64_t)atomic_load_explicit(&s->readers[i].number, memory_order_acquire));
	unsigned kept = 0;
	for (unsigned i = 0; i < s->waiting_count; i++) {
		if (s->waiting[i]->number < least)
			edition_free(s->waiting[i]);
		else
			s->waiting[kept++] = s->waiting[i];
	}
	s->waiting_count = kept;
}

int views_publish(struct views *s, struct view *v)
{
	sweep(s);
	if (!v)
		return 0;
	if (s->waiting_count == VIEWS_WAITING_MAX)
		return -EAGAIN;
	struct edition *old = atomic_load_explicit(&s->current, memory_order_relaxed);
	struct edition *next = edition_make(v, old->number + 1);
	if (!next)
		return -ENOMEM;
	atomic_store_explicit(&s->current, next, memory_order_release);
	s->waiting[s->waiting_count++] = old;
	sweep(s);
	return 0;
}

unsigned views_waiting(const struct views *s)
{
	return s->waiting_count;
}
