#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs inside an emulated host, on its busybox: the guests on a KVM with hardware behind it. The first
# argument is the host's name, as quire-lab has it; the others are parts, and each of its rows is called
# after its part. QUIRE_ROW: only until that row, by its name alone.
#
#   part           what it shows
#   walker         the walker of page tables against KVM's own, and against the processor
#   doctor         doctor names the host rightly
#   micro          the microguest: fill and verify, page-table churn, two processors, a found corruption
#   linux          stock Linux: with two processors to a checked workload and its end; a reboot; booted
#                  again by a reset, and ended by the power button
#   limits         both guests under a limit of a fraction of their memory: they verify, pages were
#                  evicted, the limit held
#   checkpoints    both guests checkpointed while they work: they go on, and what is restored from each
#                  link verifies
#   moves          Linux moved while it works, from quire to quire on this host, handed over and by
#                  post-copy, over UNIX and over TCP: it goes on, and verifies at its end
#   every_move     the same by each strategy
#   shells         a shell that has moved or was restored answers, its clock as it was asked for
#   shadow         the guests on shadow page tables (--mmu shadow), an attack by one of them
#   more_shadow    more of the microguest's jobs on those
#   more_linux     Linux with one processor, and nothing to do
#
# A guest works until it is told to stop, and who waits waits for what happens: nothing here depends on
# how fast the host is.
host=$1
shift
quire=build/release/quire micro=build/guest/micro.elf
export QUIRE_RUNTIME_DIR=/tmp/quire QUIRE_CHECK_MEMORY=1 TMPDIR=/tmp CMOCKA_MESSAGE_OUTPUT=TAP
HUNG=900 # seconds, after which what has not happened never will
passed=0 failed=0

finish()
{
	printf '\n%d passed, %d failed\n' $passed $failed
	[ $failed = 0 ]
}

# One row and its result, which counts unless another is wanted.
result() # NAME LINE
{
	case ${QUIRE_ROW:-$1} in
	"$1") echo "$2" ;;
	*) echo "    before it: $2" && return 1 ;;
	esac
}

# The last row that was wanted.
row_ends() # NAME
{
	if [ "${QUIRE_ROW:-}" = "$1" ]; then
		finish
		exit
	fi
}

ok()
{
	result "$1" "ok $host $part: $1" && passed=$((passed + 1))
	row_ends "$1"
}

not_ok()
{
	result "$1" "not ok $host $part: $1" && failed=$((failed + 1))
	tail -n 15 /tmp/out | sed 's/^/    /'
	row_ends "$1"
}

skip() # NAME WHY
{
	result "$1" "ok $host $part: $1 # SKIP $2"
	row_ends "$1"
}

# Of the command that came before.
report() # NAME
{
	if [ $? = 0 ]; then
		ok "$1"
	else
		not_ok "$1"
	fi
}

# Run a command that must end with STATUS and print PATTERN.
expect() # NAME STATUS PATTERN COMMAND...
{
	name=$1 status=$2 pattern=$3
	shift 3
	"$@" >/tmp/out 2>&1 </dev/null
	got=$?
	echo "status $got" >>/tmp/out
	[ $got = "$status" ] && grep -q "$pattern" /tmp/out
	report "$name"
}

micro()
{
	$quire run --kernel $micro --memory 64M "$@"
}

# $1: what to append; the rest are options
linux()
{
	append=$1
	shift
	$quire run --kernel build/linux/vmlinuz --initrd build/linux/initrd --memory 256M \
		--append "console=ttyS0 $append" "$@"
}

wait_until() # COMMAND...
{
	end=$(($(date +%s) + HUNG))
	until "$@" 2>/dev/null; do
		[ "$(date +%s)" -lt $end ] || return
		sleep 0.2
	done
}

wait_for() # PATTERN FILE
{
	wait_until grep -q "$1" "$2"
}

# A line that guests read: they are to be started with <&5, and `say` speaks to whoever is there.
new_line()
{
	rm -f /tmp/line
	mkfifo /tmp/line
	exec 5<>/tmp/line
}

say() # WORDS
{
	echo "$1" >&5
}

