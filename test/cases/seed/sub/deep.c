#include "../add.h"
#include <only.h>
int deep(void) { return add(ONLY, 2); }
