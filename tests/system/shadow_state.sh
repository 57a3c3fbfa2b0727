#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Linux on shadow tables, saved and moved: checkpointed twice while it works, and what is restored from
# each link verifies; clones; rolled back; moved from process to process in each way, all of its pages
# right after that; a shell that was paused, restored or moved answers, its clock as it was asked for.
# Without build/linux nothing is tried.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/lib.sh
end_guests_at_exit

export QUIRE_CHECK_MEMORY=1 QUIRE_CHECK_MMU=1
export TMPDIR=$WORK

if [ ! -r build/linux/vmlinuz ] || [ ! -w /dev/kvm ]; then
	skip "Linux on shadow tables, saved and moved" "no build/linux/vmlinuz or no /dev/kvm"
	finish
	exit
fi

# Linux in the background: NAME INPUT WORDS OPTION... Sets $pid.
linux()
{
	local name=$1 input=$2 words=$3
	shift 3
	timeout 120 "$QUIRE" run --mmu shadow --kernel build/linux/vmlinuz --initrd build/linux/initrd \
		--memory 128M --name "$name" --append "console=hvc0 quiet $words" "$@" \
		<"$input" >"$WORK/$name.out" 2>"$WORK/$name.err" &
	pid=$!
}

# Boot one of them, unless it has been; who waits for something has others boot meanwhile. Sets $pid.
declare -A booted=()
boot() # NAME
{
	local job=quire.run=job=access,size=16M,write=40,status=500
	if [ -z "${booted[$1]:-}" ]; then
		case $1 in
		saved) linux "$1" /dev/null $job,cpus=2,time=6 --cpus 2 ;;
		hop0) linux "$1" /dev/null $job,rate=1,time=18 ;;
		shell) linux "$1" "$WORK/keys" "" ;;
		again) linux "$1" /dev/null "" ;;
		esac
		booted[$1]=$pid
	fi
	pid=${booted[$1]}
}

# Wait for at most a minute.
said() # NAME PATTERN
{
	local i
	for ((i = 0; i < 600; i++)); do
		grep -q "$2" "$WORK/$1.out" 2>/dev/null && return 0
		sleep 0.1
	done
	return 1
}

# The guest's process ends with success, and its work has.
passes() # NAME PID
{
	wait "$2" && grep -q 'linux: pass' "$WORK/$1.out"
}

report() # NAME GUEST RESULT
{
	if [ "$3" = 0 ]; then
		ok "$1"
	else
		not_ok "$1" "$(tail -n 3 "$WORK/$2.out" "$WORK/$2.err" 2>/dev/null | tr '\n' ' ')"
	fi
}

# Two processors write while both links are made; both links and two clones go on at once, and the
# guest itself as well, from the second link to which it is rolled back.
saved()
{
	local first second clones guest result=0
	boot saved
	first=$pid
	said saved 'linux: status' || result=1
	"$QUIRE" checkpoint saved "$WORK/image" >>"$WORK/saved.err" 2>&1 || result=1
	sleep 0.5
	"$QUIRE" checkpoint saved "$WORK/image" --incremental >>"$WORK/saved.err" 2>&1 || result=1
	report "Linux: checkpointed twice while it works" saved $result

	"$QUIRE" restore "$WORK/image" --link 1 --name link1 >"$WORK/link1.out" 2>"$WORK/link1.err" \
		</dev/null &
	second=$!
	"$QUIRE" clone "$WORK/image" 2 --name clone --serial "file:$WORK/clone" >"$WORK/clones.out" \
		2>"$WORK/clones.err" </dev/null &
	clones=$!
	sleep 1
	check "Linux: rolled back while it works" "$QUIRE" reset saved
	[ -z "$all" ] || for guest in hop0 shell again; do boot $guest; done
	passes saved "$first"
	report "Linux: it goes on, and verifies" saved $?
	passes link1 $second
	report "Linux: the first link restored verifies" link1 $?
	wait $clones && grep -q 'linux: pass' "$WORK/clone-1" && grep -q 'linux: pass' "$WORK/clone-2"
	report "Linux: clones of the second verify" clones $?
	"$QUIRE" restore "$WORK/image" --eager --name link2 >"$WORK/link2.out" 2>"$WORK/link2.err" \
		</dev/null &
	passes link2 $!
	report "Linux: the second link restored verifies" link2 $?
}

# Wait for a guest: NAME URI INPUT. Sets $pid.
receive()
{
	timeout 120 "$QUIRE" receive "$2" --name "$1" <"$3" >"$WORK/$1.out" 2>"$WORK/$1.err" &
	pid=$!
	wait_until grep -q 'waits at' "$WORK/$1.out" "$WORK/$1.err"
}

