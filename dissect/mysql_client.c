/* What the client says: its login, and commands. */
#include "mysql.h"
#include "sql.h"
#include "trace_context.h"

#define LOGIN_LOOK 4096
#define PARAMETERS_MAX 2048       /* of a statement that are looked at */
#define LONG_DATA_MAX 256         /* … whose value may have gone ahead */
#define LAST_STATEMENT UINT32_MAX /* MariaDB: the statement prepared last */

static const struct text command_names[] = {
#define NAME(command) [COM_##command] = {"COM_" #command, sizeof("COM_" #command) - 1}
    NAME(SLEEP),
    NAME(QUIT),
    NAME(INIT_DB),
    NAME(QUERY),
    NAME(FIELD_LIST),
    NAME(CREATE_DB),
    NAME(DROP_DB),
    NAME(REFRESH),
    NAME(SHUTDOWN),
    NAME(STATISTICS),
    NAME(PROCESS_INFO),
    NAME(CONNECT),
    NAME(PROCESS_KILL),
    NAME(DEBUG),
    NAME(PING),
    NAME(TIME),
    NAME(DELAYED_INSERT),
    NAME(CHANGE_USER),
    NAME(BINLOG_DUMP),
    NAME(TABLE_DUMP),
    NAME(CONNECT_OUT),
    NAME(REGISTER_SLAVE),
    NAME(STMT_PREPARE),
    NAME(STMT_EXECUTE),
    NAME(STMT_SEND_LONG_DATA),
    NAME(STMT_CLOSE),
    NAME(STMT_RESET),
    NAME(SET_OPTION),
    NAME(STMT_FETCH),
    NAME(DAEMON),
    NAME(BINLOG_DUMP_GTID),
    NAME(RESET_CONNECTION),
    NAME(CLONE),
    NAME(STMT_BULK_EXECUTE),
#undef NAME
    [MYSQL_LOGIN] = {"LOGIN", 5},
};

static bool is_unanswered(unsigned command)
{
	return command == COM_QUIT || command == COM_STMT_CLOSE || command == COM_STMT_SEND_LONG_DATA;
}

static struct mysql_side *client(struct mysql_state *st)
{
	return &st->side[SIDE_CLIENT];
}

static void begin(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p, unsigned command)
{
	struct mysql_side *side = client(st);
	struct message *m = side->message = dissect_begin(d, MESSAGE_REQUEST, 0, p->offset);
	side->begun = true;
	side->shown = 0;
	side->seq = p->seq;
	st->surplus = false;
	message_put_constant(d, m, REQUEST_request_type, command_names[command]);
	if (st->version_len)
		message_put(d, m, REQUEST_version, st->version, st->version_len);
	if (st->database_len)
		message_put(d, m, REQUEST_request_domain, st->database, st->database_len);
	if (is_unanswered(command)) {
		dissect_unpaired(d, m);
		return;
	}
	if (!st->side[SIDE_SERVER].outer.synced)
		st->unanswered = 0; /* what was owed before is lost */
	mysql_sync_hint(&st->side[SIDE_SERVER].outer);
	mysql_sync_hint(&st->side[SIDE_SERVER].inner);
	if (st->phase == PHASE_BINLOG)
		st->phase = PHASE_IDLE;
	if (command == COM_STMT_PREPARE)
		st->prepares = (st->prepares + 1) & UINT32_MAX >> TAG_NUMBER_SHIFT;
	st->last_tag = command | st->prepares << TAG_NUMBER_SHIFT;
	if (m)
		m->tag = st->last_tag;
	if (st->unanswered < UINT32_MAX)
		st->unanswered++;
}

static void add_tag(struct mysql_state *st, uint32_t bits)
{
	st->last_tag |= bits;
	if (client(st)->message)
		client(st)->message->tag |= bits;
}

/* The request asks for this database. */
static void set_database(struct dissect *d, struct mysql_state *st, struct text name)
{
	if (!name.len || name.len > sizeof st->next_database)
		return;
	memcpy(st->next_database, name.at, name.len);
	st->next_database_len = (uint8_t)name.len;
	message_put_text(d, client(st)->message, REQUEST_request_domain, name);
	add_tag(st, TAG_DATABASE);
}

