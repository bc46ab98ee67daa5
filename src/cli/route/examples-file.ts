import { z } from 'zod';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { readJsonLines } from '../json-lines.ts';

/** A prompt and the label that it should get. */
export type Example = { readonly text: string; readonly label: string };

const rowSchema = z
  .looseObject({
    text: z.string().optional(),
    prompt: z.string().optional(),
    label: z.string().min(1).max(63),
  })
  .transform(({ text, prompt, label }, ctx): Example => {
    const given = text ?? prompt;
    if (given !== undefined) return { text: given, label };
    ctx.addIssue({ code: 'custom', message: 'must have text or prompt' });
    return z.NEVER;
  });

const exampleLine = '{"text": "…", "label": "…"}';

/**
 * Reads JSON lines `{"text": …, "label": …}`; `prompt` is the same as `text`, and other fields do not matter.
 * @throws AdaptletError CONFIG_INVALID with the line
 */
export const readExamples = async (file: string): Promise<readonly Example[]> => {
  const examples = await readJsonLines(file, rowSchema, exampleLine);
  if (examples.length > 0) return examples;
  throw new AdaptletError('CONFIG_INVALID', `${file} has no line`, {
    advice: `Write a JSON object a line: ${exampleLine}.`,
  });
};
