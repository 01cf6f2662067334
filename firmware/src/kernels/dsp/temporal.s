@ Updates of current-based neurons without a current, four words at a time, as long as none fires.

@ void name(Quiet *quiet): neurons fire if \fires; they decay by a number \each, by one of all, or not at all.
@ r0 quiet, r1 words of the neurons, r2 their end, r3 thresholds, r4 decays or the decay, r5 biases, r6-r9 words,
@ r10-r11 parameters, r12 end of whole groups, lr half.
.macro ts_quiet name, fires, decay
ts_function \name
push {r4-r11, lr}
ldm r0, {r1-r5}
mov lr, #0x8000
.ifc \decay, all
ldr r4, [r4]
.endif
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
.ifc \decay, each
ldr r10, [r4], #4
mla r6, r6, r10, lr
.endif
.ifc \decay, all
mla r6, r6, r4, lr
.endif
ldr r10, [r5], #4
.ifc \decay, none
add r6, r6, r10
.else
add r6, r10, r6, asr #16
.endif
str r6, [r1], #4
5:
cmp r1, r2
bne 4b
3:
str r1, [r0]
pop {r4-r11, pc}
ts_end \name
.endm

ts_quiet tinyspike_quiet_above_each, bgt, each
ts_quiet tinyspike_quiet_above_all, bgt, all
ts_quiet tinyspike_quiet_above_none, bgt, none
ts_quiet tinyspike_quiet_from_each, bge, each
ts_quiet tinyspike_quiet_from_all, bge, all
ts_quiet tinyspike_quiet_from_none, bge, none

@ The same of neurons with a current. r0 word of a parameter, r1 currents, r2 their end, r3 thresholds, r4 decays or the
@ decay of the current, r5 biases, r6 potentials, r7 leaks or the leak, r8 current, r9 potential, r10-r11 decays, lr half.
.macro ts_quiet_current name, fires, decay
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
ldr r0, [r5], #4
str r9, [r6], #4
add r8, r0, r8, asr #16
str r8, [r1], #4
2:
cmp r1, r2
bne 1b
3:
pop {r0}
str r1, [r0]
pop {r4-r11, pc}
ts_end \name
.endm

ts_quiet_current tinyspike_quiet_current_above_each, bgt, each
ts_quiet_current tinyspike_quiet_current_above_all, bgt, all
ts_quiet_current tinyspike_quiet_current_from_each, bge, each
ts_quiet_current tinyspike_quiet_current_from_all, bge, all
