//! Copies of memory in few bytes of code: what the compiler brings along is made for speed and takes almost
//! a kilobyte, and an engine that is once set up copies nothing.

use core::arch::global_asm;

// SAFETY: they do what the run-time ABI asks of these names, with the registers that it lets them use.
global_asm!(
    ".syntax unified",
    ".section .text.memcpy,\"ax\",%progbits",
    ".global memcpy, __aeabi_memcpy, __aeabi_memcpy4",
    ".thumb_func",
    "memcpy:",
    ".thumb_func",
    "__aeabi_memcpy:",
    ".thumb_func",
    "__aeabi_memcpy4:",
    "push {{r0, r4, lr}}",
    "b 2f",
    "1: ldrb r4, [r1], #1",
    "strb r4, [r0], #1",
    "2: subs r2, #1",
    "bhs 1b",
    "pop {{r0, r4, pc}}",
    ".type memcpy, %function",
    ".size memcpy, . - memcpy",
);
