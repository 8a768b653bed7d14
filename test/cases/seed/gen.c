#include <stdio.h>
int main(void) { puts("#define GENERATED 5"); return 0; }
