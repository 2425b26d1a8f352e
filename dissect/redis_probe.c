/* redis_probe.c - whether a connection is Redis.
 *
 * A request as an array is beyond doubt. Inline commands are lines as many protocols have them: one that is known
 * suffices on a port that is hinted, elsewhere several, with one among them that only Redis has. Replies count where
 * the start of the connection was not seen or the port is hinted, and only if their bytes are right; away from a hinted
 * port, if there is a string among them that ends where it should. */
#include "redis_value.h"

enum {
	PROBE_LINES = 3,
	PROBE_BYTES = 64,
	PROBE_VALUES = 64,
};

/* What a server says to those it does not want, before anything is asked. */
static enum dissect_verdict probe_refusal(const uint8_t *p, size_t n)
{
	static const char *const texts[] = {"-DENIED Redis is running", "-ERR max number of clients reached\r\n",
					    "+PONG\r\n"};
	for (unsigned i = 0; i < array_size(texts); i++) {
		size_t len = strlen(texts[i]);
		if (!memcmp(p, texts[i], min_of(n, len)))
			return n < len ? DISSECT_UNSURE : DISSECT_CERTAIN;
	}
	return DISSECT_NOT_MINE;
}

/* As many values as are at hand. */
static enum dissect_verdict probe_replies(const uint8_t *p, size_t n, bool hinted)
{
	bool whole = false, evident = false;
	size_t at = 0;
	for (unsigned i = 0; at < n && i < PROBE_VALUES; i++) {
		struct redis_value v;
		if (whole && p[at] == '\n') {
			at++;
			continue;
		}
		enum dissect_verdict verdict = redis_reply_begins(p + at, n - at);
		if (verdict == DISSECT_NOT_MINE)
			return verdict;
		if (verdict == DISSECT_UNSURE)
			break;
		if (redis_value_read(p + at, n - at, &v) <= 0)
			break;
		at += v.size;
		whole = true;
		if (!v.streamed && !v.null && (v.type == '$' || v.type == '=' || v.type == '!')) {
			at += v.count + 2;
			evident |= v.count && at <= n;
		}
	}
	if (evident || (whole && hinted) || redis_push_begins(p, n) == DISSECT_CERTAIN)
		return DISSECT_CERTAIN;
	return whole && n > PROBE_BYTES ? DISSECT_NOT_MINE : DISSECT_UNSURE;
}

/* A line that is a command of Redis: its name, and words behind it that can be shown. */
static enum dissect_verdict probe_line(struct text line, bool ends, bool *distinct)
{
	struct text rest = line;
	struct text word = text_split(&rest, ' ');
	for (uint32_t i = 0; i < line.len; i++)
		if ((uint8_t)line.at[i] < ' ' && line.at[i] != '\t')
			return DISSECT_NOT_MINE;
	if (rest.at && memmem(rest.at, rest.len, " HTTP/1.", 8))
		return DISSECT_NOT_MINE;
	if (rest.at || ends) {
		*distinct |= redis_command_is_distinct(word);
		return redis_command_is_known(word) ? DISSECT_CERTAIN : DISSECT_NOT_MINE;
	}
	for (uint32_t i = 0; i < word.len; i++)
		if (!ascii_is_alpha((uint8_t)word.at[i]) && i < word.len)
			return DISSECT_NOT_MINE;
	return word.len < REDIS_WORD_MAX ? DISSECT_UNSURE : DISSECT_NOT_MINE;
}

/* Something that the server will call an unknown command: its answer decides. */
static enum dissect_verdict probe_unknown_line(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] == '\r' || p[i] == '\n')
			return n - i <= 2 && n < PROBE_BYTES ? DISSECT_UNSURE : DISSECT_NOT_MINE;
		else if (p[i] < ' ' || p[i] >= 0x7f)
			return DISSECT_NOT_MINE;
	return n < PROBE_BYTES ? DISSECT_UNSURE : DISSECT_NOT_MINE;
}

static enum dissect_verdict probe_inline(const uint8_t *p, size_t n, bool hinted)
{
	const uint8_t *end = p + n;
	unsigned lines = 0;
	bool distinct = false;
	while (p < end) {
		const uint8_t *lf = text_find_lf(p, (size_t)(end - p));
		size_t size = (size_t)((lf ? lf : end) - p);
		bool ends = lf && size && lf[-1] == '\r';
		if (lf && !ends)
			return DISSECT_NOT_MINE;
		size -= ends || (!lf && end[-1] == '\r' && size);
		enum dissect_verdict v = probe_line(text_make(p, size), ends, &distinct);
		if (v == DISSECT_NOT_MINE)
			return v;
		if (!ends)
			break;
		lines++;
		if (hinted || (lines >= PROBE_LINES && distinct))
			return DISSECT_CERTAIN;
		p = lf + 1;
	}
	return n < PROBE_BYTES ? DISSECT_UNSURE : DISSECT_NOT_MINE;
}

static enum dissect_verdict certain(struct dissect_probe *p, enum dissect_side side)
{
	p->ret_side = side;
	return DISSECT_CERTAIN;
}

enum dissect_verdict redis_probe(struct dissect_probe *p)
{
	enum dissect_verdict v;
	bool known;
	if (!p->len)
		return DISSECT_UNSURE;
	if (*p->data == '*') {
		v = redis_request_begins(p->data, p->len, &known);
		bool request = v == DISSECT_CERTAIN && (known || !p->midstream);
		if (request && (p->midstream || p->side != SIDE_SERVER))
			return certain(p, SIDE_CLIENT);
		if (v == DISSECT_UNSURE)
			return v;
	}
	if (ascii_is_alpha(*p->data)) {
		v = p->side == SIDE_SERVER ? DISSECT_NOT_MINE : probe_inline(p->data, p->len, p->hinted);
		if (v == DISSECT_CERTAIN)
			return certain(p, SIDE_CLIENT);
		return v == DISSECT_NOT_MINE && p->hinted && !p->midstream && p->side == SIDE_CLIENT
			   ? probe_unknown_line(p->data, p->len)
			   : v;
	}
	v = DISSECT_NOT_MINE;
	if (!p->midstream)
		v = probe_refusal(p->data, p->len);
	if (v == DISSECT_NOT_MINE && (p->midstream || (p->hinted && p->side == SIDE_SERVER)))
		v = probe_replies(p->data, p->len, p->hinted);
	return v == DISSECT_CERTAIN ? certain(p, SIDE_SERVER) : v;
}
