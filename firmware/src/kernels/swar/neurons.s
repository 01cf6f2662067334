@ Updates of neurons, four words of potentials at a time.

@ One neuron whose potential above the threshold is in r4: the spikes to r6, their thresholds to r5.
.macro ts_count at
ldrh r5, [r1, #2 * (\at)]
movs r6, #1
subs r4, r4, r5
bmi 7f
8:
cmp r6, r11
bhs 7f
adds r6, #1
subs r4, r4, r5
bpl 8b
7:
muls r5, r6, r5
lsls r6, r6, #16
.if \at
adds r4, r7, #\at
orrs r6, r4
.else
orrs r6, r7
.endif
stmia r2!, {r6}
.endm

@ The two neurons of a word; \at neurons behind r7.
.macro ts_pair at
ldr r3, [r0]
lsls r4, r3, #16
bpl 5f
lsls r4, r4, #1
lsrs r4, r4, #17
ts_count \at
subs r3, r3, r5
5:
cmp r3, #0
bpl 6f
lsls r4, r3, #1
lsrs r4, r4, #17
ts_count "(\at + 1)"
lsls r5, r5, #16
subs r3, r3, r5
6:
stmia r0!, {r3}
.endm

@ void tinyspike_swar_fire(Fire *fire): an event for each neuron that spikes, as long as there is room for a block.
@ 0 potentials, 4 thresholds of their channels, 8 events, 12 end of the potentials, 16, 20 start and end of the
@ thresholds, 24 most spikes, 28 the last place for the events of a block, 32 all potentials
@ r0 potentials, r1 thresholds, r2 events, r3 word, r4 above, r5 threshold, r6 count, r7 first neuron of the block
@ or the signs, r8-r11 end, start and end of the thresholds, most spikes, r12 argument, lr last place
ts_function tinyspike_swar_fire
ts_enter
mov r12, r0
adds r0, #12
ldmia r0!, {r3-r7}
mov r8, r3
mov r9, r5
mov r10, r4
mov r11, r6
mov lr, r7
mov r3, r12
ldmia r3!, {r0-r2}
ldr r7, 9f
2: @ a block
ldmia r0!, {r3-r6}
orrs r3, r4
orrs r5, r6
orrs r3, r5
tst r3, r7
bne 4f
3:
adds r1, #16
cmp r1, r9
bne 5f
mov r1, r10
5:
cmp r0, r8
bne 2b
1:
mov r3, r12
stmia r3!, {r0-r2}
ts_leave
4: @ a block with spikes
subs r0, #16
cmp r2, lr
bhi 1b
mov r3, r12
ldr r3, [r3, #32]
subs r7, r0, r3
lsrs r7, r7, #1
ts_pair 0
ts_pair 2
ts_pair 4
ts_pair 6
ldr r7, 9f
b 3b
.balign 4
9: .word 0x80008000
ts_end tinyspike_swar_fire

@ void tinyspike_swar_copy(uint32_t *to, const uint32_t *from, uint32_t groups): groups of 8 words, upwards.
ts_function tinyspike_swar_copy
push {r4-r6, lr}
1:
ldmia r1!, {r3-r6}
stmia r0!, {r3-r6}
ldmia r1!, {r3-r6}
stmia r0!, {r3-r6}
subs r2, #1
bne 1b
pop {r4-r6, pc}
ts_end tinyspike_swar_copy
