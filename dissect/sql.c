#include "sql.h"

/* A word in lower case, padded with zeros. */
typedef char sql_word[16];

static const sql_word statement_words[] = {
    "alter",    "analyze",    "begin",    "binlog",  "call",     "change",    "check",     "checksum", "commit",
    "create",   "deallocate", "delete",   "desc",    "describe", "do",        "drop",      "execute",  "explain",
    "flush",    "get",        "grant",    "handler", "help",     "import",    "insert",    "install",  "kill",
    "load",     "lock",       "optimize", "prepare", "purge",    "release",   "rename",    "repair",   "replace",
    "reset",    "resignal",   "restart",  "revoke",  "rollback", "savepoint", "select",    "set",      "show",
    "shutdown", "signal",     "start",    "stop",    "table",    "truncate",  "uninstall", "unlock",   "update",
    "use",      "values",     "with",     "xa",
};

/* The same of any word that is not longer; of others, one that is in no list. */
struct word_key {
	uint64_t low, high;
};

static inline struct word_key key_of(struct text word)
{
	struct word_key k = {0};
	if (!word.len || word.len > sizeof(sql_word) || !word.at[word.len - 1])
		return k;
	k.low = ascii_lower8(text_load8(word.at, word.len));
	if (word.len > 8)
		k.high = ascii_lower8(text_load8(word.at + 8, word.len - 8));
	return k;
}

static inline bool is_word(struct word_key k, const sql_word word)
{
	return load_le64(word) == k.low && load_le64(word + 8) == k.high;
}

static inline bool is_one_of(struct word_key k, const sql_word *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_word(k, list[i]))
			return true;
	return false;
}
#define IS_ONE_OF(key, list) is_one_of(key, list, array_size(list))

bool sql_is_statement_word(struct text word)
{
	return IS_ONE_OF(key_of(word), statement_words);
}

/* What a token may be, by its first byte. */
enum class {
	CLASS_OTHER, /* punctuation, of one byte */
	CLASS_SPACE,
	CLASS_NAME,          /* letters, '_', '$', and what is not ASCII */
	CLASS_LETTER_STRING, /* a letter that may belong to a string: x'4D', b'0101', n'text' */
	CLASS_DIGIT,
	CLASS_QUOTE,
	CLASS_BACKTICK,
	CLASS_HASH,
	CLASS_MINUS,
	CLASS_SLASH,
	CLASS_STAR,
	CLASS_DOT,
	CLASS_PLACEHOLDER,
};

static const uint8_t class_of[256] = {
    [' '] = CLASS_SPACE,         ['\t' ... '\r'] = CLASS_SPACE, ['A'] = CLASS_NAME,
    ['C' ... 'M'] = CLASS_NAME,  ['O' ... 'W'] = CLASS_NAME,    ['Y' ... 'Z'] = CLASS_NAME,
    ['a'] = CLASS_NAME,          ['c' ... 'm'] = CLASS_NAME,    ['o' ... 'w'] = CLASS_NAME,
    ['y' ... 'z'] = CLASS_NAME,  [0x80 ... 0xff] = CLASS_NAME,  ['_'] = CLASS_NAME,
    ['$'] = CLASS_NAME,          ['B'] = CLASS_LETTER_STRING,   ['N'] = CLASS_LETTER_STRING,
    ['X'] = CLASS_LETTER_STRING, ['b'] = CLASS_LETTER_STRING,   ['n'] = CLASS_LETTER_STRING,
    ['x'] = CLASS_LETTER_STRING, ['0' ... '9'] = CLASS_DIGIT,   ['\''] = CLASS_QUOTE,
    ['"'] = CLASS_QUOTE,         ['`'] = CLASS_BACKTICK,        ['#'] = CLASS_HASH,
    ['-'] = CLASS_MINUS,         ['/'] = CLASS_SLASH,           ['*'] = CLASS_STAR,
    ['.'] = CLASS_DOT,           ['?'] = CLASS_PLACEHOLDER,
};

static inline bool is_space(uint8_t c)
{
	return class_of[c] == CLASS_SPACE;
}

