/* filter_ebpf.h - the socket filter that counts: the user's filter, translated from classic BPF to eBPF, between code
 * that counts what is seen, unwanted and rejected. Classic BPF has no place to count, and AF_PACKET doesn't show what a
 * filter rejects. */
#ifndef TS_SOURCE_FILTER_EBPF_H
#define TS_SOURCE_FILTER_EBPF_H

#include "def.h"

struct bpf_insn; /* <linux/bpf.h>; libpcap has another of this name */
struct source_filter;

/* The value of the map, for each CPU, in an array of one. */
struct filter_counts {
	uint64_t seen, unwanted, filtered; /* the rest was accepted */
};

struct filter_ebpf {
	const struct source_filter *filter; /* NULL: accepts everything */
	int map;                            /* descriptor: BPF_MAP_TYPE_PERCPU_ARRAY of struct filter_counts */
	bool drops_outgoing;                /* loopback: the second sight that is not wanted */
	uint32_t snaplen;                   /* what it returns for what it accepts */
};

#define FILTER_EBPF_MAX 32000 /* instructions; jumps reach that far */

/* Writes the program and returns its length; at most FILTER_EBPF_MAX. -ENOTSUP: classic code that has no translation
 * (loops, what only the kernel's own machine has); -E2BIG; -ENOMEM. */
int filter_ebpf_build(struct bpf_insn *ret_code, const struct filter_ebpf *what);

#endif
