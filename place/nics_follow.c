/* Which namespaces there are, and what the kernel tells of the NICs in each. */
#include "nics_internal.h"

#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EVENTS_MAX 256 /* taken in one poll */
#define LISTINGS_MAX 3 /* tried in one poll */
#define RETRY_NS (50 * NS_PER_MS)
#define RETRIES_MAX 40

/* As in the capture file format. */
enum { LINK_ETHERNET = 1, LINK_RAW = 101, LINK_LINUX_SLL = 113 };

static struct member *find_member(struct netns *s, int ifindex)
{
	struct member *m = s->members;
	while (m && m->nic.ifindex != ifindex)
		m = m->next;
	return m;
}

static uint16_t link_type_of(uint16_t hardware)
{
	switch (hardware) {
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		return LINK_ETHERNET;
	case ARPHRD_NONE:
	case 519: /* ARPHRD_RAWIP */
		return LINK_RAW;
	default:
		return LINK_LINUX_SLL; /* captured without its link header */
	}
}

static struct member *new_member(struct netns *s, int ifindex)
{
	struct member *m = calloc(1, sizeof *m), **at = &s->members;
	if (!m)
		return NULL;
	m->nic.ifindex = ifindex;
	m->nic.netns = s->inode;
	m->nic.netns_descriptor = -1;
	while (*at)
		at = &(*at)->next;
	return *at = m;
}

static void on_link(void *ctx, const struct link *l)
{
	struct netns *s = ctx;
	struct member *m = find_member(s, l->ifindex);
	if (!m)
		m = new_member(s, l->ifindex);
	if (!m) {
		s->list_again = true; /* without memory: later */
		return;
	}
	struct nic *n = &m->nic;
	m->listed = true;
	m->parent_nsid = l->parent_nsid;
	if (strcmp(n->name, l->name)) {
		memset(n->name, 0, sizeof n->name);
		memcpy(n->name, l->name, strlen(l->name));
		m->why_known = false;
	}
	memset(n->kind, 0, sizeof n->kind);
	memcpy(n->kind, l->kind, strlen(l->kind));
	n->up = l->flags & IFF_UP;
	n->running = l->flags & IFF_RUNNING;
	n->loopback = l->flags & IFF_LOOPBACK;
	n->has_mac = l->has_mac && !n->loopback;
	memcpy(n->mac, l->mac, 6);
	n->hardware = l->hardware;
	n->link_type = link_type_of(l->hardware);
	n->parent = l->parent == l->ifindex ? 0 : l->parent;
	n->parent_elsewhere = l->parent_nsid >= 0;
	s->nics->reconcile = true;
}

static void leave(struct nics *n, struct member **at)
{
	struct member *m = *at;
	*at = m->next;
	m->next = n->leaving;
	n->leaving = m;
	n->reconcile = true;
}

static void on_link_gone(void *ctx, int ifindex)
{
	struct netns *s = ctx;
	for (struct member **at = &s->members; *at; at = &(*at)->next) {
		if ((*at)->nic.ifindex == ifindex) {
			leave(s->nics, at);
			return;
		}
	}
}

static void on_address(void *ctx, int ifindex, const struct ip_address *a, bool gone)
{
	struct netns *s = ctx;
	struct member *m = find_member(s, ifindex);
	if (!m)
		return;
	struct nic *n = &m->nic;
	unsigned i = 0;
	while (i < n->address_count && memcmp(&n->addresses[i], a, sizeof *a))
		i++;
	if (gone && i < n->address_count) {
		n->addresses[i] = n->addresses[--n->address_count];
		memset(&n->addresses[n->address_count], 0, sizeof *a);
	} else if (!gone && i == n->address_count && i < NIC_ADDRESSES) {
		n->addresses[n->address_count++] = *a;
	}
	s->nics->reconcile = true;
}

static const struct netlink_calls calls = {on_link, on_link_gone, on_address};

void netns_drop(struct nics *n, struct netns *s)
{
	struct netns **at = &n->namespaces;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	while (s->members)
		leave(n, &s->members);
	if (s->socket >= 0)
		close(s->socket); /* epoll forgets it */
	if (s->descriptor >= 0)
		close(s->descriptor);
	free(s);
}

/* Takes the socket over. */
static struct netns *netns_add(struct nics *n, uint64_t inode, int socket)
{
	struct netns *s = calloc(1, sizeof *s), **at = &n->namespaces;
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = inode};
	if (!s || epoll_ctl(n->epoll, EPOLL_CTL_ADD, socket, &event) < 0) {
		free(s);
		close(socket);
		return NULL;
	}
	s->inode = inode;
	s->socket = socket;
	s->descriptor = s->own_nsid = -1;
	s->list_again = true;
	s->nics = n;
	while (*at)
		at = &(*at)->next;
	return *at = s;
}

