@ Matrices.

@ void tinyspike_dense(Rows *rows): lanes += value * row of each event, as long as the budget lasts.
@ r0 lanes, r1 row, r4-r11 lanes. Events of one: r2, r3, r12, lr weights; two of them at once: r2 the
@ second row, r3, r12, lr weights; other values: r2 value, r3, r12 weights, lr factors. Up to four tiles of
@ 16, in chains that are entered so that they end with the row.
@
@ sp: 0 lanes, 4 events, 8 budget, 12 end of the events, 16 weights, 20 bytes of a row, 24, 28, 32 where
@     the chains for one, another value and two ones are entered, 36 the last place of two events
ts_function tinyspike_dense
push {r0, r4-r11, lr}
ldm r0, {r1-r8}
mov lr, r8
sub r10, r4, #4
adr.w r12, 3f
mov r8, #44
mls r11, r7, r8, r12
adr.w r12, 5f
mov r8, #80
mls r8, r7, r8, r12
adr.w r12, 7f
mov r9, #88
mls r9, r7, r9, r12
orr r7, r11, #1
orr r8, #1
orr r9, #1
push {r1-r10}
cmp lr, #0
bne 6f
1: @ an event
ldm sp, {r0, r4-r10}
cmp r4, r6
beq 9f
ldr r2, [r4], #4
subs r5, r5, r2, lsr #16
bmi 8f
strd r4, r5, [sp, #4]
uxth r3, r2
mla r1, r3, r8, r7
cmp r2, #0x20000
bhs 4f
bx r9
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
4: @ another value than one
lsr r2, r2, #16
bx r10
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
6: @ two events of one; from the first other one on they go singly
ldm sp, {r0, r4-r12}
cmp r4, r12
bhs 1b
ldrd r2, r3, [r4], #8
orr lr, r2, r3
cmp lr, #0x20000
bhs 1b
subs r5, #2
bmi 1b
strd r4, r5, [sp, #4]
uxth r2, r2
uxth r3, r3
mla r1, r2, r8, r7
mla r2, r3, r8, r7
bx r11
.balign 4
.rept 4
ldm.w r0, {r4-r11}
.irp row, r1, r2
ldm.w \row!, {r3, r12, lr}
uxtab16 r4, r4, r3
uxtab16 r5, r5, r3, ror #8
uxtab16 r6, r6, r12
uxtab16 r7, r7, r12, ror #8
uxtab16 r8, r8, lr
uxtab16 r9, r9, lr, ror #8
ldr r3, [\row], #4
uxtab16 r10, r10, r3
uxtab16 r11, r11, r3, ror #8
.endr
stm.w r0!, {r4-r11}
.endr
7:
b 6b
8: @ the budget does not suffice
sub r4, #4
add r5, r5, r2, lsr #16
9:
add sp, #40
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
