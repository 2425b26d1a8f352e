#!/usr/bin/env python3
"""Every option that `tapscope config example` prints changes something that one can see.

    options_effect.py TAPSCOPE

EFFECTS has a line for each option: another value, an input, and what changes. An option without a line, and a line without
an option, fail.
"""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from common import ENVIRONMENT, PCAPS, case, finish, replay
from synth import synth
import pcapedit
import pcapfile

TAPSCOPE = sys.argv[1]
FOLDER = tempfile.TemporaryDirectory(prefix="tapscope-options-")


def pcap(*names):
    return [os.path.join(PCAPS, name) for name in names]


def made(name, frames):
    path = os.path.join(FOLDER.name, name)
    pcapfile.write(path, frames, nanoseconds=True)
    return [path]


def edited(name, *edits):
    frames = pcapfile.read(pcap(name)[0])
    for edit in edits:
        what, *rest = edit.split(":")
        frames = pcapedit.edit_frames(frames, what, rest)
    return made("-".join((name, *edits)).replace("/", "_"), frames)


def interleaved():
    """Fragments of two datagrams in turn: both wait at the same time."""
    frames = pcapedit.fragment(pcapfile.read(pcap("nginx-keepalive.pcap")[0]), 512)
    large = [f for f in frames if len(f.data) == 14 + 20 + 512][:2]
    first, second = ([g for g in frames if g.data[18:20] == f.data[18:20]] for f in (large[0], next(f for f in frames if f.data[18:20] != large[0].data[18:20] and f.data[20] & 0x20)))
    mixed = [f for pair in zip(first, second) for f in pair] + first[len(second) :] + second[len(first) :]
    return made("interleaved.pcap", [f.copy(ts=10**18 + i * 1000) for i, f in enumerate(mixed)])


def late_segment():
    """A segment once more after the connection has closed."""
    frames = pcapfile.read(pcap("nginx-slow.pcap")[0])
    data = next(f for f in frames if pcapedit.has_payload(f))
    return made("late.pcap", frames + [data.copy(ts=frames[-1].ts + 10**8)])


def before_others(name):
    """A capture, and a busy one that goes on after its end: a timeout decides whose record comes first."""
    frames = pcapfile.read(pcap(name)[0])
    others = pcapfile.read(pcap("nginx-keepalive.pcap")[0])
    shift = frames[-1].ts - others[0].ts + 10**8
    return made("before-others-" + name, frames + [f.copy(ts=f.ts + shift) for f in others])


