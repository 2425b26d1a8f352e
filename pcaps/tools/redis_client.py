#!/usr/bin/env python3
"""The Redis clients of the recordings that nobody else is: they write the protocol themselves, so that they know each byte.
Each says on standard output, as JSON, what it sent and got. Standard library only.

    redis_client.py SCENARIO ADDRESS [PORT]

An exchange is [client port, command, key, outcome, request bytes, response bytes]; the outcome is "ok", the first word of
an error, or null where no reply came (then 0 bytes).
"""
import json
import os
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

CONTAINERS = {"ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY", "OBJECT", "PUBSUB",
              "SCRIPT", "SLOWLOG", "XGROUP", "XINFO"}
truth = {"protocol": "Redis", "tcp_connections": 0, "unasked": 0, "exchanges": []}
lock = threading.Lock()


def encode(args):
    parts = [a if isinstance(a, bytes) else str(a).encode() for a in args]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def command_of(words):
    first = words[0].upper()
    return f"{first} {words[1].upper()}" if first in CONTAINERS and len(words) > 1 else first


class Connection:
    def __init__(self, address, port):
        self.s = socket.create_connection((address, port), 20)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with lock:
            truth["tcp_connections"] += 1
        self.port = self.s.getsockname()[1]
        self.held = b""
        self.size = 0  # bytes of replies taken
        self.waiting = []

    # --- what is sent
    def note(self, words, size):
        key = words[1] if len(words) > 1 else None
        self.waiting.append([self.port, command_of(words), key, None, size, 0])

    def send(self, *commands):
        """Commands (tuples of arguments, or bytes that are an inline command) in one write."""
        data = b""
        for c in commands:
            raw = c if isinstance(c, bytes) else encode(c)
            words = c.decode().split() if isinstance(c, bytes) else [a.decode("latin-1") if isinstance(a, bytes) else str(a) for a in c]
            self.note(words, len(raw))
            data += raw
        self.s.sendall(data)

    def silent(self, *commands):
        """The same for commands that get no reply."""
        before = len(self.waiting)
        self.send(*commands)
        with lock:
            truth["exchanges"] += self.waiting[before:]
        del self.waiting[before:]

    # --- what comes
    def line(self):
        while b"\r\n" not in self.held:
            data = self.s.recv(65536)
            if not data:
                raise EOFError
            self.held += data
        out, self.held = self.held.split(b"\r\n", 1)
        self.size += len(out) + 2
        return out

    def take(self, n):
        while len(self.held) < n + 2:
            data = self.s.recv(65536)
            if not data:
                raise EOFError
            self.held += data
        out, self.held = self.held[:n], self.held[n + 2 :]
        self.size += n + 2
        return out

    def value(self):
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind in b"+:,(#_":
            return rest.decode("latin-1")
        if kind == b"-":
            return RuntimeError(rest.decode("latin-1"))
        if kind in b"$=!":
            n = int(rest)
            out = None if n < 0 else self.take(n)
            return RuntimeError(out.decode()) if kind == b"!" else out
        if kind in b"*~>":
            n = int(rest)
            return None if n < 0 else [self.value() for _ in range(n)]
        if kind == b"%":
            return [(self.value(), self.value()) for _ in range(int(rest))]
        if kind == b"|":
            for _ in range(int(rest) * 2):
                self.value()
            return self.value()
        raise ValueError(line)

    def reply(self, values=1):
        """The reply to the oldest command: so many values at top level."""
        exchange = self.waiting.pop(0)
        with lock:
            truth["exchanges"].append(exchange)
        before = self.size
        try:
            out = [self.value() for _ in range(values)]
        except (EOFError, ConnectionResetError):
            return None
        exchange[5] = self.size - before
        bad = [v for v in (out[0] if exchange[1] == "EXEC" and isinstance(out[0], list) else out) if isinstance(v, RuntimeError)]
        exchange[3] = str(bad[0]).split(" ")[0] if bad else "ok"
        return out[0] if values == 1 else out

    def unasked(self, n=1):
        """Messages that answer nothing."""
        for _ in range(n):
            self.value()
            with lock:
                truth["unasked"] += 1

    def do(self, *args, values=1):
        self.send(args)
        return self.reply(values)

    def all(self, *commands):
        """A pipeline."""
        self.send(*commands)
        return [self.reply() for _ in commands]

    def close(self, reset=False):
        with lock:
            truth["exchanges"] += self.waiting
        if reset:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.s.close()


