/* Does a message begin here? Asked at a flow's first bytes, and to find the next message after a loss. The answer
 * depends on a bounded number of bytes behind the place, never on how many happen to be at hand. */
#include "mysql.h"
#include "sql.h"

#define NAME_LOOK 48 /* bytes of a name or statement that are looked at */
#define OK_LOOK 40   /* of an OK: all numbers, and the beginning of its text */
#define SESSION_STATE_CHANGED 0x4000u
#define PROBE_LOOK 4096 /* of a packet whose end may decide whose it is */

static bool is_printable(const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] < ' ' || at[i] == 0x7f)
			return false;
	return true;
}

/* A name that fills `want` bytes of the payload. */
static enum mysql_start name_start(const uint8_t *at, size_t len, size_t want)
{
	size_t look = min_of(want, (size_t)NAME_LOOK), n = min_of(len, look);
	if (!want || !is_printable(at, n))
		return START_NO;
	return n < look ? START_MORE : START_WEAK;
}

/* SQL text of `want` bytes: a statement's first word, perhaps behind a comment's beginning, spaces and parentheses. */
static enum mysql_start statement_start(const uint8_t *at, size_t len, size_t want)
{
	size_t look = min_of(want, (size_t)NAME_LOOK), n = min_of(len, look), i = 0, word;
	while (i < n && (at[i] == ' ' || at[i] == '(' || (at[i] >= '\t' && at[i] <= '\r')))
		i++;
	if (i == n)
		return n < look ? START_MORE : START_NO;
	bool comment =
	    at[i] == '#' || (i + 1 < n && ((at[i] == '/' && at[i + 1] == '*') || (at[i] == '-' && at[i + 1] == '-')));
	if (comment) {
		size_t to = min_of(i + 10, look);
		for (size_t k = i; k < min_of(to, n); k++)
			if (!is_printable(at + k, 1) && at[k] != '\n' && at[k] != '\r' && at[k] != '\t')
				return START_NO;
		return n < to ? START_MORE : START_STRONG;
	}
	if (i + 1 == n && n < look && (at[i] == '/' || at[i] == '-'))
		return START_MORE;
	for (word = i; word < n && (ascii_is_alpha(at[word]) || at[word] == '_'); word++)
		;
	if (word == n && n < look)
		return word - i <= 12 ? START_MORE : START_NO;
	return sql_is_statement_word(text_make(at + i, word - i)) ? START_STRONG : START_NO;
}

/* The statement of COM_QUERY, perhaps with attributes in front of it: count, 1, bitmap, 1, types … */
static enum mysql_start query_start(const uint8_t *at, size_t len, size_t want)
{
	if (want >= 2 && len < 2)
		return START_MORE;
	if (want < 3 || at[1] != 1)
		return statement_start(at, len, want);
	unsigned count = at[0];
	if (!count)
		return statement_start(at + 2, len - 2, want - 2);
	size_t flag = 2 + (count + 7) / 8;
	if (count > 64 || want < flag + 3)
		return START_NO;
	if (len < flag + 3)
		return len > flag && at[flag] != 1 ? START_NO : START_MORE;
	return at[flag] == 1 && !(at[flag + 2] & 0x7f) ? START_STRONG : START_NO;
}

/* The answer to the greeting: capabilities, largest packet, character set, and zeros. */
static enum mysql_start login_start(const uint8_t *at, size_t len)
{
	if (mysql_le24(at) < 32)
		return START_NO;
	if (len >= 6 && !(at[5] & CLIENT_PROTOCOL_41 >> 8))
		return START_NO;
	for (size_t i = 13; i < min_of(len, (size_t)32); i++)
		if (at[i])
			return START_NO;
	return len < 32 ? START_MORE : START_STRONG;
}

static enum mysql_start exact(size_t len, size_t want)
{
	return len == want ? START_WEAK : START_NO;
}

static enum mysql_start at_least(size_t len, size_t want)
{
	return len >= want ? START_WEAK : START_NO;
}

/* A statement's id, which servers count from 1, behind the command. */
static enum mysql_start statement_id_start(const uint8_t *at, size_t len, enum mysql_start v)
{
	if (v == START_NO || (len >= 9 && (at[8] || !load_le32(at + 5))))
		return START_NO;
	return len < 9 ? START_MORE : v;
}

static enum mysql_start execute_start(const uint8_t *at, size_t len, size_t payload)
{
	if (payload < 10)
		return START_NO;
	if (len >= 10 && at[9] & 0x70)
		return START_NO;
	for (size_t i = 10; i < min_of(len, (size_t)14); i++)
		if (at[i] != (i == 10))
			return START_NO;
	return len < 14 ? START_MORE : START_STRONG;
}

