#!/usr/bin/env python3
"""The request records of pcaps/ against what clients and servers of MySQL, Redis and Kafka counted when they were recorded.

    truth_stores.py TAPSCOPE

For each NAME.truth.json with a protocol: the requests by name, the errors, the connections; where our own client counted each
exchange, also its outcome and both lengths on the stream. Where a capture cannot show what its ends saw, EXCEPTIONS says why.
"""
import json
import os
import re
import sys
from collections import Counter

from common import PCAPS, captures, case, finish, replay

# What the capture shows less of, or differently, than its two ends do.
EXCEPTIONS = {
    # the mock answers acks=0, too: the last time perhaps when its client has gone, so that nothing is sent
    "kafka-acks": ("unasked",),
    # one connection and its first request came when the brokers were dead already, and the kernel still took it
    "kafka-resets": ("commands", "flows"),
}
# Texts that must not be in any record of the capture.
SECRETS = {
    "redis-secrets": ("wonderland", "wrong-secret", "topsecret", "othersecret"),
    "redis-replication": ("hidden-from-records",),
    "redis-errors": ("secret value", "no such password"),
    "mariadb-ed25519": ("edward",),
}


def same(name, what, expected, found):
    expected, found = Counter(expected), Counter(found)
    missing, extra = expected - found, found - expected
    return case(not missing and not extra, f"{name}-{what}", f"only in truth: {dict(list(missing.items())[:5])}; only in records: {dict(list(extra.items())[:5])}")


def by_name(protocol, truth, requests):
    """Requests by name, as far as the server told them apart: it counts DEBUG, where a record says DEBUG PROTOCOL."""
    found, commands = Counter(), truth["commands"]
    for r in requests:
        kind = r["request_type"]
        found[kind if kind in commands or protocol != "Redis" else kind.split(" ")[0] if kind.split(" ")[0] in commands else kind] += 1
    return found


def error_of(protocol, r):
    if r.get("response_status") not in ("client_error", "server_error"):
        return "ok" if r["type"] == "session" else None
    if protocol == "Redis":
        return r.get("response_exception", "").split(" ")[0]
    return r.get("response_code")


def exchanges_of(name, truth, requests):
    protocol = truth["protocol"]
    if protocol == "Kafka":
        same(name, "exchanges", (tuple(e) for e in truth["exchanges"]),
             ((r["request_type"], int(r["version"]), int(r["request_id"]), r["request_length"], r.get("response_length")) for r in requests))
        return
    same(name, "outcomes", ((e[0], e[1], e[3]) for e in truth["exchanges"]), ((r["client_port"], r["request_type"], error_of(protocol, r)) for r in requests))
    # a login goes back and forth; of what was cut off, what came is known to the capture alone
    same(name, "lengths", ((e[0], e[1], e[4], e[5]) for e in truth["exchanges"] if e[1] != "LOGIN" and e[5]),
         ((r["client_port"], r["request_type"], r.get("request_length"), r["response_length"]) for r in requests
          if r["request_type"] != "LOGIN" and r["type"] == "session"))


def check(binary, path, truth, name):
    result = replay(binary, path)
    if result.code != 0:
        case(False, name, f"exit {result.code}: {result.err}")
        return
    protocol, why = truth["protocol"], EXCEPTIONS.get(name, ())
    records = [r for r in result.requests() if r["l7_protocol"] == protocol]
    requests = [r for r in records if r["type"] != "response"]
    found = by_name(protocol, truth, requests)
    if "commands" not in why:
        commands = Counter(truth["commands"])
        unknown = sum((found - commands).values())
        case(not commands - found and unknown == truth.get("unknown", 0), f"{name}-commands",
             f"only in truth: {dict(commands - found)}; only in records: {dict(found - commands)}, which may be {truth.get('unknown', 0)}")
    if "errors" not in why and "errors" in truth:
        same(name, "errors", truth["errors"], Counter(str(error_of(protocol, r)) for r in requests if error_of(protocol, r) not in ("ok", None)))
    if "unasked" not in why:
        unasked = sum(r["type"] == "response" for r in records)
        case(unasked == truth["unasked"], f"{name}-unasked", f"truth {truth['unasked']}, records {unasked}")
    if truth["exchanges"] and "exchanges" not in why:
        exchanges_of(name, truth, requests)
    if "affected_rows" in truth:
        rows = sum(r.get("sql_affected_rows", 0) for r in records)
        case(rows == truth["affected_rows"], f"{name}-affected-rows", f"truth {truth['affected_rows']}, records {rows}")
    for port, versions in truth.get("connections", {}).items():
        same(name, f"broker-{port}", versions, Counter(f"{r['request_type']} {r['version']}" for r in requests if str(r["client_port"]) == port))
    if "flows" not in why:
        flows = len({r["flow_id"] for r in result.flows() if r["protocol"] == "TCP"})
        case(flows == truth["tcp_connections"], f"{name}-flows", f"truth {truth['tcp_connections']}, records {flows}")


def main():
    binary = sys.argv[1]
    seen = 0
    for path in captures():
        name = re.sub(r"\.pcap(ng)?(\.gz)?$", "", os.path.basename(path))
        for secret in SECRETS.get(name, ()):
            found = secret.encode() in replay(binary, path).out
            case(not found, f"{name}-hides-{secret.replace(' ', '-')}", "it is in a record")
        beside = os.path.join(os.path.dirname(path), name + ".truth.json")
        if not os.path.exists(beside):
            continue
        with open(beside, encoding="utf-8") as f:
            truth = json.load(f)
        if "protocol" in truth:
            check(binary, path, truth, name)
            seen += 1
    case(seen >= 50, "captures-with-truth", f"only {seen} in {PCAPS}")
    finish()


if __name__ == "__main__":
    main()
