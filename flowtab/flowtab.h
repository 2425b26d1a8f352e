/* flowtab.h - the flow table of one worker.
 *
 * Packets go in one by one, in order; in-order stream bytes, ticks of flows and flow records come out through
 * callbacks, on the same thread, before the call returns. Everything that decides anything (quotas, timers, order of
 * eviction) is kept by virtual shard, so that the result does not depend on how shards are spread over workers.
 *
 * An entry has three tiers. The first (struct flow, 192 bytes) is what every flow costs; 24 bytes beside it are touched
 * only where packets have VLAN tags, tunnels, fragments or wrong checksums. The second (struct tcp and struct tcp_rest,
 * 272 bytes, with TCP performance and both streams) is taken when a TCP flow shows more than lone SYNs. The third
 * (struct tcp_trouble, 144 bytes) is taken when something in it is lost, repeated or out of order; there is one for
 * every eighth of the second.
 *
 * Eviction knows two classes by shard: what is not yet or no longer open, one-way datagrams and ICMP go first; open
 * flows only when there are no others. Of a class the flow leaves whose timer is next, unless it had packets since that
 * was set. So a flood of SYNs pushes out SYNs.
 *
 * A connection that closed by FINs leaves with its last ACK and is remembered for linger_ns. One that was reset leaves
 * after opening_rst_timeout_ns or closing_rst_timeout_ns of silence, or when a SYN uses its ports again. SYNs that
 * nobody answers are one flow, whatever their numbers: each of them is another attempt. A packet that
 * arrives when its flow's timeout is over finds it ended, whether or not a tick has come in between.
 *
 * Retransmissions are what tshark's analysis calls so, but: bytes that were never seen are none, although their
 * acknowledgment was captured before them; bytes that were all seen are one, also within 3 ms or a round trip and cut
 * into other segments. A repeated SYN-ACK counts in retrans and in ack_retrans, a repeated handshake ACK only in the
 * latter.
 *
 * Another thread may look at live flows with flowtab_view(): the public part of an entry stands behind a sequence
 * counter and is written with relaxed stores only. Private parts belong to the worker.
 *
 * Directions: index 0 is from end 0 of the key to end 1. Which end is the client is in `client`. */
#ifndef TS_FLOWTAB_FLOWTAB_H
#define TS_FLOWTAB_FLOWTAB_H

#include "option.h"
#include "packet.h"
#include "pool.h"
#include "record.h"
#include "wheel.h"

/* What a flow is doing. A reset keeps what it interrupted, so that the close type can be told when the flow leaves. */
enum flow_state {
	FLOW_FREE,
	FLOW_OPENING_1,  /* SYN */
	FLOW_OPENING_2,  /* SYN-ACK, or SYNs of both sides */
	FLOW_QUEUE_LACK, /* SYN-ACK again after the client's ACK, and nothing else from the server */
	FLOW_ESTABLISHED,
	FLOW_CLOSING_1, /* one FIN */
	FLOW_CLOSING_2, /* both FINs, not both acknowledged */
	FLOW_RESET_OPENING_1,
	FLOW_RESET_OPENING_2,
	FLOW_RESET_QUEUE_LACK,
	FLOW_RESET, /* while established, or in the middle of nothing */
	FLOW_RESET_CLOSING,
	FLOW_EXCEPTION, /* flags that begin no connection */
	FLOW_DATAGRAM_ONEWAY,
	FLOW_DATAGRAM,
	FLOW_ICMP,
	FLOW_LINGER, /* closed, its last record has left; late segments are still recognised */
	FLOW_STATES
};

