#include "redis_command.h"

enum { NAME_SIZE = 24, DIGITS_MAX = 10 };

/* Which arguments are keys. */
enum keys {
	KEYS_NONE,
	KEYS_FIRST,
	KEYS_TWO,
	KEYS_ALL,
	KEYS_BUT_LAST,
	KEYS_EVERY_SECOND, /* key value key value … */
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
	_Alignas(8) char name[NAME_SIZE]; /* padded with zeros */
	uint8_t keys, flags, effect;
};

/* Sorted by name. */
static const struct command commands[] = {
    {"ACL", KEYS_FIRST, CONTAINER},
    {"APPEND", KEYS_FIRST, COMMON},
    {"ASKING", KEYS_NONE},
    {"AUTH", KEYS_NONE, COMMON},
    {"BGREWRITEAOF", KEYS_NONE},
    {"BGSAVE", KEYS_NONE},
    {"BITCOUNT", KEYS_FIRST},
    {"BITFIELD", KEYS_FIRST},
    {"BITFIELD_RO", KEYS_FIRST},
    {"BITOP", KEYS_FROM_SECOND},
    {"BITPOS", KEYS_FIRST},
    {"BLMOVE", KEYS_TWO},
    {"BLMPOP", KEYS_COUNTED_LATER},
    {"BLPOP", KEYS_BUT_LAST},
    {"BRPOP", KEYS_BUT_LAST},
    {"BRPOPLPUSH", KEYS_TWO},
    {"BZMPOP", KEYS_COUNTED_LATER},
    {"BZPOPMAX", KEYS_BUT_LAST},
    {"BZPOPMIN", KEYS_BUT_LAST},
    {"CLIENT", KEYS_FIRST, CONTAINER, REDIS_CLIENT},
    {"CLUSTER", KEYS_FIRST, CONTAINER},
    {"COMMAND", KEYS_FIRST, CONTAINER},
    {"CONFIG", KEYS_CONFIG, CONTAINER},
    {"COPY", KEYS_TWO, COMMON},
    {"DBSIZE", KEYS_NONE},
    {"DEBUG", KEYS_FIRST, CONTAINER | COMMON},
    {"DECR", KEYS_FIRST, COMMON},
    {"DECRBY", KEYS_FIRST},
    {"DEL", KEYS_ALL, COMMON},
    {"DISCARD", KEYS_NONE, 0, REDIS_DISCARD},
    {"DUMP", KEYS_FIRST, COMMON},
    {"ECHO", KEYS_NONE, COMMON},
    {"EVAL", KEYS_COUNTED_LATER},
    {"EVALSHA", KEYS_COUNTED_LATER},
    {"EVALSHA_RO", KEYS_COUNTED_LATER},
    {"EVAL_RO", KEYS_COUNTED_LATER},
    {"EXEC", KEYS_NONE, COMMON, REDIS_EXEC},
    {"EXISTS", KEYS_ALL, COMMON},
    {"EXPIRE", KEYS_FIRST},
    {"EXPIREAT", KEYS_FIRST},
    {"EXPIRETIME", KEYS_FIRST},
    {"FAILOVER", KEYS_NONE},
    {"FCALL", KEYS_COUNTED_LATER},
    {"FCALL_RO", KEYS_COUNTED_LATER},
    {"FLUSHALL", KEYS_NONE},
    {"FLUSHDB", KEYS_NONE},
    {"FUNCTION", KEYS_NONE, CONTAINER},
    {"GEOADD", KEYS_FIRST},
    {"GEODIST", KEYS_FIRST},
    {"GEOHASH", KEYS_FIRST},
    {"GEOPOS", KEYS_FIRST},
    {"GEORADIUS", KEYS_FIRST},
    {"GEORADIUSBYMEMBER", KEYS_FIRST},
    {"GEORADIUSBYMEMBER_RO", KEYS_FIRST},
    {"GEORADIUS_RO", KEYS_FIRST},
    {"GEOSEARCH", KEYS_FIRST},
    {"GEOSEARCHSTORE", KEYS_TWO},
    {"GET", KEYS_FIRST, COMMON},
    {"GETBIT", KEYS_FIRST},
    {"GETDEL", KEYS_FIRST},
    {"GETEX", KEYS_FIRST},
    {"GETRANGE", KEYS_FIRST},
    {"GETSET", KEYS_FIRST},
    {"HDEL", KEYS_FIRST},
    {"HELLO", KEYS_FIRST, COMMON, REDIS_HELLO},
    {"HEXISTS", KEYS_FIRST},
    {"HEXPIRE", KEYS_FIRST},
    {"HEXPIREAT", KEYS_FIRST},
    {"HEXPIRETIME", KEYS_FIRST},
    {"HGET", KEYS_FIRST},
    {"HGETALL", KEYS_FIRST},
    {"HGETDEL", KEYS_FIRST},
    {"HGETEX", KEYS_FIRST},
    {"HINCRBY", KEYS_FIRST},
    {"HINCRBYFLOAT", KEYS_FIRST},
    {"HKEYS", KEYS_FIRST},
    {"HLEN", KEYS_FIRST},
    {"HMGET", KEYS_FIRST},
    {"HMSET", KEYS_FIRST},
    {"HPERSIST", KEYS_FIRST},
    {"HPEXPIRE", KEYS_FIRST},
    {"HPEXPIREAT", KEYS_FIRST},
    {"HPEXPIRETIME", KEYS_FIRST},
    {"HPTTL", KEYS_FIRST},
    {"HRANDFIELD", KEYS_FIRST},
    {"HSCAN", KEYS_FIRST},
    {"HSET", KEYS_FIRST},
    {"HSETEX", KEYS_FIRST},
    {"HSETNX", KEYS_FIRST},
    {"HSTRLEN", KEYS_FIRST},
    {"HTTL", KEYS_FIRST},
    {"HVALS", KEYS_FIRST},
    {"INCR", KEYS_FIRST, COMMON},
    {"INCRBY", KEYS_FIRST},
    {"INCRBYFLOAT", KEYS_FIRST},
    {"INFO", KEYS_FIRST, COMMON},
    {"KEYS", KEYS_FIRST, COMMON},
    {"LASTSAVE", KEYS_NONE},
    {"LATENCY", KEYS_FIRST, CONTAINER},
    {"LCS", KEYS_TWO},
    {"LINDEX", KEYS_FIRST},
    {"LINSERT", KEYS_FIRST},
    {"LLEN", KEYS_FIRST},
    {"LMOVE", KEYS_TWO},
    {"LMPOP", KEYS_COUNTED},
    {"LOLWUT", KEYS_NONE},
    {"LPOP", KEYS_FIRST},
    {"LPOS", KEYS_FIRST},
    {"LPUSH", KEYS_FIRST},
    {"LPUSHX", KEYS_FIRST},
    {"LRANGE", KEYS_FIRST},
    {"LREM", KEYS_FIRST},
    {"LSET", KEYS_FIRST},
    {"LTRIM", KEYS_FIRST},
    {"MEMORY", KEYS_FIRST, CONTAINER},
    {"MGET", KEYS_ALL},
    {"MIGRATE", KEYS_MIGRATE},
    {"MODULE", KEYS_FIRST, CONTAINER},
    {"MONITOR", KEYS_NONE, COMMON, REDIS_MONITOR},
    {"MOVE", KEYS_FIRST, COMMON},
    {"MSET", KEYS_EVERY_SECOND},
    {"MSETNX", KEYS_EVERY_SECOND},
    {"MULTI", KEYS_NONE, 0, REDIS_MULTI},
    {"OBJECT", KEYS_FIRST, CONTAINER},
    {"PERSIST", KEYS_FIRST},
    {"PEXPIRE", KEYS_FIRST},
    {"PEXPIREAT", KEYS_FIRST},
    {"PEXPIRETIME", KEYS_FIRST},
    {"PFADD", KEYS_FIRST},
    {"PFCOUNT", KEYS_ALL},
    {"PFDEBUG", KEYS_FROM_SECOND},
    {"PFMERGE", KEYS_ALL},
    {"PFSELFTEST", KEYS_NONE},
    {"PING", KEYS_NONE, COMMON},
    {"PSETEX", KEYS_FIRST},
    {"PSUBSCRIBE", KEYS_ALL, 0, REDIS_PSUBSCRIBE},
    {"PSYNC", KEYS_FIRST, 0, REDIS_PSYNC},
    {"PTTL", KEYS_FIRST},
    {"PUBLISH", KEYS_FIRST, COMMON},
    {"PUBSUB", KEYS_FIRST, CONTAINER},
    {"PUNSUBSCRIBE", KEYS_ALL, 0, REDIS_PUNSUBSCRIBE},
    {"QUIT", KEYS_NONE, COMMON},
    {"RANDOMKEY", KEYS_NONE},
    {"READONLY", KEYS_NONE},
    {"READWRITE", KEYS_NONE},
    {"RENAME", KEYS_TWO, COMMON},
    {"RENAMENX", KEYS_TWO},
    {"REPLCONF", KEYS_FIRST, 0, REDIS_REPLCONF},
    {"REPLICAOF", KEYS_TWO},
    {"RESET", KEYS_NONE, COMMON, REDIS_RESET},
    {"RESTORE", KEYS_FIRST, COMMON},
    {"RESTORE-ASKING", KEYS_FIRST},
    {"ROLE", KEYS_NONE, COMMON},
    {"RPOP", KEYS_FIRST},
    {"RPOPLPUSH", KEYS_TWO},
    {"RPUSH", KEYS_FIRST},
    {"RPUSHX", KEYS_FIRST},
    {"SADD", KEYS_FIRST},
    {"SAVE", KEYS_NONE, COMMON},
    {"SCAN", KEYS_NONE, COMMON},
    {"SCARD", KEYS_FIRST},
    {"SCRIPT", KEYS_NONE, CONTAINER},
    {"SDIFF", KEYS_ALL},
    {"SDIFFSTORE", KEYS_ALL},
    {"SELECT", KEYS_FIRST, COMMON, REDIS_SELECT},
    {"SENTINEL", KEYS_FIRST, CONTAINER},
    {"SET", KEYS_FIRST, COMMON},
    {"SETBIT", KEYS_FIRST},
    {"SETEX", KEYS_FIRST},
    {"SETNX", KEYS_FIRST},
    {"SETRANGE", KEYS_FIRST},
    {"SHUTDOWN", KEYS_NONE, COMMON},
    {"SINTER", KEYS_ALL},
    {"SINTERCARD", KEYS_COUNTED},
    {"SINTERSTORE", KEYS_ALL},
    {"SISMEMBER", KEYS_FIRST},
    {"SLAVEOF", KEYS_TWO},
    {"SLOWLOG", KEYS_FIRST, CONTAINER},
    {"SMEMBERS", KEYS_FIRST},
    {"SMISMEMBER", KEYS_FIRST},
    {"SMOVE", KEYS_TWO},
    {"SORT", KEYS_FIRST, COMMON},
    {"SORT_RO", KEYS_FIRST},
    {"SPOP", KEYS_FIRST},
    {"SPUBLISH", KEYS_FIRST},
    {"SRANDMEMBER", KEYS_FIRST},
    {"SREM", KEYS_FIRST},
    {"SSCAN", KEYS_FIRST},
    {"SSUBSCRIBE", KEYS_ALL, 0, REDIS_SSUBSCRIBE},
    {"STRLEN", KEYS_FIRST},
    {"SUBSCRIBE", KEYS_ALL, COMMON, REDIS_SUBSCRIBE},
    {"SUBSTR", KEYS_FIRST},
    {"SUNION", KEYS_ALL},
    {"SUNIONSTORE", KEYS_ALL},
    {"SUNSUBSCRIBE", KEYS_ALL, 0, REDIS_SUNSUBSCRIBE},
    {"SWAPDB", KEYS_TWO},
    {"SYNC", KEYS_NONE, COMMON, REDIS_PSYNC},
    {"TIME", KEYS_NONE, COMMON},
    {"TOUCH", KEYS_ALL, COMMON},
    {"TTL", KEYS_FIRST},
    {"TYPE", KEYS_FIRST, COMMON},
    {"UNLINK", KEYS_ALL, COMMON},
    {"UNSUBSCRIBE", KEYS_ALL, COMMON, REDIS_UNSUBSCRIBE},
    {"UNWATCH", KEYS_NONE},
    {"WAIT", KEYS_NONE, COMMON},
    {"WAITAOF", KEYS_NONE},
    {"WATCH", KEYS_ALL, COMMON},
    {"XACK", KEYS_FIRST},
    {"XADD", KEYS_FIRST},
    {"XAUTOCLAIM", KEYS_FIRST},
    {"XCLAIM", KEYS_FIRST},
    {"XDEL", KEYS_FIRST},
    {"XGROUP", KEYS_FIRST, CONTAINER},
    {"XINFO", KEYS_FIRST, CONTAINER},
    {"XLEN", KEYS_FIRST},
    {"XPENDING", KEYS_FIRST},
    {"XRANGE", KEYS_FIRST},
    {"XREAD", KEYS_STREAMS},
    {"XREADGROUP", KEYS_STREAMS},
    {"XREVRANGE", KEYS_FIRST},
    {"XSETID", KEYS_FIRST},
    {"XTRIM", KEYS_FIRST},
    {"ZADD", KEYS_FIRST},
    {"ZCARD", KEYS_FIRST},
    {"ZCOUNT", KEYS_FIRST},
    {"ZDIFF", KEYS_COUNTED},
    {"ZDIFFSTORE", KEYS_AND_COUNTED},
    {"ZINCRBY", KEYS_FIRST},
    {"ZINTER", KEYS_COUNTED},
    {"ZINTERCARD", KEYS_COUNTED},
    {"ZINTERSTORE", KEYS_AND_COUNTED},
    {"ZLEXCOUNT", KEYS_FIRST},
    {"ZMPOP", KEYS_COUNTED},
    {"ZMSCORE", KEYS_FIRST},
    {"ZPOPMAX", KEYS_FIRST},
    {"ZPOPMIN", KEYS_FIRST},
    {"ZRANDMEMBER", KEYS_FIRST},
    {"ZRANGE", KEYS_FIRST},
    {"ZRANGEBYLEX", KEYS_FIRST},
    {"ZRANGEBYSCORE", KEYS_FIRST},
    {"ZRANGESTORE", KEYS_TWO},
    {"ZRANK", KEYS_FIRST},
    {"ZREM", KEYS_FIRST},
    {"ZREMRANGEBYLEX", KEYS_FIRST},
    {"ZREMRANGEBYRANK", KEYS_FIRST},
    {"ZREMRANGEBYSCORE", KEYS_FIRST},
    {"ZREVRANGE", KEYS_FIRST},
    {"ZREVRANGEBYLEX", KEYS_FIRST},
    {"ZREVRANGEBYSCORE", KEYS_FIRST},
    {"ZREVRANK", KEYS_FIRST},
    {"ZSCAN", KEYS_FIRST},
    {"ZSCORE", KEYS_FIRST},
    {"ZUNION", KEYS_COUNTED},
    {"ZUNIONSTORE", KEYS_AND_COUNTED},
};

