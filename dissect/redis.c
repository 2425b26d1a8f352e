/* redis.c - Redis (RESP2, RESP3 and inline commands): where requests and replies begin and end, and which reply answers what.
 *
 * A request is read up to its last key (redis_command.h) and then followed argument by argument; values are skipped unseen.
 * A reply is followed value by value: how many values each open aggregate still needs is all that is kept, for a bounded
 * depth.
 *
 * Which request a reply answers. Every value of the server at top level answers the oldest request, but:
 *   - After CLIENT REPLY OFF and SKIP requests get no reply, nor does REPLCONF ACK: they leave unpaired.
 *   - A push of RESP3 ('>') answers nothing. In RESP2 the messages of channels are arrays; they count as such only
 *     while the connection is subscribed, when no other reply is an array that begins with their words.
 *   - SUBSCRIBE and its kin are answered by one confirmation for each channel, a push in RESP3; UNSUBSCRIBE without channels
 *     by one for each that is subscribed, at least one. All of them together are the one response.
 *   - After MONITOR, lines "+1339518083.107412 [0 …" answer nothing. Replies (to QUIT, RESET) go between them.
 *   - After PSYNC or SYNC was answered the connection carries the master's data and commands: it is looked at no more.
 * QUEUED is the response of each command of a transaction, the array that of EXEC; an error among its elements counts.
 *
 * Status. Errors that say something about the state of the server (LOADING, OOM, READONLY, …: server_error_words) are server
 * errors, all others client errors, MOVED and ASK among them.
 *
 * After a hole, or where the start of the connection was not seen. A request is looked for behind each line end: an array
 * whose first string is a known command. A value of the server may as well be an element of an array, so its bytes alone
 * do not tell where a reply begins; they are passed over until the client begins a request, and what the server sends from
 * then on is a reply if it looks like one. A client that waits for its replies cannot be mistaken here. One that does not may
 * be, if a segment that follows its request begins just with an element; the session layer pairs such clients only when
 * they have been seen to be idle. Messages of channels and MONITOR's lines are found behind any line end. */
#include "dissect.h"
#include "redis_value.h"

enum {
	DEPTH_MAX = 24,
	ERROR_BYTES_MAX = 1024,                   /* of a blob error */
	CHANNEL_MAX = 256,
	TAG_EFFECT_BITS = 5,
	TAG_NUMBER_MAX = (1 << 24) - 1,
};
_Static_assert(REDIS_REPLY_SKIP < 1 << TAG_EFFECT_BITS, "tag");

#define STREAMED UINT32_MAX /* an aggregate without a count */

enum phase {
	PHASE_FRESH,
	PHASE_START,       /* client: a request comes; server: a value's type */
	PHASE_ARGUMENTS,   /* client: of the request at hand */
	PHASE_LINE_REST,   /* of a line longer than REDIS_LINE_MAX */
	PHASE_VALUE_END,   /* server: a value has passed */
	PHASE_SEARCH,      /* lost */
	PHASE_IGNORE,
};

struct side {
	struct message *message;
	uint64_t skip;     /* client: bytes of the argument at hand */
	uint32_t wanted;   /* client: not before there are so many bytes */
	uint32_t retained; /* bytes that were not consumed */
	uint32_t arguments;
	uint8_t phase;     /* enum phase */
	bool lossy;        /* where its messages begin was found by searching */
	bool edge;         /* searching: a message may begin with the next byte */
};