enum mysql_start mysql_client_start(const uint8_t *at, size_t len)
{
	if (len >= 4 && at[3] > 2)
		return START_NO;
	if (len < 5)
		return START_MORE;
	size_t payload = mysql_le24(at);
	if (at[3])
		return login_start(at, len);
	if (!payload)
		return START_NO;
	switch (at[4]) {
	case COM_QUIT:
	case COM_STATISTICS:
	case COM_PROCESS_INFO:
	case COM_DEBUG:
	case COM_PING:
	case COM_RESET_CONNECTION:
		return exact(payload, 1);
	case COM_REFRESH:
	case COM_SHUTDOWN:
		return exact(payload, 2);
	case COM_SET_OPTION:
		return exact(payload, 3);
	case COM_PROCESS_KILL:
		return exact(payload, 5);
	case COM_INIT_DB:
	case COM_CREATE_DB:
	case COM_DROP_DB:
		return payload <= 257 ? name_start(at + 5, len - 5, payload - 1) : START_NO;
	case COM_FIELD_LIST: {
		/* table, NUL, pattern */
		const uint8_t *nul = memchr(at + 5, 0, min_of(len - 5, (size_t)NAME_LOOK));
		if (!nul)
			return len - 5 < NAME_LOOK && is_printable(at + 5, len - 5) ? START_MORE : START_NO;
		return nul > at + 5 && is_printable(at + 5, (size_t)(nul - at - 5)) ? START_WEAK : START_NO;
	}
	case COM_QUERY:
		return query_start(at + 5, len - 5, payload - 1);
	case COM_STMT_PREPARE:
		return statement_start(at + 5, len - 5, payload - 1);
	case COM_STMT_EXECUTE:
		return execute_start(at, len, payload);
	case COM_STMT_CLOSE:
	case COM_STMT_RESET:
		return statement_id_start(at, len, exact(payload, 5));
	case COM_STMT_FETCH:
		return statement_id_start(at, len, exact(payload, 9));
	case COM_STMT_SEND_LONG_DATA:
		return statement_id_start(at, len, at_least(payload, 7));
	case COM_STMT_BULK_EXECUTE:
		return at_least(payload, 8);
	case COM_BINLOG_DUMP:
		return at_least(payload, 11);
	case COM_BINLOG_DUMP_GTID:
		return at_least(payload, 23);
	case COM_REGISTER_SLAVE:
		return at_least(payload, 18);
	case COM_CHANGE_USER:
		return at_least(payload, 4);
	default:
		return START_NO;
	}
}

static enum mysql_start greeting_start(const uint8_t *at, size_t len)
{
	size_t payload = mysql_le24(at), look = min_of(len, (size_t)5 + 64);
	const uint8_t *nul = look > 5 ? memchr(at + 5, 0, look - 5) : NULL;
	size_t version = nul ? (size_t)(nul - at - 5) : look - 5;

	if (payload < 20 || payload > 1024 || !is_printable(at + 5, version))
		return START_NO;
	if (version && !ascii_is_digit(at[5]))
		return START_NO;
	if (!nul)
		return len < 5 + 64 ? START_MORE : START_NO;
	if (!memchr(at + 5, '.', version))
		return START_NO;
	/* connection id, 8 bytes of salt, a zero */
	if (len <= 5 + version + 13)
		return START_MORE;
	return at[5 + version + 13] ? START_NO : START_STRONG;
}

static enum mysql_start error_start(const uint8_t *at, size_t len)
{
	size_t payload = mysql_le24(at);
	if (payload < 9 || payload > 1024)
		return START_NO;
	if (len < 13)
		return START_MORE;
	unsigned code = load_le16(at + 5);
	if (code < 1000 || code == 0xffff)
		return START_NO;
	if (at[7] != '#')
		return !at[3] && is_printable(at + 7, 6) ? START_STRONG : START_NO;
	for (size_t i = 8; i < 13; i++)
		if (!ascii_is_digit(at[i]) && (!ascii_is_alpha(at[i]) || at[i] & 0x20))
			return START_NO;
	return START_STRONG;
}

/* A column's definition begins with the catalogue, which is always "def". */
static enum mysql_start definition_start(const uint8_t *at, size_t len, size_t from)
{
	static const uint8_t def[5] = {2, 3, 'd', 'e', 'f'};
	for (size_t i = 0; i < sizeof def && from + 3 + i < len; i++)
		if (at[from + 3 + i] != def[i])
			return START_NO;
	return len < from + 8 ? START_MORE : START_STRONG;
}

static enum mysql_start ok_start(const uint8_t *at, size_t len)
{
	size_t payload = mysql_le24(at);
	if (payload < 7 || payload > 4096)
		return START_NO;
	if (payload == 12 || payload == 13) {
		if (len < 14)
			return START_MORE;
		if (!at[13] && !at[8]) { /* a prepared statement's */
			enum mysql_start v =
			    load_le32(at + 9) ? definition_start(at, len, MYSQL_HEADER + payload) : START_WEAK;
			if (v != START_NO)
				return v;
		}
	}
	size_t look = min_of(payload + MYSQL_HEADER, (size_t)OK_LOOK);
	if (len < look)
		return START_MORE;
	struct cursor c = cursor_make(at + 5, look - 5);
	mysql_lenenc(&c);
	mysql_lenenc(&c);
	unsigned status = cursor_le16(&c), warnings = cursor_le16(&c);
	if (c.bad)
		return START_NO;
	/* autocommit, in a transaction, or neither; perhaps the session's state has changed */
	if (!(status & 3) && (status & ~SESSION_STATE_CHANGED || warnings))
		return START_NO;
	/* a text, with its length in front where the client tracks the session's state; then its changes */
	size_t rest = payload - 1 - (size_t)(c.at - at - 5);
	if (!rest || status & SESSION_STATE_CHANGED || c.at[0] == rest - 1 || is_printable(c.at, cursor_left(&c)))
		return START_WEAK;
	return START_NO;
}

