//! Current-based networks as images: trained networks keep their accuracy in integers, streams can be divided
//! anywhere, and what no image can hold is refused.

use std::path::{Path, PathBuf};

use tinyspike::assemble::Image;
use tinyspike::data::{self, DataSet, Samples};
use tinyspike::emulate::HostEngine;
use tinyspike::network::Network;
use tinyspike::nir::{self, Choices};
use tinyspike::simulate::{
    self, Input, InputData, Readout, Run, SimulateOptions, Simulator, Watch,
};
use tinyspike::stream::{self, StreamOptions};
use tinyspike::tensor::Tensor;
use tinyspike::{DeployOptions, Deployment, Mode, QuantizeOptions};
use tinyspike_firmware::{Event, Probe};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/nir")
        .join(name)
}

fn network(name: &str, semantics: &str) -> Network {
    let graph = nir::load(&fixture(&format!("{name}.nir"))).unwrap();
    let choices = Choices::parse(&graph, &[semantics.to_owned()]).unwrap();
    graph.convert(&choices).unwrap().network
}

/// Recordings: bytes stand for numbers of events.
fn recordings(file: &str) -> DataSet {
    data::load(fixture(file)).unwrap().with_byte_scale(1.0)
}

fn deploy(network: &Network, data: &DataSet, bits: u8) -> Deployment {
    let mode = Mode::Exact(QuantizeOptions {
        weight_bits: bits,
        ..QuantizeOptions::exact()
    });
    network
        .deploy(&DeployOptions::new(&mode).with_data(data))
        .unwrap()
}

fn in_floats(network: &Network, data: &DataSet) -> Run {
    let size: usize = data.shape()[1..].iter().product();
    let shape = vec![data.len(), data.shape()[0], size];
    let input = Input {
        name: network.nodes[network.inputs[0].1.0].label.clone(),
        data: InputData::Steps(Tensor::new(shape, data.to_floats()).unwrap()),
    };
    let options = SimulateOptions {
        watch: Watch::All,
        ..SimulateOptions::default()
    };
    let simulator = Simulator::new(network, &options).unwrap();
    simulator.predict(&[input], data.shape()[0]).unwrap()
}

fn emulate(image: &Image<'_>, data: &DataSet) -> Run {
    let options = StreamOptions {
        record: true,
        stateful: false,
    };
    stream::run(image, data, 0..data.len(), data.shape()[0], options).unwrap()
}

fn decisions(run: &Run, readout: Readout) -> Vec<usize> {
    run.probes[0].decisions(readout).collect()
}

/// The share of decisions that are right.
fn accuracy(run: &Run, data: &DataSet, readout: Readout) -> f64 {
    let output = &run.probes[0].values;
    simulate::accuracy(output, data.labels().unwrap(), run.steps, readout).unwrap()
}

/// All test samples of three networks of three frameworks, with weights of 8 bits: the float network's accuracies
/// are those of the frameworks.
#[test]
fn trained_networks_keep_their_accuracy() {
    let data = recordings("vowels_test.npz");
    let calibration = data.evenly(128);
    let mut lost = 0.0;
    for (name, semantics, framework) in [
        ("norse_vowels_lifcell", "norse-lif,dt=0.01", 363),
        ("spikingjelly_vowels_ff", "spikingjelly", 361),
        ("rockpool_vowels", "rockpool,counts=false", 344),
    ] {
        let network = network(name, semantics);
        let float = accuracy(&in_floats(&network, &data), &data, Readout::Sum);
        assert_eq!((float * 370.0).round() as usize, framework, "{name}");
        let deployment = deploy(&network, &calibration, 8);
        let image = deployment.image.image();
        assert_eq!(stream::readout(&image), Readout::Sum);
        let found = accuracy(&emulate(&image, &data), &data, Readout::Sum);
        assert!(float - found <= 0.01, "{name}: {float} became {found}");
        lost += float - found;
    }
    assert!(lost / 3.0 <= 0.004, "{lost}");
}

/// With weights of 16 bits an image spikes when the network does, except for what states of 16 bits round.
#[test]
fn images_spike_as_the_network_does() {
    for (name, semantics) in [
        ("norse_watch_ff", "norse,dt=0.02"),
        ("norse_vowels_lifcell", "norse-lif,dt=0.01"),
        ("rockpool_vowels", "rockpool,counts=false"),
        ("snntorch_watch_rleaky", "snntorch"),
        ("snntorch_watch_rleaky", "snntorch-zero"),
        ("snntorch_watch_rleaky", "snntorch-r-zero"),
        ("snntorch_watch_rleaky", "snntorch-nodelay"),
        ("spikingjelly_vowels_ff", "spikingjelly"),
    ] {
        let network = network(name, semantics);
        let data = recordings(&format!("{name}.npz"));
        let deployment = deploy(&network, &data, 16);
        let (float, own) = (
            in_floats(&network, &data),
            emulate(&deployment.image.image(), &data),
        );
        for (float, own) in float.ensembles.iter().zip(&own.ensembles) {
            assert_eq!(float.label, own.label);
            let [spikes, found] = [float, own].map(|e| e.spikes.unwrap() as f64);
            let near = (found - spikes).abs() <= 0.05 * spikes + 8.0;
            assert!(
                near,
                "{name} {semantics} {}: {found}, not {spikes}",
                own.label
            );
        }
        let [float, own] = [float, own].map(|run| decisions(&run, Readout::Sum));
        let same = float.iter().zip(&own).filter(|(a, b)| a == b).count();
        assert!(same + 1 >= float.len(), "{name} {semantics}: {same}");
    }
}

