/* What interpose.test.ts runs with and without the preload library: `probe MODE ARGUMENT...`. Exits 1 with a line on stdout
 * when something is not as it must be. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define REQUIRE(condition)                                                                                              \
  do {                                                                                                                  \
    if (!(condition)) {                                                                                                 \
      printf("line %d: %s (errno %d)\n", __LINE__, #condition, errno);                                                  \
      fflush(stdout);                                                                                                   \
      _exit(1);                                                                                                         \
    }                                                                                                                   \
  } while (0)

/* 1: real bytes, 0: a placeholder's, -1: cannot be opened. Nothing but system calls and open(), for signal handlers. */
static int reads_real(const char *path) {
  char head[512];
  int fd = open(path, O_RDONLY);
  if (fd < 0) return -1;
  ssize_t n = read(fd, head, sizeof head);
  close(fd);
  return n > 4 && memmem(head, n, "gg-placeholder", 14) == NULL;
}

static int descriptors(void) {
  int n = 0;
  DIR *d = opendir("/proc/self/fd");
  while (readdir(d)) n++;
  closedir(d);
  return n;
}

#define SHOW(call)                                                                                                      \
  do {                                                                                                                  \
    errno = 77;                                                                                                         \
    long r = (long)(call);                                                                                              \
    printf("%s: %s, errno %d\n", #call, r < 0 ? "fails" : "works", errno);                                              \
  } while (0)
#define SHOW_STREAM(call)                                                                                               \
  do {                                                                                                                  \
    errno = 77;                                                                                                         \
    FILE *stream = call;                                                                                                \
    int after = errno;                                                                                                  \
    printf("%s: %s, errno %d\n", #call, stream ? "works" : "fails", after == ENOTTY ? 77 : after);                      \
    if (stream) fclose(stream);                                                                                         \
  } while (0)

#ifdef STATIC_PROGRAM
#define __xstat(version, path, st) stat(path, st)
#define __lxstat(version, path, st) lstat(path, st)
#else
int __xstat(int version, const char *path, struct stat *st);
int __lxstat(int version, const char *path, struct stat *st);
__asm__(".symver __xstat,__xstat@GLIBC_2.2.5");
__asm__(".symver __lxstat,__lxstat@GLIBC_2.2.5");
#endif

static int every_call(const char *good) {
  struct stat st;
  struct stat64 st64;
  struct statx sx;
  const char *bad = "no/such/file";
  char *argv[] = {"nothing", NULL};
  pid_t pid;
  for (const char *path = good; path; path = path == good ? bad : NULL) {
    SHOW(open(path, O_RDONLY));
    SHOW(open(path, O_WRONLY | O_APPEND));
    SHOW(open64(path, O_RDWR));
    SHOW(openat(AT_FDCWD, path, O_RDONLY));
    SHOW(openat64(AT_FDCWD, path, O_RDONLY | O_PATH));
    SHOW(open(path, O_RDONLY | O_DIRECTORY));
    SHOW(creat("made", 0600));
    SHOW_STREAM(fopen(path, "r"));
    SHOW_STREAM(fopen64(path, "r+"));
    SHOW_STREAM(fopen(path, "ae"));
    SHOW_STREAM(freopen(path, "r", fopen("/dev/null", "r")));
    SHOW(stat(path, &st));
    SHOW(lstat(path, &st));
    SHOW(stat64(path, &st64));
    SHOW(lstat64(path, &st64));
    SHOW(fstatat(AT_FDCWD, path, &st, 0));
    SHOW(fstatat64(AT_FDCWD, path, &st64, AT_SYMLINK_NOFOLLOW));
    SHOW(statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &sx));
    SHOW(__xstat(1, path, &st));
    SHOW(__lxstat(1, path, &st));
    SHOW(access(path, R_OK));
    SHOW(truncate(path, -1));
    SHOW(syscall(SYS_statx, AT_FDCWD, path, 0, STATX_BASIC_STATS, &sx));
    SHOW(syscall(SYS_statx, AT_FDCWD, path, 0, STATX_BASIC_STATS, NULL));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, bad, AT_FDCWD, path, 0));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, bad, AT_FDCWD, path, -1));
    SHOW(syscall(SYS_pwrite64, 1, "", 0, 0L));
    SHOW(syscall(-1));
    SHOW(rename(bad, path));
    SHOW(rename("made", "made"));
    SHOW(renameat(AT_FDCWD, "made", AT_FDCWD, "no/such/directory/made"));
    SHOW(renameat(-1, "made", AT_FDCWD, "made"));
    SHOW(renameat2(AT_FDCWD, "made", AT_FDCWD, ".", RENAME_NOREPLACE));
    SHOW(renameat2(AT_FDCWD, "made", AT_FDCWD, bad, RENAME_EXCHANGE));
    SHOW(rename(".", "made"));
    SHOW(rename("made", NULL));
    SHOW(link("made", "made"));
    SHOW(link(NULL, bad));
    SHOW(linkat(AT_FDCWD, "", AT_FDCWD, "made", 0));
    SHOW(linkat(AT_FDCWD, bad, AT_FDCWD, "made", AT_SYMLINK_FOLLOW));
    SHOW(execve(path, argv, environ));
    SHOW(execv(path, argv));
    SHOW(execvp(path, argv));
    SHOW(execl(path, "nothing", (char *)NULL));
    SHOW(execlp("no-such-program", "nothing", (char *)NULL));
    SHOW(execle(path, "nothing", (char *)NULL, environ));
    errno = 77;
    int r = posix_spawn(&pid, path, NULL, NULL, argv, environ);
    printf("posix_spawn: %d, errno %d\n", r, errno);
    r = posix_spawnp(&pid, "no-such-program", NULL, NULL, argv, environ);
    printf("posix_spawnp: %d, errno %d\n", r, errno);
  }
  SHOW(fexecve(-1, argv, environ));
  errno = 77;
  int r = posix_spawn(&pid, "/bin/true", NULL, NULL, (char *[]){"true", NULL}, environ), status;
  printf("posix_spawn: %d, errno %d\n", r, errno);
  waitpid(pid, &status, 0);
  printf("status %d\n", status);
  printf("dlerror %s\n", dlerror() ? "set" : "clean");
  return 0;
}

