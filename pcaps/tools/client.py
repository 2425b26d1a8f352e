#!/usr/bin/env python3
"""The clients of the recordings. Each says on standard output, as JSON, what it sent and got: the truth that the
records of its capture are accepted against. Standard library only.

    client.py SCENARIO ADDRESS [PORT]
"""
import json
import os
import select
import socket
import ssl
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from truth import summary

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36"
truth = {"tcp_connections": 0, "exchanges": []}


class Connection:
    """One TCP connection that speaks HTTP and counts what passes."""

    def __init__(self, address, port, source_port=0, settings=()):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.s = socket.socket(family, socket.SOCK_STREAM)
        self.s.settimeout(20)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for setting in settings:
            self.s.setsockopt(*setting)
        if source_port:
            self.s.bind(("", source_port))
        self.s.connect((address, port))
        truth["tcp_connections"] += 1
        self.port = self.s.getsockname()[1]
        self.held = b""
        self.waiting = []  # what was sent and has no answer yet

    def send(self, method, target, headers=(), body=b"", version="1.1", host="www.example.com", pieces=1):
        lines = [f"{method} {target} HTTP/{version}"]
        if host:
            lines.append(f"Host: {host}")
        lines += [f"{k}: {v}" for k, v in headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.raw(method, target, ("\r\n".join(lines) + "\r\n\r\n").encode() + body, pieces)

    def raw(self, method, target, data, pieces=1):
        """Sends bytes that are one request, in so many segments."""
        self.waiting.append([self.port, method, target, None, len(data), 0])
        step = max(1, -(-len(data) // pieces))
        for at in range(0, len(data), step):
            self.s.sendall(data[at : at + step])
            if pieces > 1:
                time.sleep(0.003)

    def more(self):
        data = self.s.recv(65536)
        self.held += data
        return len(data) > 0

    def take(self, n):
        while len(self.held) < n:
            if not self.more():
                n = len(self.held)
        out, self.held = self.held[:n], self.held[n:]
        return out

    def line(self):
        while b"\r\n" not in self.held:
            if not self.more():
                return None
        out, self.held = self.held.split(b"\r\n", 1)
        return out

    def answer(self):
        """Reads the answer to the oldest request; its status (None at the end of the stream) and its headers."""
        exchange = self.waiting.pop(0)
        truth["exchanges"].append(exchange)
        try:
            return self._answer(exchange)
        except ConnectionResetError:
            exchange[5] = 0  # the kernel threw away what was still unread
            return exchange[3], {}

    def _answer(self, exchange):
        size = 0
        while True:
            first = self.line()
            if first is None:
                return None, {}
            size += len(first) + 2
            status, headers = int(first.split(b" ")[1]), {}
            while True:
                line = self.line()
                if line is None:
                    return None, {}
                size += len(line) + 2
                if not line:
                    break
                k, _, v = line.decode("latin-1").partition(":")
                headers[k.lower()] = v.strip()
            if status >= 200 or status == 101:
                break
            size = 0  # the length is the final response's alone
        exchange[3] = status
        exchange[5] = size
        method = exchange[1]
        if method == "HEAD" or status in (101, 204, 304) or (method == "CONNECT" and status == 200):
            pass
        elif "chunked" in headers.get("transfer-encoding", ""):
            while True:
                line = self.line()
                size += len(line) + 2
                n = int(line.split(b";")[0], 16)
                if n == 0:
                    while True:
                        line = self.line()
                        size += len(line) + 2
                        if not line:
                            break
                    break
                size += len(self.take(n + 2))
        elif "content-length" in headers:
            size += len(self.take(int(headers["content-length"])))
        else:
            while self.more():
                pass
            size += len(self.held)
            self.held = b""
        exchange[5] = size
        return status, headers

    def get(self, target, *args, **kw):
        self.send("GET", target, *args, **kw)
        return self.answer()

    def close(self, reset=False):
        for exchange in self.waiting:
            truth["exchanges"].append(exchange)
        self.waiting = []
        if reset:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.s.close()


def keepalive(address, port):
    agents = [BROWSER, "curl/7.88.1", "okhttp/4.9.3"]
    for n in range(3):
        c = Connection(address, port)
        for i in range(12):
            headers = [("User-Agent", agents[n]), ("Accept", "*/*"), ("X-Request-ID", "%08x-%d" % (n * 4096 + i, n))]
            if i % 3 == 0:
                headers.append(("Referer", "http://www.example.com/index.html"))
            if i % 5 == 4:
                c.send("POST", f"/echo?id={i}", headers, b"a=b&" * 20)
                c.answer()
            else:
                c.get(f"/f{(200, 1000, 4000)[i % 3]}.html?page={i}", headers)
            time.sleep(0.004)
        c.close()


def shorts(address, port):
    """A connection for each request, the server closes."""
    for i in range(25):
        c = Connection(address, port)
        c.get(f"/f{(200, 1000)[i % 2]}.html" if i % 6 else f"/missing/{i}", [("Connection", "close")])
        c.close()


def pipeline(address, port):
    for depth in (1, 2, 3, 5, 8, 16, 32):
        c = Connection(address, port)
        parts = []
        for i in range(depth):
            method = "HEAD" if i % 7 == 3 else "GET"
            target = f"/f{(200, 1000, 4000)[i % 3]}.html" if i % 5 != 4 else f"/missing/{depth}/{i}"
            text = f"{method} {target} HTTP/1.1\r\nHost: pipe{depth}.example.com\r\n\r\n".encode()
            c.waiting.append([c.port, method, target, None, len(text), 0])
            parts.append(text)
        c.s.sendall(b"".join(parts))
        for _ in range(depth):
            c.answer()
        c.close()


def bodies(address, port):
    c = Connection(address, port)
    c.get("/f64000.html")
    c.get("/f64000.html", [("Accept-Encoding", "gzip")])
    _, headers = c.get("/f4000.html")
    c.get("/f4000.html", [("If-None-Match", headers["etag"])])
    c.get("/f4000.html", [("If-Modified-Since", headers["last-modified"])])
    c.get("/f64000.html", [("Range", "bytes=100-299")])
    c.get("/f64000.html", [("Range", "bytes=0-9,200-219")])
    c.get("/f64000.html", [("Range", "bytes=99999999-")])
    c.send("HEAD", "/f64000.html")
    c.answer()
    c.get("/nothing")
    c.close()


def uploads(address, port):
    c = Connection(address, port)
    c.send("POST", "/up/plain", [("Content-Type", "application/octet-stream")], b"\0\1\2\3" * 5000)
    c.answer()
    c.send("PUT", "/up/pieces", body=b"0123456789" * 300, pieces=7)
    c.answer()
    chunks = b"".join(b"%x\r\n" % len(x) + x + b"\r\n" for x in (b"a" * 10, b"b" * 3000, b"c" * 255)) + b"0\r\n\r\n"
    head = b"POST /up/chunked HTTP/1.1\r\nHost: www.example.com\r\nTransfer-Encoding: chunked\r\n\r\n"
    c.raw("POST", "/up/chunked", head + chunks, 4)
    c.answer()
    # asks first, and sends the body when the server has said that it wants it
    body = b"z" * 6000
    head = b"POST /up/expect HTTP/1.1\r\nHost: www.example.com\r\nExpect: 100-continue\r\nContent-Length: 6000\r\n\r\n"
    c.raw("POST", "/up/expect", head)
    assert c.line().startswith(b"HTTP/1.1 100")
    assert c.line() == b""
    c.waiting[0][4] += len(body)
    c.s.sendall(body)
    c.answer()
    c.send("DELETE", "/up/plain")
    c.answer()
    c.send("PATCH", "/up/plain", body=b"{}")
    c.answer()
    c.send("OPTIONS", "/up/plain")
    c.answer()
    c.close()


def errors(address, port):
    c = Connection(address, port)
    for target in ("/missing", "/f200.html", "/return/401", "/return/403", "/return/410", "/return/429", "/return/500", "/return/503",
                   "/forbidden/", "/moved", "/found", "/gone-upstream", "/slow"):
        c.send("POST" if target == "/f200.html" else "GET", target, body=b"x=1" if target == "/f200.html" else b"")
        _, headers = c.answer()
        if headers.get("connection") == "close":
            c.close()
            c = Connection(address, port)
    c.close()
    for method, target, text in (
        ("GET", "/", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("GET", "/no-host", b"GET /no-host HTTP/1.1\r\n\r\n"),
        ("GET", "/long", b"GET /" + b"l" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("GET", "/big-header", b"GET /big-header HTTP/1.1\r\nHost: a\r\nX-Big: " + b"h" * 9000 + b"\r\n\r\n"),
        ("POST", "/up/huge", b"POST /up/huge HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n"),
        ("GET", "/version", b"GET /version HTTP/3.7\r\nHost: a\r\n\r\n"),
    ):
        c = Connection(address, port)
        c.raw(method, target, text)
        c.answer()
        c.close()


def hosts(address, port):
    c = Connection(address, port)
    for name in ("www.example.com", "api.example.com", "API.Example.COM:80", "other.example.net", "192.0.2.80"):
        c.get("/whoami", host=name)
    c.send("GET", "http://absolute.example.org/whoami?x=1", host="ignored.example.com")
    c.answer()
    c.send("OPTIONS", "*", host="www.example.com")
    c.answer()
    c.get("/with%20space/%C3%A9?q=a+b&c=%26")
    c.get("/whoami", [("User-Agent", "M\u00f6tley/1.0"), ("Referer", "https://other.example.net/a?b=c")])
    c.close()
    for headers in ((), (("Connection", "close"),)):
        c = Connection(address, port)
        c.get("/whoami", headers, version="1.0", host="" if not headers else "ten.example.com")
        c.close()
    c = Connection(address, port)
    for _ in range(3):
        c.get("/whoami", (("Connection", "keep-alive"),), version="1.0")
    c.close()


def traces(address, port):
    t, s = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    sw8 = ("1-MzBmYzA2NTE0YWM0NDk3Yjg5ZmY0ZjlmYTc4ZDhmYjQ=-c2VnbWVudC0xMjM=-3-UHJvZHVjdFNlcnZpY2U=-aW5zdGFuY2VB-L2FwaS9wcm9kdWN0cw==-MTkyLjAuMi44MDo4MA==")
    sets = [
        [("traceparent", f"00-{t}-{s}-01")],
        [("traceparent", f"00-{t}-{s}-00"), ("tracestate", "vendor=1")],
        [("traceparent", f"ff-{t}-{s}-01")],  # version ff is invalid: no trace
        [("traceparent", "00-" + "0" * 32 + f"-{s}-01")],  # an all-zero trace id is invalid
        [("sw8", sw8)],
        [("X-B3-TraceId", t), ("X-B3-SpanId", s), ("X-B3-Sampled", "1")],
        [("x-b3-traceid", t[:16]), ("x-b3-spanid", s)],
        [("b3", f"{t}-{s}-1-05e3ac9a4f6e3b90")],
        [("b3", "0")],
        [("uber-trace-id", f"{t}:{s}:0:1")],
        [("uber-trace-id", f"{t}%3A{s}%3A0%3A1")],
        [("X-Request-ID", "7b8f2f4c-2b6c-4e9e-9d0f-1a2b3c4d5e6f")],
        [("X-Forwarded-For", "203.0.113.7, 198.51.100.2")],
        [("X-Forwarded-For", "2001:db8::7")],
        [("X-Real-IP", "203.0.113.9")],
        [("traceparent", f"00-{t}-{s}-01"), ("X-Request-Id", "both"), ("X-Forwarded-For", "203.0.113.8")],
        [("TRACEPARENT", f"00-{t}-{s}-01")],
    ]
    c = Connection(address, port)
    for n, headers in enumerate(sets):
        c.get(f"/whoami?set={n}", headers)
    c.close()


def odd(address, port):
    c = Connection(address, port)
    for target in ("/trailers", "/hints", "/bytes", "/empty-reason", "/status/204", "/status/304", "/status/418", "/status/599"):
        c.get(target)
    c.send("HEAD", "/status/200")
    c.answer()
    c.send("GET", "/plain", pieces=40)
    c.answer()
    c.get("/until-close")
    c.close()


def slow(address, port):
    c = Connection(address, port)
    for i in range(4):
        c.get(f"/delay/{i}")
    c.close()


def longflow(address, port):
    c = Connection(address, port)
    for i in range(30):
        c.get(f"/f200.html?n={i}")
        time.sleep(0.06)
    c.close()


def large(address, port):
    for i in range(2):
        c = Connection(address, port)
        c.get(f"/f64000.html?n={i}")
        c.send("POST", f"/up/{i}", body=b"d" * 40000)
        c.answer()
        c.get("/f200.html")
        c.close()


def mirrored(address, port):
    for i in range(2):
        c = Connection(address, port)
        c.get(f"/f12000.html?n={i}")
        c.send("POST", f"/up/{i}", body=b"d" * 12000)
        c.answer()
        c.get("/f200.html")
        c.get("/f200.html")
        c.close()


def handshakes(address, port):
    for i in range(4):
        c = Connection(address, port)
        c.get(f"/f4000.html?n={i}")
        c.close()


def resets(address, port):
    c = Connection(address, port)  # by the server, in the middle of a body
    c.send("GET", "/reset")
    c.answer()
    c.close()
    c = Connection(address, port)  # by the server, instead of an answer
    c.send("GET", "/abort")
    c.answer()
    c.close()
    c = Connection(address, port)  # by the client, after an answer
    c.get("/plain")
    c.close(reset=True)
    c = Connection(address, port)  # by the client, before the answer
    c.send("GET", "/silent")
    time.sleep(0.05)
    c.close(reset=True)
    c = Connection(address, port)  # by the client, right after the handshake
    c.close(reset=True)
    for _ in range(2):  # a port where nobody listens
        try:
            Connection(address, 9)
        except ConnectionRefusedError:
            truth["refused"] = truth.get("refused", 0) + 1
    time.sleep(1.1)


def unanswered(address, port):
    """SYNs to an address that is not there: resolved by a static neighbour, so that they do leave."""
    s = socket.socket()
    s.settimeout(3.5)
    try:
        s.connect((address, port))
    except (TimeoutError, OSError):
        truth["no_answer"] = 1
    s.close()


def halfclose(address, port):
    s = socket.create_connection((address, port), 10)
    truth["tcp_connections"] += 1
    s.sendall(b"some words, and no more\n")
    s.shutdown(socket.SHUT_WR)
    got = b""
    while True:
        data = s.recv(4096)
        if not data:
            break
        got += data
    truth["received"] = len(got)
    s.close()


def portreuse(address, port):
    for i in range(4):
        c = Connection(address, port, source_port=44444)
        c.get(f"/whoami?life={i}")
        c.close(reset=i % 2 == 0)
        time.sleep(1.05 if i % 2 else 0.02)


def portreuse_closed(address, port):
    """The server closes first, so that the client may take the same port again at once."""
    for i in range(3):
        c = Connection(address, port, source_port=44445)
        c.get(f"/whoami?life={i}", [("Connection", "close")])
        c.s.recv(1)
        c.close()


def probes(address, port):
    keep = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)]
    c = Connection(address, port, settings=keep)
    c.get("/whoami?before")
    time.sleep(4.3)
    c.get("/whoami?after")
    c.close()
    truth["keepalive_probes_at_least"] = 3


def zerowindow(address, port):
    """Neither end reads for a while: the client here, or the server (role sink)."""
    c = Connection(address, port, settings=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)])
    c.send("GET", "/f64000.html")
    time.sleep(1.5)
    c.answer()
    c.close()


def fillsink(address, port):
    s = socket.create_connection((address, port), 20)
    truth["tcp_connections"] += 1
    s.sendall(b"q" * 300000)
    s.shutdown(socket.SHUT_WR)
    truth["sink_got"] = int(s.recv(100))
    s.close()


def simultaneous(address, port):
    """Opens from a fixed port to the same fixed port; the other side does the same (see record.sh)."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", port))
    s.settimeout(15)
    s.connect((address, port))
    s.sendall(b"hello from one side\n")
    truth["tcp_connections"] += 1
    truth["received"] = len(s.recv(100))
    time.sleep(0.3)
    s.close()


def websocket(address, port):
    c = Connection(address, port)
    key = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
    assert c.get("/ws/chat", key)[0] == 101
    count = 0
    for opcode, size in ((1, 5), (2, 125), (1, 126), (2, 5000), (2, 70000), (9, 4), (1, 0)):
        body = bytes(97 + i % 26 for i in range(size))
        mask = b"\x11\x22\x33\x44"
        head = bytes((0x80 | opcode,))
        head += bytes((0x80 | size,)) if size < 126 else struct.pack(">BH", 254, size) if size < 65536 else struct.pack(">BQ", 255, size)
        c.s.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(body)))
        first = c.take(2)
        n = first[1] & 127
        n = struct.unpack(">H", c.take(2))[0] if n == 126 else struct.unpack(">Q", c.take(8))[0] if n == 127 else n
        assert n == size and len(c.take(n)) == n
        count += 1
    c.s.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
    c.take(4)
    truth["websocket_messages_each_way"] = count + 1
    c.close()


def tunnel(address, port):
    """CONNECT through the proxy to a TLS server, one to a closed port, and one tunnel that carries clear HTTP."""
    target = sys.argv[4]
    c = Connection(address, port)
    c.send("CONNECT", f"{target}:443", host=f"{target}:443")
    assert c.answer()[0] == 200
    context = ssl._create_unverified_context()
    tls = context.wrap_socket(c.s, server_hostname="www.example.com")
    tls.sendall(b"GET /whoami HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n")
    while tls.recv(65536):
        pass
    tls.close()
    c = Connection(address, port)
    c.send("CONNECT", f"{target}:9", host=f"{target}:9")
    assert c.answer()[0] == 502
    c.close()
    c = Connection(address, port)
    c.send("CONNECT", f"{target}:80", host=f"{target}:80")
    assert c.answer()[0] == 200
    c.get("/whoami?inside")
    c.close()


def tls(address, port):
    context = ssl._create_unverified_context()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context.minimum_version = context.maximum_version = version
        s = context.wrap_socket(socket.create_connection((address, port), 10), server_hostname="secure.example.com")
        truth["tcp_connections"] += 1
        for _ in range(2):
            s.sendall(b"GET /f1000.html HTTP/1.1\r\nHost: secure.example.com\r\n\r\n")
            s.recv(65536)
        s.close()


def datagrams(address, port):
    """Echoed datagrams of sizes below and above the MTU."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect((address, port))
    sent = 0
    for size in (0, 1, 60, 1000, 1472, 1473, 2000, 4000, 9000, 30000):
        s.send(bytes(i & 255 for i in range(size)))
        assert len(s.recv(65536)) == size
        sent += 1
    truth["udp_datagrams_each_way"] = sent


def smalldatagrams(address, port):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect((address, port))
    for i in range(8):
        s.send(b"ping %d" % i)
        s.recv(2000)
        time.sleep(0.003)
    truth["udp_datagrams_each_way"] = 8


def repeated(address, port):
    """The same question again: at once, after 2 ms, after 30 ms; each is answered."""
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    for i in range(6):
        for pause in (0, 0, 0.002, 0.03):
            time.sleep(pause)
            s.sendto(b"what is the time, %d?" % i, (address, port))
        for _ in range(4):
            s.recv(2000)
        time.sleep(0.05)
    truth["udp_datagrams_each_way"] = 24


def oneway(address, port):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    for i in range(10):
        s.sendto(b"metric.%d:1|c" % i, (address, port))
        time.sleep(0.01)
    for i in range(2):
        s.sendto(b"nobody", (address, 9))
        time.sleep(0.05)
    truth["udp_datagrams"] = 12


def ping(address, port):
    """ICMP echo of both families; the kernel of the server answers."""
    v6 = ":" in address
    s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP)
    s.connect((address, 0))
    count = 0
    for n in range(5):
        body = struct.pack(">HH", 0x7A7A, n) + bytes(range(40))
        message = bytes((128 if v6 else 8, 0, 0, 0)) + body
        if not v6:
            total = sum(struct.unpack(">%dH" % (len(message) // 2), message))
            total = (total >> 16) + (total & 0xFFFF)
            total = ~(total + (total >> 16)) & 0xFFFF
            message = message[:2] + struct.pack(">H", total) + message[4:]
        s.send(message)
        if select.select([s], [], [], 2)[0]:
            s.recv(2000)
            count += 1
        time.sleep(0.02)
    truth["icmp_answers"] = count


def main():
    scenario, address = sys.argv[1:3]
    port = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    globals()[scenario](address, port)
    print(json.dumps(summary(truth)))


if __name__ == "__main__":
    main()
