#!/bin/sh
# SPDX-License-Identifier: MIT
# What is needed to build stands once, in debian/control. This reads it there.
#
#   packages.sh need [PROFILE]   say in one line what is missing, and fail
#   packages.sh get [PROFILE]    install it, as root; otherwise as need
#
# PROFILE is a build profile: "ci" adds what only checking a change needs.
set -eu

mode=$1
profile=${2:-}
control=$(dirname "$0")/../debian/control

# Other systems have other names for these packages: Meson will say what it misses.
command -v dpkg-query >/dev/null || exit 0

# One name a line. debhelper only makes packages; building does without it.
wanted()
{
	awk -v profile="$profile" '
		/^[^ \t]/ { inside = 0 }
		/^Build-Depends:/ { inside = 1; sub(/^[^:]*:/, "") }
		inside { list = list $0 }
		END {
			n = split(list, entries, ",")
			for (i = 1; i <= n; i++) {
				split(entries[i], words, " ")
				if (words[1] == "" || words[1] == "debhelper-compat")
					continue
				if (entries[i] ~ /<pkg\./ && (profile == "" || !index(entries[i], "." profile ">")))
					continue
				print words[1]
			}
		}' "$control"
}

missing=
for package in $(wanted); do
	state=$(dpkg-query -W -f '${db:Status-Status} ' "$package" 2>/dev/null || true)
	case " $state" in
	*" installed "*) ;;
	*) missing="$missing $package" ;;
	esac
done
missing=${missing# }
[ -n "$missing" ] || exit 0

install="apt-get install --no-install-recommends"
if [ "$mode" = need ] || [ "$(id -u)" != 0 ]; then
	echo "pagescan needs packages that are missing; as root: $install $missing" >&2
	exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "installing what is missing: $missing"
export DEBIAN_FRONTEND=noninteractive
# A fresh system has no package lists, an old one has stale ones.
if ! { apt-get -q update && $install -q -y $missing; } >"$log" 2>&1; then
	cat "$log" >&2
	echo "pagescan could not install what it needs; as root: $install $missing" >&2
	exit 1
fi
