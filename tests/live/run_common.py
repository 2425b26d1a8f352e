"""A `tapscope run` under test, and servers and clients whose own counts are what its records must say."""
import calendar
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections import Counter

import nets
from nets import CLONE_NEWNET, LIBC, Namespace, sh
from common import ENVIRONMENT, PCAPS, case

# Sanitizers make everything slow: the product's own limit of five seconds is checked without them.
SLOW = 4 if os.environ.get("TAPSCOPE_TEST_SLOW") else 1
END_S = 5.0 * SLOW
NET = f"10.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"  # no other test's addresses: owners are learned from all namespaces of this host


def address(n):
    return f"{NET}.{n}"


class Stage(Namespace):
    """A namespace in which this process makes sockets without being in it."""

    def __init__(self, name):
        super().__init__(name)
        self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self.ip("link set lo up")

    def hide(self):
        """Neither a name nor a process leads to it any more: to the host it is the world outside."""
        self.remove()
        Namespace.made.remove(self)

    def socket(self, *kind):
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if LIBC.setns(self.fd, CLONE_NEWNET):
                raise OSError("setns")
            return socket.socket(*kind)
        finally:
            LIBC.setns(own, CLONE_NEWNET)
            os.close(own)

    def start(self, *command, **kw):
        kw.setdefault("stdout", subprocess.DEVNULL)
        kw.setdefault("stderr", subprocess.DEVNULL)
        return subprocess.Popen(["nsenter", f"--net={self.path}", *command], stdin=subprocess.DEVNULL, **kw)

    def packets(self, nic):
        """What the NIC counted, both ways."""
        s = json.loads(self.ip(f"-s -j link show {nic}"))[0]["stats64"]
        return s["rx"]["packets"] + s["tx"]["packets"]

    def mac(self, nic):
        return json.loads(self.ip(f"-j link show {nic}"))[0]["address"]

    def plain(self, *nics):
        """Frames as on a wire: no longer than the MTU."""
        for nic in nics:
            self.run(f"ethtool -K {nic} tso off gso off gro off tx off rx off 2>/dev/null", check=False)


def pair(a, nic_a, b, nic_b, address_a=None, address_b=None, mtu=1500):
    nets.veth(a, nic_a, b, nic_b, mtu=mtu)
    for n, nic, at in ((a, nic_a, address_a), (b, nic_b, address_b)):
        n.plain(nic)
        if at:
            n.ip(f"addr add {at}/24 dev {nic}")


def uplink(host, nic, remote, at):
    """A NIC of the host that does not look like a pod's: the remote end is two veth pairs and a bridge away."""
    pair(host, nic, host, "wire0")
    pair(host, "wire1", remote, "r0", None, at)
    host.ip("link add line type bridge mcast_snooping 0")
    host.ip("link set line up")
    for port in ("wire0", "wire1"):
        host.ip(f"link set {port} master line")


def mirror(where, nic, to, *directions):
    """What goes through the NIC is also sent out of another one."""
    where.run(f"tc qdisc add dev {nic} clsact")
    for d in directions:
        where.run(f"tc filter add dev {nic} {d} protocol all pref 1 u32 match u32 0 0 action mirred egress mirror dev {to} continue")


