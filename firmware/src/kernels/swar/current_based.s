@ Updates of current-based neurons, as long as none needs to be cut to 16 bits.

@ A neuron at r1 fires: its event is written, and it is reset. r12 update, r4 potential, r2 threshold, which becomes what is
@ subtracted behind the decay. r0, r3, r5, r6 change. Without room for the event nothing has changed at \full.
.macro ts_spike full
mov r0, r12
ldr r3, [r0, #28]
ldr r5, [r0, #32]
cmp r3, r5
beq \full
ldr r5, [r0, #36]
subs r5, r1, r5
lsrs r5, r5, #2
movs r6, #1
lsls r6, r6, #16
adds r5, r5, r6
stmia r3!, {r5}
str r3, [r0, #28]
ldr r3, [r0, #44]
cmp r3, #2
beq 61f
bhi 62f
ldr r3, [r0, #48]
subs r3, r1, r3
ldr r6, [r0, #52]
ands r3, r6
ldr r6, [r0, #40]
ldrsh r4, [r6, r3]
b 63f
61:
subs r4, r4, r2
b 63f
62:
cmp r3, #3
beq 64f
63:
movs r2, #0
64:
.endm

@ The decay of a neuron whose word is in r2, and its next. It is no longer at the threshold if it \spikes: r6 is subtracted.
.macro ts_decay decay, spikes
.ifc \decay, each
ldmia r4!, {r7}
muls r2, r7, r2
.endif
.ifc \decay, all
muls r2, r4, r2
.endif
.ifnc \decay, none
adds r2, r2, r0
asrs r2, r2, #16
.endif
.if \spikes
subs r2, r2, r6
.endif
ldmia r5!, {r7}
adds r2, r2, r7
stmia r1!, {r2}
.endm

@ void name(Update *update): neurons without a current fire if \fires; they decay by a number \each, by one of all, or not at
@ all.
@ r0 half, r1 words of the neurons, r2 word, r3 thresholds, r4 decays or the decay, r5 biases, r6, r7 parameters, r12 update,
@ lr the words' end.
.macro ts_update name, fires, decay
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
ldr r2, [r1]
sxth r6, r2
cmp r6, r2
bne 3f
ldmia r3!, {r6}
cmp r2, r6
\fires 4f
ts_decay \decay, 0
2:
cmp r1, lr
bne 1b
3:
mov r0, r12
str r1, [r0]
pop {r4-r7, pc}
4: @ it fires
push {r0, r3, r4, r5}
mov r4, r2
mov r2, r6
ts_spike 5f
mov r6, r2
mov r2, r4
pop {r0, r3, r4, r5}
ts_decay \decay, 1
b 2b
5:
add sp, #16
b 3b
ts_end \name
.endm

ts_update tinyspike_update_above_each, bgt, each
ts_update tinyspike_update_above_all, bgt, all
ts_update tinyspike_update_above_none, bgt, none
ts_update tinyspike_update_from_each, bge, each
ts_update tinyspike_update_from_all, bge, all
ts_update tinyspike_update_from_none, bge, none

@ r3: the current of the neuron at r1; r4: its potential at r5 with it. It is done with at \cut if one has to be cut.
.macro ts_charge cut
ldr r3, [r1]
sxth r2, r3
cmp r2, r3
bne \cut
ldr r4, [r5]
adds r4, r4, r3
sxth r2, r4
cmp r2, r4
bne \cut
.endm

@ Decays of a neuron with a current and constants of its own, as ts_update_each has it. If it \spikes, r2 is subtracted.
.macro ts_decay_each spikes
mov r6, r9
ldr r6, [r6, r7]
.if \spikes
push {r2}
.endif
uxth r2, r6
muls r4, r2, r4
lsrs r6, r6, #16
muls r3, r6, r3
adds r4, r4, r0
asrs r4, r4, #16
adds r3, r3, r0
asrs r3, r3, #16
.if \spikes
pop {r2}
subs r4, r4, r2
.endif
mov r2, r11
ldr r2, [r2, r7]
adds r4, r4, r2
mov r2, r10
ldr r2, [r2, r7]
adds r3, r3, r2
stmia r5!, {r4}
stmia r1!, {r3}
adds r7, r7, #4
.endm

@ The same of neurons with a current. r0 half, r1 currents, r3 current, r4 potential, r5 potentials, r7 offset of parameters,
@ r8 thresholds, r9 decays, r10 biases, r11 leaks, r12 update, lr the currents' end.
.macro ts_update_each name, fires
ts_function \name
ts_enter
mov r12, r0
ldmia r0!, {r1-r7}
mov lr, r2
mov r8, r3
mov r10, r5
mov r5, r6
mov r9, r4
mov r11, r7
movs r0, #1
lsls r0, r0, #15
movs r7, #0
b 2f
1:
ts_charge 3f
mov r2, r8
ldr r2, [r2, r7]
cmp r4, r2
\fires 4f
ts_decay_each 0
2:
cmp r1, lr
bne 1b
3:
mov r0, r12
str r1, [r0]
ts_leave
4: @ it fires
push {r0, r3, r5}
ts_spike 5f
pop {r0, r3, r5}
ts_decay_each 1
b 2b
5:
add sp, #12
b 3b
ts_end \name
.endm

ts_update_each tinyspike_update_current_above_each, bgt
ts_update_each tinyspike_update_current_from_each, bge

@ Decays of a neuron with a current, by the same as all. If it \spikes, r2 is subtracted; the leak counts if it \leaks.
.macro ts_decay_all leaks, spikes
muls r4, r7, r4
add r4, r8
asrs r4, r4, #16
.if \leaks
add r4, r11
.endif
.if \spikes
subs r4, r4, r2
.endif
mov r2, r9
muls r3, r2, r3
add r3, r8
asrs r3, r3, #16
ldmia r6!, {r2}
adds r3, r3, r2
stmia r5!, {r4}
stmia r1!, {r3}
.endm

@ A neuron that decays by the same as all; it is done with at 9f if it has to be cut, and with at \spike if it fires.
.macro ts_neuron_all fires, leaks, spike
ts_charge 9f
ldmia r0!, {r2}
cmp r4, r2
\fires \spike
ts_decay_all \leaks, 0
.endm

@ The same of neurons that decay by the same, two at a time. r0 thresholds, r1 currents, r3 current, r4 potential,
@ r5 potentials, r6 biases, r7 decay of potentials, r8 half, r9 decay of currents, r11 leak, r12 update, lr the currents' end.
.macro ts_update_all name, fires, leaks
ts_function \name
ts_enter
mov r12, r0
ldmia r0!, {r1-r7}
mov lr, r2
mov r0, r3
ldr r7, [r7]
mov r11, r7
ldr r4, [r4]
uxth r7, r4
lsrs r4, r4, #16
mov r9, r4
movs r4, #1
lsls r4, r4, #15
mov r8, r4
@ The loop goes by r6 for biases and r5 for potentials.
mov r2, r5
mov r5, r6
mov r6, r2
2: @ An odd number begins with one.
mov r2, lr
subs r2, r2, r1
lsls r2, r2, #29
bpl 3f
ts_neuron_all \fires, \leaks, 4f
b 3f
1:
ts_neuron_all \fires, \leaks, 4f
ts_neuron_all \fires, \leaks, 4f
3:
cmp r1, lr
bne 1b
9:
mov r0, r12
str r1, [r0]
ts_leave
4: @ it fires
push {r0, r3, r5, r6}
ts_spike 5f
pop {r0, r3, r5, r6}
ts_decay_all \leaks, 1
b 2b
5:
add sp, #16
b 9b
ts_end \name
.endm

ts_update_all tinyspike_update_current_above_all, bgt, 1
ts_update_all tinyspike_update_current_from_all, bge, 1
ts_update_all tinyspike_update_current_above_slow, bgt, 0
ts_update_all tinyspike_update_current_from_slow, bge, 0
