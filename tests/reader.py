#!/usr/bin/env python3
"""An independent reader of capture files, to compare tapscope with.

    reader.py FILE...      one JSON object a file and line

It shares no code and no method with tapscope: what a TCP direction has sent is kept as a set of byte ranges, nothing is
judged by time, state or windows in between. Read are pcap and pcapng (gzipped too), of Ethernet, Linux cooked (SLL, SLL2),
BSD null/loop and raw IP; VLAN tags; IPv4 and IPv6 with extension headers; TCP and UDP. Tunnels stay closed, fragments
stay apart: the first has ports but its payload is not counted, the others have none.

    packets          frames of the file; "error" is there where it is damaged or cut off after them
    ip_packets       those with an IP header; ip_bytes: their length by it, headers included
    fragments        IP packets that are fragments
    tcp, udp         a conversation each five-tuple (port reuse merged). a is the end with the smaller address and port,
                     compared as bytes; pairs are [a to b, b to a]:
      packets, ip_bytes, payload       payload: bytes of L4 payload by the IP header, however much was captured
      retransmissions                  segments with data, SYN or FIN, all of whose sequence numbers were seen before
      fills            segments that begin below the highest number seen and bring something new: sent out of order, or
                       again after a loss on the way to the tap; which of the two, only their time could tell
      keep_alives, zero_window_probes  neither of these
"""
import bisect
import gzip
import ipaddress
import json
import struct
import sys

ETHERNET, NULL, RAW, LOOP, SLL, IPV4, IPV6, SLL2 = 1, 0, 101, 108, 113, 228, 229, 276
FIN, SYN, RST, ACK = 1, 2, 4, 16


class Damaged(Exception):
    pass


# ---- files: (link type, captured bytes, length on the wire) of each packet ----

def read_pcap(data):
    magic = data[:4]
    order = '<' if magic[0] in (0xd4, 0x4d, 0x34) else '>'
    header = 24 if magic in (b'\x34\xcd\xb2\xa1', b'\xa1\xb2\xcd\x34') else 16
    if len(data) < 24:
        raise Damaged('file header')
    minor = struct.unpack_from(order + 'H', data, 6)[0]
    link = struct.unpack_from(order + 'I', data, 20)[0] & 0xffff
    at = 24
    while at < len(data):
        if at + header > len(data):
            raise Damaged(f'record header at {at}')
        captured, length = struct.unpack_from(order + 'II', data, at + 8)
        if minor < 3 or (minor == 3 and captured > length):
            captured, length = length, captured
        if at + header + captured > len(data):
            raise Damaged(f'record at {at}')
        yield link, data[at + header:at + header + captured], length
        at += header + captured


def read_pcapng(data):
    at, order, links = 0, '<', []
    while at < len(data):
        if at + 12 > len(data):
            raise Damaged(f'block header at {at}')
        kind = struct.unpack_from('<I', data, at)[0]
        if kind == 0x0a0d0d0a:
            order = {b'\x4d\x3c\x2b\x1a': '<', b'\x1a\x2b\x3c\x4d': '>'}.get(data[at + 8:at + 12])
            if not order:
                raise Damaged(f'byte order at {at}')
            links = []
        kind, size = struct.unpack_from(order + 'II', data, at)
        if size < 12 or size % 4 or at + size > len(data):
            raise Damaged(f'block at {at}')
        if struct.unpack_from(order + 'I', data, at + size - 4)[0] != size:
            raise Damaged(f'end of block at {at}')
        body = data[at + 8:at + size - 4]
        if kind == 1:
            link, _, snaplen = struct.unpack_from(order + 'HHI', body)
            links.append((link, snaplen))
        elif kind in (2, 6):
            interface = struct.unpack_from(order + ('I' if kind == 6 else 'H'), body)[0]
            captured, length = struct.unpack_from(order + 'II', body, 12)
            if interface >= len(links) or captured > len(body) - 20:
                raise Damaged(f'packet block at {at}')
            yield links[interface][0], body[20:20 + captured], length
        elif kind == 3:
            length = struct.unpack_from(order + 'I', body)[0]
            captured = min(length, links[0][1] or length) if links else len(body)
            if not links or captured > len(body) - 4:
                raise Damaged(f'packet block at {at}')
            yield links[0][0], body[4:4 + captured], length
        at += size