class Capture:
    """`tapscope run` in a namespace, from READY=1 on."""
    running = []

    def __init__(self, program, where, *options, nics=(), output=True, prefix=(), stdout=subprocess.DEVNULL, env=None, ready_s=30, listen=""):
        """nics: those that are captured; what they count is compared."""
        self.where, self.nics = where, nics
        self.counted = [self.count()]
        self.folder = tempfile.mkdtemp(prefix="tapscope-run-")
        os.chmod(self.folder, 0o777)
        self.ledger_file, self.output = os.path.join(self.folder, "ledger"), output if isinstance(output, str) else os.path.join(self.folder, "records")
        self.notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notes.bind(os.path.join(self.folder, "notify"))
        os.chmod(os.path.join(self.folder, "notify"), 0o777)
        self.told = []
        # a machine that is busy with other things sheds nothing here, unless a test wants it
        calm = () if "-C" in options else ("-o", "live.shed_lag=20")
        # a flow is one record, also when the minute ends while it goes on
        common = ("--ledger", self.ledger_file, "-o", f"api.listen={listen}", "-o", "max_memory=256", "-o", "static_config.flow.report-interval=0", *calm)
        command = ["nsenter", f"--net={where.path}", *prefix, program, "run", *common, *options]
        if output:
            command += ["--output", self.output]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True, errors="replace",
                                        env={**ENVIRONMENT, "NOTIFY_SOCKET": os.path.join(self.folder, "notify"), **(env or {})})
        Capture.running.append(self)
        self.lines, self.more = [], threading.Condition()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        threading.Thread(target=self.hear, daemon=True).start()
        self.ready = self.note("READY=1", ready_s)
        self.counted.append(self.count())

    def count(self):
        return sum(self.where.packets(n) for n in self.nics)

    def read(self):
        for line in self.process.stderr:
            with self.more:
                self.lines.append(line.rstrip())
                self.more.notify_all()

    @property
    def err(self):
        return " | ".join(self.lines)[-1500:]

    def said(self, text, timeout=10, since=0):
        """Whether it says so in time."""
        deadline = time.monotonic() + timeout * SLOW
        with self.more:
            while not any(text in line for line in self.lines[since:]):
                left = deadline - time.monotonic()
                if left <= 0 or not self.more.wait(left):
                    return any(text in line for line in self.lines[since:])
        return True

    def hear(self):
        """What it tells its service manager; one datagram waits for nobody for long."""
        while True:
            try:
                text = self.notes.recv(4096).decode()
            except OSError:
                return
            with self.more:
                self.told.append(text)
                self.more.notify_all()

    def note(self, text, timeout=10, since=0):
        """Whether it tells its service manager in time, or ends before."""
        deadline = time.monotonic() + timeout
        with self.more:
            while not any(text in t for t in self.told[since:]):
                ended = self.process.poll() is not None
                if (left := deadline - time.monotonic()) <= 0 or (not self.more.wait(min(left, 0.2)) and ended):
                    return False
        return True

    def wait(self, timeout=60):
        """Exit status; None where it had to be killed."""
        try:
            self.code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.code = None
        self.thread.join(5)
        Capture.running.remove(self)
        return self.code

    def stop(self, number=signal.SIGTERM, settle_s=0.0):
        """Ends it; records and ledger are then there, and how long it took."""
        time.sleep(settle_s)
        self.counted.append(self.count())
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.wait()
        self.seconds = time.monotonic() - began
        self.counted.append(self.count())
        self.load()
        return self

    def load(self):
        self.flows, self.requests = (self.records(k) for k in ("flow", "request"))
        try:
            with open(self.ledger_file, encoding="utf-8") as f:
                self.ledger = json.load(f)
        except (OSError, ValueError):
            self.ledger = {}
        self.terms = self.ledger.get("terms", {})
        return self

    def records(self, kind):
        try:
            with open(os.path.join(self.output, kind + ".ndjson"), encoding="utf-8") as f:
                return [json.loads(line) for line in f]
        except OSError:
            return []

    def clear(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.notes.shutdown(socket.SHUT_RDWR)
        self.notes.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.clear()


DROPPED = ("dropped by the kernel", "dropped in rings", "no room to hand over", "left out under pressure", "no memory for a flow")


def ended_well(name, c, seconds=END_S, code=0, whole=True):
    """One case: exit status, in time, nothing unaccounted for, all records written, no negative time, and as many frames as the NICs counted (what
    they counted while it started and ended may be among them). whole: none was dropped."""
    g, wrong = c.ledger, []
    if c.code != code:
        wrong.append(f"exit {c.code}")
    if c.seconds > seconds:
        wrong.append(f"took {c.seconds:.1f} s")
    if g.get("remainder") != 0:
        wrong.append(f"remainder {g.get('remainder')}")
    before, ready, stop, after = c.counted
    if c.nics and not stop - ready <= g.get("frames", -1) <= after - before:
        wrong.append(f"{g.get('frames')} frames, the NICs counted {stop - ready} to {after - before}")
    if sum(c.terms.values()) != g.get("frames"):
        wrong.append(f"the terms are {sum(c.terms.values())} of {g.get('frames')} frames")
    if whole and any(c.terms.get(t) for t in DROPPED):
        wrong.append("frames were dropped")
    if g and (g["records"] != g["records_written"] or g["records"] != {"flow": len(c.flows), "request": len(c.requests)}):
        wrong.append(f"records {g['records']} written {g['records_written']} found {len(c.flows)} and {len(c.requests)} lost {g['records_lost']}")
    negative = [(k, r[k]) for r in c.flows + c.requests for k in r if k.endswith(("_ns", "_sum", "_max")) and isinstance(r[k], int) and r[k] < 0]
    if negative:
        wrong.append(f"negative: {negative[:3]}")
    return case(not wrong, name, f"{'; '.join(wrong)}; {dict((k, v) for k, v in c.terms.items() if v)} {c.err}")


# --- traffic

class Talk:
    """What one connection's client counted."""

    def __init__(self, port, server_port, requests=0, sent=0, received=0, codes=()):
        self.port, self.server_port, self.requests, self.sent, self.received, self.codes = port, server_port, requests, sent, received, Counter(codes)


def receive(sock, enough):
    """Bytes until enough(bytes) says how long the message is."""
    data = b""
    while not (size := enough(data)) or len(data) < size:
        more = sock.recv(262144)
        if not more:
            raise EOFError("the server hung up")
        data += more
    return data


def http_size(data):
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return 0
    m = re.search(rb"(?i)\r\ncontent-length: *(\d+)", data[:end])
    return end + 4 + (int(m[1]) if m else 0)


def redis_size(data):
    end = data.find(b"\r\n")
    if end < 0:
        return 0
    return end + 2 + (int(data[1:end]) + 2 if data[:1] == b"$" and data[:3] != b"$-1" else 0)


def connect(where, to, port, source=None):
    s = where.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.settimeout(20)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if source:
        s.bind((source, 0))
    s.connect((to, port))
    return s


CODES = (200, 404, 200, 503, 200)


def http_talk(where, to, requests=20, port=80, first=0, source=None, pause=None, at=0):
    """One connection, one request after the other; after so many of them, until the event."""
    s = connect(where, to, port, source)
    t = Talk(s.getsockname()[1], port)
    for n in range(first, first + requests):
        if pause and n == first + at:
            pause.wait(60)
        request = b"GET /s%d/%d?%s HTTP/1.1\r\nHost: live.test\r\n\r\n" % (CODES[n % 5], n, b"x" * (n * 37 % 900))
        s.sendall(request)
        answer = receive(s, http_size)
        t.requests += 1
        t.sent += len(request)
        t.received += len(answer)
        t.codes[int(answer[9:12])] += 1
    s.close()
    return t


def redis_talk(where, to, requests=20, port=6379, first=0, source=None):
    s = connect(where, to, port, source)
    t = Talk(s.getsockname()[1], port)
    for n in range(first, first + requests):
        words = ((b"SET", b"key:%d" % n, b"v" * (n * 29 % 700)), (b"GET", b"key:%d" % (n - 1)), (b"LPUSH", b"key:%d" % (n - n % 3), b"no"))[n % 3]
        request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
        s.sendall(request)
        answer = receive(s, redis_size)
        t.requests += 1
        t.sent += len(request)
        t.received += len(answer)
        t.codes[words[0].decode(), answer[:1] == b"-"] += 1
    s.close()
    return t


def tcp_info(s):
    """Retransmitted segments; segments sent, of which those are some; bytes retransmitted."""
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return struct.unpack_from("=I", info, 100)[0], struct.unpack_from("=I", info, 136)[0], struct.unpack_from("=Q", info, 208)[0]


def retransmits(client, server, to, port, up, down):
    """A connection in which first one end sends so many bytes, then the other: what TCP_INFO says of each in the end."""
    listener = server.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((to, port))
    listener.listen(1)
    c = connect(client, to, port)
    s, (_, client_port) = listener.accept()
    listener.close()
    s.settimeout(20)
    for one, other, size in ((c, s, up), (s, c, down)):
        sender = threading.Thread(target=one.sendall, args=(b"r" * size,))
        sender.start()
        while size:
            got = len(other.recv(size))
            if not got:
                raise EOFError("a connection ended early")
            size -= got
        sender.join()
    for one, other in ((c, s), (s, c)):
        one.shutdown(socket.SHUT_WR)
        other.recv(1)
    time.sleep(0.1)
    (tx, sent, again_tx), (rx, returned, again_rx) = tcp_info(c), tcp_info(s)
    c.close()
    s.close()
    # what answers the SYN is not yet the connection's own
    return {"port": client_port, "server_port": port, "tx": tx, "rx": rx, "packets_tx": sent, "packets_rx": returned + 1, "bytes_tx": up + again_tx, "bytes_rx": down + again_rx}


def together(*calls):
    """Each (function, arguments…) in a thread; their results in order."""
    results = [None] * len(calls)

    def one(i, function, *args):
        results[i] = function(*args)

    threads = [threading.Thread(target=one, args=(i, *call)) for i, call in enumerate(calls)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if None in results:
        raise OSError("a client failed")
    return results


class Responder:
    """An HTTP server in a thread of this process, on a socket of any namespace: also where no process may be seen."""

    def __init__(self, where, at, port=80):
        self.sock = where.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((at, port))
        self.sock.listen(64)
        self.requests = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                request = receive(s, http_size)
            except (EOFError, OSError):
                s.close()
                return
            body = b"b" * (self.requests % 300)
            self.requests += 1
            s.sendall(b"HTTP/1.1 %s Some\r\nContent-Length: %d\r\n\r\n%s" % (request[6:9], len(body), body))

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)  # accept() ends
        self.sock.close()


class Servers:
    """nginx and Redis in a namespace; their logs and counters."""

    def __init__(self, where, at, which=("nginx", "redis")):
        self.where, self.folder, self.processes = where, tempfile.mkdtemp(prefix="tapscope-servers-"), []
        os.chmod(self.folder, 0o755)
        self.log = os.path.join(self.folder, "access.log")
        ports = []
        if "nginx" in which:
            self.nginx(at)
            ports.append(80)
        if "redis" in which:
            self.redis_socket = os.path.join(self.folder, "redis.sock")
            self.processes.append(where.start("redis-server", "--port", "6379", "--bind", at, "--protected-mode", "no", "--unixsocket", self.redis_socket, "--save", "", "--dir", self.folder))
            ports.append(6379)
        deadline = time.monotonic() + 30
        for port in ports:
            while not where.run(f"ss -Hltn sport = :{port}"):
                if time.monotonic() > deadline:
                    self.close()
                    raise OSError(f"no server at port {port}")
                time.sleep(0.05)

    def nginx(self, at):
        paths = "".join(f"{k}_temp_path {self.folder}/t{k}; " for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        places = "".join(f"location ~ ^/s{code}/ {{ return {code} $request_uri; }}\n" for code in sorted(set(CODES)))
        with open(os.path.join(self.folder, "nginx.conf"), "w", encoding="utf-8") as f:
            f.write(f"""worker_processes 1; daemon off; pid {self.folder}/pid; error_log {self.folder}/error.log; user root;
                events {{ worker_connections 256; }}
                http {{ log_format counts '$remote_port $uri $status $request_length $bytes_sent'; access_log {self.log} counts; {paths}
                    keepalive_requests 1000000; default_type text/plain; root {self.folder};
                    server {{ listen {at}:80; {places} }} }}""")
        self.processes.append(self.where.start("nginx", "-c", os.path.join(self.folder, "nginx.conf"), "-p", self.folder))

    def logged(self):
        """nginx: (client port, path, status, bytes of the request, bytes of the response) of each request."""
        with open(self.log, encoding="utf-8") as f:
            return Counter((int(p), uri, int(code), int(asked), int(sent)) for p, uri, code, asked, sent in map(str.split, f))

    def commands(self):
        """Redis: {command: calls}, {command: failed calls}; INFO itself apart."""
        text = sh(["redis-cli", "-s", self.redis_socket, "info", "commandstats"])
        found = re.findall(r"cmdstat_(\w+):calls=(\d+).*?rejected_calls=(\d+),failed_calls=(\d+)", text)
        return Counter({n.upper(): int(c) for n, c, _, _ in found if n != "info"}), Counter({n.upper(): int(r) + int(f) for n, _, r, f in found if int(r) + int(f)})

    def close(self):
        for p in self.processes:
            p.terminate()
        for p in self.processes:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class MariaDb:
    """A server that counts statements by kind, and its own client."""

    def __init__(self, where, at):
        self.folder, self.at = tempfile.mkdtemp(prefix="tapscope-mariadb-"), at
        self.socket = os.path.join(self.folder, "sock")
        data = os.path.join(self.folder, "data")
        sh(["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}", "--skip-test-db", "--auth-root-authentication-method=normal", "--innodb-log-file-size=4M"], timeout=60)
        self.process = where.start("mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", f"--socket={self.socket}", f"--pid-file={self.folder}/pid", "--port=3306",
                                   f"--bind-address={at}", "--skip-name-resolve", "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=4M", "--performance-schema=OFF")
        deadline = time.monotonic() + 60
        while subprocess.run([*self.admin(), "SELECT 1"], capture_output=True, check=False).returncode:
            if time.monotonic() > deadline:
                self.close()
                raise OSError("no MariaDB")
            time.sleep(0.1)
        sh([*self.admin(), "CREATE DATABASE shop; CREATE USER app IDENTIFIED BY 'apple'; GRANT ALL ON shop.* TO app; CREATE TABLE shop.t (id INT PRIMARY KEY, v INT) ENGINE=MyISAM"])

    def admin(self):
        return ["mariadb", "--no-defaults", "-uroot", "-S", self.socket, "-N", "-e"]

    def counts(self, *words):
        """Of the statements so far."""
        rows = dict(line.split("\t") for line in sh([*self.admin(), "SHOW GLOBAL STATUS"]).splitlines() if "\t" in line)
        return Counter({w: int(rows["Com_" + w.lower()]) for w in words})

    def run(self, client, statements):
        """How many of them failed, by the client."""
        done = subprocess.run(["nsenter", f"--net={client.path}", "mariadb", "--no-defaults", "--force", "--batch", "-uapp", "-papple", f"-h{self.at}", "shop"], input=";\n".join(statements) + ";\n",
                              text=True, capture_output=True, timeout=60, check=False)
        return done.stderr.count("ERROR ")

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class KafkaMock:
    """librdkafka's mock cluster on the namespace's loopback; it logs each request that it gets."""

    def __init__(self, where):
        self.folder, self.where = tempfile.mkdtemp(prefix="tapscope-kafka-"), where
        program, out = os.path.join(self.folder, "kafka_mock"), os.path.join(self.folder, "brokers")
        self.log = os.path.join(self.folder, "log")
        sh(["gcc", "-O1", os.path.join(PCAPS, "tools", "kafka_mock.c"), "-o", program, "-lrdkafka"], timeout=60)
        with open(out, "wb") as brokers, open(self.log, "wb") as log:
            self.process = where.start(program, "-b", "1", stdout=brokers, stderr=log)
        deadline = time.monotonic() + 20
        while not os.path.getsize(out) and time.monotonic() < deadline:
            time.sleep(0.05)
        with open(out, encoding="utf-8") as f:
            self.broker = f.read().strip()

    def received(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return Counter(re.findall(r"Received (\w+?)(?:Request)?(?:V\d+)? ", f.read()))

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# --- comparison

def nanoseconds(text):
    m = re.fullmatch(r"(\S+)\.(\d{9})Z", text)
    return calendar.timegm(time.strptime(m[1], "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(m[2])


def flows_agree(name, flows, talks, **wanted):
    """One case: a flow for each connection, whose bytes and requests are those that its client counted; and what else each must say."""
    wrong, of = [], {}
    for f in flows:
        of.setdefault((f.get("client_port"), f.get("server_port")), []).append(f)
    for t in talks:
        found = of.pop((t.port, t.server_port), [])
        if len(found) != 1:
            wrong.append(f"{len(found)} flows from port {t.port}")
            continue
        f = found[0]
        errors = sum(n for code, n in t.codes.items() if isinstance(code, int) and code >= 400)
        truth = {"l4_byte_tx": t.sent, "l4_byte_rx": t.received, "l7_request": t.requests, "l7_response": t.requests, "retrans_tx": 0, "retrans_rx": 0, "syn_count": 1, "synack_count": 1,
                 "direction_score": 255, "protocol": "TCP", **wanted}
        if t.server_port == 80:
            truth["l7_client_error"] = t.codes[404]
            truth["l7_server_error"] = errors - t.codes[404]
        wrong += [f"port {t.port}: {k} is {f.get(k)}, not {v}" for k, v in truth.items() if not (v(f.get(k)) if callable(v) else f.get(k, 0 if v == 0 else None) == v)]
        if not f.get("rtt_ns", 0) > 0 or f["rtt_client_ns"] < 0 or f["rtt_server_ns"] < 0:
            wrong.append(f"port {t.port}: rtt {f.get('rtt_ns')} {f.get('rtt_client_ns')} {f.get('rtt_server_ns')}")
        if f.get("truncated") or f.get("midstream") or f.get("gap_bytes"):
            wrong.append(f"port {t.port}: truncated {f.get('truncated')} midstream {f.get('midstream')} gap {f.get('gap_bytes')}")
    wrong += [f"a flow of nobody: {k}" for k in of]
    return case(not wrong, name, "; ".join(wrong[:6]))


def http_agrees(name, requests, logged):
    """One case: request records are what nginx logged, each once, with status and lengths."""
    found = Counter((r["client_port"], r["request_resource"].split("?")[0], r.get("response_code"), r.get("request_length"), r.get("response_length"))
                    for r in requests if r["l7_protocol"] == "HTTP" and r["type"] == "session")
    return case(found == logged and found, name, f"{sum(found.values())} records, {sum(logged.values())} logged; only recorded {list((found - logged))[:3]}, only logged {list((logged - found))[:3]}")


def redis_agrees(name, requests, calls, failed):
    """One case: request records are the commands that Redis counted."""
    sessions = [r for r in requests if r["l7_protocol"] == "Redis" and r["type"] == "session"]
    found = Counter(r["request_type"] for r in sessions)
    errors = Counter(r["request_type"] for r in sessions if r["response_status"] == "client_error")
    return case(found == calls and errors == failed and found, name, f"found {found} {errors}, Redis counted {calls} {failed}")


def all_sessions(name, requests, talks):
    """One case: as many sessions as the clients had, and nothing else."""
    kinds = Counter(r["type"] for r in requests)
    return case(kinds == Counter(session=sum(t.requests for t in talks)), name, f"{kinds}, sent {sum(t.requests for t in talks)}")
