/* hash.h - the hashes of the project: XXH3 (libxxhash), inlined. */
#ifndef TS_BASE_HASH_H
#define TS_BASE_HASH_H

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#define XXH_INLINE_ALL
#include <xxhash.h>
#pragma GCC diagnostic pop

#include "def.h"

static inline uint64_t hash64(const void *data, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, len, seed);
}

#endif
