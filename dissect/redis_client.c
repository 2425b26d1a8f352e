/* redis_client.c - requests, and what they do to the connection. */
#include "redis.h"

void redis_put_version(struct dissect *d, const struct redis *r, struct message *m)
{
	char digit = (char)('0' + r->version);
	if (r->version)
		message_put(d, m, REQUEST_version, &digit, 1);
}

size_t redis_put_decimal(char *out, uint64_t value)
{
	char digits[20];
	size_t n = 0;
	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	for (size_t i = 0; i < n; i++)
		out[i] = digits[n - 1 - i];
	return n;
}

static void put_db(struct dissect *d, const struct redis *r, struct message *m)
{
	char text[20];
	if (r->db >= 0)
		message_put(d, m, REQUEST_request_domain, text, redis_put_decimal(text, (uint64_t)r->db));
}

/* What the request does to the connection, as far as it will succeed. Whether it gets no reply. */
static bool take_effect(struct dissect *d, struct redis *r, const struct redis_request *q)
{
	bool skip = r->reply_skip, silent = skip || r->reply_off;
	r->reply_skip = false;
	switch (q->effect) {
	case REDIS_SELECT:
		r->db = (int32_t)q->number;
		break;
	case REDIS_HELLO:
		if (q->number == 2 || q->number == 3)
			r->version = (uint8_t)q->number;
		break;
	case REDIS_RESET:
		r->db = -1;
		r->version = 2;
		r->multi = r->reply_off = false;
		return skip;
	case REDIS_MULTI:
		r->multi = true;
		break;
	case REDIS_SUBSCRIBE:
	case REDIS_PSUBSCRIBE:
	case REDIS_SSUBSCRIBE:
		r->unsure |=
		    r->multi; /* the confirmations will be within EXEC's reply, but for one that has several channels */
		break;
	case REDIS_EXEC:
		r->multi = false;
		break;
	case REDIS_DISCARD:
		r->multi = false;
		r->db = r->db_confirmed;
		break;
	case REDIS_REPLCONF_ACK:
		return true;
	case REDIS_REPLY_ON:
		/* where it comes as news that replies are on, requests that never get one were taken for pending */
		if (!r->reply_off && (r->side[0].lossy || r->unsure))
			dissect_fail(d);
		r->reply_off = false;
		return skip;
	case REDIS_REPLY_OFF:
		r->reply_off = true;
		return true;
	case REDIS_REPLY_SKIP:
		r->reply_skip = !r->reply_off;
		return true;
	default:
		break;
	}
	return silent;
}

static inline void note_asked(struct redis *r)
{
	if (r->asked)
		return;
	r->asked = true;
	r->mark = r->side[1].retained;
}

static void begin_request(struct dissect *d, struct redis *r, struct redis_side *s, size_t at,
			  const struct redis_request *q)
{
	bool was_multi = r->multi;
	bool silent = take_effect(d, r, q);
	if (was_multi && q->effect >= REDIS_REPLY_ON) /* its effect would come with EXEC */
		dissect_fail(d);
	if (d->failed)
		return;
	s->message = dissect_begin(d, MESSAGE_REQUEST, 0, at);
	if (s->message)
		s->message->tag = redis_tag_make(q);
	if (silent)
		dissect_unpaired(d, s->message);
	r->owed += !silent;
	r->subscribe_owed += !silent && redis_is_subscription(q->effect);
	redis_put_version(d, r, s->message);
	put_db(d, r, s->message);
	message_put(d, s->message, REQUEST_request_type, q->type, q->type_len);
	message_put(d, s->message, REQUEST_request_resource, q->resource, q->resource_len);
	message_put(d, s->message, REQUEST_endpoint, q->type, q->type_len);
	note_asked(r);
}

void redis_end_request(struct dissect *d, struct redis_side *s, size_t at)
{
	dissect_end(d, s->message, MESSAGE_REQUEST, at);
	s->message = NULL;
	redis_enter(s, REDIS_PHASE_START);
}

/* The server answers what it cannot read with an error and closes. What was found by searching was no request. */
static enum redis_step malformed_request(struct dissect *d, struct redis_side *s, size_t at)
{
	if (s->message)
		redis_end_request(d, s, at);
	redis_enter(s, s->lossy ? REDIS_PHASE_SEARCH : REDIS_PHASE_IGNORE);
	s->edge = false;
	return REDIS_STEP_ON;
}

static enum redis_step parse_inline(struct dissect *d, struct redis *r, struct redis_side *s, const uint8_t *data,
				    size_t *at, size_t len)
{
	const uint8_t *p = data + *at;
	size_t n = min_of(len - *at, (size_t)REDIS_LINE_MAX);
	const uint8_t *lf = text_find_lf(p, n);
	struct redis_request q;
	if (!lf && n < REDIS_LINE_MAX)
		return REDIS_STEP_MORE;
	size_t size = lf ? (size_t)(lf - p) : n;
	struct text line = text_make(p, size && p[size - 1] == '\r' ? size - 1 : size);
	if (redis_inline_read(line, d->settings, &q) == REDIS_READ_EMPTY) {
		*at += size + (lf != NULL);
		r->reply_skip = false;
		return REDIS_STEP_ON;
	}
	struct text type = {q.type, min_of(q.type_len, text_find((struct text){q.type, q.type_len}, ' '))};
	if (s->lossy && !redis_command_is_known(type))
		return malformed_request(d, s, *at);
	begin_request(d, r, s, *at, &q);
	if (d->failed)
		return REDIS_STEP_MORE;
	*at += size + (lf != NULL);
	if (lf)
		redis_end_request(d, s, *at);
	else
		redis_enter(s, REDIS_PHASE_LINE_REST);
	return REDIS_STEP_ON;
}

