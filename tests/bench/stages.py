"""Where the instructions and the time of a run go, by stage.

A stage is a set of source files. Instructions are callgrind's, exact: what the compiler inlines counts where it was written,
and what a library does (memcpy) counts for the file that called it. Taken as the difference of two lengths of the same
capture, so that start and end cost nothing. Time is perf's: samples of the CPU clock, and what the kernel did by system call;
samples in a library are shared out as its instructions are.
"""
import collections
import os
import re
import shutil
import subprocess
import tempfile

from common import ROOT

# The first that matches the path below the repository; what matches none belongs to the compiler's or another header.
STAGES = (
    ("decode", r"capture/(decode|reassemble|fragment)"),
    ("read", r"capture/"),
    ("reassembly", r"flowtab/stream"),
    ("flow table", r"flowtab/|base/wheel"),
    ("dissect, shared", r"dissect/(dissect|text_tools|registry)"),
    ("MySQL", r"dissect/(mysql|sql)"),
    ("HTTP", r"dissect/(http|trace_context)"),
    ("Redis", r"dissect/redis"),
    ("Kafka", r"dissect/kafka"),
    ("other dissectors", r"dissect/"),
    ("session", r"engine/(session|pairing|notes|transform|blocks)"),
    ("engine", r"engine/|base/ring"),
    ("record", r"record/"),
    ("write", r"export/"),
    ("hash", r"base/(hash|shard_hash|flow_key)|xxhash\.h"),
    ("base", r"base/"),
    ("app", r"app/|config/"),
)
ORDER = [name for name, _ in STAGES]
_STAGE = [(name, re.compile(r"(?:^|/)(?:%s)" % pattern)) for name, pattern in STAGES]

# Functions of libraries come in variants that the CPU picks; these pick the same on every x86-64, so that counts are equal.
PLAIN_CPU = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM,-SSSE3,-SSE4_1,-SSE4_2,"
                      "-BMI1,-BMI2,-LZCNT,-MOVBE,-POPCNT,-RTM,-XSAVEC,-Fast_Unaligned_Copy",
    "OPENSSL_ia32cap": "0:0",
}


def stage_of(source):
    for name, pattern in _STAGE:
        if pattern.search(source):
            return name
    return "base"  # headers of the compiler: intrinsics


class Counts:
    """Instructions by stage: of our own code, and of the libraries that it called."""

    def __init__(self):
        self.own, self.library = collections.Counter(), collections.Counter()

    def minus(self, other):
        d = Counts()
        for mine, theirs, into in ((self.own, other.own, d.own), (self.library, other.library, d.library)):
            for k in mine.keys() | theirs.keys():
                if mine[k] != theirs[k]:
                    into[k] = mine[k] - theirs[k]
        return d

    def stage(self, name):
        return self.own[name] + self.library[name]

    def total(self):
        return sum(self.own.values()) + sum(self.library.values())


def parse_callgrind(path, binary):
    """Costs of our object's lines, and of the calls from them into other objects (which never call back, but for the one that
    starts main)."""
    counts, name = Counts(), os.path.basename(binary)
    ours = callee_ours = starts_main = in_call = False
    source = ""
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            c = line[0]
            if c.isdigit() or c in "+-*":
                parts = line.split()
                if in_call:
                    if ours and not callee_ours and not starts_main:
                        counts.library[stage_of(source)] += int(parts[1])
                    in_call, callee_ours, starts_main = False, ours, False
                elif ours and len(parts) >= 2:
                    counts.own[stage_of(source)] += int(parts[1])
            elif line.startswith("ob="):
                ours = callee_ours = os.path.basename(line[3:].strip()) == name
            elif line.startswith(("fl=", "fi=", "fe=")):
                source = line[3:].strip()
            elif line.startswith("cob="):
                callee_ours = os.path.basename(line[4:].strip()) == name
            elif line.startswith("cfn="):
                starts_main = "libc_start_main" in line or "below main" in line
            elif line.startswith("calls="):
                in_call = True
    return counts


