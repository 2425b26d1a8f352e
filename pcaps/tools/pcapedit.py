#!/usr/bin/env python3
"""Makes captures of captures: what a recording on one wire cannot show. Standard library only.

    pcapedit.py [-o FORMAT] IN OUT EDIT...

FORMAT: us (default), ns, big (big-endian), modified, pcapng, pcapng-big, pcapng-ns. OUT is gzipped where it ends with .gz.
Edits, done in order:
    drop:SEED:PERMILLE    capture loss: forgets frames that carry TCP payload
    cut:N                 forgets the first N frames          keep:N      keeps the first N frames
    snap:N                cuts frames to N bytes
    stretch:OVER:TO       every silence longer than OVER seconds becomes TO seconds
    shift:SECONDS         moves all times
    back:N:SECONDS        the clock steps back at frame N
    swap:SEED:PERMILLE    exchanges neighbours of one direction: out of order
    twice:SEED:PERMILLE   sends TCP payload again 2 ms later: retransmissions that the receiver did not need
    tagged:ID:NS          each frame once more, NS later at another interface, with a VLAN tag (to pcapng)
    noid                  the identification of every IPv4 packet becomes 0
    seq:N                 adds N to all TCP sequence numbers of both directions (they wrap)
    vlan:ID[,ID...]       tags, outermost first; 0x8100 innermost, 0x88a8 outside
    mpls:LABEL[,LABEL]    MPLS labels                         pppoe       PPPoE session
    gre | gre6 | ipip | 6in4 | vxlan:VNI | geneve:VNI | geneve-ip:VNI | nvgre:VSID | erspan1 | erspan2:ID | erspan3:ID | gtpu:TEID
    fragment:N            cuts IPv4 packets into fragments of at most N bytes of payload
    raw | null | sll      another link type
    badsum                spoils the IPv4 header checksum of every third packet
    ports:SEED            gives each TCP port another one, the same everywhere
    cutoff:N              ends the file N bytes early (last edit)
    port:FROM:TO          another number for one TCP port
    side:0|1              keeps one direction of each TCP conversation
"""
import os
import random
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pcapfile import l3, read, tcp, write, write_pcapng


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(protocol, payload, source=b"\xcb\x00\x71\x01", target=b"\xcb\x00\x71\x02", number=0):
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), number, 0x4000, 64, protocol, 0) + source + target
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def udp(port, payload, source=50000):
    return struct.pack(">HHHH", source, port, 8 + len(payload), 0) + payload


OUTER = b"\x02\0\0\0\x02\x02\x02\0\0\0\x02\x01"


def ether_parts(d):
    """Addresses, EtherType behind tags left in place, and the rest."""
    return d[:12], d[12:14], d[14:]


def has_payload(frame):
    where = tcp(frame)
    found = l3(frame)
    if not where:
        return False
    at, version = found
    end = at + (struct.unpack_from(">H", frame.data, at + 2)[0] if version == 4 else 40 + struct.unpack_from(">H", frame.data, at + 4)[0])
    return min(end, len(frame.data)) > where[1]


def same_way(a, b):
    """Both carry bytes of the same direction of the same connection."""
    if not has_payload(a) or not has_payload(b):
        return False
    return [a.data[n] for n in ends(a)] == [b.data[n] for n in ends(b)]


def ends(frame):
    """Where addresses and ports lie."""
    at, version = l3(frame)
    first, last = (at + 12, at + 20) if version == 4 else (at + 8, at + 40)
    head = tcp(frame)[0]
    return [*range(first, last), *range(head, head + 4)]


def edit_frames(frames, name, args):
    f = EDITS.get(name)
    if f is None:
        sys.exit(f"no edit {name}\n{__doc__}")
    return f(frames, *args)


def drop(frames, seed, permille):
    rng = random.Random(int(seed))
    return [f for f in frames if not (has_payload(f) and rng.randrange(1000) < int(permille))]


def stretch(frames, over, to):
    out, offset, before = [], 0, None
    for f in frames:
        if before is not None and f.ts - before > float(over) * 1e9:
            offset += int(float(to) * 1e9) - (f.ts - before)
        before = f.ts
        out.append(f.copy(ts=f.ts + offset))
    return out


