@ Matrices.

@ void tinyspike_dense(Rows *rows): lanes += value * row of each event, as long as the budget lasts and there is a row.
@ r0 lanes, r1 row, r4-r11 lanes. Events of one: r2, r3, r12, lr weights; three of them at once: r2 and lr the
@ other rows, r3, r12 weights; other values: r2 value, r3, r12 weights, lr factors. Up to four tiles of
@ 16, in chains that are entered so that they end with the row.
@
@ sp: 0 lanes, 4 events, 8 budget, 12 weights, 16 bytes of a row, 20 rows, 24 where the chain for three ones is entered,
@     28 the last place of three events, 32 end of the events, 36, 40 where the chains for one and another value are
@     entered
ts_function tinyspike_dense
push {r0, r4-r11, lr}
ldm r0, {r1-r9}
mov lr, r8
adr.w r12, 3f
mov r8, #44
mls r10, r7, r8, r12
adr.w r12, 5f
mov r8, #80
mls r11, r7, r8, r12
adr.w r12, 7f
sub r7, r12, r7, lsl #7
orr r7, #1
orr r10, #1
orr r11, #1
sub r8, r9, #8
push {r1-r11}
cmp lr, #0
bne 6f
1: @ an event
ldm sp, {r0, r4-r12, lr}
cmp r4, r11
beq 9f
ldr r2, [r4], #4
subs r5, r5, r2, lsr #16
bmi 8f
@ Of a value of one, what is left is the source.
sub r3, r2, #0x10000
cmp r3, r8
bhs 4f
strd r4, r5, [sp, #4]
mla r1, r3, r7, r6
bx r12
.balign 4
.rept 4
ldm.w r0, {r4-r11}
ldm.w r1!, {r2, r3, r12, lr}
uxtab16 r4, r4, r2
uxtab16 r5, r5, r2, ror #8
uxtab16 r6, r6, r3
uxtab16 r7, r7, r3, ror #8
uxtab16 r8, r8, r12
uxtab16 r9, r9, r12, ror #8
uxtab16 r10, r10, lr
uxtab16 r11, r11, lr, ror #8
stm.w r0!, {r4-r11}
.endr
3:
b 1b
4: @ another value than one, or no row
uxth r3, r2
cmp r3, r8
bhs 8f
strd r4, r5, [sp, #4]
lsr r2, r2, #16
mla r1, r3, r7, r6
bx lr
.balign 4
.rept 4
ldm.w r0, {r4-r11}
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
stm.w r0!, {r4-r11}
.endr
5:
b 1b
6: @ three events of one with rows; from the first other one on they go singly
ldm sp, {r0, r4-r10}
cmp r4, r10
bhs 1b
ldm r4!, {r1, r2, lr}
sub r1, #0x10000
cmp r1, r8
bhs 1b
sub r2, #0x10000
cmp r2, r8
bhs 1b
sub lr, #0x10000
cmp lr, r8
bhs 1b
subs r5, #3
bmi 1b
strd r4, r5, [sp, #4]
mla r1, r1, r7, r6
mla r2, r2, r7, r6
mla lr, lr, r7, r6
bx r9
.balign 4
.rept 4
ldm.w r0, {r4-r11}
.irp row, r1, r2, lr
ldrd r3, r12, [\row], #8
uxtab16 r4, r4, r3
uxtab16 r5, r5, r3, ror #8
uxtab16 r6, r6, r12
uxtab16 r7, r7, r12, ror #8
ldrd r3, r12, [\row], #8
uxtab16 r8, r8, r3
uxtab16 r9, r9, r3, ror #8
uxtab16 r10, r10, r12
uxtab16 r11, r11, r12, ror #8
.endr
stm.w r0!, {r4-r11}
.endr
7:
b 6b
8: @ the budget does not suffice, or there is no row
sub r4, #4
add r5, r5, r2, lsr #16
9:
add sp, #44
pop {r0}
strd r4, r5, [r0, #4]
pop {r4-r11, pc}
ts_end tinyspike_dense

@ void name(void *targets, void *end, uint32_t lanes[], uint32_t surplus twice): targets += lanes less
@ the surplus; groups of 8 targets. Lanes are 0 then.
ts_function tinyspike_take_16
push {r4-r11, lr}
1:
ldm r0, {r4-r7}
ldm r2, {r8-r11}
usub16 r8, r8, r3
uadd16 r4, r4, r8
usub16 r9, r9, r3
uadd16 r5, r5, r9
usub16 r10, r10, r3
uadd16 r6, r6, r10
usub16 r11, r11, r3
uadd16 r7, r7, r11
stm r0!, {r4-r7}
movs r8, #0
movs r9, #0
strd r8, r9, [r2], #8
strd r8, r9, [r2], #8
cmp r0, r1
bne 1b
pop {r4-r11, pc}
ts_end tinyspike_take_16

ts_function tinyspike_take_32
push {r4-r11, lr}
1:
ldm r0, {r4-r11}
ldrd r12, lr, [r2]
usub16 r12, r12, r3
usub16 lr, lr, r3
sxtah r4, r4, r12
sxtah r5, r5, r12, ror #16
sxtah r6, r6, lr
sxtah r7, r7, lr, ror #16
ldrd r12, lr, [r2, #8]
usub16 r12, r12, r3
usub16 lr, lr, r3
sxtah r8, r8, r12
sxtah r9, r9, r12, ror #16
sxtah r10, r10, lr
sxtah r11, r11, lr, ror #16
stm r0!, {r4-r11}
mov r12, #0
mov lr, #0
strd r12, lr, [r2], #8
strd r12, lr, [r2], #8
cmp r0, r1
bne 1b
pop {r4-r11, pc}
ts_end tinyspike_take_32
