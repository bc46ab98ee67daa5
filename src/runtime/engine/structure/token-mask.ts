/** What the tokens of one answer may be, from the first to the last. */
export type TokenMask = {
  /**
   * The tokens that may come next: a bit for each, the first 32 in the first word. Valid until anything else is called.
   * @throws STRUCTURE_TOO_COMPLEX
   */
  mask(): Uint32Array;
  /**
   * A token came: those that can only follow it, and have come with it.
   * @throws STRUCTURE_TOO_COMPLEX
   */
  took(id: number): readonly number[];
  /** True when nothing more may come. */
  readonly isOver: boolean;
  /** It is not asked any more. Once more changes nothing. */
  release(): void;
};
