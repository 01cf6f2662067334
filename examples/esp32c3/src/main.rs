//! An ESP32-C3 runs a network for whoever asks over its USB port: `tinyspike run IMAGE --serial PORT`.

#![no_std]
#![no_main]

use esp_hal::Blocking;
use esp_hal::clock::CpuClock;
use esp_hal::usb_serial_jtag::{UsbSerialJtag, UsbSerialJtagRx, UsbSerialJtagTx};
use panic_halt as _;
use static_cell::ConstStaticCell;
use tinyspike_firmware::Image;
use tinyspike_firmware::serve::{Board, Build, Device};
use tinyspike_shared::accept::{Refusal, Start};
use tinyspike_shared::wire::Clock;

esp_bootloader_esp_idf::esp_app_desc!();

/// The most ensembles and connections: `tinyspike inspect` tells them.
const ENSEMBLES: usize = 3;
const CONNECTIONS: usize = 4;
/// Words for the arena and the input. If they are too few, the device says how many it needs.
const MEMORY: usize = 4096;

/// The engine reads the image where it lies, at a multiple of 4 bytes.
#[repr(align(4))]
struct Aligned<const N: usize>([u8; N]);

static IMAGE: &Aligned<{ include_bytes!("../../embed/mnist.tsp").len() }> =
    &Aligned(*include_bytes!("../../embed/mnist.tsp"));

const BUILD: Build = Build {
    version: env!("CARGO_PKG_VERSION"),
    architecture: "riscv32imc",
    key: None,
};

/// The chip's USB port.
struct Usb {
    from_host: UsbSerialJtagRx<'static, Blocking>,
    to_host: UsbSerialJtagTx<'static, Blocking>,
}

impl Board for Usb {
    fn receive(&mut self, bytes: &mut [u8]) -> usize {
        self.from_host.drain_rx_fifo(bytes)
    }

    fn send(&mut self, bytes: &[u8]) {
        // What is lost the host asks for again.
        let _ = self.to_host.write(bytes);
        let _ = self.to_host.flush_tx();
    }

    fn clock(&self) -> Clock {
        Clock::None
    }

    fn ticks(&self) -> u32 {
        0
    }

    fn stack(&self) -> u32 {
        0
    }

    fn stack_high_water(&self) -> u32 {
        0
    }
}

#[esp_hal::main]
fn main() -> ! {
    static WORDS: ConstStaticCell<[u32; MEMORY]> = ConstStaticCell::new([0; MEMORY]);
    let chip = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    let (from_host, to_host) = UsbSerialJtag::new(chip.USB_DEVICE).split();
    let mut usb = Usb { from_host, to_host };
    let image = Image::<'_, ENSEMBLES, CONNECTIONS>::parse(&IMAGE.0);
    let refused = |error: &_| Refusal::Image(*error);
    let start = Start::single(image.as_ref().err().map(refused));
    let mut device = Device::new(BUILD, image.as_ref().map_err(refused), start, WORDS.take());
    loop {
        device.poll(&mut usb);
    }
}