def connect():
    return Connection(ADDRESS, PORT)


def pipeline():
    c = connect()
    for depth in (1, 2, 10, 100, 250):
        c.all(*(("SET", f"user:{n}", "v" * (n % 97)) for n in range(depth)))
        c.all(*(("GET", f"user:{n}") if n % 3 else ("ECHO", "e" * n) for n in range(depth)))
    c.all(*(("INCR", "counter") for _ in range(100)))
    c.all(("DEL", "counter"), ("EXISTS", "counter"), ("STRLEN", "user:5"), ("MGET", "user:1", "user:2", "none"), ("KEYS", "user:1*"))
    c.close()


def multi():
    c, other = connect(), connect()
    c.all(("MULTI",), ("SET", "a", 1), ("INCR", "a"), ("GET", "a"), ("EXEC",))
    c.do("MULTI")
    c.do("SET", "b", "x")
    c.do("INCR", "b")
    c.do("EXEC")  # an error among its elements
    c.all(("MULTI",), ("SET", "c"), ("EXEC",))  # EXECABORT
    c.all(("MULTI",), ("SET", "d", 1), ("DISCARD",))
    c.do("WATCH", "a")
    other.do("SET", "a", 7)
    c.all(("MULTI",), ("SET", "a", 8), ("EXEC",))  # nil: somebody else was faster
    c.do("UNWATCH")
    c.do("EXEC")  # without MULTI
    c.all(("MULTI",), ("PING",), ("LRANGE", "nolist", 0, -1), ("HGETALL", "nohash"), ("EXEC",))
    c.close()
    other.close()


def pubsub():
    news = connect()
    for version in (2, 3):
        sub = connect()
        if version == 3:
            sub.do("HELLO", 3)
        sub.do("SUBSCRIBE", "news", "sport", values=2)
        sub.do("PSUBSCRIBE", "w*", values=1)
        news.all(("PUBLISH", "news", "n" * 100), ("PUBLISH", "weather", "rain"), ("PUBLISH", "nobody", "x"))
        sub.unasked(2)
        sub.do("PING")
        if version == 3:
            sub.do("SET", "between", 1)  # other commands may go on in RESP3
            sub.send(("GET", "between"), ("UNSUBSCRIBE", "news"))
            sub.reply()
            sub.reply()
        else:
            sub.do("GET", "x")  # refused
            sub.do("UNSUBSCRIBE", "news")
        news.do("PUBLISH", "sport", "goal")
        sub.unasked()
        sub.do("UNSUBSCRIBE")
        sub.do("PUNSUBSCRIBE")
        sub.do("SSUBSCRIBE", "shard")
        news.do("SPUBLISH", "shard", "s")
        sub.unasked()
        sub.do("SUNSUBSCRIBE", "shard")
        sub.do("PING")
        sub.close()
    news.do("PUBSUB", "CHANNELS")
    news.close()


def tracking():
    """Invalidation messages of RESP3."""
    c, other = connect(), connect()
    c.do("HELLO", 3)
    c.do("CLIENT", "TRACKING", "ON")
    other.do("SET", "t", 1)
    c.do("GET", "t")
    other.do("SET", "t", 2)
    c.unasked()
    c.do("GET", "t")
    c.all(("HSET", "h", "f", "1.5"), ("HGETALL", "h"), ("ZADD", "z", 1.5, "m"), ("ZSCORE", "z", "m"), ("SMEMBERS", "none"), ("GET", "none"))
    c.all(("DEBUG", "PROTOCOL", "attrib"), ("DEBUG", "PROTOCOL", "bignum"), ("DEBUG", "PROTOCOL", "verbatim"), ("DEBUG", "PROTOCOL", "true"),
          ("DEBUG", "PROTOCOL", "map"), ("DEBUG", "PROTOCOL", "set"), ("DEBUG", "PROTOCOL", "null"), ("DEBUG", "PROTOCOL", "double"))
    c.close()
    other.close()


