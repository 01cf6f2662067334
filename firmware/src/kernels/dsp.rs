//! Kernels for Cortex-M cores with the DSP extension: M4, M7, M33.
//!
//! Two 16-bit sums share a word. Weights in the layout `Pairs` or `Quads` come out of flash in the right
//! halves with one extension instruction for every two, so that a count times two weights, added to two
//! sums, is one multiply-accumulate. The inner loops are in assembly, because what they cost is decided
//! by which sixteen registers hold what.

use core::arch::{asm, global_asm};
use core::mem::MaybeUninit;

use tinyspike_shared::Event;
use tinyspike_shared::image::Convolution;
use tinyspike_shared::weights::{Layout, Weights};

use super::{EVENTS, Events, Kernels, Population, Portable, Potential};

/// The kernels for cores with the DSP extension. What has no fast form here is left to [`Portable`].
#[derive(Clone, Copy, Debug)]
pub struct Dsp;

/// A row of weights, and what it is multiplied by.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Term {
    /// Where the row goes on; each tile moves it forward. Null ends a list.
    row: *const u8,
    /// The factor.
    value: i32,
}

impl Term {
    /// The end of a list.
    const END: Self = Self {
        row: core::ptr::null(),
        value: 0,
    };
}

/// Where the taps of one event lie.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Taps {
    /// Targets along a row.
    columns: u32,
    /// Rows of targets.
    rows: u32,
    /// Blocks of channels for each target.
    blocks: u32,
    /// Bytes from the end of one tap's weights to the start of the next tap's in the same row.
    weights_column: i32,
    /// Bytes from there to the first tap of the next row.
    weights_row: i32,
    /// Bytes from the end of the last target of a row to the first of the next row.
    targets_row: i32,
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
    // void tinyspike_scatter_pairs_16(uint32_t *targets, const int8_t *weights, int32_t value,
    //                                 const Taps *taps)
    // sp: columns left, rows left, blocks left, taps
    ".section .text.tinyspike_scatter_pairs_16,\"ax\",%progbits",
    ".global tinyspike_scatter_pairs_16",
    ".type tinyspike_scatter_pairs_16,%function",
    ".balign 4",
    ".thumb_func",
    "tinyspike_scatter_pairs_16:",
    "push {{r4-r11, lr}}",
    "sub sp, #16",
    "ldrd r4, r5, [r3]",
    "str r3, [sp, #12]",
    "1:", // a row
    "strd r4, r5, [sp]",
    "2:", // a target
    "ldr r3, [sp, #12]",
    "ldr r3, [r3, #8]",
    "3:", // a block of channels
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
    ".size tinyspike_scatter_pairs_16, . - tinyspike_scatter_pairs_16",
    // The same with blocks of 8 channels.
    ".section .text.tinyspike_scatter_pairs_8,\"ax\",%progbits",
    ".global tinyspike_scatter_pairs_8",
    ".type tinyspike_scatter_pairs_8,%function",
    ".balign 4",
    ".thumb_func",
    "tinyspike_scatter_pairs_8:",
    "push {{r4-r11, lr}}",
    "sub sp, #16",
    "ldrd r4, r5, [r3]",
    "str r3, [sp, #12]",
    "1:", // a row
    "strd r4, r5, [sp]",
    "2:", // a target
    "ldr r3, [sp, #12]",
    "ldr r3, [r3, #8]",
    "3:", // a block of channels
    "str r3, [sp, #8]",
    "ldm r0, {{r4-r7}}",
    "ldrd r12, lr, [r1], #8",
    "sxtb16 r3, r12",
    "mla r4, r3, r2, r4",
    "sxtb16 r3, r12, ror #8",
    "mla r5, r3, r2, r5",
    "sxtb16 r3, lr",
    "mla r6, r3, r2, r6",
    "sxtb16 r3, lr, ror #8",
    "mla r7, r3, r2, r7",
    "stm r0!, {{r4-r7}}",
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
    ".size tinyspike_scatter_pairs_8, . - tinyspike_scatter_pairs_8",
    // void tinyspike_drive_window(const uint8_t *input, const int8_t *weights, uint32_t currents[4],
    //                             const Window *window)
    // sp: currents, window, rows left
    ".section .text.tinyspike_drive_window,\"ax\",%progbits",
    ".global tinyspike_drive_window",
    ".type tinyspike_drive_window,%function",
    ".balign 4",
    ".thumb_func",
    "tinyspike_drive_window:",
    "push {{r2, r3, r4-r11, lr}}",
    "sub sp, #4",
    "ldrd r12, r4, [r3]",
    "mov r5, r4",
    "mov r6, r4",
    "mov r7, r4",
    "mov r8, r4",
    "mov r9, r4",
    "mov r10, r4",
    "mov r11, r4",
    "1:", // a row
    "str r12, [sp]",
    "ldr r3, [sp, #8]",
    "ldr lr, [r3, #8]",
    "2:", // a value
    "ldrb r2, [r0], #1",
    "cbz r2, 3f",
    "ldr r3, [r1]",
    "sxtb16 r12, r3",
    "smlabb r4, r12, r2, r4",
    "smlatb r6, r12, r2, r6",
    "sxtb16 r12, r3, ror #8",
    "smlabb r5, r12, r2, r5",
    "smlatb r7, r12, r2, r7",
    "ldr r3, [r1, #4]",
    "sxtb16 r12, r3",
    "smlabb r8, r12, r2, r8",
    "smlatb r10, r12, r2, r10",
    "sxtb16 r12, r3, ror #8",
    "smlabb r9, r12, r2, r9",
    "smlatb r11, r12, r2, r11",
    "3:",
    "ldr r3, [sp, #8]",
    "ldr r3, [r3, #12]",
    "add r1, r3",
    "subs lr, #1",
    "bne 2b",
    "ldr r3, [sp, #8]",
    "ldrd r2, r3, [r3, #16]",
    "add r0, r2",
    "add r1, r3",
    "ldr r12, [sp]",
    "subs r12, #1",
    "bne 1b",
    "ldrd r0, r3, [sp, #4]",
    "ldr lr, [r3, #24]",
    "ldm r0, {{r1, r2, r3, r12}}",
    "asr r4, r4, lr",
    "asr r5, r5, lr",
    "pkhbt r4, r4, r5, lsl #16",
    "uadd16 r1, r1, r4",
    "asr r6, r6, lr",
    "asr r7, r7, lr",
    "pkhbt r6, r6, r7, lsl #16",
    "uadd16 r2, r2, r6",
    "asr r8, r8, lr",
    "asr r9, r9, lr",
    "pkhbt r8, r8, r9, lsl #16",
    "uadd16 r3, r3, r8",
    "asr r10, r10, lr",
    "asr r11, r11, lr",
    "pkhbt r10, r10, r11, lsl #16",
    "uadd16 r12, r12, r10",
    "stm r0, {{r1, r2, r3, r12}}",
    "add sp, #12",
    "pop {{r4-r11, pc}}",
    ".size tinyspike_drive_window, . - tinyspike_drive_window",
    // void tinyspike_fire(Fire *fire)
    // Looks at groups of 8 neurons, writes an event for each that spikes, and takes the spikes off.
    ".section .text.tinyspike_fire,\"ax\",%progbits",
    ".global tinyspike_fire",
    ".type tinyspike_fire,%function",
    ".balign 4",
    ".thumb_func",
    "tinyspike_fire:",
    "push {{r4-r11, lr}}",
    "ldrd r1, r2, [r0]",
    "ldr r3, [r0, #8]",
    "ldr r6, [r0, #20]",
    "ldr r8, [r0, #28]",
    "ldr r9, [r0, #32]",
    "mov lr, #0x80008000",
    "1:", // a group
    "ldm r1!, {{r4, r5, r7, r10}}",
    "orr r11, r4, r5",
    "orr r12, r7, r10",
    "orr r11, r11, r12",
    "tst r11, lr",
    "bne 3f",
    "2:", // the next group
    "add r8, #8",
    "add r3, #16",
    "ldr r11, [r0, #16]",
    "cmp r3, r11",
    "it eq",
    "ldreq r3, [r0, #12]",
    "subs r2, #1",
    "bne 1b",
    "b 9f",
    "3:", // a group with spikes
    "ldr r11, [r0, #24]",
    "cmp r6, r11",
    "bhi 8f",
    "tst r4, #0x8000",
    "beq 10f",
    "ldrh r11, [r3, #0]",
    "ubfx r12, r4, #0, #15",
    "udiv r12, r12, r11",
    "add r12, #1",
    "cmp r12, r9",
    "it hi",
    "movhi r12, r9",
    "mul r11, r11, r12",
    "sub r4, r4, r11",
    "add r11, r8, #0",
    "orr r11, r11, r12, lsl #16",
    "str r11, [r6], #4",
    "10:",
    "cmp r4, #0",
    "bpl 11f",
    "ldrh r11, [r3, #2]",
    "ubfx r12, r4, #16, #15",
    "udiv r12, r12, r11",
    "add r12, #1",
    "cmp r12, r9",
    "it hi",
    "movhi r12, r9",
    "mul r11, r11, r12",
    "sub r4, r4, r11, lsl #16",
    "add r11, r8, #1",
    "orr r11, r11, r12, lsl #16",
    "str r11, [r6], #4",
    "11:",
    "tst r5, #0x8000",
    "beq 12f",
    "ldrh r11, [r3, #4]",
    "ubfx r12, r5, #0, #15",
    "udiv r12, r12, r11",
    "add r12, #1",
    "cmp r12, r9",
    "it hi",
    "movhi r12, r9",
    "mul r11, r11, r12",
    "sub r5, r5, r11",
    "add r11, r8, #2",
    "orr r11, r11, r12, lsl #16",
    "str r11, [r6], #4",
    "12:",
    "cmp r5, #0",
    "bpl 13f",
    "ldrh r11, [r3, #6]",
    "ubfx r12, r5, #16, #15",
    "udiv r12, r12, r11",
    "add r12, #1",
    "cmp r12, r9",
    "it hi",
    "movhi r12, r9",
    "mul r11, r11, r12",
    "sub r5, r5, r11, lsl #16",
    "add r11, r8, #3",
    "orr r11, r11, r12, lsl #16",
    "str r11, [r6], #4",
    "13:",
    "tst r7, #0x8000",
    "beq 14f",
    "ldrh r11, [r3, #8]",
    "ubfx r12, r7, #0, #15",
    "udiv r12, r12, r11",
    "add r12, #1",
    "cmp r12, r9",
    "it hi",
    "movhi r12, r9",
    "mul r11, r11, r12",
    "sub r7, r7, r11",
    "add r11, r8, #4",
    "orr r11, r11, r12, lsl #16",
    "str r11, [r6], #4",
    "14:",
    "cmp r7, #0",
    "bpl 15f",
    "ldrh r11, [r3, #10]",
    "ubfx r12, r7, #16, #15",
    "udiv r12, r12, r11",
    "add r12, #1",
    "cmp r12, r9",
    "it hi",
    "movhi r12, r9",
    "mul r11, r11, r12",
    "sub r7, r7, r11, lsl #16",
    "add r11, r8, #5",
    "orr r11, r11, r12, lsl #16",
    "str r11, [r6], #4",
    "15:",
    "tst r10, #0x8000",
    "beq 16f",
    "ldrh r11, [r3, #12]",
    "ubfx r12, r10, #0, #15",
    "udiv r12, r12, r11",
    "add r12, #1",
    "cmp r12, r9",
    "it hi",
    "movhi r12, r9",
    "mul r11, r11, r12",
    "sub r10, r10, r11",
    "add r11, r8, #6",
    "orr r11, r11, r12, lsl #16",
    "str r11, [r6], #4",
    "16:",
    "cmp r10, #0",
    "bpl 17f",
    "ldrh r11, [r3, #14]",
    "ubfx r12, r10, #16, #15",
    "udiv r12, r12, r11",
    "add r12, #1",
    "cmp r12, r9",
    "it hi",
    "movhi r12, r9",
    "mul r11, r11, r12",
    "sub r10, r10, r11, lsl #16",
    "add r11, r8, #7",
    "orr r11, r11, r12, lsl #16",
    "str r11, [r6], #4",
    "17:",
    "sub r11, r1, #16",
    "stm r11, {{r4, r5, r7, r10}}",
    "b 2b",
    "8:", // no room
    "sub r1, #16",
    "9:", // out
    "strd r1, r2, [r0]",
    "str r3, [r0, #8]",
    "str r6, [r0, #20]",
    "str r8, [r0, #28]",
    "pop {{r4-r11, pc}}",
    ".size tinyspike_fire, . - tinyspike_fire",
    // The same, but leaves the potentials as they are.
    ".section .text.tinyspike_fire_last,\"ax\",%progbits",
    ".global tinyspike_fire_last",
    ".type tinyspike_fire_last,%function",
    ".balign 4",
    ".thumb_func",
    "tinyspike_fire_last:",
    "push {{r4-r11, lr}}",
    "ldrd r1, r2, [r0]",
    "ldr r3, [r0, #8]",
    "ldr r6, [r0, #20]",
    "ldr r8, [r0, #28]",
    "ldr r9, [r0, #32]",
    "mov lr, #0x80008000",
    "1:", // a group
    "ldm r1!, {{r4, r5, r7, r10}}",
    "orr r11, r4, r5",
    "orr r12, r7, r10",
    "orr r11, r11, r12",
    "tst r11, lr",
    "bne 3f",
    "2:", // the next group
    "add r8, #8",
    "add r3, #16",
    "ldr r11, [r0, #16]",
    "cmp r3, r11",
    "it eq",
    "ldreq r3, [r0, #12]",
    "subs r2, #1",
    "bne 1b",
    "b 9f",
    "3:", // a group with spikes
    "ldr r11, [r0, #24]",
    "cmp r6, r11",
    "bhi 8f",
    "tst r4, #0x8000",
    "beq 10f",
    "ldrh r11, [r3, #0]",
    "ubfx r12, r4, #0, #15",
    "udiv r12, r12, r11",
    "add r12, #1",
    "cmp r12, r9",
    "it hi",
    "movhi r12, r9",
    "add r11, r8, #0",
    "orr r11, r11, r12, lsl #16",
    "str r11, [r6], #4",
    "10:",
    "cmp r4, #0",
    "bpl 11f",
    "ldrh r11, [r3, #2]",
    "ubfx r12, r4, #16, #15",
    "udiv r12, r12, r11",
    "add r12, #1",
    "cmp r12, r9",
    "it hi",
    "movhi r12, r9",
    "add r11, r8, #1",
    "orr r11, r11, r12, lsl #16",
    "str r11, [r6], #4",
    "11:",
    "tst r5, #0x8000",
    "beq 12f",
    "ldrh r11, [r3, #4]",
    "ubfx r12, r5, #0, #15",
    "udiv r12, r12, r11",
    "add r12, #1",
    "cmp r12, r9",
    "it hi",
    "movhi r12, r9",
    "add r11, r8, #2",
    "orr r11, r11, r12, lsl #16",
    "str r11, [r6], #4",
    "12:",
    "cmp r5, #0",
    "bpl 13f",
    "ldrh r11, [r3, #6]",
    "ubfx r12, r5, #16, #15",
    "udiv r12, r12, r11",
    "add r12, #1",
    "cmp r12, r9",
    "it hi",
    "movhi r12, r9",
    "add r11, r8, #3",
    "orr r11, r11, r12, lsl #16",
    "str r11, [r6], #4",
    "13:",
    "tst r7, #0x8000",
    "beq 14f",
    "ldrh r11, [r3, #8]",
    "ubfx r12, r7, #0, #15",
    "udiv r12, r12, r11",
    "add r12, #1",
    "cmp r12, r9",
    "it hi",
    "movhi r12, r9",
    "add r11, r8, #4",
    "orr r11, r11, r12, lsl #16",
    "str r11, [r6], #4",
    "14:",
    "cmp r7, #0",
    "bpl 15f",
    "ldrh r11, [r3, #10]",
    "ubfx r12, r7, #16, #15",
    "udiv r12, r12, r11",
    "add r12, #1",
    "cmp r12, r9",
    "it hi",
    "movhi r12, r9",
    "add r11, r8, #5",
    "orr r11, r11, r12, lsl #16",
    "str r11, [r6], #4",
    "15:",
    "tst r10, #0x8000",
    "beq 16f",
    "ldrh r11, [r3, #12]",
    "ubfx r12, r10, #0, #15",
    "udiv r12, r12, r11",
    "add r12, #1",
    "cmp r12, r9",
    "it hi",
    "movhi r12, r9",
    "add r11, r8, #6",
    "orr r11, r11, r12, lsl #16",
    "str r11, [r6], #4",
    "16:",
    "cmp r10, #0",
    "bpl 17f",
    "ldrh r11, [r3, #14]",
    "ubfx r12, r10, #16, #15",
    "udiv r12, r12, r11",
    "add r12, #1",
    "cmp r12, r9",
    "it hi",
    "movhi r12, r9",
    "add r11, r8, #7",
    "orr r11, r11, r12, lsl #16",
    "str r11, [r6], #4",
    "17:",
    "b 2b",
    "8:", // no room
    "sub r1, #16",
    "9:", // out
    "strd r1, r2, [r0]",
    "str r3, [r0, #8]",
    "str r6, [r0, #20]",
    "str r8, [r0, #28]",
    "pop {{r4-r11, pc}}",
    ".size tinyspike_fire_last, . - tinyspike_fire_last",
    ".text",
);

