#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Checkpoints, restores and roll-backs of the microguest, which checks every page that it reads and
# all of them at its end: a restored guest that ends well had the memory of one instant. Guests run
# with two processors that write as fast as they can while they are saved. quire checks its own
# states on each move (QUIRE_CHECK_MEMORY).
#
#   tests/system/checkpoint.sh            what `make check` runs
#   SOAK=500 tests/system/checkpoint.sh   that many points at which the VMM is killed
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

export QUIRE_CHECK_MEMORY=1
export TMPDIR=$WORK
SOAK=${SOAK:-18}
IMAGES=${IMAGES:-build/release/tests/images}
SLACK=$((2 * 1024 * 1024))
WRITER="job=access pattern=random write=40 cpus=2 status=20 stop=1"

# Start a guest in the background: NAME MEMORY APPEND OPTION...
guest()
{
	local name=$1 memory=$2 append=$3
	shift 3
	start "$name" run --kernel "$MICRO" --memory "$memory" --cpus 2 --append "$append" "$@"
	pid=${process[$name]}
	wait_while_it_lives "$pid" test -S "$QUIRE_RUNTIME_DIR/$name.qmp"
}

# The same, and wait until it has written all its pages once.
filled_guest()
{
	guest "$@" && wait_for_line "$WORK/$1.out" 'micro: fill' "$pid"
}

# Bring one back in the background: NAME DIR OPTION...
restored()
{
	local name=$1 dir=$2
	shift 2
	start "$name" restore "$dir" "$@"
	pid=${process[$name]}
	wait_while_it_lives "$pid" test -S "$QUIRE_RUNTIME_DIR/$name.qmp"
}

# It works for a while, and then checks all its pages.
stops_well() # NAME
{
	wait_while_it_lives "${process[$1]}" has_worked "$WORK/$1.out" 1000
	tell_stop "$1"
	ends_well "$1"
}

comes_back() # NAME DIR OPTION...
{
	restored "$@"
	stops_well "$1"
}

report() # NAME GUEST RESULT
{
	if [ "$3" = 0 ]; then
		ok "$1"
	else
		not_ok "$1" "$(tail -n 2 "$WORK/$2.out" "$WORK/$2.err" 2>/dev/null | tr '\n' ' ')"
	fi
}

restores() # NAME GUEST DIR OPTION...: as a test
{
	local name=$1
	shift
	comes_back "$@"
	report "$name" "$1" $?
}

memory() # NAME FILTER
{
	"$QUIRE" qmp "$1" x-quire-memory | jq -r "$2"
}

phase() # NAME
{
	"$QUIRE" qmp "$1" x-quire-query-checkpoint | jq -r .status
}

# How many pages it has written since it was filled, by its last status.
written() # NAME
{
	awk '/^micro: status/ { writes = $8 } END { print writes + 0 }' "$WORK/$1.out"
}

has_written() # NAME PAGES
{
	[ "$(written "$1")" -gt "$2" ]
}

# The guest tells its status so many times from now on.
tells() # NAME TIMES
{
	local lines=$(($(wc -l <"$WORK/$1.out") + $2))
	wait_while_it_lives "${process[$1]}" eval "[ \$(wc -l <'$WORK/$1.out') -ge $lines ]"
}

# The last line that the checkpoint in $OUT printed: pause and duration.
figures()
{
	[ -z "${VERBOSE:-}" ] || sed 's/^[^:]*: /    /' "$OUT"
}

nap() # MILLISECONDS: up to so many
{
	sleep "$(printf '0.%03d' $((RANDOM % $1)))"
}

links() # DIR
{
	find "$1" -name '*.link' | wc -l
}

