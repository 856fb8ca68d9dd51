/* Properties: what is taken and written again with another database is taken and has the same
 * values but for that database; without encryption only to the loopback and local sockets, unless
 * the text itself says so; a refusal does not show the password. */
#include <arpa/inet.h>

#include "pg_internal.h"

#include "bv/pg_migrate.h"

#include "fuzz.h"

static const char *value_of(const struct pg_conninfo *info, const char *keyword)
{
    for (size_t i = 0; info->keywords[i]; i++)
        if (strcmp(info->keywords[i], keyword) == 0)
            return info->values[i];
    return NULL;
}

static bool local(struct bv_bytes host)
{
    char text[300] = "";
    struct in_addr v4;
    if (host.size == 0 || host.data[0] == '/' || host.data[0] == '@')
        return true;
    if (host.size >= sizeof text)
        return false;
    memcpy(text, host.data, host.size);
    return strcmp(text, "localhost") == 0 || strcmp(text, "::1") == 0 ||
           (inet_aton(text, &v4) && ntohl(v4.s_addr) >> 24 == 127);
}

static void check_encryption(const struct pg_conninfo *info, const char *text)
{
    const char *mode = value_of(info, "sslmode");
    const char *hosts = value_of(info, "hostaddr");
    hosts = hosts ? hosts : value_of(info, "host");
    if (!mode || strcmp(mode, "disable") != 0 || strstr(text, "sslmode") || strchr(text, '%') ||
        getenv("PGSSLMODE") || strstr(text, "requiressl"))
        return;
    struct bv_bytes rest = bv_bytes_of(hosts ? hosts : "");
    while (rest.size > 0)
        FUZZ_REQUIRE(local(fuzz_part(&rest, ',')));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 65536};
    bv_auto(bv_buf_release) struct bv_buf again = {.max = 1 << 20};
    bv_auto(pg_conninfo_release) struct pg_conninfo info = {0};
    bv_auto(pg_conninfo_release) struct pg_conninfo second = {0};
    struct bv_error error = {0};
    if (size > 2048 || memchr(fuzz_bytes(data, size).data, 0, size))
        return 0;
    bv_buf_append(&text, data, size);
    bv_buf_char(&text, '\0');
    if (strstr(text.data, "service")) /* would read files */
        return 0;
    if (pg_conninfo_open(text.data, NULL, "fuzz", &info, &error) != 0) {
        FUZZ_REQUIRE(!info.keywords && error.text[0]);
        return 0;
    }
    check_encryption(&info, text.data);
    FUZZ_REQUIRE(bv_pg_conninfo_database(text.data, "o'\\ther", &again, NULL) == 0);
    FUZZ_REQUIRE(pg_conninfo_open(again.data, NULL, "fuzz", &second, NULL) == 0);
    FUZZ_REQUIRE(strcmp(value_of(&second, "dbname"), "o'\\ther") == 0);
    for (size_t i = 0; info.keywords[i]; i++) {
        const char *value = value_of(&second, info.keywords[i]);
        if (strcmp(info.keywords[i], "dbname") != 0 &&
            strcmp(info.keywords[i], "application_name") != 0)
            FUZZ_REQUIRE(value && strcmp(value, info.values[i]) == 0);
    }
    return 0;
}
