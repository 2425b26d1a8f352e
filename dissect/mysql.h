/* mysql.h - the parts of the MySQL dissector: what they share.
 *
 * mysql.c           the dissector: packets out of bytes, compression, gaps
 * mysql_probe.c     does a message begin here?
 * mysql_client.c    what the client says: login and commands
 * mysql_server.c    what the server says: greeting, results, errors
 * mysql_value.c     parameters of prepared statements, attributes of queries
 *
 * A packet is 3 bytes of length, a sequence id and the payload; one of 0xffffff bytes is continued by the next. All
 * layouts are those of the "MySQL Client/Server Protocol" of MySQL's source documentation and of "Clients & Protocol"
 * of MariaDB's documentation; the two differ little, and where they do, what is seen says which it is. */
#ifndef TS_DISSECT_MYSQL_H
#define TS_DISSECT_MYSQL_H

#include "cursor.h"
#include "dissect.h"
#include "text_tools.h"

#define MYSQL_HEADER 4
#define MYSQL_COMPRESSED_HEADER 7
#define MYSQL_PACKET_MAX 0xffffff
#define MYSQL_LOOK_MAX 32768 /* of a packet's payload that we look at */
#define MYSQL_ANSWER_MAX 600 /* of a server's packet: an error's text has at most 512 bytes */

enum mysql_capability {
	CLIENT_CONNECT_WITH_DB = 1 << 3,
	CLIENT_PROTOCOL_41 = 1 << 9,
	CLIENT_SSL = 1 << 11,
	CLIENT_SECURE_CONNECTION = 1 << 15,
	CLIENT_PLUGIN_AUTH = 1 << 19,
	CLIENT_CONNECT_ATTRS = 1 << 20,
	CLIENT_PLUGIN_AUTH_LENENC_DATA = 1 << 21,
	CLIENT_DEPRECATE_EOF = 1 << 24,
	CLIENT_COMPRESS = 1 << 5,
	CLIENT_ZSTD_COMPRESSION = 1 << 26,
	CLIENT_QUERY_ATTRIBUTES = 1 << 27,
};

enum mysql_command {
	COM_SLEEP,
	COM_QUIT,
	COM_INIT_DB,
	COM_QUERY,
	COM_FIELD_LIST,
	COM_CREATE_DB,
	COM_DROP_DB,
	COM_REFRESH,
	COM_SHUTDOWN,
	COM_STATISTICS,
	COM_PROCESS_INFO,
	COM_CONNECT,
	COM_PROCESS_KILL,
	COM_DEBUG,
	COM_PING,
	COM_TIME,
	COM_DELAYED_INSERT,
	COM_CHANGE_USER,
	COM_BINLOG_DUMP,
	COM_TABLE_DUMP,
	COM_CONNECT_OUT,
	COM_REGISTER_SLAVE,
	COM_STMT_PREPARE,
	COM_STMT_EXECUTE,
	COM_STMT_SEND_LONG_DATA,
	COM_STMT_CLOSE,
	COM_STMT_RESET,
	COM_SET_OPTION,
	COM_STMT_FETCH,
	COM_DAEMON,
	COM_BINLOG_DUMP_GTID,
	COM_RESET_CONNECTION,
	COM_CLONE,
	COM_STMT_BULK_EXECUTE = 0xfa,
	MYSQL_LOGIN = 0x100, /* not a command: the client's answer to the greeting */
};

enum mysql_attribute {
	ATTR_USER,
	ATTR_CONNECTION_ID,
	ATTR_AUTH_PLUGIN,
	ATTR_PROGRAM,
	ATTR_STATEMENT_ID,
	ATTR_PARAMETERS,
	ATTR_QUERY_ATTRIBUTES,
	ATTR_LOCAL_INFILE,
	ATTR_ROWS,
	ATTR_WARNINGS,
};

/* What the server sends next. */
enum mysql_phase {
	PHASE_IDLE,        /* a response's first packet */
	PHASE_AUTH,        /* rounds of authentication, until OK or ERR */
	PHASE_RESULT,      /* a further result of the response under way */
	PHASE_INFILE,      /* the result, when the client has sent its file */
	PHASE_DEFINITIONS, /* `left` definitions: parameters or columns of a prepared statement, columns of a result */
	PHASE_ROWS_OR_EOF, /* the EOF behind a result's definitions, or the first row */
	PHASE_ROWS,
	PHASE_PREPARED_EOF, /* the EOF behind a prepared statement's definitions */
	PHASE_FIELDS,       /* definitions in answer to COM_FIELD_LIST */
	PHASE_BINLOG,       /* events, for as long as the connection stands */
};

