/* netlink.h - links and addresses of one network namespace, by rtnetlink: what there is, and what changes. */
#ifndef TS_PLACE_NETLINK_H
#define TS_PLACE_NETLINK_H

#include "record.h"

/* Of RTM_NEWLINK. Absent: empty, 0, false. */
struct link {
	int ifindex;
	unsigned flags;    /* IFF_… */
	uint16_t hardware; /* ARPHRD_… */
	bool has_mac;
	uint8_t mac[6];
	char name[16], kind[16];
	int parent;      /* IFLA_LINK */
	int parent_nsid; /* of the namespace where that is; -1: this one */
};

/* What is told, in the kernel's order. */
struct netlink_calls {
	void (*link)(void *ctx, const struct link *l);
	void (*link_gone)(void *ctx, int ifindex);
	void (*address)(void *ctx, int ifindex, const struct ip_address *a, bool gone);
};

/* In the caller's namespace: a socket that is subscribed to changes; or -errno. Does not block. */
int netlink_open(void);

/* Asks for all links, then for all addresses, and waits (a second at most: the kernel answers at once). Changes that
 * come in between are told as they come. `buffer` is room for messages. 0; -EAGAIN: a change got into it, and what was
 * told may not be all; -ENOBUFS: changes were lost; -errno. */
#define NETLINK_BUFFER 65536
int netlink_list(int fd, char *buffer, const struct netlink_calls *calls, void *ctx);

/* Tells what has changed. 0: all that there is; 1: there is more, call again; -ENOBUFS: changes were lost, list all
 * again; -errno. */
int netlink_read(int fd, char *buffer, const struct netlink_calls *calls, void *ctx);

/* The number by which that namespace (descriptor) is known in the socket's: as in link.parent_nsid. -1: it has none
 * yet; other negative: -errno. Changes that come in between are told. */
int netlink_nsid(int fd, char *buffer, int netns, const struct netlink_calls *calls, void *ctx);

#endif
