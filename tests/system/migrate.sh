#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guests that move from one process to another while they work. The microguest checks every page that
# it reads and all of them at its end, or counts rounds in every page (job=edge): a guest that ends well
# after a move had every write of every page with it. All sides are on this host; the network between
# them is a UNIX socket, the loopback, or tests/system/helper/proxy.c, which is as bad as a row wants it.
# quire checks its own states on each move (QUIRE_CHECK_MEMORY).
#
# A guest that a row leaves in order serves the next one, too: most of the time would go into starting
# and filling them.
#
#   tests/system/migrate.sh             what `make check` runs
#   MOVES=100 tests/system/migrate.sh   so many moves back and forth
#   VERBOSE=1 tests/system/migrate.sh   what each move cost
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

export QUIRE_CHECK_MEMORY=1
MOVES=${MOVES:-8}
PROXY=${PROXY:-build/release/tests/proxy}
PORT=$((20000 + RANDOM % 10000))
MIB=$((1024 * 1024))
WRITER="job=access pattern=random write=40 cpus=2 status=20 stop=1"
EDGE="job=edge cpus=2 status=20 stop=1"
unix=unix:$WORK/wire tcp=tcp:127.0.0.1:$PORT
# A guest that has come keeps its address for as long as it lives: one that moves again needs another.
other_unix=unix:$WORK/hop other_tcp=tcp:127.0.0.1:$((PORT + 1))

if ! { : <>/dev/kvm; } 2>/dev/null; then
	skip "migration" "/dev/kvm cannot be opened"
	finish
	exit
fi
end_guests_at_exit

# --- guests and their moves ---

# Start a guest in the background: NAME MEMORY APPEND OPTION...
guest()
{
	local name=$1 memory=$2 append=$3
	shift 3
	start_guest "$name" "$append" --memory "$memory" --cpus 2 "$@"
}

# Wait for one in the background: NAME URI OPTION...
receiver()
{
	local name=$1 uri=$2
	shift 2
	start "$name" receive "$uri" "$@"
	wait_for_line "$WORK/$name.err" 'waits at' "${process[$name]}"
}

# Pre-copy, unless another way is given: what is chosen of itself is for tests/system/plan.sh.
moved() # NAME URI OPTION...
{
	[[ $* =~ --(postcopy|hybrid|recover|plan) ]] || set -- "$@" --precopy
	timely "$QUIRE" migrate "$@" --json >"$WORK/figures" 2>"$WORK/client.err"
}

# An order in the background, to be followed by query-migrate; sets $client.
begin() # NAME URI OPTION...
{
	[[ $* =~ --(postcopy|hybrid|recover|plan) ]] || set -- "$@" --precopy
	"$QUIRE" migrate "$@" >"$WORK/client" 2>&1 &
	client=$!
}

# Wait for the migration of NAME to be in this phase.
reaches() # NAME STATUS
{
	wait_until eval "[ \"\$(status_of '$1')\" = '$2' ]"
}

status_of() # NAME
{
	"$QUIRE" qmp "$1" query-migrate 2>/dev/null | jq -r '.status // "none"'
}

state_is() # NAME STATE
{
	[ "$("$QUIRE" qmp "$1" query-status | jq -r .status)" = "$2" ]
}

away() # NAME...
{
	local name
	for name in "$@"; do
		"$QUIRE" quit "$name" 2>/dev/null
		gone "$name"
	done
}

killed() # NAME
{
	kill -9 "${process[$1]}" 2>/dev/null
	wait "${process[$1]}" 2>/dev/null # at once, or the shell tells of it
}

lines() # NAME
{
	wc -l <"$WORK/$1.out"
}

# A guest tells its status, and no page was wrong so far: it has told five times more since LINE.
goes_on() # NAME [LINE]
{
	local since=${2:-$(lines "$1")}
	wait_until eval "[ \$(tail -n '+$since' '$WORK/$1.out' | grep -c '^micro: status.* wrong 0') -gt 5 ]" &&
		! grep -qE 'wrong [1-9]|FAIL' "$WORK/$1.out"
}

