/*
 * Runs the model on a recorded sample, and returns 0 only if every spike and every output is the emulator's.
 *
 * This file is an example: take from it what you need.
 */
#include "model.h"
#include "sample.h"

static ts_state network;
static uint32_t arena[MODEL_ARENA_WORDS];
static int32_t values[MODEL_LARGEST_OUTPUT];

/* A hash (FNV-1a) of what has been seen, and the number of spikes. */
typedef struct record {
    uint32_t digest;
    uint32_t spikes;
} record;

static void add(record *seen, uint32_t value)
{
    unsigned int byte;

    for (byte = 0U; byte < 4U; byte++) {
        seen->digest = (seen->digest ^ ((value >> (8U * byte)) & 0xFFU)) * 16777619U;
    }
}

static void on_spikes(void *context, size_t ensemble, const ts_event *events, size_t count)
{
    record *seen = (record *)context;
    size_t at;

    for (at = 0U; at < count; at++) {
        const int32_t value = events[at].value;

        add(seen, (uint32_t)ensemble);
        add(seen, events[at].source);
        add(seen, (uint32_t)value);
        seen->spikes += (uint32_t)((value < 0) ? -value : value);
    }
}

static ts_status set_inputs(const uint8_t *frame)
{
    const uint8_t *inputs[MODEL_INPUTS];
    size_t at;

    for (at = 0U; at < MODEL_INPUTS; at++) {
        inputs[at] = frame;
        frame += model_input_sizes[at];
    }
    return ts_set_inputs(&network, inputs, model_input_sizes, MODEL_INPUTS);
}

/* Adds the values of all outputs to the record, and compares them with the last ones of the emulator if that is asked for. */
static ts_status look_at_outputs(record *seen, int *differ)
{
    const int32_t *expected = sample_outputs;
    ts_status status = TS_STATUS_OK;
    size_t output;
    size_t at;

    for (output = 0U; (output < MODEL_OUTPUTS) && (status == TS_STATUS_OK); output++) {
        status = ts_output(&network, output, values, model_output_sizes[output]);
        for (at = 0U; (at < model_output_sizes[output]) && (status == TS_STATUS_OK); at++) {
            add(seen, (uint32_t)values[at]);
            if ((differ != NULL) && (values[at] != *expected)) {
                *differ = 1;
            }
            expected++;
        }
    }
    return status;
}

static ts_status run(record *seen, uint16_t *steps)
{
    ts_status status;
    size_t frame;

    status = ts_open(&network, sizeof network, model_image, sizeof model_image, arena, sizeof arena);
    if (status == TS_STATUS_OK) {
        status = ts_set_spikes(&network, on_spikes, seen);
    }
    /* A network with an end has one frame for all its steps; a stream has one for each step. */
    for (frame = 0U; (frame < SAMPLE_FRAMES) && (status == TS_STATUS_OK); frame++) {
        status = set_inputs(&sample_frames[frame * SAMPLE_FRAME_BYTES]);
        if (status == TS_STATUS_OK) {
            status = ts_infer(&network, steps);
        }
        if (status == TS_STATUS_OK) {
            status = look_at_outputs(seen, NULL);
        }
    }
    return status;
}

int main(void)
{
    record seen = {2166136261U, 0U};
    record last = {0U, 0U};
    uint16_t steps = 0U;
    size_t class_index = 0U;
    int differ = 0;

    if (run(&seen, &steps) != TS_STATUS_OK) {
        return 1;
    }
    if ((steps != SAMPLE_STEPS) || (seen.spikes != SAMPLE_SPIKES) || (seen.digest != SAMPLE_DIGEST)) {
        return 2;
    }
    if ((look_at_outputs(&last, &differ) != TS_STATUS_OK) || (differ != 0)) {
        return 3;
    }
    if ((ts_class(&network, 0U, &class_index) != TS_STATUS_OK) || (class_index != SAMPLE_CLASS)) {
        return 4;
    }
    return 0;
}
