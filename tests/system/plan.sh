#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What `quire migrate --plan` says of guests of different kinds, what is chosen without it, and whether
# it becomes true: a prediction and its result are within a factor of three of each other. Both sides are
# on this host, and a busy one makes any pause longer by some of its time slices: SLACK_MS of a pause or of
# a move are no error.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

SLACK_MS=${SLACK_MS:-600}
PORT=$((20000 + RANDOM % 10000))
READER="job=access pattern=random write=0 random=100 cpus=2 status=20"
WRITER="job=access pattern=random write=40 random=100 cpus=2 status=20"

if ! { : <>/dev/kvm; } 2>/dev/null; then
	skip "plans" "/dev/kvm cannot be opened"
	finish
	exit
fi
end_guests_at_exit

# Start a guest in the background, and wait until it has all of its memory: NAME APPEND.
guest()
{
	"$QUIRE" run --kernel "$MICRO" --name "$1" --memory 64M --cpus 2 --append "$2 size=48M time=3600" \
		>"$WORK/$1.out" 2>"$WORK/$1.err" </dev/null &
	wait_until grep -q '^micro: status.* filled 12288 ' "$WORK/$1.out"
}

# Wait for one in the background: NAME URI.
receiver()
{
	rm -f "$WORK/wire"
	"$QUIRE" receive "$2" --name "$1" >"$WORK/$1.out" 2>"$WORK/$1.err" </dev/null &
	wait_until grep -q 'waits at' "$WORK/$1.err"
}

quit_all() # NAME...
{
	local name
	for name in "$@"; do
		"$QUIRE" quit "$name" 2>/dev/null
	done
	for name in $(jobs -p); do
		timeout 20 tail --pid="$name" -f /dev/null || kill -9 "$name"
		wait "$name" 2>/dev/null
	done
}

plan() # URI OPTION...
{
	timeout 60 "$QUIRE" migrate a "$@" --plan --json >"$WORK/plan" 2>"$WORK/client.err"
}

moved() # URI OPTION...
{
	timeout 120 "$QUIRE" migrate a "$@" --json >"$WORK/figures" 2>"$WORK/client.err"
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

# What came of the move is about what its own plan had said: WHAT WAY
came_true()
{
	local what=$1 way=.\"x-quire-plan\".ways.\"$2\" of expected got
	for of in total downtime; do
		expected=$(figure "$way.\"$of-us\"") got=$(figure ".\"x-quire\".\"$of-us\"")
		check "$what: $of $got us, $expected expected" \
			about "$got" "$expected" $((SLACK_MS * 1000))
	done
	expected=$(figure "$way.bytes") got=$(figure .ram.transferred)
	check "$what: $got bytes, $expected expected" about "$got" "$expected" 1000000
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
came_true "pre-copy" pre-copy
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
came_true "hybrid" hybrid
wait_until eval '[ "$(grep -c "^micro: status" "$WORK/b.out")" -ge 5 ]'
check "and has all its pages" eval "! grep -qE 'wrong [1-9]|FAIL' '$WORK/b.out'"
quit_all a b

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
"$QUIRE" qmp a x-quire-plan-migration '{"uri": "'"$unix"'"}' >/dev/null
expect "a checkpoint is refused meanwhile" 1 'being planned' "$QUIRE" checkpoint a "$WORK/refused"
expect "so is a migration" 1 'being planned' "$QUIRE" migrate a "$unix" --precopy
wait_until eval '[ "$("$QUIRE" qmp a x-quire-query-plan | jq -r .status)" = ready ]'
"$QUIRE" migrate a "$unix" --copy >"$WORK/client" 2>&1 &
client=$!
wait_until eval '[ "$("$QUIRE" qmp a query-migrate | jq -r .status)" = setup ]'
kill -INT $client
wait $client
check "called off while it is being planned" grep -q 'cancelled' "$WORK/client"
check "after all that it moves" moved "$unix"
check "handed over" [ "$(figure '.["x-quire"]["hand-over"]')" = true ]
came_true "hand-over" hand-over
quit_all a b

guest a "$READER"
receiver b "$unix"
"$QUIRE" qmp a x-quire-plan-migration '{"uri": "'"$unix"'"}' >/dev/null
check "a guest that is being planned with quits at once" timeout 5 "$QUIRE" quit a
quit_all a b
nothing_left()
{
	"$QUIRE" ps >/dev/null
	[ -z "$(ls -A "$QUIRE_RUNTIME_DIR")" ]
}
check "nothing is left" nothing_left
finish
