#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# quire-sim: the command line, and that what it prints is what tests/tools/replacement.txt says.
# The policies themselves are tested in test_policy.c and test_sim.c.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

SIM=${SIM:-build/release/quire-sim}
VECTORS=tests/tools/replacement.txt
brief=7,0,1,2,0,3,0,4,2,3

# Run quire-sim, which must end with STATUS and one line on stderr that matches PATTERN.
refuses() # NAME STATUS PATTERN ARGUMENTS...
{
	local name=$1 status=$2 pattern=$3 got
	shift 3
	timeout 60 "$SIM" "$@" >"$OUT" 2>"$ERR" </dev/null
	got=$?
	if [ $got != "$status" ]; then
		not_ok "$name" "status $got, not $status: $(head -n 3 "$ERR" | tr '\n' ' ')"
	elif [ "$(wc -l <"$ERR")" != 1 ] || ! grep -qE "^quire-sim: .*$pattern" "$ERR"; then
		not_ok "$name" "stderr is not one line with $pattern: $(cat "$ERR")"
	else
		ok "$name"
	fi
}

# Pass when quire-sim prints a line that is PATTERN, blanks squeezed.
prints() # NAME PATTERN ARGUMENTS...
{
	local name=$1 pattern=$2
	shift 2
	if ! timeout 60 "$SIM" "$@" >"$OUT" 2>"$ERR" </dev/null; then
		not_ok "$name" "failed: $(head -n 3 "$ERR" | tr '\n' ' ')"
	elif ! tr -s ' ' <"$OUT" | sed 's/^ //' | grep -qxE -e "$pattern"; then
		not_ok "$name" "no line is '$pattern': $(tail -n 3 "$OUT" | tr '\n' '|')"
	else
		ok "$name"
	fi
}

# --- what people type first ---
prints "three frames, by hand" "3 9 8 6" --policy fifo,lru,opt --frames 3 $brief
prints "all policies by default" "frames fifo clock clock0 nth:3 nfu lru car opt" --frames 3 $brief
prints "numbers as words" "3 9" --policy fifo --frames 3 7 0 1 2 0 3 0 4 2 3
prints "all sizes by default" "6 6" --policy lru $brief
prints "sizes as a range" "5 6 6" --policy lru,opt --frames 2-5 $brief
prints "frames all" "6 6" --frames all --policy opt $brief
prints "ratio to opt" "/ opt 1.50 1.00" --policy fifo,opt --frames 3 $brief
prints "victims" "3 lru: 7 1 2 3 0" --policy lru --frames 3 --victims $brief
prints "working set" "2 9 1.900" --window 2-4 $brief
prints "a parameter and an idle list" "frames nth:5\\+idle" --policy nth:5+idle $brief
prints "rescues are told apart" "4 7 \\+2" --policy clock+idle --frames 4 1,2,3,4,1,2,5,1,2,3,4,5
prints "--option=value" "3 9" --policy=fifo --frames=3 $brief
prints "a million references" "mixed: 1000000 references to 56468 pages; faults" --generate mixed
prints "--help" "usage: quire-sim .*" --help
for policy in fifo clock clock0 nth:N nfu lru car opt; do
	grep -q "^  $policy " "$OUT" || not_ok "--help names $policy" "it does not"
done

# --- the vectors, through files and pipes ---
same_as_vectors()
{
	local policies=fifo,lru,opt,clock,clock0,car name string nr=0
	awk '$1 == "trace" { name = $2 }
		$1 == "faults" && $2 <= 5 { gsub(/[a-z0-9]+=/, ""); print name, $2, $3, $4, $5, $6, $7, $8 }
		' $VECTORS >"$WORK/want"
	while read -r name string; do
		echo "$string" >"$WORK/$name"
		"$SIM" --policy $policies --frames 1-5 "$WORK/$name" >"$WORK/table" || return 1
		"$SIM" --policy $policies --frames 1-5 - <"$WORK/$name" | tail -n +2 |
			diff - <(tail -n +2 "$WORK/table") || return 1
		awk -v name="$name" '$1 ~ /^[0-9]+$/ { $1 = name " " $1; print }' "$WORK/table"
		nr=$((nr + 1))
	done < <(awk '$1 == "trace" { name = $2 } $1 == "string" { $1 = name; print }' $VECTORS) >"$WORK/got"
	[ $nr = 11 ] && diff "$WORK/want" "$WORK/got"
}
check "the vectors, from files and from a pipe" same_as_vectors

same_when_printed()
{
	"$SIM" --generate skewed --print >"$WORK/skewed" &&
		"$SIM" --frames 32,64 "$WORK/skewed" | tail -n +2 >"$WORK/a" &&
		"$SIM" --frames 64,32 --generate skewed | tail -n +2 >"$WORK/b" &&
		grep -q 12705 "$WORK/a" && diff "$WORK/a" "$WORK/b"
}
check "a trace that was printed replays the same" same_when_printed

