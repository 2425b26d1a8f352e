#!/usr/bin/env python3
"""The gate on speed: instructions per packet of small fixed captures against a written budget.

    instructions.py [--update] TAPSCOPE      TAPSCOPE: a build as bench.py makes it (gcc, release, LTO)

Time is noise, instructions are not: callgrind counts the same number on every run and on every x86-64 (stages.py says how).
What counts is the difference of two lengths of the same traffic, so that start and end cost nothing. More than the budget and
its tolerance fails. Less than nine tenths of it passes, and says that the budget is to be lowered: then --update writes the
budgets anew, and the commit that made the code faster takes them along.
"""
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "pcaps", "tools"))
import pcapfile
from common import HERE, ROOT, output_of
from stages import callgrind

BUDGETS = os.path.join(HERE, "instruction_budget.tsv")
TOLERANCE = 3.0
LOWER = 0.9
OUTPUTS = {"none": ["--format", "none"], "ndjson": ["--format", "ndjson"]}
# name -> arguments of synth.c for the short and the long capture
SYNTHETIC = {
    "short-flows": (("http", 1000, 1, 500), ("http", 3000, 1, 500)),
    "keep-alive": (("http", 100, 30, 50), ("http", 300, 30, 50)),
    "flood": (("flood", 20000, 40000), ("flood", 60000, 120000)),
}
# name of a capture in pcaps/ -> how often the long one repeats it
RECORDED = {"nginx-wrk": 11, "redis-benchmark": 9, "redis-pipeline": 41, "mariadb-pipeline": 21, "kafka-codecs": 21, "tcp-loss": 21, "fragments": 21, "vxlan": 61}
SILENCE_NS = 400 * 10**9  # between repetitions: no timeout is longer


def repeated(name, times, out):
    """A capture of pcaps/ over and over, long after each other; its number of packets."""
    frames = pcapfile.read(os.path.join(ROOT, "pcaps", name + ".pcap"))
    period = max(f.ts for f in frames) - min(f.ts for f in frames) + SILENCE_NS
    pcapfile.write(out, [f.copy(ts=f.ts + i * period) for i in range(times) for f in frames], nanoseconds=True)
    return len(frames) * times


def captures(folder):
    """name -> ((path, packets) of the short one, the same of the long one)"""
    synth = os.path.join(folder, "synth")
    subprocess.run(["gcc", "-O2", "-o", synth, os.path.join(HERE, "synth.c")], check=True)
    made = {}
    for name, lengths in SYNTHETIC.items():
        pair = []
        for i, arguments in enumerate(lengths):
            path = os.path.join(folder, f"{name}-{i}.pcap")
            output_of([synth, *map(str, arguments), path])
            pair.append((path, arguments[1] if arguments[0] == "flood" else arguments[1] * (6 + 4 * arguments[2])))
        made[name] = pair
    for name, times in RECORDED.items():
        pair = []
        for n in (1, times):
            path = os.path.join(folder, f"{name}-{n}.pcap")
            pair.append((path, repeated(name, n, path)))
        made[name] = pair
    return made


def measure(binary):
    """(name, output) -> instructions per packet"""
    with tempfile.TemporaryDirectory(prefix="tapscope-bench-") as folder:
        made = captures(folder)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            runs = {(name, output, i): pool.submit(callgrind, binary, [*options, path])
                    for name, pair in made.items() for output, options in OUTPUTS.items() for i, (path, _) in enumerate(pair)}
            return {(name, output): (runs[name, output, 1].result().total() - runs[name, output, 0].result().total()) / (pair[1][1] - pair[0][1])
                    for name, pair in made.items() for output in OUTPUTS}


def compiler():
    """The compiler's major version: others make other code."""
    return "gcc " + subprocess.run(["gcc", "-dumpversion"], capture_output=True, text=True, check=True).stdout.strip().split(".")[0]


def read_budgets():
    """(budgets, comment, compiler)"""
    budgets, comment = {}, []
    with open(BUDGETS, encoding="utf-8") as f:
        for line in f:
            if line.startswith("#"):
                comment.append(line)
            elif line.strip() and not line.startswith("workload\t"):
                name, output, number, tolerance = line.split("\t")
                budgets[name, output] = (float(number), float(tolerance))
    made_with = next((c.split("made with ", 1)[1].strip().rstrip(".") for c in comment if "made with " in c), "")
    return budgets, comment, made_with


def write_budgets(measured, budgets, comment):
    with open(BUDGETS, "w", encoding="utf-8") as f:
        for line in comment:
            f.write(f"# made with {compiler()}\n" if "made with " in line else line)
        f.write("workload\toutput\tinstructions per packet\ttolerance in percent\n")
        for key, value in measured.items():
            f.write(f"{key[0]}\t{key[1]}\t{value:.1f}\t{budgets.get(key, (0, TOLERANCE))[1]:g}\n")


def main():
    binary = os.path.abspath(sys.argv[-1])
    if not shutil.which("valgrind"):
        print("skip instructions valgrind is not there (scripts/install-deps.sh --test)")
        return
    budgets, comment, made_with = read_budgets()
    if "--update" in sys.argv:
        measured = measure(binary)
        for key, value in measured.items():
            print(f"{key[0]:18} {key[1]:7} {budgets.get(key, (0,))[0]:9.1f} -> {value:9.1f}")
        write_budgets(measured, budgets, comment)
        return
    if made_with != compiler():
        print(f"skip instructions the budgets were made with {made_with}, this is {compiler()}")
        return
    measured, bad = measure(binary), 0
    for key in sorted(measured.keys() | budgets.keys()):
        name = "-".join(key)
        if key not in budgets or key not in measured:
            print(f"not ok {name} {'has no budget' if key in measured else 'is not measured any more'}: instructions.py --update")
            bad += 1
            continue
        value, (budget, tolerance) = measured[key], budgets[key]
        if value > budget * (1 + tolerance / 100):
            print(f"not ok {name} {value:.1f} instructions per packet, the budget is {budget:.1f} + {tolerance:g} %")
            bad += 1
        else:
            print(f"ok {name} {value:.1f} of {budget:.1f}" + (": lower the budget (instructions.py --update)" if value < budget * LOWER else ""))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
