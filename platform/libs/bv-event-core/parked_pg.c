#include "bv/parked.h"

#include <stdlib.h>

static const struct bv_pg_statement load_statement = {
    "parked_load", "SELECT topic, partition_key FROM parked_keys WHERE consumer = $1"};
static const struct bv_pg_statement park_statement = {
    "parked_park",
    "INSERT INTO parked_keys (consumer, topic, partition_key) VALUES ($1, $2, $3) ON CONFLICT DO "
    "NOTHING"};
static const struct bv_pg_statement release_statement = {
    "parked_release",
    "DELETE FROM parked_keys WHERE consumer = $1 AND topic = $2 AND partition_key = $3"};

struct store {
    struct bv_parked_store base;
    struct bv_pg *pg;
};
struct call {
    bv_parked_key *each; /* NULL: no rows are wanted */
    bv_parked_done *done;
    void *argument;
};

static void answered(void *argument,
                     int rc,
                     const struct bv_pg_result *const *results,
                     size_t count,
                     const struct bv_pg_failure *failure)
{
    (void)failure;
    struct call call = *(struct call *)argument;
    free(argument);
    if (rc == 0 && count == 1 && call.each) {
        for (size_t i = 0; i < bv_pg_rows(results[0]); i++)
            call.each(call.argument, bv_pg_text(results[0], i, 0), bv_pg_text(results[0], i, 1));
    }
    call.done(call.argument, rc);
}

static int start(struct bv_parked_store *self,
                 const struct bv_pg_statement *statement,
                 const struct bv_pg_param *params,
                 size_t count,
                 const struct call *call)
{
    struct call *copy = malloc(sizeof *copy);
    if (!copy)
        return BV_E_NOMEM;
    *copy = *call;
    const struct bv_pg_query query = {statement, params, count};
    int rc = bv_pg_call(((struct store *)self)->pg, &query, 1, answered, copy);
    if (rc < 0)
        free(copy);
    return rc;
}

static int load(struct bv_parked_store *self,
                const char *group,
                bv_parked_key *each,
                bv_parked_done *done,
                void *argument)
{
    const struct bv_pg_param params[] = {BV_PG_P_CSTR(group)};
    return start(
        self, &load_statement, params, BV_COUNT(params), &(struct call){each, done, argument});
}

static int park(struct bv_parked_store *self,
                const char *group,
                struct bv_bytes topic,
                struct bv_bytes key,
                bv_parked_done *done,
                void *argument)
{
    const struct bv_pg_param params[] = {
        BV_PG_P_CSTR(group), BV_PG_P_TEXT(topic), BV_PG_P_TEXT(key)};
    return start(
        self, &park_statement, params, BV_COUNT(params), &(struct call){NULL, done, argument});
}

static int release(struct bv_parked_store *self,
                   const char *group,
                   struct bv_bytes topic,
                   struct bv_bytes key,
                   bv_parked_done *done,
                   void *argument)
{
    const struct bv_pg_param params[] = {
        BV_PG_P_CSTR(group), BV_PG_P_TEXT(topic), BV_PG_P_TEXT(key)};
    return start(
        self, &release_statement, params, BV_COUNT(params), &(struct call){NULL, done, argument});
}

int bv_parked_pg_open(struct bv_pg *pg, struct bv_parked_store **ret_store)
{
    struct store *store = malloc(sizeof *store);
    if (!store)
        return BV_E_NOMEM;
    *store = (struct store){
        {load, park, release},
        pg
    };
    *ret_store = &store->base;
    return 0;
}

void bv_parked_pg_close(struct bv_parked_store **store)
{
    free(*store);
    *store = NULL;
}
