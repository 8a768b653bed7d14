#include "sp ace.h"
int spaced(void) { return SPACED; }
