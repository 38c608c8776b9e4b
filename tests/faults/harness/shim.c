/* Faults at single calls of a file system, for processes started with LD_PRELOAD.
 *
 * The environment variable FAULT_CONTROL names a file of struct control, which the test maps too
 * and writes while the process runs. A call counts when it is of the `kinds` asked for and its path
 * (for descriptors: the path that /proc/self/fd shows) contains `path`, whichever thread makes it: that
 * is what strace's injection cannot do, it counts for each thread apart. The call number `armed` is hit,
 * once; with `lasting` those behind it, too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { NONE, KILL, TORN, EIO_ONCE, ENOSPC_ONCE };
enum { WRITES = 1, NAMES = 2, READS = 4 }; /* NAMES: fsyncs, too, and whatever else changes something */

struct control { /* shim.py: LAYOUT */
    _Atomic int64_t armed;  /* counts down; the call that takes it to 0 is hit */
    _Atomic int64_t action;
    _Atomic int64_t seen;   /* calls that counted */
    _Atomic int64_t fired;  /* calls that were hit */
    _Atomic int64_t fsync_us;   /* every fsync of a matching path takes this much longer */
    _Atomic int64_t clock_ns;   /* added to the wall clock */
    _Atomic int64_t mirror;     /* whether fsyncs are mirrored, see below */
    _Atomic int64_t kinds;
    _Atomic int64_t lasting;
    _Atomic int64_t write_us;   /* every write to a matching path takes this much longer */
    char path[256];
    char hit[512];          /* the call that was hit, and its path */
};

static struct control *control;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }
#define REAL(type, name, ...) \
    static type (*next)(__VA_ARGS__); \
    if (!next) next = (type (*)(__VA_ARGS__))real(name)

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("FAULT_CONTROL");
    int fd = name ? (int)syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) control = map;
    close(fd);
}

static const char *path_of(int fd, char *buffer, size_t size) {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, buffer, size - 1);
    buffer[length > 0 ? length : 0] = 0;
    return buffer;
}

/* What happens at this call: NONE, or an action that was armed for it. KILL does not return. */
static int strike(int kind, const char *call, const char *path) {
    if (!(atomic_load(&control->kinds) & kind) || !control->path[0] || !strstr(path, control->path)) return NONE;
    atomic_fetch_add(&control->seen, 1);
    int again = atomic_load(&control->lasting) && atomic_load(&control->fired) > 0;
    if (!again && (atomic_load(&control->armed) <= 0 || atomic_fetch_sub(&control->armed, 1) != 1)) return NONE;
    snprintf(control->hit, sizeof control->hit, "%s %s", call, path);
    atomic_fetch_add(&control->fired, 1);
    int action = (int)atomic_load(&control->action);
    if (action == KILL) kill(getpid(), SIGKILL);
    return action;
}

static int refused(int action) {
    errno = action == ENOSPC_ONCE ? ENOSPC : EIO;
    return -1;
}

static int strike_fd(int kind, const char *call, int fd) {
    if (!control || !control->path[0] || !(atomic_load(&control->kinds) & kind)) return NONE;
    int saved = errno;
    char path[4096];
    int action = strike(kind, call, path_of(fd, path, sizeof path));
    errno = saved;
    return action;
}

static int strike_path(const char *call, const char *path) {
    return control && path ? strike(NAMES, call, path) : NONE;
}

static void delay(int fd, int64_t us) {
    char path[4096];
    if (us > 0 && control->path[0] && strstr(path_of(fd, path, sizeof path), control->path)) {
        struct timespec time = {us / 1000000, us % 1000000 * 1000};
        nanosleep(&time, NULL);
    }
}

static void delay_fsync(int fd) {
    if (control) delay(fd, atomic_load(&control->fsync_us));
}

static void delay_write(int fd) {
    int saved = errno;
    if (control) delay(fd, atomic_load(&control->write_us));
    errno = saved;
}