def back(frames, n, seconds):
    return [f if i < int(n) else f.copy(ts=f.ts - int(float(seconds) * 1e9)) for i, f in enumerate(frames)]


def swap(frames, seed, permille):
    rng, out, i = random.Random(int(seed)), list(frames), 0
    while i + 1 < len(out):
        if same_way(out[i], out[i + 1]) and rng.randrange(1000) < int(permille):
            a, b = out[i], out[i + 1]
            out[i], out[i + 1] = b.copy(ts=a.ts), a.copy(ts=b.ts)
            i += 1
        i += 1
    return out


def twice(frames, seed, permille):
    rng, out = random.Random(int(seed)), list(frames)
    for f in frames:
        if has_payload(f) and f.ts + 4 * 10**6 < frames[-1].ts and rng.randrange(1000) < int(permille):
            out.append(f.copy(ts=f.ts + 2 * 10**6))
    return sorted(out, key=lambda f: f.ts)


def tagged(frames, number, ns):
    again = vlan([f.copy(ts=f.ts + int(ns)) for f in frames], number)
    for f in again:
        f.interface = 1
    return sorted(frames + again, key=lambda f: f.ts)


def noid(frames):
    out = []
    for f in frames:
        found = l3(f)
        if found and found[1] == 4:
            at = found[0]
            end = at + (f.data[at] & 15) * 4
            head = f.data[at : at + 4] + b"\0\0" + f.data[at + 6 : at + 10] + b"\0\0" + f.data[at + 12 : end]
            head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
            f = f.copy(f.data[:at] + head + f.data[end:])
        out.append(f)
    return out


def seq(frames, n):
    out = []
    for f in frames:
        where = tcp(f)
        if not where:
            out.append(f)
            continue
        d = bytearray(f.data)
        head = where[0]
        struct.pack_into(">I", d, head + 4, (struct.unpack_from(">I", d, head + 4)[0] + int(n, 0)) & 0xFFFFFFFF)
        if d[head + 13] & 0x10:
            struct.pack_into(">I", d, head + 8, (struct.unpack_from(">I", d, head + 8)[0] + int(n, 0)) & 0xFFFFFFFF)
            at = head + 20
            while at + 1 < where[1]:  # the blocks of selective acknowledgments move along
                if d[at] == 0:
                    break
                if d[at] == 1:
                    at += 1
                    continue
                if d[at] == 5:
                    for edge in range(at + 2, at + d[at + 1], 4):
                        struct.pack_into(">I", d, edge, (struct.unpack_from(">I", d, edge)[0] + int(n, 0)) & 0xFFFFFFFF)
                at += max(2, d[at + 1])
        out.append(f.copy(bytes(d)))
    return out


def vlan(frames, ids):
    numbers = [int(x) for x in ids.split(",")]
    out = []
    for f in frames:
        macs, kind, rest = ether_parts(f.data)
        tags = b""
        for i, number in enumerate(numbers):
            tags += (b"\x81\0" if i == len(numbers) - 1 else b"\x88\xa8") + struct.pack(">H", number)
        out.append(f.copy(macs + tags + kind + rest))
    return out


def mpls(frames, labels):
    numbers = [int(x) for x in labels.split(",")]
    out = []
    for f in frames:
        macs, kind, rest = ether_parts(f.data)
        if kind not in (b"\x08\0", b"\x86\xdd"):
            continue
        stack = b"".join(struct.pack(">I", n << 12 | (i == len(numbers) - 1) << 8 | 64) for i, n in enumerate(numbers))
        out.append(f.copy(macs + b"\x88\x47" + stack + rest))
    return out


def pppoe(frames):
    out = []
    for f in frames:
        macs, kind, rest = ether_parts(f.data)
        proto = {b"\x08\0": b"\0\x21", b"\x86\xdd": b"\0\x57"}.get(kind)
        if proto:
            out.append(f.copy(macs + b"\x88\x64\x11\0" + struct.pack(">HH", 7, len(rest) + 2) + proto + rest))
    return out


