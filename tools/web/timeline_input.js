// SPDX-License-Identifier: MIT
//
// Pointer, touch and keys; and the start.

function trackAt(app, y) {
	const p = app.picture,
		pinned = y < p.top + app.pinnedHeight;
	return app.drawn.find(
		track => track.pinned === pinned && y >= track.at_y && y < track.at_y + track.height
	);
}

function nameAt(app, x, y) {
	const p = app.picture,
		track = trackAt(app, y),
		time = p.time(x);
	if (y < p.top) {
		const mark = app.t.marks.find(e => p.x(e.time) - 3 <= x && x <= p.x(e.time) + 60);
		if (mark) return "i" + mark.index;
		const i = app.t.lost.findIndex(l => p.x(l.start) - 3 <= x && p.x(l.end) + 4 >= x);
		return i < 0 ? "" : "l" + i;
	}
	return track ? track.at(p, time, y - track.at_y) || "" : "";
}

function showTip(app, event, x, y) {
	const tip = app.ui.tip,
		p = app.picture,
		name = nameAt(app, x, y),
		track = trackAt(app, y);
	const item = name ? resolve(app, name) : null,
		time = ((p.time(x) - app.t.start) / 1e9).toFixed(9) + "\u202fs";
	tip.textContent = "";
	if (!item && !(track && track.value)) {
		tip.hidden = true;
		return;
	}
	tip.append(
		el("b", { dir: "auto" }, item ? item.title : track.label),
		el(
			"div",
			{},
			item
				? formatTime(item.end - item.start) +
						" from " +
						((item.start - app.t.start) / 1e9).toFixed(9) +
						"\u202fs"
				: track.value(p.time(x)) + " at " + time
		)
	);
	tip.hidden = false;
	const box = app.ui.stage.getBoundingClientRect();
	tip.style.left =
		Math.min(event.clientX - box.left + 14, box.width - tip.offsetWidth - 4) + "px";
	tip.style.top =
		Math.min(event.clientY - box.top + 16, box.height - tip.offsetHeight - 4) + "px";
}

// Where two fingers are, and how far from each other.
function spread(fingers) {
	const [one, other] = Array.from(fingers.values(), place => place[0]);
	return { x: (one + other) / 2, apart: Math.max(Math.abs(one - other), 10) };
}

function listenToPointer(app) {
	const canvas = app.ui.canvas,
		p = app.picture;
	const fingers = new Map();
	let from = null,
		pinch = null;
	const at = event => {
		const box = canvas.getBoundingClientRect();
		return [event.clientX - box.left, event.clientY - box.top];
	};
	const release = event => {
		fingers.delete(event.pointerId);
		from = pinch = null;
	};
	canvas.addEventListener(
		"wheel",
		event => {
			event.preventDefault();
			if (event.shiftKey)
				app.scrollTo(app.scroll + (event.deltaY || event.deltaX));
			else if (Math.abs(event.deltaX) > Math.abs(event.deltaY))
				app.pan(event.deltaX / p.width);
			else app.zoom(Math.pow(1.0015, event.deltaY), at(event)[0]);
		},
		{ passive: false }
	);
	app.ui.labels.addEventListener(
		"wheel",
		event => {
			event.preventDefault();
			app.scrollTo(app.scroll + event.deltaY);
		},
		{ passive: false }
	);
	canvas.addEventListener("pointerdown", event => {
		if (event.button > 1) return;
		const place = at(event);
		canvas.setPointerCapture(event.pointerId);
		if (event.pointerType === "touch") fingers.set(event.pointerId, place);
		if (fingers.size === 2) {
			from = null;
			pinch = Object.assign({ a: app.state.a, b: app.state.b }, spread(fingers));
			return;
		}
		from = {
			x: place[0],
			y: place[1],
			a: app.state.a,
			b: app.state.b,
			scroll: app.scroll,
			moved: false,
			ra: app.state.ra,
			rb: app.state.rb,
			pan: event.shiftKey || event.button === 1 || event.pointerType === "touch"
		};
		canvas.focus({ preventScroll: true });
	});
	canvas.addEventListener("pointermove", event => {
		const place = at(event);
		app.pointer = place;
		if (fingers.has(event.pointerId)) fingers.set(event.pointerId, place);
		if (pinch) {
			// What was between the fingers stays between them.
			const now = spread(fingers),
				perPixel =
					((pinch.b - pinch.a) / p.width) * (pinch.apart / now.apart),
				middle = pinch.a + (pinch.x / p.width) * (pinch.b - pinch.a),
				a = middle - now.x * perPixel;
			app.move(a, a + p.width * perPixel);
			return;
		}
		if (!from) {
			showTip(app, event, place[0], place[1]);
			return;
		}
		const dx = place[0] - from.x;
		from.moved =
			from.moved ||
			Math.abs(dx) > 4 ||
			(from.pan && Math.abs(place[1] - from.y) > 4);
		if (!from.moved) return;
		app.ui.tip.hidden = true;
		if (from.pan) {
			const d = (dx / p.width) * (from.b - from.a);
			app.move(from.a - d, from.b - d);
			app.scrollTo(from.scroll - (place[1] - from.y));
		} else {
			app.state.ra = p.time(Math.min(from.x, place[0]));
			app.state.rb = p.time(Math.max(from.x, place[0]));
			app.draw();
		}
	});
	canvas.addEventListener("pointerup", event => {
		const was = from,
			place = at(event);
		release(event);
		if (!was) return;
		if (!was.moved) return app.go({ sel: nameAt(app, place[0], place[1]) });
		if (was.pan) return;
		const chosen = { ra: Math.round(app.state.ra), rb: Math.round(app.state.rb) };
		app.state.ra = was.ra;
		app.state.rb = was.rb;
		app.go(chosen);
	});
	canvas.addEventListener("pointercancel", release);
	canvas.addEventListener("pointerleave", () => (app.ui.tip.hidden = true));
	canvas.addEventListener("dblclick", () => app.zoomToRange());
	app.ui.bar.addEventListener("pointerdown", event => {
		const go = e => {
			const box = app.ui.bar.getBoundingClientRect();
			app.scrollTo(
				((e.clientY - box.top) / box.height) * app.fullHeight -
					(p.height - p.top) / 2
			);
		};
		app.ui.bar.setPointerCapture(event.pointerId);
		go(event);
		app.ui.bar.onpointermove = go;
	});
	app.ui.bar.addEventListener("pointerup", () => (app.ui.bar.onpointermove = null));
}

