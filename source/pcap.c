/* pcap.c - frames of whatever libpcap can open.
 *
 * libpcap gives each frame for the length of a call only, so frames are copied into a ring and lent from there. All
 * come on queue 0. The filter runs here and not in the kernel, where nobody would count what it rejects.
 *
 * Counting. Where libpcap reads an AF_PACKET socket (every NIC of Linux), ps_recv is the kernel's tp_packets: what
 * passed the socket's filter, those included that found no room (ps_drop). libpcap itself throws away the outgoing half
 * of loopback, after the kernel has counted it; so that half is rejected by a filter of our own on the socket. While
 * the handle is being made ready, and after stop(), the socket rejects everything. */
#include "byte_ring.h"
#include "internal.h"
#include "netdev.h"
#include "user_filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SNAPLEN_MAX 262144
#define RING_LEAST (UINT64_C(2) << 20)
#define STATE_EVERY_NS (100 * NS_PER_MS)
#define COUNT_EVERY (1u << 24) /* frames: libpcap's counters have 32 bits */

struct source_pcap {
	struct source source;
	pcap_t *handle;
	struct netdev nic; /* nic.index == 0: a device that is no NIC */
	bool af_packet;
	int64_t tick_ns; /* of the handle's time stamps: 1 or 1000 */
	uint32_t snaplen;
	uint32_t longest; /* bytes that libpcap may give at once */
	uint16_t link_type;
	struct user_filter *filter;
	_Atomic bool stopped;

	/* the worker's */
	struct byte_ring ring;
	struct frame *frames; /* where the callback puts them */
	unsigned count, max;
	uint32_t since_counted;
	int64_t state_checked_ns;
	uint64_t received, bytes, filtered;

	pthread_mutex_t lock; /* of what follows */
	struct pcap_stat last;
	struct netdev_statistics nic_before;
	uint64_t seen, dropped, losing;
};

static struct source_pcap *of(struct source *s)
{
	return container_of(s, struct source_pcap, source);
}

/* What the kernel counted since the last call. */
static void count(struct source_pcap *s)
{
	struct pcap_stat now;
	pthread_mutex_lock(&s->lock);
	if (pcap_stats(s->handle, &now) == 0) {
		uint32_t received = now.ps_recv - s->last.ps_recv, dropped = now.ps_drop - s->last.ps_drop;
		/* Other devices than AF_PACKET's count only what libpcap read. */
		s->seen += received + (s->af_packet ? 0 : dropped);
		s->dropped += dropped;
		s->losing += dropped > 0;
		s->last = now;
	}
	pthread_mutex_unlock(&s->lock);
}

/* What passes the socket: nothing, or everything but the copy of a loopback frame that is on its way out. */
static int admit(struct source_pcap *s, bool everything)
{
	struct sock_filter nothing[] = {{BPF_RET | BPF_K, 0, 0, 0}};
	struct sock_filter once[] = {
	    {BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)SKF_AD_OFF + SKF_AD_PKTTYPE},
	    {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, PACKET_OUTGOING},
	    {BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)SKF_AD_OFF + SKF_AD_IFINDEX},
	    {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 1 /* lo, in every namespace */},
	    {BPF_RET | BPF_K, 0, 0, 0},
	    {BPF_RET | BPF_K, 0, 0, s->longest},
	};
	struct sock_fprog program = everything ? (struct sock_fprog){array_size(once), once}
					       : (struct sock_fprog){array_size(nothing), nothing};
	return setsockopt(pcap_fileno(s->handle), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) ? -errno : 0;
}

static void ignore(u_char *user, const struct pcap_pkthdr *h, const u_char *data)
{
	(void)user;
	(void)h;
	(void)data;
}

/* The handle captures from the moment when it is activated. What came since then, unfiltered, is taken out unseen; from
 * here on all counters start at 0. */
static int begin(struct source_pcap *s, int timeout_ms)
{
	if (s->af_packet) {
		int r = admit(s, false);
		if (r)
			return r;
		/* A block comes out after at most two timeouts. */
		for (int i = 0; i < 3; i++) {
			while (pcap_dispatch(s->handle, 4096, ignore, NULL) > 0)
				;
			usleep((useconds_t)timeout_ms * 1000 + 1000);
		}
		while (pcap_dispatch(s->handle, 4096, ignore, NULL) > 0)
			;
	}
	if (pcap_stats(s->handle, &s->last))
		s->last = (struct pcap_stat){0};
	if (s->nic.index)
		netdev_statistics(&s->nic, &s->nic_before);
	return s->af_packet ? admit(s, true) : 0;
}

