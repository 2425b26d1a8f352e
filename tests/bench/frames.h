/* frames.h - what the writers of synthetic captures share: a pcap file with nanoseconds, a clock, random numbers that
 * are the same each time, and TCP and UDP packets in Ethernet and IPv4. For programs of one file each.
 *
 * Checksums of IPv4 are right, those of TCP and UDP are zero, as offload leaves them. A failed write ends the program.
 */
#ifndef TS_BENCH_FRAMES_H
#define TS_BENCH_FRAMES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_MAX (65535 + 14)

static FILE *file;
static uint64_t now_ns = UINT64_C(1700000000) * 1000000000;
static uint64_t random_state = 1;
static uint64_t frames_written;

static inline uint64_t next_random(void)
{
	uint64_t z = random_state += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

static inline void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static inline void write_all(const void *data, size_t len)
{
	if (fwrite(data, 1, len, file) != len) {
		perror("writing a capture");
		exit(3);
	}
}

static inline void open_capture(const char *path)
{
	const uint32_t head[6] = {0xa1b23c4d, 4u << 16 | 2, 0, 0, 262144, 1};
	file = fopen(path, "wb");
	if (!file) {
		perror(path);
		exit(3);
	}
	setvbuf(file, NULL, _IOFBF, 1 << 20);
	write_all(head, sizeof head);
}

static inline void close_capture(void)
{
	if (fclose(file) != 0) {
		perror("writing a capture");
		exit(3);
	}
}

/* A frame as it is, at the clock. */
static inline void write_frame_now(const void *frame, size_t size)
{
	const uint32_t record[4] = {(uint32_t)(now_ns / 1000000000), (uint32_t)(now_ns % 1000000000), (uint32_t)size,
				    (uint32_t)size};
	write_all(record, sizeof record);
	write_all(frame, size);
	frames_written++;
}

/* The same, a microsecond or so after the one before. */
static inline void write_frame(const void *frame, size_t size)
{
	now_ns += 500 + next_random() % 1000;
	write_frame_now(frame, size);
}

struct end {
	uint32_t address;
	uint16_t port;
};

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

/* Writes an IPv4 packet, all but its checksum, and returns its length. flags 0: UDP. */
static inline size_t build_ip(uint8_t *ip, struct end from, struct end to, uint8_t flags, uint32_t seq, uint32_t ack,
			      const void *payload, size_t len)
{
	uint8_t *l4 = ip + 20;
	size_t head = flags ? 20 : 8, size = 20 + head + len;
	memset(ip, 0, 20 + head);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)size);
	put16(ip + 4, (unsigned)next_random() & 0xffff);
	ip[6] = 0x40;
	ip[8] = 64;
	ip[9] = flags ? 6 : 17;
	put32(ip + 12, from.address);
	put32(ip + 16, to.address);
	put16(l4, from.port);
	put16(l4 + 2, to.port);
	if (flags) {
		put32(l4 + 4, seq);
		put32(l4 + 8, ack);
		l4[12] = 0x50;
		l4[13] = flags;
		put16(l4 + 14, 64000);
	} else {
		put16(l4 + 4, (unsigned)(8 + len));
	}
	memcpy(l4 + head, payload, len);
	return size;
}

static inline void seal_ip(uint8_t *ip)
{
	uint32_t sum = 0;
	put16(ip + 10, 0);
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	put16(ip + 10, ~(sum + (sum >> 16)) & 0xffff);
}

static const uint8_t ethernet_head[14] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0};

/* flags 0: UDP */
static inline void write_packet(struct end from, struct end to, uint8_t flags, uint32_t seq, uint32_t ack,
				const void *payload, size_t len)
{
	static uint8_t f[FRAME_MAX];
	memcpy(f, ethernet_head, 14);
	size_t size = 14 + build_ip(f + 14, from, to, flags, seq, ack, payload, len);
	seal_ip(f + 14);
	if (size < 60) {
		memset(f + size, 0, 60 - size);
		size = 60;
	}
	write_frame(f, size);
}

/* A TCP connection: where both streams are. */
struct tcp_pair {
	struct end client, server;
	uint32_t client_seq, server_seq;
};

static inline void from_client(struct tcp_pair *c, uint8_t flags, const void *payload, size_t len)
{
	write_packet(c->client, c->server, flags, c->client_seq, flags & ACK ? c->server_seq : 0, payload, len);
	c->client_seq += (uint32_t)len + (flags & (SYN | FIN) ? 1 : 0);
}

static inline void from_server(struct tcp_pair *c, uint8_t flags, const void *payload, size_t len)
{
	write_packet(c->server, c->client, flags, c->server_seq, c->client_seq, payload, len);
	c->server_seq += (uint32_t)len + (flags & (SYN | FIN) ? 1 : 0);
}

static inline void handshake(struct tcp_pair *c)
{
	from_client(c, SYN, "", 0);
	from_server(c, SYN | ACK, "", 0);
	from_client(c, ACK, "", 0);
}

#endif
