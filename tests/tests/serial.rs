//! A device behind a byte stream that writes its own slots, and power cuts while it does.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use embedded_io::{ErrorType, Read, ReadReady, Write};
use tinyspike::ImageBuf;
use tinyspike::assemble::{aligned_copy, assemble};
use tinyspike::device::serial::{ExchangeError, exchange};
use tinyspike::device::session::{Link, Lost, Patience, Session, SessionError};
use tinyspike_firmware::Image;
use tinyspike_firmware::serve::{Device, Slots};
use tinyspike_firmware::stream::{Meter, Streamed};
use tinyspike_firmware::update::Updater;
use tinyspike_shared::accept::{Refusal, Start};
use tinyspike_shared::image::{HEADER_LEN, checksum};
use tinyspike_shared::slots::{Journal, Slot, SlotLayout};
use tinyspike_shared::wire::UpdateFault;
use tinyspike_tests::device::{BUILD, CONNECTIONS, ENSEMBLES};
use tinyspike_tests::flash::{SharedFlash, Silicon, SimulatedFlash};
use tinyspike_tests::network::spiking;
use tinyspike_tests::numbers::Numbers;

type DeviceImage<'a> = Image<'a, ENSEMBLES, CONNECTIONS>;

/// Checks the image in a slot, as a device does at its start: its checksum.
fn accept(
    flash: &SharedFlash,
    layout: &SlotLayout,
    slot: Slot,
    minimum: u32,
) -> Result<u32, Refusal> {
    flash.accept::<ENSEMBLES, CONNECTIONS>(layout, slot, minimum)
}

/// The slot that a device starts from, and its image's checksum.
fn start(flash: &SharedFlash, layout: &SlotLayout) -> Option<(Slot, u32)> {
    let mut journal = Journal::new(layout, flash.clone()).unwrap();
    let state = journal.state().ok()?;
    let mut order = state.order().into_iter();
    order.find_map(|slot| Some((slot, accept(flash, layout, slot, state.minimum).ok()?)))
}

/// The two directions of a serial line.
#[derive(Clone, Default)]
struct Line {
    down: Rc<RefCell<VecDeque<u8>>>,
    up: Rc<RefCell<VecDeque<u8>>>,
}

impl ErrorType for Line {
    type Error = Infallible;
}

impl ReadReady for Line {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.down.borrow().is_empty())
    }
}

impl Read for Line {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let mut down = self.down.borrow_mut();
        // A UART hands over what has come, which is not all.
        let count = bytes.len().min(down.len()).min(16);
        for (slot, byte) in bytes.iter_mut().zip(down.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let taken = bytes.get(..7).unwrap_or(bytes);
        self.up.borrow_mut().extend(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Parts that custom firmware adds: its slots.
struct Own<S>(S);

impl<S: Slots> Meter for Own<S> {
    fn slots(&mut self) -> Option<&mut dyn Slots> {
        Some(&mut self.0)
    }
}

/// A device that runs whenever its host listens.
struct Near<'a, M> {
    device: Device<'a, ENSEMBLES, CONNECTIONS>,
    board: Streamed<Line, M>,
    line: Line,
}

impl<M: Meter> Link for Near<'_, M> {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Lost> {
        self.line.down.borrow_mut().extend(bytes);
        Ok(bytes.len())
    }

    fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, Lost> {
        self.device.poll(&mut self.board);
        let mut up = self.line.up.borrow_mut();
        let count = bytes.len().min(up.len());
        for (slot, byte) in bytes.iter_mut().zip(up.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }

    fn state(&mut self) -> Result<Option<String>, Lost> {
        Ok(None)
    }
}

/// Images of one network, of which each has another weight.
fn image(number: u32) -> ImageBuf {
    let mut bytes = assemble(&spiking()).unwrap().bytes().to_vec();
    let last = bytes.len() - 1;
    bytes[last] = number as u8;
    bytes[last - 1] = (number >> 8) as u8;
    let sum = checksum(&bytes).to_le_bytes();
    bytes[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&sum);
    ImageBuf::new(&bytes).unwrap()
}

fn layout(write_size: u32) -> SlotLayout {
    let sector = 1024;
    let slot = (image(0).bytes().len() as u32).next_multiple_of(sector);
    let journal = 2 * slot;
    SlotLayout {
        slots: [0..slot, slot..journal],
        state: [
            journal..journal + sector,
            journal + sector..journal + 2 * sector,
        ],
        write_size,
    }
}

/// Exchanges a device's image, with all that a device does for it.
fn exchanged(
    chip: &SharedFlash,
    layout: &SlotLayout,
    image: &ImageBuf,
) -> Result<Slot, ExchangeError> {
    let (running, _) = start(chip, layout).unwrap();
    let own = aligned_copy(chip.flash().bytes(layout.slot(running)));
    let parsed = DeviceImage::parse(&own).unwrap();
    let mut memory = vec![0; parsed.arena_bytes() / 4 + 4096];
    let start = Start {
        running: Some(running),
        named: running,
        ..Start::single(None)
    };
    let device = Device::new(BUILD, Ok(&parsed), start, &mut memory);
    let accept = |slot, minimum| accept(chip, layout, slot, minimum).map(|_| ());
    let slots = Updater::new(layout, chip.clone(), running, accept).unwrap();
    let line = Line::default();
    let near = Near {
        device,
        board: Streamed::new(line.clone(), Own(slots)),
        line,
    };
    let patience = Patience {
        silence: Duration::from_secs(20),
        ..Patience::default()
    };
    let done = exchange(&mut Session::new(near, 3, patience), image, 0, &mut |_| ())?;
    // It does not start again by itself here.
    assert!(!done.running);
    Ok(done.slot)
}

/// A device that has never been updated, and the operations of an update of its flash.
fn fresh(layout: &SlotLayout, silicon: Silicon) -> (SharedFlash, u64) {
    let mut flash = SimulatedFlash::new(layout, 1024, silicon);
    let first = image(0);
    let mut journal = Journal::new(layout, &mut flash).unwrap();
    journal.update(Slot::B, first.bytes(), 0, 0).unwrap();
    let operations = flash.operations;
    (SharedFlash::new(flash), operations)
}

#[test]
fn a_hundred_power_cuts_leave_the_old_model_or_the_new_one() {
    for write_size in [4, 32, 256] {
        let layout = layout(write_size);
        let silicon = Silicon {
            programs_first: true,
            weak: 51,
            ..Silicon::plain(0xff)
        };
        let (chip, operations) = fresh(&layout, silicon);
        let mut numbers = Numbers::new(u64::from(write_size));
        let (mut now, mut cuts, mut old, mut new) = (image(0), 0, 0, 0);
        let mut number = 0;
        while cuts < 100 {
            number += 1;
            let next = image(number);
            let after = numbers.draw() % (2 * operations);
            chip.flash().cut_after(after, numbers.draw());
            let result = exchanged(&chip, &layout, &next);
            chip.flash().power_on();
            let sum = |image: &ImageBuf| image.image().header().checksum;
            let (_, found) = start(&chip, &layout).expect("a model is left");
            let again = start(&chip, &layout).expect("a model is left");
            assert_eq!(again.1, found, "cut {cuts}: two starts differ");
            match result {
                Ok(slot) => {
                    assert_eq!(found, sum(&next), "cut {cuts}");
                    assert_eq!(again.0, slot, "cut {cuts}");
                }
                Err(ExchangeError::Session(SessionError::Update(
                    UpdateFault::Flash | UpdateFault::Refused(_),
                ))) => {
                    cuts += 1;
                    assert!(found == sum(&now) || found == sum(&next), "cut {cuts}");
                    old += usize::from(found == sum(&now));
                    new += usize::from(found == sum(&next));
                }
                Err(other) => panic!("{other}"),
            }
            if found == sum(&next) {
                now = next;
            }
        }
        assert_eq!(old + new, 100);
        assert!(old > 50, "{old} of 100 cuts before the switch");
    }
}

#[test]
fn what_a_device_would_not_run_is_refused() {
    let layout = layout(4);
    let (chip, _) = fresh(&layout, Silicon::plain(0xff));
    let (_, before) = start(&chip, &layout).unwrap();
    let refused = |bytes: Vec<u8>| {
        let image = ImageBuf::new(&bytes).unwrap();
        let error = exchanged(&chip, &layout, &image).unwrap_err();
        assert_eq!(start(&chip, &layout).unwrap().1, before, "{error}");
        error
    };
    // Larger than a slot.
    let mut large = image(1).bytes().to_vec();
    large.extend(vec![0; 4096]);
    let error = match ImageBuf::new(&large) {
        Ok(_) => refused(large).to_string(),
        // Then something behind an image is no image of the host's.
        Err(_) => "its slots have".to_owned(),
    };
    assert!(error.contains("its slots have"), "{error}");
}

/// Pieces that come twice or out of order, as a line may bring them, and devices that write no slots.
#[test]
fn pieces_follow_each_other() {
    let layout = layout(8);
    let (chip, _) = fresh(&layout, Silicon::plain(0xff));
    let (running, _) = start(&chip, &layout).unwrap();
    let accept = |slot, minimum| accept(&chip, &layout, slot, minimum).map(|_| ());
    let mut slots = Updater::new(&layout, chip.clone(), running, accept).unwrap();
    let next = image(7);
    let bytes = next.bytes();
    let length = bytes.len() as u32;
    assert_eq!(slots.switch(0), Err(UpdateFault::Order { expected: 0 }));
    assert_eq!(
        slots.store(0, &bytes[..8]),
        Err(UpdateFault::Order { expected: 0 })
    );
    slots.clear(length).unwrap();
    let mut at = 0;
    for (turn, piece) in bytes.chunks(13).enumerate() {
        slots.store(at, piece).unwrap();
        if turn % 3 == 0 {
            slots.store(at, piece).unwrap();
        }
        let missed = slots.store(at + 100, piece);
        at += piece.len() as u32;
        assert_eq!(missed, Err(UpdateFault::Order { expected: at }));
    }
    let slot = slots.switch(0).unwrap();
    assert_eq!(slot, running.other());
    drop(slots);
    assert_eq!(
        start(&chip, &layout),
        Some((slot, next.image().header().checksum))
    );
    let mut slots = Updater::new(&layout, chip.clone(), slot, accept).unwrap();
    let available = layout.slots[0].end;
    assert_eq!(
        slots.clear(1 << 20),
        Err(UpdateFault::TooLarge { available })
    );
    // What has not come whole is not switched to.
    slots.clear(length).unwrap();
    slots.store(0, &bytes[..20]).unwrap();
    assert_eq!(slots.switch(0), Err(UpdateFault::Order { expected: 20 }));
    assert_eq!(start(&chip, &layout).unwrap().0, slot);
}
