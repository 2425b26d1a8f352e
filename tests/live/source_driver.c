/* source_driver.c - opens one source by its kind and NIC, receives, and says what it saw: for the live tests.
 *
 *     source_driver --kind KIND --nic NIC [options]
 *
 * Prints "ready" once the source is open, and at the end one line of JSON; what it could not open goes to stderr, exit
 * status 3. With --also a second source of the same kind is opened, and closed at once; how that went goes to stderr.
 * It ends after --frames or --ms, at SIGTERM or SIGINT, or when the NIC is gone; then it stops the source and takes
 * what is left. One thread receives from all queues, or with --threads one each. "misdirected" counts packets
 * and fragments that came to another queue than the one that decode says their shard belongs to. */
#include "source.h"
#include "steering.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define BURST 64
#define QUEUES 64

struct tally {
	uint64_t frames, captured, wire;
	uint64_t crc_sum;      /* of the CRC-32 of each frame's captured bytes: the same in any order */
	uint64_t backwards;    /* frames with a time before that of the frame before them on the same queue */
	uint64_t cut;          /* caplen < wirelen */
	uint64_t link_type[3]; /* Ethernet; Linux cooked; any other */
	uint64_t longest;
	int64_t first_ns, last_ns, youngest_ns, oldest_ns; /* ages at receipt */
	uint64_t no_buffers, down, gone, polls, held_most;
	uint64_t misdirected, packets, fragments; /* the latter two: whether or not */
};

static struct settings {
	unsigned kind, threads, cycles;
	uint64_t frames, hold;
	int64_t ms, pause_us, drain_ms;
	bool no_crc, decode;
	const char *also;
	struct source_options source;
} settings = {
    .drain_ms = 300,
    .source = {.netns = -1,
	       .queues = 1,
	       .salt = UINT64_C(0x7a95c09e7a95c09e),
	       .ring_bytes = 32 << 20,
	       .block_ns = 10 * NS_PER_MS,
	       .promiscuous = true},
};
static struct source *source;
static struct tally tallies[QUEUES];
static atomic_bool asked_to_stop;
static atomic_int phase; /* 0 receive, 1 stopped: take what is left */
static atomic_ullong total;