static size_t text_max(const struct dissect *d)
{
	return min_of(d->settings->text_max, (uint64_t)DISSECT_TEXT_MAX);
}

static bool is_hidden(const struct dissect *d)
{
	return d->settings->obfuscate >> OBFUSCATE_SQL & 1;
}

static void put_trace(struct dissect *d, struct message *m, struct text traceparent)
{
	struct trace_ids ids;
	if (!traceparent.at || !trace_parse_w3c(traceparent, &ids))
		return;
	message_put_text(d, m, REQUEST_trace_id, ids.trace_id);
	if (ids.span_id.at)
		message_put_text(d, m, REQUEST_span_id, ids.span_id);
}

/* The statement, cut one byte behind the limit, so that what is longer is known to be cut. */
static struct text cut_statement(const struct dissect *d, struct text t)
{
	t.len = (uint32_t)min_of((size_t)t.len, text_max(d) + 1);
	return t;
}

#define ENDPOINT_MAX 256

/* Returns the length of the endpoint, which is written, too. */
static size_t put_statement(struct dissect *d, struct mysql_state *st, struct text t, char endpoint[ENDPOINT_MAX])
{
	struct message *m = client(st)->message;
	bool secret;

	t = cut_statement(d, t);
	size_t n = sql_endpoint(t, endpoint, ENDPOINT_MAX, &secret);
	if (is_hidden(d) || secret) {
		char text[DISSECT_TEXT_MAX + 1];
		message_put(d, m, REQUEST_request_resource, text, sql_hide(t, text, sizeof text));
	} else {
		message_put_text(d, m, REQUEST_request_resource, t);
	}
	put_trace(d, m, sql_find_traceparent(t));
	if (n)
		message_put(d, m, REQUEST_endpoint, endpoint, n);
	return n;
}

/* Puts a statement of which the packet says that there is more, in case that the rest is lost: at lengths that do not
 * depend on how the bytes come in pieces, and not many times. */
static void put_incomplete(struct dissect *d, struct mysql_state *st, struct text t)
{
	struct mysql_side *side = client(st);
	uint32_t step = 16;
	while (step * 2 <= t.len)
		step *= 2;
	if (step + step / 2 <= t.len)
		step += step / 2;
	if (step > t.len || step <= side->shown)
		return;
	side->shown = t.len = step;
	char endpoint[ENDPOINT_MAX];
	put_statement(d, st, t, endpoint);
}

/* ---- attributes and parameters ---- */

struct parameters {
	const uint8_t *nulls;
	uint32_t count, named_from; /* those from named_from on are attributes, not parameters */
	bool bound, named;          /* types are given; names, too */
	struct cursor names;        /* types with their names */
	uint8_t type[2 * PARAMETERS_MAX];
};

/* Bitmap of NULLs, flag, types and names; the cursor stands at the values then. */
static bool read_types(struct parameters *ps, struct cursor *c)
{
	ps->nulls = cursor_take(c, (ps->count + 7) / 8);
	ps->bound = cursor_u8(c) == 1;
	ps->names = *c;
	if (!ps->bound)
		return !c->bad;
	for (uint32_t i = 0; i < ps->count && !c->bad; i++) {
		const uint8_t *type = cursor_take(c, 2);
		if (type && i < PARAMETERS_MAX)
			memcpy(ps->type + 2 * (size_t)i, type, 2);
		if (ps->named)
			mysql_lenenc_text(c);
	}
	return !c->bad;
}

