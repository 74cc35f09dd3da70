// SPDX-License-Identifier: MIT
//
// The data of the page (tools/lib/html_impl.h says how they are written), unpacked into typed
// arrays: of each thread its states, and its spans by depth, each sorted by time, with running
// sums, so that any stretch is summed up by two searches, however much is in it.

const USER = 1,
	SYSCALL = 2,
	RUNNABLE = 3,
	PREEMPTED = 4,
	EPOLL = 6,
	DEAD = 12,
	NR_THREAD_STATES = 13;

const LOOP = 13,
	WAIT = 14,
	COMMIT = 15,
	REPLY = 16,
	QUEUED = 17;

const SAMPLE = 30;

const COLUMNS = [
	"",
	"meta",
	"names",
	"functions",
	"stacks",
	"threads",
	"states",
	"lengths",
	"stateMore",
	"spans",
	"spanTimes",
	"spanMore",
	"instants",
	"requests",
	"pieces",
	"phases",
	"counters",
	"ios",
	"lost",
	"syscalls"
];

const decoder = new TextDecoder();

let stateNames = [];

class Reader {
	constructor(bytes) {
		this.bytes = bytes || new Uint8Array(0);
		this.at = 0;
	}
	more() {
		return this.at < this.bytes.length;
	}
	byte() {
		return this.bytes[this.at++];
	}
	u() {
		let c = this.bytes[this.at++];
		if (c < 128) return c;
		let n = c & 127,
			scale = 128;
		do {
			c = this.bytes[this.at++];
			n += (c & 127) * scale;
			scale *= 128;
		} while (c > 127);
		return n;
	}
	s() {
		const n = this.u();
		return n % 2 ? -(n + 1) / 2 : n / 2;
	}
	// All 64 bits.
	big() {
		let n = 0n,
			shift = 0n,
			c;
		do {
			c = this.bytes[this.at++];
			n |= BigInt(c & 127) << shift;
			shift += 7n;
		} while (c > 127);
		return n;
	}
	text() {
		const size = this.u();
		this.at += size;
		return decoder.decode(this.bytes.subarray(this.at - size, this.at));
	}
}

function fromBase64(text) {
	const raw = atob(text),
		bytes = new Uint8Array(raw.length);
	for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
	return bytes;
}

async function inflate(bytes) {
	const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
	return new Uint8Array(await new Response(stream).arrayBuffer());
}

// { column: [bytes of track 0, of track 1, ...] }
function splitColumns(bytes) {
	const r = new Reader(bytes),
		parts = {},
		columns = {};
	for (const name of COLUMNS) parts[name] = [];
	while (r.more()) {
		const column = COLUMNS[r.u()],
			track = r.u(),
			size = r.u();
		if (column)
			(parts[column][track] = parts[column][track] || []).push(
				bytes.subarray(r.at, r.at + size)
			);
		r.at += size;
	}
	for (const name of COLUMNS)
		columns[name] = parts[name].map(list => {
			let size = 0;
			if (list.length === 1) return list[0];
			for (const part of list) size += part.length;
			const all = new Uint8Array(size);
			size = 0;
			for (const part of list) {
				all.set(part, size);
				size += part.length;
			}
			return all;
		});
	return columns;
}

// What a terminal or a picture must not be given: controls, and what changes the direction.
function clean(text) {
	return text.replace(
		/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
		"\ufffd"
	);
}

function readNames(bytes) {
	const r = new Reader(bytes),
		names = [""];
	while (r.more()) names.push(clean(r.text()));
	return names;
}

function readStacks(t, columns) {
	let r = new Reader(columns.functions[0]);
	t.functions = [null];
	while (r.more())
		t.functions.push({
			name: clean(r.text()),
			file: t.names[r.u()],
			module: t.names[r.u()],
			line: r.u(),
			origin: String.fromCharCode(r.byte())
		});
	r = new Reader(columns.stacks[0]);
	t.nodes = [null];
	while (r.more()) t.nodes.push({ parent: r.u(), f: r.u(), inlined: r.u() > 0 });
}

// Which of three kinds a state is: on a CPU, waiting for one, or off it otherwise; -1: not there.
function classOf(state) {
	if (state === USER || state === SYSCALL) return 0;
	if (state === RUNNABLE || state === PREEMPTED) return 1;
	return state >= 5 && state < DEAD ? 2 : -1;
}

function readStates(columns, number) {
	const heads = columns.states[number] || new Uint8Array(0),
		n = heads.length;
	const lengths = new Reader(columns.lengths[number]);
	const more = new Reader(columns.stateMore[number]);
	const s = {
		n: n,
		start: new Float64Array(n),
		end: new Float64Array(n),
		state: new Uint8Array(n),
		cpu: new Uint16Array(n),
		stack: new Uint32Array(n),
		waker: new Uint32Array(n),
		wakerName: new Uint32Array(n),
		wakerStack: new Uint32Array(n),
		sum: [new Float64Array(n + 1), new Float64Array(n + 1), new Float64Array(n + 1)]
	};
	let at = 0,
		cpu = 65535;
	for (let i = 0; i < n; i++) {
		const head = heads[i],
			state = head & 15,
			length = lengths.u(),
			kind = classOf(state);
		if (head & 16) at += more.s();
		if (head & 32) cpu = more.u();
		if (head & 64) s.stack[i] = more.u();
		if (head & 128) {
			s.waker[i] = more.u();
			s.wakerName[i] = more.u();
			s.wakerStack[i] = more.u();
		}
		s.start[i] = at;
		s.end[i] = at += length;
		s.state[i] = state;
		s.cpu[i] = cpu;
		for (let k = 0; k < 3; k++)
			s.sum[k][i + 1] = s.sum[k][i] + (k === kind ? length : 0);
	}
	return s;
}