function listenToKeys(app) {
	const x = () => (app.pointer ? app.pointer[0] : undefined),
		group = name => {
			return () => {
				app.scroll = 0;
				app.go({ v: "picture", group: name });
			};
		};
	const onTrack = act => {
		return () => {
			if (app.item && app.item.track) act(app.item.track);
		};
	};
	const keys = {
		w: () => app.zoom(1 / 1.4, x()),
		s: () => app.zoom(1.4, x()),
		a: () => app.pan(-0.2),
		d: () => app.pan(0.2),
		ArrowLeft: () => app.pan(-0.1),
		ArrowRight: () => app.pan(0.1),
		ArrowUp: () => app.scrollTo(app.scroll - 60),
		ArrowDown: () => app.scrollTo(app.scroll + 60),
		PageUp: () => app.scrollTo(app.scroll - app.picture.height + 60),
		PageDown: () => app.scrollTo(app.scroll + app.picture.height - 60),
		0: () => app.go({ a: null, b: null }),
		r: () => app.go({ ra: Math.round(app.state.a), rb: Math.round(app.state.b) }),
		z: app.zoomToRange,
		"[": () => app.neighbour(-1),
		"]": () => app.neighbour(1),
		e: () => app.go({ arrows: app.state.arrows ? "" : "1" }),
		p: onTrack(app.pinTrack),
		h: onTrack(app.hideTrack),
		u: () => app.go({ hide: [] })
	};
	const anywhere = {
		"/": () => {
			app.ui.query.focus();
			app.ui.query.select();
		},
		n: () => app.step(1),
		N: () => app.step(-1),
		"?": app.help,
		1: group("all"),
		2: group("requests"),
		3: group("threads"),
		4: group("cpus"),
		Escape: () => {
			const s = app.state;
			if (!app.dialog.hidden) app.help();
			else if (s.rb > s.ra) app.go({ ra: 0, rb: 0 });
			else if (s.sel) app.go({ sel: "" });
			else if (s.q) app.go({ q: "" });
		}
	};
	document.addEventListener("keydown", event => {
		if (
			event.ctrlKey ||
			event.metaKey ||
			event.altKey ||
			/^(input|select)$/i.test(event.target.tagName || "")
		)
			return;
		const act = anywhere[event.key] || (app.state.v === "picture" && keys[event.key]);
		if (!act) return;
		event.preventDefault();
		act();
	});
}

function keyList() {
	const keys = el("dl", { class: "keys" });
	for (const k of KEYS) keys.append(el("dt", {}, k[0]), el("dd", {}, k[1]));
	return keys;
}

function makeHelp(app) {
	const dialog = (app.dialog = el(
		"div",
		{ class: "help", role: "dialog", "aria-label": "Keys" },
		el("h2", {}, "Keys"),
		keyList()
	));
	dialog.append(button("Close", "Close", () => app.help()));
	dialog.hidden = true;
	app.help = () => {
		dialog.hidden = !dialog.hidden;
		(dialog.hidden ? app.ui.canvas : dialog.querySelector("button")).focus();
	};
	return dialog;
}

async function start() {
	const began = performance.now(),
		part = id => document.getElementById(id).textContent;
	const wait = el("p", { class: "loading" }, "Reading the timeline\u2026");
	document.body.append(wait);
	try {
		const t = await loadTimeline(part("data"));
		document.getElementById("data").remove();
		const app = makeApp(t, part),
			root = el("div", { class: "app" });
		root.append(makeTop(app));
		app.ui.main = makeStage(app);
		app.ui.page = el("main", { class: "pages" });
		root.append(app.ui.page, app.ui.main, makeHelp(app));
		wait.remove();
		document.body.append(root);
		addRendering(app);
		app.theme();
		listenToPointer(app);
		listenToKeys(app);
		matchMedia("(prefers-color-scheme:dark)").addEventListener("change", app.theme);
		new ResizeObserver(app.draw).observe(app.ui.stage);
		window.addEventListener("popstate", () => app.apply(app.parse(location.hash)));
		window.addEventListener("hashchange", () => app.apply(app.parse(location.hash)));
		app.apply(app.parse(location.hash));
		app.opened = performance.now() - began;
		app.pieces = q => statesOf(t, q);
		app.within = th => totalsWithin(th, app.state.ra, app.state.rb);
		window.periscope = app; // for tests, and for the curious
	} catch (e) {
		wait.textContent =
			"This page cannot show its timeline: " +
			e.message +
			". A browser of 2023 or later is needed.";
		throw e;
	}
}

start();
