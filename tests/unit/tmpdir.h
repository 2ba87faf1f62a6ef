/* tmpdir.h - a directory of its own for a test, removed with everything in it. */
#ifndef HQ_TESTS_UNIT_TMPDIR_H
#define HQ_TESTS_UNIT_TMPDIR_H

/* Heap path below /tmp; aborts when it can't be made. */
char *tmpdir_make(void);
void tmpdir_remove(char *path); /* also frees it; NULL is fine */

#endif
