@ Rows of a matrix, 16 targets at a time.

@ Four weights of the row in r1, times r5, to four targets: two in \even, two in \odd. r2 is 0x00ff00ff.
.macro ts_four at, even, odd
ldr r3, [r1, #\at]
lsrs r4, r3, #8
ands r3, r2
ands r4, r2
muls r3, r5, r3
muls r4, r5, r4
add \even, r3
add \odd, r4
.endm

@ void tinyspike_swar_tile(const Tile *tile, uint32_t sums[8], uint32_t more): sums += the events' products, and as much
@ more. At least one event.
@ r0 events, r1 row, r2 mask, r3, r4 weights, r5 value, r6, r7, r8-r12, lr sums
@ sp: 0 bytes of a row, 4 weights, 8 end of the events, 12 sums
ts_function tinyspike_swar_tile
ts_enter
sub sp, #16
mov lr, r2
mov r2, sp
ldmia r0!, {r3-r6}
stmia r2!, {r3-r5}
str r1, [r2]
mov r0, r6
mov r3, lr
ldmia r1!, {r4-r7}
mov r8, r4
mov r9, r5
mov r10, r6
mov r11, r7
ldmia r1!, {r4-r7}
mov r12, r4
mov lr, r5
add r8, r3
add r9, r3
add r10, r3
add r11, r3
add r12, r3
add lr, r3
adds r6, r6, r3
adds r7, r7, r3
ldr r2, 9f
1:
ldmia r0!, {r5}
uxth r1, r5
asrs r5, r5, #16
ldr r3, [sp]
muls r1, r3, r1
ldr r3, [sp, #4]
adds r1, r1, r3
ts_four 0, r8, r9
ts_four 4, r10, r11
ts_four 8, r12, lr
ts_four 12, r6, r7
ldr r3, [sp, #8]
cmp r0, r3
bne 1b
ldr r2, [sp, #12]
mov r0, r8
mov r1, r9
mov r3, r10
mov r4, r11
stmia r2!, {r0, r1, r3, r4}
mov r4, r12
mov r5, lr
stmia r2!, {r4-r7}
add sp, #16
ts_leave
.balign 4
9: .word 0x00ff00ff
ts_end tinyspike_swar_tile

@ void tinyspike_swar_take(const uint32_t sums[8], uint32_t targets[], uint32_t count, uint32_t shift): targets += sums times
@ 2^shift. At least one target.
@ r0 sums, r1 targets, r2 targets that are left, r3 shift, r4, r5 sums, r6, r7 targets
ts_function tinyspike_swar_take
push {r4-r7, lr}
1:
subs r2, r2, #2
blo 2f
ldmia r0!, {r4}
sxth r5, r4
subs r4, r4, r5
asrs r4, r4, #16
lsls r4, r3
lsls r5, r3
ldr r6, [r1]
ldr r7, [r1, #4]
adds r6, r6, r5
adds r7, r7, r4
stmia r1!, {r6, r7}
cmp r2, #0
bne 1b
pop {r4-r7, pc}
2:
ldr r4, [r0]
sxth r4, r4
lsls r4, r3
ldr r6, [r1]
adds r6, r6, r4
str r6, [r1]
pop {r4-r7, pc}
ts_end tinyspike_swar_take
