#!/usr/bin/env bash
# Every planted bug (BREAK) must turn its step of order-flow red, and the report must name the hop; without one, the same scenarios
# are green. Ends with the matrix. Usage: break-check.sh BUILD_DIR   (a build with BV_TEST_SWITCHES: PRESET=dev)
set -euo pipefail
build=$(realpath "${1:?usage: break-check.sh BUILD_DIR}")
cd "$(dirname "$0")/../.."
story=scenarios/order-flow.feature
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# switch | its scenario | its step | what the step says | what the page says went wrong
cases=(
    "drop-trace-header|an order takes stock and is announced once|within 5s ledger receives in order for key \${order}|order -> Kafka ecommerce.orders -> ledger: header traceparent is missing|order → Kafka ecommerce.orders → ledger .* came without the header traceparent, sent by order"
    "lose-outbox-row|an order takes stock and is announced once|within 5s ledger receives in order for key \${order}|ledger did not receive it within 5000 ms (order -> Kafka ecommerce.orders -> ledger)|order → Kafka ecommerce.orders ecommerce.order.reserved.v1 .* never came: order answered version 2, but Kafka has version 1"
    "duplicate-effect|the open page shows each transition, once and in order|within 5s screen receives in order json \"\$.data.state\" for key \${order}|notification -> WebSocket -> screen: version 3 of|notification → WebSocket → screen ecommerce.order.paid.v1 .* arrives twice"
    "forget-idempotency-key|the retry of an order is the same order|buyer status == 201 and json \"\$.orderId\" == \${order}|buyer json is not what was expected (order -> REST -> buyer)|buyer → REST → order order answered POST /v1/orders"
    "skip-signature|a partner that fails twice still gets every transition, signed and in order|within 20s partner receives in order signed and status == 204 for key \${order}|notification -> webhook -> partner: header webhook-signature is missing|notification → webhook → partner the delivery .* came without the header webhook-signature"
)

die() {
    echo "break-check: $*" >&2
    exit 1
}

# Line of a scenario, for STORY:LINE.
line_of() {
    grep -nxF "  Scenario: $1" "$story" | cut -d: -f1 || die "no scenario \"$1\" in $story"
}

# run NAME SWITCH EXPECTED_EXIT OPERAND...
run() {
    local name=$1 switch=$2 wanted=$3 status=0
    shift 3
    BREAK=$switch "$build/bin/bv" scenario "$@" --out "$out/$name" >"$out/$name.txt" 2>&1 || status=$?
    if [ "$status" != "$wanted" ]; then
        cat "$out/$name.txt"
        die "${switch:-no switch}: exit status $status, expected $wanted"
    fi
}

# judge SWITCH STEP SENTENCE PATTERN: the first failed step must be STEP and say SENTENCE, and the text of the page match PATTERN.
judge() {
    python3 - "$out/$1" "$@" <<'PY'
import html, json, re, sys
folder, switch, step, sentence, pattern = sys.argv[1:]
records = [json.loads(line) for line in open(folder + "/results.jsonl", encoding="utf-8")]
red = [r for r in records if r["record"] == "step" and r["verdict"] in ("failed", "broken")]
page = re.sub(r"(?s)<script.*?</script>|<style.*?</style>|<[^>]+>", " ", open(folder + "/index.html", encoding="utf-8").read())
page = " ".join(html.unescape(page).split())
error = red[0].get("error", "") if red else ""
problems = [problem for found, problem in (
    (records[0].get("break") == switch, "the run does not name the planted bug"),
    (red and red[0]["verdict"] == "failed" and red[0]["text"] == step, f"red is {red[0]['text'] if red else 'nothing'}, not: {step}"),
    (error.startswith(sentence), f"the step says: {error}\n  and not: {sentence}"),
    (re.search(pattern, page), f"the page does not say: {pattern}"),
    (f"Planted bug {switch}" in page, "the page does not name the planted bug"),
) if not found]
sys.exit(f"break-check: {switch}: " + "; ".join(problems) if problems else 0)
PY
}

started=$SECONDS
operands=()
for row in "${cases[@]}"; do
    IFS='|' read -r _ scenario _ <<<"$row"
    operand="order-flow:$(line_of "$scenario")"
    [[ " ${operands[*]-} " == *" $operand "* ]] || operands+=("$operand")
done
run none "" 0 "${operands[@]}"
matrix=("none|(green)|-")
for row in "${cases[@]}"; do
    IFS='|' read -r switch scenario step sentence pattern <<<"$row"
    run "$switch" "$switch" 1 "order-flow:$(line_of "$scenario")"
    judge "$switch" "$step" "$sentence" "$pattern"
    matrix+=("$switch|$step|$sentence")
done
run unknown skip-signatur 2 "${operands[0]}"
grep -q "did you mean skip-signature?" "$out/unknown.txt" || die "an unknown switch is not refused with the nearest: $(cat "$out/unknown.txt")"
known=$(grep -cE '^ *"[a-z]+(-[a-z]+)+",' platform/libs/bv-common-core/base/include/bv/breakage.h)
[ "$known" = "${#cases[@]}" ] || die "bv/breakage.h has $known switches, ${#cases[@]} are proven here"
for row in "switch|red step of order-flow|hop" "${matrix[@]}"; do
    IFS='|' read -r switch step sentence <<<"$row"
    printf '%-22s  %-95s  %s\n' "$switch" "$step" "$sentence"
done
echo "== ${#cases[@]} planted bugs, each red at its step, in $((SECONDS - started)) s"
