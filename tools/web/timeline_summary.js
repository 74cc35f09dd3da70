// SPDX-License-Identifier: MIT
//
// The page's first view, in words and figures, and the one of losses.

function lossNote(app) {
	const t = app.t,
		parts = [];
	const torn = t.requests.filter(q => q.lost).length;
	if (t.losses)
		parts.push(
			t.lost_more && !t.lost_count
				? "An unknown number of events is missing"
				: formatCount(t.lost_count) +
						(t.lost_more
							? " events or more are missing"
							: " events are missing"),
			" in ",
			app.link(
				formatCount(t.losses) + (t.losses === 1 ? " place" : " places"),
				t.lost.length
					? Object.assign(
							{ v: "picture", group: "all", sel: "l0" },
							around(
								t,
								t.lost[0].start,
								Math.max(
									t.lost[0].end,
									t.lost[0].start + 1e6
								)
							)
						)
					: { v: "losses" }
			),
			", marked red on the ruler (",
			app.link("list", { v: "losses" }),
			"). "
		);
	if (torn)
		parts.push(
			formatCount(torn) +
				(torn === 1 ? " request" : " requests") +
				" may lack events and no figure rests on them. "
		);
	if (!t.complete) parts.push("The recorder did not finish the file. ");
	if (t.damaged)
		parts.push("Parts of the file are damaged: " + formatCount(t.damaged) + ". ");
	if (t.unchosen)
		parts.push(
			formatCount(t.unchosen) +
				" requests were left out by the filter this page was made with. "
		);
	if (t.left_out)
		parts.push(
			formatCount(t.left_out) +
				" events were left out by --only: of " +
				formatCount(t.summed) +
				" requests there are begin, end and sums alone. "
		);
	if (t.odd) parts.push(formatCount(t.odd) + " events did not fit those before. ");
	return parts.length
		? el("p", { class: "loss", role: "note" }, ...parts)
		: el("p", { class: "fine" }, "Nothing was lost.");
}

// Why a flight recorder kept it.
function marksList(app) {
	const t = app.t;
	if (!t.marks.length) return null;
	const list = el("ul", { class: "marks" });
	for (const e of t.marks) {
		const to = Object.assign(
			{ v: "picture", sel: "i" + e.index },
			around(t, e.time - 5e6, e.time + 5e6)
		);
		list.append(
			el(
				"li",
				{},
				app.link(e.name || "trigger", to),
				" at " + formatTime(e.time - t.start),
				e.thread ? " in " + e.thread.name + " " + e.thread.tid : "",
				e.args ? ", " + e.args : ""
			)
		);
	}
	return el("section", {}, el("h2", {}, "Why this was kept"), list);
}

function summaryView(app) {
	const t = app.t,
		whole = { v: "picture", a: null, b: null },
		list = t.requests;
	const partial = list.filter(q => q.partial).length;
	const box = el("div", { class: "page" }, el("h1", { dir: "auto" }, t.title));
	const facts = el("p", { class: "facts" });
	for (const f of new Map(t.infos.concat(t.fields)))
		facts.append(el("span", {}, el("i", {}, f[0]), " " + f[1]));
	const when = new Date(Number(BigInt(t.realtime) / 1000000n));
	if (when.getTime() > 0)
		facts.append(
			el(
				"span",
				{},
				el("i", {}, "begun"),
				" " + when.toISOString().replace("T", " ").slice(0, 19) + " UTC"
			)
		);
	box.append(
		...[
			facts,
			el(
				"p",
				{ class: "lead" },
				app.link(formatTime(t.end - t.start), whole),
				" with ",
				formatCount(t.events),
				" events of ",
				app.link(
					formatCount(t.threads.length) +
						(t.threads.length === 1 ? " thread" : " threads"),
					{ v: "threads" }
				),
				" on " +
					formatCount(t.cpus.length) +
					(t.cpus.length === 1 ? " CPU" : " CPUs") +
					"; ",
				list.length
					? app.link(
							formatCount(list.length) +
								(list.length === 1
									? " request"
									: " requests"),
							{ v: "requests" }
						)
					: "no requests",
				partial
					? ", " +
							formatCount(partial) +
							" of them not from begin to end"
					: "",
				"."
			),
			lossNote(app),
			marksList(app)
		].filter(Boolean)
	);
	if (list.length)
		box.append(
			el("h2", {}, "Requests"),
			routeTable(app, app.byLatency, "Latency by route", "r")
		);
	const slow = app.slowest.slice(0, 8);
	if (slow.length) {
		const ol = el("ol", { class: "slow" });
		for (const q of slow)
			ol.append(
				el(
					"li",
					{},
					app.link(
						q.what || q.route || String(q.id),
						toRequest(app, q)
					),
					" ",
					el("span", {}, whySlow(t, q, app.medians))
				)
			);
		box.append(el("h2", {}, "The slowest, and where their time went"), ol);
	}
	const busy = t.threads.slice().sort((a, b) => running(b.total) - running(a.total));
	box.append(
		el("h2", {}, "Busiest threads"),
		threadTable(
			app,
			busy.slice(0, 8).map(th => ({ th: th, total: th.total })),
			busy.length > 8
				? "The 8 busiest of " + formatCount(busy.length)
				: "Threads",
			"b"
		)
	);
	const highs = el("ul", { class: "highs" });
	for (const track of app.made.counters)
		if (track.maxAt !== undefined)
			highs.append(
				el(
					"li",
					{},
					track.label + ": ",
					app.link(
						track.note,
						Object.assign(
							{ v: "picture" },
							around(
								t,
								track.maxAt - 5e6,
								track.maxAt + 5e6
							)
						)
					)
				)
			);
	if (highs.children.length) box.append(el("h2", {}, "Highest values"), highs);
	return box;
}

function lossView(app) {
	return el(
		"div",
		{ class: "page" },
		el("h1", {}, "Losses"),
		lossNote(app),
		makeTable(
			app,
			"l",
			"Where events are missing",
			[
				{
					label: "from",
					get: l => l.start,
					text: l =>
						((l.start - app.t.start) / 1e9).toFixed(6) +
						"\u202fs",
					link: l =>
						Object.assign(
							{
								v: "picture",
								sel: "l" + app.t.lost.indexOf(l)
							},
							around(
								app.t,
								l.start,
								Math.max(l.end, l.start + 1e5)
							)
						)
				},
				timeColumn("length", l => l.end - l.start),
				{
					label: "CPU",
					get: l => l.cpu,
					text: l => (l.cpu < 0 ? "all" : String(l.cpu))
				},
				{
					label: "events",
					get: l => l.count,
					text: l => (l.count ? formatCount(l.count) : "unknown")
				}
			],
			app.t.lost
		)
	);
}