/* What is to be done when the packet under way has passed. */
enum mysql_finish { FINISH_NOTHING, FINISH_MESSAGE, FINISH_TLS };

/* What became of a packet that was looked at. */
enum mysql_look {
	LOOK_MORE, /* wants to see more of it */
	LOOK_DONE,
	LOOK_ASTRAY, /* may be anything: look for a message's beginning */
	LOOK_BAD,    /* makes no sense */
};

/* How packets lie in the stream. */
enum mysql_framing { FRAMING_UNKNOWN, FRAMING_PLAIN, FRAMING_COMPRESSED };

/* Whether an EOF packet stands between definitions and rows. */
enum mysql_eof { EOF_UNKNOWN, EOF_SENT, EOF_DEPRECATED };

/* Whether it is known where packets begin. */
struct mysql_sync {
	bool synced;
	bool adrift;    /* not synced, and nothing says that a message should begin just here */
	uint32_t held;  /* bytes that wait for more */
	uint32_t stale; /* … in front of the place where a message should begin */
};

/* The other side has said something that a message of this one should follow. */
static inline void mysql_sync_hint(struct mysql_sync *sync)
{
	if (sync->synced)
		return;
	sync->adrift = false;
	sync->stale = sync->held;
}

/* One direction. */
struct mysql_side {
	struct message *message;        /* under way; NULL also where a limit was hit */
	uint64_t drop;                  /* bytes of the nested stream still to be skipped */
	uint32_t raw;                   /* bytes of a compressed packet's plain payload still to come */
	uint32_t shown;                 /* bytes of an incomplete statement that were put into the message */
	struct mysql_sync outer, inner; /* of the stream; of the nested one */
	uint8_t finish;                 /* enum mysql_finish */
	uint8_t seq;                    /* of the last packet */
	bool begun;                     /* a message is under way */
	bool passing;                   /* a packet's rest is being skipped */
	bool continued;                 /* the packet under way goes on in the next one */
	bool nested_lost;               /* bytes of the nested stream were passed over */
};

#define MYSQL_DATABASE_MAX 128 /* 64 characters */
#define MYSQL_VERSION_MAX 48

struct mysql_state {
	struct mysql_side side[2];
	uint64_t rows, affected;
	uint32_t capabilities, server_capabilities;
	uint32_t connection_id;
	uint32_t prepares;       /* number of the last COM_STMT_PREPARE */
	uint32_t last_statement; /* id of the last prepared statement */
	uint32_t unanswered;     /* requests without a response so far */
	uint32_t left;           /* definitions still to come */
	uint32_t columns;        /* of a prepared statement: definitions behind those of its parameters */
	uint32_t tag;            /* of the request that the response under way answers; 0: unknown */
	uint32_t last_tag;       /* of the last request; 0: unknown */
	uint16_t warnings;
	uint8_t phase, eof, framing;
	bool capabilities_known, server_capabilities_known;
	bool greeted;         /* the client's answer to the greeting comes next */
	bool surplus;         /* since the last request the server has answered one that we have not seen */
	bool connecting;      /* from the greeting to the login's end */
	bool compression_due; /* from the end of the login on */
	bool authenticating;
	bool has_rows, has_affected;
	bool prepared; /* the definitions are a prepared statement's */
	uint8_t database_len, next_database_len, version_len;
	char database[MYSQL_DATABASE_MAX], next_database[MYSQL_DATABASE_MAX], version[MYSQL_VERSION_MAX];
};
_Static_assert(sizeof(struct mysql_state) <= DISSECT_STATE_MAX, "the state of a MySQL connection");

/* A request's note to its response: message.tag. */
#define TAG_COMMAND(tag) ((tag)&0x1ff)
#define TAG_CURSOR (1u << 9)    /* the client asked for a cursor: rows come with COM_STMT_FETCH */
#define TAG_DATABASE (1u << 10) /* next_database becomes the database */
#define TAG_NUMBER(tag) ((tag) >> 11)
#define TAG_NUMBER_SHIFT 11 /* of a COM_STMT_PREPARE */