def blocking():
    waiter, giver = connect(), connect()
    waiter.do("BLPOP", "queue", "other", "0.2")  # nil after its time
    for command in (("BLPOP", "queue", 5), ("BRPOPLPUSH", "queue", "done", 5), ("BLMOVE", "queue", "done", "LEFT", "RIGHT", 5)):
        waiter.send(command)
        time.sleep(0.1)
        giver.do("RPUSH", "queue", "job")
        waiter.reply()
    waiter.send(("XREAD", "BLOCK", 5000, "STREAMS", "events", "$"))
    time.sleep(0.1)
    giver.do("XADD", "events", "*", "kind", "click")
    waiter.reply()
    waiter.send(("BZPOPMIN", "scores", 5))
    time.sleep(0.1)
    giver.all(("ZADD", "scores", 1, "a"), ("WAIT", 1, 150))
    waiter.reply()
    waiter.send(("BLPOP", "queue", 5), ("GET", "after"))  # what comes behind it waits, too
    time.sleep(0.1)
    giver.do("LPUSH", "queue", "last")
    waiter.reply()
    waiter.reply()
    waiter.send(("BLPOP", "never", 0))
    time.sleep(0.1)
    clients = giver.do("CLIENT", "LIST").decode()
    number = [line.split("id=")[1].split(" ")[0] for line in clients.splitlines() if f":{waiter.port} " in line][0]
    giver.do("CLIENT", "UNBLOCK", number, "ERROR")
    waiter.reply()
    waiter.close()
    giver.close()


def monitor():
    watcher, c = connect(), connect()
    watcher.do("MONITOR")
    c.all(("SET", "seen", "by the monitor"), ("GET", "seen"), ("LPUSH", "seen", "x"), ("GET", "gone"))
    c.do("SELECT", 5)
    c.do("GET", "in 5")
    watcher.unasked(5)  # LPUSH on a string is refused, and shown; the last one is not read
    watcher.unasked()
    watcher.do("RESET")
    watcher.do("PING")
    watcher.close()
    c.close()


def errors():
    c = connect()
    c.do("SET", "text", "t")
    c.do("LPUSH", "text", "x")  # WRONGTYPE
    c.do("INCR", "text")
    c.do("NOSUCHCOMMAND", "a", "secret value")
    c.do("CONFIG", "NOSUCH")
    c.do("GET")  # arity
    c.do("SET", "k", "v", "EX", "nonsense")
    c.do("EVALSHA", "0" * 40, 0)  # NOSCRIPT
    c.do("EVAL", "return redis.error_reply('MYERR from a script')", 0)
    c.do("EVAL", "return redis.call('incr', KEYS[1])", 1, "text")
    c.do("XREADGROUP", "GROUP", "g", "me", "STREAMS", "nostream", ">")  # NOGROUP
    c.do("OBJECT", "ENCODING", "none")
    c.do("SELECT", 99)
    c.do("CONFIG", "SET", "maxmemory", "1")
    c.do("SET", "big", "x" * 100)  # OOM
    c.do("CONFIG", "SET", "maxmemory", "0")
    c.do("REPLICAOF", "127.0.0.1", 1)
    c.do("SET", "text", "u")  # READONLY
    c.do("CONFIG", "SET", "replica-serve-stale-data", "no")
    c.do("GET", "text")  # MASTERDOWN
    c.do("REPLICAOF", "NO", "ONE")
    c.do("CONFIG", "SET", "min-replicas-to-write", "3")
    c.do("SET", "text", "u")  # NOREPLICAS
    c.do("CONFIG", "SET", "min-replicas-to-write", "0")
    c.do("HELLO", 9)  # NOPROTO
    c.do("AUTH", "no such password")
    c.do("QUIT")
    c.close()
    c = connect()
    c.do("PING")
    c.send(b"PING \"unbalanced\r\n")
    c.reply()
    c.close()
    c = connect()
    c.s.sendall(b"*1\r\n$-5\r\n")  # no command at all: the server says so and closes
    c.value()
    truth["unasked"] += 1
    c.close()


