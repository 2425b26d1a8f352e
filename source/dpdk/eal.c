/* eal.c - starting DPDK's environment without disturbing the program around it.
 *
 * rte_eal_init() pins the thread that calls it, and parses arguments with getopt(), so it runs on a thread of its own,
 * which ends afterwards. It prints what it does: the log goes into a small memory, from which errors are explained. */
#include "module.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define START_SECONDS 60
#define ARGUMENTS 16

static struct {
	enum { EAL_NONE, EAL_PRIMARY, EAL_SECONDARY, EAL_FAILED } state;
	char prefix[64];
	bool huge;
	char arguments[ARGUMENTS][128];
	char *argv[ARGUMENTS + 1];
	int argc;
	int status; /* of rte_eal_init() */
	int error;
} eal;

static struct {
	pthread_mutex_t lock;
	char text[400];
	size_t len;
} log_memory = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Keeps the end of what comes, in one line. */
static ssize_t log_write(void *nothing, const char *text, size_t len)
{
	(void)nothing;
	pthread_mutex_lock(&log_memory.lock);
	size_t keep = min_of(len, sizeof log_memory.text - 1);
	const char *from = text + len - keep;
	if (log_memory.len + keep >= sizeof log_memory.text) {
		size_t drop = log_memory.len + keep - (sizeof log_memory.text - 1);
		memmove(log_memory.text, log_memory.text + drop, log_memory.len - drop);
		log_memory.len -= drop;
	}
	for (size_t i = 0; i < keep; i++)
		log_memory.text[log_memory.len++] = from[i] == '\n' ? ' ' : from[i];
	log_memory.text[log_memory.len] = 0;
	pthread_mutex_unlock(&log_memory.lock);
	return (ssize_t)len;
}

const char *eal_said(void)
{
	static char copy[sizeof log_memory.text];
	pthread_mutex_lock(&log_memory.lock);
	memcpy(copy, log_memory.text, sizeof copy);
	pthread_mutex_unlock(&log_memory.lock);
	size_t len = strlen(copy);
	while (len && copy[len - 1] == ' ')
		copy[--len] = 0;
	return copy;
}

void eal_forget(void)
{
	pthread_mutex_lock(&log_memory.lock);
	log_memory.len = 0;
	log_memory.text[0] = 0;
	pthread_mutex_unlock(&log_memory.lock);
}

static void add(const char *fmt, ...) print_format(1, 2);
static void add(const char *fmt, ...)
{
	va_list arguments;
	va_start(arguments, fmt);
	char *text = eal.arguments[eal.argc];
	vsnprintf(text, sizeof eal.arguments[0], fmt, arguments);
	va_end(arguments);
	eal.argv[eal.argc++] = text;
}

static uint64_t read_number(const char *path)
{
	unsigned long long n = 0;
	FILE *f = fopen(path, "re");
	if (f) {
		if (fscanf(f, "%llu", &n) != 1)
			n = 0;
		fclose(f);
	}
	return n;
}

/* Bytes in huge pages that nobody uses. */
static uint64_t free_huge_bytes(void)
{
	uint64_t bytes = 0;
	glob_t found;
	if (glob("/sys/kernel/mm/hugepages/hugepages-*kB/free_hugepages", 0, NULL, &found))
		return 0;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		unsigned long long kilobytes = 0;
		sscanf(found.gl_pathv[i], "/sys/kernel/mm/hugepages/hugepages-%llukB", &kilobytes);
		bytes += read_number(found.gl_pathv[i]) * kilobytes * 1024;
	}
	globfree(&found);
	return bytes;
}

/* Of the host's NICs takes this one, or none. Left to itself DPDK takes all that are bound to vfio-pci; and in an
 * application without any port it ends the process over it. */
static void allow(const char *nic)
{
	glob_t found;
	bool any = glob("/sys/bus/pci/devices/*", 0, NULL, &found) == 0;
	if (any)
		globfree(&found);
	if (!any)
		add("--no-pci");
	else
		add("-a%s", nic ? nic : "0000:00:00.0" /* never a NIC */);
}

/* Whether an application of this prefix runs; DPDK locks its configuration while it does. As lib/eal does, the folder
 * is that of systemd, of root, or of the user. */
static bool application_runs(const char *prefix)
{
	const char *folder = getenv("RUNTIME_DIRECTORY");
	char path[512];
	if (!folder && getuid() == 0)
		folder = "/var/run";
	if (!folder)
		folder = getenv("XDG_RUNTIME_DIR");
	snprintf(path, sizeof path, "%s/dpdk/%s/config", folder ? folder : "/tmp", prefix);
	return rte_eal_primary_proc_alive(path);
}

static void *start(void *nothing)
{
	(void)nothing;
	eal.status = rte_eal_init(eal.argc, eal.argv);
	eal.error = rte_errno;
	return NULL;
}

