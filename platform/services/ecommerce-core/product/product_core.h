/* The catalogue's rules: pure, no I/O, no clock. Thread: any. */
#ifndef PRODUCT_CORE_H
#define PRODUCT_CORE_H

#include "bv/arena.h"
#include "bv/json.h"

#define PRODUCT_SKU_MAX 64
#define PRODUCT_NAME_MAX 200
#define PRODUCT_DESCRIPTION_MAX 4000
#define PRODUCT_PRICE_MAX INT64_C(100000000000)
#define PRODUCT_TAGS_MAX 20
#define PRODUCT_TAG_MAX 32
#define PRODUCT_JSON_MAX (32 * 1024)

struct product {
    struct bv_bytes tenant;
    struct bv_bytes sku;
    struct bv_bytes name;
    struct bv_bytes description;
    int64_t price_minor;
    struct bv_bytes currency;
    struct bv_bytes tags[PRODUCT_TAGS_MAX];
    size_t tag_count;
    int64_t version; /* from 1 */
    bool deleted;
    int64_t created_at_us;
    int64_t updated_at_us;
};

bool product_sku_valid(struct bv_bytes sku); /* ^[A-Z0-9][A-Z0-9._-]{0,63}$ */
bool product_tag_valid(struct bv_bytes tag); /* ^[a-z0-9][a-z0-9-]{0,31}$ */

enum product_form { PRODUCT_FORM_NEW, PRODUCT_FORM_CONTENT }; /* new: with sku */
/* Reads a posted product; texts stay in the JSON's arena. Errors: BV_E_UNPROCESSABLE with the
 * pointer. */
BV_MUST_CHECK int product_read(const struct bv_json *root,
                               enum product_form form,
                               struct product *ret_product,
                               struct bv_error *error);
void product_write(struct bv_json_writer *w, const struct product *product);

/* Cursors are opaque to clients: base64url of the last SKU of a page. out holds 2 *
 * PRODUCT_SKU_MAX. */
size_t product_cursor_write(struct bv_bytes sku, char *out);
/* BV_E_INVALID for anything that no page gave. out holds PRODUCT_SKU_MAX + 8. */
BV_MUST_CHECK int product_cursor_read(struct bv_bytes cursor, char *out, size_t *ret_size);

#endif
