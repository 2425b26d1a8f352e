/* rings.c - packets of another DPDK application, in whose memory we are a guest: rings that it fills for us, and copies
 * of what passes one of its ports. */
#include "module.h"

#include <errno.h>
#include <rte_errno.h>
#include <rte_mempool.h>
#include <rte_pdump.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LENT 8192u    /* mbufs of the application that may be out at a time */
#define STOP_US 10000 /* the application's threads leave what they were in */
#define DATA_ROOM RTE_MBUF_DEFAULT_BUF_SIZE

/* "LIST@PREFIX" in two. */
static int split(const char *text, char *ret_list, size_t size, char ret_prefix[64], struct error *e)
{
	const char *at = strrchr(text, '@');
	size_t len = at ? (size_t)(at - text) : strlen(text);
	const char *prefix = at ? at + 1 : "rte";
	if (!len || len >= size || !*prefix || strlen(prefix) >= 64 || strchr(prefix, '/'))
		return host->error_set(e, -EINVAL, "%s: not NAME[@PREFIX] of a DPDK application", text);
	memcpy(ret_list, text, len);
	ret_list[len] = 0;
	strcpy(ret_prefix, prefix);
	return 0;
}

static int lock(struct source_dpdk *s, const char *kind, const char *name, struct error *e)
{
	char text[DEVICE_NAME + 16];
	snprintf(text, sizeof text, "%s-%s", kind, name);
	for (char *c = text; *c; c++)
		if (*c == '/')
			*c = '_';
	int fd = eal_lock(text);
	if (fd == -EBUSY)
		return host->error_set(e, -EBUSY, "%s: another tapscope reads it", s->name);
	if (fd < 0)
		return host->error_set(e, fd, "%s: cannot be locked in the application's folder: %s", s->name,
				       strerror(-fd));
	s->locks[s->lock_count++] = fd;
	return 0;
}

