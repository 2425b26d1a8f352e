#!/usr/bin/env python3
"""What a packet costs when it is captured live, through the whole of `tapscope run`, beside a loop that only counts.

    live.py [--quick] [--json FILE]

Two sources. DPDK's net_pcap gives a file again and again, as fast as it is taken: so the rate is what the program can do, with
one worker. AF_PACKET on a veth pair: there the sender, which has one CPU for itself and the kernel's half of the receiving, is the
end, so the cost counts (CPU seconds of the process, the kernel's part under the ring is the sender's).

The traffic is loop.c's: TCP connections of one HTTP exchange, 10 packets of 180 bytes on average, each pass new ones. The counting loop is
source_driver of tests/live, with the same source. Programs take turns; a cost is the least of its rounds, a rate the greatest.
Needs root, libdpdk-dev. Exit status 1: frames were lost without being counted, or requests are missing.
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from common import BUILD, FAILURES, build, fail, say, tool
from workloads import Wire

QUICK = "--quick" in sys.argv
CONNECTIONS = 500  # their packets all have to fit into the rings of net_pcap
ROUNDS, SECONDS = (2, 2) if QUICK else (5, 4)
OUTPUTS = ("none", "ndjson")


def finished(p, timeout):
    """CPU seconds and what it printed."""
    out, err = p.stdout.read(), p.stderr.read()
    deadline = time.monotonic() + timeout
    while True:
        pid, status, usage = os.wait4(p.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > deadline:
            p.kill()
        time.sleep(0.01)
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode:
        fail(f"{p.args[0]} ended with {p.returncode}: {err.decode('utf-8', 'replace')[:300]}")
    return usage.ru_utime + usage.ru_stime, out


def start(command, stdout=subprocess.PIPE, env=None):
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, env={**os.environ, **(env or {})})


class Measured:
    def __init__(self):
        self.cpu_ns, self.rate, self.dropped = [], [], []

    def take(self, frames, cpu, seconds, dropped):
        if frames:
            self.cpu_ns.append(cpu * 1e9 / frames)
            self.rate.append(frames / seconds)
            self.dropped.append(dropped)

    def best(self):
        return {"cpu_ns": min(self.cpu_ns, default=0), "rate": max(self.rate, default=0), "dropped": max(self.dropped, default=0), "rounds": len(self.cpu_ns)}


def check_ledger(name, ledger):
    terms = ledger["terms"]
    lost = sum(terms[t] for t in ("no room to hand over", "dropped by the kernel", "dropped in rings"))
    if ledger["remainder"]:
        fail(f"{name}: {ledger['remainder']} frames are not accounted for")
    wanted = (ledger["frames"] - lost) / 10
    # what was lost may have been any packet of an exchange; the last pass is not whole
    if ledger["records"]["request"] < wanted - lost - 2 * CONNECTIONS:
        fail(f"{name}: {ledger['records']['request']} requests in {ledger['frames']} frames")
    return lost


def tapscope(program, name, kind, nic, output, prefix=(), while_it_runs=None):
    """(frames, CPU seconds, frames lost) of a run."""
    with tempfile.NamedTemporaryFile(suffix=".json") as ledger, open(os.devnull, "wb") as nowhere:
        p = start([*prefix, program, "run", "--source", kind, "-i", nic, "--workers", "1", "--format", output, "--ledger", ledger.name,
                   *(() if while_it_runs else ("--duration", str(SECONDS)))], stdout=nowhere)
        p.stdout = open(os.devnull, "rb")
        if while_it_runs:
            time.sleep(1)
            while_it_runs()
            time.sleep(0.5)
            p.send_signal(signal.SIGTERM)
        cpu, _ = finished(p, 60)
        p.stdout.close()
        text = ledger.read()
    if not text:
        fail(f"{name}: no ledger")
        return 0, 0, 0
    found = json.loads(text)
    lost = check_ledger(name, found)
    return found["frames"] - lost, cpu, lost


def counting(driver, kind, nic, prefix=(), while_it_runs=None, env=None):
    p = start([*prefix, driver, "--kind", kind, "--nic", nic, "--no-crc", "--ring-bytes", str(64 << 20), "--drain-ms", "50", "--ms", str(60000 if while_it_runs else SECONDS * 1000)], env=env)
    if p.stdout.readline() != b"ready\n":
        cpu, _ = finished(p, 5)
        return 0, 0, 0
    if while_it_runs:
        while_it_runs()
        time.sleep(0.5)
        p.send_signal(signal.SIGTERM)
    cpu, out = finished(p, 60)
    found = json.loads(out.splitlines()[-1])
    if found["remainder"]:
        fail(f"source_driver, {kind}: {found['remainder']} frames are not accounted for")
    return found["received"], cpu, found["kernel_dropped"] + found["ring_dropped"]


def main():
    if os.geteuid():
        sys.exit("live.py: not root")
    program = build(targets=("tapscope", "tests/live/source_driver", "tapscope-dpdk.so"))
    driver = os.path.join(BUILD, "tests", "live", "source_driver")
    blast, loop = tool("blast"), tool("loop")
    results = {}
    with Wire() as wire:
        capture = os.path.join(wire.work, "loop.pcap")
        subprocess.run([loop, str(CONNECTIONS), capture], check=True)
        device = f"net_pcap0,rx_pcap={capture},infinite_rx=1"
        inside = ["nsenter", f"--net=/run/netns/{wire.server}"]

        def send():
            subprocess.run(["nsenter", f"--net=/run/netns/{wire.client}", blast, "vc", capture, str(SECONDS)], stdout=subprocess.DEVNULL, timeout=SECONDS + 20, check=True)

        cases = {}
        for kind, nic, prefix, sender in (("dpdk", device, [], None), ("af_packet", "vs", inside, send)):
            cases[kind, "only counts"] = lambda k=kind, n=nic, p=prefix, s=sender: counting(driver, k, n, p, s, {"TAPSCOPE_MODULES": BUILD})
            for output in OUTPUTS:
                cases[kind, output] = lambda k=kind, n=nic, p=prefix, s=sender, o=output: tapscope(program, f"{k}-{o}", k, n, o, p, s)
        measured = {c: Measured() for c in cases}
        for _ in range(ROUNDS):
            for case, run in cases.items():
                frames, cpu, dropped = run()
                measured[case].take(frames, cpu, SECONDS, dropped)
    say(f"{'source':<10} {'output':<12} {'frames/s':>12} {'CPU ns/frame':>13} {'dropped':>9}")
    for (kind, output), m in measured.items():
        best = m.best()
        results[f"{kind} {output}"] = best
        say(f"{kind:<10} {output:<12} {best['rate']:>12,.0f} {best['cpu_ns']:>13.0f} {best['dropped']:>9}")
    if "--json" in sys.argv:
        with open(sys.argv[sys.argv.index("--json") + 1], "w", encoding="utf-8") as f:
            json.dump(results, f, indent=1)
    sys.exit(1 if FAILURES else 0)


if __name__ == "__main__":
    main()
