#!/usr/bin/env bash
# Runs fuzz targets of a build made with the preset "fuzz", one after another.
#
#   scripts/local-dev/fuzz.sh BUILD SECONDS [TARGET...]      no target: all; SECONDS each
#
# Starts from fuzz/corpora/TARGET. Inputs that reach new code are merged into BUILD/fuzz-corpus/TARGET, so that the next
# run goes on from there; a finding (crash, hang, leak, a property that does not hold) stays in BUILD/fuzz-crashes/TARGET
# and is repeated at the end with the line that reproduces it. Move it to fuzz/corpora/TARGET together with the fix:
# ordinary tests replay what lies there.
# Exit: 0 nothing found, 1 findings, 2 wrong call.
set -euo pipefail

[ $# -ge 2 ] || {
    echo "usage: scripts/local-dev/fuzz.sh BUILD SECONDS [TARGET...]" >&2
    exit 2
}
build=$1 seconds=$2
shift 2
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
known=$(cd "$build/fuzz" && printf '%s\n' ./*_fuzz | sed 's,^\./,,; s,_fuzz$,,')
# shellcheck disable=SC2086 # one word per target
[ $# -gt 0 ] || set -- $known
found=()

for target in "$@"; do
    if [ ! -x "$build/fuzz/${target}_fuzz" ]; then
        echo "fuzz: no target '$target' (there are: ${known//$'\n'/ })" >&2
        exit 2
    fi
    corpus=$build/fuzz-corpus/$target crashes=$build/fuzz-crashes/$target
    mkdir -p "$corpus" "$crashes"
    options=("-max_total_time=$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 "-artifact_prefix=$crashes/")
    [ ! -e "$repo/fuzz/dictionaries/$target" ] || options+=("-dict=$repo/fuzz/dictionaries/$target")
    rc=0
    nice "$build/fuzz/${target}_fuzz" "${options[@]}" "$corpus" "$repo/fuzz/corpora/$target" \
        >"$crashes/log" 2>&1 || rc=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$crashes/log" | tail -1)
    cover=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$crashes/log" | tail -1)
    verdict=ok
    if [ "$rc" != 0 ]; then
        verdict="FOUND: $(grep -m1 -E 'does not hold|runtime error|ERROR: ' "$crashes/log" || echo "exit status $rc")"
        found+=("$target")
    fi
    printf '%-18s %10s runs  %6s edges  %s\n' "$target" "${runs:-?}" "${cover:-?}" "$verdict"
done

[ ${#found[@]} = 0 ] || {
    echo
    echo "Findings; to reproduce:"
    for target in "${found[@]}"; do
        for input in "$build/fuzz-crashes/$target"/*-*; do
            [ ! -f "$input" ] || echo "  $build/fuzz/${target}_fuzz $input"
        done
    done
    exit 1
}
