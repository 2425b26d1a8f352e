#!/usr/bin/env python3
"""A MySQL client that writes the protocol itself: commands that no library sends, pipelines, and the length of each answer
known. Says on standard output, as JSON, what it sent and got. Standard library only.

    mysql_client.py SCENARIO ADDRESS PORT

An exchange is [client port, command, statement, outcome, request bytes, response bytes]; the outcome is "ok", an error's
number, or null where no answer came. Of a login the lengths are not counted (0): it goes back and forth.
"""
import hashlib
import json
import socket
import struct
import sys
import time
import zlib

PROTOCOL_41, COMPRESS, CONNECT_WITH_DB, LOCAL_FILES, TRANSACTIONS, SECURE = 1 << 9, 1 << 5, 1 << 3, 1 << 7, 1 << 13, 1 << 15
MULTI_STATEMENTS, MULTI_RESULTS, PS_MULTI_RESULTS, PLUGIN_AUTH, DEPRECATE_EOF = 1 << 16, 1 << 17, 1 << 18, 1 << 19, 1 << 24
BASE = 1 | PROTOCOL_41 | TRANSACTIONS | SECURE | MULTI_RESULTS | PS_MULTI_RESULTS | PLUGIN_AUTH | MULTI_STATEMENTS
MORE_RESULTS, CURSOR_EXISTS, LAST_ROW_SENT = 8, 64, 128
COMMANDS = {1: "QUIT", 2: "INIT_DB", 3: "QUERY", 4: "FIELD_LIST", 9: "STATISTICS", 10: "PROCESS_INFO", 12: "PROCESS_KILL", 13: "DEBUG",
            14: "PING", 17: "CHANGE_USER", 22: "STMT_PREPARE", 23: "STMT_EXECUTE", 24: "STMT_SEND_LONG_DATA", 25: "STMT_CLOSE",
            26: "STMT_RESET", 27: "SET_OPTION", 28: "STMT_FETCH", 31: "RESET_CONNECTION"}
CODES = {name: code for code, name in COMMANDS.items()}
UNANSWERED = ("QUIT", "STMT_CLOSE", "STMT_SEND_LONG_DATA")
truth = {"protocol": "MySQL", "tcp_connections": 0, "unasked": 0, "affected_rows": 0, "exchanges": []}


class ServerError(Exception):
    def __init__(self, packet):
        self.code = struct.unpack_from("<H", packet, 1)[0]
        super().__init__(packet[3:].decode("utf-8", "replace"))


def lenenc(n):
    return bytes([n]) if n < 251 else b"\xfc" + struct.pack("<H", n) if n < 65536 else b"\xfd" + struct.pack("<I", n)[:3]


def read_lenenc(p, at):
    first = p[at]
    if first < 251:
        return first, at + 1
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}[first]
    return int.from_bytes(p[at + 1 : at + 1 + size], "little"), at + 1 + size


def scramble(password, salt):
    if not password:
        return b""
    one = hashlib.sha1(password.encode()).digest()
    two = hashlib.sha1(salt + hashlib.sha1(one).digest()).digest()
    return bytes(a ^ b for a, b in zip(one, two))


