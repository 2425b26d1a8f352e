/* kafka.c - Kafka: frames of requests and responses.
 *
 * Each frame tells its size. Its header is read at once, of its body only the beginning (VIEW_BYTES), which holds
 * topics, groups and most error codes; the rest is skipped unseen. A hole within a frame changes nothing but that its
 * body may not be read.
 *
 * A response tells nothing but its correlation id; key and version of the request with that id say how to read it. The
 * first error code in the body that is not 0 is the response's code, be it that of a topic, of a partition or of the
 * whole; kafka_error_is_servers() says whose fault it is. A response whose layout is not known has no status.
 *
 * Produce with acks=0 gets no response and leaves unpaired. After SaslHandshake of version 0 come tokens of the SASL
 * mechanism, in frames without header, one of the server for each of the client: they are passed over.
 *
 * After a hole that is not within a frame. A request is looked for at every byte: a header with the client id that this
 * connection has, or one whose whole body is laid out as it should be. A response: a correlation id that is waited
 * for, in a frame whose whole body is laid out as the answer to that request; or, with any body, in the first bytes
 * that the server sends after the client has sent a request. Where a client gives the same id to one request after the
 * other, its responses are not paired any more after a loss. */
#include "kafka_api.h"

enum {
	VIEW_BYTES = 16 * 1024,
	SEARCH_BYTES_MAX = 4096, /* of a body that must be seen as a whole */
	EVIDENCE_BYTES = 32,     /* of a body that is not */
	IDS_BACK = 4096,         /* a response does not come so many requests late */
	SIZE_BYTES = 4,
	RESPONSE_HEADER = 8,
};

enum kafka_attribute { ATTRIBUTE_CLIENT_ID, ATTRIBUTE_GROUP, ATTRIBUTE_PARTITION, ATTRIBUTE_TOPICS };

static const struct dissect_attribute attributes[] = {
    [ATTRIBUTE_CLIENT_ID] = {"kafka.client_id", false, "Client id of the request"},
    [ATTRIBUTE_GROUP] = {"kafka.group", false, "Consumer group"},
    [ATTRIBUTE_PARTITION] = {"kafka.partition", true, "First partition"},
    [ATTRIBUTE_TOPICS] = {"kafka.topics", true, "Number of topics"},
    {0},
};

enum phase {
	PHASE_FRESH,
	PHASE_FRAME, /* a frame begins */
	PHASE_BODY,  /* its header was read; `left` bytes follow */
	PHASE_SKIP,  /* `left` bytes pass unseen */
	PHASE_SEARCH,
};

struct side {
	struct message *message;
	uint32_t left;
	uint32_t tag;      /* of the request at hand, or that the response at hand answers */
	uint32_t retained; /* bytes that were not consumed */
	uint8_t phase;     /* enum phase */
};

struct kafka {
	struct side side[2];
	uint32_t client_hash; /* of the client id; 0: none yet */
	uint32_t correlation; /* of the last request */
	uint32_t mark;        /* server: bytes that had come before the client asked */
	uint32_t tokens;      /* SASL tokens of the client that the server has not answered */
	bool asked;           /* server, searching: the client has sent a request, the response may begin at mark */
	bool has_correlation, repeats; /* repeats: one id for several requests */
	bool sasl, acks_none, lossy;
};
_Static_assert(sizeof(struct kafka) <= DISSECT_STATE_MAX, "state");

/* What a request tells its response. */
enum { TAG_KNOWN = 1 << 16, TAG_TOPIC = 1 << 17 };

enum step { STEP_ON, STEP_MORE };

static enum message_kind kind_of(const struct dissect *d)
{
	return d->side == SIDE_CLIENT ? MESSAGE_REQUEST : MESSAGE_RESPONSE;
}