/* Placeholders and plain files, 1000 opens in all ways. */
static int leak(int count, char **paths) {
  int before = descriptors();
  for (int i = 0; i < 1000; i++) {
    const char *path = paths[i % count];
    struct stat st;
    int fd = open(path, i % 3 == 0 ? O_RDWR : O_RDONLY);
    FILE *stream = fopen(path, "r");
    REQUIRE(fd >= 0 && stream);
    REQUIRE(stat(path, &st) == 0);
    REQUIRE(!(fcntl(fd, F_GETFD) & FD_CLOEXEC));
    close(fd);
    fclose(stream);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    REQUIRE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
  }
  REQUIRE(descriptors() == before);
  for (int i = 0; i < count; i++) REQUIRE(reads_real(paths[i]) == 1);
  return 0;
}

static char **shared_paths;
static int shared_count;

static void *open_all(void *first) {
  for (int i = 0; i < shared_count; i++) {
    REQUIRE(reads_real(shared_paths[((long)first + i) % shared_count]) == 1);
    FILE *stream = fopen("/etc/passwd", "r");
    REQUIRE(stream && fgetc(stream) != EOF);
    fclose(stream);
  }
  return NULL;
}

static void *change_environment(void *unused) {
  char name[32];
  for (int i = 0; i < 20000; i++) {
    snprintf(name, sizeof name, "NEW_%d", i % 3000);
    setenv(name, "value", 1);
    if (i % 7 == 0) unsetenv(name);
  }
  return unused;
}

static void *fork_often(void *unused) {
  for (int i = 0; i < 20; i++) {
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      alarm(20);
      int real = reads_real(shared_paths[i % shared_count]);
      _exit(real == 1 ? 0 : 3);
    }
    int status;
    waitpid(pid, &status, 0);
    REQUIRE(status == 0);
  }
  return unused;
}

/* 16 threads open the same files, each beginning elsewhere; `extra` runs beside them. */
static int threads(int count, char **paths, void *(*extra)(void *)) {
  pthread_t all[17];
  shared_paths = paths;
  shared_count = count;
  if (extra) REQUIRE(pthread_create(&all[16], NULL, extra, NULL) == 0);
  for (long i = 0; i < 16; i++) REQUIRE(pthread_create(&all[i], NULL, open_all, (void *)i) == 0);
  for (int i = 0; i < (extra ? 17 : 16); i++) pthread_join(all[i], NULL);
  return 0;
}

