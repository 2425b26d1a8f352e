#!/usr/bin/env python3
"""`tapscope run` when something goes wrong, or changes while it runs: nothing is lost that is not counted.

    run_faults.py TAPSCOPE [PART...]

Where the far end is a program of ours, it counts what it sends; what a NIC of the kernel counted is the truth for frames.
"""
import json
import os
import signal
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from nets import missing, remove_all, remove_leftovers, send_frames, sh, udp_frame
from common import case, finish, skip
from run_common import END_S, SLOW, Capture, Responder, Servers, Stage, address, all_sessions, ended_well, flows_agree, http_agrees, http_talk, nanoseconds, pair, together

TAPSCOPE = os.path.abspath(sys.argv[1])


def capture(where, *options, **how):
    return Capture(TAPSCOPE, where, *options, **how)


def wire():
    client, server = Stage("cli"), Stage("srv")
    pair(client, "c0", server, "s0", address(1), address(2))
    return client, server


def remove(*stages):
    for s in stages:
        s.remove()


class Load:
    """Clients that ask without a pause until they are told to stop."""

    def __init__(self, client, to, threads=2):
        self.done, self.talks, self.failed = False, [], []
        self.args = (client, to)
        self.threads = [threading.Thread(target=self.work, args=(i,), daemon=True) for i in range(threads)]
        for t in self.threads:
            t.start()

    def work(self, i):
        try:
            while not self.done:
                self.talks.append(http_talk(*self.args, 25, 80, i))
                time.sleep(0.02 if SLOW > 1 else 0)
        except (OSError, EOFError) as e:
            self.failed.append(str(e))

    def requests(self):
        return sum(t.requests for t in list(self.talks))

    def more(self, n=50, timeout=20):
        """Until it has done so many requests more."""
        goal, deadline = self.requests() + n, time.monotonic() + timeout
        while self.requests() < goal and time.monotonic() < deadline:
            time.sleep(0.01)

    def stop(self):
        self.done = True
        for t in self.threads:
            t.join(30)
        return self.talks


def overload():
    """A ring of 1 MiB, a flood, and a program that is stopped for a while: what was dropped is what the ledger says."""
    client, server = wire()
    for workers, options in ((1, ("-o", "live.shed_lag=0.5")), (2, ("-o", "live.shed_lag=0"))):
        with capture(server, "-i", "s0", "-o", "capture.ring_memory=1", "--workers", str(workers), *options, nics=["s0"]) as c:
            name = f"overload-{workers}-workers"
            case(c.ready, f"{name}-starts", c.err)
            frames = [udp_frame(i, 300) for i in range(60000)]  # none is another's copy
            sent = client.call(send_frames, "c0", frames[:20000])
            c.process.send_signal(signal.SIGSTOP)
            sent += client.call(send_frames, "c0", frames[20000:40000])
            c.process.send_signal(signal.SIGCONT)
            sent += client.call(send_frames, "c0", frames[40000:])
            c.stop(settle_s=0.3)
            ended_well(f"{name}-ledger", c, whole=False)
            dropped = c.terms["dropped by the kernel"] + c.terms["dropped in rings"] + c.terms["no room to hand over"]
            case(c.ledger["frames"] == sent == 60000 and 10000 < dropped < 50000, f"{name}-drops", f"{c.ledger['frames']} frames of {sent}, {dropped} dropped")
            recorded = sum(f["packet_tx"] for f in c.flows if f["protocol"] == "UDP")
            case(recorded == sent - dropped - c.terms["left out under pressure"] == c.terms["on flows"], f"{name}-records", f"{recorded} in records, {dropped} dropped of {sent}; {c.terms}")
    remove(client, server)


