// SPDX-License-Identifier: MIT
//
// The page: its controls, what it listens to, and its start.

function button(text, label, act) {
	const b = el("button", { type: "button", title: label, "aria-label": label }, text);
	b.addEventListener("click", act);
	return b;
}

function choice(label, options, act) {
	const s = el("select", { "aria-label": label, title: label });
	for (const o of options)
		s.append(el("option", { value: o[0] }, o[1]));
	s.addEventListener("change", function () { act(s.value); });
	return s;
}

function field(label, placeholder, size, act) {
	const input = el("input", { type: "text", "aria-label": label, title: label, placeholder: placeholder, size: size, spellcheck: "false" });
	input.addEventListener("change", function () { act(input.value); });
	input.addEventListener("keydown", function (event) {
		event.stopPropagation();
		if (event.key === "Escape")
			input.blur();
	});
	return input;
}

function makeTop(app) {
	const nav = el("nav", { "aria-label": "Views" }), ui = app.ui = { nav: nav };
	for (const v of VIEWS) {
		const b = button(v[1], v[1], function () { app.go({ v: v[0] }); });
		b.dataset.view = v[0];
		nav.append(b);
	}
	ui.query = el("input", { type: "search", placeholder: "Search ( / )", "aria-label": "Search requests, spans, system calls, arguments", spellcheck: "false" });
	ui.query.addEventListener("keydown", function (event) {
		event.stopPropagation();
		if (event.key === "Enter") {
			if (ui.query.value !== app.state.q)
				app.go({ q: ui.query.value });
			app.step(event.shiftKey ? -1 : 1);
		} else if (event.key === "Escape") {
			app.go({ q: "" });
			ui.canvas.focus();
		}
	});
	ui.query.addEventListener("change", function () {
		if (ui.query.value !== app.state.q)
			app.go({ q: ui.query.value });
	});
	ui.matched = el("output", { class: "matched", "aria-live": "polite" });
	ui.group = choice("What is shown", [["all", "All tracks"], ["requests", "By request"], ["threads", "By thread"], ["cpus", "By CPU"]],
		function (value) { app.scroll = 0; app.go({ group: value }); });
	ui.sort = choice("Order of tracks", [["", "As recorded"], ["name", "By name"], ["busy", "Busiest first"]], function (value) { app.go({ sort: value }); });
	ui.route = choice("Route", [["", "All routes"]].concat(Array.from(app.medians.keys()).sort().map(function (r) { return [r, r || "(no route)"]; })),
		function (value) { app.go({ route: value }); });
	ui.status = field("Status begins with", "status", 5, function (value) { app.go({ status: value.trim() }); });
	ui.least = field("Latency at least (2ms, 0.5s)", "slower than", 9, function (value) { app.go({ slower: value.trim() }); });
	ui.left = el("output", { class: "matched" });
	ui.hidden = button("", "Show all hidden tracks (u)", function () { app.go({ hide: [] }); });
	const group = function (name) {
		return el("div", { class: "group", role: "group", "aria-label": name }, ...Array.prototype.slice.call(arguments, 1));
	};
	ui.pictureTools = group("Picture", ui.group, ui.sort, button("\u2212", "Zoom out (s)", function () { app.zoom(1.5); }), button("+", "Zoom in (w)", function () { app.zoom(1 / 1.5); }),
		button("All", "All of the time (0)", function () { app.go({ a: null, b: null }); }), button("Wakeups", "Arrows of all wakeups in view (e)", function () { app.go({ arrows: app.state.arrows ? "" : "1" }); }), ui.hidden);
	return el("header", { class: "top" }, nav, group("Search", ui.query, button("\u2039", "Previous match (N)", function () { app.step(-1); }),
		button("\u203a", "Next match (n)", function () { app.step(1); }), ui.matched),
	app.t.requests.length ? group("Requests", ui.route, ui.status, ui.least, ui.left) : null, ui.pictureTools,
	button("?", "Keys (?)", function () { app.help(); }));
}

