/*
 * Tests of tinyspike.h from C, on any exported model: results that are the emulator's, and errors for wrong arguments. It is
 * built with the sanitizers of the host's compiler, and returns the number of failed checks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "sample.h"

static int failures;

#define CHECK(condition)                                                \
    do {                                                                \
        if (!(condition)) {                                             \
            (void)printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            failures++;                                                 \
        }                                                               \
    } while (0)

#define GUARD 16U
#define GUARD_WORD 0xDEADBEEFU

/* A network in memory of its own, with words around the arena that must not change. */
typedef struct network {
    ts_state state;
    uint32_t *memory;
    uint32_t digest;
    uint32_t spikes;
} network;

static uint32_t *arena_of(const network *n)
{
    return n->memory + GUARD;
}

static void hash(network *n, uint32_t value)
{
    unsigned int byte;

    for (byte = 0U; byte < 4U; byte++) {
        n->digest = (n->digest ^ ((value >> (8U * byte)) & 0xFFU)) * 16777619U;
    }
}

static void on_spikes(void *context, size_t ensemble, const ts_event *events, size_t count)
{
    network *n = (network *)context;
    size_t at;

    for (at = 0U; at < count; at++) {
        hash(n, (uint32_t)ensemble);
        hash(n, events[at].source);
        hash(n, (uint32_t)(int32_t)events[at].value);
        n->spikes += (uint32_t)abs(events[at].value);
    }
}

static ts_status open_in(network *n)
{
    return ts_open(&n->state, sizeof n->state, model_image, sizeof model_image, arena_of(n),
                   MODEL_ARENA_WORDS * sizeof(uint32_t));
}

static network *open_network(void)
{
    network *n = (network *)calloc(1U, sizeof *n);
    size_t at;

    if (n == NULL) {
        exit(99);
    }
    n->digest = 2166136261U;
    n->memory = (uint32_t *)malloc((MODEL_ARENA_WORDS + 2U * GUARD) * sizeof(uint32_t));
    if (n->memory == NULL) {
        exit(99);
    }
    for (at = 0U; at < MODEL_ARENA_WORDS + 2U * GUARD; at++) {
        n->memory[at] = GUARD_WORD;
    }
    CHECK(open_in(n) == TS_STATUS_OK);
    CHECK(ts_set_spikes(&n->state, on_spikes, n) == TS_STATUS_OK);
    return n;
}

static void close_network(network *n)
{
    size_t at;

    for (at = 0U; at < GUARD; at++) {
        CHECK(n->memory[at] == GUARD_WORD);
        CHECK(n->memory[GUARD + MODEL_ARENA_WORDS + at] == GUARD_WORD);
    }
    free(n->memory);
    free(n);
}

static const uint8_t *frame_of(size_t frame)
{
    return &sample_frames[frame * SAMPLE_FRAME_BYTES];
}

static ts_status set_frame(network *n, const uint8_t *frame)
{
    const uint8_t *inputs[MODEL_INPUTS];
    size_t at;

    for (at = 0U; at < MODEL_INPUTS; at++) {
        inputs[at] = frame;
        frame += model_input_sizes[at];
    }
    return ts_set_inputs(&n->state, inputs, model_input_sizes, MODEL_INPUTS);
}

static void hash_outputs(network *n)
{
    static int32_t values[MODEL_LARGEST_OUTPUT];
    size_t output;
    size_t at;

    for (output = 0U; output < MODEL_OUTPUTS; output++) {
        CHECK(ts_output(&n->state, output, values, model_output_sizes[output]) == TS_STATUS_OK);
        for (at = 0U; at < model_output_sizes[output]; at++) {
            hash(n, (uint32_t)values[at]);
        }
    }
}

static void take(network *n, size_t frame)
{
    CHECK(set_frame(n, frame_of(frame)) == TS_STATUS_OK);
    CHECK(ts_infer(&n->state, NULL) == TS_STATUS_OK);
    hash_outputs(n);
}

