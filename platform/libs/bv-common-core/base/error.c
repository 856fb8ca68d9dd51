#include "bv/error.h"

#include <stdarg.h>
#include <stdio.h>

static const struct bv_error_row rows[] = {
#define BV_X_(name, http, grpc, word, title) {name, http, grpc, #name, word, title},
    BV_ERROR_LIST(BV_X_)
#undef BV_X_
};

static_assert(BV_COUNT(rows) == BV_E_END_ - BV_E_BASE_ - 1, "one row per code");

const struct bv_error_row *bv_error_row(int code)
{
    if (code <= BV_E_BASE_ || code >= BV_E_END_)
        code = BV_E_INTERNAL;
    return &rows[code - BV_E_BASE_ - 1];
}

int bv_error_set(
    struct bv_error *error, int code, const char *file, int line, const char *format, ...)
{
    if (!error || error->code != 0)
        return code;
    error->code = code;
    error->file = file;
    error->line = line;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    return code;
}
