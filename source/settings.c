#include "settings.h"

static const char *const kind_names[SOURCE_KINDS + 1] = {"af_packet", "af_xdp", "pcap", "dpdk", NULL};
static const char *const promiscuous_names[] = {"auto", "on", "off", NULL};

const struct option source_option_table[] = {
    {"capture.source", NULL, OPTION_ENUM, offsetof(struct source_settings, kind), "af_packet", 0, 0, NULL, kind_names,
     NULL,
     "What frames are read with: af_packet; af_xdp (mirror ports only: it takes the frames away from the host); pcap "
     "(whatever libpcap has a driver for); dpdk."},
    {"capture_bpf", NULL, OPTION_STRING, offsetof(struct source_settings, filter), "", 0, 0, NULL, NULL, NULL,
     "Only frames that match are captured; in libpcap's language. One that does not compile stops the start."},
    {"capture_packet_size", NULL, OPTION_BYTES, offsetof(struct source_settings, snaplen), "0", 0, 1 << 20, "B", NULL,
     NULL, "How much of each frame is looked at; 0: all of it."},
    {"capture.promiscuous", NULL, OPTION_ENUM, offsetof(struct source_settings, promiscuous), "auto", 0, 0, NULL,
     promiscuous_names, NULL,
     "Whether the NIC is asked for frames that are not meant for this host. auto: in tap modes 1 and 2."},
    {"capture.ring_memory", NULL, OPTION_BYTES, offsetof(struct source_settings, ring_bytes), "32", 1 << 20,
     UINT64_C(4) << 30, "MiB", NULL, NULL, "Ring of each queue of each NIC; there are as many queues as workers."},
    {"capture.block_timeout", NULL, OPTION_DURATION, offsetof(struct source_settings, block_ns), "0.01", 1000000,
     1000000000, "s", NULL, NULL,
     "af_packet: frames come out in blocks; one that is not full comes out after this time."},
    {"capture.nic_clock", NULL, OPTION_BOOL, offsetof(struct source_settings, nic_clock), "false", 0, 0, NULL, NULL,
     NULL,
     "af_packet: frames have the times that the NIC gives them (PTP), instead of the kernel's. Its clock must be kept "
     "to "
     "UTC (phc2sys), and it must give times to all that it receives (hwstamp_ctl -r 1), or it is not captured."},
    {0},
};
