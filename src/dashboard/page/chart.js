/** Lines over time, as SVG. Colours are of style.css; the label says in words what is drawn. */
import { el, short } from './draw.js';

const width = 560;
const height = 170;
const margin = { left: 72, right: 12, top: 10, bottom: 22 };

/**
 * @typedef {{
 *   readonly name: string,
 *   readonly kind: string,
 *   readonly points: readonly (readonly [at: number, value: number])[],
 * }} Line `kind` is a class of style.css
 * @typedef {{
 *   readonly name: string,
 *   readonly kind: string,
 *   readonly points: readonly (readonly [at: number, low: number, high: number])[],
 * }} Band
 */

/** @param {number} number */
const round = (number) => Number(number.toFixed(1));

/**
 * A value stays until the next one, so lines are steps.
 * @param {{
 *   readonly label: string, readonly from: number, readonly to: number,
 *   readonly lines: readonly Line[], readonly bands?: readonly Band[],
 *   readonly range?: readonly [number, number],
 * }} what
 */
export const chart = ({ label, from, to, lines, bands = [], range }) => {
  const values = [
    ...lines.flatMap(({ points }) => points.map(([, value]) => value)),
    ...bands.flatMap(({ points }) => points.flatMap(([, low, high]) => [low, high])),
  ];
  const [low, high] = range ?? spread(values);
  // The clock of the browser may be behind that of the server.
  const last = Math.max(...[...lines, ...bands].map(({ points }) => points.at(-1)?.[0] ?? from), from);
  const end = Math.max(to, last, from + 1);
  const isOneDay = new Date(from).toDateString() === new Date(end).toDateString();
  /** @param {number} at */
  const timeText = (at) =>
    isOneDay
      ? new Date(at).toLocaleTimeString()
      : new Date(at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
  /** @param {number} at */
  const x = (at) =>
    margin.left + ((Math.max(at, from) - from) / (end - from)) * (width - margin.left - margin.right);
  /** @param {number} value */
  const y = (value) =>
    height - margin.bottom - ((value - low) / (high - low)) * (height - margin.top - margin.bottom);
  /** @param {readonly (readonly [number, number])[]} points */
  const steps = (points) =>
    points.map(([at, value], i) => {
      const until = points[i + 1]?.[0] ?? end;
      return `${i === 0 ? 'M' : 'L'}${round(x(at))} ${round(y(value))}H${round(x(until))}`;
    });
  const marks = [low, (low + high) / 2, high];
  return el(
    'figure',
    { 'data-key': label },
    el(
      'svg',
      { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label },
      ...marks.map((mark) =>
        el(
          'g',
          {},
          el('line', {
            class: 'grid',
            x1: margin.left,
            x2: width - margin.right,
            y1: round(y(mark)),
            y2: round(y(mark)),
          }),
          el(
            'text',
            { class: 'mark', x: margin.left - 6, y: round(y(mark)) + 4, 'text-anchor': 'end' },
            short(mark),
          ),
        ),
      ),
      ...[from, end].map((at, i) =>
        el(
          'text',
          { class: 'mark', x: round(x(at)), y: height - 5, 'text-anchor': i === 0 ? 'start' : 'end' },
          timeText(at),
        ),
      ),
      ...bands.map(({ kind, points }) => {
        if (points.length === 0) return undefined;
        const upper = steps(points.map(([at, , top]) => [at, top])).join('');
        const back = points.toReversed().map(([at, bottom], i) => {
          const until = points[points.length - i]?.[0] ?? end;
          return `L${round(x(until))} ${round(y(bottom))}H${round(x(at))}`;
        });
        return el('path', { class: `band ${kind}`, d: `${upper}${back.join('')}Z` });
      }),
      ...lines.map(({ kind, points }) =>
        points.length === 0 ? undefined : el('path', { class: `line ${kind}`, d: steps(points).join('') }),
      ),
    ),
    el(
      'figcaption',
      {},
      ...[...lines, ...bands.map((band) => ({ ...band, kind: `${band.kind} area` }))].map(({ name, kind }) =>
        el('span', { class: `key ${kind}` }, name),
      ),
    ),
  );
};

/** @param {readonly number[]} values @returns {[number, number]} */
const spread = (values) => {
  const [low, high] = [Math.min(...values, 0), Math.max(...values, 0)];
  return low === high ? [low, low + 1] : [low, high];
};
