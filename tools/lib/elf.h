/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_ELF_H
#define PERISCOPE_ELF_H

/*
 * An ELF file, opened once and read through libelf: its loadable segments, build ID and the
 * sections that unwinding and symbols need. Safe on hostile input: every offset is checked against
 * the file before it is used, and a file that shrinks after opening gives errors, not a fault
 * (contents are read, not mapped).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libelf.h>

#define ELF_BUILD_ID_MAX 64

/* A PT_LOAD segment. Addresses are the file's own (virtual addresses before relocation). */
struct elf_segment {
	uint64_t vaddr;
	uint64_t memsz;
	uint64_t offset;
	uint64_t filesz;
	uint32_t flags; /* PF_R, PF_W, PF_X */
};

/* A piece of the file: where it is loaded and its bytes, which belong to the elf_file. */
struct elf_slice {
	uint64_t vaddr;
	const uint8_t *data;
	size_t size;
};

struct elf_file {
	int fd; /* owned */
	Elf *elf;
	void *image; /* owned; the bytes, when opened from memory (the vDSO) */
	uint16_t machine;
	uint16_t type;	/* ET_EXEC, ET_DYN, ET_CORE */
	uint64_t entry; /* e_entry */
	struct elf_segment *segments;
	size_t nr_segments;
	uint8_t build_id[ELF_BUILD_ID_MAX];
	size_t build_id_len; /* 0: the file has none */
	void **slices;	     /* buffers handed out as slices, freed with the file */
	size_t nr_slices, cap_slices;
};

/*
 * Open an ELF file. elf_open_fd takes ownership of fd, also on failure; elf_open_memory of a
 * malloc'ed image, likewise. Returns NULL with errno: ENOEXEC not an ELF file or damaged beyond
 * use, ENOTSUP not a 64-bit little-endian one, others from the system.
 */
struct elf_file *elf_open_fd(int fd);
struct elf_file *elf_open_memory(void *image, size_t size);
void elf_close(struct elf_file *f);

/*
 * The virtual address that file offset `offset` is loaded at. Returns 0, or -ENOENT when no
 * PT_LOAD covers it.
 */
int elf_offset_to_vaddr(const struct elf_file *f, uint64_t offset, uint64_t *ret_vaddr);

/* The other way round; -ENOENT also for what has no bytes in the file (.bss). */
int elf_vaddr_to_offset(const struct elf_file *f, uint64_t vaddr, uint64_t *ret_offset);

/* Read bytes of the file. Returns 0, or -ENOEXEC when they are not all there. */
int elf_read(const struct elf_file *f, uint64_t offset, void *buf, size_t size);

/*
 * Find a section by name, decompressing it when SHF_COMPRESSED. Returns 0, -ENOENT, or -ENOEXEC
 * when its bounds are outside the file. The slice lives as long as f.
 */
int elf_section(struct elf_file *f, const char *name, struct elf_slice *ret);

/*
 * .eh_frame: by section name, or, in a file without section headers, by PT_GNU_EH_FRAME's
 * eh_frame_ptr (LSB 5.0, 10.6.2) up to the end of its segment. Returns as elf_section.
 */
int elf_eh_frame(struct elf_file *f, struct elf_slice *ret);

/* Format a build ID in lower-case hex into buf (2 * len + 1 bytes at least). Returns buf. */
char *elf_build_id_hex(const uint8_t *id, size_t len, char *buf);

#endif
