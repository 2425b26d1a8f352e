#!/usr/bin/env python3
"""The DPDK source: capture files and veth pairs through its virtual devices, rings and ports of another DPDK application, and
what becomes of the host program around it.

    live_dpdk.py SOURCE_DRIVER DPDK_PRIMARY BUILD_FOLDER
"""
import json
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time

import nets
from nets import Driver, HugePages, Namespace, check, crc_sum, mixed_frames, refused, send_frames, sh, udp_frame, veth, whole
from common import case, finish, skip

DRIVER, PRIMARY, MODULES = sys.argv[1:4]
# DPDK itself does not give everything back.
ENVIRONMENT = {"TAPSCOPE_MODULES": MODULES, "LSAN_OPTIONS": "print_suppressions=0:suppressions=" + os.path.join(os.path.dirname(os.path.abspath(__file__)), "dpdk.supp")}
PREFIX = f"tslive{os.getpid()}"
FOLDER = tempfile.mkdtemp(prefix="tapscope-dpdk-")


def dpdk(nic, *options, **kw):
    return Driver(DRIVER, "dpdk", nic, *options, env=ENVIRONMENT, **kw)


def capture(nic, *options):
    """What a driver says that ends by itself; it must not have said anything else."""
    d = dpdk(nic, *options)
    found = d.wait()
    return {"stderr": d.error, **found}


