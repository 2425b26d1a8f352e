/* What the server says: its greeting, results and errors. */
#include "mysql.h"

enum server_status {
	STATUS_MORE_RESULTS = 1 << 3,
	STATUS_CURSOR_EXISTS = 1 << 6,
};

#define PROGRESS 0xffff /* MariaDB: an ERR packet with this code only tells how far a statement is */

/* Errors that blame the server, its limits, or what other clients hold: the statement may succeed when it is tried
 * again or when the server is mended. All others (syntax, names, access, data that do not fit, constraints, a server
 * that only reads) blame the client. The numbers are those of the error references of MySQL, MariaDB and TiDB. */
static const struct range {
	uint16_t from, to;
} server_errors[] = {
    /* clang-format off */
    {1004, 1004}, {1006, 1006}, {1009, 1019}, /* files and directories */
    {1020, 1020},                             /* a record changed meanwhile */
    {1021, 1021}, {1023, 1026}, {1028, 1028}, /* disk full, files, sort aborted */
    {1030, 1030}, {1033, 1035},               /* storage engine, damaged files */
    {1037, 1042},                             /* memory, too many connections, no name for a host */
    {1053, 1053}, {1077, 1081}, {1105, 1105}, /* shutdown, signals, unknown */
    {1114, 1114}, {1119, 1119}, {1126, 1127}, /* table full, stack, libraries */
    {1135, 1135}, {1152, 1152}, {1154, 1161}, /* no thread, aborted connection, network */
    {1180, 1184}, {1188, 1190},               /* commit, rollback, logs; source of replication */
    {1194, 1195}, {1197, 1197},               /* crashed table, transaction larger than its cache */
    {1201, 1203},                             /* replica; too many connections of a user */
    {1205, 1206}, {1213, 1213},               /* locks, deadlock */
    {1218, 1219}, {1236, 1236}, {1257, 1257}, /* source of replication, memory */
    {1296, 1297}, {1317, 1317}, {1429, 1430}, /* storage engine, interrupted, foreign data source */
    {1436, 1436}, {1467, 1467},               /* stack, storage engine */
    {1593, 1595}, {1598, 1598},               /* replica, binary log */
    {1613, 1614}, {1637, 1637}, {1705, 1705}, /* distributed transactions, too many transactions, cache of statements */
    {1712, 1712}, {1812, 1812}, {1815, 1815}, /* damaged index, missing tablespace, internal */
    {1877, 1878},                             /* damaged table, temporary file */
    {1927, 1927}, {1969, 1969},               /* MariaDB: killed, out of time */
    {2000, 2999},                             /* the client library's own, as proxies send them */
    {3024, 3024}, {3058, 3058},               /* out of time, deadlock of user locks */
    {3100, 3101}, {3168, 3169}, {3572, 3572}, /* group replication, not available or killed, lock not to be waited for */
    {4031, 4031},                             /* disconnected for inactivity */
    {9001, 9012},                             /* TiDB: its storage is away or busy */
    /* clang-format on */
};

static enum message_status error_status(unsigned code)
{
	for (size_t i = 0; i < array_size(server_errors); i++)
		if (code >= server_errors[i].from && code <= server_errors[i].to)
			return STATUS_SERVER_ERROR;
	return STATUS_CLIENT_ERROR;
}

static struct mysql_side *server(struct mysql_state *st)
{
	return &st->side[SIDE_SERVER];
}

static void done(struct dissect *d, struct mysql_state *st)
{
	struct message *m = server(st)->message;
	if (st->has_rows)
		mysql_put_number(d, m, ATTR_ROWS, st->rows);
	if (st->warnings)
		mysql_put_number(d, m, ATTR_WARNINGS, st->warnings);
	if (st->has_affected)
		message_set_affected_rows(m, st->affected);
	server(st)->finish = FINISH_MESSAGE;
	st->phase = PHASE_IDLE;
}

static bool is_login(uint32_t tag)
{
	return TAG_COMMAND(tag) == MYSQL_LOGIN || TAG_COMMAND(tag) == COM_CHANGE_USER;
}

