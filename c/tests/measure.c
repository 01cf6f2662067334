/*
 * Prints what each part of an inference takes, on Arm's MPS2 with the image AN386: ticks of a timer that counts up from the
 * start, and the deepest stack. An empty measurement comes first. A stream takes its recording once sample by sample, and once
 * in one call.
 */
#include "model.h"
#include "sample.h"

extern uint32_t __stack_low[];

#define TIMER ((volatile uint32_t *)0x40000000U)
#define PAINT 0xA5A5A5A5U

static ts_state network;
static uint32_t arena[MODEL_ARENA_WORDS];

static void print(const char *name, uint32_t value)
{
    char text[32];
    char digits[10];
    unsigned int at = 0U;
    unsigned int count = 0U;
    register int r0 __asm__("r0") = 0x04;
    register const char *r1 __asm__("r1") = text;

    while (*name != '\0') {
        text[at++] = *name++;
    }
    do {
        digits[count++] = (char)('0' + (int)(value % 10U));
        value /= 10U;
    } while (value != 0U);
    while (count > 0U) {
        text[at++] = digits[--count];
    }
    text[at++] = '\n';
    text[at] = '\0';
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

__attribute__((noinline)) static uint32_t ticks(void)
{
    return 0xFFFFFFFFU - TIMER[1];
}

__attribute__((noinline)) static void paint(void)
{
    uint32_t *to;

    for (to = __stack_low; (uintptr_t)to < (uintptr_t)__builtin_frame_address(0) - 64U; to++) {
        *to = PAINT;
    }
}

__attribute__((noinline)) static uint32_t depth(void)
{
    const uint32_t *word = __stack_low;

    while (*word == PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)__builtin_frame_address(0) - (uintptr_t)word);
}

#define MEASURE(name, call)                     \
    do {                                        \
        uint32_t before;                        \
        uint32_t after;                         \
        ts_status status;                       \
        paint();                                \
        before = ticks();                       \
        status = (call);                        \
        after = ticks();                        \
        print(name " stack ", depth());         \
        print(name " ticks ", after - before);  \
        if (status != TS_STATUS_OK) {           \
            return 1;                           \
        }                                       \
    } while (0)

int main(void)
{
    static int32_t values[MODEL_OUTPUT_0_SIZE];
    static float floats[SAMPLE_FRAME_BYTES];
    static uint8_t bytes[SAMPLE_FRAME_BYTES];
    size_t class_index = 0U;
    size_t frame;

    TIMER[2] = 0xFFFFFFFFU;
    TIMER[1] = 0xFFFFFFFFU;
    TIMER[0] = 1U;
    MEASURE("empty", TS_STATUS_OK);
    MEASURE("open", ts_open(&network, sizeof network, model_image, sizeof model_image, arena, sizeof arena));
    MEASURE("reset", ts_reset(&network));
    for (frame = 0U; frame < SAMPLE_FRAMES; frame++) {
        MEASURE("input", ts_set_input(&network, &sample_frames[frame * SAMPLE_FRAME_BYTES], SAMPLE_FRAME_BYTES));
        MEASURE("infer", ts_infer(&network, NULL));
    }
#if MODEL_STEPS == 0U
    MEASURE("reset", ts_reset(&network));
    MEASURE("samples", ts_push_samples(&network, sample_frames, sizeof sample_frames));
#endif
    MEASURE("class", ts_class(&network, 0U, &class_index));
    MEASURE("output", ts_output(&network, 0U, values, MODEL_OUTPUT_0_SIZE));
    MEASURE("quantize", ts_quantize_f32(&network, 0U, floats, SAMPLE_FRAME_BYTES, bytes));
    print("state bytes ", (uint32_t)sizeof network);
    print("open allowed ", (uint32_t)TINYSPIKE_OPEN_STACK_BYTES);
    print("step allowed ", (uint32_t)TINYSPIKE_STEP_STACK_BYTES);
    return (class_index == SAMPLE_CLASS) ? 0 : 2;
}
