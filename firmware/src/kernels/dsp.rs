//! Kernels for Cortex-M cores with the DSP extension: M4, M7, M33.
//!
//! Two 16-bit sums share a word. Weights in the layout `Pairs` or `Quads` come out of flash in the right
//! halves with one extension instruction for every two, so that a count times two weights, added to two
//! sums, is one multiply-accumulate. The inner loops are in assembly, because what they cost is decided
//! by which sixteen registers hold what.

use core::arch::global_asm;

/// A row of weights, and what it is multiplied by.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    /// Where the row goes on; each tile moves it forward. Null ends a list.
    pub(super) row: *const u8,
    /// The factor.
    pub(super) value: i32,
}

impl Term {
    /// The end of a list.
    pub(super) const END: Self = Self {
        row: core::ptr::null(),
        value: 0,
    };
}

/// Where the taps of one event lie, for [`scatter_pairs`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Taps {
    /// Targets along a row.
    pub(super) columns: u32,
    /// Rows of targets.
    pub(super) rows: u32,
    /// Blocks of 16 channels for each target.
    pub(super) blocks: u32,
    /// Bytes from the end of one tap's weights to the start of the next tap's in the same row.
    pub(super) weights_column: i32,
    /// Bytes from there to the first tap of the next row.
    pub(super) weights_row: i32,
    /// Bytes from the end of the last target of a row to the first of the next row.
    pub(super) targets_row: i32,
}

