@ Updates of neurons, four words of potentials at a time.

@ The neuron \at behind r7, whose potential above the threshold is in r4: the spikes to r6, their thresholds to r5.
.macro ts_count at, load, bytes
\load r5, [r1, #\bytes * (\at)]
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

@ The two neurons of a word.
.macro ts_pair at
ldr r3, [r0]
lsls r4, r3, #16
bpl 5f
lsls r4, r4, #1
lsrs r4, r4, #17
ts_count \at, ldrh, 2
subs r3, r3, r5
5:
cmp r3, #0
bpl 6f
lsls r4, r3, #1
lsrs r4, r4, #17
ts_count "(\at + 1)", ldrh, 2
lsls r5, r5, #16
subs r3, r3, r5
6:
stmia r0!, {r3}
.endm

@ The neuron that is a word.
.macro ts_word at
ldr r3, [r0]
lsls r4, r3, #1
bcc 6f
lsrs r4, r4, #1
ts_count \at, ldr, 4
subs r3, r3, r5
6:
stmia r0!, {r3}
.endm

@ void name(Fire *fire): an event for each neuron that spikes, as long as there is room for a block.
@ 0 potentials, 4 thresholds of their channels, 8 events, 12 end of the potentials, 16, 20 start and end of the
@ thresholds, 24 most spikes, 28 the last place for the events of a block, 32 all potentials
@ r0 potentials, r1 thresholds, r2 events, r3 word, r4 above, r5 threshold, r6 count, r7 first neuron of the block
@ or the signs, r8-r11 end, end and start of the thresholds, most spikes, r12 argument, lr last place;
@ log bytes of a neuron are \log
.macro ts_fire name, log, signs
ts_function \name
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
lsrs r7, r7, #\log
.if \log == 1
ts_pair 0
ts_pair 2
ts_pair 4
ts_pair 6
.else
ts_word 0
ts_word 1
ts_word 2
ts_word 3
.endif
ldr r7, 9f
b 3b
.balign 4
9: .word \signs
ts_end \name
.endm
ts_fire tinyspike_swar_fire_16, 1, 0x80008000
ts_fire tinyspike_swar_fire_32, 2, 0x80000000

@ The addends in \c to the potentials at [r0, #\at]; two numbers of 16 bits in a word where \narrow, that is the lower
@ one extended to the whole word. r2 is 0x8000.
.macro ts_add at, c, narrow
.if \narrow
movs r7, \c
ands r7, r2
adds r7, r7, r7
subs \c, \c, r7
.endif
ldr r7, [r0, #\at]
adds \c, \c, r7
.endm

@ void name(uint32_t *potentials, uint32_t *end, const uint32_t *addends, const uint32_t *addends_end): the addends, which
@ repeat, to blocks of four words.
@ r0 potentials, r1 addends, r2 mask, r3-r6 addends, r7 potentials, r8 end, r9, r10 end and start of the addends
.macro ts_settle_neurons name, narrow
ts_function \name
ts_enter
mov r8, r1
mov r9, r3
mov r10, r2
mov r1, r2
movs r2, #1
lsls r2, r2, #15
1:
ldmia r1!, {r3-r6}
movs r7, r3
orrs r7, r4
orrs r7, r5
orrs r7, r6
beq 3f
ts_add 0, r3, \narrow
ts_add 4, r4, \narrow
ts_add 8, r5, \narrow
ts_add 12, r6, \narrow
stmia r0!, {r3-r6}
2:
cmp r1, r9
bne 4f
mov r1, r10
4:
cmp r0, r8
bne 1b
ts_leave
3:
adds r0, #16
b 2b
ts_end \name
.endm
ts_settle_neurons tinyspike_swar_settle_16, 1
ts_settle_neurons tinyspike_swar_settle_32, 0

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
