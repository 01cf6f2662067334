@ Events of one place of a convolution's source over its targets.
@
@ A row of the kernel leads to a run of targets: a contiguous product, in blocks of 8 channels. A chain
@ of blocks is entered so that it ends with the row; rows with more blocks go through it again.

@ void name(Place *place): 16-bit targets, weights in WidePairs.
@ r0 targets, r1 weights, r2 value, r3 entry, r4-r7 targets, r8-r11 weights,
@ r12 rows left (and, for long rows, rounds left above), lr steps to the next row
.macro ts_scatter_16 name, long
ts_function \name
push {r0, r4-r11, lr}
ldm r0, {r1-r12}
pkhbt lr, r12, r11, lsl #16
.if \long
orr r9, r9, r10, lsl #16
add r10, #1
lsl r10, #16
sub r10, #1
.endif
@ r2 becomes the address of the last r2 blocks, of 28 bytes each.
rsb r2, r2, r2, lsl #3
adr.w r12, 7f
sub r2, r12, r2, lsl #2
orr r2, #1
push {r1-r10}
1: @ an event
ldm sp, {r0, r3-r9, r12}
cmp r4, r5
beq 9f
ldr r2, [r4], #4
uxth r10, r2
sub r10, r6
cmp r10, r7
bhs 8f
str r4, [sp, #8]
mla r1, r10, r8, r9
asr r2, r2, #16
bx r3
.balign 4
2: @ the chain
.rept 8
ldm.w r0, {r4-r7}
ldm.w r1!, {r8-r11}
mla r4, r8, r2, r4
mla r5, r9, r2, r5
mla r6, r10, r2, r6
mla r7, r11, r2, r7
stm.w r0!, {r4-r7}
.endr
7:
.if \long
subs r12, #0x10000
bpl 2b
ldr r4, [sp, #36]
add r12, r4
lsls r4, r12, #16
beq 1b
.else
subs r12, #1
beq 1b
.endif
add r0, r0, lr, lsr #16
uxtah r1, r1, lr
bx r3
8: @ an event of another place
sub r4, #4
9:
add sp, #40
pop {r0}
str r4, [r0, #8]
pop {r4-r11, pc}
ts_end \name
.endm
ts_scatter_16 tinyspike_scatter_16, 0
ts_scatter_16 tinyspike_scatter_16_long, 1

@ void tinyspike_scatter_32(Place *place): 32-bit targets, weights in Wide.
@ r0 targets, r1 weights, r2 value, r3 rounds left, r4-r11 targets, r12, lr weights
ts_function tinyspike_scatter_32
push {r0, r4-r11, lr}
ldm r0, {r1-r12}
@ r2 becomes the address of the last r2 blocks, of 48 bytes each.
add r2, r2, r2, lsl #1
adr.w lr, 7f
sub r2, lr, r2, lsl #4
orr r2, #1
sub sp, #4
push {r1-r12}
1: @ an event
ldm sp, {r0, r3-r10}
cmp r4, r5
beq 9f
ldr r2, [r4], #4
uxth r11, r2
sub r11, r6
cmp r11, r7
bhs 8f
str r4, [sp, #8]
mla r1, r11, r8, r9
asr r2, r2, #16
3: @ a row
str r10, [sp, #48]
ldr r3, [sp, #36]
ldr pc, [sp, #4]
.balign 4
2: @ the chain
.rept 8
ldm.w r0, {r4-r11}
ldrd r12, lr, [r1], #8
smlabb r4, r12, r2, r4
smlatb r5, r12, r2, r5
smlabb r6, lr, r2, r6
smlatb r7, lr, r2, r7
ldrd r12, lr, [r1], #8
smlabb r8, r12, r2, r8
smlatb r9, r12, r2, r9
smlabb r10, lr, r2, r10
smlatb r11, lr, r2, r11
stm.w r0!, {r4-r11}
.endr
7:
subs r3, #1
bpl 2b
ldr r10, [sp, #48]
subs r10, #1
beq 1b
ldrd r4, r5, [sp, #40]
add r0, r4
add r1, r5
b 3b
8: @ an event of another place
sub r4, #4
9:
add sp, #52
pop {r0}
str r4, [r0, #8]
pop {r4-r11, pc}
ts_end tinyspike_scatter_32
