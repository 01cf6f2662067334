/*
 * tinyspike: spiking networks on microcontrollers, for C99 and C++.
 *
 * A model is an image of constant bytes, which is read in place. Its network works in an arena, and a state holds what has been
 * read of the image. Both are memory that you lend: nothing is allocated, there are no global variables, and no call keeps a lock.
 * Calls on different states may run at the same time, in interrupts, too. A call on a state at work returns TS_STATUS_BUSY,
 * as for a callback; calls of several threads on one state need a lock of yours.
 *
 * Every call checks its arguments, and returns TS_STATUS_OK or the reason of its failure. It cannot check that memory behind a
 * pointer is there.
 *
 *     static uint32_t arena[MODEL_ARENA_WORDS];
 *     static ts_state network;
 *
 *     if (ts_open(&network, sizeof network, model_image, sizeof model_image, arena, sizeof arena) == TS_STATUS_OK) {
 *         (void)ts_reset(&network);
 *         (void)ts_set_input(&network, pixels, sizeof pixels);
 *         (void)ts_infer(&network, NULL);
 *         (void)ts_class(&network, 0U, &digit);
 *     }
 *
 * This file is made by cbindgen of the calls' source: change that, not this.
 */


#ifndef TINYSPIKE_H
#define TINYSPIKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The largest network that a state holds: the numbers with which the library was built. tinyspike export builds it for one model, whose
 * model.h defines them.
 */
#ifndef TINYSPIKE_ENSEMBLES
#define TINYSPIKE_ENSEMBLES 16
#endif
#ifndef TINYSPIKE_CONNECTIONS
#define TINYSPIKE_CONNECTIONS 24
#endif

/* Bytes of a state. A library that was built for larger networks refuses it. */
#define TINYSPIKE_STATE_BYTES \
    (352U + (16U * sizeof(void *)) + (64U * TINYSPIKE_ENSEMBLES) + (68U * TINYSPIKE_CONNECTIONS))

/* State of a network, in memory of yours. What is in it is the library's. */
typedef struct ts_state {
    uintptr_t words[(TINYSPIKE_STATE_BYTES + sizeof(uintptr_t) - 1U) / sizeof(uintptr_t)];
} ts_state;

/* Bytes of stack that ts_open takes at most, on a microcontroller. */
#define TINYSPIKE_OPEN_STACK_BYTES 1536U

/* Bytes of stack that all other calls take at most, on a microcontroller. The callback's own come on top. */
#define TINYSPIKE_STEP_STACK_BYTES 4096U


/**
 * Result of a call. ts_status_text has a text for each.
 */
enum ts_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The call did its work.
     */
    TS_STATUS_OK = 0,
    /**
     * A pointer is NULL.
     */
    TS_STATUS_NULL_POINTER = 1,
    /**
     * The state is smaller than this library's: TINYSPIKE_ENSEMBLES and TINYSPIKE_CONNECTIONS must be those that it was built
     * with.
     */
    TS_STATUS_STATE_TOO_SMALL = 2,
    /**
     * The state, the arena or the image is not where its type may lie: at a multiple of 4, a state at one of its pointers' size.
     */
    TS_STATUS_MISALIGNED = 3,
    /**
     * No image has been opened in this state.
     */
    TS_STATUS_NOT_OPEN = 4,
    /**
     * The arena is smaller than the network needs.
     */
    TS_STATUS_ARENA_TOO_SMALL = 5,
    /**
     * Two pieces of memory that must be apart overlap.
     */
    TS_STATUS_OVERLAP = 6,
    /**
     * The bytes are not an image's.
     */
    TS_STATUS_NO_IMAGE = 7,
    /**
     * The image has a format version that this library does not read.
     */
    TS_STATUS_IMAGE_VERSION = 8,
    /**
     * Fewer bytes than the image states.
     */
    TS_STATUS_IMAGE_TRUNCATED = 9,
    /**
     * The checksum does not match: the image is damaged.
     */
    TS_STATUS_IMAGE_DAMAGED = 10,
    /**
     * The image contradicts itself.
     */
    TS_STATUS_IMAGE_INVALID = 11,
    /**
     * The network has more ensembles or connections than this library holds.
     */
    TS_STATUS_IMAGE_TOO_LARGE = 12,
    /**
     * The network needs a part of the engine that this library was built without.
     */
    TS_STATUS_NOT_BUILT = 13,
    /**
     * The network has no such input, or another number of inputs.
     */
    TS_STATUS_INPUT_INDEX = 14,
    /**
     * The input has another length.
     */
    TS_STATUS_INPUT_LENGTH = 15,
    /**
     * A byte or an event is above the largest that the input takes.
     */
    TS_STATUS_INPUT_RANGE = 16,
    /**
     * The input has no such place.
     */
    TS_STATUS_EVENT_PLACE = 17,
    /**
     * The input keeps its values and takes no events.
     */
    TS_STATUS_INPUT_HELD = 18,
    /**
     * The network has no such output.
     */
    TS_STATUS_OUTPUT_INDEX = 19,
    /**
     * The buffer has another length than what goes into it.
     */
    TS_STATUS_BUFFER_LENGTH = 20,
    /**
     * All steps of the inference are taken: reset the network first.
     */
    TS_STATUS_FINISHED = 21,
    /**
     * The network is no stream: it ends after some steps.
     */
    TS_STATUS_NO_STREAM = 22,
    /**
     * Words that were saved from another image, or are damaged.
     */
    TS_STATUS_OTHER_IMAGE = 23,
    /**
     * The state is at work: a callback may not call it.
     */
    TS_STATUS_BUSY = 24,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ts_status ts_status;
