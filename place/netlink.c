#include "netlink.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_BUFFER (2 << 20)
#define READS_MAX 64 /* at once; what is left comes with the next call */
#define ANSWER_MS 1000
#define ANSWER_READS_MAX 100000

int netlink_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	/* without CAP_NET_ADMIN the host's limit holds; a buffer that is too small costs another listing */
	int size = RECEIVE_BUFFER;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	struct sockaddr_nl address = {
	    .nl_family = AF_NETLINK,
	    .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		int r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static void copy_name(char *out, size_t room, const struct rtattr *a)
{
	size_t len = strnlen(RTA_DATA(a), RTA_PAYLOAD(a));
	len = min_of(len, room - 1);
	memcpy(out, RTA_DATA(a), len);
	out[len] = 0;
}

static bool read_int(const struct rtattr *a, int *ret_value)
{
	if (RTA_PAYLOAD(a) != sizeof *ret_value)
		return false;
	memcpy(ret_value, RTA_DATA(a), sizeof *ret_value);
	return true;
}

/* The first attribute behind a header of that size, or NULL; *ret_left is what is left for RTA_NEXT. */
static struct rtattr *attributes_of(struct nlmsghdr *h, size_t header, size_t *ret_left)
{
	if (h->nlmsg_len < NLMSG_LENGTH(header))
		return NULL;
	*ret_left = h->nlmsg_len - NLMSG_LENGTH(header);
	return (struct rtattr *)(void *)((char *)NLMSG_DATA(h) + NLMSG_ALIGN(header));
}

static void read_kind(struct link *l, struct rtattr *info)
{
	size_t left = RTA_PAYLOAD(info);
	for (struct rtattr *a = RTA_DATA(info); RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == IFLA_INFO_KIND)
			copy_name(l->kind, sizeof l->kind, a);
}

static void take_link(struct nlmsghdr *h, const struct netlink_calls *calls, void *ctx)
{
	size_t left;
	struct rtattr *a = attributes_of(h, sizeof(struct ifinfomsg), &left);
	const struct ifinfomsg *info = NLMSG_DATA(h);
	if (!a || info->ifi_family != AF_UNSPEC) /* a bridge tells of its ports in the same way */
		return;
	if (h->nlmsg_type == RTM_DELLINK) {
		calls->link_gone(ctx, info->ifi_index);
		return;
	}
	struct link l = {
	    .ifindex = info->ifi_index, .flags = info->ifi_flags, .hardware = info->ifi_type, .parent_nsid = -1};
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		switch (a->rta_type & NLA_TYPE_MASK) {
		case IFLA_IFNAME:
			copy_name(l.name, sizeof l.name, a);
			break;
		case IFLA_ADDRESS:
			l.has_mac =
			    RTA_PAYLOAD(a) == 6 && (l.hardware == ARPHRD_ETHER || l.hardware == ARPHRD_LOOPBACK);
			if (l.has_mac)
				memcpy(l.mac, RTA_DATA(a), 6);
			break;
		case IFLA_LINK:
			read_int(a, &l.parent);
			break;
		case IFLA_LINK_NETNSID:
			read_int(a, &l.parent_nsid);
			break;
		case IFLA_LINKINFO:
			read_kind(&l, a);
			break;
		}
	}
	if (l.name[0])
		calls->link(ctx, &l);
}

static void take_address(struct nlmsghdr *h, const struct netlink_calls *calls, void *ctx)
{
	size_t left;
	struct rtattr *a = attributes_of(h, sizeof(struct ifaddrmsg), &left);
	const struct ifaddrmsg *info = NLMSG_DATA(h);
	if (!a || (info->ifa_family != AF_INET && info->ifa_family != AF_INET6))
		return;
	struct ip_address ip = {.version = info->ifa_family == AF_INET ? 4 : 6};
	size_t len = ip.version == 4 ? 4 : 16;
	bool found = false, local = false;
	/* IFA_LOCAL is its own; on a point-to-point link IFA_ADDRESS is the peer's */
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (RTA_PAYLOAD(a) != len || (a->rta_type != IFA_LOCAL && (a->rta_type != IFA_ADDRESS || local)))
			continue;
		memcpy(ip.at, RTA_DATA(a), len);
		found = true;
		local = a->rta_type == IFA_LOCAL;
	}
	/* one that another host has already (RFC 4862) is not used */
	if (found)
		calls->address(ctx, (int)info->ifa_index, &ip,
			       h->nlmsg_type == RTM_DELADDR || info->ifa_flags & IFA_F_DADFAILED);
}

/* An answer that is waited for. */
struct answer {
	uint32_t sequence, port; /* of the request; a change carries those of whoever made it */
	bool done, interrupted;
	int status; /* of NLMSG_ERROR; or what was asked for */
};

static void take_nsid(struct nlmsghdr *h, struct answer *answer)
{
	size_t left;
	struct rtattr *a = attributes_of(h, sizeof(struct rtgenmsg), &left);
	if (!answer || !a)
		return;
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == NETNSA_NSID)
			read_int(a, &answer->status);
	answer->done = true;
}

