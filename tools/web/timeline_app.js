// SPDX-License-Identifier: MIT
//
// What holds it together: the state, which is in the address's fragment, so that every view is a
// link, and the ways to change it.

const KEYS = [
	["W S, wheel", "zoom in, out, at the pointer"],
	["A D, Shift+drag", "move left, right; with fingers, drag and pinch"],
	["\u2191 \u2193, Shift+wheel", "scroll the tracks"],
	["drag", "choose a range: its tables and flame graphs"],
	["r", "what is in view becomes the range"],
	["z", "zoom to the range or to what is selected"],
	["0", "show all of the time"],
	["/", "search"],
	["n, N", "next, previous match"],
	["[ ]", "neighbour before, after what is selected"],
	["e", "arrows of all wakeups in view"],
	["1 2 3 4", "all, by request, by thread, by CPU"],
	["p, h", "pin, hide the track of what is selected"],
	["u", "show all hidden tracks"],
	["Esc", "close range, then selection, then search"],
	["?", "these keys"]
];

const VIEWS = [
	["summary", "Summary"],
	["picture", "Picture"],
	["requests", "Requests"],
	["threads", "Threads"]
];

const LABELS = 210;

// Kept as they are, by their keys in the address.
const DEFAULTS = {
	v: "summary",
	group: "all",
	sel: "",
	q: "",
	route: "",
	status: "",
	slower: "",
	sort: "",
	flame: "",
	arrows: "",
	track: "",
	or: "",
	ot: "",
	oq: "",
	ob: "",
	ol: "",
	ox: "",
	oy: "",
	fr: "",
	fl: "",
	ft: "",
	fq: "",
	fb: "",
	fx: "",
	fy: ""
};