# It has checked all PAGES since it came.
checked() # NAME PAGES
{
	wait_until has_worked "$WORK/$1.out" "$2"
}

# The one sentence of quire's that is in FILE, but for where it waits.
only_error() # FILE PATTERN
{
	[ "$(grep -c '^quire: ' <(grep -v 'waits at' "$1"))" = 1 ] &&
		grep -v 'waits at' "$1" | grep -qE "^quire: .*$2"
}

report() # NAME GUEST RESULT
{
	if [ "$3" = 0 ]; then
		ok "$1"
	else
		not_ok "$1" "$(tail -q -n 2 "$WORK/$2.out" "$WORK/$2.err" "$WORK/client.err" 2>/dev/null | tr '\n' ' ')"
	fi
}

# What the order in $WORK/figures cost, if anybody wants to know.
figures()
{
	[ -z "${VERBOSE:-}" ] || jq -c '{status, "total-time", downtime, transferred: .ram.transferred}' \
		"$WORK/figures" 2>/dev/null | sed 's/^/    /'
}

# --- each way, over each kind of connection ---

# Every byte was sent in one of the phases.
adds_up()
{
	jq -e '.ram | ."precopy-bytes" + ."downtime-bytes" + ."postcopy-bytes" == .transferred and .transferred > 0' \
		"$WORK/figures" >/dev/null
}

# One move of a guest that works, and must then check all of its pages. It is where the last move left
# it, or begins now: ROW unix|tcp OPTION...
hop()
{
	local row=$1 uri=${!2} from=$now result=0
	shift 2
	[ "$uri" != "$last_uri" ] || case $uri in
	unix:*) uri=$other_unix ;;
	tcp:*) uri=$other_tcp ;;
	esac
	last_uri=$uri
	if [ -z "$from" ]; then
		from=hop$((++nr_hops))
		guest "$from" 32M "$append size=24M"
	fi
	now=hop$((++nr_hops))
	receiver "$now" "$uri"
	moved "$from" "$uri" "$@" && [ "$(jq -r .status "$WORK/figures")" = completed ] && adds_up &&
		gone "$from" && checked "$now" 6144 || result=1
	report "$row" "$now" $result
	figures
	[ $result = 0 ] || {
		away "$from" "$now"
		now=''
	}
}

# The guest's own clock knows of a gap, and one was reported. How near they are to each other is up to the
# host, on which somebody else may run between the two. The guest tells its gap, in microseconds, with the
# status, next to the last word.
gap_is_told()
{
	local gap said
	gap=$(awk '/^micro: status/ { print $(NF - 1); exit }' "$WORK/$now.out")
	said=$(jq '."x-quire"."downtime-us"' "$WORK/figures")
	check "it stood still for $gap us by its own clock, $said were reported" \
		[ "$gap" -ge 100 -a "$said" -ge 100 ]
}

nr_hops=0 last_uri='' now='' append="$WRITER gap=1 zero=10 same=10 dup=10 random=80"
hop "handed over" unix
hop "pre-copy over UNIX, with a load of writes" unix --copy
[ -z "$now" ] || gap_is_told
hop "pre-copy over TCP" tcp
hop "post-copy over UNIX" unix --postcopy
hop "post-copy over TCP" tcp --postcopy
hop "hybrid over UNIX" unix --hybrid
hop "hybrid over TCP" tcp --hybrid
hop "two streams" tcp --streams 2
hop "post-copy, three streams" unix --postcopy --streams 3
# what somebody has prepared by QMP is not for a move by the command line: it would rule out a hand-over
[ -z "$now" ] || "$QUIRE" qmp "$now" migrate-set-capabilities \
	'{"capabilities": [{"capability": "postcopy-ram", "state": true}]}' >/dev/null
