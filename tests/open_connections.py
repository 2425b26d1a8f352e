#!/usr/bin/env python3
"""Many connections that stay open: all their requests are told, without a limit being hit, in the memory that is promised.

    open_connections.py TAPSCOPE [--million]

Each connection has an exchange, then each another, and at last one in twenty sends a request that nobody answers, so that every
connection is folded (engine/conn.c) and comes back before its next request. 65,536 of them in 64 MiB: a million in the default
768 MiB is 50, but the fewer there are, the less even they are spread over the shards. --million does just that, with counts
alone, and needs 2 GB for each capture in TMPDIR.
"""
import json
import os
import re
import subprocess
import sys

from common import case, finish, replay
from synth import synth

TAPSCOPE = sys.argv[1]
EXCHANGES = 2
DEFAULT = 768 << 20


def limits(err):
    """What the summary says about limits; empty where none was hit."""
    match = re.search(r"^Limits and losses\n((?:  .*\n)*)", err, re.MULTILINE)
    return match.group(1) if match else ""


def resource(protocol, connection, n):
    return f"/item/{connection * 31 + n}?page={n}" if protocol == "http" else f"GET key:{connection}:{n}"


def records(protocol, connections, waiting, memory):
    capture = synth(f"open-{protocol}.pcap", "open", protocol, connections, EXCHANGES, waiting)
    r = replay(TAPSCOPE, capture, "--summary", "-o", f"max_memory={memory}")
    return r, r.records()


def whole(protocol, connections, memory):
    waiting = connections // 20
    name = f"{connections} connections of {protocol}"
    r, found = records(protocol, connections, waiting, memory)
    flows = [f for f in found if f["record"] == "flow"]
    requests = [q for q in found if q["record"] == "request"]
    case(r.code == 0 and not limits(r.err), f"{name}: no limit", limits(r.err) or r.err)
    case(len(flows) == connections, f"{name}: flows", len(flows))
    expected = {resource(protocol, i, n): "session" for i in range(connections) for n in range(EXCHANGES)}
    expected.update({resource(protocol, i, EXCHANGES): "request" for i in range(waiting)})
    seen = {q["request_resource"]: q["type"] for q in requests}
    wrong = [f"{k}: {seen.get(k)}" for k, v in expected.items() if seen.get(k) != v]
    case(len(requests) == len(expected) and not wrong, f"{name}: requests", f"{len(requests)} of {len(expected)}; {len(wrong)} wrong: {wrong[:3]}")
    case(not any("truncated" in f for f in found), f"{name}: nothing is truncated")
    sums = (sum(f.get("l7_request", 0) for f in flows), sum(f.get("l7_response", 0) for f in flows), sum(f.get("rrt_count", 0) for f in flows))
    case(sums == (len(expected), connections * EXCHANGES, connections * EXCHANGES), f"{name}: the flows' own counts", sums)


def starved(protocol, connections, memory):
    """Far too little memory: less is told, but what is told is right, and says that it is not all; whoever works at it."""
    name = f"{connections} connections of {protocol} in {memory}"
    r, found = records(protocol, connections, connections // 20, memory)
    requests = [q for q in found if q["record"] == "request"]
    expected = {resource(protocol, i, n) for i in range(connections) for n in range(EXCHANGES + 1)}
    case(limits(r.err), f"{name}: limits are hit")
    case(all(q.get("request_resource") in expected for q in requests if q["type"] != "response"), f"{name}: no request that was none")
    case(len({(q["flow_id"], q["request_resource"]) for q in requests if q["type"] == "session"}) ==
         sum(q["type"] == "session" for q in requests), f"{name}: no request twice")
    capture = synth(f"open-{protocol}.pcap", "open", protocol, connections, EXCHANGES, connections // 20)
    again = replay(TAPSCOPE, capture, "-o", f"max_memory={memory}", "--workers", "3")
    case(again.out == r.out, f"{name}: the same with three workers")


def million(protocol):
    connections, waiting = 1_000_000, 50_000
    name = f"a million connections of {protocol}"
    capture = synth("million.pcap", "open", protocol, connections, EXCHANGES, waiting)
    done = subprocess.run([TAPSCOPE, "replay", "--format", "none", "--summary", "--counters", capture], capture_output=True, text=True, timeout=300, check=False)
    os.unlink(capture)
    counters = json.loads(done.stderr.strip().splitlines()[-1])
    case(not limits(done.stderr), f"{name}: no limit", limits(done.stderr))
    case(counters["flow_records"] == connections, f"{name}: flows", counters["flow_records"])
    case(counters["request_records"] == connections * EXCHANGES + waiting, f"{name}: requests", counters["request_records"])
    case(counters["memory_touched_bytes"] <= DEFAULT, f"{name}: memory", counters["memory_touched_bytes"])


def main():
    for protocol in ("http", "redis"):
        if "--million" in sys.argv:
            million(protocol)
        else:
            whole(protocol, 65536, "64MiB")
            starved(protocol, 65536, "12MiB")
    finish()


main()
