/* The databases of a stack: a folder of migrations each. Thread: any. */
#ifndef BV_DATABASES_H
#define BV_DATABASES_H

#include "bv/arena.h"

/* Names below root/platform/deploy/migrations, in order, in arena; none where the folder is not
 * there. Errors: BV_E_NOMEM. */
BV_MUST_CHECK int databases_read(struct bv_arena *arena,
                                 const char *root,
                                 const char *const **ret_names,
                                 size_t *ret_count);

#endif
