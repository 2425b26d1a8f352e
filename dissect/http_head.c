#include "http_head.h"

#include "trace_context.h"

const struct dissect_attribute http_attributes[] = {
    [HTTP_ATTRIBUTE_CONTENT_TYPE] = {"http.content_type", false, "Content-Type of the response"},
    [HTTP_ATTRIBUTE_INTERIM] = {"http.interim", true, "Status of the last interim response (1xx) before the response"},
    [HTTP_ATTRIBUTE_UPGRADE] = {"http.upgrade", false, "Protocol that the connection was switched to (101)"},
    [HTTP_ATTRIBUTE_ANOMALY] = {"http.anomaly", false, "What is wrong with the message's framing"},
    {NULL, false, NULL},
};

static const char *const anomaly_names[] = {
    [HTTP_ANOMALY_LENGTH_INVALID] = "content_length_invalid",
    [HTTP_ANOMALY_LENGTH_CONFLICT] = "content_length_conflict",
    [HTTP_ANOMALY_LENGTH_AND_CODING] = "content_length_and_transfer_encoding",
    [HTTP_ANOMALY_CODING_UNKNOWN] = "transfer_encoding_not_chunked",
    [HTTP_ANOMALY_CHUNK_INVALID] = "chunk_invalid",
};

/* RFC 9110, 5789, 4918, 3253, 3648, 3744, 4791, 5323, 5842, 2068, UPnP's GENA, and PURGE, which caches know. */
static const struct text known_methods[] = {
    TEXT("GET"),
    TEXT("POST"),
    TEXT("HEAD"),
    TEXT("PUT"),
    TEXT("DELETE"),
    TEXT("OPTIONS"),
    TEXT("CONNECT"),
    TEXT("PATCH"),
    TEXT("TRACE"),
    TEXT("PROPFIND"),
    TEXT("PROPPATCH"),
    TEXT("MKCOL"),
    TEXT("COPY"),
    TEXT("MOVE"),
    TEXT("LOCK"),
    TEXT("UNLOCK"),
    TEXT("SEARCH"),
    TEXT("REPORT"),
    TEXT("MERGE"),
    TEXT("CHECKOUT"),
    TEXT("CHECKIN"),
    TEXT("UNCHECKOUT"),
    TEXT("UPDATE"),
    TEXT("LABEL"),
    TEXT("MKWORKSPACE"),
    TEXT("MKACTIVITY"),
    TEXT("MKCALENDAR"),
    TEXT("BASELINE-CONTROL"),
    TEXT("VERSION-CONTROL"),
    TEXT("ORDERPATCH"),
    TEXT("ACL"),
    TEXT("BIND"),
    TEXT("REBIND"),
    TEXT("UNBIND"),
    TEXT("LINK"),
    TEXT("UNLINK"),
    TEXT("SUBSCRIBE"),
    TEXT("UNSUBSCRIBE"),
    TEXT("NOTIFY"),
    TEXT("M-SEARCH"),
    TEXT("PURGE"),
    TEXT("QUERY"),
};

bool http_method_is_known(struct text method)
{
	for (size_t i = 0; i < array_size(known_methods); i++)
		if (method.len == known_methods[i].len && !memcmp(method.at, known_methods[i].at, method.len))
			return true;
	return false;
}

uint32_t http_method_before(struct text before)
{
	uint32_t longest = 0;
	for (size_t i = 0; i < array_size(known_methods); i++) {
		struct text k = known_methods[i];
		if (k.len > longest && before.len >= k.len && !memcmp(before.at + before.len - k.len, k.at, k.len))
			longest = k.len;
	}
	/* the end of a longer word is no method */
	if (longest && longest < before.len && ascii_is_token((uint8_t)before.at[before.len - longest - 1]))
		return 0;
	return longest;
}

bool http_version_plausible(const uint8_t *p, size_t n)
{
	return !memcmp(p, "HTTP/", min_of(n, (size_t)5)) && (n < 6 || ascii_is_digit(p[5])) && (n < 7 || p[6] == '.') &&
	       (n < 8 || ascii_is_digit(p[7]));
}

struct text http_request_line_version(struct text line)
{
	while (line.len && (line.at[line.len - 1] == ' ' || line.at[line.len - 1] == '\t'))
		line.len--;
	if (line.len <= HTTP_VERSION_LEN)
		return (struct text){0};
	const char *v = line.at + line.len - HTTP_VERSION_LEN;
	if (!http_version_plausible((const uint8_t *)v, HTTP_VERSION_LEN) || (v[-1] != ' ' && v[-1] != '\t'))
		return (struct text){0};
	return text_make(v + 5, 3);
}

