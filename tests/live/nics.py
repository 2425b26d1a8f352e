#!/usr/bin/env python3
"""NICs, namespaces and owners of addresses as they come, change and go, against what this script does to them.

    nics.py TAPSCOPE

`tapscope interfaces --follow` runs in a namespace that stands for the host. What is expected is what was done with ip(8),
and what ip(8) itself tells.
"""
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import nets
from nets import PREFIX, Namespace, missing, remove_leftovers, sh
from common import ENVIRONMENT, case, finish, skip

TAPSCOPE = sys.argv[1]
NAME = f"{PREFIX}{os.getpid()}"
SOON = 5.0  # by notification; a notice that comes by the timer of an hour is a failure


class Follower:
    """`tapscope interfaces --follow` inside a namespace; its lines as they come."""

    def __init__(self, host, *options):
        self.lines, self.more = [], threading.Condition()
        self.process = subprocess.Popen([TAPSCOPE, "interfaces", "--follow", "--format", "ndjson", *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, preexec_fn=host.enter)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            with self.more:
                self.lines.append(json.loads(line))
                self.more.notify_all()

    def mark(self):
        with self.more:
            return len(self.lines)

    def wait(self, since=0, timeout=SOON, **wanted):
        """The first line after `since` with these values (or for which a function holds); None where none comes in time."""
        deadline = time.monotonic() + timeout
        with self.more:
            while True:
                for line in self.lines[since:]:
                    if all(value(line.get(name)) if callable(value) else line.get(name) == value for name, value in wanted.items()):
                        return line
                left = deadline - time.monotonic()
                if left <= 0 or not self.more.wait(left):
                    return None

    def since(self, mark):
        with self.more:
            return self.lines[mark:]

    def stop(self):
        """Exit status and standard error."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.thread.join(5)
        return status, self.process.stderr.read()


def follow(host, *settings, options=()):
    f = Follower(host, *options, *(w for s in settings for w in ("-o", s)))
    f.wait(timeout=20)  # the first line: all that there is comes with it
    time.sleep(0.2)
    return f


def listed(host, *options, prefix=(), code=0):
    """One `tapscope interfaces` in a namespace: its objects, and standard error."""
    done = subprocess.run([*prefix, TAPSCOPE, "interfaces", "--format", "ndjson", *options], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env=ENVIRONMENT, preexec_fn=host.enter, timeout=30)
    if done.returncode != code:
        raise OSError(f"interfaces {options}: exit {done.returncode}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def inode(n):
    return os.stat(n.path).st_ino


def mac_of(n, nic):
    return json.loads(n.ip(f"-j link show {nic}"))[0]["address"]


def hot_plug(host):
    f = follow(host, "tap_interface_regex=^up", "tap.learn_owners=false", "tap.rescan_interval=3600")
    at = f.mark()
    host.ip("link add up0 type veth peer name other0")
    added = f.wait(at, event="added", nic="up0")
    case(added and added["id"] and not added["up"] and added["mac"] == mac_of(host, "up0") and added["kind"] == "veth", "plug", f.since(at))
    at = f.mark()
    host.ip("link set other0 up")
    host.ip("link set up0 up")
    case(f.wait(at, event="changed", nic="up0", up=True, running=True), "up", f.since(at))
    at = f.mark()
    host.ip("link set up0 down")
    case(f.wait(at, event="changed", nic="up0", up=False), "down", f.since(at))
    at = f.mark()
    host.ip("link set up0 up")
    case(f.wait(at, event="changed", nic="up0", up=True), "up-again", f.since(at))
    at = f.mark()
    host.ip("link set other0 down")
    case(f.wait(at, event="changed", nic="up0", up=True, running=False), "no-carrier", f.since(at))

    at = f.mark()
    host.ip("addr add 10.1.0.1/24 dev up0")
    host.ip("addr add 10.1.2.2/24 dev up0")
    case(f.wait(at, event="changed", nic="up0", addresses=lambda a: set(a) == {"10.1.0.1", "10.1.2.2"}), "address", f.since(at))
    at = f.mark()
    host.ip("addr del 10.1.0.1/24 dev up0")
    case(f.wait(at, event="changed", nic="up0", addresses=["10.1.2.2"]), "address-gone", f.since(at))
    at = f.mark()
    host.ip("link set up0 address 02:00:00:00:77:01")
    case(f.wait(at, event="changed", nic="up0", mac="02:00:00:00:77:01"), "mac", f.since(at))

    host.ip("link set up0 down")
    at = f.mark()
    host.ip("link set up0 name up1")
    renamed = f.wait(at, event="changed", nic="up1")
    case(renamed and renamed["id"] == added["id"], "rename-within-the-pattern", f.since(at))
    at = f.mark()
    host.ip("link set up1 name away")
    case(f.wait(at, event="removed", id=added["id"]), "rename-out-of-it", f.since(at))
    at = f.mark()
    host.ip("link set away name up0")
    back = f.wait(at, event="added", nic="up0")
    case(back and back["id"] == added["id"] and back["ifindex"] == added["ifindex"], "rename-back-is-the-same-nic", f.since(at))
    at = f.mark()
    host.ip("link del up0")
    case(f.wait(at, event="removed", nic="up0"), "unplug", f.since(at))
    at = f.mark()
    host.ip("link add up0 type veth peer name other0")
    new = f.wait(at, event="added", nic="up0")
    case(new and new["id"] != added["id"], "the-next-of-that-name-is-another", f.since(at))

    at, other = f.mark(), Namespace("away")
    host.ip(f"link set up0 netns {other.name}")
    case(f.wait(at, event="removed", id=new and new["id"]), "moved-away", f.since(at))
    host.ip("link del other0")
    other.remove()
    status, err = f.stop()
    case(status == 0 and not err, "hot-plug-ends-well", f"exit {status} {err}")


def namespaces(host):
    """With an hour between two looks at processes: what is seen at once is seen by notification."""
    f = follow(host, "tap_interface_regex=^eth", f"extra_netns_regex=^{NAME}pod", "tap.rescan_interval=3600")
    at = f.mark()
    pod = Namespace("pod1")
    host.ip(f"link add cali1 type veth peer name eth0 netns {pod.name}")
    pod.ip("addr add 10.2.0.1/32 dev eth0")
    seen = f.wait(at, event=lambda e: e in ("added", "changed"), nic="eth0", netns=pod.name, addresses=["10.2.0.1"])
    case(seen and seen["netns_inode"] == inode(pod) and seen["pod_nic"], "namespace-added", f.since(at))
    at = f.mark()
    other = Namespace("other")
    other.ip("link add eth0 type veth peer name eth1")
    case(not f.wait(at, timeout=1.0, netns=other.name), "namespace-not-selected", f.since(at))
    # the host's end of the pair is the pod's NIC, and of no other
    nics = {n["nic"]: n for n in listed(host, "-o", "tap_interface_regex=^(cali|lo)")[0] if not n.get("netns")}
    case(nics["cali1"].get("pod_netns") == inode(pod) and "pod_nic" not in nics["lo"], "pair", nics)
    decoys(host)
    at = f.mark()
    sh(["ip", "netns", "del", pod.name])
    gone = f.wait(at, event="removed", nic="eth0", netns=pod.name)
    case(gone, "namespace-removed", f.since(at))
    # it was not kept alive: its end of the pair has gone, so the host's has, too
    deadline = time.monotonic() + SOON
    while "cali1" in host.ip("link show") and time.monotonic() < deadline:
        time.sleep(0.02)
    case("cali1" not in host.ip("link show"), "namespace-freed", host.ip("link show"))
    other.remove()
    # many at once
    at, many = f.mark(), [Namespace(f"pod{i}") for i in range(20, 40)]
    for n in many:
        n.ip("link add eth0 type veth peer name peer0")
    good = all(f.wait(at, timeout=20, event="added", nic="eth0", netns=n.name) for n in many)
    case(good, "namespaces-many", len(f.since(at)))
    for n in many:
        n.remove()
    good = all(f.wait(at, timeout=20, event="removed", nic="eth0", netns=n.name) for n in many)
    case(good, "namespaces-many-removed", len(f.since(at)))
    status, err = f.stop()
    case(status == 0, "namespaces-end-well", f"exit {status} {err}")


def decoys(host):
    """Two pods with equal numbers inside, and a third namespace with a pair that has the numbers of the second's, but leads
    elsewhere: each of the host's ends finds its own pod."""
    decoy, elsewhere, pods = Namespace("decoy"), Namespace("elsewhere"), [Namespace("twin1"), Namespace("twin2")]
    for i, pod in enumerate(pods, 1):
        host.ip(f"link add twin{i} index {1000 + i} type veth peer name eth0 index 7 netns {pod.name}")
    host.ip(f"link add twin3 index 1003 type veth peer name eth1 index 8 netns {decoy.name}")
    elsewhere.ip(f"link add end index 1002 type veth peer name eth0 index 7 netns {decoy.name}")
    found = {n["nic"]: n.get("pod_netns") for n in listed(host, "-o", "tap_interface_regex=^twin")[0] if n["picked"]}
    case(found == {"twin1": inode(pods[0]), "twin2": inode(pods[1]), "twin3": inode(decoy)}, "pairs-with-equal-numbers", f"{found} {inode(decoy)}")
    for n in (decoy, elsewhere, *pods):
        n.remove()


class Container:
    """A process in a network namespace without a name, and with a host name of its own."""

    def __init__(self, host_name):
        self.process = subprocess.Popen(["unshare", "--net", "--uts", "sh", "-c", f"hostname {host_name}; exec sleep 300"], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while open(f"/proc/{self.process.pid}/comm", encoding="utf-8").read() != "sleep\n" and time.monotonic() < deadline:
            time.sleep(0.01)
        self.inode = os.stat(f"/proc/{self.process.pid}/ns/net").st_ino

    def ip(self, command):
        return sh(["nsenter", f"--net=/proc/{self.process.pid}/ns/net", "ip", *command.split()])

    def remove(self):
        self.process.kill()
        self.process.wait()


def processes(host):
    f = follow(host, "tap_interface_regex=^veth", f"extra_netns_regex=^{NAME}-web", "tap.rescan_interval=1")
    at = f.mark()
    c = Container(f"{NAME}-web")
    try:
        # the container's end is moved in by its pid, as runtimes do
        host.ip(f"link add cont0 type veth peer name veth0 netns {c.process.pid}")
        c.ip("addr add 10.3.0.1/24 dev veth0")
        seen = f.wait(at, event=lambda e: e in ("added", "changed"), nic="veth0", addresses=lambda a: "10.3.0.1" in a)
        case(seen and seen["netns"] == f"{NAME}-web" and seen["netns_inode"] == c.inode, "container", f.since(at))
        owners = [o for o in listed(host, "--owners")[0] if o["address"] == "10.3.0.1"]
        case([o.get("pod") for o in owners] == [f"{NAME}-web"], "container-is-the-owner", owners)
        at = f.mark()
    finally:
        c.remove()
    case(f.wait(at, event="removed", nic="veth0"), "container-gone", f.since(at))
    deadline = time.monotonic() + SOON
    while "cont0" in host.ip("link show") and time.monotonic() < deadline:
        time.sleep(0.02)
    case("cont0" not in host.ip("link show"), "container-freed", host.ip("link show"))
    status, err = f.stop()
    case(status == 0, "processes-end-well", f"exit {status} {err}")


def macvlan(host):
    """Pods' MACs and addresses with their names, and an address that moves to another pod."""
    host.ip("link add parent0 type veth peer name wire0")
    host.ip("link set parent0 up")
    f = follow(host, "tap_mode=1", "static_config.src-interfaces=[parent0]", "tap.rescan_interval=3600", options=("--owners",))
    at, pods = f.mark(), []
    for i in (1, 2):
        pod = Namespace(f"cart{i}")
        pods.append(pod)
        host.ip(f"link add link parent0 name mv{i} type macvlan mode bridge")
        host.ip(f"link set mv{i} netns {pod.name} name eth0")
        pod.ip("link set eth0 up")
        pod.ip(f"addr add 10.4.0.{i}/24 dev eth0")
    for i, pod in enumerate(pods, 1):
        mac = f.wait(at, address=mac_of(pod, "eth0"), netns_inode=inode(pod), until=None)
        ip = f.wait(at, address=f"10.4.0.{i}", netns_inode=inode(pod), until=None)
        case(mac and ip and mac["pod"] == ip["pod"] == pod.name, f"macvlan-pod-{i}", f.since(at))
    # the address moves, with a moment between
    at = f.mark()
    before = time.time_ns()
    pods[0].ip("addr del 10.4.0.1/24 dev eth0")
    ended = f.wait(at, address="10.4.0.1", netns_inode=inode(pods[0]), until=lambda u: u is not None)
    case(ended, "address-left", f.since(at))
    at = f.mark()
    pods[1].ip("addr add 10.4.0.1/24 dev eth0")
    moved = f.wait(at, address="10.4.0.1", netns_inode=inode(pods[1]), until=None)
    case(moved and moved["pod"] == pods[1].name and ended and ended["until"] <= moved["since"], "address-moved", f.since(at))
    stamp = nanoseconds(ended["until"]) if ended else 0
    case(before <= stamp <= time.time_ns(), "address-left-when", f"{before} {stamp}")
    at = f.mark()
    pod_inode, pod_mac = inode(pods[0]), mac_of(pods[0], "eth0")
    pods[0].remove()
    case(f.wait(at, address=pod_mac, netns_inode=pod_inode, until=lambda u: u is not None), "pod-gone", f.since(at))
    status, err = f.stop()
    case(status == 0, "macvlan-ends-well", f"exit {status} {err}")
    # names from the configuration go before those learned, by the MAC alone
    configured = f"tap.owners=['{mac_of(pods[1], 'eth0')} = shop/cart-7d9f (Deployment/cart)']"
    owners = {o["address"]: o for o in listed(host, "--owners", "-o", configured, "-o", "tap_interface_regex=parent")[0]}
    named = owners["10.4.0.2"]
    case((named["pod"], named["pod_ns"], named["workload"]) == ("cart-7d9f", "shop", "Deployment/cart"), "owners-configured", named)
    # the parent alone is picked; nothing is learned where that is not wanted, or where there is no local end
    for mode, learn, nics in ((1, "true", ["parent0"]), (1, "false", ["parent0"]), (2, "true", ["parent0"])):
        settings = ("-o", f"tap_mode={mode}", "-o", "static_config.src-interfaces=[parent0]", "-o", f"tap.learn_owners={learn}")
        picked = [n["nic"] for n in listed(host, "--picked", *settings)[0]]
        learned = any(o["address"] == "10.4.0.2" for o in listed(host, "--owners", *settings)[0])
        case(picked == nics and learned == (mode == 1 and learn == "true"), f"mode-{mode}-learn-{learn}", f"{picked} {learned}")
    pods[1].remove()
    host.ip("link del parent0")


def nanoseconds(text):
    m = re.fullmatch(r"(\S+)\.(\d{9})Z", text)
    return int(time.mktime(time.strptime(m[1] + " UTC", "%Y-%m-%dT%H:%M:%S %Z")) - time.timezone) * 10**9 + int(m[2])


def overflow(host):
    """More changes than the socket's buffer takes while nobody reads: all is listed again."""
    f = follow(host, "tap_interface_regex=^fl", "tap.learn_owners=false")
    host.ip("link add fl0 type veth peer name peer0")
    host.ip("link add gone0 type veth peer name gone1")
    host.ip("link set gone0 name fl1")
    if not case(f.wait(event="added", nic="fl0") and f.wait(event="added", nic="fl1"), "overflow-start", f.since(0)):
        f.stop()
        return
    at = f.mark()
    f.process.send_signal(signal.SIGSTOP)
    steps = ["link set fl0 up", "link set fl0 down"] * 1500 + ["link del fl1", "addr add 10.5.0.1/24 dev fl0", "link set fl0 up", "link add fl2 type veth peer name peer2"]
    done = subprocess.run(["ip", "-n", host.name, "-batch", "-"], input="\n".join(steps) + "\n", text=True, capture_output=True, timeout=120, check=False)
    drops = sum(int(line.split()[8]) for line in host.run("cat /proc/net/netlink").splitlines()[1:] if line.split()[1] == "0")
    f.process.send_signal(signal.SIGCONT)
    case(done.returncode == 0 and drops > 0, "overflow-changes-were-dropped", f"{drops} dropped {done.stderr[:200]}")
    case(f.wait(at, event="changed", nic="fl0", up=True, addresses=["10.5.0.1"]), "overflow-last-state", f.since(at)[-5:])
    case(f.wait(at, event="removed", nic="fl1") and f.wait(at, event="added", nic="fl2"), "overflow-come-and-gone", f.since(at)[-5:])
    status, err = f.stop()
    case(status == 0, "overflow-ends-well", f"exit {status} {err}")
    for nic in ("fl0", "fl2"):
        host.ip(f"link del {nic}")


def without_privileges(host):
    """What the kernel lets anybody see is still seen, and what is missing is said."""
    pod = Namespace("dark")
    host.ip(f"link add dark0 type veth peer name eth0 netns {pod.name}")
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--no-new-privs")
    nics, err = listed(host, "-o", "tap_interface_regex=^dark", prefix=nobody)
    names = {n["nic"]: n for n in nics}
    case(names["dark0"]["picked"] and names["dark0"]["pod_nic"] and "pod_netns" not in names["dark0"] and not any(n.get("netns") for n in nics), "unprivileged", nics)
    case("CAP_SYS_ADMIN" in err, "unprivileged-is-told", err)
    pod.remove()


def refusals(host):
    for option, value, wanted in (("tap_interface_regex", "a(", "at character 3"), ("extra_netns_regex", "'*'", "at character 1"),
                                  ("tap.types", "[vlan 4096 = x]", "0 to 4095"), ("tap.owners", "[10.0.0.1 = ]", "a name is expected")):
        done = subprocess.run([TAPSCOPE, "interfaces", "-o", f"{option}={value}"], capture_output=True, text=True, env=ENVIRONMENT, timeout=20, check=False)
        case(done.returncode == 2 and option in done.stderr and wanted in done.stderr and not done.stdout, f"refused-{option}", f"exit {done.returncode} {done.stderr}")
    config = "max_memory: 64\ntap_interface_regex: eth(0\nstatic_config:\n  src-interfaces: [eth0, a name of more than fifteen]\n"
    done = subprocess.run([TAPSCOPE, "interfaces", "-C", "-"], input=config, capture_output=True, text=True, env=ENVIRONMENT, timeout=20, check=False)
    case(done.returncode == 1 and ":2:22:" in done.stderr and ":4:26:" in done.stderr, "refused-in-a-file", f"exit {done.returncode} {done.stderr}")
    nics, err = listed(host, "-o", "tap_interface_regex=nosuch", code=1)
    case(nics and all(not n["picked"] for n in nics) and "picks no NIC" in err, "none-picked", err)
    nics, err = listed(host, "-i", "lo", "--picked")
    case([(n["nic"], n["why"]) for n in nics] == [("lo", "named on the command line")], "by-command-line", nics)


def main():
    reason = missing()
    if reason:
        skip("nics", reason)
        finish()
    remove_leftovers()
    host = Namespace("host")
    host.ip("link set lo up")
    for part in (hot_plug, namespaces, processes, macvlan, overflow, without_privileges, refusals):
        part(host)
    finish()


if __name__ == "__main__":
    main()