hop "handed over after all of it" unix
check "it was" [ "$(jq '."x-quire"."hand-over"' "$WORK/figures")" = true ]
[ -z "$now" ] || away "$now"
now='' append=$EDGE
hop "an edge handed over" unix
hop "an edge, pre-copy" unix --copy
hop "an edge, post-copy" unix --postcopy
hop "an edge, hybrid" tcp --hybrid
hop "an edge, two streams" tcp --streams 2
[ -z "$now" ] || away "$now"

# --- back and forth ---
# One guest, which rewrites its memory all the while; every way in turn.
ways=("" "--copy" "--copy --postcopy" "--copy --hybrid")
guest back0 32M "$WRITER size=16M"
for ((i = 0; i < MOVES; i++)); do
	uri=$unix
	[ $((i % 2)) = 0 ] || uri=$other_unix
	receiver back$((i + 1)) "$uri"
	# shellcheck disable=SC2015,SC2086 # some options or none; either may fail
	moved back$i "$uri" ${ways[i % 4]} && gone back$i || break
done
check "a guest moves $MOVES times while it works ($i done)" [ "$i" = "$MOVES" ]
checked back"$i" 4096
report "and has all its pages" back"$i" $?
away back"$i"

# To its very end.
for job in writer edge; do
	work=$WRITER
	[ $job = writer ] || work=$EDGE
	guest $job 32M "$work size=24M"
	receiver after-$job "$unix-$job"
	moved $job "$unix-$job" --copy && gone $job && goes_on after-$job 1 && tell_stop after-$job &&
		ends_well after-$job
	report "to the end of the $job" after-$job $?
done

# --- more memory than there may be, on both sides ---
LIMIT=$((20 * MIB)) # and 2 MiB for what is under way

memory() # NAME FILTER
{
	"$QUIRE" qmp "$1" x-quire-memory 2>/dev/null | jq -r "$2"
}

# Resident and store together, at most.
within_limit() # NAME
{
	[ "$(memory "$1" .peak)" -le $((LIMIT + 2 * MIB)) ]
}

# The highest peak of NAME, which does not live on, while the client is at work; $peak is that of before.
watch_peak() # NAME
{
	local now
	while kill -0 $client 2>/dev/null; do
		now=$(memory "$1" .peak)
		[ "${now:-0}" -le "$peak" ] || peak=$now
		sleep 0.02
	done
}

guest full 64M "$WRITER size=40M" --limit 20M
from=full
for way in --copy --postcopy; do
	"$QUIRE" qmp $from x-quire-reset-peak >/dev/null
	uri=$unix$way
	receiver full$way "$uri" --limit 20M
	peak=$(memory $from .peak)
	begin $from "$uri" $way --bandwidth 30M
	watch_peak $from
	wait_for_exit $client
	report "overcommitted on both sides, $way" full$way $?
	check "the source kept its limit (peak $((peak >> 20)) MiB)" \
		[ "$peak" -gt $MIB -a "$peak" -le $((LIMIT + 2 * MIB)) ]
	check "so did the destination" within_limit full$way
	goes_on full$way 1
	report "the guest goes on" full$way $?
	gone $from
	from=full$way
done
away $from

# --- a receiver that hears from QMP where to wait ---
incoming=("$QUIRE" qmp late migrate-incoming)
guest early 32M "$WRITER size=16M time=3600"
"$QUIRE" receive defer --name late >"$WORK/late.out" 2>"$WORK/late.err" </dev/null &
process[late]=$!
check "a receiver without an address is there" wait_until state_is late inmigrate
check "and waits nowhere yet" [ "$("$QUIRE" qmp late query-migrate | jq -c .)" = '{}' ]
expect "it is told no address" 1 "not an address" "${incoming[@]}" '{"uri": "pigeon:home"}'
expect "it is told one" 0 '' "${incoming[@]}" "{\"uri\": \"$unix\"}"
check "where it waits" [ "$("$QUIRE" qmp late query-migrate | jq -r '."x-quire-listens-at"')" = "$unix" ]
expect "it is told another" 1 "waits for no guest" "${incoming[@]}" "{\"uri\": \"$other_unix\"}"
# shellcheck disable=SC2015 # either may fail
moved early "$unix" --copy && gone early && checked late 4096
report "a guest comes to where QMP said" late $?
away early late

