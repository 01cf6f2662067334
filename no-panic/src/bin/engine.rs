//! Calls of a product into the engine, on bytes of which the compiler knows nothing. They must link.

#![no_std]
#![no_main]
#![deny(unsafe_code)]

use core::hint::black_box;

use tinyspike_firmware::kernels::Kernels;
use tinyspike_firmware::{Engine, Event, Image, Inputs, Native, Portable, Probe};
use tinyspike_no_panic as _;

#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "the entry point has a fixed name")]
extern "C" fn _start() -> ! {
    let mut arena = [0; 64];
    loop {
        run::<Portable, 16, 24>(black_box(&[]), black_box(&mut arena));
        run::<Native, 16, 24>(black_box(&[]), black_box(&mut arena));
        run::<Native, 4, 6>(black_box(&[]), black_box(&mut arena));
    }
}

/// Calls each public function of the engine.
fn run<K, const E: usize, const C: usize>(bytes: &[u8], arena: &mut [u32])
where
    K: Kernels<u16> + Kernels<u32>,
{
    let image: Image<'_, E, C> = match Image::parse(bytes) {
        Ok(image) => image,
        Err(error) => {
            black_box(error);
            return;
        }
    };
    let network = image.description();
    let at = || black_box(0);
    black_box((
        network.input_label(at()),
        network.ensemble_label(at()),
        network.output_label(at()),
        image.bytes(),
        image.header(),
        image.layout().inboxes(),
    ));
    let mut engine = match Engine::<K, E, C>::new(&image, arena) {
        Ok(engine) => engine,
        Err(error) => {
            black_box(error);
            return;
        }
    };
    let inputs = match Inputs::parse(black_box(&[])) {
        Ok(inputs) => inputs,
        Err(error) => {
            black_box(error);
            return;
        }
    };
    for input in inputs.iter() {
        engine.reset();
        let _ = black_box(engine.set_input(input));
        let _ = black_box(engine.set_inputs(black_box(&[input, input])));
        black_box(engine.step());
        black_box(engine.step_probed(&mut Last::default()));
        black_box(engine.infer(&mut ()));
        black_box(engine.decided());
        let _ = black_box(engine.push_event(at(), at() as u16, at() as i16));
        black_box(engine.is_idle());
        black_box(engine.state());
        black_box(engine.restore(black_box(&[0; 3])));
        black_box(engine.potential(at(), at()));
        let output = engine.output(at());
        black_box((output.sums(), output.scale()));
        black_box((output.class(), output.margin()));
        black_box(output.values().fold(0, i32::wrapping_add));
        for value in output.dequantized() {
            black_box(value);
        }
        if let Some(quantizer) = image.input(at()) {
            let mut bytes = black_box([0; 5]);
            let _ = black_box(quantizer.quantize(black_box(&[0.0; 5]), &mut bytes));
            let _ =
                black_box(quantizer.quantize_i16(black_box(&[0; 5]), black_box(1.0), &mut bytes));
        }
    }
    let (taken, paused) = (engine.taken(), engine.pause());
    black_box(taken);
    if let Ok(engine) = Engine::<K, E, C>::resume(&image, arena, paused) {
        black_box(engine.is_idle());
    }
}

/// The last spikes that it has seen.
#[derive(Default)]
struct Last(Option<(usize, Event)>);

impl Probe for Last {
    fn spikes(&mut self, ensemble: usize, events: &[Event]) {
        self.0 = events.last().map(|&event| (ensemble, event));
        black_box(&self.0);
    }
}