static enum step lost(struct dissect *d, struct kafka *k, struct side *s)
{
	if (!k->lossy) {
		dissect_fail(d);
		return STEP_MORE;
	}
	s->phase = PHASE_SEARCH;
	k->asked &= d->side == SIDE_CLIENT;
	return STEP_ON;
}

static void end_frame(struct dissect *d, struct side *s, size_t at)
{
	dissect_end(d, s->message, kind_of(d), at);
	s->message = NULL;
	s->phase = PHASE_FRAME;
}

/* ---- what a body says ---- */

static struct text decimal(char out[12], int64_t value)
{
	char digits[12];
	size_t n = 0, at = 0;
	uint64_t left = value < 0 ? (uint64_t)-value : (uint64_t)value;
	if (value < 0)
		out[at++] = '-';
	do
		digits[n++] = (char)('0' + left % 10);
	while (left /= 10);
	while (n)
		out[at++] = digits[--n];
	return text_make(out, at);
}

/* As 8-4-4-4-12 hexadecimal digits. */
static struct text uuid(char out[36], const uint8_t *p)
{
	static const char hex[] = "0123456789abcdef";
	size_t at = 0;
	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[at++] = '-';
		out[at++] = hex[p[i] >> 4];
		out[at++] = hex[p[i] & 15];
	}
	return text_make(out, at);
}

static void put_fields(struct dissect *d, struct side *s, const struct kafka_fields *f, bool names)
{
	struct message *m = s->message;
	char id[36], number[12];
	bool hide = d->settings->obfuscate >> OBFUSCATE_KAFKA & 1;
	struct text topic = f->topic, group = f->group, key = f->key;
	if (!topic.at && f->topic_id)
		topic = uuid(id, f->topic_id);
	if (hide) {
		topic = topic.at ? TEXT("?") : topic;
		group = group.at ? TEXT("?") : group;
		key = key.at ? TEXT("?") : key;
	}
	struct text resource = topic.at ? topic : group.at ? group : key;
	if (names && topic.at) {
		message_put_text(d, m, REQUEST_request_domain, topic);
		s->tag |= TAG_TOPIC;
	}
	if (names && resource.at) {
		message_put_text(d, m, REQUEST_request_resource, resource);
		message_put_text(d, m, REQUEST_endpoint, resource);
	}
	if (names && group.at)
		message_put_attribute(d, m, ATTRIBUTE_GROUP, group.at, group.len);
	if (names && f->has_partition) {
		struct text t = decimal(number, f->partition);
		message_put_attribute(d, m, ATTRIBUTE_PARTITION, t.at, t.len);
	}
	if (names && f->topics) {
		struct text t = decimal(number, f->topics);
		message_put_attribute(d, m, ATTRIBUTE_TOPICS, t.at, t.len);
	}
}

static void put_error(struct dissect *d, struct message *m, const struct kafka_fields *f)
{
	char number[12];
	const char *name = kafka_error_name(f->error);
	if (f->has_error)
		message_set_code(m, f->error);
	if (!f->error) {
		message_set_status(m, STATUS_OK);
		return;
	}
	message_set_status(m, kafka_error_is_servers(f->error) ? STATUS_SERVER_ERROR : STATUS_CLIENT_ERROR);
	message_put_text(d, m, REQUEST_response_exception,
			 name ? text_make(name, strlen(name)) : decimal(number, f->error));
	if (f->message.at)
		message_put_text(d, m, REQUEST_response_result, f->message);
}

static void leave_unpaired(struct dissect *d, struct side *s)
{
	dissect_unpaired(d, s->message);
}

