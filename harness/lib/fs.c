#include "bv/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <dirent.h>
#include <unistd.h>

enum { FTW_DESCRIPTORS = 16, COPY_CHUNK_BYTES = 1 << 20 };

static int io_fail(struct bv_error *error, const char *what, const char *path)
{
    return bv_fail(error, BV_E_IO, "%s %s: %s", what, path, strerror(errno));
}

int bv_path(char out[BV_PATH_MAX], struct bv_error *error, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int n = vsnprintf(out, BV_PATH_MAX, format, list);
    va_end(list);
    if (n < 0 || n >= BV_PATH_MAX)
        return bv_fail(
            error, BV_E_LIMIT, "path longer than %d bytes: %.80s...", BV_PATH_MAX - 1, out);
    return 0;
}

int bv_fs_mkdirs(const char *path, mode_t mode, struct bv_error *error)
{
    char part[BV_PATH_MAX];
    BV_TRY(bv_path(part, error, "%s", path));
    for (char *at = part + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char kept = *at;
        *at = '\0';
        if (mkdir(part, mode) < 0 && errno != EEXIST)
            return io_fail(error, "cannot create folder", part);
        *at = kept;
        if (kept == '\0')
            return 0;
    }
}

int bv_fs_own_folder(const char *path, mode_t mode, struct bv_error *error)
{
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return io_fail(error, "cannot create folder", path);
    struct stat st;
    if (lstat(path, &st) < 0)
        return io_fail(error, "cannot inspect", path);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
        return bv_fail(error,
                       BV_E_FORBIDDEN,
                       "%s must be a folder of uid %u that only it can write; remove it",
                       path,
                       geteuid());
    if (chmod(path, mode) < 0)
        return io_fail(error, "cannot set the mode of", path);
    return 0;
}

static int copy_bytes(int in, int out)
{
    for (;;) {
        ssize_t n = copy_file_range(in, NULL, out, NULL, COPY_CHUNK_BYTES, 0);
        if (n == 0)
            return 0;
        if (n < 0)
            break;
    }
    if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
        return -1;
    static char chunk[65536];
    for (;;) {
        ssize_t n = read(in, chunk, sizeof chunk);
        if (n <= 0)
            return n < 0 ? -1 : 0;
        for (ssize_t done = 0; done < n;) {
            ssize_t w = write(out, chunk + done, (size_t)(n - done));
            if (w < 0)
                return -1;
            done += w;
        }
    }
}

static int
copy_file(const char *from, const char *to, const struct stat *st, struct bv_error *error)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return io_fail(error, "cannot read", from);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st->st_mode & 07777);
    int rc = 0;
    if (out < 0)
        rc = io_fail(error, "cannot create", to);
    else if (copy_bytes(in, out) < 0)
        rc = io_fail(error, "cannot copy to", to);
    if (out >= 0) {
        struct timespec times[2] = {st->st_atim, st->st_mtim};
        if (rc == 0 && futimens(out, times) < 0)
            rc = io_fail(error, "cannot set the time of", to);
        close(out);
    }
    close(in);
    return rc;
}

static int copy_link(const char *from, const char *to, struct bv_error *error)
{
    char target[BV_PATH_MAX];
    ssize_t n = readlink(from, target, sizeof target - 1);
    if (n < 0)
        return io_fail(error, "cannot read", from);
    target[n] = '\0';
    if (symlink(target, to) < 0)
        return io_fail(error, "cannot create", to);
    return 0;
}

static int
copy_folder(const char *from, const char *to, const struct stat *st, struct bv_error *error)
{
    if (mkdir(to, (st->st_mode & 07777) | S_IRWXU) < 0)
        return io_fail(error, "cannot create folder", to);
    DIR *folder = opendir(from);
    if (!folder)
        return io_fail(error, "cannot read folder", from);
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(folder));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char below_from[BV_PATH_MAX], below_to[BV_PATH_MAX];
        rc = bv_path(below_from, error, "%s/%s", from, entry->d_name);
        if (rc == 0)
            rc = bv_path(below_to, error, "%s/%s", to, entry->d_name);
        if (rc == 0)
            rc = bv_fs_copy_tree(below_from, below_to, error);
    }
    closedir(folder);
    return rc;
}