# The number of its newest link.
newest() # DIR
{
	local last
	last=$(find "$1" -name '*.link' -printf '%f\n' 2>/dev/null | sort | tail -n 1)
	last=${last%.link}
	echo $((10#${last:-0}))
}

no_leftovers() # DIR
{
	[ -z "$(find "$1" -name '*.tmp')" ]
}

if ! { : <>/dev/kvm; } 2>/dev/null; then
	skip "checkpoints" "/dev/kvm cannot be opened"
	finish
	exit
fi

# --- one checkpoint, an increment, and both again of a guest that is not all there yet ---
filled_guest live 96M "$WRITER size=64M"
check "a running guest is saved" "$QUIRE" checkpoint live "$WORK/one"
figures
check "and what it changed since" "$QUIRE" checkpoint --incremental live "$WORK/one"
figures
restored lazy "$WORK/one"
check "a guest whose memory is still being read is saved elsewhere" \
	"$QUIRE" checkpoint lazy "$WORK/other"
figures
check "that was before its memory had been read" [ "$(memory lazy .pages.absent)" -gt 4096 ]
check "and incrementally there" "$QUIRE" checkpoint --incremental lazy "$WORK/other"
figures
restored same "$WORK/one"
check "another is saved incrementally where it came from" \
	"$QUIRE" checkpoint --incremental same "$WORK/one"
figures
stops_well live
report "the guest runs on and verifies" live $?
stops_well lazy
report "a restored guest verifies" lazy $?
stops_well same
report "so does one that was saved where it came from" same $?
restores "restored with --eager it verifies" b "$WORK/one" --eager --link 2
restores "its first link verifies" b "$WORK/one" --link 1
restores "the increment of a restored guest verifies" b "$WORK/one"
restores "the copy of one that was not all there verifies" b "$WORK/other" --link 1
restores "the copy's increment verifies" b "$WORK/other"
check "both images are whole" eval "$IMAGES verify '$WORK/one' && $IMAGES verify '$WORK/other'"
rm -rf "${WORK:?}/one" "$WORK/other"

# --- a chain of twenty: its end is what a full copy of the same instant is, each link restores ---
guest chain 32M "$WRITER size=24M"
check "the base of a chain" "$QUIRE" checkpoint chain "$WORK/chain"
for ((i = 0; i < 18; i++)); do
	"$QUIRE" checkpoint --incremental chain "$WORK/chain" >"$OUT" 2>&1 || break
done
check "increments of a running guest" [ $i = 18 ]
figures
check "the guest is paused" "$QUIRE" pause chain
check "an increment of a paused guest" "$QUIRE" checkpoint --incremental chain "$WORK/chain"
check "an empty increment" "$QUIRE" checkpoint --incremental chain "$WORK/chain"
check "a full copy of the same instant" "$QUIRE" checkpoint chain "$WORK/full"
check "the guest is still paused" \
	[ "$("$QUIRE" qmp chain query-status | jq -r .status)" = paused ]
check "chain and copy have the same bytes" "$IMAGES" same "$WORK/chain" "$WORK/full"
"$QUIRE" resume chain
tells chain 5 && stops_well chain
report "the guest runs on and verifies" chain $?
wrong=0
for ((i = 1; i <= 21; i++)); do
	mode=
	[ $((i % 2)) = 0 ] || mode=--eager
	# shellcheck disable=SC2086
	comes_back chain "$WORK/chain" --link $i $mode || wrong=$((wrong + 1))
done
check "each of its 21 links restores and has the right pages" [ $wrong = 0 ]
check "an increment of a guest restored from an older link is refused" eval \
	"restored old '$WORK/chain' --link 3 --paused &&
	! '$QUIRE' checkpoint --incremental old '$WORK/chain' && '$QUIRE' quit old"
wait "$pid"
rm -rf "${WORK:?}/chain" "$WORK/full"

# --- one after the other, until it is told to stop ---
guest on 32M "$WRITER size=24M"
"$QUIRE" checkpoint --every 20ms on "$WORK/on" >"$OUT" 2>"$ERR" &
client=$!
most=0
hundred_made()
{
	local n
	n=$(links "$WORK/on")
	most=$((n > most ? n : most))
	[ "$(newest "$WORK/on")" -gt 100 ]
}
wait_while_it_lives $client hundred_made
kill -INT $client
wait_for_exit $client
check "checkpoints each 20 ms go on until they are interrupted" [ $? = 0 ]
figures
check "they are many" [ "$(newest "$WORK/on")" -gt 100 ]
check "their chain is bounded: $most links" [ "$most" -le 66 ]
check "nothing temporary is left" no_leftovers "$WORK/on"
"$QUIRE" quit on
wait "$pid"
check "the chain is whole" "$IMAGES" verify "$WORK/on"
check "its newest link restores and has the right pages" comes_back on "$WORK/on" --eager
restored on "$WORK/on"
check "a restored guest goes on with its chain" timely "$QUIRE" checkpoint --incremental on "$WORK/on"
"$QUIRE" quit on
wait "$pid"
rm -rf "${WORK:?}/on"

# --- killed at any moment ---
# One guest lives on through all of it: killed while it is saved, restored, and checking its memory
# all the while.
lives() # WHAT DIR OPTION...: so many kills while `quire checkpoint OPTION...` runs
{
	local what=$1 dir=$2 n=$((SOAK / 3)) i wrong=0 before after=0
	shift 2
	rm -rf "$dir"
	guest mortal 32M "$WRITER size=24M"
	"$QUIRE" checkpoint mortal "$dir" >"$OUT" 2>"$ERR"
	for ((i = 0; i < n; i++)); do
		before=$(links "$dir")
		"$QUIRE" checkpoint "$@" mortal "$dir" >/dev/null 2>&1 &
		client=$!
		nap 150
		kill -9 "$pid" 2>/dev/null || wrong=$((wrong + 1)) # it ends when it is killed, not before
		wait "$pid" $client 2>/dev/null
		[ "$(links "$dir")" -le "$before" ] || after=$((after + 1))
		"$IMAGES" verify "$dir" 2>>"$WORK/wrong" || wrong=$((wrong + 1))
		restored mortal "$dir"
		nap 100
	done
	stops_well mortal || wrong=$((wrong + 1))
	check "killed $n times while it is saved $what, the guest is whole ($after links more)" \
		[ $wrong = 0 ]
	comes_back mortal "$dir" || wrong=$((wrong + 1))
	report "and its last link verifies" mortal $wrong
	rm -rf "$dir"
}

lives "incrementally" "$WORK/mortal" --incremental
lives "each 5 ms" "$WORK/mortal" --every 5ms

wrong=0 none=0
for ((i = 0; i < SOAK / 3; i++)); do
	guest first 32M "$WRITER size=24M"
	nap 50
	"$QUIRE" checkpoint first "$WORK/first" >/dev/null 2>&1 &
	client=$!
	nap 150
	kill -9 "$pid" 2>/dev/null
	wait "$pid" $client 2>/dev/null
	if [ -d "$WORK/first" ] && [ "$(links "$WORK/first")" -gt 0 ]; then
		comes_back first "$WORK/first" || wrong=$((wrong + 1))
	else
		none=$((none + 1))
		"$QUIRE" restore "$WORK/first" 2>"$ERR" && wrong=$((wrong + 1))
		grep -qE 'no image of a guest|No such file' "$ERR" || wrong=$((wrong + 1))
	fi
	rm -rf "$WORK/first"
done
check "killed while the first is made ($none of $i times too early): whole, or none and said so" \
	[ $wrong = 0 ]

# --- a disk that is full in the middle ---
guest disk 32M "$WRITER size=24M"
disk=$pid
if mkdir "$WORK/disk" && mount -t tmpfs -o size=32m quire-test "$WORK/disk" 2>/dev/null; then
	trap 'umount "$WORK/disk"; rm -rf "$WORK"' EXIT
	check "a base on a small disk" "$QUIRE" checkpoint disk "$WORK/disk/image"
	head -c "$(($(df --output=avail -B1 "$WORK/disk" | tail -n 1) - 1048576))" /dev/zero >"$WORK/disk/filler"
	expect "an increment that finds no room" 1 'No space left on device' \
		"$QUIRE" checkpoint --incremental disk "$WORK/disk/image"
	check "nothing temporary is left" no_leftovers "$WORK/disk/image"
	check "the chain is whole" "$IMAGES" verify "$WORK/disk/image"
	expect "continuous checkpoints that find no room" 1 'No space left on device' \
		"$QUIRE" checkpoint --every 10ms disk "$WORK/disk/image"
	rm "$WORK/disk/filler"
	check "with room it goes on" "$QUIRE" checkpoint --incremental disk "$WORK/disk/image"
	check "the same guest, in full" eval "'$QUIRE' pause disk &&
		'$QUIRE' checkpoint --incremental disk '$WORK/disk/image' &&
		'$QUIRE' checkpoint disk '$WORK/full' && '$QUIRE' resume disk"
	check "what failed is not lost" "$IMAGES" same "$WORK/disk/image" "$WORK/full"
	rm -rf "$WORK/full"
	umount "$WORK/disk"
	trap 'rm -rf "$WORK"' EXIT
else
	skip "a disk that is full" "no tmpfs can be mounted"
fi
check "a base" "$QUIRE" checkpoint disk "$WORK/file"
wait_until has_written disk $(($(written disk) + 10000)) # pages: more than a MiB
prlimit --pid "$disk" --fsize=1048576:unlimited
expect "an increment larger than a file may be" 1 'File too large' \
	"$QUIRE" checkpoint --incremental disk "$WORK/file"
prlimit --pid "$disk" --fsize=unlimited:unlimited
check "nothing temporary is left" no_leftovers "$WORK/file"
check "with room it goes on" "$QUIRE" checkpoint --incremental disk "$WORK/file"
check "the chain is whole" "$IMAGES" verify "$WORK/file"
check "the guest still has the right pages" stops_well disk
check "a restored one has them too" comes_back disk "$WORK/file"
rm -rf "$WORK/file"

# --- a limit to the rate; a cancellation; one at a time ---
filled_guest rate 32M "$WRITER size=24M random=100"
check "--bandwidth 10M" "$QUIRE" checkpoint --json --bandwidth 10M rate "$WORK/rate"
total=$(jq '."total-us" / 1000 | floor' "$OUT")
want=$(jq '.bytes * 1000 / 10485760 | floor' "$OUT")
check "$want ms are asked for, it takes $total" [ "$total" -ge $((want * 9 / 10)) ]
"$QUIRE" checkpoint --bandwidth 1K rate "$WORK/slow" >"$WORK/client" 2>&1 & # for hours
client=$!
wait_until eval '[ "$(phase rate)" = saving ]'
expect "a second checkpoint is refused" 1 'a checkpoint is under way' "$QUIRE" checkpoint rate "$WORK/second"
expect "so is a roll-back" 1 'a checkpoint is under way' "$QUIRE" reset rate
kill -INT $client
wait_for_exit $client
check "interrupted, the client ends with an error" [ $? = 1 ]
check "which says so" grep -q 'cancelled' "$WORK/client"
check "nothing of it is left" [ ! -e "$WORK/slow" -a ! -e "$WORK/second" ]
check "the next one works" "$QUIRE" checkpoint --incremental rate "$WORK/rate"
check "the chain is whole" "$IMAGES" verify "$WORK/rate"
"$QUIRE" checkpoint --bandwidth 1K rate "$WORK/slow" >"$WORK/client" 2>&1 &
client=$!
wait_until eval '[ "$(phase rate)" = saving ]'
check "a guest that is saved very slowly can be paused" timely "$QUIRE" pause rate
check "and resumed" timely "$QUIRE" resume rate
check "and quit" timely "$QUIRE" quit rate
wait "$pid" $client
# the rate is not kept while somebody waits for the guest to stop: it may have been done by then
check "nothing of that is left, or it is whole" eval "[ ! -e '$WORK/slow' ] || '$IMAGES' verify '$WORK/slow'"
rm -rf "${WORK:?}/rate" "$WORK/slow"

# --- a guest under a limit ---
guest tight 96M "$WRITER size=64M" --limit 32M
wait_until eval '[ "$(memory tight .pages.stored)" -gt 4000 ]'
"$QUIRE" qmp tight x-quire-reset-peak >/dev/null
check "a guest under a limit is saved" "$QUIRE" checkpoint tight "$WORK/tight"
figures
check "its memory stays within the limit" [ "$(memory tight .peak)" -le $((32 * 1024 * 1024 + SLACK)) ]
check "and incrementally" "$QUIRE" checkpoint --incremental tight "$WORK/tight"
check "and once more" "$QUIRE" checkpoint --incremental tight "$WORK/tight"
check "its memory is still within the limit" [ "$(memory tight .peak)" -le $((32 * 1024 * 1024 + SLACK)) ]
audited() # NAME
{
	"$QUIRE" pause "$1" && [ "$("$QUIRE" qmp "$1" x-quire-audit | jq .wrong)" = 0 ]
}

check "pause, compare states and memory" audited tight
check "chain and copy have the same bytes" eval "
	'$QUIRE' checkpoint --incremental tight '$WORK/tight' &&
	'$QUIRE' checkpoint tight '$WORK/copy' && '$IMAGES' same '$WORK/tight' '$WORK/copy'"
"$QUIRE" quit tight
wait "$pid"
guest brief 96M "$WRITER pattern=zipf size=64M" --limit 40M
"$QUIRE" checkpoint brief "$WORK/brief" >"$OUT" 2>&1
stops_well brief
report "a guest that was saved under a limit verifies" brief $?
restores "restored under a limit it verifies" b "$WORK/brief" --limit 32M
restores "restored with --eager under a limit it verifies" b "$WORK/brief" --limit 32M --eager
restores "restored without a limit it verifies" b "$WORK/brief"
rm -rf "${WORK:?}/tight" "$WORK/copy" "$WORK/brief"

# --- what is refused, and what ends early ---
guest odd 32M "$WRITER size=24M"
expect "an increment without a base" 1 "not where this guest's last checkpoint went" \
	"$QUIRE" checkpoint --incremental odd "$WORK/none"
check "leaves nothing behind" [ ! -e "$WORK/none" ]
expect "a directory that cannot be" 1 'No such file or directory' "$QUIRE" checkpoint odd "$WORK/no/where"
expect "a file in place of a directory" 1 'Not a directory' "$QUIRE" checkpoint odd "$MICRO"
expect "a directory that cannot be written" 1 '/proc' "$QUIRE" checkpoint odd /proc/quire
expect "a roll-back of a guest without a checkpoint" 1 'there is no checkpoint to go back to' "$QUIRE" reset odd
check "a checkpoint" "$QUIRE" checkpoint odd "$WORK/odd"
expect "an image there already" 1 'holds an image already' "$QUIRE" checkpoint odd "$WORK/odd"
expect "an increment elsewhere" 1 "not where this guest's last checkpoint went" \
	"$QUIRE" checkpoint --incremental odd "$WORK/none"
expect "a restore from nowhere" 1 'No such file or directory' "$QUIRE" restore "$WORK/none"
mkdir "$WORK/empty"
expect "a restore from an empty directory" 1 'no image of a guest' "$QUIRE" restore "$WORK/empty"
expect "a restore of a link that is not there" 1 'there is no link 7' "$QUIRE" restore "$WORK/odd" --link 7
check "the guest still runs" kill -0 "$pid"
"$QUIRE" quit odd
wait "$pid"
filled_guest over 32M "job=verify size=24M cpus=2 random=100 stop=1"
"$QUIRE" checkpoint --bandwidth 1K over "$WORK/over" >"$WORK/client" 2>&1 &
client=$!
wait_until eval '[ "$(phase over)" = saving ]'
tell_stop over
wait_for_exit $client
check "a guest that powers off meanwhile: the checkpoint fails" [ $? = 1 ]
ends_well over
report "and the guest ends well" over $?
check "nothing of it is left" [ ! -e "$WORK/over" ]
memory=$(($(awk '/MemTotal/ {print int($2 / 1048576)}' /proc/meminfo) + 1))
guest huge ${memory}G "$WRITER size=24M"
check "a guest larger than the host is saved" timely "$QUIRE" checkpoint huge "$WORK/huge"
figures
stops_well huge
report "and verifies" huge $?
restores "restored it verifies" b "$WORK/huge"
rm -rf "$WORK/huge"

# --- an image that was damaged: a sentence, or not noticed because the page is not needed ---
filled_guest hurt 32M "$WRITER write=5 size=24M"
check "an image to be damaged" "$QUIRE" checkpoint hurt "$WORK/hurt"
stops_well hurt
size=$(stat -c %s "$WORK/hurt/00000001.link")
wrong=0 noticed=0
for ((i = 1; i <= 8; i++)); do
	rm -rf "$WORK/bad"
	cp -r "$WORK/hurt" "$WORK/bad"
	rm -f "$WORK/bad/working-set"
	printf 'quire' | dd of="$WORK/bad/00000001.link" bs=1 seek=$((size * i / 10)) conv=notrunc status=none
	mode=
	[ $((i % 2)) = 0 ] || mode=--eager
	# shellcheck disable=SC2086
	comes_back bad "$WORK/bad" $mode && continue
	if grep -qE 'quire: .*00000001.link.*page [0-9]+.*(byte|offset) ?[0-9]+' "$WORK/bad.err" &&
		! grep -q 'FAIL' "$WORK/bad.out"; then
		noticed=$((noticed + 1))
	else
		wrong=$((wrong + 1))
	fi
done
if [ $wrong = 0 ]; then
	ok "damaged page data: $noticed of 8 times noticed, never a wrong guest"
else
	report "damaged page data" bad 1
fi
check "most of the damage is noticed" [ $noticed -ge 4 ]

# --- back to the checkpoint, again and again ---
guest back 32M "$WRITER size=24M"
check "a checkpoint to go back to" "$QUIRE" checkpoint back "$WORK/back"
for ((i = 0; i < 20; i++)); do
	nap 100
	"$QUIRE" reset back >"$OUT" 2>"$ERR" || break
done
check "20 roll-backs" [ $i = 20 ]
stops_well back
report "a guest that was rolled back verifies" back $?
restored back "$WORK/back"
for ((i = 0; i < 5; i++)); do
	"$QUIRE" reset back >"$OUT" 2>"$ERR" || break
	nap 100
done
check "roll-backs of a restored guest that is not all there yet" [ $i = 5 ]
check "an increment after them" "$QUIRE" checkpoint --incremental back "$WORK/back"
stops_well back
report "it verifies" back $?
restores "the increment verifies" b "$WORK/back"
restored back "$WORK/back" --eager
for ((i = 0; i < 3; i++)); do
	"$QUIRE" reset back >"$OUT" 2>"$ERR" || break
	nap 100
done
check "roll-backs of a guest whose memory was read at once" [ $i = 3 ]
stops_well back
report "that one verifies" back $?

# --- what a guest needs first is remembered ---
# How often it still waits for a page depends on who is faster, it or who brings pages in: that they come in
# their order is for tests/mm/engine/test_restore.c.
rm -f "$WORK/back/working-set"
restored record "$WORK/back" --link 1
wait_while_it_lives "$pid" test -s "$WORK/back/working-set"
check "what a restored guest needs first is recorded" [ -s "$WORK/back/working-set" ]
stops_well record
report "and it verifies" record $?
cp "$WORK/back/working-set" "$WORK/recorded"
restores "a guest whose first pages were known verifies" record "$WORK/back" --link 1
check "the record is still there" cmp "$WORK/back/working-set" "$WORK/recorded"
finish
