#!/usr/bin/env python3
"""Ports only hint: with every TCP port of a capture replaced by another, the same requests are found.

    ports.py TAPSCOPE       all captures of the corpus and of pcaps/ that hold requests

Flow identity, addresses' roles that hang on the port alone, and sizes of headers apart, each request record is the same.
"""
import concurrent.futures
import os
import random
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from collections import Counter
from common import PCAPS, captures, case, corpus, finish, replay
import pcapedit
import pcapfile

# Captures in which the ports do more than hint
EXCEPTIONS = {
    "tunnels/zeek__doc_advanced_devel_plugins_connkey-vxlan-fivetuple-plugin-src_Traces_vxlan-overlapping-http-get.pcap":
        "the same connection inside a tunnel and outside; the tool changes the ports outside only, so one becomes two",
    **dict.fromkeys((
        "linktypes/tcpdump__resp_3_malicious.pcap",
        "redis/zeek__redis_array-element-object-exhaustion.pcap",
        "redis/zeek__redis_attr.pcap",
        "redis/zeek__redis_excessive-pipelining.pcap",
        "redis/zeek__redis_pipeline-quotes.pcap",
    ), "begins with inline commands of Redis: plain words without a mark, believed on a port configured for Redis only"),
}
OWN_EXCEPTIONS = {
    "dup-vxlan-loss.pcapng": "each packet is there twice, once in a tunnel, and ports are not moved inside of tunnels",
    "redis-errors.pcap": "one connection is nothing but broken commands, which are believed on a port of Redis only",
}
KEEP = ("l7_protocol", "version", "type", "request_type", "request_domain", "request_resource", "response_status", "response_code",
        "request_length", "response_length", "start_time", "end_time", "trace_id", "x_request_id")


def requests(binary, path):
    result = replay(binary, path, timeout=120)
    if result.code not in (0, 3):
        raise ValueError(f"exit {result.code}")
    return Counter(tuple(str(r.get(k)) for k in KEEP) for r in result.requests())


def compare(binary, path, folder):
    """What differs, or nothing; and how many requests there were."""
    try:
        before = requests(binary, path)
        if not before:
            return None, 0
        frames = pcapfile.read(path)
        if len({f.link for f in frames}) > 1:
            return None, 0  # the tool writes files of one link type
        same, changed = (os.path.join(folder, f"{n}-{os.getpid()}-{random.getrandbits(60)}.pcap") for n in ("same", "ports"))
        pcapfile.write(same, frames, nanoseconds=True)
        pcapfile.write(changed, pcapedit.ports(frames, 20), nanoseconds=True)
        # written once without a change, so that what the tool alone does (cut files, times) is no difference
        expected, found = requests(binary, same), requests(binary, changed)
        os.unlink(same)
        os.unlink(changed)
        missing, extra = expected - found, found - expected
        if missing or extra:
            return f"{sum(missing.values())} requests lost, {sum(extra.values())} new, of {sum(expected.values())}: {list(missing)[:1]} {list(extra)[:1]}", 0
        return None, sum(expected.values())
    except (ValueError, OSError, OverflowError) as e:
        return f"{type(e).__name__} {e}", 0


def main():
    binary = sys.argv[-1]
    base = corpus("corpus")
    paths = [p for p in captures(base) + captures(PCAPS) if os.path.relpath(p, base) not in EXCEPTIONS
             and not (p.startswith(PCAPS) and os.path.basename(p) in OWN_EXCEPTIONS)]
    bad = total = 0
    with tempfile.TemporaryDirectory(prefix="tapscope-ports-") as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, (reason, count) in zip(paths, pool.map(lambda p: compare(binary, p, folder), paths)):
            total += count
            if reason:
                bad += 1
                case(False, os.path.relpath(path, base), reason)
    case(bad == 0 and total > 0, f"{total}-requests-with-other-ports", f"{bad} captures differ")
    finish()


if __name__ == "__main__":
    main()
