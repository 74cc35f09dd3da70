// SPDX-License-Identifier: MIT
//
// The tracks of the picture, from top to bottom: each can draw itself for a stretch of time and
// tell what is at a point.

const HEADER = 24,
	STATE_ROW = 18,
	SPAN_ROW = 15,
	LANE = 26;

// Requests side by side, in as few lanes as their overlaps need.
function packLanes(list) {
	const lanes = [],
		ends = [];
	for (const q of list) {
		let i = ends.findIndex(end => end <= q.start);
		if (i < 0) {
			i = ends.length;
			lanes.push([]);
		}
		ends[i] = q.end;
		lanes[i].push(q);
	}
	return lanes.map(list => {
		const n = list.length;
		const lane = {
			n: n,
			list: list,
			start: new Float64Array(n),
			end: new Float64Array(n),
			sum: new Float64Array(n + 1)
		};
		list.forEach((q, i) => {
			lane.start[i] = q.start;
			lane.end[i] = q.end;
			lane.sum[i + 1] = lane.sum[i] + q.latency;
		});
		return lane;
	});
}

function rowAt(row, time, p) {
	const i = firstEnding(row, time);
	if (i < row.n && row.start[i] <= time) return i;
	// Near is enough: what is narrow is hard to hit.
	const near = (3 * (p.b - p.a)) / p.width;
	if (i < row.n && row.start[i] - time < near) return i;
	return i > 0 && time - row.end[i - 1] < near ? i - 1 : -1;
}

function counterTracks(app) {
	const t = app.t,
		list = [],
		add = (id, label, counter, format) => {
			counter.end = t.end;
			if (counter.time.length && counter.max > 0)
				list.push({
					id: id,
					section: "counters",
					label: label,
					note:
						"at most " +
						format(counter.max) +
						(counter.of ? ", " + counter.of : ""),
					height: 36,
					maxAt: counter.maxAt,
					draw: (p, y) => drawCounter(p, counter, y + 2, 32),
					at: () => null,
					value: time => {
						const i =
							firstStarting(
								{
									n: counter.time.length,
									start: counter.time
								},
								time + 0.5
							) - 1;
						return i >= 0 ? format(counter.value[i]) : "";
					}
				});
		};
	if (t.requests.length) {
		add("kf", "requests in flight", app.inFlight, formatCount);
		add(
			"kp",
			"p99 by " + (app.p99s.every === 1e9 ? "second" : "0.1 s"),
			app.p99s,
			formatTime
		);
	}
	add("kq", "threads waiting for a CPU", app.waiting, formatCount);
	t.counters.forEach((counter, i) => {
		const shown = shownCounter(t, counter);
		add("k" + i, shown.label, shown, shown.format);
	});
	return list;
}

// By name; those of which the route is not known last.
function routesOf(by) {
	const known = Array.from(by.keys()).filter(Boolean).sort();
	return by.has("") ? known.concat("") : known;
}

function requestTracks(app) {
	const by = new Map(),
		list = [];
	for (const q of app.t.byStart)
		if (app.matches(q)) {
			if (!by.has(q.route)) by.set(q.route, []);
			by.get(q.route).push(q);
		}
	for (const route of routesOf(by)) {
		const lanes = packLanes(by.get(route));
		lanes.forEach((lane, i) => {
			list.push({
				id: "r" + route + "/" + i,
				section: "requests",
				label: route || NO_ROUTE,
				follows: i > 0,
				note: i
					? "overlapping, " + (i + 1)
					: formatCount(by.get(route).length),
				height: LANE,
				lane: lane,
				total: lane.sum[lane.n],
				draw: (p, y) => drawLane(p, app, lane, y + 1, LANE - 2),
				at: (p, time) => {
					const k = rowAt(lane, time, p);
					return k < 0 ? null : "q" + lane.list[k].index;
				}
			});
		});
	}
	return list;
}

