// SPDX-License-Identifier: MIT
//
// The picture, on a canvas: tracks from top to bottom, each of which can draw itself for a stretch of
// time and tell what is at a point. What is narrower than a pixel is not drawn one by one: of each
// pixel the shares are drawn, as a bar in it, from running sums. So a frame costs pixels, not events.

const COLORS = {
	light: { back: "#ffffff", raised: "#f4f5f8", text: "#14161a", dim: "#5b626d", line: "#d5d9e0",
		ring: "#0b57d0", hit: "#6a1b9a", range: "rgba(11,87,208,.12)", lost: "#b3261e", miss: .3,
		classes: ["#3f9c50", "#f0a020", "#c3c9d2"], counter: "#4a7fb5",
		states: ["#ffffff", "#2f8f46", "#7dbb4f", "#f5b93c", "#e8862e", "#9a78c8", "#dde1e7", "#5b9bd9", "#c4634a",
			"#c2cad3", "#dc5b92", "#9aa7b4", "#ffffff", "#e5b98c", "#e4e8ed", "#a85a46", "#f2cf94", "#d690b4"],
		phases: ["#c9ced6", "#8fb4e3", "#f2b279", "#9ad0a8", "#d8a4d6", "#e8d27a", "#92cfd3", "#e39a96", "#b8b2e6"],
		spans: ["#a9c6ea", "#d7dfe9", "#eab6cc", "#d6a393"] },
	dark: { back: "#16181d", raised: "#22252c", text: "#e8eaee", dim: "#9aa1ac", line: "#363b45",
		ring: "#8ab4f8", hit: "#d9a8ff", range: "rgba(138,180,248,.16)", lost: "#ff8a80", miss: .3,
		classes: ["#4caf63", "#d99a2b", "#4a515c"], counter: "#6ea3d8",
		states: ["#16181d", "#3fa057", "#79ad4c", "#d19f35", "#cd7a2e", "#8a6ab8", "#343a44", "#4d86bd", "#b45c46",
			"#4a525d", "#c15184", "#66717e", "#16181d", "#94734f", "#30353e", "#96503e", "#a98a56", "#a5668a"],
		phases: ["#4b525d", "#4a73a8", "#a8713c", "#4f8a60", "#8a5a88", "#8f7d33", "#46878b", "#9a5450", "#6f69a3"],
		spans: ["#3f5f86", "#3a424d", "#7c4660", "#73483c"] }
};

function stateColor(c, state) {
	return c.states[Math.min(state, QUEUED)];
}

// A canvas and the stretch of time on it.
function makePicture(canvas) {
	const p = { canvas: canvas, ctx: canvas.getContext("2d", { alpha: false }), a: 0, b: 1, width: 1, height: 1,
		colors: COLORS.light, tracks: [], top: 24, rects: 0 };
	p.x = function (time) {
		return (time - p.a) / (p.b - p.a) * p.width;
	};
	p.time = function (x) {
		return p.a + x / p.width * (p.b - p.a);
	};
	p.rect = function (x, y, w, h, color) {
		p.rects++;
		p.ctx.fillStyle = color;
		p.ctx.fillRect(x, y, w, h);
	};
	p.label = function (text, x, y, w, color) {
		const left = Math.max(x, 0), room = Math.min(x + w, p.width) - left - 6, n = Math.floor(room / 6.2);
		if (n < 3)
			return;
		p.ctx.fillStyle = color || p.colors.text;
		p.ctx.fillText(text.length > n ? text.slice(0, n - 1) + "\u2026" : text, left + 3, y);
	};
	p.resize = function (width, height) {
		const ratio = window.devicePixelRatio || 1;
		p.width = width;
		p.height = height;
		canvas.width = Math.round(width * ratio);
		canvas.height = Math.round(height * ratio);
		canvas.style.width = width + "px";
		canvas.style.height = height + "px";
		p.ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
	};
	return p;
}

