/* file_reader.h - one capture file as a stream of frames. Private to capture/file*.c.
 *
 * A reader fills blocks with large reads; its format's parse function makes frames that point into the block, without
 * copying. A record that the block's end cuts is moved to the front of the next block; nothing else is ever moved. The
 * whole frames before a damaged place always come first, the error when they have been taken. */
#ifndef TS_CAPTURE_FILE_READER_H
#define TS_CAPTURE_FILE_READER_H

#include "file.h"
#include "file_block.h"
#include "file_filter.h"
#include "file_input.h"

/* More than any capture tool writes for one packet: a longer record means that the file is damaged there. */
#define RECORD_MAX_BYTES ((uint32_t)64 << 20)

/* Time stamps are kept within this, so that the difference of any two fits in an int64_t: the years 1823 to 2116. */
#define FRAME_TIME_MAX_NS ((INT64_C(1) << 62) - 1)

/* What the files of a merge share. */
struct reader_set {
	struct input_set inputs;
	struct block_pool blocks;
	struct filter filter;
	enum capture_tap tap;
	uint16_t taps; /* numbers given so far, TAP_BY_INTERFACE */
	uint16_t nics; /* interfaces of all files so far; a number of its own for each, up to 65535 */
};

/* pcapng: an interface of the present section. */
struct interface {
	enum { TIME_MULTIPLY, TIME_DIVIDE, TIME_BINARY } time_unit;
	unsigned time_shift; /* TIME_BINARY: a unit is 2^-time_shift s */
	uint64_t
	    time_factor; /* TIME_MULTIPLY: ns a unit; TIME_DIVIDE: units a ns, 0 where no time stamp reaches 1 ns */
	int64_t time_offset_ns;
	uint32_t snaplen; /* 0: no limit */
	uint16_t link_type, tap, nic;
};

struct reader {
	const uint8_t *at, *end; /* bytes not parsed yet, in block */
	struct block *block;
	/* Fills up to `max` frames, all but the ordinal. >0: how many; 0: there have to be `need` bytes from `at` to go
	 * on (or, with max 0 and need 0, a packet is next); -errno with e: what is at `at` is no good. */
	int (*parse)(struct reader *r, struct frame *ret_frames, unsigned max, struct error *e);
	size_t need;
	const char *needed;  /* what `need` is the size of, for messages */
	uint64_t skip;       /* bytes of a block nobody looks at, still to come */
	uint64_t end_offset; /* of `end` in the file, uncompressed */
	bool done;

	bool swapped;         /* written in the other byte order */
	uint16_t link_type;   /* pcap */
	uint16_t tap, nic;    /* pcap */
	uint32_t fraction_ns; /* pcap: unit of the fractional part of a time stamp */
	uint32_t header_size; /* pcap: of a record's header */
	enum { LENGTHS_NORMAL, LENGTHS_SWAPPED, LENGTHS_MAYBE_SWAPPED } lengths; /* pcap: in very old files */

	struct interface *interfaces; /* pcapng */
	uint32_t interface_count, interface_room, interface_taps;
	int64_t time_ns; /* pcapng: of the last frame that had one */

	struct reader_set *set;
	unsigned index; /* of the file, from 0 */
	struct input input;
};

/* Opens the file, reads its header and, of pcapng, all up to the first packet. 0 or -errno with e; then nothing is left
 * to close. */
int reader_open(struct reader *r, struct reader_set *set, unsigned index, const char *path, struct error *e);
/* Up to `max` frames; 0: the end. -EBADMSG, -EIO, …: the file ends here, with e. -ENOBUFS: release frames, call
 * again. -EAGAIN: a signal came, call again. */
int reader_read(struct reader *r, struct frame *ret_frames, unsigned max, struct error *e);
void reader_close(struct reader *r);

/* The formats. With the header at r->at (at least 4 bytes; r->need more are asked for as in parse): 1: it is this
 * format and all is set; 0: more bytes are needed; -EPROTO: not this format; -errno with e. */
int reader_start_pcap(struct reader *r, struct error *e);
int reader_start_pcapng(struct reader *r, struct error *e);

/* The offset in the file of a byte in the block. */
static inline unsigned long long reader_offset(const struct reader *r, const uint8_t *p)
{
	return (unsigned long long)(r->end_offset - (uint64_t)(r->end - p));
}

#endif
