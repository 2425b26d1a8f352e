#!/usr/bin/env python3
"""HTTP in the corpus: requests, responses, errors and TCP conversations of each file against REFERENCE.tsv.

    http_reference.py [--list] TAPSCOPE     --list: every difference as a line for explained.tsv

Prints how many files agree, and each difference. One that explained.tsv (path, field, expected, found, reason) does not
name with these very numbers is a failure; so is a line there that no longer differs.
"""
import csv
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from common import case, corpus, finish, replay

HERE = os.path.dirname(os.path.abspath(__file__))
FIELDS = ("requests", "responses", "errors", "tcp_conv")


def rows(path):
    with open(path, encoding="utf-8", newline="") as f:
        yield from csv.DictReader((line for line in f if not line.startswith("#")), delimiter="\t", quoting=csv.QUOTE_NONE)


def found_in(result):
    http = [r for r in result.requests() if r["l7_protocol"] == "HTTP"]
    requests = [r for r in http if r["type"] in ("session", "request")]
    responses = [r for r in http if r["type"] in ("session", "response")]
    errors = [r for r in responses if 400 <= r.get("response_code", 0) < 600]
    conversations = set()
    for f in result.flows():
        if f["protocol"] == "TCP":
            conversations.add(tuple(sorted(((f["client_ip"], f["client_port"]), (f["server_ip"], f["server_port"])))))
    return {"requests": len(requests), "responses": len(responses), "errors": len(errors), "tcp_conv": len(conversations)}


def expected_in(row):
    """What the row says. It counts interim responses (1xx) too, which are part of the final one's record here."""
    interim = sum(n for code, n in json.loads(row["extra_json"]).get("c", {}).items() if code.startswith("1") and code != "101")
    expected = {field: int(row[field]) for field in FIELDS}
    expected["responses"] -= interim
    return expected


def main():
    binary = sys.argv[-1]
    base = corpus("corpus")
    explained = {}
    for row in rows(os.path.join(HERE, "explained.tsv")):
        explained[row["path"], row["field"]] = row
    files = agree = 0
    for row in rows(os.path.join(base, "REFERENCE.tsv")):
        if row["proto"] != "http":
            continue
        files += 1
        result = replay(binary, os.path.join(base, row["path"]))
        if result.code not in (0, 3):
            case(False, row["path"], f"exit {result.code}")
            continue
        expected, found = expected_in(row), found_in(result)
        differs = False
        for field in FIELDS:
            why = explained.pop((row["path"], field), None)
            if expected[field] == found[field]:
                if why:
                    case(False, f"{row['path']}:{field}", "agrees now: take it from explained.tsv")
                continue
            differs = True
            if "--list" in sys.argv:
                print("\t".join((row["path"], field, str(expected[field]), str(found[field]), row["oracle"])))
            elif why and (why["expected"], why["found"]) == (str(expected[field]), str(found[field])) and why["reason"].strip():
                case(True, f"{row['path']}:{field}-explained")
            else:
                case(False, f"{row['path']}:{field}", f"reference {expected[field]}, records {found[field]}; oracle {row['oracle']}")
        agree += not differs
    for path, field in explained:
        case(False, f"{path}:{field}", "in explained.tsv, but not in REFERENCE.tsv")
    case(files > 0, f"{agree}-of-{files}-files-agree")
    finish()


if __name__ == "__main__":
    main()