/// Groups of 8 neurons.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Fire {
    /// The potentials of the next group.
    words: *mut u32,
    /// How many groups are left.
    groups: u32,
    /// The thresholds of the next group.
    threshold: *const i16,
    /// The thresholds of all channels.
    thresholds: *const i16,
    /// Their end.
    thresholds_end: *const i16,
    /// Where the next event goes.
    events: *mut Event,
    /// The last place for events behind which there is room for a group.
    events_last: *mut Event,
    /// The next neuron.
    source: u32,
    /// The most spikes in a step.
    max_count: u32,
}

/// A window of the input, for a block of 8 channels.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Rows of the input.
    rows: u32,
    /// What each sum starts with, for rounding.
    half: u32,
    /// Values in a row.
    run: u32,
    /// Bytes from a value's weights to the next value's.
    weights_value: u32,
    /// Bytes from the end of a row of the input to the next row of the window.
    input_row: u32,
    /// Bytes from the end of a row's weights to the next row's.
    weights_row: u32,
    /// What the sums are shifted right by.
    shift: u32,
}

unsafe extern "C" {
    fn tinyspike_fire(fire: *mut Fire);
    fn tinyspike_fire_last(fire: *mut Fire);
    fn tinyspike_drive_window(
        input: *const u8,
        weights: *const i8,
        currents: *mut u32,
        window: *const Window,
    );
    fn tinyspike_add_quads(terms: *mut Term, sums: *mut [u32; 8]);
    fn tinyspike_mla_quads(terms: *mut Term, sums: *mut [u32; 8]);
    fn tinyspike_mac_quads(terms: *mut Term, sums: *mut [i32; 8]);
    fn tinyspike_scatter_pairs_16(
        targets: *mut u32,
        weights: *const i8,
        value: i32,
        taps: *const Taps,
    );
    fn tinyspike_scatter_pairs_8(
        targets: *mut u32,
        weights: *const i8,
        value: i32,
        taps: *const Taps,
    );
}