static void put_plain_resource(struct dissect *d, struct message *m, const struct redis_plain *q, size_t len)
{
	char text[DISSECT_TEXT_MAX], *room = message_reserve(d, m, REQUEST_request_resource, len);
	char *to = room ? room : text;
	text_copy(to, q->name.at, q->name.len);
	to += q->name.len;
	for (uint32_t i = 0; i < q->keys; i++) {
		*to++ = ' ';
		text_copy(to, q->key[i].at, q->key[i].len);
		to += q->key[i].len;
	}
	if (unlikely(!room))
		message_put(d, m, REQUEST_request_resource, text, len);
}

/* A request as nearly all are. False: it is not one. */
static bool parse_plain(struct dissect *d, struct redis *r, struct redis_side *s, const uint8_t *data, size_t *at,
			size_t len)
{
	struct redis_plain q;
	if (r->reply_off || r->reply_skip || d->settings->obfuscate >> OBFUSCATE_REDIS & 1 ||
	    !redis_plain_read(data + *at, min_of(len - *at, (size_t)REDIS_HEAD_MAX), &q))
		return false;
	size_t shown = q.name.len;
	for (uint32_t i = 0; i < q.keys; i++)
		shown += 1 + q.key[i].len;
	if (shown > d->settings->text_max)
		return false;
	struct message *m = s->message = dissect_begin(d, MESSAGE_REQUEST, 0, *at);
	r->owed++;
	redis_put_version(d, r, m);
	put_db(d, r, m);
	message_put_constant(d, m, REQUEST_request_type, q.name);
	message_put_constant(d, m, REQUEST_endpoint, q.name);
	put_plain_resource(d, m, &q, shown);
	note_asked(r);
	*at += q.used;
	const uint8_t *next;
	while (q.left && (next = redis_plain_string(data + *at, data + len))) {
		*at = (size_t)(next - data);
		q.left--;
	}
	if (likely(!q.left)) {
		redis_end_request(d, s, *at);
	} else {
		s->arguments = q.left;
		redis_enter(s, REDIS_PHASE_ARGUMENTS);
	}
	return true;
}

enum redis_step redis_parse_request(struct dissect *d, struct redis *r, struct redis_side *s, const uint8_t *data,
				    size_t *at, size_t len)
{
	struct redis_request q;
	while (likely(*at < len && parse_plain(d, r, s, data, at, len)))
		if (s->phase != REDIS_PHASE_START)
			return REDIS_STEP_ON;
	while (*at < len && (data[*at] == '\r' || data[*at] == '\n'))
		++*at;
	if (*at == len || len - *at < s->wanted)
		return REDIS_STEP_MORE;
	if (data[*at] != '*')
		return parse_inline(d, r, s, data, at, len);
	size_t n = min_of(len - *at, (size_t)REDIS_HEAD_MAX);
	switch (redis_request_read(data + *at, n, n == REDIS_HEAD_MAX, d->settings, &q)) {
	case REDIS_READ_MORE:
		s->wanted = (uint32_t)min_of(q.wanted, (size_t)REDIS_HEAD_MAX);
		return REDIS_STEP_MORE;
	case REDIS_READ_BAD:
		return malformed_request(d, s, *at);
	case REDIS_READ_EMPTY:
		*at += q.used;
		r->reply_skip = false;
		return REDIS_STEP_ON;
	case REDIS_READ_DONE:
		break;
	}
	begin_request(d, r, s, *at, &q);
	if (d->failed)
		return REDIS_STEP_MORE;
	*at += q.used;
	s->skip = q.skip;
	s->arguments = q.left;
	redis_enter(s, REDIS_PHASE_ARGUMENTS);
	return REDIS_STEP_ON;
}

/* More than len: skip to there. */
enum redis_step redis_parse_arguments(struct dissect *d, struct redis_side *s, const uint8_t *data, uint64_t *at,
				      size_t len)
{
	for (;;) {
		uint64_t size;
		if (s->skip) {
			*at += s->skip;
			s->skip = 0;
			if (*at > len)
				return REDIS_STEP_MORE;
		}
		if (!s->arguments) {
			redis_end_request(d, s, (size_t)*at);
			return REDIS_STEP_ON;
		}
		if (*at == len)
			return REDIS_STEP_MORE;
		int head = data[*at] == '$' ? redis_number_read(data + *at, len - *at, false, &size) : -1;
		if (head < 0)
			return malformed_request(d, s, (size_t)*at);
		if (!head)
			return REDIS_STEP_MORE;
		*at += (unsigned)head;
		s->skip = size + 2;
		s->arguments--;
	}
}
