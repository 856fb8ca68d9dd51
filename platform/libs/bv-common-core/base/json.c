/* yyjson keeps a document as one array of 16-byte values in document order, containers before their
 * members and each container knowing where its successor begins:
 *
 *   {  "a"  [  1  2  "b"  3        a container's end is the next value that is not inside it
 *
 * Hence one linear pass sees every value, and the open containers are a small stack of ends. */
#include "bv/json.h"

#include "json_value.h"

#include <stdlib.h>

/* Objects up to this size are compared key by key, larger ones sorted. */
enum { PAIRWISE_MAX = 16 };

static void *alc_malloc(void *ctx, size_t size)
{
    return bv_arena_alloc_raw(ctx, size);
}

static void *alc_realloc(void *ctx, void *data, size_t old_size, size_t size)
{
    return bv_arena_resize(ctx, data, old_size, size);
}

static void alc_free(void *ctx, void *data)
{
    (void)ctx;
    (void)data;
}

static int compare_keys(const void *a, const void *b)
{
    const yyjson_val *x = *(yyjson_val *const *)a;
    const yyjson_val *y = *(yyjson_val *const *)b;
    size_t x_size = unsafe_yyjson_get_len((void *)(uintptr_t)x);
    size_t y_size = unsafe_yyjson_get_len((void *)(uintptr_t)y);
    if (x_size != y_size)
        return x_size < y_size ? -1 : 1;
    return memcmp(x->uni.str, y->uni.str, x_size);
}

static yyjson_val *next_key(yyjson_val *key)
{
    return unsafe_yyjson_get_next(key + 1);
}

static yyjson_val *find_duplicate_pairwise(yyjson_val *object, size_t count)
{
    yyjson_val *first = unsafe_yyjson_get_first(object);
    yyjson_val *key = first;
    for (size_t i = 0; i < count; i++, key = next_key(key)) {
        yyjson_val *earlier = first;
        for (size_t j = 0; j < i; j++, earlier = next_key(earlier))
            if (compare_keys(&key, &earlier) == 0)
                return key;
    }
    return NULL;
}

/* Sorting, not hashing: its worst case cannot be provoked by chosen keys. */
static int find_duplicate_sorted(struct bv_arena *arena,
                                 yyjson_val *object,
                                 size_t count,
                                 yyjson_val **ret_key)
{
    yyjson_val **keys = bv_arena_alloc_raw(arena, count * sizeof(*keys));
    if (!keys)
        return BV_E_TOO_LARGE;
    yyjson_val *key = unsafe_yyjson_get_first(object);
    for (size_t i = 0; i < count; i++, key = next_key(key))
        keys[i] = key;
    qsort(keys, count, sizeof(*keys), compare_keys);
    *ret_key = NULL;
    for (size_t i = 1; i < count && !*ret_key; i++)
        if (compare_keys(&keys[i - 1], &keys[i]) == 0)
            *ret_key = keys[i - 1] > keys[i] ? keys[i - 1] : keys[i];
    bv_arena_resize(arena, keys, count * sizeof(*keys), 0);
    return 0;
}

static int check_object(struct bv_arena *arena,
                        const yyjson_doc *doc,
                        yyjson_val *object,
                        struct bv_error *error)
{
    size_t count = unsafe_yyjson_get_len(object);
    yyjson_val *key = NULL;
    if (count <= PAIRWISE_MAX)
        key = find_duplicate_pairwise(object, count);
    else if (find_duplicate_sorted(arena, object, count, &key) < 0)
        return bv_fail(error, BV_E_TOO_LARGE, "JSON document needs more memory than its limit.");
    if (!key)
        return 0;
    return bv_fail(error,
                   BV_E_INVALID,
                   "JSON at byte %zu: member \"%.40s\" appears twice.",
                   (size_t)(key->uni.str - doc->str_pool),
                   key->uni.str);
}

static size_t too_deep_at(struct bv_bytes text)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (quoted) {
            i += c == '\\' ? 1 : 0;
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '[' || c == '{') {
            if (++depth > BV_JSON_DEPTH_MAX)
                return i;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return text.size;
}

static int check_limits(struct bv_arena *arena,
                        struct bv_bytes text,
                        const yyjson_doc *doc,
                        struct bv_error *error)
{
    const yyjson_val *ends[BV_JSON_DEPTH_MAX];
    size_t depth = 0;
    yyjson_val *end = unsafe_yyjson_get_next(doc->root);
    for (yyjson_val *value = doc->root; value < end; value++) {
        while (depth > 0 && value >= ends[depth - 1])
            depth--;
        if (!unsafe_yyjson_is_ctn(value))
            continue;
        if (depth == BV_JSON_DEPTH_MAX)
            return bv_fail(error,
                           BV_E_INVALID,
                           "JSON at byte %zu: nested deeper than %d.",
                           too_deep_at(text),
                           BV_JSON_DEPTH_MAX);
        ends[depth++] = unsafe_yyjson_get_next(value);
        if (unsafe_yyjson_is_obj(value))
            BV_TRY(check_object(arena, doc, value, error));
    }
    return 0;
}

int bv_json_parse(struct bv_arena *arena,
                  struct bv_bytes text,
                  const struct bv_json **ret_root,
                  struct bv_error *error)
{
    const yyjson_alc alc = {alc_malloc, alc_realloc, alc_free, arena};
    yyjson_read_err fault;
    if (text.size == 0)
        return bv_fail(error, BV_E_INVALID, "JSON at byte 0: the document is empty.");
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)text.data, text.size, YYJSON_READ_NOFLAG, &alc, &fault);
    if (!doc && fault.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return bv_fail(error, BV_E_TOO_LARGE, "JSON document needs more memory than its limit.");
    if (!doc)
        return bv_fail(error, BV_E_INVALID, "JSON at byte %zu: %s.", fault.pos, fault.msg);
    BV_TRY(check_limits(arena, text, doc, error));
    *ret_root = bv_json_of(doc->root);
    return 0;
}

