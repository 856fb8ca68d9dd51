/* Parts of a program in files of their own, lib/bv-NAME.so beside the folder of the program (CMake:
 * bv_loadable), so that libraries that take milliseconds to start are loaded only when they are
 * used. They stay loaded. Thread: main. Source: dlopen(3). */
#ifndef BV_LOADABLE_H
#define BV_LOADABLE_H

#include "bv/error.h"

/* The symbol of part name; the same address at each call. Errors: NULL with BV_E_NOT_FOUND and the
 * loader's words. */
const void *bv_loadable(const char *name, const char *symbol, struct bv_error *error);

#endif
