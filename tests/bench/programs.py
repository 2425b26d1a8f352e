"""Whole programs beside each other: ours and the peers that are installed, on the same files, in turns.

Figures are CPU seconds of user and kernel, all threads, of the whole process, with the capture in the page cache. Each round
runs every program once, so that a disturbance meets all of them; the median of the rounds counts. What of ours ran is checked
in that same run against what is in the workload.
"""
import os
import shutil
import tempfile

from common import TMPFS, Run, fail, free_bytes, say, spread

# What takes a peer longer than this is done once; nfpcapd, which has a part in the aims, in every round.
ONCE_ABOVE = 20
SHORTENED = 100000


class Program:
    """command(capture, folder) -> arguments. peer: it is not ours. packets: it is given the first so many only. output: of ours, what its
    records are checked in. only: the workloads that it runs on. large: it takes minutes."""

    def __init__(self, name, does, command, peer=True, packets=None, output=None, only=None, large=False):
        self.name, self.does, self.command, self.peer, self.packets = name, does, command, peer, packets
        self.output, self.only, self.large = output, only, large

    def runs_on(self, workload):
        return self.only is None or workload in self.only


def tapscope(binary, tool):
    def replay(*options):
        return lambda path, folder: [binary, "replay", "--counters", *options, path]

    def to_files(*options):
        return lambda path, folder: [binary, "replay", "--counters", *options, "--output", folder, path]

    return [
        Program("tapscope none", "records made and counted", replay("--format", "none"), peer=False, output="none"),
        Program("tapscope ndjson", "both records as NDJSON to tmpfs", to_files(), peer=False, output="ndjson"),
        Program("tapscope none, 2 workers", "the same", replay("--format", "none", "--workers", "2"), peer=False, output="none"),
        Program("tapscope ndjson, 2 workers", "the same", to_files("--workers", "2"), peer=False, output="ndjson"),
        Program("wire_count", "five-tuples and messages counted, no times, no records: a floor", lambda path, folder: [tool, path]),
    ]


REAL = ("http", "redis", "redis-pipeline", "mysql")
PEERS = (
    Program("softflowd", "flows, all kept, sent to nobody",
            lambda path, folder: ["softflowd", "-d", "-r", path, "-m", "10000000", "-c", "none", "-p", os.path.join(folder, "pid")], only=(*REAL, "shortflows")),
    Program("softflowd", "flows, all kept, sent to nobody",
            lambda path, folder: ["softflowd", "-d", "-r", path, "-m", "10000000", "-c", "none", "-p", os.path.join(folder, "pid")], only=("flood",), large=True),
    Program("nfpcapd", "flows, to a file in tmpfs", lambda path, folder: ["nfpcapd", "-r", path, "-w", folder]),
    Program("ndpiReader", "flows and their protocols", lambda path, folder: ["ndpiReader", "-q", "-i", path], only=REAL),
    Program("ndpiReader", "flows and their protocols", lambda path, folder: ["ndpiReader", "-q", "-i", path], only=("shortflows", "flood"), large=True),
    Program("tshark", "requests and responses as fields",
            lambda path, folder: ["tshark", "-r", path, "-c", str(SHORTENED), "-Y", "http || mysql || resp", "-T", "fields", "-e", "frame.number", "-e", "http.request.uri",
                                  "-e", "http.response.code", "-e", "mysql.query"], packets=SHORTENED),
    Program("tshark, all", "the same, of all packets",
            lambda path, folder: ["tshark", "-r", path, "-Y", "http || mysql || resp", "-T", "fields", "-e", "frame.number", "-e", "http.request.uri",
                                  "-e", "http.response.code", "-e", "mysql.query"], large=True),
    Program("suricata", "its default events", lambda path, folder: ["suricata", "-r", path, "-l", folder, "-k", "none"], large=False),
    Program("zeek", "its default logs", lambda path, folder: ["bash", "-c", 'cd "$1" && exec zeek -C -r "$2"', "zeek", folder, path], large=False),
    Program("justniffer", "a line a request", lambda path, folder: ["justniffer", "-f", path], large=False),
)


def peers(everything):
    """The installed ones, and the names of the others."""
    there, missing = [], []
    for p in PEERS:
        name = p.name.split(",")[0]
        if not shutil.which(name):
            if name not in missing:
                missing.append(name)
        elif everything or not p.large:
            there.append(p)
    return there, missing


def lines_of(path, mark=None):
    """Lines of a file, and those that contain a mark."""
    lines = marked = 0
    rest = b""
    with open(path, "rb") as f:
        while block := f.read(1 << 24):
            lines += block.count(b"\n")
            if mark:
                block = rest + block
                marked += block.count(mark)
                rest = block[-(len(mark) - 1) :]
    return lines, marked


def check(workload, counters, evicted_ok):
    """What of our counts is not that of the workload: a reason, or None."""
    for key, wanted in (("frames", workload.packets), ("request_records", workload.requests), ("unaccounted_frames", 0)):
        if counters.get(key) != wanted:
            return f"{counters.get(key)} {key}, should be {wanted}"
    if counters["flows"] != workload.flows and not (evicted_ok and counters["flows_evicted"]):
        return f"{counters['flows']} flows, should be {workload.flows}"
    # a flow that lives when a minute ends is reported then, too
    if counters["flow_records"] < counters["flows"]:
        return f"{counters['flow_records']} flow records of {counters['flows']} flows"
    return None


