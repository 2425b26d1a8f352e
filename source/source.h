/* source.h - frames of live sources: AF_PACKET, AF_XDP, libpcap, DPDK.
 *
 * A source is one NIC (or the like) with one queue a worker. Where it can, it hands each frame to the queue that owns
 * the virtual shard of its inner five-tuple (base/shard_hash.h, with the salt given here; shard s belongs to queue
 * s % queues), so that all packets of a conversation, both directions, meet on one worker; fragments go by (source,
 * destination, protocol, id). A source that cannot says so with SOURCE_UNSTEERED, and the engine hands packets over.
 *
 * open() and close() belong to the control thread; receive(), release() and descriptor() of a queue to its worker;
 * counters() to any thread, at any time. Frames are borrowed: they stay where they are until they are released, in the
 * order in which they came. Nothing here allocates after open().
 *
 * Time. Frames carry the time that the source gives them (`clock`), in ns since 1970. A frame may come out up to
 * lateness_ns after its time; frames of one queue come in the order of their times, as far as the source knows. */
#ifndef TS_SOURCE_SOURCE_H
#define TS_SOURCE_SOURCE_H

#include "error.h"
#include "packet.h"

struct source;

enum source_kind { SOURCE_AF_PACKET, SOURCE_AF_XDP, SOURCE_PCAP, SOURCE_DPDK, SOURCE_KINDS };
extern const char *const source_kind_names[SOURCE_KINDS]; /* "af_packet", … as in the configuration */

enum source_flag {
	SOURCE_UNSTEERED = 1, /* a flow's packets may come from any queue */
	SOURCE_BUSY = 2,      /* has no descriptor to sleep on: call receive() again and again */
};

enum source_clock {
	CLOCK_SOFTWARE /* the kernel's realtime */,
	CLOCK_NIC /* PTP */,
	CLOCK_POLL /* when it was read */
};

struct source_options {
	const char *nic;    /* name of the interface; of DPDK see dpdk.h */
	int netns;          /* descriptor of its network namespace; -1: the caller's */
	unsigned queues;    /* as many as workers, 1 … 64 */
	uint64_t salt;      /* of the shard hash */
	const char *filter; /* libpcap's language; NULL or "": everything */
	uint32_t snaplen;   /* 0: whole frames, whatever their size (GSO super-frames pass 64 KiB) */
	bool promiscuous;   /* set while the source is open */
	bool nic_clock;     /* AF_PACKET: frames that come in have the NIC's time, which is to be kept to UTC; what this
			     * host sends has the kernel's. Not to be had: -ENOTSUP */
	uint64_t ring_bytes; /* of each queue */
	int64_t block_ns;    /* AF_PACKET: a block that is not full comes out after this long */
	/* What decode opens, so that the kernel finds the same five-tuple: its settings of these names. */
	uint64_t decap_type; /* bit (1 << enum tunnel_type); one more for VXLAN with a service header */
	unsigned vxlan_port_count;
	uint16_t vxlan_ports[8];
};

/* All counted since open(), each where it happens; never derived from one another. What a source has no such place for
 * stays 0. The ledger of a source: seen = unwanted + filtered + kernel_dropped + ring_dropped + received + in flight.
 */
struct source_counters {
	uint64_t seen;     /* frames that reached the source's first own place of counting, wanted or not */
	uint64_t unwanted; /* second sight of a frame: loopback's copy */
	uint64_t filtered; /* rejected by the filter */
	uint64_t
	    kernel_dropped; /* no room in the ring (AF_PACKET tp_drops, pcap ps_drop, DPDK imissed, XDP rx_dropped …) */
	uint64_t
	    ring_dropped;  /* dropped in our own or another process's ring, no buffer (DPDK rx_nombuf, XDP fill ring) */
	uint64_t received; /* given out by receive() */
	uint64_t bytes;    /* wire bytes of these */
	uint64_t losing;   /* blocks or polls that reported a loss: how often, rather than how many */
	/* The NIC's own, where it has any (sysfs statistics, DPDK port statistics), for comparison only. */
	uint64_t nic_packets, nic_dropped;
};

struct source_ops {
	enum source_kind kind;
	/* 0; -errno with e saying what failed and the mend: -ENODEV no such NIC, -EPERM (which capability is missing),
	 * -EINVAL a filter that does not compile (naming the place), -EBUSY. */
	int (*open)(struct source **ret_source, const struct source_options *options, struct error *e);
	/* Fills up to `max` frames (data, lengths, ts_ns, link_type; ordinal and tap are the caller's). Never waits.
	 * 0: nothing there; -ENOBUFS: all that the ring can hold is borrowed, release some; -ENETDOWN: the NIC is down
	 * (call again, it comes back); -ENODEV: the NIC is gone for good, close the source. */
	int (*receive)(struct source *s, unsigned queue, struct frame *ret_frames, unsigned max);
	/* The `count` frames that were received first are no longer needed. */
	void (*release)(struct source *s, unsigned queue, unsigned count);
	/* To poll() for POLLIN. -1: there is none; then with SOURCE_BUSY call receive() again and again, without it
	 * nothing ever comes on this queue. */
	int (*descriptor)(const struct source *s, unsigned queue);
	/* Cumulative, all queues together. */
	void (*counters)(struct source *s, struct source_counters *ret_counters);
	/* From now on nothing new comes in (what is in the rings still comes out); then seen stands still. Control
	 * thread, while workers receive. */
	void (*stop)(struct source *s);
	struct source *(*close)(struct source *s); /* NULL */
};

struct source {
	const struct source_ops *ops; /* first */
	unsigned queues;
	unsigned flags; /* enum source_flag */
	enum source_clock clock;
	int64_t lateness_ns;
};

/* The sources built in. DPDK's is a module that is loaded when it is first asked for; NULL with e where it cannot be.
 */
const struct source_ops *source_find(enum source_kind kind, struct error *e);

#endif
