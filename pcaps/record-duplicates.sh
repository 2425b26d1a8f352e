#!/bin/bash
# record-duplicates.sh [NAME...]  |  record-duplicates.sh --list
#
# Records the captures in which mirrors show packets several times: real servers and clients in network namespaces that this
# script makes and removes, a switch or router between them whose ports are mirrored by tc, and packets that get lost, so that
# there are true retransmissions and duplicate ACKs beside the copies. NAME.truth.json says what client and server counted,
# and which frames are copies: known from where they were mirrored (tools/sights.py). Goldens are not touched.
#
# Needs root and the packages of scripts/install-deps.sh --record.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
tools=$here/tools
. "$tools/wire.sh"
c6=2001:db8::10 s6=2001:db8::80
cmac=02:00:00:00:00:10 smac=02:00:00:00:00:80

client() { at $cli timeout 60 python3 "$tools/client.py" "$@"; }
server() { start ip netns exec $srv python3 "$tools/servers.py" "$@"; }
lose() { # NAMESPACE FAMILY HOOK RULE
	at "$1" nft -f - <<-N
	table $2 loss_$3 {
		chain drops {
			type filter hook $3 priority 0
			$4
		}
	}
	N
}
up6() { # NAMESPACE DEVICE ADDRESS
	at "$1" sysctl -qw net.ipv6.conf."$2".disable_ipv6=0 net.ipv6.conf."$2".accept_dad=0 net.ipv6.conf."$2".router_solicitations=0
	ip -n "$1" addr add "$3" dev "$2" nodad
}
bare() { # no timestamps, no SACK: what is sent again, and duplicate ACKs, equal what they repeat
	local n
	for n in $cli $srv; do at $n sysctl -qw net.ipv4.tcp_timestamps=0 net.ipv4.tcp_sack=0; done
}
three() { # client - pc [middle] ps - server; the middle has two ports for mirrors, m1 and m2, whose far ends are t1 and t2
	network_down
	local n
	for n in $cli $mid $srv; do ip netns add "$n"; done
	ip link add vc address $cmac netns $cli type veth peer name pc address 02:00:00:00:00:01 netns $mid
	ip link add vs address $smac netns $srv type veth peer name ps address 02:00:00:00:00:02 netns $mid
	for n in 1 2; do
		ip link add m$n netns $mid type veth peer name t$n netns $mid
		up $mid m$n
		up $mid t$n
	done
	at $mid tc qdisc add dev pc clsact
	at $mid tc qdisc add dev ps clsact
}
switched() {
	three
	ip -n $mid link add br0 type bridge mcast_snooping 0
	ip -n $mid link set br0 up
	up $mid pc
	up $mid ps
	ip -n $mid link set pc master br0
	ip -n $mid link set ps master br0
	up $cli vc $c4/24
	up $srv vs $s4/24
	up6 $cli vc $c6/64
	up6 $srv vs $s6/64
	sleep 0.5
}
routed() {
	three
	up $mid pc 198.51.100.1/24
	up $mid ps 192.0.2.1/24
	up $cli vc 198.51.100.10/24
	up $srv vs $s4/24
	up6 $mid pc 2001:db8:1::1/64
	up6 $mid ps 2001:db8::1/64
	up6 $cli vc 2001:db8:1::10/64
	up6 $srv vs $s6/64
	at $mid sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	ip -n $cli route add default via 198.51.100.1
	ip -n $srv route add default via 192.0.2.1
	ip -n $cli -6 route add default via 2001:db8:1::1
	ip -n $srv -6 route add default via 2001:db8::1
	sleep 0.5
}
mirror() { # PORT ingress|egress TO...
	local port=$1 way=$2 actions=() to
	shift 2
	for to; do actions+=(action mirred egress mirror dev "$to"); done
	at $mid tc filter add dev "$port" "$way" protocol "${mirrored:-all}" u32 match u32 0 0 "${actions[@]}"
}
mirror_span() { # t1: each packet once, as it comes in; t2: each port, both directions
	mirror pc ingress m1 m2
	mirror ps ingress m1 m2
	mirror pc egress m2
	mirror ps egress m2
}

