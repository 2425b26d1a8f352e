#!/usr/bin/env python3
"""What clients and servers of MySQL, Redis and Kafka counted, as one JSON file beside each capture.

    stores_truth.py redis CLIENT.json|- STATS OUT                 STATS: INFO commandstats and errorstats
    stores_truth.py mysql CLIENT.json|- GENERAL.log ERROR.log|- OUT
    stores_truth.py kafka MOCK.log OUT CLIENT.log|CLIENT.json...  logs of librdkafka (debug=protocol), or of kafkajs

Fails where client and server disagree. A truth holds
    protocol, tcp_connections, counted_by
    commands      {name: times}, by the names that the protocol's document gives them
    unknown       requests that the server counted without a name
    errors        {error: times}
    unasked       messages of the server that answer no request
    affected_rows of all statements (MySQL)
    exchanges     what our own clients know of each request: [client port, command, key or statement, outcome, request bytes,
                  response bytes]; the outcome is "ok", the error, or null where no answer came. Kafka: [API, version,
                  correlation id, request bytes, response bytes], of all connections together
    connections   Kafka: {client port: {"API version": times}}, as the brokers counted
"""
import json
import re
import sys
from collections import Counter

# What the general log names; it does not tell the others apart, or not at all (PING, STMT_FETCH, …).
GENERAL_LOG = {"Connect": "LOGIN", "Query": "COM_QUERY", "Prepare": "COM_STMT_PREPARE", "Execute": "COM_STMT_EXECUTE",
               "Close stmt": "COM_STMT_CLOSE", "Quit": "COM_QUIT", "Init DB": "COM_INIT_DB", "Change user": "COM_CHANGE_USER",
               "Long Data": "COM_STMT_SEND_LONG_DATA", "Reset stmt": "COM_STMT_RESET", "Field List": "COM_FIELD_LIST",
               "Processlist": "COM_PROCESS_INFO", "Statistics": "COM_STATISTICS", "Debug": "COM_DEBUG"}
# Of the connection, not of a command: logged although nobody is there to whom they could be sent.
CONNECTION_ERRORS = {1152, 1153, 1154, 1155, 1156, 1157, 1158, 1159, 1160, 1161, 1184, 1927}
# Names of librdkafka and kafkajs that are not the protocol's.
KAFKA_NAMES = {"ApiVersion": "ApiVersions", "GroupCoordinator": "FindCoordinator"}
# What they leave out when they say how long a response is: its length and its correlation id; its length.
RDKAFKA_HEAD, KAFKAJS_HEAD = 8, 4


def load(path):
    if path == "-":
        return None
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def write(path, truth):
    exchanges = truth.pop("exchanges", [])
    head = json.dumps(truth, indent=1)[:-2]
    rows = ",\n".join("  " + json.dumps(e) for e in exchanges)
    with open(path, "w", encoding="utf-8") as f:
        f.write(head + ',\n "exchanges": [' + ("\n" + rows + "\n ]" if rows else "]") + "\n}\n")


def by_client(truth):
    truth["commands"] = dict(sorted(Counter(e[1] for e in truth["exchanges"]).items()))
    truth["errors"] = {str(k): v for k, v in sorted(Counter(e[3] for e in truth["exchanges"] if e[3] not in ("ok", None)).items(), key=str)}


def disagree(what, client, server):
    if client != server:
        sys.exit(f"client and server disagree about {what}: only the client {dict(Counter(client) - Counter(server))}, "
                 f"only the server {dict(Counter(server) - Counter(client))}")


def redis(client, stats, out):
    calls, errors, failed = Counter(), Counter(), 0
    connections = 0
    with open(stats, encoding="utf-8") as f:
        for line in f:
            m = re.match(r"cmdstat_(\S+?):calls=(\d+),.*rejected_calls=(\d+),failed_calls=(\d+)", line)
            if m and m[1] not in ("config|resetstat", "info"):
                calls[m[1].replace("|", " ").upper()] += int(m[2]) + int(m[3])
                failed += int(m[3]) + int(m[4])
            if m := re.match(r"errorstat_(\S+):count=(\d+)", line):
                errors[m[1]] += int(m[2])
            if m := re.match(r"total_connections_received:(\d+)", line):
                connections = int(m[1])
    truth = load(client)
    if truth and "exchanges" in truth:
        by_client(truth)
        # What was queued and never executed, what the server does not know, and what never got there, is not counted by it.
        ours = truth["commands"]
        for name, times in calls.items():
            sent = ours.get(name) or sum(n for c, n in ours.items() if c.startswith(name + " "))
            if times > sent and "EVAL" not in ours:  # a script's commands count, too
                sys.exit(f"the server counted {name} {times} times, the client {sent}")
        for name, times in Counter(e[1] for e in truth["exchanges"] if e[3] == "ok").items():
            executed = calls.get(name, 0) or calls.get(name.split(" ")[0], 0)
            if times > executed and "MULTI" not in ours:
                sys.exit(f"the client had {times} answers to {name}, the server counted {executed}")
        truth["counted_by"] = "client and server, who agree"
    else:
        truth = {"protocol": "Redis", "tcp_connections": connections - 3, "unasked": 0, **(truth or {}), "commands": dict(sorted(calls.items())),
                 "errors": dict(sorted(errors.items())), "unknown": sum(errors.values()) - failed, "counted_by": "server"}
    write(out, truth)


