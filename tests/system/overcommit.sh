#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Memory overcommit on the microguest: limits that hold whatever the guest does, every policy, races
# between the guest, the evictor and the control socket, and a world that fails. The guest checks
# every page that it reads and all of them at the end; quire checks its own states on each move
# (QUIRE_CHECK_MEMORY) and, where a test asks, its states against the host's memory.
#
#   tests/system/overcommit.sh           what `make check` runs
#   SOAK=60 tests/system/overcommit.sh   ten times as many changes under load
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

export QUIRE_CHECK_MEMORY=1
SOAK=${SOAK:-6}
SLACK=$((2 * 1024 * 1024))
export TMPDIR=$WORK

# Start a guest in the background: NAME MEMORY CPUS APPEND OPTION...
guest()
{
	local name=$1 memory=$2 cpus=$3 append=$4
	shift 4
	start "$name" run --kernel "$MICRO" --memory "$memory" --cpus "$cpus" --append "$append" "$@"
	pid=${process[$name]}
	wait_while_it_lives "$pid" test -S "$QUIRE_RUNTIME_DIR/$name.qmp"
}

# The same, and wait until it has written all its pages once.
filled_guest()
{
	guest "$@" && wait_for_line "$WORK/$1.out" 'micro: fill' "$pid"
}

stops_well() # NAME
{
	tell_stop "$1"
	ends_well "$1"
}

memory() # NAME FILTER
{
	"$QUIRE" qmp "$1" x-quire-memory | jq -r "$2"
}

stalled() # NAME: a fault waits for room
{
	grep -q 'limit' "$WORK/$1.err"
}

report() # NAME GUEST RESULT
{
	if [ "$3" = 0 ]; then
		ok "$1"
	else
		not_ok "$1" "$(tail -n 2 "$WORK/$2.out" "$WORK/$2.err" 2>/dev/null | tr '\n' ' ')"
	fi
}

if ! { : <>/dev/kvm; } 2>/dev/null; then
	skip "overcommit" "/dev/kvm cannot be opened"
	finish
	exit
fi

# --- a guest of 512 MiB in 128 MiB ---
filled_guest big 512M 1 "job=access pattern=zipf stop=1 status=100" --limit 128M
wait_while_it_lives "$pid" has_worked "$WORK/big.out" 1000
read -r peak evicted stored < <(memory big '[.peak, .evicted, .pages.stored] | @tsv')
check "its pages were evicted" [ "$evicted" -gt 50000 ]
check "its pages were stored" [ "$stored" -gt 25000 ]
tell_stop big
while kill -0 "$pid" 2>/dev/null; do
	now=$(memory big .peak 2>/dev/null)
	[ "${now:-0}" -le "$peak" ] || peak=$now
	sleep 0.2
done
ends_well big
report "512 MiB under a limit of 128 MiB fills, runs and verifies" big $?
check "its peak stays within the slack" [ "$peak" -le $((128 * 1024 * 1024 + SLACK)) ]

# --- every policy ---
for policy in fifo clock clock0 nth:2 nfu lru car; do
	for idle in "" +idle; do
		guest p 64M 1 "job=access pattern=zipf size=48M ops=20000" --limit 24M --policy "$policy$idle"
		ends_well p
		report "policy $policy$idle" p $?
	done
done
expect "an unknown policy" 2 'policy' "$QUIRE" run --kernel "$MICRO" --policy nonsense --limit 64M

# --- page contents that are cheap, and that are not ---
guest cheap 256M 1 "job=verify passes=2 zero=30 same=30 dup=30" --limit 32M
ends_well cheap
report "zeros, repeats and copies" cheap $?
guest noise 128M 1 "job=verify passes=2 random=100" --limit 32M
ends_well noise
report "pages that do not compress go to the swap file" noise $?
guest prot 128M 1 "job=access pattern=random size=96M ops=20000 write=30" --limit 48M --clean protect
ends_well prot
report "--clean protect" prot $?

# --- two vCPUs, the limit up and down, reclaim, policies changed: minutes of it with SOAK ---
guest race 128M 2 "job=access pattern=random cpus=2 size=112M stop=1" --limit 48M
for ((i = 1; i <= SOAK * 25; i++)); do
	"$QUIRE" qmp race x-quire-set-limit "{\"limit\": $(((24 + RANDOM % 64) * 1048576))}" >/dev/null 2>&1
	[ $((i % 7)) = 0 ] && "$QUIRE" reclaim race 8M >/dev/null 2>&1
	[ $((i % 11)) = 0 ] && "$QUIRE" qmp race x-quire-set-policy '{"policy": "car+idle"}' >/dev/null 2>&1
	[ $((i % 13)) = 0 ] && "$QUIRE" qmp race x-quire-set-policy '{"policy": "fifo"}' >/dev/null 2>&1
	if [ $((i % 10)) = 0 ] && "$QUIRE" pause race 2>/dev/null; then
		[ "$("$QUIRE" qmp race x-quire-audit 2>/dev/null | jq .wrong)" = 0 ] || echo wrong >>"$WORK/audit"
		"$QUIRE" resume race 2>/dev/null
	fi
	sleep 0.01
