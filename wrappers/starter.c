/* Starts a tool below the virtual root of a Remote Execution action, on a worker that has nothing of ours. It lies at ROOT/.gg/start; ROOT is
 * "" where the input root is "/".
 *
 *   start -c CWD -l LOADER -p DIR:DIR [-L LOCALES] [-w FILE]... [-m DIRECTORY]... [-e NAME=VALUE]... -- ARGV0 PROGRAM ARGS...
 *
 * Paths are those the tool sees. The tool gets exactly the variables of -e, whatever the worker has. Of an input named by -w it gets a writable
 * copy. ROOT/.gg/log, an output of the action, holds the head of the virtual root's log and its notes but for the hits, which need no check
 * where only inputs can be read (vroot.c, wire/vroot-log.ts).
 * Exit code: the tool's; 128 + signal; 125 when nothing could be started. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWN_PATH "/.gg/start"
#define VROOT_PATH "/.gg/vroot.so"
#define LOG_PATH "/.gg/log"
#define WORK_PATH "/.gg/log.work"
/* As createLog of wire/vroot-log.ts has it. */
#define LOG_BYTES (8u << 20)
#define HEAD_BYTES 64
#define FAILED 125
/* Variables of one tool; a thunk carries a handful. */
#define VARIABLES_MAX 250

static char root[PATH_MAX];

static _Noreturn void fail(const char *what, const char *subject) {
  dprintf(STDERR_FILENO, "gg-start: %s %s: %s\n", what, subject, strerror(errno));
  _exit(FAILED);
}

/* A fresh string: the path below the root. */
static char *below(const char *path) {
  char *to;
  if (asprintf(&to, "%s%s", root, path) < 0) fail("no memory for", path);
  return to;
}

static void make_directory(const char *path) {
  char *at = below(path);
  for (char *c = at + strlen(root) + 1; *c; c++)
    if (*c == '/') {
      *c = 0;
      mkdir(at, 0755);
      *c = '/';
    }
  if (mkdir(at, 0755) < 0 && errno != EEXIST) fail("cannot make", path);
  free(at);
}

static void write_all(int fd, const void *bytes, size_t length, const char *path) {
  for (const char *at = bytes; length > 0;) {
    ssize_t n = write(fd, at, length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("cannot write", path);
    at += n;
    length -= (size_t)n;
  }
}

/* Puts a writable copy in the place of an input. */
static void make_own(const char *path) {
  char bytes[65536], temporary[PATH_MAX];
  char *name = below(path);
  if (snprintf(temporary, sizeof temporary, "%s.gg-own", name) >= (int)sizeof temporary) {
    errno = ENAMETOOLONG;
    fail("cannot copy", path);
  }
  int from = open(name, O_RDONLY | O_CLOEXEC), to = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
  if (from < 0 || to < 0) fail("cannot copy", path);
  for (ssize_t n; (n = read(from, bytes, sizeof bytes)) != 0;) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("cannot read", path);
    write_all(to, bytes, (size_t)n, path);
  }
  close(from);
  close(to);
  if (rename(temporary, name) < 0) fail("cannot replace", path);
  free(name);
}

/* DIR:DIR with the root before each. */
static char *library_path(const char *directories) {
  size_t room = 1;
  for (const char *at = directories; *at; at += strcspn(at, ":"), at += *at == ':')
    room += strlen(root) + strcspn(at, ":") + 1;
  char *list = calloc(room, 1);
  if (!list) fail("no memory for", directories);
  for (const char *at = directories; *at;) {
    size_t length = strcspn(at, ":");
    sprintf(list + strlen(list), "%s%s%.*s", *list ? ":" : "", root, (int)length, at);
    at += length;
    at += *at == ':';
  }
  return list;
}

