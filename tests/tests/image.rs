//! No bytes make the parser or the engine panic; damage is noticed; the same network gives the same bytes.

use proptest::prelude::*;
use tinyspike::assemble::{Image, aligned_copy, assemble};
use tinyspike::emulate::HostEngine;
use tinyspike_firmware::ImageError;
use tinyspike_shared::image::{HEADER_LEN, checksum};
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
