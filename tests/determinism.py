#!/usr/bin/env python3
"""Replay is a function: the same bytes over workers, rings, stalls, seeds, compilers, also when memory is short.

    determinism.py [--quick] TAPSCOPE [TAPSCOPE-OF-ANOTHER-COMPILER]

A case is one capture (or set of captures) with one memory limit: all its digests are one. Low limits must really bite,
and the ledger balances in every run.
"""
import csv
import hashlib
import itertools
import os
import re
import sys

from common import captures, case, corpus, finish, replay
from synth import synth

QUICK = "--quick" in sys.argv
BINARIES = [a for a in sys.argv[1:] if not a.startswith("--")]


def variants():
    """(workers, ring slots, stall in us, seed): all pairs that matter, few enough to run."""
    if QUICK:
        return [(1, 4096, 0, 1), (2, 2, 50, 2), (3, 1024, 50, 0), (5, 2, 0, 99)]
    seeds = itertools.cycle((1, 2, 77, 0, 18446744073709551615))
    return [(w, r, s, next(seeds)) for w in (1, 2, 3, 5) for r in (2, 1024) for s in (0, 40)]


def inputs():
    own = [p for p in captures() if not re.search(r"\.gz$", p)]
    yield "pcaps-merged", own, []
    yield "many-flows", [synth("http.pcap", "http", 4000 if QUICK else 12000, 3, 4000)], []
    yield "flood", [synth("flood.pcap", "flood", 30000 if QUICK else 150000, 40000)], []
    # every capture twice: each frame has its copy at another NIC, and with little memory most are forgotten
    yield "copies", [p for p in own if re.search(r"/(nginx-|tcp-|udp-|icmp|vxlan|sent-twice)", p)] * 2, ["-o", "dedup.enabled=on"]
    yield "loss", [p for p in own if re.search(r"/(tcp-loss|lost-|reordered|nginx-wrk)", p)], ["-o", "static_config.flow.reassembly-bytes=2KiB"]
    if not QUICK and os.environ.get("TAPSCOPE_CORPUS"):
        # merged by time, over decades of them, some damaged: whole files only
        base = corpus("corpus")
        with open(os.path.join(base, "INDEX.tsv"), encoding="utf-8") as f:
            rows = list(csv.DictReader(f, delimiter="\t"))
        yield "corpus", [os.path.join(base, r["path"]) for r in rows if r["category"] in ("http", "tcp", "malformed")
                         and r["format"] == "pcap-le" and r["packets"].isdigit()], []


def digest(binary, files, options, variant):
    workers, ring, stall, seed = variant
    got = replay(binary, files, *options, "-o", f"workers={workers}", "-o", f"ring_slots={ring}", "-o", f"replay.stall_max={stall}",
                 "-o", f"hash_seed={seed}", "--summary", timeout=240)
    ledger = got.ledger()
    if got.code not in (0, 3) or ledger.get("unaccounted for") != 0:
        return f"exit {got.code}, ledger {ledger}, {got.err[-300:]}", 0
    return hashlib.sha256(got.out).hexdigest(), got.out.count(b'"close_type":"evicted"')


def main():
    for name, files, options in inputs():
        for memory in ("768MB", "4MiB"):
            digests, evicted = {}, 0
            for binary in BINARIES:
                for variant in variants():
                    value, gone = digest(binary, files, [*options, "-o", f"max_memory={memory}"], variant)
                    digests.setdefault(value, []).append((os.path.basename(os.path.dirname(binary)), *variant))
                    evicted += gone
            runs = sum(map(len, digests.values()))
            few = sorted(digests.items(), key=lambda d: len(d[1]))
            case(len(digests) == 1 and len(few[0][0]) == 64, f"{name}-{memory}-{runs}-runs",
                 "; ".join(f"{value[:200]}: {who[:4]}" for value, who in few))
            if name in ("many-flows", "flood") and memory == "4MiB":
                case(evicted > 0, f"{name}-limits-bite", "no flow was evicted")
    finish()


if __name__ == "__main__":
    main()
