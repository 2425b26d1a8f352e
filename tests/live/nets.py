"""Network namespaces, frames and the source driver, for the live tests. What is made here is removed at exit, and what a killed
run left behind when the next one begins."""
import atexit
import ctypes
import fcntl
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from common import case

PREFIX = "tslive"
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def sh(command, check=True, timeout=30):
    done = subprocess.run(command, shell=isinstance(command, str), capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    if check and done.returncode:
        raise OSError(f"{command}: exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class HugePages:
    """At least so many free huge pages of 2 MiB, for as long as the block lasts; a folder with a mount of its own for them. One test
    at a time."""
    FILE = "/proc/sys/vm/nr_hugepages"

    def __init__(self, count):
        self.count = count

    def __enter__(self):
        self.lock = open("/run/lock/tapscope-test-huge-pages", "w", encoding="ascii")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        with open(self.FILE, encoding="ascii") as f:
            self.before = int(f.read())
        self.set(self.before + self.count)
        self.folder = tempfile.mkdtemp(prefix="tapscope-huge-")
        sh(["mount", "-t", "hugetlbfs", "none", self.folder])
        return self

    def set(self, count):
        with open(self.FILE, "w", encoding="ascii") as f:
            f.write(str(count))

    def there(self):
        with open(self.FILE, encoding="ascii") as f:
            return int(f.read()) >= self.before + self.count

    def __exit__(self, *_):
        sh(["umount", "-l", self.folder], check=False)
        os.rmdir(self.folder)
        self.set(self.before)
        self.lock.close()


def missing():
    """Why no live test can run here; None where one can."""
    if os.geteuid():
        return "not root"
    probe = subprocess.run(["ip", "netns", "list"], capture_output=True, check=False)
    return None if probe.returncode == 0 else "ip netns does not work here"


def remove_leftovers():
    for line in sh("ip netns list", check=False).splitlines():
        m = re.match(rf"({PREFIX}(\d+)\S*)", line)
        if m and not os.path.exists(f"/proc/{m[2]}"):
            sh(["ip", "netns", "del", m[1]], check=False)


class Namespace:
    """Its own loopback, no IPv6, so that nothing is sent that no test sends."""
    made = []

    def __init__(self, name):
        self.name = f"{PREFIX}{os.getpid()}{name}"
        self.path = f"/run/netns/{self.name}"
        sh(["ip", "netns", "add", self.name])
        Namespace.made.append(self)
        self.run("sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")

    def run(self, command, check=True, timeout=30):
        return sh(["ip", "netns", "exec", self.name, "sh", "-c", command], check, timeout)

    def ip(self, command, check=True):
        return sh(["ip", "-n", self.name, *command.split()], check)

    def enter(self):
        """The calling process; only a child that ends soon should."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        if LIBC.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(fd)

    def call(self, function, *args, timeout=60):
        """function(*args) in a child inside the namespace; what it returns, by way of JSON."""
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.alarm(timeout)
                self.enter()
                os.write(write, json.dumps(function(*args)).encode())
                status = 0
            except OSError as e:
                print(f"# {function.__name__}: {e}", file=sys.stderr, flush=True)
            finally:
                os._exit(status)
        os.close(write)
        with os.fdopen(read) as f:
            text = f.read()
        if os.waitpid(child, 0)[1]:
            raise OSError(f"{function.__name__} in {self.name} failed")
        return json.loads(text)

    def remove(self):
        sh(["ip", "netns", "del", self.name], check=False)


@atexit.register
def remove_all():
    for n in Namespace.made:
        n.remove()
    Namespace.made.clear()


def veth(a, nic_a, b, nic_b, queues=1, mtu=1500):
    """A pair of NICs, both up, without addresses."""
    sh(f"ip link add {nic_a} netns {a.name} mtu {mtu} numrxqueues {queues} numtxqueues {queues} type veth "
       f"peer name {nic_b} netns {b.name} mtu {mtu} numrxqueues {queues} numtxqueues {queues}".split())
    for n, nic in ((a, nic_a), (b, nic_b)):
        n.ip(f"link set {nic} up")
    for n in {a, b}:
        n.ip("link set lo up")
    deadline = time.monotonic() + 5
    while "state UP" not in b.ip(f"link show {nic_b}") and time.monotonic() < deadline:
        time.sleep(0.01)


def udp_frame(number, size=64, port=1000, vlan=()):
    """An Ethernet frame with a UDP datagram from 10.0.0.1; its flow and its payload depend on the number."""
    tags = b"".join(struct.pack("!HH", 0x8100, v) for v in vlan)
    payload = max(size - 42 - len(tags), 8)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + payload, number & 0xffff, 0, 64, 17, 0, bytes([10, 0, 0, 1]), bytes([10, 1, number >> 8 & 255, number & 255]))
    words = sum(struct.unpack("!10H", ip))
    words = (words & 0xffff) + (words >> 16)
    ip = ip[:10] + struct.pack("!H", ~((words & 0xffff) + (words >> 16)) & 0xffff) + ip[12:]
    body = struct.pack("!Q", number) + bytes([number & 255]) * (payload - 8)
    return b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01" + tags + b"\x08\0" + ip + struct.pack("!HHHH", 40000 + number % 1000, port, 8 + payload, 0) + body


def crc_sum(frames):
    return sum(zlib.crc32(f) for f in frames)


def send_frames(nic, frames, pause_every=0, pause_s=0.0):
    """Sends them as they are; how many the kernel took. Within the namespace (Namespace.call)."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
        s.bind((nic, 0))
        sent = 0
        for f in frames:
            while True:
                try:
                    sent += s.send(f) == len(f)
                    break
                except OSError as e:
                    if e.errno != 105:  # ENOBUFS
                        raise
                    time.sleep(0.001)
            if pause_every and sent % pause_every == 0:
                time.sleep(pause_s)
        return sent


class Driver:
    """source_driver in the background."""

    def __init__(self, program, kind, nic, *options, netns=None, prefix=(), env=None, wait_s=20):
        command = [*prefix, program, "--kind", kind, "--nic", nic, *map(str, options)]
        if netns:
            command += ["--netns", netns.path]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **(env or {})})
        self.ready = select.select([self.process.stdout], [], [], wait_s)[0] and self.process.stdout.readline() == b"ready\n"

    def stop(self, timeout=30, number=signal.SIGTERM):
        """What it printed at its end, and its exit status as "code"; what it had to complain of is in .error."""
        if self.process.poll() is None and number:
            self.process.send_signal(number)
        return self.wait(timeout)

    def wait(self, timeout=30):
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            err += b" (took too long)"
        self.error = err.decode("utf-8", "replace").strip()
        self.code = self.process.returncode
        lines = [line for line in out.splitlines() if line.startswith(b"{")]
        return {"code": self.code, **(json.loads(lines[-1]) if lines else {})}


