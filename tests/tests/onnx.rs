//! ONNX models compute what onnxruntime does: each operator over a grid, and whole networks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tinyspike::convert::{ConvertOptions, convert};
use tinyspike::data;
use tinyspike::forward::forward;
use tinyspike::keras::VerifyOptions;
use tinyspike::onnx;
use tinyspike::tensor::Tensor;
use tinyspike::{DataSet, DeployOptions, EmulateOptions, Model};
use tinyspike_tests::mnist::project;
use tinyspike_tests::model::Builder;

/// Relative to an output's largest magnitude: float32 sums in another order.
const CLOSE: f32 = 2e-6;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/onnx")
        .join(name)
}

/// A model, its inputs and what onnxruntime computes.
#[derive(Default)]
struct Case {
    model: Vec<u8>,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

fn cases(file: &str) -> BTreeMap<String, Case> {
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    for array in data::arrays(&fixture(file)).expect("the fixture is there") {
        let (name, part) = array.name.rsplit_once('.').expect("NAME.PART");
        let case = cases.entry(name.to_owned()).or_default();
        if part == "model" {
            case.model = array.values.iter().map(|&v| v as u8).collect();
        } else {
            let tensor = Tensor::new(array.shape, array.values).expect("the shape fits");
            match part.as_bytes()[0] {
                b'x' => case.inputs.push(tensor),
                _ => case.outputs.push(tensor),
            }
        }
    }
    cases
}

/// The largest difference relative to the largest magnitude.
fn difference(expected: &Tensor, found: &Tensor) -> f32 {
    let largest = expected.data().iter().fold(1e-3f32, |m, v| m.max(v.abs()));
    let values = expected.data().iter().zip(found.data());
    values.fold(0f32, |m, (e, f)| m.max((e - f).abs())) / largest
}

/// The model computes the case's outputs, and so does its network.
fn check(name: &str, case: &Case) -> Result<(), String> {
    let import = onnx::load_bytes(name, &case.model, None).map_err(|e| e.to_string())?;
    let found = forward(&import.model, &case.inputs).map_err(|e| e.to_string())?;
    if found.len() != case.outputs.len() {
        return Err(format!("{} outputs", found.len()));
    }
    for (expected, found) in case.outputs.iter().zip(&found) {
        if expected.shape() != found.shape() {
            return Err(format!(
                "shape {:?}, not {:?}",
                found.shape(),
                expected.shape()
            ));
        }
        let difference = difference(expected, found);
        if difference > CLOSE {
            return Err(format!("differs by {difference}"));
        }
    }
    let conversion =
        convert(&import.model, &ConvertOptions::default()).map_err(|e| e.to_string())?;
    let inputs = Some(&case.inputs[..]);
    let verified = tinyspike::keras::verify(
        &import.model,
        &conversion.network,
        inputs,
        &VerifyOptions::default(),
    )
    .map_err(|e| e.to_string())?;
    if verified.passed() {
        Ok(())
    } else {
        Err(format!("the network differs: {:?}", verified.outputs))
    }
}

fn check_all(file: &str, least: usize) {
    let cases = cases(file);
    assert!(cases.len() >= least, "{} cases", cases.len());
    let faults: Vec<String> = (cases.iter())
        .filter_map(|(name, case)| Some(format!("{name}: {}", check(name, case).err()?)))
        .collect();
    assert!(
        faults.is_empty(),
        "{} of {}:\n{}",
        faults.len(),
        cases.len(),
        faults.join("\n")
    );
}

#[test]
fn operators_compute_what_onnxruntime_does() {
    check_all("ops.npz", 300);
}

#[test]
fn networks_of_exporters_compute_what_onnxruntime_does() {
    check_all("networks.npz", 22);
}

#[test]
fn activations_of_several_operators_are_recognized() {
    check_all("activations.npz", 48);
}

/// Operators that stand for one activation deploy as that, within 5 % of the outputs' deviation.
#[test]
fn activations_of_several_operators_deploy() {
    let cases = cases("activations.npz");
    for name in [
        "silu_script13",
        "hardswish_last_dynamo18",
        "gelu_dynamo18",
        "mish_script17",
    ] {
        let model = onnx::load_bytes(name, &cases[name].model, None)
            .unwrap()
            .model;
        let kinds: Vec<&str> = model.layers.iter().map(|l| l.class_name.as_str()).collect();
        assert_eq!(
            kinds
                .iter()
                .filter(|k| ["Sigmoid", "Erf", "Mul"].contains(k))
                .count(),
            0,
            "{name}: {kinds:?}"
        );
        let network = model.convert(&ConvertOptions::default()).unwrap().network;
        let samples = data::Samples::F32(Builder::new().numbers(200 * 12, 2.0));
        let data = data::DataSet::new(vec![2, 6], samples, None).unwrap();
        let options = DeployOptions::plain().with_data(&data);
        let deployment = network.deploy(&options).unwrap();
        assert!(
            deployment.image.image().description().ensembles.len() > 1,
            "{name}"
        );
    }
}

/// The bundled networks through tf2onnx and PyTorch give the classes that they give through Keras.
#[test]
fn bundled_networks_are_as_through_keras() {
    let data = data::load(project("data/mnist_test10k.npz")).expect("the bundled set is read");
    let data = data.take(2000);
    let files = [
        ("mnist_small", "mnist_small"),
        ("mnist_pool_bn", "mnist_pool_bn"),
        ("mnist_small", "mnist_small_torch"),
    ];
    for (keras, name) in files {
        let keras = Model::load(project(&format!("models/{keras}.keras"))).expect("it is read");
        let onnx = onnx::load(&fixture(&format!("keras/{name}.onnx")), None).expect("it is read");
        let [expected, found] = [&keras, &onnx.model].map(|model| {
            let shape = model.shape_of(model.inputs[0]).expect("it is known");
            let shape: Vec<usize> = shape.iter().map(|d| d.expect("it is known")).collect();
            let x = Tensor::new([&[data.len()], &shape[..]].concat(), data.to_floats());
            let mut outputs = forward(model, &[x.expect("the size fits")]).expect("it runs");
            outputs.swap_remove(0)
        });
        assert!(difference(&expected, &found) < 1e-5, "{name}");
        let classes = |y: &Tensor| -> Vec<usize> {
            let best = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
            y.data().chunks(10).filter_map(best).collect()
        };
        assert_eq!(classes(&expected), classes(&found), "{name}");
    }
}

/// Images of the same network from both files are of one cost, and classify alike.
#[test]
fn an_onnx_file_deploys_as_its_keras_file() {
    let calibration =
        data::load(project("data/mnist_calibration2k.npz")).expect("the bundled set is read");
    let calibration = calibration.take(300);
    let test = data::load(project("data/mnist_test10k.npz"))
        .expect("the bundled set is read")
        .take(500);
    let keras = Model::load(project("models/mnist_small.keras")).expect("it is read");
    let onnx = onnx::load(&fixture("keras/mnist_small.onnx"), None).expect("it is read");
    let options = ConvertOptions {
        inference_only: true,
        ..ConvertOptions::default()
    };
    let [a, b] = [&keras, &onnx.model].map(|model| {
        let network = model.convert(&options).expect("it converts").network;
        let deployment = network
            .deploy(&DeployOptions::plain().with_data(&calibration))
            .expect("it deploys");
        let report = deployment
            .image
            .emulate(&test, &EmulateOptions::default())
            .expect("it runs");
        let description = deployment.image.image();
        let counts = (
            description.description().ensembles.len(),
            description.description().connections.len(),
        );
        (counts, report.accuracy.expect("the set has labels"))
    });
    assert_eq!(a.0, b.0, "ensembles and connections");
    assert!(
        a.1 > 0.95 && (a.1 - b.1).abs() <= 0.004,
        "{} and {}",
        a.1,
        b.1
    );
}

/// A network of PyTorch deploys: a strided stem, max pooling with padding, residual sums.
#[test]
fn networks_of_pytorch_deploy() {
    let cases = cases("networks.npz");
    for name in [
        "lenet_script",
        "resnet_dynamo",
        "mobilenet_script",
        "sensor_dynamo",
        "mlp_dynamo",
        "causal_script",
    ] {
        let case = &cases[name];
        let model = onnx::load_bytes(name, &case.model, None)
            .expect("it is read")
            .model;
        let network = model
            .convert(&ConvertOptions::default())
            .unwrap_or_else(|e| panic!("{name}: {e}"))
            .network;
        let x = &case.inputs[0];
        let samples = data::Samples::F32(x.data().to_vec());
        let set = DataSet::new(x.shape()[1..].to_vec(), samples, None).expect("the size fits");
        let deployment = network.deploy(&DeployOptions::plain().with_data(&set));
        let deployment = deployment.unwrap_or_else(|e| panic!("{name}: {e}"));
        let report = deployment.image.emulate(&set, &EmulateOptions::default());
        assert!(report.is_ok(), "{name}");
    }
}

// What is refused, by a name and a reason. Files are written here by hand: no exporter writes them.

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn number(tag: u64, value: i64) -> Vec<u8> {
    [varint(tag << 3), varint(value as u64)].concat()
}

fn part(tag: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [
        &varint(tag << 3 | 2)[..],
        &varint(content.len() as u64),
        content,
    ]
    .concat()
}

fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut node: Vec<u8> = inputs.iter().flat_map(|name| part(1, name)).collect();
    node.extend(outputs.iter().flat_map(|name| part(2, name)));
    node.extend(part(3, format!("the {op}")));
    node.extend(part(4, op));
    node.extend(attributes.iter().flat_map(|attribute| part(5, attribute)));
    part(1, node)
}

