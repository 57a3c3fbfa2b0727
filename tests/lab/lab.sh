#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Self-test of tools/quire-lab: does an emulated host run what it was given, as it was given, and
# say truly how it ended?
#
#	tests/lab/lab.sh [HOST]...		(all four if none is named)
#	tests/lab/lab.sh --guests HOST PART...
#
# Each host is booted three times: for a command that ends, one that does not, and one that is
# interrupted. On an intel host that is over a minute, so the first run checks much at once. With
# --guests that first one also runs parts of tests/lab/inside.sh, whose result lines come through, and
# the other two are ended while they boot.
set -euo pipefail

root=$(realpath "${BASH_SOURCE[0]%/*}/../..")
cd "$root"
. tests/lab/files.sh
if [[ ${1:-} == --guests && ${QUIRE_ROW:-} == "$2 "*": "* ]]; then # one of theirs, again
	exec tests/lab/guests.sh "$2"
fi
lab=$root/tools/quire-lab
work=$(mktemp -d "${TMPDIR:-/tmp}/quire lab.XXXXXX") # a blank in the path, for good measure
trap 'rm -rf "$work"' EXIT
cd "$work"
passed=0 failed=0

# check NAME COMMAND...
check()
{
	local name=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		echo "ok $name"
	else
		failed=$((failed + 1))
		echo "not ok $name"
	fi
}

equal()
{
	[[ $1 == "$2" ]] || {
		printf '# have "%s"\n# want "%s"\n' "$1" "$2"
		return 1
	}
}

# run_lab ARGUMENT...: leaves the exit status in `status`, the output in out, errors in err. The rows of
# guests are shown as they come; the probe's own words begin with that of its shell.
run_lab()
{
	status=0
	"$lab" --timeout 3000 "$@" 2>err | tee out | sed -u '/^bash /,$d' || status=${PIPESTATUS[0]}
}

# The line of `out` that starts with a word, without the word.
said()
{
	sed -n "s/^$1 //p" out
}

usage_checks()
{
	run_lab --host sparc -- true
	check "an unknown host is refused" equal "$status $(grep -c '^quire-lab: sparc: ' err)" \
		"2 1"
	run_lab --host amd-npt
	check "a missing command is refused" equal "$status $(wc -l <err)" "2 1"
	run_lab --host amd-npt -- ./no-such-command
	check "an unknown command is refused" equal "$status $(wc -l <err)" "2 1"
	run_lab --host amd-npt --timeout 0 -- true
	check "a time limit of nothing is refused" equal "$status $(wc -l <err)" "2 1"
	run_lab --host amd-npt --file ./absent -- true
	check "a missing file is refused" equal "$status $(wc -l <err)" "2 1"
}

# Runs inside the host, under the bash of this machine (busybox has none), which needs libraries.
write_probe()
{
	cat >probe <<-'END'
		#!/usr/bin/env bash
		! [ -e /rows ] || sh /rows
		echo "bash $BASH_VERSION"
		echo "directory $PWD"
		echo "arguments $# <$1> <$2> <$3>"
		disk=${4#*=}
		echo "named $(md5sum <"${disk%,ro}")"
		echo "carried $(cat tree/deep/leaf /elsewhere | tr '\n' ' ')"
		echo "kvm $(stat -c %F /dev/kvm)"
		for parameter in kvm_amd/parameters/npt kvm_intel/parameters/ept; do
			file=/sys/module/$parameter
			! [ -e $file ] || echo "paging $parameter $(cat $file)"
		done
		printf 'tab\there, no\r\nnewline at the end: \303\244 \001\004\021\023\177'
		echo >&2
		seq 1 3000
		echo "errors too" >&2
		exit 7
	END
	chmod +x probe
}

paging_of()
{
	case $1 in
	amd-npt) echo kvm_amd/parameters/npt Y ;;
	amd-shadow) echo kvm_amd/parameters/npt N ;;
	intel-ept) echo kvm_intel/parameters/ept Y ;;
	intel-shadow) echo kvm_intel/parameters/ept N ;;
	esac
}

