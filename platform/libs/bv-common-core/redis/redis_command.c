#include "redis_internal.h"

static void append_head(struct bv_buf *buf, char kind, size_t number)
{
    bv_buf_char(buf, kind);
    bv_buf_int64(buf, (int64_t)number);
    bv_buf_append(buf, "\r\n", 2);
}

int redis_command_append(struct bv_buf *buf, const struct bv_bytes *words, size_t count)
{
    if (count == 0 || count > REDIS_WORDS_MAX)
        return BV_E_INVALID;
    size_t before = buf->size;
    append_head(buf, '*', count);
    for (size_t i = 0; i < count; i++) {
        append_head(buf, '$', words[i].size);
        bv_buf_append(buf, words[i].data, words[i].size);
        bv_buf_append(buf, "\r\n", 2);
    }
    if (!buf->failed)
        return 0;
    buf->size = before;
    buf->failed = false;
    return BV_E_TOO_LARGE;
}
