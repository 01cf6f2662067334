//! NIR graphs: spikes and potentials of frameworks and of a reference in float64, semantics that are found by a recorded sample,
//! and graphs that are refused.

use std::path::{Path, PathBuf};

use tinyspike::data::{self, FloatArray};
use tinyspike::network::Network;
use tinyspike::nir::matching::{self, Trace};
use tinyspike::nir::{self, Choices, Graph, Node, Values};
use tinyspike::simulate::{Input, InputData, Run, SimulateOptions, Simulator, Watch};
use tinyspike::tensor::Tensor;

/// Semantics of each framework's network.
const TRAINED: [(&str, &str); 7] = [
    ("norse_watch_ff", "norse,dt=0.02"),
    ("norse_vowels_lifcell", "norse-lif,dt=0.01"),
    ("rockpool_vowels", "rockpool,counts=false"),
    ("sinabs_mnist_cnn", "sinabs"),
    ("snntorch_watch_rleaky", "snntorch"),
    ("spikingjelly_mnist_cnn", "spikingjelly"),
    ("spikingjelly_vowels_ff", "spikingjelly"),
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/nir")
        .join(name)
}

fn arrays(name: &str) -> Vec<FloatArray> {
    data::arrays(&fixture(&format!("{name}.npz"))).unwrap()
}

fn graph(name: &str) -> Graph {
    nir::load(&fixture(&format!("{name}.nir"))).unwrap()
}

/// The samples of a fixture as the input of a network: over time, or a picture that is shown in each step.
fn input(network: &Network, x: &FloatArray, steps: Option<usize>) -> (Input, usize) {
    let node = &network.nodes[network.inputs[0].1.0];
    let samples = x.shape[0];
    let over_time = x.values.len() / samples != node.size_out;
    let steps = steps.unwrap_or(x.values.len() / samples / node.size_out);
    let (shape, values) = if over_time {
        (vec![samples, steps, node.size_out], x.values.clone())
    } else {
        let bytes = x.values.iter().map(|v| v / 255.0);
        (vec![samples, node.size_out], bytes.collect())
    };
    let tensor = Tensor::new(shape, values).unwrap();
    let data = if over_time {
        InputData::Steps(tensor)
    } else {
        InputData::Static(tensor)
    };
    let name = node.label.clone();
    (Input { name, data }, steps)
}

fn simulate(network: &Network, x: &FloatArray, steps: Option<usize>) -> Run {
    let options = SimulateOptions {
        watch: Watch::All,
        ..SimulateOptions::default()
    };
    let (input, steps) = input(network, x, steps);
    Simulator::new(network, &options)
        .unwrap()
        .predict(&[input], steps)
        .unwrap()
}

fn find<'a>(arrays: &'a [FloatArray], name: &str) -> &'a FloatArray {
    arrays
        .iter()
        .find(|array| array.name == name)
        .unwrap_or_else(|| panic!("{name}"))
}

/// Compares what is recorded under a prefix with a run, and returns the number of recorded cells of spikes.
fn compare(run: &Run, arrays: &[FloatArray], prefix: &str, what: &str) -> usize {
    let mut cells = 0;
    for array in arrays {
        let Some(name) = array.name.strip_prefix(prefix) else {
            continue;
        };
        if let Some(output) = name.strip_prefix("output/") {
            let probe = run
                .probes
                .iter()
                .find(|probe| probe.label == output)
                .unwrap();
            near(
                probe.values.data(),
                &array.values,
                &format!("{what}: {name}"),
            );
            continue;
        }
        let Some((kind, node)) = name.split_once('/') else {
            continue;
        };
        let ensemble = run.ensembles.iter().find(|e| e.label == node).unwrap();
        let potentials = ensemble.potentials.as_ref().unwrap().data();
        match kind {
            "spikes" => {
                let found = ensemble.counts.as_ref().unwrap().data();
                assert_eq!(found.len(), array.values.len(), "{what}: {name}");
                let differ = found
                    .iter()
                    .zip(&array.values)
                    .filter(|(a, b)| a != b)
                    .count();
                assert_eq!(differ, 0, "{what}: {name}, of {} cells", found.len());
                cells += found.len();
            }
            // Of some records, only the first samples.
            "v" | "potentials" => near(
                &potentials[..array.values.len()],
                &array.values,
                &format!("{what}: {name}"),
            ),
            _ => {}
        }
    }
    cells
}

fn near(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= 1e-4 * b.abs().max(1.0),
            "{what}: {a} at {at}, not {b}"
        );
    }
}

#[test]
fn networks_spike_as_in_their_frameworks() {
    for (name, semantics) in TRAINED {
        let (graph, arrays) = (graph(name), arrays(name));
        let choices = Choices::parse(&graph, &[semantics.to_owned()]).unwrap();
        let network = graph.convert(&choices).unwrap().network;
        let steps = arrays
            .iter()
            .find(|a| a.name.starts_with("spikes/"))
            .unwrap()
            .shape[1];
        let run = simulate(&network, find(&arrays, "x"), Some(steps));
        assert!(compare(&run, &arrays, "", name) > 1000, "{name}");
        assert!(run.ensembles.iter().all(|e| e.spikes > Some(10)), "{name}");
    }
}