ending_checks()
{
	# shellcheck disable=SC2016 # nobody is to expand it
	local host=$1 odd='$x "y" \z' want
	mkdir -p tree/deep
	echo leaf >tree/deep/leaf
	echo else >there
	head -c 3000000 /dev/urandom >data
	write_probe
	run_lab --host "$host" --file tree --file there:/elsewhere "${guests[@]}" -- \
		./probe "two words" "it's" "$odd" --disk=data,ro
	check "$host: the exit status comes back" equal "$status" 7
	check "$host: nothing is printed but the output" equal "$(cat err)" ""
	check "$host: KVM is there" equal "$(said kvm)" "character special file"
	check "$host: its paging is as named" equal "$(said paging)" "$(paging_of "$host")"
	check "$host: a program finds its libraries" equal "$(said bash)" "$BASH_VERSION"
	check "$host: the directory is the same" equal "$(said directory)" "$work"
	check "$host: arguments arrive unharmed" equal "$(said arguments)" \
		"4 <two words> <it's> <$odd>"
	check "$host: a file named by an argument is there" equal "$(said named)" "$(md5sum <data)"
	check "$host: files and directories are carried" equal "$(said carried)" "leaf else "
	want=$(printf 'tab\there, no\r\nnewline at the end: \303\244 \001\004\021\023\177' | md5sum)
	check "$host: bytes come out as they went in" equal \
		"$(sed -n '/^tab/,/^newline/p' out | head -c -1 | md5sum)" "$want"
	check "$host: long output is complete" equal \
		"$(tail -n 3001 out | md5sum)" "$({ seq 1 3000 && echo "errors too"; } | md5sum)"
}

# Starts quire-lab in the background, ARGUMENT..., and leaves `job`, which is also the number of its
# session and process group. A shell's background jobs ignore interrupts; not this one.
start_lab()
{
	env --default-signal=INT setsid "$lab" "$@" >out 2>err &
	job=$!
}

# Starts a command that talks for ever, and waits for its first line.
start_endless()
{
	: >out
	start_lab --host "$1" --timeout "$2" -- yes still here
	until [[ -s out ]]; do
		kill -0 "$job" 2>/dev/null || return 0
		sleep 0.2
	done
}

# A job's processes are all gone, the emulator too, and so are its files.
nothing_left()
{
	! kill -0 -- "-$1" 2>/dev/null && ! compgen -G "$root/build/lab/run.$1.*" >/dev/null
}

endless_checks()
{
	local host=$1 limit=20 started=$SECONDS
	[[ $host == amd-* ]] || limit=75
	start_endless "$host" "$limit"
	check "$host: output streams while the command runs" kill -0 "$job"
	status=0
	wait "$job" || status=$?
	check "$host: the time limit ends it with status 124" equal "$status $(wc -l <err)" "124 1"
	check "$host: and in time" test $((SECONDS - started)) -le $((limit + 10))
	check "$host: and nothing is left" nothing_left "$job"

	start_endless "$host" 300
	kill -INT -- "-$job"
	status=0
	wait "$job" || status=$?
	check "$host: an interrupt ends it" equal "$status" 130
	check "$host: an interrupt leaves nothing" nothing_left "$job"
}

# Ended while it boots: by its time limit, and by an interrupt.
early_checks()
{
	local host=$1
	start_lab --host "$host" --timeout 2 -- true
	status=0
	wait "$job" || status=$?
	check "$host: the time limit ends it with status 124" equal "$status $(wc -l <err)" "124 1"
	check "$host: and nothing is left" nothing_left "$job"

	start_lab --host "$host" -- true
	until compgen -G "$root/build/lab/run.$job.*/console" >/dev/null; do
		kill -0 "$job" 2>/dev/null || break
		sleep 0.1
	done
	kill -INT -- "-$job"
	status=0
	wait "$job" || status=$?
	check "$host: an interrupt ends it" equal "$status" 130
	check "$host: an interrupt leaves nothing" nothing_left "$job"
}

guests=()
usage_checks
if [[ ${1:-} == --guests ]]; then
	guests=(--file rows:/rows "${carried[@]}")
	printf 'cd %q && exec sh tests/lab/inside.sh %s\n' "$root" "${*:2}" >rows
	ending_checks "$2"
	early_checks "$2"
else
	(($#)) || set -- amd-npt amd-shadow intel-ept intel-shadow
	for each in "$@"; do
		ending_checks "$each"
		endless_checks "$each"
	done
fi
echo "$passed passed, $failed failed"
((failed == 0))
