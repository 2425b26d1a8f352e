#!/usr/bin/env python3
"""Capture files as a user has them: every container form, pipes, merges, damage, filters.

    inputs.py TAPSCOPE
"""
import os
import subprocess
import sys
import tempfile

from common import ENVIRONMENT, PCAPS, case, finish, replay
import pcapedit
import pcapfile

TAPSCOPE = sys.argv[1]


def pcap(name):
    return os.path.join(PCAPS, name)


def piped(data, *options):
    done = subprocess.run([TAPSCOPE, "replay", "--format", "ndjson", *options, "-"], input=data, capture_output=True, env=ENVIRONMENT, timeout=60)
    return done.returncode, done.stdout, done.stderr.decode()


def forms(folder):
    """The same frames in each container give the same bytes."""
    source = pcap("nginx-shorts.pcap")
    frames = pcapfile.read(source)
    wanted = replay(TAPSCOPE, source).out
    case(wanted.count(b'"record":"request"') == 25, "forms-source", f"{wanted.count(b'request')} requests")
    for form, write in pcapedit.WRITERS.items():
        for ending in ("", ".gz"):
            path = os.path.join(folder, f"{form}{'.pcapng' if 'ng' in form else '.pcap'}{ending}")
            write(path, frames)
            got = replay(TAPSCOPE, path)
            case(got.code == 0 and got.out == wanted, f"form-{form}{ending}", f"exit {got.code} {got.err}")
    with open(source, "rb") as f:
        raw = f.read()
    code, out, err = piped(raw)
    case(code == 0 and out == wanted, "form-stdin", err)
    with open(os.path.join(folder, "us.pcap.gz"), "rb") as f:
        code, out, err = piped(f.read())
    case(code == 0 and out == wanted, "form-stdin-gzip", err)


def merging(folder):
    """Two fibres recorded in two files, in either order on the command line, are what both were together."""
    source = pcap("nginx-shorts.pcap")
    frames = pcapfile.read(source)
    wanted = sorted(replay(TAPSCOPE, source).out.splitlines())
    halves = []
    for side in "01":
        halves.append(os.path.join(folder, f"side{side}.pcap"))
        pcapfile.write(halves[-1], pcapedit.side(frames, side))
    ticks = [f.ts for f in frames]
    unique = len(set(ticks)) == len(ticks)
    for name, files in (("merge", halves), ("merge-swapped", halves[::-1])):
        got = replay(TAPSCOPE, files)
        case(got.code == 0 and sorted(got.out.splitlines()) == wanted, name, f"exit {got.code}; times are {'' if unique else 'not '}unique; {got.err}")


def damage(folder):
    source = pcap("nginx-shorts.pcap")
    frames = pcapfile.read(source)
    with open(source, "rb") as f:
        raw = f.read()
    whole = os.path.join(folder, "whole.pcap")
    pcapfile.write(whole, frames[:-1])
    wanted = replay(TAPSCOPE, whole).out
    for name, cut in (("packet", 7), ("packet-head", len(frames[-1].data) + 5)):
        path = os.path.join(folder, "cut.pcap")
        with open(path, "wb") as f:
            f.write(raw[:-cut])
        got = replay(TAPSCOPE, path)
        case(got.code == 3 and got.out == wanted, f"cut-off-{name}", f"exit {got.code}, wanted 3; records {'differ' if got.out != wanted else 'agree'}")
        case("cut.pcap" in got.err and got.err.count("\n") == 1, f"cut-off-{name}-message", got.err)
    text = os.path.join(folder, "text.pcap")
    with open(text, "w") as f:
        f.write("this is no capture at all, but long enough to have had a header\n")
    empty = os.path.join(folder, "empty.pcap")
    open(empty, "w").close()
    for name, path in (("text", text), ("empty", empty), ("missing", os.path.join(folder, "none.pcap")), ("folder", folder)):
        got = replay(TAPSCOPE, path)
        case(got.code == 3 and got.out == b"" and os.path.basename(path) in got.err, f"not-a-capture-{name}", f"exit {got.code} {got.err}")
    got = replay(TAPSCOPE, [text, source])
    case(got.code == 3, "not-a-capture-among-others", f"exit {got.code}")
    header = os.path.join(folder, "header.pcap")
    pcapfile.write(header, [], link=1)
    got = replay(TAPSCOPE, header)
    case(got.code == 0 and got.out == b"", "no-frames", f"exit {got.code} {got.err}")
    unknown = os.path.join(folder, "unknown.pcap")
    pcapfile.write(unknown, frames, link=147)
    got = replay(TAPSCOPE, unknown, "--summary")
    case(got.code == 0 and got.ledger().get("unaccounted for") == 0 and got.ledger().get("frames read") == len(frames), "unknown-link-type", f"exit {got.code} {got.err}")