/* The start of a packet, as far as it has come. */
struct mysql_packet {
	const uint8_t *at; /* payload */
	size_t have;       /* bytes of it at hand */
	size_t ahead;      /* bytes at hand from the header on, of this packet and those behind it */
	uint32_t len;      /* bytes of it, of this packet alone */
	uint8_t seq;
	bool nested;   /* in the compressed protocol, where sequence ids say nothing */
	size_t offset; /* of the header in the data given to parse */
};

#define MYSQL_NOTE(id, kind) ((uint64_t)(id) << 2 | (kind))
enum mysql_note {
	NOTE_STATEMENT, /* by statement id: struct mysql_prepared and the text */
	NOTE_TYPES,     /* by statement id: two bytes for each parameter, as they were bound last */
	NOTE_LONG_DATA, /* by statement id: a bitmap of parameters whose value went ahead */
	NOTE_PREPARING, /* by number of the COM_STMT_PREPARE, until the statement's id is known: as NOTE_STATEMENT */
};

struct mysql_prepared {
	uint16_t parameters;
	char text[];
};

/* Whether the first `n` bytes of the payload, or all of them, are at hand. */
static inline bool mysql_has(const struct mysql_packet *p, size_t n)
{
	return p->have >= min_of(n, (size_t)p->len);
}

static inline uint32_t mysql_le24(const uint8_t *p)
{
	return (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static inline struct cursor mysql_cursor(const struct mysql_packet *p)
{
	return cursor_make(p->at, p->have);
}

/* A length-encoded integer. 0xfb (NULL) and 0xff are bad. */
uint64_t mysql_lenenc(struct cursor *c);
/* A length-encoded string; absent where it is bad. */
struct text mysql_lenenc_text(struct cursor *c);
/* Up to a NUL, which is consumed, or to the end. */
struct text mysql_nul_text(struct cursor *c);

extern const struct dissector dissector_mysql, dissector_tls;

/* Looks at a packet of the client or the server, again and again until it has seen enough of it. */
enum mysql_look mysql_client_packet(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p);
enum mysql_look mysql_server_packet(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p);

/* The last byte of a packet has passed; data[at - 1] was it. */
void mysql_packet_passed(struct dissect *d, struct mysql_state *st, size_t at);
/* The response to a statement as far as it is a result without any surprise and whole; returns what is behind it. */
size_t mysql_plain_response(struct dissect *d, struct mysql_state *st, const uint8_t *data, size_t len, size_t at);
/* Definitions and rows of a result, which are nearly all that a server sends, as long as they are whole; returns what
 * is behind them. */
size_t mysql_skip_result(struct mysql_state *st, const uint8_t *data, size_t len, size_t at, bool nested);

void mysql_put_number(struct dissect *d, struct message *m, enum mysql_attribute attribute, uint64_t value);

/* ---- mysql_probe.c ---- */

enum mysql_start { START_NO, START_MORE, START_WEAK, START_STRONG };

/* Whether a message of the client begins here. WEAK: it looks like one, but other bytes could, too. */
enum mysql_start mysql_client_start(const uint8_t *at, size_t len);
enum mysql_start mysql_server_start(const uint8_t *at, size_t len);
/* The same in the compressed protocol. */
enum mysql_start mysql_compressed_start(const uint8_t *at, size_t len, bool client);
enum dissect_verdict mysql_probe(struct dissect_probe *p);

/* ---- mysql_value.c ---- */

/* Writes text of limited length; what does not fit is left out. */
struct mysql_writer {
	char *out;
	size_t len, size;
};
void mysql_write(struct mysql_writer *w, const void *data, size_t len);
void mysql_write_number(struct mysql_writer *w, uint64_t value, unsigned digits);
void mysql_write_double(struct mysql_writer *w, double value, bool single);

/* The value of a type at the cursor: 12, 'text', '2024-02-29 12:00:00'. False: the bytes end, or make no sense. */
bool mysql_write_value(struct mysql_writer *w, struct cursor *c, uint16_t type);
/* The next value is a text, whose bytes are put into ret; the cursor does not move. False: it is none. */
bool mysql_peek_text(const struct cursor *c, uint16_t type, struct text *ret);

#endif