fn integers(name: &str, values: &[i64]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|&v| number(8, v)).collect();
    [part(1, name), values, number(20, 7)].concat()
}

/// A tensor of the file: floats, with anything else behind.
fn tensor(name: &str, dims: &[i64], values: &[f32], more: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&d| number(1, d)).collect();
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    part(
        5,
        [
            dims,
            number(2, 1),
            part(8, name),
            part(9, raw),
            more.to_vec(),
        ]
        .concat(),
    )
}

/// A tensor of 64-bit integers.
fn longs(name: &str, values: &[i64]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let count = number(1, values.len() as i64);
    part(
        5,
        [count, number(2, 7), part(8, name), part(9, raw)].concat(),
    )
}

/// An input or an output; -1 for a length that is not stated.
fn info(tag: u64, name: &str, dims: &[i64]) -> Vec<u8> {
    let dim = |&d: &i64| part(1, if d < 0 { part(2, "n") } else { number(1, d) });
    let shape: Vec<u8> = dims.iter().flat_map(dim).collect();
    let of = part(1, [number(1, 1), part(2, shape)].concat());
    part(tag, [part(1, name), part(2, of)].concat())
}

/// A file of version `opset`, with the output "y".
fn model(opset: i64, parts: &[Vec<u8>]) -> Vec<u8> {
    let graph = [parts.concat(), info(12, "y", &[])].concat();
    [number(1, 8), part(7, graph), part(8, number(2, opset))].concat()
}

