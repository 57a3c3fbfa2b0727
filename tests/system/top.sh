#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# quire-top and tools/overcommit against guests that are not there: a QMP server of a few lines says
# what a test wants said, the truth, nothing, or nonsense.
#
#	tests/system/top.sh				the tests
#	tests/system/top.sh --serve KIND LOG SINCE	one connection of the server, on stdin and stdout
#	tests/system/top.sh --quire run OPTIONS...	stands in for quire, for tools/overcommit
cd "$(dirname "$0")/../.." || exit 1

# ---- The server ----

# Memory of a guest of $memory bytes after $1 tenths of a second: fills up to its limit, then stores.
memory_reply() # TENTHS
{
	local t=$1 limit=${limit:-134217728} memory=${memory:-536870912} used resident stored=0 i age=''
	used=$((t * memory / 20))
	((used <= memory)) || used=$memory
	resident=$used
	if ((used > limit * 9 / 10)); then
		resident=$((limit * 9 / 10)) stored=$(((used - limit * 9 / 10) / 4096))
	fi
	resident=$((resident + ${over:-0}))
	for ((i = 0; i < 16; i++)); do
		age+=",{\"below-ms\":$((125 << i)),\"pages\":$((i * 100))}"
	done
	printf '{"armed":true,"policy":"clock+idle","limit":%d,"limit-min":0,"resident":%d,"store":%d,"peak":%d,' \
		"$limit" $resident $((limit / 20)) $((resident + limit / 20))
	printf '"descriptors":2097152,"pages":{"absent":%d,"filling":0,"resident":%d,"idle":%d,"evicting":3,' \
		$(((memory - used) / 4096)) $((resident * 3 / 4 / 4096)) $((resident / 4 / 4096))
	printf '"stored":%d},"kept":77,"contents":{"pages":%d,"patterns":10,"shared":20,"blocks":30,"raw":4,' \
		$stored $stored
	printf '"below":5,"payload-bytes":6000000,"pool-bytes":6500000,"metadata-bytes":400000,"below-bytes":8192,'
	printf '"ratio":3.21},"swap":{"objects":9,"object-bytes":8000,"used-bytes":33554432,'
	printf '"capacity-bytes":1073741824,"reads":11,"writes":12,"read-bytes":13,"written-bytes":14,"moved":0,'
	printf '"errors":0},"faults":{'
	printf '"zero":{"count":131072,"mean-ns":21000,"p50-ns":20000,"p99-ns":95000,"max-ns":1500000},'
	printf '"soft":{"count":1500,"mean-ns":9000,"p50-ns":8000,"p99-ns":30000,"max-ns":90000},'
	printf '"store":{"count":%d,"mean-ns":41000,"p50-ns":39000,"p99-ns":123000,"max-ns":2500000},' \
		$((t * t * 10))
	printf '"tier":{"count":%d,"mean-ns":141000,"p50-ns":139000,"p99-ns":723000,"max-ns":9500000},' $((t * 5))
	printf '"write":{"count":0,"mean-ns":0,"p50-ns":0,"p99-ns":0,"max-ns":0}},"around":5,"evicted":%d,' \
		$((t * 1000))
	printf '"evicted-clean":6,"rescued":7,"refused":8,"waited":9,"waited-ns":1000000,"scanned":12345,"ages":[%s],' \
		"${age:1}"
	printf '"working-set":{"window-ms":60000,"share":0.24,"low":0.2,"high":0.29,"samples":512},"curve":['
	printf '{"memory":0,"faults":9000},{"memory":0.25,"faults":900},{"memory":0.5,"faults":50},'
	printf '{"memory":1,"faults":0}],"promotion-rate":0.01,"stall":0.083,"thrashing":%s,"faults-per-second":1203' \
		"${thrashing:-false}"
}

