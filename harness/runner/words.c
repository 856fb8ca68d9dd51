#include "words.h"

#include <ctype.h>

static bool space(char c)
{
    return c == ' ' || c == '\t';
}

/* From the opening quote at *at. */
static int quoted(struct bv_bytes text, size_t *at, struct bv_buf *buf, struct bv_error *error)
{
    size_t open = *at;
    for (size_t i = open + 1; i < text.size; i++) {
        char c = text.data[i];
        if (c == '"') {
            *at = i + 1;
            if (*at < text.size && !space(text.data[*at]))
                return bv_fail(
                    error, BV_E_INVALID, "a space is missing after the quote at column %zu", i + 1);
            return 0;
        }
        if (c == '\\' && i + 1 < text.size && strchr("\"\\n", text.data[i + 1])) {
            c = text.data[++i];
            c = c == 'n' ? '\n' : c;
        }
        BV_TRY(bv_buf_char(buf, c));
    }
    return bv_fail(error, BV_E_INVALID, "the quote at column %zu is not closed", open + 1);
}

int words_split(struct bv_arena *arena,
                struct bv_bytes text,
                struct word ret_words[WORDS_MAX],
                size_t *ret_count,
                struct bv_error *error)
{
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = 1 << 20};
    size_t count = 0;
    for (size_t at = 0; at < text.size;) {
        if (space(text.data[at])) {
            at++;
            continue;
        }
        if (count == WORDS_MAX)
            return bv_fail(error, BV_E_LIMIT, "a step has at most %d words", WORDS_MAX);
        struct word *word = &ret_words[count++];
        *word = (struct word){.quoted = text.data[at] == '"', .column = (uint32_t)at + 1};
        bv_buf_reset(&buf);
        if (word->quoted)
            BV_TRY(quoted(text, &at, &buf, error));
        else
            for (; at < text.size && !space(text.data[at]); at++)
                BV_TRY(bv_buf_char(&buf, text.data[at]));
        word->text = bv_arena_copy(arena, buf.data ? bv_buf_view(&buf) : BV_BYTES(""));
        if (!word->text.data)
            return BV_E_NOMEM;
    }
    *ret_count = count;
    return 0;
}

static bool name_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-';
}

int words_variable(struct bv_bytes text,
                   size_t *at,
                   struct word_variable *ret_variable,
                   struct bv_error *error)
{
    for (size_t i = *at; i + 1 < text.size; i++) {
        if (text.data[i] == '$' && text.data[i + 1] == '$') {
            i++;
            continue;
        }
        if (text.data[i] != '$' || text.data[i + 1] != '{')
            continue;
        size_t end = i + 2;
        while (end < text.size && name_byte(text.data[end]))
            end++;
        if (end == text.size || text.data[end] != '}' || end == i + 2)
            return bv_fail(
                error, BV_E_INVALID, "${ needs a name of letters, digits, _ . - and then }");
        *ret_variable = (struct word_variable){
            i, end + 1, {text.data + i + 2, end - i - 2}
        };
        *at = end + 1;
        return 0;
    }
    *at = text.size;
    return WORDS_NO_VARIABLE;
}

/* Plain text between variables: "$${" becomes "${". */
static int plain(struct bv_buf *buf, struct bv_bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.size - i >= 3 && memcmp(text.data + i, "$${", 3) == 0)
            continue;
        BV_TRY(bv_buf_char(buf, text.data[i]));
    }
    return 0;
}

static int bulk_read(struct bv_bytes name, bool *ret_deep, int64_t *ret_size)
{
    static const char *const stems[] = {"filler.", "deep."};
    for (size_t i = 0; i < BV_COUNT(stems); i++) {
        size_t size = strlen(stems[i]);
        if (!bv_bytes_starts(name, bv_bytes_of(stems[i])))
            continue;
        *ret_deep = i == 1;
        return bv_bytes_int64(
            (struct bv_bytes){name.data + size, name.size - size}, 1, WORDS_BULK_MAX, ret_size);
    }
    return BV_E_NOT_FOUND;
}

bool words_bulk_name(struct bv_bytes name)
{
    bool deep = false;
    int64_t size = 0;
    return bulk_read(name, &deep, &size) == 0;
}

int words_bulk(struct bv_bytes name, struct bv_buf *buf)
{
    bool deep = false;
    int64_t size = 0;
    if (bulk_read(name, &deep, &size) < 0)
        return BV_E_NOT_FOUND;
    char *room = bv_buf_reserve(buf, (size_t)size * (deep ? 2 : 1));
    if (!room)
        return BV_E_TOO_LARGE;
    memset(room, deep ? '[' : 'x', (size_t)size);
    if (deep)
        memset(room + size, ']', (size_t)size);
    buf->size += (size_t)size * (deep ? 2 : 1);
    return 0;
}

int words_replace(struct bv_buf *buf,
                  struct bv_bytes text,
                  words_value *value_of,
                  void *argument,
                  struct bv_error *error)
{
    struct word_variable variable;
    size_t at = 0;
    size_t done = 0;
    for (;;) {
        int rc = words_variable(text, &at, &variable, error);
        if (rc < 0)
            return rc;
        if (rc == WORDS_NO_VARIABLE)
            return plain(buf, (struct bv_bytes){text.data + done, text.size - done});
        BV_TRY(plain(buf, (struct bv_bytes){text.data + done, variable.begin - done}));
        BV_TRY(value_of(argument, variable.name, buf, error));
        done = variable.end;
    }
}
