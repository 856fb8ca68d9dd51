/* For plain test programs, those that run without a framework: a condition that does not hold ends
 * the process with exit status 1 and its place on stderr. */
#ifndef BV_CHECK_H
#define BV_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#endif