function makeApp(t, part) {
	const app = {
		t: t,
		part: part,
		scroll: 0,
		least: 0,
		hits: null,
		hitAt: -1,
		item: null,
		made: {},
		tracks: [],
		drawn: []
	};
	app.state = Object.assign(
		{ a: t.start, b: t.end, ra: 0, rb: 0, hide: [], pin: [] },
		DEFAULTS
	);

	// -------- figures that do not change --------

	app.inFlight = inFlight(t);
	app.waiting = waitingForCpu(t);
	app.p99s = p99s(t);
	app.byLatency = t.requests.slice().sort((a, b) => a.latency - b.latency);
	app.routes = routeRows(app.byLatency);
	app.medians = new Map(app.routes.map(r => [r.route, r.p50]));
	app.slowest = app.byLatency.filter(q => q.counts).reverse();
	app.ioLanes = packLanes(
		t.ios.map(io => {
			io.latency = io.end - io.start;
			return io;
		})
	);

	// -------- the address --------

	const fragment = s => {
		const parts = [],
			put = (key, value) => parts.push(key + "=" + encodeURIComponent(value));
		for (const key in DEFAULTS)
			if (s[key] && s[key] !== DEFAULTS[key] && key !== "track") put(key, s[key]);
		if (s.a !== t.start || s.b !== t.end)
			put("at", Math.round(s.a - t.start) + "-" + Math.round(s.b - t.start));
		if (s.rb > s.ra)
			put("range", Math.round(s.ra - t.start) + "-" + Math.round(s.rb - t.start));
		if (s.hide.length) put("hide", s.hide.join("\t"));
		if (s.pin.length) put("pin", s.pin.join("\t"));
		if (s.track) put("track", s.track);
		return "#" + parts.join("&");
	};
	const changed = changes => {
		const s = Object.assign({}, app.state, { track: "" }, changes),
			span = t.end - t.start || 1;
		if ("a" in changes) {
			// In changes times count from the trace's start; null: all of it.
			s.a = changes.a === null ? t.start : changes.a + t.start;
			s.b = changes.b === null ? t.end : changes.b + t.start;
		}
		// Not less than can be told apart, not much more than there is.
		const margin = Math.max(span * 0.05, 50),
			width = Math.min(Math.max(s.b - s.a, 100), span + 2 * margin);
		s.a = Math.min(Math.max(s.a, t.start - margin), t.end + margin - width);
		s.b = s.a + width;
		return s;
	};
	app.parse = hash => {
		const given = new URLSearchParams(hash.slice(1)),
			s = Object.assign({}, DEFAULTS, { a: t.start, b: t.end, ra: 0, rb: 0 });
		for (const key in DEFAULTS) if (given.has(key)) s[key] = given.get(key);
		const stretch = (key, from, to) => {
			const m = /^(-?\d+)-(-?\d+)$/.exec(given.get(key) || "");
			if (m && +m[2] > +m[1]) {
				s[from] = +m[1] + t.start;
				s[to] = +m[2] + t.start;
			}
		};
		stretch("at", "a", "b");
		stretch("range", "ra", "rb");
		s.hide = (given.get("hide") || "").split("\t").filter(Boolean);
		s.pin = (given.get("pin") || "").split("\t").filter(Boolean);
		return s;
	};
	app.link = (text, changes) => {
		const a = el("a", { href: fragment(changed(changes)), dir: "auto" }, text);
		a.addEventListener("click", event => {
			if (event.ctrlKey || event.metaKey || event.shiftKey) return;
			event.preventDefault();
			app.go(changes);
		});
		return a;
	};
	let timer = 0;
	const save = push => {
		clearTimeout(timer);
		timer = setTimeout(
			() => {
				// browsers bound how often
				const hash = fragment(Object.assign({}, app.state, { track: "" }));
				if (hash !== (location.hash || "#"))
					try {
						history[push ? "pushState" : "replaceState"](
							null,
							"",
							hash
						);
					} catch (e) {
						location.replace(hash);
					}
			},
			push ? 0 : 200
		);
	};
	app.go = changes => {
		const s = changed(changes);
		app.apply(s);
		save(true);
	};
	app.apply = s => {
		const old = app.state,
			filter = x => [x.route, x.status, x.slower].join("\n");
		app.state = s;
		app.least = parseTime(s.slower);
		if (!app.made.threads || filter(old) !== filter(s)) {
			app.made = {
				counters: app.made.counters || counterTracks(app),
				threads: app.made.threads || threadTracks(app),
				cpus: app.made.cpus || cpuTracks(app),
				requests: requestTracks(app)
			};
		}
		if (old.q !== s.q || filter(old) !== filter(s) || (s.q && !app.hits)) {
			app.hits = search(app, s.q);
			app.hitAt = -1;
		}
		app.item = s.sel ? resolve(app, s.sel) : null;
		layOutTracks(app);
		app.render(old);
	};

	// -------- filter --------

	app.matches = q => {
		const s = app.state;
		return (
			(!s.route || q.route === s.route) &&
			(!s.status || String(q.status).startsWith(s.status)) &&
			q.latency >= app.least
		);
	};
	// By latency, the least first.
	app.filtered = () => {
		const s = app.state;
		return s.route || s.status || s.slower
			? app.byLatency.filter(app.matches)
			: app.byLatency;
	};
	app.trackOf = id => {
		return app.tracks.find(track => track.id === id);
	};

	// -------- moving --------

	app.move = (a, b) => {
		Object.assign(
			app.state,
			changed({ a: a - t.start, b: b - t.start, track: app.state.track })
		);
		app.draw();
		save(false);
	};
	app.zoom = (factor, x) => {
		const p = app.picture,
			at = p.time(x === undefined ? p.width / 2 : x),
			s = app.state;
		app.move(at - (at - s.a) * factor, at + (s.b - at) * factor);
	};
	app.pan = share => {
		const s = app.state,
			d = (s.b - s.a) * share;
		app.move(s.a + d, s.b + d);
	};
	app.zoomToRange = () => {
		const s = app.state;
		if (s.rb > s.ra) app.go({ a: s.ra - t.start, b: s.rb - t.start });
		else if (app.item) app.go(around(t, app.item.start, app.item.end));
	};
	app.scrollTo = y => {
		const room = app.picture.height - app.picture.top;
		app.scroll = Math.max(0, Math.min(y, app.fullHeight - room));
		app.draw();
	};
	app.reveal = id => {
		const track = app.trackOf(id),
			p = app.picture;
		if (!track || track.pinned) return;
		const y = track.y - app.scroll;
		if (y < app.pinnedHeight || y + track.height > p.height - p.top)
			app.scroll = Math.max(
				0,
				track.y -
					app.pinnedHeight -
					(p.height - p.top - app.pinnedHeight) / 3
			);
	};
	app.step = sign => {
		const hits = app.hits && app.hits.list;
		if (!hits || !hits.length) return;
		app.hitAt =
			app.hitAt < 0
				? sign > 0
					? 0
					: hits.length - 1
				: (app.hitAt + sign + hits.length) % hits.length;
		const name = hitName(hits[app.hitAt]),
			item = resolve(app, name),
			s = app.state,
			half = (s.b - s.a) / 2,
			length = item.end - item.start,
			narrow = (length / (s.b - s.a)) * app.picture.width < 3,
			at = item.start - t.start,
			changes = { v: "picture", sel: name };
		if (narrow && length > 0)
			Object.assign(
				changes,
				around(t, item.start - 5 * length, item.end + 5 * length)
			);
		else if (item.start < s.a || item.end > s.b || narrow)
			Object.assign(changes, { a: at - half, b: at + half });
		app.go(changes);
	};
	app.neighbour = sign => {
		const s = app.state.sel,
			parts = s.slice(1).split(".");
		if (app.item && app.item.kind === "request") {
			const track = laneOf(app, app.item.request),
				list = track ? track.lane.list : [],
				q = list[list.indexOf(app.item.request) + sign];
			if (q) app.go({ sel: "q" + q.index });
			return;
		}
		parts[parts.length - 1] = Number(parts[parts.length - 1]) + sign;
		const name = s[0] + parts.join(".");
		if (s && resolve(app, name)) app.go({ sel: name });
	};
	app.hideTrack = id => {
		app.go({ hide: app.state.hide.concat(id) });
	};
	app.pinTrack = id => {
		const pin = app.state.pin;
		app.go({ pin: pin.includes(id) ? pin.filter(x => x !== id) : pin.concat(id) });
	};
	return app;
}

// "2ms", "0.5 s", "300us"; without a unit: ms.
function parseTime(text) {
	const m = /^\s*(\d+(?:\.\d+)?)\s*(ns|us|\u00b5s|ms|s)?\s*$/.exec(text || "");
	return m ? m[1] * { ns: 1, us: 1e3, "\u00b5s": 1e3, ms: 1e6, s: 1e9 }[m[2] || "ms"] : 0;
}
