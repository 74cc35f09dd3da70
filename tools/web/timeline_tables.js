// SPDX-License-Identifier: MIT
//
// Tables, and what makes them. Each figure that has a place in the picture is a link to it. Names
// get into the page as text only.

function el(tag, attributes, ...kids) {
	const element = document.createElement(tag);
	for (const name in attributes)
		if (attributes[name] !== null) element.setAttribute(name, attributes[name]);
	element.append(...kids.filter(kid => kid !== null && kid !== undefined));
	return element;
}

// Where a stretch is, with something around it.
function around(t, start, end) {
	const margin = Math.max((end - start) * 0.3, 500);
	return { a: start - margin - t.start, b: end + margin - t.start };
}

function toRequest(app, q) {
	return Object.assign(
		{
			v: "picture",
			sel: "q" + q.index,
			group:
				app.state.group === "threads" || app.state.group === "cpus"
					? "all"
					: app.state.group
		},
		around(app.t, q.start, q.end)
	);
}

function toThread(app, th) {
	return { v: "picture", group: "threads", track: "t" + th.number, a: null, b: null };
}

// Rows that a table has at first, and that are added when its end comes into sight: what is laid
// out costs time.
const SHOWN = 50;

// Rows by what get() has of them. Those that are the same stay in their order.
function sorted(rows, get, down) {
	const keys = rows.map(get),
		sign = down ? -1 : 1;
	const compare = keys.every(key => typeof key === "number")
		? (i, j) => sign * (keys[i] - keys[j])
		: (i, j) => (keys[i] < keys[j] ? -sign : keys[i] > keys[j] ? sign : 0);
	return Uint32Array.from(rows.keys())
		.sort((i, j) => compare(i, j) || i - j)
		.reduce((list, i) => (list.push(rows[i]), list), []);
}

// Sorts and filters itself. columns: { label, get, text, link, left, title }.
function makeTable(app, key, caption, columns, rows, note) {
	const s = app.state,
		sort = s["o" + key] || "",
		down = sort[0] === "-";
	const chosen = columns.findIndex(c => c.label === sort.replace(/^-/, ""));
	const filter = s["f" + key] || "";
	let list = rows;
	if (filter) {
		// Faster than lower case of a hundred thousand names.
		const wanted = new RegExp(filter.replace(/[^\w\s]/g, "\\$&"), "i"),
			texts = columns.filter(c => c.left).map(c => c.get);
		list = list.filter(row => texts.some(get => wanted.test(get(row))));
	}
	if (chosen >= 0) list = sorted(list, columns[chosen].get, down);
	const head = el("tr", {});
	for (const c of columns) {
		const at = c === columns[chosen];
		const b = el(
			"button",
			{ type: "button", title: c.title || null },
			c.label + (at ? (down ? " \u2193" : " \u2191") : "")
		);
		b.addEventListener("click", () => {
			app.go({
				["o" + key]: at
					? down
						? c.label
						: "-" + c.label
					: (c.left ? "" : "-") + c.label
			});
		});
		head.append(
			el(
				"th",
				{
					scope: "col",
					class: c.left ? "left" : null,
					"aria-sort": at ? (down ? "descending" : "ascending") : null
				},
				b
			)
		);
	}
	const body = el("tbody", {}),
		table = el(
			"table",
			{ class: "data", id: "table-" + key },
			el("caption", {}, caption),
			el("thead", {}, head),
			body
		);
	const more = el("button", { type: "button" });
	let shown = 0;
	const show = () => {
		for (const row of list.slice(shown, shown + SHOWN)) {
			const tr = el("tr", {});
			columns.forEach((c, i) => {
				const text = c.text ? c.text(row) : String(c.get(row)),
					to = c.link && c.link(row);
				tr.append(
					el(
						i ? "td" : "th",
						{
							class: c.left ? "left" : null,
							scope: i ? null : "row"
						},
						to ? app.link(text, to) : text
					)
				);
			});
			body.append(tr);
		}
		shown = Math.min(list.length, shown + SHOWN);
		more.textContent =
			"Show more: " + formatCount(list.length - shown) + " rows are left";
		more.hidden = shown >= list.length;
	};
	more.addEventListener("click", show);
	new IntersectionObserver(seen => {
		if (seen[seen.length - 1].isIntersecting && shown < list.length) show();
	}).observe(more);
	show();
	const box = el("section", { class: "table" });
	if (rows.length > 8) {
		const input = el("input", {
			type: "search",
			placeholder: "Filter rows",
			"aria-label": "Filter rows of: " + caption,
			value: s["f" + key] || ""
		});
		input.addEventListener("change", () => app.go({ ["f" + key]: input.value }));
		box.append(
			el(
				"p",
				{ class: "tools" },
				input,
				el(
					"span",
					{ class: "count" },
					formatCount(list.length) +
						" of " +
						formatCount(rows.length) +
						" rows"
				)
			)
		);
	}
	box.append(
		el(
			"div",
			{ class: "wide", tabindex: "0", role: "region", "aria-label": caption },
			table
		),
		more
	);
	if (note) box.append(el("p", { class: "note" }, note));
	return box;
}