static void find_root(void) {
  ssize_t n = readlink("/proc/self/exe", root, sizeof root - 1);
  if (n < 0) fail("cannot read", "/proc/self/exe");
  root[n] = 0;
  size_t tail = strlen(OWN_PATH);
  errno = EINVAL;
  if ((size_t)n < tail || strcmp(root + n - tail, OWN_PATH) != 0) fail("not at its place:", root);
  root[n - tail] = 0;
  /* The loader takes lists apart at these. */
  if (strpbrk(root, ": \t\n")) fail("unusable root", root);
}

/* The log without hits, and without names of files that are gone again. */
static void leave_log(const uint64_t *head) {
  int fd = open(below(LOG_PATH), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) fail("cannot write", LOG_PATH);
  FILE *out = fdopen(fd, "w");
  if (!out) fail("cannot write", LOG_PATH);
  fwrite(head, 1, HEAD_BYTES, out);
  const char *at = (const char *)head + HEAD_BYTES;
  const char *end = at + (head[0] < LOG_BYTES - HEAD_BYTES ? head[0] : LOG_BYTES - HEAD_BYTES);
  while (at < end && memchr(at, 0, (size_t)(end - at))) {
    size_t length = strlen(at) + 1;
    struct stat st;
    char *name = *at == 'W' ? below(at + 1) : NULL;
    if (*at != 'H' && (!name || lstat(name, &st) == 0)) fwrite(at, 1, length, out);
    free(name);
    at += length;
  }
  if (fclose(out) != 0) fail("cannot write", LOG_PATH);
}

int main(int argc, char **argv) {
  const char *cwd = "/", *libraries = "", *locales = NULL;
  char *loader = NULL, *env[VARIABLES_MAX + 3];
  int variables = 0, i = 1;
  find_root();
  for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
    char *value = argv[i + 1];
    switch (argv[i][0] == '-' ? argv[i][1] : 0) {
      case 'c': cwd = value; break;
      case 'l': loader = below(value); break;
      case 'p': libraries = value; break;
      case 'L': locales = value; break;
      case 'w': make_own(value); break;
      case 'm': make_directory(value); break;
      case 'e':
        errno = E2BIG;
        if (variables == VARIABLES_MAX) fail("too many variables:", value);
        env[variables++] = value;
        break;
      default: errno = EINVAL; fail("no such option:", argv[i]);
    }
  }
  errno = EINVAL;
  if (!loader || i + 2 >= argc) fail("usage:", "start -c CWD -l LOADER -p DIRS -- ARGV0 PROGRAM ARGS...");
  make_directory("/tmp");
  make_directory(cwd);
  char *work = below(WORK_PATH), *note;
  int fd = open(work, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, LOG_BYTES) < 0) fail("cannot make", WORK_PATH);
  uint64_t *head = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (head == MAP_FAILED) fail("cannot map", WORK_PATH);
  head[1] = LOG_BYTES;
  if (asprintf(&note, "GG_VROOT_LOG=%s", work) < 0) fail("no memory for", work);
  env[variables++] = note;
  if (locales) {
    if (asprintf(&note, "LOCPATH=%s%s", root, locales) < 0) fail("no memory for", locales);
    env[variables++] = note;
  }
  env[variables] = NULL;
  char *list[argc + 10];
  int k = 0;
  list[k++] = loader;
  list[k++] = "--inhibit-cache";
  list[k++] = "--library-path";
  list[k++] = library_path(libraries);
  list[k++] = "--preload";
  list[k++] = below(VROOT_PATH);
  list[k++] = "--argv0";
  list[k++] = argv[++i];
  list[k++] = below(argv[++i]);
  for (i++; i < argc; i++) list[k++] = argv[i];
  list[k] = NULL;
  if (chdir(below(cwd)) < 0) fail("cannot enter", cwd);
  pid_t pid = fork();
  if (pid < 0) fail("cannot start", loader);
  if (pid == 0) {
    execve(loader, list, env);
    fail("cannot start", loader);
  }
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) fail("cannot wait for", loader);
  leave_log(head);
  unlink(work);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
