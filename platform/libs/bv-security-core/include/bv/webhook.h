/* Webhook signatures as the Standard Webhooks specification says: "v1," +
 * base64(HMAC-SHA256(secret, id.timestamp.body)); secrets "whsec_" + base64. Thread: any. Source:
 * Standard Webhooks 1.0.0. */
#ifndef BV_WEBHOOK_H
#define BV_WEBHOOK_H

#include "bv/env.h"

#define BV_WEBHOOK_SECRET_TEXT 72
#define BV_WEBHOOK_SIGNATURE_TEXT 64
void bv_webhook_secret(const struct bv_env *env,
                       char out[BV_WEBHOOK_SECRET_TEXT]); /* 32 random bytes */
BV_MUST_CHECK int bv_webhook_sign(struct bv_bytes secret,
                                  struct bv_bytes id,
                                  int64_t timestamp_s,
                                  struct bv_bytes body,
                                  char out[BV_WEBHOOK_SIGNATURE_TEXT]);
/* header may hold several signatures separated by spaces; any match counts. BV_E_UNAUTHENTICATED:
 * no match, or timestamp further than tolerance_s from now. */
BV_MUST_CHECK int bv_webhook_verify(struct bv_bytes secret,
                                    struct bv_bytes id,
                                    struct bv_bytes timestamp,
                                    struct bv_bytes signature_header,
                                    struct bv_bytes body,
                                    int64_t now_s,
                                    int64_t tolerance_s,
                                    struct bv_error *error);

#endif
