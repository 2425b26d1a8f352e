/* http.c - HTTP/1.0 and HTTP/1.1: where messages begin and end (RFC 9112). What their heads say is read by http_head.c.
 *
 * Each direction is a little machine of its own. A line is consumed as soon as it is complete, so nothing is read
 * twice; how far an incomplete line was searched is remembered. A line longer than LINE_BYTES_MAX is read up to there
 * and the rest thrown away, so a head may have any size. Bodies are skipped unseen.
 *
 * After a hole, or where the start of the connection was not seen, a direction searches for its next start line: a
 * whole status line, or a request line with a known method, that a header line (or the end of the head) follows. It may
 * stand behind a body that does not end with a line end, so it is looked for in each line's last SEARCH_BYTES_MAX
 * bytes, wherever it begins there. The risk is a body that itself holds an HTTP message as text (a log, a document
 * about HTTP) just where the search goes through it; the strictness of the pattern and that it ends at the first
 * message found keep it low.
 *
 * A response whose request is unknown may answer HEAD. Where a body is announced but the next bytes are those of a
 * status line, there was none. */
#include "dissect.h"
#include "http_head.h"
#include "text_tools.h"

enum {
	LINE_BYTES_MAX = DISSECT_TEXT_MAX + 1024, /* so that what is cut is cut by text_max, which marks it */
	LINE_TAIL = 64,                           /* of a long request line: holds the version */
	SEARCH_BYTES_MAX = 4096,
	PROBE_SURE = 64, /* a request's beginning of this length will do without its line end */
	PROBE_MAX = 1024,
	PROBE_EMPTY_LINES = 8, /* bytes of empty lines before the first request */
	HEADER_NAME_MAX = 64,  /* for the search */
};
_Static_assert(LINE_BYTES_MAX + LINE_TAIL < DISSECT_BUFFER_MAX &&
		   SEARCH_BYTES_MAX + HEADER_NAME_MAX < DISSECT_BUFFER_MAX,
	       "buffer");

enum phase {
	PHASE_FRESH,      /* nothing was read yet */
	PHASE_START,      /* a start line comes, perhaps after empty lines */
	PHASE_START_REST, /* of a start line longer than LINE_BYTES_MAX */
	PHASE_SEARCH,     /* lost: looks for a start line */
	PHASE_HEAD,
	PHASE_PEEK, /* body or next response? */
	PHASE_BODY, /* `left` bytes */
	PHASE_CHUNK_SIZE,
	PHASE_CHUNK_DATA, /* `left` bytes */
	PHASE_CHUNK_END,  /* the line end behind them */
	PHASE_TRAILER,
	PHASE_UNTIL_CLOSE, /* a body without length */
	PHASE_TUNNEL,      /* another protocol, to be found out */
	PHASE_IGNORE,
};

struct side {
	struct message *message;
	uint64_t left;
	uint32_t searched; /* bytes at hand known to hold no end of the line */
	uint16_t interim;  /* server: the last 1xx before its response */
	uint8_t phase;     /* enum phase */
	bool rest;         /* the line at hand is a long one's rest */
	bool folded;       /* the line at hand has continuation lines */
	bool seen_message;
	bool waits; /* client: asked for another protocol; what comes next may be that */
	bool first; /* searching, and the line at hand is the first seen of a connection whose start was not */
	struct http_head head;
};

struct http {
	struct side side[2];
};
_Static_assert(sizeof(struct http) <= DISSECT_STATE_MAX, "state");

/* What a step says to the loop in http_parse(). */
enum step { STEP_ON, STEP_MORE };

static enum message_kind kind_of(const struct dissect *d)
{
	return d->side == SIDE_CLIENT ? MESSAGE_REQUEST : MESSAGE_RESPONSE;
}

static void enter(struct side *s, enum phase phase)
{
	s->phase = (uint8_t)phase;
	s->searched = 0;
	s->rest = s->folded = s->first = false;
}