FLOW = "static_config.flow."
DEDUP = "-o", "dedup.enabled=on"
# option: (another value, input, what changes[, what else is set both times])
EFFECTS = {
    "workers": ("3", None, "threads"),
    "ring_slots": ("1048576", None, "memory"),
    "max_memory": ("4MiB", lambda: [synth("http.pcap", "http", 4000, 3, 4000)], "records"),
    "hash_seed": ("none", None, "refused"),  # moves entries in memory, and shall change nothing else
    "replay.observation_point": ("interface", lambda: pcap("proxy-legs.pcapng"), "records"),
    "replay.stall_max": ("10000", lambda: [synth("http.pcap", "http", 4000, 3, 4000)], "slower"),
    "decap_type": ("[]", lambda: pcap("vxlan.pcap"), "records"),
    "vxlan_ports": ("[4790]", lambda: pcap("vxlan.pcap"), "records"),
    "flow_isolation": ("vlan", lambda: pcap("nginx-slow.pcap", "vlan.pcap"), "records"),
    "verify_l4_checksum": ("true", lambda: [synth("sums.pcap", "http", 3, 1, 3)], "records"),
    "dedup.enabled": ("on", lambda: pcap("sent-twice.pcap"), "records"),
    "dedup.window": ("1ms", lambda: pcap("sent-twice.pcap"), "records", DEDUP),
    "static_config.analyzer-dedup-disabled": ("true", lambda: pcap("sent-twice.pcap"), "records", DEDUP),
    "fragment_datagrams": ("1", interleaved, "summary"),
    "fragment_timeout": ("1s", lambda: edited("udp-fragments.pcap", "stretch:0:2"), "summary"),
    FLOW + "established-timeout": ("500ms", lambda: pcap("tcp-probes.pcap"), "records"),
    FLOW + "opening-timeout": ("100ms", lambda: pcap("tcp-unanswered.pcap"), "records"),
    FLOW + "opening-rst-timeout": ("1ms", lambda: before_others("tcp-resets.pcap"), "records"),
    FLOW + "closing-rst-timeout": ("1ms", lambda: before_others("tcp-resets.pcap"), "records"),
    FLOW + "others-timeout": ("1ms", lambda: pcap("tcp-halfclose.pcap"), "records"),
    FLOW + "udp-timeout": ("1s", lambda: edited("udp-echo.pcap", "stretch:0.001:5"), "records"),
    FLOW + "udp-oneway-timeout": ("1ms", lambda: pcap("udp-oneway.pcap"), "records"),
    FLOW + "icmp-timeout": ("1ms", lambda: pcap("icmp.pcap"), "records"),
    FLOW + "linger": ("0ns", late_segment, "records"),
    FLOW + "report-interval": ("0s", lambda: pcap("long-flow.pcap"), "records"),
    FLOW + "reassembly-bytes": ("0B", lambda: pcap("reordered.pcap"), "records"),
    FLOW + "community-id": ("false", lambda: pcap("nginx-slow.pcap"), "records"),
    "static_config.l7-protocol-enabled": ("[]", lambda: pcap("nginx-slow.pcap"), "records"),
    "static_config.l7-protocol-ports": ("{NoSuch: 80}", None, "refused"),  # a hint: content decides, so records stay
    "static_config.rrt-tcp-timeout": ("300", lambda: pcap("request-timeout.pcap"), "records"),
    "l7.outstanding_max": ("1", lambda: pcap("nginx-pipeline.pcap"), "records"),
    "l7.text_max": ("16", lambda: pcap("nginx-errors.pcap"), "records"),
    "static_config.l7-protocol-advanced-features.obfuscate-enabled-protocols": ("[HTTP]", lambda: pcap("nginx-keepalive.pcap"), "records"),
    "tap_mode": ("1", lambda: ["static_config.src-interfaces=[nosuch]"], "interfaces"),
    "tap_interface_regex": ("nosuch", list, "interfaces"),
    "static_config.src-interfaces": ("[nosuch]", lambda: ["tap_mode=1"], "interfaces"),
    # of live capture; what they change is seen by live-nics and by the unit tests of place/
    "extra_netns_regex": ("(", None, "refused"),
    "static_config.default-tap-type": ("x" * 65, None, "refused"),
    "tap.types": ("[vlan = x]", None, "refused"),
    "tap.owners": ("[shop = 10.0.0.1]", None, "refused"),
    "live.merge_window": ("2", None, "refused"),  # what it is for takes two NICs: tests/unit/test_live.c
    "live.worker_cpus": ("[1]", None, "live cpus"),
    "live.shed_lag": ("2m", None, "refused"),  # and this takes pressure: the same
    "max_cpus": ("many", None, "refused"),
    "thread_threshold": ("4", None, "no start"),
    "live.handover_memory": ("1KiB", None, "refused"),  # taken out of max_memory: how much is in use stays
    "live.record_memory": ("1KiB", None, "refused"),
    "capture.ring_memory": ("64MiB", None, "live size"),
    "capture.source": ("pcap", None, "live kind"),
    "capture.promiscuous": ("on", None, "live promiscuity"),
    "capture.block_timeout": ("1s", None, "live early"),
    "capture.nic_clock": ("true", None, "no capture"),  # loopback has none
    "capture_bpf": ("udp port 1", None, "live filtered"),
    "capture_packet_size": ("30", None, "live cut"),
    "api.listen": ("127.0.0.1:9556", None, "live port"),
    "tap.learn_owners": ("maybe", None, "refused"),
    "tap.rescan_interval": ("1ms", None, "refused"),
}


def options():
    """Paths of all options of the example file, by its indentation."""
    text = subprocess.run([TAPSCOPE, "config", "example"], capture_output=True, text=True, check=True, env=ENVIRONMENT).stdout
    stack, found = [], []
    for line in text.splitlines():
        m = re.match(r"( *)([^#\s][^:]*):(.*)$", line)
        if not m:
            continue
        depth = len(m[1])
        while stack and stack[-1][0] >= depth:
            stack.pop()
        if m[3].strip():
            found.append(".".join([s[1] for s in stack] + [m[2].strip()]))
        else:
            stack.append((depth, m[2].strip()))
    return found


