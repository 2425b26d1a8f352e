/* wire_count.c - what is in a capture, counted by other means than tapscope's.
 *
 *   wire_count [--idle MS] CAPTURE
 *
 * One line of JSON: frames, five-tuples, connections (a SYN with a number that its five-tuple had not just before), and
 * by the server's port (80 HTTP, 6379 Redis, 3306 MySQL) the requests and how many of them were answered. flows: a
 * five-tuple with packets one way only counts again after MS of silence.
 *
 * It reads classic pcap of little-endian machines, Ethernet, IPv4 without options of note, whole frames; segments in
 * order or again. A hole in a stream makes `holes` not zero: then requests are not to be believed. Nothing is shared
 * with the program that is measured. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum protocol { OTHER, HTTP, REDIS, MYSQL, PROTOCOLS };
static const char *const names[PROTOCOLS] = {"other", "http", "redis", "mysql"};

static uint64_t requests[PROTOCOLS], answered[PROTOCOLS], holes;

/* One direction of a stream. */
struct side {
	uint32_t next;
	uint64_t skip;    /* bytes of a body, value or packet that are still to come */
	uint32_t pending; /* RESP: elements of the message at hand that are still to come */
	uint32_t body;    /* HTTP: Content-Length of the head at hand */
	uint8_t started, inside, line_len;
	char line[64]; /* the beginning of the line (HTTP, RESP) or packet header (MySQL) at hand */
};

struct entry {
	uint32_t address[2];
	uint16_t port[2];
	uint8_t protocol, used, fins;
	uint8_t numbered;   /* `number` is that of a SYN */
	uint8_t directions; /* bit 0, 1: packets were seen in it */
	uint32_t number;
	int64_t last_ns;
	struct side *side; /* two, while it is a connection to a known port */
};

static struct entry *table;
static uint64_t table_mask, table_used;

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 31) * 0x7fb5d329728ea185u;
	x = (x ^ x >> 27) * 0x81dadef4bc2dd44du;
	return x ^ x >> 33;
}

static struct entry *look_up(const uint32_t address[2], const uint16_t port[2], uint8_t protocol);

static void grow(void)
{
	struct entry *old = table;
	uint64_t slots = old ? table_mask + 1 : 0;
	table_mask = old ? slots * 2 - 1 : (1 << 16) - 1;
	table = calloc(table_mask + 1, sizeof *table);
	if (!table)
		exit(3);
	table_used = 0;
	for (uint64_t i = 0; i < slots; i++) {
		if (!old[i].used)
			continue;
		struct entry *e = look_up(old[i].address, old[i].port, old[i].protocol);
		*e = old[i];
		table_used++;
	}
	free(old);
}

/* The five-tuple's entry, or the free one where it belongs. */
static struct entry *look_up(const uint32_t address[2], const uint16_t port[2], uint8_t protocol)
{
	uint64_t at = mix(((uint64_t)address[0] << 32 | address[1]) ^
			  mix((uint64_t)port[0] << 32 | (uint64_t)port[1] << 8 | protocol));
	for (;; at++) {
		struct entry *e = &table[at & table_mask];
		if (!e->used || (e->address[0] == address[0] && e->address[1] == address[1] && e->port[0] == port[0] &&
				 e->port[1] == port[1] && e->protocol == protocol))
			return e;
	}
}

static void message(enum protocol p, int from_server)
{
	(from_server ? answered : requests)[p]++;
}

static void http_line(struct side *s, int from_server)
{
	static const char key[] = "content-length:";
	if (s->line_len == 0 && s->inside) { /* the head's end */
		message(HTTP, from_server);
		s->skip = s->body;
		s->inside = 0;
		s->body = 0;
		return;
	}
	s->inside = 1;
	if (s->line_len >= sizeof key - 1 && !strncasecmp(s->line, key, sizeof key - 1))
		s->body = (uint32_t)strtoul(s->line + sizeof key - 1, NULL, 10);
}