/* Names follow DeepFlow's close types. */
enum close_type {
	CLOSE_UNKNOWN, /* still open */
	CLOSE_TCP_FIN,
	CLOSE_TCP_SERVER_RST,
	CLOSE_TIMEOUT,
	CLOSE_FORCED_REPORT, /* minute report; end of the capture: CLOSE_END_OF_INPUT */
	CLOSE_TCP_CLIENT_RST,
	CLOSE_CLIENT_SYN_REPEAT, /* SYNs that nobody answered */
	CLOSE_SERVER_SYNACK_REPEAT,
	CLOSE_SERVER_HALF_CLOSE,
	CLOSE_CLIENT_HALF_CLOSE,
	CLOSE_CLIENT_SOURCE_PORT_REUSE,
	CLOSE_SERVER_RESET,      /* SYN answered by RST */
	CLOSE_SERVER_QUEUE_LACK, /* SYN-ACK repeated although the client's ACK was seen */
	CLOSE_CLIENT_ESTABLISH_RESET,
	CLOSE_SERVER_ESTABLISH_RESET,
	CLOSE_TCP_FIN_CLIENT_RST,
	CLOSE_END_OF_INPUT,
	CLOSE_EVICTED, /* the shard's quota was used up */
	CLOSE_TYPES
};
extern const struct text close_type_names[CLOSE_TYPES]; /* "tcp_fin", "tcp_server_rst", "timeout", … */

struct flowtab_settings {
	int64_t established_timeout_ns, opening_timeout_ns, opening_rst_timeout_ns, closing_rst_timeout_ns,
	    others_timeout_ns, udp_timeout_ns, udp_oneway_timeout_ns, icmp_timeout_ns, linger_ns;
	int64_t report_interval_ns;     /* 60 s: minute reports; 0: none */
	uint64_t reassembly_flow_bytes; /* out-of-order bytes held for one direction of a flow */
	bool community_id;
	/* Derived from max_memory by engine, over all shards together; not options themselves. */
	uint32_t max_flows, max_tcp, max_segments;
	bool duplicates; /* flowtab_duplicate() will be called */
};

extern const struct option flowtab_options[]; /* offsets into struct flowtab_settings */

struct flow {
	/* Public unless said otherwise: read by flowtab_view() behind `sequence`; written with publish() between begin
	 * and end of a change. What a packet needs comes first, what begins and ends a flow last. */
	uint32_t sequence;    /* odd while the worker writes; survives reuse */
	uint8_t state;        /* enum flow_state */
	uint8_t client;       /* which end of the key is the client: 0 or 1 */
	uint8_t tcp_flags[2]; /* private: since the last record */
	struct flow_key key;
	int64_t last_ns;
	uint32_t packets[2];                         /* since the last record, fragments counted singly */
	uint64_t bytes[2], l3_bytes[2], l4_bytes[2]; /* since the last record */
	uint32_t tcp;                                /* private: index of the second tier, POOL_NONE */
	uint32_t flags;                              /* private: enum flow_flag */
	int64_t start_ns;
	uint8_t score;      /* direction_score */
	uint8_t close_type; /* enum close_type */
#ifdef FLOWTAB_SELF_CHECK
	uint32_t check; /* of all that is public but the sequence */
#endif
	/* Private to the worker. */
	uint8_t shard;
	uint8_t syn_scale; /* window scale of the last lone SYN, until there is a second tier; 255: none */
	uint32_t l7;       /* engine's handle; FLOW_L7_NONE at first */
	int64_t span_ns;   /* first packet since the last record */
	struct wheel_node timer;
	uint32_t mark;        /* what tells this flow from others with its key: first sequence number, or a hash */
	uint32_t isn;         /* sequence number of the last lone SYN, until there is a second tier */
	uint32_t syn_repeats; /* lone SYNs with that number again, since the last record */
	uint8_t mac_target[6], mac_source[6]; /* of the first packet, where FLOW_MAC says so */
};
#ifndef FLOWTAB_SELF_CHECK
_Static_assert(sizeof(struct flow) == 192 && offsetof(struct flow, start_ns) == 128,
	       "three cache lines, of which the third is cold");
#endif
#define FLOW_L7_NONE UINT32_MAX
#define FLOW_GAPS (UINT32_C(1) << 9) /* in flags: bytes were lost */

/* direction_score: who called whom, and how sure that is. The better evidence wins until the first record leaves. */
enum direction_score {
	SCORE_FIRST_SPEAKER = 50,    /* nothing but who sent the first packet that was seen */
	SCORE_LOWER_PORT = 100,      /* TCP from its middle, ports of one kind: the lower one serves */
	SCORE_REGISTERED_PORT = 150, /* 1024..32767 serves 32768..65535 */
	SCORE_WELL_KNOWN_PORT = 200, /* below 1024 serves above */
	SCORE_CONTENT = 254,         /* flow_set_client(); ICMP echo */
	SCORE_SYN = 255,
};

