#include "stack.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

static const char *version_of(const char *part, const char *log)
{
    static char version[BV_STACK_VERSION_BYTES];
    char path[] = "/tmp/bv-version-XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, log, strlen(log)), (ssize_t)strlen(log));
    close(fd);
    bv_stack_version(&(struct bv_stack_part){.name = part, .log = path}, version);
    unlink(path);
    return version;
}

Test(version, a_server_says_it_in_its_log)
{
    cr_expect_str_eq(version_of("postgres",
                                "2026-11-23 05:10:00.316 UTC [60]  LOG:  starting PostgreSQL 15.20 "
                                "(Debian 15.20-0+deb12u1) on x86_64\n"),
                     "15.20");
    cr_expect_str_eq(version_of("redis",
                                "3:C # oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo\n"
                                "3:C # Redis version=7.0.15, bits=64\n"),
                     "7.0.15");
}

Test(version, kafka_is_known_by_its_jars)
{
    const char *version = version_of("kafka", "");
    cr_expect(version[0] >= '0' && version[0] <= '9', "\"%s\"", version);
}

Test(version, who_says_nothing_has_none)
{
    cr_expect_str_eq(version_of("postgres", "LOG:  starting up\n"), "");
    cr_expect_str_eq(version_of("order", "starting PostgreSQL 15.20\n"), "");
    char version[BV_STACK_VERSION_BYTES];
    bv_stack_version(&(struct bv_stack_part){.name = "redis", .log = "/absent/redis.log"}, version);
    cr_expect_str_eq(version, "");
}