static void resp_line(struct side *s, int from_server)
{
	long n = s->line_len > 1 ? strtol(s->line + 1, NULL, 10) : 0;
	if (!s->pending)
		s->pending = 1;
	if (s->line[0] == '*' && n > 0)
		s->pending += (uint32_t)n;
	else if (s->line[0] == '$' && n >= 0)
		s->skip = (uint64_t)n + 2;
	if (--s->pending == 0)
		message(REDIS, from_server);
}

static void mysql_bytes(struct side *s, const uint8_t *data, size_t len, int from_server)
{
	while (len) {
		if (s->skip && s->inside) {
			uint64_t n = s->skip < len ? s->skip : len;
			s->skip -= n;
			data += n;
			len -= n;
			continue;
		}
		s->line[s->line_len++] = (char)*data++; /* length, sequence number, first byte */
		len--;
		const uint8_t *h = (const uint8_t *)s->line;
		if (s->line_len == 5) {
			unsigned size = h[0] | (unsigned)h[1] << 8 | (unsigned)h[2] << 16;
			int login = h[3] == 1 && !s->started, command = h[3] == 0;
			s->started = 1;
			if (!from_server && (login || command)) {
				requests[MYSQL]++;
				/* COM_QUIT and COM_STMT_CLOSE have no answer */
				answered[MYSQL] += login || (h[4] != 1 && h[4] != 25);
			}
			s->skip = size - 1;
			s->inside = s->skip > 0;
			s->line_len = 0;
		}
	}
}

static void stream(struct side *s, enum protocol p, const uint8_t *data, size_t len, int from_server)
{
	if (p == MYSQL) {
		mysql_bytes(s, data, len, from_server);
		return;
	}
	while (len) {
		if (s->skip) {
			uint64_t n = s->skip < len ? s->skip : len;
			s->skip -= n;
			data += n;
			len -= n;
			continue;
		}
		const uint8_t *lf = memchr(data, '\n', len);
		size_t n = lf ? (size_t)(lf - data) : len, keep = sizeof s->line - 1 - s->line_len;
		memcpy(s->line + s->line_len, data, n < keep ? n : keep);
		s->line_len += (uint8_t)(n < keep ? n : keep);
		data += n + !!lf;
		len -= n + !!lf;
		if (!lf)
			break;
		if (s->line_len && s->line[s->line_len - 1] == '\r')
			s->line_len--;
		s->line[s->line_len] = 0;
		if (p == HTTP)
			http_line(s, from_server);
		else
			resp_line(s, from_server);
		s->line_len = 0;
	}
}

