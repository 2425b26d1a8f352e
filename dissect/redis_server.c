/* redis_server.c - replies, confirmations and pushes. */
#include "redis.h"

enum {
	ERROR_BYTES_MAX = 1024, /* of a blob error */
	CHANNEL_MAX = 256,
	PLAIN_LINE_MAX = 12, /* ":" or "$", at most nine digits, and the line end */
};

#define STREAMED UINT32_MAX /* an aggregate without a count */

static void redis_ignore_all(struct redis *r)
{
	redis_enter(&r->side[0], REDIS_PHASE_IGNORE);
	redis_enter(&r->side[1], REDIS_PHASE_IGNORE);
}

/* The words that begin errors for which the server's state is to blame. */
static bool is_server_error(struct text error)
{
	static const char *const words[] = {"BUSY",       "CLUSTERDOWN", "FAILOVER",     "IOERR",      "LOADING",
					    "MASTERDOWN", "MISCONF",     "NOMASTERLINK", "NOREPLICAS", "OOM",
					    "READONLY",   "TRYAGAIN",    "UNKILLABLE"};
	struct text word = {error.at, text_find(error, ' ')};
	for (unsigned i = 0; i < array_size(words); i++)
		if (text_is(word, words[i]))
			return true;
	return text_starts_lower(error, "err max number of clients");
}

static void put_error(struct dissect *d, struct message *m, struct text error)
{
	/* "ERR unknown command 'x', with args beginning with: 'value' …" */
	static const char arguments[] = ", with args beginning with";
	const char *p = error.len ? memmem(error.at, error.len, arguments, sizeof arguments - 1) : NULL;
	if (p)
		error.len = (uint32_t)(p - error.at);
	message_put_text(d, m, REQUEST_response_exception, error);
	message_set_status(m, is_server_error(error) ? STATUS_SERVER_ERROR : STATUS_CLIENT_ERROR);
}

/* What came back, without its value: OK, nil, 3, true, bulk(12), array(3), double. */
static void put_result(struct dissect *d, struct message *m, const uint8_t *p, const struct redis_value *v)
{
	char text[40];
	const char *name = redis_type_name(v->type);
	size_t n = strlen(name);
	bool line = v->type == '+' || v->type == ':' || v->type == '#';
	if (v->type == '-' || v->type == '!' || v->type == '|')
		return;
	if (v->type == '+' && redis_is_monitor_line(text_make(p + 1, v->size - 1)))
		message_put(d, m, REQUEST_response_result, "monitor", 7);
	else if (v->type == ':' && d->settings->obfuscate >> OBFUSCATE_REDIS & 1)
		message_put(d, m, REQUEST_response_result, "integer", 7);
	else if (v->type == '#')
		message_put_text(d, m, REQUEST_response_result, p[1] == 't' ? TEXT("true") : TEXT("false"));
	else if (line)
		message_put(d, m, REQUEST_response_result, p + 1, v->cut ? v->size - 1 : v->size - 3);
	else if (v->null)
		message_put(d, m, REQUEST_response_result, "nil", 3);
	else {
		memcpy(text, name, n);
		if (!v->streamed && v->type != ',' && v->type != '(') {
			text[n++] = '(';
			n += redis_put_decimal(text + n, v->count);
			text[n++] = ')';
		}
		message_put(d, m, REQUEST_response_result, text, n);
	}
}

void redis_end_response(struct dissect *d, struct redis *r, size_t at)
{
	struct redis_side *s = &r->side[1];
	dissect_end(d, s->message, MESSAGE_RESPONSE, at);
	s->message = NULL;
	r->confirmations = 0;
	r->confirmation = REDIS_NO_EFFECT;
}

/* A simple string that begins so. */
static bool starts_line(const struct redis_value *v, const uint8_t *p, const char *with)
{
	size_t n = strlen(with);
	return v->type == '+' && v->size > n + 2 && !memcmp(p + 1, with, n);
}

