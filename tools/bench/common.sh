# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154,SC2317 # $pid and others are for, or of, who sources this
#
# What benchmarks of guests share: guests in the background, and the table that they print. Who sources
# it has set QUIRE and MICRO; it sets $work, a directory that goes when the script ends, and $pids, of
# processes that are ended then.

work=$(mktemp -d) pids=()
export QUIRE_RUNTIME_DIR=$work/run

clean_up()
{
	kill -9 "${pids[@]}" 2>/dev/null
	wait 2>/dev/null
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

say()
{
	echo "${0##*/}: $*" >&2
}

# --- the table ---

# A row: WHAT QUIRE BASELINE FORMAT TARGET. Both figures are numbers (a dash: none), shown by FORMAT
# (printf's, perhaps with a unit). TARGET is "ratio <= X", "ratio >= X", "value >= X", "value <= X",
# "within X" (of the baseline, in its unit), or a dash.
row()
{
	printf '%s\t%s\t%s\t%s\t%s\n' "$@" | awk -F '\t' '
		function show(x) { return x == "-" ? "-" : sprintf($4, x) }
		function met(kind, bound, ratio) {
			if (kind == "ratio <=") return ratio <= bound
			if (kind == "ratio >=") return ratio >= bound
			if (kind == "value <=") return $2 <= bound
			if (kind == "value >=") return $2 >= bound
			return $2 - $3 <= bound && $3 - $2 <= bound
		}
		{
			n = split($5, t, " ")
			kind = n == 3 ? t[1] " " t[2] : t[1]
			ratio = $3 != "-" && $3 > 0 && $2 != "-" ? $2 / $3 : "-"
			verdict = $5 == "-" ? "" : $2 == "-" ? "not measured" : \
				met(kind, t[n], ratio) ? "met" : "MISSED"
			printf "%-58s %14s %14s %7s  %-14s %s\n", $1, show($2), show($3), \
				ratio == "-" ? "-" : sprintf("%.3f", ratio), $5, verdict
		}'
}

title()
{
	printf '\n%-58s %14s %14s %7s  %-14s %s\n' "$1" quire "$2" ratio target ''
}

left_out() # WHAT WHY
{
	printf '%-58s left out: %s\n' "$1" "$2"
}

# --- guests ---

# Start a guest in the background: NAME MEMORY APPEND OPTION...; sets $pid. Output in $work/NAME.out.
guest()
{
	local name=$1 memory=$2 append=$3
	shift 3
	rm -f "$work/$name.out"
	"$QUIRE" run --kernel "$MICRO" --name "$name" --memory "$memory" --append "$append" \
		--swap "$work" "$@" >"$work/$name.out" 2>"$work/$name.err" </dev/null &
	pid=$!
	pids+=("$pid")
}

# Wait until a guest has said something that matches PATTERN.
said() # NAME PATTERN
{
	local i
	for ((i = 0; i < 1200; i++)); do
		grep -q "$2" "$work/$1.out" 2>/dev/null && return 0
		sleep 0.05
	done
	say "$1 never said \"$2\": $(cat "$work/$1".{out,err} 2>/dev/null | tail -n 3)"
	return 1
}

passed() # NAME PID
{
	wait "$2" && [ "$(tail -n 1 "$work/$1.out")" = "micro: pass" ] && return
	say "guest $1 failed: $(cat "$work/$1".{out,err} | tail -n 3 | tr '\n' ' ')"
	return 1
}

memory() # NAME FILTER
{
	"$QUIRE" qmp "$1" x-quire-memory | jq -r "$2"
}

end_guest() # NAME PID
{
	"$QUIRE" quit "$1" 2>/dev/null
	wait "$2" 2>/dev/null
}

seconds_since() # EPOCHREALTIME
{
	awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.6f", b - a }'
}

# What may follow each other: x / y and so on, without a bc.
calc() # EXPRESSION
{
	awk "BEGIN { printf \"%.6g\", $1 }"
}

median() # of numbers, one a line
{
	sort -n | awk '{ x[NR] = $1 } END { print x[int((NR + 1) / 2)] }'
}