def pcap_file(name, frames):
    path = os.path.join(FOLDER, name)
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, 1))
        for i, frame in enumerate(frames):
            f.write(struct.pack("<IIII", 1700000000 + i // 1000, i % 1000, len(frame), len(frame)) + frame)
    return path


def good(sent, **more):
    return whole(sent, **{"stderr": "", "clock": "poll", "busy": 1, "nic_packets": len(sent), **more})


def files(how):
    small, other = mixed_frames(5000), mixed_frames(3000, (99, 1200))
    a, b = pcap_file("a.pcap", small), pcap_file("b.pcap", other)
    check(f"{how}-file", capture(f"net_pcap0,rx_pcap={a}", "--ms", 300), **good(small, per_queue=[5000], unsteered=0))
    check(f"{how}-two-files-two-workers", capture(f"net_pcap0,rx_pcap={a},rx_pcap={b}", "--ms", 300, "--queues", 2, "--threads"),
          **good(small + other, per_queue=[5000, 3000], unsteered=1))
    check(f"{how}-one-file-three-workers", capture(f"net_pcap0,rx_pcap={a}", "--ms", 300, "--queues", 3, "--threads"), **good(small, per_queue=[5000, 0, 0], unsteered=1))
    million = 3000000
    found = capture(f"net_pcap0,rx_pcap={a},infinite_rx=1", "--frames", million, "--no-crc")
    check(f"{how}-without-end", found, stderr="", frames=lambda n: n >= million, seen=found.get("frames"), received=found.get("frames"),
          nic_packets=found.get("frames"), remainder=0, kernel_dropped=0, ring_dropped=0)
    check(f"{how}-borrowed", capture(f"net_pcap0,rx_pcap={a},infinite_rx=1", "--frames", 200000, "--ring-bytes", 24 << 20, "--hold", 1 << 30, "--no-crc"), remainder=0,
          ring_dropped=0, no_buffers=lambda n: n > 0, held_most=lambda n: n > 3000)


def shapes():
    large = mixed_frames(600, (60, 65000, 9000, 2049, 2048, 40000))
    name = pcap_file("large.pcap", large)
    check("several-segments", capture(f"net_pcap0,rx_pcap={name}", "--ms", 400, "--ring-bytes", 64 << 20), **good(large, longest=65000, cut=0))
    check("several-segments-borrowed", capture(f"net_pcap0,rx_pcap={name}", "--ms", 400, "--ring-bytes", 8 << 20, "--hold", 1 << 30),
          **good(large, no_buffers=lambda n: n > 0))
    check("snaplen", capture(f"net_pcap0,rx_pcap={name}", "--ms", 400, "--snaplen", 3000), code=0, frames=600, remainder=0, wire=sum(map(len, large)),
          crc_sum=crc_sum(f[:3000] for f in large), stderr="")
    mixed = [udp_frame(i, (1400, 3000)[i % 3 == 0], port=1000 + i % 2) for i in range(4000)]
    name = pcap_file("mixed.pcap", mixed)
    check("filter", capture(f"net_pcap0,rx_pcap={name}", "--ms", 400, "--filter", "udp dst port 1001"), seen=4000, received=2000, filtered=2000, remainder=0,
          crc_sum=crc_sum(f for i, f in enumerate(mixed) if i % 2), stderr="")
    refused("filter-refused", dpdk(f"net_pcap0,rx_pcap={name}", "--filter", "udp portt 5"), "udp portt 5", "EINVAL")
    found = capture("net_null0,size=128", "--ms", 300, "--queues", 2, "--threads", "--no-crc")
    check("net_null", found, frames=lambda n: n > 10000, nic_packets=found.get("frames"), seen=found.get("frames"), remainder=0, longest=128,
          per_queue=lambda v: min(v) > 0, stderr="")
    check("net_ring-of-its-own", capture("net_ring0", "--ms", 200), frames=0, remainder=0, stderr="")


def af_packet():
    a, b = Namespace("a"), Namespace("b")
    veth(a, "ta", b, "tb")
    d = dpdk("net_af_packet0,iface=tb,blocksz=65536,framesz=2048,framecnt=32768", prefix=["nsenter", f"--net={b.path}"])
    plain, tagged = mixed_frames(15000, (60, 300, 1500)), mixed_frames(3000, (80, 700), vlan=(7,))
    for frames in plain, tagged:
        a.call(send_frames, "ta", frames)
    time.sleep(0.2)
    check("net_af_packet", d.stop(), **whole(plain + tagged))


def refusals():
    refused("unknown-device", dpdk("net_nonsense0"), "net_nonsense0", "ENODEV")
    refused("no-such-file", dpdk("net_pcap0,rx_pcap=/nowhere"), "net_pcap0", "ENODEV")
    refused("rings-too-small", dpdk(f"net_pcap0,rx_pcap={pcap_file('c.pcap', mixed_frames(9000))},infinite_rx=1", "--ring-bytes", 1 << 20), "Not enough mbufs", "rings")
    refused("no-application", dpdk(f"ring:a@{PREFIX}none"), f"{PREFIX}none", "ENODEV")
    refused("no-name", dpdk("ring:@x"), "EINVAL")
    d = Driver(DRIVER, "dpdk", "net_null0", env={"TAPSCOPE_MODULES": FOLDER})
    refused("no-module", d, "tapscope-dpdk.so", "EOPNOTSUPP")


def free_huge_pages():
    with open("/proc/meminfo", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("HugePages_Free"))


def huge_pages():
    refused("nic-without-huge-pages", dpdk("0000:7f:1f.0"), "huge pages", "nr_hugepages", "ENOMEM")
    with HugePages(64) as pages:
        if not pages.there():
            return skip("huge-pages", "the kernel does not give 64 of them")
        refused("no-such-nic", dpdk("0000:7f:1f.0", "--ring-bytes", 4 << 20), "0000:7f:1f.0", "ENODEV")
        d = dpdk(f"net_pcap0,rx_pcap={pcap_file('d.pcap', mixed_frames(100))}", "--ms", 300)
        with open(f"/proc/{d.process.pid}/smaps_rollup", encoding="ascii") as f:
            used = sum(int(line.split()[1]) for line in f if "Hugetlb" in line)
        check("with-huge-pages", {**d.wait(), "used": used}, frames=100, remainder=0, used=lambda kilobytes: kilobytes > 0)
        case(not os.listdir(pages.folder), "no-files-in-huge-pages", os.listdir(pages.folder))
        before = free_huge_pages()
        d = dpdk("net_null0")
        during = free_huge_pages()
        d.process.kill()
        d.wait()
        case(during < before == free_huge_pages() and not os.listdir(pages.folder), "killed-leaves-nothing", f"free before {before}, during {during}, after {free_huge_pages()}")
    return None


class Application:
    """dpdk_primary."""

    def __init__(self, mode, folder):
        self.process = subprocess.Popen([PRIMARY, mode, PREFIX, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if not select.select([self.process.stdout], [], [], 30)[0] or self.process.stdout.readline() != b"ready\n":
            self.end(kill=True)
            raise OSError(f"dpdk_primary {mode}: {self.error}")

    def ask(self, line):
        """Its answer, within 30 s."""
        self.tell(line)
        return self.answer()

    def tell(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def answer(self):
        if not select.select([self.process.stdout], [], [], 30)[0]:
            raise OSError("dpdk_primary does not answer")
        return json.loads(self.process.stdout.readline())

    def end(self, kill=False):
        if kill:
            self.process.kill()
        _, err = self.process.communicate(timeout=30)
        self.error = err.decode("utf-8", "replace").strip()


def settle(d):
    time.sleep(0.2)
    return {**d.stop(), "stderr": d.error}


def sent_by(answer, times=1, **more):
    n, size = answer["sent"] * times, answer["bytes"] * times
    return {"code": 0, "frames": n, "seen": n, "received": n, "bytes": size, "wire": size, "captured": size, "crc_sum": answer["crc_sum"] * times, "kernel_dropped": 0, "ring_dropped": 0,
            "remainder": 0, "signals_changed": 0, "cpus_changed": 0, "stderr": "", **more}


def rings(folder):
    app = Application("ring", folder)
    both = f"ring:mirror0,mirror1@{PREFIX}"
    d = dpdk(both)
    check("two-rings", settle_after(app, d, "wait 60000"), **sent_by(LAST, busy=1, clock="poll", unsteered=0))
    d = dpdk(both, "--queues", 3, "--threads")
    check("two-rings-three-workers", settle_after(app, d, "wait 60000"), **sent_by(LAST, per_queue=[30000, 30000, 0], unsteered=1))
    d = dpdk(both, "--hold", 3000)
    check("rings-borrowed", settle_after(app, d, "wait 20000"), **sent_by(LAST, held_most=lambda n: 3000 <= n < 3100))
    idle = app.ask("drop 0")["free_mbufs"]
    case(idle == 16384, "all-mbufs-given-back", f"{idle} of 16384 free")
    d = dpdk(f"ring:mirror0@{PREFIX}")
    answer = app.ask("bad 100")
    check("not-sane", settle(d), seen=answer["sent"], received=0, ring_dropped=100, remainder=0)
    refused("no-such-ring", dpdk(f"ring:nowhere@{PREFIX}"), "nowhere", "ENODEV")
    d = dpdk(both, "--also", "net_null0")
    refused("a-second-reader", dpdk(f"ring:mirror1@{PREFIX}"), "another tapscope", "EBUSY")
    d.process.kill()
    d.wait()
    case("a process has one" in d.error, "no-second-kind", d.error)
    d = dpdk(both)
    check("rings-after-a-kill", settle_after(app, d, "wait 20000"), **sent_by(LAST))
    d = dpdk(both)
    app.tell("wait 3000")
    app.answer()
    time.sleep(0.1)
    app.end(kill=True)
    check("application-killed", d.wait(), frames=3000, remainder=0, gone=lambda n: n >= 1)
    refused("application-has-ended", dpdk(both), "ENODEV", PREFIX)


LAST = {}


def settle_after(app, d, line):
    """The driver's answer after the application did that; LAST is the application's."""
    LAST.update(sent=0, bytes=0, crc_sum=0)
    if not d.ready:
        d.stop()
        return {"error": d.error}
    LAST.update(app.ask(line))
    return settle(d)


def pdump(folder):
    app = Application("pdump", folder)
    nic = f"pdump:0@{PREFIX}"
    room = ("--ring-bytes", 128 << 20)  # for all that comes: the application does not wait
    d = dpdk(nic, *room)
    found = settle_after(app, d, "wait 5000")
    check("pdump-both-directions", found, **sent_by(LAST, times=2))
    d = dpdk(f"pdump:net_ring0@{PREFIX}", *room, "--queues", 2, "--threads")
    found = settle_after(app, d, "wait 5000")
    check("pdump-by-name", found, **sent_by(LAST, times=2, per_queue=[10000, 0]))
    d = dpdk(nic, "--pause-us", 200000, "--ring-bytes", 1 << 20)
    found = settle_after(app, d, "wait 20000")
    check("pdump-overload", found, seen=40000, remainder=0, ring_dropped=lambda n: n > 10000, received=lambda n: n > 500, losing=lambda n: n > 0)
    d = dpdk(nic)
    refused("pdump-a-second-one", dpdk(nic), "another tapscope", "EBUSY")
    d.process.kill()
    d.wait()
    answer = app.ask("wait 20000")
    case(answer["sent"] == 20000, "application-goes-on-after-a-kill", answer)
    d = dpdk(nic, *room)
    found = settle_after(app, d, "wait 5000")
    check("pdump-after-a-kill", found, **sent_by(LAST, times=2))
    refused("pdump-no-such-port", dpdk(f"pdump:7@{PREFIX}"), "no such port", "ENODEV")
    answer = app.ask("wait 1000")
    case(answer["free_mbufs"] == 16384, "nothing-copied-any-more", answer)
    app.end()


def stays_outside():
    """Nobody has DPDK in its memory who did not ask for it, and no room is there twice."""
    d = Driver(DRIVER, "pcap", "lo", env={"TAPSCOPE_MODULES": MODULES})
    with open(f"/proc/{d.process.pid}/maps", encoding="ascii") as f:
        loaded = {line.split()[-1] for line in f if "librte" in line or "tapscope-dpdk" in line}
    d.stop()
    case(d.ready and not loaded, "not-loaded-unasked", loaded or d.error)
    needed = sh(["ldd", os.path.join(MODULES, "tapscope")])
    case("librte" not in needed, "not-linked", needed)
    own = {line.split()[-1] for line in sh(["nm", "--defined-only", os.path.join(MODULES, "tapscope-dpdk.so")]).splitlines() if " T " in line or " t " in line}
    rooms = set()
    for name in sorted(os.listdir(MODULES)):
        if name.endswith(".a") and name != "libapp.a":
            listed = sh(["nm", "--defined-only", "--extern-only", os.path.join(MODULES, name)], check=False)
            rooms |= {line.split()[-1] for line in listed.splitlines() if " T " in line}
    case(len(rooms) > 100 and not rooms & own, "no-room-twice", f"{len(rooms)} functions in rooms; in both: {rooms & own}")


reason = nets.missing()
if not reason and not (os.path.exists(os.path.join(MODULES, "tapscope-dpdk.so")) and os.path.exists(PRIMARY)):
    reason = "built without DPDK"
if reason:
    skip("live-dpdk", reason)
    finish()
nets.remove_leftovers()
try:
    files("normal-pages")
    shapes()
    af_packet()
    refusals()
    stays_outside()
    huge_pages()
    with HugePages(256) as huge:
        if huge.there():
            rings(huge.folder)
            pdump(huge.folder)
        else:
            skip("other-processes", "the kernel does not give 256 huge pages")
finally:
    for base, folders, names in os.walk(FOLDER, topdown=False):
        for n in names:
            os.unlink(os.path.join(base, n))
        os.rmdir(base)
    sh(["rm", "-rf", f"/var/run/dpdk/{PREFIX}"], check=False)
finish()
