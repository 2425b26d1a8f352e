#include "doctor.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#define CAPABILITIES "cap_net_raw,cap_net_admin,cap_bpf,cap_perfmon,cap_ipc_lock"

void doctor_tell(const struct doctor *d, enum finding_kind kind, const char *subject, const char *mend, const char *fmt,
		 ...)
{
	struct finding f = {.kind = kind, .subject = subject};
	va_list args;
	va_start(args, fmt);
	vsnprintf(f.what, sizeof f.what, fmt, args);
	va_end(args);
	snprintf(f.mend, sizeof f.mend, "%s", mend ? mend : "");
	d->tell(d->ctx, &f);
}

static bool read_line(const char *path, char *out, size_t room)
{
	FILE *f = fopen(path, "re");
	bool good = f && fgets(out, (int)room, f);
	if (f)
		fclose(f);
	if (good)
		out[strcspn(out, "\n")] = '\0';
	return good;
}

static bool has(cap_t caps, cap_value_t wanted)
{
	cap_flag_value_t v = CAP_CLEAR;
	return caps && cap_get_flag(caps, wanted, CAP_EFFECTIVE, &v) == 0 && v == CAP_SET;
}

static void look_at_privileges(const struct doctor *d, const struct setup *setup)
{
	static const char setcap[] = "setcap " CAPABILITIES "=ep $(command -v tapscope), or run as root";
	cap_t caps = cap_get_proc();
	if (has(caps, CAP_NET_RAW))
		doctor_tell(d, FINDING_GOOD, "privileges", NULL, "may capture (CAP_NET_RAW)");
	else
		doctor_tell(d, FINDING_FAULT, "privileges", setcap, "may not capture: CAP_NET_RAW is missing");
	if (!has(caps, CAP_NET_ADMIN))
		doctor_tell(d, FINDING_NOTE, "privileges", setcap,
			    "cannot make a NIC promiscuous, nor enlarge socket buffers: CAP_NET_ADMIN is missing");
	if (!has(caps, CAP_BPF) && !has(caps, CAP_SYS_ADMIN))
		doctor_tell(
		    d, FINDING_NOTE, "privileges", setcap,
		    "cannot load eBPF (CAP_BPF is missing): the kernel's own hash spreads packets, and filtered "
		    "frames are filtered in user space");
	if (!has(caps, CAP_SYS_ADMIN) && setup->place.netns_regex && setup->place.netns_regex[0])
		doctor_tell(d, FINDING_FAULT, "privileges", "run as root, or add cap_sys_admin",
			    "extra_netns_regex needs CAP_SYS_ADMIN to enter other network namespaces");
	else if (!has(caps, CAP_SYS_ADMIN))
		doctor_tell(d, FINDING_NOTE, "privileges", "run as root, or add cap_sys_admin",
			    "cannot look into other network namespaces: pods are known by tap.owners only");
	cap_free(caps);
}

/* The least program there is. 0 or -errno. */
static int try_bpf(void)
{
	const struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
					{.code = BPF_JMP | BPF_EXIT}};
	union bpf_attr a = {
	    .prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
	    .insn_cnt = 2,
	    .insns = (uint64_t)(uintptr_t)code,
	    .license = (uint64_t)(uintptr_t) "Dual BSD/GPL",
	};
	long fd = syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof a);
	if (fd < 0)
		return -errno;
	close((int)fd);
	return 0;
}

static void look_at_kernel(const struct doctor *d)
{
	struct utsname name;
	char line[128];
	if (uname(&name) == 0)
		doctor_tell(d, FINDING_GOOD, "kernel", NULL, "%s %s %s", name.sysname, name.release, name.machine);
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	int version = TPACKET_V3;
	if (fd < 0 && errno != EPERM)
		doctor_tell(d, FINDING_FAULT, "AF_PACKET", "modprobe af_packet", "not there: %s", strerror(errno));
	else if (fd >= 0 && setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0)
		doctor_tell(d, FINDING_FAULT, "AF_PACKET", "use a kernel of 3.2 or later, or capture.source: pcap",
			    "no TPACKET_V3: %s", strerror(errno));
	else if (fd >= 0)
		doctor_tell(d, FINDING_GOOD, "AF_PACKET", NULL, "TPACKET_V3");
	if (fd >= 0)
		close(fd);
	int r = try_bpf();
	if (r == 0)
		doctor_tell(d, FINDING_GOOD, "eBPF", NULL, "socket filters load");
	else
		doctor_tell(d, FINDING_NOTE, "eBPF",
			    r == -EPERM ? "sysctl kernel.unprivileged_bpf_disabled; see privileges" : NULL,
			    "programs do not load (%s): packets are spread by the kernel's own hash", strerror(-r));
	if (read_line("/proc/sys/net/core/bpf_jit_enable", line, sizeof line) && line[0] == '0')
		doctor_tell(d, FINDING_NOTE, "eBPF", "sysctl -w net.core.bpf_jit_enable=1", "programs are interpreted");
	if (access("/sys/kernel/btf/vmlinux", R_OK) == 0)
		doctor_tell(d, FINDING_GOOD, "BTF", NULL, "the kernel describes its types");
	else
		doctor_tell(d, FINDING_NOTE, "BTF", "use a kernel with CONFIG_DEBUG_INFO_BTF",
			    "none: what needs kernel types cannot be attached");
}

