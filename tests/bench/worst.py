"""Captures made to hurt, and what they may cost: instructions per packet as a multiple of the ordinary packet's.

The ordinary packet is one of synth.c's keep-alive HTTP (four packets an exchange), with NDJSON of both records to /dev/null, as
are all cases. What a run costs before its second packet does not count; warming up and what is open at the end do. Instructions
are exact, so a multiple above its bound is a fault; time is printed beside it.
"""
import concurrent.futures
import os
import tempfile

from common import FOLDER, Run, fail, output_of, say, tool
from stages import callgrind

# name of worst.c -> (bound, packets, what it is)
CASES = {
    "one-flow": (2, 40000, "a single connection"),
    "same-shard": (6, 40000, "all connections in one virtual shard, 10,000 open: eviction all the time"),
    "ooo-reversed": (3, 40000, "64 segments of each response come last first"),
    "ooo-random": (3, 40000, "the same at random"),
    "ooo-small": (4, 40000, "1,000 segments of 8 bytes in random order"),
    "ooo-holes": (3, 40000, "every second segment never comes"),
    "retransmissions": (2, 40000, "each segment ten times"),
    "losses": (5, 40000, "a lost segment in each response and every third request"),
    "one-byte": (2, 40000, "one byte a segment"),
    "endless-header": (30, 40000, "64 KB of 6-byte header lines without an end"),
    "endless-header-small": (2, 40000, "64 KB of header in segments of 16 bytes"),
    "endless-line": (2, 40000, "one line of 64 KB in segments of 16 bytes"),
    "unanswered-http": (250, 3000, "81 requests a segment, never answered"),
    "unanswered-redis": (250, 3000, "104 commands a segment, never answered"),
    "unanswered-kafka": (250, 3000, "104 requests a segment, never answered"),
    "dense-redis": (250, 3000, "104 commands a segment, and their answers"),
    "http-chunks": (50, 7500, "243 chunks of one byte a segment"),
    "redis-elements": (75, 7500, "365 elements of an array a segment"),
    "redis-nested": (2, 40000, "arrays in arrays without an end"),
    "mysql-rows": (10, 20000, "292 rows a segment"),
    "unknown-protocol": (3, 40000, "new connections of bytes that no protocol begins with"),
    "escapes": (60, 7500, "texts of bytes that JSON writes as six"),
    "tunnels": (6, 40000, "four VLAN tags and four VXLANs"),
    "tunnels-too-deep": (4, 40000, "four VLAN tags and twenty VXLANs"),
    "fragments-whole": (3, 40000, "datagrams in four fragments"),
    "fragments-tiny": (3, 40000, "64 KB datagrams in fragments of 8 bytes, last first"),
    "fragments-alone": (3, 40000, "first fragments only"),
    "fragments-overlapping": (3, 40000, "fragments that overlap"),
    "syn-flood": (5, 80000, "a SYN from a new source each, in 16 MiB: eviction all the time"),
    "rst-storm": (5, 80000, "an RST from a new source each, in 16 MiB"),
    "rst-open": (2, 40000, "RSTs of any number on open connections"),
    "clock-minutes": (3, 120000, "the clock jumps 70 s forth and back every 70 packets, 10,000 live flows"),
    "clock-days": (15, 120000, "the same by three days"),
    "clock-every-packet": (3, 120000, "the clock jumps a day forth and back with every packet"),
    "slow-packets": (15, 120000, "a packet every 100 ms, so a tick each, 10,000 live flows"),
}
SMALL_MEMORY = ["-o", "max_memory=16"]
OPTIONS_OF = {"syn-flood": SMALL_MEMORY, "rst-storm": SMALL_MEMORY}
ORDINARY = ("http", 300, 30, 50)
OPTIONS = ["--format", "ndjson"]


def cpu(binary, runs, path, *options):
    with open(os.devnull, "wb") as null:
        return min(Run([binary, "replay", *OPTIONS, *options, path], 60, null).cpu for _ in range(runs))


def cost(binary, write, runs, options=()):
    """(instructions per packet, ns per packet, requests per packet) of the capture that write(path) makes."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        path = os.path.join(folder, "capture.pcap")
        write(path)
        c = Run([binary, "replay", "--format", "none", "--counters", *options, path], 60).counters()
        packets = c["frames"] - 1
        instructions = callgrind(binary, [*OPTIONS, *options, path]).total() - callgrind(binary, [*OPTIONS, *options, "-c", "1", path]).total()
        ns = (cpu(binary, runs, path, *options) - cpu(binary, runs, path, *options, "-c", "1")) * 1e9
        return instructions / packets, ns / packets, c["request_records"] / packets


def measure(binary, quick=False):
    """Prints all cases; name -> figures. A multiple above its bound is a failure."""
    known = output_of([tool("worst")]).split()
    if known != list(CASES):
        fail(f"worst.c and worst.py do not have the same cases: {set(known) ^ set(CASES)}")
    runs = 2 if quick else 5
    base = cost(binary, lambda path: output_of([tool("synth"), *map(str, ORDINARY), path]), runs)
    say(f"\nWorst cases, as multiples of the ordinary packet ({base[0]:.0f} instructions, {base[1]:.0f} ns; NDJSON to /dev/null)")
    say(f"  {'case':22} {'instr/packet':>12} {'multiple':>9} {'bound':>6} {'ns/packet':>10} {'multiple':>9} {'records/packet':>15}")
    figures = {"ordinary": {"instructions_per_packet": base[0], "ns_per_packet": base[1]}}

    def case(name, packets):
        return cost(binary, lambda path: output_of([tool("worst"), name, str(packets), path]), runs, OPTIONS_OF.get(name, ()))

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() if quick else 1) as pool:
        all_of_them = {name: pool.submit(case, name, CASES[name][1] // (3 if quick else 1)) for name in CASES if name in known}
        for name, future in all_of_them.items():
            bound, _, what = CASES[name]
            instructions, ns, requests = future.result()
            multiple = instructions / base[0]
            say(f"  {name:22} {instructions:12.0f} {multiple:9.2f} {bound:6} {ns:10.0f} {ns / base[1]:9.2f} {requests:15.2f}   {what}"
                + ("  ABOVE ITS BOUND" if multiple > bound else ""))
            if multiple > bound:
                fail(f"{name} costs {multiple:.2f} ordinary packets, its bound is {bound}")
            figures[name] = {"instructions_per_packet": instructions, "multiple": multiple, "bound": bound, "ns_per_packet": ns, "ns_multiple": ns / base[1],
                             "requests_per_packet": requests, "what": what}
    return figures
