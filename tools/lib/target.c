/* SPDX-License-Identifier: MIT */
#include "target.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mapping.h"
#include "process.h"
#include "util.h"

/*
 * A walk may still use a region after its process has got another: walks take microseconds, and a
 * forked child that the kernel has given its parent's region gets its own as soon as its event is
 * read. After this time no one does.
 */
#define REGION_GRACE_NS 2000000000ULL

/* An address in no mapping is worth a look at the mappings, but not one look a sample. */
#define MISS_INTERVAL_NS 50000000ULL

#define MIN_REGION	 32

static void *map_array(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Programs find nothing in `only`, and look into `procs`. */
static void forget_only(struct target *t)
{
	__atomic_store_n(&t->only->current, TARGET_ONLY_SLOTS, __ATOMIC_RELEASE);
}

static void put_only(struct target *t, const struct target_proc *value)
{
	t->only_slot = (t->only_slot + 1) % TARGET_ONLY_SLOTS;
	t->only->slots[t->only_slot] = *value;
	__atomic_store_n(&t->only->current, t->only_slot, __ATOMIC_RELEASE);
}

int target_init(struct target *t, const struct target_maps *maps)
{
	size_t size = maps->max_mappings * sizeof(struct unwind_mapping);
	int err;

	*t = (struct target){ .maps = *maps };
	err = objects_init(&t->objects, maps->tables, maps->max_tables);
	if (err)
		return err;
	t->mapped = map_array(maps->mappings, size);
	if (t->mapped && maps->only >= 0)
		t->only = map_array(maps->only, sizeof(*t->only));
	if (!t->mapped || (maps->only >= 0 && !t->only)) {
		err = -errno;
		target_release(t);
		return err;
	}
	if (t->only)
		forget_only(t);
	return 0;
}

static void region_free(struct target_region *r)
{
	free(r->maps);
	free(r);
}

void target_release(struct target *t)
{
	for (size_t i = 0; i < t->nr_procs; i++) {
		struct target_process *p = t->procs[i];

		if (p->pidfd >= 0)
			close(p->pidfd);
		if (p->region && !--p->region->users)
			region_free(p->region);
		free(p);
	}
	for (size_t i = 0; i < t->nr_freed; i++)
		region_free(t->freed[i]);
	free(t->procs);
	free(t->freed);
	if (t->mapped)
		munmap(t->mapped, t->maps.max_mappings * sizeof(*t->mapped));
	if (t->only)
		munmap(t->only, sizeof(*t->only));
	objects_release(&t->objects);
	*t = (struct target){ 0 };
}

struct target_process *target_find(const struct target *t, pid_t pid)
{
	for (size_t i = t->nr_procs; i--;)
		if (t->procs[i]->pid == pid)
			return t->procs[i];
	return NULL;
}

static void leave_region(struct target *t, struct target_process *p)
{
	struct target_region *r = p->region;

	p->region = NULL;
	if (!r || --r->users)
		return;
	r->freed_ns = now_ns();
	/* Without memory to remember it by, its elements are not used again: a loss, not a fault. */
	if (array_grow((void **)&t->freed, t->nr_freed, &t->cap_freed, sizeof(*t->freed)))
		region_free(r);
	else
		t->freed[t->nr_freed++] = r;
}

/* A region of at least n elements: one without users that is old enough, or a new one. */
static struct target_region *take_region(struct target *t, size_t n)
{
	uint64_t now = now_ns();
	struct target_region *r;
	uint32_t size = MIN_REGION;

	while (size < n)
		size *= 2;
	for (size_t i = 0; i < t->nr_freed; i++) {
		r = t->freed[i];
		if (r->size != size || now - r->freed_ns < REGION_GRACE_NS)
			continue;
		memmove(&t->freed[i], &t->freed[i + 1], (--t->nr_freed - i) * sizeof(r));
		free(r->maps);
		r->maps = NULL;
		r->users = 1;
		return r;
	}
	if (t->next_region + (size_t)size > t->maps.max_mappings) {
		errno = ENOSPC;
		return NULL;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	*r = (struct target_region){ .start = t->next_region, .size = size, .users = 1 };
	t->next_region += size;
	return r;
}

/* The process's mappings in the kernel's form. */
static int describe(struct target *t, struct target_process *p, struct unwind_mapping **ret,
		    size_t *ret_n)
{
	struct unwind_mapping *out;
	struct mapping *list;
	size_t n, nr = 0;
	int err;

	err = mappings_read(p->pid, &list, &n);
	if (err)
		return err;
	out = calloc(n + 1, sizeof(*out));
	if (!out)
		err = -ENOMEM;
	for (size_t i = 0; i < n && !err; i++) {
		struct unwind_mapping *m = &out[nr];
		struct object *obj;
		uint64_t vaddr = 0;

		/* Fixed by the architecture, not walkable, and above what frames can say. */
		if (list[i].start >> FRAME_OBJECT_SHIFT)
			continue;
		err = objects_get(&t->objects, p->pid, &list[i], &obj);
		if (err)
			break;
		*m = (struct unwind_mapping){ .start = list[i].start, .end = list[i].end };
		nr++;
		if (!obj || !obj->elf || elf_offset_to_vaddr(obj->elf, list[i].offset, &vaddr)) {
			/* The kernel's page for uprobes is no JIT's. */
			if (strcmp(list[i].path, "[uprobes]") != 0)
				jit_maps_hold(&t->objects.jits, p->pid);
			continue;
		}
		m->object = obj->id;
		m->bias = m->start - vaddr;
		m->table_base = obj->table.base;
		m->nr_blocks = obj->table.nr_blocks;
		m->nr_rows = obj->table.nr_rows;
	}
	mappings_free(list, n);
	if (err) {
		free(out);
		return err;
	}
	*ret = out;
	*ret_n = nr;
	return 0;
}

static int put_proc(struct target *t, struct target_process *p, uint64_t flags)
{
	struct target_proc value = { 0 };
	__u32 key = p->pid;

	if (p->region)
		value = (struct target_proc){ p->region->start, p->region->nr_maps,
					      p->region->generation };
	if (bpf_map_update_elem(t->maps.procs, &key, &value, flags))
		return -errno;
	if (t->only)
		put_only(t, &value);
	return 0;
}

static bool same_maps(const struct target_region *r, const struct unwind_mapping *list, size_t n)
{
	return r && r->nr_maps == n && !memcmp(r->maps, list, n * sizeof(*list));
}

/* The region of another process that holds the same list, as those do that one has forked. */
static struct target_region *find_region(const struct target *t, const struct unwind_mapping *list,
					 size_t n)
{
	for (size_t i = 0; n && i < t->nr_procs; i++)
		if (same_maps(t->procs[i]->region, list, n))
			return t->procs[i]->region;
	return NULL;
}

static void share_region(struct target *t, struct target_process *p, struct target_region *r)
{
	r->users++;
	leave_region(t, p);
	p->region = r;
}

/* Give p a region of its own that holds the list, which is taken. */
static int publish(struct target *t, struct target_process *p, struct unwind_mapping *list,
		   size_t n)
{
	struct target_region *r;
	int err = objects_publish(&t->objects);

	r = err ? NULL : take_region(t, n);
	if (!r) {
		free(list);
		if (!err && errno == ENOSPC) {
			t->nr_unmapped++;
			return 0;
		}
		return err ? err : -ENOMEM;
	}
	/* The system call that names the region to the kernel orders these stores before it. */
	memcpy(t->mapped + r->start, list, n * sizeof(*list));
	r->maps = list;
	r->nr_maps = n;
	r->generation = ++t->generations;
	leave_region(t, p);
	p->region = r;
	return 0;
}

/*
 * Read the mappings and, if they are others than the kernel knows, publish them: objects first,
 * then the region, then the process, so that whatever a walk finds is whole.
 */
static int refresh(struct target *t, struct target_process *p, uint64_t flags)
{
	struct target_region *shared;
	struct unwind_mapping *list;
	size_t n;
	int err;

	p->dirty = p->missed = false;
	p->refreshed_ns = now_ns();
	err = describe(t, p, &list, &n);
	if (err)
		return err;
	/* An exiting process has lost its mappings but may have samples of before on the way. */
	if ((!n && p->region) || same_maps(p->region, list, n)) {
		free(list);
	} else if ((shared = find_region(t, list, n))) {
		share_region(t, p, shared);
		free(list);
	} else {
		err = publish(t, p, list, n);
	}
	return err ? err : put_proc(t, p, flags);
}

static int new_process(struct target *t, pid_t pid, struct target_process **ret)
{
	struct target_process *p;
	int err;

	err = array_grow((void **)&t->procs, t->nr_procs, &t->cap_procs, sizeof(*t->procs));
	if (err)
		return err;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->pid = pid;
	p->pidfd = -1;
	p->cpu_ns = process_cpu_ns(pid);
	t->procs[t->nr_procs++] = p;
	t->nr_seen++;
	*ret = p;
	return 0;
}

static int add(struct target *t, pid_t pid, bool before_exec)
{
	struct target_process *p;
	int err;

	if (target_find(t, pid))
		return 0;
	err = new_process(t, pid, &p);
	if (err)
		return err;
	p->pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (p->pidfd < 0)
		err = -errno;
	else
		err = before_exec ? put_proc(t, p, BPF_ANY) : refresh(t, p, BPF_ANY);
	if (err)
		target_exited(t, pid);
	return err;
}

int target_add(struct target *t, pid_t pid)
{
	return add(t, pid, false);
}

int target_add_before_exec(struct target *t, pid_t pid)
{
	return add(t, pid, true);
}

void target_exited(struct target *t, pid_t pid)
{
	struct target_process *p = target_find(t, pid);
	__u32 key = pid;
	size_t i = 0;

	if (!p)
		return;
	bpf_map_delete_elem(t->maps.procs, &key);
	if (t->only)
		forget_only(t);
	leave_region(t, p);
	if (p->pidfd >= 0)
		close(p->pidfd);
	while (t->procs[i] != p)
		i++;
	t->procs[i] = t->procs[--t->nr_procs];
	free(p);
}

/*
 * The kernel has given the child its parent's region of the moment. Both share it, unless the
 * parent has had another since.
 */
static int forked(struct target *t, pid_t pid, pid_t parent_pid)
{
	struct target_process *parent = target_find(t, parent_pid), *p;
	struct target_proc value;
	__u32 key = pid;
	int err;

	if (target_find(t, pid))
		return 0;
	err = new_process(t, pid, &p);
	if (err)
		return err;
	p->dirty = true;
	if (parent && parent->region && !bpf_map_lookup_elem(t->maps.procs, &key, &value) &&
	    value.generation == parent->region->generation) {
		share_region(t, p, parent->region);
		p->dirty = false;
	}
	return 0;
}

bool target_knows(const struct target *t, pid_t pid)
{
	struct target_process *p = target_find(t, pid);

	return p && p->region && p->region->nr_maps;
}

uint64_t target_cpu_ns(const struct target *t)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < t->nr_procs; i++) {
		uint64_t now = process_cpu_ns(t->procs[i]->pid);

		if (now > t->procs[i]->cpu_ns)
			sum += now - t->procs[i]->cpu_ns;
	}
	return sum;
}

