/* filter.h - the user's capture filter where the kernel keeps a frame's VLAN tag beside the frame.
 *
 * AF_PACKET on Ethernet: the kernel takes the outermost tag out of most frames. The program is the one that libpcap
 * makes for a live handle, so that a filter picks the same frames as `tcpdump -i NIC` does: `vlan 100` looks beside the
 * frame first, and an expression without `vlan` sees what is behind a tag that was taken out. Where all tags are in the
 * frame, user_filter.h is the filter. `protochain` makes a loop, which only source_filter_matches() can run.
 *
 * One thread at a time may make a filter, any number may run it. */
#ifndef TS_SOURCE_FILTER_H
#define TS_SOURCE_FILTER_H

#include "error.h"

struct sock_filter; /* <linux/filter.h>: an instruction of classic BPF */

struct source_filter {
	unsigned count; /* instructions */
	struct sock_filter *code;
};

/* What is known of a frame beside its bytes. */
struct filter_aside {
	uint16_t vlan_tci, vlan_tpid;
	bool vlan_present;
	uint8_t packet_type; /* PACKET_HOST … PACKET_OUTGOING */
	uint16_t protocol;   /* EtherType as the kernel has it, host order */
	uint32_t ifindex;
};

/* Opens a live handle of libpcap for a moment, on `lo` or else on `nic`: needs CAP_NET_RAW. 0; -EINVAL, with e naming
 * the NIC and what libpcap says: the expression does not compile; -ENETDOWN: neither NIC is up; -ENOMEM. */
int source_filter_new(struct source_filter **ret_filter, const char *expression, const char *nic, struct error *e);
struct source_filter *source_filter_free(struct source_filter *f); /* NULL */

/* Whether the frame, as it is without its outermost tag, passes. Reads nothing past caplen: a load that goes there
 * rejects. */
bool source_filter_matches(const struct source_filter *f, const uint8_t *data, uint32_t caplen, uint32_t wirelen,
			   const struct filter_aside *aside);

#endif
