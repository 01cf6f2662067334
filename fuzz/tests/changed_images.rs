//! Images that a fuzzer has changed, on an emulated Cortex-M4: its kernels are in assembly, never fault,
//! and if the stated bounds hold, they give the state that plain Rust gives on the host.

use std::time::Duration;

use tinyspike::assemble::{Image, aligned_copy};
use tinyspike_board::firmware::{Board, Program, elf};
use tinyspike_board::qemu;
use tinyspike_firmware::Portable;
use tinyspike_firmware::soak::{Digest, Soak, run};
use tinyspike_fuzz::mutate::mutate;
use tinyspike_fuzz::{Target, runnable};
use tinyspike_shared::inputs::Header;
use tinyspike_tests::numbers::Numbers;

/// Images that are run.
const IMAGES: usize = 200;
/// The board program's arena in bytes, and its room for inputs.
const ARENA: usize = 2 << 20;
const INPUT: usize = 64 << 10;

fn on_host(image: &[u8], soak: Soak) -> Option<Digest> {
    let bytes = aligned_copy(image);
    let image: Image<'_> = Image::parse(&bytes).ok()?;
    let inputs = image.description().inputs.iter().map(|i| i.size as usize);
    let mut values = vec![0; inputs.sum()];
    if image.arena_bytes() > ARENA || values.len() > INPUT {
        return None;
    }
    let mut arena = vec![0; image.arena_bytes() / 4];
    run::<Portable, _, _>(&image, &mut arena, &mut values, soak).ok()
}

#[test]
#[ignore = "needs QEMU and the firmware: cargo xtask soak"]
fn changed_images_give_the_same_state_on_a_board() {
    let target = Target::named("image").unwrap();
    let seeds = (target.seeds)().unwrap();
    let mut numbers = Numbers::new(2);
    let mut images = 0;
    let mut bounded = 0;
    while images < IMAGES {
        let seed = &seeds[numbers.below(seeds.len())];
        let mut bytes = seed.clone();
        mutate(&mut bytes, &seeds[numbers.below(seeds.len())], &mut numbers);
        let Some(image) = runnable(&bytes) else {
            continue;
        };
        let soak = Soak {
            seed: numbers.draw() as u32,
            steps: 4,
        };
        let Some(host) = on_host(&image, soak).filter(|_| image != *seed) else {
            continue;
        };
        images += 1;
        let comparable = host.beyond == 0;
        bounded += usize::from(comparable);
        let input = soak.to_bytes();
        let header = Header {
            count: 1,
            size: input.len() as u32,
        };
        let outcome = qemu::run(&qemu::Run {
            board: Board::Mps2An386,
            firmware: &elf(Board::Mps2An386, Program::Soak),
            count: false,
            plugin: None,
            image: &image,
            inputs: &[&header.to_bytes()[..], &input].concat(),
            timeout: Duration::from_secs(120),
        });
        let outcome = outcome.unwrap_or_else(|e| panic!("{e}"));
        let Digest {
            steps,
            state,
            beyond,
        } = host;
        let expected = format!("{steps} steps {state:08x} {beyond} beyond\n");
        // Where potentials leave the bounds that the image states, sums wrap, each kernel's in its own way;
        // but the run ends as it should.
        let same = outcome.stdout == expected || !comparable;
        let ended = outcome.stderr.is_empty() && outcome.status.success();
        if !same || !ended || !outcome.stdout.starts_with(&format!("{steps} steps ")) {
            let path = std::env::temp_dir().join("tinyspike-changed-image");
            std::fs::write(&path, &image).unwrap();
            panic!(
                "image {images}, kept in {}: {} instead of {expected}{}",
                path.display(),
                outcome.stdout,
                outcome.stderr
            );
        }
    }
    assert!(
        bounded > IMAGES / 8,
        "{bounded} of {IMAGES} can be compared"
    );
}