// Calls wide(i, x, w) for what has a pixel, and narrow(i, j, x, w) for the others in one.
function walkRow(p, row, wide, narrow) {
	let i = firstEnding(row, p.a);
	const scale = p.width / (p.b - p.a);
	while (i < row.n && row.start[i] < p.b) {
		const x = (row.start[i] - p.a) * scale, w = (row.end[i] - row.start[i]) * scale;
		if (w >= 1) {
			wide(i, Math.max(x, -1), Math.min(x + w, p.width + 1) - Math.max(x, -1));
			i++;
			continue;
		}
		const pixel = Math.max(Math.floor(x), -1);
		let j = Math.max(i + 1, firstStarting(row, p.time(pixel + 1), i));
		// Only the last that begins in this pixel can reach beyond it.
		if (j - 1 > i && (row.end[j - 1] - row.start[j - 1]) * scale >= 1)
			j--;
		narrow(i, j, pixel);
		i = j;
	}
}

// Something wide that only ends in this pixel covers a part of it: never more than all.
function share(p, sum, i, j) {
	return Math.min(1, (sum[j] - sum[i]) * p.width / (p.b - p.a));
}

function drawStates(p, th, y, h) {
	const s = th.states, c = p.colors;
	walkRow(p, s, function (i, x, w) {
		const state = s.state[i];
		if (state === 0 || state === DEAD) {
			if (state === 0)
				drawHatch(p, x, y, w, h);
			return;
		}
		p.rect(x, y, Math.max(w, 1), h, stateColor(c, state));
		if (w > 30)
			p.label(stateNames[state], x, y + h - 5, w);
	}, function (i, j, x) {
		let top = y;
		for (let k = 0; k < 3; k++) {
			const part = share(p, s.sum[k], i, j) * h;
			if (part > 0)
				p.rect(x, top, 1, Math.max(part, k ? 0 : 1), c.classes[k]);
			top += part;
		}
	});
}

function drawHatch(p, x, y, w, h) {
	const ctx = p.ctx;
	ctx.save();
	ctx.beginPath();
	ctx.rect(x, y, Math.max(w, 1), h);
	ctx.clip();
	ctx.strokeStyle = p.colors.lost;
	ctx.lineWidth = 1;
	ctx.beginPath();
	for (let at = Math.floor(Math.max(x, 0) / 6) * 6 - h; at < Math.min(x + w, p.width); at += 6) {
		ctx.moveTo(at, y + h);
		ctx.lineTo(at + h, y);
	}
	ctx.stroke();
	ctx.restore();
	p.rects++;
}

function drawSpans(p, t, row, y, h, hits) {
	const c = p.colors;
	walkRow(p, row, function (i, x, w) {
		const hit = hits && hits.spans.has(row.id + i);
		p.rect(x, y, Math.max(w - (w > 3 ? 1 : 0), 1), h - 1, hit ? c.hit : c.spans[row.head[i] & 3]);
		if (w > 26)
			p.label(spanName(t, row, i), x, y + h - 4, w, hit ? c.back : c.text);
	}, function (i, j, x) {
		const part = share(p, row.sum, i, j) * (h - 1);
		p.rect(x, y + h - 1 - Math.max(part, 1), 1, Math.max(part, 1), c.spans[row.head[i] & 3]);
	});
}