def read_packets(path):
    with open(path, 'rb') as f:
        data = f.read()
    if data[:2] == b'\x1f\x8b':
        data = gzip.decompress(data)
    if data[:4] == b'\x0a\x0d\x0d\x0a':
        return read_pcapng(data)
    if data[:4] in (b'\xd4\xc3\xb2\xa1', b'\xa1\xb2\xc3\xd4', b'\x4d\x3c\xb2\xa1', b'\xa1\xb2\x3c\x4d',
                    b'\x34\xcd\xb2\xa1', b'\xa1\xb2\xcd\x34'):
        return read_pcap(data)
    raise Damaged('not a capture file')


# ---- packets ----

def find_ip(link, frame):
    """Where the IP header begins, or None."""
    if link in (RAW, 12, 14, IPV4, IPV6):
        return 0
    if link in (NULL, LOOP):
        return 4 if len(frame) > 4 and frame[4] >> 4 in (4, 6) else None
    if link == ETHERNET:
        at = 12
    elif link == SLL:
        at = 14
    elif link == SLL2:
        at = 0
    else:
        return None
    kind = int.from_bytes(frame[at:at + 2], 'big')
    at = 20 if link == SLL2 else at + 2
    while kind in (0x8100, 0x88a8, 0x9100) and len(frame) >= at + 4:
        kind = int.from_bytes(frame[at + 2:at + 4], 'big')
        at += 4
    return at if kind in (0x0800, 0x86dd) else None


def read_ip(frame, at, length):
    """(source, target, protocol, where L4 begins, IP length, is a fragment) or None; protocol None: not to be looked at."""
    ip = frame[at:]
    if len(ip) >= 20 and ip[0] >> 4 == 4:
        header, total = (ip[0] & 15) * 4, int.from_bytes(ip[2:4], 'big')
        total = total or length - at  # segmentation offload leaves it empty
        if header < 20 or total < header:
            return None
        bits = int.from_bytes(ip[6:8], 'big')
        fragment, offset = bits & 0x3fff != 0, bits & 0x1fff
        return ip[12:16], ip[16:20], None if offset else ip[9], at + header, total, fragment
    if len(ip) >= 40 and ip[0] >> 4 == 6:
        total = int.from_bytes(ip[4:6], 'big')
        total = total + 40 if total else length - at
        protocol, next_at, fragment = ip[6], 40, False
        while protocol in (0, 43, 44, 51, 60, 135) and len(ip) >= next_at + 8:
            size = (ip[next_at + 1] + 2) * 4 if protocol == 51 else (ip[next_at + 1] + 1) * 8
            if protocol == 44:
                size = 8
                bits = int.from_bytes(ip[next_at + 2:next_at + 4], 'big')
                if bits & 0xfff9:
                    fragment = True
                if bits & 0xfff8:
                    return ip[8:24], ip[24:40], None, at + next_at, total, True
            protocol = ip[next_at]
            next_at += size
        return ip[8:24], ip[24:40], protocol, at + next_at, total, fragment
    return None


class Ranges:
    """Sequence numbers seen, as sorted ranges that do not touch each other."""

    def __init__(self):
        self.starts, self.ends = [], []

    def has(self, start, end):
        i = bisect.bisect_right(self.starts, start) - 1
        return i >= 0 and end <= self.ends[i]

    def add(self, start, end):
        first = bisect.bisect_left(self.ends, start)
        last = bisect.bisect_right(self.starts, end)
        if first < last:
            start, end = min(start, self.starts[first]), max(end, self.ends[last - 1])
        self.starts[first:last] = [start]
        self.ends[first:last] = [end]

    def top(self):
        return self.ends[-1] if self.ends else None