static void finish_message(struct dissect *d, struct side *s, size_t at)
{
	dissect_end(d, s->message, kind_of(d), at);
	s->message = NULL;
	s->seen_message = true;
	enter(s, PHASE_START);
}

/* How a line is cut at the end of its first n bytes, of which the last is LF. */
static size_t without_line_end(const uint8_t *p, size_t n)
{
	n--;
	return n && p[n - 1] == '\r' ? n - 1 : n;
}

/* ---- start lines ---- */

static void begin_request(struct dissect *d, struct side *s, size_t at, const struct http_request_line *r)
{
	s->head = (struct http_head){0};
	s->message = dissect_begin(d, MESSAGE_REQUEST, 0, at);
	http_put_request_line(d, s->message, &s->head, r);
}

/* 101 is the last response of its kind; what lies outside of 100..599 is taken as 5xx (RFC 9110, 15). */
static bool code_is_interim(uint16_t code)
{
	return code >= 100 && code < 200 && code != 101;
}

static void begin_response(struct dissect *d, struct side *s, size_t at, struct text version, uint16_t code,
			   struct text reason)
{
	s->head = (struct http_head){0};
	if (code_is_interim(code)) {
		/* interim: the request's response is still to come (RFC 9110, 15.2) */
		s->head.code = s->interim = code;
		return;
	}
	const struct message *request = dissect_pending(d, 0);
	s->head.known_request = request != NULL;
	s->head.tag = request ? request->tag : 0;
	s->message = dissect_begin(d, MESSAGE_RESPONSE, 0, at);
	http_put_status_line(d, s->message, &s->head, version, code, reason);
	if (s->interim) {
		char digits[3] = {(char)('0' + s->interim / 100), (char)('0' + s->interim / 10 % 10),
				  (char)('0' + s->interim % 10)};
		message_put_attribute(d, s->message, HTTP_ATTRIBUTE_INTERIM, digits, sizeof digits);
		s->interim = 0;
	}
}

/* The line (or the beginning of a long one) is a start line, and its message has begun. */
static bool take_start_line(struct dissect *d, struct side *s, size_t at, struct text line, bool whole)
{
	if (d->side == SIDE_CLIENT) {
		struct http_request_line r;
		if (!(whole ? http_request_line_parse(line, &r) : http_request_line_parse_prefix(line, &r)))
			return false;
		begin_request(d, s, at, &r);
	} else {
		struct text version, reason;
		uint16_t code;
		if (!http_status_line_parse(line, &version, &code, &reason))
			return false;
		begin_response(d, s, at, version, code, reason);
	}
	return true;
}

/* Whether a start line may begin so. */
static bool start_is_plausible(const struct dissect *d, const uint8_t *p, size_t n)
{
	if (d->side == SIDE_SERVER)
		return http_version_plausible(p, n);
	size_t i = 0;
	while (i < n && i < HTTP_METHOD_MAX && ascii_is_token(p[i]))
		i++;
	return i == n || (i && p[i] == ' ');
}

/* Where a start line should be there is something else. The connection is followed on where this is odd, but known to
 * be HTTP: a client sent what the server rightly refuses, or more than its length said. A server whose very first bytes
 * are something else does not speak HTTP. */
static enum step no_start_line(struct dissect *d, struct side *s)
{
	const struct http *http = d->state;
	s->searched = 0;
	if (s->waits)
		return STEP_MORE;
	if (!s->seen_message && !(d->side == SIDE_CLIENT && http->side[1].phase != PHASE_FRESH)) {
		dissect_fail(d);
		return STEP_MORE;
	}
	enter(s, PHASE_SEARCH);
	return STEP_ON;
}