// A lane of requests that do not overlap: phases above, states below.
function drawLane(p, app, lane, y, h) {
	const c = p.colors, t = app.t, phaseHeight = h - 8;
	walkRow(p, lane, function (i, x, w) {
		const q = lane.list[i], hit = app.hits && app.hits.requests.has(q.index);
		p.rect(x, y, Math.max(w - (w > 4 ? 1 : 0), 1), phaseHeight, hit ? c.hit : q.status >= 500 ? c.lost : c.phases[0]);
		if (w < 4) {
			p.rect(x, y + phaseHeight, 1, 6, c.classes[2]);
			return;
		}
		q.phaseList = q.phaseList || phasesOf(t, q);
		q.stateList = q.stateList || statesOf(t, q);
		for (const f of q.phaseList) {
			const fx = Math.max(p.x(f.start), -1), fw = Math.min(p.x(f.end), p.width + 1) - fx;
			if (fw <= 0)
				continue;
			const inset = Math.min(f.depth * 3, 9);
			p.rect(fx, y + inset, Math.max(fw, .6), phaseHeight - inset, c.phases[1 + (f.phase - 1) % 8]);
			if (fw > 34 && w < 2000000)
				p.label(t.phases[f.phase], fx, y + phaseHeight - 3, fw);
		}
		let last = -1;
		for (const s of q.stateList) {
			const sx = Math.max(p.x(s.start), -1), sw = Math.min(p.x(s.end), p.width + 1) - sx;
			if (sw <= 0 || sx + sw < last + .5)
				continue;
			p.rect(sx, y + phaseHeight, Math.max(sw, .6), 6, stateColor(c, s.state));
			last = sx + sw;
		}
		if (hit) {
			p.ctx.strokeStyle = c.hit;
			p.ctx.lineWidth = 2;
			p.ctx.strokeRect(x, y, w - 1, h - 2);
		}
		if (w > 60 && !q.phaseList.length)
			p.label(q.what || q.route, x, y + phaseHeight - 3, w);
		if (q.lost || q.partial)
			drawHatch(p, x, y + phaseHeight, w, 6);
	}, function (i, j, x) {
		const part = Math.max(2, share(p, lane.sum, i, j) * (h - 2));
		p.rect(x, y + h - 2 - part, 1, part, c.phases[1]);
	});
}

function drawCpu(p, app, cpu, y, h) {
	const c = p.colors;
	p.rect(0, y + h - 1, p.width, 1, c.line);
	walkRow(p, cpu, function (i, x, w) {
		const th = cpu.runs[i].thread;
		p.rect(x, y, Math.max(w - (w > 3 ? 1 : 0), 1), h - 1, c.phases[1 + th.number % 8]);
		if (w > 30)
			p.label(th.name + " " + th.tid, x, y + h - 5, w);
	}, function (i, j, x) {
		const part = Math.max(1, share(p, cpu.sum, i, j) * (h - 1));
		p.rect(x, y + h - 1 - part, 1, part, c.classes[0]);
	});
}

function drawCounter(p, counter, y, h) {
	const c = p.colors, n = counter.time.length, ctx = p.ctx;
	const row = { n: n, start: counter.time };
	let i = Math.max(0, firstStarting(row, p.a) - 1), drawn = 0;
	while (i < n && counter.time[i] < p.b) {
		const x = Math.floor(Math.max(0, p.x(counter.time[i])));
		const next = Math.max(i + 1, firstStarting(row, p.time(Math.floor(x) + 1), i));
		let most = 0;
		for (let k = i; k < next; k += Math.max(1, next - i >> 6))
			most = Math.max(most, counter.value[k]);
		const end = Math.ceil(Math.min(p.width + 1, p.x(next < n ? counter.time[next] : counter.end)));
		const part = counter.max > 0 ? most / counter.max * (h - 4) : 0;
		if (part > 0)
			p.rect(x, y + h - 1 - part, Math.max(1, end - x), part, c.counter);
		i = next;
		drawn++;
	}
	ctx.fillStyle = c.line;
	ctx.fillRect(0, y + h - 1, p.width, 1);
	return drawn;
}

function drawMoments(p, app, th, y, h) {
	const list = th.instants, row = th.instantRow;
	let last = -10;
	for (let i = firstStarting(row, p.a); i < row.n && list[i].time < p.b;) {
		const x = p.x(list[i].time);
		if (x - last >= 3) {
			p.rect(x - 1, y, 2, h, list[i].kind === SAMPLE ? p.colors.dim : p.colors.hit);
			last = x;
			i++;
		} else {
			i = Math.max(i + 1, firstStarting(row, p.time(last + 3), i));
		}
	}
}

// ---------------------------------------------------------------- tracks ----

const HEADER = 24, STATE_ROW = 18, SPAN_ROW = 15, LANE = 26, MAX_ROWS = 12;