function threadTracks(app) {
	return app.t.threads.map(th => {
		const rows = th.rows;
		return {
			id: "t" + th.number,
			section: "threads",
			label: th.name || "?",
			thread: th,
			note:
				th.tid +
				"\u2003" +
				formatPercent(running(th.total), lifetime(th.total)) +
				" CPU",
			total: running(th.total),
			height: STATE_ROW + 8 + SPAN_ROW * rows.length + 4,
			draw: (p, y) => {
				drawStates(p, th, y + 1, STATE_ROW - 2);
				drawMoments(p, th.instants, th.instantRow, y + STATE_ROW, 6);
				rows.forEach((row, i) => {
					const top = y + STATE_ROW + 8 + i * SPAN_ROW;
					drawSpans(p, app.t, row, top, SPAN_ROW);
				});
			},
			at: (p, time, y) => {
				if (y < STATE_ROW) {
					const i = rowAt(th.states, time, p);
					return i < 0 ? null : "s" + th.number + "." + i;
				}
				if (y < STATE_ROW + 8) {
					const near = (4 * (p.b - p.a)) / p.width,
						i = firstStarting(th.instantRow, time - near);
					return i < th.instants.length &&
						th.instants[i].time <= time + near
						? "i" + th.instants[i].index
						: null;
				}
				const row = rows[Math.floor((y - STATE_ROW - 8) / SPAN_ROW)],
					i = row ? rowAt(row, time, p) : -1;
				return i < 0 ? null : "p" + th.number + "." + row.depth + "." + i;
			}
		};
	});
}

function cpuTracks(app) {
	const list = app.t.cpus.map((cpu, k) => {
		return {
			id: "c" + cpu.cpu,
			section: "cpus",
			label: "CPU " + cpu.cpu,
			total: cpu.sum[cpu.n],
			note: formatPercent(cpu.sum[cpu.n], app.t.end - app.t.start),
			height: STATE_ROW + 2,
			draw: (p, y) => drawCpu(p, cpu, y + 1, STATE_ROW),
			at: (p, time) => {
				const i = rowAt(cpu, time, p);
				return i < 0 ? null : "c" + k + "." + i;
			}
		};
	});
	const ios = app.ioLanes;
	ios.forEach((lane, k) => {
		list.push({
			id: "o" + k,
			section: "cpus",
			label: "block I/O",
			note: k ? "overlapping, " + (k + 1) : formatCount(app.t.ios.length),
			height: STATE_ROW + 2,
			total: 0,
			draw: (p, y) => drawIos(p, lane, y, STATE_ROW),
			at: (p, time) => {
				const i = rowAt(lane, time, p);
				return i < 0 ? null : "o" + app.t.ios.indexOf(lane.list[i]);
			}
		});
	});
	return list;
}

const SECTIONS = [
	["counters", "Counters"],
	["requests", "By request"],
	["threads", "By thread"],
	["cpus", "By CPU"]
];

// The tracks as they are chosen, with where each is. Pinned ones come first and stay.
function layOutTracks(app) {
	const s = app.state,
		made = app.made,
		list = [];
	let y = 0;
	const wanted = section => {
		return section === "counters" || s.group === "all" || s.group === section;
	};
	const add = (track, pinned) => {
		track.y = y;
		track.pinned = pinned;
		list.push(track);
		y += track.height;
	};
	for (const section of SECTIONS)
		for (const track of made[section[0]])
			if (s.pin.includes(track.id) && !s.hide.includes(track.id))
				add(track, true);
	app.pinnedHeight = y;
	for (const section of SECTIONS) {
		let tracks = made[section[0]].filter(track => {
			return (
				wanted(section[0]) &&
				!s.hide.includes(track.id) &&
				!s.pin.includes(track.id)
			);
		});
		if (!tracks.length) continue;
		if (section[0] !== "counters" && s.sort === "name")
			tracks = tracks
				.slice()
				.sort((a, b) =>
					a.label < b.label ? -1 : a.label > b.label ? 1 : 0
				);
		else if (section[0] !== "counters" && s.sort === "busy")
			tracks = tracks.slice().sort((a, b) => b.total - a.total);
		add(
			{
				id: "h" + section[0],
				header: true,
				label: section[1],
				height: HEADER,
				draw: function () {},
				at: () => null
			},
			false
		);
		tracks.forEach(track => add(track, false));
	}
	app.tracks = list;
	app.fullHeight = y;
}

