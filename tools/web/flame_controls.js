// SPDX-License-Identifier: MIT
//
// The controls above the picture, the keys, and the start: the static picture gives way when all is
// there. In another document than its own, and without script, the picture stays as it is.

function makeControls(app) {
	const m = app.m,
		state = app.state,
		view = app.view;
	const button = (text, label, act) => {
		const b = el("button", { type: "button", title: label, "aria-label": label }, text);
		b.addEventListener("click", act);
		return b;
	};
	const choice = (label, options, act) => {
		const s = el("select", { "aria-label": label, title: label });
		for (const o of options) s.append(el("option", { value: o[0] }, o[1]));
		s.addEventListener("change", () => act(s.value));
		return s;
	};

	const query = el("input", {
		type: "search",
		placeholder: "Search: regular expression  ( / )",
		"aria-label": "Search function names by regular expression",
		spellcheck: "false",
		autocomplete: "off"
	});
	const matched = el("output", { class: "matched", "aria-live": "polite" });
	const before = button("\u2039", "Previous match (N)", () => app.step(-1));
	const after = button("\u203a", "Next match (n)", () => app.step(1));
	let timer = 0;
	query.addEventListener("input", () => {
		clearTimeout(timer);
		timer = setTimeout(
			() => {
				app.search(query.value);
				app.saveState(false);
			},
			m.nodes > 200000 ? 150 : 30
		);
	});
	query.addEventListener("keydown", event => {
		event.stopPropagation();
		if (event.key === "Enter") {
			clearTimeout(timer);
			if (state.query !== query.value) app.search(query.value);
			app.saveState(false);
			app.step(event.shiftKey ? -1 : 1);
		} else if (event.key === "Escape") {
			query.value = "";
			app.search("");
			app.saveState(false);
			view.frames.focus();
		}
	});

	const views = choice(
		"View",
		[
			["down", "Callees (from the root)"],
			["callers", "Callers (inverted)"],
			["sandwich", "Sandwich"]
		],
		value => {
			if (value === "sandwich") app.sandwich();
			else app.set({ view: value });
		}
	);
	const direction = choice(
		"Direction",
		[
			["icicle", "Icicle"],
			["flame", "Flame"]
		],
		value => app.set({ flame: value === "flame" })
	);
	const order = choice(
		"Order",
		[
			["name", "A\u2013Z"],
			["heavy", "Heaviest first"]
		],
		value => app.set({ heavy: value === "heavy" })
	);
	const threads = choice(
		"Thread",
		[[-1, "All threads"]].concat(
			m.roots.map((i, index) => {
				const id = m.threads[index];
				return [
					index,
					m.names[m.t.key[i] >> 1].name +
						(id ? " " + id : "") +
						"  " +
						formatShare(m.t.total[i], m.t.total[0])
				];
			})
		),
		value => app.set({ thread: Number(value) })
	);
	const scale = choice(
		"Comparison",
		[
			["normalized", "Normalized"],
			["absolute", "Absolute"]
		],
		value => app.set({ normalized: value === "normalized" })
	);
	const reset = button("Reset zoom", "Reset zoom (0)", app.resetZoom);
	const side = button("Sandwich", "Callers and callees of the selected function (s)", () =>
		app.sandwich()
	);
	const link = button("Copy link", "Copy the address of this view", () => {
		app.saveState(false);
		app.copy(location.href, "Link");
	});
	const stacks = button(
		"Copy folded",
		"Copy folded stacks of the selected frame (y)",
		app.copyFolded
	);
	const help = button("?", "Keys (?)", () => app.help());

	app.sandwich = () => {
		const box =
			view.current && view.current.node && view.current.node.key >= 0
				? view.current
				: view.boxes.find(b => b.node && b.node.key >= 0 && !b.above);
		if (state.view !== "sandwich" && box)
			app.set({ view: "sandwich", name: box.node.key >> 1 });
		else if (box && box.node.key >> 1 !== state.name)
			app.set({ name: box.node.key >> 1 });
		app.syncControls();
	};

	app.syncControls = () => {
		const found = app.found;
		if (document.activeElement !== query) query.value = state.query;
		query.classList.toggle("wrong", !!app.wrong);
		matched.textContent = app.wrong
			? app.wrong
			: !found
				? ""
				: formatShare(found.total, app.whole()) +
					" matched  (" +
					formatValue(found.total, m.unit) +
					", " +
					found.functions.toLocaleString("en") +
					(found.functions === 1 ? " function, " : " functions, ") +
					found.frames.toLocaleString("en") +
					(found.frames === 1 ? " place)" : " places)");
		before.disabled = after.disabled = !found || !found.frames;
		reset.disabled = !app.zoomed();
		views.value = state.view;
		direction.value = state.flame ? "flame" : "icicle";
		direction.disabled = state.view === "sandwich";
		order.value = state.heavy ? "heavy" : "name";
		threads.value = state.thread;
		scale.value = state.normalized ? "normalized" : "absolute";
	};

	const keys = el("dl", {});
	for (const k of KEYS) keys.append(el("dt", {}, k[0]), el("dd", {}, k[1]));
	const dialog = el(
		"div",
		{ class: "help", role: "dialog", "aria-label": "Keys", hidden: "" },
		el("h2", {}, "Keys"),
		keys
	);
	dialog.append(button("Close", "Close", () => app.help()));
	app.help = () => {
		dialog.toggleAttribute("hidden");
		(dialog.hasAttribute("hidden")
			? view.frames
			: dialog.querySelector("button")
		).focus();
	};
	app.dialog = dialog;
	app.query = query;
	app.threads = threads;

	const group = (name, ...kids) =>
		el(
			"div",
			{ class: "group", role: "group", "aria-label": name },
			...kids.filter(Boolean)
		);
	return el(
		"div",
		{ class: "bar", role: "toolbar", "aria-label": "Flame graph" },
		group("Search", query, before, after, matched),
		group(
			"View",
			views,
			direction,
			order,
			m.roots.length > 1 && threads,
			m.diff && scale
		),
		group("Selection", reset, side, link, stacks, help)
	);
}

