#include "page.h"

#include <openssl/evp.h>

void report_csp_source(struct bv_bytes bytes, char ret_source[64])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    memcpy(ret_source, "sha256-", 8);
    if (EVP_Digest(bytes.data, bytes.size, digest, &size, EVP_sha256(), NULL) == 1)
        ret_source[7 + bv_base64_encode(digest, size, ret_source + 7)] = '\0';
}