class Connection:
    """One connection; logged in unless login is False."""

    def __init__(self, address, port, user="app", password="apple", database="shop", flags=0, login=True):
        self.s = socket.create_connection((address, port), 20)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        truth["tcp_connections"] += 1
        self.port = self.s.getsockname()[1]
        self.flags = BASE | flags | (CONNECT_WITH_DB if database else 0)
        self.compressed = False
        self.held = self.plain = b""
        self.size = 0  # bytes taken from the stream, of packets only where it is not compressed
        self.sequence = 0
        self.sent = 0  # bytes written
        self.waiting = []
        if login:
            self.login(user, password, database)

    # --- packets
    def fill(self):
        data = self.s.recv(65536)
        if not data:
            raise EOFError
        self.held += data

    def take(self, n):
        while len(self.held) < n:
            self.fill()
        out, self.held = self.held[:n], self.held[n:]
        self.size += n
        return out

    def bytes_of(self, n):
        if not self.compressed:
            return self.take(n)
        while len(self.plain) < n:
            head = self.take(7)
            data = self.take(int.from_bytes(head[:3], "little"))
            self.plain += zlib.decompress(data) if head[4:] != b"\0\0\0" else data
        out, self.plain = self.plain[:n], self.plain[n:]
        return out

    def packet(self):
        out = b""
        while True:
            head = self.bytes_of(4)
            self.sequence = head[3] + 1
            out += self.bytes_of(int.from_bytes(head[:3], "little"))
            if head[:3] != b"\xff\xff\xff":
                return out

    def frame(self, payload, sequence=0):
        data = struct.pack("<I", len(payload))[:3] + bytes([sequence]) + payload
        if not self.compressed:
            return data
        packed = zlib.compress(data)
        if len(data) > 50 and len(packed) < len(data):
            return struct.pack("<I", len(packed))[:3] + bytes([sequence]) + struct.pack("<I", len(data))[:3] + packed
        return struct.pack("<I", len(data))[:3] + bytes([sequence]) + b"\0\0\0" + data

    def write(self, data):
        self.s.sendall(data)
        self.sent += len(data)

    # --- login
    def login(self, user, password, database):
        exchange = [self.port, "LOGIN", None, None, 0, 0]
        truth["exchanges"].append(exchange)
        greeting = self.packet()
        if greeting[0] == 0xFF:
            truth["exchanges"].remove(exchange)
            truth["unasked"] += 1
            raise ServerError(greeting)
        at = greeting.index(0, 1) + 1
        self.number = struct.unpack_from("<I", greeting, at)[0]
        salt = greeting[at + 4 : at + 12] + greeting[at + 31 : at + 43]
        response = struct.pack("<IIB23x", self.flags, 1 << 24, 45) + user.encode() + b"\0" + lenenc(20 if password else 0)
        response += scramble(password, salt) + (database.encode() + b"\0" if database else b"") + b"mysql_native_password\0"
        self.write(self.frame(response, 1))
        try:
            self.after_auth(password)
            exchange[3] = "ok"
            self.compressed = bool(self.flags & COMPRESS)
        except ServerError as e:
            exchange[3] = e.code
            raise

    def after_auth(self, password):
        answer = self.packet()
        if answer[0] == 0xFE:  # another method
            end = answer.index(0, 1)
            salt = answer[end + 1 : end + 21]
            self.write(self.frame(scramble(password, salt), self.sequence))
            answer = self.packet()
        if answer[0] == 0xFF:
            raise ServerError(answer)

    # --- commands
    def command(self, name, payload=b"", statement=None):
        data = self.frame(bytes([CODES[name]]) + payload)
        exchange = [self.port, "COM_" + name, statement, None, len(data), 0]
        if name in UNANSWERED:
            truth["exchanges"].append(exchange)
        else:
            self.waiting.append(exchange)
        return data

    def send(self, name, payload=b"", statement=None):
        self.write(self.command(name, payload, statement))

    def query(self, text):
        self.send("QUERY", text.encode(), text)
        return self.answer()

    def answer(self):
        """Reads the answer to the oldest command; an error counts and is returned."""
        exchange = self.waiting.pop(0)
        truth["exchanges"].append(exchange)
        before = self.size
        try:
            out = self.read_answer(exchange[1].removeprefix("COM_"))
            exchange[3] = "ok"
        except ServerError as e:
            exchange[3] = e.code
            out = e
        except (EOFError, ConnectionResetError) as e:
            return e
        exchange[5] = self.size - before
        return out

    def ok(self, p):
        affected, at = read_lenenc(p, 1)
        _, at = read_lenenc(p, at)
        truth["affected_rows"] += affected
        return struct.unpack_from("<H", p, at)[0]

    def eof(self, p):
        """The status of the packet that ends rows."""
        if self.flags & DEPRECATE_EOF:
            return self.ok(p)
        return struct.unpack_from("<H", p, 3)[0]

    def rows(self):
        rows = []
        while True:
            p = self.packet()
            if p[0] == 0xFF:
                raise ServerError(p)
            if p[0] == 0xFE and len(p) < 0xFFFFFF and (len(p) < 9 or self.flags & DEPRECATE_EOF):
                return rows, self.eof(p)
            rows.append(p)

    def definitions(self, n):
        out = [self.packet() for _ in range(n)]
        if n and not self.flags & DEPRECATE_EOF:
            self.packet()
        return out

    def read_answer(self, command):
        if command == "STATISTICS":
            return self.packet()
        if command == "CHANGE_USER":
            return self.after_auth(self.password)
        if command in ("FIELD_LIST", "STMT_FETCH"):
            return self.rows()[0]
        p = self.packet()
        if p[0] == 0xFF:
            raise ServerError(p)
        if command == "STMT_PREPARE":
            number, columns, parameters = struct.unpack_from("<IHH", p, 1)
            self.definitions(parameters)
            self.definitions(columns)
            return number
        if command in ("SET_OPTION", "DEBUG") and p[0] == 0xFE:
            return p
        results = []
        while True:
            if p[0] == 0:
                status = self.ok(p)
                results.append(None)
            elif p[0] == 0xFB:  # it wants the client's file
                data = self.frame(self.file, self.sequence) + self.frame(b"", self.sequence + 1) if self.file else self.frame(b"", self.sequence)
                self.write(data)
                p = self.packet()
                continue
            elif p[0] == 0xFF:
                raise ServerError(p)
            else:
                columns = read_lenenc(p, 0)[0]
                for _ in range(columns):
                    self.packet()
                first = None
                if not self.flags & DEPRECATE_EOF:
                    first = self.eof(self.packet())
                if first is not None and first & CURSOR_EXISTS:
                    return []
                rows, status = self.rows()
                results.append(rows)
            if not status & MORE_RESULTS:
                return results
            p = self.packet()

    def close(self, quit=True, reset=False):
        if quit:
            self.send("QUIT")
        truth["exchanges"] += self.waiting
        if reset:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.s.close()


