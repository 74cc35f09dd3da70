// SPDX-License-Identifier: MIT
//
// What the data mean: names of spans and states, stacks, a request's pieces in detail, searches
// in what is sorted by time, and how figures are written.

// The thread that had this number at that time, or null.
function threadAt(t, tid, time) {
	const all = t.byTid.get(tid) || [];
	return all.find(th => th.born <= time && (!th.died || time <= th.died)) || all[0] || null;
}

// Searches in sorted arrays: the first element that ends after, or begins at or after, a time.
function firstEnding(row, time) {
	let low = 0,
		high = row.n;
	while (low < high) {
		const mid = (low + high) >> 1;
		if (row.end[mid] > time) high = mid;
		else low = mid + 1;
	}
	return low;
}

function firstStarting(row, time, from) {
	let low = from || 0,
		high = row.n;
	while (low < high) {
		const mid = (low + high) >> 1;
		if (row.start[mid] >= time) high = mid;
		else low = mid + 1;
	}
	return low;
}

// What there was of it, one after the other: { start, end, state } or { start, end, thread }.
function piecesOf(t, q) {
	const list = [],
		r = t.pieces;
	let at = q.first;
	r.at = q.pieceAt;
	for (let i = 0; i < q.nrPieces; i++) {
		const what = r.u();
		if (what % 2) at += r.u();
		const length = r.u(),
			code = (what - (what % 2)) / 2;
		list.push(
			code < 64
				? { start: at, end: at + length, state: code }
				: { start: at, end: at + length, thread: t.threads[code - 64] }
		);
		at += length;
	}
	return list;
}

function phasesOf(t, q) {
	const list = [],
		r = t.phaseBytes;
	r.at = q.phaseAt;
	for (let i = 0; i < q.nrPhases; i++) {
		const phase = t.phaseOf.get(r.u()) || 0,
			depth = r.u(),
			start = q.start + r.u();
		list.push({ phase: phase, depth: depth, start: start, end: start + r.u() });
	}
	return list.sort((a, b) => a.start - b.start || a.depth - b.depth);
}

// While nobody works on it, its home is busy with others, or waits for events, as its states tell.
function splitByLoop(home, piece, list) {
	let at = piece.start;
	for (
		let i = home ? firstEnding(home.states, at) : 0;
		home && i < home.states.n && at < piece.end;
		i++
	) {
		const state = home.states.state[i] === EPOLL ? WAIT : LOOP,
			end = Math.min(home.states.end[i], piece.end);
		const last = list[list.length - 1];
		if (last && last.state === state && last.end === at) last.end = end;
		else list.push({ start: at, end: end, state: state });
		at = end;
	}
	if (at < piece.end) list.push({ start: at, end: piece.end, state: piece.state });
}

// Its states in detail: where a thread works on it, those of the thread.
function statesOf(t, q) {
	const list = [];
	for (const piece of piecesOf(t, q)) {
		if (piece.state === LOOP || piece.state === WAIT) {
			splitByLoop(threadAt(t, q.home, piece.start), piece, list);
			continue;
		}
		if (!piece.thread) {
			list.push(piece);
			continue;
		}
		const s = piece.thread.states;
		for (let i = firstEnding(s, piece.start); i < s.n && s.start[i] < piece.end; i++)
			list.push({
				start: Math.max(s.start[i], piece.start),
				end: Math.min(s.end[i], piece.end),
				state: s.state[i],
				thread: piece.thread,
				index: i
			});
	}
	return list;
}

function spanName(t, row, i) {
	const name = row.name[i];
	switch (row.head[i] & 3) {
		case 0:
			return t.names[name] || "?";
		case 1:
			return t.syscalls.get(name) || "syscall " + name;
		case 2:
			return "page fault";
		default:
			return "commit " + name;
	}
}

// What else is known of a span.
function spanMore(t, th, row, i) {
	const r = new Reader(th.more),
		head = row.head[i],
		kind = head & 3,
		facts = [];
	r.at = row.more[i];
	if (kind === 0) {
		r.u();
		facts.push(["category", t.names[r.u()]]);
	} else if (kind === 1) {
		r.u();
		const big = r.big(),
			result = big & 1n ? -((big + 1n) >> 1n) : big >> 1n;
		if (!(head & 8)) facts.push(["returned", String(result)]);
		const args = [r.big(), r.big(), r.big()];
		if (!(head & 4))
			facts.push([
				"arguments",
				args
					.map(a => {
						return a < 65536n
							? String(a)
							: "0x" + a.toString(16);
					})
					.join(", ")
			]);
	} else if (kind === 2) {
		facts.push(["address", "0x" + r.big().toString(16)]);
		facts.push(["access", r.u() & 1 ? "write" : "read"]);
	} else {
		r.u();
	}
	const stack = head & 32 ? r.u() : 0;
	if (head & 16)
		for (const arg of r.text().split("\x1f")) {
			const at = arg.indexOf("=");
			facts.push([clean(arg.slice(0, at)), clean(arg.slice(at + 1))]);
		}
	if (head & 4) facts.push(["", "began before the recording or the part that is shown"]);
	if (head & 8) facts.push(["", "its end was not seen"]);
	return { facts: facts, stack: stack };
}

// Innermost first.
function framesOf(t, stack) {
	const frames = [];
	for (let n = t.nodes[stack]; n; n = t.nodes[n.parent])
		frames.push({ f: t.functions[n.f], inlined: n.inlined });
	return frames;
}

function stateName(t, state) {
	return state >= QUEUED ? "queued: " + t.states[state] : t.states[state];
}

function formatTime(ns) {
	const sign = ns < 0 ? "\u2212" : "",
		n = Math.abs(ns);
	const step =
		n >= 1e9
			? [1e9, "s"]
			: n >= 1e6
				? [1e6, "ms"]
				: n >= 1e3
					? [1e3, "\u00b5s"]
					: [1, "ns"];
	const value = n / step[0];
	return (
		sign +
		(step[0] === 1
			? String(Math.round(value))
			: value.toFixed(value < 10 ? 3 : value < 100 ? 2 : 1)) +
		"\u202f" +
		step[1]
	);
}

const counts = new Intl.NumberFormat("en");

function formatCount(n) {
	return counts.format(n);
}

function formatPercent(part, whole) {
	return (whole > 0 ? (100 * part) / whole : 0).toFixed(1) + "\u202f%";
}

function formatBytes(n) {
	const names = ["B", "kB", "MB", "GB", "TB"];
	let i = 0,
		value = Math.abs(n);
	for (; value >= 1024 && i < 4; i++) value /= 1024;
	return (
		(n < 0 ? "\u2212" : "") +
		(i ? value.toFixed(1) : String(value)) +
		"\u202f" +
		names[i]
	);
}
