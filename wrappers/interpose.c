/* The interposer (LD_PRELOAD): in every dynamic process of a wrapped build, opening a placeholder waits until the real
 * artifact is in its place, and a toolchain program called by its full name goes to the shim.
 *
 * Rules it keeps in every process: no output, no child processes, no memory from malloc, no descriptor that stays, errno as
 * the caller expects it. Without GG_SESSION, GG_SOCKET or GG_SHIM_DIR, or with GG_PRELOAD=0, it does nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol.h"

/* ir/placeholder.ts: SIZE_BY_FORM, MARK, MARK_WITHIN. */
#define MARK "gg-placeholder 1 "
#define MARK_WITHIN 512
static const off_t placeholder_sizes[] = {512, 1024, 1152};

/* Bytes of a program looked at for a sanitizer's runtime, which insists on being first in LD_PRELOAD. */
#define PROGRAM_BYTES_MAX (1 << 20)
#define ENVIRONMENT_MAX 4096

extern char **environ;

/* ---- what the environment says ------------------------------------------------------------------------------------ */

static const char *look(char *const *env, const char *name) {
  size_t length = strlen(name);
  if (!env) return NULL;
  for (; *env; env++)
    if (strncmp(*env, name, length) == 0 && (*env)[length] == '=') return *env + length + 1;
  return NULL;
}

static int active(char *const *env) {
  const char *off = look(env, "GG_PRELOAD");
  return look(env, "GG_SESSION") && look(env, "GG_SOCKET") && !(off && off[0] == '0');
}

/* ---- forcing a placeholder ---------------------------------------------------------------------------------------- */

static int raw_write(int fd, const void *bytes, size_t length) {
  const char *at = bytes;
  while (length > 0) {
    ssize_t n = syscall(SYS_sendto, fd, at, length, MSG_NOSIGNAL, NULL, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    at += n;
    length -= n;
  }
  return 0;
}

static unsigned char *put(unsigned char *at, int tag, const void *bytes, uint32_t length) {
  *at++ = tag;
  memcpy(at, &length, 4);
  memcpy(at + 4, bytes, length);
  return at + 4 + length;
}

/* Asks the server to make `path` real and waits until it says so (or goes away). */
static void ask_server(const char *path) {
  const char *socket_path = look(environ, "GG_SOCKET"), *session = look(environ, "GG_SESSION");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (!socket_path || !session || strlen(socket_path) >= sizeof address.sun_path || strlen(session) > 200) return;
  strcpy(address.sun_path, socket_path);
  int fd = syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  if (syscall(SYS_connect, fd, &address, sizeof address) == 0) {
    unsigned char frame[PATH_MAX + 512], *at = frame + 8;
    char entry[256];
    uint32_t pid = getpid(), length;
    at = put(at, GG_FIELD_REQUEST_KIND, "open", 4);
    at = put(at, GG_FIELD_PATH, path, strlen(path));
    at = put(at, GG_FIELD_CWD, "/", 1);
    at = put(at, GG_FIELD_PID, &pid, 4);
    int n = snprintf(entry, sizeof entry, "GG_SESSION=%s", session);
    at = put(at, GG_FIELD_ENV, entry, n);
    memcpy(frame, GG_FRAME_MAGIC, 4);
    length = at - frame - 8;
    memcpy(frame + 4, &length, 4);
    if (raw_write(fd, frame, at - frame) == 0) {
      unsigned char sink[256];
      for (;;) {
        ssize_t got = syscall(SYS_read, fd, sink, sizeof sink);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
      }
    }
  }
  syscall(SYS_close, fd);
}

static int has_size_of_placeholder(off_t size) {
  for (size_t i = 0; i < sizeof placeholder_sizes / sizeof *placeholder_sizes; i++)
    if (size == placeholder_sizes[i]) return 1;
  return 0;
}

/* `link` leads to what `fd` has open, for a descriptor that can only be written to. */
static int is_placeholder(int fd, const char *link, int flags) {
  struct stat st;
  char head[MARK_WITHIN];
  if (syscall(SYS_fstat, fd, &st) < 0 || !S_ISREG(st.st_mode) || !has_size_of_placeholder(st.st_size)) return 0;
  int reading = fd;
  if ((flags & O_ACCMODE) == O_WRONLY) reading = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
  if (reading < 0) return 0;
  ssize_t n = syscall(SYS_pread64, reading, head, sizeof head, 0);
  if (reading != fd) syscall(SYS_close, reading);
  return n > 0 && memmem(head, n, MARK, sizeof MARK - 1) != NULL;
}

/* `fd` was just opened. If it is a placeholder, the real file takes its place under the same number. */
static void make_real(int fd, int flags) {
  int saved = errno;
  if (fd >= 0 && !(flags & O_TRUNC) && !(flags & O_PATH) && active(environ)) {
    char link[40], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (is_placeholder(fd, link, flags)) {
      ssize_t n = syscall(SYS_readlink, link, path, sizeof path - 1);
      if (n > 0 && n < (ssize_t)sizeof path - 1) {
        path[n] = 0;
        ask_server(path);
        int again = syscall(SYS_openat, AT_FDCWD, path, (flags & ~(O_CREAT | O_EXCL)) | O_CLOEXEC);
        if (again >= 0) {
          syscall(SYS_dup3, again, fd, flags & O_CLOEXEC);
          syscall(SYS_close, again);
        }
      }
    }
  }
  errno = saved;
}

static void *real_of(const char *name) { return dlsym(RTLD_NEXT, name); }

#define CACHED(type, name)                                                                                              \
  static type real;                                                                                                     \
  if (!real) real = (type)real_of(name)

#define MODE_OF(flags, last)                                                                                            \
  mode_t mode = 0;                                                                                                      \
  if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                                              \
    va_list list;                                                                                                       \
    va_start(list, last);                                                                                               \
    mode = va_arg(list, mode_t);                                                                                        \
    va_end(list);                                                                                                       \
  }