// SAFETY: each is called only through the declarations below, with what their comments ask for.
global_asm!(
    ".syntax unified",
    ".thumb",
    // void tinyspike_add_quads(Term *terms, uint32_t sums[8])
    // sums of 16 unsigned lanes += rows, whatever their values.
    ".section .text.tinyspike_add_quads,\"ax\",%progbits",
    ".global tinyspike_add_quads",
    ".type tinyspike_add_quads,%function",
    ".balign 4",
    ".thumb_func",
    "tinyspike_add_quads:",
    "push {{r1, r4-r11, lr}}",
    "ldm r1, {{r4-r11}}",
    "1:",
    ".rept 2",
    "ldr r1, [r0], #8",
    "cmp r1, #0",
    "beq 2f",
    "ldm r1!, {{r2, r3, r12, lr}}",
    "uxtab16 r4, r4, r2",
    "uxtab16 r5, r5, r2, ror #8",
    "uxtab16 r6, r6, r3",
    "uxtab16 r7, r7, r3, ror #8",
    "uxtab16 r8, r8, r12",
    "uxtab16 r9, r9, r12, ror #8",
    "uxtab16 r10, r10, lr",
    "uxtab16 r11, r11, lr, ror #8",
    "str r1, [r0, #-8]",
    ".endr",
    "b 1b",
    "2:",
    "pop {{r1}}",
    "stm r1, {{r4-r11}}",
    "pop {{r4-r11, pc}}",
    ".size tinyspike_add_quads, . - tinyspike_add_quads",
    // void tinyspike_mla_quads(Term *terms, uint32_t sums[8])
    // sums of 16 unsigned lanes += value * row.
    ".section .text.tinyspike_mla_quads,\"ax\",%progbits",
    ".global tinyspike_mla_quads",
    ".type tinyspike_mla_quads,%function",
    ".balign 4",
    ".thumb_func",
    "tinyspike_mla_quads:",
    "push {{r1, r4-r11, lr}}",
    "ldm r1, {{r4-r11}}",
    "1:",
    ".rept 2",
    "ldrd r1, r2, [r0], #8",
    "cmp r1, #0",
    "beq 2f",
    "ldrd r3, r12, [r1], #8",
    "uxtb16 lr, r3",
    "mla r4, lr, r2, r4",
    "uxtb16 lr, r3, ror #8",
    "mla r5, lr, r2, r5",
    "uxtb16 lr, r12",
    "mla r6, lr, r2, r6",
    "uxtb16 lr, r12, ror #8",
    "mla r7, lr, r2, r7",
    "ldrd r3, r12, [r1], #8",
    "uxtb16 lr, r3",
    "mla r8, lr, r2, r8",
    "uxtb16 lr, r3, ror #8",
    "mla r9, lr, r2, r9",
    "uxtb16 lr, r12",
    "mla r10, lr, r2, r10",
    "uxtb16 lr, r12, ror #8",
    "mla r11, lr, r2, r11",
    "str r1, [r0, #-8]",
    ".endr",
    "b 1b",
    "2:",
    "pop {{r1}}",
    "stm r1, {{r4-r11}}",
    "pop {{r4-r11, pc}}",
    ".size tinyspike_mla_quads, . - tinyspike_mla_quads",
    // void tinyspike_mac_quads(Term *terms, int32_t sums[8])
    // sums of 8 words += value * (row + 128), for any 16-bit value.
    ".section .text.tinyspike_mac_quads,\"ax\",%progbits",
    ".global tinyspike_mac_quads",
    ".type tinyspike_mac_quads,%function",
    ".balign 4",
    ".thumb_func",
    "tinyspike_mac_quads:",
    "push {{r1, r4-r11, lr}}",
    "ldm r1, {{r4-r11}}",
    "1:",
    ".rept 2",
    "ldrd r1, r2, [r0], #8",
    "cmp r1, #0",
    "beq 2f",
    "ldrd r3, r12, [r1], #8",
    "uxtb16 lr, r3",
    "smlabb r4, lr, r2, r4",
    "smlatb r5, lr, r2, r5",
    "uxtb16 lr, r3, ror #8",
    "smlabb r6, lr, r2, r6",
    "smlatb r7, lr, r2, r7",
    "uxtb16 lr, r12",
    "smlabb r8, lr, r2, r8",
    "smlatb r9, lr, r2, r9",
    "uxtb16 lr, r12, ror #8",
    "smlabb r10, lr, r2, r10",
    "smlatb r11, lr, r2, r11",
    "str r1, [r0, #-8]",
    ".endr",
    "b 1b",
    "2:",
    "pop {{r1}}",
    "stm r1, {{r4-r11}}",
    "pop {{r4-r11, pc}}",
    ".size tinyspike_mac_quads, . - tinyspike_mac_quads",
    // void tinyspike_scatter_pairs(uint32_t *targets, const int8_t *weights, int32_t value,
    //                              const Taps *taps)
    // sp: columns left, blocks left, rows left, taps
    ".section .text.tinyspike_scatter_pairs,\"ax\",%progbits",
    ".global tinyspike_scatter_pairs",
    ".type tinyspike_scatter_pairs,%function",
    ".balign 4",
    ".thumb_func",
    "tinyspike_scatter_pairs:",
    "push {{r4-r11, lr}}",
    "sub sp, #16",
    "ldrd r4, r5, [r3]",
    "str r3, [sp, #12]",
    "1:", // a row
    "strd r4, r5, [sp]",
    "2:", // a target
    "ldr r3, [sp, #12]",
    "ldr r3, [r3, #8]",
    "3:", // a block of 16 channels
    "str r3, [sp, #8]",
    "ldm r0, {{r4-r11}}",
    "ldrd r12, lr, [r1], #8",
    "sxtb16 r3, r12",
    "mla r4, r3, r2, r4",
    "sxtb16 r3, r12, ror #8",
    "mla r5, r3, r2, r5",
    "sxtb16 r3, lr",
    "mla r6, r3, r2, r6",
    "sxtb16 r3, lr, ror #8",
    "mla r7, r3, r2, r7",
    "ldrd r12, lr, [r1], #8",
    "sxtb16 r3, r12",
    "mla r8, r3, r2, r8",
    "sxtb16 r3, r12, ror #8",
    "mla r9, r3, r2, r9",
    "sxtb16 r3, lr",
    "mla r10, r3, r2, r10",
    "sxtb16 r3, lr, ror #8",
    "mla r11, r3, r2, r11",
    "stm r0!, {{r4-r11}}",
    "ldr r3, [sp, #8]",
    "subs r3, #1",
    "bne 3b",
    "ldr r3, [sp, #12]",
    "ldr r12, [r3, #12]",
    "add r1, r12",
    "ldr r4, [sp]",
    "subs r4, #1",
    "str r4, [sp]",
    "bne 2b",
    "ldrd r6, r7, [r3, #16]",
    "add r1, r6",
    "add r0, r7",
    "ldr r4, [r3]",
    "ldr r5, [sp, #4]",
    "subs r5, #1",
    "bne 1b",
    "add sp, #16",
    "pop {{r4-r11, pc}}",
    ".size tinyspike_scatter_pairs, . - tinyspike_scatter_pairs",
    ".text",
);
