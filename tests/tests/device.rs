//! Host and device talk: what the device says is what the engine does, whatever happens on the wire.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tinyspike::ImageBuf;
use tinyspike::assemble::{self, aligned_copy, assemble};
use tinyspike::device::run::{Quantity, RunError, Tally, check, compare};
use tinyspike::device::session::{Link, Lost, Patience, Session, SessionError};
use tinyspike::integers;
use tinyspike_firmware::Image;
use tinyspike_firmware::serve::Device;
use tinyspike_shared::accept::{Refusal, Start};
use tinyspike_shared::image::{HEADER_LEN, ImageError, checksum};
use tinyspike_shared::wire::{Head, MAX_FRAME, Receiver, Response, Watch, encode};
use tinyspike_tests::boards::{block, run_on_host};
use tinyspike_tests::device::{BUILD, CONNECTIONS, ENSEMBLES, Near, Noise, Spoil};
use tinyspike_tests::network::{inputs, networks, spiking};

type DeviceImage<'a> = Image<'a, ENSEMBLES, CONNECTIONS>;

const PATIENCE: Patience = Patience {
    silence: Duration::from_secs(20),
    repeat: Duration::from_millis(2),
};

/// Work that takes no time.
const QUICK: Duration = Duration::ZERO;

/// The inputs of a network, as bytes one after another.
fn joined(network: &integers::Network, seed: u64) -> Vec<u8> {
    inputs(network, seed).concat()
}

/// Bytes of arena and input, in words.
fn words(image: &[u8], input: usize) -> usize {
    let bytes = ImageBuf::new(image).unwrap();
    let image = bytes.image();
    image.arena_bytes() / 4 + input.div_ceil(4)
}