class Direction:
    def __init__(self):
        self.packets = self.ip_bytes = self.payload = 0
        self.retransmissions = self.fills = self.keep_alives = self.zero_window_probes = 0
        self.window = None
        self.restart()

    def restart(self):
        self.seen, self.near = Ranges(), None

    def unwrap(self, number):
        """The number without its wrap: the one of all that end in these 32 bits that is nearest to the last."""
        if self.near is None:
            self.near = number + (1 << 40)
        self.near += (number - self.near + (1 << 31)) % (1 << 32) - (1 << 31)
        return self.near

    def segment(self, sequence, payload, flags, peer_window):
        start = self.unwrap(sequence)
        # RFC 9293: SYN is numbered before the data, FIN after it
        end = start + payload + bool(flags & SYN) + bool(flags & FIN)
        if flags & SYN and self.seen.starts and not self.seen.has(start, start + 1):
            self.restart()  # another connection with these ports
            start = self.unwrap(sequence)
            end = start + payload + 1 + bool(flags & FIN)
        top = self.seen.top()
        if payload <= 1 and not flags & (SYN | FIN | RST) and top is not None:
            if start == top - 1:
                self.keep_alives += 1
                return
            if payload == 1 and start == top and peer_window == 0:
                self.zero_window_probes += 1
                return
        if start == end or flags & RST:
            return
        if self.seen.has(start, end):
            self.retransmissions += 1
        elif top is not None and start < top:
            self.fills += 1
        self.seen.add(start, end)


def read_capture(path):
    result = {'file': path, 'packets': 0, 'ip_packets': 0, 'ip_bytes': 0, 'fragments': 0}
    conversations = {6: {}, 17: {}}
    try:
        for link, frame, length in read_packets(path):
            result['packets'] += 1
            at = find_ip(link, frame)
            ip = None if at is None else read_ip(frame, at, length)
            if not ip:
                continue
            source, target, protocol, l4, total, fragment = ip
            result['ip_packets'] += 1
            result['ip_bytes'] += total
            result['fragments'] += fragment
            header = {6: 20, 17: 8}.get(protocol)
            if not header or len(frame) < l4 + header or total < l4 - at + header:
                continue
            ports = struct.unpack_from('>HH', frame, l4)
            ends = (source, ports[0]), (target, ports[1])
            side = int(ends[1] < ends[0])
            key = ends[::-1] if side else ends
            both = conversations[protocol].setdefault(key, (Direction(), Direction()))
            d = both[side]
            d.packets += 1
            d.ip_bytes += total
            if protocol == 6:
                header = (frame[l4 + 12] >> 4) * 4
                if header < 20 or total < l4 - at + header:
                    continue
            if fragment:
                continue
            payload = total - (l4 - at) - header
            d.payload += payload
            if protocol == 6:
                d.segment(int.from_bytes(frame[l4 + 4:l4 + 8], 'big'), payload, frame[l4 + 13], both[1 - side].window)
                d.window = int.from_bytes(frame[l4 + 14:l4 + 16], 'big')
    except (Damaged, struct.error, EOFError, OSError) as e:
        result['error'] = str(e)
    for name, protocol in (('tcp', 6), ('udp', 17)):
        result[name] = []
        for (a, b), pair in conversations[protocol].items():
            entry = {'a': [str(ipaddress.ip_address(bytes(a[0]))), a[1]], 'b': [str(ipaddress.ip_address(bytes(b[0]))), b[1]]}
            fields = ['packets', 'ip_bytes', 'payload']
            if protocol == 6:
                fields += ['retransmissions', 'fills', 'keep_alives', 'zero_window_probes']
            for field in fields:
                entry[field] = [getattr(d, field) for d in pair]
            result[name].append(entry)
    return result


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith('--'):
        sys.exit(__doc__)
    for path in sys.argv[1:]:
        print(json.dumps(read_capture(path)))


if __name__ == '__main__':
    main()
