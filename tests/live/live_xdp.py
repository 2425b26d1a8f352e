#!/usr/bin/env python3
"""The AF_XDP source on veth pairs, in the driver's and in generic mode: what it counts against what was sent, and what it
leaves behind.

    live_xdp.py SOURCE_DRIVER
"""
import os
import signal
import subprocess
import sys
import tempfile
import time

import nets
from nets import Driver, Namespace, check, crc_sum, loopback_datagrams, mixed_frames, refused, send_frames, sh, udp_frame, unprivileged, veth, whole
from common import case, finish, skip

DRIVER = sys.argv[1]
COUNT = 20000
ROOM = ("--ring-bytes", 128 << 20)  # for all of them, however slow the reader is
ALIEN = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int alien(struct xdp_md *frame) { return XDP_PASS; }
"""


def capture(nic, peer, sent, *options, before=None):
    """A driver while `sent` goes out on the peer; its answer, and what hung on the NIC meanwhile."""
    d = Driver(DRIVER, "af_xdp", nic, *options, netns=B)
    attached = B.ip(f"-d link show {nic}")
    if d.ready:
        if before:
            before()
        A.call(send_frames, peer, sent)
        time.sleep(0.1)
    found = d.stop()
    found["error"] = d.error
    found["mode"] = "generic" if "xdpgeneric" in attached else "native" if "tapscope_xdp" in attached else "none"
    return found


def clean(nic):
    return "xdp" not in B.ip(f"-d link show {nic}")


def native():
    sent = mixed_frames(COUNT)
    good = whole(sent, backwards=0, ethernet=COUNT, clock="software", youngest_ns=lambda v: v >= 0, nic_packets=COUNT, mode="native")
    check("native", capture("tb", "ta", sent, *ROOM), **good, unsteered=0, oldest_ns=lambda v: v < 5e8)
    check("native-one-nic-queue-three-workers", capture("tb", "ta", sent, *ROOM, "--queues", 3, "--threads"), **good, unsteered=1, per_queue=[COUNT, 0, 0])
    check("four-nic-queues-four-workers", capture("tq", "tp", sent, *ROOM, "--queues", 4, "--threads"), **good, per_queue=lambda v: sum(v) == COUNT and min(v) > 0)
    check("four-nic-queues-two-workers", capture("tq", "tp", sent, *ROOM, "--queues", 2, "--threads"), **good, per_queue=lambda v: sum(v) == COUNT and min(v) > 0)
    check("four-nic-queues-one-worker", capture("tq", "tp", sent, *ROOM), **good, per_queue=[COUNT])
    check("snaplen", capture("tb", "ta", sent, *ROOM, "--snaplen", 96), frames=COUNT, remainder=0, crc_sum=crc_sum(f[:96] for f in sent))
    tagged = mixed_frames(3000, vlan=(7, 8))
    check("vlan-tags-in-the-frame", capture("tb", "ta", tagged, *ROOM), **whole(tagged))
    case(clean("tb") and clean("tq"), "closed-leaves-nothing", B.ip("-d link show"))


def generic():
    """An MTU that the driver's mode does not take."""
    sent = mixed_frames(COUNT, nets.SIZES + (3840,))
    check("generic", capture("td", "tc", sent, *ROOM), **whole(sent, backwards=0, mode="generic", clock="software", youngest_ns=lambda v: v >= 0))
    sizes = (60, 3840, 3841, 9000)
    sent = mixed_frames(4000, sizes)
    check("too-long", capture("td", "tc", sent, *ROOM), mode="generic", seen=4000, received=2000, kernel_dropped=2000, remainder=0, longest=3840,
          crc_sum=crc_sum(f for f in sent if len(f) <= 3840))
    d = Driver(DRIVER, "af_xdp", "lo", netns=B)
    # What is taken here does not come to its host, so each datagram is sent without waiting for it.
    sent = B.call(send_blind, 3000)
    time.sleep(0.1)
    check("loopback", d.stop(), seen=sent, received=sent, remainder=0)
    case(B.call(loopback_datagrams, 10) == 10 and clean("lo"), "host-gets-its-own-again", B.ip("-d link show lo"))


def send_blind(count):
    import socket
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        return sum(s.sendto(b"x" * 100, ("127.0.0.1", 5000)) == 100 for _ in range(count))


