#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest moves between two network namespaces: two hosts as far as the network knows, with a wire
# of 100 Mbit/s and a millisecond between them. What is shown is what a slow wire makes hard: that
# pre-copy comes to an end, that the rate is kept, that post-copy asks past what is being pushed.
#
#   RATE=1gbit DELAY=100us tests/system/netns.sh    another wire
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

export QUIRE_CHECK_MEMORY=1
RATE=${RATE:-100mbit} DELAY=${DELAY:-1ms}
HERE=quire-here-$$ THERE=quire-there-$$
FROM=10.71.0.1 TO=10.71.0.2 PORT=4711

leave()
{
	skip "between two hosts" "$1"
	finish
	exit
}

{ : <>/dev/kvm; } 2>/dev/null || leave "/dev/kvm cannot be opened"
[ "$(id -u)" = 0 ] || leave "only root makes network namespaces"
for program in ip tc; do
	command -v $program >/dev/null || leave "$program is not installed"
done

tear_down()
{
	ip netns delete "$HERE" 2>/dev/null
	ip netns delete "$THERE" 2>/dev/null
	end_guests
}

# tbf keeps the rate, netem the delay; the veth pair goes with its namespaces.
set_up()
{
	ip netns add "$HERE" && ip netns add "$THERE" &&
		ip link add wire netns "$HERE" type veth peer name wire netns "$THERE" &&
		end_of_wire "$HERE" "$FROM" && end_of_wire "$THERE" "$TO"
}

end_of_wire() # NAMESPACE ADDRESS
{
	ip -n "$1" address add "$2/24" dev wire && ip -n "$1" link set wire up &&
		ip -n "$1" link set lo up &&
		tc -n "$1" qdisc add dev wire root handle 1: tbf rate "$RATE" burst 64k latency 50ms &&
		{ tc -n "$1" qdisc add dev wire parent 1:1 handle 10: netem delay "$DELAY" 2>/dev/null ||
			DELAY="no delay"; }
}

here()
{
	ip netns exec "$HERE" "$@"
}

there()
{
	ip netns exec "$THERE" "$@"
}

# quire in either of them.
for host in "$HERE" "$THERE"; do
	printf '#!/bin/sh\nexec ip netns exec %s %q "$@"\n' "$host" "$(realpath "$QUIRE")" >"$WORK/$host"
	chmod +x "$WORK/$host"
done

guest() # NAME APPEND
{
	QUIRE=$WORK/$HERE start_guest "$1" "$2" --memory 64M --cpus 2
}

receiver() # NAME
{
	QUIRE=$WORK/$THERE start "$1" receive "tcp:$TO:$PORT"
	wait_for_line "$WORK/$1.err" 'waits at' "${process[$1]}"
}

# The socket listens on the other side. /proc/net is of the namespace of who reads it.
listens()
{
	grep -qi ":$(printf %04x $PORT) 0*:0000 0A" <<<"$(there cat /proc/net/tcp /proc/net/tcp6)"
}

# Moved while it works, and at work to its end: NAME APPEND OPTION...
row()
{
	local name=$1 append=$2 result=0
	shift 2
	guest a "$append"
	receiver b
	[[ $* =~ --(postcopy|hybrid) ]] || set -- "$@" --precopy
	timely "$WORK/$HERE" migrate a "tcp:$TO:$PORT" --json "$@" \
		>"$WORK/figures" 2>"$WORK/client.err" && wait_for_line "$WORK/b.out" '^micro: status' "${process[b]}" &&
		tell_stop b && ends_well b || result=1
	if [ $result = 0 ]; then
		ok "$name"
	else
		not_ok "$name" "$(tail -q -n 2 "$WORK"/{client.err,a.err,b.err,b.out} | tr '\n' ' ')"
	fi
	[ -z "${VERBOSE:-}" ] || jq -c '{"total-time", downtime, sent: .ram.transferred,
		asked: .ram."postcopy-requests"}' "$WORK/figures"
	"$QUIRE" quit a 2>/dev/null
	"$QUIRE" quit b 2>/dev/null
	gone a
	gone b
}

# No more went over the wire in that time, with a tenth for what is saved up; and it was work to do.
kept_rate() # BITS
{
	local bits
	bits=$(jq '(.ram.transferred * 8 / (."total-time" / 1000)) | floor' "$WORK/figures")
	[ "$(jq .ram.transferred "$WORK/figures")" -ge 8000000 ] && [ "$bits" -le $(($1 * 11 / 10)) ]
}

# The guest did not wait for its pages until their turn came. How often it asked is up to how often it could:
# each request and its answer wait in the queue of the wire, up to 50 ms, behind what is being pushed.
asked()
{
	[ "$(jq '.ram."postcopy-requests"' "$WORK/figures")" -gt 0 ]
}

# Without tbf it would take a millisecond; at 100 Mbit/s it takes 80.
takes_its_time()
{
	local start=$EPOCHREALTIME listener
	there timeout "$HUNG" socat -u "TCP-LISTEN:$PORT,reuseaddr" "CREATE:$WORK/through" &
	listener=$!
	wait_until listens || return
	head -c 1048576 /dev/zero | here timeout "$HUNG" socat -u - "TCP:$TO:$PORT" && wait $listener || return
	[ "$(stat -c %s "$WORK/through")" = 1048576 ] || return
	[ "$RATE" != 100mbit ] || awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { exit b - a < 0.07 }'
}

trap tear_down EXIT
set_up >"$OUT" 2>"$ERR" || leave "the kernel makes no such wire: $(head -n 1 "$ERR")"
check "a mebibyte over the wire, $RATE, $DELAY, takes its time" takes_its_time
LIGHT="job=access pattern=random write=100 rate=2 hot=4M size=32M cpus=2 status=20 stop=1"
HEAVY="job=access pattern=random write=40 size=32M cpus=2 status=20 stop=1"
row "pre-copy of a guest that writes little" "$LIGHT"
[ "$RATE" != 100mbit ] || check "what was reported fits through the wire" kept_rate 100000000
row "pre-copy at half the rate" "$LIGHT" --bandwidth 6M
check "which is kept" kept_rate $((6 * 8 * 1024 * 1024))
row "two streams" "$LIGHT" --streams 2
row "post-copy of one that writes as fast as it can" "$HEAVY" --postcopy
check "which asks for pages" asked
row "hybrid" "$HEAVY" --hybrid
row "an edge, post-copy" "job=edge size=32M cpus=2 status=20 stop=1" --postcopy
finish
