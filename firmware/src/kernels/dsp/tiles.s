@ Dense layers: windows of values over all filters, two windows and four filters at a time; and depthwise ones.

@ void tinyspike_tiles(Tiles *tiles): targets += the products of two windows with blocks of 4 filters, shifted.
@ r0, r1 values of the two windows, r2, r3 weights, r4-r7 sums of the first window, r8-r11 of the second,
@ r12 values, lr weights
@ sp: 0 rounds left, 4 entry, 8 values, 12 weights, 16 rounds, 20 bytes to the next block's weights,
@     24 half, 28 shift, 32, 36 targets, 40 blocks left, 44 bytes of a target, 48 end of the chain
.macro ts_tile_step
ldrd r0, r1, [r12], #8
ldrd r2, r3, [lr], #8
smlad r4, r0, r2, r4
smlad r5, r0, r3, r5
smlad r8, r1, r2, r8
smlad r9, r1, r3, r9
ldrd r2, r3, [lr], #8
smlad r6, r0, r2, r6
smlad r7, r0, r3, r7
smlad r10, r1, r2, r10
smlad r11, r1, r3, r11
.endm
ts_function tinyspike_tiles
push {r4-r11, lr}
sub sp, #52
ldm r0, {r1-r11}
@ values, weights, words, bytes to the next block, half, shift, two targets, blocks, bytes of a target, none
strd r1, r2, [sp, #8]
subs r3, #1
lsr r0, r3, #3
strd r0, r4, [sp, #16]
strd r5, r6, [sp, #24]
strd r7, r8, [sp, #32]
strd r9, r10, [sp, #40]
and r3, #7
add r3, #1
mov r0, #44
mul r3, r3, r0
adr.w r0, 7f
orr r0, #1
sub r0, r3
str r0, [sp, #4]
1: @ a block
ldr r4, [sp, #24]
ts_spread_sums
ldrd r12, lr, [sp, #8]
ldr r0, [sp, #16]
str r0, [sp]
ldr r0, [sp, #4]
bx r0
.balign 4
2:
.rept 8
ts_tile_step
.endr
7:
ldr r0, [sp]
subs r0, #1
str r0, [sp]
bpl 2b
ldr r0, [sp, #20]
add lr, r0
str lr, [sp, #12]
ldr r0, [sp, #28]
cbz r0, 3f
asr r4, r4, r0
asr r5, r5, r0
asr r6, r6, r0
asr r7, r7, r0
asr r8, r8, r0
asr r9, r9, r0
asr r10, r10, r0
asr r11, r11, r0
3:
ldr r0, [sp, #44]
cmp r0, #2
ldrd r0, r1, [sp, #32]
bne 4f
@ 16 bits
pkhbt r4, r4, r5, lsl #16
pkhbt r6, r6, r7, lsl #16
pkhbt r8, r8, r9, lsl #16
pkhbt r10, r10, r11, lsl #16
ldrd r2, r3, [r0]
uadd16 r2, r2, r4
uadd16 r3, r3, r6
strd r2, r3, [r0], #8
ldrd r2, r3, [r1]
uadd16 r2, r2, r8
uadd16 r3, r3, r10
strd r2, r3, [r1], #8
b 5f
4: @ 32 bits
ldm r0, {r2, r3, r12, lr}
add r2, r4
add r3, r5
add r12, r6
add lr, r7
stm r0!, {r2, r3, r12, lr}
ldm r1, {r2, r3, r12, lr}
add r2, r8
add r3, r9
add r12, r10
add lr, r11
stm r1!, {r2, r3, r12, lr}
5:
strd r0, r1, [sp, #32]
ldr r0, [sp, #40]
subs r0, #1
str r0, [sp, #40]
bne 1b
add sp, #52
pop {r4-r11, pc}
ts_end tinyspike_tiles

@ void tinyspike_depthwise(Depthwise *depthwise): targets += the products of each channel's window with its weights;
@ blocks of 8 channels.
@ r0 values, r1 weights, r2 bytes from the values of a tap to the next tap's, and half as much as of weights,
@ r3 values, r4-r11 sums, r12 weights, lr values
@ sp: 0 rounds left, 4 entry, 8 values, 12 weights, 16 targets, 20 blocks left, 24 rows, 28 rounds,
@     32 bytes from the end of a row's values to the next row's, 36 of weights, 40 bytes of a target, 44 rows left
.macro ts_depthwise_four at, a, b, c, d
ldr.w r3, [r0, #\at]
ldr r12, [r1, #2 * \at]
uxtb16 lr, r3
uxtb16 r3, r3, ror #8
smlabb \a, lr, r12, \a
smlabt \b, r3, r12, \b
ldr r12, [r1, #2 * \at + 4]
smlatb \c, lr, r12, \c
smlatt \d, r3, r12, \d
.endm
ts_function tinyspike_depthwise
push {r4-r11, lr}
sub sp, #48
ldm r0, {r1-r11}
@ values, weights, targets, blocks, rows, columns, step, row of values, row of weights, bytes of a target, none
str r1, [sp, #8]
str r2, [sp, #12]
strd r3, r4, [sp, #16]
subs r6, #1
lsr r12, r6, #2
strd r5, r12, [sp, #24]
strd r8, r9, [sp, #32]
str r10, [sp, #40]
mov r2, r7
and r6, #3
add r6, #1
mov r12, #80
mul r6, r6, r12
adr.w r12, 7f
orr r12, #1
sub r12, r6
str r12, [sp, #4]
1: @ a block
ldrd r0, r1, [sp, #8]
ts_clear_sums
ldr r3, [sp, #24]
str r3, [sp, #44]
4: @ a row
ldr r3, [sp, #28]
str r3, [sp]
ldr r3, [sp, #4]
bx r3
.balign 4
2:
.rept 4
ts_depthwise_four 0, r4, r5, r6, r7
ts_depthwise_four 4, r8, r9, r10, r11
add.w r0, r0, r2
add.w r1, r1, r2, lsl #1
.endr
7:
ldr r3, [sp]
subs r3, #1
str r3, [sp]
bpl 2b
ldrd r3, r12, [sp, #32]
add r0, r3
add r1, r12
ldr r3, [sp, #44]
subs r3, #1
str r3, [sp, #44]
bne 4b
ldr r12, [sp, #16]
ldr r3, [sp, #40]
cmp r3, #2
bne 5f
@ 16 bits
pkhbt r4, r4, r5, lsl #16
pkhbt r6, r6, r7, lsl #16
pkhbt r8, r8, r9, lsl #16
pkhbt r10, r10, r11, lsl #16
ldm r12, {r0, r1, r3, lr}
uadd16 r0, r0, r4
uadd16 r1, r1, r6
uadd16 r3, r3, r8
uadd16 lr, lr, r10
stm r12!, {r0, r1, r3, lr}
b 6f
5: @ 32 bits
ldm r12, {r0, r1, r3, lr}
add r0, r4
add r1, r5
add r3, r6
add lr, r7
stm r12!, {r0, r1, r3, lr}
ldm r12, {r0, r1, r3, lr}
add r0, r8
add r1, r9
add r3, r10
add lr, r11
stm r12!, {r0, r1, r3, lr}
6:
str r12, [sp, #16]
ldrd r0, r1, [sp, #8]
add r0, #8
add r1, #16
strd r0, r1, [sp, #8]
ldr r0, [sp, #20]
subs r0, #1
str r0, [sp, #20]
bne 1b
add sp, #48
pop {r4-r11, pc}
ts_end tinyspike_depthwise

@ void tinyspike_expand(uint32_t *to, const uint8_t *from, uint32_t fours, uint32_t zero, uint32_t rows, uint32_t step):
@ rows of values less the zero point, which is in both halves of a word, as pairs of 16 bits: two words for four values,
@ every other word. The step is the bytes from the end of a row to the next.
ts_function tinyspike_expand
push {r4-r11, lr}
ldrd r9, r10, [sp, #36]
mov r11, r2
1: @ a row
mov r2, r11
cmp r3, #0
bne 4f
tst r2, #1
beq 2f
ldr r4, [r1], #4
uxtb16 r5, r4
uxtb16 r6, r4, ror #8
str r5, [r0]
str r6, [r0, #8]
add r0, #16
subs r2, #1
beq 9f
2: @ two fours
ldr r4, [r1]
ldr r7, [r1, #4]
add r1, #8
uxtb16 r5, r4
uxtb16 r6, r4, ror #8
uxtb16 r8, r7
uxtb16 r12, r7, ror #8
str r5, [r0]
str r6, [r0, #8]
str r8, [r0, #16]
str r12, [r0, #24]
add r0, #32
subs r2, #2
bne 2b
9:
add r1, r10
subs r9, #1
bne 1b
pop {r4-r11, pc}
4: @ a four less the zero point
ldr r4, [r1], #4
uxtb16 r5, r4
uxtb16 r6, r4, ror #8
ssub16 r5, r5, r3
ssub16 r6, r6, r3
str r5, [r0]
str r6, [r0, #8]
add r0, #16
subs r2, #1
bne 4b
b 9b
ts_end tinyspike_expand
