/* The partner: a listener that two webhook subscriptions point at. It notes each delivery it gets,
 * with the answer it gave and whether the signature was right; now and then it answers 500.
 * Thread: main; the listener is a thread of its own. */
#ifndef TORTURE_PARTNER_H
#define TORTURE_PARTNER_H

#include "torture_facts.h"

struct torture_partner;
struct torture_partner_config {
    const char *auth_url;
    const char *notification_url;
    const char *password; /* of the demo users */
    struct torture_facts *facts;
};
/* Listens and subscribes. Errors: BV_E_UNAVAILABLE (refused by the services), BV_E_LIMIT (ports,
 * threads). */
BV_MUST_CHECK int torture_partner_open(const struct torture_partner_config *config,
                                       struct torture_partner **ret_partner,
                                       struct bv_error *error);
void torture_partner_close(struct torture_partner **partner);

#endif