int target_event(struct target *t, const struct event_header *e)
{
	struct target_process *p;

	if (e->type == EVENT_FORK)
		return forked(t, e->tgid, (pid_t)e->arg);
	p = target_find(t, e->tgid);
	if (!p)
		return 0;
	switch (e->type) {
	case EVENT_EXEC:
		/*
		 * Nothing of before holds. The kernel's element was emptied, but we may have filled
		 * it since by what we had read before.
		 */
		leave_region(t, p);
		put_proc(t, p, BPF_EXIST);
		p->dirty = true;
		return 0;
	case EVENT_EXIT:
		target_exited(t, e->tgid);
		return 0;
	case EVENT_MISS:
		p->missed = true;
		return 0;
	}
	return 0;
}

void target_mapped(struct target *t, pid_t pid)
{
	struct target_process *p = target_find(t, pid);

	if (p)
		p->dirty = true;
}

int target_update(struct target *t)
{
	uint64_t now = now_ns();
	int err;

	for (size_t i = 0; i < t->nr_procs; i++) {
		struct target_process *p = t->procs[i];

		if (!p->dirty && !(p->missed && now - p->refreshed_ns > MISS_INTERVAL_NS))
			continue;
		/* BPF_EXIST: the kernel may have dropped an exited process meanwhile. */
		err = refresh(t, p, BPF_EXIST);
		if (err == -ENOMEM)
			return err;
	}
	return 0;
}
