//! Data and models that would cost accuracy in silence: the right value, or a warning that names the cause.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tinyspike::DataSet;
use tinyspike::data::{self, NamedArray, NamedValues, Samples, write_npz};

mod tool;

use tool::{json, path, project, text, tinyspike};

fn fixture(name: &str) -> PathBuf {
    project("tests/fixtures/silence").join(name)
}

/// Writes samples of a shape, with integers or floats beside them.
fn save(file: &Path, shape: &[usize], x: Vec<f32>, y: Option<NamedValues>) {
    let count = x.len() / shape.iter().product::<usize>();
    let mut arrays = vec![NamedArray {
        name: "x".to_owned(),
        shape: [&[count], shape].concat(),
        values: NamedValues::F32(x),
    }];
    arrays.extend(y.map(|values| NamedArray {
        name: "y".to_owned(),
        shape: vec![count],
        values,
    }));
    write_npz(File::create(file).unwrap(), &arrays).unwrap();
}

/// Converts a fixture; the command's JSON object, and what it says on the error stream.
fn convert(model: &str, calibration: &Path, image: &Path, more: &[&str]) -> (Value, String) {
    let model = fixture(model);
    let mut args = vec!["convert", path(&model), "-o", path(image), "--json"];
    args.extend(["--inference-only", "--calibration", path(calibration)]);
    args.extend(more);
    let output = tinyspike(&args);
    (json(&output), text(&output.stderr))
}

fn emulate(image: &Path, data: &Path, more: &[&str]) -> (Value, String) {
    let mut args = vec!["emulate", path(image), "--data", path(data), "--json"];
    args.extend(more);
    let output = tinyspike(&args);
    (json(&output), text(&output.stderr))
}

/// Samples of the sine's period.
fn period() -> Vec<f32> {
    (0..400)
        .map(|i| i as f32 / 400.0 * std::f32::consts::TAU)
        .collect()
}

#[test]
fn one_output_is_judged_by_its_sign_or_by_its_error() {
    let folder = TempDir::new().unwrap();
    let [labelled, turned, measured, image, found] = [
        "labels.npz",
        "turned.npz",
        "values.npz",
        "image.tsp",
        "out.npz",
    ]
    .map(|n| folder.path().join(n));
    let sides: Vec<i32> = period().iter().map(|x| i32::from(x.sin() > 0.0)).collect();
    let others = sides.iter().map(|side| 1 - side).collect();
    save(&labelled, &[1], period(), Some(NamedValues::I32(sides)));
    save(&turned, &[1], period(), Some(NamedValues::I32(others)));
    let sines: Vec<f32> = period().iter().map(|x| x.sin()).collect();
    save(
        &measured,
        &[1],
        period(),
        Some(NamedValues::F32(sines.clone())),
    );

    let (report, _) = convert("sine.keras", &labelled, &image, &["--steps", "8"]);
    for who in ["model", "network", "image"] {
        let accuracy = report["comparison"][who]["accuracy"].as_f64().unwrap();
        assert!(accuracy > 0.95, "{who}: {accuracy}");
    }
    let accuracy = |data: &Path| emulate(&image, data, &[]).0["accuracy"].as_f64().unwrap();
    assert!(accuracy(&labelled) > 0.95);
    assert!((accuracy(&labelled) + accuracy(&turned) - 1.0).abs() < 1e-9);
    let model = fixture("sine.keras");
    let simulate = [
        "simulate",
        path(&model),
        "--data",
        path(&labelled),
        "--steps",
        "1",
        "--json",
    ];
    let simulated = json(&tinyspike(&simulate));
    assert!(
        simulated["accuracy"].as_f64().unwrap() > 0.95,
        "{simulated}"
    );

    // Zeros and ones are values if that is said, in every command; how to say it is said.
    let (report, said) = emulate(&image, &labelled, &[]);
    assert!(said.contains("--values"), "{said}");
    assert_eq!(report["rms_error"], Value::Null);
    let (report, said) = emulate(&image, &labelled, &["--values"]);
    assert!(!said.contains("--values"), "{said}");
    assert_eq!(report["accuracy"], Value::Null);
    let error = report["rms_error"].as_f64().unwrap();
    // The distance of a sine from its rectangle.
    assert!((0.5..0.9).contains(&error), "{error}");
    let simulated = json(&tinyspike(&[&simulate[..], &["--values"]].concat()));
    assert!(simulated["rms_error"].is_f64(), "{simulated}");
    let (report, _) = convert("sine.keras", &labelled, &image, &["--values"]);
    assert!(report["comparison"]["image"]["rms_error"].is_f64());

    // Values are calibration data like any other, and have an error.
    let (report, _) = convert("sine.keras", &measured, &image, &["--steps", "8"]);
    let keras = report["comparison"]["model"]["rms_error"].as_f64().unwrap();
    let (report, _) = emulate(&image, &measured, &["-o", path(&found)]);
    assert_eq!(report["accuracy"], Value::Null);
    let error = report["rms_error"].as_f64().unwrap();
    assert!(keras < error && error < 0.1, "{keras} {error}");
    assert!(report["r2"].as_f64().unwrap() > 0.98, "{report}");
    // The file has the outputs that this is the error of.
    let mut archive = npyz::npz::NpzArchive::open(&found).unwrap();
    let names: Vec<String> = archive.array_names().map(str::to_owned).collect();
    for what in ["output/", "spikes/", "potentials/"] {
        assert!(names.iter().any(|name| name.starts_with(what)), "{names:?}");
    }
    let output = names
        .iter()
        .find(|name| name.starts_with("output/"))
        .unwrap();
    let array = archive.by_name(output).unwrap().unwrap();
    let outputs: Vec<f32> = array.into_vec().unwrap();
    let squares = outputs
        .iter()
        .zip(&sines)
        .map(|(a, b)| f64::from((a - b) * (a - b)));
    assert!(((squares.sum::<f64>() / 400.0).sqrt() - error).abs() < 1e-6);
}

