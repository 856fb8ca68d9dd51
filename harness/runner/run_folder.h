/* The folder of a run, and what it is called. Thread: main. */
#ifndef BV_RUN_FOLDER_H
#define BV_RUN_FOLDER_H

#include "bv/env.h"
#include "bv/fs.h"

enum { RUN_NAME_SIZE = 32, RUN_COMMIT_SIZE = 64 };
struct run_folder_wish { /* borrowed for the call */
    const struct bv_env *env;
    const char *root; /* the checkout */
    const char *out;  /* folder that was asked for; NULL: reports/out/RUN */
    const char *name; /* letters of the run */
};
/* Makes it, with a folder for logs. *ret_run is "DATE-TIME-NAME". Errors: BV_E_IO, BV_E_TOO_LARGE.
 */
BV_MUST_CHECK int run_folder_make(const struct run_folder_wish *wish,
                                  char ret_run[RUN_NAME_SIZE],
                                  char ret_folder[BV_PATH_MAX],
                                  struct bv_error *error);
/* reports/out/latest -> RUN, in one step, unless a folder was asked for. */
void run_folder_latest(const struct run_folder_wish *wish, const char *run);
/* Commit of the checkout, empty: unknown. */
void run_folder_commit(const char *root, char out[RUN_COMMIT_SIZE]);

#endif