static void check_result(const network *n)
{
    size_t class_index = 12345U;

    CHECK(n->digest == SAMPLE_DIGEST);
    CHECK(n->spikes == SAMPLE_SPIKES);
    CHECK(ts_class(&n->state, 0U, &class_index) == TS_STATUS_OK);
    CHECK(class_index == SAMPLE_CLASS);
}

static void restart(network *n)
{
    n->digest = 2166136261U;
    n->spikes = 0U;
    CHECK(ts_reset(&n->state) == TS_STATUS_OK);
}

/* Results are the emulator's, again after a reset, and in two networks by turns. */
static void test_results(void)
{
    network *a = open_network();
    network *b = open_network();
    size_t round;
    size_t frame;

    for (round = 0U; round < 2U; round++) {
        restart(a);
        restart(b);
        for (frame = 0U; frame < SAMPLE_FRAMES; frame++) {
            take(a, frame);
            take(b, frame);
        }
        check_result(a);
        check_result(b);
    }
    close_network(a);
    close_network(b);
}

/* Steps one by one are an inference; a state may be moved between them. */
static void test_steps(void)
{
    network *n = open_network();
    ts_state moved;
    size_t frame;
    uint16_t steps = 0U;

    for (frame = 0U; frame < SAMPLE_FRAMES; frame++) {
        bool decided = false;
        CHECK(set_frame(n, frame_of(frame)) == TS_STATUS_OK);
        do {
            (void)memcpy(&moved, &n->state, sizeof moved);
            (void)memset(&n->state, 0, sizeof n->state);
            CHECK(ts_step(&n->state) == TS_STATUS_NOT_OPEN);
            (void)memcpy(&n->state, &moved, sizeof moved);
            CHECK(ts_step(&n->state) == TS_STATUS_OK);
            steps++;
            CHECK(ts_decided(&n->state, &decided) == TS_STATUS_OK);
        } while ((MODEL_STEPS != 0U) && !decided && (steps < MODEL_STEPS));
        hash_outputs(n);
    }
    CHECK(steps == SAMPLE_STEPS);
    check_result(n);
    if (MODEL_STEPS != 0U) {
        while (steps < MODEL_STEPS) {
            CHECK(ts_step(&n->state) == TS_STATUS_OK);
            steps++;
        }
        CHECK(ts_step(&n->state) == TS_STATUS_FINISHED);
        CHECK(ts_reset(&n->state) == TS_STATUS_OK);
        CHECK(ts_step(&n->state) == TS_STATUS_OK);
    }
    close_network(n);
}

