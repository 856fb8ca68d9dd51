#include <arpa/inet.h>
#include <stdlib.h>

#include "pg_internal.h"

#include "bv/pg_migrate.h"

void pg_conninfo_release(struct pg_conninfo *info)
{
    for (size_t i = 0; info->keywords && info->keywords[i]; i++) {
        free(info->keywords[i]);
        free(info->values[i]);
    }
    free(info->keywords);
    free(info->values);
    *info = (struct pg_conninfo){0};
}

static bool is_loopback(const char *host)
{
    struct in_addr v4; /* whole: 127.example.org is a name like any other */
    return host[0] == '/' || host[0] == '@' || host[0] == '\0' || strcmp(host, "localhost") == 0 ||
           strcmp(host, "::1") == 0 ||
           (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
}

/* Several hosts ("a,b"): an encrypted default as soon as one may be elsewhere. */
static bool all_loopback(const char *hosts)
{
    if (!hosts)
        return true; /* libpq's default is the local socket */
    char one[256];
    while (*hosts) {
        size_t size = strcspn(hosts, ",");
        if (size >= sizeof one)
            return false;
        memcpy(one, hosts, size);
        one[size] = '\0';
        if (!is_loopback(one))
            return false;
        hosts += size + (hosts[size] == ',');
    }
    return true;
}

static const char *option(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *o = options; o->keyword; o++)
        if (strcmp(o->keyword, keyword) == 0)
            return o->val;
    return NULL;
}

/* The value this module gives to a keyword; NULL: leave libpq's default. */
static const char *value_for(const PQconninfoOption *options,
                             const PQconninfoOption *o,
                             const char *database,
                             const char *application)
{
    if (database && strcmp(o->keyword, "dbname") == 0)
        return database;
    if (o->val)
        return o->val;
    if (strcmp(o->keyword, "application_name") == 0)
        return application;
    if (strcmp(o->keyword, "client_encoding") == 0)
        return "UTF8";
    if (strcmp(o->keyword, "gssencmode") == 0)
        return "disable";
    if (strcmp(o->keyword, "sslmode") == 0) {
        const char *address = option(options, "hostaddr");
        return all_loopback(address ? address : option(options, "host")) ? "disable" : NULL;
    }
    return NULL;
}

int pg_conninfo_open(const char *conninfo,
                     const char *database,
                     const char *application,
                     struct pg_conninfo *ret_info,
                     struct bv_error *error)
{
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(conninfo, &message);
    if (!options) {
        char line[100]; /* libpq quotes the faulty part, never the password's value */
        pg_message_line(message ? message : "out of memory", line, sizeof line);
        PQfreemem(message);
        return bv_fail(error, BV_E_INVALID, "PostgreSQL connection string: %s", line);
    }
    size_t count = 0;
    while (options[count].keyword)
        count++;
    struct pg_conninfo info = {calloc(count + 1, sizeof(char *)),
                               calloc(count + 1, sizeof(char *))};
    bool complete = info.keywords && info.values;
    size_t used = 0;
    for (size_t i = 0; complete && i < count; i++) {
        const char *value = value_for(options, &options[i], database, application);
        if (!value)
            continue;
        info.keywords[used] = strdup(options[i].keyword);
        info.values[used] = strdup(value);
        complete = info.keywords[used] && info.values[used];
        used++;
    }
    PQconninfoFree(options);
    if (!complete) {
        pg_conninfo_release(&info);
        return bv_fail(error, BV_E_NOMEM, "PostgreSQL connection string: out of memory");
    }
    *ret_info = info;
    return 0;
}

int bv_pg_conninfo_database(const char *conninfo,
                            const char *database,
                            struct bv_buf *buf,
                            struct bv_error *error)
{
    bv_auto(pg_conninfo_release) struct pg_conninfo info = {0};
    BV_TRY(pg_conninfo_open(conninfo, database, NULL, &info, error));
    for (size_t i = 0; info.keywords[i]; i++) {
        bv_buf_format(buf, "%s%s='", i ? " " : "", info.keywords[i]);
        for (const char *c = info.values[i]; *c; c++) {
            if (*c == '\'' || *c == '\\')
                bv_buf_char(buf, '\\');
            bv_buf_char(buf, *c);
        }
        bv_buf_char(buf, '\'');
    }
    bv_buf_append(buf, "", 1); /* the NUL, not counted */
    if (buf->failed)
        return bv_fail(
            error, BV_E_TOO_LARGE, "PostgreSQL connection string: longer than %zu bytes", buf->max);
    buf->size--;
    return 0;
}