def filters():
    mixed = [udp_frame(i, 1400, port=1000 + i % 2) for i in range(8000)]
    wanted = [f for i, f in enumerate(mixed) if i % 2]
    check("filter", capture("tb", "ta", mixed, *ROOM, "--filter", "udp dst port 1001"), seen=8000, received=4000, filtered=4000, kernel_dropped=0, remainder=0,
          crc_sum=crc_sum(wanted))
    check("filter-rejects-all", capture("tb", "ta", mixed, "--filter", "tcp"), seen=8000, received=0, filtered=lambda v: v > 0, remainder=0)
    refused("filter-refused", Driver(DRIVER, "af_xdp", "tb", "--filter", "udp portt 5", netns=B), "tb", "udp portt 5", "EINVAL")


def overload():
    sent = mixed_frames(COUNT)
    found = capture("tb", "ta", sent, "--ring-bytes", 4 << 20, "--hold", 1 << 30)
    check("borrowed", found, seen=COUNT, remainder=0, no_buffers=lambda v: v > 0, held_most=1024, kernel_dropped=lambda v: v > 0)
    found = capture("tb", "ta", sent, "--ring-bytes", 1 << 20, "--pause-us", 50000)
    check("overload", found, seen=COUNT, remainder=0, kernel_dropped=lambda v: v > 0, losing=lambda v: v > 0, received=lambda v: v > 0)
    found = capture("tb", "ta", sent, *ROOM, "--hold", 5000)
    check("many-borrowed", found, **whole(sent), held_most=lambda v: 5000 <= v < 5100)


def rivals():
    d = Driver(DRIVER, "af_xdp", "tb", netns=B)
    refused("a-second-tapscope", Driver(DRIVER, "af_xdp", "tb", netns=B), "EBUSY", "another tapscope", "tb")
    d.stop(number=signal.SIGKILL)
    sent = mixed_frames(3000)
    check("at-once-after-a-kill", capture("tb", "ta", sent, *ROOM), **whole(sent), mode="native")
    d = Driver(DRIVER, "af_xdp", "tb", netns=B)
    hung = not clean("tb")
    d.stop(number=signal.SIGKILL)
    case(hung and clean("tb") and "promiscuity 0" in B.ip("-d link show tb"), "killed-leaves-nothing", B.ip("-d link show tb"))
    with tempfile.TemporaryDirectory() as folder:
        source, program = os.path.join(folder, "alien.c"), os.path.join(folder, "alien.o")
        with open(source, "w", encoding="ascii") as f:
            f.write(ALIEN)
        sh(["clang-14", "-O2", "-g", "-target", "bpf", "-idirafter", "/usr/include/x86_64-linux-gnu", "-c", source, "-o", program])
        for mode in ("xdpgeneric", "xdp"):
            B.ip(f"link set dev tb {mode} obj {program} sec xdp")
            refused(f"someone-elses-{mode}", Driver(DRIVER, "af_xdp", "tb", netns=B), "EBUSY", "alien", "tb")
            case("alien" in B.ip("-d link show tb"), f"someone-elses-{mode}-stays", B.ip("-d link show tb"))
            B.ip(f"link set dev tb {mode} off")


def down_and_up():
    B.ip("link set tb down")
    time.sleep(0.4)
    B.ip("link set tb up")
    time.sleep(0.2)


def trouble():
    refused("no-such-nic", Driver(DRIVER, "af_xdp", "nowhere", netns=B), "nowhere", "ENODEV")
    refused("no-rights", Driver(DRIVER, "af_xdp", "tb", prefix=unprivileged(B)), "EPERM", "CAP_BPF", "CAP_NET_ADMIN")
    B.run("ip link add tu type bridge; ip tuntap add dev tt mode tun")
    refused("not-ethernet", Driver(DRIVER, "af_xdp", "tt", netns=B), "EOPNOTSUPP", "tt")
    sent = mixed_frames(2000)
    check("down-and-up", capture("tb", "ta", sent, *ROOM, before=down_and_up), **whole(sent), down=lambda v: v > 0, gone=0)
    veth(A, "tg", B, "th")
    d = Driver(DRIVER, "af_xdp", "th", netns=B)
    A.call(send_frames, "tg", sent)
    time.sleep(0.2)
    A.ip("link del tg")
    check("gone", d.wait(), frames=2000, gone=lambda v: v >= 1, remainder=0)


reason = nets.missing()
if not reason:
    probe = subprocess.run([DRIVER, "--kind", "af_xdp", "--nic", "none"], capture_output=True, text=True, check=False)
    reason = "this build has no AF_XDP" if "this build has no" in probe.stderr else None
if reason:
    skip("live-xdp", reason)
    finish()
nets.remove_leftovers()
A, B = Namespace("a"), Namespace("b")
veth(A, "ta", B, "tb")
veth(A, "tp", B, "tq", queues=4)
veth(A, "tc", B, "td", mtu=9000)
native()
generic()
filters()
overload()
rivals()
trouble()
finish()