static void segment(struct side *s, enum protocol p, uint32_t seq, int syn, const uint8_t *data, size_t len,
		    int from_server)
{
	if (syn) {
		*s = (struct side){.next = seq + 1};
		return;
	}
	int32_t ahead = (int32_t)(seq - s->next);
	if (ahead > 0) {
		holes++;
		s->next = seq;
	} else if ((size_t)-ahead >= len) {
		return; /* all seen */
	} else {
		data += -ahead;
		len -= (size_t)-ahead;
	}
	s->next += (uint32_t)len;
	stream(s, p, data, len, from_server);
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static enum protocol protocol_of(uint16_t port)
{
	return port == 80 ? HTTP : port == 6379 ? REDIS : port == 3306 ? MYSQL : OTHER;
}

static uint64_t frames, tuples, connections, flows;
static int64_t idle_ns = INT64_MAX;

static void tcp(struct entry *e, unsigned direction, const uint8_t *t, const uint8_t *end)
{
	unsigned flags = t[13], server = e->port[0] < e->port[1] ? 0 : 1;
	const uint8_t *data = t + (t[12] >> 4) * 4;
	enum protocol p = protocol_of(e->port[server]);
	if (p == OTHER || data > end)
		return;
	if (flags & 2 && !e->side && (e->side = calloc(2, sizeof *e->side)) == NULL)
		exit(3);
	if (!e->side)
		return;
	segment(&e->side[direction], p, get32(t + 4), flags & 2, data, (size_t)(end - data), direction == server);
	e->fins |= (uint8_t)((flags & 1) << direction);
	if (e->fins == 3 || flags & 4) {
		free(e->side);
		e->side = NULL;
		e->fins = 0;
	}
}

static void frame(const uint8_t *f, size_t len, int64_t ns)
{
	frames++;
	if (len < 34 || get16(f + 12) != 0x0800)
		return;
	const uint8_t *ip = f + 14, *l4 = ip + (ip[0] & 15) * 4, *end = ip + get16(ip + 2);
	if ((ip[9] != 6 && ip[9] != 17) || end > f + len || l4 + (ip[9] == 6 ? 20 : 8) > end)
		return;
	uint32_t address[2] = {get32(ip + 12), get32(ip + 16)};
	uint16_t port[2] = {get16(l4), get16(l4 + 2)};
	unsigned direction = address[0] > address[1] || (address[0] == address[1] && port[0] > port[1]);
	if (direction) {
		uint32_t a = address[0];
		uint16_t b = port[0];
		address[0] = address[1];
		address[1] = a;
		port[0] = port[1];
		port[1] = b;
	}
	struct entry *e = look_up(address, port, ip[9]);
	int syn = ip[9] == 6 && (l4[13] & 0x12) == 2, fresh = !e->used;
	if (fresh) {
		if (++table_used * 2 > table_mask) {
			grow();
			e = look_up(address, port, ip[9]);
		}
		*e = (struct entry){
		    .address = {address[0], address[1]}, .port = {port[0], port[1]}, .protocol = ip[9], .used = 1};
		tuples++;
	}
	e->directions |= (uint8_t)(1 << direction);
	int silent = fresh || (e->directions != 3 && ns - e->last_ns >= idle_ns),
	    other = syn && (!e->numbered || e->number != get32(l4 + 4));
	flows += (uint64_t)silent;
	connections += (uint64_t)other;
	if (syn) {
		e->numbered = 1;
		e->number = get32(l4 + 4);
	}
	e->last_ns = ns;
	if (ip[9] == 6)
		tcp(e, direction, l4, end);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "--idle"))
		idle_ns = strtoll(argv[2], NULL, 10) * 1000000;
	else if (argc != 2)
		return 2;
	int fd = open(argv[argc - 1], O_RDONLY);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < 24) {
		perror(argv[argc - 1]);
		return 3;
	}
	const uint8_t *all = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0), *end = all + st.st_size;
	if (all == MAP_FAILED) {
		perror(argv[argc - 1]);
		return 3;
	}
	uint32_t magic;
	memcpy(&magic, all, 4);
	if (magic != 0xa1b23c4d && magic != 0xa1b2c3d4) {
		fprintf(stderr, "%s: not a pcap file of this machine's byte order\n", argv[argc - 1]);
		return 3;
	}
	grow();
	for (const uint8_t *p = all + 24; p + 16 <= end;) {
		uint32_t head[4];
		memcpy(head, p, sizeof head);
		p += 16;
		if (head[2] > (size_t)(end - p))
			break;
		frame(p, head[2], (int64_t)head[0] * 1000000000 + (int64_t)head[1] * (magic == 0xa1b23c4d ? 1 : 1000));
		p += head[2];
	}
	printf("{\"frames\":%llu,\"five_tuples\":%llu,\"connections\":%llu,\"flows\":%llu,"
	       "\"holes\":%llu",
	       (unsigned long long)frames, (unsigned long long)tuples, (unsigned long long)connections,
	       (unsigned long long)flows, (unsigned long long)holes);
	for (unsigned i = HTTP; i < PROTOCOLS; i++)
		printf(",\"%s\":[%llu,%llu]", names[i], (unsigned long long)requests[i],
		       (unsigned long long)answered[i]);
	puts("}");
	return 0;
}
