#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Clones of a checkpoint: that each goes on by itself and checks its own pages, that they share what
# they do not write, that one can be taken back or killed without the others noticing, and how many
# there can be.
#
#   tests/system/clone.sh                what `make check` runs
#   CLONES=1000 tests/system/clone.sh    so many alive at once
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

CLONES=${CLONES:-25}

if ! { : <>/dev/kvm; } 2>/dev/null; then
	skip "clones" "/dev/kvm cannot be opened"
	finish
	exit
fi

end_guests_at_exit

# A checkpoint of a guest in the middle of its work, which it verifies when it is told to stop.
image() # DIR MEMORY CPUS APPEND
{
	start_guest source "$4 status=20 stop=1" --memory "$2" --cpus "$3" &&
		wait_for_line "$WORK/source.out" '^micro: status .* reads [1-9]' "${process[source]}" &&
		"$QUIRE" checkpoint source "$1" && "$QUIRE" quit source
	gone source
}

nothing_left()
{
	[ -z "$(ls -A "$QUIRE_RUNTIME_DIR")" ]
}

pid_of() # NAME
{
	cat "$QUIRE_RUNTIME_DIR/$1.qmp.lock"
}

names() # PREFIX COUNT
{
	seq -f "$1-%.0f" "$2"
}

state_is() # NAME STATE
{
	[ "$("$QUIRE" qmp "$1" query-status | jq -r .status)" = "$2" ]
}

WORKING=$WORK/working ENDLESS=$WORK/endless
check "a checkpoint of a guest at work" \
	image "$WORKING" 64M 1 "job=access pattern=zipf size=16M"
check "and of one that never ends" image "$ENDLESS" 64M 2 "job=verify size=32M cpus=2"

# --- many that go on by themselves ---
# Clones in the background, each with its console at a socket. Sets $clones.
working() # NAME COUNT
{
	"$QUIRE" clone "$WORKING" "$2" --name "$1" --serial "unix:$WORK/$1" >"$WORK/$1.out" 2>"$WORK/$1.err" &
	clones=$!
}

# Have their consoles, as start() has that of a guest.
hear() # NAME...
{
	local name keys
	for name in "$@"; do
		wait_while_it_lives $clones test -S "$WORK/$name"
		mkfifo "$WORK/$name.in"
		exec {keys}<>"$WORK/$name.in"
		socat - "UNIX-CONNECT:$WORK/$name" <&"$keys"- >"$WORK/$name.out" 2>"$WORK/$name.socat" &
		process[$name]=$!
		exec {keys}>&-
	done
}

# Each works for a while, and verifies its pages when it is told to stop.
all_verify() # NAME...
{
	local name result=0
	for name in "$@"; do
		wait_while_it_lives "${process[$name]}" has_worked "$WORK/$name.out" 500
		tell_stop "$name"
		ends_well "$name" || result=1
	done
	return $result
}
mapfile -t all < <(names eight 8)
working eight 8
hear "${all[@]}"
check "each of eight clones has verified its pages" all_verify "${all[@]}"
wait_for_exit $clones
check "they end well" [ $? = 0 ]
check "their names were printed" diff "$WORK/eight.out" <(names eight 8)
check "nothing is left of them" nothing_left

