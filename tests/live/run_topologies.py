#!/usr/bin/env python3
"""`tapscope run` in each topology, with real servers and clients: its records against what these counted themselves.

    run_topologies.py TAPSCOPE [PART...]
"""
import os
import shutil
import subprocess
import sys
from collections import Counter

from nets import missing, remove_all, remove_leftovers, send_frames, udp_frame
from common import case, finish, skip
from run_common import Capture, KafkaMock, MariaDb, Responder, Servers, Stage, address, all_sessions, ended_well, flows_agree, http_agrees, http_talk, mirror, pair, redis_agrees, redis_talk, retransmits, together,\
    uplink

TAPSCOPE = os.path.abspath(sys.argv[1])


def capture(where, *options, **how):
    return Capture(TAPSCOPE, where, *options, **how)


def macvlan():
    """Pods are children of the NIC that is captured. Pod to pod is seen once, and serves both ends."""
    host, remote = Stage("host"), Stage("remote")
    pair(host, "p0", remote, "r0", None, address(9))
    pods = [Stage("cart"), Stage("shop")]
    for i, pod in enumerate(pods, 1):
        host.ip(f"link add link p0 name mv{i} type macvlan mode bridge")
        host.ip(f"link set mv{i} netns {pod.name} name eth0")
        pod.ip("link set eth0 up")
        pod.ip(f"addr add {address(i)}/24 dev eth0")
        pod.plain("eth0")
    remote.hide()
    cart, shop = pods
    outside = Responder(remote, address(9))
    owners = f"tap.owners=['{shop.mac('eth0')} = store/shop-7d9f (Deployment/shop)', '{address(9)} = far/db-0 (StatefulSet/db) @elsewhere']"
    mode = ("-o", "tap_mode=1", "-o", "static_config.src-interfaces=[p0]", "-o", "tap_interface_regex=^nothing", "-o", owners)
    with Servers(shop, address(2), ("nginx",)) as servers, capture(host, *mode, "--workers", "2") as c:
        case(c.ready, "macvlan-starts", c.err)
        inside = together(*((http_talk, cart, address(2), 30, 80, 30 * i) for i in range(3)))
        leaving = together(*((http_talk, cart, address(9), 30) for i in range(3)))
        coming = [http_talk(remote, address(2), 20, 80, 1000)]
        c.stop(settle_s=0.1)
        ended_well("macvlan-ledger", c)
        flows = [f for f in c.flows if f["protocol"] == "TCP"]
        local, out, come = ([f for f in flows if f["client_port"] in [t.port for t in talks] and f["server_ip"] == at and f["client_ip"] == source]
                            for talks, at, source in ((inside, address(2), address(1)), (leaving, address(9), address(1)), (coming, address(2), address(9))))
        named = {"server_pod": "shop-7d9f", "server_pod_ns": "store", "server_workload": "Deployment/shop", "tap_mode": 1, "nic": "p0"}
        flows_agree("macvlan-pod-to-pod", local, inside, tap_side="local", client_pod=cart.name, client_mac=cart.mac("eth0"), **named)
        flows_agree("macvlan-pod-to-remote", out, leaving, tap_side="c", client_pod=cart.name, server_pod="db-0", server_pod_ns="far", server_workload="StatefulSet/db")
        flows_agree("macvlan-remote-to-pod", come, coming, tap_side="s", client_pod="db-0", **named)
        case(len(flows) == len(inside + leaving + coming), "macvlan-nothing-twice", f"{len(flows)} flows")
        http_agrees("macvlan-nginx", [r for r in c.requests if r["server_ip"] == address(2)], servers.logged())
        all_sessions("macvlan-sessions", c.requests, inside + leaving + coming)
        pods_of = {(r.get("client_pod"), r.get("server_pod")) for r in c.requests}
        case(pods_of == {(cart.name, "shop-7d9f"), (cart.name, "db-0"), ("db-0", "shop-7d9f")}, "macvlan-requests-name-pods", pods_of)
        case(outside.requests == sum(t.requests for t in leaving), "macvlan-remote-counts", outside.requests)
    outside.close()
    for n in (host, *pods):
        n.remove()


