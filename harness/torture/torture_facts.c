#include "torture_facts.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROW_BYTES_MAX = 4096, TABLE_BYTES_MAX = 1 << 30 };

const struct torture_table_row torture_tables[TORTURE_TABLE_COUNT] = {
#define TORTURE_X_(symbol, table, columns) {table, columns},
    TORTURE_TABLES(TORTURE_X_)
#undef TORTURE_X_
};

struct torture_facts {
    pthread_mutex_t lock; /* guards all below */
    struct bv_buf rows[TORTURE_TABLE_COUNT];
    size_t counts[TORTURE_TABLE_COUNT];
    bool lost;
};

int torture_facts_open(struct torture_facts **ret_facts)
{
    struct torture_facts *facts = calloc(1, sizeof *facts);
    if (!facts)
        return BV_E_NOMEM;
    pthread_mutex_init(&facts->lock, NULL);
    for (size_t i = 0; i < TORTURE_TABLE_COUNT; i++)
        facts->rows[i].max = TABLE_BYTES_MAX;
    *ret_facts = facts;
    return 0;
}

void torture_facts_close(struct torture_facts **facts)
{
    if (!*facts)
        return;
    for (size_t i = 0; i < TORTURE_TABLE_COUNT; i++)
        bv_buf_release(&(*facts)->rows[i]);
    pthread_mutex_destroy(&(*facts)->lock);
    free(*facts);
    *facts = NULL;
}

void torture_note(struct torture_facts *facts, enum torture_table table, const char *format, ...)
{
    char row[ROW_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(row, sizeof row - 1, format, arguments);
    va_end(arguments);
    bool fits = size >= 0 && size < (int)sizeof row - 1;
    if (fits)
        row[size++] = '\n';
    pthread_mutex_lock(&facts->lock);
    if (fits)
        bv_buf_append(&facts->rows[table], row, (size_t)size);
    facts->lost |= !fits || facts->rows[table].failed;
    facts->counts[table]++;
    pthread_mutex_unlock(&facts->lock);
}

bool torture_facts_lost(struct torture_facts *facts)
{
    pthread_mutex_lock(&facts->lock);
    bool lost = facts->lost;
    pthread_mutex_unlock(&facts->lock);
    return lost;
}

size_t torture_facts_count(struct torture_facts *facts, enum torture_table table)
{
    pthread_mutex_lock(&facts->lock);
    size_t count = facts->counts[table];
    pthread_mutex_unlock(&facts->lock);
    return count;
}

struct bv_bytes torture_facts_rows(struct torture_facts *facts, enum torture_table table)
{
    return bv_buf_view(&facts->rows[table]);
}