/* `seen` bytes of the body are at hand. */
static void read_body(struct dissect *d, struct kafka *k, struct side *s, const uint8_t *p, size_t seen)
{
	struct kafka_fields f;
	bool request = d->side == SIDE_CLIENT;
	unsigned key = s->tag >> 8 & 0xff, version = s->tag & 0xff;
	const struct kafka_api *api = s->tag & TAG_KNOWN ? kafka_api_find(key) : NULL;
	const char *layout = !api ? NULL : request ? api->request : api->response;
	if (!layout || version > api->version_max)
		return;
	bool flexible = kafka_is_flexible(api, version);
	bool tags = flexible && (request || key != KAFKA_API_VERSIONS);
	/* what could be seen before something was wrong may be wrong, too */
	if (kafka_walk(layout, version, flexible, tags, p, seen, s->left - seen, &f) == KAFKA_WALKED_WRONG)
		return;
	put_fields(d, s, &f, request || !(s->tag & TAG_TOPIC));
	if (s->message && request)
		s->message->tag = s->tag;
	if (!request)
		put_error(d, s->message, &f);
	if (request && key == KAFKA_PRODUCE) {
		k->acks_none = !f.acks;
		if (k->acks_none)
			leave_unpaired(d, s);
		if (f.records.at)
			kafka_put_trace(d, s->message, f.records);
	}
}

/* ---- frames ---- */

static void put_request_header(struct dissect *d, struct message *m, const struct kafka_request *q)
{
	char number[12];
	message_put_text(d, m, REQUEST_version, decimal(number, q->version));
	message_put(d, m, REQUEST_request_type, q->api->name, strlen(q->api->name));
	message_put_text(d, m, REQUEST_request_id, decimal(number, (int32_t)q->correlation));
	if (q->client.at)
		message_put_attribute(d, m, ATTRIBUTE_CLIENT_ID, q->client.at, q->client.len);
}

static uint32_t hash_client(struct text t)
{
	uint32_t hash = 2166136261;
	for (uint32_t i = 0; i < t.len; i++)
		hash = (hash ^ (uint8_t)t.at[i]) * 16777619;
	return hash | 1;
}

static void begin_request(struct dissect *d, struct kafka *k, struct side *s, size_t at, const struct kafka_request *q)
{
	s->message = dissect_begin(d, MESSAGE_REQUEST, q->correlation, at);
	s->tag = TAG_KNOWN | (uint32_t)q->key << 8 | q->version;
	if (s->message)
		s->message->tag = s->tag;
	put_request_header(d, s->message, q);
	k->repeats |= k->has_correlation && q->correlation == k->correlation;
	k->correlation = q->correlation;
	k->has_correlation = true;
	if (q->client.len)
		k->client_hash = hash_client(q->client);
	k->sasl |= q->key == KAFKA_SASL_HANDSHAKE && !q->version;
	if ((k->side[1].phase == PHASE_SEARCH || k->side[1].phase == PHASE_FRESH) && !k->asked) {
		k->asked = true;
		k->mark = k->side[1].retained;
	}
}

static enum step parse_request(struct dissect *d, struct kafka *k, struct side *s, const uint8_t *data, size_t *at,
			       size_t len)
{
	struct kafka_request q;
	const uint8_t *p = data + *at;
	switch (kafka_request_read(p, len - *at, &q)) {
	case DISSECT_UNSURE:
		return STEP_MORE;
	case DISSECT_NOT_MINE:
		if (!k->sasl || len - *at < SIZE_BYTES || load_be32(p) > KAFKA_FRAME_MAX)
			return lost(d, k, s);
		k->tokens++;
		s->left = load_be32(p);
		*at += SIZE_BYTES;
		s->phase = PHASE_SKIP;
		return STEP_ON;
	case DISSECT_CERTAIN:
		break;
	}
	begin_request(d, k, s, *at, &q);
	*at += q.header;
	s->left = q.size + SIZE_BYTES - q.header;
	s->phase = PHASE_BODY;
	return STEP_ON;
}

