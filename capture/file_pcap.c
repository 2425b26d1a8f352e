/* The pcap format (draft-ietf-opsawg-pcap), and what libpcap still reads of its relatives. */
#include "file_reader.h"

#include <errno.h>

#define MAGIC_US 0xa1b2c3d4u
#define MAGIC_NS 0xa1b23c4du
#define MAGIC_MODIFIED 0xa1b2cd34u /* records also have interface index, protocol and packet type */

#define FILE_HEADER_SIZE 24
#define RECORD_HEADER_SIZE 16
#define RECORD_HEADER_SIZE_MODIFIED 24

static int refuse_record(const struct reader *r, const uint8_t *at, uint32_t caplen, struct error *e)
{
	return error_set(e, -EBADMSG,
			 "%s: damaged at byte %llu: a packet record that claims %u captured bytes, more than %u",
			 r->input.name, reader_offset(r, at), caplen, RECORD_MAX_BYTES);
}

/* plain: in our byte order, with the usual header; all that can be known when compiling. */
static inline __attribute__((always_inline)) int parse(struct reader *r, struct frame *frames, unsigned max, bool plain,
						       struct error *e)
{
	const size_t header_size = plain ? RECORD_HEADER_SIZE : r->header_size;
	const uint8_t *at = r->at, *const end = r->end;
	const uint64_t fraction_ns = r->fraction_ns;
	const uint16_t link_type = r->link_type, tap = r->tap, nic = r->nic;
	unsigned n = 0;
	while (n < max) {
		size_t left = (size_t)(end - at);
		if (unlikely(left < header_size)) {
			r->need = header_size;
			r->needed = "packet record's header";
			break;
		}
		uint32_t seconds = load_le32(at), fraction = load_le32(at + 4);
		uint32_t caplen = load_le32(at + 8), wirelen = load_le32(at + 12);
		if (!plain) {
			if (r->swapped) {
				seconds = __builtin_bswap32(seconds);
				fraction = __builtin_bswap32(fraction);
				caplen = __builtin_bswap32(caplen);
				wirelen = __builtin_bswap32(wirelen);
			}
			if (r->lengths == LENGTHS_SWAPPED ||
			    (r->lengths == LENGTHS_MAYBE_SWAPPED && caplen > wirelen)) {
				uint32_t t = caplen;
				caplen = wirelen;
				wirelen = t;
			}
		}
		if (unlikely(caplen > left - header_size)) {
			if (caplen > RECORD_MAX_BYTES) {
				if (!n)
					return refuse_record(r, at, caplen, e);
				break;
			}
			r->need = header_size + caplen;
			r->needed = "packet record";
			break;
		}
		struct frame *f = &frames[n++];
		f->data = at + header_size;
		f->caplen = caplen;
		f->wirelen = wirelen;
		/* Both unsigned: years up to 2106; a fraction of more than a second, as broken writers have it, adds
		 * up. */
		f->ts_ns = (int64_t)(seconds * (uint64_t)NS_PER_S + fraction * fraction_ns);
		f->link_type = link_type;
		f->tap = tap;
		f->nic = nic;
		at += header_size + caplen;
	}
	r->at = at;
	return (int)n;
}

static int parse_plain(struct reader *r, struct frame *frames, unsigned max, struct error *e)
{
	return parse(r, frames, max, true, e);
}

static int parse_any(struct reader *r, struct frame *frames, unsigned max, struct error *e)
{
	return parse(r, frames, max, false, e);
}

/* The low 16 bits; above them are the length of the FCS and reserved bits. In 12 and 14 some systems without LINKTYPE_
 * values wrote their DLT_RAW. */
static uint16_t link_type_of(uint32_t network)
{
	uint16_t link_type = (uint16_t)network;
	return link_type == 12 || link_type == 14 ? 101 : link_type;
}

int reader_start_pcap(struct reader *r, struct error *e)
{
	uint32_t magic = load_le32(r->at);
	r->swapped = magic != MAGIC_US && magic != MAGIC_NS && magic != MAGIC_MODIFIED;
	if (r->swapped)
		magic = __builtin_bswap32(magic);
	if (magic != MAGIC_US && magic != MAGIC_NS && magic != MAGIC_MODIFIED)
		return -EPROTO;
	r->need = FILE_HEADER_SIZE;
	if (r->end - r->at < FILE_HEADER_SIZE)
		return 0;
	uint16_t major = load_le16(r->at + 4), minor = load_le16(r->at + 6);
	uint32_t network = load_le32(r->at + 20);
	if (r->swapped) {
		major = __builtin_bswap16(major);
		minor = __builtin_bswap16(minor);
		network = __builtin_bswap32(network);
	}
	/* 2.4 since 1996. Before 2.3 the two lengths were the other way round, in 2.3 either way; and so in 543.0,
	 * which DG/UX wrote. */
	bool dgux = major == 543 && minor == 0;
	if (!dgux && major != 2)
		return error_set(e, -ENOTSUP, "%s: is a pcap file of version %u.%u, only 2.x can be read",
				 r->input.name, major, minor);
	r->lengths = dgux || minor < 3 ? LENGTHS_SWAPPED : minor == 3 ? LENGTHS_MAYBE_SWAPPED : LENGTHS_NORMAL;
	r->fraction_ns = magic == MAGIC_NS ? 1 : 1000;
	r->header_size = magic == MAGIC_MODIFIED ? RECORD_HEADER_SIZE_MODIFIED : RECORD_HEADER_SIZE;
	r->link_type = link_type_of(network);
	int x = filter_add_link_type(&r->set->filter, r->link_type, r->input.name, e);
	if (x)
		return x;
	if (r->set->tap == TAP_BY_FILE)
		r->tap = (uint16_t)(r->index + 1);
	else if (r->set->tap == TAP_BY_INTERFACE)
		r->tap = ++r->set->taps;
	r->nic = ++r->set->nics;
	bool plain = !r->swapped && r->lengths == LENGTHS_NORMAL && r->header_size == RECORD_HEADER_SIZE;
	r->parse = plain ? parse_plain : parse_any;
	r->at += FILE_HEADER_SIZE;
	return 1;
}
