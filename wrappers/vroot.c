/* The virtual root: a preload library that shows a tool the directory ROOT as "/". No privilege and no namespace; the tool
 * sees its own command line, environment and absolute names.
 *
 *   ROOT/LOADER --inhibit-cache --library-path ROOT/DIR:... --preload ROOT/.gg/vroot.so --argv0 NAME ROOT/PROGRAM ARGS
 *
 * with cwd = ROOT/CWD. ROOT comes from this library's own path (canonical, without ':' and white space); children go through
 * the same loader. "..", also that of symlinks, ends at the root. Absolute symlinks below ROOT are laid out relative behind
 * ABSOLUTE_MARK and read back as they were. Not seen: what libc opens by itself (locales: LOCPATH; message catalogs:
 * bindtextdomain), static programs (refused, see NOTE_STATIC).
 *
 * GG_VROOT_LOG    a file of fixed size, mapped and shared by all processes (`struct log`); absent: nothing is noted
 * GG_VROOT_SEED   hex; what random sources give
 * GG_VROOT_TIME   seconds; what the clock of the day says
 *
 * It prints nothing, keeps errno, takes no memory from malloc, leaves no descriptor, and is safe between vfork and exec. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <link.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

#define OWN_PATH "/.gg/vroot.so"
#define ABSOLUTE_MARK "././"
/* Where files have one kind of size, a stream is opened by one function. */
#ifdef __GLIBC__
#define FOPEN "fopen64"
#define FREOPEN "freopen64"
#else
#define FOPEN "fopen"
#define FREOPEN "freopen"
struct statx;
#endif

#define ROOM (2 * PATH_MAX + 64)
#define LINKS_MAX 40
#define RANDOM_BYTES 65536
/* Names a process remembers to have noted; later ones are noted each time. */
#define NOTED_MAX 8192
/* Bytes of a program's head that hold its program headers or its "#!" line. */
#define HEAD_BYTES 4096
#define COMMAND_BYTES 16384

/* wire/vroot-log.ts reads this. Notes follow at byte 64: kind, absolute name below the root, NUL. */
struct log {
  _Atomic uint64_t used; /* bytes taken behind the head, also by notes that did not fit */
  _Atomic uint64_t size; /* of the file; set by who made it */
  _Atomic uint64_t cpu_us;
  _Atomic uint64_t rss_max_kb;
  _Atomic uint64_t randoms;
};
#define LOG_HEAD 64

enum { NOTE_HIT = 'H', NOTE_MISS = 'M', NOTE_WRITE = 'W', NOTE_STATIC = 'X', NOTE_TIME = 'T' };

extern char **environ;

static char root[PATH_MAX];
static size_t root_length;
static struct log *log_at;
static uint64_t log_size, seed;
static int has_seed, has_time;
static time_t fixed_time;
static _Atomic int state; /* 0: nothing known, 1: somebody is at it, 2: ready */
static _Atomic uint64_t noted[NOTED_MAX];

/* ---- setting up ---------------------------------------------------------------------------------------------------- */

static void map_log(const char *path) {
  int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  struct stat st;
  if (fd < 0) return;
  if (syscall(SYS_fstat, fd, &st) == 0 && st.st_size > LOG_HEAD) {
    void *at = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED) {
      log_size = st.st_size;
      log_at = at;
    }
  }
  syscall(SYS_close, fd);
}

static void setup_slow(void) {
  int none = 0, saved = errno;
  if (!atomic_compare_exchange_strong(&state, &none, 1)) {
    while (atomic_load(&state) != 2) syscall(SYS_sched_yield);
    return;
  }
  Dl_info own;
  if (dladdr((void *)setup_slow, &own) && own.dli_fname) {
    size_t length = strlen(own.dli_fname), tail = sizeof OWN_PATH - 1;
    if (length > tail && length < sizeof root && strcmp(own.dli_fname + length - tail, OWN_PATH) == 0) {
      memcpy(root, own.dli_fname, length - tail);
      root_length = length - tail;
    }
  }
  const char *value = getenv("GG_VROOT_LOG");
  if (value) map_log(value);
  if ((value = getenv("GG_VROOT_SEED"))) {
    has_seed = 1;
    for (; *value; value++) seed = seed * 31 + (unsigned char)*value;
  }
  if ((value = getenv("GG_VROOT_TIME"))) {
    has_time = 1;
    for (fixed_time = 0; *value >= '0' && *value <= '9'; value++) fixed_time = fixed_time * 10 + (*value - '0');
  }
  errno = saved;
  atomic_store(&state, 2);
}

static inline void setup(void) {
  if (atomic_load_explicit(&state, memory_order_acquire) != 2) setup_slow();
}

__attribute__((constructor)) static void begin(void) {
  struct rlimit none;
  int saved = errno;
  setup();
  if (getrlimit(RLIMIT_CORE, &none) == 0) {
    none.rlim_cur = 0;
    setrlimit(RLIMIT_CORE, &none);
  }
  errno = saved;
}

