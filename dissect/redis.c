/* redis.c - Redis (RESP2, RESP3 and inline commands): where requests and replies begin and end, and which reply answers
 * what.
 *
 * A request is read up to its last key (redis_command.h) and then followed argument by argument; values are skipped
 * unseen. A reply is followed value by value: how many values each open aggregate still needs is all that is kept, for
 * a bounded depth.
 *
 * Which request a reply answers. Every value of the server at top level answers the oldest request, but:
 *   - After CLIENT REPLY OFF and SKIP requests get no reply, nor does REPLCONF ACK: they leave unpaired.
 *   - A push of RESP3 ('>') answers nothing. In RESP2 the messages of channels are arrays; they count as such only
 *     while the connection is subscribed, when no other reply is an array that begins with their words.
 *   - SUBSCRIBE and its kin are answered by one confirmation for each channel, a push in RESP3; UNSUBSCRIBE without
 * channels by one for each that is subscribed, at least one. All of them together are the one response.
 *   - After MONITOR, lines "+1339518083.107412 [0 …" answer nothing. Replies (to QUIT, RESET) go between them.
 *   - After PSYNC or SYNC was answered the connection carries the master's data and commands: it is looked at no more.
 * QUEUED is the response of each command of a transaction, the array that of EXEC; an error among its elements counts.
 *
 * Status. Errors that say something about the state of the server (LOADING, OOM, READONLY, …: server_error_words) are
 * server errors, all others client errors, MOVED and ASK among them.
 *
 * After a hole, or where the start of the connection was not seen. A request is looked for behind each line end: an
 * array whose first string is a known command. A value of the server may as well be an element of an array, so its
 * bytes alone do not tell where a reply begins: the first bytes that the server sends after the client has sent a
 * request are one, if they look like one, and no more replies are believed than were asked for. What is passed over is
 * reported as lost, so that nothing is paired by mistake. A false reply comes out, unpaired, where the first segment of
 * a long reply was lost and the second one begins just with an element. Messages of channels and MONITOR's lines are
 * found behind any line end. */
#include "redis.h"

/* The first bytes of either direction decide what is known. A server says nothing unasked but that it refuses. */
static void start(const struct dissect *d, struct redis *r, struct redis_side *s, bool refuses)
{
	bool lost = d->midstream || (s == &r->side[1] && !r->side[0].phase && !refuses);
	if (!r->side[0].phase && !r->side[1].phase) {
		r->db = r->db_confirmed = -1;
		r->version = r->version_confirmed = lost ? 0 : 2;
		r->unsure = lost;
	}
	s->lossy = s->edge = lost;
	redis_enter(s, lost ? REDIS_PHASE_SEARCH : REDIS_PHASE_START);
}

/* ---- the search for a message ---- */

static enum dissect_verdict request_is_known(const uint8_t *p, size_t n)
{
	bool known;
	enum dissect_verdict v = redis_request_begins(p, n, &known);
	return v == DISSECT_CERTAIN && !known ? DISSECT_NOT_MINE : v;
}

static enum redis_step found(struct redis_side *s)
{
	redis_enter(s, REDIS_PHASE_START);
	s->lossy = true;
	return REDIS_STEP_ON;
}

static enum redis_step pass_over(struct dissect *d, size_t from, size_t to, enum redis_step step)
{
	if (to > from)
		dissect_lost(d, to);
	return step;
}

static enum redis_step parse_search(struct dissect *d, struct redis *r, struct redis_side *s, const uint8_t *data,
				    size_t *at, size_t len)
{
	bool server = d->side == SIDE_SERVER;
	size_t from = *at;
	if (server && r->asked && len - *at > r->mark) {
		size_t reply = *at + r->mark;
		enum dissect_verdict v = redis_reply_begins(data + reply, len - reply);
		if (v != DISSECT_NOT_MINE) {
			*at = reply;
			r->mark = 0;
			r->asked = v == DISSECT_UNSURE;
			return pass_over(d, from, *at, v == DISSECT_CERTAIN ? found(s) : REDIS_STEP_MORE);
		}
		r->asked = false;
	}
	while (*at < len) {
		if (s->edge) {
			enum dissect_verdict v =
			    server ? redis_push_begins(data + *at, len - *at) : request_is_known(data + *at, len - *at);
			if (v != DISSECT_NOT_MINE)
				return pass_over(d, from, *at, v == DISSECT_CERTAIN ? found(s) : REDIS_STEP_MORE);
		}
		const uint8_t *lf = text_find_lf(data + *at, len - *at);
		s->edge = lf != NULL;
		*at = lf ? (size_t)(lf - data) + 1 : len;
	}
	return pass_over(d, from, *at, REDIS_STEP_MORE);
}

/* ---- the dissector ---- */

static enum redis_step parse_line_rest(struct dissect *d, struct redis *r, struct redis_side *s, const uint8_t *data,
				       uint64_t *at, size_t len)
{
	const uint8_t *lf = text_find_lf(data + *at, len - *at);
	*at = lf ? (size_t)(lf - data) + 1 : len;
	if (!lf)
		return REDIS_STEP_MORE;
	if (d->side == SIDE_CLIENT)
		redis_end_request(d, s, *at);
	else
		redis_end_value(d, r, *at);
	return REDIS_STEP_ON;
}

static uint64_t redis_parse(struct dissect *d, const uint8_t *data, size_t len)
{
	struct redis *r = d->state;
	bool server = d->side == SIDE_SERVER;
	struct redis_side *s = &r->side[server];
	enum redis_step step = REDIS_STEP_ON;
	uint64_t at = 0;
	while (step == REDIS_STEP_ON && !d->failed) {
		switch ((enum redis_phase)s->phase) {
		case REDIS_PHASE_FRESH:
			start(d, r, s, len && *data == '-');
			break;
		case REDIS_PHASE_START:
			step = server ? redis_parse_value(d, r, data, &at, len)
				      : redis_parse_request(d, r, s, data, &at, len);
			break;
		case REDIS_PHASE_ARGUMENTS:
			step = redis_parse_arguments(d, s, data, &at, len);
			break;
		case REDIS_PHASE_LINE_REST:
			step = parse_line_rest(d, r, s, data, &at, len);
			break;
		case REDIS_PHASE_VALUE_END:
			redis_end_value(d, r, at);
			break;
		case REDIS_PHASE_SEARCH:
			step = parse_search(d, r, s, data, &at, len);
			break;
		case REDIS_PHASE_IGNORE:
			return DISSECT_ALL;
		}
	}
	s->retained = at < len ? (uint32_t)(len - at) : 0;
	if (server && s->phase != REDIS_PHASE_SEARCH)
		r->asked &= !len;
	return at;
}

static void redis_gap(struct dissect *d, uint64_t missing maybe_unused)
{
	struct redis *r = d->state;
	bool server = d->side == SIDE_SERVER;
	struct redis_side *s = &r->side[server];
	if (s->phase == REDIS_PHASE_IGNORE) {
		dissect_keep(d);
		return;
	}
	if (!s->phase)
		start(d, r, s, false);
	s->message = NULL;
	s->retained = 0;
	r->unsure = true;
	redis_enter(s, REDIS_PHASE_SEARCH);
	s->edge = true;
	if (server) {
		redis_reset_value(r);
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
		redis_end_response(d, r, 0);
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