/* The request's effect comes true, or not. */
static void confirm(struct redis *r, const struct redis_value *v, const uint8_t *p, enum redis_effect effect,
		    uint32_t number)
{
	bool error = v->type == '-' || v->type == '!';
	bool ok = v->type == '+' && v->size == 5 && !memcmp(p + 1, "OK", 2);
	switch (effect) {
	case REDIS_SELECT:
		if (ok)
			r->db_confirmed = (int32_t)number;
		else if (error && r->db == (int32_t)number)
			r->db = r->db_confirmed;
		break;
	case REDIS_HELLO:
		if (error && r->version == number)
			r->version = r->version_confirmed;
		else if (!error && number)
			r->version_confirmed = (uint8_t)number;
		break;
	case REDIS_RESET:
		r->db_confirmed = -1;
		r->version_confirmed = 2;
		r->channels = r->patterns = r->shards = 0;
		r->monitoring = false;
		break;
	case REDIS_EXEC:
		r->exec = true;
		if (!error && !v->null)
			r->db_confirmed = r->db;
		break;
	case REDIS_MONITOR:
		r->monitoring |= ok;
		break;
	case REDIS_PSYNC:
		if (v->type == '$' || starts_line(v, p, "FULLRESYNC ") || starts_line(v, p, "CONTINUE"))
			redis_ignore_all(r);
		break;
	case REDIS_NO_EFFECT:
		if (r->unsure && starts_line(v, p, "FULLRESYNC "))
			redis_ignore_all(r);
		break;
	default:
		break;
	}
}

/* How many confirmations answer the request. */
static uint32_t confirmations_due(const struct redis *r, enum redis_effect kind, uint32_t channels)
{
	if (channels)
		return channels;
	if (r->unsure)
		return 1;
	uint32_t all = kind == REDIS_UNSUBSCRIBE ? r->channels : kind == REDIS_PUNSUBSCRIBE ? r->patterns : r->shards;
	return max_of(all, 1u);
}

static void begin_reply(struct dissect *d, struct redis *r, size_t at, const uint8_t *p, const struct redis_value *v,
			enum redis_effect kind)
{
	struct redis_side *s = &r->side[1];
	const struct message *request = dissect_pending(d, 0);
	enum redis_effect effect = REDIS_NO_EFFECT;
	uint32_t number = 0;
	if (request) {
		effect = redis_tag_effect(request);
		number = request->tag >> REDIS_TAG_EFFECT_BITS;
	}
	if (effect == REDIS_REPLY_ON && !(v->type == '+' && v->size == 5)) {
		dissect_fail(d); /* it was refused, and so were OFF and SKIP: their requests did get replies */
		return;
	}
	bool owed = r->subscribe_owed && (redis_is_subscription(effect) || (!request && kind != REDIS_NO_EFFECT));
	r->subscribe_owed -= owed;
	r->exec = false;
	s->message = dissect_begin(d, MESSAGE_RESPONSE, 0, at);
	message_set_status(s->message, STATUS_OK);
	put_result(d, s->message, p, v);
	confirm(r, v, p, effect, number);
	if (effect == REDIS_HELLO)
		redis_put_version(d, r, s->message);
	r->confirmations = 0;
	if (kind != REDIS_NO_EFFECT && effect == kind)
		r->confirmations = confirmations_due(r, kind, number) - 1;
}

static void begin_push(struct dissect *d, struct redis *r, size_t at, const uint8_t *p, const struct redis_value *v,
		       struct text word, struct text channel)
{
	char text[REDIS_PUSH_WORD_MAX + 1 + CHANNEL_MAX];
	struct message *m = dissect_begin(d, MESSAGE_RESPONSE, DISSECT_PUSH, at);
	r->side[1].message = m;
	redis_put_version(d, r, m);
	message_set_status(m, STATUS_OK);
	if (v->type == '+')
		word = TEXT("monitor");
	else
		put_result(d, m, p, v);
	if (!word.len)
		return;
	message_put_text(d, m, REQUEST_request_type, word);
	message_put_text(d, m, REQUEST_endpoint, word);
	size_t n = word.len;
	memcpy(text, word.at, n);
	if (channel.len) {
		bool hide = d->settings->obfuscate >> OBFUSCATE_REDIS & 1;
		text[n++] = ' ';
		if (hide)
			channel = TEXT("?");
		memcpy(text + n, channel.at, channel.len);
		n += channel.len;
	}
	message_put(d, m, REQUEST_request_resource, text, n);
}