def vepa():
    """macvlan in the mode in which the switch sends back what is from pod to pod: the parent sees it twice, and it counts once."""
    host, sw = Stage("host"), Stage("switch")
    pair(host, "p0", sw, "down0")
    sw.ip("link add br0 type bridge mcast_snooping 0")
    sw.ip("link set br0 up")
    sw.ip("link set down0 master br0")
    sw.ip("link set down0 type bridge_slave hairpin on")
    pods = [Stage("cart"), Stage("shop")]
    for i, pod in enumerate(pods, 1):
        host.ip(f"link add link p0 name mv{i} type macvlan mode vepa")
        host.ip(f"link set mv{i} netns {pod.name} name eth0")
        pod.ip("link set eth0 up")
        pod.ip(f"addr add {address(i)}/24 dev eth0")
        pod.plain("eth0")
    cart, shop = pods
    for workers in (1, 2):
        name = f"vepa-{workers}-workers"
        with Servers(shop, address(2), ("nginx",)) as servers, capture(host, "-o", "tap_mode=1", "-o", "static_config.src-interfaces=[p0]", "--workers", str(workers)) as c:
            case(c.ready, f"{name}-starts", c.err)
            talks = together(*((http_talk, cart, address(2), 30, 80, 30 * i) for i in range(4)))
            c.stop(settle_s=0.1)
            ended_well(f"{name}-ledger", c)
            flows = [f for f in c.flows if f["protocol"] == "TCP"]
            flows_agree(f"{name}-flows", flows, talks, tap_mode=1, tap_side="local", client_pod=cart.name, server_pod=shop.name, nic="p0")
            case(all(0 <= f["packet_tx"] + f["packet_rx"] - f.get("duplicate_count", 0) <= 1 for f in flows), f"{name}-each-has-a-copy",
                 [(f.get("duplicate_count"), f["packet_tx"], f["packet_rx"]) for f in flows])
            http_agrees(f"{name}-nginx", c.requests, servers.logged())
            all_sessions(f"{name}-sessions", c.requests, talks)
    for n in (host, sw, *pods):
        n.remove()


def seen_at(name, c, talks, *places, pairs=True):
    """One case a place (nic, tap_side, …): a record of each connection there, as the clients counted; tied by one pair_id."""
    ports = {t.port for t in talks}
    flows = [f for f in c.flows if f["protocol"] == "TCP" and f["client_port"] in ports]
    for nic, side, *pods in places:
        wanted = dict(zip(("client_pod", "server_pod"), pods))
        flows_agree(f"{name}-at-{nic}", [f for f in flows if f["nic"] == nic], talks, tap_side=side, tap_mode=0, **wanted)
    case(len(flows) == len(talks) * len(places), f"{name}-nowhere-else", f"{len(flows)} records at {sorted({f['nic'] for f in flows})}")
    ties = {p: ({f["pair_id"] for f in flows if f["client_port"] == p}, {f["flow_id"] for f in flows if f["client_port"] == p}) for p in ports}
    case(all(len(pair) == 1 and len(own) == len(places) for pair, own in ties.values()), f"{name}-tied", ties)


