#include "netdev.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int netns_enter(int netns, int *ret_before, struct error *e)
{
	*ret_before = -1;
	if (netns < 0)
		return 0;
	int before = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (before < 0)
		return error_set(e, -errno, "cannot open the own network namespace: %s", strerror(errno));
	if (setns(netns, CLONE_NEWNET)) {
		int r = -errno;
		close(before);
		return error_set(e, r, "cannot enter the NIC's network namespace: %s%s", strerror(-r),
				 r == -EPERM ? " (CAP_SYS_ADMIN is missing)" : "");
	}
	*ret_before = before;
	return 0;
}

void netns_leave(int before)
{
	if (before < 0)
		return;
	/* The thread came from there with the same rights. If it cannot go back, everything that it opens from now on
	 * would be in the wrong place. */
	if (setns(before, CLONE_NEWNET))
		abort();
	close(before);
}

int netdev_open(struct netdev *n, const char *name, struct error *e)
{
	*n = (struct netdev){.socket = -1, .netlink = -1};
	if (strlen(name) >= sizeof n->name)
		return error_set(e, -ENODEV, "%s: no such NIC", name);
	/* Of any family: these questions go to the namespace of the socket. */
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		return error_set(e, -errno, "%s: no socket: %s", name, strerror(errno));
	struct ifreq q = {0};
	strcpy(q.ifr_name, name);
	if (ioctl(s, SIOCGIFINDEX, &q)) {
		close(s);
		return error_set(e, -ENODEV, "%s: no such NIC", name);
	}
	n->netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	n->socket = s;
	n->index = q.ifr_ifindex;
	strcpy(n->name, name);
	return 0;
}

void netdev_close(struct netdev *n)
{
	if (n->socket >= 0)
		close(n->socket);
	if (n->netlink >= 0)
		close(n->netlink);
	*n = (struct netdev){.socket = -1, .netlink = -1};
}

/* A question about the NIC under the name that it has now. */
static int ask(const struct netdev *n, unsigned long request, struct ifreq *q)
{
	struct ifreq named = {.ifr_ifindex = n->index};
	if (ioctl(n->socket, SIOCGIFNAME, &named))
		return -ENODEV;
	memcpy(q->ifr_name, named.ifr_name, sizeof q->ifr_name);
	return ioctl(n->socket, request, q) ? -errno : 0;
}

int netdev_state(const struct netdev *n)
{
	struct ifreq q = {0};
	if (ask(n, SIOCGIFFLAGS, &q))
		return -ENODEV;
	return q.ifr_flags & IFF_UP ? 0 : -ENETDOWN;
}

bool netdev_is_ethernet(const struct netdev *n)
{
	struct ifreq q = {0};
	return ask(n, SIOCGIFHWADDR, &q) == 0 &&
	       (q.ifr_hwaddr.sa_family == ARPHRD_ETHER || q.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK);
}

unsigned netdev_rx_queues(const struct netdev *n)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq q = {.ifr_data = (void *)&channels};
	unsigned queues = 0;
	if (ask(n, SIOCETHTOOL, &q) == 0)
		queues = channels.rx_count + channels.combined_count;
	return max_of(queues, 1u);
}

int netdev_promiscuous(const struct netdev *n)
{
	/* Protocol 0: the socket itself receives nothing. */
	int s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (s < 0)
		return -errno;
	struct packet_mreq m = {.mr_ifindex = n->index, .mr_type = PACKET_MR_PROMISC};
	if (setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m)) {
		int r = -errno;
		close(s);
		return r;
	}
	return s;
}

int netdev_statistics(const struct netdev *n, struct netdev_statistics *ret)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg link;
	} request = {.h = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST},
		     .link = {.ifi_family = AF_UNSPEC, .ifi_index = n->index}};
	/* The kernel answers one NIC's request before send() returns. */
	if (send(n->netlink, &request, sizeof request, MSG_DONTWAIT) < 0)
		return -errno;
	_Alignas(8) uint8_t answer[16384];
	ssize_t got = recv(n->netlink, answer, sizeof answer, MSG_DONTWAIT);
	if (got < 0)
		return -errno;
	const struct nlmsghdr *h = (const void *)answer;
	if (!NLMSG_OK(h, (size_t)got) || h->nlmsg_type != RTM_NEWLINK ||
	    h->nlmsg_len < NLMSG_LENGTH(sizeof request.link))
		return -ENODEV;
	const struct rtattr *a = IFLA_RTA(NLMSG_DATA(h));
	for (int left = (int)IFLA_PAYLOAD(h); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		struct rtnl_link_stats64 s = {0};
		if (a->rta_type != IFLA_STATS64)
			continue;
		memcpy(&s, RTA_DATA(a), min_of((size_t)RTA_PAYLOAD(a), sizeof s));
		*ret = (struct netdev_statistics){
		    .rx_packets = s.rx_packets,
		    .tx_packets = s.tx_packets,
		    .rx_dropped = s.rx_dropped + s.rx_missed_errors,
		};
		return 0;
	}
	return -ENODEV;
}
