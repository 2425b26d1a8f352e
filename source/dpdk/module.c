/* module.c - the source: queues of mbufs, lent and freed in order. */
#include "module.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define COPY_MOST 262144 /* bytes of a frame in several pieces */
#define SEGMENTS_MOST 1024
#define LATENESS_NS NS_PER_MS
#define STATE_EVERY_NS (100 * NS_PER_MS)
#define TAGS_OUT (RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_QINQ_STRIPPED)

const struct dpdk_host *host;
static const struct source_ops dpdk_ops;

static struct source_dpdk *of(struct source *s)
{
	return container_of(s, struct source_dpdk, source);
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int lane_init(struct lane *l, uint32_t borrowed, uint64_t copies)
{
	l->borrowed = calloc(borrowed, sizeof *l->borrowed);
	l->borrowed_size = borrowed;
	return l->borrowed ? byte_ring_init(&l->copies, max_of(copies, (uint64_t)4 * COPY_MOST)) : -ENOMEM;
}

static struct source *dpdk_close(struct source *source)
{
	struct source_dpdk *s = of(source);
	for (unsigned q = 0; s->lanes && q < s->source.queues; q++) {
		struct lane *l = &s->lanes[q];
		for (; l->count; l->count--) {
			rte_pktmbuf_free(l->borrowed[l->head]);
			l->head = l->head + 1 == l->borrowed_size ? 0 : l->head + 1;
		}
		while (l->pending_next < l->pending_count)
			rte_pktmbuf_free(l->pending[l->pending_next++]);
	}
	if (s->kind == KIND_PORT)
		port_close(s);
	else
		rings_close(s);
	for (unsigned q = 0; s->lanes && q < s->source.queues; q++) {
		free(s->lanes[q].borrowed);
		byte_ring_fini(&s->lanes[q].copies);
		if (s->lanes[q].idle >= 0)
			close(s->lanes[q].idle);
	}
	free(s->lanes);
	host->filter_free(s->filter);
	free(s);
	return NULL;
}

static int open_kind(struct source_dpdk *s, const struct source_options *o, struct error *e)
{
	int r = host->filter_new(&s->filter, o->filter, 1, o->nic, e);
	if (r)
		return r;
	if (s->kind == KIND_RINGS)
		r = rings_open(s, o, e);
	else if (s->kind == KIND_PDUMP)
		r = pdump_open(s, o, e);
	else
		r = port_open(s, o, e);
	for (unsigned q = 0; q < o->queues && r == 0; q++) {
		struct lane *l = &s->lanes[q];
		if (l->has_port || l->ring_count)
			continue;
		l->idle = eventfd(0, EFD_CLOEXEC);
		if (l->idle < 0)
			r = host->error_set(e, -errno, "%s: no descriptor: %s", s->name, strerror(errno));
	}
	return r;
}

static int dpdk_open(struct source **ret_source, const struct source_options *o, struct error *e)
{
	struct source_dpdk *s = calloc(1, sizeof *s);
	struct lane *lanes = aligned_alloc(64, o->queues * sizeof *lanes);
	size_t name = strcspn(o->nic, strncmp(o->nic, "ring:", 5) ? "," : "");
	if (!s || !lanes) {
		free(s);
		free(lanes);
		return host->error_set(e, -ENOMEM, "%s: no memory", o->nic);
	}
	memset(lanes, 0, o->queues * sizeof *lanes);
	for (unsigned q = 0; q < o->queues; q++)
		lanes[q].idle = -1;
	s->source = (struct source){
	    .ops = &dpdk_ops,
	    .queues = o->queues,
	    .flags = SOURCE_BUSY | (o->queues > 1 ? SOURCE_UNSTEERED : 0u),
	    .clock = CLOCK_POLL,
	    .lateness_ns = LATENESS_NS,
	};
	memcpy(s->name, o->nic, min_of(name, sizeof s->name - 1));
	s->kind = !strncmp(o->nic, "ring:", 5) ? KIND_RINGS : !strncmp(o->nic, "pdump:", 6) ? KIND_PDUMP : KIND_PORT;
	s->snaplen = o->snaplen ? o->snaplen : UINT32_MAX;
	s->lanes = lanes;
	int r = open_kind(s, o, e);
	if (r) {
		dpdk_close(&s->source);
		return r;
	}
	*ret_source = &s->source;
	return 0;
}

/* Takes what there is, once the last of it has been given out. */
static void pull(struct source_dpdk *s, struct lane *l, unsigned queue)
{
	l->pending_next = l->pending_count = 0;
	if (atomic_load_explicit(&s->stopped, memory_order_relaxed) && s->kind != KIND_PDUMP)
		return;
	if (l->has_port)
		l->pending_count = rte_eth_rx_burst(s->port, (uint16_t)queue, l->pending, PULL);
	for (unsigned i = 0; i < l->ring_count && !l->pending_count; i++) {
		struct rte_ring *ring = l->rings[l->ring_next];
		l->pending_count = rte_ring_dequeue_burst(ring, (void **)l->pending, PULL, NULL);
		l->ring_next = l->ring_next + 1 == l->ring_count ? 0 : l->ring_next + 1;
	}
	if (l->pending_count) {
		l->pending_ns = clock_ns(CLOCK_REALTIME);
		publish_add(l->seen, l->pending_count);
	}
}

/* Where in a chain of segments one is. */
struct place {
	const struct rte_mbuf *segment;
	uint32_t offset;
	unsigned left; /* segments that may follow */
};

/* Copies up to `len` bytes; how many there were. */
static uint32_t copy_from(struct place *p, uint8_t *to, uint32_t len)
{
	uint32_t done = 0;
	while (done < len && p->segment) {
		uint32_t n = min_of(len - done, p->segment->data_len - p->offset);
		memcpy(to + done, rte_pktmbuf_mtod_offset(p->segment, const uint8_t *, p->offset), n);
		done += n;
		p->offset += n;
		if (p->offset == p->segment->data_len) {
			p->segment = p->left-- ? p->segment->next : NULL;
			p->offset = 0;
		}
	}
	return done;
}

/* The tags that the driver took out of a frame, as they were on the wire; how many bytes. */
static uint32_t tags_of(const struct rte_mbuf *m, uint8_t to[8])
{
	uint16_t outer = m->vlan_tci_outer, inner = m->vlan_tci;
	uint32_t len = 0;
	if (m->ol_flags & RTE_MBUF_F_RX_QINQ_STRIPPED) {
		memcpy(to, (uint8_t[]){0x88, 0xa8, (uint8_t)(outer >> 8), (uint8_t)outer}, 4);
		len = 4;
	}
	memcpy(to + len, (uint8_t[]){0x81, 0x00, (uint8_t)(inner >> 8), (uint8_t)inner}, 4);
	return len + 4;
}

/* A frame in pieces, or without its tags, is copied into one. False: no room now. */
static bool copy(struct lane *l, const struct rte_mbuf *m, struct frame *f)
{
	struct place p = {.segment = m, .left = SEGMENTS_MOST};
	uint8_t tags[8];
	uint32_t tag_bytes = m->ol_flags & TAGS_OUT ? tags_of(m, tags) : 0;
	f->wirelen = m->pkt_len + tag_bytes;
	uint32_t most = min_of(f->wirelen, (uint32_t)COPY_MOST);
	uint8_t *to = byte_ring_claim(&l->copies, most);
	if (!to)
		return false;
	uint32_t len = copy_from(&p, to, tag_bytes ? min_of(most, 12u) : most);
	if (tag_bytes && len == 12 && len + tag_bytes <= most) {
		memcpy(to + len, tags, tag_bytes);
		len += tag_bytes;
		len += copy_from(&p, to + len, most - len);
	}
	f->data = to;
	f->caplen = len;
	return true;
}

/* What an application says of its mbuf is not believed as far as the buffer's end is concerned. */
static bool sane(const struct rte_mbuf *m)
{
	const struct rte_mbuf *segment = m;
	for (unsigned i = 0; segment; segment = segment->next)
		if (i++ == SEGMENTS_MOST || (uint32_t)segment->data_off + segment->data_len > segment->buf_len)
			return false;
	return true;
}

static void lend(struct lane *l, struct rte_mbuf *m)
{
	uint32_t slot = l->head + l->count++;
	l->borrowed[slot < l->borrowed_size ? slot : slot - l->borrowed_size] = m;
}

enum outcome { GIVEN, DROPPED, NO_ROOM };

/* One mbuf: becomes a frame, or goes. */
static enum outcome give(struct source_dpdk *s, struct lane *l, struct rte_mbuf *m, struct frame *f)
{
	if (l->count == l->borrowed_size)
		return NO_ROOM;
	if (!sane(m)) {
		publish_add(l->malformed, 1);
		rte_pktmbuf_free(m);
		return DROPPED;
	}
	*f = (struct frame){.ts_ns = l->pending_ns, .link_type = 1};
	bool copied = m->nb_segs > 1 || m->ol_flags & TAGS_OUT;
	struct byte_ring before = l->copies;
	if (copied) {
		if (!copy(l, m, f))
			return NO_ROOM;
	} else {
		f->data = rte_pktmbuf_mtod(m, const uint8_t *);
		f->caplen = m->data_len;
		f->wirelen = max_of(m->pkt_len, (uint32_t)m->data_len);
	}
	bool wanted = !s->filter || host->filter_matches(s->filter, f->data, f->caplen, f->wirelen);
	if (copied || !wanted)
		rte_pktmbuf_free(m);
	if (!wanted) {
		publish_add(l->filtered, 1);
		l->copies = before;
		return DROPPED;
	}
	f->caplen = min_of(f->caplen, s->snaplen);
	lend(l, copied ? NULL : m);
	publish_add(l->received, 1);
	publish_add(l->bytes, f->wirelen);
	return GIVEN;
}

/* Nothing came. Whether anything can. */
static int idle(const struct source_dpdk *s, struct lane *l)
{
	int64_t now = clock_ns(CLOCK_MONOTONIC_COARSE);
	if (now - l->state_checked_ns < STATE_EVERY_NS)
		return 0;
	l->state_checked_ns = now;
	return s->kind == KIND_PORT ? port_state(s) : rings_state();
}

static int dpdk_receive(struct source *source, unsigned queue, struct frame *ret_frames, unsigned max)
{
	struct source_dpdk *s = of(source);
	struct lane *l = &s->lanes[queue];
	if (l->idle >= 0)
		return 0;
	unsigned count = 0;
	while (count < max) {
		if (l->pending_next == l->pending_count) {
			if (count)
				break; /* one look at the ring each time, whatever is in it */
			pull(s, l, queue);
			if (!l->pending_count)
				return idle(s, l);
		}
		struct rte_mbuf *m = l->pending[l->pending_next];
		enum outcome o = give(s, l, m, &ret_frames[count]);
		if (o == NO_ROOM)
			return count ? (int)count : -ENOBUFS;
		l->pending_next++;
		count += o == GIVEN;
		if (o == DROPPED && l->pending_next == l->pending_count)
			break;
	}
	return (int)count;
}

static void dpdk_release(struct source *source, unsigned queue, unsigned count)
{
	struct lane *l = &of(source)->lanes[queue];
	struct rte_mbuf *free_now[PULL];
	unsigned n = 0;
	for (; count && l->count; count--, l->count--) {
		struct rte_mbuf *m = l->borrowed[l->head];
		l->head = l->head + 1 == l->borrowed_size ? 0 : l->head + 1;
		if (!m) {
			byte_ring_release(&l->copies);
			continue;
		}
		free_now[n++] = m;
		if (n == PULL) {
			rte_pktmbuf_free_bulk(free_now, n);
			n = 0;
		}
	}
	rte_pktmbuf_free_bulk(free_now, n);
}

static int dpdk_descriptor(const struct source *source, unsigned queue)
{
	return container_of(source, const struct source_dpdk, source)->lanes[queue].idle;
}

static void dpdk_counters(struct source *source, struct source_counters *ret)
{
	struct source_dpdk *s = of(source);
	struct source_counters c = {0};
	for (unsigned q = 0; q < s->source.queues; q++) {
		const struct lane *l = &s->lanes[q];
		c.seen += peek(l->seen);
		c.received += peek(l->received);
		c.bytes += peek(l->bytes);
		c.filtered += peek(l->filtered);
		c.ring_dropped += peek(l->malformed);
	}
	if (s->kind == KIND_PORT)
		port_counters(s, &c);
	else if (s->kind == KIND_PDUMP)
		pdump_counters(s, &c);
	uint64_t lost = c.kernel_dropped + c.ring_dropped;
	if (__atomic_exchange_n(&s->lost_before, lost, __ATOMIC_RELAXED) < lost)
		__atomic_fetch_add(&s->losing, 1, __ATOMIC_RELAXED);
	c.losing = peek(s->losing);
	*ret = c;
}

static void dpdk_stop(struct source *source)
{
	struct source_dpdk *s = of(source);
	pdump_stop(s);
	atomic_store_explicit(&s->stopped, true, memory_order_relaxed);
}

static const struct source_ops dpdk_ops = {
    .kind = SOURCE_DPDK,
    .open = dpdk_open,
    .receive = dpdk_receive,
    .release = dpdk_release,
    .descriptor = dpdk_descriptor,
    .counters = dpdk_counters,
    .stop = dpdk_stop,
    .close = dpdk_close,
};

__attribute__((visibility("default"))) dpdk_module_function tapscope_dpdk_module;

const struct source_ops *tapscope_dpdk_module(const struct dpdk_host *program)
{
	if (program->size != sizeof *program || program->source_size != sizeof(struct source))
		return NULL;
	host = program;
	return &dpdk_ops;
}
