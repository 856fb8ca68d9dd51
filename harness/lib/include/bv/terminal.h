/* Output for people: colours only on a terminal, aligned tables, sizes and durations one can read.
 * Invariant: bytes written to a file or pipe hold no escape sequence. Thread: main. */
#ifndef BV_TERMINAL_H
#define BV_TERMINAL_H

#include "bv/bytes.h"
#include <stdio.h>

enum bv_colour { BV_PLAIN, BV_BOLD, BV_DIM, BV_RED, BV_GREEN, BV_YELLOW, BV_CYAN };

/* Escape sequence that begins colour on file, "" when file is no terminal, TERM is dumb or NO_COLOR
 * is set. */
const char *bv_colour(FILE *file, enum bv_colour colour);
/* The sequence that ends any colour, "" likewise. */
const char *bv_colour_end(FILE *file);

/* A table: cells are added row by row; printing aligns the columns by their widest cell (UTF-8
 * characters count as one). */
#define BV_TABLE_COLUMNS_MAX 12
enum bv_align { BV_LEFT, BV_RIGHT };
struct bv_table;
/* Opens a table of count columns (1..BV_TABLE_COLUMNS_MAX) with these titles (borrowed). Errors:
 * BV_E_NOMEM. */
BV_MUST_CHECK int bv_table_open(const char *const *titles,
                                const enum bv_align *aligns,
                                size_t count,
                                struct bv_table **ret_table);
void bv_table_close(struct bv_table **table);
/* Adds the next cell of the current row; after the last column a new row begins. Text is copied; a
 * cell that finds no memory is empty. */
void bv_table_cell(struct bv_table *table, enum bv_colour colour, const char *format, ...)
    BV_PRINTF(3, 4);
void bv_table_print(const struct bv_table *table, FILE *file);

#define BV_HUMAN_SIZE 24
const char *
bv_human_bytes(int64_t bytes,
               char out[BV_HUMAN_SIZE]); /* "512 B", "1.4 MB" (powers of 1000), "-" when negative */
const char *bv_human_ms(int64_t ms, char out[BV_HUMAN_SIZE]); /* "340 ms", "2.41 s", "3 min 5 s" */

/* One line to stderr: "bv: text", the program's only way to report its own faults. */
void bv_complain(const char *format, ...) BV_PRINTF(1, 2);

#endif
