#!/usr/bin/env python3
"""Pairs of real servers must be right, whatever is lost.

    pairing_real.py TAPSCOPE [PROTOCOL...]

Real servers (nginx, Redis, MariaDB, librdkafka's mock cluster) and clients of our own in two network namespaces. Each
request has a number, which decides what is answered and how long the answer is; requests go out up to 100 deep. The client
notes where in either stream each message lies and when it sent and got it; the server logs how long it took. What was
recorded is replayed whole, and with 0.1 % and 1 % of its packets removed, several times.

A record of type session fails where the place of its response in the stream is not that of its request's answer, or where
code, rows, text or length are not those of its number. So does a request that nobody sent. Recall is printed, and how far
durations are from the recording, where the whole of both messages was seen.
"""
import bisect
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from common import ROOT, case, finish, replay, skip

import pcapfile
import mysql_client

CLIENT, SERVER = "192.0.2.10", "192.0.2.80"
PORTS = {"http": 80, "redis": 6379, "mysql": 3306, "kafka": 0}
TITLES = {"http": "HTTP", "redis": "Redis", "mysql": "MySQL", "kafka": "Kafka"}
TOOLS = {"http": ["nginx"], "redis": ["redis-server", "redis-cli"], "mysql": ["mariadbd", "mariadb-install-db", "mariadb"], "kafka": ["gcc"]}
# (how, depth, connections, requests of each). batch: a burst, then all its answers; window: one more for each answer
PLAN = (("batch", 1, 2, 150), ("batch", 10, 2, 500), ("batch", 100, 4, 700), ("window", 10, 2, 400), ("window", 100, 3, 600))
SEEDS = 10
TOPICS = 97


# --- what a number means

def http_status(n):
    return (200, 200, 404, 200, 503, 200, 410)[n % 7]


def http_request(n):
    where = "slow" if n % 41 == 0 else f"s{http_status(n)}"
    return b"GET /%s/%d?fill=%s HTTP/1.1\r\nHost: pairs.test\r\n\r\n" % (where.encode(), n, b"x" * (n * 37 % 1500 if n % 23 == 0 else n % 80))


def redis_request(n):
    if n % 50 == 49:
        args = (b"BLPOP", b"none:%d" % n, b"0.0%d" % (n % 9 + 1))
    elif n % 11 == 0:
        args = (b"LPUSH", b"text", b"%d" % n)  # refused: it is no list
    elif n % 3 == 0:
        args = (b"ECHO", b"%d:" % n + b"e" * (n * 53 % 2000))
    elif n % 3 == 1:
        args = (b"GETRANGE", b"long", b"0", b"%d" % (n % 3001))
    else:
        args = (b"SET", b"key:%d" % n, b"s" * (n % 300))
    return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in args)


def mysql_statement(n):
    if n % 60 == 59:
        return f"SELECT {n} AS id, SLEEP(0.00{n % 9 + 1}) AS slept"
    if n % 13 == 0:
        return f"SELECT {n} FROM missing_{n}"
    if n % 5 == 0:
        return f"UPDATE numbers SET v = v + 1 WHERE id <= {n % 40} /* {n} */"
    return f"SELECT {n} AS id, REPEAT('x', {n * 29 % 1800}) AS filling"


def kafka_topic(n):
    return b"t%02d" % (n % TOPICS) + b"x" * (n % TOPICS)


def kafka_request(n):
    topic = struct.pack(">h", len(kafka_topic(n))) + kafka_topic(n)
    if n % 10 == 9:
        head, body = (10, 0), struct.pack(">h", 5 + n % 50) + b"g" * (5 + n % 50)  # FindCoordinator
    elif n % 4 == 0:
        head, body = (2, 1), struct.pack(">ii", -1, 1) + topic + struct.pack(">iiq", 1, n % 5, -1)  # ListOffsets; of 2 partitions, so some fail
    else:
        head, body = (3, 1), struct.pack(">i", 1) + topic  # Metadata
    data = struct.pack(">hhi", *head, n) + struct.pack(">h", 5) + b"pairs" + body
    return struct.pack(">i", len(data)) + data


