/* test_sql.c - the lexer of dissect/sql.h, by what is made of it.
 *
 * The expectations come from the "Language Structure" chapter of MySQL's reference manual. */
#include "sql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* At the end of a page that cannot be read beyond. */
static struct text guarded(const char *s, size_t len)
{
	static uint8_t *base;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	if (!base) {
		base = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(base, MAP_FAILED);
		assert_int_equal(mprotect(base + page, page, PROT_NONE), 0);
	}
	if (len)
		memcpy(base + page - len, s, len);
	return text_make(base + page - len, len);
}

static const struct {
	const char *statement, *hidden;
} hides[] = {
    {"SELECT * FROM t WHERE a = 1", "SELECT * FROM t WHERE a = ?"},
    {"select 'a', \"b\", 1.5, .5, 1e3, 1.5E-3, 0x1F, 0b01, x'4d', X'4D', b'01', N'n'",
     "select ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"},
    {"INSERT INTO t VALUES ('it''s', 'a\\'b', 'x\\\\', \"q\"\"q\")", "INSERT INTO t VALUES (?, ?, ?, ?)"},
    {"SELECT t1.c2, `t-1`.`a'b` FROM t1, 2fa, db.3x WHERE -5 < a1",
     "SELECT t1.c2, `t-1`.`a'b` FROM t1, 2fa, db.3x WHERE -? < a1"},
    {"SELECT a/* 'secret' */FROM t", "SELECT a FROM t"},
    {"SELECT a -- 'secret'\nFROM t # 12\n", "SELECT a FROM t "},
    {"/* lead */ SELECT 1", "SELECT ?"},
    {"SELECT /*!50001 SQL_CACHE 7 */ 1", "SELECT /*!50001 SQL_CACHE ? */ ?"},
    {"SELECT /*M!100100 a */ b", "SELECT /*M!100100 a */ b"},
    {"SELECT 1--1", "SELECT ?--?"},
    {"SELECT 'not closed", "SELECT ?"},
    {"SELECT 'not closed\\", "SELECT ?"},
    {"SELECT /* not closed", "SELECT "},
    {"SELECT _utf8'x', @a, @@b, NULL, TRUE, ?", "SELECT _utf8?, @a, @@b, NULL, TRUE, ?"},
    {"SELECT 'a' 'b'", "SELECT ? ?"},
    {"SELECT 'caf\xc3\xa9', \xc3\xa9t\xc3\xa9 FROM t", "SELECT ?, \xc3\xa9t\xc3\xa9 FROM t"},
    {"SELECT 2*/3", "SELECT ?*/?"},
    {"", ""},
};

static void literals_are_hidden(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_size(hides); i++) {
		char out[256];
		size_t len = strlen(hides[i].statement);
		size_t n = sql_hide(guarded(hides[i].statement, len), out, sizeof out);
		out[n] = 0;
		assert_string_equal(out, hides[i].hidden);
		/* cut anywhere, it stays within bounds, grows by nothing, and shows no more than the statement has */
		for (size_t cut = 0; cut < len; cut++)
			assert_true(sql_hide(guarded(hides[i].statement, cut), out, sizeof out) <= cut);
		for (size_t size = 0; size < n; size++) {
			memset(out, '#', sizeof out);
			assert_true(sql_hide(guarded(hides[i].statement, len), out, size) <= size);
			assert_int_equal(out[size], '#');
		}
	}
}

