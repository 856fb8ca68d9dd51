#include "cli.h"

#include "stack_doctor.h"

#include "bv/terminal.h"

int cli_doctor(int argc, char **argv)
{
    static const struct {
        const char *word;
        enum bv_colour colour;
    } looks[] = {
        [BV_FINDING_OK] = {"ok",      BV_GREEN },
        [BV_FINDING_NOTE] = {"note",    BV_YELLOW},
        [BV_FINDING_MISSING] = {"MISSING", BV_RED   }
    };
    struct cli_line line;
    int rc = cli_read(cli_find("doctor"), argc, argv, &line);
    if (rc != 0)
        return rc == CLI_HELPED ? CLI_OK : CLI_FAULT;
    int status = CLI_OK;
    for (size_t i = 0; i < bv_doctor_count(); i++) {
        const struct bv_diagnosis d = bv_doctor_check(i);
        printf("%s%-8s%s %-12s %s\n",
               bv_colour(stdout, looks[d.finding].colour),
               looks[d.finding].word,
               bv_colour_end(stdout),
               d.what,
               d.text);
        if (d.fix[0])
            printf("         %-12s fix: %s\n", "", d.fix);
        if (d.finding == BV_FINDING_MISSING)
            status = CLI_RED;
    }
    return status;
}