/* Whether an array may be something else than a reply. */
static bool may_be_message(struct dissect *d, const struct redis *r)
{
	if (r->channels || r->patterns || r->shards || r->unsure || r->confirmations)
		return true;
	const struct message *request = dissect_pending(d, 0);
	return request ? redis_is_subscription(redis_tag_effect(request)) : r->subscribe_owed != 0;
}

/* A value at top level, of which v is the beginning. */
static enum redis_step begin_response(struct dissect *d, struct redis *r, size_t at, const uint8_t *p, size_t n,
				      const struct redis_value *v)
{
	struct text word = {0}, channel = {0};
	enum redis_effect kind = REDIS_NO_EFFECT;
	bool push = v->type == '>', open = r->confirmations > 0;
	if (push || (v->type == '*' && may_be_message(d, r))) {
		size_t size = 0, size2;
		int have = v->streamed || v->count
			       ? redis_word_read(p + v->size, n - v->size, REDIS_PUSH_WORD_MAX, &word, &size)
			       : -1;
		if (!have)
			return REDIS_STEP_MORE;
		if (have < 0)
			word.len = 0;
		bool named = redis_is_channel_message(word) || push;
		if (have > 0 && named && v->count > 1) {
			have = redis_word_read(p + v->size + size, n - v->size - size, CHANNEL_MAX, &channel, &size2);
			if (!have)
				return REDIS_STEP_MORE;
			if (have < 0)
				channel.len = 0;
		}
		kind = redis_confirmation_of(word);
		push |= named;
		if (text_is(word, "REPLCONF") && v->type == '*') {
			redis_ignore_all(r); /* a master's commands */
			return REDIS_STEP_ON;
		}
	}
	if (v->type == '+')
		push = (r->monitoring || r->unsure) && redis_is_monitor_line(text_make(p + 1, v->size - 1));
	if (open && kind != REDIS_NO_EFFECT && kind == r->confirmation) {
		r->confirmations--;
		return REDIS_STEP_ON;
	}
	if (open)
		redis_end_response(d, r, at);
	r->confirmation = (uint8_t)kind;
	if (kind != REDIS_NO_EFFECT) {
		const struct message *request = dissect_pending(d, 0);
		push = request ? redis_tag_effect(request) != kind : !r->subscribe_owed;
	}
	if (push) {
		begin_push(d, r, at, p, v, word, channel);
		return REDIS_STEP_ON;
	}
	if (!r->owed && r->side[1].lossy)
		return REDIS_STEP_LOST; /* nobody asked: it must be part of a reply whose beginning was lost */
	r->owed -= r->owed > 0;
	begin_reply(d, r, at, p, v, kind);
	return REDIS_STEP_ON;
}

/* A whole value has passed: the aggregates that end with it end, too. True: the one at top level has ended. */
static bool pop_values(struct redis *r)
{
	while (r->depth) {
		unsigned top = r->depth - 1u;
		if (r->left[top] == STREAMED || --r->left[top])
			return false;
		r->depth--;
		if (r->attributes >> top & 1) {
			r->attributes &= ~(1u << top);
			return false; /* what it tells about comes now */
		}
	}
	return true;
}

void redis_end_value(struct dissect *d, struct redis *r, size_t at)
{
	redis_enter(&r->side[1], REDIS_PHASE_START);
	if (!pop_values(r))
		return;
	r->after_attribute = false;
	if (!r->confirmations)
		redis_end_response(d, r, at);
}

void redis_reset_value(struct redis *r)
{
	r->depth = 0;
	r->attributes = 0;
	r->chunks = r->after_attribute = false;
	r->confirmations = 0;
	r->confirmation = REDIS_NO_EFFECT;
}

static enum redis_step malformed_reply(struct dissect *d, struct redis *r, size_t at)
{
	struct redis_side *s = &r->side[1];
	if (!s->lossy) {
		dissect_fail(d);
		return REDIS_STEP_MORE;
	}
	if (s->message)
		redis_end_response(d, r, at);
	redis_reset_value(r);
	redis_enter(s, REDIS_PHASE_SEARCH);
	s->edge = false;
	return REDIS_STEP_ON;
}

