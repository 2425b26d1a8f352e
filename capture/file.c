#include "file.h"

#include "file_reader.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* Frames of a file that are looked at ahead, when there are several files to merge. */
#define AHEAD 64
/* Frames that the filter rejects before the caller is asked again whether it wants to go on. */
#define REJECTED_MAX 65536

struct merged {
	struct reader reader;
	unsigned head, count; /* frames[head..count) wait to be given out */
	struct frame frames[AHEAD];
};

/* The next frame of a file. */
struct candidate {
	int64_t ts_ns;
	unsigned file;
};

struct capture_files {
	struct reader_set set;
	struct capture_files_options options;
	struct capture_files_counters counters;
	uint64_t ordinal; /* of the frame given out last */
	uint64_t passed;  /* frames that passed the filter */
	unsigned count, started;
	struct merged **files;
	struct reader *only;    /* a single file */
	struct candidate *heap; /* several: the files that have frames left, the next one first */
	unsigned heap_count;
};

static int open_files(struct capture_files *c, const char *const *paths, struct error *e)
{
	unsigned standard_inputs = 0;
	for (unsigned i = 0; i < c->count; i++)
		standard_inputs += !strcmp(paths[i], "-");
	if (standard_inputs > 1)
		return error_set(e, -EINVAL, "standard input (-) can be read once only");
	if (c->options.tap == TAP_BY_FILE && c->count > UINT16_MAX)
		return error_set(e, -EINVAL, "more than %u files: use one tap for all", UINT16_MAX);
	for (; c->started < c->count; c->started++) {
		/* With a single file frames go straight to the caller. */
		size_t size = c->count == 1 ? offsetof(struct merged, frames) : sizeof(struct merged);
		struct merged *m = calloc(1, size);
		if (!m)
			return error_set(e, -ENOMEM, "%s: no memory to read it", paths[c->started]);
		int x = reader_open(&m->reader, &c->set, c->started, paths[c->started], e);
		if (x) {
			free(m);
			return x;
		}
		c->files[c->started] = m;
	}
	if (c->count == 1)
		c->only = &c->files[0]->reader;
	c->started = 0;
	return 0;
}

int capture_files_open(struct capture_files **ret_c, const char *const *paths, unsigned count,
		       const struct capture_files_options *options, struct error *e)
{
	if (!count)
		return error_set(e, -EINVAL, "no capture file is named");
	struct capture_files *c = calloc(1, sizeof *c);
	if (!c)
		return error_set(e, -ENOMEM, "no memory to read capture files");
	c->options = *options;
	c->set.tap = options->tap;
	c->set.filter.expression = options->filter;
	c->count = count;
	c->files = calloc(count, sizeof *c->files);
	c->heap = calloc(count, sizeof *c->heap);
	int x = c->files && c->heap ? block_pool_init(&c->set.blocks, count) : -ENOMEM;
	if (x)
		error_set(e, x, "no memory to read %u capture files", count);
	else
		x = open_files(c, paths, e);
	if (x) {
		capture_files_close(c);
		return x;
	}
	*ret_c = c;
	return 0;
}

struct capture_files *capture_files_close(struct capture_files *c)
{
	if (!c)
		return NULL;
	for (unsigned i = 0; c->files && i < c->count && c->files[i]; i++) {
		reader_close(&c->files[i]->reader);
		free(c->files[i]);
	}
	free(c->files);
	free(c->heap);
	block_pool_fini(&c->set.blocks);
	filter_fini(&c->set.filter);
	free(c);
	return NULL;
}

/* Numbers and counts frames in the order in which they are given out; those that the filter rejects leave the burst.
 * Returns how many stay. */
static unsigned number_frames(struct capture_files *c, struct frame *frames, unsigned n)
{
	uint64_t ordinal = c->ordinal, bytes = 0;
	const uint32_t snaplen = c->options.snaplen;
	unsigned kept = n;
	for (unsigned i = 0; i < n; i++) {
		frames[i].ordinal = ++ordinal;
		bytes += frames[i].wirelen;
	}
	if (c->set.filter.expression) {
		kept = 0;
		for (unsigned i = 0; i < n; i++) {
			const struct frame *f = &frames[i];
			if (filter_matches(&c->set.filter, f->link_type, f->data, f->caplen, f->wirelen))
				frames[kept++] = *f;
		}
		publish_add(c->counters.filtered, n - kept);
	}
	if (snaplen)
		for (unsigned i = 0; i < kept; i++)
			frames[i].caplen = min_of(frames[i].caplen, snaplen);
	publish_add(c->counters.frames, n);
	publish_add(c->counters.bytes, bytes);
	c->ordinal = ordinal;
	c->passed += kept;
	return kept;
}

