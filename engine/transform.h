/* transform.h - decompression for dissectors: dissect_transform().
 *
 * One a worker. Everything is reserved when it is made: no call allocates. What comes out is bounded. */
#ifndef TS_ENGINE_TRANSFORM_H
#define TS_ENGINE_TRANSFORM_H

#include "dissect.h"

struct transforms;

/* 0 or -ENOMEM. */
int transforms_new(struct transforms **ret_t);
struct transforms *transforms_free(struct transforms *t);

/* As dissect_transform(). */
int transforms_run(struct transforms *t, unsigned kind, const void *data, size_t len, const uint8_t **ret_data,
		   size_t *ret_len);

#endif
