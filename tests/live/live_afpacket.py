#!/usr/bin/env python3
"""The AF_PACKET source on veth pairs, loopback, macvlan and tun: what it counts against what was sent, where its packets go
against what decode says, and its filter against tcpdump's.

    live_afpacket.py SOURCE_DRIVER [PART...|bare]

bare: the driver is of a build without eBPF programs.
"""
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import nets
from nets import Driver, Namespace, check, crc_sum, loopback_datagrams, mixed_frames, refused, send_frames, udp_frame, unprivileged, veth, whole
from common import PCAPS, captures, case, finish, skip

DRIVER = sys.argv[1]
COUNT = 20000

def start(nic, *options, bpf=True):
    """A driver on a NIC of B; bpf=False: with the rights to capture, but not to load programs."""
    if bpf:
        return Driver(DRIVER, "af_packet", nic, *options, netns=B)
    return Driver(DRIVER, "af_packet", nic, *options, prefix=["ip", "netns", "exec", B.name, "setpriv", "--bounding-set", "-bpf,-perfmon,-sys_admin"])


def capture(nic, sent, *options, before=None, by="ta", where=None, bpf=True, pace=()):
    """A driver on nic of B while `sent` goes out; its answer. by: the NIC that sends, of A, or of `where`."""
    d = start(nic, *options, bpf=bpf)
    if not d.ready:
        d.stop()
        return {"error": d.error}
    if before:
        before(d)
    assert (where or A).call(send_frames, by, sent, *pace) == len(sent)
    time.sleep(0.1)
    return d.stop() or {"error": d.error}


# ---- what comes in is what was sent

def counts():
    sent = mixed_frames(COUNT)
    good = whole(sent, ethernet=COUNT, unsteered=0, unwanted=0)
    check("whole", capture("tb", sent), **good, nic_packets=COUNT, cut=0, clock="software", youngest_ns=lambda v: v >= 0, oldest_ns=lambda v: v < 5e8)
    good |= {"misdirected": 0, "packets": COUNT}
    check("three-queues", capture("tb", sent, "--queues", 3, "--threads", "--decode"), **good, per_queue=lambda q: min(q) > COUNT / 6)
    check("64-queues", capture("tb", sent, "--queues", 64, "--decode", "--ring-bytes", 16 << 20), **good, per_queue=lambda q: min(q) > 0)
    check("what-goes-out", capture("tb", sent, "--queues", 3, "--decode", by="tb", where=B), **good, nic_packets=COUNT)
    refused("no-clock-in-the-nic", start("tb", "--nic-clock"), "tb", "hwstamp_ctl", "EOPNOTSUPP")
    check("snaplen", capture("tb", sent, "--snaplen", 96), frames=COUNT, remainder=0, wire=good["wire"], captured=sum(min(len(f), 96) for f in sent),
          crc_sum=crc_sum(f[:96] for f in sent))


def turned(f):
    """The same frame on its way back: a plain IPv4 UDP frame with ends exchanged."""
    return f[6:12] + f[:6] + f[12:26] + f[30:34] + f[26:30] + f[36:38] + f[34:36] + f[38:]


def directions():
    """Both directions, one in and one out: each flow on one queue. Told by the queues' shares, without decode: they are the same for
    each direction alone and twice that for both."""
    there = mixed_frames(6000)
    back = [turned(f) for f in there]
    a = capture("tb", there, "--queues", 4)
    b = capture("tb", back, "--queues", 4, by="tb", where=B)
    check("both-directions-one-queue", b, per_queue=a.get("per_queue"), frames=6000)