# The process ends with success, and its work has.
passes() # PID FILE
{
	wait "$1" && grep -q ': pass' "$2"
}

# Bochs is so much slower that checking each page at each move, which other hosts do, would take half an
# hour. And nothing else gets to run there while a microguest spins, seen with and without one-shot timers;
# two processors of a Linux guest are fine.
spins=''
case $host in
intel-*) spins="Bochs stands still while it spins" QUIRE_CHECK_MEMORY=0 ;;
esac

part_walker()
{
	for program in test_ptwalk_kvm test_ptwalk_cpu; do
		build/release/tests/mm/x86/$program >/tmp/walker 2>&1
		status=$?
		cp /tmp/walker /tmp/out
		while read -r line; do
			case $line in
			"not ok "*" # SKIP "*) skip "${line##* }" "this host has none" ;;
			"not ok "*) not_ok "${line#* - }" ;;
			"ok "*) ok "${line#* - }" ;;
			esac
		done </tmp/walker
		[ $status = 0 ]
		report "$program"
	done
}

part_doctor()
{
	case $host in
	amd-npt) kind='"amd"' paging='"npt"' ;;
	intel-ept) kind='"intel"' paging='"ept"' ;;
	amd-shadow) kind='"amd"' paging='"shadow"' ;;
	intel-shadow) kind='"intel"' paging='"shadow"' ;;
	esac
	expect "runs" 0 '"runs-stock-linux": true' $quire doctor --json
	expect "says how" 0 '"how": "ept"' $quire doctor --json
	expect "names the module" 0 "\"kind\": $kind" $quire doctor --json
	expect "names the paging" 0 "\"paging\": $paging" $quire doctor --json
}

part_micro()
{
	expect "verify" 0 'micro: pass' micro --append 'job=verify size=16M'
	if [ -n "$spins" ]; then
		skip "2 processors" "$spins"
	else
		expect "4 KiB mappings, 2 processors" 0 'micro: pass' micro --cpus 2 \
			--append 'job=verify size=8M map=4k cpus=2'
	fi
	expect "churn" 0 'micro: pass' micro --append 'job=churn ops=500 size=4M'
	expect "a corruption is found" 3 'FAIL' micro --append 'job=verify size=4M corrupt=5'
}

booted() # TIMES
{
	[ "$(grep -c 'init reached' /tmp/serial)" = "$1" ]
}

# Pressed again each time it is asked: a kernel that is on its way up does not feel it.
off_by_button()
{
	kill -0 "$pid" 2>/dev/null && $quire powerdown button >>/tmp/out 2>&1
	sleep 1
	! kill -0 "$pid" 2>/dev/null && wait "$pid"
}

part_linux()
{
	expect "2 processors, a workload is checked" 0 'pass' linux quire.run=job=verify,size=8M --cpus 2
	grep -q 'init reached, 2 cpus' /tmp/out
	report "both of them are there"
	expect "reboot ends quire" 0 'init reached' linux quire.run=reboot

	rm -f /tmp/serial
	linux "" --name button --serial file:/tmp/serial </dev/null >/tmp/out 2>&1 &
	pid=$!
	wait_until booted 1
	# a client gives up sooner than a busy host is done: what counts is that it boots again
	$quire qmp button system_reset >>/tmp/out 2>&1
	wait_until booted 2
	report "system_reset boots it again"
	wait_until off_by_button
	report "the power button powers off"
	kill $pid 2>/dev/null
}

part_more_linux()
{
	expect "to init and power-off" 0 'init reached, 1 cpus' linux quire.run=poweroff
}

# Run a guest under a limit of MiB, watching its statistics: it must end with "pass", have had pages
# evicted, and not have passed the limit by more than 2 MiB.
limited() # NAME LIMIT COMMAND...
{
	name=$1 limit=$2
	shift 2
	rm -f /tmp/last
	"$@" --name limited --limit "${limit}M" >/tmp/out 2>&1 </dev/null &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		$quire qmp limited x-quire-memory >/tmp/now 2>/dev/null && mv /tmp/now /tmp/last
		sleep 0.5
	done
	wait $pid
	status=$?
	peak=$(sed -n 's/^ *"peak": *\([0-9]*\).*/\1/p' /tmp/last)
	evicted=$(sed -n 's/^ *"evicted": *\([0-9]*\).*/\1/p' /tmp/last)
	echo "status $status peak ${peak:=0} evicted ${evicted:=0}" >>/tmp/out
	[ $status = 0 ] && grep -q ': pass' /tmp/out && [ "$evicted" -gt 1000 ] &&
		[ "$peak" -le $(((limit + 2) * 1048576)) ]
	report "$name"
}