/* The third element of a confirmation: how many subscriptions there are now. */
static void note_subscriptions(struct redis *r, struct text number)
{
	uint64_t total;
	if (!text_decimal(number, UINT32_MAX, &total))
		return;
	uint32_t now = r->channels + r->patterns;
	switch ((enum redis_effect)r->confirmation) {
	case REDIS_SUBSCRIBE:
		r->channels += total > now;
		break;
	case REDIS_PSUBSCRIBE:
		r->patterns += total > now;
		break;
	case REDIS_UNSUBSCRIBE:
		r->channels -= total < now && r->channels;
		break;
	case REDIS_PUNSUBSCRIBE:
		r->patterns -= total < now && r->patterns;
		break;
	case REDIS_SSUBSCRIBE:
	case REDIS_SUNSUBSCRIBE:
		r->shards = (uint32_t)total;
		break;
	default:
		break;
	}
}

/* An aggregate or an attribute begins. */
static bool push_values(struct redis *r, const struct redis_value *v)
{
	if (r->depth == REDIS_DEPTH_MAX)
		return false;
	bool pairs = v->type == '%' || v->type == '|';
	r->left[r->depth] = v->streamed ? STREAMED : (uint32_t)v->count << pairs;
	if (v->type == '|')
		r->attributes |= 1u << r->depth;
	r->depth++;
	return true;
}

/* Types that only RESP3 has, and the nulls that only RESP2 has. */
static void note_version(struct redis *r, const struct redis_value *v)
{
	if (r->version != 3 && (!r->version || r->unsure) && strchr("_#,(=!~%|>", v->type))
		r->version = r->version_confirmed = 3;
	else if (!r->version && v->null)
		r->version = r->version_confirmed = 2;
}

/* The first line of a value as nearly all are: its type and what it says, without the line end. 0: it is not so, or not
 * whole. */
static inline size_t plain_line(const uint8_t *p, size_t n, struct text *ret)
{
	const uint8_t *end = p + min_of(n, (size_t)PLAIN_LINE_MAX);
	if (n < 4)
		return 0;
	if (*p == '+') {
		if (n < 5 || memcmp(p, "+OK\r\n", 5) != 0)
			return 0;
		*ret = TEXT("OK");
		return 5;
	}
	if (*p != ':' && *p != '$')
		return 0;
	const uint8_t *q = p + 1;
	while (q < end && ascii_is_digit(*q))
		q++;
	if (end - q < 2 || q == p + 1 || q[0] != '\r' || q[1] != '\n')
		return 0;
	*ret = text_make(p + 1, (size_t)(q - p) - 1);
	return (size_t)(q - p) + 2;
}

/* A reply as nearly all are: +OK, an integer or a string, to a request that has no effect on the connection. False: it
 * is not one. */
static bool parse_plain(struct dissect *d, struct redis *r, struct redis_side *s, const uint8_t *data, uint64_t *at,
			size_t len)
{
	struct text line;
	size_t size = plain_line(data + *at, len - *at, &line);
	uint8_t type = data[*at];
	if (!size || r->monitoring || r->unsure || r->confirmations || r->subscribe_owed || s->lossy ||
	    d->settings->obfuscate >> OBFUSCATE_REDIS & 1)
		return false;
	const struct message *request = dissect_pending(d, 0);
	if (request && redis_tag_effect(request) != REDIS_NO_EFFECT)
		return false;
	r->owed -= r->owed > 0;
	r->exec = false;
	r->confirmation = REDIS_NO_EFFECT;
	struct message *m = s->message = dissect_begin(d, MESSAGE_RESPONSE, 0, (size_t)*at);
	message_set_status(m, STATUS_OK);
	*at += size;
	if (type == '+') {
		message_put_constant(d, m, REQUEST_response_result, line);
	} else if (type == ':') {
		message_put_text(d, m, REQUEST_response_result, line);
	} else {
		char text[PLAIN_LINE_MAX + 8] = "bulk(";
		uint64_t count = 0;
		for (uint32_t i = 0; i < line.len; i++) {
			count = count * 10 + (uint8_t)(line.at[i] - '0');
			text[5 + i] = line.at[i];
		}
		text[5 + line.len] = ')';
		message_put(d, m, REQUEST_response_result, text, line.len + 6);
		*at += count + 2;
		if (*at > len) {
			redis_enter(s, REDIS_PHASE_VALUE_END);
			return true;
		}
	}
	redis_end_response(d, r, (size_t)*at);
	return true;
}