def mysql(client, general, errlog, out):
    calls, refused, connections, local = Counter(), 0, set(), set()
    with open(general, encoding="utf-8", errors="replace") as f:
        for line in f:
            m = re.match(r"(?:\d{6}\s+\d+:\d\d:\d\d)?\s+(\d+) ([A-Z][A-Za-z]+(?: [a-zA-Z]+)?)\t(.*)", line)
            if not m:
                continue
            number, kind, text = m.groups()
            if kind == "Connect":
                if "using Socket" in text or (" on " in text and "@localhost" in text):
                    local.add(number)
                elif "Access denied" in text and number in connections:
                    continue  # the same login, refused
                connections.add(number)
            if number in local or kind not in GENERAL_LOG:
                continue
            if kind == "Init DB" and text.startswith("Access denied"):
                refused += 1  # the command, or a login's database
                continue
            calls[GENERAL_LOG[kind]] += 1
    errors = Counter()
    if errlog != "-":
        with open(errlog, encoding="utf-8", errors="replace") as f:
            for line in f:
                if (m := re.search(r"@ .*?\[192\.0\.2\.10\] ERROR (\d+):", line)) and int(m[1]) not in CONNECTION_ERRORS:
                    errors[m[1]] += 1
    truth = load(client)
    if truth and "exchanges" in truth:
        by_client(truth)
        # what is refused is not always logged
        fine = Counter(e[1] for e in truth["exchanges"] if e[3] in ("ok", None))
        for name in GENERAL_LOG.values():
            # MySQL 5.6 logs each statement of several
            most = truth["commands"].get(name, 0) + sum(e[2].count(";") for e in truth["exchanges"] if name == e[1] == "COM_QUERY")
            if not fine[name] <= calls[name] <= most:
                sys.exit(f"the server logged {name} {calls[name]} times, the client sent {truth['commands'].get(name, 0)}, {fine[name]} of them rightly")
        if errlog != "-":
            disagree("errors", Counter(truth["errors"]) + Counter(truth.pop("unasked_errors", {})), errors)
        truth["counted_by"] = "client and server, who agree"
    else:
        said = truth or {}
        calls["COM_INIT_DB"] += refused
        for name, times in said.pop("commands", {}).items():
            if name == "COM_STMT_PREPARE" and times < calls[name]:
                sys.exit(f"the server prepared {calls[name]} statements, the client {times}")
            calls[name] = times
        heard = said.pop("errors", None)
        if heard is not None:
            said["sqlstates"] = dict(sorted(Counter(state for _, state in heard).items()))
            heard = Counter(str(code) for code, _ in heard)
            if errlog != "-":
                disagree("errors", heard, errors)
        truth = {"protocol": "MySQL", "tcp_connections": len(connections - local), "unasked": 0, **said, "commands": dict(sorted((+calls).items())),
                 "errors": dict(sorted((heard or errors).items())), "counted_by": "server" if heard is None else "client and server, who agree"}
    write(out, truth)


def kafka(mock, out, clients):
    connections, sent = {}, 0
    with open(mock, encoding="utf-8", errors="replace") as f:
        for line in f:
            if m := re.search(r"Received (\w+)RequestV(\d+) from [\d.]+:(\d+)", line):
                name = f"{KAFKA_NAMES.get(m[1], m[1])} {m[2]}"
                connections.setdefault(m[3], Counter())[name] += 1
            elif ": Sending ProduceResponseV" in line:
                sent += 1
            elif m := re.search(r"New connection from [\d.]+:(\d+)", line):
                connections.setdefault(m[1], Counter())
    server = Counter()
    for counts in connections.values():
        server.update(counts)
    exchanges, extra = [], {}
    for path in clients:
        exchanges += kafkajs(path, extra) if path.endswith(".json") else librdkafka(path)
    if exchanges:
        disagree("requests", dict(Counter(f"{e[0]} {e[1]}" for e in exchanges)), dict(server))
    # the mock answers a Produce with acks=0, too; its client does not listen
    unasked = sent - sum(e[0] == "Produce" and e[4] is not None for e in exchanges) if exchanges else 0
    truth = {"protocol": "Kafka", "tcp_connections": len(connections), "unasked": unasked, **extra,
             "commands": dict(sorted(sum_by(server).items())), "connections": {p: dict(sorted(c.items())) for p, c in sorted(connections.items())},
             "counted_by": "clients and brokers, who agree" if exchanges else "brokers", "exchanges": sorted(exchanges, key=str)}
    write(out, truth)


def sum_by(versions):
    out = Counter()
    for name, n in versions.items():
        out[name.split(" ")[0]] += n
    return out


def librdkafka(path):
    """Each request and its answer, which comes on the same thread's line with the same correlation id."""
    open_ones, out = {}, []
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            m = re.search(r"\|(SEND|RECV)\|(\S+?)\| \[thrd:.*?\]: (\S+): (?:Sent|Received) (\w+?)(?:Request|Response) \(v(\d+), (\d+) bytes.*?CorrId (\d+)", line)
            if not m:
                continue
            kind, instance, broker, name, version, size, number = m.groups()
            # a broker that was "bootstrap" gets its name between a request and its answer; the address stays
            key = (path, instance, broker.split("/")[0], name, number)
            if kind == "SEND":
                exchange = [KAFKA_NAMES.get(name, name), int(version), int(number), int(size), None]
                open_ones.setdefault(key, []).append(exchange)
                out.append(exchange)
            else:
                if not open_ones.get(key):
                    sys.exit(f"{path}: an answer to nothing: {line}")
                open_ones[key].pop(0)[4] = int(size) + RDKAFKA_HEAD
    return out


def kafkajs(path, extra):
    said = load(path)
    extra["messages"] = said["messages"]
    return [[KAFKA_NAMES.get(name, name), version, number, size, answer + KAFKAJS_HEAD if answer is not None else None] for _, name, version, number, size, answer in said["calls"]]


def main():
    what, rest = sys.argv[1], sys.argv[2:]
    if what == "redis":
        redis(*rest)
    elif what == "mysql":
        mysql(*rest)
    elif what == "kafka":
        kafka(rest[0], rest[1], rest[2:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
