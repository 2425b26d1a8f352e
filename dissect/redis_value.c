#include "redis_value.h"

enum {
	INTEGER_DIGITS_MAX = 20,
	PLAUSIBLE_BYTES = 4096, /* a string is seen whole, if it is shorter, before it is believed */
};

static bool is_line(uint8_t type)
{
	return type == '+' || type == '-' || type == ',' || type == '(' || type == '#' || type == '_' || type == '.';
}

/* The type takes a count of elements or bytes. */
static bool is_counted(uint8_t type)
{
	return type && strchr("$*%~>|=!;", type);
}

static int read_integer(const uint8_t *p, size_t n, struct redis_value *ret)
{
	size_t i = 1, from;
	i += n > 1 && (p[1] == '-' || p[1] == '+');
	from = i;
	while (i < n && ascii_is_digit(p[i]))
		if (++i - from > INTEGER_DIGITS_MAX)
			return -1;
	if (i == n)
		return 0;
	if (i == from || p[i] != '\r' || (i + 1 < n && p[i + 1] != '\n'))
		return -1;
	ret->size = (uint32_t)i + 2;
	return i + 1 < n;
}

static int read_line(const uint8_t *p, size_t n, struct redis_value *ret)
{
	bool free_text = *p == '+' || *p == '-' || *p == '(';
	size_t max = free_text ? REDIS_LINE_MAX : 64;
	const uint8_t *lf = text_find_lf(p, min_of(n, max));
	if (!lf && n < max)
		return 0;
	if (!lf) {
		ret->cut = true;
		ret->size = REDIS_LINE_MAX;
		return free_text ? 1 : -1;
	}
	ret->size = (uint32_t)(lf - p) + 1;
	ret->null = *p == '_';
	if (ret->size < 3 || lf[-1] != '\r')
		return -1;
	switch (*p) {
	case '_':
	case '.':
		return ret->size == 3 ? 1 : -1;
	case '#':
		return ret->size == 4 && (p[1] == 't' || p[1] == 'f') ? 1 : -1;
	case ',':
	case '(':
		return ret->size > 3 ? 1 : -1;
	default:
		return 1;
	}
}

int redis_value_read(const uint8_t *p, size_t n, struct redis_value *ret)
{
	*ret = (struct redis_value){.type = *p};
	if (*p == ':')
		return read_integer(p, n, ret);
	if (is_line(*p))
		return read_line(p, n, ret);
	if (!is_counted(*p))
		return -1;
	if (n > 1 && p[1] == '?') {
		static const char end[] = "\r\n";
		ret->streamed = true;
		ret->size = 4;
		if (memcmp(p + 2, end, min_of(n - 2, (size_t)2)) || !strchr("$*%~>", *p))
			return -1;
		return n >= 4;
	}
	int size = redis_number_read(p, n, true, &ret->count);
	if (size <= 0)
		return size;
	ret->size = (uint32_t)size;
	ret->null = ret->count == UINT64_MAX;
	if (ret->null)
		return *p == '$' || *p == '*' ? 1 : -1;
	return ret->count <= INT32_MAX || *p == '$' || *p == '=' ? 1 : -1;
}

int redis_word_read(const uint8_t *p, size_t n, size_t max, struct text *ret, size_t *ret_size)
{
	struct redis_value v;
	if (!n)
		return 0;
	if (*p != '$' && *p != '+')
		return -1;
	if (*p == '+' && n > max + 3)
		n = max + 3;
	int r = redis_value_read(p, n, &v);
	if (r < 0 || (!r && *p == '+' && n == max + 3))
		return -1;
	if (!r)
		return 0;
	if (*p == '+') {
		*ret = text_make(p + 1, v.size - 3);
		*ret_size = v.size;
		return 1;
	}
	if (v.streamed || v.null || v.count > max)
		return -1;
	*ret = text_make(p + v.size, (size_t)v.count);
	*ret_size = v.size + (size_t)v.count + 2;
	return *ret_size <= n;
}

const char *redis_type_name(uint8_t type)
{
	switch (type) {
	case '$':
		return "bulk";
	case '*':
		return "array";
	case '%':
		return "map";
	case '~':
		return "set";
	case '>':
		return "push";
	case '=':
		return "verbatim";
	case ',':
		return "double";
	case '(':
		return "number";
	default:
		return "";
	}
}

