// SPDX-License-Identifier: MIT
//
// A range's flame graph: its stacks, written as the flame graph's own file has them (tools/lib/
// write_svg_data.h), and that file in a frame. It is a document of its own, with its own keys.

// Sums of stacks by thread's name. kind: "cpu", of samples; "offcpu", of what waits last.
function stacksWithin(t, kind, from, to, threads) {
	const by = new Map(),
		add = (th, stack, value) => {
			const name = th.name || "?";
			if (!by.has(name)) by.set(name, { tid: th.tid, sums: new Map() });
			const of = by.get(name);
			if (of.tid !== th.tid) of.tid = 0;
			of.sums.set(stack, (of.sums.get(stack) || 0) + value);
		};
	let total = 0,
		count = 0;
	for (const th of threads) {
		if (kind === "cpu") {
			for (
				let i = firstStarting(th.instantRow, from);
				i < th.instants.length && th.instants[i].time < to;
				i++
			) {
				const e = th.instants[i];
				if (e.kind !== SAMPLE || !e.weight) continue;
				add(th, e.stack, e.weight);
				total += e.weight;
				count++;
			}
			continue;
		}
		const s = th.states;
		for (let i = firstEnding(s, from); i < s.n && s.start[i] < to; i++) {
			const kind = classOf(s.state[i]);
			if (kind < 1) continue;
			const value = Math.min(s.end[i], to) - Math.max(s.start[i], from);
			// What waits for its CPU after a wakeup waits where it slept.
			let stack = s.stack[i];
			if (
				!stack &&
				s.state[i] === RUNNABLE &&
				i > 0 &&
				s.end[i - 1] === s.start[i]
			)
				stack = s.stack[i - 1];
			add(th, stack, value);
			total += value;
			count++;
		}
	}
	return { by: by, total: total, count: count };
}

function shade(name) {
	let h = 2166136261;
	for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 16777619);
	return (h >>> 8) % 3;
}

function xml(text) {
	return text
		.replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd]/g, "\ufffd")
		.replace(/&/g, "&amp;")
		.replace(/</g, "&lt;")
		.replace(/>/g, "&gt;");
}

// The tree of all of it: { kids: Map, self }, keys 2 * name + inlined.
function flameTree(t, stacks) {
	const names = new Map(),
		root = { kids: new Map(), self: 0 },
		threads = [];
	const nameOf = (name, origin, module, file, line) => {
		const key = origin + name + "\0" + module;
		if (!names.has(key))
			names.set(key, {
				name: name,
				origin: origin,
				module: module,
				file: file,
				line: line
			});
		return key;
	};
	const below = (node, key, inlined) => {
		const id = (inlined ? "1" : "0") + key;
		if (!node.kids.has(id))
			node.kids.set(id, { key: key, inlined: inlined, kids: new Map(), self: 0 });
		return node.kids.get(id);
	};
	for (const entry of stacks.by) {
		const top = below(root, nameOf(entry[0], "n", "", "", 0), false);
		top.tid = entry[1].tid;
		for (const sum of entry[1].sums) {
			let node = top;
			const frames = framesOf(t, sum[0]);
			for (let i = frames.length - 1; i >= 0; i--) {
				const f = frames[i].f;
				node = below(
					node,
					nameOf(f.name, f.origin, f.module, f.file, f.line),
					frames[i].inlined > 0
				);
			}
			if (!frames.length)
				node = below(node, nameOf("[no stack]", "n", "", "", 0), false);
			node.self += sum[1];
		}
	}
	const order = Array.from(names.keys()).sort((a, b) => {
		const x = names.get(a).name,
			y = names.get(b).name;
		return x < y ? -1 : x > y ? 1 : a < b ? -1 : 1;
	});
	order.forEach((key, i) => (names.get(key).number = i));
	return { root: root, names: names, order: order, threads: threads };
}

function flameText(tree) {
	const nodes = [],
		walk = (node, depth) => {
			const kids = Array.from(node.kids.values());
			kids.sort((a, b) => {
				return (
					tree.names.get(a.key).number -
						tree.names.get(b.key).number ||
					a.inlined - b.inlined
				);
			});
			for (const kid of kids) {
				nodes.push({ kid: kid, depth: depth });
				if (depth === 0) tree.threads.push(kid.tid);
				walk(kid, depth + 1);
			}
		};
	walk(tree.root, 0);
	let text = "";
	nodes.forEach((n, i) => {
		const next = i + 1 < nodes.length ? nodes[i + 1].depth - n.depth : 0;
		text +=
			tree.names.get(n.kid.key).number.toString(36) +
			(n.kid.inlined ? "~" : "") +
			"=" +
			Math.round(n.kid.self).toString(36) +
			(next > 0
				? " "
				: next === 0
					? ","
					: next === -1
						? ";"
						: "." + (-next).toString(36) + ";");
	});
	return { text: text, count: nodes.length };
}

const FLAME_LEGEND = {
	p: "program",
	i: "inlined",
	l: "library",
	c: "C library",
	k: "kernel",
	n: "thread, or not code"
};

// The whole file, or null when there is nothing in it.
function flameFile(t, kind, from, to, threads, part) {
	const stacks = stacksWithin(t, kind, from, to, threads);
	if (!stacks.total) return null;
	const tree = flameTree(t, stacks),
		data = flameText(tree),
		places = [""],
		index = new Map([["", 0]]);
	const place = text => {
		if (!index.has(text)) {
			index.set(text, places.length);
			places.push(text);
		}
		return index.get(text).toString(36);
	};
	const used = new Set();
	const names = tree.order
		.map(key => {
			const n = tree.names.get(key);
			used.add(n.origin);
			return (
				n.origin +
				shade(n.name) +
				place(n.module) +
				" " +
				(n.file ? place(n.file) + (n.line ? ":" + n.line : "") : "0") +
				" " +
				n.name +
				"\n"
			);
		})
		.join("");
	const head = {
		title: kind === "cpu" ? "CPU time by stack" : "Off-CPU time by stack",
		unit: "nanoseconds",
		nodes: data.count,
		scale: 1,
		scale2: 0,
		second: "",
		period: 0,
		diff: "",
		fields: [
			["range", formatTime(from - t.start) + " to " + formatTime(to - t.start)],
			["time", formatTime(stacks.total)],
			[kind === "cpu" ? "samples" : "waits", formatCount(stacks.count)]
		],
		legend: Object.keys(FLAME_LEGEND)
			.filter(k => used.has(k))
			.map(k => [k, FLAME_LEGEND[k]]),
		threads: tree.threads
	};
	const meta = (id, text) => {
		return '<metadata id="periscope-' + id + '">' + xml(text) + "</metadata>\n";
	};
	return (
		'<svg xmlns="http://www.w3.org/2000/svg" width="100%" height="100%"><title>' +
		xml(head.title) +
		"</title><style>" +
		part("paint-" + kind) +
		'</style><g id="periscope-static"></g>\n' +
		meta("head", JSON.stringify(head)) +
		meta("names", names) +
		meta("places", places.join("\n") + "\n") +
		meta("tree", data.text) +
		"<style><![CDATA[\n" +
		part("flame-css") +
		"]]></style>\n<script><![CDATA[\n" +
		part("flame-js") +
		"]]><\/script>\n</svg>"
	);
}