int bv_fs_copy_tree(const char *from, const char *to, struct bv_error *error)
{
    struct stat st;
    if (lstat(from, &st) < 0)
        return io_fail(error, "cannot inspect", from);
    if (S_ISDIR(st.st_mode))
        return copy_folder(from, to, &st, error);
    if (S_ISLNK(st.st_mode))
        return copy_link(from, to, error);
    if (S_ISREG(st.st_mode))
        return copy_file(from, to, &st, error);
    return 0; /* sockets and pipes mean nothing in a copy */
}

int bv_fs_link_or_copy(const char *from, const char *to, struct bv_error *error)
{
    if (unlink(to) < 0 && errno != ENOENT)
        return io_fail(error, "cannot replace", to);
    if (linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    struct stat st;
    if (stat(from, &st) < 0)
        return io_fail(error, "cannot inspect", from);
    return copy_file(from, to, &st, error);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st, (void)walk;
    int rc = type == FTW_DP || type == FTW_DNR ? rmdir(path) : unlink(path);
    return rc < 0 && errno != ENOENT ? -1 : 0;
}

int bv_fs_remove_tree(const char *path, struct bv_error *error)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : io_fail(error, "cannot inspect", path);
    if (nftw(path, remove_entry, FTW_DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
        return io_fail(error, "cannot remove", path);
    return 0;
}

int bv_fs_write(const char *path, struct bv_bytes bytes, mode_t mode, struct bv_error *error)
{
    char temporary[BV_PATH_MAX];
    BV_TRY(bv_path(temporary, error, "%s.tmp%d", path, (int)getpid()));
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return io_fail(error, "cannot create", temporary);
    int rc = fchmod(fd, mode);
    for (size_t done = 0; rc == 0 && done < bytes.size;) {
        ssize_t n = write(fd, bytes.data + done, bytes.size - done);
        if (n < 0)
            rc = -1;
        else
            done += (size_t)n;
    }
    if (close(fd) < 0 || rc < 0 || rename(temporary, path) < 0) {
        rc = io_fail(error, "cannot write", path);
        unlink(temporary);
        return rc;
    }
    return 0;
}

int bv_fs_read(const char *path, struct bv_buf *buf, struct bv_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? bv_fail(error, BV_E_NOT_FOUND, "%s does not exist", path)
                               : io_fail(error, "cannot read", path);
    char chunk[16384];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof chunk)) > 0)
        bv_buf_append(buf, chunk, (size_t)n);
    int rc = n < 0 ? io_fail(error, "cannot read", path) : 0;
    close(fd);
    if (rc == 0 && bv_buf_char(buf, '\0') < 0)
        rc = bv_fail(error, BV_E_TOO_LARGE, "%s is larger than %zu bytes", path, buf->max);
    if (rc == 0)
        buf->size--;
    return rc;
}

bool bv_fs_reachable(const char *path, int how, uid_t uid, gid_t gid)
{
    if (uid == geteuid())
        return access(path, how) == 0;
    pid_t pid = fork();
    if (pid < 0)
        return false;
    if (pid == 0) {
        if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
            _exit(2);
        _exit(access(path, how) == 0 ? 0 : 1);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int64_t bv_fs_free_bytes(const char *path)
{
    char part[BV_PATH_MAX];
    if (bv_path(part, NULL, "%s", path) < 0)
        return -1;
    for (;;) {
        struct statvfs vfs;
        if (statvfs(part, &vfs) == 0)
            return (int64_t)vfs.f_bavail * (int64_t)vfs.f_frsize;
        char *slash = strrchr(part, '/');
        if (!slash)
            return -1;
        slash[slash == part ? 1 : 0] = '\0';
    }
}

int64_t bv_fs_used_bytes(const char *path)
{
    DIR *folder = opendir(path);
    struct stat st;
    if (!folder)
        return lstat(path, &st) == 0 ? (int64_t)st.st_blocks * 512 : 0;
    int64_t sum = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char below[BV_PATH_MAX];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            bv_path(below, NULL, "%s/%s", path, entry->d_name) < 0 || lstat(below, &st) < 0)
            continue;
        sum += S_ISDIR(st.st_mode) ? bv_fs_used_bytes(below) : (int64_t)st.st_blocks * 512;
    }
    closedir(folder);
    return sum;
}
