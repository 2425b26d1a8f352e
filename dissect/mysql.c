/* The MySQL and MariaDB client/server protocol.
 *
 * One request for each command, and one, LOGIN, for the answer to the greeting. A response begins with the server's
 * first packet after the request (for a login: the first round of authentication) and ends with the last packet of the
 * last result. COM_QUIT, COM_STMT_CLOSE and COM_STMT_SEND_LONG_DATA have none. An error that answers nothing ("Too many
 * connections" in place of the greeting, a shutdown) is a response alone. After a request for TLS the connection is
 * TLS's.
 *
 * request_domain is the database. request_resource is the statement, also of a prepared one that is executed, or what
 * else a command names: a database, a table, a file, a connection. endpoint: see sql.h. version is the server's. An
 * error has its number in response_code, its SQL state and text in response_exception. sql_affected_rows is the sum
 * over a request's results.
 *
 * Statements that set passwords have their literals hidden, whatever is configured; what authentication exchanges is
 * never looked at. Values of rows are skipped unseen.
 *
 * Where the login was not seen, what depends on it is taken from what is seen: whether EOF packets are sent, whether
 * queries carry attributes, whether packets are compressed.
 *
 * Compressed packets hold an inner stream of packets, which is fed to nested(). One that is too long to be held (it can
 * have 16 MB) is decompressed as far as it can be held: that is enough for a statement, whose packet's length is then
 * known, and for the beginning of a result.
 *
 * A message is recognised in the middle of a stream by a strong beginning (a statement's first word, a column's
 * definition, an error's SQL state), or by a weak one (a number here and there) at a place where the other side has
 * just said something that calls for a message. */
#include "mysql.h"

#define COMPRESSED_HELD_MAX (48 * 1024)
#define FEED_MAX (16 * 1024)

uint64_t mysql_lenenc(struct cursor *c)
{
	uint8_t first = cursor_u8(c);
	switch (first) {
	case 0xfc:
		return cursor_le16(c);
	case 0xfd: {
		const uint8_t *at = cursor_take(c, 3);
		return at ? mysql_le24(at) : 0;
	}
	case 0xfe:
		return cursor_le64(c);
	case 0xfb:
	case 0xff:
		c->bad = true;
		return 0;
	default:
		return first;
	}
}

struct text mysql_lenenc_text(struct cursor *c)
{
	uint64_t len = mysql_lenenc(c);
	const uint8_t *at = len <= cursor_left(c) ? cursor_take(c, len) : NULL;
	c->bad |= !at;
	return at ? text_make(at, len) : (struct text){0};
}

struct text mysql_nul_text(struct cursor *c)
{
	size_t left = cursor_left(c);
	const uint8_t *nul = left ? memchr(c->at, 0, left) : NULL;
	struct text t = text_make(c->at, nul ? (size_t)(nul - c->at) : left);
	c->at += t.len + (nul != NULL);
	return t;
}

void mysql_put_number(struct dissect *d, struct message *m, enum mysql_attribute attribute, uint64_t value)
{
	char digit = (char)('0' + value % 10);
	if (value < 10) {
		message_put_attribute(d, m, attribute, &digit, 1);
		return;
	}
	char text[20];
	struct mysql_writer w = {.out = text, .size = sizeof text};
	mysql_write_number(&w, value, 1);
	message_put_attribute(d, m, attribute, text, w.len);
}

static enum message_kind kind_of(const struct dissect *d)
{
	return d->side == SIDE_CLIENT ? MESSAGE_REQUEST : MESSAGE_RESPONSE;
}

/* The message under way ends at this offset. */
static void end_message(struct dissect *d, struct mysql_state *st, size_t at)
{
	struct mysql_side *side = &st->side[d->side];
	if (!side->begun)
		return;
	dissect_end(d, side->message, kind_of(d), at);
	side->message = NULL;
	side->begun = false;
}

void mysql_packet_passed(struct dissect *d, struct mysql_state *st, size_t at)
{
	struct mysql_side *side = &st->side[d->side];
	enum mysql_finish finish = side->finish;
	if (side->continued)
		return;
	side->finish = FINISH_NOTHING;
	if (finish == FINISH_NOTHING)
		return;
	end_message(d, st, at);
	if (d->side == SIDE_SERVER) {
		mysql_sync_hint(&st->side[SIDE_CLIENT].outer);
		mysql_sync_hint(&st->side[SIDE_CLIENT].inner);
	}
	if (finish == FINISH_TLS)
		dissect_become(d, &dissector_tls);
}

