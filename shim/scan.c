/* SPDX-License-Identifier: MIT */
#include "scan.h"

#include "files.h"
#include "pagemap.h"
#include "process/mapping.h"
#include "scan/choose.h"
#include "scan/operation.h"
#include "scan/view-procfs.h"

#include <errno.h>
#include <unistd.h>

/* The view of /proc, where WPALLOWED is what the program registered. */
struct view {
	struct pagescan_view_procfs procfs;
	int (*find_mapping)(struct pagescan_view *view, uint64_t address,
			    struct pagescan_view_mapping *ret);
};

/* Opened when it is first needed, and kept. */
static struct pagescan_process *own;

/* Registered for write-protection, and not asynchronously. It may be gone. */
static struct pagescan_rangeset sync_ranges;

void pagescan_shim_note_kind(uint64_t start, uint64_t end, int is_async)
{
	if (is_async)
		(void)pagescan_rangeset_remove(&sync_ranges, start, end);
	else
		(void)pagescan_rangeset_add(&sync_ranges, start, end, 0);
}

static bool overlaps(const struct pagescan_rangeset *set, uint64_t start, uint64_t end)
{
	const struct pagescan_range *range = pagescan_rangeset_find(set, start);

	return range && range->start < end;
}

/* What grew in place is one mapping with what was registered: nothing else can be. */
static bool may_be_registered(uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < PAGESCAN_SHIM_N_UFFDS; i++) {
		const struct pagescan_shim_uffd *uffd = &pagescan_shim_uffds[i];

		if (uffd->n_fds && overlaps(&uffd->registered, start, end))
			return true;
	}
	return false;
}

/* Memory comes and goes unseen: the kernel is asked, and it has to be ours by our notes. */
static int find_mapping(struct pagescan_view *view, uint64_t address,
			struct pagescan_view_mapping *ret)
{
	struct view *v = (struct view *)view;
	int r = v->find_mapping(view, address, ret);

	if (r <= 0 || !v->procfs.process->is_own || !may_be_registered(ret->start, ret->end))
		return r;
	r = view->find_flags(view, address > ret->start ? address : ret->start, ret);
	ret->is_wp_allowed = ret->is_uffd_wp && !overlaps(&sync_ranges, ret->start, ret->start + 1);
	v->procfs.mapping = *ret;
	return r < 0 ? r : 1;
}

/* A mapping is of one userfaultfd: the others refuse. */
static int by_its_uffd(struct view *v, uint64_t start, uint64_t end,
		       int (*act)(struct view *v, uint64_t start, uint64_t end))
{
	struct pagescan_registry *registry = &v->procfs.process->registry;
	int r = -ENOENT;

	for (unsigned i = 0; i < PAGESCAN_SHIM_N_UFFDS && r == -ENOENT; i++) {
		const struct pagescan_shim_uffd *uffd = &pagescan_shim_uffds[i];

		if (!uffd->n_fds || uffd->is_inherited ||
		    !overlaps(&uffd->registered, v->procfs.mapping.start, v->procfs.mapping.end))
			continue;
		registry->uffd = uffd->work_fd;
		r = act(v, start, end);
	}
	registry->uffd = -1;
	return r;
}

static int act_protect(struct view *v, uint64_t start, uint64_t end)
{
	return pagescan_view_procfs_protect(&v->procfs.view, start, end);
}

static int act_split(struct view *v, uint64_t start, uint64_t end)
{
	return pagescan_view_procfs_split(&v->procfs.view, start);
}

static int protect(struct pagescan_view *view, uint64_t start, uint64_t end)
{
	return by_its_uffd((struct view *)view, start, end, act_protect);
}

static int split(struct pagescan_view *view, uint64_t address)
{
	return by_its_uffd((struct view *)view, address, address, act_split);
}

/* Memory that is gone has no mappings (R2.0). */
static int find_nothing(struct pagescan_view *view, uint64_t address,
			struct pagescan_view_mapping *ret)
{
	return 0;
}

static int scan_view(struct pagescan_view *view, const struct pagescan_choice *choice, void *arg)
{
	struct pagescan_operation_engine engine;

	pagescan_operation_engine_init(&engine, view, choice->can.capabilities.era,
				       choice->can.capabilities.categories, choice->can.memory_end);
	return engine.handle.scan(&engine.handle, arg);
}

static int scan_process(struct pagescan_process *process, const struct pagescan_choice *choice,
			void *arg)
{
	struct view v;
	int r = pagescan_view_procfs_init(&v.procfs, process, choice->can.capabilities.era);

	if (r < 0)
		return r;
	/* What was read for the last scan is old. */
	pagescan_maps_reader_begin(process->maps);
	v.find_mapping = v.procfs.view.find_mapping;
	v.procfs.view.find_mapping = find_mapping;
	v.procfs.view.protect = protect;
	v.procfs.view.split = split;
	return scan_view(&v.procfs.view, choice, arg);
}

static int scan_nothing(const struct pagescan_choice *choice, void *arg)
{
	struct pagescan_view nothing = {.find_mapping = find_nothing};

	return scan_view(&nothing, choice, arg);
}

static int scan_other(pid_t pid, const struct pagescan_choice *choice, void *arg)
{
	struct pagescan_process *other;
	int r = pagescan_process_open(pid, &other, NULL);

	if (r == -ESRCH)
		return scan_nothing(choice, arg);
	if (r < 0)
		return r;
	r = scan_process(other, choice, arg);
	pagescan_process_close(other);
	return r;
}

static int scan_own(const struct pagescan_choice *choice, void *arg)
{
	int r = own ? 0 : pagescan_process_open(0, &own, NULL);

	return r < 0 ? r : scan_process(own, choice, arg);
}

/* A kernel that has the operation is followed in what written means, sound or not. */
static int choose(struct pagescan_choice *ret)
{
	struct pagescan_probed can;
	int r = pagescan_operation_choose(PAGESCAN_OPERATION_ENGINE, ret, NULL);

	if (r == 0 && pagescan_probe(&can) == 0 && can.capabilities.era != PAGESCAN_ERA_NONE)
		ret->can.capabilities.era = can.capabilities.era;
	return r;
}

/* Under the lock. */
static int scan(pid_t pid, void *arg)
{
	struct pagescan_choice choice;
	int r = choose(&choice);

	if (r < 0)
		return r;
	if (pid == 0)
		return scan_nothing(&choice, arg);
	return pid == getpid() ? scan_own(&choice, arg) : scan_other(pid, &choice, arg);
}

int pagescan_shim_scan(int fd, void *arg)
{
	pid_t pid;
	int r = pagescan_shim_whose_pagemap(fd, &pid);

	if (r < 0)
		return r;
	if (!pagescan_shim_lock())
		return -ENOTTY;
	r = scan(pid, arg);
	pagescan_shim_unlock();
	return r;
}

bool pagescan_shim_find_buffer(uint64_t start, uint64_t end, uint64_t *ret_start, uint64_t *ret_end)
{
	uint64_t buffer, buffer_end;

	if (!own || !own->procfs.entries)
		return false;
	buffer = (uintptr_t)own->procfs.entries;
	buffer_end = buffer + PAGESCAN_PROCFS_N_ENTRIES * sizeof(uint64_t);
	if (buffer >= end || buffer_end <= start)
		return false;
	*ret_start = buffer > start ? buffer : start;
	*ret_end = buffer_end < end ? buffer_end : end;
	return true;
}

void pagescan_shim_forget_process(void)
{
	pagescan_process_close(own);
	own = NULL;
	pagescan_rangeset_free(&sync_ranges);
}
