#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What `quire migrate --plan` says of guests of different kinds, what is chosen without it, and whether
# it becomes true: the bytes that were predicted and those that were sent are within a factor of three of
# each other, and neither takes less time than the bandwidth allows. How near the times are to each other is
# the host's, on which others may run.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

PORT=$((20000 + RANDOM % 10000))
READER="job=access pattern=random write=0 random=100 cpus=2 status=20 stop=1"
WRITER="job=access pattern=random write=40 random=100 cpus=2 status=20 stop=1"

if ! { : <>/dev/kvm; } 2>/dev/null; then
	skip "plans" "/dev/kvm cannot be opened"
	finish
	exit
fi
end_guests_at_exit

# Start a guest in the background, and wait until it has all of its memory: NAME APPEND.
guest()
{
	start_guest "$1" "$2 size=48M" --memory 64M --cpus 2
}

# Wait for one in the background: NAME URI.
receiver()
{
	rm -f "$WORK/wire"
	start "$1" receive "$2"
	wait_for_line "$WORK/$1.err" 'waits at' "${process[$1]}"
}

quit_all() # NAME...
{
	local name
	for name in "$@"; do
		"$QUIRE" quit "$name" 2>/dev/null
		gone "$name"
	done
}

plan() # URI OPTION...
{
	timely "$QUIRE" migrate a "$@" --plan --json >"$WORK/plan" 2>"$WORK/client.err"
}

moved() # URI OPTION...
{
	timely "$QUIRE" migrate a "$@" --json >"$WORK/figures" 2>"$WORK/client.err"
}

# A figure of the plan, or of the move.
planned()
{
	jq -r "$1" "$WORK/plan"
}

figure()
{
	jq -r "$1" "$WORK/figures"
}

# Three times as much, or a third, and the slack.
about() # FIGURE FIGURE SLACK
{
	awk -v a="$1" -v b="$2" -v slack="$3" 'BEGIN { exit !(a != "null" && b != "null" && b != "" &&
		a <= 3 * b + slack && b <= 3 * a + slack) }'
}

# It is there, and no less than so many bytes take at so many bytes a second, but for a tenth; 0: as it likes.
takes() # US BYTES BYTES/S
{
	awk -v us="$1" -v bytes="$2" -v rate="$3" \
		'BEGIN { exit !(us + 0 > 0 && (rate + 0 == 0 || us * rate >= bytes * 0.9e6)) }'
}

# What came of the move is about what its own plan had said: WHAT WAY BYTES/S
came_true()
{
	local what=$1 way=.\"x-quire-plan\".ways.\"$2\" rate=${3:-0} expected got
	expected=$(figure "$way.bytes") got=$(figure .ram.transferred)
	check "$what: $got bytes, $expected expected" about "$got" "$expected" 1000000
	check "$what: a time was expected" takes "$(figure "$way.\"total-us\"")" "$expected" "$rate"
	check "$what: it took its time" takes "$(figure '."x-quire"."total-us"')" "$got" "$rate"
	check "$what: it stood still, as expected" [ "$(figure "$way.\"downtime-us\"")" -gt 0 -a \
		"$(figure '."x-quire"."downtime-us"')" -gt 0 ]
}

# Three ways and perhaps a fourth, all of them with figures.
all_ways() # NUMBER
{
	[ "$(planned '[.plan.ways[] | select(.["total-us"] > 0 and .["downtime-us"] > 0)] | length')" = "$1" ]
}

# --- a guest that does not write ---
unix=unix:$WORK/wire tcp=tcp:127.0.0.1:$PORT
guest a "$READER"
receiver b "$unix"
check "a plan" plan "$unix" --copy --bandwidth 100M
check "of three ways" all_ways 3
check "with a line that was measured" [ "$(planned '.plan.measured["line-measured"]')" = true ]
check "no faster than it may be" [ "$(planned '.plan.measured["bytes-per-second"] <= 104857600')" = true ]
check "a guest that does not write gets pre-copy" [ "$(planned .plan.choice)" = pre-copy ]
check "its pages are counted" [ "$(planned '.plan.measured.pages >= 12288')" = true ]
check "its curve has grown no smaller" \
	[ "$(planned '[.plan.measured.curve[].pages] as $c | $c == ($c | sort) and ($c | length) >= 10')" = true ]
