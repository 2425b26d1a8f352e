/* reassemble.h - IP fragments, within bounds.
 *
 * IPv4 (RFC 791, 815) and IPv6 (RFC 8200 §4.5; overlaps discard the packet, RFC 5722). By (source, destination,
 * protocol, id, tap, domain). Bounded in datagrams, in bytes of each and in time; what is given up is counted, frame by
 * frame. Overlapping IPv4 fragments: the first byte seen wins. Ordering and limits depend on nothing but the packets.
 * One thread.
 *
 * A fragment without a new byte is a duplicate: counted as such when it comes, and in no packet. A datagram that is
 * given up for an overlap, a contradiction (two ends, data behind the end, more than 65535 bytes) or a fragment that
 * the snap length cut is remembered until its time is up, and what still comes of it shares its cause. A fragment that
 * is wrong in itself is malformed alone. Always: frames = completed + expired + evicted + overlap + malformed + cut +
 * duplicate + held. A fragment that was itself put together (of a tunnel inside) counts as the frames it came in. */
#ifndef TS_CAPTURE_REASSEMBLE_H
#define TS_CAPTURE_REASSEMBLE_H

#include "decode.h"

struct reassemble_settings {
	uint64_t datagrams; /* at most this many under way */
	int64_t timeout_ns; /* RFC 791: 15 s to 2 min; default 30 s */
};
extern const struct option reassemble_options[];

struct reassemble_counters {
	uint64_t frames;           /* fragments that came in */
	uint64_t frames_completed; /* of datagrams that were completed: they are in packets */
	uint64_t frames_expired, frames_evicted, frames_overlap, frames_malformed, frames_cut; /* given up, by cause */
	uint64_t frames_duplicate; /* brought nothing new; their datagram may still complete */
	uint64_t frames_held;      /* now waiting */
	uint64_t datagrams;        /* completed */
};

struct reassemble;
/* Allocates here and never again. 0 or -ENOMEM. */
int reassemble_new(struct reassemble **ret_r, const struct reassemble_settings *settings);
struct reassemble *reassemble_free(struct reassemble *r);

/* Takes the fragment in d->fragment; p: what decode_frame gave. 1: the datagram is complete, *ret_ip and *ret_len hold
 * it (valid until the next call) and p->frames, wire_len, l3_len and flags count all its frames; 0: held or given up.
 */
int reassemble_fragment(struct reassemble *r, const struct decode_fragment *fragment, struct packet *p,
			const uint8_t **ret_ip, uint32_t *ret_len);
/* Gives up what is too old (as every fragment that comes does, by its own time). */
void reassemble_tick(struct reassemble *r, int64_t now_ns);
/* Gives up everything (end of input). */
void reassemble_finish(struct reassemble *r);
const struct reassemble_counters *reassemble_counters(const struct reassemble *r);

#endif
