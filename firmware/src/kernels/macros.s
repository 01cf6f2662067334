@ What the kernels' assembly files share.
.syntax unified
.thumb

.macro ts_function name
.section .text.\name,"ax",%progbits
.global \name
.type \name,%function
.balign 4
.thumb_func
\name:
.endm

.macro ts_end name
.size \name, . - \name
.text
.endm
