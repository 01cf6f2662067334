@ A program for the tests, for any Cortex-M with flash at 0: sends each byte that comes over RTT back, plus one.
@
@ Some bytes are commands instead: 0xfd sleeps for good, 0xfe fails, 0xff is a breakpoint.

        .syntax unified
        .cpu    cortex-m0
        .thumb

        .equ    ram, 0x20000000
        @ Where the control block is in RAM; its buffers follow.
        .equ    up, ram + 24
        .equ    down, ram + 48
        .equ    up_buffer, ram + 0x80
        .equ    down_buffer, ram + 0xc0
        .equ    size, 64
        @ Places in a channel's description.
        .equ    buffer, 4
        .equ    write, 12
        .equ    read, 16

vectors:
        .word   ram + 0x1000
        .word   reset - vectors + 1
        .word   fail - vectors + 1
        .word   fail - vectors + 1

        @ At 0x10, for the tests: where the number of bytes that were sent back is, and a function
        @ that runs for each byte.
        .word   ram + 0x100
        .word   next - vectors

control_block:
        .ascii  "SEGGER RTT"
        .zero   6
        .word   1, 1
        .word   0, up_buffer, size, 0, 0, 2
        .word   0, down_buffer, size, 0, 0, 0


reset:
        @ The identifier goes last: it tells that the rest is there.
        ldr     r0, =ram
        ldr     r1, =control_block - vectors
        movs    r2, #72
1:      subs    r2, #4
        ldr     r3, [r1, r2]
        str     r3, [r0, r2]
        bne     1b
        ldr     r7, =ram + 0x100
        movs    r0, #0
        str     r0, [r7]
        ldr     r4, =down
        ldr     r5, =up

loop:
        ldr     r0, [r4, #read]
        ldr     r1, [r4, #write]
        cmp     r0, r1
        beq     loop
        ldr     r2, [r4, #buffer]
        ldrb    r6, [r2, r0]
        bl      next
        str     r0, [r4, #read]
        cmp     r6, #0xfd
        beq     sleep
        cmp     r6, #0xfe
        beq     undefined
        cmp     r6, #0xff
        beq     breakpoint
        adds    r6, #1
        ldr     r0, [r5, #write]
        ldr     r2, [r5, #buffer]
        strb    r6, [r2, r0]
        bl      next
full:
        ldr     r1, [r5, #read]
        cmp     r0, r1
        beq     full
        str     r0, [r5, #write]
        ldr     r0, [r7]
        adds    r0, #1
        str     r0, [r7]
        b       loop

@ The place behind r0 in a buffer.
next:
        adds    r0, #1
        cmp     r0, #size
        bne     1f
        movs    r0, #0
1:      bx      lr

sleep:
        wfi
        b       sleep

undefined:
        udf     #0

breakpoint:
        bkpt    #0
        b       loop

fail:
        wfi
        b       fail

        .pool