def outer(frames, wrap, whole_frame):
    """Each frame (or only its IP packet) inside another IPv4 packet whose ends follow the inner addresses."""
    out = []
    for n, f in enumerate(frames):
        macs, kind, rest = ether_parts(f.data)
        if not whole_frame and kind not in (b"\x08\0", b"\x86\xdd"):
            continue
        there = macs[:6] < macs[6:]
        a, b = b"\xcb\x00\x71\x01", b"\xcb\x00\x71\x02"
        protocol, payload = wrap(f.data if whole_frame else rest, kind, n)
        packet = ipv4(protocol, payload, a if there else b, b if there else a, n & 0xFFFF)
        mac = OUTER if there else OUTER[6:] + OUTER[:6]
        out.append(f.copy(mac + b"\x08\0" + packet))
    return out


def fragment(frames, size):
    step, out = int(size) // 8 * 8, []
    for n, f in enumerate(frames):
        found = l3(f)
        if not found or found[1] != 4:
            out.append(f)
            continue
        at = found[0]
        head = f.data[at : at + (f.data[at] & 15) * 4]
        total = struct.unpack(">H", head[2:4])[0]
        payload = f.data[at + len(head) : at + total]
        for part in range(0, max(1, len(payload)), step):
            piece = payload[part : part + step]
            last = part + step >= len(payload)
            h = bytearray(head)
            struct.pack_into(">HHH", h, 2, len(head) + len(piece), n + 1, part // 8 | (0 if last else 0x2000))
            struct.pack_into(">H", h, 10, 0)
            struct.pack_into(">H", h, 10, checksum(bytes(h)))
            data = f.data[:at] + bytes(h) + piece
            g = f.copy(data, f.ts + part)
            g.wire = len(data)
            out.append(g)
    return out


def relink(frames, link):
    out = []
    for f in frames:
        kind, rest = f.data[12:14], f.data[14:]
        if link == 101:
            if kind not in (b"\x08\0", b"\x86\xdd"):
                continue
            data = rest
        elif link == 0:
            family = {b"\x08\0": 2, b"\x86\xdd": 10}.get(kind)
            if not family:
                continue
            data = struct.pack("<I", family) + rest
        else:
            data = struct.pack(">HHH", 0, 1, 6) + f.data[6:12] + b"\0\0" + kind + rest
        g = f.copy(data)
        g.link = link
        out.append(g)
    return out


def badsum(frames):
    out = []
    for n, f in enumerate(frames):
        found = l3(f)
        if n % 3 == 0 and found and found[1] == 4:
            d = bytearray(f.data)
            d[found[0] + 10] ^= 0x55
            f = f.copy(bytes(d))
        out.append(f)
    return out


def ports(frames, seed):
    """A permutation of all TCP ports but 0, so that what was one conversation stays one."""
    rng = random.Random(int(seed))
    table = list(range(1, 65536))
    rng.shuffle(table)
    table = [0] + table
    out = []
    for f in frames:
        where = tcp(f)
        if where:
            d = bytearray(f.data)
            for at in (where[0], where[0] + 2):
                struct.pack_into(">H", d, at, table[struct.unpack_from(">H", d, at)[0]])
            f = f.copy(bytes(d))
        out.append(f)
    return out


def port(frames, old, new):
    out = []
    for f in frames:
        where = tcp(f)
        if where:
            d = bytearray(f.data)
            for at in (where[0], where[0] + 2):
                if struct.unpack_from(">H", d, at)[0] == int(old):
                    struct.pack_into(">H", d, at, int(new))
            f = f.copy(bytes(d))
        out.append(f)
    return out


def side(frames, which):
    """One direction of each conversation: frames whose source sorts below (0) or above (1) their target."""
    out = []
    for f in frames:
        found = l3(f)
        if not found or not tcp(f):
            if which == "0":
                out.append(f)
            continue
        at, version = found
        n, first = (4, at + 12) if version == 4 else (16, at + 8)
        head = tcp(f)[0]
        a = f.data[first : first + n] + f.data[head : head + 2]
        b = f.data[first + n : first + 2 * n] + f.data[head + 2 : head + 4]
        if (a > b) == (which == "1"):
            out.append(f)
    return out


def snap(frames, size):
    out = []
    for f in frames:
        g = f.copy()
        g.data = f.data[: int(size)]
        out.append(g)
    return out


def gre_head(kind, key=None):
    return struct.pack(">HH", 0x2000 if key is not None else 0, kind) + (struct.pack(">I", key) if key is not None else b"")


EDITS = {
    "drop": drop,
    "cut": lambda f, n: f[int(n) :],
    "keep": lambda f, n: f[: int(n)],
    "snap": snap,
    "stretch": stretch,
    "shift": lambda f, s: [x.copy(ts=x.ts + int(float(s) * 1e9)) for x in f],
    "back": back,
    "swap": swap,
    "twice": twice,
    "tagged": tagged,
    "noid": noid,
    "seq": seq,
    "vlan": vlan,
    "mpls": mpls,
    "pppoe": pppoe,
    "gre": lambda f: outer(f, lambda d, k, n: (47, gre_head(int.from_bytes(k, "big")) + d), False),
    "gre6": lambda f: outer(f, lambda d, k, n: (47, gre_head(int.from_bytes(k, "big"), 99) + d), False),
    "ipip": lambda f: outer(f, lambda d, k, n: (4 if k == b"\x08\0" else 41, d), False),
    "6in4": lambda f: outer(f, lambda d, k, n: (4 if k == b"\x08\0" else 41, d), False),
    "vxlan": lambda f, v: outer(f, lambda d, k, n: (17, udp(4789, struct.pack(">II", 0x08000000, int(v) << 8) + d)), True),
    "geneve": lambda f, v: outer(f, lambda d, k, n: (17, udp(6081, struct.pack(">HHI", 0, 0x6558, int(v) << 8) + d)), True),
    "geneve-ip": lambda f, v: outer(f, lambda d, k, n: (17, udp(6081, struct.pack(">H2sI", 0x0100, k, int(v) << 8) + b"\1\2\3\0" + d)), False),
    "nvgre": lambda f, v: outer(f, lambda d, k, n: (47, gre_head(0x6558, int(v) << 8) + d), True),
    "erspan1": lambda f: outer(f, lambda d, k, n: (47, gre_head(0x88BE) + d), True),
    "erspan2": lambda f, v: outer(f, lambda d, k, n: (47, struct.pack(">HHI", 0x1000, 0x88BE, n) + struct.pack(">HHI", 0x1000 | 5, int(v), 0) + d), True),
    "erspan3": lambda f, v: outer(f, lambda d, k, n: (47, struct.pack(">HHI", 0x1000, 0x22EB, n) + struct.pack(">HHIHH", 0x2000 | 5, int(v), 0, 0, 0) + d), True),
    "gtpu": lambda f, v: outer(f, lambda d, k, n: (17, udp(2152, struct.pack(">BBHI", 0x30, 0xFF, len(d), int(v)) + d)), False),
    "fragment": fragment,
    "raw": lambda f: relink(f, 101),
    "null": lambda f: relink(f, 0),
    "sll": lambda f: relink(f, 113),
    "badsum": badsum,
    "ports": ports,
    "port": port,
    "side": side,
}

WRITERS = {
    "us": lambda p, f: write(p, f),
    "ns": lambda p, f: write(p, f, nanoseconds=True),
    "big": lambda p, f: write(p, f, order=">"),
    "modified": lambda p, f: write(p, f, modified=True),
    "pcapng": lambda p, f: write_pcapng(p, f),
    "pcapng-big": lambda p, f: write_pcapng(p, f, order=">"),
    "pcapng-ns": lambda p, f: write_pcapng(p, f, resolution=9),
}


def main():
    args, form = sys.argv[1:], "us"
    if args[:1] == ["-o"]:
        form, args = args[1], args[2:]
    if len(args) < 2 or form not in WRITERS:
        sys.exit(__doc__)
    frames, cutoff = read(args[0]), 0
    for edit in args[2:]:
        name, *rest = edit.split(":")
        if name == "cutoff":
            cutoff = int(rest[0])
        else:
            frames = edit_frames(frames, name, rest)
    WRITERS[form](args[1], frames)
    if cutoff:
        os.truncate(args[1], os.path.getsize(args[1]) - cutoff)


if __name__ == "__main__":
    main()
