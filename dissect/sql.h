/* sql.h - what dissectors of SQL databases share: a lexer, the statement without its literals, its short name.
 *
 * Lexical rules are those of MySQL and MariaDB with their default SQL mode: ' and " make strings, in which a backslash
 * escapes; ` makes an identifier; comments are #, "-- " and slash-star, which does not nest, and where slash-star-!
 * begins text that the server executes. Nothing here fails: bytes that are no SQL come out as punctuation, what is cut
 * off ends with the text. Pure functions over borrowed bytes. */
#ifndef TS_DISSECT_SQL_H
#define TS_DISSECT_SQL_H

#include "text_tools.h"

enum sql_token {
	SQL_END,
	SQL_SPACE,
	SQL_COMMENT,
	SQL_WORD,        /* keyword or bare identifier */
	SQL_QUOTED,      /* `identifier`, quotes included */
	SQL_LITERAL,     /* string, number, bit or hexadecimal string */
	SQL_PLACEHOLDER, /* ? */
	SQL_PUNCTUATION, /* one byte; or the two or more that open or close an executed comment */
};

struct sql_lexer {
	const char *at, *end;
	bool after_name; /* the token before may end with a dot and a name: t.1 is no number */
	bool executed;   /* inside an executed comment */
};

static inline struct sql_lexer sql_lexer_make(struct text statement)
{
	return (struct sql_lexer){.at = statement.at,
				  .end = statement.len ? statement.at + statement.len : statement.at};
}

/* The next token and its bytes. SQL_END for ever, once the end is reached. */
enum sql_token sql_next(struct sql_lexer *l, struct text *ret);

/* Whether a statement begins with this word: SELECT, SET, … (any case). */
bool sql_is_statement_word(struct text word);

/* The statement with every literal replaced by '?' and comments left out. Writes at most `size` bytes, cutting what
 * does not fit; returns their number. Never more than the statement has. */
size_t sql_hide(struct text statement, char *out, size_t size);

/* The first keyword in capitals and, where it is simple to tell, the first table, procedure or database: "SELECT
 * users", "INSERT shop.orders", "CREATE TABLE t", "SET". At most `size` bytes; returns their number, 0 where there is
 * no word. *ret_secret: whether the statement sets a password (CREATE USER … IDENTIFIED BY, SET PASSWORD, CHANGE MASTER
 * …): its literals are secrets. */
size_t sql_endpoint(struct text statement, char *out, size_t size, bool *ret_secret);

/* The number of placeholders. */
uint32_t sql_count_placeholders(struct text statement);

/* The value of `traceparent='…'` in a comment (sqlcommenter), or absent. */
struct text sql_find_traceparent(struct text statement);

#endif
