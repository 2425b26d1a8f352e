#include "quantile.h"

#include <math.h>
#include <stdlib.h>

/* Values below two steps have a bucket each; above, the leading bits after the highest choose it. */
static unsigned bucket_of(uint64_t v)
{
	unsigned bits = v ? 64 - (unsigned)__builtin_clzll(v) : 0;
	if (bits <= QUANTILE_STEP_BITS + 1)
		return (unsigned)v;
	unsigned shift = bits - QUANTILE_STEP_BITS - 1;
	return (shift << QUANTILE_STEP_BITS) + (unsigned)(v >> shift);
}

static int64_t bucket_middle(unsigned bucket)
{
	unsigned shift = bucket >> QUANTILE_STEP_BITS;
	if (shift < 2)
		return bucket;
	shift--;
	uint64_t low = (uint64_t)(bucket - (shift << QUANTILE_STEP_BITS)) << shift;
	return (int64_t)(low + (UINT64_C(1) << shift) / 2);
}

static void become_histogram(struct quantile *q)
{
	int64_t values[QUANTILE_EXACT];
	memcpy(values, q->value, sizeof values);
	memset(q->bucket, 0, sizeof q->bucket);
	for (unsigned i = 0; i < QUANTILE_EXACT; i++)
		q->bucket[bucket_of((uint64_t)values[i])]++;
}

void quantile_add(struct quantile *q, int64_t value)
{
	value = max_of(value, INT64_C(0));
	q->max = max_of(q->max, value);
	if (q->count < QUANTILE_EXACT) {
		q->value[q->count] = value;
		q->sorted = false;
	} else {
		if (q->count == QUANTILE_EXACT)
			become_histogram(q);
		q->bucket[bucket_of((uint64_t)value)]++;
	}
	q->count++;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

int64_t quantile_get(struct quantile *q, double percent)
{
	if (!q->count)
		return 0;
	uint64_t rank = (uint64_t)ceil((double)q->count * percent / 100);
	rank = min_of(max_of(rank, UINT64_C(1)), q->count);
	if (rank == q->count)
		return q->max;
	if (q->count <= QUANTILE_EXACT) {
		if (!q->sorted)
			qsort(q->value, q->count, sizeof q->value[0], compare);
		q->sorted = true;
		return q->value[rank - 1];
	}
	uint64_t below = 0;
	for (unsigned i = 0; i < QUANTILE_BUCKETS; i++) {
		below += q->bucket[i];
		if (below >= rank)
			return min_of(bucket_middle(i), q->max);
	}
	return q->max;
}