# FROM ITS-PID TO URI OPTION...; its process here ends with that.
move()
{
	local from=$1 from_pid=$2 to=$3
	shift 3
	timeout 60 "$QUIRE" migrate "$from" "$@" >>"$WORK/$to.err" 2>&1 && wait "$from_pid"
}

moved()
{
	local last hop=0 way options uri
	boot hop0
	last=$pid
	said hop0 'linux: status'
	for way in hand-over pre-copy post-copy hybrid; do
		uri=unix:$WORK/wire-$hop
		case $way in
		hand-over) options="--precopy" ;;
		pre-copy) options="--copy --precopy" ;;
		post-copy) options="--postcopy" uri=tcp:127.0.0.1:4721 ;;
		hybrid) options="--hybrid" ;;
		esac
		receive hop$((hop + 1)) "$uri" /dev/null
		# shellcheck disable=SC2086 # one option or two
		move hop$hop "$last" hop$((hop + 1)) "$uri" $options && said hop$((hop + 1)) 'linux: status'
		report "Linux: moved by $way over ${uri%%:*}" hop$((hop + 1)) $?
		last=$pid hop=$((hop + 1))
	done
	passes hop$hop "$last"
	report "Linux: all pages are right after $hop moves" hop$hop $?
}

# The shell says what it was told, and what time it is: between so many seconds, as SKEW has it. The
# guest's clock can be behind by what it lost while it booted, on a host that is busy.
SKEW=0
answers() # NAME FROM TO
{
	# shellcheck disable=SC2016 # the guest expands it
	echo 'echo $told at $(date +%s)' >"$WORK/keys"
	said "$1" 'forty-two at [0-9]' || return 1
	time=$(sed -n 's/.*forty-two at \([0-9]*\).*/\1/p' "$WORK/$1.out" | tail -n 1)
	time=$((time + SKEW))
	echo "said $time, expected $2 to $3" >>"$WORK/$1.err"
	[ "$time" -ge "$2" ] && [ "$time" -le "$3" ]
}

shells()
{
	local shell clock at now
	boot shell
	shell=$pid
	said shell 'init reached' && sleep 1
	echo 'told=forty-two' >"$WORK/keys"
	sleep 0.5
	"$QUIRE" pause shell && sleep 0.5 && "$QUIRE" resume shell
	answers shell 0 $((1 << 40))
	report "Linux: a shell that was paused answers" shell $?
	SKEW=$(($(date +%s) - time))
	"$QUIRE" checkpoint shell "$WORK/shell" >>"$WORK/shell.err" 2>&1
	at=$(date +%s)
	receive moved "unix:$WORK/wire-shell" "$WORK/keys"
	move shell "$shell" moved "unix:$WORK/wire-shell"
	now=$(date +%s)
	answers moved $((now - 2)) $((now + 4))
	report "Linux: a shell that has moved answers, its clock right" moved $?
	"$QUIRE" quit moved && wait "$pid"
	sleep $((at + 8 > $(date +%s) ? at + 8 - $(date +%s) : 0))
	for clock in continue jump; do
		"$QUIRE" restore "$WORK/shell" --clock $clock --paused --name $clock <"$WORK/keys" \
			>"$WORK/$clock.out" 2>"$WORK/$clock.err" &
		pid=$!
		wait_until test -S "$QUIRE_RUNTIME_DIR/$clock.qmp"
		"$QUIRE" resume $clock
		now=$(date +%s)
		if [ $clock = continue ]; then
			answers $clock $((at - 2)) $((at + 4))
		else
			answers $clock $((now - 2)) $((now + 4))
		fi
		report "Linux: a restored shell answers, its clock $clock" $clock $?
		"$QUIRE" quit $clock && wait $pid
	done
}

# a reset boots it anew
resets()
{
	boot again
	said again 'init reached' && "$QUIRE" qmp again system_reset >/dev/null
	wait_until eval "[ \$(grep -c 'init reached' '$WORK/again.out') = 2 ]"
	[ "$(grep -c 'init reached' "$WORK/again.out")" = 2 ]
	report "Linux: system_reset boots it again" again $?
	"$QUIRE" quit again && wait "${booted[again]}"
}

mkfifo "$WORK/keys"
exec 7<>"$WORK/keys"
all=
[ $# -gt 0 ] || { all=1 && set -- saved moved shells resets; }
for part; do
	$part
done
finish