# As many cells as are asked for: an eighth absent, one mostly resident, one mostly idle, then stored.
map_reply() # CELLS
{
	awk -v n="$1" 'BEGIN {
		printf ",\"map\":["
		for (i = 0; i < n; i++) {
			s = int(i * 8 / n)
			cell = s == 0 ? "[9,0,0,0,0,0]" : s == 1 ? "[0,0,9,1,0,2]" : "[1,0,2,0,0,9]"
			printf "%s%s", i ? "," : "", s == 2 ? "[0,0,1,9,0,0]" : cell
		}
		printf "]" }'
}

memory_command() # LINE
{
	printf '{"return":'
	memory_reply "$(((${EPOCHREALTIME/[.,]/} - start) / 100000))"
	[[ ! $1 =~ \"map\":([0-9]+) ]] || map_reply "${BASH_REMATCH[1]}"
	printf '},"id":%s}\r\n' "$id"
}

stats_reply()
{
	local memory=${memory:-536870912}
	case $kind in
	hostile)
		printf '{"return":{"state":"run\\u001b[2J\\u0007\\u009b31m\\u202ening","pid":-1,"memory":1e300,'
		printf '"resident":-5,"stored":9223372036854775807},"id":%s}\r\n' "$id"
		;;
	*)
		printf '{"return":{"name":"x","pid":42,"state":"running","memory":%d,"resident":1048576,' "$memory"
		printf '"stored":4096},"event-like":0,"id":%s}\r\n' "$id"
		;;
	esac
}

hostile_memory()
{
	printf '{"return":{"armed":"yes","policy":"\\u001b]0;owned\\u0007\\n\\n","limit":18446744073709551615,' |
		sed 's/18446744073709551615/9223372036854775807/'
	printf '"resident":{},"store":[],"pages":7,"contents":null,"swap":3,"faults":[1,2],"ages":[1,"x",{}],'
	printf '"curve":[{"memory":9e307,"faults":9e307},{"memory":-1,"faults":-1},3],"map":[[],[1],7,{},[-1,2,3]],'
	printf '"stall":1e308,"faults-per-second":9223372036854775807,"working-set":{"samples":1,"share":7e300}},'
	printf '"id":%s}\r\n' "$id"
}

answer() # LINE
{
	case $1 in
	*qmp_capabilities*) printf '{"return":{},"id":%s}\r\n' "$id" ;;
	*x-quire-stats*) stats_reply ;;
	*x-quire-memory*)
		case $kind in
		old) printf '{"error":{"class":"X","desc":"no such command: \\u001b[31m"},"id":%s}\r\n' "$id" ;;
		hostile) hostile_memory ;;
		*) memory_command "$1" ;;
		esac
		;;
	*x-quire-reclaim*)
		[[ $1 =~ \"size\":([0-9]+) ]]
		printf '{"return":{"reclaimed":%d},"id":%s}\r\n' $(((BASH_REMATCH[1] + 1) / 2)) "$id"
		;;
	*) printf '{"event":"STOP","id":%s}\r\n{"return":{},"id":%s}\r\n' "$id" "$id" ;;
	esac
}

serve() # KIND LOG SINCE
{
	local kind=$1 log=$2 start=$3 line id
	[[ $kind != full ]] || printf '{"error":{"class":"GenericError","desc":"too many clients"}}\r\n'
	[[ $kind != garbage ]] || head -c 100000 /dev/zero | tr '\0' 'x'
	[[ $kind != garbage ]] || printf '\n\033[2J\n'
	printf '{"QMP":{"version":{},"capabilities":[]}}\r\n'
	while read -r line; do
		printf '%s\n' "$line" >>"$log"
		[[ $kind != silent ]] || continue
		id=null
		[[ ! $line =~ \"id\":([0-9]+)\} ]] || id=${BASH_REMATCH[1]}
		answer "$line"
	done
}

# The one that listens, and those that it has made to serve connections.
end_server() # PID
{
	pkill -P "$1"
	kill "$1"
	wait "$1"
} 2>/dev/null

# Until one has been asked often enough for its samples to be seen; but for those that never end or are not
# asked again.
work() # FAKE:NAME LOG
{
	case $1 in
	stuck:oc-1) sleep infinity ;;
	blind:*) sleep 1 ;;
	*)
		until [ "$(grep -c x-quire-memory "$2")" -ge 12 ]; do
			sleep 0.1
		done
		;;
	esac
}

