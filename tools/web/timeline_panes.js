// SPDX-License-Identifier: MIT
//
// Everything in words: summary, tables, what is selected, what a range comes to. Each figure that has
// a place in the picture is a link to it. Names get into the page as text only.

function el(tag, attributes) {
	const element = document.createElement(tag);
	for (const name in attributes)
		if (attributes[name] !== null)
			element.setAttribute(name, attributes[name]);
	for (let i = 2; i < arguments.length; i++)
		if (arguments[i] !== null && arguments[i] !== undefined)
			element.append(arguments[i]);
	return element;
}

// Where a stretch is, with something around it.
function around(t, start, end) {
	const margin = Math.max((end - start) * .3, 500);
	return { a: start - margin - t.start, b: end + margin - t.start };
}

function toRequest(app, q) {
	return Object.assign({ v: "picture", sel: "q" + q.index, group: app.state.group === "threads" ||
		app.state.group === "cpus" ? "all" : app.state.group }, around(app.t, q.start, q.end));
}

function toThread(app, th) {
	return { v: "picture", group: "threads", track: "t" + th.number, a: null, b: null };
}

// Sorts and filters itself. columns: { label, get, text, link, left, title }.
function makeTable(app, key, caption, columns, rows, note) {
	const s = app.state, sort = s["o" + key] || "", down = sort[0] === "-";
	const chosen = columns.findIndex(function (c) { return c.label === sort.replace(/^-/, ""); });
	const filter = (s["f" + key] || "").toLowerCase();
	let list = rows;
	if (filter)
		list = list.filter(function (row) {
			return columns.some(function (c) { return c.left && String(c.get(row)).toLowerCase().includes(filter); });
		});
	if (chosen >= 0) {
		const get = columns[chosen].get, sign = down ? -1 : 1;
		list = list.map(function (row) { return { row: row, by: get(row) }; }).sort(function (a, b) {
			return a.by < b.by ? -sign : a.by > b.by ? sign : 0;
		}).map(function (x) { return x.row; });
	}
	const head = el("tr", {});
	for (const c of columns) {
		const at = c === columns[chosen];
		const b = el("button", { type: "button", title: c.title || null }, c.label + (at ? down ? " \u2193" : " \u2191" : ""));
		b.addEventListener("click", function () {
			app.go({ ["o" + key]: at ? (down ? c.label : "-" + c.label) : (c.left ? "" : "-") + c.label });
		});
		head.append(el("th", { scope: "col", class: c.left ? "left" : null, "aria-sort": at ? (down ? "descending" : "ascending") : null }, b));
	}
	const body = el("tbody", {}), table = el("table", { class: "data", id: "table-" + key },
		el("caption", {}, caption), el("thead", {}, head), body);
	const more = el("button", { type: "button" });
	let shown = 0;
	const show = function () {
		for (const row of list.slice(shown, shown + 200)) {
			const tr = el("tr", {});
			columns.forEach(function (c, i) {
				const text = c.text ? c.text(row) : String(c.get(row)), to = c.link && c.link(row);
				tr.append(el(i ? "td" : "th", { class: c.left ? "left" : null, scope: i ? null : "row" },
					to ? app.link(text, to) : text));
			});
			body.append(tr);
		}
		shown = Math.min(list.length, shown + 200);
		more.textContent = "Show more: " + formatCount(list.length - shown) + " rows are left";
		more.hidden = shown >= list.length;
	};
	more.addEventListener("click", show);
	show();
	const box = el("section", { class: "table" });
	if (rows.length > 8) {
		const input = el("input", { type: "search", placeholder: "Filter rows", "aria-label": "Filter rows of: " + caption, value: s["f" + key] || "" });
		input.addEventListener("change", function () { app.go({ ["f" + key]: input.value }); });
		box.append(el("p", { class: "tools" }, input, el("span", { class: "count" }, formatCount(list.length) + " of " + formatCount(rows.length) + " rows")));
	}
	box.append(el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption }, table), more);
	if (note)
		box.append(el("p", { class: "note" }, note));
	return box;
}

