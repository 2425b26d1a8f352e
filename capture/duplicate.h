/* duplicate.h - which packets are copies of packets that were seen before.
 *
 * Mirrors show a packet more than once: at two NICs, before and behind a router (TTL, MAC addresses and header checksum
 * differ), with a VLAN tag or in a tunnel and without, or twice at one place in all bits alike (a SPAN session of both
 * directions of two ports gives each packet once as it comes in and once as it leaves). Every packet that decode makes
 * goes in here before the flow table sees it. It is either new or a copy; copies are counted and go no further.
 *
 * Words
 *   face      what all sights of a packet show alike: flow, direction, payload length, IPv4 identification; of TCP
 *             sequence and acknowledgment number, flags, window, options (of a SYN neither window nor options, which
 *             gateways change); of everything else the other header fields and the captured payload. Not TTL, traffic
 *             class and checksums.
 *   path      where a sight was made: NIC, VLAN ids, tunnels with their ids and ends, MAC addresses, TTL.
 *   sending   a packet that its sender sent once. A retransmission, or a duplicate ACK without an identification of its
 *             own, is another sending with the same face.
 *
 * Rules. Sights of one face belong together while the last sending is no older than window_ns. Which of them show the
 * same sending is decided by the first rule that fits:
 *
 * 1. They certainly show one sending:
 *    - IPv4 with an identification other than 0, from a sender that changes it from packet to packet, and neither SYN
 *      nor data nor FIN (of which a few senders repeat the identification as well);
 *    - SYN, with or without ACK: no timer that repeats it is as short as window_ns;
 *    - data and FIN that come again within 1 ms, before anything new went the other way: no acknowledgment can have
 *      asked for them, and no timer is as short. Where the other way is not seen at all, nothing new of their own way
 *      may have come in between either, since what is asked for again is asked for by what follows it.
 *    Of the latter two, what a path shows more than 10 ms later than its last sight is another sending.
 * 2. On different paths: a path shows a packet as often as it was sent. So the nth sending on one path is the nth on
 *    the other, and what is new is what is seen on some path more often than on any before.
 * 3. On one path: the path shows each sending m times, within 10 ms. m is known from what is certain, on this path, in
 *    this direction of this flow. A flow that has not shown it yet takes it from earlier flows of its virtual shard on
 *    the same path, if at least four packets in a row were seen several times there and none once. Else m is 1:
 *    everything is new. But data and FIN with an identification (as in 1.) are copies unless the flow, or else the
 *    path, has shown packets once.
 *
 * This errs towards keeping. What cannot be told apart:
 *    - A packet without identification (IPv6; IPv4 with 0) that is neither SYN nor data nor FIN, seen again on a path
 *      of which nothing is known: kept, and may be a copy. So may data without identification on such a path whose
 *      second sight comes later than the acknowledgment.
 *    - A path that is more than 30 sendings of one face behind another, as in long runs of such ACKs: some are kept.
 *    - A sender that sends each datagram several times in all bits alike, within 10 ms, from a path that shows each
 *      datagram several times: after four of them it is the path. And one that sends a SYN several times within 10 ms,
 *      as scanners do: copies.
 *    - A packet without identification that is sent again, within window_ns and more than 1 ms later, and the second
 *      time by another route than the first, with both routes seen: taken for a copy, unless the flow has shown that
 *      its packets are seen on the first route alone. (Routes that change while nothing is lost do no harm.)
 *    - A path that shows each packet twice, and no longer does: until two packets were seen once, what is sent again
 *      within 10 ms without identification is taken for a copy.
 *    - A packet without identification that was sent twice within window_ns, when mirrors have lost sights of both
 *      sendings, but no path (or, on one that shows each m times, not m sights of one) shows two: taken for one.
 *    - Clocks of NICs that differ by more than a round trip, with data without identification: what asked for the
 *      retransmission seems to come after it.
 *    - What changes on its way beyond the above is another packet: address translation, proxies, another segmentation
 *      (the sending host sees one large segment where the wire has forty), another snap length.
 *
 * IP fragments are looked at before reassembly, duplicates_fragment(), since copies of them would begin datagrams that
 * never complete; and the datagram once more after it, since one path may show it whole and another in fragments.
 *
 * Memory is bounded by settings.max_groups and max_talks, in equal parts for all virtual shards: what a shard forgets
 * early (counted) is the oldest. No state crosses shards, and no clock is read: the result does not depend on the
 * number of workers. One thread for each struct duplicates. */
#ifndef TS_CAPTURE_DUPLICATE_H
#define TS_CAPTURE_DUPLICATE_H

#include "decode.h"
#include "error.h"
#include "option.h"
#include "packet.h"

enum duplicate_enabled { DEDUP_AUTO, DEDUP_ON, DEDUP_OFF };

struct duplicate_settings {
	unsigned enabled; /* enum duplicate_enabled */
	bool disabled;    /* DeepFlow's option: off, whatever `enabled` says */
	int64_t window_ns;
	/* Derived by engine from the above and from max_memory, over all shards together; not options themselves. */
	bool active;
	uint32_t max_groups, max_talks; /* faces remembered; flows of which something is known */
};
extern const struct option duplicate_options[];

/* Whether duplicates are removed: `auto` means in live capture only. */
bool duplicates_wanted(const struct duplicate_settings *s, bool live);
/* Sets max_groups and max_talks so that everything fits into `bytes`. */
void duplicates_share_memory(struct duplicate_settings *s, uint64_t bytes);

enum duplicate_verdict {
	DUPLICATE_NEW,        /* goes on to the flow table */
	DUPLICATE_OTHER_PATH, /* copy: its first sight on this path */
	DUPLICATE_SAME_PATH,  /* copy: this path has shown it already */
};

struct duplicate_sight {
	enum duplicate_verdict verdict;
	uint16_t nic;     /* of the sight that was new; for a copy */
	int64_t delay_ns; /* between that sight and this one, >= 0; -1: not known, or not of DUPLICATE_OTHER_PATH */
};

struct duplicate_counters {
	uint64_t packets;    /* looked at */
	uint64_t other_path; /* copies, by verdict */
	uint64_t same_path;
	uint64_t forgotten;       /* faces that left before their time: no room */
	uint64_t flows_forgotten; /* flows whose knowledge left, no room */
};

struct duplicates;

/* shards: how many of the virtual shards it will be asked about, at most SHARDS; the first so many that come. seed:
 * unpredictable in live capture, so that nobody can choose faces that collide; decides nothing. Allocates here and
 * never again. 0 or -ENOMEM, -EINVAL. */
int duplicates_new(struct duplicates **ret_d, const struct duplicate_settings *settings, unsigned shards,
		   uint64_t seed);
struct duplicates *duplicates_free(struct duplicates *d);

#define DUPLICATES_BURST 32
/* Decides on up to DUPLICATES_BURST packets, in order. Of a shard, packets come in the order of their times, nearly. */
void duplicates_check(struct duplicates *d, const struct packet *const *packets, unsigned count,
		      struct duplicate_sight *ret_sights);
/* The same for one fragment: p and f as decode_frame() gave them with DECODE_FRAGMENT. A struct duplicates of its own,
 * beside the reassembly. */
void duplicates_fragment(struct duplicates *d, const struct packet *p, const struct decode_fragment *f,
			 struct duplicate_sight *ret_sight);

const struct duplicate_counters *duplicates_counters(const struct duplicates *d);
/* Bytes touched. */
uint64_t duplicates_memory(const struct duplicates *d);

#endif
