@ Updates of current-based neurons.

@ A neuron at r1 fires: its event is written, and it is reset. r0 update, \v potential, \th threshold, which becomes what is
@ subtracted behind the decay. \a, \b change. Without room for the event nothing has changed at \full.
.macro ts_spike v, th, a, b, full
ldrd \a, \b, [r0, #28]
cmp \a, \b
beq \full
ldr \b, [r0, #36]
sub \b, r1, \b
lsrs \b, \b, #2
add \b, \b, #0x10000
str \b, [\a], #4
str \a, [r0, #28]
ldr \a, [r0, #44]
cmp \a, #2
blo 61f
bhi 62f
sub \v, \v, \th
61:
bhs 63f
ldrd \a, \b, [r0, #48]
sub \a, r1, \a
and \a, \a, \b
ldr \b, [r0, #40]
ldrsh \v, [\b, \a]
b 63f
62:
cmp \a, #3
beq 64f
63:
mov \th, #0
64:
.endm

@ The decay of a neuron whose word is r6, and its bias, as ts_update has it; \free changes.
.macro ts_decay decay, free
.ifc \decay, each
ldr \free, [r4], #4
mla r6, r6, \free, lr
.endif
.ifc \decay, all
mla r6, r6, r4, lr
.endif
ldr \free, [r5], #4
.ifc \decay, none
add r6, r6, \free
.else
add r6, \free, r6, asr #16
.endif
.endm

@ void name(Update *update): neurons without a current fire if \fires; they decay by a number \each, by one of all, or not
@ at all.
@ r0 update, r1 words of the neurons, r2 their end, r3 thresholds, r4 decays or the decay, r5 biases, r6-r9 words,
@ r10-r11 parameters, r12 end of whole groups, lr half.
.macro ts_update name, fires, decay
ts_function \name
push {r4-r11, lr}
ldm r0, {r1-r5}
mov lr, #0x8000
.ifc \decay, all
ldr r4, [r4]
.endif
7: @ whole groups from here on
subs r6, r2, r1
bic r6, #15
add r12, r1, r6
b 2f
1: @ a group
ldm r1, {r6-r9}
ldrd r10, r11, [r3]
ssat r6, #16, r6
cmp r6, r10
\fires 4f
ssat r7, #16, r7
cmp r7, r11
\fires 4f
ldrd r10, r11, [r3, #8]
ssat r8, #16, r8
cmp r8, r10
\fires 4f
ssat r9, #16, r9
cmp r9, r11
\fires 4f
adds r3, #16
.ifc \decay, each
ldrd r10, r11, [r4], #8
mla r6, r6, r10, lr
mla r7, r7, r11, lr
ldrd r10, r11, [r4], #8
mla r8, r8, r10, lr
mla r9, r9, r11, lr
.endif
.ifc \decay, all
mla r6, r6, r4, lr
mla r7, r7, r4, lr
mla r8, r8, r4, lr
mla r9, r9, r4, lr
.endif
ldrd r10, r11, [r5], #8
.ifc \decay, none
add r6, r6, r10
add r7, r7, r11
ldrd r10, r11, [r5], #8
add r8, r8, r10
add r9, r9, r11
.else
add r6, r10, r6, asr #16
add r7, r11, r7, asr #16
ldrd r10, r11, [r5], #8
add r8, r10, r8, asr #16
add r9, r11, r9, asr #16
.endif
stm r1!, {r6-r9}
2:
cmp r1, r12
bne 1b
b 5f
4: @ a neuron
ldr r6, [r1]
ldr r10, [r3], #4
ssat r6, #16, r6
cmp r6, r10
\fires 3f
ts_decay \decay, r10
str r6, [r1], #4
5:
cmp r1, r2
bne 4b
9:
str r1, [r0]
pop {r4-r11, pc}
3: @ it fires
ts_spike r6, r10, r7, r8, 9b
ts_decay \decay, r11
sub r6, r6, r10
str r6, [r1], #4
b 7b
ts_end \name
.endm

ts_update tinyspike_update_above_each, bgt, each
ts_update tinyspike_update_above_all, bgt, all
ts_update tinyspike_update_above_none, bgt, none
ts_update tinyspike_update_from_each, bge, each
ts_update tinyspike_update_from_all, bge, all
ts_update tinyspike_update_from_none, bge, none

@ Decays of a neuron with a current, as ts_update_current has it; r0, r10 change. If it \spikes, r12 is subtracted.
.macro ts_decay_current decay, spikes
.ifc \decay, each
ldr r10, [r4], #4
ldr r0, [r7], #4
uxth r11, r10
mla r9, r9, r11, lr
lsrs r10, r10, #16
add r9, r0, r9, asr #16
mla r8, r8, r10, lr
.else
mla r9, r9, r11, lr
mla r8, r8, r4, lr
add r9, r7, r9, asr #16
.endif
.if \spikes
sub r9, r9, r12
.endif
ldr r0, [r5], #4
str r9, [r6], #4
add r8, r0, r8, asr #16
str r8, [r1], #4
.endm

@ The same of neurons with a current. r0 word of a parameter, r1 currents, r2 their end, r3 thresholds, r4 decays or the
@ decay of the current, r5 biases, r6 potentials, r7 leaks or the leak, r8 current, r9 potential, r10-r11 decays, r12 threshold
@ of a neuron that fires, lr half.
.macro ts_update_current name, fires, decay
ts_function \name
push {r0, r4-r11, lr}
ldm r0, {r1-r7}
mov lr, #0x8000
.ifc \decay, all
ldr r4, [r4]
ldr r7, [r7]
uxth r11, r4
lsrs r4, r4, #16
.endif
b 2f
1:
ldr r8, [r1]
ldr r9, [r6]
ssat r8, #16, r8
ldr r0, [r3], #4
add r9, r9, r8
ssat r9, #16, r9
cmp r9, r0
\fires 3f
ts_decay_current \decay, 0
2:
cmp r1, r2
bne 1b
9:
pop {r0}
str r1, [r0]
pop {r4-r11, pc}
3: @ it fires
mov r12, r0
ldr r0, [sp]
push {r8, r11}
ts_spike r9, r12, r8, r11, 8f
pop {r8, r11}
ts_decay_current \decay, 1
b 2b
8:
add sp, #8
b 9b
ts_end \name
.endm

ts_update_current tinyspike_update_current_above_each, bgt, each
ts_update_current tinyspike_update_current_above_all, bgt, all
ts_update_current tinyspike_update_current_from_each, bge, each
ts_update_current tinyspike_update_current_from_all, bge, all

@ The same of neurons with a current and without a leak that decay by the same, less than half: x - (x (1 - decay)), rounded,
@ is one instruction. A pair fires if not both \rest.
@ r0 update, r1 currents, r2 their end less a word, r3 thresholds, r4, r7 2^16 times what currents and potentials lose, in parts
@ of 2^16, r5 biases, r6 potentials, r8-r9 currents, r10-r11 potentials, r12, lr parameters.
.macro ts_update_slow name, fires, rest
ts_function \name
push {r4-r11, lr}
ldm r0, {r1-r6}
ldr r4, [r4]
lsls r7, r4, #16
rsb r7, r7, #0
lsrs r4, r4, #16
lsls r4, r4, #16
rsb r4, r4, #0
subs r2, #4
b 2f
1: @ a pair
ldrd r8, r9, [r1]
ldrd r10, r11, [r6]
ldrd r12, lr, [r3], #8
ssat r8, #16, r8
ssat r9, #16, r9
add r10, r10, r8
add r11, r11, r9
ssat r10, #16, r10
ssat r11, #16, r11
cmp r10, r12
it \rest
cmp\rest r11, lr
\fires 3f
smmlsr r10, r10, r7, r10
smmlsr r11, r11, r7, r11
smmlsr r8, r8, r4, r8
smmlsr r9, r9, r4, r9
ldrd r12, lr, [r5], #8
strd r10, r11, [r6], #8
add r8, r8, r12
add r9, r9, lr
strd r8, r9, [r1], #8
2:
cmp r1, r2
blo 1b
bne 9f
b 4f
3:
subs r3, #8
4: @ a neuron
ldr r8, [r1]
ldr r10, [r6]
ldr r12, [r3], #4
ssat r8, #16, r8
add r10, r10, r8
ssat r10, #16, r10
cmp r10, r12
\fires 5f
mov r12, #0
6:
smmlsr r10, r10, r7, r10
smmlsr r8, r8, r4, r8
sub r10, r10, r12
ldr r12, [r5], #4
str r10, [r6], #4
add r8, r8, r12
str r8, [r1], #4
b 2b
5: @ it fires
ts_spike r10, r12, r9, r11, 9f
b 6b
9:
str r1, [r0]
pop {r4-r11, pc}
ts_end \name
.endm

ts_update_slow tinyspike_update_current_above_slow, bgt, le
ts_update_slow tinyspike_update_current_from_slow, bge, lt