def bridge():
    """Pods behind veth NICs on a bridge; the same flow at two NICs is two records."""
    host, remote = Stage("host"), Stage("remote")
    uplink(host, "eth0", remote, address(9))
    host.ip("link add br0 type bridge mcast_snooping 0")
    host.ip("link set br0 up")
    host.ip("link set eth0 master br0")
    pods = [Stage("cart"), Stage("shop")]
    for i, pod in enumerate(pods, 1):
        pair(host, f"veth{i}", pod, "eth0", None, address(i))
        host.ip(f"link set veth{i} master br0")
    remote.hide()
    cart, shop = pods
    outside = Responder(remote, address(9))
    for workers in (1, 2):
        with Servers(shop, address(2), ("nginx",)) as servers, capture(host, "-o", "tap_interface_regex=^(veth|eth)", "--workers", str(workers), nics=["veth1", "veth2", "eth0"]) as c:
            name = f"bridge-{workers}-workers"
            case(c.ready, f"{name}-starts", c.err)
            inside = together(*((http_talk, cart, address(2), 30, 80, 30 * i) for i in range(3)))
            leaving = together(*((http_talk, cart, address(9), 30) for i in range(3)))
            coming = [http_talk(remote, address(2), 20, 80, 1000)]
            c.stop(settle_s=0.1)
            ended_well(f"{name}-ledger", c)
            seen_at(f"{name}-pod-to-pod", c, inside, ("veth1", "c", cart.name, shop.name), ("veth2", "s", cart.name, shop.name))
            seen_at(f"{name}-pod-to-remote", c, leaving, ("veth1", "c", cart.name, None), ("eth0", "c-nd", cart.name, None))
            seen_at(f"{name}-remote-to-pod", c, coming, ("veth2", "s", None, shop.name), ("eth0", "s-nd", None, shop.name))
            logged = servers.logged()
            http_agrees(f"{name}-nginx", [r for r in c.requests if r["server_ip"] == address(2)], logged + logged)
    outside.close()
    for n in (host, *pods):
        n.remove()


def ipvlan():
    """Pods without addresses of their own on the wire: behind one MAC, the node's; only its NIC is captured."""
    host, remote = Stage("host"), Stage("remote")
    uplink(host, "eth0", remote, address(200))
    host.ip(f"addr add {address(201)}/24 dev eth0")
    host.run("sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.conf.eth0.proxy_arp=1 net.ipv4.neigh.eth0.proxy_delay=0")
    pods = [Stage("cart"), Stage("shop")]
    for i, pod in enumerate(pods, 1):
        pair(host, f"pod{i}", pod, "eth0")
        pod.ip(f"addr add {address(i)}/32 dev eth0")
        pod.ip("route add default dev eth0")
        host.run(f"sysctl -q -w net.ipv4.conf.pod{i}.proxy_arp=1 net.ipv4.neigh.pod{i}.proxy_delay=0")
        host.ip(f"route add {address(i)}/32 dev pod{i}")
    remote.hide()
    cart, shop = pods
    outside = Responder(remote, address(200))
    with Servers(shop, address(2), ("nginx",)) as servers, capture(host, "-o", "tap_interface_regex=^eth", nics=["eth0"]) as c:
        case(c.ready, "ipvlan-starts", c.err)
        inside = [http_talk(cart, address(2), 10)]
        leaving = together((http_talk, cart, address(200), 30), (http_talk, shop, address(200), 30))
        coming = [http_talk(remote, address(2), 20, 80, 1000)]
        c.stop(settle_s=0.1)
        ended_well("ipvlan-ledger", c)
        mac = host.mac("eth0")
        flows_agree("ipvlan-pods-to-remote", [f for f in c.flows if f.get("server_ip") == address(200)], leaving, tap_side="c-nd", client_mac=mac,
                    client_pod=lambda pod: pod in (cart.name, shop.name))
        flows_agree("ipvlan-remote-to-pod", [f for f in c.flows if f.get("client_ip") == address(200)], coming, tap_side="s-nd", server_mac=mac, server_pod=shop.name)
        of = {f["client_ip"]: f["client_pod"] for f in c.flows if f.get("server_ip") == address(200)}
        case(of == {address(1): cart.name, address(2): shop.name}, "ipvlan-pods-by-address", of)
        all_sessions("ipvlan-sessions", c.requests, leaving + coming)
        case(len(servers.logged()) == sum(t.requests for t in inside + coming), "ipvlan-pod-to-pod-is-not-seen-there", len(servers.logged()))
    outside.close()
    for n in (host, *pods):
        n.remove()


def switch(client, server):
    """Both on a bridge, the ports as they are called: pc and ps."""
    sw = Stage("switch")
    sw.ip("link add br0 type bridge mcast_snooping 0")
    sw.ip("link set br0 up")
    for n, nic, port, at in ((client, "c0", "pc", 1), (server, "s0", "ps", 2)):
        pair(n, nic, sw, port, address(at))
        sw.ip(f"link set {port} master br0")
    return sw


