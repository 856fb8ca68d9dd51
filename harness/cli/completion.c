#include "cli.h"

#include "stack.h"

#include "bv/terminal.h"

#include <stdio.h>

static void print_words(const struct cli_command *command)
{
    if (command->manual->words == CLI_WORDS_PARTS)
        for (size_t i = 0; i < bv_stack_choice_count(); i++)
            printf(" %s", bv_stack_choice(i).name);
    if (command->manual->words == CLI_WORDS_COMMANDS)
        for (size_t i = 0; i < cli_command_count; i++)
            printf(" %s", cli_commands[i].name);
}

/* One case per row of the command table: options and operands. */
int cli_completion(int argc, char **argv)
{
    if (argc != 2 || strcmp(argv[1], "bash") != 0) {
        bv_complain("say the shell: bv completion bash");
        return CLI_FAULT;
    }
    printf("_bv() {\n    local word=${COMP_WORDS[COMP_CWORD]} words=\n    if [ \"$COMP_CWORD\" -eq "
           "1 ]; then\n        words='");
    for (size_t i = 0; i < cli_command_count; i++)
        printf("%s%s", i ? " " : "", cli_commands[i].name);
    printf("'\n    else\n        case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = &cli_commands[i];
        printf("            %s) words='--help", command->name);
        for (size_t f = 0; f < command->manual->flag_count; f++)
            printf(" %s", command->manual->flags[f].name);
        print_words(command);
        printf("' ;;\n");
    }
    printf("        esac\n    fi\n    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- "
           "\"$word\")\n}\n"
           "complete -o default -F _bv bv\n");
    return CLI_OK;
}
