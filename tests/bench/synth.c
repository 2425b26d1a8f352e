/* synth.c - writes synthetic captures: the same bytes for the same arguments.
 *
 *   synth http FLOWS REQUESTS OPEN OUT    TCP connections with HTTP exchanges each, OPEN of them at a time
 *   synth flood PACKETS FLOWS OUT         SYNs and UDP datagrams of 60 bytes over so many five-tuples: each once, then
 *                                         at random
 *   synth open PROTOCOL CONNECTIONS EXCHANGES WAITING OUT
 *                                         TCP connections that all stay open: each has an exchange of http or redis,
 * then each the next, and at last the first WAITING send a request that is not answered
 *
 * A connection of N exchanges has 6 + 4 N packets, one that stays open 3 + 2 N. A SYN that comes again has the number
 * that it had. */
#include "frames.h"

struct connection {
	struct tcp_pair pair;
	unsigned step, requests;
	uint64_t id;
};

static void open_connection(struct connection *c, uint64_t id, unsigned requests)
{
	c->pair.client = (struct end){0x0a000000 | (uint32_t)(id / 60000 + 1), (uint16_t)(1025 + id % 60000)};
	c->pair.server = (struct end){0xc6120000 | (uint32_t)(next_random() % 50 + 1), 80};
	c->pair.client_seq = (uint32_t)next_random();
	c->pair.server_seq = (uint32_t)next_random();
	c->step = 0;
	c->requests = requests;
	c->id = id;
}

static void request(struct connection *c, unsigned n)
{
	char text[512];
	int len = snprintf(
	    text, sizeof text,
	    "GET /item/%llu?page=%u HTTP/1.1\r\nHost: shop%u.example.com\r\nUser-Agent: synth/1.0\r\nAccept: */*\r\n"
	    "X-Request-ID: %016llx\r\n\r\n",
	    (unsigned long long)(c->id * 31 + n), n, (unsigned)(c->id % 20), (unsigned long long)next_random());
	from_client(&c->pair, PSH | ACK, text, (size_t)len);
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
	from_server(&c->pair, PSH | ACK, text, (size_t)head + body);
}

/* The next packet of a connection; whether that was its last. */
static int advance(struct connection *c)
{
	unsigned step = c->step++, exchanges = c->requests * 4;
	if (step < 3) {
		if (step == 1)
			from_server(&c->pair, SYN | ACK, "", 0);
		else
			from_client(&c->pair, step ? ACK : SYN, "", 0);
		return 0;
	}
	step -= 3;
	if (step < exchanges) {
		switch (step % 4) {
		case 0:
			request(c, step / 4);
			break;
		case 1:
			from_server(&c->pair, ACK, "", 0);
			break;
		case 2:
			response(c);
			break;
		default:
			from_client(&c->pair, ACK, "", 0);
			break;
		}
		return 0;
	}
	step -= exchanges;
	if (step == 1)
		from_server(&c->pair, FIN | ACK, "", 0);
	else
		from_client(&c->pair, step ? ACK : FIN | ACK, "", 0);
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

static void redis_request(struct connection *c, unsigned n)
{
	char key[32], text[128];
	int key_len = snprintf(key, sizeof key, "key:%llu:%u", (unsigned long long)c->id, n);
	int len = snprintf(text, sizeof text, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", key_len, key);
	from_client(&c->pair, PSH | ACK, text, (size_t)len);
}

static void redis_response(struct connection *c)
{
	char text[64];
	unsigned len = 1 + (unsigned)(next_random() % 40);
	int head = snprintf(text, sizeof text, "$%u\r\n", len);
	memset(text + head, 'v', len);
	memcpy(text + head + len, "\r\n", 2);
	from_server(&c->pair, PSH | ACK, text, (size_t)head + len + 2);
}

static void write_open(const char *protocol, uint64_t count, unsigned exchanges, uint64_t waiting)
{
	int redis = !strcmp(protocol, "redis");
	struct connection *all = calloc(count, sizeof *all);
	if (!all)
		exit(3);
	for (uint64_t i = 0; i < count; i++) {
		open_connection(&all[i], i, exchanges);
		if (redis)
			all[i].pair.server.port = 6379;
		handshake(&all[i].pair);
	}
	for (unsigned n = 0; n <= exchanges; n++) {
		for (uint64_t i = 0; i < (n < exchanges ? count : waiting); i++) {
			struct connection *c = &all[i];
			(redis ? redis_request : request)(c, n);
			if (n < exchanges)
				(redis ? redis_response : response)(c);
		}
	}
	free(all);
}

static void write_flood(uint64_t packets, uint64_t flows)
{
	/* a step that shares no factor with the number of flows visits each once */
	uint64_t step = 2654435761 % flows, at = 0;
	for (uint64_t i = 0; i < packets; i++) {
		at = (at + step) % flows;
		uint64_t flow = i < flows ? at : next_random() % flows;
		struct end a = {0x0b000000 | (uint32_t)(flow / 60000), (uint16_t)(1025 + flow % 60000)};
		struct end b = {0xc6130001, flow % 2 ? 53 : 80};
		write_packet(a, b, flow % 2 ? 0 : SYN, (uint32_t)flow, 0, "0123456789", flow % 2 ? 10 : 0);
	}
}

int main(int argc, char **argv)
{
	int http = argc == 6 && !strcmp(argv[1], "http"), flood = argc == 5 && !strcmp(argv[1], "flood");
	int open = argc == 7 && !strcmp(argv[1], "open");
	if (!http && !flood && !open) {
		fprintf(stderr, "usage: synth http FLOWS REQUESTS OPEN OUT | synth flood PACKETS FLOWS OUT |\n"
				"       synth open http|redis CONNECTIONS EXCHANGES WAITING OUT\n");
		return 2;
	}
	open_capture(argv[argc - 1]);
	if (open) {
		write_open(argv[2], strtoull(argv[3], NULL, 10), (unsigned)strtoul(argv[4], NULL, 10),
			   strtoull(argv[5], NULL, 10));
		close_capture();
		return 0;
	}
	uint64_t a = strtoull(argv[2], NULL, 10), b = strtoull(argv[3], NULL, 10);
	if (http)
		write_http(a, (unsigned)b, strtoull(argv[4], NULL, 10));
	else
		write_flood(a, b);
	close_capture();
	return 0;
}
