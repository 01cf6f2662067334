//! No bytes make the parser or the engine panic; damage is noticed; the same network gives the same bytes.

use proptest::prelude::*;
use tinyspike::ImageBuf;
use tinyspike::assemble::{AssembleError, Image, aligned_copy, assemble};
use tinyspike::emulate::HostEngine;
use tinyspike::graph::{Source, Target};
use tinyspike::integers::{self, Connection, Ensemble, Input, Output, Seen, Steps};
use tinyspike_firmware::ImageError;
use tinyspike_firmware::kernels::families;
use tinyspike_shared::image::{
    self, Convolution, Dense, Description, Fault, HEADER_LEN, Layout, NOWHERE, Post, Pre, Section,
    SourceMap, Transform, VERSION, Width, Window, checksum,
};
use tinyspike_shared::weights;
use tinyspike_tests::network::{
    current_based_networks, dense_networks, endless_networks, exact_networks, inputs,
    mixed_networks, networks, pooled_exact_networks, pooled_networks,
};

/// Networks of all kinds.
fn all_networks() -> impl Strategy<Value = integers::Network> {
    prop_oneof![
        networks(),
        exact_networks(),
        mixed_networks(),
        endless_networks(),
        current_based_networks(),
        pooled_networks(),
        pooled_exact_networks(),
        dense_networks()
    ]
}

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
    for _ in 0..3 {
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
    fn the_same_network_gives_the_same_bytes(network in all_networks()) {
        let [first, second] = [(); 2].map(|()| assemble(&network).unwrap());
        prop_assert_eq!(first.bytes(), second.bytes());
    }

    #[test]
    fn every_flipped_bit_is_noticed(network in all_networks(), place in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = assemble(&network).unwrap().bytes().to_vec();
        let at = place.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(run(&aligned_copy(&bytes)).is_err());
    }

    #[test]
    fn every_truncation_is_noticed(network in all_networks(), place in any::<prop::sample::Index>()) {
        let image = assemble(&network).unwrap();
        let cut = place.index(image.bytes().len());
        prop_assert!(run(&aligned_copy(&image.bytes()[..cut])).is_err());
    }

    #[test]
    fn bytes_after_the_image_do_not_matter(network in all_networks(), tail in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut bytes = assemble(&network).unwrap().bytes().to_vec();
        bytes.extend(tail);
        prop_assert!(run(&aligned_copy(&bytes)).is_ok());
    }

    /// Whoever writes a wrong image also writes its checksum.
    #[test]
    fn altered_images_with_a_right_checksum_never_panic(
        network in all_networks(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        in_description in any::<bool>(),
    ) {
        let mut bytes = assemble(&network).unwrap().bytes().to_vec();
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
    fn inputs_of_another_length_are_refused(network in all_networks(), seed in any::<u64>()) {
        let bytes = assemble(&network).unwrap();
        let image = bytes.image();
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
    bytes[5..7].copy_from_slice(&VERSION.to_le_bytes());
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
        threshold: vec![100; 4],
        bias: vec![0; 4],
        potential_min: i16::MIN.into(),
        potential_max: i16::MAX.into(),
        theta: 1.0,
        ..Ensemble::default()
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
fn mapped() -> integers::Network {
    let connect = |pre, post, source, transform: Transform| Connection {
        dense: false,
        pre,
        post,
        source,
        transform,
        weights: vec![1; weights::Layout::Rows.bytes(&transform).unwrap() as usize],
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
    integers::Network {
        target: &families::PORTABLE,
        steps: Steps::Limited(2),
        inputs: vec![Input {
            label: "x".into(),
            size: 50,
            scale: 1.0,
            zero_point: 0,
            max: 255,
            channels: Vec::new(),
            coder: None,
        }],
        ensembles: vec![ensemble("a", 64), ensemble("b", 4)],
        outputs: vec![Output {
            label: "y".into(),
            bias: vec![0; 4],
            multiplier: vec![1; 4],
            shift: 0,
            scale: 1.0,
            ..Output::default()
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
    }
}

/// Error of the parser for a network with one connection altered; its weights are made to fit.
fn fault(connection: usize, alter: impl FnOnce(&mut Connection)) -> Option<Fault> {
    let mut network = mapped();
    let c = &mut network.connections[connection];
    alter(c);
    c.weights = vec![1; weights::Layout::Rows.bytes(&c.transform).unwrap_or(0) as usize];
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

type Parts<'a> = Description<'a, 16, 24>;

/// The image of [`mapped`] with an altered description, and a header that fits it.
fn redescribed(alter: impl FnOnce(&mut Parts<'_>)) -> Vec<u8> {
    let image = assemble(&mapped()).unwrap();
    let image = image.bytes();
    let old = u32::from_le_bytes(image[12..16].try_into().unwrap()) as usize;
    let body = &image[HEADER_LEN..HEADER_LEN + old];
    let mut network: Parts<'_> = postcard::from_bytes(body).unwrap();
    // The sections move back, so that the description may grow.
    const MOVED: u32 = 64;
    let ensembles = network.ensembles.iter_mut();
    let outputs = network.outputs.iter_mut();
    let offsets = (ensembles.map(|e| &mut e.params))
        .chain(outputs.map(|o| &mut o.params))
        .chain(network.connections.iter_mut().flat_map(|c| {
            let table = match &mut c.source {
                SourceMap::Table(table) => Some(&mut table.offset),
                _ => None,
            };
            table.into_iter().chain([&mut c.weights.offset])
        }))
        .chain(
            (network.inputs.iter_mut())
                .filter(|i| i.channels.len > 0)
                .map(|i| &mut i.channels.offset),
        );
    for offset in offsets {
        *offset += MOVED;
    }
    alter(&mut network);
    let encoded = postcard::to_stdvec(&network).unwrap();
    let start = (HEADER_LEN + old).next_multiple_of(4);
    let mut bytes = image[..HEADER_LEN].to_vec();
    bytes.extend(&encoded);
    assert!(bytes.len() <= start + MOVED as usize);
    bytes.resize(start + MOVED as usize, 0);
    bytes.extend(&image[start..]);
    let length = bytes.len() as u32;
    let arena = Layout::arena_bytes(&network).unwrap_or(0);
    for (at, value) in [(8, length), (12, encoded.len() as u32), (16, arena)] {
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    seal(&mut bytes);
    bytes
}

fn seal(bytes: &mut [u8]) {
    let sum = checksum(bytes);
    bytes[28..32].copy_from_slice(&sum.to_le_bytes());
}

/// Error of the parser for an altered description; it is run if there is none.
fn refusal(alter: impl FnOnce(&mut Parts<'_>)) -> Option<ImageError> {
    run(&aligned_copy(&redescribed(alter))).err()
}

fn of_ensemble(alter: impl FnOnce(&mut image::Ensemble)) -> Option<Fault> {
    match refusal(|n| alter(&mut n.ensembles[1]))? {
        ImageError::Ensemble { index: 1, fault } => Some(fault),
        other => panic!("{other}"),
    }
}

fn of_output(alter: impl FnOnce(&mut image::Output)) -> Option<Fault> {
    match refusal(|n| alter(&mut n.outputs[0]))? {
        ImageError::Output { index: 0, fault } => Some(fault),
        other => panic!("{other}"),
    }
}

fn of_connection(at: u8, alter: impl FnOnce(&mut image::Connection)) -> Option<Fault> {
    match refusal(|n| alter(&mut n.connections[usize::from(at)]))? {
        ImageError::Connection { index, fault } if index == at => Some(fault),
        other => panic!("{other}"),
    }
}

#[test]
fn the_header_is_checked() {
    let good = redescribed(|_| ());
    let refused = |alter: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        alter(&mut bytes);
        seal(&mut bytes);
        run(&aligned_copy(&bytes)).err()
    };
    let put = |bytes: &mut Vec<u8>, at: usize, value: u32| {
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    };
    let length = good.len() as u32;
    let arena = u32::from_le_bytes(good[16..20].try_into().unwrap());
    assert_eq!(refused(&|_| ()), None);
    assert_eq!(refused(&|b| b[0] = b'X'), Some(ImageError::Magic));
    assert_eq!(
        refused(&|b| b[4] = 99),
        Some(ImageError::Version { found: 99 })
    );
    for at in [6, 7, 24, 27] {
        assert_eq!(refused(&|b| b[at] = 1), Some(ImageError::Reserved), "{at}");
    }
    for stated in [0, 31, length + 1, u32::MAX] {
        let error = refused(&|b| put(b, 8, stated));
        assert!(
            matches!(error, Some(ImageError::Truncated { .. })),
            "{stated}: {error:?}"
        );
    }
    for stated in [0, length, u32::MAX] {
        let error = refused(&|b| put(b, 12, stated));
        assert_eq!(error, Some(ImageError::Description), "{stated}");
    }
    for stated in [0, arena - 4, arena + 4, u32::MAX] {
        assert_eq!(
            refused(&|b| put(b, 16, stated)),
            Some(ImageError::Arena),
            "{stated}"
        );
    }
    let stated = u32::from_le_bytes(good[28..32].try_into().unwrap());
    let mut bytes = good.clone();
    bytes[28] ^= 1;
    let found = run(&aligned_copy(&bytes)).err();
    let stated = ImageError::Checksum {
        stated: stated ^ 1,
        found: stated,
    };
    assert_eq!(found, Some(stated));
}

#[test]
fn the_description_fills_its_length() {
    let mut bytes = redescribed(|_| ());
    bytes[12] += 1;
    seal(&mut bytes);
    let error = run(&aligned_copy(&bytes)).err();
    assert_eq!(error, Some(ImageError::Description));
}

#[test]
fn a_network_has_inputs_and_outputs() {
    assert_eq!(refusal(|_| ()), None);
    let empty = Some(ImageError::Empty);
    assert_eq!(refusal(|n| n.inputs.clear()), empty);
    assert_eq!(refusal(|n| n.outputs.clear()), empty);
}

#[test]
fn there_is_a_label_for_each_part() {
    let labels = Some(ImageError::Labels);
    assert_eq!(refusal(|n| n.labels = b"x\na\nb\n"), labels);
    assert_eq!(refusal(|n| n.labels = b"x\na\nb\ny\nz\n"), labels);
    assert_eq!(refusal(|n| n.labels = b"x\na\nb\n\ny"), labels);
    assert_eq!(refusal(|n| n.labels = b""), labels);
    let no_text = refusal(|n| n.labels = b"x\na\n\xff\ny\n");
    assert_eq!(no_text, Some(ImageError::Description));
    let bytes = ImageBuf::new(&redescribed(|n| {
        n.labels = "\na\n\u{e9}\r\ny y\n".as_bytes()
    }))
    .unwrap();
    let image = bytes.image();
    let network = image.description();
    assert_eq!(network.input_label(0), "");
    assert_eq!(network.ensemble_label(0), "a");
    assert_eq!(network.ensemble_label(1), "\u{e9}\r");
    assert_eq!(network.output_label(0), "y y");
    assert_eq!(network.output_label(7), "");
}

#[test]
fn a_build_has_room_or_refuses() {
    let image = assemble(&mapped()).unwrap();
    let bytes = image.bytes();
    let refused = |fits: Result<(), ImageError>| assert_eq!(fits, Err(ImageError::TooLarge));
    let whole = image::Image::<'_, 2, 3>::parse(bytes);
    assert!(whole.is_ok());
    let mut room = None;
    assert_eq!(image::Image::parse_kept(&mut room, bytes), Ok(()));
    let described = |image: &image::Image<'_, 2, 3>| format!("{:?}", image.description());
    assert_eq!(
        room.as_ref().map(described),
        whole.as_ref().ok().map(described)
    );
    // What was there before is gone, too.
    assert!(image::Image::<'_, 2, 3>::parse_kept(&mut room, &bytes[4..]).is_err());
    assert!(room.is_none());
    refused(image::Image::<'_, 1, 3>::parse(bytes).map(drop));
    refused(image::Image::<'_, 2, 2>::parse(bytes).map(drop));
}

#[test]
fn an_input_can_be_addressed() {
    let input = Some(ImageError::Input { index: 0 });
    assert_eq!(refusal(|n| n.inputs[0].size = 0), input);
    assert_eq!(refusal(|n| n.inputs[0].size = 65_537), input);
    assert_eq!(refusal(|n| n.inputs[0].size = u32::MAX), input);
    let above = |n: &mut Parts<'_>| (n.inputs[0].zero_point, n.inputs[0].max) = (4, 3);
    assert_eq!(refusal(above), input);
    let equal = |n: &mut Parts<'_>| (n.inputs[0].zero_point, n.inputs[0].max) = (4, 4);
    assert_eq!(refusal(equal), None);
    let channels = |count: u32, edit: fn(&mut Section)| {
        refusal(move |n| {
            let offset = n.connections[0].weights.offset;
            let len = count * image::Channel::BYTES as u32;
            n.inputs[0].channels = Section { offset, len };
            edit(&mut n.inputs[0].channels);
        })
    };
    // Of 50 places.
    assert_eq!(channels(2, |_| ()), None);
    assert_eq!(channels(3, |_| ()), input);
    assert_eq!(channels(2, |s| s.len += 4), input);
    assert_eq!(channels(2, |s| s.offset += 2), input);
    assert_eq!(channels(2, |s| s.offset = 0), input);
    assert_eq!(channels(2, |s| s.offset = u32::MAX - 3), input);
    assert_eq!(channels(u32::MAX / 12, |_| ()), input);
}

#[test]
fn the_sizes_of_an_ensemble_are_checked() {
    let size = Some(Fault::Size);
    assert_eq!(of_ensemble(|e| e.neurons = 0), size);
    assert_eq!(of_ensemble(|e| e.neurons = 65_540), size);
    assert_eq!(of_ensemble(|e| e.neurons = 6), size);
    assert_eq!(of_ensemble(|e| e.channels = 0), size);
    assert_eq!(of_ensemble(|e| e.channels = 3), size);
    assert_eq!(of_ensemble(|e| e.max_count = 0), Some(Fault::MaxCount));
    assert_eq!(of_ensemble(|e| e.current_shift = -32), Some(Fault::Shift));
    assert_eq!(of_ensemble(|e| e.current_shift = 1), Some(Fault::Shift));
    assert_eq!(of_ensemble(|e| e.current_shift = -31), None);
}

#[test]
fn the_bounds_of_potentials_fit_their_width() {
    let bounds = Some(Fault::Bounds);
    let with = |min, max| of_ensemble(|e| (e.potential_min, e.potential_max) = (min, max));
    assert_eq!(with(1, 0), bounds);
    assert_eq!(with(-32_769, 0), bounds);
    assert_eq!(with(0, 32_768), bounds);
    assert_eq!(with(-32_768, 32_767), None);
    let wide = |min, max| {
        of_ensemble(|e| {
            e.width = Width::I32;
            (e.potential_min, e.potential_max) = (min, max);
        })
    };
    assert_ne!(wide(i32::MIN, i32::MAX), bounds);
    assert_eq!(wide(1, 0), bounds);
}

#[test]
fn thresholds_are_positive() {
    let thresholds = |width, values: [u8; 32]| {
        let mut bytes = redescribed(|n| {
            let e = &mut n.ensembles[1];
            e.width = width;
            let end = n.connections[2].weights;
            // The last section of the image gets company.
            e.params = (end.offset + end.len).next_multiple_of(4);
        });
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(values);
        let length = bytes.len() as u32;
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        seal(&mut bytes);
        run(&aligned_copy(&bytes)).err()
    };
    let mut narrow = [0; 32];
    for value in narrow.chunks_exact_mut(2) {
        value.copy_from_slice(&9i16.to_le_bytes());
    }
    let mut wide = [0; 32];
    for value in wide.chunks_exact_mut(4) {
        value.copy_from_slice(&9i32.to_le_bytes());
    }
    let fault = Fault::Threshold;
    let threshold = Some(ImageError::Ensemble { index: 1, fault });
    assert_eq!(thresholds(Width::I16, narrow), None);
    assert_eq!(thresholds(Width::I32, wide), None);
    narrow[2] = 0;
    assert_eq!(thresholds(Width::I16, narrow), threshold);
    narrow[3] = 0x80;
    assert_eq!(thresholds(Width::I16, narrow), threshold);
    wide[15] = 0x80;
    assert_eq!(thresholds(Width::I32, wide), threshold);
}

#[test]
fn an_output_can_be_read() {
    assert_eq!(of_output(|o| o.size = 0), Some(Fault::Size));
    assert_eq!(of_output(|o| o.size = 65_537), Some(Fault::Size));
    assert_eq!(of_output(|o| o.shift = 63), Some(Fault::Shift));
    assert_eq!(of_output(|o| o.shift = 62), None);
    assert_eq!(of_output(|o| o.exit_margin = u32::MAX), None);
}

/// Every section lies inside the image, behind the description, aligned, and is as long as it must be.
#[test]
fn sections_lie_where_they_can() {
    let edits: [fn(&mut Section); 6] = [
        |s| s.offset += 2,
        |s| s.offset = 0,
        |s| s.offset = HEADER_LEN as u32,
        |s| s.offset = u32::MAX - 3,
        |s| s.len += 1,
        |s| s.len = u32::MAX,
    ];
    let section = |fault: Option<Fault>, at: &str| {
        assert!(
            matches!(fault, Some(Fault::Section { .. })),
            "{at}: {fault:?}"
        );
    };
    for offset in &edits[..4] {
        let moved = |at: &mut u32| {
            let mut section = Section {
                offset: *at,
                len: 0,
            };
            offset(&mut section);
            *at = section.offset;
        };
        section(of_ensemble(|e| moved(&mut e.params)), "ensemble");
        section(of_output(|o| moved(&mut o.params)), "output");
    }
    for edit in edits {
        for at in 0..3 {
            section(of_connection(at, |c| edit(&mut c.weights)), "weights");
        }
        let table = |c: &mut image::Connection| match &mut c.source {
            SourceMap::Table(table) => edit(table),
            _ => panic!("no table"),
        };
        section(of_connection(2, table), "table");
    }
    // One word beyond the end.
    section(of_connection(2, |c| c.weights.offset += 4), "end");
}

#[test]
fn connections_lead_forward_in_order() {
    let order = Some(Fault::Order);
    assert_eq!(of_connection(1, |c| c.pre = Pre::Ensemble(1)), order);
    assert_eq!(of_connection(1, |c| c.post = Post::Ensemble(0)), order);
    let swapped = refusal(|n| n.connections.swap(1, 2));
    let fault = Fault::Order;
    assert_eq!(swapped, Some(ImageError::Connection { index: 2, fault }));
    let last = refusal(|n| n.connections.swap(0, 1));
    let fault = Fault::Order;
    assert_eq!(last, Some(ImageError::Connection { index: 1, fault }));
}

#[test]
fn connections_have_both_ends() {
    let index = Some(Fault::Index);
    assert_eq!(of_connection(0, |c| c.pre = Pre::Input(1)), index);
    assert_eq!(of_connection(2, |c| c.pre = Pre::Ensemble(2)), index);
    assert_eq!(of_connection(2, |c| c.pre = Pre::Ensemble(255)), index);
    assert_eq!(of_connection(1, |c| c.post = Post::Ensemble(2)), index);
    assert_eq!(of_connection(2, |c| c.post = Post::Output(1)), index);
    assert_eq!(of_connection(2, |c| c.post = Post::Output(255)), index);
}

#[test]
fn a_layout_fits_its_transform() {
    use weights::Layout::{Crossed, Quads, Wide, WidePairs, Windows};
    let of = |at, layout| of_connection(at, |c| c.layout = layout);
    // A matrix, a convolution of two groups, and one of a single group with four filters.
    let (dense, grouped, plain) = (2, 0, 1);
    for layout in [Wide, WidePairs, Windows] {
        assert_eq!(of(dense, layout), Some(Fault::Layout), "{layout:?}");
    }
    for layout in [Quads, Crossed, Windows] {
        assert_eq!(of(grouped, layout), Some(Fault::Layout), "{layout:?}");
        assert_eq!(of(plain, layout), Some(Fault::Layout), "{layout:?}");
    }
    // These fit, but take more bytes than the section has.
    for (at, layout) in [
        (dense, Quads),
        (dense, Crossed),
        (grouped, Wide),
        (plain, WidePairs),
    ] {
        let longer = of(at, layout);
        assert!(
            matches!(longer, Some(Fault::Section { .. })),
            "{layout:?}: {longer:?}"
        );
    }
}

#[test]
fn sizes_that_overflow_are_refused() {
    let huge = |c: &mut image::Connection| match &mut c.transform {
        Transform::Convolution(conv) => {
            conv.input = [u16::MAX; 3];
            conv.output = [u16::MAX; 3];
        }
        Transform::Dense(dense) => {
            (dense.inputs, dense.outputs, dense.first) = (u32::MAX, u32::MAX, u32::MAX);
        }
    };
    for at in 0..3 {
        let fault = of_connection(at, huge);
        assert!(
            matches!(fault, Some(Fault::Geometry | Fault::Source)),
            "{fault:?}"
        );
    }
}

/// Counts of all neurons are bytes in the place of dead potentials: nothing else may see them.
#[test]
fn counts_are_refused_where_nothing_keeps_them() {
    let conv = Convolution {
        input: [4, 4, 2],
        output: [4, 4, 2],
        kernel: [1, 1],
        stride: [1, 1],
        padding: [0, 0],
        dilation: [1, 1],
        groups: 1,
        filters: 2,
        first: 0,
    };
    let connect = |pre, post, source, transform, dense| Connection {
        dense,
        pre,
        post,
        source,
        transform,
        weights: vec![1; weights::Layout::Rows.bytes(&transform).unwrap() as usize],
    };
    let network = |steps, source: Seen, transform| {
        let ensemble = |label: &str| integers::Ensemble {
            label: label.into(),
            neurons: 32,
            max_count: 3,
            threshold: vec![4, 4],
            bias: vec![0, 0],
            potential_min: -1000,
            potential_max: 1000,
            theta: 1.0,
            ..integers::Ensemble::default()
        };
        let (first, second) = (Source::Population(0), Target::Population(1));
        let whole = Transform::Dense(Dense {
            inputs: 32,
            outputs: 3,
            first: 0,
        });
        integers::Network {
            target: &families::DSP,
            steps: Steps::Limited(steps),
            inputs: vec![integers::Input {
                label: "in".into(),
                size: 32,
                scale: 1.0,
                zero_point: 0,
                max: 255,
                channels: Vec::new(),
                coder: None,
            }],
            ensembles: vec![ensemble("first"), ensemble("second")],
            outputs: vec![integers::Output {
                label: "out".into(),
                bias: vec![0; 3],
                multiplier: vec![1; 3],
                scale: 1.0,
                ..integers::Output::default()
            }],
            connections: vec![
                connect(
                    Source::Input(0),
                    Target::Population(0),
                    Seen::Direct,
                    Transform::Convolution(conv),
                    false,
                ),
                connect(first, second, source, transform, true),
                connect(
                    Source::Population(1),
                    Target::Output(0),
                    Seen::Direct,
                    whole,
                    false,
                ),
            ],
        }
    };
    let direct = Transform::Convolution(conv);
    let matrix = Transform::Dense(Dense {
        inputs: 32,
        outputs: 32,
        first: 0,
    });
    for transform in [direct, matrix] {
        assert!(assemble(&network(1, Seen::Direct, transform)).is_ok());
    }
    let table = Seen::Table((0..32).collect());
    for network in [
        network(2, Seen::Direct, direct),
        network(2, Seen::Direct, matrix),
        network(1, table, direct),
    ] {
        let Err(AssembleError::Refused(ImageError::Connection { index: 1, fault })) =
            assemble(&network)
        else {
            panic!("{network:?}");
        };
        assert_eq!(fault, Fault::Counts);
    }
}
