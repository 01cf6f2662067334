@ Events of a line of a convolution's source over its targets.
@
@ A row of the kernel leads to a run of targets: a contiguous product, in blocks of 8 channels. A chain
@ of blocks is entered so that it ends with the row; rows with more blocks go through it again.
@
@ sp:  0 targets, 4 entry, 8 events, 12 their end, 16 first source of the place, 20 channels,
@     24 bytes of a channel's weights, 28 weights of the place, 32 rows, 36 rounds, 40 bytes to the next
@     row of targets, 44 of weights, 48 rows left, 52 first source of the line, 56 sources of the line,
@     60 targets of the line, 64 weights of the line, 68 columns, 72 end of the chain, 76 the argument

.macro ts_scatter_enter
push {r4-r11, lr}
ldm r0, {r1-r11}
sub sp, #80
str r0, [sp, #76]
adr.w r12, 7f
orr r12, #1
str r12, [sp, #72]
str r11, [sp, #68]
str r8, [sp, #64]
str r1, [sp, #60]
strd r5, r10, [sp, #52]
@ No event is of this place.
add r5, #0x10000
add r12, sp, #8
stm r12, {r3-r9}
.endm

@ The event in r2 is not of the place in r6, of r7 channels; r4 is behind the event. Ends in \next, with
@ steps in lr.
.macro ts_scatter_place next
ldrd r0, r1, [sp, #52]
uxth r10, r2
sub r10, r0
cmp r10, r1
bhs 6f
udiv r10, r10, r7
mla r6, r10, r7, r0
ldrd r8, r9, [sp, #60]
ldr r11, [sp, #68]
add r10, r10, r10, lsl #1
add r11, r11, r10, lsl #2
ldm r11, {r3, r10, lr}
cmp r10, #0
itt eq
streq r4, [sp, #8]
beq \next
uxtah r0, r8, r3
add r9, r9, r3, lsr #16
ldr r3, [sp, #72]
uxth r11, r10
sub r3, r11
strd r0, r3, [sp]
str r6, [sp, #16]
str r9, [sp, #28]
.endm

.macro ts_scatter_leave
6: @ an event of another line
sub r4, #4
9:
ldr r0, [sp, #76]
str r4, [r0, #8]
add sp, #80
pop {r4-r11, pc}
.endm

@ void name(Line *line): 16-bit targets, weights in WidePairs.
@ r0 targets, r1 weights, r2 value, r3 entry, r4-r7 targets, r8-r11 weights,
@ r12 rows left (and, for long rows, rounds left above), lr steps to the next row
.macro ts_scatter_16 name, long
ts_function \name
ts_scatter_enter
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
8:
ts_scatter_place 1b
.if \long
lsr r10, r10, #16
uxth r12, r12
orr r12, r12, r10, lsl #16
add r10, #1
lsl r10, #16
sub r10, #1
strd r12, r10, [sp, #32]
.endif
b 1b
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
ts_scatter_leave
ts_end \name
.endm
ts_scatter_16 tinyspike_scatter_16, 0
ts_scatter_16 tinyspike_scatter_16_long, 1

@ void tinyspike_scatter_32(Line *line): 32-bit targets, weights in Wide.
@ r0 targets, r1 weights, r2 value, r3 rounds left, r4-r11 targets, r12, lr weights
ts_function tinyspike_scatter_32
ts_scatter_enter
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
8:
ts_scatter_place 1b
lsr r9, r10, #16
lsr r10, lr, #16
uxth r11, lr
add r12, sp, #36
stm r12, {r9-r11}
b 1b
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
ts_scatter_leave
ts_end tinyspike_scatter_32
