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

# Linux in the background: NAME WORDS OPTION...
linux()
{
	local name=$1 words=$2
	shift 2
	start "$name" run --mmu shadow --kernel build/linux/vmlinuz --initrd build/linux/initrd \
		--memory 128M --append "console=hvc0 quiet $words" "$@"
}

# Boot one of them, unless it has been; who waits for something has others boot meanwhile.
boot() # NAME
{
	local job=quire.run=job=access,size=16M,write=40,status=200,stop=1
	[ -z "${process[$1]:-}" ] || return 0
	case $1 in
	saved) linux "$1" $job,cpus=2 --cpus 2 ;;
	hop0) linux "$1" $job,rate=1 ;;
	shell) linux "$1" "" ;;
	again) linux "$1" "" ;;
	esac
}

said() # NAME PATTERN
{
	wait_for_line "$WORK/$1.out" "$2" "${process[$1]}"
}

# It works, and once it is told to stop, its pages are right and its process ends with success.
passes() # NAME
{
	said "$1" 'linux: status' && tell_stop "$1" && gone "$1" && grep -q 'linux: pass' "$WORK/$1.out"
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
	local clones guest keys result=0
	boot saved
	said saved 'linux: status .* reads [1-9]' || result=1
	"$QUIRE" checkpoint saved "$WORK/image" >>"$WORK/saved.err" 2>&1 || result=1
	"$QUIRE" checkpoint saved "$WORK/image" --incremental >>"$WORK/saved.err" 2>&1 || result=1
	report "Linux: checkpointed twice while it works" saved $result

	start link1 restore "$WORK/image" --link 1
	"$QUIRE" clone "$WORK/image" 2 --name clone --serial "unix:$WORK/clone" >"$WORK/clones.out" \
		2>"$WORK/clones.err" </dev/null &
	clones=$!
	for guest in clone-1 clone-2; do
		wait_while_it_lives $clones test -S "$WORK/$guest"
		mkfifo "$WORK/$guest.in"
		exec {keys}<>"$WORK/$guest.in"
		socat - "UNIX-CONNECT:$WORK/$guest" <&"$keys"- >"$WORK/$guest.out" 2>"$WORK/$guest.err" &
		process[$guest]=$!
		exec {keys}>&-
	done
	check "Linux: rolled back while it works" "$QUIRE" reset saved
	[ -z "$all" ] || for guest in hop0 shell again; do boot $guest; done
	passes saved
	report "Linux: it goes on, and verifies" saved $?
	passes link1
	report "Linux: the first link restored verifies" link1 $?
	passes clone-1 && passes clone-2 && wait_for_exit $clones
	report "Linux: clones of the second verify" clone-1 $?
	start link2 restore "$WORK/image" --eager
	passes link2
	report "Linux: the second link restored verifies" link2 $?
}

# Wait for a guest: NAME URI.
receive()
{
	start "$1" receive "$2"
	wait_for_line "$WORK/$1.err" 'waits at' "${process[$1]}"
}

# FROM TO URI OPTION...; its process here ends with that.
move()
{
	local from=$1 to=$2
	shift 2
	timely "$QUIRE" migrate "$from" "$@" >>"$WORK/$to.err" 2>&1 && gone "$from"
}

moved()
{
	local hop=0 way options uri
	boot hop0
	said hop0 'linux: status'
	for way in hand-over pre-copy post-copy hybrid; do
		uri=unix:$WORK/wire-$hop
		case $way in
		hand-over) options="--precopy" ;;
		pre-copy) options="--copy --precopy" ;;
		post-copy) options="--postcopy" uri=tcp:127.0.0.1:4721 ;;
		hybrid) options="--hybrid" ;;
		esac
		receive hop$((hop + 1)) "$uri"
		# shellcheck disable=SC2086 # one option or two
		move hop$hop hop$((hop + 1)) "$uri" $options && said hop$((hop + 1)) 'linux: status'
		report "Linux: moved by $way over ${uri%%:*}" hop$((hop + 1)) $?
		hop=$((hop + 1))
	done
	passes hop$hop
	report "Linux: all pages are right after $hop moves" hop$hop $?
}

# Type a line at a shell.
tell() # NAME LINE
{
	echo "    $2" 1<>"$WORK/$1.in" # the shell asks where the cursor is, and takes the next key for the answer
}

# The shell says what it was told, and what time it is: between $asked and $heard it was $time there.
answers() # NAME
{
	asked=$(date +%s)
	# shellcheck disable=SC2016 # the guest expands it
	tell "$1" 'echo $told at $(date +%s)'
	said "$1" 'forty-two at [0-9]+' || return 1
	heard=$(date +%s)
	time=$(sed -n 's/.*forty-two at \([0-9]*\).*/\1/p' "$WORK/$1.out" | tail -n 1)
}

# By the host's clock it was between these two, as far as that is known of the guest's: on a host that is busy
# it can be behind by what it lost while it booted, at least $behind and at most $behind_most.
was_between() # NAME FROM TO
{
	echo "said $time, behind by $behind to $behind_most, expected $2 to $3" >>"$WORK/$1.err"
	[ $((time + behind_most)) -ge $(($2 - 2)) ] && [ $((time + behind)) -le $(($3 + 2)) ]
}

shells()
{
	local clock at saved began time asked heard behind behind_most
	boot shell
	said shell '/root #'
	tell shell 'told=forty-two; echo noted'
	said shell '^noted'
	"$QUIRE" pause shell && "$QUIRE" resume shell && answers shell
	report "Linux: a shell that was paused answers" shell $?
	behind=$((asked - time)) behind_most=$((heard - time))
	at=$(date +%s)
	"$QUIRE" checkpoint shell "$WORK/shell" >>"$WORK/shell.err" 2>&1
	saved=$(date +%s)
	receive moved "unix:$WORK/wire-shell"
	move shell moved "unix:$WORK/wire-shell"
	answers moved && was_between moved "$asked" "$heard"
	report "Linux: a shell that has moved answers, its clock right" moved $?
	"$QUIRE" quit moved && gone moved
	sleep $((saved + 8 > $(date +%s) ? saved + 8 - $(date +%s) : 0)) # to have two times that differ
	for clock in continue jump; do
		start $clock restore "$WORK/shell" --clock $clock --paused
		wait_while_it_lives "${process[$clock]}" test -S "$QUIRE_RUNTIME_DIR/$clock.qmp"
		began=$(date +%s)
		"$QUIRE" resume $clock
		answers $clock
		if [ $clock = continue ]; then
			was_between $clock "$at" $((saved + heard - began))
		else
			was_between $clock "$asked" "$heard"
		fi
		report "Linux: a restored shell answers, its clock $clock" $clock $?
		"$QUIRE" quit $clock && gone $clock
	done
}

# a reset boots it anew
resets()
{
	boot again
	said again 'init reached' && "$QUIRE" qmp again system_reset >/dev/null
	wait_while_it_lives "${process[again]}" eval "[ \$(grep -c 'init reached' '$WORK/again.out') = 2 ]"
	report "Linux: system_reset boots it again" again $?
	"$QUIRE" quit again && gone again
}

all=
[ $# -gt 0 ] || { all=1 && set -- saved moved shells resets; }
for part; do
	$part
done
finish