enum mysql_start mysql_server_start(const uint8_t *at, size_t len)
{
	if (len >= 4 && at[3] > 1)
		return START_NO;
	if (len < 5)
		return START_MORE;
	size_t payload = mysql_le24(at);
	if (at[4] == 0xff)
		return error_start(at, len);
	if (at[3] == 0)
		return at[4] == 10 ? greeting_start(at, len) : START_NO;
	if (at[3] != 1 || !payload)
		return START_NO;
	if (at[4] == 0)
		return ok_start(at, len);
	if (at[4] == 0xfe)
		return exact(payload, 5);
	if (payload <= 4)
		return definition_start(at, len, MYSQL_HEADER + payload);
	static const uint8_t uptime[] = "Uptime:";
	size_t n = min_of(len - 4, sizeof uptime - 1);
	if (memcmp(at + 4, uptime, n))
		return START_NO;
	return n < sizeof uptime - 1 ? START_MORE : START_STRONG;
}

enum mysql_start mysql_compressed_start(const uint8_t *at, size_t len, bool client)
{
	if (len >= 4 && at[3] != !client)
		return START_NO;
	if (len < MYSQL_COMPRESSED_HEADER)
		return START_MORE;
	size_t compressed = mysql_le24(at), plain = mysql_le24(at + 4);
	if (!plain) {
		enum mysql_start v = client ? mysql_client_start(at + 7, len - 7) : mysql_server_start(at + 7, len - 7);
		bool fits = len < 10 || mysql_le24(at + 7) + MYSQL_HEADER <= compressed;
		return compressed >= 5 && (fits || v != START_WEAK) ? v : START_NO;
	}
	if (compressed < 9 || compressed >= plain + 64)
		return START_NO;
	if (len < 11)
		return START_MORE;
	bool zlib = at[7] == 0x78 && (at[7] << 8 | at[8]) % 31 == 0;
	bool zstd = load_be32(at + 7) == 0x28b52ffd;
	return zlib || zstd ? START_WEAK : START_NO;
}

/* A weak beginning counts when a strong one follows it, or the port is configured; until then it stays open. */
static enum dissect_verdict judge(const struct dissect_probe *p, bool client)
{
	const uint8_t *at = p->data;
	size_t len = p->len;
	for (unsigned packets = 0; packets < 64; packets++) {
		enum mysql_start v = client ? mysql_client_start(at, len) : mysql_server_start(at, len);
		size_t header = MYSQL_HEADER;
		if (p->midstream && v < START_WEAK) {
			enum mysql_start w = mysql_compressed_start(at, len, client);
			if (w == START_STRONG || (w == START_WEAK && mysql_le24(at + 4)))
				header = MYSQL_COMPRESSED_HEADER;
			v = max_of(v, w);
		}
		if (v == START_STRONG || (v == START_WEAK && p->hinted))
			return DISSECT_CERTAIN;
		if (v != START_WEAK)
			return v == START_MORE ? DISSECT_UNSURE : DISSECT_NOT_MINE;
		size_t packet = header + mysql_le24(at);
		if (header == MYSQL_COMPRESSED_HEADER && packet == len)
			return DISSECT_CERTAIN;
		if (packet >= len)
			return packet <= PROBE_LOOK ? DISSECT_UNSURE : DISSECT_NOT_MINE;
		at += packet;
		len -= packet;
	}
	return DISSECT_NOT_MINE;
}

enum dissect_verdict mysql_probe(struct dissect_probe *p)
{
	enum dissect_verdict verdict = DISSECT_NOT_MINE;
	for (unsigned i = 0; i < 2; i++) {
		bool client = i == 0;
		if (p->side == (client ? SIDE_SERVER : SIDE_CLIENT))
			continue;
		/* A connection begins with the greeting, id 0, and the answer to it, id 1 or 2. */
		if (!p->midstream && p->len >= 4 && (p->data[3] == 0) == client)
			continue;
		if (!p->midstream && !client && p->len >= 4 && p->data[3])
			continue;
		enum dissect_verdict v = judge(p, client);
		if (v == DISSECT_CERTAIN) {
			p->ret_side = client ? SIDE_CLIENT : SIDE_SERVER;
			return v;
		}
		if (v == DISSECT_UNSURE)
			verdict = v;
	}
	return verdict;
}