def connect(*args, **kw):
    return Connection(ADDRESS, PORT, *args, **kw)


def refused(*args, **kw):
    """A login that fails."""
    try:
        connect(*args, **kw)
    except ServerError as e:
        return e.code
    raise SystemExit(f"{args} should not have been let in")


def commands():
    c = connect()
    c.send("PING")
    c.answer()
    c.send("STATISTICS")
    c.answer()
    c.send("INIT_DB", b"other")
    c.answer()
    c.send("INIT_DB", b"nowhere")
    c.answer()
    c.query("CREATE TABLE fields (a INT, b VARCHAR(10))")
    c.send("FIELD_LIST", b"fields\0")
    c.answer()
    c.send("FIELD_LIST", b"nofields\0")
    c.answer()
    c.send("SET_OPTION", b"\1\0")
    c.answer()
    c.query("SELECT 1")
    c.send("SET_OPTION", b"\0\0")
    c.answer()
    c.send("PROCESS_INFO")
    c.answer()
    other = connect()
    c.send("PROCESS_KILL", struct.pack("<I", other.number))
    c.answer()
    c.send("PROCESS_KILL", struct.pack("<I", 999999))
    c.answer()
    other.send("PING")
    other.answer()  # an error, or nothing: nobody is there
    other.close(quit=False)
    c.send("DEBUG")
    c.answer()
    c.query("DROP TABLE fields")
    c.close()