# What tools/overcommit may expect of quire run. $FAKE says what goes wrong.
fake_quire() # run OPTIONS...
{
	local name='' socat kind=good log
	export memory=536870912 limit=134217728 over=0
	shift
	while (($#)); do
		case $1 in
		--name) name=$2 ;;
		--limit) limit=$2 ;;
		--memory) memory=$2 ;;
		esac
		shift
	done
	case ${FAKE:-}:$name in
	over:oc-2) over=$((limit / 2)) ;;
	blind:*) kind=old ;;
	refuse:*)
		echo "quire: run: unknown option --limit (quire run --help)" >&2
		exit 2
		;;
	esac
	log=$(mktemp)
	socat "UNIX-LISTEN:$QUIRE_RUNTIME_DIR/$name.qmp,fork" \
		"EXEC:bash tests/system/top.sh --serve $kind $log ${EPOCHREALTIME/[.,]/}" &
	socat=$!
	work "${FAKE:-}:$name" "$log" &
	work=$!
	trap 'end_server $socat; end_server $work; rm -f "$log"; exit 1' TERM
	wait $work
	end_server $socat
	rm -f "$log"
	echo "micro: access 123456 pages 1.500 s 12.345 us/page, 61000 writes 62456 reads"
	echo "micro: beats 1400 max gap 7.982 ms, gaps of 1, 2, 4 ... ms: 1400 0 0 0 0 0 0 0 0"
	if [[ ${FAKE:-}:$name = wrong:oc-1 ]]; then
		echo "micro: wrong page 7 at 0x200000: lost, expected <generation> 2, found zeros"
		echo "micro: FAIL wrong pages: 1"
		exit 3
	fi
	[[ ${FAKE:-}:$name = unchecked:oc-1 ]] || echo "micro: verify 131072 pages 0.100 s 0.700 us/page"
	echo "micro: pass"
}

case ${1:-} in
--serve)
	serve "$2" "$3" "$4"
	exit
	;;
--quire)
	shift
	fake_quire "$@"
	exit
	;;
esac

# ---- The tests ----

. tests/lib/lib.sh
TOP=${TOP:-build/release/quire-top}
servers=()
SESSION=quire-top-test-$$

