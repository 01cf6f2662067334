# Updates of current-based neurons, as long as none needs to be cut to 16 bits.

# A neuron whose word is at t5 fires: its event is written, and it is reset. t0 potential, t1 threshold, which becomes what
# is subtracted behind the decay, a0 update, t6 where it returns to. a7 is 0, or 1 if there is no room for the event and
# nothing has changed; t4 changes.
ts_function tinyspike_update_spike
lw t4, 28(a0)
lw a7, 32(a0)
beq t4, a7, 4f
lw a7, 36(a0)
sub a7, t5, a7
srli a7, a7, 2
sh a7, 0(t4)
li a7, 1
sh a7, 2(t4)
addi t4, t4, 4
sw t4, 28(a0)
lw t4, 44(a0)
li a7, 2
beq t4, a7, 1f
bgtu t4, a7, 2f
lw t4, 48(a0)
lw a7, 52(a0)
sub t4, t5, t4
and t4, t4, a7
lw a7, 40(a0)
add t4, t4, a7
lh t0, 0(t4)
j 3f
1:
sub t0, t0, t1
j 3f
2:
li a7, 3
beq t4, a7, 5f
3:
li t1, 0
5:
li a7, 0
jr t6
4:
li a7, 1
jr t6
ts_end tinyspike_update_spike

# The value in \v times the decay in \decay, rounded.
.macro ts_decay v, decay
mul \v, \v, \decay
add \v, \v, a6
srai \v, \v, 16
.endm

# A neuron without a current, whose word is at a1 + \at.
.macro ts_neuron at, fires, decay
lw t0, \at(a1)
lw t1, \at(a3)
.ifc \decay, each
lw t2, \at(a4)
.endif
lw t3, \at(a5)
add t4, t0, a6
srli t4, t4, 16
bnez t4, 3\at\()f
\fires t0, t1, 4\at\()f
5\at:
.ifc \decay, each
ts_decay t0, t2
.endif
.ifc \decay, all
ts_decay t0, a4
.endif
add t0, t0, t3
sw t0, \at(a1)
.endm

# The same where it fires, and where it has to be cut. What is subtracted behind the decay is taken from the bias.
.macro ts_neuron_aside at
4\at:
addi t5, a1, \at
call t6, tinyspike_update_spike
bnez a7, 3\at\()f
sub t3, t3, t1
j 5\at\()b
3\at:
addi a1, a1, \at
sw a1, 0(a0)
ret
.endm

# void name(Update *update): neurons without a current fire if \fires; they decay by a number \each, by one of all, or not at
# all. They are taken in twos; an odd number begins with the second one.
# a0 update, a1 words of the neurons, a2 their end, a3 thresholds, a4 decays or the decay, a5 biases, a6 half, t0 word,
# t1 threshold, t2 decay, t3 bias
.macro ts_update name, fires, decay
ts_function \name
lw a1, 0(a0)
lw a2, 4(a0)
lw a3, 8(a0)
lw a4, 12(a0)
lw a5, 16(a0)
.ifc \decay, all
lw a4, 0(a4)
.endif
li a6, 0x8000
sub t0, a2, a1
andi t0, t0, 4
beqz t0, 2f
addi a1, a1, -4
addi a3, a3, -4
.ifc \decay, each
addi a4, a4, -4
.endif
addi a5, a5, -4
j 6f
1:
ts_neuron 0, \fires, \decay
6:
ts_neuron 4, \fires, \decay
addi a1, a1, 8
addi a3, a3, 8
.ifc \decay, each
addi a4, a4, 8
.endif
addi a5, a5, 8
2:
bne a1, a2, 1b
sw a1, 0(a0)
ret
ts_neuron_aside 0
ts_neuron_aside 4
ts_end \name
.endm

