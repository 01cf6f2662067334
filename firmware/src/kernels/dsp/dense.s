@ Matrices.

@ void tinyspike_matrix_terms(Listing *listing): a term for each of the next 32 events, as long as the budget lasts and
@ there is a row. Those of one go up from the front, the others down from the back. There is an event.
@ r1 events, r2 their end, r3 rest of the budget, r4 first row, r5 bytes of a row, r6 rows, r7, r8 places of the next
@ terms, r9 event, r10 row, r11 value
ts_function tinyspike_matrix_terms
push {r4-r11, lr}
ldm r0, {r1-r8}
sub r9, r2, r1
cmp r9, #128
it hi
addhi r2, r1, #128
1:
ldr r9, [r1], #4
@ Of a value of one, what is left is the source.
sub r10, r9, #0x10000
cmp r10, r6
bhs 2f
subs r3, #1
bmi 8f
mla r10, r10, r5, r4
str r10, [r7], #8
cmp r1, r2
bne 1b
b 9f
2: @ another value than one, or no row
uxth r10, r9
cmp r10, r6
bhs 7f
subs r3, r3, r9, lsr #16
bmi 6f
mla r10, r10, r5, r4
lsr r11, r9, #16
strd r10, r11, [r8], #-8
cmp r1, r2
bne 1b
b 9f
6: @ the budget does not suffice, or there is no row
add r3, r3, r9, lsr #16
7:
sub r1, #4
b 9f
8:
add r3, #1
b 7b
9:
str r1, [r0]
str r3, [r0, #8]
strd r7, r8, [r0, #24]
pop {r4-r11, pc}
ts_end tinyspike_matrix_terms

@ void tinyspike_matrix(Tiles *tiles): targets += the terms' rows times their values, for tiles of 16 targets. The terms' rows
@ go on behind what was used. Each list is entered so that its end is the end of a chain.
@ r0 terms, r1 row, r2 value, r3, r12 weights, lr factors, r4-r11 lanes: pairs of targets, with a surplus
@ sp: 0, 4 terms of one and of other values, 8, 12 where their chains are entered, 16 surplus twice, 20 targets, 24 tiles left,
@     28 bytes of a target, 32 factor of wide targets, 36 wide targets of the last tile
ts_function tinyspike_matrix
push {r4-r11, lr}
sub sp, #44
ldrd r9, r10, [r0, #32]
ldm r0, {r1-r8}
strd r9, r10, [sp, #32]
strd r1, r2, [sp]
strd r5, r6, [sp, #16]
strd r7, r8, [sp, #24]
@ Of a list of none the chain is entered at its end.
mov r12, #44
adr.w r1, 3f
mls r1, r3, r12, r1
orr r1, #1
mov r12, #80
adr.w r2, 5f
mls r2, r4, r12, r2
orr r2, #1
strd r1, r2, [sp, #8]
1: @ a tile
ts_clear_sums
ldr r0, [sp]
ldr r1, [sp, #8]
bx r1
.balign 4
2:
.rept 4
ldr.w r1, [r0]
ldm.w r1!, {r2, r3, r12, lr}
uxtab16 r4, r4, r2
uxtab16 r5, r5, r2, ror #8
uxtab16 r6, r6, r3
uxtab16 r7, r7, r3, ror #8
uxtab16 r8, r8, r12
uxtab16 r9, r9, r12, ror #8
uxtab16 r10, r10, lr
uxtab16 r11, r11, lr, ror #8
str r1, [r0], #8
.endr
3:
ldr r1, [r0]
cmp r1, #0
bne 2b
ldr r0, [sp, #4]
ldr r1, [sp, #12]
bx r1
.balign 4
4:
.rept 4
ldrd r1, r2, [r0]
ldrd r3, r12, [r1], #8
uxtb16 lr, r3
mla r4, lr, r2, r4
uxtb16 lr, r3, ror #8
mla r5, lr, r2, r5
uxtb16 lr, r12
mla r6, lr, r2, r6
uxtb16 lr, r12, ror #8
mla r7, lr, r2, r7
ldrd r3, r12, [r1], #8
uxtb16 lr, r3
mla r8, lr, r2, r8
uxtb16 lr, r3, ror #8
mla r9, lr, r2, r9
uxtb16 lr, r12
mla r10, lr, r2, r10
uxtb16 lr, r12, ror #8
mla r11, lr, r2, r11
str r1, [r0], #8
.endr
5:
ldr r1, [r0]
cmp r1, #0
bne 4b
ldrd r3, r0, [sp, #16]
ldr r12, [sp, #28]
usub16 r4, r4, r3
usub16 r5, r5, r3
usub16 r6, r6, r3
usub16 r7, r7, r3
usub16 r8, r8, r3
usub16 r9, r9, r3
usub16 r10, r10, r3
usub16 r11, r11, r3
cmp r12, #2
bne 6f
.irp half, 0, 1
ldm r0, {r1, r2, r3, r12}
.if \half == 0
uadd16 r1, r1, r4
uadd16 r2, r2, r5
uadd16 r3, r3, r6
uadd16 r12, r12, r7
.else
uadd16 r1, r1, r8
uadd16 r2, r2, r9
uadd16 r3, r3, r10
uadd16 r12, r12, r11
.endif
stm r0!, {r1, r2, r3, r12}
.endr
b 7f
.macro ts_take_four a, b
ldm r0, {r1, r2, r3, r12}
smlabb r1, \a, lr, r1
smlatb r2, \a, lr, r2
smlabb r3, \b, lr, r3
smlatb r12, \b, lr, r12
stm r0!, {r1, r2, r3, r12}
.endm
6:
ldr lr, [sp, #32]
ldr r1, [sp, #24]
cmp r1, #1
beq 8f
9:
ts_take_four r4, r5
ts_take_four r6, r7
ts_take_four r8, r9
ts_take_four r10, r11
7:
ldr r1, [sp, #24]
str r0, [sp, #20]
subs r1, #1
str r1, [sp, #24]
bne.w 1b
add sp, #44
pop {r4-r11, pc}
8: @ the last tile, which may not be whole
ldr r12, [sp, #36]
cmp r12, #16
beq 9b
mov r3, sp
push {r4-r11}
sub r3, #32
10:
ldrsh r2, [r3], #2
ldr r1, [r0]
subs r12, #1
mla r1, r2, lr, r1
str r1, [r0], #4
bne 10b
add sp, #32
b 7b
ts_end tinyspike_matrix
