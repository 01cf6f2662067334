//! No bytes make the parser or the engine panic; damage is noticed; the same network gives the same bytes.

use proptest::prelude::*;
use tinyspike::assemble::{AssembleError, Image, aligned_copy, assemble};
use tinyspike::emulate::HostEngine;
use tinyspike::lower::{Source, Target};
use tinyspike::quantize::{self, Connection, Ensemble, Input, Output, Quantized, Seen};
use tinyspike_firmware::ImageError;
use tinyspike_shared::image::{
    Convolution, Dense, Fault, HEADER_LEN, NOWHERE, Transform, Width, Window, checksum,
};
use tinyspike_shared::weights::Layout;
use tinyspike_tests::network::{inputs, networks};

/// Runs whatever parses, with whatever input has the right length.
fn run(bytes: &[u8]) -> Result<(), ImageError> {
    let image = Image::parse(bytes)?;
    // A hostile image may ask for any arena; a device would refuse it here.
    if image.arena_bytes() > 1 << 22 {
        return Ok(());
    }
    let mut arena = vec![0; image.arena_bytes() / 4];
    let mut engine = HostEngine::new(&image, &mut arena).expect("the arena is large enough");
    let inputs: Vec<Vec<u8>> = image
        .description()
        .inputs
        .iter()
        .map(|i| vec![i.max.min(200); i.size as usize])
        .collect();
    let given: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    engine.set_inputs(&given).expect("the inputs fit");
    for _ in 0..image.description().steps.min(3) {
        engine.step();
    }
    for o in 0..image.description().outputs.len() {
        let _ = engine.output(o).class();
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_same_network_gives_the_same_bytes(network in networks()) {
        prop_assert_eq!(assemble(&network).unwrap(), assemble(&network).unwrap());
    }

    #[test]
    fn every_flipped_bit_is_noticed(network in networks(), place in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = assemble(&network).unwrap();
        let at = place.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(run(&aligned_copy(&bytes)).is_err());
    }

    #[test]
    fn every_truncation_is_noticed(network in networks(), place in any::<prop::sample::Index>()) {
        let bytes = assemble(&network).unwrap();
        let cut = place.index(bytes.len());
        prop_assert!(run(&aligned_copy(&bytes[..cut])).is_err());
    }

    #[test]
    fn bytes_after_the_image_do_not_matter(network in networks(), tail in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut bytes = assemble(&network).unwrap();
        bytes.extend(tail);
        prop_assert!(run(&aligned_copy(&bytes)).is_ok());
    }

    /// Whoever writes a wrong image also writes its checksum.
    #[test]
    fn altered_images_with_a_right_checksum_never_panic(
        network in networks(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        in_description in any::<bool>(),
    ) {
        let mut bytes = assemble(&network).unwrap();
        let description_len = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
        let reach = if in_description { HEADER_LEN + description_len } else { bytes.len() };
        for (place, value) in edits {
            let at = place.index(reach);
            bytes[at] = value;
        }
        let length = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
        let sum = checksum(&bytes[..length.clamp(HEADER_LEN, bytes.len())]);
        bytes[28..32].copy_from_slice(&sum.to_le_bytes());
        let _ = run(&aligned_copy(&bytes));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = run(&aligned_copy(&bytes));
    }

    #[test]
    fn inputs_of_another_length_are_refused(network in networks(), seed in any::<u64>()) {
        let bytes = aligned_copy(&assemble(&network).unwrap());
        let image = Image::parse(&bytes).unwrap();
        let mut arena = vec![0; image.arena_bytes() / 4];
        let short = image.arena_bytes() / 4 - 1;
        prop_assert!(HostEngine::new(&image, &mut arena[..short]).is_err());
        let mut engine = HostEngine::new(&image, &mut arena).unwrap();
        let mut inputs = inputs(&network, seed);
        inputs[0].push(0);
        prop_assert!(engine.set_input(&inputs[0]).is_err());
        prop_assert!(engine.set_inputs(&[]).is_err());
    }
}

#[test]
fn an_image_must_be_aligned() {
    let mut bytes = vec![0; 64];
    bytes[1..5].copy_from_slice(b"TSPK");
    bytes[5] = 1;
    let bytes = aligned_copy(&bytes);
    assert_eq!(
        Image::parse(&bytes[1..]).err(),
        Some(ImageError::Misaligned)
    );
}

fn ensemble(label: &str, neurons: usize) -> Ensemble {
    Ensemble {
        label: label.into(),
        neurons,
        width: Width::I16,
        max_count: 3,
        current_shift: 0,
        threshold: vec![100; 4],
        bias: vec![0; 4],
        potential_min: i16::MIN.into(),
        potential_max: i16::MAX.into(),
        theta: 1.0,
    }
}

fn convolution(input: [u16; 3], output: [u16; 3], groups: u16) -> Convolution {
    Convolution {
        input,
        output,
        kernel: [2; 2],
        stride: [1; 2],
        padding: [0; 2],
        dilation: [1; 2],
        groups,
        filters: output[2],
        first: 0,
    }
}

/// A grouped convolution, one behind a window, and a matrix behind a table.
fn mapped() -> Quantized {
    let connect = |pre, post, source, transform: Transform| Connection {
        pre,
        post,
        source,
        transform,
        weights: vec![1; transform.weights(Layout::Rows).unwrap() as usize],
    };
    let window = Window {
        input: [4, 4, 4],
        output: [2, 2, 4],
        pool: [2; 2],
        repeat: [1; 2],
        offset: [0; 2],
    };
    let mut table: Vec<u16> = (0..4).collect();
    table[3] = NOWHERE;
    let dense = Dense {
        inputs: 3,
        outputs: 2,
        first: 1,
    };
    Quantized {
        target: quantize::Target::Portable,
        steps: 2,
        inputs: vec![Input {
            label: "x".into(),
            size: 50,
            scale: 1.0,
            zero_point: 0,
            max: 255,
        }],
        ensembles: vec![ensemble("a", 64), ensemble("b", 4)],
        outputs: vec![Output {
            label: "y".into(),
            bias: vec![0; 4],
            multiplier: vec![1; 4],
            shift: 0,
            exit_margin: 0,
            scale: 1.0,
        }],
        connections: vec![
            connect(
                Source::Input(0),
                Target::Population(0),
                Seen::Direct,
                Transform::Convolution(convolution([5, 5, 2], [4, 4, 4], 2)),
            ),
            connect(
                Source::Population(0),
                Target::Population(1),
                Seen::Window(window),
                Transform::Convolution(convolution([2, 2, 4], [1, 1, 4], 1)),
            ),
            connect(
                Source::Population(1),
                Target::Output(0),
                Seen::Table(table),
                Transform::Dense(dense),
            ),
        ],
        dynamics: None,
    }
}

/// What the parser says of a network with one connection altered; its weights are made to fit.
fn fault(connection: usize, alter: impl FnOnce(&mut Connection)) -> Option<Fault> {
    let mut network = mapped();
    let c = &mut network.connections[connection];
    alter(c);
    c.weights = vec![1; c.transform.weights(Layout::Rows).unwrap_or(0) as usize];
    match assemble(&network) {
        Err(AssembleError::Refused(ImageError::Connection { index, fault })) => {
            assert_eq!(usize::from(index), connection);
            Some(fault)
        }
        Err(other) => panic!("{other}"),
        Ok(_) => None,
    }
}

fn in_convolution(connection: usize, alter: impl FnOnce(&mut Convolution)) -> Option<Fault> {
    fault(connection, |c| match &mut c.transform {
        Transform::Convolution(conv) => alter(conv),
        Transform::Dense(_) => panic!("a matrix"),
    })
}

fn in_window(alter: impl FnOnce(&mut Window)) -> Option<Fault> {
    fault(1, |c| match &mut c.source {
        Seen::Window(window) => alter(window),
        _ => panic!("no window"),
    })
}

#[test]
fn the_geometry_of_a_convolution_is_checked() {
    assert_eq!(fault(0, |_| ()), None);
    let channels = Some(Fault::Channels);
    assert_eq!(in_convolution(0, |c| c.groups = 0), channels);
    assert_eq!(in_convolution(0, |c| c.groups = 4), channels);
    assert_eq!(in_convolution(0, |c| c.filters = 3), channels);
    assert_eq!(in_convolution(0, |c| c.filters = 0), channels);
    assert_eq!(in_convolution(0, |c| c.filters = 2), None);
    assert_eq!(in_convolution(0, |c| c.first = 1), channels);
    assert_eq!(in_convolution(0, |c| (c.filters, c.first) = (2, 2)), None);
    let geometry = Some(Fault::Geometry);
    assert_eq!(in_convolution(0, |c| c.dilation = [0, 1]), geometry);
    assert_eq!(in_convolution(0, |c| c.dilation = [1, 0]), geometry);
    assert_eq!(in_convolution(0, |c| c.padding = [2, 0]), geometry);
    assert_eq!(
        in_convolution(0, |c| (c.padding, c.dilation) = ([2, 0], [2, 1])),
        None
    );
    assert_eq!(in_convolution(0, |c| c.stride = [2, 1]), geometry);
}

#[test]
fn a_window_fits_both_its_ends() {
    let source = Some(Fault::Source);
    assert_eq!(in_window(|_| ()), None);
    assert_eq!(in_window(|w| w.pool = [0, 2]), source);
    assert_eq!(in_window(|w| w.pool = [2, 0]), source);
    assert_eq!(in_window(|w| w.repeat = [0, 1]), source);
    assert_eq!(in_window(|w| w.repeat = [1, 0]), source);
    assert_eq!(in_window(|w| w.input = [4, 3, 4]), source);
    assert_eq!(in_window(|w| w.input = [4, 8, 2]), source);
    assert_eq!(in_window(|w| w.output = [2, 1, 4]), source);
    assert_eq!(in_window(|w| w.output = [1, 4, 4]), source);
    // Any offset and repetition stays inside what the transform sees.
    assert_eq!(in_window(|w| w.offset = [i16::MIN, i16::MAX]), None);
    assert_eq!(in_window(|w| w.repeat = [255, 7]), None);
}

#[test]
fn a_table_names_places_that_there_are() {
    let with = |table: Vec<u16>| fault(2, |c| c.source = Seen::Table(table));
    assert_eq!(with(vec![2, 2, NOWHERE, 0]), None);
    assert_eq!(with(vec![0, 1, 2, 3]), Some(Fault::Source));
    assert!(matches!(with(vec![0, 1, 2]), Some(Fault::Section { .. })));
    assert_eq!(fault(2, |c| c.source = Seen::Direct), Some(Fault::Geometry));
}

#[test]
fn a_matrix_reaches_targets_that_there_are() {
    let with = |first, outputs| {
        fault(2, |c| {
            c.transform = Transform::Dense(Dense {
                inputs: 3,
                outputs,
                first,
            });
        })
    };
    assert_eq!(with(2, 2), None);
    assert_eq!(with(3, 2), Some(Fault::Geometry));
    assert_eq!(with(u32::MAX, 2), Some(Fault::Geometry));
}

#[test]
fn a_mapped_input_needs_wide_sums() {
    let direct: Vec<u16> = (0..50).collect();
    let map = |c: &mut Connection| c.source = Seen::Table(direct.clone());
    assert_eq!(fault(0, map), Some(Fault::Width));
}
