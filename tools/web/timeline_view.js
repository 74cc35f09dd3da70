// SPDX-License-Identifier: MIT
//
// The page's elements: controls on top, the stage with its labels, and what is shown when the
// state has changed.

function button(text, label, act) {
	const b = el("button", { type: "button", title: label, "aria-label": label }, text);
	b.addEventListener("click", act);
	return b;
}

function choice(label, options, act) {
	const s = el("select", { "aria-label": label, title: label });
	for (const o of options) s.append(el("option", { value: o[0] }, o[1]));
	s.addEventListener("change", () => act(s.value));
	return s;
}

function field(label, placeholder, size, act) {
	const input = el("input", {
		type: "text",
		"aria-label": label,
		title: label,
		placeholder: placeholder,
		size: size,
		spellcheck: "false"
	});
	input.addEventListener("change", () => act(input.value));
	input.addEventListener("keydown", event => {
		event.stopPropagation();
		if (event.key === "Escape") input.blur();
	});
	return input;
}

function makeTop(app) {
	const nav = el("nav", { "aria-label": "Views" }),
		ui = (app.ui = { nav: nav });
	for (const v of VIEWS) {
		const b = button(v[1], v[1], () => app.go({ v: v[0] }));
		b.dataset.view = v[0];
		nav.append(b);
	}
	ui.query = el("input", {
		type: "search",
		placeholder: "Search ( / )",
		"aria-label": "Search requests, spans, system calls, arguments",
		spellcheck: "false"
	});
	ui.query.addEventListener("keydown", event => {
		event.stopPropagation();
		if (event.key === "Enter") {
			if (ui.query.value !== app.state.q) app.go({ q: ui.query.value });
			app.step(event.shiftKey ? -1 : 1);
		} else if (event.key === "Escape") {
			app.go({ q: "" });
			ui.canvas.focus();
		}
	});
	ui.query.addEventListener("change", () => {
		if (ui.query.value !== app.state.q) app.go({ q: ui.query.value });
	});
	ui.matched = el("output", { class: "matched", "aria-live": "polite" });
	ui.group = choice(
		"What is shown",
		[
			["all", "All tracks"],
			["requests", "By request"],
			["threads", "By thread"],
			["cpus", "By CPU"]
		],
		value => {
			app.scroll = 0;
			app.go({ group: value });
		}
	);
	ui.sort = choice(
		"Order of tracks",
		[
			["", "As recorded"],
			["name", "By name"],
			["busy", "Busiest first"]
		],
		value => app.go({ sort: value })
	);
	ui.route = choice(
		"Route",
		[["", "All routes"]].concat(
			Array.from(app.medians.keys())
				.sort()
				.filter(Boolean)
				.map(r => [r, r])
		),
		value => app.go({ route: value })
	);
	ui.status = field("Status begins with", "status", 5, value =>
		app.go({ status: value.trim() })
	);
	ui.least = field("Latency at least (2ms, 0.5s)", "slower than", 9, value =>
		app.go({ slower: value.trim() })
	);
	ui.left = el("output", { class: "matched" });
	ui.hidden = button("", "Show all hidden tracks (u)", () => app.go({ hide: [] }));
	const group = (name, ...kids) =>
		el("div", { class: "group", role: "group", "aria-label": name }, ...kids);
	ui.arrows = button("Wakeups", "Arrows of all wakeups in view (e)", () =>
		app.go({ arrows: app.state.arrows ? "" : "1" })
	);
	ui.pictureTools = group(
		"Picture",
		ui.group,
		ui.sort,
		button("\u2212", "Zoom out (s)", () => app.zoom(1.5)),
		button("+", "Zoom in (w)", () => app.zoom(1 / 1.5)),
		button("All", "All of the time (0)", () => app.go({ a: null, b: null })),
		ui.arrows,
		ui.hidden
	);
	return el(
		"header",
		{ class: "top" },
		nav,
		group(
			"Search",
			ui.query,
			button("\u2039", "Previous match (N)", () => app.step(-1)),
			button("\u203a", "Next match (n)", () => app.step(1)),
			ui.matched
		),
		app.t.requests.length
			? group("Requests", ui.route, ui.status, ui.least, ui.left)
			: null,
		ui.pictureTools,
		button("?", "Keys (?)", () => app.help())
	);
}

