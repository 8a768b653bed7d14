int late(void) __attribute__((weak));
int maybe(void) { return late ? late() : 7; }