// As in the text report.
const NO_ROUTE = "(unknown)";

function timeColumn(label, get, link, title) {
	return {
		label: label,
		get: get,
		link: link,
		title: title,
		text: row => {
			const v = get(row);
			return v ? formatTime(v) : "\u2013";
		}
	};
}

function countColumn(label, get) {
	return { label: label, get: get, text: row => formatCount(get(row)) };
}

function threadTable(app, rows, caption, key) {
	const t = app.t,
		to = row => toThread(app, row.th),
		columns = [
			{ label: "thread", left: true, get: r => r.th.name || "?", link: to },
			{ label: "TID", get: r => r.th.tid, link: to },
			{
				label: "process",
				left: true,
				get: r => (r.th.process ? r.th.process + " " : "") + r.th.pid
			},
			timeColumn("time", r => lifetime(r.total), to),
			timeColumn("on CPU", r => running(r.total), to, "user + syscall")
		];
	for (let i = 0; i < NR_THREAD_STATES; i++)
		if (i !== DEAD && rows.some(r => r.total[i] > 0))
			columns.push(timeColumn(t.states[i], r => r.total[i], null));
	if (key === "t")
		for (const c of ["runs", "preemptions", "wakeups", "syscalls", "faults", "samples"])
			columns.push(countColumn(c, r => r.th[c]));
	return makeTable(
		app,
		key,
		caption,
		columns,
		rows,
		"Every thread is in exactly one state at a time: " +
			"its times add up to the time that it was there."
	);
}

function requestColumns(app) {
	const t = app.t,
		to = q => toRequest(app, q),
		columns = [
			{
				label: "request",
				left: true,
				get: q => q.what || String(q.id),
				link: to
			},
			{ label: "route", left: true, get: q => q.route },
			{
				label: "status",
				get: q => q.status,
				text: q =>
					q.open
						? "open"
						: q.aborted
							? q.status + " aborted"
							: String(q.status)
			},
			{
				label: "begin",
				get: q => q.start,
				text: q => ((q.start - t.start) / 1e9).toFixed(6) + "\u202fs"
			},
			timeColumn("latency", q => q.latency, to)
		];
	const part = (key, i) => {
		return q => {
			for (const p of q[key]) if (p[0] === i) return p[1];
			return 0;
		};
	};
	for (const i of t.usedStates)
		columns.push(timeColumn(stateName(t, i), part("states", i), null, "state"));
	if (t.usedPhases.length > 1)
		for (const i of t.usedPhases)
			columns.push(
				timeColumn(
					i ? "phase " + t.phases[i] : "no phase",
					part("phases", i),
					null,
					"phase"
				)
			);
	for (const c of ["syscalls", "faults", "switches", "pieces"])
		columns.push(countColumn(c, q => q[c]));
	columns.push({
		label: "whole",
		left: true,
		get: q => (q.partial ? "no" : q.lost ? "events missing" : "yes")
	});
	return columns;
}

// list: by latency, the least first.
function routeTable(app, list, caption, key) {
	// Each percentile is the latency of a request, which it leads to.
	const rank = p =>
		timeColumn(
			p === 100 ? "max" : "p" + p,
			row => row["p" + p],
			row => row["q" + p] && toRequest(app, row["q" + p])
		);
	return makeTable(
		app,
		key,
		caption,
		[
			{
				label: "route",
				left: true,
				get: r => r.route,
				text: r => r.route || NO_ROUTE,
				link: r =>
					r.route
						? {
								v: "picture",
								group: "requests",
								route: r.route,
								a: null,
								b: null
							}
						: null
			},
			{
				label: "requests",
				get: r => r.whole.length,
				text: r => formatCount(r.whole.length),
				link: r => (r.route ? { v: "requests", route: r.route } : null)
			},
			timeColumn("mean", r => r.mean),
			...RANKS.map(rank),
			{
				label: "5xx",
				get: r => r.failed,
				link: r =>
					r.failed
						? { v: "requests", route: r.route, status: "5" }
						: null
			},
			countColumn("partial", r => r.partial),
			countColumn("lost", r => r.lost)
		],
		list === app.byLatency ? app.routes : routeRows(list),
		"Figures are of requests that are whole. Partial: they began before the " +
			"recording or had not ended; lost: events of them may be missing. " +
			"Neither counts."
	);
}

function requestsView(app) {
	const list = app.filtered();
	return el(
		"div",
		{ class: "page" },
		el("h1", {}, "Requests"),
		routeTable(app, list, "Latency by route", "r"),
		makeTable(
			app,
			"q",
			"Each request",
			requestColumns(app),
			app.state.oq ? list : list.slice().reverse(),
			"States and phases each add up to the latency. " +
				"Slowest first, until a column is chosen."
		)
	);
}

function threadsView(app) {
	const rows = app.t.threads.map(th => ({ th: th, total: th.total }));
	return el(
		"div",
		{ class: "page" },
		el("h1", {}, "Threads"),
		threadTable(app, rows, "Each thread, all of its time", "t")
	);
}