function makeStage(app) {
	const ui = app.ui;
	ui.canvas = el("canvas", {
		tabindex: "0",
		role: "img",
		"aria-label":
			"Timeline. The tables in the views Requests and Threads " +
			"hold the same in text."
	});
	ui.labels = el("div", { class: "labels" });
	ui.tip = el("div", { class: "tip", role: "tooltip", hidden: "" });
	ui.bar = el("div", { class: "scrollbar", "aria-hidden": "true" }, el("div", {}));
	ui.stage = el("div", { class: "stage" }, ui.labels, ui.canvas, ui.bar, ui.tip);
	ui.side = el("div", { class: "side" });
	ui.below = el("div", { class: "below" });
	ui.legend = el("p", { class: "legend" });
	app.picture = makePicture(ui.canvas);
	return el(
		"main",
		{ class: "picture" },
		el("div", { class: "upper" }, ui.stage, ui.side),
		ui.legend,
		ui.below
	);
}

// The names beside the picture, with what can be done to each track.
function renderLabels(app) {
	const ui = app.ui,
		p = app.picture,
		key = app.drawn.map(track => track.id + track.at_y + track.pinned).join();
	if (key === ui.labelKey) return;
	ui.labelKey = key;
	ui.labels.textContent = "";
	for (const track of app.drawn) {
		const top = track.at_y,
			row = el("div", {
				class: track.header
					? "label header"
					: track.pinned
						? "label pinned"
						: track.height > 30 && !track.thread
							? "label tall"
							: "label",
				style: "top:" + top + "px;height:" + (track.height - 1) + "px",
				"data-track": track.id,
				title: track.label + (track.note ? "  " + track.note : "")
			});
		// The further lanes of a route are told apart by their numbers.
		if (!track.follows || track.pinned)
			row.append(el("b", { dir: "auto" }, track.label));
		if (!track.header)
			row.append(
				el("span", {}, track.note || ""),
				el(
					"i",
					{},
					button(
						track.pinned ? "\u25c9" : "\u25ce",
						(track.pinned ? "Unpin " : "Pin ") + track.label,
						() => app.pinTrack(track.id)
					),
					button("\u00d7", "Hide " + track.label, () =>
						app.hideTrack(track.id)
					)
				)
			);
		if (!track.pinned && top < p.top + app.pinnedHeight)
			row.style.clipPath =
				"inset(" + (p.top + app.pinnedHeight - top) + "px 0 0 0)";
		ui.labels.append(row);
	}
	const room = p.height - p.top,
		handle = ui.bar.firstChild,
		part = Math.min(1, room / (app.fullHeight || 1));
	handle.style.height = part * 100 + "%";
	handle.style.top = (app.scroll / (app.fullHeight || 1)) * 100 + "%";
	ui.bar.style.visibility = part < 1 ? "visible" : "hidden";
}

function renderLegend(app) {
	const ui = app.ui,
		c = app.picture.colors,
		t = app.t,
		used = new Set();
	for (const th of t.threads)
		th.total.forEach((ns, i) => {
			if (ns && i && i !== DEAD) used.add(i);
		});
	for (const q of t.requests.slice(0, 2000))
		q.states.forEach(p => {
			if (p[0]) used.add(Math.min(p[0], QUEUED));
		});
	ui.legend.textContent = "";
	const add = (color, text) => {
		ui.legend.append(el("span", {}, el("i", { style: "background:" + color }), text));
	};
	Array.from(used)
		.sort((a, b) => a - b)
		.forEach(i => add(stateColor(c, i), i === QUEUED ? "queued" : t.states[i]));
	t.phases.forEach((name, i) => {
		if (i) add(c.phases[1 + ((i - 1) % 8)], "phase " + name);
	});
	add(
		"repeating-linear-gradient(135deg," + c.lost + " 0 1px,transparent 1px 4px)",
		"not known, or events missing"
	);
}

