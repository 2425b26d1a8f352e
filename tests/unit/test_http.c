/* test_http.c - HTTP/1: framing, and what is read from heads.
 *
 * The expectations come from RFC 9110 and RFC 9112; the offsets are lengths of the strings. */
#include "dissect_harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct script scripts[] = {
    {
	.name = "every field of a request and its response",
	.steps =
	    {
		CLIENT("GET /shop/42/items?q=1&r=2 HTTP/1.1\r\n"
		       "Host: example.com:8080\r\n"
		       "User-Agent: curl/8.1 (x)\r\n"
		       "Referer: http://r.example/p?s=t\r\n"
		       "X-Request-ID: abc-1\r\n"
		       "X-Forwarded-For: 192.0.2.7, 198.51.100.1\r\n"
		       "X-Forwarded-For: 203.0.113.1\r\n"
		       "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 404 Not Found\r\n"
		       "Content-Type: text/plain\r\n"
		       "Content-Length: 5\r\n"
		       "X-Request-ID: other\r\n"
		       "\r\n"
		       "nope\n"),
		CLOSE,
	    },
	.expected =
	    "is http\n"
	    "session c0-285 s0-97 version=1.1 request_type=GET request_domain=example.com:8080 "
	    "request_resource=/shop/42/items?q=1&r=2 endpoint=/shop/{id}/items response_exception=\"Not Found\" "
	    "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7 x_request_id=abc-1 "
	    "user_agent=\"curl/8.1 (x)\" referer=http://r.example/p?s=t client_ip_forwarded=192.0.2.7 "
	    "http.content_type=text/plain code=404 status=client_error\n",
    },
    {
	.name = "keep-alive: one after the other",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Content-Length: 3\r\n"
		       "\r\n"
		       "abc"),
		CLIENT("POST /p HTTP/1.1\r\n"
		       "host:a\r\n"
		       "content-length:2\r\n"
		       "\r\n"
		       "hi"),
		SERVER("HTTP/1.1 503 Service Unavailable\r\n"
		       "content-length: 0\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "session c0-27 s0-41 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "code=200 status=ok\n"
		    "session c27-75 s41-96 version=1.1 request_type=POST request_domain=a request_resource=/p "
		    "endpoint=/p response_exception=\"Service Unavailable\" code=503 status=server_error\n",
    },
    {
	.name = "pipelining: HEAD, 204 and 304 have no body, whatever their heads say (RFC 9112, 6.3)",
	.steps =
	    {
		CLIENT("HEAD /1 HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"
		       "GET /x HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"
		       "GET /y HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"
		       "GET /z HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Content-Length: 1000\r\n"
		       "\r\n"
		       "HTTP/1.1 204 No Content\r\n"
		       "\r\n"
		       "HTTP/1.1 304 Not Modified\r\n"
		       "Content-Length: 77\r\n"
		       "\r\n"
		       "HTTP/1.1 200 OK\r\n"
		       "Transfer-Encoding: chunked\r\n"
		       "\r\n"
		       "0\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected =
	    "is http\n"
	    "session c0-29 s0-41 version=1.1 request_type=HEAD request_domain=a request_resource=/1 "
	    "endpoint=/{id} code=200 status=ok\n"
	    "session c29-57 s41-68 version=1.1 request_type=GET request_domain=a request_resource=/x endpoint=/x "
	    "code=204 status=ok\n"
	    "session c57-85 s68-117 version=1.1 request_type=GET request_domain=a request_resource=/y "
	    "endpoint=/y code=304 status=ok\n"
	    "session c85-113 s117-169 version=1.1 request_type=GET request_domain=a request_resource=/z "
	    "endpoint=/z code=200 status=ok\n",
    },
    {
	.name = "HEAD with chunked announced",
	.steps =
	    {
		CLIENT("HEAD / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"
		       "GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Transfer-Encoding: chunked\r\n"
		       "\r\n"
		       "HTTP/1.1 200 OK\r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "session c0-28 s0-47 version=1.1 request_type=HEAD request_domain=a request_resource=/ endpoint=/ "
		    "code=200 status=ok\n"
		    "session c28-55 s47-85 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "code=200 status=ok\n",
    },
    /* no_gaps: where the head is lost, the message within the body is found; that is the risk that http.c tells of */
    {
	.name = "chunks with extensions and trailers, in both directions (RFC 9112, 7.1)",
	.steps =
	    {
		CLIENT("POST / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "Transfer-Encoding: gzip, chunked\r\n"
		       "\r\n"
		       "5;name=\"v;w\"\r\n"
		       "abcde\r\n"
		       "00A \r\n"
		       "0123456789\r\n"
		       "0\r\n"
		       "X-Sum: 1\r\n"
		       "User-Agent: b\r\n"
		       "\r\n"
		       "GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "transfer-encoding:Chunked\r\n"
		       "\r\n"
		       "1b;x\r\n"
		       "HTTP/1.1 200 OK\r\n"
		       "\r\n"
		       "abcdefgx\r\n"
		       "0\r\n"
		       "\r\n"
		       "HTTP/1.1 200 OK\r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.no_gaps = true,
	.expected = "is http\n"
		    "session c0-131 s0-86 version=1.1 request_type=POST request_domain=a request_resource=/ endpoint=/ "
		    "code=200 status=ok\n"
		    "session c131-158 s86-124 version=1.1 request_type=GET request_domain=a request_resource=/ "
		    "endpoint=/ code=200 status=ok\n",
    },
    {
	.name = "interim responses are not the response (RFC 9110, 15.2)",
	.steps =
	    {
		CLIENT("PUT /u HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "Expect: 100-continue\r\n"
		       "Content-Length: 4\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 100 Continue\r\n"
		       "\r\n"),
		CLIENT("body"),
		SERVER("HTTP/1.1 103 Early Hints\r\n"
		       "Link: </s.css>\r\n"
		       "Content-Length: 9\r\n"
		       "\r\n"
		       "HTTP/1.1 201 Created\r\n"
		       "Content-Length: 1\r\n"
		       "\r\n"
		       "."),
		CLOSE,
	    },
	.expected =
	    "is http\n"
	    "session c0-73 s88-132 version=1.1 request_type=PUT request_domain=a request_resource=/u endpoint=/u "
	    "http.interim=103 code=201 status=ok\n",
    },
    /* no_gaps: where the head is lost, the message within the body is found; that is the risk that http.c tells of */
    {
	.name = "a response without length lasts until the server closes (RFC 9112, 6.3)",
	.steps =
	    {
		CLIENT("GET /old HTTP/1.0\r\n"
		       "\r\n"),
		SERVER("HTTP/1.0 200 OK\r\n"
		       "Server: x\r\n"
		       "\r\n"
		       "HTTP/1.1 200 OK\r\n"
		       "looks: real\r\n"
		       "\r\n"),
		SERVER("the end"),
		CLOSE,
	    },
	.no_gaps = true,
	.expected = "is http\n"
		    "session c0-21 s0-69 version=1.0 request_type=GET request_resource=/old endpoint=/old code=200 "
		    "status=ok\n",
    },
    {
	.name = "absolute-form: the URI names the host, not Host (RFC 9112, 3.2.2)",
	.steps =
	    {
		CLIENT("GET http://user@site.example:81/p?a=b HTTP/1.1\r\n"
		       "Host: other\r\n"
		       "\r\n"
		       "GET HTTPS://x.example HTTP/1.1\r\n"
		       "Host: other\r\n"
		       "\r\n"
		       "OPTIONS * HTTP/1.1\r\n"
		       "Host: third\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "request c0-63 version=1.1 request_type=GET request_domain=site.example:81 request_resource=/p?a=b "
		    "endpoint=/p\n"
		    "request c63-110 version=1.1 request_type=GET request_domain=x.example request_resource=/ "
		    "endpoint=/\n"
		    "request c110-145 version=1.1 request_type=OPTIONS request_domain=third request_resource=* "
		    "endpoint=*\n",
    },
    {
	.name = "Content-Length: equal duplicates are one (RFC 9110, 8.6)",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"
		       "GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Content-Length: 3, 3\r\n"
		       "Content-Length: 3\r\n"
		       "\r\n"
		       "abcHTTP/1.1 200 OK\r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected =
	    "is http\n"
	    "session c0-27 s0-63 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
	    "code=200 status=ok\n"
	    "session c27-54 s63-101 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
	    "code=200 status=ok\n",
    },
    {
	.name = "Content-Length: a conflict leaves no length; the connection must end (RFC 9112, 6.3)",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Content-Length: 3\r\n"
		       "Content-Length: 4\r\n"
		       "\r\n"
		       "abcd"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "session c0-27 s0-61 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "http.anomaly=content_length_conflict code=200 status=ok\n",
    },
    {
	.name = "Content-Length: not a number",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Content-Length: -1\r\n"
		       "\r\n"
		       "abcd"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "session c0-27 s0-43 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "http.anomaly=content_length_invalid code=200 status=ok\n",
    },
    {
	.name = "Content-Length: larger than any number",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Content-Length: 18446744073709551617\r\n"
		       "\r\n"
		       "a"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "session c0-27 s0-58 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "http.anomaly=content_length_invalid code=200 status=ok\n",
    },
    {
	.name = "Transfer-Encoding overrides Content-Length (RFC 9112, 6.3)",
	.steps =
	    {
		CLIENT("POST / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "Content-Length: 3\r\n"
		       "Transfer-Encoding: chunked\r\n"
		       "\r\n"
		       "1\r\n"
		       "x\r\n"
		       "0\r\n"
		       "\r\n"
		       "GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "request c0-86 version=1.1 request_type=POST request_domain=a request_resource=/ endpoint=/ "
		    "http.anomaly=content_length_and_transfer_encoding\n"
		    "request c86-113 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/\n",
    },
    {
	.name = "a response whose last coding is not chunked lasts until close (RFC 9112, 6.3)",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200 OK\r\n"
		       "Transfer-Encoding: chunked, gzip\r\n"
		       "\r\n"
		       "5\r\n"
		       "abcde\r\n"
		       "0\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "session c0-27 s0-68 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "code=200 status=ok\n",
    },
    /* no_gaps: where the chunk's size is lost, the message within it is found; that is the risk that http.c tells of */
    {
	.name = "a chunk larger than can be counted: what comes is its data, not a request of its own (RFC 9112, 7.1)",
	.steps =
	    {
		CLIENT("POST / HTTP/1.1\r\n"
		       "Transfer-Encoding: chunked\r\n"
		       "\r\n"
		       "10000000000000000\r\n"
		       "\r\n"
		       "GET /smuggled HTTP/1.1\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.no_gaps = true,
	.expected = "is http\n"
		    "request c0-94 version=1.1 request_type=POST request_resource=/ endpoint=/ "
		    "http.anomaly=chunk_invalid\n",
    },
    {
	.name = "a damaged chunk ends the message; the next is found again",
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
		       "2\r\n"
		       "abc\r\n"
		       "0\r\n"
		       "\r\n"
		       "HTTP/1.1 200 OK\r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "session c0-27 s0-52 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "http.anomaly=chunk_invalid code=200 status=ok\n"
		    "session c27-54 s60-98 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "code=200 status=ok\n",
    },
    {
	.name = "obs-fold: a header goes on (RFC 9112, 5.2)",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "User-Agent: one\r\n"
		       "  two\r\n"
		       "\tthree\r\n"
		       "Host:\r\n"
		       " a\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "request c0-61 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "user_agent=\"one    two  \\x09three\"\n",
    },
    {
	.name = "bare LF, empty lines first, blanks around values (RFC 9112, 2.2)",
	.steps =
	    {
		CLIENT("\r\n"
		       "\n"
		       "GET /lf HTTP/1.1\n"
		       "Host b: c\n"
		       "hOsT: \t a \t\n"
		       "Content-Length : 2\n"
		       "\n"
		       "xy\r\n"
		       "GET /2 HTTP/1.1 \r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 200\n"
		       "Content-Length:1\n"
		       "\n"
		       "!\r\n"
		       "HTTP/1.1 500 \r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected =
	    "is http\n"
	    "session c3-64 s0-32 version=1.1 request_type=GET request_domain=a request_resource=/lf endpoint=/lf "
	    "code=200 status=ok\n"
	    "session c66-86 s34-70 version=1.1 request_type=GET request_resource=/2 endpoint=/{id} code=500 "
	    "status=server_error\n",
    },
    {
	.name = "methods of WebDAV and of anyone (RFC 9110, 9.1)",
	.steps =
	    {
		CLIENT("PROPFIND /d HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"
		       "X-my!Method /m HTTP/1.9\r\n"
		       "Host: a\r\n"
		       "\r\n"
		       "get /low HTTP/1.1\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "request c0-33 version=1.1 request_type=PROPFIND request_domain=a request_resource=/d endpoint=/d\n"
		    "request c33-69 version=1.9 request_type=X-my!Method request_domain=a request_resource=/m "
		    "endpoint=/m\n"
		    "request c69-90 version=1.1 request_type=get request_resource=/low endpoint=/low\n",
    },
    {
	.name = "a target with blanks, as careless clients send it",
	.steps =
	    {
		CLIENT("GET /a b  c HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "request c0-33 version=1.1 request_type=GET request_domain=a request_resource=\"/a b  c\" "
		    "endpoint=\"/a b  c\"\n",
    },
    {
	.name = "status codes that no class knows count as 5xx (RFC 9110, 15)",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 999 Request denied\r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "session c0-27 s0-50 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "response_exception=\"Request denied\" code=999 status=server_error\n",
    },
    {
	.name = "codes below 100 are none of the interim ones: they too count as 5xx (RFC 9110, 15)",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "\r\n"
		       "GET /2 HTTP/1.1\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 000 ok\r\n"
		       "Content-Length: 1\r\n"
		       "\r\n"
		       ".HTTP/1.1 204 No\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "session c0-18 s0-39 version=1.1 request_type=GET request_resource=/ endpoint=/ code=0 "
		    "status=server_error\n"
		    "session c18-37 s39-58 version=1.1 request_type=GET request_resource=/2 endpoint=/{id} code=204 "
		    "status=ok\n",
    },
    {
	.name = "a version is any digit, a point, any digit (RFC 9112, 2.3); blanks in a status line, and a CR alone "
		"(2.2, 4)",
	.steps =
	    {
		CLIENT("GET /version HTTP/3.7\r\n"
		       "Host: a\r\n"
		       "\r\n"
		       "GET /old HTTP/0.9\r\n"
		       "\r\n"
		       "GET / HTTP/1.1\r\n"
		       "\r\n"
		       "PRI * HTTP/2.0\r\n"
		       "\r\n"),
		SERVER("HTTP/1.1 505 HTTP Version Not Supported\r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"
		       "HTTP/2.1 \t 200 \tFine\r\n"
		       "Content-Length: 0\r\n"
		       "\r\n"
		       "HTTP/1.1 204\rA: b\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "session c0-34 s0-62 version=3.7 request_type=GET request_domain=a request_resource=/version "
		    "endpoint=/version response_exception=\"HTTP Version Not Supported\" code=505 status=server_error\n"
		    "session c34-55 s62-105 version=0.9 request_type=GET request_resource=/old endpoint=/old code=200 "
		    "status=ok\n"
		    "session c55-73 s105-126 version=1.1 request_type=GET request_resource=/ endpoint=/ code=204 "
		    "status=ok\n",
    },
    /* no_gaps: where the head is lost, the message within the body is found; that is the risk that http.c tells of */
    {
	.name = "a request with a body that is not framed by anything known",
	.steps =
	    {
		CLIENT("POST / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "Transfer-Encoding: gzip\r\n"
		       "\r\n"
		       "GET / HTTP/1.1\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.no_gaps = true,
	.expected = "is http\n"
		    "request c0-71 version=1.1 request_type=POST request_domain=a request_resource=/ endpoint=/ "
		    "http.anomaly=transfer_encoding_not_chunked\n",
    },
    {
	.name = "values in queries are hidden",
	.steps =
	    {
		CLIENT("GET /u/7?name=joe&x&y=&=z HTTP/1.1\r\n"
		       "Referer: /r?token=1\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.settings = {.obfuscate = 1u << OBFUSCATE_HTTP},
	.expected = "is http\n"
		    "request c0-59 version=1.1 request_type=GET request_resource=/u/7?name=?&?&y=?&=? endpoint=/u/{id} "
		    "referer=/r?token=?\n",
    },
    {
	.name = "texts are cut at text_max",
	.steps =
	    {
		CLIENT("GET /abcdefghij?k HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.settings = {.text_max = 8},
	.expected = "is http\n"
		    "request c0-39 version=1.1 request_type=GET request_domain=a request_resource=/abcdefg "
		    "endpoint=/abcdefg\n",
    },
    {
	.name = "the W3C header outranks all others, wherever it stands",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
		       "b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1\r\n"
		       "uber-trace-id: 1:2:0:1\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "request c0-178 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7\n",
    },
    {
	.name = "sw8 of SkyWalking: two Base64 ids and a number",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "sw8: 1-VFJBQ0VJRA==-U0VHTUVOVElE-3-UEFSRU5U-SU5TVA==-RU5EUE9JTlQ=-UEVFUg==\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "request c0-103 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "trace_id=TRACEID span_id=SEGMENTID-3\n",
    },
    {
	.name = "X-B3 headers",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "X-B3-TraceId: 463ac35c9f6413ad48485a3953bb6124\r\n"
		       "X-B3-SpanId: a2fb4a1d1a96d312\r\n"
		       "X-B3-Sampled: 1\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "request c0-123 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "trace_id=463ac35c9f6413ad48485a3953bb6124 span_id=a2fb4a1d1a96d312\n",
    },
    {
	.name = "b3 in one header outranks them",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "x-b3-traceid: 463ac35c9f6413ad\r\n"
		       "x-b3-spanid: a2fb4a1d1a96d312\r\n"
		       "b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "request c0-164 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "trace_id=80f198ee56343ba864fe8b2a57d3eff7 span_id=e457b5a2e4d86bd1\n",
    },
    {
	.name = "uber-trace-id of Jaeger, also with %3A",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "uber-trace-id: 4bf92f35%3A7b34da6a%3a0%3A1\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "request c0-71 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/ "
		    "trace_id=4bf92f35 span_id=7b34da6a\n",
    },
    {
	.name = "damaged trace headers say nothing",
	.steps =
	    {
		CLIENT("GET / HTTP/1.1\r\n"
		       "Host: a\r\n"
		       "traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01\r\n"
		       "sw8: 1-%%-U0VH-3-UA==-SU==-R==-U==\r\n"
		       "b3: 0\r\n"
		       "uber-trace-id: xyz\r\n"
		       "x-b3-traceid: 0000\r\n"
		       "\r\n"),
		CLOSE,
	    },
	.expected = "is http\n"
		    "request c0-180 version=1.1 request_type=GET request_domain=a request_resource=/ endpoint=/\n",
    },
};

static void conversations(void **state)
{
	(void)state;
	assert_true(harness_check(scripts, array_size(scripts)));
}

/* Writes `count` times `text`. */
static size_t repeat(char *out, const char *text, size_t count)
{
	size_t n = strlen(text);
	for (size_t i = 0; i < count; i++)
		memcpy(out + i * n, text, n);
	return n * count;
}

/* A request line, a header and a chunk extension each far longer than what may be buffered. */
static void long_lines(void **state)
{
	enum { LONG = 150000 };
	char *client = malloc(4 * LONG), *server = malloc(LONG + 200);
	size_t c = 0, s = 0;
	(void)state;
	assert_non_null(client);
	assert_non_null(server);
	memcpy(client, "GET /", 5);
	c = 5 + repeat(client + 5, "x", LONG);
	c += (size_t)sprintf(client + c, " HTTP/1.1\r\nHost: a\r\nCookie: ");
	c += repeat(client + c, "c=1; ", LONG / 5);
	c += (size_t)sprintf(client + c, "\r\nUser-Agent: u\r\nReferer: r");
	c += repeat(client + c, "\r\n y", LONG / 4);
	c += (size_t)sprintf(client + c, "\r\nX-Request-ID: 7\r\n\r\n");
	s = (size_t)sprintf(server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;");
	s += repeat(server + s, "e", LONG);
	s += (size_t)sprintf(server + s, "\r\nabc\r\n0\r\n\r\n");
	char expected[512];
	snprintf(expected, sizeof expected,
		 "is http\nsession c0-%zu s0-%zu version=1.1 request_type=GET request_domain=a request_resource=/xxx "
		 "endpoint=/xxx x_request_id=7 user_agent=u referer=\"r   \" code=200 status=ok\n",
		 c, s);
	struct script script = {
	    .name = "long lines",
	    .steps = {CLIENT_BYTES(client, c), SERVER_BYTES(server, s), CLOSE},
	    .settings = {.text_max = 4},
	    .expected = expected,
	    .coarse = true,
	};
	assert_true(harness_check(&script, 1));
	free(client);
	free(server);
}

/* A line as long as is read whole, and a few bytes to either side: folded and plain, cut at the same place however it
 * comes. */
static void lines_at_the_limit(void **state)
{
	(void)state;
	for (size_t n = DISSECT_TEXT_MAX + 1024 - 8; n < DISSECT_TEXT_MAX + 1024 + 8; n++) {
		char *client = malloc(3 * n + 200), expected[256];
		assert_non_null(client);
		size_t c = (size_t)sprintf(client, "GET /");
		c += repeat(client + c, "x", n - c - 11);
		c += (size_t)sprintf(client + c, " HTTP/1.1\r\n");
		assert_int_equal(c, n);
		size_t line = c;
		c += (size_t)sprintf(client + c, "User-Agent: ");
		c += repeat(client + c, "u", n - (c - line) - 2);
		c += (size_t)sprintf(client + c, "\r\n");
		line = c;
		c += (size_t)sprintf(client + c, "Referer: ");
		c += repeat(client + c, "\n r", (n - (c - line) - 2) / 3);
		c += (size_t)sprintf(client + c, "\r\n\r\n");
		snprintf(expected, sizeof expected,
			 "is http\nrequest c0-%zu version=1.1 request_type=GET request_resource=/xxx endpoint=/xxx "
			 "user_agent=uuuu referer=\"r  r\"\n",
			 c);
		struct script script = {
		    .name = "a line at the limit",
		    .steps = {CLIENT_BYTES(client, c), CLOSE},
		    .settings = {.text_max = 4},
		    .expected = expected,
		    .coarse = true,
		    .no_gaps = true, /* the same as above: takes long, shows nothing new */
		};
		struct harness_cut cut = HARNESS_WHOLE;
		assert_string_equal(harness_run(&script, &cut), expected);
		cut.piece_max = 1;
		assert_string_equal(harness_run(&script, &cut), expected);
		for (size_t at = 1; at < 20; at++) {
			cut.piece_max = n - 10 + at;
			assert_string_equal(harness_run(&script, &cut), expected);
		}
		free(client);
	}
}

/* The end of the line decides about the length of the body: it is the same however the line comes. */
static void length_at_the_limit(void **state)
{
	enum { LIMIT = DISSECT_TEXT_MAX + 1024, BODY = 30 };
	(void)state;
	for (size_t n = LIMIT - 8; n < LIMIT + 8; n++) {
		char *client = malloc(n + 100), *whole;
		assert_non_null(client);
		size_t c = (size_t)sprintf(client, "GET / HTTP/1.1\r\n"), line = c;
		c += (size_t)sprintf(client + c, "Content-Length: ");
		c += repeat(client + c, "0", n - (c - line) - 4);
		c += (size_t)sprintf(client + c, "12\r\n\r\n");
		assert_int_equal(c - line - 2, n);
		size_t head = c;
		c += repeat(client + c, "b", BODY);
		struct script script = {.name = "limit", .steps = {CLIENT_BYTES(client, c), CLOSE}};
		struct harness_cut cut = HARNESS_WHOLE;
		cut.halves = true;
		whole = strdup(harness_run(&script, &cut));
		assert_non_null(whole);
		if (n <= LIMIT) {
			char expected[64];
			snprintf(expected, sizeof expected, "request c0-%zu\n", head + 12);
			assert_string_equal(whole, expected);
		}
		cut.piece_max = 1;
		assert_string_equal(harness_run(&script, &cut), whole);
		for (cut.piece_max = n; cut.piece_max < n + 24; cut.piece_max++)
			assert_string_equal(harness_run(&script, &cut), whole);
		free(whole);
		free(client);
	}
}

/* A body much larger than what is kept of a stream. */
static void large_body(void **state)
{
	enum { BODY = 300000 };
	char *server = calloc(1, BODY + 300), expected[256];
	(void)state;
	assert_non_null(server);
	size_t s = (size_t)sprintf(server, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", BODY) + BODY, first = s;
	s += (size_t)sprintf(server + s, "HTTP/1.1 204 No\r\n\r\n");
	snprintf(
	    expected, sizeof expected,
	    "is http\nsession c0-18 s0-%zu version=1.1 request_type=GET request_resource=/ endpoint=/ code=200 "
	    "status=ok\n"
	    "session c18-36 s%zu-%zu version=1.1 request_type=GET request_resource=/ endpoint=/ code=204 status=ok\n",
	    first, first, s);
	struct script script = {
	    .name = "a large body",
	    .steps = {CLIENT("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"), SERVER_BYTES(server, s), CLOSE},
	    .expected = expected,
	    .coarse = true,
	};
	assert_true(harness_check(&script, 1));
	free(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(conversations),       cmocka_unit_test(long_lines), cmocka_unit_test(lines_at_the_limit),
	    cmocka_unit_test(length_at_the_limit), cmocka_unit_test(large_body),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