ts_update tinyspike_update_above_each, bgt, each
ts_update tinyspike_update_above_all, bgt, all
ts_update tinyspike_update_above_none, bgt, none
ts_update tinyspike_update_from_each, bge, each
ts_update tinyspike_update_from_all, bge, all
ts_update tinyspike_update_from_none, bge, none

# The potential in t0 decays, and leaks unless \decay is slow: by constants of the neuron at \at where they are of \each.
.macro ts_potential at, decay
.ifc \decay, each
lhu t4, \at(a4)
lw t2, \at(s1)
ts_decay t0, t4
add t0, t0, t2
.else
ts_decay t0, a4
.ifc \decay, all
add t0, t0, s1
.endif
.endif
.endm

# A neuron with a current, whose word is at a1 + \at.
.macro ts_neuron_current at, fires, decay
lw t3, \at(a1)
lw t0, \at(s0)
lw t1, \at(a3)
add t0, t0, t3
add t4, t3, a6
add t2, t0, a6
or t4, t4, t2
srli t4, t4, 16
bnez t4, 3\at\()f
\fires t0, t1, 4\at\()f
ts_potential \at, \decay
5\at:
lw t2, \at(a5)
.ifc \decay, each
lhu t4, (\at + 2)(a4)
ts_decay t3, t4
.else
ts_decay t3, s2
.endif
add t3, t3, t2
sw t0, \at(s0)
sw t3, \at(a1)
.endm

# The same where it fires, and where it has to be cut.
.macro ts_neuron_current_aside at, decay
4\at:
addi t5, a1, \at
call t6, tinyspike_update_spike
bnez a7, 3\at\()f
ts_potential \at, \decay
sub t0, t0, t1
j 5\at\()b
3\at:
addi a1, a1, \at
j 7b
.endm

# The same of neurons with a current, whose decays and leaks are of \each, of all, or of all that leak nothing where \decay is
# slow. a0 update, a1 currents, a2 their end, a3 thresholds, a4 decays or that of potentials, a5 biases, a6 half, t0 potential,
# t1 threshold, t2 bias or leak, t3 current, s0 potentials, s1 leaks or the leak, s2 decay of currents
.macro ts_update_current name, fires, decay
ts_function \name
addi sp, sp, -16
sw s0, 0(sp)
sw s1, 4(sp)
sw s2, 8(sp)
lw a1, 0(a0)
lw a2, 4(a0)
lw a3, 8(a0)
lw a4, 12(a0)
lw a5, 16(a0)
lw s0, 20(a0)
lw s1, 24(a0)
.ifnc \decay, each
lhu s2, 2(a4)
lhu a4, 0(a4)
lw s1, 0(s1)
.endif
li a6, 0x8000
sub t0, a2, a1
andi t0, t0, 4
beqz t0, 2f
addi a1, a1, -4
addi a3, a3, -4
addi a5, a5, -4
addi s0, s0, -4
.ifc \decay, each
addi a4, a4, -4
addi s1, s1, -4
.endif
j 6f
1:
ts_neuron_current 0, \fires, \decay
6:
ts_neuron_current 4, \fires, \decay
addi a1, a1, 8
addi a3, a3, 8
addi a5, a5, 8
addi s0, s0, 8
.ifc \decay, each
addi a4, a4, 8
addi s1, s1, 8
.endif
2:
bne a1, a2, 1b
7:
sw a1, 0(a0)
lw s0, 0(sp)
lw s1, 4(sp)
lw s2, 8(sp)
addi sp, sp, 16
ret
ts_neuron_current_aside 0, \decay
ts_neuron_current_aside 4, \decay
ts_end \name
.endm

ts_update_current tinyspike_update_current_above_each, bgt, each
ts_update_current tinyspike_update_current_from_each, bge, each
ts_update_current tinyspike_update_current_above_all, bgt, all
ts_update_current tinyspike_update_current_from_all, bge, all
ts_update_current tinyspike_update_current_above_slow, bgt, slow
ts_update_current tinyspike_update_current_from_slow, bge, slow
