/* loop.c - writes a capture that may be read again and again, as new traffic each time.
 *
 *   loop CONNECTIONS OUT
 *
 * TCP connections of one HTTP exchange each, 10 packets, 100 open at a time; and then the same five-tuples with other
 * sequence numbers. So a SYN never has the number of the one before it, also when the capture begins again, and each is
 * the beginning of a connection. At most 60,000 of them. */
#include "frames.h"

#define OPEN 100

struct connection {
	struct tcp_pair pair;
	unsigned step;
	uint64_t id;
};

static void begin(struct connection *c, uint64_t id, uint32_t generation)
{
	*c = (struct connection){.id = id};
	c->pair.client = (struct end){0x0a000000 | (uint32_t)(id % 200 + 1), (uint16_t)(1025 + id)};
	c->pair.server = (struct end){0xc6120000 | (uint32_t)(id % 50 + 1), 80};
	c->pair.client_seq = (uint32_t)id * 1000 + generation * 0x40000000;
	c->pair.server_seq = (uint32_t)id * 3000 + generation * 0x40000000;
}

/* One step of it; whether that was the last. */
static int advance(struct connection *c)
{
	char text[1400];
	int len;
	switch (c->step++) {
	case 0:
		handshake(&c->pair);
		return 0;
	case 1:
		len = snprintf(text, sizeof text,
			       "GET /item/%llu HTTP/1.1\r\nHost: shop%u.example.com\r\nUser-Agent: loop/1.0\r\nAccept: "
			       "*/*\r\n\r\n",
			       (unsigned long long)c->id, (unsigned)(c->id % 20));
		from_client(&c->pair, PSH | ACK, text, (size_t)len);
		from_server(&c->pair, ACK, "", 0);
		return 0;
	case 2:
		len = snprintf(
		    text, sizeof text,
		    "HTTP/1.1 200 OK\r\nServer: loop\r\nContent-Type: text/plain\r\nContent-Length: 600\r\n\r\n");
		memset(text + len, 'x', 600);
		from_server(&c->pair, PSH | ACK, text, (size_t)len + 600);
		from_client(&c->pair, ACK, "", 0);
		return 0;
	default:
		from_client(&c->pair, FIN | ACK, "", 0);
		from_server(&c->pair, FIN | ACK, "", 0);
		from_client(&c->pair, ACK, "", 0);
		return 1;
	}
}

int main(int argc, char **argv)
{
	uint64_t count = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
	if (count < 1 || count > 60000) {
		fprintf(stderr, "usage: loop CONNECTIONS OUT\n");
		return 2;
	}
	open_capture(argv[2]);
	for (uint32_t generation = 0; generation < 2; generation++) {
		static struct connection all[OPEN];
		uint64_t next = 0, live = 0;
		while (live < OPEN && next < count)
			begin(&all[live++], next++, generation);
		while (live) {
			uint64_t i = next_random() % live;
			if (!advance(&all[i]))
				continue;
			if (next < count)
				begin(&all[i], next++, generation);
			else
				all[i] = all[--live];
		}
	}
	close_capture();
	return 0;
}
