#include "interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A handler has no argument, so these are the process's. */
static volatile int caught;
static volatile int wake_fd = -1;

static void on_signal(int number)
{
    int saved = errno;
    uint64_t one = 1;
    caught = number;
    if (write(wake_fd, &one, sizeof one) < 0)
        signal(number, SIG_DFL); /* cannot happen: an eventfd takes 2^64-2 of them */
    errno = saved;
}

int interrupt_catch(const volatile int **ret_flag, int *ret_fd)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal,
                               .sa_flags = (int)(SA_RESTART | SA_RESETHAND)};
    if (wake_fd < 0)
        wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        return BV_E_LIMIT;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
    *ret_flag = &caught;
    *ret_fd = wake_fd;
    return 0;
}

void interrupt_end(void)
{
    if (!caught)
        return;
    signal(caught, SIG_DFL);
    raise(caught);
}
