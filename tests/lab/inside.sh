#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs inside an emulated host, on its busybox: the guests on a KVM with hardware behind it. The first
# argument is the host's name, as quire-lab has it; the others are parts, all by default.
#
#   doctor names the host rightly
#   the microguest: fill and verify, page-table churn, two processors, a found corruption
#   stock Linux: init and power-off with one and two processors, a checked workload, the power button,
#   reboot, a reset by QMP
#   both guests under a limit of a fraction of their memory: they verify, pages were evicted, the
#   limit held
#   both guests checkpointed while they work: they go on, and what is restored from each link
#   verifies; a shell that was restored answers, and its clock is what was asked for
#   Linux moved while it works, from quire to quire on this host, by each strategy, over UNIX and over
#   TCP: it goes on, and verifies at its end; a shell that was moved answers, its clock right
#   both guests on shadow page tables (--mmu shadow)
host=$1
shift
quire=build/release/quire micro=build/guest/micro.elf
export QUIRE_RUNTIME_DIR=/tmp/quire QUIRE_CHECK_MEMORY=1 TMPDIR=/tmp
passed=0 failed=0

ok()
{
	echo "ok $host: $1"
	passed=$((passed + 1))
}

not_ok()
{
	echo "not ok $host: $1"
	failed=$((failed + 1))
	tail -n 15 /tmp/out | sed 's/^/    /'
}

# Run a command that must end with STATUS and print PATTERN.
expect() # NAME STATUS PATTERN COMMAND...
{
	name=$1 status=$2 pattern=$3
	shift 3
	"$@" >/tmp/out 2>&1 </dev/null
	got=$?
	if [ $got = "$status" ] && grep -q "$pattern" /tmp/out; then
		ok "$name"
	else
		echo "status $got" >>/tmp/out
		not_ok "$name"
	fi
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

wait_for() # PATTERN FILE
{
	i=0
	while [ $i -lt 300 ] && ! grep -q "$1" "$2" 2>/dev/null; do
		sleep 0.2
		i=$((i + 1))
	done
	grep -q "$1" "$2"
}

# Bochs is so much slower that what takes time must take longer; and checking each page at each move,
# which other hosts do, would take it half an hour.
slow=1
case $host in
intel-*) slow=4 QUIRE_CHECK_MEMORY=0 ;;
esac

case $host in
amd-npt) kind='"amd"' paging='"npt"' ;;
intel-ept) kind='"intel"' paging='"ept"' ;;
amd-shadow) kind='"amd"' paging='"shadow"' ;;
intel-shadow) kind='"intel"' paging='"shadow"' ;;
esac
part_first()
{
	expect "doctor runs" 0 '"runs-stock-linux": true' $quire doctor --json
	expect "doctor says how" 0 '"how": "ept"' $quire doctor --json
	expect "doctor names the module" 0 "\"kind\": $kind" $quire doctor --json
	expect "doctor names the paging" 0 "\"paging\": $paging" $quire doctor --json

	expect "microguest: verify" 0 'micro: pass' micro --append 'job=verify size=16M'
	case $host in
	intel-*) # seen with and without one-shot timers; two processors of a Linux guest are fine
		echo "ok $host: microguest: 2 processors # SKIP Bochs stands still while one of them spins"
		;;
	*)
		expect "microguest: 4 KiB mappings, 2 processors" 0 'micro: pass' micro --cpus 2 \
			--append 'job=verify size=8M map=4k cpus=2'
		;;
	esac
	expect "microguest: churn" 0 'micro: pass' micro --append 'job=churn ops=500 size=4M'
	expect "microguest: a corruption is found" 3 'FAIL' micro --append 'job=verify size=4M corrupt=5'

	expect "Linux to init and power-off" 0 'init reached, 1 cpus' linux quire.run=poweroff
	expect "Linux with 2 processors" 0 'init reached, 2 cpus' linux quire.run=poweroff --cpus 2
	expect "Linux: a workload is checked" 0 'pass' linux quire.run=job=verify,size=8M --cpus 2
	expect "Linux: reboot ends quire" 0 'init reached' linux quire.run=reboot
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
	if [ $status = 0 ] && grep -q ': pass' /tmp/out && [ "$evicted" -gt 1000 ] &&
		[ "$peak" -le $(((limit + 2) * 1048576)) ]; then
		ok "$name"
	else
		not_ok "$name"
	fi
}

part_limits()
{
	limited "microguest: 48 MiB of pages under a limit of 16" 16 \
		$quire run --kernel $micro --memory 64M --append 'job=verify size=48M'
	limited "Linux: 64 MiB of pages under a limit of 64 for all" 64 \
		linux quire.run=job=verify,size=64M
}

