#include "cli.h"

#include "stack.h"

#include "bv/fs.h"
#include "bv/terminal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { FLAG_NAME, FLAG_FOLLOW, FLAG_LINES };
enum {
    FILES_MAX = 64,
    LINES_DEFAULT = 200,
    LINES_MAX = 1000000000,
    LOOK_MS = 500,
    LINE_BYTES_MAX = 1 << 20
};

struct log_file {
    char part[64];
    int fd;
    struct bv_buf pending; /* an unfinished last line */
};
struct log_view {
    struct log_file files[FILES_MAX];
    size_t count;
    size_t width; /* of the longest name */
};

static void
print_line(const struct log_view *view, const struct log_file *file, const char *line, size_t size)
{
    if (view->count > 1)
        printf("%s%-*s%s ",
               bv_colour(stdout, BV_CYAN),
               (int)view->width,
               file->part,
               bv_colour_end(stdout));
    fwrite(line, 1, size, stdout);
    putchar('\n');
}

/* Prints the whole lines that are new in file; an over-long one is cut into pieces. */
static void pump(const struct log_view *view, struct log_file *file)
{
    char chunk[65536];
    for (ssize_t n; (n = read(file->fd, chunk, sizeof chunk)) > 0;) {
        for (ssize_t at = 0; at < n;) {
            char *end = memchr(chunk + at, '\n', (size_t)(n - at));
            size_t size = end ? (size_t)(end - chunk - at) : (size_t)(n - at);
            if (bv_buf_append(&file->pending, chunk + at, size) < 0 || end) {
                print_line(view, file, file->pending.data, file->pending.size);
                bv_buf_reset(&file->pending);
            }
            at += (ssize_t)size + (end != NULL);
        }
    }
    fflush(stdout);
}

/* Moves the descriptor to where the last `lines` lines begin. */
static void seek_tail(int fd, int64_t lines)
{
    off_t at = lseek(fd, 0, SEEK_END);
    char chunk[4096];
    for (int64_t seen = 0; at > 0;) {
        off_t from = at > (off_t)sizeof chunk ? at - (off_t)sizeof chunk : 0;
        ssize_t n = pread(fd, chunk, (size_t)(at - from), from);
        for (ssize_t i = n - 1; i >= 0; i--) {
            if (chunk[i] == '\n' && seen++ == lines) {
                lseek(fd, from + i + 1, SEEK_SET);
                return;
            }
        }
        at = from;
    }
    lseek(fd, 0, SEEK_SET);
}

static bool wanted(const struct cli_line *line, const char *part)
{
    for (size_t i = 0; i < line->operand_count; i++)
        if (strcmp(line->operands[i], part) == 0)
            return true;
    return line->operand_count == 0;
}

static void close_logs(struct log_view *view)
{
    for (size_t i = 0; i < view->count; i++) {
        close(view->files[i].fd);
        bv_buf_release(&view->files[i].pending);
    }
    view->count = 0;
}

static int open_logs(const char *folder, const struct cli_line *line, struct log_view *view)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char part[64], path[BV_PATH_MAX];
        size_t size = strlen(entries[i]->d_name);
        snprintf(part, sizeof part, "%.*s", size > 4 ? (int)size - 4 : 0, entries[i]->d_name);
        if (size > 4 && strcmp(entries[i]->d_name + size - 4, ".log") == 0 && wanted(line, part) &&
            view->count < FILES_MAX &&
            bv_path(path, NULL, "%s/%s", folder, entries[i]->d_name) == 0) {
            struct log_file *file = &view->files[view->count];
            *file = (struct log_file){.fd = open(path, O_RDONLY | O_CLOEXEC),
                                      .pending = {.max = LINE_BYTES_MAX}};
            snprintf(file->part, sizeof file->part, "%s", part);
            if (file->fd >= 0)
                view->count++;
            if (strlen(part) > view->width)
                view->width = strlen(part);
        }
        free(entries[i]);
    }
    free(entries);
    return view->count > 0 ? 0 : BV_E_NOT_FOUND;
}

static bool is_open(const struct log_view *view, const char *part)
{
    for (size_t i = 0; i < view->count; i++)
        if (strcmp(view->files[i].part, part) == 0)
            return true;
    return false;
}

/* Says which of the wanted logs is not there. */
static int
check_parts(const char *folder, const struct cli_line *line, const struct log_view *found)
{
    static const struct cli_line everything = {0};
    const char *names[FILES_MAX];
    for (size_t i = 0; i < line->operand_count; i++) {
        struct log_view all = {0};
        if (is_open(found, line->operands[i]))
            continue;
        (void)!open_logs(folder, &everything, &all);
        for (size_t k = 0; k < all.count; k++)
            names[k] = all.files[k].part;
        const char *near = bv_nearest(line->operands[i], names, all.count);
        bv_complain(near ? "no log of '%s' here: did you mean '%s'?"
                         : "no log of '%s' here, see %s",
                    line->operands[i],
                    near ? near : folder);
        close_logs(&all);
        return BV_E_NOT_FOUND;
    }
    return 0;
}

static int follow(const char *folder, struct log_view *view, const volatile int *interrupted)
{
    int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (notify < 0 || inotify_add_watch(notify, folder, IN_MODIFY | IN_DELETE_SELF) < 0) {
        bv_complain("cannot watch %s: %s", folder, strerror(errno));
        return CLI_FAULT;
    }
    while (!*interrupted && access(folder, F_OK) == 0) {
        struct pollfd wait = {.fd = notify, .events = POLLIN};
        char events[4096];
        if (poll(&wait, 1, LOOK_MS) > 0)
            (void)!read(notify, events, sizeof events);
        for (size_t i = 0; i < view->count; i++)
            pump(view, &view->files[i]);
    }
    close(notify);
    return CLI_OK;
}

int cli_logs(int argc, char **argv)
{
    struct cli_line line;
    int rc = cli_read(cli_find("logs"), argc, argv, &line);
    int64_t lines = LINES_DEFAULT;
    char folder[BV_PATH_MAX], logs[BV_PATH_MAX];
    struct bv_error error = {0};
    if (rc != 0)
        return rc == CLI_HELPED ? CLI_OK : CLI_FAULT;
    const char *name = line.values[FLAG_NAME] ? line.values[FLAG_NAME] : "default";
    if (line.values[FLAG_LINES] &&
        bv_bytes_int64(bv_bytes_of(line.values[FLAG_LINES]), 0, LINES_MAX, &lines) < 0) {
        bv_complain(
            "--lines must be a number from 0 to %d, not '%s'", LINES_MAX, line.values[FLAG_LINES]);
        return CLI_FAULT;
    }
    if (bv_stack_folder(name, folder, sizeof folder, &error) < 0 ||
        bv_path(logs, &error, "%s/log", folder) < 0)
        return cli_fault(&error);
    struct log_view view = {0};
    rc = open_logs(logs, &line, &view);
    if (access(logs, F_OK) < 0) {
        bv_complain("no stack '%s' (bv up)", name);
        return CLI_FAULT;
    }
    if (check_parts(logs, &line, &view) < 0) {
        close_logs(&view);
        return CLI_FAULT;
    }
    if (rc < 0) {
        bv_complain("stack '%s' has no logs yet", name);
        return CLI_FAULT;
    }
    for (size_t i = 0; i < view.count; i++) {
        if (lines > 0)
            seek_tail(view.files[i].fd, lines);
        pump(&view, &view.files[i]);
    }
    int status = line.values[FLAG_FOLLOW] ? follow(logs, &view, cli_catch_interrupts()) : CLI_OK;
    close_logs(&view);
    return status;
}
