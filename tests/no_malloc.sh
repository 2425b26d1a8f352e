#!/bin/bash
# no_malloc.sh TAPSCOPE
#
# Nothing is allocated for packets, flows, requests or records: a replay of ten times as many makes no more allocations.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tapscope=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

gcc -O2 -shared -fPIC -o "$work/count.so" "$here/no_malloc.c" -ldl
gcc -O2 -o "$work/synth" "$here/bench/synth.c"
"$work/synth" http 1000 3 200 "$work/once.pcap"
"$work/synth" http 10000 3 200 "$work/tenfold.pcap"
"$work/synth" flood 20000 5000 "$work/once-flood.pcap"
"$work/synth" flood 200000 50000 "$work/tenfold-flood.pcap"

failed=0
allocations() { # CAPTURE OPTIONS...
	ALLOCATIONS=$work/n LD_PRELOAD=$work/count.so "$tapscope" replay "${@:2}" "$1" >/dev/null 2>"$work/err" || { cat "$work/err" >&2; echo failed; return; }
	cat "$work/n"
}
compare() { # NAME KIND OPTIONS...
	local a b
	a=$(allocations "$work/once$2.pcap" "${@:3}")
	b=$(allocations "$work/tenfold$2.pcap" "${@:3}")
	if [ "$a" != failed ] && [ "$b" != failed ] && [ "$a" -gt 0 ] && [ "$b" -le "$a" ]; then
		echo "ok $1"
	else
		echo "not ok $1 $a allocations for once, $b for ten times as many"
		failed=1
	fi
}
compare none "" --format none
compare ndjson "" --format ndjson
compare table "" --format table
compare output "" --format none --output "$work/out"
compare short-of-memory "" --format ndjson -o max_memory=4MiB
compare flood -flood --format none
compare workers "" --format ndjson -o workers=3
exit $failed
