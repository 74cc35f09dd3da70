/* SPDX-License-Identifier: MIT */
#ifndef PERISCOPE_JSON_H
#define PERISCOPE_JSON_H

/* JSON text in the making. */

struct strbuf;

/*
 * Append s as a string, in quotes (RFC 8259 section 7). What is not UTF-8 becomes U+FFFD; so does
 * what is unsafe to show (utf8_unsafe), since names are for people.
 */
void json_put_string(struct strbuf *b, const char *s);

#endif