static int64_t now_ns(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void on_signal(int number)
{
	(void)number;
	atomic_store(&asked_to_stop, true);
}

static void look_at(struct tally *t, const struct frame *f, int64_t now)
{
	if (!settings.no_crc)
		t->crc_sum += crc32(0, f->data, f->caplen);
	int64_t age = now - f->ts_ns;
	if (t->frames == 0) {
		t->first_ns = t->last_ns = f->ts_ns;
		t->youngest_ns = t->oldest_ns = age;
	}
	t->backwards += f->ts_ns < t->last_ns;
	t->last_ns = f->ts_ns;
	t->youngest_ns = min_of(t->youngest_ns, age);
	t->oldest_ns = max_of(t->oldest_ns, age);
	t->frames++;
	t->captured += f->caplen;
	t->wire += f->wirelen;
	t->cut += f->caplen < f->wirelen;
	t->longest = max_of(t->longest, (uint64_t)f->wirelen);
	t->link_type[f->link_type == 1 ? 0 : f->link_type == 113 || f->link_type == 276 ? 1 : 2]++;
}

/* One look at one queue; how many frames came. `held`: borrowed so far. */
static int receive(unsigned queue, uint64_t *held)
{
	struct frame frames[BURST];
	struct tally *t = &tallies[queue];
	int got = source->ops->receive(source, queue, frames, BURST);
	t->polls++;
	t->no_buffers += got == -ENOBUFS;
	t->down += got == -ENETDOWN;
	if (got == -ENODEV) {
		t->gone++;
		atomic_store(&asked_to_stop, true);
	}
	if (got > 0) {
		int64_t now = now_ns(CLOCK_REALTIME);
		for (int i = 0; i < got; i++) {
			look_at(t, &frames[i], now);
			if (!settings.decode)
				continue;
			enum steering s = steering_check(queue, settings.source.queues, &frames[i]);
			t->misdirected += !!(s & STEERING_WRONG);
			t->packets += !!(s & STEERING_PACKET);
			t->fragments += !!(s & STEERING_FRAGMENT);
		}
		*held += (uint64_t)got;
		t->held_most = max_of(t->held_most, *held);
		if (atomic_fetch_add(&total, (unsigned)got) + (unsigned)got >= settings.frames && settings.frames)
			atomic_store(&asked_to_stop, true);
	}
	/* The oldest go back first, as few as possible at once. */
	while (*held > settings.hold || (got == -ENOBUFS && *held)) {
		unsigned n = (unsigned)min_of(*held > settings.hold ? *held - settings.hold : UINT64_C(1), UINT64_C(7));
		source->ops->release(source, queue, n);
		*held -= n;
		if (got == -ENOBUFS)
			break;
	}
	if (settings.pause_us && atomic_load(&phase) == 0)
		usleep((useconds_t)settings.pause_us);
	return got;
}

/* The queues from, from + step, … until the source is stopped and they are empty. */
static void serve(unsigned from, unsigned step)
{
	uint64_t held[QUEUES] = {0};
	int64_t empty_since = 0;
	for (;;) {
		bool stopped = atomic_load(&phase) == 1;
		bool any = false;
		struct pollfd fds[QUEUES];
		nfds_t count = 0;
		for (unsigned q = from; q < settings.source.queues; q += step) {
			int got = receive(q, &held[q]);
			any |= got > 0 || got == -ENOBUFS;
			fds[count++] = (struct pollfd){.fd = source->ops->descriptor(source, q), .events = POLLIN};
		}
		int64_t now = now_ns(CLOCK_MONOTONIC);
		if (any)
			empty_since = now;
		else if (stopped && now - empty_since > settings.drain_ms * NS_PER_MS)
			break;
		else if (!(source->flags & SOURCE_BUSY))
			poll(fds, count, 20);
		if (stopped && !empty_since)
			empty_since = now;
	}
	for (unsigned q = from; q < settings.source.queues; q += step)
		source->ops->release(source, q, (unsigned)held[q]);
}

static void *serve_thread(void *index)
{
	serve((unsigned)(uintptr_t)index, settings.source.queues);
	return NULL;
}

static void *serve_all(void *nothing)
{
	(void)nothing;
	serve(0, 1);
	return NULL;
}

/* A line of /proc/self/status. */
static uint64_t signals_caught(void)
{
	char line[256];
	unsigned long long caught = 0;
	FILE *f = fopen("/proc/self/status", "re");
	while (f && fgets(line, sizeof line, f))
		sscanf(line, "SigCgt: %llx", &caught);
	if (f)
		fclose(f);
	return caught & 0x7fffffff; /* not those of the C library itself (32, 33) */
}

static int cpus(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof set, &set) ? -1 : CPU_COUNT(&set);
}

static int descriptors(void)
{
	int count = 0;
	DIR *d = opendir("/proc/self/fd");
	while (d && readdir(d))
		count++;
	if (d)
		closedir(d);
	return count;
}

/* Opens and closes again and again; what is left is said. */
static int cycle(const struct source_ops *ops, struct error *e)
{
	int before = descriptors();
	puts("ready");
	fflush(stdout);
	for (unsigned i = 0; i < settings.cycles; i++) {
		int r = ops->open(&source, &settings.source, e);
		if (r)
			return r;
		ops->close(source);
	}
	printf("{\"descriptors_left\":%d}\n", descriptors() - before);
	return 0;
}

