@ Events of a line of a convolution's source over its targets.
@
@ A row of the kernel leads to a run of targets, in blocks of 8: the chain of blocks is entered so that it ends
@ with the row. The argument also says where the events' place leads:
@ 0 targets, 4 weights of the place's first source, 8 bytes of a source's weights, 12 rows, 16 first source of the
@ place, 20 sources of a place, 24 events, 28 their end, 32 first source of the line, 36 sources of the line,
@ 40 2^16 / sources of a place, rounded up, 44 columns, 48 targets of the line, 52 weights of the line

@ void tinyspike_swar_scatter(Line *line): weights in WidePairs.
@ r0 targets, r1 weights, r2 value, r3-r6 products, r7 targets, r8 entry, r9 rows left, r10, r11 bytes to the
@ next row of targets, of weights, r12 the argument, lr events
ts_function tinyspike_swar_scatter
ts_enter
mov r12, r0
ldr r1, [r0, #24]
mov lr, r1
b 1f
2: @ an event of another place
uxth r1, r2
ldr r3, [r7, #32]
subs r1, r1, r3
ldr r4, [r7, #36]
cmp r1, r4
bhs 4f
ldr r4, [r7, #40]
muls r4, r1, r4
lsrs r4, r4, #16
ldr r5, [r7, #20]
muls r5, r4, r5
adds r5, r5, r3
subs r1, r1, r5
adds r1, r1, r3
lsls r3, r4, #1
adds r3, r3, r4
lsls r3, r3, #2
ldr r4, [r7, #44]
adds r3, r3, r4
ldrh r4, [r3, #4]
cmp r4, #0
beq 1f
str r5, [r7, #16]
adr r5, 7f
subs r5, r5, r4
mov r8, r5
ldrh r4, [r3, #8]
mov r10, r4
ldrh r4, [r3, #6]
mov r11, r4
ldrh r4, [r3]
ldr r5, [r7, #48]
adds r4, r4, r5
ldrh r3, [r3, #2]
ldr r5, [r7, #52]
adds r5, r5, r3
str r4, [r7]
str r5, [r7, #4]
b 3f
4: @ an event of another line
mov r3, lr
subs r3, #4
mov lr, r3
5:
mov r3, lr
str r3, [r7, #24]
ts_leave
1: @ an event
mov r7, r12
mov r3, lr
ldr r6, [r7, #28]
cmp r3, r6
beq 5b
ldmia r3!, {r2}
mov lr, r3
uxth r1, r2
ldr r3, [r7, #16]
subs r1, r1, r3
ldr r3, [r7, #20]
cmp r1, r3
bhs 2b
3:
asrs r2, r2, #16
ldmia r7!, {r0, r4, r5, r6}
muls r1, r5, r1
adds r1, r1, r4
mov r9, r6
mov pc, r8
.balign 4
6: @ the chain
.rept 8
ldmia r1!, {r3-r6}
muls r3, r2, r3
muls r4, r2, r4
muls r5, r2, r5
muls r6, r2, r6
ldr r7, [r0]
adds r3, r3, r7
ldr r7, [r0, #4]
adds r4, r4, r7
ldr r7, [r0, #8]
adds r5, r5, r7
ldr r7, [r0, #12]
adds r6, r6, r7
stmia r0!, {r3-r6}
.endr
7:
add r0, r10
add r1, r11
mov r3, r9
subs r3, #1
mov r9, r3
beq 8f
mov pc, r8
8:
b 1b
ts_end tinyspike_swar_scatter