def from_captures():
    """Every kind of frame that there is in pcaps/, in and out, over three queues."""
    sent = []
    for path in captures(PCAPS):
        if not path.endswith(".pcap"):
            continue
        with open(path, "rb") as f:
            data = f.read()
        order = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}.get(data[:4])
        if not order or struct.unpack(order + "I", data[20:24])[0] != 1:
            continue
        at = 24
        while at + 16 <= len(data):
            caplen, wirelen = struct.unpack(order + "II", data[at + 8:at + 16])
            if caplen == wirelen and 60 <= caplen <= 60000:
                sent.append(data[at + 16:at + 16 + caplen])
            at += 16 + caplen
    tagged = sum(f[12:14] in (b"\x81\x00", b"\x88\xa8") for f in sent)
    for name, how in (("in", {"nic": "td", "by": "tc"}), ("out", {"nic": "td", "by": "td", "where": B})):
        found = capture(how.pop("nic"), sent, "--queues", 3, "--decode", "--ring-bytes", 128 << 20, **how)
        check(f"every-capture-{name}", found, frames=len(sent), crc_sum=crc_sum(sent), misdirected=0, packets=lambda v: v > 5000, fragments=lambda v: v > 10,
              remainder=0, kernel_dropped=0, wire=sum(map(len, sent)))
    case(tagged > 10 and len(sent) > 8000, "captures-hold-tags", f"{tagged} tagged frames of {len(sent)}")


def tags():
    def tagged(i, types):
        f = udp_frame(i, 200)
        return f[:12] + b"".join(struct.pack("!HH", t, 0x2000 | 100 + k) for k, t in enumerate(types)) + f[12:]
    for name, types in (("one", [0x8100]), ("service", [0x88a8]), ("qinq", [0x88a8, 0x8100]), ("two", [0x8100, 0x8100]), ("three", [0x8100] * 3), ("old-qinq", [0x9100, 0x8100])):
        sent = [tagged(i, types) for i in range(1000)]
        wanted = dict(frames=1000, crc_sum=crc_sum(sent), wire=sum(map(len, sent)), misdirected=0, packets=1000, remainder=0)
        check(f"tags-{name}-in", capture("tb", sent, "--queues", 2, "--decode"), **wanted)
        check(f"tags-{name}-out", capture("tb", sent, "--queues", 2, "--decode", by="tb", where=B), **wanted)
    priority = [udp_frame(i, 100)[:12] + b"\x81\0\xe0\0" + udp_frame(i, 100)[12:] for i in range(1000)]
    check("priority-tag", capture("tb", priority), frames=1000, crc_sum=crc_sum(priority))
    # 4 bytes more than the snap length: the tag was not among them
    sent = [tagged(i, [0x8100]) for i in range(1000)]
    check("tags-and-snaplen", capture("tb", sent, "--snaplen", 64), frames=1000, crc_sum=crc_sum(f[:68] for f in sent), cut=1000)


def large():
    sent = [udp_frame(i, size) for i, size in enumerate((60000, 65000, 9000, 40000) * 200)]
    check("large-frames", capture("td", sent, "--ring-bytes", 256 << 20, by="tc"), frames=len(sent), longest=65000, crc_sum=crc_sum(sent), cut=0, remainder=0)


def receive_all(port, count, family):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("", port))
        s.listen(1)
        c, _ = s.accept()
        got = 0
        while got < count:
            n = len(c.recv(1 << 20))
            if not n:
                break
            got += n
        c.close()
        return got


def send_all(address, port, count, family):
    deadline = time.monotonic() + 10
    while True:
        s = socket.socket(family, socket.SOCK_STREAM)
        try:
            s.connect((address, port))
            break
        except OSError:
            s.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    block = bytes(1 << 20)
    left = count
    while left:
        left -= s.send(block[:left])
    s.shutdown(socket.SHUT_WR)
    s.recv(1)
    s.close()
    return count


