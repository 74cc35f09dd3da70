/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_STRBUF_H
#define PERISCOPE_STRBUF_H

/*
 * A growing string, and the text helpers that every writer needs. A strbuf remembers that memory
 * ran out, so that a long run of appends is checked once, by strbuf_error() at its end: after a
 * failure further appends do nothing. Its text always ends in a NUL byte, which len leaves out; it
 * may hold NUL bytes itself.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct strbuf {
	char *data; /* NULL while nothing was added: read it with strbuf_str() */
	size_t len, cap;
	bool failed;
};

void strbuf_init(struct strbuf *b);
void strbuf_release(struct strbuf *b);
/* Empty the text and forget a failure; the memory is kept for the next use. */
void strbuf_reset(struct strbuf *b);

void strbuf_add(struct strbuf *b, const void *data, size_t len);
void strbuf_puts(struct strbuf *b, const char *s);
void strbuf_putc(struct strbuf *b, char c);
/* `n` times c. */
void strbuf_fill(struct strbuf *b, char c, size_t n);
void strbuf_printf(struct strbuf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Take back the last byte if it is c. */
bool strbuf_chop(struct strbuf *b, char c);

/* The text, never NULL; valid until the next append. */
const char *strbuf_str(const struct strbuf *b);
/* 0, or -ENOMEM when some append failed: then the text is a part of what was to be there. */
int strbuf_error(const struct strbuf *b);
/* Hands the text to the caller, who frees it, and empties b. NULL and ENOMEM after a failure. */
char *strbuf_detach(struct strbuf *b);

#define UTF8_REPLACEMENT 0xfffd

/*
 * Decode the character at *s and step over it; at the NUL returns 0 and stays. A byte that begins
 * no well-formed sequence (RFC 3629 section 4: overlong forms, surrogates and values beyond
 * U+10FFFF are none) is stepped over alone and gives UTF8_REPLACEMENT.
 */
uint32_t utf8_next(const char **s);
/* Append a code point as UTF-8. */
void strbuf_put_utf8(struct strbuf *b, uint32_t c);
/* Append s with everything that is not UTF-8 replaced. */
void strbuf_puts_utf8(struct strbuf *b, const char *s);
/*
 * Append s as the inside of a string in C: bytes that are not UTF-8, and unsafe characters (see
 * below), as \xNN, \n, \t, and the backslash doubled, so that what differs stays different.
 */
void strbuf_puts_escaped(struct strbuf *b, const char *s);

/*
 * Columns a character takes in a terminal: 0 for combining marks, 2 for East Asian wide ones
 * (Unicode Standard Annex 11, by block and not by character), else 1.
 */
unsigned int utf8_width(uint32_t c);
/*
 * True for characters that must not reach a terminal or a picture as they are: controls (C0, DEL,
 * C1: escape sequences), line separators and those that change the direction of what follows.
 */
bool utf8_unsafe(uint32_t c);
/*
 * Append s for people: unsafe characters become U+FFFD, and what is wider than `columns` loses its
 * end to an ellipsis. Returns the columns used.
 */
size_t strbuf_puts_clipped(struct strbuf *b, const char *s, size_t columns);
/* The same, but an ellipsis takes the place of the middle: names differ at both their ends. */
size_t strbuf_puts_middle(struct strbuf *b, const char *s, size_t columns);
/* The columns that s takes once unsafe characters are replaced. */
size_t utf8_columns(const char *s);

#endif
