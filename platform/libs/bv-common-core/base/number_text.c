#include "number_text.h"

#include <yyjson.h>

size_t bv_uint64_text(uint64_t value, char *out)
{
    char reversed[20];
    size_t size = 0;
    do {
        reversed[size++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (size_t i = 0; i < size; i++)
        out[i] = reversed[size - 1 - i];
    return size;
}

size_t bv_int64_text(int64_t value, char *out)
{
    if (value >= 0)
        return bv_uint64_text((uint64_t)value, out);
    out[0] = '-';
    return 1 + bv_uint64_text(0 - (uint64_t)value, out + 1);
}

size_t bv_double_text(double value, char *out)
{
    /* yyjson holds the shortest-decimal algorithm; the pool keeps it off the heap. */
    char pool[512];
    yyjson_alc alc;
    yyjson_val number;
    size_t size = 0;
    yyjson_alc_pool_init(&alc, pool, sizeof(pool));
    number.tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL;
    number.uni.f64 = value;
    char *text = yyjson_val_write_opts(&number, YYJSON_WRITE_NOFLAG, &alc, &size, NULL);
    assert(text && size < BV_NUMBER_TEXT_MAX);
    if (!text)
        return 0;
    memcpy(out, text, size);
    return size;
}