#else
typedef int32_t ts_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A neuron that spikes in a step, or a place of an input that does.
 */
typedef struct ts_event {
    /**
     * The neuron's index in its ensemble, or the place in the input.
     */
    uint16_t source;
    /**
     * The number of spikes, below zero for channels that count downwards.
     */
    int16_t value;
} ts_event;

/**
 * Callback that sees spikes of an ensemble: once or more a step if the ensemble spikes, in the order of its neurons. The events
 * are there during the call alone. It may not call the state that it is told of.
 */
typedef void (*ts_spikes)(void *context, size_t ensemble, const struct ts_event *events, size_t count);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The text of a status, in English, without a full stop. A number that is no status has a text, too.
 *
 * It blocks for a few instructions.
 */
const char *ts_status_text(int32_t status);

/**
 * Tells the bytes of arena that an image needs, from its header alone.
 *
 * It blocks for a few instructions.
 *
 * The caller promises:
 * If image is not NULL, image_bytes bytes are there. If bytes is not NULL, it can be written.
 */
ts_status ts_arena_bytes(const void *image, size_t image_bytes, size_t *bytes);

/**
 * Opens an image in a state, and brings its network to rest. A state that was open is opened again.
 *
 * state_bytes is sizeof(ts_state). The image lies at a multiple of 4, and the arena is as large as ts_arena_bytes says, or larger. Image
 * and arena stay where they are, and the image stays as it is, for as long as the state is used. Nothing else writes to the arena or the
 * state. The state may be moved or copied between two calls.
 *
 * Errors: TS_STATUS_NULL_POINTER, TS_STATUS_STATE_TOO_SMALL, TS_STATUS_MISALIGNED, TS_STATUS_ARENA_TOO_SMALL, TS_STATUS_OVERLAP,
 * TS_STATUS_NO_IMAGE, TS_STATUS_IMAGE_... and TS_STATUS_NOT_BUILT. After an error the state is not open.
 *
 * It blocks for one pass over the image's bytes (a checksum) and one over thresholds and tables: some 10 instructions a byte. It takes
 * TINYSPIKE_OPEN_STACK_BYTES of stack.
 *
 * The caller promises:
 * Pointers that are not NULL lead to as many bytes as are stated. They stay, as the text says.
 */
ts_status ts_open(ts_state *state,
                  size_t state_bytes,
                  const void *image,
                  size_t image_bytes,
                  uint32_t *arena,
                  size_t arena_bytes);

/**
 * Brings the network to rest: an inference, or a stream, begins again.
 *
 * Errors: TS_STATUS_NULL_POINTER, TS_STATUS_NOT_OPEN, TS_STATUS_BUSY; the same of all calls below.
 *
 * It blocks for one pass over the arena.
 *
 * The caller promises:
 * If state is not NULL, it is a state.
 */
ts_status ts_reset(ts_state *state);

/**
 * Sets a callback for spikes, of all calls that take steps; NULL for none. context is handed to it as it is. ts_open clears it.
 *
 * It blocks for a few instructions, and the callback as often and as long as it is called.
 *
 * The caller promises:
 * As ts_reset; the callback may be called with context for as long as it is set.
 */