typedef int (*open_fn)(const char *, int, ...);
typedef int (*openat_fn)(int, const char *, int, ...);

int open(const char *path, int flags, ...) {
  MODE_OF(flags, flags);
  CACHED(open_fn, "open");
  int fd = real(path, flags, mode);
  make_real(fd, flags);
  return fd;
}

int open64(const char *path, int flags, ...) {
  MODE_OF(flags, flags);
  CACHED(open_fn, "open64");
  int fd = real(path, flags, mode);
  make_real(fd, flags);
  return fd;
}

int openat(int at, const char *path, int flags, ...) {
  MODE_OF(flags, flags);
  CACHED(openat_fn, "openat");
  int fd = real(at, path, flags, mode);
  make_real(fd, flags);
  return fd;
}

int openat64(int at, const char *path, int flags, ...) {
  MODE_OF(flags, flags);
  CACHED(openat_fn, "openat64");
  int fd = real(at, path, flags, mode);
  make_real(fd, flags);
  return fd;
}

int __open_2(const char *path, int flags) { return open(path, flags); }
int __open64_2(const char *path, int flags) { return open64(path, flags); }
int __openat_2(int at, const char *path, int flags) { return openat(at, path, flags); }
int __openat64_2(int at, const char *path, int flags) { return openat64(at, path, flags); }

/* A stream just opened: its buffer is still empty, so its descriptor can be exchanged. */
static void make_stream_real(FILE *stream, const char *mode) {
  if (!stream || !mode || (mode[0] != 'r' && mode[0] != 'a')) return;
  int access = strchr(mode, '+') ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;
  make_real(fileno(stream), access | (mode[0] == 'a' ? O_APPEND : 0) | (strchr(mode, 'e') ? O_CLOEXEC : 0));
}

/* Cutting a file off by its name: what is kept must be the real one's. */
static void touch_path(int at, const char *path);

int truncate(const char *path, off_t length) {
  typedef int (*fn)(const char *, off_t);
  CACHED(fn, "truncate");
  if (length > 0) touch_path(AT_FDCWD, path);
  return real(path, length);
}

int truncate64(const char *path, off64_t length) {
  typedef int (*fn)(const char *, off64_t);
  CACHED(fn, "truncate64");
  if (length > 0) touch_path(AT_FDCWD, path);
  return real(path, length);
}

typedef FILE *(*fopen_fn)(const char *, const char *);

FILE *fopen(const char *path, const char *mode) {
  CACHED(fopen_fn, "fopen");
  FILE *stream = real(path, mode);
  make_stream_real(stream, mode);
  return stream;
}

FILE *fopen64(const char *path, const char *mode) {
  CACHED(fopen_fn, "fopen64");
  FILE *stream = real(path, mode);
  make_stream_real(stream, mode);
  return stream;
}

FILE *freopen(const char *path, const char *mode, FILE *old) {
  typedef FILE *(*fn)(const char *, const char *, FILE *);
  CACHED(fn, "freopen");
  FILE *stream = real(path, mode, old);
  if (path) make_stream_real(stream, mode);
  return stream;
}

