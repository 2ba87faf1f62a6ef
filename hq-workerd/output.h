/* output.h - files that tasks write to: made with their directories, truncated or replaced, removed when asked.
 *
 * Purpose    what a task's stdout and stderr become, with the error texts that users know.
 * Ownership  returned fds are the caller's (CLOEXEC, above 2).
 * Threads    launcher threads only: the files may lie on a shared filesystem that hangs.
 * Errors     negative errno; -EMFILE, -ENFILE and -ENOMEM mean "not now". OUTPUT_STEP_DIR: the directory could not be made.
 */
#ifndef HQ_WORKERD_OUTPUT_H
#define HQ_WORKERD_OUTPUT_H

#include "common/err.h"
#include "common/str.h"

enum output_step {
    OUTPUT_STEP_DIR,
    OUTPUT_STEP_FILE,
};

/* Opens `path` for writing, empty. Missing directories are made. `is_later` (instance above 0): a regular file that is
 * there gets out of the way first, so that an older instance that still runs somewhere cannot write into ours. */
HQ_MUST_CHECK int output_open(const char *path, bool is_later, enum output_step *ret_step);
/* Removes the file if it is a regular one. */
void output_remove(const char *path);
/* Makes the directory and its parents; what is there already is fine. The errors are those of Rust's create_dir_all,
 * which users' scripts have seen: -EEXIST for a file in the place of the last directory. */
HQ_MUST_CHECK int output_mkdirs(const char *path);
/* Appends "Os { code: 20, kind: NotADirectory, message: \"Not a directory\" }". */
void output_print_os(struct hq_buf *out, int error);
/* Appends the text of a directory that could not be made: "Cannot create stdout directory at File { path: ... }: Os ...". */
void output_print_dir_error(struct hq_buf *out, const char *stream, const char *path, bool remove_if_finished, int error);

#endif
