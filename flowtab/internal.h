/* internal.h - what the files of flowtab share: the second tier, the index, the shard, and the table.
 *
 * table.c reserves; flowtab.c owns entries, quotas, timers and eviction; tcp.c the state machine and performance;
 * stream.c the bytes in order; report.c makes records; settings.c holds options and names. All run on the table's one
 * thread but flowtab_view(). */
#ifndef TS_FLOWTAB_INTERNAL_H
#define TS_FLOWTAB_INTERNAL_H

#include "flowtab.h"
#include "hash.h"

enum { IP_ICMP = 1, IP_TCP = 6, IP_UDP = 17, IP_ICMPV6 = 58, IP_SCTP = 132 };

enum flow_flag {
	FLOW_SEEN_0 = 1 << 0, /* packets of direction 0; << direction */
	FLOW_SEEN_1 = 1 << 1,
	FLOW_SYN_0 = 1 << 2, /* a SYN of direction 0, with or without ACK; << direction */
	FLOW_SYN_1 = 1 << 3,
	FLOW_FIN_0 = 1 << 4,
	FLOW_FIN_1 = 1 << 5,
	FLOW_FIRST_1 = 1 << 6, /* the first packet went in direction 1 */
	FLOW_RST_1 = 1 << 7,   /* the RST that ended the flow went in direction 1 */
	FLOW_TRUNCATED = 1 << 8,
	/* FLOW_GAPS = 1 << 9, see flowtab.h */
	FLOW_FROZEN = 1 << 10,    /* a record has left: client and server stay */
	FLOW_CORRECTED = 1 << 11, /* evidence against the frozen orientation */
	FLOW_BYTES_OFF = 1 << 12, /* flow_stream_off() */
	FLOW_NO_TCP = 1 << 13,    /* the second tier was refused */
	FLOW_TOUCHED = 1 << 14,   /* packets since its timer was armed */
	FLOW_KEPT = 1 << 15,      /* in CLASS_KEPT */
	FLOW_LINK = 1 << 16,      /* its struct flow_link is in use */
	FLOW_TALKED_0 = 1 << 17,  /* the last new data went in direction 0; << direction */
	FLOW_TALKED_1 = 1 << 18,
	FLOW_TALKED = FLOW_TALKED_0 | FLOW_TALKED_1,
	FLOW_HANDSHAKE = 1 << 19, /* the ACK of the SYN-ACK was seen */
	FLOW_MAC = 1 << 20,       /* mac_source and mac_target are known */
	FLOW_COPIES = 1 << 21,    /* has copies: see struct flow_copies */
};

/* What is evicted first: CLASS_CHEAP holds connections not yet or no longer open and one-way datagrams. A flood of
 * these pushes out its own kind and never an established flow. */
enum flow_class { CLASS_CHEAP, CLASS_KEPT, CLASSES };

/* What few flows have; beside each entry, with its index, and touched only where FLOW_LINK is set. */
struct flow_link {
	uint16_t vlan[PACKET_VLANS]; /* of the first packet, as are tunnels */
	uint16_t vlan_count;
	uint16_t nic;          /* of the first packet, where it is not the key's observation point; else 0 */
	uint32_t tunnel;       /* first of a chain in the pool of tunnels, POOL_NONE */
	uint32_t fragments;    /* since the last record */
	uint32_t bad_checksum; /* since the last record */
};
_Static_assert(sizeof(struct flow_link) == 24, "small");

/* Copies of its packets since the last record; beside each entry, with its index, and touched only where there are any.
 */
struct flow_copies {
	int64_t delay_sum, delay_max;
	uint32_t count, delay_count;
};

struct flow_tunnel {
	struct tunnel tunnel;
	uint32_t next;
};

/* Stream bytes that wait for what is missing before them. */
#define SEGMENT_BYTES 488 /* three hold an Ethernet-sized segment */
enum segment_kind {
	SEGMENT_DATA,
	SEGMENT_SKIPPED, /* within a skip: only its range is kept */
	SEGMENT_MISSING, /* cut off by the snap length */
};
struct segment {
	uint32_t next;
	uint32_t seq;
	uint32_t len : 30, kind : 2;
	uint32_t ack;
	int64_t ts_ns;
	uint8_t data[SEGMENT_BYTES];
};
_Static_assert(sizeof(struct segment) == 512, "eight cache lines");

enum tcp_side_flag {
	SIDE_KNOWN = 1 << 0,     /* next */
	SIDE_ISN = 1 << 1,       /* isn */
	SIDE_ACK = 1 << 2,       /* ack, last_ack, window */
	SIDE_FIN = 1 << 3,       /* fin */
	SIDE_STARTED = 1 << 4,   /* stream_next */
	SIDE_ENDED = 1 << 5,     /* end() was told */
	SIDE_DATA = 1 << 6,      /* has sent data */
	SIDE_SRT = 1 << 7,       /* srt_seq waits for its bare ACK */
	SIDE_KEEPALIVE = 1 << 8, /* its last packet was a keep-alive probe */
	SIDE_SCALE = 1 << 9,     /* scale, from its SYN */
	SIDE_RETRANS = 1 << 10,  /* the packet at hand repeats what was seen */
	SIDE_ACK_ONE = 1 << 11,  /* ack last moved by one: what it acknowledges is perhaps a FIN */
	SIDE_SKIP = 1 << 12,     /* tcp_rest.skip is not 0 */
	SIDE_HELD = 1 << 13,     /* segments are held, see tcp_trouble */
	SIDE_HOLES = 1 << 14,    /* holes are known, see tcp_trouble */
};

