#include "sql.h"

static const char *const statement_words[] = {
    "alter",    "analyze",    "begin",    "binlog",  "call",     "change",    "check",     "checksum", "commit",
    "create",   "deallocate", "delete",   "desc",    "describe", "do",        "drop",      "execute",  "explain",
    "flush",    "get",        "grant",    "handler", "help",     "import",    "insert",    "install",  "kill",
    "load",     "lock",       "optimize", "prepare", "purge",    "release",   "rename",    "repair",   "replace",
    "reset",    "resignal",   "restart",  "revoke",  "rollback", "savepoint", "select",    "set",      "show",
    "shutdown", "signal",     "start",    "stop",    "table",    "truncate",  "uninstall", "unlock",   "update",
    "use",      "values",     "with",     "xa",      NULL,
};

/* The lists are in lower case, and end with NULL. */
static bool is_one_of(struct text word, const char *const *list)
{
	uint8_t first = word.len ? ascii_lower((uint8_t)word.at[0]) : 0;
	for (; *list; list++)
		if ((uint8_t)(*list)[0] == first && text_is_lower(word, *list))
			return true;
	return false;
}

bool sql_is_statement_word(struct text word)
{
	return is_one_of(word, statement_words);
}

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_name(uint8_t c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '_' || c == '$' || c >= 0x80;
}

/* Behind the closing quote; the end where there is none. */
static const char *skip_quoted(const char *at, const char *end, char quote, bool escapes)
{
	for (at++; at < end; at++) {
		if (*at == '\\' && escapes) {
			if (at + 1 < end)
				at++;
		} else if (*at == quote) {
			if (at + 1 == end || at[1] != quote)
				return at + 1;
			at++;
		}
	}
	return end;
}

static const char *skip_digits(const char *at, const char *end)
{
	while (at < end && ascii_is_digit((uint8_t)*at))
		at++;
	return at;
}

/* Behind the number that begins here with a digit, or a dot and a digit; NULL where it is a name that begins with
 * digits. */
static const char *skip_number(const char *at, const char *end)
{
	const char *p = at;
	if (*p == '0' && p + 1 < end && (p[1] == 'x' || p[1] == 'b')) {
		const char *q = p + 2;
		while (q < end && (p[1] == 'x' ? ascii_hex((uint8_t)*q) >= 0 : *q == '0' || *q == '1'))
			q++;
		if (q > p + 2 && (q == end || !is_name((uint8_t)*q)))
			return q;
	}
	p = skip_digits(p, end);
	bool fraction = p < end && *p == '.';
	if (fraction)
		p = skip_digits(p + 1, end);
	if (p < end && (*p == 'e' || *p == 'E')) {
		const char *q = p + 1;
		if (q < end && (*q == '+' || *q == '-'))
			q++;
		if (q < end && ascii_is_digit((uint8_t)*q))
			return skip_digits(q, end);
	}
	return !fraction && p < end && is_name((uint8_t)*p) ? NULL : p;
}

static const char *skip_line(const char *at, const char *end)
{
	const char *lf = memchr(at, '\n', (size_t)(end - at));
	return lf ? lf : end;
}

/* A comment or the opening of an executed one begins at `at`, where "/" and "*" stand. */
static enum sql_token block_comment(struct sql_lexer *l, const char *at, const char **ret_next)
{
	const char *p = at + 2, *end = l->end;
	if (p < end && *p == 'M' && p + 1 < end && p[1] == '!')
		p++;
	if (p < end && *p == '!') {
		l->executed = true;
		*ret_next = skip_digits(p + 1, end);
		return SQL_PUNCTUATION;
	}
	const char *close = end - p >= 2 ? memmem(p, (size_t)(end - p), "*/", 2) : NULL;
	*ret_next = close ? close + 2 : end;
	return SQL_COMMENT;
}

static enum sql_token lex(struct sql_lexer *l, const char *at, const char **ret_next)
{
	const char *end = l->end, *p = at + 1, *number;
	uint8_t c = (uint8_t)*at, second = p < end ? (uint8_t)*p : 0;