#[test]
fn options_over_time_are_no_ornament_of_other_images() {
    let folder = TempDir::new().unwrap();
    let [data, image] = ["data.npz", "image.tsp"].map(|n| folder.path().join(n));
    save(&data, &[1], period(), None);
    convert("sine.keras", &data, &image, &[]);
    for option in [
        &["--readout", "last"][..],
        &["--stateful"],
        &["--bin", "0.01"],
        &["--stream"],
        &["--input-shape", "1"],
    ] {
        let args = ["emulate", path(&image), "--data", path(&data)];
        let output = tinyspike(&[&args[..], option].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let reason = format!("{} is for networks that run over recordings", option[0]);
        assert!(said.contains(&reason), "{said}");
        assert!(said.contains(&format!("leave {} out", option[0])), "{said}");
    }
}

#[test]
fn bytes_are_scaled_once() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("image.tsp");
    for (model, data) in [
        ("rescale_u8.h5", "rescale_u8.npz"),
        ("input_dtype_uint8.keras", "input_dtype_uint8.npz"),
    ] {
        let bytes = fixture(data);
        // Without calibration data such a model has bytes from 0 to 255 all the same.
        let file = fixture(model);
        let output = tinyspike(&[
            "convert",
            path(&file),
            "-o",
            path(&image),
            "--inference-only",
        ]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let inspected = json(&tinyspike(&["inspect", path(&image), "--json"]));
        assert_eq!(inspected["inputs"][0]["scale"], 1.0, "{inspected}");
        let (_, said) = emulate(&image, &bytes, &[]);
        assert!(said.contains("bytes stand for 0 to 255"), "{said}");
        let (report, said) = convert(model, &bytes, &image, &["--steps", "4"]);
        assert!(said.contains("bytes stand for 0 to 255"), "{said}");
        assert_eq!(report["comparison"]["model"]["accuracy"], 1.0, "{model}");
        let (report, said) = emulate(&image, &bytes, &[]);
        assert!(said.contains("bytes stand for 0 to 255"), "{said}");
        assert!(
            report["accuracy"].as_f64().unwrap() >= 0.95,
            "{model}: {report}"
        );
        let (dark, _) = emulate(&image, &bytes, &["--byte-scale", "1/255"]);
        assert_ne!(
            dark["input_ops_per_image"], report["input_ops_per_image"],
            "{model}"
        );
    }
    // An image for values from 0 to 1 takes bytes in 255ths, as before.
    let (model, data) = (
        project("models/mnist_small.keras"),
        project("data/mnist_calibration2k.npz"),
    );
    let (_, said) = convert(path(&model), &data, &image, &["--steps", "1"]);
    assert!(!said.contains("bytes stand"), "{said}");
    let (_, said) = emulate(&image, &data, &["--limit", "10"]);
    assert!(!said.contains("bytes stand"), "{said}");
}

#[test]
fn recordings_are_looked_at_as_samples_are() {
    let folder = TempDir::new().unwrap();
    let [quiet, loud, image] =
        ["quiet.npz", "loud.npz", "image.tsp"].map(|n| folder.path().join(n));
    let model = project("tests/fixtures/nir/norse_vowels_lifcell.nir");
    let recorded = project("tests/fixtures/nir/vowels_test.npz");
    let set = data::load(&recorded).unwrap().take(20);
    let x = set.to_floats();
    let shape = set.shape().to_vec();
    let labels = NamedValues::I32(vec![50; set.len()]);
    save(&quiet, &shape, vec![0.0; x.len()], None);
    save(
        &loud,
        &shape,
        x.iter().map(|x| x * 1000.0).collect(),
        Some(labels),
    );

    let convert = |calibration: &Path| {
        let files = ["-o", path(&image), "--calibration", path(calibration)];
        let output = tinyspike(&[&["convert", path(&model)], &files[..]].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        said
    };
    assert!(convert(&quiet).contains("all values of the data are 0"));
    let said = convert(&recorded);
    assert!(!said.contains("all values"), "{said}");
    let (_, said) = emulate(&image, &loud, &[]);
    assert!(said.contains("lie outside the range"), "{said}");
    assert!(said.contains("have no output"), "{said}");
    let (_, said) = emulate(&image, &recorded, &["--limit", "20"]);
    assert!(!said.contains("warning"), "{said}");
}

#[test]
fn axes_in_another_order_are_refused_by_every_command() {
    let folder = TempDir::new().unwrap();
    let [right, turned, flat, image] =
        ["right.npz", "turned.npz", "flat.npz", "image.tsp"].map(|name| folder.path().join(name));
    let x: Vec<f32> = (0..10 * 243).map(|i| (i * 7 % 31) as f32 / 31.0).collect();
    save(&right, &[9, 9, 3], x.clone(), None);
    save(&turned, &[3, 9, 9], x.clone(), None);
    save(&flat, &[243], x, None);
    convert("channels_last.h5", &right, &image, &[]);
    convert("channels_last.h5", &flat, &image, &[]);
    let (model, other) = (fixture("channels_last.h5"), folder.path().join("other.tsp"));
    let (model, data) = (path(&model), path(&turned));
    for args in [
        ["simulate", model, "--data", data, "--steps", "1"],
        ["verify", model, "--data", data, "--limit", "1"],
        ["convert", model, "--calibration", data, "-o", path(&other)],
        ["emulate", path(&image), "--data", data, "--limit", "1"],
    ] {
        let output = tinyspike(&args);
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{args:?}");
        assert!(
            said.contains("numpy.transpose(x, (0, 2, 3, 1))"),
            "{args:?}: {said}"
        );
    }
    emulate(&image, &flat, &[]);
}

#[test]
fn sums_in_another_order_pass_verification() {
    let (model, data) = (fixture("conv_bn_relu.h5"), fixture("conv_bn_relu.npz"));
    let args = [
        "verify",
        path(&model),
        "--data",
        path(&data),
        "--inference-only",
    ];
    let output = tinyspike(&args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    // No hint speaks of what the network does not have.
    let strict = tinyspike(&[&args[..], &["--atol", "0", "--rtol", "0"]].concat());
    assert!(!strict.status.success());
    assert!(
        !text(&strict.stderr).contains("max_to_avg_pool"),
        "{}",
        text(&strict.stderr)
    );
}

#[test]
fn sensors_far_from_zero_have_a_scale_and_a_zero_point_each() {
    let folder = TempDir::new().unwrap();
    let [image, moved] = ["image.tsp", "moved.npz"].map(|name| folder.path().join(name));
    let data = fixture("pressure.npz");
    let (report, said) = convert("pressure.keras", &data, &image, &[]);
    assert!(!said.contains("too coarse"), "{said}");
    let error = report["comparison"]["relative_error"].as_f64().unwrap();
    // 1.0 with one scale for all.
    assert!(error < 0.1, "{error}");
    let described = json(&tinyspike(&["inspect", path(&image), "--json"]));
    let channels = described["inputs"][0]["channels"].as_array().unwrap();
    assert_eq!(channels.len(), 8);
    for channel in channels {
        assert!(channel["zero_point"].as_i64().unwrap() < -1000, "{channel}");
    }
    // A value outside the range of its channel is said to be, though others go as far.
    let set = DataSet::load(&data).unwrap();
    let Samples::F32(mut values) = set.samples().clone() else {
        panic!("floats");
    };
    values.chunks_mut(8).for_each(|sample| sample[5] += 10.0);
    save(&moved, &[8], values, None);
    let (_, said) = emulate(&image, &moved, &[]);
    assert!(said.contains("(of channel 5)"), "{said}");
    // An exact image has them, too.
    let mut exact = vec!["--exact", "--swap-activation", "relu=spiking-relu"];
    exact.extend(["--scale-firing-rates", "3000", "--max-count", "255"]);
    exact.extend(["--steps", "40"]);
    let (report, _) = convert("pressure.keras", &data, &image, &exact);
    let agreement = report["comparison"]["image"]["agreement"].as_f64().unwrap();
    assert!(agreement > 0.9, "{report}");
    // A figure of single steps says that it is one.
    let mut args = vec!["convert", "--inference-only", "--calibration", path(&data)];
    args.extend(&exact);
    let model = fixture("pressure.keras");
    args.extend(["-o", path(&image), path(&model)]);
    let said = text(&tinyspike(&args).stdout).to_owned();
    assert!(said.contains("noise of single spikes"), "{said}");
    // Pictures have what they need.
    let (model, data) = (
        project("models/mnist_mlp.keras"),
        project("data/mnist_calibration2k.npz"),
    );
    let (_, said) = convert(path(&model), &data, &image, &[]);
    assert!(!said.contains("too coarse"), "{said}");
}

#[test]
fn a_skip_from_the_input_keeps_its_bits() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("image.tsp");
    let (report, _) = convert(
        "skip.keras",
        &fixture("skip.npz"),
        &image,
        &["--steps", "16"],
    );
    let error = report["comparison"]["relative_error"].as_f64().unwrap();
    assert!(error < 0.06, "{error}");
}

#[test]
fn channels_far_apart_keep_their_classes() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("image.tsp");
    let (report, _) = convert("far_apart.keras", &fixture("far_apart.npz"), &image, &[]);
    let agreement = report["comparison"]["image"]["agreement"].as_f64().unwrap();
    assert!(agreement >= 0.95, "{agreement}");
}

#[test]
fn exact_counts_are_as_wide_as_the_samples_ask_for() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("image.tsp");
    let data = fixture("saturating.npz");
    let mut exact = vec!["--exact", "--swap-activation", "relu=spiking-relu"];
    exact.extend(["--scale-firing-rates", "100", "--synapse", "0.005"]);
    exact.extend(["--initial-voltage", "zero", "--steps", "60"]);
    let (_, said) = convert("saturating.keras", &data, &image, &exact);
    assert!(said.contains("up to 255 are counted"), "{said}");
    assert!(
        !emulate(&image, &data, &[])
            .1
            .contains("the image is not exact")
    );
    // Who asks for fewer is told what that costs.
    exact.extend(["--max-count", "63"]);
    let (_, said) = convert("saturating.keras", &data, &image, &exact);
    assert!(said.contains("the image is not exact"), "{said}");
    assert!(
        emulate(&image, &data, &[])
            .1
            .contains("the image is not exact")
    );
}

