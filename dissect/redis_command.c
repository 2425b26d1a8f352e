#include "redis_command.h"

enum { NAME_SIZE = 24, DIGITS_MAX = 10 };

/* Which arguments are keys. */
enum keys {
	KEYS_NONE,
	KEYS_FIRST,
	KEYS_TWO,
	KEYS_ALL,
	KEYS_BUT_LAST,
	KEYS_EVERY_SECOND,  /* key value key value … */
	KEYS_FROM_SECOND,
	KEYS_COUNTED,       /* numkeys key … */
	KEYS_COUNTED_LATER, /* something numkeys key … */
	KEYS_AND_COUNTED,   /* key numkeys key … */
	KEYS_STREAMS,       /* … STREAMS key … id … */
	KEYS_MIGRATE,       /* host port key … or host port "" … KEYS key … */
	KEYS_CONFIG,        /* SET name value …; GET name … */
};

enum { CONTAINER = 1, COMMON = 2 /* other protocols have a command of this name */ };

struct command {
	char name[NAME_SIZE]; /* padded with zeros */
	uint8_t keys, flags, effect;
};

#define C(name, keys, ...) {name, keys, .effect = REDIS_NO_EFFECT, ##__VA_ARGS__}
#define DOES(e) .effect = (e)
#define IS(f) .flags = (f)

