/** A horizontal bar with its number beside it. */
export type Bar = {
  readonly label: string;
  readonly value: number;
  /** The value as it is shown. */
  readonly text: string;
  /** Ours stand out from those that they are compared with. */
  readonly ours: boolean;
  /** Where the goal is, on the scale of the values. */
  readonly goal?: number;
};

export type Chart = {
  readonly title: string;
  /** What the values are, and which way is better. */
  readonly subtitle: string;
  readonly groups: readonly { readonly label: string; readonly bars: readonly Bar[] }[];
};

const width = 720;
const left = 200;
/** Room for the number behind the longest bar. */
const right = 90;
const [barHeight, barStep, groupGap, top] = [16, 22, 34, 64] as const;

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const fixed = (value: number): string => value.toFixed(1);

/** Colours by class: readable on white and on a dark page, whichever the reader's system asks for. */
const style = [
  'text{font:13px system-ui,sans-serif;fill:#24292f}',
  '.title{font-size:16px;font-weight:600}.note{fill:#57606a}.group{font-weight:600}',
  '.ours{fill:#0969da}.other{fill:#afb8c1}.goal{stroke:#bc4c00;stroke-width:2}',
  '@media(prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9198a1}',
  '.ours{fill:#4493f8}.other{fill:#656c76}.goal{stroke:#f0883e}}',
].join('');

/** An SVG picture of groups of bars on one scale. A goal is a line across its bar. */
export const barChart = ({ title, subtitle, groups }: Chart): string => {
  const bars = groups.flatMap((group) => group.bars);
  const most = Math.max(...bars.flatMap(({ value, goal }) => [value, goal ?? value]));
  const x = (value: number): number => left + (Math.max(0, value) / most) * (width - left - right);
  const lines: string[] = [];
  let y = top;
  for (const group of groups) {
    lines.push(`<text class="group" x="12" y="${y + 4}">${escape(group.label)}</text>`);
    y += barStep - 8;
    for (const { label, value, text, ours, goal } of group.bars) {
      const middle = y + barHeight - 4;
      const end = Math.max(x(value), goal === undefined ? 0 : x(goal));
      lines.push(
        `<text x="${left - 8}" y="${middle}" text-anchor="end">${escape(label)}</text>`,
        `<rect class="${ours ? 'ours' : 'other'}" x="${left}" y="${y}" width="${fixed(x(value) - left)}" height="${barHeight}" rx="2"/>`,
        `<text x="${fixed(end + 6)}" y="${middle}">${escape(text)}</text>`,
      );
      if (goal !== undefined) {
        const at = fixed(x(goal));
        lines.push(`<line class="goal" x1="${at}" x2="${at}" y1="${y - 2}" y2="${y + barHeight + 2}"/>`);
      }
      y += barStep;
    }
    y += groupGap - barStep + 6;
  }
  const summary = bars.map(({ label, text }) => `${label} ${text}`).join('; ');
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" role="img">`,
    `<title>${escape(title)}</title>`,
    `<desc>${escape(summary)}</desc>`,
    `<style>${style}</style>`,
    `<text class="title" x="12" y="24">${escape(title)}</text>`,
    `<text class="note" x="12" y="43">${escape(subtitle)}</text>`,
    ...lines,
    '</svg>',
    '',
  ].join('\n');
};
