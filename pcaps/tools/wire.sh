# wire.sh - what the recording scripts share: namespaces, captures, programs that end with the script. To be sourced.
#
# The script that sources it has set `here` (where captures go) and `tools`. Everything that is started or made here is gone
# when the script ends, however it ends.

id=$$
cli=tsrec-c-$id srv=tsrec-s-$id mid=tsrec-m-$id
c4=192.0.2.10 s4=192.0.2.80
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
network_down() {
	stop_all
	local n
	for n in $cli $srv $mid; do ip netns del "$n" 2>/dev/null || true; done
}
finish() {
	network_down
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

at() { ip netns exec "$@"; }
start() { "$@" >>"$work/log" 2>&1 & pids+=($!); }

up() { # NAMESPACE DEVICE ADDRESS...: frames as on a wire, without what the kernel would have the card do
	local ns=$1 dev=$2 a
	shift 2
	ip -n "$ns" link set lo up
	at "$ns" sysctl -qw net.ipv6.conf."$dev".disable_ipv6=1
	for a; do ip -n "$ns" addr add "$a" dev "$dev"; done
	ip -n "$ns" link set "$dev" up
	at "$ns" ethtool -K "$dev" tso off gso off gro off tx off rx off sg off >/dev/null 2>&1 || true
}
network() { # client and server on one wire
	network_down
	ip netns add $cli
	ip netns add $srv
	ip link add vc address 02:00:00:00:00:10 netns $cli type veth peer name vs address 02:00:00:00:00:80 netns $srv
	up $cli vc $c4/24
	up $srv vs $s4/24
	sleep 0.3
}
alone() { # client and server on the loopback of one namespace, which has the MTU of a wire
	network_down
	ip netns add $srv
	ip -n $srv link set lo mtu 1500 up
	at $srv ethtool -K lo tso off gso off gro off >/dev/null 2>&1 || true
}
loses() { # NAMESPACE input|output RULE: packets that the nft rule drops are lost; on input after a capture has seen them, on output before
	at "$1" nft -f - <<-N
	table ip loss_$2 {
		chain drops {
			type filter hook $2 priority 0
			$3
		}
	}
	N
}
tcp_ready() { # PORT, on the server
	local i
	for i in $(seq 150); do
		[ -n "$(at $srv ss -Hltn "sport = :$1")" ] && return
		sleep 0.1
	done
	echo "nothing listens on $1" >&2
	tail -5 "$work/log" >&2
	return 1
}
waiting() { # SECONDS COMMAND...: until it succeeds
	local i end=$(($1 * 10))
	shift
	for i in $(seq $end); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	echo "did not come true: $*" >&2
	return 1
}

dump=0
record_begin() { # NAMESPACE DEVICE FILTER TCPDUMP-OPTIONS...
	local ns=$1 dev=$2 filter=$3 i
	shift 3
	rm -f "$work/tcpdump"
	ip netns exec "$ns" tcpdump -Z root --immediate-mode -i "$dev" -U -B 16384 -s 0 "$@" -w "$work/rec" "$filter" 2>"$work/tcpdump" &
	dump=$!
	pids+=($dump)
	for i in $(seq 60); do grep -qs 'listening on' "$work/tcpdump" && break; sleep 0.1; done
	sleep 0.2
}
record_end() { # FILE
	sleep 0.4
	kill -TERM $dump
	wait $dump || true
	if ! grep -q '^0 packets dropped by kernel' "$work/tcpdump" || grep -q '^0 packets captured' "$work/tcpdump"; then
		cat "$work/tcpdump" >&2
		return 1
	fi
	mv "$work/rec" "$work/$1"
}
keep() { # FILE: into the folder, with its truth when there is one
	local name=${1%%.pcap*}
	mv "$work/$1" "$here/$1"
	[ ! -e "$work/truth.json" ] || mv "$work/truth.json" "$here/$name.truth.json"
	echo "recorded $1: $(stat -c %s "$here/$1") bytes"
}

# The main of a recording script: `names` of what it can record are its functions capture_NAME.
capture_names() { declare -F | sed -n 's/^declare -f capture_//p' | grep -vx names; }
