/* test_mysql.c - the MySQL and MariaDB protocol.
 *
 * Conversations are written as packets, after MySQL's "Client/Server Protocol" (source documentation) and MariaDB's
 * "Clients & Protocol"; expectations name packets by their number, and the offsets are made of the packets' lengths. */
#include "dissect_harness.h"
#include "mysql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

struct wire_packet {
	char side; /* 'C', 'S'; 0: the end */
	uint8_t seq;
	const void *payload;
	size_t len;
	bool lost; /* in the capture, with all that its side says in a row */
};
#define C(seq, literal)                                                                                                \
	{                                                                                                              \
		'C', seq, literal, sizeof(literal) - 1                                                                 \
	}
#define S(seq, literal)                                                                                                \
	{                                                                                                              \
		'S', seq, literal, sizeof(literal) - 1                                                                 \
	}
#define LOST_C(seq, literal)                                                                                           \
	{                                                                                                              \
		'C', seq, literal, sizeof(literal) - 1, true                                                           \
	}
#define LOST_S(seq, literal)                                                                                           \
	{                                                                                                              \
		'S', seq, literal, sizeof(literal) - 1, true                                                           \
	}

enum packing { PLAIN, ZLIB, ZSTD, UNCOMPRESSED };

#define PACKETS_MAX 48

struct conversation {
	const char *name;
	struct wire_packet packets[PACKETS_MAX];
	const char *expected; /* "[2-4]" stands for the place of packets 2 to 4 */
	struct dissect_settings settings;
	bool midstream, no_gaps;
	enum packing packing;
	unsigned packed_from; /* this packet and those behind it are in the compressed protocol */
	size_t piece; /* bytes of the inner stream in one compressed packet; 0: all that one side says in a row */
};

/* ---- building blocks ---- */

#define ZEROS10 "\0\0\0\0\0\0\0\0\0\0"
/* Capabilities: all but TLS; in upper2: 1 EOF deprecated, 2 optional metadata, 4 zstd, 8 query attributes. */
#define GREETING_OF(lower, upper2)                                                                                     \
	"\012"                                                                                                         \
	"8.0.36\0"                                                                                                     \
	"\52\0\0\0"                                                                                                    \
	"saltsalt\0" lower "\377\2\0\277" upper2 "\25" ZEROS10 "moresaltmore\0"                                        \
	"mysql_native_password"
#define GREETING GREETING_OF("\377\367", "\16") /* EOF packets are sent */
#define GREETING_NO_EOF GREETING_OF("\377\367", "\17")
#define LOGIN_HEAD(lower, upper2) lower "\17" upper2 "\0\0\0\1\377" ZEROS10 ZEROS10 "\0\0\0"
/* With database and plugin, without TLS. */
#define LOGIN_AS(upper2)                                                                                               \
	LOGIN_HEAD("\15\242", upper2)                                                                                  \
	"bob\0"                                                                                                        \
	"\24secretsecretsecretse"                                                                                      \
	"shop\0"                                                                                                       \
	"mysql_native_password"
#define LOGIN LOGIN_AS("\0")
#define LOGGED_IN                                                                                                      \
	"session [1-1] [2-2] version=8.0.36 request_type=LOGIN request_domain=shop mysql.user=bob "                    \
	"mysql.connection_id=42 mysql.auth_plugin=mysql_native_password status=ok\n"

#define OK "\0\0\0\2\0\0\0"
#define OK_ROWS(n) "\0" n "\0\2\0\0\0"
#define OK_MORE(n) "\0" n "\0\12\0\0\0"
#define END "\376\0\0\2\0" /* EOF */
#define END_MORE "\376\0\0\12\0"
#define END_OK "\376\0\0\2\0\0\0" /* OK in its place, where EOF is deprecated */
#define COLUMN "\3def\0\0\0\1a\1a\14\77\0\1\0\0\0\10\201\0\0\0\0"
#define NO_TABLE "\377\172\4#42S02Table 'shop.x' doesn't exist" /* 1146 */

