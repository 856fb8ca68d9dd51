#include "flyway.h"

#include <stdio.h>

/* ---- names and versions ---- */

/* Digits separated by '.' or '_'. */
static int parse_version(const char *text, size_t size, char separator, int64_t *ret_parts)
{
    int64_t parts[FLYWAY_VERSION_PARTS_MAX] = {0};
    size_t count = 0;
    for (size_t at = 0; at <= size; count++) {
        size_t end = at;
        while (end < size && text[end] != '.' && text[end] != separator)
            end++;
        if (count == FLYWAY_VERSION_PARTS_MAX || end == at || text[at] == '-' || text[at] == '+')
            return BV_E_INVALID;
        BV_TRY(bv_bytes_int64((struct bv_bytes){text + at, end - at}, 0, INT64_MAX, &parts[count]));
        at = end + 1;
    }
    memcpy(ret_parts, parts, sizeof parts);
    return 0;
}

int flyway_version_parse(const char *version, int64_t ret_parts[FLYWAY_VERSION_PARTS_MAX])
{
    return parse_version(version, strlen(version), '.', ret_parts);
}

int flyway_version_compare(const int64_t *a, const int64_t *b)
{
    for (size_t i = 0; i < FLYWAY_VERSION_PARTS_MAX; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

static void copy_mapped(const char *from, size_t size, char map_to, char *to)
{
    for (size_t i = 0; i < size; i++)
        to[i] = from[i] == '_' ? map_to : from[i];
    to[size] = '\0';
}

int flyway_name_parse(const char *file_name, struct flyway_name *ret_name, struct bv_error *error)
{
    static const char suffix[] = ".sql";
    size_t size = strlen(file_name);
    const char *separator = strstr(file_name, "__");
    if (file_name[0] != 'V' || size < sizeof suffix || strcmp(file_name + size - 4, suffix) != 0 ||
        !separator)
        return bv_fail(error,
                       BV_E_INVALID,
                       "%s: a migration is named V<version>__<description>.sql",
                       file_name);
    size_t version_size = (size_t)(separator - file_name) - 1;
    size_t description_size = size - 4 - version_size - 3;
    struct flyway_name name = {0};
    if (version_size >= sizeof name.version ||
        parse_version(file_name + 1, version_size, '_', name.parts) != 0)
        return bv_fail(error,
                       BV_E_INVALID,
                       "%s: the version is numbers separated by . or _, at most %d of them",
                       file_name,
                       FLYWAY_VERSION_PARTS_MAX);
    if (description_size == 0 || description_size >= sizeof name.description)
        return bv_fail(error, BV_E_INVALID, "%s: the description has 1 to 200 bytes", file_name);
    copy_mapped(file_name + 1, version_size, '.', name.version);
    copy_mapped(separator + 2, description_size, ' ', name.description);
    *ret_name = name;
    return 0;
}

/* ---- checksum ---- */

static uint32_t crc32_byte(uint32_t crc, unsigned char byte)
{
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++)
        crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
    return crc;
}

int32_t flyway_checksum(struct bv_bytes text)
{
    if (bv_bytes_starts(text, BV_BYTES("\xEF\xBB\xBF")))
        text = (struct bv_bytes){text.data + 3, text.size - 3};
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] != '\n' && text.data[i] != '\r')
            crc = crc32_byte(crc, (unsigned char)text.data[i]);
    return (int32_t)(crc ^ 0xFFFFFFFFu);
}

/* ---- where in the file ---- */

static uint32_t line_at(struct bv_bytes text, size_t offset)
{
    uint32_t line = 1;
    for (size_t i = 0; i < offset && i < text.size; i++)
        line += text.data[i] == '\n';
    return line;
}

uint32_t sql_line_of_position(struct bv_bytes text, int64_t position)
{
    size_t at = 0;
    for (int64_t seen = 1; at < text.size; at++) {
        bool starts_character = ((unsigned char)text.data[at] & 0xC0u) != 0x80u;
        if (starts_character && seen++ >= position)
            break;
    }
    return line_at(text, at);
}

/* Each skip_ function gets the offset of an opening and returns the offset after its end. */
static size_t skip_quoted(struct bv_bytes text, size_t at, bool backslashes)
{
    char quote = text.data[at];
    for (at++; at < text.size; at++) {
        if (backslashes && text.data[at] == '\\')
            at++;
        else if (text.data[at] == quote)
            return at + 1; /* a doubled quote just opens the next string */
    }
    return text.size;
}

static size_t skip_line(struct bv_bytes text, size_t at)
{
    while (at < text.size && text.data[at] != '\n')
        at++;
    return at;
}

static bool pair_at(struct bv_bytes text, size_t at, const char *pair)
{
    return at + 1 < text.size && text.data[at] == pair[0] && text.data[at + 1] == pair[1];
}

static size_t skip_block(struct bv_bytes text, size_t at)
{
    size_t depth = 0;
    while (at < text.size) {
        if (pair_at(text, at, "/*")) {
            depth++;
            at += 2;
        } else if (pair_at(text, at, "*/")) {
            at += 2;
            if (--depth == 0)
                return at;
        } else {
            at++;
        }
    }
    return at;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c & 0x80);
}

static size_t skip_dollar(struct bv_bytes text, size_t at)
{
    size_t tag = at + 1;
    while (tag < text.size && is_word(text.data[tag]))
        tag++;
    bool parameter = at + 1 < text.size && text.data[at + 1] >= '0' && text.data[at + 1] <= '9';
    if (tag >= text.size || text.data[tag] != '$' || parameter)
        return at + 1;
    size_t size = tag + 1 - at;
    const char *end = memmem(text.data + tag + 1, text.size - tag - 1, text.data + at, size);
    return end ? (size_t)(end - text.data) + size : text.size;
}

/* White space and comments; returns at when there are none. */
static size_t skip_blank(struct bv_bytes text, size_t at)
{
    if (strchr(" \t\r\n\f\v", text.data[at]))
        return at + 1;
    if (pair_at(text, at, "--"))
        return skip_line(text, at);
    return pair_at(text, at, "/*") ? skip_block(text, at) : at;
}

static size_t skip_token(struct bv_bytes text, size_t at)
{
    char c = text.data[at];
    if (c == '\'') {
        bool escapes = at > 0 && (text.data[at - 1] == 'E' || text.data[at - 1] == 'e') &&
                       (at < 2 || !is_word(text.data[at - 2]));
        return skip_quoted(text, at, escapes);
    }
    if (c == '"')
        return skip_quoted(text, at, false);
    if (c == '$' && (at == 0 || !is_word(text.data[at - 1])))
        return skip_dollar(text, at);
    return at + 1;
}

uint32_t sql_line_of_statement(struct bv_bytes text, size_t index)
{
    size_t begin = 0; /* of the latest statement */
    size_t seen = 0;
    bool inside = false;
    for (size_t at = 0; at < text.size;) {
        size_t after = skip_blank(text, at);
        if (after > at) {
            at = after;
        } else if (text.data[at] == ';') {
            inside = false;
            at++;
        } else {
            if (!inside && seen++ <= index)
                begin = at;
            inside = true;
            at = skip_token(text, at);
        }
    }
    return line_at(text, begin);
}
