//! Reads a description.
//!
//! The host writes with what serde derives, and tests hold this reader to the derived other half.

use heapless::VecView;

use super::coder::Coder;
use super::description::{
    Connection, Ensemble, Input, LeftOut, Output, Post, Pre, Readout, Room, SourceMap, Width,
    Window,
};
use super::error::ImageError;
use super::inbox::Inbox;
use super::neuron::{Initial, Neuron};
use super::reader::Reader;
use super::section::Section;
use crate::transform::{Convolution, Dense, Transform};
use crate::weights::Layout;

/// Reads a whole description.
pub(super) fn read<'a>(bytes: &'a [u8], network: Room<'_, 'a>) -> Result<(), ImageError> {
    let mut reader = Reader::new(bytes);
    *network.labels = reader.text();
    *network.steps = reader.u16();
    list(&mut reader, network.inputs, Reader::input);
    list(&mut reader, network.ensembles, Reader::ensemble);
    list(&mut reader, network.outputs, Reader::output);
    list(&mut reader, network.connections, Reader::connection);
    if !reader.is_empty() {
        reader.built(cfg!(feature = "current-based"));
        if cfg!(feature = "current-based") {
            *network.coder = reader.coder();
        }
        if *network.coder == Coder::None {
            reader.fail();
        }
    }
    reader.end()
}

/// Reads a list into an empty one, up to the first mistake.
fn list<'a, T>(
    reader: &mut Reader<'a>,
    list: &mut VecView<T>,
    element: impl Fn(&mut Reader<'a>) -> T,
) {
    for _ in 0..reader.u32() {
        let element = element(reader);
        if !reader.is_valid() {
            return;
        }
        if list.push(element).is_err() {
            reader.fail_with(ImageError::TooLarge);
        }
    }
}