static const struct command unknown_command = {.keys = KEYS_FIRST};

static char ascii_upper(char c)
{
	return (uint8_t)(c - 'a') < 26 ? (char)(c & ~0x20) : c;
}

static const struct command *command_find(struct text word)
{
	uint64_t name[NAME_SIZE / 8] = {0};
	if (!word.len || word.len >= NAME_SIZE)
		return NULL;
	for (uint32_t i = 0; i < word.len; i += 8)
		name[i / 8] = ascii_upper8(text_load8(word.at + i, word.len - i));
	/* The order of the table is that of the names' first eight bytes as a big-endian number, and few share those.
	 */
	uint64_t key = __builtin_bswap64(name[0]);
	size_t low = 0, high = array_size(commands);
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (load_be64(commands[middle].name) < key)
			low = middle + 1;
		else
			high = middle;
	}
	const struct command *c = commands + low;
	for (; c < commands + array_size(commands) && load_le64(c->name) == name[0]; c++)
		if (load_le64(c->name + 8) == name[1] && load_le64(c->name + 16) == name[2])
			return c;
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

/* A type and a number of at most nine digits. Returns what is behind it; NULL where it is not whole, or not so. Nearly
 * all have one digit or two. */
static inline const uint8_t *plain_number(const uint8_t *p, const uint8_t *end, uint8_t type, uint64_t *ret)
{
	if (end - p < 5 || *p != type)
		return NULL;
	uint64_t value = (uint8_t)(p[1] - '0'), second = (uint8_t)(p[2] - '0');
	const uint8_t *q = p + 2;
	if (value > 9)
		return NULL;
	if (second <= 9) {
		value = value * 10 + second;
		q++;
		if (unlikely(ascii_is_digit(*q)))
			for (; q < end && q < p + 10 && ascii_is_digit(*q); q++)
				value = value * 10 + (*q - '0');
	}
	*ret = value;
	return end - q >= 2 && q[0] == '\r' && q[1] == '\n' ? q + 2 : NULL;
}

