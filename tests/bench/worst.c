/* worst.c - writes captures that are made to hurt: the same bytes for the same arguments.
 *
 *   worst CASE PACKETS OUT     at least so many packets
 *   worst                      the cases, a line each
 *
 * What each case does stands beside it, and worst.py has what it may cost. */
#include "frames.h"
#include "shard_hash.h"

static uint64_t wanted;

static int more(void)
{
	return frames_written < wanted;
}

static struct tcp_pair connection(uint64_t id, uint16_t port)
{
	return (struct tcp_pair){
	    .client = {0x0a000000 | (uint32_t)(id / 60000 + 1), (uint16_t)(1025 + id % 60000)},
	    .server = {0xc6120001, port},
	    .client_seq = (uint32_t)next_random(),
	    .server_seq = (uint32_t)next_random(),
	};
}

static void close_connection(struct tcp_pair *c)
{
	from_client(c, FIN | ACK, "", 0);
	from_server(c, FIN | ACK, "", 0);
	from_client(c, ACK, "", 0);
}

#define SEGMENT 1460
static char filler[1 << 20];

static size_t http_request(char *text, uint64_t n)
{
	return (size_t)sprintf(
	    text,
	    "GET /item/%llu HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: worst/1.0\r\nAccept: */*\r\n"
	    "X-Request-ID: %016llx\r\n\r\n",
	    (unsigned long long)n, (unsigned long long)next_random());
}

