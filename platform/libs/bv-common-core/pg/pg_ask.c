#include "bv/pg.h"

#include <stdlib.h>

struct carried {
    bv_pg_done *done;
    _Alignas(max_align_t) char ask[];
};

static void land(void *argument,
                 int rc,
                 const struct bv_pg_result *const *results,
                 size_t count,
                 const struct bv_pg_failure *failure)
{
    struct carried *carried = argument;
    carried->done(carried->ask, rc, results, count, failure);
    free(carried);
}

int bv_pg_ask(struct bv_pg *pg,
              const struct bv_pg_query *queries,
              size_t count,
              bv_pg_done *done,
              const void *ask,
              size_t ask_bytes)
{
    struct carried *carried = malloc(sizeof(*carried) + ask_bytes);
    if (!carried)
        return BV_E_NOMEM;
    carried->done = done;
    memcpy(carried->ask, ask, ask_bytes);
    int rc = bv_pg_call(pg, queries, count, land, carried);
    if (rc < 0)
        free(carried);
    return rc;
}