/// Nodes behind an input "x" of 4 values.
fn behind_x(parts: &[Vec<u8>]) -> Vec<u8> {
    model(17, &[&[info(11, "x", &[-1, 4])], parts].concat())
}

#[test]
fn hostile_and_foreign_files_are_refused_by_name() {
    let small = |op| behind_x(&[node(op, &["x"], &["y"], &[])]);
    let weights = |dims: &[i64], values: &[f32], more: &[u8]| {
        let product = node("MatMul", &["x", "w"], &["y"], &[]);
        behind_x(&[tensor("w", dims, values, more), product])
    };
    let doubled: Vec<Vec<u8>> = (0..64)
        .map(|k| {
            let (from, to) = (format!("c{k}"), format!("c{}", k + 1));
            node(
                "Concat",
                &[&from, &from],
                &[&to],
                &[[part(1, "axis"), number(3, 0), number(20, 2)].concat()],
            )
        })
        .collect();
    let doubled = [
        &[longs("c0", &[1, 2])],
        &doubled[..],
        &[node("Reshape", &["x", "c64"], &["y"], &[])],
    ]
    .concat();
    let groups = [number(1, 8), vec![0x7b; 200_000]].concat();
    let picture = |op, attributes: &[Vec<u8>]| {
        model(
            17,
            &[
                info(11, "x", &[-1, 2, 6, 6]),
                node(op, &["x"], &["y"], attributes),
            ],
        )
    };
    let huge = [
        longs("s", &[1 << 40, 1 << 40]),
        node("ConstantOfShape", &["s"], &["c"], &[]),
        node("Add", &["x", "c"], &["y"], &[]),
    ];
    let cases: &[(Vec<u8>, &str)] = &[
        (b"hello, world".to_vec(), "is no ONNX model"),
        (Vec::new(), "is no ONNX model: it has no graph"),
        (groups, "is no ONNX model"),
        (model(9, &[]), "opset 9; opsets 11 to 22"),
        (model(17, &[]), "it has no inputs"),
        (behind_x(&[]), "its output \"y\" is made by no node"),
        (
            behind_x(&[
                node("Add", &["x", "b"], &["a"], &[]),
                node("Add", &["a", "x"], &["b"], &[]),
                node("Relu", &["b"], &["y"], &[]),
            ]),
            "node \"the Add\" (Add): its input \"b\" is made by the node \"the Add\", which is not before it",
        ),
        (
            behind_x(&[node("Relu", &["gone"], &["y"], &[])]),
            "node \"the Relu\" (Relu): its input \"gone\" is made by no node",
        ),
        (
            behind_x(&[
                node("Relu", &["x"], &["y"], &[]),
                node("Exp", &["x"], &["y"], &[]),
            ]),
            "\"y\" is made twice",
        ),
        (
            weights(&[-1, 4], &[0.0; 4], &[]),
            "tensor \"w\": an axis has length -1",
        ),
        (
            weights(&[1 << 40, 1 << 40], &[0.0; 4], &[]),
            "the most that is supported",
        ),
        (weights(&[1; 70], &[0.0], &[]), "a constant of 70 axes"),
        (
            weights(&[0, 1 << 40, 1 << 40], &[], &[]),
            "the most that is supported",
        ),
        (
            model(
                17,
                &[
                    info(11, "x", &[1 << 50, 4]),
                    node("Relu", &["x"], &["y"], &[]),
                ],
            ),
            "its batch axis has the length 1125899906842624",
        ),
        (
            weights(&[4, 2], &[0.0; 4], &[]),
            "it has 4 values, but its shape [4, 2] asks for 8",
        ),
        (
            weights(&[4, 2], &[], &number(14, 1)),
            "its values are in another file",
        ),
        (
            weights(&[4, 1], &[0.0, f32::NAN, 0.0, 0.0], &[]),
            "(MatMul): a weight of shape [4, 1] is NaN at index 1",
        ),
        (
            weights(&[3, 2], &[0.0; 6], &[]),
            "(MatMul): its kernel of shape [3, 2] does not fit an input of shape (4)",
        ),
        (
            small("QuantizeLinear"),
            "node \"the QuantizeLinear\" (QuantizeLinear): a quantized network; export the float network",
        ),
        (
            small("LSTM"),
            "(LSTM): no event can express a recurrent layer",
        ),
        (small("LayerNormalization"), "train with BatchNormalization"),
        (small("Erf"), "(Erf): it has no layer"),
        (
            behind_x(&[node("Relu", &["x"], &["y"], &[integers("axes", &[1])])]),
            "its attribute axes is not known here",
        ),
        (
            behind_x(&[node(
                "Transpose",
                &["x"],
                &["y"],
                &[integers("perm", &[1, 0])],
            )]),
            "moves the batch axis",
        ),
        (behind_x(&doubled), "(Concat): "),
        (behind_x(&huge), "(ConstantOfShape): a constant of shape"),
        (
            picture(
                "MaxPool",
                &[
                    integers("kernel_shape", &[3, 3]),
                    integers("pads", &[1, 1, 0, 0]),
                    integers("strides", &[2, 2]),
                ],
            ),
            "put a ReLU before it",
        ),
        (
            picture(
                "MaxPool",
                &[
                    integers("kernel_shape", &[3, 3]),
                    integers("strides", &[0, 1]),
                ],
            ),
            "strides has 0, which is below 1",
        ),
        (
            picture("MaxPool", &[integers("kernel_shape", &[9, 9])]),
            "does not fit into an axis of length 6",
        ),
        (
            picture(
                "MaxPool",
                &[
                    integers("kernel_shape", &[3, 3]),
                    integers("pads", &[i64::MAX; 4]),
                ],
            ),
            "out of range",
        ),
        (
            model(
                17,
                &[info(11, "x", &[4]), node("Relu", &["x"], &["y"], &[])],
            ),
            "its only axis is the batch",
        ),
        (
            model(
                17,
                &[
                    info(11, "x", &[-1, 3, -1, -1]),
                    node("Relu", &["x"], &["y"], &[]),
                ],
            ),
            "input \"x\" has shape (3, None, None), with axes of unknown length",
        ),
        (
            behind_x(&[
                tensor("c", &[3, 4], &[0.0; 12], &[]),
                node("Add", &["x", "c"], &["y"], &[]),
            ]),
            "differs from sample to sample",
        ),
        (
            behind_x(&[node("MatMul", &["x", "x"], &["y"], &[])]),
            "both of its inputs depend on the network's input",
        ),
    ];
    for (bytes, reason) in cases {
        let error = match onnx::load_bytes("net.onnx", bytes, None) {
            Ok(_) => panic!("accepted, where \"{reason}\" was expected"),
            Err(error) => error.to_string(),
        };
        assert!(
            error.contains(reason) && error.starts_with("net.onnx: "),
            "{error}\nnot: {reason}"
        );
    }
}

