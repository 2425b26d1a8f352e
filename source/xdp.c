/* xdp.c - AF_XDP: frames of a NIC before its host sees them.
 *
 * For mirror ports: what comes here does not come to the host. Only what the NIC receives is seen, never what the host
 * sends. One socket for each receive queue of the NIC, each with memory of its own; queue q of the source reads the
 * receive queues q, q + queues, … NICs choose their receive queues by hashes of their own, so frames are not steered.
 *
 * The driver's mode is tried first (zero-copy where it can), then the kernel's generic one. The program hangs on a
 * bpf_link, which the kernel takes away when its last descriptor is closed: also when this process is killed. A NIC
 * with another program is left alone.
 *
 * A frame lies in a chunk of the memory that is shared with the kernel. Lending it means not to put the chunk back into
 * the fill ring, which has room for all of them. What does not fit into a chunk (GRO or jumbo frames) is left to the
 * host, and counted. Tags that the NIC takes out of VLAN frames are not to be had: ethtool -K NIC rxvlan off. */
#include "xdp.h"
#include "internal.h"
#include "netdev.h"
#include "user_filter.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <xdp/libxdp.h>
#include <xdp/xsk.h>

#include "xdp.skel.h"

#define CHUNKS_LEAST 64u
#define CHUNKS_MOST 131072u
#define STAMP_AGE_MOST (10 * NS_PER_S) /* a stamp that is older is none */
#define STATE_EVERY_NS (100 * NS_PER_MS)
#define LATENESS_NS (5 * NS_PER_MS) /* the kernel shows frames at the end of a poll of the NIC */

/* One receive queue of the NIC. */
struct port {
	struct xsk_ring_cons rx, completion;
	struct xsk_ring_prod fill;
	uint8_t *memory;
	uint32_t chunks;
	struct xsk_umem *umem;
	struct xsk_socket *socket;
	int fd;
};

/* One queue of the source: every `queues`th port. */
struct lane {
	/* Ring of those given out, in order: address | port << 56. */
	cacheline_aligned uint64_t *borrowed;
	uint32_t size, head, count;
	int epoll;
	int64_t state_checked_ns;
	int64_t realtime_ns; /* CLOCK_REALTIME less CLOCK_MONOTONIC */
	uint64_t received, bytes, filtered;
};

struct source_xdp {
	struct source source;
	struct netdev nic;
	struct xdp_bpf *program;
	int link, promiscuous;
	struct user_filter *filter;
	uint32_t snaplen;
	unsigned port_count, cpus;
	struct port ports[XDP_QUEUES_MAX];
	struct lane *lanes;

	pthread_mutex_t lock; /* of what follows */
	struct netdev_statistics nic_before;
	struct xdp_counts *counts; /* [cpus] */
	uint64_t lost_before, losing;
};