def span():
    """A switch's mirror port: both directions of one port, so that each packet comes once."""
    client, server, analyzer = Stage("cli"), Stage("srv"), Stage("analyzer")
    sw = switch(client, server)
    pair(sw, "span", analyzer, "mon0")
    mirror(sw, "pc", "span", "ingress", "egress")
    for workers in (1, 2):
        with Servers(server, address(2)) as servers, capture(analyzer, "-o", "tap_mode=2", "-o", "static_config.src-interfaces=[mon0]", "-o", "tap.types=[nic mon0 = core]",
                                                             "--workers", str(workers), nics=["mon0"]) as c:
            name = f"span-{workers}-workers"
            case(c.ready, f"{name}-starts", c.err)
            talks = together(*((http_talk, client, address(2), 60, 80, 60 * i) for i in range(3)), *((redis_talk, client, address(2), 40, 6379, 40 * i) for i in range(2)))
            c.stop(settle_s=0.1)
            ended_well(f"{name}-ledger", c)
            flows_agree(f"{name}-flows", [f for f in c.flows if f["protocol"] == "TCP"], talks, tap_mode=2, tap_side="rest", tap_type="core", nic="mon0")
            http_agrees(f"{name}-nginx", c.requests, servers.logged())
            redis_agrees(f"{name}-redis", c.requests, *servers.commands())
            all_sessions(f"{name}-sessions", c.requests, talks)
    for n in (client, server, analyzer, sw):
        n.remove()


def span_twice():
    """Both directions of both ports of a switch: each packet comes twice, and counts once."""
    client, server, analyzer = Stage("cli"), Stage("srv"), Stage("analyzer")
    sw = switch(client, server)
    pair(sw, "span", analyzer, "mon0")
    for port in ("pc", "ps"):
        mirror(sw, port, "span", "ingress", "egress")
    for workers in (1, 2):
        with Servers(server, address(2)) as servers, capture(analyzer, "-o", "tap_mode=2", "-o", "static_config.src-interfaces=[mon0]", "--workers", str(workers), nics=["mon0"]) as c:
            name = f"span-twice-{workers}-workers"
            case(c.ready, f"{name}-starts", c.err)
            talks = together(*((http_talk, client, address(2), 60, 80, 60 * i) for i in range(3)), *((redis_talk, client, address(2), 40, 6379, 40 * i) for i in range(2)))
            c.stop(settle_s=0.1)
            ended_well(f"{name}-ledger", c)
            flows = [f for f in c.flows if f["protocol"] == "TCP"]
            flows_agree(f"{name}-flows", flows, talks, tap_mode=2, tap_side="rest")
            # the copy of a connection's last packet comes when its record is out
            once = all(0 <= f["packet_tx"] + f["packet_rx"] - f["duplicate_count"] <= 1 for f in flows)
            case(once and c.terms["duplicates"] == c.terms["on flows"], f"{name}-each-has-a-copy", f"{[(f['duplicate_count'], f['packet_tx'], f['packet_rx']) for f in flows]} {c.terms}")
            http_agrees(f"{name}-nginx", c.requests, servers.logged())
            redis_agrees(f"{name}-redis", c.requests, *servers.commands())
            all_sessions(f"{name}-sessions", c.requests, talks)
    for n in (client, server, analyzer, sw):
        n.remove()


def loopback():
    """What a host says to itself: each packet is sent and received there, and counts once."""
    host = Stage("host")
    for workers in (1, 2):
        with Servers(host, "127.0.0.1") as servers, capture(host, "-o", "tap_interface_regex=^lo$", "--workers", str(workers), nics=["lo"]) as c:
            name = f"lo-{workers}-workers"
            case(c.ready, f"{name}-starts", c.err)
            talks = together(*((http_talk, host, "127.0.0.1", 60, 80, 60 * i) for i in range(3)), *((redis_talk, host, "127.0.0.1", 40, 6379, 40 * i) for i in range(2)))
            c.stop(settle_s=0.1)
            ended_well(f"{name}-ledger", c)
            case(2 * c.terms["second sight, not wanted"] == c.ledger["frames"] > 0, f"{name}-once", c.terms)
            flows_agree(f"{name}-flows", [f for f in c.flows if f["protocol"] == "TCP"], talks, tap_mode=0, tap_side="local", nic="lo")
            http_agrees(f"{name}-nginx", c.requests, servers.logged())
            redis_agrees(f"{name}-redis", c.requests, *servers.commands())
            all_sessions(f"{name}-sessions", c.requests, talks)
    host.remove()