/* How many of the arguments are keys, and how many values stand behind each. False: it is not that simple. */
static bool plain_keys(const struct command *c, uint32_t *ret_keys, uint32_t *ret_between)
{
	*ret_between = c->keys == KEYS_EVERY_SECOND;
	switch ((enum keys)c->keys) {
	case KEYS_NONE:
		*ret_keys = 0;
		return true;
	case KEYS_FIRST:
		*ret_keys = 1;
		return true;
	case KEYS_TWO:
		*ret_keys = 2;
		return true;
	case KEYS_ALL:
	case KEYS_EVERY_SECOND:
		*ret_keys = UINT32_MAX;
		return true;
	default:
		return false;
	}
}

bool redis_plain_read(const uint8_t *p, size_t n, struct redis_plain *ret)
{
	const uint8_t *end = p + n, *q = p;
	uint64_t count, len;
	uint32_t keys, between;
	if (!(q = plain_number(q, end, '*', &count)) || !count || !(q = plain_number(q, end, '$', &len)) ||
	    len + 2 > (uint64_t)(end - q))
		return false;
	const struct command *c = command_find(text_make(q, (size_t)len));
	if (!c || c->flags & CONTAINER || c->effect || !plain_keys(c, &keys, &between))
		return false;
	ret->name = text_make(c->name, (size_t)len);
	ret->left = (uint32_t)count - 1;
	ret->keys = 0;
	q += len + 2;
	while (keys-- && ret->left) {
		if (ret->keys == REDIS_PLAIN_KEYS || !(q = plain_number(q, end, '$', &len)) ||
		    len + 2 > (uint64_t)(end - q))
			return false;
		ret->key[ret->keys++] = text_make(q, (size_t)len);
		q += len + 2;
		ret->left--;
		if (between && ret->left) {
			if (!(q = redis_plain_string(q, end)))
				return false;
			ret->left--;
		}
	}
	ret->used = (size_t)(q - p);
	return true;
}

const uint8_t *redis_plain_string(const uint8_t *p, const uint8_t *end)
{
	uint64_t len;
	const uint8_t *q = plain_number(p, end, '$', &len);
	return q && len + 2 <= (uint64_t)(end - q) ? q + len + 2 : NULL;
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
	if (redis_is_subscription(q->effect)) {
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
	if (*p != '\r' || (n > 1 && p[1] != '\n') || (n > 2 && count > 1 && p[2] != '$'))
		return DISSECT_NOT_MINE;
	if (n < 2)
		return DISSECT_UNSURE;
	*ret_known = redis_command_is_known(word);
	return DISSECT_CERTAIN;
}
