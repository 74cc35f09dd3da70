// SPDX-License-Identifier: MIT
//
// How things are drawn on the canvas. What is narrower than a pixel is not drawn one by one: of
// each pixel the shares are drawn, as a bar in it, from running sums. So a frame costs pixels, not
// events. Rectangles, of which there are tens of thousands in a frame, are written into an image
// first, which is several times as fast as a canvas paints them; text and lines come on top of it.

const COLORS = {
	light: {
		back: "#ffffff",
		raised: "#f4f5f8",
		text: "#14161a",
		dim: "#5b626d",
		line: "#d5d9e0",
		ring: "#0b57d0",
		hit: "#6a1b9a",
		range: "rgba(11,87,208,.12)",
		lost: "#b3261e",
		request: "#9db2c9",
		classes: ["#3f9c50", "#f0a020", "#c3c9d2"],
		counter: "#4a7fb5",
		states: [
			"#ffffff",
			"#2f8f46",
			"#7dbb4f",
			"#f5b93c",
			"#e8862e",
			"#9a78c8",
			"#dde1e7",
			"#5b9bd9",
			"#c4634a",
			"#c2cad3",
			"#dc5b92",
			"#9aa7b4",
			"#ffffff",
			"#e5b98c",
			"#e4e8ed",
			"#a85a46",
			"#f2cf94",
			"#d690b4"
		],
		phases: [
			"#c9ced6",
			"#8fb4e3",
			"#f2b279",
			"#9ad0a8",
			"#d8a4d6",
			"#e8d27a",
			"#92cfd3",
			"#e39a96",
			"#b8b2e6"
		],
		spans: ["#a9c6ea", "#d7dfe9", "#eab6cc", "#d6a393"]
	},
	dark: {
		back: "#16181d",
		raised: "#22252c",
		text: "#e8eaee",
		dim: "#9aa1ac",
		line: "#363b45",
		ring: "#8ab4f8",
		hit: "#d9a8ff",
		range: "rgba(138,180,248,.16)",
		lost: "#ff8a80",
		request: "#5f7894",
		classes: ["#4caf63", "#d99a2b", "#4a515c"],
		counter: "#6ea3d8",
		states: [
			"#16181d",
			"#3fa057",
			"#79ad4c",
			"#d19f35",
			"#cd7a2e",
			"#8a6ab8",
			"#343a44",
			"#4d86bd",
			"#b45c46",
			"#4a525d",
			"#c15184",
			"#66717e",
			"#16181d",
			"#94734f",
			"#30353e",
			"#96503e",
			"#a98a56",
			"#a5668a"
		],
		phases: [
			"#4b525d",
			"#4a73a8",
			"#a8713c",
			"#4f8a60",
			"#8a5a88",
			"#8f7d33",
			"#46878b",
			"#9a5450",
			"#6f69a3"
		],
		spans: ["#3f5f86", "#3a424d", "#7c4660", "#73483c"]
	}
};

function stateColor(c, state) {
	return c.states[Math.min(state, QUEUED)];
}

// "#rrggbb" as an image has it in memory.
function inkOf(color) {
	const n = parseInt(color.slice(1), 16);
	const bytes = new Uint8Array([n >> 16, (n >> 8) & 255, n & 255, 255]);
	return new Uint32Array(bytes.buffer)[0];
}

// The same colours, as inks.
function inksOf(colors) {
	const inks = {};
	for (const name in colors)
		if (Array.isArray(colors[name])) inks[name] = colors[name].map(inkOf);
		else if (colors[name][0] === "#") inks[name] = inkOf(colors[name]);
	return inks;
}

