#!/usr/bin/env python3
"""Every field of both records takes at least two values over the goldens, so that a field which is always the same, or
never there, is seen.

    fields_coverage.py [DIR]    goldens below DIR; pcaps/ where none is given

A truth value counts as two when it is sometimes there and sometimes not. CONSTANT names the fields that cannot vary yet.
"""
import json
import os
import re
import sys

from common import PCAPS, ROOT, case, finish

CONSTANT = {
    "flow.signal_source": "packet is the only source until eBPF is there",
    "flow.tap_mode": "replay is always mode 0",
    **{f"flow.{name}": "where a packet was seen is known in live capture only" for name in ("nic", "tap_type", "tap_side")},
    **{f"{record}.{end}_{tag}": "whose an end is is known in live capture only"
       for record in ("flow", "request") for end in ("client", "server") for tag in ("pod", "pod_ns", "workload")},
    "request.signal_source": "packet is the only source until eBPF is there",
    "request.is_tls": "plaintext of TLS comes from eBPF",
}


def declared():
    """(record.field, kind) from the table in record/record.h."""
    with open(os.path.join(ROOT, "record", "record.h"), encoding="utf-8") as f:
        text = f.read()
    for record in ("flow", "request"):
        table = re.search(r"#define %s_FIELDS\(X\)(.*?)\n\n" % record.upper(), text, re.S)[1]
        for kind, name in re.findall(r"X\((\w+), (\w+),", table):
            yield f"{record}.{name}", kind


def goldens(folder):
    for base, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".ndjson"):
                yield os.path.join(base, name)


def main():
    values, absent, count = {}, set(), 0
    fields = dict(declared())
    for path in goldens(sys.argv[1] if len(sys.argv) > 1 else PCAPS):
        with open(path, encoding="utf-8") as f:
            for line in f:
                r = json.loads(line)
                if r.get("record") not in ("flow", "request"):
                    continue
                count += 1
                for name in r:
                    if name != "record":
                        values.setdefault(f"{r['record']}.{name}", set()).add(json.dumps(r[name]))
                for field in fields:
                    record, name = field.split(".")
                    if record == r["record"] and name not in r:
                        absent.add(field)
    if not case(count > 0, "goldens", "there are none; tapscope verify --update pcaps writes them"):
        finish()
    for field, kind in fields.items():
        n = len(values.get(field, ()))
        enough = n >= 2 or (kind == "BOOL" and n == 1 and field in absent)
        if field in CONSTANT:
            case(not enough, f"field-{field}", "varies now: take it from CONSTANT")
        else:
            seen = ", ".join(sorted(values.get(field, ())))
            case(enough, f"field-{field}", f"has {n} values: {seen}")
    case(set(values) <= set(fields), "undeclared-fields", set(values) - set(fields))
    finish()


if __name__ == "__main__":
    main()
