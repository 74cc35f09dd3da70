// SPDX-License-Identifier: MIT
//
// What surrounds the picture: controls, tooltip, keys, and the address, whose fragment holds the
// whole state, so that a link or the Back button leads to the same view.

const KEYS = [
	["/", "search"],
	["n, N", "next, previous match"],
	["\u2190 \u2191 \u2192 \u2193", "move"],
	["Enter", "zoom into the frame"],
	["Esc", "zoom out, then end the search"],
	["0", "reset zoom"],
	["s", "sandwich: callers and callees of the function"],
	["c", "callers view"],
	["f", "flames up or down"],
	["o", "order by name or by weight"],
	["t", "choose a thread"],
	["y", "copy folded stacks of the frame"],
	["?", "these keys"]
];

function makeApp(m) {
	const app = { m: m, found: null, trees: {} };
	const state = (app.state = {
		view: "down",
		flame: false,
		heavy: false,
		thread: -1,
		name: -1,
		query: "",
		normalized: m.diff !== "absolute"
	});
	const view = (app.view = makeView(app));

	// -------- what the view asks --------

	app.nameOf = node => {
		return node.key < 0 ? "all" : m.names[node.key >> 1].name;
	};
	app.whole = () => {
		return state.thread < 0 ? m.t.total[0] : m.t.total[m.roots[state.thread]];
	};
	app.beforeScale = () => {
		return state.normalized && m.t.total2[0] > 0 ? m.t.total[0] / m.t.total2[0] : 1;
	};
	app.styleOf = box => {
		const node = box.node;
		if (m.diff && box.panel.id !== "v") {
			const before = node.total2 * app.beforeScale();
			const most = Math.max(before, node.total);
			const change = most > 0 ? (node.total - before) / most : 0;
			const step = m.steps.filter(s => Math.abs(change) >= s).length;
			return "d" + (m.steps.length + (change < 0 ? -step : step));
		}
		if (m.diff) return "d0";
		if (node.key < 0) return "n0";
		const style = m.names[node.key >> 1].style;
		return node.key & 1 ? "i" + style[1] : style;
	};

	// -------- description: tooltip and the line below --------

	const facts = box => {
		const node = box.node,
			lines = [],
			whole = app.whole(),
			lost = box.panel.id === "v";
		const all = lost ? box.panel.tree.root.total : whole;
		const share = value => {
			return (
				formatValue(value, m.unit) +
				", " +
				formatShare(value, all) +
				(lost ? " of what is gone" : " of all")
			);
		};
		if (!node)
			return ["", [[box.gap + " frames too narrow to draw", share(box.total)]]];
		const name = node.key < 0 ? null : m.names[node.key >> 1];
		if (name && name.module) lines.push(["in", name.module]);
		if (name && name.file) lines.push(["source", name.file]);
		lines.push([
			"total",
			share(node.total) +
				(node.parent && node.parent.total
					? ", " +
						formatShare(node.total, node.parent.total) +
						" of its parent"
					: "")
		]);
		if (!node.from) lines.push(["self", share(node.self)]);
		if (m.diff && !lost) {
			const before = node.total2 * app.beforeScale();
			lines.push([
				"before",
				formatValue(
					state.normalized ? Math.round(before) : before,
					m.unit
				) + (state.normalized ? " (normalized)" : "")
			]);
			lines.push([
				"change",
				(node.total < before ? "\u2212" : "+") +
					formatValue(
						Math.round(Math.abs(node.total - before)),
						m.unit
					) +
					(before > 0
						? ", " +
							formatShare(
								Math.abs(node.total - before),
								before
							) +
							" of before"
						: ", new")
			]);
		} else if (m.period && m.unit !== "count") {
			lines.push([
				"samples",
				Math.round(node.total / m.period).toLocaleString("en")
			]);
		} else if (m.second === "samples") {
			lines.push(["samples", node.total2.toLocaleString("en")]);
		}
		return [
			app.nameOf(node) + (node.key > 0 && node.key & 1 ? " (inlined)" : ""),
			lines
		];
	};

	const tip = el("div", { class: "tip", role: "tooltip", hidden: "" });
	const line = el(
		"div",
		{ class: "line", role: "status", "aria-live": "polite" },
		"Point at a frame, click to zoom, / to search, ? for all keys."
	);
	app.describe = (box, spoken) => {
		const about = facts(box);
		line.setAttribute("aria-live", spoken ? "polite" : "off");
		line.textContent = "";
		line.append(
			el("b", { dir: "auto" }, about[0]),
			"  " +
				about[1]
					.map(fact => {
						return fact.join(" ");
					})
					.join("  \u00b7  ")
		);
	};
	const showTip = (box, event) => {
		const about = facts(box),
			size = document.documentElement;
		tip.textContent = "";
		if (about[0]) tip.append(el("b", { dir: "auto" }, about[0]));
		for (const fact of about[1])
			tip.append(el("div", {}, el("span", {}, fact[0]), " " + fact[1]));
		tip.removeAttribute("hidden");
		const w = tip.offsetWidth,
			h = tip.offsetHeight;
		tip.style.left =
			Math.max(4, Math.min(event.clientX + 14, size.clientWidth - w - 6)) + "px";
		tip.style.top =
			(event.clientY + 18 + h > size.clientHeight
				? Math.max(2, event.clientY - h - 10)
				: event.clientY + 18) + "px";
	};
	const hideTip = () => {
		tip.setAttribute("hidden", "");
	};

	// -------- state to picture --------

	const tree = (what, make) => {
		const key = what + "/" + state.thread;
		app.trees[key] = app.trees[key] || make();
		return app.trees[key];
	};
	const panel = (id, shown, upward, caption) => {
		return { id: id, tree: shown, upward: upward, caption: caption, zoom: shown.root };
	};
	const makePanels = () => {
		const t = state.thread;
		if (state.view === "callers")
			return [
				panel(
					"c",
					tree("callers", () => callers(m, t)),
					state.flame
				)
			];
		if (state.view === "sandwich" && state.name >= 0) {
			const both = tree("sandwich " + state.name, () => {
				return bothSides(m, t, state.name);
			});
			return [
				panel("u", both[0], true, "Callers of " + m.names[state.name].name),
				panel("b", both[1], false, "What it calls")
			];
		}
		const down = panel(
			"d",
			tree("down", () => topDown(m, t)),
			state.flame
		);
		if (!m.diff) return [down];
		const lost = tree("lost", () => topDown(m, t, m.lostTotal, m.lostSelf));
		if (!lost.root.total) return [down];
		return [
			down,
			panel(
				"v",
				lost,
				state.flame,
				"Gone: stacks that were only there before, " +
					formatShare(lost.root.total, m.t.total2[0]) +
					" of what was before"
			)
		];
	};

	// Elements are touched once, at the end: what `place` scrolls would else lay them out
	// twice.
	app.refresh = (rebuild, place) => {
		if (rebuild) view.panels = makePanels();
		view.layOut();
		if (place) place();
		view.draw();
		app.syncControls();
	};
	const revealCurrent = () => {
		if (!view.current) return;
		view.reveal(view.current);
		app.describe(view.current, true);
	};
	app.zoomed = () => {
		return view.panels.some(p => p.zoom !== p.tree.root);
	};
	app.zoom = box => {
		if (!box || !box.node || box.node.total <= 0) return;
		box.panel.zoom = box.node;
		view.current = box;
		app.refresh(false, revealCurrent);
		app.saveState(true);
	};
	app.resetZoom = () => {
		view.panels.forEach(p => (p.zoom = p.tree.root));
		app.refresh(false, revealCurrent);
		app.saveState(true);
	};
	app.set = changes => {
		Object.assign(state, changes);
		if ("thread" in changes) app.find(state.query);
		app.refresh(true, () => {
			view.scroller.scrollTop =
				state.flame && state.view !== "sandwich" ? view.height : 0;
			if (state.view !== "sandwich") return;
			view.current = view.boxes.find(b => b.panel.id === "b") || null;
			revealCurrent();
		});
		app.saveState(true);
	};

	// -------- search --------

	app.find = text => {
		state.query = text;
		app.found = null;
		app.wrong = "";
		if (text) {
			try {
				app.found = search(m, state.thread, compile(text));
			} catch (e) {
				app.wrong = "not a regular expression";
			}
		}
	};
	app.search = text => {
		app.find(text);
		view.draw();
		app.syncControls();
	};
	app.step = sign => {
		const hits = view.boxes.filter(box => {
			return (
				box.node &&
				app.found &&
				box.node.key >= 0 &&
				app.found.names[box.node.key >> 1]
			);
		});
		if (!hits.length) return;
		let i = hits.indexOf(view.current);
		i =
			i < 0
				? sign > 0
					? 0
					: hits.length - 1
				: (i + sign + hits.length) % hits.length;
		view.select(hits[i]);
		line.append("  \u00b7  match " + (i + 1) + " of " + hits.length + " drawn");
	};

	// -------- the address --------

	app.fragment = () => {
		const parts = [],
			put = (key, value) => {
				parts.push(key + "=" + encodeURIComponent(value));
			};
		if (state.view !== "down") put("v", state.view);
		if (state.view === "sandwich") put("f", state.name.toString(36));
		if (state.flame) put("d", "flame");
		if (state.heavy) put("o", "heavy");
		if (state.thread >= 0) put("t", state.thread);
		if (m.diff && state.normalized !== (m.diff !== "absolute"))
			put("n", state.normalized ? 1 : 0);
		if (state.query) put("q", state.query);
		for (const p of view.panels)
			if (p.zoom !== p.tree.root) put("z" + p.id, pathOf(p.zoom).join("."));
		return parts.join("&");
	};
	app.saveState = step => {
		const fragment = "#" + app.fragment();
		if (fragment === (location.hash || "#")) return;
		try {
			history[step ? "pushState" : "replaceState"](null, "", fragment);
		} catch (e) {
			location.hash = fragment;
		}
	};
	app.loadState = () => {
		const given = new URLSearchParams(location.hash.slice(1));
		const name = parseInt(given.get("f"), 36),
			thread = parseInt(given.get("t"), 10);
		state.view = { callers: "callers", sandwich: "sandwich" }[given.get("v")] || "down";
		state.name = name >= 0 && name < m.names.length ? name : -1;
		if (state.view === "sandwich" && state.name < 0) state.view = "down";
		state.flame = given.get("d") === "flame";
		state.heavy = given.get("o") === "heavy";
		state.thread = thread >= 0 && thread < m.roots.length ? thread : -1;
		state.normalized = given.has("n") ? given.get("n") === "1" : m.diff !== "absolute";
		view.panels = makePanels();
		for (const p of view.panels)
			p.zoom = follow(
				p.tree,
				(given.get("z" + p.id) || "").split(".").filter(Boolean)
			);
		app.find(given.get("q") || "");
		app.refresh(false, () => {
			if (state.flame && state.view !== "sandwich")
				view.scroller.scrollTop = view.height;
		});
	};

	app.copy = (text, what) => {
		const done = () => {
			line.textContent =
				what +
				" copied (" +
				text.length.toLocaleString("en") +
				" characters)";
		};
		app.copied = text;
		const byHand = () => {
			const area = el("textarea", {
				style: "position:fixed;top:0;left:0;opacity:0"
			});
			area.value = text;
			app.root.append(area);
			area.select();
			document.execCommand("copy");
			area.remove();
			done();
		};
		if (navigator.clipboard && window.isSecureContext)
			navigator.clipboard.writeText(text).then(done, byHand);
		else byHand();
	};
	app.copyFolded = () => {
		const box = view.current && view.current.node ? view.current : view.boxes[0];
		if (box)
			app.copy(
				folded(box.panel.tree, box.node),
				"Folded stacks of " + app.nameOf(box.node)
			);
	};

	// -------- pointer and keys --------

	const boxAt = event => {
		return event.target.box;
	};
	view.frames.addEventListener("mousemove", event => {
		const box = boxAt(event);
		if (!box) return hideTip();
		showTip(box, event);
		app.describe(box, false);
	});
	view.frames.addEventListener("mouseleave", hideTip);
	view.frames.addEventListener("click", event => {
		const box = boxAt(event);
		hideTip();
		view.frames.focus({ preventScroll: true });
		app.zoom(box);
	});
	view.frames.addEventListener("focus", () => {
		if (view.current) app.describe(view.current, true);
	});
	window.addEventListener("resize", () => {
		app.refresh(false);
	});
	window.addEventListener("popstate", app.loadState);
	app.hideTip = hideTip;
	app.tip = tip;
	app.line = line;
	return app;
}
