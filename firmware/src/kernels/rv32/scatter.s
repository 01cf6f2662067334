# Events of a line of a convolution's source over its targets.
#
# Events of one place lead to the same targets, which stay in registers while the events' weights are added to them.
# The argument:
# 0 events, 4 their end, 8 first source of the line, 12 sources of the line, 16 2^31 / sources of a place, rounded up,
# 20 sources of a place, 24 bytes of a source's weights, 28 columns, 32 targets of the line, 36 weights of the line,
# 40 rows, 44 bytes of a row of targets, 48 bytes of a row of weights,
# 52 the place's first event, 56 bytes of a run of targets, 60 rows left, 64 its bytes left

# Weights times a6 to four words of targets, \at bytes behind the first ones: two weights to a word, or one where \wide.
.macro ts_scatter_four wide, at, a, b, c, d
.if \wide
lh a2, (\at / 2)(a1)
lh a3, (\at / 2 + 2)(a1)
lh a4, (\at / 2 + 4)(a1)
lh a5, (\at / 2 + 6)(a1)
.else
lw a2, \at(a1)
lw a3, (\at + 4)(a1)
lw a4, (\at + 8)(a1)
lw a5, (\at + 12)(a1)
.endif
mul a2, a2, a6
mul a3, a3, a6
mul a4, a4, a6
mul a5, a5, a6
add \a, \a, a2
add \b, \b, a3
add \c, \c, a4
add \d, \d, a5
.endm

# Loads or stores four words of targets from [a0, #\at] on.
.macro ts_targets_four does, at, a, b, c, d
\does \a, \at(a0)
\does \b, (\at + 4)(a0)
\does \c, (\at + 8)(a0)
\does \d, (\at + 12)(a0)
.endm

# The same of 4, 8 or 16 words.
.macro ts_targets does, words
ts_targets_four \does, 0, s0, s1, s2, s3
.if \words > 4
ts_targets_four \does, 16, s4, s5, s6, s7
.endif
.if \words > 8
ts_targets_four \does, 32, s8, s9, s10, s11
ts_targets_four \does, 48, t3, t4, t5, t6
.endif
.endm

# All events of the place over 4, 8 or 16 words of targets, behind which a0 and t2 are then.
.macro ts_block wide, words
ts_targets lw, \words
lw t0, 52(ra)
9:
lhu a1, 0(t0)
lh a6, 2(t0)
addi t0, t0, 4
mul a1, a1, a7
add a1, a1, t2
ts_scatter_four \wide, 0, s0, s1, s2, s3
.if \words > 4
ts_scatter_four \wide, 16, s4, s5, s6, s7
.endif
.if \words > 8
ts_scatter_four \wide, 32, s8, s9, s10, s11
ts_scatter_four \wide, 48, t3, t4, t5, t6
.endif
bne t0, t1, 9b
ts_targets sw, \words
addi a0, a0, 4 * \words
addi t2, t2, (4 * \words) >> \wide
.endm

# void name(Line *line): weights in WidePairs over targets of 16 bits, or in Wide over those of 32 where \wide.
# a0 targets, a1 weights of an event, a2-a5 products, a6 value, a7 bytes of a source's weights, s0-s11, t3-t6 sums,
# t0 events, t1 end of the place's events, t2 weights that source 0 would have, ra the argument
.macro ts_scatter name, wide
ts_function \name
ts_enter
mv ra, a0
lw t0, 0(ra)
1: # a place
lw t1, 4(ra)
beq t0, t1, 8f
lhu a2, 0(t0)
lw a3, 8(ra)
lw a4, 12(ra)
sub a2, a2, a3
bgeu a2, a4, 8f
lw a5, 16(ra)
lw a4, 20(ra)
slli a2, a2, 1
mulhu a2, a2, a5
sw t0, 52(ra)
mul a5, a2, a4
add a3, a3, a5
2: # up to the first event of another place
addi t0, t0, 4
beq t0, t1, 3f
lhu a5, 0(t0)
sub a5, a5, a3
bltu a5, a4, 2b
mv t1, t0
3:
lw a5, 28(ra)
slli a2, a2, 3
add a2, a2, a5
lhu a4, 4(a2)
beqz a4, 1b
lhu a0, 0(a2)
lw a5, 32(ra)
lhu t2, 2(a2)
lw a2, 36(ra)
lw a7, 24(ra)
add a0, a0, a5
add t2, t2, a2
mul a3, a3, a7
lw a5, 40(ra)
sub t2, t2, a3
sw a4, 56(ra)
sw a5, 60(ra)
4: # a row
addi a4, a4, -64
bltz a4, 6f
5:
sw a4, 64(ra)
ts_block \wide, 16
lw a4, 64(ra)
addi a4, a4, -64
bgez a4, 5b
6:
sw a4, 64(ra)
andi a5, a4, 32
beqz a5, 7f
ts_block \wide, 8
lw a4, 64(ra)
7:
andi a5, a4, 16
beqz a5, 7f
ts_block \wide, 4
7:
lw a4, 56(ra)
lw a3, 44(ra)
lw a2, 48(ra)
srli a5, a4, \wide
sub a3, a3, a4
sub a2, a2, a5
lw a5, 60(ra)
add a0, a0, a3
add t2, t2, a2
addi a5, a5, -1
sw a5, 60(ra)
bnez a5, 4b
mv t0, t1
j 1b
8:
sw t0, 0(ra)
ts_leave
ts_end \name
.endm
ts_scatter tinyspike_rv32_scatter_16, 0
ts_scatter tinyspike_rv32_scatter_32, 1
