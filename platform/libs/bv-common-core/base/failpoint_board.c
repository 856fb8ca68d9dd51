/* The table of points and the tormentor's side of a board. */
#include "bv/failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

const struct bv_failpoint_row bv_failpoint_rows[BV_FAILPOINT_COUNT] = {
#define BV_X_(symbol, name, services, moment) {name, services, moment},
    BV_FAILPOINTS(BV_X_)
#undef BV_X_
};

int bv_failpoint_find(const char *name, enum bv_failpoint *ret_point)
{
    for (size_t i = 0; i < BV_FAILPOINT_COUNT; i++) {
        if (strcmp(bv_failpoint_rows[i].name, name) == 0) {
            *ret_point = (enum bv_failpoint)i;
            return 0;
        }
    }
    return BV_E_NOT_FOUND;
}

void bv_failpoint_arm(struct bv_failpoint_board *board, enum bv_failpoint point, uint32_t passage)
{
    atomic_store(&board->armed, 0);
    atomic_store(&board->passages, passage);
    atomic_store(&board->armed, (uint32_t)point + 1);
}

void bv_failpoint_disarm(struct bv_failpoint_board *board)
{
    atomic_store(&board->armed, 0);
}

int bv_failpoint_await(struct bv_failpoint_board *board,
                       enum bv_failpoint point,
                       uint32_t before,
                       int64_t timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t until_ns = until.tv_nsec + timeout_ms % 1000 * 1000000;
    until.tv_sec += timeout_ms / 1000 + until_ns / 1000000000;
    until.tv_nsec = until_ns % 1000000000;
    while (atomic_load(&board->fired[point]) == before) {
        long rc = syscall(SYS_futex,
                          &board->fired[point],
                          FUTEX_WAIT_BITSET,
                          before,
                          &until,
                          NULL,
                          FUTEX_BITSET_MATCH_ANY);
        if (rc < 0 && errno == ETIMEDOUT)
            return BV_E_TIMEOUT;
    }
    return 0;
}

int bv_failpoint_board_map(int fd, struct bv_failpoint_board **ret_board)
{
    void *at = mmap(NULL, sizeof **ret_board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return BV_E_IO;
    *ret_board = at;
    return 0;
}

int bv_failpoint_board_make(const char *path,
                            struct bv_failpoint_board **ret_board,
                            struct bv_error *error)
{
    struct bv_failpoint_board *board = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc = fd < 0 || fchmod(fd, 0666) < 0 || ftruncate(fd, sizeof *board) < 0 ? BV_E_IO : 0;
    if (rc == 0)
        rc = bv_failpoint_board_map(fd, &board);
    if (rc < 0)
        rc = bv_fail(error, rc, "cannot make the board %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (rc < 0)
        return rc;
    board->points = BV_FAILPOINT_COUNT;
    board->magic = BV_FAILPOINT_MAGIC;
    *ret_board = board;
    return 0;
}

void bv_failpoint_board_close(struct bv_failpoint_board **board)
{
    if (*board)
        munmap(*board, sizeof **board);
    *board = NULL;
}
