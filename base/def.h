/* def.h - the few macros and byte-order helpers that every room uses. */
#ifndef TS_BASE_DEF_H
#define TS_BASE_DEF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define array_size(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define cacheline_aligned _Alignas(64)
#define print_format(fmt, args) __attribute__((format(printf, fmt, args)))
#define maybe_unused __attribute__((__unused__))

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* Relaxed store to a field that other threads may read while this thread, its only writer, goes on.
 * The writer reads its own fields plainly; readers use atomic loads. */
#define publish(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define peek(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define publish_add(field, n) publish(field, (field) + (n))

/* Unaligned loads from the wire. The caller has checked the bounds. */
static inline uint16_t load_be16(const void *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return __builtin_bswap16(v);
}

static inline uint32_t load_be24(const void *p)
{
	const uint8_t *b = p;
	return (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
}

static inline uint32_t load_be32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return __builtin_bswap32(v);
}

static inline uint64_t load_be64(const void *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return __builtin_bswap64(v);
}

static inline uint16_t load_le16(const void *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline uint32_t load_le32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline uint64_t load_le64(const void *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tapscope is built for little-endian hosts");

#define min_of(a, b)                                                                                                   \
	({                                                                                                             \
		__typeof__(a) min_a_ = (a);                                                                            \
		__typeof__(b) min_b_ = (b);                                                                            \
		min_a_ < min_b_ ? min_a_ : min_b_;                                                                     \
	})
#define max_of(a, b)                                                                                                   \
	({                                                                                                             \
		__typeof__(a) max_a_ = (a);                                                                            \
		__typeof__(b) max_b_ = (b);                                                                            \
		max_a_ > max_b_ ? max_a_ : max_b_;                                                                     \
	})

#endif
