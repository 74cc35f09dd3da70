/* SPDX-License-Identifier: MIT */
/* What tracks there are in a Perfetto file, each described before its first event. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pftrace_impl.h"
#include "util.h"

/* A track's uuid is the number of what it shows, and in the lowest bits what that is. */
enum track_kind {
	KIND_GROUP = 0,
	KIND_THREAD = 1,
	KIND_STATE = 2,
	KIND_LANE = 3,
	KIND_COUNTER = 4,
	KIND_LOSS = 5,
	KIND_ROUTE = 6,
	KIND_PROCESS = 7,
};

#define UUID(kind, number) ((uint64_t)(number) << 3 | (kind))

enum { GROUP_REQUESTS = 1, GROUP_IO = 2, GROUP_LOSSES = 3 };

/* True once for each uuid; false also for lack of memory. */
static bool is_new(struct pftrace *p, uint64_t uuid)
{
	static char present;

	if (id_map_find(&p->tracks, uuid, 0))
		return false;
	if (id_map_reserve(&p->tracks)) {
		p->err = p->err ? p->err : -ENOMEM;
		return false;
	}
	id_map_add(&p->tracks, uuid, 0, &present);
	return true;
}

struct nested {
	size_t packet, track;
};

static struct nested begin(struct pftrace *p, uint64_t uuid, uint64_t parent, const char *name)
{
	struct nested n = { .packet = pb_begin(&p->pb, TRACE_PACKET) };

	pb_uint(&p->pb, PACKET_SEQUENCE_ID, SEQUENCE_MAIN);
	n.track = pb_begin(&p->pb, PACKET_TRACK_DESCRIPTOR);
	pb_uint(&p->pb, TRACK_UUID, uuid);
	if (parent)
		pb_uint(&p->pb, TRACK_PARENT, parent);
	if (name)
		pb_string(&p->pb, TRACK_NAME, name);
	return n;
}

static void end(struct pftrace *p, struct nested n)
{
	pb_end(&p->pb, n.track);
	pb_end(&p->pb, n.packet);
}

static uint64_t group(struct pftrace *p, unsigned int number, const char *name,
		      const char *description)
{
	uint64_t uuid = UUID(KIND_GROUP, number);
	struct nested n;

	if (is_new(p, uuid)) {
		n = begin(p, uuid, 0, name);
		pb_string(&p->pb, TRACK_DESCRIPTION, description);
		/* Before processes, in the order of their numbers. */
		pb_uint(&p->pb, TRACK_RANK, number);
		end(p, n);
	}
	return uuid;
}

/* Described again when it has another name. */
static void describe_process(struct pftrace *p, uint32_t pid, uint32_t string)
{
	uint64_t uuid = UUID(KIND_PROCESS, pid);
	void *name = (void *)((uintptr_t)string + 1);
	struct nested n;
	size_t at;

	if (id_map_find(&p->tracks, uuid, 0) == name)
		return;
	id_map_remove(&p->tracks, uuid, 0);
	if (id_map_reserve(&p->tracks)) {
		p->err = -ENOMEM;
		return;
	}
	id_map_add(&p->tracks, uuid, 0, name);
	n = begin(p, uuid, 0, NULL);
	at = pb_begin(&p->pb, TRACK_PROCESS);
	pb_uint(&p->pb, 1, pid);
	if (string)
		pb_string(&p->pb, 6, trace_string(p->trace, string));
	pb_end(&p->pb, at);
	end(p, n);
}

void pftrace_describe_thread(struct pftrace *p, const struct timeline_thread *t)
{
	uint64_t uuid = UUID(KIND_THREAD, t->serial);
	struct nested n;
	size_t at;

	is_new(p, uuid);
	describe_process(p, t->pid, t->process);
	n = begin(p, uuid, 0, NULL);
	at = pb_begin(&p->pb, TRACK_THREAD);
	pb_uint(&p->pb, 1, t->pid);
	pb_uint(&p->pb, 2, t->tid);
	pb_string(&p->pb, 5, trace_string(p->trace, t->name));
	pb_end(&p->pb, at);
	end(p, n);
}

uint64_t pftrace_thread_track(struct pftrace *p, const struct timeline_thread *t)
{
	uint64_t uuid = UUID(KIND_THREAD, t->serial);

	if (!id_map_find(&p->tracks, uuid, 0))
		pftrace_describe_thread(p, t);
	return uuid;
}

uint64_t pftrace_state_track(struct pftrace *p, const struct timeline_thread *t)
{
	uint64_t uuid = UUID(KIND_STATE, t->serial);

	if (is_new(p, uuid))
		end(p, begin(p, uuid, pftrace_thread_track(p, t), "off CPU"));
	return uuid;
}

void pftrace_forget_thread(struct pftrace *p, const struct timeline_thread *t)
{
	id_map_remove(&p->tracks, UUID(KIND_THREAD, t->serial), 0);
	id_map_remove(&p->tracks, UUID(KIND_STATE, t->serial), 0);
}

