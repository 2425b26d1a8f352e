#!/usr/bin/env python3
"""Captures in which packets are seen several times, and which of their frames are the first sights: known from where they
were mirrored, not from what they look like.

    sights.py span ALL ONCE OUT TRUTH        ALL: a port that mirrors each packet several times; ONCE: one that mirrors each once,
                                             when it comes in, and before the other. OUT: ALL, with nothing but IP in it
    sights.py merge OUT TRUTH FILTER FILE... the files by time, one interface each; first sights are the frames that FILTER names:
                                             from=MAC,MAC (source address), or interface=N
    sights.py named FILE TRUTH FILTER        the same of one file

TRUTH gets "copies": the numbers of the frames (from 1) that are not first sights.
"""
import json
import os
import sys
from collections import defaultdict, deque

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pcapfile
import truth


def span(frames, once):
    """Numbers of the copies. A frame and those that equal it belong to the last of ONCE that came before."""
    sendings, copies = defaultdict(deque), []
    for f in once:
        sendings[f.data].append(f.ts)
    open_sendings = set()
    for number, f in enumerate(frames, 1):
        waiting = sendings[f.data]
        if waiting and waiting[0] <= f.ts:
            waiting.popleft()
            open_sendings.add(f.data)
        elif f.data in open_sendings:
            copies.append(number)
        else:
            sys.exit(f"frame {number} was mirrored before it came")
    left = sum(map(len, sendings.values()))
    if left:
        sys.exit(f"{left} frames came and were not mirrored")
    return copies


def tell(path, copies):
    told = {"counted_by": "nobody", "exchanges": [], "tcp_connections": 0}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            told = json.load(f)
    told["copies"] = copies
    exchanges = told.pop("exchanges")
    truth.write(path, {**told, "exchanges": exchanges})


def is_first(rule, frame):
    name, _, value = rule.partition("=")
    if name == "from":
        return frame.data[6:12].hex(":") in value.split(",")
    return frame.interface == int(value)


def main():
    what, *args = sys.argv[1:]
    if what == "span":
        every, once, out, told = args
        frames = pcapfile.read(every)
        copies = span(frames, pcapfile.read(once))
        pcapfile.write(out, frames, nanoseconds=True)
    elif what == "merge":
        out, told, rule, *files = args
        frames = []
        for number, path in enumerate(files):
            for f in pcapfile.read(path):
                f.interface = number
                frames.append(f)
        frames.sort(key=lambda f: f.ts)
        # interfaces are numbered in the order in which they are met
        met = {}
        copies = [number for number, f in enumerate(frames, 1) if not is_first(rule, f)]
        for f in frames:
            f.interface = met.setdefault(f.interface, len(met))
        pcapfile.write_pcapng(out, frames, resolution=9)
    elif what == "named":
        path, told, rule = args
        frames = pcapfile.read(path)
        copies = [number for number, f in enumerate(frames, 1) if not is_first(rule, f)]
    else:
        sys.exit(__doc__)
    tell(told, copies)
    print(f"{len(frames)} frames, {len(copies)} of them copies")


if __name__ == "__main__":
    main()