def absent(*programs):
    return [p for p in programs if not shutil.which(p)]


def mariadb():
    if absent("mariadbd", "mariadb-install-db", "mariadb"):
        skip("mariadb", "needs mariadb-server")
        return
    client, server = Stage("cli"), Stage("srv")
    pair(client, "c0", server, "s0", address(1), address(2))
    kinds = ("SELECT", "INSERT", "UPDATE", "DELETE")
    with MariaDb(server, address(2)) as db:
        for workers in (1, 2):
            with capture(server, "-i", "s0", "--workers", str(workers), nics=["s0"]) as c:
                name = f"mariadb-{workers}-workers"
                case(c.ready, f"{name}-starts", c.err)
                before = db.counts(*kinds)
                some = [(f"INSERT INTO t VALUES ({n}, 0)", f"SELECT {n} AS id, REPEAT('x', {n * 29 % 1800}) AS filling", f"UPDATE t SET v = v + 1 WHERE id <= {n}", f"SELECT {n} FROM missing",
                         f"DELETE FROM t WHERE id = {n}")[n % 5 if n % 5 < 4 else 4] for n in range(300)]
                failed = db.run(client, some)
                c.stop(settle_s=0.1)
                counted = db.counts(*kinds) - before
                ended_well(f"{name}-ledger", c)
                mine = [r for r in c.requests if r["l7_protocol"] == "MySQL" and r["type"] == "session"]
                found = Counter(r["request_resource"].split()[0] for r in mine if r.get("request_type") == "COM_QUERY" and r["request_resource"] in set(some))
                errors = sum(r["response_status"] in ("client_error", "server_error") for r in mine)
                case(found == Counter(s.split()[0] for s in some) == counted, f"{name}-statements", f"{found}, the server counted {counted}")
                case(errors == failed >= 60, f"{name}-errors", f"{errors}, the client counted {failed}")
    client.remove()
    server.remove()


def kafka():
    if absent("gcc", "kcat") or not os.path.exists("/usr/include/librdkafka/rdkafka_mock.h"):
        skip("kafka", "needs librdkafka-dev and kcat")
        return
    host = Stage("host")
    with KafkaMock(host) as mock, capture(host, "-i", "lo", "--workers", "2", nics=["lo"]) as c:
        case(c.ready, "kafka-starts", c.err)
        text = "\n".join(f"message {n} {'k' * (n * 31 % 500)}" for n in range(400)) + "\n"
        done = subprocess.run(["nsenter", f"--net={host.path}", "kcat", "-b", mock.broker, "-P", "-t", "orders", "-X", "linger.ms=0", "-X", "batch.num.messages=5"], input=text, text=True,
                              capture_output=True, timeout=30, check=False)
        got = subprocess.run(["nsenter", f"--net={host.path}", "kcat", "-b", mock.broker, "-C", "-t", "orders", "-e", "-o", "beginning", "-q"], text=True, capture_output=True, timeout=30, check=False,
                             stdin=subprocess.DEVNULL)
        case(done.returncode == 0 and sorted(got.stdout.splitlines()) == sorted(text.splitlines()), "kafka-client", f"{done.stderr} {got.stderr} {len(got.stdout)}")
        c.stop(settle_s=0.2)
        ended_well("kafka-ledger", c)
        found, counted = Counter(r["request_type"] for r in c.requests if r["l7_protocol"] == "Kafka" and r["type"] in ("session", "request")), mock.received()
        counted["ApiVersions"] += counted.pop("ApiVersion", 0)  # its name there
        case(found == counted and found["Produce"] > 20 and found["Fetch"] > 0, "kafka-requests", f"{found}, the broker counted {counted}")
    host.remove()


