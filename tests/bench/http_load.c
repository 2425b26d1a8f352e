/* http_load.c - a client that keeps connections busy and counts.
 *
 *   http_load ADDRESS PORT CONNECTIONS EXCHANGES
 *
 * Each connection makes so many HTTP/1.1 exchanges, one at a time, and closes. The mix: bodies of 100 bytes to 64,000
 * (the server has them as /fSIZE), of ten requests one a POST, of 37 one for what is not there. One line of JSON: how
 * many responses came, and of which status. Ends with 3 when a connection breaks, or nothing comes for 10 s. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
	int fd;
	unsigned left, used;
	size_t skip; /* bytes of the body that are still to come */
	char head[4096];
};

static const unsigned sizes[] = {100,  100,  200,  200,  500,  500,  500,   1000, 1000,
				 1000, 2000, 2000, 4000, 4000, 8000, 16000, 64000};
static const char *const agents[] = {"Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Firefox/115.0",
				     "curl/7.88.1", "okhttp/4.9.3"};
static unsigned long sent, by_class[6];
static unsigned random_state = 1;

static unsigned next_random(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return random_state >> 8;
}

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(3);
}

static void ask(struct connection *c)
{
	char text[1024];
	unsigned long n = ++sent;
	unsigned size = sizes[next_random() % (sizeof sizes / sizeof *sizes)];
	int post = n % 10 == 0, missing = !post && n % 37 == 0, len;
	len = snprintf(text, sizeof text,
		       "%s /%s%u?id=%lu&u=%u HTTP/1.1\r\nHost: service%lu.example.com\r\nUser-Agent: %s\r\n"
		       "Accept: */*\r\nCookie: sid=%08x; theme=dark\r\nX-Request-Id: %08x-%04lx\r\n",
		       post ? "POST" : "GET", missing ? "missing/" : "f", size, n, next_random() % 1000000, n % 20,
		       agents[n % 3], next_random(), next_random(), n & 0xffff);
	if (post)
		len += snprintf(text + len, sizeof text - (size_t)len, "Content-Length: 200\r\n\r\n%0200lu", n);
	else
		len += snprintf(text + len, sizeof text - (size_t)len, "\r\n");
	if (write(c->fd, text, (size_t)len) != len)
		fail("sending a request");
}

/* Takes what came; whether the response is complete. */
static int take(struct connection *c)
{
	static char swallow[1 << 16];
	if (c->skip) {
		ssize_t n = read(c->fd, swallow, c->skip < sizeof swallow ? c->skip : sizeof swallow);
		if (n <= 0)
			fail("reading a body");
		c->skip -= (size_t)n;
		return c->skip == 0;
	}
	ssize_t n = read(c->fd, c->head + c->used, sizeof c->head - 1 - c->used);
	if (n <= 0)
		fail("reading a response");
	c->used += (unsigned)n;
	c->head[c->used] = 0;
	char *end = strstr(c->head, "\r\n\r\n"), *length = strcasestr(c->head, "content-length:");
	if (!end)
		return 0;
	if (strncmp(c->head, "HTTP/1.1 ", 9) || !length || length > end) {
		fprintf(stderr, "not a response that was expected: %.200s\n", c->head);
		exit(3);
	}
	by_class[(c->head[9] - '0') % 6]++;
	size_t body = strtoul(length + 15, NULL, 10), have = c->used - (size_t)(end + 4 - c->head);
	c->used = 0;
	c->skip = body - have;
	return c->skip == 0;
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
	inet_pton(AF_INET, argv[1], &to.sin_addr);
	unsigned count = (unsigned)atoi(argv[3]), live = count;
	struct connection *all = calloc(count, sizeof *all);
	int poll = epoll_create1(0), one = 1;
	if (!all || poll < 0)
		fail("starting");
	for (unsigned i = 0; i < count; i++) {
		struct connection *c = &all[i];
		c->fd = socket(AF_INET, SOCK_STREAM, 0);
		c->left = (unsigned)atoi(argv[4]);
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
			fail("connecting");
		epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = c});
		ask(c);
	}
	while (live) {
		struct epoll_event events[64];
		int n = epoll_wait(poll, events, 64, 10000);
		if (n == 0)
			fail("waiting for a response");
		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;
			if (!take(c))
				continue;
			if (--c->left) {
				ask(c);
			} else {
				close(c->fd);
				live--;
			}
		}
	}
	printf("{\"responses\":%lu,\"2xx\":%lu,\"4xx\":%lu}\n", by_class[2] + by_class[4], by_class[2], by_class[4]);
	return 0;
}
