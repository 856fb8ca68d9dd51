/* What the lab saw with its own eyes while it tormented the services: every acknowledged order and
 * transition, every payment it sent, every webhook it received, every event of the topics. The
 * checks compare these tables with the services' databases. Invariant: a row, once noted, stays as
 * it is. Thread: any. */
#ifndef TORTURE_FACTS_H
#define TORTURE_FACTS_H

#include "bv/bytes.h"

/* X(symbol, table, columns) */
#define TORTURE_TABLES(X)                                                                          \
    X(ACKS, "acks", "key text, order_id uuid, status int, total bigint, items text")               \
    X(MOVES, "moves", "order_id uuid, version bigint, state text")                                 \
    X(WRONG, "wrong", "key text, what text")                                                       \
    X(PAYMENTS, "payments", "event_id uuid, order_id uuid, kind text")                             \
    X(RECEIVED,                                                                                    \
      "received",                                                                                  \
      "hook text, delivery_id text, order_id uuid, version bigint, status int, signature text")    \
    X(TOLD,                                                                                        \
      "told",                                                                                      \
      "event_id uuid, key text, order_id uuid, version bigint, state text, type text, part int, "  \
      "at bigint")                                                                                 \
    X(STOCK_TOLD, "stock_told", "event_id uuid, key text, sku text, version bigint")               \
    X(STATES, "states", "order_id uuid, state text, items text")
enum torture_table {
#define TORTURE_X_(symbol, table, columns) TORTURE_##symbol,
    TORTURE_TABLES(TORTURE_X_)
#undef TORTURE_X_
        TORTURE_TABLE_COUNT,
};
struct torture_table_row {
    const char *name;
    const char *columns;
};
extern const struct torture_table_row torture_tables[TORTURE_TABLE_COUNT];

struct torture_facts;
BV_MUST_CHECK int torture_facts_open(struct torture_facts **ret_facts); /* BV_E_NOMEM */
void torture_facts_close(struct torture_facts **facts);
/* Notes one row: columns separated by tabs, as COPY reads them. A fact that finds no memory makes
 * torture_facts_lost true: then nothing may be concluded. */
void torture_note(struct torture_facts *facts, enum torture_table table, const char *format, ...)
    BV_PRINTF(3, 4);
bool torture_facts_lost(struct torture_facts *facts);
size_t torture_facts_count(struct torture_facts *facts, enum torture_table table);
/* All rows of a table, each ended by a newline. For when nobody notes any more. */
struct bv_bytes torture_facts_rows(struct torture_facts *facts, enum torture_table table);

#endif
