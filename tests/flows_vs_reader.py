#!/usr/bin/env python3
"""Flow records against tests/reader.py, which shares no code and no method with tapscope.

    flows_vs_reader.py [--corpus] TAPSCOPE

For each capture and each TCP or UDP conversation: packets, IP bytes, payload bytes, and TCP retransmissions of either
direction. Tunnels stay closed on both sides, and tapscope is told to forget a closed connection at once, so that every
packet is on some flow, and an open one never. Of captures of mirrors the copies are left out. In the corpus,
retransmissions that the reader counts otherwise may also be
what tshark counts in the whole file (REFERENCE.tsv): the reader knows a hole by the data behind it, not by a bare ACK.
explained_flows.tsv (path, field, reason) names what is left. Each capture is a case; of the corpus, each that differs.
"""
import csv
import ipaddress
import os
import sys
import tempfile
from collections import defaultdict

from common import PCAPS, ROOT, captures, case, corpus, finish, replay, truth_of, without_copies
from reader import read_capture

FOLDER = tempfile.TemporaryDirectory(prefix="tapscope-reader-")
FIELDS = ("packets", "ip_bytes", "payload")


def from_records(result):
    """(protocol, end, end) -> [sums from the smaller end, sums from the larger]"""
    sums = defaultdict(lambda: [defaultdict(int), defaultdict(int)])
    for f in result.flows():
        if f["protocol"] not in ("TCP", "UDP") or "client_port" not in f:
            continue
        ends = end(f["client_ip"], f["client_port"]), end(f["server_ip"], f["server_port"])
        swap = ends[0] > ends[1]
        pair = sums[(f["protocol"].lower(), *(ends[::-1] if swap else ends))]
        for way, name in ((0, "tx"), (1, "rx")):
            s = pair[way ^ swap]
            s["packets"] += f["packet_" + name]
            s["ip_bytes"] += f["l3_byte_" + name]
            s["payload"] += f["l4_byte_" + name]
            if f["protocol"] == "TCP":
                s["retrans"] += f.get("retrans_" + name, 0)
                s["ooo"] += f.get("ooo_" + name, 0)
    return sums


def end(address, port):
    return ipaddress.ip_address(address).packed, port


def spelled(key):
    return f"{key[0]} " + " and ".join(f"{ipaddress.ip_address(a)} port {p}" for a, p in key[1:])


def compare(truth, sums):
    differences, sums = [], dict(sums)
    for protocol in ("tcp", "udp"):
        for c in truth[protocol]:
            key = (protocol, end(*c["a"]), end(*c["b"]))
            got = sums.pop(key, None)
            if got is None:
                differences.append(("conversation", f"{spelled(key)} only in the capture"))
                continue
            for way in (0, 1):
                for field in FIELDS:
                    if c[field][way] != got[way][field]:
                        differences.append((field, f"{spelled(key)} direction {way}: reader {c[field][way]}, records {got[way][field]}"))
                if protocol == "tcp":
                    sure, either = c["retransmissions"][way], c["fills"][way]
                    retrans, ooo = got[way]["retrans"], got[way]["ooo"]
                    if not sure <= retrans <= sure + either or retrans + ooo != sure + either:
                        differences.append(("retransmissions", f"{spelled(key)} direction {way}: reader {sure} and {either} that may be either, records {retrans} and {ooo} out of order"))
    if truth["ip_packets"] == truth["packets"]:  # else the reader did not open what carries some of them (PPPoE, MPLS, LLC)
        differences += [("conversation", f"{spelled(key)} only in records") for key in sums]
    return differences


def lost(truth, sums):
    """Packets of the capture that are on no flow, by protocol."""
    for protocol in ("tcp", "udp"):
        seen = sum(way["packets"] for key, pair in sums.items() if key[0] == protocol for way in pair)
        yield max(0, sum(sum(c["packets"]) for c in truth[protocol]) - seen)


SETTINGS = ["-o", "decap_type=[]", "-o", "static_config.flow.linger=0ns", "-o", "static_config.flow.report-interval=0"]
for name in ("established", "opening", "opening-rst", "closing-rst", "others"):
    SETTINGS += ["-o", f"static_config.flow.{name}-timeout=24h"]


def table(path):
    with open(path, encoding="utf-8", newline="") as f:
        return list(csv.DictReader((line for line in f if not line.startswith("#")), delimiter="\t", quoting=csv.QUOTE_NONE))


def tshark_counts(base):
    """Retransmissions by file."""
    return {row["path"]: int(row["retrans"]) for row in table(os.path.join(base, "REFERENCE.tsv"))}


def main():
    everything = "--corpus" in sys.argv
    base = corpus("corpus") if everything else PCAPS
    binary = [a for a in sys.argv[1:] if not a.startswith("--")][0]
    agreed = 0
    explained = {(r["path"], r["field"]) for r in table(os.path.join(ROOT, "tests/corpus/explained_flows.tsv"))} if everything else set()
    tshark = tshark_counts(base) if everything else {}
    for path in captures(base):
        name = os.path.relpath(path, base)
        copies = truth_of(path).get("copies")
        if copies:
            path = without_copies(path, copies, FOLDER.name)
        truth = read_capture(path)
        if truth.get("error") or truth["fragments"]:
            continue  # what is whole is compared in the others; fragments are one datagram here and many there
        result = replay(binary, path, *SETTINGS, "--summary", timeout=120)
        if result.code not in (0, 3):
            case(False, name, f"exit {result.code}")
            continue
        sums = from_records(result)
        retransmissions = sum(way["retrans"] for pair in sums.values() for way in pair)
        differences = compare(truth, sums)
        if name in tshark and retransmissions == tshark[name]:
            differences = [d for d in differences if d[0] != "retransmissions"]
        ledger = result.ledger()
        refused = ledger.get("frames read", 0) - ledger.get("on flows", 0)
        if everything and refused and sum(lost(truth, sums)) <= refused:
            differences = [d for d in differences if d[0] == "retransmissions"]  # malformed frames, which the reader does not judge
        unused = {field for path, field in explained if path == name} - {d[0] for d in differences}
        case(not unused, name, f"agrees now: take {unused} from explained_flows.tsv") if unused else None
        differences = [d for d in differences if (name, d[0]) not in explained]
        if differences:
            case(False, name, f"{len(differences)} differences, " + "; ".join(d[1] for d in differences[:3]))
        elif everything:
            agreed += 1
        else:
            case(True, name)
    if everything:
        case(agreed > 0, f"{agreed}-captures-agree")
    finish()


if __name__ == "__main__":
    main()