function timeColumn(label, get, link, title) {
	return { label: label, get: get, link: link, title: title, text: function (row) {
		const v = get(row);
		return v ? formatTime(v) : "\u2013";
	} };
}

function countColumn(label, get) {
	return { label: label, get: get, text: function (row) { return formatCount(get(row)); } };
}

function threadTable(app, rows, caption, key) {
	const t = app.t, to = function (row) { return toThread(app, row.th); }, columns = [
		{ label: "thread", left: true, get: function (r) { return r.th.name || "?"; }, link: to },
		{ label: "TID", get: function (r) { return r.th.tid; }, link: to },
		{ label: "process", left: true, get: function (r) { return (r.th.process ? r.th.process + " " : "") + r.th.pid; } },
		timeColumn("time", function (r) { return lifetime(r.total); }, to),
		timeColumn("on CPU", function (r) { return running(r.total); }, to, "user + syscall")
	];
	for (let i = 0; i < NR_THREAD_STATES; i++)
		if (i !== DEAD && rows.some(function (r) { return r.total[i] > 0; }))
			columns.push(timeColumn(t.states[i], function (r) { return r.total[i]; }, null));
	if (key === "t")
		for (const c of ["runs", "preemptions", "wakeups", "syscalls", "faults", "samples"])
			columns.push(countColumn(c, function (r) { return r.th[c]; }));
	return makeTable(app, key, caption, columns, rows, "Every thread is in exactly one state at a time: its times add up to the time that it was there.");
}

function requestColumns(app, list) {
	const t = app.t, to = function (q) { return toRequest(app, q); }, columns = [
		{ label: "request", left: true, get: function (q) { return q.what || String(q.id); }, link: to },
		{ label: "route", left: true, get: function (q) { return q.route; } },
		{ label: "status", get: function (q) { return q.status; }, text: function (q) { return q.open ? "open" : q.aborted ? q.status + " aborted" : String(q.status); } },
		{ label: "begin", get: function (q) { return q.start; }, text: function (q) { return ((q.start - t.start) / 1e9).toFixed(6) + "\u202fs"; } },
		timeColumn("latency", function (q) { return q.latency; }, to)
	];
	const used = new Set(), phases = new Set();
	for (const q of list) {
		q.states.forEach(function (p) { used.add(p[0]); });
		q.phases.forEach(function (p) { phases.add(p[0]); });
	}
	const part = function (key, i) {
		return function (q) {
			for (const p of q[key])
				if (p[0] === i)
					return p[1];
			return 0;
		};
	};
	for (const i of Array.from(used).sort(function (a, b) { return a - b; }))
		columns.push(timeColumn(stateName(t, i), part("states", i), null, "state"));
	if (phases.size > 1)
		for (const i of Array.from(phases).sort(function (a, b) { return a - b; }))
			columns.push(timeColumn(i ? "phase " + t.phases[i] : "no phase", part("phases", i), null, "phase"));
	for (const c of ["syscalls", "faults", "switches", "pieces"])
		columns.push(countColumn(c, function (q) { return q[c]; }));
	columns.push({ label: "whole", left: true, get: function (q) { return q.partial ? "no" : q.lost ? "events missing" : "yes"; } });
	return columns;
}