int rings_open(struct source_dpdk *s, const struct source_options *o, struct error *e)
{
	char list[RINGS * RTE_RING_NAMESIZE], prefix[64];
	int r = split(o->nic + strlen("ring:"), list, sizeof list, prefix, e);
	if (r == 0)
		r = eal_start(prefix, 0, NULL, s->name, e);
	if (r)
		return r;
	unsigned count = 0;
	char *rest;
	for (char *name = strtok_r(list, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		if (count == RINGS)
			return host->error_set(e, -E2BIG, "%s: more than %d rings", s->name, RINGS);
		struct rte_ring *ring = rte_ring_lookup(name);
		if (!ring)
			return host->error_set(e, -ENODEV, "%s: the application %s has no ring %s", s->name, prefix,
					       name);
		r = lock(s, "ring", name, e);
		if (r)
			return r;
		struct lane *l = &s->lanes[count++ % s->source.queues];
		l->rings[l->ring_count++] = ring;
	}
	for (unsigned q = 0; q < s->source.queues && s->lanes[q].ring_count; q++)
		if (lane_init(&s->lanes[q], LENT, o->ring_bytes / 4))
			return host->error_set(e, -ENOMEM, "%s: no memory", s->name);
	return 0;
}

/* What is in the ring, of a reader that was killed, or that came after the end. */
static void empty(struct rte_ring *ring)
{
	struct rte_mbuf *m[PULL];
	unsigned n;
	while ((n = rte_ring_dequeue_burst(ring, (void **)m, PULL, NULL)) > 0)
		rte_pktmbuf_free_bulk(m, n);
}

static int find_port(struct source_dpdk *s, const char *name, struct error *e)
{
	char *end;
	unsigned long number = strtoul(name, &end, 10);
	if (*name && !*end && number < RTE_MAX_ETHPORTS && rte_eth_dev_is_valid_port((uint16_t)number)) {
		s->port = (uint16_t)number;
		return 0;
	}
	if (rte_eth_dev_get_port_by_name(name, &s->port) == 0)
		return 0;
	return host->error_set(
	    e, -ENODEV,
	    "%s: the application has no such port (of a NIC give the PCI address, in the first source that is opened)",
	    s->name);
}

/* Ring and pool lie in the application's memory and outlive us. Those of a predecessor that was killed, into which the
 * application went on to write, are used again. */
static int make_ring(struct source_dpdk *s, const struct source_options *o, struct error *e)
{
	char name[32];
	snprintf(name, sizeof name, "tapscope_%u", s->port);
	uint32_t slots = 1024;
	while (slots < (1u << 20) && slots * 2 * (uint64_t)(DATA_ROOM + 256) <= o->ring_bytes)
		slots *= 2;
	s->ring = rte_ring_lookup(name);
	if (!s->ring)
		s->ring = rte_ring_create(name, slots, SOCKET_ID_ANY, 0);
	s->pool = rte_mempool_lookup(name);
	if (!s->pool) {
		s->pool = rte_pktmbuf_pool_create(name, slots + LENT + PULL, 0, 0, DATA_ROOM, SOCKET_ID_ANY);
		s->pool_is_ours = true;
	}
	if (s->ring && s->pool)
		return 0;
	return host->error_set(e, -ENOMEM, "%s: no memory in the application for %u packets: %s %s", s->name, slots,
			       rte_strerror(rte_errno), eal_said());
}

int pdump_open(struct source_dpdk *s, const struct source_options *o, struct error *e)
{
	char name[DEVICE_NAME], prefix[64];
	int r = split(o->nic + strlen("pdump:"), name, sizeof name, prefix, e);
	if (r == 0)
		r = eal_start(prefix, 0, is_pci_address(name) ? name : NULL, s->name, e);
	if (r == 0)
		r = find_port(s, name, e);
	if (r == 0)
		r = lock(s, "pdump", name, e);
	if (r == 0)
		r = make_ring(s, o, e);
	if (r)
		return r;
	struct rte_pdump_stats stats;
	if (rte_pdump_stats(s->port, &stats))
		return host->error_set(e, -ENOTSUP, "%s: the application has not called rte_pdump_init()", s->name);
	/* This also sets its counters to 0. */
	r = rte_pdump_enable(s->port, RTE_PDUMP_ALL_QUEUES, RTE_PDUMP_FLAG_RXTX, s->ring, s->pool, NULL);
	if (r && rte_errno == EEXIST) {
		/* Left behind by a predecessor that was killed: there is no other, the lock is ours. */
		rte_pdump_disable(s->port, RTE_PDUMP_ALL_QUEUES, RTE_PDUMP_FLAG_RXTX);
		usleep(STOP_US);
		empty(s->ring);
		eal_forget();
		r = rte_pdump_enable(s->port, RTE_PDUMP_ALL_QUEUES, RTE_PDUMP_FLAG_RXTX, s->ring, s->pool, NULL);
	}
	if (r)
		return host->error_set(e, -EBUSY, "%s: the application does not copy its packets to us: %s %s", s->name,
				       rte_strerror(rte_errno), eal_said());
	s->dumping = true;
	s->lanes[0].rings[s->lanes[0].ring_count++] = s->ring;
	if (lane_init(&s->lanes[0], LENT, o->ring_bytes / 4))
		return host->error_set(e, -ENOMEM, "%s: no memory", s->name);
	return 0;
}

void pdump_stop(struct source_dpdk *s)
{
	if (!s->dumping)
		return;
	s->dumping = false;
	if (rings_state() == 0)
		rte_pdump_disable(s->port, RTE_PDUMP_ALL_QUEUES, RTE_PDUMP_FLAG_RXTX);
	usleep(STOP_US);
}

void rings_close(struct source_dpdk *s)
{
	pdump_stop(s);
	if (s->ring) {
		empty(s->ring);
		rte_ring_free(s->ring);
	}
	/* A pool knows its maker's functions by their addresses: only the maker may free it. */
	if (s->pool_is_ours)
		rte_mempool_free(s->pool);
	while (s->lock_count)
		close(s->locks[--s->lock_count]);
}

int rings_state(void)
{
	return rte_eal_primary_proc_alive(NULL) ? 0 : -ENODEV;
}

void pdump_counters(const struct source_dpdk *s, struct source_counters *c)
{
	struct rte_pdump_stats stats;
	if (rte_pdump_stats(s->port, &stats))
		return;
	c->seen = stats.accepted + stats.filtered + stats.nombuf;
	c->ring_dropped += stats.nombuf + stats.ringfull;
}
