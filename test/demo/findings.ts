import { styleText } from 'node:util';

export const title = (text: string): void => console.log(`\n${styleText('bold', text)}`);
export const say = (text: string): void => console.log(`  ${text}`);

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
export const ms = (value: number): string => `${value.toFixed(2)} ms`;

/** What a demo found, as it goes and once more at its end. */
export class Findings {
  readonly #all: { readonly what: string; readonly shown: string; readonly ok: boolean }[] = [];

  check(what: string, shown: string, ok: boolean): void {
    this.#all.push({ what, shown, ok });
    say(`${ok ? styleText('green', 'ok') : styleText('red', 'NOT OK')}  ${what}: ${shown}`);
  }

  /** True when everything was as promised. */
  summary(): boolean {
    title('Summary');
    for (const { what, shown, ok } of this.#all) say(`${ok ? 'ok    ' : 'NOT OK'}  ${what}: ${shown}`);
    const bad = this.#all.filter((finding) => !finding.ok).length;
    console.log(`\n${this.#all.length - bad} of ${this.#all.length} as promised`);
    return bad === 0;
  }
}
