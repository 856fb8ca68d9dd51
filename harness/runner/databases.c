#include "databases.h"

#include "bv/fs.h"
#include <dirent.h>
#include <stdlib.h>

int databases_read(struct bv_arena *arena,
                   const char *root,
                   const char *const **ret_names,
                   size_t *ret_count)
{
    char folder[BV_PATH_MAX];
    struct dirent **entries = NULL;
    *ret_names = NULL;
    *ret_count = 0;
    if (bv_path(folder, NULL, "%s/platform/deploy/migrations", root) < 0)
        return 0;
    int count = scandir(folder, &entries, NULL, alphasort);
    if (count < 0)
        return 0;
    const char **names = bv_arena_array(arena, const char *, (size_t)count + 1);
    for (int i = 0; i < count; i++) {
        if (names && entries[i]->d_name[0] != '.' && entries[i]->d_type != DT_REG)
            names[(*ret_count)++] = bv_arena_text(arena, bv_bytes_of(entries[i]->d_name));
        free(entries[i]);
    }
    free(entries);
    *ret_names = names;
    return bv_arena_failed(arena) ? BV_E_NOMEM : 0;
}
