#include <stdio.h>
#include "config.h"
#include "add.h"

int main(int argc, char **argv) {
  printf("%s %d\n", NAME, add(argc, BASE));
  return argv[0] == 0;
}
