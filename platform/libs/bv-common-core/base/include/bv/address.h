/* Which IP addresses are public: what a server may call on behalf of others without reaching its
 * own network. Pure. Thread: any. Source: IANA IPv4 and IPv6 special-purpose address registries
 * (RFC 6890). */
#ifndef BV_ADDRESS_H
#define BV_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

/* address in host byte order. */
bool bv_address_public_v4(uint32_t address);
/* 16 octets. IPv4-mapped addresses are judged as what they carry; other carriers of IPv4 (6to4,
 * NAT64) and Teredo are not public. */
bool bv_address_public_v6(const uint8_t *octets);
/* A host name or address literal, in any spelling inet_aton knows. Names other than localhost and
 * its children count as public: they are to be judged again when resolved. Texts with spaces or
 * control characters, or of more than 254 bytes, are no host: not public. */
bool bv_address_public_host(const char *host);

#endif
