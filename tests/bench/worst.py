"""Captures made to hurt, and what they may cost: instructions per packet as a multiple of the ordinary packet's.

The ordinary packet is one of synth.c's keep-alive HTTP (four packets an exchange), with NDJSON of both records to /dev/null, as
are all cases. Instructions are exact, so a multiple above its bound is a fault; time is printed beside it.
"""
import concurrent.futures
import os
import tempfile

from common import FOLDER, Run, fail, output_of, say, tool
from stages import callgrind

# name of worst.c -> (bound, packets of the short capture; the long one has twice as many, what it is)
CASES = {
    "one-flow": (2, 20000, "a single connection"),
    "same-shard": (6, 20000, "all connections in one virtual shard, 10,000 open: eviction all the time"),
    "ooo-reversed": (3, 20000, "64 segments of each response come last first"),
    "ooo-random": (3, 20000, "the same at random"),
    "ooo-small": (4, 20000, "1,000 segments of 8 bytes in random order"),
    "ooo-holes": (3, 20000, "every second segment never comes"),
    "retransmissions": (2, 20000, "each segment ten times"),
    "losses": (5, 20000, "a lost segment in each response and every third request"),
    "one-byte": (2, 20000, "one byte a segment"),
    "endless-header": (30, 20000, "64 KB of 6-byte header lines without an end"),
    "endless-header-small": (2, 20000, "64 KB of header in segments of 16 bytes"),
    "endless-line": (2, 20000, "one line of 64 KB in segments of 16 bytes"),
    "unanswered-http": (250, 2000, "81 requests a segment, never answered"),
    "unanswered-redis": (250, 2000, "104 commands a segment, never answered"),
    "unanswered-kafka": (250, 2000, "104 requests a segment, never answered"),
    "dense-redis": (250, 2000, "104 commands a segment, and their answers"),
    "http-chunks": (50, 5000, "243 chunks of one byte a segment"),
    "redis-elements": (75, 5000, "365 elements of an array a segment"),
    "redis-nested": (2, 20000, "arrays in arrays without an end"),
    "mysql-rows": (10, 10000, "292 rows a segment"),
    "unknown-protocol": (3, 20000, "new connections of bytes that no protocol begins with"),
    "escapes": (60, 5000, "texts of bytes that JSON writes as six"),
    "tunnels": (6, 20000, "four VLAN tags and four VXLANs"),
    "tunnels-too-deep": (4, 20000, "four VLAN tags and twenty VXLANs"),
    "fragments-whole": (3, 20000, "datagrams in four fragments"),
    "fragments-tiny": (3, 20000, "64 KB datagrams in fragments of 8 bytes, last first"),
    "fragments-alone": (3, 20000, "first fragments only"),
    "fragments-overlapping": (3, 20000, "fragments that overlap"),
    "syn-flood": (5, 40000, "a SYN from a new source each"),
    "rst-storm": (5, 40000, "an RST from a new source each"),
    "rst-open": (2, 20000, "RSTs of any number on open connections"),
    "clock-minutes": (3, 20000, "the clock jumps 70 s forth and back every 70 packets, 10,000 live flows"),
    "clock-days": (15, 20000, "the same by three days"),
    "clock-every-packet": (3, 20000, "the clock jumps a day forth and back with every packet"),
    "slow-packets": (15, 20000, "a packet every 100 ms, so a tick each, 10,000 live flows"),
}
ORDINARY = (("http", 100, 30, 50), ("http", 300, 30, 50))
OPTIONS = ["--format", "ndjson"]
TIMED_RUNS = 3


def count(binary, path):
    """(frames, request records)"""
    c = Run([binary, "replay", "--format", "none", "--counters", path], 60).counters()
    return c["frames"], c["request_records"]


def cost(binary, short, long, repetitions=TIMED_RUNS):
    """(instructions per packet, ns per packet, requests per packet) of what the long capture has more than the short one."""
    (frames_a, _), (frames_b, requests) = count(binary, short), count(binary, long)
    instructions = callgrind(binary, [*OPTIONS, long]).total() - callgrind(binary, [*OPTIONS, short]).total()
    with open(os.devnull, "wb") as null:
        cpu = min(Run([binary, "replay", *OPTIONS, long], 60, null).cpu for _ in range(repetitions))
    return instructions / (frames_b - frames_a), cpu * 1e9 / frames_b, requests / frames_b


def case(binary, name, packets):
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        paths = [os.path.join(folder, f"{n}.pcap") for n in (packets, packets * 2)]
        for path, n in zip(paths, (packets, packets * 2)):
            output_of([tool("worst"), name, str(n), path])
        return cost(binary, *paths)


def ordinary(binary):
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        paths = []
        for i, arguments in enumerate(ORDINARY):
            paths.append(os.path.join(folder, f"{i}.pcap"))
            output_of([tool("synth"), *map(str, arguments), paths[-1]])
        return cost(binary, *paths, repetitions=3 * TIMED_RUNS)


def measure(binary, quick=False):
    """Prints all cases; name -> figures. A multiple above its bound is a failure."""
    known = output_of([tool("worst")]).split()
    if known != list(CASES):
        fail(f"worst.c and worst.py do not have the same cases: {set(known) ^ set(CASES)}")
    base = ordinary(binary)
    say(f"\nWorst cases, as multiples of the ordinary packet ({base[0]:.0f} instructions, {base[1]:.0f} ns; NDJSON to /dev/null)")
    say(f"  {'case':22} {'instr/packet':>12} {'multiple':>9} {'bound':>6} {'ns/packet':>10} {'multiple':>9} {'records/packet':>15}")
    figures = {"ordinary": {"instructions_per_packet": base[0], "ns_per_packet": base[1]}}
    sizes = {name: packets // 4 if quick and packets > 5000 else packets for name, (_, packets, _) in CASES.items()}
    with concurrent.futures.ThreadPoolExecutor(1 if not quick else os.cpu_count()) as pool:
        runs = {name: pool.submit(case, binary, name, sizes[name]) for name in CASES if name in known}
        for name, run in runs.items():
            bound, _, what = CASES[name]
            instructions, ns, requests = run.result()
            multiple = instructions / base[0]
            say(f"  {name:22} {instructions:12.0f} {multiple:9.2f} {bound:6} {ns:10.0f} {ns / base[1]:9.2f} {requests:15.2f}   {what}"
                + ("  ABOVE ITS BOUND" if multiple > bound else ""))
            if multiple > bound:
                fail(f"{name} costs {multiple:.2f} ordinary packets, its bound is {bound}")
            figures[name] = {"instructions_per_packet": instructions, "multiple": multiple, "bound": bound, "ns_per_packet": ns, "ns_multiple": ns / base[1],
                             "requests_per_packet": requests, "what": what}
    return figures
