#!/usr/bin/env python3
"""What a packet costs: whole, by stage, beside other programs, by workers, and at its worst.

    bench.py [--quick] [--workloads DIR] [--only NAME,...] [--all-peers] [--no-peers] [--json FILE] [TAPSCOPE]

--quick       workloads of a tenth, fewer rounds: a first look in less than three minutes
--workloads   a folder that has NAME.pcap (and perhaps NAME.truth.json) instead of those that workloads.py makes in .bench/
--only        these workloads only
--all-peers   also peers that take minutes, on whole files
TAPSCOPE      without it: built in build-bench/ (gcc, release, LTO)

docs/performance.md says what the figures mean. The JSON file has all of them (.bench/bench.json). Exit status 1: records that
are not what is known to be in a workload, a digest that is not that of the unoptimised build, or a worst case above its bound.
A figure that misses its aim is printed as such and is no failure.
"""
import argparse
import concurrent.futures
import datetime
import json
import os
import shutil
import signal
import sys
import tempfile

import programs
import scaling
import stages
import worst
from common import FAILURES, FOLDER, ROOT, TMPFS, Run, build, fail, free_bytes, machine, output_of, say, tool, warm
from workloads import NAMES, workloads

ROUNDS = {"http": 7, "redis": 7, "redis-pipeline": 7, "mysql": 7, "shortflows": 3, "flood": 3}
LIMIT = {False: 120, True: 30}  # seconds a run may take, by quick
LARGE = ("shortflows", "flood")
# (workload, output) -> (peer, the most that we may cost as a multiple of it)
AIMS = {
    ("http", "none"): [("softflowd", 1)],
    ("http", "ndjson"): [("softflowd", 1), ("justniffer", 1 / 3), ("suricata", 1 / 9)],
    ("redis", "none"): [("softflowd", 1)],
    ("redis", "ndjson"): [("softflowd", 1.6)],
    ("redis-pipeline", "none"): [("softflowd", 1.5)],
    ("redis-pipeline", "ndjson"): [("softflowd", 2.7)],
    ("mysql", "none"): [("softflowd", 1)],
    ("mysql", "ndjson"): [("softflowd", 2.5), ("zeek", 1 / 15)],
    ("shortflows", "none"): [("softflowd", 0.25)],
    ("shortflows", "ndjson"): [("softflowd", 0.43), ("justniffer", 1 / 6)],
    ("flood", "none"): [("nfpcapd", 0.1)],
    ("flood", "ndjson"): [("nfpcapd", 0.1)],
}
FLOOD_SETTINGS = ["-o", "max_memory=16GiB"]
FLOOD_60S = ["-o", "static_config.flow.opening-timeout=60s", "-o", "static_config.flow.udp-oneway-timeout=60s"]
SHORTFLOWS_MIB, FLOOD_FLOW_BYTES = 100, 256


def arguments():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("--quick", action="store_true")
    p.add_argument("--workloads")
    p.add_argument("--only")
    p.add_argument("--all-peers", action="store_true")
    p.add_argument("--no-peers", action="store_true")
    p.add_argument("--json", default=os.path.join(FOLDER, "bench.json"))
    p.add_argument("tapscope", nargs="?")
    a = p.parse_args()
    a.only = a.only.split(",") if a.only else NAMES
    if set(a.only) - set(NAMES):
        p.error(f"there are the workloads {' '.join(NAMES)}")
    return a


def aim(result, what, value, limit, unit=""):
    """One aim, met or not."""
    met = value <= limit
    result["aims"].append({"what": what, "value": value, "aim": limit, "met": met})
    say(f"  {what:62} {value:8.3g}{unit}  aim {limit:.3g}{unit}  {'met' if met else 'NOT MET'}")


def whole(a, binary, result, there):
    """Programs beside each other on each workload."""
    found, missing = ([], []) if a.no_peers else programs.peers(a.all_peers)
    ours = programs.tapscope(binary, tool("wire_count"))
    programs.show_commands(ours + found)
    if missing:
        say(f"  not installed: {', '.join(missing)}")
    result["not_installed"] = missing
    for name, w in there.items():
        warm(w.path)
        rounds = 2 if a.quick else ROUNDS[name]
        say(f"\n{name}: {w.packets:,} packets, {w.bytes / 1e6:.0f} MB, {w.requests:,} requests ({w.answered:,} answered), {w.flows:,} flows, counted by "
            f"{' and '.join(w.counted_by)}; {rounds} rounds")
        if w.fault:
            fail(f"{name}: {w.fault}")
        entry = result["workloads"][name] = {"packets": w.packets, "bytes": w.bytes, "requests": w.requests, "answered": w.answered, "flows": w.flows}
        entry["programs"] = programs.show(w, programs.compare(w, ours + found, rounds, LIMIT[a.quick], a.quick))


