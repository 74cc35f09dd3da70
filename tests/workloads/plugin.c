/* SPDX-License-Identifier: MIT */
/* build: -shared -fPIC */
/*
 * A small library for dlopen_mid. A test copies it, and replaces the copy on disk by plugin_upgraded
 * while a process has this one mapped: the stacks go on showing the names of this one.
 */
#ifndef PLUGIN_LEAF
#define PLUGIN_LEAF plugin_leaf
#define PLUGIN_PADDING()
#endif

#define FRAME __attribute__((noipa))

static volatile unsigned long plugin_sink;

void PLUGIN_LEAF(void);
void library_enter(void);

FRAME void PLUGIN_LEAF(void)
{
	PLUGIN_PADDING();
	for (;;)
		plugin_sink++;
}

FRAME void library_enter(void)
{
	PLUGIN_LEAF();
	plugin_sink++;
}
