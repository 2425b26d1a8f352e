"""More workers: what two of them give here, what bounds many, each measured alone, and a model of where it ends.

The model is arithmetic on figures of this run, said as such: how many cores a link of 100 Gbit/s would need if nothing but
these costs added up. It leaves out the network card (reading of files stands in for it) and assumes that cores do not disturb
each other beyond what two do here.
"""
import json
import os

from common import BUILD, build, output_of, say

LINK_BYTES_PER_S = 12.5e9
FRAME_OVERHEAD = 24  # preamble, checksum, gap
FLOW_LINES = 8  # cache lines of flow, TCP and connection state that a packet reads and writes, where they are not in a cache


def workers(result):
    say("\nScaling: wall and CPU seconds by workers (medians)")
    for name, entry in result["workloads"].items():
        figures = entry["programs"]
        for output in ("none", "ndjson"):
            one, two = (figures.get(f"tapscope {output}{x}", {}) for x in ("", ", 2 workers"))
            if "wall_s" not in one or "wall_s" not in two:
                continue
            (wall, cpu), (wall_2, cpu_2) = ((e["wall_s"]["median"], e["cpu_s"]["median"]) for e in (one, two))
            entry.setdefault("scaling", {})[output] = {"wall_gain": wall / wall_2, "cpu_cost": cpu_2 / cpu}
            say(f"  {name:16} {output:7} wall {wall:7.3f} -> {wall_2:7.3f} ({wall / wall_2:.2f} times as fast), CPU {cpu:7.3f} -> {cpu_2:7.3f} ({cpu_2 / cpu:.2f} times as much)")


def parts(result, there):
    """Steering, rings, outbox and memory alone, by bench_parts."""
    build(targets=("tests/bench/bench_parts",))
    for name in [n for n in ("http", "flood") if n in there]:
        p = result["parts"][name] = json.loads(output_of([os.path.join(BUILD, "tests", "bench", "bench_parts"), there[name].path]))
        say(f"  alone, on {name}: reading {p['read_ns']} ns/packet, with decode and shard {p['read_decode_ns']}; ring to another CPU {p['ring_ns']} ns/packet, "
            f"within one {p['ring_inline_ns']} ({p['message_bytes']} bytes a slot); outbox to another CPU {p['outbox_ns']} ns a record of 512 bytes")
        say(f"  memory: {p['memory_gb_s'][0]} GB/s by one thread, {p['memory_gb_s'][1]} by two; a random line {p['miss_ns'][0]} ns, 32 at a time {p['miss_ns'][1]} ns")


def model(result):
    """Cores and memory that 100 Gbit/s of each workload would need."""
    alone = result["parts"].get("http") or result["parts"].get("flood")
    if not alone:
        return
    say("\nMODEL, not a measurement: cores for 100 Gbit/s of each workload with NDJSON of both records (steering: decode and ring; export: outbox and write)")
    say(f"  {'workload':16} {'Mpackets/s':>10} {'Mrecords/s':>10} {'Gbit/s of NDJSON':>17} {'steering':>9} {'workers':>8} {'export':>7} {'memory GB/s':>12}")
    for name, entry in result["workloads"].items():
        stages = entry.get("stages", {}).get("ndjson")
        cpu = entry["programs"].get("tapscope ndjson", {}).get("ns_per_packet")
        counters = entry["programs"].get("tapscope ndjson", {}).get("counters")
        if not stages or not cpu or not counters or not any(s["ns_per_packet"] for s in stages.values()):
            continue
        ns = {k: v["ns_per_packet"] for k, v in stages.items()}
        wire = counters["bytes"] / counters["frames"]
        packets = LINK_BYTES_PER_S / (wire + FRAME_OVERHEAD)
        records = packets * (counters["flow_records"] + counters["request_records"]) / counters["frames"]
        output = packets * counters["ndjson_bytes"] / counters["frames"]
        decode, reading, writing = ns.get("decode", 0), ns.get("read", 0) + ns.get("kernel: read", 0), ns.get("write", 0) + ns.get("kernel: write", 0)
        steering = packets * (decode + alone["ring_ns"]) * 1e-9
        working = packets * (cpu["median"] - decode - reading - writing) * 1e-9
        export = (records * alone["outbox_ns"] + packets * writing) * 1e-9
        memory = (2 * packets * wire + packets * (2 * alone["message_bytes"] + 64 * FLOW_LINES) + 4 * output) * 1e-9
        entry["model_100g"] = {"packets_per_s": packets, "records_per_s": records, "steering_cores": steering, "worker_cores": working, "export_cores": export, "memory_gb_s": memory,
                               "output_gbit_s": output * 8e-9}
        say(f"  {name:16} {packets / 1e6:10.1f} {records / 1e6:10.1f} {output * 8e-9:17.1f} {steering:9.1f} {working:8.1f} {export:7.1f} {memory:12.1f}")


def measure(result, there):
    workers(result)
    parts(result, there)
    model(result)
