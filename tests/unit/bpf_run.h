/* bpf_run.h - runs an eBPF program on a frame, as the kernel does (BPF_PROG_TEST_RUN). */
#ifndef TS_TESTS_BPF_RUN_H
#define TS_TESTS_BPF_RUN_H

#include "def.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel gives a test frame less than a page. */
enum { BPF_RUN_MIN = 14, BPF_RUN_MAX = 3000 };

/* 0 or -errno. The program gets the frame from its network header on if it is a socket filter, else whole. */
static inline int bpf_run(int program, const uint8_t *frame, uint32_t len, uint32_t *ret_result)
{
	union bpf_attr attr = {
	    .test = {
		.prog_fd = (uint32_t)program, .data_size_in = len, .data_in = (uint64_t)(uintptr_t)frame, .repeat = 1}};
	if (syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof attr) < 0)
		return -errno;
	*ret_result = attr.test.retval;
	return 0;
}

#endif