function makeStage(app) {
	const ui = app.ui;
	ui.canvas = el("canvas", { tabindex: "0", role: "img", "aria-label": "Timeline. The tables in the views Requests and Threads hold the same in text." });
	ui.labels = el("div", { class: "labels" });
	ui.tip = el("div", { class: "tip", role: "tooltip", hidden: "" });
	ui.bar = el("div", { class: "scrollbar", "aria-hidden": "true" }, el("div", {}));
	ui.stage = el("div", { class: "stage" }, ui.labels, ui.canvas, ui.bar, ui.tip);
	ui.side = el("div", { class: "side" });
	ui.below = el("div", { class: "below" });
	ui.legend = el("p", { class: "legend" });
	app.picture = makePicture(ui.canvas);
	return el("main", { class: "picture" }, el("div", { class: "upper" }, ui.stage, ui.side), ui.legend, ui.below);
}

// The names beside the picture, with what can be done to each track.
function renderLabels(app) {
	const ui = app.ui, p = app.picture, key = app.drawn.map(function (track) { return track.id + track.at_y + track.pinned; }).join();
	if (key === ui.labelKey)
		return;
	ui.labelKey = key;
	ui.labels.textContent = "";
	for (const track of app.drawn) {
		const top = track.at_y, row = el("div", { class: track.header ? "label header" : track.pinned ? "label pinned" : "label",
			style: "top:" + top + "px;height:" + (track.height - 1) + "px", "data-track": track.id, title: track.label + (track.note ? "  " + track.note : "") });
		row.append(el("b", { dir: "auto" }, track.label));
		if (!track.header)
			row.append(el("span", {}, track.note || ""), el("i", {}, button(track.pinned ? "\u25c9" : "\u25ce", (track.pinned ? "Unpin " : "Pin ") + track.label, function () { app.pinTrack(track.id); }),
				button("\u00d7", "Hide " + track.label, function () { app.hideTrack(track.id); })));
		if (!track.pinned && top < p.top + app.pinnedHeight)
			row.style.clipPath = "inset(" + (p.top + app.pinnedHeight - top) + "px 0 0 0)";
		ui.labels.append(row);
	}
	const room = p.height - p.top, handle = ui.bar.firstChild, part = Math.min(1, room / (app.fullHeight || 1));
	handle.style.height = part * 100 + "%";
	handle.style.top = app.scroll / (app.fullHeight || 1) * 100 + "%";
	ui.bar.style.visibility = part < 1 ? "visible" : "hidden";
}

function renderLegend(app) {
	const ui = app.ui, c = app.picture.colors, t = app.t, used = new Set();
	for (const th of t.threads)
		th.total.forEach(function (ns, i) { if (ns && i && i !== DEAD) used.add(i); });
	for (const q of t.requests.slice(0, 2000))
		q.states.forEach(function (p) { if (p[0]) used.add(Math.min(p[0], QUEUED)); });
	ui.legend.textContent = "";
	const add = function (color, text) {
		ui.legend.append(el("span", {}, el("i", { style: "background:" + color }), text));
	};
	Array.from(used).sort(function (a, b) { return a - b; }).forEach(function (i) { add(stateColor(c, i), i === QUEUED ? "queued" : t.states[i]); });
	t.phases.forEach(function (name, i) { if (i) add(c.phases[1 + (i - 1) % 8], "phase " + name); });
	add("repeating-linear-gradient(135deg," + c.lost + " 0 1px,transparent 1px 4px)", "not known, or events missing");
}