part_limits()
{
	limited "microguest: 48 MiB of pages under a limit of 16" 16 \
		$quire run --kernel $micro --memory 64M --append 'job=verify size=48M'
	limited "Linux: 64 MiB of pages under a limit of 64 for all" 64 \
		linux quire.run=job=verify,size=64M
}

# Checkpoint a guest twice while it works (it prints FILLED once it does), see it through to its end,
# and restore both links, each of which must end well. It works until it is told to stop.
saved() # NAME FILLED COMMAND...
{
	guest=$1 filled=$2
	shift 2
	rm -rf /tmp/image /tmp/said
	new_line
	"$@" --name saved >/tmp/out 2>&1 <&5 &
	pid=$!
	wait_for "$filled" /tmp/out && $quire checkpoint saved /tmp/image >>/tmp/said 2>&1 &&
		$quire checkpoint saved /tmp/image --incremental >>/tmp/said 2>&1
	status=$?
	say stop
	passes $pid /tmp/out
	goes_on=$?
	cat /tmp/said >>/tmp/out
	[ $status = 0 ]
	report "$guest: checkpointed twice while it works"
	[ $goes_on = 0 ]
	report "$guest: it goes on, and verifies"
	for link in 1 2; do
		new_line
		say stop
		$quire restore /tmp/image --link $link >/tmp/out 2>&1 <&5 && grep -q ': pass' /tmp/out
		report "$guest: link $link restored verifies"
	done
}

part_checkpoints()
{
	if [ -n "$spins" ]; then
		skip "microguest: checkpointed twice while it works" "$spins"
	else
		saved "microguest" 'micro: fill' \
			micro --append "job=access pattern=zipf size=16M write=40 stop=1"
	fi
	saved "Linux" 'linux: fill' linux quire.run=job=access,size=16M,write=40,stop=1
}

# --- moves ---

# Wait for a guest at a URI; what is printed there is in /tmp/NAME. Sets $pid.
receive() # NAME URI
{
	$quire receive "$2" --name "$1" <&5 >"/tmp/$1" 2>&1 &
	pid=$!
	wait_for 'waits at' "/tmp/$1"
}

# Move a guest there while it works. Its process here ends with that.
move() # FROM ITS-PID URI OPTION...
{
	from=$1 from_pid=$2
	shift 2
	timeout $HUNG $quire migrate "$from" "$@" >>/tmp/said 2>&1 && wait "$from_pid"
}

# One guest goes from process to process, each time another way. It has come when it tells its status,
# and brought all its pages when it verifies at its end. With rate= it leaves some of the only CPU to
# those who move it.
moves() # WAY...
{
	rm -f /tmp/said
	new_line
	linux quire.run=job=access,size=16M,write=40,rate=1,status=500,stop=1 --name hop0 <&5 >/tmp/hop0 2>&1 &
	pid=$!
	wait_for 'linux: status' /tmp/hop0
	hop=0
	for way; do
		last=$pid uri=unix:/tmp/wire-$hop next=$((hop + 1))
		case $way in
		pre-copy) options="--copy --precopy" ;;
		pre-copy-tcp) options="--precopy" uri=tcp:127.0.0.1:4711 ;;
		post-copy) options="--postcopy" uri=tcp:127.0.0.1:4712 ;;
		hybrid) options="--hybrid" ;;
		hand-over) options="--precopy" ;;
		esac
		receive hop$next $uri
		# shellcheck disable=SC2086 # some options or none
		if move hop$hop "$last" $uri $options && wait_for 'linux: status' /tmp/hop$next; then
			ok "Linux: by $way over ${uri%%:*}"
			tail -n 1 /tmp/said | sed 's/^/    /'
			hop=$next
			continue
		fi
		cat /tmp/hop$hop /tmp/hop$next /tmp/said >/tmp/out
		not_ok "Linux: by $way over ${uri%%:*}"
		$quire quit hop$next >/tmp/said 2>&1
		wait $pid
		pid=$last
	done
	say stop
	passes $pid /tmp/hop$hop && [ $hop -gt 0 ]
	status=$?
	cp /tmp/hop$hop /tmp/out
	[ $status = 0 ]
	report "Linux: all pages are right after $hop moves"
}

