#include "gherkin_line.h"

/* White space beyond ASCII's, as UTF-8; text is trimmed of it too. */
static const struct bv_bytes wide_blanks[] = {
#define WIDE(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
    WIDE("\xc2\x85"),     WIDE("\xc2\xa0"),     WIDE("\xe1\x9a\x80"), WIDE("\xe2\x80\x80"),
    WIDE("\xe2\x80\x81"), WIDE("\xe2\x80\x82"), WIDE("\xe2\x80\x83"), WIDE("\xe2\x80\x84"),
    WIDE("\xe2\x80\x85"), WIDE("\xe2\x80\x86"), WIDE("\xe2\x80\x87"), WIDE("\xe2\x80\x88"),
    WIDE("\xe2\x80\x89"), WIDE("\xe2\x80\x8a"), WIDE("\xe2\x80\xa8"), WIDE("\xe2\x80\xa9"),
    WIDE("\xe2\x80\xaf"), WIDE("\xe2\x81\x9f"), WIDE("\xe3\x80\x80"),
};

/* Bytes of the white space that text begins with, 0: none. */
size_t gherkin_blank_begin(struct bv_bytes text)
{
    unsigned char c = text.size ? (unsigned char)text.data[0] : 0;
    if (c == ' ' || (c >= '\t' && c <= '\r' && c != '\n') || (c >= 0x1c && c <= 0x1f))
        return 1;
    for (size_t i = 0; (c & 0x80) && i < BV_COUNT(wide_blanks); i++)
        if (bv_bytes_starts(text, wide_blanks[i]))
            return wide_blanks[i].size;
    return 0;
}

size_t gherkin_blank_end(struct bv_bytes text)
{
    for (size_t size = 1; size <= 3 && size <= text.size; size++) {
        struct bv_bytes end = {text.data + text.size - size, size};
        if (gherkin_blank_begin(end) == size)
            return size;
    }
    return 0;
}

struct bv_bytes gherkin_trim_left(struct bv_bytes text)
{
    for (size_t size; (size = gherkin_blank_begin(text)) > 0;)
        text = (struct bv_bytes){text.data + size, text.size - size};
    return text;
}

struct bv_bytes gherkin_trim(struct bv_bytes text)
{
    text = gherkin_trim_left(text);
    for (size_t size; (size = gherkin_blank_end(text)) > 0;)
        text.size -= size;
    return text;
}

struct bv_bytes gherkin_skip(struct bv_bytes text, size_t size)
{
    return (struct bv_bytes){text.data + size, text.size - size};
}

uint32_t gherkin_line_column(const struct gherkin_line *line, const char *place)
{
    uint32_t column = 1;
    for (const char *c = line->raw.data; c < place; c++)
        column += ((unsigned char)*c & 0xc0) != 0x80;
    return column;
}

struct gherkin_location gherkin_line_at(const struct gherkin_line *line)
{
    return (struct gherkin_location){line->number, gherkin_line_column(line, line->trimmed.data)};
}

const struct gherkin_dialect *gherkin_dialect(struct bv_bytes name)
{
    for (size_t i = 0; i < gherkin_dialect_count; i++)
        if (bv_bytes_equal(gherkin_dialects[i].name, name))
            return &gherkin_dialects[i];
    return NULL;
}

static bool title(const struct gherkin_dialect *dialect, struct gherkin_line *line)
{
    for (size_t i = 0; i < dialect->title_count; i++) {
        struct bv_bytes word = dialect->titles[i].word;
        if (bv_bytes_starts(line->trimmed, word) && line->trimmed.size > word.size &&
            line->trimmed.data[word.size] == ':') {
            line->kind = dialect->titles[i].kind;
            line->keyword = word;
            line->rest = gherkin_trim(gherkin_skip(line->trimmed, word.size + 1));
            return true;
        }
    }
    return false;
}

void gherkin_line_as_step(const struct gherkin_dialect *dialect, struct gherkin_line *line)
{
    for (size_t i = 0; i < dialect->step_count; i++) {
        struct bv_bytes word = dialect->steps[i].word;
        if (bv_bytes_starts(line->trimmed, word)) {
            line->kind = LINE_STEP;
            line->keyword = word;
            line->type = dialect->steps[i].type;
            line->rest = gherkin_trim(gherkin_skip(line->trimmed, word.size));
            return;
        }
    }
}

static void classify(const struct gherkin_dialect *dialect, struct gherkin_line *line)
{
    struct bv_bytes text = line->trimmed;
    line->kind = LINE_OTHER;
    if (!text.size)
        line->kind = LINE_EMPTY;
    else if (text.data[0] == '#')
        line->kind = LINE_COMMENT;
    else if (text.data[0] == '@')
        line->kind = LINE_TAG;
    else if (text.data[0] == '|')
        line->kind = LINE_ROW;
    else if (bv_bytes_starts(text, BV_BYTES("\"\"\"")) || bv_bytes_starts(text, BV_BYTES("```")))
        line->kind = LINE_DOC;
    else if (!title(dialect, line))
        gherkin_line_as_step(dialect, line);
}

struct gherkin_line gherkin_line_read(const struct gherkin_dialect *dialect,
                                      const char **cursor,
                                      const char *end,
                                      uint32_t number)
{
    struct gherkin_line line = {
        .number = number, .raw = {*cursor, 0},
             .kind = LINE_END
    };
    if (*cursor >= end) {
        line.trimmed = line.raw;
        return line;
    }
    const char *stop = memchr(*cursor, '\n', (size_t)(end - *cursor));
    line.raw.size = (size_t)((stop ? stop : end) - *cursor);
    *cursor = stop ? stop + 1 : end;
    while (line.raw.size && line.raw.data[line.raw.size - 1] == '\r')
        line.raw.size--;
    line.trimmed = gherkin_trim_left(line.raw);
    classify(dialect, &line);
    return line;
}