enum bv_json_type bv_json_type(const struct bv_json *value)
{
    yyjson_val *raw = bv_json_raw(value);
    switch (yyjson_get_type(raw)) {
    case YYJSON_TYPE_BOOL:
        return BV_JSON_BOOL;
    case YYJSON_TYPE_NUM:
        return yyjson_is_sint(raw) || (yyjson_is_uint(raw) && raw->uni.u64 <= INT64_MAX)
                   ? BV_JSON_INT
                   : BV_JSON_REAL;
    case YYJSON_TYPE_STR:
        return BV_JSON_STRING;
    case YYJSON_TYPE_ARR:
        return BV_JSON_ARRAY;
    case YYJSON_TYPE_OBJ:
        return BV_JSON_OBJECT;
    default:
        return BV_JSON_NULL;
    }
}

const struct bv_json *bv_json_get(const struct bv_json *object, const char *key)
{
    return bv_json_get_bytes(object, bv_bytes_of(key));
}

const struct bv_json *bv_json_get_bytes(const struct bv_json *object, struct bv_bytes key)
{
    return key.data ? bv_json_of(yyjson_obj_getn(bv_json_raw(object), key.data, key.size)) : NULL;
}

const struct bv_json *bv_json_at(const struct bv_json *array, size_t index)
{
    return bv_json_of(yyjson_arr_get(bv_json_raw(array), index));
}

size_t bv_json_size(const struct bv_json *value)
{
    yyjson_val *raw = bv_json_raw(value);
    return yyjson_is_ctn(raw) ? unsafe_yyjson_get_len(raw) : 0;
}

struct bv_bytes bv_json_string(const struct bv_json *value)
{
    yyjson_val *raw = bv_json_raw(value);
    return yyjson_is_str(raw) ? (struct bv_bytes){raw->uni.str, unsafe_yyjson_get_len(raw)}
                              : BV_BYTES_NONE;
}

int64_t bv_json_int(const struct bv_json *value, int64_t otherwise)
{
    return bv_json_type(value) == BV_JSON_INT ? bv_json_raw(value)->uni.i64 : otherwise;
}

double bv_json_real(const struct bv_json *value, double otherwise)
{
    yyjson_val *raw = bv_json_raw(value);
    return yyjson_is_num(raw) ? yyjson_get_num(raw) : otherwise;
}

bool bv_json_bool(const struct bv_json *value, bool otherwise)
{
    yyjson_val *raw = bv_json_raw(value);
    return yyjson_is_bool(raw) ? unsafe_yyjson_get_bool(raw) : otherwise;
}

struct bv_json_iter bv_json_iter(const struct bv_json *container)
{
    yyjson_val *raw = bv_json_raw(container);
    if (!yyjson_is_ctn(raw))
        return (struct bv_json_iter){.container = container};
    return (struct bv_json_iter){.container = container,
                                 .cursor = unsafe_yyjson_get_first(raw),
                                 .left = unsafe_yyjson_get_len(raw)};
}

bool bv_json_next(struct bv_json_iter *it)
{
    if (it->left == 0)
        return false;
    it->left--;
    yyjson_val *raw = bv_json_raw(it->cursor);
    if (unsafe_yyjson_is_obj(bv_json_raw(it->container))) {
        it->key = (struct bv_bytes){raw->uni.str, unsafe_yyjson_get_len(raw)};
        raw++;
    }
    it->value = bv_json_of(raw);
    it->cursor = unsafe_yyjson_get_next(raw);
    return true;
}

/* One reference token: is it the escaped form of key? */
static bool token_is(struct bv_bytes token, struct bv_bytes key)
{
    size_t at = 0;
    for (size_t i = 0; i < token.size; i++, at++) {
        char c = token.data[i];
        if (c == '~') {
            if (++i == token.size || (token.data[i] != '0' && token.data[i] != '1'))
                return false;
            c = token.data[i] == '0' ? '~' : '/';
        }
        if (at == key.size || key.data[at] != c)
            return false;
    }
    return at == key.size;
}

static const struct bv_json *step(const struct bv_json *value, struct bv_bytes token)
{
    if (bv_json_type(value) == BV_JSON_OBJECT) {
        for (struct bv_json_iter it = bv_json_iter(value); bv_json_next(&it);)
            if (token_is(token, it.key))
                return it.value;
        return NULL;
    }
    int64_t index;
    bool plain = token.size > 0 && token.data[0] != '-' &&
                 (token.size == 1 || token.data[0] != '0') &&
                 bv_bytes_int64(token, 0, INT64_MAX, &index) == 0;
    return plain ? bv_json_at(value, (size_t)index) : NULL;
}

const struct bv_json *bv_json_pointer(const struct bv_json *root, struct bv_bytes pointer)
{
    const struct bv_json *value = root;
    while (value && pointer.size > 0) {
        if (pointer.data[0] != '/')
            return NULL;
        pointer = (struct bv_bytes){pointer.data + 1, pointer.size - 1};
        const char *slash = memchr(pointer.data, '/', pointer.size);
        size_t size = slash ? (size_t)(slash - pointer.data) : pointer.size;
        value = step(value, (struct bv_bytes){pointer.data, size});
        pointer = (struct bv_bytes){pointer.data + size, pointer.size - size};
    }
    return value;
}
