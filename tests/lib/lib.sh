# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the test scripts share: a scratch directory with a runtime directory of its own, the result
# lines that tests/run reads, guests in the background, and the sum at the end. To be sourced.
#
# No test depends on how fast the host is. A guest works until it is told to stop (stop=1 of
# guest/abi.h), a script waits for what happens and not for a time, and one time alone ends a wait
# as a failure: what has not happened after $HUNG seconds never will.
set -uo pipefail

QUIRE=${QUIRE:-build/release/quire}
MICRO=${MICRO:-build/guest/micro.elf}
WORK=$(mktemp -d)
export QUIRE_RUNTIME_DIR=$WORK/run
OUT=$WORK/out ERR=$WORK/err
HUNG=${HUNG:-300}
nr_passed=0 nr_failed=0 nr_skipped=0 nr_rows=0
declare -A process # of a guest that start() has started, by its name
trap 'rm -rf "$WORK"' EXIT

# With QUIRE_ROW tests/run wants one row again: the QUIRE_ROW_NR'th of the script, and of that name but
# for the numbers in it.
is_wanted() # NAME
{
	[ -z "${QUIRE_ROW:-}" ] || {
		[ $((nr_rows + 1)) = "$QUIRE_ROW_NR" ] && [ "${1//[0-9]/}" = "${QUIRE_ROW//[0-9]/}" ]
	}
}

# A row that needs none before it begins with `left_out NAME && return`.
left_out() # NAME
{
	! is_wanted "$1" && nr_rows=$((nr_rows + 1))
}

# Print the line of a row, unless another is wanted, which this one may have led to.
result() # NAME LINE
{
	if is_wanted "$1"; then
		echo "$2"
	else
		echo "    before it: $2"
	fi
}

# The script is over with the row that was wanted.
row_ends() # NAME COUNT
{
	local wanted=0
	is_wanted "$1" && wanted=1
	nr_rows=$((nr_rows + 1))
	[ $wanted = 0 ] || declare -g "$2=$((${!2} + 1))"
	[ $wanted = 0 ] || [ -z "${QUIRE_ROW:-}" ] || {
		finish
		exit
	}
}

ok() # NAME
{
	result "$1" "ok $1"
	row_ends "$1" nr_passed
}

not_ok() # NAME WHY
{
	result "$1" "not ok $1"
	printf '    %s\n' "$2"
	row_ends "$1" nr_failed
}

skip() # NAME WHY
{
	result "$1" "ok $1 # SKIP $2"
	row_ends "$1" nr_skipped
}

# Pass when the command that follows succeeds.
check() # NAME COMMAND...
{
	local name=$1
	shift
	if "$@" >"$OUT" 2>"$ERR"; then
		ok "$name"
	else
		not_ok "$name" "failed: $* ($(tail -q -n 3 "$OUT" "$ERR" | tr '\n' ' '))"
	fi
}

# Run a command that must end with STATUS, printing one line on stderr that matches PATTERN, and
# nothing else there. An empty pattern asks for nothing on stderr.
expect() # NAME STATUS PATTERN COMMAND...
{
	local name=$1 status=$2 pattern=$3 got
	shift 3
	timeout "$HUNG" "$@" >"$OUT" 2>"$ERR" </dev/null
	got=$?
	if [ $got = 124 ]; then
		not_ok "$name" "hung: no end after $HUNG s: $*"
	elif [ $got != "$status" ]; then
		not_ok "$name" "status $got, not $status: $(head -n 3 "$ERR" | tr '\n' ' ')"
	elif [ -z "$pattern" ] && [ -s "$ERR" ]; then
		not_ok "$name" "stderr not empty: $(head -n 3 "$ERR" | tr '\n' ' ')"
	elif [ -n "$pattern" ] && [ "$(wc -l <"$ERR")" != 1 ]; then
		not_ok "$name" "$(wc -l <"$ERR") lines on stderr: $(head -n 3 "$ERR" | tr '\n' ' ')"
	elif [ -n "$pattern" ] && ! grep -qE "^quire: .*$pattern" "$ERR"; then
		not_ok "$name" "stderr does not match $pattern: $(cat "$ERR")"
	else
		ok "$name"
	fi
}

# Say so, and have nothing else wait as long: who hangs once may do so in many rows.
hung() # WHAT
{
	echo "hung: after $HUNG s still $1" >&2
	((HUNG < 30)) || HUNG=30
	return 1
}