/* Bytes up to here were not understood, and messages may be among them. */
static void pass_over(struct dissect *d, struct mysql_state *st, size_t to, bool nested)
{
	if (nested)
		st->side[d->side].nested_lost = true; /* places are known to the one who feeds only */
	else
		dissect_lost(d, to);
}

static size_t find_start(struct dissect *d, struct mysql_state *st, struct mysql_sync *sync, const uint8_t *data,
			 size_t len, size_t at, bool nested)
{
	bool client = d->side == SIDE_CLIENT;
	for (; at < len; at++) {
		enum mysql_start plain = START_NO, compressed = START_NO;
		if (nested || st->framing != FRAMING_COMPRESSED)
			plain =
			    client ? mysql_client_start(data + at, len - at) : mysql_server_start(data + at, len - at);
		if (!nested && st->framing != FRAMING_PLAIN)
			compressed = mysql_compressed_start(data + at, len - at, client);
		enum mysql_start enough = sync->adrift ? START_STRONG : START_WEAK;
		if (plain == START_MORE || compressed == START_MORE) {
			if (plain < enough && compressed < enough)
				return at;
		}
		if (plain >= enough || compressed >= enough) {
			sync->synced = true;
			sync->adrift = false;
			if (!nested && st->framing == FRAMING_UNKNOWN)
				st->framing = compressed > plain ? FRAMING_COMPRESSED : FRAMING_PLAIN;
			return at;
		}
		sync->adrift = true;
	}
	return len;
}

/* Where a message begins again, from `at` on; `len` where none does. Sets sync->synced. */
static size_t seek(struct dissect *d, struct mysql_state *st, struct mysql_sync *sync, const uint8_t *data, size_t len,
		   size_t at, bool nested)
{
	size_t found = find_start(d, st, sync, data, len, at, nested);
	if (found > at)
		pass_over(d, st, found, nested);
	return found;
}

/* A response whose end we did not see: the next one begins although it is not over. */
static bool is_overtaken(const struct mysql_state *st, const struct mysql_side *side, const struct mysql_packet *p)
{
	return st->phase >= PHASE_DEFINITIONS && st->phase != PHASE_BINLOG && !p->nested && p->seq == 1 &&
	       (uint8_t)(side->seq + 1) != 1;
}

static enum mysql_look look(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	struct mysql_side *side = &st->side[d->side];
	if (d->side == SIDE_CLIENT)
		return mysql_client_packet(d, st, p);
	if (is_overtaken(st, side, p)) {
		end_message(d, st, p->offset);
		st->phase = PHASE_IDLE;
	}
	return mysql_server_packet(d, st, p);
}

/* The packets in data[at, len); returns how far it came, more than len where the rest of one is to be skipped. */
static uint64_t parse_packets(struct dissect *d, struct mysql_state *st, const uint8_t *data, size_t len, size_t at,
			      bool nested)
{
	struct mysql_side *side = &st->side[d->side];
	struct mysql_sync *sync = nested ? &side->inner : &side->outer;
	uint8_t framing = st->framing;

	if (side->passing) {
		side->passing = false;
		mysql_packet_passed(d, st, at);
	}
	while (!d->failed && !d->become && (nested || st->framing == framing)) {
		if (!sync->synced) {
			at = seek(d, st, sync, data, len, at, nested);
			if (!sync->synced || (!nested && st->framing == FRAMING_COMPRESSED))
				break;
			framing = st->framing;
		}
		if (d->side == SIDE_SERVER && !side->continued) {
			if (st->phase >= PHASE_DEFINITIONS)
				at = mysql_skip_result(st, data, len, at, nested);
			else if (st->phase == PHASE_IDLE && !side->begun && !nested)
				at = mysql_plain_response(d, st, data, len, at);
		}
		if (len - at < MYSQL_HEADER || d->failed)
			break;
		struct mysql_packet p = {
		    .at = data + at + MYSQL_HEADER,
		    .len = mysql_le24(data + at),
		    .seq = data[at + 3],
		    .ahead = len - at,
		    .nested = nested,
		    .offset = at,
		};
		p.have = min_of(len - at - MYSQL_HEADER, (size_t)p.len);
		if (!side->continued) {
			enum mysql_look seen = look(d, st, &p);
			if (seen == LOOK_ASTRAY) {
				*sync = (struct mysql_sync){.adrift = true};
				continue;
			}
			if (seen == LOOK_BAD)
				dissect_fail(d);
			if (seen != LOOK_DONE)
				break;
		}
		side->seq = p.seq;
		side->continued = p.len == MYSQL_PACKET_MAX;
		size_t packet = MYSQL_HEADER + p.len;
		if (packet > len - at) {
			side->passing = true;
			return at + packet;
		}
		at += packet;
		mysql_packet_passed(d, st, at);
	}
	return at;
}