impl Reader<'_> {
    #[inline(never)]
    fn section(&mut self) -> Section {
        Section {
            offset: self.u32(),
            len: self.u32(),
        }
    }

    fn coder(&mut self) -> Coder {
        match self.variant(3) {
            0 => Coder::None,
            1 => Coder::Delta {
                thresholds: self.section(),
                most: self.u8(),
            },
            _ => Coder::Rate { full: self.u8() },
        }
    }

    fn input(&mut self) -> Input {
        Input {
            size: self.u32(),
            zero_point: self.u8(),
            max: self.u8(),
            scale: self.scale(),
            channels: self.section(),
        }
    }

    fn ensemble(&mut self) -> Ensemble {
        Ensemble {
            neurons: self.u32(),
            channels: self.u32(),
            width: match self.variant(2) {
                0 => Width::I16,
                _ => Width::I32,
            },
            max_count: self.u8(),
            current_shift: self.u8() as i8,
            initial: Initial::read(self),
            neuron: Neuron::read(self),
            inbox: Inbox::read(self),
            params: self.u32(),
            potential_min: self.i32(),
            potential_max: self.i32(),
            scale: self.scale(),
        }
    }

    fn output(&mut self) -> Output {
        Output {
            size: self.u32(),
            params: self.u32(),
            shift: self.u8(),
            readout: match self.variant(2) {
                0 => Readout::Sum,
                _ => Readout::Shown {
                    delayed: self.exact() && self.flag(),
                },
            },
            current_shift: self.u8() as i8,
            inbox: Inbox::read(self),
            exit_margin: self.u32(),
            scale: self.scale(),
            left_out: match self.variant(8) {
                0 => LeftOut::Nothing,
                1 => LeftOut::Softmax,
                2 => LeftOut::Sigmoid,
                3 => LeftOut::Tanh,
                4 => LeftOut::Softmaxes,
                5 => LeftOut::HardSigmoid,
                6 => LeftOut::SteepHardSigmoid,
                _ => LeftOut::HardTanh,
            },
        }
    }

    fn connection(&mut self) -> Connection {
        Connection {
            pre: match (self.variant(3), self.u8()) {
                (0, input) => Pre::Input(input),
                (1, ensemble) => Pre::Ensemble(ensemble),
                (_, ensemble) => Pre::Counts(ensemble),
            },
            post: match (self.variant(2), self.u8()) {
                (0, ensemble) => Post::Ensemble(ensemble),
                (_, output) => Post::Output(output),
            },
            source: match self.variant(3) {
                0 => SourceMap::Direct,
                1 => SourceMap::Window(self.window()),
                _ => SourceMap::Table(self.section()),
            },
            transform: match self.variant(2) {
                0 => Transform::Dense(self.dense()),
                _ => Transform::Convolution(self.convolution()),
            },
            weights: self.section(),
            layout: self.layout(),
        }
    }

    fn window(&mut self) -> Window {
        Window {
            input: self.shape(),
            output: self.shape(),
            pool: self.bytes(),
            repeat: self.bytes(),
            offset: core::array::from_fn(|_| self.i16()),
        }
    }

    fn dense(&mut self) -> Dense {
        Dense {
            inputs: self.u32(),
            outputs: self.u32(),
            first: self.u32(),
        }
    }

    #[inline(never)]
    fn convolution(&mut self) -> Convolution {
        Convolution {
            input: self.shape(),
            output: self.shape(),
            kernel: self.bytes(),
            stride: self.bytes(),
            padding: self.bytes(),
            dilation: self.bytes(),
            groups: self.u16(),
            filters: self.u16(),
            first: self.u16(),
        }
    }

    fn layout(&mut self) -> Layout {
        match Layout::ALL.get(self.u32() as usize) {
            Some(layout) => *layout,
            None => {
                self.fail();
                Layout::Rows
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed::Scale;
    use crate::image::description::Description;
    use crate::image::inbox::Synapse;
    use crate::image::neuron::{Lif, Pool, Rectified};
    use proptest::collection::vec;
    use proptest::prelude::*;

    type Network<'a> = Description<'a, 3, 5>;

    /// Reads into an empty network.
    fn read_into<'a>(bytes: &'a [u8], network: &mut Network<'a>) -> Result<(), ImageError> {
        read(bytes, network.room())
    }

    /// The network as serde reads it, with its coder.
    fn derived(bytes: &[u8]) -> Result<Network<'_>, postcard::Error> {
        let (mut network, rest): (Network<'_>, _) = postcard::take_from_bytes(bytes)?;
        if cfg!(feature = "current-based") && !rest.is_empty() {
            network.coder = postcard::from_bytes(rest)?;
        }
        Ok(network)
    }

    /// The bytes of a network: its coder follows the rest.
    fn written<'r>(network: &Network<'_>, room: &'r mut [u8]) -> &'r mut [u8] {
        let mut len = postcard::to_slice(network, room).unwrap().len();
        if network.coder != Coder::None {
            len += postcard::to_slice(&network.coder, &mut room[len..])
                .unwrap()
                .len();
        }
        &mut room[..len]
    }

    /// Checks that this reader gives the same network as serde's derived one, or neither gives any.
    fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
        let derived = derived(bytes);
        let mut network = Network::default();
        match (read_into(bytes, &mut network), derived) {
            (Ok(()), Ok(derived)) => prop_assert_eq!(network, derived),
            // To serde, labels are any bytes.
            (Err(_), Ok(derived)) if core::str::from_utf8(derived.labels).is_err() => {}
            // A list that is too long is one that serde cannot hold either; and serde ignores what follows.
            (Err(_), Err(_)) => {}
            (Err(_), Ok(derived)) => {
                let mut room = [0; 4096];
                let written = written(&derived, &mut room);
                prop_assert!(written.len() < bytes.len());
            }
            (Ok(()), Err(e)) => prop_assert!(false, "serde refuses: {e}"),
        }
        Ok(())
    }

    prop_compose! {
        fn sections()(offset in any::<u32>(), len in any::<u32>()) -> Section {
            Section { offset, len }
        }
    }
    prop_compose! {
        fn scales()(mantissa in any::<u32>(), exponent in any::<i16>()) -> Scale {
            Scale { mantissa, exponent }
        }
    }
    prop_compose! {
        fn inputs()(
            size in any::<u32>(), zero_point in any::<u8>(), max in any::<u8>(), scale in scales(),
            channels in sections(),
        ) -> Input {
            Input { size, zero_point, max, scale, channels }
        }
    }
    prop_compose! {
        fn ensembles()(
            sizes in any::<[u32; 3]>(), wide in any::<bool>(), max_count in any::<u8>(),
            current_shift in any::<i8>(), initial in initials(), neuron in neurons(), inbox in inboxes(),
            bounds in any::<[i32; 2]>(), scale in scales(),
        ) -> Ensemble {
            Ensemble {
                neurons: sizes[0],
                channels: sizes[1],
                width: if wide { Width::I32 } else { Width::I16 },
                max_count,
                current_shift,
                initial,
                neuron,
                inbox,
                params: sizes[2],
                potential_min: bounds[0],
                potential_max: bounds[1],
                scale,
            }
        }
    }
    prop_compose! {
        fn outputs()(
            numbers in any::<[u32; 3]>(), shift in any::<u8>(), shown in any::<Option<bool>>(),
            current_shift in any::<i8>(), inbox in inboxes(), scale in scales(),
            left_out in 0usize..8,
        ) -> Output {
            let [size, params, exit_margin] = numbers;
            let readout = shown.map_or(Readout::Sum, |delayed| Readout::Shown { delayed });
            let all = [
                LeftOut::Nothing, LeftOut::Softmax, LeftOut::Sigmoid, LeftOut::Tanh,
                LeftOut::Softmaxes, LeftOut::HardSigmoid, LeftOut::SteepHardSigmoid, LeftOut::HardTanh,
            ];
            let left_out = all[left_out];
            Output { size, params, shift, readout, current_shift, inbox, exit_margin, scale, left_out }
        }
    }
    fn initials() -> impl Strategy<Value = Initial> {
        prop_oneof![
            Just(Initial::Zero),
            Just(Initial::Half),
            Just(Initial::Each)
        ]
    }
    fn neurons() -> impl Strategy<Value = Neuron> {
        prop_oneof![
            Just(Neuron::IntegrateAndFire),
            any::<u16>().prop_map(|negative_slope| Neuron::Rectified(Rectified { negative_slope })),
            any::<u8>().prop_map(|voltage_bits| Neuron::Lif(Lif { voltage_bits })),
            any::<u32>().prop_map(|places| Neuron::Pool(Pool { places })),
        ]
    }
    fn inboxes() -> impl Strategy<Value = Option<Inbox>> {
        let synapse = prop_oneof![
            Just(Synapse::Through),
            any::<u16>().prop_map(|decay| Synapse::Lowpass { decay }),
            any::<[u16; 2]>().prop_map(|[decay, feed]| Synapse::Alpha { decay, feed }),
        ];
        let inbox =
            (synapse, any::<u8>()).prop_map(|(synapse, fraction)| Inbox { synapse, fraction });
        prop::option::of(inbox)
    }
    fn sources() -> impl Strategy<Value = SourceMap> {
        let shapes = any::<[[u16; 3]; 2]>();
        prop_oneof![
            Just(SourceMap::Direct),
            sections().prop_map(SourceMap::Table),
            (shapes, any::<[[u8; 2]; 2]>(), any::<[i16; 2]>()).prop_map(
                |([input, output], [pool, repeat], offset)| {
                    SourceMap::Window(Window {
                        input,
                        output,
                        pool,
                        repeat,
                        offset,
                    })
                }
            ),
        ]
    }
    fn transforms() -> impl Strategy<Value = Transform> {
        let convolutions = (any::<[[u16; 3]; 3]>(), any::<[[u8; 2]; 4]>());
        prop_oneof![
            any::<[u32; 3]>().prop_map(|[inputs, outputs, first]| {
                Transform::Dense(Dense {
                    inputs,
                    outputs,
                    first,
                })
            }),
            convolutions.prop_map(
                |([input, output, rest], [kernel, stride, padding, dilation])| {
                    let [groups, filters, first] = rest;
                    Transform::Convolution(Convolution {
                        input,
                        output,
                        kernel,
                        stride,
                        padding,
                        dilation,
                        groups,
                        filters,
                        first,
                    })
                }
            ),
        ]
    }
    fn coders() -> impl Strategy<Value = Coder> {
        let all = (0u8..3, sections(), any::<u8>());
        all.prop_map(|(kind, thresholds, number)| match kind {
            1 if cfg!(feature = "current-based") => Coder::Delta {
                thresholds,
                most: number,
            },
            2 if cfg!(feature = "current-based") => Coder::Rate { full: number },
            _ => Coder::None,
        })
    }

    prop_compose! {
        fn connections()(
            pre in (0u8..3, any::<u8>()), post in any::<(bool, u8)>(), source in sources(),
            transform in transforms(), weights in sections(), layout in 0..Layout::ALL.len(),
        ) -> Connection {
            Connection {
                pre: [Pre::Input, Pre::Ensemble, Pre::Counts][usize::from(pre.0)](pre.1),
                post: if post.0 { Post::Ensemble(post.1) } else { Post::Output(post.1) },
                source,
                transform,
                weights,
                layout: Layout::ALL[layout],
            }
        }
    }

    proptest! {
        /// Bytes that serde writes are read as they were; if a byte is changed or missing, or follows, both see
        /// the same.
        #[test]
        fn it_is_what_serde_reads(
            labels in "\\PC{0,20}", steps in any::<u16>(), inputs in vec(inputs(), 0..4),
            ensembles in vec(ensembles(), 0..3), outputs in vec(outputs(), 0..4),
            connections in vec(connections(), 0..5), coder in coders(),
            changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        ) {
            let network = Network {
                labels: labels.as_bytes(),
                steps,
                inputs: inputs.into_iter().collect(),
                ensembles: ensembles.into_iter().collect(),
                outputs: outputs.into_iter().collect(),
                connections: connections.into_iter().collect(),
                coder,
            };
            let mut room = [0; 4096];
            let bytes = written(&network, &mut room);
            let mut found = Network::default();
            prop_assert_eq!(read_into(bytes, &mut found), Ok(()));
            prop_assert_eq!(&found, &network);
            for (at, to) in changes {
                let at = at.index(bytes.len());
                agree(&bytes[..at])?;
                let before = core::mem::replace(&mut bytes[at], to);
                agree(bytes)?;
                bytes[at] = before;
            }
        }

        #[test]
        fn bytes_of_any_kind_are_what_they_are_to_serde(bytes in vec(any::<u8>(), 0..80)) {
            agree(&bytes)?;
        }
    }
}
