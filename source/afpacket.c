/* afpacket.c - the AF_PACKET source; afpacket.h says how it works. */
#include "afpacket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/membarrier.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's timers are as coarse as 10 ms (CONFIG_HZ=100), and only an expired one closes a block. */
#define TIMER_NS (10 * NS_PER_MS)

static int learn_hardware(struct packet_source *s, const char *name, struct error *e)
{
	struct ifreq q = {0};
	strcpy(q.ifr_name, s->nic.name);
	if (ioctl(s->nic.socket, SIOCGIFHWADDR, &q))
		return error_set(e, -errno, "%s: it does not say what it is: %s", name, strerror(errno));
	s->hardware = q.ifr_hwaddr.sa_family;
	s->loopback = s->hardware == ARPHRD_LOOPBACK;
	s->cooked = s->hardware != ARPHRD_ETHER && !s->loopback;
	return 0;
}

/* Whether the NIC gives each frame that it receives a time of its own. It is not told to: that would outlive us. */
static bool stamps_all(const struct packet_source *s)
{
	struct hwtstamp_config config = {0};
	struct ifreq q = {.ifr_data = (void *)&config};
	strcpy(q.ifr_name, s->nic.name);
	return !ioctl(s->nic.socket, SIOCGHWTSTAMP, &q) && config.rx_filter == HWTSTAMP_FILTER_ALL;
}

static int open_socket(const struct packet_source *s, struct packet_queue *q, const struct source_options *o,
		       struct error *e)
{
	int type = s->cooked ? SOCK_DGRAM : SOCK_RAW;
	/* Protocol 0: it receives nothing before it is bound. */
	q->fd = socket(AF_PACKET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (q->fd < 0)
		return error_set(e, -errno, "%s: no packet socket: %s%s", o->nic, strerror(errno),
				 errno == EPERM ? " (CAP_NET_RAW is missing)" : "");
	unsigned block_ms = (unsigned)min_of(max_of(o->block_ns / NS_PER_MS, INT64_C(1)), INT64_C(1000));
	int r = packet_ring_open(q, o->nic, s->in_ring, o->ring_bytes, block_ms, e);
	if (r)
		return r;
	const int stamp = SOF_TIMESTAMPING_RAW_HARDWARE;
	if (s->source.clock == CLOCK_NIC && setsockopt(q->fd, SOL_PACKET, PACKET_TIMESTAMP, &stamp, sizeof stamp))
		return error_set(e, -errno, "%s: its times are not to be had: %s", o->nic, strerror(errno));
	/* Shut until all sockets of the group are there. */
	r = packet_filter_shut(q->fd);
	if (r)
		return error_set(e, r, "%s: its socket takes no filter: %s", o->nic, strerror(-r));
	struct sockaddr_ll address = {
	    .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = s->nic.index};
	if (bind(q->fd, (struct sockaddr *)&address, sizeof address))
		return error_set(e, -errno, "%s: cannot be listened to: %s", o->nic, strerror(errno));
	return 0;
}

static int fanout_set(int fd, unsigned id, unsigned type)
{
	const uint32_t value = id | type << 16;
	return setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &value, sizeof value) ? -errno : 0;
}

/* Joins the queue's socket to the group, which the first one founds. Its members are numbered as they come, also when
 * the NIC was down and is up again: then they come in the order in which they were made. */
static int join(struct packet_source *s, unsigned queue, unsigned *id, struct error *e)
{
	int fd = s->queue[queue].fd, r;
	unsigned type = s->fanout ? PACKET_FANOUT_EBPF : PACKET_FANOUT_HASH;
	if (queue) {
		r = fanout_set(fd, *id, type);
	} else {
		uint32_t value = 0;
		socklen_t len = sizeof value;
		r = fanout_set(fd, 0, type | PACKET_FANOUT_FLAG_UNIQUEID);
		if (!r && getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &value, &len))
			r = -errno;
		else
			*id = value & 0xffff;
		int program = s->fanout ? fanout_program(s->fanout) : -1;
		if (!r && s->fanout && setsockopt(fd, SOL_PACKET, PACKET_FANOUT_DATA, &program, sizeof program))
			r = -errno;
	}
	if (r == -EINVAL && netdev_state(&s->nic) == -ENETDOWN) /* before Linux 6.14 */
		return error_set(e, -ENETDOWN, "%s: is down, and cannot be opened with several queues before it is up",
				 s->nic.name);
	return r ? error_set(e, r, "%s: its sockets cannot share its packets (PACKET_FANOUT): %s", s->nic.name,
			     strerror(-r))
		 : 0;
}

static int open_queues(struct packet_source *s, const struct source_options *o, struct error *e)
{
	int r = 0;
	unsigned group = 0;
	for (unsigned i = 0; i < o->queues && !r; i++) {
		r = open_socket(s, &s->queue[i], o, e);
		if (!r && o->queues > 1)
			r = join(s, i, &group, e);
	}
	for (unsigned i = 0; i < o->queues && !r; i++)
		r = packet_filter_attach(s, s->queue[i].fd, e);
	return r;
}