// Requests side by side, in as few lanes as their overlaps need.
function packLanes(list) {
	const lanes = [], ends = [];
	for (const q of list) {
		let i = ends.findIndex(function (end) { return end <= q.start; });
		if (i < 0) {
			i = ends.length;
			lanes.push([]);
		}
		ends[i] = q.end;
		lanes[i].push(q);
	}
	return lanes.map(function (list) {
		const n = list.length;
		const lane = { n: n, list: list, start: new Float64Array(n), end: new Float64Array(n), sum: new Float64Array(n + 1) };
		list.forEach(function (q, i) {
			lane.start[i] = q.start;
			lane.end[i] = q.end;
			lane.sum[i + 1] = lane.sum[i] + q.latency;
		});
		return lane;
	});
}

function rowAt(row, time, p) {
	const i = firstEnding(row, time);
	if (i < row.n && row.start[i] <= time)
		return i;
	// Near is enough: what is narrow is hard to hit.
	const near = 3 * (p.b - p.a) / p.width;
	if (i < row.n && row.start[i] - time < near)
		return i;
	return i > 0 && time - row.end[i - 1] < near ? i - 1 : -1;
}

function counterTracks(app) {
	const t = app.t, list = [], add = function (id, label, counter, format) {
		counter.end = t.end;
		if (counter.time.length && counter.max > 0)
			list.push({ id: id, section: "counters", label: label, note: "at most " + format(counter.max), height: 36, maxAt: counter.maxAt,
				draw: function (p, y) { drawCounter(p, counter, y + 2, 32); },
				at: function () { return null; },
				value: function (time) {
					const i = firstStarting({ n: counter.time.length, start: counter.time }, time + .5) - 1;
					return i >= 0 ? format(counter.value[i]) : "";
				} });
	};
	if (t.requests.length) {
		add("kf", "requests in flight", app.inFlight, formatCount);
		add("kp", "p99 by " + (app.p99s.every === 1e9 ? "second" : "0.1 s"), app.p99s, formatTime);
	}
	add("kq", "threads waiting for a CPU", app.waiting, formatCount);
	t.counters.forEach(function (counter, i) {
		const shown = shownCounter(t, counter);
		add("k" + i, shown.label + (shown.of ? ", " + shown.of : ""), shown, shown.format);
	});
	return list;
}

function requestTracks(app) {
	const by = new Map(), list = [];
	for (const q of app.t.byStart)
		if (app.matches(q)) {
			if (!by.has(q.route))
				by.set(q.route, []);
			by.get(q.route).push(q);
		}
	for (const route of Array.from(by.keys()).sort()) {
		const lanes = packLanes(by.get(route));
		lanes.forEach(function (lane, i) {
			list.push({ id: "r" + route + "/" + i, section: "requests", label: route || "(no route)",
				note: i ? "overlapping, " + (i + 1) : formatCount(by.get(route).length), height: LANE, lane: lane,
				total: lane.sum[lane.n],
				draw: function (p, y) { drawLane(p, app, lane, y + 1, LANE - 2); },
				at: function (p, time) {
					const k = rowAt(lane, time, p);
					return k < 0 ? null : "q" + lane.list[k].index;
				} });
		});
	}
	return list;
}

function threadTracks(app) {
	return app.t.threads.map(function (th) {
		const rows = th.rows.slice(0, MAX_ROWS);
		return { id: "t" + th.number, section: "threads", label: th.name || "?", thread: th,
			note: th.tid + "\u2003" + formatPercent(running(th.total), lifetime(th.total)) + " CPU", total: running(th.total),
			height: STATE_ROW + 8 + SPAN_ROW * rows.length + 4,
			draw: function (p, y) {
				drawStates(p, th, y + 1, STATE_ROW - 2);
				drawMoments(p, app, th, y + STATE_ROW, 6);
				rows.forEach(function (row, i) {
					drawSpans(p, app.t, row, y + STATE_ROW + 8 + i * SPAN_ROW, SPAN_ROW, app.hits);
				});
			},
			at: function (p, time, y) {
				if (y < STATE_ROW) {
					const i = rowAt(th.states, time, p);
					return i < 0 ? null : "s" + th.number + "." + i;
				}
				if (y < STATE_ROW + 8) {
					const near = 4 * (p.b - p.a) / p.width, i = firstStarting(th.instantRow, time - near);
					return i < th.instants.length && th.instants[i].time <= time + near ? "i" + th.instants[i].index : null;
				}
				const row = rows[Math.floor((y - STATE_ROW - 8) / SPAN_ROW)], i = row ? rowAt(row, time, p) : -1;
				return i < 0 ? null : "p" + th.number + "." + row.depth + "." + i;
			} };
	});
}

