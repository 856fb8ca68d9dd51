#include "bv/address.h"

#include <criterion/criterion.h>

#include "bv/error.h"

static const struct {
    const char *host;
    bool public;
} rows[] = {
    {"8.8.8.8",          true },
    {"93.184.216.34",    true },
    {"172.32.0.1",       true },
    {"2606:4700::1111",  true },
    {"partner.example",  true },
    {"notlocalhost",     true },
    {"::ffff:8.8.8.8",   true },
    {"127.0.0.1",        false},
    {"127.1",            false},
    {"0x7f000001",       false},
    {"2130706433",       false},
    {"0",                false},
    {"10.1.2.3",         false},
    {"172.16.0.1",       false},
    {"172.31.255.255",   false},
    {"192.168.0.1",      false},
    {"169.254.169.254",  false},
    {"100.64.0.1",       false},
    {"224.0.0.1",        false},
    {"255.255.255.255",  false},
    {"::",               false},
    {"::1",              false},
    {"::ffff:127.0.0.1", false},
    {"fc00::1",          false},
    {"fe80::1",          false},
    {"ff02::1",          false},
    {"2002:7f00:1::",    false},
    {"64:ff9b::7f00:1",  false},
    {"2001:0:1::1",      false},
    {"2001:db8::1",      false},
    {"localhost",        false},
    {"127.0.0.1.",       false},
    {"0x7f.1.",          false},
    {"9.1\nx.localhost", false},
    {"8.8.8.8.",         true },
    {"LOCALHOST.",       false},
    {"x.localhost",      false},
};

Test(address, tells_public_hosts_from_the_rest)
{
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        cr_assert_eq(bv_address_public_host(rows[i].host), rows[i].public, "%s", rows[i].host);
}
