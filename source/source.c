#include "dpdk.h"
#include "internal.h"

const char *const source_kind_names[SOURCE_KINDS] = {"af_packet", "af_xdp", "pcap", "dpdk"};

const struct source_ops *source_find(enum source_kind kind, struct error *e)
{
	static const struct source_ops *const built_in[SOURCE_KINDS] = {
	    [SOURCE_AF_PACKET] = &source_afpacket_ops,
	    [SOURCE_AF_XDP] = &source_xdp_ops,
	    [SOURCE_PCAP] = &source_pcap_ops,
	};
	return kind == SOURCE_DPDK ? dpdk_load(e) : built_in[kind];
}