function cpuTracks(app) {
	const list = app.t.cpus.map(function (cpu, k) {
		return { id: "c" + cpu.cpu, section: "cpus", label: "CPU " + cpu.cpu, total: cpu.sum[cpu.n],
			note: formatPercent(cpu.sum[cpu.n], app.t.end - app.t.start), height: STATE_ROW + 2,
			draw: function (p, y) { drawCpu(p, app, cpu, y + 1, STATE_ROW); },
			at: function (p, time) {
				const i = rowAt(cpu, time, p);
				return i < 0 ? null : "c" + k + "." + i;
			} };
	});
	const ios = app.ioLanes;
	ios.forEach(function (lane, k) {
		list.push({ id: "o" + k, section: "cpus", label: "block I/O", note: k ? "overlapping, " + (k + 1) : formatCount(app.t.ios.length),
			height: STATE_ROW + 2, total: 0,
			draw: function (p, y) {
				walkRow(p, lane, function (i, x, w) {
					const io = lane.list[i];
					p.rect(x, y + 1, Math.max(w - 1, 1), STATE_ROW - 1, p.colors.states[8]);
					if (w > 40)
						p.label((io.flags & 1 ? "write " : "read ") + formatBytes(io.bytes), x, y + STATE_ROW - 5, w);
				}, function (i, j, x) { p.rect(x, y + 6, 1, STATE_ROW - 6, p.colors.states[8]); });
			},
			at: function (p, time) {
				const i = rowAt(lane, time, p);
				return i < 0 ? null : "o" + app.t.ios.indexOf(lane.list[i]);
			} });
	});
	return list;
}

const SECTIONS = [["counters", "Counters"], ["requests", "By request"], ["threads", "By thread"], ["cpus", "By CPU"]];

// The tracks as they are chosen, with where each is. Pinned ones come first and stay.
function layOutTracks(app) {
	const s = app.state, made = app.made, list = [];
	let y = 0;
	const wanted = function (section) {
		return section === "counters" || s.group === "all" || s.group === section;
	};
	const add = function (track, pinned) {
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
		let tracks = made[section[0]].filter(function (track) {
			return wanted(section[0]) && !s.hide.includes(track.id) && !s.pin.includes(track.id);
		});
		if (!tracks.length)
			continue;
		if (section[0] !== "counters" && s.sort === "name")
			tracks = tracks.slice().sort(function (a, b) { return a.label < b.label ? -1 : a.label > b.label ? 1 : 0; });
		else if (section[0] !== "counters" && s.sort === "busy")
			tracks = tracks.slice().sort(function (a, b) { return b.total - a.total; });
		add({ id: "h" + section[0], header: true, label: section[1], height: HEADER,
			draw: function () {}, at: function () { return null; } }, false);
		tracks.forEach(function (track) { add(track, false); });
	}
	app.tracks = list;
	app.fullHeight = y;
}

function drawRuler(p, t) {
	const c = p.colors, span = p.b - p.a, rough = span / (p.width / 110);
	const step = [1, 2, 5, 10].map(function (k) { return k * Math.pow(10, Math.floor(Math.log10(rough))); })
		.find(function (k) { return k >= rough; });
	p.rect(0, 0, p.width, p.top, c.raised);
	p.ctx.fillStyle = c.dim;
	const digits = Math.max(0, Math.min(9, -Math.floor(Math.log10(step / 1e9))));
	for (let at = Math.ceil((p.a - t.start) / step) * step; at + t.start < p.b; at += step) {
		const x = p.x(at + t.start);
		p.rect(x, p.top - 6, 1, 6, c.dim);
		p.rect(x, p.top, 1, p.height, c.line);
		p.ctx.fillStyle = c.dim;
		p.ctx.fillText((at / 1e9).toFixed(digits) + "\u202fs", x + 3, p.top - 9);
	}
	for (const lost of t.lost) {
		const x = p.x(lost.start), w = Math.max(3, p.x(lost.end) - x);
		if (x + w >= 0 && x <= p.width)
			p.rect(x, p.top - 5, w, 5, c.lost);
	}
}

