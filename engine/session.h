/* session.h - from stream bytes to request records: probing, parsing, pairing.
 *
 * One struct sessions a worker. It keeps what a flow's application layer needs (struct conn), feeds its dissector, and
 * pairs what the dissector finds. It knows no clock; times are those of the packets.
 *
 * Pairing. A pair that is printed is right, or it is not printed as a pair. Requests and responses of protocols that
 * answer in order are counted, and a response joins the request with the same number. That holds from the SYN on. When
 * bytes of either side are lost (and not inside a body whose length is known), or the flow was picked up in its middle,
 * the numbers are no longer known: pairing stops until the connection is known to be drained. That is when the client
 * begins a request on a segment that acknowledges all that the server has sent and more than its last request did,
 * while no response is under way, and no more than one request can ever have been unanswered at a time: none was seen
 * to be, and bytes of the client that were lost were too few for two requests and had been received by the server when
 * it last sent data. And one of these holds:
 *   - this client was seen to wait for the response WAITS_TRUSTED times before it sent again; or
 *   - there is no such history, and no bytes of the client were lost at all. The response must then come on a segment
 * that acknowledges the request's last byte. A response on a segment that does not acknowledge the request's first byte
 * shows that the numbers are wrong, at any time: a server cannot answer what it has not received. So a client that
 * pipelines loses its pairs after a loss, for good.
 *
 * What this cannot tell: a client picked up in its middle that keeps several requests unanswered and sends just one for
 * each response looks like one that waits. Records of such flows carry midstream. */
#ifndef TS_ENGINE_SESSION_H
#define TS_ENGINE_SESSION_H

#include "dissect.h"
#include "error.h"
#include "flowtab.h"
#include "option.h"

struct session_settings {
	uint64_t outstanding_max; /* requests of a flow that wait for a response */
	int64_t timeout_ns;       /* a request waits this long */
	uint64_t dissectors;      /* bit i: dissectors[i] is on (l7-protocol-enabled) */
	struct option_map ports;  /* l7-protocol-ports: hints */
	struct dissect_settings dissect;
	/* Derived from max_memory by engine, over all shards together; not options. */
	uint32_t max_slots;
	uint64_t max_blocks_bytes; /* connections, dissectors' states, texts, unparsed bytes */
};

extern const struct option session_options[];

struct session_counters {
	uint64_t conns_refused, slots_refused, texts_refused, buffers_refused; /* quotas that bit */
	uint64_t outstanding_exceeded; /* requests that were not kept for pairing */
	uint64_t pairing_lost, pairing_regained;
	uint64_t contents_shed,
	    conns_shed;            /* under pressure: compressed contents not opened, connections not followed */
	uint64_t given_up;         /* connections whose dissector failed */
	uint64_t folded, unfolded; /* connections that were put away to make room, and back */
};

struct sessions;

/* emit: a request record; borrowed during the call. shards: how many the worker owns. 0, -ENOMEM or -EINVAL with e. */
int sessions_new(struct sessions **ret_s, const struct session_settings *settings, unsigned shards,
		 void (*emit)(void *ctx, struct flow *f, const struct request_record *r), void *ctx, struct error *e);
struct sessions *sessions_free(struct sessions *s);
/* The table whose flows these are; set once, before the first packet. */
void sessions_set_table(struct sessions *s, struct flowtab *t);

/* A packet with payload of the flow with this l7 handle is about to come; later, what it points at (FLOW_L7_NONE: a new
 * flow). A packet with payload that begins a connection in this shard is about to come. Only hints. */
void sessions_prefetch(const struct sessions *s, uint32_t l7);
void sessions_prefetch_deep(const struct sessions *s, uint32_t l7);
void sessions_prefetch_new(const struct sessions *s, uint8_t shard);

/* The flow table's calls, see flowtab.h. */
void sessions_data(struct sessions *s, struct flow *f, const struct flow_data *d);
void sessions_gap(struct sessions *s, struct flow *f, unsigned direction, uint64_t missing, uint32_t seq,
		  int64_t ts_ns);
void sessions_end(struct sessions *s, struct flow *f, unsigned direction, int64_t ts_ns);
void sessions_timer(struct sessions *s, struct flow *f, int64_t now_ns);
void sessions_close(struct sessions *s, struct flow *f);
/* Adds the application layer's fields to a flow record and starts them anew; `last` frees what the flow had here. */
void sessions_report(struct sessions *s, struct flow *f, struct flow_record *r, bool last);

/* Bytes of one request, without its texts where they are long. */
size_t sessions_slot_bytes(void);

/* What is left out under pressure, from now on. Records that it touches say truncated. */
enum {
	SHED_NOTHING,
	SHED_CONTENTS, /* texts beyond SHED_TEXT_BYTES, and compressed contents */
	SHED_REQUESTS, /* requests */
	SHED_FLOWS,    /* that, and in the flow table a share of new flows: flowtab_admit() */
};
#define SHED_TEXT_BYTES 64
void sessions_shed(struct sessions *s, unsigned level);

const struct session_counters *sessions_counters(const struct sessions *s);
uint64_t sessions_memory(const struct sessions *s);

#endif