done
stops_well race
report "two vCPUs while limits, policies and reclaim change" race $?
check "states and host memory agreed whenever they were compared" test ! -s "$WORK/audit"

# --- a limit asked of a guest that has none, taken back, and reclaim alone ---
filled_guest late 128M 1 "job=access pattern=random size=96M stop=1"
check "quire limit on a guest without one" "$QUIRE" limit late 40M
wait_until eval '[ "$(memory late ".resident + .store")" -le $((40 * 1024 * 1024 + SLACK)) ]'
check "its memory went down to the limit" \
	[ "$(memory late '.resident + .store')" -le $((40 * 1024 * 1024 + SLACK)) ]
stops_well late
report "and it still verifies" late $?
filled_guest rec 64M 1 "job=access pattern=idle size=48M stop=1"
check "quire reclaim" "$QUIRE" reclaim rec 32M
check "what was asked for went" [ "$(memory rec .pages.stored)" -ge 8000 ]
stops_well rec
report "and it still verifies after reclaim" rec $?

# --- no room: the guest waits, is told of, can be paused and quit, and goes on with a higher limit ---
guest full 128M 1 "job=verify random=100" --limit 32M --swap none
wait_until stalled full
check "a guest that needs more than its limit waits, and quire says so" stalled full
check "it can be paused" "$QUIRE" pause full
check "it can be resumed" "$QUIRE" resume full
check "its memory stays within the slack" \
	[ "$(memory full .peak)" -le $((32 * 1024 * 1024 + SLACK)) ]
check "the limit is raised" "$QUIRE" limit full 256M
ends_well full
report "it goes on, and nothing was lost" full $?
guest stuck 128M 2 "job=verify random=100 cpus=2" --limit 32M --swap none
wait_until stalled stuck
check "a guest that waits can be quit" timely "$QUIRE" quit stuck
wait "$pid"

# --- a world that fails ---
for fault in swap-full swap-write store-memory:2000 evict-slow fault-again:5000; do
	export QUIRE_FAULT=$fault
	guest hurt 64M 2 "job=access pattern=random cpus=2 size=48M ops=40000 random=30" --limit 40M
	unset QUIRE_FAULT
	ends_well hurt
	report "QUIRE_FAULT=$fault: nothing is lost" hurt $?
done
for fault in swap-read swap-corrupt store-corrupt; do
	export QUIRE_FAULT=$fault@20
	QUIRE_CHECK_MEMORY=0 guest dead 128M 1 "job=verify passes=9 random=100" --limit 32M
	unset QUIRE_FAULT
	gone dead
	status=$?
	if [ $status = 1 ] && grep -qE '^quire: guest dead: page [0-9]+' "$WORK/dead.err" &&
		! grep -q 'wrong page' "$WORK/dead.out"; then
		ok "QUIRE_FAULT=$fault: the guest stops before it sees a wrong byte"
	else
		report "QUIRE_FAULT=$fault: status $status" dead 1
	fi
done
expect "an unknown failure point" 2 'QUIRE_FAULT' env QUIRE_FAULT=nonsense "$QUIRE" run --kernel "$MICRO"

# --- killed at any moment: nothing is left ---
mkdir "$WORK/swap"
guest killed 64M 1 "job=verify passes=0 random=100" --limit 32M --swap "$WORK/swap"
wait_until eval '[ "$(memory killed .swap.writes)" -gt 0 ]'
kill -9 "$pid"
wait "$pid" 2>/dev/null
check "a killed VMM leaves no file" [ -z "$(ls -A "$WORK/swap")" ]

# --- the reference trace of a live guest ---
guest traced 32M 1 "job=access pattern=zipf size=8M ops=20000" --trace-pages "$WORK/trace"
ends_well traced
report "a guest whose references are recorded" traced $?
check "the trace has references" [ "$(wc -l <"$WORK/trace")" -gt 5000 ]
guest unwritten 32M 1 "job=access pattern=zipf size=8M ops=20000" --trace-pages /dev/full
ends_well unwritten
report "a guest whose references cannot be recorded" unwritten $?
check "it says so" grep -q 'its reference trace cannot be written' "$WORK/unwritten.err"
[ -x build/release/quire-sim ] && check "quire-sim replays it" build/release/quire-sim "$WORK/trace"
finish