def ratios(result):
    """Our cost as a multiple of the peers', against the aims."""
    say("\nCPU time as a multiple of a peer's (medians of this run)")
    for (name, output), peers in AIMS.items():
        figures = result["workloads"].get(name, {}).get("programs", {})
        ours = figures.get(f"tapscope {output}", {}).get("cpu_s")
        for peer, limit in peers:
            theirs = figures.get(peer, {}).get("cpu_s")
            if ours and theirs:
                aim(result, f"{name}, {output}: of {peer}'s", ours["median"] / theirs["median"], limit)
            elif ours:
                say(f"  {name + ', ' + output + ': of ' + peer + chr(39) + 's':62} {'-':>8}  aim {limit:.3g}  not measured")


def memory_and_model(a, binary, result, there):
    """What the large workloads touch, and whether the flood's flows are those of the model."""
    if not set(LARGE) & set(there):
        return
    say("\nMemory touched, and flows as the model has them")
    if "shortflows" in there:
        mib = result["workloads"]["shortflows"]["programs"]["tapscope none"].get("anonymous_mib", 0)
        aim(result, "shortflows: anonymous memory touched", mib, SHORTFLOWS_MIB, " MiB")
    if "flood" not in there:
        return
    w = there["flood"]
    settings = (("default timeouts, 16 GiB", [], w.flows), ("timeouts of 60 s, 16 GiB", FLOOD_60S, w.flows_60s))
    for what, options, wanted in settings:
        c = Run([binary, "replay", "--format", "none", "--counters", *FLOOD_SETTINGS, *options, w.path], LIMIT[a.quick]).counters()
        say(f"  flood, {what}: {c.get('flows', 0):,} flows, {c.get('flows_evicted', 0):,} evicted; the model has {wanted:,} ({w.five_tuples:,} five-tuples)")
        if c.get("flows") != wanted:
            fail(f"flood, {what}: {c.get('flows')} flows, the model has {wanted}")
    aim(result, "flood: bytes touched for each five-tuple, 60 s", c.get("memory_touched_bytes", 0) / w.five_tuples, FLOOD_FLOW_BYTES, " B")
    default = result["workloads"]["flood"]["programs"].get("tapscope none", {}).get("counters", {})
    if default:
        aim(result, "flood: flows evicted with all defaults", default["flows_evicted"], 0)


def digests(binary, result, there):
    """The records of the optimised build, by one worker and two, are those of the unoptimised."""
    say("\nDigests of the records: this build with 1 and 2 workers, and an unoptimised build")
    plain = build(os.path.join(ROOT, "build-bench-plain"), ["-Dbuildtype=debug", "-Doptimization=0"])
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, w in there.items():
            cut = ["-c", "1000000"] if name in LARGE else []
            runs = [pool.submit(output_of, [b, "replay", "--format", "none", "--digest", *cut, *options, w.path])
                    for b, options in ((binary, []), (binary, ["--workers", "2"]), (plain, []))]
            got = [r.result().split()[0] for r in runs]
            say(f"  {name:16} {got[0][:16]} {'the same' if len(set(got)) == 1 else 'DIFFERENT: ' + ' '.join(g[:16] for g in got)}" + (" (the first 1,000,000 packets)" if cut else ""))
            result["digests"][name] = {"digest": got[0], "same": len(set(got)) == 1}
            if len(set(got)) != 1:
                fail(f"{name}: the digests differ")


def sampled(binary, w, output):
    """perf's shares of a run whose records go where those of the timed run went; of a large one, its beginning."""
    large = w.name in LARGE
    with tempfile.TemporaryDirectory(prefix="tapscope-bench-", dir=TMPFS if free_bytes(TMPFS) > 4e9 else None) as folder:
        options = ["--format", "none"] if output == "none" else ["--output", folder, *(["-c", "2000000"] if large else [])]
        return stages.perf(binary, [*options, w.path], 1 if large else 3)