def change_user():
    c = connect()
    for user, password in (("other", "orange"), ("other", "wrong")):
        c.password = password
        c.send("CHANGE_USER", user.encode() + b"\0\0shop\0" + struct.pack("<H", 45) + b"mysql_native_password\0", None)
        c.answer()
    c.close(quit=False)
    c = connect()
    c.query("SET @here = 1")
    c.send("RESET_CONNECTION")
    c.answer()
    c.query("SELECT @here")
    c.close()


def logins():
    refused("app", "wrong")
    refused("nobody", "")
    refused("app", "apple", "nowhere")
    refused("app", "apple", "secret")  # it exists, but not for this user
    c = connect()
    c.query("SELECT 1")
    c.close()
    c = connect("app", "apple", None)
    c.query("SELECT * FROM no_database_was_chosen")
    c.query("USE shop")
    c.close()
    c = connect(login=False)  # greeted, and nothing said
    c.packet()
    c.close(quit=False)
    held = [connect("other", "orange") for _ in range(10)]
    refused("other", "orange")  # more than max_connections
    for c in held:
        c.close()


def statements():
    """Prepared, with what libraries do not send: long data, cursors, resets."""
    c = connect()
    c.query("CREATE TABLE st (a INT PRIMARY KEY, b LONGBLOB)")
    text = "INSERT INTO st VALUES (?, ?)"
    c.send("STMT_PREPARE", text.encode(), text)
    number = c.answer()

    def execute(statement, types, values, nulls=b"\0", flags=0, text=None):
        head = struct.pack("<IBI", statement, flags, 1) + (nulls + b"\1" + types if types else b"")
        c.send("STMT_EXECUTE", head + values, text)
        return c.answer()

    for n in range(3):
        for part in (b"long ", b"data " * 30):
            c.send("STMT_SEND_LONG_DATA", struct.pack("<IH", number, 1) + part)
        execute(number, b"\x03\0\xfc\0", struct.pack("<i", n), text=text)
    c.send("STMT_SEND_LONG_DATA", struct.pack("<IH", number, 1) + b"thrown away")
    c.send("STMT_RESET", struct.pack("<I", number))
    c.answer()
    execute(number, b"\x03\0\xfd\0", struct.pack("<i", 7) + lenenc(5) + b"short", text=text)
    execute(number, b"\x03\0\xfd\0", struct.pack("<i", 8), nulls=b"\2", text=text)
    execute(number, b"\x03\0\xfd\0", struct.pack("<i", 8), nulls=b"\2", text=text)  # duplicate
    c.send("STMT_CLOSE", struct.pack("<I", number))
    execute(number, b"\x03\0\xfd\0", struct.pack("<i", 9), nulls=b"\2")  # closed: unknown
    text = "SELECT a, b FROM st ORDER BY a"
    c.send("STMT_PREPARE", text.encode(), text)
    number = c.answer()
    execute(number, b"", b"", text=text)
    execute(number, b"", b"", flags=1, text=text)  # with a cursor
    for _ in range(3):
        c.send("STMT_FETCH", struct.pack("<II", number, 2))
        c.answer()
    c.send("STMT_CLOSE", struct.pack("<I", number))
    text = "SELECT ? + ?, ?"
    c.send("STMT_PREPARE", text.encode(), text)
    number = c.answer()
    execute(number, b"\x08\x80\x05\0\xfd\0", struct.pack("<Qd", 2**63, 0.5) + b"\4text", text=text)
    execute(number, b"\x01\0\x04\0\x0c\0", struct.pack("<bf", -5, 1.25) + bytes([7, 0xE8, 7, 2, 29, 23, 59, 58]), text=text)
    c.query("DROP TABLE st")
    c.close()


def pipeline():
    for flags in (0, DEPRECATE_EOF):
        c = connect(flags=flags)
        for depth in (1, 10, 100):
            texts = [f"SELECT {n} AS id, REPEAT('x', {n % 61}) AS filling" if n % 7 else f"SELECT * FROM missing_{n}" for n in range(depth)]
            c.write(b"".join(c.command("QUERY", t.encode(), t) for t in texts))
            for _ in texts:
                c.answer()
        c.close()