static void print(uint64_t signals_before, int cpus_before)
{
	struct source_counters c;
	source->ops->counters(source, &c);
	struct tally t = {0};
	printf("{\"per_queue\":[");
	for (unsigned q = 0; q < settings.source.queues; q++) {
		const struct tally *u = &tallies[q];
		printf("%s%llu", q ? "," : "", (unsigned long long)u->frames);
		if (u->frames) {
			t.first_ns = t.frames ? min_of(t.first_ns, u->first_ns) : u->first_ns;
			t.last_ns = t.frames ? max_of(t.last_ns, u->last_ns) : u->last_ns;
			t.youngest_ns = t.frames ? min_of(t.youngest_ns, u->youngest_ns) : u->youngest_ns;
			t.oldest_ns = t.frames ? max_of(t.oldest_ns, u->oldest_ns) : u->oldest_ns;
		}
		t.frames += u->frames;
		t.captured += u->captured;
		t.wire += u->wire;
		t.crc_sum += u->crc_sum;
		t.backwards += u->backwards;
		t.cut += u->cut;
		t.longest = max_of(t.longest, u->longest);
		for (unsigned i = 0; i < array_size(t.link_type); i++)
			t.link_type[i] += u->link_type[i];
		t.no_buffers += u->no_buffers;
		t.down += u->down;
		t.gone += u->gone;
		t.polls += u->polls;
		t.held_most = max_of(t.held_most, u->held_most);
		t.misdirected += u->misdirected;
		t.packets += u->packets;
		t.fragments += u->fragments;
	}
	printf("]");
#define N(name, value) printf(",\"%s\":%lld", name, (long long)(value))
	N("frames", t.frames), N("captured", t.captured), N("wire", t.wire), N("crc_sum", t.crc_sum);
	N("backwards", t.backwards), N("cut", t.cut), N("longest", t.longest);
	N("ethernet", t.link_type[0]), N("cooked", t.link_type[1]), N("other_links", t.link_type[2]);
	N("first_ns", t.first_ns), N("last_ns", t.last_ns), N("youngest_ns", t.youngest_ns),
	    N("oldest_ns", t.oldest_ns);
	N("no_buffers", t.no_buffers), N("down", t.down), N("gone", t.gone), N("polls", t.polls);
	N("held_most", t.held_most);
	N("misdirected", t.misdirected), N("packets", t.packets), N("fragments", t.fragments);
	N("seen", c.seen), N("unwanted", c.unwanted), N("filtered", c.filtered), N("kernel_dropped", c.kernel_dropped);
	N("ring_dropped", c.ring_dropped), N("received", c.received), N("bytes", c.bytes), N("losing", c.losing);
	N("nic_packets", c.nic_packets), N("nic_dropped", c.nic_dropped);
	N("remainder", c.seen - c.unwanted - c.filtered - c.kernel_dropped - c.ring_dropped - c.received);
	N("queues", source->queues), N("unsteered", !!(source->flags & SOURCE_UNSTEERED));
	N("busy", !!(source->flags & SOURCE_BUSY)), N("lateness_ns", source->lateness_ns);
	N("signals_changed", signals_caught() != signals_before), N("cpus_changed", cpus() != cpus_before);
#undef N
	static const char *const clocks[] = {"software", "nic", "poll"};
	printf(",\"clock\":\"%s\"}\n", clocks[source->clock]);
	fflush(stdout);
}

static int usage(void)
{
	fputs("source_driver --kind af_packet|af_xdp|pcap|dpdk --nic NIC [--netns FILE] [--queues N] [--threads]\n"
	      "    [--filter EXPRESSION] [--snaplen N] [--not-promiscuous] [--ring-bytes N] [--block-ms N]\n"
	      "    [--also NIC] [--frames N] [--ms T] [--drain-ms T] [--hold FRAMES] [--pause-us T] [--no-crc]\n"
	      "    [--decode] [--cycles N] [--nic-clock]\n",
	      stderr);
	return 2;
}

