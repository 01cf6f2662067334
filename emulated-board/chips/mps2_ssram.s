@ The flash algorithm of the MPS2 boards, whose program memory is RAM: it makes flash of it, that is erased in
@ sectors of 4 KiB and in which programming clears bits only.
@
@ probe-rs calls the four functions with arguments in r0 to r2 and takes 0 in r0 for success. The code
@ runs at any address, on any Cortex-M. Behind each instruction stands its encoding: chips/mps2.yaml holds them
@ in base64, and a test holds the three together.

        .syntax unified
        .cpu cortex-m0
        .thumb

init:                           @ (address, clock, function)
        movs    r0, #0          @ 2000
        bx      lr              @ 4770

uninit:                         @ (function)
        movs    r0, #0          @ 2000
        bx      lr              @ 4770

erase_sector:                   @ (address)
        movs    r1, #0          @ 2100
        mvns    r1, r1          @ 43c9
        movs    r2, #1          @ 2201
        lsls    r2, r2, #12     @ 0312
        adds    r2, r2, r0      @ 1812
erase_word:
        stmia   r0!, {r1}       @ c002
        cmp     r0, r2          @ 4290
        bne     erase_word      @ d1fc
        movs    r0, #0          @ 2000
        bx      lr              @ 4770

program_page:                   @ (address, bytes, data)
        push    {r4, lr}        @ b510
        adds    r1, r1, r0      @ 1809
program_word:
        ldmia   r2!, {r3}       @ ca08
        ldr     r4, [r0]        @ 6804
        ands    r3, r4          @ 4023
        stmia   r0!, {r3}       @ c008
        cmp     r0, r1          @ 4288
        blo     program_word    @ d3f9
        movs    r0, #0          @ 2000
        pop     {r4, pc}        @ bd10
