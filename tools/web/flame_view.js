// SPDX-License-Identifier: MIT
//
// The picture: lays trees out in boxes and keeps elements for those in sight only. A panel is a
// tree with its direction; neighbours too narrow to tell apart are drawn together, as gaps.

const ROW = 18,
	CAPTION = 26,
	MIN_WIDTH = 2,
	MIN_TEXT = 22;

// Boxes of a panel: { node, x, width, row, above }, or without node { gap: frames, total, ... }.
function layOut(panel, width, heavy) {
	const tree = panel.tree,
		zoom = panel.zoom,
		boxes = [];
	const scale = zoom.total > 0 ? width / zoom.total : 0;
	const stack = [{ node: zoom, x: 0, width: scale ? width : 0, row: zoom.depth }];
	let gap = null;
	const endGap = () => {
		if (gap && gap.width >= MIN_WIDTH) boxes.push(gap);
		gap = null;
	};
	for (let up = zoom.parent; up; up = up.parent)
		boxes.unshift({ node: up, x: 0, width: width, row: up.depth, above: true });
	while (scale && stack.length) {
		const box = stack.pop(),
			kids = [];
		let x = box.x;
		boxes.push(box);
		for (const kid of orderedKids(tree, box.node, heavy)) {
			const w = kid.total * scale;
			if (w >= MIN_WIDTH) {
				endGap();
				kids.push({ node: kid, x: x, width: w, row: box.row + 1 });
			} else {
				gap = gap || { x: x, width: 0, row: box.row + 1, gap: 0, total: 0 };
				gap.width += w;
				gap.total += kid.total;
				gap.gap++;
			}
			x += w;
		}
		endGap();
		while (kids.length) stack.push(kids.pop());
	}
	return boxes;
}

function makeView(app) {
	const view = { boxes: [], height: 0, pool: [], current: null, panels: [] };
	const scroller = (view.scroller = el("div", { class: "scroller" }));
	const frames = (view.frames = el("div", {
		class: "frames",
		tabindex: "0",
		role: "tree",
		"aria-label": "Flame graph. Arrow keys move, Enter zooms, Escape leaves."
	}));
	scroller.appendChild(frames);

	// Where each box is, from top to bottom, panel by panel.
	view.layOut = () => {
		const width = Math.max(frames.clientWidth || scroller.clientWidth, 100);
		let y = 0;
		view.boxes = [];
		view.captions = [];
		for (const panel of view.panels) {
			const boxes = layOut(panel, width, app.state.heavy);
			let rows = 0;
			for (const box of boxes) rows = Math.max(rows, box.row + 1);
			if (panel.caption) {
				view.captions.push({ y: y, text: panel.caption });
				y += CAPTION;
			}
			for (const box of boxes) {
				box.panel = panel;
				box.y = y + ROW * (panel.upward ? rows - 1 - box.row : box.row);
			}
			view.boxes = view.boxes.concat(boxes);
			y += rows * ROW;
		}
		view.height = y;
		frames.style.height = y + "px";
		const old = view.current;
		view.current =
			view.boxes.find(box => {
				return old && old.node && box.node === old.node;
			}) ||
			view.boxes.find(box => box.node === box.panel.zoom) ||
			null;
	};

	const paint = (element, box, found, whole) => {
		const node = box.node,
			style = element.style;
		style.cssText =
			"left:" +
			box.x.toFixed(2) +
			"px;top:" +
			box.y +
			"px;width:" +
			Math.max(box.width - (box.width > 3 ? 1 : 0), 0.5).toFixed(2) +
			"px";
		element.box = box;
		if (!node) {
			element.className = "frame gap";
			element.textContent = "";
			element.removeAttribute("aria-level");
			element.setAttribute("aria-label", box.gap + " frames too narrow to draw");
			return;
		}
		const name = app.nameOf(node),
			hit = found && node.key >= 0 && found.names[node.key >> 1];
		element.className =
			"frame " +
			app.styleOf(box) +
			(hit ? " hit" : found ? " miss" : "") +
			(box.width < MIN_TEXT ? " thin" : "") +
			(box.above ? " above" : "") +
			(box === view.current ? " here" : "");
		const text = box.width >= MIN_TEXT ? name : "";
		if (element.textContent !== text) element.textContent = text;
		element.setAttribute("aria-level", node.depth + 1);
		element.setAttribute("aria-label", name + ", " + formatShare(node.total, whole));
	};

	view.draw = () => {
		const first = scroller.scrollTop - 4 * ROW;
		const last = scroller.scrollTop + scroller.clientHeight + 4 * ROW;
		const whole = app.whole();
		let used = 0;
		frames.removeAttribute("aria-activedescendant");
		for (const box of view.boxes) {
			if (box.y < first || box.y > last) continue;
			let element = view.pool[used];
			if (!element) {
				element = el("div", { role: "treeitem", id: "frame-" + used });
				view.pool.push(element);
				frames.appendChild(element);
			}
			paint(element, box, app.found, whole);
			if (box === view.current)
				frames.setAttribute("aria-activedescendant", element.id);
			used++;
		}
		for (
			let i = used;
			i < view.pool.length && view.pool[i].style.display !== "none";
			i++
		)
			view.pool[i].style.display = "none";
		frames.querySelectorAll(".caption").forEach(c => c.remove());
		for (const caption of view.captions)
			frames.appendChild(
				el(
					"div",
					{ class: "caption", style: "top:" + caption.y + "px" },
					caption.text
				)
			);
	};

	view.reveal = box => {
		if (box.y < scroller.scrollTop) scroller.scrollTop = box.y - ROW;
		else if (box.y + ROW > scroller.scrollTop + scroller.clientHeight)
			scroller.scrollTop = box.y + 2 * ROW - scroller.clientHeight;
	};

	view.select = box => {
		if (!box) return;
		view.current = box;
		view.reveal(box);
		view.draw();
		app.describe(box, true);
	};

	// The box above, below or beside the current one, by what is seen.
	view.neighbour = key => {
		const from = view.current;
		if (!from) return view.boxes[0];
		const vertical = key === "ArrowUp" || key === "ArrowDown";
		const sign = key === "ArrowUp" || key === "ArrowLeft" ? -1 : 1;
		let best = null,
			distance = Infinity;
		for (const box of view.boxes) {
			if (!box.node || box === from) continue;
			let d;
			if (vertical) {
				if (
					box.y !== from.y + sign * ROW ||
					box.x >= from.x + from.width ||
					box.x + box.width <= from.x
				)
					continue;
				d = -box.width;
			} else {
				d = sign * (box.x - from.x);
				if (box.y !== from.y || d <= 0) continue;
			}
			if (d < distance) {
				distance = d;
				best = box;
			}
		}
		return best;
	};

	let pending = false;
	scroller.addEventListener("scroll", () => {
		if (pending) return;
		pending = true;
		requestAnimationFrame(() => {
			pending = false;
			view.draw();
		});
	});
	return view;
}

// An element of XHTML, since this is an SVG document.
function el(tag, attributes, ...kids) {
	const element = document.createElementNS("http://www.w3.org/1999/xhtml", tag);
	for (const name in attributes) element.setAttribute(name, attributes[name]);
	element.append(...kids);
	return element;
}