/* ERR: code, '#' and SQL state where the client speaks the protocol of 4.1 and the server knows it, message. */
static enum mysql_look error(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	struct message *m = server(st)->message;
	struct cursor c = mysql_cursor(p);
	char text[MYSQL_ANSWER_MAX + 8];
	struct mysql_writer w = {.out = text, .size = sizeof text};

	cursor_skip(&c, 1);
	unsigned code = cursor_le16(&c);
	if (c.bad)
		return LOOK_BAD;
	if (code == PROGRESS)
		return LOOK_DONE;
	if (cursor_left(&c) >= 6 && *c.at == '#') {
		mysql_write(&w, c.at + 1, 5);
		mysql_write(&w, ": ", 2);
		cursor_skip(&c, 6);
	}
	mysql_write(&w, c.at, cursor_left(&c));
	message_set_code(m, (int32_t)code);
	message_set_status(m, error_status(code));
	message_put(d, m, REQUEST_response_exception, text, w.len);
	if (is_login(st->tag))
		st->authenticating = st->connecting = false;
	if (TAG_COMMAND(st->tag) == COM_STMT_PREPARE)
		dissect_forget(d, MYSQL_NOTE(TAG_NUMBER(st->tag), NOTE_PREPARING));
	done(d, st);
	return LOOK_DONE;
}

/* What OK and EOF say. */
static void result_end(struct dissect *d, struct mysql_state *st, unsigned status, unsigned warnings)
{
	st->warnings = (uint16_t)min_of(st->warnings + warnings, 0xffffu);
	if (status & STATUS_MORE_RESULTS) {
		st->phase = PHASE_RESULT;
		return;
	}
	message_set_status(server(st)->message, STATUS_OK);
	if (st->tag & TAG_DATABASE) {
		memcpy(st->database, st->next_database, st->next_database_len);
		st->database_len = st->next_database_len;
	}
	if (is_login(st->tag))
		st->authenticating = st->connecting = false;
	if (TAG_COMMAND(st->tag) == MYSQL_LOGIN && st->compression_due) {
		st->framing = FRAMING_COMPRESSED; /* from the next byte on */
		st->side[0].inner.synced = st->side[1].inner.synced = true;
	}
	done(d, st);
}

/* OK, with 0xfe in front where it ends rows: affected rows, last insert id, status, warnings. */
static enum mysql_look ok(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	struct cursor c = mysql_cursor(p);
	bool ends_rows = cursor_u8(&c) == 0xfe;
	uint64_t affected = mysql_lenenc(&c);
	mysql_lenenc(&c);
	if (c.bad)
		return LOOK_BAD;
	unsigned status = cursor_le16(&c), warnings = cursor_le16(&c); /* may be missing before 4.1: zeros then */
	unsigned command = TAG_COMMAND(st->tag);
	if (!ends_rows &&
	    (!command || command == COM_QUERY || command == COM_STMT_EXECUTE || command == COM_STMT_BULK_EXECUTE)) {
		st->affected += affected;
		st->has_affected = true;
	}
	result_end(d, st, status, warnings);
	return LOOK_DONE;
}

/* EOF, which OK with 0xfe in front has replaced: warnings, status. */
static bool is_eof(const struct mysql_packet *p)
{
	return p->len == 5 || p->len == 1;
}

static unsigned eof_status(const struct mysql_packet *p, unsigned *ret_warnings)
{
	struct cursor c = mysql_cursor(p);
	cursor_skip(&c, 1);
	*ret_warnings = cursor_le16(&c);
	return cursor_le16(&c);
}

static enum mysql_look eof_or_ok(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	unsigned warnings;
	if (!is_eof(p))
		return ok(d, st, p);
	unsigned status = eof_status(p, &warnings);
	result_end(d, st, status, warnings);
	return LOOK_DONE;
}

static enum mysql_eof eof_kind(const struct mysql_state *st)
{
	if (st->eof != EOF_UNKNOWN)
		return st->eof;
	if (st->server_capabilities_known && !(st->server_capabilities & CLIENT_DEPRECATE_EOF))
		return EOF_SENT;
	if (st->capabilities_known)
		return st->capabilities & CLIENT_DEPRECATE_EOF ? EOF_DEPRECATED : EOF_SENT;
	return EOF_UNKNOWN;
}

/* The next group of a prepared statement's definitions, its parameters or columns, or the end. */
static void next_definitions(struct dissect *d, struct mysql_state *st)
{
	st->left = st->columns;
	st->columns = 0;
	if (st->left) {
		st->phase = PHASE_DEFINITIONS;
		return;
	}
	message_set_status(server(st)->message, STATUS_OK);
	done(d, st);
}