static uint64_t meminfo(const char *name)
{
	char line[256];
	uint64_t value = 0;
	FILE *f = fopen("/proc/meminfo", "re");
	size_t len = strlen(name);
	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, name, len) && line[len] == ':')
			value = strtoull(line + len + 1, NULL, 10);
	if (f)
		fclose(f);
	return value;
}

static void look_at_memory(const struct doctor *d, const struct setup *setup)
{
	uint64_t available = meminfo("MemAvailable") << 10, wanted = setup->settings.max_memory;
	if (available < wanted)
		doctor_tell(d, FINDING_NOTE, "memory", "lower max_memory",
			    "max_memory is %llu MiB, but only %llu MiB are available", (unsigned long long)wanted >> 20,
			    (unsigned long long)available >> 20);
	else
		doctor_tell(d, FINDING_GOOD, "memory", NULL, "max_memory %llu MiB of %llu MiB available",
			    (unsigned long long)wanted >> 20, (unsigned long long)available >> 20);
	uint64_t pages = meminfo("HugePages_Free");
	if (setup->source.kind == SOURCE_DPDK && !pages)
		doctor_tell(d, FINDING_NOTE, "huge pages", "sysctl -w vm.nr_hugepages=512",
			    "none are free: DPDK starts without, slower, and not as a secondary process");
	else if (pages)
		doctor_tell(d, FINDING_GOOD, "huge pages", NULL, "%llu free", (unsigned long long)pages);
}

static void look_at_clock(const struct doctor *d)
{
	char line[128];
	struct timex t = {0};
	if (read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", line, sizeof line)) {
		bool fast = !strcmp(line, "tsc") || !strcmp(line, "kvm-clock") || !strcmp(line, "arch_sys_counter") ||
			    !strncmp(line, "hyperv", 6);
		if (fast)
			doctor_tell(d, FINDING_GOOD, "clock", NULL, "source %s", line);
		else
			doctor_tell(d, FINDING_NOTE, "clock",
				    "clocksource=tsc on the kernel's command line, where the CPU's is stable",
				    "source %s: reading it is slow", line);
	}
	int state = adjtimex(&t);
	if (state >= 0 && (state == TIME_ERROR || (t.status & STA_UNSYNC)))
		doctor_tell(d, FINDING_NOTE, "clock", "systemctl enable --now chrony (or another NTP client)",
			    "not synchronised: times of several hosts cannot be compared");
	else if (state >= 0)
		doctor_tell(d, FINDING_GOOD, "clock", NULL, "synchronised, error up to %ld us", t.maxerror);
}

static void look_at_source(const struct doctor *d, const struct setup *setup)
{
	struct error e;
	enum source_kind kind = (enum source_kind)setup->source.kind;
	if (source_find(kind, &e))
		doctor_tell(d, FINDING_GOOD, "source", NULL, "%s", source_kind_names[kind]);
	else
		doctor_tell(d, FINDING_FAULT, "source", "set capture.source, or install what is missing", "%s", e.text);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (setup->settings.workers > (uint64_t)cpus)
		doctor_tell(d, FINDING_NOTE, "workers", "lower workers", "%llu on %ld CPUs: they take turns",
			    (unsigned long long)setup->settings.workers, cpus);
	else
		doctor_tell(d, FINDING_GOOD, "workers", NULL, "%llu on %ld CPUs",
			    (unsigned long long)setup->settings.workers, cpus);
}

void doctor_host(const struct doctor *d, const struct setup *setup)
{
	look_at_privileges(d, setup);
	look_at_kernel(d);
	look_at_memory(d, setup);
	look_at_clock(d);
	look_at_source(d, setup);
}
