//! An nRF52840 classifies digits, and blinks meanwhile: the LED of the development kit on pin 13.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use embassy::{SEVEN, classify, open};
use embassy_executor::Spawner;
use embassy_nrf::gpio::{Level, Output, OutputDrive};
use embassy_time::Timer;
use panic_halt as _;

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let chip = embassy_nrf::init(embassy_nrf::config::Config::default());
    let led = Output::new(chip.P0_13, Level::Low, OutputDrive::Standard);
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
