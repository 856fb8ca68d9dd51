/* bv-report RUN_DIR: writes RUN_DIR/index.html from RUN_DIR/results.jsonl and its logs. Exit
 * status: 0 written, 2 not. */
#include "bv/fs.h"

#include "page.h"

#include <stdio.h>

static const char usage[] = "usage: bv-report RUN_DIR\n\n"
                            "Writes RUN_DIR/index.html, one self-contained page, from "
                            "RUN_DIR/results.jsonl and the logs that it names.\n";

static int run(const char *folder, struct bv_error *error)
{
    char path[BV_PATH_MAX];
    bv_auto(html_release) struct html html = {.out.max = REPORT_PAGE_BYTES_MAX,
                                              .scratch.max = REPORT_PAGE_BYTES_MAX};
    BV_TRY(bv_path(path, error, "%s/index.html", folder));
    BV_TRY(report_page(folder, &html, error));
    return bv_fs_write(path, bv_buf_view(&html.out), 0644, error);
}

int main(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc != 2 || argv[1][0] == '-') {
        fputs(usage, stderr);
        return 2;
    }
    struct bv_error error = {0};
    if (run(argv[1], &error) < 0) {
        fprintf(stderr, "bv-report: %s\n", error.text);
        return 2;
    }
    return 0;
}
