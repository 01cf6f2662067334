@ Updates of current-based neurons without a current, as long as none fires and none needs to be cut to 16 bits.

@ The neuron at r1. Neurons fire if \fires; they decay by a number \each, by one of all, or not at all.
.macro ts_quiet_neuron fires, decay
ldr r2, [r1]
sxth r6, r2
cmp r6, r2
bne 3f
ldmia r3!, {r6}
cmp r2, r6
\fires 3f
.ifc \decay, each
ldmia r4!, {r6}
muls r2, r6, r2
.endif
.ifc \decay, all
muls r2, r4, r2
.endif
.ifnc \decay, none
adds r2, r2, r0
asrs r2, r2, #16
.endif
ldmia r5!, {r7}
adds r2, r2, r7
stmia r1!, {r2}
.endm

@ void name(Quiet *quiet)
@ r0 half, r1 words of the neurons, r3 thresholds, r4 decays or the decay, r5 biases, r12 quiet, lr the words' end.
.macro ts_quiet name, fires, decay
ts_function \name
push {r4-r7, lr}
mov r12, r0
ldmia r0!, {r1-r5}
mov lr, r2
movs r0, #1
lsls r0, r0, #15
.ifc \decay, all
ldr r4, [r4]
.endif
b 2f
1:
ts_quiet_neuron \fires, \decay
2:
cmp r1, lr
bne 1b
3:
mov r0, r12
str r1, [r0]
pop {r4-r7, pc}
ts_end \name
.endm

ts_quiet tinyspike_quiet_above_each, bgt, each
ts_quiet tinyspike_quiet_above_all, bgt, all
ts_quiet tinyspike_quiet_above_none, bgt, none
ts_quiet tinyspike_quiet_from_each, bge, each
ts_quiet tinyspike_quiet_from_all, bge, all
ts_quiet tinyspike_quiet_from_none, bge, none

@ The same of neurons with a current. r0 half, r1 currents, r3 current, r4 potential, r5 potentials, r6 the decay of all
@ potentials, r7 offset of parameters, r8 thresholds, r9 decays or the decay of currents, r10 biases, r11 leaks or the leak,
@ r12 quiet, lr the currents' end.
.macro ts_quiet_current name, fires, decay
ts_function \name
ts_enter
mov r12, r0
ldmia r0!, {r1-r7}
mov lr, r2
mov r8, r3
mov r10, r5
mov r5, r6
.ifc \decay, all
ldr r4, [r4]
uxth r6, r4
lsrs r4, r4, #16
ldr r7, [r7]
.endif
mov r9, r4
mov r11, r7
movs r0, #1
lsls r0, r0, #15
movs r7, #0
b 2f
1:
ldr r3, [r1]
sxth r2, r3
cmp r2, r3
bne 3f
ldr r4, [r5]
adds r4, r4, r3
sxth r2, r4
cmp r2, r4
bne 3f
mov r2, r8
ldr r2, [r2, r7]
cmp r4, r2
\fires 3f
.ifc \decay, each
mov r2, r9
ldr r2, [r2, r7]
uxth r6, r2
muls r4, r6, r4
lsrs r2, r2, #16
.else
muls r4, r6, r4
mov r2, r9
.endif
muls r3, r2, r3
adds r4, r4, r0
asrs r4, r4, #16
adds r3, r3, r0
asrs r3, r3, #16
mov r2, r11
.ifc \decay, each
ldr r2, [r2, r7]
.endif
adds r4, r4, r2
mov r2, r10
ldr r2, [r2, r7]
adds r3, r3, r2
stmia r5!, {r4}
stmia r1!, {r3}
adds r7, r7, #4
2:
cmp r1, lr
bne 1b
3:
mov r0, r12
str r1, [r0]
ts_leave
ts_end \name
.endm

ts_quiet_current tinyspike_quiet_current_above_each, bgt, each
ts_quiet_current tinyspike_quiet_current_above_all, bgt, all
ts_quiet_current tinyspike_quiet_current_from_each, bge, each
ts_quiet_current tinyspike_quiet_current_from_all, bge, all
