#!/usr/bin/env bash
# Tables of the READMEs that are printed from our own tables: rewrites them, or with --check says which are stale.
# A README marks its table with a line  <!-- options of PROGRAM -->  and ends it with  <!-- end -->.
# Usage: docs.sh BUILD_DIR [--check]
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:?usage: docs.sh BUILD_DIR [--check]}
mode=${2:-}
stale=0
while read -r readme; do
    program=$(sed -n 's/^<!-- options of \([a-z-]*\) -->$/\1/p' "$readme")
    fresh=$(mktemp)
    table=$(mktemp)
    "$build/bin/$program" --print-options >"$table"
    awk -v table="$table" '
        /^<!-- options of / { print; while ((getline line < table) > 0) print line; skip = 1; next }
        /^<!-- end -->$/ { skip = 0 }
        !skip { print }' "$readme" >"$fresh"
    if ! cmp -s "$fresh" "$readme"; then
        if [ "$mode" = --check ]; then
            echo "$readme is stale: run make docs"
            stale=1
        else
            cat "$fresh" >"$readme"
            echo "$readme rewritten"
        fi
    fi
    rm -f "$fresh" "$table"
done < <(grep -rlE '^<!-- options of [a-z-]+ -->$' --include=README.md platform)
exit "$stale"
