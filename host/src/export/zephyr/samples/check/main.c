#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

int model_check(void);

int main(void)
{
    const int result = model_check();

    if (result == 0) {
        printk("every spike and every output is the emulator's\n");
    } else {
        printk("the check failed: %d\n", result);
    }
    return result;
}
