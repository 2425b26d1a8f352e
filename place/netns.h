/* netns.h - the network namespaces of this host: those with a name in /run/netns, and those that processes are in.
 *
 * A namespace is known by its inode. Nothing here keeps one alive. */
#ifndef TS_PLACE_NETNS_H
#define TS_PLACE_NETNS_H

#include "nic.h"

#define NETNS_FOLDER "/run/netns"
#define NETNS_MAX 4096    /* found at once */
#define NETNS_HOST_MAX 65 /* of a host name, with NUL */

struct netns_found {
	uint64_t inode;
	char name[NETNS_NAME_MAX]; /* in NETNS_FOLDER; "" where it has none */
	int pid;       /* of a process in it, 0 where none is known; of one with a host name of its own where
			* there is one */
	bool own_host; /* that process is in another UTS namespace than we are */
};

struct netns_list {
	struct netns_found *found; /* by inode */
	size_t count;
	bool left_out;   /* there are more than NETNS_MAX */
	bool not_ready;  /* a name in NETNS_FOLDER stands for no namespace (yet) */
	unsigned hidden; /* processes whose namespace may not be read: needs CAP_SYS_PTRACE, and no fewer capabilities
			  * than they have */
};

/* The inode of the caller's own, or 0. */
uint64_t netns_own(void);
/* Finds them all, the own one left out. 0 or -errno. Reads /proc once: some 3 µs a process. */
int netns_find(struct netns_list *ret_list);
void netns_list_free(struct netns_list *list);
/* A descriptor of one, or -errno: -ESTALE where it has gone. */
int netns_open(const struct netns_found *found);

/* Goes into a namespace and opens a netlink socket there (netlink.h); returns it, or -errno: -EPERM without
 * CAP_SYS_ADMIN. The caller's thread stays where it is: another goes. */
int netns_open_netlink(int descriptor);
/* Host names in the UTS namespaces of processes, by pid; "" where it cannot be told. */
void netns_read_hosts(const int *pids, size_t count, char (*ret_hosts)[NETNS_HOST_MAX]);

#endif