/* A write that is hit: TORN writes half of it and dies, like a process killed within the call. */
static int torn(int action) { return action == TORN; }
static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    int action = strike_fd(WRITES, "write", fd);
    delay_write(fd);
    if (torn(action)) { (void)!next(fd, data, size / 2); die(); }
    return action ? refused(action) : next(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    int action = strike_fd(WRITES, "pwrite", fd);
    delay_write(fd);
    if (torn(action)) { (void)!next(fd, data, size / 2, at); die(); }
    return action ? refused(action) : next(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return pwrite(fd, data, size, at); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    int action = strike_fd(WRITES, "writev", fd);
    delay_write(fd);
    if (torn(action)) { (void)!next(fd, parts, count / 2); die(); }
    return action ? refused(action) : next(fd, parts, count);
}

ssize_t read(int fd, void *data, size_t size) {
    REAL(ssize_t, "read", int, void *, size_t);
    int action = strike_fd(READS, "read", fd);
    return action ? refused(action) : next(fd, data, size);
}

ssize_t pread(int fd, void *data, size_t size, off_t at) {
    REAL(ssize_t, "pread", int, void *, size_t, off_t);
    int action = strike_fd(READS, "pread", fd);
    return action ? refused(action) : next(fd, data, size, at);
}

ssize_t pread64(int fd, void *data, size_t size, off64_t at) { return pread(fd, data, size, at); }

/* The other calls: all of it or nothing, so TORN is a kill after the call. */
#define WHOLE(action, call) \
    if (torn(action)) { (void)!(call); die(); } \
    return (action) ? refused(action) : (call)

/* What a power cut leaves: FAULT_MIRROR is a copy of the directory FAULT_ROOT in which a file has
 * the content of its last fsync. Names are not lost, as with a journalling file system. */
static const char *mirrored(const char *path, char *buffer, size_t size) {
    const char *root = getenv("FAULT_ROOT"), *mirror = getenv("FAULT_MIRROR");
    if (!control || !atomic_load(&control->mirror) || !root || !mirror || !path) return NULL;
    size_t length = strlen(root);
    if (strncmp(path, root, length) || (path[length] != '/' && path[length])) return NULL;
    snprintf(buffer, size, "%s%s", mirror, path + length);
    return buffer;
}

static void mirror_fsync(int fd) {
    char path[4096], copy[4096], draft[4096];
    struct stat is;
    int saved = errno;
    if (mirrored(path_of(fd, path, sizeof path), copy, sizeof copy) && !fstat(fd, &is) && S_ISREG(is.st_mode)) {
        REAL(int, "rename", const char *, const char *);
        snprintf(draft, sizeof draft, "%s/.draft-%ld", getenv("FAULT_MIRROR"), (long)syscall(SYS_gettid));
        int from = open(path, O_RDONLY | O_CLOEXEC), to = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        ssize_t copied = 1;
        while (from >= 0 && to >= 0 && copied > 0) copied = copy_file_range(from, NULL, to, NULL, 1 << 30, 0);
        if (from >= 0) close(from);
        if (to >= 0) close(to);
        if (to >= 0 && copied == 0) next(draft, copy); /* a copy is whole or not there */
    }
    errno = saved;
}

int fsync(int fd) {
    REAL(int, "fsync", int);
    int action = strike_fd(NAMES, "fsync", fd);
    delay_fsync(fd);
    if (!action) mirror_fsync(fd);
    WHOLE(action, next(fd));
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    int action = strike_fd(NAMES, "fdatasync", fd);
    delay_fsync(fd);
    if (!action) mirror_fsync(fd);
    WHOLE(action, next(fd));
}

#define MIRROR(path, ...) \
    char copy_[4096]; \
    if (!action && mirrored(path, copy_, sizeof copy_)) { int saved_ = errno; __VA_ARGS__; errno = saved_; }

static void mirror_rename(const char *from, const char *to) {
    char a[4096], b[4096];
    REAL(int, "rename", const char *, const char *);
    int saved = errno;
    if (mirrored(from, a, sizeof a) && mirrored(to, b, sizeof b)) next(a, b);
    errno = saved;
}

int ftruncate(int fd, off_t size) {
    REAL(int, "ftruncate", int, off_t);
    int action = strike_fd(NAMES, "ftruncate", fd);
    WHOLE(action, next(fd, size));
}

int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    int action = strike_path("rename", to);
    if (!action) mirror_rename(from, to);
    WHOLE(action, next(from, to));
}

int renameat(int a, const char *from, int b, const char *to) {
    REAL(int, "renameat", int, const char *, int, const char *);
    int action = strike_path("rename", to);
    if (!action) mirror_rename(from, to);
    WHOLE(action, next(a, from, b, to));
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    REAL(int, "renameat2", int, const char *, int, const char *, unsigned);
    int action = strike_path("rename", to);
    if (!action) mirror_rename(from, to);
    WHOLE(action, next(a, from, b, to, flags));
}

int link(const char *from, const char *to) {
    REAL(int, "link", const char *, const char *);
    int action = strike_path("link", to);
    char copy[4096], other[4096];
    if (!action && mirrored(from, copy, sizeof copy) && mirrored(to, other, sizeof other)) (void)next(copy, other);
    WHOLE(action, next(from, to));
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    int action = strike_path("mkdir", path);
    MIRROR(path, next(copy_, mode));
    WHOLE(action, next(path, mode));
}

int rmdir(const char *path) {
    REAL(int, "rmdir", const char *);
    int action = strike_path("rmdir", path);
    MIRROR(path, next(copy_));
    WHOLE(action, next(path));
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    int action = strike_path("unlink", path);
    MIRROR(path, next(copy_));
    WHOLE(action, next(path));
}

int unlinkat(int directory, const char *path, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    int action = strike_path("unlink", path);
    MIRROR(path, next(AT_FDCWD, copy_, flags));
    WHOLE(action, next(directory, path, flags));
}

/* The engine renames parts through syscall(2). */
long syscall(long number, ...) {
    REAL(long, "syscall", long, ...);
    va_list list;
    long a[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_renameat2) {
        int action = strike_path("rename", (const char *)a[3]);
        if (!action) mirror_rename((const char *)a[1], (const char *)a[3]);
        WHOLE(action, next(number, a[0], a[1], a[2], a[3], a[4]));
    }
    return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* chDB is loaded with RTLD_DEEPBIND, which would hide all of the above from it. (It asks for that
 * because of other libraries' allocators; none of those is in these processes.) */
void *dlopen(const char *file, int mode) {
    REAL(void *, "dlopen", const char *, int);
    return next(file, mode & ~RTLD_DEEPBIND);
}

/* Another time of day. The monotonic clock goes on as it does on a machine whose clock is set. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    REAL(int, "clock_gettime", clockid_t, struct timespec *);
    int result = next(clock, time);
    int64_t shift = control ? atomic_load(&control->clock_ns) : 0;
    if (result == 0 && shift && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t now = time->tv_sec * INT64_C(1000000000) + time->tv_nsec + shift;
        time->tv_sec = now / 1000000000;
        time->tv_nsec = now % 1000000000;
    }
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