static size_t http_response(char *text, size_t body)
{
	size_t n =
	    (size_t)sprintf(text, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", body);
	memset(text + n, 'x', body);
	return n + body;
}

static void exchange(struct tcp_pair *c, uint64_t n)
{
	char text[2048];
	from_client(c, PSH | ACK, text, http_request(text, n));
	from_server(c, ACK, "", 0);
	from_server(c, PSH | ACK, text, http_response(text, 500));
	from_client(c, ACK, "", 0);
}

static void one_flow(void)
{
	struct tcp_pair c = connection(1, 80);
	handshake(&c);
	for (uint64_t n = 0; more(); n++)
		exchange(&c, n);
}

/* In replay the hash that picks a shard is known, so keys of one shard can be found. */
static int in_shard_0(const struct tcp_pair *c)
{
	static struct shard_keys keys;
	if (!keys.port)
		keys = shard_keys_of(0);
	struct end ends[2] = {c->client, c->server};
	unsigned long long hash[2];
	for (unsigned i = 0; i < 2; i++) {
		unsigned char bytes[8] = {0};
		unsigned long long low;
		put32(bytes, ends[i].address);
		memcpy(&low, bytes, 8);
		hash[i] = shard_hash_end(&keys, low, 0, ends[i].port);
	}
	return shard_hash(&keys, hash[0], hash[1], 6) == 0;
}

static void same_shard(void)
{
	enum { OPEN = 10000 };
	static struct {
		struct tcp_pair pair;
		unsigned step;
	} all[OPEN];
	char text[2048];
	uint64_t id = 0;
	while (more()) {
		unsigned i = (unsigned)(next_random() % OPEN);
		struct tcp_pair *c = &all[i].pair;
		switch (all[i].step++ % 8) {
		case 0:
			do
				*c = connection(id++, 80);
			while (!in_shard_0(c));
			from_client(c, SYN, "", 0);
			break;
		case 1:
			from_server(c, SYN | ACK, "", 0);
			break;
		case 2:
			from_client(c, ACK, "", 0);
			break;
		case 3:
			from_client(c, PSH | ACK, text, http_request(text, id));
			break;
		case 4:
			from_server(c, PSH | ACK, text, http_response(text, 100));
			break;
		case 5:
			from_client(c, FIN | ACK, "", 0);
			break;
		case 6:
			from_server(c, FIN | ACK, "", 0);
			break;
		default:
			from_client(c, ACK, "", 0);
			break;
		}
	}
}

/* --- order of segments --- */

/* Sends a stretch of the server's stream as `count` segments of `size` bytes in the order that `order` gives. */
static void send_in_order(struct tcp_pair *c, const char *data, unsigned count, unsigned size, const unsigned *order)
{
	uint32_t base = c->server_seq;
	for (unsigned i = 0; i < count; i++) {
		c->server_seq = base + order[i] * size;
		from_server(c, ACK, data + order[i] * size, size);
	}
	c->server_seq = base + count * size;
}

static void shuffle(unsigned *order, unsigned count)
{
	for (unsigned i = count; i > 1; i--) {
		unsigned j = (unsigned)(next_random() % i), t = order[i - 1];
		order[i - 1] = order[j];
		order[j] = t;
	}
}

/* Responses whose whole segments of `size` bytes come reversed or at random; the last bytes come last. */
static void out_of_order(unsigned count, unsigned size, int random)
{
	static char text[1 << 17];
	unsigned order[4096];
	for (uint64_t id = 0; more(); id++) {
		struct tcp_pair c = connection(id, 80);
		handshake(&c);
		for (unsigned k = 0; k < 8; k++) {
			from_client(&c, PSH | ACK, text, http_request(text, k));
			size_t len = http_response(text, (size_t)count * size);
			for (unsigned i = 0; i < count; i++)
				order[i] = count - 1 - i;
			if (random)
				shuffle(order, count);
			send_in_order(&c, text, count, size, order);
			from_server(&c, PSH | ACK, text + count * size, len - (size_t)count * size);
		}
		close_connection(&c);
	}
}

static void ooo_reversed(void)
{
	out_of_order(64, SEGMENT, 0);
}

static void ooo_random(void)
{
	out_of_order(64, SEGMENT, 1);
}

/* As many segments as a direction may hold, each as small as can be. */
static void ooo_small(void)
{
	out_of_order(1000, 8, 1);
}

/* Every second segment never comes. */
static void ooo_holes(void)
{
	for (uint64_t id = 0; more(); id++) {
		struct tcp_pair c = connection(id, 80);
		char text[2048];
		handshake(&c);
		from_client(&c, PSH | ACK, text, http_request(text, id));
		from_server(&c, PSH | ACK, text, http_response(text, 0));
		for (unsigned i = 0; i < 3000; i++) {
			c.server_seq += 1;
			from_server(&c, ACK, "x", 1);
		}
	}
}

static void retransmissions(void)
{
	char text[2048];
	for (uint64_t id = 0; more(); id++) {
		struct tcp_pair c = connection(id, 80);
		handshake(&c);
		for (unsigned k = 0; k < 10; k++) {
			struct tcp_pair before = c;
			size_t len = http_request(text, k);
			for (unsigned i = 0; i < 10; i++) {
				c = before;
				from_client(&c, PSH | ACK, text, len);
			}
			len = http_response(text, 1000);
			before = c;
			for (unsigned i = 0; i < 10; i++) {
				c = before;
				from_server(&c, PSH | ACK, text, len);
			}
		}
		close_connection(&c);
	}
}

/* Of two segments of each response, and of every third request, one is lost. */
static void losses(void)
{
	char text[4096];
	for (uint64_t id = 0; more(); id++) {
		struct tcp_pair c = connection(id, 80);
		handshake(&c);
		for (unsigned k = 0; k < 30; k++) {
			size_t len = http_request(text, k);
			if (k % 3 == 2)
				c.client_seq += (uint32_t)len;
			else
				from_client(&c, PSH | ACK, text, len);
			len = http_response(text, 2000);
			if (k % 2)
				c.server_seq += SEGMENT;
			else
				from_server(&c, ACK, text, SEGMENT);
			from_server(&c, PSH | ACK, text + SEGMENT, len - SEGMENT);
		}
		close_connection(&c);
	}
}

/* --- what dissectors have to look at --- */

static void send_in_pieces(struct tcp_pair *c, int client, const char *data, size_t len, size_t piece)
{
	for (size_t at = 0; at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		if (client)
			from_client(c, ACK, data + at, n);
		else
			from_server(c, ACK, data + at, n);
	}
}

static void one_byte(void)
{
	char text[2048];
	for (uint64_t id = 0; more(); id++) {
		struct tcp_pair c = connection(id, 80);
		handshake(&c);
		send_in_pieces(&c, 1, text, http_request(text, id), 1);
		send_in_pieces(&c, 0, text, http_response(text, 10), 1);
		close_connection(&c);
	}
}

static void endless(const char *line, size_t piece)
{
	size_t at = (size_t)sprintf(filler, "GET / HTTP/1.1\r\nHost: a\r\n"), len = strlen(line);
	for (; at + len <= 65536; at += len)
		memcpy(filler + at, line, len);
	for (uint64_t id = 0; more(); id++) {
		struct tcp_pair c = connection(id, 80);
		handshake(&c);
		send_in_pieces(&c, 1, filler, at, piece);
	}
}

static void endless_header(void)
{
	endless("A: b\r\n", SEGMENT);
}

static void endless_header_small(void)
{
	endless("Cookie: abcdefghijklmnopqrstuvwxyz=0123456789\r\n", 16);
}

static void endless_line(void)
{
	endless("xxxxxxxxxxxxxxxx", 16);
}

/* One text over and over, as many as fit into a segment. */
static void pack(const char *unit, size_t len, uint16_t port, int client, const char *first, size_t first_len)
{
	for (uint64_t id = 0; more(); id++) {
		struct tcp_pair c = connection(id, port);
		char segment[SEGMENT];
		handshake(&c);
		if (first_len)
			from_client(&c, PSH | ACK, first, first_len);
		size_t n = SEGMENT / len * len;
		for (size_t at = 0; at < n; at += len)
			memcpy(segment + at, unit, len);
		for (unsigned i = 0; i < 50; i++) {
			if (client)
				from_client(&c, ACK, segment, n);
			else
				from_server(&c, ACK, segment, n);
		}
	}
}

static void unanswered_http(void)
{
	static const char unit[] = "GET / HTTP/1.1\r\n\r\n";
	pack(unit, sizeof unit - 1, 80, 1, "", 0);
}

static void unanswered_redis(void)
{
	static const char unit[] = "*1\r\n$4\r\nPING\r\n";
	pack(unit, sizeof unit - 1, 6379, 1, "", 0);
}

static void unanswered_kafka(void)
{
	/* ApiVersions version 0 without a client id */
	static const char unit[] = "\0\0\0\12\0\22\0\0\0\0\0\1\377\377";
	pack(unit, sizeof unit - 1, 9092, 1, "", 0);
}

/* Each request has its response, both as small as can be. */
static void dense_redis(void)
{
	static const char ask[] = "*1\r\n$4\r\nPING\r\n", answer[] = "+PONG\r\n";
	char asks[SEGMENT], answers[SEGMENT];
	unsigned n = SEGMENT / (sizeof ask - 1);
	for (unsigned i = 0; i < n; i++) {
		memcpy(asks + i * (sizeof ask - 1), ask, sizeof ask - 1);
		memcpy(answers + i * (sizeof answer - 1), answer, sizeof answer - 1);
	}
	struct tcp_pair c = connection(1, 6379);
	handshake(&c);
	while (more()) {
		from_client(&c, PSH | ACK, asks, n * (sizeof ask - 1));
		from_server(&c, PSH | ACK, answers, n * (sizeof answer - 1));
	}
}

static void http_chunks(void)
{
	static const char unit[] = "1\r\nx\r\n", ask[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
	char segment[SEGMENT];
	size_t n = SEGMENT / (sizeof unit - 1) * (sizeof unit - 1);
	for (size_t at = 0; at < n; at += sizeof unit - 1)
		memcpy(segment + at, unit, sizeof unit - 1);
	struct tcp_pair c = connection(1, 80);
	handshake(&c);
	from_client(&c, PSH | ACK, ask, sizeof ask - 1);
	from_server(&c, ACK, head, sizeof head - 1);
	while (more())
		from_server(&c, ACK, segment, n);
}

static void redis_elements(void)
{
	static const char unit[] = ":1\r\n", ask[] = "*2\r\n$4\r\nKEYS\r\n$1\r\n*\r\n", head[] = "*1000000\r\n";
	char segment[SEGMENT];
	for (size_t at = 0; at < SEGMENT; at += sizeof unit - 1)
		memcpy(segment + at, unit, sizeof unit - 1);
	for (uint64_t id = 0; more(); id++) {
		struct tcp_pair c = connection(id, 6379);
		handshake(&c);
		from_client(&c, PSH | ACK, ask, sizeof ask - 1);
		from_server(&c, ACK, head, sizeof head - 1);
		for (unsigned i = 0; i < 2000 && more(); i++)
			from_server(&c, ACK, segment, SEGMENT);
	}
}

static void redis_nested(void)
{
	static const char unit[] = "*1\r\n";
	static const char ask[] = "*2\r\n$4\r\nKEYS\r\n$1\r\n*\r\n";
	pack(unit, sizeof unit - 1, 6379, 0, ask, sizeof ask - 1);
}

static void mysql_rows(void)
{
	static const char greeting[] = "\0\0\0\0\x0a"
				       "5.7.30\0"
				       "\1\0\0\0"
				       "12345678\0"
				       "\0\xf2\x21\2\0\0\0\0"
				       "\0\0\0\0\0\0\0\0\0\0"
				       "123456789012";
	static const char login[] =
	    "\x23\0\0\1\5\x82\0\0\0\0\0\1\x21\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0u\0\0";
	static const char ok[] = "\7\0\0\2\0\0\0\2\0\0\0", query[] = "\x10\0\0\0\3SELECT a FROM t";
	static const char head[] = "\1\0\0\1\1"
				   "\x17\0\0\2\3def\0\0\0\1a\0\x0c\x21\0\0\0\0\0\xfd\0\0\0\0\0"
				   "\5\0\0\3\xfe\0\0\2\0";
	char segment[SEGMENT];
	unsigned char sequence = 4;
	uint8_t first[sizeof greeting];
	memcpy(first, greeting, sizeof greeting);
	first[0] = sizeof greeting - 4;
	struct tcp_pair c = connection(1, 3306);
	handshake(&c);
	from_server(&c, PSH | ACK, first, sizeof greeting);
	from_client(&c, PSH | ACK, login, sizeof login - 1);
	from_server(&c, PSH | ACK, ok, sizeof ok - 1);
	from_client(&c, PSH | ACK, query, sizeof query - 1);
	from_server(&c, PSH | ACK, head, sizeof head - 1);
	while (more()) {
		for (size_t at = 0; at < SEGMENT; at += 5) {
			memcpy(segment + at, "\1\0\0\0\0", 5); /* a row of one empty text */
			segment[at + 3] = (char)sequence++;
		}
		from_server(&c, ACK, segment, SEGMENT);
	}
}

/* Bytes that no protocol begins with, both ways, in ever new connections. */
static void unknown_protocol(void)
{
	char data[SEGMENT];
	for (uint64_t id = 0; more(); id++) {
		struct tcp_pair c = connection(id, 7777);
		for (unsigned i = 0; i < SEGMENT; i++)
			data[i] = (char)(next_random() | 128);
		handshake(&c);
		for (unsigned i = 0; i < 4; i++) {
			from_client(&c, PSH | ACK, data, SEGMENT);
			from_server(&c, PSH | ACK, data, SEGMENT);
		}
		close_connection(&c);
	}
}

/* Texts of bytes that JSON writes as six. */
static void escapes(void)
{
	char text[2048];
	struct tcp_pair c = connection(1, 80);
	handshake(&c);
	while (more()) {
		size_t len = (size_t)sprintf(text, "GET /");
		memset(text + len, '\1', 1300);
		len += 1300;
		len += (size_t)sprintf(text + len, " HTTP/1.1\r\nHost: a\r\n\r\n");
		from_client(&c, PSH | ACK, text, len);
		from_server(&c, PSH | ACK, text, http_response(text, 0));
	}
}

/* --- below TCP --- */

/* An ordinary exchange inside `depth` VXLANs and four VLAN tags. */
static void tunnelled(unsigned depth)
{
	static uint8_t f[FRAME_MAX];
	char text[2048];
	struct end outer = {0xac100001, 40000}, far = {0xac100002, 4789};
	struct tcp_pair c = connection(1, 80);
	for (uint64_t n = 0; more(); n++) {
		int request = n % 2 == 0;
		size_t len = request ? http_request(text, n) : http_response(text, 100), at = 12;
		memcpy(f, ethernet_head, 12);
		for (unsigned i = 0; i < 4; i++, at += 4) {
			put16(f + at, i ? 0x8100 : 0x88a8);
			put16(f + at + 2, 100 + i);
		}
		put16(f + at, 0x0800);
		at += 2;
		size_t inside = len + 40;
		for (unsigned i = 0; i < depth; i++) {
			size_t payload = 8 + 14 + (depth - 1 - i) * 50 + inside;
			build_ip(f + at, outer, far, 0, 0, 0, filler, payload);
			seal_ip(f + at);
			at += 28;
			memcpy(f + at, "\x08\0\0\0\0\0\1\0", 8);
			memcpy(f + at + 8, ethernet_head, 14);
			at += 22;
		}
		if (request) {
			at += build_ip(f + at, c.client, c.server, PSH | ACK, c.client_seq, c.server_seq, text, len);
			c.client_seq += (uint32_t)len;
		} else {
			at += build_ip(f + at, c.server, c.client, PSH | ACK, c.server_seq, c.client_seq, text, len);
			c.server_seq += (uint32_t)len;
		}
		seal_ip(f + at - len - 40);
		write_frame(f, at);
	}
}

static void tunnels(void)
{
	tunnelled(4);
}

static void tunnels_too_deep(void)
{
	tunnelled(20);
}

static void write_fragment(uint32_t source, unsigned id, unsigned offset, int last, const void *data, size_t len)
{
	uint8_t f[14 + 20 + SEGMENT + 60];
	struct end from = {source, 0}, to = {0xc6120001, 0};
	memcpy(f, ethernet_head, 14);
	build_ip(f + 14, from, to, 0, 0, 0, "", 0);
	put16(f + 16, (unsigned)(20 + len));
	put16(f + 18, id);
	put16(f + 20, (last ? 0 : 0x2000) | offset / 8);
	seal_ip(f + 14);
	memcpy(f + 34, data, len);
	write_frame(f, 34 + len < 60 ? 60 : 34 + len);
}

/* A datagram's bytes: UDP header, then the filler. */
static const char *datagram(size_t len)
{
	put16((uint8_t *)filler, 5000);
	put16((uint8_t *)filler + 2, 6000);
	put16((uint8_t *)filler + 4, (unsigned)len);
	put16((uint8_t *)filler + 6, 0);
	return filler;
}

static void fragments_whole(void)
{
	const char *data = datagram(1480 * 4);
	for (unsigned id = 0; more(); id++)
		for (unsigned i = 0; i < 4; i++)
			write_fragment(0x0a000001, id & 0xffff, i * 1480, i == 3, data + i * 1480, 1480);
}

/* As large a datagram as there can be in the smallest pieces, from its end to its beginning. */
static void fragments_tiny(void)
{
	const size_t len = 65512;
	const char *data = datagram(len);
	for (unsigned id = 0; more(); id++)
		for (unsigned i = (unsigned)(len / 8); i--;)
			write_fragment(0x0a000001, id & 0xffff, i * 8, (i + 1) * 8 == len, data + i * 8, 8);
}

static void fragments_alone(void)
{
	const char *data = datagram(1480);
	for (uint32_t id = 0; more(); id++)
		write_fragment(0x0a000000 + id / 65536, id & 0xffff, 0, 0, data, 1480);
}

/* Each overlaps the one before, so that datagrams are given up. */
static void fragments_overlapping(void)
{
	const char *data = datagram(8000);
	for (unsigned id = 0; more(); id++)
		for (unsigned i = 0; i < 20; i++)
			write_fragment(0x0a000001, id & 0xffff, (19 - i) * 200, i == 0, data + (19 - i) * 200, 400);
}

static void random_ends(uint8_t flags)
{
	while (more()) {
		struct end from = {(uint32_t)next_random(), (uint16_t)next_random()};
		write_packet(from, (struct end){0xc6120001, 80}, flags, (uint32_t)next_random(), 0, "", 0);
	}
}

static void syn_flood(void)
{
	random_ends(SYN);
}

static void rst_storm(void)
{
	random_ends(RST | ACK);
}

/* Open connections that get resets of any number. */
static void rst_open(void)
{
	for (uint64_t id = 0; more(); id++) {
		struct tcp_pair c = connection(id % 1000, 80);
		handshake(&c);
		exchange(&c, id);
		for (unsigned i = 0; i < 20; i++)
			write_packet(c.client, c.server, RST | ACK, (uint32_t)next_random(), (uint32_t)next_random(),
				     "", 0);
	}
}

/* --- the clock --- */

#define FLOWS 10000
static struct tcp_pair live[FLOWS];

static void open_all(void)
{
	for (unsigned i = 0; i < FLOWS; i++) {
		live[i] = connection(i, 80);
		handshake(&live[i]);
	}
}

static void touch(uint64_t n)
{
	from_client(&live[n % FLOWS], ACK, "", 0);
}

/* 70 packets, a step, 70 packets, the step back, and so on. */
static void jumps(uint64_t step_ns)
{
	open_all();
	wanted += frames_written;
	for (uint64_t n = 0; more(); n++) {
		touch(n);
		if (n % 70 == 69)
			now_ns = n / 70 % 2 ? now_ns - step_ns : now_ns + step_ns;
	}
}

static void clock_minutes(void)
{
	jumps(UINT64_C(70) * 1000000000);
}

static void clock_days(void)
{
	jumps(UINT64_C(86400) * 3 * 1000000000);
}

static void clock_every_packet(void)
{
	open_all();
	wanted += frames_written;
	for (uint64_t n = 0; more(); n++) {
		touch(n);
		now_ns = n % 2 ? now_ns - UINT64_C(86400000000000) : now_ns + UINT64_C(86400000000000);
	}
}

/* Each packet is in a tick of its own. */
static void slow_packets(void)
{
	open_all();
	wanted += frames_written;
	for (uint64_t n = 0; more(); n++) {
		touch(n);
		now_ns += 100000000;
	}
}

static const struct {
	const char *name;
	void (*write)(void);
} cases[] = {
    {"one-flow", one_flow},
    {"same-shard", same_shard},
    {"ooo-reversed", ooo_reversed},
    {"ooo-random", ooo_random},
    {"ooo-small", ooo_small},
    {"ooo-holes", ooo_holes},
    {"retransmissions", retransmissions},
    {"losses", losses},
    {"one-byte", one_byte},
    {"endless-header", endless_header},
    {"endless-header-small", endless_header_small},
    {"endless-line", endless_line},
    {"unanswered-http", unanswered_http},
    {"unanswered-redis", unanswered_redis},
    {"unanswered-kafka", unanswered_kafka},
    {"dense-redis", dense_redis},
    {"http-chunks", http_chunks},
    {"redis-elements", redis_elements},
    {"redis-nested", redis_nested},
    {"mysql-rows", mysql_rows},
    {"unknown-protocol", unknown_protocol},
    {"escapes", escapes},
    {"tunnels", tunnels},
    {"tunnels-too-deep", tunnels_too_deep},
    {"fragments-whole", fragments_whole},
    {"fragments-tiny", fragments_tiny},
    {"fragments-alone", fragments_alone},
    {"fragments-overlapping", fragments_overlapping},
    {"syn-flood", syn_flood},
    {"rst-storm", rst_storm},
    {"rst-open", rst_open},
    {"clock-minutes", clock_minutes},
    {"clock-days", clock_days},
    {"clock-every-packet", clock_every_packet},
    {"slow-packets", slow_packets},
};

int main(int argc, char **argv)
{
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (argc != 4) {
			puts(cases[i].name);
		} else if (!strcmp(argv[1], cases[i].name)) {
			wanted = strtoull(argv[2], NULL, 10);
			open_capture(argv[3]);
			cases[i].write();
			close_capture();
			return 0;
		}
	}
	return argc == 1 ? 0 : 2;
}
