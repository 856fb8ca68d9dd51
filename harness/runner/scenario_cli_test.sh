#!/usr/bin/env bash
# The exit statuses of `bv scenario`, with stories that need no server. Usage: scenario_cli_test.sh BV FOLDER
set -uo pipefail
bv=$1
folder=$2
rm -rf "$folder" && mkdir -p "$folder"
failures=0

story() { # NAME, steps on stdin
    { printf 'Feature: f\n  Scenario: %s\n    Given actor partner is webhook listening at "/hook"\n' "$1"; cat; } > "$folder/$1.feature"
}
expect() { # STATUS PATTERN ARGUMENT...
    local wanted=$1 pattern=$2 output status
    shift 2
    output=$("$bv" scenario --out "$folder/out" "$@" 2>&1)
    status=$?
    if [[ $status -ne $wanted ]] || ! grep -qE -- "$pattern" <<< "$output"; then
        printf 'FAILED: bv scenario %s: exit %s, not %s, or no "%s" in:\n%s\n' "$*" "$status" "$wanted" "$pattern" "$output"
        failures=$((failures + 1))
    fi
}

story green <<< '    Then never within 20ms partner receives'
story red <<< '    Then within 20ms partner receives "x"'
story wrong-word <<< '    Then within 20ms partner recieves "x"'
story no-gherkin <<< '    nonsense'

expect 0 'passed +1 of 1 scenarios' "$folder/green.feature"
expect 1 'nothing arrived' "$folder/red.feature"
expect 1 'reproduce +bv scenario' "$folder/red.feature"
expect 1 'FAILED +1 of 2 scenarios' "$folder/green.feature" "$folder/red.feature"
expect 2 'wrong-word.feature:4:.*did you mean "receives"|expected "receives", found "recieves"' "$folder/wrong-word.feature"
expect 2 'no-gherkin.feature:4:5: .*nonsense' "$folder/no-gherkin.feature"
expect 2 'no-such.feature' "$folder/no-such.feature"
expect 2 'no story' no-such-story
expect 2 'unknown option --chek: did you mean --check' --chek order-flow
expect 2 'no scenario is selected' --tags @none "$folder/green.feature"
expect 2 'tags are' --tags none "$folder/green.feature"
expect 2 'which story'
expect 0 'is known' --check "$folder/green.feature"
expect 0 'is known' --check order-flow
expect 0 'OP VALUE' --steps
expect 0 '"exit":0' --json "$folder/green.feature"

# A reader may follow the file, and every line is JSON of a known record.
"$bv" scenario --out "$folder/out" "$folder/red.feature" > "$folder/log" 2>&1
for record in run environment feature scenario actor step scenario-end end; do
    grep -q "^{\"record\":\"$record\"," "$folder/out/results.jsonl" || { echo "FAILED: no record $record"; failures=$((failures + 1)); }
done
grep -q '<testsuite .*tests="1" failures="1"' "$folder/out/junit.xml" || { echo "FAILED: junit.xml"; failures=$((failures + 1)); }
if grep -q $'\033' "$folder/log"; then echo "FAILED: escape sequences in a pipe"; failures=$((failures + 1)); fi
exit $((failures > 0))