/* One value, or its beginning. More than len: skip to there. */
enum redis_step redis_parse_value(struct dissect *d, struct redis *r, const uint8_t *data, uint64_t *at, size_t len)
{
	struct redis_side *s = &r->side[1];
	struct redis_value v;
	bool top = !r->depth && !r->after_attribute && !r->chunks;
	while (likely(top && *at < len && parse_plain(d, r, s, data, at, len)))
		;
	if (*at > len)
		return REDIS_STEP_MORE;
	while (top && *at < len && (data[*at] == '\n' || data[*at] == '\r'))
		++*at; /* a master keeps the connection alive so */
	if (*at == len)
		return REDIS_STEP_MORE;
	const uint8_t *p = data + *at;
	size_t n = len - *at;
	int have = redis_value_read(p, n, &v);
	if (have < 0 || (have && (v.type == ';') != r->chunks))
		return malformed_reply(d, r, *at);
	if (!have)
		return REDIS_STEP_MORE;
	if (v.type == '!' && n < v.size + min_of(v.count, (uint64_t)ERROR_BYTES_MAX))
		return REDIS_STEP_MORE;
	if (v.type == '.' && (!r->depth || r->left[r->depth - 1u] != STREAMED))
		return malformed_reply(d, r, *at);
	note_version(r, &v);
	if (top) {
		enum redis_step step = begin_response(d, r, *at, p, n, &v);
		if (step == REDIS_STEP_LOST)
			return malformed_reply(d, r, *at);
		if (step == REDIS_STEP_MORE || d->failed)
			return REDIS_STEP_MORE;
	}
	if (!top && !r->depth && r->after_attribute && v.type != ';')
		put_result(d, s->message, p, &v);
	bool error_counts = !r->depth || (r->exec && r->depth == 1 && s->message && s->message->status == STATUS_OK);
	if (s->phase == REDIS_PHASE_IGNORE) { /* what follows is no reply any more */
		redis_end_response(d, r, *at + v.size);
		*at += v.size;
		return REDIS_STEP_ON;
	}
	*at += v.size;
	switch (v.type) {
	case '-':
		if (error_counts)
			put_error(d, s->message, text_make(p + 1, v.cut ? v.size - 1 : v.size - 3));
		break;
	case ':':
		if (r->depth == 1 && r->confirmation != REDIS_NO_EFFECT)
			note_subscriptions(r, text_make(p + 1, v.size - 3));
		break;
	case '!':
		if (error_counts)
			put_error(d, s->message, text_make(p + v.size, min_of(v.count, (uint64_t)ERROR_BYTES_MAX)));
		*at += v.count + 2;
		break;
	case '$':
	case '=':
		if (v.streamed) {
			r->chunks = true;
			return REDIS_STEP_ON;
		}
		*at += v.null ? 0 : v.count + 2;
		break;
	case ';':
		if (v.count) {
			*at += v.count + 2;
			return *at > len ? REDIS_STEP_MORE : REDIS_STEP_ON;
		}
		r->chunks = false;
		break;
	case '.':
		r->depth--;
		break;
	case '*':
	case '%':
	case '~':
	case '>':
	case '|':
		if (v.null || (!v.count && !v.streamed)) {
			if (v.type != '|')
				break;
			r->after_attribute |= !r->depth;
			return REDIS_STEP_ON;
		}
		if (v.type == '|' && !r->depth)
			r->after_attribute = true;
		if (!push_values(r, &v))
			dissect_fail(d);
		return d->failed ? REDIS_STEP_MORE : REDIS_STEP_ON;
	default:
		break;
	}
	redis_enter(s, v.cut ? REDIS_PHASE_LINE_REST : REDIS_PHASE_VALUE_END);
	return *at > len ? REDIS_STEP_MORE : REDIS_STEP_ON;
}