def secrets():
    c = connect()
    c.do("ACL", "SETUSER", "alice", "on", ">wonderland", "~*", "+@all")
    c.do("AUTH", "alice", "wrong-secret")
    c.do("AUTH", "alice", "wonderland")
    c.do("HELLO", 3, "AUTH", "alice", "wonderland", "SETNAME", "app")
    c.do("CONFIG", "SET", "requirepass", "topsecret")
    c.do("CONFIG", "SET", "masterauth", "othersecret", "masteruser", "repl")
    c.do("CONFIG", "GET", "requirepass")
    c.do("MIGRATE", "127.0.0.1", 1, "", 0, 50, "AUTH2", "alice", "wonderland", "KEYS", "none")
    fresh = connect()
    fresh.do("GET", "x")  # NOAUTH
    fresh.do("AUTH", "topsecret")
    fresh.do("GET", "x")
    fresh.send(b"AUTH topsecret\r\n")
    fresh.reply()
    fresh.do("CONFIG", "SET", "requirepass", "")
    fresh.do("ACL", "DELUSER", "alice")
    fresh.close()
    try:
        c.close()
    except OSError:
        pass


def replyoff():
    c = connect()
    c.do("SET", "n", 0)
    c.silent(("CLIENT", "REPLY", "OFF"), ("INCR", "n"), ("INCR", "n"))
    c.silent(("GET", "n"))
    c.do("CLIENT", "REPLY", "ON")
    c.do("GET", "n")
    c.send(("INCR", "n"))
    c.reply()
    c.silent(("CLIENT", "REPLY", "SKIP"), ("INCR", "n"))
    c.do("GET", "n")
    c.silent(("CLIENT", "REPLY", "SKIP"), ("INCR", "n"))
    c.all(("GET", "n"), ("GET", "n"))
    c.close()


def inline():
    c = connect()
    for line in (b"PING\r\n", b"SET in line\r\n", b"get in\r\n", b"EXISTS in\r\n", b"SET \"quoted key\" 'a value'\n", b"NOSUCH thing\r\n"):
        c.send(line)
        c.reply()
    c.s.sendall(b"\r\n")  # nothing at all is no command
    c.send(b"PING\r\n", ("GET", "in"), b"DBSIZE\r\n")
    for _ in range(3):
        c.reply()
    c.send(b"QUIT\r\n")
    c.reply()
    c.close()


def big():
    c = connect()
    c.do("SET", "big", bytes(range(256)) * 200)
    c.do("GET", "big")
    c.do("GETRANGE", "big", 100, 20099)
    c.all(*(("RPUSH", "list", "v" * 40) for _ in range(60)))
    c.do("LRANGE", "list", 0, -1)
    c.do("MSET", *(f"{w}{n}" for n in range(300) for w in ("key:", "value ")))
    c.do("SET", "k" * 5000, "long key")
    c.close()


def resets():
    c = connect()
    c.do("SET", "a", 1)
    c.send(("BLPOP", "never", 0))
    time.sleep(0.1)
    c.close(reset=True)  # while it waits
    c = connect()
    c.all(("GET", "a"), ("PING",))
    number = c.do("CLIENT", "ID")
    killer = connect()
    killer.do("CLIENT", "KILL", "ID", number)
    c.send(("GET", "a"))
    c.reply()  # nobody is there
    c.close()
    killer.close()
    c = connect()
    c.send(("SET", "half", "x" * 100))
    c.reply()
    c.s.sendall(encode(("SET", "never", "x" * 100))[:40])  # and then nothing
    c.note(["SET", "never"], 0)
    time.sleep(0.1)
    c.close(reset=True)


def loss():
    c = connect()
    for n in range(28):
        c.all(*(("SET", f"lossy:{n}:{i}", "v" * (n * 29 + i * 53)) for i in range(3)))
        c.all(*(("GET", f"lossy:{n}:{i}") for i in range(3)))
    c.close()


def cluster():
    c = connect()
    for key in ("a", "b", "c", "foo", "bar", "hello"):
        c.do("SET", key, "v" + key)
    c.do("MGET", "a", "b")  # CROSSSLOT
    c.do("GET", "{migrating}k")  # ASK
    c.do("ASKING")
    c.do("CLUSTER", "KEYSLOT", "foo")
    c.do("CLUSTER", "INFO")
    c.do("CLUSTER", "SLOTS")
    c.close()


def main():
    global ADDRESS, PORT
    ADDRESS = sys.argv[2]
    PORT = int(sys.argv[3])
    globals()[sys.argv[1]]()
    truth["exchanges"].sort(key=lambda e: e[0])
    json.dump(truth, sys.stdout)


if __name__ == "__main__":
    main()