# --- the clients; this part runs in the client's namespace

class Stream:
    """Bytes of one direction as they come, and when the last of them came."""

    def __init__(self, sock):
        self.sock, self.held, self.at, self.time = sock, bytearray(), 0, 0

    def more(self):
        data = self.sock.recv(262144)
        if not data:
            raise EOFError
        self.time = time.time_ns()
        self.held += data

    def take(self, n):
        while len(self.held) < n:
            self.more()
        out = bytes(self.held[:n])
        del self.held[:n]
        self.at += n
        return out

    def line(self):
        while True:
            end = self.held.find(b"\r\n")
            if end >= 0:
                return self.take(end + 2)[:-2]
            self.more()


class HttpClient:
    def __init__(self, sock):
        self.stream = Stream(sock)

    def request(self, n):
        return http_request(n)

    def response(self):
        size = 0
        while line := self.stream.line():
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        self.stream.take(size)


class RedisClient(HttpClient):
    def request(self, n):
        return redis_request(n)

    def response(self):
        line = self.stream.line()
        if line[:1] == b"$" and line != b"$-1":
            self.stream.take(int(line[1:]) + 2)
        elif line[:1] == b"*":
            for _ in range(max(int(line[1:]), 0)):
                self.response()


class KafkaClient(HttpClient):
    def request(self, n):
        return kafka_request(n)

    def response(self):
        self.stream.take(struct.unpack(">i", self.stream.take(4))[0])


class MysqlClient:
    """The login is mysql_client's, which reads from our stream from the beginning."""

    def __init__(self, sock):
        self.stream = Stream(sock)
        c = self.connection = mysql_client.Connection.__new__(mysql_client.Connection)
        c.s, c.port, c.flags, c.compressed = sock, sock.getsockname()[1], mysql_client.BASE | mysql_client.CONNECT_WITH_DB, False
        c.held = c.plain = b""
        c.size = c.sequence = c.sent = 0
        c.waiting = []
        c.take = self.stream.take
        c.login("app", "apple", "shop")
        self.sent = c.sent

    def request(self, n):
        return self.connection.frame(b"\x03" + mysql_statement(n).encode())

    def response(self):
        try:
            self.connection.read_answer("QUERY")
        except mysql_client.ServerError:
            pass


CLIENTS = {"http": HttpClient, "redis": RedisClient, "mysql": MysqlClient, "kafka": KafkaClient}


