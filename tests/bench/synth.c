/* synth.c - writes synthetic captures: the same bytes for the same arguments.
 *
 *   synth http FLOWS REQUESTS OPEN OUT    TCP connections with HTTP exchanges each, OPEN of them at a time
 *   synth flood PACKETS FLOWS OUT         SYNs and UDP datagrams of 60 bytes, over so many five-tuples
 *
 * pcap with nanoseconds. Checksums of IPv4 are right, those of TCP and UDP are zero, as offload leaves them. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *file;
static uint64_t now_ns = UINT64_C(1700000000) * 1000000000;
static uint64_t random_state = 1;

static uint64_t next_random(void)
{
	uint64_t z = random_state += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static void write_all(const void *data, size_t len)
{
	if (fwrite(data, 1, len, file) != len) {
		perror("synth");
		exit(3);
	}
}

static void write_header(void)
{
	const uint32_t head[6] = {0xa1b23c4d, 4u << 16 | 2, 0, 0, 262144, 1};
	write_all(head, sizeof head);
}

struct end {
	uint32_t address;
	uint16_t port;
};

/* flags 0: UDP */
static void write_packet(struct end from, struct end to, uint8_t flags, uint32_t seq, uint32_t ack, const char *payload,
			 size_t len)
{
	uint8_t f[1514] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45};
	uint8_t *ip = f + 14, *l4 = ip + 20;
	size_t head = flags ? 20 : 8, size = 14 + 20 + head + len;
	put16(ip + 2, (unsigned)(size - 14));
	put16(ip + 4, (unsigned)next_random() & 0xffff);
	ip[6] = 0x40;
	ip[8] = 64;
	ip[9] = flags ? 6 : 17;
	put32(ip + 12, from.address);
	put32(ip + 16, to.address);
	uint32_t sum = 0;
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	put16(ip + 10, ~(sum + (sum >> 16)) & 0xffff);
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
	if (size < 60)
		size = 60;
	now_ns += 500 + next_random() % 1000;
	const uint32_t record[4] = {(uint32_t)(now_ns / 1000000000), (uint32_t)(now_ns % 1000000000), (uint32_t)size,
				    (uint32_t)size};
	write_all(record, sizeof record);
	write_all(f, size);
}

struct connection {
	struct end client, server;
	uint32_t client_seq, server_seq;
	unsigned step, requests;
	uint64_t id;
};

enum { FIN = 1, SYN = 2, PSH = 8, ACK = 16 };

static void open_connection(struct connection *c, uint64_t id, unsigned requests)
{
	c->client = (struct end){0x0a000000 | (uint32_t)(id / 60000 + 1), (uint16_t)(1025 + id % 60000)};
	c->server = (struct end){0xc6120000 | (uint32_t)(next_random() % 50 + 1), 80};
	c->client_seq = (uint32_t)next_random();
	c->server_seq = (uint32_t)next_random();
	c->step = 0;
	c->requests = requests;
	c->id = id;
}

static void from_client(struct connection *c, uint8_t flags, const char *payload, size_t len)
{
	write_packet(c->client, c->server, flags, c->client_seq, flags & ACK ? c->server_seq : 0, payload, len);
	c->client_seq += (uint32_t)len + (flags & (SYN | FIN) ? 1 : 0);
}

static void from_server(struct connection *c, uint8_t flags, const char *payload, size_t len)
{
	write_packet(c->server, c->client, flags, c->server_seq, c->client_seq, payload, len);
	c->server_seq += (uint32_t)len + (flags & (SYN | FIN) ? 1 : 0);
}

static void request(struct connection *c, unsigned n)
{
	char text[512];
	int len = snprintf(
	    text, sizeof text,
	    "GET /item/%llu?page=%u HTTP/1.1\r\nHost: shop%u.example.com\r\nUser-Agent: synth/1.0\r\nAccept: */*\r\n"
	    "X-Request-ID: %016llx\r\n\r\n",
	    (unsigned long long)(c->id * 31 + n), n, (unsigned)(c->id % 20), (unsigned long long)next_random());
	from_client(c, PSH | ACK, text, (size_t)len);
}

static void response(struct connection *c)
{
	char text[1400];
	size_t body = 20 + next_random() % 900;
	unsigned dice = (unsigned)(next_random() % 40);
	int head = snprintf(text, sizeof text,
			    "HTTP/1.1 %s\r\nServer: synth\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
			    dice == 0   ? "500 Internal Server Error"
			    : dice <= 2 ? "404 Not Found"
					: "200 OK",
			    body);
	memset(text + head, 'x', body);
	from_server(c, PSH | ACK, text, (size_t)head + body);
}

/* The next packet of a connection; whether that was its last. */
static int advance(struct connection *c)
{
	unsigned step = c->step++, exchanges = c->requests * 4;
	if (step < 3) {
		if (step == 1)
			from_server(c, SYN | ACK, "", 0);
		else
			from_client(c, step ? ACK : SYN, "", 0);
		return 0;
	}
	step -= 3;
	if (step < exchanges) {
		switch (step % 4) {
		case 0:
			request(c, step / 4);
			break;
		case 1:
			from_server(c, ACK, "", 0);
			break;
		case 2:
			response(c);
			break;
		default:
			from_client(c, ACK, "", 0);
			break;
		}
		return 0;
	}
	step -= exchanges;
	if (step == 1)
		from_server(c, FIN | ACK, "", 0);
	else
		from_client(c, step ? ACK : FIN | ACK, "", 0);
	return step == 2;
}

static void write_http(uint64_t flows, unsigned requests, uint64_t open)
{
	struct connection *all = calloc(open, sizeof *all);
	uint64_t next = 0, live = 0;
	if (!all)
		exit(3);
	while (live < open && next < flows)
		open_connection(&all[live++], next++, requests);
	while (live) {
		uint64_t i = next_random() % live;
		if (!advance(&all[i]))
			continue;
		if (next < flows)
			open_connection(&all[i], next++, requests);
		else
			all[i] = all[--live];
	}
	free(all);
}

static void write_flood(uint64_t packets, uint64_t flows)
{
	for (uint64_t i = 0; i < packets; i++) {
		uint64_t flow = next_random() % flows;
		struct end a = {0x0b000000 | (uint32_t)(flow / 60000), (uint16_t)(1025 + flow % 60000)};
		struct end b = {0xc6130001, flow % 2 ? 53 : 80};
		write_packet(a, b, flow % 2 ? 0 : SYN, (uint32_t)flow, 0, "0123456789", flow % 2 ? 10 : 0);
	}
}

int main(int argc, char **argv)
{
	int http = argc == 6 && !strcmp(argv[1], "http"), flood = argc == 5 && !strcmp(argv[1], "flood");
	if (!http && !flood) {
		fprintf(stderr, "usage: synth http FLOWS REQUESTS OPEN OUT | synth flood PACKETS FLOWS OUT\n");
		return 2;
	}
	file = fopen(argv[argc - 1], "wb");
	if (!file) {
		perror(argv[argc - 1]);
		return 3;
	}
	write_header();
	uint64_t a = strtoull(argv[2], NULL, 10), b = strtoull(argv[3], NULL, 10);
	if (http)
		write_http(a, (unsigned)b, strtoull(argv[4], NULL, 10));
	else
		write_flood(a, b);
	if (fclose(file) != 0) {
		perror(argv[argc - 1]);
		return 3;
	}
	return 0;
}