static struct source_xdp *of(struct source *s)
{
	return container_of(s, struct source_xdp, source);
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void port_close(struct port *p)
{
	if (p->socket)
		xsk_socket__delete(p->socket);
	if (p->umem)
		xsk_umem__delete(p->umem);
	if (p->memory)
		munmap(p->memory, (size_t)p->chunks * XDP_CHUNK);
	*p = (struct port){0};
}

static void ports_close(struct source_xdp *s)
{
	for (unsigned i = 0; i < s->port_count; i++)
		port_close(&s->ports[i]);
}

static int port_open(struct port *p, const char *nic, unsigned index, uint32_t chunks, bool copy)
{
	void *memory =
	    mmap(NULL, (size_t)chunks * XDP_CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	p->memory = memory;
	p->chunks = chunks;
	struct xsk_umem_config umem = {.fill_size = chunks, .comp_size = 64, .frame_size = XDP_CHUNK};
	int r = xsk_umem__create(&p->umem, memory, (uint64_t)chunks * XDP_CHUNK, &p->fill, &p->completion, &umem);
	if (r)
		return r;
	/* Before the socket is bound: a driver that finds nothing here then would wait to be woken. */
	uint32_t at = 0;
	xsk_ring_prod__reserve(&p->fill, chunks, &at);
	for (uint32_t i = 0; i < chunks; i++)
		*xsk_ring_prod__fill_addr(&p->fill, at + i) = (uint64_t)i * XDP_CHUNK;
	xsk_ring_prod__submit(&p->fill, chunks);
	struct xsk_socket_config socket = {
	    .rx_size = chunks,
	    .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
	    .bind_flags = (uint16_t)(XDP_USE_NEED_WAKEUP | (copy ? XDP_COPY : 0)),
	};
	/* The kernel is done with the queue of a process that was killed a moment after its end. */
	for (int tries = 0; tries < 100; tries++) {
		r = xsk_socket__create(&p->socket, nic, index, p->umem, &p->rx, NULL, &socket);
		if (r != -EBUSY)
			break;
		usleep(10000);
	}
	if (r)
		return r;
	p->fd = xsk_socket__fd(p->socket);
	return 0;
}

static int explain_port(const char *nic, unsigned index, int r, struct error *e)
{
	switch (r) {
	case -EPERM:
		return error_set(
		    e, r, "%s: not allowed to use AF_XDP: CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF are needed", nic);
	case -EBUSY:
		return error_set(e, r, "%s: another program reads receive queue %u by AF_XDP", nic, index);
	case -ENOBUFS:
		return error_set(
		    e, r,
		    "%s: no more memory may be locked for its rings: ulimit -l unlimited, LimitMEMLOCK=infinity "
		    "or CAP_IPC_LOCK",
		    nic);
	default:
		return error_set(e, r, "%s: receive queue %u cannot be opened by AF_XDP: %s", nic, index, strerror(-r));
	}
}

/* Sockets for all receive queues, in the program's map. */
static int ports_open(struct source_xdp *s, uint64_t ring_bytes, bool copy, struct error *e)
{
	unsigned in_lane = (s->port_count + s->source.queues - 1) / s->source.queues;
	uint64_t wanted = ring_bytes / XDP_CHUNK / in_lane;
	uint32_t chunks = CHUNKS_LEAST;
	while (chunks * 2 <= wanted && chunks < CHUNKS_MOST)
		chunks *= 2;
	for (unsigned i = 0; i < s->port_count; i++) {
		int r = port_open(&s->ports[i], s->nic.name, i, chunks, copy);
		if (r)
			return explain_port(s->nic.name, i, r, e);
		if (bpf_map_update_elem(bpf_map__fd(s->program->maps.sockets), &i, &s->ports[i].fd, BPF_ANY))
			return error_set(e, -errno, "%s: receive queue %u cannot be bound to its socket: %s",
					 s->nic.name, i, strerror(errno));
	}
	return 0;
}

/* -EBUSY where the NIC has an XDP program. It is never ours from before: those end with their process. */
static int refuse_others(const struct source_xdp *s, struct error *e)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, found);
	if (bpf_xdp_query(s->nic.index, 0, &found))
		return 0;
	uint32_t id = found.prog_id       ? found.prog_id
		      : found.drv_prog_id ? found.drv_prog_id
		      : found.skb_prog_id ? found.skb_prog_id
					  : found.hw_prog_id;
	if (!id)
		return 0;
	struct bpf_prog_info info = {0};
	int fd = bpf_prog_get_fd_by_id(id);
	if (fd >= 0) {
		bpf_obj_get_info_by_fd(fd, &info, &(uint32_t){sizeof info});
		close(fd);
	}
	bool same = !strncmp(info.name, "tapscope_xdp", sizeof info.name);
	return error_set(e, -EBUSY, "%s has an XDP program already, %s (id %u): %s", s->nic.name,
			 *info.name ? info.name : "of an unknown name", id,
			 same ? "another tapscope captures from it"
			      : "capture with AF_PACKET, or take it away with 'ip link set NIC xdp off'");
}

static int attach(struct source_xdp *s, unsigned flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
	int fd = bpf_link_create(bpf_program__fd(s->program->progs.tapscope_xdp), s->nic.index, BPF_XDP, &options);
	if (fd < 0)
		return fd;
	s->link = fd;
	return 0;
}

/* The sockets come first, so that the program finds them from its first frame on. */
static int start(struct source_xdp *s, uint64_t ring_bytes, struct error *e)
{
	static const struct {
		unsigned flags;
		bool copy;
	} modes[] = {{XDP_FLAGS_DRV_MODE, false}, {XDP_FLAGS_SKB_MODE, true}};
	int r = 0;
	for (unsigned i = 0; i < array_size(modes); i++) {
		r = ports_open(s, ring_bytes, modes[i].copy, e);
		if (r == 0) {
			r = attach(s, modes[i].flags);
			if (r == 0)
				return 0;
			int other = refuse_others(s, e);
			if (other)
				return other;
			error_set(e, r, "%s: cannot attach the XDP program: %s%s", s->nic.name, strerror(-r),
				  r == -EINVAL ? " (needs Linux 5.9)" : "");
		}
		ports_close(s);
		if (r == -EPERM || r == -EBUSY || r == -ENOBUFS || r == -ENOMEM)
			return r;
	}
	return r;
}