def converse(protocol, address, port, how, depth, numbers, out):
    sock = socket.create_connection((address, port), 30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client = CLIENTS[protocol](sock)
    exchanges = []
    sent = getattr(client, "sent", 0)

    def ask(some):
        nonlocal sent
        parts = [client.request(n) for n in some]
        now = time.time_ns()
        for n, part in zip(some, parts):
            exchanges.append([n, sent, sent + len(part), 0, 0, now, 0])
            sent += len(part)
        sock.sendall(b"".join(parts))

    def hear(i):
        start = client.stream.at
        client.response()
        exchanges[i][3:] = [start, client.stream.at, exchanges[i][5], client.stream.time]

    rng = random.Random(numbers[0])
    if how == "batch":
        for at in range(0, len(numbers), depth):
            batch = numbers[at : at + depth]
            ask(batch)
            for i in range(at, at + len(batch)):
                hear(i)
            if rng.random() < 0.3:
                time.sleep(rng.random() * 0.01)
    else:
        ask(numbers[:depth])
        for i in range(len(numbers)):
            hear(i)
            if i + depth < len(numbers):
                ask([numbers[i + depth]])
    out.append({"port": sock.getsockname()[1], "how": how, "depth": depth, "exchanges": exchanges})
    sock.close()


def client_main(protocol, address, port):
    out, threads, first = [], [], 1
    for how, depth, connections, requests in PLAN:
        for _ in range(connections):
            numbers = list(range(first, first + requests))
            first += requests
            threads.append(threading.Thread(target=converse, args=(protocol, address, port, how, depth, numbers, out)))
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if len(out) != len(threads):
        sys.exit("a connection failed")
    json.dump(out, sys.stdout)


# --- the stage: two namespaces, a server, a recording

class Stage:
    def __init__(self):
        self.id = os.getpid()
        self.cli, self.srv = f"tspair-c-{self.id}", f"tspair-s-{self.id}"
        self.work = tempfile.mkdtemp(prefix="tspair-")
        self.running = []

    def run(self, *command, **kw):
        return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, **kw)

    def at(self, namespace, *command, **kw):
        return self.run("ip", "netns", "exec", namespace, *command, **kw)

    def start(self, namespace, *command, **kw):
        with open(os.path.join(self.work, "log"), "ab") as log:
            kw.setdefault("stdout", log)
            kw.setdefault("stderr", log)
            p = subprocess.Popen(["ip", "netns", "exec", namespace, *command], stdin=subprocess.DEVNULL, **kw)
        self.running.append(p)
        return p

    def open(self):
        for n in (self.cli, self.srv):
            self.run("ip", "netns", "add", n)
        self.run("ip", "link", "add", "pc", "netns", self.cli, "type", "veth", "peer", "name", "ps", "netns", self.srv)
        for n, device, address in ((self.cli, "pc", CLIENT), (self.srv, "ps", SERVER)):
            self.run("ip", "-n", n, "link", "set", "lo", "up")
            self.at(n, "sysctl", "-qw", f"net.ipv6.conf.{device}.disable_ipv6=1")
            self.run("ip", "-n", n, "addr", "add", address + "/24", "dev", device)
            self.run("ip", "-n", n, "link", "set", device, "up")
            self.at(n, "ethtool", "-K", device, *"tso off gso off gro off tx off rx off sg off".split(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # the mock cluster has no other address than the loopback's; it has the MTU of a wire, too
        self.run("ip", "-n", self.srv, "link", "set", "lo", "mtu", "1500")
        self.at(self.srv, "ethtool", "-K", "lo", *"tso off gso off gro off".split(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        for p in self.running:
            p.terminate()
        for p in self.running:
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                p.kill()
        for n in (self.cli, self.srv):
            subprocess.run(["ip", "netns", "del", n], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.work, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.work, name)

    def until(self, what, seconds=20):
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                raise RuntimeError("a server did not start: " + open(self.path("log"), errors="replace").read()[-400:])
            time.sleep(0.05)

    def listens(self, port):
        return lambda: bool(self.at(self.srv, "ss", "-Hltn", f"sport = :{port}", capture_output=True).stdout)

    # each returns (namespace of the client, device, port)
    def http(self):
        quick = "".join(f"location ~ ^/s{code}/ {{ return {code} $request_uri; }}\n" for code in (200, 404, 503, 410))
        with open(self.path("nginx.conf"), "w") as f:
            f.write(f"""worker_processes 1; daemon off; pid {self.path('nginx.pid')}; error_log {self.path('error.log')}; user root;
                events {{ worker_connections 256; }}
                http {{
                    log_format pairs '$remote_port $uri $status $request_time $bytes_sent';
                    access_log {self.path('access.log')} pairs;
                    {''.join(f'{k}_temp_path {self.path("t" + k)}; ' for k in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))}
                    keepalive_requests 100000; large_client_header_buffers 8 8k; default_type text/plain;
                    server {{
                        listen {SERVER}:80;
                        {quick}
                        location /slow/ {{ proxy_pass http://127.0.0.1:8081; proxy_http_version 1.1; proxy_set_header Connection ''; }}
                    }}
                }}""")
        self.start(self.srv, sys.executable, os.path.abspath(__file__), "--upstream")
        self.start(self.srv, "nginx", "-c", self.path("nginx.conf"), "-p", self.work)
        self.until(self.listens(80))
        self.until(self.listens(8081))
        return self.cli, "ps", 80

    def redis(self):
        self.start(self.srv, "redis-server", "--port", "6379", "--bind", SERVER, "--protected-mode", "no", "--unixsocket", self.path("redis.sock"), "--save", "",
                   "--dir", self.work, "--slowlog-log-slower-than", "0", "--slowlog-max-len", "100000")
        self.until(lambda: subprocess.run(["redis-cli", "-s", self.path("redis.sock"), "ping"], capture_output=True, check=False).stdout == b"PONG\n")
        for command in (("set", "text", "t"), ("setrange", "long", "3000", "x"), ("slowlog", "reset")):
            self.run("redis-cli", "-s", self.path("redis.sock"), *command, stdout=subprocess.DEVNULL)
        return self.cli, "ps", 6379

    def mysql(self):
        data = self.path("mariadb")
        self.run("mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}", "--skip-test-db", "--auth-root-authentication-method=normal",
                 "--innodb-log-file-size=4M", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.start(self.srv, "mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", f"--socket={self.path('mysql.sock')}", f"--pid-file={self.path('mysql.pid')}",
                   "--port=3306", f"--bind-address={SERVER}", "--skip-name-resolve", "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=4M", "--innodb-flush-log-at-trx-commit=0",
                   "--performance-schema=OFF", "--slow-query-log=1", f"--slow-query-log-file={self.path('slow.log')}", "--long-query-time=0")
        admin = ["mariadb", "--no-defaults", "-uroot", "-S", self.path("mysql.sock"), "-e"]
        self.until(lambda: subprocess.run([*admin, "SELECT 1"], capture_output=True, check=False).returncode == 0)
        self.run(*admin, "CREATE DATABASE shop; CREATE USER app IDENTIFIED BY 'apple'; GRANT ALL ON shop.* TO app; CREATE TABLE shop.numbers (id INT PRIMARY KEY, v INT) ENGINE=MyISAM; "
                 "USE shop; INSERT INTO numbers SELECT seq, 0 FROM seq_1_to_50")
        return self.cli, "ps", 3306

    def kafka(self):
        program = self.path("kafka_mock")
        self.run("gcc", "-O1", os.path.join(ROOT, "pcaps", "tools", "kafka_mock.c"), "-o", program, "-lrdkafka")
        self.start(self.srv, program, "-b", "1", stdout=open(self.path("brokers"), "wb"), stderr=open(self.path("mock.log"), "wb"))
        self.until(lambda: os.path.getsize(self.path("brokers")) > 0)
        with open(self.path("brokers")) as f:
            return self.srv, "lo", int(f.read().strip().rsplit(":", 1)[1])

    def record(self, protocol):
        """The frames, and what the client noted."""
        namespace, device, port = getattr(self, protocol)()
        address = "127.0.0.1" if device == "lo" else SERVER
        file = self.path(protocol + ".pcap")
        said = open(self.path("tcpdump"), "w+")
        dump = self.start(self.srv, "tcpdump", "-Z", "root", "--immediate-mode", "-i", device, "-B", "65536", "-s", "0", "--time-stamp-precision=nano", "-w", file,
                          f"tcp port {port}", stderr=said)
        self.until(lambda: "listening on" in open(self.path("tcpdump")).read())
        client = self.at(namespace, sys.executable, os.path.abspath(__file__), "--client", protocol, address, str(port), capture_output=True, timeout=60)
        time.sleep(0.5)
        dump.terminate()
        dump.wait()
        if "\n0 packets dropped by kernel" not in open(self.path("tcpdump")).read():
            raise RuntimeError("tcpdump lost packets")
        return pcapfile.read(file), json.loads(client.stdout), port

    # --- how long the server says it took: {(client port, number) or number: ns}, and how exactly
    def took(self, protocol, connections):
        times = {}
        if protocol == "http":
            with open(self.path("access.log")) as f:
                for line in f:
                    port, uri, _, seconds, _ = line.split()
                    times[int(uri.rsplit("/", 1)[1])] = int(float(seconds) * 1e9)
            return times, 5_000_000  # nginx takes the time once in a turn of its event loop
        if protocol == "redis":
            out = subprocess.run(["redis-cli", "-s", self.path("redis.sock"), "--json", "slowlog", "get", "-1"], capture_output=True, check=True).stdout
            for _, _, us, words, *_ in json.loads(out):
                if words[0] in ("BLPOP", "ECHO", "SET") and (m := re.match(r"(?:none:|key:)?(\d+)", words[1])):
                    times[int(m[1])] = us * 1000
            return times, 1000
        if protocol == "mysql":
            with open(self.path("slow.log"), errors="replace") as f:
                for seconds, statement in re.findall(r"# Query_time: ([\d.]+).*\n(?:#.*\n|use .*\n)*SET timestamp=\d+;\n(.*)", f.read()):
                    if m := re.match(r"SELECT (\d+)|UPDATE .*/\* (\d+) \*/", statement):
                        times[int(m[1] or m[2])] = int(float(seconds) * 1e9)
            return times, 1000
        with open(self.path("mock.log")) as f:
            received, answered = {}, {}
            for line in f:
                if m := re.match(r"%7\|([\d.]+)\|MOCK.*(Received|Sending) \w+ (?:from|to) [\d.]+:(\d+)", line):
                    (received if m[2] == "Received" else answered).setdefault(int(m[3]), []).append(float(m[1]))
        for c in connections:
            for e, began, ended in zip(c["exchanges"], received[c["port"]], answered[c["port"]]):
                times[e[0]] = int((ended - began) * 1e9)
        return times, 2_000_000


def upstream_main():
    """A server that takes its time, for nginx to wait for."""
    import http.server

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            time.sleep(0.002 + int(self.path.split("?")[0].rsplit("/", 1)[1]) % 9 * 0.001)
            body = self.path.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", 8081), Handler).serve_forever()


# --- the truth, and what is checked

class Exchange:
    __slots__ = ("n", "request", "response", "sent", "got", "start", "first", "end", "how")


class Truth:
    """Where and when each message lies, by the recording: independent of the program under test."""

    def __init__(self, frames, connections, port):
        self.by_port = {}
        segments = {}  # (client port, side) -> [(offset, end, time)]
        initial = {}
        for f in frames:
            head, payload = pcapfile.tcp(f)
            source, target, seq = struct.unpack_from(">HHI", f.data, head)
            side = 0 if target == port else 1
            key = (source if side == 0 else target, side)
            if f.data[head + 13] & 2:
                initial.setdefault(key, seq + 1)
            size = l4_size(f, head, payload)
            if size and key in initial:
                segments.setdefault(key, []).append(((seq - initial[key]) & 0xFFFFFFFF, size, f.ts))
        self.initial = initial
        self.exchanges = {}
        for c in connections:
            p = c["port"]
            seen = [Seen(segments[p, side]) for side in (0, 1)]
            table = []
            for n, a, b, x, y, sent, got in c["exchanges"]:
                e = Exchange()
                e.n, e.request, e.response, e.sent, e.got, e.how = n, (a, b), (x, y), sent, got, c["how"]
                e.start, e.first, e.end = seen[0].when(a), seen[1].when(x), seen[1].when(y - 1)
                table.append(e)
                self.exchanges[n] = e
            self.by_port[p] = (table, [e.request[0] for e in table], [e.response[0] for e in table])

    def at(self, port, side, seq):
        """The exchange in whose message of this side the byte lies, and whether it is the first one of it."""
        table, requests, responses = self.by_port[port]
        offset = (seq - self.initial[port, side]) & 0xFFFFFFFF
        starts = responses if side else requests
        i = bisect.bisect_right(starts, offset) - 1
        if i < 0 or offset >= (table[i].response if side else table[i].request)[1]:
            return None, False
        return table[i], offset == starts[i]


def l4_size(frame, head, payload):
    at = pcapfile.l3(frame)[0]
    return at + struct.unpack_from(">H", frame.data, at + 2)[0] - payload


class Seen:
    """When each byte of a stream was first seen."""

    def __init__(self, segments):
        first = {}
        for offset, _, ts in segments:
            first[offset] = min(first.get(offset, ts), ts)
        self.starts = sorted(first)
        self.times = [first[offset] for offset in self.starts]

    def when(self, offset):
        return self.times[bisect.bisect_right(self.starts, offset) - 1]


def nanoseconds(text):
    whole, fraction = text.rstrip("Z").split(".")
    return int(time.mktime(time.strptime(whole + " UTC", "%Y-%m-%dT%H:%M:%S %Z")) - time.timezone) * 10**9 + int(fraction.ljust(9, "0"))


def content_is_wrong(protocol, r, e):
    """What the record says about the response is not what the request's number asks for."""
    whole = "gap_bytes" not in r and "truncated" not in r
    if whole and r.get("response_length") != e.response[1] - e.response[0]:
        return f"response_length {r.get('response_length')}, not {e.response[1] - e.response[0]}"
    if whole and r.get("request_length") != e.request[1] - e.request[0]:
        return f"request_length {r.get('request_length')}, not {e.request[1] - e.request[0]}"
    n, resource = e.n, r.get("request_resource", "")
    if whole and protocol in ("http", "mysql") and str(n) not in resource:
        return f"text {resource}"
    if protocol == "http":
        if r["response_code"] != (200 if n % 41 == 0 else http_status(n)):
            return f"status {r['response_code']} of {resource}"
    elif protocol == "redis":
        failed = n % 11 == 0 and n % 50 != 49
        if (r["response_status"] == "client_error") != failed:
            return f"status {r['response_status']} of {resource}"
    elif protocol == "mysql":
        if (r.get("response_code") == 1146) != (n % 13 == 0 and n % 60 != 59):
            return f"code {r.get('response_code')} of {resource}"
        if whole and n % 5 == 0 and n % 13 and n % 60 != 59 and r.get("sql_affected_rows") != n % 40:
            return f"rows {r.get('sql_affected_rows')} of {resource}"
    elif r["request_id"] != str(n):
        return f"correlation id {r['request_id']}"
    return None


class Tally:
    def __init__(self):
        self.pairs = self.exact = self.timed = self.largest = 0
        self.wrong = []


def check(protocol, result, truth, tally, whole_capture):
    for r in result.requests():
        if r["l7_protocol"] != TITLES[protocol] or r.get("request_type") in ("LOGIN", "COM_QUIT") or r["type"] == "response":
            continue
        port = r["client_port"]
        asked, first = truth.at(port, 0, r["req_tcp_seq"])
        if not asked or not first:
            tally.wrong.append(f"a request that nobody sent: {r.get('request_type')} {r.get('request_resource')}")
            continue
        if r["type"] != "session":
            continue
        tally.pairs += 1
        answer, first = truth.at(port, 1, r["resp_tcp_seq"])
        if answer is not asked:
            tally.wrong.append(f"{asked.n} ({asked.how}) is paired with the answer to {answer.n if answer else 'nothing'}")
            continue
        if reason := content_is_wrong(protocol, r, asked):
            tally.wrong.append(f"{asked.n}: {reason}")
            continue
        # a text that was cut is marked like a message that was
        if whole_capture or (first and "gap_bytes" not in r and "truncated" not in r):
            error = abs(r["duration_ns"] - (asked.end - asked.start))
            tally.timed += 1
            tally.exact += error == 0
            tally.largest = max(tally.largest, error)


def within_the_clocks(name, protocol, result, truth, took, resolution):
    """Of the whole recording: no record is longer than its client waited, or shorter than its server took."""
    late, early, slack, work = [], [], [], []
    for r in result.requests():
        if r["type"] != "session" or r["l7_protocol"] != TITLES[protocol] or r.get("request_type") == "LOGIN":
            continue
        e = truth.at(r["client_port"], 0, r["req_tcp_seq"])[0]
        start, end = nanoseconds(r["start_time"]), nanoseconds(r["end_time"])
        slack.append((e.got - e.sent) - r["duration_ns"])
        if start < e.sent - 50_000 or end > e.got + 50_000:
            late.append(e.n)
        if e.n in took:
            work.append(r["duration_ns"] - took[e.n])
            if r["duration_ns"] + resolution < took[e.n]:
                early.append((e.n, r["duration_ns"], took[e.n]))
    slack.sort()
    work.sort()
    what = f"clients waited {slack[len(slack) // 2] / 1000:.0f} us longer (median), {slack[-1] / 1e6:.1f} ms at most" if slack else "no records"
    case(slack and not late, f"{name}-not-longer-than-the-client-waited: {what}", f"outside: {late[:5]}")
    what = f"logged {len(work)} of {len(slack)}, {work[len(work) // 2] / 1000:.0f} us shorter (median)" if work else "nothing was logged"
    case(work and not early, f"{name}-not-shorter-than-the-server-took: {what}", f"{len(early)}: {early[:5]}")


def removed(frames, loss, seed):
    rng = random.Random(seed)
    return [f for f in frames if rng.random() >= loss]


def prove(stage, binary, protocol):
    frames, connections, port = stage.record(protocol)
    truth = Truth(frames, connections, port)
    total = len(truth.exchanges)
    took, resolution = stage.took(protocol, connections)
    file = stage.path("replayed.pcap")
    for loss in (0, 0.001, 0.01):
        name = f"{protocol}-loss-{loss * 100:g}%"
        tally, runs, shown = Tally(), 1 if loss == 0 else SEEDS, 0
        for seed in range(runs):
            some = removed(frames, loss, seed)
            shown += len(frames) - len(some)
            pcapfile.write(file, some, nanoseconds=True)
            result = replay(binary, file, beside=False)
            if result.code != 0:
                case(False, name, f"exit {result.code}: {result.err}")
                return
            check(protocol, result, truth, tally, loss == 0)
            if loss == 0:
                within_the_clocks(protocol, protocol, result, truth, took, resolution)
        what = (f"{tally.pairs} of {total * runs} pairs found ({100 * tally.pairs / total / runs:.2f} %), {len(tally.wrong)} wrong; {shown} of {len(frames) * runs} packets removed; "
                f"durations exact in {100 * tally.exact / max(1, tally.timed):.2f} % of {tally.timed}, largest error {tally.largest / 1e6:.3f} ms")
        all_found = loss or tally.pairs == tally.exact == total
        case(not tally.wrong and all_found, f"{name}: {what}", "; ".join(tally.wrong[:4]) or "nothing was lost, yet not all pairs were found, or exactly")


def main():
    binary = os.path.abspath(sys.argv[1])
    wanted = sys.argv[2:] or list(PORTS)
    if os.geteuid() != 0:
        skip("pairing-real", "needs root, to make network namespaces")
        finish()
    missing = [t for t in ("ip", "ss", "ethtool", "sysctl", "tcpdump") if not shutil.which(t)]
    if missing:
        skip("pairing-real", f"needs {' '.join(missing)}")
        finish()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for protocol in wanted:
        absent = [t for t in TOOLS[protocol] if not shutil.which(t)]
        if protocol == "kafka" and not os.path.exists("/usr/include/librdkafka/rdkafka_mock.h"):
            absent.append("librdkafka-dev")
        if absent:
            skip(f"{protocol}", f"needs {' '.join(absent)}")
            continue
        stage = Stage()
        try:
            stage.open()
            prove(stage, binary, protocol)
        except (OSError, RuntimeError, subprocess.SubprocessError, ValueError, KeyError) as e:
            said = getattr(e, "stderr", b"") or b""
            case(False, protocol, f"{type(e).__name__}: {e} {said.decode(errors='replace')[-300:]}")
        finally:
            stage.close()
    finish()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        client_main(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    elif sys.argv[1:2] == ["--upstream"]:
        upstream_main()
    else:
        main()
