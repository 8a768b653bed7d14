/* Which programs the interposer can be in. That is a property of the file: its class and machine, the loader it names, the rights it
 * gives. Of a script it is the interpreter's. No memory from malloc, no call that the interposer stands in for. */
#ifndef GG_REACH_H
#define GG_REACH_H

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum reach {
  REACHED,
  /* Its loader reads our library's name in LD_PRELOAD, and would complain: another class, another machine, another C library. */
  FOREIGN,
  /* A runtime in it ends the program when another library comes first. */
  WANTS_TO_BE_FIRST,
  /* The dynamic loader, run as a program: what it says of another program is to be that one's own. */
  LOADER,
  /* No loader at all. What it starts has our library again. */
  STATIC,
  /* It gets rights that its caller lacks: the loader leaves our library out, without a word. */
  SECURE,
};

/* Of the libraries a program names, those looked at: a sanitizer's runtime is among the first. */
#define NEEDED_MAX 8
#define PROGRAM_HEADERS_MAX 32
/* As deep as the kernel goes from script to interpreter. */
#define SCRIPTS_MAX 5
/* A build starts few programs many times. */
#define REACH_KNOWN_MAX 16

extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

struct program {
  const ElfW(Ehdr) *head;
  ElfW(Phdr) parts[PROGRAM_HEADERS_MAX];
  int parts_count, fd;
  /* It looks for libraries where the build may make them. */
  int has_search_path;
};

static inline int reads(int fd, void *to, size_t size, off_t at) {
  return syscall(SYS_pread64, fd, to, size, at) == (ssize_t)size;
}

/* A loader is known by its name: ld-linux-x86-64.so.2, ld-2.31.so, ld64.so.1, ld-musl-aarch64.so.1. */
static inline int is_loader(const char *path) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  return name[0] == 'l' && name[1] == 'd' && strstr(name, ".so") && strspn(name + 2, "0123456789") < 3 && strchr("-.0123456789", name[2]);
}

/* Whether a program's loader is one of the C library that ours is for. */
static inline int is_own_loader(const char *interpreter) {
  const char *slash = strrchr(interpreter, '/');
  int musl = strncmp(slash ? slash + 1 : interpreter, "ld-musl-", 8) == 0;
#ifdef __GLIBC__
  return !musl;
#else
  return musl;
#endif
}

/* Whether it is linked with a runtime that wants to be first; notes whether it has a search path of its own. */
static inline int wants_to_be_first(struct program *p) {
  ElfW(Dyn) entries[16];
  ElfW(Addr) needed[NEEDED_MAX], strings = 0;
  int count = 0;
  for (int i = 0; i < p->parts_count; i++) {
    if (p->parts[i].p_type != PT_DYNAMIC) continue;
    for (size_t at = 0, ended = 0; at < p->parts[i].p_filesz && !ended; at += sizeof entries) {
      ssize_t n = syscall(SYS_pread64, p->fd, entries, sizeof entries, p->parts[i].p_offset + at);
      for (int e = 0; e < (int)(n > 0 ? n / (ssize_t)sizeof *entries : 0) && !ended; e++) {
        if (entries[e].d_tag == DT_NEEDED && count < NEEDED_MAX) needed[count++] = entries[e].d_un.d_val;
        if (entries[e].d_tag == DT_STRTAB) strings = entries[e].d_un.d_ptr;
        if (entries[e].d_tag == DT_RPATH || entries[e].d_tag == DT_RUNPATH) p->has_search_path = 1;
        ended = entries[e].d_tag == DT_NULL;
      }
      if (n < (ssize_t)sizeof entries) break;
    }
  }
  for (int i = 0; i < p->parts_count && strings && count; i++) {
    const ElfW(Phdr) *part = &p->parts[i];
    if (part->p_type != PT_LOAD || strings < part->p_vaddr || strings >= part->p_vaddr + part->p_filesz) continue;
    for (int n = 0; n < count; n++) {
      char name[10];
      if (!reads(p->fd, name, sizeof name, strings - part->p_vaddr + part->p_offset + needed[n])) continue;
      if (memcmp(name, "libasan.so", 10) == 0 || memcmp(name, "libtsan.so", 10) == 0) return 1;
    }
    return 0;
  }
  return 0;
}

