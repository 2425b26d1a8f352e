#!/usr/bin/env python3
"""First figures: what a packet costs, whole and by stage, and beside other programs.

    bench.py [--quick] [--no-peers] [--json FILE] [TAPSCOPE]     without TAPSCOPE: built in build-bench/

Workloads come from tests/bench/synth.c, the same bytes each time, in .bench/ (read once before, so from memory). Each program
runs RUNS times; printed is the median and, as spread, the fastest and slowest. ns per packet is CPU time of user and kernel
(of all threads) divided by packets; "wall" is the clock's. Instructions come from callgrind, which counts user space only, as
the difference of two lengths of the same workload, so that start and end cost nothing. By stage: the share of the functions
of a room's source files (what the compiler inlines counts where it was written). The JSON file has all of it.

Programs do different work on the same packets: what each writes is said beside its name. Figures of different machines, and of
different runs on a busy one, are not to be compared; instructions may be.
"""
import collections
import datetime
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(ROOT, ".bench")
QUICK = "--quick" in sys.argv
RUNS = 3 if QUICK else 7
SCALE = 10 if QUICK else 1
ROOMS = ("base", "record", "capture", "flowtab", "dissect", "engine", "export", "config", "app")
# name -> (arguments of synth, the tenth of it for instructions)
WORKLOADS = {
    "short-flows": (("http", 200000 // SCALE, 1, 20000 // SCALE), ("http", 40000 // SCALE, 1, 4000), ("http", 20000 // SCALE, 1, 4000)),
    "keep-alive": (("http", 20000 // SCALE, 30, 500), ("http", 2000 // SCALE, 30, 100), ("http", 1000 // SCALE, 30, 100)),
    "flood": (("flood", 2000000 // SCALE, 500000 // SCALE), ("flood", 200000 // SCALE, 50000), ("flood", 100000 // SCALE, 50000)),
}


def built():
    """A release build with line numbers, which change no instruction."""
    folder = os.path.join(ROOT, "build-bench")
    if not os.path.exists(os.path.join(folder, "build.ninja")):
        subprocess.run(["meson", "setup", folder, "-Dbuildtype=release", "-Ddebug=true"], stdout=subprocess.DEVNULL, check=True)
    subprocess.run(["ninja", "-C", folder, "--quiet", "tapscope"], stdout=subprocess.DEVNULL, check=True)
    return os.path.join(folder, "tapscope")


def positional():
    skip, found = False, []
    for a in sys.argv[1:]:
        if skip:
            skip = False
        elif a == "--json":
            skip = True
        elif not a.startswith("--"):
            found.append(a)
    return found


def synth(arguments):
    """The capture for these arguments, and its number of packets."""
    tool = os.path.join(FOLDER, "synth")
    source = os.path.join(ROOT, "tests/bench/synth.c")
    if not os.path.exists(tool) or os.path.getmtime(tool) < os.path.getmtime(source):
        subprocess.run(["gcc", "-O2", "-o", tool, source], check=True)
        for name in os.listdir(FOLDER):
            if name.endswith(".pcap"):
                os.unlink(os.path.join(FOLDER, name))
    path = os.path.join(FOLDER, "-".join(map(str, arguments)) + ".pcap")
    if not os.path.exists(path):
        subprocess.run([tool, *map(str, arguments), path], check=True)
    if arguments[0] == "http":
        return path, arguments[1] * (6 + 4 * arguments[2])
    return path, arguments[1]


def timed(command):
    """(CPU seconds, wall seconds, peak resident KiB) of a run, or None where it fails."""
    began = time.monotonic()
    p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limit = threading.Timer(120, p.kill)
    limit.start()
    _, status, usage = os.wait4(p.pid, 0)
    limit.cancel()
    p.returncode = status
    wall = time.monotonic() - began
    return None if status else (usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss)


def spread(values):
    return {"median": round(statistics.median(values), 2), "min": round(min(values), 2), "max": round(max(values), 2)}


def measure(command, packets):
    runs = []
    for _ in range(RUNS):
        runs.append(timed(command))
        if runs[-1] is None:
            return None
    return {
        "ns_per_packet": spread([r[0] * 1e9 / packets for r in runs]),
        "wall_ns_per_packet": spread([r[1] * 1e9 / packets for r in runs]),
        "peak_rss_mib": round(max(r[2] for r in runs) / 1024, 1),
        "runs": RUNS,
    }


def callgrind(binary, capture, options):
    """User-space instructions of a run, by source file."""
    with tempfile.TemporaryDirectory(prefix="tapscope-bench-") as folder:
        out = os.path.join(folder, "out")
        subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--compress-strings=no", "--compress-pos=no", binary, "replay", *options, capture],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        counts = collections.Counter()
        source, skip = "", False
        with open(out, encoding="utf-8", errors="replace") as f:
            for line in f:
                if line.startswith(("fl=", "fi=", "fe=")):
                    source = line[3:].strip()
                elif line.startswith("calls="):
                    skip = True  # the next line is the cost of the callee, counted at the callee
                elif line[0].isdigit() or line[0] in "+-*":
                    if skip:
                        skip = False
                    else:
                        parts = line.split()
                        if len(parts) >= 2:
                            counts[source] += int(parts[1])
        return counts


def room_of(source):
    m = re.search(r"(?:^|/)(%s)/[^/]+\.[ch]$" % "|".join(ROOMS), source)
    return m[1] if m else "libraries"


def instructions(binary, big, small, options):
    """Instructions a packet: whole, and by room."""
    (path_a, packets_a), (path_b, packets_b) = synth(big), synth(small)
    a, b = callgrind(binary, path_a, options), callgrind(binary, path_b, options)
    rooms = collections.Counter()
    for source in a.keys() | b.keys():
        rooms[room_of(source)] += a[source] - b[source]
    n = packets_a - packets_b
    return {"whole": round(sum(rooms.values()) / n, 1), **{room: round(v / n, 1) for room, v in rooms.most_common() if v / n >= 0.05}}


def peers(path, folder):
    """Programs of the same field that are installed: (name with what it does, command)"""
    if shutil.which("softflowd"):
        yield "softflowd (flows, sent to nobody)", ["softflowd", "-d", "-r", path, "-m", "100000", "-c", "none", "-p", os.path.join(folder, "s.pid")]
    if shutil.which("nfpcapd"):
        yield "nfpcapd (flows, to a file)", ["nfpcapd", "-r", path, "-w", folder]
    if shutil.which("ndpiReader"):
        yield "ndpiReader (flows and protocols)", ["ndpiReader", "-q", "-i", path]
    if shutil.which("tshark"):
        yield "tshark (HTTP fields)", ["tshark", "-r", path, "-Y", "http", "-T", "fields", "-e", "http.request.uri", "-e", "http.response.code"]


def machine():
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()[0]}


def main():
    names = positional()
    binary = os.path.abspath(names[0]) if names else built()
    output = sys.argv[sys.argv.index("--json") + 1] if "--json" in sys.argv else os.path.join(FOLDER, "bench.json")
    os.makedirs(FOLDER, exist_ok=True)
    have_valgrind = shutil.which("valgrind") is not None
    result = {"when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "machine": machine(), "workloads": {}}
    print(f"{result['machine']['cpu']}, {result['machine']['cpus']} CPUs, load {result['machine']['load']:.1f}; median of {RUNS} runs (min to max)")
    for name, (full, big, small) in WORKLOADS.items():
        path, packets = synth(full)
        with open(path, "rb") as f:
            while f.read(1 << 24):
                pass
        print(f"\n{name}: {packets:,} packets, {os.path.getsize(path) / 1e6:.0f} MB")
        entry = result["workloads"][name] = {"packets": packets, "programs": {}, "instructions_per_packet": {}}
        programs = {
            "tapscope, no output": [binary, "replay", "--format", "none", path],
            "tapscope, NDJSON": [binary, "replay", "--format", "ndjson", path],
            "tapscope, no output, 2 workers": [binary, "replay", "--format", "none", "--workers", "2", path],
        }
        with tempfile.TemporaryDirectory(prefix="tapscope-bench-") as folder:
            if "--no-peers" not in sys.argv:
                programs.update(peers(path, folder))
            for program, command in programs.items():
                m = entry["programs"][program] = measure(command, packets)
                if m is None:
                    print(f"  {program:36} does not run: {' '.join(command)}")
                    continue
                n, w = m["ns_per_packet"], m["wall_ns_per_packet"]
                print(f"  {program:36} {n['median']:8.0f} ns/packet ({n['min']:.0f} to {n['max']:.0f}), wall {w['median']:6.0f}, {m['peak_rss_mib']:6.0f} MiB")
        if have_valgrind:
            for kind, options in (("no output", ["--format", "none"]), ("NDJSON", ["--format", "ndjson"])):
                i = entry["instructions_per_packet"][kind] = instructions(binary, big, small, options)
                print(f"  instructions/packet, {kind}: {i['whole']:.0f} = " + ", ".join(f"{room} {v:.0f}" for room, v in i.items() if room != "whole"))
        else:
            print("  instructions: valgrind is not installed (scripts/install-deps.sh --bench)")
    with open(output, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
    print(f"\nall figures: {os.path.relpath(output)}")


if __name__ == "__main__":
    main()
