#!/usr/bin/env python3
"""MySQL, Redis and Kafka in the corpus against REFERENCE.tsv and against what deepflow expects of its own captures.

    stores_reference.py [--list] TAPSCOPE     --list: every difference as a line for explained-stores.tsv

Prints how many files of each protocol agree, and each difference. One that explained-stores.tsv (path, field, expected, found,
reason) does not name with these very numbers is a failure; so is a line there that no longer differs. No capture of the whole
corpus gives a request of a protocol that REFERENCE.tsv does not have in it.
"""
import csv
import json
import os
import re
import sys
from collections import Counter

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from common import captures, case, corpus, finish, replay

HERE = os.path.dirname(os.path.abspath(__file__))
TITLES = {"mysql": "MySQL", "redis": "Redis", "kafka": "Kafka"}
FIELDS = ("requests", "responses", "errors")
COMMANDS = {1: "COM_QUIT", 2: "COM_INIT_DB", 3: "COM_QUERY", 4: "COM_FIELD_LIST", 14: "COM_PING", 22: "COM_STMT_PREPARE", 23: "COM_STMT_EXECUTE",
            25: "COM_STMT_CLOSE"}


def rows(path):
    with open(path, encoding="utf-8", newline="") as f:
        yield from csv.DictReader((line for line in f if not line.startswith("#")), delimiter="\t", quoting=csv.QUOTE_NONE)


def counts(protocol, records):
    """Ours, counted as the corpus' README says that the reference is: of MySQL without the request of a login, but with its answer."""
    requests = [r for r in records if r["type"] != "response" and r["request_type"] != "LOGIN"]
    responses = [r for r in records if r["type"] != "request"]
    errors = [r for r in responses if r.get("response_status") in ("client_error", "server_error")]
    found = {"requests": len(requests), "responses": len(responses)}
    if protocol != "kafka":  # the reference has none of Kafka's bodies
        found["errors"] = len(errors)
    return found


def deepflow(path, protocol):
    """The requests that deepflow's own expectations name."""
    out = Counter()
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            if protocol == "mysql" and line.startswith("{"):
                said = json.loads(line[: line.rindex("}") + 1])
                if said["msg_type"] in ("Request", "Session") and said["request_type"] in COMMANDS:
                    out[COMMANDS[said["request_type"]]] += 1
            elif protocol == "redis":
                if (m := re.match(r'RedisInfo \{ request: "(.*?)", request_type: "(.*?)"', line)) and m[2]:
                    out[m[2].upper()] += 1
            elif protocol == "kafka":
                if m := re.match(r"KafkaInfo \{ msg_type: Request, correlation_id: Some\((\d+)\), api_key: (\w+), api_version: (\d+)", line):
                    out[f"{m[2]} {m[3]} {m[1]}"] += 1
    return out


def named(protocol, records):
    if protocol == "kafka":
        return Counter(f"{r['request_type']} {r['version']} {r['request_id']}" for r in records if r["type"] != "response")
    return Counter(r["request_type"] if protocol == "mysql" else r["request_type"].split(" ")[0] for r in records
                   if r["type"] != "response" and r["request_type"] != "LOGIN")


class Report:
    def __init__(self):
        self.explained = {(row["path"], row["field"]): row for row in rows(os.path.join(HERE, "explained-stores.tsv"))}
        self.listing = "--list" in sys.argv

    def compare(self, path, field, expected, found, note=""):
        """Whether they agree."""
        expected, found = str(expected), str(found)
        why = self.explained.pop((path, field), None)
        if expected == found:
            if why:
                case(False, f"{path}:{field}", "agrees now: take it from explained-stores.tsv")
            return True
        if self.listing:
            print("\t".join((path, field, expected, found, note)))
        elif why and (why["expected"], why["found"]) == (expected, found) and why["reason"].strip():
            case(True, f"{path}:{field}-explained")
        else:
            case(False, f"{path}:{field}", f"reference {expected}, records {found} {note}")
        return False


def main():
    binary = sys.argv[-1]
    base = corpus("corpus-stores")
    report, references = Report(), {}
    files, agree = Counter(), Counter()
    for row in rows(os.path.join(base, "REFERENCE.tsv")):
        if row["proto"] in TITLES:
            references[row["path"], row["proto"]] = row
    for (path, protocol), row in sorted(references.items()):
        result = replay(binary, os.path.join(base, path))
        if result.code not in (0, 3):
            case(False, path, f"exit {result.code}")
            continue
        records = [r for r in result.requests() if r["l7_protocol"] == TITLES[protocol]]
        files[protocol] += 1
        same = all([report.compare(path, field, int(row[field]), found, row["oracle"]) for field, found in counts(protocol, records).items()])
        expected = deepflow(os.path.join(base, path) + ".expected", protocol) if os.path.basename(path).startswith("deepflow__") else None
        if expected:
            ours = named(protocol, records)
            same &= report.compare(path, "deepflow", dict(sorted((expected - ours).items())), dict(sorted((ours - expected).items())), "requests only in the one, only in the other")
        agree[protocol] += same
    others = 0
    for path in captures(base):
        short = os.path.relpath(path, base)
        strangers = [title for protocol, title in TITLES.items() if (short, protocol) not in references]
        found = Counter(r["l7_protocol"] for r in replay(binary, path).requests() if r["l7_protocol"] in strangers)
        others += len(strangers) == len(TITLES)
        report.compare(short, "not there", {}, dict(found))
    for path, field in report.explained:
        case(False, f"{path}:{field}", "in explained-stores.tsv, but not compared")
    for protocol, n in files.items():
        case(n > 0, f"{protocol}: {agree[protocol]} of {n} files agree in all")
    case(others > 3000, f"{others} captures of other protocols looked at")
    finish()


if __name__ == "__main__":
    main()
