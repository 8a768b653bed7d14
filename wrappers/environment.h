/* What the two preload libraries know of the environment and of programs: no memory from malloc, no call of the C library that
 * one of them stands in for. */
#ifndef GG_ENVIRONMENT_H
#define GG_ENVIRONMENT_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline const char *look(char *const *env, const char *name) {
  size_t length = strlen(name);
  if (!env) return NULL;
  for (; *env; env++)
    if (strncmp(*env, name, length) == 0 && (*env)[length] == '=') return *env + length + 1;
  return NULL;
}

static inline int active(char *const *env) {
  const char *off = look(env, "GG_PRELOAD");
  return look(env, "GG_SESSION") && look(env, "GG_SOCKET") && !(off && off[0] == '0');
}

/* Base name of the program this process runs; empty when it cannot be told. */
static inline const char *program_name(char *room, size_t size) {
  ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", room, size - 1);
  room[n > 0 ? n : 0] = 0;
  const char *slash = strrchr(room, '/');
  return slash ? slash + 1 : "";
}

/* As execvp without a PATH does. */
static inline const char *search_path(char *const *env) {
  const char *path = look(env, "PATH");
  return path ? path : "/bin:/usr/bin";
}

/* Writes the libraries of an LD_PRELOAD but for those with `ours` in their names; `to` may be the list itself. @returns its end. */
static inline char *preload_without(char *to, const char *list, const char *ours) {
  char *start = to;
  while (*list) {
    size_t length = strcspn(list, ": ");
    const char *next = list + length + (list[length] != 0);
    if (length && !memmem(list, length, ours, strlen(ours))) {
      if (to != start) *to++ = ':';
      memmove(to, list, length);
      to += length;
    }
    list = next;
  }
  *to = 0;
  return to;
}

/* Whether a program lies beside a shim of ours, or in the folder of names below one: another build of it, or what leads there. */
static inline int is_beside_shim(const char *path) {
  char neighbour[PATH_MAX];
  const char *slash = strrchr(path, '/');
  struct stat st;
  for (int up = 0; slash && up < 2; up++) {
    int n = snprintf(neighbour, sizeof neighbour, "%.*s%s/gg-shim", (int)(slash - path), path, up ? "/.." : "");
    if (n > 0 && (size_t)n < sizeof neighbour && syscall(SYS_newfstatat, AT_FDCWD, neighbour, &st, 0) == 0) return 1;
  }
  return 0;
}

/* Whether a program of that name reads build.ninja. */
static inline int is_ninjas(const char *name) {
  static const char *const names[] = {"ninja", "ninja-build", "samu", "n2"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0) return 1;
  return 0;
}

/* Whether a toolchain program called by its full name has a shim, unless a compiler driver is the caller. */
static inline int has_shim(const char *path, const char *shims) {
  const char *name = strrchr(path, '/') + 1;
  if (!*name || strncmp(path, shims, strlen(shims)) == 0) return 0;
  size_t size = strlen(shims) + strlen(name) + 2;
  if (size > PATH_MAX) return 0;
  char room[size];
  struct stat st;
  stpcpy(stpcpy(stpcpy(room, shims), "/"), name);
  /* Only what is there and would run: a missing program must fail as it does. */
  return syscall(SYS_faccessat, AT_FDCWD, room, X_OK) == 0 && syscall(SYS_faccessat, AT_FDCWD, path, X_OK) == 0 &&
         syscall(SYS_newfstatat, AT_FDCWD, path, &st, 0) == 0 && S_ISREG(st.st_mode);
}

/* Where a search along PATH finds `file`; NULL when nowhere, or when a directory whose name is relative comes first and has
 * such a program, or would have it in another working directory (`moves`): the call is left as it is. */
static inline const char *search(const char *path, const char *file, char *room, size_t size, int moves) {
  int saved = errno;
  const char *there = NULL;
  for (; *file && !there; path++) {
    size_t length = strcspn(path, ":");
    struct stat st;
    int absolute = path[0] == '/';
    if (!absolute && moves) break;
    /* An empty entry is the working directory. */
    if (snprintf(room, size, "%.*s%s%s", (int)length, path, length ? "/" : "", file) < (int)size &&
        syscall(SYS_faccessat, AT_FDCWD, room, X_OK) == 0 && syscall(SYS_newfstatat, AT_FDCWD, room, &st, 0) == 0 && S_ISREG(st.st_mode)) {
      if (!absolute) break;
      there = room;
    }
    path += length;
    if (!*path) break;
  }
  errno = saved;
  return there;
}

#endif
