@ What an input brings.

@ Four weights of the row in r1, times r5, to four sums.
.macro ts_bytes at, a, b, c, d
ldr r2, [r1, #\at]
sxtb r4, r2
muls r4, r5, r4
add \a, r4
lsrs r4, r2, #8
sxtb r4, r4
muls r4, r5, r4
add \b, r4
lsrs r4, r2, #16
sxtb r4, r4
muls r4, r5, r4
add \c, r4
asrs r2, r2, #24
muls r2, r5, r2
add \d, r2
.endm

@ Two sums, each shifted right by r3, to the targets at [r0, #\at]: in halves of their own, for currents are no
@ potentials.
.macro ts_settle at, a, b
mov r1, \a
mov r2, \b
asrs r1, r3
asrs r2, r3
ldrh r4, [r0, #\at]
adds r4, r4, r1
strh r4, [r0, #\at]
ldrh r4, [r0, #\at + 2]
adds r4, r4, r2
strh r4, [r0, #\at + 2]
.endm

@ void tinyspike_swar_windows(Windows *windows): 8 targets of 16 bits += the sums of a window's products, shifted, for
@ windows side by side. Windows whose columns hold nothing are passed. At least one row of at least one value.
@ 0 columns of the next window, 4 windows left, 8 values in a row, 12 bytes to the next window, 16 from columns to
@ values, 20 end of the targets, 24 bytes from targets to the next window's, 28 weights, 32 half, 36 shift,
@ 40 zero point, 44 bytes from a value's weights to the next one's, 48, 52 bytes to the next row of values, of
@ weights, 56 rows
@ r0 values, r1 weights, r2, r4 products, r3 end of the row, r5 value, r6, r7, r8-r12, lr sums
@ sp: 0 zero point, 4 bytes from a value's weights to the next one's, 8, 12 bytes to the next row of values, of
@     weights, 16 rows left, 20 the argument
ts_function tinyspike_swar_windows
ts_enter
sub sp, #24
str r0, [sp, #20]
mov r7, r0
mov r1, sp
adds r0, #40
ldmia r0!, {r3-r6}
stmia r1!, {r3-r6}
mov r6, r7
ldmia r6!, {r0-r3}
2: @ whether a window holds anything
movs r6, #0
3:
ldrb r4, [r0, r6]
cmp r4, #0
bne 5f
adds r6, #1
cmp r6, r2
bne 3b
4:
adds r0, r0, r3
subs r1, #1
bne 2b
add sp, #24
ts_leave
5:
str r0, [r7]
str r1, [r7, #4]
ldr r3, [r7, #16]
adds r0, r0, r3
ldr r1, [r7, #28]
ldr r3, [r7, #56]
str r3, [sp, #16]
ldr r6, [r7, #32]
mov r7, r6
mov r8, r6
mov r9, r6
mov r10, r6
mov r11, r6
mov r12, r6
mov lr, r6
6: @ a row
ldr r3, [sp, #20]
ldr r3, [r3, #8]
adds r3, r3, r0
7: @ a value
ldrb r5, [r0]
adds r0, #1
ldr r4, [sp]
subs r5, r5, r4
beq 8f
ts_bytes 0, r8, r9, r10, r11
ts_bytes 4, r12, lr, r6, r7
8:
ldr r4, [sp, #4]
adds r1, r1, r4
cmp r0, r3
bne 7b
ldr r4, [sp, #8]
adds r0, r0, r4
ldr r4, [sp, #12]
adds r1, r1, r4
ldr r4, [sp, #16]
subs r4, #1
str r4, [sp, #16]
bne 6b
ldr r5, [sp, #20]
ldr r0, [r5, #20]
ldr r1, [r5, #4]
ldr r2, [r5, #24]
muls r2, r1, r2
subs r0, r0, r2
ldr r3, [r5, #36]
ts_settle 0, r8, r9
ts_settle 4, r10, r11
ts_settle 8, r12, lr
ts_settle 12, r6, r7
mov r7, r5
ldmia r5!, {r0-r3}
b 4b
ts_end tinyspike_swar_windows
