#!/usr/bin/env python3
"""On a capture of many equal flows no worker has more than 1.5 times its share of the packets."""
import re
import sys

from common import case, finish, replay
from synth import synth

BINARY = sys.argv[1]


def main():
    path = synth("balance.pcap", "http", 8000, 3, 2000)
    for workers in (2, 3, 5, 8):
        got = replay(BINARY, [path], "-o", f"workers={workers}", "--format", "none", "--summary", timeout=120)
        found = re.search(r"workers\s+(\d+), the busiest had ([\d.]+) %", got.err)
        share = float(found[2]) if found and int(found[1]) == workers else 1000
        case(share <= 150 / workers, f"balance-{workers}-workers", f"the busiest had {share} % of the packets")
    finish()


main()
