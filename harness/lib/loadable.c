#include "bv/loadable.h"

#include "bv/fs.h"
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

const void *bv_loadable(const char *name, const char *symbol, struct bv_error *error)
{
    char program[BV_PATH_MAX];
    char path[BV_PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    if (size < 0) {
        (void)bv_fail(error, BV_E_NOT_FOUND, "/proc/self/exe cannot be read");
        return NULL;
    }
    program[size] = '\0';
    char *slash = strrchr(program, '/');
    if (slash)
        *slash = '\0';
    if (bv_path(path, error, "%s/../lib/bv-%s.so", program, name) < 0)
        return NULL;
    void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    const void *found = library ? dlsym(library, symbol) : NULL;
    if (!found)
        (void)bv_fail(error, BV_E_NOT_FOUND, "part \"%s\" of the program: %s", name, dlerror());
    return found;
}
