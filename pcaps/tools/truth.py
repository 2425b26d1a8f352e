#!/usr/bin/env python3
"""What client and server counted, as one JSON file beside each capture.

    truth.py merge CLIENT.json NGINX.log OUT    adds the server's view; fails where the two disagree
    truth.py log NGINX.log OUT                  the server's view alone (clients that are not ours)
    truth.py client CLIENT.json OUT             the client's view alone

An exchange is [client port, method, target, status, request bytes, response bytes], sizes as on the stream.
A status of null means that no final response came.
"""
import json
import sys
from collections import Counter


def summary(truth):
    """Adds the sums that records can be compared with."""
    exchanges = truth["exchanges"]
    codes = [e[3] for e in exchanges if e[3] is not None]
    truth["requests"] = len(exchanges)
    truth["responses"] = len(codes)
    truth["client_error"] = sum(400 <= c < 500 for c in codes)
    truth["server_error"] = sum(500 <= c < 600 for c in codes)
    truth["statuses"] = {str(k): v for k, v in sorted(Counter(codes).items())}
    truth["methods"] = dict(sorted(Counter(e[1] for e in exchanges).items()))
    return truth


def nginx_log(path):
    exchanges = []
    with open(path, encoding="utf-8") as f:
        for line in f:
            e = json.loads(line)
            exchanges.append([e["port"], e["method"] or None, e["target"] or None, e["status"], e["in"], e["out"]])
    return exchanges


def agree(client, server):
    """Both saw the same statuses on the same connections. (nginx does not log a request that it never parsed, and counts
    nothing of a body that it did not read, so the sizes are the client's.)"""
    def count(exchanges):
        return Counter((e[0], e[3]) for e in exchanges if e[3] is not None)

    return count(client) - count(server), count(server) - count(client)


def write(path, truth):
    exchanges = truth.pop("exchanges")
    head = json.dumps(truth, indent=1)[:-2]
    rows = ",\n".join("  " + json.dumps(e) for e in exchanges)
    with open(path, "w", encoding="utf-8") as f:
        f.write(head + ',\n "exchanges": [' + ("\n" + rows + "\n ]" if rows else "]") + "\n}\n")


def main():
    what = sys.argv[1]
    if what == "merge":
        with open(sys.argv[2], encoding="utf-8") as f:
            truth = json.load(f)
        server = nginx_log(sys.argv[3])
        missing, extra = agree(truth["exchanges"], server)
        if missing or extra:
            sys.exit(f"client and server disagree: only the client {dict(missing)}, only the server {dict(extra)}")
        truth["counted_by"] = "client and server, who agree"
        write(sys.argv[4], truth)
    elif what == "log":
        truth = summary({"exchanges": nginx_log(sys.argv[2])})
        truth["tcp_connections"] = len({e[0] for e in truth["exchanges"]})
        truth["counted_by"] = "server"
        write(sys.argv[3], truth)
    elif what == "client":
        with open(sys.argv[2], encoding="utf-8") as f:
            truth = json.load(f)
        truth["counted_by"] = "client"
        write(sys.argv[3], truth)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
