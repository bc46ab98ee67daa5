/** Numbers by key, one per round. */
export class Series {
  readonly all = new Map<string, number[]>();

  add(key: string, value: number): void {
    this.all.set(key, [...(this.all.get(key) ?? []), value]);
  }

  get(key: string): readonly number[] | undefined {
    return this.all.get(key);
  }
}