static void put_values(struct dissect *d, struct mysql_state *st, struct parameters *ps, struct cursor *c,
		       const uint8_t *long_data, size_t long_len)
{
	struct message *m = client(st)->message;
	char values[DISSECT_TEXT_MAX + 1], attributes[DISSECT_TEXT_MAX + 1];
	size_t size = text_max(d) + 1;
	struct mysql_writer value = {.out = values, .size = size}, attribute = {.out = attributes, .size = size};
	struct mysql_writer nothing = {.out = values, .size = 0};
	bool hide = is_hidden(d);

	for (uint32_t i = 0; i < min_of(ps->count, (uint32_t)PARAMETERS_MAX); i++) {
		uint16_t type = load_le16(ps->type + 2 * (size_t)i);
		bool is_attribute = i >= ps->named_from, goes_ahead = i / 8 < long_len && long_data[i / 8] >> i % 8 & 1;
		struct mysql_writer *w = is_attribute ? &attribute : &value;
		struct text name = {0}, text;
		if (w->len)
			mysql_write(w, ", ", 2);
		if (ps->named) {
			cursor_skip(&ps->names, 2);
			name = mysql_lenenc_text(&ps->names);
		}
		if (is_attribute) {
			mysql_write(w, name.at, name.len);
			mysql_write(w, "=", 1);
		}
		if (ps->nulls[i / 8] >> i % 8 & 1) {
			mysql_write(w, "NULL", 4);
			continue;
		}
		if (!is_attribute && goes_ahead) {
			mysql_write(w, "<long data>", 11);
			continue;
		}
		if (text_is_lower(name, "traceparent") && mysql_peek_text(c, type, &text))
			put_trace(d, m, text);
		if (hide)
			mysql_write(w, "?", 1);
		if (!mysql_write_value(hide ? &nothing : w, c, type) ||
		    (value.len == size && ps->named_from >= ps->count))
			break;
	}
	if (value.len && !hide)
		message_put_attribute(d, m, ATTR_PARAMETERS, values, value.len);
	if (attribute.len)
		message_put_attribute(d, m, ATTR_QUERY_ATTRIBUTES, attributes, attribute.len);
}

/* COM_QUERY: attributes in front of the statement, where the client said that it sends them; without its login, the
 * count of sets tells, which is always 1, as no statement has that for its second byte. */
static enum mysql_look query(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	struct cursor c = mysql_cursor(p);
	cursor_skip(&c, 1);
	if (!mysql_has(p, 3))
		return LOOK_MORE;
	bool attributes =
	    st->capabilities_known ? st->capabilities & CLIENT_QUERY_ATTRIBUTES : p->have >= 3 && p->at[2] == 1;
	if (attributes) {
		struct parameters ps;
		ps.count = (uint32_t)min_of(mysql_lenenc(&c), (uint64_t)UINT16_MAX);
		ps.named = true;
		ps.named_from = 0;
		mysql_lenenc(&c);
		if (ps.count) {
			bool complete = read_types(&ps, &c) && ps.bound;
			struct cursor values = c, rest = c;
			struct mysql_writer nothing = {.out = NULL, .size = 0};
			for (uint32_t i = 0; complete && i < ps.count; i++)
				if (!(ps.nulls[i / 8] >> i % 8 & 1))
					complete =
					    i < PARAMETERS_MAX &&
					    mysql_write_value(&nothing, &rest, load_le16(ps.type + 2 * (size_t)i));
			if (!complete)
				return mysql_has(p, MYSQL_LOOK_MAX) ? LOOK_DONE : LOOK_MORE;
			c = rest;
			if (!client(st)->shown)
				put_values(d, st, &ps, &values, NULL, 0);
			client(st)->shown = max_of(client(st)->shown, 1u);
		}
	}
	struct text statement = text_make(c.at, cursor_left(&c));
	size_t before = (size_t)(c.at - p->at);
	if (!mysql_has(p, before + text_max(d) + 1)) {
		put_incomplete(d, st, statement);
		return LOOK_MORE;
	}
	char endpoint[ENDPOINT_MAX];
	size_t n = put_statement(d, st, statement, endpoint);
	if (n > 4 && !memcmp(endpoint, "USE ", 4))
		set_database(d, st, text_make(endpoint + 4, n - 4));
	return LOOK_DONE;
}