# --- what is shared ---
check "eight clones in the background" "$QUIRE" clone "$ENDLESS" 8 --name share --detach --json
cp "$OUT" "$WORK/json"
json_names_them()
{
	jq -r '.guests[].name' "$WORK/json" >"$WORK/names"
	jq -e '.memory == 67108864 and (.base | . > 32e6 and . < 40e6) and (.guests | length == 8)
		and all(.guests[]; ."start-us" > 0 and .pid > 1)' "$WORK/json" &&
		diff "$WORK/names" <(names share 8)
}
check "JSON says what was made" json_names_them
# A guest that only checks its pages touches all of them and writes hardly any.
touched()
{
	local resident
	resident=$(awk '/^Rss:/ { print $2 }' "/proc/$(pid_of share-8)/smaps_rollup")
	[ "$resident" -gt $((32 * 1024)) ]
}
wait_until touched
check "a clone has all of its memory mapped" touched
pss_of_all()
{
	local name
	for name in $(names share 8); do
		awk '/^Pss:/ { print $2 }' "/proc/$(pid_of "$name")/smaps_rollup"
	done | awk '{ sum += $1 } END { print sum }'
}
pss=$(pss_of_all)
check "together they take $pss KiB, far from 8 times 32 MiB" [ "$pss" -lt $((64 * 1024)) ]
few_own_pages()
{
	"$QUIRE" ps --json | jq -e 'length == 8 and all(.[]; .resident > 0 and .resident < 2097152)'
}
check "a clone's resident memory is what it wrote" few_own_pages
generation() # NAME: the id that a clone has in its memory
{
	local start
	start=$(awk '/memfd:quire-base/ { sub(/-.*/, "", $1); print "0x" $1; exit }' \
		"/proc/$(pid_of "$1")/maps")
	dd if="/proc/$(pid_of "$1")/mem" bs=16 count=1 iflag=skip_bytes skip=$((start + 0xef000)) \
		status=none | od -An -tx1
}
generations()
{
	local name
	for name in $(names share 8); do
		generation "$name"
	done | sort -u | wc -l
}
check "each has a generation id of its own" [ "$(generations)" = 8 ]
kill -9 "$(pid_of share-3)"
check "one that is killed" wait_until bash -c "! $QUIRE qmp share-3 query-status"
check "does not disturb the others" state_is share-4 running

# --- orders ---
expect "a clone is not checkpointed" 1 "guest share-1: its memory is not managed" \
	"$QUIRE" checkpoint share-1 "$WORK/none"
expect "it has no limit" 1 "guest share-1: its memory is not managed" "$QUIRE" limit share-1 32M
expect "it is paused" 0 "" "$QUIRE" pause share-1
expect "and goes on" 0 "" "$QUIRE" resume share-1
expect "it starts anew" 0 "" "$QUIRE" qmp share-1 system_reset
check "and runs" state_is share-1 running
expect "names in use" 1 "guest share-1: name is in use" "$QUIRE" clone "$ENDLESS" 1 --name share
check "whose owner lives on" state_is share-1 running
mapfile -t all < <(names share 8)
unset 'all[2]'
expect "they are quit" 0 "" "$QUIRE" quit "${all[@]}"
"$QUIRE" ps >/dev/null # clears away what the killed one left
check "nothing is left of them" nothing_left

# --- back to the checkpoint ---
resets_then_verify()
{
	local i
	working back 2
	hear back-1 back-2
	for ((i = 0; i < 5; i++)); do
		sleep 0.1
		"$QUIRE" reset back-1 || return 1
	done
	all_verify back-1 back-2 && wait_for_exit $clones
}
check "a clone that is taken back five times verifies, and so does the other" resets_then_verify
own() # NAME: bytes
{
	"$QUIRE" ps --json | jq ".[] | select(.name == \"$1\") | .resident"
}
expect "one more" 0 "" "$QUIRE" clone "$WORKING" 1 --name once --detach
wait_until eval '[ "$(own once-1)" -gt 4194304 ]'
"$QUIRE" pause once-1
written=$(own once-1)
before=$(generation once-1)
check "a clone has written $written bytes" [ "$written" -gt 4194304 ]
expect "reset" 0 "" "$QUIRE" reset once-1
check "gives all back but the generation id" [ "$(own once-1)" -le 8192 ]
check "which is a new one" [ "$(generation once-1)" != "$before" ]
expect "it is quit" 0 "" "$QUIRE" quit once-1

