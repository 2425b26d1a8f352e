/* module.h - what the files of the DPDK module share. */
#ifndef TS_SOURCE_DPDK_MODULE_H
#define TS_SOURCE_DPDK_MODULE_H

#include "byte_ring.h"
#include "dpdk.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdatomic.h>

#define PULL 64               /* mbufs taken at once */
#define RINGS 64              /* of one source */
#define DEVICE_NAME 128       /* of a source, without arguments */
#define POOL_SPARE (2 * PULL) /* mbufs that are never lent, so that the driver finds one */

extern const struct dpdk_host *host;

/* eal.c. Control thread. */

/* Starts the EAL, or finds it running as wanted. prefix: NULL for a primary process, which needs `bytes` of memory;
 * nic: a PCI address that is needed, NULL: none. 0; -EBUSY: it runs as another kind; -ENODEV: no application of that
 * prefix; -ENOMEM: a NIC needs huge pages; -EIO with what DPDK said. */
int eal_start(const char *prefix, uint64_t bytes, const char *nic, const char *where, struct error *e);
/* What DPDK has said since the last eal_start() or eal_forget(): its last lines, "" if nothing. */
const char *eal_said(void);
void eal_forget(void);
/* Takes a lock that ends with this process, among the processes of one application. A descriptor or -EBUSY. */
int eal_lock(const char *name);

enum kind { KIND_PORT, KIND_RINGS, KIND_PDUMP };

/* A queue of the source; its worker's. */
struct lane {
	cacheline_aligned struct rte_mbuf *pending[PULL]; /* read, not given out yet: [pending_next .. pending_count) */
	unsigned pending_next, pending_count;
	int64_t pending_ns; /* when they were read */
	struct rte_ring *rings[RINGS];
	unsigned ring_count, ring_next;
	bool has_port;

	struct rte_mbuf **borrowed; /* ring of those given out, in order; NULL: a copy in `copies` */
	uint32_t borrowed_size, head, count;
	struct byte_ring copies;
	struct rte_mempool *pool; /* of the port's queue */

	int64_t state_checked_ns;
	int idle; /* descriptor that never becomes readable, of a queue that nothing comes on; -1 */
	uint64_t seen, received, bytes, filtered, malformed;
};

struct source_dpdk {
	struct source source;
	enum kind kind;
	char name[DEVICE_NAME];
	struct lane *lanes;
	struct user_filter *filter;
	uint32_t snaplen;
	_Atomic bool stopped;

	uint16_t port;
	bool attached, started; /* KIND_PORT: the device is ours; it runs */
	bool dumping;           /* KIND_PDUMP */
	struct rte_ring *ring;  /* KIND_PDUMP: between the application and us */
	struct rte_mempool *pool;
	bool pool_is_ours;
	int locks[RINGS];
	unsigned lock_count;
	uint64_t lost_before, losing;
};

/* "0000:03:00.0" or "03:00.0" */
bool is_pci_address(const char *name);

/* port.c. All control thread, but for port_state(). */
int port_open(struct source_dpdk *s, const struct source_options *o, struct error *e);
void port_close(struct source_dpdk *s);
int port_state(const struct source_dpdk *s); /* 0, -ENETDOWN, -ENODEV */
void port_counters(const struct source_dpdk *s, struct source_counters *c);

/* rings.c: of other processes. */
int rings_open(struct source_dpdk *s, const struct source_options *o, struct error *e);
int pdump_open(struct source_dpdk *s, const struct source_options *o, struct error *e);
void pdump_stop(struct source_dpdk *s);
void rings_close(struct source_dpdk *s);
int rings_state(void);
void pdump_counters(const struct source_dpdk *s, struct source_counters *c);

/* module.c */

/* Memory to lend and to copy in. borrowed: how many mbufs may be out at a time. */
int lane_init(struct lane *l, uint32_t borrowed, uint64_t copies);

#endif
