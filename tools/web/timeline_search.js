// SPDX-License-Identifier: MIT
//
// The search: text in names, arguments and numbers becomes a list of names of things, by time.

const latin = new TextDecoder("latin1");

// Spans with the text among their arguments: looked for in the bytes of all of a thread at once.
function argumentHits(th, query, found) {
	if (!th.more.length) return;
	if (th.moreText === undefined) th.moreText = latin.decode(th.more).toLowerCase();
	const places = [],
		needle = latin.decode(new TextEncoder().encode(query));
	for (
		let at = th.moreText.indexOf(needle);
		at >= 0;
		at = th.moreText.indexOf(needle, at + 1)
	)
		places.push(at);
	if (!places.length) return;
	const r = new Reader(th.more);
	for (const row of th.rows)
		for (let i = 0; i < row.n; i++) {
			if (!(row.head[i] & 16)) continue;
			let low = 0,
				high = places.length;
			while (low < high) {
				const mid = (low + high) >> 1;
				if (places[mid] >= row.more[i]) high = mid;
				else low = mid + 1;
			}
			if (low < places.length && hasArgument(r, row, i, places[low]))
				found(row, i);
		}
}

// Is this byte within its arguments? What comes before them are numbers.
function hasArgument(r, row, i, place) {
	const head = row.head[i],
		kind = head & 3;
	r.at = row.more[i];
	for (let k = kind === 1 ? 5 : kind === 3 ? 1 : 2; k > 0; k--) r.u();
	if (head & 32) r.u();
	const size = r.u();
	return place >= r.at && place < r.at + size;
}

function search(app, text) {
	const t = app.t,
		query = text.toLowerCase(),
		hits = { list: [], spans: new Set(), requests: new Set() };
	if (!query) return null;
	const match = s => s.toLowerCase().includes(query);
	const number = /^\d+$/.test(query);
	for (const q of t.requests)
		if (
			app.matches(q) &&
			(match(q.what) || match(q.route) || (number && String(q.id) === query))
		) {
			hits.list.push({ time: q.start, name: "q" + q.index });
			hits.requests.add(q.index);
		}
	const names = t.names.map(match),
		calls = new Map();
	t.syscalls.forEach((name, nr) => calls.set(nr, match(name)));
	const fault = match("page fault");
	for (const th of t.threads) {
		const found = (row, i) => {
			if (hits.spans.has(row.id + i)) return;
			hits.spans.add(row.id + i);
			hits.list.push({ time: row.start[i], name: "p" + row.id + i });
		};
		if (match(th.name) || String(th.tid) === query)
			hits.list.push({ time: th.born, name: "s" + th.number + ".0" });
		for (const row of th.rows)
			for (let i = 0; i < row.n; i++) {
				const kind = row.head[i] & 3;
				if (
					kind === 0
						? names[row.name[i]]
						: kind === 1
							? calls.get(row.name[i])
							: kind === 2 && fault
				)
					found(row, i);
			}
		argumentHits(th, query, found);
	}
	for (const e of t.instants)
		if (e.kind !== SAMPLE && (match(e.name) || match(e.args) || match(t.kinds[e.kind])))
			hits.list.push({ time: e.time, name: "i" + e.index });
	hits.list.sort((a, b) => a.time - b.time);
	return hits;
}