/* Bytes of one direction. */
struct flow_data {
	const uint8_t *data;
	uint32_t len;
	uint32_t seq; /* TCP sequence number of data[0]; 0 for datagrams */
	uint32_t ack; /* TCP acknowledgment number of the segment that carried it */
	uint8_t direction;
	bool datagram; /* UDP: one datagram, whole */
	int64_t ts_ns; /* of the packet that carried these bytes, not of the one that released them */
};

/* What the table tells its owner. All slots are mandatory. `f` is valid during the call. */
struct flow_calls {
	/* In order, exactly once. For TCP only while the flow's streams are on (flow_stream_off()). */
	void (*data)(void *ctx, struct flow *f, const struct flow_data *d);
	/* `missing` bytes of a direction were never seen (the peer acknowledged past them, the budget ended, or the
	 * snap length cut them). seq: of the first missing byte. Not told of bytes within a skip, which count as
	 * skipped; flow_gap_bytes() has them nevertheless. */
	void (*gap)(void *ctx, struct flow *f, unsigned direction, uint64_t missing, uint32_t seq, int64_t ts_ns);
	/* No more bytes of this direction: FIN in order. RST, timeout and eviction are told by close alone. */
	void (*end)(void *ctx, struct flow *f, unsigned direction, int64_t ts_ns);
	/* The flow's timer fired although it goes on; at least once in report_interval_ns. */
	void (*timer)(void *ctx, struct flow *f, int64_t now_ns);
	/* The flow is over, its last record follows. Called once for each flow, also for evicted ones. */
	void (*close)(void *ctx, struct flow *f, int64_t now_ns);
	/* A record is due. All fields that the table knows are set; community_id is not (record/ prints it). */
	void (*report)(void *ctx, struct flow *f, struct flow_record *r, bool last);
};

/* Where each packet that went in has gone: in flows, or: */
struct flowtab_counters {
	uint64_t packets, frames;  /* put in; frames counts fragments singly */
	uint64_t flow_frames;      /* counted on a flow */
	uint64_t late_frames;      /* of a connection that had closed: on no flow */
	uint64_t no_memory_frames; /* no entry could be had */
	uint64_t shed_frames;      /* of flows that were not admitted */
	uint64_t flows, flows_evicted, tcp_refused, trouble_refused, segments_refused, segments_held, records;
	uint64_t live; /* flows now in the table */
};

struct flowtab;

/* shards: how many this worker owns, at most SHARDS; quotas are settings' limits / SHARDS each. now_ns: the clock
 * at start. Allocates here and never again. 0, -ENOMEM or -EINVAL. The hashes of all packets' keys must be of one seed.
 */
int flowtab_new(struct flowtab **ret_table, const struct flowtab_settings *settings, unsigned shards, int64_t now_ns,
		const struct flow_calls *calls, void *ctx);
struct flowtab *flowtab_free(struct flowtab *t);

/* Bursts: for each packet of a burst prefetch_bucket, then for each prefetch_entry, then for each prefetch_tcp, then
 * for each flowtab_packet_at. The first three change nothing but what is in the cache. */
void flowtab_prefetch_bucket(const struct flowtab *t, const struct packet *p);
/* Returns a hint for the other two: where its flow most likely is, or who will have to leave for it. */
uint32_t flowtab_prefetch_entry(const struct flowtab *t, const struct packet *p);
/* Returns the l7 handle of the flow that it most likely is, FLOW_L7_NONE where there is none or the packet says nothing
 * to its owner: for prefetching alone. */
uint32_t flowtab_prefetch_tcp(const struct flowtab *t, const struct packet *p, uint32_t hint);
/* A hint of the same burst saves the search; a wrong one changes nothing. */
void flowtab_packet_at(struct flowtab *t, const struct packet *p, uint32_t hint);
#define FLOW_HINT_NONE UINT32_MAX
static inline void flowtab_packet(struct flowtab *t, const struct packet *p)
{
	flowtab_packet_at(t, p, FLOW_HINT_NONE);
}
/* Of flows that begin from now on, one of 2^halvings (0 … 16) gets an entry; flows that have one are not touched. */
void flowtab_admit(struct flowtab *t, unsigned halvings);
/* A copy of a packet that was put in before: counted on its flow, and nothing else of it. delay_ns: how much later it
 * was seen than the packet, a measurement of the way between two places; -1: not measured. Where the flow has closed,
 * or was never kept, it is counted nowhere here. */