static enum mysql_look prepare(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	struct text statement = text_make(p->at + 1, p->have - 1);
	if (!mysql_has(p, 1 + text_max(d) + 1)) {
		put_incomplete(d, st, statement);
		return LOOK_MORE;
	}
	char endpoint[ENDPOINT_MAX];
	put_statement(d, st, statement, endpoint);
	_Alignas(struct mysql_prepared) char note[sizeof(struct mysql_prepared) + DISSECT_TEXT_MAX + 1];
	struct mysql_prepared *prepared = (struct mysql_prepared *)note;
	/* an execution may come before the server has told the number of parameters */
	prepared->parameters = (uint16_t)min_of(sql_count_placeholders(statement), (uint32_t)UINT16_MAX);
	statement = cut_statement(d, statement);
	memcpy(prepared->text, statement.at, statement.len);
	dissect_remember(d, MYSQL_NOTE(st->prepares, NOTE_PREPARING), note, sizeof *prepared + statement.len);
	return LOOK_DONE;
}

/* Puts the statement with this id; returns the number of its parameters, -1 where it is not known. */
static int put_prepared(struct dissect *d, struct mysql_state *st, uint32_t id)
{
	struct message *m = client(st)->message;
	const void *data;
	size_t len;
	bool known;
	if (id == LAST_STATEMENT) {
		known = dissect_recall(d, MYSQL_NOTE(st->prepares, NOTE_PREPARING), &data, &len) ||
			dissect_recall(d, MYSQL_NOTE(st->last_statement, NOTE_STATEMENT), &data, &len);
	} else {
		mysql_put_number(d, m, ATTR_STATEMENT_ID, id);
		known = dissect_recall(d, MYSQL_NOTE(id, NOTE_STATEMENT), &data, &len);
	}
	if (!known || len < sizeof(struct mysql_prepared))
		return -1;
	const struct mysql_prepared *prepared = data;
	char endpoint[ENDPOINT_MAX];
	put_statement(d, st, text_make(prepared->text, len - sizeof *prepared), endpoint);
	return prepared->parameters;
}

/* Id, flags of the cursor, count of iterations (1); then, where there are parameters: their number (where the client
 * sends attributes), NULLs, types if they are bound anew, values. */
static enum mysql_look execute(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	struct cursor c = mysql_cursor(p);
	struct parameters ps;
	const void *data = NULL;
	size_t len = 0;

	if (!mysql_has(p, MYSQL_LOOK_MAX))
		return LOOK_MORE;
	cursor_skip(&c, 1);
	uint32_t id = cursor_le32(&c);
	uint8_t flags = cursor_u8(&c);
	cursor_skip(&c, 4);
	if (c.bad)
		return LOOK_DONE;
	if (flags & 7)
		add_tag(st, TAG_CURSOR);
	int parameters = put_prepared(d, st, id);
	bool counted = flags & 8;
	ps.named = st->capabilities_known ? st->capabilities & CLIENT_QUERY_ATTRIBUTES : counted;
	if (parameters <= 0 && !(ps.named && counted))
		return LOOK_DONE;
	ps.count = ps.named ? (uint32_t)min_of(mysql_lenenc(&c), (uint64_t)UINT16_MAX) : (uint32_t)parameters;
	ps.named_from = parameters >= 0 ? (uint32_t)parameters : ps.count;
	if (!ps.count || !read_types(&ps, &c))
		return LOOK_DONE;
	uint32_t typed = min_of(ps.count, (uint32_t)PARAMETERS_MAX);
	if (ps.bound) {
		dissect_remember(d, MYSQL_NOTE(id, NOTE_TYPES), ps.type, 2 * (size_t)typed);
	} else {
		if (!dissect_recall(d, MYSQL_NOTE(id, NOTE_TYPES), &data, &len) || len != 2 * (size_t)typed)
			return LOOK_DONE;
		memcpy(ps.type, data, len);
		ps.named = false;
	}
	if (!dissect_recall(d, MYSQL_NOTE(id, NOTE_LONG_DATA), &data, &len))
		len = 0;
	put_values(d, st, &ps, &c, data, len);
	if (len)
		dissect_forget(d, MYSQL_NOTE(id, NOTE_LONG_DATA));
	return LOOK_DONE;
}