function routeTable(app, list, caption, key) {
	const rank = function (p) {
		return function (row) {
			const value = percentile(row.latencies, p);
			const q = list.find(function (q) { return q.latency === value && q.counts && q.route === row.route; });
			return q ? toRequest(app, q) : null;
		};
	};
	return makeTable(app, key, caption, [
		{ label: "route", left: true, get: function (r) { return r.route; }, text: function (r) { return r.route || "(no route)"; },
			link: function (r) { return { v: "picture", group: "requests", route: r.route, a: null, b: null }; } },
		{ label: "requests", get: function (r) { return r.all; }, text: function (r) { return formatCount(r.all); },
			link: function (r) { return { v: "requests", route: r.route }; } },
		countColumn("left out", function (r) { return r.left; }),
		{ label: "5xx", get: function (r) { return r.failed; }, link: function (r) { return r.failed ? { v: "requests", route: r.route, status: "5" } : null; } },
		timeColumn("p50", function (r) { return r.p50; }, rank(50)), timeColumn("p90", function (r) { return r.p90; }, rank(90)),
		timeColumn("p99", function (r) { return r.p99; }, rank(99)), timeColumn("max", function (r) { return r.max; }, rank(100))
	], list === app.t.requests ? app.routes : routeRows(list), "Percentiles are of requests that are whole. Left out are those that began before the recording, had not ended, or of which events may be missing.");
}

// ---------------------------------------------------------------- summary ----

function lossNote(app) {
	const t = app.t, parts = [];
	const torn = t.requests.filter(function (q) { return q.lost; }).length;
	if (t.losses)
		parts.push(t.lost_more && !t.lost_count ? "An unknown number of events is missing" : formatCount(t.lost_count) + (t.lost_more ? " events or more are missing" : " events are missing"),
			" in ", app.link(formatCount(t.losses) + (t.losses === 1 ? " place" : " places"), t.lost.length ?
				Object.assign({ v: "picture", group: "all", sel: "l0" }, around(t, t.lost[0].start, Math.max(t.lost[0].end, t.lost[0].start + 1e6))) : { v: "losses" }),
			", marked red on the ruler (", app.link("list", { v: "losses" }), "). ");
	if (torn)
		parts.push(formatCount(torn) + (torn === 1 ? " request" : " requests") + " may lack events and no figure rests on them. ");
	if (!t.complete)
		parts.push("The recorder did not finish the file. ");
	if (t.damaged)
		parts.push("Parts of the file are damaged: " + formatCount(t.damaged) + ". ");
	if (t.unchosen)
		parts.push(formatCount(t.unchosen) + " requests were left out by the filter this page was made with. ");
	if (t.odd)
		parts.push(formatCount(t.odd) + " events did not fit those before. ");
	return parts.length ? el("p", { class: "loss", role: "note" }, ...parts) : el("p", { class: "fine" }, "Nothing was lost.");
}

function summaryView(app) {
	const t = app.t, whole = { v: "picture", a: null, b: null }, list = t.requests;
	const partial = list.filter(function (q) { return q.partial; }).length;
	const box = el("div", { class: "page" }, el("h1", { dir: "auto" }, t.title));
	const facts = el("p", { class: "facts" });
	for (const f of t.fields.concat(t.infos))
		facts.append(el("span", {}, el("i", {}, f[0]), " " + f[1]));
	const when = new Date(Number(BigInt(t.realtime) / 1000000n));
	if (when.getTime() > 0)
		facts.append(el("span", {}, el("i", {}, "begun"), " " + when.toISOString().replace("T", " ").slice(0, 19) + " UTC"));
	box.append(facts, el("p", { class: "lead" }, app.link(formatTime(t.end - t.start), whole), " with ", formatCount(t.events), " events of ",
		app.link(formatCount(t.threads.length) + (t.threads.length === 1 ? " thread" : " threads"), { v: "threads" }), " on " + formatCount(t.cpus.length) + (t.cpus.length === 1 ? " CPU" : " CPUs") + "; ",
		list.length ? app.link(formatCount(list.length) + (list.length === 1 ? " request" : " requests"), { v: "requests" }) : "no requests",
		partial ? ", " + formatCount(partial) + " of them not from begin to end" : "", "."), lossNote(app));
	if (list.length)
		box.append(el("h2", {}, "Requests"), routeTable(app, list, "Latency by route", "r"));
	const slow = app.slowest.slice(0, 8);
	if (slow.length) {
		const ol = el("ol", { class: "slow" });
		for (const q of slow)
			ol.append(el("li", {}, app.link(q.what || q.route || String(q.id), toRequest(app, q)), " ", el("span", {}, whySlow(t, q, app.medians))));
		box.append(el("h2", {}, "The slowest, and where their time went"), ol);
	}
	const busy = t.threads.slice().sort(function (a, b) { return running(b.total) - running(a.total); });
	box.append(el("h2", {}, "Busiest threads"), threadTable(app, busy.slice(0, 8).map(function (th) { return { th: th, total: th.total }; }),
		busy.length > 8 ? "The 8 busiest of " + formatCount(busy.length) : "Threads", "b"));
	const highs = el("ul", { class: "highs" });
	for (const track of app.made.counters)
		if (track.maxAt !== undefined)
			highs.append(el("li", {}, track.label + ": ", app.link(track.note, Object.assign({ v: "picture" }, around(t, track.maxAt - 5e6, track.maxAt + 5e6)))));
	if (highs.children.length)
		box.append(el("h2", {}, "Highest values"), highs);
	return box;
}