FILE *freopen64(const char *path, const char *mode, FILE *old) {
  typedef FILE *(*fn)(const char *, const char *, FILE *);
  CACHED(fn, "freopen64");
  FILE *stream = real(path, mode, old);
  if (path) make_stream_real(stream, mode);
  return stream;
}

/* Before a library is loaded or a size is asked for, the file is opened once, which makes it real. */
static void touch_path(int at, const char *path) {
  if (!path || !*path || !active(environ)) return;
  int saved = errno;
  int fd = syscall(SYS_openat, at, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd >= 0) {
    make_real(fd, O_RDONLY | O_CLOEXEC);
    syscall(SYS_close, fd);
  }
  errno = saved;
}

void *dlopen(const char *path, int mode) {
  typedef void *(*dlopen_fn)(const char *, int);
  CACHED(dlopen_fn, "dlopen");
  if (path && strchr(path, '/')) touch_path(AT_FDCWD, path);
  return real(path, mode);
}

/* ---- sizes -------------------------------------------------------------------------------------------------------- */

/* Programs that only want times or names: a placeholder has the real ones. */
static int wants_times_only(void) {
  static int known;
  if (!known) {
    static const char *const names[] = {"make", "gmake", "ninja", "samu", "cmake", "ctest", "sh",   "bash", "dash", "test", "[",    "rm",
                                        "mv",   "ln",    "touch", "mkdir", "chmod", "rmdir", "env", "node", "ccache", "install-info", "ldconfig"};
    char exe[PATH_MAX];
    ssize_t n = syscall(SYS_readlink, "/proc/self/exe", exe, sizeof exe - 1);
    known = 1;
    if (n > 0) {
      exe[n] = 0;
      const char *slash = strrchr(exe, '/');
      for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slash && strcmp(slash + 1, names[i]) == 0) known = 2;
    }
  }
  return known == 2;
}

static int size_matters(mode_t mode, off_t size) { return S_ISREG(mode) && has_size_of_placeholder(size) && !wants_times_only(); }

#define STAT_HOOK(call, at)                                                                           \
  {                                                                                                                     \
    int result = call;                                                                                                  \
    if (result == 0 && size_matters(st->st_mode, st->st_size)) {                                                        \
      touch_path(at, path);                                                                                             \
      result = call;                                                                                                    \
    }                                                                                                                   \
    return result;                                                                                                      \
  }

int stat(const char *restrict path, struct stat *restrict st) {
  typedef int (*fn)(const char *, struct stat *);
  CACHED(fn, "stat");
  STAT_HOOK(real(path, st), AT_FDCWD)
}

int lstat(const char *restrict path, struct stat *restrict st) {
  typedef int (*fn)(const char *, struct stat *);
  CACHED(fn, "lstat");
  STAT_HOOK(real(path, st), AT_FDCWD)
}

int stat64(const char *restrict path, struct stat64 *restrict st) {
  typedef int (*fn)(const char *, struct stat64 *);
  CACHED(fn, "stat64");
  STAT_HOOK(real(path, st), AT_FDCWD)
}

int lstat64(const char *restrict path, struct stat64 *restrict st) {
  typedef int (*fn)(const char *, struct stat64 *);
  CACHED(fn, "lstat64");
  STAT_HOOK(real(path, st), AT_FDCWD)
}

int fstatat(int at, const char *restrict path, struct stat *restrict st, int flags) {
  typedef int (*fn)(int, const char *, struct stat *, int);
  CACHED(fn, "fstatat");
  STAT_HOOK(real(at, path, st, flags), at)
}

int fstatat64(int at, const char *restrict path, struct stat64 *restrict st, int flags) {
  typedef int (*fn)(int, const char *, struct stat64 *, int);
  CACHED(fn, "fstatat64");
  STAT_HOOK(real(at, path, st, flags), at)
}

int statx(int at, const char *restrict path, int flags, unsigned mask, struct statx *restrict st) {
  typedef int (*fn)(int, const char *, int, unsigned, struct statx *);
  CACHED(fn, "statx");
  int result = real(at, path, flags, mask, st);
  if (result == 0 && (st->stx_mask & STATX_SIZE) && size_matters(st->stx_mode, (off_t)st->stx_size)) {
    touch_path(at, path);
    result = real(at, path, flags, mask, st);
  }
  return result;
}

/* ---- exec --------------------------------------------------------------------------------------------------------- */

