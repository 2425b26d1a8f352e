"""The workloads: recorded from real servers, or written by synth.c; and what is known to be in them.

    workloads.py [--scale N] [NAME...]     makes them in .bench/ (with a scale: a Nth, in .bench/scaleN/)

http             nginx, 64 connections kept alive, one exchange at a time each, bodies of 100 bytes to 64,000
redis            redis-benchmark, 50 connections, one command at a time, six kinds of commands
redis-pipeline   the same, 16 deep, seven kinds
mysql            sysbench on MariaDB, 8 threads: point selects as text, as prepared statements, read/write transactions
shortflows       1,000,000 TCP connections of one HTTP exchange each, 10 packets, 20,000 open at a time (synth.c)
flood            10,000,000 SYNs and UDP datagrams of 60 bytes over 5,000,000 five-tuples (synth.c)

Servers and clients run in two network namespaces of their own, joined by a veth pair that does no segmentation, and are gone
afterwards. Beside each recording lies NAME.truth.json: what client and server counted. Needs root, and what
scripts/install-deps.sh --bench installs.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from common import FOLDER, output_of, say, tool

CLIENT, SERVER = "192.0.2.10", "192.0.2.80"
TOOLS = {
    "http": ["nginx"],
    "redis": ["redis-server", "redis-cli", "redis-benchmark"],
    "redis-pipeline": ["redis-server", "redis-cli", "redis-benchmark"],
    "mysql": ["mariadbd", "mariadb-install-db", "mariadb", "sysbench"],
}
NAMES = [*TOOLS, "shortflows", "flood"]
PORTS = {"http": 80, "redis": 6379, "redis-pipeline": 6379, "mysql": 3306}
PROTOCOL = {"http": "http", "redis": "redis", "redis-pipeline": "redis", "mysql": "mysql", "shortflows": "http", "flood": None}
HTTP_CONNECTIONS, HTTP_EXCHANGES = 64, 1116
BODIES = (100, 200, 500, 1000, 2000, 4000, 8000, 16000, 64000)


class Fault(Exception):
    pass


class Wire:
    """Two namespaces and what runs in them; all of it ends with the `with` block."""

    def __enter__(self):
        self.client, self.server = f"tsbench-c-{os.getpid()}", f"tsbench-s-{os.getpid()}"
        self.running = []
        self.work = tempfile.mkdtemp(prefix="tapscope-bench-")
        os.chmod(self.work, 0o755)
        try:
            self.network()
        except BaseException:
            self.__exit__()
            raise
        return self

    def network(self):
        ip = ["ip"]
        for namespace in (self.client, self.server):
            run([*ip, "netns", "add", namespace])
        run([*ip, "link", "add", "vc", "netns", self.client, "type", "veth", "peer", "name", "vs", "netns", self.server])
        for namespace, device, address in ((self.client, "vc", CLIENT), (self.server, "vs", SERVER)):
            run([*ip, "-n", namespace, "addr", "add", address + "/24", "dev", device])
            for d in ("lo", device):
                run([*ip, "-n", namespace, "link", "set", d, "up"])
            run(self.at(namespace, "ethtool", "-K", device, "tso", "off", "gso", "off", "gro", "off", "tx", "off", "rx", "off"))

    def __exit__(self, *_):
        for p in reversed(self.running):
            p.terminate()
        for p in self.running:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        for namespace in (self.client, self.server):
            subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.work, ignore_errors=True)

    @staticmethod
    def at(namespace, *command):
        return ["ip", "netns", "exec", namespace, *command]

    def start(self, namespace, *command):
        with open(os.path.join(self.work, "log"), "ab") as log:
            p = subprocess.Popen(self.at(namespace, *command), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.running.append(p)
        return p

    def until(self, what, command, seconds=60):
        for _ in range(seconds * 5):
            if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0:
                return
            time.sleep(0.2)
        raise Fault(f"{what} did not start: {self.log()}")

    def log(self):
        with open(os.path.join(self.work, "log"), encoding="utf-8", errors="replace") as f:
            return " ".join(f.read().split())[-300:]

    def record(self, path, port, *commands):
        """Runs clients, one after the other, while tcpdump records; what they printed."""
        said = os.path.join(self.work, "tcpdump")
        with open(said, "wb") as err:
            dump = subprocess.Popen(self.at(self.server, "tcpdump", "-Z", "root", "-i", "vs", "-B", "262144", "-s", "0", "-w", path, f"tcp port {port}"),
                                    stdin=subprocess.DEVNULL, stderr=err)
        self.running.append(dump)
        self.until("tcpdump", ["grep", "-q", "listening on", said])
        time.sleep(0.3)
        printed = [output_of(self.at(self.client, *c)) for c in commands]
        time.sleep(1)
        dump.terminate()
        dump.wait(60)
        self.running.remove(dump)
        with open(said, encoding="utf-8", errors="replace") as f:
            text = f.read()
        if "\n0 packets dropped by kernel" not in text:
            raise Fault("the recording lost packets: " + " ".join(text.split())[-200:])
        return printed


def run(command, timeout=120):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise Fault(f"{' '.join(command)}: {' '.join(done.stderr.split())[-300:]}")
    return done.stdout


def record_http(w, path, scale):
    www = os.path.join(w.work, "www")
    os.mkdir(www)
    for size in BODIES:
        with open(os.path.join(www, f"f{size}"), "w", encoding="ascii") as f:
            f.write(("The quick brown fox jumps over the lazy dog. " * (size // 45 + 1))[:size])
    temporary = " ".join(f"{kind}_temp_path {w.work}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(os.path.join(w.work, "nginx.conf"), "w", encoding="ascii") as f:
        f.write(f"user root; worker_processes 1; daemon off; pid {w.work}/nginx.pid; error_log {w.work}/error.log crit;\n"
                f"events {{ worker_connections 1024; }}\nhttp {{ access_log off; keepalive_requests 1000000; {temporary}\n"
                f"server {{ listen {SERVER}:80; root {www}; }} }}\n")
    w.start(w.server, "nginx", "-c", os.path.join(w.work, "nginx.conf"), "-p", w.work)
    w.until("nginx", w.at(w.client, "bash", "-c", f"exec 3<>/dev/tcp/{SERVER}/80"), 10)
    exchanges = max(HTTP_EXCHANGES // scale, 1)
    printed = w.record(path, 80, [tool("http_load"), SERVER, "80", str(HTTP_CONNECTIONS), str(exchanges)])
    n = json.loads(printed[0])["responses"]
    if n != HTTP_CONNECTIONS * exchanges:
        raise Fault(f"{n} responses came")
    return {"requests": n, "answered": n, "connections": HTTP_CONNECTIONS, "counted by": "the client"}


def redis_cli(w, *command):
    return run(w.at(w.server, "redis-cli", "-h", SERVER, *command))


def redis_calls(w):
    """Commands and connections that the server counted."""
    calls = sum(int(line.split("calls=")[1].split(",")[0]) for line in redis_cli(w, "info", "commandstats").splitlines() if "calls=" in line)
    connections = int(redis_cli(w, "info", "stats").split("total_connections_received:")[1].split()[0])
    return calls, connections


def record_redis(w, path, scale, pipeline=False):
    w.start(w.server, "redis-server", "--bind", SERVER, "--port", "6379", "--save", "", "--appendonly", "no", "--protected-mode", "no", "--dir", w.work)
    w.until("redis", w.at(w.server, "redis-cli", "-h", SERVER, "ping"), 10)
    before = redis_calls(w)
    kinds, number = ("set,get,incr,lpush,sadd,hset,mset", 200000) if pipeline else ("set,get,incr,lpush,sadd,hset", 100000)
    options = ["-P", "16"] if pipeline else []
    w.record(path, 6379, ["redis-benchmark", "-h", SERVER, "-q", "-n", str(number // scale), "-c", "50", "-d", "100", "-r", "100000", *options, "-t", kinds])
    after = redis_calls(w)
    # between the two looks at calls lie the second of the first pair and the first of the second: two commands, two connections
    n, connections = after[0] - before[0] - 2, after[1] - before[1] - 2
    return {"requests": n, "answered": n, "connections": connections, "counted by": "the server"}


def record_mysql(w, path, scale):
    data, socket = os.path.join(w.work, "data"), os.path.join(w.work, "mysql.sock")
    run(["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}", "--skip-test-db", "--auth-root-authentication-method=normal"])
    w.start(w.server, "mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", f"--socket={socket}", f"--pid-file={w.work}/mysql.pid",
            f"--bind-address={SERVER}", "--port=3306", "--skip-ssl", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0")
    client = ["mariadb", "--no-defaults", "-S", socket, "-uroot"]
    w.until("mariadbd", [*client, "-e", "select 1"])
    run([*client, "-e", "create database sbtest; create user 'sb'@'%' identified by 'sb'; grant all on sbtest.* to 'sb'@'%'"])
    bench = ["sysbench", f"--mysql-host={SERVER}", "--mysql-port=3306", "--mysql-user=sb", "--mysql-password=sb", "--mysql-db=sbtest", "--mysql-ssl=off", "--tables=1",
             f"--table-size={100000 // scale}", "--threads=8", "--time=0"]
    run(w.at(w.client, *bench, "oltp_point_select", "prepare"), timeout=300)

    def status():
        names = "'Questions','Connections','Com_stmt_prepare','Com_stmt_close','Com_stmt_execute'"
        rows = run([*client, "-N", "-e", f"show global status where variable_name in ({names})"]).split()
        return dict(zip(rows[::2], map(int, rows[1::2])))

    before = status()
    printed = w.record(path, 3306,
                       [*bench, f"--events={300000 // scale}", "--db-ps-mode=disable", "oltp_point_select", "run"],
                       [*bench, f"--events={150000 // scale}", "--db-ps-mode=auto", "oltp_point_select", "run"],
                       [*bench, f"--events={5000 // scale}", "--db-ps-mode=disable", "oltp_read_write", "run"])
    after = status()
    queries = sum(int(text.split("total:")[1].split()[0]) for text in printed)
    # what the second status() itself adds: its connection
    logins = after["Connections"] - before["Connections"] - 1
    prepared, closed = (after[k] - before[k] for k in ("Com_stmt_prepare", "Com_stmt_close"))
    requests = queries + logins * 2 + prepared + closed  # a login and a COM_QUIT each
    return {"requests": requests, "answered": requests - logins - closed, "connections": logins, "counted by": "sysbench and the server"}


RECORDERS = {
    "http": record_http,
    "redis": record_redis,
    "redis-pipeline": lambda w, path, scale: record_redis(w, path, scale, True),
    "mysql": record_mysql,
}


def synthesise(name, path, scale):
    if name == "shortflows":
        n = 1000000 // scale
        arguments, truth = ["http", n, 1, 20000 // scale], {"requests": n, "answered": n, "connections": n}
    else:
        arguments, truth = ["flood", 10000000 // scale, 5000000 // scale], {"requests": 0, "answered": 0, "five_tuples": 5000000 // scale}
    output_of([tool("synth"), *map(str, arguments), path])
    return {**truth, "counted by": "the generator"}


def make(name, folder, scale):
    """Makes a workload; a reason where it cannot."""
    os.makedirs(folder, exist_ok=True)
    path, truth_path = os.path.join(folder, name + ".pcap"), os.path.join(folder, name + ".truth.json")
    say(f"making {os.path.relpath(path)}")
    try:
        if name in TOOLS:
            missing = [t for t in ("ip", "ethtool", "tcpdump", *TOOLS[name]) if not shutil.which(t)]
            if missing:
                return f"{', '.join(missing)} not there (scripts/install-deps.sh --bench)"
            if os.geteuid() != 0:
                return "recording needs root"
            with Wire() as w:
                truth = RECORDERS[name](w, path + ".part", scale)
        else:
            truth = synthesise(name, path + ".part", scale)
    except (Fault, subprocess.SubprocessError, OSError) as e:
        if os.path.exists(path + ".part"):
            os.unlink(path + ".part")
        return f"could not be recorded: {e}"
    with open(truth_path, "w", encoding="utf-8") as f:
        json.dump(truth, f)
    os.rename(path + ".part", path)
    return None


def wire_count(path, idle_ms=5000):
    return json.loads(output_of([tool("wire_count"), "--idle", str(idle_ms), path]))


class Workload:
    """A capture and what is in it. `fault`: where what its maker counted is not what is on the wire."""

    def __init__(self, name, path):
        self.name, self.path = name, path
        c = wire_count(path)
        self.packets, self.bytes = c["frames"], os.path.getsize(path)
        self.requests, self.answered = c[PROTOCOL[name]] if PROTOCOL[name] else (0, 0)
        self.five_tuples = c["five_tuples"]
        self.flows = c["flows"]
        self.flows_60s = wire_count(path, 60000)["flows"] if name == "flood" else None
        self.fault = f"{c['holes']} holes in its streams" if c["holes"] else None
        self.counted_by = ["wire_count"]
        truth_path = path[: -len(".pcap")] + ".truth.json"
        if os.path.exists(truth_path):
            with open(truth_path, encoding="utf-8") as f:
                truth = json.load(f)
            self.counted_by.insert(0, truth["counted by"])
            for key, have in (("requests", self.requests), ("answered", self.answered), ("connections", c["connections"]), ("five_tuples", c["five_tuples"])):
                if key in truth and truth[key] != have:
                    self.fault = f"{truth['counted by']} counted {truth[key]} {key}, on the wire are {have}"


def workloads(names, folder=None, scale=1):
    """Those that are there or can be made: name -> Workload, or the reason why not."""
    found = {}
    for name in names:
        base = folder or (FOLDER if scale == 1 else os.path.join(FOLDER, f"scale{scale}"))
        path = os.path.join(base, name + ".pcap")
        reason = None
        if not os.path.exists(path):
            reason = "not there" if folder else make(name, base, scale)
        found[name] = reason or Workload(name, path)
    return found


def main():
    names, scale = sys.argv[1:], 1
    if "--scale" in names:
        at = names.index("--scale")
        scale = int(names[at + 1])
        del names[at : at + 2]
    unknown = [n for n in names if n not in NAMES]
    if unknown:
        sys.exit(f"no workload {unknown[0]}; there are: {' '.join(NAMES)}")
    status = 0
    for name, w in workloads(names or NAMES, scale=scale).items():
        if isinstance(w, str):
            say(f"{name}: {w}")
            status = 1
        else:
            say(f"{name}: {w.packets:,} packets, {w.bytes / 1e6:.0f} MB, {w.requests:,} requests, {w.answered:,} answered"
                f" (counted by {', '.join(w.counted_by)})" + (f": {w.fault}" if w.fault else ""))
            status |= bool(w.fault)
    sys.exit(status)


if __name__ == "__main__":
    main()
