//! A front end makes a network with nothing but public items: what `convert` makes, others can too.

use std::sync::Arc;

use tinyspike::inspect::listing;
use tinyspike::integrate::integrate_and_fire;
use tinyspike::lower::lower;
use tinyspike::network::{
    Connection, Effect, Ensemble, EnsembleId, Head, Network, NeuronType, Node, NodeId, NodeKind,
    PerNeuron, Post, Pre, Probe, ProbeId, TensorFunc, TensorNode, Transform,
};
use tinyspike::simulate::{Input, InputData, SimulateOptions, Simulator};
use tinyspike::tensor::Tensor;

/// A softmax that is no front end's but this test's.
#[derive(Debug)]
struct Softmax;

impl TensorFunc for Softmax {
    fn listed(&self) -> String {
        "<function softmax>".to_owned()
    }

    fn name(&self) -> String {
        "softmax".to_owned()
    }

    fn run(&self, x: &Tensor) -> Result<Tensor, String> {
        let n = x.shape().last().copied().ok_or("there is no axis")?;
        let mut y = Vec::with_capacity(x.len());
        for row in x.data().chunks_exact(n) {
            let sum: f32 = row.iter().map(|v| v.exp()).sum();
            y.extend(row.iter().map(|v| v.exp() / sum));
        }
        Tensor::new(x.shape().to_vec(), y).ok_or_else(|| "a row is cut off".to_owned())
    }

    fn effect(&self) -> Effect {
        Effect::Head(Head::Softmax)
    }

    fn advice(&self) -> String {
        "put it at the end".to_owned()
    }
}

fn node(label: &str, size_in: usize, size_out: usize, kind: NodeKind) -> Node {
    Node {
        label: label.to_owned(),
        size_in,
        size_out,
        kind,
        subnetwork: None,
    }
}

fn connection(pre: Pre, post: Post, weights: Tensor) -> Connection {
    Connection {
        pre,
        pre_slice: None,
        post,
        post_slice: None,
        transform: Transform::Dense(weights),
        synapse: None,
        trainable: None,
        subnetwork: None,
    }
}

/// Input "x" of 3 → 2 rectifiers → softmax "y" of 2.
fn network() -> Network {
    let weights =
        |shape: [usize; 2], data: &[f32]| Tensor::new(shape.to_vec(), data.to_vec()).unwrap();
    let softmax = TensorNode {
        func: Arc::new(Softmax),
        shape_in: vec![2],
        shape_out: vec![2],
    };
    Network {
        label: Some("by hand".to_owned()),
        nodes: vec![
            node("x", 0, 3, NodeKind::Input { shape: vec![3] }),
            node("y", 2, 2, NodeKind::Tensor(softmax)),
        ],
        ensembles: vec![Ensemble {
            label: "a".to_owned(),
            n_neurons: 2,
            neuron_type: NeuronType::RectifiedLinear { amplitude: 1.0 }.into(),
            gain: 1.0.into(),
            bias: Some(Tensor::vector(vec![0.25, 0.0])),
            bias_trainable: None,
            shape: vec![2],
            channels_last: true,
            initial_voltage: None,
            subnetwork: None,
        }],
        connections: vec![
            connection(
                Pre::Node(NodeId(0)),
                Post::Neurons(EnsembleId(0)),
                weights([2, 3], &[0.5, -1.0, 0.25, 1.0, 0.5, -0.5]),
            ),
            connection(
                Pre::Neurons(EnsembleId(0)),
                Post::Node(NodeId(1)),
                weights([2, 2], &[1.0, -0.5, 0.0, 1.0]),
            ),
        ],
        probes: vec![Probe {
            target: Pre::Node(NodeId(1)),
            synapse: None,
            label: "y".to_owned(),
        }],
        inputs: vec![("x".to_owned(), NodeId(0))],
        outputs: vec![("y".to_owned(), ProbeId(0))],
        ..Network::default()
    }
}

#[test]
fn a_network_made_by_hand_is_listed_simulated_and_lowered() {
    let network = network();
    assert_eq!(network.input("x"), Some(NodeId(0)));
    assert_eq!(network.output("y"), Some(ProbeId(0)));
    assert_eq!(network.input("y"), None);
    let listed = serde_json::to_value(listing(&network)).unwrap();
    assert_eq!(listed["nodes"][1]["tensor_func"], "<function softmax>");

    let simulator = Simulator::new(&network, &SimulateOptions::default()).unwrap();
    let x = Tensor::new(vec![1, 3], vec![1.0, 0.5, 0.75]).unwrap();
    let input = Input {
        name: "x".to_owned(),
        data: InputData::Static(x),
    };
    let run = simulator.predict(&[input], 1).unwrap();
    // J = (0.4375, 0.875), then (0, 0.875) before the softmax.
    let share = 1.0 / (1.0 + 0.875f32.exp());
    let found = run.probes[0].values.data();
    assert!((found[0] - share).abs() < 1e-6, "{found:?}");
    assert!((found[1] - (1.0 - share)).abs() < 1e-6, "{found:?}");

    assert!(lower(&network).is_ok());
}

#[test]
fn what_a_device_cannot_do_is_refused_by_name() {
    let mut each = network();
    each.ensembles[0].neuron_type = NeuronType::RectifiedLinear {
        amplitude: PerNeuron::Each([1.0, 2.0].into()),
    };
    let error = integrate_and_fire(&lower(&each).unwrap()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("\"a\"") && text.contains("RectifiedLinear"),
        "{text}"
    );

    let mut inside = network();
    inside.probes[0].target = Pre::Neurons(EnsembleId(0));
    inside.connections.push(connection(
        Pre::Node(NodeId(1)),
        Post::Neurons(EnsembleId(0)),
        Tensor::filled(vec![2, 2], 1.0),
    ));
    let text = lower(&inside).unwrap_err().to_string();
    assert!(
        text.contains("\"y\"") && text.contains("put it at the end"),
        "{text}"
    );
}

#[test]
fn gains_of_each_neuron_go_into_the_weights() {
    let mut gains = network();
    gains.ensembles[0].gain = PerNeuron::Each([1.0, 2.0].into());
    let mut scaled = network();
    let weights = vec![0.5, -1.0, 0.25, 2.0, 1.0, -1.0];
    scaled.connections[0].transform = Transform::Dense(Tensor::new(vec![2, 3], weights).unwrap());
    let links = |network: &Network| format!("{:?}", lower(network).unwrap().links);
    assert_eq!(links(&gains), links(&scaled));
}