bool http_request_line_parse_prefix(struct text line, struct http_request_line *ret)
{
	uint32_t n = 0;
	while (n < line.len && n < HTTP_METHOD_MAX && ascii_is_token((uint8_t)line.at[n]))
		n++;
	if (!n || n == line.len || line.at[n] != ' ')
		return false;
	ret->method = text_make(line.at, n);
	ret->target = text_trim(text_make(line.at + n, line.len - n));
	ret->version = (struct text){0};
	return ret->target.len > 0;
}

bool http_request_line_parse(struct text line, struct http_request_line *ret)
{
	struct text version = http_request_line_version(line);
	if (!version.at)
		return false;
	/* the target may hold spaces: clients that do not escape them exist */
	line.len = (uint32_t)(version.at - 5 - line.at);
	if (!http_request_line_parse_prefix(line, ret))
		return false;
	ret->version = version;
	/* the preface of HTTP/2 looks like a request, but its method is kept for that alone (RFC 9113, 3.4) */
	return !text_is(ret->method, "PRI");
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool http_status_line_parse(struct text line, struct text *ret_version, uint16_t *ret_code, struct text *ret_reason)
{
	const char *p = line.at;
	uint32_t at = HTTP_VERSION_LEN;
	if (line.len <= at || !http_version_plausible((const uint8_t *)p, at))
		return false;
	while (at < line.len && is_blank(p[at]))
		at++;
	if (at == HTTP_VERSION_LEN || line.len - at < 3)
		return false;
	unsigned a = (uint8_t)p[at] - '0', b = (uint8_t)p[at + 1] - '0', c = (uint8_t)p[at + 2] - '0';
	at += 3;
	/* a CR alone counts as a space (RFC 9112, 2.2) */
	if (a > 9 || b > 9 || c > 9 || (at < line.len && !is_blank(p[at]) && p[at] != '\r'))
		return false;
	*ret_version = text_make(p + 5, 3);
	*ret_code = (uint16_t)(a * 100 + b * 10 + c);
	*ret_reason = text_trim(text_make(p + at, line.len - at));
	return true;
}

/* Room for one byte more than a text may have, so that the session sees that it was cut. */
#define SCRATCH_BYTES (DISSECT_TEXT_MAX + 1)

static __attribute__((noinline)) void put_hidden(struct dissect *d, struct message *m, enum request_field field,
						 struct text url)
{
	char scratch[SCRATCH_BYTES];
	struct text hidden;
	text_hide_query(url, scratch, sizeof scratch, &hidden);
	message_put_text(d, m, field, hidden);
}

static void put_url(struct dissect *d, struct message *m, enum request_field field, struct text url)
{
	if (d->settings->obfuscate & UINT64_C(1) << OBFUSCATE_HTTP)
		put_hidden(d, m, field, url);
	else
		message_put_text(d, m, field, url);
}

static __attribute__((noinline)) void put_template(struct dissect *d, struct message *m, struct text path)
{
	char scratch[SCRATCH_BYTES];
	struct text template;
	text_path_template(path, scratch, sizeof scratch, &template);
	message_put_text(d, m, REQUEST_endpoint, template);
}

static void put_resource(struct dissect *d, struct message *m, struct text resource)
{
	put_url(d, m, REQUEST_request_resource, resource);
	struct text path = text_make(resource.at, text_find(resource, '?'));
	if (text_has_digit(path))
		put_template(d, m, path);
	else
		message_put_text(d, m, REQUEST_endpoint, path);
}

/* scheme://[userinfo@]host[:port]/path?query: *ret_domain without the userinfo, and the rest. */
static bool split_absolute(struct text target, struct text *ret_domain, struct text *ret_resource)
{
	uint32_t colon = text_find(target, ':');
	if (!colon || target.len < colon + 3 || memcmp(target.at + colon, "://", 3))
		return false;
	for (uint32_t i = 0; i < colon; i++)
		if (!ascii_is_token((uint8_t)target.at[i]))
			return false;
	struct text rest = text_make(target.at + colon + 3, target.len - colon - 3);
	uint32_t end = min_of(text_find(rest, '/'), text_find(rest, '?'));
	struct text domain = text_make(rest.at, end);
	uint32_t userinfo;
	while ((userinfo = text_find(domain, '@')) < domain.len)
		domain = text_make(domain.at + userinfo + 1, domain.len - userinfo - 1);
	*ret_domain = domain;
	*ret_resource = end < rest.len ? text_make(rest.at + end, rest.len - end) : TEXT("/");
	return true;
}

void http_put_request_line(struct dissect *d, struct message *m, struct http_head *h, const struct http_request_line *r)
{
	struct text domain, resource;
	if (text_is(r->method, "HEAD"))
		h->tag = HTTP_TAG_HEAD;
	else if (text_is(r->method, "CONNECT"))
		h->tag = HTTP_TAG_CONNECT;
	if (m)
		m->tag = h->tag;
	if (r->version.at)
		message_put_text(d, m, REQUEST_version, r->version);
	message_put_text(d, m, REQUEST_request_type, r->method);
	if (r->target.at[0] == '/') {
		put_resource(d, m, r->target);
	} else if (h->tag == HTTP_TAG_CONNECT) {
		h->has_domain = true;
		message_put_text(d, m, REQUEST_request_domain, r->target);
		message_put_text(d, m, REQUEST_request_resource, r->target);
	} else if (split_absolute(r->target, &domain, &resource)) {
		h->has_domain = domain.len > 0;
		if (domain.len)
			message_put_text(d, m, REQUEST_request_domain, domain);
		put_resource(d, m, resource);
	} else {
		put_resource(d, m, r->target);
	}
}

void http_put_status_line(struct dissect *d, struct message *m, struct http_head *h, struct text version, uint16_t code,
			  struct text reason)
{
	h->code = code;
	message_set_code(m, code);
	/* a code that no class knows counts as 5xx (RFC 9110, 15) */
	message_set_status(m, code < 100 || code >= 500 ? STATUS_SERVER_ERROR
			      : code < 400              ? STATUS_OK
							: STATUS_CLIENT_ERROR);
	if (!h->known_request)
		message_put_text(d, m, REQUEST_version, version);
	if (code >= 400 && reason.len)
		message_put_text(d, m, REQUEST_response_exception, reason);
}

void http_put_anomaly(struct dissect *d, struct message *m, struct http_head *h, enum http_anomaly anomaly)
{
	if (h->anomaly)
		return;
	h->anomaly = (uint8_t)anomaly;
	message_put_attribute(d, m, HTTP_ATTRIBUTE_ANOMALY, anomaly_names[anomaly], strlen(anomaly_names[anomaly]));
}

/* Eight characters at a time. Setting the bit that tells the cases apart maps letters, digits and '-' as wanted, and
 * some control characters, which no header name holds, onto them. */
static inline __attribute__((always_inline)) bool name_equal(const uint8_t *p, const char *lower, size_t len)
{
	size_t i = 0;
	for (; i + 8 <= len; i += 8)
		if ((load_le64(p + i) | UINT64_C(0x2020202020202020)) != load_le64(lower + i))
			return false;
	for (; i < len; i++)
		if ((p[i] | 0x20) != (uint8_t)lower[i])
			return false;
	return true;
}

/* Whether the line is of the header `lower` (of len characters), and its value. */
static inline __attribute__((always_inline)) bool header_is(const uint8_t *line, size_t n, const char *lower,
							    size_t len, struct text *ret_value)
{
	if (n <= len || (line[len] != ':' && line[len] != ' ' && line[len] != '\t') || !name_equal(line, lower, len))
		return false;
	/* a space before the colon is against the rules (RFC 9112, 5.1), but those who accept it see the header */
	while (len < n && (line[len] == ' ' || line[len] == '\t'))
		len++;
	if (len == n || line[len] != ':')
		return false;
	*ret_value = text_trim(text_make(line + len + 1, n - len - 1));
	return true;
}
#define HEADER(literal) header_is(line, len, literal, sizeof(literal) - 1, &v)

static void read_content_length(struct dissect *d, struct message *m, struct http_head *h, struct text v)
{
	/* a list of equal values is one value (RFC 9110, 8.6) */
	do {
		uint64_t n;
		if (!text_decimal(text_trim(text_split(&v, ',')), INT64_MAX / 2, &n)) {
			http_put_anomaly(d, m, h, HTTP_ANOMALY_LENGTH_INVALID);
		} else if (h->has_length && n != h->content_length) {
			http_put_anomaly(d, m, h, HTTP_ANOMALY_LENGTH_CONFLICT);
		} else {
			h->content_length = n;
			h->has_length = true;
		}
	} while (v.at);
}

static void read_transfer_encoding(struct http_head *h, struct text v)
{
	/* the last coding of the last line decides */
	do {
		struct text item = text_split(&v, ',');
		item = text_trim(text_split(&item, ';'));
		if (text_is_lower(item, "chunked"))
			h->coding = HTTP_CODING_CHUNKED;
		else if (item.len && !text_is_lower(item, "identity"))
			h->coding = HTTP_CODING_OTHER;
	} while (v.at);
}

static void read_upgrade(struct http_head *h, struct text v)
{
	/* a client may offer several; what it is asked for first counts where the answer does not say */
	struct text first = text_trim(text_split(&v, ','));
	if (h->upgrade || !first.len)
		return;
	h->upgrade = text_is_lower(first, "websocket") ? HTTP_UPGRADE_WEBSOCKET
		     : text_is_lower(first, "h2c")     ? HTTP_UPGRADE_H2C
						       : HTTP_UPGRADE_OTHER;
}

static void put_trace(struct dissect *d, struct message *m, struct http_head *h, enum trace_rank rank,
		      const struct trace_ids *ids)
{
	if (h->trace_rank > rank)
		return;
	h->trace_rank = (uint8_t)rank;
	if (ids->trace_id.at)
		message_put_text(d, m, REQUEST_trace_id, ids->trace_id);
	if (ids->span_id.at)
		message_put_text(d, m, REQUEST_span_id, ids->span_id);
}

static __attribute__((noinline)) void read_sw8(struct dissect *d, struct message *m, struct http_head *h, struct text v)
{
	char scratch[TRACE_SCRATCH];
	struct trace_ids ids;
	if (trace_parse_sw8(v, scratch, &ids))
		put_trace(d, m, h, TRACE_SW8, &ids);
}

static void request_header_x(struct dissect *d, struct message *m, struct http_head *h, const uint8_t *line, size_t len)
{
	struct text v;
	if (HEADER("x-request-id")) {
		if (v.len) {
			h->tag |= HTTP_TAG_X_REQUEST_ID;
			if (m)
				m->tag = h->tag;
			message_put_text(d, m, REQUEST_x_request_id, v);
		}
	} else if (HEADER("x-forwarded-for")) {
		struct text first = text_trim(text_split(&v, ','));
		if (first.len && !h->has_forwarded) {
			h->has_forwarded = true;
			message_put_text(d, m, REQUEST_client_ip_forwarded, first);
		}
	} else if (HEADER("x-b3-traceid")) {
		if (trace_is_b3_id(v, 32))
			put_trace(d, m, h, TRACE_B3_MULTI, &(struct trace_ids){.trace_id = v});
	} else if (HEADER("x-b3-spanid")) {
		if (trace_is_b3_id(v, 16))
			put_trace(d, m, h, TRACE_B3_MULTI, &(struct trace_ids){.span_id = v});
	}
}

void http_put_request_header(struct dissect *d, struct message *m, struct http_head *h, const uint8_t *line, size_t len)
{
	struct trace_ids ids;
	struct text v;
	switch (len ? line[0] | 0x20 : 0) {
	case 'h':
		if (HEADER("host") && v.len && !h->has_domain) {
			h->has_domain = true;
			message_put_text(d, m, REQUEST_request_domain, v);
		}
		break;
	case 'c':
		if (HEADER("content-length"))
			read_content_length(d, m, h, v);
		break;
	case 't':
		if (HEADER("transfer-encoding"))
			read_transfer_encoding(h, v);
		else if (HEADER("traceparent") && trace_parse_w3c(v, &ids))
			put_trace(d, m, h, TRACE_W3C, &ids);
		break;
	case 'u':
		if (HEADER("user-agent")) {
			if (v.len)
				message_put_text(d, m, REQUEST_user_agent, v);
		} else if (HEADER("upgrade")) {
			read_upgrade(h, v);
			h->tag |= (uint32_t)h->upgrade << HTTP_TAG_UPGRADE_SHIFT;
			if (m)
				m->tag = h->tag;
		} else if (HEADER("uber-trace-id") && trace_parse_uber(v, &ids)) {
			put_trace(d, m, h, TRACE_UBER, &ids);
		}
		break;
	case 'r':
		if (HEADER("referer") && v.len)
			put_url(d, m, REQUEST_referer, v);
		break;
	case 's':
		if (HEADER("sw8"))
			read_sw8(d, m, h, v);
		break;
	case 'b':
		if (HEADER("b3") && trace_parse_b3(v, &ids))
			put_trace(d, m, h, TRACE_B3, &ids);
		break;
	case 'x':
		request_header_x(d, m, h, line, len);
		break;
	default:
		break;
	}
}

void http_put_response_header(struct dissect *d, struct message *m, struct http_head *h, const uint8_t *line,
			      size_t len)
{
	struct text v;
	switch (len ? line[0] | 0x20 : 0) {
	case 'c':
		if (HEADER("content-length"))
			read_content_length(d, m, h, v);
		else if (HEADER("content-type") && v.len)
			message_put_attribute(d, m, HTTP_ATTRIBUTE_CONTENT_TYPE, v.at, v.len);
		break;
	case 't':
		if (HEADER("transfer-encoding"))
			read_transfer_encoding(h, v);
		break;
	case 'u':
		if (h->code == 101 && HEADER("upgrade")) {
			read_upgrade(h, v);
			message_put_attribute(d, m, HTTP_ATTRIBUTE_UPGRADE, v.at, v.len);
		}
		break;
	case 'x':
		/* where the server made one up */
		if (!(h->tag & HTTP_TAG_X_REQUEST_ID) && HEADER("x-request-id") && v.len)
			message_put_text(d, m, REQUEST_x_request_id, v);
		break;
	default:
		break;
	}
}
