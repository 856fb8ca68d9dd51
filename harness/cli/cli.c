#include "cli.h"

#include "stack.h"

#include "bv/fs.h"
#include "bv/terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- command lines ---- */

void cli_help(const struct cli_command *command)
{
    printf("usage: bv %s %s\n\n%s%s%s.\n",
           command->name,
           command->manual->usage,
           bv_colour(stdout, BV_BOLD),
           command->summary,
           bv_colour_end(stdout));
    if (command->manual->details)
        printf("\n%s", command->manual->details);
    if (command->manual->flag_count)
        printf("\noptions:\n");
    for (size_t i = 0; i < command->manual->flag_count; i++) {
        const struct cli_flag *flag = &command->manual->flags[i];
        char left[64];
        snprintf(left,
                 sizeof left,
                 "%c%c%s%s%s%s",
                 flag->letter ? '-' : ' ',
                 flag->letter ? flag->letter : ' ',
                 flag->letter ? ", " : "  ",
                 flag->name,
                 flag->value ? " " : "",
                 flag->value ? flag->value : "");
        printf("  %-26s %s\n", left, flag->help);
    }
    if (command->manual->more_help)
        command->manual->more_help();
}

static int unknown_flag(const struct cli_command *command, const char *word, size_t size)
{
    char flag[64];
    const char *names[CLI_FLAGS_MAX];
    snprintf(flag, sizeof flag, "%.*s", (int)size, word);
    for (size_t i = 0; i < command->manual->flag_count; i++)
        names[i] = command->manual->flags[i].name;
    const char *near = bv_nearest(flag, names, command->manual->flag_count);
    if (near)
        bv_complain("%s: no option '%s': did you mean '%s'?", command->name, flag, near);
    else
        bv_complain("%s: no option '%s' (bv help %s)", command->name, flag, command->name);
    return BV_E_INVALID;
}

static size_t find_flag(const struct cli_command *command, const char *word, size_t size)
{
    for (size_t i = 0; i < command->manual->flag_count; i++) {
        const struct cli_flag *flag = &command->manual->flags[i];
        if (strlen(flag->name) == size && strncmp(flag->name, word, size) == 0)
            return i;
        if (flag->letter && size == 2 && word[1] == flag->letter)
            return i;
    }
    return command->manual->flag_count;
}

/* One option at argv[*at]; moves *at over a value of its own. */
static int
read_flag(const struct cli_command *command, int argc, char **argv, int *at, struct cli_line *line)
{
    const char *word = argv[*at];
    size_t size = strcspn(word, "=");
    size_t index = find_flag(command, word, size);
    if (index == command->manual->flag_count)
        return unknown_flag(command, word, size);
    const struct cli_flag *flag = &command->manual->flags[index];
    if (!flag->value && word[size] == '=') {
        bv_complain("%s: %s takes no value", command->name, flag->name);
        return BV_E_INVALID;
    }
    if (!flag->value) {
        line->values[index] = "";
        return 0;
    }
    if (word[size] == '=') {
        line->values[index] = word + size + 1;
        return 0;
    }
    if (*at + 1 >= argc) {
        bv_complain("%s: %s needs a value (%s)", command->name, flag->name, flag->value);
        return BV_E_INVALID;
    }
    line->values[index] = argv[++*at];
    return 0;
}

int cli_read(const struct cli_command *command, int argc, char **argv, struct cli_line *ret_line)
{
    *ret_line = (struct cli_line){0};
    assert(command->manual->flag_count <= CLI_FLAGS_MAX);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            cli_help(command);
            return CLI_HELPED;
        }
        if (strcmp(argv[i], "--") == 0) {
            ret_line->rest = argv + i + 1;
            return 0;
        }
        if (argv[i][0] == '-' && argv[i][1]) {
            BV_TRY(read_flag(command, argc, argv, &i, ret_line));
        } else if (command->manual->words == CLI_WORDS_NONE) {
            bv_complain("%s: what is '%s'? (bv help %s)", command->name, argv[i], command->name);
            return BV_E_INVALID;
        } else if (ret_line->operand_count < CLI_OPERANDS_MAX) {
            ret_line->operands[ret_line->operand_count++] = argv[i];
        } else {
            bv_complain("%s: more than %d words", command->name, CLI_OPERANDS_MAX);
            return BV_E_INVALID;
        }
    }
    return 0;
}