ts_status ts_set_spikes(ts_state *state,
                        ts_spikes spikes,
                        void *context);

/**
 * Sets the input of a network that has one: a byte for each place, or the bytes of samples of which the network makes events, see
 * the model's header. It stays until it is set again; in a stream of current-based neurons
 * it lasts for one step.
 *
 * Errors: TS_STATUS_INPUT_INDEX (several inputs: ts_set_inputs), TS_STATUS_INPUT_LENGTH, TS_STATUS_INPUT_RANGE, TS_STATUS_OVERLAP.
 * After an error nothing has changed.
 *
 * It blocks for the weights of every place that is not at the zero point: tinyspike bench counts them, as "setting the input". It
 * takes TINYSPIKE_STEP_STACK_BYTES of stack at most.
 *
 * The caller promises:
 * As ts_reset; if values is not NULL, so many bytes are there.
 */
ts_status ts_set_input(ts_state *state,
                       const uint8_t *values,
                       size_t count);

/**
 * Sets all inputs of a network: inputs pointers to bytes, and the number of bytes behind each, in the image's order.
 *
 * Errors, time and stack: as ts_set_input.
 *
 * The caller promises:
 * As ts_reset; pointers that are not NULL lead to as many values as are stated.
 */
ts_status ts_set_inputs(ts_state *state,
                        const uint8_t *const *values,
                        const size_t *counts,
                        size_t inputs);

/**
 * Takes one step through the whole network. It is the piece into which an inference can be cut, between other work.
 *
 * Errors: TS_STATUS_FINISHED after the last step of an inference; nothing has changed then. A stream has no last step.
 *
 * It blocks for the update of every neuron and the weights of every spike: tinyspike bench counts them. It takes
 * TINYSPIKE_STEP_STACK_BYTES of stack, and what the callback takes.
 *
 * The caller promises:
 * As ts_reset.
 */
ts_status ts_step(ts_state *state);

/**
 * Takes all steps that are left of an inference, or fewer if the outputs are decided early. In a stream it takes one.
 *
 * steps, if it is not NULL, gets the number of steps since the network was at rest.
 *
 * It blocks for as many steps, see ts_step.
 *
 * The caller promises:
 * As ts_reset; if steps is not NULL, it can be written.
 */
ts_status ts_infer(ts_state *state,
                   uint16_t *steps);

/**
 * Tells if more steps on the same input change no class: every output of the image states a margin, and has it.
 *
 * It blocks for one pass over the outputs.
 *
 * The caller promises:
 * As ts_reset; if decided is not NULL, it can be written.
 */
ts_status ts_decided(const ts_state *state,
                     bool *decided);

/**
 * Reads an output: count values, as many as it has, all in units of its scale. Those of an inference are sums over the steps.
 *
 * Errors: TS_STATUS_OUTPUT_INDEX, TS_STATUS_BUFFER_LENGTH, TS_STATUS_OVERLAP.
 *
 * It blocks for one multiplication a value.
 *
 * The caller promises:
 * As ts_reset; if values is not NULL, so many values can be written.
 */
ts_status ts_output(const ts_state *state,
                    size_t output,
                    int32_t *values,
                    size_t count);

/**
 * Reads an output in the network's units: the nearest float to each value, those of an inference as means over the steps. No float
 * instruction is used.
 *
 * Errors: as ts_output.
 *
 * It blocks for a division of 64 bits a value.
 *
 * The caller promises:
 * As ts_output.
 */
ts_status ts_dequantize(const ts_state *state,
                        size_t output,
                        float *values,
                        size_t count);

/**
 * Tells the class of an output: the index of its largest value, the first of equals.
 *
 * Errors: TS_STATUS_OUTPUT_INDEX.
 *
 * It blocks for one multiplication a value.
 *
 * The caller promises:
 * As ts_reset; if class_index is not NULL, it can be written.
 */
ts_status ts_class(const ts_state *state, size_t output, size_t *class_index);

/**
 * Tells the number of places of an input.
 *
 * Errors: TS_STATUS_INPUT_INDEX.
 *
 * It blocks for a few instructions.
 *
 * The caller promises:
 * As ts_reset; if places is not NULL, it can be written.
 */
ts_status ts_input_size(const ts_state *state, size_t input, size_t *places);

/**
 * Tells the number of values of an output.
 *
 * Errors: TS_STATUS_OUTPUT_INDEX.
 *
 * It blocks for a few instructions.
 *
 * The caller promises:
 * As ts_reset; if values is not NULL, it can be written.
 */
