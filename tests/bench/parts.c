/* parts.c - what bounds the scaling, measured alone.
 *
 *   bench_parts CAPTURE
 *
 * One line of JSON, each figure the best of several repetitions:
 *
 *   read_ns            per packet: the reader of capture files and nothing else
 *   read_decode_ns     and decode with hash and shard: what the steering thread does to each packet, but for the ring
 *   ring_ns            per packet: copied into the ring to a worker on another CPU, which reads its key (4,096 slots)
 *   ring_inline_ns     the same by one thread, a burst at a time: the copy without the other CPU
 *   outbox_ns          per record of 512 bytes: encoded (copied) into an outbox that another CPU drains and copies out
 *   memory_gb_s        reading a GiB in order, by 1 and by 2 threads
 *   miss_ns            reading a cache line at random in a GiB, the next known only then; and 32 at a time */
#include "decode.h"
#include "file.h"
#include "outbox.h"
#include "ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define REPETITIONS 5
#define PACKETS 65536
#define RING_SLOTS 4096
#define RING_ROUNDS 32
#define RECORD 512
#define RECORDS (1 << 20)
#define MEMORY (1ul << 30)

/* As large as what the engine puts into its rings: two orders, a type, the packet. */
struct message {
	uint64_t order;
	int64_t now_ns;
	uint64_t type;
	struct packet packet;
};

static struct packet *packets;
static unsigned packet_count;

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void on_cpu(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof set, &set);
}

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "bench_parts: %s\n", what);
	exit(3);
}

/* ns per packet of reading, and of decoding where there is a decoder; keeps the first packets. */
static double read_all(const char *path, struct decode *decode)
{
	struct capture_files *files;
	struct capture_files_options options = {0};
	struct frame frames[256];
	struct packet scratch;
	struct error e;
	uint64_t count = 0;
	if (capture_files_open(&files, &path, 1, &options, &e) < 0)
		fail(e.text);
	double began = seconds();
	for (int n; (n = capture_files_read(files, frames, array_size(frames), &e)) > 0;) {
		count += (uint64_t)n;
		for (int i = 0; decode && i < n; i++) {
			struct packet *p = packet_count < PACKETS ? &packets[packet_count] : &scratch;
			if (decode_frame(decode, &frames[i], p) == DECODE_PACKET && packet_count < PACKETS)
				packet_count++;
		}
		capture_files_release(files, frames[n - 1].ordinal);
	}
	double took = seconds() - began;
	capture_files_close(files);
	return count ? took * 1e9 / (double)count : 0;
}

/* --- the ring --- */

static struct ring ring;
static uint64_t sum;

static void fill(struct message *m, const struct packet *p, uint64_t order)
{
	m->order = order;
	m->type = 0;
	memcpy(&m->packet, p, offsetof(struct packet, tunnel) + p->tunnel_count * sizeof p->tunnel[0]);
}

static unsigned drain(uint64_t *total)
{
	unsigned n = 0;
	struct message *m = ring_peek(&ring);
	for (; n < 32 && m; m = ring_peek_at(&ring, n)) {
		*total += m->packet.key.hash + m->packet.key.port[0] + m->packet.seq;
		n++;
	}
	if (n)
		ring_release(&ring, n);
	return n;
}

static void *consume_packets(void *arg maybe_unused)
{
	uint64_t left = (uint64_t)packet_count * RING_ROUNDS, total = 0;
	unsigned spins = 0;
	on_cpu(1);
	while (left) {
		unsigned n = drain(&total);
		left -= n;
		if (n)
			spins = 0;
		else
			ring_wait(&spins);
	}
	sum += total;
	return NULL;
}

static double ring_ns(void)
{
	pthread_t thread;
	unsigned spins = 0;
	if (ring_init(&ring, sizeof(struct message), RING_SLOTS) < 0 ||
	    pthread_create(&thread, NULL, consume_packets, NULL))
		fail("no memory");
	double began = seconds();
	for (unsigned round = 0; round < RING_ROUNDS; round++) {
		for (unsigned i = 0; i < packet_count; i++) {
			struct message *m;
			while (!(m = ring_claim(&ring)))
				ring_wait(&spins);
			spins = 0;
			fill(m, &packets[i], i);
			ring_publish(&ring);
		}
	}
	pthread_join(thread, NULL);
	double took = seconds() - began;
	ring_fini(&ring);
	return took * 1e9 / packet_count / RING_ROUNDS;
}

static double ring_inline_ns(void)
{
	uint64_t total = 0;
	if (ring_init(&ring, sizeof(struct message), RING_SLOTS) < 0)
		fail("no memory");
	double began = seconds();
	for (unsigned round = 0; round < RING_ROUNDS; round++) {
		for (unsigned i = 0; i < packet_count; i++) {
			fill(ring_claim(&ring), &packets[i], i);
			ring_publish(&ring);
			if (i % 32 == 31)
				drain(&total);
		}
		while (drain(&total))
			;
	}
	double took = seconds() - began;
	sum += total;
	ring_fini(&ring);
	return took * 1e9 / packet_count / RING_ROUNDS;
}

/* --- the outbox --- */

static struct outbox outbox;