/* The second tier, in three parts by how many flows and packets need them. The first: two cache lines, which nearly
 * every packet touches. One direction, what its sender sent: */
struct tcp_side {
	uint32_t next;        /* highest sequence number sent, plus one */
	uint32_t ack;         /* highest acknowledgment number sent */
	uint32_t last_ack;    /* in its last packet */
	uint32_t stream_next; /* first byte not given yet */
	uint32_t srt_seq;     /* end of its last new data */
	uint32_t isn;
	uint32_t fin;        /* sequence number of its FIN: where its data end */
	uint16_t window;     /* in its last packet, not scaled */
	uint16_t window_max; /* not scaled */
	uint16_t flags;      /* enum tcp_side_flag */
	uint8_t scale, dup_acks, strange;
	int64_t next_ns; /* when next moved */
	int64_t ack_ns;  /* its last packet with ACK */
	int64_t data_ns; /* its last new data */
};
_Static_assert(sizeof(struct tcp_side) == 64, "one cache line");

struct tcp {
	cacheline_aligned struct tcp_side side[2];
};

enum { RTT_SERVER = 1, RTT_CLIENT = 2, RTT_BOTH = 4 };

/* By direction, since the last record. */
struct samples {
	int64_t sum[2], max[2];
	uint32_t count[2];
};

/* The second part, of the same index: what packets that carry data, or begin a connection, touch as well. */
struct tcp_rest {
	/* When the last SYN came, until it is known how long its answer took; likewise the SYN-ACK. */
	union {
		int64_t syn_ns, rtt_server_ns;
	};
	union {
		int64_t synack_ns, rtt_client_ns;
	};
	uint64_t skip[2];                            /* by direction */
	struct samples srt;                          /* its data segments to the peer's bare ACKs */
	struct samples turn;                         /* last data of the peer to its first data */
	uint32_t keepalive[2];                       /* by direction, since the last record */
	uint32_t syn_count, synack_count, fin_count; /* since the last record */
	uint32_t trouble;                            /* index of the third part, POOL_NONE */
	uint16_t handshake_window;                   /* of the ACK of the SYN-ACK */
	uint8_t syn_direction;                       /* of syn_ns; 2: none */
	uint8_t rtt_known : 3, rtt_reported : 3;     /* RTT_SERVER, RTT_CLIENT; RTT_BOTH: and their sum */
	uint8_t synack_seen : 1;
};
_Static_assert(sizeof(struct tcp_rest) == 144, "two and a quarter cache lines");

#define TCP_HOLES 3
#define SEQUENCE_FAR (1 << 30) /* the largest window there is (RFC 7323); what is further off is not of this flow */

/* The third: only flows have it in which something was lost, repeated or out of order, or a window was closed. */
struct tcp_trouble {
	struct trouble_side {
		uint64_t gap_bytes, gap_reported;
		uint32_t head, tail, held;                       /* segments held, by sequence number */
		uint32_t retrans, ooo, zero_window, ack_retrans; /* since the last record */
		uint32_t holes;
		struct {
			uint32_t from, to;
		} hole[TCP_HOLES]; /* never seen, below next; ascending */
	} side[2];
};

#define TIME_MAX (INT64_MAX / 2) /* of a packet: leaves room for every timeout */
#define TICK_OF(ns) ((ns) / WHEEL_TICK_NS)
#define TICK_FROM(ns) (((ns) + WHEEL_TICK_NS - 1) / WHEEL_TICK_NS) /* the first tick at or after */

/* The index: buckets of one cache line. A key's home is found from its hash; entries that found their home full went on
 * to the next buckets, and each bucket passed counts them in `overflow`, so that a search knows where to end. */
#define BUCKET_ENTRIES 10
struct bucket {
	uint16_t tag[BUCKET_ENTRIES]; /* from the hash; 0: free */
	uint16_t overflow;
	uint16_t reserved;
	uint32_t entry[BUCKET_ENTRIES];
};
_Static_assert(sizeof(struct bucket) == 64, "one cache line");

struct shard {
	struct quota flows, tcp, trouble, segments, tunnels;
	struct wheel *wheel[CLASSES]; /* whose first is who leaves first when there is no room */
};

/* Flows that are about to leave, in their order: what they touch is fetched while others leave. Only a hint. */
#define FLOWS_AHEAD 4
struct flows_ahead {
	uint32_t index[FLOWS_AHEAD];
	unsigned count;
};

