#!/bin/bash
# record.sh [NAME...]  |  record.sh --list
#
# Records the captures of this folder again: real servers and clients between network namespaces that this script makes
# and removes, and captures derived from those with tools/pcapedit.py. Each recording leaves NAME.pcap (or what its name
# says) and NAME.truth.json, what client and server counted; nothing is replaced unless the two agree. Goldens are not
# touched: `tapscope verify pcaps` shows what changed, `--update` accepts it.
# Needs root and the packages of scripts/install-deps.sh --record.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
tools=$here/tools
id=$$
cli=tsrec-c-$id srv=tsrec-s-$id mid=tsrec-m-$id
c4=192.0.2.10 s4=192.0.2.80 c6=2001:db8::10 s6=2001:db8::80
work=$(mktemp -d /tmp/tsrec-XXXXXX)
chmod 755 "$work"
pids=()
export PYTHONDONTWRITEBYTECODE=1

stop_all() {
	local p
	for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
	for p in "${pids[@]}"; do wait "$p" 2>/dev/null || true; done
	pids=()
}
finish() {
	stop_all
	local n
	for n in $cli $srv $mid; do ip netns del "$n" 2>/dev/null || true; done
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

at() { ip netns exec "$@"; }
start() { "$@" >>"$work/log" 2>&1 & pids+=($!); }
client() { at $cli timeout 60 python3 "$tools/client.py" "$@"; }
server() { start ip netns exec $srv python3 "$tools/servers.py" "$@"; }

plain() { # NAMESPACE DEVICE: frames as on a wire, without what the kernel would have the card do
	at "$1" ethtool -K "$2" tso off gso off gro off tx off rx off sg off >/dev/null 2>&1 || true
}
up() { # NAMESPACE DEVICE ADDRESS...
	local ns=$1 dev=$2 a
	shift 2
	ip -n "$ns" link set lo up
	at "$ns" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf."$dev".accept_dad=0 \
		net.ipv6.conf."$dev".router_solicitations=0 2>/dev/null || true
	for a; do
		case $a in *:*) ip -n "$ns" addr add "$a" dev "$dev" nodad ;; *) ip -n "$ns" addr add "$a" dev "$dev" ;; esac
	done
	ip -n "$ns" link set "$dev" up
	plain "$ns" "$dev"
}
network_down() {
	stop_all
	local n
	for n in $cli $srv $mid; do ip netns del "$n" 2>/dev/null || true; done
}
network() { # client and server on one wire
	network_down
	ip netns add $cli
	ip netns add $srv
	ip link add vc address 02:00:00:00:00:10 netns $cli type veth peer name vs address 02:00:00:00:00:80 netns $srv
	up $cli vc $c4/24 $c6/64
	up $srv vs $s4/24 $s6/64
	sleep 0.3
}
routed() { # client - router - server; the router forgets packets by the rules of $1 (nft, in the forward hook)
	network_down
	local n
	for n in $cli $mid $srv; do ip netns add "$n"; done
	ip link add vc netns $cli type veth peer name mc netns $mid
	ip link add vs netns $srv type veth peer name ms netns $mid
	up $cli vc 198.51.100.10/24
	up $mid mc 198.51.100.1/24
	up $mid ms 192.0.2.1/24
	up $srv vs $s4/24
	ip -n $cli route add default via 198.51.100.1
	ip -n $srv route add default via 192.0.2.1
	at $mid sysctl -qw net.ipv4.ip_forward=1
	at $mid nft -f - <<-N
	table ip loss {
		chain forward {
			type filter hook forward priority 0
			$1
		}
	}
	N
	sleep 0.3
}