int follow_own(struct nics *n, struct error *e)
{
	int socket = netlink_open();
	if (socket < 0)
		return error_set(e, socket, "cannot ask the kernel for NICs (rtnetlink): %s", strerror(-socket));
	struct netns *s = netns_add(n, netns_own(), socket);
	if (!s)
		return error_set(e, -ENOMEM, "no memory to follow NICs");
	s->own = s->selected = true;
	return 0;
}

bool follow_others(const struct nics *n)
{
	return n->place->learn || n->place->namespaces;
}

void follow_wake(struct nics *n, int64_t ns)
{
	struct itimerspec t = {.it_value = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S}};
	timerfd_settime(n->timer, 0, &t, NULL);
}

void follow_folder(struct nics *n)
{
	const uint32_t what = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR;
	n->folder_watch = inotify_add_watch(n->inotify, NETNS_FOLDER, what);
	if (n->folder_watch < 0 && n->run_watch < 0)
		n->run_watch = inotify_add_watch(n->inotify, "/run", IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
	if (n->folder_watch >= 0 && n->run_watch >= 0) {
		inotify_rm_watch(n->inotify, n->run_watch);
		n->run_watch = -1;
	}
}

static void read_inotify(struct nics *n)
{
	char buffer[4096] __attribute__((aligned(8)));
	for (unsigned reads = 0; reads < EVENTS_MAX; reads++) {
		ssize_t len = read(n->inotify, buffer, sizeof buffer);
		if (len <= 0)
			return;
		for (char *at = buffer; at < buffer + len;) {
			const struct inotify_event *event = (const struct inotify_event *)(void *)at;
			at += sizeof *event + event->len;
			/* of /run only the folder itself matters */
			if (event->wd == n->run_watch && (!event->len || strcmp(event->name, "netns") != 0))
				continue;
			n->look = true;
			n->retries = 0;
		}
	}
}

static struct netns *find_netns(struct nics *n, uint64_t inode)
{
	struct netns *s = n->namespaces;
	while (s && s->inode != inode)
		s = s->next;
	return s;
}

static void read_netlink(struct nics *n, struct netns *s)
{
	int r = s->list_again ? 0 : netlink_read(s->socket, n->buffer, &calls, s);
	if (r < 0) {
		n->status.changes_lost++;
		s->list_again = true;
	}
}

void follow_events(struct nics *n)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(n->epoll, events, EVENTS_MAX, 0);
	for (int i = 0; i < count; i++) {
		uint64_t what = events[i].data.u64, ticks;
		struct netns *s;
		if (what == 0)
			n->look |= read(n->timer, &ticks, sizeof ticks) > 0;
		else if (what == 1)
			read_inotify(n);
		else if ((s = find_netns(n, what)))
			read_netlink(n, s);
	}
}

static void refuse(struct nics *n, int error)
{
	n->status.left_out++;
	if (!n->status.first_error)
		n->status.first_error = error;
}

static void add_found(struct nics *n, const struct netns_found *f, const char *host)
{
	bool selected = place_selects(n->place, f->name, host);
	if (!selected && !n->place->learn)
		return;
	int descriptor = netns_open(f);
	int socket = descriptor < 0 ? descriptor : netns_open_netlink(descriptor);
	struct netns *s = socket < 0 ? NULL : netns_add(n, f->inode, socket);
	if (!s) {
		if (descriptor >= 0)
			close(descriptor);
		if (descriptor != -ESTALE)
			refuse(n, socket < 0 ? socket : -ENOMEM);
		return;
	}
	s->selected = selected;
	s->descriptor = descriptor;
}

/* What is known of a namespace besides its NICs may change, too. */
static void update(struct nics *n, struct netns *s, const struct netns_found *f, const char *host)
{
	if (strcmp(s->name, f->name) || strcmp(s->host, host))
		n->reconcile = true;
	snprintf(s->name, sizeof s->name, "%s", f->name);
	snprintf(s->host, sizeof s->host, "%s", host);
	bool selected = place_selects(n->place, s->name, s->host);
	if (selected && s->descriptor < 0 && (s->descriptor = netns_open(f)) < 0)
		refuse(n, s->descriptor);
	if (!selected && s->descriptor >= 0) {
		close(s->descriptor);
		s->descriptor = -1;
	}
	selected &= s->descriptor >= 0;
	if (selected == s->selected)
		return;
	s->selected = selected;
	for (struct member *m = s->members; m; m = m->next)
		m->why_known = false;
	n->reconcile = true;
}

static int compare_inode(const void *key, const void *found)
{
	uint64_t a = *(const uint64_t *)key, b = ((const struct netns_found *)found)->inode;
	return (a > b) - (a < b);
}

