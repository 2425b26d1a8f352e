#!/usr/bin/env python3
"""Pairs must be right, whatever is lost.

Writes captures of simulated HTTP conversations in which the truth is known: every request has a number, and the number
decides status and length of its response. Removes packets, replays, and looks at every record that claims to be a session.
A wrong pair is a failure; how many pairs were found, and how exact their durations are, is printed.

usage: pairing_sim.py TAPSCOPE [CONNECTIONS]
"""
import json, os, random, struct, subprocess, sys, tempfile

MSS = 1400


def status_of(n):
    return 200 + n * 7919 % 300 if n * 7919 % 300 not in (4, 1, 104) else 299  # not 201.., 204 or 304: they have no body


def body_of(n):
    return 20 + n * 37 % 3001


def request_bytes(n):
    return b"GET /n/%d HTTP/1.1\r\nHost: sim.test\r\n\r\n" % n


def response_bytes(n):
    body = body_of(n)
    return b"HTTP/1.1 %d Sim\r\nContent-Length: %d\r\nX-Number: %d\r\n\r\n" % (status_of(n), body, n) + b"x" * body


class Connection:
    """Packets of one connection, with correct sequence and acknowledgment numbers."""

    def __init__(self, index, start_us, rng):
        self.addr = [bytes([10, 1, index >> 8 & 255, index & 255]), bytes([10, 2, 0, 1])]
        self.port = [20000 + index % 40000, 80]
        self.seq = [rng.getrandbits(32), rng.getrandbits(32)]
        self.seen = [0, 0]  # what each side has acknowledged
        self.now = start_us
        self.packets = []
        self.packet(0, 2, b"", syn=True)
        self.packet(1, 18, b"", syn=True)
        self.packet(0, 16, b"")

    def packet(self, side, flags, payload, syn=False):
        self.now += 50
        self.seen[side] = self.seq[1 - side] if flags & 16 else 0
        tcp = struct.pack(">HHIIBBHHH", self.port[side], self.port[1 - side], self.seq[side], self.seen[side], 0x50,
                          flags, 65000, 0, 0)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 0, 0x4000, 64, 6, 0, self.addr[side],
                         self.addr[1 - side])
        total = 0
        for i in range(0, 20, 2):
            total += ip[i] << 8 | ip[i + 1]
        total = (total & 0xffff) + (total >> 16)
        total = (total & 0xffff) + (total >> 16)
        ip = ip[:10] + struct.pack(">H", ~total & 0xffff) + ip[12:]
        frame = b"\2\0\0\0\0" + bytes([2 - side]) + b"\2\0\0\0\0" + bytes([1 + side]) + b"\x08\0" + ip + tcp + payload
        self.packets.append((self.now, frame))
        self.seq[side] = self.seq[side] + len(payload) + (1 if syn or flags & 1 else 0) & 0xffffffff
        return self.now

    def send(self, side, data):
        """Returns the times of the first and the last segment."""
        first = last = None
        for at in range(0, len(data), MSS):
            last = self.packet(side, 24, data[at:at + MSS])
            first = first if first is not None else last
        return first, last

    def close(self):
        self.packet(0, 17, b"")
        self.packet(1, 17, b"")
        self.packet(0, 16, b"")