static const struct {
	const char *statement, *endpoint;
} endpoints[] = {
    {"select * from users where id = 1", "SELECT users"},
    {"SELECT a, (SELECT max(x) FROM inner_t) FROM `shop`.`orders` o", "SELECT shop.orders"},
    {"SELECT EXTRACT(YEAR FROM d) FROM t", "SELECT t"},
    {"SELECT * FROM (SELECT 1) x", "SELECT"},
    {"SELECT 1", "SELECT"},
    {"(SELECT a FROM t) UNION (SELECT b FROM u)", "SELECT t"},
    {"/* app */ insert into `t` (a) values (1)", "INSERT t"},
    {"INSERT LOW_PRIORITY IGNORE INTO db.t SELECT 1", "INSERT db.t"},
    {"REPLACE t SET a = 1", "REPLACE t"},
    {"UPDATE LOW_PRIORITY t SET a = 1", "UPDATE t"},
    {"DELETE FROM t WHERE 1", "DELETE t"},
    {"delete t1 from t1 join t2 using (id)", "DELETE t1"},
    {"TRUNCATE TABLE t", "TRUNCATE t"},
    {"CREATE TABLE IF NOT EXISTS shop.t (a INT)", "CREATE TABLE shop.t"},
    {"create unique index i on t (a)", "CREATE INDEX i"},
    {"CREATE USER 'bob'@'%' IDENTIFIED BY 'x'", "CREATE USER"},
    {"DROP DATABASE IF EXISTS d", "DROP DATABASE d"},
    {"ALTER TABLE t ADD c INT", "ALTER TABLE t"},
    {"CALL shop.refill(1)", "CALL shop.refill"},
    {"LOAD DATA LOCAL INFILE 'f' INTO TABLE t", "LOAD t"},
    {"USE `my db`;", "USE my db"},
    {"SET NAMES utf8", "SET"},
    {"BEGIN", "BEGIN"},
    {"/*!40101 SET NAMES utf8 */", "SET"},
    {"WITH c AS (SELECT 1) SELECT * FROM c", "WITH"},
    {"select * from t.", "SELECT t"},
    {"select * from `t", "SELECT t"},
    {"'nothing'", ""},
    {"", ""},
};

static void endpoints_are_short_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_size(endpoints); i++) {
		char out[64];
		bool secret;
		size_t len = strlen(endpoints[i].statement);
		size_t n = sql_endpoint(guarded(endpoints[i].statement, len), out, sizeof out, &secret);
		out[n] = 0;
		assert_string_equal(out, endpoints[i].endpoint);
		for (size_t cut = 0; cut < len; cut++)
			sql_endpoint(guarded(endpoints[i].statement, cut), out, sizeof out, &secret);
		for (size_t size = 0; size <= n; size++) {
			memset(out, '#', sizeof out);
			assert_true(sql_endpoint(guarded(endpoints[i].statement, len), out, size, &secret) <= size);
			assert_int_equal(out[size], '#');
		}
	}
}

static void statements_with_secrets_are_known(void **state)
{
	static const struct {
		const char *statement;
		bool secret;
	} rows[] = {
	    {"CREATE USER bob IDENTIFIED BY 'x'", true},
	    {"alter user bob identified with p as 'x'", true},
	    {"GRANT ALL ON *.* TO bob IDENTIFIED BY 'x'", true},
	    {"SET PASSWORD FOR bob = 'x'", true},
	    {"CHANGE MASTER TO MASTER_PASSWORD = 'x'", true},
	    {"CHANGE REPLICATION SOURCE TO SOURCE_PASSWORD='x'", true},
	    {"START GROUP_REPLICATION USER='u', PASSWORD='x'", true},
	    {"SELECT password FROM users", false},
	    {"SET NAMES utf8", false},
	    {"CREATE TABLE t (password_hash INT)", false},
	    {"SET @a = 'password'", false},
	};
	(void)state;
	for (size_t i = 0; i < array_size(rows); i++) {
		char out[64];
		bool secret;
		for (size_t size = 0; size < sizeof out; size += 16) {
			sql_endpoint(guarded(rows[i].statement, strlen(rows[i].statement)), out, size, &secret);
			assert_int_equal(secret, rows[i].secret);
		}
	}
}

static void placeholders_are_counted(void **state)
{
	(void)state;
	struct text t = TEXT("INSERT INTO `a?` VALUES (?, '?', ?) /* ? */ -- ?\n , ?");
	assert_int_equal(sql_count_placeholders(guarded(t.at, t.len)), 3);
}

static void trace_context_is_found_in_comments_only(void **state)
{
	(void)state;
	struct text t = TEXT("SELECT 'traceparent=''a''' /*action='x',traceparent='00-ab-cd-01'*/");
	struct text found = sql_find_traceparent(guarded(t.at, t.len));
	assert_true(text_is(found, "00-ab-cd-01"));
	t = TEXT("SELECT \"traceparent='a'\"");
	assert_null(sql_find_traceparent(guarded(t.at, t.len)).at);
	t = TEXT("SELECT 1 /*traceparent='00-ab");
	assert_null(sql_find_traceparent(guarded(t.at, t.len)).at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(literals_are_hidden),
	    cmocka_unit_test(endpoints_are_short_names),
	    cmocka_unit_test(statements_with_secrets_are_known),
	    cmocka_unit_test(placeholders_are_counted),
	    cmocka_unit_test(trace_context_is_found_in_comments_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
