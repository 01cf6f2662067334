//! Deploys trained networks as spiking networks on microcontrollers: those of Keras, and of frameworks that write NIR.
//!
//! # From a model to an image
//!
//! ```
//! use tinyspike::{ConvertOptions, DataSet, DeployOptions, EmulateOptions, Model};
//!
//! let model = Model::load("demo/mnist_small.keras")?;
//! let options = ConvertOptions { inference_only: true, ..ConvertOptions::default() };
//! let network = model.convert(&options)?.network;
//!
//! // Ranges of activations follow from real inputs.
//! let samples = DataSet::load("demo/mnist_calibration2k.npz")?.take(300);
//! let deployment = network.deploy(&DeployOptions::plain().with_data(&samples))?;
//! println!("{}", deployment.report);
//!
//! // The emulator runs the engine that devices run.
//! let test = DataSet::load("demo/mnist_test10k.npz")?.take(200);
//! let report = deployment.image.emulate(&test, &EmulateOptions::default())?;
//! assert!(report.accuracy > Some(0.95));
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("mnist.tsp");
//! deployment.image.save(path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Trained::load`] reads networks of Keras, ONNX and NIR alike, as the file's content tells.
//! [`DeployOptions::tuned`] searches for the cheapest image that keeps the accuracy, and
//! [`DeployOptions::exact`] keeps the network's own neurons and synapses. [`Network::simulate`] runs the
//! network in floats, and [`Model::verify`] compares it with Keras. A device takes the image as bytes
//! ([`ImageBuf::bytes`]), from firmware that embeds the engine or through the module `device`.
//!
//! # Errors
//!
//! Errors name the file, the layer or the shape at fault. Their remedies are data: [`Advised::advice`]
//! lists settings of this library, which a front end words in its own terms.
//!
//! # Features
//!
//! - `cli`, on by default: the command-line tool. Programs that link the library leave it out, with
//!   `default-features = false`.
//! - `boards`: real and emulated boards. It brings probe-rs, and starts compilers and emulators as
//!   processes.
//!
//! # Stages
//!
//! Each stage is a function from one immutable type to the next; see `ARCHITECTURE.md`. The modules of the
//! stages are public for tests and tools, but hidden here, for they change with the stages.

#![forbid(unsafe_code)]

pub mod advice;
#[doc(hidden)]
pub mod assemble;
#[doc(hidden)]
pub mod balance;
#[cfg(feature = "boards")]
pub mod bench;
#[doc(hidden)]
pub mod calibrate;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clip;
pub mod coder;
pub mod compare;
#[doc(hidden)]
pub mod compensate;
#[doc(hidden)]
pub mod cost;
pub mod data;
pub mod deploy;
#[cfg(feature = "boards")]
pub mod device;
pub mod emulate;
#[cfg(feature = "boards")]
pub mod export;
#[doc(hidden)]
pub mod file;
mod front;
#[doc(hidden)]
pub mod graph;
pub mod image;
pub mod inputs;
pub mod inspect;
#[doc(hidden)]
pub mod integers;
#[doc(hidden)]
pub mod integrate;
pub mod judge;
pub mod keras;
#[doc(hidden)]
pub mod lower;
pub mod names;
pub mod network;
pub(crate) mod neuron;
pub mod nir;
pub mod onnx;
#[doc(hidden)]
pub mod ops;
#[doc(hidden)]
pub mod pipeline;
#[doc(hidden)]
pub mod quantize;
pub mod report;
pub mod sign;
pub mod simulate;
pub mod simulation;
pub mod split;
pub mod stream;
#[doc(hidden)]
pub mod tensor;
#[doc(hidden)]
pub mod text;
pub mod trained;
#[doc(hidden)]
pub mod tune;

pub use advice::{Advice, Advised};
pub use data::DataSet;
pub use deploy::{DeployError, DeployOptions, Deployment, Mode};
pub use emulate::EmulateOptions;
pub use image::ImageBuf;
pub use keras::VerifyOptions;
pub use keras::convert::{ConvertOptions, ScaleFiringRates};
pub use keras::model::Model;
#[doc(hidden)]
pub use keras::{convert, forward, import, model};
pub use network::Network;
pub use quantize::QuantizeOptions;
pub use report::Budgets;
pub use simulate::SimulateOptions;
pub use trained::{LoadOptions, Trained};
pub use tune::TuneOptions;