def vxlan():
    """A mirror that sends what it sees in a tunnel to the analyzer's address."""
    client, server, analyzer = Stage("cli"), Stage("srv"), Stage("analyzer")
    sw = switch(client, server)
    pair(sw, "u0", analyzer, "mon0", address(11), address(12), mtu=1600)
    sw.ip(f"link add vx0 type vxlan id 4711 local {address(11)} remote {address(12)} dstport 4789 dev u0")
    sw.ip("link set vx0 mtu 1500 up")
    mirror(sw, "pc", "vx0", "ingress", "egress")
    for workers in (1, 2):
        with Servers(server, address(2)) as servers, capture(analyzer, "-o", "tap_mode=2", "-o", "static_config.src-interfaces=[mon0]", "-o", "tap.types=[vni 4000-4999 = tenant]",
                                                             "--workers", str(workers), nics=["mon0"]) as c:
            name = f"vxlan-{workers}-workers"
            case(c.ready, f"{name}-starts", c.err)
            talks = together(*((http_talk, client, address(2), 60, 80, 60 * i) for i in range(3)), (redis_talk, client, address(2), 40))
            c.stop(settle_s=0.1)
            ended_well(f"{name}-ledger", c)
            around = [{"type": "VXLAN", "id": 4711, "source": address(11), "target": address(12)}]
            flows_agree(f"{name}-flows", [f for f in c.flows if f["protocol"] == "TCP"], talks, client_ip=address(1), server_ip=address(2), tunnel=around, tap_type="tenant",
                        client_mac=client.mac("c0"), server_mac=server.mac("s0"))
            http_agrees(f"{name}-nginx", c.requests, servers.logged())
            redis_agrees(f"{name}-redis", c.requests, *servers.commands())
            all_sessions(f"{name}-sessions", c.requests, talks)
            handed = sum(w["handed"] for w in c.ledger["workers"])
            case(handed == 0, f"{name}-steered-by-what-is-inside", f"{handed} frames were handed over")
    for n in (client, server, analyzer, sw):
        n.remove()


def fragmented_vxlan():
    """A mirror in a tunnel whose network takes no packet that long: large segments come as fragments, small ones whole."""
    client, server, analyzer = Stage("cli"), Stage("srv"), Stage("analyzer")
    sw = switch(client, server)
    pair(sw, "u0", analyzer, "mon0", address(11), address(12))
    sw.ip(f"link add vx0 type vxlan id 4711 local {address(11)} remote {address(12)} dstport 4789")
    sw.ip("link set vx0 mtu 1500 up")
    sw.plain("vx0")
    mirror(sw, "pc", "vx0", "ingress", "egress")
    # a machine that stalls a worker for longer than the merge window makes its packets late: then once more
    for workers, last in ((1, True), (2, False), (2, False), (2, True)):
        with capture(analyzer, "-o", "tap_mode=2", "-o", "static_config.src-interfaces=[mon0]", "--workers", str(workers), nics=["mon0"]) as c:
            name = f"fragments-{workers}-workers"
            case(c.ready, f"{name}-starts", c.err)
            retransmits(client, server, address(2), 8999, 20_000, 20_000)  # from the first large segment on, workers put all into order
            truth = together(*((retransmits, client, server, address(2), 9000 + i, 300_000 + 1000 * i, 200_000) for i in range(4)))
            c.stop(settle_s=0.1)
            ended_well(f"{name}-ledger", c)
            flows = {f["client_port"]: f for f in c.flows if f["protocol"] == "TCP"}
            wrong, fragments = [], 0
            for t in truth:
                f = flows.get(t["port"], {})
                fragments += f.get("fragments", 0)
                for key, value in (("l4_byte_tx", t["bytes_tx"]), ("l4_byte_rx", t["bytes_rx"]), ("retrans_tx", t["tx"]), ("retrans_rx", t["rx"]), ("ooo_tx", 0), ("ooo_rx", 0), ("gap_bytes", None),
                                   ("close_type", "tcp_fin")):
                    # on a busy machine a sender may repeat what was only late
                    if f.get(key) != value and not (t["tx"] + t["rx"] and key.startswith(("retrans", "ooo"))):
                        wrong.append(f"{t['port']}: {key} is {f.get(key)}, not {value}")
                more = f.get("packet_tx", 0) + f.get("packet_rx", 0) - f.get("fragments", 0) // 2
                if more != t["packets_tx"] + t["packets_rx"]:  # a segment in two fragments counts as two
                    wrong.append(f"{t['port']}: {more} segments, not {t['packets_tx'] + t['packets_rx']}")
            stalled = c.ledger["reordered"] + c.terms["after their flow closed"] > 0
            if wrong and stalled and not last:
                continue
            case(not wrong and fragments > 2000, f"{name}-in-order", f"{fragments} fragments; {'; '.join(wrong[:6])}")
            if workers == 2:
                break
    for n in (client, server, analyzer, sw):
        n.remove()


