// SPDX-License-Identifier: MIT
//
// What is beside and below the picture: all of what is selected, and what a range comes to.

function stackList(t, stack) {
	const frames = framesOf(t, stack),
		ol = el("ol", { class: "stack" });
	for (const frame of frames)
		ol.append(
			el(
				"li",
				{ class: "o" + frame.f.origin },
				el("b", {}, frame.f.name + (frame.inlined ? " (inlined)" : "")),
				el(
					"span",
					{},
					" " +
						(frame.f.file
							? frame.f.file +
								(frame.f.line
									? ":" + frame.f.line
									: "")
							: frame.f.module)
				)
			)
		);
	return frames.length ? ol : null;
}

function partsList(t, parts, whole, name) {
	const list = el("ul", { class: "parts" });
	for (const p of parts.slice().sort((a, b) => b[1] - a[1]))
		list.append(
			el(
				"li",
				{},
				el("meter", {
					min: 0,
					max: whole,
					value: p[1],
					"aria-hidden": "true"
				}),
				" " + name(p[0]) + " ",
				el("b", {}, formatTime(p[1])),
				" " + formatPercent(p[1], whole)
			)
		);
	return list;
}

function requestDetails(app, q, box) {
	const t = app.t;
	box.append(
		el("p", { class: "why" }, whySlow(t, q, app.medians)),
		el("h3", {}, "Where its time went"),
		partsList(t, q.states, q.latency, i => stateName(t, i))
	);
	if (q.phases.length > 1)
		box.append(
			el("h3", {}, "Phases"),
			partsList(t, q.phases, q.latency, i => (i ? t.phases[i] : "no phase"))
		);
	if (q.waits.length) {
		box.append(el("h3", {}, "Longest waits"));
		for (const w of q.waits)
			box.append(
				el(
					"p",
					{},
					app.link(
						formatTime(w.length) + " " + stateName(t, w.state),
						Object.assign(
							{ v: "picture", sel: "q" + q.index },
							around(t, w.start, w.start + w.length)
						)
					),
					" at +" +
						formatTime(w.start - q.start) +
						(w.phase ? ", in phase " + t.phases[w.phase] : "")
				),
				stackList(t, w.stack) || ""
			);
	}
	const threads = new Set(
		statesOf(t, q)
			.map(s => s.thread)
			.filter(Boolean)
	);
	const by = el("p", {}, "Worked on by ");
	threads.forEach(th =>
		by.append(
			app.link(
				th.name + " " + th.tid,
				Object.assign(
					{ v: "picture", group: "all", track: "t" + th.number },
					around(t, q.start, q.end)
				)
			),
			" "
		)
	);
	if (threads.size) box.append(by);
}

function detailsView(app) {
	const item = app.item,
		box = el("aside", {
			class: "details",
			"aria-label": "Details",
			"aria-live": "polite"
		});
	if (!item) {
		const hint =
			"Click on anything for its details; drag over the picture " +
			"for a range's tables and flame graphs.";
		box.append(el("p", { class: "hint" }, hint), keyList());
		return box;
	}
	const t = app.t,
		facts = el("dl", {});
	box.append(el("h2", { dir: "auto" }, item.title));
	for (const f of item.facts)
		if (f[1] !== "") facts.append(el("dt", {}, f[0]), el("dd", { dir: "auto" }, f[1]));
	box.append(facts);
	if (item.links) for (const l of item.links) box.append(el("p", {}, app.link(l[0], l[1])));
	if (item.request) requestDetails(app, item.request, box);
	for (const s of item.stacks || []) {
		const list = stackList(t, s[1]);
		if (list) box.append(el("h3", {}, s[0]), list);
	}
	const close = el(
		"button",
		{ type: "button", class: "close", "aria-label": "Close details" },
		"\u00d7"
	);
	close.addEventListener("click", () => app.go({ sel: "" }));
	box.append(close);
	return box;
}

// Threads that a range is summed up for: those that are not hidden.
function shownThreads(app) {
	return app.t.threads.filter(th => !app.state.hide.includes("t" + th.number));
}

function rangeView(app) {
	const t = app.t,
		s = app.state,
		threads = shownThreads(app),
		box = el("section", { class: "range", "aria-label": "Range" });
	const kind = s.flame || "table",
		bar = el("div", { class: "bar" });
	bar.append(
		el("b", {}, "Range " + formatTime(s.rb - s.ra)),
		" from " + ((s.ra - t.start) / 1e9).toFixed(6) + "\u202fs "
	);
	for (const k of [
		["table", "Tables"],
		["cpu", "On-CPU flame graph"],
		["offcpu", "Off-CPU flame graph"]
	]) {
		const b = el(
			"button",
			{
				type: "button",
				"aria-pressed": String(kind === k[0]),
				"data-flame": k[0]
			},
			k[1]
		);
		b.addEventListener("click", () => app.go({ flame: k[0] }));
		bar.append(b);
	}
	const zoom = el("button", { type: "button" }, "Zoom to it (z)"),
		close = el("button", { type: "button", "aria-label": "Close range" }, "\u00d7");
	zoom.addEventListener("click", app.zoomToRange);
	close.addEventListener("click", () => app.go({ ra: 0, rb: 0 }));
	bar.append(zoom, close);
	box.append(bar);
	if (kind === "table") {
		const list = within(app.filtered(), s.ra, s.rb),
			content = el("div", { class: "scroll" });
		content.append(
			threadTable(
				app,
				threads
					.map(th => ({
						th: th,
						total: totalsWithin(th, s.ra, s.rb)
					}))
					.filter(r => lifetime(r.total) > 0),
				"Threads within the range",
				"x"
			)
		);
		if (list.length)
			content.append(
				routeTable(
					app,
					list,
					formatCount(list.length) + " requests that touch the range",
					"y"
				)
			);
		box.append(content);
		return box;
	}
	const file = (app.flameFile = flameFile(t, kind, s.ra, s.rb, threads, app.part));
	if (!file) {
		const why = {
			cpu: "No samples within the range: on-CPU stacks come from sampling.",
			offcpu: "No thread waited within the range."
		};
		box.append(el("p", { class: "note" }, why[kind]));
		return box;
	}
	if (app.flameUrl) URL.revokeObjectURL(app.flameUrl);
	app.flameUrl = URL.createObjectURL(new Blob([file], { type: "image/svg+xml" }));
	const save = el("a", { href: app.flameUrl, download: kind + ".svg" }, "Save as SVG");
	bar.append(save);
	box.append(
		el("iframe", {
			src: app.flameUrl,
			title:
				kind === "cpu"
					? "On-CPU flame graph of the range"
					: "Off-CPU flame graph of the range"
		})
	);
	return box;
}
