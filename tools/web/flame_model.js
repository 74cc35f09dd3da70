// SPDX-License-Identifier: MIT
//
// The flame graph's data and the trees that are made of it. The file's own tree (tools/lib/
// write_svg_data.h says how it is written) lies in typed arrays, nodes in preorder, so that a
// subtree is a range. What is shown is another tree, whose nodes stand for sets of the file's and
// get children only when somebody looks: all threads merged, one thread, callers, both sides of a
// function. So a million frames cost no more than those on the screen.

// A node's key is 2 * name + inlined: names are numbered in their order, so keys sort like names.
function parseTree(text, count, scale, scale2) {
	const t = {
		n: count + 1,
		key: new Int32Array(count + 1),
		parent: new Int32Array(count + 1),
		end: new Int32Array(count + 1), // one past the last node below
		self: new Float64Array(count + 1),
		self2: new Float64Array(count + 1),
		total: null,
		total2: null
	};
	let at = 0,
		parent = 0,
		c = 0;
	const number = () => {
		let n = 0;
		for (; ; at++) {
			c = text.charCodeAt(at);
			if (c >= 97 && c <= 122) n = n * 36 + c - 87;
			else if (c >= 48 && c <= 57) n = n * 36 + c - 48;
			else return n;
		}
	};
	t.key[0] = -1;
	for (let i = 1; i <= count; i++) {
		let key = number() * 2,
			own = -1,
			own2 = -1;
		if (c === 126) {
			// ~
			key++;
			c = text.charCodeAt(++at);
		}
		if (c === 61) {
			// =
			at++;
			own = number();
		}
		if (c === 43) {
			// +
			at++;
			own2 = number();
		}
		const without = c === 32 ? 0 : 1;
		t.key[i] = key;
		t.parent[i] = parent;
		t.self[i] = (own < 0 ? without : own) * scale;
		t.self2[i] = (own2 < 0 ? without : own2) * scale2;
		at++;
		if (c === 32) {
			parent = i;
		} else if (c === 59) {
			parent = t.parent[parent];
		} else if (c === 46) {
			for (let levels = number(); levels > 0 && parent > 0; levels--)
				parent = t.parent[parent];
			at++;
		}
	}
	t.total = sums(t, t.self);
	t.total2 = sums(t, t.self2);
	for (let i = 0; i < t.n; i++) t.end[i] = i + 1;
	for (let i = t.n - 1; i > 0; i--)
		t.end[t.parent[i]] = Math.max(t.end[t.parent[i]], t.end[i]);
	return t;
}

function sums(t, own) {
	const total = Float64Array.from(own);
	for (let i = t.n - 1; i > 0; i--) total[t.parent[i]] += total[i];
	return total;
}

function parseNames(text, places) {
	const lines = text.split("\n");
	lines.pop();
	return lines.map(line => {
		const a = line.indexOf(" "),
			b = line.indexOf(" ", a + 1);
		const place = line.slice(a + 1, b).split(":");
		const file = places[parseInt(place[0], 36)];
		return {
			name: line.slice(b + 1),
			style: line.slice(0, 2),
			module: places[parseInt(line.slice(2, a), 36)],
			file: file && place[1] ? file + ":" + place[1].replace("-", "\u2013") : file
		};
	});
}

function loadModel(find) {
	const m = JSON.parse(find("head"));
	m.names = parseNames(find("names"), find("places").split("\n"));
	m.t = parseTree(find("tree"), m.nodes, m.scale, m.second ? m.scale2 : 0);
	m.roots = [];
	for (let i = 1; i < m.t.n; i = m.t.end[i]) m.roots.push(i);
	if (m.diff) {
		// What ended in a stack that has nothing left of it.
		m.lostSelf = m.t.self2.map((before, i) => (m.t.self[i] ? 0 : before));
		m.lostTotal = sums(m.t, m.lostSelf);
	}
	return m;
}

// ---------------------------------------------------------------- trees to show ----

// A node: what of the file's nodes it stands for, and what they sum up to. In trees of callers,
// `from` holds for each of those the node where its way up began, and `weight` what it brings.
function makeNode(key, parent) {
	return {
		key: key,
		parent: parent,
		depth: parent ? parent.depth + 1 : 0,
		at: [],
		from: null,
		weight: null,
		weight2: null,
		total: 0,
		self: 0,
		total2: 0,
		self2: 0,
		kids: null,
		heavy: null
	};
}

function makeTree(m, kind, totals, selfs) {
	return {
		m: m,
		kind: kind,
		totals: totals || m.t.total,
		selfs: selfs || m.t.self,
		root: null
	};
}