int cli_fault(const struct bv_error *error)
{
    bv_complain("%s", error->text[0] ? error->text : bv_error_row(error->code)->title);
    return CLI_FAULT;
}

size_t cli_split(char *list, const char **out, size_t max)
{
    size_t count = 0;
    for (char *at = list; at && *at && count < max;) {
        char *end = strchr(at, ',');
        if (end)
            *end = '\0';
        if (*at)
            out[count++] = at;
        at = end ? end + 1 : NULL;
    }
    return count;
}

/* ---- starting stacks ---- */

static int64_t memory_available(void)
{
    long long kib = -1;
    char line[128];
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %lld kB", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib < 0 ? -1 : kib * 1024;
}

int cli_announce(const struct bv_stack_spec *spec, struct bv_error *error)
{
    struct bv_stack_needs needs;
    char folder[BV_PATH_MAX], ram[BV_HUMAN_SIZE], disk[BV_HUMAN_SIZE];
    BV_TRY(bv_stack_resolve(spec->wanted, spec->wanted_count, &needs, error));
    BV_TRY(bv_stack_folder(spec->name ? spec->name : "default", folder, sizeof folder, error));
    int64_t ram_free = memory_available(), disk_free = bv_fs_free_bytes(folder);
    fprintf(
        stderr,
        "%sneeds about %d MB RAM (%s available), %d MB disk (%s free), %d ports on 127.0.0.1%s\n",
        bv_colour(stderr, BV_DIM),
        needs.memory_mb,
        bv_human_bytes(ram_free, ram),
        needs.disk_mb,
        bv_human_bytes(disk_free, disk),
        needs.ports,
        bv_colour_end(stderr));
    if (ram_free >= 0 && ram_free < (int64_t)needs.memory_mb * 1000000)
        bv_complain("warning: less memory is available than the stack needs");
    if (disk_free >= 0 && disk_free < (int64_t)needs.disk_mb * 1000000)
        return bv_fail(error, BV_E_LIMIT, "too little space in %s: set BV_RUN", folder);
    return 0;
}

void cli_progress(void *argument, const struct bv_stack_event *event)
{
    struct cli_progress *progress = argument;
    static const struct {
        const char *state;
        enum bv_colour colour;
    } rows[] = {
        {"ready",    BV_GREEN },
        {"failed",   BV_RED   },
        {"ended",    BV_RED   },
        {"retry",    BV_YELLOW},
        {"warning",  BV_YELLOW},
        {"stopped",  BV_DIM   },
        {"building", BV_YELLOW},
    };
    char time[BV_HUMAN_SIZE];
    if (strcmp(event->state, "failed") == 0 && !progress->failed_part[0])
        snprintf(progress->failed_part, sizeof progress->failed_part, "%s", event->part);
    for (size_t i = 0; i < BV_COUNT(rows) && event->part[0]; i++) {
        if (strcmp(rows[i].state, event->state) != 0)
            continue;
        bool stop = strcmp(event->state, "stopped") == 0;
        fprintf(stderr,
                "  %-16s %s%-8s%s %8s  %s\n",
                event->part,
                bv_colour(stderr, rows[i].colour),
                event->state,
                bv_colour_end(stderr),
                stop ? "" : bv_human_ms(event->ms, time),
                event->text);
    }
}

void cli_show_failure(const char *stack_name, const struct cli_progress *progress)
{
    enum { TAIL_LINES = 12, LOG_BYTES_MAX = 1 << 24 };
    char folder[BV_PATH_MAX], path[BV_PATH_MAX];
    if (!progress->failed_part[0] || !stack_name ||
        bv_stack_folder(stack_name, folder, sizeof folder, NULL) < 0 ||
        bv_path(path, NULL, "%s/log/%s.log", folder, progress->failed_part) < 0)
        return;
    struct bv_buf text = {.max = LOG_BYTES_MAX};
    if (bv_fs_read(path, &text, NULL) == 0 && text.size > 0) {
        const char *at = text.data + text.size;
        for (int lines = 0; at > text.data && lines <= TAIL_LINES; at--)
            lines += at[-1] == '\n';
        while (*at == '\n')
            at++;
        fprintf(stderr,
                "%s--- end of %s%s\n%s",
                bv_colour(stderr, BV_DIM),
                path,
                bv_colour_end(stderr),
                at);
    }
    bv_buf_release(&text);
}

static volatile int interrupted;

static void on_interrupt(int signal_number)
{
    interrupted = signal_number;
}

const volatile int *cli_catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    return &interrupted;
}