def waiting(*settings):
    """Threads and KiB of address space of a replay that waits for its input."""
    with subprocess.Popen([TAPSCOPE, "replay", "--format", "none", *settings, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT) as p:
        with open(pcap("nginx-shorts.pcap")[0], "rb") as f:
            p.stdin.write(f.read(4000))
            p.stdin.flush()
        time.sleep(0.5)
        with open(f"/proc/{p.pid}/status") as f:
            status = dict(line.split(":", 1) for line in f)
        p.stdin.close()
        p.wait(20)
    return int(status["Threads"]), int(status["VmSize"].split()[0])


def running(*settings):
    """What a capture on the loopback looks like after twenty datagrams and 0.3 s: its ledger in the end among it."""
    ledger = os.path.join(FOLDER.name, "ledger.json")
    with subprocess.Popen([TAPSCOPE, "run", "-i", "lo", "--format", "none", "--ledger", ledger, "-o", "workers=2", "-o", "capture.block_timeout=10ms", *settings],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT) as p:
        p.stderr.readline()  # captures on lo
        time.sleep(0.3)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for _ in range(20):
                s.sendto(b"x", ("127.0.0.1", 9))
        time.sleep(0.3)
        seen = {}
        for port in (9555, 9556):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                    seen["port"] = port
                    seen["early"] = re.search(rb'term="on flows"} (\d+)', answer.read())[1] != b"0"
            except OSError:
                pass
        tasks = [f"/proc/{p.pid}/task/{t}/status" for t in sorted(os.listdir(f"/proc/{p.pid}/task"), key=int)]
        seen["cpus"] = [re.search(r"Cpus_allowed_list:\s+(\S+)", open(t).read())[1] for t in tasks[:3]]
        with open(f"/proc/{p.pid}/status") as f:
            seen["size"] = int(re.search(r"VmSize:\s+(\d+)", f.read())[1]) >> 14
        link = subprocess.run(["ip", "-d", "link", "show", "lo"], capture_output=True, text=True).stdout
        seen["promiscuity"] = re.search(r"promiscuity (\d+)", link)[1]
        p.terminate()
        p.wait(10)
    with open(ledger) as f:
        got = json.load(f)
    seen["kind"] = got["sources"][0]["kind"]
    seen["filtered"] = got["terms"]["filtered in the kernel"] > 0
    seen["cut"] = got["terms"]["truncated_l4"] + got["terms"]["truncated_ip"] > 0
    return seen


def effect(option, value, files, kind, also=()):
    """(whether it changed, what was seen)"""
    setting = ("-o", f"{option}={value}")
    if kind == "refused":
        got = replay(TAPSCOPE, pcap("nginx-slow.pcap"), *setting)
        return got.code in (1, 2) and option.rsplit(".", 1)[-1] in got.err, f"exit {got.code} {got.err}"
    if kind == "no start":
        got = subprocess.run([TAPSCOPE, "run", "-i", "lo", *setting, "--format", "none"], capture_output=True, text=True, env=ENVIRONMENT, timeout=20)
        return got.returncode == 1 and option in got.stderr, got.stderr
    if kind == "no capture":
        got = subprocess.run([TAPSCOPE, "run", "-i", "lo", *setting, "--format", "none"], capture_output=True, text=True, env=ENVIRONMENT, timeout=20)
        return got.returncode == 3 and option in got.stderr, f"exit {got.returncode} {got.stderr}"
    if kind.startswith("live "):
        what = kind.split()[1]
        a, b = running()[what], running(*setting)[what]
        return a != b, f"{what} is {b}"
    if kind == "interfaces":
        base = [word for other in files for word in ("-o", other)]
        a, b = (subprocess.run([TAPSCOPE, "interfaces", *base, *more], capture_output=True, env=ENVIRONMENT, timeout=20) for more in ((), setting))
        return a.stdout != b.stdout and b"\"why\":" in b.stdout, "the same NICs for the same reasons"
    if kind == "threads":
        a, b = waiting()[0], waiting(*setting)[0]
        return b > a, f"{a} threads, then {b}"
    if kind == "memory":
        a, b = waiting("-o", "workers=2")[1], waiting("-o", "workers=2", *setting)[1]
        return b > a + 1024, f"{a} KiB, then {b}"
    if kind == "slower":
        times = []
        for settings in ((), setting):
            began = time.monotonic()
            replay(TAPSCOPE, files, "-o", "workers=2", *settings)
            times.append(time.monotonic() - began)
        return times[1] > times[0] + 0.02, f"{times[0]:.3f} s, then {times[1]:.3f} s"
    a, b = (replay(TAPSCOPE, files, "--summary", *s, beside=False) for s in (also, (*also, *setting)))
    if a.code != 0 or b.code != 0:
        return False, f"exit {a.code} {b.code} {b.err[-200:]}"
    if kind == "summary":
        return a.err != b.err, "the same summary"
    return a.out != b.out, "the same records"


def main():
    known = options()
    case(len(known) > 10, "options-found", f"{len(known)} in config example")
    for option in known:
        if option not in EFFECTS:
            case(False, f"option-{option}", "has no line in EFFECTS")
            continue
        value, files, kind, *also = EFFECTS[option]
        good, seen = effect(option, value, files() if files else None, kind, *also)
        case(good, f"option-{option}", f"{value} changes nothing: {seen}")
    for option in set(EFFECTS) - set(known):
        case(False, f"option-{option}", "is no option")
    finish()


if __name__ == "__main__":
    main()