static enum step parse_start(struct dissect *d, struct side *s, const uint8_t *data, size_t *at, size_t len)
{
	if (!s->searched)
		while (*at < len && (data[*at] == '\r' || data[*at] == '\n'))
			++*at;
	const uint8_t *p = data + *at;
	size_t n = len - *at;
	if (!n)
		return STEP_MORE;
	const uint8_t *lf = text_find_lf(p + s->searched, n - s->searched);
	if (!lf && n <= LINE_BYTES_MAX) {
		if (!start_is_plausible(d, p, n))
			return no_start_line(d, s);
		s->searched = (uint32_t)n;
		return STEP_MORE;
	}
	if (!lf || lf - p >= LINE_BYTES_MAX) {
		if (!take_start_line(d, s, *at, text_make(p, LINE_BYTES_MAX), false))
			return no_start_line(d, s);
		*at += LINE_BYTES_MAX - LINE_TAIL;
		enter(s, PHASE_START_REST);
		return STEP_ON;
	}
	size_t size = (size_t)(lf - p) + 1;
	if (!take_start_line(d, s, *at, text_make(p, without_line_end(p, size)), true))
		return no_start_line(d, s);
	*at += size;
	enter(s, PHASE_HEAD);
	return STEP_ON;
}

static enum step parse_start_rest(struct dissect *d, struct side *s, const uint8_t *data, size_t *at, size_t len)
{
	const uint8_t *p = data + *at, *lf = text_find_lf(p + s->searched, len - *at - s->searched);
	if (!lf) {
		if (len - *at > LINE_TAIL)
			*at = len - LINE_TAIL;
		s->searched = (uint32_t)(len - *at);
		return STEP_MORE;
	}
	size_t size = (size_t)(lf - p) + 1;
	if (d->side == SIDE_CLIENT) {
		struct text version = http_request_line_version(text_make(p, without_line_end(p, size)));
		if (!version.at) {
			dissect_fail(d);
			return STEP_MORE;
		}
		message_put_text(d, s->message, REQUEST_version, version);
	}
	*at += size;
	enter(s, PHASE_HEAD);
	return STEP_ON;
}

/* ---- the end of a head ---- */

static void start_body(struct dissect *d, struct side *s, size_t at)
{
	struct http_head *h = &s->head;
	if (h->coding == HTTP_CODING_CHUNKED) {
		enter(s, PHASE_CHUNK_SIZE);
	} else if (h->coding == HTTP_CODING_OTHER || h->anomaly || (d->side == SIDE_SERVER && !h->has_length)) {
		enter(s, PHASE_UNTIL_CLOSE);
	} else {
		s->left = h->content_length;
		enter(s, PHASE_BODY);
	}
	if (s->phase == PHASE_BODY && !s->left)
		finish_message(d, s, at);
}

static void note_framing(struct dissect *d, struct side *s)
{
	struct http_head *h = &s->head;
	if (h->coding && h->has_length)
		http_put_anomaly(d, s->message, h, HTTP_ANOMALY_LENGTH_AND_CODING);
	else if (h->coding == HTTP_CODING_OTHER && d->side == SIDE_CLIENT)
		http_put_anomaly(d, s->message, h, HTTP_ANOMALY_CODING_UNKNOWN);
}

static void end_request_head(struct dissect *d, struct side *s, size_t at)
{
	struct http_head *h = &s->head;
	s->waits = (h->tag & HTTP_TAG_CONNECT) || h->tag >> HTTP_TAG_UPGRADE_SHIFT;
	note_framing(d, s);
	if (h->tag & HTTP_TAG_CONNECT)
		finish_message(d, s, at);
	else
		start_body(d, s, at);
}

static void switch_protocol(struct dissect *d, struct http *http, enum http_upgrade upgrade)
{
	const struct dissector *next = NULL;
	if (upgrade == HTTP_UPGRADE_WEBSOCKET)
		next = dissector_find("websocket");
	else if (upgrade == HTTP_UPGRADE_H2C)
		next = dissector_find("http2");
	if (next) {
		dissect_become(d, next);
		return;
	}
	enter(&http->side[0], PHASE_TUNNEL);
	enter(&http->side[1], PHASE_TUNNEL);
}