part_moves()
{
	moves hand-over post-copy
}

part_every_move()
{
	case $host in
	intel-*) moves pre-copy post-copy ;;
	*) moves pre-copy pre-copy-tcp hand-over hybrid post-copy ;;
	esac
}

# --- shells ---

# What the shell in a guest says that it was told, and its clock: leaves the host's time before the
# question and after the answer, and the guest's.
# shellcheck disable=SC2016 # the guest expands it
ask_shell() # FILE
{
	before=$(date +%s)
	say 'echo $told at $(date +%s)'
	wait_for 'forty-two at [0-9]' "$1"
	answered=$?
	after=$(date +%s)
	time=$(sed -n 's/.*forty-two at \([0-9]*\).*/\1/p' "$1" | tail -n 1)
	cat "$1" >/tmp/out
	echo "between $before and $after it said ${time:=0}, whose clock was $slow to $fast s off" >>/tmp/out
	return $answered
}

# The guest's clock is behind by what it lost while it booted, and an answer takes its time: of a clock
# that is right the guest said a time between these two.
within() # FROM TO
{
	[ "$time" -ge $(($1 - slow - 1)) ] && [ "$time" -le $(($2 - fast + 1)) ]
}

# A shell that was told something is saved, and moves; then what was saved is restored: it answers each
# time. Its clock is the host's, but that of the checkpoint if it is to continue.
part_shells()
{
	rm -rf /tmp/image /tmp/said
	new_line
	linux "" --name shell <&5 >/tmp/shell 2>&1 &
	pid=$! slow=0 fast=0
	wait_for '# ' /tmp/shell
	say 'told=forty-two'
	ask_shell /tmp/shell
	report "Linux: it answers"
	slow=$((after - time)) fast=$((before - time))

	then=$(date +%s)
	$quire checkpoint shell /tmp/image >>/tmp/said 2>&1
	saved=$(date +%s) last=$pid
	receive moved tcp:127.0.0.1:4713
	move shell $last tcp:127.0.0.1:4713 && ask_shell /tmp/moved && within "$before" "$after"
	report "Linux: one that has moved answers, and its clock is right"
	$quire quit moved >>/tmp/out 2>&1
	wait $pid

	wait_until eval '[ $(($(date +%s) - saved)) -gt 10 ]'
	for clock in continue jump; do
		start=$(date +%s)
		$quire restore /tmp/image --clock $clock --name shell <&5 >/tmp/shell 2>&1 &
		pid=$!
		ask_shell /tmp/shell
		# of the time since the checkpoint, which was made at some time between $then and $saved
		case $clock in
		continue) within "$then" $((after - start + saved)) ;;
		jump) within "$before" "$after" ;;
		esac
		report "Linux: a restored one answers, its clock $clock"
		$quire quit shell >>/tmp/out 2>&1
		wait $pid
	done
}

# On shadow page tables of quire's own, whatever KVM has: every entry is compared each second.
part_shadow()
{
	export QUIRE_CHECK_MMU=1
	expect "microguest: attack" 0 'attack: pass' micro --mmu shadow --append 'job=attack'
	expect "Linux: a workload is checked" 0 'linux: pass' linux quire.run=job=verify,size=8M --mmu shadow
	unset QUIRE_CHECK_MMU
}

part_more_shadow()
{
	export QUIRE_CHECK_MMU=1
	expect "microguest: verify" 0 'micro: pass' micro --mmu shadow --append 'job=verify size=16M'
	expect "microguest: churn" 0 'micro: pass' micro --mmu shadow --append 'job=churn ops=500 size=4M'
	unset QUIRE_CHECK_MMU
}

for part; do
	"part_$part"
done
finish