/* Bytes in front of the place where a message should begin. */
static size_t skip_stale(struct dissect *d, struct mysql_state *st, struct mysql_sync *sync, size_t len, size_t at)
{
	size_t n = min_of((size_t)sync->stale, len - at);
	sync->stale -= (uint32_t)n;
	if (n)
		pass_over(d, st, at + n, sync == &st->side[d->side].inner);
	return at + n;
}

static uint64_t mysql_nested(struct dissect *d, const uint8_t *data, size_t len)
{
	struct mysql_state *st = d->state;
	struct mysql_side *side = &st->side[d->side];
	size_t at = min_of(side->drop, (uint64_t)len);

	side->drop -= at;
	side->inner.held = 0;
	if (side->drop)
		return len;
	at = skip_stale(d, st, &side->inner, len, at);
	uint64_t n = parse_packets(d, st, data, len, at, true);
	if (n > len) {
		side->drop = n - len;
		return len;
	}
	side->inner.held = (uint32_t)(len - n);
	return n;
}

/* What came out of the bytes [from, to) at hand. */
static void feed(struct dissect *d, const uint8_t *data, size_t len, size_t from, size_t to)
{
	d->feed_from = from;
	d->feed_to = to;
	while (len && !d->failed && !d->become) {
		size_t n = min_of(len, (size_t)FEED_MAX);
		if (dissect_feed(d, data, n) < 0)
			dissect_fail(d);
		data += n;
		len -= n;
	}
	struct mysql_state *st = d->state;
	if (st->side[d->side].nested_lost && !d->failed)
		dissect_lost(d, to);
	st->side[d->side].nested_lost = false;
}

/* `missing` bytes of the inner stream cannot be had. */
static void lose_nested(struct dissect *d, struct mysql_state *st, uint64_t missing, size_t from, size_t to)
{
	struct mysql_side *side = &st->side[d->side];
	if (side->drop >= missing) {
		/* Nobody wanted to see them. One stands for all, so that nested() learns that they have passed. */
		side->drop -= missing - 1;
		feed(d, (const uint8_t *)"", 1, from, to);
		return;
	}
	/* Whole messages may be among them. Of the server's, only the one under way can be, when it answers the last
	 * request. */
	if (d->side == SIDE_CLIENT || st->unanswered) {
		dissect_fail(d);
		return;
	}
	end_message(d, st, to);
	st->phase = PHASE_IDLE;
	side->finish = FINISH_NOTHING;
	side->passing = side->continued = false;
	side->drop = side->inner.held;
	side->inner = (struct mysql_sync){.adrift = true};
}

/* The compressed packet whose payload, as much of it as is held, is data[from, to); `plain` bytes come out of the
 * whole. */
static void decompress(struct dissect *d, struct mysql_state *st, const uint8_t *data, size_t from, size_t to,
		       size_t plain)
{
	bool zstd = to - from >= 4 && load_be32(data + from) == 0x28b52ffd;
	const uint8_t *out = NULL;
	size_t len = 0;
	if (dissect_transform(d, zstd ? TRANSFORM_ZSTD : TRANSFORM_ZLIB, data + from, to - from, &out, &len) < 0)
		len = 0;
	len = min_of(len, plain);
	feed(d, out, len, from - MYSQL_COMPRESSED_HEADER, to);
	if (len < plain && !d->failed && !d->become)
		lose_nested(d, st, plain - len, from - MYSQL_COMPRESSED_HEADER, to);
}

