/* SPDX-License-Identifier: MIT */
/*
 * ELF files through libelf. Whatever is handed out was read with pread into memory of ours, so
 * that a file truncated under us gives an error where a mapped one would raise SIGBUS.
 */
#include "elf.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <string.h>
#include <unistd.h>

#define MAX_SEGMENTS 4096
#define MAX_SLICE    ((size_t)1 << 30) /* no .eh_frame or symbol table of that size is sane */

void elf_close(struct elf_file *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->nr_slices; i++)
		free(f->slices[i]);
	free(f->slices);
	free(f->segments);
	elf_end(f->elf);
	free(f->image);
	if (f->fd >= 0)
		close(f->fd);
	free(f);
}

static int read_segments(struct elf_file *f)
{
	size_t n, cap = 0;
	GElf_Phdr ph;
	int err;

	if (elf_getphdrnum(f->elf, &n) || n > MAX_SEGMENTS)
		return -ENOEXEC;
	for (size_t i = 0; i < n; i++) {
		if (!gelf_getphdr(f->elf, i, &ph))
			return -ENOEXEC;
		if (ph.p_type != PT_LOAD)
			continue;
		err = array_grow((void **)&f->segments, f->nr_segments, &cap, sizeof(*f->segments));
		if (err)
			return err;
		f->segments[f->nr_segments++] = (struct elf_segment){
			.vaddr = ph.p_vaddr,
			.memsz = ph.p_memsz,
			.offset = ph.p_offset,
			.filesz = ph.p_filesz,
			.flags = ph.p_flags,
		};
	}
	return 0;
}

int elf_read(const struct elf_file *f, uint64_t offset, void *buf, size_t size)
{
	size_t image_size;
	const char *image;

	if (f->image) {
		image = elf_rawfile(f->elf, &image_size);
		if (!image || offset > image_size || size > image_size - offset)
			return -ENOEXEC;
		memcpy(buf, image + offset, size);
		return 0;
	}
	if (offset > INT64_MAX || pread(f->fd, buf, size, offset) != (ssize_t)size)
		return -ENOEXEC;
	return 0;
}

/* How many bytes there are to read; a file may have changed since it was opened. */
static uint64_t bytes(const struct elf_file *f)
{
	size_t image_size = 0;
	off_t end;

	if (f->image)
		return elf_rawfile(f->elf, &image_size) ? image_size : 0;
	end = lseek(f->fd, 0, SEEK_END);
	return end < 0 ? 0 : end;
}

/* A buffer of `size` bytes of the file at `offset`, owned by f; NULL when they are not there. */
static void *slice_read(struct elf_file *f, uint64_t offset, size_t size)
{
	uint64_t end = bytes(f);
	char *buf;

	if (!size || size > MAX_SLICE || offset > end || size > end - offset ||
	    array_grow((void **)&f->slices, f->nr_slices, &f->cap_slices, sizeof(*f->slices)))
		return NULL;
	buf = malloc(size);
	if (buf && elf_read(f, offset, buf, size)) {
		free(buf);
		buf = NULL;
	}
	if (buf)
		f->slices[f->nr_slices++] = buf;
	return buf;
}

/* Notes are `namesz, descsz, type, name, desc`, each padded to 4 bytes (gABI, "Note Section"). */
static bool find_build_id(struct elf_file *f, const uint8_t *p, size_t size)
{
	uint32_t hdr[3];
	size_t name, desc;

	while (size >= sizeof(hdr)) {
		memcpy(hdr, p, sizeof(hdr));
		p += sizeof(hdr);
		size -= sizeof(hdr);
		name = ((size_t)hdr[0] + 3) & ~(size_t)3;
		desc = ((size_t)hdr[1] + 3) & ~(size_t)3;
		if (name > size || desc > size - name)
			return false;
		if (hdr[2] == NT_GNU_BUILD_ID && hdr[0] == 4 && !memcmp(p, "GNU", 4) && hdr[1] &&
		    hdr[1] <= ELF_BUILD_ID_MAX) {
			memcpy(f->build_id, p + name, hdr[1]);
			f->build_id_len = hdr[1];
			return true;
		}
		p += name + desc;
		size -= name + desc;
	}
	return false;
}

static void read_build_id(struct elf_file *f)
{
	struct elf_slice slice;
	size_t n;
	GElf_Phdr ph;
	void *buf;

	if (!elf_getphdrnum(f->elf, &n))
		for (size_t i = 0; i < n; i++) {
			if (!gelf_getphdr(f->elf, i, &ph) || ph.p_type != PT_NOTE ||
			    ph.p_filesz > 65536)
				continue;
			buf = slice_read(f, ph.p_offset, ph.p_filesz);
			if (buf && find_build_id(f, buf, ph.p_filesz))
				return;
		}
	/* A separate debug file's program headers point at bytes that it does not hold. */
	if (!elf_section(f, ".note.gnu.build-id", &slice))
		find_build_id(f, slice.data, slice.size);
}

static struct elf_file *open_common(int fd, void *image, size_t size)
{
	struct elf_file *f;
	GElf_Ehdr eh;
	int err;