/* Runs rte_eal_init(). */
static int run(const char *where, struct error *e)
{
	static const cookie_io_functions_t io = {.write = log_write};
	cpu_set_t cpus;
	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof cpus, &cpus);
	unsigned cpu = 0;
	while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &cpus))
		cpu++;
	add("--lcores=0@%u", cpu);
	add("--no-telemetry");
	add("--log-level=*:warning");
	FILE *log = fopencookie(NULL, "w", io);
	if (!log)
		return host->error_set(e, -ENOMEM, "%s: no memory", where);
	setvbuf(log, NULL, _IONBF, 0);
	rte_openlog_stream(log);
	eal_forget();
	eal.state = EAL_FAILED;
	pthread_t thread;
	if (pthread_create(&thread, NULL, start, NULL))
		return host->error_set(e, -EAGAIN, "%s: no thread to start DPDK on", where);
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += START_SECONDS;
	if (pthread_timedjoin_np(thread, NULL, &end))
		return host->error_set(e, -ETIMEDOUT, "%s: DPDK has not started within %d s: %s", where, START_SECONDS,
				       eal_said());
	if (eal.status < 0)
		return host->error_set(e, -EIO, "%s: DPDK does not start (%s): %s", where, strerror(eal.error),
				       eal_said());
	return 0;
}

static int start_primary(uint64_t bytes, const char *nic, const char *where, struct error *e)
{
	unsigned long long megabytes = (bytes >> 20) + 64;
	eal.argc = 0;
	eal.huge = free_huge_bytes() >= megabytes << 20;
	if (!eal.huge && nic)
		return host->error_set(
		    e, -ENOMEM, "%s: a NIC under DPDK needs %llu MiB of free huge pages: sysctl vm.nr_hugepages=%llu",
		    where, megabytes, (megabytes + 1) / 2);
	add("tapscope");
	if (eal.huge) {
		add("--in-memory");
	} else {
		add("--no-huge");
		add("--no-shconf"); /* as --in-memory, which is refused here */
		/* All that there will be; what is not used is not touched. */
		add("-m%llu", max_of(megabytes * 2, 1024ull));
	}
	allow(NULL); /* NICs are taken one by one, when they are opened */
	return run(where, e);
}

static int start_secondary(const char *prefix, const char *nic, const char *where, struct error *e)
{
	if (!application_runs(prefix))
		return host->error_set(
		    e, -ENODEV,
		    "%s: no DPDK application with --file-prefix %s runs here (with huge pages, without "
		    "--in-memory)",
		    where, prefix);
	eal.argc = 0;
	add("tapscope");
	add("--proc-type=secondary");
	add("--file-prefix=%s", prefix);
	allow(nic);
	return run(where, e);
}

int eal_start(const char *prefix, uint64_t bytes, const char *nic, const char *where, struct error *e)
{
	static const char again[] = "; a process has one: start this program again";
	eal_forget();
	switch (eal.state) {
	case EAL_FAILED:
		return host->error_set(e, -EIO, "%s: DPDK could not be started before%s", where, again);
	case EAL_PRIMARY:
		if (prefix)
			return host->error_set(e, -EBUSY,
					       "%s: DPDK runs here with NICs of its own, not in another application%s",
					       where, again);
		if (nic && !eal.huge)
			return host->error_set(
			    e, -EBUSY, "%s: DPDK was started without huge pages, which a NIC needs%s", where, again);
		return 0;
	case EAL_SECONDARY:
		if (!prefix || strcmp(prefix, eal.prefix))
			return host->error_set(e, -EBUSY, "%s: DPDK runs here in the application %s%s", where,
					       eal.prefix, again);
		if (!rte_eal_primary_proc_alive(NULL))
			return host->error_set(e, -ENODEV, "%s: the DPDK application %s has ended%s", where, eal.prefix,
					       again);
		return 0;
	case EAL_NONE:
		break;
	}
	int r = prefix ? start_secondary(prefix, nic, where, e) : start_primary(bytes, nic, where, e);
	if (r)
		return r;
	eal.state = prefix ? EAL_SECONDARY : EAL_PRIMARY;
	snprintf(eal.prefix, sizeof eal.prefix, "%s", prefix ? prefix : "");
	eal_forget();
	return 0;
}

int eal_lock(const char *name)
{
	char path[512];
	snprintf(path, sizeof path, "%s/tapscope-%s.lock", rte_eal_get_runtime_dir(), name);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		int r = errno == EWOULDBLOCK ? -EBUSY : -errno;
		close(fd);
		return r;
	}
	return fd;
}

/* Takes our files out of the application's folder. A primary process has none. */
__attribute__((destructor)) static void finish(void)
{
	if (eal.state == EAL_SECONDARY)
		rte_eal_cleanup();
}
