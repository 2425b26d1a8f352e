/* xdp.h - what xdp.bpf.c and xdp.c share. */
#ifndef TS_SOURCE_XDP_H
#define TS_SOURCE_XDP_H

#define XDP_QUEUES_MAX 256            /* receive queues of a NIC */
#define XDP_CHUNK 4096                /* of the memory that frames arrive in: one frame each */
#define XDP_LONGEST (XDP_CHUNK - 256) /* the kernel leaves 256 bytes in front of a frame */

/* Counted by the program, on each CPU. */
struct xdp_counts {
	unsigned long long seen;     /* frames that came to the program */
	unsigned long long too_long; /* did not fit into a chunk: left to the host */
	unsigned long long unbound;  /* came on a receive queue that nobody reads: left to the host */
};

#endif
