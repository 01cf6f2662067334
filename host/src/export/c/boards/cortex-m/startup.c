/*
 * The start of any Cortex-M, and its end: semihosting hands the result of main to the debugger, or to QEMU. A real project has
 * its vendor's start instead.
 */
#include <stdint.h>

extern uint32_t __data_start[], __data_end[], __data_load[], __bss_start[], __bss_end[], __stack_low[], __stack_top[];

int main(void);
void Reset_Handler(void);

/* Fills the stack's memory, so that it shows later how deep the stack was. */
#define PAINT 0xA5A5A5A5U

static int semihosting(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;

    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void stop(uint32_t status)
{
    /* SYS_EXIT_EXTENDED, ADP_Stopped_ApplicationExit */
    const uint32_t reason[2] = {0x20026U, status};

    for (;;) {
        (void)semihosting(0x20, reason);
    }
}

#ifdef TINYSPIKE_SHOW_STACK
/* Prints the bytes of stack that were used, in eight hexadecimal digits. */
static void show_stack(void)
{
    const uint32_t *word = __stack_low;
    char text[] = "stack 00000000\n";
    uint32_t used;
    int at;

    while ((word < __stack_top) && (*word == PAINT)) {
        word++;
    }
    used = (uint32_t)(__stack_top - word) * 4U;
    for (at = 13; at > 5; at--) {
        text[at] = "0123456789abcdef"[used & 0xFU];
        used >>= 4;
    }
    (void)semihosting(0x04, text);
}
#endif

void Reset_Handler(void)
{
    const uint32_t *from = __data_load;
    uint32_t *to;
    int status;

    for (to = __data_start; to < __data_end; to++) {
        *to = *from;
        from++;
    }
    for (to = __bss_start; to < __bss_end; to++) {
        *to = 0U;
    }
    for (to = __stack_low; (uintptr_t)to < (uintptr_t)__builtin_frame_address(0) - 64U; to++) {
        *to = PAINT;
    }
    status = main();
#ifdef TINYSPIKE_SHOW_STACK
    show_stack();
#endif
    stop((uint32_t)status);
}

static void fault(void)
{
    stop(255U);
}

/* The stack's start, reset, and the faults; no interrupt is enabled. */
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*handlers[15])(void);
} vectors = {__stack_top, {Reset_Handler, fault, fault, fault, fault, fault, fault}};
