# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # stage is set by quire-lab
#
# Part of quire-lab: which files a command needs, and the archive that carries them into the host.
#
# Files keep their absolute paths. The staging tree has Debian's merged /usr (/bin, /lib, /lib64 and
# /sbin are links into it), as the host that it is unpacked in, so a path means the same in both.

# The files that an argument of the command may name: the whole of it, or what follows "=", each
# also without a ",option" at its end (--disk FILE,ro).
pack_argument()
{
	local value=${1#*=} candidate
	for candidate in "$1" "${1%%,*}" "$value" "${value%%,*}"; do
		case $candidate in
		/dev/* | /proc/* | /sys/*) continue ;; # the host has its own
		esac
		[[ ! -f $candidate ]] || pack_file "$candidate" "$candidate"
		[[ ! -d $candidate ]] || mkdir -p "$stage$(absolute "$candidate")"
	done
}

# --file HOSTPATH[:GUESTPATH]
pack_option()
{
	local from=${1%%:*} to=${1#*:} file
	[[ -e $from ]] || fail 2 "--file $from: no such file (name one that exists)"
	if [[ ! -d $from ]]; then
		pack_file "$from" "$to"
		return
	fi
	while IFS= read -r -d '' file; do
		pack_file "$file" "$to${file#"$from"}"
	done < <(find -L "$from" -type f -print0)
}

# Copies one file, and what it takes to run it if it is a program. A file that is there already is
# left alone: programs share their libraries.
pack_file()
{
	local from to magic
	from=$(absolute "$1")
	to=$stage$(absolute "$2")
	[[ ! -e $to ]] || return 0
	[[ -r $from ]] || fail 2 "$from: may not be read (see its permissions)"
	mkdir -p "${to%/*}"
	cp --reflink=auto --dereference --preserve=mode,timestamps "$from" "$to"
	magic=$(head -c 4 "$from" | tr -d '\0')
	case $magic in
	$'\x7fELF') pack_libraries "$from" ;;
	'#!'*) [[ ! -x $from ]] || pack_interpreter "$from" ;;
	esac
}

# ldd's lines: "NAME => PATH (ADDRESS)", or "PATH (ADDRESS)" for the loader itself. A static
# program, or an ELF file that is no program, has none.
pack_libraries()
{
	local library
	while IFS= read -r library; do
		pack_file "$library" "$library"
	done < <(ldd "$1" 2>/dev/null | sed -n 's,^[^/]*\(/[^ ]*\) (0x.*,\1,p')
}

# "#!/bin/sh -e" needs /bin/sh, and "#!/usr/bin/env bash" needs env and bash.
pack_interpreter()
{
	local words program
	read -r -a words < <(head -n 1 "$1" | cut -c 3-)
	pack_file "${words[0]}" "${words[0]}"
	if [[ ${words[0]} == */env && -n ${words[1]:-} ]]; then
		program=$(type -P "${words[1]}") || fail 2 "$1: ${words[1]} is not installed here"
		pack_file "$program" "$program"
	fi
}

# An absolute path, with "." and ".." gone but links as they are.
absolute()
{
	realpath --no-symlinks --canonicalize-missing -- "$1"
}

# Quotes one word for a POSIX shell.
quote()
{
	printf "'%s' " "${1//\'/\'\\\'\'}"
}

# stage_tree DIR: an empty tree with the merged /usr.
stage_tree()
{
	local name
	for name in bin sbin lib lib64; do
		mkdir -p "$1/usr/$name"
		ln -s "usr/$name" "$1/$name"
	done
}

# archive DIR FILE: the tree as an initramfs that belongs to root.
archive()
{
	(cd "$1" && find . -print0 | cpio --null --create --format=newc --owner=+0:+0 --quiet) >"$2"
}

# pack_command COMMAND ARGUMENT...: fills $stage with the command line and all it names.
pack_command()
{
	local program word
	program=$(type -P "$1") || fail 2 "$1: no such command (give the path of a program)"
	program=$(absolute "$program")
	pack_file "$program" "$program"
	shift
	mkdir -p "$stage$PWD" "$stage/lab"
	for word in "$@"; do
		pack_argument "$word"
	done
	{
		printf 'cd %s && exec ' "$(quote "$PWD")"
		for word in "$program" "$@"; do
			quote "$word"
		done
		echo
	} >"$stage/lab/command"
}