/* A toolchain program called by its full name: the shim of that name, unless a compiler driver is the caller. */
static const char *redirect(const char *path, char *const *env, char *room, size_t size) {
  if (!path || path[0] != '/' || !active(env) || look(env, "COLLECT_GCC")) return path;
  const char *shims = look(env, "GG_SHIM_DIR"), *name = strrchr(path, '/') + 1;
  if (!shims || !*name || strncmp(path, shims, strlen(shims)) == 0) return path;
  int n = snprintf(room, size, "%s/%s", shims, name);
  if (n < 0 || (size_t)n >= size) return path;
  int saved = errno;
  struct stat st;
  /* Only what is there and would run: a missing program must fail as it does. */
  int there = syscall(SYS_access, room, X_OK) == 0 && syscall(SYS_access, path, X_OK) == 0 &&
              syscall(SYS_newfstatat, AT_FDCWD, path, &st, 0) == 0 && S_ISREG(st.st_mode);
  errno = saved;
  return there ? room : path;
}

/* Programs of another class or machine: their loader would complain about our library. */
static int is_foreign(int fd) {
  unsigned char head[20];
  Elf64_Half machine, ours;
  if (syscall(SYS_pread64, fd, head, sizeof head, 0) != sizeof head || memcmp(head, ELFMAG, SELFMAG) != 0) return 0;
  Elf64_Ehdr *self = (Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);
  if (head[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)) return 1;
  if (!self) return 0;
  memcpy(&machine, head + 18, sizeof machine);
  ours = self->e_machine;
  return machine != ours;
}

/* The sanitizers' runtime ends a program in which another library comes before it. */
static int needs_clean_preload(const char *path, char *const *env) {
  if (!path || !strchr(path, '/')) return 0;
  int saved = errno, found = 0;
  int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  /* ldd: the list of libraries is to be the program's own. */
  if (fd >= 0 && look(env, "LD_TRACE_LOADED_OBJECTS")) {
    touch_path(AT_FDCWD, path);
    syscall(SYS_close, fd);
    errno = saved;
    return 1;
  }
  if (fd >= 0 && is_foreign(fd)) found = 1;
  if (fd >= 0 && (found || strncmp(path, "/usr/", 5) == 0 || strncmp(path, "/bin/", 5) == 0)) {
    syscall(SYS_close, fd);
    errno = saved;
    return found;
  }
  if (fd >= 0) {
    char part[4096];
    size_t held = 0;
    for (off_t at = 0; at < PROGRAM_BYTES_MAX && !found;) {
      ssize_t n = syscall(SYS_pread64, fd, part + held, sizeof part - held, at);
      if (n <= 0) break;
      if (at == 0 && (n < 4 || memcmp(part, "\177ELF", 4) != 0)) break;
      found = memmem(part, held + n, "libasan.so", 10) || memmem(part, held + n, "libtsan.so", 10);
      size_t total = held + n;
      held = total < 16 ? total : 16;
      memmove(part, part + total - held, held);
      at += n;
    }
    syscall(SYS_close, fd);
  }
  errno = saved;
  return found;
}

/* `env` without our library in LD_PRELOAD, in `list` and `text`. */
static char *const *without_preload(char *const *env, char **list, char *text, size_t size) {
  int n = 0;
  for (char *const *e = env; e && *e; e++) {
    if (n >= ENVIRONMENT_MAX - 1) return env;
    if (strncmp(*e, "LD_PRELOAD=", 11) != 0) {
      list[n++] = *e;
      continue;
    }
    size_t length = 11;
    if (length >= size) return env;
    memcpy(text, *e, 11);
    for (const char *at = *e + 11; *at;) {
      size_t part = strcspn(at, ": ");
      if (part && !memmem(at, part, "gg-interpose", 12) && length + part + 2 < size) {
        if (length > 11) text[length++] = ':';
        memcpy(text + length, at, part);
        length += part;
      }
      at += part;
      if (*at) at++;
    }
    text[length] = 0;
    if (length > 11) list[n++] = text;
  }
  list[n] = NULL;
  return list;
}

/* Everything an exec of ours may change, in the caller's stack: after vfork there is no heap to use. */
struct changed {
  char path[PATH_MAX], preload[PATH_MAX], real[PATH_MAX + 16];
  char *list[ENVIRONMENT_MAX];
};

