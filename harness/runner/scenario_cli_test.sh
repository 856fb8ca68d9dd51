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
expect 2 'no scenario is selected: none has the tags @none' --tags @none "$folder/green.feature"
expect 2 'no scenario is selected: none stands at line 999 of' "$folder/green.feature:999"
expect 2 'there are .*order-flow' no-such-story
expect 2 'does not exist: did you mean the story order-flow' scenarios/order-flow
expect 2 '--out needs the name of a folder' --out '' "$folder/green.feature"
expect 2 'column 1: tags begin with @: did you mean @none' --tags none "$folder/green.feature"
expect 2 'column 9: expected a tag' --tags '@a and (' "$folder/green.feature"
expect 2 'which story'
expect 0 'is known' --check "$folder/green.feature"
expect 0 'is known' --check order-flow
expect 0 'OP VALUE' --steps
expect 0 '"exit":0' --json "$folder/green.feature"

# A page that cannot be written is no success, and no line says where it is.
mkdir -p "$folder/blocked/index.html/x"
expect 2 'the page was not written' --out "$folder/blocked" "$folder/green.feature"
"$bv" scenario --out "$folder/blocked" "$folder/green.feature" > "$folder/log" 2>&1
grep -q '^report' "$folder/log" && { echo "FAILED: a page is named that is not there"; failures=$((failures + 1)); }

# Who runs when.
cat > "$folder/four.feature" << 'END'
Feature: four
  @slow
  Scenario: alpha
    Given actor partner is webhook listening at "/hook"
    Then never within 20ms partner receives
  Scenario: beta
    Given actor partner is webhook listening at "/hook"
    And barrier "both here"
  @slow
  Scenario: gamma
    Given actor partner is webhook listening at "/hook"
    Then never within 20ms partner receives
  Scenario: delta
    Given barrier "both here" within 10s
END
sed 's/barrier "both here" within 10s/barrier "both her"/' "$folder/four.feature" > "$folder/alone.feature"
sed 's/    Given barrier "both here"/    Given actor x is webhook listening at "\/x"\n    Then within 10ms x receives "y"\n    And barrier "both here"/' "$folder/four.feature" > "$folder/left.feature"
expect 0 'passed +4 of 4 scenarios' "$folder/four.feature"
expect 0 'passed +4 of 4 scenarios' -j 4 "$folder/four.feature"
expect 0 'passed +4 of 4 scenarios' -j4 "$folder/four.feature"
expect 0 'passed +4 of 4 scenarios' --jobs=3 "$folder/four.feature"
expect 0 'passed +2 of 2 scenarios' --tags 'not (@slow or @live)' "$folder/four.feature"
expect 0 'passed +1 of 1 scenarios' "$folder/four.feature:6"
expect 0 'passed +2 of 2 scenarios' "$folder/four.feature:6" "$folder/four.feature:13"
expect 1 "barrier 'both here': scenario \"delta\" \\(line 13\\) ended before it" "$folder/left.feature"
expect 1 'reproduce +bv scenario [^ ]*:6 [^ ]*:13$' "$folder/left.feature"
expect 2 'no other scenario names the barrier "both her": did you mean "both here"' "$folder/alone.feature"
expect 2 '--jobs is a number from 1 to 64, not "0"' -j 0 "$folder/four.feature"
expect 2 '--jobs is a number from 1 to 64, not "many"' --jobs many "$folder/four.feature"
expect 2 '--jobs needs a value' "$folder/four.feature" -j
expect 2 '--order is defined or random, not "randon": did you mean random' --order randon "$folder/four.feature"
expect 2 '--seed is a number from 0 to 9007199254740992, not "-1"' --seed=-1 "$folder/four.feature"
expect 2 'unknown option -json: did you mean --json' -json "$folder/four.feature"
expect 2 'did you mean --seed' --sed 4 "$folder/four.feature"
expect 0 'random order, seed 5' --order random --seed 5 "$folder/four.feature"
expect 0 '"seed":5,' --json --seed 5 "$folder/four.feature"

# The same seed, the same order and the same ${run}; other seeds, others.
order_of() { "$bv" scenario --order random --seed "$1" --dry-run "$folder/four.feature" | grep -oE '^[0-9]  [a-z]+' | tr -d '\n'; }
run_of() { "$bv" scenario --order random --seed "$1" --out "$folder/out" "$folder/four.feature" > "$folder/log" 2>&1; grep -oE '"run":"[A-Z0-9]+-[0-9]"' "$folder/out/results.jsonl" | sort; }
[[ $(order_of 5) == "$(order_of 5)" ]] || { echo "FAILED: the same seed, another order"; failures=$((failures + 1)); }
[[ $(for seed in 1 2 3 4 5 6 7 8; do order_of "$seed"; echo; done | sort -u | wc -l) -gt 2 ]] || { echo "FAILED: other seeds, the same order"; failures=$((failures + 1)); }
[[ $(run_of 5) == "$(run_of 5)" ]] || { echo "FAILED: the same seed runs otherwise"; failures=$((failures + 1)); }
[[ $(run_of 5) != "$(run_of 6)" ]] || { echo "FAILED: another seed runs the same"; failures=$((failures + 1)); }
for member in '"jobs":1' '"order":"random"' '"seed":6' "--order random --seed 6"; do
    head -1 "$folder/out/results.jsonl" | grep -qF -- "$member" || { echo "FAILED: no $member in the record of the run"; failures=$((failures + 1)); }
