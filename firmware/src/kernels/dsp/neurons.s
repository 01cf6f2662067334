@ Updates of neurons, four words of potentials at a time.

@ r11: spikes of a neuron that is r11 above its threshold r10, and at most r9.
.macro ts_spikes
udiv r11, r11, r10
add r11, #1
cmp r11, r9
it hi
movhi r11, r9
.endm

@ r11: spikes of the neuron in bits \low and up of \v, \at neurons behind r3, and at most r9; r10: its threshold.
.macro ts_spikes_half v, low, at
ldrh r10, [r3, #2 * (\at)]
ubfx r11, \v, #\low, #15
ts_spikes
.endm

@ The same of the neuron in \v, which is a whole word.
.macro ts_spikes_word v, at
ldr r10, [r3, #4 * (\at)]
bic r11, \v, #0x80000000
ts_spikes
.endm

@ One neuron in the lower half of \v, less its spikes unless \last; \at neurons behind r8.
.macro ts_spike_low v, at, last
ts_spikes_half \v, 0, \at
.if \last == 0
mls \v, r10, r11, \v
.endif
add r10, r8, #\at
orr r11, r10, r11, lsl #16
str r11, [r12], #4
.endm

@ The same in the upper half.
.macro ts_spike_high v, at, last
ts_spikes_half \v, 16, \at
.if \last == 0
mul r10, r10, r11
sub \v, \v, r10, lsl #16
.endif
add r10, r8, #\at
orr r11, r10, r11, lsl #16
str r11, [r12], #4
.endm

@ The two neurons in \v. The shift leaves the upper one's top bit in N and the lower one's in C.
.macro ts_spike_pair v, at, last
asrs r10, \v, #16
bcc 5f
ts_spike_low \v, \at, \last
cmp \v, #0
5:
bpl 6f
ts_spike_high \v, \at + 1, \last
6:
.endm

@ The neuron in \v, which is a whole word.
.macro ts_spike_word v, at, last
cmp \v, #0
bpl 6f
ts_spikes_word \v, \at
.if \last == 0
mls \v, r10, r11, \v
.endif
add r10, r8, #\at
orr r11, r10, r11, lsl #16
str r11, [r12], #4
6:
.endm

@ void name(Fire *fire): an event for each neuron that spikes, as long as there is room for a group.
@ r0 fire, r1 potentials, r2 their end, r3 thresholds, r4-r7 potentials, r8 first neuron,
@ r9 most spikes, r12 events; log neurons of a group are 1 << \log, a neuron has \bytes.
.macro ts_fire name, log, last
ts_function \name
push {r4-r11, lr}
ldm r0, {r1, r2, r9, r12}
mov lr, #0x80008000
1: @ a group
ldm r1!, {r4-r7}
orr r10, r4, r5
orr r11, r6, r7
.if \log == 3
orr r10, r11
tst r10, lr
bne 3f
.else
orrs r10, r11
bmi 3f
.endif
2:
cmp r1, r2
bne 1b
b 9f
3: @ a group with spikes
ldr r10, [r0, #16]
cmp r12, r10
bhi 8f
ldrd r8, r10, [r0, #20]
ldr r3, [r0, #28]
sub r8, r1, r8
lsr r8, #(4 - \log)
udiv r11, r8, r10
mls r11, r11, r10, r8
.if \log == 3
add r3, r3, r11, lsl #1
ts_spike_pair r4, 0, \last
ts_spike_pair r5, 2, \last
ts_spike_pair r6, 4, \last
ts_spike_pair r7, 6, \last
.else
add r3, r3, r11, lsl #2
ts_spike_word r4, 0, \last
ts_spike_word r5, 1, \last
ts_spike_word r6, 2, \last
ts_spike_word r7, 3, \last
.endif
.if \last == 0
sub r10, r1, #16
stm r10, {r4-r7}
.endif
b 2b
8: @ no room
sub r1, #16
9:
str r1, [r0]
str r12, [r0, #12]
pop {r4-r11, pc}
ts_end \name
.endm
ts_fire tinyspike_fire_16, 3, 0
ts_fire tinyspike_fire_16_last, 3, 1
ts_fire tinyspike_fire_32, 2, 0
ts_fire tinyspike_fire_32_last, 2, 1

@ void name(Settle *settle): potentials += bias, which repeats, and the current of inputs.
@ r0 potentials, r1 their end, r2 bias, r3 its start, r12 its end, lr currents
.macro ts_settle name, op, current
ts_function \name
push {r4-r11, lr}
ldm r0, {r0-r3, r12, lr}
1:
ldm r0, {r4-r7}
ldm r2!, {r8-r11}
\op r4, r4, r8
\op r5, r5, r9
\op r6, r6, r10
\op r7, r7, r11
cmp r2, r12
it eq
moveq r2, r3
.if \current
ldm lr!, {r8-r11}
\op r4, r4, r8
\op r5, r5, r9
\op r6, r6, r10
\op r7, r7, r11
.endif
stm r0!, {r4-r7}
cmp r0, r1
bne 1b
pop {r4-r11, pc}
ts_end \name
.endm
ts_settle tinyspike_settle_16, uadd16, 0
ts_settle tinyspike_settle_16_driven, uadd16, 1
ts_settle tinyspike_settle_32, add, 0
ts_settle tinyspike_settle_32_driven, add, 1

@ void tinyspike_copy(uint32_t *to, const uint32_t *from, uint32_t groups): groups of 8 words, upwards.
ts_function tinyspike_copy
push {r4-r10, lr}
1:
ldm r1!, {r3-r10}
stm r0!, {r3-r10}
subs r2, #1
bne 1b
pop {r4-r10, pc}
ts_end tinyspike_copy