function addRendering(app) {
	const ui = app.ui, s = function () { return app.state; };
	let pending = false;
	app.drawNow = function () {
		pending = false;
		if (s().v !== "picture" || ui.main.hidden)
			return;
		const p = app.picture, box = ui.stage, w = box.clientWidth - LABELS - 12, h = box.clientHeight;
		if (w > 50 && h > 30 && (w !== p.width || h !== p.height))
			p.resize(w, h);
		app.scroll = Math.max(0, Math.min(app.scroll, app.fullHeight - (p.height - p.top)));
		p.a = s().a;
		p.b = s().b;
		drawAll(app);
		renderLabels(app);
	};
	app.draw = function () {
		if (!pending)
			requestAnimationFrame(app.drawNow);
		pending = true;
	};
	app.render = function (old) {
		const now = s(), picture = now.v === "picture";
		ui.nav.querySelectorAll("button").forEach(function (b) { b.setAttribute("aria-current", b.dataset.view === now.v ? "page" : "false"); });
		if (document.activeElement !== ui.query || !now.q)
			ui.query.value = now.q;
		ui.matched.textContent = app.hits ? (app.hitAt >= 0 ? app.hitAt + 1 + " of " : "") + formatCount(app.hits.list.length) + (app.hits.list.length === 1 ? " match" : " matches") : "";
		ui.group.value = now.group;
		ui.sort.value = now.sort;
		ui.route.value = app.medians.has(now.route) ? now.route : "";
		ui.status.value = now.status;
		ui.least.value = now.slower;
		ui.least.classList.toggle("wrong", !!now.slower && !parseTime(now.slower));
		const filtered = now.route || now.status || now.slower;
		ui.left.textContent = filtered ? formatCount(app.filtered().length) + " of " + formatCount(app.t.requests.length) : "";
		ui.hidden.hidden = !now.hide.length;
		ui.hidden.textContent = "Show " + now.hide.length + " hidden";
		ui.pictureTools.hidden = !picture;
		ui.main.hidden = !picture;
		ui.page.hidden = picture;
		if (!picture) {
			const views = { summary: summaryView, losses: lossView, requests: function () {
				const list = app.filtered();
				return el("div", { class: "page" }, el("h1", {}, "Requests"), routeTable(app, list, "Latency by route", "r"),
					makeTable(app, "q", "Each request", requestColumns(app, list), now.oq ? list : app.byLatency.filter(app.matches),
						"States and phases each add up to the latency. Slowest first, until a column is chosen."));
			}, threads: function () {
				return el("div", { class: "page" }, el("h1", {}, "Threads"), threadTable(app, app.t.threads.map(function (th) { return { th: th, total: th.total }; }), "Each thread, all of its time", "t"));
			} };
			ui.page.replaceChildren((views[now.v] || summaryView)(app));
			if (old.v !== now.v)
				ui.page.scrollTop = 0;
			return;
		}
		if (!ui.side.firstChild || old.sel !== now.sel || old.v !== now.v)
			ui.side.replaceChildren(detailsView(app));
		const has = now.rb > now.ra, same = old.ra === now.ra && old.rb === now.rb && old.flame === now.flame && old.hide === now.hide &&
			["route", "status", "slower", "ox", "oy", "fx", "fy"].every(function (k) { return old[k] === now[k]; });
		ui.below.hidden = !has;
		if (!has)
			ui.below.replaceChildren();
		else if (!same || !ui.below.firstChild)
			ui.below.replaceChildren(rangeView(app));
		if (!app.picture.sized)
			app.drawNow();
		app.picture.sized = true;
		if (now.sel !== old.sel && app.item || now.track)
			app.reveal(now.track || app.item.track);
		app.draw();
	};
	app.theme = function () {
		app.picture.colors = matchMedia("(prefers-color-scheme:dark)").matches ? COLORS.dark : COLORS.light;
		renderLegend(app);
		app.draw();
	};
}

// ---------------------------------------------------------------- pointer ----

function trackAt(app, y) {
	const p = app.picture, pinned = y < p.top + app.pinnedHeight;
	return app.drawn.find(function (track) { return track.pinned === pinned && y >= track.at_y && y < track.at_y + track.height; });
}

function nameAt(app, x, y) {
	const p = app.picture, track = trackAt(app, y), time = p.time(x);
	if (y < p.top) {
		const i = app.t.lost.findIndex(function (l) { return p.x(l.start) - 3 <= x && p.x(l.end) + 4 >= x; });
		return i < 0 ? "" : "l" + i;
	}
	return track ? track.at(p, time, y - track.at_y) || "" : "";
}