static int explain(struct source_pcap *s, const char *nic, int status, struct error *e)
{
	const char *text = pcap_geterr(s->handle);
	switch (status) {
	case PCAP_ERROR_NO_SUCH_DEVICE:
		return error_set(e, -ENODEV, "%s: libpcap knows no such device%s%s", nic, *text ? ": " : "", text);
	case PCAP_ERROR_PERM_DENIED:
	case PCAP_ERROR_PROMISC_PERM_DENIED:
		return error_set(
		    e, -EPERM,
		    "%s: not allowed to capture: CAP_NET_RAW is missing (setcap cap_net_raw+ep, or run as root)", nic);
	case PCAP_ERROR_IFACE_NOT_UP:
		return error_set(e, -ENETDOWN, "%s is down: ip link set %s up", nic, nic);
	default:
		return error_set(e, -EIO, "%s: libpcap cannot open it: %s", nic,
				 *text ? text : pcap_statustostr(status));
	}
}

static struct source *source_pcap_close(struct source *source)
{
	struct source_pcap *s = of(source);
	if (s->handle)
		pcap_close(s->handle);
	if (s->nic.index)
		netdev_close(&s->nic);
	byte_ring_fini(&s->ring);
	user_filter_free(s->filter);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return NULL;
}

static int open_handle(struct source_pcap *s, const struct source_options *o, struct error *e)
{
	char text[PCAP_ERRBUF_SIZE] = "";
	int timeout_ms = (int)min_of(max_of(o->block_ns / NS_PER_MS, INT64_C(1)), INT64_C(1000));
	bool has_filter = o->filter && *o->filter;
	struct netdev nic;
	if (if_nametoindex(o->nic) && netdev_open(&nic, o->nic, e) == 0)
		s->nic = nic;
	s->handle = pcap_create(o->nic, text);
	if (!s->handle)
		return error_set(e, -ENODEV, "%s: libpcap knows no such device: %s", o->nic, text);
	s->snaplen = o->snaplen ? min_of(o->snaplen, (uint32_t)SNAPLEN_MAX) : SNAPLEN_MAX;
	s->longest = has_filter ? SNAPLEN_MAX : s->snaplen; /* a filter reads past the snap length */
	uint64_t half = max_of(o->ring_bytes / 2, RING_LEAST);
	pcap_set_snaplen(s->handle, (int)s->longest);
	pcap_set_promisc(s->handle, o->promiscuous);
	pcap_set_timeout(s->handle, timeout_ms);
	pcap_set_buffer_size(s->handle, (int)min_of(half, (uint64_t)INT32_MAX & ~UINT64_C(4095)));
	s->tick_ns = pcap_set_tstamp_precision(s->handle, PCAP_TSTAMP_PRECISION_NANO) ? 1000 : 1;
	int r = pcap_activate(s->handle);
	if (r < 0)
		return explain(s, o->nic, r, e);
	if (pcap_setnonblock(s->handle, 1, text))
		return error_set(e, -EIO, "%s: libpcap cannot read it without waiting: %s", o->nic, text);
	int domain = 0;
	if (pcap_fileno(s->handle) >= 0)
		getsockopt(pcap_fileno(s->handle), SOL_SOCKET, SO_DOMAIN, &domain, &(socklen_t){sizeof domain});
	s->af_packet = domain == AF_PACKET;
	s->link_type = link_type_of_dlt(pcap_datalink(s->handle));
	r = user_filter_new(&s->filter, o->filter, s->link_type, o->nic, e);
	if (r)
		return r;
	if (byte_ring_init(&s->ring, half))
		return error_set(e, -ENOMEM, "%s: no memory for its ring", o->nic);
	r = begin(s, timeout_ms);
	if (r)
		return error_set(e, r, "%s: cannot begin to capture: %s", o->nic, strerror(-r));
	bool sleeps = pcap_get_selectable_fd(s->handle) >= 0 && !pcap_get_required_select_timeout(s->handle);
	s->source.flags = (sleeps ? 0u : SOURCE_BUSY) | (o->queues > 1 ? SOURCE_UNSTEERED : 0u);
	s->source.clock = CLOCK_SOFTWARE;
	s->source.lateness_ns = (2 * timeout_ms + 1) * NS_PER_MS;
	return 0;
}

static int source_pcap_open(struct source **ret_source, const struct source_options *o, struct error *e)
{
	struct source_pcap *s = calloc(1, sizeof *s);
	if (!s)
		return error_set(e, -ENOMEM, "%s: no memory", o->nic);
	s->source.ops = &source_pcap_ops;
	s->source.queues = o->queues;
	pthread_mutex_init(&s->lock, NULL);
	int before;
	int r = netns_enter(o->netns, &before, e);
	if (r == 0) {
		r = open_handle(s, o, e);
		netns_leave(before);
	}
	if (r) {
		source_pcap_close(&s->source);
		return r;
	}
	*ret_source = &s->source;
	return 0;
}

