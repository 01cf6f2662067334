/*
 * The start of QEMU's board "virt", and its end: a register ends the emulator with the result of main. A real project has its
 * vendor's start instead.
 */
#include <stdint.h>

extern uint32_t __data_start[], __data_end[], __data_load[], __bss_start[], __bss_end[];

int main(void);
void _start(void);
void start(void);

__attribute__((naked, section(".start"), used)) void _start(void)
{
    __asm__ volatile("la sp, __stack_top\n"
                     "la t0, trap\n"
                     "csrw mtvec, t0\n"
                     "j start\n");
}

__attribute__((noreturn)) static void stop(uint32_t status)
{
    /* QEMU's test finisher. */
    volatile uint32_t *const finisher = (volatile uint32_t *)0x00100000U;

    *finisher = (status == 0U) ? 0x5555U : ((status << 16) | 0x3333U);
    for (;;) {
    }
}

__attribute__((aligned(4), used)) void trap(void);
void trap(void)
{
    stop(255U);
}

__attribute__((used)) void start(void)
{
    const uint32_t *from = __data_load;
    uint32_t *to;

    for (to = __data_start; to < __data_end; to++) {
        *to = *from;
        from++;
    }
    for (to = __bss_start; to < __bss_end; to++) {
        *to = 0U;
    }
    stop((uint32_t)main());
}