nginx_up() {
	local s
	mkdir -p "$work/www"
	for s in 200 12000; do
		python3 -c "import random; r=random.Random($s); print('<p>'+''.join(r.choice('abcdefgh <>/') for _ in range($s-4)))" >"$work/www/f$s.html"
	done
	cat >"$work/nginx.conf" <<-N
	worker_processes 1; daemon off; pid $work/nginx.pid; error_log $work/error.log; user root;
	events { worker_connections 64; }
	http {
		log_format truth escape=json '{"port":\$remote_port,"method":"\$request_method","target":"\$request_uri","status":\$status,"in":\$request_length,"out":\$bytes_sent}';
		access_log $work/access.log truth;
		client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
		default_type text/html; client_body_buffer_size 64k;
		server {
			listen $s4:80; listen [$s6]:80; root $work/www;
			location /up { proxy_pass http://127.0.0.1:8081; }
		}
		server { listen 127.0.0.1:8081; access_log off; location / { return 200 "thanks\n"; } }
	}
	N
	start ip netns exec $srv nginx -c "$work/nginx.conf" -p "$work"
	tcp_ready 80
	: >"$work/access.log"
}

# Each device into $work/DEVICE.pcap. -- COMMAND...
capture() { # FILTER DEVICE... -- COMMAND...
	local filter=$1 devices=() dev i dumps=()
	shift
	while [ "$1" != -- ]; do devices+=("$1"); shift; done
	shift
	for dev in "${devices[@]}"; do
		ip netns exec $mid tcpdump -Z root --immediate-mode --time-stamp-precision=nano -i "$dev" -U -B 16384 -s 0 -w "$work/$dev.pcap" "$filter" 2>"$work/tcpdump-$dev" &
		dumps+=($!)
		pids+=($!)
		for i in $(seq 60); do grep -qs 'listening on' "$work/tcpdump-$dev" && break; sleep 0.1; done
	done
	sleep 0.3
	"$@" >"$work/client.json"
	sleep 0.5
	kill -TERM "${dumps[@]}"
	wait "${dumps[@]}" || true
	for dev in "${devices[@]}"; do
		grep -q '^0 packets dropped by kernel' "$work/tcpdump-$dev" || { cat "$work/tcpdump-$dev" >&2; return 1; }
	done
}
http_truth() { sleep 0.2; python3 "$tools/truth.py" merge "$work/client.json" "$work/access.log" "$work/truth.json"; }
client_truth() { python3 "$tools/truth.py" client "$work/client.json" "$work/truth.json"; }
keep() { # FILE
	local name=${1%%.pcap*}
	mv "$work/$1" "$here/$1"
	mv "$work/truth.json" "$here/$name.truth.json"
	printf 'dedup:\n  enabled: on\n' >"$here/$name.yaml"
	echo "recorded $1: $(stat -c %s "$here/$1") bytes"
}
span() { # NAME FILTER TRUTH COMMAND...: mirrored twice
	local name=$1 filter=$2 truth=$3
	shift 3
	capture "$filter" t1 t2 -- "$@"
	$truth
	python3 "$tools/sights.py" span "$work/t2.pcap" "$work/t1.pcap" "$work/$name.pcap" "$work/truth.json"
	keep "$name.pcap"
}

# what the servers and clients behind the mirrors do not get, and send again
lossy_ends() {
	lose $srv inet input 'meta length > 100 tcp dport 80 numgen inc mod 13 5 drop;'
	lose $cli inet input 'meta length > 100 tcp sport 80 numgen inc mod 11 7 drop;'
}

capture_dup_span() {
	switched
	mirror_span
	nginx_up
	span dup-span "tcp port 80" http_truth client mirrored $s4 80
}
capture_dup_span_loss() {
	switched
	mirror_span
	nginx_up
	lossy_ends
	span dup-span-loss "tcp port 80" http_truth client mirrored $s4 80
}
capture_dup_span6_loss() {
	switched
	mirror_span
	bare
	nginx_up
	lossy_ends
	span dup-span6-loss "tcp port 80" http_truth client mirrored $s6 80
}
# the switch itself loses: what it lost was seen once, as it came in
capture_dup_switch6_loss() {
	switched
	mirror_span
	bare
	nginx_up
	lose $mid bridge forward 'meta length > 100 numgen inc mod 11 4 drop'
	span dup-switch6-loss "tcp port 80" http_truth client mirrored $s6 80
}
# nothing is mirrored twice, so nothing may go
capture_dup_none6_loss() {
	switched
	mirror pc ingress m1
	mirror ps ingress m1
	bare
	nginx_up
	lossy_ends
	capture "tcp port 80" t1 -- client mirrored $s6 80
	http_truth
	python3 "$tools/sights.py" span "$work/t1.pcap" "$work/t1.pcap" "$work/dup-none6-loss.pcap" "$work/truth.json"
	keep dup-none6-loss.pcap
}
# both sides of a router, which loses as well
capture_dup_routed6_loss() {
	routed
	bare
	nginx_up
	lossy_ends
	lose $mid inet forward 'meta length > 100 numgen inc mod 17 4 drop;'
	capture "tcp port 80" pc ps -- client mirrored $s6 80
	http_truth
	python3 "$tools/sights.py" merge "$work/dup-routed6-loss.pcapng" "$work/truth.json" "from=$cmac,$smac" "$work/pc.pcap" "$work/ps.pcap"
	keep dup-routed6-loss.pcapng
}
# as it comes in, plain; as it leaves, in VXLAN
capture_dup_vxlan_loss() {
	switched
	ip -n $mid addr add 203.0.113.1/24 dev m2
	ip -n $mid neigh add 203.0.113.2 lladdr 02:00:00:00:00:99 dev m2
	ip -n $mid link add vx0 type vxlan id 4242 local 203.0.113.1 remote 203.0.113.2 dstport 4789 dev m2
	ip -n $mid link set m2 mtu 1600
	ip -n $mid link set t2 mtu 1600
	at $mid sysctl -qw net.ipv6.conf.vx0.disable_ipv6=1
	ip -n $mid link set vx0 mtu 1500 up
	local mirrored=ip
	mirror pc ingress m1
	mirror ps ingress m1
	mirror pc egress vx0
	mirror ps egress vx0
	bare
	nginx_up
	lossy_ends
	capture "tcp port 80 or udp port 4789" t1 t2 -- client mirrored $s4 80
	http_truth
	python3 "$tools/sights.py" merge "$work/dup-vxlan-loss.pcapng" "$work/truth.json" interface=0 "$work/t1.pcap" "$work/t2.pcap"
	keep dup-vxlan-loss.pcapng
}
# echo by UDP and ICMP, the same text again and again
capture_dup_udp() {
	switched
	mirror_span
	server udp-echo $s4 5300
	sleep 0.7
	both() { client repeated $s4 5300; client ping $s4 >/dev/null; }
	span dup-udp "udp port 5300 or icmp" client_truth both
}
capture_dup_fragments() {
	switched
	mirror_span
	server udp-echo $s4 5300
	sleep 0.7
	span dup-fragments "udp or ip[6:2] & 0x3fff != 0" client_truth client datagrams $s4 5300
}

# --- derived: what these machines do not do by themselves
capture_dup_noid_loss() { # identifications of 0
	switched
	mirror_span
	bare
	nginx_up
	lossy_ends
	capture "tcp port 80" t1 t2 -- client mirrored $s4 80
	http_truth
	python3 "$tools/sights.py" span "$work/t2.pcap" "$work/t1.pcap" "$work/with-id.pcap" "$work/truth.json"
	python3 "$tools/pcapedit.py" -o ns "$work/with-id.pcap" "$work/dup-noid-loss.pcap" noid
	keep dup-noid-loss.pcap
}
capture_dup_vlan_loss() { # each frame once more at another port, tagged, 40 us later
	[ -e "$here/dup-none6-loss.pcap" ] || { echo "dup-vlan-loss: record dup-none6-loss first" >&2; return 1; }
	python3 "$tools/pcapedit.py" -o pcapng-ns "$here/dup-none6-loss.pcap" "$work/dup-vlan-loss.pcapng" tagged:100:40000
	cp "$here/dup-none6-loss.truth.json" "$work/truth.json"
	python3 "$tools/sights.py" named "$work/dup-vlan-loss.pcapng" "$work/truth.json" interface=0
	keep dup-vlan-loss.pcapng
}

names() { grep -oE '^capture_[a-z0-9_]+' "$here/record-duplicates.sh" | sed 's/^capture_//'; }

main() {
	if [ "${1:-}" = --list ]; then names | tr _ -; return; fi
	[ "$(id -u)" = 0 ] || { echo "record-duplicates.sh needs root: it makes network namespaces" >&2; return 3; }
	local tool name
	for tool in ip tc ethtool nft tcpdump nginx python3; do
		command -v $tool >/dev/null || { echo "record-duplicates.sh needs $tool: scripts/install-deps.sh --record" >&2; return 3; }
	done
	[ $# -gt 0 ] || set -- $(names)
	for name; do
		name=${name//-/_}
		declare -F "capture_$name" >/dev/null || { echo "no capture $name; record-duplicates.sh --list names them" >&2; return 2; }
		"capture_$name"
	done
}
main "$@"
