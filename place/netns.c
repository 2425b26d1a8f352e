#include "netns.h"

#include "netlink.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

uint64_t netns_own(void)
{
	struct stat st;
	return stat("/proc/thread-self/ns/net", &st) == 0 ? (uint64_t)st.st_ino : 0;
}

static int compare_found(const void *a, const void *b)
{
	const struct netns_found *x = a, *y = b;
	return (x->inode > y->inode) - (x->inode < y->inode);
}

/* Those found so far are sorted up to `sorted`; the rest, which is short, is looked through. */
static struct netns_found *find(struct netns_list *l, size_t sorted, uint64_t inode)
{
	const struct netns_found key = {.inode = inode};
	struct netns_found *f = sorted ? bsearch(&key, l->found, sorted, sizeof key, compare_found) : NULL;
	for (size_t i = sorted; !f && i < l->count; i++)
		if (l->found[i].inode == inode)
			f = &l->found[i];
	return f;
}

static struct netns_found *add(struct netns_list *l, uint64_t inode)
{
	if (l->count == NETNS_MAX) {
		l->left_out = true;
		return NULL;
	}
	l->found[l->count] = (struct netns_found){.inode = inode};
	return &l->found[l->count++];
}

/* The inode of a file that stands for a network namespace; 0 for another file. */
static uint64_t inode_of(int folder, const char *name)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return 0;
	struct statfs fs;
	struct stat st;
	bool good = fstatfs(fd, &fs) == 0 && fs.f_type == NSFS_MAGIC && fstat(fd, &st) == 0;
	close(fd);
	return good ? (uint64_t)st.st_ino : 0;
}

static void find_named(struct netns_list *l, uint64_t own)
{
	DIR *folder = opendir(NETNS_FOLDER);
	struct dirent *d;
	while (folder && (d = readdir(folder))) {
		if (d->d_name[0] == '.')
			continue;
		uint64_t inode = inode_of(dirfd(folder), d->d_name);
		l->not_ready |= !inode;
		if (!inode || inode == own)
			continue;
		struct netns_found *f = find(l, 0, inode);
		if (!f)
			f = add(l, inode);
		/* of several names the first in the order of the alphabet, so that it does not change by itself */
		if (f && (!f->name[0] || strncmp(d->d_name, f->name, sizeof f->name - 1) < 0))
			snprintf(f->name, sizeof f->name, "%.*s", NETNS_NAME_MAX - 1, d->d_name);
	}
	if (folder)
		closedir(folder);
}

#define RESORT 64 /* namespaces added before the list is sorted again */

static int find_of_processes(struct netns_list *l, uint64_t own)
{
	struct stat own_uts, st;
	DIR *proc = opendir("/proc");
	if (!proc)
		return -errno;
	if (stat("/proc/self/ns/uts", &own_uts) < 0)
		own_uts.st_ino = 0;
	size_t sorted = 0;
	struct dirent *d;
	while ((d = readdir(proc))) {
		int pid = atoi(d->d_name);
		char path[64];
		if (pid <= 0)
			continue;
		snprintf(path, sizeof path, "%d/ns/net", pid);
		if (fstatat(dirfd(proc), path, &st, 0) < 0) {
			l->hidden += errno == EACCES || errno == EPERM;
			continue;
		}
		if ((uint64_t)st.st_ino == own)
			continue;
		if (l->count - sorted > RESORT) {
			qsort(l->found, l->count, sizeof *l->found, compare_found);
			sorted = l->count;
		}
		struct netns_found *f = find(l, sorted, (uint64_t)st.st_ino);
		if (!f)
			f = add(l, (uint64_t)st.st_ino);
		if (!f || f->own_host)
			continue;
		snprintf(path, sizeof path, "%d/ns/uts", pid);
		f->own_host = fstatat(dirfd(proc), path, &st, 0) == 0 && st.st_ino != own_uts.st_ino;
		if (!f->pid || f->own_host)
			f->pid = pid;
	}
	closedir(proc);
	return 0;
}

int netns_find(struct netns_list *ret_list)
{
	struct netns_list l = {.found = calloc(NETNS_MAX, sizeof *l.found)};
	uint64_t own = netns_own();
	if (!l.found || !own) {
		free(l.found);
		return own ? -ENOMEM : -ENOENT;
	}
	find_named(&l, own);
	int r = find_of_processes(&l, own);
	if (r < 0) {
		free(l.found);
		return r;
	}
	qsort(l.found, l.count, sizeof *l.found, compare_found);
	*ret_list = l;
	return 0;
}

void netns_list_free(struct netns_list *list)
{
	free(list->found);
	*list = (struct netns_list){0};
}

static int open_same(const char *path, uint64_t inode)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	if (fd < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	if (fstat(fd, &st) == 0 && (uint64_t)st.st_ino == inode)
		return fd;
	close(fd);
	return -ESTALE;
}

int netns_open(const struct netns_found *f)
{
	char path[sizeof NETNS_FOLDER + NETNS_NAME_MAX];
	int fd = -ESTALE;
	if (f->name[0]) {
		snprintf(path, sizeof path, "%s/%s", NETNS_FOLDER, f->name);
		fd = open_same(path, f->inode);
	}
	if (fd < 0 && f->pid) {
		snprintf(path, sizeof path, "/proc/%d/ns/net", f->pid);
		fd = open_same(path, f->inode);
	}
	return fd;
}

struct visit {
	int descriptor, result;
	const int *pids;
	size_t count;
	char (*hosts)[NETNS_HOST_MAX];
};

static void *visit_network(void *arg)
{
	struct visit *v = arg;
	v->result = setns(v->descriptor, CLONE_NEWNET) < 0 ? -errno : netlink_open();
	return NULL;
}

static void *visit_hosts(void *arg)
{
	struct visit *v = arg;
	for (size_t i = 0; i < v->count; i++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/%d/ns/uts", v->pids[i]);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		v->hosts[i][0] = 0;
		if (fd < 0)
			continue;
		if (setns(fd, CLONE_NEWUTS) == 0 && gethostname(v->hosts[i], NETNS_HOST_MAX - 1) == 0)
			v->hosts[i][NETNS_HOST_MAX - 1] = 0;
		close(fd);
	}
	return NULL;
}

/* A thread that goes into another namespace does not come back: it ends there. No signal finds it. */
static int send_thread(void *(*run)(void *), struct visit *v)
{
	pthread_t thread;
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	int r = pthread_create(&thread, NULL, run, v);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r ? -r : -pthread_join(thread, NULL);
}

int netns_open_netlink(int descriptor)
{
	struct visit v = {.descriptor = descriptor};
	int r = send_thread(visit_network, &v);
	return r < 0 ? r : v.result;
}

void netns_read_hosts(const int *pids, size_t count, char (*ret_hosts)[NETNS_HOST_MAX])
{
	struct visit v = {.pids = pids, .count = count, .hosts = ret_hosts};
	memset(ret_hosts, 0, count * sizeof *ret_hosts);
	if (count && send_thread(visit_hosts, &v) < 0)
		memset(ret_hosts, 0, count * sizeof *ret_hosts);
}
