/* What a machine must have to run a stack, as a table of checks, each with its remedy.
 * Effect: checks only look (some in forked children); nothing is installed, started or changed.
 * Thread: main. */
#ifndef STACK_DOCTOR_H
#define STACK_DOCTOR_H

#include <stddef.h>

enum bv_finding {
    BV_FINDING_OK,
    BV_FINDING_NOTE,
    BV_FINDING_MISSING
}; /* NOTE: works, but read this */
struct bv_diagnosis {
    const char *what; /* static */
    enum bv_finding finding;
    char text[200];  /* what was found */
    const char *fix; /* static; what to do, "" when ok */
};
size_t bv_doctor_count(void);
/* Runs check number index, below bv_doctor_count(). */
struct bv_diagnosis bv_doctor_check(size_t index);

#endif