static void end_response_head(struct dissect *d, struct http *http, struct side *s, size_t at)
{
	struct http_head *h = &s->head;
	struct side *client = &http->side[0];
	unsigned asked = h->tag >> HTTP_TAG_UPGRADE_SHIFT;
	if (code_is_interim(h->code)) {
		enter(s, PHASE_START);
		return;
	}
	if (h->code == 101) {
		finish_message(d, s, at);
		switch_protocol(d, http, h->upgrade ? h->upgrade : asked);
		return;
	}
	if (h->tag & HTTP_TAG_CONNECT && h->code >= 200 && h->code < 300) {
		finish_message(d, s, at);
		switch_protocol(d, http, HTTP_UPGRADE_OTHER);
		return;
	}
	if (h->tag & HTTP_TAG_CONNECT || asked)
		client->waits = false;
	if (h->tag & HTTP_TAG_HEAD || h->code == 204 || h->code == 304) {
		finish_message(d, s, at);
		return;
	}
	note_framing(d, s);
	if (!h->known_request && (h->coding || (h->has_length && h->content_length)))
		enter(s, PHASE_PEEK);
	else
		start_body(d, s, at);
}

static enum step parse_peek(struct dissect *d, struct side *s, const uint8_t *data, size_t at, size_t len)
{
	static const char next[] = "HTTP/1.";
	size_t n = min_of(len - at, sizeof next - 1);
	if (!memcmp(data + at, next, n)) {
		if (n == sizeof next - 1) {
			finish_message(d, s, at);
			return STEP_ON;
		}
		if (s->head.coding || n < s->head.content_length)
			return STEP_MORE;
	}
	start_body(d, s, at);
	return STEP_ON;
}

/* ---- header lines ---- */

/* The line at p with its continuation lines (obs-fold): its size, line end included, or 0 where it isn't complete.
 * Whether a line goes on shows in the byte that follows. */
static size_t find_line(struct side *s, const uint8_t *p, size_t n)
{
	size_t from = s->searched;
	for (;;) {
		const uint8_t *lf = text_find_lf(p + from, n - from);
		if (!lf || (size_t)(lf - p) + 1 == n) {
			s->searched = (uint32_t)(lf ? (size_t)(lf - p) : n);
			return 0;
		}
		from = (size_t)(lf - p) + 1;
		if (lf[1] != ' ' && lf[1] != '\t') {
			s->searched = 0;
			return from;
		}
		s->folded = true;
		if (from > LINE_BYTES_MAX) {
			s->searched = (uint32_t)from;
			return 0;
		}
	}
}

static void take_header(struct dissect *d, struct side *s, const uint8_t *p, size_t n)
{
	if (d->side == SIDE_CLIENT)
		http_put_request_header(d, s->message, &s->head, p, n);
	else if (!code_is_interim(s->head.code))
		http_put_response_header(d, s->message, &s->head, p, n);
}

static __attribute__((noinline)) void take_folded_header(struct dissect *d, struct side *s, const uint8_t *p, size_t n)
{
	uint8_t line[LINE_BYTES_MAX];
	for (size_t i = 0; i < n; i++)
		line[i] = p[i] == '\r' || p[i] == '\n' ? ' ' : p[i];
	take_header(d, s, line, n);
}

/* Throws the rest of a long line away. */
static enum step skip_rest(struct side *s, const uint8_t *data, size_t *at, size_t len)
{
	for (;;) {
		const uint8_t *lf = text_find_lf(data + *at, len - *at);
		if (!lf) {
			*at = len;
			return STEP_MORE;
		}
		*at = (size_t)(lf - data);
		if (*at + 1 == len)
			return STEP_MORE;
		++*at;
		if (data[*at] != ' ' && data[*at] != '\t') {
			s->rest = false;
			return STEP_ON;
		}
	}
}

