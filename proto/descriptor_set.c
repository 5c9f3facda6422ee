#include "proto/descriptor_set.h"

/* The file as it is, between two symbols. */
__asm__(".section .rodata\n"
	".global flashsale_descriptor_set\n"
	".global flashsale_descriptor_set_end\n"
	".balign 16\n"
	"flashsale_descriptor_set:\n"
	".incbin \"" DESCRIPTOR_SET_FILE "\"\n"
	"flashsale_descriptor_set_end:\n"
	".byte 0\n"
	".previous\n");
