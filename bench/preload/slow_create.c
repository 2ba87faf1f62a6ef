/* slow_create.c - preloaded into hq-workerd: creating a file costs 2 ms.
 *
 * One after the other, as on Lustre: the kernel holds the directory's lock while its server creates the file. The children
 * (tasks) do without it: neither they nor their loader pay for what is measured. */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define CREATE_NS 2000000L

__attribute__((constructor)) static void
forget_preload(void)
{
    (void)unsetenv("LD_PRELOAD");
}

static void
cost(int flags)
{
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    struct timespec span = {.tv_nsec = CREATE_NS};

    if ((flags & O_CREAT) != 0) {
        (void)pthread_mutex_lock(&one);
        (void)nanosleep(&span, NULL);
        (void)pthread_mutex_unlock(&one);
    }
}

typedef int (*open_fn)(const char *, int, ...);
typedef int (*openat_fn)(int, const char *, int, ...);

#define MODE_OF(last)                                                                                                  \
    va_list ap;                                                                                                        \
    va_start(ap, last);                                                                                                \
    mode_t mode = (last & O_CREAT) != 0 ? va_arg(ap, mode_t) : 0;                                                      \
    va_end(ap)

int
open(const char *path, int flags, ...)
{
    MODE_OF(flags);
    union {
        void *object;
        open_fn fn;
    } real = {dlsym(RTLD_NEXT, "open")};
    cost(flags);
    return real.fn(path, flags, mode);
}

int
openat(int dir, const char *path, int flags, ...)
{
    MODE_OF(flags);
    union {
        void *object;
        openat_fn fn;
    } real = {dlsym(RTLD_NEXT, "openat")};
    cost(flags);
    return real.fn(dir, path, flags, mode);
}