function readSpans(columns, number) {
	const heads = columns.spans[number] || new Uint8Array(0),
		n = heads.length / 2;
	const times = new Reader(columns.spanTimes[number]);
	const more = new Reader(columns.spanMore[number]);
	const counts = [],
		rows = [];
	for (let i = 0; i < n; i++) counts[heads[2 * i + 1]] = (counts[heads[2 * i + 1]] || 0) + 1;
	// Of each depth, what is in it is in order.
	for (let depth = 0; depth < counts.length; depth++) {
		const size = counts[depth] || 0;
		rows.push({
			n: 0,
			depth: depth,
			id: number + "." + depth + ".",
			start: new Float64Array(size),
			end: new Float64Array(size),
			head: new Uint8Array(size),
			name: new Uint32Array(size),
			more: new Uint32Array(size),
			sum: new Float64Array(size + 1)
		});
	}
	let start = 0;
	for (let i = 0; i < n; i++) {
		const head = heads[2 * i],
			row = rows[heads[2 * i + 1]],
			at = row.n++,
			kind = head & 3;
		start += times.s();
		const length = times.u();
		row.start[at] = start;
		row.end[at] = start + length;
		row.head[at] = head;
		row.more[at] = more.at;
		row.sum[at + 1] = row.sum[at] + length;
		row.name[at] = more.u();
		if (kind === 0) more.u();
		else if (kind === 2) more.u();
		else if (kind === 1) for (let k = 0; k < 4; k++) more.u();
		if (head & 32) more.u();
		if (head & 16) {
			const size = more.u();
			more.at += size;
		}
	}
	return rows;
}

function readThreads(t, columns) {
	const r = new Reader(columns.threads[0]);
	t.threads = [];
	while (r.more()) {
		const th = {
			number: r.u(),
			tid: r.u(),
			pid: r.u(),
			name: t.names[r.u()],
			process: t.names[r.u()],
			born: r.s()
		};
		const lived = r.u();
		th.died = lived ? th.born + lived - 1 : 0;
		th.before = r.u() > 0;
		th.total = [];
		for (let i = 0; i < NR_THREAD_STATES; i++) th.total.push(r.u());
		for (const key of [
			"runs",
			"preemptions",
			"wakeups",
			"syscalls",
			"faults",
			"samples",
			"lost"
		])
			th[key] = r.u();
		th.states = readStates(columns, th.number);
		th.rows = readSpans(columns, th.number);
		th.more = columns.spanMore[th.number] || new Uint8Array(0);
		th.instants = [];
		t.threads[th.number] = th;
	}
	t.byTid = new Map();
	for (const th of t.threads) t.byTid.set(th.tid, (t.byTid.get(th.tid) || []).concat(th));
}

function readParts(r) {
	const parts = [];
	for (let n = r.u(); n > 0; n--) parts.push([r.u(), r.u()]);
	return parts;
}

function readRequests(t, columns) {
	const r = new Reader(columns.requests[0]),
		pieces = new Reader(columns.pieces[0]);
	const phases = new Reader(columns.phases[0]);
	let id = 0n,
		end = 0;
	t.requests = [];
	while (r.more()) {
		const delta = r.big();
		id = BigInt.asUintN(64, id + (delta & 1n ? -((delta + 1n) >> 1n) : delta >> 1n));
		const q = {
			index: t.requests.length,
			id: id,
			route: t.names[r.u()],
			pid: r.u(),
			home: r.u()
		};
		q.end = end += r.s();
		q.latency = r.u();
		q.start = q.end - q.latency;
		q.status = r.s();
		q.bytes = r.u();
		const flags = r.u();
		q.partial = (flags & 1) > 0;
		q.lost = (flags & 2) > 0;
		q.open = (flags & 4) > 0;
		q.aborted = (flags & 8) > 0;
		q.counts = !q.partial && !q.lost;
		for (const key of ["pieces", "syscalls", "faults", "switches", "items"])
			q[key] = r.u();
		q.what = clean(r.text());
		q.states = readParts(r);
		q.phases = readParts(r);
		q.waits = [];
		for (let n = r.u(); n > 0; n--)
			q.waits.push({
				start: q.start + r.s(),
				length: r.u(),
				state: r.u(),
				phase: r.u(),
				stack: r.u()
			});
		const nrPieces = r.u(),
			nrPhases = r.u();
		q.first = q.start + r.s();
		q.pieceAt = pieces.at;
		q.nrPieces = nrPieces;
		for (let i = 0; i < nrPieces; i++) {
			if (pieces.u() % 2) pieces.u();
			pieces.u();
		}
		q.phaseAt = phases.at;
		q.nrPhases = nrPhases;
		for (let i = 0; i < 4 * nrPhases; i++) phases.u();
		t.requests.push(q);
	}
	t.pieces = pieces;
	t.phaseBytes = phases;
}