function showTip(app, event, x, y) {
	const tip = app.ui.tip, p = app.picture, name = nameAt(app, x, y), track = trackAt(app, y);
	const item = name ? resolve(app, name) : null, time = ((p.time(x) - app.t.start) / 1e9).toFixed(9) + "\u202fs";
	tip.textContent = "";
	if (!item && !(track && track.value)) {
		tip.hidden = true;
		return;
	}
	tip.append(el("b", { dir: "auto" }, item ? item.title : track.label), el("div", {}, item ? formatTime(item.end - item.start) + " from " +
		((item.start - app.t.start) / 1e9).toFixed(9) + "\u202fs" : track.value(p.time(x)) + " at " + time));
	tip.hidden = false;
	const box = app.ui.stage.getBoundingClientRect();
	tip.style.left = Math.min(event.clientX - box.left + 14, box.width - tip.offsetWidth - 4) + "px";
	tip.style.top = Math.min(event.clientY - box.top + 16, box.height - tip.offsetHeight - 4) + "px";
}

function listenToPointer(app) {
	const canvas = app.ui.canvas, p = app.picture;
	let from = null;
	const at = function (event) {
		const box = canvas.getBoundingClientRect();
		return [event.clientX - box.left, event.clientY - box.top];
	};
	canvas.addEventListener("wheel", function (event) {
		event.preventDefault();
		if (event.shiftKey)
			app.scrollTo(app.scroll + (event.deltaY || event.deltaX));
		else if (Math.abs(event.deltaX) > Math.abs(event.deltaY))
			app.pan(event.deltaX / p.width);
		else
			app.zoom(Math.pow(1.0015, event.deltaY), at(event)[0]);
	}, { passive: false });
	app.ui.labels.addEventListener("wheel", function (event) {
		event.preventDefault();
		app.scrollTo(app.scroll + event.deltaY);
	}, { passive: false });
	canvas.addEventListener("pointerdown", function (event) {
		if (event.button > 1)
			return;
		const place = at(event);
		from = { x: place[0], y: place[1], a: app.state.a, b: app.state.b, scroll: app.scroll, moved: false, ra: app.state.ra, rb: app.state.rb,
			pan: event.shiftKey || event.button === 1 || event.pointerType === "touch" };
		canvas.setPointerCapture(event.pointerId);
		canvas.focus({ preventScroll: true });
	});
	canvas.addEventListener("pointermove", function (event) {
		const place = at(event);
		app.pointer = place;
		if (!from) {
			showTip(app, event, place[0], place[1]);
			return;
		}
		const dx = place[0] - from.x;
		from.moved = from.moved || Math.abs(dx) > 4 || from.pan && Math.abs(place[1] - from.y) > 4;
		if (!from.moved)
			return;
		app.ui.tip.hidden = true;
		if (from.pan) {
			const d = dx / p.width * (from.b - from.a);
			app.move(from.a - d, from.b - d);
			app.scrollTo(from.scroll - (place[1] - from.y));
		} else {
			app.state.ra = p.time(Math.min(from.x, place[0]));
			app.state.rb = p.time(Math.max(from.x, place[0]));
			app.draw();
		}
	});
	canvas.addEventListener("pointerup", function (event) {
		const was = from, place = at(event);
		from = null;
		if (!was)
			return;
		if (!was.moved)
			return app.go({ sel: nameAt(app, place[0], place[1]) });
		if (was.pan)
			return;
		const chosen = { ra: Math.round(app.state.ra), rb: Math.round(app.state.rb) };
		app.state.ra = was.ra;
		app.state.rb = was.rb;
		app.go(chosen);
	});
	canvas.addEventListener("pointercancel", function () { from = null; });
	canvas.addEventListener("pointerleave", function () { app.ui.tip.hidden = true; });
	canvas.addEventListener("dblclick", function () { app.zoomToRange(); });
	app.ui.bar.addEventListener("pointerdown", function (event) {
		const go = function (e) {
			const box = app.ui.bar.getBoundingClientRect();
			app.scrollTo((e.clientY - box.top) / box.height * app.fullHeight - (p.height - p.top) / 2);
		};
		app.ui.bar.setPointerCapture(event.pointerId);
		go(event);
		app.ui.bar.onpointermove = go;
	});
	app.ui.bar.addEventListener("pointerup", function () { app.ui.bar.onpointermove = null; });
}