def by_stage(a, binary, result, there):
    """Instructions by stage of a small workload of the same kind, time by stage of this one."""
    if not shutil.which("valgrind"):
        say("\nNo stages: valgrind is not installed (scripts/install-deps.sh --bench)")
        return
    timed = stages.have_perf()
    say("\nStages: instructions (callgrind, difference of the capture and its first packet) and CPU time (perf's samples of the CPU clock"
        + (")" if timed else "): perf does not sample here"))
    small = {}
    for scale, names in ((10, [n for n in there if n not in LARGE]), (100, [n for n in there if n in LARGE])):
        small.update(workloads(names, scale=scale))
    small = {n: w for n, w in small.items() if not isinstance(w, str)}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {(n, o, cut): pool.submit(stages.callgrind, binary, ["--format", o, *cut, w.path]) for n, w in small.items() for o in ("none", "ndjson") for cut in ((), ("-c", "1"))}
        counts = {(n, o): runs[n, o, ()].result().minus(runs[n, o, ("-c", "1")].result()) for n in small for o in ("none", "ndjson")}
    for (name, output), c in counts.items():
        w, full = small[name], there[name]
        program = result["workloads"][name]["programs"][f"tapscope {output}"]
        per_packet = program.get("ns_per_packet", {}).get("median")
        shares, samples = ({}, 0)
        if timed and per_packet:
            shares, samples = sampled(binary, full, output)
            shares = stages.share_out_libraries(shares, c)
        n, requests = w.packets - 1, w.requests
        say(f"\n  {name}, {output}: {c.total() / n:.0f} instructions/packet" + (f", {c.total() / requests:.0f} /request" if requests else "")
            + (f"; {per_packet:.0f} ns/packet ({samples} samples)" if samples else ""))
        say(f"    {'stage':18} {'instr/packet':>12} {'/request':>9} {'share':>6}   {'ns/packet':>9} {'/request':>9} {'share':>6}")
        rows = result["workloads"][name].setdefault("stages", {})[output] = {}
        for stage in [*stages.ORDER, *[k for k, _ in stages.KERNEL], "kernel: other"]:
            i, share = c.stage(stage), shares.get(stage, 0)
            if i / n < 0.5 and share < 0.005:
                continue
            ns = share * per_packet if per_packet else 0
            rows[stage] = {"instructions_per_packet": i / n, "instructions_per_request": i / requests if requests else None,
                           "ns_per_packet": ns, "ns_per_request": ns * full.packets / full.requests if full.requests else None}
            say(f"    {stage:18} {i / n:12.1f} " + (f"{i / requests:9.1f}" if requests else f"{'':9}") + f" {i / c.total():6.1%}   {ns:9.1f} "
                + (f"{ns * full.packets / full.requests:9.1f}" if full.requests else f"{'':9}") + f" {share:6.1%}")


def main():
    a = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))  # so that nothing stays in tmpfs
    began = datetime.datetime.now(datetime.timezone.utc)
    os.makedirs(FOLDER, exist_ok=True)
    binary = os.path.abspath(a.tapscope) if a.tapscope else build()
    result = {"when": began.isoformat(timespec="seconds"), "quick": a.quick, "machine": machine(), "tapscope": binary, "workloads": {}, "aims": [], "digests": {}, "parts": {}}
    m = result["machine"]
    say(f"{m['cpu']}, {m['cpus']} CPUs, {', '.join(f'{k} {v}' for k, v in m['caches'].items())}, {m['memory_mib']} MiB, Linux {m['kernel']}, load {m['load']:.1f}")
    if m["load"] > 0.5:
        say("  the machine is busy: times are worse than they could be, instructions are not")
    if a.quick:
        say("  a first look: small workloads, on which starting weighs more, and few rounds")
    found = workloads(a.only, a.workloads, 10 if a.quick else 1)
    there = {n: w for n, w in found.items() if not isinstance(w, str)}
    for name, reason in found.items():
        if isinstance(reason, str):
            say(f"no {name}: {reason}")
    result["left_out"] = {n: w for n, w in found.items() if isinstance(w, str)}
    whole(a, binary, result, there)
    ratios(result)
    memory_and_model(a, binary, result, there)
    by_stage(a, binary, result, there)
    scaling.measure(result, there)
    if not a.quick:
        digests(binary, result, there)
    if shutil.which("valgrind"):
        result["worst_cases"] = worst.measure(binary, a.quick)
    result["failures"] = FAILURES
    result["seconds"] = (datetime.datetime.now(datetime.timezone.utc) - began).total_seconds()
    with open(a.json, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
    missed = [x["what"] for x in result["aims"] if not x["met"]]
    say(f"\n{len(result['aims']) - len(missed)} of {len(result['aims'])} aims met; {len(FAILURES)} failures; {result['seconds']:.0f} s; all figures: {os.path.relpath(a.json)}")
    for f in FAILURES:
        say(f"  FAILED: {f}")
    sys.exit(1 if FAILURES or not there else 0)


if __name__ == "__main__":
    main()
