#!/usr/bin/env python3
"""Duplicates removed: records are those of a capture without copies, and no packet that was sent is missing.

    duplicates.py TAPSCOPE

- Captures of mirrors (pcaps/dup-*): NAME.truth.json names the frames that are copies, known from where they were mirrored.
  Without these frames, and with nothing removed, the records are the same in every field but duplicate_*; as many frames
  are removed as are copies.
- Every capture read twice at once, as by two NICs: the records are those of one.
- Every capture with duplicates removed: nothing goes where nothing was mirrored twice.
"""
import json
import os
import re
import sys
import tempfile

from common import PCAPS, captures, case, finish, replay, truth_of, without_copies

# duplicates take their part of it, and what is left has to be enough for the same limits
MEMORY = ("-o", "max_memory=1024")
ON = ("-o", "dedup.enabled=on", *MEMORY)
OFF = ("-o", "dedup.enabled=off", *MEMORY)
# The same segments, two milliseconds later, in every bit: made by pcapedit.py, and what a mirror does.
COPIES_OF_THEIR_OWN = {"sent-twice": 4}


def plain(result):
    """Records without what only a capture with copies has, and how many copies they tell of."""
    records, told = [], 0
    for r in result.records():
        told += r.get("duplicate_count", 0)
        records.append({k: v for k, v in r.items() if not k.startswith("duplicate_")})
    return records, told


def differences(a, b):
    key = lambda r: json.dumps(r, sort_keys=True)
    have, want = {key(r) for r in b}, {key(r) for r in a}
    missing, extra = [r for r in a if key(r) not in have], [r for r in b if key(r) not in want]
    if len(missing) == len(extra) == 1 or (missing and extra):
        x, y = missing[0], extra[0]
        return {k: (x.get(k), y.get(k)) for k in sorted({*x, *y}) if x.get(k) != y.get(k)}
    return f"missing {missing[:1]} extra {extra[:1]}"


def frames_removed(result):
    ledger = result.ledger()
    return ledger.get("duplicates", 0) if ledger.get("unaccounted for") == 0 else f"ledger {ledger}"


def mirrored(binary, path, truth, name, folder):
    copies = truth["copies"]
    want, _ = plain(replay(binary, without_copies(path, copies, folder), *OFF))
    result = replay(binary, path, *ON, "--summary")
    have, told = plain(result)
    case(want == have, f"{name}-records", differences(want, have))
    case(frames_removed(result) == len(copies), f"{name}-removed", f"{frames_removed(result)} of {len(copies)} copies")
    # copies of fragments are removed before their flow is known, copies of a closed flow's packets are on none
    case(told <= len(copies) and (told > 0) == (len(copies) > 0), f"{name}-counted-on-flows", f"{told} of {len(copies)}")
    retransmitted = sum(r.get("retrans_tx", 0) + r.get("retrans_rx", 0) for r in want)
    if name.endswith("loss"):
        case(retransmitted >= 3, f"{name}-has-retransmissions", f"{retransmitted}")


def main():
    binary = sys.argv[1]
    seen = 0
    with tempfile.TemporaryDirectory(prefix="tapscope-duplicates-") as folder:
        for path in captures():
            name = os.path.basename(path).split(".")[0]
            truth = truth_of(path)
            if "copies" in truth:
                mirrored(binary, path, truth, name, folder)
                seen += 1
                continue
            once = replay(binary, path, *OFF)
            alone = replay(binary, path, *ON, "--summary")
            want = COPIES_OF_THEIR_OWN.get(name, 0)
            case(frames_removed(alone) == want and (want or once.out == alone.out), f"{name}-alone", f"{frames_removed(alone)} removed, not {want}")
            settings = os.path.join(PCAPS, name + ".yaml")
            if os.path.exists(settings):
                with open(settings, encoding="utf-8") as f:
                    if re.search("observation_point|limits|reassembly-bytes", f.read()):
                        continue  # two places of observation, or a place where memory is short
            twice = replay(binary, [path, path], *ON, *(["-C", settings] if os.path.exists(settings) else []))
            case(plain(twice)[0] == plain(alone)[0], f"{name}-twice", differences(plain(alone)[0], plain(twice)[0]))
    case(seen >= 9, "mirrored-captures", f"only {seen}")
    finish()


if __name__ == "__main__":
    main()
