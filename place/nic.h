/* nic.h - a network interface, as nics.h tells of it. */
#ifndef TS_PLACE_NIC_H
#define TS_PLACE_NIC_H

#include "record.h"

#define NIC_NAME_MAX 16    /* with NUL, as the kernel has it */
#define NIC_ADDRESSES 64   /* kept of one NIC; more are not looked at */
#define NETNS_NAME_MAX 128 /* with NUL; a longer name is cut */

/* Why a NIC is an observation point, or is none. */
enum nic_why {
	NIC_BY_COMMAND,             /* named on the command line */
	NIC_BY_LIST,                /* named in static_config.src-interfaces */
	NIC_BY_PATTERN,             /* tap_interface_regex */
	NIC_PICKED,                 /* those before are picked, those after are not */
	NIC_NOT_NAMED = NIC_PICKED, /* on the command line */
	NIC_NOT_LISTED,
	NIC_NOT_MATCHED,
	NIC_TOO_COSTLY,  /* tap_interface_regex takes too many steps on this name */
	NIC_OTHER_NETNS, /* extra_netns_regex does not select its namespace */
	NIC_NO_ID,       /* all ids are in use */
	NIC_WHYS
};

struct nic {
	uint16_t
	    id; /* 0 until it is first picked; then its own as long as it lives, and not another's for an hour after */
	enum nic_why why;
	char name[NIC_NAME_MAX];
	int ifindex;
	uint64_t netns;                  /* inode of its network namespace */
	int netns_descriptor;            /* to open sources there; -1: the caller's own, and where nothing is picked */
	char netns_name[NETNS_NAME_MAX]; /* "" for the caller's own; else the name in /run/netns, the host name there,
					  * or "net:[INODE]" */
	bool up, running;                /* administratively; has a carrier */
	bool has_mac, loopback;
	uint8_t mac[6];
	uint16_t link_type;      /* LINKTYPE_… of what an AF_PACKET socket gives */
	uint16_t hardware;       /* ARPHRD_… */
	char kind[NIC_NAME_MAX]; /* the kernel's "veth", "macvlan", "bridge", …; "" for hardware */
	int parent;              /* ifindex of its lower device, or its peer (veth), 0: none */
	bool parent_elsewhere;   /* that one is in another namespace */
	bool pod;                /* the NIC of one pod: in the pod's namespace, or the host's end of its veth pair */
	uint64_t pod_netns;      /* of the pod; 0: not known */
	unsigned address_count;
	struct ip_address addresses[NIC_ADDRESSES];
};

static inline bool nic_is_picked(const struct nic *n)
{
	return n->why < NIC_PICKED;
}

/* The reason in words, for a person: "matches tap_interface_regex". */
const char *nic_why_text(enum nic_why why);

#endif
