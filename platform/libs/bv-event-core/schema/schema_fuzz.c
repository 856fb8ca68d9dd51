/* Input: a schema, a line "---", a value. Property: whatever is added and linked gives a verdict,
 * the same one twice, and a mismatch has its reason. */
#include <stdlib.h>

#include "bv/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct bv_schemas *schemas, struct bv_bytes text)
{
    struct bv_arena *arena = NULL;
    const struct bv_json *value = NULL;
    struct bv_error error = {0};
    if (bv_arena_open(16u << 20, &arena) < 0)
        return;
    if (bv_json_parse(arena, text, &value, NULL) == 0) {
        int first = bv_schemas_check(schemas, BV_BYTES("s"), value, NULL);
        int second = bv_schemas_check(schemas, BV_BYTES("s"), value, &error);
        if (first != second || (second == BV_SCHEMA_MISMATCH) != (error.text[0] != '\0'))
            abort();
    }
    bv_arena_close(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char separator[] = "\n---\n";
    const uint8_t *split = size ? memmem(data, size, separator, sizeof separator - 1) : NULL;
    struct bv_schemas *schemas = NULL;
    if (!split || size > 65536 || bv_schemas_open(&schemas) < 0)
        return 0;
    const struct bv_bytes schema = {(const char *)data, (size_t)(split - data)};
    const char *value = (const char *)split + sizeof separator - 1;
    bv_schemas_format(schemas, BV_FORMAT_ASSERT);
    if (bv_schemas_add(schemas, BV_BYTES("s"), schema, NULL) == 0 &&
        bv_schemas_link(schemas, NULL) == 0)
        check(schemas, (struct bv_bytes){value, size - (size_t)(value - (const char *)data)});
    bv_schemas_close(&schemas);
    return 0;
}
