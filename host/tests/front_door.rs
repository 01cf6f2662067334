//! The library as its users call it: what does not fit is an error with remedies, never a panic.

use tinyspike::data::{DataSet, Samples};
use tinyspike::emulate::EmulateError;
use tinyspike::image::ImageFileError;
use tinyspike::inputs::{Inputs, InputsError};
use tinyspike::simulation::SimulationError;
use tinyspike::trained::{Format, LoadError, LoadOptions, Trained};
use tinyspike::{
    Advice, Advised as _, ConvertOptions, EmulateOptions, ImageBuf, Model, Network,
    SimulateOptions, VerifyOptions,
};

const IMAGE: &str = "../examples/embed/mnist.tsp";

fn model() -> Model {
    Model::load("demo/mnist_small.keras").unwrap()
}

fn network() -> Network {
    model().convert(&ConvertOptions::default()).unwrap().network
}

fn ones(shape: &[usize], samples: usize) -> DataSet {
    let values = vec![1.0; shape.iter().product::<usize>() * samples];
    DataSet::new(shape.to_vec(), Samples::F32(values), None).unwrap()
}

#[test]
fn data_of_another_size_is_refused_everywhere() {
    let (model, network) = (model(), network());
    let image = ImageBuf::load(IMAGE).unwrap();
    for wrong in [ones(&[27, 28], 2), ones(&[1], 3), ones(&[28, 28, 2], 1)] {
        let error = network
            .simulate(&wrong, 1, &SimulateOptions::default())
            .unwrap_err();
        assert!(
            matches!(&error, SimulationError::Inputs(InputsError::Shape { found, .. }) if *found == wrong.shape()),
            "{error}"
        );
        let options = VerifyOptions::default();
        assert!(model.verify(&network, &wrong, &options).is_err());
        let error = image
            .emulate(&wrong, &EmulateOptions::default())
            .unwrap_err();
        assert!(matches!(error, EmulateError::Size { .. }), "{error}");
    }
}

#[test]
fn steps_that_cannot_be_run_are_refused_with_those_that_can() {
    let network = network();
    let data = ones(&[28, 28], 1);
    let error = network
        .simulate(&data, usize::MAX, &SimulateOptions::default())
        .unwrap_err();
    let [Advice::RunSteps(Some(most))] = error.advice()[..] else {
        panic!("{error}");
    };
    assert!(error.to_string().contains(&usize::MAX.to_string()));
    assert!(most > 1_000_000, "{most}");
    let none = network
        .simulate(&data, 0, &SimulateOptions::default())
        .unwrap();
    assert_eq!((none.images, none.steps), (1, 0));

    let image = ImageBuf::load(IMAGE).unwrap();
    for steps in [0, u16::MAX] {
        let options = EmulateOptions {
            steps: Some(steps),
            ..EmulateOptions::default()
        };
        let error = image.emulate(&data, &options).unwrap_err();
        assert_eq!(error.advice(), [Advice::Steps(steps)]);
        assert!(!error.to_string().contains("--"), "{error}");
    }
}

#[test]
fn a_temporal_models_data_says_how_many_steps_there_are() {
    let network = network();
    let data = ones(&[3, 28, 28], 2);
    let inputs = Inputs::new(&network, &[data], true).unwrap();
    assert_eq!((inputs.len(), inputs.steps()), (2, Some(3)));
    let options = SimulateOptions::default();
    let run =
        |asked| tinyspike::simulation::simulate(&network, &inputs, asked, &options, &mut |_| ());
    assert_eq!(run(None).unwrap().steps, 3);
    assert_eq!(run(Some(2)).unwrap().steps, 2);
    let error = run(Some(4)).unwrap_err();
    assert_eq!(error.advice(), [Advice::RunSteps(Some(3))]);
    // Samples past the end are none.
    assert_eq!(inputs.tensors(5..9)[0].shape()[0], 0);
    let scalar = ones(&[], 2);
    assert!(Inputs::new(&network, &[scalar], true).is_err());
}

#[test]
fn scales_of_bytes_that_are_no_numbers_do_no_harm() {
    let network = network();
    let image = ImageBuf::load(IMAGE).unwrap();
    for scale in [f32::NAN, f32::INFINITY, -1.0, 0.0, f32::MAX] {
        let bytes = Samples::U8(vec![200; 784]);
        let data = DataSet::new(vec![28, 28], bytes, None).unwrap();
        let data = data.with_byte_scale(scale);
        network
            .simulate(&data, 1, &SimulateOptions::default())
            .unwrap();
        image.emulate(&data, &EmulateOptions::default()).unwrap();
    }
}