static enum step parse_response(struct dissect *d, struct kafka *k, struct side *s, const uint8_t *data, size_t *at,
				size_t len)
{
	const uint8_t *p = data + *at;
	if (len - *at < RESPONSE_HEADER)
		return STEP_MORE;
	uint32_t size = load_be32(p), id = load_be32(p + SIZE_BYTES);
	if (size > KAFKA_FRAME_MAX || (size < 4 && !k->tokens))
		return lost(d, k, s);
	if (k->tokens) {
		k->tokens--;
		*at += SIZE_BYTES;
		s->left = size;
		s->phase = PHASE_SKIP;
		return STEP_ON;
	}
	bool ambiguous = k->lossy && k->repeats;
	const struct message *request = ambiguous ? NULL : dissect_pending(d, id);
	s->tag = request ? request->tag : 0;
	s->message = dissect_begin(d, MESSAGE_RESPONSE, ambiguous ? DISSECT_PUSH : id, *at);
	if (!request) {
		char number[12];
		message_put_text(d, s->message, REQUEST_request_id, decimal(number, (int32_t)id));
	}
	*at += RESPONSE_HEADER;
	s->left = size + SIZE_BYTES - RESPONSE_HEADER;
	s->phase = PHASE_BODY;
	return STEP_ON;
}

/* ---- the search for a frame ---- */

static enum dissect_verdict is_request(const struct kafka *k, const uint8_t *p, size_t n)
{
	struct kafka_request q;
	bool all;
	enum dissect_verdict v = kafka_request_read(p, n, &q);
	if (v != DISSECT_CERTAIN)
		return v;
	if (q.client.len && hash_client(q.client) == k->client_hash) {
		size_t evidence = min_of(q.size + SIZE_BYTES, q.header + (uint32_t)EVIDENCE_BYTES);
		if (n < evidence)
			return DISSECT_UNSURE;
		return kafka_body_is_right(&q, p, evidence, &all) ? DISSECT_CERTAIN : DISSECT_NOT_MINE;
	}
	if (q.size > SEARCH_BYTES_MAX || !kafka_body_is_right(&q, p, n, &all))
		return DISSECT_NOT_MINE;
	if (n < q.size + SIZE_BYTES)
		return DISSECT_UNSURE;
	return all && q.client.len ? DISSECT_CERTAIN : DISSECT_NOT_MINE;
}

/* anchored: a frame may well begin here. */
static enum dissect_verdict is_response(struct dissect *d, const struct kafka *k, const uint8_t *p, size_t n,
					bool anchored)
{
	if (n < RESPONSE_HEADER)
		return DISSECT_UNSURE;
	uint32_t size = load_be32(p), id = load_be32(p + SIZE_BYTES);
	if (size < 4 || size > (anchored ? KAFKA_FRAME_MAX : SEARCH_BYTES_MAX) || k->correlation - id > IDS_BACK)
		return DISSECT_NOT_MINE;
	const struct message *request = dissect_pending(d, id);
	if (!request)
		return DISSECT_NOT_MINE;
	if (anchored)
		return DISSECT_CERTAIN;
	if (n < size + SIZE_BYTES)
		return DISSECT_UNSURE;
	struct kafka_fields f;
	unsigned key = request->tag >> 8 & 0xff, version = request->tag & 0xff;
	const struct kafka_api *api = request->tag & TAG_KNOWN ? kafka_api_find(key) : NULL;
	if (!api || !api->response || version > api->version_max)
		return DISSECT_NOT_MINE;
	bool flexible = kafka_is_flexible(api, version);
	enum kafka_walked walked = kafka_walk(api->response, version, flexible, flexible && key != KAFKA_API_VERSIONS,
					      p + RESPONSE_HEADER, size + SIZE_BYTES - RESPONSE_HEADER, 0, &f);
	return walked == KAFKA_WALKED_ALL ? DISSECT_CERTAIN : DISSECT_NOT_MINE;
}

