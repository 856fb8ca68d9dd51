#include "bv/breakage.h"

#include "bv/config.h"
#include <stdio.h>

struct row {
    const char *name;
    const char *wrong;
};
static const struct row rows[] = {
#define BV_X_(id, name, wrong) {name, wrong},
    BV_BREAK_LIST(BV_X_)
#undef BV_X_
};

/* The one mutable global: a bug belongs to the process, and asking for it must need nothing. */
static const struct row *chosen;

int bv_break_choose(const char *name, struct bv_error *error)
{
    const char *names[BV_COUNT(rows)];
    chosen = NULL;
    if (!name || !name[0])
        return 0;
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        names[i] = rows[i].name;
        if (strcmp(name, rows[i].name) == 0)
            chosen = &rows[i];
    }
    if (chosen)
        return 0;
    const char *near = bv_nearest(name, names, BV_COUNT(names));
    char all[160] = "";
    for (size_t i = 0; i < BV_COUNT(names) && !near; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? ", " : "", names[i]);
    return bv_fail(error,
                   BV_E_INVALID,
                   "no planted bug is called \"%.40s\": %s%s%s",
                   name,
                   near ? "did you mean " : "there are ",
                   near ? near : all,
                   near ? "?" : "");
}

const char *bv_break_chosen(void)
{
    return chosen ? chosen->name : NULL;
}

const char *bv_break_text(void)
{
    return chosen ? chosen->wrong : NULL;
}

bool bv_breaks(enum bv_break which)
{
    return chosen == &rows[which];
}
