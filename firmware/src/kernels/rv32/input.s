# What an input brings.

# Four weights of the row in a1 from \at on, times a5, to four sums.
.macro ts_bytes at, a, b, c, d
lb t3, \at(a1)
lb t4, (\at + 1)(a1)
lb t5, (\at + 2)(a1)
lb t6, (\at + 3)(a1)
mul t3, t3, a5
mul t4, t4, a5
mul t5, t5, a5
mul t6, t6, a5
add \a, \a, t3
add \b, \b, t4
add \c, \c, t5
add \d, \d, t6
.endm

# Two sums, each shifted right by a2, to the targets at [t2, #\at]: in halves of their own, for currents are no potentials.
.macro ts_settle at, a, b
lhu t3, \at(t2)
lhu t4, (\at + 2)(t2)
sra \a, \a, a2
sra \b, \b, a2
add t3, t3, \a
add t4, t4, \b
sh t3, \at(t2)
sh t4, (\at + 2)(t2)
.endm

# void tinyspike_swar_windows(Windows *windows): 8 targets of 16 bits += the sums of a window's products, shifted, for
# windows side by side. Windows whose columns hold nothing are passed. At least one row of at least one value.
# 0 columns of the next window, 4 windows left, 8 values in a row, 12 bytes to the next window, 16 from columns to
# values, 20 end of the targets, 24 bytes from targets to the next window's, 28 weights, 32 half, 36 shift,
# 40 zero point, 44 bytes from a value's weights to the next one's, 48, 52 bytes to the next row of values, of
# weights, 56 rows
# a0 columns of the window, a1 weights, a2 shift, a3 values in a row, a4 values, a5 value, a6 the argument, a7 windows left,
# t0 end of the row, t1 rows left, t2 targets, t3-t6 products, s0-s7 sums, s8 zero point, s9 bytes from a value's weights
# to the next one's, s10, s11 bytes to the next row of values, of weights
ts_function tinyspike_swar_windows
ts_enter
mv a6, a0
lw a0, 0(a6)
lw a7, 4(a6)
lw a3, 8(a6)
lw t2, 24(a6)
lw t3, 20(a6)
mul t2, t2, a7
sub t2, t3, t2
lw a2, 36(a6)
lw s8, 40(a6)
lw s9, 44(a6)
lw s10, 48(a6)
lw s11, 52(a6)
2: # whether a window holds anything
mv t0, a0
add t1, a0, a3
3:
lbu t3, 0(t0)
addi t0, t0, 1
bnez t3, 5f
bne t0, t1, 3b
4:
lw t3, 12(a6)
lw t4, 24(a6)
add a0, a0, t3
add t2, t2, t4
addi a7, a7, -1
bnez a7, 2b
ts_leave
5:
lw a4, 16(a6)
lw a1, 28(a6)
lw t1, 56(a6)
lw s0, 32(a6)
add a4, a4, a0
mv s1, s0
mv s2, s0
mv s3, s0
mv s4, s0
mv s5, s0
mv s6, s0
mv s7, s0
6: # a row
add t0, a4, a3
7: # a value
lbu a5, 0(a4)
addi a4, a4, 1
sub a5, a5, s8
beqz a5, 8f
ts_bytes 0, s0, s1, s2, s3
ts_bytes 4, s4, s5, s6, s7
8:
add a1, a1, s9
bne a4, t0, 7b
add a4, a4, s10
add a1, a1, s11
addi t1, t1, -1
bnez t1, 6b
ts_settle 0, s0, s1
ts_settle 4, s2, s3
ts_settle 8, s4, s5
ts_settle 12, s6, s7
j 4b
ts_end tinyspike_swar_windows