function takeIn(tree, node, i) {
	const t = tree.m.t;
	node.at.push(i);
	node.total += tree.totals[i];
	node.self += tree.selfs[i];
	node.total2 += t.total2[i];
	node.self2 += t.self2[i];
}

function takeCaller(node, i, from, weight, weight2) {
	node.at.push(i);
	node.from.push(from);
	node.weight.push(weight);
	node.weight2.push(weight2);
	node.total += weight;
	node.total2 += weight2;
}

function kidFor(node, kids, key, callers) {
	let kid = kids.get(key);
	if (!kid) {
		kid = makeNode(key, node);
		if (callers) {
			kid.from = [];
			kid.weight = [];
			kid.weight2 = [];
		}
		kids.set(key, kid);
	}
	return kid;
}

function byKey(a, b) {
	return a.key - b.key;
}

function byTotal(a, b) {
	return b.total - a.total || a.key - b.key;
}

// The children of a node, in the order of names.
function kidsOf(tree, node) {
	if (node.kids) return node.kids;
	const t = tree.m.t,
		kids = new Map();
	if (node.from) {
		for (let j = 0; j < node.at.length; j++) {
			const up = t.parent[node.at[j]];
			if (up)
				takeCaller(
					kidFor(node, kids, t.key[up], true),
					up,
					node.from[j],
					node.weight[j],
					node.weight2[j]
				);
		}
	} else {
		for (const i of node.at)
			for (let c = i + 1; c < t.end[i]; c = t.end[c])
				if (tree.totals[c] > 0)
					takeIn(tree, kidFor(node, kids, t.key[c], false), c);
	}
	node.kids = Array.from(kids.values()).sort(byKey);
	return node.kids;
}

function orderedKids(tree, node, heavy) {
	if (!heavy) return kidsOf(tree, node);
	if (!node.heavy) node.heavy = kidsOf(tree, node).slice().sort(byTotal);
	return node.heavy;
}

// Calls each with the range of file nodes of every chosen thread (an index into roots, or -1: all).
function eachThread(m, thread, each) {
	m.roots.forEach((i, index) => {
		if (thread < 0 || thread === index) each(i, m.t.end[i]);
	});
}

// From the roots down; the root stands for everything chosen.
function topDown(m, thread, totals, selfs) {
	const tree = makeTree(m, "down", totals, selfs),
		kids = new Map(),
		t = m.t;
	const root = (tree.root = makeNode(-1, null));
	eachThread(m, thread, i => {
		if (tree.totals[i] > 0) takeIn(tree, kidFor(root, kids, t.key[i], false), i);
	});
	root.kids = Array.from(kids.values()).sort(byKey);
	for (const kid of root.kids) {
		root.total += kid.total;
		root.total2 += kid.total2;
	}
	if (thread < 0) {
		// samples without any frame; and what was before, also where nothing is left
		root.self = tree.selfs[0];
		root.self2 = t.self2[0];
		root.total = tree.totals[0];
		root.total2 = t.total2[0];
	}
	return tree;
}

// From where the value was spent up: its functions first, their callers below.
function callers(m, thread) {
	const tree = makeTree(m, "callers"),
		t = m.t,
		kids = new Map();
	const root = (tree.root = makeNode(-1, null));
	eachThread(m, thread, (first, end) => {
		for (let i = first; i < end; i++)
			if (t.self[i] > 0 || t.self2[i] > 0) {
				root.total2 += t.self2[i];
				if (t.self[i] <= 0) continue;
				root.total += t.self[i];
				takeCaller(
					kidFor(root, kids, t.key[i], true),
					i,
					i,
					t.self[i],
					t.self2[i]
				);
			}
	});
	root.kids = Array.from(kids.values()).sort(byKey);
	return tree;
}

// The outermost nodes of a name: counting inner ones, too, would count recursion twice.
function outermost(m, thread, isOne, each) {
	const t = m.t;
	eachThread(m, thread, (first, end) => {
		for (let i = first; i < end;) {
			if (isOne(t.key[i] >> 1)) {
				each(i);
				i = t.end[i];
			} else {
				i++;
			}
		}
	});
}

// Both sides of a function: two trees with it as their root.
function bothSides(m, thread, name) {
	const up = makeTree(m, "up"),
		down = makeTree(m, "down"),
		t = m.t;
	up.root = makeNode(2 * name, null);
	up.root.from = [];
	up.root.weight = [];
	up.root.weight2 = [];
	down.root = makeNode(2 * name, null);
	outermost(
		m,
		thread,
		n => n === name,
		i => {
			if (t.total[i] <= 0) return;
			takeCaller(up.root, i, i, t.total[i], t.total2[i]);
			takeIn(down, down.root, i);
		}
	);
	return [up, down];
}

