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

@ r5-r11 are what r4 is.
.macro ts_spread_sums
mov r5, r4
mov r6, r4
mov r7, r4
mov r8, r4
mov r9, r4
mov r10, r4
mov r11, r4
.endm

@ r4-r11 are 0.
.macro ts_clear_sums
movs r4, #0
ts_spread_sums
.endm