/* A group of definitions is complete. */
static void definitions_end(struct dissect *d, struct mysql_state *st)
{
	if (!st->prepared)
		st->phase = PHASE_ROWS_OR_EOF;
	else if (eof_kind(st) == EOF_SENT || (eof_kind(st) == EOF_UNKNOWN && st->columns))
		st->phase = PHASE_PREPARED_EOF;
	else
		next_definitions(d, st);
}

/* Id, number of columns, number of parameters, filler, warnings, and MySQL's mark that no definitions follow. */
static enum mysql_look prepared(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	struct cursor c = mysql_cursor(p);
	const void *data;
	size_t len;

	cursor_skip(&c, 1);
	uint32_t id = cursor_le32(&c);
	uint32_t columns = cursor_le16(&c);
	uint16_t parameters = cursor_le16(&c);
	if (c.bad)
		return LOOK_BAD;
	cursor_skip(&c, 1);
	st->warnings = cursor_le16(&c);
	bool bare = cursor_left(&c) && cursor_u8(&c) == 0;
	st->last_statement = id;
	mysql_put_number(d, server(st)->message, ATTR_STATEMENT_ID, id);
	uint64_t preparing = MYSQL_NOTE(TAG_NUMBER(st->tag), NOTE_PREPARING);
	dissect_forget(d, MYSQL_NOTE(id, NOTE_TYPES));
	if (dissect_recall(d, preparing, &data, &len) && len <= sizeof(struct mysql_prepared) + DISSECT_TEXT_MAX + 1) {
		_Alignas(struct mysql_prepared) char note[sizeof(struct mysql_prepared) + DISSECT_TEXT_MAX + 1];
		memcpy(note, data, len);
		((struct mysql_prepared *)note)->parameters = parameters;
		dissect_forget(d, preparing);
		dissect_remember(d, MYSQL_NOTE(id, NOTE_STATEMENT), note, len);
	} else {
		struct mysql_prepared note = {.parameters = parameters};
		dissect_remember(d, MYSQL_NOTE(id, NOTE_STATEMENT), &note, sizeof note);
	}
	st->prepared = true;
	st->columns = bare ? 0 : columns;
	if (!bare && parameters) {
		st->left = parameters;
		st->phase = PHASE_DEFINITIONS;
	} else {
		next_definitions(d, st);
	}
	return LOOK_DONE;
}

/* The answer to a COM_STMT_PREPARE that we have not seen: as an OK it would have a status of 0 and a text that begins
 * in its middle with a zero. */
static bool is_prepared(const struct mysql_packet *p)
{
	return (p->len == 12 || p->len == 13) && !p->at[0] && !p->at[3] && !p->at[4] && load_le32(p->at + 5) &&
	       !p->at[9];
}

/* The number of columns, with a byte that says whether their definitions follow: in front of it in MySQL (0 or 1),
 * behind it in MariaDB. No result has 0 columns, so the two cannot be mistaken for each other; 1 and 1 mean the same in
 * both. */
static enum mysql_look columns(struct mysql_state *st, const struct mysql_packet *p)
{
	struct cursor c = mysql_cursor(p);
	uint64_t first = mysql_lenenc(&c), count = first;
	bool follow = true;
	if (cursor_left(&c)) {
		uint64_t second = mysql_lenenc(&c);
		bool mysql = first == 0 || (first == 1 && second > 1);
		count = mysql ? second : first;
		follow = mysql ? first : second;
	}
	if (c.bad || cursor_left(&c) || !count || count > UINT16_MAX)
		return LOOK_BAD;
	st->prepared = false;
	st->left = (uint32_t)count;
	st->has_rows = true;
	st->phase = follow ? PHASE_DEFINITIONS : PHASE_ROWS_OR_EOF;
	return LOOK_DONE;
}

/* The first packet of a result. */
static enum mysql_look result(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	if (!p->len)
		return LOOK_BAD;
	switch (p->at[0]) {
	case 0xff:
		return error(d, st, p);
	case 0xfe:
		return p->len < 32 ? eof_or_ok(d, st, p) : LOOK_BAD;
	case 0xfb:
		message_put_attribute(d, server(st)->message, ATTR_LOCAL_INFILE, p->at + 1, p->have - 1);
		st->phase = PHASE_INFILE;
		return LOOK_DONE;
	case 0:
		return p->len >= 3 &&
			       (p->len >= 7 || !st->capabilities_known || !(st->capabilities & CLIENT_PROTOCOL_41))
			   ? ok(d, st, p)
			   : columns(st, p);
	default:
		return columns(st, p);
	}
}