static int lanes_open(struct source_xdp *s, struct error *e)
{
	for (unsigned q = 0; q < s->source.queues; q++) {
		struct lane *l = &s->lanes[q];
		l->epoll = epoll_create1(EPOLL_CLOEXEC);
		if (l->epoll < 0)
			return error_set(e, -errno, "%s: no descriptor to wait on: %s", s->nic.name, strerror(errno));
		for (unsigned i = q; i < s->port_count; i += s->source.queues) {
			struct epoll_event event = {.events = EPOLLIN};
			if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, s->ports[i].fd, &event))
				return error_set(e, -errno, "%s: cannot wait for receive queue %u: %s", s->nic.name, i,
						 strerror(errno));
			l->size += s->ports[i].chunks;
		}
		l->borrowed = calloc(l->size + 1, sizeof *l->borrowed);
		if (!l->borrowed)
			return error_set(e, -ENOMEM, "%s: no memory", s->nic.name);
	}
	return 0;
}

static struct source *source_xdp_close(struct source *source)
{
	struct source_xdp *s = of(source);
	if (s->link >= 0)
		close(s->link);
	ports_close(s);
	for (unsigned q = 0; s->lanes && q < s->source.queues; q++) {
		if (s->lanes[q].epoll >= 0)
			close(s->lanes[q].epoll);
		free(s->lanes[q].borrowed);
	}
	free(s->lanes);
	if (s->program)
		xdp_bpf__destroy(s->program);
	if (s->promiscuous >= 0)
		close(s->promiscuous);
	netdev_close(&s->nic);
	user_filter_free(s->filter);
	free(s->counts);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return NULL;
}

static int quiet(enum libbpf_print_level level, const char *text, va_list arguments)
{
	(void)level;
	(void)text;
	(void)arguments;
	return 0;
}

static int quiet_xdp(enum libxdp_print_level level, const char *text, va_list arguments)
{
	(void)level;
	(void)text;
	(void)arguments;
	return 0;
}

static int open_here(struct source_xdp *s, const struct source_options *o, struct error *e)
{
	int r = netdev_open(&s->nic, o->nic, e);
	if (r)
		return r;
	if (!netdev_is_ethernet(&s->nic))
		return error_set(e, -ENOTSUP, "%s is not Ethernet: capture with AF_PACKET", o->nic);
	r = user_filter_new(&s->filter, o->filter, 1, o->nic, e);
	if (r == 0)
		r = refuse_others(s, e);
	if (r)
		return r;
	s->port_count = netdev_rx_queues(&s->nic);
	if (s->port_count > XDP_QUEUES_MAX)
		return error_set(e, -E2BIG, "%s has %u receive queues, more than %u: ethtool -L", o->nic, s->port_count,
				 XDP_QUEUES_MAX);
	libbpf_set_print(quiet); /* what they say comes back as an errno, too */
	libxdp_set_print(quiet_xdp);
	s->program = xdp_bpf__open_and_load();
	if (!s->program)
		return explain_port(o->nic, 0, -errno, e);
	if (o->promiscuous) {
		s->promiscuous = netdev_promiscuous(&s->nic);
		if (s->promiscuous < 0)
			return error_set(e, s->promiscuous, "%s: cannot make it promiscuous: %s", o->nic,
					 strerror(-s->promiscuous));
	}
	netdev_statistics(&s->nic, &s->nic_before);
	r = start(s, o->ring_bytes, e);
	return r ? r : lanes_open(s, e);
}

