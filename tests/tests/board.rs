//! The same image and inputs on the host and on emulated boards: every line of the trace must agree.

use tinyspike::assemble::assemble;
use tinyspike::lower::{Source, Target};
use tinyspike::quantize::{Connection, Ensemble, Input, Output, Quantized};
use tinyspike_shared::image::{Convolution, Dense, Transform, Width};
use tinyspike_tests::boards::{block, decode_log, run_on_board, run_on_host};
use xtask::firmware::Board;

/// Numbers that look random and are the same everywhere.
struct Sequence(u32);

impl Sequence {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    fn weights(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| (self.next() % 255) as i8).collect()
    }

    fn inputs(&mut self, count: usize, size: usize) -> Vec<Vec<u8>> {
        (0..count)
            .map(|_| (0..size).map(|_| self.next() as u8).collect())
            .collect()
    }
}

/// Both transforms from an input and from neurons, both widths, counts above one, a skip connection.
fn network() -> Quantized {
    let mut sequence = Sequence(7);
    let ensemble = |label: &str, neurons, width, channels: usize| Ensemble {
        label: label.into(),
        neurons,
        width,
        max_count: 3,
        current_shift: if width == Width::I16 { 6 } else { 0 },
        threshold: (0..channels as i32).map(|c| 900 + 37 * c).collect(),
        bias: (0..channels as i32).map(|c| 40 - 21 * c).collect(),
        potential_min: -width.max() - 1,
        potential_max: width.max(),
        theta: 1.0,
    };
    let dense = |inputs, outputs| Transform::Dense(Dense { inputs, outputs });
    Quantized {
        steps: 12,
        inputs: vec![Input {
            label: "input_1".into(),
            size: 64,
            scale: 1.0 / 255.0,
            zero_point: 10,
        }],
        ensembles: vec![
            ensemble("conv.0", 144, Width::I16, 4),
            ensemble("dense.0", 20, Width::I32, 20),
        ],
        outputs: vec![Output {
            label: "output.0".into(),
            bias: vec![5, -3, 0],
            multiplier: vec![16_384, 20_000, 9_000],
            shift: 14,
            scale: 0.5,
        }],
        connections: vec![
            Connection {
                pre: Source::Input(0),
                post: Target::Population(0),
                transform: Transform::Convolution(Convolution {
                    input: [8, 8, 1],
                    output: [6, 6, 4],
                    kernel: [3, 3],
                    stride: [1, 1],
                    padding: [0, 0],
                }),
                weights: sequence.weights(36),
            },
            Connection {
                pre: Source::Input(0),
                post: Target::Population(1),
                transform: dense(64, 20),
                weights: sequence.weights(1280),
            },
            Connection {
                pre: Source::Population(0),
                post: Target::Population(1),
                transform: dense(144, 20),
                weights: sequence.weights(2880),
            },
            Connection {
                pre: Source::Population(1),
                post: Target::Output(0),
                transform: dense(20, 3),
                weights: sequence.weights(60),
            },
        ],
    }
}

#[test]
#[ignore = "needs QEMU and the firmware: cargo xtask test"]
fn a_board_prints_what_the_host_prints() {
    let image = assemble(&network()).unwrap();
    let inputs = block(&Sequence(3).inputs(5, 64));
    let host = run_on_host(&image, &inputs).unwrap();
    assert!(
        host.contains("step 11 conv.0: ") && host.contains(":3"),
        "{host}"
    );
    assert_eq!(host.matches("output output.0 class").count(), 5);

    for board in Board::ALL {
        let outcome = run_on_board(board, &image, &inputs).unwrap();
        assert_eq!(outcome.stderr, "");
        assert_eq!(outcome.stdout, host);
        assert!(outcome.status.success(), "{}", outcome.status);

        let log = decode_log(board, &outcome.log).unwrap();
        let hash = &host["image ".len()..][..8];
        assert!(
            log[0].starts_with(&format!("INFO image {hash} of ")),
            "{log:?}"
        );
        assert_eq!(log[1..], ["INFO 5 inputs done"]);
    }
}

#[test]
#[ignore = "needs QEMU and the firmware: cargo xtask test"]
fn a_board_refuses_what_it_cannot_run() {
    let image = assemble(&network()).unwrap();
    let inputs = block(&Sequence(3).inputs(2, 64));
    let mut damaged = image.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let long = block(&Sequence(3).inputs(2, 65));
    for board in Board::ALL {
        for (image, inputs, reason) in [
            (&damaged[..], &inputs[..], "the checksum does not match"),
            (
                &image[..image.len() - 1],
                &inputs,
                "the checksum does not match",
            ),
            (b"", &inputs, "this is not a tinyspike image"),
            (&image, b"", "this is not a block of inputs"),
            (
                &image,
                &long,
                "takes 64 bytes of input, the block has inputs of 65",
            ),
        ] {
            let outcome = run_on_board(board, image, inputs).unwrap();
            assert!(outcome.stderr.starts_with("error: "), "{}", outcome.stderr);
            assert!(outcome.stderr.contains(reason), "{}", outcome.stderr);
            assert!(!outcome.stdout.contains("input 0"), "{}", outcome.stdout);
            assert_eq!(outcome.status.code(), Some(1));
        }
    }
}