// A canvas and the stretch of time on it.
function makePicture(canvas) {
	const p = {
		canvas: canvas,
		ctx: canvas.getContext("2d", { alpha: false }),
		a: 0,
		b: 1,
		width: 1,
		height: 1,
		ratio: 1,
		tracks: [],
		top: 24,
		rects: 0
	};
	// What is drawn over the image, and the part of it that is not clipped away, in its pixels.
	let image = new ImageData(1, 1),
		pixels = new Uint32Array(image.data.buffer),
		over = [],
		clipTop = 0,
		clipBottom = 1;
	p.x = time => {
		return ((time - p.a) / (p.b - p.a)) * p.width;
	};
	p.time = x => {
		return p.a + (x / p.width) * (p.b - p.a);
	};
	// At least a pixel wide; as high as it is.
	p.rect = (x, y, w, h, ink) => {
		const width = image.width,
			left = Math.round(x * p.ratio),
			from = Math.max(left, 0),
			to = Math.min(Math.max(Math.round((x + w) * p.ratio), left + 1), width),
			top = Math.max(Math.round(y * p.ratio), clipTop),
			bottom = Math.min(Math.round((y + h) * p.ratio), clipBottom),
			end = bottom * width;
		p.rects++;
		if (to - from === 1)
			for (let at = top * width + from; at < end; at += width) pixels[at] = ink;
		else if (to > from)
			for (let at = top * width; at < end; at += width)
				pixels.fill(ink, at + from, at + to);
	};
	p.clip = (top, bottom) => {
		clipTop = Math.min(Math.max(Math.round(top * p.ratio), 0), image.height);
		clipBottom = Math.min(
			Math.max(Math.round(bottom * p.ratio), clipTop),
			image.height
		);
	};
	// Calls draw(ctx) when the image is there.
	p.later = draw => {
		over.push({ draw: draw, top: clipTop, bottom: clipBottom });
	};
	p.label = (text, x, y, w, color) => {
		const left = Math.max(x, 0),
			room = Math.min(x + w, p.width) - left - 6,
			n = Math.floor(room / 6.2);
		if (n < 3) return;
		p.later(ctx => {
			ctx.fillStyle = color || p.colors.text;
			const shown = text.length > n ? text.slice(0, n - 1) + "\u2026" : text;
			ctx.fillText(shown, left + 3, y, room);
		});
	};
	p.finish = () => {
		const ctx = p.ctx;
		let top = -1,
			bottom = -1;
		ctx.putImageData(image, 0, 0);
		ctx.save();
		for (const o of over) {
			if (o.top !== top || o.bottom !== bottom) {
				ctx.restore();
				ctx.save();
				ctx.beginPath();
				top = o.top;
				bottom = o.bottom;
				ctx.rect(0, top / p.ratio, p.width, (bottom - top) / p.ratio);
				ctx.clip();
			}
			o.draw(ctx);
		}
		ctx.restore();
		over = [];
	};
	p.resize = (width, height) => {
		p.ratio = window.devicePixelRatio || 1;
		p.width = width;
		p.height = height;
		canvas.width = Math.round(width * p.ratio);
		canvas.height = Math.round(height * p.ratio);
		canvas.style.width = width + "px";
		canvas.style.height = height + "px";
		p.ctx.setTransform(p.ratio, 0, 0, p.ratio, 0, 0);
		image = new ImageData(canvas.width, canvas.height);
		pixels = new Uint32Array(image.data.buffer);
		p.clip(0, height);
	};
	p.theme = colors => {
		p.colors = colors;
		p.inks = inksOf(colors);
	};
	p.theme(COLORS.light);
	return p;
}

// Calls wide(i, x, w) for what has a pixel, and narrow(i, j, x, w) for the others in one.
function walkRow(p, row, wide, narrow) {
	let i = firstEnding(row, p.a);
	const scale = p.width / (p.b - p.a);
	while (i < row.n && row.start[i] < p.b) {
		const x = (row.start[i] - p.a) * scale,
			w = (row.end[i] - row.start[i]) * scale;
		if (w >= 1) {
			wide(i, Math.max(x, -1), Math.min(x + w, p.width + 1) - Math.max(x, -1));
			i++;
			continue;
		}
		const pixel = Math.max(Math.floor(x), -1);
		let j = Math.max(i + 1, firstStarting(row, p.time(pixel + 1), i));
		// Only the last that begins in this pixel can reach beyond it.
		if (j - 1 > i && (row.end[j - 1] - row.start[j - 1]) * scale >= 1) j--;
		narrow(i, j, pixel);
		i = j;
	}
}

// Something wide that only ends in this pixel covers a part of it: never more than all.
function share(p, sum, i, j) {
	return Math.min(1, ((sum[j] - sum[i]) * p.width) / (p.b - p.a));
}

function drawStates(p, th, y, h) {
	const s = th.states,
		c = p.inks;
	walkRow(
		p,
		s,
		(i, x, w) => {
			const state = s.state[i];
			if (state === 0 || state === DEAD) {
				if (state === 0) drawHatch(p, x, y, w, h);
				return;
			}
			p.rect(x, y, Math.max(w, 1), h, stateColor(c, state));
			if (w > 30) p.label(stateNames[state], x, y + h - 5, w);
		},
		(i, j, x) => {
			let top = y;
			for (let k = 0; k < 3; k++) {
				const part = share(p, s.sum[k], i, j) * h;
				if (part > 0)
					p.rect(x, top, 1, Math.max(part, k ? 0 : 1), c.classes[k]);
				top += part;
			}
		}
	);
}

