#!/usr/bin/env python3
"""Small servers with the habits that the recordings need and that nginx does not have. Standard library only.

    servers.py websocket ADDRESS PORT      echoes WebSocket messages (RFC 6455)
    servers.py connect ADDRESS PORT        a proxy that knows CONNECT and nothing else
    servers.py http ADDRESS PORT           answers oddly: see odd_answer()
    servers.py upstream ADDRESS PORT       reads whole requests; /slow answers after 3 s, all else at once
    servers.py sink ADDRESS PORT           accepts, reads nothing for 2 s, then everything
    servers.py halfclose ADDRESS PORT      reads to the end of the stream, then answers
    servers.py udp-echo ADDRESS PORT       sends each datagram back
    servers.py udp-sink ADDRESS PORT       swallows datagrams
"""
import base64
import hashlib
import socket
import struct
import sys
import threading
import time


def listener(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    s.listen(128)
    return s


def serve(address, port, handle):
    s = listener(address, port)
    while True:
        conn, _ = s.accept()
        threading.Thread(target=guarded, args=(handle, conn), daemon=True).start()


def guarded(handle, conn):
    try:
        handle(conn)
    except OSError:
        pass
    finally:
        conn.close()


class Reader:
    def __init__(self, conn):
        self.conn, self.held = conn, b""

    def until(self, mark):
        while mark not in self.held:
            more = self.conn.recv(65536)
            if not more:
                return None
            self.held += more
        head, self.held = self.held.split(mark, 1)
        return head

    def exactly(self, n):
        while len(self.held) < n:
            more = self.conn.recv(65536)
            if not more:
                return None
            self.held += more
        out, self.held = self.held[:n], self.held[n:]
        return out

    def request(self):
        """(method, target, headers) of the next request with its body read, or None at the end."""
        head = self.until(b"\r\n\r\n")
        if head is None:
            return None
        lines = head.decode("latin-1").split("\r\n")
        method, target = lines[0].split(" ")[:2]
        headers = {k.strip().lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:])}
        if headers.get("expect", "").lower() == "100-continue":
            self.conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in headers.get("transfer-encoding", ""):
            while True:
                size = int(self.until(b"\r\n").split(b";")[0], 16)
                if size == 0:
                    while self.until(b"\r\n"):
                        pass
                    break
                self.exactly(size + 2)
        else:
            self.exactly(int(headers.get("content-length", 0)))
        return method, target, headers


def websocket(conn):
    r = Reader(conn)
    request = r.request()
    if request is None:
        return
    key = request[2].get("sec-websocket-key", "")
    accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    conn.sendall(
        f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    while True:
        head = r.exactly(2)
        if head is None:
            return
        opcode, length = head[0] & 15, head[1] & 127
        if length == 126:
            length = struct.unpack(">H", r.exactly(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", r.exactly(8))[0]
        mask = r.exactly(4)
        body = bytes(b ^ mask[i % 4] for i, b in enumerate(r.exactly(length)))
        conn.sendall(frame(10 if opcode == 9 else opcode, body))
        if opcode == 8:
            return


def frame(opcode, body):
    n = len(body)
    if n < 126:
        return bytes((0x80 | opcode, n)) + body
    if n < 65536:
        return struct.pack(">BBH", 0x80 | opcode, 126, n) + body
    return struct.pack(">BBQ", 0x80 | opcode, 127, n) + body


def connect(conn):
    r = Reader(conn)
    request = r.request()
    if request is None:
        return
    method, target, _ = request
    if method != "CONNECT":
        conn.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
        return
    host, _, port = target.rpartition(":")
    try:
        far = socket.create_connection((host.strip("[]"), int(port)), 5)
    except OSError:
        conn.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        return
    conn.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n" + b"")
    if r.held:
        far.sendall(r.held)
    back = threading.Thread(target=pump, args=(far, conn), daemon=True)
    back.start()
    pump(conn, far)
    back.join(5)


def pump(a, b):
    try:
        while True:
            data = a.recv(65536)
            if not data:
                break
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def odd(conn):
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    r = Reader(conn)
    while True:
        request = r.request()
        if request is None or not odd_answer(conn, *request):
            return


def odd_answer(conn, method, target, headers):
    """Sends the answer; whether the connection goes on."""
    if target == "/until-close":
        conn.sendall(b"HTTP/1.0 200 OK\r\nServer: odd\r\nContent-Type: text/plain\r\n\r\n" + b"x" * 5000)
        return False
    if target == "/trailers":
        conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
        for part in (b"5;ext=1\r\nhello\r\n", b"A;q=\"a;b\"\r\n0123456789\r\n", b"1\r\n!\r\n", b"0\r\nX-Sum: 42\r\n\r\n"):
            conn.sendall(part)
            time.sleep(0.002)
        return True
    if target == "/hints":
        conn.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n\r\n")
        time.sleep(0.005)
        conn.sendall(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return True
    if target == "/bytes":
        for b in b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nServer: odd\r\n\r\n0123456789":
            conn.sendall(bytes((b,)))
        return True
    if target == "/reset":
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"y" * 3000)
        time.sleep(0.02)
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    if target == "/abort":
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    if target == "/silent":
        time.sleep(1)
        return False
    if target.startswith("/status/"):
        code = int(target.split("/")[2])
        body = b"" if code in (204, 304) or method == "HEAD" else b"status %d\n" % code
        length = b"" if code == 204 else b"Content-Length: 10\r\n" if code == 304 else b"Content-Length: %d\r\n" % len(body)
        conn.sendall(b"HTTP/1.1 %d Some Words\r\n" % code + length + b"\r\n" + body)
        return True
    if target == "/empty-reason":
        conn.sendall(b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n")
        return True
    body = b"" if method == "HEAD" else b"hello\n"
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\n" + body)
    return headers.get("connection", "").lower() != "close"


def upstream(conn):
    r = Reader(conn)
    while True:
        request = r.request()
        if request is None:
            return
        if request[1].startswith("/slow"):
            time.sleep(3)
        elif request[1].startswith("/delay"):
            time.sleep(0.3)
        body = ("%s %s\n" % request[:2]).encode()
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def sink(conn):
    time.sleep(2)
    total = 0
    while True:
        data = conn.recv(65536)
        if not data:
            break
        total += len(data)
    conn.sendall(b"%d\n" % total)


def halfclose(conn):
    total = 0
    while True:
        data = conn.recv(65536)
        if not data:
            break
        total += len(data)
    time.sleep(0.05)
    for _ in range(5):
        conn.sendall(b"%d bytes\n" % total)
        time.sleep(0.01)


def udp(address, port, echo):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((address, port))
    while True:
        data, peer = s.recvfrom(65536)
        if echo:
            s.sendto(data, peer)


def main():
    what, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    streams = {"websocket": websocket, "connect": connect, "http": odd, "upstream": upstream, "sink": sink, "halfclose": halfclose}
    if what in streams:
        if what == "sink":
            s = listener(address, port)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            while True:
                conn, _ = s.accept()
                threading.Thread(target=guarded, args=(sink, conn), daemon=True).start()
        serve(address, port, streams[what])
    elif what in ("udp-echo", "udp-sink"):
        udp(address, port, what == "udp-echo")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