struct redis {
	struct side side[2];
	/* the server's value at hand */
	uint32_t left[DEPTH_MAX];  /* by depth: values to come */
	uint32_t attributes;       /* bit: at that depth an attribute is open, which is no value */
	uint8_t depth;
	bool chunks;               /* in a streamed string */
	bool after_attribute;      /* the reply has begun with an attribute */
	bool exec;                 /* answers EXEC: errors within count */
	uint8_t confirmation;      /* enum redis_effect: kind of confirmation; REDIS_NO_EFFECT: none */
	uint32_t confirmations;    /* more of that kind belong to the response */
	/* subscriptions, as the server confirmed them */
	uint32_t channels, patterns, shards;
	uint32_t subscribe_owed;   /* requests to (un)subscribe that were not answered */
	bool unsure;               /* what the connection is used for is not known: bytes were lost */
	bool monitoring;
	/* the client has asked since the server's last bytes: a reply may begin behind `mark` retained bytes */
	bool asked;
	uint32_t mark;
	uint32_t owed;             /* replies that may still come, at most */
	/* as of the last request; and as the server has confirmed it */
	int32_t db, db_confirmed;  /* -1: never selected */
	uint8_t version, version_confirmed; /* 0: unknown */
	bool multi, reply_off, reply_skip;
};
_Static_assert(sizeof(struct redis) <= DISSECT_STATE_MAX, "state");

enum step { STEP_ON, STEP_MORE, STEP_LOST /* this is no message */ };

static void enter(struct side *s, enum phase phase)
{
	s->phase = (uint8_t)phase;
	s->wanted = 0;
}

static uint32_t tag_make(const struct redis_request *q)
{
	return (uint32_t)q->effect | min_of(q->number, (uint32_t)TAG_NUMBER_MAX) << TAG_EFFECT_BITS;
}

static enum redis_effect tag_effect(const struct message *request)
{
	return (enum redis_effect)(request->tag & ((1u << TAG_EFFECT_BITS) - 1));
}

static void ignore_all(struct redis *r)
{
	enter(&r->side[0], PHASE_IGNORE);
	enter(&r->side[1], PHASE_IGNORE);
}

/* The first bytes of either direction decide what is known. */
static void start(const struct dissect *d, struct redis *r, struct side *s)
{
	if (!r->side[0].phase && !r->side[1].phase) {
		r->db = r->db_confirmed = -1;
		r->version = r->version_confirmed = d->midstream ? 0 : 2;
		r->unsure = d->midstream;
	}
	s->lossy = s->edge = d->midstream;
	enter(s, d->midstream ? PHASE_SEARCH : PHASE_START);
}

/* ---- requests ---- */

static void put_version(struct dissect *d, const struct redis *r, struct message *m)
{
	char digit = (char)('0' + r->version);
	if (r->version)
		message_put(d, m, REQUEST_version, &digit, 1);
}

static size_t put_decimal(char *out, uint64_t value)
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
		message_put(d, m, REQUEST_request_domain, text, put_decimal(text, (uint64_t)r->db));
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
		r->unsure |= r->multi; /* the confirmations will be within EXEC's reply, but for one that has several channels */
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

static void begin_request(struct dissect *d, struct redis *r, struct side *s, size_t at, const struct redis_request *q)
{
	bool was_multi = r->multi;
	bool silent = take_effect(d, r, q);
	if (was_multi && q->effect >= REDIS_REPLY_ON) /* its effect would come with EXEC */
		dissect_fail(d);
	if (d->failed)
		return;
	s->message = dissect_begin(d, MESSAGE_REQUEST, 0, at);
	if (s->message)
		s->message->tag = tag_make(q);
	if (silent)
		dissect_unpaired(d, s->message);
	r->owed += !silent;
	r->subscribe_owed += !silent && redis_is_subscription(q->effect);
	put_version(d, r, s->message);
	put_db(d, r, s->message);
	message_put(d, s->message, REQUEST_request_type, q->type, q->type_len);
	message_put(d, s->message, REQUEST_request_resource, q->resource, q->resource_len);
	message_put(d, s->message, REQUEST_endpoint, q->type, q->type_len);
	if (!r->asked) {
		r->asked = true;
		r->mark = r->side[1].retained;
	}
}

static void end_request(struct dissect *d, struct side *s, size_t at)
{
	dissect_end(d, s->message, MESSAGE_REQUEST, at);
	s->message = NULL;
	enter(s, PHASE_START);
}