function drawHatch(p, x, y, w, h) {
	p.rects++;
	p.later(ctx => {
		ctx.save();
		ctx.beginPath();
		ctx.rect(x, y, Math.max(w, 1), h);
		ctx.clip();
		ctx.strokeStyle = p.colors.lost;
		ctx.lineWidth = 1;
		ctx.beginPath();
		const end = Math.min(x + w, p.width);
		for (let at = Math.floor(Math.max(x, 0) / 6) * 6 - h; at < end; at += 6) {
			ctx.moveTo(at, y + h);
			ctx.lineTo(at + h, y);
		}
		ctx.stroke();
		ctx.restore();
	});
}

function drawSpans(p, t, row, y, h) {
	const c = p.inks;
	const wide = (i, x, w) => {
		const hit = row.hits && row.hits[i];
		p.rect(x, y, w - (w > 3 ? 1 : 0), h - 1, hit ? c.hit : c.spans[row.head[i] & 3]);
		if (w > 26) p.label(spanName(t, row, i), x, y + h - 4, w, hit ? p.colors.back : "");
	};
	const narrow = (i, j, x) => {
		const part = Math.max(share(p, row.sum, i, j) * (h - 1), 1);
		if (row.hits && row.hitsBefore[j] > row.hitsBefore[i])
			p.rect(x, y, 1, h - 1, c.hit);
		else p.rect(x, y + h - 1 - part, 1, part, c.spans[row.head[i] & 3]);
	};
	walkRow(p, row, wide, narrow);
}

// A request's phases, each within the one that it is in; a name where there is room for one.
function drawPhases(p, t, q, y, h) {
	const list = q.phaseList;
	list.forEach((f, i) => {
		const x = Math.max(p.x(f.start), -1),
			w = Math.min(p.x(f.end), p.width + 1) - x,
			inset = Math.min(f.depth * 3, 9);
		if (w <= 0) return;
		p.rect(x, y + inset, w, h - inset, p.inks.phases[1 + ((f.phase - 1) % 8)]);
		// The next one covers it, if it is within.
		const next =
			list[i + 1] && list[i + 1].depth > f.depth ? p.x(list[i + 1].start) : x + w;
		const room = Math.min(w, next - x);
		if (room > 34) p.label(t.phases[f.phase], x, y + h - 3, room);
	});
}

function drawRequest(p, app, q, x, y, w, h) {
	const c = p.inks,
		hit = app.hits && app.hits.requests.has(q.index),
		phases = h - 8;
	p.rect(
		x,
		y,
		w - (w > 4 ? 1 : 0),
		phases,
		hit ? c.hit : q.status >= 500 ? c.lost : w < 4 ? c.request : c.phases[0]
	);
	if (w < 4) {
		p.rect(x, y + phases, 1, 6, c.classes[2]);
		return;
	}
	q.phaseList = q.phaseList || phasesOf(app.t, q);
	q.stateList = q.stateList || statesOf(app.t, q);
	drawPhases(p, app.t, q, y, phases);
	let last = -1;
	for (const s of q.stateList) {
		const sx = Math.max(p.x(s.start), -1),
			sw = Math.min(p.x(s.end), p.width + 1) - sx;
		if (sw <= 0 || sx + sw < last + 0.5) continue;
		p.rect(sx, y + phases, sw, 6, stateColor(c, s.state));
		last = sx + sw;
	}
	if (w > 60 && !q.phaseList.length) p.label(q.what || q.route, x, y + phases - 3, w);
	if (q.lost || q.partial) drawHatch(p, x, y + phases, w, 6);
	if (hit)
		p.later(ctx => {
			ctx.strokeStyle = p.colors.hit;
			ctx.lineWidth = 2;
			ctx.strokeRect(x, y, w - 1, h - 2);
		});
}

