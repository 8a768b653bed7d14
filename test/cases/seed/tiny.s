	.text
	.globl tiny
tiny:
	ret
	.section .note.GNU-stack,"",@progbits
