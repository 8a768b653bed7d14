#include <dlfcn.h>
#include <stdio.h>
int main(void) {
  void *h = dlopen("./libadd.so", RTLD_NOW);
  if (!h) { puts(dlerror()); return 1; }
  int (*f)(int, int) = (int (*)(int, int))dlsym(h, "add");
  printf("%d\n", f(1, 2));
  return 0;
}
