import type { Piece } from './call-reader.ts';

/** `open`: it was cut. */
export type ToldCall = { readonly name: string; readonly arguments: string; readonly open?: true };

/** Pieces of an answer, put together: texts that follow each other, and calls. */
export const together = (pieces: readonly Piece[]): readonly (string | ToldCall)[] => {
  const all: (string | ToldCall)[] = [];
  for (const piece of pieces) {
    const last = all.at(-1);
    if (piece.kind === 'call') all.push({ name: piece.name, arguments: '' });
    else if (piece.kind === 'text' && typeof last === 'string') all[all.length - 1] = last + piece.text;
    else if (piece.kind === 'text') all.push(piece.text);
    else if (typeof last !== 'object') throw new Error('arguments of no call');
    else {
      const { name, arguments: before } = last;
      const open = piece.open === true ? { open: true as const } : {};
      all[all.length - 1] = { name, arguments: before + piece.arguments, ...open };
    }
  }
  return all;
};