function drawAll(app) {
	const p = app.picture, ctx = p.ctx, c = p.colors, s = app.state;
	p.rects = 0;
	ctx.font = "11px system-ui, sans-serif";
	p.rect(0, 0, p.width, p.height, c.back);
	drawRuler(p, app.t);
	app.drawn = [];
	for (const pinned of [false, true]) {
		ctx.save();
		ctx.beginPath();
		const top = pinned ? p.top : p.top + app.pinnedHeight;
		ctx.rect(0, top, p.width, pinned ? app.pinnedHeight : p.height - top);
		ctx.clip();
		if (pinned)
			p.rect(0, top, p.width, app.pinnedHeight, c.raised);
		for (const track of app.tracks) {
			const y = p.top + track.y - (track.pinned ? 0 : app.scroll);
			track.at_y = y;
			if (track.pinned !== pinned || y + track.height < top || y > p.height)
				continue;
			if (track.header)
				p.rect(0, y, p.width, track.height - 3, c.raised);
			else
				track.draw(p, y);
			app.drawn.push(track);
		}
		ctx.restore();
	}
	if (s.rb > s.ra) {
		const x = Math.max(-2, p.x(s.ra)), w = Math.min(p.width + 2, p.x(s.rb)) - x;
		p.rect(x, 0, w, p.height, c.range);
		p.rect(x, 0, 1, p.height, c.ring);
		p.rect(x + w, 0, 1, p.height, c.ring);
	}
	drawSelection(app);
}

function arrow(p, x1, y1, x2, y2, color) {
	const ctx = p.ctx, down = y2 > y1 ? 1 : -1;
	ctx.strokeStyle = ctx.fillStyle = color;
	ctx.lineWidth = 1.5;
	ctx.beginPath();
	ctx.moveTo(x1, y1);
	ctx.bezierCurveTo(x1 + 12, y1 + 14 * down, x2 - 12, y2 - 14 * down, x2, y2);
	ctx.stroke();
	ctx.beginPath();
	ctx.moveTo(x2, y2);
	ctx.lineTo(x2 - 4, y2 - 7 * down);
	ctx.lineTo(x2 + 4, y2 - 7 * down);
	ctx.fill();
	p.rects++;
}

// From who woke a thread to where that became runnable. Returns whether it could be drawn.
function drawWakeup(app, th, i) {
	const p = app.picture, s = th.states, waker = s.waker[i] && threadAt(app.t, s.waker[i], s.start[i]);
	const to = app.trackOf("t" + th.number), from = waker && app.trackOf("t" + waker.number);
	if (!waker || waker === th || !to || !from || s.start[i] < p.a || s.start[i] > p.b)
		return false;
	const x = p.x(s.start[i]), y1 = from.at_y + STATE_ROW / 2, y2 = to.at_y + (from.at_y < to.at_y ? 1 : STATE_ROW - 2);
	arrow(p, x - 1, y1, x, y2, p.colors.ring);
	return true;
}

function drawSelection(app) {
	const p = app.picture, item = app.item;
	app.arrows = 0;
	if (app.state.arrows) {
		for (const track of app.drawn) {
			const th = track.thread;
			if (!th)
				continue;
			const s = th.states, i = firstEnding(s, p.a);
			let last = -20;
			for (let k = i; k < s.n && s.start[k] < p.b && app.arrows < 400; k++) {
				if (!s.waker[k])
					continue;
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
	if (!item)
		return;
	const track = app.trackOf(item.track);
	if (track) {
		const x = Math.max(-4, p.x(item.start)), w = Math.max(3, Math.min(p.width + 4, p.x(item.end)) - x);
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