static void *consume_records(void *arg maybe_unused)
{
	static char out[1 << 18];
	size_t at = 0;
	unsigned spins = 0;
	on_cpu(1);
	for (uint64_t left = RECORDS; left;) {
		struct outbox_entry *entry = outbox_peek(&outbox);
		if (!entry) {
			ring_wait(&spins);
			continue;
		}
		spins = 0;
		if (at + entry->len > sizeof out)
			at = 0;
		memcpy(out + at, entry + 1, entry->len);
		at += entry->len;
		outbox_release(&outbox, entry);
		left--;
	}
	sum += (uint64_t)out[0];
	return NULL;
}

static double outbox_ns(void)
{
	pthread_t thread;
	char record[RECORD];
	memset(record, 'x', sizeof record);
	if (outbox_init(&outbox, OUTBOX_BYTES) < 0 || pthread_create(&thread, NULL, consume_records, NULL))
		fail("no memory");
	double began = seconds();
	for (unsigned i = 0; i < RECORDS; i++) {
		struct outbox_entry *entry = outbox_reserve(&outbox, 16384);
		memcpy(entry + 1, record, sizeof record);
		*entry = (struct outbox_entry){.order = i, .len = RECORD};
		outbox_commit(&outbox, entry);
	}
	pthread_join(thread, NULL);
	double took = seconds() - began;
	outbox_fini(&outbox);
	return took * 1e9 / RECORDS;
}

/* --- memory --- */

static uint64_t *memory;
static pthread_barrier_t barrier;

static void *read_memory(void *arg)
{
	uint64_t total = 0, words = MEMORY / sizeof *memory / 2, from = (uint64_t)(uintptr_t)arg * words;
	on_cpu((int)(uintptr_t)arg);
	pthread_barrier_wait(&barrier);
	for (uint64_t i = 0; i < words; i += 8)
		total += memory[from + i] + memory[from + i + 4];
	pthread_barrier_wait(&barrier);
	__atomic_fetch_add(&sum, total, __ATOMIC_RELAXED);
	return NULL;
}

/* GB/s of `threads` threads that read half a GiB each. */
static double memory_rate(unsigned threads)
{
	pthread_t thread[2];
	pthread_barrier_init(&barrier, NULL, threads + 1);
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, read_memory, (void *)(uintptr_t)i))
			fail("no thread");
	pthread_barrier_wait(&barrier);
	double began = seconds();
	pthread_barrier_wait(&barrier);
	double took = seconds() - began;
	for (unsigned i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&barrier);
	return (double)MEMORY / 2 * threads / took * 1e-9;
}

/* ns of a random line: `ahead` 0: each address comes from the line before; else so many are fetched at a time. */
static double miss_ns(unsigned ahead)
{
	const uint64_t lines = MEMORY / 64, reads = 1 << 21;
	uint64_t at = 12345, total = 0;
	double began = seconds();
	if (!ahead) {
		for (uint64_t i = 0; i < reads; i++) {
			at = at * 6364136223846793005u + 1442695040888963407u + memory[(at >> 20) % lines * 8];
			total += at;
		}
	} else {
		uint64_t line[64];
		for (uint64_t i = 0; i < reads; i += ahead) {
			for (unsigned k = 0; k < ahead; k++) {
				at = at * 6364136223846793005u + 1442695040888963407u;
				line[k] = (at >> 20) % lines * 8;
				__builtin_prefetch(&memory[line[k]]);
			}
			for (unsigned k = 0; k < ahead; k++)
				total += memory[line[k]];
		}
	}
	double took = seconds() - began;
	sum += total;
	return took * 1e9 / (double)reads;
}

static double least(double a, double b)
{
	return a && a < b ? a : b;
}

int main(int argc, char **argv)
{
	static struct decode decode;
	struct decode_settings settings = {.decap_type = UINT64_MAX};
	struct error e;
	if (argc != 2)
		return 2;
	packets = calloc(PACKETS, sizeof *packets);
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (!packets || memory == MAP_FAILED)
		fail("no memory");
	if (decode_init(&decode, &settings, 1, 0, &e) < 0)
		fail(e.text);
	on_cpu(0);
	double read = 0, decoded = 0, two = 0, one = 0, box = 0, rate[2] = {0}, miss = 0, misses = 0;
	for (unsigned i = 0; i < REPETITIONS; i++) {
		read = least(read, read_all(argv[1], NULL));
		decoded = least(decoded, read_all(argv[1], &decode));
		if (!packet_count)
			fail("no packets in the capture");
		two = least(two, ring_ns());
		one = least(one, ring_inline_ns());
		box = least(box, outbox_ns());
		for (unsigned t = 0; t < 2; t++)
			rate[t] = max_of(rate[t], memory_rate(t + 1));
		miss = least(miss, miss_ns(0));
		misses = least(misses, miss_ns(32));
	}
	printf("{\"read_ns\":%.1f,\"read_decode_ns\":%.1f,\"ring_ns\":%.1f,\"ring_inline_ns\":%.1f,\"outbox_ns\":%.1f,"
	       "\"memory_gb_s\":[%.1f,%.1f],\"miss_ns\":[%.1f,%.1f],\"message_bytes\":%zu,\"check\":%d}\n",
	       read, decoded, two, one, box, rate[0], rate[1], miss, misses, sizeof(struct message), (int)(sum & 1));
	return 0;
}