// The views that are text.
const PAGES = {
	summary: summaryView,
	losses: lossView,
	requests: requestsView,
	threads: threadsView
};

function addRendering(app) {
	const ui = app.ui,
		s = () => app.state;
	let pending = false;
	app.drawNow = () => {
		pending = false;
		if (s().v !== "picture" || ui.main.hidden) return;
		const p = app.picture,
			box = ui.stage,
			w = box.clientWidth - LABELS - 12,
			h = box.clientHeight;
		if (w > 50 && h > 30 && (w !== p.width || h !== p.height)) p.resize(w, h);
		app.scroll = Math.max(0, Math.min(app.scroll, app.fullHeight - (p.height - p.top)));
		p.a = s().a;
		p.b = s().b;
		drawAll(app);
		renderLabels(app);
	};
	app.draw = () => {
		if (!pending) requestAnimationFrame(app.drawNow);
		pending = true;
	};
	app.render = old => {
		const now = s(),
			picture = now.v === "picture";
		ui.nav
			.querySelectorAll("button")
			.forEach(b =>
				b.setAttribute(
					"aria-current",
					b.dataset.view === now.v ? "page" : "false"
				)
			);
		if (document.activeElement !== ui.query || !now.q) ui.query.value = now.q;
		ui.matched.textContent = app.hits
			? (app.hitAt >= 0 ? app.hitAt + 1 + " of " : "") +
				formatCount(app.hits.list.length) +
				(app.hits.list.length === 1 ? " match" : " matches")
			: "";
		ui.group.value = now.group;
		ui.sort.value = now.sort;
		ui.arrows.setAttribute("aria-pressed", String(!!now.arrows));
		ui.route.value = app.medians.has(now.route) ? now.route : "";
		ui.status.value = now.status;
		ui.least.value = now.slower;
		ui.least.classList.toggle("wrong", !!now.slower && !parseTime(now.slower));
		const filtered = now.route || now.status || now.slower;
		ui.left.textContent = filtered
			? formatCount(app.filtered().length) +
				" of " +
				formatCount(app.t.requests.length)
			: "";
		ui.hidden.hidden = !now.hide.length;
		ui.hidden.textContent = "Show " + now.hide.length + " hidden";
		ui.pictureTools.hidden = !picture;
		ui.main.hidden = !picture;
		ui.page.hidden = picture;
		if (!picture) {
			ui.page.replaceChildren((PAGES[now.v] || summaryView)(app));
			if (old.v !== now.v) ui.page.scrollTop = 0;
			return;
		}
		if (!ui.side.firstChild || old.sel !== now.sel || old.v !== now.v)
			ui.side.replaceChildren(detailsView(app));
		const has = now.rb > now.ra,
			same =
				old.ra === now.ra &&
				old.rb === now.rb &&
				old.flame === now.flame &&
				old.hide === now.hide &&
				["route", "status", "slower", "ox", "oy", "fx", "fy"].every(
					k => old[k] === now[k]
				);
		ui.below.hidden = !has;
		ui.below.classList.toggle("high", ["cpu", "offcpu"].includes(now.flame));
		if (!has) ui.below.replaceChildren();
		else if (!same || !ui.below.firstChild) ui.below.replaceChildren(rangeView(app));
		if (!app.picture.sized) app.drawNow();
		app.picture.sized = true;
		if ((now.sel !== old.sel && app.item) || now.track)
			app.reveal(now.track || app.item.track);
		app.draw();
	};
	app.theme = () => {
		const dark = matchMedia("(prefers-color-scheme:dark)").matches;
		app.picture.theme(dark ? COLORS.dark : COLORS.light);
		renderLegend(app);
		app.draw();
	};
}
