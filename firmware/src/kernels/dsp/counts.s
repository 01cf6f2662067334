@ The counts of neurons that fire once and for all, a byte for each.

@ The count of the neuron in bits \low and up of \v, \at neurons behind r3 and r12. Its threshold has 16 bits.
.macro ts_count_half v, low, at
ts_spikes_half \v, \low, \at
strb r11, [r12, #\at]
.endm

@ Those of the two neurons in \v. The shift leaves the upper one's top bit in N and the lower one's in C.
.macro ts_count_pair v, at
asrs r10, \v, #16
bcc 5f
ts_count_half \v, 0, \at
cmp \v, #0
5:
bpl 6f
ts_count_half \v, 16, \at + 1
6:
.endm

@ The count of the neuron in \v, which is a whole word.
.macro ts_count_word v, at
cmp \v, #0
bpl 6f
ts_spikes_word \v, \at
strb r11, [r12, #\at]
6:
.endm

@ void name(Counting *counting): a byte for each neuron, over the potentials that have been read.
@ r0 start of the thresholds, r1 potentials, r2 their end, r3 thresholds, r4-r7 potentials, r8 end of the thresholds,
@ r9 most spikes, r12 counts; log neurons of a group are 1 << \log.
.macro ts_count name, log
ts_function \name
push {r4-r11, lr}
ldm r0, {r1-r3, r8, r9}
mov r0, r3
mov r12, r1
mov lr, #0x80008000
1: @ a group
ldm r1!, {r4-r7}
orr r10, r4, r5
orr r11, r6, r7
orrs r10, r11
mov.w r11, #0
.if \log == 3
strd r11, r11, [r12]
tst r10, lr
beq 2f
ts_count_pair r4, 0
ts_count_pair r5, 2
ts_count_pair r6, 4
ts_count_pair r7, 6
.else
str r11, [r12]
bpl 2f
ts_count_word r4, 0
ts_count_word r5, 1
ts_count_word r6, 2
ts_count_word r7, 3
.endif
2:
add r12, #(1 << \log)
add r3, #16
cmp r3, r8
it eq
moveq r3, r0
cmp r1, r2
bne 1b
pop {r4-r11, pc}
ts_end \name
.endm
ts_count tinyspike_count_16, 3
ts_count tinyspike_count_32, 2