/* A round of authentication; it may end here. */
static enum mysql_look authentication(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	if (!p->len)
		return LOOK_DONE;
	if (p->at[0] == 0xff)
		return error(d, st, p);
	if (p->at[0] == 0)
		return ok(d, st, p);
	if (p->at[0] == 0xfe && p->len > 1) {
		struct cursor c = cursor_make(p->at + 1, p->have - 1);
		struct text plugin = mysql_nul_text(&c);
		message_put_attribute(d, server(st)->message, ATTR_AUTH_PLUGIN, plugin.at, plugin.len);
	}
	st->phase = PHASE_AUTH;
	return LOOK_DONE;
}

static enum mysql_look row(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	uint8_t first = p->len ? p->at[0] : 0;
	if (first == 0xff && p->len >= 3)
		return error(d, st, p);
	if (first == 0xfe && p->len < MYSQL_PACKET_MAX)
		return eof_or_ok(d, st, p);
	st->rows++;
	return LOOK_DONE;
}

static enum mysql_look rows_or_eof(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	unsigned warnings;
	st->phase = PHASE_ROWS;
	if (p->len && p->at[0] == 0xff)
		return error(d, st, p);
	if (!p->len || p->at[0] != 0xfe || !is_eof(p)) {
		st->eof = EOF_DEPRECATED;
		return row(d, st, p);
	}
	st->eof = EOF_SENT;
	unsigned status = eof_status(p, &warnings);
	/* stored procedures set the flag, too, where nobody asked for a cursor */
	if (status & STATUS_CURSOR_EXISTS && st->tag & TAG_CURSOR)
		result_end(d, st, status & ~(unsigned)STATUS_MORE_RESULTS, warnings);
	return LOOK_DONE;
}

static enum mysql_look definition(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	if (p->len && p->at[0] == 0xff)
		return error(d, st, p);
	if (--st->left == 0)
		definitions_end(d, st);
	return LOOK_DONE;
}

static enum mysql_look prepared_eof(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	bool is_end = p->len && p->at[0] == 0xfe && is_eof(p);
	st->eof = is_end ? EOF_SENT : EOF_DEPRECATED;
	next_definitions(d, st);
	return is_end ? LOOK_DONE : definition(d, st, p);
}

/* Definitions in answer to COM_FIELD_LIST, up to EOF. */
static enum mysql_look field(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	if (p->len && p->at[0] == 0xff)
		return error(d, st, p);
	if (p->len && p->at[0] == 0xfe)
		return eof_or_ok(d, st, p);
	return LOOK_DONE;
}

size_t mysql_skip_result(struct mysql_state *st, const uint8_t *data, size_t len, size_t at, bool nested)
{
	uint8_t seq = server(st)->seq, phase = st->phase;
	uint64_t rows = 0;

	while (!st->prepared && len - at > MYSQL_HEADER) {
		const uint8_t *p = data + at;
		size_t size = mysql_le24(p);
		if (MYSQL_HEADER + size > len - at || size == MYSQL_PACKET_MAX || !size ||
		    (p[3] != (uint8_t)(seq + 1) && !nested))
			break;
		uint8_t first = p[MYSQL_HEADER];
		if (phase == PHASE_ROWS) {
			if (first >= 0xfe)
				break;
			rows++;
		} else if (phase == PHASE_DEFINITIONS) {
			if (first == 0xff)
				break;
			if (--st->left == 0)
				phase = PHASE_ROWS_OR_EOF;
		} else if (phase == PHASE_ROWS_OR_EOF && (first < 0xfe || size == 5)) {
			bool is_row = first < 0xfe;
			if (!is_row && (first == 0xff || load_le16(p + MYSQL_HEADER + 3) & STATUS_CURSOR_EXISTS))
				break;
			st->eof = is_row ? EOF_DEPRECATED : EOF_SENT;
			phase = PHASE_ROWS;
			rows += is_row;
		} else {
			break;
		}
		seq = p[3];
		at += MYSQL_HEADER + size;
	}
	server(st)->seq = seq;
	st->phase = phase;
	st->rows += rows;
	return at;
}

