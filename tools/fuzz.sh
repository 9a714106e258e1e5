#!/bin/sh
# SPDX-License-Identifier: MIT
# Look for mistakes without end: libFuzzer on what reads input from outside, with the
# sanitizers, and the engine against the kernel with ever new seeds.
#
#   fuzz.sh [SECONDS]
set -eu
cd "$(dirname "$0")/.."
build=build-fuzz
seconds=${1:-0}
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

[ -e $build/build.ninja ] ||
	CC=clang-14 meson setup $build -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
ninja -C $build --quiet

# What is found is kept: new inputs beside the seeds, a crash in the build directory.
fuzz()
{
	mkdir -p "$build/found/$1"
	"$build/fuzz/fuzz-$1" -max_total_time="$seconds" -max_len=500 -artifact_prefix="$build/crash-$1-" \
		-print_final_stats=1 "$build/found/$1" "fuzz/corpus/$1" >"$build/fuzz-$1.log" 2>&1 || {
		tail -40 "$build/fuzz-$1.log"
		echo "fuzz: $1 failed; the input is $build/crash-$1-*"
		return 1
	}
}

compare()
{
	end=$(($(date +%s) + seconds))
	while [ "$seconds" = 0 ] || [ "$(date +%s)" -lt $end ]; do
		PAGESCAN_SCANS=100000 "$build/tests/test-engine-kernel" >"$build/engine-kernel.log" 2>&1 || {
			cat "$build/engine-kernel.log"
			echo "fuzz: engine and kernel differ; the seed is above"
			return 1
		}
	done
}

trap 'kill 0' INT TERM
echo "fuzz: engine, expression, maps, and the engine against the kernel; Ctrl-C ends it"
pids=
for target in engine expression maps; do
	fuzz $target &
	pids="$pids $!"
done
compare &
pids="$pids $!"
failed=0
for pid in $pids; do
	wait "$pid" || failed=1
done
[ $failed = 0 ] && grep -h 'number_of_executed_units' $build/fuzz-*.log
exit $failed