/// Targets in a tile of a dense row.
const TILE: usize = 16;
/// The largest value for which lanes of 16 bits hold enough terms to be worth while.
const LANE_VALUE: i16 = 31;
/// 255 times this still fits 16 bits.
const LANE_BUDGET: i32 = 257;
/// What `Quads` adds to every weight.
const SURPLUS: i32 = 128;

/// The terms of a dense product: values of one from the front, others from the back, each part with an
/// end behind it.
struct Terms {
    list: [MaybeUninit<Term>; EVENTS + 2],
    ones: usize,
    others: usize,
    /// The sum of all values.
    total: i32,
}

impl Terms {
    const fn new() -> Self {
        Self {
            list: [MaybeUninit::uninit(); EVENTS + 2],
            ones: 0,
            others: 0,
            total: 0,
        }
    }

    fn clear(&mut self) {
        self.ones = 0;
        self.others = 0;
        self.total = 0;
    }

    /// # Safety
    /// There are fewer than `EVENTS` terms.
    unsafe fn push(&mut self, row: *const u8, value: i32, to_front: bool) {
        let at = if to_front {
            self.ones += 1;
            self.ones - 1
        } else {
            self.others += 1;
            EVENTS + 1 - self.others
        };
        // SAFETY: both parts together have at most `EVENTS` terms, so neither leaves the list nor
        // meets the other.
        unsafe { self.list.get_unchecked_mut(at) }.write(Term { row, value });
        self.total += value;
    }

