#!/usr/bin/env python3
"""The request records of pcaps/ against what clients and servers counted when they were recorded.

    truth.py TAPSCOPE

For each NAME.truth.json without a "protocol" of its own, so of HTTP: the exchanges (connection, method, status, and both lengths on the stream) are the records, no
more and no less; the connections are the flows. Where a capture cannot show what client and server saw, EXCEPTIONS says why.
"""
import json
import os
import re
import sys
from collections import Counter

from common import PCAPS, captures, case, finish, replay

# What the capture shows less of, or differently, than its two ends do.
EXCEPTIONS = {
    "tcp-resets": "flows",  # two connections to a port where nobody listens are no connections to the client
    "tcp-unanswered": "flows",  # nor is one that nobody answers
    "tls": "flows",
    "connect": "connect",  # inside the tunnel there may be HTTP, which has no truth of its own length
}


def same(name, what, expected, found):
    missing, extra = expected - found, found - expected
    case(not missing and not extra, f"{name}-{what}", f"only in truth: {dict(list(missing.items())[:4])}; only in records: {dict(list(extra.items())[:4])}")


def check(binary, path, truth, name):
    result = replay(binary, path)
    if result.code != 0:
        case(False, name, f"exit {result.code}: {result.err}")
        return
    http = [r for r in result.requests() if r["l7_protocol"] == "HTTP"]
    exchanges = truth["exchanges"]
    if exchanges:
        same(name, "status", Counter((e[0], e[1], e[3]) for e in exchanges),
             Counter((r.get("client_port"), r.get("request_type"), r.get("response_code")) for r in http))
        if truth["counted_by"] != "server":
            # a request that was never answered has no response length; one that was cut off has what came
            whole = [e for e in exchanges if e[3] is not None and e[4] and e[5] and e[1] != "CONNECT"]
            known = {(e[0], e[1], e[3]) for e in whole}
            same(name, "length", Counter((e[0], e[3], e[4], e[5]) for e in whole),
                 Counter((r.get("client_port"), r.get("response_code"), r.get("request_length"), r.get("response_length"))
                         for r in http if (r.get("client_port"), r.get("request_type"), r.get("response_code")) in known))
        found = Counter(r.get("response_status") for r in http)
        for kind in ("client_error", "server_error"):
            case(found[kind] == truth[kind], f"{name}-{kind}", f"truth {truth[kind]}, records {found[kind]}")
    if EXCEPTIONS.get(name) != "flows" and truth.get("tcp_connections"):
        flows = {r["flow_id"] for r in result.flows() if r["protocol"] == "TCP"}
        case(len(flows) == truth["tcp_connections"], f"{name}-flows", f"truth {truth['tcp_connections']}, records {len(flows)}")


def main():
    binary = sys.argv[1]
    seen = 0
    for path in captures():
        beside = re.sub(r"\.pcap(ng)?(\.gz)?$", ".truth.json", path)
        if not os.path.exists(beside):
            continue
        with open(beside, encoding="utf-8") as f:
            truth = json.load(f)
        if truth.get("protocol", "HTTP") == "HTTP":
            check(binary, path, truth, os.path.basename(beside).removesuffix(".truth.json"))
            seen += 1
    words = set()
    for name in os.listdir(PCAPS):
        if name.startswith("PROVENANCE"):
            with open(os.path.join(PCAPS, name), encoding="utf-8") as f:
                words |= set(re.findall(r"[\w-]+", f.read()))
    unnamed = {os.path.basename(p).split(".")[0] for p in captures()} - words
    case(not unnamed, "provenance", f"PROVENANCE.md does not name {unnamed}")
    case(seen >= 40, "captures-with-truth", f"only {seen} in {PCAPS}")
    finish()


if __name__ == "__main__":
    main()
