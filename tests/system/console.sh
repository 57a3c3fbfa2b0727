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

# A guest that talks: a line each millisecond, for two seconds.
talk=(--kernel "$MICRO" --append 'job=access pattern=idle size=1M time=2 status=1')

# Whether status lines, which carry the guest's time, only go forward, and the end is there. The
# largest step between two of them goes to standard output.
complete() # FILE
{
	awk '
		/^micro: status/ { if ($3 < last) exit 2; if ($3 - last > leap) leap = $3 - last; last = $3; n++ }
		END { printf "%d\n", leap * 1000; exit !(n > 100 && $0 == "micro: pass") }' "$1"
}

check "file" "$QUIRE" run "${talk[@]}" --serial "file:$WORK/log"
check "file: nothing is missing" complete "$WORK/log"

# The reader sleeps while the guest prints more than pipe and queue hold.
slow_reader()
{
	"$QUIRE" run --kernel "$MICRO" --append 'job=access pattern=idle size=1M time=8 status=1' |
		(sleep 6 && cat) >"$WORK/slow"
}
check "slow reader" slow_reader
check "slow reader: nothing is missing" complete "$WORK/slow"
if [ "$(cat "$OUT")" -gt 300 ]; then
	ok "slow reader: the guest waited for it"
else
	skip "slow reader: the guest waited for it" "it printed too little to fill the queue here"
fi

# A guest whose reader has stopped for good can still be paused and ended.
mkfifo "$WORK/stuck"
"$QUIRE" run --name stuck --kernel "$MICRO" \
	--append 'job=access pattern=idle size=1M time=0 ops=0 status=1' >"$WORK/stuck" 2>/dev/null &
pid=$!
exec 9<"$WORK/stuck"
sleep 4
check "stuck reader: pause" timeout 5 "$QUIRE" pause stuck
check "stuck reader: quit" timeout 5 "$QUIRE" quit stuck
wait $pid
exec 9<&-

# A socket: who connects sees what comes from then on; who leaves can come back.
"$QUIRE" run --name sock --kernel "$MICRO" --serial "unix:$WORK/sock" \
	--append 'job=access pattern=idle size=1M time=0 ops=0 status=10' &
pid=$!
listen() { timeout 1 socat -u "UNIX-CONNECT:$WORK/sock" - >"$WORK/heard"; [ -s "$WORK/heard" ]; }
wait_until test -S "$WORK/sock"
check "socket: a client hears the guest" listen
check "socket: a second client after the first" listen
expect "socket: path in use" 1 "in use" "$QUIRE" run --kernel "$MICRO" --append job=none \
	--serial "unix:$WORK/sock"
check "socket: the first guest lives on" "$QUIRE" qmp sock query-status
check "socket: quit" "$QUIRE" quit sock
wait $pid
check "socket: removed" test ! -e "$WORK/sock"

# On a terminal Ctrl-C ends a guest that does not listen to its keyboard.
terminal()
{
	(sleep 1 && printf '\003' && sleep 1) |
		timeout 20 script -qec "$QUIRE run --kernel $MICRO --append 'job=verify passes=0 size=1M'" \
			/dev/null >"$WORK/tty"
	grep -q 'ended by' "$WORK/tty"
}
check "terminal: Ctrl-C" terminal

finish
