#!/usr/bin/env python3
"""`tapscope doctor` on hosts that lack something: each lack is found, with its mend; and a host that lacks nothing is told so.

    doctor.py TAPSCOPE
"""
import json
import os
import shutil
import subprocess
import sys
import threading
import time

from nets import missing, remove_leftovers
from common import case, finish, skip
from run_common import Responder, Stage, address, http_talk, pair

TAPSCOPE = os.path.abspath(sys.argv[1])


def doctor(where, *options, prefix=(), during=None):
    """(exit status, findings) of a run in a namespace; `during` is called while it captures."""
    p = where.start(*prefix, TAPSCOPE, "doctor", "--format", "ndjson", *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if during:
        time.sleep(1.5)
        threading.Thread(target=during, daemon=True).start()
    out, err = p.communicate(timeout=60)
    try:
        return p.returncode, [json.loads(line) for line in out.splitlines()]
    except ValueError:
        return p.returncode, [{"finding": "unreadable", "subject": "", "what": out + err}]


def found(findings, kind, subject, *words):
    return any(f["finding"] == kind and f["subject"] == subject and all(w in f["what"] + f.get("mend", "") for w in words) for f in findings)


def told(findings):
    return [f for f in findings if f["finding"] != "ok"]


def mirror(where, nic, directions, to):
    """What passes the NIC in one of these directions is also sent out of `to`, as often as that direction is named."""
    where.run(f"tc qdisc add dev {nic} clsact")
    for n, d in enumerate(directions):
        where.run(f"tc filter add dev {nic} {d} protocol all pref {n + 1} u32 match u32 0 0 action mirred egress mirror dev {to} continue")


def host():
    a, b = Stage("a"), Stage("b")
    pair(a, "eth0", b, "eth0", address(1), address(2))
    status, all_of = doctor(a, "-i", "eth0")
    case(status == 0 and found(all_of, "ok", "privileges", "may capture") and found(all_of, "ok", "eth0", "up"), "doctor-well", told(all_of))
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all")
    copy = "/tmp/tapscope-doctor-copy"
    shutil.copy(TAPSCOPE, copy)
    os.chmod(copy, 0o755)
    p = a.start(*nobody, copy, "doctor", "--format", "ndjson", "-i", "eth0", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out = p.communicate(timeout=60)[0]
    os.unlink(copy)
    lacking = [json.loads(line) for line in out.splitlines()]
    case(p.returncode == 1 and found(lacking, "fault", "privileges", "CAP_NET_RAW", "setcap"), "doctor-no-privileges", lacking)
    status, all_of = doctor(a, "-i", "eth9")
    case(status == 1 and found(all_of, "fault", "NICs", "none is picked"), "doctor-no-nic", told(all_of))
    status, all_of = doctor(a, "-i", "eth0", "-o", "max_memory=1000000")
    case(found(all_of, "note", "memory", "lower max_memory"), "doctor-memory", told(all_of))
    status, all_of = doctor(a, "-i", "eth0", "-o", "workers=64")
    case(found(all_of, "note", "workers", "take turns"), "doctor-workers", told(all_of))
    a.run("ethtool -K eth0 gro on")
    status, all_of = doctor(a, "-i", "eth0")
    case(found(all_of, "note", "eth0", "GRO is on", "ethtool -K eth0 gro off"), "doctor-offload", told(all_of))
    a.ip("link set eth0 down")
    status, all_of = doctor(a, "-i", "eth0")
    case(status == 0 and found(all_of, "note", "eth0", "is down", "ip link set eth0 up"), "doctor-down", told(all_of))
    a.remove()
    b.remove()


def mirrors():
    """The same traffic through a good mirror, one of one direction, one that shows everything twice, and one that is too narrow."""
    for name, directions, narrow, kind, words in (
            ("whole", ("ingress", "egress"), False, "ok", ("both directions",)),
            ("one-way", ("ingress",), False, "note", ("in one direction only",)),
            ("twice", ("ingress", "egress", "ingress", "egress"), False, "note", ("more than once",)),
            ("narrow", ("ingress", "egress"), True, "note", ("never seen", "oversubscribed"))):
        client, server, box = Stage("cli"), Stage("srv"), Stage("box")
        pair(client, "eth0", server, "eth0", address(1), address(2))
        pair(server, "span", box, "mon0")
        mirror(server, "eth0", directions, "span")
        if narrow:
            server.run("tc qdisc add dev span root tbf rate 200kbit burst 3000 limit 4000")
        web = Responder(server, address(2))

        def traffic():
            for i in range(10):
                http_talk(client, address(2), 40, 80, 40 * i)

        status, all_of = doctor(box, "-i", "mon0", "-o", "tap_mode=2", "--seconds", "5", during=traffic)
        case(status == 0 and found(all_of, kind, "mirror", *words), f"doctor-mirror-{name}", [f for f in all_of if f["subject"] in ("mirror", "traffic")])
        if name == "whole":
            case(not [f for f in all_of if f["subject"] == "mirror" and f["finding"] != "ok"], "doctor-mirror-whole-no-complaint", told(all_of))
        web.close()
        for n in (client, server, box):
            n.remove()


def main():
    reason = missing()
    if reason:
        skip("doctor", reason)
        finish()
    remove_leftovers()
    host()
    mirrors()
    finish()


if __name__ == "__main__":
    main()