static const struct conversation conversations[] = {
    {
	.name = "greeting, login, a result with EOF packets, and the end",
	.packets = {S(0, GREETING), C(1, LOGIN), S(2, OK), C(0, "\3SELECT a FROM t"), S(1, "\1"), S(2, COLUMN),
		    S(3, END), S(4, "\0011"), S(5, "\373"), S(6, END), C(0, "\1")},
	.expected =
	    "is mysql\n" LOGGED_IN "session [3-3] [4-9] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"SELECT a FROM t\" endpoint=\"SELECT t\" mysql.rows=2 status=ok\n"
	    "request [10-10] version=8.0.36 request_type=COM_QUIT request_domain=shop unpaired\n",
    },
    {
	.name = "EOF deprecated: an empty result, one with a row, one that fails between its rows",
	.packets = {S(0, GREETING_NO_EOF), C(1, LOGIN_AS("\1")), S(2, OK), C(0, "\3SELECT 1"), S(1, "\1"), S(2, COLUMN),
		    S(3, END_OK), C(0, "\3SELECT 2"), S(1, "\1"), S(2, COLUMN), S(3, "\0011"), S(4, END_OK),
		    C(0, "\3SELECT 3"), S(1, "\1"), S(2, COLUMN), S(3, "\0011"),
		    S(4, "\377\45\5#70100Query execution was interrupted")},
	.expected =
	    "is mysql\n" LOGGED_IN "session [3-3] [4-6] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"SELECT 1\" endpoint=SELECT mysql.rows=0 status=ok\n"
	    "session [7-7] [8-11] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"SELECT 2\" endpoint=SELECT mysql.rows=1 status=ok\n"
	    "session [12-12] [13-16] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"SELECT 3\" endpoint=SELECT "
	    "response_exception=\"70100: Query execution was interrupted\" mysql.rows=1 code=1317 "
	    "status=server_error\n",
    },
    {
	.name = "affected rows, warnings, an error",
	.packets = {S(0, GREETING), C(1, LOGIN), S(2, OK), C(0, "\3DELETE FROM t"), S(1, "\0\374\350\3\0\2\0\3\0"),
		    C(0, "\3DELETE FROM x"), S(1, NO_TABLE)},
	.expected =
	    "is mysql\n" LOGGED_IN "session [3-3] [4-4] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"DELETE FROM t\" endpoint=\"DELETE t\" mysql.warnings=3 status=ok "
	    "affected_rows=1000\n"
	    "session [5-5] [6-6] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"DELETE FROM x\" endpoint=\"DELETE x\" "
	    "response_exception=\"42S02: Table 'shop.x' doesn't exist\" code=1146 status=client_error\n",
    },
    {
	.name = "several results: a result, an OK, an error",
	.packets = {S(0, GREETING), C(1, LOGIN), S(2, OK), C(0, "\3SELECT 1; UPDATE t SET a=1; SELECT b"), S(1, "\1"),
		    S(2, COLUMN), S(3, END), S(4, "\0011"), S(5, END_MORE), S(6, OK_MORE("\2")), S(7, NO_TABLE),
		    C(0, "\3CALL p"), S(1, "\1"), S(2, COLUMN), S(3, END_MORE), S(4, "\0011"), S(5, END_MORE),
		    S(6, OK_ROWS("\4"))},
	.expected =
	    "is mysql\n" LOGGED_IN "session [3-3] [4-10] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"SELECT 1; UPDATE t SET a=1; SELECT b\" endpoint=SELECT "
	    "response_exception=\"42S02: Table 'shop.x' doesn't exist\" mysql.rows=1 code=1146 "
	    "status=client_error affected_rows=2\n"
	    "session [11-11] [12-17] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"CALL p\" endpoint=\"CALL p\" mysql.rows=1 status=ok affected_rows=4\n",
    },
    {
	.name = "a login that fails",
	.packets = {S(0, GREETING), C(1, LOGIN), S(2, "\377\25\4#28000Access denied for user 'bob'")},
	.expected = "is mysql\n"
		    "session [1-1] [2-2] version=8.0.36 request_type=LOGIN request_domain=shop "
		    "response_exception=\"28000: Access denied for user 'bob'\" mysql.user=bob "
		    "mysql.connection_id=42 mysql.auth_plugin=mysql_native_password code=1045 status=client_error\n",
    },
    {
	.name = "a login with rounds: switch of the plugin, fast path of caching_sha2_password fails, public key",
	.packets = {S(0, GREETING), C(1, LOGIN),
		    S(2, "\376"
			 "caching_sha2_password\0saltsaltsaltsaltsalt\0"),
		    C(3, "scramble-scramble-scramble-scram"), S(4, "\1\4"), C(5, "\2"), S(6, "\1-----BEGIN PUBLIC KEY"),
		    C(7, "encrypted password"), S(8, OK), C(0, "\16"), S(1, OK)},
	.expected = "is mysql\n"
		    "session [1-1] [2-8] version=8.0.36 request_type=LOGIN request_domain=shop mysql.user=bob "
		    "mysql.connection_id=42 mysql.auth_plugin=caching_sha2_password status=ok\n"
		    "session [9-9] [10-10] version=8.0.36 request_type=COM_PING request_domain=shop status=ok\n",
    },
    {
	.name = "login attributes, length-encoded authentication data, no database",
	.packets = {S(0, GREETING),
		    C(1, "\5\242\77\0\0\0\0\1\377" ZEROS10 ZEROS10 "\0\0\0eve\0\3abcmysql_native_password\0"
			 "\47\14_client_name\10libmysql\14program_name\3app"),
		    S(2, OK)},
	.expected = "is mysql\n"
		    "session [1-1] [2-2] version=8.0.36 request_type=LOGIN mysql.user=eve mysql.connection_id=42 "
		    "mysql.auth_plugin=mysql_native_password mysql.program=app status=ok\n",
    },
    {
	.name = "a login of the time before 4.1",
	.packets = {S(0, "\0123.23.58\0\7\0\0\0saltsalt\0\54\0\10\2\0" ZEROS10 "\0\0\0"),
		    C(1, "\15\44\0\0\0old\0GDSCQYR_\0db"), S(2, "\0\0\0"), C(0, "\3SELECT 1"),
		    S(1, "\377\50\4You have an error")},
	.expected = "is mysql\n"
		    "session [1-1] [2-2] version=3.23.58 request_type=LOGIN request_domain=db mysql.user=old "
		    "mysql.connection_id=7 status=ok\n"
		    "session [3-3] [4-4] version=3.23.58 request_type=COM_QUERY request_domain=db "
		    "request_resource=\"SELECT 1\" endpoint=SELECT response_exception=\"You have an error\" code=1064 "
		    "status=client_error\n",
    },
    {
	.name = "an error in place of the greeting",
	.packets = {S(0, "\377\20\4Too many connections")},
	.expected =
	    "is mysql\n"
	    "response [0-0] response_exception=\"Too many connections\" code=1040 status=server_error unpaired\n",
    },
    {
	.name = "an error that answers nothing",
	.packets = {S(0, GREETING), C(1, LOGIN), S(2, OK),
		    S(0, "\377\277\17#HY000The client was disconnected by the server because of inactivity.")},
	.expected = "is mysql\n" LOGGED_IN
		    "response [3-3] response_exception=\"HY000: The client was disconnected by the server because of "
		    "inactivity.\" code=4031 status=server_error unpaired\n",
    },
    {
	.name = "the database: asked for, changed, refused, used",
	.packets = {S(0, GREETING), C(1, LOGIN), S(2, OK), C(0, "\2other"), S(1, OK), C(0, "\16"), S(1, OK),
		    C(0, "\2none"), S(1, "\377\31\4#42000Unknown database 'none'"), C(0, "\16"), S(1, OK),
		    C(0, "\3use `third`"), S(1, OK), C(0, "\16"), S(1, OK)},
	.expected = "is mysql\n" LOGGED_IN
		    "session [3-3] [4-4] version=8.0.36 request_type=COM_INIT_DB request_domain=other status=ok\n"
		    "session [5-5] [6-6] version=8.0.36 request_type=COM_PING request_domain=other status=ok\n"
		    "session [7-7] [8-8] version=8.0.36 request_type=COM_INIT_DB request_domain=none "
		    "response_exception=\"42000: Unknown database 'none'\" code=1049 status=client_error\n"
		    "session [9-9] [10-10] version=8.0.36 request_type=COM_PING request_domain=other status=ok\n"
		    "session [11-11] [12-12] version=8.0.36 request_type=COM_QUERY request_domain=third "
		    "request_resource=\"use `third`\" endpoint=\"USE third\" status=ok affected_rows=0\n"
		    "session [13-13] [14-14] version=8.0.36 request_type=COM_PING request_domain=third status=ok\n",
    },
    {
	.name = "another user: refused after a round, then let in",
	.packets = {S(0, GREETING), C(1, LOGIN), S(2, OK), C(0, "\21eve\0\0db2\0\41\0mysql_native_password\0"),
		    S(1, "\376mysql_native_password\0saltsaltsaltsaltsalt\0"), C(2, "scramblescramblescra"),
		    S(3, "\377\25\4#28000Access denied"), C(0, "\21eve\0\3abcdb2\0\41\0"), S(1, OK), C(0, "\16"),
		    S(1, OK)},
	.expected =
	    "is mysql\n" LOGGED_IN "session [3-3] [4-6] version=8.0.36 request_type=COM_CHANGE_USER request_domain=db2 "
	    "response_exception=\"28000: Access denied\" mysql.user=eve mysql.connection_id=42 "
	    "mysql.auth_plugin=mysql_native_password code=1045 status=client_error\n"
	    "session [7-7] [8-8] version=8.0.36 request_type=COM_CHANGE_USER request_domain=db2 mysql.user=eve "
	    "mysql.connection_id=42 status=ok\n"
	    "session [9-9] [10-10] version=8.0.36 request_type=COM_PING request_domain=db2 status=ok\n",
    },
    {
	.name = "TLS from the login on",
	.packets = {S(0, GREETING_OF("\377\377", "\16")), C(1, LOGIN_HEAD("\15\252", "\0"))},
	.expected = "is mysql\nbecomes tls\nrequest [1-1] version=8.0.36 request_type=LOGIN unpaired\n",
    },
    {
	.name = "a prepared statement: types bound once, values of many types, closed",
	.packets = {S(0, GREETING), C(1, LOGIN), S(2, OK), C(0, "\26INSERT INTO t VALUES (?,?,?,?)"),
		    S(1, "\0\5\0\0\0\0\0\4\0\0\0\0"), S(2, COLUMN), S(3, COLUMN), S(4, COLUMN), S(5, COLUMN), S(6, END),
		    C(0,
		      "\27\5\0\0\0\0\1\0\0\0\10\1\3\0\10\200\5\0\376\0\377\377\377\377\377\377\377\377\377\377\377\377"
		      "\0\0\0\0\0\0\370\77"),
		    S(1, OK_ROWS("\1")),
		    C(0, "\27\5\0\0\0\0\1\0\0\0\0\0\7\0\0\0\10\0\0\0\0\0\0\0\0\0\0\0\0\0\340\277\4it's"),
		    S(1, OK_ROWS("\1")), C(0, "\32\5\0\0\0"), S(1, OK), C(0, "\31\5\0\0\0"),
		    C(0, "\27\5\0\0\0\0\1\0\0\0"), S(1, "\377\333\4#HY000Unknown prepared statement handler")},
	.expected =
	    "is mysql\n" LOGGED_IN
	    "session [3-3] [4-9] version=8.0.36 request_type=COM_STMT_PREPARE request_domain=shop "
	    "request_resource=\"INSERT INTO t VALUES (?,?,?,?)\" endpoint=\"INSERT t\" mysql.statement_id=5 status=ok\n"
	    "session [10-10] [11-11] version=8.0.36 request_type=COM_STMT_EXECUTE request_domain=shop "
	    "request_resource=\"INSERT INTO t VALUES (?,?,?,?)\" endpoint=\"INSERT t\" mysql.statement_id=5 "
	    "mysql.parameters=\"-1, 18446744073709551615, 1.5, NULL\" status=ok affected_rows=1\n"
	    "session [12-12] [13-13] version=8.0.36 request_type=COM_STMT_EXECUTE request_domain=shop "
	    "request_resource=\"INSERT INTO t VALUES (?,?,?,?)\" endpoint=\"INSERT t\" mysql.statement_id=5 "
	    "mysql.parameters=\"7, 8, -0.5, 'it''s'\" status=ok affected_rows=1\n"
	    "session [14-14] [15-15] version=8.0.36 request_type=COM_STMT_RESET request_domain=shop "
	    "request_resource=\"INSERT INTO t VALUES (?,?,?,?)\" endpoint=\"INSERT t\" mysql.statement_id=5 status=ok\n"
	    "request [16-16] version=8.0.36 request_type=COM_STMT_CLOSE request_domain=shop "
	    "request_resource=\"INSERT INTO t VALUES (?,?,?,?)\" endpoint=\"INSERT t\" mysql.statement_id=5 unpaired\n"
	    "session [17-17] [18-18] version=8.0.36 request_type=COM_STMT_EXECUTE request_domain=shop "
	    "response_exception=\"HY000: Unknown prepared statement handler\" mysql.statement_id=5 code=1243 "
	    "status=client_error\n",
    },
    {
	.name = "a prepared query: parameters and columns, binary rows, long data in advance",
	.packets = {S(0, GREETING_NO_EOF), C(1, LOGIN_AS("\1")), S(2, OK), C(0, "\26SELECT a FROM t WHERE b=? AND c=?"),
		    S(1, "\0\1\0\0\0\1\0\2\0\0\0\0"), S(2, COLUMN), S(3, COLUMN), S(4, COLUMN),
		    C(0, "\30\1\0\0\0\1\0some text"), C(0, "\30\1\0\0\0\1\0and more"),
		    C(0, "\27\1\0\0\0\0\1\0\0\0\0\1\2\0\376\0\5\0"), S(1, "\1"), S(2, COLUMN), S(3, "\0\0\7\0\0\0"),
		    S(4, "\0\4"), S(5, END_OK)},
	.expected = "is mysql\n" LOGGED_IN
		    "session [3-3] [4-7] version=8.0.36 request_type=COM_STMT_PREPARE request_domain=shop "
		    "request_resource=\"SELECT a FROM t WHERE b=? AND c=?\" endpoint=\"SELECT t\" mysql.statement_id=1 "
		    "status=ok\n"
		    "request [8-8] version=8.0.36 request_type=COM_STMT_SEND_LONG_DATA request_domain=shop "
		    "request_resource=\"SELECT a FROM t WHERE b=? AND c=?\" endpoint=\"SELECT t\" mysql.statement_id=1 "
		    "unpaired\n"
		    "request [9-9] version=8.0.36 request_type=COM_STMT_SEND_LONG_DATA request_domain=shop "
		    "request_resource=\"SELECT a FROM t WHERE b=? AND c=?\" endpoint=\"SELECT t\" mysql.statement_id=1 "
		    "unpaired\n"
		    "session [10-10] [11-15] version=8.0.36 request_type=COM_STMT_EXECUTE request_domain=shop "
		    "request_resource=\"SELECT a FROM t WHERE b=? AND c=?\" endpoint=\"SELECT t\" mysql.statement_id=1 "
		    "mysql.parameters=\"5, <long data>\" mysql.rows=2 status=ok\n",
    },
    {
	.name = "a cursor: rows come with COM_STMT_FETCH",
	.packets = {S(0, GREETING), C(1, LOGIN), S(2, OK), C(0, "\26SELECT a"), S(1, "\0\1\0\0\0\1\0\0\0\0\0\0"),
		    S(2, COLUMN), S(3, END), C(0, "\27\1\0\0\0\1\1\0\0\0"), S(1, "\1"), S(2, COLUMN),
		    S(3, "\376\0\0\102\0"), C(0, "\34\1\0\0\0\2\0\0\0"), S(1, "\0\0\1\0\0\0"), S(2, "\0\0\2\0\0\0"),
		    S(3, "\376\0\0\102\0"), C(0, "\34\1\0\0\0\2\0\0\0"), S(1, "\376\0\0\202\0"), C(0, "\16"), S(1, OK)},
	.expected = "is mysql\n" LOGGED_IN
		    "session [3-3] [4-6] version=8.0.36 request_type=COM_STMT_PREPARE request_domain=shop "
		    "request_resource=\"SELECT a\" endpoint=SELECT mysql.statement_id=1 status=ok\n"
		    "session [7-7] [8-10] version=8.0.36 request_type=COM_STMT_EXECUTE request_domain=shop "
		    "request_resource=\"SELECT a\" endpoint=SELECT mysql.statement_id=1 mysql.rows=0 status=ok\n"
		    "session [11-11] [12-14] version=8.0.36 request_type=COM_STMT_FETCH request_domain=shop "
		    "request_resource=\"SELECT a\" endpoint=SELECT mysql.statement_id=1 mysql.rows=2 status=ok\n"
		    "session [15-15] [16-16] version=8.0.36 request_type=COM_STMT_FETCH request_domain=shop "
		    "request_resource=\"SELECT a\" endpoint=SELECT mysql.statement_id=1 mysql.rows=0 status=ok\n"
		    "session [17-17] [18-18] version=8.0.36 request_type=COM_PING request_domain=shop status=ok\n",
    },
    {
	.name = "LOAD DATA LOCAL INFILE",
	.packets = {S(0, GREETING), C(1, LOGIN), S(2, OK), C(0, "\3LOAD DATA LOCAL INFILE 'f.csv' INTO TABLE t"),
		    S(1, "\373"
			 "f.csv"),
		    C(2, "1,2,3\n"), C(3, "4,5,6\n"), C(4, ""), S(5, OK_ROWS("\2")), C(0, "\16"), S(1, OK)},
	.expected =
	    "is mysql\n" LOGGED_IN "session [3-3] [4-8] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"LOAD DATA LOCAL INFILE 'f.csv' INTO TABLE t\" endpoint=\"LOAD t\" "
	    "mysql.local_infile=f.csv status=ok affected_rows=2\n"
	    "session [9-9] [10-10] version=8.0.36 request_type=COM_PING request_domain=shop status=ok\n",
    },
    {
	.name = "query attributes, with and without a statement's parameters",
	.packets = {S(0, GREETING), C(1, LOGIN_AS("\10")), S(2, OK), C(0, "\3\0\1SELECT 1"), S(1, OK),
		    C(0, "\3\2\1\0\1\376\0\13traceparent\10\0\1n"
			 "\06700-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
			 "\5\0\0\0\0\0\0\0SELECT 2"),
		    S(1, OK), C(0, "\26SELECT ?"), S(1, "\0\1\0\0\0\0\0\1\0\0\0\0"), S(2, COLUMN), S(3, END),
		    C(0, "\27\1\0\0\0\10\1\0\0\0\2\0\1\1\0\0\1\0\1k\7\11"), S(1, OK)},
	.expected =
	    "is mysql\n" LOGGED_IN "session [3-3] [4-4] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"SELECT 1\" endpoint=SELECT status=ok affected_rows=0\n"
	    "session [5-5] [6-6] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"SELECT 2\" endpoint=SELECT trace_id=4bf92f3577b34da6a3ce929d0e0e4736 "
	    "span_id=00f067aa0ba902b7 mysql.query_attributes=\"traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-"
	    "00f067aa0ba902b7-01', n=5\" status=ok affected_rows=0\n"
	    "session [7-7] [8-10] version=8.0.36 request_type=COM_STMT_PREPARE request_domain=shop "
	    "request_resource=\"SELECT ?\" endpoint=SELECT mysql.statement_id=1 status=ok\n"
	    "session [11-11] [12-12] version=8.0.36 request_type=COM_STMT_EXECUTE request_domain=shop "
	    "request_resource=\"SELECT ?\" endpoint=SELECT mysql.statement_id=1 mysql.parameters=7 "
	    "mysql.query_attributes=k=9 status=ok affected_rows=0\n",
    },
    {
	.name = "other commands",
	.packets = {S(0, GREETING),
		    C(1, LOGIN),
		    S(2, OK),
		    C(0, "\11"),
		    S(1, "Uptime: 5  Threads: 1"),
		    C(0, "\4t\0%"),
		    S(1, COLUMN "\0"),
		    S(2, COLUMN "\0"),
		    S(3, END),
		    C(0, "\12"),
		    S(1, "\1"),
		    S(2, COLUMN),
		    S(3, END),
		    S(4, "\0011"),
		    S(5, END),
		    C(0, "\33\1\0"),
		    S(1, END),
		    C(0, "\37"),
		    S(1, OK),
		    C(0, "\14\7\0\0\0"),
		    S(1, "\377\106\4#HY000Unknown thread id: 7"),
		    C(0, "\5new"),
		    S(1, OK_ROWS("\1")),
		    C(0, "\7\1"),
		    S(1, OK)},
	.expected =
	    "is mysql\n" LOGGED_IN "session [3-3] [4-4] version=8.0.36 request_type=COM_STATISTICS request_domain=shop "
	    "response_result=\"Uptime: 5  Threads: 1\" status=ok\n"
	    "session [5-5] [6-8] version=8.0.36 request_type=COM_FIELD_LIST request_domain=shop request_resource=t "
	    "status=ok\n"
	    "session [9-9] [10-14] version=8.0.36 request_type=COM_PROCESS_INFO request_domain=shop mysql.rows=1 "
	    "status=ok\n"
	    "session [15-15] [16-16] version=8.0.36 request_type=COM_SET_OPTION request_domain=shop status=ok\n"
	    "session [17-17] [18-18] version=8.0.36 request_type=COM_RESET_CONNECTION request_domain=shop status=ok\n"
	    "session [19-19] [20-20] version=8.0.36 request_type=COM_PROCESS_KILL request_domain=shop "
	    "request_resource=7 "
	    "response_exception=\"HY000: Unknown thread id: 7\" code=1094 status=client_error\n"
	    "session [21-21] [22-22] version=8.0.36 request_type=COM_CREATE_DB request_domain=shop "
	    "request_resource=new "
	    "status=ok\n"
	    "session [23-23] [24-24] version=8.0.36 request_type=COM_REFRESH request_domain=shop status=ok\n",
    },
    {
	.name = "a replica: the stream is named, then skipped",
	.packets = {S(0, GREETING), C(1, LOGIN), S(2, OK), C(0, "\25\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), S(1, OK),
		    C(0, "\22\4\0\0\0\0\0\2\0\0\0binlog.000001"), S(1, "\0event one"), S(2, "\0event two"),
		    C(0, "\357\4\0\0\0\0\0\0\0binlog.000001"), S(3, "\0event three"),
		    S(4, "\377\324\4#HY000Could not find first log file name")},
	.expected = "is mysql\n" LOGGED_IN
		    "session [3-3] [4-4] version=8.0.36 request_type=COM_REGISTER_SLAVE request_domain=shop status=ok\n"
		    "session [5-5] [6-6] version=8.0.36 request_type=COM_BINLOG_DUMP request_domain=shop "
		    "request_resource=binlog.000001 status=ok\n"
		    "response [10-10] response_exception=\"HY000: Could not find first log file name\" code=1236 "
		    "status=server_error unpaired\n",
    },
    {
	.name = "metadata left out: MySQL writes the mark in front of the number of columns, MariaDB behind it",
	.packets = {S(0, GREETING_NO_EOF),
		    C(1, LOGIN_AS("\1")),
		    S(2, OK),
		    C(0, "\3SELECT 1"),
		    S(1, "\0\2"),
		    S(2, "\0011\0012"),
		    S(3, END_OK),
		    C(0, "\3SELECT 2"),
		    S(1, "\1\2"),
		    S(2, COLUMN),
		    S(3, COLUMN),
		    S(4, "\0011\0012"),
		    S(5, END_OK),
		    C(0, "\3SELECT 3"),
		    S(1, "\2\0"),
		    S(2, "\0011\0012"),
		    S(3, END_OK),
		    C(0, "\3SELECT 4"),
		    S(1, "\2\1"),
		    S(2, COLUMN),
		    S(3, COLUMN),
		    S(4, "\0011\0012"),
		    S(5, END_OK),
		    C(0, "\26SELECT ?"),
		    S(1, "\0\1\0\0\0\1\0\1\0\0\0\0\0"),
		    C(0, "\16"),
		    S(1, OK)},
	.expected =
	    "is mysql\n" LOGGED_IN "session [3-3] [4-6] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"SELECT 1\" endpoint=SELECT mysql.rows=1 status=ok\n"
	    "session [7-7] [8-12] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"SELECT 2\" endpoint=SELECT mysql.rows=1 status=ok\n"
	    "session [13-13] [14-16] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"SELECT 3\" endpoint=SELECT mysql.rows=1 status=ok\n"
	    "session [17-17] [18-22] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"SELECT 4\" endpoint=SELECT mysql.rows=1 status=ok\n"
	    "session [23-23] [24-24] version=8.0.36 request_type=COM_STMT_PREPARE request_domain=shop "
	    "request_resource=\"SELECT ?\" endpoint=SELECT mysql.statement_id=1 status=ok\n"
	    "session [25-25] [26-26] version=8.0.36 request_type=COM_PING request_domain=shop status=ok\n",
    },
    {
	.name = "MariaDB: progress reports, bulk execution, execution in one go with the preparation",
	/* when pairing is lost, nobody knows which of several commands a response answers, and how it goes on */
	.no_gaps = true,
	.packets =
	    {S(0,
	       "\012"
	       "5.5.5-10.11.6-MariaDB\0\1\0\0\0saltsalt\0\376\367\10\2\0\377\201\25\0\0\0\0\0\0\17\0\0\0moresaltmore\0"
	       "mysql_native_password"),
	     C(1, LOGIN), S(2, OK), C(0, "\3ALTER TABLE t ADD b INT"), S(1, "\377\377\377\1\2\20\47\0\10copy tmp"),
	     S(2, "\377\377\377\2\2\0\0\0\4done"), S(3, OK), C(0, "\26INSERT INTO t VALUES (?,?)"),
	     C(0, "\27\377\377\377\377\0\1\0\0\0\0\1\1\0\1\0\1\2"), S(1, "\0\1\0\0\0\0\0\2\0\0\0\0"), S(2, COLUMN),
	     S(3, COLUMN), S(4, END), S(1, OK_ROWS("\1")), C(0, "\372\1\0\0\0\200\0\1\0\376\0\0\3\0\1x\0\4\1\2\0\1y"),
	     S(1, OK_ROWS("\3"))},
	.expected =
	    "is mysql\n"
	    "session [1-1] [2-2] version=10.11.6-MariaDB request_type=LOGIN request_domain=shop mysql.user=bob "
	    "mysql.connection_id=1 mysql.auth_plugin=mysql_native_password status=ok\n"
	    "session [3-3] [4-6] version=10.11.6-MariaDB request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"ALTER TABLE t ADD b INT\" endpoint=\"ALTER TABLE t\" status=ok affected_rows=0\n"
	    "session [7-7] [9-12] version=10.11.6-MariaDB request_type=COM_STMT_PREPARE request_domain=shop "
	    "request_resource=\"INSERT INTO t VALUES (?,?)\" endpoint=\"INSERT t\" mysql.statement_id=1 status=ok\n"
	    "session [8-8] [13-13] version=10.11.6-MariaDB request_type=COM_STMT_EXECUTE request_domain=shop "
	    "request_resource=\"INSERT INTO t VALUES (?,?)\" endpoint=\"INSERT t\" mysql.parameters=\"1, 2\" "
	    "status=ok affected_rows=1\n"
	    "session [14-14] [15-15] version=10.11.6-MariaDB request_type=COM_STMT_BULK_EXECUTE request_domain=shop "
	    "request_resource=\"INSERT INTO t VALUES (?,?)\" endpoint=\"INSERT t\" mysql.statement_id=1 "
	    "mysql.parameters=\"(3, 'x'), (4, NULL), (DEFAULT, 'y')\" status=ok affected_rows=3\n",
    },
    {
	.name = "pipelined commands",
	.packets = {S(0, GREETING), C(1, LOGIN), S(2, OK), C(0, "\3SELECT 1"), C(0, "\11"), C(0, "\3DELETE FROM x"),
		    C(0, "\16"), S(1, "\1"), S(2, COLUMN), S(3, END), S(4, END), S(1, "Uptime: 6"), S(1, NO_TABLE),
		    S(1, OK)},
	.expected =
	    "is mysql\n" LOGGED_IN "session [3-3] [7-10] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"SELECT 1\" endpoint=SELECT mysql.rows=0 status=ok\n"
	    "session [4-4] [11-11] version=8.0.36 request_type=COM_STATISTICS request_domain=shop "
	    "response_result=\"Uptime: 6\" status=ok\n"
	    "session [5-5] [12-12] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"DELETE FROM x\" endpoint=\"DELETE x\" "
	    "response_exception=\"42S02: Table 'shop.x' doesn't exist\" code=1146 status=client_error\n"
	    "session [6-6] [13-13] version=8.0.36 request_type=COM_PING request_domain=shop status=ok\n",
    },
    {
	.name = "hidden: literals, parameters, attributes",
	.settings = {.obfuscate = 1 << OBFUSCATE_SQL},
	.packets = {S(0, GREETING), C(1, LOGIN_AS("\10")), S(2, OK),
		    C(0, "\3\1\1\0\1\376\0\1k\1vSELECT 'x' FROM t WHERE a=5"), S(1, OK), C(0, "\26SELECT ?, 5"),
		    S(1, "\0\1\0\0\0\0\0\1\0\0\0\0"), S(2, COLUMN), S(3, END),
		    C(0, "\27\1\0\0\0\0\1\0\0\0\1\0\1\1\0\0\7"), S(1, OK)},
	.expected =
	    "is mysql\n" LOGGED_IN "session [3-3] [4-4] version=8.0.36 request_type=COM_QUERY request_domain=shop "
	    "request_resource=\"SELECT ? FROM t WHERE a=?\" endpoint=\"SELECT t\" mysql.query_attributes=k=? status=ok "
	    "affected_rows=0\n"
	    "session [5-5] [6-8] version=8.0.36 request_type=COM_STMT_PREPARE request_domain=shop "
	    "request_resource=\"SELECT ?, ?\" endpoint=SELECT mysql.statement_id=1 status=ok\n"
	    "session [9-9] [10-10] version=8.0.36 request_type=COM_STMT_EXECUTE request_domain=shop "
	    "request_resource=\"SELECT ?, ?\" endpoint=SELECT mysql.statement_id=1 status=ok affected_rows=0\n",
    },
    {
	.name = "a password in a statement is hidden in any case; what is too long is cut",
	.settings = {.text_max = 20},
	.packets = {S(0, GREETING), C(1, LOGIN), S(2, OK), C(0, "\3SET PASSWORD = 'x'"), S(1, OK),
		    C(0, "\3SELECT 'something that is longer'"), S(1, OK)},
	.expected = "is mysql\n"
		    "session [1-1] [2-2] version=8.0.36 request_type=LOGIN request_domain=shop mysql.user=bob "
		    "mysql.connection_id=42 mysql.auth_plugin=mysql_native_passwor status=ok\n"
		    "session [3-3] [4-4] version=8.0.36 request_type=COM_QUERY request_domain=shop "
		    "request_resource=\"SET PASSWORD = ?\" endpoint=SET status=ok affected_rows=0\n"
		    "session [5-5] [6-6] version=8.0.36 request_type=COM_QUERY request_domain=shop "
		    "request_resource=\"SELECT 'something th\" endpoint=SELECT status=ok affected_rows=0\n",
    },
    {
	.name = "picked up at a query: EOF packets and attributes are told by their looks",
	.midstream = true,
	.packets = {C(0, "\3SELECT a FROM t"), S(1, "\1"), S(2, COLUMN), S(3, END), S(4, "\0011"), S(5, END),
		    C(0, "\3\0\1SELECT b"), S(1, "\1"), S(2, COLUMN), S(3, END_OK), C(0, "\26SELECT ?"),
		    S(1, "\0\1\0\0\0\1\0\1\0\0\0\0"), S(2, COLUMN), S(3, COLUMN),
		    C(0, "\27\1\0\0\0\0\1\0\0\0\0\1\2\0\5\0"), S(1, OK)},
	.expected = "is mysql\n"
		    "request [0-0] request_type=COM_QUERY request_resource=\"SELECT a FROM t\" endpoint=\"SELECT t\"\n"
		    "response [1-5] mysql.rows=1 status=ok\n"
		    "request [6-6] request_type=COM_QUERY request_resource=\"SELECT b\" endpoint=SELECT\n"
		    "response [7-9] mysql.rows=0 status=ok\n"
		    "request [10-10] request_type=COM_STMT_PREPARE request_resource=\"SELECT ?\" endpoint=SELECT\n"
		    "response [11-13] mysql.statement_id=1 status=ok\n"
		    "request [14-14] request_type=COM_STMT_EXECUTE request_resource=\"SELECT ?\" endpoint=SELECT "
		    "mysql.statement_id=1 mysql.parameters=5\n"
		    "response [15-15] status=ok affected_rows=0\n",
    },
    {
	.name = "picked up in a result's middle: what is left of it is nobody's",
	.midstream = true,
	.packets = {S(9, "\5hello\5world"), S(10, "\5hello\5world"), S(11, END), C(0, "\3INSERT INTO t VALUES (1)"),
		    S(1, OK_ROWS("\1")), C(0, "\3SELECT 1"), S(1, "\1"), S(2, COLUMN), S(3, END), S(4, END)},
	.expected =
	    "is mysql\n"
	    "request [3-3] request_type=COM_QUERY request_resource=\"INSERT INTO t VALUES (1)\" endpoint=\"INSERT t\"\n"
	    "response [4-4] status=ok affected_rows=1\n"
	    "request [5-5] request_type=COM_QUERY request_resource=\"SELECT 1\" endpoint=SELECT\n"
	    "response [6-9] mysql.rows=0 status=ok\n",
    },
    {
	.name = "picked up at a prepared statement: the EOF that comes behind its end belongs to it",
	.midstream = true,
	.no_gaps = true, /* without the first response the second one, too, ends before its EOF */
	.packets = {C(0, "\26SELECT 1"), S(1, "\0\1\0\0\0\1\0\0\0\0\0\0"), S(2, COLUMN), S(3, END), C(0, "\26SELECT 2"),
		    S(1, "\0\2\0\0\0\1\0\0\0\0\0\0"), S(2, COLUMN), S(3, END)},
	.expected = "is mysql\n"
		    "request [0-0] request_type=COM_STMT_PREPARE request_resource=\"SELECT 1\" endpoint=SELECT\n"
		    "response [1-2] mysql.statement_id=1 status=ok\n"
		    "request [4-4] request_type=COM_STMT_PREPARE request_resource=\"SELECT 2\" endpoint=SELECT\n"
		    "response [5-7] mysql.statement_id=2 status=ok\n",
    },
#define COMPRESSED_CONVERSATION                                                                                        \
	{                                                                                                              \
		S(0, GREETING),                                                                                        \
		    C(1, LOGIN_HEAD("\55\242", "\4") "bob\0\24secretsecretsecretseshop\0mysql_native_password"),       \
		    S(2, OK),                                                                                          \
		    C(0, "\3SELECT a FROM t WHERE b = 'a text that is long enough to be compressed, a text'"),         \
		    S(1, "\1"), S(2, COLUMN), S(3, END), S(4, "\0011"), S(5, "\0012"), S(6, "\0013"), S(7, END),       \
		    C(0, "\16"), S(1, OK)                                                                              \
	}
#define COMPRESSED_EXPECTED                                                                                            \
	"is mysql\n" LOGGED_IN "session [3-3] [4-10] version=8.0.36 request_type=COM_QUERY request_domain=shop "       \
	"request_resource=\"SELECT a FROM t WHERE b = 'a text that is long enough to be compressed, a text'\" "        \
	"endpoint=\"SELECT t\" mysql.rows=3 status=ok\n"                                                               \
	"session [11-11] [12-12] version=8.0.36 request_type=COM_PING request_domain=shop status=ok\n"
    {
	.name = "compressed with zlib",
	.no_gaps = true, /* the nested stream's offsets do not count what was lost */
	.packing = ZLIB,
	.packed_from = 3,
	.packets = COMPRESSED_CONVERSATION,
	.expected = COMPRESSED_EXPECTED,
    },
    {
	.name = "compressed with zlib, packets cut up",
	.no_gaps = true, /* the nested stream's offsets do not count what was lost */
	.packing = ZLIB,
	.packed_from = 3,
	.piece = 60,
	.packets = COMPRESSED_CONVERSATION,
	.expected = COMPRESSED_EXPECTED,
    },
    {
	.name = "compressed with zstd",
	.no_gaps = true, /* the nested stream's offsets do not count what was lost */
	.packing = ZSTD,
	.packed_from = 3,
	.packets = COMPRESSED_CONVERSATION,
	.expected = COMPRESSED_EXPECTED,
    },
    {
	.name = "the compressed protocol, not compressed",
	.no_gaps = true, /* the nested stream's offsets do not count what was lost */
	.packing = UNCOMPRESSED,
	.packed_from = 3,
	.piece = 60,
	.packets = COMPRESSED_CONVERSATION,
	.expected = COMPRESSED_EXPECTED,
    },
    {
	.name = "compression picked up in the middle",
	.no_gaps = true, /* the packet within begins where the outer header is lost */
	.packing = UNCOMPRESSED,
	.midstream = true,
	.packets = {C(0, "\3SELECT a FROM t"), S(1, "\1"), S(2, COLUMN), S(3, END), S(4, END)},
	.expected = "is mysql\n"
		    "request [0-0] request_type=COM_QUERY request_resource=\"SELECT a FROM t\" endpoint=\"SELECT t\"\n"
		    "response [1-4] mysql.rows=0 status=ok\n",
    },
    {
	.name = "compression picked up at packets that are compressed",
	.no_gaps = true, /* as above */
	.packing = ZLIB,
	.midstream = true,
	.packets = {C(0, "\3SELECT a FROM t WHERE b = 'a text that is long enough to be compressed, a text'"), S(1, OK),
		    C(0, "\16"), S(1, OK)},
	.expected =
	    "is mysql\n"
	    "request [0-0] request_type=COM_QUERY request_resource=\"SELECT a FROM t WHERE b = 'a text that is long "
	    "enough to be compressed, a text'\" endpoint=\"SELECT t\"\n"
	    "response [1-1] status=ok affected_rows=0\n"
	    "request [2-2] request_type=COM_PING\n"
	    "response [3-3] status=ok\n",
    },
    {
	.name = "a request lost, then a response",
	.packets = {S(0, GREETING), C(1, LOGIN), S(2, OK), LOST_C(0, "\3SELECT 1"), S(1, "\1"), S(2, COLUMN), S(3, END),
		    S(4, END), C(0, "\16"), S(1, OK), C(0, "\3SELECT 2"), LOST_S(1, OK), C(0, "\3SELECT 3"), S(1, OK)},
	.expected = "is mysql\n" LOGGED_IN "response [4-7] mysql.rows=0 status=ok\n"
		    "request [8-8] version=8.0.36 request_type=COM_PING request_domain=shop\n"
		    "response [9-9] status=ok\n"
		    "request [10-10] version=8.0.36 request_type=COM_QUERY request_domain=shop "
		    "request_resource=\"SELECT 2\" endpoint=SELECT\n"
		    "request [12-12] version=8.0.36 request_type=COM_QUERY request_domain=shop "
		    "request_resource=\"SELECT 3\" endpoint=SELECT\n"
		    "response [13-13] status=ok affected_rows=0\n",
    },
    {
	.name = "the login lost, and with it whether packets are compressed",
	.packing = UNCOMPRESSED,
	.packed_from = 3,
	.no_gaps = true, /* the packet within begins where the outer header is lost */
	.packets = {S(0, GREETING), LOST_C(1, LOGIN), S(2, OK), C(0, "\3SELECT 1"), S(1, OK), C(0, "\16"), S(1, OK)},
	.expected =
	    "is mysql\n"
	    "request [3-3] version=8.0.36 request_type=COM_QUERY request_resource=\"SELECT 1\" endpoint=SELECT\n"
	    "response [4-4] status=ok affected_rows=0\n"
	    "request [5-5] version=8.0.36 request_type=COM_PING\n"
	    "response [6-6] status=ok\n",
    },
};

/* ---- from packets to a script ---- */

static void put_header(struct buffer *out, size_t len, uint8_t seq)
{
	uint8_t h[4] = {(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), seq};
	assert_int_equal(buffer_put(out, h, sizeof h), 0);
}

static void put_compressed(struct buffer *out, const void *data, size_t len, uint8_t seq, enum packing packing)
{
	static uint8_t packed[1 << 22];
	size_t n = sizeof packed;
	if (packing == ZLIB) {
		uLongf size = sizeof packed;
		assert_int_equal(compress(packed, &size, data, len), Z_OK);
		n = size;
	} else if (packing == ZSTD) {
		n = ZSTD_compress(packed, sizeof packed, data, len, 3);
		assert_false(ZSTD_isError(n));
	}
	if (packing == UNCOMPRESSED || len < 50) {
		put_header(out, len, seq);
		assert_int_equal(buffer_put(out, "\0\0", 3), 0);
		assert_int_equal(buffer_put(out, data, len), 0);
		return;
	}
	uint8_t plain[3] = {(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16)};
	put_header(out, n, seq);
	assert_int_equal(buffer_put(out, plain, sizeof plain), 0);
	assert_int_equal(buffer_put(out, packed, n), 0);
}

struct built {
	struct script script;
	struct buffer bytes[SCRIPT_STEPS], expected;
	uint64_t from[PACKETS_MAX], to[PACKETS_MAX];
};

/* "[2-4]" becomes "s17-60". */
static void expand(struct built *b, const struct conversation *v, const char *expected)
{
	b->expected.len = 0;
	for (const char *p = expected; *p;) {
		unsigned first, last;
		int n = 0;
		if (sscanf(p, "[%u-%u]%n", &first, &last, &n) == 2 && n) {
			char side = v->packets[first].side;
			if (v->packing == PLAIN || first < v->packed_from)
				side |= 0x20;
			buffer_printf(&b->expected, "%c%lu-%lu", side, b->from[first], b->to[last]);
			p += n;
		} else {
			buffer_put(&b->expected, p++, 1);
		}
	}
	buffer_put(&b->expected, "", 1);
}

static void build(struct built *b, const struct conversation *v)
{
	uint64_t at[2][2] = {{0}}; /* by side, plain or packed */
	unsigned steps = 0;
	memset(&b->script, 0, sizeof b->script);
	for (unsigned i = 0; i < PACKETS_MAX && v->packets[i].side;) {
		char side = v->packets[i].side;
		bool packed = v->packing != PLAIN && i >= v->packed_from;
		struct buffer *out = &b->bytes[steps], inner = {0};
		out->len = 0;
		for (; i < PACKETS_MAX && v->packets[i].side == side &&
		       packed == (v->packing != PLAIN && i >= v->packed_from);
		     i++) {
			const struct wire_packet *p = &v->packets[i];
			struct buffer *to = packed ? &inner : out;
			uint64_t *offset = &at[side == 'S'][packed];
			b->from[i] = *offset;
			*offset += 4 + p->len;
			b->to[i] = *offset;
			put_header(to, p->len, p->seq);
			assert_int_equal(buffer_put(to, p->payload, p->len), 0);
		}
		size_t piece = v->piece ? v->piece : inner.len;
		uint8_t seq = side == 'S';
		for (size_t done = 0; done < inner.len; done += piece)
			put_compressed(out, inner.at + done, min_of(piece, inner.len - done), seq++, v->packing);
		buffer_free(&inner);
		assert_true(steps < SCRIPT_STEPS - 2);
		b->script.steps[steps++] = (struct step){
		    .kind = v->packets[i - 1].lost ? STEP_GAP : STEP_DATA,
		    .side = side == 'C' ? SIDE_CLIENT : SIDE_SERVER,
		    .data = out->at,
		    .len = out->len,
		};
	}
	b->script.steps[steps++] = (struct step)CLIENT_CLOSE;
	b->script.steps[steps] = (struct step)SERVER_CLOSE;
	expand(b, v, v->expected);
	b->script.name = v->name;
	b->script.expected = b->expected.at;
	b->script.settings = v->settings;
	b->script.midstream = v->midstream;
	b->script.no_gaps = v->no_gaps;
}

static void built_free(struct built *b)
{
	for (unsigned i = 0; i < SCRIPT_STEPS; i++)
		buffer_free(&b->bytes[i]);
	buffer_free(&b->expected);
}

static bool check(const struct conversation *v)
{
	struct built b = {0};
	build(&b, v);
	bool ok = harness_check(&b.script, 1);
	built_free(&b);
	return ok;
}

static void conversations_are_understood(void **state)
{
	bool ok = true;
	(void)state;
	for (size_t i = 0; i < array_size(conversations); i++)
		ok &= check(&conversations[i]);
	assert_true(ok);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(conversations_are_understood),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
