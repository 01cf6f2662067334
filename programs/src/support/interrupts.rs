//! The interrupts of a board: each has 32, and no program here uses any.

/// The part of the vector table that follows the core's own exceptions.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [unsafe extern "C" fn(); 32] = {
    unsafe extern "C" {
        fn DefaultHandler();
    }
    [DefaultHandler; 32]
};
