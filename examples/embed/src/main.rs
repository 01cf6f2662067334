//! Classifies a handwritten digit with a network that is part of the firmware.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use panic_halt as _;
use tinyspike_firmware::{Engine, Image, Native};

/// The engine reads the image where it lies, at a multiple of 4 bytes.
#[repr(align(4))]
struct Aligned<const N: usize>([u8; N]);

/// Image that `tinyspike convert` wrote.
static IMAGE: &Aligned<{ include_bytes!("../mnist.tsp").len() }> =
    &Aligned(*include_bytes!("../mnist.tsp"));
/// A picture of 28 x 28 pixels, where a camera's would come in.
static SEVEN: &[u8] = include_bytes!("../seven.bin");

#[entry]
fn main() -> ! {
    // The network's state: as many words as `tinyspike inspect mnist.tsp` says, or more.
    static mut ARENA: [u32; 1792] = [0; 1792];
    // Room for 4 ensembles and 6 connections is all that this network takes.
    let image: Image<'_, 4, 6> = Image::parse(&IMAGE.0).expect("the image fits this engine");
    let mut engine = Engine::<Native, 4, 6>::new(&image, ARENA).expect("the arena is large enough");
    engine
        .set_input(SEVEN)
        .expect("the network takes 784 bytes");
    let steps = engine.infer(&mut ());
    hprintln!("class {} after {} steps", engine.output(0).class(), steps);
    debug::exit(debug::EXIT_SUCCESS);
    loop {
        cortex_m::asm::wfi();
    }
}
