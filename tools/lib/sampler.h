/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_SAMPLER_H
#define PERISCOPE_SAMPLER_H

/* A sampling event on each CPU, and a BPF program that runs when it fires. */

#include <stdbool.h>

struct bpf_link;
struct bpf_program;
struct watch;

enum cpu_event {
	CPU_EVENT_AUTO,	  /* cycles where the machine counts them, else cpu-clock */
	CPU_EVENT_CLOCK,  /* PERF_COUNT_SW_CPU_CLOCK: a timer on each CPU */
	CPU_EVENT_CYCLES, /* PERF_COUNT_HW_CPU_CYCLES */
};

struct sampler {
	enum cpu_event event;	/* once open: the one that was chosen */
	unsigned int frequency; /* samples a second and CPU */
	int *fds;		/* by CPU; -1: offline */
	struct bpf_link **links;
	int nr_cpus;
};

/* Closed; release may follow. */
void sampler_init(struct sampler *s, enum cpu_event event, unsigned int frequency);
void sampler_release(struct sampler *s);

/*
 * Open the events and attach the program; samples come from now on. Returns 0 or a negative errno,
 * after watch_fail(w, ...) has kept the reason.
 */
int sampler_open(struct sampler *s, struct watch *w, struct bpf_program *program);

void sampler_enable(const struct sampler *s, bool on);

#endif