done
"$bv" scenario --out "$folder/out" "$folder/four.feature" > "$folder/log" 2>&1
grep -q '"barrier":{"name":"both here","parties":2,"arrived":2}' "$folder/out/results.jsonl" || { echo "FAILED: no barrier in the results"; failures=$((failures + 1)); }

# Whoever ends first: junit.xml has the scenarios in order, and the records of one stand together.
"$bv" scenario -j 4 --out "$folder/out" "$folder/four.feature" > "$folder/log" 2>&1
[[ $(grep -oE 'name="(alpha|beta|gamma|delta)"' "$folder/out/junit.xml" | tr -d '\n') == 'name="alpha"name="beta"name="delta"name="gamma"' ]] || { echo "FAILED: order of junit.xml"; failures=$((failures + 1)); }

# A dry run writes nothing.
rm -rf "$folder/dry"
expect 0 'would start .*postgres.*order' --dry-run order-flow
expect 0 'meets at "both here" within 10000 ms' --dry-run --out "$folder/dry" "$folder/four.feature"
expect 0 '"servers":\[\].*"number":4' --dry-run --json --out "$folder/dry" "$folder/four.feature"
expect 2 'wrong-word.feature:4' --dry-run "$folder/wrong-word.feature"
[[ ! -e $folder/dry ]] || { echo "FAILED: a dry run wrote something"; failures=$((failures + 1)); }

# Ctrl-C ends every scenario, and the results are whole.
sed 's/20ms/2m/' "$folder/four.feature" > "$folder/long.feature"
rm -rf "$folder/cut"
"$bv" scenario -j 4 --out "$folder/cut" "$folder/long.feature" > "$folder/log" 2>&1 &
bv_pid=$!
for ((i = 0; i < 500; i++)); do
    grep -qs '"name":"delta"' "$folder/cut/results.jsonl" && break
    read -rt 0.02 <> <(:) || true
done
kill -TERM "$bv_pid"
wait "$bv_pid"
status=$?
if [[ $status -ne 143 ]] || ! grep -q 'BROKEN' "$folder/log" || ! grep -q '^{"record":"end",.*"exit":2,"error":"interrupted: 2 of 4' "$folder/cut/results.jsonl"; then
    echo "FAILED: after a signal: exit $status, and:"; cat "$folder/log"; failures=$((failures + 1))
fi

# In a terminal: what is rewritten in place fits its width, and marks are words where the locale knows no others.
if command -v script > /dev/null; then
    printf '    Then never within 20ms partner receives "%060d"\n' 0 > "$folder/tail" && story wide < "$folder/tail"
    in_terminal() { LC_ALL=$1 TERM=xterm script -qec "stty cols 40; $bv scenario --out $folder/out $folder/wide.feature" /dev/null < /dev/null; }
    in_terminal C.UTF-8 > "$folder/log"
    grep -q '✓' "$folder/log" || { echo "FAILED: no marks in a terminal"; failures=$((failures + 1)); }
    grep -qE '    \. [^'$'\r'']{35}' "$folder/log" && { echo "FAILED: a line that is rewritten wraps"; failures=$((failures + 1)); }
    in_terminal C > "$folder/log"
    grep -q '✓' "$folder/log" && { echo "FAILED: marks that the locale does not know"; failures=$((failures + 1)); }
fi

# A reader may follow the file, and every line is JSON of a known record.
"$bv" scenario --out "$folder/out" "$folder/red.feature" > "$folder/log" 2>&1
for record in run environment feature scenario actor step scenario-end end; do
    grep -q "^{\"record\":\"$record\"," "$folder/out/results.jsonl" || { echo "FAILED: no record $record"; failures=$((failures + 1)); }
done
grep -q '<testsuite .*tests="1" failures="1"' "$folder/out/junit.xml" || { echo "FAILED: junit.xml"; failures=$((failures + 1)); }
if grep -q $'\033' "$folder/log"; then echo "FAILED: escape sequences in a pipe"; failures=$((failures + 1)); fi
exit $((failures > 0))
