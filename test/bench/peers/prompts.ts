import { openModelFolder } from '../../../src/runtime/engine/model/folder.ts';
import { readSettings } from '../../../src/runtime/engine/model/settings.ts';
import { openTextCodec } from '../../../src/runtime/engine/model/tokenizer.ts';

/** Of the prompts that decode is measured with. */
export const promptTokens = 128;

const text =
  'The harbour was quiet in the morning. Boats came in from the sea with nets and baskets, and the people of the ' +
  'town walked down to the water to see what they had brought. Anna counted the boats: one, two, three, four, five, ' +
  'six, seven. She wrote the numbers into her book, as her father had done, and her grandfather before him. Then she ' +
  'counted the baskets: one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, ' +
  'fourteen, fifteen, sixteen, seventeen, eighteen, nineteen, twenty, twenty-one, twenty-two, twenty-three, ' +
  'twenty-four, twenty-five, twenty-six';

/** Where the parts begin. */
const offsets = Array.from({ length: 24 }, (_, i) => 2 * i);

/** Tokens of parts of a long running text, of a task of the adapter, and of a few letters. */
export const promptsOf = (modelDir: string) => {
  const folder = openModelFolder(modelDir);
  const codec = openTextCodec(folder, readSettings(folder).vocabSize);
  const encode = (content: string) => codec.encode({ kind: 'text', text: content });
  return {
    long: offsets.map((from) => encode(text).slice(from, from + promptTokens)),
    task: encode(
      '<|im_start|>user\nPlease ship 4 chairs to Maria in Lisbon.<|im_end|>\n<|im_start|>assistant\n',
    ).slice(0, promptTokens),
    short: encode('moon:'),
  };
};
