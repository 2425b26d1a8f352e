/* quantile.h - percentiles of durations in fixed memory.
 *
 * The first QUANTILE_EXACT values are kept and answered exactly (nearest rank). With one more they become counts of a
 * log-linear histogram, 128 steps to each power of two: an answer is then off by at most 1/256 of itself. One thread.
 */
#ifndef TS_EXPORT_QUANTILE_H
#define TS_EXPORT_QUANTILE_H

#include "def.h"

#define QUANTILE_EXACT 4096
#define QUANTILE_STEP_BITS 7
#define QUANTILE_BUCKETS ((64 - QUANTILE_STEP_BITS) << QUANTILE_STEP_BITS)

struct quantile {
	uint64_t count;
	int64_t max;
	bool sorted;
	union {
		int64_t value[QUANTILE_EXACT];
		uint64_t bucket[QUANTILE_BUCKETS];
	};
};

/* Zero-initialised is empty. A negative value (the clock of a capture stepped back) counts as 0. */
void quantile_add(struct quantile *q, int64_t value);
/* The smallest value that at least `percent` per cent of all are not above; 0 where there is none. */
int64_t quantile_get(struct quantile *q, double percent);

#endif