expect "a person gets a table" 0 '' "$QUIRE" migrate a "$unix" --copy --plan
cp "$OUT" "$WORK/table"
check "which marks the choice" grep -qE '^\* (pre-copy|hybrid) .* MiB  [a-z]' "$WORK/table"
check "it moves without being told how" moved "$unix" --copy --bandwidth 100M
check "by pre-copy" [ "$(figure '.["x-quire"].strategy')" = pre-copy ]
came_true "pre-copy" pre-copy 104857600
quit_all a b

# --- one that writes faster than the line takes ---
guest a "$WRITER"
receiver b "$tcp"
plan "$tcp" --bandwidth 20M
check "a guest that writes faster than the line takes gets hybrid" [ "$(planned .plan.choice)" = hybrid ]
check "since pre-copy would not do" [ "$(planned '.plan.ways["pre-copy"].throttle')" -gt 0 ]
check "it was seen to write the same pages again" \
	[ "$(planned '.plan.measured["dirty-rate"] > .plan.measured.curve[-1].pages')" = true ]
check "it moves" moved "$tcp" --bandwidth 20M
check "by hybrid" [ "$(figure '.["x-quire"].strategy')" = hybrid ]
came_true "hybrid" hybrid # what the guest asks for does not wait for the bandwidth
gone a
wait_until has_worked "$WORK/b.out" 1000
tell_stop b
check "and has all its pages" ends_well b

# --- both on one host ---
guest a "$WRITER"
receiver b "$unix"
plan "$unix"
check "of four ways" all_ways 4
check "on one host memory is handed over" [ "$(planned .plan.choice)" = hand-over ]
check "a third plan, of a line that nobody is at" plan "unix:$WORK/nobody" --copy
check "assumes one" [ "$(planned '.plan.measured["bytes-per-second"] == 125e6')" = true ]
check "and says so" grep -q 'No such file' <<<"$(planned '.["no-line"]')"
expect "--plan and --postcopy" 2 'give one of them' "$QUIRE" migrate a "$unix" --plan --postcopy
expect "--plan and --recover" 2 'recover' "$QUIRE" migrate a "$unix" --plan --recover
expect "nowhere" 2 'pigeon' "$QUIRE" migrate a "pigeon:home" --plan

# --- while it is being planned ---
plan_status()
{
	"$QUIRE" qmp a x-quire-query-plan | jq -r .status
}

# A plan is made within seconds: if it was over before the order came, another is made.
refused_meanwhile() # PATTERN COMMAND...
{
	local pattern=$1
	shift
	wait_until eval '[ "$(plan_status)" != planning ]'
	"$QUIRE" qmp a x-quire-plan-migration '{"uri": "'"$unix"'"}' >"$WORK/planned" 2>&1
	! "$@" >"$WORK/client" 2>&1 && grep -q "$pattern" "$WORK/client"
}
check "a checkpoint is refused meanwhile" wait_until refused_meanwhile 'being planned' \
	"$QUIRE" checkpoint a "$WORK/refused"
check "so is a migration" wait_until refused_meanwhile 'being planned' \
	"$QUIRE" migrate a "unix:$WORK/nobody" --precopy
wait_until eval '[ "$(plan_status)" = ready ]'
"$QUIRE" migrate a "$unix" --copy --bandwidth 64K >"$WORK/client" 2>&1 &
client=$!
wait_until eval '[[ "$("$QUIRE" qmp a query-migrate | jq -r .status)" =~ setup|active ]]'
kill -INT $client
wait_for_exit $client
check "called off while it is being planned" grep -q 'cancelled' "$WORK/client"
check "after all that it moves" moved "$unix"
check "handed over" [ "$(figure '.["x-quire"]["hand-over"]')" = true ]
came_true "hand-over" hand-over
quit_all a b

guest a "$READER"
receiver b "$unix"
"$QUIRE" qmp a x-quire-plan-migration '{"uri": "'"$unix"'"}' >/dev/null
check "a guest that is being planned with can be quit" timely "$QUIRE" quit a
quit_all a b
nothing_left()
{
	"$QUIRE" ps >/dev/null
	[ -z "$(ls -A "$QUIRE_RUNTIME_DIR")" ]
}
check "nothing is left" nothing_left
finish