/* Sorted by name. */
static const struct command commands[] = {
	C("ACL", KEYS_FIRST, IS(CONTAINER)),
	C("APPEND", KEYS_FIRST, IS(COMMON)),
	C("ASKING", KEYS_NONE),
	C("AUTH", KEYS_NONE, IS(COMMON)),
	C("BGREWRITEAOF", KEYS_NONE),
	C("BGSAVE", KEYS_NONE),
	C("BITCOUNT", KEYS_FIRST),
	C("BITFIELD", KEYS_FIRST),
	C("BITFIELD_RO", KEYS_FIRST),
	C("BITOP", KEYS_FROM_SECOND),
	C("BITPOS", KEYS_FIRST),
	C("BLMOVE", KEYS_TWO),
	C("BLMPOP", KEYS_COUNTED_LATER),
	C("BLPOP", KEYS_BUT_LAST),
	C("BRPOP", KEYS_BUT_LAST),
	C("BRPOPLPUSH", KEYS_TWO),
	C("BZMPOP", KEYS_COUNTED_LATER),
	C("BZPOPMAX", KEYS_BUT_LAST),
	C("BZPOPMIN", KEYS_BUT_LAST),
	C("CLIENT", KEYS_FIRST, IS(CONTAINER), DOES(REDIS_CLIENT)),
	C("CLUSTER", KEYS_FIRST, IS(CONTAINER)),
	C("COMMAND", KEYS_FIRST, IS(CONTAINER)),
	C("CONFIG", KEYS_CONFIG, IS(CONTAINER)),
	C("COPY", KEYS_TWO, IS(COMMON)),
	C("DBSIZE", KEYS_NONE),
	C("DEBUG", KEYS_FIRST, IS(CONTAINER | COMMON)),
	C("DECR", KEYS_FIRST, IS(COMMON)),
	C("DECRBY", KEYS_FIRST),
	C("DEL", KEYS_ALL, IS(COMMON)),
	C("DISCARD", KEYS_NONE, DOES(REDIS_DISCARD)),
	C("DUMP", KEYS_FIRST, IS(COMMON)),
	C("ECHO", KEYS_NONE, IS(COMMON)),
	C("EVAL", KEYS_COUNTED_LATER),
	C("EVALSHA", KEYS_COUNTED_LATER),
	C("EVALSHA_RO", KEYS_COUNTED_LATER),
	C("EVAL_RO", KEYS_COUNTED_LATER),
	C("EXEC", KEYS_NONE, IS(COMMON), DOES(REDIS_EXEC)),
	C("EXISTS", KEYS_ALL, IS(COMMON)),
	C("EXPIRE", KEYS_FIRST),
	C("EXPIREAT", KEYS_FIRST),
	C("EXPIRETIME", KEYS_FIRST),
	C("FAILOVER", KEYS_NONE),
	C("FCALL", KEYS_COUNTED_LATER),
	C("FCALL_RO", KEYS_COUNTED_LATER),
	C("FLUSHALL", KEYS_NONE),
	C("FLUSHDB", KEYS_NONE),
	C("FUNCTION", KEYS_NONE, IS(CONTAINER)),
	C("GEOADD", KEYS_FIRST),
	C("GEODIST", KEYS_FIRST),
	C("GEOHASH", KEYS_FIRST),
	C("GEOPOS", KEYS_FIRST),
	C("GEORADIUS", KEYS_FIRST),
	C("GEORADIUSBYMEMBER", KEYS_FIRST),
	C("GEORADIUSBYMEMBER_RO", KEYS_FIRST),
	C("GEORADIUS_RO", KEYS_FIRST),
	C("GEOSEARCH", KEYS_FIRST),
	C("GEOSEARCHSTORE", KEYS_TWO),
	C("GET", KEYS_FIRST, IS(COMMON)),
	C("GETBIT", KEYS_FIRST),
	C("GETDEL", KEYS_FIRST),
	C("GETEX", KEYS_FIRST),
	C("GETRANGE", KEYS_FIRST),
	C("GETSET", KEYS_FIRST),
	C("HDEL", KEYS_FIRST),
	C("HELLO", KEYS_FIRST, IS(COMMON), DOES(REDIS_HELLO)),
	C("HEXISTS", KEYS_FIRST),
	C("HEXPIRE", KEYS_FIRST),
	C("HEXPIREAT", KEYS_FIRST),
	C("HEXPIRETIME", KEYS_FIRST),
	C("HGET", KEYS_FIRST),
	C("HGETALL", KEYS_FIRST),
	C("HGETDEL", KEYS_FIRST),
	C("HGETEX", KEYS_FIRST),
	C("HINCRBY", KEYS_FIRST),
	C("HINCRBYFLOAT", KEYS_FIRST),
	C("HKEYS", KEYS_FIRST),
	C("HLEN", KEYS_FIRST),
	C("HMGET", KEYS_FIRST),
	C("HMSET", KEYS_FIRST),
	C("HPERSIST", KEYS_FIRST),
	C("HPEXPIRE", KEYS_FIRST),
	C("HPEXPIREAT", KEYS_FIRST),
	C("HPEXPIRETIME", KEYS_FIRST),
	C("HPTTL", KEYS_FIRST),
	C("HRANDFIELD", KEYS_FIRST),
	C("HSCAN", KEYS_FIRST),
	C("HSET", KEYS_FIRST),
	C("HSETEX", KEYS_FIRST),
	C("HSETNX", KEYS_FIRST),
	C("HSTRLEN", KEYS_FIRST),
	C("HTTL", KEYS_FIRST),
	C("HVALS", KEYS_FIRST),
	C("INCR", KEYS_FIRST, IS(COMMON)),
	C("INCRBY", KEYS_FIRST),
	C("INCRBYFLOAT", KEYS_FIRST),
	C("INFO", KEYS_FIRST, IS(COMMON)),
	C("KEYS", KEYS_FIRST, IS(COMMON)),
	C("LASTSAVE", KEYS_NONE),
	C("LATENCY", KEYS_FIRST, IS(CONTAINER)),
	C("LCS", KEYS_TWO),
	C("LINDEX", KEYS_FIRST),
	C("LINSERT", KEYS_FIRST),
	C("LLEN", KEYS_FIRST),
	C("LMOVE", KEYS_TWO),
	C("LMPOP", KEYS_COUNTED),
	C("LOLWUT", KEYS_NONE),
	C("LPOP", KEYS_FIRST),
	C("LPOS", KEYS_FIRST),
	C("LPUSH", KEYS_FIRST),
	C("LPUSHX", KEYS_FIRST),
	C("LRANGE", KEYS_FIRST),
	C("LREM", KEYS_FIRST),
	C("LSET", KEYS_FIRST),
	C("LTRIM", KEYS_FIRST),
	C("MEMORY", KEYS_FIRST, IS(CONTAINER)),
	C("MGET", KEYS_ALL),
	C("MIGRATE", KEYS_MIGRATE),
	C("MODULE", KEYS_FIRST, IS(CONTAINER)),
	C("MONITOR", KEYS_NONE, IS(COMMON), DOES(REDIS_MONITOR)),
	C("MOVE", KEYS_FIRST, IS(COMMON)),
	C("MSET", KEYS_EVERY_SECOND),
	C("MSETNX", KEYS_EVERY_SECOND),
	C("MULTI", KEYS_NONE, DOES(REDIS_MULTI)),
	C("OBJECT", KEYS_FIRST, IS(CONTAINER)),
	C("PERSIST", KEYS_FIRST),
	C("PEXPIRE", KEYS_FIRST),
	C("PEXPIREAT", KEYS_FIRST),
	C("PEXPIRETIME", KEYS_FIRST),
	C("PFADD", KEYS_FIRST),
	C("PFCOUNT", KEYS_ALL),
	C("PFDEBUG", KEYS_FROM_SECOND),
	C("PFMERGE", KEYS_ALL),
	C("PFSELFTEST", KEYS_NONE),
	C("PING", KEYS_NONE, IS(COMMON)),
	C("PSETEX", KEYS_FIRST),
	C("PSUBSCRIBE", KEYS_ALL, DOES(REDIS_PSUBSCRIBE)),
	C("PSYNC", KEYS_FIRST, DOES(REDIS_PSYNC)),
	C("PTTL", KEYS_FIRST),
	C("PUBLISH", KEYS_FIRST, IS(COMMON)),
	C("PUBSUB", KEYS_FIRST, IS(CONTAINER)),
	C("PUNSUBSCRIBE", KEYS_ALL, DOES(REDIS_PUNSUBSCRIBE)),
	C("QUIT", KEYS_NONE, IS(COMMON)),
	C("RANDOMKEY", KEYS_NONE),
	C("READONLY", KEYS_NONE),
	C("READWRITE", KEYS_NONE),
	C("RENAME", KEYS_TWO, IS(COMMON)),
	C("RENAMENX", KEYS_TWO),
	C("REPLCONF", KEYS_FIRST, DOES(REDIS_REPLCONF)),
	C("REPLICAOF", KEYS_TWO),
	C("RESET", KEYS_NONE, IS(COMMON), DOES(REDIS_RESET)),
	C("RESTORE", KEYS_FIRST, IS(COMMON)),
	C("RESTORE-ASKING", KEYS_FIRST),
	C("ROLE", KEYS_NONE, IS(COMMON)),
	C("RPOP", KEYS_FIRST),
	C("RPOPLPUSH", KEYS_TWO),
	C("RPUSH", KEYS_FIRST),
	C("RPUSHX", KEYS_FIRST),
	C("SADD", KEYS_FIRST),
	C("SAVE", KEYS_NONE, IS(COMMON)),
	C("SCAN", KEYS_NONE, IS(COMMON)),
	C("SCARD", KEYS_FIRST),
	C("SCRIPT", KEYS_NONE, IS(CONTAINER)),
	C("SDIFF", KEYS_ALL),
	C("SDIFFSTORE", KEYS_ALL),
	C("SELECT", KEYS_FIRST, IS(COMMON), DOES(REDIS_SELECT)),
	C("SENTINEL", KEYS_FIRST, IS(CONTAINER)),
	C("SET", KEYS_FIRST, IS(COMMON)),
	C("SETBIT", KEYS_FIRST),
	C("SETEX", KEYS_FIRST),
	C("SETNX", KEYS_FIRST),
	C("SETRANGE", KEYS_FIRST),
	C("SHUTDOWN", KEYS_NONE, IS(COMMON)),
	C("SINTER", KEYS_ALL),
	C("SINTERCARD", KEYS_COUNTED),
	C("SINTERSTORE", KEYS_ALL),
	C("SISMEMBER", KEYS_FIRST),
	C("SLAVEOF", KEYS_TWO),
	C("SLOWLOG", KEYS_FIRST, IS(CONTAINER)),
	C("SMEMBERS", KEYS_FIRST),
	C("SMISMEMBER", KEYS_FIRST),
	C("SMOVE", KEYS_TWO),
	C("SORT", KEYS_FIRST, IS(COMMON)),
	C("SORT_RO", KEYS_FIRST),
	C("SPOP", KEYS_FIRST),
	C("SPUBLISH", KEYS_FIRST),
	C("SRANDMEMBER", KEYS_FIRST),
	C("SREM", KEYS_FIRST),
	C("SSCAN", KEYS_FIRST),
	C("SSUBSCRIBE", KEYS_ALL, DOES(REDIS_SSUBSCRIBE)),
	C("STRLEN", KEYS_FIRST),
	C("SUBSCRIBE", KEYS_ALL, IS(COMMON), DOES(REDIS_SUBSCRIBE)),
	C("SUBSTR", KEYS_FIRST),
	C("SUNION", KEYS_ALL),
	C("SUNIONSTORE", KEYS_ALL),
	C("SUNSUBSCRIBE", KEYS_ALL, DOES(REDIS_SUNSUBSCRIBE)),
	C("SWAPDB", KEYS_TWO),
	C("SYNC", KEYS_NONE, IS(COMMON), DOES(REDIS_PSYNC)),
	C("TIME", KEYS_NONE, IS(COMMON)),
	C("TOUCH", KEYS_ALL, IS(COMMON)),
	C("TTL", KEYS_FIRST),
	C("TYPE", KEYS_FIRST, IS(COMMON)),
	C("UNLINK", KEYS_ALL, IS(COMMON)),
	C("UNSUBSCRIBE", KEYS_ALL, IS(COMMON), DOES(REDIS_UNSUBSCRIBE)),
	C("UNWATCH", KEYS_NONE),
	C("WAIT", KEYS_NONE, IS(COMMON)),
	C("WAITAOF", KEYS_NONE),
	C("WATCH", KEYS_ALL, IS(COMMON)),
	C("XACK", KEYS_FIRST),
	C("XADD", KEYS_FIRST),
	C("XAUTOCLAIM", KEYS_FIRST),
	C("XCLAIM", KEYS_FIRST),
	C("XDEL", KEYS_FIRST),
	C("XGROUP", KEYS_FIRST, IS(CONTAINER)),
	C("XINFO", KEYS_FIRST, IS(CONTAINER)),
	C("XLEN", KEYS_FIRST),
	C("XPENDING", KEYS_FIRST),
	C("XRANGE", KEYS_FIRST),
	C("XREAD", KEYS_STREAMS),
	C("XREADGROUP", KEYS_STREAMS),
	C("XREVRANGE", KEYS_FIRST),
	C("XSETID", KEYS_FIRST),
	C("XTRIM", KEYS_FIRST),
	C("ZADD", KEYS_FIRST),
	C("ZCARD", KEYS_FIRST),
	C("ZCOUNT", KEYS_FIRST),
	C("ZDIFF", KEYS_COUNTED),
	C("ZDIFFSTORE", KEYS_AND_COUNTED),
	C("ZINCRBY", KEYS_FIRST),
	C("ZINTER", KEYS_COUNTED),
	C("ZINTERCARD", KEYS_COUNTED),
	C("ZINTERSTORE", KEYS_AND_COUNTED),
	C("ZLEXCOUNT", KEYS_FIRST),
	C("ZMPOP", KEYS_COUNTED),
	C("ZMSCORE", KEYS_FIRST),
	C("ZPOPMAX", KEYS_FIRST),
	C("ZPOPMIN", KEYS_FIRST),
	C("ZRANDMEMBER", KEYS_FIRST),
	C("ZRANGE", KEYS_FIRST),
	C("ZRANGEBYLEX", KEYS_FIRST),
	C("ZRANGEBYSCORE", KEYS_FIRST),
	C("ZRANGESTORE", KEYS_TWO),
	C("ZRANK", KEYS_FIRST),
	C("ZREM", KEYS_FIRST),
	C("ZREMRANGEBYLEX", KEYS_FIRST),
	C("ZREMRANGEBYRANK", KEYS_FIRST),
	C("ZREMRANGEBYSCORE", KEYS_FIRST),
	C("ZREVRANGE", KEYS_FIRST),
	C("ZREVRANGEBYLEX", KEYS_FIRST),
	C("ZREVRANGEBYSCORE", KEYS_FIRST),
	C("ZREVRANK", KEYS_FIRST),
	C("ZSCAN", KEYS_FIRST),
	C("ZSCORE", KEYS_FIRST),
	C("ZUNION", KEYS_COUNTED),
	C("ZUNIONSTORE", KEYS_AND_COUNTED),
};
#undef C
#undef DOES
#undef IS

