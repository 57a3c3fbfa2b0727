#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The control socket end to end: real guests, ordered about by the quire sub-commands and by socat,
# by many clients at once, by clients that talk nonsense, and with VMMs that are killed.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh

if [ ! -w /dev/kvm ]; then
	skip "control of real guests" "/dev/kvm cannot be used here"
	finish
	exit
fi

end_guests_at_exit

ENDLESS='job=verify passes=0 size=4M'
NEGOTIATE='{"execute": "qmp_capabilities"}'
QUERY='{"execute": "query-status"}'

# To be followed by a name and, if need be, more options.
start=("$QUIRE" run --kernel "$MICRO" --memory 32M --append "$ENDLESS" --detach --name)

socket() # NAME
{
	echo "$QUIRE_RUNTIME_DIR/$1.qmp"
}

pid_of() # NAME
{
	cat "$(socket "$1").lock"
}

# Gone, or a zombie with no thread left (who reaps the orphans of this host is not our business). A
# killed process may be a zombie while a thread of it still holds its files.
gone() # PID
{
	local tasks=("/proc/$1/task"/*)
	[ ${#tasks[@]} = 1 ] && ! grep -qs '^State:.[^ZX]' "/proc/$1/status"
}

nothing_left()
{
	[ -z "$(ls -A "$QUIRE_RUNTIME_DIR")" ]
}

state_is() # NAME STATE
{
	"$QUIRE" qmp "$1" query-status | grep -q "\"status\": \"$2\""
}

# CPU time of the guest's first vCPU in clock ticks: user and system time are fields 14 and 15, and
# the name before them has no blanks.
cpu_time() # NAME
{
	local tid
	tid=$("$QUIRE" qmp "$1" query-cpus-fast | sed -n 's/^    "thread-id": \([0-9]*\),$/\1/p')
	awk '{ print $14 + $15 }' "/proc/$(pid_of "$1")/task/$tid/stat"
}

cpu_runs() # NAME
{
	local before
	before=$(cpu_time "$1")
	wait_until eval "[ \"\$(cpu_time $1)\" -ge $((before + 2)) ]"
}

cpu_stands() # NAME
{
	local before
	before=$(cpu_time "$1")
	sleep 0.5
	[ "$(cpu_time "$1")" = "$before" ]
}

# Say what comes on stdin, after negotiation, and print what is answered, to the last word.
talk() # NAME
{
	{
		echo "$NEGOTIATE"
		cat
	} | socat -t "$HUNG" - "UNIX-CONNECT:$(socket "$1")"
}

# Let a client listen, and go on once it has negotiated. What it hears goes to FILE, until hang_up.
listeners=()
listen() # NAME FILE
{
	[ -p "$WORK/line" ] || mkfifo "$WORK/line"
	[ ${#listeners[@]} != 0 ] || exec 9<>"$WORK/line"
	talk "$1" <"$WORK/line" 9<&- >"$2" &
	listeners+=($!)
	wait_until grep -q '"return"' "$2"
}

# The end of all listening: nobody holds the line. What was sent to a listener before is in its file then.
hang_up()
{
	exec 9<&-
	wait "${listeners[@]}"
	listeners=()
}

told() # FILE EVENT GUEST REASON
{
	grep -qF "\"$2\", \"data\": {\"guest\": $3, \"reason\": \"$4" "$1"
}

# --- a guest's life ---
expect "a guest starts in the background" 0 "" "${start[@]}" vm
ps_shows() # PATTERN
{
	"$QUIRE" ps | grep -qE "$1"
}
check "ps lists it" ps_shows "^vm +$(pid_of vm) running +32.0 MiB +[0-9.]+ MiB +0.0 MiB$"
check "ps has a heading and one line" test "$("$QUIRE" ps | wc -l)" = 2
json_is() # EXPRESSION COMMAND...
{
	local expression=$1
	shift
	"$@" | jq -e "$expression"
}
if command -v jq >/dev/null; then
	check "ps --json" json_is '. == [{name: "vm", pid: .[0].pid, state: "running",
		memory: 33554432, resident: .[0].resident, stored: 0,
		limit: 0}]' "$QUIRE" ps --json
	check "stats --json" json_is '.name == "vm" and (.exits | add > 0)' "$QUIRE" stats vm --json
else
	skip "ps and stats in JSON" "jq is not installed"
fi
check "its socket is private" test "$(stat -c %a "$(socket vm)")" = 600
check "the directory is private" test "$(stat -c %a "$QUIRE_RUNTIME_DIR")" = 700
check "its vCPU runs" cpu_runs vm
expect "pause" 0 "" "$QUIRE" pause vm
check "its state is paused" state_is vm paused
check "its vCPU stands still" cpu_stands vm
expect "pause again" 0 "" "$QUIRE" pause vm
check "ps says so" ps_shows "^vm .* paused"
expect "resume" 0 "" "$QUIRE" resume vm
check "its state is running" state_is vm running
check "its vCPU runs again" cpu_runs vm
expect "resume again" 0 "" "$QUIRE" resume vm
expect "powerdown" 0 "" "$QUIRE" powerdown vm
stats_counts()
{
	"$QUIRE" stats vm >"$WORK/stats" && grep -qE '^exits +[1-9]' "$WORK/stats"
}
check "stats counts exits" stats_counts
watch_prints()
{
	local pid
	"$QUIRE" stats vm --watch >"$WORK/watch" &
	pid=$!
	wait_while_it_lives $pid eval '[ "$(wc -l <"$WORK/watch")" -ge 3 ]' || return 1
	kill $pid
	wait $pid
	[ $? = 143 ]
}
check "stats --watch prints as it goes" watch_prints

# --- memory ---
memory() # NAME KEY: a number that x-quire-memory returns, the first of that name
{
	"$QUIRE" qmp "$1" x-quire-memory | sed -n "s/^ *\"$2\": \([0-9]*\),*$/\1/p" | head -n 1
}
memory_is() # NAME KEY VALUE
{
	[ "$(memory "$1" "$2")" = "$3" ]
}
expect "limit" 0 "" "$QUIRE" limit vm 24M --min 16M
check "it is the limit now" memory_is vm limit-min 16777216
expect "another" 0 "" "$QUIRE" limit vm 20M
check "which is fixed" memory_is vm limit-min 0
limit_prints()
{
	"$QUIRE" limit vm 24M --json >"$WORK/limit" && grep -q '"limit": 25165824' "$WORK/limit" &&
		grep -q '"store": ' "$WORK/limit"
}
check "limit --json says what came of it" limit_prints
expect "a limit too small to run" 1 "limit: .* too little" "$QUIRE" limit vm 1M
check "changes nothing" memory_is vm limit 25165824
expect "a policy" 0 "" "$QUIRE" qmp vm x-quire-set-policy '{"policy": "nth:3"}'
expect "a policy that is none" 1 "hope" "$QUIRE" qmp vm x-quire-set-policy '{"policy": "hope"}'
expect "a reset" 0 "" "$QUIRE" qmp vm system_reset
check "keeps the limit" memory_is vm limit 25165824
check "and the policy" bash -c "$QUIRE qmp vm x-quire-memory | grep -q '\"policy\": \"nth:3\"'"
reclaims_a_paused_guest()
{
	"$QUIRE" pause vm && "$QUIRE" reclaim vm 2M >"$WORK/reclaimed" &&
		grep -qE '^reclaimed [1-9][0-9.]* MiB$' "$WORK/reclaimed" &&
		[ "$(memory vm stored)" -gt 0 ]
}
wait_until test -n "$(memory vm resident)"
check "reclaim says what went" reclaims_a_paused_guest
check "an audit finds nothing wrong" bash -c "$QUIRE qmp vm x-quire-audit | grep -q '\"wrong\": 0'"
check "ps shows what is stored" bash -c "$QUIRE ps | grep -E '^vm .* [0-9.]+ MiB +[0-9.]+ MiB$'"
check "a map has as many cells as asked for" test \
	"$("$QUIRE" qmp vm x-quire-memory '{"map": 50}' | sed -n '/"map"/,$p' | grep -c '^    \[')" = 50
"$QUIRE" resume vm
check "the guest goes on" cpu_runs vm
expect "no audit while it runs" 1 "is running \(pause it first\)" "$QUIRE" qmp vm x-quire-audit
stats_tells_of_memory()
{
	local word
	"$QUIRE" stats vm >"$WORK/stats" || return 1
	for word in limit peak policy pages store evicted promoted stalled; do
		grep -q "^$word  " "$WORK/stats" || return 1
	done
	for word in zero soft store tier write; do
		grep -qE "^  $word +[0-9]+ " "$WORK/stats" || return 1
	done
}
check "stats tells of memory" stats_tells_of_memory
expect "no limit" 0 "" "$QUIRE" limit vm none
check "is none" memory_is vm limit 0
expect "memory that is not managed" 0 "" "${start[@]}" anon --backing anon
expect "has no limit" 1 "guest anon: its memory is not managed" "$QUIRE" limit anon 16M
expect "and gives nothing" 1 "guest anon: its memory is not managed" "$QUIRE" reclaim anon 1M
check "but has stats" bash -c "$QUIRE stats anon | grep -q '^stored    0.0 MiB'"
expect "it goes" 0 "" "$QUIRE" quit anon

# --- qmp from the command line ---
check "qmp prints what is returned" test \
	"$("$QUIRE" qmp vm query-name | tr -d ' \n')" = '{"name":"vm"}'
expect "qmp passes arguments on" 1 "Parameter 'x' is unexpected" \
	"$QUIRE" qmp vm query-status '{"x": 1}'
expect "an unknown command" 1 "The command fly has not been found" "$QUIRE" qmp vm fly
expect "arguments that are no JSON" 2 "arguments: not JSON" "$QUIRE" qmp vm query-status '{'
expect "arguments that are no object" 2 "arguments: not a JSON object" "$QUIRE" qmp vm stop '[1]'
expect "by path" 0 "" "$QUIRE" qmp "$(socket vm)" query-status
expect "no such name" 1 "no guest is named nobody" "$QUIRE" pause nobody
expect "no such path" 1 "no guest listens there" "$QUIRE" pause "$WORK/none"
expect "one of several is missing" 1 "no guest is named nobody" "$QUIRE" pause nobody vm
check "the other was paused" state_is vm paused
expect "no name" 2 "pause: which guest" "$QUIRE" pause
expect "a name that is none" 1 "a b: not a name" "$QUIRE" pause "a b"
expect "output to a full disk" 1 "standard output: No space" bash -c "$QUIRE ps >/dev/full"
"$QUIRE" resume vm

# --- names ---
expect "a name in use is refused" 1 "guest vm: name is in use by process $(pid_of vm) \(choose" \
	"${start[@]}" vm
check "its owner lives on" state_is vm running
expect "a socket path in use is refused" 1 "guest vm: name is in use" "${start[@]}" other \
	--qmp "$(socket vm)"
echo data >"$WORK/file"
expect "a file is no socket" 1 "exists and is no socket" "${start[@]}" other --qmp "$WORK/file"
check "and stays" grep -q data "$WORK/file"
expect "a path too long" 1 "too long for a socket" "${start[@]}" other \
	--qmp "$WORK/$(printf '%0100d' 0)"
expect "a socket of one's choice" 0 "" "${start[@]}" other --qmp "$WORK/chosen"
expect "quit by that path" 0 "" "$QUIRE" quit "$WORK/chosen"
check "which is gone" test ! -e "$WORK/chosen" -a ! -e "$WORK/chosen.lock"

# --- many clients ---
# Twelve clients wait for events; each must hear every one, and no replies to others.
many_clients_hear()
{
	local i
	for ((i = 0; i < 12; i++)); do
		listen vm "$WORK/hear.$i" || return 1
	done
	"$QUIRE" pause vm && "$QUIRE" resume vm || return 1
	hang_up
	for ((i = 0; i < 12; i++)); do
		[ "$(grep -c '"event": "STOP"' "$WORK/hear.$i")" = 1 ] || return 1
		[ "$(grep -c '"event": "RESUME"' "$WORK/hear.$i")" = 1 ] || return 1
		[ "$(grep -c '"return"' "$WORK/hear.$i")" = 1 ] || return 1
		[ "$(grep -c $'\r$' "$WORK/hear.$i")" = "$(wc -l <"$WORK/hear.$i")" ] || return 1
	done
}
check "twelve clients hear every event" many_clients_hear
many_clients_ask()
{
	local i jobs=() failed=0
	for ((i = 0; i < 12; i++)); do
		for ((k = 0; k < 20; k++)); do
			"$QUIRE" qmp vm query-status || exit 1
		done >/dev/null &
		jobs+=($!)
	done
	for i in "${jobs[@]}"; do
		wait "$i" || failed=1
	done
	[ $failed = 0 ]
}
check "twelve clients ask at once" many_clients_ask
too_many_clients()
{
	local i
	for ((i = 0; i < 16; i++)); do
		listen vm "$WORK/hold.$i" || return 1
	done
	[ "$("$QUIRE" qmp vm query-status 2>&1)" = "quire: too many clients" ] || return 1
	hang_up
	wait_until state_is vm running
}
check "a seventeenth client is told so" too_many_clients

# --- clients that talk nonsense ---
# After every piece of nonsense the same connection must still answer.
nonsense_then_sense() # FILE
{
	{
		cat "$1"
		printf '\n\xff%s\n' "$QUERY"
	} | talk vm >"$WORK/answers"
	tail -n 1 "$WORK/answers" | grep -q '"status": "running"' || return 1
	[ "$(grep -c '"error"' "$WORK/answers")" -ge 1 ]
}
printf '%s\n' nonsense '[1, 2]' '{"execute": ' '"' '}' '{"execute": "query-status", "id": }' \
	'{"execute": "query-status"' '{"execute": "query-status", "x": 1}' >"$WORK/lines"
head -c 300000 /dev/urandom >"$WORK/random"
printf '{"execute": "%s"}\n' "$(head -c 200000 /dev/zero | tr '\0' x)" >"$WORK/long"
printf '{"id": %s\n' "$(head -c 100000 /dev/zero | tr '\0' '[')" >"$WORK/deep"
printf '{"execute": "query\0status"}\n' >"$WORK/nul"
for kind in lines random long deep nul; do
	check "nonsense ($kind), then sense" nonsense_then_sense "$WORK/$kind"
done
# the third and fourth line are one mistake: a string that its line does not end
check "seven mistakes have seven errors" test "$(talk vm <"$WORK/lines" | grep -c '"error"')" = 7
half_a_line()
{
	printf '{"execute": "sto' | socat -u - "UNIX-CONNECT:$(socket vm)" && state_is vm running
}
check "half a line and gone" half_a_line
in_pieces()
{
	local i
	for ((i = 0; i < ${#QUERY}; i++)); do
		printf '%s' "${QUERY:i:1}"
		sleep 0.01
	done | talk vm | grep -q '"status": "running"'
}
check "a request byte by byte" in_pieces
check "the guest has not noticed" cpu_runs vm

# --- VMMs that are killed, or hang ---
victim=$(pid_of vm)
kill -KILL "$victim"
wait_until gone "$victim"
check "a killed VMM leaves its socket" test -S "$(socket vm)"
expect "but no guest of that name" 1 "no guest is named vm" "$QUIRE" pause vm
expect "its name can be used again" 0 "" "${start[@]}" vm
check "by a guest that answers" state_is vm running
victim=$(pid_of vm)
kill -KILL "$victim"
wait_until gone "$victim"
check "ps does not list the dead" test "$("$QUIRE" ps | wc -l)" = 1
check "and clears up after them" nothing_left

one_of_many_wins()
{
	local i won=0 jobs=()
	for ((i = 0; i < 6; i++)); do
		"${start[@]}" race 2>"$WORK/race.$i" &
		jobs+=($!)
	done
	for i in "${jobs[@]}"; do
		wait "$i" && won=$((won + 1))
	done
	[ $won = 1 ] && [ "$(cat "$WORK"/race.* | grep -c 'name is in use by process')" = 5 ] &&
		state_is race running
}
check "of six that start with one name, one wins" one_of_many_wins
kill -STOP "$(pid_of race)"
hangs()
{
	timely "$QUIRE" pause race 2>"$WORK/hang"
	[ $? = 1 ] && grep -q "guest race: process $(pid_of race) does not answer" "$WORK/hang"
}
check "a VMM that hangs is an error" hangs
check "ps lists it as unresponsive" ps_shows "^race +$(pid_of race) unresponsive"
kill -CONT "$(pid_of race)"
wait_until state_is race running
expect "quit" 0 "" "$QUIRE" quit race
check "nothing is left" nothing_left

# --- how guests end ---
quit_waits()
{
	local pid
	"${start[@]}" vm || return 1
	pid=$(pid_of vm)
	"$QUIRE" quit vm && gone "$pid" && nothing_left
}
check "quit returns when the process is gone" quit_waits
last_words()
{
	"${start[@]}" vm || return 1
	listen vm "$WORK/last" || return 1
	"$QUIRE" quit vm || return 1
	hang_up
	told "$WORK/last" SHUTDOWN false host-qmp-quit
}
check "every client hears SHUTDOWN" last_words
own_reply()
{
	"${start[@]}" vm || return 1
	echo '{"execute": "quit", "id": "bye"}' | talk vm >"$WORK/own"
	told "$WORK/own" SHUTDOWN false host-qmp-quit &&
		grep -q '{"return": {}, "id": "bye"}' "$WORK/own"
}
check "quit is answered before the end" own_reply
waits_for_resume()
{
	"${start[@]}" vm --paused --append job=none || return 1
	state_is vm prelaunch && cpu_stands vm || return 1
	listen vm "$WORK/end" || return 1
	"$QUIRE" resume vm # the guest may have ended before the answer has come
	hang_up
	grep -q '"RESUME"' "$WORK/end" && told "$WORK/end" SHUTDOWN true guest-
}
check "a paused guest runs when told, and its end is told" waits_for_resume
check "nothing is left of it" wait_until nothing_left
booted_twice()
{
	[ "$(grep -c '^micro: cpus ' "$WORK/serial")" = 2 ]
}
runs_again()
{
	"${start[@]}" vm --serial "file:$WORK/serial" || return 1
	wait_until grep -q '^micro: ' "$WORK/serial" || return 1
	listen vm "$WORK/reset" || return 1
	"$QUIRE" qmp vm system_reset || return 1
	wait_until booted_twice || return 1
	hang_up
	told "$WORK/reset" RESET false host-qmp-system-reset && state_is vm running && cpu_runs vm
}
check "system_reset starts the guest anew" runs_again
resets_while_paused()
{
	"$QUIRE" pause vm && "$QUIRE" qmp vm system_reset && state_is vm paused && cpu_stands vm &&
		"$QUIRE" resume vm && cpu_runs vm
}
check "a paused guest stays so through a reset" resets_while_paused
resets_often()
{
	local i
	for ((i = 0; i < 20; i++)); do
		"$QUIRE" qmp vm system_reset || return 1
	done
	state_is vm running
}
check "twenty resets in a row" resets_often
ends_by() # SIGNAL
{
	local pid
	pid=$(pid_of vm)
	listen vm "$WORK/signal.$1" || return 1
	kill "-$1" "$pid"
	wait_until gone "$pid" && nothing_left || return 1
	hang_up
	told "$WORK/signal.$1" SHUTDOWN false host-signal
}
check "SIGTERM ends it in good order" ends_by TERM
expect "another guest" 0 "" "${start[@]}" vm
check "SIGINT as well" ends_by INT
expect "ps without guests" 0 "" "$QUIRE" ps
check "nothing is left at all" nothing_left

finish