static void account(void) {
  struct rusage use;
  if (!log_at || getrusage(RUSAGE_SELF, &use) < 0) return;
  uint64_t us = (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000ull + use.ru_utime.tv_usec + use.ru_stime.tv_usec;
  atomic_fetch_add(&log_at->cpu_us, us);
  uint64_t rss = use.ru_maxrss, known = atomic_load(&log_at->rss_max_kb);
  while (rss > known && !atomic_compare_exchange_weak(&log_at->rss_max_kb, &known, rss)) {
  }
}

__attribute__((destructor)) static void end(void) { account(); }

void _exit(int code) {
  setup();
  account();
  for (;;) syscall(SYS_exit_group, code);
}

void _Exit(int code) { _exit(code); }

/* ---- names --------------------------------------------------------------------------------------------------------- */

static int starts(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

static int has_dotdot(const char *path) {
  for (const char *at = path; (at = strstr(at, "..")); at += 2)
    if ((at == path || at[-1] == '/') && (at[2] == 0 || at[2] == '/')) return 1;
  return 0;
}

/* What every process needs of the machine and what no result may depend on. */
static int passes(const char *path) {
  if (starts(path, "/dev/")) {
    const char *name = path + 5;
    return !strcmp(name, "null") || !strcmp(name, "zero") || !strcmp(name, "full") || !strcmp(name, "stdin") || !strcmp(name, "stdout") ||
           !strcmp(name, "stderr") || !strcmp(name, "tty") || !strcmp(name, "urandom") || !strcmp(name, "random") ||
           (starts(name, "fd/") && strspn(name + 3, "0123456789") == strlen(name + 3));
  }
  return starts(path, "/proc/self/") && !has_dotdot(path) && !starts(path, "/proc/self/root") && !starts(path, "/proc/self/cwd") &&
         !starts(path, "/proc/self/task");
}

static int below_root(const char *path) {
  return root_length > 0 && strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

/* What the tool may call a real path. */
static const char *shown(const char *path) {
  if (!below_root(path)) return path;
  return path[root_length] ? path + root_length : "/";
}

/* The real directory a relative name starts from; 0 when there is none. */
static int real_directory(int at, char *room) {
  long n;
  if (at == AT_FDCWD) return syscall(SYS_getcwd, room, ROOM) > 0;
  char link[40];
  snprintf(link, sizeof link, "/proc/self/fd/%d", at);
  n = syscall(SYS_readlinkat, AT_FDCWD, link, room, PATH_MAX);
  if (n <= 0) return 0;
  room[n] = 0;
  return 1;
}

/* The same; 0 also when that is not below the root. */
static int directory_of(int at, char *room) {
  return real_directory(at, room) && below_root(room);
}

/* Goes along `path` from the real directory in `room`, as the kernel would below a root of its own. */
static const char *walk(const char *path, char *room) {
  char rest[ROOM], link[PATH_MAX];
  size_t n = strlen(room);
  int links = 0;
  if (strlen(path) >= PATH_MAX) return path;
  strcpy(rest, path);
  for (char *at = rest; *at;) {
    size_t length = strcspn(at, "/");
    char *part = at;
    at += length;
    if (length == 0) {
      at++;
      continue;
    }
    if (length == 1 && part[0] == '.') continue;
    if (length == 2 && part[0] == '.' && part[1] == '.') {
      while (n > root_length && room[--n] != '/') {
      }
      room[n] = 0;
      continue;
    }
    if (n + length + strlen(at) + 2 > ROOM) return path;
    room[n] = '/';
    memcpy(room + n + 1, part, length);
    room[n + 1 + length] = 0;
    if (has_dotdot(at)) {
      struct stat st;
      int known = syscall(SYS_newfstatat, AT_FDCWD, room, &st, AT_SYMLINK_NOFOLLOW);
      if (known == 0 && S_ISLNK(st.st_mode)) {
        long got = syscall(SYS_readlinkat, AT_FDCWD, room, link, sizeof link - 1);
        if (got <= 0 || ++links > LINKS_MAX || got + 1 + strlen(at) >= sizeof rest) return room;
        link[got] = 0;
        char joined[ROOM];
        snprintf(joined, sizeof joined, "%s%s", shown(link), at);
        strcpy(rest, joined);
        at = rest;
        room[n] = 0;
        if (link[0] == '/') room[n = root_length] = 0;
        continue;
      }
      if (known < 0 || !S_ISDIR(st.st_mode)) {
        /* The kernel ends here too, with the right errno. */
        strcpy(room + n + 1 + length, at);
        return room;
      }
    }
    n += length + 1;
  }
  size_t length = strlen(path);
  if (length > 0 && path[length - 1] == '/' && n + 1 < ROOM) strcpy(room + n, "/");
  else if (n == 0) strcpy(room, "/");
  return room;
}

/* The name the kernel gets for `path`: itself, or `room`. */
static const char *inside(int at, const char *path, char *room) {
  setup();
  if (!path || !*path || root_length == 0) return path;
  int saved = errno;
  const char *result = path;
  if (path[0] == '/') {
    if (!passes(path) && !below_root(path)) {
      size_t length = strlen(path);
      memcpy(room, root, root_length + 1);
      if (has_dotdot(path)) result = walk(path, room);
      else if (length < PATH_MAX) {
        memcpy(room + root_length, path, length + 1);
        result = room;
      }
    }
  } else if (has_dotdot(path) && directory_of(at, room)) result = walk(path, room);
  errno = saved;
  return result;
}

/* ---- the log ------------------------------------------------------------------------------------------------------- */

static int is_new(uint64_t hash) {
  for (unsigned i = 0; i < 16; i++) {
    uint64_t known = 0;
    if (atomic_compare_exchange_strong(&noted[(hash + i) % NOTED_MAX], &known, hash)) return 1;
    if (known == hash) return 0;
  }
  return 1;
}

static void note(int kind, int at, const char *path) {
  setup();
  if (!log_at || !path || passes(path)) return;
  int saved = errno;
  char room[ROOM];
  const char *before = "";
  if (path[0] == '/') path = shown(path);
  /* A worker whose root is the root shows everything as it is. */
  else if (real_directory(at, room) && (root_length == 0 || below_root(room))) before = shown(room);
  else path = "?";
  uint64_t hash = 1469598103934665603ull ^ kind;
  for (const char *c = before; *c; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211ull;
  for (const char *c = path; *c; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211ull;
  if (is_new(hash | 1)) {
    size_t first = strlen(before), second = strlen(path), length = 1 + first + (first > 0) + second + 1;
    uint64_t from = atomic_fetch_add(&log_at->used, length) + LOG_HEAD;
    if (from + length <= log_size) {
      char *to = (char *)log_at + from;
      memcpy(to + 1, before, first);
      if (first > 0) to[1 + first++] = '/';
      memcpy(to + 1 + first, path, second);
      *to = kind;
    }
  }
  errno = saved;
}

/* Notes how a lookup ended. */
static long looked(long result, int at, const char *path) {
  if (result < 0 && (errno == ENOENT || errno == ENOTDIR) && path && *path) note(NOTE_MISS, at, path);
  return result;
}

static long changed(long result, int at, const char *path) {
  if (result >= 0) note(NOTE_WRITE, at, path);
  return result;
}

/* ---- chance and time ----------------------------------------------------------------------------------------------- */

static void fill_random(void *to, size_t length) {
  uint64_t x = seed ^ ((log_at ? atomic_fetch_add(&log_at->randoms, 1) : 0) + 1) * 0x9e3779b97f4a7c15ull;
  unsigned char *bytes = to;
  for (size_t i = 0; i < length; i++) {
    if (i % 8 == 0) {
      x += 0x9e3779b97f4a7c15ull;
    }
    uint64_t z = x;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    bytes[i] = z >> (i % 8 * 8);
  }
}

static int is_random(const char *path) { return has_seed && path && (!strcmp(path, "/dev/urandom") || !strcmp(path, "/dev/random")); }

/* A file with enough of it. */
static int open_random(int flags) {
  int fd = syscall(SYS_memfd_create, "random", flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
  if (fd < 0) return fd;
  char bytes[4096];
  for (size_t left = RANDOM_BYTES; left > 0; left -= sizeof bytes) {
    fill_random(bytes, sizeof bytes);
    if (syscall(SYS_write, fd, bytes, sizeof bytes) != sizeof bytes) break;
  }
  syscall(SYS_lseek, fd, 0, SEEK_SET);
  return fd;
}

ssize_t getrandom(void *to, size_t length, unsigned flags) {
  setup();
  if (!has_seed) return syscall(SYS_getrandom, to, length, flags);
  fill_random(to, length);
  return length;
}

int getentropy(void *to, size_t length) {
  if (length > 256) {
    errno = EIO;
    return -1;
  }
  return getrandom(to, length, 0) == (ssize_t)length ? 0 : -1;
}

uint32_t arc4random(void) {
  uint32_t value = 0;
  getrandom(&value, sizeof value, 0);
  return value;
}

void arc4random_buf(void *to, size_t length) { getrandom(to, length, 0); }

static void *real_of(const char *name) {
  int saved = errno;
  void *found = dlsym(RTLD_NEXT, name);
  errno = saved;
  return found;
}

#define REAL(result, name, ...)                                                                                        \
  static result (*real)(__VA_ARGS__);                                                                                   \
  if (!real) real = (result(*)(__VA_ARGS__))real_of(name)

int clock_gettime(clockid_t clock, struct timespec *to) {
  setup();
  if (has_time && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    to->tv_sec = fixed_time;
    to->tv_nsec = 0;
    return 0;
  }
  REAL(int, "clock_gettime", clockid_t, struct timespec *);
  return real ? real(clock, to) : (int)syscall(SYS_clock_gettime, clock, to);
}

int gettimeofday(struct timeval *restrict to, void *restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  to->tv_sec = now.tv_sec;
  to->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *to) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (has_time) note(NOTE_TIME, AT_FDCWD, "/");
  if (to) *to = now.tv_sec;
  return now.tv_sec;
}

/* ---- opening ------------------------------------------------------------------------------------------------------- */

/* Seconds; src/worker/blobs/blob-cache.ts gives this time to all that a run only reads, and root.ts adds the number of a class. */
#define INPUT_MTIME_S 1000000000
#define INPUT_CLASSES_MAX 1000000

/* The toolchain is shared with other runs, and inputs are to stay as they were declared: files without permission to write, linked
 * from elsewhere or of the time that inputs have. The superuser and the owner could change them all the same. */
static int is_protected(int at, const char *path) {
  struct stat st;
  int saved = errno;
  int result = syscall(SYS_newfstatat, at, path, &st, 0) == 0 && S_ISREG(st.st_mode) && !(st.st_mode & 0222) &&
               (st.st_nlink > 1 || (st.st_mtim.tv_nsec == 0 && st.st_mtim.tv_sec >= INPUT_MTIME_S &&
                                    st.st_mtim.tv_sec - INPUT_MTIME_S < INPUT_CLASSES_MAX));
  errno = saved;
  return result;
}

static int open_inside(int at, const char *path, int flags, mode_t mode) {
  char room[ROOM];
  setup();
  if (is_random(path)) return open_random(flags);
  const char *name = inside(at, path, room);
  int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_TRUNC | O_CREAT));
  if (writes && is_protected(at, name)) {
    errno = EACCES;
    return -1;
  }
  int fd = syscall(SYS_openat, at, name, flags, mode);
  if (fd < 0) return looked(fd, at, path);
  note(writes ? NOTE_WRITE : NOTE_HIT, at, path);
  return fd;
}

#define MODE_OF(flags)                                                                                                  \
  mode_t mode = 0;                                                                                                      \
  if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) {                                                       \
    va_list list;                                                                                                       \
    va_start(list, flags);                                                                                              \
    mode = va_arg(list, mode_t);                                                                                        \
    va_end(list);                                                                                                       \
  }

#define OPEN(name)                                                                                                      \
  int name(const char *path, int flags, ...) {                                                                          \
    MODE_OF(flags);                                                                                                     \
    return open_inside(AT_FDCWD, path, flags, mode);                                                                    \
  }
#define OPENAT(name)                                                                                                    \
  int name(int at, const char *path, int flags, ...) {                                                                  \
    MODE_OF(flags);                                                                                                     \
    return open_inside(at, path, flags, mode);                                                                          \
  }
OPEN(open)
#ifdef __GLIBC__
OPEN(open64)
#endif
OPENAT(openat)
#ifdef __GLIBC__
OPENAT(openat64)
#endif
int __open_2(const char *path, int flags) { return open_inside(AT_FDCWD, path, flags, 0); }
#ifdef __GLIBC__
int __open64_2(const char *path, int flags) { return open_inside(AT_FDCWD, path, flags, 0); }
#endif
int __openat_2(int at, const char *path, int flags) { return open_inside(at, path, flags, 0); }
#ifdef __GLIBC__
int __openat64_2(int at, const char *path, int flags) { return open_inside(at, path, flags, 0); }
#endif
int creat(const char *path, mode_t mode) { return open_inside(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
#ifdef __GLIBC__
int creat64(const char *path, mode_t mode) { return creat(path, mode); }
#endif

/* Says how a stream's opening ended. */
static FILE *streamed(FILE *stream, const char *path, const char *mode) {
  if (!stream) looked(-1, AT_FDCWD, path);
  else note(mode[0] == 'r' && !strchr(mode, '+') ? NOTE_HIT : NOTE_WRITE, AT_FDCWD, path);
  return stream;
}

static int may_stream(const char *name, const char *mode) {
  if ((mode[0] == 'r' && !strchr(mode, '+')) || !is_protected(AT_FDCWD, name)) return 1;
  errno = EACCES;
  return 0;
}

static FILE *opened(const char *path, const char *mode) {
  char room[ROOM];
  REAL(FILE *, FOPEN, const char *, const char *);
  setup();
  if (is_random(path)) {
    int fd = open_random(0);
    return fd < 0 ? NULL : fdopen(fd, mode);
  }
  const char *name = inside(AT_FDCWD, path, room);
  return may_stream(name, mode) ? streamed(real(name, mode), path, mode) : NULL;
}

FILE *fopen(const char *restrict path, const char *restrict mode) { return opened(path, mode); }
#ifdef __GLIBC__
FILE *fopen64(const char *restrict path, const char *restrict mode) { return opened(path, mode); }
#endif

static FILE *reopened(const char *path, const char *mode, FILE *stream) {
  char room[ROOM];
  REAL(FILE *, FREOPEN, const char *, const char *, FILE *);
  if (!path) return real(path, mode, stream);
  const char *name = inside(AT_FDCWD, path, room);
  return may_stream(name, mode) ? streamed(real(name, mode, stream), path, mode) : NULL;
}

FILE *freopen(const char *restrict path, const char *restrict mode, FILE *restrict stream) { return reopened(path, mode, stream); }
#ifdef __GLIBC__
FILE *freopen64(const char *restrict path, const char *restrict mode, FILE *restrict stream) { return reopened(path, mode, stream); }
#endif

DIR *opendir(const char *path) {
  char room[ROOM];
  REAL(DIR *, "opendir", const char *);
  DIR *directory = real(inside(AT_FDCWD, path, room));
  if (!directory) looked(-1, AT_FDCWD, path);
  return directory;
}

void *dlopen(const char *path, int mode) {
  char room[ROOM];
  REAL(void *, "dlopen", const char *, int);
  if (!path || !strchr(path, '/')) return real(path, mode);
  struct stat st;
  const char *name = inside(AT_FDCWD, path, room);
  int saved = errno;
  looked(syscall(SYS_newfstatat, AT_FDCWD, name, &st, 0), AT_FDCWD, path);
  errno = saved;
  return real(name, mode);
}

/* ---- asking -------------------------------------------------------------------------------------------------------- */

static int stat_inside(int at, const char *path, void *to, int flags) {
  char room[ROOM];
  return looked(syscall(SYS_newfstatat, at, inside(at, path, room), to, flags), at, path);
}

/* 64-bit Linux: struct stat is struct stat64 is the kernel's. */
int stat(const char *restrict path, struct stat *restrict to) { return stat_inside(AT_FDCWD, path, to, 0); }
#ifdef __GLIBC__
int stat64(const char *restrict path, struct stat64 *restrict to) { return stat_inside(AT_FDCWD, path, to, 0); }
#endif
int lstat(const char *restrict path, struct stat *restrict to) { return stat_inside(AT_FDCWD, path, to, AT_SYMLINK_NOFOLLOW); }
#ifdef __GLIBC__
int lstat64(const char *restrict path, struct stat64 *restrict to) { return stat_inside(AT_FDCWD, path, to, AT_SYMLINK_NOFOLLOW); }
#endif
int fstatat(int at, const char *restrict path, struct stat *restrict to, int flags) { return stat_inside(at, path, to, flags); }
#ifdef __GLIBC__
int fstatat64(int at, const char *restrict path, struct stat64 *restrict to, int flags) { return stat_inside(at, path, to, flags); }
#endif
/* What programs built against a glibc below 2.33 call. */
#ifdef __GLIBC__
int __xstat(int v, const char *path, struct stat *to) { return (void)v, stat_inside(AT_FDCWD, path, to, 0); }
int __xstat64(int v, const char *path, struct stat64 *to) { return (void)v, stat_inside(AT_FDCWD, path, to, 0); }
int __lxstat(int v, const char *path, struct stat *to) { return (void)v, stat_inside(AT_FDCWD, path, to, AT_SYMLINK_NOFOLLOW); }
int __lxstat64(int v, const char *path, struct stat64 *to) { return (void)v, stat_inside(AT_FDCWD, path, to, AT_SYMLINK_NOFOLLOW); }
int __fxstatat(int v, int at, const char *path, struct stat *to, int flags) { return (void)v, stat_inside(at, path, to, flags); }
int __fxstatat64(int v, int at, const char *path, struct stat64 *to, int flags) { return (void)v, stat_inside(at, path, to, flags); }
#endif

int statx(int at, const char *restrict path, int flags, unsigned mask, struct statx *restrict to) {
  char room[ROOM];
  return looked(syscall(SYS_statx, at, inside(at, path, room), flags, mask, to), at, path);
}

int access(const char *path, int mode) {
  char room[ROOM];
  return looked(syscall(SYS_faccessat, AT_FDCWD, inside(AT_FDCWD, path, room), mode), AT_FDCWD, path);
}

int faccessat(int at, const char *path, int mode, int flags) {
  char room[ROOM];
  REAL(int, "faccessat", int, const char *, int, int);
  return looked(real(at, inside(at, path, room), mode, flags), at, path);
}

int eaccess(const char *path, int mode) { return faccessat(AT_FDCWD, path, mode, AT_EACCESS); }
int euidaccess(const char *path, int mode) { return eaccess(path, mode); }

#define ASK_BY_PATH(name, type)                                                                                         \
  int name(const char *restrict path, type *restrict to) {                                                              \
    char room[ROOM];                                                                                                    \
    REAL(int, #name, const char *, type *);                                                                             \
    return looked(real(inside(AT_FDCWD, path, room), to), AT_FDCWD, path);                                              \
  }
ASK_BY_PATH(statfs, struct statfs)
#ifdef __GLIBC__
ASK_BY_PATH(statfs64, struct statfs64)
#endif
ASK_BY_PATH(statvfs, struct statvfs)
#ifdef __GLIBC__
ASK_BY_PATH(statvfs64, struct statvfs64)
#endif

long pathconf(const char *path, int name) {
  char room[ROOM];
  REAL(long, "pathconf", const char *, int);
  return real(inside(AT_FDCWD, path, room), name);
}

/* The command this process was started by: ... --library-path LIBRARIES ... --argv0 NAME PROGRAM */
struct command {
  char text[COMMAND_BYTES];
  const char *libraries, *program;
};

static int read_command(struct command *to) {
  int fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  long n = syscall(SYS_read, fd, to->text, sizeof to->text - 1);
  syscall(SYS_close, fd);
  if (n <= 0) return 0;
  to->text[n] = 0;
  to->libraries = to->program = NULL;
  for (const char *at = to->text, *end = to->text + n; at < end; at += strlen(at) + 1) {
    const char *next = at + strlen(at) + 1;
    if (next >= end) break;
    if (!to->libraries && !strcmp(at, "--library-path")) {
      to->libraries = next;
      at = next;
    } else if (!strcmp(at, "--argv0")) {
      next += strlen(next) + 1;
      if (next < end) to->program = next;
      break;
    }
  }
  return to->libraries && to->program;
}

static ssize_t own_program(char *to, size_t size) {
  struct command command;
  if (!read_command(&command)) return -1;
  char resolved[PATH_MAX];
  REAL(char *, "realpath", const char *, char *);
  if (!real(command.program, resolved)) return -1;
  const char *name = shown(resolved);
  size_t length = strlen(name);
  if (length > size) length = size;
  memcpy(to, name, length);
  return length;
}

ssize_t readlinkat(int at, const char *restrict path, char *restrict to, size_t size) {
  char room[ROOM], text[PATH_MAX + 1];
  setup();
  if (!strcmp(path, "/proc/self/exe")) {
    ssize_t n = own_program(to, size);
    if (n >= 0) return n;
  }
  long n = looked(syscall(SYS_readlinkat, at, inside(at, path, room), text, PATH_MAX), at, path);
  if (n < 0) return n;
  text[n] = 0;
  const char *name = shown(text);
  if (starts(name, ABSOLUTE_MARK)) {
    name += sizeof ABSOLUTE_MARK - 1;
    while (starts(name, "../")) name += 3;
    memmove(text + 1, name, strlen(name) + 1);
    text[0] = '/';
    name = text;
  }
  size_t length = strlen(name);
  if (length > size) length = size;
  memcpy(to, name, length);
  return length;
}

ssize_t readlink(const char *restrict path, char *restrict to, size_t size) { return readlinkat(AT_FDCWD, path, to, size); }
ssize_t __readlink_chk(const char *path, char *to, size_t size, size_t room) { return (void)room, readlink(path, to, size); }
ssize_t __readlinkat_chk(int at, const char *path, char *to, size_t size, size_t room) { return (void)room, readlinkat(at, path, to, size); }

char *realpath(const char *restrict path, char *restrict to) {
  char room[ROOM], resolved[PATH_MAX + 1];
  REAL(char *, "realpath", const char *, char *);
  if (path && !strcmp(path, "/proc/self/exe")) {
    ssize_t n = own_program(resolved, PATH_MAX);
    if (n >= 0) {
      resolved[n] = 0;
      return to ? strcpy(to, resolved) : strdup(resolved);
    }
  }
  if (!real(inside(AT_FDCWD, path, room), resolved)) {
    looked(-1, AT_FDCWD, path);
    return NULL;
  }
  const char *name = shown(resolved);
  return to ? strcpy(to, name) : strdup(name);
}

char *__realpath_chk(const char *path, char *to, size_t room) { return (void)room, realpath(path, to); }
char *canonicalize_file_name(const char *path) { return realpath(path, NULL); }

char *getcwd(char *to, size_t size) {
  char room[ROOM];
  setup();
  if (syscall(SYS_getcwd, room, sizeof room) < 0) return NULL;
  const char *name = shown(room);
  size_t length = strlen(name) + 1;
  if (!to) {
    if (size == 0) size = length;
    if (size >= length && !(to = malloc(size))) return NULL;
  }
  if (size < length) {
    errno = size == 0 ? EINVAL : ERANGE;
    return NULL;
  }
  return memcpy(to, name, length);
}

char *__getcwd_chk(char *to, size_t size, size_t room) { return (void)room, getcwd(to, size); }
char *get_current_dir_name(void) { return getcwd(NULL, 0); }

int chdir(const char *path) {
  char room[ROOM];
  return looked(syscall(SYS_chdir, inside(AT_FDCWD, path, room)), AT_FDCWD, path);
}

static int glob_inside(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found, const char *which) {
  char room[ROOM];
  int (*real)(const char *, int, int (*)(const char *, int), glob_t *) = real_of(which);
  size_t before = flags & GLOB_APPEND ? found->gl_pathc : 0, offset = flags & GLOB_DOOFFS ? found->gl_offs : 0;
  int result = real(inside(AT_FDCWD, pattern, room), flags, failed, found);
  if (result == GLOB_NOMATCH) note(NOTE_MISS, AT_FDCWD, pattern);
  if (result == 0)
    for (size_t i = before; i < found->gl_pathc; i++) {
      char *name = found->gl_pathv[offset + i];
      if (name && below_root(name)) memmove(name, shown(name), strlen(shown(name)) + 1);
    }
  return result;
}

int glob(const char *restrict pattern, int flags, int (*failed)(const char *, int), glob_t *restrict found) {
  return glob_inside(pattern, flags, failed, found, "glob");
}

#ifdef __GLIBC__
int glob64(const char *restrict pattern, int flags, int (*failed)(const char *, int), glob64_t *restrict found) {
  return glob_inside(pattern, flags, failed, (glob_t *)found, "glob64");
}
#endif

/* Message catalogs are opened by libc itself. */
char *bindtextdomain(const char *domain, const char *directory) {
  static const char *const nowhere = "/";
  char room[ROOM];
  REAL(char *, "bindtextdomain", const char *, const char *);
  if (!real) return (char *)nowhere;
  char *bound = real(domain, inside(AT_FDCWD, directory, room));
  return bound ? (char *)shown(bound) : NULL;
}

/* ---- changing ------------------------------------------------------------------------------------------------------ */

static int temporary(char *template, int suffix, int flags) {
  char room[ROOM];
  REAL(int, "mkostemps", char *, int, int);
  const char *name = inside(AT_FDCWD, template, room);
  int fd = real((char *)name, suffix, flags);
  size_t length = strlen(template), behind = strlen(name);
  if (name == room && length >= 6u + suffix) memcpy(template + length - suffix - 6, name + behind - suffix - 6, 6);
  return changed(fd, AT_FDCWD, template);
}

int mkstemp(char *t) { return temporary(t, 0, 0); }
#ifdef __GLIBC__
int mkstemp64(char *t) { return temporary(t, 0, 0); }
#endif
int mkstemps(char *t, int suffix) { return temporary(t, suffix, 0); }
#ifdef __GLIBC__
int mkstemps64(char *t, int suffix) { return temporary(t, suffix, 0); }
#endif
int mkostemp(char *t, int flags) { return temporary(t, 0, flags); }
#ifdef __GLIBC__
int mkostemp64(char *t, int flags) { return temporary(t, 0, flags); }
#endif
int mkostemps(char *t, int suffix, int flags) { return temporary(t, suffix, flags); }
#ifdef __GLIBC__
int mkostemps64(char *t, int suffix, int flags) { return temporary(t, suffix, flags); }
#endif

char *mkdtemp(char *template) {
  char room[ROOM];
  REAL(char *, "mkdtemp", char *);
  const char *name = inside(AT_FDCWD, template, room);
  if (!real((char *)name)) return NULL;
  size_t length = strlen(template);
  if (name == room && length >= 6) memcpy(template + length - 6, name + strlen(name) - 6, 6);
  note(NOTE_WRITE, AT_FDCWD, template);
  return template;
}

FILE *tmpfile(void) {
  char name[] = "/tmp/ggXXXXXX";
  int fd = temporary(name, 0, O_CLOEXEC);
  if (fd < 0) return NULL;
  unlink(name);
  return fdopen(fd, "w+");
}

#ifdef __GLIBC__
FILE *tmpfile64(void) { return tmpfile(); }
#endif

int unlinkat(int at, const char *path, int flags) {
  char room[ROOM];
  return looked(syscall(SYS_unlinkat, at, inside(at, path, room), flags), at, path);
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int remove(const char *path) {
  int result = unlink(path);
  return result < 0 && (errno == EISDIR || errno == EPERM) ? rmdir(path) : result;
}

int renameat2(int from, const char *old, int to, const char *path, unsigned flags) {
  char room[ROOM], other[ROOM];
  return changed(syscall(SYS_renameat2, from, inside(from, old, room), to, inside(to, path, other), flags), to, path);
}

int renameat(int from, const char *old, int to, const char *path) { return renameat2(from, old, to, path, 0); }
int rename(const char *old, const char *path) { return renameat2(AT_FDCWD, old, AT_FDCWD, path, 0); }

int linkat(int from, const char *old, int to, const char *path, int flags) {
  char room[ROOM], other[ROOM];
  return changed(syscall(SYS_linkat, from, inside(from, old, room), to, inside(to, path, other), flags), to, path);
}

int link(const char *old, const char *path) { return linkat(AT_FDCWD, old, AT_FDCWD, path, 0); }

int symlinkat(const char *target, int at, const char *path) {
  char room[ROOM], other[ROOM];
  const char *text = target[0] == '/' ? inside(AT_FDCWD, target, other) : target;
  return changed(syscall(SYS_symlinkat, text, at, inside(at, path, room)), at, path);
}

int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }

int mkdirat(int at, const char *path, mode_t mode) {
  char room[ROOM];
  return changed(syscall(SYS_mkdirat, at, inside(at, path, room), mode), at, path);
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int mknodat(int at, const char *path, mode_t mode, dev_t device) {
  char room[ROOM];
  return changed(syscall(SYS_mknodat, at, inside(at, path, room), mode, (unsigned)device), at, path);
}

int mknod(const char *path, mode_t mode, dev_t device) { return mknodat(AT_FDCWD, path, mode, device); }
int mkfifoat(int at, const char *path, mode_t mode) { return mknodat(at, path, mode | S_IFIFO, 0); }
int mkfifo(const char *path, mode_t mode) { return mkfifoat(AT_FDCWD, path, mode); }

/* Names are changed as asked but for the shared files below the root. */
static const char *own(int at, const char *path, char *room) {
  const char *name = inside(at, path, room);
  return is_protected(at, name) ? NULL : name;
}

#define CHANGE(at, path, call)                                                                                          \
  char room[ROOM];                                                                                                      \
  const char *name = own(at, path, room);                                                                               \
  if (!name) {                                                                                                          \
    errno = EPERM;                                                                                                      \
    return -1;                                                                                                          \
  }                                                                                                                     \
  return looked(call, at, path)

int fchmodat(int at, const char *path, mode_t mode, int flags) {
  REAL(int, "fchmodat", int, const char *, mode_t, int);
  CHANGE(at, path, real(at, name, mode, flags));
}

int chmod(const char *path, mode_t mode) { return fchmodat(AT_FDCWD, path, mode, 0); }

int fchownat(int at, const char *path, uid_t uid, gid_t gid, int flags) { CHANGE(at, path, syscall(SYS_fchownat, at, name, uid, gid, flags)); }
int chown(const char *path, uid_t uid, gid_t gid) { return fchownat(AT_FDCWD, path, uid, gid, 0); }
int lchown(const char *path, uid_t uid, gid_t gid) { return fchownat(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW); }
int utimensat(int at, const char *path, const struct timespec times[2], int flags) {
  CHANGE(at, path, syscall(SYS_utimensat, at, name, times, flags));
}

int utimes(const char *path, const struct timeval times[2]) {
  struct timespec exact[2];
  for (int i = 0; times && i < 2; i++) {
    exact[i].tv_sec = times[i].tv_sec;
    exact[i].tv_nsec = times[i].tv_usec * 1000;
  }
  return utimensat(AT_FDCWD, path, times ? exact : NULL, 0);
}

int utime(const char *path, const struct utimbuf *times) {
  struct timespec exact[2] = {{0}};
  if (times) {
    exact[0].tv_sec = times->actime;
    exact[1].tv_sec = times->modtime;
  }
  return utimensat(AT_FDCWD, path, times ? exact : NULL, 0);
}

int truncate(const char *path, off_t length) { CHANGE(AT_FDCWD, path, syscall(SYS_truncate, name, length)); }
#ifdef __GLIBC__
int truncate64(const char *path, off64_t length) { return truncate(path, length); }
#endif

/* ---- starting programs --------------------------------------------------------------------------------------------- */

/* A program as the loader starts it. */
struct start {
  char loader[ROOM], program[ROOM], interpreter[ROOM];
  struct command command;
  const char *script, *script_argument;
  char line[256];
};

/* The whole name of a real path. */
static int absolute_name(const char *name, char *to) {
  if (name[0] == '/') {
    if (strlen(name) >= ROOM) return 0;
    strcpy(to, name);
    return 1;
  }
  char room[ROOM];
  if (!directory_of(AT_FDCWD, room) || strlen(room) + strlen(name) + 2 > ROOM) return 0;
  sprintf(to, "%s/%s", room, name);
  return 1;
}

/* The program interpreter an ELF file names; empty for a static one; NULL when it is none. */
static const char *interpreter_of(const char *head, long n) {
  const ElfW(Ehdr) *elf = (const void *)head;
  if (n < (long)sizeof *elf || memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0) return NULL;
  for (int i = 0; i < elf->e_phnum; i++) {
    uint64_t at = elf->e_phoff + (uint64_t)i * elf->e_phentsize;
    if (at + sizeof(ElfW(Phdr)) > (uint64_t)n) break;
    const ElfW(Phdr) *part = (const void *)(head + at);
    if (part->p_type != PT_INTERP) continue;
    if (part->p_offset + part->p_filesz > (uint64_t)n || part->p_filesz == 0 || head[part->p_offset + part->p_filesz - 1] != 0) break;
    return head + part->p_offset;
  }
  return "";
}

/* Prepares the start of `path`. 0, or -1 with errno. */
static int prepare(struct start *to, const char *path, int scripts) {
  char room[ROOM], head[HEAD_BYTES + 1];
  const char *name = inside(AT_FDCWD, path, room);
  if (!absolute_name(name, to->program)) {
    errno = ENOENT;
    return -1;
  }
  struct stat st;
  if (looked(syscall(SYS_newfstatat, AT_FDCWD, to->program, &st, 0), AT_FDCWD, path) < 0) return -1;
  if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111)) {
    errno = EACCES;
    return -1;
  }
  int fd = syscall(SYS_openat, AT_FDCWD, to->program, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  long n = syscall(SYS_read, fd, head, HEAD_BYTES);
  syscall(SYS_close, fd);
  head[n > 0 ? n : 0] = 0;
  if (n > 2 && head[0] == '#' && head[1] == '!' && scripts > 0) {
    snprintf(to->line, sizeof to->line, "%.*s", (int)strcspn(head + 2, "\n"), head + 2);
    char *at = to->line + strspn(to->line, " \t"), *end = at + strcspn(at, " \t");
    char *argument = end + strspn(end, " \t");
    *end = 0;
    to->script = path;
    to->script_argument = *argument ? argument : NULL;
    return prepare(to, at, scripts - 1);
  }
  const char *interpreter = interpreter_of(head, n);
  if (!interpreter || !*interpreter) {
    if (interpreter) note(NOTE_STATIC, AT_FDCWD, path);
    errno = ENOEXEC;
    return -1;
  }
  name = inside(AT_FDCWD, interpreter, to->interpreter);
  if (!absolute_name(name, to->loader)) {
    errno = ENOENT;
    return -1;
  }
  if (!read_command(&to->command)) {
    errno = ENOEXEC;
    return -1;
  }
  note(NOTE_HIT, AT_FDCWD, path);
  return 0;
}

static size_t count(char *const *list) {
  size_t n = 0;
  while (list && list[n]) n++;
  return n;
}

/* Room for `arguments` needs count(arguments) + 16 places. */
static void build(struct start *start, char *const *arguments, char **to, char *own_library) {
  size_t n = 0;
  snprintf(own_library, ROOM, "%s%s", root, OWN_PATH);
  to[n++] = start->loader;
  to[n++] = "--inhibit-cache";
  to[n++] = "--library-path";
  to[n++] = (char *)start->command.libraries;
  to[n++] = "--preload";
  to[n++] = own_library;
  to[n++] = "--argv0";
  if (start->script) {
    to[n++] = start->line + strspn(start->line, " \t");
    to[n++] = start->program;
    if (start->script_argument) to[n++] = (char *)start->script_argument;
    to[n++] = (char *)start->script;
  } else {
    to[n++] = arguments && arguments[0] ? arguments[0] : "";
    to[n++] = start->program;
  }
  for (size_t i = 1; arguments && arguments[0] && arguments[i]; i++) to[n++] = arguments[i];
  to[n] = NULL;
}

int execve(const char *path, char *const arguments[], char *const env[]) {
  struct start start = {.script = NULL};
  setup();
  if (prepare(&start, path, 1) < 0) return -1;
  char own_library[ROOM], *list[count(arguments) + 16];
  build(&start, arguments, list, own_library);
  return syscall(SYS_execve, start.loader, list, env);
}

int execv(const char *path, char *const arguments[]) { return execve(path, arguments, environ); }

/* Calls `use` with every place a bare name may stand for, until one does not fail with "not here". */
static int along_path(const char *name, int (*use)(const char *, void *), void *with) {
  if (!name || !*name) {
    errno = ENOENT;
    return -1;
  }
  if (strchr(name, '/')) return use(name, with);
  const char *at = getenv("PATH");
  if (!at) at = "/bin:/usr/bin";
  int denied = 0, result = -1;
  char candidate[ROOM];
  errno = ENOENT;
  for (;; at++) {
    size_t length = strcspn(at, ":");
    if (length < PATH_MAX && strlen(name) < PATH_MAX) {
      sprintf(candidate, "%.*s%s%s", (int)length, at, length ? "/" : "", name);
      result = use(candidate, with);
      if (result == 0) return 0;
      int error = result > 0 ? result : errno;
      if (error == EACCES) denied = 1;
      else if (error != ENOENT && error != ENOTDIR) return result;
    }
    at += length;
    if (!*at) break;
  }
  if (denied) {
    errno = EACCES;
    return result > 0 ? EACCES : -1;
  }
  return result;
}

struct exec_call {
  char *const *arguments, *const *env;
};

static int exec_one(const char *path, void *with) {
  struct exec_call *call = with;
  return execve(path, call->arguments, call->env);
}

int execvpe(const char *name, char *const arguments[], char *const env[]) {
  struct exec_call call = {arguments, env};
  return along_path(name, exec_one, &call);
}

int execvp(const char *name, char *const arguments[]) { return execvpe(name, arguments, environ); }

#define COLLECT(first)                                                                                                  \
  va_list list;                                                                                                         \
  size_t n = 1;                                                                                                         \
  va_start(list, first);                                                                                                \
  while (va_arg(list, char *)) n++;                                                                                     \
  va_end(list);                                                                                                         \
  char *arguments[n + 1];                                                                                               \
  arguments[0] = (char *)first;                                                                                         \
  va_start(list, first);                                                                                                \
  for (size_t i = 1; i <= n; i++) arguments[i] = va_arg(list, char *)

int execl(const char *path, const char *first, ...) {
  COLLECT(first);
  va_end(list);
  return execve(path, arguments, environ);
}

int execlp(const char *name, const char *first, ...) {
  COLLECT(first);
  va_end(list);
  return execvpe(name, arguments, environ);
}

int execle(const char *path, const char *first, ...) {
  COLLECT(first);
  char *const *env = va_arg(list, char *const *);
  va_end(list);
  return execve(path, arguments, env);
}

int fexecve(int fd, char *const arguments[], char *const env[]) {
  (void)fd, (void)arguments, (void)env;
  errno = ENOSYS;
  return -1;
}

struct spawn_call {
  pid_t *pid;
  const posix_spawn_file_actions_t *actions;
  const posix_spawnattr_t *attributes;
  char *const *arguments, *const *env;
};

static int spawn_one(const char *path, void *with) {
  struct spawn_call *call = with;
  struct start start = {.script = NULL};
  REAL(int, "posix_spawn", pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *, char *const *);
  int saved = errno;
  setup();
  if (prepare(&start, path, 1) < 0) {
    int error = errno;
    errno = saved;
    return error;
  }
  char own_library[ROOM], *list[count(call->arguments) + 16];
  build(&start, call->arguments, list, own_library);
  return real(call->pid, start.loader, call->actions, call->attributes, list, call->env);
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                char *const arguments[], char *const env[]) {
  struct spawn_call call = {pid, actions, attributes, arguments, env};
  return spawn_one(path, &call);
}

int posix_spawnp(pid_t *pid, const char *name, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                 char *const arguments[], char *const env[]) {
  struct spawn_call call = {pid, actions, attributes, arguments, env};
  return along_path(name, spawn_one, &call);
}

int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *actions, int fd, const char *path, int flags, mode_t mode) {
  char room[ROOM];
  REAL(int, "posix_spawn_file_actions_addopen", posix_spawn_file_actions_t *, int, const char *, int, mode_t);
  return real(actions, fd, inside(AT_FDCWD, path, room), flags, mode);
}

int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path) {
  char room[ROOM];
  REAL(int, "posix_spawn_file_actions_addchdir_np", posix_spawn_file_actions_t *, const char *);
  return real(actions, inside(AT_FDCWD, path, room));
}

/* A shell would be the machine's. */
int system(const char *command) {
  if (!command) return 0;
  errno = ENOENT;
  return 127 << 8;
}

FILE *popen(const char *command, const char *mode) {
  (void)command, (void)mode;
  errno = ENOENT;
  return NULL;
}