/// Scores stay if the network ends in their largest.
#[test]
fn scores_stay_before_an_answer() {
    let bytes = behind_x(&[
        node("Relu", &["x"], &["h"], &[]),
        node("ArgMax", &["h"], &["y"], &[]),
    ]);
    let import = onnx::load_bytes("net.onnx", &bytes, None).unwrap();
    assert!(
        import
            .remarks
            .iter()
            .any(|r| r.contains("shows the scores")),
        "{:?}",
        import.remarks
    );
    assert_eq!(import.model.outputs.len(), 1);
}

#[test]
fn unknown_lengths_are_given() {
    let bytes = model(
        17,
        &[
            info(11, "x", &[-1, 3, -1, -1]),
            node("Relu", &["x"], &["y"], &[]),
        ],
    );
    let import =
        onnx::load_bytes("net.onnx", &bytes, Some(&[vec![3, 5, 6]])).expect("the shape is known");
    let output = import.model.outputs[0];
    assert_eq!(
        import.model.shape_of(output),
        Some(&vec![Some(3), Some(5), Some(6)])
    );
    assert_eq!(import.model.layers[output.layer].name, "y");
    let other = onnx::load_bytes("net.onnx", &bytes, Some(&[vec![2, 5, 6]]));
    assert!(other.is_err_and(|e| e.to_string().contains("[2, 5, 6] does not fit")));
}

/// A label of the largest score is left out, and said.
#[test]
fn answers_are_left_out() {
    let graph = [
        info(11, "x", &[-1, 4]),
        node("Softmax", &["x"], &["y"], &[]),
        node("ArgMax", &["y"], &["label"], &[]),
        info(12, "label", &[]),
    ];
    let import = onnx::load_bytes("net.onnx", &model(17, &graph), None).expect("the scores stay");
    assert_eq!(import.model.outputs.len(), 1);
    assert_eq!(import.remarks.len(), 1);
    assert!(import.remarks[0].starts_with("the output \"label\" is left out: node \"the ArgMax\""));
}