def compressed():
    c = connect(flags=COMPRESS)
    c.query("SELECT '" + "compress me " * 30 + "' AS text")
    c.query("SELECT 1")
    c.query("SELECT REPEAT('big ', 20000) AS big")
    c.query("SELECT * FROM missing")
    c.query("SELECT 1; SELECT REPEAT('z', 1000); SELECT 2")
    c.send("PING")
    c.answer()
    c.close()


def huge():
    """A packet of more than 16 MiB, in either direction; compressed, it is small."""
    c = connect(flags=COMPRESS)
    c.query("SELECT REPEAT('a', 17000000) AS huge")
    c.query("SELECT 1")
    c.close()


def infile():
    c = connect(flags=LOCAL_FILES)
    c.query("CREATE TABLE loaded (a INT, b VARCHAR(40))")
    c.file = b"".join(b"%d\tline number %d\n" % (n, n) for n in range(200))
    c.query("LOAD DATA LOCAL INFILE '/tmp/lines.tsv' INTO TABLE loaded")
    c.file = b""
    c.query("LOAD DATA LOCAL INFILE '/tmp/empty.tsv' INTO TABLE loaded")
    c.query("LOAD DATA LOCAL INFILE '/tmp/lines.tsv' INTO TABLE missing")
    c.query("SELECT COUNT(*) FROM loaded")
    c.query("DROP TABLE loaded")
    c.close()


def big():
    c = connect(flags=DEPRECATE_EOF)
    c.query("CREATE TABLE big (id INT PRIMARY KEY, filling VARCHAR(300))")
    c.query("INSERT INTO big SELECT seq, REPEAT(CHAR(97 + seq MOD 26), seq MOD 280) FROM seq_1_to_500")
    c.query("SELECT * FROM big ORDER BY id")
    c.query("SELECT COUNT(*) FROM big WHERE filling LIKE '%q%'")
    c.query("INSERT INTO big VALUES (1000, '" + "y" * 250 + "')" + "".join(f", ({n}, '{'z' * 100}')" for n in range(1001, 1150)))
    c.query("DELETE FROM big WHERE id > 490")
    c.query("DROP TABLE big")
    c.close()


def loss():
    c = connect()
    for n in range(1, 81):
        c.query(f"SELECT {n} AS id, REPEAT('{n % 10}', {n * 37 % 3000}) AS filling")
    c.close()


def resets():
    c = connect()
    c.query("SELECT 1")
    c.send("QUERY", b"SELECT SLEEP(2)", "SELECT SLEEP(2)")
    time.sleep(0.2)
    c.close(quit=False, reset=True)  # while it waits
    c, killer = connect(), connect()
    c.send("QUERY", b"SELECT SLEEP(5)", "SELECT SLEEP(5)")
    time.sleep(0.2)
    killer.query(f"KILL {c.number}")
    c.answer()
    c.close(quit=False)
    c = connect()
    c.send("QUERY", b"SELECT SLEEP(5)", "SELECT SLEEP(5)")
    time.sleep(0.2)
    killer.query(f"KILL QUERY {c.number}")
    c.answer()  # interrupted; the connection stands
    c.query("SELECT 'still here'")
    c.query("SET SESSION wait_timeout = 1")
    time.sleep(1.5)  # the server does not wait any longer
    c.close(quit=False)
    killer.close()


def traces():
    c = connect()
    c.query("SELECT 1 /*traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',route='%2Fcart'*/")
    c.query("/* traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 */ SELECT 2")
    text = "SELECT ? /*traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-01'*/"
    c.send("STMT_PREPARE", text.encode(), text)
    number = c.answer()
    c.send("STMT_EXECUTE", struct.pack("<IBI", number, 0, 1) + b"\0\1\x03\0" + struct.pack("<i", 5), text)
    c.answer()
    c.query("SET PASSWORD = PASSWORD('apple')")
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
