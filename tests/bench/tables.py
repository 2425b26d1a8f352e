#!/usr/bin/env python3
"""Writes the figures of a run of bench.py into docs/performance.md, between its two marks.

    tables.py [BENCH.JSON]
"""
import json
import os
import sys

from common import FOLDER, ROOT
from stages import KERNEL, ORDER

PAGE = os.path.join(ROOT, "docs", "performance.md")
BEGIN, END = "<!-- figures of a run: tests/bench/tables.py writes them -->\n", "<!-- end of the figures -->\n"


def table(head, rows):
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(str(x) for x in row) + " |"
    yield ""


def cpu(program):
    if "cpu_s" not in program:
        return "–"
    s = program["cpu_s"]
    return f"{s['median']:.3g} ({s['min']:.3g}–{s['max']:.3g})"


def shortened(program, packets):
    return f" per {program['packets']:,} packets" if program.get("packets", packets) != packets else ""


def programs(r):
    yield "CPU seconds, median (fastest–slowest); records were checked in each run of ours.\n"
    names = []
    for w in r["workloads"].values():
        names += [n for n in w["programs"] if n not in names]
    kinds = list(r["workloads"])
    yield from table(["", *kinds], [
        ["packets", *(f"{r['workloads'][k]['packets']:,}" for k in kinds)],
        ["requests", *(f"{r['workloads'][k]['requests']:,}" for k in kinds)],
        ["flows", *(f"{r['workloads'][k]['flows']:,}" for k in kinds)],
        *([n, *(cpu(p := r["workloads"][k]["programs"].get(n, {})) + shortened(p, r["workloads"][k]["packets"]) for k in kinds)] for n in names)])


def aims(r):
    yield from table(["aim", "here", "at most", ""], [[a["what"], f"{a['value']:.3g}", f"{a['aim']:.3g}", "met" if a["met"] else "**not met**"] for a in r["aims"]])
    if r.get("not_installed"):
        yield f"Not installable from Debian 12, so not measured: {', '.join(r['not_installed'])}.\n"


def stages(r):
    yield "Instructions per packet (callgrind) and ns per packet (perf's share of the CPU time), by stage.\n"
    for output in ("none", "ndjson"):
        kinds = [k for k, w in r["workloads"].items() if output in w.get("stages", {})]
        if not kinds:
            continue
        rows = []
        for stage in [*ORDER, *[k for k, _ in KERNEL], "kernel: other"]:
            cells = [r["workloads"][k]["stages"][output].get(stage) for k in kinds]
            if any(cells):
                rows.append([stage, *(f"{c['instructions_per_packet']:.0f} / {c['ns_per_packet']:.0f}" if c else "" for c in cells)])
        whole = []
        for k in kinds:
            s = r["workloads"][k]["stages"][output].values()
            whole.append(f"**{sum(c['instructions_per_packet'] for c in s):.0f} / {sum(c['ns_per_packet'] for c in s):.0f}**")
        yield from table([f"--format {output}", *kinds], [*rows, ["whole", *whole]])


def scaling(r):
    yield from table(["two workers instead of one", "wall time", "CPU time"],
                     [[f"{k}, {o}", f"÷ {s['wall_gain']:.2f}", f"× {s['cpu_cost']:.2f}"] for k, w in r["workloads"].items() for o, s in w.get("scaling", {}).items()])
    for k, p in r["parts"].items():
        yield (f"Alone, on {k}: reading {p['read_ns']} ns/packet, with decode and shard {p['read_decode_ns']}; the ring to another CPU {p['ring_ns']} ns/packet, within one "
               f"{p['ring_inline_ns']}; the outbox to another CPU {p['outbox_ns']} ns a record; memory {p['memory_gb_s'][0]} GB/s by one thread, {p['memory_gb_s'][1]} by two; "
               f"a random line {p['miss_ns'][0]} ns, 32 at a time {p['miss_ns'][1]} ns.\n")
    rows = [[k, *(f"{m[x] / d:.1f}" for x, d in (("packets_per_s", 1e6), ("records_per_s", 1e6), ("output_gbit_s", 1), ("steering_cores", 1), ("worker_cores", 1), ("export_cores", 1), ("memory_gb_s", 1)))]
            for k, m in ((k, w.get("model_100g")) for k, w in r["workloads"].items()) if m]
    yield "Model (not measured) of 100 Gbit/s, NDJSON of both records:\n"
    yield from table(["", "Mpackets/s", "Mrecords/s", "Gbit/s of NDJSON", "steering cores", "worker cores", "export cores", "memory GB/s"], rows)


def worst(r):
    w = r.get("worst_cases", {})
    if not w:
        return
    yield f"The ordinary packet: {w['ordinary']['instructions_per_packet']:.0f} instructions, {w['ordinary']['ns_per_packet']:.0f} ns.\n"
    yield from table(["case", "instructions/packet", "multiple", "bound", "ns/packet"],
                     [[f"{name}: {c['what']}", f"{c['instructions_per_packet']:.0f}", f"{c['multiple']:.2f}", c["bound"], f"{c['ns_per_packet']:.0f}"]
                      for name, c in w.items() if name != "ordinary"])


def main():
    with open(sys.argv[1] if len(sys.argv) > 1 else os.path.join(FOLDER, "bench.json"), encoding="utf-8") as f:
        r = json.load(f)
    m = r["machine"]
    text = [f"Taken {r['when'][:10]} on {m['cpu']}, {m['cpus']} CPUs, {', '.join(f'{k} {v}' for k, v in m['caches'].items())}, {m['memory_mib'] // 1024} GiB, Linux {m['kernel']}, "
            f"load {m['load']:.1f} at the start.\n"]
    for title, part in (("Programs", programs), ("Aims", aims), ("Stages", stages), ("Workers", scaling), ("Worst cases", worst)):
        text += [f"### {title}\n", *part(r)]
    with open(PAGE, encoding="utf-8") as f:
        page = f.read()
    before, rest = page.split(BEGIN)
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write(before + BEGIN + "\n" + "\n".join(text) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
