/* afpacket.h - what the files of the AF_PACKET source share; nobody else includes it.
 *
 * One socket a queue, each with a ring of its own (TPACKET_V3). A ring is made of blocks. The kernel fills one, and
 * closes it when it is full or after block_ns; then it is ours until it is given back. Blocks are given back in order,
 * each when all its frames were released; so a ring whose blocks are all borrowed drops, and the kernel counts that.
 *
 * The number of blocks times block_ns is how long a worker may be away, however little comes, so blocks are small: half
 * a MiB, for a frame of the size that GSO makes at most; with a snap length an eighth. The kernel allocates each block
 * as one piece of physical memory if it has one, and maps it by pages of the base size: a ring cannot lie in the huge
 * pages of a process.
 *
 * What a packet goes through in the kernel: the fanout picks a socket; the socket's filter (filter_ebpf.h) counts it as
 * seen, and as unwanted or rejected; then it is copied into the ring, or counted as dropped. Without CAP_BPF the
 * fanout is the kernel's own hash (SOURCE_UNSTEERED), and the filter runs here, behind the ring.
 *
 * Rights: CAP_NET_RAW; CAP_BPF for the programs; CAP_SYS_ADMIN to enter another namespace. An open source keeps its
 * namespace alive, even when its name and all its processes are gone. */
#ifndef TS_SOURCE_AFPACKET_H
#define TS_SOURCE_AFPACKET_H

#include "fanout.h"
#include "filter.h"
#include "filter_ebpf.h"
#include "internal.h"
#include "netdev.h"
#include "user_filter.h"

#include <pthread.h>

struct packet_queue {
	/* of the worker */
	cacheline_aligned uint8_t *ring;
	uint32_t block_size, block_count;
	uint32_t next;   /* the block that is read, or is to come */
	uint32_t oldest; /* the first block that was not given back */
	uint32_t held;   /* blocks from oldest on that are ours, the one that is read included */
	uint32_t left;   /* frames of the block `next` that were not read */
	uint8_t *at;     /* the first of these */
	uint32_t *owed;  /* of each block: frames that were given out and not released */
	unsigned empty;  /* calls in a row that found nothing */
	bool down, gone;
	int fd;
	/* written by the worker, read by any thread */
	uint64_t received, bytes, filtered, unwanted;
	/* under the source's lock */
	cacheline_aligned uint64_t kernel_packets, kernel_dropped, losing;
};

struct packet_source {
	struct source source; /* first */
	struct netdev nic;
	bool loopback;
	bool cooked;       /* no Ethernet header: frames get one of LINKTYPE_LINUX_SLL */
	uint16_t hardware; /* ARPHRD_… */
	uint32_t snaplen;  /* UINT32_MAX: none */
	uint32_t in_ring;  /* as much of a frame goes into the ring: all of it, where the filter is run here */
	int promiscuous;   /* descriptor, or -1 */
	struct source_filter *filter;    /* run in the kernel, or, where it has no program, here */
	struct user_filter *user_filter; /* of a cooked NIC: always run here */
	int counts, program;             /* descriptors of the map and of the socket filter; -1: the kernel has none */
	unsigned cpus;
	struct filter_counts *counts_room; /* for each CPU */
	struct fanout *fanout;             /* NULL: one queue, or the kernel's own hash */
	struct netdev_statistics nic_before;
	pthread_mutex_t lock;
	struct packet_queue *queue; /* source.queues of them */
};

/* afpacket_ring.c */

/* Makes the ring of a queue whose socket is there, for frames of up to frame_max bytes. 0 or -errno with e. */
int packet_ring_open(struct packet_queue *q, const char *nic, uint32_t frame_max, uint64_t ring_bytes,
		     unsigned block_ms, struct error *e);
void packet_ring_close(struct packet_queue *q);
int packet_receive(struct source *s, unsigned queue, struct frame *ret_frames, unsigned max);
void packet_release(struct source *s, unsigned queue, unsigned count);
int packet_descriptor(const struct source *s, unsigned queue);

/* afpacket_filter.c: the filter, wherever it can run. */

/* Compiles and loads, attaches nothing; sets in_ring. 0 or -errno with e. */
int packet_filter_open(struct packet_source *s, const char *expression, struct error *e);
void packet_filter_close(struct packet_source *s);
/* From here on the socket takes nothing, without counting. 0 or -errno. */
int packet_filter_shut(int fd);
/* … takes what the filter says. 0 or -errno with e. */
int packet_filter_attach(const struct packet_source *s, int fd, struct error *e);
/* Adds what the kernel's program counted. */
void packet_filter_counters(struct packet_source *s, struct source_counters *c);
/* What the filter behind the ring says. */
enum packet_fate { PACKET_WANTED, PACKET_UNWANTED, PACKET_FILTERED };

#endif