function lossView(app) {
	return el("div", { class: "page" }, el("h1", {}, "Losses"), lossNote(app), makeTable(app, "l", "Where events are missing", [
		{ label: "from", get: function (l) { return l.start; }, text: function (l) { return ((l.start - app.t.start) / 1e9).toFixed(6) + "\u202fs"; },
			link: function (l) { return Object.assign({ v: "picture", sel: "l" + app.t.lost.indexOf(l) }, around(app.t, l.start, Math.max(l.end, l.start + 1e5))); } },
		timeColumn("length", function (l) { return l.end - l.start; }),
		{ label: "CPU", get: function (l) { return l.cpu; }, text: function (l) { return l.cpu < 0 ? "all" : String(l.cpu); } },
		{ label: "events", get: function (l) { return l.count; }, text: function (l) { return l.count ? formatCount(l.count) : "unknown"; } }
	], app.t.lost));
}

// ---------------------------------------------------------------- what is selected ----

function stackList(t, stack) {
	const frames = framesOf(t, stack), ol = el("ol", { class: "stack" });
	for (const frame of frames)
		ol.append(el("li", { class: "o" + frame.f.origin }, el("b", {}, frame.f.name + (frame.inlined ? " (inlined)" : "")),
			el("span", {}, " " + (frame.f.file ? frame.f.file + (frame.f.line ? ":" + frame.f.line : "") : frame.f.module))));
	return frames.length ? ol : null;
}

function partsList(t, parts, whole, name) {
	const list = el("ul", { class: "parts" });
	for (const p of parts.slice().sort(function (a, b) { return b[1] - a[1]; }))
		list.append(el("li", {}, el("meter", { min: 0, max: whole, value: p[1], "aria-hidden": "true" }), " " + name(p[0]) + " ", el("b", {}, formatTime(p[1])), " " + formatPercent(p[1], whole)));
	return list;
}

function requestDetails(app, q, box) {
	const t = app.t;
	box.append(el("p", { class: "why" }, whySlow(t, q, app.medians)), el("h3", {}, "Where its time went"),
		partsList(t, q.states, q.latency, function (i) { return stateName(t, i); }));
	if (q.phases.length > 1)
		box.append(el("h3", {}, "Phases"), partsList(t, q.phases, q.latency, function (i) { return i ? t.phases[i] : "no phase"; }));
	if (q.waits.length) {
		box.append(el("h3", {}, "Longest waits"));
		for (const w of q.waits)
			box.append(el("p", {}, app.link(formatTime(w.length) + " " + stateName(t, w.state), Object.assign({ v: "picture", sel: "q" + q.index }, around(t, w.start, w.start + w.length))),
				" at +" + formatTime(w.start - q.start) + (w.phase ? ", in phase " + t.phases[w.phase] : "")), stackList(t, w.stack) || "");
	}
	const threads = new Set(statesOf(t, q).map(function (s) { return s.thread; }).filter(Boolean));
	const by = el("p", {}, "Worked on by ");
	threads.forEach(function (th) { by.append(app.link(th.name + " " + th.tid, Object.assign({ v: "picture", group: "all", track: "t" + th.number }, around(t, q.start, q.end))), " "); });
	if (threads.size)
		box.append(by);
}