/// Does some work with a device that has `image` in its flash and so many words of memory.
fn with_device<N: Noise, T>(
    image: &[u8],
    words: usize,
    noise: N,
    work: impl FnOnce(&mut Session<Near<'_, N>>) -> T,
) -> T {
    let flash = aligned_copy(image);
    let mut memory = vec![0xdead_beef; words];
    let parsed: Result<DeviceImage<'_>, ImageError> = Image::parse(&flash);
    let image = parsed.as_ref().map_err(|e| Refusal::Image(*e));
    let start = Start::single(image.err());
    let device = Device::new(BUILD, image, start, &mut memory);
    work(&mut Session::new(Near::new(device, noise), 7, PATIENCE))
}

/// The bytes of an image with a change in one of its last bytes, and the checksum that this takes. These are weights,
/// but those of a small network are few: then it may be anything else behind the header.
fn changed(image: &[u8], from_end: usize) -> Vec<u8> {
    let mut image = image.to_vec();
    let place = image.len() - 1 - from_end % (image.len() - HEADER_LEN);
    image[place] = image[place].wrapping_add(1);
    let sum = checksum(&image).to_le_bytes();
    image[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&sum);
    image
}

/// The names of all layers.
fn labels(image: &assemble::Image<'_>) -> Vec<String> {
    let network = image.description();
    let inputs = (0..network.inputs.len()).map(|at| network.input_label(at));
    let ensembles = (0..network.ensembles.len()).map(|at| network.ensemble_label(at));
    let outputs = (0..network.outputs.len()).map(|at| network.output_label(at));
    inputs
        .chain(ensembles)
        .chain(outputs)
        .map(str::to_owned)
        .collect()
}

/// Sums that a run without hashes compares: events and spikes of each layer in all steps, and the outputs.
fn sums(trace: &str) -> (BTreeMap<&str, (usize, i64)>, Vec<&str>) {
    let mut layers = BTreeMap::new();
    let mut outputs = Vec::new();
    for line in trace.lines().skip(1) {
        let step = line.strip_prefix("step ");
        match step.and_then(|rest| rest.split_once(' ')?.1.split_once(':')) {
            None => outputs.push(line),
            Some((label, events)) => {
                let (count, spikes) = layers.entry(label).or_default();
                for event in events.split_whitespace() {
                    *count += 1;
                    *spikes += event.split_once(':').unwrap().1.parse::<i64>().unwrap();
                }
            }
        }
    }
    (layers, outputs)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_device_does_what_the_emulator_does(
        network in networks(),
        seeds in prop::collection::vec(any::<u64>(), 1..4),
        bisect: bool,
    ) {
        let image = assemble(&network).unwrap().bytes().to_vec();
        let samples: Vec<_> = seeds.iter().map(|&seed| joined(&network, seed)).collect();
        let bytes = ImageBuf::new(&image).unwrap();
        let parsed = bytes.image();
        let mut seen = 0;
        let report = with_device(&image, words(&image, samples[0].len()), (), |session| {
            check(session, &parsed).unwrap();
            compare(session, &parsed, samples.clone(), None, bisect, &mut |tally: &Tally| {
                seen = tally.samples;
            })
        })
        .unwrap();
        prop_assert_eq!(report.divergence, None);
        prop_assert_eq!((report.images, seen), (samples.len(), samples.len()));
        // The trace of the same engine has each event as neuron:count.
        let trace = run_on_host(&image, &block(&samples)).unwrap();
        let (layers, _) = sums(&trace);
        let events: usize = layers.values().map(|(events, _)| events).sum();
        let spikes: i64 = layers.values().map(|(_, spikes)| spikes).sum();
        let images = samples.len() as f64;
        prop_assert_eq!(report.events_per_image, events as f64 / images);
        prop_assert_eq!(report.spikes_per_image, spikes as f64 / images);
    }

    #[test]
    fn a_divergence_is_found_where_it_begins(
        network in networks(),
        seed: u64,
        from_end in 0usize..200,
    ) {
        let image = assemble(&network).unwrap().bytes().to_vec();
        let other = changed(&image, from_end);
        let [bytes, other_bytes] = [&image, &other].map(|image| aligned_copy(image));
        let parsed = assemble::Image::parse(&bytes).unwrap();
        let changed = assemble::Image::parse(&other_bytes);
        // A trace has the names of layers, which are nothing that a device does.
        prop_assume!(changed.is_ok_and(|changed| labels(&changed) == labels(&parsed)));
        let sample = joined(&network, seed);
        let words = words(&other, sample.len());
        let [plain, bisected] = [false, true].map(|bisect| {
            with_device(&other, words, (), |session| {
                let error = check(session, &parsed).unwrap_err();
                assert!(matches!(error, RunError::OtherImage { .. }), "{error}");
                compare(session, &parsed, [sample.clone()], None, bisect, &mut |_| ()).unwrap()
            })
        });
        let block = block(std::slice::from_ref(&sample));
        let traces = [&other, &image].map(|image| run_on_host(image, &block).unwrap());
        // The first line has the image's checksum. The others are step and label, or output.
        let [device, host] = traces.each_ref().map(|trace| trace.lines().skip(1));
        let difference = device.zip(host).find(|(device, host)| device != host);
        match (difference, &plain.divergence) {
            (None, None) => {}
            (Some((device, _)), Some(found)) => {
                // Both ways end at the same place.
                prop_assert_eq!(Some(found), bisected.divergence.as_ref());
                prop_assert!(found.device != found.host, "{}", found);
                // Nothing that the trace shows differs before it.
                let step = device.strip_prefix("step ").and_then(|rest| rest.split(' ').next());
                if let Some(step) = step {
                    prop_assert!(found.step <= step.parse().unwrap(), "{found} but {device}");
                }
                if found.quantity == Quantity::Spikes {
                    let line = format!("step {} {}:", found.step, found.layer);
                    let here = format!(" {}:{}", found.neuron, found.device);
                    let spiked = traces[0]
                        .lines()
                        .any(|l| l.starts_with(&line) && (l.to_owned() + " ").contains(&(here.clone() + " ")));
                    prop_assert_eq!(spiked, found.device != 0, "{}", found);
                }
            }
            // Spikes that differ and add up to the same are for hashes to find.
            (Some(_), None) => {
                prop_assert!(bisected.divergence.is_some(), "{difference:?}");
                prop_assert_eq!(sums(&traces[0]), sums(&traces[1]));
            }
            // Nor does a trace show a step without spikes.
            (None, Some(found)) => prop_assert_eq!(found.quantity, Quantity::Steps, "{}", found),
        }
    }

    #[test]
    fn no_bytes_upset_a_device(
        network in networks(),
        garbage in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let image = assemble(&network).unwrap().bytes().to_vec();
        let sample = joined(&network, 1);
        with_device(&image, words(&image, sample.len()), (), |session| {
            let mut rest = &garbage[..];
            while !rest.is_empty() {
                let sent = session.link().send(rest).unwrap();
                rest = &rest[sent..];
                session.link().receive(&mut [0; 64]).unwrap();
            }
            session.ping().unwrap();
            assert!(session.hello().unwrap().image.is_ok());
        });
    }
}

proptest! {
    // Each loss costs the time after which the host asks again.
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn noise_delays_but_changes_nothing(
        network in networks(),
        seed: u64,
        noise in 1u32..,
        every in 1000u32..8000,
    ) {
        let image = assemble(&network).unwrap().bytes().to_vec();
        let sample = joined(&network, seed);
        let words = words(&image, sample.len());
        let clean = with_device(&image, words, (), |session| {
            session.set_input(&sample).unwrap();
            session.infer(Watch::Spikes, QUICK).unwrap()
        });
        let noisy = with_device(&image, words, Spoil::new(noise, every), |session| {
            session.set_input(&sample).unwrap();
            session.infer(Watch::Spikes, QUICK).unwrap()
        });
        prop_assert_eq!(noisy.outputs, clean.outputs);
        prop_assert_eq!(noisy.spikes, clean.spikes);
        prop_assert_eq!(noisy.counts, clean.counts);
        prop_assert_eq!(noisy.steps, clean.steps);
    }
}

#[test]
fn a_device_without_a_usable_image_says_why() {
    let network = spiking();
    let image = assemble(&network).unwrap().bytes().to_vec();
    let sample = joined(&network, 1);
    let mut damaged = image.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let needed = words(&image, sample.len());
    for (flash, words) in [
        (&damaged[..], needed),
        (&[0xff; 64], needed),
        (&image, needed - 1),
    ] {
        with_device(flash, words, (), |session| {
            let reason = session.hello().unwrap().image.unwrap_err();
            match reason {
                Refusal::Image(ImageError::Checksum { .. }) => assert_eq!(flash, damaged),
                Refusal::Image(ImageError::Magic) => assert_eq!(flash, [0xff; 64]),
                Refusal::NoRoom { needed, given } => {
                    assert_eq!((flash, given as usize), (&image[..], words * 4));
                    assert!(needed > given);
                }
                other => panic!("{other}"),
            }
            // It is there all the same.
            session.ping().unwrap();
            assert_eq!(session.stack().unwrap().size, 4096);
            let error = session.infer(Watch::Counts, QUICK).unwrap_err();
            assert!(matches!(error, SessionError::Refused(_)), "{error}");
        });
    }
}

#[test]
fn steps_may_be_asked_for_in_any_order() {
    let network = networks()
        .prop_filter("several steps", |n| {
            n.steps.limit() > Some(2) && !n.ensembles.is_empty()
        })
        .new_tree(&mut TestRunner::deterministic())
        .unwrap()
        .current();
    let image = assemble(&network).unwrap().bytes().to_vec();
    let sample = joined(&network, 3);
    with_device(&image, words(&image, sample.len()), (), |session| {
        session.set_input(&sample).unwrap();
        let steps = network.steps.limit().unwrap();
        let all: Vec<_> = (0..steps)
            .map(|at| session.step(at, Watch::Hashes, QUICK).unwrap())
            .collect();
        for at in (0..steps).rev().chain([1, 1, 0, 2]) {
            let again = session.step(at, Watch::Hashes, QUICK).unwrap();
            let first = &all[usize::from(at)];
            assert_eq!(again.hashes, first.hashes);
            assert_eq!(again.outputs, first.outputs);
            assert_eq!(again.steps, at + 1);
        }
        let error = session.step(steps, Watch::Nothing, QUICK).unwrap_err();
        assert!(error.to_string().contains("steps"), "{error}");
        // A watchdog is fed at every step, and a device that waits may sleep.
        let before = session.link().signs();
        // It may end early.
        let taken = session.infer(Watch::Nothing, QUICK).unwrap().steps;
        let after = session.link().signs();
        let [alive, idle] = [0, 1].map(|sign| after[sign] - before[sign]);
        assert!(alive > u32::from(taken) + idle, "{alive}, {taken}, {idle}");
        let mut nothing = [0; 8];
        session.link().receive(&mut nothing).unwrap();
        assert_eq!(session.link().signs()[1], after[1] + 1);
        let error = session
            .set_input(&[sample.clone(), vec![0]].concat())
            .unwrap_err();
        assert!(error.to_string().contains("bytes"), "{error}");
    });
}

/// A wire that leads nowhere.
struct Cut;

impl Link for Cut {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Lost> {
        Ok(bytes.len())
    }

    fn receive(&mut self, _: &mut [u8]) -> Result<usize, Lost> {
        Ok(0)
    }

    fn state(&mut self) -> Result<Option<String>, Lost> {
        Ok(Some("its core is halted".into()))
    }
}

/// A wire on which the second of three parts is lost, every time.
#[derive(Default)]
struct Lossy {
    requests: Receiver,
    answers: Vec<u8>,
}

impl Link for Lossy {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Lost> {
        let mut rest = bytes;
        while let Some(frame) = self.requests.receive(&mut rest) {
            let sequence = frame.head.sequence;
            let parts = [
                (0, Response::Took { step: 0, ticks: 1 }),
                (
                    2,
                    Response::Finished {
                        steps: 1,
                        set_up: 1,
                    },
                ),
            ];
            for (part, response) in parts {
                let head = Head { sequence, part };
                let mut frame = [0; MAX_FRAME];
                self.answers
                    .extend(encode(head, &response, &mut frame).unwrap());
            }
        }
        Ok(bytes.len())
    }

    fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, Lost> {
        let count = bytes.len().min(self.answers.len());
        bytes[..count].copy_from_slice(&self.answers[..count]);
        self.answers.drain(..count);
        Ok(count)
    }

    fn state(&mut self) -> Result<Option<String>, Lost> {
        Ok(None)
    }
}

#[test]
fn an_answer_that_never_comes_whole_is_given_up() {
    let error = Session::new(Lossy::default(), 0, PATIENCE)
        .infer(Watch::Nothing, QUICK)
        .unwrap_err();
    let SessionError::Incomplete { missing, parts, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((missing, parts), (1, 3));
}

#[test]
fn a_silent_device_is_given_up() {
    let patience = Patience {
        silence: Duration::from_millis(50),
        repeat: Duration::from_millis(10),
    };
    let error = Session::new(Cut, 0, patience).ping().unwrap_err();
    assert!(error.to_string().contains("its core is halted"), "{error}");
    assert!(matches!(error, SessionError::Silent { .. }), "{error}");
}
