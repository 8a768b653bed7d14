/* May a directory be believed? Only if nobody but this user and root can put another one in its place: the same rule as
 * src/base/trusted-path.ts. */
#ifndef GG_TRUSTED_H
#define GG_TRUSTED_H

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Symlinks on one path, as the kernel counts them. */
#define GG_HOPS_MAX 40

/* A group that has the user's own number is the user's alone, and a sticky directory protects what is in it. */
static inline int open_to_others(const struct stat *st) {
  if (st->st_mode & S_ISVTX) return 0;
  int private_group = st->st_gid == geteuid() && st->st_gid == getegid();
  return (st->st_mode & (private_group ? 002 : 022)) != 0;
}

/* 1 when all that leads to the directory `path`, and the directory itself, is ours or root's, and it is ours. */
static inline int trusted_directory(const char *path) {
  char rest[2 * PATH_MAX], at[PATH_MAX] = "", text[PATH_MAX];
  struct stat st, root;
  int hops = 0;
  size_t used = 0;
  if (stat("/", &root) < 0) return 0;
  if (path[0] != '/') {
    if (!getcwd(text, sizeof text)) return 0;
    if ((size_t)snprintf(rest, sizeof rest, "%s/%s", text, path) >= sizeof rest) return 0;
  } else if ((size_t)snprintf(rest, sizeof rest, "%s", path) >= sizeof rest) return 0;
  st = root;
  while (1) {
    char *word = rest + strspn(rest, "/");
    size_t length = strcspn(word, "/");
    if (length == 0) break;
    int up = length == 2 && memcmp(word, "..", 2) == 0, here = length == 1 && word[0] == '.';
    size_t before = used;
    if (up) {
      while (used > 0 && at[--used] != '/') {
      }
      at[used] = 0;
    } else if (!here) {
      if (used + 1 + length >= sizeof at) return 0;
      at[used++] = '/';
      memcpy(at + used, word, length);
      at[used += length] = 0;
    }
    memmove(rest, word + length, strlen(word + length) + 1);
    if (lstat(used ? at : "/", &st) < 0) return 0;
    if (st.st_uid != geteuid() && st.st_uid != 0 && st.st_uid != root.st_uid) return 0;
    if (S_ISLNK(st.st_mode)) {
      ssize_t n = readlink(at, text, sizeof text - 1);
      if (n <= 0 || ++hops > GG_HOPS_MAX || (size_t)n + 1 + strlen(rest) >= sizeof rest) return 0;
      memmove(rest + n + 1, rest, strlen(rest) + 1);
      memcpy(rest, text, n);
      rest[n] = '/';
      used = text[0] == '/' ? 0 : before;
      at[used] = 0;
      continue;
    }
    if (!S_ISDIR(st.st_mode)) return 0;
    if (rest[strspn(rest, "/")] && open_to_others(&st)) return 0;
  }
  /* What stands in it is ours only as long as nobody else may write there, sticky or not. */
  return st.st_uid == geteuid() && (st.st_mode & 022) == 0;
}

#endif