def selection(folder):
    source = pcap("nginx-shorts.pcap")
    frames = pcapfile.read(source)
    port = frames[0].data[34] << 8 | frames[0].data[35]
    got = replay(TAPSCOPE, source, "-f", f"port {port}", "--summary")
    flows = got.flows()
    case(got.code == 0 and len(flows) == 1 and flows[0]["client_port"] == port, "filter", f"exit {got.code}, {len(flows)} flows")
    case(got.ledger().get("unaccounted for") == 0 and got.ledger().get("frames read") == len(frames), "filter-ledger", got.ledger())
    got = replay(TAPSCOPE, source, "-f", "tcp and (")
    case(got.code in (2, 3) and got.out == b"" and got.err, "filter-wrong", f"exit {got.code}")
    got = replay(TAPSCOPE, source, "-c", "10", "--summary")
    case(got.code == 0 and got.ledger().get("frames read") == 10, "count", f"exit {got.code} {got.ledger()}")
    cut = os.path.join(folder, "snap.pcap")
    pcapfile.write(cut, pcapedit.snap(frames, 100))
    a, b = replay(TAPSCOPE, source, "-s", "100"), replay(TAPSCOPE, cut)
    case(a.code == b.code == 0 and a.out == b.out, "snaplen", f"exit {a.code} {b.code}")
    for link in ("any-sll.pcap", "any-sll2.pcap", "raw-ip.pcap", "bsd-null.pcap"):
        got = replay(TAPSCOPE, pcap(link), "-f", "tcp port 80", "--summary")
        case(got.code == 0 and got.flows() and got.ledger().get("unaccounted for") == 0, f"filter-{link}", f"exit {got.code} {got.err}")


def outputs(folder):
    source = pcap("nginx-errors.pcap")
    wanted = replay(TAPSCOPE, source).out.splitlines()
    target = os.path.join(folder, "new", "out")
    os.mkdir(os.path.join(folder, "new"))
    got = replay(TAPSCOPE, source, "--output", target, form="none")
    lines = []
    for kind in ("flow", "request"):
        with open(os.path.join(target, kind + ".ndjson"), "rb") as f:
            part = f.read().splitlines()
        case(part and all(x.startswith(b'{"record":"%s"' % kind.encode()) for x in part), f"output-{kind}", f"{len(part)} lines")
        lines += part
    case(got.code == 0 and sorted(lines) == sorted(wanted), "output-all", f"exit {got.code} {got.err}")
    code = subprocess.run([TAPSCOPE, "replay", source, "--output", "/proc/none"], capture_output=True, env=ENVIRONMENT, timeout=20).returncode
    case(code == 3, "output-refused", f"exit {code}")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([TAPSCOPE, "replay", "--format", "ndjson", source], stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=20)
    case(done.returncode == 3 and done.stderr, "output-full", f"exit {done.returncode}")
    for args in (["replay"], ["replay", "--nonsense", source], ["nonsense"], ["replay", "--format", "xml", source]):
        code = subprocess.run([TAPSCOPE, *args], capture_output=True, env=ENVIRONMENT, timeout=20).returncode
        case(code == 2, f"usage-{'-'.join(a.strip('-') for a in args if '/' not in a)}", f"exit {code}")
    again = replay(TAPSCOPE, source, form="table")
    case(again.code == 0 and b"every frame is accounted for" in again.out, "table", f"exit {again.code}")


def main():
    for part in (forms, merging, damage, selection, outputs):
        with tempfile.TemporaryDirectory(prefix="tapscope-inputs-") as folder:
            part(folder)
    finish()


if __name__ == "__main__":
    main()
