#include "run_folder.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int run_folder_make(const struct run_folder_wish *wish,
                    char ret_run[RUN_NAME_SIZE],
                    char ret_folder[BV_PATH_MAX],
                    struct bv_error *error)
{
    char path[BV_PATH_MAX];
    struct tm parts;
    time_t seconds = bv_wall_us(wish->env) / 1000000;
    gmtime_r(&seconds, &parts);
    snprintf(ret_run,
             RUN_NAME_SIZE,
             "%04d%02d%02d-%02d%02d%02d-%.4s",
             (parts.tm_year + 1900) % 10000,
             (parts.tm_mon + 1) % 100,
             parts.tm_mday % 100,
             parts.tm_hour % 100,
             parts.tm_min % 100,
             parts.tm_sec % 100,
             wish->name);
    if (wish->out)
        BV_TRY(bv_path(ret_folder, error, "%s", wish->out));
    else
        BV_TRY(bv_path(ret_folder, error, "%s/reports/out/%s", wish->root, ret_run));
    BV_TRY(bv_path(path, error, "%s/logs", ret_folder));
    return bv_fs_mkdirs(path, 0755, error);
}

void run_folder_latest(const struct run_folder_wish *wish, const char *run)
{
    char fresh[BV_PATH_MAX];
    char latest[BV_PATH_MAX];
    if (wish->out || bv_path(latest, NULL, "%s/reports/out/latest", wish->root) < 0 ||
        bv_path(fresh, NULL, "%s/reports/out/.latest-%s", wish->root, wish->name) < 0)
        return;
    if (symlink(run, fresh) == 0 && rename(fresh, latest) != 0)
        unlink(fresh);
}

void run_folder_commit(const char *root, char out[RUN_COMMIT_SIZE])
{
    char head[BV_PATH_MAX];
    char path[BV_PATH_MAX];
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 4096};
    out[0] = '\0';
    if (bv_path(head, NULL, "%s/.git/HEAD", root) < 0 || bv_fs_read(head, &text, NULL) < 0)
        return;
    if (strncmp(text.data, "ref: ", 5) == 0) {
        text.data[strcspn(text.data, "\n")] = '\0';
        if (bv_path(path, NULL, "%s/.git/%s", root, text.data + 5) < 0)
            return;
        bv_buf_reset(&text);
        if (bv_fs_read(path, &text, NULL) < 0)
            return;
    }
    snprintf(out,
             RUN_COMMIT_SIZE,
             "%.*s",
             (int)strcspn(text.data, "\n") < 12 ? (int)strcspn(text.data, "\n") : 12,
             text.data);
}