static int source_xdp_open(struct source **ret_source, const struct source_options *o, struct error *e)
{
	struct source_xdp *s = calloc(1, sizeof *s);
	int cpus = libbpf_num_possible_cpus();
	if (!s || cpus <= 0) {
		free(s);
		return error_set(e, -ENOMEM, "%s: no memory", o->nic);
	}
	s->source = (struct source){
	    .ops = &source_xdp_ops,
	    .queues = o->queues,
	    .flags = o->queues > 1 ? SOURCE_UNSTEERED : 0,
	    .clock = CLOCK_SOFTWARE,
	    .lateness_ns = LATENESS_NS,
	};
	s->snaplen = o->snaplen ? o->snaplen : UINT32_MAX;
	s->link = s->promiscuous = -1;
	s->nic.socket = s->nic.netlink = -1;
	s->cpus = (unsigned)cpus;
	pthread_mutex_init(&s->lock, NULL);
	s->counts = calloc(s->cpus, sizeof *s->counts);
	s->lanes = aligned_alloc(64, o->queues * sizeof *s->lanes);
	int before;
	int r = -ENOMEM;
	if (s->lanes) {
		memset(s->lanes, 0, o->queues * sizeof *s->lanes);
		for (unsigned q = 0; q < o->queues; q++)
			s->lanes[q].epoll = -1;
	}
	if (!s->lanes || !s->counts)
		error_set(e, r, "%s: no memory", o->nic);
	else
		r = netns_enter(o->netns, &before, e);
	if (r == 0) {
		r = open_here(s, o, e);
		netns_leave(before);
	}
	if (r) {
		source_xdp_close(&s->source);
		return r;
	}
	*ret_source = &s->source;
	return 0;
}

/* When the frame at `address` came, in ns of CLOCK_MONOTONIC, or 0. */
static uint64_t *stamp_of(const struct port *p, uint64_t address)
{
	return (void *)(p->memory + address - 8);
}

/* The chunk may be used again. Whatever of a stamp is in it shall not be taken for that of its next frame. */
static void give_back(struct port *p, uint64_t address)
{
	uint32_t at;
	*stamp_of(p, address) = 0;
	if (xsk_ring_prod__reserve(&p->fill, 1, &at))
		*xsk_ring_prod__fill_addr(&p->fill, at) = address & ~(uint64_t)(XDP_CHUNK - 1);
	xsk_ring_prod__submit(&p->fill, 1);
}

