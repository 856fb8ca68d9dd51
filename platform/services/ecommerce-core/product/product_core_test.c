#include "product_core.h"
#include <criterion/criterion.h>

static int
read_text(const char *text, enum product_form form, struct product *product, struct bv_error *error)
{
    static struct bv_arena *arena; /* each test runs in its own process */
    const struct bv_json *root;
    if (!arena)
        cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
    cr_assert_eq(bv_json_parse(arena, bv_bytes_of(text), &root, NULL), 0);
    return product_read(root, form, product, error);
}

Test(product_core, reads_what_it_writes)
{
    struct product product;
    static const char text[] = "{\"sku\":\"A-1\",\"name\":\"Mug\",\"description\":\"x\","
                               "\"priceMinor\":5,\"currency\":\"EUR\",\"tags\":[\"a\",\"b-c\"]}";
    cr_assert_eq(read_text(text, PRODUCT_FORM_NEW, &product, NULL), 0);
    struct bv_buf buf = {.max = 4096};
    struct bv_json_writer w = bv_json_writer(&buf);
    product.version = 7;
    product_write(&w, &product);
    cr_assert_eq(bv_buf_char(&buf, '\0'), 0);
    cr_expect_str_eq(
        buf.data,
        "{\"sku\":\"A-1\",\"name\":\"Mug\",\"description\":\"x\",\"priceMinor\":5,\"currency\":"
        "\"EUR\",\"tags\":[\"a\",\"b-c\"],\"version\":7,"
        "\"createdAt\":\"1970-01-01T00:00:00.000Z\",\"updatedAt\":\"1970-01-01T00:00:00.000Z\"}");
    bv_buf_release(&buf);
}

Test(product_core, refuses_with_the_pointer)
{
    static const struct {
        const char *text, *pointer;
    } rows[] = {
        {"{\"sku\":\"a\",\"name\":\"n\",\"priceMinor\":1,\"currency\":\"EUR\"}",                "/sku"       },
        {"{\"sku\":\"A\",\"name\":\"\",\"priceMinor\":1,\"currency\":\"EUR\"}",                 "/name"      },
        {"{\"sku\":\"A\",\"name\":\"n\",\"priceMinor\":-1,\"currency\":\"EUR\"}",               "/priceMinor"},
        {"{\"sku\":\"A\",\"name\":\"n\",\"priceMinor\":1.5,\"currency\":\"EUR\"}",              "/priceMinor"},
        {"{\"sku\":\"A\",\"name\":\"n\",\"priceMinor\":1,\"currency\":\"eur\"}",                "/currency"  },
        {"{\"sku\":\"A\",\"name\":\"n\",\"priceMinor\":1,\"currency\":\"EUR\",\"tags\":\"x\"}",
         "/tags"                                                                                             },
        {"{\"sku\":\"A\",\"name\":\"n\",\"priceMinor\":1,\"currency\":\"EUR\",\"tags\":[\"a\","
         "\"A\"]}",                                                                    "/tags/1"    },
        {"{\"sku\":\"A\",\"name\":\"n\",\"priceMinor\":1,\"currency\":\"EUR\",\"tags\":[\"a\","
         "\"a\"]}",                                                                    "/tags/1"    },
        {"{\"sku\":\"A\",\"name\":\"n\",\"priceMinor\":1,\"currency\":\"EUR\",\"extra\":1}",
         "/extra"                                                                                            },
        {"{\"sku\":\"A\",\"priceMinor\":1,\"currency\":\"EUR\"}",                               "/name"      },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        struct product product;
        struct bv_error error = {0};
        cr_expect_eq(read_text(rows[i].text, PRODUCT_FORM_NEW, &product, &error),
                     BV_E_UNPROCESSABLE,
                     "%s",
                     rows[i].text);
        cr_expect_str_eq(error.pointer, rows[i].pointer, "%s", rows[i].text);
    }
}

Test(product_core, content_has_no_sku)
{
    struct product product;
    cr_expect_eq(read_text("{\"sku\":\"A\",\"name\":\"n\",\"priceMinor\":1,\"currency\":\"EUR\"}",
                           PRODUCT_FORM_CONTENT,
                           &product,
                           NULL),
                 BV_E_UNPROCESSABLE);
    cr_expect_eq(read_text("{\"name\":\"n\",\"priceMinor\":1,\"currency\":\"EUR\"}",
                           PRODUCT_FORM_CONTENT,
                           &product,
                           NULL),
                 0);
}

Test(product_core, cursors_round_trip_and_nothing_else_reads)
{
    static const char *const bad[] = {"", "!", "YQ", "QQ==", "QSBC", "____"};
    char cursor[2 * PRODUCT_SKU_MAX], sku[PRODUCT_SKU_MAX + 8];
    size_t size = product_cursor_write(BV_BYTES("MUG-BLUE"), cursor), got;
    cr_assert_eq(product_cursor_read((struct bv_bytes){cursor, size}, sku, &got), 0);
    cr_expect(bv_bytes_equal((struct bv_bytes){sku, got}, BV_BYTES("MUG-BLUE")));
    for (size_t i = 0; i < BV_COUNT(bad); i++)
        cr_expect_eq(
            product_cursor_read(bv_bytes_of(bad[i]), sku, &got), BV_E_INVALID, "%s", bad[i]);
}
