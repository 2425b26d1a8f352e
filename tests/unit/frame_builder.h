/* frame_builder.h - frames built from the inside out: the payload first, then each header in front of what is there.
 * Lengths and checksums are made from what lies behind; a test spoils what it wants spoiled. */
#ifndef TS_TESTS_FRAME_BUILDER_H
#define TS_TESTS_FRAME_BUILDER_H

#include "def.h"

#include <assert.h>

#define BUILD_MAX 70000

struct build {
	uint8_t room[BUILD_MAX];
	uint8_t *at; /* the frame: from here to the end of room */
};

static inline void build_start(struct build *b)
{
	b->at = b->room + BUILD_MAX;
}

static inline uint32_t build_len(const struct build *b)
{
	return (uint32_t)(b->room + BUILD_MAX - b->at);
}

/* Makes room for n bytes in front; they are zero. */
static inline uint8_t *build_push(struct build *b, uint32_t n)
{
	assert((size_t)(b->at - b->room) >= n);
	b->at -= n;
	memset(b->at, 0, n);
	return b->at;
}

static inline void build_push_bytes(struct build *b, const void *data, uint32_t n)
{
	memcpy(build_push(b, n), data, n);
}

static inline void build_put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static inline void build_put32(uint8_t *at, uint32_t v)
{
	build_put16(at, v >> 16);
	build_put16(at + 2, v);
}

/* RFC 1071, over 16-bit words in network order, word by word as it is defined. */
static inline uint16_t build_checksum(uint32_t sum, const uint8_t *at, uint32_t len)
{
	for (uint32_t i = 0; i < len; i += 2)
		sum += (uint32_t)at[i] << 8 | (i + 1 < len ? at[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* A payload of n bytes that count up from `first`. */
static inline void build_payload(struct build *b, uint32_t n, uint8_t first)
{
	uint8_t *p = build_push(b, n);
	for (uint32_t i = 0; i < n; i++)
		p[i] = (uint8_t)(first + i);
}

static inline void build_tcp_options(struct build *b, uint16_t source, uint16_t target, uint32_t seq, uint8_t flags,
				     const void *options, uint32_t options_len)
{
	build_push_bytes(b, options, options_len);
	uint8_t *h = build_push(b, 20);
	build_put16(h, source);
	build_put16(h + 2, target);
	build_put32(h + 4, seq);
	build_put32(h + 8, 0x01020304);
	h[12] = (uint8_t)((20 + options_len) / 4 << 4);
	h[13] = flags;
	build_put16(h + 14, 8192);
}

static inline void build_tcp(struct build *b, uint16_t source, uint16_t target)
{
	build_tcp_options(b, source, target, 1000, 16, "", 0);
}

static inline void build_udp(struct build *b, uint16_t source, uint16_t target)
{
	uint32_t len = build_len(b) + 8;
	uint8_t *h = build_push(b, 8);
	build_put16(h, source);
	build_put16(h + 2, target);
	build_put16(h + 4, len);
}

/* options_len: a multiple of 4. fragment: the whole 16-bit field. */
static inline void build_ip4_full(struct build *b, uint8_t protocol, uint32_t source, uint32_t target, uint16_t id,
				  uint16_t fragment, const void *options, uint32_t options_len)
{
	uint32_t len = build_len(b) + 20 + options_len;
	build_push_bytes(b, options, options_len);
	uint8_t *h = build_push(b, 20);
	h[0] = (uint8_t)(0x40 | (20 + options_len) / 4);
	build_put16(h + 2, len);
	build_put16(h + 4, id);
	build_put16(h + 6, fragment);
	h[8] = 64;
	h[9] = protocol;
	build_put32(h + 12, source);
	build_put32(h + 16, target);
	build_put16(h + 10, build_checksum(0, h, 20 + options_len));
}

static inline void build_ip4(struct build *b, uint8_t protocol, uint32_t source, uint32_t target)
{
	build_ip4_full(b, protocol, source, target, 1, 0, "", 0);
}

/* Addresses fd00::source and fd00::target. */
static inline void build_ip6(struct build *b, uint8_t next, uint8_t source, uint8_t target)
{
	uint32_t len = build_len(b);
	uint8_t *h = build_push(b, 40);
	h[0] = 0x60;
	build_put16(h + 4, len);
	h[6] = next;
	h[7] = 64;
	h[8] = h[24] = 0xfd;
	h[23] = source;
	h[39] = target;
}

/* An extension header of `len` bytes (a multiple of 8), padded with PadN. */
static inline void build_extension(struct build *b, uint8_t next, uint32_t len)
{
	uint8_t *h = build_push(b, len);
	h[0] = next;
	h[1] = (uint8_t)(len / 8 - 1);
	h[2] = 1;
	h[3] = (uint8_t)(len - 4);
}

static inline void build_fragment6(struct build *b, uint8_t next, uint32_t offset, bool more, uint32_t id)
{
	uint8_t *h = build_push(b, 8);
	h[0] = next;
	build_put16(h + 2, offset | more);
	build_put32(h + 4, id);
}

static inline void build_eth(struct build *b, uint16_t type)
{
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
	build_put16(build_push(b, 2), type);
	build_push_bytes(b, macs, 12);
}

/* Puts a tag in front: the EtherType of what is there, then the TCI in front of it. The next header names the tag. */
static inline void build_vlan(struct build *b, uint16_t tci, uint16_t type)
{
	uint8_t *h = build_push(b, 4);
	build_put16(h, tci);
	build_put16(h + 2, type);
}

#endif
