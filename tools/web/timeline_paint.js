// SPDX-License-Identifier: MIT
//
// How things are drawn on the canvas. What is narrower than a pixel is not drawn one by one: of
// each pixel the shares are drawn, as a bar in it, from running sums. So a frame costs pixels, not
// events.

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
		miss: 0.3,
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
		miss: 0.3,
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

// A canvas and the stretch of time on it.
function makePicture(canvas) {
	const p = {
		canvas: canvas,
		ctx: canvas.getContext("2d", { alpha: false }),
		a: 0,
		b: 1,
		width: 1,
		height: 1,
		colors: COLORS.light,
		tracks: [],
		top: 24,
		rects: 0
	};
	p.x = time => {
		return ((time - p.a) / (p.b - p.a)) * p.width;
	};
	p.time = x => {
		return p.a + (x / p.width) * (p.b - p.a);
	};
	p.rect = (x, y, w, h, color) => {
		p.rects++;
		p.ctx.fillStyle = color;
		p.ctx.fillRect(x, y, w, h);
	};
	p.label = (text, x, y, w, color) => {
		const left = Math.max(x, 0),
			room = Math.min(x + w, p.width) - left - 6,
			n = Math.floor(room / 6.2);
		if (n < 3) return;
		p.ctx.fillStyle = color || p.colors.text;
		p.ctx.fillText(
			text.length > n ? text.slice(0, n - 1) + "\u2026" : text,
			left + 3,
			y
		);
	};
	p.resize = (width, height) => {
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
		c = p.colors;
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
	const ctx = p.ctx;
	ctx.save();
	ctx.beginPath();
	ctx.rect(x, y, Math.max(w, 1), h);
	ctx.clip();
	ctx.strokeStyle = p.colors.lost;
	ctx.lineWidth = 1;
	ctx.beginPath();
	for (
		let at = Math.floor(Math.max(x, 0) / 6) * 6 - h;
		at < Math.min(x + w, p.width);
		at += 6
	) {
		ctx.moveTo(at, y + h);
		ctx.lineTo(at + h, y);
	}
	ctx.stroke();
	ctx.restore();
	p.rects++;
}

function drawSpans(p, t, row, y, h, hits) {
	const c = p.colors;
	walkRow(
		p,
		row,
		(i, x, w) => {
			const hit = hits && hits.spans.has(row.id + i);
			p.rect(
				x,
				y,
				Math.max(w - (w > 3 ? 1 : 0), 1),
				h - 1,
				hit ? c.hit : c.spans[row.head[i] & 3]
			);
			if (w > 26)
				p.label(
					spanName(t, row, i),
					x,
					y + h - 4,
					w,
					hit ? c.back : c.text
				);
		},
		(i, j, x) => {
			const part = share(p, row.sum, i, j) * (h - 1);
			p.rect(
				x,
				y + h - 1 - Math.max(part, 1),
				1,
				Math.max(part, 1),
				c.spans[row.head[i] & 3]
			);
		}
	);
}

// A lane of requests that do not overlap: phases above, states below.
function drawLane(p, app, lane, y, h) {
	const c = p.colors,
		t = app.t,
		phaseHeight = h - 8;
	walkRow(
		p,
		lane,
		(i, x, w) => {
			const q = lane.list[i],
				hit = app.hits && app.hits.requests.has(q.index);
			p.rect(
				x,
				y,
				Math.max(w - (w > 4 ? 1 : 0), 1),
				phaseHeight,
				hit ? c.hit : q.status >= 500 ? c.lost : c.phases[0]
			);
			if (w < 4) {
				p.rect(x, y + phaseHeight, 1, 6, c.classes[2]);
				return;
			}
			q.phaseList = q.phaseList || phasesOf(t, q);
			q.stateList = q.stateList || statesOf(t, q);
			for (const f of q.phaseList) {
				const fx = Math.max(p.x(f.start), -1),
					fw = Math.min(p.x(f.end), p.width + 1) - fx;
				if (fw <= 0) continue;
				const inset = Math.min(f.depth * 3, 9);
				p.rect(
					fx,
					y + inset,
					Math.max(fw, 0.6),
					phaseHeight - inset,
					c.phases[1 + ((f.phase - 1) % 8)]
				);
				if (fw > 34 && w < 2000000)
					p.label(t.phases[f.phase], fx, y + phaseHeight - 3, fw);
			}
			let last = -1;
			for (const s of q.stateList) {
				const sx = Math.max(p.x(s.start), -1),
					sw = Math.min(p.x(s.end), p.width + 1) - sx;
				if (sw <= 0 || sx + sw < last + 0.5) continue;
				p.rect(
					sx,
					y + phaseHeight,
					Math.max(sw, 0.6),
					6,
					stateColor(c, s.state)
				);
				last = sx + sw;
			}
			if (hit) {
				p.ctx.strokeStyle = c.hit;
				p.ctx.lineWidth = 2;
				p.ctx.strokeRect(x, y, w - 1, h - 2);
			}
			if (w > 60 && !q.phaseList.length)
				p.label(q.what || q.route, x, y + phaseHeight - 3, w);
			if (q.lost || q.partial) drawHatch(p, x, y + phaseHeight, w, 6);
		},
		(i, j, x) => {
			const part = Math.max(2, share(p, lane.sum, i, j) * (h - 2));
			p.rect(x, y + h - 2 - part, 1, part, c.phases[1]);
		}
	);
}

function drawCpu(p, app, cpu, y, h) {
	const c = p.colors;
	p.rect(0, y + h - 1, p.width, 1, c.line);
	walkRow(
		p,
		cpu,
		(i, x, w) => {
			const th = cpu.runs[i].thread;
			p.rect(
				x,
				y,
				Math.max(w - (w > 3 ? 1 : 0), 1),
				h - 1,
				c.phases[1 + (th.number % 8)]
			);
			if (w > 30) p.label(th.name + " " + th.tid, x, y + h - 5, w);
		},
		(i, j, x) => {
			const part = Math.max(1, share(p, cpu.sum, i, j) * (h - 1));
			p.rect(x, y + h - 1 - part, 1, part, c.classes[0]);
		}
	);
}

function drawCounter(p, counter, y, h) {
	const c = p.colors,
		n = counter.time.length,
		ctx = p.ctx;
	const row = { n: n, start: counter.time };
	let i = Math.max(0, firstStarting(row, p.a) - 1),
		drawn = 0;
	while (i < n && counter.time[i] < p.b) {
		const x = Math.floor(Math.max(0, p.x(counter.time[i])));
		const next = Math.max(i + 1, firstStarting(row, p.time(Math.floor(x) + 1), i));
		let most = 0;
		for (let k = i; k < next; k += Math.max(1, (next - i) >> 6))
			most = Math.max(most, counter.value[k]);
		const end = Math.ceil(
			Math.min(p.width + 1, p.x(next < n ? counter.time[next] : counter.end))
		);
		const part = counter.max > 0 ? (most / counter.max) * (h - 4) : 0;
		if (part > 0) p.rect(x, y + h - 1 - part, Math.max(1, end - x), part, c.counter);
		i = next;
		drawn++;
	}
	ctx.fillStyle = c.line;
	ctx.fillRect(0, y + h - 1, p.width, 1);
	return drawn;
}

function drawMoments(p, app, th, y, h) {
	const list = th.instants,
		row = th.instantRow;
	let last = -10;
	for (let i = firstStarting(row, p.a); i < row.n && list[i].time < p.b;) {
		const x = p.x(list[i].time);
		if (x - last >= 3) {
			p.rect(
				x - 1,
				y,
				2,
				h,
				list[i].kind === SAMPLE ? p.colors.dim : p.colors.hit
			);
			last = x;
			i++;
		} else {
			i = Math.max(i + 1, firstStarting(row, p.time(last + 3), i));
		}
	}
}

function drawRuler(p, t) {
	const c = p.colors,
		span = p.b - p.a,
		rough = span / (p.width / 110);
	const step = [1, 2, 5, 10]
		.map(k => k * Math.pow(10, Math.floor(Math.log10(rough))))
		.find(k => k >= rough);
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
