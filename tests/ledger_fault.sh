#!/bin/bash
# ledger_fault.sh TAPSCOPE TAPSCOPE-BUILT-WITH-fault=drop_packet
#
# A build that drops one packet on purpose turns the ledger red; the same build without the fault does not.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
capture=$here/../pcaps/nginx-keepalive.pcap
failed=0
check() { # NAME PATTERN WORKERS TAPSCOPE
	local out
	out=$("$4" replay --format none --summary -o workers="$3" "$capture" 2>&1)
	if grep -q "$2" <<<"$out"; then
		echo "ok $1"
	else
		echo "not ok $1 the ledger says: $(grep -A1 'unaccounted for' <<<"$out")"
		failed=1
	fi
}
for workers in 1 3; do
	check "whole-with-$workers-workers" 'unaccounted for  *0  every frame is accounted for' $workers "$1"
	check "one-dropped-with-$workers-workers" 'unaccounted for  *1  frames were lost silently' $workers "$2"
done
exit $failed
