@ The flash algorithm of the MPS2 boards, whose program memory is RAM: it makes flash of it, which is erased in
@ sectors of 4 KiB, and in which programming clears bits only.
@
@ probe-rs calls the functions with arguments in r0 to r2, and takes 0 in r0 for success. The code runs at any
@ address, on any Cortex-M. mps2.yaml holds it in base64; a test assembles it and compares.

        .syntax unified
        .cpu cortex-m0
        .thumb

init:                           @ (address, clock, function)
        movs    r0, #0
        bx      lr

uninit:                         @ (function)
        movs    r0, #0
        bx      lr

erase_sector:                   @ (address)
        movs    r1, #0
        mvns    r1, r1
        movs    r2, #1
        lsls    r2, r2, #12
        adds    r2, r2, r0
erase_word:
        stmia   r0!, {r1}
        cmp     r0, r2
        bne     erase_word
        movs    r0, #0
        bx      lr

program_page:                   @ (address, bytes, data)
        push    {r4, lr}
        adds    r1, r1, r0
program_word:
        ldmia   r2!, {r3}
        ldr     r4, [r0]
        ands    r3, r4
        stmia   r0!, {r3}
        cmp     r0, r1
        blo     program_word
        movs    r0, #0
        pop     {r4, pc}
