/* xdp.bpf.c - sends each frame of a NIC to the socket of its receive queue, and counts. The 8 bytes in front of a frame
 * say when it came, in ns of CLOCK_MONOTONIC, where the driver has room there. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "xdp.h"

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, XDP_QUEUES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xdp_counts);
} counts SEC(".maps");

SEC("xdp")
int tapscope_xdp(struct xdp_md *frame)
{
	__u32 zero = 0;
	struct xdp_counts *c = bpf_map_lookup_elem(&counts, &zero);
	if (!c)
		return XDP_PASS;
	c->seen++;
	if ((void *)(long)frame->data + XDP_LONGEST + 1 <= (void *)(long)frame->data_end) {
		c->too_long++;
		return XDP_PASS;
	}
	if (bpf_xdp_adjust_meta(frame, -8) == 0) {
		__u64 *stamp = (void *)(long)frame->data_meta;
		if ((void *)(stamp + 1) <= (void *)(long)frame->data)
			*stamp = bpf_ktime_get_ns();
	}
	int verdict = bpf_redirect_map(&sockets, frame->rx_queue_index, XDP_PASS);
	if (verdict != XDP_REDIRECT)
		c->unbound++;
	return verdict;
}

const char program_license[] SEC("license") = "Apache-2.0";