function listenToKeys(app) {
	const x = function () { return app.pointer ? app.pointer[0] : undefined; }, group = function (name) {
		return function () { app.scroll = 0; app.go({ v: "picture", group: name }); };
	};
	const onTrack = function (act) {
		return function () { if (app.item && app.item.track) act(app.item.track); };
	};
	const keys = { w: function () { app.zoom(1 / 1.4, x()); }, s: function () { app.zoom(1.4, x()); }, a: function () { app.pan(-.2); }, d: function () { app.pan(.2); },
		ArrowLeft: function () { app.pan(-.1); }, ArrowRight: function () { app.pan(.1); }, ArrowUp: function () { app.scrollTo(app.scroll - 60); },
		ArrowDown: function () { app.scrollTo(app.scroll + 60); }, PageUp: function () { app.scrollTo(app.scroll - app.picture.height + 60); },
		PageDown: function () { app.scrollTo(app.scroll + app.picture.height - 60); }, 0: function () { app.go({ a: null, b: null }); }, z: app.zoomToRange,
		"[": function () { app.neighbour(-1); }, "]": function () { app.neighbour(1); }, e: function () { app.go({ arrows: app.state.arrows ? "" : "1" }); },
		p: onTrack(app.pinTrack), h: onTrack(app.hideTrack), u: function () { app.go({ hide: [] }); } };
	const anywhere = { "/": function () { app.ui.query.focus(); app.ui.query.select(); }, n: function () { app.step(1); }, N: function () { app.step(-1); }, "?": app.help,
		1: group("all"), 2: group("requests"), 3: group("threads"), 4: group("cpus"), Escape: function () {
			const s = app.state;
			if (!app.dialog.hidden)
				app.help();
			else if (s.rb > s.ra)
				app.go({ ra: 0, rb: 0 });
			else if (s.sel)
				app.go({ sel: "" });
			else if (s.q)
				app.go({ q: "" });
		} };
	document.addEventListener("keydown", function (event) {
		if (event.ctrlKey || event.metaKey || event.altKey || /^(input|select)$/i.test(event.target.tagName || ""))
			return;
		const act = anywhere[event.key] || app.state.v === "picture" && keys[event.key];
		if (!act)
			return;
		event.preventDefault();
		act();
	});
}

function makeHelp(app) {
	const keys = el("dl", {}), dialog = app.dialog = el("div", { class: "help", role: "dialog", "aria-label": "Keys" }, el("h2", {}, "Keys"), keys);
	for (const k of KEYS)
		keys.append(el("dt", {}, k[0]), el("dd", {}, k[1]));
	dialog.append(button("Close", "Close", function () { app.help(); }));
	dialog.hidden = true;
	app.help = function () {
		dialog.hidden = !dialog.hidden;
		(dialog.hidden ? app.ui.canvas : dialog.querySelector("button")).focus();
	};
	return dialog;
}

async function start() {
	const began = performance.now(), part = function (id) { return document.getElementById(id).textContent; };
	const wait = el("p", { class: "loading" }, "Reading the timeline\u2026");
	document.body.append(wait);
	try {
		const t = await loadTimeline(part("data"));
		document.getElementById("data").remove();
		const app = makeApp(t, part), root = el("div", { class: "app" });
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
		window.addEventListener("popstate", function () { app.apply(app.parse(location.hash)); });
		window.addEventListener("hashchange", function () { app.apply(app.parse(location.hash)); });
		app.apply(app.parse(location.hash));
		app.opened = performance.now() - began;
		app.pieces = function (q) { return statesOf(t, q); };
		app.within = function (th) { return totalsWithin(th, app.state.ra, app.state.rb); };
		window.periscope = app; // for tests, and for the curious
	} catch (e) {
		wait.textContent = "This page cannot show its timeline: " + e.message + ". A browser of 2023 or later is needed.";
		throw e;
	}
}

start();
