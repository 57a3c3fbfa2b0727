#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The serial console: each kind of it, slow readers, and the terminal.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

if [ ! -w /dev/kvm ]; then
	skip console "/dev/kvm cannot be used here"
	finish
	exit
fi

# A guest that talks, a long line each millisecond if it can, until it is told to stop.
TALK='job=access pattern=idle size=1M stop=1 status=1 beat=1 gap=1'

# Whether status lines, which carry the guest's time, only go forward, there are so many and no other
# lines between them, and the end is there.
complete() # FILE LINES
{
	awk -v wanted="$2" '
		/^micro: status [0-9.]+ s .* gap [0-9]+ us$/ { if ($3 < last) exit 2; last = $3; n++; next }
		n && !/^micro: (fill|access|verify|beats|gap|pass)/ { exit 2 }
		END { exit !(n >= wanted && $0 == "micro: pass") }' "$1"
}

# It has no way to hear of a stop.
check "file" "$QUIRE" run --kernel "$MICRO" --serial "file:$WORK/log" \
	--append 'job=access rate=1 write=100 size=1M ops=500 status=1 beat=1 gap=1'
check "file: nothing is missing" complete "$WORK/log" 10

# A guest that talks into a pipe from which nobody reads, but for who opens it later. Our own hold on it goes.
unread() # NAME OPTION...
{
	local name=$1
	shift
	mkfifo "$WORK/$name.pipe" "$WORK/$name.in"
	exec 8<>"$WORK/$name.in" 9<>"$WORK/$name.pipe"
	"$QUIRE" run --name "$name" --kernel "$MICRO" --append "$TALK" "$@" <&8 8<&- >"$WORK/$name.pipe" 9<&- \
		2>/dev/null &
	process[$name]=$!
	exec 7<"$WORK/$name.pipe" 8<&- 9<&-
	wait_while_it_lives "${process[$name]}" test -S "$QUIRE_RUNTIME_DIR/$name.qmp"
}

# It has printed so many times, by bytes or by lines, and does so no more: seen ten times.
stands_still() # NAME TIMES
{
	local now='' before still=0
	while [ $still -lt 10 ]; do
		before=$now
		now=$("$QUIRE" stats "$1" --json | jq '.exits."io-out" + (.mmu.hypercalls.console_io.count? // 0)') ||
			return 1
		still=$((now > $2 && now == before ? still + 1 : 0))
		sleep 0.05
	done
}

# Pipe and queue hold 64 KiB each.
unread slow
check "slow reader: the guest waits for it" stands_still slow 60000
check "slow reader: pause" timely "$QUIRE" pause slow
check "slow reader: resume" timely "$QUIRE" resume slow
cat <&7 >"$WORK/slow" &
reader=$!
exec 7<&-
tell_stop slow
gone slow
check "slow reader: the guest ends well" [ $? = 0 ]
wait_for_exit $reader
check "slow reader: nothing is missing" complete "$WORK/slow" 100

# A guest whose reader has stopped for good can still be paused and ended; this one prints line by line.
unread stuck --mmu shadow
check "stuck reader: the guest waits for it" stands_still stuck 1000
check "stuck reader: pause" timely "$QUIRE" pause stuck
check "stuck reader: quit" timely "$QUIRE" quit stuck
gone stuck
check "stuck reader: what is lost makes it an error" [ $? = 1 ]
exec 7<&-

# A socket: who connects sees what comes from then on; who leaves can come back.
"$QUIRE" run --name sock --kernel "$MICRO" --serial "unix:$WORK/sock" \
	--append 'job=access pattern=idle size=1M time=0 ops=0 status=10' &
pid=$!
# Who comes while another is there is sent away, and tries again.
hears()
{
	kill -0 "${ear:-x}" 2>/dev/null || {
		socat -u "UNIX-CONNECT:$WORK/sock" - >"$WORK/heard" &
		ear=$!
	}
	[ -s "$WORK/heard" ]
}
listen()
{
	: >"$WORK/heard"
	wait_until hears || return 1
	kill "$ear"
	wait "$ear"
	[ -s "$WORK/heard" ]
}
wait_until test -S "$WORK/sock"
check "socket: a client hears the guest" listen
check "socket: a second client after the first" listen
expect "socket: path in use" 1 "in use" "$QUIRE" run --kernel "$MICRO" --append job=none \
	--serial "unix:$WORK/sock"
check "socket: the first guest lives on" "$QUIRE" qmp sock query-status
check "socket: quit" "$QUIRE" quit sock
wait "$pid"
check "socket: removed" test ! -e "$WORK/sock"

# On a terminal Ctrl-C ends a guest that does not listen to its keyboard.
terminal()
{
	local script
	mkfifo "$WORK/keys"
	script -qec "$QUIRE run --kernel $MICRO --append 'job=verify passes=0 size=1M'" /dev/null \
		<>"$WORK/keys" >"$WORK/tty" &
	script=$!
	wait_for_line "$WORK/tty" '^micro: fill' $script
	printf '\003' 1<>"$WORK/keys"
	wait_for_exit $script
	grep -q 'ended by' "$WORK/tty"
}
check "terminal: Ctrl-C" terminal

finish