/* Reads header lines up to the empty one. STEP_ON: that was consumed. */
static enum step parse_header_lines(struct dissect *d, struct side *s, const uint8_t *data, size_t *at, size_t len)
{
	bool wanted = s->phase == PHASE_HEAD;
	while (*at < len) {
		if (unlikely(s->rest) && skip_rest(s, data, at, len) == STEP_MORE)
			return STEP_MORE;
		const uint8_t *p = data + *at;
		size_t n = len - *at;
		if (*p == '\n') {
			++*at;
			return STEP_ON;
		}
		if (*p == '\r') {
			if (n == 1)
				return STEP_MORE;
			if (p[1] == '\n') {
				*at += 2;
				return STEP_ON;
			}
		}
		size_t size = find_line(s, p, n);
		if (unlikely(!size && n <= LINE_BYTES_MAX))
			return STEP_MORE;
		bool is_long = !size || size > LINE_BYTES_MAX;
		size_t used = is_long ? LINE_BYTES_MAX : size;
		if (wanted && s->folded)
			take_folded_header(d, s, p, is_long ? used : without_line_end(p, size));
		else if (wanted)
			take_header(d, s, p, is_long ? used : without_line_end(p, size));
		s->rest = is_long;
		s->folded = false;
		s->searched = 0;
		*at += used;
	}
	return STEP_MORE;
}

/* ---- chunks ---- */

static enum step bad_chunk(struct dissect *d, struct side *s, size_t at)
{
	http_put_anomaly(d, s->message, &s->head, HTTP_ANOMALY_CHUNK_INVALID);
	finish_message(d, s, at);
	enter(s, PHASE_SEARCH);
	return STEP_ON;
}

static enum step parse_chunk_size(struct dissect *d, struct side *s, const uint8_t *data, size_t *at, size_t len)
{
	const uint8_t *p = data + *at;
	size_t n = len - *at;
	uint32_t digits;
	if (s->rest) {
		/* an extension longer than LINE_BYTES_MAX; `left` was read from its beginning */
		const uint8_t *lf = text_find_lf(p, n);
		*at = lf ? (size_t)(lf - data) + 1 : len;
		if (!lf)
			return STEP_MORE;
	} else {
		if (!n)
			return STEP_MORE;
		if (ascii_hex(*p) < 0)
			return bad_chunk(d, s, *at);
		const uint8_t *lf = text_find_lf(p + s->searched, n - s->searched);
		if (!lf && n <= LINE_BYTES_MAX) {
			s->searched = (uint32_t)n;
			return STEP_MORE;
		}
		bool is_long = !lf || lf - p >= LINE_BYTES_MAX;
		size_t size = is_long ? LINE_BYTES_MAX : (size_t)(lf - p) + 1;
		struct text line = text_make(p, is_long ? size : without_line_end(p, size));
		if (!text_hex_prefix(line, INT64_MAX / 2, &s->left, &digits)) {
			/* more than can be counted: all that comes is its data, not the next message (RFC 9112, 7.1) */
			http_put_anomaly(d, s->message, &s->head, HTTP_ANOMALY_CHUNK_INVALID);
			enter(s, PHASE_UNTIL_CLOSE);
			return STEP_ON;
		}
		char next = digits < line.len ? line.at[digits] : ';';
		if (next != ';' && next != ' ' && next != '\t')
			return bad_chunk(d, s, *at);
		*at += size;
		if (is_long) {
			s->rest = true;
			return STEP_ON;
		}
	}
	enter(s, s->left ? PHASE_CHUNK_DATA : PHASE_TRAILER);
	return STEP_ON;
}

static enum step parse_chunk_end(struct dissect *d, struct side *s, const uint8_t *data, size_t *at, size_t len)
{
	while (*at < len && data[*at] == '\r')
		++*at;
	if (*at == len)
		return STEP_MORE;
	if (data[*at] != '\n')
		return bad_chunk(d, s, *at);
	++*at;
	enter(s, PHASE_CHUNK_SIZE);
	return STEP_ON;
}

/* ---- the search for a start line ---- */

