#!/bin/sh
# SPDX-License-Identifier: MIT
# Lay out the C files of the project; with "check", only tell which are not.
# The kernel's structs in lib/uapi keep the layout they are compared by.
set -eu

cd "$(dirname "$0")/.."
files=$(git ls-files -- '*.c' '*.h' ':!lib/uapi')

if [ "${1:-}" = check ]; then
	clang-format-14 --dry-run --Werror $files
else
	clang-format-14 -i $files
fi
