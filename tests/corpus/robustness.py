#!/usr/bin/env python3
"""Every capture of the corpus and of pcaps/, and mutations of each: no crash, no hang, no leak, and the ledger balances.

    robustness.py [--mutations N] [--seed N] TAPSCOPE-WITH-SANITIZERS

Each capture runs alone; mutations run many at a time, merged, and alone again where such a run fails. What fails is kept
in the folder that the case names.
"""
import concurrent.futures
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from common import captures, case, corpus, finish, replay, PCAPS
from pcapfile import load_bytes

BATCH = 24
MERGEABLE = set()  # captures that open: only their mutations are merged


def argument(name, default):
    return int(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default


def fault(binary, files, options=()):
    """What is wrong with a run over these files, or nothing."""
    try:
        result = replay(binary, files, "--summary", *options, form="ndjson", timeout=120)
    except subprocess.TimeoutExpired:
        return "hangs"
    if result.code not in (0, 3):
        lines = [x for x in result.err.splitlines() if "ERROR" in x or "SUMMARY" in x or "runtime error" in x or " #1 " in x]
        return f"exit {result.code}: " + " ".join(lines or result.err.splitlines()[-3:])
    ledger = result.ledger()
    if len(files) == 1 and "unaccounted for" in ledger:
        MERGEABLE.add(files[0])
    # a file that is no capture at all has no ledger; whatever was read has
    if ledger.get("unaccounted for", 0) != 0 or (result.code == 0 and "unaccounted for" not in ledger):
        return f"the ledger does not balance: {ledger}"
    try:
        result.records()
    except ValueError as e:
        return f"a record is no JSON: {e}"
    return None


def mutate(data, rng):
    """The capture with some of its bytes wrong; mostly in what the frames carry, now and then in the container."""
    b = bytearray(data)
    start = 24 if rng.random() < 0.9 else 0
    if len(b) <= start + 1:
        return bytes(b)
    kind = rng.randrange(8)
    if kind <= 3:
        for _ in range(max(1, len(b) // rng.choice((100, 400, 2000)))):
            b[rng.randrange(start, len(b))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    elif kind == 4:
        del b[rng.randrange(start, len(b)) :]
    elif kind == 5:
        at = rng.randrange(start, len(b))
        del b[at : at + rng.randrange(1, 64)]
    elif kind == 6:
        at, n = rng.randrange(start, len(b)), rng.randrange(1, 300)
        b[at:at] = b[at : at + n]
    else:
        at = rng.randrange(start, len(b))
        b[at : at + rng.randrange(1, 40)] = bytes(rng.randrange(1, 40))
    return bytes(b)


def make_batch(folder, paths, seed):
    files = []
    for n, path in enumerate(paths):
        rng = random.Random(f"{seed} {os.path.basename(path)}")
        files.append(os.path.join(folder, f"{n:03}-{seed}-{os.path.basename(path).removesuffix('.gz')}"))
        with open(files[-1], "wb") as f:
            f.write(mutate(load_bytes(path), rng))
    return files


def run_batch(binary, paths, seed):
    """(what failed, the reason) of each mutation that fails, or of all together."""
    options = ("-o", f"workers={1 + seed % 3}", "-o", f"ring_slots={2 ** (1 + seed % 8)}", "-o", f"max_memory={('4MiB', '64MiB')[seed % 2]}")
    folder = tempfile.mkdtemp(prefix=f"tapscope-mutations-{seed}-")
    files = make_batch(folder, paths, seed)
    together = [f for f, path in zip(files, paths) if load_bytes(f)[:64] == load_bytes(path)[:64] and path in MERGEABLE]
    reason = fault(binary, together, options) if together else None
    alone = files if reason else [f for f in files if f not in together]
    found = [(f, r) for f in alone if (r := fault(binary, [f], options))]
    if reason and not found:
        found = [(folder, "all together: " + reason)]
    if not found:
        shutil.rmtree(folder)
    elif found[0][0] != folder:
        for f in set(files) - {path for path, _ in found}:
            os.unlink(f)
    return found


def main():
    binary = sys.argv[-1]
    base = corpus("corpus")
    paths = captures(base) + captures(PCAPS)
    first, count = argument("--seed", 1), argument("--mutations", 2)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        bad = 0
        for path, reason in zip(paths, pool.map(lambda p: fault(binary, [p]), paths)):
            if reason:
                bad += 1
                case(False, os.path.relpath(path, base), reason)
        case(bad == 0, f"{len(paths)}-captures", f"{bad} of them fail")
        for seed in range(first, first + count):
            batches = [paths[at : at + BATCH] for at in range(0, len(paths), BATCH)]
            failures = [x for found in pool.map(lambda b, seed=seed: run_batch(binary, b, seed), batches) for x in found]
            for path, reason in failures:
                case(False, f"mutation-{os.path.basename(path)}", f"{reason} ({path})")
            case(not failures, f"{len(paths)}-mutations-seed-{seed}", f"{len(failures)} fail")
    finish()


if __name__ == "__main__":
    main()
