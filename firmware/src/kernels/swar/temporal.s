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

@ void name(Quiet *quiet): an even number of neurons.
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