# --- called off, killed and refused, before the guest has moved ---

# A migration that is slow enough to be met under way: at 64 KiB/s its first round would take minutes.
begin_slow() # [BANDWIDTH]
{
	receiver b "$unix"
	begin a "$unix" --copy --bandwidth "${1:-64K}"
	reaches a active
}

# The source lives on as if nothing had been.
lives_on() # WHAT
{
	local result=0
	goes_on a && state_is a running || result=1
	report "$1: the guest goes on" a $result
}

guest a 32M "$WRITER size=24M random=100"
check "nothing is told before a migration" [ "$("$QUIRE" qmp a query-migrate | jq -c .)" = '{}' ]
expect "nothing is called off" 0 '' "$QUIRE" qmp a migrate_cancel
begin_slow
expect "a second migration is refused" 1 'moving' "$QUIRE" migrate a "$unix" --precopy
expect "so is a checkpoint" 1 'moving' "$QUIRE" checkpoint a "$WORK/refused"
expect "and a roll-back" 1 '.' "$QUIRE" reset a
check "nothing is left of them" [ ! -e "$WORK/refused" ]
check "and it is still under way" [ "$(status_of a)" = active ]
kill -INT $client
wait_for_exit $client
check "interrupted, the client ends with an error" [ $? = 1 ]
check "which says so" only_error "$WORK/client" 'cancelled'
gone b
check "the destination ends, too" [ $? = 1 ]
check "saying so in one line" only_error "$WORK/b.err" .
lives_on "called off"
expect "called off once more" 0 '' "$QUIRE" qmp a migrate_cancel
check "that is how it ended" [ "$(status_of a)" = cancelled ]

begin_slow 1M # the source must send to see that nobody is there
killed b
wait_for_exit $client
check "the destination is killed: the client ends with an error" [ $? = 1 ]
check "in one line" only_error "$WORK/client" .
lives_on "the destination killed"

"$QUIRE" checkpoint --bandwidth 1K a "$WORK/slow" >"$WORK/client" 2>&1 &
client=$!
wait_until eval '[ "$("$QUIRE" qmp a x-quire-query-checkpoint | jq -r .status)" = saving ]'
expect "a migration during a checkpoint is refused" 1 'checkpoint' "$QUIRE" migrate a "$unix" --precopy
kill -INT $client
wait_for_exit $client

expect "nobody there" 1 "No such file|refused" "$QUIRE" migrate a "unix:$WORK/nobody" --precopy
expect "nobody at a port" 1 "refused" "$QUIRE" migrate a "tcp:127.0.0.1:1" --precopy
expect "no address" 2 "not an address" "$QUIRE" migrate a "pigeon:home"
expect "none to wait at" 2 "not an address" "$QUIRE" receive "pigeon:home"
expect "no such guest" 1 "." "$QUIRE" migrate nobody "$unix"
expect "a path that cannot be" 1 "." "$QUIRE" receive "unix:$WORK/no/where" --name b
rm -f "$WORK/wire"
expect "a receiver with the name in use" 1 "name is in use" "$QUIRE" receive "$unix" --name a
check "a refused receiver leaves nothing behind" [ ! -e "$WORK/wire" ]
(
	ulimit -v 80000
	exec "$QUIRE" receive "$unix" --name small >"$WORK/small.out" 2>"$WORK/small.err"
) &
process[small]=$!
wait_while_it_lives "${process[small]}" test -S "$WORK/wire"
expect "a destination with too little memory" 1 "." "$QUIRE" migrate a "$unix" --copy --precopy
gone small
check "which says so in one line" only_error "$WORK/small.err" .
lives_on "refused"