static int read_only_file(struct capture_files *c, struct frame *frames, unsigned max, struct error *e)
{
	struct reader *r = c->only;
	uint64_t from = c->ordinal;
	for (;;) {
		int n = reader_read(r, frames, max, e);
		if (n <= 0)
			return n;
		unsigned kept = number_frames(c, frames, (unsigned)n);
		if (kept) {
			r->block->last_ordinal = frames[kept - 1].ordinal;
			return (int)kept;
		}
		if (c->ordinal - from >= REJECTED_MAX)
			return -EAGAIN;
	}
}

static inline bool comes_before(const struct candidate *a, const struct candidate *b)
{
	return a->ts_ns < b->ts_ns || (a->ts_ns == b->ts_ns && a->file < b->file);
}

static void sift_down(struct capture_files *c)
{
	struct candidate *heap = c->heap, moved = heap[0];
	unsigned at = 0;
	for (;;) {
		unsigned child = 2 * at + 1;
		if (child >= c->heap_count)
			break;
		if (child + 1 < c->heap_count && comes_before(&heap[child + 1], &heap[child]))
			child++;
		if (!comes_before(&heap[child], &moved))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moved;
}

static void heap_add(struct capture_files *c, struct candidate added)
{
	struct candidate *heap = c->heap;
	unsigned at = c->heap_count++;
	for (; at && comes_before(&added, &heap[(at - 1) / 2]); at = (at - 1) / 2)
		heap[at] = heap[(at - 1) / 2];
	heap[at] = added;
}

static int read_ahead(struct merged *m, struct error *e)
{
	int n = reader_read(&m->reader, m->frames, AHEAD, e);
	m->head = 0;
	m->count = n > 0 ? (unsigned)n : 0;
	return n;
}

/* Every file's first frame has to be known before the first can be given out. */
static int start_merge(struct capture_files *c, struct error *e)
{
	while (c->started < c->count) {
		struct merged *m = c->files[c->started];
		int n = read_ahead(m, e);
		if (n == -ENOBUFS || n == -EAGAIN)
			return n;
		if (n > 0)
			heap_add(c, (struct candidate){m->frames[0].ts_ns, c->started});
		c->started++;
		if (n < 0)
			return n;
	}
	return 0;
}

/* The first file of the heap again has frames ahead, or leaves the heap. */
static int refill_first(struct capture_files *c, struct merged *m, struct error *e)
{
	int n = read_ahead(m, e);
	if (n == -ENOBUFS || n == -EAGAIN)
		return n;
	if (n > 0)
		c->heap[0].ts_ns = m->frames[0].ts_ns;
	else
		c->heap[0] = c->heap[--c->heap_count];
	sift_down(c);
	return min_of(n, 0);
}

/* The frames of the first file of the heap, up to where another file's turn comes. */
static unsigned take_run(const struct capture_files *c, struct merged *m, struct frame *frames, unsigned max)
{
	const struct candidate *heap = c->heap;
	struct candidate rival = {INT64_MAX, UINT_MAX}, own = {0, heap[0].file};
	if (c->heap_count > 1)
		rival = heap[c->heap_count > 2 && comes_before(&heap[2], &heap[1]) ? 2 : 1];
	unsigned n = 0;
	while (n < max && m->head < m->count) {
		own.ts_ns = m->frames[m->head].ts_ns;
		if (!comes_before(&own, &rival))
			break;
		frames[n++] = m->frames[m->head++];
	}
	return n;
}

static int read_merged(struct capture_files *c, struct frame *frames, unsigned max, struct error *e)
{
	int x = start_merge(c, e);
	if (x)
		return x;
	unsigned n = 0;
	uint64_t from = c->ordinal;
	while (n < max && c->heap_count) {
		if (!n && c->ordinal - from >= REJECTED_MAX)
			return -EAGAIN;
		struct merged *m = c->files[c->heap[0].file];
		if (m->head == m->count) {
			/* Frames that are ready never wait for a file to be read. */
			if (n)
				break;
			x = refill_first(c, m, e);
			if (x)
				return x;
			continue;
		}
		unsigned taken = take_run(c, m, frames + n, max - n);
		unsigned kept = number_frames(c, frames + n, taken);
		n += kept;
		if (kept)
			m->reader.block->last_ordinal = frames[n - 1].ordinal;
		if (m->head < m->count) {
			c->heap[0].ts_ns = m->frames[m->head].ts_ns;
			sift_down(c);
		}
	}
	return (int)n;
}

int capture_files_read(struct capture_files *c, struct frame *ret_frames, unsigned max, struct error *e)
{
	if (c->options.count_max)
		max = (unsigned)min_of((uint64_t)max, c->options.count_max - c->passed);
	if (!max)
		return 0;
	max = min_of(max, (unsigned)INT_MAX);
	return c->only ? read_only_file(c, ret_frames, max, e) : read_merged(c, ret_frames, max, e);
}

void capture_files_release(struct capture_files *c, uint64_t ordinal)
{
	struct block_pool *pool = &c->set.blocks;
	pool->released = max_of(pool->released, ordinal);
}

const struct capture_files_counters *capture_files_counters(const struct capture_files *c)
{
	return &c->counters;
}