// A lane of requests that do not overlap: phases above, states below.
function drawLane(p, app, lane, y, h) {
	const wide = (i, x, w) => drawRequest(p, app, lane.list[i], x, y, w, h);
	const narrow = (i, j, x) => {
		const part = Math.max(2, share(p, lane.sum, i, j) * (h - 2));
		if (app.hits && hitsWithin(lane, app.hits, i, j))
			p.rect(x, y, 1, h - 2, p.inks.hit);
		else p.rect(x, y + h - 2 - part, 1, part, p.inks.request);
	};
	walkRow(p, lane, wide, narrow);
}

function drawCpu(p, cpu, y, h) {
	const c = p.inks;
	p.rect(0, y + h - 1, p.width, 1, c.line);
	const wide = (i, x, w) => {
		const th = cpu.runs[i].thread;
		p.rect(x, y, w - (w > 3 ? 1 : 0), h - 1, c.phases[1 + (th.number % 8)]);
		if (w > 30) p.label(th.name + " " + th.tid, x, y + h - 5, w);
	};
	const narrow = (i, j, x) => {
		const part = Math.max(1, share(p, cpu.sum, i, j) * (h - 1));
		p.rect(x, y + h - 1 - part, 1, part, c.classes[0]);
	};
	walkRow(p, cpu, wide, narrow);
}

function drawIos(p, lane, y, h) {
	const ink = p.inks.states[8];
	const wide = (i, x, w) => {
		const io = lane.list[i];
		p.rect(x, y + 1, w - (w > 3 ? 1 : 0), h - 1, ink);
		if (w > 40)
			p.label(
				(io.flags & 1 ? "write " : "read ") + formatBytes(io.bytes),
				x,
				y + h - 5,
				w
			);
	};
	walkRow(p, lane, wide, (i, j, x) => p.rect(x, y + 6, 1, h - 6, ink));
}

// Of each pixel the highest value.
function drawCounter(p, counter, y, h) {
	const n = counter.time.length,
		row = { n: n, start: counter.time };
	p.rect(0, y + h - 1, p.width, 1, p.inks.line);
	let i = Math.max(0, firstStarting(row, p.a) - 1);
	while (i < n && counter.time[i] < p.b) {
		const x = Math.floor(Math.max(0, p.x(counter.time[i]))),
			next = Math.max(i + 1, firstStarting(row, p.time(x + 1), i)),
			end = p.x(next < n ? counter.time[next] : counter.end),
			part = (mostOf(counter, i, next) / counter.max) * (h - 4);
		if (part > 0)
			p.rect(
				x,
				y + h - 1 - Math.max(part, 1),
				Math.min(p.width, Math.ceil(end)) - x,
				Math.max(part, 1),
				p.inks.counter
			);
		i = next;
	}
}

// Samples, signals, and the like.
function drawMoments(p, list, row, y, h) {
	let last = -10;
	for (let i = firstStarting(row, p.a); i < row.n && row.start[i] < p.b;) {
		const x = p.x(row.start[i]);
		if (x - last >= 3) {
			const ink = list[i].kind === SAMPLE ? p.inks.dim : p.inks.hit;
			p.rect(x - 1, y, 2, h, ink);
			last = x;
			i++;
		} else {
			i = Math.max(i + 1, firstStarting(row, p.time(last + 3), i));
		}
	}
}

function drawRuler(p, t) {
	const c = p.inks,
		rough = (p.b - p.a) / (p.width / 110),
		power = Math.pow(10, Math.floor(Math.log10(rough))),
		step = power * [1, 2, 5, 10].find(k => k * power >= rough),
		digits = Math.max(0, Math.min(9, -Math.floor(Math.log10(step / 1e9))));
	p.rect(0, 0, p.width, p.top, c.raised);
	for (let at = Math.ceil((p.a - t.start) / step) * step; at + t.start < p.b; at += step) {
		const x = p.x(at + t.start);
		p.rect(x, p.top - 6, 1, 6, c.dim);
		p.rect(x, p.top, 1, p.height, c.line);
		const text = (at / 1e9).toFixed(digits) + "\u202fs";
		if (x + 7 * text.length < p.width) p.label(text, x, p.top - 9, 110, p.colors.dim);
	}
	for (const lost of t.lost) {
		const x = p.x(lost.start),
			w = Math.max(3, p.x(lost.end) - x);
		if (x + w >= 0 && x <= p.width) p.rect(x, p.top - 5, w, 5, c.lost);
	}
}

function arrow(p, x1, y1, x2, y2, color) {
	const ctx = p.ctx,
		down = y2 > y1 ? 1 : -1;
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
