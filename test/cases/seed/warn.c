int unused(void) { int x; return 0; }
int shadow(int a) { { int a = 1; return a; } }
