#!/usr/bin/env python3
"""How many flows a flood is, against a model that knows nothing but the rules of the documentation.

    flow_model.py TAPSCOPE              synthetic floods, several timeouts, records counted
    flow_model.py TAPSCOPE FILE         one capture of that kind, the default timeouts; give it memory for all its flows

The model reads captures of lone SYNs and one-way UDP datagrams in Ethernet and IPv4, and keeps for each five-tuple the time
of its last packet. A packet begins a flow where there is none, or where the last one is at least the timeout ago. SYNs that
nobody answers are one flow, whatever their sequence numbers.
"""
import re
import struct
import sys

from common import case, finish, replay
from synth import synth

BINARY = sys.argv[1]
SYN = 2


def packets(path):
    """(time in ns, five-tuple, whether it is TCP)"""
    with open(path, "rb") as f:
        unit = {0xa1b23c4d: 1, 0xa1b2c3d4: 1000}[struct.unpack("<I", f.read(24)[:4])[0]]
        while head := f.read(16):
            seconds, fraction, length, _ = struct.unpack("<4I", head)
            frame = f.read(length)
            tcp = frame[23] == 6
            if frame[12:15] != b"\x08\0\x45" or frame[23] not in (6, 17) or (tcp and frame[47] != SYN):
                sys.exit(f"{path}: not a capture that this model knows")
            yield seconds * 10**9 + fraction * unit, frame[23:24] + frame[26:38], tcp


def model(path, syn_timeout, udp_timeout):
    """Flows of TCP and of UDP."""
    last, flows = {}, {True: 0, False: 0}
    for now, key, tcp in packets(path):
        before = last.get(key)
        if before is None or now - before >= (syn_timeout if tcp else udp_timeout):
            flows[tcp] += 1
        last[key] = now
    return flows[True], flows[False]


def counted(path, options):
    """The same from tapscope's summary, and flows that were pushed out for want of memory."""
    got = replay(BINARY, [path], "--summary", *options, form="none", timeout=300)
    line = re.search(r"^  flows +(.*)$", got.err, re.M)
    count = {name: int(re.sub(r"\D", "", number)) for number, name in re.findall(r"([\d,' ]+) (TCP|UDP)", line[1] if line else "")}
    evicted = re.search(r"([\d,]+) evicted", got.err)
    return (count.get("TCP", 0), count.get("UDP", 0)), evicted[1] if evicted else "0"


def compare(name, path, syn_ms, udp_ms, memory):
    options = ["-o", f"static_config.flow.opening-timeout={syn_ms}ms", "-o", f"static_config.flow.udp-oneway-timeout={udp_ms}ms",
               "-o", f"max_memory={memory}", "-o", "static_config.flow.report-interval=0"]
    expected = model(path, syn_ms * 10**6, udp_ms * 10**6)
    got, evicted = counted(path, options)
    case(got == expected and evicted == "0", name, f"model {expected} flows of TCP and UDP, tapscope {got}, {evicted} evicted")
    return expected


def main():
    if len(sys.argv) > 2:
        compare(sys.argv[2].rsplit("/", 1)[-1], sys.argv[2], 5000, 5000, "16GiB")
        finish()
    path = synth("flood-model.pcap", "flood", 300000, 60000)
    seen = {compare(f"flood-{syn}-{udp}", path, syn, udp, "768MB") for syn, udp in ((5000, 5000), (100, 30), (7, 90), (1, 1))}
    case(len(seen) == 4 and (30000, 30000) in {(round(a, -3), round(b, -3)) for a, b in seen}, "timeouts-matter", f"{seen}")
    finish()


main()
