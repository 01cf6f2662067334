# Updates of neurons, four words of potentials at a time.

# The neuron \at behind t5, whose potential above the threshold is in a4: the spikes to a5, their thresholds to a4.
.macro ts_count at, load, bytes
\load a6, (\bytes * (\at))(a1)
li a5, 1
bltu a4, a6, 7f
divu a5, a4, a6
addi a5, a5, 1
bleu a5, t3, 7f
mv a5, t3
7:
addi a7, t5, \at
mul a4, a5, a6
sh a7, 0(a2)
sh a5, 2(a2)
addi a2, a2, 4
.endm

# The two neurons of a word in \word.
.macro ts_pair at, word
slli a4, \word, 16
bgez a4, 5f
slli a4, a4, 1
srli a4, a4, 17
ts_count \at, lhu, 2
sub \word, \word, a4
5:
bgez \word, 6f
slli a4, \word, 1
srli a4, a4, 17
ts_count (\at + 1), lhu, 2
slli a4, a4, 16
sub \word, \word, a4
6:
.endm

# The neuron that is the word in \word.
.macro ts_word at, word
bgez \word, 6f
slli a4, \word, 1
srli a4, a4, 1
ts_count \at, lw, 4
sub \word, \word, a4
6:
.endm

# void name(Fire *fire): an event for each neuron that spikes, as long as there is room for a block.
# 0 potentials, 4 thresholds of their channels, 8 events, 12 end of the potentials, 16, 20 start and end of the
# thresholds, 24 most spikes, 28 the last place for the events of a block, 32 all potentials
# a0 potentials, a1 thresholds, a2 events, a3 signs, a4 above, a5 count, a6 threshold, a7 neuron, t0 end, t1, t2 start and
# end of the thresholds, t3 most spikes, t4 last place, t5 first neuron of the block, t6 argument, s0-s3 words;
# log bytes of a neuron are \log
.macro ts_fire name, log, signs
ts_function \name
addi sp, sp, -16
sw s0, 0(sp)
sw s1, 4(sp)
sw s2, 8(sp)
sw s3, 12(sp)
mv t6, a0
lw a1, 4(t6)
lw a2, 8(t6)
lw t0, 12(t6)
lw t1, 16(t6)
lw t2, 20(t6)
lw t3, 24(t6)
lw t4, 28(t6)
lw a0, 0(t6)
li a3, \signs
2: # a block
lw s0, 0(a0)
lw s1, 4(a0)
lw s2, 8(a0)
lw s3, 12(a0)
or a4, s0, s1
or a5, s2, s3
or a4, a4, a5
and a4, a4, a3
bnez a4, 4f
3:
addi a1, a1, 16
addi a0, a0, 16
bne a1, t2, 1f
mv a1, t1
1:
bne a0, t0, 2b
8:
sw a0, 0(t6)
sw a1, 4(t6)
sw a2, 8(t6)
lw s0, 0(sp)
lw s1, 4(sp)
lw s2, 8(sp)
lw s3, 12(sp)
addi sp, sp, 16
ret
4: # a block with spikes
bgtu a2, t4, 8b
lw t5, 32(t6)
sub t5, a0, t5
srli t5, t5, \log
.if \log == 1
ts_pair 0, s0
ts_pair 2, s1
ts_pair 4, s2
ts_pair 6, s3
.else
ts_word 0, s0
ts_word 1, s1
ts_word 2, s2
ts_word 3, s3
.endif
sw s0, 0(a0)
sw s1, 4(a0)
sw s2, 8(a0)
sw s3, 12(a0)
j 3b
ts_end \name
.endm
ts_fire tinyspike_swar_fire_16, 1, 0x80008000
ts_fire tinyspike_swar_fire_32, 2, 0x80000000

# The addends in \c to the potentials in \p; two numbers of 16 bits in a word where \narrow, that is the lower one extended
# to the whole word. a4 is 0x8000.
.macro ts_add c, p, narrow
.if \narrow
and a5, \c, a4
slli a5, a5, 1
sub \c, \c, a5
.endif
add \p, \p, \c
.endm

# void name(uint32_t *potentials, uint32_t *end, const uint32_t *addends, const uint32_t *addends_end): the addends, which
# repeat, to blocks of four words.
# a0 potentials, a1 their end, a2 addends, a3 their end, a4 mask, a6 their start, a7, t0-t2 addends, t3-t6 potentials
.macro ts_settle_neurons name, narrow
ts_function \name
li a4, 0x8000
mv a6, a2
1:
lw a7, 0(a2)
lw t0, 4(a2)
lw t1, 8(a2)
lw t2, 12(a2)
or t3, a7, t0
or t4, t1, t2
or t3, t3, t4
beqz t3, 3f
lw t3, 0(a0)
lw t4, 4(a0)
lw t5, 8(a0)
lw t6, 12(a0)
ts_add a7, t3, \narrow
ts_add t0, t4, \narrow
ts_add t1, t5, \narrow
ts_add t2, t6, \narrow
sw t3, 0(a0)
sw t4, 4(a0)
sw t5, 8(a0)
sw t6, 12(a0)
3:
addi a2, a2, 16
addi a0, a0, 16
bne a2, a3, 2f
mv a2, a6
2:
bne a0, a1, 1b
ret
ts_end \name
.endm
ts_settle_neurons tinyspike_swar_settle_16, 1
ts_settle_neurons tinyspike_swar_settle_32, 0

# void tinyspike_swar_copy(uint32_t *to, const uint32_t *from, uint32_t groups): groups of 8 words, upwards.
ts_function tinyspike_swar_copy
1:
lw a3, 0(a1)
lw a4, 4(a1)
lw a5, 8(a1)
lw a6, 12(a1)
lw a7, 16(a1)
lw t0, 20(a1)
lw t1, 24(a1)
lw t2, 28(a1)
sw a3, 0(a0)
sw a4, 4(a0)
sw a5, 8(a0)
sw a6, 12(a0)
sw a7, 16(a0)
sw t0, 20(a0)
sw t1, 24(a0)
sw t2, 28(a0)
addi a1, a1, 32
addi a0, a0, 32
addi a2, a2, -1
bnez a2, 1b
ret
ts_end tinyspike_swar_copy
