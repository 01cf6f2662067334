//! An RP2040 classifies digits, and blinks meanwhile: the LED of the Pico on pin 25.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use embassy::{SEVEN, classify, open};
use embassy_executor::Spawner;
use embassy_rp::gpio::{Level, Output};
use embassy_time::Timer;
use panic_halt as _;

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let chip = embassy_rp::init(embassy_rp::config::Config::default());
    let led = Output::new(chip.PIN_25, Level::Low);
    spawner.spawn(blink(led).expect("the task is started once"));
    let mut network = open();
    loop {
        let class = classify(&mut network, SEVEN).await;
        assert_eq!(class, Ok(7));
        Timer::after_millis(10).await;
    }
}

#[embassy_executor::task]
async fn blink(mut led: Output<'static>) {
    loop {
        led.toggle();
        Timer::after_millis(250).await;
    }
}