    /// Ends both parts, and returns where they start.
    fn parts(&mut self) -> (*mut Term, *mut Term) {
        if let Some(end) = self.list.last_mut() {
            end.write(Term::END);
        }
        // There are two places more than terms, so one is left between the parts.
        if let Some(end) = self.list.get_mut(self.ones) {
            end.write(Term::END);
        }
        let start = self.list.as_mut_ptr().cast::<Term>();
        (start, start.wrapping_add(EVENTS + 1 - self.others))
    }
}

/// Adds the terms to all targets; the terms' rows are used up.
fn multiply_lanes<P: Potential>(terms: &mut Terms, post: &mut [P]) {
    let surplus = SURPLUS * terms.total;
    let (has_ones, has_others) = (terms.ones > 0, terms.others > 0);
    let (ones, others) = terms.parts();
    for tile in post.chunks_mut(TILE) {
        let mut sums = [0u32; TILE / 2];
        if has_ones {
            // SAFETY: the list has an end, each row has a whole tile left, and `sums` is a tile's.
            unsafe { tinyspike_add_quads(ones, &raw mut sums) };
        }
        if has_others {
            // SAFETY: as above.
            unsafe { tinyspike_mla_quads(others, &raw mut sums) };
        }
        let (pairs, last) = tile.as_chunks_mut::<2>();
        for ([low, high], sum) in pairs.iter_mut().zip(sums) {
            *low = low.plus((sum & 0xffff) as i32 - surplus);
            *high = high.plus((sum >> 16) as i32 - surplus);
        }
        // A tile of an odd number of targets ends with half a word.
        if let ([v], Some(sum)) = (last, sums.get(pairs.len())) {
            *v = v.plus((sum & 0xffff) as i32 - surplus);
        }
    }
}