static inline enum reach reach_of_elf(struct program *p, const char *path) {
  const ElfW(Ehdr) *head = p->head;
  char interpreter[256] = "";
  if (head->e_ident[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS] || head->e_machine != __ehdr_start.e_machine) return FOREIGN;
  p->parts_count = head->e_phnum < PROGRAM_HEADERS_MAX ? head->e_phnum : PROGRAM_HEADERS_MAX;
  if (head->e_phentsize != sizeof *p->parts || !reads(p->fd, p->parts, p->parts_count * sizeof *p->parts, head->e_phoff)) return REACHED;
  for (int i = 0; i < p->parts_count; i++) {
    size_t size = p->parts[i].p_filesz;
    if (p->parts[i].p_type == PT_INTERP && size < sizeof interpreter && reads(p->fd, interpreter, size, p->parts[i].p_offset)) interpreter[size] = 0;
  }
  if (!interpreter[0]) return is_loader(path) ? LOADER : STATIC;
  if (!is_own_loader(interpreter)) return FOREIGN;
  int packaged = strncmp(path, "/usr/", 5) == 0 || strncmp(path, "/bin/", 5) == 0;
  return !packaged && wants_to_be_first(p) ? WANTS_TO_BE_FIRST : REACHED;
}

/* What starting the file gives, its set-user-ID bits and capabilities: not those on scripts, which the kernel ignores. */
static inline int gives_rights(int fd, const struct stat *st) {
  uid_t uid = syscall(SYS_geteuid);
  if ((st->st_mode & S_ISUID) && st->st_uid != uid) return 1;
  if ((st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st->st_gid != (gid_t)syscall(SYS_getegid)) return 1;
  return uid != 0 && syscall(SYS_fgetxattr, fd, "security.capability", NULL, 0) > 0;
}

struct known_reach {
  dev_t device;
  ino_t inode;
  struct timespec changed;
  enum reach reach;
  int has_search_path;
};

/* What this process has looked at. It is left alone while another thread, or a child after vfork, uses it. */
static struct known_reach reach_known[REACH_KNOWN_MAX];
static unsigned reach_next;
static int reach_busy;

static inline int recall_reach(const struct stat *st, struct known_reach *found) {
  int is_known = 0;
  if (__atomic_exchange_n(&reach_busy, 1, __ATOMIC_ACQUIRE)) return 0;
  for (int i = 0; i < REACH_KNOWN_MAX && !is_known; i++) {
    const struct known_reach *k = &reach_known[i];
    is_known = k->inode == st->st_ino && k->device == st->st_dev && k->changed.tv_sec == st->st_ctim.tv_sec &&
               k->changed.tv_nsec == st->st_ctim.tv_nsec;
    if (is_known) *found = *k;
  }
  __atomic_store_n(&reach_busy, 0, __ATOMIC_RELEASE);
  return is_known;
}

static inline void remember_reach(const struct known_reach *known) {
  if (__atomic_exchange_n(&reach_busy, 1, __ATOMIC_ACQUIRE)) return;
  reach_known[reach_next++ % REACH_KNOWN_MAX] = *known;
  __atomic_store_n(&reach_busy, 0, __ATOMIC_RELEASE);
}

/* The first word behind "#!"; NULL when there is none. */
static inline const char *interpreter_of(char *line, size_t length) {
  line[length] = 0;
  char *word = line + 2 + strspn(line + 2, " \t");
  word[strcspn(word, " \t\r\n")] = 0;
  return *word ? word : NULL;
}

/* Whether our library is going to be in a program. What cannot be looked at is taken for one it is in.
 * @param has_search_path set to 1 when the program names directories in which it looks for its libraries. */
static inline enum reach reach_of(const char *path, int *has_search_path) {
  char line[256];
  for (int depth = 0; path && depth < SCRIPTS_MAX; depth++) {
    struct stat st;
    struct known_reach known = {0};
    ElfW(Ehdr) head;
    if (syscall(SYS_newfstatat, AT_FDCWD, path, &st, 0) < 0 || !S_ISREG(st.st_mode)) return REACHED;
    if (recall_reach(&st, &known)) {
      *has_search_path = known.has_search_path;
      return known.reach;
    }
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return (st.st_mode & S_ISUID) && st.st_uid != (uid_t)syscall(SYS_geteuid) ? SECURE : REACHED;
    struct program p = {.head = &head, .fd = fd};
    const char *next = NULL;
    int is_elf = reads(fd, &head, sizeof head, 0) && memcmp(head.e_ident, ELFMAG, SELFMAG) == 0;
    if (is_elf) {
      known = (struct known_reach){.device = st.st_dev, .inode = st.st_ino, .changed = st.st_ctim, .reach = reach_of_elf(&p, path)};
      if (known.reach == REACHED && gives_rights(fd, &st)) known.reach = SECURE;
      known.has_search_path = p.has_search_path;
      remember_reach(&known);
      *has_search_path = p.has_search_path;
    } else {
      ssize_t n = syscall(SYS_pread64, fd, line, sizeof line - 1, 0);
      if (n > 2 && line[0] == '#' && line[1] == '!') next = interpreter_of(line, n);
    }
    syscall(SYS_close, fd);
    if (is_elf) return known.reach;
    path = next;
  }
  return REACHED;
}

#endif