enum redis_effect redis_confirmation_of(struct text word)
{
	static const char *const words[] = {
	    [REDIS_SUBSCRIBE] = "subscribe",       [REDIS_PSUBSCRIBE] = "psubscribe",
	    [REDIS_SSUBSCRIBE] = "ssubscribe",     [REDIS_UNSUBSCRIBE] = "unsubscribe",
	    [REDIS_PUNSUBSCRIBE] = "punsubscribe", [REDIS_SUNSUBSCRIBE] = "sunsubscribe",
	};
	for (unsigned i = REDIS_SUBSCRIBE; i < array_size(words); i++)
		if (text_is(word, words[i]))
			return (enum redis_effect)i;
	return REDIS_NO_EFFECT;
}

bool redis_is_channel_message(struct text word)
{
	return text_is(word, "message") || text_is(word, "pmessage") || text_is(word, "smessage");
}

bool redis_is_monitor_line(struct text t)
{
	uint32_t i = 0, digits = 0;
	while (i < t.len && ascii_is_digit((uint8_t)t.at[i]))
		i++;
	if (i < 9 || i > 12 || i == t.len || t.at[i++] != '.')
		return false;
	for (; i < t.len && ascii_is_digit((uint8_t)t.at[i]); i++)
		digits++;
	return digits == 6 && t.len - i > 2 && t.at[i] == ' ' && t.at[i + 1] == '[';
}

/* ---- recognising ---- */

static bool is_type(uint8_t c)
{
	return c == ':' || (c != '.' && c != ';' && (is_line(c) || is_counted(c)));
}

enum dissect_verdict redis_reply_begins(const uint8_t *p, size_t n)
{
	struct redis_value v;
	if (!n)
		return DISSECT_UNSURE;
	int have = is_type(*p) ? redis_value_read(p, n, &v) : -1;
	if (!have)
		return DISSECT_UNSURE;
	if (have < 0 || v.cut)
		return DISSECT_NOT_MINE;
	if (v.type == '+' || v.type == '-')
		for (uint32_t i = 1; i + 2 < v.size; i++)
			if (p[i] < ' ')
				return DISSECT_NOT_MINE;
	if (v.type == '-' && (v.size < 6 || !ascii_is_alpha(p[1]) || p[1] & 0x20))
		return DISSECT_NOT_MINE;
	if (is_line(v.type) || v.type == ':' || v.null)
		return DISSECT_CERTAIN;
	if (v.streamed || !strchr("$=!", v.type)) {
		if (!v.count && !v.streamed)
			return DISSECT_CERTAIN;
		if (n == v.size)
			return DISSECT_UNSURE;
		return is_type(p[v.size]) || (v.streamed && (p[v.size] == ';' || p[v.size] == '.')) ? DISSECT_CERTAIN
												    : DISSECT_NOT_MINE;
	}
	if (v.count > PLAUSIBLE_BYTES)
		return DISSECT_CERTAIN;
	if (n < v.size + v.count + 2)
		return DISSECT_UNSURE;
	return !memcmp(p + v.size + v.count, "\r\n", 2) ? DISSECT_CERTAIN : DISSECT_NOT_MINE;
}

enum dissect_verdict redis_push_begins(const uint8_t *p, size_t n)
{
	struct redis_value v;
	struct text word;
	size_t size;
	if (!n)
		return DISSECT_UNSURE;
	if ((*p != '*' && *p != '>' && *p != '+') || (*p == '+' && n > 1 && !ascii_is_digit(p[1])))
		return DISSECT_NOT_MINE;
	int have = redis_value_read(p, n, &v);
	if (have <= 0)
		return have ? DISSECT_NOT_MINE : DISSECT_UNSURE;
	if (*p == '+')
		return redis_is_monitor_line(text_make(p + 1, v.size - 1)) ? DISSECT_CERTAIN : DISSECT_NOT_MINE;
	if (v.streamed || v.null || v.count < 2 || v.count > 4)
		return DISSECT_NOT_MINE;
	have = redis_word_read(p + v.size, n - v.size, REDIS_PUSH_WORD_MAX, &word, &size);
	if (have <= 0)
		return have ? DISSECT_NOT_MINE : DISSECT_UNSURE;
	if (redis_is_channel_message(word))
		return DISSECT_CERTAIN;
	bool push = text_is(word, "invalidate") || redis_confirmation_of(word) != REDIS_NO_EFFECT;
	return *p == '>' && push ? DISSECT_CERTAIN : DISSECT_NOT_MINE;
}