/* MariaDB: id, flags, types if they are bound anew, and rows of values, each behind an indicator. */
static enum mysql_look bulk_execute(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	static const char *const indicators[] = {"", "NULL", "DEFAULT", "IGNORE"};
	struct cursor c = mysql_cursor(p);
	char text[DISSECT_TEXT_MAX + 1];
	struct mysql_writer w = {.out = text, .size = text_max(d) + 1};
	uint8_t types[2 * PARAMETERS_MAX];
	const void *data;
	size_t len;

	if (!mysql_has(p, MYSQL_LOOK_MAX))
		return LOOK_MORE;
	cursor_skip(&c, 1);
	uint32_t id = cursor_le32(&c);
	uint16_t flags = cursor_le16(&c);
	int count = c.bad ? -1 : put_prepared(d, st, id);
	if (count <= 0 || count > PARAMETERS_MAX)
		return LOOK_DONE;
	if (flags & 128) {
		data = cursor_take(&c, 2 * (size_t)count);
		if (!data)
			return LOOK_DONE;
		memcpy(types, data, 2 * (size_t)count);
		dissect_remember(d, MYSQL_NOTE(id, NOTE_TYPES), types, 2 * (size_t)count);
	} else {
		if (!dissect_recall(d, MYSQL_NOTE(id, NOTE_TYPES), &data, &len) || len != 2 * (size_t)count)
			return LOOK_DONE;
		memcpy(types, data, len);
	}
	if (is_hidden(d))
		return LOOK_DONE;
	for (int i = 0; cursor_left(&c) && w.len < w.size; i = (i + 1) % count) {
		if (w.len)
			mysql_write(&w, ", ", 2);
		if (i == 0)
			mysql_write(&w, "(", 1);
		uint8_t indicator = cursor_u8(&c);
		if (indicator >= array_size(indicators))
			break;
		if (indicator)
			mysql_write(&w, indicators[indicator], strlen(indicators[indicator]));
		else if (!mysql_write_value(&w, &c, load_le16(types + 2 * (size_t)i)))
			break;
		if (i == count - 1)
			mysql_write(&w, ")", 1);
	}
	if (w.len)
		message_put_attribute(d, client(st)->message, ATTR_PARAMETERS, text, w.len);
	return LOOK_DONE;
}

/* Id and number of the parameter whose value this is. */
static void long_data(struct dissect *d, struct mysql_state *st, struct cursor c)
{
	uint8_t bitmap[LONG_DATA_MAX / 8] = {0};
	const void *data;
	size_t len;
	uint32_t id = cursor_le32(&c);
	uint16_t parameter = cursor_le16(&c);
	if (c.bad)
		return;
	put_prepared(d, st, id);
	if (parameter >= LONG_DATA_MAX)
		return;
	if (dissect_recall(d, MYSQL_NOTE(id, NOTE_LONG_DATA), &data, &len) && len == sizeof bitmap)
		memcpy(bitmap, data, len);
	bitmap[parameter / 8] |= (uint8_t)(1 << parameter % 8);
	dissect_remember(d, MYSQL_NOTE(id, NOTE_LONG_DATA), bitmap, sizeof bitmap);
}

static void other_statement_command(struct dissect *d, struct mysql_state *st, unsigned command, struct cursor c)
{
	uint32_t id = cursor_le32(&c);
	if (c.bad)
		return;
	put_prepared(d, st, id);
	if (command == COM_STMT_FETCH)
		return;
	dissect_forget(d, MYSQL_NOTE(id, NOTE_LONG_DATA));
	if (command == COM_STMT_CLOSE) {
		dissect_forget(d, MYSQL_NOTE(id, NOTE_STATEMENT));
		dissect_forget(d, MYSQL_NOTE(id, NOTE_TYPES));
	}
}

/* ---- who it is ---- */