/* Host names of all that have one of their own, by index in the list; NULL without memory. */
static char (*read_hosts(const struct nics *n, const struct netns_list *l))[NETNS_HOST_MAX]
{
	char(*hosts)[NETNS_HOST_MAX] = calloc(l->count + 1, sizeof *hosts);
	char(*read)[NETNS_HOST_MAX] = calloc(l->count + 1, sizeof *read);
	int *pids = calloc(l->count + 1, sizeof *pids);
	size_t count = 0;
	if (hosts && read && pids) {
		for (size_t i = 0; i < l->count; i++)
			if (l->found[i].own_host)
				pids[count++] = l->found[i].pid;
		netns_read_hosts(pids, count, read);
		count = 0;
		for (size_t i = 0; i < l->count; i++)
			if (l->found[i].own_host && strcmp(read[count++], n->place->host) != 0)
				memcpy(hosts[i], read[count - 1], NETNS_HOST_MAX);
	}
	free(read);
	free(pids);
	return hosts;
}

static void look(struct nics *n, const struct netns_list *l)
{
	char(*hosts)[NETNS_HOST_MAX] = read_hosts(n, l);
	if (!hosts)
		return;
	for (struct netns *s = n->namespaces, *next; s; s = next) {
		next = s->next;
		if (s->own)
			continue;
		const struct netns_found *f = bsearch(&s->inode, l->found, l->count, sizeof *l->found, compare_inode);
		if (f)
			update(n, s, f, hosts[f - l->found]);
		if (!f || (!s->selected && !n->place->learn))
			netns_drop(n, s);
	}
	n->status.left_out = l->left_out;
	n->status.first_error = l->left_out ? -E2BIG : 0;
	n->status.hidden = l->hidden;
	for (size_t i = 0; i < l->count; i++) {
		const struct netns_found *f = &l->found[i];
		struct netns *s = find_netns(n, f->inode);
		if (!s)
			add_found(n, f, hosts[i]);
		if (!s && (s = find_netns(n, f->inode)))
			update(n, s, f, hosts[i]);
	}
	free(hosts);
}

void follow_look(struct nics *n)
{
	struct netns_list l = {0};
	n->look = false;
	if (!follow_others(n)) {
		while (n->namespaces->next)
			netns_drop(n, n->namespaces->next);
		return;
	}
	follow_folder(n); /* before looking, so that no name comes between the two */
	n->status.looks++;
	if (netns_find(&l) == 0)
		look(n, &l);
	n->retries = l.not_ready ? n->retries + 1 : 0;
	bool soon = l.not_ready && n->retries <= RETRIES_MAX;
	follow_wake(n, soon ? RETRY_NS : n->place->rescan_ns);
	netns_list_free(&l);
}

static int list_netns(struct nics *n, struct netns *s)
{
	int r = -EAGAIN;
	for (unsigned i = 0; i < LISTINGS_MAX && (r == -EAGAIN || r == -ENOBUFS); i++) {
		for (struct member *m = s->members; m; m = m->next) {
			m->listed = false;
			m->nic.address_count = 0;
			memset(m->nic.addresses, 0, sizeof m->nic.addresses);
		}
		n->status.listings++;
		s->list_again = false;
		r = netlink_list(s->socket, n->buffer, &calls, s);
		if (r == 0 && s->list_again)
			r = -ENOMEM;
	}
	s->list_again = r < 0;
	if (r < 0)
		return r;
	for (struct member **at = &s->members; *at;) {
		if ((*at)->listed)
			at = &(*at)->next;
		else
			leave(n, at);
	}
	n->reconcile = true;
	return 0;
}

/* Learns by which number our own namespace is known in s, once s has a NIC whose other end is elsewhere: the kernel
 * gives the number when that NIC is first told of. */
static void learn_nsid(struct nics *n, struct netns *s)
{
	bool wanted = false;
	for (const struct member *m = s->members; m && !wanted; m = m->next)
		wanted = m->nic.parent_elsewhere;
	if (!wanted || s->own || s->own_nsid >= 0)
		return;
	int r = netlink_nsid(s->socket, n->buffer, n->own_descriptor, &calls, s);
	if (r == -ENOBUFS) {
		n->status.changes_lost++;
		s->list_again = true;
	}
	s->own_nsid = r >= 0 ? r : -1;
}

bool follow_list(struct nics *n)
{
	bool complete = true;
	for (struct netns *s = n->namespaces, *next; s; s = next) {
		next = s->next;
		if (n->reconcile)
			learn_nsid(n, s);
		if (!s->list_again)
			continue;
		int r = list_netns(n, s);
		if (r == 0) {
			learn_nsid(n, s);
		} else if (s->own || r == -ENOMEM || r == -EAGAIN || r == -ENOBUFS) {
			complete = false;
		} else {
			refuse(n, r); /* to be found again by the next look */
			netns_drop(n, s);
		}
	}
	if (!complete)
		follow_wake(n, RETRY_NS);
	return complete;
}