# --- a restored guest is told too ---
restored_generation() # NAME
{
	local fd pid
	pid=$(pid_of "$1")
	for fd in "/proc/$pid/fd"/*; do
		[[ $(readlink "$fd") = /memfd:quire-guest* ]] || continue
		dd if="$fd" bs=16 count=1 iflag=skip_bytes skip=$((0xef000)) status=none | od -An -tx1
		return
	done
}
for how in "" --eager; do
	# shellcheck disable=SC2086 # an option or none
	expect "a restored guest $how" 0 "" "$QUIRE" restore "$ENDLESS" $how --name one --detach
	# shellcheck disable=SC2086
	expect "and another" 0 "" "$QUIRE" restore "$ENDLESS" $how --name two --detach
	ids=$(for name in one two; do restored_generation $name; done | sort -u | wc -l)
	check "have generation ids of their own" [ "$ids" = 2 ]
	expect "they are quit" 0 "" "$QUIRE" quit one two
done
expect "a restored guest" 0 "" "$QUIRE" restore "$ENDLESS" --name one --detach
before=$(restored_generation one)
expect "is taken back" 0 "" "$QUIRE" reset one
check "and gets another id" [ "$(restored_generation one)" != "$before" ]
expect "it is quit" 0 "" "$QUIRE" quit one

# --- in the foreground ---
ended_by() # SIGNAL STATUS
{
	local pid
	"$QUIRE" clone "$ENDLESS" 3 --name fore >"$WORK/fore.out" 2>"$WORK/fore.err" </dev/null &
	pid=$!
	wait_while_it_lives $pid eval '[ "$(wc -l <"$WORK/fore.out")" = 3 ]' || return 1
	kill -"$1" $pid
	wait_for_exit $pid
	[ $? = "$2" ]
}
check "a signal ends all" ended_by TERM 1
check "which is said once" [ "$(cat "$WORK/fore.err")" = "quire: clones: ended by a signal" ]
check "nothing is left" nothing_left
check "their parent is killed" ended_by KILL 137
check "they end with it" wait_until nothing_left
one_is_killed()
{
	working part 3
	hear part-1 part-3
	wait_while_it_lives $clones eval '[ "$(wc -l <"$WORK/part.out")" = 3 ]' || return 1
	kill -9 "$(pid_of part-2)"
	all_verify part-1 part-3 || return 1
	wait_for_exit $clones
	[ $? = 1 ] && grep -q '^quire: guest part-2: .* signal 9' "$WORK/part.err"
}
check "one is killed: the others verify, and the status says so" one_is_killed
"$QUIRE" ps >/dev/null

# --- what cannot be ---
expect "no guests" 2 "clone: 0 guests" "$QUIRE" clone "$WORKING" 0
expect "too many" 2 "clone: 70000 guests" "$QUIRE" clone "$WORKING" 70000
expect "no number" 2 "clone: many: not a number" "$QUIRE" clone "$WORKING" many
expect "one operand" 2 "clone: needs the directory" "$QUIRE" clone "$WORKING"
expect "no image" 1 "$WORK/none: No such file" "$QUIRE" clone "$WORK/none" 2
expect "no such link" 1 "$WORKING" "$QUIRE" clone "$WORKING" 2 --link 9
expect "a bad prefix" 2 "not a name for a guest" "$QUIRE" clone "$WORKING" 2 --name a/b
expect "a prefix too long" 2 "not a name for a guest" \
	"$QUIRE" clone "$WORKING" 2 --name "$(printf '%062d' 0)"
expect "a terminal for all" 2 "serial stdio: not for several" \
	"$QUIRE" clone "$WORKING" 2 --serial stdio
for option in "--limit 32M" "--limit=32M" "--policy lru" "--swap none"; do
	# shellcheck disable=SC2086 # an option and its value
	expect "$option" 2 "a clone's memory is not managed" "$QUIRE" clone "$WORKING" 2 $option
done
expect "a log that cannot be" 1 "log" "$QUIRE" clone "$WORKING" 2 --log "$WORK/none/log"
check "nothing is left" nothing_left

# --- many ---
check "$CLONES clones" "$QUIRE" clone "$ENDLESS" "$CLONES" --name many --paused --detach
all_answer()
{
	[ "$("$QUIRE" ps --json | jq '[.[] | select(.state == "prelaunch")] | length')" = "$CLONES" ]
}
check "are alive at once, and all answer" all_answer
mapfile -t all < <(names many "$CLONES")
check "and end" timely "$QUIRE" quit "${all[@]}"
check "nothing is left of them" nothing_left
finish