void flowtab_duplicate(struct flowtab *t, const struct packet *p, int64_t delay_ns);

/* The clock: fires timers, shard by shard in ascending order. A clock that steps back fires nothing, and costs
 * O(live flows): for a lasting step, not for packets out of order. */
void flowtab_tick(struct flowtab *t, int64_t now_ns);
/* The input has ended: every flow leaves, shard by shard, in an order that does not depend on seed or workers. */
void flowtab_finish(struct flowtab *t, int64_t now_ns);

/* In data(): the next `n` bytes of this direction (after the data at hand) are not wanted: they are counted, not given,
 * not held when out of order. When the last of them has passed, data() is called with len 0 and its time. */
void flow_stream_skip(struct flowtab *t, struct flow *f, unsigned direction, uint64_t n);
/* Whether a skip is under way, how much of it is left, and when the direction's last bytes came. */
bool flow_stream_skipping(const struct flowtab *t, const struct flow *f, unsigned direction, uint64_t *ret_left,
			  int64_t *ret_ns);
/* Nobody wants any more bytes of this flow; performance is still measured. */
void flow_stream_off(struct flowtab *t, struct flow *f);
/* What the bytes say about who is the client; outranked only by a SYN. side_direction: the direction client to server.
 */
void flow_set_client(struct flowtab *t, struct flow *f, unsigned client_end);
/* The flow was cut short by a limit: its records say truncated. */
void flow_mark_truncated(struct flow *f);
/* Stable identity of the flow, as its records have it. */
uint64_t flow_id(const struct flowtab *t, const struct flow *f);
bool flow_is_midstream(const struct flowtab *t, const struct flow *f);

/* Where a flow's first packet was seen. */
struct flow_origin {
	uint16_t nic; /* id; 0: none */
	bool has_mac;
	uint8_t vlan_count, tunnel_count;
	uint16_t vlan[PACKET_VLANS]; /* TCI, outermost first */
	uint8_t mac[2][6];           /* by end of the key; where has_mac */
	struct tunnel tunnel[PACKET_TUNNELS];
};
void flow_origin(const struct flowtab *t, const struct flow *f, struct flow_origin *ret_origin);

/* Bytes of a direction that were never seen, so far: those told by gap() and those that lay within a skip. Most flows
 * have none in either direction. */
static inline bool flow_has_gaps(const struct flow *f)
{
	return f->flags & FLOW_GAPS;
}
uint64_t flow_gap_bytes(const struct flowtab *t, const struct flow *f, unsigned direction);

const struct flowtab_counters *flowtab_counters(const struct flowtab *t);
/* Bytes touched by flow entries, second tiers, segments and the index. */
uint64_t flowtab_memory(const struct flowtab *t);
/* The same for a table of all shards with every limit of *settings used up. */
uint64_t flowtab_memory_max(const struct flowtab_settings *settings);

/* A live flow as another thread sees it. */
struct flow_view {
	uint32_t index;
	uint8_t state, client, score, close_type;
	struct flow_key key;
	int64_t start_ns, last_ns;
	uint32_t packets[2];
	uint64_t bytes[2], l3_bytes[2], l4_bytes[2];
	uint32_t check;
};

/* Any thread. Copies the entry at `index` (0 .. flowtab_view_end()-1). 1: a live flow, in *ret_view; 0: free, or closed
 * and only remembered for late segments; -EAGAIN: it changed all the time (bounded tries). Never waits for the writer,
 * never sees a torn entry. */
int flowtab_view(const struct flowtab *t, uint32_t index, struct flow_view *ret_view);
uint32_t flowtab_view_end(const struct flowtab *t);
/* Whether the self-check of a view holds (always true without FLOWTAB_SELF_CHECK). */
bool flow_view_intact(const struct flow_view *v);

#endif
