/* dpdk.h - DPDK, as a module that is loaded when it is first asked for.
 *
 * What source_options.nic means to it:
 *
 *     0000:03:00.0[,ARGUMENTS]       a NIC by its PCI address, bound to vfio-pci or left with its own driver (mlx5)
 *     net_pcap0,rx_pcap=FILE         any virtual device of DPDK, with its arguments
 *     ring:NAME[,NAME…][@PREFIX]     rte_rings of a running DPDK application, whose mbufs are taken out and freed
 *     pdump:PORT[@PREFIX]            both directions of a port of a running DPDK application that has called
 *                                    rte_pdump_init(); PORT is the number or name of a virtual device, or the PCI
 *                                    address of a NIC
 *
 * PREFIX is the application's --file-prefix; "rte", DPDK's own default, where none is given. The application must have
 * been started with huge pages and without --in-memory.
 *
 * A process has one EAL. It is started by the first open(): as a primary process for NICs and virtual devices, or as a
 * secondary process of the application. From then on the other kind, and another application, are refused (-EBUSY). An
 * application that ends is gone for good (-ENODEV); to read from its successor, this process must be started again. If
 * this process is killed while it reads a pdump, the application goes on copying into a ring that nobody empties, until
 * the next open() of that port takes the ring over.
 *
 * A primary process leaves no files behind (--in-memory). It takes huge pages where enough are free; virtual devices do
 * without. Frames are on as many queues as asked for, or as the device has. Their hash is symmetric (both directions of
 * a flow meet), but not ours: with more than one queue the source is SOURCE_UNSTEERED. Ring k of a list is read by
 * queue k % queues; a pdump by queue 0. A ring is to have no other reader.
 *
 * Times are those of reading: what mbufs may carry has no unit and no beginning that all drivers share.
 *
 * Counters. Of ports: kernel_dropped is imissed; ring_dropped rx_nombuf; nic_dropped imissed + ierrors. Of rings: what
 * the application found no room for only it knows. Of pdump: seen is what the application counted, ring_dropped what
 * found no mbuf or no room in the ring between it and us. Virtual devices may lose silently (net_af_packet: better use
 * the source af_packet). */
#ifndef TS_SOURCE_DPDK_H
#define TS_SOURCE_DPDK_H

#include "source.h"

struct user_filter;

/* What the module needs of the program. It contains no room itself: there would be two of each. */
struct dpdk_host {
	uint32_t size; /* of this structure, as the program was built */
	uint32_t source_size;
	int (*error_set)(struct error *e, int code, const char *fmt, ...) print_format(3, 4);
	int (*filter_new)(struct user_filter **ret_f, const char *expression, uint16_t link_type, const char *where,
			  struct error *e);
	struct user_filter *(*filter_free)(struct user_filter *f);
	bool (*filter_matches)(const struct user_filter *f, const uint8_t *data, uint32_t caplen, uint32_t wirelen);
};

/* The module's only symbol. NULL where it was built from other headers than the program. */
#define DPDK_MODULE_SYMBOL "tapscope_dpdk_module"
typedef const struct source_ops *dpdk_module_function(const struct dpdk_host *host);

/* Loads tapscope-dpdk.so: from $TAPSCOPE_MODULES (not where the program has more rights than who starts it), from
 * beside the program, or from where it was installed. NULL with e where it is not to be had. Control thread. */
const struct source_ops *dpdk_load(struct error *e);

#endif