/* Where in the line (without its end) a start line begins that goes on to the line's end. */
static const char *start_line_in(const struct dissect *d, struct text line, bool first)
{
	struct http_request_line whole;
	struct text version, reason;
	uint16_t code;
	if (d->side == SIDE_SERVER) {
		const char *p = line.at, *end = line.at + line.len;
		while ((p = memmem(p, (size_t)(end - p), "HTTP/1.", 7))) {
			if (http_status_line_parse(text_make(p, (size_t)(end - p)), &version, &code, &reason))
				return p;
			p++;
		}
		return NULL;
	}
	version = http_request_line_version(line);
	if (!version.at)
		return NULL;
	/* one that fills the line may have a target with spaces in it, and, where a capture may well begin, any */
	if (http_request_line_parse(line, &whole) && http_method_is_known(whole.method) &&
	    (first || whole.target.at[0] == '/'))
		return line.at;
	line = text_trim(text_make(line.at, (size_t)(version.at - 5 - line.at)));
	const char *space = memrchr(line.at, ' ', line.len);
	if (!space || space + 1 == line.at + line.len)
		return NULL;
	struct text target = text_make(space + 1, (size_t)(line.at + line.len - space - 1));
	struct text before = text_make(line.at, (size_t)(space - line.at));
	uint32_t method = http_method_before(before);
	bool connect = method == 7 && !memcmp(space - 7, "CONNECT", 7);
	if (!method || !(connect || target.at[0] == '/' || target.at[0] == '*' || text_starts_lower(target, "http")))
		return NULL;
	return space - method;
}

/* Whether a header line or the end of a head begins at p. */
static enum dissect_verdict header_follows(const uint8_t *p, size_t n)
{
	if (!n || (n == 1 && *p == '\r'))
		return DISSECT_UNSURE;
	if (*p == '\n' || (*p == '\r' && p[1] == '\n'))
		return DISSECT_CERTAIN;
	for (size_t i = 0; i < n && i < HEADER_NAME_MAX; i++)
		if (!ascii_is_token(p[i]))
			return i && p[i] == ':' ? DISSECT_CERTAIN : DISSECT_NOT_MINE;
	return n < HEADER_NAME_MAX ? DISSECT_UNSURE : DISSECT_NOT_MINE;
}

static enum step parse_search(struct dissect *d, struct side *s, const uint8_t *data, size_t *at, size_t len)
{
	while (*at < len) {
		const uint8_t *p = data + *at, *end = data + len;
		const uint8_t *lf = text_find_lf(p + s->searched, (size_t)(end - p) - s->searched);
		if (!lf) {
			if (end - p > SEARCH_BYTES_MAX) {
				*at = len - SEARCH_BYTES_MAX;
				s->first = false;
			}
			s->searched = (uint32_t)(len - *at);
			return STEP_MORE;
		}
		if (lf - p > SEARCH_BYTES_MAX) {
			p = lf - SEARCH_BYTES_MAX;
			s->first = false;
		}
		const char *start = start_line_in(d, text_make(p, without_line_end(p, (size_t)(lf - p) + 1)), s->first);
		enum dissect_verdict v = start ? header_follows(lf + 1, (size_t)(end - lf - 1)) : DISSECT_NOT_MINE;
		s->searched = 0;
		if (v == DISSECT_NOT_MINE) {
			*at = (size_t)(lf + 1 - data);
			s->first = false;
			continue;
		}
		*at = (size_t)((const uint8_t *)start - data);
		if (v == DISSECT_UNSURE) {
			s->searched = (uint32_t)(lf - (const uint8_t *)start);
			return STEP_MORE;
		}
		enter(s, PHASE_START);
		s->seen_message = true;
		return STEP_ON;
	}
	return STEP_MORE;
}

/* ---- what follows CONNECT, or a 101 to something unknown ---- */