static const struct command unknown_command = {.keys = KEYS_FIRST, .effect = REDIS_NO_EFFECT};

static char ascii_upper(char c)
{
	return (uint8_t)(c - 'a') < 26 ? (char)(c & ~0x20) : c;
}

/* In the order of memcmp(), eight bytes at a time. */
static int compare_names(const char *a, const char *b)
{
	for (unsigned i = 0; i < NAME_SIZE; i += 8) {
		uint64_t x = load_be64(a + i), y = load_be64(b + i);
		if (x != y)
			return x < y ? -1 : 1;
	}
	return 0;
}

static const struct command *command_find(struct text word)
{
	char name[NAME_SIZE] = {0};
	if (!word.len || word.len >= NAME_SIZE)
		return NULL;
	for (uint32_t i = 0; i < word.len; i++)
		name[i] = ascii_upper(word.at[i]);
	size_t low = 0, high = array_size(commands);
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = compare_names(name, commands[middle].name);
		if (!order)
			return &commands[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

bool redis_command_is_known(struct text word)
{
	return command_find(word) != NULL;
}

bool redis_command_is_distinct(struct text word)
{
	const struct command *c = command_find(word);
	return c && !(c->flags & COMMON);
}

int redis_number_read(const uint8_t *p, size_t n, bool minus, uint64_t *ret)
{
	uint64_t value = 0;
	size_t i = 1;
	bool negative = minus && n > 1 && p[1] == '-';
	i += negative;
	size_t from = i;
	while (i < n && ascii_is_digit(p[i])) {
		value = value * 10 + (p[i] - '0');
		if (++i - from > DIGITS_MAX)
			return -1;
	}
	if (i == n)
		return 0;
	if (i == from || p[i] != '\r' || (negative && value != 1))
		return -1;
	if (i + 1 == n)
		return 0;
	*ret = negative ? UINT64_MAX : value;
	return p[i + 1] == '\n' ? (int)i + 2 : -1;
}

/* ---- one argument after the other ---- */

struct arguments {
	const uint8_t *at, *end;
	uint32_t left; /* not yet read */
	bool is_inline, cut;
	uint64_t skip, wanted;
};

enum taken { TAKEN, TAKEN_END /* there are no more, or they cannot be seen */, TAKEN_MORE, TAKEN_BAD };

/* As the server splits a line: by white space, but not within quotes. */
static enum taken take_word(struct arguments *a, struct text *ret)
{
	const uint8_t *p = a->at;
	while (p < a->end && (*p == ' ' || *p == '\t'))
		p++;
	if (p == a->end) {
		a->at = p;
		return TAKEN_END;
	}
	uint8_t quote = *p == '"' || *p == '\'' ? *p++ : 0;
	const uint8_t *from = p;
	while (p < a->end && (quote ? *p != quote : *p != ' ' && *p != '\t'))
		p += *p == '\\' && quote && p + 1 < a->end ? 2 : 1;
	*ret = text_make(from, (size_t)(p - from));
	a->at = p + (quote && p < a->end);
	return TAKEN;
}

static enum taken take_argument(struct arguments *a, struct text *ret)
{
	size_t n = (size_t)(a->end - a->at);
	uint64_t len;
	if (a->is_inline)
		return take_word(a, ret);
	if (!a->left || a->skip)
		return TAKEN_END;
	if (n && *a->at != '$')
		return TAKEN_BAD;
	int head = n ? redis_number_read(a->at, n, false, &len) : 0;
	if (head < 0)
		return TAKEN_BAD;
	if (!head)
		return a->cut ? TAKEN_END : TAKEN_MORE;
	n -= (size_t)head;
	if (len + 2 > n && !a->cut) {
		a->wanted = (uint64_t)head + len + 2;
		return TAKEN_MORE;
	}
	a->left--;
	a->at += head;
	*ret = text_make(a->at, (size_t)min_of(len, (uint64_t)n));
	a->skip = len + 2 > n ? len + 2 - n : 0;
	a->at += min_of(len + 2, (uint64_t)n);
	return TAKEN;
}

static uint32_t count_words(struct arguments a)
{
	struct text word;
	uint32_t count = 0;
	while (take_word(&a, &word) == TAKEN)
		count++;
	return count;
}

/* ---- what to show ---- */

struct reader {
	struct arguments arguments;
	struct redis_request *request;
	uint32_t resource_max;
	bool hide;
};

static void show(struct reader *r, struct text t)
{
	struct redis_request *q = r->request;
	if (q->resource_len && q->resource_len < r->resource_max)
		q->resource[q->resource_len++] = ' ';
	uint32_t n = min_of(t.len, r->resource_max - q->resource_len);
	if (n)
		memcpy(q->resource + q->resource_len, t.at, n);
	q->resource_len += n;
}

static enum taken take_key(struct reader *r)
{
	struct text key;
	enum taken t = take_argument(&r->arguments, &key);
	if (t == TAKEN)
		show(r, r->hide ? TEXT("?") : key);
	return t;
}

static enum taken pass(struct reader *r, uint32_t count)
{
	struct text value;
	enum taken t = TAKEN;
	while (count-- && t == TAKEN)
		t = take_argument(&r->arguments, &value);
	return t;
}

/* `count` keys, with `between` values behind each. */
static enum taken take_keys(struct reader *r, uint32_t count, uint32_t between)
{
	enum taken t = TAKEN;
	while (count-- && t == TAKEN && r->request->resource_len < r->resource_max) {
		t = take_key(r);
		if (t == TAKEN && count)
			t = pass(r, between);
	}
	return t;
}

static uint32_t words_left(const struct reader *r)
{
	return r->arguments.is_inline ? count_words(r->arguments) : r->arguments.left;
}

static enum taken take_counted_keys(struct reader *r)
{
	struct text number;
	uint64_t count;
	enum taken t = take_argument(&r->arguments, &number);
	if (t != TAKEN || !text_decimal(number, UINT32_MAX, &count))
		return t;
	return take_keys(r, (uint32_t)count, 0);
}

static enum taken take_streams(struct reader *r)
{
	struct text option;
	for (;;) {
		enum taken t = take_argument(&r->arguments, &option);
		if (t == TAKEN && text_is_lower(option, "streams"))
			return take_keys(r, words_left(r) / 2, 0);
		if (t == TAKEN && (text_is_lower(option, "count") || text_is_lower(option, "block")))
			t = pass(r, 1);
		else if (t == TAKEN && text_is_lower(option, "group"))
			t = pass(r, 2);
		if (t != TAKEN)
			return t;
	}
}

static enum taken take_migrate(struct reader *r)
{
	struct text key, option;
	enum taken t = pass(r, 2);
	if (t == TAKEN)
		t = take_argument(&r->arguments, &key);
	if (t != TAKEN)
		return t;
	if (key.len) {
		show(r, r->hide ? TEXT("?") : key);
		return TAKEN;
	}
	t = pass(r, 2);
	while (t == TAKEN) {
		t = take_argument(&r->arguments, &option);
		if (t == TAKEN && text_is_lower(option, "keys"))
			return take_keys(r, UINT32_MAX, 0);
		if (t == TAKEN && text_is_lower(option, "auth"))
			t = pass(r, 1);
		else if (t == TAKEN && text_is_lower(option, "auth2"))
			t = pass(r, 2);
	}
	return t;
}

static enum taken take_all_keys(struct reader *r, const struct command *c, struct text word)
{
	enum taken t;
	switch ((enum keys)c->keys) {
	case KEYS_NONE:
		return TAKEN;
	case KEYS_FIRST:
		return take_keys(r, 1, 0);
	case KEYS_TWO:
		return take_keys(r, 2, 0);
	case KEYS_ALL:
		return take_keys(r, UINT32_MAX, 0);
	case KEYS_BUT_LAST:
		return take_keys(r, max_of(words_left(r), 1u) - 1, 0);
	case KEYS_EVERY_SECOND:
		return take_keys(r, UINT32_MAX, 1);
	case KEYS_FROM_SECOND:
		t = pass(r, 1);
		return t == TAKEN ? take_keys(r, UINT32_MAX, 0) : t;
	case KEYS_COUNTED:
		return take_counted_keys(r);
	case KEYS_COUNTED_LATER:
		t = pass(r, 1);
		return t == TAKEN ? take_counted_keys(r) : t;
	case KEYS_AND_COUNTED:
		t = take_key(r);
		return t == TAKEN ? take_counted_keys(r) : t;
	case KEYS_STREAMS:
		return take_streams(r);
	case KEYS_MIGRATE:
		return take_migrate(r);
	case KEYS_CONFIG:
		return take_keys(r, UINT32_MAX, text_is_lower(word, "set") ? 1 : 0);
	}
	return TAKEN;
}

/* A name that can be shown. */
static bool is_name(struct text t)
{
	if (!t.len || t.len > REDIS_WORD_MAX)
		return false;
	for (uint32_t i = 0; i < t.len; i++) {
		uint8_t c = (uint8_t)t.at[i];
		if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '.' && c != '_' && c != '-' && c != '|')
			return false;
	}
	return true;
}

static void add_type(struct redis_request *q, struct text word)
{
	if (q->type_len)
		q->type[q->type_len++] = ' ';
	for (uint32_t i = 0; i < word.len; i++)
		q->type[q->type_len++] = ascii_upper(word.at[i]);
}

/* What the first argument, or the first behind a container's word, means for the connection. */
static enum taken read_effect(struct redis_request *q, struct arguments a, const struct command *c, struct text word)
{
	struct text first = {0};
	uint64_t number;
	bool reply = c->effect == REDIS_CLIENT && text_is_lower(word, "reply");
	q->effect = c->effect == REDIS_CLIENT ? REDIS_NO_EFFECT : (enum redis_effect)c->effect;
	if (q->effect < REDIS_NO_EFFECT) {
		q->number = a.is_inline ? count_words(a) : a.left;
		return TAKEN;
	}
	if (!reply && q->effect != REDIS_SELECT && q->effect != REDIS_HELLO && q->effect != REDIS_REPLCONF)
		return TAKEN;
	enum taken t = take_argument(&a, &first);
	if (t == TAKEN_MORE || t == TAKEN_BAD)
		return t;
	if (reply && text_is_lower(first, "on"))
		q->effect = REDIS_REPLY_ON;
	else if (reply && text_is_lower(first, "off"))
		q->effect = REDIS_REPLY_OFF;
	else if (reply && text_is_lower(first, "skip"))
		q->effect = REDIS_REPLY_SKIP;
	else if (q->effect == REDIS_REPLCONF && text_is_lower(first, "ack"))
		q->effect = REDIS_REPLCONF_ACK;
	else if (q->effect == REDIS_SELECT && !text_decimal(first, UINT16_MAX, &number))
		q->effect = REDIS_NO_EFFECT;
	else if (q->effect == REDIS_SELECT || (q->effect == REDIS_HELLO && text_decimal(first, 9, &number)))
		q->number = (uint32_t)number;
	return TAKEN;
}

static enum taken read_command(struct reader *r)
{
	struct redis_request *q = r->request;
	struct text word, sub = {0};
	enum taken t = take_argument(&r->arguments, &word);
	if (t != TAKEN)
		return t;
	const struct command *c = command_find(word);
	if (!c)
		c = &unknown_command;
	if (c == &unknown_command && !is_name(word))
		word = TEXT("?");
	add_type(q, word);
	if (c->flags & CONTAINER) {
		struct arguments back = r->arguments;
		t = take_argument(&r->arguments, &sub);
		if (t == TAKEN_MORE || t == TAKEN_BAD)
			return t;
		if (t == TAKEN && is_name(sub))
			add_type(q, sub);
		else
			r->arguments = back;
	}
	show(r, (struct text){q->type, q->type_len});
	t = read_effect(q, r->arguments, c, sub);
	return t == TAKEN ? take_all_keys(r, c, sub) : t;
}

static struct reader reader_make(struct arguments a, const struct dissect_settings *settings, struct redis_request *ret)
{
	ret->effect = REDIS_NO_EFFECT;
	ret->number = ret->type_len = ret->resource_len = ret->left = 0;
	ret->skip = 0;
	ret->wanted = 0;
	return (struct reader){
		.arguments = a,
		.request = ret,
		.resource_max = (uint32_t)min_of(settings->text_max + 1, sizeof ret->resource), /* one more: it was cut */
		.hide = settings->obfuscate >> OBFUSCATE_REDIS & 1,
	};
}

enum redis_read redis_request_read(const uint8_t *p, size_t n, bool cut, const struct dissect_settings *settings,
                                   struct redis_request *ret)
{
	uint64_t count;
	int head = redis_number_read(p, n, true, &count);
	if (head < 0)
		return REDIS_READ_BAD;
	ret->wanted = n + 1;
	if (!head)
		return REDIS_READ_MORE;
	ret->used = (size_t)head;
	if (!count || count == UINT64_MAX)
		return REDIS_READ_EMPTY;
	if (count > REDIS_ARGUMENTS_MAX)
		return REDIS_READ_BAD;
	struct arguments a = {.at = p + head, .end = p + n, .left = (uint32_t)count, .cut = cut};
	struct reader r = reader_make(a, settings, ret);
	enum taken t = read_command(&r);
	if (t == TAKEN_BAD)
		return REDIS_READ_BAD;
	if (t == TAKEN_MORE) {
		ret->wanted = max_of(n + 1, (size_t)(r.arguments.at - p) + (size_t)r.arguments.wanted);
		return REDIS_READ_MORE;
	}
	if (!ret->type_len) /* the name alone is longer than what is looked at */
		add_type(ret, TEXT("?"));
	ret->used = (size_t)(r.arguments.at - p);
	ret->skip = r.arguments.skip;
	ret->left = r.arguments.left;
	return REDIS_READ_DONE;
}

enum redis_read redis_inline_read(struct text line, const struct dissect_settings *settings, struct redis_request *ret)
{
	const uint8_t *p = (const uint8_t *)line.at;
	struct arguments a = {.at = p, .end = p + line.len, .is_inline = true};
	struct reader r = reader_make(a, settings, ret);
	return read_command(&r) == TAKEN_END && !ret->type_len ? REDIS_READ_EMPTY : REDIS_READ_DONE;
}

enum dissect_verdict redis_request_begins(const uint8_t *p, size_t n, bool *ret_known)
{
	uint64_t count, len;
	*ret_known = false;
	if (!n)
		return DISSECT_UNSURE;
	if (*p != '*')
		return DISSECT_NOT_MINE;
	int head = redis_number_read(p, n, false, &count);
	if (head <= 0)
		return head ? DISSECT_NOT_MINE : DISSECT_UNSURE;
	if (!count || count > REDIS_ARGUMENTS_MAX || p[1] == '0')
		return DISSECT_NOT_MINE;
	p += head;
	n -= (size_t)head;
	if (n && *p != '$')
		return DISSECT_NOT_MINE;
	head = n ? redis_number_read(p, n, false, &len) : 0;
	if (head <= 0)
		return head ? DISSECT_NOT_MINE : DISSECT_UNSURE;
	if (!len || len > REDIS_WORD_MAX)
		return DISSECT_NOT_MINE;
	struct text word = text_make(p + head, min_of((size_t)len, n - (size_t)head));
	if (word.len && (!is_name(word) || !ascii_is_alpha((uint8_t)word.at[0])))
		return DISSECT_NOT_MINE;
	p += (size_t)head + word.len;
	n -= (size_t)head + word.len;
	if (word.len < len || !n)
		return DISSECT_UNSURE;
	if (*p != '\r' || (n > 1 && p[1] != '\n') || (n > 2 && p[2] != (count > 1 ? '$' : '*') && count > 1))
		return DISSECT_NOT_MINE;
	if (n < 2)
		return DISSECT_UNSURE;
	*ret_known = redis_command_is_known(word);
	return DISSECT_CERTAIN;
}
