@ What an input brings.

@ void name(Windows *windows): currents += the windows' sums of products, shifted; 8 channels.
@ r0 input, r1 weights, r2, r3 values, r4-r11 sums, r12, lr weights
@ sp: rows left, bytes to the next row, windows, fours left, fours in a row
.macro ts_two v, a, b
ldrd r12, lr, [r1], #8
smlad \a, r12, \v, \a
smlad \b, lr, \v, \b
.endm
.macro ts_windows name, single
ts_function \name
push {r4-r11, lr}
sub sp, #20
str r0, [sp, #8]
mov lr, r0
1: @ a window
ldm lr, {r0-r6}
strd r2, r3, [sp]
.if \single
2: @ whether it holds anything
ldr r8, [r0]
tst r8, r5
bne 3f
add r0, r3
subs r2, #1
bne 2b
b 8f
3:
ldr r0, [lr]
.else
str r4, [sp, #16]
.endif
mov r4, r6
ts_spread_sums
4: @ a row
.if \single == 0
ldr r12, [sp, #16]
str r12, [sp, #12]
.endif
5: @ four values
.if \single
ldr r2, [r0]
.else
ldr r2, [r0], #4
.endif
cmp r2, #0
beq 53f
uxtb16 r3, r2, ror #8
uxtb16 r2, r2
cmp r2, #0
beq 51f
ts_two r2, r4, r5
ts_two r2, r6, r7
ts_two r2, r8, r9
ts_two r2, r10, r11
50:
cmp r3, #0
beq 52f
ts_two r3, r4, r5
ts_two r3, r6, r7
ts_two r3, r8, r9
ts_two r3, r10, r11
6:
.if \single == 0
ldr r12, [sp, #12]
subs r12, #1
str r12, [sp, #12]
bne 5b
.endif
ldrd r12, lr, [sp]
add r0, lr
subs r12, #1
str r12, [sp]
bne 4b
ldr lr, [sp, #8]
ldrd r0, r12, [lr, #28]
asr r4, r4, r12
asr r5, r5, r12
pkhbt r4, r4, r5, lsl #16
asr r6, r6, r12
asr r7, r7, r12
pkhbt r6, r6, r7, lsl #16
asr r8, r8, r12
asr r9, r9, r12
pkhbt r8, r8, r9, lsl #16
asr r10, r10, r12
asr r11, r11, r12
pkhbt r10, r10, r11, lsl #16
ldm r0, {r1, r2, r3, r12}
uadd16 r1, r1, r4
uadd16 r2, r2, r6
uadd16 r3, r3, r8
uadd16 r12, r12, r10
stm r0, {r1, r2, r3, r12}
8: @ the next window
ldr r0, [lr]
ldr r1, [lr, #28]
ldrd r2, r3, [lr, #36]
add r0, r2
add r1, r3
str r0, [lr]
str r1, [lr, #28]
ldr r2, [lr, #44]
subs r2, #1
str r2, [lr, #44]
bne 1b
add sp, #20
pop {r4-r11, pc}
51:
add r1, #32
b 50b
52:
add r1, #32
b 6b
53:
add r1, #64
b 6b
ts_end \name
.endm
ts_windows tinyspike_windows, 1
ts_windows tinyspike_windows_long, 0

@ void tinyspike_crossed_terms(Crossing *crossing): a term for each pair of values that are not both
@ the zero point, four values at a time, as long as there is room for two.
@ r1 values, r2 their end, r3 row, r4 bytes of a row, r5 terms, r6 the last place for two,
@ r7, r8 zero point four times and twice
ts_function tinyspike_crossed_terms
push {r4-r11, lr}
ldm r0, {r1-r8}
1:
ldr r9, [r1], #4
cmp r9, r7
bne 3f
add r3, r3, r4, lsl #1
2:
cmp r1, r2
bne 1b
b 9f
3:
cmp r5, r6
bhi 8f
uxtb r10, r9
ubfx r11, r9, #8, #8
orr r10, r10, r11, lsl #16
ssub16 r10, r10, r8
cmp r10, #0
beq 4f
strd r3, r10, [r5], #8
4:
add r3, r4
ubfx r10, r9, #16, #8
lsr r11, r9, #24
orr r10, r10, r11, lsl #16
ssub16 r10, r10, r8
cmp r10, #0
beq 5f
strd r3, r10, [r5], #8
5:
add r3, r4
b 2b
8: @ no room
sub r1, #4
9:
str r1, [r0]
str r3, [r0, #8]
str r5, [r0, #16]
pop {r4-r11, pc}
ts_end tinyspike_crossed_terms

@ void tinyspike_crossed(Term *terms, uint32_t targets[8]): targets += the terms' products, in fours up
@ to a term without a row; the rows go on behind what was used.
@ r4, r6, r8, r10: the sum for an even target and 256 times the next one's; r5, r7, r9, r11: for the even
@ target alone
ts_function tinyspike_crossed
push {r1, r4-r11, lr}
ts_clear_sums
1:
.rept 4
ldrd r1, r2, [r0], #8
ldrd r3, r12, [r1], #8
smlad r4, r3, r2, r4
sxtb16 r3, r3
smlad r5, r3, r2, r5
smlad r6, r12, r2, r6
sxtb16 r12, r12
smlad r7, r12, r2, r7
ldrd r3, r12, [r1], #8
smlad r8, r3, r2, r8
sxtb16 r3, r3
smlad r9, r3, r2, r9
smlad r10, r12, r2, r10
sxtb16 r12, r12
smlad r11, r12, r2, r11
str r1, [r0, #-8]
.endr
ldr r1, [r0]
cmp r1, #0
bne 1b
pop {r1}
ldm r1, {r0, r2, r3, r12}
sub r4, r4, r5
sub r6, r6, r7
add r0, r0, r5
add r2, r2, r4, asr #8
add r3, r3, r7
add r12, r12, r6, asr #8
stm r1!, {r0, r2, r3, r12}
ldm r1, {r0, r2, r3, r12}
sub r8, r8, r9
sub r10, r10, r11
add r0, r0, r9
add r2, r2, r8, asr #8
add r3, r3, r11
add r12, r12, r10, asr #8
stm r1!, {r0, r2, r3, r12}
pop {r4-r11, pc}
ts_end tinyspike_crossed