/* The first packet of a response. */
static enum mysql_look response(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	struct message *m = server(st)->message;
	uint8_t first = p->len ? p->at[0] : 0;

	if (is_login(st->tag))
		return authentication(d, st, p);
	if (first == 0xff)
		return error(d, st, p);
	switch (TAG_COMMAND(st->tag)) {
	case COM_STATISTICS:
		message_put(d, m, REQUEST_response_result, p->at, p->have);
		message_set_status(m, STATUS_OK);
		done(d, st);
		return LOOK_DONE;
	case COM_FIELD_LIST:
		st->phase = PHASE_FIELDS;
		return field(d, st, p);
	case COM_STMT_FETCH:
		st->has_rows = true;
		st->phase = PHASE_ROWS;
		return row(d, st, p);
	case COM_STMT_PREPARE:
		return first == 0 && p->len >= 9 ? prepared(d, st, p) : result(d, st, p);
	case 0:
		return is_prepared(p) ? prepared(d, st, p) : result(d, st, p);
	case COM_BINLOG_DUMP:
	case COM_BINLOG_DUMP_GTID:
	case COM_CLONE:
		/* The stream may stand for weeks; its first packet says that it does. */
		message_set_status(m, STATUS_OK);
		done(d, st);
		if (first != 0xfe)
			st->phase = PHASE_BINLOG;
		return LOOK_DONE;
	default:
		return result(d, st, p);
	}
}

/* Whether it is known what the next response answers. */
static bool is_request_known(struct dissect *d, const struct mysql_state *st)
{
	const struct message *m = dissect_pending(d, 0);
	return (m && m->tag) || (st->unanswered == 1 && st->last_tag);
}

static void begin(struct dissect *d, struct mysql_state *st, size_t at, bool push)
{
	struct message *m = dissect_begin(d, MESSAGE_RESPONSE, push ? DISSECT_PUSH : 0, at);
	server(st)->message = m;
	server(st)->begun = true;
	st->tag = push ? 0 : m && m->tag ? m->tag : st->unanswered == 1 ? st->last_tag : 0;
	if (!push && !st->unanswered)
		st->surplus = true;
	else if (!push)
		st->unanswered--;
	st->rows = st->affected = 0;
	st->warnings = 0;
	st->has_rows = st->has_affected = st->prepared = false;
}

/* Count of columns, in one byte or two; definitions; rows; EOF. */
size_t mysql_plain_response(struct dissect *d, struct mysql_state *st, const uint8_t *data, size_t len, size_t at)
{
	struct mysql_side *side = server(st);
	if (len - at < MYSQL_HEADER + 2)
		return at;
	const uint8_t *p = data + at;
	if (p[3] != 1 && p[3] != (uint8_t)(st->side[SIDE_CLIENT].seq + 1))
		return at;
	struct mysql_packet first = {.at = p + MYSQL_HEADER, .len = mysql_le24(p), .seq = p[3]};
	first.have = first.len;
	bool plain = (first.len == 1 || first.len == 2) && first.at[0] && first.at[0] < 0xfb;
	const struct message *request = plain ? dissect_pending(d, 0) : NULL;
	unsigned command = request ? TAG_COMMAND(request->tag) : 0;
	if (command != COM_QUERY && command != COM_STMT_EXECUTE)
		return at;
	begin(d, st, at, false);
	if (columns(st, &first) != LOOK_DONE) {
		dissect_fail(d);
		return at;
	}
	side->seq = p[3];
	at = mysql_skip_result(st, data, len, at + MYSQL_HEADER + first.len, false);
	p = data + at;
	if (st->phase != PHASE_ROWS || len - at < MYSQL_HEADER + 5 || mysql_le24(p) != 5 || p[4] != 0xfe ||
	    p[3] != (uint8_t)(side->seq + 1))
		return at;
	side->seq = p[3];
	at += MYSQL_HEADER + 5;
	result_end(d, st, load_le16(p + 7), load_le16(p + 5));
	mysql_packet_passed(d, st, at);
	return at;
}