static bool parse(int argc, char **argv)
{
	static const struct option options[] = {
	    {"kind", 1, 0, 'k'},
	    {"nic", 1, 0, 'i'},
	    {"netns", 1, 0, 'n'},
	    {"queues", 1, 0, 'q'},
	    {"threads", 0, 0, 't'},
	    {"filter", 1, 0, 'f'},
	    {"snaplen", 1, 0, 's'},
	    {"not-promiscuous", 0, 0, 'p'},
	    {"ring-bytes", 1, 0, 'r'},
	    {"block-ms", 1, 0, 'b'},
	    {"frames", 1, 0, 'c'},
	    {"ms", 1, 0, 'm'},
	    {"drain-ms", 1, 0, 'd'},
	    {"hold", 1, 0, 'h'},
	    {"pause-us", 1, 0, 'u'},
	    {"no-crc", 0, 0, 'x'},
	    {"also", 1, 0, 'a'},
	    {"decode", 0, 0, 'D'},
	    {"cycles", 1, 0, 'C'},
	    {"nic-clock", 0, 0, 'N'},
	    {0},
	};
	settings.kind = SOURCE_KINDS;
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (o) {
		case 'k':
			for (settings.kind = 0; settings.kind < SOURCE_KINDS; settings.kind++)
				if (!strcmp(source_kind_names[settings.kind], optarg))
					break;
			break;
		case 'i':
			settings.source.nic = optarg;
			break;
		case 'n':
			settings.source.netns = open(optarg, O_RDONLY | O_CLOEXEC);
			if (settings.source.netns < 0)
				return false;
			break;
		case 'q':
			settings.source.queues = (unsigned)atoi(optarg);
			break;
		case 't':
			settings.threads = 1;
			break;
		case 'f':
			settings.source.filter = optarg;
			break;
		case 's':
			settings.source.snaplen = (uint32_t)atoi(optarg);
			break;
		case 'p':
			settings.source.promiscuous = false;
			break;
		case 'r':
			settings.source.ring_bytes = strtoull(optarg, NULL, 0);
			break;
		case 'b':
			settings.source.block_ns = atoi(optarg) * NS_PER_MS;
			break;
		case 'c':
			settings.frames = strtoull(optarg, NULL, 0);
			break;
		case 'm':
			settings.ms = atoll(optarg);
			break;
		case 'd':
			settings.drain_ms = atoll(optarg);
			break;
		case 'h':
			settings.hold = strtoull(optarg, NULL, 0);
			break;
		case 'u':
			settings.pause_us = atoll(optarg);
			break;
		case 'a':
			settings.also = optarg;
			break;
		case 'x':
			settings.no_crc = true;
			break;
		case 'C':
			settings.cycles = (unsigned)atoi(optarg);
			break;
		case 'N':
			settings.source.nic_clock = true;
			break;
		case 'D':
			settings.decode = true;
			break;
		default:
			return false;
		}
	}
	return optind == argc && settings.kind < SOURCE_KINDS && settings.source.nic && settings.source.queues >= 1 &&
	       settings.source.queues <= QUEUES;
}

int main(int argc, char **argv)
{
	if (!parse(argc, argv))
		return usage();
	steering_init(&settings.source);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	uint64_t signals_before = signals_caught();
	int cpus_before = cpus();
	struct error e = {""};
	const struct source_ops *ops = source_find(settings.kind, &e);
	int r = !ops ? -ENOTSUP : settings.cycles ? cycle(ops, &e) : ops->open(&source, &settings.source, &e);
	if (r) {
		fprintf(stderr, "source_driver: %s (%s)\n", e.text, strerrorname_np(-r));
		return 3;
	}
	if (settings.cycles)
		return 0;
	if (settings.also) {
		struct source_options also = settings.source;
		struct source *second;
		also.nic = settings.also;
		if (ops->open(&second, &also, &e) == 0) {
			second->ops->close(second);
			strcpy(e.text, "opened");
		}
		fprintf(stderr, "also: %s\n", e.text);
	}
	puts("ready");
	fflush(stdout);
	pthread_t threads[QUEUES];
	unsigned count = settings.threads ? settings.source.queues : 1;
	for (unsigned i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, settings.threads ? serve_thread : serve_all,
				   (void *)(uintptr_t)i))
			abort();
	int64_t end = settings.ms ? now_ns(CLOCK_MONOTONIC) + settings.ms * NS_PER_MS : INT64_MAX;
	struct source_counters c;
	while (!atomic_load(&asked_to_stop) && now_ns(CLOCK_MONOTONIC) < end) {
		usleep(2000);
		source->ops->counters(source, &c); /* while the workers receive, as a metrics thread does */
	}
	source->ops->stop(source);
	atomic_store(&phase, 1);
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	print(signals_before, cpus_before);
	source = source->ops->close(source);
	return 0;
}
