/** Scripts that write without spaces: each letter counts as a word. */
const unspaced =
  '[\\p{sc=Han}\\p{sc=Hiragana}\\p{sc=Katakana}\\p{sc=Thai}\\p{sc=Lao}\\p{sc=Khmer}\\p{sc=Myanmar}]';
const word = new RegExp(`${unspaced}|[[\\p{L}\\p{M}\\p{N}]--${unspaced}]+`, 'gv');

/**
 * The first words of a text, in lower case and compatible forms (NFKC): letters and digits without what is between them.
 * Takes time linear in the text.
 */
export const wordsOf = (text: string, limit: number): readonly string[] => {
  const words: string[] = [];
  const lower = text.normalize('NFKC').toLowerCase();
  // One object for all texts: matchAll would make another, whose tables of letters take milliseconds.
  word.lastIndex = 0;
  for (let found = word.exec(lower); found !== null && words.length < limit; found = word.exec(lower))
    words.push(found[0]);
  return words;
};
