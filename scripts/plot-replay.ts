// The plot of bench:replay, as SVG: instances and seconds on logarithmic axes, the limit as a line, what was taken as marks.

export interface Point {
  readonly instances: number;
  /** Milliseconds. */
  readonly limit: number;
  readonly known: number;
  readonly unknown: number;
}

const WIDTH = 720;
const HEIGHT = 420;
const LEFT = 70;
const RIGHT = 30;
const TOP = 56;
const BOTTOM = 60;

/** Ten to the powers around the values. */
function decades(low: number, high: number): number[] {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  return Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
}

export function replayPlot(points: readonly Point[]): string {
  const all = points.flatMap((p) => [p.limit, p.known, p.unknown]).map((ms) => ms / 1000);
  const ys = decades(Math.min(...all), Math.max(...all));
  const xs = decades(1, Math.max(...points.map((p) => p.instances)));
  const scale = (value: number, marks: readonly number[]): number =>
    Math.log10(value / marks[0]!) / Math.log10(marks.at(-1)! / marks[0]!);
  const x = (instances: number): number => LEFT + scale(instances, xs) * (WIDTH - LEFT - RIGHT);
  const y = (ms: number): number => HEIGHT - BOTTOM - scale(ms / 1000, ys) * (HEIGHT - TOP - BOTTOM);
  const text = (at: readonly [number, number], words: string, anchor = 'middle'): string =>
    `<text x="${at[0].toFixed(1)}" y="${at[1].toFixed(1)}" text-anchor="${anchor}">${words}</text>`;
  const line = (a: readonly [number, number], b: readonly [number, number]): string =>
    `<path d="M${a.map((n) => n.toFixed(1)).join(',')}L${b.map((n) => n.toFixed(1)).join(',')}" stroke="#ddd"/>`;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="13" fill="#222">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
  ];
  for (const s of ys) {
    parts.push(line([LEFT, y(s * 1000)], [WIDTH - RIGHT, y(s * 1000)]));
    parts.push(text([LEFT - 8, y(s * 1000) + 4], s.toLocaleString('en'), 'end'));
  }
  for (const i of xs) {
    parts.push(line([x(i), TOP], [x(i), HEIGHT - BOTTOM]));
    parts.push(text([x(i), HEIGHT - BOTTOM + 18], i.toLocaleString('en')));
  }
  parts.push(text([(LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16], 'instances'));
  parts.push(`<g transform="translate(18 ${HEIGHT / 2}) rotate(-90)">${text([0, 0], 'seconds')}</g>`);
  const path = points.map(
    (p, i) => `${i === 0 ? 'M' : 'L'}${x(p.instances).toFixed(1)},${y(p.limit).toFixed(1)}`,
  );
  parts.push(`<path d="${path.join('')}" fill="none" stroke="#888" stroke-width="2"/>`);
  const dot = (cx: number, cy: number): string =>
    `<circle cx="${cx.toFixed(1)}" cy="${cy.toFixed(1)}" r="4" fill="#0b63b5"/>`;
  const ring = (cx: number, cy: number): string =>
    `<circle cx="${cx.toFixed(1)}" cy="${cy.toFixed(1)}" r="7" fill="none" stroke="#c2410c" stroke-width="2"/>`;
  for (const p of points) {
    parts.push(dot(x(p.instances), y(p.known)), ring(x(p.instances), y(p.unknown)));
    const worst = Math.max(p.known, p.unknown) / p.limit;
    parts.push(
      text(
        [Math.min(x(p.instances) + 12, WIDTH - 40), y(Math.max(p.known, p.unknown)) - 14],
        `× ${worst.toFixed(2)}`,
      ),
    );
  }
  parts.push('<path d="M90,28h26" stroke="#888" stroke-width="2"/>', text([122, 32], 'limit', 'start'));
  parts.push(dot(200, 28), text([212, 32], 'durations known', 'start'));
  parts.push(ring(360, 28), text([374, 32], 'not known (× limit: the worse of both)', 'start'));
  return `${parts.join('\n')}\n</svg>\n`;
}