uint64_t pftrace_counter_track(struct pftrace *p, unsigned int counter, uint32_t pid, uint16_t cpu)
{
	const struct event_counter_info *info = event_counter_info(counter);
	/* Of a process, else of a CPU, else of all. */
	uint64_t owner = pid		       ? UINT64_C(1) << 24 | pid
			 : cpu != EVENT_NO_CPU ? UINT64_C(2) << 24 | cpu
					       : 0;
	uint64_t uuid = UUID(KIND_COUNTER, owner << 16 | (counter & 0xffff));
	const char *per = info->total ? " a second" : "";
	char name[64];
	struct nested n;
	size_t at;

	if (!is_new(p, uuid))
		return uuid;
	/* Its name comes with the first of its threads. */
	if (pid && !id_map_find(&p->tracks, UUID(KIND_PROCESS, pid), 0))
		describe_process(p, pid, 0);
	if (!pid && cpu != EVENT_NO_CPU)
		snprintf(name, sizeof(name), "CPU %u: %s%s", cpu, info->what, per);
	else
		snprintf(name, sizeof(name), "%s%s", info->what, per);
	n = begin(p, uuid, pid ? UUID(KIND_PROCESS, pid) : 0, name);
	at = pb_begin(&p->pb, TRACK_COUNTER);
	/* CounterDescriptor.Unit: 1 ns, 2 count, 3 bytes. */
	pb_uint(&p->pb, 3, info->unit[0] == 'n' ? 1 : info->unit[0] == 'b' ? 3 : 2);
	pb_end(&p->pb, at);
	end(p, n);
	return uuid;
}

uint64_t pftrace_loss_track(struct pftrace *p, uint16_t cpu)
{
	uint64_t uuid = UUID(KIND_LOSS, cpu);
	uint64_t parent = group(p, GROUP_LOSSES, "Lost events",
				"Where events are missing: between these moments nothing is known");
	char name[32];

	if (!is_new(p, uuid))
		return uuid;
	snprintf(name, sizeof(name), "CPU %u", cpu);
	end(p, begin(p, uuid, parent, cpu == EVENT_NO_CPU ? "all CPUs" : name));
	return uuid;
}

uint64_t pftrace_left_out_track(struct pftrace *p)
{
	/* No CPU's number. */
	uint64_t uuid = UUID(KIND_LOSS, EVENT_NO_CPU + 1U);

	if (is_new(p, uuid))
		end(p, begin(p, uuid, 0, "Left out by --only"));
	return uuid;
}

/* -------- lanes -------- */

static struct pftrace_lane *new_lane(struct pftrace *p, struct pftrace_lane ***lanes, size_t *nr,
				     size_t *cap)
{
	struct pftrace_lane *lane;

	if (array_grow((void **)lanes, *nr, cap, sizeof(**lanes))) {
		p->err = -ENOMEM;
		return NULL;
	}
	lane = calloc(1, sizeof(*lane));
	if (!lane) {
		p->err = -ENOMEM;
		return NULL;
	}
	/* Of both kinds together, so that no two are the same. */
	lane->uuid = UUID(KIND_LANE, p->nr_lanes + p->nr_io_lanes + 1);
	(*lanes)[(*nr)++] = lane;
	return lane;
}

/* Lanes of a route have its name: Perfetto draws them as one. */
struct pftrace_lane *pftrace_request_lane(struct pftrace *p, uint32_t route)
{
	const char *name = route ? trace_string(p->trace, route) : "(unknown)";
	struct pftrace_lane *lane = id_map_remove(&p->free_lanes, route, 0);
	uint64_t parent;

	if (lane) {
		if (lane->next_free)
			id_map_add(&p->free_lanes, route, 0, lane->next_free);
		lane->next_free = NULL;
		return lane;
	}
	parent = group(p, GROUP_REQUESTS, "Requests",
		       "A slice for each request, in it its phases, in these what it waited for; "
		       "where it did not wait, a thread was at work on it");
	lane = new_lane(p, &p->lanes, &p->nr_lanes, &p->cap_lanes);
	if (!lane)
		return NULL;
	lane->route = route;
	end(p, begin(p, lane->uuid, parent, name));
	return lane;
}

void pftrace_free_lane(struct pftrace *p, struct pftrace_lane *lane)
{
	lane->next_free = id_map_remove(&p->free_lanes, lane->route, 0);
	if (id_map_reserve(&p->free_lanes)) {
		p->err = -ENOMEM;
		return;
	}
	id_map_add(&p->free_lanes, lane->route, 0, lane);
}

uint64_t pftrace_io_track(struct pftrace *p, const struct timeline_io *io)
{
	struct pftrace_lane *lane = NULL;
	uint64_t parent;

	for (size_t i = 0; i < p->nr_io_lanes && !lane; i++)
		if (p->io_lanes[i]->until <= io->start)
			lane = p->io_lanes[i];
	if (!lane) {
		parent = group(p, GROUP_IO, "Block I/O",
			       "From the request to the device to its end");
		lane = new_lane(p, &p->io_lanes, &p->nr_io_lanes, &p->cap_io_lanes);
		if (!lane)
			return 0;
		end(p, begin(p, lane->uuid, parent, "transfers"));
	}
	lane->until = io->end;
	return lane->uuid;
}

void pftrace_tracks_release(struct pftrace *p)
{
	for (size_t i = 0; i < p->nr_lanes; i++)
		free(p->lanes[i]);
	for (size_t i = 0; i < p->nr_io_lanes; i++)
		free(p->io_lanes[i]);
	free(p->lanes);
	free(p->io_lanes);
	timeline_rates_release(&p->rates);
	id_map_release(&p->tracks);
	id_map_release(&p->free_lanes);
}
