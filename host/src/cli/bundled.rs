//! The network and the data of the demo, as files in the program.

/// A convolutional network for handwritten digits (mnist_small), as a `.keras` file.
pub const MODEL: &[u8] = include_bytes!("../../demo/mnist_small.keras");
/// MNIST's 10,000 test images and labels, as an `.npz` file.
pub const TEST: &[u8] = include_bytes!("../../demo/mnist_test10k.npz");
/// 2,000 of MNIST's training images and their labels, as an `.npz` file.
pub const CALIBRATION: &[u8] = include_bytes!("../../demo/mnist_calibration2k.npz");
