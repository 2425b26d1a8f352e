/* http_head.h - what stands in the head of an HTTP/1 message: start lines and header lines (RFC 9110, RFC 9112).
 *
 * http.c finds the lines and follows the framing; this reads what they say. */
#ifndef TS_DISSECT_HTTP_HEAD_H
#define TS_DISSECT_HTTP_HEAD_H

#include "dissect.h"
#include "text_tools.h"

/* What a request's `tag` tells its response. */
enum {
	HTTP_TAG_HEAD = 1 << 0,
	HTTP_TAG_CONNECT = 1 << 1,
	HTTP_TAG_X_REQUEST_ID = 1 << 2,
	HTTP_TAG_UPGRADE_SHIFT = 8, /* enum http_upgrade */
};

enum http_upgrade { HTTP_UPGRADE_NONE, HTTP_UPGRADE_OTHER, HTTP_UPGRADE_WEBSOCKET, HTTP_UPGRADE_H2C };
enum http_coding { HTTP_CODING_NONE, HTTP_CODING_CHUNKED, HTTP_CODING_OTHER };

/* What is wrong with a message's framing; the first fault counts. */
enum http_anomaly {
	HTTP_ANOMALY_NONE,
	HTTP_ANOMALY_LENGTH_INVALID,
	HTTP_ANOMALY_LENGTH_CONFLICT,
	HTTP_ANOMALY_LENGTH_AND_CODING,
	HTTP_ANOMALY_CODING_UNKNOWN,
	HTTP_ANOMALY_CHUNK_INVALID,
};

enum http_attribute {
	HTTP_ATTRIBUTE_CONTENT_TYPE,
	HTTP_ATTRIBUTE_INTERIM,
	HTTP_ATTRIBUTE_UPGRADE,
	HTTP_ATTRIBUTE_ANOMALY
};
extern const struct dissect_attribute http_attributes[];

/* What the lines of one head have said so far. Zero at its start. */
struct http_head {
	uint64_t content_length;
	uint32_t tag; /* request: what it says itself; response: of the request that it answers */
	uint16_t code;
	uint8_t coding, upgrade, anomaly, trace_rank;
	bool has_length, has_domain, has_forwarded, known_request;
};

/* A request line's pieces: METHOD SP target SP HTTP/d.d. */
struct http_request_line {
	struct text method, target, version;
};

#define HTTP_METHOD_MAX 32
#define HTTP_VERSION_LEN 8 /* "HTTP/1.1": a digit, a point, a digit, whichever they are (RFC 9112, 2.3) */

/* `line` without its line end. False: not a request line of HTTP/1. */
bool http_request_line_parse(struct text line, struct http_request_line *ret);
/* The beginning of one that is too long to be seen at once; there is no version in ret. */
bool http_request_line_parse_prefix(struct text line, struct http_request_line *ret);
/* The version at the end of a request line: " HTTP/d.d". Absent where there is none. */
struct text http_request_line_version(struct text line);
/* Whether the n bytes at p are a version, or begin as one does. */
bool http_version_plausible(const uint8_t *p, size_t n);
/* A status line; ret_reason may be empty. The beginning of a longer one will do. Blanks are read as generously as
 * RFC 9112, 4 allows. */
bool http_status_line_parse(struct text line, struct text *ret_version, uint16_t *ret_code, struct text *ret_reason);

/* Put what a start line says into the message; set what it says about the head. */
void http_put_request_line(struct dissect *d, struct message *m, struct http_head *h,
			   const struct http_request_line *r);
void http_put_status_line(struct dissect *d, struct message *m, struct http_head *h, struct text version, uint16_t code,
			  struct text reason);
/* One header line without its line end, unfolded. */
void http_put_request_header(struct dissect *d, struct message *m, struct http_head *h, const uint8_t *line,
			     size_t len);
void http_put_response_header(struct dissect *d, struct message *m, struct http_head *h, const uint8_t *line,
			      size_t len);
void http_put_anomaly(struct dissect *d, struct message *m, struct http_head *h, enum http_anomaly anomaly);

/* Whether a known method stands at the end of `before` (its length), else 0. */
uint32_t http_method_before(struct text before);
/* Whether `method` is one that is known. */
bool http_method_is_known(struct text method);

#endif
