#include "product_core.h"
#include "bv/env.h"
#include <stdio.h>

/* First character from `first`, the others from `first` or `others`. */
static bool matches(struct bv_bytes text, size_t max, char low, char high, const char *others)
{
    if (text.size == 0 || text.size > max)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool plain = (c >= low && c <= high) || (c >= '0' && c <= '9');
        if (!plain && (i == 0 || c == '\0' || !strchr(others, c)))
            return false;
    }
    return true;
}

bool product_sku_valid(struct bv_bytes sku)
{
    return matches(sku, PRODUCT_SKU_MAX, 'A', 'Z', "._-");
}

bool product_tag_valid(struct bv_bytes tag)
{
    return matches(tag, PRODUCT_TAG_MAX, 'a', 'z', "-");
}

static int refuse(struct bv_error *error, const char *pointer, const char *what)
{
    int rc = bv_fail(error, BV_E_UNPROCESSABLE, "%s", what);
    if (error)
        snprintf(error->pointer, sizeof(error->pointer), "%s", pointer);
    return rc;
}

static int read_tags(const struct bv_json *tags, struct product *product, struct bv_error *error)
{
    char pointer[32];
    if (bv_json_type(tags) != BV_JSON_ARRAY || bv_json_size(tags) > PRODUCT_TAGS_MAX)
        return refuse(error, "/tags", "tags is an array of at most 20 tags");
    for (struct bv_json_iter it = bv_json_iter(tags); bv_json_next(&it);) {
        struct bv_bytes tag = bv_json_string(it.value);
        snprintf(pointer, sizeof(pointer), "/tags/%zu", product->tag_count);
        if (bv_json_type(it.value) != BV_JSON_STRING || !product_tag_valid(tag))
            return refuse(
                error, pointer, "a tag is 1 to 32 of a-z 0-9 - and begins with a letter or digit");
        for (size_t i = 0; i < product->tag_count; i++)
            if (bv_bytes_equal(product->tags[i], tag))
                return refuse(error, pointer, "each tag may appear once");
        product->tags[product->tag_count++] = tag;
    }
    return 0;
}

/* Of UTF-8 that is known to be well-formed: bytes that do not continue one. */
static size_t characters(struct bv_bytes text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    return count;
}

int product_read(const struct bv_json *root,
                 enum product_form form,
                 struct product *ret_product,
                 struct bv_error *error)
{
    struct posted {
        struct product product;
        const struct bv_json *tags;
    } posted = {0};
#define AT(member) offsetof(struct posted, member)
    static const struct bv_field fields[] = {
        {"sku",         AT(product.sku),         BV_FIELD_STRING, true,  1, PRODUCT_SKU_MAX            }, /* first: left out for
  content */
        {"name",        AT(product.name),        BV_FIELD_STRING, true,  1, PRODUCT_NAME_MAX * 4       },
        {"description",
         AT(product.description),
         BV_FIELD_STRING,                                         false,
         0,                                                                 PRODUCT_DESCRIPTION_MAX * 4},
        {"priceMinor",  AT(product.price_minor), BV_FIELD_INT64,  true,  0, PRODUCT_PRICE_MAX          },
        {"currency",    AT(product.currency),    BV_FIELD_STRING, true,  3, 3                          },
        {"tags",        AT(tags),                BV_FIELD_JSON,   false, 0, 0                          },
    };
#undef AT
    size_t skip = form == PRODUCT_FORM_NEW ? 0 : 1;
    BV_TRY(bv_json_decode(root, fields + skip, BV_COUNT(fields) - skip, BV_STRICT, &posted, error));
    if (form == PRODUCT_FORM_NEW && !product_sku_valid(posted.product.sku))
        return refuse(
            error, "/sku", "a SKU is 1 to 64 of A-Z 0-9 . _ - and begins with a letter or digit");
    for (size_t i = 0; i < 3; i++)
        if (posted.product.currency.data[i] < 'A' || posted.product.currency.data[i] > 'Z')
            return refuse(error, "/currency", "currency is three capital letters (ISO 4217)");
    if (characters(posted.product.name) > PRODUCT_NAME_MAX)
        return refuse(error, "/name", "name has at most 200 characters");
    if (characters(posted.product.description) > PRODUCT_DESCRIPTION_MAX)
        return refuse(error, "/description", "description has at most 4000 characters");
    if (posted.tags)
        BV_TRY(read_tags(posted.tags, &posted.product, error));
    *ret_product = posted.product;
    return 0;
}

static void write_time(struct bv_json_writer *w, const char *key, int64_t wall_us)
{
    char text[BV_TIME_TEXT_SIZE];
    bv_time_format(wall_us, text);
    bv_jw_kv_text(w, key, text);
}

void product_write(struct bv_json_writer *w, const struct product *product)
{
    bv_jw_object(w);
    bv_jw_kv_string(w, "sku", product->sku);
    bv_jw_kv_string(w, "name", product->name);
    bv_jw_kv_string(w, "description", product->description);
    bv_jw_kv_int(w, "priceMinor", product->price_minor);
    bv_jw_kv_string(w, "currency", product->currency);
    bv_jw_key(w, "tags");
    bv_jw_array(w);
    for (size_t i = 0; i < product->tag_count; i++)
        bv_jw_string(w, product->tags[i]);
    bv_jw_end(w);
    bv_jw_kv_int(w, "version", product->version);
    write_time(w, "createdAt", product->created_at_us);
    write_time(w, "updatedAt", product->updated_at_us);
    bv_jw_end(w);
}

size_t product_cursor_write(struct bv_bytes sku, char *out)
{
    return bv_base64url_encode(sku.data, sku.size, out);
}

int product_cursor_read(struct bv_bytes cursor, char *out, size_t *ret_size)
{
    if (cursor.size > (PRODUCT_SKU_MAX * 4 + 2) / 3)
        return BV_E_INVALID;
    BV_TRY(bv_base64url_decode(cursor, out, ret_size));
    return product_sku_valid((struct bv_bytes){out, *ret_size}) ? 0 : BV_E_INVALID;
}
