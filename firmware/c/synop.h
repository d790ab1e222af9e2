/* synop on your own board: a spiking network from an image, tick by tick, in memory that you lend.
 *
 *     #include "net.h"                              written by: synop compile NET -o net.c --emit c
 *
 *     static uint64_t memory[NET_MEMORY_WORDS];
 *     static synop_machine machine;
 *
 *     synop_init(&machine, net_image, NET_IMAGE_BYTES, memory, NET_MEMORY_WORDS);
 *     synop_event events[] = {{3, 1}, {17, 1}};     neurons ascend; a spike has payload 1
 *     synop_input(&machine, 0, events, 2);
 *     synop_step(&machine, 1);
 *     int32_t counts[10];
 *     synop_read(&machine, SYNOP_SPIKE_COUNTS, 2, counts, 10);
 *
 * Same image, same input, same bits as `synop` on a host. No heap, no floating point, no global state.
 * Functions return 0 or one of the codes below; those that count return a number.
 */
#ifndef SYNOP_H
#define SYNOP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What can be wrong. */
#define SYNOP_OK 0
#define SYNOP_BAD_IMAGE 10    /* damaged, of another version, or not at a multiple of 4 bytes */
#define SYNOP_BAD_INPUT 11    /* no input piece, a neuron or a payload out of range, not ascending */
#define SYNOP_CUT 12          /* frames end before the last one */
#define SYNOP_LOST 13         /* a frame is missing */
#define SYNOP_BAD_COMMAND 14  /* a frame that is no command */
#define SYNOP_OTHER_IMAGE 15  /* frames for another image */
#define SYNOP_BAD_MEMORY 16   /* fewer words than synop_memory says */
#define SYNOP_NULL 17         /* a null pointer */
#define SYNOP_UNEQUAL 18      /* the self-test came to other bits */

/* A machine: opaque, yours to place. Valid from synop_init on, as long as image and memory are. */
#define SYNOP_MACHINE_WORDS 128
typedef struct {
    uint64_t words[SYNOP_MACHINE_WORDS];
} synop_machine;

/* An event of a neuron, numbered in its piece: payload 1 for a spike, another value if graded, never 0. */
typedef struct {
    int32_t neuron;
    int32_t payload;
} synop_event;

/* What synop_read reads. */
#define SYNOP_SPIKE_COUNTS 1 /* spikes of each neuron since the start or synop_clear */
#define SYNOP_MEMBRANES 2    /* membranes */

/* Words of 8 bytes that a machine of this image needs; 0 if it is no image. */
size_t synop_memory(const void *image, size_t image_bytes);

/* Checks the image, which stays where it is, and begins. */
int32_t synop_init(synop_machine *machine, const void *image, size_t image_bytes, uint64_t *memory, size_t words);

/* Puts events into an input piece for the coming tick. */
int32_t synop_input(synop_machine *machine, uint32_t piece, const synop_event *events, size_t count);

/* Runs some ticks; the events put in belong to the first. */
int32_t synop_step(synop_machine *machine, uint32_t ticks);

/* Copies values of a piece, at most `count`; returns how many the piece has. */
size_t synop_read(const synop_machine *machine, int32_t what, uint32_t piece, int32_t *values, size_t count);

/* A counter summed over pieces, by its number in the order of the report (0: synaptic events stored). */
uint64_t synop_counter(const synop_machine *machine, uint32_t counter);

/* Brings all neurons to rest: a new sample begins. Weights stay. */
int32_t synop_rest(synop_machine *machine);

/* Sets the spike counts to zero. */
int32_t synop_clear(synop_machine *machine);

/* Lets the rules learn that run at the end of a sample, with a third factor for each. */
int32_t synop_learn(synop_machine *machine, const int32_t *third_factors, size_t rules);

/* Runs the self-test that stands beside an image: 0 if this processor comes to the host's bits. */
int32_t synop_selftest(const void *image, size_t image_bytes, uint64_t *memory, size_t words,
                       const void *frames, size_t frame_bytes, uint32_t expected);

#ifdef __cplusplus
}
#endif
#endif
