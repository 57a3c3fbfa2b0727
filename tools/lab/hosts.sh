# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # the variables shared with quire-lab are set and used there
#
# Part of quire-lab: the four hosts, what each needs, and how its emulator is started.
#
# Both emulators run in the background with the run's directory as their own. There they find
# `initrd` and write `console` (ttyS0) and `stream` (ttyS1), as drawn in tools/lab/init.

# choose_host NAME: sets emulator, module, parameter, and memory (MiB) where the user named none.
choose_host()
{
	case $1 in
	amd-npt) emulator=qemu module=kvm_amd parameter=npt=1 ;;
	amd-shadow) emulator=qemu module=kvm_amd parameter=npt=0 ;;
	intel-ept) emulator=bochs module=kvm_intel parameter=ept=1 ;;
	intel-shadow) emulator=bochs module=kvm_intel parameter=ept=0 ;;
	*) fail 2 "$1: no such host (choose amd-npt, amd-shadow, intel-ept or intel-shadow)" ;;
	esac
	case $emulator in
	qemu) : "${memory:=2048}" ;;
	bochs) : "${memory:=1024}" ;;
	esac
	((memory >= 256)) || fail 2 "--memory $memory: too small for a host (give 256 or more)"
	((cpus <= 8)) || fail 2 "--cpus $cpus: more than is of use (give 8 or less)"
	[[ $emulator == qemu ]] || ((memory <= 2048)) ||
		fail 2 "--memory $memory: Bochs has at most 2048 (give less, or use an amd host)"
	[[ $emulator == qemu ]] || ((cpus == 1)) ||
		fail 2 "--cpus $cpus: a Bochs host has one (leave it out, or use an amd host)"
}

# Nothing here protects a secret, so every check and mitigation that costs emulated time is off. The
# emulators' time stamp counters are sound, but a kernel does not trust them unasked, and without
# them KVM has no good clock for its guests. A panic stays on the console for quire-lab to see: with
# a restart Bochs would boot again and again.
#
# QEMU's hosts tick periodically: its nested SVM can lose an interrupt that becomes due while a guest
# spins with interrupts off, and with one-shot timers there would never be another (docs/tools.md).
host_append()
{
	local quiet=quiet tick=
	[[ $emulator != qemu ]] || tick="nohz=off highres=off"
	((verbose == 0)) || quiet=ignore_loglevel
	echo "console=ttyS0,115200 $quiet panic=0 mitigations=off nokaslr audit=0 selinux=0" \
		"apparmor=0 tsc=reliable no_timer_check $tick"
}

# need PROGRAM|/FILE PACKAGE
need()
{
	local what=$1 package=$2
	[[ $what == /* && -e $what ]] || type -P "$what" >/dev/null ||
		fail 125 "$what is missing (install $package, or run tools/install-deps lab)"
}

need_emulator()
{
	need setpriv util-linux
	case $emulator in
	qemu) need qemu-system-x86_64 qemu-system-x86 ;;
	bochs)
		need bochs bochs
		need /usr/share/bochs/BIOS-bochs-latest bochsbios
		need /usr/share/vgabios/vgabios.bin vgabios
		need /usr/lib/ISOLINUX/isolinux.bin isolinux
		need /usr/lib/syslinux/modules/bios/ldlinux.c32 syslinux-common
		need xorriso xorriso
		;;
	esac
}

# start_emulator: sets emulator_pid. setpriv ends the emulator if we are killed without a chance to.
start_emulator()
{
	: >"$run/console"
	: >"$run/stream"
	"start_$emulator"
	emulator_pid=$!
	[ "$emulator" != bochs ] || read_screen "$emulator_pid" &
}

# The CPU has all that QEMU can emulate but for the fifth level of page tables, which few hosts of
# today use and which makes every emulated TLB miss dearer.
start_qemu()
{
	(cd "$run" && exec setpriv --pdeathsig KILL qemu-system-x86_64 \
		-accel tcg,thread=multi -cpu max,-la57 -smp "$cpus" -m "$memory" \
		-nodefaults -no-user-config -display none -no-reboot \
		-serial file:console -serial file:stream \
		-kernel "$kernel/vmlinuz" -initrd initrd -append "$(host_append)") \
		</dev/null >"$run/emulator.log" 2>&1 &
}

# Bochs draws the screen that nobody looks at on a terminal of its own, and stands still for ever once
# 64 KiB of that lie there unread: after a quarter of an hour or so. Somebody has to read it.
read_screen() # PID
{
	local fd number i
	for ((i = 0; i < 100; i++)); do
		for fd in "/proc/$1/fd"/*; do
			[ "$(readlink "$fd")" = /dev/ptmx ] || continue
			number=$(sed -n 's/^tty-index:[[:space:]]*//p' "/proc/$1/fdinfo/${fd##*/}")
			stty -F "/dev/pts/$number" raw -echo && exec cat "/dev/pts/$number" >/dev/null
		done
		sleep 0.1
	done
} </dev/null 2>/dev/null

start_bochs()
{
	local terminal
	sed "s/@MEMORY@/$memory/g" "$parts/bochsrc" >"$run/bochsrc"
	sed "s/@APPEND@/$(host_append)/" "$parts/isolinux.cfg" >"$run/isolinux.cfg"
	xorriso -as mkisofs -quiet -o "$run/host.iso" -b isolinux/isolinux.bin \
		-c isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table \
		-graft-points \
		"/vmlinuz=$kernel/vmlinuz" "/initrd=$run/initrd" \
		"/isolinux/isolinux.cfg=$run/isolinux.cfg" \
		"/isolinux/isolinux.bin=/usr/lib/ISOLINUX/isolinux.bin" \
		"/isolinux/ldlinux.c32=/usr/lib/syslinux/modules/bios/ldlinux.c32" \
		>"$run/emulator.log" 2>&1 ||
		fail 125 "xorriso cannot write the CD: $(tail -n 1 "$run/emulator.log")"

	# Debian's Bochs has its debugger compiled in. It wants to be told to continue, by a file,
	# and a terminal that stays open, for which a FIFO will do that we hold open ourselves.
	echo c >"$run/continue"
	mkfifo "$run/terminal"
	exec {terminal}<>"$run/terminal"
	(cd "$run" && TERM=xterm exec setpriv --pdeathsig KILL \
		bochs -q -f bochsrc -rc continue) <&"$terminal" >/dev/null 2>&1 &
}