#[test]
fn samples_that_say_nothing_are_named_before_a_search() {
    let folder = TempDir::new().unwrap();
    let [zeros, image] = ["zeros.npz", "image.tsp"].map(|name| folder.path().join(name));
    save(&zeros, &[1], vec![0.0; 120], None);
    let (_, said) = convert("sine.keras", &zeros, &image, &["--tune"]);
    assert!(said.contains("all values of the data are 0"), "{said}");

    // Samples of one class, with labels and without.
    let all = DataSet::load(project("data/mnist_calibration2k.npz")).unwrap();
    let model = "../../../models/mnist_mlp.keras";
    let values = all.to_floats();
    let class = all.labels().unwrap()[0];
    let own: Vec<f32> = (values.chunks(all.sample_size()).zip(all.labels().unwrap()))
        .filter(|(_, label)| **label == class)
        .flat_map(|(sample, _)| sample.to_vec())
        .collect();
    let count = own.len() / all.sample_size();
    assert!(count >= 100);
    let [labelled, bare] = ["labelled.npz", "bare.npz"].map(|name| folder.path().join(name));
    let labels = NamedValues::I32(vec![class as i32; count]);
    save(&labelled, all.shape(), own.clone(), Some(labels));
    save(&bare, all.shape(), own, None);
    for more in [&[][..], &["--tune"]] {
        let (_, said) = convert(model, &labelled, &image, more);
        let words = format!("all samples have the label {class}");
        assert!(said.contains(&words), "{more:?}: {said}");
    }
    let (_, said) = convert(model, &bare, &image, &["--tune"]);
    assert!(said.contains("samples for class "), "{said}");
    // Each sample three times.
    let thrice = folder.path().join("thrice.npz");
    let few: Vec<f32> = values
        .chunks(all.sample_size())
        .take(20)
        .flatten()
        .copied()
        .collect();
    save(&thrice, all.shape(), few.repeat(3), None);
    let (_, said) = convert(model, &thrice, &image, &[]);
    assert!(
        said.contains("of 60 samples only 20 are distinct"),
        "{said}"
    );
}