static void wake(struct port *p)
{
	if (xsk_ring_prod__needs_wakeup(&p->fill))
		recvfrom(p->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

/* The port of the lane whose next frame is the oldest; NULL where there is no frame. */
static struct port *oldest(struct source_xdp *s, unsigned queue)
{
	struct port *best = NULL;
	uint64_t best_stamp = 0;
	for (unsigned i = queue; i < s->port_count; i += s->source.queues) {
		struct port *p = &s->ports[i];
		if (!xsk_cons_nb_avail(&p->rx, 1))
			continue;
		if (s->port_count <= s->source.queues)
			return p;
		uint64_t stamp = *stamp_of(p, xsk_ring_cons__rx_desc(&p->rx, p->rx.cached_cons)->addr);
		if (!best || stamp < best_stamp) {
			best = p;
			best_stamp = stamp;
		}
	}
	return best;
}

/* Nothing came. Whether anything can. */
static int idle(struct source_xdp *s, struct lane *l, unsigned queue)
{
	for (unsigned i = queue; i < s->port_count; i += s->source.queues)
		wake(&s->ports[i]);
	if (l->count && l->count == l->size)
		return -ENOBUFS;
	int64_t now = clock_ns(CLOCK_MONOTONIC_COARSE);
	if (now - l->state_checked_ns < STATE_EVERY_NS)
		return 0;
	l->state_checked_ns = now;
	return netdev_state(&s->nic);
}

/* What to add to a stamp. It changes when the clock is set; what looks like less than the time it took to look is not
 * a change, so that stamps keep their order. Returns the monotonic time. */
static int64_t look_at_clocks(struct lane *l)
{
	int64_t began, real, ended;
	unsigned tries = 0;
	do { /* not if this thread had to wait in between */
		began = clock_ns(CLOCK_MONOTONIC);
		real = clock_ns(CLOCK_REALTIME);
		ended = clock_ns(CLOCK_MONOTONIC);
	} while (ended - began > 10 * NS_PER_US && ++tries < 10);
	int64_t offset = real - began - (ended - began) / 2;
	if (llabs(offset - l->realtime_ns) > ended - began)
		l->realtime_ns = offset;
	return ended;
}

static int source_xdp_receive(struct source *source, unsigned queue, struct frame *ret_frames, unsigned max)
{
	struct source_xdp *s = of(source);
	struct lane *l = &s->lanes[queue];
	struct port *p = oldest(s, queue);
	if (!p)
		return idle(s, l, queue);
	int64_t now = look_at_clocks(l);
	unsigned count = 0;
	uint64_t bytes = 0, filtered = 0;
	for (unsigned looked = 0; p && count < max && looked < 4 * max; looked++) {
		const struct xdp_desc *d = xsk_ring_cons__rx_desc(&p->rx, p->rx.cached_cons);
		uint64_t address = d->addr;
		uint32_t len = d->len;
		const uint8_t *data = p->memory + address;
		p->rx.cached_cons++;
		xsk_ring_cons__release(&p->rx, 1);
		if (s->filter && !user_filter_matches(s->filter, data, len, len)) {
			filtered++;
			give_back(p, address);
			p = oldest(s, queue);
			continue;
		}
		int64_t stamp = (int64_t)*stamp_of(p, address);
		if (llabs(now - stamp) > STAMP_AGE_MOST) {
			stamp = now;
			publish(s->source.clock, CLOCK_POLL);
		}
		ret_frames[count++] = (struct frame){.data = data,
						     .caplen = min_of(len, s->snaplen),
						     .wirelen = len,
						     .ts_ns = stamp + l->realtime_ns,
						     .link_type = 1};
		uint32_t slot = l->head + l->count++;
		l->borrowed[slot < l->size ? slot : slot - l->size] = address | (uint64_t)(p - s->ports) << 56;
		bytes += len;
		p = oldest(s, queue);
	}
	publish_add(l->received, count);
	publish_add(l->bytes, bytes);
	publish_add(l->filtered, filtered);
	return (int)count;
}

static void source_xdp_release(struct source *source, unsigned queue, unsigned count)
{
	struct source_xdp *s = of(source);
	struct lane *l = &s->lanes[queue];
	for (; count && l->count; count--, l->count--) {
		uint64_t entry = l->borrowed[l->head];
		l->head = l->head + 1 == l->size ? 0 : l->head + 1;
		give_back(&s->ports[entry >> 56], entry & (UINT64_MAX >> 8));
	}
	for (unsigned i = queue; i < s->port_count; i += s->source.queues)
		wake(&s->ports[i]);
}

static int source_xdp_descriptor(const struct source *source, unsigned queue)
{
	return container_of(source, const struct source_xdp, source)->lanes[queue].epoll;
}

static void source_xdp_counters(struct source *source, struct source_counters *ret)
{
	struct source_xdp *s = of(source);
	struct source_counters c = {0};
	uint64_t lost = 0;
	for (unsigned q = 0; q < s->source.queues; q++) {
		c.received += peek(s->lanes[q].received);
		c.bytes += peek(s->lanes[q].bytes);
		c.filtered += peek(s->lanes[q].filtered);
	}
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->port_count; i++) {
		struct xdp_statistics x = {0};
		getsockopt(s->ports[i].fd, SOL_XDP, XDP_STATISTICS, &x, &(socklen_t){sizeof x});
		/* rx_fill_ring_empty_descs counts no frames: in copy mode each such frame is in rx_dropped, in
		 * zero-copy mode it counts attempts of the driver. */
		lost += x.rx_dropped + x.rx_ring_full;
	}
	if (bpf_map_lookup_elem(bpf_map__fd(s->program->maps.counts), &(uint32_t){0}, s->counts) == 0) {
		for (unsigned i = 0; i < s->cpus; i++) {
			c.seen += s->counts[i].seen;
			lost += s->counts[i].too_long + s->counts[i].unbound;
		}
	}
	c.kernel_dropped = lost;
	s->losing += lost > s->lost_before;
	s->lost_before = lost;
	c.losing = s->losing;
	struct netdev_statistics nic = s->nic_before;
	netdev_statistics(&s->nic, &nic);
	c.nic_packets = nic.rx_packets - s->nic_before.rx_packets;
	c.nic_dropped = nic.rx_dropped - s->nic_before.rx_dropped;
	pthread_mutex_unlock(&s->lock);
	*ret = c;
}

static void source_xdp_stop(struct source *source)
{
	struct source_xdp *s = of(source);
	if (s->link < 0)
		return;
	bpf_link_detach(s->link);
	close(s->link);
	s->link = -1;
	/* A processor may still be running the program. This waits until each of them has come by. */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(10000);
}

const struct source_ops source_xdp_ops = {
    .kind = SOURCE_AF_XDP,
    .open = source_xdp_open,
    .receive = source_xdp_receive,
    .release = source_xdp_release,
    .descriptor = source_xdp_descriptor,
    .counters = source_xdp_counters,
    .stop = source_xdp_stop,
    .close = source_xdp_close,
};