function readInstants(t, bytes) {
	const r = new Reader(bytes);
	let at = 0;
	t.instants = [];
	while (r.more()) {
		at += r.s();
		const thread = r.u();
		const e = {
			time: at,
			thread: thread ? t.threads[thread - 1] : null,
			kind: r.u(),
			name: t.names[r.u()],
			stack: r.u(),
			weight: r.u(),
			args: clean(r.text().replace(/\x1f/g, "\u2003"))
		};
		t.instants.push(e);
	}
	t.instants.sort((a, b) => a.time - b.time);
	t.instants.forEach((e, i) => {
		e.index = i;
		if (e.thread) e.thread.instants.push(e);
	});
	// Why it was kept, if a flight recorder kept it.
	t.marks = t.instants.filter(e => t.kinds[e.kind] === "trigger");
	for (const th of t.threads)
		th.instantRow = {
			n: th.instants.length,
			start: Float64Array.from(th.instants, e => e.time)
		};
}

function readCounters(t, bytes) {
	const r = new Reader(bytes),
		by = new Map();
	let at = 0;
	while (r.more()) {
		at += r.s();
		const counter = r.u(),
			cpu = r.u(),
			pid = r.u(),
			value = r.s();
		const key = counter + "/" + (cpu || "p" + pid);
		if (!by.has(key))
			by.set(key, { counter: counter, cpu: cpu, pid: pid, time: [], value: [] });
		by.get(key).time.push(at);
		by.get(key).value.push(value);
	}
	t.counters = Array.from(by.values());
}

function readLost(t, bytes) {
	const r = new Reader(bytes);
	let at = 0;
	t.lost = [];
	while (r.more()) {
		at += r.s();
		const cpu = r.u() - 1,
			count = r.u();
		t.lost.push({ start: at, cpu: cpu, count: count, end: at + r.u() });
	}
}

function readIos(t, bytes) {
	const r = new Reader(bytes);
	let at = 0;
	t.ios = [];
	while (r.more()) {
		at += r.s();
		t.ios.push({
			start: at,
			end: at + r.u(),
			dev: r.u(),
			sector: r.u(),
			bytes: r.u(),
			flags: r.u(),
			tid: r.u(),
			error: r.s()
		});
	}
	t.ios.sort((a, b) => a.start - b.start);
}

// Runs by CPU, of all threads that were on it.
function findCpus(t) {
	const runs = [];
	for (const th of t.threads) {
		const s = th.states;
		for (let i = 0; i < s.n;) {
			if (classOf(s.state[i]) !== 0) {
				i++;
				continue;
			}
			const first = i,
				cpu = s.cpu[i];
			while (
				i < s.n &&
				classOf(s.state[i]) === 0 &&
				s.cpu[i] === cpu &&
				(i === first || s.start[i] === s.end[i - 1])
			)
				i++;
			(runs[cpu] = runs[cpu] || []).push({
				start: s.start[first],
				end: s.end[i - 1],
				thread: th,
				index: first
			});
		}
	}
	t.cpus = [];
	runs.forEach((list, cpu) => {
		list.sort((a, b) => a.start - b.start);
		const n = list.length;
		const c = {
			cpu: cpu,
			n: n,
			runs: list,
			start: new Float64Array(n),
			end: new Float64Array(n),
			sum: new Float64Array(n + 1)
		};
		list.forEach((run, i) => {
			c.start[i] = run.start;
			c.end[i] = run.end;
			c.sum[i + 1] = c.sum[i] + run.end - run.start;
		});
		t.cpus.push(c);
	});
}

async function loadTimeline(text) {
	const columns = splitColumns(await inflate(fromBase64(text)));
	const t = JSON.parse(decoder.decode(columns.meta[0]));
	t.lost_count = t.lost;
	stateNames = t.states.map(clean);
	t.names = readNames(columns.names[0]);
	t.phaseOf = new Map();
	t.names.forEach((name, i) => {
		if (i && t.phases.includes(name)) t.phaseOf.set(i, t.phases.indexOf(name));
	});
	t.syscalls = new Map();
	const r = new Reader(columns.syscalls[0]);
	while (r.more()) t.syscalls.set(r.u(), clean(r.text()));
	readStacks(t, columns);
	readThreads(t, columns);
	readRequests(t, columns);
	readInstants(t, columns.instants[0]);
	readCounters(t, columns.counters[0]);
	readIos(t, columns.ios[0]);
	readLost(t, columns.lost[0]);
	findCpus(t);
	const used = key =>
		Uint32Array.from(
			new Set(t.requests.flatMap(q => q[key].map(part => part[0])))
		).sort();
	t.usedStates = used("states");
	t.usedPhases = used("phases");
	t.byStart = t.requests.slice().sort((a, b) => a.start - b.start);
	return t;
}
