#!/bin/sh
# SPDX-License-Identifier: MIT
# Watch a program that everyone has while it works: coreutils' sort.
#
#   demo.sh BUILD
set -eu

pagescan=$1/pagescan
work=$(mktemp -d)
sorter=

finish()
{
	[ -z "$sorter" ] || kill "$sorter" 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

say()
{
	printf '\ndemo: %s\n' "$*"
}

say "making 300 MB of random lines in $work (removed at the end)"
head -c 220M /dev/urandom | base64 -w 30 >"$work/lines"

say "sorting them: sort --buffer-size=512M"
LC_ALL=C sort --parallel=1 --buffer-size=512M -T "$work" -o "$work/sorted" "$work/lines" &
sorter=$!

say "which pages does it write? pagescan watch $sorter --interval 500ms --duration 4s --top 3"
echo
"$pagescan" watch "$sorter" --interval 500ms --duration 4s --top 3

say "letting the sort finish, untracked"
wait "$sorter"
sorter=
LC_ALL=C sort -c "$work/sorted"
say "it did, and its lines are in order: watching did not disturb it"