def callgrind(binary, arguments, timeout=600):
    """Counts of one run, on a CPU without extensions, in an environment that is always the same."""
    with tempfile.TemporaryDirectory(prefix="tapscope-bench-") as folder:
        out = os.path.join(folder, "out")
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--compress-strings=no", "--compress-pos=no", binary, "replay",
                   "-o", "hash_seed=1", *arguments]
        done = subprocess.run(command, env={"PATH": os.environ["PATH"], **PLAIN_CPU}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, timeout=timeout, check=False)
        if done.returncode:
            raise OSError(f"callgrind: {' '.join(done.stderr.decode('utf-8', 'replace').split())[-300:]}")
        return parse_callgrind(out, binary)


def have_perf():
    """Whether perf samples the CPU clock here."""
    if not shutil.which("perf"):
        return False
    with tempfile.TemporaryDirectory(prefix="tapscope-bench-") as folder:
        return subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-o", os.path.join(folder, "p"), "true"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def text_offset(binary):
    """Virtual address less file offset of the executable segment."""
    for line in subprocess.run(["readelf", "-lW", binary], capture_output=True, text=True, check=True).stdout.splitlines():
        parts = line.split()
        if parts[:1] == ["LOAD"] and "E" in "".join(parts[6:-1]):
            return int(parts[2], 16) - int(parts[1], 16)
    return 0


def sources_of(binary, addresses):
    """address -> source file, the innermost inlined one."""
    addresses = sorted(addresses)
    shift = text_offset(binary)
    said = subprocess.run(["addr2line", "-e", binary], input="\n".join(hex(a + shift) for a in addresses), capture_output=True, text=True, check=True).stdout
    return {a: line.rsplit(":", 1)[0] for a, line in zip(addresses, said.splitlines())}


KERNEL = (("kernel: read", r"sys_(p?read|p?readv)"), ("kernel: write", r"sys_(p?write|p?writev)"), ("kernel: pages", r"page_fault|sys_(madvise|munmap|mmap|exit)"))


def perf(binary, arguments, runs):
    """Shares of the time by stage; of libraries as 'libraries'. They add up to 1."""
    samples, addresses = collections.Counter(), collections.Counter()
    name = os.path.basename(binary)
    for _ in range(runs):
        with tempfile.TemporaryDirectory(prefix="tapscope-bench-") as folder:
            data = os.path.join(folder, "perf.data")
            subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", "9973", "--call-graph", "fp", "-o", data, binary, "replay", *arguments],
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=600, check=True)
            text = subprocess.run(["perf", "script", "-i", data, "-F", "ip,sym,dso"], capture_output=True, text=True, timeout=600, check=True).stdout
        for block in text.split("\n\n"):
            lines = [x.split() for x in block.splitlines() if x.strip()]
            if not lines:
                continue
            if "kernel.kallsyms" in lines[0][-1]:
                chain = " ".join(x[1] for x in lines if "kernel.kallsyms" in x[-1])
                samples[next((stage for stage, pattern in KERNEL if re.search(pattern, chain)), "kernel: other")] += 1
            elif os.path.basename(lines[0][-1].strip("()")) == name:
                addresses[int(lines[0][0], 16)] += 1
            else:
                samples["libraries"] += 1
    for address, source in sources_of(binary, addresses).items():
        samples[stage_of(source)] += addresses[address]
    total = sum(samples.values())
    return {k: v / total for k, v in samples.items()}, total


def share_out_libraries(shares, counts):
    """Gives the time of libraries to the stages that called them, as their instructions were."""
    shares = dict(shares)
    time, all_of_them = shares.pop("libraries", 0), sum(counts.library.values())
    for stage, n in counts.library.items():
        if all_of_them > 0 and n > 0:
            shares[stage] = shares.get(stage, 0) + time * n / all_of_them
    return shares
