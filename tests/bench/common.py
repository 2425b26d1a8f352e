"""What the parts of the benchmark share: building, running with time and limits, printing."""
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.join(ROOT, "tests", "bench")
FOLDER = os.path.join(ROOT, ".bench")
BUILD = os.path.join(ROOT, "build-bench")
# A release build with link time optimisation, and line numbers, which change no instruction.
RELEASE = ["-Dbuildtype=release", "-Db_lto=true", "-Ddebug=true"]
TMPFS = "/dev/shm"


def build(folder=BUILD, options=RELEASE, targets=("tapscope",)):
    if not os.path.exists(os.path.join(folder, "build.ninja")):
        subprocess.run(["meson", "setup", folder, *options], cwd=ROOT, env={**os.environ, "CC": "gcc"}, stdout=subprocess.DEVNULL, check=True)
    done = subprocess.run(["ninja", "-C", folder, "--quiet", *targets], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        sys.exit(done.stdout.decode("utf-8", "replace"))
    return os.path.join(folder, "tapscope")


def tool(name):
    """A program of this folder that is one C file, compiled into .bench/."""
    source, out = os.path.join(HERE, name + ".c"), os.path.join(FOLDER, name)
    newest = max(os.path.getmtime(p) for p in (source, os.path.join(HERE, "frames.h")))
    if not os.path.exists(out) or os.path.getmtime(out) < newest:
        os.makedirs(FOLDER, exist_ok=True)
        subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", "-I", os.path.join(ROOT, "base"), "-o", out, source], check=True)
    return out


def output_of(command, timeout=600):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=timeout, check=True).stdout.decode()


def anonymous_kib(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
            for line in f:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0


class Run:
    """One run of a program: its status (None: killed after the time limit), CPU and wall seconds, what it wrote to stderr, and the
    most anonymous memory that it touched (looked at every 10 ms: maxrss would have the mapped capture, too)."""

    def __init__(self, command, timeout, stdout=subprocess.DEVNULL):
        began = time.monotonic()
        p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE)
        over, late = threading.Event(), threading.Event()
        self.anonymous_mib = 0

        def watch():
            while not over.wait(0.01):
                self.anonymous_mib = max(self.anonymous_mib, anonymous_kib(p.pid) / 1024)
                if time.monotonic() > began + timeout and not late.is_set():
                    late.set()
                    p.kill()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            self.err = p.stderr.read().decode("utf-8", "replace")
            _, status, usage = os.wait4(p.pid, 0)
            self.wall = time.monotonic() - began
        except BaseException:
            p.kill()
            p.wait()
            raise
        finally:
            over.set()
            watcher.join()
        p.returncode = os.waitstatus_to_exitcode(status)
        p.stderr.close()
        self.status = None if late.is_set() else p.returncode
        self.cpu = usage.ru_utime + usage.ru_stime

    def counters(self):
        """What --counters printed."""
        for line in self.err.splitlines():
            if line.startswith("{"):
                return json.loads(line)
        return {}


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def warm(path):
    with open(path, "rb") as f:
        while f.read(1 << 24):
            pass


def free_bytes(folder):
    return shutil.disk_usage(folder).free if os.path.isdir(folder) else 0


def machine():
    model, caches = "unknown", {}
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    for level in range(4):
        base = f"/sys/devices/system/cpu/cpu0/cache/index{level}/"
        if os.path.exists(base + "size"):
            with open(base + "size", encoding="utf-8") as size, open(base + "type", encoding="utf-8") as kind, open(base + "level", encoding="utf-8") as number:
                caches[f"L{number.read().strip()} {kind.read().strip()}"] = size.read().strip()
    with open("/proc/meminfo", encoding="utf-8") as f:
        memory = int(f.readline().split()[1]) // 1024
    return {"cpu": model, "cpus": os.cpu_count(), "caches": caches, "memory_mib": memory, "kernel": os.uname().release, "load": os.getloadavg()[0]}


FAILURES = []


def fail(what):
    """A fault that makes the whole end with 1."""
    if what not in FAILURES:
        FAILURES.append(what)
        print(f"  FAILED: {what}", flush=True)


def say(text=""):
    print(text, flush=True)