function detailsView(app) {
	const item = app.item, box = el("aside", { class: "details", "aria-label": "Details", "aria-live": "polite" });
	if (!item) {
		box.append(el("p", { class: "hint" }, "Click on anything for its details; drag over the picture for a range's table and flame graphs; ? shows all keys."));
		return box;
	}
	const t = app.t, facts = el("dl", {});
	box.append(el("h2", { dir: "auto" }, item.title));
	for (const f of item.facts)
		if (f[1] !== "")
			facts.append(el("dt", {}, f[0]), el("dd", { dir: "auto" }, f[1]));
	box.append(facts);
	if (item.links)
		for (const l of item.links)
			box.append(el("p", {}, app.link(l[0], l[1])));
	if (item.request)
		requestDetails(app, item.request, box);
	for (const s of item.stacks || []) {
		const list = stackList(t, s[1]);
		if (list)
			box.append(el("h3", {}, s[0]), list);
	}
	const close = el("button", { type: "button", class: "close", "aria-label": "Close details" }, "\u00d7");
	close.addEventListener("click", function () { app.go({ sel: "" }); });
	box.append(close);
	return box;
}

// Threads that a range is summed up for: those that are not hidden.
function shownThreads(app) {
	return app.t.threads.filter(function (th) { return !app.state.hide.includes("t" + th.number); });
}

function rangeView(app) {
	const t = app.t, s = app.state, threads = shownThreads(app), box = el("section", { class: "range", "aria-label": "Range" });
	const kind = s.flame || "table", bar = el("div", { class: "bar" });
	bar.append(el("b", {}, "Range " + formatTime(s.rb - s.ra)), " from " + ((s.ra - t.start) / 1e9).toFixed(6) + "\u202fs ");
	for (const k of [["table", "Tables"], ["cpu", "On-CPU flame graph"], ["offcpu", "Off-CPU flame graph"]]) {
		const b = el("button", { type: "button", "aria-pressed": String(kind === k[0]), "data-flame": k[0] }, k[1]);
		b.addEventListener("click", function () { app.go({ flame: k[0] }); });
		bar.append(b);
	}
	const zoom = el("button", { type: "button" }, "Zoom to it (z)"), close = el("button", { type: "button", "aria-label": "Close range" }, "\u00d7");
	zoom.addEventListener("click", app.zoomToRange);
	close.addEventListener("click", function () { app.go({ ra: 0, rb: 0 }); });
	bar.append(zoom, close);
	box.append(bar);
	if (kind === "table") {
		const list = within(t.byStart, s.ra, s.rb).filter(app.matches), content = el("div", { class: "scroll" });
		content.append(threadTable(app, threads.map(function (th) { return { th: th, total: totalsWithin(th, s.ra, s.rb) }; })
			.filter(function (r) { return lifetime(r.total) > 0; }), "Threads within the range", "x"));
		if (list.length)
			content.append(routeTable(app, list, formatCount(list.length) + " requests that touch the range", "y"));
		box.append(content);
		return box;
	}
	const file = app.flameFile = flameFile(t, kind, s.ra, s.rb, threads, app.part);
	if (!file) {
		box.append(el("p", { class: "note" }, kind === "cpu" ? "No samples within the range: on-CPU stacks come from sampling." : "No thread waited within the range."));
		return box;
	}
	if (app.flameUrl)
		URL.revokeObjectURL(app.flameUrl);
	app.flameUrl = URL.createObjectURL(new Blob([file], { type: "image/svg+xml" }));
	const save = el("a", { href: app.flameUrl, download: kind + ".svg" }, "Save as SVG");
	bar.append(save);
	box.append(el("iframe", { src: app.flameUrl, title: kind === "cpu" ? "On-CPU flame graph of the range" : "Off-CPU flame graph of the range" }));
	return box;
}