def syn_frame(n):
    """An opening of a connection that nobody goes on with; its flow depends on the number."""
    at = [int(x) for x in address(2).split(".")]
    tcp = struct.pack("!HHIIBBHHH", 1024 + n % 60000, 80, n, 0, 0x50, 2, 1000, 0, 0)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, n & 0xffff, 0, 64, 6, 0, struct.pack("!I", 0xac100000 + n // 60000), bytes(at))
    words = sum(struct.unpack("!10H", ip))
    words = (words & 0xffff) + (words >> 16)
    ip = ip[:10] + struct.pack("!H", ~((words & 0xffff) + (words >> 16)) & 0xffff) + ip[12:]
    return b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0" + ip + tcp


def syn_flood():
    """Half-open connections by the hundred thousand leave before one that is open and known."""
    client, server = wire()
    server_end = Responder(server, address(2))
    with capture(server, "-i", "s0", "-o", "max_memory=16", "-o", "live.shed_lag=0", "-o", "static_config.flow.opening-timeout=1h", nics=["s0"]) as c:
        case(c.ready, "flood-starts", c.err)
        pause, went_on = threading.Event(), []

        def established(first):
            went_on.append(http_talk(client, address(2), 20, 80, first, pause=pause, at=10))

        talkers = [threading.Thread(target=established, args=(i,)) for i in range(8)]
        for t in talkers:
            t.start()
        time.sleep(1.0)
        frames = [syn_frame(i) for i in range(80_000)]
        sent = client.call(send_frames, "c0", frames, 1000, 0.01 * SLOW)
        pause.set()
        for t in talkers:
            t.join(30)
        c.stop(settle_s=0.3)
        ended_well("flood-ledger", c)
        evicted = c.ledger["limits"]["flows left early, no room"]
        case(evicted > 0 and sent == len(frames), "flood-fills-the-table", f"{evicted} evicted")
        flows_agree("flood-spares-open-connections", [f for f in c.flows if f.get("client_ip") == address(1) and f["protocol"] == "TCP"], went_on, close_type="tcp_fin")
        all_sessions("flood-sessions", c.requests, went_on)
        case(sum(f.get("syn_count", 0) for f in c.flows) == sent - c.terms["dropped by the kernel"] - c.terms["no memory for a flow"] - c.terms["left out under pressure"] + len(went_on),
             "flood-each-syn-once", c.terms)
    server_end.close()
    remove(client, server)


def hot_plug():
    """A NIC that comes, goes and comes back; one in another namespace, which is removed."""
    host, other = Stage("host"), Stage("peer")
    with capture(host, "-o", "tap_interface_regex=^up", "-o", f"extra_netns_regex={host.name[:-4]}late$", "--workers", "2") as c:
        case(c.ready and c.said("no NIC is picked"), "plug-starts-without-a-nic", c.err)
        talks, counted = [], 0
        for time_ in (1, 2, 3):
            at = len(c.lines)
            pair(host, "up0", other, "o0", address(1), address(2))
            case(c.said("captures on up0", since=at), f"plug-{time_}", c.err)
            before = host.packets("up0")
            end = Responder(other, address(2))
            talks += together(*((http_talk, host, address(2), 30, 80, 100 * time_ + i) for i in range(2)))
            end.close()
            time.sleep(0.1)
            counted += host.packets("up0") - before
            at = len(c.lines)
            host.ip("link del up0")
            case(c.said("captures on up0 no more", since=at), f"unplug-{time_}", c.err)
        at, late = len(c.lines), Stage("late")
        pair(late, "up1", other, "o1", address(3), address(4))
        case(c.said(f"captures on {late.name}/up1", since=at), "plug-in-a-namespace", c.err)
        before = late.packets("up1")
        end = Responder(other, address(4))
        talks.append(http_talk(late, address(4), 30, 80, 1000))
        end.close()
        time.sleep(0.1)
        counted += late.packets("up1") - before
        at = len(c.lines)
        late.remove()
        os.close(late.fd)
        case(c.said("captures on", since=at) and c.said("no more", since=at), "namespace-gone", c.err)
        case(c.process.poll() is None, "plug-goes-on", c.err)
        c.stop()
        ended_well("plug-ledger", c)
        case(0 <= c.ledger["frames"] - counted <= 8, "plug-frames", f"{c.ledger['frames']} frames, the NICs counted {counted} (ARP as they come apart)")
        flows_agree("plug-flows", [f for f in c.flows if f["protocol"] == "TCP"], talks)
        all_sessions("plug-sessions", c.requests, talks)
    remove(host, other)


def down_and_up():
    client, server = wire()
    with Servers(server, address(2), ("nginx",)) as servers, capture(server, "-i", "s0", "--workers", "2", nics=["s0"]) as c:
        case(c.ready, "down-starts", c.err)
        talks = []
        for i in range(3):
            talks += together(*((http_talk, client, address(2), 20, 80, 100 * i + k) for k in range(3)))
            if i < 2:
                server.ip("link set s0 down")
                time.sleep(0.3 + i)  # also longer than it takes to notice
                server.ip("link set s0 up")
                time.sleep(0.1)
        c.stop(settle_s=0.1)
        ended_well("down-ledger", c)
        flows_agree("down-flows", [f for f in c.flows if f["protocol"] == "TCP"], talks)
        http_agrees("down-nginx", c.requests, servers.logged())
    remove(client, server)


def reload_():
    """SIGHUP under load: what can change does, what cannot is refused by its name, and no packet is lost by either."""
    client, server = wire()
    pair(client, "c1", server, "extra0", None, None)
    client.ip(f"addr add {address(101)}/32 dev c1")
    file = tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False)
    base = "tap_interface_regex: '^s0$'\nworkers: 2\nlive:\n  shed_lag: 20\n"

    def write(text):
        with open(file.name, "w", encoding="utf-8") as f:
            f.write(text)

    write(base)
    with Servers(server, address(2), ("nginx",)) as servers, capture(server, "-C", file.name, nics=["s0"]) as c:
        case(c.ready, "reload-starts", c.err)
        load = Load(client, address(2))
        load.more()

        def again(name, text, *wanted):
            at = len(c.lines)
            write(text)
            c.process.send_signal(signal.SIGHUP)
            case(all(c.said(w, since=at) for w in wanted), f"reload-{name}", " | ".join(c.lines[at:]) or "it says nothing")
            load.more()

        owners = f"tap:\n  owners: ['{address(1)} = far/first']\n"
        again("owners", base + owners, "reloaded: 1 option changed")
        time.sleep(1)
        again("shed-lag", base.replace("20", "30") + owners, "reloaded: 1 option changed")
        again("back", base + owners, "reloaded: 1 option changed")
        again("a-nic-more", base.replace("^s0$", "^(s0|extra0)$") + owners, "captures on extra0", "reloaded: 1 option changed")
        again("a-nic-less", base + owners, "captures on extra0 no more", "reloaded: 1 option changed")
        again("nothing", base + owners, "reloaded: 0 options changed")
        again("filter", base + owners + "capture_bpf: tcp\n", "reload refused: capture_bpf", "reload refused as a whole")
        again("workers", base.replace("workers: 2", "workers: 3") + owners, "reload refused: workers", "reload refused as a whole")
        again("both", base.replace("workers: 2", "workers: 3"), "reload refused: workers", "reload refused as a whole")
        again("wrong-file", base + "tap_interface_regex: eth(0\n", "reload refused: the configuration is wrong")
        again("no-yaml", "{[", "reload refused: the configuration is wrong")
        os.unlink(file.name)
        at = len(c.lines)
        c.process.send_signal(signal.SIGHUP)
        case(c.said("reload refused: the configuration is wrong", since=at), "reload-file-gone", " | ".join(c.lines[at:]))
        talks = load.stop()
        c.stop(settle_s=0.1)
        ended_well("reload-ledger", c)
        case(not load.failed and len(talks) > 20, "reload-load", f"{len(talks)} connections {load.failed}")
        flows_agree("reload-flows", [f for f in c.flows if f["protocol"] == "TCP"], talks)
        http_agrees("reload-nginx", c.requests, servers.logged())
        # each worker takes it over when it next looks for it
        pods = sorted((nanoseconds(f["start_time"]), f.get("client_pod")) for f in c.flows if f["protocol"] == "TCP")
        first = min([at for at, pod in pods if pod == "first"], default=0)
        late = {pod for at, pod in pods if first and at > first + 10**9 // 2}
        case(pods[0][1] == client.name and late == {"first"}, "reload-owners-take-effect", f"{pods[0]} {first} {late}")
        case(c.note("RELOADING=1", 0) and c.note("STOPPING=1", 1), "reload-is-notified", c.told)
    remove(client, server)


def end_under_load():
    """SIGTERM, SIGINT and kill -9 while requests go on."""
    client, server = wire()
    with Servers(server, address(2), ("nginx",)):
        load = Load(client, address(2), 3)
        with capture(server, "-i", "s0") as killed:
            load.more()
            killed.process.kill()
            killed.wait()
            case(killed.code == -9, "kill", killed.code)
        for workers, number in ((1, signal.SIGTERM), (2, signal.SIGTERM), (2, signal.SIGINT)):
            with capture(server, "-i", "s0", "--workers", str(workers), nics=["s0"]) as c:
                name = f"end-{workers}-workers-by-{number}"
                case(c.ready, f"{name}-starts", c.err)
                at = load.requests()
                load.more(200)
                done = load.requests() - at
                c.stop(number)
                ended_well(f"{name}-ledger", c)
                whole = sum(r["type"] == "session" for r in c.requests)
                # connections that were open in the beginning and in the end count in part
                case(whole >= done - 4 * 25, f"{name}-records", f"{whole} sessions of {done} requests and more")
                case(c.note("STOPPING=1", 1), f"{name}-notified", c.told)
        load.stop()
        case(not load.failed, "end-load", load.failed)
    remove(client, server)


def reader_goes():
    """Standard output into `head -1`."""
    client, server = wire()
    end = Responder(server, address(2))
    with capture(server, "-i", "s0", "--format", "ndjson", stdout=subprocess.PIPE, output=False) as c:
        case(c.ready, "head-starts", c.err)
        http_talk(client, address(2), 50)
        first = json.loads(c.process.stdout.readline())
        c.process.stdout.close()
        case(first["record"] == "request", "head-first-record", first)
        load = Load(client, address(2), 1)
        code = c.wait(10 * SLOW)
        case(code in (-signal.SIGPIPE, 0), "head-ends", f"exit {code} {c.err}")
        load.stop()
    end.close()
    remove(client, server)


def output_stands_still():
    """A pipe that nobody reads: records are lost and counted, packets are not, and the end comes in time all the same."""
    client, server = wire()
    end = Responder(server, address(2))
    read, write = os.pipe()
    with capture(server, "-i", "s0", "--format", "ndjson", "-o", "live.record_memory=1", "-o", "max_memory=64", stdout=write, output=False, nics=["s0"]) as c:
        os.close(write)
        case(c.ready, "still-starts", c.err)
        talks = together(*((http_talk, client, address(2), 1500, 80, 1500 * i) for i in range(4)))
        c.stop(settle_s=0.1)
        g = c.ledger
        before, ready, stop, after = c.counted
        case(c.seconds < END_S, "still-ends-in-time", f"{c.seconds:.1f} s")
        case(g and g["remainder"] == 0 and stop - ready <= g["frames"] <= after - before and not c.terms["dropped by the kernel"], "still-loses-no-packet", f"exit {c.code} {g} {c.counted} {c.err}")
        made = g["records"]["request"]
        case(made == sum(t.requests for t in talks), "still-makes-all-records", f"{made} of {sum(t.requests for t in talks)}")
        os.set_blocking(read, False)
        there = os.read(read, 1 << 20).count(b"\n")
        counted = sum(g["records_lost"].values()) + g["records_unwritten"]
        case(g["records_lost"]["request"] > 0 and sum(g["records"].values()) == there + counted, "still-counts-lost-records",
             f"{g['records']}, {there} in the pipe, lost {g['records_lost']}, unwritten {g['records_unwritten']}")
    os.close(read)
    end.close()
    remove(client, server)


def disk_full():
    """A file system that is too small: what cannot be written is counted, each line that is there is whole, and when there is room again it goes on."""
    client, server = wire()
    end = Responder(server, address(2))
    folder = tempfile.mkdtemp(prefix="tapscope-small-")
    sh(["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder])
    try:
        with capture(server, "-i", "s0", output=folder, nics=["s0"]) as c:
            case(c.ready, "full-starts", c.err)
            talks = together(*((http_talk, client, address(2), 500, 80, 500 * i) for i in range(4)))
            case(c.said("an output cannot be written"), "full-is-told", c.err)
            case(c.process.poll() is None, "full-goes-on", c.err)
            sh(["mount", "-o", "remount,size=64m", folder])
            time.sleep(0.5)
            after = [http_talk(client, address(2), 50, 80, 5000)]
            c.stop(settle_s=0.1)
            g, (before, ready, stop, last) = c.ledger, c.counted
            case(c.seconds < END_S and c.code == 0, "full-ends-well", f"exit {c.code} after {c.seconds:.1f} s {c.err}")
            case(g["remainder"] == 0 and stop - ready <= g["frames"] <= last - before, "full-loses-no-packet", f"{g} {c.counted}")
            made, there = sum(g["records"].values()), len(c.flows) + len(c.requests)
            case(g["records_unwritten"] > 0 and made == there + g["records_unwritten"] + sum(g["records_lost"].values()), "full-counts-what-is-lost",
                 f"{made} made, {there} there, {g['records_unwritten']} unwritten, {g['records_lost']} lost")
            case(sum(r["client_port"] == after[0].port for r in c.requests) == 50, "full-goes-on-when-there-is-room", len(c.requests))
            case(g["records"]["request"] == sum(t.requests for t in talks + after), "full-makes-all-records", g["records"])
    finally:
        sh(["umount", "-l", folder], check=False)
        os.rmdir(folder)
    end.close()
    remove(client, server)


KEPT = {"net_raw": 13, "net_admin": 12, "bpf": 39, "perfmon": 38, "sys_admin": 21, "sys_ptrace": 19, "ipc_lock": 14, "dac_read_search": 2}


def rights(pid):
    """Of each thread: (effective and permitted capabilities, no_new_privs)."""
    found = set()
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="utf-8") as f:
            status = dict(line.split() for line in f if line.startswith(("Cap", "NoNewPrivs")))
        found.add((int(status["CapEff:"], 16), int(status["CapPrm:"], 16), status["NoNewPrivs:"]))
    return found


def privileges():
    """Drops what it does not need; works without root by file capabilities."""
    client, server = wire()
    end = Responder(server, address(2))
    with capture(server, "-i", "s0", "--workers", "2", listen="127.0.0.1:9555") as c:
        case(c.ready, "root-starts", c.err)
        kept = sum(1 << bit for bit in KEPT.values())
        have = rights(c.process.pid)
        case(all(e & ~kept == p & ~kept == 0 and n == "1" for e, p, n in have), "root-drops-in-every-thread", [(hex(e), hex(p), n) for e, p, n in have])
        talks = [http_talk(client, address(2))]
        c.stop(settle_s=0.1)
        all_sessions("root-captures", c.requests, talks)
    folder = tempfile.mkdtemp(prefix="tapscope-caps-")
    os.chmod(folder, 0o755)
    program = os.path.join(folder, "tapscope")
    shutil.copy(TAPSCOPE, program)
    few = ("net_raw", "net_admin", "bpf", "perfmon")
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    try:
        sh(["setcap", ",".join("cap_" + n for n in few) + "=ep", program])
        for workers in (1, 2):
            with Capture(program, server, "-i", "s0", "--workers", str(workers), prefix=nobody) as c:
                name = f"nobody-{workers}-workers"
                if not case(c.ready, f"{name}-starts", c.err):
                    c.wait(5)
                    continue
                have = rights(c.process.pid)
                allowed = sum(1 << KEPT[n] for n in few)
                case(all(e & ~allowed == 0 and n == "1" for e, _, n in have), f"{name}-drops", [(hex(e), hex(p), n) for e, p, n in have])
                talks = [http_talk(client, address(2), 20, 80, i) for i in range(3)]
                c.stop(settle_s=0.1)
                ended_well(f"{name}-ledger", c)
                flows_agree(f"{name}-flows", [f for f in c.flows if f["protocol"] == "TCP"], talks)
        sh(["setcap", "-r", program])
        with Capture(program, server, "-i", "s0", prefix=nobody, ready_s=10) as c:
            case(not c.ready and c.wait(10) == 3 and "CAP_NET_RAW" in c.err, "nobody-without-capabilities", f"{c.process.returncode} {c.err}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    end.close()
    remove(client, server)


def service_manager():
    """READY=1 when it captures, WATCHDOG=1 as long as every thread advances, STOPPING=1."""
    client, server = wire()
    with capture(server, "-i", "s0", env={"WATCHDOG_USEC": "2000000"}) as c:
        case(c.ready and c.told[0].startswith("READY=1"), "notify-ready", c.told)
        at = len(c.told)
        case(c.note("WATCHDOG=1", 5 * SLOW, at), "notify-watchdog", c.told)
        at = len(c.told)
        case(c.note("WATCHDOG=1", 5 * SLOW, at), "notify-watchdog-again", c.told)
        c.stop()
        case(c.note("STOPPING=1", 1) and c.code == 0, "notify-stopping", c.told)
    remove(client, server)


PARTS = {"overload": overload, "flood": syn_flood, "plug": hot_plug, "down": down_and_up, "reload": reload_, "end": end_under_load, "head": reader_goes, "still": output_stands_still, "full": disk_full,
         "privileges": privileges, "notify": service_manager}


def main():
    reason = missing()
    if reason:
        skip("run-faults", reason)
        finish()
    remove_leftovers()
    for name, part in PARTS.items():
        if len(sys.argv) < 3 or name in sys.argv[2:]:
            began = time.monotonic()
            try:
                part()
            except Exception as e:  # whatever it is, the others run
                case(False, name, f"{type(e).__name__}: {e}")
                remove_all()
            print(f"# {name}: {time.monotonic() - began:.1f} s", flush=True)
    finish()


if __name__ == "__main__":
    main()
