"""Capture files read and written whole, for the tools and tests beside this file. Standard library only.

read() understands pcap (either byte order, microseconds and nanoseconds, the modified form) and pcapng (several
sections and interfaces), each also gzipped. It is made for small files: everything is held in memory.
"""
import gzip
import struct


class Frame:
    """One captured frame: time in ns since 1970, the captured bytes, the length on the wire, its link type."""

    __slots__ = ("ts", "data", "wire", "link", "interface")

    def __init__(self, ts, data, wire, link, interface=0):
        self.ts, self.data, self.wire, self.link, self.interface = ts, data, wire, link, interface

    def copy(self, data=None, ts=None):
        """The same frame with other bytes or another time; bytes that were cut by the snap length stay cut."""
        new = self.data if data is None else data
        return Frame(self.ts if ts is None else ts, new, self.wire - len(self.data) + len(new), self.link, self.interface)


def load_bytes(path):
    with open(path, "rb") as f:
        raw = f.read()
    return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw


def read(path):
    """All whole frames of a capture file, in file order."""
    raw = load_bytes(path)
    magic = raw[:4]
    if magic == b"\x0a\x0d\x0d\x0a":
        return _read_pcapng(raw)
    for order in "<>":
        number = struct.unpack(order + "I", magic)[0]
        if number in (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34):
            return _read_pcap(raw, order, number)
    raise ValueError(f"{path}: not a capture file")


def _read_pcap(raw, order, number):
    link = struct.unpack_from(order + "I", raw, 20)[0] & 0x0FFFFFFF
    unit = 1 if number == 0xA1B23C4D else 1000
    head = 24 if number == 0xA1B2CD34 else 16
    at, frames = 24, []
    while at + head <= len(raw):
        sec, frac, cap, wire = struct.unpack_from(order + "IIII", raw, at)
        at += head
        if at + cap > len(raw):
            break
        frames.append(Frame(sec * 10**9 + frac * unit, raw[at : at + cap], wire, link))
        at += cap
    return frames


def _read_pcapng(raw):
    at, order, interfaces, frames = 0, "<", [], []
    while at + 12 <= len(raw):
        kind = struct.unpack_from(order + "I", raw, at)[0]
        if kind == 0x0A0D0D0A:
            order = "<" if raw[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
        length = struct.unpack_from(order + "I", raw, at + 4)[0]
        if length < 12 or at + length > len(raw):
            break
        body = raw[at + 8 : at + length - 4]
        if kind == 1:
            interfaces.append(_interface(body, order))
        elif kind == 6 and len(body) >= 20:
            number, high, low, cap, wire = struct.unpack_from(order + "IIIII", body)
            link, snap, per_second = interfaces[number]
            ts = (high << 32 | low) * 10**9 // per_second
            frames.append(Frame(ts, body[20 : 20 + cap], wire, link, number))
        elif kind == 3 and interfaces:
            wire = struct.unpack_from(order + "I", body)[0]
            link, snap, per_second = interfaces[0]
            cap = min(wire, snap or wire, len(body) - 4)
            frames.append(Frame(0, body[4 : 4 + cap], wire, link, 0))
        at += length
    return frames


def _interface(body, order):
    link, _, snap = struct.unpack_from(order + "HHI", body)
    per_second, at = 10**6, 8
    while at + 4 <= len(body):
        code, size = struct.unpack_from(order + "HH", body, at)
        if code == 9 and size == 1:
            value = body[at + 4]
            per_second = 2 ** (value & 127) if value & 128 else 10**value
        if code == 0:
            break
        at += 4 + (size + 3) // 4 * 4
    return link, snap, per_second


def write(path, frames, link=None, order="<", nanoseconds=False, modified=False, snaplen=262144):
    """One pcap file; gzipped where the name ends with .gz."""
    if link is None:
        link = frames[0].link if frames else 1
    magic = 0xA1B2CD34 if modified else 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    unit = 1 if nanoseconds else 1000
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link)]
    for f in frames:
        out.append(struct.pack(order + "IIII", f.ts // 10**9, f.ts % 10**9 // unit, len(f.data), f.wire))
        if modified:
            out.append(struct.pack(order + "IHBB", 1, 0, 0, 0))
        out.append(f.data)
    data = b"".join(out)
    if str(path).endswith(".gz"):
        data = gzip.compress(data, mtime=0)
    with open(path, "wb") as f:
        f.write(data)


def write_pcapng(path, frames, order="<", resolution=6):
    """One pcapng file with an interface for each interface number and link type met, with blocks that readers skip."""
    def block(kind, body):
        body += b"\0" * (-len(body) % 4)
        return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)

    out = [block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))]
    numbers = {}
    for f in frames:
        if (f.interface, f.link) not in numbers:
            numbers[f.interface, f.link] = len(numbers)
            options = struct.pack(order + "HHB3xHH", 9, 1, resolution, 0, 0)
            out.append(block(1, struct.pack(order + "HHI", f.link, 0, 262144) + options))
            out.append(block(0xBAD, b"not for you"))
        ts = f.ts * 10**resolution // 10**9
        head = struct.pack(order + "IIIII", numbers[f.interface, f.link], ts >> 32, ts & 0xFFFFFFFF, len(f.data), f.wire)
        out.append(block(6, head + f.data))
    data = b"".join(out)
    if str(path).endswith(".gz"):
        data = gzip.compress(data, mtime=0)
    with open(path, "wb") as f:
        f.write(data)


def l3(frame):
    """Where the outermost IP header of an Ethernet (tags skipped), raw, SLL or SLL2 frame lies, and its version; None."""
    d, link = frame.data, frame.link
    if link == 1:
        at = 12
        while len(d) >= at + 2:
            kind = d[at] << 8 | d[at + 1]
            if kind in (0x8100, 0x88A8, 0x9100):
                at += 4
            else:
                break
        else:
            return None
        version = {0x0800: 4, 0x86DD: 6}.get(kind)
        return (at + 2, version) if version and len(d) > at + 2 else None
    at = {101: 0, 12: 0, 113: 16, 276: 20, 0: 4, 108: 4}.get(link)
    if at is None or len(d) <= at:
        return None
    version = d[at] >> 4
    return (at, version) if version in (4, 6) else None


def tcp(frame):
    """Where the TCP header of the frame's outermost IP packet lies, and where the payload; None where there is none."""
    found = l3(frame)
    if not found:
        return None
    at, version = found
    d = frame.data
    if version == 4:
        if len(d) < at + 20 or d[at + 9] != 6 or (d[at + 6] & 0x1F) << 8 | d[at + 7]:
            return None
        head = at + (d[at] & 15) * 4
    else:
        if len(d) < at + 40 or d[at + 6] != 6:
            return None
        head = at + 40
    if len(d) < head + 20:
        return None
    return head, head + (d[head + 12] >> 4) * 4