#[test]
fn graphs_of_all_nodes_do_as_the_reference_does() {
    let mut tried = 0;
    for name in ["subgraph", "delays", "conv2d", "conv1d", "feedback"] {
        let (graph, arrays) = (graph(name), arrays(name));
        let lines = std::fs::read_to_string(fixture(&format!("{name}.txt"))).unwrap();
        for (at, line) in lines.lines().enumerate() {
            let choices = Choices::parse(&graph, &[line.to_owned()]).unwrap();
            let network = graph.convert(&choices).unwrap().network;
            let run = simulate(&network, find(&arrays, "x"), None);
            compare(
                &run,
                &arrays,
                &format!("{at}/"),
                &format!("{name} with {line}"),
            );
            tried += 1;
        }
    }
    assert_eq!(tried, 25);
}

#[test]
fn writers_are_guessed_and_their_semantics_found() {
    for (name, semantics) in TRAINED {
        let graph = graph(name);
        let guess = nir::guess(&graph);
        let wanted = semantics.split(',').next().unwrap();
        assert_eq!(guess.preset.name, wanted, "{name}: {}", guess.reason);
        if name.contains("mnist") {
            continue;
        }
        let trace = Trace::new(arrays(name), &graph).unwrap();
        let none = Choices::parse(&graph, &[]).unwrap();
        let found = matching::search(&graph, &trace, &none.all).unwrap();
        assert!(found.best.is_none() && !found.found.is_empty(), "{name}");
        // One of those found is the framework's own.
        let traits = nir::Traits::of(&graph).unwrap();
        let wanted = Choices::parse(&graph, &[semantics.to_owned()]).unwrap().all;
        let matters = |s: &nir::Semantics| -> Vec<String> {
            let choices = s.choices(Some(&traits)).into_iter().filter(|c| c.matters);
            choices.map(|c| format!("{}={}", c.key, c.value)).collect()
        };
        let all: Vec<Vec<String>> = found.found.iter().map(|c| matters(&c.semantics)).collect();
        assert!(all.contains(&matters(&wanted)), "{name}: {all:?}");
        assert!(
            found.found.len() < found.tried / 20,
            "{name}: most do not match"
        );
    }
}

#[test]
fn a_record_that_nothing_reproduces_says_where_it_parts() {
    let graph = graph("rockpool_vowels");
    let mut arrays = arrays("rockpool_vowels");
    let spikes = arrays
        .iter_mut()
        .find(|a| a.name == "spikes/1_LIFTorch")
        .unwrap();
    // Sample 3, step 20, neuron 7.
    let cell = &mut spikes.values[(3 * 30 + 20) * 48 + 7];
    *cell = 1.0 - *cell;
    let trace = Trace::new(arrays, &graph).unwrap();
    let none = Choices::parse(&graph, &[]).unwrap();
    let found = matching::search(&graph, &trace, &none.all).unwrap();
    assert!(found.found.is_empty());
    let (_, difference) = found.best.unwrap();
    assert_eq!(difference.cells, 1);
    let first = difference.first.unwrap();
    assert_eq!((first.sample, first.step, first.neuron), (3, 20, 7));
}