static void take_message(struct nlmsghdr *h, const struct netlink_calls *calls, void *ctx, struct answer *answer)
{
	bool answers = answer && h->nlmsg_seq == answer->sequence && h->nlmsg_pid == answer->port;
	if (answers && h->nlmsg_flags & NLM_F_DUMP_INTR)
		answer->interrupted = true;
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		take_link(h, calls, ctx);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		take_address(h, calls, ctx);
		break;
	case RTM_NEWNSID:
		take_nsid(h, answers ? answer : NULL);
		break;
	case NLMSG_DONE:
		if (answers && h->nlmsg_len >= NLMSG_LENGTH(sizeof(int)))
			memcpy(&answer->status, NLMSG_DATA(h), sizeof(int));
		if (answers)
			answer->done = true;
		break;
	case NLMSG_ERROR:
		if (answers && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr))) {
			answer->done = true;
			answer->status = ((struct nlmsgerr *)NLMSG_DATA(h))->error;
		}
		break;
	}
}

/* One datagram. 1; 0: none is there; -errno. */
static int read_once(int fd, char *buffer, const struct netlink_calls *calls, void *ctx, struct answer *answer)
{
	struct sockaddr_nl from;
	struct iovec iov = {buffer, NETLINK_BUFFER};
	struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = recvmsg(fd, &message, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (message.msg_namelen != sizeof from || from.nl_pid) /* from a process, not from the kernel */
		return 1;
	if (message.msg_flags & MSG_TRUNC)
		return -ENOBUFS;
	size_t left = (size_t)n;
	for (struct nlmsghdr *h = (struct nlmsghdr *)(void *)buffer; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
		take_message(h, calls, ctx, answer);
	return 1;
}

int netlink_read(int fd, char *buffer, const struct netlink_calls *calls, void *ctx)
{
	int r = 1;
	for (unsigned i = 0; i < READS_MAX && r > 0; i++)
		r = read_once(fd, buffer, calls, ctx, NULL);
	return r;
}

/* Sends a request and reads until it is answered. What was lost meanwhile is told after the answer. */
static int ask(int fd, char *buffer, struct nlmsghdr *request, const struct netlink_calls *calls, void *ctx,
	       struct answer *answer)
{
	static _Thread_local uint32_t sequence; /* has to differ from the last one's */
	struct sockaddr_nl own;
	socklen_t len = sizeof own;
	if (getsockname(fd, (struct sockaddr *)&own, &len) < 0)
		return -errno;
	answer->port = own.nl_pid;
	answer->sequence = request->nlmsg_seq = ++sequence;
	if (send(fd, request, request->nlmsg_len, 0) < 0)
		return -errno;
	bool lost = false;
	/* The kernel answers while it is being read, so that a wait is the exception. */
	for (unsigned reads = 0, waits = 0; !answer->done; reads++) {
		int r = reads < ANSWER_READS_MAX ? read_once(fd, buffer, calls, ctx, answer) : -ETIMEDOUT;
		lost |= r == -ENOBUFS;
		if (r < 0 && r != -ENOBUFS)
			return r;
		if (r)
			continue;
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (waits++ == 10 || poll(&p, 1, ANSWER_MS / 10) < 0)
			return -ETIMEDOUT;
	}
	return lost ? -ENOBUFS : 0;
}

int netlink_list(int fd, char *buffer, const struct netlink_calls *calls, void *ctx)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg body;
		struct rtattr mask;
		uint32_t value;
	} links = {
	    .header = {.nlmsg_len = sizeof links, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	    .mask = {.rta_len = RTA_LENGTH(sizeof(uint32_t)), .rta_type = IFLA_EXT_MASK},
	    .value = RTEXT_FILTER_SKIP_STATS,
	};
	struct {
		struct nlmsghdr header;
		struct ifaddrmsg body;
	} addresses = {
	    .header = {.nlmsg_len = sizeof addresses,
		       .nlmsg_type = RTM_GETADDR,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	};
	struct answer first = {0}, second = {0};
	int r = ask(fd, buffer, &links.header, calls, ctx, &first);
	if (r == 0)
		r = ask(fd, buffer, &addresses.header, calls, ctx, &second);
	if (r < 0)
		return r;
	if (first.status < 0 || second.status < 0)
		return first.status < 0 ? first.status : second.status;
	return first.interrupted || second.interrupted ? -EAGAIN : 0;
}

int netlink_nsid(int fd, char *buffer, int netns, const struct netlink_calls *calls, void *ctx)
{
	struct {
		struct nlmsghdr header;
		struct rtgenmsg body;
		char padding[3];
		struct rtattr attribute;
		int descriptor;
	} request = {
	    .header = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_GETNSID, .nlmsg_flags = NLM_F_REQUEST},
	    .attribute = {.rta_len = RTA_LENGTH(sizeof(int)), .rta_type = NETNSA_FD},
	    .descriptor = netns,
	};
	struct answer answer = {.status = -1};
	int r = ask(fd, buffer, &request.header, calls, ctx, &answer);
	return r < 0 ? r : answer.status;
}
