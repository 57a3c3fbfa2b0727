# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the test scripts share: a scratch directory with a runtime directory of its own, the result
# lines that tests/run reads, and the sum at the end. To be sourced.
set -uo pipefail

QUIRE=${QUIRE:-build/release/quire}
MICRO=${MICRO:-build/guest/micro.elf}
WORK=$(mktemp -d)
export QUIRE_RUNTIME_DIR=$WORK/run
OUT=$WORK/out ERR=$WORK/err
nr_passed=0 nr_failed=0 nr_skipped=0
trap 'rm -rf "$WORK"' EXIT

ok() # NAME
{
	echo "ok $1"
	nr_passed=$((nr_passed + 1))
}

not_ok() # NAME WHY
{
	echo "not ok $1"
	printf '    %s\n' "$2"
	nr_failed=$((nr_failed + 1))
}

skip() # NAME WHY
{
	echo "ok $1 # SKIP $2"
	nr_skipped=$((nr_skipped + 1))
}

# Pass when the command that follows succeeds.
check() # NAME COMMAND...
{
	local name=$1
	shift
	if "$@" >"$OUT" 2>"$ERR"; then
		ok "$name"
	else
		not_ok "$name" "failed: $* ($(tail -n 3 "$ERR" | tr '\n' ' '))"
	fi
}

# Run a command that must end with STATUS, printing one line on stderr that matches PATTERN, and
# nothing else there. An empty pattern asks for nothing on stderr.
expect() # NAME STATUS PATTERN COMMAND...
{
	local name=$1 status=$2 pattern=$3 got
	shift 3
	timeout 60 "$@" >"$OUT" 2>"$ERR" </dev/null
	got=$?
	if [ $got != "$status" ]; then
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

# Wait until the command that follows succeeds, for at most ten seconds.
wait_until() # COMMAND...
{
	local i
	for ((i = 0; i < 200; i++)); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.05
	done
	return 1
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