static void test_streams(void)
{
    network *n = open_network();
    size_t words = 0U;
    uint32_t *saved;
    size_t frame;
    bool idle = true;

    CHECK(ts_is_idle(&n->state, &idle) == TS_STATUS_OK);
    CHECK(ts_saved_words(&n->state, &words) == TS_STATUS_OK);
    CHECK(words == MODEL_ARENA_WORDS + 2U);
    saved = (uint32_t *)calloc(words + 1U, sizeof(uint32_t));
    if (saved == NULL) {
        exit(99);
    }
    if (MODEL_STEPS != 0U) {
        CHECK(ts_push_samples(&n->state, sample_frames, SAMPLE_FRAME_BYTES) == TS_STATUS_NO_STREAM);
        CHECK(ts_save(&n->state, saved, words) == TS_STATUS_NO_STREAM);
        CHECK(ts_restore(&n->state, saved, words) == TS_STATUS_NO_STREAM);
    } else {
        const size_t half = SAMPLE_FRAMES / 2U;
        uint32_t digest;
        uint32_t spikes;

        /* All samples at once have the same spikes as one by one; only the outputs between are not seen. */
        for (frame = 0U; frame < SAMPLE_FRAMES; frame++) {
            CHECK(set_frame(n, frame_of(frame)) == TS_STATUS_OK);
            CHECK(ts_step(&n->state) == TS_STATUS_OK);
        }
        digest = n->digest;
        spikes = n->spikes;
        CHECK(spikes == SAMPLE_SPIKES);
        restart(n);
        CHECK(ts_push_samples(&n->state, sample_frames, sizeof sample_frames) == TS_STATUS_OK);
        CHECK(n->digest == digest);
        CHECK(ts_push_samples(&n->state, sample_frames, sizeof sample_frames - 1U) ==
              ((SAMPLE_FRAME_BYTES == 1U) ? TS_STATUS_OK : TS_STATUS_INPUT_LENGTH));

        /* A state that is saved on the way goes on in another network. */
        restart(n);
        for (frame = 0U; frame < half; frame++) {
            take(n, frame);
        }
        CHECK(ts_save(&n->state, saved, words) == TS_STATUS_OK);
        CHECK(ts_save(&n->state, saved, words - 1U) == TS_STATUS_BUFFER_LENGTH);
        CHECK(ts_save(&n->state, saved, words + 1U) == TS_STATUS_BUFFER_LENGTH);
        CHECK(ts_save(&n->state, arena_of(n), words) == TS_STATUS_OVERLAP);
        {
            network *other = open_network();
            take(other, SAMPLE_FRAMES - 1U);
            CHECK(ts_restore(&other->state, saved, words - 1U) == TS_STATUS_BUFFER_LENGTH);
            saved[2] ^= 1U;
            CHECK(ts_restore(&other->state, saved, words) == TS_STATUS_OTHER_IMAGE);
            saved[2] ^= 1U;
            saved[0] ^= 1U;
            CHECK(ts_restore(&other->state, saved, words) == TS_STATUS_OTHER_IMAGE);
            saved[0] ^= 1U;
            CHECK(ts_restore(&other->state, arena_of(other), words) == TS_STATUS_OVERLAP);
            CHECK(ts_restore(&other->state, saved, words) == TS_STATUS_OK);
            other->digest = n->digest;
            other->spikes = n->spikes;
            for (frame = half; frame < SAMPLE_FRAMES; frame++) {
                take(other, frame);
            }
            check_result(other);
            close_network(other);
        }
    }
    free(saved);
    close_network(n);
}

/* Events are what a whole input is, for current-based neurons. */
static void test_events(void)
{
    network *n = open_network();
    ts_event event = {0U, 1};
    const ts_status first = ts_push_events(&n->state, 0U, &event, 1U);

    CHECK(ts_push_events(&n->state, MODEL_INPUTS, &event, 1U) == TS_STATUS_INPUT_INDEX);
    CHECK(ts_push_events(&n->state, 0U, NULL, 1U) == TS_STATUS_NULL_POINTER);
    CHECK(ts_push_events(&n->state, 0U, NULL, 0U) == TS_STATUS_OK);
    event.source = 65535U;
    CHECK(ts_push_events(&n->state, 0U, &event, 1U) != TS_STATUS_OK);
    if (first == TS_STATUS_OK) {
        size_t frame;
        size_t place;

        event.source = 0U;
        event.value = 32767;
        CHECK(ts_push_events(&n->state, 0U, &event, 1U) == TS_STATUS_INPUT_RANGE);
        restart(n);
        for (frame = 0U; frame < SAMPLE_FRAMES; frame++) {
            for (place = 0U; place < MODEL_INPUT_0_SIZE; place++) {
                const int value = (int)frame_of(frame)[place] - (int)MODEL_INPUT_0_RESTING_BYTE;
                event.source = (uint16_t)place;
                event.value = (int16_t)value;
                if (value != 0) {
                    CHECK(ts_push_events(&n->state, 0U, &event, 1U) == TS_STATUS_OK);
                }
            }
            CHECK(ts_step(&n->state) == TS_STATUS_OK);
            hash_outputs(n);
        }
        check_result(n);
    } else {
        CHECK(first == TS_STATUS_INPUT_HELD);
    }
    close_network(n);
}

