#include "kernel_bpf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int call(int command, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, command, attr, sizeof *attr);
	return r < 0 ? -errno : (int)r;
}

/* "0-7", "0,2-5": one more than the last number. */
unsigned kernel_cpus_possible(void)
{
	char text[256];
	FILE *f = fopen("/sys/devices/system/cpu/possible", "re");
	if (!f)
		return 0;
	bool got = fgets(text, sizeof text, f);
	fclose(f);
	if (!got)
		return 0;
	char *last = text;
	for (char *p = text; *p; p++)
		if (*p == '-' || *p == ',')
			last = p + 1;
	unsigned long n = strtoul(last, NULL, 10);
	return n < 65536 ? (unsigned)n + 1 : 0;
}

int kernel_bpf_counters_new(uint32_t value_size)
{
	union bpf_attr attr = {
	    .map_type = BPF_MAP_TYPE_PERCPU_ARRAY, .key_size = 4, .value_size = value_size, .max_entries = 1};
	return call(BPF_MAP_CREATE, &attr);
}

int kernel_bpf_counters_read(int map, void *ret_values)
{
	uint32_t key = 0;
	union bpf_attr attr = {
	    .map_fd = (uint32_t)map, .key = (uint64_t)(uintptr_t)&key, .value = (uint64_t)(uintptr_t)ret_values};
	return call(BPF_MAP_LOOKUP_ELEM, &attr);
}

int kernel_bpf_load(unsigned type, const struct bpf_insn *code, unsigned count, char *ret_log, uint32_t log_size)
{
	union bpf_attr attr = {
	    .prog_type = type,
	    .insn_cnt = count,
	    .insns = (uint64_t)(uintptr_t)code,
	    .license = (uint64_t)(uintptr_t) "Apache-2.0",
	    .log_level = ret_log ? 1 : 0,
	    .log_buf = (uint64_t)(uintptr_t)ret_log,
	    .log_size = ret_log ? log_size : 0,
	};
	return call(BPF_PROG_LOAD, &attr);
}