/// As [`multiply_lanes`], for terms of any value, all in the second part.
fn multiply_words<P: Potential>(terms: &mut Terms, post: &mut [P]) {
    let surplus = SURPLUS.wrapping_mul(terms.total);
    let (_, others) = terms.parts();
    for tile in post.chunks_mut(TILE / 2) {
        let mut sums = [0i32; TILE / 2];
        // SAFETY: the list has an end, each row has half a tile left, and `sums` is half a tile's.
        unsafe { tinyspike_mac_quads(others, &raw mut sums) };
        for (v, sum) in tile.iter_mut().zip(sums) {
            *v = v.plus(sum.wrapping_sub(surplus));
        }
    }
}

fn dense<P: Potential>(weights: Weights<'_>, outputs: usize, events: &[Event], post: &mut [P])
where
    Portable: Kernels<P>,
{
    let stride = weights.layout.stride(outputs);
    let Some(rows) = weights.bytes.len().checked_div(stride) else {
        return;
    };
    let base: *const u8 = weights.bytes.as_ptr().cast();
    let fast = weights.layout == Layout::Quads
        && events.len() <= EVENTS
        && stride.is_multiple_of(TILE)
        && post.len() >= outputs
        && base.cast::<u32>().is_aligned();
    if !fast {
        return <Portable as Kernels<P>>::dense(weights, outputs, events, post);
    }
    let post = post.get_mut(..outputs).unwrap_or(&mut []);
    let in_lanes = events.iter().all(|e| (1..=LANE_VALUE).contains(&e.value));
    let mut terms = Terms::new();
    for event in events.iter().take(EVENTS) {
        let source = usize::from(event.source);
        if source >= rows {
            continue;
        }
        let row = base.wrapping_add(source * stride);
        let value = i32::from(event.value);
        if in_lanes && terms.total + value > LANE_BUDGET {
            multiply_lanes(&mut terms, post);
            terms.clear();
        }
        // SAFETY: no more than `EVENTS` events are taken.
        unsafe { terms.push(row, value, in_lanes && value == 1) };
    }
    if in_lanes {
        multiply_lanes(&mut terms, post);
    } else {
        multiply_words(&mut terms, post);
    }
}

/// The targets along one axis that see a source.
#[derive(Clone, Copy)]
struct Span {
    /// The first target.
    first: u32,
    /// How many there are; each next one is reached `stride` taps earlier.
    count: u32,
    /// The kernel place between the source and the first target.
    tap: u32,
}

fn span(conv: &Convolution, axis: usize, place: u32) -> Span {
    let stride = u32::from(conv.stride[axis]).max(1);
    let kernel = u32::from(conv.kernel[axis]);
    let padded = place + u32::from(conv.padding[axis]);
    let first = match padded.checked_sub(kernel) {
        None => 0,
        Some(beyond) => beyond / stride + 1,
    };
    let end = (padded / stride + 1).min(conv.output[axis].into());
    Span {
        first,
        count: end.saturating_sub(first),
        tap: padded.wrapping_sub(first * stride),
    }
}

/// Scatters events over potentials of 16 bits.
fn scatter(conv: &Convolution, weights: Weights<'_>, events: &[Event], post: &mut [u16]) {
    let [_, width, channels_in] = conv.input.map(u32::from);
    let [out_height, out_width, channels] = conv.output.map(u32::from);
    let sources = u32::from(conv.input[0]) * width * channels_in;
    let (kernel_y, kernel_x) = (u32::from(conv.kernel[0]), u32::from(conv.kernel[1]));
    let row = channels_in * channels;
    let fits = post.len() == (out_height * out_width * channels) as usize
        && weights.bytes.len() == (kernel_y * kernel_x * row) as usize;
    let targets = post.as_mut_ptr().cast::<u32>();
    let fast = fits
        && conv.is_plain()
        && weights.layout == Layout::Pairs
        && channels.is_multiple_of(8)
        && channels_in > 0
        && width > 0
        && targets.is_aligned()
        && weights.bytes.as_ptr().cast::<u32>().is_aligned();
    if !fast {
        return <Portable as Kernels<u16>>::convolution(conv, weights, events, post);
    }
    let wide = channels.is_multiple_of(16);
    let weights_step = u32::from(conv.stride[1]) * row;
    let mut taps = Taps {
        columns: 0,
        rows: 0,
        blocks: channels / if wide { 16 } else { 8 },
        weights_column: -((weights_step + channels) as i32),
        weights_row: 0,
        targets_row: 0,
    };
    let mut place = u32::MAX;
    let mut line = u32::MAX;
    let mut y = span(conv, 0, 0);
    let mut first_target = targets;
    let mut first_weights = weights.bytes.as_ptr();
    for event in events {
        let source = u32::from(event.source);
        if source >= sources {
            continue;
        }
        // The compiler cannot know that `channels_in` and `width` are not 0.
        let at = source.checked_div(channels_in).unwrap_or(0);
        let channel = source - at * channels_in;
        if at != place {
            place = at;
            let new_line = at.checked_div(width).unwrap_or(0);
            if new_line != line {
                line = new_line;
                y = span(conv, 0, line);
            }
            let x = span(conv, 1, at - line * width);
            taps.columns = x.count;
            taps.rows = y.count;
            taps.weights_row = (x.count * weights_step) as i32
                - (u32::from(conv.stride[0]) * kernel_x * row) as i32;
            taps.targets_row = ((out_width - x.count) * channels * 2) as i32;
            first_target =
                targets.wrapping_add(((y.first * out_width + x.first) * channels / 2) as usize);
            first_weights = weights
                .bytes
                .as_ptr()
                .wrapping_add(((y.tap * kernel_x + x.tap) * row) as usize);
        }
        if taps.columns == 0 || taps.rows == 0 {
            continue;
        }
        let row = first_weights.wrapping_add((channel * channels) as usize);
        let value = i32::from(event.value);
        if wide {
            // SAFETY: the spans name targets inside `post` and taps inside the kernel, whose sizes are
            // those of the geometry; both are aligned, as are rows of a multiple of 8 channels.
            unsafe { tinyspike_scatter_pairs_16(first_target, row, value, &raw const taps) };
        } else {
            // SAFETY: as above.
            unsafe { tinyspike_scatter_pairs_8(first_target, row, value, &raw const taps) };
        }
    }
}

/// Adds two lanes of 16 bits, each modulo 2^16.
fn add_lanes(a: u32, b: u32) -> u32 {
    let sum;
    // SAFETY: the instruction reads and writes registers only.
    unsafe {
        asm!("uadd16 {}, {}, {}", out(reg) sum, in(reg) a, in(reg) b, options(pure, nomem, nostack));
    }
    sum
}

/// Words that an update looks at together.
const GROUP: usize = 4;
/// Fires neurons from `from` on, where their number and channels allow for groups; `None` where they do
/// not.
fn fire(population: &mut Population<'_, u16>, from: usize, events: &mut Events) -> Option<usize> {
    const NEURONS: usize = GROUP * 2;
    let channels = population.threshold.len();
    let len = events.len();
    if !channels.is_multiple_of(NEURONS) || !from.is_multiple_of(NEURONS) || len > EVENTS - NEURONS
    {
        return None;
    }
    let words: &mut [u32] = bytemuck::try_cast_slice_mut(population.potentials).ok()?;
    let channel = from.checked_rem(channels)?;
    let words = words.get_mut(from / 2..)?;
    let groups = words.len() / GROUP;
    if groups == 0 {
        return None;
    }
    let thresholds = population.threshold.as_ptr_range();
    let events_start = events.as_mut_ptr();
    let mut state = Fire {
        words: words.as_mut_ptr(),
        groups: groups as u32,
        threshold: thresholds.start.wrapping_add(channel),
        thresholds: thresholds.start,
        thresholds_end: thresholds.end,
        events: events_start.wrapping_add(len),
        events_last: events_start.wrapping_add(EVENTS - NEURONS),
        source: from as u32,
        max_count: population.max_count.into(),
    };
    // SAFETY: there are so many groups, channels are whole groups, thresholds are positive, and events
    // stop while there is room for a group.
    unsafe {
        if population.more {
            tinyspike_fire(&raw mut state);
        } else {
            tinyspike_fire_last(&raw mut state);
        }
    }
    // SAFETY: both lie in the buffer.
    let written = unsafe { state.events.offset_from(events_start) };
    // SAFETY: so many events have been written.
    unsafe { events.set_len(written as usize) };
    Some(state.source as usize)
}

/// Adds bias and current to neurons, two at a time; `None` where channels do not pair up.
fn settle(population: &mut Population<'_, u16>) -> Option<()> {
    let words: &mut [u32] = bytemuck::try_cast_slice_mut(population.potentials).ok()?;
    let bias: &[u32] = bytemuck::try_cast_slice(population.bias).ok()?;
    let currents: &[u32] = bytemuck::try_cast_slice(population.currents).ok()?;
    if !bias.is_empty() {
        for place in words.chunks_mut(bias.len()) {
            for (word, &bias) in place.iter_mut().zip(bias) {
                *word = add_lanes(*word, bias);
            }
        }
    }
    for (word, &current) in words.iter_mut().zip(currents) {
        *word = add_lanes(*word, current);
    }
    Some(())
}

/// The most values in a row of an input for which empty windows are found in advance.
const ROW: usize = 256;

/// Brings an input's current to potentials or currents of 16 bits.
fn drive(
    conv: &Convolution,
    weights: Weights<'_>,
    input: &[u8],
    shift: u8,
    currents: &mut [u16],
) -> Option<()> {
    let [height, width, channels_in] = conv.input.map(usize::from);
    let [out_height, out_width, channels] = conv.output.map(usize::from);
    let [kernel_y, kernel_x] = conv.kernel.map(usize::from);
    let [stride_y, stride_x] = conv.stride.map(usize::from);
    let line = width * channels_in;
    let run = kernel_x * channels_in;
    let fits = weights.layout == Layout::Rows
        && conv.is_plain()
        && conv.padding == [0, 0]
        && channels.is_multiple_of(8)
        && channels > 0
        && line <= ROW
        && line > 0
        && run > 0
        && kernel_y > 0
        && (out_height.max(1) - 1) * stride_y + kernel_y <= height
        && (out_width.max(1) - 1) * stride_x + kernel_x <= width
        && weights.bytes.len() == kernel_y * run * channels
        && input.len() == height * line
        && currents.len() == out_height * out_width * channels
        && weights.bytes.as_ptr().cast::<u32>().is_aligned();
    if !fits {
        return None;
    }
    let words: &mut [u32] = bytemuck::try_cast_slice_mut(currents).ok()?;
    let window = Window {
        rows: kernel_y as u32,
        half: if shift == 0 {
            0
        } else {
            1 << (shift.min(31) - 1)
        },
        run: run as u32,
        weights_value: channels as u32,
        input_row: (line - run) as u32,
        weights_row: 0,
        shift: u32::from(shift.min(31)),
    };
    let mut places = words.chunks_exact_mut(channels / 2);
    let mut any = [0u32; ROW / 4 + 1];
    for out_y in 0..out_height {
        let rows = input.get(out_y * stride_y * line..)?;
        // Which values are zero in all rows of the window.
        let any = any.get_mut(..line.div_ceil(4) + 1)?;
        any.fill(0);
        for row in rows.chunks(line).take(kernel_y) {
            let (whole, rest) = row.as_chunks::<4>();
            for (any, &word) in any.iter_mut().zip(whole) {
                *any |= u32::from_le_bytes(word);
            }
            if !rest.is_empty() {
                *any.get_mut(whole.len())? = u32::MAX;
            }
        }
        let any: &[u8] = bytemuck::cast_slice(any);
        for out_x in 0..out_width {
            let place = places.next()?;
            let start = out_x * stride_x * channels_in;
            let empty = if run <= 4 {
                let four = any.get(start..)?.first_chunk::<4>()?;
                u32::from_le_bytes(*four) << (8 * (4 - run as u32)) == 0
            } else {
                any.get(start..start + run)?.iter().all(|&v| v == 0)
            };
            if empty {
                continue;
            }
            let values = rows.get(start..)?;
            for (block, currents) in place.chunks_exact_mut(4).enumerate() {
                // SAFETY: the window lies inside the input, its taps inside the kernel, whose rows are
                // aligned as they are multiples of 8 channels; `currents` has 8 lanes.
                unsafe {
                    tinyspike_drive_window(
                        values.as_ptr(),
                        weights.bytes.as_ptr().wrapping_add(block * 8),
                        currents.as_mut_ptr(),
                        &raw const window,
                    );
                }
            }
        }
    }
    Some(())
}

impl Kernels<u16> for Dsp {
    fn dense(weights: Weights<'_>, outputs: usize, events: &[Event], post: &mut [u16]) {
        dense(weights, outputs, events, post);
    }

    fn convolution(conv: &Convolution, weights: Weights<'_>, events: &[Event], post: &mut [u16]) {
        scatter(conv, weights, events, post);
    }

    fn drive_convolution(
        conv: &Convolution,
        weights: Weights<'_>,
        input: &[u8],
        zero_point: u8,
        shift: u8,
        currents: &mut [u16],
    ) {
        let driven = zero_point == 0 && drive(conv, weights, input, shift, currents).is_some();
        if !driven {
            <Portable as Kernels<u16>>::drive_convolution(
                conv, weights, input, zero_point, shift, currents,
            );
        }
    }

    fn fire(population: &mut Population<'_, u16>, from: usize, events: &mut Events) -> usize {
        match fire(population, from, events) {
            Some(next) if next > from => next,
            _ => Portable::fire(population, from, events),
        }
    }

    fn settle(population: &mut Population<'_, u16>) {
        if settle(population).is_none() {
            Portable::settle(population);
        }
    }
}

impl Kernels<u32> for Dsp {
    fn dense(weights: Weights<'_>, outputs: usize, events: &[Event], post: &mut [u32]) {
        dense(weights, outputs, events, post);
    }

    fn convolution(conv: &Convolution, weights: Weights<'_>, events: &[Event], post: &mut [u32]) {
        <Portable as Kernels<u32>>::convolution(conv, weights, events, post);
    }

    fn drive_convolution(
        conv: &Convolution,
        weights: Weights<'_>,
        input: &[u8],
        zero_point: u8,
        shift: u8,
        currents: &mut [u32],
    ) {
        <Portable as Kernels<u32>>::drive_convolution(
            conv, weights, input, zero_point, shift, currents,
        );
    }

    fn fire(population: &mut Population<'_, u32>, from: usize, events: &mut Events) -> usize {
        Portable::fire(population, from, events)
    }

    fn settle(population: &mut Population<'_, u32>) {
        Portable::settle(population);
    }
}