def vlans():
    """Tagged frames as a switch's mirror has them: one tag, two, and priorities."""
    sw, analyzer = Stage("switch"), Stage("analyzer")
    pair(sw, "out", analyzer, "mon0")
    types = "[vlan 100 inner-vlan 7 = tenant-7, vlan 100 = core-a, vlan 200-299 pcp 5 = voice, vlan 200-299 = core-b, inner-vlan 9 = tenant-9]"
    kinds = {(): None, (100,): "core-a", (100, 7): "tenant-7", (100, 8): "core-a", (5 << 13 | 250,): "voice", (3 << 13 | 250,): "core-b", (300, 9): "tenant-9", (300,): None}
    for workers in (1, 2):
        with capture(analyzer, "-o", "tap_mode=2", "-o", "static_config.src-interfaces=[mon0]", "-o", f"tap.types={types}", "--workers", str(workers), nics=["mon0"]) as c:
            name = f"vlans-{workers}-workers"
            case(c.ready, f"{name}-starts", c.err)
            wanted, frames = {}, []
            for i, (tags, kind) in enumerate(kinds.items()):
                for k in range(25):
                    frame = udp_frame(1000 * i + k, 100 + 10 * len(tags), vlan=tags)
                    frames.append(frame)
                    wanted[f"10.1.{(1000 * i + k) >> 8 & 255}.{(1000 * i + k) & 255}"] = ([t & 0xfff for t in tags] or None, kind, len(frame))
            sent = sw.call(send_frames, "out", frames)
            c.stop(settle_s=0.1)
            ended_well(f"{name}-ledger", c)
            found = {f["server_ip"]: (f.get("vlan"), f.get("tap_type"), f["byte_tx"]) for f in c.flows if f["protocol"] == "UDP"}
            wrong = [(ip, found.get(ip), w) for ip, w in wanted.items() if found.get(ip) != w]
            case(sent == len(frames) == len(found) and not wrong, f"{name}-tags-and-types", f"{len(found)} flows of {sent} frames; {wrong[:4]}")
    for n in (sw, analyzer):
        n.remove()