# Checkpoint a guest twice while it works (it prints FILLED once it does), see it through to its end,
# and restore both links, each of which must end well.
saved() # NAME FILLED COMMAND...
{
	guest=$1 filled=$2 status=0
	shift 2
	rm -rf /tmp/image /tmp/said
	"$@" --name saved >/tmp/out 2>&1 </dev/null &
	pid=$!
	wait_for "$filled" /tmp/out && sleep 1
	$quire checkpoint saved /tmp/image >>/tmp/said 2>&1 || status=1
	$quire checkpoint saved /tmp/image --incremental >>/tmp/said 2>&1 || status=2
	if wait $pid && grep -q ': pass' /tmp/out && [ $status = 0 ]; then
		ok "$guest: it goes on"
	else
		cat /tmp/said >>/tmp/out
		not_ok "$guest: it goes on"
	fi
	for link in 1 2; do
		expect "$guest: link $link restored" 0 ': pass' $quire restore /tmp/image --link $link
	done
}

part_checkpoints()
{
	case $host in
	intel-*) # as above: nothing else gets to run before the guest's time is over
		echo "ok $host: microguest: checkpointed twice # SKIP Bochs stands still while it spins"
		;;
	*)
		saved "microguest: checkpointed twice" 'micro: fill' \
			micro --append "job=access pattern=zipf size=16M write=40 time=15"
		;;
	esac
	saved "Linux: checkpointed twice" 'linux: fill' \
		linux quire.run=job=access,size=16M,write=40,time=$((20 * slow))
}

# Linux with a shell that has been told something. Sets $pid.
told_shell()
{
	linux "" --name shell </tmp/keys >/tmp/out 2>&1 &
	pid=$!
	wait_for 'init reached' /tmp/out && sleep 2
	echo 'told=forty-two' >/tmp/keys
	sleep $((3 * slow))
}

# A shell, saved after it was told something, answers when it is restored; its clock is the host's if
# it is to jump, and that of the checkpoint if it is to continue.
# shellcheck disable=SC2016 # the guest expands it
part_shells()
{
	told_shell
	rm -rf /tmp/image
	$quire checkpoint shell /tmp/image >>/tmp/out 2>&1
	then=$(date +%s)
	$quire quit shell
	wait $pid
	sleep 20
	for clock in continue jump; do
		$quire restore /tmp/image --clock $clock --name shell </tmp/keys >/tmp/out 2>&1 &
		pid=$!
		sleep 2
		echo 'echo $told at $(date +%s)' >/tmp/keys
		wait_for 'forty-two at' /tmp/out
		now=$(date +%s)
		said=$(sed -n 's/.*forty-two at \([0-9]*\).*/\1/p' /tmp/out)
		$quire quit shell
		wait $pid
		echo "then $then, now $now, said ${said:=0}" >>/tmp/out
		if [ $clock = jump ]; then
			from=$((now - 10 * slow)) to=$((now + 1))
		else
			from=$((then - 5 * slow)) to=$((now - 15)) # it was away for 20 s
		fi
		if [ "$said" -ge $from ] && [ "$said" -le $to ]; then
			ok "Linux: a restored shell answers, its clock $clock"
		else
			not_ok "Linux: a restored shell answers, its clock $clock"
		fi
	done
}

# --- moves ---

# Wait for a guest at a URI: NAME URI INPUT; what is printed there is in /tmp/NAME. Sets $pid.
receive()
{
	$quire receive "$2" --name "$1" <"$3" >"/tmp/$1" 2>&1 &
	pid=$!
	wait_for 'waits at' "/tmp/$1"
}

# Move a guest there while it works: FROM ITS-PID URI OPTION... Its process here ends with that.
move()
{
	from=$1 from_pid=$2
	shift 2
	timeout $((100 * slow)) $quire migrate "$from" "$@" >>/tmp/said 2>&1 && wait "$from_pid"
}

