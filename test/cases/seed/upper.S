#include "config.h"
	.data
	.globl blob
blob:
	.incbin "data.bin"
	.long BASE
	.section .note.GNU-stack,"",@progbits
