/* The process under test: where it dies. */
#include "bv/failpoint.h"

#ifdef BV_TEST_SWITCHES

#include "bv/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <linux/futex.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A crash point is a property of the process, as a signal is: the one place where state is global,
 * and only test builds reach it. */
static struct bv_failpoint_board own_board = {.magic = BV_FAILPOINT_MAGIC,
                                              .points = BV_FAILPOINT_COUNT};
struct bv_failpoint_board *bv_failpoint_board = &own_board;

void bv_failpoint_reached(enum bv_failpoint point)
{
    struct bv_failpoint_board *board = bv_failpoint_board;
    struct timespec now;
    if (atomic_fetch_sub(&board->passages, 1) != 1)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    atomic_store(&board->armed, 0);
    atomic_store(&board->fired_at_us, (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    atomic_fetch_add(&board->fired[point], 1);
    syscall(SYS_futex, &board->fired[point], FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
    kill(getpid(), SIGKILL);
    for (;;)
        pause(); /* the signal is on its way: nothing may run after the point */
}

/* ---- arming by environment ---- */

bool bv_failpoints_compiled(void)
{
    return true;
}

static int board_attach(const char *path, struct bv_error *error)
{
    struct bv_failpoint_board *board = NULL;
    struct stat facts;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return bv_fail(
            error, BV_E_IO, "BV_FAILPOINT_FILE: cannot open %s: %s", path, strerror(errno));
    bool whole = fstat(fd, &facts) == 0 && facts.st_size == (off_t)sizeof *board;
    int rc = whole ? bv_failpoint_board_map(fd, &board) : 0;
    close(fd);
    if (rc < 0)
        return bv_fail(error, rc, "BV_FAILPOINT_FILE: cannot map %s", path);
    if (!board || board->magic != BV_FAILPOINT_MAGIC || board->points != BV_FAILPOINT_COUNT) {
        bv_failpoint_board_close(&board);
        return bv_fail(
            error, BV_E_INVALID, "BV_FAILPOINT_FILE: %s is no board of this build", path);
    }
    bv_failpoint_board = board;
    return 0;
}

static int arm_by_name(const char *text, struct bv_error *error)
{
    char name[64];
    enum bv_failpoint point;
    int64_t passage = 1;
    const char *at = strchrnul(text, '@');
    struct bv_bytes count = bv_bytes_of(*at ? at + 1 : "1");
    size_t size = (size_t)(at - text);
    if (size >= sizeof name)
        return bv_fail(error, BV_E_INVALID, "BV_FAILPOINT: no crash point '%.60s'", text);
    memcpy(name, text, size);
    name[size] = '\0';
    if (bv_failpoint_find(name, &point) < 0)
        return bv_fail(error, BV_E_INVALID, "BV_FAILPOINT: no crash point '%s'", name);
    if (bv_bytes_int64(count, 1, INT32_MAX, &passage) < 0)
        return bv_fail(
            error, BV_E_INVALID, "BV_FAILPOINT: '%.60s' wants NAME or NAME@PASSAGE", text);
    bv_failpoint_arm(bv_failpoint_board, point, (uint32_t)passage);
    return 0;
}

int bv_failpoint_start(struct bv_error *error)
{
    const char *file = getenv("BV_FAILPOINT_FILE");
    const char *name = getenv("BV_FAILPOINT");
    if (file && *file)
        BV_TRY(board_attach(file, error));
    return name && *name ? arm_by_name(name, error) : 0;
}

#else

bool bv_failpoints_compiled(void)
{
    return false;
}

int bv_failpoint_start(struct bv_error *error)
{
    (void)error;
    return 0;
}

#endif
