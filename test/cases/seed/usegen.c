#include "generated.h"
int g(void) { return GENERATED; }