static void test_edges(void)
{
    static float values[SAMPLE_FRAME_BYTES];
    static float outputs[MODEL_LARGEST_OUTPUT];
    static uint8_t bytes[SAMPLE_FRAME_BYTES];
    static int16_t integers[SAMPLE_FRAME_BYTES];
    static int32_t sums[MODEL_LARGEST_OUTPUT];
    network *n = open_network();
    const size_t size = MODEL_INPUT_0_SIZE;
    size_t at;

    take(n, 0U);
#ifdef MODEL_INPUT_0_SCALE
    for (at = 0U; at < size; at++) {
        values[at] = MODEL_INPUT_0_SCALE * (float)((int)frame_of(0U)[at] - MODEL_INPUT_0_ZERO_POINT);
        integers[at] = (int16_t)((int)frame_of(0U)[at] - MODEL_INPUT_0_ZERO_POINT);
    }
    CHECK(ts_quantize_f32(&n->state, 0U, values, size, bytes) == TS_STATUS_OK);
    CHECK(memcmp(bytes, frame_of(0U), size) == 0);
    (void)memset(bytes, 0x5A, sizeof bytes);
    CHECK(ts_quantize_i16(&n->state, 0U, integers, size, MODEL_INPUT_0_SCALE, bytes) == TS_STATUS_OK);
    CHECK(memcmp(bytes, frame_of(0U), size) == 0);
    for (at = 0U; at < size; at++) {
        values[at] = 2.0F * MODEL_INPUT_0_MOST + 1.0F;
    }
    CHECK(ts_quantize_f32(&n->state, 0U, values, size, bytes) == TS_STATUS_OK);
    CHECK(bytes[0] == MODEL_INPUT_0_MAX);
#endif
    CHECK(ts_quantize_f32(&n->state, 0U, values, size - 1U, bytes) == TS_STATUS_INPUT_LENGTH);
    CHECK(ts_quantize_f32(&n->state, MODEL_INPUTS, values, size, bytes) == TS_STATUS_INPUT_INDEX);
    CHECK(ts_quantize_f32(&n->state, 0U, NULL, size, bytes) == TS_STATUS_NULL_POINTER);
    CHECK(ts_quantize_f32(&n->state, 0U, values, size, NULL) == TS_STATUS_NULL_POINTER);
    CHECK(ts_quantize_f32(&n->state, 0U, values, size, (uint8_t *)values) == TS_STATUS_OVERLAP);
    CHECK(ts_quantize_f32(&n->state, 0U, (const float *)(const void *)(bytes + ((((uintptr_t)bytes % 2U) == 0U) ? 1U : 2U)), 1U,
                          bytes) == TS_STATUS_MISALIGNED);
    CHECK(ts_quantize_i16(&n->state, 0U, integers, size + 1U, 1.0F, bytes) == TS_STATUS_INPUT_LENGTH);
    CHECK(ts_quantize_i16(&n->state, 0U, NULL, size, 1.0F, bytes) == TS_STATUS_NULL_POINTER);

    CHECK(ts_output(&n->state, 0U, sums, MODEL_OUTPUT_0_SIZE) == TS_STATUS_OK);
    CHECK(ts_dequantize(&n->state, 0U, outputs, MODEL_OUTPUT_0_SIZE) == TS_STATUS_OK);
    for (at = 0U; at < MODEL_OUTPUT_0_SIZE; at++) {
        const uint16_t steps = (MODEL_STEPS == 0U) ? 1U : SAMPLE_STEPS;
        const double value = (double)MODEL_OUTPUT_0_SCALE * (double)sums[at] / (double)steps;
        const double difference = value - (double)outputs[at];
        const double allowed = ((value < 0.0) ? -value : value) * 1e-6;
        CHECK((difference <= allowed) && (-difference <= allowed));
    }
    CHECK(ts_dequantize(&n->state, 0U, outputs, MODEL_OUTPUT_0_SIZE + 1U) == TS_STATUS_BUFFER_LENGTH);
    CHECK(ts_dequantize(&n->state, MODEL_OUTPUTS, outputs, 1U) == TS_STATUS_OUTPUT_INDEX);
    close_network(n);
}

