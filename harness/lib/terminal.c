#include "bv/terminal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

struct cell {
    char *text; /* owned, NULL: empty */
    enum bv_colour colour;
};
struct bv_table {
    const char *const *titles; /* borrowed */
    size_t columns;
    enum bv_align aligns[BV_TABLE_COLUMNS_MAX];
    struct cell *cells; /* owned */
    size_t count;
    size_t capacity;
};

static bool colourful(FILE *file)
{
    const char *term = getenv("TERM");
    int fd = fileno(file);
    return fd >= 0 && isatty(fd) && !getenv("NO_COLOR") && term && strcmp(term, "dumb") != 0;
}

const char *bv_colour(FILE *file, enum bv_colour colour)
{
    static const char *const sequences[] = {
        [BV_PLAIN] = "",
        [BV_BOLD] = "\033[1m",
        [BV_DIM] = "\033[2m",
        [BV_RED] = "\033[31m",
        [BV_GREEN] = "\033[32m",
        [BV_YELLOW] = "\033[33m",
        [BV_CYAN] = "\033[36m",
    };
    return colourful(file) ? sequences[colour] : "";
}

const char *bv_colour_end(FILE *file)
{
    return colourful(file) ? "\033[0m" : "";
}

int bv_table_open(const char *const *titles,
                  const enum bv_align *aligns,
                  size_t count,
                  struct bv_table **ret_table)
{
    assert(count >= 1 && count <= BV_TABLE_COLUMNS_MAX);
    struct bv_table *table = calloc(1, sizeof *table);
    if (!table)
        return BV_E_NOMEM;
    table->titles = titles;
    table->columns = count;
    memcpy(table->aligns, aligns, count * sizeof *aligns);
    *ret_table = table;
    return 0;
}

void bv_table_close(struct bv_table **table)
{
    if (!*table)
        return;
    for (size_t i = 0; i < (*table)->count; i++)
        free((*table)->cells[i].text);
    free((*table)->cells);
    free(*table);
    *table = NULL;
}

void bv_table_cell(struct bv_table *table, enum bv_colour colour, const char *format, ...)
{
    if (table->count == table->capacity) {
        size_t capacity = table->capacity ? table->capacity * 2 : 64;
        struct cell *cells = realloc(table->cells, capacity * sizeof *cells);
        if (!cells)
            return;
        table->cells = cells;
        table->capacity = capacity;
    }
    struct cell *cell = &table->cells[table->count++];
    cell->colour = colour;
    va_list list;
    va_start(list, format);
    if (vasprintf(&cell->text, format, list) < 0)
        cell->text = NULL;
    va_end(list);
}

static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; text && *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_cell(const struct bv_table *table,
                       size_t column,
                       const char *text,
                       size_t width,
                       enum bv_colour colour,
                       FILE *file)
{
    size_t pad = width - width_of(text);
    if (table->aligns[column] == BV_RIGHT)
        fprintf(file, "%*s", (int)pad, "");
    fprintf(file, "%s%s%s", bv_colour(file, colour), text ? text : "", bv_colour_end(file));
    if (column + 1 == table->columns) {
        fputc('\n', file);
        return;
    }
    if (table->aligns[column] == BV_LEFT)
        fprintf(file, "%*s", (int)pad, "");
    fputs("  ", file);
}

void bv_table_print(const struct bv_table *table, FILE *file)
{
    size_t widths[BV_TABLE_COLUMNS_MAX] = {0};
    for (size_t c = 0; c < table->columns; c++)
        widths[c] = width_of(table->titles[c]);
    for (size_t i = 0; i < table->count; i++) {
        size_t width = width_of(table->cells[i].text);
        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t c = 0; c < table->columns; c++)
        print_cell(table, c, table->titles[c], widths[c], BV_BOLD, file);
    for (size_t i = 0; i < table->count; i++) {
        size_t c = i % table->columns;
        print_cell(table, c, table->cells[i].text, widths[c], table->cells[i].colour, file);
    }
}

const char *bv_human_bytes(int64_t bytes, char out[BV_HUMAN_SIZE])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < BV_COUNT(units)) {
        value /= 1000;
        unit++;
    }
    if (bytes < 0)
        snprintf(out, BV_HUMAN_SIZE, "-");
    else
        snprintf(out,
                 BV_HUMAN_SIZE,
                 unit == 0 || value >= 99.95 ? "%.0f %s" : "%.1f %s",
                 value,
                 units[unit]);
    return out;
}

const char *bv_human_ms(int64_t ms, char out[BV_HUMAN_SIZE])
{
    if (ms < 1000)
        snprintf(out, BV_HUMAN_SIZE, "%lld ms", (long long)ms);
    else if (ms < 60000)
        snprintf(out, BV_HUMAN_SIZE, "%.2f s", (double)ms / 1000);
    else
        snprintf(out,
                 BV_HUMAN_SIZE,
                 "%lld min %lld s",
                 (long long)(ms / 60000),
                 (long long)(ms / 1000 % 60));
    return out;
}

void bv_complain(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fflush(stdout);
    fprintf(stderr, "%sbv:%s ", bv_colour(stderr, BV_RED), bv_colour_end(stderr));
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
}