def send_all(c, side, messages, truth, which):
    """Sends messages back to back, as one write would; notes when each began and ended."""
    data = b"".join(m for _, m in messages)
    times = []
    for at in range(0, len(data), MSS):
        times.append(c.packet(side, 24, data[at:at + MSS]))
    at = 0
    for n, m in messages:
        truth.setdefault(n, {})[which] = (times[at // MSS], times[(at + len(m) - 1) // MSS])
        at += len(m)


def conversation(policy, depth, index, numbers, rng):
    c = Connection(index, 1_700_000_000_000_000 + index * 313, rng)
    truth = {}
    if policy == "batch":
        for at in range(0, len(numbers), depth):
            batch = numbers[at:at + depth]
            send_all(c, 0, [(n, request_bytes(n)) for n in batch], truth, "request")
            c.now += rng.randrange(100, 2000)
            send_all(c, 1, [(n, response_bytes(n)) for n in batch], truth, "response")
            c.packet(0, 16, b"")
            c.now += rng.randrange(100, 1000)
    else:  # a window that slides: one more request for each response
        send_all(c, 0, [(n, request_bytes(n)) for n in numbers[:depth]], truth, "request")
        for i, n in enumerate(numbers):
            c.now += rng.randrange(50, 500)
            send_all(c, 1, [(n, response_bytes(n))], truth, "response")
            if i + depth < len(numbers):
                m = numbers[i + depth]
                send_all(c, 0, [(m, request_bytes(m))], truth, "request")
    c.close()
    return c.packets, truth


def check(tapscope, policy, depth, loss, midstream, connections, seed):
    rng = random.Random(seed)
    packets, truth, number = [], {}, 0
    for i in range(connections):
        count = rng.choice((depth * 6, depth * 12)) if depth > 1 else 120
        p, t = conversation(policy, depth, i, list(range(number, number + count)), rng)
        number += count
        if midstream:
            p = p[rng.randrange(3, len(p) // 2):]
        packets += p
        truth.update(t)
    packets = sorted((p for p in packets if rng.random() >= loss), key=lambda p: p[0])
    with tempfile.NamedTemporaryFile(suffix=".pcap") as f:
        f.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for us, frame in packets:
            f.write(struct.pack("<IIII", us // 1000000, us % 1000000, len(frame), len(frame)) + frame)
        f.flush()
        run = subprocess.run([tapscope, "replay", "--format", "ndjson", f.name], capture_output=True, timeout=120)
    if run.returncode:
        return "exit status %d: %s" % (run.returncode, run.stderr.decode()[-300:]), None
    pairs, exact, errors, wrong = 0, 0, [], []
    for line in run.stdout.splitlines():
        r = json.loads(line)
        if r["record"] != "request" or r["type"] != "session":
            continue
        n = int(r["request_resource"].rsplit("/", 1)[1])
        pairs += 1
        whole = "gap_bytes" not in r and "truncated" not in r
        if r["response_code"] != status_of(n) or (whole and r["response_length"] != len(response_bytes(n))):
            wrong.append(n)
            continue
        if whole:
            t = truth[n]
            error = abs(r["duration_ns"] - (t["response"][1] - t["request"][0]) * 1000)
            exact += error == 0
            errors.append(error)
    what = "%d of %d pairs found (%.1f %%), %d wrong, durations exact in %.2f %%, largest error %.3f ms" % (
        pairs, len(truth), 100 * pairs / len(truth), len(wrong), 100 * exact / max(1, len(errors)),
        max(errors, default=0) / 1e6)
    if wrong:
        return "wrong pairs: %s; %s" % (wrong[:5], what), None
    if loss == 0 and not midstream and (pairs != len(truth) or exact != pairs):
        return "nothing was lost, yet " + what, None
    return None, what


def main():
    tapscope = sys.argv[1]
    connections = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    failed = 0
    for policy, depth in (("batch", 1), ("batch", 10), ("batch", 100), ("window", 2), ("window", 50)):
        for loss in (0, 0.001, 0.01, 0.1):
            for midstream in (False, True):
                if midstream and policy == "window":
                    continue  # cannot be told from a client that waits: see engine/session.h
                name = "pairing %s depth %d loss %g%s" % (policy, depth, loss, " midstream" if midstream else "")
                for seed in range(3):
                    reason, what = check(tapscope, policy, depth, loss, midstream, connections, seed)
                    if reason:
                        break
                if reason:
                    failed += 1
                    print("not ok %s: seed %d: %s" % (name, seed, reason), flush=True)
                else:
                    print("ok %s: %s" % (name, what), flush=True)
    sys.exit(1 if failed else 0)


main()
