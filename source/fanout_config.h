/* fanout_config.h - what the steering program is told when it is loaded; for the program and its loader alone. */
#ifndef TS_SOURCE_FANOUT_CONFIG_H
#define TS_SOURCE_FANOUT_CONFIG_H

#include "shard_hash.h"

#define FANOUT_VXLAN_PORTS 8

struct fanout_config {
	struct shard_keys keys;
	unsigned long long decap_type; /* bit (1 << enum tunnel_type), as in struct source_options */
	unsigned int queues;
	unsigned int snaplen;  /* what decode will see of a frame */
	unsigned int ethernet; /* 1: frames have an Ethernet header; 0: the kernel names the protocol */
	unsigned int vxlan_port_count;
	unsigned short vxlan_ports[FANOUT_VXLAN_PORTS];
};

#endif
