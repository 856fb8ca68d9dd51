#include "bv/pg.h"

/* PostgreSQL 15, 8.15.6 "Array Input and Output Syntax": elements are always quoted here; only "
 * and \ need a backslash. */

static void separate(struct bv_buf *buf)
{
    if (buf->size > 0 && buf->data[buf->size - 1] != '{')
        bv_buf_char(buf, ',');
}

void bv_pg_array_open(struct bv_buf *buf)
{
    bv_buf_char(buf, '{');
}

/* After a quoted element the last byte is '"', after a number or NULL a letter or digit: '{' can
 * only be the opening brace. */
void bv_pg_array_text(struct bv_buf *buf, struct bv_bytes value)
{
    separate(buf);
    bv_buf_char(buf, '"');
    size_t plain = 0;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] != '"' && value.data[i] != '\\')
            continue;
        bv_buf_append(buf, value.data + plain, i - plain);
        bv_buf_char(buf, '\\');
        plain = i;
    }
    if (value.size > plain)
        bv_buf_append(buf, value.data + plain, value.size - plain);
    bv_buf_char(buf, '"');
}

void bv_pg_array_int(struct bv_buf *buf, int64_t value)
{
    separate(buf);
    bv_buf_int64(buf, value);
}

void bv_pg_array_null(struct bv_buf *buf)
{
    separate(buf);
    bv_buf_text(buf, "NULL");
}

void bv_pg_array_close(struct bv_buf *buf)
{
    bv_buf_char(buf, '}');
}
