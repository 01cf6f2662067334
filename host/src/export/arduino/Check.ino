// Runs the model on a recorded sample, and says if every spike and every output is the emulator's.
#include <model.h>

extern "C" int model_check(void);

void setup() {
    Serial.begin(115200);
    while (!Serial) {
    }
    const int result = model_check();
    if (result == 0) {
        Serial.println("every spike and every output is the emulator's");
    } else {
        Serial.print("the check failed: ");
        Serial.println(result);
    }
}

void loop() {
}
