"""What the script tests share: running tapscope, and saying how each case went."""
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PCAPS = os.path.join(ROOT, "pcaps")
sys.path.insert(0, os.path.join(PCAPS, "tools"))
ENVIRONMENT = {
    **os.environ,
    "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "detect_leaks=1"),
    "UBSAN_OPTIONS": os.environ.get("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1"),
}
_failed = 0


def case(good, name, reason=""):
    """One case; a reason in one line where it is bad."""
    global _failed
    if good:
        print(f"ok {name}", flush=True)
    else:
        _failed += 1
        print(f"not ok {name} {' '.join(str(reason).split())[:600]}", flush=True)
    return good


def skip(name, reason):
    print(f"skip {name} {reason}", flush=True)


def finish():
    sys.exit(1 if _failed else 0)


def captures(folder=PCAPS):
    """All capture files below a folder, sorted."""
    found = []
    for base, _, names in os.walk(folder):
        for name in names:
            if re.search(r"\.(pcap|pcapng|cap)(\.gz)?$", name):
                found.append(os.path.join(base, name))
    return sorted(found)


def truth_of(path):
    """What is told beside a capture of pcaps/; {} where nothing is."""
    told = re.sub(r"\.(pcap|pcapng|cap)(\.gz)?$", ".truth.json", path)
    if not os.path.exists(told):
        return {}
    with open(told, encoding="utf-8") as f:
        return json.load(f)


def without_copies(path, copies, folder):
    """The capture without the frames of these numbers, in a folder."""
    import pcapfile
    single, copies = os.path.join(folder, os.path.basename(path)), set(copies)
    first = [f for number, f in enumerate(pcapfile.read(path), 1) if number not in copies]
    if path.endswith(".pcapng"):
        pcapfile.write_pcapng(single, first, resolution=9)
    else:
        pcapfile.write(single, first, nanoseconds=True)
    return single


def corpus(name):
    """The corpus folder; without one says that the test is skipped, and ends."""
    path = os.environ.get("TAPSCOPE_CORPUS")
    if not path or not os.path.isdir(path):
        skip(name, "TAPSCOPE_CORPUS is not set")
        finish()
    return path


class Result:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")

    def records(self):
        return [json.loads(line) for line in self.out.decode("utf-8").splitlines()]

    def flows(self):
        return [r for r in self.records() if r["record"] == "flow"]

    def requests(self):
        return [r for r in self.records() if r["record"] == "request"]

    def ledger(self):
        """Terms of the printed ledger, in frames, and 'unaccounted for'; with --summary."""
        terms, inside = {}, False
        for line in self.err.splitlines():
            if line.startswith("Packet ledger"):
                inside = True
            elif inside:
                m = re.match(r"  (\S.*?)\s{2,}([\d ,.']+?)(\s{2,}.*)?$", line)
                if m:
                    terms[m[1]] = int(re.sub(r"\D", "", m[2]))
        return terms


def replay(binary, files, *options, timeout=60, form="ndjson", beside=True):
    """One run of `tapscope replay`, with the settings beside a single capture; subprocess.TimeoutExpired where it hangs."""
    if isinstance(files, str):
        files = [files]
    settings = []
    if len(files) == 1 and beside:
        own = re.sub(r"\.(pcap|pcapng|cap)(\.gz)?$", ".yaml", files[0])
        if os.path.exists(own):
            settings = ["-C", own]
    command = [binary, "replay", "--format", form, *settings, *options, *files]
    return Result(subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=ENVIRONMENT, timeout=timeout))
