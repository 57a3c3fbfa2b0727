#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The guests on KVM with hardware behind it: boots the emulated host named (amd-npt, amd-shadow,
# intel-ept, intel-shadow) once and runs parts of tests/lab/inside.sh there, all if none is named. Its
# result lines come through.
#
#   tests/lab/guests.sh HOST [PART]...
#
# With QUIRE_ROW, "HOST PART: ROW" as the line has it, it runs that part up to that row.
cd "$(dirname "$0")/../.." || exit 1
host=$1
shift
[ $# -gt 0 ] || set -- walker doctor micro linux more_linux limits checkpoints every_move shells shadow more_shadow
. tests/lab/files.sh

if [ -n "${QUIRE_ROW:-}" ]; then
	set -- "${QUIRE_ROW%%:*}"
	set -- "${1#"$host "}"
fi
exec tools/quire-lab --host "$host" --timeout 3000 "${carried[@]}" \
	-- env QUIRE_ROW="${QUIRE_ROW#*: }" sh tests/lab/inside.sh "$host" "$@"