function makeHeader(m) {
	const list = el("p", { class: "facts" });
	for (const field of m.fields)
		list.append(el("span", {}, el("i", {}, field[0]), " " + field[1]));
	const legend = el("p", { class: "legend" });
	const entries = m.diff
		? [
				["d0", "far less"],
				["d2", "less"],
				["d4", "as before"],
				["d6", "more"],
				["d8", "far more, or new"]
			]
		: m.legend.map(e => [e[0] + "0", e[1]]);
	const gone =
		m.diff && m.lostTotal[0]
			? formatShare(m.lostTotal[0], m.t.total2[0]) +
				" of what was before is gone (strip below)"
			: "";
	for (const entry of entries)
		legend.append(el("span", {}, el("i", { class: entry[0] }), entry[1]));
	legend.append(gone);
	return el("header", {}, el("h1", { dir: "auto" }, m.title), list, legend);
}

function listenToKeys(app) {
	const view = app.view,
		state = app.state;
	const keys = {
		"/": () => {
			app.query.focus();
			app.query.select();
		},
		n: () => app.step(1),
		N: () => app.step(-1),
		0: app.resetZoom,
		s: () => app.sandwich(),
		c: () => app.set({ view: state.view === "callers" ? "down" : "callers" }),
		f: () => app.set({ flame: !state.flame }),
		o: () => app.set({ heavy: !state.heavy }),
		t: () => app.threads.focus(),
		y: app.copyFolded,
		"?": () => app.help(),
		Enter: () => app.zoom(view.current),
		Escape: () => {
			if (!app.dialog.hasAttribute("hidden")) return app.help();
			app.hideTip();
			const p = view.panels.find(q => q.zoom !== q.tree.root);
			if (p) {
				app.zoom({ panel: p, node: p.zoom.parent });
			} else if (state.query) {
				app.search("");
				app.saveState(false);
			} else if (state.view !== "down") {
				app.set({ view: "down" });
			}
		}
	};
	for (const arrow of ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"])
		keys[arrow] = () => view.select(view.neighbour(arrow));
	document.addEventListener("keydown", event => {
		const inPicture =
			document.activeElement === view.frames ||
			!/^(select|button|input)$/i.test(
				(document.activeElement || {}).tagName || ""
			);
		if (event.key === "f" && (event.ctrlKey || event.metaKey)) {
			keys["/"]();
			event.preventDefault();
			return;
		}
		if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
		if (!inPicture && /^(Enter|Arrow|Escape)/.test(event.key) && event.key !== "Escape")
			return;
		if (
			/^select$/i.test((document.activeElement || {}).tagName || "") &&
			event.key !== "Escape"
		)
			return;
		event.preventDefault();
		keys[event.key]();
	});
}

function start() {
	const svg = document.documentElement;
	if (
		svg.localName !== "svg" ||
		!document.currentScript ||
		document.currentScript.parentNode !== svg
	)
		return;
	const find = part => {
		return document.getElementById("periscope-" + part).textContent;
	};
	const app = makeApp(loadModel(find));
	const still = document.getElementById("periscope-static");
	const shell = document.createElementNS("http://www.w3.org/2000/svg", "foreignObject");
	app.root = el(
		"div",
		{ class: "app" },
		makeHeader(app.m),
		makeControls(app),
		app.view.scroller,
		app.line,
		app.tip,
		app.dialog
	);
	if (!app.m.t.total[0])
		app.view.scroller.append(el("p", { class: "nothing" }, "No samples."));
	shell.setAttribute("width", "100%");
	shell.setAttribute("height", "100%");
	shell.append(app.root);
	still.style.display = "none";
	svg.removeAttribute("viewBox");
	svg.setAttribute("width", "100%");
	svg.setAttribute("height", "100%");
	svg.setAttribute("role", "application");
	svg.append(shell);
	listenToKeys(app);
	app.loadState();
	window.periscope = app; // for tests, and for the curious
}

start();