static enum step parse_tunnel(struct dissect *d, struct side *s, const uint8_t *data, size_t at, size_t len)
{
	size_t n = min_of(len - at, (size_t)PROBE_MAX);
	bool unsure = n == 0;
	for (unsigned i = 0; n && i < dissector_count; i++) {
		struct dissect_probe probe = {.data = data + at, .len = n, .side = d->side};
		enum dissect_verdict v = dissectors[i]->tcp ? dissectors[i]->probe(&probe) : DISSECT_NOT_MINE;
		if (v == DISSECT_CERTAIN) {
			dissect_become(d, dissectors[i]);
			return STEP_MORE;
		}
		unsure |= v == DISSECT_UNSURE;
	}
	if (unsure && n < PROBE_MAX)
		return STEP_MORE;
	enter(s, PHASE_IGNORE);
	return STEP_ON;
}

/* ---- the dissector ---- */

static uint64_t http_parse(struct dissect *d, const uint8_t *data, size_t len)
{
	struct http *http = d->state;
	struct side *s = &http->side[d->side == SIDE_SERVER];
	enum step step = STEP_ON;
	size_t at = 0;
	if (!len) /* what was skipped has passed; there may be no data to point at */
		data = (const uint8_t *)"";
	while (step == STEP_ON && !d->become) {
		switch ((enum phase)s->phase) {
		case PHASE_FRESH:
			enter(s, d->midstream ? PHASE_SEARCH : PHASE_START);
			s->first = d->midstream;
			break;
		case PHASE_START:
			step = parse_start(d, s, data, &at, len);
			break;
		case PHASE_START_REST:
			step = parse_start_rest(d, s, data, &at, len);
			break;
		case PHASE_SEARCH:
			step = parse_search(d, s, data, &at, len);
			break;
		case PHASE_HEAD:
			step = parse_header_lines(d, s, data, &at, len);
			if (step == STEP_ON && d->side == SIDE_CLIENT)
				end_request_head(d, s, at);
			else if (step == STEP_ON)
				end_response_head(d, http, s, at);
			break;
		case PHASE_PEEK:
			step = at < len ? parse_peek(d, s, data, at, len) : STEP_MORE;
			break;
		case PHASE_BODY:
		case PHASE_CHUNK_DATA:
			if (s->left > len - at) {
				/* the rest is skipped; parse is called again when it has passed */
				uint64_t to = at + s->left;
				s->left = 0;
				return to;
			}
			at += s->left;
			s->left = 0;
			if (s->phase == PHASE_BODY)
				finish_message(d, s, at);
			else
				enter(s, PHASE_CHUNK_END);
			break;
		case PHASE_CHUNK_SIZE:
			step = parse_chunk_size(d, s, data, &at, len);
			break;
		case PHASE_CHUNK_END:
			step = parse_chunk_end(d, s, data, &at, len);
			break;
		case PHASE_TRAILER:
			step = parse_header_lines(d, s, data, &at, len);
			if (step == STEP_ON)
				finish_message(d, s, at);
			break;
		case PHASE_UNTIL_CLOSE:
		case PHASE_IGNORE:
			return DISSECT_ALL;
		case PHASE_TUNNEL:
			step = parse_tunnel(d, s, data, at, len);
			break;
		}
	}
	return at;
}

static void http_gap(struct dissect *d, uint64_t missing)
{
	struct http *http = d->state;
	struct side *s = &http->side[d->side == SIDE_SERVER];
	switch ((enum phase)s->phase) {
	case PHASE_UNTIL_CLOSE:
	case PHASE_IGNORE:
		dissect_keep(d);
		return;
	case PHASE_TUNNEL:
		enter(s, PHASE_IGNORE);
		return;
	case PHASE_PEEK:
		if (!s->head.coding && missing <= s->head.content_length) {
			s->left = s->head.content_length - missing;
			enter(s, PHASE_BODY);
			dissect_keep(d);
			return;
		}
		break;
	case PHASE_BODY:
	case PHASE_CHUNK_DATA:
		if (missing <= s->left) {
			s->left -= missing;
			dissect_keep(d);
			return;
		}
		break;
	default:
		break;
	}
	s->message = NULL;
	s->interim = 0;
	s->seen_message = true;
	enter(s, PHASE_SEARCH);
}