/* In the NIC's namespace. */
static int open_here(struct packet_source *s, const struct source_options *o, struct error *e)
{
	int r = netdev_open(&s->nic, o->nic, e);
	if (!r)
		r = learn_hardware(s, o->nic, e);
	if (!r && o->nic_clock) {
		s->source.clock = CLOCK_NIC;
		if (!stamps_all(s))
			r = error_set(e, -ENOTSUP,
				      "%s: capture.nic_clock: it gives no times to what it receives; where it can, "
				      "'hwstamp_ctl -i %s -r 1' tells it to",
				      o->nic, o->nic);
	}
	if (!r)
		r = packet_filter_open(s, o->filter, e);
	if (!r && o->queues > 1 && fanout_open(&s->fanout, o, s->cooked))
		s->source.flags |= SOURCE_UNSTEERED;
	if (!r) {
		netdev_statistics(&s->nic, &s->nic_before);
		r = open_queues(s, o, e);
	}
	if (!r && o->promiscuous) {
		s->promiscuous = netdev_promiscuous(&s->nic);
		if (s->promiscuous < 0)
			r = error_set(e, s->promiscuous, "%s: cannot be made promiscuous: %s", o->nic,
				      strerror(-s->promiscuous));
	}
	return r;
}

static struct source *packet_close(struct source *source)
{
	struct packet_source *s = container_of(source, struct packet_source, source);
	for (unsigned i = 0; i < s->source.queues; i++) {
		packet_ring_close(&s->queue[i]);
		if (s->queue[i].fd >= 0)
			close(s->queue[i].fd);
	}
	if (s->promiscuous >= 0)
		close(s->promiscuous);
	s->fanout = fanout_close(s->fanout);
	packet_filter_close(s);
	netdev_close(&s->nic);
	pthread_mutex_destroy(&s->lock);
	free(s->queue);
	free(s);
	return NULL;
}

static int packet_open(struct source **ret_source, const struct source_options *o, struct error *e)
{
	struct packet_source *s = calloc(1, sizeof *s);
	struct packet_queue *queue = aligned_alloc(_Alignof(struct packet_queue), o->queues * sizeof *queue);
	if (!s || !queue) {
		free(s);
		free(queue);
		return error_set(e, -ENOMEM, "%s: no memory", o->nic);
	}
	for (unsigned i = 0; i < o->queues; i++)
		queue[i] = (struct packet_queue){.fd = -1};
	*s = (struct packet_source){
	    .source = {.ops = &source_afpacket_ops,
		       .queues = o->queues,
		       .clock = CLOCK_SOFTWARE,
		       .lateness_ns = max_of(o->block_ns, NS_PER_MS) + TIMER_NS},
	    .nic = {.socket = -1, .netlink = -1},
	    .snaplen = o->snaplen ? o->snaplen : UINT32_MAX,
	    .promiscuous = -1,
	    .counts = -1,
	    .program = -1,
	    .queue = queue,
	};
	pthread_mutex_init(&s->lock, NULL);
	int before, r = netns_enter(o->netns, &before, e);
	if (!r) {
		r = open_here(s, o, e);
		netns_leave(before);
	}
	if (r)
		packet_close(&s->source);
	else
		*ret_source = &s->source;
	return r;
}

static void packet_counters(struct source *source, struct source_counters *ret)
{
	struct packet_source *s = container_of(source, struct packet_source, source);
	struct source_counters c = {0};
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->source.queues; i++) {
		struct packet_queue *q = &s->queue[i];
		c.received += peek(q->received);
		c.bytes += peek(q->bytes);
		c.filtered += peek(q->filtered);
		c.unwanted += peek(q->unwanted);
		/* Reading sets these to 0. What was dropped is in tp_packets too. */
		struct tpacket_stats_v3 stats = {0};
		socklen_t len = sizeof stats;
		if (!getsockopt(q->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len)) {
			q->kernel_packets += stats.tp_packets;
			q->kernel_dropped += stats.tp_drops;
			q->losing += stats.tp_drops > 0;
		}
		c.losing += q->losing;
		c.kernel_dropped += q->kernel_dropped;
		if (s->program < 0)
			c.seen += q->kernel_packets;
	}
	packet_filter_counters(s, &c);
	struct netdev_statistics nic;
	if (!netdev_statistics(&s->nic, &nic)) {
		/* both are seen; loopback counts each packet in both, and shows it twice */
		c.nic_packets = nic.rx_packets - s->nic_before.rx_packets + nic.tx_packets - s->nic_before.tx_packets;
		c.nic_dropped = nic.rx_dropped - s->nic_before.rx_dropped;
	}
	pthread_mutex_unlock(&s->lock);
	*ret = c;
}

/* A packet ran the old filter, and is counted, or runs the new one, and is not. */
static void packet_stop(struct source *source)
{
	struct packet_source *s = container_of(source, struct packet_source, source);
	for (unsigned i = 0; i < s->source.queues; i++)
		packet_filter_shut(s->queue[i].fd);
	/* Waits until no CPU is within the old one (synchronize_rcu()). */
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

const struct source_ops source_afpacket_ops = {
    .kind = SOURCE_AF_PACKET,
    .open = packet_open,
    .receive = packet_receive,
    .release = packet_release,
    .descriptor = packet_descriptor,
    .counters = packet_counters,
    .stop = packet_stop,
    .close = packet_close,
};