/* The server answers what it cannot read with an error and closes. What was found by searching was no request. */
static enum step malformed_request(struct dissect *d, struct side *s, size_t at)
{
	if (s->message)
		end_request(d, s, at);
	enter(s, s->lossy ? PHASE_SEARCH : PHASE_IGNORE);
	s->edge = false;
	return STEP_ON;
}

static enum step parse_inline(struct dissect *d, struct redis *r, struct side *s, const uint8_t *data, size_t *at,
                              size_t len)
{
	const uint8_t *p = data + *at;
	size_t n = min_of(len - *at, (size_t)REDIS_LINE_MAX);
	const uint8_t *lf = text_find_lf(p, n);
	struct redis_request q;
	if (!lf && n < REDIS_LINE_MAX)
		return STEP_MORE;
	size_t size = lf ? (size_t)(lf - p) : n;
	struct text line = text_make(p, size && p[size - 1] == '\r' ? size - 1 : size);
	if (redis_inline_read(line, d->settings, &q) == REDIS_READ_EMPTY) {
		*at += size + (lf != NULL);
		r->reply_skip = false;
		return STEP_ON;
	}
	struct text type = {q.type, min_of(q.type_len, text_find((struct text){q.type, q.type_len}, ' '))};
	if (s->lossy && !redis_command_is_known(type))
		return malformed_request(d, s, *at);
	begin_request(d, r, s, *at, &q);
	if (d->failed)
		return STEP_MORE;
	*at += size + (lf != NULL);
	if (lf)
		end_request(d, s, *at);
	else
		enter(s, PHASE_LINE_REST);
	return STEP_ON;
}

static enum step parse_request(struct dissect *d, struct redis *r, struct side *s, const uint8_t *data, size_t *at,
                               size_t len)
{
	struct redis_request q;
	while (*at < len && (data[*at] == '\r' || data[*at] == '\n'))
		++*at;
	if (*at == len || len - *at < s->wanted)
		return STEP_MORE;
	if (data[*at] != '*')
		return parse_inline(d, r, s, data, at, len);
	size_t n = min_of(len - *at, (size_t)REDIS_HEAD_MAX);
	switch (redis_request_read(data + *at, n, n == REDIS_HEAD_MAX, d->settings, &q)) {
	case REDIS_READ_MORE:
		s->wanted = (uint32_t)min_of(q.wanted, (size_t)REDIS_HEAD_MAX);
		return STEP_MORE;
	case REDIS_READ_BAD:
		return malformed_request(d, s, *at);
	case REDIS_READ_EMPTY:
		*at += q.used;
		r->reply_skip = false;
		return STEP_ON;
	case REDIS_READ_DONE:
		break;
	}
	begin_request(d, r, s, *at, &q);
	if (d->failed)
		return STEP_MORE;
	*at += q.used;
	s->skip = q.skip;
	s->arguments = q.left;
	enter(s, PHASE_ARGUMENTS);
	return STEP_ON;
}

/* More than len: skip to there. */
static enum step parse_arguments(struct dissect *d, struct side *s, const uint8_t *data, uint64_t *at, size_t len)
{
	for (;;) {
		uint64_t size;
		if (s->skip) {
			*at += s->skip;
			s->skip = 0;
			if (*at > len)
				return STEP_MORE;
		}
		if (!s->arguments) {
			end_request(d, s, (size_t)*at);
			return STEP_ON;
		}
		if (*at == len)
			return STEP_MORE;
		int head = data[*at] == '$' ? redis_number_read(data + *at, len - *at, false, &size) : -1;
		if (head < 0)
			return malformed_request(d, s, (size_t)*at);
		if (!head)
			return STEP_MORE;
		*at += (unsigned)head;
		s->skip = size + 2;
		s->arguments--;
	}
}

/* ---- replies ---- */

