/* Inside of bv-redis: the parts without I/O. Thread: any. */
#ifndef BV_REDIS_INTERNAL_H
#define BV_REDIS_INTERNAL_H

#include "bv/redis.h"

enum { REDIS_WORDS_MAX = 1024, REDIS_PORT_DEFAULT = 6379, REDIS_DATABASE_MAX = 65535 };
#define REDIS_BYTES_MAX ((size_t)512 << 20)

struct redis_url {
    char host[256]; /* brackets of IPv6 removed */
    char port[6];
    char user[128];     /* "" when none */
    char password[256]; /* percent-decoded; "" when none */
    int64_t database;
};
/* BV_E_INVALID for anything but the form that bv_redis_config names. The text never shows the
 * password. */
BV_MUST_CHECK int
redis_url_parse(const char *url, struct redis_url *ret_url, struct bv_error *error);

/* Appends the command as an array of bulk strings, all or nothing.
 * Errors: BV_E_INVALID (count), BV_E_TOO_LARGE (the buffer's maximum, or no memory). */
BV_MUST_CHECK int
redis_command_append(struct bv_buf *buf, const struct bv_bytes *words, size_t count);

#endif