/* The program and environment to use in place of these. */
static const char *change(const char *path, char *const **env, struct changed *c) {
  if (!active(*env)) return path;
  struct stat st;
  int saved = errno;
  /* A program still to be built is made real first, so that it starts as itself. */
  if (syscall(SYS_newfstatat, AT_FDCWD, path, &st, 0) == 0 && has_size_of_placeholder(st.st_size)) touch_path(AT_FDCWD, path);
  errno = saved;
  const char *instead = redirect(path, *env, c->path, sizeof c->path);
  if (instead != path) {
    /* The shim must run the very program that was called, whatever its PATH says. */
    int n = 0;
    for (char *const *e = *env; *e; e++) {
      if (n >= ENVIRONMENT_MAX - 2) return path;
      if (strncmp(*e, "GG_REAL_TOOL=", 13) != 0) c->list[n++] = *e;
    }
    if (snprintf(c->real, sizeof c->real, "GG_REAL_TOOL=%s", path) >= (int)sizeof c->real) return path;
    c->list[n++] = c->real;
    c->list[n] = NULL;
    *env = c->list;
    return instead;
  }
  if (needs_clean_preload(path, *env)) *env = without_preload(*env, c->list, c->preload, sizeof c->preload);
  return path;
}

/* Where a search along PATH finds `file`; NULL when nowhere. */
static const char *search(const char *file, char *room, size_t size) {
  const char *path = look(environ, "PATH");
  if (!path || !*file || strchr(file, '/')) return NULL;
  int saved = errno;
  for (;;) {
    size_t length = strcspn(path, ":");
    struct stat st;
    if (length > 0 && path[0] == '/' && snprintf(room, size, "%.*s/%s", (int)length, path, file) < (int)size &&
        syscall(SYS_access, room, X_OK) == 0 && syscall(SYS_newfstatat, AT_FDCWD, room, &st, 0) == 0 && S_ISREG(st.st_mode)) {
      errno = saved;
      return room;
    }
    if (!path[length]) break;
    path += length + 1;
  }
  errno = saved;
  return NULL;
}

int execve(const char *path, char *const argv[], char *const envp[]) {
  typedef int (*fn)(const char *, char *const *, char *const *);
  CACHED(fn, "execve");
  struct changed c;
  path = change(path, &envp, &c);
  return real(path, argv, envp);
}

int execv(const char *path, char *const argv[]) { return execve(path, argv, environ); }

int execvpe(const char *file, char *const argv[], char *const envp[]) {
  typedef int (*fn)(const char *, char *const *, char *const *);
  CACHED(fn, "execvpe");
  struct changed c;
  char room[PATH_MAX];
  const char *found = strchr(file, '/') ? file : search(file, room, sizeof room);
  if (found) {
    const char *instead = change(found, &envp, &c);
    if (instead != found) return real(instead, argv, envp);
  }
  return real(file, argv, envp);
}

int execvp(const char *file, char *const argv[]) { return execvpe(file, argv, environ); }

/* The list forms: gathered on the stack, then as above. */
#define GATHER(first)                                                                                                   \
  va_list list;                                                                                                         \
  int count = 1;                                                                                                        \
  va_start(list, first);                                                                                                \
  while (va_arg(list, char *)) count++;                                                                                 \
  va_end(list);                                                                                                         \
  char *argv[count + 1];                                                                                                \
  va_start(list, first);                                                                                                \
  argv[0] = (char *)first;                                                                                              \
  for (int i = 1; i <= count; i++) argv[i] = va_arg(list, char *);

int execl(const char *path, const char *first, ...) {
  GATHER(first)
  va_end(list);
  return execve(path, argv, environ);
}

int execlp(const char *file, const char *first, ...) {
  GATHER(first)
  va_end(list);
  return execvpe(file, argv, environ);
}

int execle(const char *path, const char *first, ...) {
  GATHER(first)
  char *const *envp = va_arg(list, char *const *);
  va_end(list);
  return execve(path, argv, envp);
}

typedef int (*spawn_fn)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *, char *const *);

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                char *const argv[], char *const envp[]) {
  CACHED(spawn_fn, "posix_spawn");
  struct changed c;
  path = change(path, &envp, &c);
  return real(pid, path, actions, attributes, argv, envp);
}

int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                 char *const argv[], char *const envp[]) {
  CACHED(spawn_fn, "posix_spawnp");
  struct changed c;
  char room[PATH_MAX];
  const char *found = strchr(file, '/') ? file : search(file, room, sizeof room);
  if (found) {
    const char *instead = change(found, &envp, &c);
    if (instead != found) return real(pid, instead, actions, attributes, argv, envp);
  }
  return real(pid, file, actions, attributes, argv, envp);
}