struct flowtab {
	uint64_t admit_mask; /* flowtab_admit() */
	struct bucket *buckets;
	uint32_t bucket_count;
	struct pool flows, links, tcp, tcp_rest, trouble, segments, tunnels, copies;
	int64_t now_ns;
	int64_t before_ns;                        /* the time of the packet before this one of the flow at hand */
	int64_t interval_from_ns, interval_to_ns; /* the report interval that the last time asked about lies in */
	int64_t interval_ns;
	int64_t timeout_ns[FLOW_STATES];
	struct flowtab_settings settings;
	uint32_t held_max; /* segments of one direction of a flow */
	const struct flow_calls *calls;
	void *ctx;
	struct flowtab_counters counters;
	size_t buckets_bytes;
	unsigned shard_count, shards_used;
	struct shard *shards;
	struct flows_ahead ahead;  /* of the wheel that advances */
	uint16_t shard_at[SHARDS]; /* place in shards, SHARD_NONE */
	int64_t due[SHARDS];       /* lower bound of the tick at which a timer of the shard fires */
	struct flow_record record;
};
#define SHARD_NONE UINT16_MAX

static inline struct flow *flow_at(const struct flowtab *t, uint32_t index)
{
	return pool_at(&t->flows, index);
}

/* Where FLOW_LINK is set. */
static inline struct flow_link *flow_link_of(const struct flowtab *t, const struct flow *f)
{
	return pool_at(&t->links, pool_index(&t->flows, f));
}

static inline struct tcp *flow_tcp(const struct flowtab *t, const struct flow *f)
{
	return f->tcp == POOL_NONE ? NULL : pool_at(&t->tcp, f->tcp);
}

/* Of a flow that has a second tier. */
static inline struct tcp_rest *flow_rest(const struct flowtab *t, const struct flow *f)
{
	return pool_at(&t->tcp_rest, f->tcp);
}

/* What is there of it; NULL where there is none. */
static inline struct trouble_side *flow_trouble(const struct flowtab *t, const struct flow *f, unsigned direction)
{
	const struct tcp_rest *m = flow_rest(t, f);
	return m->trouble == POOL_NONE ? NULL
				       : &((struct tcp_trouble *)pool_at(&t->trouble, m->trouble))->side[direction];
}

static inline struct shard *flow_shard(const struct flowtab *t, const struct flow *f)
{
	return &t->shards[t->shard_at[f->shard]];
}

/* a after b, in the arithmetic of sequence numbers */
static inline int32_t seq_diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

/* A change of an entry's public part. Nothing that calls out may lie between begin and end. */
static inline void flow_change_begin(struct flow *f)
{
	publish(f->sequence, f->sequence + 1);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

#ifdef FLOWTAB_SELF_CHECK
uint32_t flow_check(const struct flow *f);
#endif

static inline void flow_change_end(struct flow *f)
{
#ifdef FLOWTAB_SELF_CHECK
	publish(f->check, flow_check(f));
#endif
	__atomic_store_n(&f->sequence, f->sequence + 1, __ATOMIC_RELEASE);
}

/* flowtab.c: a state of the TCP machine; also moves the timer and the class of eviction where they depend on it. */
void flow_set_state(struct flowtab *t, struct flow *f, enum flow_state state);
/* Evidence that `end` is the client. */
void flow_orient(struct flow *f, unsigned end, unsigned score);

/* tcp.c. True: the connection is closed by this packet. */
bool tcp_packet(struct flowtab *t, struct flow *f, const struct packet *p, int64_t ts_ns);
/* The first packet of a flow: the state it begins in. */
enum flow_state tcp_first_state(const struct packet *p);
/* Whether a SYN belongs to another connection than f. */
bool tcp_is_reuse(const struct flowtab *t, const struct flow *f, const struct packet *p);
void tcp_free(struct flowtab *t, struct flow *f);
/* The same as flow_trouble(), made where there was none. NULL: no room, the flow is truncated. */
struct trouble_side *tcp_trouble_make(struct flowtab *t, struct flow *f, unsigned direction);
/* A record has left: what it told is told. */
void tcp_trouble_told(struct flowtab *t, struct flow *f);

/* stream.c. `direction` is that of the bytes. */
void stream_start(struct tcp_side *s, uint32_t seq);
void stream_bytes(struct flowtab *t, struct flow *f, struct tcp *c, unsigned direction, uint32_t seq,
		  const struct packet *p, int64_t ts_ns);
void stream_acked(struct flowtab *t, struct flow *f, struct tcp *c, unsigned direction, int64_t ts_ns);
void stream_fin(struct flowtab *t, struct flow *f, struct tcp *c, unsigned direction, int64_t ts_ns);
/* A jump of the sequence numbers that nothing explains: what lies between is missing. */
void stream_jump(struct flowtab *t, struct flow *f, struct tcp *c, unsigned direction, uint32_t seq, int64_t ts_ns);
/* Gives what is held, with gaps for what is missing. */
void stream_flush(struct flowtab *t, struct flow *f, struct tcp *c, int64_t ts_ns);
void stream_drop(struct flowtab *t, struct flow *f, struct tcp *c);

/* report.c: makes the record of what happened since the last one, gives it away, and begins a new span. */
void flow_report(struct flowtab *t, struct flow *f, enum close_type close_type, bool last);

#endif