static uint64_t parse_compressed(struct dissect *d, struct mysql_state *st, const uint8_t *data, size_t len, size_t at)
{
	struct mysql_side *side = &st->side[d->side];
	size_t begin = at;

	while (!d->failed && !d->become) {
		if (side->raw) {
			size_t n = min_of((size_t)side->raw, len - at);
			side->raw -= (uint32_t)n;
			feed(d, data + at, n, begin, at + n);
			begin = at += n;
			if (side->raw)
				break;
			continue;
		}
		begin = at;
		if (!side->outer.synced)
			begin = at = seek(d, st, &side->outer, data, len, at, false);
		if (!side->outer.synced || len - at < MYSQL_COMPRESSED_HEADER)
			break;
		size_t payload = mysql_le24(data + at), plain = mysql_le24(data + at + 4),
		       from = at + MYSQL_COMPRESSED_HEADER;
		if (!plain && payload && from == len)
			break;
		if (!plain) {
			side->raw = (uint32_t)payload;
			at = from;
			continue;
		}
		size_t held = min_of(payload, (size_t)COMPRESSED_HELD_MAX);
		if (len - from < held)
			break;
		decompress(d, st, data, from, from + held, plain);
		if (payload > len - from)
			return (uint64_t)from + payload;
		at = from + payload;
	}
	return at;
}

static uint64_t mysql_parse(struct dissect *d, const uint8_t *data, size_t len)
{
	struct mysql_state *st = d->state;
	struct mysql_sync *sync = &st->side[d->side].outer;
	uint64_t at = skip_stale(d, st, sync, len, 0);
	for (;;) {
		uint8_t framing = st->framing;
		at = framing == FRAMING_COMPRESSED ? parse_compressed(d, st, data, len, at)
						   : parse_packets(d, st, data, len, at, false);
		/* the first packets tell how they lie, and the login's end may change it */
		if (at > len || st->framing == framing || d->failed || d->become) {
			sync->held = at < len ? (uint32_t)(len - at) : 0;
			return at;
		}
	}
}

static void mysql_gap(struct dissect *d, uint64_t missing maybe_unused)
{
	struct mysql_state *st = d->state;
	struct mysql_side *side = &st->side[d->side];
	uint8_t seq = side->seq;

	*side = (struct mysql_side){.seq = seq};
	if (d->side == SIDE_CLIENT) {
		/* Small numbers look like commands: nothing weak is believed in the middle of what was lost, but only
		 * when the server has answered it. */
		side->outer.adrift = side->inner.adrift = !st->surplus;
		st->last_tag = 0;
	} else {
		st->phase = PHASE_IDLE;
		st->unanswered = 0;
	}
	if (st->connecting && (!st->capabilities_known || st->compression_due)) {
		/* who knows what was agreed on, and when it began */
		struct mysql_side *other = &st->side[!d->side];
		st->framing = FRAMING_UNKNOWN;
		other->outer.synced = false;
		mysql_sync_hint(&other->outer);
	}
	st->greeted = st->connecting = st->authenticating = false;
}

static const struct dissect_attribute attributes[] = {
    [ATTR_USER] = {"mysql.user", false, "Who logs in"},
    [ATTR_CONNECTION_ID] = {"mysql.connection_id", true, "The server's number of the connection"},
    [ATTR_AUTH_PLUGIN] = {"mysql.auth_plugin", false, "How a login was checked"},
    [ATTR_PROGRAM] = {"mysql.program", false, "The client's program or library, as it calls itself at login"},
    [ATTR_STATEMENT_ID] = {"mysql.statement_id", true, "The server's number of a prepared statement"},
    [ATTR_PARAMETERS] = {"mysql.parameters", false, "Values that a prepared statement was executed with"},
    [ATTR_QUERY_ATTRIBUTES] = {"mysql.query_attributes", false, "Names and values that went with a statement"},
    [ATTR_LOCAL_INFILE] = {"mysql.local_infile", false, "The client's file that the server asked for"},
    [ATTR_ROWS] = {"mysql.rows", true, "Rows of all results"},
    [ATTR_WARNINGS] = {"mysql.warnings", true, "Warnings of all results; absent when none"},
    {0},
};

const struct dissector dissector_mysql = {
    .name = "mysql",
    .title = "MySQL",
    .ports = "3306",
    .pairing = PAIR_IN_ORDER,
    .tcp = true,
    .state_size = sizeof(struct mysql_state),
    .probe = mysql_probe,
    .parse = mysql_parse,
    .gap = mysql_gap,
    .nested = mysql_nested,
    .attributes = attributes,
};