static void put_user(struct dissect *d, struct mysql_state *st, struct text user)
{
	message_put_attribute(d, client(st)->message, ATTR_USER, user.at, user.len);
	if (st->connection_id)
		mysql_put_number(d, client(st)->message, ATTR_CONNECTION_ID, st->connection_id);
}

static void put_plugin(struct dissect *d, struct mysql_state *st, struct text plugin)
{
	if (plugin.len)
		message_put_attribute(d, client(st)->message, ATTR_AUTH_PLUGIN, plugin.at, plugin.len);
}

/* Keys and values; the program's name, or that of its library. */
static void connect_attributes(struct dissect *d, struct mysql_state *st, struct cursor *c)
{
	struct text all = mysql_lenenc_text(c), program = {0};
	if (!all.len)
		return;
	struct cursor list = cursor_make(all.at, all.len);
	while (cursor_left(&list)) {
		struct text key = mysql_lenenc_text(&list), value = mysql_lenenc_text(&list);
		if (list.bad)
			break;
		if (text_is_lower(key, "program_name") || (text_is_lower(key, "_client_name") && !program.len))
			program = value;
	}
	if (program.len)
		message_put_attribute(d, client(st)->message, ATTR_PROGRAM, program.at, program.len);
}

static enum mysql_look login(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	struct mysql_side *side = client(st);
	struct cursor c = mysql_cursor(p);

	if (!side->begun) {
		begin(d, st, p, MYSQL_LOGIN);
		st->authenticating = true;
		st->greeted = false;
		st->connecting = true;
		/* the server's greeting is over */
		mysql_sync_hint(&st->side[SIDE_SERVER].outer);
		st->side[SIDE_SERVER].outer.synced = true;
	}
	if (!mysql_has(p, LOGIN_LOOK))
		return LOOK_MORE;
	side->finish = FINISH_MESSAGE;
	uint32_t capabilities = cursor_le16(&c);
	bool is_41 = capabilities & CLIENT_PROTOCOL_41;
	if (is_41) {
		capabilities |= (uint32_t)cursor_le16(&c) << 16;
		cursor_skip(&c, 4 + 1 + 23);
	} else {
		cursor_skip(&c, 3);
	}
	if (capabilities & CLIENT_SSL && !cursor_left(&c)) {
		dissect_unpaired(d, side->message);
		side->finish = FINISH_TLS;
		return LOOK_DONE;
	}
	st->capabilities = st->server_capabilities_known ? capabilities & st->server_capabilities : capabilities;
	st->capabilities_known = true;
	st->compression_due = st->capabilities & (CLIENT_COMPRESS | CLIENT_ZSTD_COMPRESSION);
	put_user(d, st, mysql_nul_text(&c));
	if (!is_41) {
		if (capabilities & CLIENT_CONNECT_WITH_DB) {
			mysql_nul_text(&c);
			set_database(d, st, mysql_nul_text(&c));
		}
		return LOOK_DONE;
	}
	if (capabilities & CLIENT_PLUGIN_AUTH_LENENC_DATA)
		mysql_lenenc_text(&c);
	else if (capabilities & CLIENT_SECURE_CONNECTION)
		cursor_skip(&c, cursor_u8(&c));
	else
		mysql_nul_text(&c);
	if (capabilities & CLIENT_CONNECT_WITH_DB)
		set_database(d, st, mysql_nul_text(&c));
	if (capabilities & CLIENT_PLUGIN_AUTH)
		put_plugin(d, st, mysql_nul_text(&c));
	if (capabilities & CLIENT_CONNECT_ATTRS)
		connect_attributes(d, st, &c);
	return LOOK_DONE;
}

static enum mysql_look change_user(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	struct cursor c = mysql_cursor(p);
	if (!mysql_has(p, LOGIN_LOOK))
		return LOOK_MORE;
	cursor_skip(&c, 1);
	st->authenticating = true;
	put_user(d, st, mysql_nul_text(&c));
	if (!st->capabilities_known || st->capabilities & CLIENT_SECURE_CONNECTION)
		cursor_skip(&c, cursor_u8(&c));
	else
		mysql_nul_text(&c);
	set_database(d, st, mysql_nul_text(&c));
	cursor_skip(&c, 2);
	put_plugin(d, st, mysql_nul_text(&c));
	if (!st->capabilities_known || st->capabilities & CLIENT_CONNECT_ATTRS)
		connect_attributes(d, st, &c);
	return LOOK_DONE;
}