# --- a bad network ---
through=unix:$WORK/proxy

proxy() # OPTION...
{
	rm -f "$WORK/proxy.out"
	"$PROXY" "$through" "$unix" "$@" >"$WORK/proxy.out" 2>&1 &
	proxy=$!
	wait_until grep -q ready "$WORK/proxy.out"
}

proxy_ends()
{
	kill $proxy
	wait_for_exit $proxy
}

# Before the guest has moved, whatever happens is an error and the guest stays. Of 24 MiB and more,
# 4 MiB are early in the first round, 20 MiB late. The proxy must have come so far.
broken() # WHAT BYTES PROXY'S-OPTION
{
	receiver b "$unix"
	proxy "$3" "$2"
	expect "$1: an error" 1 '.' "$QUIRE" migrate a "$through" --copy --precopy
	proxy_ends
	check "$1: it took effect" [ "$(awk '/ bytes/ { print $1 }' "$WORK/proxy.out")" -ge "$2" ]
	gone b
	check "$1: the destination ends" [ $? = 1 ]
	lives_on "$1"
}

if [ -x "$PROXY" ]; then
	broken "cut early" 4000000 --cut-after
	broken "cut late" 20000000 --cut-after
	for at in 100000 4000001 15000003; do
		broken "a byte flipped after $at" $at --flip-after
	done

	receiver b "$unix"
	proxy --stall-after 10000000
	begin a "$through" --copy
	wait_for_line "$WORK/proxy.out" stalled
	goes_on a
	report "stalled: the guest goes on" a $?
	check "stalled: orders are obeyed" timely "$QUIRE" pause a
	check "stalled: and taken back" timely "$QUIRE" resume a
	check "stalled: and it is under way" [ "$(status_of a)" = active ]
	kill -INT $client
	wait_for_exit $client
	check "stalled: it can be called off" [ $? = 1 ]
	proxy_ends
	gone b
	lives_on "stalled"

	receiver b "$unix"
	proxy --rate 40000000 --delay 20
	moved a "$through" --copy && gone a && checked b 6144
	report "after all of it, over a slow and distant network" b $?
	figures
	proxy_ends
	away b

	# each of several connections is late by an amount of its own, which changes all the time
	for way in "--streams 3" "--streams 3 --postcopy" "--streams 2 --hybrid"; do
		guest a 32M "$EDGE size=24M"
		receiver b "$unix"
		proxy --reorder 12
		# shellcheck disable=SC2086 # options
		moved a "$through" --copy $way && gone a && checked b 6144
		report "connections that overtake each other, $way" b $?
		figures
		proxy_ends
		away a b
	done

	guest a 32M "$EDGE size=24M random=100"
	receiver b "$unix"
	proxy --rate 400000
	begin a "$through" --postcopy
	reaches a postcopy-active
	kill -USR1 $proxy
	wait_for_exit $client
	check "cut in post-copy: the client ends with an error" [ $? = 1 ]
	check "and says what can be done" only_error "$WORK/client" recover
	check "the source waits for another connection" reaches a postcopy-paused
	check "so does the destination" reaches b postcopy-paused
	proxy_ends
	# far enough away for the client to look before there is a connection again
	proxy --delay 50
	moved a "$through" --recover && gone a && checked b 6144
	result=$?
	report "recovered, the edge is whole" b $result
	[ $result = 0 ] || killed a
	away b
	proxy_ends
else
	skip "a bad network" "$PROXY is not built"
	away a
fi

# --- keys ---
for side in here there; do
	printf 'quire:%064x\n' $RANDOM$RANDOM >"$WORK/$side.key"
	chmod 600 "$WORK/$side.key"