static void http_close(struct dissect *d)
{
	struct http *http = d->state;
	struct side *s = &http->side[d->side == SIDE_SERVER];
	if (s->phase == PHASE_UNTIL_CLOSE)
		finish_message(d, s, 0);
}

/* Of a direction's first bytes, without empty lines. */
static enum dissect_verdict probe_request(const uint8_t *p, size_t n)
{
	size_t method = 0;
	while (method < n && method <= HTTP_METHOD_MAX && ascii_is_token(p[method]))
		method++;
	if (!method || method > HTTP_METHOD_MAX)
		return DISSECT_NOT_MINE;
	if (method == n)
		return DISSECT_UNSURE;
	if (p[method] != ' ')
		return DISSECT_NOT_MINE;
	const uint8_t *lf = text_find_lf(p, min_of(n, (size_t)PROBE_MAX));
	if (lf) {
		struct http_request_line r;
		size_t size = (size_t)(lf - p) + 1;
		return http_request_line_parse(text_make(p, without_line_end(p, size)), &r) ? DISSECT_CERTAIN
											    : DISSECT_NOT_MINE;
	}
	if (n < PROBE_SURE)
		return DISSECT_UNSURE;
	/* SIP, RTSP and ICAP look the same but for the target */
	struct text target = text_make(p + method + 1, n - method - 1);
	bool is_path = target.at[0] == '/' || text_starts_lower(target, "http");
	if (is_path && http_method_is_known(text_make(p, method)))
		return DISSECT_CERTAIN;
	return is_path && n < PROBE_MAX ? DISSECT_UNSURE : DISSECT_NOT_MINE;
}

static enum dissect_verdict probe_response(const uint8_t *p, size_t n)
{
	struct text version, reason;
	uint16_t code;
	if (!http_version_plausible(p, n))
		return DISSECT_NOT_MINE;
	size_t at = HTTP_VERSION_LEN;
	while (at < n && (p[at] == ' ' || p[at] == '\t'))
		at++;
	at += 3;
	if (n <= at)
		return n < PROBE_SURE ? DISSECT_UNSURE : DISSECT_NOT_MINE;
	bool ends = p[at] == '\r' || p[at] == '\n';
	return http_status_line_parse(text_make(p, ends ? at : at + 1), &version, &code, &reason) ? DISSECT_CERTAIN
												  : DISSECT_NOT_MINE;
}

static enum dissect_verdict http_probe(struct dissect_probe *p)
{
	size_t empty = 0;
	while (empty < p->len && empty < PROBE_EMPTY_LINES && (p->data[empty] == '\r' || p->data[empty] == '\n'))
		empty++;
	enum dissect_verdict v = DISSECT_UNSURE;
	const uint8_t *start = p->data + empty;
	size_t n = p->len - empty;
	if (n && ascii_is_token(*start)) {
		v = *start == 'H' ? probe_response(start, n) : DISSECT_NOT_MINE;
		if (v == DISSECT_CERTAIN) {
			p->ret_side = SIDE_SERVER;
			return v;
		}
		if (v == DISSECT_NOT_MINE) {
			v = probe_request(start, n);
			if (v == DISSECT_CERTAIN)
				p->ret_side = SIDE_CLIENT;
		}
	} else if (n) {
		v = DISSECT_NOT_MINE;
	}
	return v;
}

const struct dissector dissector_http = {
    .name = "http",
    .title = "HTTP",
    .ports = "80,8000-8080",
    .pairing = PAIR_IN_ORDER,
    .tcp = true,
    .state_size = sizeof(struct http),
    .probe = http_probe,
    .parse = http_parse,
    .gap = http_gap,
    .close = http_close,
    .attributes = http_attributes,
};