/* ---- commands ---- */

static enum mysql_look body(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p, unsigned command)
{
	struct message *m = client(st)->message;
	struct cursor c = mysql_cursor(p);
	struct text name;
	char number[20];
	struct mysql_writer w = {.out = number, .size = sizeof number};

	cursor_skip(&c, 1);
	switch (command) {
	case COM_QUERY:
		return query(d, st, p);
	case COM_STMT_PREPARE:
		return prepare(d, st, p);
	case COM_STMT_EXECUTE:
		return execute(d, st, p);
	case COM_STMT_BULK_EXECUTE:
		return bulk_execute(d, st, p);
	case COM_CHANGE_USER:
		return change_user(d, st, p);
	default:
		break;
	}
	/* the others are short, but for the data of COM_STMT_SEND_LONG_DATA */
	if (!mysql_has(p, command == COM_STMT_SEND_LONG_DATA ? 7 : 1024))
		return LOOK_MORE;
	switch (command) {
	case COM_STMT_SEND_LONG_DATA:
		long_data(d, st, c);
		break;
	case COM_STMT_CLOSE:
	case COM_STMT_RESET:
	case COM_STMT_FETCH:
		other_statement_command(d, st, command, c);
		break;
	case COM_INIT_DB:
		set_database(d, st, text_make(c.at, cursor_left(&c)));
		break;
	case COM_CREATE_DB:
	case COM_DROP_DB:
		message_put(d, m, REQUEST_request_resource, c.at, cursor_left(&c));
		break;
	case COM_FIELD_LIST:
		message_put_text(d, m, REQUEST_request_resource, mysql_nul_text(&c));
		break;
	case COM_PROCESS_KILL:
		mysql_write_number(&w, cursor_le32(&c), 1);
		message_put(d, m, REQUEST_request_resource, number, w.len);
		break;
	case COM_BINLOG_DUMP:
		cursor_skip(&c, 4 + 2 + 4);
		message_put(d, m, REQUEST_request_resource, c.at, cursor_left(&c));
		break;
	case COM_BINLOG_DUMP_GTID:
		cursor_skip(&c, 2 + 4);
		name.len = cursor_le32(&c);
		name.at = (const char *)cursor_take(&c, name.len);
		if (name.at)
			message_put_text(d, m, REQUEST_request_resource, name);
		break;
	default:
		break;
	}
	return LOOK_DONE;
}

/* A packet that begins no command: the login, what it still needs, or a file that the server asked for. */
static enum mysql_look further_packet(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	if (client(st)->begun)
		return login(d, st, p);
	if (st->authenticating || p->nested || p->seq > 2)
		return LOOK_DONE;
	enum mysql_start v = st->greeted ? START_STRONG : mysql_client_start(p->at - MYSQL_HEADER, p->ahead);
	if (v == START_MORE)
		return LOOK_MORE;
	return v == START_STRONG ? login(d, st, p) : LOOK_DONE;
}

enum mysql_look mysql_client_packet(struct dissect *d, struct mysql_state *st, const struct mysql_packet *p)
{
	struct mysql_side *side = client(st);

	if (p->seq)
		return further_packet(d, st, p);
	if (!p->len)
		return LOOK_DONE;
	if (!p->have)
		return LOOK_MORE;
	unsigned command = p->at[0];
	if (command >= array_size(command_names) || !command_names[command].at)
		return st->phase == PHASE_BINLOG ? LOOK_DONE : LOOK_BAD; /* a replica acknowledges in its own way */
	if (!side->begun)
		begin(d, st, p, command);
	enum mysql_look look = body(d, st, p, command);
	if (look == LOOK_DONE)
		side->finish = FINISH_MESSAGE;
	return look;
}