	f = calloc(1, sizeof(*f));
	if (!f) {
		free(image);
		if (fd >= 0)
			close(fd);
		errno = ENOMEM;
		return NULL;
	}
	f->fd = fd;
	f->image = image;
	elf_version(EV_CURRENT);
	f->elf = image ? elf_memory(image, size) : elf_begin(fd, ELF_C_READ, NULL);
	err = -ENOEXEC;
	if (!f->elf || elf_kind(f->elf) != ELF_K_ELF || !gelf_getehdr(f->elf, &eh))
		goto fail;
	err = -ENOTSUP;
	if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_ident[EI_DATA] != ELFDATA2LSB)
		goto fail;
	f->machine = eh.e_machine;
	f->type = eh.e_type;
	f->entry = eh.e_entry;
	err = read_segments(f);
	if (err)
		goto fail;
	read_build_id(f);
	return f;
fail:
	elf_close(f);
	errno = -err;
	return NULL;
}

struct elf_file *elf_open_fd(int fd)
{
	return open_common(fd, NULL, 0);
}

struct elf_file *elf_open_memory(void *image, size_t size)
{
	return open_common(-1, image, size);
}

int elf_offset_to_vaddr(const struct elf_file *f, uint64_t offset, uint64_t *ret_vaddr)
{
	for (size_t i = 0; i < f->nr_segments; i++) {
		const struct elf_segment *s = &f->segments[i];
		/* The kernel maps whole pages: a mapping may start before the segment does. */
		uint64_t skew = s->vaddr & 4095;
		uint64_t start = s->offset >= skew ? s->offset - skew : 0;

		if (!(s->flags & PF_X) && f->nr_segments > 1)
			continue;
		if (offset < start || offset >= s->offset + s->filesz)
			continue;
		*ret_vaddr = s->vaddr + (offset - s->offset);
		return 0;
	}
	return -ENOENT;
}

int elf_vaddr_to_offset(const struct elf_file *f, uint64_t vaddr, uint64_t *ret_offset)
{
	for (size_t i = 0; i < f->nr_segments; i++) {
		const struct elf_segment *s = &f->segments[i];

		if (vaddr < s->vaddr || vaddr - s->vaddr >= s->filesz)
			continue;
		*ret_offset = s->offset + (vaddr - s->vaddr);
		return 0;
	}
	return -ENOENT;
}

int elf_section(struct elf_file *f, const char *name, struct elf_slice *ret)
{
	Elf_Scn *scn = NULL;
	const char *found;
	size_t strndx;
	GElf_Shdr sh;
	Elf_Data *data;
	void *buf;

	if (elf_getshdrstrndx(f->elf, &strndx))
		return -ENOENT;
	while ((scn = elf_nextscn(f->elf, scn))) {
		if (!gelf_getshdr(scn, &sh))
			continue;
		found = elf_strptr(f->elf, strndx, sh.sh_name);
		if (!found || strcmp(found, name))
			continue;
		if (sh.sh_type == SHT_NOBITS || !sh.sh_size)
			return -ENOENT;
		if (sh.sh_flags & SHF_COMPRESSED) {
			if (elf_compress(scn, 0, 0) < 0 || !(data = elf_getdata(scn, NULL)))
				return -ENOEXEC;
			*ret = (struct elf_slice){ sh.sh_addr, data->d_buf, data->d_size };
			return 0;
		}
		buf = slice_read(f, sh.sh_offset, sh.sh_size);
		if (!buf)
			return -ENOEXEC;
		*ret = (struct elf_slice){ sh.sh_addr, buf, sh.sh_size };
		return 0;
	}
	return -ENOENT;
}

/*
 * eh_frame_ptr of .eh_frame_hdr: version 1, then its encoding. Linkers write pcrel|sdata4 (0x1b);
 * anything else has not been seen and is not guessed at.
 */
static int eh_frame_by_header(struct elf_file *f, struct elf_slice *ret)
{
	uint64_t vaddr, offset;
	GElf_Phdr ph;
	int32_t rel;
	uint8_t *hdr;
	size_t n;
	void *buf;

	if (elf_getphdrnum(f->elf, &n))
		return -ENOENT;
	for (size_t i = 0; i < n; i++) {
		if (!gelf_getphdr(f->elf, i, &ph) || ph.p_type != PT_GNU_EH_FRAME)
			continue;
		hdr = ph.p_filesz < 8 ? NULL : slice_read(f, ph.p_offset, 8);
		if (!hdr || hdr[0] != 1 || hdr[1] != 0x1b)
			return -ENOEXEC;
		memcpy(&rel, hdr + 4, sizeof(rel));
		vaddr = ph.p_vaddr + 4 + (int64_t)rel;
		for (size_t j = 0; j < f->nr_segments; j++) {
			const struct elf_segment *s = &f->segments[j];

			if (vaddr < s->vaddr || vaddr - s->vaddr >= s->filesz)
				continue;
			offset = vaddr - s->vaddr;
			buf = slice_read(f, s->offset + offset, s->filesz - offset);
			if (!buf)
				return -ENOEXEC;
			*ret = (struct elf_slice){ vaddr, buf, s->filesz - offset };
			return 0;
		}
		return -ENOEXEC;
	}
	return -ENOENT;
}

int elf_eh_frame(struct elf_file *f, struct elf_slice *ret)
{
	int err = elf_section(f, ".eh_frame", ret);

	return err == -ENOENT ? eh_frame_by_header(f, ret) : err;
}

char *elf_build_id_hex(const uint8_t *id, size_t len, char *buf)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		buf[2 * i] = digits[id[i] >> 4];
		buf[2 * i + 1] = digits[id[i] & 15];
	}
	buf[2 * len] = '\0';
	return buf;
}