def super_frames():
    """A TCP stream over NICs with segmentation offload: frames of 64 KiB, and with IPv6 beyond."""
    for ns, nic, host in ((A, "tc", 1), (B, "td", 2)):
        ns.run(f"sysctl -q -w net.ipv6.conf.{nic}.disable_ipv6=0")
        ns.ip(f"addr add fd00::{host}/64 dev {nic} nodad")
        ns.ip(f"addr add 10.9.0.{host}/24 dev {nic}")
    count = 200 << 20
    for name, address, family, size, least in (("gso", "10.9.0.2", socket.AF_INET, 65536, 60000), ("big-tcp", "fd00::2", socket.AF_INET6, 262144, 200000)):
        for ns, nic in ((A, "tc"), (B, "td")):
            ns.ip(f"link set {nic} mtu 1500 gso_max_size {size} gso_max_segs 65535")
            ns.run(f"ip link set {nic} gro_max_size {size}", check=False)
        time.sleep(0.1)
        before = int(re.search(r"RX:.*?\n\s+(\d+)", B.ip("-s link show td"), re.S)[1])
        d = Driver(DRIVER, "af_packet", "td", "--ring-bytes", 512 << 20, "--queues", 2, "--decode", "--threads", "--no-crc", netns=B)
        child = os.fork()
        if child == 0:
            B.call(receive_all, 5555, count, family)
            os._exit(0)
        A.call(send_all, address, 5555, count, family)
        os.waitpid(child, 0)
        time.sleep(0.2)
        received = int(re.search(r"RX:.*?\n\s+(\d+)", B.ip("-s link show td"), re.S)[1]) - before
        found = d.stop()
        good = check(name, found, longest=lambda v, least=least: v >= least, cut=0, kernel_dropped=0, remainder=0, misdirected=0, packets=lambda v: v > 100,
                     wire=lambda v: v >= count)
        # the NIC counted what came in; the source, what went out (acknowledgements) too
        case(good and received >= count and 0 <= found["wire"] - received < count / 20, f"{name}-bytes", f"{found.get('wire')} bytes, the NIC received {received}")
    for ns, nic in ((A, "tc"), (B, "td")):
        ns.ip(f"addr flush dev {nic}")
        ns.run(f"sysctl -q -w net.ipv6.conf.{nic}.disable_ipv6=1")
        ns.ip(f"link set {nic} mtu 65535")


# ---- what is left out, and what is lost

def filters():
    mixed = [udp_frame(i, 1400, port=1000 + i % 2, vlan=(5,) if i % 4 == 3 else ()) for i in range(8000)]
    for name, expression, wanted in (("port", "udp dst port 1000 or vlan", [f for i, f in enumerate(mixed) if i % 2 == 0 or i % 4 == 3]),
                                     ("vlan", "vlan 5", [f for i, f in enumerate(mixed) if i % 4 == 3]),
                                     ("past-the-snap-length", "ether[1300] = 9", [f for i, f in enumerate(mixed) if (i & 255) == 9]),
                                     ("loop", "ip protochain 17", [f for i, f in enumerate(mixed) if True])):
        snapped = crc_sum(f[:68] if f[12:14] == b"\x81\0" else f[:64] for f in wanted)
        for how, bpf in (("kernel", True), ("here", False)):
            found = capture("tb", mixed, "--filter", expression, "--snaplen", 64, "--queues", 2, "--ring-bytes", 64 << 20, bpf=bpf)
            check(f"filter-{name}-{how}", found, seen=len(mixed), received=len(wanted), filtered=len(mixed) - len(wanted), kernel_dropped=0, remainder=0, crc_sum=snapped,
                  unsteered=int(not bpf))
    refused("filter-refused", start("tb", "--filter", "udp portt 5"), "tb", "udp portt 5", "EINVAL")


