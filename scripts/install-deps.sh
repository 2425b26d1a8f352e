#!/bin/bash
# install-deps.sh [--test] [--record] [--servers] [--bench]
#
# Installs what Debian 12 lacks to build tapscope, and with an option to test it, to record pcaps/ again, to test it with real
# servers, or to run the benchmark beside other programs. Says what is missing, and the command, where it may not install.
set -euo pipefail

packages=(gcc libc6-dev make meson ninja-build pkg-config libpcap-dev zlib1g-dev libzstd-dev liblz4-dev libsnappy-dev libyaml-dev libssl-dev libpcre2-dev libxxhash-dev libjansson-dev
	clang-14 bpftool libbpf-dev libxdp-dev libmicrohttpd-dev libcap-dev)
for option; do
	case $option in
	--test) packages+=(python3 valgrind iproute2 procps util-linux tcpdump libclang-rt-14-dev clang-format-14 libcmocka-dev libdpdk-dev) ;;
	--record) packages+=(python3 iproute2 ethtool procps nftables tcpdump wireshark-common nginx-light curl wrk nghttp2-client nghttp2-proxy openssl
		redis-server redis-tools mariadb-server mariadb-client kcat librdkafka-dev gcc nodejs npm) ;;
	--servers) packages+=(python3 gcc iproute2 ethtool procps tcpdump nginx-light redis-server redis-tools mariadb-server mariadb-client librdkafka-dev) ;;
	--bench) packages+=(python3 libdpdk-dev valgrind linux-perf binutils iproute2 ethtool tcpdump nginx-light redis-server redis-tools mariadb-server mariadb-client
		sysbench softflowd nfdump libndpi-bin tshark) ;;
	*) sed -n 2,5p "$0" >&2; exit 2 ;;
	esac
done

command -v dpkg-query >/dev/null || { echo "This is no Debian; install the counterparts of: ${packages[*]}" >&2; exit 3; }
missing=()
for p in "${packages[@]}"; do
	# another package may provide it (nginx for nginx-light, another nodejs for npm)
	case $p in
	nginx-light) command -v nginx >/dev/null && continue ;;
	npm) command -v npm >/dev/null && continue ;;
	esac
	[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null | cut -c1-2)" = ii ] || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "Missing: ${missing[*]}. As root: apt-get install --no-install-recommends ${missing[*]}" >&2
	exit 3
fi
echo "Installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install -y -q --no-install-recommends "${missing[@]}")
"${install[@]}" </dev/null >/dev/null 2>&1 || { apt-get update -q </dev/null >/dev/null; "${install[@]}" </dev/null >/dev/null; }
