/* Ctrl-C, SIGTERM and SIGHUP of a run. The first one is noted and makes a descriptor readable; a
 * second one ends the process at once. Thread: main. */
#ifndef BV_INTERRUPT_H
#define BV_INTERRUPT_H

#include "bv/error.h"

/* Catches them from now on. *ret_flag becomes the number of the signal; *ret_fd becomes readable;
 * both live as long as the process. Errors: BV_E_LIMIT. */
BV_MUST_CHECK int interrupt_catch(const volatile int **ret_flag, int *ret_fd);
/* Ends the process by the signal that was caught, as a shell expects it; returns when there was
 * none. */
void interrupt_end(void);

#endif