	*ret_next = p;
	if (is_space(c)) {
		while (p < end && is_space((uint8_t)*p))
			p++;
		*ret_next = p;
		return SQL_SPACE;
	}
	if (c == '\'' || c == '"') {
		*ret_next = skip_quoted(at, end, (char)c, true);
		return SQL_LITERAL;
	}
	if (c == '`') {
		*ret_next = skip_quoted(at, end, '`', false);
		return SQL_QUOTED;
	}
	if (c == '#' || (c == '-' && second == '-' && (p + 1 == end || is_space((uint8_t)p[1])))) {
		*ret_next = skip_line(at, end);
		return SQL_COMMENT;
	}
	if (c == '/' && second == '*')
		return block_comment(l, at, ret_next);
	if (c == '*' && second == '/' && l->executed) {
		l->executed = false;
		*ret_next = at + 2;
		return SQL_PUNCTUATION;
	}
	if (c == '?')
		return SQL_PLACEHOLDER;
	bool digit = ascii_is_digit(c);
	if ((digit || (c == '.' && ascii_is_digit(second))) && !l->after_name) {
		number = skip_number(at, end);
		if (number) {
			*ret_next = number;
			return SQL_LITERAL;
		}
	}
	if (is_name(c)) {
		/* x'4D', b'0101', n'text': one letter that belongs to the string */
		uint8_t letter = ascii_lower(c);
		if (second == '\'' && (letter == 'x' || letter == 'b' || letter == 'n')) {
			*ret_next = skip_quoted(p, end, '\'', true);
			return SQL_LITERAL;
		}
		while (p < end && is_name((uint8_t)*p))
			p++;
		*ret_next = p;
		return SQL_WORD;
	}
	return SQL_PUNCTUATION;
}

enum sql_token sql_next(struct sql_lexer *l, struct text *ret)
{
	const char *at = l->at, *next;
	if (at >= l->end) {
		*ret = text_make(at, 0);
		return SQL_END;
	}
	enum sql_token token = lex(l, at, &next);
	*ret = text_make(at, (size_t)(next - at));
	l->after_name =
	    token == SQL_WORD || token == SQL_QUOTED || (token == SQL_PUNCTUATION && *at == '.' && l->after_name);
	l->at = next;
	return token;
}

size_t sql_hide(struct text statement, char *out, size_t size)
{
	struct sql_lexer l = sql_lexer_make(statement);
	struct text t;
	size_t len = 0;
	bool comment = false;

	for (enum sql_token token; (token = sql_next(&l, &t)) != SQL_END && len < size;) {
		if (token == SQL_COMMENT) {
			comment = true;
			continue;
		}
		/* a comment separates like a space, but leaves no trace beside one */
		if (comment && len && out[len - 1] != ' ' && token != SQL_SPACE)
			out[len++] = ' ';
		if (comment && token == SQL_SPACE && (!len || out[len - 1] == ' ')) {
			comment = false;
			continue;
		}
		comment = false;
		if (token == SQL_LITERAL)
			t = TEXT("?");
		size_t n = min_of((size_t)t.len, size - len);
		memcpy(out + len, t.at, n);
		len += n;
	}
	return len;
}

/* The next token that is neither space nor comment. */
static enum sql_token next_solid(struct sql_lexer *l, struct text *ret)
{
	enum sql_token token;
	do
		token = sql_next(l, ret);
	while (token == SQL_SPACE || token == SQL_COMMENT);
	return token;
}

/* The first word, behind parentheses and the opening of an executed comment. */
static bool first_word(struct sql_lexer *l, struct text *ret)
{
	enum sql_token token;
	do
		token = next_solid(l, ret);
	while (token == SQL_PUNCTUATION && (ret->at[0] == '(' || ret->at[0] == '/'));
	return token == SQL_WORD;
}

bool sql_holds_secret(struct text statement)
{
	static const char *const verbs[] = {"alter", "change", "create", "grant", "set", "start", NULL};
	static const char *const secrets[] = {"identified", "password", "master_password", "source_password", NULL};
	struct sql_lexer l = sql_lexer_make(statement);
	struct text t;

	if (!first_word(&l, &t) || !is_one_of(t, verbs))
		return false;
	for (enum sql_token token; (token = sql_next(&l, &t)) != SQL_END;)
		if (token == SQL_WORD && is_one_of(t, secrets))
			return true;
	return false;
}

/* "db.table", as written, without the quotes; 0 where no name comes next. */
static size_t put_name(struct sql_lexer *l, enum sql_token token, struct text t, char *out, size_t size)
{
	size_t len = 0, dot = 0;
	while (token == SQL_WORD || token == SQL_QUOTED) {
		if (token == SQL_QUOTED) {
			t.at++;
			t.len -= t.len >= 2 && t.at[t.len - 2] == '`' ? 2 : 1;
		}
		if (size - len < t.len)
			return 0;
		memcpy(out + len, t.at, t.len);
		len += t.len;
		dot = 0;
		if (l->at == l->end || *l->at != '.' || len == size)
			break;
		out[len++] = '.';
		dot = 1;
		l->at++;
		token = sql_next(l, &t);
	}
	return len - dot;
}

