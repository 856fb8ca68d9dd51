/* Input: a host. Properties: the verdict does not depend on how an address is spelled: inet_aton's
 * forms, dotted decimal, IPv4-mapped IPv6, any case, a final dot; nothing below localhost is
 * public. Whoever finds a spelling that does finds a way into the server's own network. */
#include <arpa/inet.h>
#include <ctype.h>

#include "bv/address.h"

#include "fuzz.h"

static void check_v4(uint32_t address, bool verdict)
{
    char dotted[32], mapped[64];
    snprintf(dotted,
             sizeof dotted,
             "%u.%u.%u.%u",
             address >> 24,
             address >> 16 & 255,
             address >> 8 & 255,
             address & 255);
    snprintf(mapped, sizeof mapped, "::ffff:%s", dotted);
    FUZZ_REQUIRE(bv_address_public_v4(address) == verdict);
    FUZZ_REQUIRE(bv_address_public_host(dotted) == verdict);
    FUZZ_REQUIRE(bv_address_public_host(mapped) == verdict);
    FUZZ_REQUIRE(!verdict || (address >> 24 != 10 && address >> 24 != 127 && address >> 24 != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char host[260] = "", other[264] = "", below[280];
    struct in_addr v4;
    struct in6_addr address;
    if (size > 250 || (size && memchr(data, 0, size)))
        return 0;
    memcpy(host, fuzz_bytes(data, size).data, size);
    const bool verdict = bv_address_public_host(host);
    for (size_t i = 0; i < size; i++)
        other[i] = (char)(islower((unsigned char)host[i]) ? toupper((unsigned char)host[i])
                                                          : tolower((unsigned char)host[i]));
    FUZZ_REQUIRE(bv_address_public_host(other) == verdict);
    const bool v6 = memchr(host, ':', size) != NULL; /* takes no dot */
    if (!v6 && size > 0 && host[size - 1] != '.') {
        snprintf(other, sizeof other, "%s.", host);
        FUZZ_REQUIRE(bv_address_public_host(other) == verdict);
    }
    snprintf(below, sizeof below, "%s.LocalHost", host);
    FUZZ_REQUIRE(!bv_address_public_host(below));
    if (strcspn(host, " \t\n\v\f\r") == size && inet_aton(host, &v4))
        check_v4(ntohl(v4.s_addr), verdict);
    else if (inet_pton(AF_INET6, host, &address) == 1)
        FUZZ_REQUIRE(bv_address_public_v6(address.s6_addr) == verdict);
    return 0;
}