function pathOf(node) {
	const keys = [];
	for (; node.parent; node = node.parent) keys.push(node.key.toString(36));
	return keys.reverse();
}

// The node that a path leads to, or the last on the way that is there.
function follow(tree, path) {
	let node = tree.root;
	for (const step of path) {
		const key = parseInt(step, 36);
		const next = kidsOf(tree, node).find(kid => kid.key === key);
		if (!next) break;
		node = next;
	}
	return node;
}

// ---------------------------------------------------------------- search ----

// Capitals count only where the expression has some. Throws a SyntaxError for what is none.
function compile(text) {
	return new RegExp(text, text === text.toLowerCase() ? "iu" : "u");
}

// How much has a matching frame anywhere in its stack: over all frames, drawn or not.
function search(m, thread, expression) {
	const found = { names: new Uint8Array(m.names.length), functions: 0, frames: 0, total: 0 };
	m.names.forEach((name, i) => {
		if (expression.test(name.name)) {
			found.names[i] = 1;
			found.functions++;
		}
	});
	outermost(
		m,
		thread,
		name => found.names[name],
		i => {
			found.frames++;
			found.total += m.t.total[i];
		}
	);
	return found;
}

// ---------------------------------------------------------------- folded stacks ----

function foldedName(m, key) {
	const name = m.names[key >> 1];
	return name.name.replace(/;/g, ":") + (name.style[0] === "k" ? "_[k]" : "");
}

function stackOf(m, i) {
	const names = [];
	for (; i; i = m.t.parent[i]) names.push(foldedName(m, m.t.key[i]));
	return names.reverse().join(";");
}

// The stacks that a node stands for, whole, in the order of their text.
function folded(tree, node) {
	const m = tree.m,
		t = m.t,
		lines = new Map(),
		unit = m.period || 1;
	const add = (i, value) => {
		const stack = value > 0 ? stackOf(m, i) : "";
		if (stack) lines.set(stack, (lines.get(stack) || 0) + value / unit);
	};
	const addBelow = i => {
		for (let j = i; j < t.end[i]; j++) add(j, tree.selfs[j]);
	};
	if (node.key < 0 && !node.at.length)
		kidsOf(tree, node).forEach(kid => {
			(kid.from || kid.at).forEach(
				tree.kind === "callers" ? i => add(i, t.self[i]) : addBelow
			);
		});
	else if (tree.kind === "callers") node.from.forEach(i => add(i, t.self[i]));
	else (node.from || node.at).forEach(addBelow);
	return Array.from(lines, line => line[0] + " " + line[1] + "\n")
		.sort()
		.join("");
}

// ---------------------------------------------------------------- numbers ----

const units = [
	{
		names: ["nanoseconds", "microseconds", "milliseconds", "seconds"],
		sizes: [1, 1e3, 1e6, 1e9],
		steps: [
			["ns", 1],
			["\u00b5s", 1e3],
			["ms", 1e6],
			["s", 1e9],
			["min", 6e10],
			["h", 3.6e12]
		]
	},
	{
		names: ["bytes", "kilobytes", "megabytes", "gigabytes"],
		sizes: [1, 1024, 1048576, 1073741824],
		steps: [
			["B", 1],
			["kB", 1024],
			["MB", 1048576],
			["GB", 1073741824],
			["TB", 1099511627776]
		]
	}
];

function formatValue(value, unit) {
	for (const family of units) {
		const index = family.names.indexOf(unit);
		if (index < 0) continue;
		const size = Math.abs(value) * family.sizes[index];
		let best = family.steps[0];
		for (const step of family.steps) if (size >= step[1]) best = step;
		const number = (value * family.sizes[index]) / best[1];
		return (
			(best[1] === 1 ? String(number) : number.toFixed(2).replace(/\.00$/, "")) +
			"\u202f" +
			best[0]
		);
	}
	// Numbers beyond 2^53 lose digits in toLocaleString, as BigInt they do not.
	const exact = Math.abs(value) < 1e15 ? value : BigInt(Math.round(value));
	return (
		exact.toLocaleString("en") +
		(/^(count|samples|)$/.test(unit) ? "" : "\u202f" + unit)
	);
}

function formatShare(part, whole) {
	const share = whole ? (100 * part) / whole : 0;
	if (share > 0 && share < 0.01) return "<0.01%";
	return share.toFixed(share < 100 ? 2 : 0) + "%";
}