#[test]
fn a_node_may_have_its_own_semantics() {
    let graph = graph("subgraph");
    let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(|&t| t.to_owned()).collect() };
    let choices =
        Choices::parse(&graph, &texts(&["2.out:reset=subtract", "snntorch-zero"])).unwrap();
    assert_eq!(
        choices.nodes["2.out"].reset,
        tinyspike::network::Reset::Subtract
    );
    assert!(choices.nodes["2.out"].late && choices.all.late);
    graph.convert(&choices).unwrap();
    let wrong = Choices::parse(&graph, &texts(&["other:reset=subtract"])).unwrap();
    let error = graph.convert(&wrong).unwrap_err().to_string();
    assert!(
        error.contains("\"other\", which is no node of neurons; there are 2.out, lif1.lif"),
        "{error}"
    );
    for (text, part) in [
        ("snntorch2", "there are nir, snntorch,"),
        ("resets=zero", "there are dt, scheme,"),
        ("reset=half", "reset takes zero, subtract, none"),
        ("dt=-1", "dt takes a number of seconds above 0"),
    ] {
        let error = Choices::parse(&graph, &texts(&[text]))
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn broken_graphs_are_refused_with_the_reason() {
    let load = |name: &str| nir::load(&fixture(&format!("{name}.nir")));
    for (name, part) in [
        (
            "dangling",
            "names \"lif\", which is no node; there are in, lif1, out (is \"lif1\" meant?)",
        ),
        (
            "unknown",
            "the node \"x\" is of the type ALIF; known types are Input",
        ),
        ("nan", "v_threshold\": it holds NaN"),
    ] {
        let error = load(name).unwrap_err().to_string();
        assert!(
            error.contains(part) && error.contains(&format!("{name}.nir: ")),
            "{error}"
        );
    }
    for (name, part) in [
        (
            "shapes",
            "the node \"a\" (Affine): its weight takes 4 values, but [3] come in",
        ),
        ("loop", "the nodes a, b form a cycle without neurons"),
        (
            "fast",
            "the node \"l\" (LIF): its tau of 2e-7 s is shorter than a step of 0.001 s",
        ),
    ] {
        let graph = load(name).unwrap();
        let choices = Choices::parse(&graph, &["dt=0.001".to_owned()]).unwrap();
        let error = graph.convert(&choices).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

/// Nodes that take no bytes in a file can be as large as their input.
#[test]
fn nodes_that_are_too_large_together_are_refused() {
    let chain = |length: usize, size: usize| {
        let names: Vec<String> = (0..length).map(|at| format!("n{at}")).collect();
        let nodes = names.iter().enumerate().map(|(at, name)| {
            let node = match at {
                0 => Node::Input { shape: vec![size] },
                _ => Node::Scale {
                    scale: Values {
                        shape: Vec::new(),
                        data: vec![2.0],
                    },
                },
            };
            (name.clone(), node)
        });
        let graph = Graph {
            version: None,
            nodes: nodes.collect(),
            edges: names
                .windows(2)
                .map(|w| (w[0].clone(), w[1].clone()))
                .collect(),
            remarks: Vec::new(),
        };
        let choices = Choices::parse(&graph, &[]).unwrap();
        graph.convert(&choices).map(|_| ())
    };
    assert!(chain(5, 100).is_ok());
    let error = chain(5, 1 << 24).unwrap_err().to_string();
    assert!(
        error.contains(
            "the node \"n4\" (Scale): with its output [16777216] all nodes bring more than 67108864"
        ),
        "{error}"
    );
}

#[test]
fn a_trace_must_fit_its_graph() {
    let graph = graph("rockpool_vowels");
    let whole = arrays("rockpool_vowels");
    let without = |name: &str| -> Vec<FloatArray> {
        whole
            .iter()
            .filter(|a| !a.name.starts_with(name))
            .cloned()
            .collect()
    };
    let error = |arrays| Trace::new(arrays, &graph).unwrap_err().to_string();
    assert!(error(without("x")).contains("it has no array x"));
    assert!(error(without("spikes/")).contains("name arrays after nodes: 1_LIFTorch, 3_LIFTorch"));
    let mut short = whole.clone();
    let spikes = short
        .iter_mut()
        .find(|a| a.name == "spikes/3_LIFTorch")
        .unwrap();
    spikes.values.pop();
    assert!(error(short).contains("the spikes of \"3_LIFTorch\" have the shape [8, 30, 9]"));
}

#[test]
fn a_record_that_decides_nothing_is_refused() {
    let graph = graph("sinabs_mnist_cnn");
    let array = |name: &str, shape: &[usize], value: f32| FloatArray {
        name: name.to_owned(),
        shape: shape.to_vec(),
        values: vec![value; shape.iter().product()],
    };
    let new = |x: &[usize], steps: usize, value| {
        let spikes = array("spike_output", &[steps, 10], value);
        Trace::new(vec![array("x", x, 0.5), spikes], &graph)
    };
    // Axes of the input's own shape, of one that is flat, and of one sample behind time.
    for x in [
        &[8, 1, 28, 28][..],
        &[1, 8, 1, 28, 28],
        &[8, 784],
        &[8, 1, 784],
    ] {
        assert_eq!(new(x, 8, 1.0).unwrap().cells(), 80, "{x:?}");
    }
    for (x, steps, value, part) in [
        (&[8, 1, 28, 28][..], 8, 0.0, "no neuron of it spikes"),
        (&[8, 784], 8, 0.3, "holds 0.3, which is no number of spikes"),
        (&[1, 784], 1, 1.0, "has less than two steps"),
        (&[28, 28], 8, 1.0, "has to be repeated"),
    ] {
        let error = new(x, steps, value).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

/// Files with flipped bits and ends that are cut off give an error or a graph, and never a panic.
#[test]
fn damaged_files_do_no_harm() {
    for name in ["subgraph", "delays", "conv1d"] {
        let whole = std::fs::read(fixture(&format!("{name}.nir"))).unwrap();
        let mut seed = 1u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        for round in 0..400 {
            let mut bytes = whole.clone();
            if round % 8 == 0 {
                bytes.truncate(random(whole.len()));
            }
            for _ in 0..1 + random(4) {
                if !bytes.is_empty() {
                    let at = random(bytes.len());
                    bytes[at] ^= 1 << random(8);
                }
            }
            if let Ok(graph) = nir::from_bytes(name, &bytes) {
                let choices = Choices::parse(&graph, &[]).unwrap();
                let _ = graph.convert(&choices);
            }
        }
    }
}