def tcpdump_count(nic, expression):
    """A function that stops a tcpdump on a NIC of B and says how many frames its filter took in the kernel. (The first few it filters
    again by itself, without what the kernel keeps beside them.)"""
    p = subprocess.Popen(["ip", "netns", "exec", B.name, "tcpdump", "-i", nic, "-p", "--immediate-mode", "-s", "128", "-B", "16384", "-w", "/dev/null", expression],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    line = p.stderr.readline()

    def stop():
        time.sleep(0.2)
        p.send_signal(signal.SIGINT)
        rest = p.communicate(timeout=20)[1]
        m = re.search(r"(\d+) packets? received by filter", rest)
        return int(m[1]) if m and "\n0 packets dropped by kernel" in rest else line + rest
    return stop


def as_tcpdump():
    """The filter takes what tcpdump's takes, of frames with tags beside them and in them."""
    if not shutil.which("tcpdump"):
        skip("as-tcpdump", "tcpdump is not there")
        return
    sent = []
    for i in range(1200):
        tag = ((), (100,), (200,), (100, 200), (0,))[i % 5]
        f = udp_frame(i, 100, port=(80, 443, 53)[i % 3], vlan=tag)
        if i % 7 == 0: # as TCP
            at = 14 + 4 * len(tag)
            f = f[:at + 9] + b"\x06" + f[at + 10:]
        sent.append(f)
    for number, expression in enumerate(("udp port 80", "vlan", "vlan 100", "vlan 200", "vlan 100 and vlan 200", "vlan and tcp port 80", "not vlan and ip", "vlan 100 or udp port 53",
                                         "udp port 53 or vlan 100", "ip and vlan 100", "inbound", "outbound", "ether proto 0x8100", "len > 102", "ether[14] = 0x45")):
        for side, how in (("in", {}), ("out", {"by": "tb", "where": B})):
            for program, bpf in (("kernel", True), ("here", False)):
                stop = tcpdump_count("tb", expression)
                found = capture("tb", sent, "--filter", expression, "--not-promiscuous", bpf=bpf, **how)
                wanted = stop()
                check(f"as-tcpdump-{number}-{side}-{program}", found, received=wanted, seen=len(sent), remainder=0)


def loopback():
    for how, bpf in (("kernel", True), ("here", False)):
        d = start("lo", "--queues", 2, "--decode", bpf=bpf)
        count = B.call(loopback_datagrams, 5000)
        time.sleep(0.1)
        check(f"loopback-once-{how}", d.stop(), frames=count, seen=2 * count, unwanted=count, received=count, remainder=0, packets=count,
              misdirected=(0 if bpf else lambda v: True))
        d = start("lo", "--filter", "udp and udp[8] = 0x37", bpf=bpf) # payloads that begin with 7: 7, 70 to 79, 700 to 799
        B.call(loopback_datagrams, 5000)
        time.sleep(0.1)
        check(f"loopback-filter-{how}", d.stop(), received=111, filtered=5000 - 111, unwanted=5000, seen=10000, remainder=0)


def overload():
    sent = mixed_frames(COUNT)
    for name, options in (("one-queue", []), ("three-queues", ["--queues", 3, "--threads"])):
        for how, bpf in (("", True), ("-here", False)):
            found = capture("tb", sent, "--ring-bytes", 1 << 20, "--pause-us", 100000, *options, bpf=bpf)
            check(f"overload-{name}{how}", found, seen=COUNT, remainder=0, kernel_dropped=lambda v: v > 1000, losing=lambda v: v > 0, received=lambda v: v > 100)
    found = capture("tb", sent, "--ring-bytes", 1 << 20, "--hold", 1 << 30)
    check("borrowed", found, seen=COUNT, remainder=0, no_buffers=lambda v: v > 0, held_most=lambda v: v > 1000, kernel_dropped=lambda v: v > 0)
    # Released in other portions than received: every block goes back.
    found = capture("tb", sent * 4, "--ring-bytes", 8 << 20, "--hold", 500, "--queues", 2, pace=(2000, 0.03))
    check("held-and-released", found, frames=4 * COUNT, crc_sum=4 * crc_sum(sent), kernel_dropped=0, remainder=0)


def flood(nic, seconds):
    end = time.monotonic() + seconds
    block = [udp_frame(i, 100) for i in range(500)]
    sent = 0
    while time.monotonic() < end:
        sent += send_frames(nic, block)
    return sent


def stop_under_load():
    """Stopped while frames come: what was seen is accounted for, to the last frame."""
    for how, bpf in (("kernel", True), ("here", False)):
        child = os.fork()
        if child == 0:
            os.setsid()
            A.call(flood, "ta", 30)
            os._exit(0)
        for i in range(3):
            d = start("tb", "--queues", 3, "--threads", "--ring-bytes", 4 << 20, "--filter", "udp and (ip[15] & 1 = 1 or not ip)", "--pause-us", 20000 * i, bpf=bpf)
            time.sleep(0.5)
            check(f"stop-under-load-{how}-{i}", d.stop(), remainder=0, seen=lambda v: v > 1000, received=lambda v: v > 100)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        time.sleep(0.1)


# ---- NICs

def trouble():
    refused("no-such-nic", start("nowhere"), "nowhere", "ENODEV")
    refused("no-rights", Driver(DRIVER, "af_packet", "tb", prefix=unprivileged(B)), "EPERM", "CAP_NET_RAW")
    sent = mixed_frames(2000)
    # What the manual asks for is enough. The driver lies where everybody may look.
    program = shutil.copy(DRIVER, tempfile.mkdtemp(prefix="tslive", dir="/tmp"))
    os.chmod(os.path.dirname(program), 0o755)
    rights = "+net_raw,+bpf"
    d = Driver(program, "af_packet", "tb", "--queues", 2, "--filter", "udp", "--decode",
               prefix=[*unprivileged(B), "--inh-caps", rights, "--ambient-caps", rights])
    A.call(send_frames, "ta", sent)
    time.sleep(0.1)
    check("least-rights", d.stop(), **whole(sent, unsteered=0, misdirected=0))
    shutil.rmtree(os.path.dirname(program))

    def down_and_up(_):
        A.call(send_frames, "ta", sent)
        B.ip("link set tb down")
        time.sleep(0.4)
        B.ip("link set tb up")
        time.sleep(0.2)
    for queues in (1, 3):
        check(f"down-and-up-{queues}", capture("tb", sent, "--queues", queues, "--decode", before=down_and_up), frames=4000, remainder=0, down=lambda v: v > 0, gone=0,
              misdirected=0)

    B.ip("link set tb down")
    check("opened-while-down", capture("tb", sent, "--queues", 2, "--filter", "udp", before=lambda _: (time.sleep(0.3), B.ip("link set tb up"), time.sleep(0.2))),
          frames=2000, remainder=0, down=lambda v: v > 0)

    def rename(_):
        B.ip("link set tb down")
        B.ip("link set tb name other")
        B.ip("link set other up")
        time.sleep(0.2)
    check("renamed", capture("tb", sent, before=rename), frames=2000, remainder=0, gone=0)
    B.ip("link set other down")
    B.ip("link set other name tb")
    B.ip("link set tb up")
    time.sleep(0.1)

    d = start("tb")
    promiscuous = "promiscuity 1" in B.ip("-d link show tb")
    d.stop(number=signal.SIGKILL)
    case(promiscuous and "promiscuity 0" in B.ip("-d link show tb"), "killed-leaves-nothing", B.ip("-d link show tb"))
    d = start("tb", "--not-promiscuous")
    case("promiscuity 0" in B.ip("-d link show tb"), "not-promiscuous", B.ip("-d link show tb"))
    d.stop()
    check("after-a-kill", capture("tb", sent), frames=2000, remainder=0)

    for queues in (1, 3):
        veth(A, "tg", B, "th")
        d = start("th", "--queues", queues)
        A.call(send_frames, "tg", sent)
        time.sleep(0.2)
        A.ip("link del tg")
        check(f"gone-{queues}", d.wait(), frames=2000, gone=lambda v: v >= 1, remainder=0)
    veth(A, "tg", B, "th")
    d = start("th")
    A.call(send_frames, "tg", sent)
    time.sleep(0.2)
    B.ip(f"link set th netns {A.name}")
    check("moved-away", d.wait(), frames=2000, gone=lambda v: v >= 1, remainder=0)
    A.ip("link del tg")
    away = Namespace("c")
    veth(A, "tg", away, "th")
    d = Driver(DRIVER, "af_packet", "th", netns=away)
    A.call(send_frames, "tg", sent)
    time.sleep(0.2)
    # An open source keeps its namespace: the NIC is there until it is closed, or its peer is removed.
    away.remove()
    time.sleep(0.2)
    alive = d.process.poll() is None
    A.ip("link del tg")
    check("namespace-removed", d.wait(), frames=2000, gone=lambda v: v >= 1, remainder=0)
    case(alive, "namespace-kept", "the driver ended with the name of its namespace")


def macvlan():
    """The parent sees what its children send to each other, and to others; each once."""
    pods = [Namespace(f"p{i}") for i in range(2)]
    for i, pod in enumerate(pods):
        B.ip(f"link add link tb name pod{i} netns {pod.name} address 02:00:00:00:01:0{i} type macvlan mode bridge")
        pod.ip(f"link set pod{i} up")
    between = [b"\x02\0\0\0\x01\x01\x02\0\0\0\x01\0" + udp_frame(i, 100)[12:] for i in range(1000)]
    away = [b"\x02\0\0\0\0\x01\x02\0\0\0\x01\0" + udp_frame(i, 100)[12:] for i in range(1000)]
    for name, sent in (("pod-to-pod", between), ("pod-to-remote", away)):
        check(f"macvlan-{name}", capture("tb", sent, "--queues", 2, "--decode", by="pod0", where=pods[0]), frames=1000, crc_sum=crc_sum(sent), seen=1000, unwanted=0, remainder=0,
              misdirected=0)
    for pod in pods:
        pod.remove()


def through_tun(packets):
    """Packets into the host by a tun device, as many out of it as it answers."""
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001)) # TUNSETIFF: IFF_TUN | IFF_NO_PI
    for p in packets:
        os.write(tun, bytes.fromhex(p))
    time.sleep(0.2)
    os.close(tun)
    return len(packets)


