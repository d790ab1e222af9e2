/* A C firmware with a network in it: the self-test, then one tick after another, read out at the end.
 * `synop compile NET -o net.c --emit c` writes net.c and net.h. */
#include "net.h"

extern void say(const char *text);
extern void say_number(int32_t value);

static uint64_t memory[NET_MEMORY_WORDS];
static synop_machine machine;

int main(void)
{
    int32_t error = synop_selftest(net_image, NET_IMAGE_BYTES, memory, NET_MEMORY_WORDS, net_selftest,
                                   NET_SELFTEST_BYTES, NET_SELFTEST_DIGEST);
    say("selftest ");
    say_number(error);
    say("\n");
    if (error)
        return error;

    error = synop_init(&machine, net_image, NET_IMAGE_BYTES, memory, NET_MEMORY_WORDS);
    if (error)
        return error;
    for (int tick = 0; tick < 25; tick++) {
        synop_event events[NET_INPUTS];
        size_t n = 0;
        for (int32_t i = 0; i < NET_INPUTS; i++)
            if ((i + tick) % 3 == 0)
                events[n++] = (synop_event){i, 1};
        error = synop_input(&machine, NET_INPUT_PIECE, events, n);
        if (error)
            return error;
        synop_step(&machine, 1);
    }
    int32_t counts[NET_OUTPUTS];
    synop_read(&machine, SYNOP_SPIKE_COUNTS, NET_OUTPUT_PIECE, counts, NET_OUTPUTS);
    say("counts");
    for (int i = 0; i < NET_OUTPUTS; i++) {
        say(" ");
        say_number(counts[i]);
    }
    say("\nevents ");
    say_number((int32_t)synop_counter(&machine, 0));
    say("\n");

    /* What goes wrong is an error code, never a fault. */
    synop_event wrong = {NET_INPUTS, 1};
    error = synop_input(&machine, NET_INPUT_PIECE, &wrong, 1);
    say("out of range ");
    say_number(error);
    say("\n");
    return error == SYNOP_BAD_INPUT ? 0 : 1;
}