function drawTracks(app, pinned) {
	const p = app.picture,
		top = pinned ? p.top : p.top + app.pinnedHeight,
		bottom = pinned ? p.top + app.pinnedHeight : p.height;
	p.clip(top, bottom);
	if (pinned) p.rect(0, top, p.width, bottom - top, p.inks.raised);
	for (const track of app.tracks) {
		const y = p.top + track.y - (track.pinned ? 0 : app.scroll);
		track.at_y = y;
		if (track.pinned !== pinned || y + track.height < top || y > bottom) continue;
		if (track.header) p.rect(0, y, p.width, track.height - 3, p.inks.raised);
		else track.draw(p, y);
		app.drawn.push(track);
	}
}

function drawAll(app) {
	const p = app.picture,
		ctx = p.ctx,
		s = app.state;
	p.rects = 0;
	ctx.font = "11px system-ui, sans-serif";
	p.clip(0, p.height);
	p.rect(0, 0, p.width, p.height, p.inks.back);
	drawRuler(p, app.t);
	app.drawn = [];
	drawTracks(app, false);
	drawTracks(app, true);
	p.finish();
	for (const e of app.t.marks) {
		const x = Math.round(p.x(e.time));
		if (x < 0 || x > p.width) continue;
		const text = e.name || app.t.kinds[e.kind];
		// Over the ruler's figures.
		ctx.fillStyle = p.colors.raised;
		ctx.fillRect(x, 0, ctx.measureText(text).width + 8, p.top - 6);
		ctx.fillStyle = p.colors.hit;
		ctx.fillRect(x, 0, 2, p.height);
		ctx.fillText(text, x + 4, 12);
	}
	if (s.rb > s.ra) {
		const x = Math.max(-2, p.x(s.ra)),
			w = Math.min(p.width + 2, p.x(s.rb)) - x;
		ctx.fillStyle = p.colors.range;
		ctx.fillRect(x, 0, w, p.height);
		ctx.fillStyle = p.colors.ring;
		ctx.fillRect(x, 0, 1, p.height);
		ctx.fillRect(x + w, 0, 1, p.height);
	}
	drawSelection(app);
}

// From who woke a thread to where that became runnable. Returns whether it could be drawn.
function drawWakeup(app, th, i) {
	const p = app.picture,
		s = th.states,
		waker = s.waker[i] && threadAt(app.t, s.waker[i], s.start[i]);
	const to = app.trackOf("t" + th.number),
		from = waker && app.trackOf("t" + waker.number);
	if (!waker || waker === th || !to || !from || s.start[i] < p.a || s.start[i] > p.b)
		return false;
	const x = p.x(s.start[i]),
		y1 = from.at_y + STATE_ROW / 2,
		y2 = to.at_y + (from.at_y < to.at_y ? 1 : STATE_ROW - 2);
	arrow(p, x - 1, y1, x, y2, p.colors.ring);
	return true;
}

function drawSelection(app) {
	const p = app.picture,
		item = app.item;
	app.arrows = 0;
	if (app.state.arrows) {
		for (const track of app.drawn) {
			const th = track.thread;
			if (!th) continue;
			const s = th.states,
				i = firstEnding(s, p.a);
			let last = -20;
			for (let k = i; k < s.n && s.start[k] < p.b && app.arrows < 400; k++) {
				if (!s.waker[k]) continue;
				const x = p.x(s.start[k]);
				if (x - last < 8) {
					k = Math.max(k, firstStarting(s, p.time(last + 8), k) - 1);
					continue;
				}
				if (drawWakeup(app, th, k)) {
					app.arrows++;
					last = x;
				}
			}
		}
	}
	if (!item) return;
	const track = app.trackOf(item.track);
	if (track) {
		const x = Math.max(-4, p.x(item.start)),
			w = Math.max(3, Math.min(p.width + 4, p.x(item.end)) - x);
		p.ctx.strokeStyle = p.colors.ring;
		p.ctx.lineWidth = 2;
		p.ctx.strokeRect(x - 1, track.at_y + item.dy, w + 2, item.height);
		p.rects++;
	}
	if (item.kind === "state")
		for (let k = item.index; k >= 0 && k > item.index - 3; k--)
			if (item.thread.states.waker[k]) {
				app.arrows += drawWakeup(app, item.thread, k);
				break;
			}
	if (item.kind === "request")
		for (const s of statesOf(app.t, item.request))
			if (s.thread && s.state === RUNNABLE)
				app.arrows += drawWakeup(app, s.thread, s.index);
}