/* Protocol, version, connection id, 8 bytes of salt, 0, capabilities; character set, status, their upper half. */
static void greeting(struct mysql_state *st, const struct mysql_packet *p)
{
	struct cursor c = mysql_cursor(p);
	cursor_skip(&c, 1);
	struct text version = mysql_nul_text(&c);
	st->connection_id = cursor_le32(&c);
	cursor_skip(&c, 8 + 1);
	st->server_capabilities = cursor_le16(&c);
	st->server_capabilities_known = !c.bad;
	cursor_skip(&c, 1 + 2);
	uint16_t upper = cursor_le16(&c);
	if (!c.bad)
		st->server_capabilities |= (uint32_t)upper << 16;
	if (!st->capabilities_known) {
		st->greeted = st->connecting = true;
		st->side[SIDE_CLIENT].outer.synced = true; /* the client has said nothing yet */
	}
	/* MariaDB hides its version from old replicas behind another one */
	if (version.len > 6 && !memcmp(version.at, "5.5.5-", 6))
		version = text_make(version.at + 6, version.len - 6);
	st->version_len = (uint8_t)min_of((size_t)version.len, sizeof st->version);
	memcpy(st->version, version.at, st->version_len);
}

/* A packet of the response before, whose end we took to be earlier: what its id says, or, where ids say nothing, that
 * it is the EOF behind a prepared statement's last definition. */
static bool is_left_over(const struct mysql_state *st, const struct mysql_packet *p)
{
	if (p->nested)
		return st->prepared && !st->unanswered && p->at[0] == 0xfe && is_eof(p);
	return p->seq != 1 && p->seq != (uint8_t)(st->side[SIDE_CLIENT].seq + 1);
}

/* Between responses. */
static enum mysql_look idle(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	struct mysql_side *side = server(st);
	if (!side->begun) {
		if (!p->len)
			return LOOK_BAD;
		if (!p->have)
			return LOOK_MORE;
		if (p->seq == 0 && p->at[0] == 10) {
			if (!mysql_has(p, MYSQL_ANSWER_MAX))
				return LOOK_MORE;
			greeting(st, p);
			return LOOK_DONE;
		}
		bool push = p->seq == 0 && p->at[0] == 0xff && !p->nested;
		if (!push && is_left_over(st, p)) {
			if (p->at[0] == 0xfe && is_eof(p) && st->prepared)
				st->eof = EOF_SENT; /* by coming it shows that this client has them */
			return LOOK_DONE;
		}
		if (!push && !p->nested && !is_request_known(d, st)) {
			enum mysql_start v = mysql_server_start(p->at - MYSQL_HEADER, p->ahead);
			if (v < START_WEAK)
				return v == START_MORE ? LOOK_MORE : LOOK_ASTRAY;
		}
		begin(d, st, p->offset, push);
	}
	return mysql_has(p, MYSQL_ANSWER_MAX) ? response(d, st, p) : LOOK_MORE;
}

enum mysql_look mysql_server_packet(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	struct mysql_side *side = server(st);
	if (st->phase == PHASE_IDLE)
		return idle(d, st, p);
	if (p->len && !p->have)
		return LOOK_MORE;
	uint8_t first = p->len ? p->at[0] : 0;
	/* rows and definitions are known by their first byte, all else is looked at as a whole */
	bool is_long =
	    st->phase == PHASE_AUTH || st->phase == PHASE_RESULT || st->phase == PHASE_INFILE || first >= 0xfe;
	if (is_long && !mysql_has(p, MYSQL_ANSWER_MAX))
		return LOOK_MORE;
	switch (st->phase) {
	case PHASE_AUTH:
		return authentication(d, st, p);
	case PHASE_RESULT:
	case PHASE_INFILE:
		return result(d, st, p);
	case PHASE_DEFINITIONS:
		return definition(d, st, p);
	case PHASE_ROWS_OR_EOF:
		return rows_or_eof(d, st, p);
	case PHASE_ROWS:
		return row(d, st, p);
	case PHASE_PREPARED_EOF:
		return prepared_eof(d, st, p);
	case PHASE_FIELDS:
		return field(d, st, p);
	default:
		/* events; an error or EOF among them ends the stream */
		if (first == 0xff && !side->begun && p->len >= 3) {
			begin(d, st, p->offset, true);
			return error(d, st, p);
		}
		if (first == 0xfe && p->len < 9)
			st->phase = PHASE_IDLE;
		return LOOK_DONE;
	}
}
