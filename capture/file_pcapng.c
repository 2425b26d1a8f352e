/* The pcapng format (draft-ietf-opsawg-pcapng). */
#include "file_reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define BLOCK_SECTION_HEADER 0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_PACKET 2u /* obsolete */
#define BLOCK_SIMPLE_PACKET 3u
#define BLOCK_ENHANCED_PACKET 6u

#define BLOCK_HEADER_SIZE 8 /* type, total length */
#define BLOCK_SIZE_MIN 12   /* and the total length again, at the end */
#define SECTION_SIZE_MIN 28
#define INTERFACE_SIZE_MIN 20
#define SIMPLE_PACKET_SIZE_MIN 16
#define PACKET_SIZE_MIN 32  /* of both, obsolete and enhanced */
#define SKIP_WHOLE_MAX 4096 /* blocks that nobody looks at: up to here their last length is checked too */

#define OPTION_END 0
#define OPTION_TSRESOL 9
#define OPTION_TSOFFSET 14

#define INTERFACES_MAX 65535u /* of a section, and taps of all files: both are numbered in 16 bits */

static inline uint16_t get16(const uint8_t *p, bool swapped)
{
	return swapped ? load_be16(p) : load_le16(p);
}

static inline uint32_t get32(const uint8_t *p, bool swapped)
{
	return swapped ? load_be32(p) : load_le32(p);
}

static int damaged(const struct reader *r, const uint8_t *at, struct error *e, const char *fmt, ...) print_format(4, 5);

