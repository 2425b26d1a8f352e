/* test_http_connection.c - HTTP/1: what becomes of a connection: upgrades, tunnels, losses, other protocols.
 *
 * The expectations come from RFC 9110 and RFC 9112; the offsets are lengths of the strings. */
#include "dissect_harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

extern const struct dissector dissector_http;

static const struct script scripts[] = {
    {
	.name = "Upgrade to WebSocket",
	.steps =
	    {
		CLIENT("GET /chat HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "Connection: Upgrade\r\n"
		       "Upgrade: websocket\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 101 Switching Protocols\r\n"
		       "Connection: Upgrade\r\n"
		       "Upgrade: WebSocket\r\n"
		       "\r\n"
		       "\201\005hello"),
		CLIENT("\201\205\001\002\003\004abcde"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "becomes websocket\n"
		    "session c0-72 s0-77 version=1.1 request_type=GET request_domain=a request_resource=/chat "
		    "endpoint=/chat http.upgrade=WebSocket code=101 status=ok\n",
    },
    {
	.name = "Upgrade to h2c; the answer names nothing",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "Connection: Upgrade, HTTP2-Settings\r\n"
		       "Upgrade: h2c\r\n"
		       "HTTP2-Settings: \r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 101 Switching Protocols\r\n"
		       "\r\n"
		       "\000\000\000\004\000\000\000\000\000"),
		CLIENT("PRI * HTTP/2.0\r\n"
		       "\r\n"
		       "SM\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "becomes http2\n"
		    "session c0-96 s0-36 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "code=101 status=ok\n",
    },
    {
	.name = "an upgrade that the server declines",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "Upgrade: h2c\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Upgrade: h2c\r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"),
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "session c0-41 s0-52 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "code=200 status=ok\n"
		    "session c41-68 s52-90 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "code=200 status=ok\n",
    },
    /* no_gaps: without the 101, what follows is read as HTTP */
    {
	.name = "Upgrade to something unknown: not looked at any more",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "Upgrade: foo/2\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 101 Switching Protocols\r\n"
		       "Upgrade: foo/2\r\n"
		       "\r\n"
		       "\001\002\003\004HTTP/1.1 200 OK\r\n"
		       "\r\n"),
		CLIENT("\005\006GET / HTTP/1.1\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.no_gaps = true,
	.expected = "is http\n"
		    "session c0-43 s0-52 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "http.upgrade=foo/2 code=101 status=ok\n",
    },
    /* no_gaps: without the request, what follows is read as HTTP */
    {
	.name = "CONNECT, then TLS",
	.steps =
	    {
		CLIENT("CONNECT db.example:443 HTTP/1.1\r\n"
		       "Host: db.example:443\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 Connection established\r\n"
		       "Content-Length: 5\r\n"
		       "\r\n"),
		CLIENT("\026\003\001\000.\001\000\000*\003\003r\n"
		       "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\000\000\002\023\001\001\000"),
		SERVER("\026\003\003\000@\002\000\000<\003\003ssssssssssssssssssssssssssssssss"),
		CLOSE,
	    },
	.no_gaps = true,
	.expected = "is http\n"
		    "becomes tls\n"
		    "session c0-57 s0-58 version=1.1 request_type=CONNECT request_domain=db.example:443 "
		    "request_resource=db.example:443 code=200 status=ok\n",
    },
    /* no_gaps: without the request, what follows is read as HTTP */
    {
	.name = "CONNECT, and the client does not wait",
	.steps =
	    {
		CLIENT("CONNECT db.example:443 HTTP/1.1\r\n"
		       "\r\n"
		       "\026\003\001\000.\001\000\000*\003\003r\n"
		       "rrrrrrr"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "\r\n"),
		CLIENT("rrrrrrrrrrrrrrrrrrrrrrr\000\000\002\023\001\001\000"),
		CLOSE,
	    },
	.no_gaps = true,
	.expected = "is http\n"
		    "becomes tls\n"
		    "session c0-35 s0-19 version=1.1 request_type=CONNECT request_domain=db.example:443 "
		    "request_resource=db.example:443 code=200 status=ok\n",
    },
    /* no_gaps: without the request, what follows is read as HTTP */
    {
	.name = "CONNECT, then HTTP within",
	.steps =
	    {
		CLIENT("CONNECT in.example:80 HTTP/1.1\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "\r\n"),
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 204 No Content\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.no_gaps = true,
	.expected = "is http\n"
		    "becomes http\n"
		    "session c0-34 s0-19 version=1.1 request_type=CONNECT request_domain=in.example:80 "
		    "request_resource=in.example:80 code=200 status=ok\n"
		    "session c34-61 s19-46 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "code=204 status=ok\n",
    },
    {
	.name = "CONNECT refused, then HTTP goes on",
	.steps =
	    {
		CLIENT("CONNECT no.example:80 HTTP/1.1\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 407 Proxy Authentication Required\r\n"
		       "Content-Length: 2\r\n"
		       "\r\n"
		       "no"),
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 204 No Content\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "session c0-34 s0-67 version=1.1 request_type=CONNECT request_domain=no.example:80 "
		    "request_resource=no.example:80 response_exception=\"Proxy Authentication Required\" code=407 "
		    "status=client_error\n"
		    "session c34-61 s67-94 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "code=204 status=ok\n",
    },
    {
	.name = "CONNECT refused, then nonsense, then HTTP goes on",
	.steps =
	    {
		CLIENT("CONNECT no.example:80 HTTP/1.1\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 403 Forbidden\r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"),
		CLIENT("\001\002\r\n"
		       "GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 204 No Content\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "session c0-34 s0-45 version=1.1 request_type=CONNECT request_domain=no.example:80 "
		    "request_resource=no.example:80 response_exception=Forbidden code=403 status=client_error\n"
		    "session c38-65 s45-72 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "code=204 status=ok\n",
    },
    {
	.name = "the server speaks something else",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("ICY 200 OK\r\n"
		       "icy-name: radio\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "gives up\n"
		    "request c0-27 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/\n",
    },
    {
	.name = "the client speaks nonsense, the server refuses it as HTTP, and the connection goes on",
	.steps =
	    {
		CLIENT("HELLO there\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 400 Bad Request\r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"),
		CLIENT("nonsense again\r\n"
		       "GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "response s0-47 version=1.1 response_exception=\"Bad Request\" code=400 status=client_error\n"
		    "session c31-58 s47-85 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "code=200 status=ok\n",
    },
    {
	.name = "only responses were recorded: what answers HEAD is seen by what follows",
	.steps =
	    {
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Content-Length: 500\r\n"
		       "\r\n"
		       "HTTP/1.1 200 OK\r\n"
		       "Content-Length: 4\r\n"
		       "\r\n"
		       "HTTPHTTP/1.0 200 OK\r\n"
		       "Transfer-Encoding: chunked\r\n"
		       "\r\n"
		       "HTTP/1.1 404 Nope\r\n"
		       "Content-Length: 1\r\n"
		       "X-Request-Id: s1\r\n"
		       "\r\n"
		       "."),
		CLOSE,
	    },
	.expected =
	    "is http\n"
	    "response s0-40 version=1.1 code=200 status=ok\n"
	    "response s40-82 version=1.1 code=200 status=ok\n"
	    "response s82-129 version=1.0 code=200 status=ok\n"
	    "response s129-188 version=1.1 response_exception=Nope x_request_id=s1 code=404 status=client_error\n",
    },
    {
	.name = "from the middle: both directions begin within a body",
	.steps =
	    {
		SERVER("ml>\n"
		       "</html>\n"),
		CLIENT("\"b\":2}"),
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("tail"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Content-Length: 1\r\n"
		       "\r\n"
		       "."),
		CLOSE,
	    },
	.midstream = true,
	.expected = "is http\n"
		    "request c6-33 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/\n"
		    "response s16-55 version=1.1 code=200 status=ok\n",
    },
    {
	.name = "from the middle: the next messages stand right behind bodies",
	.steps =
	    {
		CLIENT("GET /1 HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("{\"HTTP/1.x\":1}HTTP/1.1 200 OK\r\n"
		       "Content-Length: 1\r\n"
		       "\r\n"
		       "."),
		CLOSE,
	    },
	.midstream = true,
	.expected = "is http\n"
		    "request c0-28 version=1.1 request_type=GET request_domain=a request_resource=/1 endpoint=/{id}\n"
		    "response s14-53 version=1.1 code=200 status=ok\n",
    },
    {
	.name = "from the middle: the first line at hand is a request's, whatever its target",
	.steps =
	    {
		CLIENT("GET . HTTP/1.0\r\n"
		       "A: b\r\n"
		       "\r\n"
		       "GET . HTTP/1.0\r\n"
		       "\r\n"),
		SERVER("HTTP/1.0 400 Bad Request\r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.midstream = true,
	.no_gaps = true,
	.expected = "is http\n"
		    "request c0-24 version=1.0 request_type=GET request_resource=. endpoint=.\n"
		    "request c24-42 version=1.0 request_type=GET request_resource=. endpoint=.\n"
		    "response s0-47 version=1.0 response_exception=\"Bad Request\" code=400 status=client_error\n",
    },
    {
	.name = "from the middle: a target with blanks, behind a line that is none of HTTP's",
	.steps =
	    {
		CLIENT("tail\n"
		       "GET /a;wget+ http://b.example/c HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("tail\n"
		       "HTTP/1.1 200 OK\r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.midstream = true,
	.dissector = &dissector_http,
	.no_gaps = true,
	.expected = "request c5-58 version=1.1 request_type=GET request_domain=a "
		    "request_resource=\"/a;wget+ http://b.example/c\" endpoint=\"/a;wget+ http://b.example/c\"\n"
		    "response s5-43 version=1.1 code=200 status=ok\n",
    },
    /* no_gaps: without its beginning, FORGET is GET */
    {
	.name = "from the middle: what only looks like a start line",
	.steps =
	    {
		CLIENT("FORGET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"
		       "GET nothing HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"
		       "GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("he wrote HTTP/1.1 200 OK\r\n"
		       "and more\r\n"
		       "HTTP/1.1 20 OK\r\n"
		       "A: b\r\n"
		       "\r\n"
		       "HTTP/1.1 204 No Content\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.midstream = true,
	.dissector = &dissector_http,
	.no_gaps = true,
	.expected = "request c63-90 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/\n"
		    "response s60-87 version=1.1 code=204 status=ok\n",
    },
    {
	.name = "only responses, and the beginning of a body is lost twice: its length is known all the same",
	.steps =
	    {
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Content-Length: 100\r\n"
		       "\r\n"),
		SERVER_GAP(50),
		SERVER_GAP(20),
		SERVER("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxHTTP/1.1 204 No Content\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "response s0-140 gap=70 version=1.1 code=200 status=ok\n"
		    "response s140-167 version=1.1 code=204 status=ok\n",
    },
    {
	.name = "lost bytes within a body of known length: the message goes on",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Content-Length: 100\r\n"
		       "\r\n"
		       "0123456789"),
		SERVER_GAP(60),
		SERVER("012345678901234567890123456789"),
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 204 No Content\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected =
	    "is http\n"
	    "session c0-27 s0-140 gap=60 version=1.1 request_type=GET request_domain=a request_resource=/ "
	    "endpoint=/ code=200 status=ok\n"
	    "session c27-54 s140-167 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
	    "code=204 status=ok\n",
    },
    /* no_gaps: where the head is lost, the message within the body is found; that is the risk that http.c tells of */
    {
	.name = "lost bytes within a body until close",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "\r\n"
		       "0123456789"),
		SERVER_GAP(1000),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "no: message\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.no_gaps = true,
	.expected = "is http\n"
		    "session c0-27 s0-1061 gap=1000 version=1.1 request_type=GET request_domain=a request_resource=/ "
		    "endpoint=/ code=200 status=ok\n",
    },
    {
	.name = "lost bytes within heads: cut, and the next found; a pair is not guessed",
	.steps =
	    {
		CLIENT("GET /cut HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "X: "),
		CLIENT_GAP(30),
		CLIENT("\"z\":1}POST /b HTTP/1.1\r\n"
		       "Content-Length: 7\r\n"
		       "\r\n"
		       "{\"a\":1}GET /c HTTP/1.1\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "request c0-28~ gap=30 version=1.1 request_type=GET request_domain=a request_resource=/cut "
		    "endpoint=/cut\n"
		    "request c67-113 version=1.1 request_type=POST request_resource=/b endpoint=/b\n"
		    "request c113-132 version=1.1 request_type=GET request_resource=/c endpoint=/c\n"
		    "response s0-38 version=1.1 code=200 status=ok\n",
    },
    {
	.name = "lost bytes within chunks: the response is cut, the next is found in what follows",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"
		       "GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Transfer-Encoding: chunked\r\n"
		       "\r\n"
		       "5\r\n"
		       "abcde\r\n"),
		SERVER_GAP(9),
		SERVER("cde\r\n"
		       "0\r\n"
		       "\r\n"
		       "HTTP/1.1 200 OK\r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "session c0-27 s0-57~ gap=9 version=1.1 request_type=GET request_domain=a request_resource=/ "
		    "endpoint=/ code=200 status=ok\n"
		    "request c27-54 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/\n"
		    "response s76-114 version=1.1 code=200 status=ok\n",
    },
    {
	.name = "the response comes before the request is complete",
	.steps =
	    {
		CLIENT("POST / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "Content-Length: 8\r\n"
		       "\r\n"
		       "abcd"),
		SERVER("HTTP/1.1 413 Too Large\r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"),
		CLIENT("efgh"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "session c0-55 s0-45 version=1.1 request_type=POST request_domain=a request_resource=/ endpoint=/ "
		    "response_exception=\"Too Large\" code=413 status=client_error\n",
    },
    {
	.name = "closed within a body: the message is not complete",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Content-Length: 9\r\n"
		       "\r\n"
		       "abcd"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "session c0-27 s0-42~ version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "code=200 status=ok\n",
    },
    {
	.name = "HTTP/2 by prior knowledge is named only",
	.steps =
	    {
		CLIENT("PRI * HTTP/2.0\r\n"
		       "\r\n"
		       "SM\r\n"
		       "\r\n"
		       "\000\000\000\004\000\000\000\000\000"),
		SERVER("\000\000\000\004\000\000\000\000\000"),
		CLOSE,
	    },
	.expected = "is http2\n",
    },
    {
	.name = "TLS is named only",
	.steps =
	    {
		CLIENT("\026\003\001\000.\001\000\000*\003\003r\n"
		       "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\000\000\002\023\001\001\000"),
		SERVER("\026\003\003\000@\002\000\000<\003\003"),
		CLOSE,
	    },
	.expected = "is tls\n",
    },
};

static void conversations(void **state)
{
	(void)state;
	assert_true(harness_check(scripts, array_size(scripts)));
}

/* In the middle of a large binary body, with no line end for long: passed without being kept. */
static void long_search(void **state)
{
	enum { JUNK = 200000 };
	char *server = malloc(JUNK + 100), expected[128];
	(void)state;
	assert_non_null(server);
	memset(server, 0xfe, JUNK);
	size_t s = JUNK + (size_t)sprintf(server + JUNK, "HTTP/1.1 204 No Content\r\n\r\n");
	snprintf(expected, sizeof expected, "response s%u-%zu version=1.1 code=204 status=ok\n", JUNK, s);
	struct script script = {
	    .name = "a long search",
	    .steps = {SERVER_BYTES(server, s), CLOSE},
	    .dissector = &dissector_http,
	    .midstream = true,
	    .expected = expected,
	    .coarse = true,
	};
	assert_true(harness_check(&script, 1));
	free(server);
}

struct first_bytes {
	const char *answer;
	const char *data;
	size_t len;
};
#define FIRST(answer, literal)                                                                                         \
	{                                                                                                              \
		answer, literal, sizeof(literal) - 1                                                                   \
	}

static const struct first_bytes openings[] = {
    FIRST("http client", "GET / HTTP/1.1\r\n"), FIRST("http client", "GET /index.html HTTP/1.0\n"),
    FIRST("http client", "\r\n\r\nPOST /after HTTP/1.1\r\n"), FIRST("http client", "FROB x HTTP/1.1\r\n"),
    FIRST("http client", "CONNECT a.example:443 HTTP/1.1\r\n"),
    FIRST("http client", "GET /a-path-that-is-so-long-that-its-line-end-does-not-come-with-the-first-bytes"),
    FIRST("http client", "GET http://a.example/another-path-that-does-not-end-among-the-first-bytes"),
    FIRST("unsure", "GET"), FIRST("unsure", "GET /short"),
    FIRST("unsure", "FROB /a-path-that-is-so-long-that-its-line-end-does-not-come-with-the-first-bytes"),
    FIRST("http server", "HTTP/1.1 200 OK"), FIRST("http server", "HTTP/1.0 404\r\n"), FIRST("unsure", "HTTP/1.1 200"),
    /* any digit, a point, any digit (RFC 9112, 2.3); blanks (4); codes that no class knows (RFC 9110, 15) */
    FIRST("http client", "GET /version HTTP/3.7\r\n"), FIRST("http client", "GET / HTTP/2.0\r\n"),
    FIRST("http client", "GET / HTTP/0.9\r\n"), FIRST("http server", "HTTP/2.0 200 OK\r\n"),
    FIRST("http server", "HTTP/0.9 200\r\n"), FIRST("http server", "HTTP/1.1 099 OK\r\n"),
    FIRST("http server", "HTTP/1.1 \t 200 OK\r\n"), FIRST("unsure", "HTTP/2.0  200"), FIRST("unsure", "HTTP/3."),
    FIRST("unsure", "H"), FIRST("http2 client", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    FIRST("unsure", "PRI * HTTP/2.0\r\n\r\nS"), FIRST("tls client", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    FIRST("tls server", "\x16\x03\x03\x00\x5a\x02\x00\x00\x56\x03\x03"),
    FIRST("tls client", "\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10"), FIRST("unsure", "\x16\x03\x01\x02"),
    /* not HTTP, however alike */
    FIRST("none", "HTTP/2 200\r\n\r\n"), FIRST("none", "HTTP/1.1 20x OK\r\n"), FIRST("none", "HTTP/1.1 2000 OK\r\n"),
    FIRST("none", "HTTP/1.1200 OK\r\n"), FIRST("none", "GET /\r\n"), /* HTTP/0.9 */
    FIRST("none", "PRI * HTTP/2.0\r\nHost: a\r\n"), FIRST("none", "GET / HTTP/1.12\r\n"),
    FIRST("none", "GET / HTTP/3\r\n"), FIRST("none", "HTTP/1.01 200 OK\r\n"), FIRST("none", "HTTP/11 200 OK\r\n"),
    FIRST("none", "GET /HTTP/1.1\r\n"), FIRST("none", "ICY 200 OK\r\n"),
    FIRST("none", "OPTIONS rtsp://a.example/media RTSP/1.0\r\nCSeq: 1\r\n"), FIRST("none", "RTSP/1.0 200 OK\r\n"),
    FIRST("none", "OPTIONS sip:a@b.example SIP/2.0\r\n"),
    FIRST("none", "OPTIONS sip:somebody.with.a.very.long.name@somewhere.far.away.example;transport=tcp"),
    FIRST("none", "SIP/2.0 200 OK\r\n"), FIRST("none", "REQMOD icap://i.example/s ICAP/1.0\r\n"),
    FIRST("none", "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n"), /* NATS */
    FIRST("none", "GNUTELLA CONNECT/0.6\r\n"), FIRST("none", "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
    FIRST("none", "220 mail.example ESMTP\r\n"), FIRST("none", "EHLO mail.example\r\n"),
    FIRST("none", "get key\r\n"),                      /* memcached */
    FIRST("none", "*1\r\n$4\r\nPING\r\n"),             /* Redis */
    FIRST("none", "\x03\x00\x00\x00\x00\x00\x00\x00"), /* RTMP */
    FIRST("none", "\x4a\x00\x00\x00\x0a"
		  "5.7.1"),                                        /* MySQL */
    FIRST("none", "\x16\x03\x01\x02\x00\x0b\x00\x01\xfc\x03\x03"), /* TLS Certificate */
    FIRST("none", "\x16\x03\x01\xff\x00\x01\x00\x01\xfc\x03\x03"), /* record too long */
    FIRST("none", "\x17\x03\x03\x00\x20"
		  "abcdef"),
    FIRST("none", "\x16\xfe\xff\x00\x00\x00\x00\x00\x00\x00\x00"), /* DTLS */
};

/* As harness_probe(), which sees to it that no two of all dissectors are certain, but of those of this file alone. */
static const char *probe_ours(const char *data, size_t len)
{
	static const char *const ours[] = {"http", "http2", "tls", "websocket"};
	static char answer[64];
	uint8_t *copy = malloc(len);
	assert_non_null(copy);
	memcpy(copy, data, len);
	harness_probe(data, len, false);
	strcpy(answer, "none");
	for (size_t i = 0; i < array_size(ours); i++) {
		struct dissect_probe p = {.data = copy, .len = len, .side = SIDE_UNKNOWN, .ret_side = SIDE_UNKNOWN};
		enum dissect_verdict v = dissector_find(ours[i])->probe(&p);
		if (v == DISSECT_CERTAIN)
			snprintf(answer, sizeof answer, "%s %s", ours[i],
				 p.ret_side == SIDE_CLIENT ? "client" : "server");
		else if (v == DISSECT_UNSURE && !strcmp(answer, "none"))
			strcpy(answer, "unsure");
	}
	free(copy);
	return answer;
}

static void first_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_size(openings); i++) {
		const struct first_bytes *o = &openings[i];
		if (strcmp(probe_ours(o->data, o->len), o->answer))
			fail_msg("\"%.60s\": %s, expected %s", o->data, probe_ours(o->data, o->len), o->answer);
	}
}

/* What a probe says of some bytes it must not take back when more of them come. */
static void first_bytes_growing(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_size(openings); i++) {
		const struct first_bytes *o = &openings[i];
		bool none = false;
		char certain[64] = "";
		for (size_t n = 1; n <= o->len; n++) {
			const char *answer = probe_ours(o->data, n);
			if (none)
				assert_string_equal(answer, "none");
			if (*certain)
				assert_string_equal(answer, certain);
			none = !strcmp(answer, "none");
			if (strchr(answer, ' '))
				strcpy(certain, answer);
		}
	}
}

/* Two TLS records in a row are enough in the middle of a connection, one is not. */
static void tls_midstream(void **state)
{
	(void)state;
	static const char two[] = "\x17\x03\x03\x00\x02"
				  "ab"
				  "\x17\x03\x03\x00\x10"
				  "x";
	assert_string_equal(harness_probe(two, sizeof two - 1, true), "tls unknown");
	assert_null(strchr(harness_probe(two, 7, true), ' ')); /* not certain */
	assert_string_equal(harness_probe(two, sizeof two - 1, false), "none");
}

static void registry(void **state)
{
	(void)state;
	assert_string_equal(dissector_find("http")->title, "HTTP");
	assert_string_equal(dissector_find("http2")->title, "HTTP2");
	assert_null(dissector_find("htt"));
	assert_null(dissectors[dissector_count]);
	for (unsigned i = 0; i < dissector_count; i++) {
		const struct dissector *d = dissectors[i];
		assert_ptr_equal(dissector_find(d->name), d);
		assert_non_null(d->title);
		assert_non_null(d->ports);
		assert_non_null(d->probe);
		assert_non_null(d->parse);
		assert_true(d->tcp || d->udp);
		assert_true(d->state_size <= DISSECT_STATE_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(conversations),       cmocka_unit_test(long_search),   cmocka_unit_test(first_bytes),
	    cmocka_unit_test(first_bytes_growing), cmocka_unit_test(tls_midstream), cmocka_unit_test(registry),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
