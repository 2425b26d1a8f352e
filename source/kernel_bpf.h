/* kernel_bpf.h - the few calls of bpf(2) that the sources need without a loader. */
#ifndef TS_SOURCE_KERNEL_BPF_H
#define TS_SOURCE_KERNEL_BPF_H

#include "def.h"

struct bpf_insn; /* <linux/bpf.h> */

/* How many values a map has that has one for each CPU; 0: it cannot be told. */
unsigned kernel_cpus_possible(void);
/* An array of one value of value_size bytes (a multiple of 8) for each CPU. Descriptor or -errno (-EPERM: CAP_BPF). */
int kernel_bpf_counters_new(uint32_t value_size);
/* ret_values: value_size bytes for each possible CPU. 0 or -errno. */
int kernel_bpf_counters_read(int map, void *ret_values);
/* type: BPF_PROG_TYPE_…. Descriptor or -errno: -EPERM (CAP_BPF), -EINVAL or -EACCES (the verifier refuses it; its
 * reason goes into ret_log, if that is not NULL). */
int kernel_bpf_load(unsigned type, const struct bpf_insn *code, unsigned count, char *ret_log, uint32_t log_size);

#endif
