#include "page.h"

void report_csp_source(const char sha256[65], char ret_source[64])
{
    unsigned char digest[32];
    size_t size = 7;
    memcpy(ret_source, "sha256-", 8);
    if (bv_hex_decode((struct bv_bytes){sha256, 64}, digest, sizeof digest) == 0)
        size += bv_base64_encode(digest, sizeof digest, ret_source + size);
    ret_source[size] = '\0';
}