/* Up to the word `until` outside of parentheses. */
static bool skip_until(struct sql_lexer *l, const char *until)
{
	struct text t;
	int depth = 0;
	for (enum sql_token token; (token = sql_next(l, &t)) != SQL_END;) {
		if (token == SQL_PUNCTUATION)
			depth += *t.at == '(' ? 1 : *t.at == ')' ? -1 : 0;
		else if (token == SQL_WORD && depth <= 0 && text_is_lower(t, until))
			return true;
	}
	return false;
}

size_t sql_endpoint(struct text statement, char *out, size_t size)
{
	/* words between the verb and the name, all of which may be missing */
	static const char *const fill[] = {
	    "low_priority", "high_priority", "delayed", "quick", "ignore", "into",
	    "only",         "table",         "if",      "not",   "exists", NULL,
	};
	static const char *const direct[] = {"insert", "replace", "update",   "call", "truncate",
					     "use",    "desc",    "describe", NULL};
	static const char *const reads[] = {"select", "delete", NULL}, *const defines[] = {"create", "alter", "drop",
											   NULL};
	static const char *const objects[] = {
	    "table", "database", "schema", "view", "index", "procedure", "function", "trigger", "event", "user", NULL,
	};
	struct sql_lexer l = sql_lexer_make(statement);
	struct text verb, t;
	enum sql_token token = SQL_END;

	if (!first_word(&l, &verb) || verb.len > size)
		return 0;
	size_t len = 0;
	for (; len < verb.len; len++)
		out[len] = ascii_is_alpha((uint8_t)verb.at[len]) ? verb.at[len] & 0x5f : verb.at[len];

	if (is_one_of(verb, reads)) {
		if (!skip_until(&l, "from"))
			return len;
		token = next_solid(&l, &t);
	} else if (text_is_lower(verb, "load")) {
		if (!skip_until(&l, "into"))
			return len;
		token = next_solid(&l, &t);
	} else if (is_one_of(verb, defines)) {
		token = next_solid(&l, &t);
		while (token == SQL_WORD && !is_one_of(t, objects))
			token = next_solid(&l, &t);
		if (token != SQL_WORD || size - len < t.len + 1)
			return len;
		out[len++] = ' ';
		for (uint32_t i = 0; i < t.len; i++)
			out[len++] = t.at[i] & 0x5f;
		if (text_is_lower(t, "user")) /* 'name'@'host': strings, and nobody's endpoint */
			return len;
		token = next_solid(&l, &t);
	} else if (is_one_of(verb, direct)) {
		token = next_solid(&l, &t);
	}
	while (token == SQL_WORD && is_one_of(t, fill))
		token = next_solid(&l, &t);
	if (size - len < 2)
		return len;
	size_t name = put_name(&l, token, t, out + len + 1, size - len - 1);
	if (!name)
		return len;
	out[len] = ' ';
	return len + 1 + name;
}

uint32_t sql_count_placeholders(struct text statement)
{
	struct sql_lexer l = sql_lexer_make(statement);
	struct text t;
	uint32_t n = 0;
	for (enum sql_token token; (token = sql_next(&l, &t)) != SQL_END;)
		n += token == SQL_PLACEHOLDER;
	return n;
}

struct text sql_find_traceparent(struct text statement)
{
	static const char name[] = "traceparent='";
	struct sql_lexer l = sql_lexer_make(statement);
	struct text t;
	/* most statements have no such comment, and one byte is found faster than many */
	if (!statement.len || !memchr(statement.at, '/', statement.len) ||
	    !memmem(statement.at, statement.len, name, sizeof name - 1))
		return (struct text){0};
	for (enum sql_token token; (token = sql_next(&l, &t)) != SQL_END;) {
		const char *at = token == SQL_COMMENT ? memmem(t.at, t.len, name, sizeof name - 1) : NULL;
		if (!at)
			continue;
		at += sizeof name - 1;
		struct text value = text_make(at, (size_t)(t.at + t.len - at));
		uint32_t n = text_find(value, '\'');
		if (n < value.len)
			return text_make(value.at, n);
	}
	return (struct text){0};
}
