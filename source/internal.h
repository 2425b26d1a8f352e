/* internal.h - what the sources share. */
#ifndef TS_SOURCE_INTERNAL_H
#define TS_SOURCE_INTERNAL_H

#include "source.h"

#include <stdatomic.h>

extern const struct source_ops source_afpacket_ops, source_pcap_ops, source_xdp_ops;

#endif
