/* From reset to main on a Cortex-M, and text over semihosting. Your own board has this already. */
#include <stdint.h>

extern uint32_t __stack_top, __data_start, __data_end, __data_load, __bss_start, __bss_end;
extern int main(void);

static int semihosting(int operation, const void *block)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void leave(uint32_t code)
{
    uint32_t block[2] = {0x20026, code};
    for (;;)
        semihosting(0x20, block);
}

void say(const char *text)
{
    static int out = -1;
    uint32_t length = 0;
    while (text[length])
        length++;
    if (out < 0) {
        const uintptr_t open[3] = {(uintptr_t) ":tt", 4, 3};
        out = semihosting(0x01, open);
    }
    const uintptr_t write[3] = {(uintptr_t)out, (uintptr_t)text, length};
    semihosting(0x05, write);
}

void say_number(int32_t value)
{
    char digits[12], *at = digits + 11;
    uint32_t rest = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    *at = 0;
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--at = '-';
    say(at);
}

void Reset(void)
{
    uint32_t *from = &__data_load;
    for (uint32_t *to = &__data_start; to < &__data_end;)
        *to++ = *from++;
    for (uint32_t *to = &__bss_start; to < &__bss_end;)
        *to++ = 0;
    leave((uint32_t)main());
}

static void fault(void)
{
    leave(20);
}

__attribute__((section(".vector_table"), used)) static const void *const vectors[16] = {
    &__stack_top, Reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, fault,
};
