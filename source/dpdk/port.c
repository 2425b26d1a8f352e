/* port.c - NICs and virtual devices that DPDK drives for us alone. */
#include "module.h"

#include <ctype.h>
#include <errno.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_mempool.h>
#include <stdio.h>
#include <stdlib.h>

#define DATA_ROOM RTE_MBUF_DEFAULT_BUF_SIZE
#define MBUF_BYTES (DATA_ROOM + sizeof(struct rte_mbuf) + 128) /* one of the pool, as it lies in memory */
#define LEAST_MBUFS 1024u
#define DESCRIPTORS 4096
#define MTU 9600

static uint32_t mbufs_of(const struct source_options *o)
{
	uint64_t n = o->ring_bytes / MBUF_BYTES;
	return (uint32_t)min_of(max_of(n, (uint64_t)LEAST_MBUFS), UINT64_C(1) << 24);
}

bool is_pci_address(const char *name)
{
	unsigned domain, bus, device, function;
	int end = 0;
	if (sscanf(name, "%4x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &end) == 4 && !name[end])
		return true;
	end = 0;
	return sscanf(name, "%2x:%2x.%1x%n", &bus, &device, &function, &end) == 3 && !name[end];
}

static int attach(struct source_dpdk *s, const struct source_options *o, struct error *e)
{
	const char *comma = strchr(o->nic, ',');
	const char *arguments = comma ? comma + 1 : "";
	bool pci = is_pci_address(s->name);
	uint64_t bytes = (uint64_t)mbufs_of(o) * MBUF_BYTES * o->queues;
	int r = eal_start(NULL, bytes + bytes / 8, pci ? s->name : NULL, s->name, e);
	if (r)
		return r;
	r = rte_eal_hotplug_add(pci ? "pci" : "vdev", s->name, arguments);
	if (r == -EEXIST)
		return host->error_set(e, -EBUSY, "%s is open already", s->name);
	if (r || rte_eth_dev_get_port_by_name(s->name, &s->port)) {
		const char *said = eal_said();
		return host->error_set(e, -ENODEV, "%s: DPDK finds no such device%s%s%s", s->name,
				       pci ? ", or it is not bound to vfio-pci (dpdk-devbind.py --status)" : "",
				       *said ? ": " : "", said);
	}
	s->attached = true;
	return 0;
}

/* The widest that the device takes of what we want. */
static struct rte_eth_conf configuration(const struct rte_eth_dev_info *info, unsigned queues, bool large)
{
	static uint8_t key[256];
	struct rte_eth_conf c = {.rxmode = {.mtu = RTE_ETHER_MTU}};
	if (large) {
		uint32_t room = info->max_rx_pktlen > RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN + 8
				    ? info->max_rx_pktlen - RTE_ETHER_HDR_LEN - RTE_ETHER_CRC_LEN - 8
				    : RTE_ETHER_MTU;
		c.rxmode.mtu = min_of(min_of((uint32_t)MTU, (uint32_t)info->max_mtu), room);
	}
	c.rxmode.offloads = info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	if (queues > 1 && info->flow_type_rss_offloads) {
		/* Bytes that repeat after two make the hash the same for both directions. */
		for (size_t i = 0; i < sizeof key; i++)
			key[i] = i % 2 ? 0x5a : 0x6d;
		c.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		c.rx_adv_conf.rss_conf = (struct rte_eth_rss_conf){
		    .rss_key = key,
		    .rss_key_len = info->hash_key_size ? info->hash_key_size : 40,
		    .rss_hf = info->flow_type_rss_offloads &
			      (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP),
		};
	}
	return c;
}

static int explain(const struct source_dpdk *s, int r, const char *what, struct error *e)
{
	const char *said = eal_said();
	return host->error_set(e, r, "%s: %s: %s%s%s", s->name, what, strerror(-r), *said ? ": " : "", said);
}

/* One pool a queue: its worker alone takes mbufs from it, in the driver, and gives them back. */
static int make_pool(struct lane *l, uint16_t port, unsigned queue, uint32_t mbufs)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	snprintf(name, sizeof name, "tapscope_%u_%u", port, queue);
	l->pool = rte_pktmbuf_pool_create_by_ops(name, mbufs, 0, 0, DATA_ROOM, SOCKET_ID_ANY, "ring_sp_sc");
	return l->pool ? 0 : -rte_errno;
}

static int setup_queues(struct source_dpdk *s, unsigned queues, unsigned sending, uint16_t received_at_once)
{
	uint16_t least = 64;
	rte_eth_dev_adjust_nb_rx_tx_desc(s->port, &received_at_once, &least);
	int node = rte_eth_dev_socket_id(s->port);
	unsigned socket = node < 0 ? (unsigned)SOCKET_ID_ANY : (unsigned)node;
	int r = 0;
	for (unsigned q = 0; q < queues && !r; q++)
		r = rte_eth_rx_queue_setup(s->port, (uint16_t)q, received_at_once, socket, NULL, s->lanes[q].pool);
	/* Some drivers want as many queues to send on. Nothing is sent. */
	for (unsigned q = 0; q < sending && !r; q++)
		r = rte_eth_tx_queue_setup(s->port, (uint16_t)q, least, socket, NULL);
	return r;
}

int port_open(struct source_dpdk *s, const struct source_options *o, struct error *e)
{
	int r = attach(s, o, e);
	if (r)
		return r;
	struct rte_eth_dev_info info;
	r = rte_eth_dev_info_get(s->port, &info);
	if (r)
		return explain(s, r, "its driver does not answer", e);
	unsigned queues = min_of(o->queues, (unsigned)info.max_rx_queues);
	unsigned sending = min_of(queues, (unsigned)info.max_tx_queues);
	uint32_t mbufs = mbufs_of(o);
	for (int large = 1; large >= 0; large--) {
		struct rte_eth_conf c = configuration(&info, queues, large);
		r = rte_eth_dev_configure(s->port, (uint16_t)queues, (uint16_t)sending, &c);
		if (r == 0)
			break;
	}
	if (r || queues == 0)
		return explain(s, r ? r : -ENOTSUP, "cannot be configured to receive", e);
	for (unsigned q = 0; q < queues; q++) {
		r = make_pool(&s->lanes[q], s->port, q, mbufs);
		if (r)
			return explain(s, r,
				       "no memory for its packets (fewer queues, smaller rings or more huge pages)", e);
	}
	r = setup_queues(s, queues, sending, (uint16_t)min_of(mbufs / 4, (uint32_t)DESCRIPTORS));
	if (r)
		return explain(s, r, "its queues cannot be set up (larger rings may help)", e);
	s->started = true;
	r = rte_eth_dev_start(s->port);
	if (r)
		return explain(s, r, "does not start", e);
	r = o->promiscuous ? rte_eth_promiscuous_enable(s->port) : 0;
	if (r && r != -ENOTSUP)
		return explain(s, r, "does not become promiscuous", e);
	rte_eth_stats_reset(s->port);
	for (unsigned q = 0; q < queues; q++) {
		struct lane *l = &s->lanes[q];
		uint32_t left = rte_mempool_avail_count(l->pool);
		if (left < 2 * POOL_SPARE)
			return host->error_set(
			    e, -ENOBUFS, "%s: the rings are too small: its driver holds all %u mbufs", s->name, mbufs);
		r = lane_init(l, left - POOL_SPARE, o->ring_bytes / 4);
		if (r)
			return host->error_set(e, r, "%s: no memory", s->name);
		l->has_port = true;
	}
	return 0;
}

void port_close(struct source_dpdk *s)
{
	if (!s->attached)
		return;
	struct rte_eth_dev_info info = {0};
	rte_eth_dev_info_get(s->port, &info);
	if (s->started)
		rte_eth_dev_stop(s->port);
	rte_eth_dev_close(s->port);
	if (info.device)
		rte_dev_remove(info.device);
	for (unsigned q = 0; q < s->source.queues; q++)
		rte_mempool_free(s->lanes[q].pool);
}

int port_state(const struct source_dpdk *s)
{
	struct rte_eth_link link = {0};
	if (rte_eth_dev_is_removed(s->port) == 1)
		return -ENODEV;
	if (rte_eth_link_get_nowait(s->port, &link) == 0 && link.link_status == RTE_ETH_LINK_DOWN)
		return -ENETDOWN;
	return 0;
}

void port_counters(const struct source_dpdk *s, struct source_counters *c)
{
	struct rte_eth_stats stats = {0};
	rte_eth_stats_get(s->port, &stats);
	c->seen += stats.imissed + stats.rx_nombuf;
	c->kernel_dropped = stats.imissed;
	c->ring_dropped += stats.rx_nombuf;
	c->nic_packets = stats.ipackets;
	c->nic_dropped = stats.imissed + stats.ierrors;
}
