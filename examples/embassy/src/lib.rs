//! A network between other tasks: it gives the executor its turn after every step.

#![no_std]
#![forbid(unsafe_code)]

use embassy_futures::yield_now;
use static_cell::StaticCell;
use tinyspike_firmware::{Engine, Image, InputError, Native};

/// The most ensembles and connections: `tinyspike inspect` tells them.
const ENSEMBLES: usize = 3;
const CONNECTIONS: usize = 4;
/// Words of arena, as `tinyspike inspect` says.
const ARENA: usize = 1714;

/// The engine reads the image where it lies, at a multiple of 4 bytes.
#[repr(align(4))]
struct Aligned<const N: usize>([u8; N]);

static IMAGE: &Aligned<{ include_bytes!("../../embed/mnist.tsp").len() }> =
    &Aligned(*include_bytes!("../../embed/mnist.tsp"));
/// A picture of 28 x 28 pixels, where a camera's would come in.
pub static SEVEN: &[u8] = include_bytes!("../../embed/seven.bin");

/// A network that lives as long as the program.
pub type Network = Engine<'static, Native, ENSEMBLES, CONNECTIONS>;

/// Opens the network, once.
///
/// # Panics
/// If the image does not fit this engine, which a test run shows.
pub fn open() -> Network {
    static PARSED: StaticCell<Image<'static, ENSEMBLES, CONNECTIONS>> = StaticCell::new();
    static MEMORY: StaticCell<[u32; ARENA]> = StaticCell::new();
    let image = Image::parse(&IMAGE.0).expect("the image fits this engine");
    let arena = MEMORY.init_with(|| [0; ARENA]);
    Engine::new(PARSED.init(image), arena).expect("the arena is large enough")
}

/// Classifies a picture. Between two steps other tasks have their turn, and so they have after the input is set.
///
/// # Errors
/// [`InputError`] if the picture is not the network's.
pub async fn classify(network: &mut Network, picture: &[u8]) -> Result<usize, InputError> {
    network.reset();
    network.set_input(picture)?;
    yield_now().await;
    while network.step() && !network.decided() {
        yield_now().await;
    }
    Ok(network.output(0).class())
}
