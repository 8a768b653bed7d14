/* `opens COUNT [both|open|stat|rename]`: opens FILE.0 ... of the current directory read-only, and stats as many; or gives
 * one another name and back, COUNT times in all; nothing else. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
  char name[32];
  struct stat st;
  int count = argc > 1 ? atoi(argv[1]) : 0, bad = 0;
  const char *what = argc > 2 ? argv[2] : "both";
  if (what[0] == 'r') {
    for (int i = 0; i < count; i += 2) bad |= rename("FILE.1", "OTHER") < 0 || rename("OTHER", "FILE.1") < 0;
    return bad;
  }
  for (int i = 0; i < count; i++) {
    snprintf(name, sizeof name, "FILE.%d", i % 100);
    if (what[0] != 's') {
      int fd = open(name, O_RDONLY);
      bad |= fd < 0 || close(fd) < 0;
    }
    if (what[0] != 'o') bad |= stat(name, &st) < 0;
  }
  return bad;
}
