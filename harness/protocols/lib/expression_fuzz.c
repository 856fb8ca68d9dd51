/* Input: operator, value and fact (JSON), separated by line ends. Properties: whatever equals does
 * not differ, and the other way round; == and != need a fact; < and > exclude each other and <= is
 * not >; a fact's own text contains itself; an absent fact satisfies nothing; durations stay in
 * their range and read back. */
#include "bv/expression.h"

#include "fuzz.h"

static int compare(const struct bv_fact *fact, enum bv_op op, struct bv_bytes value)
{
    const struct bv_fact absent = {.type = BV_FACT_ABSENT};
    struct bv_error error = {0};
    const int rc = bv_fact_compare(fact, op, value, &error);
    FUZZ_REQUIRE(rc == 0 || rc == BV_MISMATCH || error.text[0]);
    FUZZ_REQUIRE(bv_fact_compare(&absent, op, value, NULL) == BV_MISMATCH);
    return rc;
}

static void check(const struct bv_fact *fact, struct bv_bytes value)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 1 << 20};
    const bool equal = compare(fact, BV_OP_EQ, value) == 0;
    FUZZ_REQUIRE(equal == (compare(fact, BV_OP_NE, value) == BV_MISMATCH));
    const int below = compare(fact, BV_OP_LT, value), above = compare(fact, BV_OP_GT, value);
    FUZZ_REQUIRE(below != 0 || above != 0);
    FUZZ_REQUIRE((compare(fact, BV_OP_LE, value) == 0) ==
                 (below == 0 || (above > 0 && compare(fact, BV_OP_GE, value) == 0)));
    FUZZ_REQUIRE((below < 0) == (above < 0));
    FUZZ_REQUIRE(compare(fact, BV_OP_EXISTS, value) == 0);
    FUZZ_REQUIRE(bv_fact_text(&text, fact) == 0);
    if (fact->type == BV_FACT_TEXT || bv_json_type(fact->json) != BV_JSON_ARRAY)
        FUZZ_REQUIRE(compare(fact, BV_OP_CONTAINS, bv_buf_view(&text)) == 0);
    FUZZ_REQUIRE(compare(fact, BV_OP_EQ, bv_buf_view(&text)) == 0);
    /* patterns of others cost regcomp what they like: only plain ones */
    if (value.size < 32 && !memchr(value.data, '{', value.size) &&
        !memchr(value.data, '*', value.size) && !memchr(value.data, '+', value.size))
        (void)compare(fact, BV_OP_MATCHES, value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    struct bv_bytes rest = fuzz_bytes(data, size);
    struct bv_fact fact = {.type = BV_FACT_JSON};
    enum bv_op op = BV_OP_COUNT;
    int64_t ms = 0;
    if (size > 2048 || memchr(rest.data, 0, size) || bv_arena_open(8 << 20, &arena) < 0)
        return 0;
    const struct bv_bytes word = fuzz_part(&rest, '\n'), value = fuzz_part(&rest, '\n');
    if (bv_op_parse(word, &op) == 0)
        FUZZ_REQUIRE(bv_bytes_equal(bv_bytes_of(bv_op_text(op)), word));
    if (bv_duration_parse(word, &ms) == 0) {
        char back[32];
        snprintf(back, sizeof back, "%lldms", (long long)ms);
        int64_t again = 0;
        FUZZ_REQUIRE(ms >= 1 && ms <= 3600000);
        FUZZ_REQUIRE(bv_duration_parse(bv_bytes_of(back), &again) == 0 && again == ms);
    }
    if (bv_json_parse(arena, rest, &fact.json, NULL) == 0)
        check(&fact, value);
    fact = (struct bv_fact){.type = BV_FACT_TEXT, .text = rest};
    check(&fact, value);
    return 0;
}