static void test_images(void)
{
    static ts_state state;
    static uint32_t arena[MODEL_ARENA_WORDS];
    uint8_t *copy = (uint8_t *)malloc(sizeof model_image + 4U);
    const size_t arena_bytes = sizeof arena;
    size_t bytes = 0U;
    size_t at;

    if (copy == NULL) {
        exit(99);
    }
    CHECK(ts_arena_bytes(model_image, sizeof model_image, &bytes) == TS_STATUS_OK);
    CHECK(bytes == arena_bytes);
    CHECK(ts_arena_bytes(model_image, 3U, &bytes) == TS_STATUS_NO_IMAGE);
    CHECK(ts_arena_bytes(NULL, 3U, &bytes) == TS_STATUS_NULL_POINTER);
    CHECK(ts_arena_bytes(model_image, sizeof model_image, NULL) == TS_STATUS_NULL_POINTER);

    (void)memcpy(copy, model_image, sizeof model_image);
    CHECK(ts_open(&state, sizeof state, copy, sizeof model_image, arena, arena_bytes) == TS_STATUS_OK);
    CHECK(ts_open(&state, sizeof state, copy, MODEL_IMAGE_BYTES - 1U, arena, arena_bytes) == TS_STATUS_IMAGE_TRUNCATED);
    CHECK(ts_reset(&state) == TS_STATUS_NOT_OPEN);
    for (at = 0U; at < 32U; at++) {
        const ts_status status = ts_open(&state, sizeof state, copy, at, arena, arena_bytes);
        CHECK((status == TS_STATUS_NO_IMAGE) || (status == TS_STATUS_IMAGE_TRUNCATED) || (status == TS_STATUS_IMAGE_VERSION));
    }
    for (at = 0U; at < MODEL_IMAGE_BYTES; at += 97U) {
        copy[at] ^= 0x10U;
        CHECK(ts_open(&state, sizeof state, copy, sizeof model_image, arena, arena_bytes) != TS_STATUS_OK);
        CHECK(ts_step(&state) == TS_STATUS_NOT_OPEN);
        copy[at] ^= 0x10U;
    }
    copy[MODEL_IMAGE_BYTES - 1U] ^= 1U;
    CHECK(ts_open(&state, sizeof state, copy, sizeof model_image, arena, arena_bytes) == TS_STATUS_IMAGE_DAMAGED);
    copy[MODEL_IMAGE_BYTES - 1U] ^= 1U;
    copy[4]++;
    CHECK(ts_open(&state, sizeof state, copy, sizeof model_image, arena, arena_bytes) == TS_STATUS_IMAGE_VERSION);
    copy[4]--;
    copy[0]++;
    CHECK(ts_open(&state, sizeof state, copy, sizeof model_image, arena, arena_bytes) == TS_STATUS_NO_IMAGE);
    for (at = 1U; at < 4U; at++) {
        (void)memmove(copy + at, model_image, sizeof model_image);
        CHECK(ts_open(&state, sizeof state, copy + at, sizeof model_image, arena, arena_bytes) == TS_STATUS_MISALIGNED);
    }
    free(copy);
}

