/* The service that the tests of bv-grpc serve. Thread: loop. */
#ifndef BV_PEER_SERVICE_H
#define BV_PEER_SERVICE_H

#include "bv/grpc.h"

struct peer_service {
    struct bv_loop *loop;
    struct bv_metrics *metrics; /* borrowed; NULL: none to tell */
    unsigned delayed;           /* Delay calls whose reply has not been given */
    unsigned cancelled;         /* Count streams that ended from outside */
    unsigned limited;           /* Count streams that were cut because the reader was slow */
};
BV_MUST_CHECK int peer_service_add(struct peer_service *service, struct bv_grpc_server *server);

#endif