/* The words that begin errors for which the server's state is to blame. */
static bool is_server_error(struct text error)
{
	static const char *const words[] = {"BUSY", "CLUSTERDOWN", "FAILOVER", "IOERR", "LOADING", "MASTERDOWN", "MISCONF",
	                                    "NOMASTERLINK", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN", "UNKILLABLE"};
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
			n += put_decimal(text + n, v->count);
			text[n++] = ')';
		}
		message_put(d, m, REQUEST_response_result, text, n);
	}
}

static void end_response(struct dissect *d, struct redis *r, size_t at)
{
	struct side *s = &r->side[1];
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
static void confirm(struct redis *r, const struct redis_value *v, const uint8_t *p, enum redis_effect effect, uint32_t number)
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
			ignore_all(r);
		break;
	case REDIS_NO_EFFECT:
		if (r->unsure && starts_line(v, p, "FULLRESYNC "))
			ignore_all(r);
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
	struct side *s = &r->side[1];
	const struct message *request = dissect_pending(d, 0);
	enum redis_effect effect = REDIS_NO_EFFECT;
	uint32_t number = 0;
	if (request) {
		effect = tag_effect(request);
		number = request->tag >> TAG_EFFECT_BITS;
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
		put_version(d, r, s->message);
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
	put_version(d, r, m);
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
	return request ? redis_is_subscription(tag_effect(request)) : r->subscribe_owed != 0;
}

/* A value at top level, of which v is the beginning. */
static enum step begin_response(struct dissect *d, struct redis *r, size_t at, const uint8_t *p, size_t n,
                                const struct redis_value *v)
{
	struct text word = {0}, channel = {0};
	enum redis_effect kind = REDIS_NO_EFFECT;
	bool push = v->type == '>', open = r->confirmations > 0;
	if (push || (v->type == '*' && may_be_message(d, r))) {
		size_t size = 0, size2;
		int have = v->streamed || v->count ? redis_word_read(p + v->size, n - v->size, REDIS_PUSH_WORD_MAX, &word, &size) : -1;
		if (!have)
			return STEP_MORE;
		if (have < 0)
			word.len = 0;
		bool named = redis_is_channel_message(word) || push;
		if (have > 0 && named && v->count > 1) {
			have = redis_word_read(p + v->size + size, n - v->size - size, CHANNEL_MAX, &channel, &size2);
			if (!have)
				return STEP_MORE;
			if (have < 0)
				channel.len = 0;
		}
		kind = redis_confirmation_of(word);
		push |= named;
		if (text_is(word, "REPLCONF") && v->type == '*') {
			ignore_all(r); /* a master's commands */
			return STEP_ON;
		}
	}
	if (v->type == '+')
		push = (r->monitoring || r->unsure) && redis_is_monitor_line(text_make(p + 1, v->size - 1));
	if (open && kind != REDIS_NO_EFFECT && kind == r->confirmation) {
		r->confirmations--;
		return STEP_ON;
	}
	if (open)
		end_response(d, r, at);
	r->confirmation = (uint8_t)kind;
	if (kind != REDIS_NO_EFFECT) {
		const struct message *request = dissect_pending(d, 0);
		push = request ? tag_effect(request) != kind : !r->subscribe_owed;
	}
	if (push) {
		begin_push(d, r, at, p, v, word, channel);
		return STEP_ON;
	}
	if (!r->owed && r->side[1].lossy)
		return STEP_LOST; /* nobody asked: it must be part of a reply whose beginning was lost */
	r->owed -= r->owed > 0;
	begin_reply(d, r, at, p, v, kind);
	return STEP_ON;
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

static void end_value(struct dissect *d, struct redis *r, size_t at)
{
	enter(&r->side[1], PHASE_START);
	if (!pop_values(r))
		return;
	r->after_attribute = false;
	if (!r->confirmations)
		end_response(d, r, at);
}

static enum step malformed_reply(struct dissect *d, struct redis *r, size_t at)
{
	struct side *s = &r->side[1];
	if (!s->lossy) {
		dissect_fail(d);
		return STEP_MORE;
	}
	if (s->message)
		end_response(d, r, at);
	r->depth = 0;
	r->attributes = 0;
	r->chunks = r->after_attribute = false;
	enter(s, PHASE_SEARCH);
	s->edge = false;
	return STEP_ON;
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
	if (r->depth == DEPTH_MAX)
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

/* One value, or its beginning. More than len: skip to there. */
static enum step parse_value(struct dissect *d, struct redis *r, const uint8_t *data, uint64_t *at, size_t len)
{
	struct side *s = &r->side[1];
	struct redis_value v;
	bool top = !r->depth && !r->after_attribute && !r->chunks;
	while (top && *at < len && (data[*at] == '\n' || data[*at] == '\r'))
		++*at; /* a master keeps the connection alive so */
	if (*at == len)
		return STEP_MORE;
	const uint8_t *p = data + *at;
	size_t n = len - *at;
	int have = redis_value_read(p, n, &v);
	if (have < 0 || (have && (v.type == ';') != r->chunks))
		return malformed_reply(d, r, *at);
	if (!have)
		return STEP_MORE;
	if (v.type == '!' && n < v.size + min_of(v.count, (uint64_t)ERROR_BYTES_MAX))
		return STEP_MORE;
	if (v.type == '.' && (!r->depth || r->left[r->depth - 1u] != STREAMED))
		return malformed_reply(d, r, *at);
	note_version(r, &v);
	if (top) {
		enum step step = begin_response(d, r, *at, p, n, &v);
		if (step == STEP_LOST)
			return malformed_reply(d, r, *at);
		if (step == STEP_MORE || d->failed)
			return STEP_MORE;
	}
	if (!top && !r->depth && r->after_attribute && v.type != ';')
		put_result(d, s->message, p, &v);
	bool error_counts = !r->depth || (r->exec && r->depth == 1 && s->message && s->message->status == STATUS_OK);
	if (s->phase == PHASE_IGNORE) { /* what follows is no reply any more */
		end_response(d, r, *at + v.size);
		*at += v.size;
		return STEP_ON;
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
			return STEP_ON;
		}
		*at += v.null ? 0 : v.count + 2;
		break;
	case ';':
		if (v.count) {
			*at += v.count + 2;
			return *at > len ? STEP_MORE : STEP_ON;
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
			return STEP_ON;
		}
		if (v.type == '|' && !r->depth)
			r->after_attribute = true;
		if (!push_values(r, &v))
			dissect_fail(d);
		return d->failed ? STEP_MORE : STEP_ON;
	default:
		break;
	}
	enter(s, v.cut ? PHASE_LINE_REST : PHASE_VALUE_END);
	return *at > len ? STEP_MORE : STEP_ON;
}

/* ---- the search for a message ---- */

static enum dissect_verdict request_is_known(const uint8_t *p, size_t n)
{
	bool known;
	enum dissect_verdict v = redis_request_begins(p, n, &known);
	return v == DISSECT_CERTAIN && !known ? DISSECT_NOT_MINE : v;
}

static enum step found(struct side *s)
{
	enter(s, PHASE_START);
	s->lossy = true;
	return STEP_ON;
}

static enum step pass_over(struct dissect *d, size_t from, size_t to, enum step step)
{
	if (to > from)
		dissect_lost(d, to);
	return step;
}

static enum step parse_search(struct dissect *d, struct redis *r, struct side *s, const uint8_t *data, size_t *at,
                              size_t len)
{
	bool server = d->side == SIDE_SERVER;
	size_t from = *at;
	if (server && r->asked && len - *at > r->mark) {
		size_t reply = *at + r->mark;
		enum dissect_verdict v = redis_reply_begins(data + reply, len - reply);
		if (v != DISSECT_NOT_MINE) {
			*at = reply;
			r->mark = 0;
			return pass_over(d, from, *at, v == DISSECT_CERTAIN ? found(s) : STEP_MORE);
		}
		r->asked = false;
	}
	while (*at < len) {
		if (s->edge) {
			enum dissect_verdict v = server ? redis_push_begins(data + *at, len - *at)
			                                : request_is_known(data + *at, len - *at);
			if (v != DISSECT_NOT_MINE)
				return pass_over(d, from, *at, v == DISSECT_CERTAIN ? found(s) : STEP_MORE);
		}
		const uint8_t *lf = text_find_lf(data + *at, len - *at);
		s->edge = lf != NULL;
		*at = lf ? (size_t)(lf - data) + 1 : len;
	}
	return pass_over(d, from, *at, STEP_MORE);
}

/* ---- the dissector ---- */

static enum step parse_line_rest(struct dissect *d, struct redis *r, struct side *s, const uint8_t *data, uint64_t *at,
                                 size_t len)
{
	const uint8_t *lf = text_find_lf(data + *at, len - *at);
	*at = lf ? (size_t)(lf - data) + 1 : len;
	if (!lf)
		return STEP_MORE;
	if (d->side == SIDE_CLIENT)
		end_request(d, s, *at);
	else
		end_value(d, r, *at);
	return STEP_ON;
}

static uint64_t redis_parse(struct dissect *d, const uint8_t *data, size_t len)
{
	struct redis *r = d->state;
	bool server = d->side == SIDE_SERVER;
	struct side *s = &r->side[server];
	enum step step = STEP_ON;
	uint64_t at = 0;
	while (step == STEP_ON && !d->failed) {
		switch ((enum phase)s->phase) {
		case PHASE_FRESH:
			start(d, r, s);
			break;
		case PHASE_START:
			step = server ? parse_value(d, r, data, &at, len) : parse_request(d, r, s, data, &at, len);
			break;
		case PHASE_ARGUMENTS:
			step = parse_arguments(d, s, data, &at, len);
			break;
		case PHASE_LINE_REST:
			step = parse_line_rest(d, r, s, data, &at, len);
			break;
		case PHASE_VALUE_END:
			end_value(d, r, at);
			break;
		case PHASE_SEARCH:
			step = parse_search(d, r, s, data, &at, len);
			break;
		case PHASE_IGNORE:
			return DISSECT_ALL;
		}
	}
	s->retained = at < len ? (uint32_t)(len - at) : 0;
	if (server && s->phase != PHASE_SEARCH)
		r->asked &= !len;
	return at;
}

static void redis_gap(struct dissect *d, uint64_t missing maybe_unused)
{
	struct redis *r = d->state;
	bool server = d->side == SIDE_SERVER;
	struct side *s = &r->side[server];
	if (s->phase == PHASE_IGNORE) {
		dissect_keep(d);
		return;
	}
	if (!s->phase)
		start(d, r, s);
	s->message = NULL;
	s->retained = 0;
	r->unsure = true;
	enter(s, PHASE_SEARCH);
	s->edge = true;
	if (server) {
		r->depth = 0;
		r->attributes = 0;
		r->chunks = r->after_attribute = false;
		r->confirmations = 0;
		r->confirmation = REDIS_NO_EFFECT;
		r->mark = 0;
	} else {
		r->db = r->db_confirmed = -1;
		r->multi = r->reply_off = r->reply_skip = false;
		r->subscribe_owed = 0;
	}
}

static void redis_close(struct dissect *d)
{
	struct redis *r = d->state;
	if (d->side == SIDE_SERVER && r->confirmations && !r->depth)
		end_response(d, r, 0);
}

const struct dissector dissector_redis = {
	.name = "redis",
	.title = "Redis",
	.ports = "6379",
	.pairing = PAIR_IN_ORDER,
	.tcp = true,
	.state_size = sizeof(struct redis),
	.probe = redis_probe,
	.parse = redis_parse,
	.gap = redis_gap,
	.close = redis_close,
};
