/* Input: a byte of which bit 0 is strictness, then JSON. Properties: a decoded field lies in its
 * range and holds what the document holds, required ones are there, strict objects have no other
 * members; a refusal names a member and why; decoding twice gives the same. */
#include "bv/json.h"

#include "fuzz.h"

struct target {
    struct bv_bytes name, note;
    int64_t count, any;
    bool flag;
    const struct bv_json *raw;
};
enum { NAME, NOTE, COUNT, ANY, FLAG, RAW };
static const struct bv_field fields[] = {
    [NAME] = {"name",  offsetof(struct target, name),  BV_FIELD_STRING, true,  1,  8   },
    [NOTE] = {"note",  offsetof(struct target, note),  BV_FIELD_STRING, false, 0,  0   },
    [COUNT] = {"count", offsetof(struct target, count), BV_FIELD_INT64,  true,  -5, 1000},
    [ANY] = {"any",   offsetof(struct target, any),   BV_FIELD_INT64,  false, 0,  0   },
    [FLAG] = {"flag",  offsetof(struct target, flag),  BV_FIELD_BOOL,   false, 0,  0   },
    [RAW] = {"raw",   offsetof(struct target, raw),   BV_FIELD_JSON,   false, 0,  0   },
};

static void check_accepted(const struct bv_json *root, const struct target *t, bool strict)
{
    size_t known = 0;
    for (size_t i = 0; i < BV_COUNT(fields); i++)
        known += bv_json_get(root, fields[i].name) != NULL;
    FUZZ_REQUIRE(!strict || known == bv_json_size(root));
    FUZZ_REQUIRE(t->name.size >= 1 && t->name.size <= 8);
    FUZZ_REQUIRE(!memchr(t->name.data, '\0', t->name.size));
    FUZZ_REQUIRE(bv_bytes_equal(t->name, bv_json_string(bv_json_get(root, "name"))));
    FUZZ_REQUIRE(t->count >= -5 && t->count <= 1000);
    FUZZ_REQUIRE(t->count == bv_json_int(bv_json_get(root, "count"), 5000));
    FUZZ_REQUIRE(t->any == bv_json_int(bv_json_get(root, "any"), 7));
    FUZZ_REQUIRE(t->flag == bv_json_bool(bv_json_get(root, "flag"), true));
    FUZZ_REQUIRE(t->raw == bv_json_get(root, "raw"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    struct bv_bytes input = fuzz_bytes(data, size);
    const enum bv_strictness strictness = fuzz_byte(&input) & 1 ? BV_STRICT : BV_LENIENT;
    const struct bv_json *root = NULL;
    struct target first = {.any = 7, .flag = true}, second = first;
    struct bv_error error = {0};
    if (size > 16384 || bv_arena_open(4 << 20, &arena) < 0 ||
        bv_json_parse(arena, input, &root, NULL) < 0)
        return 0;
    const int rc = bv_json_decode(root, fields, BV_COUNT(fields), strictness, &first, &error);
    FUZZ_REQUIRE(rc == 0 || (rc == BV_E_UNPROCESSABLE && error.text[0]));
    FUZZ_REQUIRE(bv_json_decode(root, fields, BV_COUNT(fields), strictness, &second, NULL) == rc);
    FUZZ_REQUIRE(first.any == second.any && first.count == second.count);
    if (rc == 0)
        check_accepted(root, &first, strictness == BV_STRICT);
    return 0;
}
