// SPDX-License-Identifier: MIT
//
// Things have names in the address: q7 a request, s2.5 a state of thread 2, p2.0.5 a span at depth
// 0, c0.5 a run, i5 a moment, o5 a block I/O, l5 a loss. Here a name becomes what it stands for.

function stateItem(app, th, i) {
	const t = app.t,
		s = th.states,
		state = s.state[i],
		facts = [
			["thread", th.name + " " + th.tid],
			["state", stateName(t, state)],
			["length", formatTime(s.end[i] - s.start[i])]
		],
		stacks = [],
		links = [];
	if (classOf(state) === 0) facts.push(["CPU", String(s.cpu[i])]);
	if (s.stack[i]) stacks.push(["Where it left the CPU", s.stack[i]]);
	if (s.waker[i]) {
		const waker = threadAt(t, s.waker[i], s.start[i]);
		const name = waker ? waker.name : t.names[s.wakerName[i]];
		facts.push(["woken by", (name || "?") + " " + s.waker[i]]);
		if (s.wakerStack[i]) stacks.push(["Where it was woken from", s.wakerStack[i]]);
		if (waker) {
			const k = firstEnding(waker.states, s.start[i] - 1);
			if (k < waker.states.n)
				links.push([
					"What the waker did",
					{ sel: "s" + waker.number + "." + k }
				]);
		}
	}
	for (const row of th.rows) {
		const k = firstEnding(row, s.start[i]);
		if (k < row.n && row.start[k] <= s.start[i])
			facts.push([row.depth ? "in" : "within", spanName(t, row, k)]);
	}
	return {
		kind: "state",
		index: i,
		thread: th,
		start: s.start[i],
		end: s.end[i],
		track: "t" + th.number,
		dy: 1,
		height: STATE_ROW - 2,
		title: th.name + ": " + stateName(t, state),
		facts: facts,
		stacks: stacks,
		links: links
	};
}

function spanItem(app, th, row, i) {
	const t = app.t,
		more = spanMore(t, th, row, i),
		self = row.end[i] - row.start[i];
	const total = totalsWithin(th, row.start[i], row.end[i]);
	return {
		kind: "span",
		thread: th,
		start: row.start[i],
		end: row.end[i],
		track: "t" + th.number,
		dy: STATE_ROW + 8 + row.depth * SPAN_ROW,
		height: SPAN_ROW - 1,
		title: spanName(t, row, i),
		facts: [
			["thread", th.name + " " + th.tid],
			["length", formatTime(self)],
			["on CPU", formatTime(running(total))]
		].concat(more.facts),
		stacks: more.stack ? [["Stack", more.stack]] : []
	};
}

// The track that has it, if the filter lets it through.
function laneOf(app, q) {
	return app.made.requests.find(track => track.lane.list.includes(q));
}

function requestItem(app, q) {
	const track = laneOf(app, q);
	return {
		kind: "request",
		request: q,
		start: q.start,
		end: q.end,
		track: track ? track.id : "",
		dy: 1,
		height: LANE - 2,
		title: q.what || q.route || "request " + q.id,
		stacks: [],
		facts: [
			["route", q.route],
			["id", String(q.id)],
			[
				"status",
				q.open
					? "open"
					: q.status + (q.aborted ? ", aborted by the client" : "")
			],
			["latency", formatTime(q.latency)],
			["answer", q.open ? "" : formatBytes(q.bytes)],
			["system calls", formatCount(q.syscalls)],
			["page faults", formatCount(q.faults)],
			["switches", formatCount(q.switches)],
			["pieces of work", formatCount(q.pieces)],
			["shared by", q.items ? formatCount(q.items) : ""]
		]
	};
}

function resolve(app, name) {
	const t = app.t,
		n = name.slice(1).split(".").map(Number),
		at = list => list && list[n[0]];
	const th = t.threads[n[0]];
	switch (name[0]) {
		case "q":
			return at(t.requests) ? requestItem(app, t.requests[n[0]]) : null;
		case "s":
			return th && n[1] < th.states.n ? stateItem(app, th, n[1]) : null;
		case "p":
			return th && th.rows[n[1]] && n[2] < th.rows[n[1]].n
				? spanItem(app, th, th.rows[n[1]], n[2])
				: null;
		case "c": {
			const cpu = at(t.cpus),
				run = cpu && cpu.runs[n[1]];
			return run
				? {
						kind: "run",
						start: run.start,
						end: run.end,
						track: "c" + cpu.cpu,
						dy: 1,
						height: STATE_ROW,
						title: run.thread.name + " on CPU " + cpu.cpu,
						stacks: [],
						facts: [
							[
								"thread",
								run.thread.name +
									" " +
									run.thread.tid
							],
							["length", formatTime(run.end - run.start)]
						],
						links: [
							[
								"Show the thread",
								{
									sel:
										"s" +
										run.thread.number +
										"." +
										run.index,
									group: "all"
								}
							]
						]
					}
				: null;
		}
		case "i": {
			const e = at(t.instants);
			return e
				? {
						kind: "moment",
						start: e.time,
						end: e.time,
						track: e.thread ? "t" + e.thread.number : "",
						dy: STATE_ROW,
						height: 6,
						title: e.name || t.kinds[e.kind],
						stacks: [["Stack", e.stack]],
						facts: [
							["kind", t.kinds[e.kind]],
							[
								"thread",
								e.thread
									? e.thread.name +
										" " +
										e.thread.tid
									: ""
							],
							[
								"stands for",
								e.weight ? formatTime(e.weight) : ""
							],
							["arguments", e.args]
						]
					}
				: null;
		}
		case "o": {
			const io = at(t.ios);
			const k = io ? app.ioLanes.findIndex(lane => lane.list.includes(io)) : -1;
			return io
				? {
						kind: "io",
						start: io.start,
						end: io.end,
						track: "o" + k,
						dy: 1,
						height: STATE_ROW,
						stacks: [],
						title: "block " + (io.flags & 1 ? "write" : "read"),
						facts: [
							["bytes", formatBytes(io.bytes)],
							["length", formatTime(io.end - io.start)],
							[
								"device",
								(Math.floor(io.dev / 256) & 4095) +
									":" +
									(io.dev & 255)
							],
							["sector", formatCount(io.sector)],
							["sent by TID", String(io.tid)],
							["error", io.error ? String(io.error) : ""]
						]
					}
				: null;
		}
		case "l": {
			const lost = at(t.lost);
			return lost
				? {
						kind: "lost",
						start: lost.start,
						end: lost.end,
						track: lost.cpu < 0 ? "" : "c" + lost.cpu,
						dy: 0,
						height: STATE_ROW,
						stacks: [],
						title: "events are missing",
						facts: [
							[
								"events",
								lost.count
									? formatCount(lost.count)
									: "unknown"
							],
							[
								"CPU",
								lost.cpu < 0
									? "all"
									: String(lost.cpu)
							],
							[
								"length",
								formatTime(lost.end - lost.start)
							]
						]
					}
				: null;
		}
	}
	return null;
}
