# Rows of a matrix, 16 targets at a time.

# Eight weights of the row in a1 from \at on, times a5: all of a word to \all, and those of two of its targets to \odd.
.macro ts_eight at, all, odd, next_all, next_odd
lw a2, \at(a1)
lw a3, (\at + 4)(a1)
mul s4, a2, a5
mul s5, a3, a5
srli a2, a2, 8
srli a3, a3, 8
and a2, a2, a7
and a3, a3, a7
mul a2, a2, a5
mul a3, a3, a5
add \all, \all, s4
add \next_all, \next_all, s5
add \odd, \odd, a2
add \next_odd, \next_odd, a3
.endm

# Sums of four targets to [a6, #\at]: what the \odd ones have brought to \all is taken from the even ones.
.macro ts_sums at, all, odd
lw a2, \at(a6)
lw a3, (\at + 4)(a6)
slli a4, \odd, 8
sub a4, \all, a4
add a2, a2, t0
add a3, a3, t0
add a2, a2, a4
add a3, a3, \odd
sw a2, \at(a6)
sw a3, (\at + 4)(a6)
.endm

# void tinyspike_swar_tile(const Tile *tile, uint32_t sums[8], uint32_t more): sums += the events' products, and as much
# more. At least one event.
# a0 events, a1 row, a2, a3 weights, a4 end of the events, a5 value, a6 sums, a7 0x00ff00ff, t0 more, t1 bytes of a row,
# t2 weights, t3-t6 sums of all weights, s0-s3 of odd ones, s4, s5 products
ts_function tinyspike_swar_tile
addi sp, sp, -32
sw s0, 0(sp)
sw s1, 4(sp)
sw s2, 8(sp)
sw s3, 12(sp)
sw s4, 16(sp)
sw s5, 20(sp)
mv a6, a1
mv t0, a2
lw t1, 0(a0)
lw t2, 4(a0)
lw a4, 8(a0)
lw a0, 12(a0)
li a7, 0x00ff00ff
li t3, 0
li t4, 0
li t5, 0
li t6, 0
li s0, 0
li s1, 0
li s2, 0
li s3, 0
1:
lhu a1, 0(a0)
lh a5, 2(a0)
addi a0, a0, 4
mul a1, a1, t1
add a1, a1, t2
ts_eight 0, t3, s0, t4, s1
ts_eight 8, t5, s2, t6, s3
bne a0, a4, 1b
ts_sums 0, t3, s0
ts_sums 8, t4, s1
ts_sums 16, t5, s2
ts_sums 24, t6, s3
lw s0, 0(sp)
lw s1, 4(sp)
lw s2, 8(sp)
lw s3, 12(sp)
lw s4, 16(sp)
lw s5, 20(sp)
addi sp, sp, 32
ret
ts_end tinyspike_swar_tile

# void tinyspike_swar_take(const uint32_t sums[8], uint32_t targets[], uint32_t count, uint32_t shift): targets += sums times
# 2^shift. At least one target.
# a0 sums, a1 targets, a2 targets that are left, a3 shift, a4, a5 sums, a6, a7 targets
ts_function tinyspike_swar_take
addi a2, a2, -2
bltz a2, 2f
1:
lw a4, 0(a0)
lw a6, 0(a1)
lw a7, 4(a1)
slli a5, a4, 16
srai a5, a5, 16
sub a4, a4, a5
srai a4, a4, 16
sll a5, a5, a3
sll a4, a4, a3
add a6, a6, a5
add a7, a7, a4
sw a6, 0(a1)
sw a7, 4(a1)
addi a0, a0, 4
addi a1, a1, 8
addi a2, a2, -2
bgez a2, 1b
2:
addi a2, a2, 1
bnez a2, 3f
lw a4, 0(a0)
lw a6, 0(a1)
slli a4, a4, 16
srai a4, a4, 16
sll a4, a4, a3
add a6, a6, a4
sw a6, 0(a1)
3:
ret
ts_end tinyspike_swar_take