static enum step parse_search(struct dissect *d, struct kafka *k, struct side *s, const uint8_t *data, size_t *at,
			      size_t len)
{
	bool server = d->side == SIDE_SERVER;
	size_t anchor = server && k->asked ? *at + k->mark : SIZE_MAX;
	for (; *at < len; ++*at) {
		const uint8_t *p = data + *at;
		enum dissect_verdict v =
		    server ? is_response(d, k, p, len - *at, *at == anchor) : is_request(k, p, len - *at);
		if (v == DISSECT_UNSURE)
			break;
		if (v == DISSECT_CERTAIN) {
			s->phase = PHASE_FRAME;
			k->asked &= !server;
			return STEP_ON;
		}
		if (*at == anchor)
			k->asked = false;
	}
	if (server && k->asked)
		k->mark = (uint32_t)(anchor > *at ? anchor - *at : 0);
	return STEP_MORE;
}

/* ---- the dissector ---- */

static void start(const struct dissect *d, struct kafka *k, struct side *s)
{
	k->lossy |= d->midstream;
	/* what made the probe certain begins a request */
	s->phase = d->midstream && d->side == SIDE_SERVER ? PHASE_SEARCH : PHASE_FRAME;
}

static uint64_t kafka_parse(struct dissect *d, const uint8_t *data, size_t len)
{
	struct kafka *k = d->state;
	bool server = d->side == SIDE_SERVER;
	struct side *s = &k->side[server];
	enum step step = STEP_ON;
	size_t at = 0, seen;
	while (step == STEP_ON && !d->failed) {
		switch ((enum phase)s->phase) {
		case PHASE_FRESH:
			start(d, k, s);
			break;
		case PHASE_FRAME:
			if (at == len)
				step = STEP_MORE;
			else
				step = server ? parse_response(d, k, s, data, &at, len)
					      : parse_request(d, k, s, data, &at, len);
			break;
		case PHASE_BODY:
			seen = min_of((size_t)s->left, (size_t)VIEW_BYTES);
			if (len - at < seen) {
				step = STEP_MORE;
				break;
			}
			read_body(d, k, s, data + at, seen);
			s->phase = PHASE_SKIP;
			break;
		case PHASE_SKIP:
			if (s->left > len - at) {
				uint64_t to = at + s->left;
				s->left = 0;
				return to;
			}
			at += s->left;
			s->left = 0;
			end_frame(d, s, at);
			break;
		case PHASE_SEARCH:
			step = parse_search(d, k, s, data, &at, len);
			break;
		}
	}
	s->retained = (uint32_t)(len - at);
	return at;
}

static void kafka_gap(struct dissect *d, uint64_t missing)
{
	struct kafka *k = d->state;
	bool server = d->side == SIDE_SERVER;
	struct side *s = &k->side[server];
	if (!s->phase)
		start(d, k, s);
	k->lossy = true;
	if ((s->phase == PHASE_BODY || s->phase == PHASE_SKIP) && missing <= s->left) {
		if (!server && s->phase == PHASE_BODY && (s->tag >> 8 & 0xff) == KAFKA_PRODUCE && k->acks_none)
			leave_unpaired(d, s);
		s->left -= (uint32_t)missing;
		s->phase = PHASE_SKIP;
		dissect_keep(d);
		return;
	}
	s->message = NULL;
	s->phase = PHASE_SEARCH;
	s->retained = 0;
	if (server) {
		k->asked = false;
		k->mark = 0;
		k->tokens = 0;
	}
}

static void kafka_close(struct dissect *d)
{
	struct kafka *k = d->state;
	struct side *s = &k->side[d->side == SIDE_SERVER];
	if (s->phase == PHASE_SKIP && !s->left)
		end_frame(d, s, 0);
}

const struct dissector dissector_kafka = {
    .name = "kafka",
    .title = "Kafka",
    .ports = "9092",
    .pairing = PAIR_BY_ID,
    .tcp = true,
    .state_size = sizeof(struct kafka),
    .probe = kafka_probe,
    .parse = kafka_parse,
    .gap = kafka_gap,
    .close = kafka_close,
    .attributes = attributes,
};