end_servers()
{
	local server
	for server in "${servers[@]}"; do
		end_server "$server"
	done
	servers=()
	rm -f "$QUIRE_RUNTIME_DIR"/*
}

clean_up()
{
	end_servers
	! type tmux >/dev/null 2>&1 || tmux -L "$SESSION" kill-server 2>/dev/null
	rm -rf "$WORK"
}
trap clean_up EXIT
mkdir -p "$QUIRE_RUNTIME_DIR"

guest() # NAME KIND: a guest that answers so; $pid is its server
{
	local socket=$QUIRE_RUNTIME_DIR/$1.qmp now=$((${EPOCHREALTIME/[.,]/} - 1200000)) # it has filled up
	socat "UNIX-LISTEN:$socket,fork" "EXEC:bash tests/system/top.sh --serve $2 $WORK/$1.log $now" 2>/dev/null &
	pid=$!
	servers+=("$pid")
	wait_until test -S "$socket"
}

# Whether anything in FILE could move a cursor about: all but printable ASCII and newlines.
clean() # FILE
{
	! LC_ALL=C grep -q '[^ -~]' "$1"
}

# A guest that has not answered after two seconds is shown as one that does not; a busy host may take longer.
frame_has() # PATTERN ARGUMENTS...
{
	local pattern=$1
	shift
	timely "$TOP" --once "$@" >"$OUT" 2>"$ERR" && grep -qE -- "$pattern" "$OUT"
}

shows() # NAME PATTERN ARGUMENTS...: the frame of --once matches, and is clean
{
	local name=$1 pattern=$2
	shift 2
	wait_until frame_has "$pattern" "$@"
	if [ -s "$ERR" ]; then
		not_ok "$name" "failed: $(head -n 3 "$ERR")"
	elif ! grep -qE -- "$pattern" "$OUT"; then
		not_ok "$name" "nothing matches $pattern: $(cat "$OUT")"
	elif ! clean "$OUT"; then
		not_ok "$name" "control characters in: $(cat -v "$OUT")"
	else
		ok "$name"
	fi
}

refused() # NAME STATUS PATTERN COMMAND...: one line on stderr
{
	local name=$1 status=$2 pattern=$3 got
	shift 3
	timely "$@" >"$OUT" 2>"$ERR" </dev/null
	got=$?
	if [ $got = "$status" ] && [ "$(wc -l <"$ERR")" = 1 ] && grep -qE -- "$pattern" "$ERR"; then
		ok "$name"
	else
		not_ok "$name" "status $got, not $status; said: $(cat "$ERR")"
	fi
}

if [ ! -x "$TOP" ]; then
	skip "quire-top" "$TOP is not built"
	finish
	exit
fi
if ! type socat tmux >/dev/null 2>&1; then
	skip "quire-top" "socat or tmux is not installed"
	finish
	exit
fi

check "help" "$TOP" --help
refused "unknown option" 2 "^quire-top: --twice: no such option" "$TOP" --twice
refused "no interval" 2 "^quire-top: --interval 5: not a time" "$TOP" --interval 5
refused "no size" 2 "^quire-top: --size 0x7: not a size" "$TOP" --size 0x7
refused "two guests" 2 "^quire-top: b: unexpected" "$TOP" a b
shows "nobody there" '^no guest runs here'
check "no runtime directory" env QUIRE_RUNTIME_DIR="$WORK/nowhere" "$TOP" --once
refused "runtime directory is a file" 1 "^quire-top: runtime directory .*Not a directory" \
	env QUIRE_RUNTIME_DIR="$(realpath "$0")" "$TOP" --once

guest good good
shows "a guest" '^good +running +512M +128M .* 3\.21 +1203 +8\.3% +24%$'
shows "bars" '^resident +[0-9.]+[KMG]? +#*-*\|?-*'
shows "fault latencies" '^store .* 41us +39us +123us  ?2\.5ms'
shows "working set" 'working set 24% \(20% to 29%\) in 60s'
shows "swap, counts" '^swap reads 11 +writes 12 +errors 0'
shows "ages" '<500ms <4s '
shows "curve" '9000 ?\|\*'
shows "legend" '\. absent +> filling +# resident +\+ idle +< evicting +o stored'
# The map is what follows the legend. By map_reply() 17.7% of it are absent, 21.0% resident, 12.3% idle, 49.0% stored.
map=$(sed '1,/a cell:/d' "$OUT" | tr -d '\n')
counts=$(for c in . '#' + o; do printf '%d ' $((100 * $(tr -dc "$c" <<<"$map" | wc -c) / ${#map})); done)
if [[ $counts =~ ^1[78]\ 2[01]\ 1[12]\ 4[89]\ $ ]]; then
	ok "shares of the map"
else
	not_ok "shares of the map" ". # + o in %: $counts"
fi
shows "not a terminal is enough for one frame" '^good ' --interval 100

guest old old
guest evil hostile
guest full full
guest junk garbage
guest dead good
kill -KILL "$pid"
wait "$pid" 2>/dev/null
touch "$QUIRE_RUNTIME_DIR/notes.txt" "$QUIRE_RUNTIME_DIR/$(printf 'e\033[2Jvil').qmp" \
	"$QUIRE_RUNTIME_DIR/plain.qmp"
shows "all of them" '^quire-top  5 guests' --size 120x40
shows "no engine" '^no such command: \?\[31m$' old
shows "stats without an engine" '^old +running +512M +- +1M +4K +- ' old
shows "one that is full" '^too many clients$' full
shows "one that is no guest" '^what answers does not speak QMP$' junk
shows "hostile strings" '^evil +run\?\[2J\?' evil
shows "the dead are not listed" '^good' --size 120x40
if grep -qE '^(dead|plain|notes)' "$OUT"; then
	not_ok "dead sockets are no guests" "$(cat "$OUT")"
else
	ok "dead sockets are no guests"
fi
bad=
for size in 1x1 2x3 10x4 40x10 40x10 79x23 100x14 100x15 101x60 183x20 184x20 184x50 400x120; do
	for name in good evil old; do
		if ! timely "$TOP" --once --size $size $name >"$OUT" 2>"$ERR" || ! clean "$OUT" ||
			[ "$(wc -L <"$OUT")" -gt "${size%x*}" ] || [ "$(wc -l <"$OUT")" -gt "${size#*x}" ]; then
			bad+=" $size:$name"
		fi
	done
done
check "all sizes" test -z "$bad"
shows "a small window has the essential" '^resident' --size 40x10 good
guest silent silent
shows "one that does not answer" '^silent +no answer' silent
holds_nobody_up()
{
	frame_has '^silent +no answer' silent && grep -qE '^good +running +512M' "$OUT"
}
check "and holds nobody else up" wait_until holds_nobody_up
end_servers

# ---- On a terminal ----

screen_has() # PATTERN
{
	tmux -L "$SESSION" capture-pane -p >"$OUT" && grep -qE -- "$1" "$OUT"
}

on_screen() # NAME PATTERN
{
	if wait_until screen_has "$2"; then
		ok "$1"
	else
		not_ok "$1" "nothing matches $2 on: $(cat "$OUT")"
	fi
}

press() # KEY...
{
	tmux -L "$SESSION" send-keys "$@"
}

was_told() # NAME PATTERN
{
	check "$1" wait_until grep -qE -- "$2" "$WORK/b.log"
}

guest b good
guest c good
if tmux -L "$SESSION" -f /dev/null new-session -d -x 110 -y 40 \
	"QUIRE_RUNTIME_DIR='$QUIRE_RUNTIME_DIR' '$TOP' --interval 100; echo status \$?; sleep $HUNG" 2>"$ERR"; then
	on_screen "live: both guests" '^c +running'
	on_screen "live: the first is selected" '^-- b '
	on_screen "live: map" 'a cell: '
	press j
	on_screen "live: j selects the next" '^-- c '
	guest a silent
	on_screen "live: one more comes" '^quire-top  3 guests'
	on_screen "live: the selected one stays so" '^-- c '
	on_screen "live: it does not answer" '^a +no answer'
	press Up
	on_screen "live: arrow up" '^-- b '
	press +
	was_told "live: + raises the limit by a tenth" '"x-quire-set-limit","arguments":\{"limit":147636224\}'
	on_screen "live: and says so" '^b: limit is now 141M'
	press -
	was_told "live: - lowers it" '"x-quire-set-limit","arguments":\{"limit":1207[0-9]+\}'
	press Space
	was_told "live: space pauses" '"execute":"stop"'
	press r
	was_told "live: r reclaims" '"x-quire-reclaim","arguments":\{"size":[0-9]+\}'
	on_screen "live: in slices until it is done" '^b: 1[0-9.]+M reclaimed'
	press '?'
	on_screen "live: help" 'up down j k +select'
	press '?'
	end_server "$pid"
	on_screen "live: one goes" '^quire-top  2 guests'
	tmux -L "$SESSION" resize-window -x 40 -y 10
	on_screen "live: a small window" '^resident +[0-9.]+M +#+-+\|-+'
	tmux -L "$SESSION" resize-window -x 200 -y 50
	on_screen "live: a wide one has the list at the side" '^NAME .* -- b '
	end_servers
	on_screen "live: nobody left" '^no guest runs here'
	guest z good
	on_screen "live: and one again" '^NAME .* -- z '
	press q
	on_screen "live: q quits" '^status 0'
else
	skip "live" "tmux does not start: $(cat "$ERR")"
fi
end_servers

# ---- tools/overcommit ----

if ! type gnuplot jq >/dev/null 2>&1; then
	skip "overcommit" "gnuplot or jq is not installed"
	finish
	exit
fi
printf '#!/bin/bash\nexec bash %q --quire "$@"\n' "$(realpath "$0")" >"$WORK/quire"
chmod +x "$WORK/quire"
overcommit=(env QUIRE="$WORK/quire" MICRO=Makefile tools/overcommit --guests 2 --interval 100 --out "$WORK/oc")

fails() # NAME FAKE PATTERN OPTIONS...: exit status 1, and a line on stderr that matches
{
	local name=$1 fake=$2 pattern=$3 got
	shift 3
	FAKE=$fake timely "${overcommit[@]}" "$@" >"$OUT" 2>"$ERR"
	got=$?
	if [ $got = 1 ] && grep -qE "^overcommit: .*$pattern" "$ERR"; then
		ok "$name"
	else
		not_ok "$name" "status $got: $(cat "$ERR")"
	fi
}

refused "overcommit: bad size" 2 "--memory: not a size" tools/overcommit --memory many
refused "overcommit: bad pattern" 2 "not a list of" tools/overcommit --pattern zipf,zap
refused "overcommit: no quire" 1 "nowhere: not there" env QUIRE=nowhere tools/overcommit
check "overcommit passes" "${overcommit[@]}"
check "overcommit is quiet in a pipe" test "$(wc -l <"$OUT")" = 2 -a ! -s "$ERR"
check "overcommit: no control characters in a pipe" clean "$OUT"
check "overcommit: both verified" test "$(grep -c '"verified",0' "$WORK/oc/results.csv")" = 2
check "overcommit: samples of both" test "$(wc -l <"$WORK/oc/sum.csv")" -gt 8
check "overcommit: what it did" grep -q '^| oc-1 | zipf | verified | .* | 123456 | 12.345 | 128.0 | 121.6 | 0 |' \
	"$WORK/oc/report.md"
check "overcommit: plots in the page" test "$(grep -c '<svg' "$WORK/oc/report.html")" = 11
check "overcommit: nothing from elsewhere in the page" bash -c \
	"! grep -E '(src|href)=.?(http|//)|<script' '$WORK/oc/report.html'"
if type xmllint >/dev/null 2>&1; then
	check "overcommit: page is well-formed" xmllint --html --noout --nowarning "$WORK/oc/report.html"
fi
fails "overcommit: wrong pages" wrong 'guest oc-1: status 3: micro: FAIL wrong pages: 1'
check "overcommit: and the report says so" grep -q 'Overcommit: FAIL' "$WORK/oc/report.html"
fails "overcommit: over its limit" over 'guest oc-2: over its limit: resident and store came to'
fails "overcommit: nothing was checked" unchecked 'guest oc-1: ended without a check'
fails "overcommit: no engine" blind 'guest oc-1: could not be watched: .*no such command'
fails "overcommit: quire refuses" refuse 'guest oc-1 did not start: .*unknown option --limit'
fails "overcommit: never ends" stuck 'guest oc-1: did not end in 2 s' --deadline 2
all_ended()
{
	! pgrep -f -- "--quire run --kernel Makefile" >"$OUT"
}
check "overcommit: all its guests have ended" wait_until all_ended
finish
