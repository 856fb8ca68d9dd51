/* breakage.c of a build without switches. */
#include "bv/breakage.h"

int bv_break_choose(const char *name, struct bv_error *error)
{
    return name && name[0]
               ? bv_fail(error, BV_E_INVALID, "this build has no switches: use PRESET=dev")
               : 0;
}

const char *bv_break_chosen(void)
{
    return NULL;
}

const char *bv_break_text(void)
{
    return NULL;
}
