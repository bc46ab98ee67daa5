/** A call that a model wrote; `arguments` is a JSON object, as it wrote it. */
export type Call = { readonly name: string; readonly arguments: string };

/** What a piece of an answer turned out to be. */
export type Piece =
  | { readonly kind: 'text'; readonly text: string }
  /** `text`: as the model wrote all of it. */
  | { readonly kind: 'call'; readonly call: Call; readonly text: string };

/**
 * Finds calls in an answer, piece by piece.
 *
 * Guarantees: a call is told once it is whole, with the name of a tool that there is; all else is text, unchanged and in its place.
 * How the answer is cut makes no difference. The work is linear in the answer's length.
 */
export type CallReader = {
  push(text: string): readonly Piece[];
  /** Nothing more comes. */
  end(): readonly Piece[];
};

/** Adds a text, unless it is empty. */
export const tell = (pieces: Piece[], text: string): void => {
  if (text !== '') pieces.push({ kind: 'text', text });
};
