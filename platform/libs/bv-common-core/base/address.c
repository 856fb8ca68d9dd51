#include "bv/address.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "bv/error.h"

static const struct {
    uint32_t network;
    int bits;
} special_v4[] = {
    {0x00000000, 8 }, /* this network */
    {0x0a000000, 8 }, /* private */
    {0x64400000, 10}, /* shared */
    {0x7f000000, 8 }, /* loopback */
    {0xa9fe0000, 16}, /* link-local */
    {0xac100000, 12}, /* private */
    {0xc0000000, 24}, /* protocol assignments */
    {0xc0000200, 24}, /* documentation */
    {0xc0586300, 24}, /* 6to4 relays */
    {0xc0a80000, 16}, /* private */
    {0xc6120000, 15}, /* benchmarks */
    {0xc6336400, 24}, /* documentation */
    {0xcb007100, 24}, /* documentation */
    {0xe0000000, 3 }, /* multicast, reserved, broadcast */
};

bool bv_address_public_v4(uint32_t address)
{
    for (size_t i = 0; i < BV_COUNT(special_v4); i++)
        if ((address ^ special_v4[i].network) >> (32 - special_v4[i].bits) == 0)
            return false;
    return true;
}

static const struct {
    uint8_t octets[4];
    int bits;
} special_v6[] = {
    {{0x20, 0x01, 0x00, 0x00}, 23}, /* protocol assignments, Teredo among them */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
    {{0x20, 0x02, 0x00, 0x00}, 16}, /* 6to4 */
    {{0x3f, 0xff, 0x00, 0x00}, 20}, /* documentation */
};

static uint32_t word(const uint8_t *octets)
{
    return (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16 | (uint32_t)octets[2] << 8 |
           octets[3];
}

bool bv_address_public_v6(const uint8_t *octets)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(octets, mapped, sizeof mapped) == 0)
        return bv_address_public_v4(word(octets + 12));
    for (size_t i = 0; i < BV_COUNT(special_v6); i++)
        if ((word(octets) ^ word(special_v6[i].octets)) >> (32 - special_v6[i].bits) == 0)
            return false;
    return (octets[0] & 0xe0) == 0x20; /* global unicast, 2000::/3 */
}

/* inet_aton's spellings, also with the final dot that makes a name absolute (WHATWG URL, 3.5). */
static bool is_v4(const char *host, size_t size, struct in_addr *ret_address)
{
    char text[256]; /* the longest host has 253 */
    if (size >= sizeof text)
        return false;
    memcpy(text, host, size);
    text[size] = '\0';
    return inet_aton(text, ret_address) != 0;
}

bool bv_address_public_host(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    size_t size = strlen(host);
    if (size > 254)
        return false;
    for (size_t i = 0; i < size; i++) /* no host has one; inet_aton takes what stands before it */
        if ((unsigned char)host[i] <= ' ' || host[i] == 0x7f)
            return false;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return bv_address_public_v6(v6.s6_addr);
    if (size > 0 && host[size - 1] == '.')
        size--;
    if (is_v4(host, size, &v4))
        return bv_address_public_v4(ntohl(v4.s_addr));
    bool local = size >= 9 && strncasecmp(host + size - 9, "localhost", 9) == 0 &&
                 (size == 9 || host[size - 10] == '.');
    return !local;
}
