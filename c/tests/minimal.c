/* The least that a product needs: it classifies one input, and tells nobody. Its size is what the engine takes of flash. */
#include "model.h"
#include "sample.h"

static ts_state network;
static uint32_t arena[MODEL_ARENA_WORDS];
static volatile size_t result;

int main(void)
{
    size_t class_index = 0U;

    if (ts_open(&network, sizeof network, model_image, sizeof model_image, arena, sizeof arena) != TS_STATUS_OK) {
        return 1;
    }
    if (ts_set_input(&network, sample_frames, sizeof sample_frames) != TS_STATUS_OK) {
        return 2;
    }
    while (ts_step(&network) == TS_STATUS_OK) {
    }
    if (ts_class(&network, 0U, &class_index) != TS_STATUS_OK) {
        return 3;
    }
    result = class_index;
    return 0;
}
