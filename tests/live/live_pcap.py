#!/usr/bin/env python3
"""The libpcap source on veth pairs and loopback: what it counts against what was sent.

    live_pcap.py SOURCE_DRIVER
"""
import signal
import sys
import time

import nets
from nets import Driver, Namespace, check, crc_sum, loopback_datagrams, mixed_frames, refused, send_frames, udp_frame, unprivileged, veth, whole
from common import case, finish, skip

DRIVER = sys.argv[1]
COUNT = 20000


def capture(nic, sent, *options, before=None):
    """A driver while `sent` goes out on the peer; its answer."""
    d = Driver(DRIVER, "pcap", nic, *options, netns=B)
    if d.ready:
        if before:
            before()
        A.call(send_frames, "ta", sent)
        time.sleep(0.1)
    return {**d.stop(), "error": d.error}


def counts():
    sent = mixed_frames(COUNT)
    good = whole(sent, backwards=0, ethernet=COUNT, nic_packets=COUNT)
    check("whole", capture("tb", sent), **good, unsteered=0, clock="software", youngest_ns=lambda v: v >= 0, oldest_ns=lambda v: v < 5e8)
    check("first-queue-of-three", capture("tb", sent, "--queues", 3, "--threads"), **good, unsteered=1, per_queue=[COUNT, 0, 0])
    check("snaplen", capture("tb", sent, "--snaplen", 96), frames=COUNT, remainder=0, wire=good["wire"], captured=sum(min(len(f), 96) for f in sent),
          crc_sum=crc_sum(f[:96] for f in sent))
    tagged = mixed_frames(3000, vlan=(7, 8))
    check("vlan-tags-stay", capture("tb", tagged), **whole(tagged))
    check("any", capture("any", sent), frames=COUNT, seen=COUNT, cooked=COUNT, remainder=0)


def filters():
    mixed = [udp_frame(i, 1400, port=1000 + i % 2, vlan=(5,) if i % 4 == 3 else ()) for i in range(8000)]
    for name, expression, wanted in (("port", "udp dst port 1000", [f for i, f in enumerate(mixed) if i % 2 == 0]),
                                     ("vlan", "vlan 5", [f for i, f in enumerate(mixed) if i % 4 == 3]),
                                     ("past-the-snap-length", "ether[1300] = 9", [f for i, f in enumerate(mixed) if i & 255 == 9])):
        found = capture("tb", mixed, "--filter", expression, "--snaplen", 64)
        check(f"filter-{name}", found, seen=len(mixed), received=len(wanted), filtered=len(mixed) - len(wanted), kernel_dropped=0, remainder=0,
              crc_sum=crc_sum(f[:64] for f in wanted))
    refused("filter-refused", Driver(DRIVER, "pcap", "tb", "--filter", "udp portt 5", netns=B), "tb", "udp portt 5", "EINVAL")


def loopback():
    d = Driver(DRIVER, "pcap", "lo", netns=B)
    count = B.call(loopback_datagrams, 5000)
    time.sleep(0.1)
    check("loopback-once", d.stop(), frames=count, seen=count, received=count, remainder=0)


def overload():
    # Frames that nobody gives back: the ring of copies fills, then the kernel's.
    sent = mixed_frames(COUNT)
    check("borrowed", capture("tb", sent, "--ring-bytes", 4 << 20, "--hold", 1 << 30), seen=COUNT, remainder=0, no_buffers=lambda v: v > 0, held_most=lambda v: v > 1000)
    check("overload", capture("tb", sent, "--ring-bytes", 4 << 20, "--pause-us", 100000), seen=COUNT, remainder=0, kernel_dropped=lambda v: v > 0,
          losing=lambda v: v > 0, received=lambda v: v > 0)


def down_and_up():
    B.ip("link set tb down")
    time.sleep(0.4)
    B.ip("link set tb up")
    time.sleep(0.2)


def trouble():
    refused("no-such-nic", Driver(DRIVER, "pcap", "nowhere", netns=B), "nowhere", "ENODEV")
    refused("no-rights", Driver(DRIVER, "pcap", "tb", prefix=unprivileged(B)), "EPERM", "CAP_NET_RAW")
    sent = mixed_frames(2000)
    check("down-and-up", capture("tb", sent, before=down_and_up), **whole(sent), down=lambda v: v > 0, gone=0)
    B.ip("link set tb down")
    refused("opened-while-down", Driver(DRIVER, "pcap", "tb", netns=B), "ENETDOWN")
    B.ip("link set tb up")
    d = Driver(DRIVER, "pcap", "tb", netns=B)
    promiscuous = "promiscuity 1" in B.ip("-d link show tb")
    d.stop(number=signal.SIGKILL)
    case(promiscuous and "promiscuity 0" in B.ip("-d link show tb"), "killed-leaves-nothing", B.ip("-d link show tb"))
    check("after-a-kill", capture("tb", sent), **whole(sent))
    veth(A, "tg", B, "th")
    d = Driver(DRIVER, "pcap", "th", netns=B)
    A.call(send_frames, "tg", sent)
    time.sleep(0.2)
    A.ip("link del tg")
    check("gone", d.wait(), frames=2000, gone=lambda v: v >= 1, remainder=0)


def large():
    sent = mixed_frames(800, (60000, 65000, 9000, 40000))
    veth(A, "tc", B, "td", mtu=65535)
    d = Driver(DRIVER, "pcap", "td", "--ring-bytes", 256 << 20, netns=B)
    A.call(send_frames, "tc", sent)
    time.sleep(0.1)
    check("large-frames", d.stop(), **whole(sent), longest=65000, cut=0)


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
large()
finish()