def optical_tap():
    """Two fibres, one for each direction, on two NICs of the analyzer; and packets that are lost beyond the tap."""
    client, server, analyzer = Stage("cli"), Stage("srv"), Stage("analyzer")
    pair(client, "c0", server, "s0", address(1), address(2))
    for n, nic, at in ((client, "c0", "mon0"), (server, "s0", "mon1")):
        pair(n, "fibre", analyzer, at)
        mirror(n, nic, "fibre", "ingress")
        n.ip("link add sink type veth peer name drain")
        n.ip("link set sink up")
        n.ip("link set drain up")
        # each frame of more than 200 bytes is lost with a probability of 1/30, after it was mirrored
        n.run(f"tc filter add dev {nic} ingress protocol all pref 2 bpf bytecode '6,128 0 0 0,37 0 3 200,32 0 0 4294963256,53 1 0 143165576,6 0 0 4294967295,6 0 0 0' "
              "action mirred egress redirect dev sink")
    for workers in (1, 2):
        with capture(analyzer, "-o", "tap_mode=2", "-o", "static_config.src-interfaces=[mon0, mon1]", "--workers", str(workers), nics=["mon0", "mon1"]) as c:
            name = f"tap-{workers}-workers"
            case(c.ready, f"{name}-starts", c.err)
            # both ends send, so that both directions lose
            truth = together(*((retransmits, client, server, address(2), 9000 + i, 300_000 + 1000 * i, 200_000) for i in range(4)))
            c.stop(settle_s=0.1)
            ended_well(f"{name}-ledger", c)
            flows = {f["client_port"]: f for f in c.flows if f["protocol"] == "TCP"}
            case(len(c.flows) == len(truth) and set(flows) == {t["port"] for t in truth}, f"{name}-one-flow-each", f"{len(c.flows)} flows")
            wrong, repeated = [], 0
            for t in truth:
                f = flows.get(t["port"], {})
                repeated += t["tx"] + t["rx"]
                for key, value in (("retrans_tx", t["tx"]), ("retrans_rx", t["rx"]), ("server_port", t["server_port"]), ("client_ip", address(1)), ("tap_side", "rest"), ("gap_bytes", None),
                                   ("packet_tx", t["packets_tx"]), ("packet_rx", t["packets_rx"]), ("l4_byte_tx", t["bytes_tx"]), ("l4_byte_rx", t["bytes_rx"])):
                    if f.get(key) != value:
                        wrong.append(f"{t['port']}: {key} is {f.get(key)}, not {value}")
                if not f.get("rtt_ns", 0) > 0 or f.get("rtt_client_ns", -1) < 0 or f.get("rtt_server_ns", -1) < 0:
                    wrong.append(f"{t['port']}: rtt {f.get('rtt_ns')}")
            case(not wrong and repeated > 20, f"{name}-retransmissions", f"{repeated} of TCP_INFO; {'; '.join(wrong)}")
    for n in (client, server, analyzer):
        n.remove()


def veth_pair():
    """A client and real servers on a wire; one end of it is captured."""
    client, server = Stage("cli"), Stage("srv")
    pair(client, "c0", server, "s0", address(1), address(2))
    for workers in (1, 2):
        with Servers(server, address(2)) as servers, capture(server, "-i", "s0", "--workers", str(workers), nics=["s0"]) as c:
            name = f"pair-{workers}-workers"
            case(c.ready, f"{name}-starts", c.err)
            talks = together(*((http_talk, client, address(2), 60, 80, 60 * i) for i in range(6)), *((redis_talk, client, address(2), 40, 6379, 40 * i) for i in range(4)))
            c.stop(settle_s=0.1)
            ended_well(f"{name}-ledger", c)
            flows_agree(f"{name}-flows", [f for f in c.flows if f["protocol"] == "TCP"], talks, tap_mode=0, tap_side="c", nic="s0", client_pod=client.name,
                        client_mac=client.mac("c0"), server_mac=server.mac("s0"), close_type="tcp_fin")
            http_agrees(f"{name}-nginx", c.requests, servers.logged())
            redis_agrees(f"{name}-redis", c.requests, *servers.commands())
            all_sessions(f"{name}-sessions", c.requests, talks)
            # the kernel's own stamps may cross when two CPUs send
            case(c.ledger["reordered"] <= c.ledger["frames"] / 100, f"{name}-in-order", c.ledger["reordered"])
            case(sum(w["packets"] for w in c.ledger["workers"]) == c.terms["on flows"] + c.terms["after their flow closed"], f"{name}-workers", c.ledger["workers"])
    client.remove()
    server.remove()


PARTS = {"pair": veth_pair, "macvlan": macvlan, "vepa": vepa, "bridge": bridge, "ipvlan": ipvlan, "lo": loopback, "mariadb": mariadb, "kafka": kafka, "span": span, "span-twice": span_twice, "vxlan": vxlan, "fragments": fragmented_vxlan, "vlans": vlans, "tap": optical_tap}


def main():
    reason = missing()
    if reason:
        skip("run-topologies", reason)
        finish()
    remove_leftovers()
    for name, part in PARTS.items():
        if len(sys.argv) < 3 or name in sys.argv[2:]:
            try:
                part()
            except Exception as e:  # whatever it is, the others run
                case(False, name, f"{type(e).__name__}: {e}")
                remove_all()
    finish()


if __name__ == "__main__":
    main()