nginx_up() {
	local s
	mkdir -p "$work/www/forbidden"
	for s in 200 1000 4000 64000; do
		[ -e "$work/www/f$s.html" ] || python3 -c "import random,sys; r=random.Random($s); print('<p>'+''.join(r.choice('abcdefgh <>/') for _ in range($s-4)))" >"$work/www/f$s.html"
	done
	[ -e "$work/key.pem" ] || openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 3650 \
		-subj /CN=secure.example.com >/dev/null 2>&1
	: >"$work/access.log"
	cat >"$work/nginx.conf" <<-N
	worker_processes 1; daemon off; pid $work/nginx.pid; error_log $work/error.log; user root;
	events { worker_connections 1024; }
	http {
		log_format truth escape=json '{"port":\$remote_port,"method":"\$request_method","target":"\$request_uri","status":\$status,"in":\$request_length,"out":\$bytes_sent}';
		access_log $work/access.log truth;
		client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
		default_type text/html; gzip on; gzip_min_length 100; etag on;
		keepalive_requests 10000; client_max_body_size 1m; large_client_header_buffers 4 8k;
		map \$http_upgrade \$connection_upgrade { default upgrade; '' close; }
		server {
			listen $s4:80; listen [$s6]:80; listen 127.0.0.1:80; listen 10.0.0.80:80; listen $s4:443 ssl;
			ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem; ssl_protocols TLSv1.2 TLSv1.3;
			root $work/www;
			location /whoami { return 200 "\$host \$server_protocol\n"; }
			location /echo { return 200 "thanks\n"; }
			location /with { return 200 "spaces\n"; }
			location /nothing { return 204; }
			location /forbidden/ { }
			location /moved { return 301 /whoami; }
			location /found { return 302 http://api.example.com/whoami; }
			location ~ ^/return/(\d+) { error_page 418 =401 /401; if (\$uri = /return/401) { return 401; } if (\$uri = /return/403) { return 403; }
				if (\$uri = /return/410) { return 410; } if (\$uri = /return/429) { return 429; } if (\$uri = /return/500) { return 500; } return 503; }
			location /up { proxy_pass http://127.0.0.1:8081; proxy_http_version 1.1; }
			location /delay { proxy_pass http://127.0.0.1:8081; }
			location /proxied { proxy_pass http://127.0.0.1:8081; proxy_set_header X-Request-ID \$request_id; proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for; }
			location /slow { proxy_pass http://127.0.0.1:8081; proxy_read_timeout 1s; }
			location /gone-upstream { proxy_pass http://127.0.0.1:9; }
			location /ws { proxy_pass http://127.0.0.1:8082; proxy_http_version 1.1; proxy_set_header Upgrade \$http_upgrade; proxy_set_header Connection \$connection_upgrade; }
		}
		server { listen $s4:8080 http2; root $work/www; access_log off; location /whoami { return 200 "two\n"; } }
	}
	N
	at $srv sysctl -qw net.ipv4.ip_nonlocal_bind=1 net.ipv6.ip_nonlocal_bind=1
	start ip netns exec $srv nginx -c "$work/nginx.conf" -p "$work"
	server upstream 127.0.0.1 8081
	server websocket 127.0.0.1 8082
	local i
	for i in $(seq 50); do
		if at $srv python3 -c "import socket; [socket.create_connection(('127.0.0.1', p), 1) for p in (80, 8081, 8082)]" 2>/dev/null; then
			sleep 0.2
			: >"$work/access.log"
			return
		fi
		sleep 0.1
	done
	echo "nginx did not start:" >&2
	cat "$work/log" "$work/error.log" >&2
	return 1
}
tcp_ready() { # ADDRESS PORT, on the server
	local i
	for i in $(seq 50); do
		[ -n "$(at $srv ss -Hltn "sport = :$2")" ] && return
		sleep 0.1
	done
	echo "nothing listens on $2" >&2
	return 1
}

# record FILE NAMESPACE DEVICE FILTER TCPDUMP-OPTIONS -- COMMAND...   the command's output goes to $work/client.json
record() {
	local file=$1 ns=$2 dev=$3 filter=$4 options=() i
	shift 4
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	shift
	rm -f "$work/tcpdump"
	ip netns exec "$ns" tcpdump -Z root --immediate-mode -i "$dev" -U -B 16384 -s 0 "${options[@]}" -w "$work/rec" "$filter" 2>"$work/tcpdump" &
	local dump=$!
	pids+=($dump)
	for i in $(seq 60); do grep -qs 'listening on' "$work/tcpdump" && break; sleep 0.1; done
	sleep 0.2
	"$@" >"$work/client.json"
	sleep 0.4
	kill -TERM $dump
	wait $dump || true
	grep -q '^0 packets captured' "$work/tcpdump" && { echo "$file: nothing was captured" >&2; return 1; }
	grep -q '^0 packets dropped by kernel' "$work/tcpdump" || { echo "tcpdump lost packets" >&2; cat "$work/tcpdump" >&2; return 1; }
	mv "$work/rec" "$work/$file"
}
keep() { # FILE: into the folder, with its truth when there is one
	local name=${1%%.pcap*}
	mv "$work/$1" "$here/$1"
	[ ! -e "$work/truth.json" ] || mv "$work/truth.json" "$here/$name.truth.json"
	echo "recorded $1: $(stat -c %s "$here/$1") bytes"
}
truth() { # merge | log | client
	sleep 0.2
	case $1 in
	merge) python3 "$tools/truth.py" merge "$work/client.json" "$work/access.log" "$work/truth.json" ;;
	log) python3 "$tools/truth.py" log "$work/access.log" "$work/truth.json" ;;
	client) python3 "$tools/truth.py" client "$work/client.json" "$work/truth.json" ;;
	esac
}
simple() { # NAME SCENARIO TRUTH [PORT]: one scenario against nginx on the wire
	network
	nginx_up
	record "$1.pcap" $srv vs "tcp" -- client "$2" $s4 "${4:-80}"
	truth "$3"
	keep "$1.pcap"
}
derived() { # OUT IN EDIT...   ("-o FORMAT" may stand first); keeps the truth of IN only where the bytes are all still there
	local form=() out in
	if [ "$1" = -o ]; then form=(-o "$2"); shift 2; fi
	out=$1 in=$2
	shift 2
	[ -e "$here/$in" ] || { echo "$out: record ${in%%.*} first" >&2; return 1; }
	python3 "$tools/pcapedit.py" "${form[@]}" "$here/$in" "$work/$out" "$@"
	keep "$out"
}
derived_same() { # as derived; client and server counted the same
	local out=$1
	[ "$1" = -o ] && out=$3
	derived "$@"
	local in=$2
	[ "$1" = -o ] && in=$4
	cp "$here/${in%%.pcap*}.truth.json" "$here/${out%%.pcap*}.truth.json"
}

# --- HTTP of nginx
capture_nginx_keepalive() { simple nginx-keepalive keepalive merge; }
capture_nginx_shorts() { simple nginx-shorts shorts merge; }
capture_nginx_pipeline() { simple nginx-pipeline pipeline merge; }
capture_nginx_bodies() { simple nginx-bodies bodies merge; }
capture_nginx_uploads() { simple nginx-uploads uploads merge; }
capture_nginx_errors() { simple nginx-errors errors merge; }
capture_nginx_hosts() { simple nginx-hosts hosts merge; }
capture_nginx_traces() { simple nginx-traces traces merge; }
capture_nginx_slow() { simple nginx-slow slow merge; }
capture_nginx_wrk() {
	network
	nginx_up
	cat >"$work/mix.lua" <<-'L'
	local n = 0
	request = function()
		n = n + 1
		return wrk.format("GET", n % 9 == 0 and "/missing/" .. n or "/f200.html?n=" .. n, {["Host"] = "svc" .. (n % 4) .. ".example.com"})
	end
	L
	# one request in flight on each connection; the middle of the run only, so both ends are cut
	record nginx-wrk.pcap $srv vs "tcp" -- at $cli wrk -t1 -c8 -d1s -s "$work/mix.lua" http://$s4/
	python3 "$tools/pcapedit.py" "$work/nginx-wrk.pcap" "$work/cut.pcap" cut:4000 keep:700
	mv "$work/cut.pcap" "$work/nginx-wrk.pcap"
	keep nginx-wrk.pcap
}
capture_nginx_curl() {
	network
	nginx_up
	record nginx-curl.pcap $srv vs "tcp" -- at $cli curl -s -o /dev/null --compressed -A 'curl test' -e http://www.example.com/from \
		"http://$s4/f4000.html" "http://$s4/f64000.html" "http://$s4/missing" "http://$s4/moved" -L
	truth log
	keep nginx-curl.pcap
}
capture_nginx_ipv6() {
	network
	nginx_up
	record nginx-ipv6.pcap $srv vs "tcp or icmp6" -- client hosts $s6 80
	truth merge
	keep nginx-ipv6.pcap
}
capture_odd_http() {
	network
	server http $s4 80
	tcp_ready $s4 80
	record odd-http.pcap $srv vs tcp -- client odd $s4 80
	truth client
	keep odd-http.pcap
}
# Both legs of a reverse proxy, on two interfaces of one file
capture_proxy_legs() {
	network
	nginx_up
	ip netns exec $srv dumpcap -q -i vs -f 'tcp port 80' -i lo -f 'tcp port 8081' -w "$work/proxy-legs.pcapng" >"$work/dumpcap" 2>&1 &
	local dump=$! i
	pids+=($dump)
	sleep 2
	for i in 1 2 3; do at $cli curl -s -o /dev/null "http://$s4/proxied/$i"; done
	at $cli curl -s -o /dev/null -H 'X-Forwarded-For: 203.0.113.50' "http://$s4/proxied/4"
	sleep 0.8
	kill -TERM $dump
	wait $dump || true
	keep proxy-legs.pcapng
}

# --- what HTTP can become
capture_websocket() { simple websocket websocket merge; }
capture_connect() {
	network
	nginx_up
	server connect $s4 3128
	tcp_ready $s4 3128
	record connect.pcap $srv vs "tcp port 3128" -- client tunnel $s4 3128 $s4
	truth client
	keep connect.pcap
}
capture_tls() {
	network
	nginx_up
	record tls.pcap $srv vs "tcp port 443" -- client tls $s4 443
	truth client
	keep tls.pcap
}
capture_h2c() {
	network
	nginx_up
	record h2c.pcap $srv vs "tcp port 8080" -- at $cli nghttp -n "http://$s4:8080/f1000.html" "http://$s4:8080/whoami" "http://$s4:8080/missing"
	keep h2c.pcap
}
capture_h2c_upgrade() {
	network
	nginx_up
	start ip netns exec $srv nghttpx -f "$s4,8083;no-tls" -b 127.0.0.1,80 --conf=/dev/null --workers=1 --no-ocsp
	tcp_ready $s4 8083
	record h2c-upgrade.pcap $srv vs "tcp port 8083" -- at $cli nghttp -u -n "http://$s4:8083/f1000.html" "http://$s4:8083/f200.html"
	keep h2c-upgrade.pcap
}

# --- TCP
capture_tcp_loss() {
	# seen before it is lost (server to client), and never seen (client to server): the router drops after one, before the other
	routed 'meta l4proto tcp tcp dport 80 ip length > 60 numgen inc mod 9 3 drop; meta l4proto tcp tcp sport 80 ip length > 60 numgen inc mod 11 5 drop;'
	nginx_up
	record tcp-loss.pcap $srv vs tcp -- client large $s4 80
	truth merge
	keep tcp-loss.pcap
}
capture_tcp_syn_loss() {
	# the first SYN, the first SYN-ACK and the first ACK are lost, each of one connection
	routed 'tcp flags & (syn|ack) == syn numgen inc mod 3 0 drop; tcp flags & (syn|ack) == syn|ack numgen inc mod 3 1 drop; tcp sport 80 tcp flags & fin == fin numgen inc mod 2 0 drop;'
	nginx_up
	record tcp-syn-loss.pcap $srv vs tcp -- client handshakes $s4 80
	truth merge
	keep tcp-syn-loss.pcap
}
capture_tcp_resets() {
	network
	server http $s4 80
	tcp_ready $s4 80
	record tcp-resets.pcap $srv vs tcp -- client resets $s4 80
	truth client
	keep tcp-resets.pcap
}
capture_tcp_unanswered() {
	network
	ip -n $cli neigh replace 192.0.2.99 lladdr 02:00:00:00:00:99 dev vc nud permanent
	record tcp-unanswered.pcap $cli vc tcp -- client unanswered 192.0.2.99 80
	truth client
	keep tcp-unanswered.pcap
}
capture_tcp_halfclose() {
	network
	server halfclose $s4 7000
	tcp_ready $s4 7000
	record tcp-halfclose.pcap $srv vs tcp -- client halfclose $s4 7000
	truth client
	keep tcp-halfclose.pcap
}
capture_tcp_portreuse() {
	network
	nginx_up
	at $cli sysctl -qw net.ipv4.tcp_tw_reuse=1 net.ipv4.tcp_max_tw_buckets=0
	record tcp-portreuse.pcap $srv vs tcp -- client portreuse $s4 80
	truth merge
	keep tcp-portreuse.pcap
}
capture_tcp_portreuse_closed() { simple tcp-portreuse-closed portreuse_closed merge; }
capture_tcp_probes() { simple tcp-probes probes merge; }
capture_tcp_zerowindow() {
	network
	nginx_up
	at $srv sysctl -qw net.ipv4.tcp_wmem="4096 8192 16384"
	record tcp-zerowindow.pcap $srv vs tcp -- client zerowindow $s4 80
	truth merge
	keep tcp-zerowindow.pcap
}
capture_tcp_zerowindow_server() {
	network
	server sink $s4 7001
	tcp_ready $s4 7001
	record tcp-zerowindow-server.pcap $srv vs tcp -s 96 -- client fillsink $s4 7001
	truth client
	keep tcp-zerowindow-server.pcap
}
capture_tcp_simultaneous() {
	# each side's first SYN is lost, the second ones cross
	routed 'tcp flags & (syn|ack) == syn ip daddr 192.0.2.80 numgen inc mod 1000 0 drop;'
	both() {
		client simultaneous $s4 5555 &
		sleep 0.5
		at $srv timeout 30 python3 "$tools/client.py" simultaneous 198.51.100.10 5555 >/dev/null
		wait $!
	}
	record tcp-simultaneous.pcap $cli vc tcp -- both
	truth client
	keep tcp-simultaneous.pcap
}

# --- other traffic
capture_vxlan() {
	network
	ip -n $cli link add vx0 type vxlan id 4242 local $c4 remote $s4 dstport 4789 dev vc
	ip -n $srv link add vx0 type vxlan id 4242 local $s4 remote $c4 dstport 4789 dev vs
	up $cli vx0 10.0.0.10/24
	up $srv vx0 10.0.0.80/24
	ip -n $cli link set vx0 mtu 1450
	ip -n $srv link set vx0 mtu 1450
	nginx_up
	record vxlan.pcap $srv vs "udp port 4789" -- client hosts 10.0.0.80 80
	truth merge
	keep vxlan.pcap
}
datagrams() { # NAME SCENARIO ROLE PORT
	network
	server "$3" $s4 "$4"
	start ip netns exec $srv python3 "$tools/servers.py" "$3" $s6 "$4"
	sleep 0.7
	both() { client "$1" $s4 "$2"; client "$1" $s6 "$2" >/dev/null; }
	record "$1.pcap" $srv vs "udp or icmp or icmp6 or ip6 proto 44" -- both "$2" "$4"
	truth client
	python3 - "$work/truth.json" <<-'P'
	import json, sys
	t = json.load(open(sys.argv[1])); t["note"] = "once over IPv4 and once over IPv6; the counts are for one of them"
	json.dump(t, open(sys.argv[1], "w"), indent=1)
	P
	keep "$1.pcap"
}
capture_udp_fragments() { datagrams udp-fragments datagrams udp-echo 5300; }
capture_udp_echo() { datagrams udp-echo smalldatagrams udp-echo 5300; }
capture_udp_oneway() { datagrams udp-oneway oneway udp-sink 8125; }
capture_icmp() {
	network
	both() { client ping $s4; client ping $s6 >/dev/null; }
	record icmp.pcap $srv vs "icmp or icmp6 or arp" -- both
	truth client
	keep icmp.pcap
}
capture_any_sll2() {
	network
	nginx_up
	record any-sll2.pcap $srv any tcp -y LINUX_SLL2 -- client slow $s4 80
	keep any-sll2.pcap
}
capture_any_sll() {
	network
	nginx_up
	record any-sll.pcap $srv any "tcp port 80" -y LINUX_SLL -- client hosts $s4 80
	truth merge
	keep any-sll.pcap
}
capture_snap96() {
	network
	nginx_up
	record snap96.pcap $srv vs tcp -s 96 -- client keepalive $s4 80
	keep snap96.pcap
}
capture_nanoseconds() {
	network
	nginx_up
	record nanoseconds.pcap $srv vs tcp --time-stamp-precision=nano -- client shorts $s4 80
	truth merge
	keep nanoseconds.pcap
}

# --- derived: what one wire does not show
capture_long_flow() {
	network
	nginx_up
	record long.pcap $srv vs tcp -- client longflow $s4 80
	truth merge
	python3 "$tools/pcapedit.py" "$work/long.pcap" "$work/long-flow.pcap" stretch:0.03:7.3
	rm "$work/long.pcap"
	keep long-flow.pcap
}
capture_request_timeout() { derived request-timeout.pcap nginx-slow.pcap stretch:0.2:130; }
capture_lost_in_capture() { derived lost-in-capture.pcap nginx-bodies.pcap drop:7:120; }
capture_lost_pipeline() { derived lost-pipeline.pcap nginx-pipeline.pcap drop:3:100; }
capture_midstream() { derived midstream.pcap nginx-keepalive.pcap cut:13; }
capture_one_side() { derived one-side.pcap nginx-keepalive.pcap side:0; }
capture_other_side() { derived other-side.pcap nginx-keepalive.pcap side:1; }
capture_reordered() { derived_same reordered.pcap nginx-bodies.pcap swap:5:250; }
capture_reordered_uploads() { derived_same reordered-uploads.pcap nginx-uploads.pcap swap:1:1000; }
capture_sent_twice() { derived_same sent-twice.pcap nginx-uploads.pcap twice:9:150; }
capture_seq_wrap() { # the server's stream of the first connection wraps in its middle
	local first
	first=$(python3 -c "
import sys; sys.path.insert(0, '$tools')
from pcapfile import read, tcp
import struct
for f in read('$here/nginx-bodies.pcap'):
    head = tcp(f)[0]
    if f.data[head + 13] & 0x12 == 0x12:
        print((0x100000000 - 30000 - struct.unpack_from('>I', f.data, head + 4)[0]) & 0xFFFFFFFF); break")
	derived_same seq-wrap.pcap nginx-bodies.pcap "seq:$first"
}
capture_clock_back() { derived_same clock-back.pcap nginx-shorts.pcap back:60:3600; }
capture_vlan() { derived_same vlan.pcap nginx-slow.pcap vlan:100; }
capture_qinq() { derived_same qinq.pcap nginx-slow.pcap vlan:200,100; }
capture_mpls() { derived_same mpls.pcap nginx-slow.pcap mpls:1000,2000; }
capture_pppoe() { derived_same pppoe.pcap nginx-slow.pcap pppoe; }
capture_gre() { derived_same gre.pcap nginx-slow.pcap gre; }
capture_gre_key() { derived_same gre-key.pcap nginx-slow.pcap gre6; }
capture_ipip() { derived_same ipip.pcap nginx-slow.pcap ipip; }
capture_6in4() { derived_same 6in4.pcap nginx-ipv6.pcap 6in4; }
capture_geneve() { derived_same geneve.pcap nginx-slow.pcap geneve:77; }
capture_geneve_ip() { derived_same geneve-ip.pcap nginx-slow.pcap geneve-ip:77; }
capture_nvgre() { derived_same nvgre.pcap nginx-slow.pcap nvgre:5001; }
capture_erspan1() { derived_same erspan1.pcap nginx-slow.pcap erspan1; }
capture_erspan2() { derived_same erspan2.pcap nginx-slow.pcap erspan2:11; }
capture_erspan3() { derived_same erspan3.pcap nginx-slow.pcap erspan3:11; }
capture_gtpu() { derived_same gtpu.pcap nginx-slow.pcap gtpu:123456; }
capture_nested() { derived_same nested.pcap nginx-slow.pcap vxlan:7 gre vlan:300; }
capture_fragments() { derived_same fragments.pcap nginx-keepalive.pcap fragment:512; }
capture_raw_ip() { derived_same raw-ip.pcap nginx-slow.pcap raw; }
capture_bsd_null() { derived_same bsd-null.pcap nginx-slow.pcap null; }
capture_badsum() { derived_same badsum.pcap nginx-shorts.pcap badsum; }
# what is seen first is silent and has the ports of the other direction; the request comes a minute later
capture_direction_late() { derived direction-late.pcap tcp-probes.pcap cut:7 port:80:65080 stretch:0.9:40; }
capture_limits() { derived limits.pcap nginx-pipeline.pcap swap:3:200; } # limits.yaml sets the limits
capture_big_endian() { derived_same -o big big-endian.pcap nginx-slow.pcap; }
capture_modified() { derived_same -o modified modified.pcap nginx-slow.pcap; }
capture_ng_big() { derived_same -o pcapng-big ng-big.pcapng nginx-slow.pcap; }
capture_ng_ns() { derived_same -o pcapng-ns ng-ns.pcapng.gz nginx-slow.pcap; }
capture_gzipped() { derived_same gzipped.pcap.gz nginx-keepalive.pcap; }

names() { grep -oE '^capture_[a-z0-9_]+' "$here/record.sh" | sed 's/^capture_//'; }

main() {
	if [ "${1:-}" = --list ]; then names | tr _ -; return; fi
	[ "$(id -u)" = 0 ] || { echo "record.sh needs root: it makes network namespaces" >&2; return 3; }
	local tool
	for tool in ip ethtool nft tcpdump dumpcap nginx wrk curl nghttp nghttpx openssl python3; do
		command -v $tool >/dev/null || { echo "record.sh needs $tool: scripts/install-deps.sh --record" >&2; return 3; }
	done
	local name
	[ $# -gt 0 ] || set -- $(names)
	for name; do
		name=${name//-/_}
		declare -F "capture_$name" >/dev/null || { echo "no capture $name; record.sh --list names them" >&2; return 2; }
		"capture_$name"
	done
}
main "$@"
