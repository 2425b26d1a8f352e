/* redis_command.h - what a Redis request says: its command, its keys, and what it does to the connection.
 *
 * redis.c finds where requests begin and follows their arguments; this reads the first of them. Values are never shown:
 * only the command, the word behind a container command (CONFIG SET), and keys, by a small table; the first argument of
 * a command that is not in it counts as a key. So passwords (AUTH, HELLO … AUTH, CONFIG SET requirepass, ACL SETUSER,
 * MIGRATE … AUTH) do not appear. */
#ifndef TS_DISSECT_REDIS_COMMAND_H
#define TS_DISSECT_REDIS_COMMAND_H

#include "dissect.h"
#include "text_tools.h"

enum {
	REDIS_HEAD_MAX = DISSECT_TEXT_MAX + 2048, /* keys are looked for in so many bytes of a request */
	REDIS_WORD_MAX = 32,                      /* a command's name */
	REDIS_TYPE_MAX = 2 * REDIS_WORD_MAX + 1,
	REDIS_ARGUMENTS_MAX = INT32_MAX,
	REDIS_PLAIN_KEYS = 16,
};
_Static_assert((int)REDIS_HEAD_MAX < (int)DISSECT_BUFFER_MAX, "buffer");

/* What a command does to the connection. */
enum redis_effect {
	REDIS_NO_EFFECT,
	REDIS_SUBSCRIBE,
	REDIS_PSUBSCRIBE,
	REDIS_SSUBSCRIBE,
	REDIS_UNSUBSCRIBE,
	REDIS_PUNSUBSCRIBE,
	REDIS_SUNSUBSCRIBE, /* the last of them */
	REDIS_SELECT,
	REDIS_HELLO,
	REDIS_RESET,
	REDIS_MULTI,
	REDIS_EXEC,
	REDIS_DISCARD,
	REDIS_MONITOR,
	REDIS_PSYNC,
	REDIS_REPLCONF,
	REDIS_REPLCONF_ACK,
	REDIS_CLIENT,
	REDIS_REPLY_ON,
	REDIS_REPLY_OFF,
	REDIS_REPLY_SKIP,
};

static inline bool redis_is_subscription(enum redis_effect e)
{
	return e != REDIS_NO_EFFECT && e <= REDIS_SUNSUBSCRIBE;
}

/* The beginning of a request. */
struct redis_request {
	enum redis_effect effect;
	uint32_t number; /* SELECT: database; HELLO: version, 0 where not given; subscriptions: channels */
	size_t used;     /* bytes read */
	uint64_t skip;   /* bytes that follow them and belong to an argument that was read in part */
	uint32_t left;   /* arguments not read */
	size_t wanted;   /* REDIS_READ_MORE: not before there are so many bytes */
	uint32_t type_len, resource_len;
	char type[REDIS_TYPE_MAX];
	char resource[DISSECT_TEXT_MAX + 1];
};

enum redis_read {
	REDIS_READ_DONE,
	REDIS_READ_EMPTY, /* no command: *0 */
	REDIS_READ_MORE,
	REDIS_READ_BAD,
};

/* What nearly all requests are: an array whose command has no effect on the connection, and few keys at places that do
 * not depend on other arguments. */
struct redis_plain {
	struct text name; /* a constant, in capitals */
	size_t used;      /* bytes read */
	uint32_t left;    /* arguments not read */
	uint32_t keys;
	struct text key[REDIS_PLAIN_KEYS];
};

/* False: it is something else, or not whole; redis_request_read() tells. */
bool redis_plain_read(const uint8_t *p, size_t n, struct redis_plain *ret);
/* Behind a string that is whole; NULL where redis_number_read() has to tell. */
const uint8_t *redis_plain_string(const uint8_t *p, const uint8_t *end);

/* A request that begins with '*'. `cut`: no more bytes will be offered, it does with these. */
enum redis_read redis_request_read(const uint8_t *p, size_t n, bool cut, const struct dissect_settings *settings,
				   struct redis_request *ret);
/* An inline command: a line without its line end. */
enum redis_read redis_inline_read(struct text line, const struct dissect_settings *settings, struct redis_request *ret);

/* Whether the bytes begin a request: "*2\r\n$3\r\nGET\r\n". ret_known: its command is one that is known. */
enum dissect_verdict redis_request_begins(const uint8_t *p, size_t n, bool *ret_known);
/* Whether it is the name of a command, regardless of case. */
bool redis_command_is_known(struct text word);
/* … that other protocols of lines do not have, too. */
bool redis_command_is_distinct(struct text word);

/* "$12\r\n", "*3\r\n": the number behind the type. Its size; 0: more bytes are needed; -1: malformed. Numbers have no
 * more than 10 digits; with `minus`, -1 is one (and *ret is then UINT64_MAX). */
int redis_number_read(const uint8_t *p, size_t n, bool minus, uint64_t *ret);

#endif