ts_status ts_output_size(const ts_state *state, size_t output, size_t *values);

/**
 * Pushes events to an input of current-based neurons, for the next step. The events of a step at one place are together no more than
 * one may have; more give wrong numbers.
 *
 * Errors: TS_STATUS_EVENT_PLACE, TS_STATUS_INPUT_RANGE, TS_STATUS_INPUT_HELD, TS_STATUS_INPUT_INDEX, TS_STATUS_OVERLAP. After an error the
 * events before the first faulty one have been pushed.
 *
 * It blocks for the weights of each event.
 *
 * The caller promises:
 * As ts_reset; if events is not NULL, so many events are there.
 */
ts_status ts_push_events(ts_state *state,
                         size_t input,
                         const struct ts_event *events,
                         size_t count);

/**
 * Pushes samples over time to a stream with one input: each is a byte for each place, and takes a step. count is the number of all
 * bytes, whole samples.
 *
 * Errors: TS_STATUS_NO_STREAM, TS_STATUS_INPUT_INDEX, TS_STATUS_INPUT_LENGTH, TS_STATUS_INPUT_RANGE, TS_STATUS_OVERLAP. After
 * TS_STATUS_INPUT_RANGE the samples before the faulty one have taken their steps.
 *
 * It blocks for ts_set_input and ts_step of each sample.
 *
 * The caller promises:
 * As ts_set_input.
 */
ts_status ts_push_samples(ts_state *state,
                          const uint8_t *values,
                          size_t count);

/**
 * Tells if steps without events change nothing: a core may sleep until the next event, and leave the steps out.
 *
 * It blocks for one pass over the arena at most.
 *
 * The caller promises:
 * As ts_reset; if idle is not NULL, it can be written.
 */
ts_status ts_is_idle(const ts_state *state,
                     bool *idle);

/**
 * Tells the number of words that ts_save writes: those of the arena and two more.
 *
 * It blocks for a few instructions.
 *
 * The caller promises:
 * As ts_reset; if words is not NULL, it can be written.
 */
ts_status ts_saved_words(const ts_state *state, size_t *words);

/**
 * Saves the state of a stream, to be kept through a deep sleep: as many words as ts_saved_words says.
 *
 * Errors: TS_STATUS_NO_STREAM, TS_STATUS_BUFFER_LENGTH, TS_STATUS_OVERLAP.
 *
 * It blocks for one pass over the arena.
 *
 * The caller promises:
 * As ts_reset; if buffer is not NULL, so many words can be written.
 */
ts_status ts_save(const ts_state *state, uint32_t *buffer, size_t words);

/**
 * Brings back the state of a stream that ts_save has written, of this image.
 *
 * Errors: TS_STATUS_NO_STREAM, TS_STATUS_BUFFER_LENGTH, TS_STATUS_OTHER_IMAGE, TS_STATUS_OVERLAP. After an error nothing has changed.
 *
 * It blocks for two passes over the arena.
 *
 * The caller promises:
 * As ts_reset; if buffer is not NULL, so many words are there.
 */
ts_status ts_restore(ts_state *state,
                     const uint32_t *buffer,
                     size_t words);

/**
 * Quantizes values in the network's units to the bytes of an input: count of each, one for each place. They are rounded to nearest,
 * ties away from zero, and cut to what the input takes; NaN becomes 0. No float instruction is used.
 *
 * Errors: TS_STATUS_INPUT_INDEX, also for an input that makes events of samples and takes them as they are; TS_STATUS_INPUT_LENGTH,
 * TS_STATUS_OVERLAP.
 *
 * It blocks for a division of 64 bits a value.
 *
 * The caller promises:
 * As ts_reset; if values is not NULL, so many values are there; if bytes is not NULL, so many bytes can be written.
 */
ts_status ts_quantize_f32(const ts_state *state,
                          size_t input,
                          const float *values,
                          size_t count,
                          uint8_t *bytes);

/**
 * Quantizes integers of a converter, of which each unit stands for unit in the network's units, as ts_quantize_f32 does their exact
 * products.
 *
 * Errors and time: as ts_quantize_f32.
 *
 * The caller promises:
 * As ts_quantize_f32.
 */
ts_status ts_quantize_i16(const ts_state *state,
                          size_t input,
                          const int16_t *samples,
                          size_t count,
                          float unit,
                          uint8_t *bytes);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TINYSPIKE_H */


