/* Files and folders of the lab: whole-tree operations, atomic writes, and whether another user
 * could reach a path. Invariant: a file written by bv_fs_write appears whole or not at all. All
 * calls block: never on a loop thread. Thread: any (no state). */
#ifndef BV_FS_H
#define BV_FS_H

#include "bv/bytes.h"
#include <sys/types.h>

#define BV_PATH_MAX 512 /* bytes with NUL of any path the lab makes; longer ones are BV_E_LIMIT */

/* Formats a path into out. Errors: BV_E_LIMIT when it does not fit. */
BV_MUST_CHECK int bv_path(char out[BV_PATH_MAX], struct bv_error *error, const char *format, ...)
    BV_PRINTF(3, 4);

/* Creates folder path and its missing parents with mode; an existing folder keeps its mode.
 * Errors: BV_E_IO with the path and reason. */
BV_MUST_CHECK int bv_fs_mkdirs(const char *path, mode_t mode, struct bv_error *error);

/* Creates folder path, or accepts it when it is a real folder (no symbolic link) of this user that
 * nobody else may write; sets mode. For folders with a guessable name in shared places. Errors:
 * BV_E_FORBIDDEN when it is somebody else's, BV_E_IO. */
BV_MUST_CHECK int bv_fs_own_folder(const char *path, mode_t mode, struct bv_error *error);

/* Copies the tree from to the folder to, which must not exist: modes and modification times are
 * kept, owners are the caller's. Errors: BV_E_IO; what was copied by then stays. */
BV_MUST_CHECK int bv_fs_copy_tree(const char *from, const char *to, struct bv_error *error);

/* Makes to another name of the file from, or a copy of it where a link is refused (another file
 * system); to is replaced. Errors: BV_E_IO. */
BV_MUST_CHECK int bv_fs_link_or_copy(const char *from, const char *to, struct bv_error *error);

/* Removes the tree; symbolic links are removed, not followed. A missing path is fine. Errors:
 * BV_E_IO for the first that resists. */
BV_MUST_CHECK int bv_fs_remove_tree(const char *path, struct bv_error *error);

/* Replaces path by bytes: temporary file beside it, rename. Errors: BV_E_IO. */
BV_MUST_CHECK int
bv_fs_write(const char *path, struct bv_bytes bytes, mode_t mode, struct bv_error *error);

/* Appends the whole file to buf, then a NUL that size does not count.
 * Errors: BV_E_NOT_FOUND, BV_E_TOO_LARGE over buf->max, BV_E_IO. */
BV_MUST_CHECK int bv_fs_read(const char *path, struct bv_buf *buf, struct bv_error *error);

/* Whether user uid could use path with how (R_OK, W_OK, X_OK as in access(2)), parents included:
 * tried in a child that becomes that user. True without trying when uid is the caller's. */
bool bv_fs_reachable(const char *path, int how, uid_t uid, gid_t gid);

/* Bytes free for this user on the file system of path or its nearest existing parent; -1 when
 * unknown. */
int64_t bv_fs_free_bytes(const char *path);

/* Bytes used by the files below path (blocks, not lengths); 0 when it is missing. */
int64_t bv_fs_used_bytes(const char *path);

#endif