/// A stream gives the same in pieces of any length, and after its state was put aside and brought back.
#[test]
fn streams_can_be_divided_anywhere() {
    let network = network("snntorch_watch_rleaky", "snntorch");
    let data = recordings("snntorch_watch_rleaky.npz");
    let deployment = deploy(&network, &data, 8);
    let image = deployment.image.image();
    let Samples::U8(bytes) = data.samples() else {
        panic!("events are bytes");
    };
    let steps: Vec<&[u8]> = bytes.chunks(12).collect();
    let mut arena = vec![0; image.arena_bytes() / 4];
    let mut engine = HostEngine::new(&image, &mut arena).unwrap();
    let mut whole = Vec::new();
    for step in &steps {
        engine.set_input(step).unwrap();
        assert!(engine.step());
        whole.push(engine.output(0).sums().to_vec());
    }
    let mut kept = Vec::new();
    let mut pieces = Vec::new();
    for piece in steps.chunks(37) {
        let mut arena = vec![0; image.arena_bytes() / 4];
        let mut engine = HostEngine::new(&image, &mut arena).unwrap();
        if !kept.is_empty() {
            assert!(engine.restore(&kept));
        }
        for step in piece {
            engine.set_input(step).unwrap();
            engine.step();
            pieces.push(engine.output(0).sums().to_vec());
        }
        kept = engine.state().to_vec();
    }
    assert_eq!(pieces, whole);
    assert!(!engine.restore(&kept[1..]), "a state of another length");
}

/// Events that are pushed bring what a vector of inputs does.
#[test]
fn events_bring_what_inputs_do() {
    let network = network("snntorch_watch_rleaky", "snntorch");
    let data = recordings("snntorch_watch_rleaky.npz");
    let deployment = deploy(&network, &data, 8);
    let image = deployment.image.image();
    let Samples::U8(bytes) = data.samples() else {
        panic!("events are bytes");
    };
    let mut arenas = [0; 2].map(|_| vec![0; image.arena_bytes() / 4]);
    let [a, b] = &mut arenas;
    let mut by_vector = HostEngine::new(&image, a).unwrap();
    let mut by_event = HostEngine::new(&image, b).unwrap();
    for step in bytes.chunks(12) {
        by_vector.set_input(step).unwrap();
        let events = (0u16..).zip(step).filter(|(_, count)| **count > 0);
        for (source, &count) in events {
            by_event.push_event(0, source, count.into()).unwrap();
        }
        by_vector.step();
        by_event.step();
        assert_eq!(by_vector.state(), by_event.state());
    }
    assert!(by_event.push_event(0, 12, 1).is_err(), "no such place");
    assert!(by_event.push_event(1, 0, 1).is_err(), "no such input");
}

/// A network without biases comes to rest, says so, and then no step changes it.
#[test]
fn networks_come_to_rest() {
    let mut rested = 0;
    for (name, semantics) in [
        ("norse_watch_ff", "norse,dt=0.02"),
        ("norse_vowels_lifcell", "norse-lif,dt=0.01"),
        ("rockpool_vowels", "rockpool,counts=false"),
        ("spikingjelly_vowels_ff", "spikingjelly"),
    ] {
        let network = network(name, semantics);
        let deployment = deploy(&network, &recordings(&format!("{name}.npz")), 8);
        let image = deployment.image.image();
        let mut arena = vec![0; image.arena_bytes() / 4];
        let mut engine = HostEngine::new(&image, &mut arena).unwrap();
        let max = image.description().inputs[0].max;
        let size = image.description().inputs[0].size as usize;
        engine.set_input(&vec![max; size]).unwrap();
        engine.step();
        let idle = (0..5000).any(|_| engine.is_idle() || !engine.step());
        if idle {
            rested += 1;
            let before: Vec<_> = (0..64).map(|n| engine.potential(0, n)).collect();
            for _ in 0..100 {
                let mut spikes = Spikes(0);
                engine.step_probed(&mut spikes);
                assert_eq!(spikes.0, 0, "{name}");
            }
            let after: Vec<_> = (0..64).map(|n| engine.potential(0, n)).collect();
            assert_eq!(before, after, "{name}");
        }
    }
    assert!(rested > 0);
}

struct Spikes(usize);

impl Probe for Spikes {
    fn spikes(&mut self, _: usize, events: &[Event]) {
        self.0 += events.len();
    }
}

#[test]
fn what_no_image_holds_is_refused_by_name() {
    let delays = network("delays", "nir");
    let mode = Mode::Exact(QuantizeOptions::exact());
    let refused = delays.deploy(&DeployOptions::new(&mode)).unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("delay"), "{refused}");
}