static int damaged(const struct reader *r, const uint8_t *at, struct error *e, const char *fmt, ...)
{
	char what[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	return error_set(e, -EBADMSG, "%s: damaged at byte %llu: %s", r->input.name, reader_offset(r, at), what);
}

static int64_t clamp_time(int64_t ns)
{
	return max_of(min_of(ns, FRAME_TIME_MAX_NS), -FRAME_TIME_MAX_NS);
}

/* Units since 1970 to ns. */
static inline int64_t time_of(const struct interface *i, uint64_t units)
{
	uint64_t ns;
	if (likely(i->time_unit == TIME_MULTIPLY)) {
		if (unlikely(__builtin_mul_overflow(units, i->time_factor, &ns)))
			ns = FRAME_TIME_MAX_NS;
	} else if (i->time_unit == TIME_DIVIDE) {
		ns = i->time_factor ? units / i->time_factor : 0;
	} else {
		unsigned __int128 wide = (unsigned __int128)units * (uint64_t)NS_PER_S >> i->time_shift;
		ns = wide > FRAME_TIME_MAX_NS ? FRAME_TIME_MAX_NS : (uint64_t)wide;
	}
	return clamp_time((int64_t)min_of(ns, (uint64_t)FRAME_TIME_MAX_NS) + i->time_offset_ns);
}

static void set_resolution(struct interface *i, uint8_t resolution)
{
	unsigned power = resolution & 0x7f;
	if (resolution & 0x80) {
		i->time_unit = TIME_BINARY;
		i->time_shift = power;
		return;
	}
	i->time_unit = power <= 9 ? TIME_MULTIPLY : TIME_DIVIDE;
	unsigned exponent = power <= 9 ? 9 - power : power - 9;
	uint64_t factor = 1;
	for (; exponent && factor; exponent--)
		if (__builtin_mul_overflow(factor, 10, &factor))
			factor = 0;
	i->time_factor = factor;
}

/* The options of an interface. Of those that matter to nobody here: if_fcslen (a frame's FCS, where there is one,
 * counts as trailing bytes). */
static int read_interface_options(struct reader *r, struct interface *i, const uint8_t *at, const uint8_t *end,
				  struct error *e)
{
	while (end - at >= 4) {
		uint16_t code = get16(at, r->swapped), len = get16(at + 2, r->swapped);
		if (code == OPTION_END)
			break;
		if ((size_t)(end - at) - 4 < len)
			return damaged(r, at, e, "an option of %u bytes that does not fit in its interface block", len);
		const uint8_t *value = at + 4;
		if (code == OPTION_TSRESOL && len >= 1) {
			set_resolution(i, *value);
		} else if (code == OPTION_TSOFFSET && len >= 8) {
			int64_t seconds = (int64_t)(r->swapped ? load_be64(value) : load_le64(value));
			const int64_t most = FRAME_TIME_MAX_NS / NS_PER_S;
			i->time_offset_ns = max_of(min_of(seconds, most), -most) * NS_PER_S;
		}
		at = value + min_of(((size_t)len + 3) & ~(size_t)3, (size_t)(end - value));
	}
	return 0;
}

static int add_interface(struct reader *r, const uint8_t *at, uint32_t len, struct error *e)
{
	if (len < INTERFACE_SIZE_MIN)
		return damaged(r, at, e, "an interface block of only %u bytes", len);
	if (r->interface_count == INTERFACES_MAX)
		return damaged(r, at, e, "more than %u interfaces in a section", INTERFACES_MAX);
	if (r->interface_count == r->interface_room) {
		uint32_t room = max_of(r->interface_room * 2, 4u);
		struct interface *more = realloc(r->interfaces, room * sizeof *more);
		if (!more)
			return error_set(e, -ENOMEM, "%s: no memory for its interfaces", r->input.name);
		r->interfaces = more;
		r->interface_room = room;
	}
	struct interface *i = &r->interfaces[r->interface_count];
	/* A section that follows has its interfaces again: the same number in the same file is the same tap. */
	bool known = r->interface_count < r->interface_taps;
	uint16_t tap = known ? i->tap : 0, nic = known ? i->nic : 0;
	*i = (struct interface){
	    .link_type = get16(at + 8, r->swapped), .snaplen = get32(at + 12, r->swapped), .tap = tap, .nic = nic};
	if (i->link_type == 12 || i->link_type == 14) /* see file_pcap.c */
		i->link_type = 101;
	set_resolution(i, 6);
	int x = read_interface_options(r, i, at + 16, at + len - 4, e);
	if (!x)
		x = filter_add_link_type(&r->set->filter, i->link_type, r->input.name, e);
	if (x)
		return x;
	if (r->interface_count == r->interface_taps) {
		if (r->set->tap == TAP_BY_INTERFACE && r->set->taps == INTERFACES_MAX)
			return error_set(e, -EINVAL, "%s: more than %u interfaces in all files: use one tap for all",
					 r->input.name, INTERFACES_MAX);
		i->tap = r->set->tap == TAP_BY_INTERFACE ? ++r->set->taps
			 : r->set->tap == TAP_BY_FILE    ? (uint16_t)(r->index + 1)
							 : 0;
		i->nic = ++r->set->nics;
		r->interface_taps++;
	}
	r->interface_count++;
	return 0;
}

/* Needs the first 12 bytes. */
static int check_section(struct reader *r, const uint8_t *at, struct error *e)
{
	uint32_t order = load_le32(at + 8);
	if (order != BYTE_ORDER_MAGIC && order != __builtin_bswap32(BYTE_ORDER_MAGIC))
		return damaged(r, at, e, "a section header with byte-order magic 0x%08x", order);
	r->swapped = order != BYTE_ORDER_MAGIC;
	uint32_t len = get32(at + 4, r->swapped);
	if (len < SECTION_SIZE_MIN || len % 4 || len > RECORD_MAX_BYTES)
		return damaged(r, at, e, "a section header that claims %u bytes", len);
	r->need = len;
	r->needed = "section header";
	return 0;
}

/* Needs the whole block. */
static int start_section(struct reader *r, const uint8_t *at, struct error *e)
{
	uint32_t len = get32(at + 4, r->swapped), again = get32(at + len - 4, r->swapped);
	uint16_t major = get16(at + 12, r->swapped), minor = get16(at + 14, r->swapped);
	if (again != len)
		return damaged(r, at, e, "a section header of %u bytes that says %u at its end", len, again);
	/* Some tools write 1.2, and mean 1.0. */
	if (major != 1 || (minor != 0 && minor != 2))
		return error_set(e, -ENOTSUP,
				 "%s: has a section of pcapng version %u.%u at byte %llu, only 1.0 can be read",
				 r->input.name, major, minor, reader_offset(r, at));
	r->interface_count = 0;
	r->at = at + len;
	return 0;
}

/* A packet block that is whole. 0 or -EBADMSG. */
static inline __attribute__((always_inline)) int read_packet(struct reader *r, struct frame *f, const uint8_t *at,
							     uint32_t type, uint32_t len, bool swapped, struct error *e)
{
	if (type == BLOCK_SIMPLE_PACKET) {
		if (len < SIMPLE_PACKET_SIZE_MIN)
			return damaged(r, at, e, "a packet block of only %u bytes", len);
		if (!r->interface_count)
			return damaged(r, at, e, "a packet block without an interface block before it");
		const struct interface *i = &r->interfaces[0];
		f->data = at + 12;
		f->wirelen = get32(at + 8, swapped);
		f->caplen = i->snaplen ? min_of(f->wirelen, i->snaplen) : f->wirelen;
		if (f->caplen > len - SIMPLE_PACKET_SIZE_MIN)
			return damaged(r, at, e, "a packet block of %u bytes with %u bytes captured", len, f->caplen);
		f->ts_ns = r->time_ns;
		f->link_type = i->link_type;
		f->tap = i->tap;
		f->nic = i->nic;
		return 0;
	}
	if (unlikely(len < PACKET_SIZE_MIN))
		return damaged(r, at, e, "a packet block of only %u bytes", len);
	uint32_t id = type == BLOCK_PACKET ? get16(at + 8, swapped) : get32(at + 8, swapped);
	if (unlikely(id >= r->interface_count))
		return damaged(r, at, e, "a packet of interface %u, but the section has %u interfaces so far", id,
			       r->interface_count);
	const struct interface *i = &r->interfaces[id];
	f->data = at + 28;
	f->caplen = get32(at + 20, swapped);
	f->wirelen = get32(at + 24, swapped);
	if (unlikely(f->caplen > len - PACKET_SIZE_MIN))
		return damaged(r, at, e, "a packet block of %u bytes with %u bytes captured", len, f->caplen);
	f->ts_ns = r->time_ns = time_of(i, (uint64_t)get32(at + 12, swapped) << 32 | get32(at + 16, swapped));
	f->link_type = i->link_type;
	f->tap = i->tap;
	f->nic = i->nic;
	return 0;
}

/* What is neither packet, nor section, nor interface. 1: go on; 0: more bytes are needed. */
static int skip_block(struct reader *r, uint32_t len, size_t left)
{
	if (len <= SKIP_WHOLE_MAX) {
		r->need = len;
		r->needed = "block";
		return 0;
	}
	r->skip = len - left;
	r->at = r->end;
	return 1;
}

/* Blocks up to `max` packets, or (0) to where the byte order changes. What changes the state (a section, an interface)
 * or is damaged ends a burst of frames, and is looked at again when these have been taken: so it happens at the same
 * place in the merge however much is read at a time. */
static inline __attribute__((always_inline)) int parse(struct reader *r, struct frame *frames, unsigned max,
						       bool swapped, struct error *e)
{
	unsigned n = 0;
	for (;;) {
		const uint8_t *at = r->at;
		size_t left = (size_t)(r->end - at);
		if (unlikely(left < BLOCK_SIZE_MIN)) {
			r->need = BLOCK_SIZE_MIN;
			r->needed = "block";
			return (int)n;
		}
		uint32_t type = get32(at, swapped), len = get32(at + 4, swapped);
		bool packet = type == BLOCK_ENHANCED_PACKET || type == BLOCK_SIMPLE_PACKET || type == BLOCK_PACKET;
		if (packet && n == max) {
			r->need = 0;
			return (int)n;
		}
		int x;
		if (unlikely(type == BLOCK_SECTION_HEADER)) {
			if (n)
				return (int)n;
			x = check_section(r, at, e);
			if (x)
				return x;
			if (left < r->need)
				return 0;
			x = start_section(r, at, e);
			if (x || r->swapped != swapped)
				return x;
			continue;
		}
		if (unlikely(len < BLOCK_SIZE_MIN || len % 4))
			return n ? (int)n : damaged(r, at, e, "a block of type 0x%x that claims %u bytes", type, len);
		if (unlikely(len > left)) {
			if (!packet && type != BLOCK_INTERFACE) {
				if (!skip_block(r, len, left))
					return (int)n;
				continue;
			}
			if (len > RECORD_MAX_BYTES)
				return n ? (int)n
					 : damaged(r, at, e, "a block of type 0x%x that claims %u bytes, more than %u",
						   type, len, RECORD_MAX_BYTES);
			r->need = len;
			r->needed = packet ? "packet block" : "interface block";
			return (int)n;
		}
		uint32_t again = get32(at + len - 4, swapped);
		if (unlikely(again != len))
			return n ? (int)n
				 : damaged(r, at, e, "a block of type 0x%x and %u bytes that says %u at its end", type,
					   len, again);
		if (likely(packet)) {
			x = read_packet(r, &frames[n], at, type, len, swapped, n ? NULL : e);
			if (unlikely(x))
				return n ? (int)n : x;
			n++;
		} else if (type == BLOCK_INTERFACE) {
			if (n)
				return (int)n;
			x = add_interface(r, at, len, e);
			if (x)
				return x;
		}
		r->at = at + len;
	}
}

static int parse_pcapng(struct reader *r, struct frame *frames, unsigned max, struct error *e)
{
	for (;;) {
		bool swapped = r->swapped;
		int n = swapped ? parse(r, frames, max, true, e) : parse(r, frames, max, false, e);
		/* Nothing, since a section begins that is written in the other byte order? */
		if (n || r->swapped == swapped)
			return n;
	}
}

int reader_start_pcapng(struct reader *r, struct error *e)
{
	if (load_le32(r->at) != BLOCK_SECTION_HEADER)
		return -EPROTO;
	r->need = BLOCK_SIZE_MIN;
	if (r->end - r->at < BLOCK_SIZE_MIN)
		return 0;
	int x = check_section(r, r->at, e);
	if (x)
		return x;
	if ((size_t)(r->end - r->at) < r->need)
		return 0;
	r->parse = parse_pcapng;
	x = start_section(r, r->at, e);
	return x ? x : 1;
}
