/* What the traffic of some seconds tells about the mirror that it came through. */
#include "doctor.h"
#include "live_run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SHARE(part, all) ((all) ? 100.0 * (double)(part) / (double)(all) : 0.0)

struct sums {
	struct sink sink;
	uint64_t tcp, one_way, gap_flows, packets, duplicates, l4_bytes, gap_bytes;
};

struct note {
	uint64_t packets, duplicates, l4_bytes, gap_bytes;
	bool tcp, one_way;
};

static int encode_flow(const struct sink *s maybe_unused, const struct flow_record *r, char *out, size_t room)
{
	struct note n = {
	    .packets = r->packet_tx + r->packet_rx,
	    .duplicates = flow_record_has(r, duplicate_count) ? r->duplicate_count : 0,
	    .tcp = flow_record_has(r, protocol) && text_is(r->protocol, "TCP"),
	};
	if (room < sizeof n)
		return -ENOBUFS;
	n.l4_bytes = r->l4_byte_tx + r->l4_byte_rx;
	n.gap_bytes = flow_record_has(r, gap_bytes) ? r->gap_bytes : 0;
	/* data or an acknowledgment, and nothing from the other side: it was there, and was not seen */
	bool talks = (r->tcp_flags_tx | r->tcp_flags_rx) & TCP_ACK;
	n.one_way = n.tcp && talks && (!r->packet_tx || !r->packet_rx);
	memcpy(out, &n, sizeof n);
	return sizeof n;
}

static int encode_request(const struct sink *s maybe_unused, const struct request_record *r maybe_unused,
			  char *out maybe_unused, size_t room maybe_unused)
{
	return 0;
}

static int sink_write(struct sink *s, enum record_kind kind maybe_unused, const char *data, size_t len maybe_unused)
{
	struct sums *u = container_of(s, struct sums, sink);
	struct note n;
	memcpy(&n, data, sizeof n);
	u->packets += n.packets;
	u->duplicates += n.duplicates;
	u->l4_bytes += n.l4_bytes;
	u->gap_bytes += n.gap_bytes;
	u->gap_flows += n.gap_bytes > 0;
	u->tcp += n.tcp;
	u->one_way += n.one_way;
	return 0;
}

static int sink_flush(struct sink *s maybe_unused, struct error *e maybe_unused)
{
	return 0;
}

static const struct sink_ops ops = {
    .name = "doctor",
    .encode_flow = encode_flow,
    .encode_request = encode_request,
    .write = sink_write,
    .flush = sink_flush,
};

static void judge(const struct doctor *d, const struct sums *u, const struct live_counters *c)
{
	const struct source_counters *s = &c->source;
	uint64_t dropped = s->kernel_dropped + s->ring_dropped + c->engine.ledger.handover_dropped;
	if (!s->seen) {
		doctor_tell(d, FINDING_NOTE, "traffic", "look at the mirror's configuration on the switch",
			    "no frame came");
		return;
	}
	doctor_tell(d, dropped ? FINDING_NOTE : FINDING_GOOD, "traffic",
		    dropped ? "enlarge capture.ring_memory, raise workers, or filter with capture_bpf" : NULL,
		    "%" PRIu64 " frames, %" PRIu64 " dropped here (%.2f %%)", s->seen, dropped,
		    SHARE(dropped, s->seen));
	if (u->one_way && 10 * u->one_way > u->tcp)
		doctor_tell(d, FINDING_NOTE, "mirror",
			    "mirror both directions of the port (rx and tx), or add the second fibre",
			    "%.0f %% of TCP flows were seen in one direction only", SHARE(u->one_way, u->tcp));
	else if (u->tcp)
		doctor_tell(d, FINDING_GOOD, "mirror", NULL, "both directions are seen");
	if (u->duplicates)
		doctor_tell(d, FINDING_NOTE, "mirror",
			    "mirror each packet once (one direction of each port), or leave it: copies are removed",
			    "%.1f %% of packets came more than once", SHARE(u->duplicates, u->packets + u->duplicates));
	if (u->gap_bytes && !dropped)
		doctor_tell(
		    d, FINDING_NOTE, "mirror", "the SPAN port is oversubscribed: mirror less, or through a faster port",
		    "%.2f %% of TCP bytes were never seen, in %" PRIu64 " flows, although nothing was dropped here",
		    SHARE(u->gap_bytes, u->l4_bytes + u->gap_bytes), u->gap_flows);
}

void doctor_traffic(const struct doctor *d, const struct setup *setup, unsigned seconds)
{
	struct sums u = {.sink.ops = &ops};
	struct live_counters counters;
	struct setup own = *setup;
	const struct live_run_options options = {
	    .outputs = {.format = FORMAT_NONE},
	    .duration_s = seconds,
	    .only = setup->place.only,
	    .sink = &u.sink,
	    .ret_counters = &counters,
	};
	own.api.listen = (char *)(uintptr_t) "";
	int status = live_run(&own, &options);
	if (status)
		doctor_tell(d, FINDING_FAULT, "traffic", NULL, "cannot capture: see above");
	else
		judge(d, &u, &counters);
}
