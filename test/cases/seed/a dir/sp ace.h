#define SPACED 9