printf 'quire trace 1 pages 8\n5 7 r\n10 0 w\n10 7 r\n250005 3 r\n' >"$WORK/recorded"
prints "a recorded trace" ".*: 4 references to 3 pages in 0.250 s, 1 of them writes; faults" "$WORK/recorded"
cp "$WORK/recorded" "$WORK/"$'\e\n'
prints "a name with control characters prints clean" "/.*/\\?\\?: 4 references.*" "$WORK/"$'\e\n'
{ cat "$WORK/recorded" && printf '250010 3'; } >"$WORK/cut"
refuses "a trace cut short is replayed, and said to be" 0 "cut: its last line" "$WORK/cut"

# --- drawing, JSON ---
drawn()
{
	"$SIM" --svg "$WORK/x.svg" --policy all,lru+idle "$WORK/stallings" &&
		[ "$(grep -c '<polyline' "$WORK/x.svg")" = 9 ] &&
		for policy in fifo nth:3 lru+idle opt; do
			grep -q ">$policy</text>" "$WORK/x.svg" || return 1
		done
}
check "--svg draws a line for each policy" drawn
cp "$WORK/stallings" "$WORK/<a&b>"$'\xff'
"$SIM" --svg "$WORK/y.svg" "$WORK/<a&b>"$'\xff' >"$OUT" 2>"$ERR"
for n in x y; do
	if command -v rsvg-convert >/dev/null; then
		check "a viewer opens $n.svg" rsvg-convert -o "$WORK/$n.png" "$WORK/$n.svg"
	else
		skip "a viewer opens $n.svg" "rsvg-convert is not installed"
	fi
done
json_is() # EXPRESSION ARGUMENTS...
{
	local expression=$1
	shift
	"$SIM" --json "$@" | jq -e "$expression"
}
if command -v jq >/dev/null; then
	check "--json: faults" json_is '[.policies[] | {(.policy): .results[0].faults}] | add ==
		{"fifo": 9, "lru": 8, "opt": 6}' --policy fifo,lru,opt --frames 3 $brief
	check "--json: victims" json_is '.policies[0].results[0] ==
		{frames: 3, faults: 8, rescues: 0, victims: [7, 1, 2, 3, 0]}' \
		--policy lru --frames 3 --victims $brief
	check "--json: working set" json_is '."working-set"[0] | .window == 2 and .faults == 9 and
		."mean-pages" == 1.9' --window 2 $brief
	check "--json: trace" json_is '.trace | .references == 4 and .pages == 3 and .writes == 1 and
		."duration-us" == 250000' "$WORK/recorded"
	check "--json: a name that is no text" json_is '.trace | .name == null and .references == 12' \
		"$WORK/<a&b>"$'\xff'
else
	skip "--json" "jq is not installed"
fi

# --- bad usage: status 2 ---
refuses "no trace" 2 "no trace given"
refuses "unknown option" 2 "--fly: unknown option" --fly $brief
refuses "short option" 2 "-x: unknown option" -x $brief
refuses "value missing" 2 "--frames: its value is missing" $brief --frames
refuses "value where none belongs" 2 "--json: takes no value" --json=yes $brief
refuses "unknown policy" 2 "arc: unknown .*fifo, clock, clock0, nth.*, nfu, lru, car" --policy lru,arc $brief
refuses "no policy" 2 "--policy: empty" --policy , $brief
refuses "no size" 2 "--frames 0: not a list" --frames 0 $brief
refuses "sizes backwards" 2 "--frames 3-2: not a list" --frames 3-2 $brief
refuses "sizes of words" 2 "--frames some: not a list" --frames some $brief
refuses "size too large" 2 "--frames 4294967296: not a list" --frames 4294967296 $brief
refuses "too many sizes" 2 "--frames: more than" --frames 1-4000000000 $brief
refuses "all of too many sizes" 2 "--frames all: 56468 sizes" --generate mixed --frames all
refuses "tick of two" 2 "--tick 1,2: not one number" --tick 1,2 $brief
refuses "two traces" 2 "unexpected" "$WORK/recorded" "$WORK/cut"
refuses "two kinds of trace" 2 "unexpected" --generate loop $brief

# --- the world: status 1 ---
refuses "no such trace" 1 "none: No such file" "$WORK/none"
refuses "unknown generator" 1 "--generate fly: unknown .*two-loops" --generate fly
refuses "a directory" 1 "Is a directory" "$WORK"
refuses "an empty trace" 1 "no references" /dev/null
refuses "not a trace" 1 "sim.sh:1: not a page number" tests/system/sim.sh
refuses "drawing in no directory" 1 "--svg .*No such file" --svg "$WORK/none/x" $brief
refuses "drawing on a full disk" 1 "--svg .*could not be written" --svg /dev/full $brief
full()
{
	"$SIM" $brief >/dev/full
	[ $? = 1 ]
}
check "a full standard output" full

finish
