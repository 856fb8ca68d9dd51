/* Input: a file name, a NUL, SQL. Properties: the version of a name that is taken parses to the
 * same parts, and versions compare as an order does; the checksum does not depend on how lines end;
 * a position's line is the one that counting finds; a statement's line exists and later statements
 * are not on earlier lines. */
#include "flyway.h"

#include "fuzz.h"

static void check_name(struct bv_bytes text)
{
    char name[512] = "";
    struct flyway_name parsed, before;
    struct bv_error error = {0};
    int64_t parts[FLYWAY_VERSION_PARTS_MAX], zero[FLYWAY_VERSION_PARTS_MAX] = {0};
    if (text.size >= sizeof name)
        return;
    memcpy(name, text.data, text.size);
    memset(&parsed, 0x44, sizeof parsed);
    before = parsed;
    if (flyway_name_parse(name, &parsed, &error) != 0) {
        FUZZ_REQUIRE(error.text[0] && memcmp(&parsed, &before, sizeof parsed) == 0);
        return;
    }
    FUZZ_REQUIRE(flyway_version_parse(parsed.version, parts) == 0);
    FUZZ_REQUIRE(memcmp(parts, parsed.parts, sizeof parts) == 0);
    FUZZ_REQUIRE(flyway_version_compare(parts, parsed.parts) == 0);
    FUZZ_REQUIRE(flyway_version_compare(parts, zero) >= 0);
    FUZZ_REQUIRE(flyway_version_compare(zero, parts) == -flyway_version_compare(parts, zero) ||
                 flyway_version_compare(zero, parts) < 0);
}

static void check_checksum(struct bv_bytes sql)
{
    bv_auto(bv_buf_release) struct bv_buf crlf = {.max = 1 << 20};
    if (sql.size && memchr(sql.data, '\r', sql.size))
        return;
    for (size_t i = 0; i < sql.size; i++)
        sql.data[i] == '\n' ? bv_buf_text(&crlf, "\r\n") : bv_buf_char(&crlf, sql.data[i]);
    FUZZ_REQUIRE(flyway_checksum(sql) == flyway_checksum(bv_buf_view(&crlf)));
}

static void check_lines(struct bv_bytes sql)
{
    uint32_t lines = 1, last = 1;
    for (size_t i = 0; i < sql.size; i++)
        lines += sql.data[i] == '\n';
    for (size_t i = 0; i < 8; i++) {
        const uint32_t line = sql_line_of_statement(sql, i);
        FUZZ_REQUIRE(line >= last && line <= lines);
        last = line;
    }
    if (!bv_bytes_utf8(sql))
        return;
    int64_t position = 0;
    uint32_t line = 1;
    for (size_t i = 0; i < sql.size && i < 64; i++) {
        if ((sql.data[i] & 0xc0) == 0x80)
            continue;
        FUZZ_REQUIRE(sql_line_of_position(sql, ++position) == line);
        line += sql.data[i] == '\n';
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bv_bytes rest = fuzz_bytes(data, size);
    if (size > 4096)
        return 0;
    check_name(fuzz_part(&rest, '\0'));
    check_checksum(rest);
    check_lines(rest);
    return 0;
}
