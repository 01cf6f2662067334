//! Calls of C into the engine, on memory of which the compiler knows nothing. They must link.

#![no_std]
#![no_main]
#![deny(unsafe_code)]

use core::ffi::c_void;
use core::hint::black_box;
use core::ptr::null_mut;

use tinyspike_c::calls::*;
use tinyspike_no_panic as _;

#[unsafe(no_mangle)]
#[expect(
    unsafe_code,
    reason = "the entry point has a fixed name; nothing runs it, so no pointer is followed"
)]
extern "C" fn _start() -> ! {
    fn pointer<T>() -> *mut T {
        black_box(null_mut())
    }
    fn number() -> usize {
        black_box(0)
    }
    unsafe extern "C" fn spikes(_: *mut c_void, _: usize, _: *const Event, _: usize) {}

    loop {
        let state: *mut State = pointer();
        black_box(ts_status_text(black_box(0)));
        // SAFETY: nothing runs this program.
        unsafe {
            black_box(ts_arena_bytes(pointer(), number(), pointer()));
            black_box(ts_open(
                state,
                number(),
                pointer(),
                number(),
                pointer(),
                number(),
            ));
            black_box(ts_reset(state));
            black_box(ts_set_spikes(state, black_box(Some(spikes)), pointer()));
            black_box(ts_set_input(state, pointer(), number()));
            black_box(ts_set_inputs(state, pointer(), pointer(), number()));
            black_box(ts_step(state));
            black_box(ts_infer(state, pointer()));
            black_box(ts_decided(state, pointer()));
            black_box(ts_output(state, number(), pointer(), number()));
            black_box(ts_dequantize(state, number(), pointer(), number()));
            black_box(ts_class(state, number(), pointer()));
            black_box(ts_input_size(state, number(), pointer()));
            black_box(ts_output_size(state, number(), pointer()));
            black_box(ts_push_events(state, number(), pointer(), number()));
            black_box(ts_push_samples(state, pointer(), number()));
            black_box(ts_is_idle(state, pointer()));
            black_box(ts_saved_words(state, pointer()));
            black_box(ts_save(state, pointer(), number()));
            black_box(ts_restore(state, pointer(), number()));
            black_box(ts_quantize_f32(
                state,
                number(),
                pointer(),
                number(),
                pointer(),
            ));
            black_box(ts_quantize_i16(
                state,
                number(),
                pointer(),
                number(),
                black_box(0.0),
                pointer(),
            ));
        }
    }
}
