#!/usr/bin/env bash
# Every test of one build tree, cheapest first: unit, contract and fuzz-replay tests without servers, integration tests on real
# servers, every story, planted bugs, crash points, outages. Ends with what ran. Usage: test.sh BUILD_DIR
set -euo pipefail
build=${1:?usage: test.sh BUILD_DIR}
cd "$(dirname "$0")/../.."
started=$SECONDS

# The integration tests make about a hundred databases: in memory where there is plenty, so that making and removing their files is quick.
if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] && [ "$(df --output=avail -k /dev/shm | tail -n 1)" -gt 6000000 ]; then
    in_memory=(env "BV_RUN=/dev/shm/bitvelocity-test-$(id -u)")
else
    in_memory=()
fi

# LeakSanitizer looks its own process up in /proc, where a process of another PID namespace has another number.
if grep -q '^BV_SANITIZE:STRING=address' "$build/CMakeCache.txt"; then
    export BV_NO_NAMESPACES=1
fi

echo "== READMEs agree with the tables"
scripts/local-dev/docs.sh "$build" --check
echo "== unit, contract and fuzz-replay tests"
ctest --test-dir "$build" -L unit --output-on-failure -j2
echo "== integration tests on real servers"
"${in_memory[@]}" "$build/bin/bv" exec --servers postgres,redis,kafka -- ctest --test-dir "$build" -L integration --output-on-failure
echo "== the stories"
stories=(scenarios/*.feature)
for story in "${stories[@]}"; do
    "$build/bin/bv" scenario "$story"
done
echo "== planted bugs turn the story red"
scripts/local-dev/break-check.sh "$build"
echo "== crash points: each once under load"
"$build/bin/bv" torture --rounds 1
echo "== outages: dependencies killed, frozen and filled under load"
python3 harness/torture/outage.py "$build" postgres/killed postgres/frozen postgres/stopped postgres/backends:1.5 postgres/full:1.5 \
    redis/frozen redis/resets:1.5 kafka/frozen inventory/frozen auth/killed
programs() { ctest --test-dir "$build" -N "$@" | sed -n 's/^ *Test *#[0-9]*: //p'; }
replayed=$(programs -R '[.]fuzz-replay$' | sed 's/[.]fuzz-replay//' | tr '\n' ' ')
echo "== fuzz targets replayed over their corpora: $replayed" | fold -s -w 140
echo "== $(programs -L unit | wc -l) unit programs ($(wc -w <<<"$replayed") of them fuzz targets), $(programs -L integration | wc -l) integration programs," \
    "${#stories[@]} stories, planted bugs, crash points and outages passed in $((SECONDS - started)) s ($build)"
