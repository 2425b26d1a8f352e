#!/usr/bin/env python3
"""Runs the suites and counts their cases.

    run.py check | test | fuzz [--seconds N] | STEP...

A step is a build, or a command that prints "ok NAME", "not ok NAME reason", "skip NAME reason" for each case, or a meson
suite. Output of a step goes to build-logs/STEP.log and is shown where something failed. The last line says how many cases
passed, failed and were skipped. With CI set, only the corpus may be missing: every other skip fails.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOGS = os.path.join(ROOT, "build-logs")
CLANG = shutil.which("clang-14") or shutil.which("clang") or "clang"
SANITIZER = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:halt_on_error=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}
BUILDS = {
    "gcc": ("gcc", ["-Dwerror=true"]),
    "clang": (CLANG, ["-Dwerror=true"]),
    "asan": ("gcc", ["-Dbuildtype=debugoptimized", "-Db_sanitize=address,undefined"]),
    "tsan": (CLANG, ["-Dbuildtype=debugoptimized", "-Db_sanitize=thread", "-Db_lundef=false"]),
    "fuzz": (CLANG, ["-Dbuildtype=debugoptimized", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dfuzz=true"]),
    "fault": ("gcc", ["-Dfault=drop_packet"]),
    "bare": ("gcc", ["-Dwerror=true", "-Dbpf=disabled", "-Daf_xdp=disabled", "-Ddpdk=disabled"]),
    "fold": ("gcc", ["-Dfold=true"]),
    "bench": ("gcc", ["-Dbuildtype=release", "-Db_lto=true", "-Ddebug=true"]),
}


def binary(build):
    return os.path.join(ROOT, f"build-{build}", "tapscope")


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def case(self, verdict, name, reason=""):
        if verdict == "skip" and os.environ.get("CI") and "TAPSCOPE_CORPUS" not in reason:
            verdict, reason = "not ok", "skipped, which CI does not allow: " + reason
        if verdict == "ok":
            self.passed += 1
        elif verdict == "skip":
            self.skipped += 1
            print(f"  skip {name}: {reason}", flush=True)
        else:
            self.failed += 1
            print(f"  FAILED {name}: {reason}", flush=True)


TALLY = Tally()


def run(command, log, env=None, timeout=900):
    """The exit status; what it printed is in the log. 124: it took too long."""
    with open(log, "ab") as out:
        out.write(("$ " + " ".join(command) + "\n").encode())
        out.flush()
        try:
            return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                  env={**os.environ, **SANITIZER, **(env or {})}, timeout=timeout).returncode
        except subprocess.TimeoutExpired:
            return 124


def show(log, lines=40):
    with open(log, encoding="utf-8", errors="replace") as f:
        for line in f.read().splitlines()[-lines:]:
            print("    | " + line[:300])


def build(name, targets, log):
    """Whether the build stands; one case."""
    compiler, options = BUILDS[name]
    folder = os.path.join(ROOT, f"build-{name}")
    status = 0
    if not os.path.exists(os.path.join(folder, "build.ninja")):
        status = run(["meson", "setup", folder, *options], log, env={"CC": compiler})
    if status == 0:
        status = run(["ninja", "-C", folder, *targets], log)
    TALLY.case("ok" if status == 0 else "not ok", f"build-{name}", f"exit {status}")
    return status == 0


def unit_tests(name):
    """{test: target} of a build folder; targets are not built by default."""
    folder = os.path.join(ROOT, f"build-{name}")
    found = subprocess.run(["meson", "introspect", "--tests", folder], capture_output=True, text=True, check=True)
    return {t["name"]: os.path.relpath(t["cmd"][0], folder) for t in json.loads(found.stdout)}


def unit(name, log, only=""):
    """The unit tests of one build, each a case. only: a pattern of their names."""
    if not build(name, ["tapscope"], log):
        return
    tests = {n: t for n, t in unit_tests(name).items() if re.search(only, n)}
    if not tests:
        TALLY.case("not ok", f"unit-{name}", "no unit tests: is cmocka there?")
        return
    if run(["ninja", "-C", f"build-{name}", *tests.values()], log):
        TALLY.case("not ok", f"unit-{name}", "does not build")
        return
    results = os.path.join(ROOT, f"build-{name}", "meson-logs", "testlog.json")
    if os.path.exists(results):
        os.unlink(results)
    run(["meson", "test", "-C", f"build-{name}", "--no-rebuild", "--print-errorlogs", *tests], log)
    seen = 0
    with open(results, encoding="utf-8") as f:
        for line in f:
            e = json.loads(line)
            seen += 1
            verdict = {"OK": "ok", "SKIP": "skip"}.get(e["result"], "not ok")
            TALLY.case(verdict, f"unit-{name}-{e['name'].split('/')[-1].strip()}", e["result"])
    if seen != len(tests):
        TALLY.case("not ok", f"unit-{name}", f"{seen} of {len(tests)} tests ran")


def script(name, log, command, env=None, timeout=900):
    """A command that prints its cases; one that prints none, or fails without naming a case, failed."""
    start = os.path.getsize(log) if os.path.exists(log) else 0
    status = run(command, log, env, timeout)
    cases = bad = 0
    with open(log, encoding="utf-8", errors="replace") as f:
        f.seek(start)
        for line in f:
            m = re.match(r"(ok|not ok|skip) (\S+) ?(.*)", line)
            if m:
                cases += 1
                bad += m[1] == "not ok"
                TALLY.case(m[1], f"{name}: {m[2]}", m[3].strip())
    if cases == 0 or (status != 0) != (bad > 0):
        TALLY.case("not ok", name, "took too long" if status == 124 else f"exit {status}, {cases} cases, {bad} of them bad")


def verify(name, log):
    """The goldens of pcaps/, each capture a case."""
    report = os.path.join(LOGS, f"verify-{name}.xml")
    if os.path.exists(report):
        os.unlink(report)
    status = run([binary(name), "verify", "--junit", report, "pcaps"], log, timeout=300)
    cases = 0
    if os.path.exists(report):
        for case in xml.etree.ElementTree.parse(report).iter("testcase"):
            cases += 1
            fault = case.find("failure") if case.find("failure") is not None else case.find("error")
            TALLY.case("ok" if fault is None else "not ok", f"golden-{name}: {case.get('name')}", (fault.get("message") or "differs") if fault is not None else "")
    if cases == 0 or (status != 0 and not TALLY.failed):
        TALLY.case("not ok", f"golden-{name}", f"exit {status}, {cases} captures")


def formatted(log):
    files = subprocess.run(["git", "ls-files", "*.c", "*.h"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not tool:
        TALLY.case("skip", "format", "clang-format is not there")
        return
    status = run([tool, "--dry-run", "-Werror", *files], log)
    TALLY.case("ok" if status == 0 else "not ok", "format", "make format mends it")


def python(name, *args):
    return ["python3", os.path.join("tests", name), *args]


def live(test, log, *arguments, kind="asan"):
    """A live test of one source, under AddressSanitizer or in another build."""
    driver = os.path.join("tests", "live", "source_driver")
    if build(kind, [driver], log):
        script(test.removesuffix(".py").replace("_", "-"), log, python(os.path.join("live", test), os.path.join(ROOT, f"build-{kind}", driver), *arguments), timeout=300)


def live_dpdk(log):
    """As the others; and what is linked where."""
    folder = os.path.join(ROOT, "build-asan")
    driver, module, primary = "tests/live/source_driver", "tapscope-dpdk.so", "tests/live/dpdk_primary"
    if not build("asan", ["tapscope", driver], log):
        return
    with open(os.path.join(folder, "build.ninja"), encoding="utf-8") as f:
        if f"build {module}:" in f.read() and not build("asan", [module, primary], log):
            return
    script("live-dpdk", log, python("live/live_dpdk.py", os.path.join(folder, driver), os.path.join(folder, primary), folder), timeout=300)


def live_run(name, test, log, *parts):
    """`tapscope run` from end to end; a build with sanitizers is given more time."""
    if build(name, ["tapscope"], log):
        slow = {} if name == "gcc" else {"TAPSCOPE_TEST_SLOW": "1"}
        script(f"live-run-{test}-{name}", log, python(f"live/run_{test}.py", binary(name), *parts), slow, timeout=300)


def fuzz(log, seconds):
    """Each libFuzzer target for a while, from its corpus; what it finds new stays in build-fuzz/found/."""
    if not build("fuzz", [], log):
        return
    folder = os.path.join(ROOT, "build-fuzz", "tests", "fuzz")
    targets = sorted(n for n in os.listdir(folder) if re.fullmatch(r"fuzz_[a-z0-9_]+", n) and not n.startswith("fuzz_replay") and os.access(os.path.join(folder, n), os.X_OK))
    for name in targets:
        found = os.path.join(ROOT, "build-fuzz", "found", name)
        os.makedirs(found, exist_ok=True)
        inputs = [p for p in (os.path.join(ROOT, "tests", "fuzz", "corpus", name.removeprefix("fuzz_")),) if os.path.isdir(p)]
        status = run([os.path.join(folder, name), f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=4096", f"-artifact_prefix={found}/crash-", found, *inputs],
                     log, timeout=seconds + 120)
        TALLY.case("ok" if status == 0 else "not ok", name, f"exit {status}; what breaks it is in build-fuzz/found/{name}")
    if not targets:
        TALLY.case("not ok", "fuzz", "no targets")


def fuzz_seconds():
    return int(sys.argv[sys.argv.index("--seconds") + 1]) if "--seconds" in sys.argv else 60


# name -> what it does with its log. In the order in which they run.
STEPS = {
    "gcc": lambda log: build("gcc", [], log),
    "clang": lambda log: build("clang", [], log),
    "format": formatted,
    "unit-asan": lambda log: unit("asan", log),
    "unit-clang": lambda log: unit("clang", log),
    "unit-tsan": lambda log: unit("tsan", log, "ring|outbox|flowtab|live|view|nics"),
    "golden-gcc": lambda log: verify("gcc", log),
    "golden-asan": lambda log: verify("asan", log),
    "golden-fold": lambda log: build("fold", ["tapscope"], log) and verify("fold", log),
    "truth": lambda log: script("truth", log, python("truth.py", binary("gcc"))),
    "truth-stores": lambda log: script("truth-stores", log, python("truth_stores.py", binary("gcc"))),
    "duplicates": lambda log: script("duplicates", log, python("duplicates.py", binary("gcc"))),
    "inputs": lambda log: script("inputs", log, python("inputs.py", binary("asan"))),
    "reader": lambda log: script("reader", log, python("flows_vs_reader.py", binary("gcc"))),
    "coverage": lambda log: script("coverage", log, python("fields_coverage.py")),
    "options": lambda log: script("options", log, python("options_effect.py", binary("gcc"))),
    "no-malloc": lambda log: script("no-malloc", log, ["tests/no_malloc.sh", binary("gcc")]),
    "determinism-quick": lambda log: script("determinism", log, python("determinism.py", "--quick", binary("gcc"))),
    "determinism": lambda log: script("determinism", log, python("determinism.py", binary("gcc"), binary("clang"))),
    "determinism-tsan": lambda log: build("tsan", ["tapscope"], log) and script("determinism-tsan", log, python("determinism.py", "--quick", binary("tsan"))),
    "instructions": lambda log: build("bench", ["tapscope"], log) and script("instructions", log, python("bench/instructions.py", binary("bench"))),
    "flow-model": lambda log: script("flow-model", log, python("flow_model.py", binary("gcc"))),
    "open-connections": lambda log: script("open-connections", log, python("open_connections.py", binary("gcc"))),
    "balance": lambda log: script("balance", log, python("balance.py", binary("gcc"))),
    "pairing": lambda log: script("pairing", log, python("pairing_sim.py", binary("gcc"), "10")),
    "pairing-real": lambda log: script("pairing-real", log, python("pairing_real.py", binary("gcc"))),
    "ledger-fault": lambda log: build("fault", ["tapscope"], log) and script("ledger-fault", log, ["tests/ledger_fault.sh", binary("gcc"), binary("fault")]),
    "live-afpacket": lambda log: live("live_afpacket.py", log),
    "live-afpacket-tsan": lambda log: live("live_afpacket.py", log, "counts", "loopback", "overload", "stop_under_load", "trouble", kind="tsan"),
    "live-bare": lambda log: build("bare", ["tapscope"], log) and live("live_afpacket.py", log, "bare", kind="bare"),
    "live-pcap": lambda log: live("live_pcap.py", log),
    "live-nics": lambda log: build("asan", ["tapscope"], log) and script("live-nics", log, python(os.path.join("live", "nics.py"), binary("asan")), timeout=300),
    "live-xdp": lambda log: live("live_xdp.py", log),
    "live-dpdk": live_dpdk,
    "live-doctor": lambda log: build("asan", ["tapscope"], log) and script("live-doctor", log, python("live/doctor.py", binary("asan"))),
    "live-run-topologies": lambda log: live_run("gcc", "topologies", log),
    "live-run-faults": lambda log: live_run("gcc", "faults", log),
    # without "fragments": a reassembled datagram takes two hand-overs, and a worker as slow as this one is waited for at one only
    "live-run-topologies-asan": lambda log: live_run("asan", "topologies", log, "pair", "macvlan", "vepa", "bridge", "ipvlan", "lo", "mariadb", "kafka", "span", "span-twice", "vxlan", "vlans", "tap"),
    "live-run-faults-asan": lambda log: live_run("asan", "faults", log),
    "live-run-topologies-tsan": lambda log: live_run("tsan", "topologies", log, "pair", "bridge", "span-twice", "tap"),
    "live-run-faults-tsan": lambda log: live_run("tsan", "faults", log, "overload", "plug", "reload", "end", "still", "notify"),
    "fuzz": lambda log: fuzz(log, 3),
    "corpus-http": lambda log: script("corpus-http", log, python("corpus/http_reference.py", binary("gcc"))),
    "corpus-stores": lambda log: script("corpus-stores", log, python("corpus/stores_reference.py", binary("gcc"))),
    "corpus-ports": lambda log: script("corpus-ports", log, python("corpus/ports.py", binary("gcc"))),
    "corpus-reader": lambda log: script("corpus-reader", log, python("flows_vs_reader.py", "--corpus", binary("gcc"))),
    "corpus-robustness": lambda log: script("corpus-robustness", log, python("corpus/robustness.py", binary("asan"))),
}
SUITES = {
    "check": ["gcc", "format", "unit-asan", "golden-gcc", "truth", "determinism-quick"],
    "test": [s for s in STEPS if s != "determinism-quick"],
}


def main():
    wanted = sys.argv[1:2] or ["check"]
    os.chdir(ROOT)
    os.makedirs(LOGS, exist_ok=True)
    if wanted[0] == "fuzz":
        log = os.path.join(LOGS, "fuzz.log")
        open(log, "w").close()
        fuzz(log, fuzz_seconds())
    else:
        steps = SUITES.get(wanted[0]) or sys.argv[1:]
        unknown = [s for s in steps if s not in STEPS]
        if unknown:
            sys.exit(f"no step {unknown[0]}; there are: {' '.join(STEPS)}")
        for step in steps:
            log = os.path.join(LOGS, step + ".log")
            open(log, "w").close()
            began, before = time.monotonic(), TALLY.failed
            print(f"{step}", flush=True)
            try:
                STEPS[step](log)
            except (OSError, subprocess.SubprocessError, ValueError) as e:
                TALLY.case("not ok", step, f"{type(e).__name__}: {e}")
            if TALLY.failed > before:
                show(log)
            print(f"  {time.monotonic() - began:.1f} s", flush=True)
    summary = f"{TALLY.passed} passed, {TALLY.failed} failed, {TALLY.skipped} skipped"
    with open(os.path.join(LOGS, "summary"), "w", encoding="utf-8") as f:
        f.write(summary + "\n")
    print(summary)
    sys.exit(1 if TALLY.failed else 0)


if __name__ == "__main__":
    main()
