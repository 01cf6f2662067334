//! An estimate of a Cortex-M4's cycles from how often each instruction was executed.
//!
//! The numbers are those of the Cortex-M4's technical reference manual (table 3-1), for code and data
//! without wait states:
//!
//! | instruction | cycles |
//! |---|---|
//! | arithmetic, multiplication, SIMD | 1 |
//! | load | 2; 1 right behind another load whose result is not its address |
//! | store | 1; 2 with a register as the offset |
//! | load or store of a pair | 3 |
//! | load or store of n registers | 1 + n |
//! | branch | 1, and 2 more if it is taken; a table branch 4 |
//! | division | 6 of 2 to 12 |
//! | load of the program counter | 2 more |
//!
//! A real part whose flash has wait states takes longer.

use tinyspike_board::elf::Code;

use crate::profile::Count;

/// Class of an instruction in the estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// One cycle.
    Single,
    Load {
        target: u16,
        base: u16,
        /// `true` if the base is changed as well.
        writes_back: bool,
    },
    Store {
        register_offset: bool,
    },
    Pair,
    Several {
        registers: u64,
        jumps: bool,
    },
    Branch,
    Table,
    Division,
}

const PC: u16 = 15;
const SP: u16 = 13;

/// The cycles of all executed instructions.
#[must_use]
pub(super) fn estimate(code: &Code, counts: &[Count]) -> u64 {
    let mut before: Option<(Count, Class)> = None;
    let mut cycles = 0;
    for count in counts {
        let class = classify(code, count);
        let n = count.executed;
        cycles += match class {
            Class::Single => n,
            Class::Load { target, base, .. } => {
                let pipelined = match before {
                    Some((
                        last,
                        Class::Load {
                            target,
                            writes_back: false,
                            ..
                        },
                    )) if last.address + last.length == count.address && target != base => {
                        n.min(last.executed - last.jumped)
                    }
                    _ => 0,
                };
                let refill = if target == PC { 2 * n } else { 0 };
                2 * n - pipelined + refill
            }
            Class::Store { register_offset } => n * (1 + u64::from(register_offset)),
            Class::Pair => 3 * n,
            Class::Several { registers, jumps } => n * (1 + registers + 2 * u64::from(jumps)),
            Class::Branch => n + 2 * count.jumped,
            Class::Table => 4 * n,
            Class::Division => 6 * n,
        };
        before = Some((*count, class));
    }
    cycles
}

fn classify(code: &Code, count: &Count) -> Class {
    match (code.half(count.address), count.length) {
        (Some(op), 2) => narrow(op),
        (Some(first), 4) => code
            .half(count.address + 2)
            .map_or(Class::Single, |second| wide(first, second)),
        _ => Class::Single,
    }
}

/// The class of a 16-bit instruction (Armv7-M architecture reference manual, A5.2).
fn narrow(op: u16) -> Class {
    let load_or_store = |load: bool, target: u16, base: u16, register_offset: bool| match load {
        true => Class::Load {
            target,
            base,
            writes_back: false,
        },
        false => Class::Store { register_offset },
    };
    let load = op & 1 << 11 != 0;
    match op >> 12 {
        0x4 if op & 0x0800 != 0 => load_or_store(true, op >> 8 & 7, PC, false),
        0x4 if op & 0xff00 == 0x4700 => Class::Branch,
        0x5 => load_or_store(op >> 9 & 7 >= 3, op & 7, op >> 3 & 7, true),
        0x6..=0x8 => load_or_store(load, op & 7, op >> 3 & 7, false),
        0x9 => load_or_store(load, op >> 8 & 7, SP, false),
        0xb => match op & 0x0f00 {
            0x0400 | 0x0500 | 0x0c00 | 0x0d00 => Class::Several {
                registers: (op & 0x01ff).count_ones().into(),
                jumps: op & 0x0f00 == 0x0d00,
            },
            0x0100 | 0x0300 | 0x0900 | 0x0b00 => Class::Branch,
            _ => Class::Single,
        },
        0xc => Class::Several {
            registers: (op & 0x00ff).count_ones().into(),
            jumps: false,
        },
        0xd if op & 0x0e00 != 0x0e00 => Class::Branch,
        0xe => Class::Branch,
        _ => Class::Single,
    }
}

