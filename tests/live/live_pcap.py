#!/usr/bin/env python3
"""The libpcap source on veth pairs and loopback: what it counts against what was sent.

    live_pcap.py SOURCE_DRIVER
"""
import signal
import socket
import sys
import time

import nets
from nets import Driver, Namespace, crc_sum, expect, send_frames, udp_frame, veth
from common import case, finish, skip

DRIVER = sys.argv[1]
COUNT = 20000
SIZES = (60, 61, 128, 590, 1000, 1514)


def frames(count=COUNT, **how):
    return [udp_frame(i, SIZES[i % len(SIZES)], **how) for i in range(count)]


def capture(nic, sent, *options, before=None, **kw):
    """A driver while `sent` goes out on the peer; its answer."""
    d = Driver(DRIVER, "pcap", nic, *options, netns=B, **kw)
    if not d.ready:
        d.stop()
        return {"error": d.error}
    if before:
        before(d)
    assert A.call(send_frames, "ta", sent) == len(sent)
    time.sleep(0.1)
    return d.stop()


def on_loopback(count):
    """Datagrams to itself, all of which are read again: how many."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 20)
        s.bind(("127.0.0.1", 5000))
        got = 0
        for i in range(count):
            s.sendto(b"%d" % i, ("127.0.0.1", 5000))
            got += len(s.recv(100)) > 0
        return got


def counts():
    sent = frames()
    wire = sum(map(len, sent))
    whole = dict(frames=COUNT, seen=COUNT, received=COUNT, bytes=wire, wire=wire, captured=wire, crc_sum=crc_sum(sent), kernel_dropped=0, filtered=0, remainder=0,
                 backwards=0, ethernet=COUNT, signals_changed=0, cpus_changed=0, nic_packets=COUNT)
    found = capture("tb", sent)
    case(*flip("whole", expect(found, **whole, unsteered=0, youngest_ns=lambda v: v >= 0, oldest_ns=lambda v: v < 3e8)))
    found = capture("tb", sent, "--queues", 3, "--threads")
    case(*flip("first-queue-of-three", expect(found, **whole, unsteered=1, per_queue=[COUNT, 0, 0])))
    found = capture("tb", sent, "--snaplen", 96)
    case(*flip("snaplen", expect(found, frames=COUNT, remainder=0, wire=wire, captured=sum(min(len(f), 96) for f in sent), crc_sum=crc_sum(f[:96] for f in sent))))
    tagged = frames(3000, vlan=(7, 8))
    found = capture("tb", tagged)
    case(*flip("vlan-tags-stay", expect(found, frames=3000, crc_sum=crc_sum(tagged), remainder=0)))
    found = capture("any", sent)
    case(*flip("any", expect(found, frames=COUNT, seen=COUNT, cooked=COUNT, remainder=0)))


def flip(name, good_and_reason):
    return good_and_reason[0], name, good_and_reason[1]


def filters():
    mixed = [udp_frame(i, 1400, port=1000 + i % 2, vlan=(5,) if i % 4 == 3 else ()) for i in range(8000)]
    for name, expression, wanted in (("port", "udp dst port 1000", [f for i, f in enumerate(mixed) if i % 2 == 0]),
                                     ("vlan", "vlan 5", [f for i, f in enumerate(mixed) if i % 4 == 3]),
                                     ("past-the-snap-length", "ether[1300] = 9", [f for i, f in enumerate(mixed) if i & 255 == 9])):
        found = capture("tb", mixed, "--filter", expression, "--snaplen", 64)
        case(*flip(f"filter-{name}", expect(found, seen=len(mixed), received=len(wanted), filtered=len(mixed) - len(wanted), kernel_dropped=0, remainder=0,
                                            crc_sum=crc_sum(f[:64] for f in wanted))))
    d = Driver(DRIVER, "pcap", "tb", "--filter", "udp portt 5", netns=B)
    d.wait()
    case(d.code == 3 and "tb" in d.error and "udp portt 5" in d.error and "EINVAL" in d.error, "filter-refused", f"exit {d.code}: {d.error}")


def loopback():
    d = Driver(DRIVER, "pcap", "lo", netns=B)
    count = B.call(on_loopback, 5000)
    time.sleep(0.1)
    case(*flip("loopback-once", expect(d.stop(), frames=count, seen=count, received=count, remainder=0)))


def overload():
    # Frames that nobody gives back: the ring of copies fills, then the kernel's.
    sent = frames()
    found = capture("tb", sent, "--ring-bytes", 4 << 20, "--hold", 1 << 30)
    case(*flip("borrowed", expect(found, seen=COUNT, remainder=0, no_buffers=lambda v: v > 0, held_most=lambda v: v > 1000)))
    found = capture("tb", sent, "--ring-bytes", 4 << 20, "--pause-us", 100000)
    case(*flip("overload", expect(found, seen=COUNT, remainder=0, kernel_dropped=lambda v: v > 0, losing=lambda v: v > 0, received=lambda v: v > 0)))


def trouble():
    for name, nic, error in (("no-such-nic", "nowhere", "ENODEV"),):
        d = Driver(DRIVER, "pcap", nic, netns=B)
        d.wait()
        case(d.code == 3 and nic in d.error and error in d.error, name, f"exit {d.code}: {d.error}")
    d = Driver(DRIVER, "pcap", "tb", prefix=["ip", "netns", "exec", B.name, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    d.wait()
    case(d.code == 3 and "EPERM" in d.error and "CAP_NET_RAW" in d.error, "no-rights", f"exit {d.code}: {d.error}")

    def down_and_up(_):
        B.ip("link set tb down")
        time.sleep(0.4)
        B.ip("link set tb up")
        time.sleep(0.2)
    sent = frames(2000)
    case(*flip("down-and-up", expect(capture("tb", sent, before=down_and_up), frames=2000, remainder=0, down=lambda v: v > 0, gone=0)))
    B.ip("link set tb down")
    d = Driver(DRIVER, "pcap", "tb", netns=B)
    d.wait()
    case(d.code == 3 and "ENETDOWN" in d.error, "opened-while-down", f"exit {d.code}: {d.error}")
    B.ip("link set tb up")
    d = Driver(DRIVER, "pcap", "tb", netns=B)
    promiscuous = "promiscuity 1" in B.ip("-d link show tb")
    d.stop(number=signal.SIGKILL)
    case(promiscuous and "promiscuity 0" in B.ip("-d link show tb"), "killed-leaves-nothing", B.ip("-d link show tb"))
    case(*flip("after-a-kill", expect(capture("tb", sent), frames=2000, remainder=0)))
    veth(A, "tg", B, "th")
    d = Driver(DRIVER, "pcap", "th", netns=B)
    A.call(send_frames, "tg", sent)
    time.sleep(0.2)
    A.ip("link del tg")
    found = d.wait()
    case(*flip("gone", expect(found, frames=2000, gone=lambda v: v >= 1, remainder=0)))


reason = nets.missing()
if reason:
    skip("live-pcap", reason)
    finish()
nets.remove_leftovers()
A, B = Namespace("a"), Namespace("b")
veth(A, "ta", B, "tb")
counts()
filters()
loopback()
overload()
trouble()
large = [udp_frame(i, size) for i, size in enumerate((60000, 65000, 9000, 40000) * 200)]
veth(A, "tc", B, "td", mtu=65535)
big = Driver(DRIVER, "pcap", "td", "--ring-bytes", 256 << 20, netns=B)
A.call(send_frames, "tc", large)
time.sleep(0.1)
case(*flip("large-frames", expect(big.stop(), frames=len(large), longest=65000, crc_sum=crc_sum(large), cut=0, remainder=0)))
finish()