def cooked():
    """A NIC without Ethernet header gives frames with one of Linux's own."""
    if not os.path.exists("/dev/net/tun"):
        skip("cooked", "no /dev/net/tun")
        return
    B.ip("tuntap add dev tun0 mode tun")
    B.ip("link set tun0 up")
    try:
        packets = [udp_frame(i, 200)[14:] for i in range(1000)]
        header = b"\0\0" + struct.pack("!HH", 65534, 0) + bytes(8) + b"\x08\0"
        for name, options, wanted in (("", [], packets), ("-filter", ["--filter", "udp src port 40007"], [p for i, p in enumerate(packets) if i % 1000 == 7]),
                                      ("-snaplen", ["--snaplen", 60], packets)):
            cut = 60 if name == "-snaplen" else 1 << 20
            d = start("tun0", "--queues", 3, "--decode", *options)
            B.call(through_tun, [p.hex() for p in packets])
            check(f"cooked{name}", d.stop(), frames=len(wanted), seen=len(packets), filtered=len(packets) - len(wanted), cooked=len(wanted),
                  crc_sum=crc_sum((header + p)[:cut] for p in wanted), misdirected=0, packets=len(wanted), remainder=0)
    finally:
        B.ip("link del tun0", check=False)


def nothing_left():
    """Opened and closed again and again: no descriptor, program or promiscuous NIC stays."""
    for queues in (1, 4):
        found = capture("tb", [], "--cycles", 20, "--queues", queues, "--filter", "udp", "--ring-bytes", 2 << 20)
        check(f"nothing-left-{queues}", found, descriptors_left=0)
    case("promiscuity 0" in B.ip("-d link show tb"), "nothing-left-promiscuous", B.ip("-d link show tb"))


def without_our_program():
    """What a build without clang, bpftool or libbpf does: the kernel's hash."""
    sent = mixed_frames(COUNT)
    check("hash", capture("tb", sent, "--queues", 3, "--threads", "--decode"), **whole(sent, unsteered=1, packets=COUNT), per_queue=lambda q: min(q) > COUNT / 10,
          misdirected=lambda v: v > COUNT / 3)
    check("hash-filter", capture("tb", sent, "--queues", 3, "--filter", "udp src port 40007"), seen=COUNT, received=20, filtered=COUNT - 20, remainder=0, unsteered=1)


reason = nets.missing()
if reason:
    skip("live-afpacket", reason)
    finish()
nets.remove_leftovers()
A, B = Namespace("a"), Namespace("b")
veth(A, "ta", B, "tb")
veth(A, "tc", B, "td", mtu=65535)
PARTS = (counts, directions, from_captures, tags, large, super_frames, filters, as_tcpdump, loopback, overload, stop_under_load, trouble, macvlan, cooked, nothing_left)
if sys.argv[2:] == ["bare"]:
    without_our_program()
    finish()
for part in PARTS:
    if not sys.argv[2:] or part.__name__ in sys.argv[2:]:
        part()
finish()
