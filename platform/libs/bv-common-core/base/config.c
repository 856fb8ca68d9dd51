#include "bv/config.h"

#include "config_internal.h"

#include <stdlib.h>

enum { KEY_SIZE_MAX = 64, WORD_SIZE_MAX = 63, NEAREST_MAX = 3, FLAGS_MAX = 256 };

bool bv_option_env_name(const char *key, char *out, size_t size)
{
    size_t length = strlen(key);
    if (length + 4 > size)
        return false;
    memcpy(out, "BV_", 3);
    for (size_t i = 0; i <= length; i++) {
        char c = key[i];
        out[i + 3] = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    return true;
}

struct unit {
    const char *suffix;
    int64_t factor;
};

static const struct unit duration_units[] = {
    {"ms", 1      },
    {"s",  1000   },
    {"m",  60000  },
    {"h",  3600000},
    {"",   1      },
};
static const struct unit size_units[] = {
    {"k", 1024              },
    {"m", 1024 * 1024       },
    {"g", 1024 * 1024 * 1024},
    {"",  1                 },
};

static bool
parse_scaled(struct bv_bytes text, const struct unit *units, size_t count, int64_t *ret_value)
{
    size_t number_size = text.size;
    while (number_size > 0 &&
           (text.data[number_size - 1] < '0' || text.data[number_size - 1] > '9'))
        number_size--;
    struct bv_bytes suffix = {text.data + number_size, text.size - number_size};
    int64_t number;
    if (bv_bytes_int64((struct bv_bytes){text.data, number_size}, INT64_MIN, INT64_MAX, &number) <
        0)
        return false;
    for (size_t i = 0; i < count; i++)
        if (bv_bytes_equal_nocase(suffix, bv_bytes_of(units[i].suffix)))
            return !__builtin_mul_overflow(number, units[i].factor, ret_value);
    return false;
}

static bool parse_switch(struct bv_bytes text, bool *ret_value)
{
    bool on = bv_bytes_equal(text, BV_BYTES("1")) || bv_bytes_equal(text, BV_BYTES("true"));
    bool off = bv_bytes_equal(text, BV_BYTES("0")) || bv_bytes_equal(text, BV_BYTES("false"));
    *ret_value = on;
    return on || off;
}

static bool parse_number(const struct bv_option *row, struct bv_bytes text, int64_t *ret_value)
{
    switch (row->type) {
    case BV_OPT_DURATION:
        return parse_scaled(text, duration_units, BV_COUNT(duration_units), ret_value);
    case BV_OPT_SIZE:
        return parse_scaled(text, size_units, BV_COUNT(size_units), ret_value);
    default:
        return bv_bytes_int64(text, INT64_MIN, INT64_MAX, ret_value) == 0;
    }
}

static int refuse_value(const struct bv_option *row, const char *value, struct bv_error *error)
{
    static const char *const needs[] = {
        [BV_OPT_TEXT] = "a text of bytes",
        [BV_OPT_INT] = "an integer",
        [BV_OPT_SWITCH] = "0, 1, true or false",
        [BV_OPT_DURATION] = "a duration such as 250ms, 5s, 2m or 1h, in milliseconds",
        [BV_OPT_SIZE] = "a size such as 64k, 8m or 1g, in bytes",
    };
    bv_option_point(row, error);
    const char *shown = row->secrecy == BV_SECRET_VALUE ? "***" : value;
    if (row->type == BV_OPT_SWITCH)
        return bv_fail(error,
                       BV_E_INVALID,
                       "--%s is \"%.40s\", it must be %s.",
                       row->key,
                       shown,
                       needs[row->type]);
    return bv_fail(error,
                   BV_E_INVALID,
                   "--%s is \"%.32s\", it must be %s, %lld to %lld.",
                   row->key,
                   shown,
                   needs[row->type],
                   (long long)row->min,
                   (long long)row->max);
}

void bv_option_point(const struct bv_option *row, struct bv_error *error)
{
    if (!error || error->code != 0)
        return;
    size_t size = strnlen(row->key, sizeof(error->pointer) - 1);
    memcpy(error->pointer, row->key, size);
    error->pointer[size] = '\0';
}

static int
store(const struct bv_option *row, void *target, const char *value, struct bv_error *error)
{
    struct bv_bytes text = bv_bytes_of(value);
    char *slot = (char *)target + row->offset;
    int64_t number = (int64_t)text.size;
    bool on;
    if (row->type == BV_OPT_SWITCH) {
        if (!parse_switch(text, &on))
            return refuse_value(row, value, error);
        memcpy(slot, &on, sizeof(on));
        return 0;
    }
    if (row->type != BV_OPT_TEXT && !parse_number(row, text, &number))
        return refuse_value(row, value, error);
    if (number < row->min || number > row->max)
        return refuse_value(row, value, error);
    if (row->type == BV_OPT_TEXT)
        memcpy(slot, &value, sizeof(value));
    else
        memcpy(slot, &number, sizeof(number));
    return 0;
}

static bool flag_is(const struct bv_option *row, struct bv_bytes name)
{
    return bv_bytes_equal(name, bv_bytes_of(row->key));
}

/* One command-line argument, taken apart. */
struct flag {
    struct bv_bytes name;
    const char *value; /* after '=', or NULL */
};

static bool split_flag(const char *argument, struct flag *ret_flag)
{
    if (argument[0] != '-' || argument[1] != '-' || argument[2] == '\0')
        return false;
    const char *name = argument + 2;
    const char *equals = strchr(name, '=');
    ret_flag->name = (struct bv_bytes){name, equals ? (size_t)(equals - name) : strlen(name)};
    ret_flag->value = equals ? equals + 1 : NULL;
    return true;
}

static int refuse_flag(const struct bv_option_set *sets,
                       size_t set_count,
                       struct flag flag,
                       struct bv_error *error)
{
    const char *words[FLAGS_MAX];
    size_t count = 0;
    char word[WORD_SIZE_MAX + 1];
    words[count++] = "help";
    for (size_t s = 0; s < set_count; s++)
        for (size_t i = 0; i < sets[s].count && count < FLAGS_MAX; i++)
            words[count++] = sets[s].rows[i].key;
    size_t size = flag.name.size < WORD_SIZE_MAX ? flag.name.size : WORD_SIZE_MAX;
    memcpy(word, flag.name.data, size);
    word[size] = '\0';
    const char *near = bv_nearest(word, words, count);
    if (near)
        return bv_fail(error, BV_E_INVALID, "--%s is not known; did you mean --%s?", word, near);
    return bv_fail(error, BV_E_INVALID, "--%s is not known; --help lists the options.", word);
}

static const struct bv_option *
find_row(const struct bv_option_set *sets, size_t set_count, struct bv_bytes name)
{
    for (size_t s = 0; s < set_count; s++)
        for (size_t i = 0; i < sets[s].count; i++)
            if (flag_is(&sets[s].rows[i], name))
                return &sets[s].rows[i];
    return NULL;
}

static int store_everywhere(const struct bv_option_set *sets,
                            size_t set_count,
                            struct flag flag,
                            struct bv_error *error)
{
    for (size_t s = 0; s < set_count; s++)
        for (size_t i = 0; i < sets[s].count; i++)
            if (flag_is(&sets[s].rows[i], flag.name))
                BV_TRY(store(&sets[s].rows[i], sets[s].target, flag.value, error));
    return 0;
}

static int read_flags(const struct bv_option_set *sets,
                      size_t set_count,
                      int argc,
                      char **argv,
                      struct bv_error *error)
{
    for (int i = 1; i < argc; i++) {
        struct flag flag;
        if (!split_flag(argv[i], &flag))
            return bv_fail(error,
                           BV_E_INVALID,
                           "\"%.60s\" is not an option; options are --name value.",
                           argv[i]);
        const struct bv_option *row = find_row(sets, set_count, flag.name);
        if (!row)
            return refuse_flag(sets, set_count, flag, error);
        if (!flag.value && row->type == BV_OPT_SWITCH)
            flag.value = "1";
        if (!flag.value) {
            if (++i == argc) {
                bv_option_point(row, error);
                return bv_fail(error, BV_E_INVALID, "--%s needs a value.", row->key);
            }
            flag.value = argv[i];
        }
        BV_TRY(store_everywhere(sets, set_count, flag, error));
    }
    return 0;
}

static bool given_as_flag(const struct bv_option *row, int argc, char **argv)
{
    struct flag flag;
    for (int i = 1; i < argc; i++)
        if (split_flag(argv[i], &flag) && flag_is(row, flag.name))
            return true;
    return false;
}

static int
read_surroundings(const struct bv_option_set *set, int argc, char **argv, struct bv_error *error)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct bv_option *row = &set->rows[i];
        char name[KEY_SIZE_MAX];
        if (given_as_flag(row, argc, argv))
            continue; /* a bad variable that a flag overrides is no error */
        const char *value = bv_option_env_name(row->key, name, sizeof(name)) ? getenv(name) : NULL;
        if (!value)
            value = row->fallback;
        if (!value) {
            bv_option_point(row, error);
            return bv_fail(error,
                           BV_E_INVALID,
                           "--%s (environment %s) is required: %.60s",
                           row->key,
                           name,
                           row->help);
        }
        BV_TRY(store(row, set->target, value, error));
    }
    return 0;
}

int bv_config_read(const struct bv_option_set *sets,
                   size_t set_count,
                   int argc,
                   char **argv,
                   struct bv_error *error)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0)
            return BV_CONFIG_HELP;
    BV_TRY(read_flags(sets, set_count, argc, argv, error));
    for (size_t s = 0; s < set_count; s++)
        BV_TRY(read_surroundings(&sets[s], argc, argv, error));
    return 0;
}

/* Levenshtein, two rows. */
static size_t distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t rows[2][WORD_SIZE_MAX + 1];
    for (size_t j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t *above = rows[(i - 1) % 2];
        size_t *row = rows[i % 2];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t best = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return rows[a_size % 2][b_size];
}

const char *bv_nearest(const char *word, const char *const *words, size_t count)
{
    const char *nearest = NULL;
    size_t least = NEAREST_MAX + 1;
    size_t size = strlen(word);
    for (size_t i = 0; i < count && size <= WORD_SIZE_MAX; i++) {
        size_t other = strlen(words[i]);
        size_t d = other <= WORD_SIZE_MAX ? distance(word, size, words[i], other) : least;
        if (d < least && d < other) { /* a word that shares nothing is no help */
            least = d;
            nearest = words[i];
        }
    }
    return nearest;
}