static void *run_on_little_stack(void *path) {
  REQUIRE(reads_real(path) == 1);
  pid_t pid = vfork();
  if (pid == 0) {
    execl("/bin/true", "true", (char *)NULL);
    _exit(4);
  }
  int status;
  waitpid(pid, &status, 0);
  REQUIRE(status == 0);
  REQUIRE(posix_spawnp(&pid, "true", NULL, NULL, (char *[]){"true", NULL}, environ) == 0);
  waitpid(pid, &status, 0);
  REQUIRE(status == 0);
  return NULL;
}

static int little_stack(char *path) {
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  REQUIRE(pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN + 8192) == 0);
  REQUIRE(pthread_create(&thread, &attributes, run_on_little_stack, path) == 0);
  pthread_join(thread, NULL);
  return 0;
}

static int spawn_tool(char **argv, int way) {
  int status;
  pid_t pid;
  if (way == 0) {
    pid = vfork();
    if (pid == 0) {
      execve(argv[0], argv, environ);
      _exit(4);
    }
  } else REQUIRE(posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) == 0);
  waitpid(pid, &status, 0);
  return WEXITSTATUS(status);
}

static volatile int handled;
static char **signal_paths;
static int signal_count;

static void handler(int number) {
  int saved = errno;
  (void)number;
  if (reads_real(signal_paths[handled % signal_count]) != 1) _exit(5);
  handled++;
  errno = saved;
}