static void test_arguments(void)
{
    static ts_state state;
    static uint32_t arena[MODEL_ARENA_WORDS + 1U];
    static uint8_t frame[SAMPLE_FRAME_BYTES + 1U];
    static int32_t values[MODEL_LARGEST_OUTPUT + 1U];
    const size_t arena_bytes = MODEL_ARENA_WORDS * sizeof(uint32_t);
    const void *image = model_image;
    const size_t image_bytes = sizeof model_image;
    const uint8_t *pointers[5] = {frame, frame, frame, frame, frame};
    const size_t counts[5] = {1U, 1U, 1U, 1U, 1U};
    unsigned char *raw = (unsigned char *)malloc(sizeof(ts_state) + 1U);
    size_t number = 0U;
    bool flag = false;
    network *n;

    if (raw == NULL) {
        exit(99);
    }
    /* A state that was never opened. */
    CHECK(ts_reset(&state) == TS_STATUS_NOT_OPEN);
    CHECK(ts_set_spikes(&state, on_spikes, NULL) == TS_STATUS_NOT_OPEN);
    CHECK(ts_set_input(&state, frame, 1U) == TS_STATUS_NOT_OPEN);
    CHECK(ts_set_inputs(&state, pointers, counts, 1U) == TS_STATUS_NOT_OPEN);
    CHECK(ts_step(&state) == TS_STATUS_NOT_OPEN);
    CHECK(ts_infer(&state, NULL) == TS_STATUS_NOT_OPEN);
    CHECK(ts_decided(&state, &flag) == TS_STATUS_NOT_OPEN);
    CHECK(ts_output(&state, 0U, values, 1U) == TS_STATUS_NOT_OPEN);
    CHECK(ts_class(&state, 0U, &number) == TS_STATUS_NOT_OPEN);
    CHECK(ts_input_size(&state, 0U, &number) == TS_STATUS_NOT_OPEN);
    CHECK(ts_output_size(&state, 0U, &number) == TS_STATUS_NOT_OPEN);
    CHECK(ts_push_events(&state, 0U, NULL, 0U) == TS_STATUS_NOT_OPEN);
    CHECK(ts_push_samples(&state, frame, 1U) == TS_STATUS_NOT_OPEN);
    CHECK(ts_is_idle(&state, &flag) == TS_STATUS_NOT_OPEN);
    CHECK(ts_saved_words(&state, &number) == TS_STATUS_NOT_OPEN);
    CHECK(ts_save(&state, arena, 1U) == TS_STATUS_NOT_OPEN);
    CHECK(ts_restore(&state, arena, 1U) == TS_STATUS_NOT_OPEN);

    /* No state at all. */
    CHECK(ts_reset(NULL) == TS_STATUS_NULL_POINTER);
    CHECK(ts_set_spikes(NULL, on_spikes, NULL) == TS_STATUS_NULL_POINTER);
    CHECK(ts_set_input(NULL, frame, 1U) == TS_STATUS_NULL_POINTER);
    CHECK(ts_step(NULL) == TS_STATUS_NULL_POINTER);
    CHECK(ts_infer(NULL, NULL) == TS_STATUS_NULL_POINTER);
    CHECK(ts_output(NULL, 0U, values, 1U) == TS_STATUS_NULL_POINTER);
    CHECK(ts_class(NULL, 0U, &number) == TS_STATUS_NULL_POINTER);
    CHECK(ts_is_idle(NULL, &flag) == TS_STATUS_NULL_POINTER);
    CHECK(ts_push_samples(NULL, frame, 1U) == TS_STATUS_NULL_POINTER);
    CHECK(ts_save(NULL, arena, 1U) == TS_STATUS_NULL_POINTER);
    CHECK(ts_restore(NULL, arena, 1U) == TS_STATUS_NULL_POINTER);

    /* Memory that ts_open refuses. */
    CHECK(ts_open(NULL, 0U, image, image_bytes, arena, arena_bytes) == TS_STATUS_NULL_POINTER);
    CHECK(ts_open(NULL, sizeof state, image, image_bytes, arena, arena_bytes) == TS_STATUS_NULL_POINTER);
    CHECK(ts_open(&state, sizeof state, NULL, image_bytes, arena, arena_bytes) == TS_STATUS_NULL_POINTER);
    CHECK(ts_open(&state, sizeof state, image, image_bytes, NULL, arena_bytes) == TS_STATUS_NULL_POINTER);
    CHECK(ts_open(&state, 64U, image, image_bytes, arena, arena_bytes) == TS_STATUS_STATE_TOO_SMALL);
    CHECK(ts_open((ts_state *)(void *)(raw + 1), sizeof state, image, image_bytes, arena, arena_bytes) == TS_STATUS_MISALIGNED);
    CHECK(ts_open(&state, sizeof state, image, image_bytes, (uint32_t *)(void *)((unsigned char *)arena + 1), arena_bytes) ==
          TS_STATUS_MISALIGNED);
    CHECK(ts_open(&state, sizeof state, image, image_bytes, arena, arena_bytes - 1U) == TS_STATUS_ARENA_TOO_SMALL);
    CHECK(ts_open(&state, sizeof state, image, image_bytes, arena, 0U) == TS_STATUS_ARENA_TOO_SMALL);
    CHECK(ts_open(&state, sizeof state, image, image_bytes, (uint32_t *)(void *)&state, arena_bytes) == TS_STATUS_OVERLAP);
    CHECK(ts_open(&state, sizeof state, &state, image_bytes, arena, arena_bytes) == TS_STATUS_OVERLAP);
    CHECK(ts_step(&state) == TS_STATUS_NOT_OPEN);
    free(raw);

    /* Wrong arguments of a state that is open; afterwards it still works. */
    n = open_network();
    (void)memcpy(frame, sample_frames, SAMPLE_FRAME_BYTES);
    if (MODEL_INPUTS == 1U) {
        CHECK(ts_set_input(&n->state, frame, SAMPLE_FRAME_BYTES - 1U) == TS_STATUS_INPUT_LENGTH);
        CHECK(ts_set_input(&n->state, frame, SAMPLE_FRAME_BYTES + 1U) == TS_STATUS_INPUT_LENGTH);
        CHECK(ts_set_input(&n->state, frame, SIZE_MAX) != TS_STATUS_OK);
        CHECK(ts_set_input(&n->state, (const uint8_t *)arena_of(n), SAMPLE_FRAME_BYTES) == TS_STATUS_OVERLAP);
        if (MODEL_INPUT_0_MAX < 255U) {
            frame[SAMPLE_FRAME_BYTES - 1U] = (uint8_t)(MODEL_INPUT_0_MAX + 1U);
            CHECK(ts_set_input(&n->state, frame, SAMPLE_FRAME_BYTES) == TS_STATUS_INPUT_RANGE);
            frame[SAMPLE_FRAME_BYTES - 1U] = 0U;
        }
        CHECK(ts_set_input(&n->state, frame, SAMPLE_FRAME_BYTES) == TS_STATUS_OK);
    }
    CHECK(ts_set_input(&n->state, NULL, SAMPLE_FRAME_BYTES) == TS_STATUS_NULL_POINTER);
    CHECK(ts_set_inputs(&n->state, pointers, counts, 5U) == TS_STATUS_INPUT_INDEX);
    CHECK(ts_set_inputs(&n->state, pointers, counts, MODEL_INPUTS + 1U) == TS_STATUS_INPUT_INDEX);
    CHECK(ts_set_inputs(&n->state, NULL, counts, 1U) == TS_STATUS_NULL_POINTER);
    CHECK(ts_set_inputs(&n->state, pointers, NULL, 1U) == TS_STATUS_NULL_POINTER);
    CHECK(ts_output(&n->state, MODEL_OUTPUTS, values, 1U) == TS_STATUS_OUTPUT_INDEX);
    CHECK(ts_output(&n->state, 0U, values, MODEL_OUTPUT_0_SIZE + 1U) == TS_STATUS_BUFFER_LENGTH);
    CHECK(ts_output(&n->state, 0U, values, 0U) == TS_STATUS_BUFFER_LENGTH);
    CHECK(ts_output(&n->state, 0U, NULL, MODEL_OUTPUT_0_SIZE) == TS_STATUS_NULL_POINTER);
    CHECK(ts_output(&n->state, 0U, (int32_t *)(void *)arena_of(n), MODEL_OUTPUT_0_SIZE) == TS_STATUS_OVERLAP);
    CHECK(ts_class(&n->state, MODEL_OUTPUTS, &number) == TS_STATUS_OUTPUT_INDEX);
    CHECK(ts_class(&n->state, 0U, NULL) == TS_STATUS_NULL_POINTER);
    CHECK(ts_decided(&n->state, NULL) == TS_STATUS_NULL_POINTER);
    CHECK(ts_is_idle(&n->state, NULL) == TS_STATUS_NULL_POINTER);
    CHECK(ts_input_size(&n->state, 0U, &number) == TS_STATUS_OK);
    CHECK(number == MODEL_INPUT_0_SIZE);
    CHECK(ts_input_size(&n->state, MODEL_INPUTS, &number) == TS_STATUS_INPUT_INDEX);
    CHECK(ts_output_size(&n->state, 0U, &number) == TS_STATUS_OK);
    CHECK(number == MODEL_OUTPUT_0_SIZE);
    CHECK(ts_output_size(&n->state, MODEL_OUTPUTS, &number) == TS_STATUS_OUTPUT_INDEX);
    restart(n);
    for (number = 0U; number < SAMPLE_FRAMES; number++) {
        take(n, number);
    }
    check_result(n);
    close_network(n);
}

