#include "nics.h"

#include "nics_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <unistd.h>

static int watch(struct nics *n, int fd, uint64_t what)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = what};
	return epoll_ctl(n->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int nics_open(struct nics **ret_nics, struct place *p, struct error *e)
{
	struct nics *n = calloc(1, sizeof *n);
	if (!n)
		return error_set(e, -ENOMEM, "no memory to follow NICs");
	n->place = place_hold(p);
	n->folder_watch = n->run_watch = -1;
	n->epoll = epoll_create1(EPOLL_CLOEXEC);
	n->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	n->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	n->own_descriptor = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int r = 0;
	if (n->epoll < 0 || n->timer < 0 || n->inotify < 0 || n->own_descriptor < 0)
		r = error_set(e, -errno, "cannot follow NICs: %s", strerror(errno));
	else if ((r = watch(n, n->timer, 0)) < 0 || (r = watch(n, n->inotify, 1)) < 0)
		error_set(e, r, "cannot follow NICs: %s", strerror(-r));
	if (r == 0)
		r = follow_own(n, e);
	if (r < 0) {
		nics_close(n);
		return r;
	}
	n->look = n->reconcile = n->stale = true;
	follow_wake(n, 1);
	*ret_nics = n;
	return 0;
}

static void free_members(struct member *m)
{
	while (m) {
		struct member *next = m->next;
		free(m);
		m = next;
	}
}

static void close_one(int fd)
{
	if (fd >= 0)
		close(fd);
}

struct nics *nics_close(struct nics *n)
{
	if (!n)
		return NULL;
	while (n->namespaces)
		netns_drop(n, n->namespaces);
	free_members(n->leaving);
	free_members(n->gone);
	close_one(n->epoll);
	close_one(n->timer);
	close_one(n->inotify);
	close_one(n->own_descriptor);
	owners_clear(&n->owners);
	free(n->changes);
	place_close(n->place);
	free(n);
	return NULL;
}

void nics_configure(struct nics *n, struct place *p)
{
	place_hold(p);
	place_close(n->place);
	n->place = p;
	for (struct netns *s = n->namespaces; s; s = s->next)
		for (struct member *m = s->members; m; m = m->next)
			m->why_known = false;
	n->look = n->reconcile = n->stale = true;
	follow_wake(n, 1);
}

int nics_descriptor(const struct nics *n)
{
	return n->epoll;
}

int nics_poll(struct nics *n, int64_t now_ns, const struct nic_change **ret_changes)
{
	change_forget(n, now_ns);
	n->change_count = 0;
	follow_events(n);
	if (n->look)
		follow_look(n);
	if (follow_list(n) && n->reconcile) {
		int r = change_all(n, now_ns);
		if (r < 0)
			return r;
		n->reconcile = false;
	}
	*ret_changes = n->changes;
	return (int)n->change_count;
}

bool nics_view_is_stale(const struct nics *n)
{
	return n->stale;
}

int nics_view(struct nics *n, struct view **ret_view)
{
	size_t count = 0, at = 0;
	for (const struct netns *s = n->namespaces; s; s = s->next)
		for (const struct member *m = s->members; m; m = m->next)
			count++;
	for (const struct member *m = n->leaving; m; m = m->next)
		count++;
	for (const struct member *m = n->gone; m; m = m->next)
		count++;
	const struct nic **nics = calloc(count + 1, sizeof *nics);
	if (!nics)
		return -ENOMEM;
	for (const struct netns *s = n->namespaces; s; s = s->next)
		for (const struct member *m = s->members; m; m = m->next)
			nics[at++] = &m->nic;
	for (const struct member *m = n->leaving; m; m = m->next)
		nics[at++] = &m->nic;
	for (const struct member *m = n->gone; m; m = m->next)
		nics[at++] = &m->nic;
	const struct view_source source = {
	    .own_netns = n->namespaces->inode,
	    .nics = nics,
	    .nic_count = count,
	    .facts = n->owners.facts,
	    .fact_count = n->owners.count,
	};
	int r = view_make(ret_view, n->place, &source);
	free(nics);
	n->stale &= r < 0;
	return r;
}

const struct nic *nics_next(const struct nics *n, const struct nic *last)
{
	struct netns *s = n->namespaces;
	if (last) {
		struct member *m = container_of(last, struct member, nic);
		if (m->next)
			return &m->next->nic;
		while (s && s->inode != last->netns)
			s = s->next;
		s = s ? s->next : NULL;
	}
	while (s && !s->members)
		s = s->next;
	return s ? &s->members->nic : NULL;
}

const struct owner_fact *nics_owners(const struct nics *n, size_t *ret_count)
{
	*ret_count = n->owners.count;
	return n->owners.facts;
}

uint64_t nics_own_netns(const struct nics *n)
{
	return n->namespaces->inode;
}

void nics_status(const struct nics *n, struct nics_status *ret_status)
{
	*ret_status = n->status;
	ret_status->namespaces = ret_status->selected = 0;
	for (const struct netns *s = n->namespaces; s; s = s->next) {
		ret_status->namespaces += !s->own;
		ret_status->selected += !s->own && s->selected;
	}
	ret_status->owners_left_out = n->owners.left_out;
}