/// The class of a 32-bit instruction (Armv7-M architecture reference manual, A5.3).
fn wide(first: u16, second: u16) -> Class {
    let load = first & 1 << 4 != 0;
    let base = first & 15;
    let target = second >> 12;
    match first >> 9 {
        // 1110 100: several registers, pairs, exclusives, table branches.
        0x74 if first & 1 << 6 == 0 => Class::Several {
            registers: second.count_ones().into(),
            jumps: load && second & 1 << 15 != 0,
        },
        0x74 if first & 0xfff0 == 0xe8d0 && second & 0xffe0 == 0xf000 => Class::Table,
        0x74 => Class::Pair,
        // 1111 100: one register.
        0x7c if load => Class::Load {
            target,
            base,
            // An immediate of 8 bits may be added to the base.
            writes_back: base != PC && first & 1 << 7 == 0 && second & 0x0900 == 0x0900,
        },
        0x7c => Class::Store {
            register_offset: first & 1 << 7 == 0 && second & 1 << 11 == 0,
        },
        // 1111 101: multiplications and divisions among others.
        0x7d if first & 0xffd0 == 0xfb90 && second & 0x00f0 == 0x00f0 => Class::Division,
        // 1111 0: branches, unless they are special registers and hints.
        0x78..=0x7b if second & 1 << 15 != 0 => {
            if second & 0x5000 == 0 && first & 0x0380 == 0x0380 {
                Class::Single
            } else {
                Class::Branch
            }
        }
        _ => Class::Single,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_have_the_classes_that_an_assembler_says() {
        let load = |target, base, writes_back| Class::Load {
            target,
            base,
            writes_back,
        };
        let store = |register_offset| Class::Store { register_offset };
        let several = |registers, jumps| Class::Several { registers, jumps };
        for (op, class) in [
            (0x4902, load(1, PC, false)), // ldr r1, [pc, #8]
            (0x5d0a, load(2, 1, false)),  // ldrb r2, [r1, r4]
            (0x544a, store(true)),        // strb r2, [r1, r1]
            (0x6820, load(0, 4, false)),  // ldr r0, [r4]
            (0x6020, store(false)),       // str r0, [r4]
            (0x8823, load(3, 4, false)),  // ldrh r3, [r4]
            (0x9801, load(0, SP, false)), // ldr r0, [sp, #4]
            (0x9001, store(false)),       // str r0, [sp, #4]
            (0xb5f0, several(5, false)),  // push {r4-r7, lr}
            (0xbdf0, several(5, true)),   // pop {r4-r7, pc}
            (0xb082, Class::Single),      // sub sp, #8
            (0xbf08, Class::Single),      // it eq
            (0xb110, Class::Branch),      // cbz r0, ...
            (0xc80e, several(3, false)),  // ldm r0!, {r1-r3}
            (0xd1fe, Class::Branch),      // bne
            (0xe7fe, Class::Branch),      // b
            (0x4770, Class::Branch),      // bx lr
            (0x4608, Class::Single),      // mov r0, r1
            (0x4348, Class::Single),      // muls r0, r1, r0
            (0x1840, Class::Single),      // adds r0, r0, r1
        ] {
            assert_eq!(narrow(op), class, "{op:#06x}");
        }
        for (first, second, class) in [
            (0xe92d, 0x4ff0, several(9, false)), // push.w {r4-r11, lr}
            (0xe8bd, 0x8ff0, several(9, true)),  // pop.w {r4-r11, pc}
            (0xe9d1, 0x2300, Class::Pair),       // ldrd r2, r3, [r1]
            (0xe8df, 0xf001, Class::Table),      // tbb [pc, r1]
            (0xf814, 0x3b01, load(3, 4, true)),  // ldrb r3, [r4], #1
            (0xf8d1, 0x0100, load(0, 1, false)), // ldr.w r0, [r1, #256]
            (0xf851, 0x0022, load(0, 1, false)), // ldr.w r0, [r1, r2, lsl #2]
            (0xf841, 0x0022, store(true)),       // str.w r0, [r1, r2, lsl #2]
            (0xf8c1, 0x0100, store(false)),      // str.w r0, [r1, #256]
            (0xf841, 0x0b04, store(false)),      // str r0, [r1], #4
            (0xfbb0, 0xf1f2, Class::Division),   // udiv r1, r0, r2
            (0xfb0a, 0x0206, Class::Single),     // mla r2, r10, r6, r0
            (0xfb80, 0x2301, Class::Single),     // smull r2, r3, r0, r1
            (0xfa20, 0xf081, Class::Single),     // sxtab16 and the like
            (0xf7ff, 0xfffe, Class::Branch),     // bl
            (0xf43f, 0xaf10, Class::Branch),     // beq.w
            (0xf3bf, 0x8f4f, Class::Single),     // dsb
            (0xf04f, 0x0110, Class::Single),     // mov.w r1, #16
            (0xebb3, 0x0b08, Class::Single),     // subs.w r11, r3, r8
        ] {
            assert_eq!(wide(first, second), class, "{first:#06x} {second:#06x}");
        }
    }
}