# Wait until the command that follows succeeds.
wait_until() # COMMAND...
{
	local start=$SECONDS
	until "$@" >/dev/null 2>&1; do
		if ((SECONDS - start > HUNG)); then
			hung "not so: $*"
			return
		fi
		sleep 0.05
	done
}

# The same of a process that is at work: once it has ended it need not be waited for.
wait_while_it_lives() # PID COMMAND...
{
	local pid=$1
	shift
	wait_until eval "! kill -0 $pid || $(printf '%q ' "$@")" && "$@" >/dev/null 2>&1
}

# Wait for a line that matches PATTERN in FILE, which need not be there yet; no longer than the
# process lives that writes it, if that is known.
wait_for_line() # FILE PATTERN [PID]
{
	if [ $# = 3 ]; then
		wait_while_it_lives "$3" grep -qE -- "$2" "$1"
	else
		wait_until grep -qE -- "$2" "$1"
	fi
}

# Run a command that must not hang.
timely() # COMMAND...
{
	local status
	timeout "$HUNG" "$@"
	status=$?
	[ $status != 124 ] || hung "at work: $*"
	return $status
}

# Wait for the end of a process of ours, and return its status. One that hangs is killed.
wait_for_exit() # PID
{
	timeout "$HUNG" tail -s 0.02 --pid="$1" -f /dev/null || {
		hung "there: process $1, $(tr '\0' ' ' <"/proc/$1/cmdline")"
		kill -KILL "$1"
	}
	wait "$1" 2>/dev/null
}

# Start quire in the background, for a guest of that name: NAME run|restore|receive OPTION... What it
# prints goes to $WORK/NAME.out and .err, what it reads comes from $WORK/NAME.in and has no end.
start() # NAME COMMAND...
{
	local name=$1 keys
	shift
	rm -f "$WORK/$name".{in,out,err}
	mkfifo "$WORK/$name.in"
	exec {keys}<>"$WORK/$name.in" # a key must not come before somebody has it open
	"$QUIRE" "$@" --name "$name" >"$WORK/$name.out" 2>"$WORK/$name.err" <&"$keys"- &
	process[$name]=$!
	exec {keys}>&-
}

# Start the microguest in the background, and wait until it has filled its memory.
start_guest() # NAME APPEND OPTION...
{
	local name=$1 append=$2
	shift 2
	start "$name" run --kernel "$MICRO" --append "$append" "$@"
	wait_for_line "$WORK/$name.out" '^micro: fill' "${process[$name]}"
}

# A key on the guest's console, which ends the work of one with stop=1.
tell_stop() # NAME...
{
	local name
	for name in "$@"; do
		echo 1<>"$WORK/$name.in"
	done
}

# Wait for the end of a guest that start() has started, and return the status.
gone() # NAME
{
	wait_for_exit "${process[$1]}"
}

# Wait for its end; its status must be 0 and its last line "NAME-OF-PROGRAM: pass".
ends_well() # NAME
{
	gone "$1" && tail -n 1 "$WORK/$1.out" | grep -qE '^(micro|linux): pass$'
}

# A microguest with status= that uses so many PAGES has had each of them checked since FILE, what it
# printed, began, by the numbers of its accesses: job=edge looks at each page in turn before it writes,
# job=access reads a page here and there. It has found nothing wrong.
has_worked() # FILE PAGES
{
	awk -v pages="$2" '/^micro: status/ {
			if (!n++) { writes = $8; reads = $10 }
			wrote = $8 - writes; read = $10 - reads; wrong += $12
		}
		/FAIL|wrong page/ { wrong++ }
		END { exit !(!wrong && (reads ? read > 12 * pages : wrote > 4 * pages)) }' "$1"
}

finish()
{
	printf '\n%d passed, %d failed, %d skipped\n' $nr_passed $nr_failed $nr_skipped
	[ $nr_failed = 0 ]
}

# Whoever still holds a lock in our own runtime directory is a guest that this script started.
end_guests()
{
	local lock
	for lock in "$QUIRE_RUNTIME_DIR"/*.lock; do
		[ -s "$lock" ] && kill -KILL "$(cat "$lock")" 2>/dev/null
	done
	rm -rf "$WORK"
}

end_guests_at_exit()
{
	trap end_guests EXIT
}