/* A timer's signals, on a small stack of their own, while the program opens, asks the loader and allocates. */
static int signals(int count, char **paths, int own_stack) {
  static char stack[8192];
  signal_paths = paths;
  signal_count = count;
  struct sigaction action = {.sa_handler = handler, .sa_flags = own_stack ? SA_ONSTACK : 0};
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  REQUIRE(sigaltstack(&alternate, NULL) == 0);
  REQUIRE(sigaction(SIGALRM, &action, NULL) == 0);
  struct itimerval timer = {{0, 1000}, {0, 1000}};
  REQUIRE(setitimer(ITIMER_REAL, &timer, NULL) == 0);
  for (int i = 0; handled < 200; i++) {
    free(malloc(100));
    dlsym(RTLD_DEFAULT, "printf");
    int real = reads_real(paths[i % count]);
    REQUIRE(real == 1 || (real < 0 && errno == EINTR));
  }
  timer = (struct itimerval){{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &timer, NULL);
  return 0;
}

static int few_descriptors(char *path) {
  int highest = open("/dev/null", O_RDONLY);
  close(highest);
  struct rlimit limit = {highest + 1, highest + 1};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  REQUIRE(reads_real(path) == 1);
  int fd = open(path, O_RDONLY);
  REQUIRE(fd == highest && !(fcntl(fd, F_GETFD) & FD_CLOEXEC));
  return 0;
}

static int closed_descriptors(char *path) {
  for (int fd = 3; fd < 1024; fd++) close(fd);
  int fd = open(path, O_RDONLY);
  REQUIRE(fd == 3);
  REQUIRE(reads_real(path) == 1);
  REQUIRE(open("/dev/null", O_RDONLY) == 4);
  close(0);
  REQUIRE(open("/dev/null", O_RDONLY) == 0);
  return 0;
}

/* Every thread moves a file of its own back and forth, and links it; in the end it is where it was. */
static void *move_around(void *given) {
  char *path = given, there[PATH_MAX], link_name[PATH_MAX];
  snprintf(there, sizeof there, "%s.moved", path);
  snprintf(link_name, sizeof link_name, "%s.link", path);
  for (int i = 0; i < 20; i++) {
    REQUIRE(rename(path, there) == 0);
    REQUIRE(link(there, link_name) == 0);
    REQUIRE(unlink(there) == 0);
    REQUIRE(renameat(AT_FDCWD, link_name, AT_FDCWD, path) == 0);
  }
  return NULL;
}

/* 32 threads move files; then one moves them while others read them by a descriptor's name. */
static int moves(int count, char **paths) {
  pthread_t all[32];
  int before = descriptors();
  REQUIRE(count <= 32);
  for (int i = 0; i < count; i++) REQUIRE(pthread_create(&all[i], NULL, move_around, paths[i]) == 0);
  for (int i = 0; i < count; i++) pthread_join(all[i], NULL);
  REQUIRE(descriptors() == before);
  return 0;
}

/* Readers of a file that always has one of two names. */
static void *read_either(void *given) {
  char *path = given, there[PATH_MAX];
  snprintf(there, sizeof there, "%s.moved", path);
  for (int i = 0; i < 200; i++) {
    int real = reads_real(i % 2 ? path : there);
    REQUIRE(real == 1 || (real < 0 && errno == ENOENT));
  }
  return NULL;
}

static int moves_and_reads(char *path) {
  pthread_t all[5];
  char there[PATH_MAX];
  snprintf(there, sizeof there, "%s.moved", path);
  for (int i = 0; i < 4; i++) REQUIRE(pthread_create(&all[i], NULL, read_either, path) == 0);
  for (int i = 0; i < 100; i++) REQUIRE(rename(path, there) == 0 && rename(there, path) == 0);
  for (int i = 0; i < 4; i++) pthread_join(all[i], NULL);
  REQUIRE(reads_real(path) == 1);
  return 0;
}

/* `path` is no longer there or cannot be made: its open fails, in each way. */
static int fails(const char *path) {
  struct stat st;
  errno = 0;
  int fd = open(path, O_RDONLY);
  printf("open: %s, %s\n", fd < 0 ? "fails" : "works", strerrorname_np(errno));
  errno = 0;
  FILE *stream = fopen(path, "r");
  printf("fopen: %s, %s\n", stream ? "works" : "fails", strerrorname_np(errno));
  printf("stat: %d\n", stat(path, &st));
  return 0;
}

int main(int argc, char **argv) {
  const char *mode = argc > 2 ? argv[1] : "";
  char **paths = argv + 2;
  int count = argc - 2;
  if (strcmp(mode, "every-call") == 0) return every_call(paths[0]);
  if (strcmp(mode, "leak") == 0) return leak(count, paths);
  if (strcmp(mode, "threads") == 0) return threads(count, paths, NULL);
  if (strcmp(mode, "setenv") == 0) return threads(count, paths, change_environment);
  if (strcmp(mode, "fork") == 0) return threads(count, paths, fork_often);
  if (strcmp(mode, "little-stack") == 0) return little_stack(paths[0]);
  if (strcmp(mode, "vfork") == 0) return spawn_tool(paths, 0);
  if (strcmp(mode, "spawn") == 0) return spawn_tool(paths, 1);
  if (strcmp(mode, "signals") == 0) return signals(count, paths, 0);
  if (strcmp(mode, "signals-own-stack") == 0) return signals(count, paths, 1);
  if (strcmp(mode, "few-descriptors") == 0) return few_descriptors(paths[0]);
  if (strcmp(mode, "closed-descriptors") == 0) return closed_descriptors(paths[0]);
  if (strcmp(mode, "fails") == 0) return fails(paths[0]);
  if (strcmp(mode, "moves") == 0) return moves(count, paths);
  if (strcmp(mode, "moves-and-reads") == 0) return moves_and_reads(paths[0]);
  if (strcmp(mode, "exchange") == 0) {
    REQUIRE(renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE) == 0);
    return 0;
  }
  if (strcmp(mode, "search") == 0) {
    pid_t pid;
    int status;
    fflush(stdout);
    REQUIRE(posix_spawnp(&pid, paths[0], NULL, NULL, paths, environ) == 0);
    waitpid(pid, &status, 0);
    REQUIRE(status == 0);
    return execvp(paths[0], paths);
  }
  if (strcmp(mode, "real") == 0) return reads_real(paths[0]) == 1 ? 0 : 7;
  if (strcmp(mode, "size") == 0) {
    struct stat st;
    REQUIRE(__xstat(1, paths[0], &st) == 0);
    printf("%ld\n", (long)st.st_size);
    return 0;
  }
  if (strcmp(mode, "dlopen") == 0) {
    void *library = dlopen(paths[0], RTLD_NOW);
    if (!library) printf("%s\n", dlerror());
    return library ? ((int (*)(void))dlsym(library, "load_neighbour"))() : 6;
  }
  printf("unknown mode\n");
  return 2;
}