done
guest a 32M "$WRITER size=24M random=100"
receiver b "$tcp" --tls-psk "$WORK/here.key"
expect "a wrong key" 1 '.' "$QUIRE" migrate a "$tcp" --precopy --tls-psk "$WORK/there.key"
expect "no key" 1 '.' "$QUIRE" migrate a "$tcp" --precopy
lives_on "keys"
away b
receiver b "$tcp" --tls-psk "$WORK/here.key"
moved a "$tcp" --tls-psk "$WORK/here.key" && gone a && checked b 6144
report "the right key" b $?
away b

# --- the source goes while the guest is there, or on its way ---
guest a 32M "$WRITER size=24M random=100"
begin_slow
check "a guest that is paused meanwhile" "$QUIRE" pause a
check "is paused" state_is a paused
"$QUIRE" resume a
check "and quits when told to" timely "$QUIRE" quit a
wait_for_exit $client
check "the client ends with an error" [ $? = 1 ]
gone a
gone b
check "and its destination ends" [ $? = 1 ]

guest a 32M "$WRITER size=24M random=100"
begin_slow
killed a
wait_for_exit $client
check "the source is killed: the client ends with an error" [ $? = 1 ]
gone b
check "the destination ends, too" [ $? = 1 ]
check "saying so in one line" only_error "$WORK/b.err" .

guest a 32M "$WRITER size=24M"
receiver b "$unix"
moved a "$unix" --copy
report "moved before the source is killed" b $?
killed a
checked b 6144
report "the source killed after the move: the destination verifies" b $?
away b

# --- after the guest has moved: it is the destination's ---
# It works in a part of its memory, so that it does not ask for all the rest at once.
begin_postcopy()
{
	guest a 32M "$WRITER size=24M hot=2M random=100"
	receiver b "$unix"
	begin a "$unix" --postcopy --bandwidth 64K
	reaches a postcopy-active
	goes_on b 1
	report "in post-copy the guest is at work on the other side" b $?
	check "and part of its memory is not" [ "$(status_of a)" = postcopy-active ]
	expect "it cannot be called off any more" 1 'cannot be cancelled' "$QUIRE" qmp a migrate_cancel
}

# A guest whose own memory is not all here can neither be moved on nor saved.
not_yet() # WHEN ADVICE
{
	expect "$1: it cannot be moved on" 1 "its own memory has not all come yet \\($2" \
		"$QUIRE" migrate b "$other_unix" --precopy
	expect "$1: nor can that be planned" 1 "its own memory has not all come yet \\($2" \
		"$QUIRE" migrate b "$other_unix" --plan
	expect "$1: nor can it be saved" 1 "its own memory has not all come yet \\($2" \
		"$QUIRE" checkpoint b "$WORK/refused"
	check "$1: nothing is left of that" [ ! -e "$WORK/refused" ]
}

begin_postcopy
not_yet "in post-copy" wait
killed a
wait_for_exit $client
check "the source is killed in post-copy: the client ends with an error" [ $? = 1 ]
# what was with the source alone is lost, and to go on without it would be a lie
check "the destination keeps what it has, and waits" reaches b postcopy-paused
not_yet "without its source" recover
check "never a wrong page" eval "! grep -qE 'wrong [1-9]|FAIL' '$WORK/b.out'"
check "and can be told to quit" timely "$QUIRE" quit b
gone b

begin_postcopy
killed b
wait_for_exit $client
check "the destination is killed in post-copy: the client ends with an error" [ $? = 1 ]
check "the source keeps what it has, and waits" reaches a postcopy-paused
check "it does not run the guest a second time" eval "! '$QUIRE' resume a"
check "and can be told to quit" timely "$QUIRE" quit a
gone a

nothing_left()
{
	"$QUIRE" ps >/dev/null
	[ -z "$(ls -A "$QUIRE_RUNTIME_DIR")" ] && [ -z "$(jobs -pr)" ]
}
check "nothing is left" nothing_left
finish
