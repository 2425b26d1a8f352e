/* netdev.h - a NIC as its kernel knows it, in whichever network namespace it is. */
#ifndef TS_SOURCE_NETDEV_H
#define TS_SOURCE_NETDEV_H

#include "error.h"

/* Moves the calling thread into the network namespace of descriptor `netns` (-1: does nothing). ret_before is to be
 * given to netns_leave(), which brings it back. 0; -EPERM (CAP_SYS_ADMIN is missing), -EINVAL, -EMFILE. */
int netns_enter(int netns, int *ret_before, struct error *e);
void netns_leave(int before);

struct netdev {
	int socket; /* of the namespace, for questions; -1: not open */
	int netlink;
	int index;
	char name[16];
};

/* 0; -ENODEV: no such NIC there; -errno. Call within the namespace. */
int netdev_open(struct netdev *n, const char *name, struct error *e);
void netdev_close(struct netdev *n);
/* 0: it is up; -ENETDOWN; -ENODEV: gone, or moved to another namespace. Found by its index, a new name does not matter.
 * Any thread. */
int netdev_state(const struct netdev *n);
/* How many receive queues are in use, as ethtool -l tells; 1 where the driver does not tell. */
unsigned netdev_rx_queues(const struct netdev *n);
/* Whether its frames begin with an Ethernet header. */
bool netdev_is_ethernet(const struct netdev *n);
/* Promiscuous for as long as the descriptor that this returns is open (it ends with the process). -errno. Call within
 * the namespace. */
int netdev_promiscuous(const struct netdev *n);

struct netdev_statistics {
	uint64_t rx_packets, tx_packets;
	uint64_t rx_dropped; /* by NIC and kernel: rx_dropped + rx_missed_errors; what nobody wanted is in it, too */
};
/* What the kernel's link message says of the NIC. 0 or -errno. Any thread, one at a time. */
int netdev_statistics(const struct netdev *n, struct netdev_statistics *ret);

#endif