/// Data in other units than those of calibration, both ways.
#[test]
fn data_on_another_scale_is_named() {
    let folder = TempDir::new().unwrap();
    let [own, small, large, image] =
        ["own.npz", "small.npz", "large.npz", "image.tsp"].map(|n| folder.path().join(n));
    let scaled = |by: f32| period().iter().map(|x| x * by).collect();
    save(&own, &[1], period(), None);
    save(&small, &[1], scaled(1.0 / 255.0), None);
    save(&large, &[1], scaled(255.0), None);
    convert("sine.keras", &own, &image, &[]);
    let said = |data: &Path| emulate(&image, data, &[]).1;
    assert_eq!(said(&own), "");
    assert!(
        said(&small).contains("which is little of the range"),
        "{}",
        said(&small)
    );
    assert!(
        said(&large).contains("lie outside the range"),
        "{}",
        said(&large)
    );
}

#[test]
fn targets_keep_their_place_in_blocks() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("values.npz");
    let y: Vec<f32> = (0..400).map(|i| i as f32 + 0.5).collect();
    save(&file, &[1], period(), Some(NamedValues::F32(y.clone())));
    let whole = DataSet::load(&file).unwrap();
    assert!(matches!(whole.samples(), Samples::F32(_)));
    let mut seen = Vec::new();
    data::read_blocks::<data::DataError>(&file, 64, &mut |_, block| {
        if let Some(data::Targets::Values { values, .. }) = block.targets() {
            seen.extend_from_slice(values);
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(seen, y);
}

#[test]
fn chips_that_cannot_hold_the_firmware_are_said_so() {
    let chip = |name: &str| {
        let found = json(&tinyspike(&["chips", name, "--json"]));
        found["chips"][0].clone()
    };
    // 64 KiB on an M0+, and less.
    assert_eq!(chip("STM32G071K8")["refused"], Value::Null);
    // The same flash and 8 KiB of RAM, which the firmware fills.
    for (name, reason) in [
        ("STM32G031K4", "no room for an image"),
        (
            "STM32G031K8",
            "its RAM has 8192 bytes, and the firmware takes ",
        ),
    ] {
        let refused = chip(name)["refused"].to_string();
        assert!(refused.contains(reason), "{name}: {refused}");
    }
    // A smaller image would not help, and is not what the plan asks for.
    let folder = TempDir::new().unwrap();
    let [own, image] = ["own.npz", "image.tsp"].map(|name| folder.path().join(name));
    save(&own, &[1], period(), None);
    convert("sine.keras", &own, &image, &["--target", "cortex-m0"]);
    let plan = ["flash", path(&image), "--dry-run", "--chip", "STM32G031K8"];
    let said = text(&tinyspike(&plan).stderr);
    assert!(
        said.contains("its RAM has 8192 bytes, and the firmware takes "),
        "{said}"
    );
    assert!(!said.contains("--max-ram"), "{said}");
    // Sectors of 64 KiB leave one for images.
    assert_eq!(chip("STM32F401CB")["refused"], Value::Null);
}