static void take(u_char *user, const struct pcap_pkthdr *h, const u_char *data)
{
	struct source_pcap *s = (void *)user;
	if (s->filter && !user_filter_matches(s->filter, data, h->caplen, h->len)) {
		publish_add(s->filtered, 1);
		return;
	}
	uint32_t caplen = min_of(h->caplen, s->snaplen);
	uint8_t *copy = byte_ring_claim(&s->ring, caplen); /* there is room: receive() asked for no more than fits */
	memcpy(copy, data, caplen);
	s->frames[s->count++] = (struct frame){
	    .data = copy,
	    .caplen = caplen,
	    .wirelen = h->len,
	    .ts_ns = (int64_t)h->ts.tv_sec * NS_PER_S + (int64_t)h->ts.tv_usec * s->tick_ns,
	    .link_type = s->link_type,
	};
	publish_add(s->received, 1);
	publish_add(s->bytes, h->len);
}

/* Nothing came. Whether anything can. */
static int idle(struct source_pcap *s)
{
	if (!s->nic.index)
		return 0;
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	int64_t now = (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
	if (now - s->state_checked_ns < STATE_EVERY_NS)
		return 0;
	s->state_checked_ns = now;
	return netdev_state(&s->nic);
}

static int source_pcap_receive(struct source *source, unsigned queue, struct frame *ret_frames, unsigned max)
{
	struct source_pcap *s = of(source);
	if (queue)
		return 0;
	if (!s->af_packet && atomic_load_explicit(&s->stopped, memory_order_relaxed))
		return 0;
	/* As many as fit were they all of the greatest length, one of them broken off at the ring's end. */
	uint64_t entry = s->longest + 2 * BYTE_RING_HEAD;
	uint64_t room = (s->ring.size - (s->ring.head - s->ring.tail)) / entry;
	if (room < 2)
		return -ENOBUFS;
	s->frames = ret_frames;
	s->count = 0;
	int got = pcap_dispatch(s->handle, (int)min_of(room - 1, (uint64_t)max), take, (u_char *)s);
	if (s->count) {
		s->since_counted += s->count;
		if (s->since_counted >= COUNT_EVERY) {
			s->since_counted = 0;
			count(s);
		}
		return (int)s->count;
	}
	if (got == PCAP_ERROR && s->nic.index && netdev_state(&s->nic) == -ENODEV)
		return -ENODEV;
	if (got == PCAP_ERROR && !s->nic.index)
		return -ENODEV;
	return got > 0 ? 0 : idle(s);
}

static void source_pcap_release(struct source *source, unsigned queue, unsigned n)
{
	struct source_pcap *s = of(source);
	if (queue == 0)
		while (n--)
			byte_ring_release(&s->ring);
}

static int source_pcap_descriptor(const struct source *source, unsigned queue)
{
	const struct source_pcap *s = container_of(source, const struct source_pcap, source);
	return queue == 0 && !(source->flags & SOURCE_BUSY) ? pcap_get_selectable_fd(s->handle) : -1;
}

static void source_pcap_counters(struct source *source, struct source_counters *ret)
{
	struct source_pcap *s = of(source);
	struct netdev_statistics nic = s->nic_before;
	count(s);
	pthread_mutex_lock(&s->lock);
	if (s->nic.index)
		netdev_statistics(&s->nic, &nic);
	*ret = (struct source_counters){
	    .seen = s->seen,
	    .filtered = peek(s->filtered),
	    .kernel_dropped = s->dropped,
	    .received = peek(s->received),
	    .bytes = peek(s->bytes),
	    .losing = s->losing,
	    .nic_packets = nic.rx_packets - s->nic_before.rx_packets,
	    .nic_dropped = nic.rx_dropped - s->nic_before.rx_dropped,
	};
	pthread_mutex_unlock(&s->lock);
}

static void source_pcap_stop(struct source *source)
{
	struct source_pcap *s = of(source);
	atomic_store_explicit(&s->stopped, true, memory_order_relaxed);
	if (s->af_packet)
		admit(s, false);
}

const struct source_ops source_pcap_ops = {
    .kind = SOURCE_PCAP,
    .open = source_pcap_open,
    .receive = source_pcap_receive,
    .release = source_pcap_release,
    .descriptor = source_pcap_descriptor,
    .counters = source_pcap_counters,
    .stop = source_pcap_stop,
    .close = source_pcap_close,
};
