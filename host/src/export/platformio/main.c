#include <stdio.h>

int model_check(void);

int main(void)
{
    const int result = model_check();

    if (result == 0) {
        printf("every spike and every output is the emulator's\n");
    } else {
        printf("the check failed: %d\n", result);
    }
    return result;
}