def check_files(workload, counters, folder, first):
    """The same of the NDJSON; `first`: also how many requests are paired."""
    paths = [os.path.join(folder, name) for name in ("flow.ndjson", "request.ndjson")]
    flows, _ = lines_of(paths[0])
    requests, sessions = lines_of(paths[1], b'"type":"session"' if first else None)
    counters["ndjson_bytes"] = sum(map(os.path.getsize, paths))
    if (flows, requests) != (counters["flow_records"], counters["request_records"]):
        return f"{flows} and {requests} lines, but {counters['flow_records']} and {counters['request_records']} records"
    if first and sessions != workload.answered:
        return f"{sessions} pairs of request and response, should be {workload.answered}"
    return None


def ndjson_bytes(workload):
    """Room that the NDJSON may need; a flood's flows may leave several times."""
    return (workload.flows * (2 if workload.flows_60s else 1) + workload.requests) * 1000


class Result:
    def __init__(self, program, command):
        self.program, self.command, self.runs, self.reason, self.counters = program, command, [], None, {}

    def entry(self, workload):
        if not self.runs:
            return {"does": self.program.does, "command": self.command, "reason": self.reason}
        packets = min(self.program.packets or workload.packets, workload.packets)
        cpu, wall = spread([r.cpu for r in self.runs]), spread([r.wall for r in self.runs])
        e = {"does": self.program.does, "command": self.command, "runs": len(self.runs), "cpu_s": cpu, "wall_s": wall, "packets": packets,
             "ns_per_packet": {k: v * 1e9 / packets for k, v in cpu.items()}, "anonymous_mib": max(r.anonymous_mib for r in self.runs)}
        if workload.requests and packets == workload.packets:
            e["ns_per_request"] = {k: v * 1e9 / workload.requests for k, v in cpu.items()}
        if self.counters:
            e["counters"] = self.counters
        return e


def one(result, workload, limit, first):
    """One run of a program; its files are gone before the next."""
    program = result.program
    folder = tempfile.mkdtemp(prefix="tapscope-bench-", dir=TMPFS if free_bytes(TMPFS) else None)
    try:
        if program.output == "ndjson" and free_bytes(folder) < ndjson_bytes(workload):
            result.reason = f"{ndjson_bytes(workload) / 1e9:.1f} GB may be needed in {folder}, {free_bytes(folder) / 1e9:.1f} are free"
            return
        command = program.command(workload.path, folder)
        result.command = command
        run = Run(command, limit)
        if run.status != 0:
            result.reason = f"took more than {limit} s" if run.status is None else f"ended with {run.status}: {' '.join(run.err.split())[-200:]}"
            if not program.peer:
                fail(f"{program.name} on {workload.name} {result.reason}")
            return
        if program.output:
            counters = run.counters()
            wrong = check(workload, counters, workload.name == "flood")
            if not wrong and program.output == "ndjson":
                wrong = check_files(workload, counters, folder, first)
            if wrong:
                fail(f"{program.name} on {workload.name}: {wrong}")
            result.counters = counters
        result.runs.append(run)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compare(workload, programs, rounds, limit, quick=False):
    """Runs all, round by round (tshark, which has no part in the aims, in the first if quick); a Result each."""
    results = [Result(p, p.command(workload.path, "DIR")) for p in programs if p.runs_on(workload.name)]
    for n in range(rounds):
        for r in results:
            slow = r.runs and r.program.peer and (r.program.name.startswith("tshark") if quick else r.runs[0].wall > ONCE_ABOVE and r.program.name != "nfpcapd")
            if not r.reason and not slow:
                one(r, workload, limit, n == 0)
    return results


def seconds(s):
    return f"{s['median']:8.3f} s ({s['min']:.3f} to {s['max']:.3f})"


def show(workload, results):
    """Prints a table; name -> figures."""
    entries = {}
    for r in results:
        e = entries[r.program.name] = r.entry(workload)
        if not r.runs:
            say(f"  {r.program.name:27} not measured: {r.reason}")
            continue
        c, per_request = r.counters, e.get("ns_per_request")
        records = f", {c['flows']:,} flows, {c['request_records']:,} requests" if c else ""
        if c.get("flows_evicted"):
            records += f", {c['flows_evicted']:,} EVICTED"
        say(f"  {r.program.name:27}{seconds(e['cpu_s'])} {e['ns_per_packet']['median']:7.0f} ns/packet"
            + (f" {per_request['median']:7.0f} ns/request" if per_request else f" {'':18}")
            + f" wall {e['wall_s']['median']:.3f} {e['anonymous_mib']:5.0f} MiB{records}" + (f", of {e['packets']:,} packets" if e["packets"] != workload.packets else ""))
    return entries


def show_commands(programs):
    say("Commands (DIR: a folder in tmpfs that is gone after each run)")
    for p in programs:
        say(f"  {p.name:27}{p.does}: {' '.join(p.command('FILE', 'DIR'))}")