SIZES = (60, 61, 128, 590, 1000, 1514)


def mixed_frames(count, sizes=SIZES, **how):
    return [udp_frame(i, sizes[i % len(sizes)], **how) for i in range(count)]


def check(name, found, **wanted):
    """One case: a driver's answer. A wanted value is equal, or a function of it."""
    wrong = []
    for key, value in wanted.items():
        have = found.get(key)
        if have is None or not (value(have) if callable(value) else have == value):
            wrong.append(f"{key} is {have}" + ("" if callable(value) else f", not {value}"))
    return case(not wrong, name, "; ".join(wrong) + f" in {found}")


def whole(sent, **more):
    """What a driver says that lost nothing of what was sent, and ended well."""
    wire = sum(map(len, sent))
    return {"code": 0, "frames": len(sent), "seen": len(sent), "received": len(sent), "bytes": wire, "wire": wire, "captured": wire, "crc_sum": crc_sum(sent), "kernel_dropped": 0,
            "ring_dropped": 0, "filtered": 0, "remainder": 0, "signals_changed": 0, "cpus_changed": 0, **more}


def refused(name, driver, *words):
    """One case: the driver could not open, with exit status 3 and these words."""
    driver.wait()
    return case(driver.code == 3 and all(w in driver.error for w in words), name, f"exit {driver.code}: {driver.error}; wanted: {words}")


def unprivileged(n):
    return ["ip", "netns", "exec", n.name, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def loopback_datagrams(count, size=100):
    """To itself, each read again: how many. Within a namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 5000))
        s.settimeout(1)
        got = 0
        for i in range(count):
            s.sendto(b"%d" % i + b"." * size, ("127.0.0.1", 5000))
            got += len(s.recv(65536)) > 0
        return got