# One guest goes from process to process, each time another way. It has come when it tells its status,
# and brought all its pages when it verifies at its end. With rate= it leaves some of the only CPU to
# those who move it.
part_moves()
{
	work=80 # seconds
	case $host in
	intel-*) ways="pre-copy post-copy" work=200 ;;
	amd-npt) ways="hand-over post-copy" ;; # in make check: the others have all
	*) ways="pre-copy pre-copy-tcp hand-over hybrid post-copy" ;;
	esac
	rm -f /tmp/said
	linux quire.run=job=access,size=16M,write=40,rate=1,status=500,time=$work --name hop0 \
		</dev/null >/tmp/hop0 2>&1 &
	pid=$!
	wait_for 'linux: status' /tmp/hop0
	hop=0
	for way in $ways; do
		last=$pid uri=unix:/tmp/wire-$hop next=$((hop + 1))
		case $way in
		pre-copy) options="--copy --precopy" ;;
		pre-copy-tcp) options="--precopy" uri=tcp:127.0.0.1:4711 ;;
		post-copy) options="--postcopy" uri=tcp:127.0.0.1:4712 ;;
		hybrid) options="--hybrid" ;;
		hand-over) options="--precopy" ;;
		esac
		receive hop$next $uri /dev/null
		# shellcheck disable=SC2086 # some options or none
		if move hop$hop "$last" $uri $options && wait_for 'linux: status' /tmp/hop$next; then
			ok "Linux: moved by $way over ${uri%%:*}"
			tail -n 1 /tmp/said | sed 's/^/    /'
			hop=$next
			continue
		fi
		cat /tmp/hop$hop /tmp/hop$next /tmp/said >/tmp/out
		not_ok "Linux: moved by $way over ${uri%%:*}"
		$quire quit hop$next >/tmp/said 2>&1
		wait $pid
		pid=$last
	done
	wait $pid
	status=$?
	cp /tmp/hop$hop /tmp/out
	if [ $status = 0 ] && [ $hop -gt 0 ] && grep -q ': pass' /tmp/out; then
		ok "Linux: all pages are right after $hop moves"
	else
		not_ok "Linux: all pages are right after $hop moves"
	fi
}

# A shell that has moved knows what it was told, and what time it is.
# shellcheck disable=SC2016 # the guest expands it
part_moved_shell()
{
	told_shell
	last=$pid
	receive moved tcp:127.0.0.1:4713 /tmp/keys
	if move shell $last tcp:127.0.0.1:4713; then
		echo 'echo $told at $(date +%s)' >/tmp/keys
		wait_for 'forty-two at' /tmp/moved
	fi
	now=$(date +%s)
	said=$(sed -n 's/.*forty-two at \([0-9]*\).*/\1/p' /tmp/moved)
	$quire quit moved >>/tmp/said 2>&1
	wait $pid
	cat /tmp/said /tmp/moved >/tmp/out
	echo "now $now, said ${said:=0}" >>/tmp/out
	if [ "$said" -ge $((now - 5 * slow)) ] && [ "$said" -le $((now + 1)) ]; then
		ok "Linux: a shell that has moved answers, and its clock is right"
	else
		not_ok "Linux: a shell that has moved answers, and its clock is right"
	fi
}

# On shadow page tables of quire's own, whatever KVM has: every entry is compared each second.
part_shadow()
{
	export QUIRE_CHECK_MMU=1
	expect "shadow: microguest: verify" 0 'micro: pass' micro --mmu shadow --append 'job=verify size=16M'
	expect "shadow: microguest: churn" 0 'micro: pass' micro --mmu shadow --append 'job=churn ops=500 size=4M'
	expect "shadow: microguest: attack" 0 'attack: pass' micro --mmu shadow --append 'job=attack'
	expect "shadow: Linux: a workload is checked" 0 'linux: pass' \
		linux quire.run=job=verify,size=8M --mmu shadow
	unset QUIRE_CHECK_MMU
}

part_buttons()
{
	linux "" --name button --serial file:/tmp/button.log </dev/null >/tmp/out 2>&1 &
	pid=$!
	if wait_for 'init reached' /tmp/button.log && $quire powerdown button >>/tmp/out 2>&1 && wait $pid; then
		ok "Linux: the power button powers off"
	else
		kill $pid 2>/dev/null
		cat /tmp/button.log >>/tmp/out
		not_ok "Linux: the power button powers off"
	fi

	linux "" --name again --serial file:/tmp/again.log </dev/null >/tmp/out 2>&1 &
	pid=$!
	wait_for 'init reached' /tmp/again.log && $quire qmp again system_reset >>/tmp/out 2>&1
	i=0
	while [ $i -lt 300 ] && [ "$(grep -c 'init reached' /tmp/again.log)" -lt 2 ]; do
		sleep 0.2
		i=$((i + 1))
	done
	$quire quit again >>/tmp/out 2>&1
	if wait $pid && [ "$(grep -c 'init reached' /tmp/again.log)" = 2 ]; then
		ok "Linux: system_reset boots it again"
	else
		cat /tmp/again.log >>/tmp/out
		not_ok "Linux: system_reset boots it again"
	fi
}

# what the serial lines of shells read
mkfifo /tmp/keys
sleep 100000 >/tmp/keys &
keys=$!
[ $# -gt 0 ] || set -- first limits checkpoints shells moves moved_shell buttons shadow
for part; do
	"part_$part"
done
kill $keys

printf '\n%d passed, %d failed\n' $passed $failed
[ $failed = 0 ]