/* Callback that calls the state it is told of. */
static void call_back(void *context, size_t ensemble, const ts_event *events, size_t count)
{
    network *n = (network *)context;
    size_t class_index;

    (void)ensemble;
    (void)events;
    (void)count;
    n->spikes++;
    CHECK(ts_step(&n->state) == TS_STATUS_BUSY);
    CHECK(ts_reset(&n->state) == TS_STATUS_BUSY);
    CHECK(ts_class(&n->state, 0U, &class_index) == TS_STATUS_BUSY);
    CHECK(ts_set_spikes(&n->state, NULL, NULL) == TS_STATUS_BUSY);
}

static void test_callbacks(void)
{
    network *n = open_network();
    size_t frame;

    CHECK(ts_set_spikes(&n->state, call_back, n) == TS_STATUS_OK);
    for (frame = 0U; frame < SAMPLE_FRAMES; frame++) {
        CHECK(set_frame(n, frame_of(frame)) == TS_STATUS_OK);
        CHECK(ts_infer(&n->state, NULL) == TS_STATUS_OK);
    }
    CHECK((n->spikes > 0U) == (SAMPLE_SPIKES > 0U));
    n->spikes = 0U;
    CHECK(ts_set_spikes(&n->state, NULL, NULL) == TS_STATUS_OK);
    restart(n);
    CHECK(set_frame(n, frame_of(0U)) == TS_STATUS_OK);
    CHECK(ts_infer(&n->state, NULL) == TS_STATUS_OK);
    CHECK(n->spikes == 0U);
    close_network(n);
}

static void test_texts(void)
{
    int32_t status;

    for (status = -1; status <= TS_STATUS_BUSY + 1; status++) {
        const char *text = ts_status_text(status);
        const bool known = (status >= 0) && (status <= TS_STATUS_BUSY);
        CHECK(text != NULL);
        CHECK((strcmp(text, "unknown status") != 0) == known);
    }
    CHECK(strcmp(ts_status_text(INT32_MIN), "unknown status") == 0);
}

int main(void)
{
    test_results();
    test_steps();
    test_streams();
    test_events();
    test_edges();
    test_images();
    test_arguments();
    test_callbacks();
    test_texts();
    (void)printf("%d checks failed\n", failures);
    return (failures == 0) ? 0 : 1;
}