#[test]
fn files_that_are_no_images_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.tsp");
    let image = ImageBuf::load(IMAGE).unwrap();
    let bytes = image.bytes();
    for cut in [0, 1, 63, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let error = ImageBuf::load(&path).unwrap_err();
        assert!(matches!(error, ImageFileError::Image { .. }), "{error}");
        assert!(error.to_string().contains("image.tsp"), "{error}");
        assert_eq!(error.advice(), [Advice::Image]);
    }
    let missing = ImageBuf::load(folder.path().join("none")).unwrap_err();
    assert!(matches!(missing, ImageFileError::Read { .. }), "{missing}");
    let nowhere = image.save(folder.path().join("no/such/folder.tsp"));
    assert!(matches!(nowhere, Err(ImageFileError::Write { .. })));
    image.save(&path).unwrap();
    assert_eq!(ImageBuf::load(&path).unwrap().bytes(), bytes);
}

#[test]
fn models_that_need_other_settings_name_them() {
    let options = ConvertOptions {
        allow_fallback: false,
        ..ConvertOptions::default()
    };
    let model = Model::load("../tests/fixtures/keras/mnist_unsupported.keras").unwrap();
    let error = model.convert(&options).unwrap_err();
    assert!(error.advice().contains(&Advice::AllowFallback), "{error}");
    let error = Model::from_bytes("empty", b"").unwrap_err();
    assert!(error.to_string().starts_with("empty"), "{error}");
}

/// A file's content tells its format, whatever it is called, and options that mean nothing for that are refused by name.
#[test]
fn every_format_is_loaded_by_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = "../tests/fixtures";
    for (file, format) in [
        ("demo/mnist_small.keras".to_owned(), Format::Keras),
        (
            format!("{fixtures}/onnx/keras/mnist_small.onnx"),
            Format::Onnx,
        ),
        (
            format!("{fixtures}/nir/snntorch_watch_rleaky.nir"),
            Format::Nir,
        ),
    ] {
        let content = std::fs::read(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
        let renamed = folder.path().join("network.bin");
        std::fs::write(&renamed, &content).unwrap();
        let options = LoadOptions::default();
        let trained = Trained::load(&renamed, &options).unwrap();
        assert_eq!(trained.format(), format);
        assert!(!trained.network().inputs.is_empty());
        let same = Trained::from_bytes(format, "network", &content, &options).unwrap();
        assert_eq!(same.network().nodes.len(), trained.network().nodes.len());

        let semantics = LoadOptions {
            semantics: vec!["snntorch".to_owned()],
            ..LoadOptions::default()
        };
        let layers = LoadOptions {
            convert: ConvertOptions {
                inference_only: true,
                ..ConvertOptions::default()
            },
            ..LoadOptions::default()
        };
        for loaded in [
            (
                Trained::load(&renamed, &semantics),
                Trained::load(&renamed, &layers),
            ),
            (
                Trained::from_bytes(format, "network.bin", &content, &semantics),
                Trained::from_bytes(format, "network.bin", &content, &layers),
            ),
        ] {
            match (format, loaded) {
                (Format::Nir, (Ok(_), Err(error))) => {
                    assert!(
                        matches!(
                            error,
                            LoadError::ForLayers {
                                option: "inference_only",
                                ..
                            }
                        ),
                        "{error}"
                    );
                    assert!(
                        error
                            .to_string()
                            .contains("network.bin: inference_only is for")
                    );
                }
                (Format::Keras | Format::Onnx, (Err(LoadError::ForGraphs { file }), Ok(_))) => {
                    assert!(file.ends_with("network.bin"), "{file}");
                }
                (format, (semantics, layers)) => {
                    panic!("{format:?}: {:?}, {:?}", semantics.err(), layers.err())
                }
            }
        }
    }
    // A file that is called a graph and is none says why.
    let broken = folder.path().join("broken.nir");
    std::fs::write(&broken, b"no HDF5").unwrap();
    let error = Trained::load(&broken, &LoadOptions::default()).unwrap_err();
    assert!(matches!(error, LoadError::Nir(_)), "{error}");
    assert!(error.to_string().contains("broken.nir"), "{error}");
}