static inline bool is_name(uint8_t c)
{
	return (uint8_t)(class_of[c] - CLASS_NAME) <= CLASS_DIGIT - CLASS_NAME;
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

static inline const char *skip_name(const char *at, const char *end)
{
	while (at < end && is_name((uint8_t)*at))
		at++;
	return at;
}

/* What is not as simple as next_token() has it. */
static __attribute__((noinline)) enum sql_token lex(struct sql_lexer *l, const char *at, const char **ret_next)
{
	const char *end = l->end, *p = at + 1, *number;
	uint8_t c = (uint8_t)*at, second = p < end ? (uint8_t)*p : 0;

	*ret_next = p;
	switch ((enum class)class_of[c]) {
	case CLASS_DOT:
	case CLASS_DIGIT:
		if (c == '.' && !ascii_is_digit(second))
			return SQL_PUNCTUATION;
		number = l->after_name ? NULL : skip_number(at, end);
		if (number) {
			*ret_next = number;
			return SQL_LITERAL;
		}
		if (c == '.')
			return SQL_PUNCTUATION;
		*ret_next = skip_name(p, end);
		return SQL_WORD;
	case CLASS_LETTER_STRING:
		*ret_next = skip_quoted(p, end, '\'', true);
		return SQL_LITERAL;
	case CLASS_QUOTE:
		*ret_next = skip_quoted(at, end, (char)c, true);
		return SQL_LITERAL;
	case CLASS_BACKTICK:
		*ret_next = skip_quoted(at, end, '`', false);
		return SQL_QUOTED;
	case CLASS_MINUS:
		if (second != '-' || (p + 1 < end && !is_space((uint8_t)p[1])))
			return SQL_PUNCTUATION;
		*ret_next = skip_line(at, end);
		return SQL_COMMENT;
	case CLASS_HASH:
		*ret_next = skip_line(at, end);
		return SQL_COMMENT;
	case CLASS_SLASH:
		return second == '*' ? block_comment(l, at, ret_next) : SQL_PUNCTUATION;
	case CLASS_STAR:
		if (second == '/' && l->executed) {
			l->executed = false;
			*ret_next = at + 2;
		}
		return SQL_PUNCTUATION;
	case CLASS_PLACEHOLDER:
		return SQL_PLACEHOLDER;
	default:
		return SQL_PUNCTUATION;
	}
}

static inline __attribute__((always_inline)) enum sql_token next_token(struct sql_lexer *l, struct text *ret)
{
	const char *at = l->at, *end = l->end, *next = at + 1;
	enum sql_token token;
	if (at >= end) {
		*ret = text_make(at, 0);
		return SQL_END;
	}
	uint8_t class = class_of[(uint8_t)*at];
	if (class == CLASS_NAME || (class == CLASS_LETTER_STRING && (next == end || *next != '\''))) {
		next = skip_name(next, end);
		token = SQL_WORD;
		l->after_name = true;
	} else if (class == CLASS_SPACE) {
		while (next < end && is_space((uint8_t)*next))
			next++;
		token = SQL_SPACE;
		l->after_name = false;
	} else if (class == CLASS_OTHER) {
		token = SQL_PUNCTUATION;
		l->after_name = false;
	} else {
		token = lex(l, at, &next);
		l->after_name = token == SQL_WORD || token == SQL_QUOTED ||
				(token == SQL_PUNCTUATION && *at == '.' && l->after_name);
	}
	*ret = text_make(at, (size_t)(next - at));
	l->at = next;
	return token;
}

enum sql_token sql_next(struct sql_lexer *l, struct text *ret)
{
	return next_token(l, ret);
}

size_t sql_hide(struct text statement, char *out, size_t size)
{
	struct sql_lexer l = sql_lexer_make(statement);
	struct text t;
	size_t len = 0;
	bool comment = false;

	for (enum sql_token token; (token = next_token(&l, &t)) != SQL_END && len < size;) {
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
		token = next_token(l, ret);
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

/* Whether what follows is about a password. */
static bool names_secret(struct sql_lexer l)
{
	static const sql_word secrets[] = {"identified", "password", "master_password", "source_password"};
	struct text t;
	for (enum sql_token token; (token = next_token(&l, &t)) != SQL_END;)
		if (token == SQL_WORD && IS_ONE_OF(key_of(t), secrets))
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
		text_copy(out + len, t.at, t.len);
		len += t.len;
		dot = 0;
		if (l->at == l->end || *l->at != '.' || len == size)
			break;
		out[len++] = '.';
		dot = 1;
		l->at++;
		token = next_token(l, &t);
	}
	return len - dot;
}

/* Up to the word `until`, of four letters, outside of parentheses. */
static bool skip_until(struct sql_lexer *l, const char until[4])
{
	struct text t;
	int depth = 0;
	for (enum sql_token token; (token = next_token(l, &t)) != SQL_END;) {
		if (token == SQL_PUNCTUATION)
			depth += *t.at == '(' ? 1 : *t.at == ')' ? -1 : 0;
		else if (token == SQL_WORD && t.len == 4 && depth <= 0 && text_equal_lower(t.at, until, 4))
			return true;
	}
	return false;
}

/* What comes behind a statement's first word. */
enum verb {
	VERB_OTHER,
	VERB_READS,   /* … FROM name */
	VERB_LOADS,   /* … INTO name */
	VERB_DEFINES, /* object name */
	VERB_DIRECT,  /* name */
};

static const struct verb_entry {
	sql_word word;
	uint8_t verb;
	bool secret; /* the statement may set a password */
} verbs[] = {
    {"select", VERB_READS, false}, {"insert", VERB_DIRECT, false}, {"update", VERB_DIRECT, false},
    {"delete", VERB_READS, false}, {"set", VERB_OTHER, true},      {"replace", VERB_DIRECT, false},
    {"call", VERB_DIRECT, false},  {"use", VERB_DIRECT, false},    {"create", VERB_DEFINES, true},
    {"alter", VERB_DEFINES, true}, {"drop", VERB_DEFINES, false},  {"truncate", VERB_DIRECT, false},
    {"load", VERB_LOADS, false},   {"desc", VERB_DIRECT, false},   {"describe", VERB_DIRECT, false},
    {"change", VERB_OTHER, true},  {"grant", VERB_OTHER, true},    {"start", VERB_OTHER, true},
};

static const struct verb_entry *verb_find(struct text word)
{
	static const struct verb_entry other = {.verb = VERB_OTHER};
	struct word_key key = key_of(word);
	for (size_t i = 0; i < array_size(verbs); i++)
		if (is_word(key, verbs[i].word))
			return &verbs[i];
	return &other;
}

/* Words between the verb and the name, all of which may be missing. */
static bool is_fill(struct text word)
{
	static const sql_word fill[] = {
	    "low_priority", "high_priority", "delayed", "quick", "ignore", "into",
	    "only",         "table",         "if",      "not",   "exists",
	};
#define INITIAL(c) (1u << ((c) - 'a'))
	const uint32_t initials = INITIAL('l') | INITIAL('h') | INITIAL('d') | INITIAL('q') | INITIAL('i') |
				  INITIAL('o') | INITIAL('t') | INITIAL('n') | INITIAL('e');
#undef INITIAL
	unsigned letter = (unsigned)(word.at[0] | 0x20) - 'a';
	return letter < 26 && initials >> letter & 1 && IS_ONE_OF(key_of(word), fill);
}

/* size is at least the word's. */
static void put_capitals(char *out, size_t size, struct text word)
{
	if (word.len <= 8 && size >= 8) {
		uint64_t capitals = ascii_upper8(text_load8(word.at, word.len));
		memcpy(out, &capitals, 8);
		return;
	}
	for (uint32_t i = 0; i < word.len; i++)
		out[i] = ascii_is_alpha((uint8_t)word.at[i]) ? word.at[i] & 0x5f : word.at[i];
}

size_t sql_endpoint(struct text statement, char *out, size_t size, bool *ret_secret)
{
	static const sql_word objects[] = {"table",     "database", "schema",  "view",  "index",
					   "procedure", "function", "trigger", "event", "user"};
	static const sql_word user = "user";
	struct sql_lexer l = sql_lexer_make(statement);
	struct text word, t;
	enum sql_token token = SQL_END;

	*ret_secret = false;
	if (!first_word(&l, &word))
		return 0;
	const struct verb_entry *verb = verb_find(word);
	*ret_secret = verb->secret && names_secret(l);
	if (word.len > size)
		return 0;
	put_capitals(out, size, word);
	size_t len = word.len;

	switch ((enum verb)verb->verb) {
	case VERB_READS:
		if (!skip_until(&l, "from"))
			return len;
		break;
	case VERB_LOADS:
		if (!skip_until(&l, "into"))
			return len;
		break;
	case VERB_DEFINES:
		token = next_solid(&l, &t);
		while (token == SQL_WORD && !IS_ONE_OF(key_of(t), objects))
			token = next_solid(&l, &t);
		if (token != SQL_WORD || size - len < t.len + 1)
			return len;
		out[len++] = ' ';
		for (uint32_t i = 0; i < t.len; i++)
			out[len++] = t.at[i] & 0x5f;
		if (is_word(key_of(t), user)) /* 'name'@'host': strings, and nobody's endpoint */
			return len;
		break;
	case VERB_DIRECT:
		break;
	case VERB_OTHER:
		return len;
	}
	token = next_solid(&l, &t);
	while (token == SQL_WORD && is_fill(t))
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
	for (enum sql_token token; (token = next_token(&l, &t)) != SQL_END;)
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
	for (enum sql_token token; (token = next_token(&l, &t)) != SQL_END;) {
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
